"""Folders and single files, found by walking them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.errors import ConfigError, ImageError, SourceVanishedError
from pixseek.images import EXTENSIONS, MAX_BYTES
from pixseek.metadata.sidecars import sidecar_names
from pixseek.types import Candidate, Failure, Scan, Stamp

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

#: File that names what to pass over, in any folder, in the syntax of .gitignore.
IGNORE_FILE = ".pixseekignore"

# Folders and files that systems and devices leave behind (besides all whose names begin with a
# dot): Synology's thumbnails, Windows' recycle bin and caches, macOS' archive twins.
_JUNK = frozenset(
    {
        "@eadir",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "system volume information",
        "__macosx",
        "lost+found",
        "lost.dir",
        "thumbs.db",
        "desktop.ini",
    }
)

_SIDECAR_ENDINGS = (".xmp", ".txt", ".json")

# More than any sidecar that is worth reading; XMP with edits of a long history takes a megabyte.
_MAX_SIDECAR_BYTES = 4 << 20

# The device is gone, or it no longer answers.
_DEVICE_ERRORS = frozenset({errno.ENODEV, errno.ENXIO, errno.EIO, errno.ESTALE, errno.EHOSTDOWN})


class FolderSource:
    """A root folder, or some folders and files below it.

    Attributes:
        name: of the root; the first part of its URIs.
        path: where the root is now.
        prefixes: see `Source`.
    """

    def __init__(
        self, name: str, path: Path, scopes: Iterable[str] = ("",), exclude: Iterable[str] = ()
    ) -> None:
        """Describe what to scan; nothing is read yet.

        Args:
            name: of the root.
            path: of the root.
            scopes: relative paths, with forward slashes, of what to scan; "" for everything.
            exclude: patterns of what to pass over, in the syntax of .gitignore.

        Raises:
            ConfigError: a pattern can't be understood.
        """
        self.name = name
        self.path = path
        scopes = sorted(set(scopes))
        self._scopes = [s for s in scopes if not any(s != o and _inside(s, o) for o in scopes)]
        self._files = {f"{name}/{s}" for s in self._scopes if s and (path / s).is_file()}
        self.prefixes = tuple(
            f"{name}/{s}" if f"{name}/{s}" in self._files else f"{name}/{s}/" if s else f"{name}/"
            for s in self._scopes
        )
        self._exclude = _spec(exclude) if exclude else None
        self._device: int | None = None

    def covers(self, uri: str) -> bool:
        """Return whether a scan settles if there is such a file."""
        return any(
            uri == prefix if prefix in self._files else uri.startswith(prefix)
            for prefix in self.prefixes
        )

    def scan(self) -> Iterator[int | Scan]:
        """Yield the number of files looked at so far, now and then; last, the `Scan`.

        Hidden files, what systems leave behind, and what the patterns name are passed over;
        links are followed, each folder once.

        Raises:
            SourceVanishedError: the root is gone, or went away during the scan.
        """
        self._device = self._device_now()
        scan = Scan([], [], 0)
        ignored = looked_at = 0
        seen: set[tuple[int, int]] = set()
        stack: list[tuple[str, list[tuple[str, GitIgnoreSpec]]]] = []
        for scope in reversed(self._scopes):
            if f"{self.name}/{scope}" in self._files:
                # A file that was named is taken whatever its name.
                beside = self._sidecars_in(os.listdir((self.path / scope).parent))
                self._offer(scope, os.stat(self.path / scope), scan, beside)
                looked_at += 1
            else:
                stack.append((scope, self._ignore_files_above(scope)))
        while stack:
            folder, specs = stack.pop()
            try:
                with os.scandir(self.path / folder if folder else self.path) as entries:
                    listing = sorted(entries, key=lambda entry: entry.name)
                here = os.stat(self.path / folder)
            except OSError as error:
                self.check_there(error)
                scan.failures.append(self._unreadable_folder(folder, error))
                continue
            if (here.st_dev, here.st_ino) in seen and here.st_ino:
                continue
            seen.add((here.st_dev, here.st_ino))
            if any(entry.name == IGNORE_FILE for entry in listing):
                specs = [*specs, *self._ignore_file(folder)]
            below: list[str] = []
            beside = self._sidecars_in(entry.name for entry in listing)
            for entry in listing:
                name = entry.name
                if name[0] == "." or name.lower() in _JUNK:
                    continue
                relative = f"{folder}/{name}" if folder else name
                try:
                    is_folder = entry.is_dir()
                    if self._passed_over(relative, is_folder, specs):
                        continue
                    if is_folder:
                        below.append(relative)
                        continue
                    looked_at += 1
                    if os.path.splitext(name)[1].lower() not in EXTENSIONS:
                        ignored += 1
                        continue
                    if not entry.is_file():
                        continue  # a socket, a pipe, a link to nothing
                    self._offer(relative, entry.stat(), scan, beside)
                except OSError as error:
                    scan.failures.append(self._failure(relative, error))
            stack.extend((path, specs) for path in reversed(below))
            yield looked_at
        self.check_there()
        yield Scan(scan.candidates, scan.failures, ignored)

    def read(self, candidate: Candidate) -> bytes:
        """Return the content of a file of this source; see `Source.read`."""
        relative = candidate.uri[len(self.name) + 1 :]
        if candidate.stamp.size > MAX_BYTES:
            raise ImageError(
                "too-large",
                f"The file is too large ({candidate.stamp.size // 1_000_000} MB)",
                advice=f"Files up to {MAX_BYTES // 1_000_000} MB are read.",
            )
        try:
            with open(self.path / relative, "rb") as file:
                return file.read(MAX_BYTES)
        except OSError as error:
            self.check_there(error)
            failure = self._failure(relative, error)
            raise ImageError(failure.reason, failure.message, advice=failure.advice) from error

    def read_sidecars(self, candidate: Candidate) -> list[tuple[str, bytes]]:
        """Return the sidecars of a file of this source; see `Source.read_sidecars`."""
        folder = (self.path / candidate.uri[len(self.name) + 1 :]).parent
        found = []
        for name in candidate.sidecars:
            try:
                with open(folder / name, "rb") as file:
                    found.append((name, file.read(_MAX_SIDECAR_BYTES)))
            except OSError:
                continue  # it went away, or may not be read: the image is indexed without
        return found

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

    def _vanished(self) -> SourceVanishedError:
        return SourceVanishedError(
            "The folder is gone (is its drive plugged in?)",
            self.path,
            "Nothing of it was removed from the library. Bring it back and run again; if it has "
            f"moved, index its new place; to forget it: pixseek remove --root {self.name}",
        )

    @staticmethod
    def _sidecars_in(names: Iterable[str]) -> frozenset[str]:
        """Return which files of a folder may be sidecars, so that most folders cost nothing."""
        return frozenset(name for name in names if name.lower().endswith(_SIDECAR_ENDINGS))

    def _offer(
        self, relative: str, status: os.stat_result, scan: Scan, beside: frozenset[str]
    ) -> None:
        uri = f"{self.name}/{relative}"
        folder, _, name = relative.rpartition("/")
        sidecars = tuple(sidecar_names(name, beside)) if beside else ()
        newest = status.st_mtime_ns
        for sidecar in sidecars:
            newest = max(newest, os.stat(self.path / folder / sidecar).st_mtime_ns)
        # A nanosecond for each, so that one that is older than the image is noticed too.
        stamp = Stamp(status.st_size, newest + len(sidecars))
        if not uri.isascii():
            try:
                uri.encode()
            except UnicodeEncodeError:
                scan.failures.append(
                    Failure(
                        _printable(uri),
                        "scan",
                        "bad-name",
                        "The file's name is not valid text",
                        "Rename the file.",
                        stamp,
                    )
                )
                return
        scan.candidates.append(Candidate(uri, stamp, status.st_mtime_ns, sidecars))

    def _passed_over(
        self, relative: str, is_folder: bool, specs: list[tuple[str, GitIgnoreSpec]]
    ) -> bool:
        tail = "/" if is_folder else ""
        if self._exclude is not None and self._exclude.match_file(relative + tail):
            return True
        for base, spec in specs:
            below = relative[len(base) + 1 :] if base else relative
            if spec.match_file(below + tail):
                return True
        return False

    def _ignore_files_above(self, scope: str) -> list[tuple[str, GitIgnoreSpec]]:
        """Return what the ignore files of the folders above `scope` say."""
        parts = scope.split("/")[:-1] if scope else []
        folders = ["/".join(parts[:n]) for n in range(len(parts) + 1)] if scope else []
        return [rule for folder in folders for rule in self._ignore_file(folder)]

    def _ignore_file(self, folder: str) -> list[tuple[str, GitIgnoreSpec]]:
        try:
            text = (self.path / folder / IGNORE_FILE).read_text("utf-8", errors="replace")
        except OSError:
            return []
        return [(folder, _spec(text.splitlines()))]

    def _unreadable_folder(self, folder: str, error: OSError) -> Failure:
        failure = self._failure(folder, error)
        # The slash says that everything below it is unknown, so that it is kept.
        return Failure(
            f"{self.name}/{_printable(folder)}/",
            "scan",
            failure.reason,
            failure.message,
            failure.advice,
        )

    def _failure(self, relative: str, error: OSError) -> Failure:
        if isinstance(error, PermissionError):
            reason, message = "no-permission", "It may not be read by this user"
            advice = "Change its permissions and run again."
        elif isinstance(error, FileNotFoundError):
            reason, message, advice = "missing", "It went away during the run", "Run again."
        else:
            reason, message = "unreadable", f"It can't be read ({error.strerror or error})"
            advice = "Check the disk, then run again with --retry."
        return Failure(f"{self.name}/{_printable(relative)}", "read", reason, message, advice)


def _inside(path: str, folder: str) -> bool:
    return folder in ("", path) or path.startswith(folder + "/")


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _spec(lines: Iterable[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    lines = list(lines)
    try:
        return GitIgnoreSpec.from_lines(lines)
    except Exception as error:  # pathspec raises its own kinds
        raise ConfigError(
            "A pattern can't be understood",
            ", ".join(lines),
            "Patterns follow the syntax of .gitignore, such as 'Screenshots/' or '*.gif'.",
        ) from error
