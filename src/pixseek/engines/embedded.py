"""The embedded engine: a folder with a SQLite database and a flat file of float16 vectors.

    records.sqlite              records, parts, and how many rows of the vectors count (catalog)
    vectors-GENERATION.f16      the vectors, appended only (vectorfile)
    codes-GENERATION-....tvim   a cache by which large stores are searched (codes)

A write appends vectors, waits for the disk, and then commits records and row count together; so
after a crash a record is there with all its vectors, or not at all. A replaced or deleted
record's rows are marked dead, and dropped when a writer closes and they have become many, by
writing a new generation of the file. Readers are never blocked: each search sees one snapshot.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pixseek import filters
from pixseek.engines import codes as codes_
from pixseek.engines import columns, vectorfile
from pixseek.engines.catalog import Catalog
from pixseek.engines.codes import Codes
from pixseek.engines.sqlite_filters import where_sql
from pixseek.engines.vectorfile import Rows, VectorFile
from pixseek.errors import EngineError, PixseekError
from pixseek.storage_errors import translated
from pixseek.types import Capabilities, Engine, Filter, Known, Match, Record, Space

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Up to so many rows every vector is scored: 6 ms of 512 dimensions, and exact.
EXACT_ROWS = 32_768
#: Up to so many rows that a filter leaves are scored one by one.
GATHER_ROWS = 10_000
#: Dead rows are dropped when a writer closes and they are more than these, and a quarter of all.
COMPACT_ROWS = 4_096
#: Records handed to SQLite at a time, as JSON.
_CHUNK = 10_000

_NAME = "records.sqlite"
_LISTED = "SELECT value FROM json_each(?)"


def open_embedded(
    folder: str | Path, *, read_only: bool | None = None, lock_timeout_s: float = 30.0
) -> EmbeddedEngine:
    """Open the embedded engine in a folder. Nothing is made there before the first `ensure`.

    Args:
        folder: need not exist, unless `read_only`.
        read_only: True never to write, not even the cache; None to find out.
        lock_timeout_s: how long a write waits for another process that writes.

    Raises:
        LibraryFormatError: it was written by a newer pixseek, is damaged, or is no library.
        LibraryNotFoundError: it should be opened read-only and is not there.
        StorageError: it can't be read.
    """
    path = Path(str(folder).removeprefix("embedded:")) / _NAME
    if read_only is None:
        with translated(path):
            read_only = path.exists() and not (
                os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
            )
    return EmbeddedEngine(Catalog(path, read_only, lock_timeout_s))


@dataclass(frozen=True, slots=True)
class _View:
    """What one snapshot of the database says of the vectors, and the vectors.

    Attributes:
        number: of the space in the database.
        dead: rows that don't count, ascending.
        codes: None for a store that is scanned, or where they were not asked for.
        codes_version: that they had when they fitted this snapshot.
    """

    space: Space
    number: int
    generation: str
    vectors: VectorFile
    dead: Rows
    codes: Codes | None = None
    codes_version: int = 0

    @property
    def alive(self) -> int:
        return self.vectors.rows - len(self.dead)


@dataclass(frozen=True, slots=True)
class _Found:
    """A row that answers a query."""

    row: int
    score: float
    record: int
    id: str


class EmbeddedEngine:
    """The engine in one folder of this machine. See `types.Engine`; open it by `open_embedded`.

    Errors of the disk are StorageError, and of damaged files LibraryFormatError; a failed write
    leaves everything as it was, and the engine usable.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._folder = catalog.path.parent
        self._view: _View | None = None
        self._codes: Codes | None = None
        self._codes_broken = False
        self._view_lock = threading.RLock()
        self._wrote = False
        self.capabilities = Capabilities(
            filtering="during", exact=not codes_.available(8), visibility="searchable"
        )

    # -------------------------------------------------------------- spaces

    @property
    def space(self) -> Space | None:
        """The space whose vectors it holds; None before the first `ensure`."""
        if self._view is None and not self._catalog.path.exists():
            return None
        with self._catalog.reading() as db:
            row = _active(db)
        return None if row is None else row.space

    def ensure(self, space: Space) -> None:
        """Make the folder and its files for `space` where they are not there.

        Raises:
            SpaceMismatchError: the library holds vectors of another space.
            StorageError: it can't be written.
        """
        found = self.space
        if found is not None and (found.fingerprint, found.dim) == (space.fingerprint, space.dim):
            return
        with self._catalog.writing() as db:
            row = _active(db)
            if row is not None:
                found = row.space
                if (found.fingerprint, found.dim) == (space.fingerprint, space.dim):
                    return
                if db.execute("SELECT 1 FROM record LIMIT 1").fetchone():
                    raise columns.space_mismatch(found, space)
                db.execute("DELETE FROM space")
                db.execute("DELETE FROM dead")
            db.execute(
                "INSERT INTO space (fingerprint, dim, model, active, generation, rows) "
                "VALUES (?, ?, ?, 1, ?, 0)",
                (space.fingerprint, space.dim, space.model, _new_generation()),
            )

    # -------------------------------------------------------------- writing

    def put(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Store records, replacing those of the same id; on the disk when it returns.

        Raises:
            EngineError: records and vectors don't belong together, or can't be stored.
            StorageError: the disk is full or can't be written; nothing was stored.
            LibraryLockedError: another process wrote all the time.
        """
        vectors = np.asarray(vectors, np.float32)
        rows = [columns.to_columns(record) for record in records]
        with self._catalog.writing() as db:
            active = _active(db)
            if active is None:
                raise EngineError(
                    "the library has no space yet", self._folder, "Call ensure() before put()."
                )
            columns.check_batch(records, vectors, active.space.dim)
            if not records:
                return
            path = self._vector_path(active.generation)
            vectorfile.append(path, active.rows, vectors)
            try:
                self._put_records(db, active, records, rows)
            except BaseException:
                # Give the disk its room back; see `vectorfile.append`.
                with contextlib.suppress(OSError):
                    os.truncate(path, active.rows * active.space.dim * 2)
                raise
            self._wrote = True

    def _put_records(
        self,
        db: sqlite3.Connection,
        active: _Active,
        records: Sequence[Record],
        rows: Sequence[columns.Columns],
    ) -> None:
        numbers: dict[str, int] = {}
        for ids in _chunks([record.id for record in records]):
            numbers.update(
                db.execute(f"SELECT id, number FROM record WHERE id IN ({_LISTED})", (ids,))
            )
        _drop_parts(db, list(numbers.values()))
        (last,) = db.execute("SELECT ifnull(max(number), 0) FROM record").fetchone()
        parts: list[tuple[int, int, int, int, str | None]] = []
        row = active.rows
        for record in records:
            number = numbers.get(record.id)
            if number is None:
                last += 1
                number = numbers[record.id] = last
            for ordinal, part in enumerate(record.parts):
                parts.append((active.number, row, number, ordinal, columns.part_to_json(part)))
                row += 1
        db.executemany(
            f"REPLACE INTO record (number, {columns.COLUMNS}) "
            f"VALUES (?{', ?' * len(columns.Columns._fields)})",
            ((numbers[each.id], *each) for each in rows),
        )
        db.executemany("INSERT INTO part VALUES (?, ?, ?, ?, ?)", parts)
        db.execute("UPDATE space SET rows = ? WHERE number = ?", (row, active.number))

    def delete(self, ids: Iterable[str]) -> int:
        """Delete records; return how many there were.

        Raises:
            StorageError: the disk is full or can't be written; nothing was deleted.
            LibraryLockedError: another process wrote all the time.
        """
        wanted = list(dict.fromkeys(ids))
        if not wanted or self.space is None:
            return 0
        deleted = 0
        with self._catalog.writing() as db:
            for some in _chunks(wanted):
                found = db.execute(f"SELECT number FROM record WHERE id IN ({_LISTED})", (some,))
                numbers = [number for (number,) in found]
                _drop_parts(db, numbers)
                for chunk in _chunks(numbers):
                    db.execute(f"DELETE FROM record WHERE number IN ({_LISTED})", (chunk,))
                deleted += len(numbers)
            self._wrote = True
        return deleted

    def compact(self) -> None:
        """Drop dead rows from the vectors, and delete files that are used no more.

        Readers go on with the old file, and take the new one at their next search.

        Raises:
            StorageError: the disk is full (both files are needed for a while); nothing changed.
        """
        if self.space is None:
            return
        with self._catalog.writing() as db:
            active = _active(db)
            assert active is not None  # `space` was there, and is only ever replaced
            view = self._look(db, active)
            if len(view.dead):
                self._rewrite(db, view)
        # Only after that commit, but with the lock held again: what another process is writing
        # just now is not seen as unused.
        with self._catalog.writing() as db:
            kept = {generation for (generation,) in db.execute("SELECT generation FROM space")}
            codes_.sweep(self._folder, kept)
            for path in self._folder.glob("vectors-*.f16"):
                if path.stem.removeprefix("vectors-") not in kept:
                    with contextlib.suppress(OSError):  # mapped by a reader on Windows
                        path.unlink()

    def _rewrite(self, db: sqlite3.Connection, view: _View) -> None:
        generation = _new_generation()
        path = self._vector_path(generation)
        rows = 0
        try:
            for old, block in view.vectors.blocks(0, view.dead):
                vectorfile.append(path, rows, block)
                rows += len(old)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        db.execute(
            "CREATE TEMP TABLE moved AS SELECT row_number() OVER (ORDER BY row) - 1 AS row, "
            "record, ordinal, part FROM part WHERE space = ?",
            (view.number,),
        )
        db.execute("DELETE FROM part WHERE space = ?", (view.number,))
        db.execute(
            "INSERT INTO part SELECT ?, row, record, ordinal, part FROM moved ORDER BY row",
            (view.number,),
        )
        db.execute("DROP TABLE moved")
        db.execute("DELETE FROM dead WHERE space = ?", (view.number,))
        db.execute(
            "UPDATE space SET generation = ?, rows = ? WHERE number = ?",
            (generation, rows, view.number),
        )

    # -------------------------------------------------------------- reading

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """Return the records of these ids, in order, None where there is none."""
        with self._snapshot() as (db, view):
            if view is None:
                return [None] * len(ids)
            numbers = _numbers(db, ids)
            records = _records(db, view.number, list(numbers.values()))
        return [records[numbers[each]][0] if each in numbers else None for each in ids]

    def vectors(self, ids: Sequence[str]) -> list[Vectors | None]:
        """Return each record's vectors, (parts, dim) float32, None where there is no record."""
        with self._snapshot() as (db, view):
            if view is None:
                return [None] * len(ids)
            numbers = _numbers(db, ids)
            records = _records(db, view.number, list(numbers.values()))
        return [
            view.vectors.read(np.array(records[numbers[each]][1], np.int64))
            if each in numbers
            else None
            for each in ids
        ]

    def known(self, prefix: str = "") -> Iterator[Known]:
        """Yield what is stored of every record whose URI begins with `prefix`, by URI."""
        if not columns.is_storable(prefix):
            return
        end = columns.prefix_end(prefix)
        with self._snapshot() as (db, view):
            if view is None:
                return
            condition = "uri >= ?" if end is None else "uri >= ? AND uri < ?"
            yield from _known(
                db.execute(
                    f"{_SELECT_KNOWN} WHERE {condition} ORDER BY uri, id",
                    (prefix,) if end is None else (prefix, end),
                )
            )

    def with_digest(self, digest: str) -> list[Known]:
        """Return what is stored of the records with this content digest, by URI."""
        if not digest or not columns.is_storable(digest):
            return []
        with self._snapshot() as (db, view):
            if view is None:
                return []
            return list(
                _known(db.execute(f"{_SELECT_KNOWN} WHERE digest = ? ORDER BY uri, id", (digest,)))
            )

    def count(self, where: Filter | None = None) -> int:
        """Return how many records there are, or how many fulfil `where`.

        Raises:
            QueryError: see `filters.check`.
        """
        if where is not None:
            filters.check(where)
        with self._snapshot() as (db, view):
            if view is None:
                return 0
            condition, parameters = ("1", []) if where is None else where_sql(db, where)
            found = db.execute(f"SELECT count(*) FROM record WHERE {condition}", parameters)
            return int(found.fetchone()[0])

    def export(self, batch: int = 4096) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all records by URI, in batches, each with its vectors as `put` takes them.

        All of one snapshot: what is written meanwhile is not seen.
        """
        with self._snapshot() as (db, view):
            if view is None:
                return
            cursor = db.execute("SELECT number FROM record ORDER BY uri, id")
            while numbers := [number for (number,) in cursor.fetchmany(batch)]:
                found = _records(db, view.number, numbers)
                rows = [row for number in numbers for row in found[number][1]]
                yield (
                    [found[number][0] for number in numbers],
                    view.vectors.read(np.array(rows, np.int64)),
                )

    # -------------------------------------------------------------- search

    def search(self, vectors: Vectors, k: int, where: Filter | None = None) -> list[list[Match]]:
        """Return, for each of (q, dim) unit rows, the k nearest records, best first.

        Scores are computed from the float16 vectors. Which records are the nearest is exact up
        to `EXACT_ROWS` vectors, and where a filter leaves up to `GATHER_ROWS`; above, 997 of
        1,000 are found.

        Raises:
            QueryError: see `filters.check`.
            EngineError: the vectors are of another dimension, or not finite.
        """
        if where is not None:
            filters.check(where)
        vectors = np.ascontiguousarray(vectors, np.float32)
        for _ in range(3):
            with self._snapshot(coded=True) as (db, view):
                matches = self._search(db, view, vectors, k, where)
            if matches is not None:
                return matches
        # Others write faster than searches finish: make the codes wait for this one.
        with self._view_lock, self._snapshot(coded=True) as (db, view):
            matches = self._search(db, view, vectors, k, where)
        assert matches is not None  # the codes change only under the lock
        return matches

    def _search(
        self,
        db: sqlite3.Connection,
        view: _View | None,
        vectors: Vectors,
        k: int,
        where: Filter | None,
    ) -> list[list[Match]] | None:
        """Search one snapshot; None when the codes moved on from it meanwhile."""
        if view is not None:
            columns.check_query(vectors, view.space.dim)
        if view is None or k < 1:
            return [[] for _ in vectors]
        among = None if where is None else self._rows_matching(db, view, where)
        candidates = self._candidates(view, vectors, k, among)
        if candidates is None:
            return None
        best: list[list[_Found]] = []
        for query, rows in zip(vectors, candidates, strict=True):
            found = self._best_records(db, view, query, rows, k, among)
            if found is None:
                return None
            best.append(found)
        records = _records(db, view.number, list({f.record for found in best for f in found}))
        return [[_match(f, *records[f.record]) for f in found] for found in best]

    def _candidates(
        self, view: _View, queries: Vectors, count: int, among: Rows | None
    ) -> list[Rows] | None:
        """Return, for each query, rows that hold the `count` nearest (nearly so with codes)."""
        alive = view.alive if among is None else len(among)
        if not alive:
            return [np.empty(0, np.int64)] * len(queries)
        if view.codes is None or (among is not None and alive <= GATHER_ROWS):
            return view.vectors.nearest(queries, count, view.dead, among)
        wanted = min(codes_.candidates(count), alive)
        found = view.codes.search(queries, wanted, among)
        if found is None or view.codes.version != view.codes_version:
            return None
        # A damaged cache file may hold any number.
        return [rows[rows < view.vectors.rows] for rows in found]

    def _best_records(
        self,
        db: sqlite3.Connection,
        view: _View,
        query: Vectors,
        rows: Rows,
        k: int,
        among: Rows | None,
    ) -> list[_Found] | None:
        """Return the k best records of one query, taking more rows until there are k."""
        alive = view.alive if among is None else len(among)
        count = k
        while True:
            found = _group(db, view, rows, view.vectors.score(rows, query), k)
            if len(found) >= k or len(rows) >= alive:
                return found
            count *= 4  # records with many parts took the places of others
            wider = self._candidates(view, query[None], count, among)
            if wider is None:
                return None
            if view.codes is not None and len(wider[0]) <= len(rows) and count >= alive:
                return found
            rows = wider[0]

    def _rows_matching(self, db: sqlite3.Connection, view: _View, where: Filter) -> Rows:
        """Return the rows whose records fulfil a filter, ascending."""
        condition, parameters = where_sql(db, where)
        # CROSS, and "+", so that SQLite looks at the records first.
        found = db.execute(
            "SELECT part.row FROM record CROSS JOIN part ON part.record = record.number "
            f"WHERE +part.space = ? AND {condition}",
            [view.number, *parameters],
        )
        return np.sort(np.fromiter((row for (row,) in found), np.int64))

    # -------------------------------------------------------------- snapshots

    @contextlib.contextmanager
    def _snapshot(
        self, *, coded: bool = False
    ) -> Iterator[tuple[sqlite3.Connection, _View | None]]:
        """Lend a connection in a read transaction, and what it says of the vectors.

        The view is None when nothing was ever stored; nothing may then be asked of the
        connection.
        """
        if self._view is None and not self._catalog.path.exists():
            with contextlib.closing(sqlite3.connect(":memory:")) as nothing:
                yield nothing, None
            return
        with self._catalog.reading() as db:
            # Under the lock, so that views are made in the order of their snapshots, and the
            # codes never go back.
            with self._view_lock:
                view = self._refresh(db, coded)
            yield db, view

    def _refresh(self, db: sqlite3.Connection, coded: bool) -> _View | None:
        for attempt in range(5):
            db.execute("BEGIN")
            active = _active(db)
            if active is None:
                return None
            try:
                view = self._look(db, active)
            except FileNotFoundError:
                # Another process dropped this generation just now.
                if attempt == 4:
                    raise
                db.execute("ROLLBACK")
                continue
            self._view = view
            return self._with_codes(view) if coded else view
        raise AssertionError("the last attempt returned or raised")

    def _look(self, db: sqlite3.Connection, active: _Active) -> _View:
        """Return the view of a snapshot, keeping what is still true of the last one."""
        old = self._view
        if old is not None and old.generation != active.generation:
            old = None
        vectors = None if old is None else old.vectors
        if vectors is None or vectors.rows != active.rows:
            path = self._vector_path(active.generation)
            if active.rows or path.exists():
                vectors = VectorFile(path, active.rows, active.space.dim)
            else:
                vectors = VectorFile(Path(os.devnull), 0, active.space.dim)
        known = 0 if old is None else len(old.dead)
        found = db.execute(
            "SELECT row FROM dead WHERE space = ? ORDER BY number LIMIT -1 OFFSET ?",
            (active.number, known),
        )
        died = np.fromiter((row for (row,) in found), np.int64)
        if old is not None and not len(died) and vectors is old.vectors:
            return old
        dead = died if old is None else np.concatenate([old.dead, died])
        return _View(active.space, active.number, active.generation, vectors, np.sort(dead))

    def _with_codes(self, view: _View) -> _View:
        if view.alive <= EXACT_ROWS or self._codes_broken or not codes_.available(view.space.dim):
            return view
        codes = self._codes
        try:
            fits = codes is not None and codes.generation == view.generation
            if codes is None or not fits or codes.outgrown(view.vectors.rows):
                codes = Codes.open(self._folder, view.generation, view.vectors, view.dead)
                if not self._catalog.read_only:
                    with contextlib.suppress(OSError):  # only a cache
                        codes.save(self._folder)
            else:
                codes.update(view.vectors, view.dead)
        except (ImportError, OSError, RuntimeError, ValueError):
            # Installed, but not for this machine; or the codec failed. Scanning always works.
            self._codes_broken = True
            return view
        self._codes = codes
        return _View(
            view.space,
            view.number,
            view.generation,
            view.vectors,
            view.dead,
            codes,
            codes.version,
        )

    # -------------------------------------------------------------- the end

    def close(self) -> None:
        """Tidy up after writing, and let go of everything; further calls are an error."""
        try:
            if self._wrote:
                self._wrote = False
                # Everything is stored already. What can't be tidied now is another time.
                with contextlib.suppress(PixseekError, OSError):
                    self._tidy()
        finally:
            self._view = self._codes = None
            self._catalog.close()

    def _tidy(self) -> None:
        with self._snapshot() as (_, view):
            pass
        if view is None:
            return
        if len(view.dead) > max(COMPACT_ROWS, view.vectors.rows // 4):
            self.compact()
            with self._snapshot() as (_, view):
                pass
        if (
            view is not None
            and view.alive > EXACT_ROWS
            and codes_.behind(self._folder, view.generation, view.vectors.rows)
        ):
            with self._snapshot(coded=True):
                pass
            if self._codes is not None:
                self._codes.save(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _vector_path(self, generation: str) -> Path:
        return self._folder / f"vectors-{generation}.f16"


@dataclass(frozen=True, slots=True)
class _Active:
    """The active space, as the database has it."""

    number: int
    space: Space
    generation: str
    rows: int


_SELECT_KNOWN = "SELECT id, uri, size, mtime_ns, digest FROM record"


def _active(db: sqlite3.Connection) -> _Active | None:
    row = db.execute(
        "SELECT number, fingerprint, dim, model, generation, rows FROM space WHERE active"
    ).fetchone()
    if row is None:
        return None
    number, fingerprint, dim, model, generation, rows = row
    return _Active(number, Space(fingerprint, dim, model), generation, rows)


def _drop_parts(db: sqlite3.Connection, numbers: list[int]) -> None:
    """Mark the rows of these records dead, in all spaces, and forget their parts."""
    for some in _chunks(numbers):
        db.execute(
            "INSERT INTO dead (space, row) "
            f"SELECT space, row FROM part WHERE record IN ({_LISTED})",
            (some,),
        )
        db.execute(f"DELETE FROM part WHERE record IN ({_LISTED})", (some,))


def _numbers(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return the numbers of the records among these ids, by id."""
    numbers: dict[str, int] = {}
    for some in _chunks(ids):
        numbers.update(
            db.execute(f"SELECT id, number FROM record WHERE id IN ({_LISTED})", (some,))
        )
    return numbers


def _records(
    db: sqlite3.Connection, space: int, numbers: Sequence[int]
) -> dict[int, tuple[Record, list[int]]]:
    """Return records with the rows of their parts, by number."""
    parts: dict[int, list[tuple[int, str | None]]] = {number: [] for number in numbers}
    records: dict[int, tuple[Record, list[int]]] = {}
    for some in _chunks(numbers):
        # "+space" lest SQLite walks the whole space by the primary key.
        for number, row, part in db.execute(
            "SELECT record, row, part FROM part "
            f"WHERE +space = ? AND record IN ({_LISTED}) ORDER BY record, ordinal",
            (space, some),
        ):
            parts[number].append((row, part))
        for number, *values in db.execute(
            f"SELECT number, {columns.COLUMNS} FROM record WHERE number IN ({_LISTED})", (some,)
        ):
            found = parts[number]
            record = columns.from_columns(
                values, tuple(columns.part_from_json(part) for _, part in found)
            )
            records[number] = (record, [row for row, _ in found])
    return records


def _group(db: sqlite3.Connection, view: _View, rows: Rows, scores: Any, k: int) -> list[_Found]:
    """Return the k best records of some scored rows, each by its best row, ties by id."""
    count = k
    while True:
        count = min(count, len(rows))
        if not count:
            return []
        # All that tie with the last one are looked at, since the id decides.
        threshold = np.partition(scores, len(rows) - count)[len(rows) - count]
        chosen = np.flatnonzero(scores >= threshold)
        best: dict[int, _Found] = {}
        score_of = dict(zip(rows[chosen].tolist(), scores[chosen].tolist(), strict=True))
        for some in _chunks(list(score_of)):
            for row, record, id_ in db.execute(
                "SELECT part.row, part.record, record.id FROM part "
                "JOIN record ON record.number = part.record "
                f"WHERE part.space = ? AND part.row IN ({_LISTED})",
                (view.number, some),
            ):
                score, old = score_of[row], best.get(record)
                if old is None or (score, -row) > (old.score, -old.row):
                    best[record] = _Found(row, score, record, id_)
        if len(best) >= k or len(chosen) == len(rows):
            return sorted(best.values(), key=lambda found: (-found.score, found.id))[:k]
        count = 4 * len(chosen)


def _match(found: _Found, record: Record, rows: list[int]) -> Match:
    return Match(record, record.parts[rows.index(found.row)], found.score)


def _known(rows: Iterable[tuple[Any, ...]]) -> Iterator[Known]:
    for id_, uri, size, mtime_ns, digest in rows:
        yield Known(id_, uri, columns.stamp_of(size, mtime_ns), digest or "")


def _chunks(values: Sequence[str] | Sequence[int]) -> Iterator[str]:
    """Yield the values as JSON lists that SQLite can take; text it can't hold is left out."""
    for start in range(0, len(values), _CHUNK):
        some = values[start : start + _CHUNK]
        yield json.dumps([v for v in some if isinstance(v, int) or columns.is_storable(v)])


def _new_generation() -> str:
    """Return a name for a vector file that no other library's file has."""
    return secrets.token_hex(6)


def _conforms(engine: EmbeddedEngine) -> Engine:
    return engine  # checked by mypy
