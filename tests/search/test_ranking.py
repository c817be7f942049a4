"""Order, near-duplicates and variety: pure functions, for any input."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixseek.search import ranking
from pixseek.types import Query, Term


def rows(seed: int, n: int, dim: int = 8) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@given(st.lists(st.floats(-1, 1), max_size=30))
def test_order_is_by_score_and_then_by_id(scores: list[float]) -> None:
    ids = [f"{(7 * n) % 31:02}" for n in range(len(scores))]
    order = ranking.order_of(np.array(scores, np.float64), ids).tolist()
    assert sorted(order) == list(range(len(scores)))
    keys = [(-scores[at], ids[at]) for at in order]
    assert keys == sorted(keys)


@given(st.integers(0, 10**6), st.integers(0, 25), st.floats(-1, 1))
def test_groups_depend_on_what_comes_before_only(seed: int, n: int, threshold: float) -> None:
    vectors = rows(seed, n)
    kinds = np.random.default_rng(seed).integers(0, 2, n)

    def are_one(one: int, other: int) -> bool:
        return bool(kinds[one] == kinds[other])

    leaders = ranking.groups(vectors, threshold, are_one, n).tolist()
    assert len(leaders) == n
    for row, leader in enumerate(leaders):
        assert leader <= row
        assert leaders[leader] == leader
        if leader != row:
            assert float(vectors[leader] @ vectors[row]) >= threshold - 1e-6
            assert are_one(row, leader)
    for cut in range(n):
        assert ranking.groups(vectors[:cut], threshold, are_one, n).tolist() == leaders[:cut]
    # The first pages are the same, however many groups are wanted.
    for enough in range(len(set(leaders)) + 1):
        few = ranking.groups(vectors, threshold, are_one, enough).tolist()
        shown = [row for row, leader in enumerate(few) if row == leader]
        assert shown[:enough] == sorted(set(leaders))[:enough]


@given(st.integers(0, 10**6), st.integers(0, 25), st.floats(0, 1))
def test_variety_starts_with_the_best(seed: int, n: int, variety: float) -> None:
    vectors = rows(seed, n)
    scores = np.random.default_rng(seed).normal(size=n)
    order = ranking.varied(scores, vectors, variety).tolist()
    assert sorted(order) == list(range(n))
    if n and variety < 1:
        assert scores[order[0]] == scores.max()
    if not variety:
        assert order == np.argsort(-scores, kind="stable").tolist()


def test_variety_prefers_different_images() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert ranking.varied(np.array([1.0, 0.9, 0.5]), vectors, 0.0).tolist() == [0, 1, 2]
    assert ranking.varied(np.array([1.0, 0.9, 0.5]), vectors, 0.6).tolist() == [0, 2, 1]


def test_a_refined_query_has_the_weights_of_rocchio() -> None:
    query = Query((Term("text", "a dog"),)).refined(["a", "b"], ["c"])
    assert [(term.value, term.weight) for term in query.terms] == [
        ("a dog", 1.0), ("a", 0.375), ("b", 0.375), ("c", -0.15)
    ]  # fmt: skip
    assert query.refined() == query
