"""Camera raw files: the embedded preview, upright, with the size of the full picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pixseek.errors import ImageError
from pixseek.images import decode, raw, rawlayout

from image_files import exif, halves, raw_files, saved, small_dng, tiff, turned

NAMES = sorted(raw_files(b""))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_preview_is_found_and_upright(name: str, orientation: int) -> None:
    stored = turned(halves(size=(1200, 800)), orientation)
    # The headers of these two aren't read, so the preview's own orientation counts.
    own = exif(orientation) if name in ("RAF", "MRW") else exif(None)
    data = raw_files(saved(stored, "JPEG", exif=own), orientation, stored.size)[name]
    picture = decode(data, at_least=200)
    assert (picture.width, picture.height) == (1200, 800)
    assert picture.pixels.size == (300, 200)
    pixels = np.asarray(picture.pixels)
    assert pixels[100, 60].tolist() == pytest.approx([220, 20, 20], abs=30)
    assert pixels[100, 240].tolist() == pytest.approx([20, 20, 220], abs=30)
    assert picture.media.startswith("image/x-")
    assert "camera raw: embedded preview" in picture.notes
    assert picture.exif[:4] in (b"II*\0", b"MM\0*")


def test_xmp_and_iptc_of_a_raw_file_are_returned() -> None:
    preview = saved(halves(size=(1200, 800)), "JPEG")
    sensor = {0x100: (1200,), 0x101: (800,), 0x106: (32803,)}
    main = {
        0x10F: b"NIKON\0",
        0x14A: (-2,),
        0x2BC: b"<x:xmpmeta/>",
        0x83BB: b"\x1c\x02\x05\0\x05Title",
        0xFFFF: preview,
    }
    picture = decode(tiff(main, sensor))
    assert picture.media == "image/x-nikon-nef"
    assert (picture.xmp, picture.iptc) == (b"<x:xmpmeta/>", b"\x1c\x02\x05\0\x05Title")


@pytest.mark.parametrize("own", [1, 6])
def test_an_orientation_given_twice_is_applied_once(own: int) -> None:
    stored = turned(halves(size=(1200, 800)), 6)
    data = raw_files(saved(stored, "JPEG", exif=exif(own)), 6, stored.size)["NEF"]
    pixels = np.asarray(decode(data).pixels)
    assert pixels.shape == (800, 1200, 3)
    assert pixels[400, 200, 0] > 180 > 60 > pixels[400, 1000, 0]


def test_the_smallest_preview_that_is_large_enough_is_used() -> None:
    small, large = (saved(halves(size=size), "JPEG") for size in ((480, 320), (1200, 800)))
    barred = saved(Image.new("RGB", (640, 480)), "JPEG")  # other proportions: black bars
    for order in ((small, barred, large), (large, barred, small)):
        named = [{0x201: (-1,), 0x202: (len(each),), 0xFFFF: each} for each in order]
        chain = [{**each, 0x14A: (-2,)} for each in named[:-1]] + named[-1:]
        chain[0] |= {0x10F: b"NIKON\0", 0x106: (32803,)}
        # First named by directories, then somewhere in the file, not named.
        for data in (tiff(*chain), raw_files(b"".join(order))["MRW"]):
            assert decode(data, at_least=300).pixels.size == (480, 320)
            assert decode(data, at_least=400).pixels.size == (600, 400)
            assert decode(data, at_least=300, exact=True).pixels.size == (1200, 800)


def test_a_named_preview_is_found_without_searching_the_file() -> None:
    preview = saved(halves(size=(1200, 800)), "JPEG")
    for name, data in raw_files(preview).items():
        spans = list(rawlayout.spans(data))
        found = raw.previews(data, 400)
        whole = raw.previews(data)
        assert {each.start for each in found} == {each.start for each in whole}, name
        assert (name == "MRW") == (not spans)
        # Bytes that follow it are not passed to the decoder.
        padded = raw.previews(data + bytes(1000), 400)
        assert name in ("CR2", "MRW") or padded[0].end == found[0].end, name


@pytest.mark.parametrize("offset", [0, 1, 9, 200_000, 0xFFFFFFFF])
@pytest.mark.parametrize("length", [0, 1, 100, 0xFFFFFFFF])
def test_a_preview_is_found_despite_a_wrong_offset_or_length(offset: int, length: int) -> None:
    preview = saved(halves(size=(1200, 800)), "JPEG")
    named = {0x10F: b"NIKON\0", 0x106: (32803,), 0x201: (offset,), 0x202: (length,)}
    for directory in (named, {**named, 0x201: (-1,)}):
        picture = decode(tiff({**directory, 0xFFFF: preview}), at_least=400)
        assert picture.pixels.size == (600, 400)
        assert not any("damaged" in note for note in picture.notes)


def test_thousands_of_hostile_jpeg_headers_take_little_time() -> None:
    start = b"FUJIFILMCCD-RAW 0201".ljust(160, b"\0")
    segments = b"\xff\xd8\xff\xe0\0\2" * 256 + b"\xff\xe0\0\2" * 200_000
    with pytest.raises(ImageError) as caught:  # without limits it would take half a minute
        decode(start + segments)
    assert caught.value.reason == "no-decoder"


def test_a_preview_that_is_too_small_is_used_and_noted() -> None:
    data = raw_files(saved(halves(size=(160, 107)), "JPEG"))["ARW"]
    picture = decode(data, at_least=448)
    assert (picture.width, picture.height) == (1200, 800)
    assert "small preview: 160 x 107 pixels" in picture.notes


def test_a_raw_file_without_a_preview_suggests_demosaic() -> None:
    with pytest.raises(ImageError) as caught:
        decode(small_dng())
    assert caught.value.reason == "no-decoder"
    assert "demosaic" in caught.value.advice


def test_demosaic_develops_raw_data() -> None:
    pytest.importorskip("rawpy")
    picture = decode(small_dng((64, 48)), demosaic=True)
    assert (picture.width, picture.height) == (64, 48)
    assert picture.pixels.size == (32, 24)
    assert decode(small_dng((64, 48)), demosaic=True, exact=True).pixels.size == (64, 48)
    assert picture.notes == ("camera raw: developed",)


def test_a_truncated_raw_file_is_noted_or_refused() -> None:
    pytest.importorskip("rawpy")
    whole = small_dng((64, 48))
    sensor = 2 * 64 * 48
    for share, note in ((0.75, "damaged: 25% of the picture is missing"), (0.25, "")):
        lost = round(sensor * (1 - share))  # filled with zeros, as by an interrupted download
        data = whole[:-lost] + bytes(lost)
        if note:
            assert note in decode(data, demosaic=True).notes
        for strict in (True,) if note else (True, False):
            with pytest.raises(ImageError) as caught:
                decode(data, demosaic=True, strict=strict)
            assert caught.value.reason == "damaged"


def test_a_tiff_directory_that_points_to_itself_does_not_loop() -> None:
    loop = bytearray(tiff({0x10F: b"NIKON\0", 0x14A: (8,), 0x112: (6,)}))
    loop[8 + 2 + 36 : 8 + 2 + 40] = (8).to_bytes(4, "little")
    with pytest.raises(ImageError):
        decode(bytes(loop))
