"""Searches of many clients over one library.

Queries that arrive while others are being answered wait, and all that wait are answered in one
call: their texts go through the model together, and those with one filter through the engine. So
the more clients there are, the less each query costs. Two calls that run at once share what waits.
A client that goes away takes its query too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import Request

from pixseek.errors import PixseekError
from pixseek.library import Library
from pixseek.server.problems import Refused
from pixseek.types import Query, Results

Answered = TypeVar("Answered")

#: Queries answered in one call at most: a longer one would keep the first of them waiting.
_TOGETHER = 32

#: Calls that run at once. A slow query, such as one by a rare filter, then holds up one of them.
_CALLS = 2

#: After calls of this many queries their clients are waited for, by this many looks at most.
_FEW, _LOOKS, _LOOK_S = 3, 10, 0.002


class ClientGoneError(Exception):
    """Whoever asked has closed the connection."""


class Searches:
    """Answers the queries of one library. All methods belong to the event loop's thread."""

    def __init__(self, library: Library, *, most_waiting: int) -> None:
        """Answer from this library, with so many queries waiting at most."""
        self._library = library
        self._most_waiting = most_waiting
        self._waiting: deque[tuple[Query, asyncio.Future[Results]]] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._running = 0  # queries in all calls
        self._last = 0  # queries in the call that ended last
        self._threads = ThreadPoolExecutor(_CALLS, thread_name_prefix="search")
        self._alone = ThreadPoolExecutor(_CALLS, thread_name_prefix="layout")
        self._alone_waiting = 0

    @property
    def waiting(self) -> int:
        """How many queries wait."""
        return len(self._waiting)

    async def answer(self, query: Query, request: Request) -> Results:
        """Return the answer to a query.

        Raises:
            Refused: too many wait.
            ClientGoneError: whoever asked went away before the search began.
            PixseekError: as `Library.search`.
        """
        if len(self._waiting) >= self._most_waiting:
            raise _busy()
        found: asyncio.Future[Results] = asyncio.get_running_loop().create_future()
        self._waiting.append((query, found))
        if len(self._calls) < _CALLS:
            call = asyncio.create_task(self._call())
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        return await _unless_gone(found, request)

    def warm(self) -> None:
        """Read in the background what layouts and suggestions are made of.

        Among a million images that takes some seconds.
        """
        self._alone.submit(_warm, self._library)

    async def alone(self, ask: Callable[[Library], Answered], request: Request) -> Answered:
        """Return an answer that can't be given together with others: a layout, one hit.

        Raises:
            Refused: too many wait.
            ClientGoneError: whoever asked went away before it began.
            PixseekError: as `ask`.
        """
        if self._alone_waiting >= self._most_waiting:
            raise _busy()
        self._alone_waiting += 1
        found = asyncio.get_running_loop().run_in_executor(self._alone, ask, self._library)
        try:
            return await _unless_gone(found, request)
        finally:
            self._alone_waiting -= 1

    async def _call(self) -> None:
        """Answer what waits, until nothing does."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            await self._gathered()
            some: list[tuple[Query, asyncio.Future[Results]]] = []
            share = self._share()
            while self._waiting and len(some) < share:
                query, found = self._waiting.popleft()
                if not found.done():
                    some.append((query, found))
            if not some:
                return
            queries = [query for query, _ in some]
            self._running += len(queries)
            try:
                answers = await loop.run_in_executor(self._threads, self._answered, queries)
            finally:
                self._running -= len(queries)
                self._last = len(queries)
            for (_, found), answer in zip(some, answers, strict=True):
                if found.done():
                    continue
                if isinstance(answer, Results):
                    found.set_result(answer)
                else:
                    found.set_exception(answer)

    async def _gathered(self) -> None:
        """Wait for the clients of a call that has just ended to ask again, while another runs.

        The first of them would otherwise be answered alone, at twice the cost.
        """
        for _ in range(_LOOKS if self._last >= _FEW and self._running else 0):
            before = len(self._waiting)
            if before >= self._share():
                return
            await asyncio.sleep(_LOOK_S)
            if len(self._waiting) == before:
                return

    def _share(self) -> int:
        """Return how many queries the next call takes, so that all calls have as many to do."""
        return min(-(-(len(self._waiting) + self._running) // _CALLS), _TOGETHER)

    def _answered(self, queries: Sequence[Query]) -> Sequence[Results | Exception]:
        """Return the answer to each query, or what was wrong with it."""
        try:
            return self._library.search_many(queries)
        except PixseekError as error:
            if len(queries) == 1:
                return [error]
        except Exception as error:
            return [error] * len(queries)
        # One that can't be answered must not take the others with it.
        return [answer for query in queries for answer in self._answered([query])]

    def close(self) -> None:
        """Let running searches end, and begin no more."""
        for _, found in self._waiting:
            found.cancel()
        self._waiting.clear()
        self._threads.shutdown()
        self._alone.shutdown(cancel_futures=True)


def _warm(library: Library) -> None:
    with contextlib.suppress(PixseekError):  # whoever asks gets the error
        library.layout(sort="newest", most=1)
        library.suggest("")


def _busy() -> Refused:
    return Refused(
        503, "busy", "Too many searches are waiting", "", "Try again in a second.",
        {"Retry-After": "1"},
    )  # fmt: skip


async def _unless_gone(found: asyncio.Future[Answered], request: Request) -> Answered:
    """Return what is found; if it has not begun when the client goes away, it never does.

    Raises:
        ClientGoneError: the client went away before.
    """
    gone = asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait((found, gone), return_when=asyncio.FIRST_COMPLETED)
        if found.done():
            return found.result()
        raise ClientGoneError
    finally:
        gone.cancel()
        found.cancel()


async def _until_gone(request: Request) -> None:
    """Return when the client has closed the connection. The request's body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
