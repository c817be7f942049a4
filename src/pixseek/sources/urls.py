"""Fetch many images by their URLs at once, by connections that are kept, with HTTP/2 if offered.

A thread of its own runs all requests, so that latency does not bound the rate: what a run will
read next is fetched ahead, within a limit of bytes. The guard is that of `fetching`: an address is
checked when it is connected to, and the one that was checked is the one that is connected to.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http.client
import random
import ssl
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pixseek.errors import ImageError, MissingExtraError
from pixseek.images.limits import MAX_BYTES
from pixseek.sources.answers import (
    CHECK,
    SAVE,
    AgainError,
    Body,
    UnreachableError,
    again,
    agent,
    failed,
    headers_of,
    refuse,
    said,
    unreachable,
)
from pixseek.sources.fetching import (
    MOST_REDIRECTS,
    REDIRECTS,
    Deadline,
    LateError,
    Place,
    check_before_proxy,
    parsed,
    proxy_of,
)
from pixseek.sources.guarded import CONNECT_S, NotConnectedError, guarded, reason_of
from pixseek.sources.robots import Robots
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import httpcore2 as httpcore

#: Requests at once: of all hosts, and of one.
AT_ONCE, PER_HOST = 64, 16
#: Bytes of images that wait to be read, or are about to.
AHEAD_BYTES = 64 << 20
#: Tries of one URL, and of one whose host can't be reached.
TRIES, CONNECTS = 4, 3
#: Maximum seconds between two tries, also if the server asks for more.
LONGEST_WAIT_S = 60.0
#: Seconds before the second try, on average; each further one waits twice as long.
BACKOFF_S = 0.5
#: Maximum seconds for one try, redirects included; and without a byte.
TIMEOUT_S, SILENCE_S = 60.0, 20.0
#: Hosts that were not reached so often in a row are not asked again in a run.
_STRIKES = 3
_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fetch.

    Attributes:
        url: of the image.
        etag: of the content that is at hand, as the server gave it; "" for none.
        modified: when that was changed, as the server gave it; "" for unknown.
    """

    url: str
    etag: str = ""
    modified: str = ""

    @classmethod
    def by(cls, url: str, marks: str) -> Wanted:
        """Return what to ask for, given the `Fetched.marks` of the content that is at hand."""
        etag, _, modified = marks.partition("\n")
        return cls(url, etag, modified)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server answered.

    Attributes:
        content: of the image; None if the one that is at hand is still right.
        etag: the server's name for this content; "" for none.
        modified: when it was changed, in the server's words; "" for unknown.
    """

    content: bytes | None
    etag: str = ""
    modified: str = ""

    @property
    def marks(self) -> str:
        """Both as one text, which `Wanted.by` reads; "" for neither."""
        return f"{self.etag}\n{self.modified}" if self.etag or self.modified else ""


@dataclass(slots=True, eq=False)
class _Ahead:
    """A request that was begun before it was asked for."""

    future: concurrent.futures.Future[Fetched]
    size: list[int]


@dataclass(slots=True, eq=False)
class _Host:
    """What is known of a server.

    Attributes:
        slots: for requests at once.
        not_before: the moment until which it asked to be left alone.
        strikes: how often it was not reached, in a row.
    """

    slots: asyncio.Semaphore
    not_before: float = 0.0
    strikes: int = 0


class Fetcher:
    """Fetches images by their URLs; its methods may be called from several threads."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        robots: bool = False,
        proxies: bool = True,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """Set up; nothing is connected yet.

        Args:
            allow_private: also connect to addresses that are not public.
            robots: fetch only what the robots.txt of each server allows.
            proxies: use those that the environment names.
            max_bytes: of an image.

        Raises:
            MissingExtraError: httpcore2 or h2 is not installed.
        """
        try:
            import anyio  # noqa: F401
            import h2  # noqa: F401
            import httpcore2  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("Fetching images by their URLs", "httpcore2", "urls") from error
        self._allow_private, self._proxies = allow_private, proxies
        self._robots = Robots(self._answer) if robots else None
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._coming: Iterator[tuple[str, Wanted]] = iter(())
        self._ahead: OrderedDict[str, _Ahead] = OrderedDict()
        self._taken: set[str] = set()  # before they came
        # Of the thread of requests:
        self._hosts: dict[tuple[str, int], _Host] = {}
        self._pools: dict[str, httpcore.AsyncConnectionPool] = {}
        self._receiving: dict[int, int] = {}  # bytes so far, by number of the request
        self._count = 0
        self._held = 0
        self._all = asyncio.Semaphore(AT_ONCE)

    # ---------------------------------------------------------------- other threads

    def expect(self, coming: Iterable[tuple[str, Wanted]]) -> None:
        """Fetch ahead what will be asked for, in this order, by the names that it will have.

        What was expected before and not taken is dropped.
        """
        with self._lock:
            for each in self._ahead.values():
                each.future.cancel()
            self._ahead.clear()
            self._taken.clear()
            self._held = 0
            self._coming = iter(coming)

    def fetch(self, name: str, wanted: Wanted) -> Fetched:
        """Return what is at a URL.

        Args:
            name: under which it may have been expected.
            wanted: what it is.

        Raises:
            UnreachableError: its host is not there.
            ImageError: it can't be fetched.
        """
        with self._lock:
            while name not in self._ahead and len(self._ahead) < 4 * AT_ONCE and self._begin():
                pass
            found = self._ahead.pop(name, None)
            if found is None:
                self._taken.add(name)
                found = self._begun(wanted)
            while (
                len(self._ahead) < AT_ONCE and self._held < AHEAD_BYTES and self._begin()
            ):  # fmt: skip
                pass
        try:
            return found.future.result()
        except concurrent.futures.CancelledError as error:
            raise _stopped(wanted.url) from error
        finally:
            with self._lock:
                self._held = max(0, self._held - found.size[0])
                found.size[0] = 0

    def close(self) -> None:
        """Drop what was expected, and close all connections; whoever waits gets an error."""
        self.expect(())
        with self._lock:
            self._is_closed = True
            loop, self._loop = self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._shut(loop), loop)

    def _begin(self) -> bool:
        """Begin the next of those that come; return False if there is none."""
        for name, wanted in self._coming:
            if name in self._taken:
                self._taken.discard(name)
                continue
            self._ahead[name] = self._begun(wanted)
            return True
        return False

    def _begun(self, wanted: Wanted) -> _Ahead:
        if self._is_closed:
            raise _stopped(wanted.url)
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(
                target=self._loop.run_forever, name="pixseek-urls", daemon=True
            ).start()
        size = [0]
        return _Ahead(
            asyncio.run_coroutine_threadsafe(self._fetched(wanted, size), self._loop), size
        )

    # ---------------------------------------------------------------- the thread of requests

    async def _shut(self, loop: asyncio.AbstractEventLoop) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for pool in self._pools.values():
            await pool.aclose()
        self._pools.clear()
        self._hosts.clear()
        loop.call_soon(loop.stop)

    async def _fetched(self, wanted: Wanted, size: list[int]) -> Fetched:
        place, _ = parsed(wanted.url, wanted.url)
        host = self._host(place)
        for attempt in range(1, TRIES + 1):
            try:
                async with host.slots, self._all:
                    while (wait_s := host.not_before - time.monotonic()) > 0:
                        await asyncio.sleep(wait_s)
                    if host.strikes >= _STRIKES:
                        raise unreachable(_site(place), "It was not reached before in this run")
                    found = await self._tried(wanted, size)
                host.strikes = 0
                return found
            except UnreachableError:
                if attempt >= CONNECTS or host.strikes >= _STRIKES:
                    host.strikes += 1
                    raise
                wait_s = 0.0
            except AgainError as fault:
                wait_s = fault.wait_s or 0.0
                if wait_s > LONGEST_WAIT_S or attempt == TRIES:
                    raise fault.error from fault
                if fault.wait_s is not None:
                    # All of its URLs wait, and not each for itself.
                    host.not_before = max(host.not_before, time.monotonic() + wait_s)
            self._uncount(size)
            backoff_s = BACKOFF_S * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)
            await asyncio.sleep(max(backoff_s, wait_s))
        raise AssertionError  # the last try has raised

    async def _tried(self, wanted: Wanted, size: list[int]) -> Fetched:
        """Try once, and say of each fault whether it may pass."""
        import httpcore2 as httpcore

        url = wanted.url
        self._count += 1
        number = self._count
        trail: list[Place] = []
        try:
            return await self._followed(wanted, size, number, trail)
        except (httpcore.ConnectError, httpcore.ConnectTimeout, NotConnectedError) as error:
            if not trail or trail[-1].origin == trail[0].origin:
                why = reason_of(error)
                if trail and self._proxies and proxy_of(trail[0], url) is not None:
                    why = f"by the proxy of HTTP_PROXY or HTTPS_PROXY: {why}"
                raise unreachable(_site(trail[0]) if trail else url, why) from error
            problem = f"It leads to {trail[-1].authority}, which can't be reached"
            raise AgainError(failed("unreachable", problem, url, f"{CHECK} {SAVE}")) from error
        except (httpcore.TimeoutException, LateError) as error:
            raise AgainError(
                failed("timeout", f"It was not there after {TIMEOUT_S:g} seconds", url, SAVE)
            ) from error
        except http.client.IncompleteRead as error:
            raise AgainError(
                failed("unreadable", "The server broke off", url, f"Try again. {SAVE}")
            ) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            problem = "The server broke off, or its answer is not valid"
            raise AgainError(failed("unreadable", problem, url, f"Run again. {SAVE}")) from error
        except zlib.error as error:
            raise failed("unreadable", said(error), url, f"{CHECK} {SAVE}") from error
        except httpcore.ProxyError as error:
            raise failed("unreadable", "The proxy refused", url, "Check HTTPS_PROXY.") from error
        finally:
            self._receiving.pop(number, None)

    async def _followed(
        self, wanted: Wanted, size: list[int], number: int, trail: list[Place]
    ) -> Fetched:
        url = wanted.url
        place, authorization = parsed(url, url)
        origin, deadline = place.origin, Deadline(TIMEOUT_S)
        for _ in range(MOST_REDIRECTS + 1):
            trail.append(place)
            if self._robots is not None and not await self._robots.allow(place):
                raise failed(
                    "no-permission", "The robots.txt of its server forbids it", url,
                    "Ask its owner, or leave out --robots.",
                )  # fmt: skip
            headers = {"Accept": "image/*,*/*;q=0.1"}
            if place.origin == origin and authorization:
                headers["Authorization"] = authorization
            if wanted.etag:
                headers["If-None-Match"] = wanted.etag
            if wanted.modified:
                headers["If-Modified-Since"] = wanted.modified
            async with self._answer(place, headers, url, deadline) as answer:
                said_of = headers_of(answer)
                if answer.status in REDIRECTS and (after := said_of.get("location")):
                    after = after.encode("latin-1", "replace").decode("utf-8", "surrogateescape")
                    place, _ = parsed(after, url, str(place))
                    continue
                marks = said_of.get("etag", "")[:500], said_of.get("last-modified", "")[:100]
                if answer.status == 304 and (wanted.etag or wanted.modified):
                    return Fetched(None, marks[0] or wanted.etag, marks[1] or wanted.modified)
                if answer.status in _AGAIN:
                    raise again(answer.status, said_of.get("retry-after", ""), url)
                if answer.status != 200:
                    refuse(answer.status, url)
                body = Body(
                    url, said_of.get("content-encoding", ""), said_of.get("content-length", ""),
                    self._max_bytes,
                )  # fmt: skip
                async for piece in answer.aiter_stream():
                    body.add(piece)
                    self._recount(size, number, len(body.content))
                    deadline.left()
                    if body.is_whole:
                        break
                    deadline.extend(await self._room(number))
                return Fetched(body.image(), *marks)
        raise failed("unreadable", f"More than {MOST_REDIRECTS} redirects", url, SAVE)

    def _recount(self, size: list[int], number: int, now: int) -> None:
        with self._lock:
            self._held += now - size[0]
            size[0] = now
        self._receiving[number] = now

    def _uncount(self, size: list[int]) -> None:
        with self._lock:
            self._held = max(0, self._held - size[0])
            size[0] = 0

    async def _room(self, number: int) -> float:
        """Wait while too much is held, unless it is the oldest; return for how many seconds."""
        began = time.monotonic()
        while self._held > 2 * AHEAD_BYTES and number != min(self._receiving, default=number):
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    def _host(self, place: Place) -> _Host:
        key = place.host.lower(), place.port
        if key not in self._hosts:
            self._hosts[key] = _Host(asyncio.Semaphore(PER_HOST))
        return self._hosts[key]

    # ---------------------------------------------------------------- connections

    @contextlib.asynccontextmanager
    async def _answer(
        self, place: Place, headers: Mapping[str, str], url: str, deadline: Deadline
    ) -> AsyncIterator[httpcore.Response]:
        """Send a request, and give the answer, of which only the head has been read."""
        sent = [("Host", place.authority), ("User-Agent", agent()),
                ("Accept-Encoding", "identity"), *headers.items()]  # fmt: skip
        left = deadline.left()
        silence = min(left, SILENCE_S)
        limits = {"connect": min(left, CONNECT_S), "read": silence, "write": silence, "pool": left}
        pool = await self._pool(place, url)
        async with pool.stream(
            "GET", str(place), headers=sent, extensions={"timeout": limits}
        ) as answer:
            yield answer

    async def _pool(self, place: Place, url: str) -> httpcore.AsyncConnectionPool:
        """Return the connections to use: directly, or by the proxy that the environment names."""
        import httpcore2 as httpcore

        proxy = proxy_of(place, url) if self._proxies else None
        name = "" if proxy is None else f"{proxy[0]} {proxy[1]}"
        if proxy is not None and not self._allow_private:
            await asyncio.to_thread(check_before_proxy, place, url, Deadline(CONNECT_S))
        if name not in self._pools:
            more: dict[str, Any] = {
                "ssl_context": ssl.create_default_context(),
                "http2": True, "max_connections": 2 * AT_ONCE, "keepalive_expiry": 30.0,
                "max_keepalive_connections": AT_ONCE,
            }  # fmt: skip
            if proxy is None:
                self._pools[name] = httpcore.AsyncConnectionPool(
                    network_backend=guarded(allow_private=self._allow_private), **more
                )
            else:
                named = [("Proxy-Authorization", proxy[1])] if proxy[1] else []
                self._pools[name] = httpcore.AsyncHTTPProxy(
                    str(proxy[0]), proxy_headers=named, **more
                )
        return self._pools[name]


def _stopped(url: str) -> ImageError:
    return failed("unreadable", "The run was stopped", url, "Run again.")


def _site(place: Place) -> str:
    return f"{'https' if place.secure else 'http'}://{place.authority}"
