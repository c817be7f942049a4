"""Globs match what an expression of the same meaning matches, in linear time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixseek.types.wildcards import Wildcard, matcher, pieces

_GLOBS = st.text("ab*?", max_size=12)
_TEXTS = st.text("ab\n", max_size=14)


def _expression(glob: str) -> re.Pattern[str]:
    kinds = {"*": ".*", "?": "."}
    return re.compile("".join(kinds.get(each, re.escape(each)) for each in glob), re.DOTALL)


@given(_GLOBS, _TEXTS)
def test_a_glob_matches_what_its_expression_matches(glob: str, text: str) -> None:
    assert matcher(pieces(glob))(text) is bool(_expression(glob).fullmatch(text))


@given(st.text("ab?", min_size=65, max_size=70), st.text("ab", max_size=80))
def test_a_long_block_matches_what_its_expression_matches(block: str, text: str) -> None:
    for whole in (text, text + block.replace("?", "a") + text):
        glob = f"*{block}*"
        assert matcher(pieces(glob))(whole) is bool(_expression(glob).fullmatch(whole))


def test_a_text_with_a_star_stands_for_itself() -> None:
    fits = matcher((Wildcard.ANY, "a*b", Wildcard.ANY))
    assert fits("xa*by")
    assert not fits("xaab")


@pytest.mark.parametrize(
    ("glob", "text"),
    [
        ("*a" * 2_000 + "*b", "a" * 10_000),
        ("*" + "a?" * 5_000 + "b*", "a" * 20_000),
        ("*" + "a" * 5_000 + "b*", "a" * 20_000),
        ("*a?" * 1_500 + "*b", "a" * 10_000),
    ],
)
def test_many_stars_take_no_longer_than_the_text(glob: str, text: str) -> None:
    began = time.process_time()
    assert not matcher(pieces(glob))(text)
    assert time.process_time() - began < 5  # an expression takes longer than the universe is old
