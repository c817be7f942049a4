"""Connections of an asynchronous client, to addresses that were checked and to no others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pixseek.sources.answers import said
from pixseek.sources.fetching import Deadline, LateError, allowed_addresses

if TYPE_CHECKING:
    import httpcore

#: Maximum seconds for connecting.
CONNECT_S = 10.0


class NotConnectedError(Exception):
    """No address of a host took a connection."""


def guarded(*, allow_private: bool) -> httpcore.AsyncNetworkBackend:
    """Return what connects to addresses that were checked, and to no others."""
    import httpcore

    class Guarded(httpcore.AsyncNetworkBackend):
        def __init__(self) -> None:
            self._inner = httpcore.AnyIOBackend()

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
            for n, (_family, address) in enumerate(allowed):
                try:
                    left = deadline.left() / (len(allowed) - n)
                    return await self._inner.connect_tcp(address[0], port, timeout=left)
                except (httpcore.ConnectError, httpcore.ConnectTimeout, LateError) as error:
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
