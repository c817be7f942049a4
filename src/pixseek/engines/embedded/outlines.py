"""Outlines of very many records in the embedded engine; see `types.Outlining`.

What is read of a row (whose it is, the shape of its image, what hits are sorted by) stands in
columns in memory (`row_filters`), since looking up a hundred thousand records in SQLite takes half
a second. A snapshot that is older than these columns is read by SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pixseek.engines import rules
from pixseek.engines.embedded.candidates import Candidates
from pixseek.engines.embedded.reading import IS_AWAY, LISTED, chunks, damaged
from pixseek.engines.embedded.row_filters import RowFilters
from pixseek.engines.embedded.snapshots import Snapshot
from pixseek.engines.embedded.sqlite_filters import order_sql, where_sql
from pixseek.engines.embedded.vectorfile import Mask, Rows
from pixseek.types import Filter, Neighbours, Order, Outlines
from pixseek.types.queries import comparisons

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: An index is asked for fewer than one row in so many: to find more it looks at all rows, and
#: scoring them is quicker then.
_FEW = 64
#: The fields whose values stand in columns by row.
_IN_COLUMNS = ("taken_at", "mtime", "size")
#: What `Outlines.values` are made from, in SQL. A wall clock is a text that numpy reads.
_SQL: dict[Order, str] = {
    "taken_at": "substr(taken_at, 1, 26)", "mtime": "mtime_ns", "size": "size", "uri": "uri",
    "name": "uri",
}  # fmt: skip
_SHAPE = "width, height"


def nearest(
    at: Snapshot,
    row_filters: RowFilters,
    candidates: Candidates,
    queries: Vectors,
    k: int,
    total: int,
    order: Order | None,
    *,
    with_vectors: bool,
) -> list[tuple[Neighbours, Outlines]]:
    """Return the k nearest records to each query, best first, ties by id, with their outlines.

    Args:
        at: a snapshot.
        row_filters: that fit it.
        candidates: the rows of that snapshot to choose from.
        queries: (q, dim) float32.
        k: at least 1.
        total: how many records there are to choose from.
        order: the field of the outlines' values.
        with_vectors: whether to read the vectors of the neighbours.
    """
    if candidates.index is not None and k * _FEW >= candidates.count:
        candidates = replace(candidates, index=None)
    return [
        _nearest(at, row_filters, candidates, query, rows, k, total, order, with_vectors)
        for query, rows in zip(queries, candidates.nearest(queries, k), strict=True)
    ]


def _nearest(
    at: Snapshot,
    row_filters: RowFilters,
    candidates: Candidates,
    query: Vectors,
    rows: Rows,
    k: int,
    total: int,
    order: Order | None,
    with_vectors: bool,
) -> tuple[Neighbours, Outlines]:
    """Return the nearest to one query, of which the nearest rows are known."""
    among, count = candidates.count, k
    while True:
        scores = candidates.vectors.score(rows, query)
        facts = _Facts(at, row_filters, rows)
        best = facts.best(scores, k)
        # Records of many parts may have taken the places of others.
        if len(best) >= min(k, among) or count >= among:
            break
        count *= 4
        (rows,) = candidates.nearest(query[None], count)
    dim = candidates.vectors.dim
    vectors = (
        candidates.vectors.read(rows[best]) if with_vectors else np.empty((0, dim), np.float32)
    )
    outlines = facts.outlines(best, order, total)
    found = Neighbours(
        outlines.ids,
        scores[best].astype(np.float32),
        vectors,
        tuple(facts.ordinals[best].tolist()),
        total,
        candidates.reach(k, total),
    )
    return found, outlines


def browsed(
    at: Snapshot,
    row_filters: RowFilters,
    where: Filter | None,
    visible: Filter | None,
    order: Order,
    descending: bool,
    k: int,
) -> Outlines:
    """Return the outlines of the first k records in an order.

    Args:
        at: a snapshot.
        row_filters: that fit it.
        where: which records.
        visible: the same without those that are away, unless they are asked for.
        order, descending: as for `types.Engine.select`.
        k: at least 1.
    """
    db, view = at.db, at.view
    (away,) = db.execute(f"SELECT count(*) FROM record WHERE {IS_AWAY}").fetchone()
    names_away = where is not None and any(each.field == "away" for each in comparisons(where))
    if view.held == view.records - away and not names_away:  # each has rows
        if where is None:
            mask = np.ones(view.vectors.rows, np.bool_)
            mask[view.dead] = False
        else:
            mask = row_filters.matching(db, view, where)
        mask = row_filters.first(db, view, mask)
        found = _by_columns(at, row_filters, mask, order, descending, k)
        if found is not None:
            return found
    condition, parameters = where_sql(db, visible)
    is_all = visible is None or visible is rules.PRESENT
    ordered = order_sql(order, descending, by_index=is_all)
    rows = db.execute(
        f"SELECT id, {_SHAPE}, {_SQL[order]} FROM record WHERE {condition} "
        f"ORDER BY {ordered} LIMIT ?",
        (*parameters, k),
    ).fetchall()
    total = view.records if visible is None else view.records - away
    if not is_all:
        counted = db.execute(f"SELECT count(*) FROM record WHERE {condition}", parameters)
        (total,) = counted.fetchone()
    return Outlines(
        tuple(id_ for id_, *_ in rows),
        _aspects([width for _, width, _, _ in rows], [height for _, _, height, _ in rows]),
        _values(order, [value for *_, value in rows]) if order in _IN_COLUMNS else (),
        total,
    )


def _by_columns(
    at: Snapshot,
    row_filters: RowFilters,
    mask: Mask,
    order: Order,
    descending: bool,
    k: int,
) -> Outlines | None:
    """Return the first k records in an order; None if columns can't tell.

    Args:
        at: a snapshot.
        row_filters: that fit it.
        mask: the first rows of the records to choose from, (rows,) bool.
        order, descending, k: as for `browsed`.
    """
    owners = row_filters.owners(at.db, at.view)
    if owners is None:
        return None
    ids, sign = owners[0], -1 if descending else 1
    nothing = np.zeros(len(mask), np.int64)
    groups: tuple[tuple[Mask, NDArray[np.int64]], ...]
    if order in _IN_COLUMNS:
        values = row_filters.values(at.db, at.view, order)
        times = row_filters.values(at.db, at.view, "mtime") if order == "taken_at" else values
        if values is None or times is None:
            return None
        known, dated = mask & (values[-1] > 0), mask & (times[-1] > 0)
        # Those without a value come last; those without a date by the time of their file.
        rest = mask & ~known & ~dated
        groups = (known, values[0]), (dated & ~known, times[0]), (rest, nothing)
    else:
        ordered = order_sql(order, descending, by_index=True)
        places = row_filters.places(at.db, at.view, ordered)
        if places is None:
            return None
        groups, sign = ((mask, places),), 1
    chosen: list[Rows] = []
    left = k
    for among, keys in groups:
        rows = np.flatnonzero(among)
        falling = sign * keys[rows]
        if len(rows) > left:
            few = falling <= np.partition(falling, left - 1)[left - 1]  # with all that tie
            rows, falling = rows[few], falling[few]
        chosen.append(rows[np.lexsort((ids[rows], falling))][:left])
        left -= len(chosen[-1])
        if not left:
            break
    facts = _Facts(at, row_filters, np.concatenate(chosen))
    valued = order if order in _IN_COLUMNS else None
    return facts.outlines(slice(None), valued, int(np.count_nonzero(mask)))


class _Facts:
    """What is known of some rows of a snapshot.

    Attributes:
        ids, ordinals: of each: the id of its record in UTF-8, and which of its parts it is.
    """

    def __init__(self, at: Snapshot, row_filters: RowFilters, rows: Rows) -> None:
        self._at, self._row_filters, self._rows = at, row_filters, rows
        owners = row_filters.owners(at.db, at.view)
        if owners is None:
            found = self._by_sql(rows, "record_id, ordinal")
            self.ids = np.array([id_.encode() for id_, _ in found], np.bytes_)
            self.ordinals = np.array([ordinal for _, ordinal in found], np.int32)
        else:
            self.ids, self.ordinals = owners[0][rows], owners[1][rows]

    def best(self, scores: NDArray[np.float64], k: int) -> Rows:
        """Return the positions of the k best records' best rows, ties by id and part."""
        order = np.lexsort((self.ordinals, self.ids, -scores))
        if self._at.view.held != self._at.view.alive:  # some records have several parts
            _, first = np.unique(self.ids[order], return_index=True)
            order = order[np.sort(first)]
        return order[:k]

    def outlines(self, places: Rows | slice, order: Order | None, total: int) -> Outlines:
        """Return the outlines of the records of some of the rows."""
        ids, rows = self.ids[places], self._rows[places]
        return Outlines(
            _decoded(ids),
            self._aspects(rows),
            self._values(rows, order) if order else (),
            total,
        )

    def _aspects(self, rows: Rows) -> NDArray[np.float64]:
        sides = [
            self._row_filters.values(self._at.db, self._at.view, field)
            for field in ("width", "height")
        ]
        if None in sides:
            found = self._by_sql(rows, _SHAPE)
            return _aspects([width for width, _ in found], [height for _, height in found])
        return _aspects(*(each[0][rows] for each in sides if each is not None))

    def _values(self, rows: Rows, order: Order) -> list[Any]:
        found = None
        if order in _IN_COLUMNS:
            found = self._row_filters.values(self._at.db, self._at.view, order)
        if found is None:
            return _values(order, [value for (value,) in self._by_sql(rows, _SQL[order])])
        values, known = found[0][rows].tolist(), (found[-1][rows] > 0).tolist()
        return [value if one else None for value, one in zip(values, known, strict=True)]

    def _by_sql(self, rows: Rows, what: str) -> list[tuple[Any, ...]]:
        found = {
            row: values
            for some in chunks(sorted(rows.tolist()))  # neighbours lie on the same page
            for row, *values in self._at.db.execute(
                f"SELECT part.row, {what} FROM part JOIN record ON record.number = part.record "
                f"WHERE part.space = ? AND part.row IN ({LISTED})",
                (self._at.number, some),
            )
        }
        try:
            return [tuple(found[row]) for row in rows.tolist()]
        except KeyError as error:
            raise damaged(f"the vector {error} has no record") from error


def _decoded(ids: NDArray[np.bytes_]) -> tuple[str, ...]:
    """Return ids as texts. None has a NUL."""
    return tuple(b"\0".join(ids.tolist()).decode().split("\0")) if len(ids) else ()


def _aspects(
    widths: Sequence[int | None] | NDArray[np.int64],
    heights: Sequence[int | None] | NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return width by height; NaN where one is missing or 0."""
    wide, high = np.array(widths, np.float64), np.array(heights, np.float64)
    known = (wide > 0) & (high > 0)  # NaN, for None, is not
    return np.where(known, wide / np.where(known, high, 1), np.nan)


def _values(order: Order, found: Sequence[Any]) -> list[Any]:
    """Return the values of outlines from what `_SQL` selects."""
    if order == "name":
        return [uri.rpartition("/")[2].casefold() for uri in found]
    if order != "taken_at":
        return list(found)
    clocks = np.array([text for text in found if text], "datetime64[us]").astype(np.int64).tolist()
    known = iter(clocks)
    return [next(known) if text else None for text in found]
