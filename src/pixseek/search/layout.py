"""All hits of a query at once: ids, shapes and strengths, from which a page is laid out.

The order is that of a search, page after page. What differs is how much is read: an engine that
knows outlines (`types.Outlining`) gives cosines and shapes of a hundred thousand candidates without
their vectors and records.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pixseek.search import ordering, ranking
from pixseek.search import strength as strengths
from pixseek.search.asked import FEW, MANY, Asked, Backgrounds, check
from pixseek.search.searcher import EMPTY, SORTED_BY, Searcher
from pixseek.types import (
    WHOLE,
    And,
    Compare,
    Engine,
    Hit,
    Layout,
    Neighbours,
    Order,
    Outlines,
    Outlining,
    Query,
    Reach,
    Record,
    Results,
    Sort,
    Strength,
)
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Aspects = NDArray[np.float64]

#: The most hits of a layout; of one whose candidates' vectors are read, for several things or to
#: leave something out; and of one that shows copies once, which compares each hit with each.
MOST, MOST_MIXED, MOST_GROUPED = 100_000, 20_000, 2_000
#: Records that are read at a time if the engine knows no outlines.
_AT_ONCE = 2_000
_EPOCH, _MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)


def layout(searcher: Searcher, query: Query, most: int = MOST) -> Layout:
    """Return the layout of a query's hits.

    Args:
        searcher: of a library.
        query: what is asked; `k` and `offset` don't count. Without anything to look for and
            without a filter, the hits are all images.
        most: hits at most. There may be fewer; see `MOST`.

    Raises:
        QueryError, ImageError, ModelError, SpaceMismatchError: as `Searcher.search`.
    """
    most = min(most, MOST_GROUPED if query.group else MOST)
    query = replace(query, k=max(1, most), offset=0)
    check(query if query.where is not None else replace(query, where=And(())))
    began = time.perf_counter()
    asked = searcher.asked([query])[0]
    encoded = time.perf_counter()
    space = searcher.engine.space
    if space is None:
        found = _Listed((), _no_aspects(), (), None, Results((), query, {}, ""))
    elif query.terms:
        found = _ranked(searcher, asked, searcher.backgrounds()).listed()
    else:
        found = _browsed(searcher.engine, query)
    ended = time.perf_counter()
    said = found.said
    took = {"encode": encoded - began, "search": ended - encoded, "total": ended - began}
    is_empty = not found.ids and not searcher.engine.count()
    return Layout(
        ids=tuple(found.ids),
        aspects=found.aspects,
        strengths=tuple(found.strengths),
        months=found.months,
        query=query,
        took_ms={stage: seconds * 1000 for stage, seconds in took.items()},
        model=space.model if space else searcher.model,
        warnings=((EMPTY,) if is_empty else ()) + asked.warnings + said.warnings,
        strong=said.strong,
        likely=said.likely,
        looked_at=said.looked_at,
        total=said.total,
        excluded=said.excluded,
        search=said.search,
        parts=tuple(found.parts),
    )


def hit(searcher: Searcher, query: Query, image: str) -> Hit | None:
    """Return one image as a hit of a query; None if it is not stored, or a filter keeps it out.

    Args:
        searcher: of a library.
        query: what is asked; `k` and `offset` don't count.
        image: its id.

    Returns:
        As in the layout of the query. Its rank is 0 if it is not listed there: it lies deeper, or
        is left out, matches too little, or is shown by a copy.

    Raises:
        QueryError, ImageError, ModelError, SpaceMismatchError: as `Searcher.search`.
    """
    query = replace(query, k=MOST_GROUPED if query.group else MOST, offset=0)
    check(query if query.where is not None else replace(query, where=And(())))
    engine = searcher.engine
    (record,) = engine.get([image])
    if record is None or record.away:
        return None
    if query.where is not None and not engine.count(And((query.where, Compare("id", "eq", image)))):
        return None
    if not query.terms:
        return Hit(0, record, (*record.parts, WHOLE)[0], 0.0, searcher.locate(record))
    asked = searcher.asked([query])[0]
    backgrounds = searcher.backgrounds()
    # Whoever looks at a hit mostly looks at one of the first.
    if query.sort == "relevance":
        depth = MANY if ordering.needs_vectors(asked) else FEW
        found = _Ranked(searcher, asked, backgrounds, searcher.at_most(depth)).hit(record)
        if found is not None and 0 < found.rank <= FEW:
            return found
    deep = _ranked(searcher, asked, backgrounds)
    return deep.hit(record) or deep.hit_alone(record)


def page(searcher: Searcher, asked: Asked, backgrounds: Backgrounds) -> Results:
    """Return a page of a query that is sorted by a field, out of as many hits as its layout."""
    return _Ranked(searcher, asked, backgrounds, searcher.at_most(_most(asked))).page()


def _ranked(searcher: Searcher, asked: Asked, backgrounds: Backgrounds) -> _Ranked:
    """Rank as many candidates as the layout of a query needs."""
    query, most = asked.query, _most(asked)
    if query.sort == "relevance":
        wanted = min(query.k, most) + len(asked.own)
        if wanted <= FEW and asked.depth <= FEW:
            return _Ranked(searcher, asked, backgrounds, FEW)
        depth = math.ceil(min(wanted, MOST) / MANY) * MANY  # in whole blocks
        return _Ranked(searcher, asked, backgrounds, depth)
    # What comes first by a field may match worst, so all that match well enough are needed.
    few = _Ranked(searcher, asked, backgrounds, min(MANY, most))
    return few if few.has_all else _Ranked(searcher, asked, backgrounds, most)


def _most(asked: Asked) -> int:
    """Return how many candidates of a query are ranked at most."""
    return MOST_MIXED if ordering.needs_vectors(asked) else MOST


@dataclass(frozen=True, slots=True, eq=False)
class _Listed:
    """The hits of a layout, with what `said` counts among all candidates."""

    ids: Sequence[str]
    aspects: Aspects
    strengths: Sequence[tuple[Strength, int]]
    months: tuple[tuple[str | None, int], ...] | None
    said: Results
    parts: Sequence[int] = ()


class _Ranked:
    """The best candidates of one query, in their order."""

    def __init__(
        self, searcher: Searcher, asked: Asked, backgrounds: Backgrounds, depth: int
    ) -> None:
        """Rank this many candidates, or as many as the engine can give."""
        import numpy as np

        self._searcher, self._asked, self._backgrounds = searcher, asked, backgrounds
        query, engine = asked.query, searcher.engine
        self._field, self._descending = SORTED_BY[query.sort]
        order: Order | None = None if query.sort == "relevance" else self._field
        directions = np.stack([each.direction(backgrounds) for each in asked.each])
        outlines: list[Outlines] = []
        nearest: list[Neighbours]
        knows_outlines = isinstance(engine, Outlining)
        depth = searcher.at_most(depth if knows_outlines else min(depth, MOST_MIXED))
        if isinstance(engine, Outlining):
            both = engine.outline_nearest(
                directions, depth, query.where,
                order=order, with_vectors=ordering.needs_vectors(asked), exact=query.exact,
            )  # fmt: skip
            nearest = [each for each, _ in both]
            outlines = [each for _, each in both]
        else:
            how = {"exact": True} if query.exact else {}
            nearest = engine.nearest(directions, depth, query.where, **how)
        self._nearest = ranking.merged(nearest)
        self._shapes = _Shapes(engine, outlines, order)
        self._rank = searcher.ranking(asked, self._nearest.total, backgrounds)
        candidates = searcher.candidates(asked, self._nearest, self._rank.written, backgrounds)
        if depth <= len(self._nearest.ids) < self._nearest.total:
            candidates = candidates.in_whole_blocks()
        self._ranked = self._rank(candidates, self._sorted)

    @property
    def has_all(self) -> bool:
        """Whether deeper candidates are not hits, or there are none."""
        return self._ranked.is_all or len(self._nearest.ids) == self._nearest.total

    def listed(self) -> _Listed:
        """Return the hits of the layout."""
        ranked, query = self._ranked, self._asked.query
        order = ranked.order[: min(query.k, _most(self._asked))]
        ids = [ranked.ids[at] for at in order]
        aspects, values = self._shapes.of(ids)
        is_by_time = query.sort != "relevance" and self._field == "taken_at"
        return _Listed(
            ids,
            aspects,
            _runs([ranked.strengths[at] for at in order]),
            _months(values) if is_by_time else None,
            self._results((), replace(query, k=len(order))),
            [ranked.parts[at] for at in order],
        )

    def page(self) -> Results:
        """Return the hits of the query's page."""
        ranked, query = self._ranked, self._asked.query
        if query.moments:
            from pixseek.search import moments

            ranked = moments.expanded(self._searcher.engine, self._rank, ranked, query)
        order = ranked.order[query.offset : query.offset + query.k]
        records = self._searcher.engine.get([ranked.ids[at] for at in order])
        return self._results(self._hits(records, query.offset + 1, ranked, order), query)

    def _results(self, hits: Sequence[Hit], query: Query) -> Results:
        looked_at = len(self._ranked.ids)
        warnings: tuple[str, ...] = ()
        if query.sort != "relevance" and not self.has_all:
            warnings = (
                f"Only the {looked_at:,} best matches are sorted; there may be more. "
                "Narrow the search by a filter.",
            )
        return self._ranked.results(hits, query, self._nearest, warnings)

    def hit(self, record: Record) -> Hit | None:
        """Return a record as a hit; None if it is not among the candidates."""
        ranked = self._ranked
        if record.id not in ranked.ids:
            return None
        at = ranked.ids.index(record.id)
        rank = ranked.order.index(at) + 1 if at in ranked.order else 0
        return self._hits([record], rank, ranked, [at])[0]

    def hit_alone(self, record: Record) -> Hit | None:
        """Return a record that is not among the candidates as a hit, which is a weak one then."""
        import numpy as np

        dim = len(self._asked.vectors[0])
        nothing = Neighbours((), np.empty(0, np.float32), np.empty((0, dim), np.float32), (), 0)
        alone = self._searcher.candidates(self._asked, nothing, [record.id], self._backgrounds)
        if not alone.ids:
            return None  # deleted since
        ranked = replace(self._rank(alone, self._sorted), strengths=["weak"], probabilities=None)
        return self._hits([record], 0, ranked, [0])[0]

    def _hits(
        self,
        records: Sequence[Record | None],
        first: int,
        ranked: ordering.Ranked,
        places: Sequence[int],
    ) -> list[Hit]:
        """Return records as hits, by their places among the candidates; see `hits_of`."""
        import numpy as np

        found = self._searcher.engine.vectors([ranked.ids[at] for at in places])
        vectors = np.zeros((len(records), len(self._asked.vectors[0])), np.float32)
        for n, (at, rows) in enumerate(zip(places, found, strict=True)):
            if rows is not None and len(rows):
                vectors[n] = rows[min(ranked.parts[at], len(rows) - 1)]
        return self._searcher.hits_of(self._rank, ranked, places, records, first, vectors)

    def _sorted(self, order: list[int], ids: Sequence[str], sort: Sort) -> list[int]:
        _, values = self._shapes.of([ids[at] for at in order])
        return ordering.sorted_by(order, ids, values, descending=self._descending)


class _Shapes:
    """The shapes of images, and what they are sorted by."""

    def __init__(self, engine: Engine, outlines: Sequence[Outlines], order: Order | None) -> None:
        """Know these outlines, and read records for others."""
        import numpy as np

        self._engine, self._order = engine, order
        self._aspects = np.concatenate([_no_aspects(), *(each.aspects for each in outlines)])
        self._values: list[Any] = [value for each in outlines for value in each.values]
        ids = [id_ for each in outlines for id_ in each.ids]
        self._place = {id_: at for at, id_ in enumerate(ids)}

    def of(self, ids: Sequence[str]) -> tuple[Aspects, list[Any]]:
        """Return the aspects of images, (n,), and what they are sorted by."""
        import numpy as np

        new = [each for each in ids if each not in self._place]
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            records = [
                Record(id_, "") if record is None else record  # deleted since
                for id_, record in zip(some, self._engine.get(some), strict=True)
            ]
            read = outlined(records, self._order, 0)
            self._place.update(zip(some, range(len(self._place), len(self._place) + len(some)),
                                   strict=True))  # fmt: skip
            self._aspects = np.concatenate([self._aspects, read.aspects])
            self._values += read.values
        places = [self._place[each] for each in ids]
        values = [self._values[at] for at in places] if self._order else []
        return self._aspects[places], values


def _browsed(engine: Engine, query: Query) -> _Listed:
    """Return the images that a filter lets through, in the order of the query."""
    order, descending = SORTED_BY[query.sort]
    if isinstance(engine, Outlining):
        found = engine.outline(query.where, order=order, descending=descending, k=query.k)
    else:
        records = _selected(engine, query, order, descending)
        found = outlined(records, order, engine.count(query.where))
    ids, aspects, values, total = found.ids, found.aspects, found.values, found.total
    runs: list[tuple[Strength, int]] = [("strong", len(ids))] if ids else []
    said = Results(
        (), query, {}, "", strong=total, likely=total, looked_at=total, total=total,
        search=Reach(True, total),
    )  # fmt: skip
    return _Listed(ids, aspects, runs, _months(values) if order == "taken_at" else None, said)


def _selected(engine: Engine, query: Query, order: Order, descending: bool) -> Iterator[Record]:
    for offset in range(0, query.k, _AT_ONCE):
        k = min(_AT_ONCE, query.k - offset)
        page = engine.select(query.where, order=order, descending=descending, k=k, offset=offset)
        yield from page
        if len(page) < k:
            return


def outlined(records: Iterable[Record], order: Order | None, total: int) -> Outlines:
    """Return the outlines of whole records.

    Args:
        records: any number.
        order: the field of their values; None for none.
        total: how many there were to choose from.
    """
    import numpy as np

    found = [
        (each.id, _aspect(each), None if order is None else _value(each, order)) for each in records
    ]
    values = [value for *_, value in found] if order else ()
    aspects = np.array([aspect for _, aspect, _ in found], np.float64)
    return Outlines(tuple(id_ for id_, *_ in found), aspects, values, total)


def _aspect(record: Record) -> float:
    return record.width / record.height if record.width and record.height else float("nan")


def _value(record: Record, order: Order) -> Any:
    """Return a value as `types.Outlines` has it."""
    found = ordering.sort_value(record, order)
    return (found - _EPOCH) // _MICROSECOND if isinstance(found, datetime) else found


def _no_aspects() -> Aspects:
    import numpy as np

    return np.empty(0, np.float64)


def _runs(found: Sequence[Strength]) -> list[tuple[Strength, int]]:
    import numpy as np

    if not found:
        return []
    place = {each: at for at, each in enumerate(strengths.STRENGTHS)}
    codes = np.fromiter(map(place.__getitem__, found), np.int8, len(found))
    starts, counts = _changes(codes)
    return [(found[start], count) for start, count in zip(starts, counts, strict=True)]


def _changes(codes: NDArray[Any]) -> tuple[list[int], list[int]]:
    """Return where runs of one value begin, and how long they are."""
    import numpy as np

    starts = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist()]
    return starts, np.diff([*starts, len(codes)]).tolist()


def _months(taken: Sequence[Any]) -> tuple[tuple[str | None, int], ...]:
    """Return the months of times in microseconds since 1970, as runs."""
    import numpy as np

    if not len(taken):
        return ()
    # None becomes "not a time".
    months = np.array(taken, "datetime64[us]").astype("datetime64[M]")
    starts, counts = _changes(months.astype(np.int64))
    named = [None if text == "NaT" else text for text in months[starts].astype(str).tolist()]
    return tuple(zip(named, counts, strict=True))
