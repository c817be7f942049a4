"""Annotations that a user gives during a run are not lost, even if the files have moved."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pixseek
from pixseek.indexing import pipeline
from pixseek.metadata.annotations import annotate, annotation_of
from pixseek.types import Engine, Record, record_id

from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        draw(tmp_path / "pictures" / f"{number}.png", "red", number)
    return tmp_path / "pictures"


@pytest.fixture
def library(tmp_path: Path, folder: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    with pixseek.open(tmp_path / "photos.lib") as opened:
        opened.index(folder)
        yield opened


def say(engine: Engine, uri: str, tag: str) -> None:
    """Add a tag as a user does, whoever else writes."""

    def add(_: Record, stored: Record) -> Record:
        said = annotation_of(stored)
        return annotate(stored, replace(said, tags_added=(*said.tags_added, tag)))

    (record,) = engine.get([record_id(uri)])
    if record is not None:
        engine.describe([record], add)


def said(library: pixseek.Library) -> dict[str, tuple[str, ...]]:
    return {hit.record.name: hit.record.tags for hit in library.search("red", k=100)}


def around(
    library: pixseek.Library,
    monkeypatch: pytest.MonkeyPatch,
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Let a user say something before and after the first write of records."""
    engine = library.opened.engine
    original, calls = engine.put, []

    def put(*arguments: Any, **named: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            before()
        original(*arguments, **named)
        if len(calls) == 1:
            after()

    monkeypatch.setattr(engine, "put", put)


def test_tags_set_while_a_file_is_read_again_are_kept(
    library: pixseek.Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = library.opened.engine
    say(engine, "pictures/1.png", "early")
    draw(folder / "0.png", "blue", 50)
    os.utime(folder / "1.png")

    def speak() -> None:
        for name in ("0", "1", "2"):
            say(engine, f"pictures/{name}.png", f"said-{name}")

    around(library, monkeypatch, before=speak)
    assert library.index().updated == 2
    assert said(library) == {
        "0.png": ("said-0",),
        "1.png": ("early", "said-1"),
        "2.png": ("said-2",),
        **{f"{n}.png": () for n in (3, 4, 5)},
    }


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("same_stamp", [True, False])
def test_tags_set_at_the_old_place_of_a_file_arrive_at_the_new_one(
    library: pixseek.Library,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    same_stamp: bool,
) -> None:
    engine = library.opened.engine
    say(engine, "pictures/0.png", "early")
    for name in ("0", "1"):
        (folder / f"{name}.png").rename(folder / f"moved-{name}.png")
        if not same_stamp:
            os.utime(folder / f"moved-{name}.png")

    def speak() -> None:
        say(engine, "pictures/0.png", "late")

    around(library, monkeypatch, **{when: speak})
    assert library.index().moved == 2
    assert said(library) == {
        "moved-0.png": ("early", "late"),
        "moved-1.png": (),
        **{f"{n}.png": () for n in (2, 3, 4, 5)},
    }


@pytest.mark.parametrize("same_stamp", [True, False])
def test_tags_set_while_the_old_record_is_deleted_arrive_at_the_new_one(
    library: pixseek.Library,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    same_stamp: bool,
) -> None:
    engine = library.opened.engine
    (folder / "0.png").rename(folder / "moved.png")
    if not same_stamp:
        os.utime(folder / "moved.png")
    original, tags = engine.delete, ["first", "second", "third"]

    def delete(*arguments: Any, **named: Any) -> int:
        if tags:
            say(engine, "pictures/0.png", tags.pop(0))
        return original(*arguments, **named)

    monkeypatch.setattr(engine, "delete", delete)
    assert library.index().moved == 1
    assert said(library)["moved.png"] == ("first", "second", "third")
    assert engine.get([record_id("pictures/0.png")]) == [None]


def test_tags_set_while_a_root_becomes_part_of_another_are_kept(
    library: pixseek.Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = library.opened.engine
    original, tags = engine.delete, ["late"]

    def delete(*arguments: Any, **named: Any) -> int:
        if tags:
            say(engine, "pictures/3.png", tags.pop())
        return original(*arguments, **named)

    monkeypatch.setattr(engine, "delete", delete)
    library.index(folder.parent)
    assert [root.name for root in library.roots()] == [folder.parent.name]
    assert said(library)["3.png"] == ("late",)


def test_tags_set_at_the_new_and_the_old_place_are_combined(
    library: pixseek.Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = library.opened.engine
    (folder / "0.png").rename(folder / "moved.png")

    def speak() -> None:
        say(engine, "pictures/moved.png", "new place")
        say(engine, "pictures/0.png", "old place")

    around(library, monkeypatch, after=speak)
    library.index()
    assert said(library)["moved.png"] == ("new place", "old place")


@pytest.mark.parametrize("records_a_write", [1, 2, 1000])
def test_tags_go_with_files_that_swap_names(
    library: pixseek.Library,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    records_a_write: int,
    tiny: TinyEncoder,
) -> None:
    monkeypatch.setattr(pipeline, "CHECKPOINT_RECORDS", records_a_write)
    engine = library.opened.engine
    for number in range(6):
        say(engine, f"pictures/{number}.png", f"early-{number}")
    for number in reversed(range(6)):
        (folder / f"{number}.png").rename(folder / f"{number + 1}.png")

    def speak() -> None:
        say(engine, "pictures/0.png", "late-0")
        say(engine, "pictures/5.png", "late-5")

    around(library, monkeypatch, before=speak)
    tiny.embedded = 0
    library.index()
    assert tiny.embedded == 0
    found = said(library)
    assert {name: tags[:1] for name, tags in found.items()} == {
        f"{number + 1}.png": (f"early-{number}",) for number in range(6)
    }
    assert found["1.png"] == ("early-0", "late-0")
    assert found["6.png"] == ("early-5", "late-5")


def test_tags_set_while_a_root_is_absorbed_arrive(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "a" / "b" / "1.png", "red", 1)
    with pixseek.open(tmp_path / "photos.lib") as library:
        library.index(tmp_path / "a" / "b")
        engine = library.opened.engine
        around(library, monkeypatch, after=lambda: say(engine, "b/1.png", "late"))
        library.index(tmp_path / "a")
        assert said(library) == {"1.png": ("late",)}
        assert len(library) == 1
