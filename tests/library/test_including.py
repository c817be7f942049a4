"""What `index` skips by itself, across runs: what is included or named stays so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import pixseek

from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    del tiny
    with pixseek.open(tmp_path / "a.lib") as opened:
        yield opened


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "p"
    draw(folder / "a.png", "red", seed=1)
    draw(folder / "@Recycle" / "b.png", "green", seed=2)
    draw(folder / "@Recycle" / "deep" / "c.png", "blue", seed=3)
    draw(folder / "d.png", "blue", seed=4).rename(folder / "d.PNG_large")
    return folder


def held(library: pixseek.Library) -> list[str]:
    return sorted(record.uri for record in library.records())


def test_included_patterns_are_remembered_until_they_are_excluded(
    library: pixseek.Library, photos: Path
) -> None:
    report = library.index(photos)
    assert held(library) == ["p/a.png"]
    assert {(each.what, each.images) for each in report.skipped} == {
        ("@Recycle", 2), (".PNG_large", 1)
    }  # fmt: skip
    report = library.index(photos, include=["@Recycle/", "*.png_LARGE", "*.PNG_large"])
    everything = ["p/@Recycle/b.png", "p/@Recycle/deep/c.png", "p/a.png", "p/d.PNG_large"]
    assert held(library) == everything
    assert report.skipped == ()
    for again in ((), (photos,), (photos / "a.png",)):
        assert library.index(*again).removed == 0
        assert held(library) == everything
    library.index(exclude=["@Recycle/"])
    assert held(library) == ["p/a.png", "p/d.PNG_large"]
    library.index(include=["@Recycle/"])
    assert held(library) == everything


@pytest.mark.parametrize("whole_first", [False, True], ids=["before the rest", "after it"])
@pytest.mark.parametrize(
    ("named", "uri"),
    [
        ("@Recycle/deep", "p/@Recycle/deep/c.png"),
        ("@Recycle/b.png", "p/@Recycle/b.png"),
        ("d.PNG_large", "p/d.PNG_large"),
    ],
)
def test_what_was_named_stays_when_the_folder_above_is_indexed(
    library: pixseek.Library, photos: Path, named: str, uri: str, whole_first: bool
) -> None:
    if whole_first:
        library.index(photos)
    library.index(photos / named)
    library.index(photos)
    library.index()
    assert held(library) == sorted(["p/a.png", uri])


def test_what_an_older_run_indexed_in_a_bin_goes(library: pixseek.Library, photos: Path) -> None:
    (photos / "@Recycle").rename(photos / "bin")
    library.index(photos)
    (photos / "a.png").unlink()
    (photos / "bin").rename(photos / "@Recycle")
    # All that is left lies in the bin: that is no unplugged drive.
    assert library.index(photos).removed == 3
    assert held(library) == []


def test_what_was_said_of_an_image_in_a_bin_comes_back_with_it(
    library: pixseek.Library, photos: Path
) -> None:
    library.index(photos, include=["@Recycle/"])
    library.tag(photos / "@Recycle" / "b.png", add=["keeper"])
    library.index(exclude=["@Recycle/"])
    assert held(library) == ["p/a.png"]
    library.index(include=["@Recycle/"])
    tags = {record.uri: record.tags for record in library.records()}
    assert tags["p/@Recycle/b.png"] == ("keeper",)
