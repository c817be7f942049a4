"""Several models on the same captions: their libraries, and what chance may explain."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.config import data_folder
from pixseek.evaluation import measures
from pixseek.evaluation.evaluating import Evaluation
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.evaluation.evaluating import Direction

#: The models of the study "Text-to-image search" by Vespa, in its order.
STUDY = (
    "clip-rn50-openai", "clip-rn101-openai", "clip-rn50x4-openai", "clip-rn50x16-openai",
    "clip-b32-openai", "clip-b16-openai",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one model is than another on the same queries.

    Attributes:
        difference: in the mean over all queries, with its interval of 95 %.
        p: how probable a difference as large is if neither is better.
        queries: how many both have.
    """

    difference: measures.Estimate
    p: float
    queries: int


def library_of(source: str, model: str) -> Path:
    """Return the folder in which the vectors of a source by a model are kept for evaluations."""
    place = source if "://" in source else os.path.abspath(os.path.expanduser(source))
    own = model if re.fullmatch(r"[\w.-]+", model) else _named(os.path.abspath(model))
    return data_folder() / "evaluations" / _named(place) / own


def _named(place: str) -> str:
    """Return the name of a folder for a path or an address."""
    last = re.sub(r"[^\w.-]+", "-", os.path.basename(place.rstrip("/")))
    return f"{last}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def difference(
    one: Evaluation, other: Evaluation, direction: Direction, measure: str, seed: int = 0
) -> Difference:
    """Return how much better one evaluation is than another, on the queries that both have.

    An image that one model could not embed, or that was not there for it, is left out.

    Args:
        one: the evaluation that is asked about.
        other: what it is compared with.
        direction: of the search.
        measure: one of `measures.MEASURES` whose mean counts: not "median_rank".
        seed: for the draws.

    Raises:
        ValueError: they have no query in common.
    """
    import numpy as np

    places = {query: n for n, query in enumerate(other.queries[direction])}
    both = [(n, places[q]) for n, q in enumerate(one.queries[direction]) if q in places]
    if not both:
        raise ValueError("the evaluations are of different captions")
    mine, theirs = np.array(both).T
    groups = one.groups[direction][mine]
    differences = (
        one.by_query[direction][measure][mine] - other.by_query[direction][measure][theirs]
    )
    return Difference(
        measures.Bootstrap(groups, seed).mean(differences),
        measures.p_of_difference(differences, groups, seed),
        len(both),
    )
