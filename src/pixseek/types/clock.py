"""Seconds of a video as people read and write them: 0:12, 1:02:03."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pixseek.types.records import Part

#: A time of a video: seconds, or minutes and hours with two digits for each smaller unit.
TIME = r"(?:(?:\d{1,4}:)?\d{1,4}:[0-5]\d|\d{1,7})(?:\.\d{1,9})?"
_TIME = re.compile(TIME, re.ASCII)


def clock(seconds: float) -> str:
    """Return a time in whole seconds, cut and not rounded: "0:12", "1:02:03"."""
    minutes, rest = divmod(int(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(part: Part) -> str:
    """Return when a shot is, as in "0:12-0:17"; "" for other parts."""
    if part.start_s is None or part.end_s is None:
        return ""
    return f"{clock(part.start_s)}-{clock(part.end_s)}"


def seconds_of(text: str) -> float | None:
    """Return the seconds that a text such as "12.5", "0:12" or "1:02:03" stands for; or None."""
    if not _TIME.fullmatch(text):
        return None
    seconds = 0.0
    for each in text.split(":"):
        seconds = 60 * seconds + float(each)
    return seconds


def split_time(name: str) -> tuple[str, float | None]:
    """Return the name of a video and the second of it that "clip.mp4@0:12" means; else None."""
    video, at, time = name.rpartition("@")
    seconds = seconds_of(time) if video and at else None
    return (name, None) if seconds is None else (video, seconds)


def shot_at(parts: Sequence[Part], second: float) -> int | None:
    """Return the index of the shot that a second lies in, or of the nearest; None without shots."""

    def distance(part: Part) -> float:
        start, end = part.start_s or 0.0, part.end_s or 0.0
        return max(start - second, second - end, 0.0)

    # Shots meet: of two that both hold it, it is the one that begins there.
    places = [n for n, part in enumerate(parts) if part.kind == "shot"]
    return min(places, key=lambda n: (distance(parts[n]), -n), default=None)
