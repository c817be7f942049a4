"""All images that show something, for labels: not a page of hits, and not only the nearest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from pixseek.search.asked import MANY, Backgrounds, look, luck
from pixseek.search.strength import demand, judged
from pixseek.types import Engine, Filter, Neighbours, Term

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Records whose vectors are read at once.
_CHUNK = 1024


def matching(
    term: Term,
    vector: Vectors,
    where: Filter | None,
    least: float,
    *,
    engine: Engine,
    backgrounds: Backgrounds,
    unread: frozenset[str],
) -> dict[str, float]:
    """Return the ids of all images that show something, with scores, best first.

    Args:
        term: what is looked for.
        vector: of the term, (dim,).
        where: which images; None for all.
        least: smallest judged score.
        engine: what is searched.
        backgrounds: which scores mean nothing.
        unread: texts that the model can't read.
    """
    most = engine.capabilities.max_k
    depth = MANY if most is None else min(MANY, most)
    while True:
        nearest = engine.nearest(vector[None], depth, where)[0]
        rated = _rated(term, vector, [nearest], backgrounds, unread)
        sure = {each: rate for each, rate in rated.items() if rate >= least}
        # If half of them are sure, there may be more below.
        if len(nearest) < depth or 2 * len(sure) < depth:
            return sure
        if depth == most:
            everything = _rated(term, vector, _all(engine, where, vector), backgrounds, unread)
            return {each: rate for each, rate in everything.items() if rate >= least}
        depth = 4 * depth if most is None else min(4 * depth, most)


def _rated(
    term: Term,
    vector: Vectors,
    blocks: Iterable[Neighbours],
    backgrounds: Backgrounds,
    unread: frozenset[str],
) -> dict[str, float]:
    """Return the judged score of each candidate, by id, best first; see `strength.judged`."""
    import numpy as np

    ids: list[str] = []
    parts: list[int] = []
    deviations, total = [], 0
    for block in blocks:
        ids += block.ids
        deviations.append(look(term, vector, block.vectors, backgrounds, unread=unread).deviations)
        parts += block.parts
        total += block.total
    if not ids:
        return {}
    demanded = demand(str(term.value), backgrounds.calibration) if term.kind == "text" else 0.0
    scores = np.concatenate(deviations) - luck(parts) - np.float32(demanded)
    order = np.argsort(-scores, kind="stable")
    found = judged(scores[order], total, backgrounds.calibrated([term]))
    return {ids[at]: float(score) for at, score in zip(order.tolist(), found, strict=True)}


def _all(engine: Engine, where: Filter | None, vector: Vectors) -> Iterator[Neighbours]:
    """Yield every image that a filter lets through, with its part nearest to a vector.

    For an engine that can't rank as many: it takes a look at each vector.
    """
    import numpy as np

    ids = iter(engine.matching_ids(where))
    while some := list(islice(ids, _CHUNK)):
        found = zip(some, engine.vectors(some), strict=True)
        there = {each: rows for each, rows in found if rows is not None and len(rows)}
        if there:
            best = [int(np.argmax(rows @ vector)) for rows in there.values()]
            rows = np.stack([rows[at] for rows, at in zip(there.values(), best, strict=True)])
            yield Neighbours(tuple(there), rows @ vector, rows, tuple(best), len(there))
