"""Archives on the command line."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from .conftest import Run
from tiny_encoder import draw


def shards(folder: Path) -> Path:
    for number, colour in enumerate(("red", "blue")):
        draw(folder / f"{colour}.png", colour)
        with tarfile.open(folder / f"part-{number:02}.tar", "w") as file:
            file.add(folder / f"{colour}.png", f"in/{colour}.png")
        (folder / f"{colour}.png").unlink()
    return folder / "part-{00..09}.tar"


def test_shards_are_named_by_a_pattern_and_members_by_their_place(run: Run, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    pattern = shards(tmp_path / "train")
    done = run("index", pattern)
    assert done.exit_code == 0, done.stderr
    assert "added     2" in done.stdout
    member = tmp_path / "train" / "part-00.tar" / "in" / "red.png"
    shown = run("show", member).stdout
    assert [line.split() for line in shown.splitlines()[:3:2]] == [
        ["in", str(tmp_path / "train" / "part-00.tar")],
        ["uri", "part/part-00.tar/in/red.png"],
    ]
    plain = json.loads(run("show", "part/part-00.tar/in/red.png", "--json").stdout)
    assert (plain["path"], plain["container"], plain["is_there"]) == (
        None, str(tmp_path / "train" / "part-00.tar"), True,
    )  # fmt: skip
    assert run("list", "--paths").stdout.split() == [
        "part/part-00.tar/in/red.png", "part/part-01.tar/in/blue.png",
    ]  # fmt: skip
    wrong = run("index", tmp_path / "train" / "none-{0..9}.tar")
    assert wrong.exit_code != 0
    assert "No archive has such a name" in wrong.stderr


def test_a_folder_in_an_archive_is_removed_by_its_name_in_lists(run: Run, tmp_path: Path) -> None:
    draw(tmp_path / "red.png", "red")
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name in ("in/red.png", "in/deep/red.png", "inner.png"):
            file.add(tmp_path / "red.png", name)
    run("index", tmp_path / "a.tar")
    assert run("remove", "a/no").exit_code == run("remove", "no/in").exit_code == 5
    assert "Removed 2 images" in run("remove", "a/in/").stdout
    run("index")
    assert run("list", "--paths").stdout.split() == ["a/inner.png"]


def test_copies_in_archives_are_found_and_not_moved(run: Run, tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        draw(tmp_path / "red.png", "red")
        with tarfile.open(tmp_path / name, "w") as file:
            file.add(tmp_path / "red.png", "red.png")
    run("index", tmp_path / "a.tar", tmp_path / "b.tar")
    assert "1 extra copy" in run("duplicates").stdout
    moved = run("duplicates", "--move", tmp_path / "copies", "--yes")
    assert "Moved 0 images" in moved.stdout
    assert "part of an archive" in moved.stderr
    assert (tmp_path / "b.tar").exists()
