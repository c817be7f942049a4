"""The `Range` header (RFC 9110, section 14)."""

from __future__ import annotations

import re

from pixseek.server.problems import Refused

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


def asked_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte that is asked for and the one after the last; None for all.

    Several ranges, other units and what is not understood mean all, as the standard allows.

    Args:
        header: the `Range` header; None for none.
        size: of the file, in bytes.

    Raises:
        Refused: no byte of the file is in the range.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        start, end = max(size - int(found[2]), 0), size
    else:
        start = int(found[1])
        end = min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= end:
        raise Refused(
            416, "range", "No such range of bytes", header or "", f"The file has {size:,} bytes.",
            {"Content-Range": f"bytes */{size}"},
        )  # fmt: skip
    return start, end
