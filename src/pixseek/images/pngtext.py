"""The text chunks of a PNG, before Pillow reads them: it gives up a whole file for one of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT = (b"tEXt", b"zTXt", b"iTXt")

#: Most bytes of a packed text, unpacked; Pillow refuses more.
_MOST_PACKED = 1 << 20

#: Most bytes of all texts together, unpacked; Pillow refuses 64 MiB.
_MOST_TEXTS = 8 << 20

#: Chunks that are looked at; encoders write one for every 8 KiB and more.
_MOST_CHUNKS = 1 << 18


def without_excess(data: bytes, notes: list[str]) -> bytes:
    """Return a PNG without the text chunks that are too large to read, or packed in no known way.

    Args:
        data: the file's content.
        notes: what was left out is added here.
    """
    kept: list[bytes] = []
    copied = left_out = 0
    room = _MOST_TEXTS
    for kind, start, end in _chunks(data):
        if kind not in _TEXT:
            continue
        if end - start - 12 <= room:
            size, is_all = _unpacked_size(kind, data[start + 8 : end - 4])
            # What was unpacked in vain counts as well: a file may hold a thousand bombs.
            room -= size
            if is_all and room >= 0:
                continue
        left_out += 1
        kept.append(data[copied:start])
        copied = end
    if not left_out:
        return data
    notes.append(f"{left_out} text{'s' if left_out > 1 else ''} too long or unreadable ignored")
    return b"".join((*kept, data[copied:]))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of the chunks, their lengths and checksums included."""
    start = len(_SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            return
        yield data[start + 4 : start + 8], start, end
        start = end


def _unpacked_size(kind: bytes, content: bytes) -> tuple[int, bool]:
    """Return how many bytes were unpacked of a chunk, and whether that is all Pillow will read."""
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
