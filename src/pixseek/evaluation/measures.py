"""The field's measures of retrieval, from the places at which a search has what is right.

As CLIP_benchmark and the papers on CLIP measure: all items are ranked for each query by the cosine
of the whole vectors, with no index between. A query is a caption, and its image is right; or an
image, and each of its captions is right. Items that score exactly as much as one that is right
count as before it, so a model that gives all images one score finds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Vectors

#: The measures, in the order in which they are shown, and what each one is.
MEASURES: Mapping[str, str] = {
    "recall@1": "share of queries with something right among the first",
    "recall@5": "among the first 5",
    "recall@10": "among the first 10",
    "mrr@100": "mean of 1 / the place of the first that is right, 0 beyond the 100th",
    "map": "mean average precision over all that is right",
    "ndcg@10": "normalised discounted cumulative gain of the first 10",
    "median_rank": "place of the first that is right, of the middle query",
}
#: Numbers of a block of scores: 64 MB, of which a core's caches hold what is compared with a row.
_BLOCK = 1 << 24
#: Draws of the bootstrap. With 1,000, the ends of an interval differ by a twentieth of its length
#: from those of 100,000 (1,000 queries, recall .68).
_DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Places:
    """Where the items that are right stand for each query, 1 for the first.

    Attributes:
        starts: of query n, the places `values[starts[n] : starts[n + 1]]`, (queries + 1,) int64.
        values: the places, ascending for each query, int64.
        best: of each query, the row of the item that scores most, (queries,) int64.
        items: how many items were ranked.
    """

    starts: NDArray[np.int64]
    values: NDArray[np.int64]
    best: NDArray[np.int64]
    items: int

    def __len__(self) -> int:
        """How many queries there are."""
        return len(self.starts) - 1

    @property
    def first(self) -> NDArray[np.int64]:
        """The place of the first that is right, (queries,)."""
        return self.values[self.starts[:-1]]


def places(queries: Vectors, items: Vectors, right: Sequence[Sequence[int]]) -> Places:
    """Return where what is right stands if all items are ranked by cosine.

    It takes the time of the matrix product and of as many comparisons of it with a number as a
    query has right items at most; a block of the product is in memory at a time.

    Args:
        queries: (q, dim) float32 unit rows.
        items: (n, dim) float32 unit rows.
        right: of each query, the rows of the items that are right, at least one, each once.

    Raises:
        ValueError: a query has nothing right.
    """
    import numpy as np

    starts, flat = _flattened(right)
    values, best = np.empty(len(flat), np.int64), np.empty(len(queries), np.int64)
    step = max(1, _BLOCK // max(1, len(items)))
    for begin in range(0, len(queries), step):
        end = min(len(queries), begin + step)
        scores = queries[begin:end] @ items.T
        some = slice(starts[begin], starts[end])
        values[some] = _places(scores, starts[begin : end + 1] - starts[begin], flat[some])
        best[begin:end] = scores.argmax(axis=1)
    return Places(starts, values, best, len(items))


def places_of_scores(scores: NDArray[np.floating], right: Sequence[Sequence[int]]) -> Places:
    """Return where what is right stands by scores that are there already.

    Args:
        scores: of each query and each item, (q, n).
        right: as for `places`.

    Raises:
        ValueError: a query has nothing right.
    """
    starts, flat = _flattened(right)
    return Places(starts, _places(scores, starts, flat), scores.argmax(axis=1), scores.shape[1])


def _flattened(right: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    import numpy as np

    counts = np.fromiter(map(len, right), np.int64, len(right))
    if not counts.all():
        raise ValueError(f"query {int(np.argmin(counts))} has nothing right")
    starts = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
    flat = np.fromiter((each for some in right for each in some), np.int64, int(starts[-1]))
    return starts, flat


def _places(
    scores: NDArray[np.floating], starts: NDArray[np.int64], flat: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the places of the right items of a block of queries, ascending for each."""
    import numpy as np

    counts = np.diff(starts)
    values = np.empty(len(flat), np.int64)
    for n in range(int(counts.max(initial=0))):
        rows = np.flatnonzero(counts > n)
        block = scores if len(rows) == len(scores) else scores[rows]
        own = scores[rows, flat[starts[rows] + n]]
        values[starts[rows] + n] = (block >= own[:, None]).sum(axis=1)
    # Of items that are right only those that score more come before.
    for query in np.flatnonzero(counts > 1):
        some = slice(starts[query], starts[query + 1])
        own = scores[query, flat[some]]
        beside = (own >= own[:, None]).sum(axis=1)
        values[some] = np.sort(values[some] - beside) + np.arange(1, len(own) + 1)
    return values


# ------------------------------------------------------------------ measures


def by_query(found: Places) -> dict[str, NDArray[np.float64]]:
    """Return the value of each measure for each query, (queries,), by its name in `MEASURES`.

    `median_rank` has the places of which the median is to be taken; of the others it is the mean.
    """
    import numpy as np

    first = found.first
    values = {f"recall@{k}": (first <= k).astype(np.float64) for k in (1, 5, 10)}
    values["mrr@100"] = np.where(first <= 100, 1.0 / first, 0.0)
    counts = np.diff(found.starts)
    nth = np.arange(len(found.values)) - np.repeat(found.starts[:-1], counts) + 1
    values["map"] = np.add.reduceat(nth / found.values, found.starts[:-1]) / counts
    gains = np.where(found.values <= 10, 1.0 / np.log2(found.values + 1.0), 0.0)
    ideal = np.cumsum(1.0 / np.log2(np.arange(2.0, 12.0)))[np.minimum(counts, 10) - 1]
    values["ndcg@10"] = np.add.reduceat(gains, found.starts[:-1]) / ideal
    values["median_rank"] = first.astype(np.float64)
    return {name: values[name] for name in MEASURES}


def by_chance(counts: Sequence[int], items: int) -> dict[str, float]:
    """Return the value of each measure that is to be expected if chance ranks the items.

    Args:
        counts: how many items are right for each query.
        items: how many are ranked.
    """
    import numpy as np

    places = np.arange(1.0, items + 1)
    harmonic = float((1 / places).sum())
    discounts = 1.0 / np.log2(np.arange(2.0, 12.0))
    sizes, queries = np.unique(np.asarray(counts), return_counts=True)
    found = dict.fromkeys(MEASURES, 0.0)
    first_within = np.zeros(items)
    for size, weight in zip(sizes.tolist(), (queries / queries.sum()).tolist(), strict=True):
        # None of the first r is right: (n - size) / n * (n - size - 1) / (n - 1) * ...
        none = np.cumprod(np.maximum(items - size - places + 1, 0) / (items - places + 1))
        within = 1 - none
        at = np.diff(within, prepend=0.0)
        for k in (1, 5, 10):
            found[f"recall@{k}"] += weight * float(within[min(k, items) - 1])
        found["mrr@100"] += weight * float((at / places)[:100].sum())
        others = (size - 1) / max(1, items - 1)
        found["map"] += weight * (harmonic + others * (items - harmonic)) / items
        gain = size / items * float(discounts[:items].sum())
        found["ndcg@10"] += weight * gain / float(discounts[:size].sum())
        first_within += weight * within
    found["median_rank"] = float(np.searchsorted(first_within, 0.5) + 1)
    return found


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure with its interval of 95 %.

    Attributes:
        value: of all queries.
        low: below which 2.5 % of the draws are.
        high: above which 2.5 % of the draws are.
    """

    value: float
    low: float
    high: float


class Bootstrap:
    """Draws of a set of queries with replacement, the same ones for all that is compared.

    Queries about one image are drawn together: five captions of a photo that is hard to find are
    no five independent cases. (Efron and Tibshirani, An Introduction to the Bootstrap, 1993:
    percentile intervals.)
    """

    def __init__(self, groups: NDArray[np.int64], seed: int = 0, draws: int = _DRAWS) -> None:
        """Draw.

        Args:
            groups: of each query, the number of the group that it is drawn with.
            seed: for the draws.
            draws: how many.
        """
        import numpy as np

        _, self._groups = np.unique(groups, return_inverse=True)
        size = int(self._groups.max()) + 1
        chance = np.random.default_rng(seed)
        #: How often each draw has each group, (draws, groups).
        self._drawn = np.empty((draws, size), np.uint8)
        for row in self._drawn:
            drawn = np.bincount(chance.integers(size, size=size), minlength=size)
            row[:] = np.minimum(drawn, 255)  # which nobody will see: 1 in 10 ** 500
        self._sizes = self._summed(np.ones(len(groups)))

    def _summed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of a value over the queries of each draw."""
        import numpy as np

        sums = np.bincount(self._groups, values)
        return np.concatenate([row[None] @ sums for row in self._drawn])

    def mean(self, values: NDArray[np.float64]) -> Estimate:
        """Return the mean of a value of each query, or of a difference of two, with its interval.

        Args:
            values: of each query, (queries,).
        """
        return _estimate(float(values.mean()), self._summed(values) / self._sizes)

    def median(self, values: NDArray[np.float64]) -> Estimate:
        """Return the median of a value of each query, with its interval.

        Args:
            values: of each query, (queries,).
        """
        import numpy as np

        order = np.argsort(values, kind="stable")
        ordered = values[order]
        drawn = []
        for weights in self._drawn:
            heap = weights[self._groups[order]].cumsum(dtype=np.float64)
            low, high = np.searchsorted(heap, [heap[-1] / 2, heap[-1] / 2 + 0.5])
            drawn.append((ordered[low] + ordered[min(high, len(ordered) - 1)]) / 2)
        return _estimate(float(np.median(values)), np.array(drawn))

    def of(self, values: Mapping[str, NDArray[np.float64]]) -> dict[str, Estimate]:
        """Return each measure of `by_query` with its interval."""
        return {
            name: self.median(each) if name == "median_rank" else self.mean(each)
            for name, each in values.items()
        }


def _estimate(value: float, drawn: NDArray[np.floating]) -> Estimate:
    import numpy as np

    low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
    return Estimate(value, low, high)


def p_of_difference(
    differences: NDArray[np.float64], groups: NDArray[np.int64], seed: int = 0, draws: int = 10_000
) -> float:
    """Return how probable a mean as far from 0 is if neither of two is better.

    Fisher's randomisation test: for each group of queries chance decides which of the two is which.
    (Smucker, Allan and Carterette, A comparison of statistical significance tests for information
    retrieval evaluation, CIKM 2007.)

    Args:
        differences: of the two values of each query, (queries,).
        groups: of each query, the number of the group that changes sides together.
        seed: for the draws.
        draws: how many; what is returned is at least 1 / (draws + 1).
    """
    import numpy as np

    _, numbers = np.unique(groups, return_inverse=True)
    sums = np.bincount(numbers, differences)
    sums = sums[sums != 0]
    chance = np.random.default_rng(seed)
    seen, total = 0, abs(float(sums.sum())) - 1e-9
    for begin in range(0, draws, 500):
        signs = chance.integers(0, 2, (min(500, draws - begin), len(sums)), np.int8) * 2 - 1
        seen += int((np.abs(signs @ sums) >= total).sum())
    return (seen + 1) / (draws + 1)
