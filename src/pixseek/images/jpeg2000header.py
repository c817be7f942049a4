"""What a JPEG 2000 codestream says of itself before its pixels."""

from __future__ import annotations

_START, _CODING_STYLE = b"\xff\x4f\xff\x51", b"\xff\x52"

#: Segments that are looked at; real headers have fewer than ten.
_MOST_SEGMENTS = 64


def levels(data: bytes) -> int:
    """Return how often a picture can be halved without decoding all of it; 0 if it isn't said."""
    start = data.find(_START) + 2
    for _ in range(_MOST_SEGMENTS):
        if data[start : start + 2] == _CODING_STYLE and start + 9 < len(data):
            return data[start + 9]
        if start < 2 or data[start : start + 1] != b"\xff":
            return 0
        start += 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    return 0
