"""Find the coded picture in a file, apart from what is written about it.

Programs that edit metadata copy the coded picture byte by byte, so its digest stays while the
file's digest changes. Nothing is decoded: the digest is the same for every model, every option and
every version of the decoders, and hashing is all that it costs.

Orientation and colour profile are metadata here, since tag editors change both.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Callable, Iterator

from pixseek.errors import ImageError
from pixseek.images import boxes, tiffheader
from pixseek.images.formats import identify

_Piece = bytes | memoryview

#: Maximum number of segments, chunks or blocks that are looked at one by one. What follows counts
#: as part of the picture, so that a hostile file takes no longer.
_MOST_PIECES = 1 << 18

# ------------------------------------------------------------------ what callers use


def digest(data: bytes) -> str:
    """Return the SHA-256 of the coded picture in a file, in hexadecimal.

    It is the same for files that differ in metadata alone: EXIF, XMP, IPTC, comments, colour
    profile, orientation, embedded thumbnail, padding and whatever follows the picture. Saving a
    picture anew changes it, even if no pixel looks different.

    Returns:
        64 hexadecimal digits; "" if the content has no picture, or its parts could not be found.
    """
    try:
        find = _FINDERS[identify(data).name]
        hasher, is_empty = hashlib.sha256(), True
        for piece in find(data):
            hasher.update(piece)
            is_empty = is_empty and not piece
    except (ImageError, LookupError, ValueError, ArithmeticError, struct.error, zlib.error):
        return ""  # a broken file: it has a digest of its content at least
    return "" if is_empty else hasher.hexdigest()


# ------------------------------------------------------------------ JPEG

_MARKER = re.compile(rb"\xff[^\x00\xff]")
#: A marker that ends a scan: none of those for restarts, and no 0xFF of the picture itself.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SCAN, _END, _COMMENT = 0xDA, 0xD9, 0xFE
_NO_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))


def _jpeg(data: bytes) -> Iterator[_Piece]:
    """Yield the tables, frames and scans of the first picture, up to its end marker."""
    view, at, pattern = memoryview(data), 2, _MARKER
    for _ in range(_MOST_PIECES):
        found = pattern.search(data, at)
        if pattern is _AFTER_SCAN:
            yield view[at : found.start() if found else len(data)]
            pattern = _MARKER
        if found is None:
            return
        start, marker = found.start(), data[found.start() + 1]
        if marker == _END:
            return
        at = start + 2
        if marker in _NO_LENGTH:
            continue
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
        if 0xE0 <= marker <= 0xEF or marker == _COMMENT:
            continue
        yield view[start:at]
        if marker == _SCAN:
            pattern = _AFTER_SCAN
    yield view[at:]


# ------------------------------------------------------------------ PNG, WebP, GIF

#: Chunks of a PNG that make its pixels, with the bytes to leave out: numbers of the order.
_PNG_CHUNKS = {b"IHDR": 0, b"PLTE": 0, b"tRNS": 0, b"IDAT": 0, b"acTL": 0, b"fcTL": 4, b"fdAT": 4}


def _png(data: bytes) -> Iterator[_Piece]:
    """Yield the chunks that make pixels; in how many pieces the data come does not matter."""
    view, at, last = memoryview(data), 8, b""
    for _ in range(_MOST_PIECES):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if len(kind) < 4 or kind == b"IEND":
            return
        if kind in _PNG_CHUNKS:
            if kind != last:
                yield kind
            yield view[at + 8 + _PNG_CHUNKS[kind] : at + 8 + size]
            last = kind
        at += 12 + size
    yield view[at:]


def _webp(data: bytes) -> Iterator[_Piece]:
    """Yield the picture or the frames. The header of files with metadata is left out."""
    view, at = memoryview(data), 12
    for _ in range(_MOST_PIECES):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if len(kind) < 4:
            return
        if kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANMF"):
            yield kind
            yield view[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    yield view[at:]


def _gif(data: bytes) -> Iterator[_Piece]:
    """Yield the screen, the colours and the frames with their timing; no other extension."""
    view, at = memoryview(data), 13
    yield view[6:10]  # the version before it depends on the extensions
    at += _gif_colours(data[10])
    yield view[13:at]
    pieces = 0
    while at < len(data):
        start, kind = at, data[at]
        if kind == 0x21:
            is_picture, at = data[at + 1] == 0xF9, at + 2  # delay and transparency of a frame
        elif kind == 0x2C:
            is_picture, at = True, at + 11 + _gif_colours(data[at + 9])
        else:
            return
        while size := data[at]:
            at += size + 1
            pieces += 1
            if pieces > _MOST_PIECES:
                yield view[start:]
                return
            if at >= len(data):  # cut off
                break
        at += 1
        if is_picture:
            yield view[start:at]


def _gif_colours(flags: int) -> int:
    """Return the bytes of a table of colours."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


# ------------------------------------------------------------------ TIFF and camera raw

_SUBFILE, _TILE_OFFSETS, _TILE_BYTE_COUNTS = 0xFE, 0x144, 0x145
_PANASONIC_RAW = 0x118
#: Tags that say how the data become pixels: bits, compression, photometric interpretation, order
#: of bits, samples, layout, predictor, palette, tables of JPEG.
_TIFF_CODING = (0x100, 0x101, 0x102, 0x103, 0x106, 0x10A, 0x115, 0x11C, 0x13D, 0x140, 0x15B)
_INTEGERS = {3: "H", 4: "I", 13: "I"}


def _tiff(data: bytes) -> Iterator[_Piece]:
    """Yield the strips and tiles of each full-size picture, with the tags that say how to read."""
    every = list(tiffheader.directories(data))
    full = [each for each in every if not (each.number(_SUBFILE) or 0) & 1]
    if not any(True for each in full for _ in _strips(each)):
        full = every  # a preview is all that there is
    for directory in full:
        strips = list(_strips(directory))
        if strips:
            yield repr([directory.content(tag) for tag in _TIFF_CODING]).encode()
            yield from strips


def _strips(directory: tiffheader.Directory) -> Iterator[_Piece]:
    view = memoryview(directory.data)
    for starts, sizes in (
        (tiffheader.STRIP_OFFSETS, tiffheader.STRIP_BYTE_COUNTS),
        (_TILE_OFFSETS, _TILE_BYTE_COUNTS),
        (_PANASONIC_RAW, tiffheader.STRIP_BYTE_COUNTS),
    ):
        pairs = zip(_integers(directory, starts), _integers(directory, sizes), strict=False)
        for start, size in pairs:
            if piece := view[start : start + size]:
                yield piece


def _integers(directory: tiffheader.Directory, tag: int) -> tuple[int, ...]:
    """Return all integers of a tag, of which a large picture has thousands."""
    kind, count, offset = directory.entries.get(tag, (0, 0, 0))
    if kind not in _INTEGERS or count > _MOST_PIECES:
        return ()
    return struct.unpack_from(f"{directory.order}{count}{_INTEGERS[kind]}", directory.data, offset)


def _raf(data: bytes) -> Iterator[_Piece]:
    """Yield the sensor's data of a Fujifilm raw file, whose header says where they are."""
    start, size = struct.unpack_from(">II", data, 100)
    yield memoryview(data)[start : start + size]


def _mrw(data: bytes) -> Iterator[_Piece]:
    """Yield what follows the header block of a Minolta raw file."""
    yield memoryview(data)[8 + int.from_bytes(data[4:8], "big") :]


def _cr3(data: bytes) -> Iterator[_Piece]:
    """Yield the largest sample of a Canon CR3: the sensor's data."""
    movie = boxes.inside(data, (b"moov",))
    samples = [(0, 0)]
    for kind, start, end in boxes.boxes(data, *movie) if movie else ():
        table = boxes.inside(data, (b"mdia", b"minf", b"stbl"), start, end)
        if kind == b"trak" and table:
            sizes = boxes.inside(data, (b"stsz",), *table)
            places = boxes.inside(data, (b"co64",), *table)
            if sizes and places:
                one, _, first = struct.unpack_from(">III", data, sizes[0] + 4)
                samples.append((one or first, *struct.unpack_from(">Q", data, places[0] + 8)))
    size, start = max(samples)
    yield memoryview(data)[start : start + size]


# ------------------------------------------------------------------ boxes

#: Types of items that are pictures, or say how pictures are put together.
_PICTURE_ITEMS = frozenset(
    (b"hvc1", b"hev1", b"av01", b"avc1", b"vvc1", b"jpeg", b"j2k1", b"unci", b"grid", b"iovl")
)


def _heif(data: bytes) -> Iterator[_Piece]:
    """Yield the pictures among the items of a HEIC or AVIF file, by their number."""
    meta = boxes.inside(data, (b"meta",))
    if meta is None:
        return
    start, end = meta[0] + 4, meta[1]
    named, places = (
        boxes.inside(data, (b"iinf",), start, end),
        boxes.inside(data, (b"iloc",), start, end),
    )
    if named is None or places is None:
        return
    own = boxes.inside(data, (b"idat",), start, end) or (0, 0)
    pictures = _picture_items(data, *named)
    view = memoryview(data)
    for number, extents in sorted(_extents(data, places[0])):
        if number in pictures:
            yield number.to_bytes(4, "big") + pictures[number]
            for is_own, offset, size in extents:
                first = offset + (own[0] if is_own else 0)
                yield view[first : first + size if size else len(data)]


def _picture_items(data: bytes, start: int, end: int) -> dict[int, bytes]:
    """Return the types of the items that are pictures, by number, from a box "iinf"."""
    found = {}
    for kind, at, _ in boxes.boxes(data, start + (6 if data[start] == 0 else 8), end):
        wide = 4 if data[at] >= 3 else 2
        what = data[at + 6 + wide : at + 10 + wide]
        if kind == b"infe" and data[at] >= 2 and what in _PICTURE_ITEMS:
            found[int.from_bytes(data[at + 4 : at + 4 + wide], "big")] = what
    return found


def _extents(data: bytes, at: int) -> Iterator[tuple[int, list[tuple[bool, int, int]]]]:
    """Yield (number of the item, its extents) from a box "iloc".

    An extent is (whether it lies in the box "idat" and not in the file, offset, length).
    """

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(data):
            raise ValueError("cut off")
        return int.from_bytes(data[at - size : at], "big")

    version = number(1)
    number(3)
    sizes = number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    wide = 4 if version == 2 else 2
    for _ in range(number(wide)):
        item = number(wide)
        is_own = bool(version and number(2) & 15 == 1)
        number(2)
        base = number(base_size)
        extents = []
        for _ in range(number(2)):
            number(index_size)
            extents.append((is_own, base + number(offset_size), number(length_size)))
        yield item, extents


def _jpeg2000(data: bytes) -> Iterator[_Piece]:
    """Yield the codestream, and the palette of a JP2 file."""
    if data[:4] == b"\xff\x4f\xff\x51":
        yield data
        return
    palette = boxes.inside(data, (b"jp2h", b"pclr"))
    if palette:
        yield memoryview(data)[slice(*palette)]
    yield from _in_boxes(data, b"jp2c")


def _jxl(data: bytes) -> Iterator[_Piece]:
    """Yield the codestream, which a file with metadata holds in boxes."""
    if data[:2] == b"\xff\x0a":
        yield data
        return
    yield from _in_boxes(data, b"jxlc")
    for piece in _in_boxes(data, b"jxlp"):
        yield piece[4:]  # its number


def _in_boxes(data: bytes, wanted: bytes) -> Iterator[memoryview]:
    for kind, start, end in boxes.boxes(data):
        if kind == wanted:
            yield memoryview(data)[start:end]


# ------------------------------------------------------------------ others


def _psd(data: bytes) -> Iterator[_Piece]:
    """Yield the header, the palette and the merged picture: neither resources nor layers."""
    if data[4:6] != b"\0\1":
        return
    yield data[:26]
    at = 26
    for is_pixels in (True, False, False):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if is_pixels:
            yield data[at:end]
        at = end
    yield memoryview(data)[at:]


#: The magic and the numbers of a portable anymap, with what lies between: blanks and comments.
_PNM_HEAD = re.compile(rb"(P\S)((?:\s|#[^\n\r]*[\n\r])+)(\S+)((?:\s|#[^\n\r]*[\n\r])+)(\S+)")


def _pnm(data: bytes) -> Iterator[_Piece]:
    """Yield the file without the comments between the numbers of its header."""
    head = _PNM_HEAD.match(data)
    if head is None:
        return
    yield b" ".join(head.group(1, 3, 5))
    rest = re.compile(rb"(?:[ \t\r\n]*#[^\n\r]*(?=[\n\r]))*").match(data, head.end())
    yield memoryview(data)[rest.end() if rest else head.end() :]


_MOST_SVG = 32 << 20
_SVG_APART = re.compile(rb"(<(?:\w+:)?metadata\b)|(<!--)|<\?")


def _svg(data: bytes) -> Iterator[_Piece]:
    """Yield the drawing without its metadata, comments and the blanks between elements."""
    if data[:2] == b"\x1f\x8b":
        data = zlib.decompressobj(31).decompress(data, _MOST_SVG)
    yield re.sub(rb">\s+<", b"><", b"".join(_drawn(data))).strip()


def _drawn(data: bytes) -> Iterator[bytes]:
    """Yield an SVG's text between its metadata, comments and instructions.

    What begins and never ends stays.
    """
    closing = _Ahead(rb"</(?:\w+:)?metadata\s*>", data)
    bracket, comment, instruction = (_Ahead(end, data) for end in (rb">", rb"-->", rb"\?>"))
    kept = 0
    for begin in _SVG_APART.finditer(data):
        at = begin.end()
        if begin.start() < kept:
            continue
        if begin[1]:
            end = bracket.after(at)
            if end < 0 or data[end - 2] != 0x2F or end - 2 < at:  # not <metadata ... />
                end = closing.after(at)
        else:
            end = (comment if begin[2] else instruction).after(at)
        if end >= 0:
            yield data[kept : begin.start()]
            kept = end
    yield data[kept:]


class _Ahead:
    """Finds a pattern from rising places on, and reads no byte twice for it."""

    def __init__(self, pattern: bytes, data: bytes) -> None:
        self._pattern, self._data = re.compile(pattern), data
        self._found = self._pattern.search(data)

    def after(self, at: int) -> int:
        """Return where the first that begins at `at` or later ends; -1 if there is none."""
        if self._found is not None and self._found.start() < at:
            self._found = self._pattern.search(self._data, max(at, self._found.end()))
        return -1 if self._found is None else self._found.end()


def _whole(data: bytes) -> Iterator[_Piece]:
    """Yield the file, of a format without metadata."""
    yield data


#: By the name of the format; a format that is missing here has no digest.
_FINDERS: dict[str, Callable[[bytes], Iterator[_Piece]]] = {
    "JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "GIF": _gif, "TIFF": _tiff,
    **dict.fromkeys(("CR2", "DNG", "NEF", "ARW", "PEF", "SRW", "raw TIFF", "ORF", "RW2"), _tiff),
    "RAF": _raf, "CR3": _cr3, "MRW": _mrw, "AVIF": _heif, "HEIC": _heif, "JXL": _jxl,
    "JPEG2000": _jpeg2000, "PSD": _psd, "PNM": _pnm, "SVG": _svg,
    **dict.fromkeys(("BMP", "DIB", "ICO", "DDS"), _whole),
}  # fmt: skip
