"""Measure what a model's scores are worth, on images with captions.

Words and pairs of words of the captions are searched for as a user would, and an image is right if
a caption of it holds them. Captions leave out much of what an image shows, so the measured shares
are too low rather than too high. Each query gives a score for every image, and a logistic function
of the scores is fitted to all queries. How well that works is measured on queries that were not
fitted: a tenth of them with a function that was fitted to all others, ten times.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pixseek.errors import ModelError, SourceError
from pixseek.search import strength, term_vectors
from pixseek.search.asked import Backgrounds, look
from pixseek.search.background import Background, Calibration
from pixseek.types import Literate, Term
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Encoder, Vectors

#: Fewer images or queries than this say too little.
LEAST_IMAGES, LEAST_QUERIES = 200, 40
#: Images with a word at least, and the share of all images at most.
_WORD_IMAGES, _WORD_SHARE = 5, 0.3
#: Share of an image's captions that hold a word, in the mean over the images that have it. A word
#: below says more about who wrote than about what is to be seen.
_AGREEMENT = 0.4
#: Words of a pair are on fewer than this share of the rarer one's images together.
_TOGETHER = 0.6
#: Parts of the queries, each measured with what was fitted to the others: ten are the custom, and
#: with photo-mini the shares of each tenth hardly depend on the draw then.
_PARTS = 10
#: The fewest hits of a tenth whose share of right ones means something.
_ENOUGH_HITS = 50
#: Queries at most: more of them hardly change the figures, and take memory.
_MOST_WORDS, _MOST_PAIRS = 1000, 300
#: What is tried for the weights of ranks and of several words.
_RANKS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
_DEMANDS = (0.0, 0.2, 0.4, 0.6, 0.8)
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Tenth:
    """The hits whose probability lies in one tenth of 0 to 1.

    Attributes:
        probability: their mean.
        right: the share of them that is right by the captions.
        count: how many they are.
    """

    probability: float
    right: float
    count: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How well probabilities hold for queries that they were not fitted to.

    Attributes:
        brier: mean squared error of the probabilities; smaller is better.
        brier_of_base_rate: the same of always saying the share of all images that are right.
        ece: mean distance of the probabilities from the shares that are right, by tenth.
        largest_gap: the largest such distance of a tenth that has at least 50 hits.
        reliability: the tenths that have hits, from 0 up.
        strong_precision: share of the strong hits that is right; None if there were none.
        likely_precision: the same of the strong and likely hits.
        queries_with_strong: share of the queries that find something strong.
    """

    brier: float
    brier_of_base_rate: float
    ece: float
    largest_gap: float
    reliability: tuple[Tenth, ...]
    strong_precision: float | None
    likely_precision: float | None
    queries_with_strong: float


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration, and how it was measured.

    Attributes:
        calibration: fitted to all queries.
        images: how many images were searched.
        queries: how many queries there were.
        accuracy: of calibrations fitted to nine tenths of the queries, on the last tenth.
    """

    calibration: Calibration
    images: int
    queries: int
    accuracy: Accuracy

    def measured(self) -> dict[str, Any]:
        """Return all but the calibration itself, for JSON."""
        return {"images": self.images, "queries": self.queries, **asdict(self.accuracy)}


def calibrate(
    encoder: Encoder,
    vectors: Vectors,
    captions: Sequence[Sequence[str]],
    bank: Sequence[str],
    *,
    seed: int = 0,
) -> Calibrated:
    """Return the calibration of a model.

    Args:
        encoder: of the model; only its text tower is used.
        vectors: of the images, (n, dim) float32 unit rows.
        captions: of each image, at least one.
        bank: captions that are unrelated to anything, as in `background.bank`.
        seed: for the draws.

    Raises:
        SourceError: there are too few images, or too few words that are good as queries.
        ModelError: the model failed, or its scores do not tell right images from wrong ones.
    """
    import numpy as np

    if len(vectors) < LEAST_IMAGES:
        raise SourceError(
            "Too few images with captions to calibrate a model on",
            f"{len(vectors)} images",
            f"Give at least {LEAST_IMAGES} images with a caption each; 1,000 are better.",
        )
    chance = np.random.default_rng(seed)
    queries = {
        text: true for text, true in queries_of(captions, seed).items() if _is_read(text, encoder)
    }
    if len(queries) < LEAST_QUERIES:
        raise SourceError(
            "The captions have too few words to calibrate a model on",
            f"{len(queries)} words and pairs of words",
            f"At least {LEAST_QUERIES} are needed: words of three letters or more that are in the "
            f"captions of {_WORD_IMAGES} images to {_WORD_SHARE:.0%} of them, and that the model "
            "knows. Give more images, or captions that say what is to be seen.",
        )
    texts = list(queries)
    chance.shuffle(texts)
    scores = scored(encoder, vectors, texts, bank)
    true = np.stack([queries[text] for text in texts])
    best = weighed(scores, texts, true)
    scores = judged(scores, texts, best)
    probable = np.empty(scores.shape)
    part = np.arange(len(texts)) % _PARTS
    for n in range(_PARTS):
        fit = bent(scores[part != n], true[part != n])
        probable[part == n] = fit.probabilities(scores[part == n])
    found = Calibrated(best, len(vectors), len(texts), accuracy(probable, true))
    said = found.accuracy
    if found.calibration.slope <= 0 or said.brier >= said.brier_of_base_rate:
        raise ModelError(
            "The model's scores do not tell which images fit these captions",
            encoder.name,
            "Check that each caption stands next to its own image, in a language of the model.",
        )
    return found


def scored(
    encoder: Encoder, vectors: Vectors, texts: Sequence[str], bank: Sequence[str]
) -> NDArray[np.float32]:
    """Return the scores that a search for each text gives the images, in standard deviations.

    Args:
        encoder, vectors, bank: as for `calibrate`.
        texts: what is looked for, at least one.

    Returns:
        (texts, n) float32.
    """
    import numpy as np

    unrelated = Background.of(encoder.encode_texts(list(bank)))
    backgrounds = Backgrounds.of_library(unrelated, Background.of(vectors), 1.0)
    found: NDArray[np.float32] = np.empty((len(texts), len(vectors)), np.float32)
    rows = term_vectors.of_texts(texts, encoder)
    for n, (text, row) in enumerate(zip(texts, rows, strict=True)):
        term = Term("text", text)
        found[n] = look(term, row, vectors, backgrounds, unread=frozenset()).deviations
    return found


def judged(
    scores: NDArray[np.floating], texts: Sequence[str], calibration: Calibration
) -> NDArray[np.floating]:
    """Return the numbers that a calibration makes probabilities of, (texts, n).

    Args:
        scores: of each text on each image, see `scored`.
        texts: what is looked for.
        calibration: whose rank and demand count.
    """
    import numpy as np

    found = np.empty_like(scores)
    for n, text in enumerate(texts):
        alone = scores[n] - np.float32(strength.demand(text, calibration))
        order = np.argsort(-alone, kind="stable")
        found[n, order] = strength.judged(alone[order], len(alone), calibration)
    return found


def weighed(
    scores: NDArray[np.floating], texts: Sequence[str], true: NDArray[np.bool_]
) -> Calibration:
    """Return the calibration that fits best, with what ranks and several words count for.

    Args:
        scores: in standard deviations, (texts, images).
        texts: what was looked for.
        true: whether each is right, of the same shape.
    """

    def tried(rank: float, demand: float) -> tuple[float, Calibration]:
        weights = Calibration(1.0, 0.0, rank=rank, demand=demand)
        numbers = judged(scores, texts, weights)
        fit = fitted(numbers, true)
        loss = _loss(fit.probabilities(numbers), true)
        return loss, replace(fit, rank=rank, demand=demand)

    by_loss = lambda each: each[0]  # noqa: E731
    _, best = min((tried(rank, 0.0) for rank in _RANKS), key=by_loss)
    _, best = min((tried(best.rank, demand) for demand in _DEMANDS), key=by_loss)
    fit = bent(judged(scores, texts, best), true)
    return replace(fit, rank=best.rank, demand=best.demand)


def _loss(probable: NDArray[np.float64], true: NDArray[np.bool_]) -> float:
    """Return the mean logarithmic loss."""
    import numpy as np

    return float(-np.log(np.where(true, probable, 1 - probable)).mean())


def fitted(scores: NDArray[np.floating], true: NDArray[np.bool_]) -> Calibration:
    """Return the logistic function of the scores that fits best, by Newton's method.

    The targets are drawn in from 0 and 1 as Platt does, by less the more there are, so that the
    best function is finite also if a score tells right from wrong without any error.

    Args:
        scores: in standard deviations, of any shape.
        true: whether each is right, of the same shape.

    Returns:
        The calibration; its slope is not above 0 if right images do not score higher.
    """
    import numpy as np

    x = scores.ravel().astype(np.float64)
    slope, offset = _logistic(np.stack([x, np.ones_like(x)]), true.ravel())
    return Calibration(round(slope, 3), round(-offset / slope, 3) if slope else 0.0)


def bent(scores: NDArray[np.floating], true: NDArray[np.bool_]) -> Calibration:
    """Return the function that fits best if it may be steeper where hits become likely.

    What the best hits are worth and what the many others are worth follow one line in the middle
    only: with one slope .83 of photo-mini's hits of .6 to .7 are right, with two .70.
    """
    import numpy as np

    plain = fitted(scores, true)
    if plain.slope <= 0:
        return plain
    knee = round(plain.score_at(strength.LIKELY_PROBABILITY), 3)
    x = scores.ravel().astype(np.float64)
    design = np.stack([x, np.ones_like(x), np.maximum(0.0, x - knee)])
    slope, offset, bend = _logistic(design, true.ravel())
    if (
        slope <= 0 or bend <= 0
    ):  # of the demo model a flatter line would call more false hits strong
        return plain
    return Calibration(round(slope, 3), round(-offset / slope, 3), knee=knee, bend=round(bend, 3))


def _logistic(design: NDArray[np.float64], right: NDArray[np.bool_]) -> list[float]:
    """Return the factors of the rows of (k, n) numbers whose logistic function fits best."""
    import numpy as np

    count, all_ = int(right.sum()), right.size
    y = np.where(right, (count + 1) / (count + 2), 1 / (all_ - count + 2))
    parameters = np.zeros(len(design))
    parameters[1] = np.log((count + 1) / (all_ - count + 1))

    def loss(of: NDArray[np.float64]) -> float:
        line = of @ design
        return float((np.logaddexp(0, line) - y * line).sum())

    least = loss(parameters)
    for _ in range(100):
        guess = 1 / (1 + np.exp(-np.clip(parameters @ design, -30, 30)))
        gradient = design @ (y - guess)
        curvature = (design * (guess * (1 - guess))) @ design.T
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        # Half a step, and half of it again, where a whole one would overshoot.
        while (now := loss(parameters + step)) > least and np.abs(step).max() > 1e-9:
            step = step / 2
        if now > least or np.abs(step).max() < 1e-6:
            break
        parameters, least = parameters + step, now
    return [float(each) for each in parameters]


def accuracy(probable: NDArray[np.float64], true: NDArray[np.bool_]) -> Accuracy:
    """Return how well probabilities hold.

    Args:
        probable: of each hit of each query, (queries, images).
        true: whether each is right, of the same shape.
    """
    import numpy as np

    right = float(true.mean())
    tenth = np.minimum((probable * 10).astype(np.int64), 9)
    bins = []
    for n in range(10):
        inside = tenth == n
        if count := int(inside.sum()):
            bins.append(Tenth(float(probable[inside].mean()), float(true[inside].mean()), count))
    gaps = [abs(each.probability - each.right) for each in bins]
    strong, likely = (
        probable >= least for least in (strength.STRONG_PROBABILITY, strength.LIKELY_PROBABILITY)
    )
    return Accuracy(
        float(((probable - true) ** 2).mean()),
        right * (1 - right),
        sum(gap * each.count for gap, each in zip(gaps, bins, strict=True)) / true.size,
        max(
            (gap for gap, each in zip(gaps, bins, strict=True) if each.count >= _ENOUGH_HITS),
            default=0.0,
        ),
        tuple(bins),
        float(true[strong].mean()) if strong.any() else None,
        float(true[likely].mean()) if likely.any() else None,
        float(strong.any(axis=1).mean()),
    )


# ------------------------------------------------------------------ queries


def queries_of(captions: Sequence[Sequence[str]], seed: int = 0) -> dict[str, NDArray[np.bool_]]:
    """Return words and pairs of words to search for, each with whether it is on each image.

    Args:
        captions: of each of n images.
        seed: for the draws.

    Returns:
        (n,) by query, words first.
    """
    import numpy as np

    chance = np.random.default_rng(seed)
    words = _words(captions)
    if len(words) > _MOST_WORDS:
        drawn = chance.choice(sorted(words), _MOST_WORDS, replace=False)
        words = {word: words[word] for word in drawn.tolist()}
    names = sorted(words)
    if not names:
        return {}
    found = {name: words[name] for name in names}
    there = np.stack(list(found.values())).astype(np.float32)
    counts, together = there.sum(axis=1), there @ there.T
    rarer = np.minimum(counts[:, None], counts[None, :])
    good = np.triu((together >= _WORD_IMAGES) & (together < _TOGETHER * rarer), 1)
    pairs = np.argwhere(good)
    for a, b in chance.permutation(pairs)[:_MOST_PAIRS].tolist():
        found[f"{names[a]} {names[b]}"] = found[names[a]] & found[names[b]]
    return found


def _words(captions: Sequence[Sequence[str]]) -> Mapping[str, NDArray[np.bool_]]:
    """Return the words that name things to be seen, each with whether it is on each image.

    A word is on an image if a caption has it, also with an s or es at its end.
    """
    import numpy as np

    from pixseek.engines.words import STOP_WORDS

    exact: dict[str, set[int]] = defaultdict(set)
    holding: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for n, texts in enumerate(captions):
        for text in texts:
            words = set(_WORD.findall(text.lower()))
            for word in words:
                exact[word].add(n)
            stems = {word[:-1] for word in words if word.endswith("s")}
            stems |= {word[:-2] for word in words if word.endswith("es")}
            for word in words | stems:
                holding[word][n] += 1
    several = sum(map(len, captions)) >= 2 * len(captions)
    found = {}
    for word, images in exact.items():
        on = holding[word]
        if len(word) < 3 or word in STOP_WORDS or len(images) < _WORD_IMAGES:
            continue
        if len(on) > _WORD_SHARE * len(captions):
            continue
        if several and np.mean([on[n] / len(captions[n]) for n in on]) < _AGREEMENT:
            continue
        true = np.zeros(len(captions), np.bool_)
        true[list(on)] = True
        found[word] = true
    return found


def _is_read(text: str, encoder: Encoder) -> bool:
    """Return whether the model knows all words of a text."""
    return not isinstance(encoder, Literate) or all(encoder.words(text).values())
