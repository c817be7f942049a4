"""A file on a server that is read by ranges of its bytes, as archives and tables are."""

from __future__ import annotations

import io
import threading
import time
from typing import Any, BinaryIO, cast

from pixseek.redaction import redacted
from pixseek.sources.remote_files import Entry, RemoteFiles

#: Seconds for which what is known of a file is believed: each member of an archive asks.
FRESH_S = 30.0
#: Bytes that are read at first behind a jump, and at most at once: the next header of a tar, and
#: whole tables.
_LEAST, _MOST = 4 << 10, 4 << 20


class RemoteFile:
    """One file on a server; see `Location`."""

    is_remote = True

    def __init__(self, folder: RemoteFiles, name: str, known: Entry | None = None) -> None:
        """Name a file in a folder; `known` is what a listing just said of it."""
        self._folder, self.name = folder, name
        self._lock = threading.Lock()
        self._known = known if known is not None and known.size >= 0 else None
        self._asked = time.monotonic()

    @property
    def where(self) -> str:
        """Its address."""
        return f"{self._folder.address}/{self.name}"

    @property
    def folder(self) -> str:
        """The address of its folder."""
        return self._folder.address

    def __str__(self) -> str:
        return redacted(self.where)

    def exists(self) -> bool:
        """Return whether it is there.

        Raises:
            OSError: its server can't be asked.
        """
        return self.stamp() is not None

    def stamp(self) -> tuple[int, int | str] | None:
        """Return what differs after each change; see `Location.stamp`."""
        try:
            found = self._info()
        except FileNotFoundError:
            return None
        return found.size, found.version or found.modified_ns

    @property
    def size(self) -> int:
        """In bytes."""
        return self._info().size

    @property
    def modified_ns(self) -> int:
        """When it was changed."""
        return self._info().modified_ns

    def open(self, begin: int = 0, count: int = 0) -> BinaryIO:
        """Open it; see `Location.open`."""
        reader = _Reader(self._folder, self.name, self._info().size)
        if count:
            reader.fetch(begin, count)
        return cast("BinaryIO", reader)

    def beside(self, name: str, known: Entry | None = None) -> RemoteFile:
        """Return another file of its folder, with what a list just said of it."""
        return RemoteFile(self._folder, name, known)

    def names(self) -> list[str]:
        """Return the names of the files in its folder."""
        return self._folder.names()

    def _info(self) -> Entry:
        with self._lock:
            if self._known is None or time.monotonic() - self._asked > FRESH_S:
                self._known = self._folder.info(self.name)
                self._asked = time.monotonic()
            return self._known


class _Reader(io.RawIOBase):
    """Reads a file by ranges: little behind a jump, more and more while it goes straight on."""

    def __init__(self, folder: RemoteFiles, name: str, size: int) -> None:
        self._folder, self._name, self._size = folder, name, size
        self._at, self._start, self._held, self._step = 0, 0, b"", _LEAST

    def fetch(self, begin: int, count: int) -> None:
        """Read a part at once, which is about to be asked for."""
        end = min(begin + count, self._size)
        self._start = begin
        self._held = self._folder.range(self._name, begin, end) if begin < end else b""

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._at)
        count = left if size is None or size < 0 else min(size, left)
        parts = []
        while count:
            inside = self._at - self._start
            if not 0 <= inside < len(self._held):
                self._go_on(count)
                inside = self._at - self._start
                if not 0 <= inside < len(self._held):
                    break  # it became shorter
            part = self._held[inside : inside + count]
            parts.append(part)
            self._at += len(part)
            count -= len(part)
        return b"".join(parts)

    def _go_on(self, count: int) -> None:
        gap = self._at - (self._start + len(self._held))
        self._step = min(2 * self._step, _MOST) if 0 <= gap <= self._step else _LEAST
        self.fetch(self._at, max(count, self._step))

    read1 = read

    def readinto(self, buffer: Any) -> int:
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at
