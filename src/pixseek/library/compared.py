"""The pixels of a library's images, for comparing images with each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pixseek import video
from pixseek.errors import ImageError
from pixseek.images import decode, turned
from pixseek.library import films
from pixseek.search.duplicates import Pictures

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.library.opened import Opened
    from pixseek.types import Record

#: Pixels a side of a picture without a preview.
_COMPARED = 384

#: Pixels of the shorter side of frames of videos.
_FRAME = 64


def pictures(opened: Opened) -> Pictures:
    """Return what gives the pictures of a library's records, small and at full size."""

    def small(record: Record) -> Image.Image | None:
        preview = opened.preview(record)
        return _of_file(opened, record, _COMPARED) if preview is None else _decoded(preview)

    def frames(record: Record, seconds: Sequence[float]) -> list[Image.Image]:
        source = films.source_of(opened, record) if video.available() else None
        if source is None:
            return []
        try:
            return [each.pixels for each in video.at_seconds(source, seconds, _FRAME)]
        except ImageError:
            return []

    return Pictures(small, lambda record: _of_file(opened, record, None), frames)


def _of_file(opened: Opened, record: Record, at_least: int | None) -> Image.Image | None:
    content = None if record.is_video else opened.original(record)
    if content is None or (record.stamp is not None and record.stamp.size != len(content)):
        return None  # it is away, or it has changed since it was indexed
    return _decoded(content, at_least, str(record.fields.get("turned", "")))


def _decoded(content: bytes, at_least: int | None = None, turn: str = "") -> Image.Image | None:
    """Return the pixels of a file or preview; None if it can't be decoded.

    Args:
        content: of the file or preview.
        at_least: pixels a side that are enough; None for all.
        turn: the orientation that only a sidecar tells; see `images.turned`.
    """
    try:
        return turned(decode(content, at_least=at_least), turn).pixels
    except ImageError:
        return None
