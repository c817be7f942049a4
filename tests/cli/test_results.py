"""How hits and facets are written on a terminal."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

import pixseek
from coloured_films import film
from pixseek.cli import results, show
from pixseek.cli.results import write_table
from pixseek.types import WHOLE, Exclusion, Hit, Query, Record, Results, Strength, Term
from pixseek.types.clock import span

from tiny_encoder import COLOURS, TinyEncoder, draw


def test_reasons_name_the_best_part_of_a_hit(
    tiny: TinyEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del tiny
    pixels = np.empty((40, 40, 3), np.uint8)
    pixels[:] = COLOURS["green"]
    pixels[20:, 20:] = COLOURS["red"]
    (tmp_path / "Photos").mkdir()
    Image.fromarray(pixels).save(tmp_path / "Photos" / "corner.png")
    draw(tmp_path / "Photos" / "all-red.png", "red")
    with pixseek.open(tmp_path / "lib") as library:
        library.index(tmp_path / "Photos", tiles=(2, 2))
        (hit,) = library.search("red", where="name:corner*")
        assert hit.part.box == (0.5, 0.5, 0.5, 0.5)
        write_table(library.search("red", where="name:corner*"), why=True)
        assert "best part: tile 0.5,0.5,0.5,0.5" in capsys.readouterr().out
        write_table(library.search("red", where="name:corner*"))
        assert "best part" not in capsys.readouterr().out
        library.index(tiles=(1, 1))
        write_table(library.search("red", where="name:corner*"), why=True)
        shown = capsys.readouterr().out
        assert "looks like 'red' (" in shown and "best part" not in shown


def test_hits_of_videos_say_when(
    tiny: TinyEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del tiny
    for n in range(12):
        draw(tmp_path / "Photos" / f"{n}.png", "green", seed=n)
    with pixseek.open(tmp_path / "lib") as library:
        library.index(tmp_path / "Photos")
        film(library, "Photos/party.mp4", ["red", "green", "red", "red"])
        found = library.search("red", k=1)
        write_table(found)
        table = capsys.readouterr().out
        assert f"party.mp4 {span(found[0].part)}  missing  +2 moments" in table
        write_table(found, why=True)
        assert "also at 0:" in capsys.readouterr().out
        moments = library.search("red type:video", moments=True)
        results.write_results(moments, "auto")
        lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert {each[3] for each in lines} == {"0:00-0:05", "0:10-0:15", "0:15-0:20"}
        results.write_results(moments, "paths")
        assert len(capsys.readouterr().out.splitlines()) == 1
        page = results.write_page([found], str(tmp_path / "page.html")).read_text()
        assert "(+2 moments)" in page
        shown = dict(show.rows(found[0].record, None))
        assert shown["duration"] == "0:20 (20 s)" and shown["shots"].startswith("4: 0:00-0:05")


@pytest.mark.parametrize(
    ("strength", "probability", "shown"),
    [
        ("strong", 0.9999, "strong 99%"), ("strong", 0.55, "strong 55%"),
        ("likely", 0.5499, "likely 54%"), ("weak", 0.299, "weak 29%"), ("weak", 0.0, "weak  1%"),
        ("strong", None, "strong"), ("weak", None, "weak"),
    ],
)  # fmt: skip
def test_a_match_is_never_certain_and_has_a_number_only_if_it_was_measured(
    strength: Strength, probability: float | None, shown: str
) -> None:
    hit = Hit(1, Record("i", "p/a.jpg"), WHOLE, 0.3, Path("a.jpg"), strength, probability)
    assert results.match_of(hit) == shown


@pytest.mark.parametrize(
    ("excluded", "said"),
    [
        ([("snow", 2)], "Left out: 2 images for 'snow'"),
        (
            [("snow", 1200), ("", 1), ("ice", 0)],
            "Left out: 1,200 images for 'snow', 1 for the example",
        ),
        ([("snow", 0)], ""),
        ([], ""),
    ],
)
def test_what_was_left_out_is_said_with_numbers(excluded: list[tuple[str, int]], said: str) -> None:
    found = tuple(Exclusion(what, count) for what, count in excluded)
    query = Query((Term("text", "x"),))
    answer = Results((), query, {}, "tiny", excluded=found)
    assert results.exclusions(answer) == said
    shown = replace(answer, query=replace(query, show_excluded=True))
    assert results.exclusions(shown) == ""


def test_long_facets_are_wrapped_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facets = {"colour": {f"colour-{n}": 1000 for n in range(9)}}
    results.write_facets(facets)
    assert len(capsys.readouterr().out.splitlines()) == 1

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(results, "terminal_size", lambda: os.terminal_size((60, 24)))
    results.write_facets(facets)
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 60 for line in lines)
    assert all(line.startswith(" " * 9) for line in lines[1:])
    assert " ".join(lines).count("1,000") == 9
