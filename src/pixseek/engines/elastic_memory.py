"""What a client remembers of a library on a server, and how it learns whether that still holds.

A call needs to know which space is active and, before it reads, whether anything was written since
the last refresh. Both cost requests before the one that reads. So a call begins with what the last
one learned, and one more request asks meanwhile, in a thread, whether that still holds. If it does
not, the call is repeated without it. A write of any process that has returned is seen in any case.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pixseek.errors import EngineError
from pixseek.types import Space

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

#: The sequence numbers of each shard of some indexes; see `ElasticStore.written`.
Mark = Sequence[tuple[str, ...]]

#: Calls whose questions may be under way at once; further ones wait.
_THREADS = 8


class State(NamedTuple):
    """What was so when everything that was written was searchable.

    Attributes:
        spaces: the active one first.
        active: the index of the active space.
        mark: of all indexes.
    """

    spaces: list[Space]
    active: str
    mark: Mark

    @property
    def of_active(self) -> Mark:
        """The part of the mark that is about the index of the active space."""
        return [each for each in self.mark if each[0] == self.active]


class _Call(threading.local):
    """What the call of a thread begins with, and the question whether it holds."""

    state: State | None = None
    asking: Future[Mark] | None = None
    #: The spaces and the mark that this thread has read last.
    spaces: tuple[list[Space], str] | None = None
    mark: Mark | None = None


class Memory:
    """Remembers the spaces and the last refresh of one library. May be used by several threads."""

    def __init__(self, ask: Callable[[], Mark]) -> None:
        """Remember nothing yet.

        Args:
            ask: returns the mark of the active space's index alone.
        """
        self._ask = ask
        self._state: State | None = None
        self._call = _Call()
        #: Whether the last look found that others write: then asking first is faster.
        self._is_stale = False
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    # -------------------------------------------------------------- in a call

    @property
    def begun(self) -> State | None:
        """What the call of this thread begins with; None: it must be asked for.

        Whether it holds is asked when this is needed for the first time in a call.
        """
        call = self._call
        if call.state is not None and call.asking is None:
            call.asking = self._threads().submit(self._ask)
        return call.state

    @contextlib.contextmanager
    def remembering(self) -> Iterator[Callable[[], bool] | None]:
        """Let this thread's calls begin with what is remembered; see `store.Remembering`."""
        call = self._call
        if call.state is not None:
            yield lambda: True  # the outer call decides
            return
        if self._state is None or self._is_stale:
            yield None
            return
        call.state, call.asking = self._state, None
        try:
            yield self._holds
        finally:
            call.state, call.asking = None, None

    def _holds(self) -> bool:
        asking, state = self._call.asking, self._call.state
        if asking is None or state is None:
            return True  # nothing was read
        try:
            holds = list(asking.result()) == list(state.of_active)
        except EngineError:
            holds = False  # the call that is repeated says what is wrong
        self._is_stale = not holds
        return holds

    # -------------------------------------------------------------- what was learned

    def doubt(self) -> None:
        """Note that this process writes: the next call would only learn that nothing holds."""
        self._is_stale = True

    def learn_spaces(self, spaces: list[Space], index: str) -> None:
        """Note the spaces that this thread has read, and the index of the active one."""
        self._call.spaces = spaces, index

    def learn_mark(self, mark: Mark) -> None:
        """Note the mark that this thread has read, for the refresh that may follow."""
        self._call.mark = mark
        state = self._state
        if state is not None and list(state.mark) == list(mark):
            self._is_stale = False  # no refresh follows
            self._learn()

    def learn_refresh(self) -> None:
        """Note that everything is searchable that was written when the mark was read."""
        self._learn()

    def _learn(self) -> None:
        call = self._call
        if call.spaces is not None and call.mark is not None:
            self._state = State(*call.spaces, call.mark)

    # -------------------------------------------------------------- threads

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(_THREADS, "pixseek-server")
            return self._pool

    def close(self) -> None:
        """End the threads."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
