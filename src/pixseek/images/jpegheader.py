"""Read the header of a JPEG."""

from __future__ import annotations

from pixseek.types.dataclass import dataclass

_NO_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_FRAMES = frozenset(
    (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
)

#: Maximum number of segments and fill bytes before the pixels; a photo with 16 MB of metadata has
#: 256. Without a limit, a hostile file of 200 kB took 9 s.
_MOST_SEGMENTS = 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """The frame header of a JPEG.

    Attributes:
        kind: low half of its marker: 0 and 1 are sequential, 2 progressive, 3 lossless.
        width: in pixels.
        height: in pixels.
        components: 1, 3 or 4.
        one_scan: whether the decoder emits pixels as it reads; otherwise it first holds all
            coefficients in memory.
    """

    kind: int
    width: int
    height: int
    components: int
    one_scan: bool


def scans(data: bytes) -> int:
    """Return the maximum number of scans in a JPEG; those of embedded previews count too."""
    return data.count(b"\xff\xda")


def frame(data: bytes, start: int = 0) -> Frame | None:
    """Return the frame of the JPEG that begins at `start`; None if its header is incomplete."""
    position = start + 2
    found: tuple[int, int, int, int] | None = None
    for _ in range(_MOST_SEGMENTS):
        if position + 4 > len(data):
            return None
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:  # fill bytes
            position += 1
            continue
        if marker in _NO_LENGTH:
            position += 2
            continue
        size = int.from_bytes(data[position + 2 : position + 4], "big")
        if size < 2 or marker == 0xD9:
            return None
        if marker in _FRAMES and size >= 8 and position + 10 <= len(data):
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            width = int.from_bytes(data[position + 7 : position + 9], "big")
            found = marker & 15, width, height, data[position + 9]
        if marker == 0xDA:
            if found is None or position + 5 > len(data):
                return None
            kind, width, height, components = found
            several = kind in (2, 6, 10) or data[position + 4] < components
            return Frame(kind, width, height, components, not several)
        position += 2 + size
    return None
