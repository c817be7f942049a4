"""From what engines found to the order in which users see it. Pure functions on arrays.

A position is the index of a candidate; candidates come best first, as the engine found them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pixseek.types import Neighbours, Reach

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Vectors

    Order = NDArray[np.int64]


def merged(found: Sequence[Neighbours]) -> Neighbours:
    """Return the nearest to any of several queries, by their best rank; ties in this order.

    What is fetched later comes later: a deeper fetch of each only adds to the end.
    """
    if len(found) == 1:
        return found[0]
    import numpy as np

    first: dict[str, tuple[int, int]] = {}
    for rank in range(max(map(len, found))):
        for which, each in enumerate(found):
            if rank < len(each):
                first.setdefault(each.ids[rank], (which, rank))
    rows = list(first.values())
    dim = found[0].vectors.shape[1]
    return Neighbours(
        tuple(first),
        np.array([found[which].scores[rank] for which, rank in rows], np.float32),
        np.array([found[which].vectors[rank] for which, rank in rows], np.float32).reshape(-1, dim),
        tuple(found[which].parts[rank] for which, rank in rows),
        found[0].total,
        _reach_of(found),
    )


def _reach_of(found: Sequence[Neighbours]) -> Reach | None:
    """Return how far an engine looked for several queries: the least of them."""
    reaches = [each.reach for each in found]
    inexact = [each for each in reaches if each is None or not each.exact]
    if None in inexact or not inexact:
        return None if inexact else reaches[0]
    breadths = [each.breadth for each in inexact if each is not None]
    return Reach(False, None if None in breadths else min(filter(None, breadths)))


def order_of(scores: Vectors, ids: Sequence[str]) -> Order:
    """Return positions by score, best first, ties by id."""
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], falling[1:] != falling[:-1]]))
    if len(starts) < len(order):
        for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
            if stop - start > 1:
                order[start:stop] = sorted(order[start:stop].tolist(), key=ids.__getitem__)
    return order.astype(np.int64, copy=False)


def groups(
    vectors: Vectors, threshold: float, are_one: Callable[[int, int], bool], enough: int
) -> Order:
    """Return for each of (n, dim) unit rows, best first, the row that stands for it.

    The first of a group stands for itself. A row belongs to the first of these to which its cosine
    is at least `threshold` and with which it is one picture. So a group does not depend on what
    comes after its members.

    Args:
        vectors: (n, dim) unit rows.
        threshold: smallest cosine in a group.
        are_one: says whether a row and one before it show one picture.
        enough: groups that are wanted; rows after the first of the last stand for themselves.
    """
    import numpy as np

    leaders = np.arange(len(vectors))
    first: list[int] = []
    shown = np.empty((min(enough, len(vectors)), vectors.shape[1]), vectors.dtype)
    for row in range(len(vectors)):
        if len(first) >= enough:
            break
        near = np.flatnonzero(shown[: len(first)] @ vectors[row] >= threshold).tolist()
        leader = next((first[at] for at in near if are_one(row, first[at])), row)
        leaders[row] = leader
        if leader == row:
            shown[len(first)] = vectors[row]
            first.append(row)
    return leaders


def varied(scores: Vectors, vectors: Vectors, variety: float) -> Order:
    """Return positions by maximal marginal relevance: good hits that differ from those before.

    Carbonell and Goldstein (1998, https://doi.org/10.1145/290941.291025).

    Args:
        scores: (n,) on any scale; scaled to [0, 1] here.
        vectors: (n, dim) unit rows.
        variety: 0 ranks by score alone, 1 by difference alone.
    """
    import numpy as np

    if not len(scores):
        return np.empty(0, np.int64)
    span = float(scores.max() - scores.min()) or 1.0
    relevance = (scores - scores.min()) / span
    nearest = np.full(len(scores), -1.0)
    left = np.ones(len(scores), bool)
    chosen: list[int] = []
    for _ in range(len(scores)):
        merit = (1 - variety) * relevance - (variety * np.maximum(nearest, 0) if chosen else 0.0)
        best = int(np.argmax(np.where(left, merit, -np.inf)))
        chosen.append(best)
        left[best] = False
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return np.array(chosen, np.int64)
