"""The moving part of a photo: a short clip in the same file, or in one of the same name next to it.

Phones write the first in several ways (Google's MicroVideo and MotionPhoto, Samsung's trailer, the
box mpvd of HEIC), which agree in one: a whole MP4 follows the picture. So that is looked for. The
second is Apple's Live Photo: IMG_1.HEIC and IMG_1.MOV, which share an identifier.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from pixseek import files
from pixseek.errors import ImageError
from pixseek.images.limits import MAX_BYTES
from pixseek.types import Record, Scalar
from pixseek.video.frames import media_of
from pixseek.video.process import Source, unreadable

#: The fields of a photo with a moving part: where it is (the name of the file next to the photo,
#: or `EMBEDDED`), and of such a file the SHA-256.
MOTION, MOTION_DIGEST = "motion", "pixseek.motion"
EMBEDDED = "embedded"

#: Boxes at the top of an MP4.
_TOP = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"udta", b"meta",
                  b"moof", b"mfra", b"sidx", b"styp"})  # fmt: skip

#: Brands of clips in motion photos, so that the boxes of a HEIC itself are none.
_BRANDS = (b"mp4", b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"qt  ", b"avc1", b"3gp", b"M4V",
           b"MSNV")  # fmt: skip

#: Seconds that a clip without Apple's identifier lasts at most, to be the moving part of the photo
#: of its name: phones film 1.5 to 5 s, and `movie.jpg` may be the cover of `movie.mp4`.
_LONGEST_S = 6.0

#: Bytes of a clip's index that are read, at most: that of a Live Photo has 10 kB.
_MOST_INDEX = 8 << 20

#: Boxes at the top of a clip that are looked at, at most.
_MOST_BOXES = 1000

#: Apple's identifier of a Live Photo: in the maker note of the photo, and in the clip's index.
_IDENTIFIER = b"com.apple.quicktime.content.identifier"
_MAKER_NOTE = b"Apple iOS\0"
_UUID = re.compile(rb"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def moving_part(record: Record) -> tuple[str, Scalar]:
    """Return what is equal for photos of the same content if their moving parts are, too."""
    where = str(record.fields.get(MOTION, ""))
    return where if where in ("", EMBEDDED) else "beside", record.fields.get(MOTION_DIGEST, "")


def embedded_clip(path: Path | str, within: str | None = None) -> tuple[int, int] | None:
    """Return first byte and length of the clip of a motion photo; None if the file has none.

    Args:
        path: of the photo.
        within: the folder that it has to lie in, resolved; None for any place.

    Raises:
        ImageError: it can't be read, or is too large for a photo.
    """
    try:
        # Not mapped: a file that is cut off meanwhile would end the process.
        return clip_in(files.read(path, MAX_BYTES, within=within))
    except OSError as error:
        raise unreadable(error) from error


def clip_in(content: bytes) -> tuple[int, int] | None:
    """Return first byte and length of the clip of a motion photo; None if the content has none."""
    at = content.find(b"ftyp", 8)
    while at >= 0:
        start = at - 4
        if content[at + 4 : at + 8].startswith(_BRANDS):
            end, is_whole = _end_of_boxes(content, start)
            if is_whole:
                return start, end - start
            at = max(at, end - 4)  # none of these boxes begins a whole one, so each is read once
        at = content.find(b"ftyp", at + 4)
    return None


def may_move(still: bytes) -> bool:
    """Return whether a photo is of a format that phones give moving parts: JPEG or HEIC."""
    return still.startswith(b"\xff\xd8") or still[4:8] == b"ftyp"


def is_clip_of(still: bytes, clip: Source) -> bool:
    """Return whether a clip is the moving part of the photo of its name.

    If the clip has Apple's identifier, a photo with Apple's maker note must have the same. Any
    other clip must be short.

    Args:
        still: content of the photo.
        clip: where the clip is.

    Raises:
        ImageError: the clip can't be read.
    """
    if not may_move(still):
        return False
    try:
        media_of(clip)
        index = _index_of(clip)
    except OSError as error:
        raise unreadable(error) from error
    except ImageError as error:
        if error.reason in ("empty", "not-an-image"):
            return False
        raise
    if _IDENTIFIER in index:
        if _MAKER_NOTE not in still:
            return True  # it was saved again, without it
        return bool(set(_UUID.findall(still)) & set(_UUID.findall(index)))
    return 0 < _seconds_of(index) <= _LONGEST_S


def of_half(name: str, error: ImageError) -> ImageError:
    """Return the error for a file whose other half, of this name, can't be read."""
    return ImageError(error.reason, f"{name} next to it: {error.problem}", advice=error.advice)


def _index_of(clip: Source) -> bytes:
    """Return the content of the box moov; b"" if there is none."""
    with clip.opened() as descriptor:
        start, length = clip.window or (0, os.fstat(descriptor).st_size)
        at, end = start, start + length
        for _ in range(_MOST_BOXES):
            if at + 8 > end:
                break
            os.lseek(descriptor, at, os.SEEK_SET)
            head = os.read(descriptor, 16)
            size, kind, skipped = int.from_bytes(head[:4]), head[4:8], 8
            if size == 1:
                size, skipped = int.from_bytes(head[8:16]), 16
            elif size == 0:
                size = end - at
            if size < skipped:
                break
            if kind == b"moov":
                os.lseek(descriptor, at + skipped, os.SEEK_SET)
                return os.read(descriptor, min(size - skipped, _MOST_INDEX))
            at += size
    return b""


def _seconds_of(index: bytes) -> float:
    """Return how long a clip lasts, by the header in its index; 0.0 when unknown."""
    at = index.find(b"mvhd")
    if at < 0 or len(index) < at + 36:
        return 0.0
    if index[at + 4] == 1:
        scale, units = index[at + 24 : at + 28], index[at + 28 : at + 36]
    else:
        scale, units = index[at + 16 : at + 20], index[at + 20 : at + 24]
    return int.from_bytes(units) / max(1, int.from_bytes(scale))


def _end_of_boxes(content: bytes, start: int) -> tuple[int, bool]:
    """Return where the boxes of an MP4 end that begin at a byte, and whether it is a whole one."""
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
    return at, {b"ftyp", b"moov", b"mdat"} <= seen
