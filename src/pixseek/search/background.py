"""Which scores mean nothing: the background that a score must stand out from.

A cosine says little by itself: 0.3 is a good match of a text in one model and a bad one in another,
and two photos that have nothing in common have a cosine of 0.6. What counts is how far a score lies
above the scores of *unrelated* queries on the same image. Unrelated texts are a bank of some six
hundred captions of very different things; unrelated images are the library's own.

The scores of unrelated vectors on an image x are nearly normally distributed, with mean `x . mean`
and variance `x' covariance x`. So two small arrays stand for the whole bank, whatever the size of
the library, and `standardised` returns a score in standard deviations. (docs/search-quality.md says
how well this holds.)

`confidences` turns that into the share of hits that are right, by the false discovery rate of
Benjamini and Hochberg (1995, https://doi.org/10.1111/j.2517-6161.1995.tb02031.x): of the n images
that score at least m, chance explains N (1 - Phi(m)) among N.

This holds if hardly any caption of the bank is true of an image. In a world of few things it does
not: each of the demo model's captions is true of some of its drawings, and half true of many. Such
a model has a `Calibration`, measured on images whose truth is known.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.errors import ModelError
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Vectors

#: Files that a model's folder may hold: its own bank, one caption a line, and its calibration.
BANK_FILE, CALIBRATION_FILE = "background.txt", "calibration.json"

#: A variance below this is a rounding error: all unrelated vectors are the same.
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """The spread of unrelated vectors.

    Attributes:
        mean: (dim,) float32.
        covariance: (dim, dim) float32.
    """

    mean: Vectors
    covariance: Vectors

    @classmethod
    def of(cls, vectors: Vectors) -> Background:
        """Return the background of (n, dim) float32 unit rows, n at least 1."""
        import numpy as np

        mean = vectors.mean(axis=0, dtype=np.float64)
        centred = vectors - mean
        covariance = centred.T @ centred / len(vectors)
        return cls(mean.astype(np.float32), covariance.astype(np.float32))

    def standardised(self, scores: Vectors, vectors: Vectors) -> Vectors:
        """Return how many standard deviations scores lie above the background.

        Args:
            scores: (n,) cosines of a query with n images.
            vectors: (n, dim) unit rows of those images.

        Returns:
            (n,) float32; 0 if the background has no spread at all.
        """
        import numpy as np

        expected = vectors @ self.mean
        variance = np.einsum("ij,ij->i", vectors @ self.covariance, vectors)
        spread = np.sqrt(np.maximum(variance, _NOTHING))
        found: Vectors = np.where(variance > _NOTHING, (scores - expected) / spread, 0.0).astype(
            np.float32
        )
        return found

    def typical_spread(self, of: Background) -> float:
        """Return the root of the mean variance on images that are spread like `of`.

        It brings a query to standard deviations before the images are known.
        """
        import numpy as np

        second = of.covariance + np.outer(of.mean, of.mean)
        return float(np.sqrt(max(float((self.covariance * second).sum()), _NOTHING)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """How sure a match of words is, as measured on images whose truth is known.

    The logistic function 1 / (1 + exp(-slope (score - centre))) of a score in standard deviations.

    Attributes:
        slope: above 0.
        centre: the score at which half of the images are matches.
    """

    slope: float
    centre: float

    def confidences(self, standardised: Vectors) -> NDArray[np.float64]:
        """Return how sure it is that each of (n,) scores is a match, (n,) in [0, 1]."""
        import numpy as np

        raised = self.slope * (np.asarray(standardised, np.float64) - self.centre)
        found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(raised, -50, 50)))
        return found


def confidences(standardised: Vectors, total: int) -> NDArray[np.float64]:
    """Return the confidence that each of the best-scoring images is a match.

    Args:
        standardised: (n,) scores of the best candidates, in standard deviations, in any order.
        total: how many images were searched, n or more.

    Returns:
        (n,) in [0, 1]: of the images that score at least as high, the share that chance does not
        explain; never lower for a higher score.
    """
    import numpy as np

    scores = np.asarray(standardised, np.float64)
    order = np.argsort(-scores, kind="stable")
    by_chance = total * _upper_tail(scores[order])
    share = np.minimum(1.0, by_chance / np.arange(1, len(scores) + 1))
    # The smallest rate of any set that holds an image and all above it.
    share = np.minimum.accumulate(share[::-1])[::-1]
    found = np.empty(len(scores))
    found[order] = 1.0 - share
    return found


def bank(file: Path | None = None) -> list[str]:
    """Return the captions of a bank file, one a line; None for the bank for photographs."""
    text = (Path(__file__).with_name(BANK_FILE) if file is None else file).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def calibration(file: Path) -> Calibration:
    """Return the calibration that a file holds.

    Raises:
        ModelError: it can't be read, or is not a calibration.
    """
    try:
        said = json.loads(file.read_text("utf-8"))
        found = Calibration(float(said["slope"]), float(said["centre"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            "a model's calibration can't be read", file, 'It is like {"slope": 5.0, "centre": 2.0}.'
        ) from error
    if not (math.isfinite(found.centre) and 0 < found.slope < math.inf):
        raise ModelError("a model's calibration is invalid", file, "Its slope must be above 0.")
    return found


def _upper_tail(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability that a standard normal variable is larger, for each of (n,)."""
    import numpy as np

    return np.array([0.5 * math.erfc(score / math.sqrt(2)) for score in scores.tolist()])
