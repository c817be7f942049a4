"""Read the directories of a TIFF file; EXIF blocks and most camera raw files are TIFFs too.

Unlike Pillow's reader, this one never warns, never loops, and reads only what decoding needs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import field

from pixseek.types.dataclass import dataclass

IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE = 0x100, 0x101, 0x102
COMPRESSION, PHOTOMETRIC = 0x103, 0x106
MAKE, STRIP_OFFSETS, ORIENTATION, SUB_IFDS = 0x10F, 0x111, 0x112, 0x14A
STRIP_BYTE_COUNTS, JPEG_OFFSET, JPEG_LENGTH = 0x117, 0x201, 0x202
XMP, IPTC, PHOTOSHOP, DNG_VERSION = 0x2BC, 0x83BB, 0x8649, 0xC612
PANASONIC_JPEG = 0x2E

#: Maximum number of elements in a value; longer ones read as empty. The longest needed is XMP.
_LONGEST = 1 << 24

#: Maximum numbers read from one tag; decoding needs a few.
_MOST_NUMBERS = 64

#: Maximum number of directories visited; real files have fewer than ten.
_MOST_DIRECTORIES = 64

#: Maximum entries read from one directory; real ones have fewer than 200. Without a limit, a
#: hostile file of 6 MB took 2.4 s.
_MOST_ENTRIES = 1024

#: Struct codes of the types, by their number in the file.
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 7: "B", 2: "B"}


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory: its tags and the positions of their values.

    Attributes:
        data: the whole file.
        order: byte order, as a prefix for `struct`: "<" or ">".
        entries: (type, count, offset of the values) by tag.
    """

    data: bytes = field(repr=False)
    order: str
    entries: dict[int, tuple[int, int, int]]

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return the first 64 integers of a tag; () if it is missing, broken or not an integer."""
        kind, count, offset = self.entries.get(tag, (0, 0, 0))
        code = _CODES.get(kind)
        if code is None:
            return ()
        count = min(count, _MOST_NUMBERS)
        try:
            return struct.unpack_from(f"{self.order}{count}{code}", self.data, offset)
        except struct.error:
            return ()

    def number(self, tag: int) -> int | None:
        """Return the first integer of a tag; None if it has none."""
        return next(iter(self.numbers(tag)), None)

    def content(self, tag: int) -> bytes:
        """Return the bytes of a tag; b"" if it is missing or broken."""
        kind, count, offset = self.entries.get(tag, (0, 0, 0))
        size = count * struct.calcsize(_CODES.get(kind, "0s"))
        return self.data[offset : offset + size] if 0 < count <= _LONGEST else b""


def directories(data: bytes) -> Iterator[Directory]:
    """Yield the directories of a TIFF: the first, the ones linked from it, and their children.

    A broken file yields the directories that can be read.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return
    waiting = [struct.unpack_from(f"{order}I", data, 4)[0]]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        offset = waiting.pop(0)
        if offset in seen or not 0 < offset <= len(data) - 6:
            continue
        seen.add(offset)
        (count,) = struct.unpack_from(f"{order}H", data, offset)
        entries: dict[int, tuple[int, int, int]] = {}
        read = min(count, _MOST_ENTRIES)
        for position in range(offset + 2, min(offset + 2 + 12 * read, len(data) - 11), 12):
            tag, kind, length = struct.unpack_from(f"{order}HHI", data, position)
            size = length * struct.calcsize(_CODES.get(kind, "8s"))
            values = position + 8
            if size > 4:
                (values,) = struct.unpack_from(f"{order}I", data, values)
            entries.setdefault(tag, (kind, length, values))
        directory = Directory(data, order, entries)
        yield directory
        after = offset + 2 + 12 * count
        if after + 4 <= len(data):
            waiting.append(struct.unpack_from(f"{order}I", data, after)[0])
        waiting += directory.numbers(SUB_IFDS)


def orientation(exif: bytes) -> int | None:
    """Return the orientation, 1 to 8, of an EXIF block without its "Exif" prefix; None if none."""
    first = next(directories(exif), None)
    value = first.number(ORIENTATION) if first else None
    return value if value is not None and 1 <= value <= 8 else None
