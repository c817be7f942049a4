"""Decoding: upright, sRGB, over white, within limits; whatever comes is a picture or a reason."""

from __future__ import annotations

import io
import random
import struct
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pixseek.errors import ImageError
from pixseek.images import decode, thumbnail
from pixseek.images.decoders import decode_here
from pixseek.images.formats import by_name
from pixseek.images.limits import Request

from image_files import BLUE, RED, SVG, exif, halves, psd, saved, textured, turned, xmp


def colour(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    pixel = image.getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(pixel, tuple)
    return pixel


def near(one: tuple[int, ...], other: tuple[int, ...], by: int = 12) -> bool:
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


def is_halves(image: Image.Image, by: int = 40) -> bool:
    return near(colour(image, 0.2, 0.5), RED, by) and near(colour(image, 0.8, 0.5), BLUE, by)


# ------------------------------------------------------------------ upright


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(format: str, orientation: int) -> None:
    picture = decode(saved(turned(halves(), orientation), format, exif=exif(orientation)))
    assert (picture.width, picture.height) == picture.pixels.size == (60, 40)
    assert is_halves(picture.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_xmp_turns_what_exif_does_not(orientation: int) -> None:
    stored = turned(halves(), orientation)
    told = decode(saved(stored, "JPEG", xmp=xmp(orientation), exif=exif(None)))
    assert told.pixels.size == (60, 40)
    assert is_halves(told.pixels)
    assert told.xmp == xmp(orientation)
    # EXIF comes first where both say something.
    both = decode(saved(halves(), "JPEG", xmp=xmp(orientation), exif=exif(1)))
    assert is_halves(both.pixels)


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
    assert picture.exif, "its orientation is there and was not applied a second time"


def test_heif_is_mirrored_once() -> None:
    image = halves(size=(120, 80))
    image.info["exif"] = exif(2).tobytes()  # makes the encoder write an "imir" property
    data = bytearray(heic(image))
    axis = data.index(b"imir") + 4
    data[axis] = 0  # upper and lower part change places
    upside_down = decode(bytes(data)).pixels
    data[axis] = 1  # left and right do
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


def test_png_from_imagemagick_is_turned() -> None:
    block = b"Exif\0\0" + exif(6).tobytes().removeprefix(b"Exif\0\0")
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode("latin-1")
    chunk = b"zTXtRaw profile type exif\0\0" + zlib.compress(text)
    png = saved(turned(halves(), 6), "PNG")
    crc = struct.pack(">I", zlib.crc32(chunk))
    data = png[:33] + struct.pack(">I", len(chunk) - 4) + chunk + crc + png[33:]
    picture = decode(data)
    assert picture.pixels.size == (60, 40)
    assert is_halves(picture.pixels)


def test_the_eight_landscapes_are_one_picture(shared: Path) -> None:
    pictures = [
        decode((shared / "images" / "odd" / f"Landscape_{n}.jpg").read_bytes()) for n in range(1, 9)
    ]
    first = np.asarray(pictures[0].pixels.resize((90, 60))).astype(int)
    for picture in pictures:
        assert (picture.width, picture.height) == (1800, 1200)
        difference = np.asarray(picture.pixels.resize((90, 60))).astype(int) - first
        assert abs(difference).mean() < 3


# ------------------------------------------------------------------ colours


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
def test_colours_survive_modes_and_formats(image: Image.Image, format: str, media: str) -> None:
    picture = decode(saved(image, format))
    assert picture.pixels.mode == "RGB"
    assert picture.media == media
    assert is_halves(picture.pixels)


def test_a_photoshop_file_shows_its_flattened_picture() -> None:
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
    half_red[:] = (100, 0, 0, 128)  # 200, 0, 0 at half opacity, multiplied already
    strip = half_red.tobytes()
    data = saved(Image.fromarray(half_red), "TIFF")
    assert strip in data
    straight = decode(data)
    position = data.index(struct.pack("<HHI", 338, 3, 1)) + 8
    premultiplied = decode(data[:position] + struct.pack("<H", 1) + data[position + 2 :])
    assert near(colour(straight.pixels, 0, 0), (177, 127, 127), 2)
    assert near(colour(premultiplied.pixels, 0, 0), (227, 127, 127), 3)


def test_sixteen_bits_keep_their_brightness() -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(1, -1).repeat(8, 0)
    picture = decode(saved(Image.fromarray(ramp), "PNG"))
    assert abs(np.asarray(picture.pixels)[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("bits", [12, 16])
def test_sixteen_bits_of_colour_keep_their_brightness(bits: int) -> None:
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


def test_floats_keep_their_brightness() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, -1).repeat(8, 0)
    picture = decode(saved(Image.fromarray(ramp), "TIFF"))
    assert abs(np.asarray(picture.pixels)[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "uint32", "int32"])
@pytest.mark.parametrize(
    "how",
    [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"planarconfig": "separate"}],
    ids=["plain", "zlib", "tiles", "planes"],
)
def test_tiffs_of_deep_colour_keep_their_brightness(kind: str, how: dict[str, object]) -> None:
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


def test_a_tiff_of_deep_colour_is_upright_and_over_white() -> None:
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


def test_deep_colour_without_its_decoder_names_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((8, 8, 3), np.float32), photometric="rgb")
    data = buffer.getvalue()
    monkeypatch.setitem(sys.modules, "tifffile", None)  # as where it is not installed
    with pytest.raises(ImageError) as caught:
        decode_here(by_name("TIFF"), data, Request())
    assert caught.value.reason == "no-decoder"
    assert "pip install 'pixseek[formats]'" in caught.value.advice


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


@pytest.mark.parametrize("mode", ["L", "LA", "CMYK"])
def test_a_profile_of_another_kind_is_ignored(mode: str) -> None:
    rgb_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("RGB", (8, 8), (120, 120, 120)).convert(mode)
    picture = decode(saved(image, "TIFF", icc_profile=rgb_profile))
    assert near(colour(picture.pixels, 0, 0), (120, 120, 120), 2)
    assert picture.notes == ("broken colour profile ignored",)


# ------------------------------------------------------------------ frames and metadata


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_animations_give_their_first_frame_and_say_so(format: str) -> None:
    data = saved(halves(), format, save_all=True, append_images=[Image.new("RGB", (60, 40))])
    picture = decode(data)
    assert picture.notes == ("animated: first frame",)
    assert is_halves(picture.pixels)


def test_documents_give_their_first_page_and_say_so() -> None:
    data = saved(halves(), "TIFF", save_all=True, append_images=[Image.new("RGB", (60, 40))])
    picture = decode(data)
    assert picture.notes == ("several pages: first page",)
    assert is_halves(picture.pixels)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_metadata_come_with_the_picture(format: str) -> None:
    picture = decode(saved(halves(), format, exif=exif(1), xmp=xmp(1)))
    assert picture.exif[:2] in (b"II", b"MM")
    read = Image.Exif()
    read.load(picture.exif)
    assert read[0x010F] == "Maker"
    if format not in ("TIFF", "PNG"):  # where Pillow does not write it
        assert picture.xmp == xmp(1)


def test_iptc_comes_with_a_jpeg() -> None:
    iptc = b"\x1c\x02\x05\0\x05Title"
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc
    app13 = b"Photoshop 3.0\0" + block
    jpeg = saved(halves(), "JPEG")
    data = jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(app13) + 2) + app13 + jpeg[2:]
    assert decode(data).iptc == iptc


# ------------------------------------------------------------------ SVG


def test_svg_is_drawn_as_large_as_is_needed() -> None:
    pytest.importorskip("resvg_py")
    picture = decode(SVG, at_least=224)
    assert (picture.width, picture.height, picture.media) == (60, 40, "image/svg+xml")
    assert picture.pixels.size == (336, 224)
    assert is_halves(picture.pixels, 0)
    import gzip

    assert is_halves(decode(gzip.compress(SVG)).pixels, 0)


def test_svg_reads_no_other_file(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    halves().save(tmp_path / "other.png")
    for href in (tmp_path / "other.png", (tmp_path / "other.png").as_uri()):
        drawing = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="60" height="40"><image href="{href}" width="60" height="40"/>'
            f'<image xlink:href="{href}" width="60" height="40"/></svg>'
        )
        assert decode(drawing.encode()).pixels.getcolors() == [(1024 * 683, (255, 255, 255))]


# ------------------------------------------------------------------ scaled decoding


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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(1003, 997), (1002, 1600), (1604, 1202)])
def test_what_a_decoder_pads_never_comes_first(orientation: int, size: tuple[int, int]) -> None:
    data = saved(turned(textured(*size), orientation), "JPEG", quality=95, exif=exif(orientation))
    full, reduced = decode(data), decode(data, at_least=100)
    scales = [n for n in (8, 4, 2, 1) if -(-size[0] // n) == reduced.pixels.width]
    assert len(scales) == 1
    if orientation in (1, 5):
        assert scales == [8], "nothing is in the way of the smallest"
    # Whole blocks of the full picture, from the upper left corner, are the reduced one's pixels.
    across, down = size[0] // scales[0], size[1] // scales[0]
    blocks = full.pixels.crop((0, 0, across * scales[0], down * scales[0])).reduce(scales[0])
    difference = np.asarray(reduced.pixels.crop((0, 0, across, down)), np.int16) - np.asarray(
        blocks, np.int16
    )
    assert abs(difference).mean() < 1


def test_exact_is_what_pillow_gives() -> None:
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
def test_what_can_not_be_decoded_has_a_reason_and_advice(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert caught.value.reason == reason
    assert caught.value.reason in ImageError.REASONS
    assert caught.value.advice


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
def test_what_shows_most_of_itself_is_kept_unless_strict(
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
def test_what_shows_less_than_half_of_itself_is_refused(format: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode(cut(0.3, format=format)())
    assert caught.value.reason == "damaged"


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    data = saved(Image.new("1", (2000, 2000)), "PNG")
    with pytest.raises(ImageError) as caught:
        decode(data, max_pixels=3_999_999)
    assert caught.value.reason == "too-large"
    assert decode(data, max_pixels=4_000_000).width == 2000


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(ImageError) as caught:
        decode(saved(halves(), "PNG"), max_bytes=100)
    assert caught.value.reason == "too-large"


def test_a_jpeg_decoded_small_may_be_large_unless_it_is_progressive() -> None:
    image = Image.new("L", (2000, 1600))
    assert decode(saved(image, "JPEG"), at_least=100, max_pixels=1_000_000).width == 2000
    with pytest.raises(ImageError) as caught:
        # All its coefficients would be in memory, whatever the scale.
        decode(saved(image, "JPEG", progressive=True), at_least=100, max_pixels=1_000_000)
    assert caught.value.reason == "too-large"


def test_a_jpeg_of_endless_scans_is_refused_at_once() -> None:
    data = saved(Image.new("L", (6000, 6000)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageError) as caught:
        decode(data[:-2] + scan * 4000 + data[-2:])
    assert caught.value.reason == "too-large"


def test_the_host_s_pillow_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_bombs_are_refused(
    shared: Path, name: str, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ImageError) as caught:
        decode((shared / "images" / "odd" / name).read_bytes())
    assert caught.value.reason == "too-large"


def test_many_threads_decode_what_one_does() -> None:
    files = [
        saved(textured(300, 200, seed), format)
        for seed in range(4)
        for format in ("JPEG", "PNG", "TIFF", "GIF")
    ]
    alone = [decode(data, at_least=64).pixels.tobytes() for data in files]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda data: decode(data, at_least=64), files * 3))
    assert [picture.pixels.tobytes() for picture in together] == alone * 3


def test_a_thumbnail_fits_its_square_and_keeps_its_shape() -> None:
    picture = decode(saved(halves(size=(600, 400)), "PNG"))
    assert thumbnail(picture, 60).size == (60, 40)
    assert picture.pixels.size == (600, 400)
