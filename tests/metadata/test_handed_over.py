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

from metadata.blocks import assert_documented, bag, exif_block, iptc_block, xmp_packet
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


# ------------------------------------------------------------------ blocks in each container

PACKET = xmp_packet(bag("dc:subject", "Zürich"))
IPTC = iptc_block((2, 25, b"harbour"), (2, 90, b"Arezzo"))
RESOURCE = b"8BIM\x04\x04\0\0" + struct.pack(">L", len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)


def raw_profile(keyword: str, content: bytes, *, packed: bool = True, title: str = "") -> bytes:
    """A profile as ImageMagick keeps it: under a title, its length, and lines of digits."""
    digits = content.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{title or keyword}\n{len(content):8}\n{lines}\n".encode()
    name = f"Raw profile type {keyword}\0".encode()
    return (
        chunk(b"zTXt", name + b"\0" + zlib.compress(text))
        if packed
        else chunk(b"tEXt", name + text)
    )


def xmp_text(kind: bytes, content: bytes = PACKET) -> bytes:
    """The standard text of a PNG for XMP, in each kind of chunk."""
    name = b"XML:com.adobe.xmp\0"
    return chunk(kind[:4], name + {
        b"iTXt": b"\0\0\0\0" + content,
        b"iTXt packed": b"\1\0\0\0" + zlib.compress(content),
        b"zTXt": b"\0" + zlib.compress(content),
        b"tEXt": content,
    }[kind])  # fmt: skip


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        raw_profile("xmp", PACKET),
        raw_profile("xmp", PACKET, packed=False),
        raw_profile("APP1", b"http://ns.adobe.com/xap/1.0/\0" + PACKET, title="generic profile"),
        xmp_text(b"iTXt"), xmp_text(b"iTXt packed"), xmp_text(b"zTXt"), xmp_text(b"tEXt"),
    ],
    ids=["raw", "raw, plain", "APP1", "iTXt", "iTXt, packed", "zTXt", "tEXt"],
)  # fmt: skip
def test_xmp_of_a_png_is_found_wherever_it_stands(text: bytes, at_the_end: bool) -> None:
    # EXIF before the pixels must not keep XMP behind them from being looked for.
    exif = chunk(b"eXIf", exif_block({0x10F: "Canon"}))
    data = png(exif)
    at = len(data) - 12 if at_the_end else 33
    found = read(data[:at] + text + data[at:])
    assert found.tags == ("Zürich",)
    assert found.fields["camera_make"] == "Canon"


@pytest.mark.parametrize(
    "text",
    [
        raw_profile("exif", b"Exif\0\0" + exif_block({0x112: 6, 0x10F: "Canon"})),
        raw_profile("APP1", b"Exif\0\0" + exif_block({0x112: 6, 0x10F: "Canon"}),
                    title="generic profile"),
    ],
)  # fmt: skip
def test_exif_in_a_raw_profile_turns_the_picture(text: bytes) -> None:
    picture = decode(png(text))
    assert (picture.width, picture.height) == (48, 64)
    assert read(png(text)).fields["camera_make"] == "Canon"


@pytest.mark.parametrize(
    "text",
    [raw_profile("iptc", IPTC), raw_profile("iptc", RESOURCE, title="IPTC profile"),
     raw_profile("8bim", RESOURCE)],
)  # fmt: skip
def test_iptc_in_a_raw_profile_is_read(text: bytes) -> None:
    found = read(png(text))
    assert (found.tags, found.fields["city"]) == (("harbour",), "Arezzo")


@pytest.mark.parametrize(
    "text",
    ["", "\n", "\nxmp\n", "\nxmp\n  9\n", "\nxmp\n 4\n3c3\n", "x" * 90_000, "\n" * 900_000,
     "\nxmp\n" + "9" * 5000, "\nxmp\n 4 zz"],
    ids=range(9),
)  # fmt: skip
def test_broken_raw_profiles_are_ignored(text: str) -> None:
    name = b"Raw profile type "
    found = read(png(*(chunk(b"tEXt", name + kind + b"\0" + text.encode())
                       for kind in (b"xmp", b"APP1", b"exif", b"iptc", b"8bim"))))  # fmt: skip
    assert found.tags == ()


def tiff(*entries: tuple[int, int, bytes], order: str = "<") -> bytes:
    """A TIFF of one grey pixel with more tags: (tag, type, bytes)."""
    numbers = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
    found = [(tag, 4, struct.pack(f"{order}L", value)) for tag, value in numbers.items()]
    found = sorted([*found, *entries])
    at = 12 + 2 + 12 * len(found) + 4
    table, values = b"", b""
    for tag, kind, content in found:
        count = len(content) // {1: 1, 4: 4, 7: 1}[kind]
        where = content if len(content) == 4 else struct.pack(f"{order}L", at + len(values))
        values += b"" if len(content) == 4 else content
        table += struct.pack(f"{order}HHL", tag, kind, count) + where
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(f"{order}L", 12) + b"\x80\0\0\0"
    return head + struct.pack(f"{order}H", len(found)) + table + b"\0" * 4 + values


PADDED = IPTC + b"\0" * (-len(IPTC) % 4)
SWAPPED = b"".join(PADDED[at : at + 4][::-1] for at in range(0, len(PADDED), 4))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "entries",
    [
        [(0x83BB, 7, IPTC)], [(0x83BB, 4, PADDED)], [(0x83BB, 4, SWAPPED)], [(0x8649, 1, RESOURCE)],
        # As ImageMagick 6 writes it: a quarter of the bytes.
        [(0x83BB, 7, IPTC[: len(IPTC) // 4]), (0x8649, 1, RESOURCE)],
    ],
)  # fmt: skip
def test_iptc_of_a_tiff_is_read(entries: list[tuple[int, int, bytes]], order: str) -> None:
    found = read(tiff(*entries, order=order))
    assert (found.tags, found.fields["city"]) == (("harbour",), "Arezzo")


def test_of_several_packets_in_a_jpeg_the_first_whole_one_counts() -> None:
    def segment(packet: bytes) -> bytes:
        content = b"http://ns.adobe.com/xap/1.0/\0" + packet
        return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content

    plain = saved("JPEG")
    new, old = (xmp_packet(bag("dc:subject", name)) for name in ("new", "old"))
    for packets, wanted in [((new,), "new"), ((new, old), "new"), ((new[:300], old), "old"),
                            ((new, old, old), "new"), ((new, b"x"), "new")]:  # fmt: skip
        data = plain[:2] + b"".join(map(segment, packets)) + plain[2:]
        assert read(data).tags == (wanted,)
