"""Read the boxes that ISO media files consist of: HEIC, AVIF, JPEG 2000, JPEG XL, Canon CR3."""

from __future__ import annotations

from collections.abc import Iterator

_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_EXIF = b"JpgTiffExif->JP2"

#: Maximum number of boxes read at one level; real files have a few dozen.
_MOST_BOXES = 4096


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of each box in `data[start:end]`; start and end are its content."""
    end = len(data) if end is None else end
    for _ in range(_MOST_BOXES):
        if start + 8 > end:
            return
        size, kind, head = (
            int.from_bytes(data[start : start + 4], "big"),
            data[start + 4 : start + 8],
            8,
        )
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        elif size == 0:
            size = end - start
        if size < head:
            return
        yield kind, start + head, min(start + size, end)
        start += size


def inside(
    data: bytes, path: tuple[bytes, ...], start: int = 0, end: int | None = None
) -> tuple[int, int] | None:
    """Follow a path of box types, taking the first box of each type.

    Returns:
        Start and end of the last box's content; None if a box is missing.
    """
    for wanted in path:
        found = next((box for box in boxes(data, start, end) if box[0] == wanted), None)
        if found is None:
            return None
        _, start, end = found
    return start, end or start


def brands(data: bytes) -> tuple[bytes, ...]:
    """Return the brands of an ISO media file, the major one first; () for any other file."""
    if data[4:8] != b"ftyp":
        return ()
    size = min(int.from_bytes(data[:4], "big"), 512)
    return (data[8:12], *(data[i : i + 4] for i in range(16, size - 3, 4)))


def embedded_metadata(data: bytes) -> tuple[bytes, bytes]:
    """Return the EXIF block and the XMP packet of a JPEG 2000 or JPEG XL file; b"" if absent.

    JPEG XL may compress them with Brotli ("brob"); its decoder reads those.
    """
    exif = xmp = b""
    for kind, start, end in boxes(data):
        if kind == b"Exif":
            skip = int.from_bytes(data[start : start + 4], "big")
            exif = data[start + 4 + skip : end]
        elif kind == b"xml " and b"xmpmeta" in data[start : min(start + 1024, end)]:
            xmp = data[start:end]
        elif kind == b"uuid" and data[start : start + 16] == _XMP:
            xmp = data[start + 16 : end]
        elif kind == b"uuid" and data[start : start + 16] == _EXIF:
            exif = data[start + 16 : end]
    return exif, xmp
