"""Mutated and odd files of every format give a picture or an ImageError, never anything else."""

from __future__ import annotations

import random
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixseek.errors import ImageError
from pixseek.images import decode

from image_files import every_format, mutated, mutations, small_dng

FILES = every_format()

#: Expected outcome of every odd file: media type and notes, or the reason of the failure.
ODD: dict[str, tuple[str, ...]] = {
    "IMG_1034.heic": ("image/heic",),
    "L_8__128x128.heif": ("image/heic",),
    **{f"Landscape_{n}.jpg": ("image/jpeg",) for n in range(1, 9)},
    "Portrait_6.jpg": ("image/jpeg",),
    "RGBA_12__128x128.heif": ("image/heic",),
    "alpha.webp": ("image/webp",),
    "animation.webp": ("image/webp", "animated: first frame"),
    "broken_data_stream.png": ("image/png", "damaged: 31% of the picture is missing"),
    "cheers_1440x960.heic": ("image/heic",),
    "decompression_bomb.gif": ("too-large",),
    "decompression_bomb.ico": ("too-large",),
    "empty.jpg": ("empty",),
    "exif-at-eof.heic": ("image/heic",),
    "exif_typeerror.jpg": ("image/jpeg",),
    "frozenpond.mpo": ("image/jpeg",),
    "g4_orientation_6.tif": ("image/tiff",),
    "hopper_16bit.pgm": ("image/x-portable-anymap",),
    "hopper_bad_exif.jpg": ("image/jpeg",),
    "hopper_orientation_6.webp": ("image/webp",),
    "html-named.jpg": ("not-an-image",),
    "icc_profile_big.jpg": ("image/jpeg",),
    "iss634.gif": ("image/gif", "animated: first frame"),
    "malformed-1.heif": ("damaged",),
    "malformed-2.heif": ("damaged",),
    "nikon.nef": ("image/jpeg",),
    "p_16.png": ("image/png",),
    "photo.avif": ("image/avif",),
    "pil_sample_cmyk.jpg": ("image/jpeg",),
    "random-bytes.jpg": ("not-an-image",),
    "rgb_trns_ycbc.jp2": ("image/jp2",),
    "ten-bytes.gif": ("damaged",),
    "tiff_16bit_RGB.tiff": ("image/tiff",),
    "tiff_strip_cmyk_jpeg.tif": ("image/tiff",),
    "transparent.gif": ("image/gif",),
    "transparent.png": ("image/png",),
    "truncated_image.png": ("image/png", "damaged: 17% of the picture is missing"),
    "truncated_jpeg.jpg": ("image/jpeg", "damaged: the file is cut off before its end"),
    "xmp_tags_orientation.png": ("image/png",),
}


def outcome(data: bytes, **options: bool) -> tuple[str, ...]:
    """The outcome of decoding a file; anything but a picture or an ImageError fails the test."""
    try:
        picture = decode(data, at_least=448, **options)  # type: ignore[arg-type]
    except ImageError as error:
        assert error.reason in ImageError.REASONS
        assert error.problem
        assert error.advice
        return (error.reason,)
    assert picture.pixels.mode == "RGB"
    assert picture.width > 0 < picture.height
    for side, whole in zip(picture.pixels.size, (picture.width, picture.height), strict=True):
        assert (
            side >= min(whole, 448)
            or picture.media.startswith("image/x-")
            or "svg" in picture.media
        )
    return (picture.media, *picture.notes)


def test_every_odd_file_has_its_expected_outcome(shared: Path) -> None:
    files = sorted((shared / "images" / "odd").iterdir())
    assert {path.name: outcome(path.read_bytes()) for path in files} == ODD


def test_strict_refuses_damaged_files_and_no_others(shared: Path) -> None:
    for path in sorted((shared / "images" / "odd").iterdir()):
        kept = ODD[path.name]
        expected = ("damaged",) if any(note.startswith("damaged") for note in kept) else kept
        assert outcome(path.read_bytes(), strict=True) == expected


@given(seed=st.integers(0, 10**9), name=st.sampled_from(sorted(FILES)))
@settings(max_examples=400, deadline=None)
def test_a_mutated_file_gives_a_picture_or_a_failure(seed: int, name: str) -> None:
    found = outcome(mutated(FILES[name], random.Random(seed)))
    assert found[0] not in ("crashed", "timeout")


@given(data=st.binary(max_size=200), name=st.sampled_from(sorted(FILES)), keep=st.integers(0, 64))
@settings(max_examples=200, deadline=None)
def test_random_bytes_after_a_valid_header_give_a_picture_or_a_failure(
    data: bytes, name: str, keep: int
) -> None:
    found = outcome(FILES[name][:keep] + data)
    assert found[0] not in ("crashed", "timeout")


def test_a_slow_decoder_in_this_process_stops_at_its_time_limit() -> None:
    # Pillow reads this kind of bitmap two bytes at a time, in Python code.
    body = b"\x01\x07" * 20_000_000
    palette = b"".join(bytes((n, n, n, 0)) for n in range(256))
    head = struct.pack("<IiiHHIIiiII", 40, 8000, 8000, 1, 8, 1, len(body), 0, 0, 256, 0)
    start = 14 + len(head) + len(palette)
    data = b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + palette + body
    began = time.monotonic()
    with pytest.raises(ImageError) as caught:
        decode(data, timeout_s=0.3)
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(8000, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
        pytest.param(100_000, marks=[pytest.mark.wide, pytest.mark.timeout(3600)]),
    ],
)
def test_thousands_of_mutated_files_give_pictures_or_failures(shared: Path, count: int) -> None:
    files = dict(FILES)
    for path in sorted((shared / "images" / "odd").iterdir()):
        if 0 < path.stat().st_size < 500_000:
            files[path.name] = path.read_bytes()
    seed = random.SystemRandom().randrange(10**9)
    for number, (name, data) in enumerate(mutations(files, count, seed)):
        began = time.monotonic()
        found = outcome(data)
        which = f"file {number} of seed {seed}, made from {name}"
        assert found[0] not in ("crashed", "timeout"), which
        assert time.monotonic() - began < 20, which


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thousands_of_mutated_raw_files_are_developed_or_fail() -> None:
    pytest.importorskip("rawpy")
    seed = random.SystemRandom().randrange(10**9)
    for number, (_, data) in enumerate(mutations({"DNG": small_dng()}, 2000, seed)):
        found = outcome(data, demosaic=True)
        assert found[0] != "timeout", f"file {number} of seed {seed}"


@pytest.mark.skipif("HEIC" not in FILES, reason="this pillow-heif can't write HEIC")
def test_a_heic_file_whose_header_gives_width_0_is_damaged() -> None:
    """Found by mutation: the file decodes, and the record's width would have been 0."""
    data = FILES["HEIC"]
    at = data.index(b"ispe") + 8  # ISO/IEC 23008-12, 6.5.3: version and flags, width, height
    with pytest.raises(ImageError) as caught:
        decode(data[:at] + bytes(4) + data[at + 4 :], at_least=448)
    assert caught.value.reason == "damaged"
