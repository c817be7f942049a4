"""Filters over the rows of a vector file, from columns of their fields in memory.

SQL takes about 0.5 us a record to compare a number, and 5 us if it must ask Python; a column in
numpy takes about 1 ns. A row never changes its record, so a column is only appended to. If a record
is replaced it gets new rows; if only its metadata change, it is marked (`spaces`), and columns read
again what has changed since they were loaded.

A column is loaded when its field is used for the second time: loading takes about as long as one
filter in SQL, and many processes search once. Columns of integers are loaded at once, since that
takes half as long (0.6 s for a million rows, SQL 1.4 s if half of them match).

Ids, URIs, names, digests and captions differ from record to record, so a column would gain little:
they stay in SQL, as do fields that turn out to hold too many different texts.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixseek.engines.embedded.row_filters.column import Column
from pixseek.engines.embedded.row_filters.fields import (
    INTEGERS,
    IntegerColumn,
    new_column,
)
from pixseek.engines.embedded.snapshots import View
from pixseek.engines.embedded.sqlite_filters import where_sql
from pixseek.engines.embedded.vectorfile import Mask
from pixseek.types import And, Compare, Filter, Not, Or
from pixseek.types.queries import comparisons

#: Memory for the columns of one library, in bytes: about a dozen of a million rows.
MEMORY = 128 * 1024 * 1024
#: Up to this many rows that one half of an And leaves are looked up for its other half.
FEW = 10_000


class RowFilters:
    """Filters over the rows of one vector file. Safe to use from several threads."""

    def __init__(self, view: View) -> None:
        """Start without columns, for the vector file of a view."""
        self._of = (view.generation, view.active)
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._in_sql: set[str] = set()
        self._columns: dict[str, Column] = {}  # the least recently used first
        self._ordinals = IntegerColumn("ordinal", is_time=False)
        self._owners: Column | None = None  # a search does without
        self._places: dict[str, tuple[tuple[int, ...], NDArray[np.int64]]] = {}

    def fits(self, view: View) -> bool:
        """Return whether what was learnt of rows holds for the vector file of a view."""
        return self._of == (view.generation, view.active)

    @property
    def columns(self) -> dict[str, int]:
        """The bytes of memory that each loaded column takes, the least recently used first."""
        with self._lock:
            return {field: column.size for field, column in self._columns.items()}

    def matching(self, db: sqlite3.Connection, view: View, where: Filter) -> Mask:
        """Return which rows count and belong to records that fulfil a filter, (rows,) bool.

        Args:
            db: in the transaction of the view.
            view: for which this `fits`.
            where: see `filters.check`.
        """
        compared = list(comparisons(where))
        fields = {_column_of(compare) for compare in compared}
        with self._lock:
            used = {
                field: self._column(field)
                for field in sorted(fields)
                if field in self._asked or field in INTEGERS
            }
            self._asked |= fields
        masks: dict[int, Mask] = {}  # by id(): Compare(x, eq, 1) equals Compare(x, eq, True)
        for compare in compared:
            column = used.get(_column_of(compare))
            if column is not None:
                mask = column.matching(db, view, compare)
                if mask is not None:
                    masks[id(compare)] = mask
        with self._lock:
            self._in_sql.update(
                field for field, column in used.items() if column and column.overfull
            )
            for field in self._in_sql & self._columns.keys():
                del self._columns[field]
            while len(self._columns) > 1 and sum(c.size for c in self._columns.values()) > MEMORY:
                del self._columns[next(iter(self._columns))]
        rows = view.vectors.rows
        mask = _Evaluation(db, view.number, rows, masks).of(where)
        mask[view.dead] = False
        return mask

    def first(self, db: sqlite3.Connection, view: View, rows: Mask) -> Mask:
        """Return the first of some rows of each record, (rows,) bool.

        Args:
            db: in the transaction of the view.
            view: for which this `fits`.
            rows: all rows of some records, none of them dead.
        """
        if view.held == view.alive:  # no record has several parts
            return rows
        return rows & self.first_parts(db, view)

    def first_parts(self, db: sqlite3.Connection, view: View) -> Mask:
        """Return which rows hold the first part of their record, (rows,) bool; dead ones may."""
        mask = self._ordinals.matching(db, view, Compare("ordinal", "eq", 0))
        if mask is None:  # an older snapshot
            found = db.execute(
                "SELECT row FROM part WHERE space = ? AND ordinal = 0", (view.number,)
            )
            mask = np.zeros(view.vectors.rows, np.bool_)
            mask[np.fromiter((row for (row,) in found), np.int64)] = True
        return mask

    def owners(
        self, db: sqlite3.Connection, view: View
    ) -> tuple[NDArray[np.bytes_], NDArray[np.int32], NDArray[np.int64]] | None:
        """Return the id of each row's record in UTF-8, which of its parts the row is, its number.

        None if that can't be told; of dead rows they mean nothing.
        """
        from pixseek.engines.embedded.row_filters.owners import OwnerColumn

        with self._lock:
            if self._owners is None:
                self._owners = OwnerColumn()
        return self._owners.values(db, view)  # type: ignore[return-value]

    def owners_at_hand(
        self, db: sqlite3.Connection, view: View
    ) -> tuple[NDArray[np.bytes_], NDArray[np.int32]] | None:
        """Return the id of each row's record and which of its parts the row is; see `owners`.

        None if they were not asked for before: among a million images, reading them takes longer
        than a search, which looks up some hundred of them by 2 µs each.
        """
        with self._lock:
            at_hand = self._owners is not None
        found = self.owners(db, view) if at_hand else None
        return None if found is None else found[:2]

    def places(self, db: sqlite3.Connection, view: View, ordered: str) -> NDArray[np.int64] | None:
        """Return the place of each row's record among all, in an order of the database.

        None if that can't be told. The last two orders are known until something is written.

        Args:
            db: in the transaction of the view.
            view: for which this `fits`.
            ordered: what records are ordered by, in SQL, ties too.
        """
        owners = self.owners(db, view)
        if owners is None:
            return None
        state = (view.vectors.rows, view.logged, view.changes, view.records)
        with self._lock:
            kept = self._places.get(ordered)
        if kept is not None and kept[0] == state:
            return kept[1]
        (text,) = db.execute(
            "SELECT group_concat(number) FROM "
            f"(SELECT number FROM record ORDER BY {ordered} LIMIT -1)"
        ).fetchone()
        numbers = np.fromstring(text or "", np.int64, sep=",")
        place = np.zeros(max(int(numbers.max(initial=0)), int(owners[2].max(initial=0))) + 1,
                         np.int64)  # fmt: skip
        place[numbers] = np.arange(len(numbers))
        found = place[owners[2]]
        with self._lock:
            while len(self._places) > 1 and ordered not in self._places:
                del self._places[next(iter(self._places))]
            self._places[ordered] = (state, found)
        return found

    def values(
        self, db: sqlite3.Connection, view: View, field: str
    ) -> tuple[NDArray[Any], ...] | None:
        """Return the values of a field by row, as its column in `fields` says; None if unknown."""
        with self._lock:
            self._asked.add(field)
            column = self._column(field)
        return None if column is None else column.values(db, view)

    def _column(self, field: str) -> Column | None:
        """Return a field's column, still empty if it is new; None if there is none."""
        if field in self._in_sql:
            return None
        column = self._columns.pop(field, None) or new_column(field)
        if column is not None:
            self._columns[field] = column
        return column


def _column_of(compare: Compare) -> str:
    """Return the field whose column answers a comparison."""
    return "folder" if compare.op == "under" else compare.field


class _Evaluation:
    """One filter over the rows of one snapshot, some of its comparisons being done already."""

    def __init__(
        self, db: sqlite3.Connection, space: int, rows: int, masks: dict[int, Mask]
    ) -> None:
        self._db, self._space, self._rows, self._masks = db, space, rows, masks

    def of(self, where: Filter, within: Mask | None = None) -> Mask:
        """Return the rows that fulfil a filter, and any others dead or not in `within`."""
        if not self._is_begun(where):
            return self._by_sql(where, within)
        match where:
            case And(parts):
                mask = np.ones(self._rows, np.bool_) if within is None else within.copy()
                for part in filter(self._is_begun, parts):
                    mask &= self.of(part, mask)
                rest = tuple(itertools.filterfalse(self._is_begun, parts))
                return mask & self._by_sql(And(rest), mask) if rest else mask
            case Or(parts):
                mask = np.zeros(self._rows, np.bool_)
                for part in filter(self._is_begun, parts):
                    mask |= self.of(part, within)
                rest = tuple(itertools.filterfalse(self._is_begun, parts))
                return mask | self._by_sql(Or(rest), within) if rest else mask
            case Not(inner):
                return ~self.of(inner, within)
            case Compare():
                return self._masks[id(where)].copy()

    def _is_begun(self, where: Filter) -> bool:
        return any(id(compare) in self._masks for compare in comparisons(where))

    def _by_sql(self, where: Filter, within: Mask | None) -> Mask:
        condition, parameters = where_sql(self._db, where)
        few = None if within is None else np.flatnonzero(within)
        if few is not None and len(few) <= FEW:
            sql = (
                "SELECT part.row FROM part JOIN record ON record.number = part.record "
                "WHERE part.space = ? AND part.row IN (SELECT value FROM json_each(?)) "
                f"AND {condition}"
            )
            parameters = [self._space, json.dumps(few.tolist()), *parameters]
        else:
            # CROSS, and "+", so that SQLite looks at the records first.
            sql = (
                "SELECT part.row FROM record CROSS JOIN part ON part.record = record.number "
                f"WHERE +part.space = ? AND {condition}"
            )
            parameters = [self._space, *parameters]
        mask = np.zeros(self._rows, np.bool_)
        mask[np.fromiter((row for (row,) in self._db.execute(sql, parameters)), np.int64)] = True
        return mask
