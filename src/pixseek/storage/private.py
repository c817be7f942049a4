"""Who may read the files of a library: each file and folder is as private as the folder it is in.

A library's folder is made for its owner alone, so everything in it is too, whatever the umask. The
owner may open it to others with `chmod`, and files made later follow. A portable library has the
modes of the photos it lies next to. Systems without modes ignore all of this.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

#: For their owner alone: of folders and of files.
FOLDER, FILE = 0o700, 0o600

_CREATING = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def mode_in(folder: Path) -> int:
    """Return the mode of new files in a folder; the umask may still make it narrower."""
    try:
        return os.stat(folder).st_mode & 0o666 | FILE
    except OSError:
        return FILE


def make_folder(folder: Path, mode: int | None = None) -> None:
    """Make a folder if it is missing, and those above it as usual.

    Args:
        folder: to make.
        mode: of it; None for that of the folder that it is made in.

    Raises:
        OSError: it can't be made.
    """
    if not os.path.isdir(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if mode is None:
            mode = os.stat(folder.parent).st_mode & 0o777 | FOLDER
        with contextlib.suppress(FileExistsError):  # another process has made it
            os.mkdir(folder, mode)


def make_file(path: Path) -> None:
    """Make an empty file if there is none, with the mode of files in its folder.

    SQLite then writes into it, and gives its mode to the files that it makes next to it. If it
    can't be made, SQLite says why when it opens it.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(path, _CREATING, mode_in(path.parent)))


def narrow(path: Path) -> None:
    """Give a file that another package has made the mode of files in its folder."""
    with contextlib.suppress(OSError):
        mode = mode_in(path.parent)
        if os.stat(path).st_mode & 0o777 & ~mode:
            os.chmod(path, os.stat(path).st_mode & mode)


def is_open_to_others(folder: Path) -> bool:
    """Return whether a folder of this user may be read or entered by others."""
    if os.name == "nt":
        return False
    try:
        found = os.stat(folder)
    except OSError:
        return False
    return bool(found.st_mode & 0o077) and found.st_uid == os.geteuid()


def close_to_others(folder: Path, *, whole: bool = True) -> None:
    """Take all rights to a folder from others, and to what is in it if `whole`.

    Links are left alone. What can't be changed stays as it is: some file systems have no modes.
    """
    for place, _, names in os.walk(folder):
        with contextlib.suppress(OSError):
            os.chmod(place, FOLDER)
        if not whole:
            return
        for name in names:
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):
                if not os.path.islink(path):
                    os.chmod(path, FILE)
