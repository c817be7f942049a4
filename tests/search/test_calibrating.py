"""Calibrating a model on images with captions: the fit, the queries, the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pixseek.errors import ModelError, SourceError
from pixseek.search import background, calibrating
from pixseek.search.background import Calibration

WORDS = (
    "dog", "beach", "horse", "guitar", "bicycle", "snow", "table", "river", "bridge", "window",
    "flower", "kitchen", "train", "church", "boat", "mountain", "market", "garden", "piano",
    "castle",
)  # fmt: skip


class Bag:
    """An encoder for which a text is the sum of its words' own directions."""

    name, fingerprint, dim, input_side, note = "bag", "f" * 16, 128, 8, ""
    batch_size = streams = 1

    def __init__(self, noise: float = 0.8) -> None:
        self.noise = noise

    def prepare(self, picture: Any) -> Any:
        raise NotImplementedError

    def encode_images(self, batch: Any) -> Any:
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str]) -> Any:
        return np.stack([self.row(text.split()) for text in texts])

    def row(self, words: Sequence[str], chance: np.random.Generator | None = None) -> Any:
        row = sum(self._of(word) for word in words)
        if chance is not None:
            row = row + self.noise * len(words) * chance.normal(size=self.dim)
        return (row / np.linalg.norm(row)).astype(np.float32)

    def _of(self, word: str) -> Any:
        seed = int.from_bytes(word.encode()[:8].ljust(8, b"."), "big")
        return np.random.default_rng(seed).normal(size=self.dim)


def material(
    count: int = 400, noise: float = 0.8, seed: int = 0
) -> tuple[Bag, Any, list[list[str]]]:
    """Return an encoder, vectors of images that show one to three things, and their captions."""
    chance = np.random.default_rng(seed)
    encoder = Bag(noise)
    shown = [chance.choice(WORDS, chance.integers(1, 4), replace=False) for _ in range(count)]
    vectors = np.stack([encoder.row(each.tolist(), chance) for each in shown])
    return encoder, vectors, [[f"The {' and the '.join(each)} ."] for each in shown]


# ------------------------------------------------------------------ the fit


@settings(deadline=None, max_examples=25)
@given(st.floats(0.5, 6), st.floats(-1, 4), st.integers(0, 2**32 - 1))
def test_a_known_logistic_function_is_found_again(slope: float, centre: float, seed: int) -> None:
    chance = np.random.default_rng(seed)
    scores = centre + chance.normal(0, 4 / slope, 40_000)
    true = chance.random(len(scores)) < Calibration(slope, centre).probabilities(scores)
    found = calibrating.fitted(scores, true)
    assert found.slope == pytest.approx(slope, rel=0.1)
    assert found.centre == pytest.approx(centre, abs=0.15 / slope + 0.01)


@settings(deadline=None)
@given(
    hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-20, 20, width=32)),
    st.data(),
)
def test_a_fit_is_always_finite(scores: np.ndarray, data: st.DataObject) -> None:
    true = data.draw(hnp.arrays(np.bool_, len(scores)))
    found = calibrating.fitted(scores, true)
    assert np.isfinite([found.slope, found.centre]).all()


def test_scores_without_errors_have_a_steep_but_finite_fit() -> None:
    scores = np.linspace(-3, 6, 1000)
    found = calibrating.fitted(scores, scores > 2)
    assert 5 < found.slope < 1e4
    assert found.centre == pytest.approx(2, abs=0.1)


def test_scores_that_say_the_contrary_have_no_slope_above_zero() -> None:
    scores = np.linspace(-3, 6, 1000)
    assert calibrating.fitted(scores, scores < 2).slope < 0


# ------------------------------------------------------------------ the figures


def test_figures_of_probabilities_that_are_known_to_hold() -> None:
    probable = np.array([[0.25] * 4 + [0.75] * 4, [0.05] * 8])
    true = np.array([[True, False, False, False, True, True, True, False], [False] * 8])
    found = calibrating.accuracy(probable, true)
    assert [(each.probability, each.right, each.count) for each in found.reliability] == [
        (pytest.approx(0.05), 0.0, 8), (0.25, 0.25, 4), (0.75, 0.75, 4),
    ]  # fmt: skip
    assert found.ece == pytest.approx(0.05 * 8 / 16)
    assert found.largest_gap == 0, "no tenth has enough hits"
    assert found.brier == pytest.approx((8 * 0.75 * 0.25 + 8 * 0.05**2) / 16)
    assert found.brier_of_base_rate == pytest.approx(0.25 * 0.75)
    assert found.strong_precision == found.likely_precision == 0.75
    assert found.queries_with_strong == 0.5


def test_without_strong_hits_there_is_no_precision() -> None:
    found = calibrating.accuracy(np.full((2, 3), 0.1), np.zeros((2, 3), np.bool_))
    assert found.strong_precision is None and found.likely_precision is None
    assert found.queries_with_strong == 0


@settings(deadline=None)
@given(hnp.arrays(np.float64, (3, 7), elements=st.floats(0, 1)), st.data())
def test_each_hit_is_in_one_tenth(probable: np.ndarray, data: st.DataObject) -> None:
    true = data.draw(hnp.arrays(np.bool_, (3, 7)))
    found = calibrating.accuracy(probable, true)
    assert sum(each.count for each in found.reliability) == 21
    assert sum(each.right * each.count for each in found.reliability) == pytest.approx(true.sum())
    assert 0 <= found.ece <= 1


# ------------------------------------------------------------------ the whole


def test_a_calibration_holds_for_images_that_were_not_used() -> None:
    encoder, vectors, captions = material(600)
    bank = background.bank()
    found = calibrating.calibrate(encoder, vectors, captions, bank)
    assert found.images == 600 and found.queries > calibrating.LEAST_QUERIES
    assert found.accuracy.brier < 0.9 * found.accuracy.brier_of_base_rate
    other = calibrating.calibrate(*material(600, seed=1), bank).calibration
    assert other.slope == pytest.approx(found.calibration.slope, rel=0.1)
    assert other.centre == pytest.approx(found.calibration.centre, abs=0.5)


def test_what_ranks_count_for_is_fitted() -> None:
    # A match of what is common has a lower score: only the rank tells that it is one.
    rng = np.random.default_rng(0)
    scores, true = rng.normal(size=(60, 1000)), np.zeros((60, 1000), np.bool_)
    for n, count in enumerate(np.geomspace(2, 400, 60).astype(int).tolist()):
        true[n, :count] = True
        scores[n, :count] += 6 + 0.5 * np.log(1 / count)
    found = calibrating.weighed(scores, ["a"] * 60, true)
    assert found.rank > 0
    plain = calibrating.fitted(scores, true)
    numbers = calibrating.judged(scores, ["a"] * 60, found)
    better = ((found.probabilities(numbers) - true) ** 2).mean()
    assert better < ((plain.probabilities(scores) - true) ** 2).mean()


def test_the_same_material_gives_the_same_calibration() -> None:
    one, other = (calibrating.calibrate(*material(400), background.bank()) for _ in range(2))
    assert one == other


def test_too_few_images_or_words_are_an_error_that_says_what_is_needed() -> None:
    encoder, vectors, captions = material(calibrating.LEAST_IMAGES - 1)
    with pytest.raises(SourceError, match="Too few images") as caught:
        calibrating.calibrate(encoder, vectors, captions, background.bank())
    assert caught.value.subject == "199 images" and "at least 200" in caught.value.advice
    encoder, vectors, captions = material(300)
    with pytest.raises(SourceError, match="too few words") as caught:
        calibrating.calibrate(encoder, vectors, [["it is the"]] * 300, background.bank())
    assert "Give more images" in caught.value.advice


def test_captions_of_other_images_are_an_error() -> None:
    encoder, vectors, captions = material(400)
    with pytest.raises(ModelError, match="do not tell which images fit") as caught:
        calibrating.calibrate(encoder, vectors, captions[7:] + captions[:7], background.bank())
    assert "its own image" in caught.value.advice


def test_words_that_the_model_does_not_know_are_no_queries() -> None:
    encoder, vectors, captions = material(400)

    class Reads(Bag):
        def words(self, text: str) -> Mapping[str, bool]:
            return {word: word not in WORDS[17:] for word in text.split()}

    all_ = calibrating.calibrate(encoder, vectors, captions, background.bank())
    some = calibrating.calibrate(Reads(), vectors, captions, background.bank())
    assert 0 < some.queries < all_.queries


def test_a_word_also_counts_with_an_ending_and_rare_or_common_ones_do_not() -> None:
    captions = [["Two dogs, and a bus"], ["a dog"], ["DOGS!"], ["some dog runs"], ["a dog-run"]]
    captions += [["a very nice cat"]] * 2 + [["nothing of the sort"]] * 20
    found = calibrating._words(captions)
    assert list(found) == []  # "dog" by itself is on three images only, "nothing" on most
    found = calibrating._words([*captions, ["dog"], ["dog"]])
    assert list(found) == ["dog"]
    assert found["dog"].tolist() == [True] * 5 + [False] * 22 + [True] * 2


def test_words_that_only_one_of_several_captions_has_are_left_out() -> None:
    seen = [["a dog in the park", "a dog", "the nice dog", "one dog", "dogs"]] * 6
    other = [["a man", "some man", "the man", "man", "man on foot"]] * 20
    found = calibrating._words(seen + other)
    assert "dog" in found and "park" not in found and "nice" not in found
