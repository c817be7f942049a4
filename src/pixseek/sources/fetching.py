"""Fetch an image by its URL: the one HTTP client of pixseek.

It is bounded in all that a server can stretch: the time of everything together, from the name's
resolution to the last byte; the bytes, packed and unpacked; and the redirects. What isn't an image
by its first bytes isn't downloaded, whatever the server calls it.

A URL from a stranger must not reach into the user's network. So unless the caller allows it, an
address that isn't public is refused at the moment of connecting: the address that was checked is
the one that is connected to, for every redirect anew, so a name that changes its mind gains
nothing. Through a proxy that the environment names, the proxy resolves the name; the check is then
as good as this machine's own answer.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import re
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from pixseek.errors import ImageError
from pixseek.images.limits import MAX_BYTES
from pixseek.sources.addresses import is_public
from pixseek.sources.answers import (
    CHECK,
    PIECE,
    SAVE,
    Body,
    failed,
    private_place,
    refuse,
    said,
)
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import ssl

#: Maximum seconds for one URL, all redirects included.
TIMEOUT_S = 60.0

#: Maximum characters of a URL; servers take about 8,000.
MOST_CHARACTERS = 10_000

#: Maximum number of redirects followed.
MOST_REDIRECTS = 5

REDIRECTS = frozenset((301, 302, 303, 307, 308))
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL points, without credentials.

    Attributes:
        secure: whether it is https.
        host: name or IP address, an IPv6 one without brackets.
        port: of the server.
        target: path and query, as they are sent.
    """

    secure: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port, as they are sent; without the port if it is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[bool, str, int]:
        """What has to be the same for credentials to be sent."""
        return self.secure, self.host, self.port

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.target}"


class LateError(Exception):
    """The time for the URL is over."""


class Deadline:
    """The moment at which the time for a URL is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    def extend(self, seconds: float) -> None:
        """Allow more time."""
        self._at += seconds

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            LateError: none.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise LateError
        return left


def fetch(
    url: str,
    *,
    allow_private: bool = False,
    proxies: bool = True,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
) -> bytes:
    """Return the image at a URL: the bytes of its file.

    A name and password in the URL are sent to its own host only, never after a redirect to another.

    Args:
        url: with the scheme http or https.
        allow_private: also connect to addresses that are not public: this machine, the local
            network. Never set it for a URL that the user did not write.
        proxies: use the proxies that the environment names (`HTTPS_PROXY`).
        max_bytes: maximum size of the file.
        timeout_s: maximum seconds, for all of it.

    Raises:
        ImageError: it can't be fetched. `reason` is "missing", "no-permission", "too-large",
            "timeout", "empty", "not-an-image" or "unreadable".
    """
    deadline = Deadline(timeout_s)
    try:
        return _followed(url, deadline, allow_private, proxies, max_bytes)
    except (LateError, TimeoutError) as error:
        raise failed(
            "timeout", f"It was not there after {timeout_s:g} seconds", url, SAVE
        ) from error
    except http.client.IncompleteRead as error:
        raise failed("unreadable", "The server broke off", url, f"Try again. {SAVE}") from error
    except (OSError, http.client.HTTPException, zlib.error) as error:
        raise failed("unreadable", said(error), url, f"{CHECK} {SAVE}") from error


def _followed(
    url: str, deadline: Deadline, allow_private: bool, proxies: bool, max_bytes: int
) -> bytes:
    place, authorization = parsed(url, url)
    origin = place.origin
    for _ in range(MOST_REDIRECTS + 1):
        headers = {"Host": place.authority, "User-Agent": "pixseek", "Accept": "image/*,*/*;q=0.1",
                   "Accept-Encoding": "identity", "Connection": "close"}  # fmt: skip
        if authorization and place.origin == origin:
            headers["Authorization"] = authorization
        with _answer(place, headers, url, deadline, allow_private, proxies) as answer:
            if answer.status in REDIRECTS and (after := answer.headers.get("Location")):
                # Not only ASCII is sent; a path's bytes stay as they are.
                after = after.encode("latin-1", "replace").decode("utf-8", "surrogateescape")
                place, _ = parsed(after, url, str(place))
                continue
            if answer.status != 200:
                refuse(answer.status, url)
            return _image(answer, url, max_bytes)
    raise failed("unreadable", f"More than {MOST_REDIRECTS} redirects", url, SAVE)


def parsed(text: str, url: str, base: str = "") -> tuple[Place, str]:
    """Return where a URL points, and the header with its credentials, "" for none.

    Args:
        text: of the URL; it may be relative to `base`.
        url: what the user named, for errors.
        base: the URL that answered with it.
    """
    if len(text) > MOST_CHARACTERS:
        raise failed("unreadable", "The URL is too long", f"{url[:100]}...", CHECK)
    try:
        parts = urlsplit(urljoin(base, text))
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode()
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._", errors="surrogateescape")
        if parts.query:
            query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?", errors="surrogateescape")
            target += f"?{query}"
        authorization = (
            "" if parts.username is None else _basic(parts.username, parts.password or "")
        )
    except ValueError as error:  # UnicodeError is one
        raise failed("unreadable", "The URL is not valid", url, CHECK) from error
    if parts.scheme not in ("http", "https"):
        raise failed("no-permission", "Only http and https are fetched", url, f"{CHECK} {SAVE}")
    if not _HOST.fullmatch(f"[{host}]" if ":" in host else host) or port == 0:
        raise failed("unreadable", "The URL is not valid", url, CHECK)
    secure = parts.scheme == "https"
    return Place(secure, host, port or (443 if secure else 80), target), authorization


def _basic(user: str, password: str) -> str:
    pair = f"{unquote(user)}:{unquote(password)}".encode("utf-8", "surrogateescape")
    return f"Basic {base64.b64encode(pair).decode()}"


# ------------------------------------------------------------------ connecting


@contextlib.contextmanager
def _answer(
    place: Place,
    headers: dict[str, str],
    url: str,
    deadline: Deadline,
    allow_private: bool,
    proxies: bool,
) -> Iterator[http.client.HTTPResponse]:
    """Send a request, and give the answer, of which only the head has been read."""
    proxy = proxy_of(place, url) if proxies else None
    if proxy is None:
        plain = _connected(place.host, place.port, url, deadline, allow_private)
    else:
        if not allow_private:
            check_before_proxy(place, url, deadline)
        plain = _connected(proxy[0].host, proxy[0].port, url, deadline, True)
    with contextlib.ExitStack() as stack:
        stack.callback(plain.close)
        target = place.target
        if proxy is not None and place.secure:
            _tunnel(plain, place, proxy[1], url, deadline)
        elif proxy is not None:
            target = str(place)
            headers = headers | ({"Proxy-Authorization": proxy[1]} if proxy[1] else {})
        stream: Any = plain
        if place.secure:
            plain.settimeout(deadline.left())  # of the whole handshake
            stream = _tls().wrap_socket(plain, server_hostname=place.host)
            stack.callback(stream.close)
        connection = http.client.HTTPConnection(place.host, place.port)
        connection.sock = _Timed(stream, deadline)
        connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        yield stack.enter_context(contextlib.closing(connection.getresponse()))


def _connected(
    host: str, port: int, url: str, deadline: Deadline, allow_private: bool
) -> socket.socket:
    """Return a socket that is connected to one of a host's addresses."""
    allowed = allowed_addresses(host, port, url, deadline, allow_private)
    trouble: OSError | None = None
    for n, (family, address) in enumerate(allowed):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            # An address that doesn't answer leaves time for the next.
            sock.settimeout(deadline.left() / (len(allowed) - n))
            sock.connect(address)
            return sock
        except OSError as error:
            sock.close()
            trouble = error
        except BaseException:
            sock.close()
            raise
    assert trouble is not None
    raise trouble


def allowed_addresses(
    host: str, port: int, url: str, deadline: Deadline, allow_private: bool
) -> list[tuple[int, Any]]:
    """Return the addresses of a host that may be connected to, each with its family.

    Raises:
        ImageError: none of them is public, and private ones are not allowed.
        LateError: the name was not resolved in time.
        OSError: there is no such host.
    """
    found = _resolved(host, port, deadline)
    allowed = [each for each in found if allow_private or is_public(each[1][0])]
    if not allowed:
        raise private_place(url)
    return allowed


def _resolved(host: str, port: int, deadline: Deadline) -> list[tuple[int, Any]]:
    """Return the addresses of a host, each with its family; the system has no limit of its own."""
    found: list[Any] = []

    def resolve() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(deadline.left())
    if not found:
        raise LateError
    if isinstance(found[0], Exception):
        raise OSError(f"there is no server {host}") from found[0]
    return [(family, address) for family, _, _, _, address in found[0]]


def _tls() -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context()


class _Timed:
    """A connected socket, each read and write of which ends at the deadline."""

    def __init__(self, sock: Any, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._deadline.left())  # of the whole write
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(_Reads(self._sock, self._deadline), PIECE)

    def close(self) -> None:
        """Do nothing: `http.client` closes before the body is read, and `_answer` after that."""


class _Reads(io.RawIOBase):
    """The bytes that a socket receives."""

    def __init__(self, sock: Any, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._sock.settimeout(self._deadline.left())
        count: int = self._sock.recv_into(buffer)
        return count


# ------------------------------------------------------------------ proxies


def proxy_of(place: Place, url: str) -> tuple[Place, str] | None:
    """Return the proxy that the environment names for a URL, and its credentials; None for none."""
    import urllib.request

    named = urllib.request.getproxies().get("https" if place.secure else "http")
    if not named or urllib.request.proxy_bypass(place.host):
        return None
    try:
        found, authorization = parsed(named if "://" in named else f"http://{named}", url)
    except ImageError:
        found = None
    if found is None or found.secure:  # its address may hold a password: it isn't shown
        raise failed(
            "unreadable", "The proxy of HTTP_PROXY or HTTPS_PROXY can't be used", url,
            "Name one as http://HOST:PORT, or unset it.",
        )  # fmt: skip
    return found, authorization


def check_before_proxy(place: Place, url: str, deadline: Deadline) -> None:
    """Refuse a host that is not public as far as this machine knows; the proxy resolves it."""
    try:
        found = _resolved(place.host, place.port, deadline)
    except OSError:
        return
    if not all(is_public(address[0]) for _, address in found):  # it may choose any of them
        raise private_place(url)


def _tunnel(
    sock: socket.socket, place: Place, authorization: str, url: str, deadline: Deadline
) -> None:
    """Ask a proxy to connect to a server."""
    host = f"[{place.host}]" if ":" in place.host else place.host
    lines = [f"CONNECT {host}:{place.port} HTTP/1.1", f"Host: {host}:{place.port}"]
    if authorization:
        lines.append(f"Proxy-Authorization: {authorization}")
    timed = _Timed(sock, deadline)
    timed.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    answer = http.client.HTTPResponse(timed, method="CONNECT")  # type: ignore[arg-type]
    answer.begin()
    if answer.status != 200:
        raise failed(
            "unreadable", f"The proxy answered {answer.status}", url, f"Check HTTPS_PROXY. {SAVE}"
        )


# ------------------------------------------------------------------ the answer


def _image(answer: http.client.HTTPResponse, url: str, max_bytes: int) -> bytes:
    """Return the body of an answer, if it is an image."""
    body = Body(url, answer.headers.get("Content-Encoding", ""),
                answer.headers.get("Content-Length", ""), max_bytes)  # fmt: skip
    while not body.is_whole and (piece := answer.read(PIECE)):
        body.add(piece)
    # `read` of a number of bytes doesn't tell that some are missing.
    if answer.length and not body.is_whole:
        raise http.client.IncompleteRead(b"", answer.length)
    return body.image()
