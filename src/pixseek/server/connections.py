"""Connections that are held open without asking for anything, or send endless heads, are closed."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Seconds within which the head of a request has to come.
HEAD_S = 20.0

#: Bytes of a request besides its body: of its head, and of the pieces that a body comes in.
HEAD_BYTES = 64 << 10
#: Bytes beside each byte of a body that comes in pieces: `1\r\n`, the byte, `\r\n`.
_BESIDE = 8

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class Timely(HttpToolsProtocol):
    """A connection of uvicorn, which waits for the head of a request for a limited time.

    uvicorn waits without end, so that one client could hold all of a process's descriptors with
    heads of which it sends a letter now and then; and httptools keeps heads of any size. `Guard`
    has the limits of bodies.
    """

    _waiting: asyncio.TimerHandle | None = None
    _beside = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on if it was not all of a head."""
        self._beside += len(data)
        super().data_received(data)
        if self._beside > HEAD_BYTES and not self.transport.is_closing():
            self._refuse()
        self._wait()

    def on_message_begin(self) -> None:
        """Count anew."""
        self._beside = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Refuse what is meant for a proxy: `Guard` checks the host that a header names."""
        if not self.url.startswith(b"/"):
            raise ValueError(self.url)  # answered with 400
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count what comes beside this."""
        self._beside -= _BESIDE * len(body)
        super().on_body(body)

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

    def _refuse(self) -> None:
        if not self._is_asking():
            self.transport.write(_TOO_LARGE)
        self.transport.close()

    def _close(self) -> None:
        self._waiting = None
        if not self._is_asking():
            self.transport.close()
