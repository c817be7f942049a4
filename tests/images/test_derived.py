"""Previews, main colours and placeholders."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pixseek.images import derive
from pixseek.types import Picture

from image_files import halves, textured


def picture(image: Image.Image) -> Picture:
    return Picture(image, image.width, image.height, "image/png")


@pytest.mark.parametrize(
    "size", [(1200, 800), (800, 1200), (384, 384), (90, 60), (3000, 2), (1, 1)]
)
def test_a_preview_fits_its_square_and_shows_the_picture(size: tuple[int, int]) -> None:
    image = textured(*size)
    derived = derive(picture(image))
    with Image.open(io.BytesIO(derived.preview)) as preview:
        assert preview.format == "JPEG"
        assert max(preview.size) == min(384, max(size))
        shrunk = np.asarray(image.resize(preview.size, Image.Resampling.BICUBIC), np.int16)
        if min(size) > 16:
            assert abs(np.asarray(preview, np.int16) - shrunk).mean() < 6
    assert image.size == size, "the picture itself must not change"


def test_main_colours_have_their_shares_largest_first() -> None:
    image = Image.new("RGB", (128, 128), (250, 250, 250))
    image.paste((200, 30, 30), (0, 0, 128, 38))
    image.paste((30, 30, 200), (0, 38, 128, 52))
    colours = derive(picture(image)).colours
    assert [colour for colour, _ in colours] == ["#fafafa", "#c81e1e", "#1e1ec8"]
    assert [share for _, share in colours] == pytest.approx([0.6, 0.3, 0.1], abs=0.03)


def test_a_picture_of_many_colours_has_at_most_five_main_colours() -> None:
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 255, (200, 200, 3), np.uint8))
    colours = derive(picture(noise)).colours
    assert 1 <= len(colours) <= 5
    assert sum(share for _, share in colours) <= 1.001
    assert list(colours) == sorted(colours, key=lambda pair: -pair[1])


def thumbhash_mean(placeholder: str) -> tuple[float, float, float]:
    """The mean colour of a ThumbHash, decoded by its specification."""
    content = base64.b64decode(placeholder)
    head = int.from_bytes(content[:3], "little")
    light, yellow, reddish = (
        (head & 63) / 63,
        (head >> 6 & 63) / 31.5 - 1,
        (head >> 12 & 63) / 31.5 - 1,
    )
    blue = light - 2 / 3 * yellow
    red = (3 * light - blue + reddish) / 2
    return red * 255, (red - reddish) * 255 if reddish else red * 255, blue * 255


@pytest.mark.parametrize("colour", [(220, 20, 20), (20, 200, 20), (128, 128, 128), (255, 255, 255)])
@pytest.mark.parametrize("size", [(400, 300), (300, 400), (500, 10), (7, 7)])
def test_a_placeholder_is_short_and_has_the_mean_colour(
    colour: tuple[int, int, int], size: tuple[int, int]
) -> None:
    placeholder = derive(picture(Image.new("RGB", size, colour))).placeholder
    assert len(placeholder) <= 40
    assert thumbhash_mean(placeholder) == pytest.approx(colour, abs=10)
    assert bool(base64.b64decode(placeholder)[4] & 0x80) == (size[0] > size[1])


def test_placeholders_equal_those_of_the_reference_implementation() -> None:
    reference = pytest.importorskip("thash")
    from thash._pure import rgba_to_thumb_hash

    assert reference
    for size, seed in (((32, 21), 1), ((20, 32), 2), ((32, 32), 3), ((32, 6), 4)):
        image = textured(*size, seed=seed)
        rgba = list(image.convert("RGBA").tobytes())
        expected = bytes(rgba_to_thumb_hash(size[0], size[1], rgba))
        assert base64.b64decode(derive(picture(image)).placeholder) == expected


def test_two_equal_halves_are_both_main_colours() -> None:
    shares = dict(derive(picture(halves(size=(300, 200)))).colours)
    assert shares["#dc1414"] == pytest.approx(0.5, abs=0.02)
    assert shares["#1414dc"] == pytest.approx(0.5, abs=0.02)
