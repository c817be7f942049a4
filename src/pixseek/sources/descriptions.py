"""Descriptions in the packed parts of an export, copied while the parts are listed.

A part may describe the images of another. In a packed archive a member is reached only past all
before it, so each description is written to a temporary file as it passes: about 1 kB an image.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading

from pixseek.sources.members import Member


class Descriptions:
    """Contents of small members, by part. May be used from several threads."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._lock = threading.Lock()
        self._file = tempfile.TemporaryFile(prefix="pixseek-")  # noqa: SIM115
        self._places: dict[tuple[str, int, str], tuple[int, int]] = {}
        self._end = 0

    def keep(self, part: str, member: Member, content: bytes) -> None:
        """Keep the content of a member; not if the disk refuses, as it can be read again."""
        key = part, member.at, member.version
        with self._lock, contextlib.suppress(OSError):
            if key not in self._places and (
                os.pwrite(self._file.fileno(), content, self._end) == len(content)
            ):
                self._places[key] = self._end, len(content)
                self._end += len(content)

    def of(self, part: str, member: Member) -> bytes | None:
        """Return the content of a member; None if it is not kept."""
        with self._lock:
            place = self._places.get((part, member.at, member.version))
        if place is None:
            return None
        at, size = place
        with contextlib.suppress(OSError):
            content = os.pread(self._file.fileno(), size, at)
            return content if len(content) == size else None
        return None
