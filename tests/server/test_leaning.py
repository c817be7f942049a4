"""Likes and dislikes in the text of a query."""

from __future__ import annotations

import pytest

from pixseek.search.language import parse
from pixseek.server.leaning import leanings, leant
from pixseek.types import Query


@pytest.mark.parametrize(
    ("text", "to", "wanted"),
    [
        ("a dog", True, "a dog 0.75*id:x"),
        ("a dog", False, "a dog -0.15*id:x"),
        ("a dog", None, "a dog"),
        ("a dog 0.75*id:x", False, "a dog -0.15*id:x"),
        ("a dog 0.75*id:x", None, "a dog"),
        ("a dog 0.75*id:y year:2020", True, "a dog year:2020 0.375*id:y 0.375*id:x"),
        ('a dog -0.15*id:"y"', False, "a dog -0.075*id:y -0.075*id:x"),
        ("id:y", True, "id:y 0.75*id:x"),
        ("2*id:y", True, "2*id:y 0.75*id:x"),
        ("id:y@0.1,0.1,0.5,0.5", True, "id:y@0.1,0.1,0.5,0.5 0.75*id:x"),
        ("", True, "0.75*id:x"),
        ("", False, ""),
        ("0.75*id:x", None, ""),
        ("0.75*id:x", False, ""),
        ("0.75*id:y", False, "0.75*id:y -0.15*id:x"),
    ],
)
def test_a_query_leans_as_it_is_told(text: str, to: bool | None, wanted: str) -> None:
    assert leant(text, "x", to=to) == wanted
    assert leanings(wanted).get("x") is (None if not wanted else to)


def test_the_weights_are_those_of_a_refined_query() -> None:
    text = "red"
    for image, to in (("a", True), ("b", True), ("c", False)):
        text = leant(text, image, to=to)
    refined = parse("red").refined(liked=["a", "b"], disliked=["c"])
    assert isinstance(refined, Query) and parse(text).terms == refined.terms
