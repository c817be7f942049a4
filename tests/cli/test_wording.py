"""Texts for a terminal: broken between words only, commands whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixseek.cli.wording import cells, fitted, shortened, wrapped

WORDS = st.lists(st.text("abé-/.", min_size=1, max_size=30), min_size=1, max_size=30)


@given(WORDS, st.integers(30, 120), st.integers(0, 10), st.integers(0, 10))
def test_words_stay_whole_and_lines_fit(
    words: list[str], width: int, first: int, hanging: int
) -> None:
    lines = wrapped(" ".join(words), width, hanging=" " * hanging, first=first)
    assert " ".join(lines).split() == words
    for n, line in enumerate(lines):
        taken = first if n == 0 else 0
        assert taken + len(line) <= max(width, 20 + max(first, hanging)) or " " not in line.strip()
        assert n == 0 or line.startswith(" " * hanging)


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_a_suggested_command_stays_on_one_line(width: int) -> None:
    command = "pixseek search 'a dog on a beach' --not 'snow and ice' --library 'my photos'"
    for text in (f"Nothing was found. Try: {command}", f"Try one of these:\n  {command}", command):
        assert any(line.endswith(command) for line in wrapped(text, width))


def test_lines_of_a_text_keep_their_indentation() -> None:
    assert wrapped("one\n  two three four five six", 20, hanging="    ") == [
        "one", "      two three four five", "      six",
    ]  # fmt: skip


@pytest.mark.parametrize("width", range(4, 40))
def test_what_is_left_of_an_address_holds_no_password(width: int) -> None:
    assert "Zq9x" not in shortened("https://me:Zq9x@a.long.host/folder/a.jpg", width)
    assert "q9x" not in shortened("https://Zq9x@a.long.host/folder/a.jpg", width)


def test_texts_for_programs_are_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "word " * 50
    assert fitted(long) == long
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, fitted(long, err=True).split("\n"))) <= 60


@given(WORDS, st.integers(8, 60))
def test_a_path_loses_folders_before_letters(parts: list[str], width: int) -> None:
    path = "/".join(part.replace("/", "") or "x" for part in parts)
    short = shortened(path, width)
    assert cells(short) <= max(width, 1)
    if short != path:
        assert short[0] == "…" and path.endswith(short[1:])
        name = "/" + path.rsplit("/", 1)[-1]
        if "/" in path[1:] and cells(name) < width:
            assert short[1] == "/" and short.endswith(name)
