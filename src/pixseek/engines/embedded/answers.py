"""From candidate rows to the records that answer queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pixseek.engines import rules
from pixseek.engines.embedded.candidates import Candidates
from pixseek.engines.embedded.reading import LISTED, chunks, damaged
from pixseek.engines.embedded.vectorfile import Rows
from pixseek.engines.rules import Answer

if TYPE_CHECKING:
    from pixseek.types import Vectors


#: What the database says of a row: the id of its record, and the part's index.
_Owner = tuple[str, int]


def nearest(
    db: sqlite3.Connection, space: int, candidates: Candidates, queries: Vectors, k: int
) -> list[list[Answer]]:
    """Return, for each query, the k best records, best first, ties by id.

    Args:
        db: in the transaction of a snapshot.
        space: number of the space.
        candidates: the rows of that snapshot to choose from.
        queries: (q, dim) float32.
        k: at least 1.
    """
    best: list[list[Answer]] = [[] for _ in queries]
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
        # Records of many parts may have taken the places of others.
        waiting = [i for i in waiting if len(best[i]) < min(k, among)] if count < among else []
        count *= 4
    return best


def _group(
    db: sqlite3.Connection,
    space: int,
    scored: Sequence[tuple[Rows, NDArray[np.float64]]],
    k: int,
) -> list[list[Answer]]:
    """Return the k best records of the scored rows of each query, each by its best row."""
    groups: list[list[Answer]] = [[] for _ in scored]
    owners: dict[int, _Owner] = {}
    waiting, count = [i for i, (rows, _) in enumerate(scored) if len(rows)], k
    while waiting:
        # Including all that tie with the last one, since the id decides.
        chosen = {i: _highest(scored[i][1], count) for i in waiting}
        wanted = {row for i in waiting for row in scored[i][0][chosen[i]].tolist()}
        owners.update(_owners(db, space, wanted - owners.keys()))
        for i in waiting:
            rows, scores = (each[chosen[i]].tolist() for each in scored[i])
            try:
                parts = [
                    Answer(score, *owners[row], row)
                    for row, score in zip(rows, scores, strict=True)
                ]
            except KeyError as error:
                raise damaged(f"the vector {error} has no record") from error
            groups[i] = rules.best_of_each(parts, k)
        waiting = [i for i in waiting if len(groups[i]) < k and len(chosen[i]) < len(scored[i][0])]
        count *= 4
    return groups


def _highest(scores: NDArray[np.float64], count: int) -> Rows:
    """Return the positions of the `count` highest scores, and of those that tie with the last."""
    if count >= len(scores):
        return np.arange(len(scores))
    threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
    return np.flatnonzero(scores >= threshold)


def _owners(db: sqlite3.Connection, space: int, rows: Iterable[int]) -> dict[int, _Owner]:
    """Return the record of each row."""
    return {
        row: (id_, part)
        for some in chunks(sorted(rows))  # neighbours lie on the same page
        for row, id_, part in db.execute(
            f"SELECT row, record_id, ordinal FROM part WHERE space = ? AND row IN ({LISTED})",
            (space, some),
        )
    }
