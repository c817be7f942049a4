"""Files in users' folders: opened, replaced and moved so that they lead nowhere else.

A folder may come from a stranger: a name in it may be a link to another place, a pipe that nobody
writes into, or a device without an end. So everything that reads or writes a file of a user's
folder does it here. Only regular files are opened, no more than a limit is read, and with `within`
the file has to lie in that folder when all links are resolved. That is asked of the file that was
opened, not of its name, so a link that appears in between changes nothing.

All errors are `OSError`, so that one handler serves these and those of the disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

#: A pipe without a writer opens at once, and a terminal does not become that of the process.
_READING = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_CREATING = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
#: How long another program's lease on a file may take to end (Samba has such), in seconds.
_LEASE_S = 5.0

_ON_WINDOWS = os.name == "nt"
#: Where users name the output of their own process, or that of another; and a folder in memory
#: there, whose files are like those of any other.
_STREAMS, _IN_MEMORY = ("/dev/", "/proc/"), "/dev/shm/"
_OWN = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")


class NotRegularError(OSError):
    """It is a pipe, a socket, a device or a folder, where a file is expected."""


class OutsideError(OSError):
    """It lies outside of the folder that it was named in, by a link."""


class TooLargeError(OSError):
    """It has more bytes than may be read."""


def stays_inside(relative: str) -> bool:
    """Return whether a path names something below the folder that it starts from.

    It says nothing about links.

    Args:
        relative: with forward slashes; a part may not be empty, "." or "..".
    """
    parts = relative.split("/")
    if "" in parts or "." in parts or ".." in parts or "\0" in relative:
        return False
    if _ON_WINDOWS:  # which ignores dots and spaces at the end of a name
        return not any(c in relative for c in "\\:") and all(part.rstrip(". ") for part in parts)
    return True


def is_inside(path: str | os.PathLike[str], within: str | os.PathLike[str]) -> bool:
    """Return whether a path lies in a folder when all links are resolved, or is that folder.

    Args:
        path: need not exist.
        within: the folder, resolved.
    """
    return _lies_in(_resolved(path), within)


# ------------------------------------------------------------------ reading


def read(
    path: str | os.PathLike[str], most: int, *, within: str | os.PathLike[str] | None = None
) -> bytes:
    """Return the content of a file.

    Args:
        path: of the file.
        most: bytes that are read at most; a larger file is an error.
        within: the folder that it has to lie in, resolved; None for any place.

    Raises:
        NotRegularError, OutsideError, TooLargeError: see there.
        OSError: it is not there, or can't be read.
    """
    with opened(path, within=within) as file:
        content = _up_to(file, most + 1)
    if len(content) > most:
        raise TooLargeError(errno.EFBIG, f"it has more than {most:,} bytes", os.fspath(path))
    return content


def beginning(
    path: str | os.PathLike[str], count: int, *, within: str | os.PathLike[str] | None = None
) -> bytes:
    """Return the first bytes of a file, at most `count`; see `read`."""
    with opened(path, within=within) as file:
        return _up_to(file, count)


@contextlib.contextmanager
def opened(
    path: str | os.PathLike[str], *, within: str | os.PathLike[str] | None = None
) -> Iterator[int]:
    """Open a regular file for reading inside the block; yield its descriptor.

    Without `within` it may also be a pipe that this process has got, such as /dev/stdin.

    Raises:
        NotRegularError, OutsideError: see there.
        OSError: it is not there, or can't be opened.
    """
    descriptor = _open(path)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            if within is not None or not os.fspath(path).startswith(_OWN):
                raise not_regular(path)
            os.set_blocking(descriptor, True)
        if within is not None and not _lies_in(_place_of(descriptor, path), within):
            raise outside(path)
        yield descriptor
    finally:
        os.close(descriptor)


def _open(path: str | os.PathLike[str]) -> int:
    end = 0.0
    while True:
        try:
            return os.open(path, _READING)
        except BlockingIOError:
            # Another program holds a lease on it, which this attempt has asked it to give up.
            end = end or time.monotonic() + _LEASE_S
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):  # a socket, a device without driver
                raise not_regular(path) from error
            raise


def _up_to(descriptor: int, count: int) -> bytes:
    """Return the first `count` bytes of an open file, or all that it has."""
    size = os.fstat(descriptor).st_size
    found = os.read(descriptor, min(count, size + 1))
    if len(found) in (size, count):
        return found
    parts = [found]  # it has grown, or the system gives it in parts
    while parts[-1] and (left := count - sum(map(len, parts))) > 0:
        parts.append(os.read(descriptor, min(left, 1 << 20)))
    return b"".join(parts)


# ------------------------------------------------------------------ writing


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike[str],
    *,
    within: str | os.PathLike[str] | None = None,
    sync: bool = True,
) -> Iterator[BinaryIO]:
    """Write a file inside the block; it appears under its name when the block ends without error.

    Until then it has a random name that did not exist before. A file that is replaced passes on
    its mode. Without `within` a link of this name is replaced, never what it leads to; what lies
    in /dev or /proc, such as /dev/stdout, is written itself.

    Args:
        path: of the file.
        within: the folder, resolved, in which a link of this name may lead to the file to
            replace, and which the file has to lie in.
        sync: whether what was written has to be on the disk when the block ends.

    Yields:
        The file, for reading and writing.

    Raises:
        NotRegularError, OutsideError: see there.
        OSError: it can't be written.
    """
    if within is None and _is_stream(path):
        with open(path, "wb") as stream:
            yield stream
        return
    target = Path(os.path.realpath(path) if within is not None else os.path.abspath(path))
    with _folder(target.parent) as folder:
        if within is not None and not _lies_in(_place_of(folder, target.parent), within):
            raise outside(path)
        at = target if folder is None else Path(target.name)
        mode = _mode_of(at, folder)
        unfinished = at.with_name(f".pixseek-{os.urandom(8).hex()}.tmp")
        descriptor = os.open(unfinished, _CREATING, 0o666 if mode is None else 0o600, dir_fd=folder)
        try:
            with open(descriptor, "w+b") as file:
                yield file
                file.flush()
                if mode is not None and hasattr(os, "fchmod"):
                    with contextlib.suppress(PermissionError):  # file systems without modes
                        os.fchmod(descriptor, mode)
                if sync:
                    os.fsync(descriptor)
            os.replace(unfinished, at, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(unfinished, dir_fd=folder)
            raise


def move(path: Path, target: Path, *, into: Path) -> None:
    """Move a file to another place, making the folders that it needs.

    Args:
        path: of the file.
        target: its new path, below `into`.
        into: a folder; made if it is not there.

    Raises:
        FileExistsError: something is there already.
        NotADirectoryError: `into`, or what `target` would lie in, is not a folder.
        OutsideError: a link leads out of `into`.
        OSError: it can't be moved.
    """
    _make_folder(into)
    there = target.parent
    while not os.path.lexists(there):
        there = there.parent
    if not is_inside(there, os.path.realpath(into)):
        raise outside(target)
    _make_folder(target.parent)
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target))
    try:
        os.rename(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(path, target)
        os.unlink(path)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it; what is there has to be a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        not_a_folder = errno.ENOTDIR
        raise NotADirectoryError(not_a_folder, os.strerror(not_a_folder), str(folder)) from error


def _copy(path: Path, target: Path) -> None:
    """Copy a file with its times and mode to another file system."""
    import shutil

    with (
        opened(path) as descriptor,
        open(descriptor, "rb", closefd=False) as content,
        replacing(target) as file,
    ):
        shutil.copyfileobj(content, file, 1 << 20)
    shutil.copystat(path, target)


def check_replaceable(path: str | os.PathLike[str]) -> None:
    """Check that a file can be written by `replacing`, without a trace.

    Raises:
        NotRegularError: see there.
        OSError: it can't be written.
    """
    if _is_stream(path):
        return
    # By doing it: permissions alone say too little on network drives and for root.
    with contextlib.suppress(_UndoneError), replacing(path):
        if os.path.isfile(path) and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        raise _UndoneError


class _UndoneError(Exception):
    """Ends `replacing` without replacing anything."""


def _mode_of(path: Path, folder: int | None) -> int | None:
    """Return the mode of the file that is to be replaced; None if there is none."""
    try:
        found = os.stat(path, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        return None
    if not stat.S_ISREG(found.st_mode):
        raise not_regular(path)
    return stat.S_IMODE(found.st_mode)


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int | None]:
    """Open a folder inside the block, so that it stays the same; None where systems can't."""
    if os.open not in os.supports_dir_fd:
        yield None
        return
    # With O_PATH, folders that may be written and not listed can be opened too.
    how = getattr(os, "O_PATH", os.O_RDONLY)
    descriptor = os.open(path, how | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


# ------------------------------------------------------------------ where a file lies


def _is_stream(path: str | os.PathLike[str]) -> bool:
    """Return whether users name the output of a process by a path, and no file."""
    name = os.fspath(path)
    named = name.startswith(_STREAMS) and not name.startswith(_IN_MEMORY)
    return named and os.path.exists(path) and not os.path.isfile(path)


def _place_of(descriptor: int | None, path: str | os.PathLike[str]) -> str:
    """Return the path of what is open, with all links resolved."""
    if descriptor is None:
        return os.path.realpath(path)
    if sys.platform == "linux":
        # One call without a look at the disk; links are resolved since it was opened.
        with contextlib.suppress(OSError):
            found = os.readlink(f"/proc/self/fd/{descriptor}")
            if found.startswith("/") and not found.endswith(" (deleted)"):
                return found
    elif sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):
            raw: bytes = fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024))
            return os.fsdecode(raw.partition(b"\0")[0])
    found = os.path.realpath(path)
    if not os.path.samestat(os.stat(found), os.fstat(descriptor)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    return found


def _resolved(path: str | os.PathLike[str]) -> str:
    """Return a path with all links resolved; it need not exist."""
    if sys.platform == "linux":
        # In a fourth of the time that looking at each part of a path takes; nothing is opened.
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                return _place_of(descriptor, path)
            finally:
                os.close(descriptor)
    return os.path.realpath(path)


def _lies_in(place: str, within: str | os.PathLike[str]) -> bool:
    """Return whether a resolved path is that of a folder, or of something below it."""
    top = os.fspath(within)
    if place == top or place.startswith(os.path.join(top, "")):
        return True
    # Two names may mean one folder: without case, in another normal form, mounted twice.
    try:
        wanted = os.stat(top)
    except OSError:
        return False
    for above in (Path(place), *Path(place).parents):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(above), wanted):
                return True
    return False


def not_regular(path: str | os.PathLike[str]) -> NotRegularError:
    """Return the error of a path that is not a regular file."""
    return NotRegularError(
        errno.EINVAL, "it is a folder, a pipe, a socket or a device", os.fspath(path)
    )


def outside(path: str | os.PathLike[str]) -> OutsideError:
    """Return the error of a path that a link leads out of its folder."""
    return OutsideError(errno.EXDEV, "a link in it leads out of its folder", os.fspath(path))
