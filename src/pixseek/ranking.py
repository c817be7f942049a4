"""From what an engine found to what the user sees. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pixseek.types import Hit, Match, Record


def rank(
    matches: Sequence[Match],
    *,
    offset: int,
    k: int,
    without: frozenset[str] = frozenset(),
    locate: Callable[[Record], Path | None],
) -> tuple[Hit, ...]:
    """Return the hits of one page.

    Args:
        matches: best first, each record once.
        offset: how many of the best to pass over.
        k: how many to return at most.
        without: ids that are no answer (the image that was asked with).
        locate: tells where a record's file is.
    """
    kept = [match for match in matches if match.record.id not in without]
    return tuple(
        Hit(number, match.record, match.part, match.score, locate(match.record))
        for number, match in enumerate(kept[offset : offset + k], offset + 1)
    )
