"""Read the header of a JPEG 2000 codestream."""

from __future__ import annotations

_START, _CODING_STYLE = b"\xff\x4f\xff\x51", b"\xff\x52"

#: Maximum number of segments read; real headers have fewer than ten.
_MOST_SEGMENTS = 64


def levels(data: bytes) -> int:
    """Return how many times the decoder can halve the picture; 0 if the header doesn't say."""
    start = data.find(_START) + 2
    for _ in range(_MOST_SEGMENTS):
        if data[start : start + 2] == _CODING_STYLE and start + 9 < len(data):
            return data[start + 9]
        if start < 2 or data[start : start + 1] != b"\xff":
            return 0
        start += 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    return 0
