"""Which folders a library remembers: none of wrong files, and where one is that was renamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import pixseek
from pixseek.errors import ConfigError, SourceError
from pixseek.types import Progress

from tiny_encoder import TinyEncoder, draw

#: The beginning of a video as phones write it.
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(500)


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    del tiny
    with pixseek.open(tmp_path / "a.lib") as opened:
        yield opened


def truncated(path: Path) -> Path:
    """Write the first bytes of an image."""
    content = draw(path, "red").read_bytes()
    path.write_bytes(content[:60])
    return path


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("listed", [False, True], ids=["named", "in a list"])
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.txt", b"buy milk", "not-an-image"),
        ("page.jpg", b"<html><body>no picture</body></html>", "not-an-image"),
        ("film.jpg", MP4, "not-an-image"),
        ("empty.jpg", b"", "empty"),
    ],
)
def test_a_wrong_file_registers_nothing(
    library: pixseek.Library,
    tmp_path: Path,
    tiny: TinyEncoder,
    name: str,
    content: bytes,
    reason: str,
    listed: bool,
) -> None:
    wrong = write(tmp_path / "home" / name, content)
    report = library.index(listed=[wrong]) if listed else library.index(wrong)
    assert [(f.uri, f.reason) for f in report.failures] == [(str(wrong), reason)]
    assert library.roots() == library.failures() == []
    assert tiny.embedded == 0
    with pytest.raises(SourceError, match="no folders yet"):
        library.index()


def test_a_damaged_image_that_is_named_registers_nothing(
    library: pixseek.Library, tmp_path: Path
) -> None:
    report = library.index(truncated(tmp_path / "home" / "a.png"))
    assert [failure.reason for failure in report.failures] == ["damaged"]
    assert library.roots() == library.failures() == []


def test_a_folder_without_images_registers_nothing(
    library: pixseek.Library, tmp_path: Path
) -> None:
    write(tmp_path / "texts" / "notes.txt", b"buy milk")
    write(tmp_path / "texts" / "fake.jpg", b"buy milk")
    library.index(tmp_path / "texts")
    assert library.roots() == library.failures() == []


def test_a_folder_whose_images_are_damaged_can_be_tried_again(
    library: pixseek.Library, tmp_path: Path
) -> None:
    path = truncated(tmp_path / "photos" / "a.png")
    library.index(tmp_path / "photos")
    assert [root.name for root in library.roots()] == ["photos"]
    assert [failure.uri for failure in library.failures()] == ["photos/a.png"]
    draw(path, "red")
    assert library.index(retry=True).added == 1


def test_an_image_next_to_a_wrong_file_registers_only_itself(
    library: pixseek.Library, tmp_path: Path
) -> None:
    good = draw(tmp_path / "home" / "good.png")
    wrong = write(tmp_path / "home" / "notes.txt", b"buy milk")
    library.index(good, wrong)
    assert [root.scopes for root in library.roots()] == [("good.png",)]
    library.index(wrong)  # its folder is known now
    assert [root.scopes for root in library.roots()] == [("good.png",)]
    assert library.failures() == []


def test_a_wrong_file_above_a_known_folder_renames_nothing(
    library: pixseek.Library, tmp_path: Path
) -> None:
    draw(tmp_path / "home" / "photos" / "a.png")
    library.index(tmp_path / "home" / "photos")
    library.index(write(tmp_path / "home" / "notes.txt", b"buy milk"))
    assert [root.name for root in library.roots()] == ["photos"]
    assert library.find(tmp_path / "home" / "photos" / "a.png").uri == "photos/a.png"  # type: ignore[union-attr]


def test_a_file_that_was_an_image_and_is_none_now_leaves_the_library(
    library: pixseek.Library, tmp_path: Path
) -> None:
    path = draw(tmp_path / "home" / "a.png")
    library.index(path)
    path.write_bytes(b"buy milk")
    assert [failure.uri for failure in library.index(path).failures] == ["home/a.png"]
    assert len(library) == 0


@pytest.mark.parametrize(
    ("paths", "exclude"), [(["photos", "nowhere"], ()), (["s3://bucket"], ()), (["photos"], ["!"])]
)
def test_an_error_registers_nothing(
    library: pixseek.Library,
    tmp_path: Path,
    paths: list[str],
    exclude: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "photos" / "a.png")
    with pytest.raises((SourceError, ConfigError)):
        library.index(*paths, exclude=exclude)
    assert library.roots() == []


def test_a_pattern_that_can_not_be_understood_is_not_remembered(
    library: pixseek.Library, tmp_path: Path
) -> None:
    draw(tmp_path / "photos" / "a.png")
    library.index(tmp_path / "photos")
    with pytest.raises(ConfigError):
        library.index(exclude=["!"])
    assert library.index().unchanged == 1


def test_a_renamed_root_is_found_next_to_its_old_place(
    library: pixseek.Library, tmp_path: Path
) -> None:
    for n in range(3):
        draw(tmp_path / "photos" / f"{n}.png", seed=n)
        draw(tmp_path / "more" / f"{n}.png", seed=10 + n)
    library.index(tmp_path / "photos", tmp_path / "more")
    now = (tmp_path / "photos").rename(tmp_path / "pictures of 2024")
    [failure] = library.index().failures
    assert failure.uri == "photos/"
    assert "pictures of 2024" in failure.message
    assert f"pixseek index '{now}'" in failure.advice
    assert library.index(now).unchanged == 3


def test_a_folder_that_is_renamed_during_a_run_is_one_failure(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    folder = tmp_path / "photos"
    draw(folder / "z.png", seed=99)
    for n in range(60):
        draw(folder / "beach" / "day 1" / f"{n:02}.png", seed=n)
    tiny.seconds_a_batch = 0.02

    def rename(progress: Progress) -> None:
        if progress.stage == "index" and progress.done == 12:
            (folder / "beach").rename(folder / "seaside")

    report = library.index(folder, on_progress=rename)
    [failure] = report.failures
    assert (failure.uri, failure.reason) == ("photos/beach/", "missing")
    assert failure.message == "The folder was renamed during the run, to seaside"
    assert len(library.failures()) == 1
    again = library.index()
    assert again.failures == ()
    assert again.added + again.moved == 60
    assert len(library) == 61
    assert library.failures() == []


def test_a_root_that_is_renamed_during_a_run_is_named(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    for n in range(60):
        draw(tmp_path / "photos" / f"{n:02}.png", seed=n)
    tiny.seconds_a_batch = 0.02

    def rename(progress: Progress) -> None:
        if progress.stage == "index" and progress.done == 12:
            (tmp_path / "photos").rename(tmp_path / "pictures")

    with pytest.raises(SourceError, match="renamed during the run, to pictures"):
        library.index(tmp_path / "photos", on_progress=rename)
    assert library.index(tmp_path / "pictures").added > 0
    assert len(library) == 60


def test_a_file_that_is_renamed_during_a_run_is_named(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    for n in range(40):
        draw(tmp_path / "photos" / f"{n:02}.png", seed=n)
    tiny.seconds_a_batch = 0.02

    def rename(progress: Progress) -> None:
        if progress.stage == "index" and progress.done == 8:
            (tmp_path / "photos" / "39.png").rename(tmp_path / "photos" / "x.png")

    [failure] = library.index(tmp_path / "photos", on_progress=rename).failures
    assert failure.uri == "photos/39.png"
    assert "renamed, moved or deleted" in failure.message
