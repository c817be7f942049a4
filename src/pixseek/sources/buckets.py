"""Folders in buckets and on other servers: S3, Google Cloud, Azure, SFTP, Hugging Face, the web.

They are listed and compared as folders of this machine are. What a listing says of a file (size,
time, ETag or checksum) tells whether it changed, so a second run costs the listing alone.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import posixpath
import shlex
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from pixseek import files
from pixseek.errors import ImageError, SourceError, SourceVanishedError
from pixseek.images import EXTENSIONS, MAX_BYTES
from pixseek.redaction import redacted
from pixseek.sources import patterns
from pixseek.sources.ahead import Ahead
from pixseek.sources.choosing import Beside, Choice, harmless, path_of
from pixseek.sources.patterns import Included
from pixseek.sources.remote_files import (
    SERVICES,
    Entry,
    Network,
    RemoteFiles,
    check,
    folder_and_name,
    is_remote,
    joined,
    scheme_of,
)
from pixseek.sources.remote_listing import Unlisted, by_folder
from pixseek.sources.shards import BESIDE_SHARDS
from pixseek.sources.skipping import Tally
from pixseek.types import Candidate, Failure, Item, Recognised, Root, Skipped, Stamp

#: Bytes of a sidecar, as in a folder.
_MAX_SIDECAR_BYTES = 4 << 20
#: Files that are looked at at once where listings do not say how large they are.
_AT_ONCE = 16


def recognised(given: str) -> Recognised | None:
    """Return what an address is: a folder or an image in a bucket or on a server; None for others.

    On the web only what ends in "/" is a folder.

    Raises:
        SourceError: it has a password in it.
    """
    if not is_remote(given):
        return None
    is_web = scheme_of(given) in ("http", "https")
    if is_web and not given.endswith("/"):
        return None
    check(given)
    where = given.rstrip("/")
    folder, name = folder_and_name(where)
    if not is_web and os.path.splitext(name)[1].lower() in EXTENSIONS:
        return Recognised("remote", folder, _name_of(folder), scope=name)
    return Recognised("remote", where, _name_of(where))


def _name_of(address: str) -> str:
    parts = urlsplit(address)
    path = posixpath.basename(unquote(parts.path).strip("/"))
    return path or parts.netloc.partition("@")[0].partition(":")[0] or parts.scheme


def opened(root: Root) -> BucketSource:
    """Return the source of a root of kind "remote"."""
    return BucketSource(root.name, root.where, root.scopes, root.exclude, root.include)


class BucketSource:
    """The images below an address; see `Source`, `Opening` and `Remote`.

    Attributes:
        name: of the root; the first part of its URIs.
        prefixes: see `Source`.
    """

    def __init__(
        self,
        name: str,
        address: str,
        scopes: Iterable[str] = ("",),
        exclude: Collection[str] = (),
        include: Collection[str] = (),
        network: Network | None = None,
    ) -> None:
        """Describe what to read; nothing is connected yet.

        Args:
            name: of the root.
            address: of the folder.
            scopes: paths below it of what to scan; "" for everything.
            exclude: patterns of what to skip, in the syntax of .gitignore.
            include: patterns of what to index although it would be skipped by itself.
            network: what may be connected to; None to let `permit` say it.

        Raises:
            ConfigError: a pattern can't be understood.
            SourceError: the address has a secret in it.
        """
        self.name, self._address = name, address
        self._network = network or Network()
        self._files = RemoteFiles(address, self._network)
        self._scopes = ("",) if "" in scopes else tuple(dict.fromkeys(scopes))
        self.prefixes: tuple[str, ...] = tuple(
            f"{name}/{scope}{'/' if scope and not _is_image(scope) else ''}"
            for scope in self._scopes
        )
        self._exclude = patterns.compiled(exclude) if exclude else None
        self._include = Included(include) if include else None
        self._ahead = Ahead(self.fetch)

    # ---------------------------------------------------------------- what is there

    def check(self) -> Recognised | None:
        """Look whether the folder is there, before it becomes part of a library.

        Returns:
            What it holds instead of images, as far as its first page tells: shards with nothing
            but what lies next to them, or a data set in Parquet; None for a folder of images.

        Raises:
            SourceVanishedError: it is not there, or may not be read.
            MissingExtraError: the package for it is not installed.
        """
        try:
            with contextlib.suppress(IsADirectoryError):
                self._files.info()
            names = self._first_names()
        except OSError as error:
            raise self._gone(error) from error
        lower = [each.lower() for each in names]
        is_alone = self._files.has_pages and all(
            each.endswith((".tar", *BESIDE_SHARDS)) and "/" not in each for each in lower
        )
        if is_alone and any(each.endswith(".tar") for each in lower):
            return Recognised("archive", f"{self._address}/*.tar", _name_of(self._address))
        if not any(map(_is_image, names)):
            from pixseek.sources.parquet_shards import in_parquet, parquet_of

            inside = (each[5:] for each in names if each.startswith("data/"))
            if parquet_of(names) or parquet_of(inside):
                return in_parquet(self._address)
        return None

    def _first_names(self) -> list[str]:
        """Return the paths of the first files; where lists have no pages, only some."""
        if self._files.has_pages:
            first = next(self._files.pages(), [])
            return [] if isinstance(first, Unlisted) else [each.path for each in first]
        # All would be much: those in the two folders where a data set has its files.
        return [path for folder in ("", "data") for path in self._paths_in(folder)]

    def _paths_in(self, folder: str) -> list[str]:
        return [each.path for each in self.files_in(folder).values()]

    def info(self, path: str) -> Entry:
        """Return what its server says of a file; see `RemoteFiles.info`."""
        return self._files.info(path)

    def files_in(self, folder: str) -> dict[str, Entry]:
        """Return the files that lie in a folder itself, by their names; none if it is not there.

        Raises:
            OSError: it can't be listed.
        """
        try:
            found = self._files.files_in(folder)
        except FileNotFoundError:
            return {}
        return {posixpath.basename(each.path): each for each in found}

    def covers(self, uri: str) -> bool:
        """Return whether a scan settles if there is such a file."""
        return uri.startswith(self.prefixes)

    def scan(self) -> Iterator[Candidate | Failure | Skipped | int]:
        """Yield candidates, failures, counts and what was skipped; see `Source.scan`.

        Hidden files, recycle bins, and what the patterns name are skipped as in a folder. What is
        held is a folder's listing at a time.

        Raises:
            SourceVanishedError: it is not there, or can't be reached.
            SourceError: it may not be listed.
        """
        looked_at = 0
        tally = Tally(self.name)
        place = urlsplit(self._address)
        above = f"/{place.netloc}{place.path}".rstrip("/")
        choice = Choice(above, "", self._exclude, self._include, tally)
        for scope, only in self._parts():
            try:
                groups = self._files_of(scope) if only else self._files.pages(scope)
                for folder, found in by_folder(groups):
                    if isinstance(found, Unlisted):
                        looked_at += 1
                        yield self._failure(f"{folder}/", found.error, "scan")
                        continue
                    looked_at += len(found)
                    yield from self._offered(found, choice, only)
                    yield looked_at
            except OSError as error:
                raise self._gone(error) from error
        if not looked_at:
            raise self._gone(FileNotFoundError())
        choice.finish()
        yield from tally.found()

    def _parts(self) -> Iterator[tuple[str, frozenset[str]]]:
        """Yield folders to look at, each with the paths of the images that are meant; () for all.

        Images that were named one by one are looked for together: one list for each folder.
        """
        named: dict[str, set[str]] = {}
        for scope in self._scopes:
            if _is_image(scope):
                named.setdefault(posixpath.dirname(scope), set()).add(scope)
            else:
                yield scope, frozenset()
        for folder, paths in named.items():
            yield folder, frozenset(paths)

    def _files_of(self, folder: str) -> Iterator[list[Entry] | Unlisted]:
        """Yield the files that lie in a folder itself."""
        try:
            yield self._files.files_in(folder)
        except FileNotFoundError:
            if self._files.has_folders:
                raise

    def _offered(
        self, found: list[Entry], choice: Choice, only: frozenset[str]
    ) -> Iterator[Candidate | Failure]:
        entries: dict[str, Entry] = {}
        for entry in found:
            if path_of(entry.path) == entry.path:
                entries[posixpath.basename(entry.path)] = entry
            elif _is_image(entry.path):
                yield Failure(
                    f"{self.name}/{harmless(entry.path)}", "scan", "bad-name",
                    "Its name has empty parts, or parts that lead elsewhere",
                    "Rename it in the bucket.",
                )  # fmt: skip
        beside = Beside(entries, is_sample=False)
        chosen: dict[str, tuple[str, ...]] = {}
        for name, entry in entries.items():
            if only and entry.path not in only:
                continue
            if choice.takes(entry.path):
                chosen[name] = beside.of(name)
            else:
                choice.count(entry.path)
        wanted = {*chosen, *itertools.chain.from_iterable(chosen.values())}
        unknown = [name for name in sorted(wanted) if entries[name].size < 0]
        faults: dict[str, OSError] = {}
        for name, known in self._looked_at(entries[name].path for name in unknown):
            if isinstance(known, Entry):
                entries[name] = known
            else:
                wanted.discard(name)
                if name in chosen or not isinstance(known, FileNotFoundError):
                    faults[name] = known
        for name, sidecars in chosen.items():
            entry, failed = entries[name], [each for each in (name, *sidecars) if each in faults]
            if failed:
                of = "" if failed[0] == name else failed[0]
                yield self._failure(entry.path, faults[failed[0]], "scan", of)
                continue
            there = tuple(
                each for each in sidecars
                if each in wanted and entries[each].size <= _MAX_SIDECAR_BYTES
            )  # fmt: skip
            versions = (f"{each}\0{entries[each].version}" for each in there)
            yield Candidate(
                f"{self.name}/{entry.path}", Stamp(max(0, entry.size), entry.modified_ns),
                entry.modified_ns, there, "\0\0".join((entry.version, *versions)),
            )  # fmt: skip

    def _looked_at(self, paths: Iterable[str]) -> Iterator[tuple[str, Entry | OSError]]:
        """Yield names with what is known of the files, for listings that have names alone."""

        def look(path: str) -> tuple[str, Entry | OSError]:
            try:
                return posixpath.basename(path), self._files.info(path)
            except OSError as error:
                return posixpath.basename(path), error

        paths = list(paths)
        if paths:
            with ThreadPoolExecutor(_AT_ONCE, "pixseek-looking") as pool:
                yield from pool.map(look, paths)

    # ---------------------------------------------------------------- content

    def permit(self, *, private: bool, offline: bool) -> None:
        """Say what may be connected to; see `Remote.permit`."""
        self._network.private, self._network.offline = private, offline

    def expect(self, candidates: Iterable[Candidate]) -> None:
        """Take which candidates will be read; see `Remote.expect`."""
        self._ahead.expect(candidates)
        if candidates == ():
            self._files.close()

    def read(self, candidate: Candidate) -> Item:
        """Return the content of a file and its sidecars; see `Source.read`."""
        return self._ahead.take(candidate)

    def fetch(self, candidate: Candidate) -> Item:
        """Return what `read` does, without having read it ahead."""
        path = candidate.uri[len(self.name) + 1 :]
        if candidate.stamp.size > MAX_BYTES:
            raise ImageError(
                "too-large", f"The file is too large ({candidate.stamp.size // 1_000_000} MB)",
                candidate.uri, f"Files up to {MAX_BYTES // 1_000_000} MB are read.",
            )  # fmt: skip
        try:
            content = self._files.read(path, MAX_BYTES)
        except OSError as error:
            self._blame(path, error)
        folder = posixpath.dirname(path)
        sidecars = []
        for name in candidate.sidecars:
            try:
                beside = self._files.read(joined((folder, name)), _MAX_SIDECAR_BYTES)
            except (FileNotFoundError, files.TooLargeError):
                continue  # the image is indexed without; the next listing tells
            except OSError as error:
                # Without it, its caption and tags would be gone from the record until it changes.
                self._blame(path, error, name)
            sidecars.append((name, beside))
        return Item(content, tuple(sidecars))

    def open(self, uri: str) -> bytes:
        """Return the content of a file; see `Opening.open`."""
        return self._files.read(uri[len(self.name) + 1 :], MAX_BYTES)

    def holds(self, uri: str) -> bool | None:
        """Return whether there is such a file now; see `Opening.holds`."""
        try:
            self._files.info(uri[len(self.name) + 1 :])
        except FileNotFoundError:
            return False
        except OSError:
            return None
        return True

    def place(self, uri: str) -> Path | None:
        """Return None: it is not on this machine; see `Opening.place`."""
        return None

    # ---------------------------------------------------------------- failures

    def _blame(self, path: str, error: OSError, of: str = "") -> NoReturn:
        """Raise what is said of a file that can't be read, or of whose sidecar can't be."""
        if isinstance(error, ConnectionError):
            try:  # of a server that is gone, one error is enough
                self._files.names()
            except (ConnectionError, TimeoutError):
                raise self._gone(error) from error
            except OSError:
                pass
        found = self._failure(path, error, "read", of)
        raise ImageError(found.reason, found.message, found.uri, found.advice) from error

    def _failure(self, path: str, error: OSError, stage: str, of: str = "") -> Failure:
        return unread(f"{self.name}/{harmless(path)}", error, self._address, stage=stage, of=of)

    def _gone(self, error: OSError) -> SourceError:
        return gone(self.name, self._address, error)


def gone(root: str, address: str, error: OSError) -> SourceVanishedError:
    """Return the error of a root whose address can't be read now.

    Args:
        root: its name.
        address: of a folder or a file.
        error: of the request.
    """
    kept, shown = "Nothing of it was removed from the library.", redacted(address)
    if isinstance(error, FileNotFoundError):
        return SourceVanishedError(
            "There is nothing at this address", shown,
            f"{kept} Check the address; to forget it: pixseek remove --root {shlex.quote(root)}",
        )  # fmt: skip
    if isinstance(error, PermissionError):
        return SourceVanishedError(
            f"It may not be read ({error.strerror})", shown,
            f"{kept} {SERVICES[scheme_of(address)].signing_in}",
        )  # fmt: skip
    return SourceVanishedError(
        f"It can't be read ({error.strerror or error})", shown,
        f"{kept} Check the network and the address, then run again: pixseek index",
    )  # fmt: skip


def unread(uri: str, error: OSError, address: str, *, stage: str = "read", of: str = "") -> Failure:
    """Return the failure of a file on a server, or of a folder whose URI ends in "/".

    `of` names the sidecar that it is the failure of, if it is.
    """
    signing_in = SERVICES[scheme_of(address)].signing_in
    said = error.strerror or str(error)
    said = f"{harmless(of)}: {said}" if of else said
    reason, message, advice = "unreadable", f"It can't be read ({said})", "Run again: pixseek index"
    if isinstance(error, files.TooLargeError):
        reason, message = "too-large", f"The file is too large ({said})"
        advice = "Make it smaller, or skip it with --exclude."
    elif isinstance(error, PermissionError):
        reason, message = "no-permission", f"It may not be read ({said})"
        advice = f"Ask its owner. {signing_in}"
    elif isinstance(error, FileNotFoundError):
        reason, message = "missing", "The file was renamed, moved or deleted during the run"
    elif isinstance(error, TimeoutError):
        reason, message = "timeout", "Its server did not answer in time"
    elif isinstance(error, ConnectionError):
        reason, message = "unreachable", f"Its server can't be reached ({said})"
    return Failure(uri, "scan" if stage == "scan" else "read", reason, message, advice)


def _is_image(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in EXTENSIONS
