"""Copies are told from pictures that look alike, by their pixels."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from pixseek.images import decode, likeness, perceptual_hash

from image_files import saved


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Blobs with edges and texture, which to a comparison resemble a photo."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(20, 235, (7, 9, 3), np.uint8))
    image = image.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(25):
        x, y = (int(rng.integers(0, side)) for side in size)
        r = int(rng.integers(6, 40))
        pen.ellipse((x, y, x + r, y + r), tuple(rng.integers(0, 255, 3).tolist()))
    return image


def page(*lines: str) -> Image.Image:
    """A page with a head and these lines."""
    image = Image.new("RGB", (840, 1188), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((40, 40, 300, 110), "navy")
    pen.text((60, 55), "INVOICE", "white", font_size=40)
    for n, line in enumerate(lines):
        pen.text((60, 180 + 40 * n), line, "black", font_size=24)
    return image


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    return Image.open(io.BytesIO(saved(image, "JPEG", quality=quality))).convert("RGB")


def _marked(image: Image.Image) -> Image.Image:
    marked = image.copy()
    ImageDraw.Draw(marked).text((150, 200), "(c) Ann Lee", "white", font_size=24)
    return marked


def _moved(image: Image.Image) -> Image.Image:
    """The next frame of a burst: something in it is elsewhere."""
    frame = image.copy()
    frame.paste(image.crop((40, 40, 110, 110)), (180, 120))
    frame.paste(image.crop((120, 150, 190, 220)), (40, 40))
    return frame


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": lambda image: _jpeg(image, 30),
    "smaller": lambda image: image.resize((120, 90)),
    "larger": lambda image: image.resize((640, 480)),
    "stretched": lambda image: image.resize((300, 250)),
    "cropped": lambda image: image.crop((20, 30, 300, 220)),
    "cropped on one side": lambda image: image.crop((60, 0, 320, 240)),
    "cropped, smaller and brighter": lambda image: _jpeg(
        ImageEnhance.Brightness(image.crop((16, 12, 304, 228)).resize((192, 144))).enhance(1.1), 60
    ),
    "framed": lambda image: ImageOps.expand(image, 12, "white"),
    "marked": _marked,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "grey": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "straightened": lambda image: image.rotate(1.5, Image.Resampling.BICUBIC).crop(
        (14, 12, 306, 228)
    ),
}


def _is_copy(one: Image.Image, other: Image.Image) -> bool:
    forth = likeness.is_copy(likeness.look(one), likeness.look(other))
    assert forth == likeness.is_copy(likeness.look(other), likeness.look(one))
    return forth


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_picture_is_a_copy(edit: str) -> None:
    picture = scene(1)
    assert _is_copy(picture, EDITS[edit](picture))
    assert not _is_copy(picture, EDITS[edit](scene(2)))


def test_frames_of_a_burst_are_no_copies() -> None:
    picture = scene(3, (360, 270))
    first = picture.crop((10, 10, 350, 260))
    assert not _is_copy(first, _moved(first))  # the camera stood still
    assert not _is_copy(first, picture.crop((20, 4, 360, 254)))  # it moved
    assert _is_copy(first, picture)  # but this is a crop


def test_a_darker_picture_of_something_else_is_no_marked_copy() -> None:
    # All changes go towards black, as if much ink had been used.
    dark = ImageEnhance.Brightness(scene(8)).enhance(0.15)
    assert not _is_copy(scene(7), dark)
    assert not _is_copy(scene(7), Image.blend(scene(7), dark, 0.85))


def test_pages_that_look_alike_are_no_copies() -> None:
    one = page("Ann Lee", "A table of oak", "1,250.00", "Due on 2 May 2024")
    other = page("Bob Ray", "Two chairs", "80.00", "Due on 28 May 2024")
    assert likeness.look(one).is_plain
    assert not likeness.is_copy(likeness.look(one), likeness.look(other))
    for size in ((420, 594), (504, 713), (630, 891)):
        for method in (Image.Resampling.BILINEAR, Image.Resampling.LANCZOS):
            small = _jpeg(one.resize(size, method), 75)
            assert likeness.is_copy(likeness.look(one), likeness.look(small))
            assert likeness.agree_in_detail(one, small)


@pytest.mark.parametrize(("said", "instead"), [("1,250.00", "1,260.00"), ("No. 3118", "No. 8118")])
def test_pages_that_differ_by_a_digit_disagree_in_detail(said: str, instead: str) -> None:
    lines = ("Ann Lee", "A table of oak", "Due on 2 May 2024")
    assert not likeness.agree_in_detail(page(*lines, said), page(*lines, instead))
    assert likeness.agree_in_detail(page(*lines, said), _jpeg(page(*lines, said), 40))
    assert not likeness.agree_in_detail(page(*lines, said), page(*lines, said).resize((140, 198)))


def test_blank_pages_are_no_copies_of_each_other() -> None:
    rng = np.random.default_rng(0)
    white = Image.new("RGB", (300, 400), "white")
    paper = [
        Image.fromarray(np.clip(rng.normal(245, 3, (400, 300, 3)), 0, 255).astype(np.uint8))
        for _ in range(2)
    ]
    for one, other in ((white, white.copy()), (white, paper[0]), (paper[0], paper[1])):
        assert not _is_copy(one, other)


def test_hashes_are_close_for_copies_and_far_for_others() -> None:
    hashes = {}
    for seed in range(8):
        picture = scene(seed)
        hashes[seed] = likeness.perceptual_hash(picture)
        for edit in ("recompressed", "smaller", "brighter", "grey"):
            edited = likeness.perceptual_hash(EDITS[edit](picture))
            assert likeness.distance(hashes[seed], edited) <= 8
    assert all(len(each) == 16 for each in hashes.values())
    distances = [likeness.distance(hashes[a], hashes[b]) for a in hashes for b in hashes if a < b]
    assert min(distances) > 12


def test_a_hash_hardly_depends_on_how_far_the_picture_was_reduced() -> None:
    content = saved(scene(5, (1600, 1200)), "JPEG")
    hashes = [perceptual_hash(decode(content, at_least=side)) for side in (100, 400, None)]
    assert max(likeness.distance(hashes[0], each) for each in hashes) <= 4


@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (300, 200)])
def test_a_picture_of_one_shade_has_no_hash(shade: int, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (shade,) * 3)
    assert likeness.perceptual_hash(image) == ""
    assert likeness.distance("", "") == 64
    assert not _is_copy(image, image)


def test_pictures_of_any_size_are_compared() -> None:
    sizes = [(1, 1), (2, 500), (500, 2), (16, 16), (640, 480), (8, 3)]
    pictures = [scene(1).resize(size) for size in sizes]
    for one in pictures:
        for other in pictures:
            assert isinstance(_is_copy(one, other), bool)
            assert isinstance(likeness.agree_in_detail(one, other), bool)
