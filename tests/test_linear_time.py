"""What reads the texts of strangers takes time in proportion to their length.

Each function gets a few kinds of long text that a careless expression tries in every way: of an
exponential one the shortest takes years, of a quadratic one the longest minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from pixseek.engines.words import searchable, words_to_find
from pixseek.metadata.annotations import value_of
from pixseek.metadata.captions import is_caption, is_default
from pixseek.metadata.charsets import decode_text
from pixseek.metadata.coordinates import parse_coordinate
from pixseek.metadata.dates import date_in_name, parse_date, parse_offset
from pixseek.metadata.exif import tidy_camera
from pixseek.redaction import redacted, without_passwords
from pixseek.types.texts import tag_levels, tag_path

_READERS: list[Callable[[str], Any]] = [
    searchable, words_to_find, tag_path, tag_levels, redacted, without_passwords,
    is_caption, is_default, parse_date, date_in_name, parse_offset, value_of,
    lambda text: parse_coordinate(text, "latitude", text),
    lambda text: decode_text(text.encode("utf-8")), lambda text: decode_text(text.encode("utf-16")),
    lambda text: tidy_camera(text, "D70"), lambda text: tidy_camera("Nikon", text),
]  # fmt: skip
_PIECES = ["a_", "a-", "a.", " ", "1", "1.", ",", ", ag", "|", " |", "://", "a:", "@", "a@", "a=",
           "&a=", "password=", "'", "가 ", "é", "\U0001f1e9", "([", "A", "e1", "\\"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("piece", _PIECES)
def test_long_texts_of_strangers_are_read_in_linear_time(piece: str) -> None:
    began = time.process_time()
    for read in _READERS:
        for start, end in (("", "!"), ("http://", " "), ("", "")):
            read(start + piece * (20_000 // len(piece)) + end)
    assert time.process_time() - began < 10
