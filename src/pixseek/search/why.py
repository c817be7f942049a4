"""The reasons of a hit: the score of each term, and which texts hold words of the query."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pixseek.metadata.annotations import KEPT, LABEL_CONFIDENCES, LABEL_SCORES, USER_PREFIX
from pixseek.search.asked import Look
from pixseek.types import Query, Reason, Record

#: Fields that nobody wrote about the image, or that other reasons report.
_UNSAID = frozenset({"notes", "colours", "colour_names", "placeholder", *KEPT})


def reasons(
    query: Query, looks: Sequence[Look], at: int, share: float, record: Record
) -> tuple[Reason, ...]:
    """Return what each term, and what is written, contributes to a hit.

    Args:
        query: what was asked.
        looks: the scores of each of its terms on the candidates.
        at: which candidate it is.
        share: how much of the query's words its texts hold, in [0, 1].
        record: of the hit.
    """
    found = [
        Reason(
            term.kind,
            ""
            if term.kind == "vector" or not isinstance(term.value, str | Path)
            else str(term.value),
            float(look.cosines[at]),
            float(look.deviations[at]),
            term.weight,
        )
        for term, look in zip(query.terms, looks, strict=True)
    ]
    if share > 0:
        found.append(Reason("words", _where_written(query, record), share, 0.0, query.text_weight))
    return tuple(found)


def _where_written(query: Query, record: Record) -> str:
    """Return which texts of a record hold words of a query, as in "caption: dog, beach".

    For tags that a model gave, with their confidence: "tags: a lake 0.97".
    """
    words = [
        word
        for term in query.terms
        if term.kind == "text" and term.weight > 0
        for word in re.findall(r"\w{3,}", str(term.value).casefold())
    ]
    texts = {"caption": record.caption, "tags": " ".join(record.tags), "name": record.relative_path}
    texts |= {name: str(value) for name, value in record.fields.items() if isinstance(value, str)}
    for field in (LABEL_SCORES, LABEL_CONFIDENCES):
        scored = str(record.fields.get(f"{USER_PREFIX}{field}") or "").split(", ")
        if said := [each for each in scored if any(w[:4] in each.casefold() for w in words)]:
            return f"tags: {', '.join(said)}"
    for name, text in texts.items():
        # Compare the beginnings of words, since the engine compares stems.
        found = [word for word in words if word[:4] in text.casefold()]
        if found and name not in _UNSAID:
            return f"{name}: {', '.join(dict.fromkeys(found))}"
    return ""
