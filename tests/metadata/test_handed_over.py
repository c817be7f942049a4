"""From a file through decoding to metadata: texts, comments, the name of the colour profile."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms, features
from PIL.PngImagePlugin import PngInfo

from metadata.blocks import assert_documented
from pixseek.images import decode
from pixseek.images.pngtext import without_excess
from pixseek.metadata.merging import Metadata, read_metadata

RED = Image.new("RGB", (64, 48), (200, 20, 20))


def profile(name: str = "Wide and wild") -> bytes:
    """The sRGB profile under another name."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    old = "sRGB built-in".encode("utf-16-be")
    assert old in made
    return made.replace(old, name.ljust(13)[:13].encode("utf-16-be"))


def saved(kind: str, image: Image.Image = RED, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(data: bytes) -> Metadata:
    metadata = read_metadata(decode(data, at_least=32), name="x")
    assert_documented(metadata)
    return metadata


def chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", check)


def png(*chunks: bytes, at_the_end: bool = False) -> bytes:
    data = saved("PNG")
    at = len(data) - 12 if at_the_end else 33
    return data[:at] + b"".join(chunks) + data[at:]


# ------------------------------------------------------------------ the profile


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_profiles_name_is_the_colour_space(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow can't write AVIF")
    found = read(saved(kind, icc_profile=profile()))
    assert found.fields["colour_space"] == "Wide and wild"


@pytest.mark.parametrize("mode", ["P", "LA", "1", "I;16"])
def test_a_profile_for_other_channels_is_ignored(mode: str) -> None:
    found = read(saved("PNG", Image.new(mode, (64, 48)), icc_profile=profile()))
    assert found.fields.get("colour_space") == ("Wide and wild" if mode in "P1" else None)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("broken", [b"x" * 200, profile()[:200], profile()[:-2000]])
def test_a_broken_profile_is_ignored(kind: str, broken: bytes) -> None:
    assert "colour_space" not in read(saved(kind, icc_profile=broken)).fields


def test_profile_names_of_real_files_are_read(shared: Path) -> None:
    images = shared / "images"
    for name, expected in (
        ("camera/Nikon_D70.jpg", "sRGB IEC61966-2.1"), ("odd/IMG_1034.heic", "Display P3"),
        ("odd/exif-at-eof.heic", "Display P3"), ("odd/xmp_tags_orientation.png", "ColorMatch RGB"),
        ("odd/icc_profile_big.jpg", "TIFF RGB"), ("odd/nikon.nef", "Nikon sRGB 4.0.0.3001"),
        ("camera/DSCN0010.jpg", "sRGB"),
    ):  # fmt: skip
        assert read((images / name).read_bytes()).fields["colour_space"] == expected, name


# ------------------------------------------------------------------ texts


@pytest.mark.parametrize("comment", ["Ein Boot auf dem Zürichsee".encode(), b"Z\xfcrich"])
@pytest.mark.parametrize("kind", ["JPEG", "GIF", "JPEG2000"])
def test_the_comment_is_the_caption(kind: str, comment: bytes) -> None:
    if kind == "JPEG2000" and not features.check("jpg_2000"):
        pytest.skip("this Pillow can't write JPEG 2000")
    assert "Zürich" in read(saved(kind, comment=comment)).caption


def test_the_comment_of_an_animation_is_read() -> None:
    other = Image.new("RGB", RED.size, (0, 0, 200))
    data = saved("GIF", comment=b"a boat", save_all=True, append_images=[other])
    assert read(data).caption == "a boat"


def test_comments_of_real_files_are_read(shared: Path) -> None:
    camera = shared / "images" / "camera"
    for name, beginning in (
        ("kodak-dc210", "Lovely smoke effect"), ("sanyo-vpcsx550", "Et voila. For starters"),
        ("sony-powershota5", "..and henceforth"),
    ):  # fmt: skip
        assert read((camera / f"{name}.jpg").read_bytes()).caption.startswith(beginning)
    assert read((camera / "Nikon_D70.jpg").read_bytes()).caption == ""


@pytest.mark.parametrize("at_the_end", [False, True])
def test_the_texts_of_a_png_are_read(at_the_end: bool) -> None:
    data = png(
        chunk(b"tEXt", b"Title\0Z\xfcrich"),
        chunk(b"zTXt", b"Description\0\0" + zlib.compress(b"a boat")),
        chunk(b"iTXt", b"Author\0\0\0\0\0" + "Jörg 湖".encode()),
        chunk(b"tEXt", b"parameters\0" + "ein Böot".encode()),
        chunk(b"tEXt", b"Unheard of\0x"),
        at_the_end=at_the_end,
    )
    found = read(data)
    assert found.caption == ""  # in a generator's file the description repeats the prompt
    assert dict(found.fields) == {
        "title": "Zürich", "artist": "Jörg 湖", "prompt": "ein Böot",
    }  # fmt: skip
    assert found.notes == ()


def test_compressed_texts_written_by_pillow_are_read() -> None:
    texts = PngInfo()
    texts.add_text("Comment", "a boat", zip=True)
    texts.add_itxt("Title", "Am See", zip=True)
    found = read(saved("PNG", pnginfo=texts))
    assert (found.caption, found.fields["title"]) == ("a boat", "Am See")


BOMB = zlib.compress(bytes(30 << 20))


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize(
    "excess",
    [
        (chunk(b"tEXt", b"Comment\0" + bytes(100 << 20)),),
        (chunk(b"zTXt", b"Comment\0\0" + BOMB),),
        (chunk(b"iTXt", b"Comment\0\1\0\0\0" + BOMB),),
        (chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + BOMB),),
        (chunk(b"zTXt", b"Comment\0\7unheard of"),),
        tuple(chunk(b"tEXt", b"Comment%d\0" % n + bytes(1 << 20)) for n in range(70)),
    ],
    ids=["plain", "packed", "international", "XMP", "unknown compression", "many"],
)
def test_oversized_texts_are_dropped_with_a_note(
    excess: tuple[bytes, ...], at_the_end: bool
) -> None:
    data = png(chunk(b"tEXt", b"Title\0Am See"), *excess, at_the_end=at_the_end)
    picture = decode(data, strict=True)
    assert picture.pixels.getpixel((0, 0)) == (200, 20, 20)
    assert [note for note in picture.notes if "too long or unreadable" in note]
    assert picture.texts["Title"] == b"Am See"
    assert sum(map(len, picture.texts.values())) < 1 << 20


def test_malformed_text_chunks_do_not_fail_the_image() -> None:
    chunks = [b"", b"\0", b"a", b"a\0\1\0", b"Comment\0\1\0\0\0garbage", b"Comment\0\0garbage"]
    for kind in (b"tEXt", b"zTXt", b"iTXt"):
        for content in chunks:
            assert decode(png(chunk(kind, content))).pixels.size == RED.size


def test_only_a_few_of_a_thousand_zip_bombs_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[object] = []
    make = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", lambda: unpacked.append(1) or make())
    notes: list[str] = []
    defused = without_excess(png(*[chunk(b"zTXt", b"Comment\0\0" + BOMB)] * 1000), notes)
    assert defused == png()
    assert notes == ["1000 texts too long or unreadable ignored"]
    assert len(unpacked) < 10
