"""Searches for neighbours in Elasticsearch and its kin: what is asked, and what the answers say.

The index of vectors only chooses candidates. They are scored here, by the float16 vectors that
come with them, so a score is a cosine whatever the type of the index.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek.engines import elastic_fields as fields
from pixseek.engines.elastic_dialects import WINDOW, Dialect, Query
from pixseek.engines.store import Row
from pixseek.errors import CapabilityError

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: If those that fulfil a filter have at most this many vectors, all are scored; 20,000 of 512
#: numbers take .1 s.
EXACT = 30_000
#: How many candidates each shard looks at if near-copies are found, among which HNSW loses its way.
CROWDED = 2_000
#: Near-copies have at least this cosine to the best hit.
_ALIKE = 0.97
#: Vectors of a range of buckets on average; in one there may be more, but not `WINDOW`.
_RANGE = 3 * WINDOW // 4


def breadth_of(dialect: Dialect, k: int, matches: int, breadth: int | None) -> int | None:
    """Return how many candidates each shard looks at; None if all vectors are scored.

    Args:
        dialect: of the server.
        k: how many are looked for.
        matches: how many vectors those have that fulfil the condition.
        breadth: what is asked for; None for the default.
    """
    if matches <= EXACT and (matches <= WINDOW or breadth is None):
        return None
    return min(WINDOW, max(k, breadth or max(dialect.breadth, 2 * k)))


def asked(
    dialect: Dialect,
    names: Sequence[str],
    vectors: Vectors,
    k: int,
    condition: Query | None,
    matches: int,
    breadth: int | None,
) -> list[Query]:
    """Return the searches for the k nearest documents to each of some vectors; as many for each.

    Args:
        dialect: of the server.
        names: the fields of vectors to look in.
        vectors: (q, dim) unit rows.
        k: how many.
        condition: which documents; None for all.
        matches: how many vectors they have.
        breadth: how many candidates each shard looks at; None to score all.

    Raises:
        CapabilityError: there are too many to score them all.
    """
    conditions = [] if condition is None else [condition]
    looks: list[Query | None] = [{"bool": {"filter": conditions}} if conditions else None]
    if breadth is None:
        # If a filter leaves no more vectors than candidates, the server scores them all, and no
        # near-copies hide others in its graph. It takes at most `WINDOW` of them at once.
        breadth = min(WINDOW, max(k, matches))
        count = 1 if matches <= WINDOW else math.ceil(matches / _RANGE)
        if count > fields.BUCKETS:
            raise CapabilityError(
                "the engine can't score so many vectors one by one",
                f"{matches:,}, at most {fields.BUCKETS * _RANGE:,}",
                "Narrow the search by a filter, or search without exact.",
            )
        edges = [fields.BUCKETS * n // count for n in range(count + 1)]
        looks = [
            {"bool": {"filter": [{"range": {"bucket": {"gte": low, "lt": high}}}, *conditions]}}
            for low, high in itertools.pairwise(edges)
        ]
    return [
        {
            **dialect.nearest(name, each, k, breadth, look),
            "size": k, "_source": fields.SCORED, "track_total_hits": False,
        }
        for each in vectors.astype(np.float64).round(8).tolist()
        for name in names
        for look in looks
    ]  # fmt: skip


def told(vectors: Vectors, k: int, answers: Sequence[Any]) -> list[list[Row]]:
    """Return what the answers to `asked` say: for each vector the best part of k documents."""
    each_has = len(answers) // len(vectors)
    return [
        _scored(
            query,
            [hit for a in answers[n * each_has :][:each_has] for hit in a["hits"]["hits"]],
        )[:k]
        for n, query in enumerate(vectors)
    ]


def is_crowded(rows: Sequence[Row]) -> bool:
    """Return whether half of the hits are near-copies of the best one: then there may be better."""
    vectors = np.array([row.vector for row in rows])
    return len(rows) > 1 and float(np.median(vectors @ vectors[0])) >= _ALIKE


def _scored(query: Any, hits: Sequence[Any]) -> list[Row]:
    """Return the best part of each document that was found, by the cosine of what is stored."""
    wanted = query.astype(np.float64)
    rows = dict[str, Row]()
    for hit in hits:
        source = fields.source_of(hit)
        stored = source["record"]
        if stored["id"] in rows:
            continue
        vectors = fields.vectors_of(source, len(query))
        # Not by a matrix product, in which equal rows may differ in their last bits.
        scores = (vectors.astype(np.float64) * wanted).sum(axis=1)
        best = int(scores.argmax())
        rows[stored["id"]] = Row(stored["id"], best, float(scores[best]), vectors[best])
    return sorted(rows.values(), key=lambda row: (-row.score, row.id))
