"""Messages between this process and its decoders' worker processes, over pipes.

A message is the length of a JSON head, the head, and the blobs whose lengths the head gives. The
receiver sees the head first, and reads a blob only if its length is allowed.
"""

from __future__ import annotations

import json
import os
import select
import struct
import time
from collections.abc import Sequence
from typing import Any

#: Maximum bytes of a head. The longest has a dozen names of texts and some notes.
MOST_HEAD = 64 << 10

#: Bytes read or written at once: the size of a widened pipe.
_PIECE = 1 << 20


class Channel:
    """Two ends of pipes, one to read from and one to write to."""

    def __init__(self, reads: int, writes: int, *, timed: bool = False) -> None:
        """Use two file descriptors, which stay the caller's to close.

        Args:
            reads, writes: the descriptors.
            timed: whether deadlines are used. They need `poll`, which Windows lacks; there the
                caller must end the other process itself.
        """
        self._reads, self._writes = reads, writes
        self._timed = timed and hasattr(select, "poll")
        if self._timed:
            os.set_blocking(writes, False)  # else one write lasts until all of it is taken
        else:
            self._file = os.fdopen(reads, "rb", closefd=False)

    @property
    def keeps_time(self) -> bool:
        """Whether deadlines are kept."""
        return self._timed

    def send(
        self, head: dict[str, Any], blobs: Sequence[bytes] = (), deadline: float | None = None
    ) -> None:
        """Write a message.

        Args:
            head: what can be written as JSON; "blobs" is added.
            blobs: follow the head.
            deadline: on the monotonic clock; None for none.

        Raises:
            TimeoutError: the deadline passed.
            OSError: the other process is gone.
        """
        text = json.dumps({**head, "blobs": [len(blob) for blob in blobs]}).encode()
        for content in (struct.pack("<I", len(text)) + text, *blobs):
            view = memoryview(content)
            while view:
                self._wait(self._writes, False, deadline)
                try:
                    view = view[os.write(self._writes, view[:_PIECE]) :]
                except BlockingIOError:  # another write was faster, or a spurious wake
                    continue

    def receive_head(self, deadline: float | None = None, most: int = MOST_HEAD) -> dict[str, Any]:
        """Read the head of a message.

        Raises:
            TimeoutError: the deadline passed.
            EOFError: the other process is gone.
            ValueError: the bytes are not a message.
        """
        (size,) = struct.unpack("<I", self._exactly(4, deadline))
        if size > most:
            raise ValueError(f"a head of {size:,} bytes")
        try:
            head = json.loads(bytes(self._exactly(size, deadline)))
        except RecursionError as error:
            raise ValueError("a head that is nested too deeply") from error
        if not isinstance(head, dict):
            raise ValueError("a head without names")
        return head

    def is_waiting(self, seconds: float) -> bool:
        """Return whether a message waits, or the other end is closed, after at most these seconds.

        Where no time is kept (see `timed`), it is taken for granted.
        """
        if not self._timed:
            return True
        poll = select.poll()
        poll.register(self._reads, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def receive_blobs(
        self, lengths: Sequence[int], deadline: float | None = None
    ) -> list[bytes | bytearray]:
        """Read blobs of these lengths, which the caller has checked.

        Raises:
            TimeoutError: the deadline passed.
            EOFError: the other process is gone.
        """
        return [self._exactly(length, deadline) for length in lengths]

    def _exactly(self, size: int, deadline: float | None) -> bytes | bytearray:
        if not self._timed:
            whole = self._file.read(size)
            if len(whole) < size:
                raise EOFError
            return whole
        content = bytearray(size)
        view, at = memoryview(content), 0
        while at < size:
            self._wait(self._reads, True, deadline)
            count = os.readv(self._reads, [view[at : at + _PIECE]])
            if not count:
                raise EOFError
            at += count
        return content

    def _wait(self, descriptor: int, reading: bool, deadline: float | None) -> None:
        """Return when the pipe can be read or written; raise TimeoutError at the deadline."""
        if deadline is None or not self._timed:
            return
        poll = select.poll()
        poll.register(descriptor, select.POLLIN if reading else select.POLLOUT)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if poll.poll(left * 1000 + 1):  # also if the other end is closed
                return
