"""The videos of records: where they are, frames of them, and clips cut out of them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pixseek.errors import ImageError, QueryError
from pixseek.types import Item, Part, Record
from pixseek.types.clock import clock

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.library.opened import Opened
    from pixseek.video import Cut, Source


def source_of(opened: Opened, record: Record) -> Source | None:
    """Return where the video of a record is; None if it has none, or it is not there now.

    That of a photo with a moving part is in the same file, or in another next to it. A record may
    come from an import, so what it names is served only if it is a video by its name and content.
    """
    from pixseek.video.frames import media_of

    motion, apart = str(record.fields.get("motion", "")), clip_beside(record)
    uri = apart or record.uri
    is_here = record.is_video or apart or motion == "embedded"
    if not is_here:
        return None
    if opened.roots.is_item(uri):
        source = _in_archive(opened, uri, is_photo=motion == "embedded")
    else:
        source = _in_folder(opened, uri, is_photo=motion == "embedded")
    if source is None:
        return None
    if apart:
        try:
            media_of(source)
        except ImageError:
            return None
    return source


def _in_folder(opened: Opened, uri: str, *, is_photo: bool) -> Source | None:
    """Return where a video is, or the clip within a photo."""
    from pixseek import video

    path = opened.roots.file_of(uri)
    if path is None:
        return None
    window, within = None, opened.roots.within(uri)
    if is_photo:
        with contextlib.suppress(ImageError):
            window = video.embedded_clip(path, within)
        if window is None:
            return None
    return video.Source(path, window, within)


def _in_archive(opened: Opened, uri: str, *, is_photo: bool) -> Source | None:
    """Return where a video is, or the clip within a photo, that is a member of an archive."""
    from pixseek.indexing.videos import source_of as content_of
    from pixseek.video.motion import clip_in

    with contextlib.suppress(OSError):
        if not is_photo:
            item = opened.roots.file_in(uri)
            return None if item is None else content_of(item)
        content = opened.roots.read(uri)
        if (window := clip_in(content)) is not None:
            return content_of(Item(content[window[0] : sum(window)]))
    return None


def clip_beside(record: Record) -> str:
    """Return the URI of the file next to a photo that is its moving part; "" for none."""
    from pixseek import video

    motion = str(record.fields.get("motion", ""))
    is_name = PurePosixPath(motion).name == motion
    if not is_name or PurePosixPath(motion).suffix.lower() not in video.EXTENSIONS:
        return ""
    return f"{record.uri.rpartition('/')[0]}/{motion}"


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
    """Return the name of the file for a shot: "drive 0m12s-0m17s.mp4".

    It has tenths of seconds if another shot of the video lies in the same whole seconds.
    """
    name = PurePosixPath(record.name)
    same = [each for each in record.shots if _written(each) == _written(part)]
    when = _written(part, tenths=len(same) > 1)
    return f"{name.stem} {when}{(name.suffix or '.mkv') if record.is_video else '.mp4'}"


def clip_names(shots: Sequence[tuple[Record, Part]]) -> list[str]:
    """Return a name for the file of each shot: "(2)" is added if another of them has it."""
    taken: dict[str, int] = {}
    names = []
    for record, part in shots:
        name = PurePosixPath(clip_name(record, part))
        # Discs of Windows and macOS take "A.mp4" and "a.mp4" for the same.
        count = taken[name.name.casefold()] = taken.get(name.name.casefold(), 0) + 1
        names.append(name.name if count == 1 else f"{name.stem} ({count}){name.suffix}")
    return names


def _written(part: Part, *, tenths: bool = False) -> str:
    def written(second: float) -> str:
        rest = f".{int(second * 10) % 10}" if tenths else ""
        return f"{clock(second).replace(':', 'm')}{rest}s"

    return f"{written(part.start_s or 0.0)}-{written(part.end_s or 0.0)}"


def _there(opened: Opened, record: Record) -> Source:
    source = source_of(opened, record)
    if source is None:
        raise QueryError(
            "The video is not there now", record.uri,
            "Connect its drive, or check that the record is of a video.",
        )  # fmt: skip
    return source
