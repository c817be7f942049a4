"""Drop texts and colour profiles from a PNG that would make Pillow refuse the whole file."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_PROFILE = b"iCCP"

#: Maximum bytes of one compressed text when unpacked; Pillow refuses more.
_MOST_PACKED = 1 << 20

#: Maximum bytes of all texts together when unpacked; Pillow's own limit is 64 MiB.
_MOST_TEXTS = 8 << 20

#: Maximum number of chunks read; encoders write at most one per 8 KiB.
_MOST_CHUNKS = 1 << 18


def without_excess(data: bytes, notes: list[str]) -> bytes:
    """Return a PNG without texts and profiles that are too large or compressed in an unknown way.

    Args:
        data: the file's content.
        notes: a note about dropped chunks is appended here.
    """
    kept: list[bytes] = []
    copied = left_out = profiles = 0
    room = _MOST_TEXTS
    for kind, start, end in _chunks(data):
        if kind == _PROFILE:
            # The first counts, so that a thousand bombs aren't unpacked.
            profiles += 1
            if profiles > 1 or not _unpacked_size(b"zTXt", data[start + 8 : end - 4])[1]:
                if profiles == 1:
                    notes.append("broken colour profile ignored")
                kept.append(data[copied:start])
                copied = end
            continue
        if kind not in _TEXT:
            continue
        if end - start - 12 <= room:
            size, is_all = _unpacked_size(kind, data[start + 8 : end - 4])
            # Texts that are then dropped count too: a file may hold a thousand bombs.
            room -= size
            if is_all and room >= 0:
                continue
        left_out += 1
        kept.append(data[copied:start])
        copied = end
    if not copied:
        return data
    if left_out:
        notes.append(f"{left_out} text{'s' if left_out > 1 else ''} too long or unreadable ignored")
    return b"".join((*kept, data[copied:]))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of each chunk, including its length and checksum."""
    start = len(_SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            return
        yield data[start + 4 : start + 8], start, end
        start = end


def _unpacked_size(kind: bytes, content: bytes) -> tuple[int, bool]:
    """Return how many bytes of a chunk were unpacked, and whether Pillow would read it all."""
    _, _, rest = content.partition(b"\0")
    packed = rest[1:]
    if kind == b"iTXt":  # a flag, the method, the language, the translated keyword
        packed = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    if kind == b"tEXt" or not rest or (kind == b"iTXt" and rest[0] == 0):
        return len(content), True
    if kind == b"zTXt" and rest[0] != 0:
        return 0, False
    unpacker = zlib.decompressobj()
    try:
        size = len(unpacker.decompress(packed, _MOST_PACKED))
    except zlib.error:
        return len(content), True  # Pillow reads it as empty
    return max(size, len(content)), not unpacker.unconsumed_tail
