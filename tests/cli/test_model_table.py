"""The table of models: whole words at every width, and every model once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pytest

from pixseek import models
from pixseek.cli import model_table, wording
from pixseek.cli.output import written
from pixseek.config import load_config
from pixseek.encoders.benchmark import Measurement

WIDTHS = (40, 60, 80, 100, 120, 200)


def plain(line: str) -> str:
    return click.unstyle(written(line))


@pytest.fixture
def rows(tmp_path: Path) -> list[models.ModelInfo]:
    return list(models.list_models(load_config(models_dir=tmp_path), ()))


@pytest.fixture(params=[False, True], ids=["plain", "measured"])
def table(rows: list[models.ModelInfo], request: pytest.FixtureRequest) -> list[models.ModelInfo]:
    measured = Measurement(
        "any", "", 1234.5, 10.25, 1.0, 500, "onnxruntime", "int8", "this one", "2026-11-29"
    )
    return [replace(row, measured=measured) if request.param else row for row in rows]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_longer_than_the_terminal(table: list[models.ModelInfo], width: int) -> None:
    lines = [plain(line) for line in model_table.lines(table, width, "demo")]
    assert max(map(wording.cells, lines)) <= width
    rows = [line for line in lines if line.startswith(("   ", "✓  "))][1:]
    assert sorted(line[3:].split()[0] for line in rows) == sorted(row.name for row in table)


def test_columns_are_shortened_before_they_are_left_out(rows: list[models.ModelInfo]) -> None:
    at = {width: plain("\n".join(model_table.lines(rows, width))) for width in WIDTHS}
    assert "over 300 languages" in at[200] and "research only (Apple)" in at[200]
    assert "300+" in at[100] and "research only (" not in at[100]
    assert "Not shown at this width" not in at[200]
    assert "Not shown at this width: other, run by, languages." in at[80]
    assert "CC-BY-NC-4.0" in at[80] and "55.6" in at[80]


def test_models_stand_below_the_languages_of_their_texts(rows: list[models.ModelInfo]) -> None:
    lines = [plain(line) for line in model_table.lines(rows, 80)]
    heads = [line for line in lines if line.startswith("Texts in")]
    assert heads == ["Texts in English", "Texts in many languages", "Texts in other languages"]
    of = {
        head: " ".join(lines[lines.index(head) : lines.index("", lines.index(head))])
        for head in heads
    }
    assert "clip-b32-datacomp" in of[heads[0]]
    assert "siglip2-b16-224" in of[heads[1]]
    assert "chinese-clip-b16" in of[heads[2]]


def test_the_default_is_named(rows: list[models.ModelInfo]) -> None:
    name = models.default_name()
    assert f"A new library takes {name}." in list(map(plain, model_table.lines(rows, 80, name)))


def test_a_pipe_gets_rows_and_every_column(rows: list[models.ModelInfo]) -> None:
    lines = list(model_table.lines(rows, None))
    assert len(lines) == len(rows) + 1
    assert plain(lines[0]).split() == [
        "model", "download", "languages", "Flickr30k", "COCO", "other", "run", "by", "licence",
    ]  # fmt: skip
