"""Strong, likely and weak: one scale a query, the same cutoffs on every surface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pixseek
from pixseek.search import strength
from pixseek.search.asked import Backgrounds, joined, look
from pixseek.search.background import Background, Calibration
from pixseek.types import Hit, Query, Record, Results, Term
from pixseek.types.records import WHOLE

from tiny_encoder import TinyEncoder, draw

_scores = hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats(-20, 20))
_calibrations = st.none() | st.builds(Calibration, st.floats(0.2, 9), st.floats(-3, 6))


@given(_scores, _calibrations)
def test_strength_never_rises_as_scores_fall(
    scores: np.ndarray, calibration: Calibration | None
) -> None:
    found = strength.strengths(np.sort(scores)[::-1], calibration)
    places = [strength.STRENGTHS.index(each) for each in found]
    assert places == sorted(places)


@given(_calibrations)
def test_the_least_score_of_a_strength_has_it(calibration: Calibration | None) -> None:
    for each in ("strong", "likely"):
        least = strength.least_score(each, calibration)
        assert strength.strengths(np.array([least, least - 1e-6]), calibration)[0] == each
        assert strength.strengths(np.array([least - 1e-6]), calibration)[0] != each
    assert strength.least_score("weak", calibration) == -np.inf


def test_counts_of_a_strength_include_better_ones() -> None:
    found = ["strong", "likely", "likely", "weak"]
    assert [strength.at_least(found, each) for each in strength.STRENGTHS] == [1, 3, 4]


# ------------------------------------------------------------------ the scale


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def backgrounds(images: np.ndarray) -> Backgrounds:
    texts = unit(np.random.default_rng(1).normal(0.1, 1, (500, images.shape[1])))
    return Backgrounds.of_library(Background.of(texts), Background.of(images), 0.98)


@given(st.integers(0, 10**6), st.integers(1, 300))
def test_scores_are_in_the_order_of_cosines(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    images = unit(rng.normal(0.2, 1, (count, 24)))
    query = unit(rng.normal(size=24))
    found = look(Term("text", "x"), query, images, backgrounds(images), unread=frozenset())
    order = np.argsort(-found.cosines, kind="stable")
    assert (np.diff(found.deviations[order]) <= 0).all()


def test_what_all_images_show_still_stands_out() -> None:
    # In a library of nothing but dogs a dog is no less of a match.
    rng = np.random.default_rng(0)
    dog = unit(rng.normal(size=48))
    images = unit(rng.normal(0, 0.3, (400, 48)) + 4 * dog)
    found = look(Term("text", "dog"), dog, images, backgrounds(images), unread=frozenset())
    assert set(strength.strengths(found.deviations)) == {"strong"}


def test_few_images_are_judged_by_unrelated_texts() -> None:
    rng = np.random.default_rng(0)
    dog = unit(rng.normal(size=48))
    images = np.stack([dog, unit(rng.normal(size=48))])
    found = look(Term("text", "dog"), dog, images, backgrounds(images), unread=frozenset())
    assert strength.strengths(found.deviations) == ["strong", "weak"]


# ------------------------------------------------------------------ several texts


def test_texts_that_count_alike_are_looked_for_as_one() -> None:
    one, other = Term("text", "a dog"), Term("text", "a beach")
    together = joined(Query((one, Term("id", "x"), other)))
    assert together is not None and together.value == "a dog and a beach"
    assert together.weight == pytest.approx(2**0.5)
    assert joined(Query((one,))) is None
    assert joined(Query((one, Term("text", "night", -0.5)))) is None
    assert joined(Query((Term("text", "a dog", 2.0), other))) is None


# ------------------------------------------------------------------ the names until 0.2


def test_the_old_names_are_deprecated_and_mean_the_same(tmp_path: Path, tiny: TinyEncoder) -> None:
    hit = Hit(1, Record("i", "p/a.jpg"), WHOLE, 0.3, None, "likely")
    with pytest.warns(DeprecationWarning, match=r"Hit\.strength"):
        assert hit.confidence == 0.5
    with pytest.warns(DeprecationWarning):
        assert Hit(1, hit.record, WHOLE, 0.3, None, "strong", 0.7).confidence == 0.7
    found = Results((hit,), Query(()), {}, "", strong=3, likely=5)
    with pytest.warns(DeprecationWarning, match=r"Results\.strong"):
        assert found.confident == 3
    with pytest.warns(DeprecationWarning, match=r"Results\.likely"):
        assert found.possible == 5

    for n, colour in enumerate(["red"] * 3 + ["green", "blue", "white", "black"] * 9):
        draw(tmp_path / "p" / f"{n}.png", colour, seed=n)
    with pixseek.open(tmp_path / "l") as library:
        library.index(tmp_path / "p")
        for old, new in ((0.95, "strong"), (0.5, "likely")):
            with pytest.warns(DeprecationWarning, match="min_strength"):
                before = library.search("red", min_confidence=old, k=60)
            after = library.search("red", min_strength=new, k=60)
            assert [h.id for h in before] == [h.id for h in after]
            assert {h.strength for h in after} <= {"strong", "likely"}
        with pytest.warns(DeprecationWarning, match="min_strength"):
            assert library.tag_zero_shot(["red"], min_confidence=0.5)[""] == len(library)
