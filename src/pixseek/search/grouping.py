"""The best image of each value of a field: one per product, album or listing.

Images are read down the order of a search until enough values are found. If the candidates don't
have as many, the next round looks at four times more of them, without the values that took most
places: a product of 5,000 images hides no other, and a deep page costs what lies above it. Rounds
don't depend on how many values are wanted, so pages are cut from one order.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pixseek.search.asked import MANY, Asked, Backgrounds
from pixseek.search.group_values import Field, counted, key_of
from pixseek.search.ranked_list import (
    MOST,
    RankedList,
    most_ranked,
    sorted_list,
    without,
)
from pixseek.search.searcher import SORTED_BY, Searcher, unranked
from pixseek.types import (
    Compare,
    Engine,
    Filter,
    Hit,
    Query,
    Record,
    Results,
    Scalar,
    Strength,
)
from pixseek.types.dataclass import dataclass

#: How many times more candidates than the one before a round looks at.
_WIDER = 4
#: Records of the first round if nothing is looked for.
_FEW = 250
#: Values that a round leaves out at most: a filter has at most 1,000 comparisons, two a year.
_MOST_LEFT_OUT = 400
#: Said if a search ends before all images were looked at.
_TOO_DEEP = (
    "Only the {:,} best images were grouped; there may be more. Narrow the search by a filter."
)
#: Queries of which groups are kept for the next page, and images that were read for one at most: a
#: record has some 2 kB.
_QUERIES_KEPT, _MOST_KEPT = 2, 20_000
#: Records that are read together, at first and at most.
_AT_ONCE, _MOST_AT_ONCE = 64, 1024


class _Seen:
    """The images that were looked at, and their values.

    Attributes:
        field: whose values.
        ids: of the images.
    """

    def __init__(self, field: Field) -> None:
        self.field = field
        self.ids: set[str] = set()
        self._counts: Counter[Hashable] = Counter()
        self._values: dict[Hashable, Scalar] = {}
        self._left_out: frozenset[Hashable] = frozenset()

    def is_new(self, record: Record) -> bool:
        """Look at an image; return whether it is the first that has its value, or has none."""
        if record.id in self.ids:
            return False
        self.ids.add(record.id)
        value = self.field.value(record)
        if value is None:
            return True
        key = key_of(value)
        self._counts[key] += 1
        self._values.setdefault(key, value)
        return self._counts[key] == 1

    def left_out(self) -> tuple[Filter | None, bool]:
        """Return what the next round is to leave out, and whether that is more than before."""
        common = self._counts.most_common(_MOST_LEFT_OUT)
        many = [key for key, times in common if times > 1]
        is_more = not self._left_out.issuperset(many)
        self._left_out = frozenset(many)
        return (self.field.where(*map(self._values.__getitem__, many)) if many else None), is_more


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An image in the order of a query.

    Attributes:
        record: of it.
        at: its place among the candidates of `ranked`.
        ranked: what it was found among; None if nothing is looked for.
    """

    record: Record
    at: int = 0
    ranked: RankedList | None = None

    @property
    def part(self) -> int:
        """The index of its part that matches best."""
        return 0 if self.ranked is None else self.ranked.ranked.parts[self.at]

    @property
    def strength(self) -> Strength:
        """How well it matches."""
        return "strong" if self.ranked is None else self.ranked.ranked.strengths[self.at]


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The first groups of a query.

    Attributes:
        field: what images are grouped by.
        best: the best image of each group, in their order.
        said: what is known of all images, without hits.
    """

    field: Field
    best: list[Found]
    said: Results


class _Reading:
    """The groups of a query as far as they were read."""

    def __init__(self, searcher: Searcher, asked: Asked, backgrounds: Backgrounds | None) -> None:
        """Begin, with the first images.

        Raises:
            QueryError: images can't be grouped by this field.
        """
        query, engine = asked.query, searcher.engine
        self.seen = _Seen(Field.named(query.group_by, engine))
        rounds = (
            _selected(engine, query, self.seen)
            if backgrounds is None
            else _ranked(searcher, asked, backgrounds, self.seen)
        )
        first = next(rounds)
        self._said, self._warning = first.said, first.warning
        self._best: list[Found] = []
        self._more = self._read(itertools.chain((first,), rounds))

    def first(self, query: Query, enough: int) -> Groups:
        """Return the first groups, and read on if these are not enough."""
        self._best += itertools.islice(self._more, max(0, enough - len(self._best)))
        best, said = self._best[:enough], self._said(query)
        if len(best) < enough and self._warning:
            said = replace(said, warnings=(self._warning,))
        return Groups(self.seen.field, best, said)

    def _read(self, rounds: Iterable[_Round]) -> Iterator[Found]:
        for each in rounds:
            self._warning = each.warning or self._warning
            yield from (found for found in each.images if self.seen.is_new(found.record))


class Kept:
    """What was read for the latest pages of groups, so that the next page goes on from there.

    Otherwise each page reads all images above it again: 100 pages would take as long as 5,050 first
    ones. Holds as long as the library's version. May be used from several threads.
    """

    def __init__(self, version: Callable[[], str | None]) -> None:
        """Keep nothing yet.

        Args:
            version: returns a text that differs whenever an answer may differ; None if unknown.
        """
        self._version = version
        self._readings: OrderedDict[Hashable, _Reading] = OrderedDict()

    @contextlib.contextmanager
    def reading(
        self, searcher: Searcher, asked: Asked, backgrounds: Backgrounds | None
    ) -> Iterator[_Reading]:
        """Yield the groups of a query, read as far as it was asked for before."""
        version = self._version()
        key = None if version is None else (version, *_question(asked))
        # Taken out, since it serves one thread: who comes meanwhile reads anew.
        reading = self._readings.pop(key, None) or _Reading(searcher, asked, backgrounds)
        yield reading  # one that fails is not kept
        if key is not None and len(reading.seen.ids) <= _MOST_KEPT:
            self._readings[key] = reading
            while len(self._readings) > _QUERIES_KEPT:
                self._readings.popitem(last=False)


def _question(asked: Asked) -> Iterator[Hashable]:
    """Yield what decides the order of a query's groups."""
    query = replace(asked.query, terms=(), exclude=(), k=1, offset=0)
    yield repr(query)  # filters on True and on 1 are equal to Python
    for each in asked.each:
        terms = (*each.query.terms, *each.query.exclude)
        for term, vector in zip(terms, each.vectors, strict=False):
            said = term.value if isinstance(term.value, str) else ""
            yield term.kind, said, term.weight, term.of, repr(term.region), vector.tobytes()


def groups(
    searcher: Searcher, asked: Asked, backgrounds: Backgrounds | None, enough: int
) -> Groups:
    """Return the first groups of a query.

    Args:
        searcher: of a library.
        asked: the query.
        backgrounds: of the library; None if nothing is looked for.
        enough: how many groups at most.

    Raises:
        QueryError: images can't be grouped by this field.
    """
    with searcher.groups().reading(searcher, asked, backgrounds) as reading:
        return reading.first(asked.query, enough)


@dataclass(frozen=True, slots=True, eq=False)
class _Round:
    """What one round looks at.

    Attributes:
        images: in their order.
        said: returns what is known of all images, for the page of a query.
        warning: said if all of these images are not enough.
    """

    images: Iterator[Found]
    said: Callable[[Query], Results]
    warning: str = ""


def _ranked(
    searcher: Searcher, asked: Asked, backgrounds: Backgrounds, seen: _Seen
) -> Iterator[_Round]:
    """Yield the rounds of a query that looks for something."""
    asked = replace(asked, query=replace(asked.query, group=False, moments=False))
    if asked.query.sort != "relevance":  # what comes first by a field may match worst
        deep = sorted_list(searcher, asked, backgrounds)
        yield _Round(_in_order(searcher.engine, deep, seen), partial(deep.results, ()))
        return
    most = searcher.at_most(most_ranked(asked))
    depth, found, left_out = MANY, None, None
    while True:
        depth = min(depth, most)
        found = RankedList(
            searcher, asked, backgrounds, depth, before=found, left_out=left_out,
            with_shapes=depth > MANY,  # then columns are quicker
        )  # fmt: skip
        said = partial(found.results, ())
        yield _Round(_in_order(searcher.engine, found, seen), said)
        left_out, is_narrower = seen.left_out()
        if found.has_all:
            return
        if depth == most and not is_narrower:
            yield _Round(iter(()), said, _TOO_DEEP.format(len(seen.ids)))
            return
        depth *= _WIDER


def _selected(engine: Engine, query: Query, seen: _Seen) -> Iterator[_Round]:
    """Yield the rounds of a query that looks for nothing."""
    field, descending = SORTED_BY[query.sort]
    total = engine.count(query.where)
    said = partial(unranked, total=total)
    k, where = _FEW, query.where
    while True:
        records = engine.select(where, order=field, descending=descending, k=k, offset=0)
        yield _Round(map(Found, records), said)
        left_out, is_narrower = seen.left_out()
        if len(records) < k:
            return
        if k >= MOST and not is_narrower:
            yield _Round(iter(()), said, _TOO_DEEP.format(len(seen.ids)))
            return
        where, k = without(query.where, left_out), min(k * _WIDER, MOST)


def _in_order(engine: Engine, found: RankedList, seen: _Seen) -> Iterator[Found]:
    ids = found.ranked.ids
    order = [at for at in found.ranked.order if ids[at] not in seen.ids]
    for at, record in zip(order, _read(engine, [ids[at] for at in order]), strict=True):
        if record is not None:  # not deleted since
            yield Found(record, at, found)


def _read(engine: Engine, ids: Sequence[str]) -> Iterator[Record | None]:
    """Yield the records of ids, few at first: often the best images have values enough."""
    start, count = 0, _AT_ONCE
    while start < len(ids):
        yield from engine.get(ids[start : start + count])
        start, count = start + count, min(2 * count, _MOST_AT_ONCE)


def page(searcher: Searcher, asked: Asked, backgrounds: Backgrounds | None) -> Results:
    """Return a page of groups: the best image of each, with the number of the others.

    Args:
        searcher: of a library.
        asked: the query.
        backgrounds: of the library; None if nothing is looked for.

    Raises:
        QueryError: images can't be grouped by this field.
    """
    query = asked.query
    found = groups(searcher, asked, backgrounds, query.offset + query.k)
    shown = found.best[query.offset :]
    every: list[Hit] = []
    for ranked, same in itertools.groupby(shown, lambda each: each.ranked):  # by their rounds
        some, rank = list(same), query.offset + 1 + len(every)
        records = [each.record for each in some]
        if ranked is None:
            every += map(searcher.unranked_hit, itertools.count(rank), records)
        else:
            every += ranked.hits(records, rank, ranked.ranked, [each.at for each in some])
    asking = Compare("id", "in", tuple(asked.own)) if asked.own else None
    return replace(
        found.said,
        hits=tuple(counted(every, found.field, without(query.where, asking), searcher.engine)),
    )


def groups_of(searcher: Searcher, query: Query, ids: Sequence[str]) -> list[Hit | None]:
    """Return images as hits with their groups, as a page of the query shows them.

    Args:
        searcher: of a library.
        query: whose `group_by` and `where` count.
        ids: of the images; None is returned for those that are not stored.

    Raises:
        QueryError: images can't be grouped by this field.
    """
    engine = searcher.engine
    there = [each for each in engine.get(ids) if each is not None]
    hits = [searcher.unranked_hit(0, each) for each in there]
    field = Field.named(query.group_by, engine)
    found = {hit.id: hit for hit in counted(hits, field, query.where, engine)}
    return [found.get(each) for each in ids]
