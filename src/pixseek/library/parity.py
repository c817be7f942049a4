"""Whether an engine finds what an exhaustive search finds, on sampled queries.

The truth is computed from the vectors as they pass by, and filters by their definition, so it needs
no engine's own exact search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pixseek import filters
from pixseek.library.copying import BATCH
from pixseek.search import blas
from pixseek.types import Compare, Engine, Filter, Record, Space

if TYPE_CHECKING:
    from pixseek.library.copying import MovableEngine
    from pixseek.types import Vectors

#: How many queries are asked, half of them with a filter, and how many hits of each are compared.
QUERIES, K = 200, 10
#: The least recall of an engine that a library may move to.
LEAST = 0.98

#: Filters among which the queries are shared out, at most.
_FILTERS = 6
#: Queries that are asked together.
_TOGETHER = 25
#: By how much a cosine may lie below that of the k-th nearest: of equal vectors any will do, and
#: pgvector rounds queries to float16.
_TIE = 2.0**-12


class Recall(NamedTuple):
    """Which share of the true nearest an engine found, without a filter and with one."""

    plain: float
    filtered: float
    queries: int

    @property
    def whole(self) -> float:
        """Of all queries."""
        return (self.plain + self.filtered) / 2


def found_by_default(engine: Engine, queries: int) -> float | None:
    """Return which share of the true 10 nearest an engine finds in its usual searches.

    The truth is what it finds with `exact`.

    Args:
        engine: to ask.
        queries: how many, made from vectors of the library.

    Returns:
        None if its searches are exact, it does not say so, or there is nothing to search.
    """
    asked = _queries(engine.sample(queries))[:queries]
    if not len(asked):
        return None
    found = engine.nearest(asked, K)
    if all(each.reach is None or each.reach.exact for each in found):
        return None
    shares = []
    for usual, true in zip(found, engine.nearest(asked, K, exact=True), strict=True):
        if len(true):
            right = int((usual.scores >= true.scores[-1] - _TIE).sum())
            shares.append(min(1.0, right / len(true)))
    return float(np.mean(shares)) if shares else None


class Parity:
    """The queries, and their true nearest among the vectors that were seen."""

    def __init__(self, sample: Vectors, records: Sequence[Record]) -> None:
        """Choose queries and filters.

        Args:
            sample: vectors from which queries are made, (n, dim) float32. Some lie near one image,
                as a search by an example, and some between two, as words that mean several things.
            records: from whose values filters are made, with their parts in that space.
        """
        self.queries = _queries(sample)
        chosen = [each for each in _filters(records) if _fits(each, records)][:_FILTERS]
        half = len(self.queries) // 2
        #: The filter of each query; None for none.
        self.filters: list[Filter | None] = [None] * half
        if chosen:
            self.filters += [chosen[n % len(chosen)] for n in range(len(self.queries) - half)]
        else:
            self.filters += [None] * (len(self.queries) - half)
        self._filters = chosen
        self._best = np.full((len(self.queries), K), -np.inf, np.float32)

    def add(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Look at records and their vectors."""
        counts = [len(each.parts) for each in records]
        having = np.flatnonzero(counts)
        if not len(having) or not len(self.queries):
            return
        starts = np.cumsum([0, *counts])[having]
        with blas.one_thread():
            scores = np.maximum.reduceat(vectors @ self.queries.T, starts, axis=0)
        for where in (None, *self._filters):
            rows = scores
            if where is not None:
                rows = scores[[filters.matches(where, records[n]) for n in having.tolist()]]
            columns = [n for n, each in enumerate(self.filters) if each is where]
            both = np.concatenate([self._best[columns], rows[:, columns].T], axis=1)
            self._best[columns] = -np.partition(-both, K - 1, axis=1)[:, :K]

    def forget(self) -> None:
        """Forget what was looked at."""
        self._best[:] = -np.inf

    def ask(self, target: MovableEngine) -> Iterator[tuple[int, int, int]]:
        """Ask an engine; yield each query's number, and how many it found of how many nearest."""
        for where in (None, *self._filters):
            columns = [n for n, each in enumerate(self.filters) if each is where]
            for at in range(0, len(columns), _TOGETHER):
                some = columns[at : at + _TOGETHER]
                with blas.one_thread():  # the threads of more would only wait for each other
                    answers = target.nearest(self.queries[some], K, where)
                ids = list(dict.fromkeys(id_ for each in answers for id_ in each.ids))
                rows = dict(zip(ids, target.vectors(ids), strict=True))
                if where is not None:
                    records = target.get(ids)
                    there = [each is not None and filters.matches(where, each) for each in records]
                    rows = {id_: rows[id_] for id_, fits in zip(ids, there, strict=True) if fits}
                for n, each in zip(some, answers, strict=True):
                    found = [rows.get(id_) for id_ in dict.fromkeys(each.ids)]
                    yield n, self._right(n, found), int(np.isfinite(self._best[n]).sum())

    def _right(self, n: int, found: Sequence[Vectors | None]) -> int:
        """Return how many of the vectors found for a query are among its nearest."""
        best = self._best[n][np.isfinite(self._best[n])]
        least = float(best.min()) - _TIE if len(best) else np.inf
        return sum(
            own is not None and len(own) > 0 and float((own @ self.queries[n]).max()) >= least
            for own in found
        )

    def recall(self, answers: Sequence[tuple[int, int, int]]) -> Recall:
        """Return the recall of what `ask` has yielded."""
        half = len(self.queries) // 2
        shares: list[list[float]] = [[], []]
        for n, right, there in answers:
            if there:
                shares[n >= half].append(min(1.0, right / there))
        plain, filtered = (float(np.mean(each)) if each else 1.0 for each in shares)
        return Recall(plain, filtered, len(answers))


#: Queries for each space that has vectors, the active one first.
Parities = Mapping[Space, Parity]


def sampled(source: MovableEngine) -> Parities:
    """Return queries for each space in which records have vectors."""
    active, *others = source.spaces()
    records, _ = source.page(active, BATCH)
    found = {active: Parity(source.sample(QUERIES), records)}
    for each in others:
        if source.held(each):
            records, vectors = _first_with_vectors(source, each)
            found[each] = Parity(vectors[:QUERIES], records)
    return found


def _first_with_vectors(source: MovableEngine, space: Space) -> tuple[list[Record], Vectors]:
    """Return a page of records of which some have vectors in a space, and those vectors."""
    after = ""
    while True:
        records, vectors = source.page(space, BATCH, after)
        if len(vectors) or len(records) < BATCH:
            return records, vectors
        after = records[-1].id


def _queries(sample: Vectors) -> Vectors:
    """Return (QUERIES, dim) unit rows: those of one kind and of the other in turn."""
    if not len(sample):
        return np.empty((0, sample.shape[1]), np.float32)
    rng = np.random.default_rng(20)
    some = sample[np.arange(QUERIES) % len(sample)]
    others = sample[(np.arange(QUERIES) * 7 + 3) % len(sample)]
    noise = rng.standard_normal(some.shape).astype(np.float32) / np.sqrt(some.shape[1])
    is_between = (np.arange(QUERIES) % 2 == 1)[:, None]
    made = np.where(is_between, some + others, some + 0.5 * noise)
    lengths = np.linalg.norm(made, axis=1, keepdims=True)
    queries: Vectors = np.where(lengths > 1e-3, made / np.maximum(lengths, 1e-3), some)
    return queries.astype(np.float32)


def _filters(records: Sequence[Record]) -> Iterator[Filter]:
    """Yield filters on the values of some records, of which many and few records fulfil some."""
    if not records:
        return
    ids = sorted(each.id for each in records)
    yield Compare("id", "ge", ids[len(ids) // 2])
    yield Compare("id", "ge", ids[9 * len(ids) // 10])
    if folders := [each.folder for each in records if each.folder]:
        yield Compare("folder", "eq", folders[len(folders) // 3])
    if tags := [each.tags[0] for each in records if each.tags]:
        yield Compare("tags", "contains", tags[len(tags) // 2])
    if widths := sorted(each.width for each in records if each.width):
        yield Compare("width", "le", widths[len(widths) // 2])
    if times := [each.taken_at.replace(tzinfo=None) for each in records if each.taken_at]:
        yield Compare("taken_at", "ge", sorted(times)[len(times) // 2])
    if media := [each.media for each in records if each.media]:
        yield Compare("media", "eq", media[len(media) // 2])
    if sizes := sorted(each.stamp.size for each in records if each.stamp is not None):
        yield Compare("size", "ge", sizes[3 * len(sizes) // 4])
    if roots := [each.root for each in records if each.root]:
        yield Compare("root", "eq", roots[len(roots) // 2])
    yield Compare("caption", "exists")


def _fits(where: Filter, records: Sequence[Record]) -> bool:
    """Return whether a filter can be asked, and some record with vectors fulfils it."""
    try:
        filters.check(where)
    except Exception:  # an unusual value, such as a text that is too long for a filter
        return False
    return any(each.parts and filters.matches(where, each) for each in records)
