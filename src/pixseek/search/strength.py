"""How well hits match: strong, likely or weak; and how probably, where that was measured.

Both follow from one number a hit, its score in standard deviations of the query, so that they never
rise down a page.

The cutoffs were measured with photo-mini, a small model of photographs, on 1,000 photos with five
captions each (docs/search-quality.md): of 45 single subjects a strong hit shows .88 and a likely
one .77 or more, by captions, which leave out most of what a photo shows. A model with a calibration
has its own cutoffs, at the probabilities that photo-mini has at these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pixseek.search.background import Calibration
from pixseek.types import Strength

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Smallest score of a strong hit and of a likely one, in standard deviations, for a model without
#: a calibration.
STRONG, LIKELY = 4.3, 3.4
#: Smallest probability of a strong hit and of a likely one, for a model with a calibration.
STRONG_PROBABILITY, LIKELY_PROBABILITY = 0.55, 0.3
#: The strengths by their place in `Cutoffs`.
STRENGTHS: tuple[Strength, ...] = ("strong", "likely", "weak")


def cutoffs(calibration: Calibration | None) -> tuple[float, float]:
    """Return the smallest scores of a strong and of a likely hit, in standard deviations."""
    if calibration is None:
        return STRONG, LIKELY
    return calibration.score_at(STRONG_PROBABILITY), calibration.score_at(LIKELY_PROBABILITY)


def strengths(
    scores: NDArray[np.floating], calibration: Calibration | None = None
) -> list[Strength]:
    """Return the strength of each of (n,) scores in standard deviations."""
    strong, likely = cutoffs(calibration)
    return [
        "strong" if score >= strong else "likely" if score >= likely else "weak"
        for score in scores.tolist()
    ]


def least_score(strength: Strength, calibration: Calibration | None) -> float:
    """Return the smallest score of hits that match at least as well."""
    return (*cutoffs(calibration), float("-inf"))[STRENGTHS.index(strength)]


def at_least(found: Sequence[Strength], strength: Strength) -> int:
    """Return how many match at least as well as `strength`."""
    return sum(STRENGTHS.index(each) <= STRENGTHS.index(strength) for each in found)
