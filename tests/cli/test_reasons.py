"""Why a hit was found, in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixseek.cli.reasons import reasons
from pixseek.types import WHOLE, Hit, Reason, Record


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ([Reason("words", "tags: zebra", 1.0)], "its tag 'zebra'"),
        ([Reason("words", "tags: zebra, lion", 1.0)], "its tags 'zebra', 'lion'"),
        ([Reason("words", "tags: a lake 0.97", 1.0)], "the model's tag 'a lake'"),
        ([Reason("words", "caption: dog, beach", 0.4)], "its caption says 'dog', 'beach'"),
        ([Reason("words", "name: img_1", 0.4)], "its file name has 'img_1'"),
        ([Reason("words", "folder: summer", 0.4)], "its folder is 'summer'"),
        ([Reason("words", "albums: lake, trip", 0.4)], "names of albums have 'lake', 'trip'"),
        ([Reason("words", "user.notes: x", 0.4)], "its user.notes says 'x'"),
        ([Reason("words", "", 0.4)], "its texts have the words"),
        (
            [Reason("words", "text_seen: EXIT, left", 1.0, box=(0.0, 0.0, 0.1, 0.1))],
            "text in the picture: 'EXIT, left' (top left)",
        ),
        ([], ""),
    ],
)
def test_what_is_written_is_named(why: list[Reason], said: str) -> None:
    assert reasons(_hit(*why)) == said


def test_what_is_written_comes_before_what_it_looks_like() -> None:
    said = reasons(_hit(_looks("text", "beach"), Reason("words", "tags: zebra", 1.0)))
    assert said == "its tag 'zebra'; looks like 'beach' (strong)"


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (("text", "a dog", 2.0), "looks like 'a dog' (strong, counts 2 times)"),
        (("text", "night", -0.5), "away from 'night'"),
        (("image", "/photos/ball.jpg"), "looks like ball.jpg (strong)"),
        (("image", ""), "looks like the example (strong)"),
        (("id", "k3v5"), "looks like the image k3v5 (strong)"),
        (("vector", ""), "looks like the vector (strong)"),
        (("text", "a\nb"), r"looks like 'a\nb' (strong)"),
    ],
)
def test_what_it_looks_like_is_named(reason: tuple[Any, ...], said: str) -> None:
    assert reasons(_hit(_looks(*reason))) == said


def test_an_excluded_hit_says_by_what() -> None:
    hit = replace(_hit(_looks("text", "a dog")), excluded_by="snow")
    assert reasons(hit) == "looks like 'a dog' (strong); matches 'snow', which is excluded"


def test_no_numbers_but_weights_are_shown() -> None:
    said = reasons(_hit(_looks("text", "a dog"), Reason("words", "caption: dog", 0.123)))
    assert not any(character.isdigit() for character in said)


def _looks(kind: str, what: str, weight: float = 1.0) -> Reason:
    return Reason(kind, what, 0.31, 3.5, weight, "strong")


def _hit(*why: Reason) -> Hit:
    return Hit(1, Record("i", "p/a.jpg"), WHOLE, 0.3, Path("a.jpg"), why=why)
