"""Requests to Elasticsearch, OpenSearch or ESCloud, and their errors in the words of pixseek.

By `elastic-transport`, the part of Elastic's own client that keeps connections, goes to other nodes
and checks certificates. The client above it speaks to one major version of Elasticsearch and
refuses all other servers; the few requests here are the same for all of them.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pixseek.engines.remote import Remote, check_authority, distrust
from pixseek.engines.strangers import mistaken_for
from pixseek.errors import EngineError, MissingExtraError
from pixseek.storage.errors import closed

#: Seconds for one request.
TIMEOUT_S = 60.0
#: Bytes of one bulk request: servers take 100 MB by default, some proxies 10.
BULK_BYTES = 8_000_000
#: Items of a bulk request, or whole requests, that an overloaded server refuses, are sent again
#: after so many seconds.
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)

#: Searches of one request.
_TOGETHER = 64
_TOO_MUCH = 429
_OVERLOADED = (_TOO_MUCH, 502, 503, 504)
#: What a proxy may say, too.
_CLEAR = (401, 403, 413, *_OVERLOADED)
#: What a server may say: status or type of error, the problem, what to do.
_MEANINGS: Sequence[tuple[int | str, str, str]] = (
    (401, "the server does not accept the user, password or API key",
     "Give them in the address, in PIXSEEK_ENGINE_PASSWORD or PIXSEEK_ENGINE_API_KEY."),
    ("cluster_block_exception", "the server refuses writes",
     "Its disk is nearly full, or the index is read-only. It said: {0}"),
    ("index_closed_exception", "the index of the library is closed",
     "Open it: POST /INDEX/_open. It said: {0}"),
    (403, "the server does not allow this", "Ask for the right to use this index. It said: {0}"),
    (413, "the server refuses requests of this size", "Raise http.max_content_length. {0}"),
    (_TOO_MUCH, "the server is overloaded", "Try again later. It said: {0}"),
    (503, "the server is overloaded, or a shard is missing", "Try again later. It said: {0}"),
)  # fmt: skip


class Refusal(EngineError):  # noqa: N818 (it is one of EngineErrors)
    """What a server did not do.

    Attributes:
        status: of HTTP.
        kind: the server's own name of the error.
    """

    def __init__(self, problem: str, subject: str, advice: str, status: int, kind: str) -> None:
        super().__init__(problem, subject, advice)
        self.status, self.kind = status, kind


class Server:
    """One server, or several nodes of one. May be used from several threads."""

    def __init__(self, remote: Remote) -> None:
        """Connect at the first request.

        Raises:
            MissingExtraError: elastic-transport is not installed.
            ConfigError: the file of the certificate authority can't be read.
        """
        try:
            from elastic_transport import NodeConfig, Transport
        except ImportError as error:
            raise MissingExtraError(
                f"the engine {remote.engine}", "elastic-transport", "elasticsearch"
            ) from error
        ca = remote.options.get("ca")
        more: dict[str, Any] = {}
        if ca is not None and remote.secure:
            check_authority(ca)
            more["ca_certs"] = str(ca)
        nodes = [
            NodeConfig("https" if remote.secure else "http", host, port, **more)
            for host, port in remote.hosts
        ]
        self.subject = remote.shown
        self._timeout: float = remote.options.get("timeout", TIMEOUT_S)
        self._headers = {"accept": "application/json"}
        if remote.api_key:
            self._headers["authorization"] = f"ApiKey {remote.api_key}"
        elif remote.user:
            from base64 import b64encode

            pair = f"{remote.user}:{remote.password}".encode()
            self._headers["authorization"] = f"Basic {b64encode(pair).decode()}"
        # What its log warns of is an error here, if it is one.
        logging.getLogger("elastic_transport").addHandler(logging.NullHandler())
        self._transport: Any = Transport(nodes, max_retries=2, retry_on_timeout=False)
        self._remote = remote
        #: Whether the last answer names Elasticsearch, as all do since 7.14.
        self._is_elastic = False
        self._closed = False

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        self._transport.close()

    def ask(self, method: str, path: str, body: Any = None, *, absent: int = 0) -> Any:
        """Return the answer to a request; None if its status is `absent`.

        Args:
            method: of HTTP.
            path: with its query, encoded.
            body: as JSON; a list as lines of JSON.
            absent: a status that is an answer, such as 404.

        Raises:
            Refusal: the server did not do it.
            EngineError: the server is out of reach.
        """
        if self._closed:
            raise closed(self.subject)
        for pause in (*PAUSES_S, None):
            status, answer = self._send(method, path, body)
            if status < 300:
                if not isinstance(answer, Mapping):
                    raise self.strange(str(answer)[:200])
                return answer
            is_clear = status in _CLEAR or (isinstance(answer, Mapping) and "error" in answer)
            if not is_clear and (other := mistaken_for(self._remote)) is not None:
                raise other
            if status == absent:
                return None
            error = answer.get("error") if isinstance(answer, Mapping) else answer
            if pause is None or not _may_pass(status, error):
                raise self.refusal(status, error)
            time.sleep(pause)
        raise AssertionError  # the last round returns or raises

    def _send(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        import elastic_transport as wire

        headers = dict(self._headers)
        if isinstance(body, bytes | list):
            headers["content-type"] = "application/x-ndjson"
            if isinstance(body, list):
                body = b"".join(map(line, body))
        elif body is not None:
            headers["content-type"] = "application/json"
            body = encoded(body)
        try:
            answer = self._transport.perform_request(
                method, path, body=body, headers=headers, request_timeout=self._timeout
            )
        except wire.ConnectionTimeout as error:
            raise EngineError(
                f"the server did not answer within {self._timeout:g} s",
                self.subject,
                "Try again, or give more time: ?timeout=SECONDS",
            ) from error
        except wire.TlsError as error:
            raise distrust(self.subject, _cause(error)) from error
        except wire.ConnectionError as error:
            said = _cause(error)
            if "refused" not in said and (other := mistaken_for(self._remote)):
                raise other from error
            raise EngineError(
                "the server is out of reach",
                self.subject,
                f"Is it running, and the URL right? {said}",
            ) from error
        except wire.SerializationError as error:
            raise self.strange(_cause(error)) from error
        self._is_elastic = answer.meta.headers.get("x-elastic-product") == "Elasticsearch"
        return answer.meta.status, answer.body

    def refusal(self, status: int, error: Any) -> Refusal:
        """Return an error of the server as an exception."""
        kind, said = _said(error)
        for key, problem, advice in _MEANINGS:
            if key in (status, kind):
                return Refusal(problem, self.subject, advice.format(said), status, kind)
        advice = f"{kind}: {said}"
        engine = self._remote.engine
        if status == 400 and self._is_elastic != (engine == "elasticsearch"):
            # A server of the other family knows neither the fields nor the queries of this one.
            there = "Elasticsearch" if self._is_elastic else "OpenSearch or ESCloud"
            scheme = there.split(maxsplit=1)[0].lower()
            advice = f"Is it {there}? Then write {scheme}+http(s)://. It said: {advice}"
            if (other := mistaken_for(self._remote, known=True)) is not None:
                return Refusal(other.problem, self.subject, other.advice, status, kind)
        return Refusal("the server refused", self.subject, advice, status, kind)

    def strange(self, said: str) -> EngineError:
        """Return the error of an answer that is not of such a server."""
        return mistaken_for(self._remote) or EngineError(
            "the server's answer can't be understood",
            self.subject,
            f"Is it such a server, and no proxy between? It said: {said}",
        )

    # -------------------------------------------------------------- searches

    def search(self, index: str, bodies: Sequence[Any], how: str = "") -> list[Any]:
        """Return the whole answers of several searches in one index.

        Raises:
            Refusal: one of them failed.
            EngineError: it took too long, or shards did not answer.
        """
        head = {"index": index, "allow_partial_search_results": False}
        if how:
            head["search_type"] = how
        answers: list[Any] = []
        for at in range(0, len(bodies), _TOGETHER):
            lines = [each for body in bodies[at : at + _TOGETHER] for each in (head, body)]
            answers += self.ask("POST", "/_msearch", lines)["responses"]
        for each in answers:
            if "error" in each:
                raise self.refusal(each["status"], each["error"])
            self.check_whole(each)
        return answers

    def check_whole(self, answer: Any) -> None:
        """Check that an answer is not of some of the shards, or cut off.

        Raises:
            EngineError: it is.
        """
        shards = answer.get("_shards", {})
        if answer.get("timed_out") or shards.get("failed"):
            raise EngineError(
                "the server answered from a part of its data",
                self.subject,
                f"{shards.get('failed', 0)} of {shards.get('total', '?')} shards failed. "
                "Look at the health of the cluster, or give more time: ?timeout=SECONDS",
            )

    # -------------------------------------------------------------- writes

    def bulk(
        self, target: str, actions: Iterable[tuple[bytes, Any]]
    ) -> list[tuple[Any, Mapping[str, Any]]]:
        """Send actions in requests of a bounded size; return what became of each, in order.

        What an overloaded server refuses is sent again, with growing pauses.

        Args:
            target: an alias; an index is never made by this.
            actions: each as the lines of a bulk request, with what it is about.
        """
        done: list[tuple[Any, Mapping[str, Any]]] = []
        some: list[tuple[bytes, Any]] = []
        size = 0
        for each in actions:
            if some and size + len(each[0]) > BULK_BYTES:
                done += self._bulk(target, some)
                some, size = [], 0
            some.append(each)
            size += len(each[0])
        return done + (self._bulk(target, some) if some else [])

    def _bulk(
        self, target: str, actions: list[tuple[bytes, Any]]
    ) -> list[tuple[Any, Mapping[str, Any]]]:
        results: list[Mapping[str, Any]] = [{}] * len(actions)
        waiting = list(range(len(actions)))
        for pause in (*PAUSES_S, None):
            body = b"".join(actions[n][0] for n in waiting)
            answer = self.ask("POST", f"/{target}/_bulk?require_alias=true", body)
            again = []
            for n, item in zip(waiting, answer["items"], strict=True):
                (results[n],) = item.values()
                if _may_pass(results[n]["status"], results[n].get("error")):
                    again.append(n)
            waiting = again
            if not waiting or pause is None:
                break
            time.sleep(pause)
        return [(about, result) for (_, about), result in zip(actions, results, strict=True)]


#: `json.dumps` makes an encoder at each call.
_json: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encoded(body: Any) -> bytes:
    """Return JSON in UTF-8."""
    return _json(body).encode()


def line(body: Any) -> bytes:
    """Return a line of JSON in UTF-8."""
    return encoded(body) + b"\n"


def _may_pass(status: int, error: Any) -> bool:
    """Return whether it is worth trying again; a full disk or a read-only index will not pass."""
    return status in _OVERLOADED and _said(error)[0] != "cluster_block_exception"


def _said(error: Any) -> tuple[str, str]:
    """Return the kind of a server's error, and its reason: the innermost, which says most."""
    if not isinstance(error, Mapping):
        return "error", str(error)[:300]
    found = error
    while isinstance(inner := found.get("caused_by"), Mapping):
        found = inner
    for failure in error.get("failed_shards", [])[:1]:
        return _said(failure.get("reason"))
    return str(error.get("type", "error")), str(found.get("reason", ""))[:300]


def _cause(error: BaseException) -> str:
    return str(getattr(error, "message", error))[:200]
