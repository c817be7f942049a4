"""Videos in archives: read where they lie, or in a temporary file while they are needed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixseek.errors import ImageError
from pixseek.sources.companions import Companions
from pixseek.sources.locations import Location
from pixseek.sources.members import Archive, Member
from pixseek.types import Item
from pixseek.video import available
from pixseek.video.formats import EXTENSIONS, SHARED_ENDINGS
from pixseek.video.motion import of_half

#: Bytes of a video that is unpacked or downloaded, at most. One that lies in a file of this machine
#: as it is has no limit.
MOST_BYTES = 4 << 30

#: Whether an open file without a name can be opened again, as Linux has it.
_BY_NUMBER = os.path.isdir("/proc/self/fd")

#: Share of the free space that a temporary file may take.
_SHARE = 0.5


def endings() -> frozenset[str]:
    """Return the endings of videos that are indexed: none without PyAV.

    Those that TypeScript shares are left out, since the content of each would have to be read.
    """
    return EXTENSIONS - SHARED_ENDINGS if available() else frozenset()


def is_video(path: str) -> bool:
    """Return whether a member is a video by its name."""
    return os.path.splitext(path)[1].lower() in endings()


class Pairs:
    """Finds what may be live photos among the members of one archive."""

    def __init__(self, names: Mapping[str, Sequence[str]], takes: Callable[[str], bool]) -> None:
        """Look at members.

        Args:
            names: of the files, by folder.
            takes: whether a member is indexed, by its path.
        """
        self._names, self._takes = names, takes
        self._by_folder: dict[str, Companions] = {}

    def of(self, path: str) -> str:
        """Return the path of a member's companion; "" for none."""
        folder, slash, name = path.rpartition("/")
        if folder not in self._by_folder:
            self._by_folder[folder] = Companions(self._names[folder])
        other = self._by_folder[folder].of(name)
        return f"{folder}{slash}{other}" if other and self._takes(f"{folder}{slash}{other}") else ""


def file_of(archive: Archive, member: Member, place: Path | Location, within: str | None) -> Item:
    """Return a member as a file, or a part of one, without sidecars and fields.

    Args:
        archive: that has it.
        member: of it.
        place: where the archive lies.
        within: the folder that the archive has to lie in, resolved; None for any.

    Raises:
        ImageError: it is damaged, or too large for a temporary file: "unreadable" if the disk has
            too little space for it.
        OSError: the archive can't be read, or the temporary file not be written.
    """
    if isinstance(place, Path) and (window := archive.window(member)) is not None:
        return Item(place, window=window, within=within)
    _check_space(member)
    # Without a name, so that nothing is left behind by a process that is killed.
    file: Any = tempfile.TemporaryFile() if _BY_NUMBER else tempfile.NamedTemporaryFile()  # noqa: SIM115
    archive.copy(member, file)
    file.flush()
    path = Path(f"/proc/self/fd/{file.fileno()}") if _BY_NUMBER else Path(file.name)
    os.utime(path, ns=(member.modified_ns, member.modified_ns))
    return Item(path, held=file)


def other_half(name: str, read: Callable[[], Item]) -> Item | None:
    """Return the other half of what may be a live photo; None if each is by itself.

    Args:
        name: of its file.
        read: reads it.

    Raises:
        ImageError: it can't be read now; the next run tries again.
        OSError: the archive can't be read.
    """
    try:
        return read()
    except ImageError as error:
        if error.reason == "unreadable":
            raise of_half(name, error) from error
        return None  # it is damaged, or larger than what is read


def _check_space(member: Member) -> None:
    """Raise if a temporary copy of a member would be too large."""
    folder = tempfile.gettempdir()
    free = int(shutil.disk_usage(folder).free * _SHARE)
    if member.size > min(MOST_BYTES, free):
        why = f"{folder} has too little space" if free < MOST_BYTES else "the limit"
        raise ImageError(
            "too-large" if member.size > MOST_BYTES else "unreadable",
            f"The video would have to be unpacked ({member.size // 1_000_000:,} MB; at most "
            f"{min(MOST_BYTES, free) // 1_000_000:,} MB: {why})",
            member.name,
            "Unpack the archive, and index the folder; or store videos in it uncompressed.",
        )
