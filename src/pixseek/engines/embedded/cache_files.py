"""Cache files: which of them are no longer of use."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

#: An unfinished file that is older than this was left by a process that was killed.
_ABANDONED_S = 3600


def sweep(folder: Path, pattern: str, name: re.Pattern[str], generations: set[str]) -> None:
    """Delete the files of other generations, and unfinished files of killed processes.

    Args:
        folder: of the files.
        pattern: of their names, unfinished ones too.
        name: of a finished one; its first group is the generation.
        generations: of the vector files that are in use.
    """
    for path in folder.glob(pattern):
        found = name.fullmatch(path.name)
        with contextlib.suppress(OSError):
            if found:
                stale = found[1] not in generations
            else:
                stale = time.time() - path.stat().st_mtime > _ABANDONED_S
            if stale:
                path.unlink()
