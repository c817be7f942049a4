"""The memory that decoding may take at once, in all threads and worker processes together.

A file of 1 MB can be a picture of 128 megapixels, which takes half a gigabyte or more while it is
decoded, in each thread. So a large picture first waits until the memory that it will take is free.
Ordinary photos take too little to count and never wait.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pixseek.images import jpegheader, scaling, sizes, tiffheader
from pixseek.images.limits import Request

if TYPE_CHECKING:
    from pixseek.images.formats import Format

#: Minimum of the budget. What takes more is decoded alone.
LEAST_BYTES = 3 << 29

#: A picture that takes less doesn't count: a JPEG of 50 megapixels at 1/4 takes 25 MB.
SMALL_BYTES = 64 << 20

#: Share of the memory that this process may use.
_SHARE = 4

#: Bytes for each pixel of the file while it is decoded, by the name of the format: measured at 16
#: and 128 megapixels in November 2026 (docs/decoding.md). Pillow takes 4 for most.
_LOADED = {"WEBP": 17, "AVIF": 10, "HEIC": 8, "JXL": 11, "JPEG2000": 20, "DDS": 8, "TIFF": 5}
_USUALLY_LOADED, _DEVELOPED, _DEEP = 4, 16, 40

#: Bytes for each pixel of the picture that comes out: it is copied once.
_OUT = 8

#: An orientation that turns the picture around, for which fewer scales are possible.
_TURNED = 3

#: Bytes for each byte of an SVG, and of a packed one; at most so many in all.
_DRAWN, _PACKED, _MOST_DRAWN = 30, 600, 1 << 30


def needed(kind: Format, data: bytes, request: Request) -> int:
    """Return how many bytes decoding a file takes besides those of the file, by its header."""
    if kind.family == "svg":
        packed = data[:2] == b"\x1f\x8b"
        return min(len(data) * (_PACKED if packed else _DRAWN), _MOST_DRAWN)
    size = sizes.declared(data)
    if size is None:
        return 0
    pixels = size[0] * size[1]
    scale = scaling.scale_for(size, request.enough, _TURNED)
    out = -(-pixels // scale**2)
    if kind.name == "JPEG":
        frame = jpegheader.frame(data)
        # A progressive one keeps all coefficients, 2 bytes each, until the last scan.
        held = 2 * pixels * frame.components if frame and not frame.one_scan else 0
        return out * (_USUALLY_LOADED + _OUT) + held
    if kind.family == "raw":  # the JPEG in it is at most as large
        return pixels * _DEVELOPED if request.demosaic else out * (_USUALLY_LOADED + _OUT)
    loaded = _LOADED.get(kind.name, _USUALLY_LOADED)
    if kind.name == "TIFF" and _is_deep(data):
        loaded = _DEEP
    return pixels * loaded + out * _OUT


def _is_deep(data: bytes) -> bool:
    first = next(tiffheader.directories(data), None)
    return first is not None and (first.number(tiffheader.BITS_PER_SAMPLE) or 8) > 16


class Budget:
    """Bytes that may be taken at once. Who asks first is served first."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free, and hold them meanwhile.

        What is larger than all waits until nothing else is held. Small sizes don't wait.
        """
        if size < SMALL_BYTES:
            yield
            return
        size = min(size, self.total)
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(
                    lambda: self._waiting[0] is ticket and self.used + size <= self.total
                )
                self.used += size
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            _give_back()
            with self._changed:
                self.used -= size
                self._changed.notify_all()


def _give_back() -> None:
    """Return freed memory to the system, which glibc keeps: six threads held 500 MiB too much."""
    import ctypes
    import sys

    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)


_shared: Budget | None = None
_shared_lock = threading.Lock()


def shared() -> Budget:
    """Return the budget of this process."""
    global _shared  # noqa: PLW0603
    with _shared_lock:
        _shared = _shared or Budget(max(LEAST_BYTES, _memory() // _SHARE))
        return _shared


def _after_fork() -> None:
    """Forget what threads of the parent hold."""
    global _shared, _shared_lock
    _shared, _shared_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _memory() -> int:
    """Return the bytes of memory that this process may use; 0 if the system doesn't say."""
    found = []
    with contextlib.suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):  # of a container
        with (
            contextlib.suppress(OSError, ValueError),
            open(f"/sys/fs/cgroup/{limit}", encoding="ascii") as file,
        ):
            found.append(int(file.read(32)))
    return max(0, min(found, default=0))
