"""Copies of files on servers that a run reads more than once, in nameless files on the disk."""

from __future__ import annotations

import io
import mmap
import shutil
import tempfile
import threading
from typing import IO, BinaryIO, cast

from pixseek.sources.locations import Location
from pixseek.sources.remote_reading import RemoteFile

#: Bytes of all copies of a source, and bytes that they leave free on the disk.
MOST_BYTES, _FREE = 4 << 30, 1 << 30
#: Bytes that are copied at once.
_STEP = 4 << 20


class Copies:
    """The copies of one source, as long as it runs. May be used from several threads."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = threading.Lock()
        self._copies: dict[str, Copy] = {}
        self._held = 0

    def of(self, file: RemoteFile) -> Location:
        """Return a file that is fetched once, when it is first opened; itself if it is too large.

        Raises:
            OSError: its server can't be asked.
        """
        stamp, size = file.stamp(), file.size
        with self._lock:
            known = self._copies.get(file.name)
            if known is not None and known.stamp() == stamp:
                return known
            if known is not None:
                self._held -= known.size
                self._copies.pop(file.name).drop()
            free = shutil.disk_usage(tempfile.gettempdir()).free
            if self._held + size > MOST_BYTES or size + _FREE > free:
                return file
            self._held += size
            return self._copies.setdefault(file.name, Copy(file, stamp, size))

    def drop(self) -> None:
        """Delete all copies."""
        with self._lock:
            for each in self._copies.values():
                each.drop()
            self._copies.clear()
            self._held = 0


class Copy:
    """A file on a server, of which the first who opens it makes a copy; see `Location`."""

    is_remote = True

    def __init__(self, file: RemoteFile, stamp: tuple[int, int | str] | None, size: int) -> None:
        """Name the file, with what is known of it now."""
        self.name, self._file, self._stamp, self.size = file.name, file, stamp, size
        self._lock = threading.Lock()
        self._content: IO[bytes] | None = None

    @property
    def where(self) -> str:
        """The address of the file."""
        return self._file.where

    @property
    def folder(self) -> str:
        """The address of its folder."""
        return self._file.folder

    @property
    def modified_ns(self) -> int:
        """When the file was changed."""
        return self._file.modified_ns

    def stamp(self) -> tuple[int, int | str] | None:
        """Return the stamp of what was copied."""
        return self._stamp

    def open(self, begin: int = 0, count: int = 0) -> BinaryIO:
        """Open the copy; see `Location.open`."""
        with self._lock:
            if self._content is None:
                content = tempfile.TemporaryFile(prefix="pixseek-")  # noqa: SIM115
                try:
                    with self._file.open() as fetched:
                        shutil.copyfileobj(fetched, content, _STEP)
                    content.flush()
                except BaseException:
                    content.close()
                    raise
                self._content = content
            if not self.size:
                return io.BytesIO()
            # Not by its descriptor: readers in threads would move each other's place.
            return cast("BinaryIO", mmap.mmap(self._content.fileno(), 0, access=mmap.ACCESS_READ))

    def beside(self, name: str) -> Location:
        """Return another file of its folder."""
        return self._file.beside(name)

    def names(self) -> list[str]:
        """Return the names of the files in its folder."""
        return self._file.names()

    def drop(self) -> None:
        """Delete the copy; who has it open may read on."""
        with self._lock:
            if self._content is not None:
                self._content.close()
            self._content = None
