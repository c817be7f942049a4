"""How large the pictures in a file are, by its header alone: before any decoder sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pixseek.images import boxes, jpegheader, tiffheader

_JP2_START = b"\xff\x4f\xff\x51"
_JXL_BOXES, _JXL_START = b"\0\0\0\x0cJXL ", b"\xff\x0a"
#: Bits of a side in JPEG XL's header, by the two bits before it; and its ratios of width to height.
_JXL_BITS = (9, 13, 18, 30)
_JXL_RATIOS = ((1, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


_DIB = tuple(bytes((size, 0, 0, 0)) for size in (12, 40, 52, 56, 64, 108, 124))
_PNM = re.compile(
    rb"P[0-7yFf](?:\s|#[^\n]{0,999}\n){1,99}(\d{1,9})(?:\s|#[^\n]{0,999}\n){1,99}(\d{1,9})"
)


def declared(data: bytes) -> tuple[int, int] | None:
    """Return width and height of the largest picture that a file declares, in pixels.

    Of PNG, JPEG, GIF, WebP, TIFF, HEIC, AVIF, JPEG 2000, JPEG XL, BMP, ICO, PSD, DDS and PNM. As
    stored, so an orientation may swap them. None for any other file, and if its header is broken.
    """
    try:
        sizes = [each for each in _sizes(data) if each[0] > 0 < each[1]]
    except IndexError:
        return None
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _sizes(data: bytes) -> Iterator[tuple[int, int]]:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        yield _number(data, 16, 4), _number(data, 20, 4)
    elif data.startswith(b"\xff\xd8\xff"):
        if frame := jpegheader.frame(data):
            yield frame.width, frame.height
    elif data.startswith((b"GIF87a", b"GIF89a")):
        yield _number(data, 6, 2, "little"), _number(data, 8, 2, "little")
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        yield from _webp(data)
    elif data.startswith((b"II*\0", b"MM\0*")):
        for directory in tiffheader.directories(data):
            width = directory.number(tiffheader.IMAGE_WIDTH)
            yield width or 0, directory.number(tiffheader.IMAGE_LENGTH) or 0
    elif data.startswith((_JXL_BOXES, _JXL_START)):
        yield from _jxl(data)
    elif (start := data.find(_JP2_START, 0, 1 << 16)) >= 0 and (
        start == 0 or data.startswith(b"\0\0\0\x0cjP  ")
    ):
        right, bottom, left, top = (_number(data, start + 8 + 4 * n, 4) for n in range(4))
        yield right - left, bottom - top
    elif boxes.brands(data):
        yield from _heif(data)
    elif data.startswith(b"BM"):
        yield _bitmap(data, 14)
    elif data.startswith(b"8BPS"):
        yield _number(data, 18, 4), _number(data, 14, 4)
    elif data.startswith(b"DDS "):
        yield _number(data, 16, 4, "little"), _number(data, 12, 4, "little")
    elif data.startswith(b"\0\0\1\0"):
        yield from _icon(data)
    elif found := _PNM.match(data):
        yield int(found[1]), int(found[2])
    elif data[:4] in _DIB:
        yield _bitmap(data, 0)


def _number(data: bytes, at: int, size: int, order: str = "big") -> int:
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]


def _bitmap(data: bytes, at: int) -> tuple[int, int]:
    """Return the size in a bitmap's header; a height is negative if the first row is on top."""
    if _number(data, at, 4, "little") == 12:
        return _number(data, at + 4, 2, "little"), _number(data, at + 6, 2, "little")
    height = int.from_bytes(data[at + 8 : at + 12], "little", signed=True)
    return _number(data, at + 4, 4, "little"), abs(height)


def _icon(data: bytes) -> Iterator[tuple[int, int]]:
    for entry in range(6, min(6 + 16 * _number(data, 4, 2, "little"), len(data) - 15), 16):
        at = _number(data, entry + 12, 4, "little")
        if data[at : at + 8] == b"\x89PNG\r\n\x1a\n":
            yield _number(data, at + 16, 4), _number(data, at + 20, 4)
        elif len(data) >= at + 12:
            yield _bitmap(data, at)


def _webp(data: bytes) -> Iterator[tuple[int, int]]:
    kind = data[12:16]
    if kind == b"VP8X":
        yield _number(data, 24, 3, "little") + 1, _number(data, 27, 3, "little") + 1
    elif kind == b"VP8L":
        bits = _number(data, 21, 4, "little")
        yield (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        yield _number(data, 26, 2, "little") & 0x3FFF, _number(data, 28, 2, "little") & 0x3FFF


def _heif(data: bytes) -> Iterator[tuple[int, int]]:
    meta = boxes.inside(data, (b"meta",))
    if meta is None:
        return
    properties = boxes.inside(data, (b"iprp", b"ipco"), meta[0] + 4, meta[1])
    for kind, start, end in boxes.boxes(data, *properties) if properties else ():
        if kind == b"ispe" and end - start >= 12:  # ISO/IEC 23008-12, 6.5.3
            yield _number(data, start + 4, 4), _number(data, start + 8, 4)


def _jxl(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the size in JPEG XL's header: ISO/IEC 18181-1, SizeHeader."""
    start = 0
    if not data.startswith(_JXL_START):
        found = [
            at + 4 * (kind == b"jxlp")
            for kind, at, _ in boxes.boxes(data)
            if kind in (b"jxlc", b"jxlp")
        ]
        if not found or data[found[0] : found[0] + 2] != _JXL_START:
            return
        start = found[0]
    bits, used = int.from_bytes(data[start + 2 : start + 18], "little"), 0

    def take(count: int) -> int:
        nonlocal used
        used += count
        return bits >> (used - count) & ((1 << count) - 1)

    def side(small: bool) -> int:
        return 8 * (take(5) + 1) if small else take(_JXL_BITS[take(2)]) + 1

    small = bool(take(1))
    height = side(small)
    ratio = take(3)
    across, down = _JXL_RATIOS[ratio]
    yield (height * across // down if ratio else side(small)), height
