"""Pictures come out in sRGB over white, from every mode, bit depth and colour profile."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from pixseek.errors import ImageError
from pixseek.images import decode
from pixseek.images.decoders import decode_here
from pixseek.images.formats import by_name
from pixseek.images.limits import Request

from image_files import colour, halves, is_halves, near, psd, saved


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(mode: str) -> None:
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    image.paste((200, 200, 200, 255), (0, 0, 10, 20))
    picture = decode(saved(image.convert(mode), "PNG"))
    assert picture.pixels.mode == "RGB"
    assert near(colour(picture.pixels, 0.2, 0.5), (200, 200, 200))
    assert colour(picture.pixels, 0.8, 0.5) == (255, 255, 255)


def test_half_transparent_pixels_are_blended_with_white() -> None:
    picture = decode(saved(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG"))
    assert near(colour(picture.pixels, 0, 0), (127, 127, 127), 1)


@pytest.mark.parametrize(
    ("image", "format", "media"),
    [
        (halves("CMYK"), "JPEG", "image/jpeg"),
        (halves("CMYK"), "TIFF", "image/tiff"),
        (halves("YCbCr"), "TIFF", "image/tiff"),
        (halves("P"), "GIF", "image/gif"),
        (halves("P"), "PNG", "image/png"),
        (halves(), "BMP", "image/bmp"),
        (halves(), "DIB", "image/bmp"),
        (halves(), "PPM", "image/x-portable-anymap"),
        (halves(), "ICO", "image/x-icon"),
        (halves(), "DDS", "image/vnd-ms.dds"),
        (halves(), "JPEG2000", "image/jp2"),
        (halves(), "AVIF", "image/avif"),
        (halves(), "MPO", "image/jpeg"),
    ],
)
def test_every_mode_and_format_keeps_its_colours(
    image: Image.Image, format: str, media: str
) -> None:
    picture = decode(saved(image, format))
    assert picture.pixels.mode == "RGB"
    assert picture.media == media
    assert is_halves(picture.pixels)


def test_a_photoshop_file_gives_its_flattened_picture() -> None:
    picture = decode(psd(halves()))
    assert picture.media == "image/vnd.adobe.photoshop"
    assert is_halves(picture.pixels, 0)


def test_lab_becomes_srgb() -> None:
    lab = ImageCms.applyTransform(
        halves(),
        ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        ),
    )
    assert lab is not None
    assert is_halves(decode(saved(lab, "TIFF")).pixels)


def test_premultiplied_tiff_is_not_darkened_twice() -> None:
    half_red = np.zeros((8, 8, 4), np.uint8)
    half_red[:] = (100, 0, 0, 128)  # 200, 0, 0 at half opacity, premultiplied
    strip = half_red.tobytes()
    data = saved(Image.fromarray(half_red), "TIFF")
    assert strip in data
    straight = decode(data)
    position = data.index(struct.pack("<HHI", 338, 3, 1)) + 8
    premultiplied = decode(data[:position] + struct.pack("<H", 1) + data[position + 2 :])
    assert near(colour(straight.pixels, 0, 0), (177, 127, 127), 2)
    assert near(colour(premultiplied.pixels, 0, 0), (227, 127, 127), 3)


def test_sixteen_bit_grey_keeps_its_brightness() -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(1, -1).repeat(8, 0)
    picture = decode(saved(Image.fromarray(ramp), "PNG"))
    assert abs(np.asarray(picture.pixels)[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("bits", [12, 16])
def test_samples_of_twelve_and_sixteen_bits_keep_their_brightness(bits: int) -> None:
    ramp = np.linspace(0, (1 << bits) - 1, 256).astype(">u2").reshape(1, -1).repeat(4, 0)
    if bits == 16:
        rgb = np.stack([ramp] * 3, -1).tobytes()
        rows = b"".join(b"\0" + rgb[n : n + 1536] for n in range(0, len(rgb), 1536))
        data = b"\x89PNG\r\n\x1a\n"
        for kind, content in (
            (b"IHDR", struct.pack(">IIBBBBB", 256, 4, 16, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        ):
            crc = zlib.crc32(kind + content)
            data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)
    else:
        data = b"P5\n256 4\n4095\n" + ramp.tobytes()
    found = np.asarray(decode(data).pixels)[0, :, 0].astype(int)
    assert abs(found - np.arange(256)).max() <= 1


def test_grey_floats_keep_their_brightness() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, -1).repeat(8, 0)
    picture = decode(saved(Image.fromarray(ramp), "TIFF"))
    assert abs(np.asarray(picture.pixels)[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "uint32", "int32"])
@pytest.mark.parametrize(
    "how",
    [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"planarconfig": "separate"}],
    ids=["plain", "zlib", "tiles", "planes"],
)
def test_colour_tiffs_of_32_bits_or_floats_keep_their_brightness(
    kind: str, how: dict[str, object]
) -> None:
    tifffile = pytest.importorskip("tifffile")
    full = 1.0 if kind.startswith("float") else np.iinfo(kind).max
    ramp = np.linspace(0, 1, 256).reshape(1, -1, 1).repeat(8, 0)
    rgb = np.concatenate([ramp, ramp[:, ::-1], ramp * 0], axis=2) * full
    if how.get("planarconfig"):
        rgb = rgb.transpose(2, 0, 1)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, rgb.astype(kind), photometric="rgb", metadata=None, **how)
    picture = decode(buffer.getvalue())
    assert (picture.width, picture.height, picture.media) == (256, 8, "image/tiff")
    found = np.asarray(picture.pixels)[0].astype(int)
    assert abs(found[:, 0] - np.arange(256)).max() <= 1
    assert abs(found[:, 1] - np.arange(256)[::-1]).max() <= 1
    assert not found[:, 2].any()
    assert picture.exif == buffer.getvalue()


def test_a_colour_tiff_of_floats_is_upright_and_over_white() -> None:
    tifffile = pytest.importorskip("tifffile")
    rgba = np.zeros((40, 60, 4), np.float32)
    rgba[:, :30] = (1, 0, 0, 1)
    buffer = io.BytesIO()
    tag = (0x112, "H", 1, 6, True)
    tifffile.imwrite(
        buffer, rgba, photometric="rgb", extrasamples=["unassalpha"], extratags=[tag], metadata=None
    )
    picture = decode(buffer.getvalue())
    assert picture.pixels.size == (picture.width, picture.height) == (40, 60)
    assert colour(picture.pixels, 0.5, 0.2) == (255, 0, 0)
    assert colour(picture.pixels, 0.5, 0.8) == (255, 255, 255)


def test_a_colour_tiff_of_floats_without_tifffile_names_the_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((8, 8, 3), np.float32), photometric="rgb")
    data = buffer.getvalue()
    monkeypatch.setitem(sys.modules, "tifffile", None)  # as if it were not installed
    with pytest.raises(ImageError) as caught:
        decode_here(by_name("TIFF"), data, Request())
    assert caught.value.reason == "no-decoder"
    assert "pip install 'pixseek[formats]'" in caught.value.advice


def test_one_bit_and_grey_become_rgb() -> None:
    assert colour(decode(saved(Image.new("1", (8, 8), 1), "PNG")).pixels, 0, 0) == (255, 255, 255)
    assert colour(decode(saved(Image.new("L", (8, 8), 77), "PNG")).pixels, 0, 0) == (77, 77, 77)


def test_a_colour_profile_is_applied_and_a_broken_one_is_ignored_with_a_note() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    assert lab.profile.profile_description
    # A profile with swapped red and blue primaries turns red into blue.
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


@pytest.mark.parametrize("mode", ["L", "LA", "CMYK"])
def test_a_profile_for_other_channels_is_ignored_with_a_note(mode: str) -> None:
    rgb_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("RGB", (8, 8), (120, 120, 120)).convert(mode)
    picture = decode(saved(image, "TIFF", icc_profile=rgb_profile))
    assert near(colour(picture.pixels, 0, 0), (120, 120, 120), 2)
    assert picture.notes == ("broken colour profile ignored",)
