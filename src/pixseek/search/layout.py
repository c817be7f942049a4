"""All hits of a query at once: ids, shapes and strengths, from which a page is laid out.

The order is that of a search, page after page. What differs is how much is read: an engine that
knows outlines (`types.Outlining`) gives cosines and shapes of a hundred thousand candidates without
their vectors and records.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pixseek.search import ordering
from pixseek.search import strength as strengths
from pixseek.search.asked import FEW, MANY, Asked, Backgrounds, check
from pixseek.search.grouping import groups
from pixseek.search.ranked_list import (
    AT_ONCE,
    MOST,
    RankedList,
    most_ranked,
    no_aspects,
    outlined,
    sorted_list,
)
from pixseek.search.searcher import EMPTY, SORTED_BY, Searcher, unranked
from pixseek.types import (
    WHOLE,
    And,
    Compare,
    Engine,
    Hit,
    Layout,
    Order,
    Outlining,
    Query,
    Record,
    Results,
    Strength,
)
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Aspects = NDArray[np.float64]

#: The most hits of a layout in which each is compared with each, to show copies once; and groups.
MOST_GROUPED = 2_000
#: Said if there are more groups.
_TOO_MANY = (
    "Only the {:,} best values are listed, one image of each. Narrow the search by a filter."
)


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
    most = min(most, MOST_GROUPED if query.group or query.group_by else MOST)
    query = replace(query, k=max(1, most), offset=0)
    check(query if query.where is not None else replace(query, where=And(())))
    began = time.perf_counter()
    asked = searcher.asked([query])[0]
    encoded = time.perf_counter()
    space = searcher.engine.space
    if space is None:
        found = _Listed((), no_aspects(), (), None, Results((), query, {}, ""))
    elif query.group_by:
        found = _grouped(searcher, asked)
    elif query.terms:
        found = _listed(asked, _ranked(searcher, asked, searcher.backgrounds()))
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
        is left out, matches too little, or is shown by a copy. `group_by` has no effect on it.

    Raises:
        QueryError, ImageError, ModelError, SpaceMismatchError: as `Searcher.search`.
    """
    query = replace(query, k=MOST_GROUPED if query.group else MOST, offset=0, group_by="")
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
        found = RankedList(searcher, asked, backgrounds, searcher.at_most(depth)).hit(record)
        if found is not None and 0 < found.rank <= FEW:
            return found
    deep = _ranked(searcher, asked, backgrounds)
    return deep.hit(record) or deep.hit_alone(record)


def page(searcher: Searcher, asked: Asked, backgrounds: Backgrounds) -> Results:
    """Return a page of a query that is sorted by a field, out of as many hits as its layout."""
    return RankedList(searcher, asked, backgrounds, searcher.at_most(most_ranked(asked))).page()


def _ranked(searcher: Searcher, asked: Asked, backgrounds: Backgrounds) -> RankedList:
    """Rank as many candidates as the layout of a query needs."""
    query, most = asked.query, most_ranked(asked)
    if query.sort == "relevance":
        wanted = min(query.k, most) + len(asked.own)
        if wanted <= FEW and asked.depth <= FEW:
            return RankedList(searcher, asked, backgrounds, FEW)
        depth = math.ceil(min(wanted, MOST) / MANY) * MANY  # in whole blocks
        return RankedList(searcher, asked, backgrounds, depth)
    return sorted_list(searcher, asked, backgrounds)


@dataclass(frozen=True, slots=True, eq=False)
class _Listed:
    """The hits of a layout, with what `said` counts among all candidates."""

    ids: Sequence[str]
    aspects: Aspects
    strengths: Sequence[tuple[Strength, int]]
    months: tuple[tuple[str | None, int], ...] | None
    said: Results
    parts: Sequence[int] = ()


def _listed(asked: Asked, found: RankedList) -> _Listed:
    """Return the hits of a layout."""
    ranked, query = found.ranked, asked.query
    order = ranked.order[: min(query.k, most_ranked(asked))]
    ids = [ranked.ids[at] for at in order]
    aspects, values = found.shapes(ids)
    is_by_time = query.sort in ("newest", "oldest")
    return _Listed(
        ids,
        aspects,
        _runs([ranked.strengths[at] for at in order]),
        _months(values) if is_by_time else None,
        found.results((), replace(query, k=len(order))),
        [ranked.parts[at] for at in order],
    )


def _grouped(searcher: Searcher, asked: Asked) -> _Listed:
    """Return the best image of each group."""
    query = asked.query
    backgrounds = searcher.backgrounds() if query.terms else None
    # One more says whether there are more.
    found = groups(searcher, asked, backgrounds, query.k + (query.k == MOST_GROUPED))
    best, said = found.best[: query.k], found.said
    if len(found.best) > MOST_GROUPED:
        said = replace(said, warnings=(*said.warnings, _TOO_MANY.format(MOST_GROUPED)))
    order = SORTED_BY[query.sort][0]
    shapes = outlined([each.record for each in best], order, said.total)
    return _Listed(
        shapes.ids,
        shapes.aspects,
        _runs([each.strength for each in best]),
        _months(shapes.values) if order == "taken_at" else None,
        said,
        [each.part for each in best],
    )


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
    said = unranked(query, total)
    return _Listed(ids, aspects, runs, _months(values) if order == "taken_at" else None, said)


def _selected(engine: Engine, query: Query, order: Order, descending: bool) -> Iterator[Record]:
    for offset in range(0, query.k, AT_ONCE):
        k = min(AT_ONCE, query.k - offset)
        page = engine.select(query.where, order=order, descending=descending, k=k, offset=offset)
        yield from page
        if len(page) < k:
            return


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
