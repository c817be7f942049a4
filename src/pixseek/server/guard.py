"""What every request passes before pixseek looks at it, and every answer on its way out."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixseek.redaction import scrub
from pixseek.server.access import Access, comes_from_elsewhere
from pixseek.server.answers import Answer
from pixseek.server.metrics import Metrics
from pixseek.server.problems import Refused, answer_to
from pixseek.server.settings import Limits, Settings

log = logging.getLogger("pixseek.server")

#: Who may be asked for without rights: whether the server lives, and the way to get rights.
OPEN = frozenset(("/healthz", "/readyz", "/login"))

#: Scripts and styles of the page, which anybody may read.
STATIC = "/static/"

_OWN_COOKIE = re.compile(r"pixseek_[a-z]+=[\w.%-]*", re.ASCII)

#: Bodies of strangers, bytes at most; a token has fewer.
_LOGIN_BYTES = 64 << 10

#: Addresses that take images in JSON.
_IMAGES_IN_JSON = frozenset(("/api/embed",))

#: Headers that decide what a request may do.
_ONCE = frozenset(
    ("authorization", "content-length", "content-type", "host", "origin", "sec-fetch-site")
)

#: Clients whose requests are counted; the least recent are forgotten.
_CLIENTS = 10_000

#: Nothing of other hosts, no scripts and styles within pages, no frame around them.
POLICY = (
    "default-src 'none'; img-src 'self' data: blob:; media-src 'self'; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """An ASGI application around another: checks, headers, counts, and errors as problems.

    It sets `scope["state"]["rights"]` to "read" or "write", and `"read_only"`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        settings: Settings,
        metrics: Metrics,
        shown: Callable[[Answer, Scope], Answer],
    ) -> None:
        """Stand before an application; `shown` makes the answer to an error fit for a request."""
        self._app, self._access, self._settings = app, access, settings
        self._metrics, self._shown = metrics, shown
        self._limits = settings.limits
        self._rates = _Rates(settings.limits.requests_a_second, settings.limits.burst_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # a websocket is refused by not being accepted
        began = time.perf_counter()
        status = 0
        if asks_for_head := scope["method"] == "HEAD":  # answered as GET, without the body
            scope = {**scope, "method": "GET", "state": {**scope.get("state", {}), "head": True}}

        async def passed_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(MutableHeaders(scope=message))
            elif asks_for_head:
                message = {**message, "body": b""}
            if message.get("more_body"):  # who takes nothing of a long answer is gone
                await asyncio.wait_for(send(message), self._limits.unread_s)
            else:
                await send(message)

        rights = None
        try:
            scope, cookies = _own_cookies(scope)
            headers = _once_each(scope)
            rights = self._checked(scope, headers, cookies)
            scope.setdefault("state", {}).update(rights=rights, read_only=self._access.read_only)
            await self._app(scope, _limited(receive, scope, headers, self._limits), passed_on)
        except Exception as error:
            if not isinstance(error, Refused | TimeoutError):
                scrub(error)
                log.error("%r %r", scope["method"], scope["path"], exc_info=error)
            if not status:  # else the answer has begun, and the connection is closed
                answer = answer_to(error, has_rights=rights == "write")
                await self._shown(answer, scope)(scope, receive, passed_on)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.count(route, scope["method"], status, time.perf_counter() - began)

    def _checked(self, scope: Scope, headers: Mapping[str, str], cookies: Mapping[str, str]) -> str:
        """Return the rights of whoever asks.

        Raises:
            Refused: the request is not for this server, too many come, or there are no rights.
        """
        if not self._access.knows_host(headers.get("host", "")):
            raise Refused(
                421, "host", "This server has another name", headers.get("host", "")[:200],
                "Start it with --host-name for each name under which it is reached.",
            )  # fmt: skip
        wait_s = self._rates.wait_s(_network((scope.get("client") or ("",))[0]))
        if wait_s:
            raise Refused(
                429, "too-many-requests", "Too many requests", "", "Send fewer a second.",
                {"Retry-After": str(int(wait_s) + 1)},
            )  # fmt: skip
        is_allowed = headers.get("origin") in self._settings.origins
        if not is_allowed and comes_from_elsewhere(scope["method"], headers):
            raise Refused(
                403, "other-site", "A page of another site sent this", headers.get("origin", ""),
                "Only pages of this server may change something.",
            )  # fmt: skip
        path = scope["path"]
        # A page of another site proves its rights by a token; its visitor's login is not its own.
        rights = self._access.rights_of(headers, {} if is_allowed else cookies)
        if rights is None:
            if path in OPEN or path.startswith(STATIC):
                return "read"
            if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
                there = quote(f"{path}?{scope['query_string'].decode('latin-1')}".rstrip("?"))
                raise Refused(
                    303, "no-token", "A token is needed", "", "",
                    {"Location": f"{self._settings.prefix}/login?to={there}"},
                )  # fmt: skip
            raise Refused(
                401, "no-token", "A token is needed", "",
                "Send it as: Authorization: Bearer TOKEN; in a browser, open /login.",
                {"WWW-Authenticate": 'Bearer realm="pixseek"'},
            )  # fmt: skip
        return rights

    def _complete(self, headers: MutableHeaders) -> None:
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("cache-control", "no-store")
        if self._settings.is_encrypted:
            headers.setdefault("strict-transport-security", "max-age=31536000")


def _limited(receive: Receive, scope: Scope, headers: Mapping[str, str], limits: Limits) -> Receive:
    """Return a `receive` that gives a body of limited size, which must come in limited time.

    Raises:
        Refused: the body is said to be larger; or, from what is returned, it is, or it is late.
    """
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return receive  # there is no body
    if scope["path"] in OPEN:
        most = _LOGIN_BYTES
    elif headers.get("content-type", "").lower().startswith("multipart/"):
        most = limits.upload_bytes
    elif scope["path"] in _IMAGES_IN_JSON:  # it is in memory while it comes
        most = limits.upload_bytes // 4
    else:
        most = limits.json_bytes
    shown = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most:,} bytes"
    too_large = Refused(
        413, "too-large", "The request is too large", "", f"It may have {shown} at most."
    )
    declared = headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > most):
        raise too_large
    left, ends, is_whole = most, time.monotonic() + limits.body_s, False

    async def limited() -> Message:
        nonlocal left, is_whole
        if is_whole:  # what comes next is the end of the connection, whenever that is
            return await receive()
        wait_s = min(limits.silence_s, ends - time.monotonic())
        try:
            message = await asyncio.wait_for(receive(), max(wait_s, 0.001))
        except TimeoutError as error:
            raise Refused(
                408, "late", "The rest of the request did not come", "",
                "Send it again; uploads need a faster connection, or fewer images each.",
                {"Connection": "close"},
            ) from error  # fmt: skip
        is_whole = not message.get("more_body", False)
        left -= len(message.get("body", b""))
        if left < 0:
            raise too_large
        return message

    return limited


@functools.lru_cache(_CLIENTS)
def _network(client: str) -> str:
    """Return who a client's requests are counted with: of IPv6, all of one network.

    Whoever has one such address has 2^64.
    """
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client[:100]
    if isinstance(address, ipaddress.IPv4Address):
        return client
    return str(address.ipv4_mapped or f"{int(address) >> 64:x}::/64")


class _Rates:
    """How many requests each client may still send: a bucket each, filled by the second."""

    def __init__(self, a_second: float, burst_s: float) -> None:
        self._a_second, self._most = a_second, a_second * burst_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Count a request; return 0 if it may pass, else the seconds until one may."""
        if not self._a_second:
            return 0.0
        now = time.monotonic()
        left, counted_at = self._left.pop(client, (self._most, now))
        left = min(self._most, left + (now - counted_at) * self._a_second)
        may_pass = left >= 1
        self._left[client] = (left - may_pass, now)
        if len(self._left) > _CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if may_pass else (1 - left) / self._a_second


def _once_each(scope: Scope) -> dict[str, str]:
    """Return the headers of a request.

    Raises:
        Refused: one that is checked here comes twice, so that others may read another one; or the
            host is missing.
    """
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        text = name.decode("latin-1")
        if text in _ONCE and text in headers:
            raise Refused(400, "header", "A header comes twice", text, "Send it once.")
        headers[text] = value.decode("latin-1")
    if "host" not in headers and scope.get("http_version") == "1.1":
        raise Refused(400, "header", "A header is missing", "host", "Send the host's name.")
    return headers


def _own_cookies(scope: Scope) -> tuple[Scope, dict[str, str]]:
    """Return a request with no cookies but ours, and those by name.

    A browser sends those of all servers of a machine, whatever their port, and reading what others
    wrote, in quotation marks too, can take long.
    """
    sent = [value for name, value in scope["headers"] if name == b"cookie"]
    if not sent:
        return scope, {}
    pairs = (pair.strip() for header in sent for pair in header.decode("latin-1").split(";"))
    own = dict(pair.split("=") for pair in pairs if _OWN_COOKIE.fullmatch(pair))
    others = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
    joined = "; ".join(f"{name}={value}" for name, value in own.items()).encode()
    return {**scope, "headers": [*others, (b"cookie", joined)]}, own


def is_head(scope: Scope) -> bool:
    """Return whether a GET was sent as HEAD, so that no body needs to be read."""
    return "head" in scope.get("state", {})


def is_read_only(scope: Scope) -> bool:
    """Return whether nobody may change anything, whatever the token."""
    return bool(scope.get("state", {}).get("read_only"))


def may_write(scope: Scope) -> bool:
    """Return whether whoever sent a request may change the library."""
    return bool(scope.get("state", {}).get("rights") == "write")
