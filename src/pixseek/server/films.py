"""What the viewer needs to play a video: its shots, which of them a query finds, and clips."""

from __future__ import annotations

import os
import tempfile
import threading
from typing import Any
from urllib.parse import quote

from pixseek.errors import QueryError
from pixseek.library import Library
from pixseek.library.surfaces import OpenFile
from pixseek.server.markup import escape
from pixseek.server.problems import Refused
from pixseek.types import Hit, Part, Record, Strength

#: Shots of the strip, at most: those that match, best first, then others evenly over the video.
MOST = 80

#: Seconds of a shot that is cut out for a client, at most.
MOST_CUT_S = 600.0

#: Shots that are cut out at once.
_CUTS = threading.BoundedSemaphore(2)


def film_of(record: Record, hit: Hit | None) -> dict[str, Any] | None:
    """Return how a video is played and what its strip shows; None for an image.

    Args:
        record: of an image or a video.
        hit: the same as a hit of what is looked for; None for nothing.

    Returns:
        `source`: the last part of the file's address; `part`: the place of the best shot among the
        parts of the record, null for none; `shots`: in order of time.
    """
    places = {part: n for n, part in enumerate(record.parts) if part.kind == "shot"}
    if not places:
        return None
    matching: dict[Part, Strength] = {}
    best = None
    if hit is not None and hit.why and hit.part in places:
        best = places[hit.part]
        if hit.strength != "weak":
            matching[hit.part] = hit.strength
    if hit is not None:
        matching |= {each.part: each.strength for each in hit.moments if each.part in places}
    return {
        "source": "original" if record.is_video else "clip",
        "part": best,
        "shots": [
            {
                "part": places[part],
                "start": part.start_s or 0.0,
                "end": part.end_s or 0.0,
                "strength": matching.get(part),
            }
            for part in _shown(list(places), hit.part if hit else None, list(matching))
        ],
    }


def picture(record: Record, moment: Part, there: str, of: str, alt: str) -> str:
    """Return the picture of an image, or the player of a video, as HTML.

    Args:
        record: of the image.
        moment: the shot that the video plays from; any other part for its beginning.
        there: the address of the image in the API.
        of: the parameter of the library, with "&" before it; "" for none.
        alt: what it is called, escaped.
    """
    sides = f"width={record.width} height={record.height}" if record.width else ""
    shot = f"&part={record.parts.index(moment)}" if moment in record.shots else ""
    small = escape(f"{there}/preview?v={record.digest}{shot}{of}")
    if not record.is_video:
        return f'<img src="{small}" {sides} alt="{alt}">'
    source = escape(f"{there}/original?{of[1:]}#t={moment.start_s or 0.0:.3f}")
    return (
        f'<video controls playsinline preload=metadata poster="{small}" src="{source}" '
        f'{sides} aria-label="{alt}"></video>'
    )


def cut_out(library: Library, record: Record, place: int) -> tuple[OpenFile, str]:
    """Cut a shot out of a video, as `Library.cut` does without encoding it again.

    Args:
        library: holds the video.
        record: of the video.
        place: of the shot among the parts of the record.

    Returns:
        The file, which has no name any more, and the header that names it.

    Raises:
        Refused: too many are being cut out.
        QueryError: it is not a shot, is too long, or the video is not there now.
        SourceError, ImageError: the clip can't be written, or the video not be read.
    """
    part = record.parts[place] if place < len(record.parts) else None
    if part is None or part.kind != "shot":
        raise QueryError("This is not a shot of a video", f"{record.uri} part={place}",
                         "Its shots are in `shots` of the image.")  # fmt: skip
    if (part.end_s or 0.0) - (part.start_s or 0.0) > MOST_CUT_S:
        raise QueryError("The shot is too long to be cut out here", record.uri,
                         f"Up to {MOST_CUT_S / 60:g} minutes; download the video.")  # fmt: skip
    if not _CUTS.acquire(blocking=False):
        raise Refused(503, "busy", "Too many clips are being cut out", "",
                      "Try again in a second.", {"Retry-After": "1"})  # fmt: skip
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = library.cut(record, part, folder).path
            file = OpenFile(os.open(path, os.O_RDONLY))
            return file, f"attachment; filename*=UTF-8''{quote(path.name)}"
    finally:
        _CUTS.release()


def _shown(shots: list[Part], best: Part | None, matching: list[Part]) -> list[Part]:
    """Return the shots of the strip, in order of time."""
    if len(shots) <= MOST:
        return shots
    first = [best] if best in shots and best is not None else []
    chosen = set([*first, *matching][: MOST // 2])
    others = [each for each in shots if each not in chosen]
    left = MOST - len(chosen)
    chosen |= {others[n * len(others) // left] for n in range(left)}
    return [each for each in shots if each in chosen]
