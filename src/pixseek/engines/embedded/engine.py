"""The embedded engine: a folder with a SQLite database and a flat file of float16 vectors.

    records.sqlite              records, parts, words, and how many rows of the vectors count
                                (catalog)
    vectors-GENERATION.f16      the vectors, appended only (vectorfile)
    codes-GENERATION-....tv     a cache by which large stores are searched (codes)
    ivf-GENERATION-....faiss    another one, for very large stores (ivf)

A search goes from the rows that a filter leaves (rowfilters) to those that can be the nearest
(candidates) to the records that they belong to (answers). A search for words asks SQLite
(fulltext).

Of several spaces each has files of its own; records are the same for all (spaces).

A write appends vectors, waits for the disk, and then commits records and row count together; so
after a crash a record is there with all its vectors, or not at all. A replaced or deleted
record's rows are marked dead, and dropped when a writer closes and they have become many, by
writing a new generation of the file. Readers are never blocked: each search sees one snapshot.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pixseek import filters
from pixseek.engines import columns
from pixseek.engines.embedded import answers, catalog, fulltext, spaces, vectorfile
from pixseek.engines.embedded import codes as codes_
from pixseek.engines.embedded import ivf as ivf_
from pixseek.engines.embedded.answers import Answer
from pixseek.engines.embedded.candidates import Candidates
from pixseek.engines.embedded.catalog import Catalog
from pixseek.engines.embedded.codes import Codes
from pixseek.engines.embedded.ivf import Ivf
from pixseek.engines.embedded.reading import LISTED, chunks, numbers_of, records_of, stored
from pixseek.engines.embedded.row_filters import RowFilters
from pixseek.engines.embedded.spaces import Held
from pixseek.engines.embedded.sqlite_filters import order_sql, where_sql
from pixseek.engines.embedded.vectorfile import Mask, Rows, VectorFile
from pixseek.errors import EngineError, PixseekError
from pixseek.storage.errors import translated
from pixseek.types import (
    Capabilities,
    Engine,
    Filter,
    Known,
    Match,
    Neighbours,
    Order,
    Record,
    Space,
)
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Up to so many rows every vector is scored: 6 ms of 512 dimensions, and exact.
EXACT_ROWS = 32_768
#: Up to so many rows that are not coded yet are scored, too: 1 ms of 512 dimensions.
UNCODED_ROWS = 8_192
#: From so many rows on an inverted file is made, and no codes. Of half a million rows it takes
#: 9 ms where scanning all codes takes 27, of a million 10 and 47 (one core without AVX-512; with
#: it a scan of a million takes 10), of ten million 20 and 132; and it opens at once, in a fifth of
#: the memory (63 MB of a process with a million, and 320).
IVF_ROWS = 500_000
#: Up to so many rows that are not in the inverted file are scored, too: 30 ms of 512 dimensions. It
#: is brought up to date long before, unless somebody writes faster than that.
_UNLISTED_ROWS = 131_072
#: A call of so many queries waits until all rows are coded: a scan would take longer.
PATIENT_QUERIES = 16
#: Dead rows are dropped when a writer closes and they are more than these, and a quarter of all.
COMPACT_ROWS = 4_096

_NAME = "records.sqlite"


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
        deaths: number of the last one.
        records: how many there are.
        held: how many of them have vectors.
        active: changes whenever another space was active meanwhile; see `spaces.Held`.
    """

    space: Space
    number: int
    generation: str
    vectors: VectorFile
    dead: Rows
    deaths: int
    records: int
    held: int
    active: int

    @property
    def alive(self) -> int:
        return self.vectors.rows - len(self.dead)


class EmbeddedEngine:
    """The engine in one folder of this machine. See `types.Engine`; open it by `open_embedded`.

    Errors of the disk are StorageError, and of damaged files LibraryFormatError; a failed write
    leaves everything as it was, and the engine usable.
    """

    def __init__(self, catalog_: Catalog) -> None:
        self._catalog = catalog_
        self._folder = catalog_.path.parent
        self._view: _View | None = None
        self._row_filters: RowFilters | None = None
        self._ensured: Space | None = None  # whose vectors `put` is given
        self._codes: Codes | None = None
        self._codes_broken = False
        self._coder: threading.Thread | None = None
        self._coder_lock = threading.Lock()
        self._scanned = 0  # scores computed of rows that are not coded
        self._ivf: Ivf | None = None
        self._ivf_state: tuple[str, int] = ("", 0)  # generation and rows it was looked for at
        self._ivf_broken = False
        self._lister: threading.Thread | None = None
        self._closing = False
        self._view_lock = threading.RLock()
        self._wrote = False
        self.capabilities = Capabilities(
            filtering="during",
            exact=not codes_.available(8),
            visibility="searchable",
            text_search="bm25",
        )

    # -------------------------------------------------------------- spaces

    @property
    def space(self) -> Space | None:
        """The active space; None before the first `ensure`."""
        if not self._is_there:
            return None
        with self._catalog.reading() as db:
            row = spaces.active(db)
        return None if row is None else row.space

    @property
    def _is_there(self) -> bool:
        return self._view is not None or self._catalog.path.exists()

    def ensure(self, space: Space) -> None:
        """Make the folder and its files for `space` where they are not there.

        Raises:
            SpaceMismatchError: the library holds vectors of another space.
            StorageError: it can't be written.
        """
        if not _is_one(self.space, space):
            with self._catalog.writing() as db:
                row = spaces.active(db)
                if row is None or not _is_one(row.space, space):
                    if row is not None:
                        if db.execute("SELECT 1 FROM record LIMIT 1").fetchone():
                            raise columns.space_mismatch(row.space, space)
                        db.execute("DELETE FROM space")
                        db.execute("DELETE FROM dead")
                    spaces.add(db, space, active=True)
        self._ensured = space

    def spaces(self) -> list[Space]:
        """Return all spaces that are held, the active one first."""
        if not self._is_there:
            return []
        with self._catalog.reading() as db:
            return [each.space for each in spaces.every(db)]

    def add_space(self, space: Space) -> None:
        """Hold another space, with no vectors yet, unless it is held; the active one stays so.

        Raises:
            EngineError: nothing is held yet, or this space with another dimension.
            StorageError: it can't be written.
        """
        if self.space is None:
            raise self._no_space()
        with self._catalog.writing() as db:
            if spaces.find(db, space) is None:
                spaces.add(db, space, active=False)

    def held(self, space: Space) -> int:
        """Return how many records have vectors in a space; 0 for one that is not held."""
        if not self._is_there:
            return 0
        with self._catalog.reading() as db:
            found = spaces.find(db, space)
        return 0 if found is None else found.held

    def lacking(self, space: Space, k: int, after: str = "") -> list[Record]:
        """Return the first k records, by id, that have no vectors in a space that is held.

        Raises:
            EngineError: the space is not held.
        """
        with self._snapshot() as (db, view):
            if view is None:
                raise columns.not_held(space)
            return spaces.lacking(db, view.number, self._found(db, space).number, k, after)

    def put_vectors(self, space: Space, records: Sequence[Record], vectors: Vectors) -> int:
        """Give records their vectors in a space that is held; on the disk when it returns.

        Raises:
            EngineError: records and vectors don't belong together, or the space is not held.
            StorageError: the disk is full or can't be written; nothing was stored.
            LibraryLockedError: another process wrote all the time.
        """
        vectors = np.asarray(vectors, np.float32)
        if self.space is None:
            raise columns.not_held(space)
        with self._catalog.writing() as db:
            held, active = self._found(db, space), spaces.active(db)
            assert active is not None  # `space` was there, and is only ever replaced
            columns.check_batch(records, vectors, held.space.dim)
            numbers = spaces.fitting(db, active.number, held.number, records)
            if not numbers:
                return 0
            starts = np.cumsum([0, *(len(record.parts) for record in records)])
            rows = np.concatenate([np.arange(starts[at], starts[at + 1]) for at in numbers])
            with self._appended(held, vectors[rows]):
                self._put_parts(db, held, [(numbers[at], records[at]) for at in numbers])
            self._wrote = True
        return len(numbers)

    def activate(self, space: Space) -> None:
        """Make a space that is held the active one, for all processes, from their next call on.

        Raises:
            EngineError: the space is not held.
            StorageError: it can't be written.
        """
        if self.space is None:
            raise columns.not_held(space)
        with self._catalog.writing() as db:
            held = self._found(db, space)
            spaces.activate(db, held.number, space.model)
            self._wrote = True
        self._ensured = space

    def drop_space(self, space: Space) -> None:
        """Forget a space and its vectors, if it is held. Searches that are under way still end.

        Raises:
            EngineError: it is the active one.
            StorageError: it can't be written.
        """
        if self.space is None:
            return
        with self._catalog.writing() as db:
            held = spaces.find(db, space)
            if held is None:
                return
            if held.active:
                raise columns.in_use(held.space)
            spaces.drop(db, held.number)
        self._sweep()

    def _found(self, db: sqlite3.Connection, space: Space) -> Held:
        found = spaces.find(db, space)
        if found is None:
            raise columns.not_held(space)
        return found

    def _no_space(self) -> EngineError:
        return EngineError(
            "the library has no space yet", self._folder, "Call ensure() before that."
        )

    # -------------------------------------------------------------- writing

    def put(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Store records, replacing those of the same id; on the disk when it returns.

        Raises:
            EngineError: records and vectors don't belong together, or can't be stored.
            StorageError: the disk is full or can't be written; nothing was stored.
            LibraryLockedError: another process wrote all the time.
            SpaceMismatchError: another process has made another space the active one.
        """
        vectors = np.asarray(vectors, np.float32)
        rows = [columns.to_columns(record) for record in records]
        with self._catalog.writing() as db:
            active = spaces.active(db)
            if active is None:
                raise self._no_space()
            if self._ensured is not None and not _is_one(active.space, self._ensured):
                raise columns.space_mismatch(active.space, self._ensured)
            columns.check_batch(records, vectors, active.space.dim)
            if not records:
                return
            with self._appended(active, vectors):
                self._put_records(db, active, records, rows)
            self._wrote = True

    @contextlib.contextmanager
    def _appended(self, held: Held, vectors: Vectors) -> Iterator[None]:
        """Have the vectors in the file of a space while the database is told of them."""
        path = self._vector_path(held.generation)
        vectorfile.append(path, held.rows, vectors)
        try:
            yield
        except BaseException:
            # Give the disk its room back; see `vectorfile.append`.
            with contextlib.suppress(OSError):
                os.truncate(path, held.rows * held.space.dim * 2)
            raise

    def _put_records(
        self,
        db: sqlite3.Connection,
        active: Held,
        records: Sequence[Record],
        rows: Sequence[columns.Columns],
    ) -> None:
        numbers: dict[str, int] = {}
        for ids in chunks([record.id for record in records]):
            numbers.update(
                db.execute(f"SELECT id, number FROM record WHERE id IN ({LISTED})", (ids,))
            )
        known = list(numbers.values())
        spaces.forget_changed(db, numbers, records)
        spaces.forget_parts(db, known, [active.number])
        fulltext.remove(db, known)
        (last,) = db.execute("SELECT ifnull(max(number), 0) FROM record").fetchone()
        for record in records:
            if record.id not in numbers:
                last += 1
                numbers[record.id] = last
        db.executemany(
            f"REPLACE INTO record (number, {columns.COLUMNS}) "
            f"VALUES (?{', ?' * len(columns.Columns._fields)})",
            ((numbers[each.id], *stored(each)) for each in rows),
        )
        fulltext.add(db, ((numbers[record.id], record) for record in records))
        self._put_parts(db, active, [(numbers[record.id], record) for record in records])
        db.execute("UPDATE space SET records = records + ?", (len(records) - len(known),))

    def _put_parts(
        self,
        db: sqlite3.Connection,
        held: Held,
        numbered: Sequence[tuple[int, Record]],
    ) -> None:
        """Note whose the rows are that were appended to the file of a space."""
        parts: list[tuple[int, int, int, int, str | None, str]] = []
        row = held.rows
        for number, record in numbered:
            for ordinal, part in enumerate(record.parts):
                json = columns.part_to_json(part)
                parts.append((held.number, row, number, ordinal, json, record.id))
                row += 1
        db.executemany("INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)", parts)
        db.execute(
            "UPDATE space SET rows = ?, held = held + ? WHERE number = ?",
            (row, sum(bool(record.parts) for _, record in numbered), held.number),
        )

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
            all_spaces = [each.number for each in spaces.every(db)]
            for some in chunks(wanted):
                found = db.execute(f"SELECT number FROM record WHERE id IN ({LISTED})", (some,))
                numbers = [number for (number,) in found]
                spaces.forget_parts(db, numbers, all_spaces)
                fulltext.remove(db, numbers)
                for chunk in chunks(numbers):
                    db.execute(f"DELETE FROM record WHERE number IN ({LISTED})", (chunk,))
                deleted += len(numbers)
            db.execute("UPDATE space SET records = records - ?", (deleted,))
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
            for held in spaces.every(db):
                view = self._look(db, held)
                if len(view.dead):
                    self._rewrite(db, view)
        self._sweep()

    def _sweep(self) -> None:
        """Delete the files of generations that are used no more.

        Only after a commit, but with the lock held again: what another process is writing just
        now is not seen as unused.
        """
        with self._catalog.writing() as db:
            kept = {generation for (generation,) in db.execute("SELECT generation FROM space")}
            codes_.sweep(self._folder, kept)
            ivf_.sweep(self._folder, kept)
            for path in self._folder.glob("vectors-*.f16"):
                if path.stem.removeprefix("vectors-") not in kept:
                    with contextlib.suppress(OSError):  # mapped by a reader on Windows
                        path.unlink()

    def _rewrite(self, db: sqlite3.Connection, view: _View) -> None:
        generation = spaces.new_generation()
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
            "record, ordinal, part, record_id FROM part WHERE space = ?",
            (view.number,),
        )
        db.execute("DELETE FROM part WHERE space = ?", (view.number,))
        db.execute(
            "INSERT INTO part SELECT ?, row, record, ordinal, part, record_id FROM moved "
            "ORDER BY row",
            (view.number,),
        )
        db.execute("DROP TABLE moved")
        spaces.forget_dead(db, view.number)
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
            numbers = numbers_of(db, ids)
            records = records_of(db, view.number, list(numbers.values()))
        return [records[numbers[each]][0] if each in numbers else None for each in ids]

    def vectors(self, ids: Sequence[str]) -> list[Vectors | None]:
        """Return each record's vectors, (parts, dim) float32, None where there is no record."""
        with self._snapshot() as (db, view):
            if view is None:
                return [None] * len(ids)
            numbers = numbers_of(db, ids)
            records = records_of(db, view.number, list(numbers.values()))
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
                _known(
                    db.execute(
                        f"{_SELECT_KNOWN} WHERE digest = ? ORDER BY uri, id",
                        (catalog.packed(digest),),
                    )
                )
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
            if where is None:
                return view.records
            condition, parameters = where_sql(db, where)
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
                found = records_of(db, view.number, numbers)
                rows = [row for number in numbers for row in found[number][1]]
                yield (
                    [found[number][0] for number in numbers],
                    view.vectors.read(np.array(rows, np.int64)),
                )

    # -------------------------------------------------------------- search

    def search(self, vectors: Vectors, k: int, where: Filter | None = None) -> list[list[Match]]:
        """Return, for each of (q, dim) unit rows, the k nearest records, best first.

        Scores are computed from the float16 vectors. Which records are the nearest is exact up
        to `EXACT_ROWS` vectors, and where a filter leaves up to `candidates.GATHER_ROWS`; above,
        997 of 1,000 are found.

        Raises:
            QueryError: see `filters.check`.
            EngineError: the vectors are of another dimension, or not finite.
        """
        if where is not None:
            filters.check(where)
        vectors = np.ascontiguousarray(vectors, np.float32)
        with self._snapshot() as (db, view):
            if view is None:
                return [[] for _ in vectors]
            mask = None if where is None else self._matching(db, view, where)
            return answers.matches(db, view.number, self._nearest(db, view, vectors, k, mask))

    def nearest(self, vectors: Vectors, k: int, where: Filter | None = None) -> list[Neighbours]:
        """Return, for each of (q, dim) unit rows, the k nearest records, as `search` finds them.

        Raises:
            QueryError: see `filters.check`.
            EngineError: the vectors are of another dimension, or not finite.
        """
        if where is not None:
            filters.check(where)
        vectors = np.ascontiguousarray(vectors, np.float32)
        with self._snapshot() as (db, view):
            if view is None:
                return [columns.no_neighbours(vectors.shape[-1], 0) for _ in vectors]
            mask = None if where is None else self._matching(db, view, where)
            found = self._nearest(db, view, vectors, k, mask)
            total = view.held if mask is None else self._records_of(db, view, mask)
        return [
            Neighbours(
                ids=tuple(answer.id for answer in each),
                scores=np.array([answer.score for answer in each], np.float32),
                vectors=view.vectors.read(np.array([answer.row for answer in each], np.int64)),
                parts=tuple(answer.part for answer in each),
                total=total,
            )
            for each in found
        ]

    def _nearest(
        self, db: sqlite3.Connection, view: _View, vectors: Vectors, k: int, mask: Mask | None
    ) -> list[list[Answer]]:
        columns.check_query(vectors, view.space.dim)
        if k < 1 or not len(vectors):
            return [[] for _ in vectors]
        index = self._ivf_of(view) or self._codes_of(view, len(vectors))
        candidates = Candidates(view.vectors, view.dead, index, mask)
        return answers.nearest(db, view.number, candidates, vectors, k)

    def _matching(self, db: sqlite3.Connection, view: _View, where: Filter) -> Mask:
        """Return the rows whose records fulfil a filter."""
        row_filters = self._row_filters_of(view)
        return row_filters.matching(db, view.vectors.rows, view.dead, where)

    def _records_of(self, db: sqlite3.Connection, view: _View, mask: Mask) -> int:
        """Return how many records these rows, and all others of their records, belong to."""
        if view.held != view.alive:
            row_filters = self._row_filters_of(view)
            mask = mask & row_filters.first_parts(db, view.vectors.rows, view.dead)
        return int(np.count_nonzero(mask))

    def _row_filters_of(self, view: _View) -> RowFilters:
        row_filters = self._row_filters
        of = (view.generation, view.active)
        if row_filters is None or row_filters.of != of:
            row_filters = self._row_filters = RowFilters(of, view.number)
        return row_filters

    def text_search(
        self, text: str, k: int, where: Filter | None = None
    ) -> list[tuple[str, float]]:
        """Return the ids of the k records whose texts fit best, with their relevance.

        Raises:
            QueryError: see `filters.check`.
        """
        if where is not None:
            filters.check(where)
        with self._snapshot() as (db, view):
            if view is None or k < 1:
                return []
            condition, parameters = ("1", []) if where is None else where_sql(db, where)
            return fulltext.search(db, view.records, text, k, condition, parameters)

    def select(
        self, where: Filter | None, *, order: Order, descending: bool, k: int, offset: int
    ) -> list[Record]:
        """Return `k` of the records that fulfil `where`, after the first `offset`, in an order.

        Raises:
            QueryError: see `filters.check`.
        """
        if where is not None:
            filters.check(where)
        with self._snapshot() as (db, view):
            if view is None or k < 1:
                return []
            condition, parameters = ("1", []) if where is None else where_sql(db, where)
            found = db.execute(
                f"SELECT number FROM record WHERE {condition} ORDER BY "
                f"{order_sql(order, descending, by_index=where is None)} LIMIT ? OFFSET ?",
                (*parameters, k, offset),
            )
            numbers = [number for (number,) in found]
            records = records_of(db, view.number, numbers)
        return [records[number][0] for number in numbers]

    def sample(self, n: int) -> Vectors:
        """Return at most n of the stored vectors, (m, dim) float32 unit rows, drawn evenly.

        Those of the records whose ids come first: an id is a hash, and has an index.
        """
        with self._snapshot() as (db, view):
            if view is None:
                return np.empty((0, 0), np.float32)
            found = db.execute(
                "SELECT row FROM record CROSS JOIN part ON part.record = record.number "
                "WHERE +space = ? ORDER BY id, ordinal LIMIT ?",
                (view.number, max(0, n)),
            )
            return view.vectors.read(np.fromiter((row for (row,) in found), np.int64))

    # -------------------------------------------------------------- codes

    def _codes_of(self, view: _View, queries: int) -> Codes | None:
        """Return the codes to search by; None where every row is to be scored.

        They are read and made in a thread of their own, so that no search waits for those that a
        writer added. A process that searches once needs none: scoring a million vectors takes
        0.2 s, and reading their codes 1 s.
        """
        if not self._is_coded(view):
            return None
        codes = self._fitting_codes(view)
        uncoded = view.vectors.rows - (codes.covered if codes else 0)
        if uncoded > UNCODED_ROWS:
            with self._coder_lock:
                self._scanned += queries * uncoded
                if codes or queries >= PATIENT_QUERIES or self._scanned > uncoded:
                    self._start_coder(view)
            if queries >= PATIENT_QUERIES and self._coder is not None:
                self._coder.join()
                codes = self._fitting_codes(view)
        return codes

    def _is_coded(self, view: _View) -> bool:
        return (
            view.alive > EXACT_ROWS and not self._codes_broken and codes_.available(view.space.dim)
        )

    def _fitting_codes(self, view: _View) -> Codes | None:
        codes = self._codes
        return codes if codes is not None and codes.generation == view.generation else None

    def _start_coder(self, view: _View) -> None:
        """Code the rows of a view in a thread, unless it is still at those of one before."""
        if self._coder is None or not self._coder.is_alive():
            self._coder = threading.Thread(
                target=self._code, args=(view, self._goes_on), name="pixseek-codes"
            )
            self._coder.start()

    def _code(self, view: _View, going: Callable[[], bool]) -> None:
        """Read the codes of a view, make those that are missing, and keep them for others.

        Once `going` says no, what is not made is left.
        """
        try:
            codes = self._fitting_codes(view)
            if codes is None:
                codes = Codes.open(self._folder, view.generation, view.vectors)
            if codes.covered:
                self._codes = codes
            codes.update(view.vectors, going)
            self._codes = codes
            if not self._catalog.read_only and going():
                with contextlib.suppress(OSError):  # only a cache
                    codes.save(self._folder)
        except (ImportError, OSError, RuntimeError, ValueError):
            # Installed, but not for this machine; or the codec failed. Scanning always works.
            self._codes_broken = True

    # -------------------------------------------------------------- the inverted file

    def _ivf_of(self, view: _View) -> Ivf | None:
        """Return the inverted file of a very large store; None where codes are to be scanned.

        It takes minutes to make, so that is done in a thread of its own, and not by a process
        that searches only once.
        """
        if not self._is_listed(view):
            return None
        rows = view.vectors.rows
        with self._coder_lock:
            looked, searched_before = self._ivf_state, bool(self._ivf_state[0])
            if looked != (view.generation, rows):
                self._ivf_state = (view.generation, rows)
                if self._ivf is None or looked[0] != view.generation:
                    self._open_ivf(view)
            if (
                searched_before
                and not self._catalog.read_only
                and (self._lister is None or not self._lister.is_alive())
                and (self._ivf is None or rows - self._ivf.covered > ivf_.WORTH_WRITING)
                and ivf_.behind(self._folder, view.generation, rows)
            ):
                self._lister = threading.Thread(
                    target=self._list, args=(view, self._goes_on), name="pixseek-ivf"
                )
                self._lister.start()
        found = self._ivf
        if found is None or found.generation != view.generation:
            return None
        return found if rows - found.covered <= _UNLISTED_ROWS else None

    def _is_listed(self, view: _View) -> bool:
        return view.vectors.rows >= IVF_ROWS and not self._ivf_broken and ivf_.available()

    def _open_ivf(self, view: _View) -> None:
        try:
            self._ivf = Ivf.open(self._folder, view.generation, view.vectors)
        except (ImportError, OSError, RuntimeError):
            self._ivf, self._ivf_broken = None, True  # the codes always work

    def _list(self, view: _View, going: Callable[[], bool]) -> None:
        """Make the inverted file of a view, and use it."""
        try:
            ivf_.build(self._folder, view.generation, view.vectors, going)
        except (ImportError, OSError, RuntimeError):
            self._ivf_broken = True
            return
        if going():
            self._open_ivf(view)

    def _goes_on(self) -> bool:
        """Return whether work in the background should go on."""
        return not self._closing and threading.main_thread().is_alive()

    # -------------------------------------------------------------- snapshots

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[tuple[sqlite3.Connection, _View | None]]:
        """Lend a connection in a read transaction, and what it says of the vectors.

        The view is None when nothing was ever stored; nothing may then be asked of the
        connection.
        """
        if self._view is None and not self._catalog.path.exists():
            with contextlib.closing(sqlite3.connect(":memory:")) as nothing:
                yield nothing, None
            return
        with self._catalog.reading() as db:
            # Under the lock, so that views are made in the order of their snapshots.
            with self._view_lock:
                view = self._refresh(db)
            yield db, view

    def _refresh(self, db: sqlite3.Connection) -> _View | None:
        for attempt in range(5):
            db.execute("BEGIN")
            active = spaces.active(db)
            if active is None:
                return None
            try:
                self._view = self._look(db, active)
            except FileNotFoundError:
                # Another process dropped this generation just now.
                if attempt == 4:
                    raise
                db.execute("ROLLBACK")
                continue
            return self._view
        raise AssertionError("the last attempt returned or raised")

    def _look(self, db: sqlite3.Connection, held: Held) -> _View:
        """Return the view of a space in a snapshot, keeping what is still true of the last one."""
        old = self._view
        if old is not None and old.generation != held.generation:
            old = None
        counts = (held.records, held.held, held.active)
        if old and (old.vectors.rows, old.deaths) == (held.rows, held.deaths):
            if (old.records, old.held, old.active) == counts:
                return old
            return replace(old, records=held.records, held=held.held, active=held.active)
        if old and old.vectors.rows == held.rows:
            vectors = old.vectors
        else:
            path = self._vector_path(held.generation)
            if held.rows or path.exists():
                vectors = VectorFile(path, held.rows, held.space.dim)
            else:
                vectors = VectorFile(Path(os.devnull), 0, held.space.dim)
        found = db.execute(
            "SELECT row FROM dead WHERE space = ? AND number > ?",
            (held.number, old.deaths if old else 0),
        )
        died = np.fromiter((row for (row,) in found), np.int64)
        dead = np.sort(np.concatenate([old.dead, died]) if old else died)
        return _View(held.space, held.number, held.generation, vectors, dead, held.deaths, *counts)

    # -------------------------------------------------------------- the end

    def close(self) -> None:
        """Tidy up after writing, and let go of everything; further calls are an error."""
        self._closing = True
        try:
            for worker in (self._coder, self._lister):
                if worker is not None:
                    worker.join()
            if self._wrote:
                self._wrote = False
                # Everything is stored already. What can't be tidied now is another time.
                with contextlib.suppress(PixseekError, OSError):
                    self._tidy()
        finally:
            self._view = self._codes = self._ivf = self._row_filters = None
            self._catalog.close()

    def _tidy(self) -> None:
        with self._snapshot() as (db, view):
            if view is None:
                return
            many = db.execute(
                "SELECT 1 FROM space WHERE max(?, rows / 4) < "
                "(SELECT count(*) FROM dead WHERE space = space.number)",
                (COMPACT_ROWS,),
            ).fetchone()
        if many:
            self.compact()
            with self._snapshot() as (_, view):
                pass
            if view is None:
                return
        rows = view.vectors.rows
        if self._is_listed(view):
            if ivf_.behind(self._folder, view.generation, rows):
                self._list(view, lambda: True)
            if self._is_listed(view):  # that did not fail
                codes_.delete(self._folder, view.generation)
                return
        if self._is_coded(view) and codes_.behind(self._folder, view.generation, rows):
            self._code(view, lambda: True)

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


_SELECT_KNOWN = "SELECT id, uri, size, mtime_ns, digest FROM record"


def _is_one(one: Space | None, other: Space) -> bool:
    """Return whether these are one space, whatever its model is called."""
    return one is not None and (one.fingerprint, one.dim) == (other.fingerprint, other.dim)


def _known(rows: Iterable[tuple[Any, ...]]) -> Iterator[Known]:
    for id_, uri, size, mtime_ns, digest in rows:
        yield Known(id_, uri, columns.stamp_of(size, mtime_ns), catalog.unpacked(digest) or "")


def _conforms(engine: EmbeddedEngine) -> Engine:
    return engine  # checked by mypy
