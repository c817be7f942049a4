"""Pictures come out upright, and an orientation given twice is applied once."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixseek import images
from pixseek.images import decode, orientation

from image_files import exif, halves, is_halves, saved, turned, xmp


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(format: str, orientation: int) -> None:
    picture = decode(saved(turned(halves(), orientation), format, exif=exif(orientation)))
    assert (picture.width, picture.height) == picture.pixels.size == (60, 40)
    assert is_halves(picture.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_xmp_gives_the_orientation_only_if_exif_does_not(orientation: int) -> None:
    stored = turned(halves(), orientation)
    by_xmp = decode(saved(stored, "JPEG", xmp=xmp(orientation), exif=exif(None)))
    assert by_xmp.pixels.size == (60, 40)
    assert is_halves(by_xmp.pixels)
    assert by_xmp.xmp == xmp(orientation)
    both = decode(saved(halves(), "JPEG", xmp=xmp(orientation), exif=exif(1)))
    assert is_halves(both.pixels)


@pytest.mark.parametrize(("text", "orientation"), orientation.TEXTS.items())
def test_a_sidecar_gives_the_orientation_only_if_the_file_does_not(
    text: str, orientation: int
) -> None:
    alone = decode(saved(turned(halves(), orientation), "PNG"))
    upright = images.turned(alone, text.title())
    assert (upright.width, upright.height) == upright.pixels.size == (60, 40)
    assert is_halves(upright.pixels)
    for own in (decode(saved(halves(), "JPEG", exif=exif(1))),
                decode(saved(halves(), "JPEG", xmp=xmp(1)))):  # fmt: skip
        assert images.turned(own, text) is own
    assert images.turned(alone, "upside down") is alone


def heic(image: Image.Image, **options: object) -> bytes:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(image).save(buffer, quality=90, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("quarters", range(4))
def test_heif_is_turned_once(quarters: int) -> None:
    image = halves(size=(120, 80))
    image.info["exif"] = exif(6).tobytes()  # makes the encoder write an "irot" property
    data = bytearray(heic(image))
    angle = data.index(b"irot") + 4
    data[angle] = 0
    stored = decode(bytes(data)).pixels
    data[angle] = quarters
    picture = decode(bytes(data))
    expected = stored.rotate(90 * quarters, expand=True)  # anticlockwise, both
    assert (picture.width, picture.height) == picture.pixels.size == expected.size
    assert picture.pixels.tobytes() == expected.tobytes()
    assert picture.exif, "it has an orientation, which was not applied a second time"


def test_heif_is_mirrored_once() -> None:
    image = halves(size=(120, 80))
    image.info["exif"] = exif(2).tobytes()  # makes the encoder write an "imir" property
    data = bytearray(heic(image))
    axis = data.index(b"imir") + 4
    data[axis] = 0  # swaps top and bottom
    upside_down = decode(bytes(data)).pixels
    data[axis] = 1  # swaps left and right
    mirrored = decode(bytes(data)).pixels
    assert mirrored.tobytes() == upside_down.transpose(Image.Transpose.ROTATE_180).tobytes()
    assert is_halves(mirrored) != is_halves(upside_down)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_xl_is_turned_once(orientation: int) -> None:
    jxl = pytest.importorskip("pylibjxl")
    jpeg = saved(turned(halves(size=(64, 48)), orientation), "JPEG", exif=exif(orientation))
    picture = decode(jxl.jpeg_to_jxl(jpeg))
    assert (picture.width, picture.height) == picture.pixels.size == (64, 48)
    assert is_halves(picture.pixels)
    assert picture.exif[:4] in (b"II*\0", b"MM\0*")


def test_the_exif_block_in_an_imagemagick_png_gives_the_orientation() -> None:
    block = b"Exif\0\0" + exif(6).tobytes().removeprefix(b"Exif\0\0")
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode("latin-1")
    chunk = b"zTXtRaw profile type exif\0\0" + zlib.compress(text)
    png = saved(turned(halves(), 6), "PNG")
    crc = struct.pack(">I", zlib.crc32(chunk))
    data = png[:33] + struct.pack(">I", len(chunk) - 4) + chunk + crc + png[33:]
    picture = decode(data)
    assert picture.pixels.size == (60, 40)
    assert is_halves(picture.pixels)


def test_one_photo_in_eight_orientations_gives_one_picture(shared: Path) -> None:
    pictures = [
        decode((shared / "images" / "odd" / f"Landscape_{n}.jpg").read_bytes()) for n in range(1, 9)
    ]
    first = np.asarray(pictures[0].pixels.resize((90, 60))).astype(int)
    for picture in pictures:
        assert (picture.width, picture.height) == (1800, 1200)
        difference = np.asarray(picture.pixels.resize((90, 60))).astype(int) - first
        assert abs(difference).mean() < 3
