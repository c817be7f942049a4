"""Scores in standard deviations, and the probability that follows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pixseek.errors import ModelError
from pixseek.search.background import Background, Calibration, bank, calibration


def unit(rows: object) -> np.ndarray:
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.fixture
def unrelated() -> np.ndarray:
    return unit(np.random.default_rng(0).normal(0.2, 1, (500, 16)))


def test_two_arrays_represent_the_whole_bank(unrelated: np.ndarray) -> None:
    images = unit(np.random.default_rng(1).normal(size=(7, 16)))
    query = unit(np.random.default_rng(2).normal(size=16))
    scores = images @ query
    each = images @ unrelated.T
    expected = (scores - each.mean(1)) / each.std(1)
    means, deviations = Background.of(unrelated).on(images)
    assert (scores - means) / deviations == pytest.approx(expected, abs=1e-3)


def test_the_typical_spread_is_the_root_of_the_mean_variance(unrelated: np.ndarray) -> None:
    images = unit(np.random.default_rng(1).normal(0.3, 1, (300, 16)))
    spreads = (images @ unrelated.T).var(1)
    found = Background.of(unrelated).typical_spread(Background.of(images))
    assert found == pytest.approx(float(np.sqrt(spreads.mean())), rel=1e-3)


def test_a_background_without_spread_gives_zero_deviations() -> None:
    same = unit(np.ones((3, 4)))
    means, deviations = Background.of(same).on(unit(np.ones((2, 4))))
    assert ((1 - means) / deviations).tolist() == [0, 0]


def test_the_bank_has_no_caption_twice() -> None:
    captions = bank()
    assert len(captions) > 500
    assert len({caption.casefold() for caption in captions}) == len(captions)


@given(
    hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(-1000, 1000, width=32)),
    st.floats(0.01, 100),
    st.floats(-10, 10),
)
def test_a_calibration_rises_with_the_score(
    scores: np.ndarray, slope: float, centre: float
) -> None:
    sure = Calibration(slope, centre).probabilities(scores)
    assert ((sure >= 0) & (sure <= 1)).all()
    assert (np.diff(sure[np.argsort(scores, kind="stable")]) >= 0).all()


@pytest.mark.parametrize("content", [b"\xf5\xff", b"", b"# only a comment\n\n"])
def test_a_broken_bank_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "background.txt"
    file.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        bank(file)
    assert caught.value.subject == str(file)
    assert caught.value.advice


def test_a_calibration_is_one_half_at_its_centre() -> None:
    sure = Calibration(5.0, 2.0).probabilities(np.array([1.0, 2.0, 3.0], np.float32))
    assert sure == pytest.approx([1 / (1 + np.exp(5)), 0.5, 1 / (1 + np.exp(-5))])


@given(
    st.floats(0.1, 20), st.floats(-5, 5), st.floats(0.01, 0.99), st.floats(-5, 5), st.floats(0, 5)
)
def test_the_score_of_a_probability_has_that_probability(
    slope: float, centre: float, probability: float, knee: float, bend: float
) -> None:
    made = Calibration(slope, centre, knee=knee, bend=bend)
    score = np.array([made.score_at(probability)])
    assert made.probabilities(score)[0] == pytest.approx(probability)


def test_a_calibration_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    file.write_text('{"slope": 5, "centre": 1.5, "of": "drawings"}', "utf-8")
    assert calibration(file) == Calibration(5.0, 1.5)


@pytest.mark.parametrize(
    "said",
    ["", "[]", "{}", '{"slope": "steep", "centre": 1}', '{"slope": 1, "centre": null}', "\x00"]
    + [f'{{"slope": {slope}, "centre": {centre}}}' for slope, centre in ((0, 1), (-1, 1))]
    + ['{"slope": 1, "centre": NaN}', '{"slope": Infinity, "centre": 1}'],
)
def test_a_broken_calibration_is_an_error_that_names_the_file(tmp_path: Path, said: str) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(said, "utf-8")
    with pytest.raises(ModelError, match=r"calibration\.json"):
        calibration(file)
