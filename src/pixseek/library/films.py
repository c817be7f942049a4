"""The videos of records: where they are, frames of them, and clips cut out of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.errors import ImageError, QueryError
from pixseek.types import Part, Record
from pixseek.types.clock import clock

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.library.opened import Opened
    from pixseek.video import Cut, Source


def source_of(opened: Opened, record: Record) -> Source | None:
    """Return where the video of a record is; None if it has none, or it is not there now.

    That of a photo with a moving part is in the same file, or in another next to it.
    """
    from pixseek import video

    motion = str(record.fields.get("motion", ""))
    is_apart = bool(motion) and motion != "embedded"
    if is_apart and Path(motion).name != motion:  # a record may come from an import
        return None
    uri = f"{record.uri.rpartition('/')[0]}/{motion}" if is_apart else record.uri
    path = opened.roots.file_of(uri) if record.is_video or motion else None
    if path is None:
        return None
    window = None
    if motion == "embedded":
        try:
            window = video.embedded_clip(path)
        except ImageError:
            return None
        if window is None:
            return None
    return video.Source(path, window, opened.roots.within(uri))


def frame(opened: Opened, record: Record, second: float) -> Image.Image:
    """Return the frame of a record's video that is shown at a second; see `Library.frame`."""
    from pixseek import video

    return video.frame_at(_there(opened, record), second).pixels


def cut(opened: Opened, record: Record, part: Part, to: Path, *, exact: bool) -> Cut:
    """Cut a shot out of a record's video; see `Library.cut`."""
    from pixseek import video

    if part.start_s is None or part.end_s is None:
        raise QueryError(
            "This hit is not a shot of a video", record.uri, "Only shots are cut out of files."
        )
    source = _there(opened, record)
    return video.cut(source, part.start_s, part.end_s, to, exact=exact)


def clip_name(record: Record, part: Part) -> str:
    """Return the name of the file for a shot: "drive 0m12s-0m17s.mp4"."""
    stem, dot, ending = record.name.rpartition(".")
    moving = f"{dot}{ending}" if record.is_video else ".mp4"
    start, end = (clock(each or 0.0).replace(":", "m") + "s" for each in (part.start_s, part.end_s))
    return f"{stem or record.name} {start}-{end}{moving}"


def _there(opened: Opened, record: Record) -> Source:
    source = source_of(opened, record)
    if source is None:
        raise QueryError(
            "The video is not there now", record.uri,
            "Connect its drive, or check that the record is of a video.",
        )  # fmt: skip
    return source
