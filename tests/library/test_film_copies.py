"""Copies of videos: encoded again or cut out, and not what merely looks alike."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import pixseek
from films import Scene, film

from tiny_encoder import TinyEncoder

pytestmark = pytest.mark.slow
pytest.importorskip("av", reason="av is not installed")

SCENES: tuple[Scene, ...] = (
    ("red", 2.0), ("green", 3.0), ("blue", 2.0), ("white", 3.0), ("red", 2.0), ("blue", 3.0),
)  # fmt: skip


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    del tiny
    with pixseek.open(tmp_path / "a.lib") as opened:
        yield opened


def copies(library: pixseek.Library) -> list[list[str]]:
    return [
        [record.name for record in group.records]
        for group in library.duplicates()
        if group.kind != "alike"
    ]


def test_what_was_encoded_again_or_cut_out_is_a_copy(
    library: pixseek.Library, tmp_path: Path
) -> None:
    folder = tmp_path / "v"
    film(folder / "all.mp4", SCENES)
    film(folder / "small.webm", SCENES, codec="libvpx", size=(80, 48))
    film(folder / "middle.mp4", (("green", 1.0), *SCENES[2:4], ("red", 1.0)), size=(320, 192))
    film(folder / "end.mkv", (("white", 2.0), *SCENES[4:]))
    film(folder / "other order.mp4", tuple(reversed(SCENES)))
    film(folder / "other.mp4", (("green", 2.0), ("black", 2.0), ("white", 2.0)))
    library.index(folder)
    ((kept, *others),) = copies(library)
    assert kept == "all.mp4"
    assert sorted(others) == ["end.mkv", "middle.mp4", "small.webm"]


def test_films_with_a_common_clip_are_no_copies_of_each_other(
    library: pixseek.Library, tmp_path: Path
) -> None:
    folder = tmp_path / "v"
    clip: tuple[Scene, ...] = (("green", 2.0), ("black", 3.0), ("blue", 2.0))
    for year, around in (("2023", "red"), ("2024", "white")):
        scenes = ((around, 3.0), *clip, (around, int(year) - 2020))
        film(folder / f"{year}.mp4", scenes)
        film(folder / f"{year}, small.mp4", scenes, size=(80, 48))
    film(folder / "clip.mp4", clip, size=(320, 192))
    shutil.copy(folder / "clip.mp4", folder / "clip, again.mp4")
    library.index(folder)
    groups = {group[0]: sorted(group) for group in copies(library)}
    assert groups == {
        "2023.mp4": ["2023, small.mp4", "2023.mp4"],
        "2024.mp4": ["2024, small.mp4", "2024.mp4", "clip, again.mp4", "clip.mp4"],
    }


def test_videos_of_one_still_picture_are_copies_if_they_are_as_long(
    library: pixseek.Library, tmp_path: Path
) -> None:
    folder = tmp_path / "v"
    film(folder / "a.mp4", (("red", 4.0),))
    film(folder / "b.mp4", (("red", 4.0),), size=(320, 192))
    film(folder / "longer.mp4", (("red", 9.0),))
    library.index(folder)
    (group,) = copies(library)
    assert sorted(group) == ["a.mp4", "b.mp4"]


def test_without_the_files_only_equal_videos_are_copies(
    library: pixseek.Library, tmp_path: Path
) -> None:
    folder = tmp_path / "v"
    film(folder / "a.mp4", SCENES)
    film(folder / "b.mp4", SCENES, size=(80, 48))
    shutil.copy(folder / "a.mp4", folder / "c.mp4")
    library.index(folder)
    assert [sorted(each) for each in copies(library)] == [["a.mp4", "b.mp4", "c.mp4"]]
    for path in folder.iterdir():
        path.rename(path.with_suffix(".away"))
    assert [sorted(each) for each in copies(library)] == [["a.mp4", "c.mp4"]]
