"""`pixseek duplicates`: what it lists, prints and moves, and that it deletes nothing."""

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from .conftest import Run
from tiny_encoder import draw


@pytest.fixture
def copies(run: Run, tmp_path: Path) -> Run:
    """A photo, a copy of it, a smaller version of it, and another photo."""
    folder = tmp_path / "work" / "Photos"
    original = draw(folder / "original.png", "red", 1, size=(80, 60))
    os.utime(original, (1_000_000_000, 1_000_000_000))  # of the same the oldest is kept
    shutil.copy(original, folder / "copy.png")
    with Image.open(original) as image:
        image.resize((40, 30)).save(folder / "small.jpg", quality=90)
    draw(folder / "other.png", "blue", 2)
    assert run("index", folder).exit_code == 0
    return run


def test_groups_are_listed_with_the_one_to_keep_first(copies: Run) -> None:
    [group] = json.loads(copies("duplicates", "--json").stdout)
    names = [Path(each).name for each in (group["keep"], *group["rest"])]
    assert names == ["original.png", "copy.png", "small.jpg"]
    assert not group["exact"]
    shown = copies("duplicates").stdout
    assert "1 group, 2 extra copies." in shown
    assert shown.splitlines()[0] == "near-duplicates"
    assert shown.splitlines()[1].startswith("  keep")


def test_exact_lists_only_identical_files(copies: Run, tmp_path: Path) -> None:
    (tmp_path / "work" / "Photos" / "small.jpg").unlink()
    copies("index")
    [group] = json.loads(copies("duplicates", "--exact", "--json").stdout)
    assert group["exact"]
    assert "identical files" in copies("duplicates", "--exact").stdout


def test_rest_prints_paths_for_other_programs(copies: Run) -> None:
    lines = copies("duplicates", "--rest").stdout.splitlines()
    assert [Path(line).name for line in lines] == ["copy.png", "small.jpg"]
    assert copies("duplicates", "--rest", "-0").stdout == "".join(f"{line}\0" for line in lines)


def test_moving_asks_first_and_deletes_nothing(copies: Run, tmp_path: Path) -> None:
    folder, target = tmp_path / "work" / "Photos", tmp_path / "away"
    before = sorted(path.read_bytes() for path in folder.iterdir())
    assert copies("duplicates", "--move", target, input="n\n").exit_code == 130
    assert not target.exists()
    done = copies("duplicates", "--move", target, "--yes")
    assert "Moved 2 images" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["original.png", "other.png"]
    both = [*folder.iterdir(), *(target / "Photos").iterdir()]
    assert sorted(path.read_bytes() for path in both) == before
    copies("index")
    assert copies("duplicates").exit_code == 1


def test_a_threshold_can_be_given(copies: Run) -> None:
    [group] = json.loads(copies("duplicates", "--threshold", "0", "--json").stdout)
    assert len(group["ids"]) >= 3


def test_a_folder_that_images_cannot_be_moved_to_is_named(copies: Run, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("not a folder")
    done = copies("duplicates", "--move", tmp_path / "a-file" / "below", "--yes")
    assert done.exit_code == 3
    assert "can't be moved" in done.stderr and "a-file" in done.stderr
    assert "Choose another folder" in done.stderr
    assert (tmp_path / "work" / "Photos" / "small.jpg").exists()
