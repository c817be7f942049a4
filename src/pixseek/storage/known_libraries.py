"""The libraries that this user has made or trusted, and where their servers are.

One file among the user's settings, which nobody else may read: the address of a server may hold a
password. A library is known by the id in its ledger, at the place where it was, or as the same
file at another: a folder that was renamed, a drive that is mounted elsewhere. A copy of the id in
another library is therefore not enough.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from pixseek import files
from pixseek.errors import StorageError
from pixseek.storage import private
from pixseek.types.dataclass import dataclass

#: Bytes of the file; a library takes about 200.
_MOST = 8 << 20
#: From this many libraries up, those that are gone are forgotten when one is added.
_MANY = 200


@dataclass(frozen=True, slots=True)
class KnownLibrary:
    """A library that this user has made or trusted.

    Attributes:
        path: of its folder, with links resolved.
        id: of the library, from its ledger.
        inode: number of its ledger's file; 0 on systems without.
        owner: number of the user that its folder belongs to.
        engine: address of the server that holds its records, with its secrets; "" for none.
    """

    path: str
    id: str
    inode: int
    owner: int
    engine: str = ""


class KnownLibraries:
    """The libraries in one file of settings, which need not exist."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._all: list[KnownLibrary] | None = None

    def all(self) -> list[KnownLibrary]:
        """Return all of them, the one added last at the end.

        Raises:
            StorageError: the file can't be read.
        """
        if self._all is None:
            self._all = self._read()
        return self._all

    def at(self, path: str, inode: int) -> bool:
        """Return whether a library at this place with this ledger's file is known, by any id."""
        return any((each.path, each.inode) == (path, inode) for each in self.all())

    def find(self, path: str, id_: str, inode: int) -> KnownLibrary | None:
        """Return the library with this id if it is at this place, or is the same file elsewhere."""
        for each in reversed(self.all()):
            if each.id == id_ and (each.path == path or (inode and each.inode == inode)):
                return each
        return None

    def keep(self, library: KnownLibrary) -> None:
        """Remember a library, in place of what was known of it and of its place.

        Raises:
            StorageError: the file can't be written.
        """

        def changed(known: list[KnownLibrary]) -> list[KnownLibrary]:
            others = [
                each
                for each in known
                if each.path != library.path
                and (each.id, each.inode) != (library.id, library.inode)
            ]
            if len(others) >= _MANY:
                others = [each for each in others if each.engine or os.path.isdir(each.path)]
            return [*others, library]

        self._change(changed)

    def forget(self, path: str) -> bool:
        """Forget the library at a place; return whether there was one.

        Raises:
            StorageError: the file can't be written.
        """
        was_there = any(each.path == path for each in self.all())
        if was_there:
            self._change(lambda known: [each for each in known if each.path != path])
        return was_there

    def _read(self) -> list[KnownLibrary]:
        try:
            found = json.loads(files.read(self._file, _MOST))["libraries"]
            return [library for each in found if (library := _library(each)) is not None]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise StorageError(
                f"The list of your libraries can't be read ({error})",
                self._file,
                "Fix its rights, or delete it: then libraries ask again before they are opened.",
            ) from error

    def _change(self, change: Callable[[list[KnownLibrary]], list[KnownLibrary]]) -> None:
        import tempfile

        from filelock import FileLock

        try:
            private.make_folder(self._file.parent, private.FOLDER)
            with FileLock(f"{self._file}.lock", mode=private.FILE, timeout=10):
                known = change(self._read())
                text = json.dumps({"libraries": [asdict(each) for each in known]}, indent=1)
                # Made for its owner alone, under a name that nobody can guess.
                handle, made = tempfile.mkstemp(".tmp", "libraries-", self._file.parent)
                try:
                    with os.fdopen(handle, "w", encoding="utf-8") as file:
                        file.write(text + "\n")
                    os.replace(made, self._file)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(made)
                    raise
        except OSError as error:  # also that another process has held the lock for too long
            raise StorageError(
                f"The list of your libraries can't be written ({error.strerror or error})",
                self._file,
                "Make its folder writable, or set XDG_CONFIG_HOME to one that is.",
            ) from error
        self._all = known


def _library(said: object) -> KnownLibrary | None:
    """Return an entry of the file; None for one that says too little or something else."""
    match said:
        case {
            "path": str(path),
            "id": str(id_),
            "inode": int(inode),
            "owner": int(owner),
            "engine": str(engine),
        }:
            return KnownLibrary(path, id_, inode, owner, engine)
    return None
