"""Answers that were given before, for as long as nothing has changed.

Many requests of a page repeat: a reload, the way back, a second page opened beside the first. An
answer is kept under its question and the version of the library, which differs after each write, so
a tag or a new image is seen at once.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

#: Bytes of all answers together; a page of 100 hits has 60 kB.
_MOST_BYTES = 32 << 20

#: Seconds for which an answer is kept: what no version tells, such as a model that was calibrated
#: by another process, is seen after that.
_FRESH_S = 60.0


class KeptAnswers:
    """The last answers, as bytes. May be used from several threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._answers: OrderedDict[Hashable, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    async def of(self, key: Hashable | None, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the answer to a question: the kept one, or a new one, which is kept.

        Args:
            key: the question; None if its answer can't be kept.
            make: answers it now.
        """
        if key is None:
            return await make()
        kept = self.get(key)
        if kept is None:
            kept = await make()
            self.keep(key, kept)
        return kept

    def get(self, key: Hashable) -> bytes | None:
        """Return the answer to a question; None if there is none."""
        with self._lock:
            found = self._answers.get(key)
            if found is None or time.monotonic() - found[0] > _FRESH_S:
                return None
            self._answers.move_to_end(key)
            return found[1]

    def keep(self, key: Hashable, answer: bytes) -> None:
        """Keep an answer, instead of the oldest ones if there is no room."""
        with self._lock:
            before = self._answers.pop(key, None)
            self._bytes += len(answer) - (len(before[1]) if before else 0)
            self._answers[key] = (time.monotonic(), answer)
            while self._bytes > _MOST_BYTES:
                _, (_, oldest) = self._answers.popitem(last=False)
                self._bytes -= len(oldest)
