"""Folders and single files, found by walking them."""

from __future__ import annotations

import contextlib
import itertools
import os
import posixpath
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from pixseek import files
from pixseek.errors import ImageError, SourceError, SourceVanishedError
from pixseek.images import MAX_BYTES
from pixseek.sources import patterns
from pixseek.sources.drives import drive_of
from pixseek.sources.ignore_files import IGNORE_FILE, Ignored, add_ignore_file, is_ignored
from pixseek.sources.listing import Listing, kind_at
from pixseek.sources.patterns import Included
from pixseek.sources.photo_libraries import PhotoLibraries
from pixseek.sources.scopes import PREFIXES, Only, folders_above, is_below
from pixseek.sources.skipping import (
    Tally,
    is_candidate,
    is_reached,
    is_video_name,
    may_be_skipped,
    printable,
    skipped_folder,
)
from pixseek.sources.stamps import with_sidecars
from pixseek.sources.unread import outside, unread
from pixseek.types import Candidate, Failure, FileSystem, Item, Skipped, Stamp
from pixseek.types.sources import marked

# More than any sidecar that is worth reading; XMP with edits of a long history takes a megabyte.
_MAX_SIDECAR_BYTES = 4 << 20


class FolderSource:
    """A root folder, or some folders and files below it.

    Attributes:
        name: of the root; the first part of its URIs.
        path: where the root is now.
        prefixes: see `Source`.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        scopes: Iterable[str] = ("",),
        exclude: Iterable[str] = (),
        include: Iterable[str] = (),
        *,
        follow_links: bool = False,
        only: Only | None = None,
    ) -> None:
        """Describe what to scan; nothing is read yet.

        Args:
            name: of the root.
            path: of the root.
            scopes: relative paths, with forward slashes, of what to scan; "" for everything.
                A hundred thousand files are fine. Those that do not exist hold nothing.
            exclude: patterns of what to skip, in the syntax of .gitignore.
            include: patterns of what to index although it would be skipped by itself; what
                `exclude` names is skipped nevertheless.
            follow_links: also follow links that lead out of the root.
            only: what to look at of all that; None for everything.

        Raises:
            ConfigError: a pattern can't be understood.
            SourceError: a scope lies outside of the root.
        """
        self.name = name
        self.path = path
        # The folder that every file has to lie in when links are resolved; None for any.
        self._within = None if follow_links else os.path.realpath(path)
        scopes = tuple(scopes)
        if wrong := [scope for scope in scopes if scope and not files.stays_inside(scope)]:
            raise SourceError(
                "The library names a place outside of its folder", f"{path} and {wrong[0]}",
                f"Forget the folder, and index it anew: pixseek remove --root {shlex.quote(name)}",
            )  # fmt: skip
        kinds = {scope: kind_at(path / scope) if scope else "folder" for scope in set(scopes)}
        folders = {scope for scope, kind in kinds.items() if kind == "folder"}
        gone = {scope for scope, kind in kinds.items() if kind == "gone"}
        self._folders = {s for s in folders if not (s and is_below(s, folders))}
        self._files = {s for s in kinds.keys() - folders - gone if not is_below(s, folders)}
        self._gone = {s for s in gone if not is_below(s, folders)}
        self._only = only
        self.prefixes = self._prefixes() if only is None else only.prefixes(name)
        self._exclude = patterns.compiled(exclude) if exclude else None
        include = tuple(include)
        self._include = Included(include) if include else None
        self._libraries = PhotoLibraries(name, path)
        self._inner: set[str] = set()  # included folders that the walk does not come to
        self._add_included(self._include.paths if self._include else ())
        above, _, own = path.as_posix().rpartition("/")
        self._is_a_bin = skipped_folder(own, above) is not None
        self._device: int | None = None
        self._inodes: dict[str, tuple[int, int]] = {}  # of the folders that were scanned

    def covers(self, uri: str) -> bool:
        """Return whether a scan settles if there is such a file."""
        name, _, relative = uri.partition("/")
        if self._only is not None and not self._only.takes(relative):
            return False
        return name == self.name and (
            relative in self._files
            or relative in self._gone
            or is_below(relative, self._folders)
            or is_below(relative, self._gone)
        )

    def scan(self) -> Iterator[Candidate | Failure | FileSystem | Skipped | int]:
        """Yield candidates, failures, counts and what was skipped; see `Source.scan`.

        Hidden files, recycle bins, previews of other programs, and what the patterns name are
        skipped; links are followed within the root, each folder once; those that lead out of it
        are failures. What is held is one folder's listing at a time.

        Raises:
            SourceVanishedError: the root is gone, or went away during the scan.
        """
        self._device = self._device_now()
        yield FileSystem(f"{self.name}/", drive_of(self.path))
        yield from self._named_files()
        looked_at = len(self._files)
        seen: set[tuple[int, int]] = set()
        tally = Tally(self.name)
        stack: list[tuple[str, list[Ignored], int]] = []
        for folder in sorted(self._folders | self._inner, reverse=True):
            if self._only is not None and not self._only.concerns(folder):
                continue
            if self._within and not files.is_inside(self.path / folder, self._within):
                yield self._outside(f"{folder}/")
                continue
            specs: list[Ignored] = []
            for above in folders_above(folder):
                yield from self._add_ignore_file(above, specs)
            stack.append((folder, specs, self._device))
        while stack:
            folder, specs, device = stack.pop()
            try:
                with os.scandir(self.path / folder if folder else self.path) as entries:
                    listing = sorted(entries, key=lambda entry: entry.name)
                here = os.stat(self.path / folder)
            except OSError as error:
                self.check_there(error)
                yield self._unreadable_folder(folder, error)
                continue
            if (here.st_dev, here.st_ino) in seen and here.st_ino:
                continue
            seen.add((here.st_dev, here.st_ino))
            self._inodes[folder] = (here.st_dev, here.st_ino)
            if here.st_dev != device:
                top = self._top_of(folder, here.st_dev)
                yield FileSystem(f"{self.name}/{top}/", drive_of(self.path / folder))
            if any(entry.name == IGNORE_FILE for entry in listing):
                specs = [*specs]
                yield from self._add_ignore_file(folder, specs)
            below: list[str] = []
            beside = Listing(self.path / folder, listing, self._within)
            for entry in listing:
                name = entry.name
                relative = f"{folder}/{name}" if folder else name
                if self._only is not None and not self._only.concerns(relative):
                    continue
                try:
                    is_folder = entry.is_dir()
                    if self._is_excluded(relative, is_folder, specs):
                        continue
                    if is_folder:
                        if self._is_skipped(name, folder, tally):
                            continue
                        if beside.leads_out(name):
                            yield self._outside(f"{relative}/")
                        else:
                            below.append(relative)
                        continue
                    if relative in self._files:
                        continue  # it was offered already, as it is named
                    if name[0] == "." and not self._is_included(relative):
                        tally.hidden_file(relative)
                        continue
                    looked_at += 1
                    if not is_candidate(entry.path) and not self._is_included(relative):
                        if entry.is_file() and not beside.leads_out(name):
                            tally.file(entry.path, relative)
                        continue
                    if not entry.is_file():
                        if os.path.exists(entry.path):  # else it is a link to nothing
                            yield self._failure(relative, files.not_regular(entry.path))
                        continue
                    if beside.leads_out(name):
                        yield self._outside(relative)
                        continue
                    companion = self._companion_of(relative, beside, specs)
                    yield from self._offered(relative, entry.stat(), beside, companion)
                except OSError as error:
                    yield self._failure(relative, error)
            stack.extend((path, specs, here.st_dev) for path in reversed(below))
            yield looked_at
        self.check_there()
        yield from self._libraries.failures()
        yield from tally.found()

    def read(self, candidate: Candidate) -> Item:
        """Return the content of a file of this source and its sidecars; see `Source.read`."""
        relative = candidate.uri[len(self.name) + 1 :]
        is_video = is_video_name(relative)
        if candidate.stamp.size > MAX_BYTES and not is_video:
            raise ImageError(
                "too-large",
                f"The file is too large ({candidate.stamp.size // 1_000_000} MB)",
                advice=f"Files up to {MAX_BYTES // 1_000_000} MB are read.",
            )
        content: bytes | Path = (path := self.path / relative)
        try:
            if is_video:  # it is opened again to be decoded
                files.beginning(path, 1, within=self._within)
            else:
                content = files.read(path, MAX_BYTES, within=self._within)
        except OSError as error:
            self.check_there(error)
            why = self._failure(relative, error)
            raise ImageError(why.reason, why.message, why.uri, why.advice) from error
        fields = self._libraries.fields(relative)
        sidecars = tuple(self._read_sidecars(relative, candidate.sidecars))
        companion = None
        if candidate.companion:
            companion = Item(path.with_name(candidate.companion), within=self._within)
        within, trashed = self._within if is_video else None, fields.pop("trashed", None) is True
        return Item(
            content, sidecars, fields, within=within, is_trashed=trashed, companion=companion
        )

    def check_there(self, cause: OSError | None = None) -> None:
        """Raise if the root is gone.

        Raises:
            SourceVanishedError: its folder is gone, its device changed since the scan began (an
                unmounted drive leaves an empty folder behind), or it can't be listed.
        """
        device = self._device_now(cause)
        if self._device is not None and device != self._device:
            raise self._vanished() from cause

    def _device_now(self, cause: OSError | None = None) -> int:
        try:
            device = os.stat(self.path).st_dev
            with os.scandir(self.path):
                return device
        except PermissionError:
            if cause is None:
                raise SourceVanishedError(
                    "The folder may not be read by this user",
                    self.path,
                    "Change its permissions, or index a folder that may be read.",
                ) from None
            return self._device or 0
        except OSError as error:
            raise self._vanished() from (cause or error)

    def _top_of(self, folder: str, device: int) -> str:
        """Return the topmost folder on a device, of one that is on it and those above it."""
        while above := posixpath.dirname(folder):
            with contextlib.suppress(OSError):
                if os.stat(self.path / above).st_dev == device:
                    folder = above
                    continue
            break
        return folder

    def _vanished(self) -> SourceVanishedError:
        if (now := self._renamed("", self.path)) is not None:
            return SourceVanishedError(
                f"The folder was renamed during the run, to {now.name}",
                self.path,
                f"Nothing of it was removed from the library. To continue: "
                f"pixseek index {shlex.quote(str(now))}",
            )
        return SourceVanishedError(
            "The folder is gone (is its drive plugged in?)",
            self.path,
            "Nothing of it was removed from the library. Bring it back and run again; if it has "
            f"moved, index its new place; to forget it: pixseek remove --root {self.name}",
        )

    def _renamed(self, folder: str, path: Path) -> Path | None:
        """Return where a folder that was scanned is now, if it is in the same folder as before."""
        before = self._inodes.get(folder)
        if before is None or not before[1]:
            return None
        try:
            with os.scandir(path.parent) as entries:
                for entry in entries:
                    if entry.inode() == before[1] and entry.is_dir():
                        status = os.stat(entry.path)
                        if (status.st_dev, status.st_ino) == before:
                            return Path(entry.path)
        except OSError:
            pass
        return None

    def _prefixes(self) -> tuple[str, ...]:
        names = self._files | self._gone
        if len(self._folders) + len(names) <= PREFIXES:
            folders = (f"{self.name}/{scope}/" if scope else f"{self.name}/" for scope in
                       self._folders)  # fmt: skip
            return tuple(sorted((*folders, *(f"{self.name}/{scope}" for scope in names))))
        above = {posixpath.dirname(scope) for scope in (*self._folders, *names)}
        common = "" if "" in above else posixpath.commonpath(above)
        return (f"{self.name}/{common}/" if common else f"{self.name}/",)

    def _named_files(self) -> Iterator[Candidate | Failure]:
        """Offer the files that were named, whatever their names; each folder is listed once."""
        for folder, named in itertools.groupby(
            sorted(self._files, key=posixpath.split), key=posixpath.dirname
        ):
            beside: Listing | None = None
            for relative in named:
                if self._only is not None and not self._only.takes(relative):
                    continue
                try:
                    if beside is None:
                        with os.scandir(self.path / folder) as entries:
                            beside = Listing(self.path / folder, list(entries), self._within)
                    if beside.leads_out(posixpath.basename(relative)):
                        yield self._outside(relative)
                        continue
                    companion = self._companion_of(relative, beside, [])
                    status = os.stat(self.path / relative)
                    yield from self._offered(relative, status, beside, companion)
                except OSError as error:
                    self.check_there(error)
                    yield self._failure(relative, error)

    def _read_sidecars(self, relative: str, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        folder = (self.path / relative).parent
        for name in names:
            try:
                place = folder / name
                yield name, files.beginning(place, _MAX_SIDECAR_BYTES, within=self._within)
            except OSError:
                continue  # it went away, or may not be read: the image is indexed without

    def _companion_of(self, relative: str, beside: Listing, specs: list[Ignored]) -> str:
        """Return the file with which another may be a live photo, if it is not excluded.

        A clip without its photo is a video, also if only the clip is looked at.
        """
        folder, _, name = relative.rpartition("/")
        other = beside.companion_of(name)
        path = posixpath.join(folder, other)
        if not other or self._is_excluded(path, False, specs):
            return ""
        is_alone = is_video_name(name) and not self.covers(f"{self.name}/{path}")
        return "" if is_alone else other

    def _offered(
        self, relative: str, status: os.stat_result, beside: Listing, companion: str
    ) -> Iterator[Candidate | Failure]:
        uri = f"{self.name}/{relative}"
        folder, _, name = relative.rpartition("/")
        sidecars, unread_ones = beside.sidecars_of(name)
        for each, error in unread_ones.items():
            yield self._failure(posixpath.join(folder, each), error)
        stamp = Stamp(status.st_size, status.st_mtime_ns)
        is_wanted = False
        if sidecars or companion:
            is_json = bool(sidecars) and sidecars[-1].lower().endswith(".json")
            is_wanted = is_json and self._is_wanted(relative)
            here = os.path.join(self.path, folder)
            stamp = with_sidecars(
                stamp, here, name, filter(None, (*sidecars, companion)), is_wanted=is_wanted
            )
        if known := self._libraries.version(relative):
            is_wanted = is_wanted or self._is_wanted(relative)
            stamp = marked(stamp, f"{stamp.mtime_ns}\0{is_wanted}\0{known}")
        if not uri.isascii():
            try:
                uri.encode()
            except UnicodeEncodeError:
                yield Failure(
                    printable(uri), "scan", "bad-name", "The file's name is not valid text",
                    "Rename the file.", stamp,
                )  # fmt: skip
                return
        yield Candidate(
            uri, stamp, status.st_mtime_ns, sidecars, is_wanted=is_wanted, companion=companion
        )

    def _is_wanted(self, relative: str) -> bool:
        """Return whether a file was asked for, by a pattern or as part of a recycle bin.

        A file that is named is not meant: it would be another one for a run that names its folder.
        """
        if self._include is not None and self._include.covers(relative):
            return True
        return self._is_a_bin or not is_reached(
            self.path.as_posix(), posixpath.dirname(relative), is_folder=True
        )

    def _add_included(self, paths: Iterable[str]) -> None:
        """Take included files, and folders that lie in skipped ones, into the walk."""
        for path in paths:
            if is_below(path, self._folders) and files.stays_inside(path):
                kind = kind_at(self.path / path)
                if kind == "file":
                    self._files.add(path)
                elif kind == "folder":
                    self._inner.add(path)

    def _is_skipped(self, name: str, folder: str, tally: Tally) -> bool:
        """Return whether a folder in `folder` is skipped by itself, and count it if so."""
        is_hidden = name[0] == "."
        if not (is_hidden or may_be_skipped(name)):
            return False
        relative = f"{folder}/{name}" if folder else name
        rule = skipped_folder(name, f"{self.path.as_posix()}/{folder}".rstrip("/"))
        if (rule is None and not is_hidden) or relative in self._inner:
            return False
        if self._include is not None and self._include.folder(relative):
            return False
        tally.folder(str(self.path / relative), relative, rule)
        return True

    def _is_included(self, relative: str) -> bool:
        return self._include is not None and self._include.file(relative)

    def _is_excluded(self, relative: str, is_folder: bool, specs: list[Ignored]) -> bool:
        tail = "/" if is_folder else ""
        if self._exclude is not None and self._exclude.match(relative + tail):
            return True
        return is_ignored(relative, specs, is_folder=is_folder)

    def _add_ignore_file(self, folder: str, specs: list[Ignored]) -> Iterator[Failure]:
        """Add the patterns of a folder's ignore file, if it has one, to those of the folders above.

        Yields:
            A failure if some of them are not applied.
        """
        try:
            yield from add_ignore_file(self.name, self.path, folder, specs, self._within)
        except OSError as error:
            yield self._failure(posixpath.join(folder, IGNORE_FILE), error)

    def _unreadable_folder(self, folder: str, error: OSError) -> Failure:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return self._gone_folder(self._topmost_gone(folder))
        failure = self._failure(folder, error)
        # The slash says that everything below it is unknown, so that it is kept.
        return Failure(
            f"{self.name}/{printable(folder)}/",
            "scan",
            failure.reason,
            failure.message,
            failure.advice,
        )

    def _topmost_gone(self, folder: str) -> str:
        """Return the folder that is gone, of one that is gone and those above it."""
        above = posixpath.dirname(folder)
        while above and not (self.path / above).is_dir():
            folder, above = above, posixpath.dirname(above)
        return folder

    def _gone_folder(self, folder: str) -> Failure:
        """Return the failure of all that was to be read below a folder that is gone."""
        now = self._renamed(folder, self.path / folder)
        message = (
            "The folder was moved or deleted during the run"
            if now is None
            else f"The folder was renamed during the run, to {printable(now.name)}"
        )
        return Failure(
            f"{self.name}/{printable(folder)}/", "read", "missing", message,
            "Run again: pixseek index",
        )  # fmt: skip

    def _outside(self, relative: str) -> Failure:
        """Return the failure of a link that leads out of the root; "/" ends the path of a folder.

        It keeps the records that there are: they were indexed when such links were followed.
        """
        return outside(f"{self.name}/{printable(relative)}", self.path)

    def _failure(self, relative: str, error: OSError) -> Failure:
        folder = posixpath.dirname(relative)
        is_gone = isinstance(error, FileNotFoundError | NotADirectoryError)
        if is_gone and folder and not (self.path / folder).is_dir():
            return self._gone_folder(self._topmost_gone(folder))
        return unread(f"{self.name}/{printable(relative)}", error, self.path)
