"""Images cut into tiles: what is embedded, what is remembered, and runs that are cut off."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

import pixseek
from pixseek.errors import ConfigError, ModelError
from pixseek.indexing.media import check_tiles, layout, least_side, parts_of, tiles_of
from pixseek.types import WHOLE, Picture, Progress

from tiny_encoder import TinyEncoder, draw

TILES = st.tuples(st.integers(1, 16), st.integers(1, 16)).filter(lambda t: t[0] * t[1] <= 16)


@settings(deadline=None)
@given(TILES, st.integers(1, 90), st.integers(1, 90))
@example((1, 6), 1, 57)
def test_tiles_cover_an_image_once(tiles: tuple[int, int], width: int, height: int) -> None:
    pixels = np.arange(width * height, dtype=np.uint32)
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = (pixels % 256).reshape(height, width), 7
    picture = Picture(Image.fromarray(image), 10 * width, 10 * height, "image/png")
    parts = layout(tiles)
    assert tiles_of(parts) == tiles
    whole, *cut = list(parts_of(picture, parts))
    assert whole == (WHOLE, picture)
    assert len(cut) == (tiles[0] * tiles[1] if tiles != (1, 1) else 0)
    assert all(min(tile.pixels.size) >= 1 for _, tile in cut)
    if cut and width >= tiles[0] and height >= tiles[1]:
        rows = [list(row) for _, row in itertools.groupby(cut, key=lambda c: c[0].box[1])]
        again = np.concatenate(
            [np.concatenate([np.asarray(t.pixels) for _, t in row], axis=1) for row in rows]
        )
        assert np.array_equal(again, image)


@settings(deadline=None)
@given(TILES, st.integers(16, 80))
def test_each_tile_of_a_picture_of_the_least_side_has_the_side(
    tiles: tuple[int, int], side: int
) -> None:
    parts = layout(tiles)
    least = least_side(parts, side)
    picture = Picture(Image.new("RGB", (least, least)), least, least, "")
    assert all(min(part.pixels.size) >= side for _, part in parts_of(picture, parts))


@pytest.mark.parametrize(
    "tiles", [(0, 2), (2, -1), (5, 4), (17, 1), (2,), ("a", "b"), 4, "22", (1.5, 2)]
)
def test_impossible_tiles_raise_config_error(tiles: Any) -> None:
    with pytest.raises(ConfigError, match="tiles"):
        check_tiles(tiles)


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    with pixseek.open(tmp_path / "photos.lib") as opened:
        yield opened


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for number in range(24):
        draw(tmp_path / "many" / f"{number:02}.png", "red", number)
    return tmp_path / "many"


def parts(library: pixseek.Library) -> set[int]:
    return {len(hit.record.parts) for hit in library.search("red", k=1000)}


def test_tiles_are_remembered_when_a_library_is_opened_again(
    library: pixseek.Library, many: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    library.index(many, tiles=(2, 2))
    draw(many / "new.png", "blue", 99)
    with pixseek.open(tmp_path / "photos.lib") as again:
        assert again.index().added == 1
    assert parts(library) == {5}
    # A library that has them gets nothing to do by naming them again.
    tiny.embedded = 0
    assert library.index(tiles=(2, 2)).unchanged == 25
    assert tiny.embedded == 0


def test_a_stopped_change_of_tiles_continues(
    library: pixseek.Library, many: Path, tiny: TinyEncoder
) -> None:
    library.index(many)
    stop = threading.Event()

    def watch(progress: Progress) -> None:
        if progress.stage == "index" and progress.done >= 9:
            stop.set()

    first = library.index(tiles=(3, 1), stop=stop, on_progress=watch)
    assert first.stopped
    assert 9 <= first.updated < 24
    assert parts(library) == {1, 4}
    tiny.embedded = 0
    second = library.index()
    assert second.updated == 24 - first.updated
    assert tiny.embedded == 4 * second.updated
    assert parts(library) == {4}
    assert library.index().unchanged == 24


def test_images_of_an_unplugged_drive_are_cut_when_it_is_back(
    library: pixseek.Library, many: Path, tmp_path: Path
) -> None:
    away = draw(tmp_path / "drive" / "1.png", "red", 50).parent
    library.index(many, away)
    away.rename(tmp_path / "unplugged")
    assert library.index(tiles=(2, 1)).updated == 24
    assert parts(library) == {1, 3}
    (tmp_path / "unplugged").rename(away)
    assert library.index().updated == 1
    assert parts(library) == {3}


def test_a_change_of_tiles_keeps_tags_and_finds_moves(
    library: pixseek.Library, many: Path, tiny: TinyEncoder
) -> None:
    library.index(many)
    for name in ("00", "01", "02"):
        library.tag([many / f"{name}.png"], add=f"tag-{name}")
    (many / "00.png").rename(many / "by-stamp.png")
    (many / "01.png").rename(many / "by-digest.png")
    os.utime(many / "by-digest.png")
    os.utime(many / "02.png")
    report = library.index(tiles=(2, 2))
    assert (report.removed, report.added) == (0, 0)
    for name, tag in (("by-stamp", "00"), ("by-digest", "01"), ("02", "02")):
        assert library.find(many / f"{name}.png").tags == (f"tag-{tag}",)
    assert parts(library) == {5}
    assert library.index().unchanged == 24


def test_an_image_with_one_refused_tile_fails_alone(
    library: pixseek.Library, many: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tiny.encode_images
    image = np.full((60, 80, 3), 250, np.uint8)
    image[:30, :40] = 0
    Image.fromarray(image).save(many / "bad.png")

    def refuse(batch: Any) -> Any:
        if np.any(batch.reshape(len(batch), -1).max(axis=1) < -0.99):
            raise ModelError("It saw nothing", "tiny")
        return original(batch)

    monkeypatch.setattr(tiny, "encode_images", refuse)
    report = library.index(many, tiles=(2, 2))
    assert [f.uri for f in report.failures] == ["many/bad.png"]
    assert report.added == 24
    assert parts(library) == {5}


def test_no_call_of_the_model_is_larger_than_its_batch(
    library: pixseek.Library, many: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    original = tiny.encode_images

    def counting(batch: Any) -> Any:
        sizes.append(len(batch))
        return original(batch)

    monkeypatch.setattr(tiny, "encode_images", counting)
    library.index(many, tiles=(4, 4))
    assert max(sizes) <= tiny.batch_size
    assert sum(sizes[:-1]) <= 24 * 17 <= sum(sizes)


def test_after_any_changes_a_library_with_tiles_equals_a_rebuilt_one(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    rng = random.Random(20261129)
    folder = tmp_path / "pictures"
    for number in range(12):
        draw(folder / f"{number:02}.png", "red", number)
    with pixseek.open(tmp_path / "lived.lib") as lived:
        for tiles in ((2, 2), None, (1, 2), None, (2, 2)):
            lived.index(folder, tiles=tiles)
            files = sorted(folder.glob("*.png"))
            rng.choice(files).rename(folder / f"moved-{rng.randrange(10**6)}.png")
            draw(folder / f"new-{rng.randrange(10**6)}.png", "blue", rng.randrange(10**6))
        lived.index(folder)
        with pixseek.open(tmp_path / "anew.lib") as anew:
            anew.index(folder, tiles=(2, 2))
            assert _content(lived) == _content(anew)


def _content(library: pixseek.Library) -> dict[str, Any]:
    return {
        hit.uri: (hit.record, library.vectors(hit.id).tobytes())
        for hit in library.search("red", k=1000)
    }
