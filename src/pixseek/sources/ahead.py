"""Items that are read before they are asked for, so that a server's latency bounds no rate."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

from pixseek.errors import ImageError
from pixseek.types import Candidate, Item

#: Items that are read at once, and bytes of those that wait or are being read.
AT_ONCE, MOST_BYTES = 32, 64 << 20


class Ahead:
    """Reads what a run will ask for, in its order. May be used from several threads at once."""

    def __init__(self, read: Callable[[Candidate], Item]) -> None:
        """Read by this function, which threads of its own will call."""
        self._read = read
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._coming: Iterator[Candidate] = iter(())
        self._begun: OrderedDict[str, tuple[Future[Item], int]] = OrderedDict()
        self._taken: set[str] = set()  # before they came
        self._held = 0

    def expect(self, coming: Iterable[Candidate]) -> None:
        """Read ahead what will be taken, in this order; drop what was expected before."""
        with self._lock:
            for future, _ in self._begun.values():
                future.cancel()
            self._begun.clear()
            self._taken.clear()
            self._held, self._coming = 0, iter(coming)
            if coming == () and self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None

    def take(self, candidate: Candidate) -> Item:
        """Return the content of a candidate, read before or now.

        Raises:
            ImageError: it can't be read.
            SourceVanishedError: the whole source is gone.
        """
        with self._lock:
            while candidate.uri not in self._begun and self._may_begin() and self._begin():
                pass
            found = self._begun.pop(candidate.uri, None)
            if found is None:
                self._taken.add(candidate.uri)
            self._begin_all()
        try:
            if found is None:
                return self._read(candidate)
            return found[0].result()
        except CancelledError as error:
            raise ImageError(
                "unreadable", "The run was stopped", candidate.uri, "Run again."
            ) from error
        finally:
            with self._lock:
                self._held -= min(self._held, 0 if found is None else found[1])
                self._begin_all()

    def _begin_all(self) -> None:
        while self._may_begin() and self._begin():
            pass

    def _may_begin(self) -> bool:
        return len(self._begun) < AT_ONCE and self._held < MOST_BYTES

    def _begin(self) -> bool:
        """Begin with the next of those that come; return False if there is none."""
        for candidate in self._coming:
            if candidate.uri in self._taken:
                self._taken.discard(candidate.uri)
                continue
            if self._pool is None:
                self._pool = ThreadPoolExecutor(AT_ONCE, "pixseek-ahead")
            size = max(0, candidate.stamp.size)
            self._begun[candidate.uri] = self._pool.submit(self._read, candidate), size
            self._held += size
            return True
        return False
