"""From what engines found to the order in which users see it. Pure functions on arrays.

Positions are those of the candidates, (n,) of them, best first for the engine that found them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Vectors

    Order = NDArray[np.int64]

#: What is added to ranks by reciprocal rank fusion: the constant of Cormack, Clarke and Büttcher
#: (2009, https://doi.org/10.1145/1571941.1572114).
RRF_K = 60


def order_of(scores: Vectors, ids: Sequence[str]) -> Order:
    """Return positions by score, best first, ties by id."""
    import numpy as np

    return np.array(sorted(range(len(ids)), key=lambda i: (-float(scores[i]), ids[i])), np.int64)


def reciprocal_ranks(orders: Sequence[Sequence[str]], weights: Sequence[float]) -> dict[str, float]:
    """Return the score of every id that any list holds, by reciprocal rank fusion.

    Args:
        orders: ids, best first, one list for each thing that was looked for.
        weights: of the lists.
    """
    scores: dict[str, float] = {}
    for order, weight in zip(orders, weights, strict=True):
        for rank, each in enumerate(order, 1):
            scores[each] = scores.get(each, 0.0) + weight / (RRF_K + rank)
    return scores


def groups(vectors: Vectors, threshold: float) -> Order:
    """Return for each of (n, dim) unit rows, best first, which row it is a near-duplicate of.

    The first of a group stands for itself; whatever is as near to it as `threshold` (a cosine)
    belongs to it. So a group does not depend on what comes after its members.
    """
    import numpy as np

    leaders = np.full(len(vectors), -1, np.int64)
    for row in range(len(vectors)):
        if leaders[row] >= 0:
            continue
        leaders[row] = row
        rest = np.flatnonzero(leaders[row + 1 :] < 0) + row + 1
        near = rest[vectors[rest] @ vectors[row] >= threshold]
        leaders[near] = row
    return leaders


def varied(scores: Vectors, vectors: Vectors, variety: float) -> Order:
    """Return positions by maximal marginal relevance: good ones that differ from those before.

    Carbonell and Goldstein (1998, https://doi.org/10.1145/290941.291025).

    Args:
        scores: (n,) of any scale, brought to [0, 1] here.
        vectors: (n, dim) unit rows.
        variety: 0 to go by scores alone, 1 by difference alone.
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
