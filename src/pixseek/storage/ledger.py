"""The facts of a library besides its records: its settings, its roots, and what failed.

These are facts of this machine (where a root lives, which file could not be read), so they stay
with the user whatever engine holds the records. One small SQLite file, written in short
transactions, readable while another process writes.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pixseek.errors import LibraryFormatError
from pixseek.storage import private
from pixseek.storage.errors import translated
from pixseek.types import Failure, Root, Stamp

#: Raised by one whenever the tables change; `_MIGRATIONS` says how.
FORMAT = 1

#: Reason of a `Failure` that is none: the clip is the moving part of the photo next to it, and
#: indexed with that.
MOVING = "moving-part"

# _MIGRATIONS[n] turns format n into format n + 1.
_MIGRATIONS = (
    """
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE roots (
        name TEXT PRIMARY KEY,
        path TEXT NOT NULL,
        relative INTEGER NOT NULL,
        scopes TEXT NOT NULL,
        exclude TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE failures (
        uri TEXT PRIMARY KEY,
        stage TEXT NOT NULL,
        reason TEXT NOT NULL,
        message TEXT NOT NULL,
        advice TEXT NOT NULL,
        size INTEGER,
        mtime_ns INTEGER
    ) WITHOUT ROWID;
    """,
)


#: How long a look at a ledger may take that may come from a stranger, in seconds.
_BRIEF_S = 2.0

# The setting that holds kind and options of roots that are not folders, by name. The table of roots
# has no column for them; so existing ledgers need no change.
_KINDS = "kinds"
# Likewise, the patterns of what is included in each root, by name.
_INCLUDED = "included"
# Likewise, the names of the roots whose links are followed wherever they lead.
_FOLLOWED = "followed"

#: What settings are, of those that others take apart; a ledger may come from a stranger.
_SHAPES: Mapping[str, type] = {
    "id": str, "engine": str, "model": str, "models": dict, _KINDS: dict, _INCLUDED: dict,
    _FOLLOWED: list, "devices": dict, "former_roots": dict, "last_run": dict, "running": dict,
    "acceleration": dict, "tiles": list, "ocr": bool,
}  # fmt: skip

# The setting that holds the devices of folders, by their URI.
_DEVICES = "devices"


class Ledger:
    """The settings, roots and failures of one library. May be used from several threads."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open the ledger of the library at `folder`, making it when it is not there.

        Raises:
            LibraryFormatError: a newer pixseek wrote it, or it is damaged.
            StorageError: it can't be made or read.
        """
        self._folder = folder
        self._path = folder / "ledger.sqlite"
        self._lock = threading.RLock()
        if not read_only:
            private.make_file(self._path)
        with translated(self._path):
            mode = "ro" if read_only else "rwc"
            self._db = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=30,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            with translated(self._path):
                # The file may come from a stranger: what it defines may not call functions.
                self._db.execute("PRAGMA trusted_schema = OFF")
                self._migrate()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def briefly(self) -> Iterator[None]:
        """Give up what takes long inside the block; no ledger of ours does."""
        end = time.monotonic() + _BRIEF_S
        with self._lock:
            self._db.set_progress_handler(lambda: time.monotonic() > end, 10_000)
            try:
                yield
            finally:
                self._db.set_progress_handler(None, 0)

    def version(self) -> int:
        """Return a number that changes when another process or connection has written."""
        with self._lock, translated(self._path):
            found: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        return found

    def setting(self, name: str) -> Any:
        """Return the value of a setting; None if it was never set."""
        with self._lock, translated(self._path):
            row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        if row is None:
            return None
        with self.understood():
            value = json.loads(row[0])
            if value is not None and not isinstance(value, _SHAPES.get(name, object)):
                raise ValueError(name)
        return value

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Say that the ledger is damaged if what it holds can't be understood inside the block."""
        try:
            yield
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise LibraryFormatError(
                "The library's ledger is damaged",
                self._path,
                "Restore it from a backup, or delete the library's folder and index again.",
            ) from error

    def set(self, name: str, value: Any) -> None:
        """Store a setting: anything that JSON can hold."""
        with self._transaction() as db:
            self._set(db, name, value)

    @staticmethod
    def _set(db: sqlite3.Connection, name: str, value: Any) -> None:
        db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value)))

    def devices(self) -> dict[str, list[str]]:
        """Return the devices of folders at the top of a file system, by the folder's URI.

        That of its drive comes first, then those of what was found in its place.
        """
        return self.setting(_DEVICES) or {}

    def set_devices(self, devices: Mapping[str, list[str]]) -> None:
        """Remember the devices of folders; those of all others are forgotten."""
        if devices != self.devices():
            self.set(_DEVICES, dict(devices))

    def roots(self) -> list[Root]:
        """Return the roots by name, each with the place where it is now."""
        with self._lock, translated(self._path):
            rows = self._db.execute("SELECT * FROM roots ORDER BY name").fetchall()
            kinds = self.setting(_KINDS) or {}
            included = self.setting(_INCLUDED) or {}
            followed = self.setting(_FOLLOWED) or []
        found = []
        with self.understood():
            for name, where, relative, scopes, exclude in rows:
                kind, options = kinds.get(name, ("folder", {}))
                place = os.path.normpath(self._folder / where) if relative else where
                skipped, indexed = tuple(json.loads(exclude)), tuple(included.get(name, ()))
                inside = tuple(json.loads(scopes))
                texts = (name, place, kind, *skipped, *indexed, *inside)
                if not all(isinstance(each, str) for each in texts):
                    raise TypeError(name)
                found.append(
                    Root(name, place, inside, skipped, kind, options, indexed, name in followed)
                )
        return found

    def set_root(self, root: Root, *, relative: bool) -> None:
        """Store a root; one on this machine by its path from the library's if `relative`."""
        is_folder = root.kind == "folder"
        where = root.where
        if root.is_local:
            where = os.path.relpath(where, self._folder) if relative else where
            where = Path(where).as_posix()
        row = (
            root.name,
            where,
            int(relative and root.is_local),
            json.dumps(root.scopes),
            json.dumps(root.exclude),
        )
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO roots VALUES (?, ?, ?, ?, ?)", row)
            if not is_folder:
                kinds = {**(self.setting(_KINDS) or {}), root.name: [root.kind, dict(root.options)]}
                self._set(db, _KINDS, kinds)
            included = self.setting(_INCLUDED) or {}
            if tuple(included.get(root.name, ())) != root.include:
                self._set(db, _INCLUDED, {**included, root.name: root.include})
            self._set_followed(db, root.name, root.follow_links)

    def remove_root(self, name: str) -> None:
        """Forget a root and its failures."""
        with self._transaction() as db:
            db.execute("DELETE FROM roots WHERE name = ?", (name,))
            kinds = self.setting(_KINDS) or {}
            if kinds.pop(name, None) is not None:
                self._set(db, _KINDS, kinds)
            included = self.setting(_INCLUDED) or {}
            if included.pop(name, None) is not None:
                self._set(db, _INCLUDED, included)
            self._set_followed(db, name, False)
        self.clear_failures(failure.uri for failure in self.failures(f"{name}/"))

    def _set_followed(self, db: sqlite3.Connection, name: str, is_followed: bool) -> None:
        before = self.setting(_FOLLOWED) or []
        if is_followed != (name in before):
            others = [each for each in before if each != name]
            self._set(db, _FOLLOWED, [*others, name] if is_followed else others)

    def failures(self, prefix: str = "") -> list[Failure]:
        """Return the failures that are not fixed, of URIs that begin with `prefix`, by URI."""
        with self._lock, translated(self._path):
            rows = self._db.execute(
                "SELECT * FROM failures WHERE substr(uri, 1, ?) = ? ORDER BY uri",
                (len(prefix), prefix),
            ).fetchall()
        return [
            Failure(
                uri, stage, reason, message, advice, None if size is None else Stamp(size, mtime_ns)
            )
            for uri, stage, reason, message, advice, size, mtime_ns in rows
        ]

    def faults(self) -> list[Failure]:
        """Return the failures that users want to know of, by URI."""
        return [each for each in self.failures() if each.reason != MOVING]

    def add_failures(self, failures: Iterable[Failure]) -> None:
        """Store failures, in place of earlier ones of the same URIs."""
        rows = [
            (f.uri, f.stage, f.reason, f.message, f.advice)
            + ((f.stamp.size, f.stamp.mtime_ns) if f.stamp else (None, None))
            for f in failures
        ]
        if rows:
            with self._transaction() as db:
                db.executemany("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def clear_failures(self, uris: Iterable[str]) -> None:
        """Forget the failures of these URIs."""
        rows = [(uri,) for uri in uris]
        if rows:
            with self._transaction() as db:
                db.executemany("DELETE FROM failures WHERE uri = ?", rows)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _migrate(self) -> None:
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > FORMAT:
            raise LibraryFormatError(
                f"The library has format {found}, and this pixseek reads up to {FORMAT}",
                self._folder,
                "Upgrade with: pip install -U pixseek",
            )
        if found == FORMAT:
            return
        for version in range(found, FORMAT):
            self._db.executescript(
                f"BEGIN IMMEDIATE; {_MIGRATIONS[version]} PRAGMA user_version = {version + 1};"
                " COMMIT;"
            )
