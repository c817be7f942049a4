"""From candidate rows to the records that answer queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pixseek.engines import columns
from pixseek.engines.candidates import Candidates
from pixseek.engines.reading import LISTED, chunks, parts_of, record_of
from pixseek.engines.vectorfile import Rows
from pixseek.types import Match

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: A row's record: its number, its id, and all its columns.
_Owner = tuple[int, str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class _Found:
    """A row that answers a query."""

    row: int
    score: float
    owner: _Owner


def answers(
    db: sqlite3.Connection, space: int, candidates: Candidates, queries: Vectors, k: int
) -> list[list[Match]]:
    """Return, for each query, the k best records, best first, ties by id.

    Args:
        db: in the transaction of a snapshot.
        space: number of the space.
        candidates: the rows of that snapshot to choose from.
        queries: (q, dim) float32.
        k: at least 1.
    """
    best: list[list[_Found]] = [[] for _ in queries]
    among = candidates.count
    waiting, count = list(range(len(queries))), k
    while waiting:
        rows = candidates.nearest(queries[waiting], count)
        scored = [
            (some, candidates.vectors.score(some, queries[i]))
            for i, some in zip(waiting, rows, strict=True)
        ]
        for i, found in zip(waiting, _group(db, space, scored, k), strict=True):
            best[i] = found
        # Records with many parts may have taken the places of others.
        waiting = [i for i in waiting if len(best[i]) < min(k, among)] if count < among else []
        count *= 4
    owners = {one.owner[0]: one.owner[2] for each in best for one in each}
    parts = parts_of(db, space, list(owners))
    records = {number: record_of(owners[number], parts[number]) for number in owners}
    matches: list[list[Match]] = []
    for each in best:
        matches.append([])
        for one in each:
            record = records[one.owner[0]]
            at = [row for row, _ in parts[one.owner[0]]].index(one.row)
            matches[-1].append(Match(record, record.parts[at], one.score))
    return matches


def _group(
    db: sqlite3.Connection,
    space: int,
    scored: Sequence[tuple[Rows, NDArray[np.float64]]],
    k: int,
) -> list[list[_Found]]:
    """Return the k best records of the scored rows of each query, each by its best row."""
    groups: list[list[_Found]] = [[] for _ in scored]
    owners: dict[int, _Owner] = {}
    waiting, count = [i for i, (rows, _) in enumerate(scored) if len(rows)], k
    while waiting:
        # All that tie with the last one are looked at, since the id decides.
        chosen = {i: _highest(scored[i][1], count) for i in waiting}
        wanted = {row for i in waiting for row in scored[i][0][chosen[i]].tolist()}
        owners.update(_owners(db, space, wanted - owners.keys()))
        for i in waiting:
            rows, scores = (each[chosen[i]].tolist() for each in scored[i])
            best: dict[int, _Found] = {}
            for row, score in zip(rows, scores, strict=True):
                owner = owners[row]
                old = best.get(owner[0])
                if old is None or (score, -row) > (old.score, -old.row):
                    best[owner[0]] = _Found(row, score, owner)
            groups[i] = sorted(best.values(), key=lambda found: (-found.score, found.owner[1]))[:k]
        waiting = [i for i in waiting if len(groups[i]) < k and len(chosen[i]) < len(scored[i][0])]
        count *= 4
    return groups


def _highest(scores: NDArray[np.float64], count: int) -> Rows:
    """Return where the `count` highest scores are, and all that equal the lowest of them."""
    if count >= len(scores):
        return np.arange(len(scores))
    threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
    return np.flatnonzero(scores >= threshold)


def _owners(db: sqlite3.Connection, space: int, rows: Iterable[int]) -> dict[int, _Owner]:
    """Return the record of each row."""
    return {
        row: (number, values[0], tuple(values))
        for some in chunks(list(rows))
        for row, number, *values in db.execute(
            f"SELECT part.row, number, {columns.COLUMNS} FROM part "
            "JOIN record ON record.number = part.record "
            f"WHERE part.space = ? AND part.row IN ({LISTED})",
            (space, some),
        )
    }
