"""Connections of an asynchronous client, to addresses that were checked and to no others."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

from pixseek.sources.answers import said
from pixseek.sources.fetching import Deadline, LateError, allowed_addresses

if TYPE_CHECKING:
    import httpcore2 as httpcore

#: Maximum seconds for connecting.
CONNECT_S = 10.0
#: Bytes that wait to be read before a server has to wait.
_WAITING = 256 << 10


class NotConnectedError(Exception):
    """No address of a host took a connection."""


class _Connection(asyncio.Protocol):
    """Bytes that arrive, until they are read.

    All that has arrived is read at once. The client's own connections give each record of TLS,
    16 kB, by itself, with several turns of the loop for each: fetching took 6.7 ms of processor
    time an image, and takes 3.5 (docs/how-to/urls.md).
    """

    def __init__(self) -> None:
        self._arrived, self._more = bytearray(), asyncio.Event()
        self.transport: asyncio.Transport | None = None
        self.is_over = False
        self._fault: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        if len(self._arrived) > _WAITING and self.transport is not None:
            self.transport.pause_reading()
        self._more.set()

    def eof_received(self) -> None:
        self.is_over = True
        self._more.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over, self._fault = True, self._fault or exc
        self._more.set()

    @property
    def has_arrived(self) -> bool:
        """Whether a read would not wait."""
        return bool(self._arrived) or self.is_over

    async def read(self, most: int) -> bytes:
        """Return what has arrived, at most so many bytes; empty at the end."""
        while not self.has_arrived:
            self._more.clear()
            await self._more.wait()
        found = bytes(self._arrived[:most])
        del self._arrived[:most]
        if not found and self._fault is not None:
            raise self._fault
        if found and not self.is_over and self.transport is not None:
            self.transport.resume_reading()
        return found


def guarded(*, allow_private: bool) -> httpcore.AsyncNetworkBackend:
    """Return what connects to addresses that were checked, and to no others."""
    import httpcore2 as httpcore

    class Stream(httpcore.AsyncNetworkStream):
        def __init__(self, connection: _Connection) -> None:
            self._connection = connection

        async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            try:
                async with asyncio.timeout(timeout):
                    return await self._connection.read(max_bytes)
            except TimeoutError as error:
                raise httpcore.ReadTimeout(str(error)) from error
            except OSError as error:
                raise httpcore.ReadError(str(error)) from error

        async def write(self, buffer: bytes, timeout: float | None = None) -> None:
            # Requests are small, and whoever sends one waits for its answer.
            transport = self._connection.transport
            if transport is None or transport.is_closing():
                raise httpcore.WriteError("The connection is closed")
            transport.write(buffer)

        async def aclose(self) -> None:
            if self._connection.transport is not None:
                self._connection.transport.abort()  # a farewell would outlive the loop

        async def start_tls(
            self,
            ssl_context: ssl.SSLContext,
            server_hostname: str | None = None,
            timeout: float | None = None,
        ) -> httpcore.AsyncNetworkStream:
            connection = self._connection
            assert connection.transport is not None
            try:
                async with asyncio.timeout(timeout):
                    connection.transport = await asyncio.get_running_loop().start_tls(
                        connection.transport, connection, ssl_context,
                        server_hostname=server_hostname,
                    )  # fmt: skip
            except TimeoutError as error:
                raise httpcore.ConnectTimeout(str(error)) from error
            except OSError as error:
                raise httpcore.ConnectError(str(error)) from error
            return self

        def get_extra_info(self, info: str) -> Any:
            if info == "is_readable":
                return self._connection.has_arrived
            transport = self._connection.transport
            return None if transport is None else transport.get_extra_info(info)

    class Guarded(httpcore.AsyncNetworkBackend):
        async def connect_tcp(
            self, host: str, port: int, timeout: float | None = None, *_: Any, **__: Any
        ) -> httpcore.AsyncNetworkStream:
            deadline = Deadline(timeout or CONNECT_S)
            url = f"{host}:{port}"
            try:
                allowed = await asyncio.to_thread(
                    allowed_addresses, host, port, url, deadline, allow_private
                )
            except OSError as error:
                raise NotConnectedError(said(error)) from error
            except LateError as error:
                raise NotConnectedError("Its name was not resolved in time") from error
            why = "No address of it answered"
            loop = asyncio.get_running_loop()
            for n, (_family, address) in enumerate(allowed):
                try:
                    async with asyncio.timeout(deadline.left() / (len(allowed) - n)):
                        _transport, made = await loop.create_connection(
                            _Connection, address[0], port
                        )
                    return Stream(made)
                except (TimeoutError, LateError):
                    why = "It did not answer in time"
                except OSError as error:
                    why = reason_of(error)
            raise NotConnectedError(why)

        async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
            raise NotConnectedError("Only servers are asked")

        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(seconds)

    return Guarded()


def reason_of(error: Exception) -> str:
    """Return why a server was not reached."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):  # those of TLS are such, too
            return said(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, NotConnectedError):
        return str(error)
    return "It did not answer in time" if "imeout" in type(error).__name__ else "It refused"
