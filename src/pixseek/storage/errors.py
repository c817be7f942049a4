"""What SQLite and the system raise about a library's files, in the words of pixseek.

Used by everything that keeps a file of a library: the embedded engine, the ledger, the previews.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pixseek.errors import (
    LibraryError,
    LibraryFormatError,
    LibraryLockedError,
    PixseekError,
    StorageError,
)

#: What SQLite says when a function in Python that it has called raised something.
_CALLED = "user-defined function raised exception"


class _Meaning(NamedTuple):
    """What an error code means.

    Attributes:
        error: the class to raise.
        problem: what failed.
        advice: what to do; "" for what SQLite or the system said.
        on: what it failed on: the file, or its folder.
    """

    error: type[PixseekError]
    problem: str
    advice: str
    on: str = "folder"


_FULL = _Meaning(
    StorageError,
    "disk full",
    "Nothing of this write was kept. Free some space, then run this again; it goes on where it "
    "stopped.",
)
_PERHAPS_FULL = _FULL._replace(problem="disk full or failing")
_READ_ONLY = _Meaning(
    StorageError,
    "the library can't be written to",
    "It is read-only here. Change its permissions, or choose another place with --library.",
)
_LOCKED = _Meaning(
    LibraryLockedError,
    "another process is writing to the library",
    "Wait until it has finished, or stop it; then run this again.",
)
_DAMAGED = _Meaning(
    LibraryFormatError,
    "the library's database is damaged, or is not a database",
    "Restore it from a backup, or delete the library's folder and index again.",
    "file",
)
_REFUSED = _Meaning(LibraryError, "the library's database refused", "", "file")
_FAILED = _Meaning(StorageError, "the disk failed", "", "file")

#: By SQLite's code: first its extended code is looked up, then the primary one, its last 8 bits.
_OF_SQLITE: Mapping[int, _Meaning] = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _Meaning(
        StorageError,
        "the library's database can't be opened",
        "Check that you may read it and write to its folder. If the folder is read-only, open the "
        "library once where it can be written to.",
        "file",
    ),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_IOERR_WRITE: _PERHAPS_FULL,  # also a limit of the file's size
    sqlite3.SQLITE_IOERR_SHMSIZE: _PERHAPS_FULL,
    sqlite3.SQLITE_IOERR: _Meaning(
        StorageError,
        "the disk failed to read or write the library's database",
        "Check that the disk is connected, healthy and not full.",
        "file",
    ),
}
#: By the system's code.
_OF_SYSTEM: Mapping[int, _Meaning] = {
    errno.ENOSPC: _FULL,
    errno.EFBIG: _FULL,
    getattr(errno, "EDQUOT", errno.ENOSPC): _FULL,
    errno.EACCES: _READ_ONLY._replace(on="file"),
    errno.EPERM: _READ_ONLY._replace(on="file"),
    errno.EROFS: _READ_ONLY._replace(on="file"),
    errno.ENOENT: _Meaning(
        LibraryFormatError,
        "a file of the library is missing",
        "Restore it from a backup, or delete the library's folder and index again.",
        "file",
    ),
}


@contextlib.contextmanager
def translated(path: Path, *, stops: bool = False) -> Iterator[None]:
    """Turn what SQLite and the system raise into the errors of pixseek, by the tables above.

    Args:
        path: the database; its folder is the library's.
        stops: whether a call that SQLite gave up was stopped by Ctrl-C: SQLite calls Python, which
            raises KeyboardInterrupt there, and of that SQLite keeps no more than a code.
    """
    try:
        yield
    except PixseekError:
        raise
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        is_main = threading.current_thread() is threading.main_thread()
        if stops and is_main and (code == sqlite3.SQLITE_INTERRUPT or _CALLED in str(error)):
            raise KeyboardInterrupt from error
        if code is None and "closed" in str(error):
            raise closed(path.parent) from error
        meaning = _OF_SQLITE.get(code or 0) or _OF_SQLITE.get((code or 0) & 0xFF, _REFUSED)
        raise _made(meaning, path, path.parent, str(error)) from error
    except OSError as error:
        meaning = _OF_SYSTEM.get(error.errno or 0, _FAILED)
        file = error.filename or path.parent
        raise _made(meaning, file, path.parent, error.strerror or str(error)) from error


def not_writable(folder: object) -> StorageError:
    """Return the error for a library that may not be written."""
    return StorageError(_READ_ONLY.problem, folder, _READ_ONLY.advice)


def closed(folder: object) -> LibraryError:
    """Return the error for the use of a library after its end."""
    return LibraryError("the library was closed", folder, "Open it again.")


def _made(meaning: _Meaning, file: object, folder: object, said: str) -> PixseekError:
    subject = file if meaning.on == "file" else folder
    return meaning.error(meaning.problem, subject, meaning.advice or said)
