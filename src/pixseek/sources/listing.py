"""The files of one folder: which are links that lead out of the root, and images' sidecars."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from pixseek import files
from pixseek.metadata.sidecars import SidecarFinder


class Listing:
    """The files of one folder: which are links that lead out, and which sidecars images have."""

    def __init__(
        self, folder: Path, listing: Iterable[os.DirEntry[str]], within: str | None
    ) -> None:
        """Take the files of a folder.

        Args:
            folder: its path.
            listing: what it holds.
            within: the root, resolved, that links may not lead out of; None if they may.
        """
        self._folder, self._within = folder, within
        listing = tuple(listing)
        self._sidecars = SidecarFinder(entry.name for entry in listing)
        # The listing itself tells links from other files: no look at the disk.
        self._links = {entry.name for entry in listing if entry.is_symlink()} if within else set()

    def leads_out(self, name: str) -> bool:
        """Return whether a file is a link that leads out of the root."""
        if self._within is None or name not in self._links:
            return False
        return not files.is_inside(self._folder / name, self._within)

    def sidecars_of(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of an image's sidecars, and of those that lead out of the root."""
        found = self._sidecars.find(name)
        if not self._links or not found:
            return tuple(found), ()
        outside = tuple(each for each in found if self.leads_out(each))
        return tuple(each for each in found if each not in outside), outside


def kind_at(path: Path) -> str:
    """Return "file", "folder" or "gone"; the scan reports what it can't look at."""
    try:
        return "file" if stat.S_ISREG(os.stat(path).st_mode) else "folder"
    except (FileNotFoundError, NotADirectoryError):
        return "gone"
    except OSError:
        return "folder"
