"""How well hits match: strong, likely or weak; and how probably, where that was measured.

Both follow from one number a hit, so that they never rise down a page: its score in standard
deviations above unrelated queries, and what rank it has with that score. If many images score as
high, what is looked for is common here, and each of them is likelier to show it; if one of a
million does, chance may have brought it there. That is the thought of the false discovery rate
(Benjamini and Hochberg 1995, https://doi.org/10.1111/j.2517-6161.1995.tb02031.x), with a weight
that was measured: errors are not chance but near misses.

Of N images the one at rank r with the score s is judged by s + .4 ln(r / N). With photo-mini, a
small model of photographs, on 1,000 photos with five captions each (docs/search-quality.md), strong
hits of 45 single subjects are right in .83, of two things together in .73, by captions, which leave
out most of what a photo shows. Judged by s alone, at the same precision, only half of the subjects
have strong hits, and "dog" has none among 250 dogs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pixseek.engines.words import words_to_find
from pixseek.search.background import Calibration
from pixseek.types import Strength

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Smallest judged score of a strong hit and of a likely one, for a model without a calibration.
STRONG, LIKELY = 2.05, 1.5
#: Smallest probability of a strong hit and of a likely one, for a model with a calibration: those
#: that photo-mini has at the cutoffs above.
STRONG_PROBABILITY, LIKELY_PROBABILITY = 0.5, 0.3
#: For a model without a calibration: what ln(r / N) counts for, in standard deviations (of the
#: subjects .76 have strong hits with .4, and half of them with 0 at the same precision), and by how
#: much a score must be higher for a text of several words: an image that shows one of two things
#: scores high.
RANK, DEMAND = 0.4, 0.6
#: A smaller library is judged as one of this many images.
_FEWEST = 20
#: The part of all images at which a score is judged whose rank is not known.
_SOMEWHERE = 0.01
#: The strengths by their place in `Cutoffs`.
STRENGTHS: tuple[Strength, ...] = ("strong", "likely", "weak")


def judged(
    scores: NDArray[np.floating],
    total: int,
    calibration: Calibration | None = None,
    *,
    above: int = 0,
) -> NDArray[np.floating]:
    """Return the numbers that the strengths of hits follow from; they never rise.

    Args:
        scores: (n,) in standard deviations, falling.
        total: how many images were searched.
        calibration: of the model.
        above: how many rank above the first of these.
    """
    import numpy as np

    ranks = np.arange(above + 1, above + len(scores) + 1)
    alone = judged_at(scores, ranks, total, calibration)
    # An image is at least as good as those below it.
    return np.maximum.accumulate(alone[::-1])[::-1]


def judged_at(
    scores: NDArray[np.floating],
    ranks: NDArray[np.integer],
    total: int,
    calibration: Calibration | None = None,
) -> NDArray[np.floating]:
    """Return what (n,) scores in standard deviations are worth at (n,) ranks from 1."""
    import numpy as np

    weight = RANK if calibration is None else calibration.rank
    return scores + weight * np.log(ranks / max(total, _FEWEST))


def demand(text: str, calibration: Calibration | None = None) -> float:
    """Return by how much the scores of a text must be higher than those of a single word."""
    each = DEMAND if calibration is None else calibration.demand
    return each if each and len(words_to_find(text)) > 1 else 0.0


def cutoffs(calibration: Calibration | None) -> tuple[float, float]:
    """Return the smallest judged scores of a strong and of a likely hit."""
    if calibration is None:
        return STRONG, LIKELY
    return calibration.score_at(STRONG_PROBABILITY), calibration.score_at(LIKELY_PROBABILITY)


def strengths(
    scores: NDArray[np.floating], calibration: Calibration | None = None
) -> list[Strength]:
    """Return the strength of each of (n,) judged scores."""
    strong, likely = cutoffs(calibration)
    return [
        "strong" if score >= strong else "likely" if score >= likely else "weak"
        for score in scores.tolist()
    ]


def likely_score(rank: int, total: int, calibration: Calibration | None) -> float:
    """Return the score in standard deviations that makes an image likely at a rank."""
    weight = RANK if calibration is None else calibration.rank
    return cutoffs(calibration)[1] - weight * math.log(rank / max(total, _FEWEST))


def of_one(score: float, calibration: Calibration | None = None) -> Strength:
    """Return the strength of a score in standard deviations whose rank is not known."""
    weight = RANK if calibration is None else calibration.rank
    strong, likely = cutoffs(calibration)
    judged = score + weight * math.log(_SOMEWHERE)
    return "strong" if judged >= strong else "likely" if judged >= likely else "weak"


def least_score(strength: Strength, calibration: Calibration | None) -> float:
    """Return the smallest judged score of hits that match at least as well."""
    return (*cutoffs(calibration), float("-inf"))[STRENGTHS.index(strength)]


def at_least(found: Sequence[Strength], strength: Strength) -> int:
    """Return how many match at least as well as `strength`."""
    return sum(found.count(each) for each in STRENGTHS[: STRENGTHS.index(strength) + 1])
