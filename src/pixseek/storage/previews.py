"""Small pictures of indexed images, so that hits show at once, also if their drive is away.

One SQLite file, keyed by the digest of the content: a moved file keeps its preview with nothing
done, and two copies share one. A video has further ones for its parts. The file can be deleted at
any time; previews come back as files are read again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pixseek.storage import private
from pixseek.storage.errors import translated
from pixseek.types import Engine

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS previews (digest TEXT PRIMARY KEY, picture BLOB NOT NULL) "
    "WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS parts (digest TEXT, part INTEGER, picture BLOB NOT NULL, "
    "PRIMARY KEY (digest, part)) WITHOUT ROWID",
)


class Previews:
    """The previews of one library. May be used from several threads."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Use the file at `path`; it is made at the first write.

        Args:
            path: of the file.
            read_only: never write.
        """
        self._path = path
        self._read_only = read_only
        self._db: sqlite3.Connection | None = None
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._closed = True
            if self._db is not None:
                self._db.close()
                self._db = None

    def get(self, digest: str, part: int = 0) -> bytes | None:
        """Return the preview of a content, an encoded image; None if there is none.

        Args:
            digest: of the content.
            part: index of a part of a video; 0 for the content as a whole.
        """
        with self._opened(write=False) as db:
            if db is None:
                return None
            table, also = ("parts", "AND part = ?") if part else ("previews", "")
            if (
                part
                and not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'parts'").fetchone()
            ):
                return None  # written by an older pixseek, and read-only
            row = db.execute(
                f"SELECT picture FROM {table} WHERE digest = ? {also}",
                (digest, part) if part else (digest,),
            ).fetchone()
            return None if row is None else bytes(row[0])

    def put(self, previews: Mapping[str, bytes]) -> None:
        """Store previews by the digest of their content.

        Raises:
            StorageError: the disk is full or can't be written; none was stored.
        """
        if previews:
            with self._opened(write=True) as db:
                assert db is not None
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT OR REPLACE INTO previews VALUES (?, ?)", previews.items())
                db.execute("COMMIT")

    def put_parts(self, digest: str, pictures: Mapping[int, bytes]) -> None:
        """Store the previews of the parts of one content, in place of all that it had.

        Args:
            digest: of the content.
            pictures: by index of the part, from 1 up; 0 is the content as a whole (`put`).

        Raises:
            StorageError: the disk is full or can't be written; none was stored.
        """
        with self._opened(write=True) as db:
            assert db is not None
            db.execute("BEGIN IMMEDIATE")
            db.execute("DELETE FROM parts WHERE digest = ?", (digest,))
            rows = ((digest, part, picture) for part, picture in pictures.items())
            db.executemany("INSERT INTO parts VALUES (?, ?, ?)", rows)
            db.execute("COMMIT")

    def delete(self, digests: Iterable[str]) -> None:
        """Forget the previews of these contents."""
        rows = [(digest,) for digest in digests]
        if rows and self._path.exists():
            with self._opened(write=True) as db:
                assert db is not None
                db.execute("BEGIN IMMEDIATE")
                db.executemany("DELETE FROM previews WHERE digest = ?", rows)
                db.executemany("DELETE FROM parts WHERE digest = ?", rows)
                db.execute("COMMIT")

    def prune(self, digests: Iterable[str], engine: Engine) -> None:
        """Forget the previews of those contents that no record has any more."""
        wanted = list(digests)
        held = engine.with_digests(wanted)
        self.delete(digest for digest in wanted if digest not in held)

    def __len__(self) -> int:
        with self._opened(write=False) as db:
            count = db.execute("SELECT count(*) FROM previews").fetchone()[0] if db else 0
            return int(count)

    @contextmanager
    def _opened(self, *, write: bool) -> Iterator[sqlite3.Connection | None]:
        with self._lock, translated(self._path):
            if self._db is None and not self._closed and (write or self._path.exists()):
                mode = "ro" if self._read_only else "rwc"
                if not self._read_only:
                    private.make_file(self._path)
                self._db = sqlite3.connect(
                    f"{self._path.absolute().as_uri()}?mode={mode}",
                    uri=True,
                    timeout=30,
                    isolation_level=None,
                    check_same_thread=False,
                )
                self._db.execute("PRAGMA trusted_schema = OFF")
                if not self._read_only:
                    for statement in _SCHEMA:
                        self._db.execute(statement)
            try:
                yield self._db
            except BaseException:
                if self._db is not None and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
