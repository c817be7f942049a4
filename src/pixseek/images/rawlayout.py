"""Find the places where a camera raw file says its previews are.

Makers differ, but most name the place: in a TIFF directory, in Fujifilm's header, in a box of
Canon's CR3. The result is only where to look: `raw` checks what is really there.
"""

from __future__ import annotations

from collections.abc import Iterator

from pixseek.images import boxes, tiffheader

#: Photometric interpretations of mosaiced and linear sensor data.
SENSOR_DATA = frozenset((32803, 34892))

#: Position in a RAF header of two numbers: offset and length of the preview.
_RAF_PREVIEW = 84

CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_CANON_PREVIEW = bytes.fromhex("eaf42b5e1c984b88b9fbb7dc406e4d16")

#: Maximum number of tracks read in a CR3; real files have four.
_MOST_TRACKS = 8

#: Maximum bytes in a box before its JPEG; THMB and PRVW have 16, the uuid box has 8 more.
_BEFORE_JPEG = 64

_Span = tuple[int, int]


def spans(data: bytes) -> Iterator[_Span]:
    """Yield (offset, length) of each preview that the file names; length 0 if it isn't given."""
    if data[:15] == b"FUJIFILMCCD-RAW":
        yield _number(data, _RAF_PREVIEW, 4), _number(data, _RAF_PREVIEW + 4, 4)
    elif boxes.brands(data)[:1] == (b"crx ",):
        yield from _in_cr3(data)
    else:
        yield from _in_tiff(data)


def canon_directory(data: bytes) -> bytes:
    """Return the first directory of a CR3, which is a complete TIFF; b"" if absent."""
    movie = boxes.inside(data, (b"moov",))
    for kind, start, end in boxes.boxes(data, *movie) if movie else ():
        if kind == b"uuid" and data[start : start + 16] == CANON:
            found = boxes.inside(data, (b"CMT1",), start + 16, end)
            return data[slice(*found)] if found else b""
    return b""


def _in_tiff(data: bytes) -> Iterator[_Span]:
    for directory in tiffheader.directories(data):
        if tiffheader.PANASONIC_JPEG in directory.entries:
            _, length, start = directory.entries[tiffheader.PANASONIC_JPEG]
            yield start, length
        offset = directory.number(tiffheader.JPEG_OFFSET)
        if offset:
            yield offset, directory.number(tiffheader.JPEG_LENGTH) or 0
        if directory.number(tiffheader.PHOTOMETRIC) not in SENSOR_DATA:
            strips = directory.numbers(tiffheader.STRIP_OFFSETS)
            if len(strips) == 1:
                yield strips[0], directory.number(tiffheader.STRIP_BYTE_COUNTS) or 0


def _in_cr3(data: bytes) -> Iterator[_Span]:
    for kind, start, end in boxes.boxes(data):
        if kind == b"uuid" and data[start : start + 16] == _CANON_PREVIEW:
            yield from _jpeg_in(data, boxes.inside(data, (b"PRVW",), start + 24, end))
        elif kind == b"moov":
            tracks = 0
            for inner, first, last in boxes.boxes(data, start, end):
                if inner == b"uuid" and data[first : first + 16] == CANON:
                    yield from _jpeg_in(data, boxes.inside(data, (b"THMB",), first + 16, last))
                elif inner == b"trak" and tracks < _MOST_TRACKS:
                    tracks += 1
                    yield from _in_track(data, first, last)


def _jpeg_in(data: bytes, box: _Span | None) -> Iterator[_Span]:
    if box:
        start = data.find(b"\xff\xd8\xff", box[0], min(box[0] + _BEFORE_JPEG, box[1]))
        if start >= 0:
            yield start, box[1] - start


def _in_track(data: bytes, start: int, end: int) -> Iterator[_Span]:
    """Yield the only sample of a track; the full-size JPEG is one, the sensor's data another."""
    table = boxes.inside(data, (b"mdia", b"minf", b"stbl"), start, end)
    if table is None:
        return
    sizes = boxes.inside(data, (b"stsz",), *table)
    for kind, width in ((b"co64", 8), (b"stco", 4)):
        offsets = boxes.inside(data, (kind,), *table)
        if offsets:
            size = 0
            if sizes:
                size = _number(data, sizes[0] + 4, 4) or _number(data, sizes[0] + 12, 4)
            yield _number(data, offsets[0] + 8, width), size


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")
