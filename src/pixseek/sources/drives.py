"""What tells one drive from another."""

from __future__ import annotations

import os
from pathlib import Path


def drive_of(folder: Path) -> str:
    """Return what tells the file system of a folder from others.

    Two sticks that are plugged in one after the other have the same device number, so the number
    that the file system has of itself counts too. If it has none of its own (FAT, exFAT, XFS), its
    size does.

    Raises:
        OSError: the folder is not there.
    """
    device = os.stat(folder).st_dev
    if not hasattr(os, "statvfs"):  # Windows, whose device number is the volume's own
        return str(device)
    found = os.statvfs(folder)
    own = found.f_fsid
    if own & 0xFFFFFFFF == device & 0xFFFFFFFF:
        own = found.f_blocks * found.f_frsize
    return f"{device}-{own}"
