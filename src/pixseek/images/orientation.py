"""Turn an image upright, as its metadata say, exactly once."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from pixseek.images import tiffheader
from pixseek.images.derived import PREVIEW_SIDE

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.types import Picture, Record

_IN_XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]")


#: Texts of exifread for EXIF's orientations, in lower case.
TEXTS = {
    "horizontal (normal)": 1,
    "mirrored horizontal": 2,
    "rotated 180": 3,
    "mirrored vertical": 4,
    "mirrored horizontal then rotated 90 ccw": 5,
    "rotated 90 cw": 6,
    "mirrored horizontal then rotated 90 cw": 7,
    "rotated 90 ccw": 8,
}


def stored_orientation(exif: bytes, xmp: bytes) -> int:
    """Return the orientation, 1 to 8, from EXIF, or from XMP if EXIF has none."""
    value = tiffheader.orientation(exif)
    if value is None:
        found = _IN_XMP.search(xmp)
        value = int(found[1]) if found else 1
    return value


def on_its_side(value: int) -> bool:
    """Return whether the orientation swaps width and height."""
    return value in (5, 6, 7, 8)


def reverses(value: int) -> tuple[bool, bool]:
    """Return whether stored rows are read right to left, and whether columns bottom to top."""
    return value in (2, 3, 7, 8), value in (3, 4, 6, 7)


def upright(image: Image.Image, value: int) -> Image.Image:
    """Return the image with an orientation of 1 to 8 applied."""
    from PIL.Image import Transpose

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(value)
    return image if turn is None else image.transpose(turn)


def turned(picture: Picture, text: str) -> Picture:
    """Return a picture with an orientation applied that was written outside of its file.

    If the file has one of its own, that was applied when it was decoded, and nothing changes.

    Args:
        picture: as it was decoded.
        text: one of `TEXTS`; any other changes nothing.
    """
    has_own = tiffheader.orientation(picture.exif) is not None or _IN_XMP.search(picture.xmp)
    value = TEXTS.get(text.lower(), 1)
    if value == 1 or has_own:
        return picture
    width, height = picture.width, picture.height
    return replace(
        picture,
        pixels=upright(picture.pixels, value),
        width=height if on_its_side(value) else width,
        height=width if on_its_side(value) else height,
    )


def as_indexed(picture: Picture, content: bytes, record: Record) -> Picture:
    """Return the decoded file or preview of a record as the record describes it.

    Args:
        picture: as it was decoded.
        content: of which it was decoded.
        record: of an image; its preview is upright, its file perhaps not.
    """
    text = str(record.fields.get("turned", ""))
    if text and (
        max(picture.width, picture.height) > PREVIEW_SIDE
        or hashlib.sha256(content).hexdigest() == record.digest
    ):
        picture = turned(picture, text)
    if not record.width or not record.height:
        return picture
    return replace(picture, width=record.width, height=record.height)
