"""The database of the embedded engine: records, parts, and how many vectors count.

SQLite in write-ahead-log mode: one writer at a time, by SQLite's own lock, and readers that are
never blocked.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from pixseek.engines.embedded import upgrade
from pixseek.engines.embedded.reading import packed
from pixseek.errors import LibraryFormatError, LibraryNotFoundError
from pixseek.storage import private
from pixseek.storage.errors import closed, not_writable, translated

#: Steps of SQLite between two looks for Ctrl-C: some milliseconds.
_STEPS = 100_000

#: "pxsk": marks a SQLite file as ours.
APPLICATION_ID = 0x7078736B

_VERSION_1 = """
CREATE TABLE space (
    number INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    dim INTEGER NOT NULL,
    model TEXT NOT NULL,
    active INTEGER NOT NULL,
    generation TEXT NOT NULL,
    rows INTEGER NOT NULL
);
CREATE TABLE record (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    uri TEXT NOT NULL,
    size INTEGER,
    mtime_ns INTEGER,
    digest TEXT,
    media TEXT,
    width INTEGER,
    height INTEGER,
    taken_at TEXT,
    caption TEXT,
    tags TEXT,
    fields TEXT
);
CREATE INDEX record_uri ON record (uri, id);
CREATE INDEX record_digest ON record (digest) WHERE digest IS NOT NULL;
CREATE TABLE part (
    space INTEGER NOT NULL,
    row INTEGER NOT NULL,
    record INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    part TEXT,
    PRIMARY KEY (space, row)
) WITHOUT ROWID;
CREATE INDEX part_record ON part (record, space, ordinal);
CREATE TABLE dead (
    number INTEGER PRIMARY KEY,
    space INTEGER NOT NULL,
    row INTEGER NOT NULL
);
"""

#: Digests as 32 bytes instead of 64 digits, in the table and in its index: saves 64 bytes a record.
_VERSION_2 = """
DROP INDEX record_digest;
UPDATE record SET digest = packed(digest) WHERE digest IS NOT NULL;
CREATE INDEX record_digest ON record (digest) WHERE digest IS NOT NULL
"""

#: The words of all records (which format 5 indexes); how many records there are; the ids of
#: records next to their rows (17 bytes each, to find the records of 400 rows among a million in 1
#: ms instead of 11); and an index of when photos were taken, for browsing.
_VERSION_3 = """
CREATE VIRTUAL TABLE words USING fts5(
    strong, weak, content='', tokenize="porter unicode61 categories 'L* N* M*'"
);
ALTER TABLE space ADD COLUMN records INTEGER NOT NULL DEFAULT 0;
UPDATE space SET records = (SELECT count(*) FROM record);
ALTER TABLE part ADD COLUMN record_id TEXT NOT NULL DEFAULT '';
UPDATE part SET record_id = (SELECT id FROM record WHERE number = part.record);
CREATE INDEX record_taken ON record (substr(taken_at, 1, 26))
"""

#: In each space, how many records have vectors in it.
_VERSION_4 = """
ALTER TABLE space ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
UPDATE space SET held = records
"""

#: What is kept about the whole library; numbers of the library itself (`setting`); what follows
#: from the content of a record; `away` as a column; which records changed, and when (see `spaces`);
#: the values by which records are counted and filtered (`facet_values`). Records are indexed
#: afterwards (`upgrade`). Format 4 took all records of an older library for ones with vectors.
_VERSION_5 = """
ALTER TABLE record ADD COLUMN away INTEGER NOT NULL DEFAULT 0;
ALTER TABLE record ADD COLUMN pixels BLOB;
ALTER TABLE record ADD COLUMN perceptual_hash INTEGER;
ALTER TABLE record ADD COLUMN changed INTEGER;
DROP INDEX IF EXISTS record_away;
CREATE INDEX record_away ON record (id) WHERE away;
CREATE INDEX record_pixels ON record (pixels) WHERE pixels IS NOT NULL;
CREATE INDEX record_changed ON record (changed) WHERE changed IS NOT NULL;
UPDATE dead SET space = 0 WHERE space < 0 AND number = (SELECT max(number) FROM dead);
DELETE FROM dead WHERE space < 0;
UPDATE space SET held = (
    SELECT count(*) FROM part WHERE part.space = space.number AND ordinal = 0
);
CREATE TABLE IF NOT EXISTS kept (
    kind TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE TABLE setting (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE value (
    number INTEGER PRIMARY KEY AUTOINCREMENT, field TEXT NOT NULL, stored TEXT NOT NULL,
    UNIQUE (field, stored)
);
CREATE TABLE facet (
    record INTEGER PRIMARY KEY, folder INTEGER, year INTEGER, camera INTEGER, people INTEGER,
    colour INTEGER, format INTEGER
);
CREATE TABLE tagged (
    tag INTEGER NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (tag, record)
) WITHOUT ROWID
"""

#: The steps from an empty file to the current format; a file's version is how many were taken. A
#: step never changes once released: the next change of the format is another step.
MIGRATIONS: tuple[str, ...] = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5)


class Catalog:
    """Connections to the database in one folder. May be used from several threads.

    Attributes:
        path: of the database; it need not exist before something is written.
        read_only: whether nothing can be written.
    """

    def __init__(
        self,
        path: Path,
        read_only: bool,
        lock_timeout_s: float,
        progress: upgrade.Progress | None = None,
    ) -> None:
        """Check the database if there is one, and bring it up to date if it is older.

        Args:
            path: of the database; it need not exist before something is written.
            read_only: whether nothing can be written.
            lock_timeout_s: how long a write waits for another process.
            progress: called while an older database is brought up to date.

        Raises:
            LibraryFormatError: it is damaged, of a newer pixseek, or not a library.
            LibraryNotFoundError: there is none, and it is opened read-only.
        """
        self.path = path
        self.read_only = read_only
        self._lock_timeout_s = lock_timeout_s
        self._progress = progress
        self._closed = False
        self._pool_lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._all: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._write_lock = threading.RLock()
        self._file_state: tuple[object, ...] = ()
        self._watcher: sqlite3.Connection | None = None  # never writes
        self._watch_lock = threading.Lock()
        if path.exists():
            with self.reading():
                pass
        elif read_only:
            raise LibraryNotFoundError("there is no library here", path.parent)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection outside any transaction; for reading."""
        with translated(self.path, stops=True):
            db, state = self._take()
            try:
                yield db
            finally:
                self._give(db, state)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection in a transaction that holds the write lock.

        It is committed at the end, or rolled back as a whole when an exception leaves the block.

        Raises:
            LibraryLockedError: another process wrote all the time.
            LibraryNotFoundError: it was there, and its folder was removed or renamed meanwhile.
            StorageError: the disk is full, or can't be written.
        """
        if self.read_only:
            raise not_writable(self.path.parent)
        with translated(self.path, stops=True), self._write_lock:
            if self._all and not self.path.exists():  # else the change would be lost
                raise LibraryNotFoundError(
                    "the library is no longer here", self.path.parent, "Open it where it is now."
                )
            if self._writer is None:
                private.make_folder(self.path.parent)
                private.make_file(self.path)
                self._writer = self._connect(create=True)
            db = self._writer
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled it back already
                    db.execute("ROLLBACK")
                raise

    def version(self) -> str:
        """Return a text that differs after each commit, by any process."""
        if self.read_only:
            return repr(self._look())
        with translated(self.path), self._watch_lock:
            if self._watcher is None:
                self._watcher = self._connect()
            # Of a connection that writes nothing: its own commits would not count.
            return str(self._watcher.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close all connections, those that are lent too."""
        with self._pool_lock:
            self._closed = True
            connections, self._all, self._idle = self._all, [], []
        for db in connections:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _take(self) -> tuple[sqlite3.Connection, tuple[object, ...]]:
        """Return a connection, and the state of the files that it sees if it is read-only."""
        state = self._look() if self.read_only else ()
        with self._pool_lock:
            if state == self._file_state and self._idle:
                return self._idle.pop(), state
            stale, self._idle = (self._idle, []) if state != self._file_state else ([], self._idle)
            self._file_state = state
        for db in stale:  # another process wrote: what they see is out of date
            self._forget(db)
        return self._connect(), state

    def _give(self, db: sqlite3.Connection, state: tuple[object, ...]) -> None:
        with contextlib.suppress(sqlite3.Error):
            if db.in_transaction:
                db.rollback()
        with self._pool_lock:
            if not self._closed and state == self._file_state:
                self._idle.append(db)
                return
        self._forget(db)

    def _forget(self, db: sqlite3.Connection) -> None:
        with self._pool_lock:
            if db in self._all:
                self._all.remove(db)
        db.close()

    def _look(self) -> tuple[object, ...]:
        """Return the state of the files, which differs once they were changed."""
        stat = self.path.stat()
        return (stat.st_ino, stat.st_size, stat.st_mtime_ns, self._log_is_empty())

    def _log_is_empty(self) -> bool:
        log = self.path.with_name(self.path.name + "-wal")
        return not log.exists() or log.stat().st_size == 0

    def _connect(self, create: bool = False) -> sqlite3.Connection:
        self._require_open()
        mode = "mode=rwc" if create else "mode=rw"
        if self.read_only:
            # SQLite can't share a log in a folder that it may not write to. Without a log the file
            # has everything; `_look` notices when that changes.
            mode = "mode=ro&immutable=1" if self._log_is_empty() else "mode=ro"
        uri = f"file:{urllib.parse.quote(self.path.resolve().as_posix())}?{mode}"
        db = sqlite3.connect(
            uri,
            uri=True,
            timeout=self._lock_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        with self._pool_lock:
            self._all.append(db)
        if self._closed:  # by another thread meanwhile
            self._forget(db)
            self._require_open()
        return db

    def _require_open(self) -> None:
        if self._closed:
            raise closed(self.path.parent)

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Check the format, and bring it up to date if possible."""
        # The file may come from a stranger: what it defines may not call functions.
        db.execute("PRAGMA trusted_schema = OFF")
        version, application = _format(db)
        is_other = application != APPLICATION_ID and (version or _has_tables(db))
        if is_other and _format(db)[1] != APPLICATION_ID:  # else it was created in between
            raise LibraryFormatError(
                "this is not a pixseek library", self.path, "Name another folder."
            )
        if version > len(MIGRATIONS):
            raise LibraryFormatError(
                f"the library was written by a newer pixseek (format {version}; this one knows "
                f"{len(MIGRATIONS)})",
                self.path,
                "Upgrade with: pip install --upgrade pixseek",
            )
        if version < len(MIGRATIONS) or upgrade.is_pending(db, self.path):
            if self.read_only:
                raise LibraryFormatError(
                    f"the library has an older format ({version}) and can't be changed here",
                    self.path,
                    "Open it once where it can be written to.",
                )
            # SQLite does not wait for the lock that this takes.
            _switch_to_log(db, self._lock_timeout_s)
            migrate(db, self.path)
            upgrade.finish(db, self._progress)
        # A commit is on the disk when it returns, and survives a power cut.
        db.execute("PRAGMA synchronous = FULL")
        # Python handles Ctrl-C when it is called; see `translated`.
        db.set_progress_handler(lambda: 0, _STEPS)


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Take the missing steps of `MIGRATIONS`, in one transaction; records are indexed later.

    Raises:
        StorageError: the disk has no room for that.
    """
    db.create_function("packed", 1, packed, deterministic=True)
    db.execute("BEGIN IMMEDIATE")
    try:
        version, _ = _format(db)  # another process may have been first
        if 0 < version < len(MIGRATIONS):
            upgrade.check_room(db, path)
        for step in MIGRATIONS[version:]:
            for statement in step.split(";"):
                db.execute(statement)
        upgrade.begin(db)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {max(version, len(MIGRATIONS))}")
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def _format(db: sqlite3.Connection) -> tuple[int, int]:
    """Return the version of the format, and the mark of the application."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    return version, application


def _has_tables(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None


def _switch_to_log(db: sqlite3.Connection, timeout_s: float) -> None:
    import time

    give_up = time.monotonic() + timeout_s
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
