"""The files of one folder: which are links that lead out of the root, and images' sidecars."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from pixseek import files
from pixseek.metadata.sidecars import SidecarFinder
from pixseek.sources.companions import Companions


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
        self._companions = Companions(entry.name for entry in listing)
        # The listing itself tells links and pipes from files: no look at the disk.
        self._odd = {
            entry.name: entry for entry in listing if not entry.is_file(follow_symlinks=False)
        }
        self._told: set[str] = set()

    def leads_out(self, name: str) -> bool:
        """Return whether a file is a link that leads out of the root."""
        entry = self._odd.get(name)
        if self._within is None or entry is None or not entry.is_symlink():
            return False
        return not files.is_inside(self._folder / name, self._within)

    def companion_of(self, name: str) -> str:
        """Return the file with which another may be a live photo; "" for none."""
        other = self._companions.of(name)
        entry = self._odd.get(other)
        is_fit = entry is None or (entry.is_file() and not self.leads_out(other))
        return other if is_fit else ""

    def sidecars_of(self, name: str) -> tuple[tuple[str, ...], dict[str, OSError]]:
        """Return the names of an image's sidecars, and of those that are not read, with the reason.

        Each of the latter is returned once.
        """
        found = tuple(self._sidecars.find(name))
        if not self._odd or self._odd.keys().isdisjoint(found):
            return found, {}
        wrong = {each: error for each in found if (error := self._wrong(each)) is not None}
        told = {each: error for each, error in wrong.items() if each not in self._told}
        self._told |= told.keys()
        return tuple(each for each in found if each not in wrong), told

    def _wrong(self, name: str) -> OSError | None:
        """Return why a sidecar is not read; None for a file, and for what is not there."""
        path, entry = self._folder / name, self._odd.get(name)
        if entry is None:
            return None
        if self.leads_out(name):
            return files.outside(path)
        is_special = path.exists() and not (entry.is_file() or entry.is_dir())
        return files.not_regular(path) if is_special else None


def kind_at(path: Path) -> str:
    """Return "file", "folder" or "gone"; the scan reports what it can't look at."""
    try:
        return "file" if stat.S_ISREG(os.stat(path).st_mode) else "folder"
    except (FileNotFoundError, NotADirectoryError):
        return "gone"
    except OSError:
        return "folder"
