"""`pixseek index --dry-run`, and the options of tables on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run
from tiny_encoder import draw


@pytest.fixture
def goods(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    draw(tmp_path / "img" / "red.png", "red")
    table = tmp_path / "goods.csv"
    table.write_text("where,what,price,rating\nimg/red.png,red paint,9.5,4\n,none,1,2\n")
    return table


def test_what_columns_become_is_shown_and_nothing_is_indexed(run: Run, goods: Path) -> None:
    done = run("index", goods, "--dry-run", "--column", "caption=what")
    assert done.exit_code == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for line in (
        "table, 1 image in 2 rows", "where image", "what caption",
        "price fields.price (number)",
        "rating rating (whole number); the field rating of all images",
        "img/red.png", "caption: red paint", "price: 9.5",
        "not usable: goods/row-2: The row names no image",
        "Nothing was indexed. To index it, leave out --dry-run.",
    ):  # fmt: skip
        assert line in lines
    (found,) = json.loads(run("index", goods, "--dry-run", "--json").stdout)
    assert (found["kind"], found["images"], found["rows"]) == ("table", 1, 2)
    assert found["examples"][0]["fields"]["what"] == "red paint"
    assert "no library" in run("status").stderr.lower()


def test_a_table_is_indexed_shown_and_filtered_by_its_columns(run: Run, goods: Path) -> None:
    done = run("index", goods, "--column", "caption=what")
    assert done.exit_code == 0, done.stderr
    assert "added     1" in done.stdout
    shown = run("show", "goods/img/red.png").stdout
    for text in ("red paint", "price", "9.5", "4 stars"):
        assert text in shown
    assert "red.png" in run("search", "fields.price:>9 rating:4").stdout


def test_a_row_that_was_removed_stays_away_until_it_is_wanted_again(run: Run, goods: Path) -> None:
    run("index", goods)
    assert "Removed 1 image" in run("remove", "goods/img/red.png").stdout
    assert "added     0" in run("index", goods).stdout
    assert "added     1" in run("index", goods, "--include", "/img/red.png").stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--column", "image=wher"), "Did you mean 'where'"),
        (("--column", "picture=where"), "is not like image=NAME"),
        (("--as", "cocoa"), "Did you mean 'coco'"),
    ],
)
def test_options_that_fit_nothing_are_errors(
    run: Run, goods: Path, options: tuple[str, ...], words: str
) -> None:
    done = run("index", goods, *options)
    assert done.exit_code != 0
    assert words in " ".join(done.stderr.split())


def test_a_folder_is_counted(run: Run, goods: Path) -> None:
    assert "folder, 1 image" in run("index", goods.parent, "--dry-run").stdout


def test_a_look_connects_only_to_what_the_options_allow(run: Run) -> None:
    pytest.importorskip("aiohttp")
    for options, words in (
        ((), "not a public address"),
        (("--allow-private", "--offline"), "it can't be read offline"),
    ):
        done = run("index", "http://127.0.0.1:1/photos/", "--dry-run", *options)
        assert done.exit_code == 5, done.stdout
        assert words in done.stderr
