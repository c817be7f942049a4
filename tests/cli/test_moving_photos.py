"""Live photos in the terminal: what the report says, and which files `duplicates --move` takes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from films import film

from .conftest import Run
from tiny_encoder import draw

pytestmark = pytest.mark.slow
pytest.importorskip("av", reason="av is not installed")


def test_both_files_of_a_copy_are_moved(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    draw(folder / "IMG_1.JPG", "green")
    film(folder / "IMG_1.MOV", (("red", 1.0), ("blue", 1.0)))
    shutil.copytree(folder, folder / "copies")
    for name in ("IMG_1.JPG", "IMG_1.MOV"):
        os.utime(folder / "copies" / name, (2e9, 2e9))  # the newer one is the copy
    said = run("index", folder).stdout
    assert "Skipped: 2 .mov clips of photos, which are found with these" in said
    assert run("index").exit_code == 0
    assert run("failures", "--paths").stdout == ""
    found = run("search", "blue", "-k", "1", "--paths").stdout
    assert found.strip().endswith("IMG_1.JPG")
    shown = run("show", folder / "IMG_1.JPG").stdout
    assert "motion" in shown and "pixseek.motion" not in shown
    moved = run("duplicates", "--move", tmp_path / "away", "--yes")
    assert "Moved 1 image." in moved.stdout
    assert sorted(path.name for path in (tmp_path / "away").rglob("IMG*")) == [
        "IMG_1.JPG", "IMG_1.MOV",
    ]  # fmt: skip
    assert sorted(path.name for path in folder.rglob("IMG*")) == ["IMG_1.JPG", "IMG_1.MOV"]
    assert "added     0" in run("index").stdout
