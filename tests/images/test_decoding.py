"""Decoding: frames, metadata, fewer pixels than all, damaged files and limits."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixseek.errors import ImageError
from pixseek.images import decode, thumbnail
from pixseek.images.limits import damaged

from image_files import SVG, exif, halves, is_halves, saved, textured, turned, xmp

# ------------------------------------------------------------------ frames and metadata


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_gives_its_first_frame_with_a_note(format: str) -> None:
    data = saved(halves(), format, save_all=True, append_images=[Image.new("RGB", (60, 40))])
    picture = decode(data)
    assert picture.notes == ("animated: first frame",)
    assert is_halves(picture.pixels)


def test_a_document_gives_its_first_page_with_a_note() -> None:
    data = saved(halves(), "TIFF", save_all=True, append_images=[Image.new("RGB", (60, 40))])
    picture = decode(data)
    assert picture.notes == ("several pages: first page",)
    assert is_halves(picture.pixels)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_and_xmp_are_returned_with_the_picture(format: str) -> None:
    picture = decode(saved(halves(), format, exif=exif(1), xmp=xmp(1)))
    assert picture.exif[:2] in (b"II", b"MM")
    read = Image.Exif()
    read.load(picture.exif)
    assert read[0x010F] == "Maker"
    if format not in ("TIFF", "PNG"):  # Pillow can't write XMP into these
        assert picture.xmp == xmp(1)


def test_iptc_of_a_jpeg_is_returned_with_the_picture() -> None:
    iptc = b"\x1c\x02\x05\0\x05Title"
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc
    app13 = b"Photoshop 3.0\0" + block
    jpeg = saved(halves(), "JPEG")
    data = jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(app13) + 2) + app13 + jpeg[2:]
    assert decode(data).iptc == iptc


# ------------------------------------------------------------------ SVG


def test_svg_is_drawn_at_the_size_requested() -> None:
    pytest.importorskip("resvg_py")
    picture = decode(SVG, at_least=224)
    assert (picture.width, picture.height, picture.media) == (60, 40, "image/svg+xml")
    assert picture.pixels.size == (336, 224)
    assert is_halves(picture.pixels, 0)
    import gzip

    assert is_halves(decode(gzip.compress(SVG)).pixels, 0)


# ------------------------------------------------------------------ scaled decoding


@given(
    width=st.integers(1, 900),
    height=st.integers(1, 900),
    at_least=st.sampled_from([64, 224, 448]),
    turned=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_scaled_decoding_keeps_enough_pixels_and_reports_the_full_size(
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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(1003, 997), (1002, 1600), (1604, 1202)])
def test_reduced_pixels_are_whole_blocks_from_the_upper_left_corner(
    orientation: int, size: tuple[int, int]
) -> None:
    data = saved(turned(textured(*size), orientation), "JPEG", quality=95, exif=exif(orientation))
    full, reduced = decode(data), decode(data, at_least=100)
    scales = [n for n in (8, 4, 2, 1) if -(-size[0] // n) == reduced.pixels.width]
    assert len(scales) == 1
    if orientation in (1, 5):
        assert scales == [8], "these orientations allow every scale"
    across, down = size[0] // scales[0], size[1] // scales[0]
    blocks = full.pixels.crop((0, 0, across * scales[0], down * scales[0])).reduce(scales[0])
    difference = np.asarray(reduced.pixels.crop((0, 0, across, down)), np.int16) - np.asarray(
        blocks, np.int16
    )
    assert abs(difference).mean() < 1


def test_exact_decoding_gives_the_pixels_that_pillow_gives() -> None:
    for image, format in ((textured(700, 500), "JPEG"), (textured(90, 60), "PNG")):
        data = saved(image, format)
        with Image.open(io.BytesIO(data)) as reference:
            expected = np.asarray(reference.convert("RGB"))
        assert np.array_equal(np.asarray(decode(data, at_least=64, exact=True).pixels), expected)


# ------------------------------------------------------------------ failures and limits


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html><body>Not found</body></html>", "not-an-image"),
        (b"<html><body><svg></svg></body></html>", "not-an-image"),
        (random.Random(1).randbytes(2048), "not-an-image"),
        (b"GIF89a" + bytes(4), "damaged"),
        (saved(halves(), "JPEG")[:400], "damaged"),
        (saved(halves(size=(300, 300)), "PNG")[:200], "damaged"),
        (saved(textured(60, 40), "WEBP")[:100], "damaged"),
        (saved(textured(60, 40), "TIFF")[:2000], "damaged"),
        (b"II*\0" + bytes(40), "damaged"),
        (b"FUJIFILMCCD-RAW" + bytes(400), "no-decoder"),
    ],
)
def test_undecodable_content_raises_image_error_with_reason_and_advice(
    data: bytes, reason: str
) -> None:
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert caught.value.reason == reason
    assert caught.value.reason in ImageError.REASONS
    assert caught.value.advice


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("broken data stream"), "broken data stream"),
        (ValueError("Truncated File Read"), "Truncated File Read"),
        (ValueError("invalid literal for int() with base 10: b'x'"), "its data is broken"),
        (IndexError("list index out of range"), "its data is broken"),
        (struct.error("unpack requires a buffer of 8 bytes"), "its data is broken"),
        (AttributeError("'int' object has no attribute 'name'"), "its data is broken"),
    ],
)
def test_what_a_decoder_says_of_a_file_is_told_and_not_errors_of_its_code(
    error: Exception, said: str
) -> None:
    assert damaged(error).problem == f"The image data is damaged ({said})"


def cut(share: float, **options: object) -> Callable[[], bytes]:
    data = saved(textured(640, 480), **options)  # type: ignore[arg-type]
    return lambda: data[: int(len(data) * share)]


@pytest.mark.parametrize(
    "broken",
    [
        cut(0.7, format="JPEG"),
        cut(0.7, format="JPEG", progressive=True),
        cut(0.7, format="PNG"),
        cut(0.7, format="BMP"),
        cut(0.8, format="GIF"),
    ],
    ids=["JPEG", "progressive", "PNG", "BMP", "GIF"],
)
@pytest.mark.parametrize("at_least", [None, 100])
def test_a_file_with_most_of_its_rows_is_kept_unless_strict(
    broken: Callable[[], bytes], at_least: int | None
) -> None:
    picture = decode(broken(), at_least=at_least)
    assert (picture.width, picture.height) == (640, 480)
    assert picture.notes[0].startswith("damaged: ")
    whole = np.asarray(textured(640, 480).resize(picture.pixels.size), np.int16)
    difference = abs(np.asarray(picture.pixels, np.int16) - whole).mean(axis=(1, 2))
    if picture.media == "image/bmp":  # stored from the last row up
        difference = difference[::-1]
    assert difference[: len(difference) // 2].mean() < 12
    with pytest.raises(ImageError) as caught:
        decode(broken(), at_least=at_least, strict=True)
    assert caught.value.reason == "damaged"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP"])
def test_a_file_with_less_than_half_of_its_rows_is_refused(format: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode(cut(0.3, format=format)())
    assert caught.value.reason == "damaged"


def test_images_over_the_pixel_limit_are_refused() -> None:
    data = saved(Image.new("1", (2000, 2000)), "PNG")
    with pytest.raises(ImageError) as caught:
        decode(data, max_pixels=3_999_999)
    assert caught.value.reason == "too-large"
    assert decode(data, max_pixels=4_000_000).width == 2000


def test_files_over_the_byte_limit_are_refused() -> None:
    with pytest.raises(ImageError) as caught:
        decode(saved(halves(), "PNG"), max_bytes=100)
    assert caught.value.reason == "too-large"


def test_a_jpeg_decoded_at_a_fraction_may_exceed_the_limit_unless_progressive() -> None:
    image = Image.new("L", (2000, 1600))
    assert decode(saved(image, "JPEG"), at_least=100, max_pixels=1_000_000).width == 2000
    with pytest.raises(ImageError) as caught:
        # Its decoder holds all coefficients in memory at any scale.
        decode(saved(image, "JPEG", progressive=True), at_least=100, max_pixels=1_000_000)
    assert caught.value.reason == "too-large"


def test_a_jpeg_with_thousands_of_scans_is_refused() -> None:
    data = saved(Image.new("L", (6000, 6000)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageError) as caught:
        decode(data[:-2] + scan * 4000 + data[-2:])
    assert caught.value.reason == "too-large"


def test_decoding_leaves_pillow_s_global_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import ImageFile

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    before = dict(Image.OPEN), ImageFile.LOAD_TRUNCATED_IMAGES
    assert decode(saved(halves(), "PNG")).width == 60
    assert decode(cut(0.7, format="JPEG")()).notes
    registered = {name: Image.OPEN[name] for name in before[0]}
    assert (registered, ImageFile.LOAD_TRUNCATED_IMAGES) == before
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("limit", [None, 89_478_485])
@pytest.mark.parametrize("name", ["decompression_bomb.gif", "decompression_bomb.ico"])
def test_decompression_bombs_are_refused_whatever_pillow_s_limit(
    shared: Path, name: str, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ImageError) as caught:
        decode((shared / "images" / "odd" / name).read_bytes())
    assert caught.value.reason == "too-large"


def test_many_threads_decode_the_same_pixels_as_one() -> None:
    files = [
        saved(textured(300, 200, seed), format)
        for seed in range(4)
        for format in ("JPEG", "PNG", "TIFF", "GIF")
    ]
    alone = [decode(data, at_least=64).pixels.tobytes() for data in files]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda data: decode(data, at_least=64), files * 3))
    assert [picture.pixels.tobytes() for picture in together] == alone * 3


def test_a_thumbnail_fits_its_square_and_keeps_its_proportions() -> None:
    picture = decode(saved(halves(size=(600, 400)), "PNG"))
    assert thumbnail(picture, 60).size == (60, 40)
    assert picture.pixels.size == (600, 400)
