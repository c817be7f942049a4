"""The list of this user's libraries."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from pixseek.errors import StorageError
from pixseek.storage.known_libraries import KnownLibraries, KnownLibrary


def library(name: str, id_: str = "", inode: int = 1, engine: str = "") -> KnownLibrary:
    return KnownLibrary(f"/{name}", id_ or name, inode, 1000, engine)


def test_a_library_is_found_by_its_id_at_its_place_or_as_the_same_file(tmp_path: Path) -> None:
    known = KnownLibraries(tmp_path / "libraries.json")
    assert known.all() == [] and known.find("/a", "a", 1) is None
    known.keep(library("a"))
    for place, id_, inode, found in (
        ("/a", "a", 1, True),
        ("/a", "a", 2, True),
        ("/b", "a", 1, True),
        ("/b", "a", 2, False),
        ("/a", "b", 1, False),
        ("/b", "a", 0, False),
    ):
        assert (known.find(place, id_, inode) is not None) == found, (place, id_, inode)


def test_a_library_takes_the_place_of_what_was_known_of_it(tmp_path: Path) -> None:
    file = tmp_path / "settings" / "libraries.json"
    for each in (library("a"), library("b"), library("moved", "a"), library("b", "other", 2)):
        KnownLibraries(file).keep(each)
    assert KnownLibraries(file).all() == [library("moved", "a"), library("b", "other", 2)]
    assert KnownLibraries(file).forget("/b") and not KnownLibraries(file).forget("/b")
    assert KnownLibraries(file).all() == [library("moved", "a")]


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "libraries.json"

    def add(number: int) -> None:
        KnownLibraries(file).keep(library(str(number), inode=number))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.inode for each in KnownLibraries(file).all()} == set(range(1, 13))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) in (
        ["libraries.json", "libraries.json.lock"],
        ["libraries.json"],
    )


def test_entries_of_another_kind_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "libraries.json"
    good = {"path": "/a", "id": "a", "inode": 1, "owner": 1000, "engine": "", "later": True}
    file.write_text(json.dumps({"libraries": [good, 5, {**good, "id": 5}, {"path": "/b"}]}))
    assert KnownLibraries(file).all() == [library("a")]


@pytest.mark.parametrize("text", ["", "[", "[]", '{"libraries": 5}'])
def test_a_list_that_can_not_be_read_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "libraries.json").write_text(text)
    with pytest.raises(StorageError, match="list of your libraries"):
        KnownLibraries(tmp_path / "libraries.json").all()
