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

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: If at most this many records fulfil a filter, all are scored; 20,000 of 512 numbers take .1 s.
EXACT = 30_000
#: How many candidates a search looks at besides k, at least, in each shard.
BREADTH = 100


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
        matches: how many fulfil it.
        breadth: how many candidates each shard looks at; None for the default.
    """
    conditions = [] if condition is None else [condition]
    looks: list[Query | None] = [{"bool": {"filter": conditions}} if conditions else None]
    wide = min(WINDOW, max(k, breadth or max(BREADTH, 2 * k)))
    if matches <= EXACT and (matches <= WINDOW or breadth is None):
        # As many candidates as matches of a filter: then the server scores them all, and no
        # near-copies hide others in its graph. It takes at most `WINDOW` of them at once.
        wide = min(WINDOW, max(k, matches))
        count = 1 if matches <= WINDOW else math.ceil(matches / (0.9 * WINDOW))
        edges = [fields.BUCKETS * n // count for n in range(count + 1)]
        looks = [
            {"bool": {"filter": [{"range": {"bucket": {"gte": low, "lt": high}}}, *conditions]}}
            for low, high in itertools.pairwise(edges)
        ]
    return [
        {
            **dialect.nearest(name, each, k, wide, look),
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


def _scored(query: Any, hits: Sequence[Any]) -> list[Row]:
    """Return the best part of each document that was found, by the cosine of what is stored."""
    wanted = query.astype(np.float64)
    rows = dict[str, Row]()
    for hit in hits:
        stored = hit["_source"]["record"]
        if stored["id"] in rows:
            continue
        vectors = fields.vectors_of(hit["_source"], len(query))
        # Not by a matrix product, in which equal rows may differ in their last bits.
        scores = (vectors.astype(np.float64) * wanted).sum(axis=1)
        best = int(scores.argmax())
        rows[stored["id"]] = Row(stored["id"], best, float(scores[best]), vectors[best])
    return sorted(rows.values(), key=lambda row: (-row.score, row.id))
