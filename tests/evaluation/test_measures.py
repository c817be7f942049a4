"""Measures against values computed by hand, and against definitions written in another way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixseek.evaluation import measures

#: At which place the right image of each of 20 queries is planted, and those of two with several.
PLANTED = [1, 1, 1, 1, 1, 1, 2, 2, 3, 4, 5, 5, 6, 8, 10, 11, 12, 15, 19, 20]


def _planted() -> tuple[Any, list[list[int]]]:
    """Return scores, (20, 20), in which query n has image n at the place `PLANTED[n]`."""
    scores = np.empty((20, 20))
    for n, place in enumerate(PLANTED):
        others = [each for each in range(20) if each != n]
        order = [*others[: place - 1], n, *others[place - 1 :]]
        scores[n, order] = np.linspace(1, -1, 20)
    return scores, [[n] for n in range(20)]


def test_a_planted_matrix_has_the_values_computed_by_hand() -> None:
    found = measures.places_of_scores(*_planted())
    assert found.first.tolist() == PLANTED
    means = {name: float(np.mean(each)) for name, each in measures.by_query(found).items()}
    assert means["recall@1"] == 6 / 20
    assert means["recall@5"] == 12 / 20
    assert means["recall@10"] == 15 / 20
    whole = 6 + 2 / 2 + 1 / 3 + 1 / 4 + 2 / 5 + 1 / 6 + 1 / 8 + 1 / 10
    rest = 1 / 11 + 1 / 12 + 1 / 15 + 1 / 19 + 1 / 20
    assert means["mrr@100"] == pytest.approx((whole + rest) / 20, abs=1e-12)
    assert means["map"] == pytest.approx((whole + rest) / 20, abs=1e-12)
    gain = 6 + 2 / math.log2(3) + 1 / 2 + 1 / math.log2(5) + 2 / math.log2(6) + 1 / math.log2(7)
    gain += 1 / math.log2(9) + 1 / math.log2(11)
    assert means["ndcg@10"] == pytest.approx(gain / 20, abs=1e-12)
    assert float(np.median(measures.by_query(found)["median_rank"])) == 4.5


def test_several_right_items_have_the_values_computed_by_hand() -> None:
    scores = np.array([[0.9, 0.1, 0.8, 0.7, 0.6, 0.5]])
    found = measures.places_of_scores(scores, [[2, 0, 5]])  # at the places 2, 1 and 5
    assert found.values.tolist() == [1, 2, 5]
    values = {name: float(each[0]) for name, each in measures.by_query(found).items()}
    assert values["map"] == pytest.approx((1 + 1 + 3 / 5) / 3)
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert values["ndcg@10"] == pytest.approx((1 + 1 / math.log2(3) + 1 / math.log2(6)) / ideal)


def test_equal_scores_count_as_before_what_is_right() -> None:
    same = np.ones((2, 7))
    assert measures.places_of_scores(same, [[3], [0, 1, 2]]).values.tolist() == [7, 5, 6, 7]


def test_beyond_the_hundredth_there_is_no_reciprocal_rank() -> None:
    scores = -np.arange(200.0)[None].repeat(2, 0)
    found = measures.by_query(measures.places_of_scores(scores, [[99], [100]]))
    assert found["mrr@100"].tolist() == [1 / 100, 0]
    assert found["map"].tolist() == [1 / 100, 1 / 101]


def test_a_query_without_anything_right_is_refused() -> None:
    with pytest.raises(ValueError, match="query 1 has nothing right"):
        measures.places_of_scores(np.ones((2, 2)), [[0], []])


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 30))
def test_places_are_those_of_a_sorted_list(seed: int, queries: int, items: int) -> None:
    chance = np.random.default_rng(seed)
    scores = chance.integers(0, 6, (queries, items)).astype(np.float32)  # many are equal
    right = [
        chance.choice(items, chance.integers(1, items + 1), replace=False).tolist()
        for _ in range(queries)
    ]
    found = measures.places_of_scores(scores, right)
    for n, some in enumerate(right):
        # The worst order of equal ones: those that are wrong first.
        order = sorted(range(items), key=lambda item: (-scores[n, item], item in some))
        wanted = [place for place, item in enumerate(order, 1) if item in some]
        assert found.values[found.starts[n] : found.starts[n + 1]].tolist() == wanted


def test_blocks_of_vectors_are_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(0)
    rows = chance.standard_normal((90, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    right = [[n % 40, (n + 7) % 40] for n in range(50)]
    whole = measures.places(rows[:50], rows[50:], right)
    monkeypatch.setattr(measures, "_BLOCK", 3 * 40)
    assert measures.places(rows[:50], rows[50:], right).values.tolist() == whole.values.tolist()


def test_intervals_hold_the_true_mean_as_often_as_they_say() -> None:
    chance = np.random.default_rng(1)
    held = 0
    for n in range(100):
        hits = (chance.random(120) < 0.3).astype(np.float64)
        found = measures.Bootstrap(np.arange(120), seed=n, draws=100).mean(hits)
        assert found.low <= found.value <= found.high
        held += found.low <= 0.3 <= found.high
    assert 88 <= held <= 99


def test_captions_of_one_image_are_no_independent_cases() -> None:
    """Each image's five captions are found, or none of them is: that is 100 cases, not 500."""
    hits = np.repeat((np.random.default_rng(2).random(100) < 0.5).astype(np.float64), 5)
    alone = measures.Bootstrap(np.arange(500)).mean(hits)
    together = measures.Bootstrap(np.arange(500) // 5).mean(hits)
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(math.sqrt(5), rel=0.15)


def test_the_median_of_draws_is_that_of_the_drawn_queries() -> None:
    values = np.random.default_rng(3).integers(1, 50, 31).astype(np.float64)
    bootstrap = measures.Bootstrap(np.arange(31), seed=4, draws=50)
    drawn = [np.median(np.repeat(values, row)) for row in bootstrap._drawn]
    found = bootstrap.median(values)
    assert found.value == np.median(values)
    assert [found.low, found.high] == np.percentile(drawn, [2.5, 97.5]).tolist()


def test_the_same_seed_gives_the_same_draws() -> None:
    values = np.random.default_rng(5).random(40)
    groups = np.arange(40) // 2
    found = [measures.Bootstrap(groups, seed=n).mean(values) for n in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_chance_explains_differences_that_are_small() -> None:
    chance = np.random.default_rng(6)
    groups = np.arange(200)
    none = measures.p_of_difference(chance.standard_normal(200), groups)
    clear = measures.p_of_difference(chance.standard_normal(200) + 1, groups)
    assert none > 0.05
    assert clear == 1 / 10_001
    assert measures.p_of_difference(np.zeros(200), groups) == 1
    # Of three groups with the same difference chance gives all one sign in two cases of eight.
    assert measures.p_of_difference(np.ones(6), np.arange(6) // 2) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("sizes", [[1], [5], [1, 3, 12]])
def test_what_chance_finds_is_what_shuffled_scores_find(sizes: list[int]) -> None:
    chance = np.random.default_rng(7)
    right = [chance.choice(60, size, replace=False).tolist() for size in sizes * 4_000]
    found = measures.by_query(measures.places_of_scores(chance.random((len(right), 60)), right))
    expected = measures.by_chance([len(each) for each in right], 60)
    for name, each in found.items():
        if name == "median_rank":
            assert abs(float(np.median(each)) - expected[name]) <= 1
        else:
            error = float(each.std()) / math.sqrt(len(each))
            assert abs(float(each.mean()) - expected[name]) < 4 * error, name
