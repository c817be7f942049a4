"""Archives of images: zip, tar, and shards such as those of webdataset and img2dataset.

Nothing is unpacked to the disk. A member is named by its path in the archive, behind the name of
the shard if there are several, and read where it lies.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shlex
import threading
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from pathlib import Path

from pixseek.errors import ImageError, PixseekError, SourceError, SourceVanishedError
from pixseek.images import EXTENSIONS, MAX_BYTES
from pixseek.sources import is_pattern, patterns, shards
from pixseek.sources.choosing import (
    SIDECARS,
    Beside,
    Choice,
    class_of,
    fields_of,
    harmless,
    path_of,
)
from pixseek.sources.members import (
    Archive,
    DamagedError,
    Member,
    PackedTar,
    archive_at,
)
from pixseek.sources.patterns import Included
from pixseek.sources.shards import kind_of, stem_of
from pixseek.sources.skipping import Tally, printable
from pixseek.sources.unread import unread
from pixseek.types import Candidate, Failure, Item, Recognised, Root, Scalar, Skipped, Stamp
from pixseek.types.dataclass import dataclass

#: Raised when archives are listed in another way, so that unchanged ones are listed again.
_LISTING = 1

_MAX_SIDECAR_BYTES = 4 << 20
#: Lists of members that are kept: one of 10,000 images takes some 5 MB.
_KEPT = 8
#: Files that img2dataset and others leave next to their shards.
_BESIDE_SHARDS = (".json", ".parquet", ".txt", ".csv", ".tsv", ".md", ".idx", ".index", ".yaml")


def recognised(given: str) -> Recognised | None:
    """Return what a path is if it names an archive, shards, or a folder of nothing but shards.

    Raises:
        SourceError: a pattern names no archive.
    """
    if "://" in given:
        return None
    path = Path(os.path.abspath(os.path.expanduser(given)))
    if is_pattern(path.name) and not path.exists():
        if kind_of(path.name) is None:
            return None
        try:
            found = shards.files_of(path)
        except OSError:
            found = []
        if not found:
            raise SourceError("No archive has such a name", given, "Check the folder and the name.")
        name = stem_of(path.name).translate(str.maketrans("*{}", "   ")).split(" ")[0]
        return Recognised("archive", str(path), name.rstrip("-_.") or path.parent.name)
    if kind_of(path.name) is not None and path.is_file():
        return Recognised("archive", str(path), stem_of(path.name))
    if path.is_dir() and _holds_only_shards(path):
        return Recognised("archive", str(path / "*.tar"), path.name)
    return None


def _holds_only_shards(folder: Path) -> bool:
    """Return whether a folder has tar files, what lies next to those, and nothing else."""
    found = False
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.lower()
            if name.endswith(".tar") and entry.is_file():
                found = True
            elif not name.startswith(".") and not (
                name.endswith(_BESIDE_SHARDS) and entry.is_file()
            ):
                return False
    return found


def opened(root: Root) -> ArchiveSource:
    """Return the source of a root that is an archive, or of shards."""
    return ArchiveSource(
        root.name, root.path, root.exclude, root.include, follow_links=root.follow_links
    )


@dataclass(slots=True)
class _Listing:
    """What an archive holds, by path in it.

    Attributes:
        stamp: of the archive's file when it was listed.
        members: images and sidecars.
        names: of all files, by folder.
        unnamed: names that can't be paths in the archive.
        special: number of files that are left out, by kind and reason.
        damage: why the rest could not be listed; "" if all was.
    """

    stamp: tuple[int, int]
    members: dict[str, Member] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    special: Counter[tuple[str, str]] = field(default_factory=Counter)
    damage: str = ""


class ArchiveSource:
    """The images in one archive, or in shards.

    Attributes:
        name: of the root; the first part of its URIs.
        path: of the archive; of shards the last part is a pattern.
        prefixes: see `Source`.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        exclude: Collection[str] = (),
        include: Collection[str] = (),
        *,
        follow_links: bool = False,
    ) -> None:
        """Describe what to read; nothing is opened yet.

        Args:
            name: of the root.
            path: of the archive, or the pattern of shards.
            exclude: patterns of what to skip, in the syntax of .gitignore.
            include: patterns of what to index although it would be skipped by itself.
            follow_links: read shards that are links out of their folder, too.

        Raises:
            ConfigError: a pattern can't be understood.
        """
        self.name, self.path = name, path
        self.prefixes: tuple[str, ...] = (f"{name}/",)
        self._are_shards = is_pattern(path.name) and not path.exists()
        # The folder that every shard has to lie in; one archive lies where the user named it.
        is_bound = self._are_shards and not follow_links
        self._within = os.path.realpath(path.parent) if is_bound else None
        self._patterns = (tuple(exclude), tuple(include))
        self._exclude = patterns.compiled(exclude) if exclude else None
        self._include = Included(include) if include else None
        self._lock = threading.Lock()
        self._listings: OrderedDict[str, _Listing] = OrderedDict()
        self._archives: dict[str, Archive] = {}
        self._left_out: frozenset[str] = frozenset()

    # ---------------------------------------------------------------- which archives

    def covers(self, uri: str) -> bool:
        """Return whether a scan settles if there is such a member; see `Source.covers`."""
        return uri.startswith(self.prefixes[0])

    def marks(self) -> Mapping[str, str]:
        """Return what tells whether an archive has changed; see `Packed.marks`."""
        how = json.dumps([_LISTING, *self._patterns])
        return {
            self._prefix(shard): hashlib.blake2b(
                f"{self._stamp(shard)} {how}".encode(), digest_size=16
            ).hexdigest()
            for shard in self._shards()
            if self._stamp(shard) is not None
        }

    def leave_out(self, prefixes: Collection[str]) -> None:
        """Let scans skip archives; see `Packed.leave_out`."""
        self._left_out = frozenset(prefixes)

    def _shards(self) -> list[str]:
        """Return the names of the shards in order; [""] for a single archive."""
        if not self._are_shards:
            if not self.path.is_file():
                raise self._vanished()
            return [""]
        try:
            found = shards.files_of(self.path)
        except OSError as error:
            raise self._vanished() from error
        if not found:
            raise self._vanished()
        return [each for each in found if kind_of(each) is not None]

    def _vanished(self) -> SourceVanishedError:
        return SourceVanishedError(
            "The archive is gone (is its drive plugged in?)", self.path,
            "Nothing of it was removed from the library. Bring it back and run again; if it has "
            "moved, index its new place; to forget it: "
            f"pixseek remove --root {shlex.quote(self.name)}",
        )  # fmt: skip

    def _place(self, shard: str) -> Path:
        return self.path.parent / shard if shard else self.path

    def _prefix(self, shard: str) -> str:
        return f"{self.name}/{shard}/" if shard else f"{self.name}/"

    def _stamp(self, shard: str) -> tuple[int, int] | None:
        try:
            status = os.stat(self._place(shard))
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns

    def _split(self, uri: str) -> tuple[str, str]:
        """Return the shard that a URI names, and the path in it."""
        relative = uri[len(self.name) + 1 :]
        if not self._are_shards:
            return "", relative
        shard, _, inside = relative.partition("/")
        return shard, inside

    # ---------------------------------------------------------------- what they hold

    def scan(self) -> Iterator[Candidate | Failure | Skipped | int]:
        """Yield candidates, failures, counts and what was skipped; see `Source.scan`.

        An archive that is damaged at its end is a failure, so its other records are kept; what
        could be listed is offered. The order is that in the archive, which a run should keep.

        Raises:
            SourceVanishedError: the archives are gone.
        """
        looked_at = 0
        tally = Tally(self.name)
        special: Counter[tuple[str, str]] = Counter()
        for shard in self._shards():
            prefix = self._prefix(shard)
            if prefix in self._left_out:
                continue
            try:
                listing = self._listing(shard)
            except OSError as error:
                yield unread(prefix, error, self._place(shard))
                continue
            except PixseekError as error:  # this Python can't unpack it
                yield Failure(prefix, "scan", "no-decoder", error.problem, error.advice)
                continue
            if listing.damage:
                yield Failure(
                    prefix, "scan", "damaged",
                    f"The archive is damaged ({printable(listing.damage)})",
                    # The list of a zip's members is at its end.
                    ("Nothing of it can be read" if (kind_of(self._place(shard).name) == "zip")
                     else "What lies before the damage is indexed")
                    + ". Copy or download it again, then run: pixseek index",
                )  # fmt: skip
            for name in listing.unnamed:
                yield Failure(
                    f"{prefix}{harmless(name)}", "scan", "bad-name",
                    "The member's name leads out of the archive, or is not valid text",
                    "Rename it in the archive.",
                )  # fmt: skip
            yield from self._offered(prefix, listing, tally)
            special += listing.special
            looked_at += sum(map(len, listing.names.values()))
            yield looked_at
        yield from tally.found()
        for (what, why), count in special.items():
            yield Skipped("archive", what, why, count, 0, f"{self.name}/")

    def _offered(
        self, prefix: str, listing: _Listing, tally: Tally
    ) -> Iterator[Candidate | Failure]:
        shard = prefix[len(self.name) + 1 :]
        choice = Choice(self.path, shard, self._exclude, self._include, tally)
        finders: dict[str, Beside] = {}
        members = listing.members
        for relative in sorted(members, key=lambda each: members[each].at):
            member = members[relative]
            if not choice.takes(relative):
                continue
            uri = f"{prefix}{relative}"
            if member.locked is not None:
                yield Failure(uri, "scan", *member.locked)
                continue
            folder, _, name = relative.rpartition("/")
            if folder not in finders:
                finders[folder] = Beside(listing.names[folder], is_sample=self._is_tar(prefix))
            sidecars = finders[folder].of(name)
            beside = (members.get(f"{folder}/{each}" if folder else each) for each in sidecars)
            versions = [f"{each.name}\0{each.version}" for each in beside if each is not None]
            stamp = Stamp(member.size, member.modified_ns)
            yield Candidate(
                uri, stamp, member.modified_ns, sidecars,
                "\0\0".join((member.version, *versions)),
            )  # fmt: skip
        for folder, names in listing.names.items():
            for name in names:
                choice.count(f"{folder}/{name}" if folder else name)
        choice.finish()

    def _is_tar(self, prefix: str) -> bool:
        shard = prefix[len(self.name) + 1 : -1]
        return (kind_of(self._place(shard).name) or "").startswith("tar")

    def _listing(self, shard: str) -> _Listing:
        """Return what an archive holds; read once while the archive is unchanged."""
        stamp = self._stamp(shard)
        with self._lock:
            kept = self._listings.get(shard)
            if kept is not None and kept.stamp == stamp:
                self._listings.move_to_end(shard)
                return kept
            if stamp is None:
                raise FileNotFoundError(
                    errno.ENOENT, os.strerror(errno.ENOENT), str(self._place(shard))
                )
            self._archives.pop(shard, None)
            listing = self._read_listing(shard, stamp)
            self._listings[shard] = listing
            while len(self._listings) > _KEPT:
                oldest, _ = self._listings.popitem(last=False)
                self._archives.pop(oldest, None)
            return listing

    def _kept_listing(self, shard: str) -> _Listing | None:
        """Return what an archive holds if that is known already, and it is unchanged."""
        with self._lock:
            kept = self._listings.get(shard)
        return kept if kept is not None and kept.stamp == self._stamp(shard) else None

    def _read_listing(self, shard: str, stamp: tuple[int, int]) -> _Listing:
        listing = _Listing(stamp)
        archive = archive_at(self._place(shard), self._within)
        seen: set[str] = set()
        try:
            for member in archive.members():
                relative = path_of(member.name)
                if relative is None:
                    listing.unnamed.append(member.name)
                    continue
                folder, _, name = relative.rpartition("/")
                ending = os.path.splitext(name)[1].lower()
                if member.skipped:
                    if ending in EXTENSIONS:
                        listing.special[
                            (
                                f"{member.skipped} files",
                                "have no content of their own"
                                if member.skipped == "link"
                                else "not supported",
                            )
                        ] += 1
                    continue
                if kind_of(name) is not None:
                    listing.special[(os.path.splitext(name)[1], "archives in an archive")] += 1
                    continue
                if relative not in seen:
                    seen.add(relative)
                    listing.names.setdefault(folder, []).append(name)
                if ending in EXTENSIONS or ending in SIDECARS or self._is_named(shard, relative):
                    listing.members[relative] = member  # of two with one name, the last counts
        except DamagedError as error:
            listing.damage = str(error)
        return listing

    def _is_named(self, shard: str, relative: str) -> bool:
        inside = f"{shard}/{relative}" if shard else relative
        return self._include is not None and (
            self._include.covers(inside) or self._include.file(inside)
        )

    # ---------------------------------------------------------------- content

    def read(self, candidate: Candidate) -> Item:
        """Return the content of a member and its sidecars; see `Source.read`."""
        shard, relative = self._split(candidate.uri)
        try:
            listing = self._listing(shard)
        except OSError as error:
            self._check_there()
            failure = unread(candidate.uri, error, self._place(shard))
            raise ImageError(
                failure.reason, failure.message, failure.uri, failure.advice
            ) from error
        member = listing.members.get(relative)
        if member is None:
            raise ImageError(
                "missing", "The archive was changed during the run", candidate.uri, "Run again."
            )
        archive = self._archive(shard)
        try:
            content = archive.read(member, MAX_BYTES)
        except OSError as error:
            self._check_there()
            raise ImageError(
                "unreadable", f"The archive can't be read ({error.strerror or error})",
                candidate.uri, "Check the disk, then run again with --retry.",
            ) from error  # fmt: skip
        folder = relative.rpartition("/")[0]
        sidecars, fields = [], dict[str, Scalar]()
        for name in candidate.sidecars:
            beside = listing.members.get(f"{folder}/{name}" if folder else name)
            if beside is None or beside.locked or beside.size > _MAX_SIDECAR_BYTES:
                continue
            try:
                data = archive.read(beside, _MAX_SIDECAR_BYTES)
            except (ImageError, OSError):
                continue  # the image is indexed without
            if name.lower().endswith(".cls"):
                fields |= class_of(data)
            else:
                sidecars.append((name, data))
            if name.lower().endswith(".json") and self._is_tar(self._prefix(shard)):
                fields |= fields_of(data)
        return Item(content, tuple(sidecars), fields)

    def _archive(self, shard: str) -> Archive:
        with self._lock:
            if shard not in self._archives:
                self._archives[shard] = archive_at(self._place(shard), self._within)
            return self._archives[shard]

    def _check_there(self) -> None:
        self._shards()

    def open(self, uri: str) -> bytes:
        """Return the content of a member; see `Opening.open`.

        In a packed tar all that lies before it is unpacked first.
        """
        shard, relative = self._split(uri)
        archive = archive_at(self._place(shard), self._within)  # so that no file stays open
        if isinstance(archive, PackedTar) and self._kept_listing(shard) is None:
            # Once through it, and not twice.
            found = archive.read_first(lambda name: path_of(name) == relative, MAX_BYTES)
            if found is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
            return found
        member = self._listing(shard).members.get(relative)
        if member is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
        if member.locked is not None:
            raise ImageError(member.locked[0], member.locked[1], uri, member.locked[2])
        try:
            return archive.read(member, MAX_BYTES)
        finally:
            if isinstance(archive, PackedTar):
                archive.close()

    def holds(self, uri: str) -> bool | None:
        """Return whether there is such a member now; see `Opening.holds`."""
        shard, relative = self._split(uri)
        if shard and not self._place(shard).exists():
            return False
        listing = self._kept_listing(shard)
        if listing is None and (kind_of(self._place(shard).name) or "").startswith("tar."):
            return None  # all of it would have to be unpacked
        listing = listing or self._listing(shard)
        return relative in listing.members or (None if listing.damage else False)

    def place(self, uri: str) -> Path | None:
        """Return None: a member has no file of its own; see `Opening.place`."""
        return None
