"""What SQLite and the system raise about a library's files, translated once.

Used by everything that keeps a file of a library: the embedded engine, the ledger, the previews.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from pixseek.errors import (
    LibraryError,
    LibraryFormatError,
    LibraryLockedError,
    PixseekError,
    StorageError,
)


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system raise into the errors of pixseek."""
    try:
        yield
    except PixseekError:
        raise
    except sqlite3.Error as error:
        raise _translate_sqlite(error, path) from error
    except OSError as error:
        raise _translate_system(error, path.parent) from error


def _translate_sqlite(error: sqlite3.Error, path: Path) -> PixseekError:
    code = getattr(error, "sqlite_errorcode", None)
    folder = path.parent
    if code is None:
        if "closed" in str(error):
            return closed(folder)
        return LibraryError("the library's database refused", path, str(error))
    match code & 0xFF:  # the rest says more closely what happened
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return LibraryLockedError(
                "another process is writing to the library",
                folder,
                "Wait until it has finished, or stop it; then run this again.",
            )
        case sqlite3.SQLITE_FULL:
            return _full(folder)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return not_writable(folder)
        case sqlite3.SQLITE_CANTOPEN:
            return StorageError(
                "the library's database can't be opened",
                path,
                "Check that you may read it and write to its folder. If the folder is read-only, "
                "open the library once where it can be written to.",
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return LibraryFormatError(
                "the library's database is damaged, or is none",
                path,
                "Restore it from a backup, or delete the library's folder and index again.",
            )
        case sqlite3.SQLITE_IOERR if code in {
            sqlite3.SQLITE_IOERR_WRITE,  # a limit of the file's size, too
            sqlite3.SQLITE_IOERR_SHMSIZE,
        }:
            return _full(folder, "disk full or failing")
        case sqlite3.SQLITE_IOERR:
            return StorageError(
                "the disk failed to read or write the library's database",
                path,
                "Check that the disk is connected, healthy and not full.",
            )
    return LibraryError("the library's database refused", path, str(error))


def _translate_system(error: OSError, folder: Path) -> PixseekError:
    if error.errno in {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}:
        return _full(folder)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return not_writable(error.filename or folder)
    if isinstance(error, FileNotFoundError):
        return LibraryFormatError(
            "a file of the library is missing",
            error.filename or folder,
            "Restore it from a backup, or delete the library's folder and index again.",
        )
    return StorageError("the disk failed", error.filename or folder, error.strerror or str(error))


def _full(folder: Path, problem: str = "disk full") -> StorageError:
    return StorageError(
        problem,
        folder,
        "Nothing of this write was kept. Free some space, then run this again; it goes on where "
        "it stopped.",
    )


def not_writable(folder: object) -> StorageError:
    """Return the error for a library that may not be written."""
    return StorageError(
        "the library can't be written to",
        folder,
        "It is read-only here. Change its permissions, or choose another place with --library.",
    )


def closed(folder: object) -> LibraryError:
    """Return the error for the use of a library after its end."""
    return LibraryError("the library was closed", folder, "Open it again.")
