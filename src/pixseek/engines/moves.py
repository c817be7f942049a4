"""Marks in engines whose library moves to another engine, so that no change is lost by it.

They are texts about the library (`Engine.keep`) of one kind, so every machine that uses an engine
sees them. While an engine has the mark `AWAY` or `ARRIVING`, writes to it are errors, before and
after: a write during which the mark was set is not known to be part of the copy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pixseek.errors import LibraryError, LibraryLockedError, PixseekError

#: The kind of these texts.
KIND = "library"
#: The texts: which library the engine holds; where it is moving, or has moved; from where it is
#: being copied; and one by which two addresses of one engine know each other.
ID, AWAY, ARRIVING, SAME = "id", "away", "arriving", "same"


def mark(to: str, *, done: bool = False) -> str:
    """Return the mark of an engine that is left.

    Args:
        to: where the library moves, without secrets.
        done: whether it has.
    """
    return json.dumps({"to": to, "done": done})


def read(text: str) -> Mapping[str, Any]:
    """Return what a mark says."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def refusal(subject: object, marks: Mapping[str, str]) -> PixseekError | None:
    """Return the error for writing to an engine with these texts; None if it may be written."""
    if AWAY in marks:
        told = read(marks[AWAY])
        to = str(told.get("to", ""))
        if told.get("done"):
            return LibraryError(
                "the library was moved to another engine, and does not change here any more",
                f"{subject} -> {to}",
                "Open it again. On another machine, or if this copy is to be used again: "
                f"pixseek migrate --to {to or 'URL'}",
            )
        return LibraryLockedError(
            "the library is being moved to another engine",
            f"{subject} -> {to}",
            "Wait until that has ended, then do it again. If it was interrupted, run it again: "
            f"pixseek migrate --to {to or 'URL'}",
        )
    if ARRIVING in marks:
        return LibraryLockedError(
            "a library is being copied to here",
            subject,
            "Wait until that has ended. If it was interrupted, run it again: pixseek migrate",
        )
    return None
