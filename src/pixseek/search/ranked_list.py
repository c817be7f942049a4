"""The best candidates of one query in their order, as deep as a list of all hits or groups needs.

An engine that knows outlines (`types.Outlining`) gives cosines and shapes of a hundred thousand
candidates without their vectors and records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pixseek.search import ordering, ranking
from pixseek.search.asked import MANY, Asked, Backgrounds
from pixseek.search.searcher import SORTED_BY, Searcher
from pixseek.types import (
    And,
    Engine,
    Filter,
    Hit,
    Neighbours,
    Not,
    Order,
    Outlines,
    Outlining,
    Query,
    Record,
    Results,
    Sort,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Aspects = NDArray[np.float64]

#: The most candidates that are ranked; and of a query whose candidates' vectors are read, for
#: several things or to leave something out.
MOST, MOST_MIXED = 100_000, 20_000
#: Records that are read at a time if the engine knows no outlines.
AT_ONCE = 2_000
_EPOCH, _MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)


def most_ranked(asked: Asked) -> int:
    """Return how many candidates of a query are ranked at most."""
    return MOST_MIXED if ordering.needs_vectors(asked) else MOST


def without(where: Filter | None, left_out: Filter | None) -> Filter | None:
    """Return a filter that besides lets through nothing of what another finds."""
    if left_out is None:
        return where
    return Not(left_out) if where is None else And((where, Not(left_out)))


def sorted_list(searcher: Searcher, asked: Asked, backgrounds: Backgrounds) -> RankedList:
    """Rank what a query that is sorted by a field needs.

    What comes first by a field may match worst, so all that match well enough are needed.
    """
    most = most_ranked(asked)
    few = RankedList(searcher, asked, backgrounds, min(MANY, most))
    return few if few.has_all else RankedList(searcher, asked, backgrounds, most)


class RankedList:
    """The best candidates of one query, in their order.

    Attributes:
        ranked: the candidates.
    """

    def __init__(
        self,
        searcher: Searcher,
        asked: Asked,
        backgrounds: Backgrounds,
        depth: int,
        *,
        before: RankedList | None = None,
        left_out: Filter | None = None,
        with_shapes: bool = True,
    ) -> None:
        """Rank this many candidates, or as many as the engine can give.

        Args:
            searcher: of a library.
            asked: the query.
            backgrounds: of the library.
            depth: how many candidates to rank.
            before: what was ranked before: no hit is stronger than its weakest.
            left_out: records that are not candidates.
            with_shapes: whether shapes are asked for; reading them in columns takes a second of a
                process that searches 100,000 images once.
        """
        import numpy as np

        self._searcher, self._asked, self._backgrounds = searcher, asked, backgrounds
        query, engine = asked.query, searcher.engine
        where = without(query.where, left_out)
        self._field, self._descending = SORTED_BY[query.sort]
        order: Order | None = None if query.sort == "relevance" else self._field
        directions = np.stack([each.direction(backgrounds) for each in asked.each])
        outlines: list[Outlines] = []
        nearest: list[Neighbours]
        knows_outlines = isinstance(engine, Outlining) and with_shapes
        depth = searcher.at_most(depth if knows_outlines else min(depth, MOST_MIXED))
        if isinstance(engine, Outlining) and with_shapes:
            both = engine.outline_nearest(
                directions, depth, where,
                order=order, with_vectors=ordering.needs_vectors(asked), exact=query.exact,
            )  # fmt: skip
            nearest = [each for each, _ in both]
            outlines = [each for _, each in both]
        else:
            how = {"exact": True} if query.exact else {}
            nearest = engine.nearest(directions, depth, where, **how)
        self._nearest = ranking.merged(nearest)
        self._shapes = Shapes(engine, outlines, order)
        if before is None:
            self._rank = searcher.ranking(asked, self._nearest.total, backgrounds)
        else:
            self._rank = before._rank.below(before.ranked)
        candidates = searcher.candidates(asked, self._nearest, self._rank.written, backgrounds)
        if depth <= len(self._nearest.ids) < self._nearest.total:
            candidates = candidates.in_whole_blocks()
        self.ranked: ordering.Ranked = self._rank(candidates, self._sorted)

    @property
    def has_all(self) -> bool:
        """Whether deeper candidates are not hits, or there are none."""
        return self.ranked.is_all or len(self._nearest.ids) == self._nearest.total

    def shapes(self, ids: Sequence[str]) -> tuple[Aspects, list[Any]]:
        """Return the aspects of images, (n,), and what they are sorted by."""
        return self._shapes.of(ids)

    def page(self) -> Results:
        """Return the hits of the query's page."""
        ranked, query = self.ranked, self._asked.query
        order = ranked.order[query.offset : query.offset + query.k]
        if query.moments:
            from pixseek.search import moments

            ranked = moments.page(self._searcher.engine, self._rank, ranked, query)
            order = ranked.order
        records = self._searcher.engine.get([ranked.ids[at] for at in order])
        return self.results(self.hits(records, query.offset + 1, ranked, order), query)

    def results(self, hits: Sequence[Hit], query: Query) -> Results:
        """Return some of the hits as results, with what is known of all candidates."""
        looked_at = len(self.ranked.ids)
        warnings: tuple[str, ...] = ()
        if query.sort != "relevance" and not self.has_all:
            warnings = (
                f"Only the {looked_at:,} best matches are sorted; there may be more. "
                "Narrow the search by a filter.",
            )
        return self.ranked.results(hits, query, self._nearest, warnings)

    def hit(self, record: Record) -> Hit | None:
        """Return a record as a hit; None if it is not among the candidates."""
        ranked = self.ranked
        if record.id not in ranked.ids:
            return None
        at = ranked.ids.index(record.id)
        rank = ranked.order.index(at) + 1 if at in ranked.order else 0
        return self.hits([record], rank, ranked, [at])[0]

    def hit_alone(self, record: Record) -> Hit | None:
        """Return a record that is not among the candidates as a hit, which is a weak one then."""
        import numpy as np

        dim = len(self._asked.vectors[0])
        nothing = Neighbours((), np.empty(0, np.float32), np.empty((0, dim), np.float32), (), 0)
        alone = self._searcher.candidates(self._asked, nothing, [record.id], self._backgrounds)
        if not alone.ids:
            return None  # deleted since
        ranked = replace(self._rank(alone, self._sorted), strengths=["weak"], probabilities=None)
        return self.hits([record], 0, ranked, [0])[0]

    def hits(
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


class Shapes:
    """The shapes of images, and what they are sorted by."""

    def __init__(self, engine: Engine, outlines: Sequence[Outlines], order: Order | None) -> None:
        """Know these outlines, and read records for others."""
        import numpy as np

        self._engine, self._order = engine, order
        self._aspects = np.concatenate([no_aspects(), *(each.aspects for each in outlines)])
        self._values: list[Any] = [value for each in outlines for value in each.values]
        ids = [id_ for each in outlines for id_ in each.ids]
        self._place = {id_: at for at, id_ in enumerate(ids)}

    def of(self, ids: Sequence[str]) -> tuple[Aspects, list[Any]]:
        """Return the aspects of images, (n,), and what they are sorted by."""
        import numpy as np

        new = [each for each in ids if each not in self._place]
        for start in range(0, len(new), AT_ONCE):
            some = new[start : start + AT_ONCE]
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


def no_aspects() -> Aspects:
    """Return the aspects of no images."""
    import numpy as np

    return np.empty(0, np.float64)
