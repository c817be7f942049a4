"""Paths as the disk spells them.

A name with an accent can be written in two ways (NFC and NFD; see `types.texts`). A Mac takes both
for the same file; other systems keep files that came from a Mac under the form that nobody types.
"""

from __future__ import annotations

import os
from pathlib import Path

from pixseek.types.texts import composed


def as_written(path: Path) -> Path:
    """Return a path as the disk spells it if it is not there as it is given.

    Args:
        path: absolute; returned as it is if no file or folder has its name in any form.
    """
    text = str(path)
    if text.isascii() or os.path.exists(path):
        return path
    found = Path(path.anchor)
    for part in path.parts[1:]:
        step = found / part
        if not os.path.exists(step) and (spelled := _name_in(found, part)) is not None:
            step = found / spelled
        found = step
    return found


def _name_in(folder: Path, name: str) -> str | None:
    wanted = composed(name)
    try:
        with os.scandir(folder) as entries:
            return next((each.name for each in entries if composed(each.name) == wanted), None)
    except OSError:
        return None
