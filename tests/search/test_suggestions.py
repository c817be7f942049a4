"""What a search box suggests: texts that can be asked, the commonest first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixseek.search.language import parse
from pixseek.search.suggestions import Vocabulary, is_unfinished, suggestions

WORDS = Vocabulary(
    {
        "tag": {"dog": 9, "Straße": 4, 'a "b" c': 3, "dogs|puppy": 2, "Ärger": 1, "wild*": 1},
        "person": {"Ann Lee": 5, "Lee Ann": 7},
        "folder": {"photos/2021/Lee": 8, "photos": 20},
        "camera": {"Pixel 7": 3},
        "year": {"2021": 8, "2020": 2, "none": 5},
        "colour": {"red": 6},
        "format": {"JPEG": 20},
    }
)
SAVED = ("Lee at home", "dogs")


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("lee", ['@"Lee at home"', 'person:"Lee Ann"', 'folder:"photos/2021/Lee"',
                 'person:"Ann Lee"']),
        ("a walk ann", ['a walk person:"Ann Lee"', 'a walk person:"Lee Ann"']),
        ("person:le", ['person:"Lee Ann"', 'person:"Ann Lee"']),
        ('x -person:"ann', ['x -person:"Ann Lee"', 'x -person:"Lee Ann"']),
        ("tag:STRASSE", ['tag:"Straße"']),
        ("tag:är", ['tag:"Ärger"']),
        ("tag:pup", ['tag:"dogs|puppy"']),
        ("tag:a", ['tag:"a \\"b\\" c"']),
        ("tag:wild", ['tag:="wild*"']),
        ("camera:pix", ['camera:="Pixel 7"']),
        ("year:20", ["year:2021", "year:2020"]),
        ("dog before:202", ["dog before:2021", "dog before:2020"]),
        ("color:r", ['colour:"red"']),
        ("has:g", ["has:gps"]),
        ("(orientation:l", ["(orientation:landscape"]),
        ("@d", ['@"dogs"']),
        ("red @d", []),
        ("camer", ["camera:", "camera_make:", "camera_model:"]),
        ('"lee', []),
        ("nobody:x", []),
    ],
)  # fmt: skip
def test_what_is_suggested(text: str, texts: list[str]) -> None:
    assert [each.text for each in suggestions(text, WORDS, SAVED)] == texts


@given(st.text("dogle rsäp:21-", max_size=8))
def test_every_filter_that_is_suggested_for_words_can_be_asked(text: str) -> None:
    found = suggestions(text, WORDS, SAVED)
    assert len(found) <= 10
    for each in found:
        if each.kind == "value" and ":" not in text:
            assert parse(each.text).where is not None


def test_what_is_still_typed_is_unfinished() -> None:
    assert is_unfinished("red wid", 4)
    assert not is_unfinished("wid:x red", 0)
    assert is_unfinished("@na", None)
    assert not is_unfinished("@na ", None)
