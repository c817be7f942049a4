"""Decoding: upright, sRGB, over white, within limits; whatever comes is a picture or a reason."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pixseek.errors import ImageError
from pixseek.images import EXTENSIONS, decodable_formats, decode, thumbnail


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def halves(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, (220, 20, 20))
    image.paste((20, 20, 220), (size[0] // 2, 0, size[0], size[1]))
    return image.convert(mode)


def colour(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    pixel = image.getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(pixel, tuple)
    return pixel


def near(one: tuple[int, ...], other: tuple[int, ...], by: int = 12) -> bool:
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


RED, BLUE = (220, 20, 20), (20, 20, 220)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(format: str, orientation: int) -> None:
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    stored = halves() if turn is None else halves().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(saved(stored, format, exif=exif))
    assert (picture.width, picture.height) == picture.pixels.size == (60, 40)
    assert near(colour(picture.pixels, 0.2, 0.5), RED, 40)
    assert near(colour(picture.pixels, 0.8, 0.5), BLUE, 40)


def test_the_eight_landscapes_are_one_picture(shared: Path) -> None:
    pictures = [
        decode((shared / "images" / "odd" / f"Landscape_{n}.jpg").read_bytes()) for n in range(1, 9)
    ]
    first = np.asarray(pictures[0].pixels.resize((90, 60))).astype(int)
    for picture in pictures:
        assert (picture.width, picture.height) == (1800, 1200)
        difference = np.asarray(picture.pixels.resize((90, 60))).astype(int) - first
        assert abs(difference).mean() < 3


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_over_white(mode: str) -> None:
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    image.paste((200, 200, 200, 255), (0, 0, 10, 20))
    picture = decode(saved(image.convert(mode), "PNG"))
    assert picture.pixels.mode == "RGB"
    assert near(colour(picture.pixels, 0.2, 0.5), (200, 200, 200))
    assert colour(picture.pixels, 0.8, 0.5) == (255, 255, 255)


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    picture = decode(saved(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG"))
    assert near(colour(picture.pixels, 0, 0), (127, 127, 127), 1)


@pytest.mark.parametrize(
    ("image", "format"),
    [
        (halves("CMYK"), "JPEG"),
        (halves("CMYK"), "TIFF"),
        (halves("P"), "GIF"),
        (halves("P"), "PNG"),
        (halves(), "BMP"),
        (halves(), "PPM"),
        (halves(), "ICO"),
        (halves(), "DDS"),
        (halves(), "JPEG2000"),
        (halves(), "AVIF"),
    ],
)
def test_colours_survive_modes_and_formats(image: Image.Image, format: str) -> None:
    picture = decode(saved(image, format))
    assert picture.pixels.mode == "RGB"
    assert near(colour(picture.pixels, 0.2, 0.5), RED, 40)
    assert near(colour(picture.pixels, 0.8, 0.5), BLUE, 40)


def test_sixteen_bits_keep_their_brightness() -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(1, -1).repeat(8, 0)
    picture = decode(saved(Image.fromarray(ramp), "PNG"))
    assert abs(np.asarray(picture.pixels)[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_floats_keep_their_brightness() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, -1).repeat(8, 0)
    picture = decode(saved(Image.fromarray(ramp), "TIFF"))
    assert abs(np.asarray(picture.pixels)[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_one_bit_and_grey_become_rgb() -> None:
    assert colour(decode(saved(Image.new("1", (8, 8), 1), "PNG")).pixels, 0, 0) == (255, 255, 255)
    assert colour(decode(saved(Image.new("L", (8, 8), 77), "PNG")).pixels, 0, 0) == (77, 77, 77)


def test_a_colour_profile_is_applied_and_a_broken_one_is_not() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    assert lab.profile.profile_description
    # A profile whose red and blue primaries changed places turns red into blue.
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = bytearray(srgb.replace(b"rXYZ", b"tmp_").replace(b"bXYZ", b"rXYZ"))
    swapped = bytearray(
        bytes(swapped).replace(b"tmp_", b"bXYZ").replace(b"s\0R\0G\0B", b"x\0y\0z\0w")
    )
    swapped = bytearray(bytes(swapped).replace(b"sRGB", b"xyzw"))
    image = Image.new("RGB", (8, 8), (255, 0, 0))
    turned = decode(saved(image, "PNG", icc_profile=bytes(swapped)))
    assert near(colour(turned.pixels, 0, 0), (0, 0, 255), 3)
    broken = decode(saved(image, "PNG", icc_profile=b"no profile at all"))
    assert colour(broken.pixels, 0, 0) == (255, 0, 0)
    assert broken.notes == ("broken colour profile ignored",)


def test_animations_give_their_first_frame_and_say_so() -> None:
    data = saved(halves(), "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40))])
    picture = decode(data)
    assert picture.notes == ("animated: first frame",)
    assert near(colour(picture.pixels, 0.2, 0.5), RED, 20)


@given(
    width=st.integers(1, 900),
    height=st.integers(1, 900),
    at_least=st.sampled_from([64, 224, 448]),
    turned=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_a_scaled_decode_keeps_enough_pixels_and_tells_the_full_size(
    width: int, height: int, at_least: int, turned: bool
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    picture = decode(
        saved(Image.new("RGB", (width, height), (9, 99, 199)), "JPEG", exif=exif),
        at_least=at_least,
    )
    full = (height, width) if turned else (width, height)
    assert (picture.width, picture.height) == full
    for side, whole in zip(picture.pixels.size, full, strict=True):
        assert min(whole, at_least) <= side <= whole


def test_large_jpegs_are_decoded_at_a_fraction() -> None:
    data = saved(Image.new("RGB", (4000, 3000)), "JPEG")
    assert decode(data, at_least=448).pixels.size == (1000, 750)
    assert decode(data).pixels.size == (4000, 3000)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html><body>Not found</body></html>", "not-an-image"),
        (random.Random(1).randbytes(2048), "not-an-image"),
        (b"GIF89a" + bytes(4), "damaged"),
        (saved(halves(), "JPEG")[:400], "damaged"),
        (saved(halves(size=(300, 300)), "PNG")[:200], "damaged"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(40), "no-decoder"),
        (b"\xff\x0a" + bytes(40), "no-decoder"),
    ],
)
def test_what_can_not_be_decoded_has_a_reason_and_advice(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert caught.value.reason == reason
    assert caught.value.reason in ImageError.REASONS
    assert caught.value.advice


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    data = saved(Image.new("1", (2000, 2000)), "PNG")
    with pytest.raises(ImageError) as caught:
        decode(data, max_pixels=3_999_999)
    assert caught.value.reason == "too-large"
    assert decode(data, max_pixels=4_000_000).width == 2000


@pytest.mark.parametrize("name", ["decompression_bomb.gif", "decompression_bomb.ico"])
def test_bombs_are_refused(shared: Path, name: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode((shared / "images" / "odd" / name).read_bytes())
    assert caught.value.reason == "too-large"


def test_every_odd_file_is_a_picture_or_a_failure(shared: Path) -> None:
    outcomes = {}
    for path in sorted((shared / "images" / "odd").iterdir()):
        try:
            outcomes[path.name] = decode(path.read_bytes(), at_least=448).pixels.mode
        except ImageError as error:
            outcomes[path.name] = error.reason
    assert set(outcomes.values()) <= {"RGB", *ImageError.REASONS}
    assert outcomes["exif_typeerror.jpg"] == "RGB"
    assert outcomes["hopper_bad_exif.jpg"] == "RGB"
    assert outcomes["empty.jpg"] == "empty"
    assert outcomes["html-named.jpg"] == "not-an-image"
    assert outcomes["truncated_image.png"] == "damaged"


@given(seed=st.integers(0, 10**9), format=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF"]))
@settings(max_examples=120, deadline=None)
def test_mutated_files_never_raise_anything_else(seed: int, format: str) -> None:
    rng = random.Random(seed)
    data = bytearray(saved(halves("P" if format == "GIF" else "RGB"), format))
    for _ in range(rng.randint(1, 12)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    try:
        picture = decode(bytes(data[: rng.randint(1, len(data))]), at_least=32)
    except ImageError as error:
        assert error.reason in ImageError.REASONS
    else:
        assert picture.pixels.mode == "RGB"


def test_a_thumbnail_fits_its_square_and_keeps_its_shape() -> None:
    picture = decode(saved(halves(size=(600, 400)), "PNG"))
    assert thumbnail(picture, 60).size == (60, 40)
    assert picture.pixels.size == (600, 400)


def test_formats_and_endings_are_known() -> None:
    assert {"JPEG", "PNG", "WEBP", "GIF", "TIFF"} <= set(decodable_formats())
    assert all(ending.startswith(".") and ending == ending.lower() for ending in EXTENSIONS)
