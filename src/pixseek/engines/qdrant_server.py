"""Calls of Qdrant's client, on a server or in its local mode, and their errors in words."""

from __future__ import annotations

import atexit
import json
import math
import os
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixseek.engines.remote import Remote, check_authority, distrust
from pixseek.engines.strangers import mistaken_for
from pixseek.errors import ConfigError, EngineError, LibraryLockedError, MissingExtraError
from pixseek.storage.errors import closed, translated

try:
    from qdrant_client import QdrantClient
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
except ImportError as error:
    raise MissingExtraError("the engine qdrant", "qdrant-client", "qdrant") from error

#: Seconds for one request.
TIMEOUT_S = 60.0
#: Seconds until what an overloaded server refused is asked again.
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_OVERLOADED = (429, 502, 503, 504)
#: What a server may say: its status, the problem, what to do.
_MEANINGS: Mapping[int, tuple[str, str]] = {
    401: ("the server does not accept the API key",
          "Give it in PIXSEEK_ENGINE_API_KEY, or in the file that the option api_key_file names"),
    403: ("the server does not allow this", "Use a key with the right to write. It said: {0}"),
    413: ("the server refuses requests of this size", "Raise service.max_request_size_mb. {0}"),
    429: ("the server is overloaded", "Try again later. It said: {0}"),
    503: ("the server is overloaded, or a shard is missing", "Try again later. It said: {0}"),
    507: ("the server's disk is full", "Free some space there. It said: {0}"),
}  # fmt: skip


class Refusal(EngineError):  # noqa: N818 (it is one of EngineErrors)
    """What a server did not do.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, problem: str, subject: str, advice: str, status: int) -> None:
        super().__init__(problem, subject, advice)
        self.status = status


class NoCollectionError(EngineError):
    """The collection of a call is not there."""


class Server:
    """A server. May be used from several threads."""

    def __init__(self, remote: Remote) -> None:
        """Connect at the first request.

        Raises:
            ConfigError: the address has what this server has not, or the file of the certificate
                authority can't be read.
        """
        if len(remote.hosts) > 1 or remote.user:
            raise ConfigError(
                "Qdrant is reached at one host, by an API key",
                remote.shown,
                "Name one host (of a cluster any, or its balancer) and no user.",
            )
        self.subject = remote.shown
        self._remote = remote
        self._seconds: float = remote.options.get("timeout", TIMEOUT_S)
        self._closed = False
        (host, port), more = remote.hosts[0], dict[str, Any]()
        if remote.secure and "ca" in remote.options:
            more["verify"] = _trusting(remote.options["ca"])
        with warnings.catch_warnings():  # of keys over http, which the address asks for
            warnings.simplefilter("ignore")
            self._client = QdrantClient(
                host=f"[{host}]" if ":" in host else host,
                port=port,
                https=remote.secure,
                api_key=remote.api_key or None,
                timeout=math.ceil(self._seconds),
                check_compatibility=False,
                **more,
            )

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        self._client.close()

    def call(self, name: str, **arguments: Any) -> Any:
        """Return what a method of the client returns.

        Raises:
            NoCollectionError: the collection is not there.
            Refusal: the server did not do it.
            EngineError: the server is out of reach.
        """
        if self._closed:
            raise closed(self.subject)
        for pause in (*PAUSES_S, None):
            cause: Exception
            is_own = True
            try:
                return getattr(self._client, name)(**arguments)
            except ResourceExhaustedResponse as error:
                status, said, cause = 429, str(error), error
            except UnexpectedResponse as error:
                status, cause = error.status_code or 0, error
                said, is_own = _said(error)
            except ResponseHandlingException as error:
                raise self._out_of_reach(error.source) from error
            if status not in _OVERLOADED or pause is None:
                raise (not is_own and mistaken_for(self._remote)) or self._refusal(
                    status, said if is_own else f"{status}: {said}", is_own=is_own
                ) from cause
            time.sleep(pause)
        raise AssertionError  # the last round returns or raises

    def _refusal(self, status: int, said: str, *, is_own: bool) -> EngineError:
        if is_own and status == 404 and "ollection" in said:
            return NoCollectionError("the server has no such collection", self.subject, said)
        problem, advice = _MEANINGS.get(status, ("the server refused", f"{status}: {{0}}"))
        return Refusal(problem, self.subject, advice.format(said), status)

    def _out_of_reach(self, cause: Exception) -> EngineError:
        import httpx

        if isinstance(cause, httpx.TimeoutException):
            return EngineError(
                f"the server did not answer within {math.ceil(self._seconds)} s",
                self.subject,
                "Try again, or give more time: ?timeout=SECONDS",
            )
        if "SSL:" in str(cause):
            return distrust(self.subject, str(cause)[:200])
        if not isinstance(cause, httpx.ConnectError) and (error := mistaken_for(self._remote)):
            return error
        if isinstance(cause, httpx.HTTPError):
            return EngineError(
                "the server is out of reach",
                self.subject,
                f"Is it running, and the URL right? {str(cause)[:200]}",
            )
        return EngineError(
            "the server's answer can't be understood",
            self.subject,
            "Is it Qdrant, and no proxy between?",
        )


class Local:
    """A folder, in the local mode of the client; shared by all who open it in this process."""

    _open: dict[str, Local] = {}  # noqa: RUF012 (annotated by the class itself)
    _lock = threading.Lock()

    def __init__(self, folder: Path) -> None:
        self.subject = f"qdrant+file://{folder}"
        self._folder = folder
        self._users = 0
        self._turn = threading.RLock()
        with translated(folder / "meta.json"):
            try:
                self._client = QdrantClient(path=str(folder), force_disable_check_same_thread=True)
            except RuntimeError as error:
                raise LibraryLockedError(
                    "another process uses the library",
                    folder,
                    "Qdrant's local mode serves one process at a time. End the other, or run a "
                    "server.",
                ) from error
            except (ValueError, TypeError, KeyError) as error:
                raise EngineError(
                    "not a folder of Qdrant's local mode", folder, str(error)[:200]
                ) from error

    @classmethod
    def at(cls, folder: Path) -> Local:
        """Return the folder, opened once for each process."""
        place = os.path.realpath(folder)
        with cls._lock:
            found = cls._open.get(place)
            if found is None:
                found = cls._open[place] = cls(Path(place))
            found._users += 1
            return found

    def close(self) -> None:
        """Close the folder, once nobody uses it any more."""
        with self._lock, self._turn:
            self._users -= 1
            if not self._users:
                self._open.pop(str(self._folder), None)
                self._client.close()

    @classmethod
    def close_all(cls) -> None:
        """Close what is open."""
        for each in list(cls._open.values()):
            each._client.close()

    def call(self, name: str, **arguments: Any) -> Any:
        """Return what a method of the client returns; see `Server.call`."""
        with self._turn, translated(self._folder / "storage.sqlite"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many points, and of indexes that it has not
            try:
                return getattr(self._client, name)(**arguments)
            except ValueError as error:
                if str(error).startswith("Collection ") and "not found" in str(error):
                    raise NoCollectionError("no such collection", self.subject, str(error)) from (
                        error
                    )
                raise Refusal("Qdrant's local mode refused", self.subject, str(error), 400) from (
                    error
                )
            except RuntimeError as error:
                raise closed(self.subject) from error


# What was left open: later the client can't close itself, since it imports a module for that.
atexit.register(Local.close_all)


def _said(error: UnexpectedResponse) -> tuple[str, bool]:
    """Return what a server said, and whether it says so as Qdrant does."""
    try:
        return str(json.loads(error.content)["status"]["error"])[:300], True
    except (ValueError, TypeError, KeyError):
        return error.content[:200].decode(errors="replace"), False


def _trusting(file: Path) -> Any:
    """Return what checks certificates by an authority's file."""
    import ssl

    check_authority(file)
    return ssl.create_default_context(cafile=str(file))
