"""`pixseek list`: all images, or those that a filter lets through; no model is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pixseek
from pixseek.errors import QueryError

from .conftest import Run


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("pixseek.encoders.load", load)


def test_a_pipe_gets_every_path(indexed: Run, photos_folder: Path, no_model: None) -> None:
    paths = sorted(str(path) for path in photos_folder.rglob("*.png"))
    assert sorted(indexed("list").stdout.splitlines()) == paths
    assert sorted(indexed("list", "-0").stdout.split("\0")[:-1]) == paths
    assert indexed("list", "--paths").stdout == indexed("list").stdout


def test_filters_order_and_number(indexed: Run, no_model: None) -> None:
    names = [Path(line).name for line in indexed("list", "name:red*").stdout.splitlines()]
    assert sorted(names) == ["red-0.png", "red-1.png"]
    lines = indexed("list", "width:>1 -name:red*", "--sort", "name", "-k", "2").stdout
    assert [Path(line).name for line in lines.splitlines()] == ["blue-4.png", "blue-5.png"]
    said = indexed("list", "width:>1", "-name:red*").stderr
    assert "pixseek list 'width:>1 -name:red*'\n" in said and "--not" not in said
    assert indexed("list", "name:nothing*").exit_code == 1
    done = indexed("list", "dog")
    assert done.exit_code == 5
    assert "Only filters" in done.stderr


def test_json_has_a_line_for_each_image(indexed: Run, photos_folder: Path, no_model: None) -> None:
    (photos_folder / "a" / "red-1.png").unlink()
    found = [json.loads(line) for line in indexed("list", "--json").stdout.splitlines()]
    assert len(found) == 6
    assert {Path(each["path"]).name for each in found if not each["is_there"]} == {"red-1.png"}
    assert all(each["id"] and each["uri"].startswith("Photos/") for each in found)


def test_an_empty_library_is_said_to_be_empty(indexed: Run) -> None:
    indexed("remove", "--all", "--yes")
    done = indexed("list")
    assert done.exit_code == 1
    assert "The library is empty" in done.stderr


def test_records_come_in_order_and_from_all_pages(
    indexed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixseek.library.asking._PAGE", 4)
    with pixseek.open(create=False) as library:
        names = [record.name for record in library.records(sort="name")]
        assert names == sorted(names) and len(set(names)) == 6
        uris = [record.uri for record in library.records()]
        assert uris == sorted(uris) and len(set(uris)) == 6
        assert [r.name for r in library.records("name:blue-4*")] == ["blue-4.png"]
        with pytest.raises(QueryError, match=r"(?i)unknown order"):
            next(library.records(sort="upwards"))  # type: ignore[arg-type]
