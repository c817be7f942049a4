"""Connections that are held open without asking for anything are closed."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

#: Seconds within which the head of a request has to come.
HEAD_S = 20.0


class Timely(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """A connection of uvicorn, which waits for the head of a request for a limited time.

    uvicorn waits without end, so that one client could hold all of a process's descriptors with
    heads of which it sends a letter now and then. `Guard` has the limits of bodies.
    """

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on if it was not all of a head."""
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next one, of which a part may be here."""
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._end_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._is_asking():
            self._end_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(HEAD_S, self._close)

    def _end_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _is_asking(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _close(self) -> None:
        self._waiting = None
        if not self._is_asking():
            self.transport.close()
