"""From candidate rows to the records that answer queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pixseek.engines.embedded.candidates import Candidates
from pixseek.engines.embedded.reading import LISTED, chunks, damaged
from pixseek.engines.embedded.vectorfile import Rows
from pixseek.engines.rules import Answer

if TYPE_CHECKING:
    from pixseek.types import Vectors


#: Of rows: the ids of their records in UTF-8, and which of its parts each row is.
Owners = tuple[NDArray[np.bytes_], NDArray[np.int32]]


def nearest(
    db: sqlite3.Connection,
    space: int,
    candidates: Candidates,
    queries: Vectors,
    k: int,
    owners: Owners | None = None,
) -> list[list[Answer]]:
    """Return, for each query, the k best records, best first, ties by id.

    Args:
        db: in the transaction of a snapshot.
        space: number of the space.
        candidates: the rows of that snapshot to choose from.
        queries: (q, dim) float32.
        k: at least 1.
        owners: of all rows, if they are in memory.
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
        for i, found in zip(waiting, _group(db, space, scored, k, owners), strict=True):
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
    owners: Owners | None,
) -> list[list[Answer]]:
    """Return the k best records of the scored rows of each query, each by its best row."""
    groups: list[list[Answer]] = [[] for _ in scored]
    waiting, count = [i for i, (rows, _) in enumerate(scored) if len(rows)], k
    while waiting:
        # Including all that tie with the last one, since the id decides.
        chosen = {i: _highest(scored[i][1], count) for i in waiting}
        wanted = [scored[i][0][chosen[i]] for i in waiting]
        whose = (
            _owners(db, space, wanted)
            if owners is None
            else [(owners[0][rows], owners[1][rows]) for rows in wanted]
        )
        for i, rows, (ids, parts) in zip(waiting, wanted, whose, strict=True):
            groups[i] = _best_of_each(scored[i][1][chosen[i]], ids, parts, rows, k)
        waiting = [i for i in waiting if len(groups[i]) < k and len(chosen[i]) < len(scored[i][0])]
        count *= 4
    return groups


def _best_of_each(
    scores: NDArray[np.float64],
    ids: NDArray[np.bytes_],
    parts: NDArray[np.int32],
    rows: Rows,
    k: int,
) -> list[Answer]:
    """Return the k best records, best first, ties by id, each by its best part.

    Of parts with equal scores the first one counts; see `rules.best_of_each`, which this does
    with arrays: the bytes of texts in UTF-8 sort as their characters do.
    """
    order = np.lexsort((parts, ids, -scores))
    # Of a video there may be thousands of rows, so they are not looked at one by one.
    _, firsts = np.unique(ids[order], return_index=True)
    best = order[np.sort(firsts)[:k]]
    return list(
        map(
            Answer,
            scores[best].tolist(),
            map(bytes.decode, ids[best].tolist()),
            parts[best].tolist(),
            rows[best].tolist(),
        )
    )


def _highest(scores: NDArray[np.float64], count: int) -> Rows:
    """Return the positions of the `count` highest scores, and of those that tie with the last."""
    if count >= len(scores):
        return np.arange(len(scores))
    threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
    return np.flatnonzero(scores >= threshold)


def _owners(db: sqlite3.Connection, space: int, wanted: Sequence[Rows]) -> list[Owners]:
    """Return the record and the part of each of some rows, for each query."""
    every = np.unique(np.concatenate(wanted)).tolist()  # neighbours lie on the same page
    found = {
        row: (id_.encode(), part)
        for some in chunks(every)
        for row, id_, part in db.execute(
            f"SELECT row, record_id, ordinal FROM part WHERE space = ? AND row IN ({LISTED})",
            (space, some),
        )
    }
    if len(found) < len(every):
        missing = next(row for row in every if row not in found)
        raise damaged(f"the vector {missing} has no record")
    return [
        (
            np.array([found[row][0] for row in rows], np.bytes_),
            np.array([found[row][1] for row in rows], np.int32),
        )
        for rows in (each.tolist() for each in wanted)
    ]
