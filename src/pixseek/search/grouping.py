"""The best image of each value of a field: one per product, album or listing.

Images are read down the order of a search until enough values are found. If the candidates don't
have as many, the next round looks at four times more of them, without the values that took most
places: a product of 5,000 images hides no other, and a deep page costs what lies above it. Rounds
don't depend on how many values are wanted, so pages are cut from one order.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from pixseek import filters
from pixseek.errors import QueryError
from pixseek.search import language_fields, language_writing
from pixseek.search.asked import MANY, Asked, Backgrounds
from pixseek.search.ranked_list import (
    MOST,
    RankedList,
    most_ranked,
    sorted_list,
    without,
)
from pixseek.search.searcher import SORTED_BY, Searcher, unranked
from pixseek.types import (
    And,
    Compare,
    Engine,
    Filter,
    Hit,
    Or,
    Outlining,
    Query,
    Record,
    Results,
    Scalar,
    Strength,
)
from pixseek.types.dataclass import dataclass
from pixseek.types.texts import composed

#: How many times more candidates than the one before a round looks at.
_WIDER = 4
#: Records of the first round if nothing is looked for.
_FEW = 250
#: Values that a round leaves out at most: a filter has at most 1,000 comparisons, two a year.
_MOST_LEFT_OUT = 400
#: What stands for several fields, for a list, or for nothing that images in view differ in.
_UNFIT = ("", *(f"{filters.USER_PREFIX}{name}" for name, _ in filters.LISTS.values()))
#: Said if a search ends before all images were looked at.
_TOO_DEEP = (
    "Only the {:,} best images were grouped; there may be more. Narrow the search by a filter."
)
#: Most values that are counted together, by reading their images.
_COUNTED_AT_ONCE, _FEW_MEMBERS = 50, 1000
#: Records that are read together, at first and at most.
_AT_ONCE, _MOST_AT_ONCE = 64, 1024


@dataclass(frozen=True, slots=True)
class Field:
    """What images are grouped by.

    Attributes:
        name: as filters name it; "year" for the year of `taken_at`.
    """

    name: str

    @classmethod
    def named(cls, name: str, engine: Engine) -> Field:
        """Return a field by its name in the query language.

        Args:
            name: of a field, or of a user field without "fields.", if some image has it.
            engine: what is searched.

        Raises:
            QueryError: there is no such field, or an image may have several values of it.
        """
        if name.lower() == "year":
            return cls("year")
        try:
            stored = language_fields.stored_name(name)
        except QueryError:
            stored = f"{filters.USER_PREFIX}{name}"
            some = Compare(stored, "exists")
            if not engine.select(some, order="uri", descending=False, k=1, offset=0):
                raise
        if stored in _UNFIT or filters.field_kind(stored) in ("tags", "place", "time"):
            raise QueryError(
                "Images can't be grouped by this field",
                name,
                "Use one of which an image has a single value: folder, camera, year, format, "
                "country, or fields.NAME.",
            )
        return cls(stored)

    def value(self, record: Record) -> Scalar:
        """Return the value of a record; None if it has none, or one that no filter can name."""
        if self.name == "year":
            return record.taken_at.year if record.taken_at else None
        value = filters.value_of(record, self.name)
        if isinstance(value, datetime):
            value = value.replace(tzinfo=None)  # a filter by a wall clock finds both
        if value is not None:
            try:
                filters.check(Compare(self.name, "eq", value))
            except QueryError:  # NaN, a text with a NUL
                return None
        return value

    def text(self, value: Scalar) -> str:
        """Return the filter that finds the images with a value, in the query language."""
        if self.name == "year":
            return f"year:{value:04d}"
        return f"{self.name}:={language_writing.value_text(value)}"

    def where(self, *values: Scalar) -> Filter:
        """Return the filter that finds the images with one of these values."""
        if self.name == "year":
            years = [
                language_fields.compiled("year", "", [language_fields.Value(f"{value:04d}")])
                for value in values
            ]
            return years[0] if len(years) == 1 else Or(tuple(years))
        if len(values) == 1:
            return Compare(self.name, "eq", values[0])
        return Compare(self.name, "in", values)


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
        key = _key(value)
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


def _key(value: Scalar) -> Hashable:
    """Return what values that a filter can't tell apart have in common."""
    return filters.value_kind(value), composed(value) if isinstance(value, str) else value


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
    query, engine = asked.query, searcher.engine
    seen = _Seen(Field.named(query.group_by, engine))
    rounds = (
        _selected(engine, query, seen)
        if backgrounds is None
        else _ranked(searcher, asked, backgrounds, seen)
    )
    best: list[Found] = []
    said: Results | None = None
    for images, results in rounds:
        said = results if said is None else said
        best += itertools.islice((each for each in images if seen.is_new(each.record)),
                                 enough - len(best))  # fmt: skip
        if len(best) == enough:
            break
        if results.warnings:
            said = replace(said, warnings=results.warnings)
    assert said is not None  # there is a first round
    return Groups(seen.field, best, said)


#: The images of a round in their order, and what is known of all images.
_Round = tuple[Iterator[Found], Results]


def _ranked(
    searcher: Searcher, asked: Asked, backgrounds: Backgrounds, seen: _Seen
) -> Iterator[_Round]:
    """Yield the rounds of a query that looks for something."""
    asked = replace(asked, query=replace(asked.query, group=False, moments=False))
    if asked.query.sort != "relevance":  # what comes first by a field may match worst
        deep = sorted_list(searcher, asked, backgrounds)
        yield _in_order(searcher.engine, deep, seen), deep.results((), asked.query)
        return
    most = searcher.at_most(most_ranked(asked))
    depth, found, left_out = MANY, None, None
    while True:
        depth = min(depth, most)
        found = RankedList(
            searcher, asked, backgrounds, depth, before=found, left_out=left_out,
            with_shapes=depth > MANY,  # then columns are quicker
        )  # fmt: skip
        results = found.results((), asked.query)
        yield _in_order(searcher.engine, found, seen), results
        left_out, is_narrower = seen.left_out()
        if found.has_all:
            return
        if depth == most and not is_narrower:
            yield iter(()), replace(results, warnings=(_TOO_DEEP.format(len(seen.ids)),))
            return
        depth *= _WIDER


def _selected(engine: Engine, query: Query, seen: _Seen) -> Iterator[_Round]:
    """Yield the rounds of a query that looks for nothing."""
    field, descending = SORTED_BY[query.sort]
    results = unranked(query, engine.count(query.where))
    k, where = _FEW, query.where
    while True:
        records = engine.select(where, order=field, descending=descending, k=k, offset=0)
        yield map(Found, records), results
        left_out, is_narrower = seen.left_out()
        if len(records) < k:
            return
        if k >= MOST and not is_narrower:
            yield iter(()), replace(results, warnings=(_TOO_DEEP.format(len(seen.ids)),))
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


def fields_of(records: Sequence[Record]) -> list[str]:
    """Return user fields that some images share a text or a whole number of, by name.

    Args:
        records: some of a library.
    """
    from pixseek.metadata.fields import FIELDS

    left_out = {*FIELDS, *(name for name, _ in filters.LISTS.values())}
    values: dict[str, list[Scalar]] = {}
    for record in records:
        for name, value in record.fields.items():
            if name not in left_out and isinstance(value, str | int):
                values.setdefault(name, []).append(value)
    return sorted(name for name, own in values.items() if 1 < len(set(own)) < len(own))


def counted(
    hits: Sequence[Hit], field: Field, among: Filter | None, engine: Engine
) -> Iterator[Hit]:
    """Yield hits with the values of their groups, and how many others have these.

    Args:
        hits: without them.
        field: what images are grouped by.
        among: which images count; None for all.
        engine: what is searched.
    """
    values = [field.value(hit.record) for hit in hits]
    sizes = _sizes([each for each in values if each is not None], field, among, engine)
    for hit, value in zip(hits, values, strict=True):
        if value is None:
            yield hit
        else:
            others = max(0, sizes[_key(value)] - 1)  # deleted since
            yield replace(hit, group=value, others=others, group_filter=field.text(value))


def _sizes(
    values: Sequence[Scalar], field: Field, among: Filter | None, engine: Engine
) -> Counter[Hashable]:
    """Return how many images have each value: by reading their records if these are few."""
    sizes: Counter[Hashable] = Counter()
    for start in range(0, len(values), _COUNTED_AT_ONCE):
        some = values[start : start + _COUNTED_AT_ONCE]
        members = _few(engine, _both(among, field.where(*some)))
        if members is None:
            sizes.update({_key(v): _count(engine, _both(among, field.where(v))) for v in some})
        else:
            sizes.update(_key(field.value(each)) for each in members)
    return sizes


def _few(engine: Engine, where: Filter) -> list[Record] | None:
    """Return the records that a filter lets through; None if they are too many to read."""
    if not isinstance(engine, Outlining):
        found = engine.select(where, order="uri", descending=False, k=_FEW_MEMBERS + 1, offset=0)
        return found if len(found) <= _FEW_MEMBERS else None
    outline = engine.outline(where, order="size", descending=False, k=_FEW_MEMBERS)
    if outline.total > _FEW_MEMBERS:
        return None
    return [each for each in engine.get(outline.ids) if each is not None]


def _both(among: Filter | None, where: Filter) -> Filter:
    return where if among is None else And((among, where))


def _count(engine: Engine, where: Filter) -> int:
    if isinstance(engine, Outlining):  # which has columns in memory
        return engine.outline(where, order="size", descending=False, k=1).total
    return engine.count(where)
