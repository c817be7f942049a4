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
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pixseek.errors import ImageError, PixseekError, SourceError, SourceVanishedError
from pixseek.images import MAX_BYTES
from pixseek.sources import is_pattern, patterns, shards
from pixseek.sources.archive_listings import Held, Listing, Unlisted
from pixseek.sources.archived_videos import Pairs, endings, file_of, is_video, other_half
from pixseek.sources.choosing import (
    SIDECARS,
    Beside,
    Choice,
    class_of,
    fields_of,
    harmless,
    path_of,
)  # fmt: skip
from pixseek.sources.members import Member, archive_at
from pixseek.sources.patterns import Included
from pixseek.sources.shards import kind_of, stem_of
from pixseek.sources.skipping import Tally, printable
from pixseek.sources.tars import PackedTar
from pixseek.sources.unread import unread
from pixseek.types import Candidate, Failure, Item, Recognised, Root, Scalar, Skipped, Stamp

#: Raised when archives are listed in another way, so that unchanged ones are listed again.
_LISTING = 2

_MAX_SIDECAR_BYTES = 4 << 20


def recognised(given: str) -> Recognised | None:
    """Return what a path is if it names an archive, shards, or a folder of nothing but shards.

    Raises:
        SourceError: a pattern names no archive.
    """
    if "://" in given:
        from pixseek.sources import remote_archives

        return remote_archives.recognised(given)
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
    inside = ""
    if not path.exists() and (found_within := shards.within(path)) is not None:
        path, inside = found_within
    if kind_of(path.name) is not None and path.is_file():
        parts = shards.series_of(path.name) if shards.is_part(path.name) else None
        if parts is None:
            return Recognised("archive", str(path), stem_of(path.name), scope=inside)
        # All parts of an export: one may have the descriptions of another's images.
        inside = f"{path.name}/{inside}" if inside else ""
        name = stem_of(path.name).rpartition("-")[0]
        return Recognised("archive", str(path.parent / parts), name, scope=inside)
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
                name.endswith(shards.BESIDE_SHARDS) and entry.is_file()
            ):
                return False
    return found


def opened(root: Root) -> ArchiveSource:
    """Return the source of a root that is an archive, or of shards."""
    if not root.is_local:
        from pixseek.sources.remote_archives import RemoteArchives

        return RemoteArchives(root)
    return ArchiveSource(
        root.name, root.path, root.exclude, root.include, root.scopes,
        follow_links=root.follow_links,
    )  # fmt: skip


#: Names of files by folder; sidecars by their path, with the part that they lie in.
_Names = dict[str, list[str]]
_Beside = dict[str, tuple[str, Member]]


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
        scopes: Collection[str] = (),
        *,
        follow_links: bool = False,
    ) -> None:
        """Describe what to read; nothing is opened yet.

        Args:
            name: of the root.
            path: of the archive, or the pattern of shards.
            exclude: patterns of what to skip, in the syntax of .gitignore.
            include: patterns of what to index although it would be skipped by itself.
            scopes: paths in the root of what to look at; () or ("",) for all of it.
            follow_links: read shards that are links out of their folder, too.

        Raises:
            ConfigError: a pattern can't be understood.
        """
        self.name, self.path = name, path
        self._scopes = frozenset() if "" in scopes else frozenset(scopes)
        self.prefixes: tuple[str, ...] = tuple(f"{name}/{each}" for each in self._scopes or ("",))
        self._are_shards = is_pattern(path.name) and not path.exists()
        # The folder that every shard has to lie in; one archive lies where the user named it.
        is_bound = self._are_shards and not follow_links
        self._within = os.path.realpath(path.parent) if is_bound else None
        self._patterns = (tuple(exclude), tuple(include))
        self._exclude = patterns.compiled(exclude) if exclude else None
        self._include = Included(include) if include else None
        self._held = Held(path, self._within, self._include)
        self._left_out: frozenset[str] = frozenset()
        # Of an export in parts: descriptions in another one than the image's, by their path.
        self._is_export = self._are_shards and shards.is_part(path.name)
        self._elsewhere: dict[str, tuple[str, Member]] = {}

    # ---------------------------------------------------------------- which archives

    def covers(self, uri: str) -> bool:
        """Return whether a scan settles if there is such a member; see `Source.covers`."""
        name, _, relative = uri.partition("/")
        return name == self.name and self._is_in_scope(relative)

    def _is_in_scope(self, relative: str) -> bool:
        """Return whether a path in the root is looked at."""
        return not self._scopes or any(
            relative == each or relative.startswith(f"{each}/") for each in self._scopes
        )

    def marks(self) -> Mapping[str, str]:
        """Return what tells whether an archive has changed; see `Packed.marks`."""
        how = json.dumps([_LISTING, *sorted(endings()), *self._patterns, *sorted(self._scopes)])
        stamps = {shard: self._held.stamp(shard) for shard in self._shards()}
        if self._is_export:  # what one part says of the images of another may change with either
            how += str(stamps)
        return {
            self._prefix(shard): hashlib.blake2b(
                f"{stamp} {how}".encode(), digest_size=16
            ).hexdigest()
            for shard, stamp in stamps.items()
            if stamp is not None
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

    def _prefix(self, shard: str) -> str:
        return f"{self.name}/{shard}/" if shard else f"{self.name}/"

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
        names, beside = self._of_all_parts() if self._is_export else ({}, {})
        met: set[str] = set()
        wanted = [each for each in self._shards() if self._prefix(each) not in self._left_out]
        for shard, listing in self._listed(wanted):
            prefix = self._prefix(shard)
            if isinstance(listing, OSError):
                yield self._unread(prefix, listing, shard)
                continue
            if isinstance(listing, PixseekError):  # this Python can't unpack it
                yield Failure(prefix, "scan", "no-decoder", listing.problem, listing.advice)
                continue
            if listing.damage:
                yield Failure(
                    prefix, "scan", "damaged",
                    f"The archive is damaged ({printable(listing.damage)})",
                    # The list of a zip's members is at its end.
                    ("Nothing of it can be read" if (kind_of(self._held.place(shard).name) == "zip")
                     else "What lies before the damage is indexed")
                    + ". Copy or download it again, then run: pixseek index",
                )  # fmt: skip
            elif not (listing.names or listing.unnamed or listing.special):
                yield Failure(
                    prefix, "scan", "empty", "The archive has no files in it",
                    "Nothing of it was removed. Copy or download it again.",
                )  # fmt: skip
            for name in listing.unnamed:
                yield Failure(
                    f"{prefix}{harmless(name)}", "scan", "bad-name",
                    "The member's name leads out of the archive, or is not valid text",
                    "Rename it in the archive.",
                )  # fmt: skip
            for event in self._offered(prefix, listing, tally, names, beside):
                relative = event.uri[len(self.name) + 1 :]
                if self._is_in_scope(relative):
                    met |= {each for each in self._scopes if relative.startswith(each)}
                    yield event
            special += listing.special
            looked_at += sum(map(len, listing.names.values()))
            yield looked_at
        for scope in self._scopes - met:
            yield Failure(
                f"{self.name}/{scope}", "scan", "missing",
                "The archive has no image of this name, and no folder with images",
                "Check the path; names in archives are compared as they are written.",
            )  # fmt: skip
        yield from tally.found()
        for (what, why), count in special.items():
            yield Skipped("archive", what, why, count, 0, f"{self.name}/")

    def _listed(self, shards: Sequence[str]) -> Iterator[tuple[str, Listing | Unlisted]]:
        """Yield archives, in their order, with what each holds, or why that can't be told."""
        return ((shard, self._held.listing_or_why(shard)) for shard in shards)

    def _of_all_parts(self) -> tuple[_Names, _Beside]:
        """Return the names of all files by folder, and the sidecars with their parts by path."""
        names: _Names = {}
        beside: _Beside = {}
        self._held.keep_descriptions()
        for shard, listing in self._listed(self._shards()):
            if not isinstance(listing, Listing):  # the scan says why when it comes to it
                continue
            for folder, some in listing.names.items():
                names.setdefault(folder, []).extend(some)
            for path, member in listing.members.items():
                if path.lower().endswith(SIDECARS):
                    beside.setdefault(path, (shard, member))
        return names, beside

    def _offered(
        self, prefix: str, listing: Listing, tally: Tally, names: _Names, beside: _Beside
    ) -> Iterator[Candidate | Failure]:
        """Yield candidates of one archive; `names` and `beside` are those of all parts, if any."""
        shard = prefix[len(self.name) + 1 :]
        choice = Choice(self.path.parent.as_posix(), shard, self._exclude, self._include, tally)
        finders: dict[str, Beside] = {}
        members = listing.members
        pairs = Pairs(listing.names, lambda path: self._is_offered(shard, path, listing, choice))
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
                every = names.get(folder) or listing.names[folder]
                finders[folder] = Beside(every, is_sample=self._has_samples(prefix))
            sidecars = finders[folder].of(name)
            versions = []
            for each in sidecars:
                path = f"{folder}/{each}" if folder else each
                found = members.get(path)
                if found is None and path in beside:
                    self._elsewhere[path] = beside[path]
                    found = beside[path][1]
                if found is not None:
                    versions.append(f"{found.name}\0{found.version}")
            # In a packed tar, both would be unpacked twice.
            companion = "" if self._is_tar(prefix, "tar.") else pairs.of(relative)
            if companion:
                versions.append(f"{companion}\0{members[companion].version}")
            is_wanted = bool(sidecars) and self._include is not None and (
                self._include.covers(f"{shard}{relative}")
            )  # fmt: skip
            if is_wanted:  # it decides what becomes of an image in the trash
                versions.append("wanted")
            stamp = Stamp(member.size, member.modified_ns)
            yield Candidate(
                uri, stamp, member.modified_ns, sidecars,
                "\0\0".join((member.version, *versions)), is_wanted,
                companion=companion.rpartition("/")[2],
            )  # fmt: skip
        for folder, here in listing.names.items():
            for name in here:
                choice.count(f"{folder}/{name}" if folder else name)
        choice.finish()

    def _is_offered(self, shard: str, path: str, found: Listing, choice: Choice) -> bool:
        is_open = path in found.members and found.members[path].locked is None
        return is_open and choice.takes(path) and self._is_in_scope(f"{shard}{path}")

    def _has_samples(self, prefix: str) -> bool:
        return self._is_tar(prefix) and not self._is_export

    def _is_tar(self, prefix: str, kind: str = "tar") -> bool:
        shard = prefix[len(self.name) + 1 : -1]
        return (kind_of(self._held.place(shard).name) or "").startswith(kind)

    # ---------------------------------------------------------------- content

    def read(self, candidate: Candidate) -> Item:
        """Return the content of a member and its sidecars; see `Source.read`."""
        shard, relative = self._split(candidate.uri)
        try:
            listing = self._held.listing(shard)
        except OSError as error:
            self._check_there()
            raise self._unreadable(candidate.uri, error, shard) from error
        member = listing.members.get(relative)
        if member is None:
            raise ImageError(
                "missing", "The archive was changed during the run", candidate.uri, "Run again."
            )
        companion = None
        try:
            found = self._content(shard, member, relative)
            if candidate.companion:
                beside_it = f"{candidate.uri.rpartition('/')[0]}/{candidate.companion}"
                companion = other_half(
                    candidate.companion,
                    lambda: self._content(shard, self._member(beside_it), beside_it),
                )
        except OSError as error:
            self._check_there()
            raise ImageError(
                "unreadable", f"The archive can't be read ({error.strerror or error})",
                candidate.uri, "Check the disk, then run again with --retry.",
            ) from error  # fmt: skip
        folder = relative.rpartition("/")[0]
        sidecars, fields = [], dict[str, Scalar]()
        for name in candidate.sidecars:
            path = f"{folder}/{name}" if folder else name
            part, beside = shard, listing.members.get(path)
            if beside is None and path in self._elsewhere:
                part, beside = self._elsewhere[path]
            if beside is None or beside.locked or beside.size > _MAX_SIDECAR_BYTES:
                continue
            try:
                data = self._held.sidecar(part, beside, _MAX_SIDECAR_BYTES)
            except (ImageError, FileNotFoundError):
                continue  # the image is indexed without
            except OSError as error:
                # It may be read next time; without it the image would count as unchanged then.
                raise self._unreadable(candidate.uri, error, part) from error
            if name.lower().endswith(".cls"):
                fields |= class_of(data)
            else:
                sidecars.append((name, data))
            if name.lower().endswith(".json") and self._has_samples(self._prefix(shard)):
                fields |= fields_of(data)
        return replace(found, sidecars=tuple(sidecars), fields=fields, companion=companion)

    def _content(self, shard: str, member: Member, relative: str) -> Item:
        """Return the content of a member: of an image in memory, of a video as a file."""
        archive = self._held.archive(shard)
        if is_video(relative):
            return file_of(archive, member, self._held.place(shard), self._within)
        return Item(archive.read(member, MAX_BYTES))

    def _check_there(self) -> None:
        self._shards()

    def _unreadable(self, uri: str, error: OSError, shard: str) -> ImageError:
        failure = self._unread(uri, error, shard)
        return ImageError(failure.reason, failure.message, failure.uri, failure.advice)

    def _unread(self, uri: str, error: OSError, shard: str) -> Failure:
        return unread(uri, error, Path(str(self._held.place(shard))))

    def file(self, uri: str) -> Item:
        """Return a member as a file, or a part of one; see `Seekable.file`."""
        shard, _ = self._split(uri)
        archive = archive_at(self._held.place(shard), self._within)
        try:
            return file_of(archive, self._member(uri), self._held.place(shard), self._within)
        finally:
            if isinstance(archive, PackedTar):
                archive.close()

    def version(self, uri: str) -> str:
        """Return what tells whether a member has changed; see `Seekable.version`."""
        return str(self._held.stamp(self._split(uri)[0]))

    def open(self, uri: str) -> bytes:
        """Return the content of a member; see `Opening.open`.

        In a packed tar all that lies before it is unpacked first.
        """
        shard, relative = self._split(uri)
        archive = archive_at(self._held.place(shard), self._within)  # so that no file stays open
        if isinstance(archive, PackedTar) and self._held.known(shard) is None:
            # Once through it, and not twice.
            found = archive.read_first(lambda name: path_of(name) == relative, MAX_BYTES)
            if found is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
            return found
        try:
            return archive.read(self._member(uri), MAX_BYTES)
        finally:
            if isinstance(archive, PackedTar):
                archive.close()

    def _member(self, uri: str) -> Member:
        shard, relative = self._split(uri)
        member = self._held.listing(shard).members.get(relative)
        if member is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
        if member.locked is not None:
            raise ImageError(member.locked[0], member.locked[1], uri, member.locked[2])
        return member

    def holds(self, uri: str) -> bool | None:
        """Return whether there is such a member now; see `Opening.holds`."""
        shard, relative = self._split(uri)
        if shard and not self._held.place(shard).exists():
            return False
        listing = self._held.known(shard)
        if listing is None and (kind_of(self._held.place(shard).name) or "").startswith("tar."):
            return None  # all of it would have to be unpacked
        listing = listing or self._held.listing(shard)
        return relative in listing.members or (None if listing.damage else False)

    def place(self, uri: str) -> Path | None:
        """Return None: a member has no file of its own; see `Opening.place`."""
        return None
