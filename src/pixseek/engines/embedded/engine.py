"""The embedded engine: a folder with a SQLite database and a flat file of float16 vectors.

    records.sqlite              records, parts, words, and how many rows of the vectors count
                                (catalog)
    vectors-GENERATION.f16      the vectors, appended only (vectorfile)
    codes-GENERATION-....tv     a cache by which large stores are searched (codes)
    ivf-GENERATION-....faiss    another one, for very large stores (ivf)

A search goes from the rows that fulfil a filter (row_filters) to the rows that can be the nearest
(candidates) to the records that own them (answers). A search for words asks SQLite (fulltext).

Each space has files of its own; records are the same for all (spaces).

A write appends vectors, waits for the disk, and then commits records and row count together
(writing); so after a crash a record is there with all its vectors, or not at all. The rows of a
replaced or deleted record are marked dead. When a writer closes and many are dead, they are
dropped by writing a new generation of the file. Readers are never blocked: each search sees one
snapshot (snapshots).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pixseek.engines import columns, rules
from pixseek.engines.base import BaseEngine
from pixseek.engines.embedded import (
    answers,
    codes,
    counting,
    facet_values,
    fulltext,
    kept,
    reading,
    spaces,
    writing,
)
from pixseek.engines.embedded.candidates import Candidates
from pixseek.engines.embedded.catalog import Catalog
from pixseek.engines.embedded.indexes import Indexes
from pixseek.engines.embedded.reading import IS_AWAY
from pixseek.engines.embedded.row_filters import RowFilters
from pixseek.engines.embedded.snapshots import Session, Snapshot, Snapshots, View
from pixseek.engines.embedded.spaces import Held
from pixseek.engines.embedded.sqlite_filters import select, where_sql
from pixseek.engines.embedded.vectorfile import Mask
from pixseek.engines.rules import Answer
from pixseek.errors import PixseekError
from pixseek.storage.errors import translated
from pixseek.types import (
    Capabilities,
    Engine,
    FacetField,
    Filter,
    Known,
    Neighbours,
    Order,
    Outlines,
    Outlining,
    Reach,
    Record,
    Space,
    WordMatches,
)

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Dead rows are dropped when a writer closes and they are more than this, and a quarter of all.
COMPACT_ROWS = 4_096

_NAME = "records.sqlite"
#: Digests looked up by one statement.
_DIGESTS = 500


def open_embedded(
    folder: str | Path,
    *,
    read_only: bool | None = None,
    lock_timeout_s: float = 30.0,
    progress: Callable[[int, int], None] | None = None,
) -> EmbeddedEngine:
    """Open the embedded engine in a folder. Nothing is made there before the first `ensure`.

    Args:
        folder: need not exist, unless `read_only`. Behind `embedded:` it may end in `?breadth=N`:
            how many candidates the index of a large library is asked for.
        read_only: True never to write, not even the cache; None to find out.
        lock_timeout_s: how long a write waits for another process that writes.
        progress: called while the library of an older pixseek is brought up to date, with how many
            records are done, and how many there are.

    Raises:
        LibraryFormatError: it was written by a newer pixseek, is damaged, or is not a library.
        LibraryNotFoundError: it should be opened read-only and is not there.
        StorageError: it can't be read.
    """
    named, breadth = str(folder), None
    if named.startswith("embedded:"):
        named = named.removeprefix("embedded:")
        if found := re.fullmatch(r"(?s)(.*)\?breadth=([1-9]\d{0,8})", named):
            named, breadth = found[1], int(found[2])
    path = Path(named) / _NAME
    if read_only is None:
        with translated(path):
            read_only = path.exists() and not (
                os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
            )
    return EmbeddedEngine(Catalog(path, read_only, lock_timeout_s, progress), breadth)


class EmbeddedEngine(BaseEngine[Session, Snapshot, Held]):
    """The engine in one folder of this machine. See `types.Engine`; open it by `open_embedded`.

    Errors of the disk are StorageError, and of damaged files LibraryFormatError; a failed write
    leaves everything as it was, and the engine usable. A write raises LibraryLockedError if another
    process wrote all the time.

    Scores are computed from the float16 vectors. Which records are the nearest is exact up to
    `indexes.EXACT_ROWS` vectors, and if a filter leaves up to `candidates.GATHER_ROWS`; above that
    an index chooses candidates.

    Attributes:
        indexes: the caches that large stores are searched by.
    """

    def __init__(self, catalog_: Catalog, breadth: int | None = None) -> None:
        self._catalog, self._breadth = catalog_, breadth
        self._folder = self._subject = catalog_.path.parent
        self._snapshots = Snapshots(catalog_)
        self.indexes = Indexes(self._folder, read_only=catalog_.read_only)
        self._row_filters: RowFilters | None = None
        self._wrote = False
        self.capabilities = Capabilities(exact=not codes.available(8), text_search="bm25")

    # -------------------------------------------------------------- sessions

    @contextlib.contextmanager
    def _looking(self) -> Iterator[Session | None]:
        if not self._snapshots.is_there:
            yield None
            return
        with self._catalog.reading() as db:
            yield Session(db)

    def _reading(self) -> contextlib.AbstractContextManager[Snapshot | None]:
        return self._snapshots.lend()

    @contextlib.contextmanager
    def _writing(self, *, alone: bool) -> Iterator[Session]:
        with self._catalog.writing() as db:  # always alone
            yield Session(db)

    # -------------------------------------------------------------- spaces

    def _spaces(self, at: Session | Snapshot) -> list[Held]:
        return spaces.every(at.db)

    def _add(self, at: Session, space: Space, *, active: bool) -> None:
        spaces.add(at.db, space, active=active)

    def _activate(self, at: Session, held: Held, model: str) -> None:
        spaces.activate(at.db, held.number, model)
        self._wrote = True

    def _drop(self, at: Session, held: Held) -> None:
        spaces.drop(at.db, held.number)

    def _after_drop(self) -> None:
        self._sweep()

    def _is_empty(self, at: Session) -> bool:
        return at.db.execute("SELECT 1 FROM record LIMIT 1").fetchone() is None

    def _held(self, at: Session, held: Held) -> int:
        return held.held

    # -------------------------------------------------------------- writing

    def _prepared(self, records: Sequence[Record]) -> list[columns.Columns]:
        return [columns.to_columns(record) for record in records]

    def _put(
        self,
        at: Session,
        held: Sequence[Held],
        records: Sequence[Record],
        rows: Sequence[columns.Columns],
        vectors: Vectors,
    ) -> None:
        with writing.appended(self._folder, held[0], vectors):
            writing.put_records(at.db, held, records, rows)
        self._wrote = True

    def _describe(
        self, at: Session, active: Held, records: Sequence[Record], rows: Sequence[columns.Columns]
    ) -> None:
        writing.describe(at.db, records, rows)

    def _put_vectors(
        self, at: Session, held: Held, records: Sequence[Record], vectors: Vectors
    ) -> None:
        numbers = reading.numbers_of(at.db, [record.id for record in records])
        with writing.appended(self._folder, held, vectors):
            writing.put_parts(at.db, held, [(numbers[each.id], each) for each in records])
        self._wrote = True

    def _delete(self, at: Session, held: Sequence[Held], ids: Sequence[str]) -> int:
        self._wrote = True
        return writing.delete(at.db, held, ids)

    def _stored(self, at: Session | Snapshot, ids: Sequence[str]) -> dict[str, Record]:
        numbers = reading.numbers_of(at.db, ids)
        records = reading.records_of(at.db, at.number, list(numbers.values()))
        return {id_: records[number][0] for id_, number in numbers.items()}

    def _having(self, at: Session, held: Held, ids: Sequence[str]) -> Collection[str]:
        return spaces.having(at.db, held.number, reading.numbers_of(at.db, ids))

    def compact(self) -> None:
        """Drop dead rows from the vectors, and delete files that are no longer used.

        Readers go on with the old file, and take the new one at their next search.

        Raises:
            StorageError: the disk is full (both files are needed for a while); nothing changed.
        """
        if self.space is None:
            return
        with self._catalog.writing() as db:
            for held in spaces.every(db):
                view = self._snapshots.look(db, held)
                if len(view.dead):
                    writing.rewrite(db, self._folder, view)
            facet_values.forget_unused(db)
        self._sweep()

    def _sweep(self) -> None:
        """Delete the files of generations that are no longer used.

        Only after a commit, but with the lock held again: a file that another process is writing
        just now must not look unused.
        """
        with self._catalog.writing() as db:
            kept = {generation for (generation,) in db.execute("SELECT generation FROM space")}
            self.indexes.sweep(kept)
            for path in self._folder.glob("vectors-*.f16"):
                if path.stem.removeprefix("vectors-") not in kept:
                    with contextlib.suppress(OSError):  # mapped by a reader on Windows
                        path.unlink()

    # -------------------------------------------------------------- reading

    def _vectors(self, at: Snapshot, ids: Sequence[str]) -> dict[str, Vectors]:
        numbers = reading.numbers_of(at.db, ids)
        parts = reading.parts_of(at.db, at.number, list(numbers.values()))
        return {
            id_: at.view.vectors.read(np.array([row for row, _ in parts[number]], np.int64))
            for id_, number in numbers.items()
        }

    def _has_away(self, at: Snapshot) -> bool:
        return reading.has_away(at.db)

    def _lacking(self, at: Snapshot, held: Held, k: int, after: str) -> list[str]:
        return spaces.lacking(at.db, held.number, k, after)

    def _known(self, at: Snapshot, prefix: str) -> Iterator[Known]:
        end = columns.prefix_end(prefix)
        condition = "uri >= ?" if end is None else "uri >= ? AND uri < ?"
        return reading.known(at.db, condition, [prefix] if end is None else [prefix, end])

    def _with_digests(self, at: Snapshot, digests: Sequence[str]) -> Iterator[Known]:
        packed = [reading.packed(digest) for digest in digests]
        for start in range(0, len(packed), _DIGESTS):
            some = packed[start : start + _DIGESTS]
            yield from reading.known(at.db, f"digest IN (?{', ?' * (len(some) - 1)})", some)

    def _matching_ids(self, at: Snapshot, where: Filter | None) -> Iterator[str]:
        condition, parameters = where_sql(at.db, where)
        for (id_,) in at.db.execute(f"SELECT id FROM record WHERE {condition}", parameters):
            yield id_

    def _select(
        self,
        at: Snapshot,
        where: Filter | None,
        order: Order,
        descending: bool,
        k: int,
        offset: int,
    ) -> list[Record]:
        return select(at, where, order, descending, k, offset)

    def _count(self, at: Snapshot, where: Filter | None) -> int:
        if where is None:
            return at.view.records
        if where is rules.PRESENT:
            away = at.db.execute(f"SELECT count(*) FROM record WHERE {IS_AWAY}").fetchone()[0]
            return at.view.records - int(away)
        condition, parameters = where_sql(at.db, where)
        found = at.db.execute(f"SELECT count(*) FROM record WHERE {condition}", parameters)
        return int(found.fetchone()[0])

    def _sample(self, at: Snapshot, n: int) -> Vectors:
        found = at.db.execute(
            "SELECT row FROM record CROSS JOIN part ON part.record = record.number "
            "WHERE +space = ? ORDER BY id, ordinal LIMIT ?",
            (at.number, n),
        )
        return at.view.vectors.read(np.fromiter((row for (row,) in found), np.int64))

    def _export(self, at: Snapshot, batch: int) -> Iterator[tuple[list[Record], Vectors]]:
        cursor = at.db.execute("SELECT number FROM record ORDER BY uri, id")
        while numbers := [number for (number,) in cursor.fetchmany(batch)]:
            found = reading.records_of(at.db, at.number, numbers)
            rows = [row for number in numbers for row in found[number][1]]
            yield (
                [found[number][0] for number in numbers],
                at.view.vectors.read(np.array(rows, np.int64)),
            )

    def _page(self, at: Snapshot, held: Held, k: int, after: str) -> tuple[list[Record], Vectors]:
        cursor = at.db.execute(
            "SELECT number FROM record WHERE id > ? ORDER BY id LIMIT ?", (after, k)
        )
        numbers = [number for (number,) in cursor]
        found = reading.records_of(at.db, held.number, numbers)
        rows = np.array([row for number in numbers for row in found[number][1]], np.int64)
        vectors = at.view.vectors
        if held.number != at.number:
            vectors = self._snapshots.vectors_of(held)
        return [found[number][0] for number in numbers], vectors.read(rows)

    def _keep(self, kind: str, name: str, text: str | None) -> None:
        with self._catalog.writing() as db:
            kept.keep(db, kind, name, text)

    def _kept(self, kind: str) -> dict[str, str]:
        if not self._snapshots.is_there:
            return {}
        with self._catalog.reading() as db:
            return kept.of_kind(db, kind)

    # -------------------------------------------------------------- search

    def _nearest(
        self, at: Snapshot, vectors: Vectors, k: int, where: Filter | None, *, exact: bool
    ) -> tuple[list[list[Answer]], int, Reach]:
        view = at.view
        mask, total = self._mask(at, where)
        if not len(vectors):
            return [], total, Reach(True, total)
        candidates = self._candidates(view, len(vectors), mask, exact=exact)
        owners = self._row_filters_of(view).owners_at_hand(at.db, view)
        found = answers.nearest(at.db, view.number, candidates, vectors, k, owners)
        return found, total, candidates.reach(k, total)

    def _candidates(
        self, view: View, queries: int, mask: Mask | None, *, exact: bool
    ) -> Candidates:
        index = None if exact else self.indexes.best(view, queries)
        return Candidates(view.vectors, view.dead, index, mask, self._breadth)

    def outline(self, where: Filter | None, *, order: Order, descending: bool, k: int) -> Outlines:
        """Return the outlines of records in an order; see `types.Outlining`.

        Raises:
            QueryError: see `filters.check`.
        """
        rules.check(where)
        with self._reading() as at:
            if at is None or k < 1:
                return rules.no_outlines(self.count(where))
            from pixseek.engines.embedded import outlines  # which a search does without

            row_filters = self._row_filters_of(at.view)
            visible = self._visible(at, where)
            return outlines.browsed(at, row_filters, where, visible, order, descending, k)

    def outline_nearest(
        self,
        vectors: Vectors,
        k: int,
        where: Filter | None,
        *,
        order: Order | None,
        with_vectors: bool,
        exact: bool = False,
    ) -> list[tuple[Neighbours, Outlines]]:
        """Return the nearest records with their outlines; see `types.Outlining`.

        Raises:
            QueryError: see `filters.check`.
            EngineError: the vectors have another dimension, or are not finite.
        """
        from pixseek.engines.embedded import outlines

        rules.check(where)
        vectors = np.asarray(vectors, np.float32)
        with self._reading() as at:
            if at is None:
                none = rules.no_neighbours(vectors.shape[-1], 0), rules.no_outlines(0)
                return [none for _ in vectors]
            rules.check_query(vectors, at.space.dim)
            mask, total = self._mask(at, where)
            candidates = self._candidates(at.view, len(vectors), mask, exact=exact)
            row_filters = self._row_filters_of(at.view)
            return outlines.nearest(
                at, row_filters, candidates, vectors, max(1, k), total, order,
                with_vectors=with_vectors,
            )  # fmt: skip

    def _mask(self, at: Snapshot, where: Filter | None) -> tuple[Mask | None, int]:
        """Return the rows that a filter lets through, and of how many records; None for all."""
        if where is None:
            return None, at.view.held
        row_filters = self._row_filters_of(at.view)
        mask = row_filters.matching(at.db, at.view, where)
        return mask, int(np.count_nonzero(row_filters.first(at.db, at.view, mask)))

    def _row_filters_of(self, view: View) -> RowFilters:
        row_filters = self._row_filters
        if row_filters is None or not row_filters.fits(view):
            row_filters = self._row_filters = RowFilters(view)
        return row_filters

    def _answer_vectors(self, at: Snapshot, found: Sequence[Answer]) -> Vectors:
        return at.view.vectors.read(np.array([answer.key for answer in found], np.int64))

    def _find_words(
        self, at: Snapshot, words: Sequence[str], k: int, where: Filter | None, *, counted: bool
    ) -> WordMatches:
        condition, parameters = where_sql(at.db, where)
        records = at.view.records
        return fulltext.search(at.db, records, words, k, condition, parameters, counted=counted)

    def _facets(
        self, at: Snapshot, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]]:
        condition, parameters = where_sql(at.db, where)
        return counting.facets(at.db, condition, parameters, fields, most)

    # -------------------------------------------------------------- the end

    def close(self) -> None:
        """Tidy up after writing, and release everything; further calls are an error."""
        try:
            self.indexes.stop()
            if self._wrote:
                self._wrote = False
                # Everything is stored already. What can't be tidied now waits for another time.
                with contextlib.suppress(PixseekError, OSError):
                    self._tidy()
        finally:
            self._snapshots.forget()
            self.indexes.forget()
            self._row_filters = None
            self._catalog.close()

    def version(self) -> str | None:
        """Return a text that differs after each write, by any process."""
        return self._catalog.version() if self._snapshots.is_there else None

    def _tidy(self) -> None:
        with self._reading() as at:
            if at is None:
                return
            many = at.db.execute(
                "SELECT 1 FROM space WHERE max(?, rows / 4) < "
                "(SELECT count(*) FROM dead WHERE space = space.number)",
                (COMPACT_ROWS,),
            ).fetchone()
            view = at.view
        if many:
            self.compact()
            with self._reading() as at:
                if at is None:
                    return
                view = at.view
        self.indexes.update(view)


def _conforms(engine: EmbeddedEngine) -> tuple[Engine, Outlining]:
    return engine, engine  # checked by mypy
