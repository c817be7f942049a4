"""What the robots.txt of servers allows, asked once for each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING
from urllib.robotparser import RobotFileParser

from pixseek.errors import ImageError
from pixseek.sources.answers import headers_of
from pixseek.sources.fetching import MOST_REDIRECTS, REDIRECTS, Deadline, LateError, Place, parsed

if TYPE_CHECKING:
    import httpcore2 as httpcore

    Asking = Callable[
        [Place, Mapping[str, str], str, Deadline], AbstractAsyncContextManager[httpcore.Response]
    ]

#: Maximum seconds for one robots.txt, and the bytes of it that count: RFC 9309 wants 500 KiB.
_TIMEOUT_S, _BYTES = 20.0, 512 << 10


class Robots:
    """The rules of all servers of a run; used in one thread."""

    def __init__(self, ask: Asking) -> None:
        """Ask by this function: it sends a request and gives the answer."""
        self._ask = ask
        self._asked: dict[tuple[bool, str, int], asyncio.Task[RobotFileParser | None]] = {}

    async def allow(self, place: Place) -> bool:
        """Return whether a place may be fetched."""
        if place.origin not in self._asked:
            self._asked[place.origin] = asyncio.ensure_future(self._rules(place))
        try:
            rules = await asyncio.shield(self._asked[place.origin])
        except Exception:
            self._asked.pop(place.origin, None)  # it was not reached; the next one asks again
            raise
        return rules is None or rules.can_fetch("pixseek", str(place))

    async def _rules(self, place: Place) -> RobotFileParser | None:
        """Return what robots.txt says; None if there is none, and all is allowed.

        As RFC 9309 has it: if the server fails on it, nothing is allowed.
        """
        import httpcore2 as httpcore

        where = Place(place.secure, place.host, place.port, "/robots.txt")
        faults = (httpcore.ReadTimeout, httpcore.WriteTimeout, httpcore.ReadError,
                  httpcore.WriteError, httpcore.ProtocolError, LateError, ImageError)  # fmt: skip
        rules = RobotFileParser()
        with contextlib.suppress(*faults):
            status, text = await self._text(where)
            if 400 <= status < 500:
                return None
            if status == 200:
                rules.parse(text.splitlines())
                return rules
        rules.disallow_all = True  # type: ignore[attr-defined]
        return rules

    async def _text(self, where: Place) -> tuple[int, str]:
        """Return the status and the beginning of a text."""
        deadline = Deadline(_TIMEOUT_S)
        for _ in range(MOST_REDIRECTS + 1):
            async with self._ask(where, {}, str(where), deadline) as answer:
                if answer.status in REDIRECTS and (to := headers_of(answer).get("location")):
                    where, _ = parsed(to, str(where), str(where))
                    continue
                text = bytearray()
                async for piece in answer.aiter_stream():
                    text += piece
                    deadline.left()
                    if len(text) > _BYTES:
                        break
                return answer.status, bytes(text[:_BYTES]).decode(errors="replace")
        return 404, ""
