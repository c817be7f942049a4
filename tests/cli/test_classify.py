"""`pixseek classify`: labels from options and files, with and without a library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run
from tiny_encoder import draw


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return draw(tmp_path / "one.png", "red")


def test_a_line_for_each_label(run: Run, picture: Path) -> None:
    done = run(
        "classify", picture, "--labels", "red, blue", "--labels", "green", "--template", "{}"
    )
    assert done.exit_code == 0
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [name for name, _, _ in lines] == [str(picture)] * 3
    assert lines[0][1:] == ["1.0000", "red"]
    assert {label for *_, label in lines} == {"red", "blue", "green"}


def test_labels_from_a_file_as_json(run: Run, picture: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("# colours\nred\nblue\n", "utf-8")
    done = run("classify", picture, "--labels-file", file, "--template", "{}", "-k", 1, "--json")
    (answer,) = json.loads(done.stdout)
    assert answer["image"] == str(picture)
    assert [each["label"] for each in answer["labels"]] == ["red"]
    assert answer["labels"][0]["probability"] == pytest.approx(1)
    assert answer["labels"][0]["score"] > 0.9


def test_no_library_is_needed_and_none_is_made(run: Run, picture: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert run("classify", picture, "--labels", "red,blue").exit_code == 0
    assert [path for path in sorted(tmp_path.rglob("*")) if path.is_dir()] == [
        path for path in before if path.is_dir()
    ]


def test_an_indexed_image_is_named_by_its_id(run: Run, photos_folder: Path) -> None:
    run("index", photos_folder)
    (hit,) = json.loads(run("search", "red", "-k", 1, "--json").stdout)["hits"]
    done = run("classify", hit["id"], "--labels", "red,blue", "--template", "{}", "-k", 1)
    assert done.stdout == f"{hit['id']}\t1.0000\tred\n"


def test_there_must_be_labels(run: Run, picture: Path) -> None:
    done = run("classify", picture, "--labels", " , ")
    assert done.exit_code == 2
    assert "--labels-file" in done.stderr


def test_an_image_that_is_not_there(run: Run, tmp_path: Path) -> None:
    done = run("classify", tmp_path / "none.png", "--labels", "red")
    assert done.exit_code != 0
    assert "none.png" in done.stderr
