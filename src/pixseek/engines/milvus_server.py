"""Calls of Milvus' client, on a server or on the one within Milvus Lite, and errors in words."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pixseek.engines.remote import Remote, check_authority, distrust
from pixseek.engines.strangers import mistaken_for
from pixseek.errors import ConfigError, EngineError, LibraryLockedError, MissingExtraError
from pixseek.storage.errors import closed

try:
    import grpc
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException
except ImportError as error:
    raise MissingExtraError("the engine milvus", "pymilvus", "milvus") from error

_T = TypeVar("_T")

#: Seconds for one request, with all repetitions of the client if the server is overloaded.
TIMEOUT_S = 60.0
#: The same in the local mode, where no network can fail: searching 20,000 x 512 took more than 60 s
#: on a busy machine.
LOCAL_TIMEOUT_S = 3600.0
_NO_COLLECTION, _NOT_LOADED = 100, 101
#: What a server may say: its code, the problem, what to do.
_MEANINGS: Mapping[Any, tuple[str, str]] = {
    3: ("the server has too little memory", "Release collections there, or add memory. {0}"),
    7: ("the server's disk is full", "Free some space there. It said: {0}"),
    8: ("the server is overloaded", "Try again later. It said: {0}"),
    9: ("the server refuses this for now", "A quota is used up. It said: {0}"),
    1: ("the server is not ready", "Try again later. It said: {0}"),
    2: ("the server is not ready", "Try again later. It said: {0}"),
    503: ("a part of the data is not available", "Look at the health of the cluster. {0}"),
}
_DENIED = (
    "the server does not accept the user, password or API key",
    "Give them in the address, in PIXSEEK_ENGINE_PASSWORD or PIXSEEK_ENGINE_API_KEY.",
)


class Refusal(EngineError):  # noqa: N818 (it is one of EngineErrors)
    """What a server did not do.

    Attributes:
        code: the server's own.
    """

    def __init__(self, problem: str, subject: str, advice: str, code: int) -> None:
        super().__init__(problem, subject, advice)
        self.code = code


class NoCollectionError(EngineError):
    """The collection of a call is not there."""


class Server:
    """A server. May be used from several threads."""

    _remote: Remote | None = None

    def __init__(self, remote: Remote) -> None:
        """Connect.

        Raises:
            ConfigError: the file of the certificate authority can't be read.
            EngineError: the server is out of reach or refuses.
        """
        if len(remote.hosts) > 1:
            raise ConfigError(
                "Milvus is reached at one host", remote.shown, "Name its proxy or balancer."
            )
        host, port = remote.hosts[0]
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        pair = f"{remote.user}:{remote.password}" if remote.user else remote.api_key
        more: dict[str, Any] = {"token": pair}
        if remote.secure and "ca" in remote.options:
            check_authority(remote.options["ca"])
            more["server_pem_path"] = str(remote.options["ca"])
        self._remote = remote
        uri = f"http{'s' * remote.secure}://{place}"
        self._begin(remote.shown, uri, remote.options.get("timeout", TIMEOUT_S), **more)

    def _begin(self, subject: str, uri: str, seconds: float, **more: Any) -> None:
        self.subject = subject
        self._seconds = seconds
        self._closed = False
        # It logs each error that it raises, with its trace.
        for name in ("pymilvus", "milvus_lite"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with self._translated():
            self.client = MilvusClient(uri=uri, timeout=seconds, **more)
            self.is_lite = "lite" in self.client.get_server_version()

    def close(self) -> None:
        """Close the connection."""
        if not self._closed:
            self._closed = True
            self.client.close()

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Return what a method of the client returns.

        Raises:
            NoCollectionError: the collection is not there.
            Refusal: the server did not do it.
            EngineError: the server is out of reach.
        """
        method = getattr(self.client, name)
        return self._loaded(arguments, lambda: method(*arguments, timeout=self._seconds, **named))

    def page(self, collection: str, limit: int, **named: Any) -> list[Any]:
        """Return the first entities that a filter lets through, by their keys."""

        def first() -> list[Any]:
            pages = self.client.query_iterator(
                collection, batch_size=limit, limit=limit, timeout=self._seconds,
                consistency_level="Strong", **named,
            )  # fmt: skip
            try:
                return list(pages.next())
            finally:
                pages.close()

        return self._loaded([collection], first)

    def _loaded(self, arguments: Sequence[Any], call: Callable[[], _T]) -> _T:
        """Return what a call returns; the collection that it names is loaded, if it was not."""
        if self._closed:
            raise closed(self.subject)
        with self._translated():
            try:
                return call()
            except MilvusException as error:
                # Milvus Lite forgets it when it ends, and people release collections.
                if error.code != _NOT_LOADED or not arguments:
                    raise
            self.client.load_collection(arguments[0], timeout=self._seconds)
            return call()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except MilvusException as error:
            if isinstance(error.__cause__, grpc.RpcError):  # which says more
                raise self._meant(*_of_call(error.__cause__)) from error
            raise self._meant(error.code, error.message) from error
        except grpc.RpcError as error:
            raise self._meant(*_of_call(error)) from error

    def _meant(self, code: Any, said: str) -> EngineError:
        said = said[:300]
        if code == _NO_COLLECTION or "can't find collection" in said:
            return NoCollectionError("the server has no such collection", self.subject, said)
        denied = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
        if code in denied or "auth check failure" in said:
            return Refusal(_DENIED[0], self.subject, _DENIED[1], 401)
        if "CERTIFICATE_VERIFY_FAILED" in said or "SSL_ERROR" in said:
            return distrust(self.subject, said)
        if code == grpc.StatusCode.DEADLINE_EXCEEDED or "etry timeout" in said:
            return EngineError(
                f"the server did not answer within {self._seconds:g} s",
                self.subject,
                f"Try again, or give more time: ?timeout=SECONDS. {said}",
            )
        unclear = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED)
        if code in unclear or re.search("Fail connecting|UNIMPLEMENTED|UNAVAILABLE", said):
            error = None if self._remote is None else mistaken_for(self._remote)
            if error is not None:
                return error
        if code == grpc.StatusCode.UNAVAILABLE or "Fail connecting" in said:
            advice = f"Is it running, and the URL right? {said}"
            return EngineError("the server is out of reach", self.subject, advice)
        if "UNIMPLEMENTED" in said or code == grpc.StatusCode.UNIMPLEMENTED:
            return EngineError(
                "the server's answer can't be understood",
                self.subject,
                f"Is it Milvus, and its port for gRPC (19530)? {said}",
            )
        problem, advice = _MEANINGS.get(code, ("the server refused", f"{code}: {{0}}"))
        number = code if isinstance(code, int) else 0
        return Refusal(problem, self.subject, advice.format(said), number)


class Local(Server):
    """A folder, through the server within Milvus Lite; one for all who open it in this process."""

    _users: dict[str, int] = {}  # noqa: RUF012 (counted by the class itself)
    _lock = threading.Lock()

    def __init__(self, folder: Path) -> None:
        """Begin that server, if it does not run.

        Raises:
            MissingExtraError: milvus-lite is not installed.
            LibraryLockedError: another process has the folder open.
        """
        try:
            from milvus_lite.server_manager import server_manager_instance as servers
        except ImportError as error:
            raise MissingExtraError("milvus+file", "milvus-lite", "milvus") from error
        logging.getLogger("milvus_lite").setLevel(logging.CRITICAL)
        self._servers = servers
        self._place = os.path.realpath(folder)
        with self._lock:
            uri = servers.start_and_get_uri(self._place)
            if uri is None:
                raise LibraryLockedError(
                    "another process uses the library, or it can't be opened",
                    folder,
                    "Milvus Lite serves one process at a time. End the other, or run a server.",
                )
            self._users[self._place] = self._users.get(self._place, 0) + 1
        try:
            self._begin(f"milvus+file://{folder}", uri, LOCAL_TIMEOUT_S)
        except BaseException:
            self._leave()
            raise

    def close(self) -> None:
        """Close the connection, and the folder once nobody uses it any more."""
        if not self._closed:
            super().close()
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._users[self._place] -= 1
            if not self._users[self._place]:
                self._servers.release_server(self._place)


def _of_call(error: grpc.RpcError) -> tuple[Any, str]:
    """Return the code and the text of a call that failed."""
    said = getattr(error, "details", lambda: "")() or str(error)
    return getattr(error, "code", lambda: 0)(), said
