"""The clip within a motion photo: a video behind the picture in the same file.

Phones write it in several ways (Google's MicroVideo and MotionPhoto, Samsung's trailer, the box
mpvd of HEIC), which agree in one: a whole MP4 follows the picture. So that is looked for.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from pixseek import files
from pixseek.video.process import unreadable

#: Boxes at the top of an MP4.
_TOP = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"udta", b"meta",
                  b"moof", b"mfra", b"sidx", b"styp"})  # fmt: skip

#: Brands of clips in motion photos, so that the boxes of a HEIC itself are none.
_BRANDS = (b"mp4", b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"qt  ", b"avc1", b"3gp", b"M4V",
           b"MSNV")  # fmt: skip


def embedded_clip(path: Path | str) -> tuple[int, int] | None:
    """Return first byte and length of the clip of a motion photo; None if the file has none.

    Raises:
        ImageError: it can't be read.
    """
    try:
        with files.opened(path) as descriptor:
            if not os.fstat(descriptor).st_size:
                return None
            with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
                return clip_in(content)
    except OSError as error:
        raise unreadable(error) from error


def clip_in(content: bytes | mmap.mmap) -> tuple[int, int] | None:
    """Return first byte and length of the clip of a motion photo; None if the content has none."""
    at = content.find(b"ftyp", 8)
    while at >= 0:
        start = at - 4
        if content[at + 4 : at + 8].startswith(_BRANDS):
            end = _end_of_boxes(content, start)
            if end:
                return start, end - start
        at = content.find(b"ftyp", at + 4)
    return None


def _end_of_boxes(content: bytes | mmap.mmap, start: int) -> int:
    """Return where the boxes of an MP4 end that begin at a byte; 0 if it is not a whole one."""
    at, seen = start, set[bytes]()
    while at + 8 <= len(content):
        size, kind = int.from_bytes(content[at : at + 4]), bytes(content[at + 4 : at + 8])
        if size == 1:
            size = int.from_bytes(content[at + 8 : at + 16])
        elif size == 0:
            size = len(content) - at
        if kind not in _TOP or size < 8 or at + size > len(content):
            break  # what programs write behind it
        seen.add(kind)
        at += size
    return at if {b"ftyp", b"moov", b"mdat"} <= seen else 0
