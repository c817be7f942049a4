"""A process that keeps a library open while others write to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pixseek
from pixseek.types import Compare, record_id

from tiny_encoder import TinyEncoder, draw

#: Runs `pixseek.open(...)` in a process of its own, with the tiny encoder.
_OTHER = """
import sys
import pixseek, pixseek.encoders
from tiny_encoder import TinyEncoder

pixseek.encoders.load = lambda *_, **__: TinyEncoder()
with pixseek.open(sys.argv[1]) as library:
    exec(sys.argv[2])
"""


def elsewhere(library: Path, code: str, *arguments: Path | str) -> None:
    """Run some lines on a library in another process."""
    command = [sys.executable, "-c", _OTHER, str(library), code, *map(str, arguments)]
    tests = str(Path(__file__).parents[1])
    subprocess.run(command, check=True, cwd=tests, timeout=120)


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    for number, colour in enumerate(["red", "green", "blue"]):
        draw(tmp_path / "pictures" / f"{colour}.png", colour, number)
    with pixseek.open(tmp_path / "photos.lib") as opened:
        opened.index(tmp_path / "pictures")
        yield opened


def test_a_root_that_another_process_adds_is_seen(library: pixseek.Library, tmp_path: Path) -> None:
    assert library.search("red", k=1)[0].path == tmp_path / "pictures" / "red.png"
    added = draw(tmp_path / "new" / "white.png", "white", 5)
    elsewhere(library.path, "library.index(sys.argv[3])", added.parent)
    hit = library.search("white", k=1)[0]
    assert (hit.uri, hit.path) == ("new/white.png", added)
    assert [root.name for root in library.roots()] == ["new", "pictures"]
    assert library.uri_of(added) == "new/white.png"


def test_a_root_that_another_process_moves_is_seen(
    library: pixseek.Library, tmp_path: Path
) -> None:
    record = library.get(record_id("pictures/red.png"))
    assert record is not None
    assert library.locate(record) == tmp_path / "pictures" / "red.png"
    (tmp_path / "pictures").rename(tmp_path / "moved")
    elsewhere(library.path, "library.index(sys.argv[3])", tmp_path / "moved")
    assert library.locate(record) == tmp_path / "moved" / "red.png"
    assert library.search("red", k=1)[0].path == tmp_path / "moved" / "red.png"


def test_a_root_that_another_process_forgets_is_gone(library: pixseek.Library) -> None:
    assert library.roots()
    elsewhere(library.path, "library.remove(root='pictures')")
    assert library.roots() == []
    assert not library.search(where=Compare("root", "eq", "pictures"))


@pytest.mark.parametrize("after", [False, True], ids=["before-its-size", "after-a-look"])
def test_status_counts_a_folder_whose_files_go_away(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    size = library.status().bytes_on_disk
    going = library.path / "going.tmp"
    going.write_bytes(b"x" * 1000)
    real = os.stat

    def stat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        """Look at a file while another process deletes it."""
        if not after:
            going.unlink(missing_ok=True)
        found = real(path, *arguments, **options)
        if str(path) == str(going):
            going.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(os, "stat", stat)
    assert library.status().bytes_on_disk in (size, size + 1000)
    assert not going.exists()
