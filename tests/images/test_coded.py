"""The digest of the coded picture: metadata never change it, another picture always does."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from pixseek.images import pixel_digest

from image_files import (
    box,
    every_format,
    exif,
    mutations,
    psd,
    raw_files,
    saved,
    textured,
    tiff,
    xmp,
)

ONE, OTHER = textured(96, 64), textured(96, 64, seed=1)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


# ------------------------------------------------------------------ what programs write


def _png_texts() -> PngImagePlugin.PngInfo:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", xmp(6).decode())
    texts.add_text("Title", "A beach", zip=True)
    return texts


def _heic(image: Image.Image, **options: object) -> bytes:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(image).save(buffer, quality=60, **options)
    return buffer.getvalue()


def _frames(image: Image.Image, format: str, **options: object) -> bytes:
    more = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    return saved(image, format, save_all=True, append_images=more, **options)


#: Writes a picture, and the same with other metadata.
WRITERS: dict[str, tuple[Callable[..., bytes], dict[str, object]]] = {
    "JPEG": (
        lambda image, **new: saved(image, "JPEG", **new),
        {"exif": exif(6), "xmp": xmp(6), "comment": b"hello", "icc_profile": PROFILE,
         "dpi": (300, 300)},
    ),
    "JPEG progressive": (
        lambda image, **new: saved(image, "JPEG", progressive=True, **new),
        {"exif": exif(8), "comment": b"\xff\xd9"},
    ),
    "JPEG with restart markers": (
        lambda image, **new: saved(image, "JPEG", restart_marker_rows=1, **new),
        {"exif": exif(8), "comment": b"\xff\xda"},
    ),
    "PNG": (
        lambda image, **new: saved(image, "PNG", **new),
        {"exif": exif(3), "pnginfo": _png_texts(), "icc_profile": PROFILE, "dpi": (72, 72)},
    ),
    "APNG": (lambda image, **new: _frames(image, "PNG", **new), {"exif": exif(3)}),
    "WEBP": (
        lambda image, **new: saved(image, "WEBP", **new),
        {"exif": exif(6), "xmp": xmp(6), "icc_profile": PROFILE},
    ),
    "WEBP with transparency": (
        lambda image, **new: saved(_clear_corner(image), "WEBP", **new), {"xmp": xmp(6)},
    ),
    "WEBP animation": (
        lambda image, **new: _frames(image, "WEBP", **new), {"exif": exif(6), "xmp": xmp(6)},
    ),
    "GIF": (
        lambda image, **new: saved(image.quantize(16), "GIF", **new), {"comment": b"hello" * 99},
    ),
    "GIF animation": (
        lambda image, **new: _frames(image.quantize(16), "GIF", **new),
        {"comment": b"hello", "loop": 3},
    ),
    "TIFF": (
        lambda image, **new: saved(image, "TIFF", **new),
        {"description": "A beach", "exif": exif(6), "icc_profile": PROFILE},
    ),
    "TIFF in strips": (
        lambda image, **new: saved(image, "TIFF", strip_size=1 << 11, **new),
        {"description": "A beach"},
    ),
    "AVIF": (
        lambda image, **new: saved(image, "AVIF", max_threads=1, **new),
        {"exif": exif(6), "xmp": xmp(1)},
    ),
    "HEIC": (_heic, {"exif": exif(6).tobytes(), "xmp": xmp(6)}),
}  # fmt: skip


def _clear_corner(image: Image.Image) -> Image.Image:
    clear = image.convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 30, 30))
    return clear


@pytest.mark.parametrize("name", WRITERS)
def test_other_metadata_keep_the_digest_and_another_picture_does_not(name: str) -> None:
    write, metadata = WRITERS[name]
    plain, annotated = write(ONE), write(ONE, **metadata)
    assert plain != annotated
    assert len(pixel_digest(plain)) == 64
    assert pixel_digest(plain) == pixel_digest(annotated)
    assert pixel_digest(write(OTHER)) != pixel_digest(plain)


# ------------------------------------------------------------------ edits of a file, byte by byte


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind))


def _png_in_pieces(data: bytes) -> bytes:
    start = data.index(b"IDAT") - 4
    (size,) = struct.unpack_from(">I", data, start)
    packed = data[start + 8 : start + 8 + size]
    pieces = [_chunk(b"IDAT", packed[at : at + 50]) for at in range(0, size, 50)]
    return data[:start] + b"".join(pieces) + data[start + 12 + size :]


def _nikon(preview: bytes, sensor: bytes = bytes(range(250)) * 2) -> bytes:
    main = {0xFE: (1,), 0x10F: b"NIKON\0", 0x112: (len(preview) % 8 + 1,), 0x14A: (-2,)}
    shown = {0x201: (-1,), 0x202: (len(preview),), 0xFFFF: preview}
    raw = {0xFE: (0,), 0x106: (32803,), 0x111: (-1,), 0x117: (len(sensor),), 0xFFFF: sensor}
    return tiff({**main, **shown}, raw, order=">")


def _raf(preview: bytes, sensor: bytes = b"sensor") -> bytes:
    head = b"FUJIFILMCCD-RAW 0201FF129502".ljust(84, b"\0")
    places = (160, len(preview), 0, 0, 160 + len(preview), len(sensor))
    return (head + struct.pack(">6I", *places)).ljust(160, b"\0") + preview + sensor


def _canon(own: bytes, sensor: bytes = b"s" * 900) -> bytes:
    def movie(at: int) -> bytes:
        tracks = b""
        for size, start in ((100, at), (len(sensor), at + 100)):
            tables = box(b"stsz", struct.pack(">III", 0, 0, 1) + struct.pack(">I", size))
            tables += box(b"co64", struct.pack(">IIQ", 0, 1, start))
            tracks += box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", tables))))
        return box(b"moov", box(b"uuid", own) + tracks)

    head = box(b"ftyp", b"crx \0\0\0\1crx isom")
    at = len(head) + len(movie(0)) + 8
    return head + movie(at) + box(b"mdat", own[:50].ljust(100, b"p") + sensor)


_JPEG, _PNG = saved(ONE, "JPEG"), saved(ONE, "PNG")
_JP2, _SVG = saved(ONE, "JPEG2000"), b'<svg xmlns="http://www.w3.org/2000/svg"> <rect/></svg>'
_PSD = psd(ONE)

#: Pairs of files with equal pictures.
EDITED: dict[str, tuple[bytes, bytes]] = {
    "JPEG with a trailer, as of motion photos": (_JPEG, _JPEG + b"\0\0\0\x18ftypmp42" + bytes(99)),
    "JPEG with a second picture, as in MPO": (_JPEG, _JPEG + saved(OTHER, "JPEG")),
    "JPEG with fill bytes": (_JPEG, _JPEG.replace(b"\xff\xdb", b"\xff\xff\xff\xdb")),
    "JPEG without its end": (_JPEG, _JPEG[:-2]),
    "JPEG without JFIF": (_JPEG, _JPEG[:2] + _JPEG[20:]),
    "PNG whose data come in pieces": (_PNG, _png_in_pieces(_PNG)),
    "PNG with a trailer": (_PNG, _PNG + b"more"),
    "JPEG 2000 with XMP": (_JP2, _JP2 + box(b"xml ", xmp(1))),
    "JPEG 2000 without its boxes": (_JP2, _JP2[_JP2.index(b"\xff\x4f\xff\x51") :]),
    "JPEG XL in boxes": (
        b"\xff\x0a" + bytes(range(99)),
        b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl \0\0\0\0jxl ")
        + box(b"jxlp", b"\0\0\0\0\xff\x0a" + bytes(range(50))) + box(b"Exif", bytes(40))
        + box(b"jxlp", b"\x80\0\0\1" + bytes(range(50, 99))) + box(b"xml ", xmp(1)),
    ),
    "Photoshop file with resources": (
        _PSD, _PSD[:30] + struct.pack(">I", 16) + b"8BIM\x04\x24\0\0\0\0\0\4<x/>" + _PSD[34:],
    ),
    "portable anymap with a comment": (
        saved(ONE, "PPM"), saved(ONE, "PPM").replace(b"\n", b"\n# made by a scanner\n", 1),
    ),
    "drawing with metadata": (
        _SVG, _SVG.replace(b"> <", b"><metadata><rdf:RDF/>\n</metadata><!-- x -->\n<"),
    ),
    "Nikon raw with another preview": (_nikon(_JPEG), _nikon(saved(OTHER, "JPEG"))),
    "Fujifilm raw whose preview has EXIF": (_raf(_JPEG), _raf(saved(ONE, "JPEG", exif=exif(6)))),
    "Canon raw with other directories": (_canon(b"c" * 70), _canon(b"other" * 70)),
    "Minolta raw": (
        b"\0MRM\0\0\0\4EXIFsensor", b"\0MRM\0\0\0\x08EXIFmoresensor",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITED)
def test_an_edit_of_the_file_keeps_the_digest(name: str) -> None:
    before, after = EDITED[name]
    assert before != after
    assert pixel_digest(before) == pixel_digest(after) != ""


def test_other_sensor_data_are_another_picture() -> None:
    for write in (_nikon, _raf, _canon):
        assert pixel_digest(write(_JPEG, b"a" * 900)) != pixel_digest(write(_JPEG, b"b" * 900))


_HEAD = _JPEG.index(b"\xff\xdb")  # metadata come before the first table


@given(
    st.lists(
        st.tuples(st.sampled_from([*range(0xE0, 0xF0), 0xFE]), st.binary(max_size=300)), max_size=6
    ),
    st.binary(max_size=50),
)
def test_any_segments_and_any_trailer_keep_the_digest_of_a_jpeg(
    segments: list[tuple[int, bytes]], trailer: bytes
) -> None:
    written = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
        for marker, content in segments
    )
    assert pixel_digest(_JPEG[:2] + written + _JPEG[_HEAD:] + trailer) == pixel_digest(_JPEG)


@settings(max_examples=50)
@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_of_the_picture_changes_the_digest(at: int, by: int) -> None:
    start = _JPEG.index(b"\xff\xda")
    changed = bytearray(_JPEG)
    changed[start + at % (len(_JPEG) - 2 - start)] ^= by
    assert pixel_digest(bytes(changed)) != pixel_digest(_JPEG)


# ------------------------------------------------------------------ every format, and broken files


def test_every_format_has_a_digest_of_its_own() -> None:
    files = every_format()
    for name in raw_files(b""):  # the builder writes them without sensor data
        del files[name]
    digests = {name: pixel_digest(data) for name, data in files.items()}
    assert [name for name, digest in digests.items() if not digest] == []
    assert len(set(digests.values())) == len(digests) > 15


def test_a_broken_file_never_raises() -> None:
    files = {**every_format(), "NEF": _nikon(_JPEG), "RAF": _raf(_JPEG), "CR3": _canon(b"c" * 70)}
    for _, data in mutations(files, 2_000, seed=16):
        assert len(pixel_digest(data)) in (0, 64)
    for data in (b"", b"\xff\xd8\xff", b"GIF89a", b"P6 ", b"RIFF\0\0\0\0WEBP"):
        assert pixel_digest(data) == ""


@pytest.mark.slow
def test_millions_of_empty_pieces_take_little_time() -> None:
    began = time.process_time()
    pixel_digest(b"\xff\xd8" + b"\xff\xfe\0\2" * 500_000)
    pixel_digest(_JPEG[:-2] + b"\xff\xda\0\2" * 500_000)
    pixel_digest(_PNG[:33] + bytes(12 * 500_000))
    pixel_digest(saved(ONE, "GIF")[:800] + b"\1" * 1_000_000)
    for piece in (b"<metadata ", b"<a:metadata>", b"<!--", b"<?"):
        pixel_digest(_SVG[:-6] + piece * 50_000)
    assert time.process_time() - began < 5
