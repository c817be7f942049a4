"""Format numbers, durations and sizes, and make text safe and short enough to show."""

from __future__ import annotations

import re
import sys
import unicodedata

from pixseek.cli.output import ESC, field, lines, visible, written
from pixseek.redaction import without_passwords

__all__ = [
    "cells", "counted", "duration", "field", "fitted", "lines", "number", "shortened", "size",
    "strengths", "visible", "wrapped",
]  # fmt: skip


def number(value: int) -> str:
    """Return a whole number with a comma between thousands."""
    return f"{value:,}"


def counted(value: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: "1 image", "2,000 images"."""
    return f"{number(value)} {noun if value == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """Return a duration to read at a glance: "0.4 s", "42 s", "3 min 05 s", "2 h 10 min"."""
    if seconds < 0.1:
        return "under 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{number(whole // 3600)} h {whole % 3600 // 60:02d} min"


def size(count: int) -> str:
    """Return a number of bytes: "812 bytes", "1.4 MB"."""
    if count < 1000:
        return counted(count, "byte")
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def strengths(images: int | None) -> str:
    """Return what is known of the strengths of a model's hits.

    Args:
        images: on how many images it was calibrated; 0 if that is not known, None if it was not.
    """
    if images is None:
        return "not measured for this model"
    return f"calibrated on {counted(images, 'image')}" if images else "calibrated"


def cells(text: str) -> int:
    """Return how many columns a text takes in a terminal."""
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shortened(path: str, width: int) -> str:
    """Return a path cut to `width` columns: folders are left out from the left, then letters.

    So its file name stays, or at least the end of it. The password of an address is masked before,
    since nobody sees that the rest of one is a password.
    """
    path = without_passwords(path)
    if cells(path) <= width:
        return path
    for at in (n for n, character in enumerate(path) if character in "/\\" and n):
        if cells(path[at:]) < width:
            return "…" + path[at:]
    room, kept = width - 1, 0
    for start in range(len(path) - 1, -1, -1):
        kept += _cells(path[start])
        if kept > room:
            return "…" + path[start + 1 :]
    return path


#: A suggested command, to the end of its line.
_COMMAND = r"(?m)(?:(?<=: )|(?<=^)|(?<=^  ))(?:pixseek|pip) [a-z].*$"

#: A space at which no line is broken; `textwrap` knows of the other kinds only.
_JOINED = "\N{NO-BREAK SPACE}"


def wrapped(text: str, width: int, *, hanging: str = "", first: int = 0) -> list[str]:
    """Return the lines of a text that fit `width` columns, broken between words.

    Paths, addresses and the commands that it suggests stay whole, so that they can be copied.

    Args:
        text: may have lines of its own.
        width: columns of the terminal.
        hanging: what every line but the first begins with.
        first: columns that are taken on the first line.
    """
    import textwrap

    found: list[str] = []
    whole = re.sub(_COMMAND, lambda part: part[0].replace(" ", _JOINED), text)
    for n, line in enumerate(whole.split("\n")):
        written = line.lstrip(" ")
        own = " " * (len(line) - len(written))
        then = hanging + own
        begin = then if n else " " * first + own
        broken = textwrap.wrap(
            written,
            max(width, 20 + max(len(begin), len(then))),
            initial_indent=begin,
            subsequent_indent=then,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [begin]
        if not n:
            broken[0] = broken[0][first:]
        found += [each.replace(_JOINED, " ").rstrip() for each in broken]
    return found


def fitted(text: str, *, hanging: str = "", first: int = 0, err: bool = False) -> str:
    """Return a text for standard output or standard error, wrapped if that is a terminal.

    Args:
        text, hanging, first: see `wrapped`.
        err: it goes to standard error.
    """
    safe = written(text)
    if (sys.stderr if err else sys.stdout).isatty():
        import shutil

        width = shutil.get_terminal_size().columns
        safe = "\n".join(wrapped(safe, width, hanging=hanging, first=first))
    else:  # for programs, and for people who search it
        safe = safe.replace("\n", f"\n{hanging}")
    return safe.replace("\x1b", ESC)
