"""Answers of engines, in the form that tests compare."""

from __future__ import annotations

from typing import Any, NamedTuple

from pixseek.types import Engine, Filter, Part, Record


class Found(NamedTuple):
    """A record near a query, its best part and that part's score."""

    record: Record
    part: Part
    score: float


def search(engine: Engine, vectors: Any, k: int, where: Filter | None = None) -> list[list[Found]]:
    """Return the k nearest records of each query, whole."""
    answers = []
    for found in engine.nearest(vectors, k, where):
        records = engine.get(found.ids)
        answers.append(
            [
                Found(record, record.parts[part], float(score))
                for record, part, score in zip(records, found.parts, found.scores, strict=True)
                if record is not None
            ]
        )
    return answers


def by_words(
    engine: Engine, text: str, k: int, where: Filter | None = None
) -> list[tuple[str, float]]:
    """Return the ids and shares of the records whose texts fit best."""
    return [
        (each.id, each.share) for each in engine.find_words(text, k, where, counted=False).matches
    ]


def with_digest(engine: Engine, digest: str) -> list[str]:
    """Return the ids of the records with a digest, sorted."""
    return sorted(known.id for known in engine.with_digests([digest]).get(digest, ()))
