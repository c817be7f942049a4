"""Requests to a Vespa, and its errors in the words of pixseek.

By httpx, which pyvespa needs too. Its own feeder is not used: it takes one condition for all
documents of a call, while here each is written on the condition that nobody has changed it; and it
takes no file of a certificate authority.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import quote

from pixseek.engines.remote import Remote, check_authority, distrust
from pixseek.errors import ConfigError, EngineError, MissingExtraError
from pixseek.storage.errors import closed

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("the engine vespa", "httpx", "vespa") from error

_T = TypeVar("_T")
_U = TypeVar("_U")

#: Seconds for one request.
TIMEOUT_S = 60.0
#: Seconds until what an overloaded server refused is asked again.
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
#: Requests at once of one call, and connections that are kept.
TOGETHER = 16

#: Statuses of HTTP; from this one up a request was not carried out.
_REFUSED = 300
_CONDITION_FAILED = 412
_NOT_FOUND = 404
_OVERLOADED = (429, 502, 503, 507)
#: Vespa's own numbers of errors of a query: no answer in time.
_TIMED_OUT = 12
#: What a server may say: its status, the problem, what to do.
_MEANINGS: Mapping[int, tuple[str, str]] = {
    401: ("the server does not accept the token or certificate",
          "Give a token in PIXSEEK_ENGINE_API_KEY or in the file that the option api_key_file "
          "names, or a certificate: ?cert=FILE&key=FILE"),
    403: ("the server does not allow this", "Use a token or certificate with the right to. {0}"),
    413: ("the server refuses requests of this size", "{0}"),
    429: ("the server is overloaded", "Try again later. It said: {0}"),
    503: ("the server is overloaded, or a part of it is missing", "Try again later. It said: {0}"),
    504: ("the server did not answer in time",
          "Try again, or give more time: ?timeout=SECONDS. It said: {0}"),
    507: ("the server's disk or memory is full", "Free some, or add nodes. It said: {0}"),
}  # fmt: skip


class Refusal(EngineError):  # noqa: N818 (it is one of EngineErrors)
    """What a server did not do.

    Attributes:
        status: of HTTP.
        said: in the words of the server.
    """

    def __init__(self, problem: str, subject: str, advice: str, status: int, said: str) -> None:
        super().__init__(problem, subject, advice)
        self.status, self.said = status, said


class Server:
    """A container node of Vespa, or its balancer. May be used from several threads."""

    def __init__(self, remote: Remote) -> None:
        """Connect at the first request.

        Raises:
            ConfigError: the address has what this server has not, or a file of certificates can't
                be read.
        """
        if len(remote.hosts) > 1 or remote.user:
            raise ConfigError(
                "Vespa is reached at one host, by a certificate or a token",
                remote.shown,
                "Name one container node, or the balancer before them, and no user.",
            )
        self.subject = remote.shown
        self._seconds: float = remote.options.get("timeout", TIMEOUT_S)
        self._closed = False
        (host, port) = remote.hosts[0]
        host = f"[{host}]" if ":" in host else host
        headers = {"authorization": f"Bearer {remote.api_key}"} if remote.api_key else {}
        self._client = httpx.Client(
            base_url=f"http{'s' * remote.secure}://{host}:{port}",
            headers=headers,
            verify=_trusting(remote) if remote.secure else False,
            # Vespa itself gives up after the seconds; this is for a server that hangs.
            timeout=httpx.Timeout(min(2 * self._seconds, self._seconds + 5)),
            limits=httpx.Limits(max_connections=TOGETHER, max_keepalive_connections=TOGETHER),
            trust_env=remote.secure,  # proxies, on the way to Vespa Cloud
        )
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        if self._pool is not None:
            self._pool.shutdown()
        self._client.close()

    def together(self, call: Callable[[_T], _U], each: Sequence[_T]) -> list[_U]:
        """Return what a function that sends requests returns for each of some values, in order."""
        if len(each) <= 1:
            return [call(one) for one in each]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(TOGETHER, "pixseek-vespa")
        return list(self._pool.map(call, each))

    # -------------------------------------------------------------- documents

    def get(
        self, namespace: str, type_: str, id_: str, *, together: str = ""
    ) -> Mapping[str, Any] | None:
        """Return the fields of a document; None if it is not there.

        Args:
            namespace: in the document's id.
            type_: of the document.
            id_: what the document's id ends in.
            together: the part of its id that says with which others it is stored: "g=NAME" or
                "n=NUMBER".
        """
        path = _path(namespace, type_, id_, together)
        answer = self._ask("GET", path, absent=_NOT_FOUND)
        if answer is None:
            return None
        fields = answer.get("fields")
        if not isinstance(fields, Mapping):
            raise self._not_understood()
        return fields

    def update(
        self,
        namespace: str,
        type_: str,
        id_: str,
        fields: Mapping[str, Any],
        *,
        condition: str = "",
        create: bool = True,
    ) -> bool:
        """Change fields of a document; return whether its condition held.

        Args:
            namespace: in the document's id.
            type_: of the document.
            id_: what the document's id ends in.
            fields: by name, the new values; None for none.
            condition: on the stored document, as a document selection; "" for none. One that is
                not stored fulfils it if `create`, else it doesn't.
            create: whether one that is not stored is made.
        """
        body = {"fields": {name: {"assign": value} for name, value in fields.items()}}
        params = {"create": "true"} if create else {}
        return self._change("PUT", _path(namespace, type_, id_), params, condition, body)

    def remove(self, namespace: str, type_: str, id_: str, condition: str = "") -> bool:
        """Remove a document; return whether its condition held."""
        return self._change("DELETE", _path(namespace, type_, id_), {}, condition, None)

    def _change(
        self, method: str, path: str, params: dict[str, str], condition: str, body: Any
    ) -> bool:
        params["timeout"] = f"{self._seconds:g}s"
        if condition:
            params["condition"] = condition
        answer = self._ask(method, path, params, body, absent=_CONDITION_FAILED)
        return answer is not None

    def visit_all(
        self, type_: str, cluster: str, together: int
    ) -> Iterator[list[Mapping[str, Any]]]:
        """Yield all documents of a type in pages, each with its "id" and "fields".

        Args:
            type_: of the documents, in any namespace.
            cluster: where they are; "" if there is one content cluster.
            together: about how many one answer has.
        """
        params = {
            "selection": type_,
            "wantedDocumentCount": str(together),
            "format.tensors": "short-value",
            "timeout": f"{self._seconds:g}s",
            **({"cluster": cluster} if cluster else {}),
        }
        while True:
            answer = self._ask("GET", "/document/v1/", params)
            yield answer.get("documents", [])
            if "continuation" not in answer:
                return
            params["continuation"] = answer["continuation"]

    # -------------------------------------------------------------- queries

    def search(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the root of the whole answer to a query.

        Raises:
            Refusal: it is not understood.
            EngineError: it took too long, or nodes did not answer.
        """
        whole = {
            **body,
            "timeout": f"{self._seconds:g}s",
            # Else Vespa returns what it has found when most of the time is gone.
            "ranking.softtimeout.enable": "false",
        }
        root = self._ask("POST", "/search/", body=whole)["root"]
        if not isinstance(root, Mapping):
            raise self._not_understood()
        self._check_whole(root)
        return root

    def _check_whole(self, root: Mapping[str, Any]) -> None:
        errors = root.get("errors", [])
        if any(each.get("code") == _TIMED_OUT for each in errors):
            raise self._refusal(504, _said(root, ""))
        coverage = root.get("coverage", {})
        if (coverage and not coverage.get("full", True)) or "degraded" in coverage or errors:
            why = [name for name, is_so in coverage.get("degraded", {}).items() if is_so]
            raise EngineError(
                "the server answered from a part of its data",
                self.subject,
                f"{coverage.get('coverage', '?')} % of the documents were searched"
                f"{' (' + ', '.join(why) + ')' if why else ''}. Look at the health of the content "
                f"nodes, or give more time: ?timeout=SECONDS. {_said(root, '')}",
            )

    # -------------------------------------------------------------- requests

    def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        absent: int = 0,
    ) -> Any:
        """Return the answer to a request; None if its status is `absent`."""
        if self._closed:
            raise closed(self.subject)
        for pause in (*PAUSES_S, None):
            answer = self._send(method, path, params, body)
            status = answer.status_code
            told = self._read(answer)
            if status < _REFUSED:
                # Another server may answer anything with success, and has kept or found nothing.
                if not told.get("root" if path == "/search/" else "pathId"):
                    raise self._not_understood()
                return told
            if status == absent and "pathId" in told:
                return None
            if status == _NOT_FOUND and not told:
                raise self._not_understood()
            if status not in _OVERLOADED or pause is None:
                raise self._refusal(status, _said(told, answer.text))
            time.sleep(pause)
        raise AssertionError  # the last round returns or raises

    def _send(
        self, method: str, path: str, params: Mapping[str, str] | None, body: Any
    ) -> httpx.Response:
        content = None if body is None else _json(body).encode()
        headers = {} if body is None else {"content-type": "application/json"}

        def send() -> httpx.Response:
            return self._client.request(
                method, path, params=params, content=content, headers=headers
            )

        try:
            try:
                return send()
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # A server closes connections that were not used for a while. A write that was
                # carried out all the same fails by its condition, and the record is read again.
                return send()
        except httpx.TimeoutException as error:
            raise EngineError(
                f"the server did not answer within {self._seconds:g} s",
                self.subject,
                "Try again, or give more time: ?timeout=SECONDS",
            ) from error
        except httpx.HTTPError as error:
            raise self._unreached(str(error)[:200]) from error
        except RuntimeError as error:  # another thread has closed the client
            raise closed(self.subject) from error

    def _unreached(self, said: str) -> EngineError:
        lower = said.lower()
        if "certificate required" in lower or ("alert" in lower and "certificate" in lower):
            return EngineError(
                "the server wants a certificate of this client",
                self.subject,
                f"Name those of the application: ?cert=FILE.pem&key=FILE.pem. {said}",
            )
        if "ssl" in lower or "certificate" in lower:
            return distrust(self.subject, said)
        return EngineError(
            "the server is out of reach",
            self.subject,
            f"Is it running, and the URL right? {said}",
        )

    def _read(self, answer: httpx.Response) -> Mapping[str, Any]:
        try:
            told = json.loads(answer.content) if answer.content else {}
        except (ValueError, RecursionError):
            told = None
        if isinstance(told, Mapping):
            return told
        if answer.status_code < _REFUSED:
            raise self._not_understood()
        return {}

    def _not_understood(self) -> EngineError:
        return EngineError(
            "the server's answer can't be understood",
            self.subject,
            "Is it a container of Vespa (port 8080 by default), and no proxy between?",
        )

    def _refusal(self, status: int, said: str) -> Refusal:
        problem, advice = _MEANINGS.get(status, ("the server refused", f"{status}: {{0}}"))
        return Refusal(problem, self.subject, advice.format(said), status, said)


#: `json.dumps` makes an encoder at each call.
_json: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode


def _path(namespace: str, type_: str, id_: str, together: str = "") -> str:
    kind, _, value = together.partition("=")
    at = {"": ("docid",), "g": ("group", value), "n": ("number", value)}[kind]
    return "/".join(("/document/v1", *(quote(e, safe="") for e in (namespace, type_, *at, id_))))


def _said(told: Mapping[str, Any], text: str) -> str:
    """Return what a server says of an error."""
    root = told.get("root", told)
    errors = root.get("errors") if isinstance(root, Mapping) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    if isinstance(first, Mapping):
        return str(first.get("message") or first.get("summary") or "")[:300]
    return str(told.get("message", text))[:300]


def _trusting(remote: Remote) -> ssl.SSLContext:
    """Return what checks the server's certificate, and shows the client's own if there is one."""
    authority = remote.options.get("ca")
    if authority is not None:
        check_authority(authority)
    context = ssl.create_default_context(cafile=authority)
    certificate = remote.options.get("cert")
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, remote.options.get("key"))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                "The client's certificate or key can't be read",
                certificate,
                f"Name PEM files: ?cert=FILE&key=FILE. {getattr(error, 'strerror', '') or error}",
            ) from None
    return context
