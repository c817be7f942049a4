"""Which scores mean nothing: the background that a score must stand out from.

A cosine says little by itself: 0.3 is a good match of a text in one model and a bad one in another,
and two photos that have nothing in common have a cosine of 0.6. What counts is how far a score lies
above the scores of *unrelated* queries. Unrelated texts are a bank of some six hundred captions of
very different things; unrelated images are the library's own.

The scores of unrelated vectors on an image x are nearly normally distributed, with mean `x . mean`
and variance `x' covariance x`. So two small arrays stand for the whole bank, whatever the size of
the library. `Background.on` gives those of each image;
`asked.Backgrounds.scale` gives one mean and one deviation for all images of a query.

What a score in standard deviations is worth must be measured on images whose truth is known: a
model may have such a `Calibration`. `strength` says what holds without one.
"""

from __future__ import annotations

import functools
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

    def on(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Return the means and the deviations of unrelated scores on (n, dim) unit rows.

        Returns:
            Two arrays, (n,) float32. A deviation is infinite if the background has no spread at
            all, so that every score lies 0 of them above it.
        """
        import numpy as np

        variance = np.einsum("ij,ij->i", vectors @ self.covariance, vectors)
        return vectors @ self.mean, np.sqrt(np.where(variance > _NOTHING, variance, np.inf))

    def typical_spread(self, of: Background) -> float:
        """Return the root of the mean variance on images that are spread like `of`.

        It is the deviation of an unrelated query's scores on such images, about their own means.
        """
        import numpy as np

        second = np.vdot(self.covariance, of.covariance) + of.mean @ self.covariance @ of.mean
        return float(np.sqrt(max(float(second), _NOTHING)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """How probable a match of words is, as measured on images whose truth is known.

    The logistic function 1 / (1 + exp(-slope (score - centre))) of a score in standard deviations.

    Attributes:
        slope: above 0.
        centre: the score at which half of the images are matches.
        images: on how many images it was measured; 0 if the file does not say.
        rank: what ln(rank / images) counts for next to a score, in standard deviations, 0 or more.
        demand: by how much a score must be higher for a text of several words, 0 or more.
        knee: the judged score above which the slope is another.
        bend: by how much it is steeper there; 0 if it is not.
    """

    slope: float
    centre: float
    images: int = 0
    rank: float = 0.0
    demand: float = 0.0
    knee: float = 0.0
    bend: float = 0.0

    def probabilities(self, scores: Vectors) -> NDArray[np.float64]:
        """Return how probable it is that each of (n,) scores is a match, (n,) in (0, 1)."""
        import numpy as np

        numbers = np.asarray(scores, np.float64)
        raised = self.slope * (numbers - self.centre)
        raised += self.bend * np.maximum(0.0, numbers - self.knee)
        found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(raised, -30, 30)))
        return found

    def score_at(self, probability: float) -> float:
        """Return the score whose probability is this, in (0, 1)."""
        wanted = math.log(probability / (1 - probability))
        score = self.centre + wanted / self.slope
        if not self.bend or score <= self.knee:
            return score
        at_knee = self.slope * (self.knee - self.centre)
        return self.knee + (wanted - at_knee) / (self.slope + self.bend)


def bank_beside(folder: Path | None) -> list[str] | None:
    """Return the bank in a model's folder; None if it has none."""
    file = _file(folder, BANK_FILE)
    return None if file is None else bank(file)


def calibration_beside(folder: Path | None) -> Calibration | None:
    """Return the calibration in a model's folder; None if it has none.

    Raises:
        ModelError: it can't be read, or is not a calibration.
    """
    file = _file(folder, CALIBRATION_FILE)
    return None if file is None else calibration(file)


def _file(folder: Path | None, name: str) -> Path | None:
    file = None if folder is None else folder / name
    return file if file is not None and file.is_file() else None


def bank(file: Path | None = None) -> list[str]:
    """Return the captions of a bank file, one a line; None for the bank for photographs.

    Raises:
        ModelError: the file can't be read, or holds no captions.
    """
    place = Path(__file__).with_name(BANK_FILE) if file is None else file
    try:
        stat = place.stat()
        return list(_captions(place, stat.st_mtime_ns, stat.st_size))
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, ValueError) else str(error.strerror)
        raise ModelError(
            "a model's bank of captions can't be read", place, f"{reason}. Repair or delete it."
        ) from error


@functools.lru_cache(maxsize=4)
def _captions(place: Path, mtime_ns: int, size: int) -> tuple[str, ...]:
    """Return the captions of a file as it was then; each search asks for them."""
    text = place.read_text("utf-8")
    found = tuple(line for line in text.splitlines() if line and not line.startswith("#"))
    if not found:
        raise ModelError("a model's bank of captions is empty", place, "Fill or delete it.")
    return found


def calibration(file: Path) -> Calibration:
    """Return the calibration that a file holds.

    Raises:
        ModelError: it can't be read, or is not a calibration.
    """
    try:
        said = json.loads(file.read_text("utf-8"))
        images = int(said.get("measured", {}).get("images", 0))
        found = Calibration(
            float(said["slope"]),
            float(said["centre"]),
            images,
            float(said.get("rank", 0)),
            float(said.get("demand", 0)),
            float(said.get("knee", 0)),
            float(said.get("bend", 0)),
        )
    except (
        OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise ModelError(
            "a model's calibration can't be read", file, 'It is like {"slope": 5.0, "centre": 2.0}.'
        ) from error
    if not (math.isfinite(found.centre) and 0 < found.slope < math.inf):
        raise ModelError("a model's calibration is invalid", file, "Its slope must be above 0.")
    straight = math.isfinite(found.knee) and -found.slope < found.bend < math.inf
    if not (straight and 0 <= found.rank < math.inf and 0 <= found.demand < math.inf):
        raise ModelError(
            "a model's calibration is invalid",
            file,
            "Its rank and demand must not be below 0, nor its slope and bend together.",
        )
    return found
