"""What the viewer needs to play a video: its shots, and which of them a query finds."""

from __future__ import annotations

from typing import Any

from pixseek.server.markup import escape
from pixseek.types import Hit, Part, Record, Strength

#: Shots of the strip, at most: those that match, best first, then others evenly over the video.
MOST = 80


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
