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
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote, unquote, urljoin, urlsplit

from pixseek.errors import ImageError
from pixseek.images.limits import MAX_BYTES
from pixseek.sources.addresses import is_public
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import ssl

#: Maximum seconds for one URL, all redirects included.
TIMEOUT_S = 60.0

#: Maximum characters of a URL; servers take about 8,000.
MOST_CHARACTERS = 10_000

#: Maximum number of redirects followed.
MOST_REDIRECTS = 5

#: Bytes read at once, and bytes from which an image is recognised.
_PIECE = 64 << 10

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\]")

_SAVE = "Save it and name the file."
_CHECK = "Check the address."


@dataclass(frozen=True, slots=True)
class _Place:
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


class _LateError(Exception):
    """The time for the URL is over."""


class _Deadline:
    """The moment at which the time for a URL is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            _LateError: none.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise _LateError
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
    deadline = _Deadline(timeout_s)
    try:
        return _followed(url, deadline, allow_private, proxies, max_bytes)
    except (_LateError, TimeoutError) as error:
        raise _failed(
            "timeout", f"It was not there after {timeout_s:g} seconds", url, _SAVE
        ) from error
    except http.client.IncompleteRead as error:
        raise _failed("unreadable", "The server broke off", url, f"Try again. {_SAVE}") from error
    except (OSError, http.client.HTTPException, zlib.error) as error:
        raise _failed("unreadable", _said(error), url, f"{_CHECK} {_SAVE}") from error


def _followed(
    url: str, deadline: _Deadline, allow_private: bool, proxies: bool, max_bytes: int
) -> bytes:
    place, authorization = _parsed(url, url)
    origin = place.origin
    for _ in range(MOST_REDIRECTS + 1):
        headers = {"Host": place.authority, "User-Agent": "pixseek", "Accept": "image/*,*/*;q=0.1",
                   "Accept-Encoding": "identity", "Connection": "close"}  # fmt: skip
        if authorization and place.origin == origin:
            headers["Authorization"] = authorization
        with _answer(place, headers, url, deadline, allow_private, proxies) as answer:
            if answer.status in _REDIRECTS and (after := answer.headers.get("Location")):
                # Not only ASCII is sent; a path's bytes stay as they are.
                after = after.encode("latin-1", "replace").decode("utf-8", "surrogateescape")
                place, _ = _parsed(after, url, str(place))
                continue
            if answer.status != 200:
                _refuse(answer.status, url)
            return _image(answer, url, max_bytes)
    raise _failed("unreadable", f"More than {MOST_REDIRECTS} redirects", url, _SAVE)


def _parsed(text: str, url: str, base: str = "") -> tuple[_Place, str]:
    """Return where a URL points, and the header with its credentials, "" for none.

    Args:
        text: of the URL; it may be relative to `base`.
        url: what the user named, for errors.
        base: the URL that answered with it.
    """
    if len(text) > MOST_CHARACTERS:
        raise _failed("unreadable", "The URL is too long", f"{url[:100]}...", _CHECK)
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
        raise _failed("unreadable", "The URL is not valid", url, _CHECK) from error
    if parts.scheme not in ("http", "https"):
        raise _failed("no-permission", "Only http and https are fetched", url, f"{_CHECK} {_SAVE}")
    if not _HOST.fullmatch(f"[{host}]" if ":" in host else host) or port == 0:
        raise _failed("unreadable", "The URL is not valid", url, _CHECK)
    secure = parts.scheme == "https"
    return _Place(secure, host, port or (443 if secure else 80), target), authorization


def _basic(user: str, password: str) -> str:
    pair = f"{unquote(user)}:{unquote(password)}".encode("utf-8", "surrogateescape")
    return f"Basic {base64.b64encode(pair).decode()}"


# ------------------------------------------------------------------ connecting


@contextlib.contextmanager
def _answer(
    place: _Place,
    headers: dict[str, str],
    url: str,
    deadline: _Deadline,
    allow_private: bool,
    proxies: bool,
) -> Iterator[http.client.HTTPResponse]:
    """Send a request, and give the answer, of which only the head has been read."""
    proxy = _proxy(place, url) if proxies else None
    if proxy is None:
        plain = _connected(place.host, place.port, url, deadline, allow_private)
    else:
        if not allow_private:
            _check_before_proxy(place, url, deadline)
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
    host: str, port: int, url: str, deadline: _Deadline, allow_private: bool
) -> socket.socket:
    """Return a socket that is connected to one of a host's addresses."""
    found = _resolved(host, port, deadline)
    allowed = [each for each in found if allow_private or is_public(each[1][0])]
    if not allowed:
        raise _private(url)
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


def _resolved(host: str, port: int, deadline: _Deadline) -> list[tuple[int, Any]]:
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
        raise _LateError
    if isinstance(found[0], Exception):
        raise OSError(f"there is no server {host}") from found[0]
    return [(family, address) for family, _, _, _, address in found[0]]


def _tls() -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context()


class _Timed:
    """A connected socket, each read and write of which ends at the deadline."""

    def __init__(self, sock: Any, deadline: _Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._deadline.left())  # of the whole write
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(_Reads(self._sock, self._deadline), _PIECE)

    def close(self) -> None:
        """Do nothing: `http.client` closes before the body is read, and `_answer` after that."""


class _Reads(io.RawIOBase):
    """The bytes that a socket receives."""

    def __init__(self, sock: Any, deadline: _Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._sock.settimeout(self._deadline.left())
        count: int = self._sock.recv_into(buffer)
        return count


# ------------------------------------------------------------------ proxies


def _proxy(place: _Place, url: str) -> tuple[_Place, str] | None:
    """Return the proxy that the environment names for a URL, and its credentials; None for none."""
    import urllib.request

    named = urllib.request.getproxies().get("https" if place.secure else "http")
    if not named or urllib.request.proxy_bypass(place.host):
        return None
    try:
        found, authorization = _parsed(named if "://" in named else f"http://{named}", url)
    except ImageError:
        found = None
    if found is None or found.secure:  # its address may hold a password: it isn't shown
        raise _failed(
            "unreadable", "The proxy of HTTP_PROXY or HTTPS_PROXY can't be used", url,
            "Name one as http://HOST:PORT, or unset it.",
        )  # fmt: skip
    return found, authorization


def _check_before_proxy(place: _Place, url: str, deadline: _Deadline) -> None:
    """Refuse a host that is not public as far as this machine knows; the proxy resolves it."""
    try:
        found = _resolved(place.host, place.port, deadline)
    except OSError:
        return
    if not all(is_public(address[0]) for _, address in found):  # it may choose any of them
        raise _private(url)


def _tunnel(
    sock: socket.socket, place: _Place, authorization: str, url: str, deadline: _Deadline
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
        raise _failed(
            "unreadable", f"The proxy answered {answer.status}", url, f"Check HTTPS_PROXY. {_SAVE}"
        )


# ------------------------------------------------------------------ the answer


def _image(answer: http.client.HTTPResponse, url: str, max_bytes: int) -> bytes:
    """Return the body of an answer, if it is an image."""
    from pixseek.images.formats import not_an_image

    length = answer.headers.get("Content-Length", "")
    if length.isascii() and length.isdecimal() and int(length[:20]) > max_bytes:
        raise _too_large(url, max_bytes)
    content, recognised = bytearray(), False
    for piece in _unpacked(answer, url):
        content += piece
        if len(content) > max_bytes:
            raise _too_large(url, max_bytes)
        if not recognised and len(content) >= _PIECE:
            recognised = True
            if error := not_an_image(bytes(content[:_PIECE])):
                raise _failed(error.reason, error.problem, url, _CHECK) from error
    if error := not_an_image(bytes(content)):
        problem = "The answer is empty" if error.reason == "empty" else error.problem
        raise _failed(error.reason, problem, url, _CHECK) from error
    return bytes(content)


def _unpacked(answer: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    """Yield the body in pieces of limited size, unpacked if the server packed it unasked."""
    coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if coding in ("identity", ""):
        while piece := answer.read(_PIECE):
            yield piece
        if answer.length:  # `read` of a number of bytes doesn't tell that some are missing
            raise http.client.IncompleteRead(b"", answer.length)
        return
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise _failed("unreadable", "The server packed the answer unasked", url, _SAVE)
    unpacker = zlib.decompressobj(15 if coding == "deflate" else 31)
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail or answer.read(_PIECE)
        piece = unpacker.decompress(packed, _PIECE)
        if not packed and not piece:
            raise http.client.IncompleteRead(b"")
        yield piece


# ------------------------------------------------------------------ errors


def _failed(reason: str, problem: str, url: str, advice: str) -> ImageError:
    return ImageError(reason, problem, url, advice)


def _private(url: str) -> ImageError:
    return _failed(
        "no-permission",
        "It is on this machine or a private network, from which nothing is fetched",
        url,
        f"{_SAVE} Or allow it, if you trust the address: --allow-private (allow_private=True)",
    )


def _too_large(url: str, max_bytes: int) -> ImageError:
    return _failed(
        "too-large", "The file is too large for an image", url,
        f"Its size is limited to {max_bytes / (1 << 20):.3g} MiB.",
    )  # fmt: skip


def _refuse(status: int, url: str) -> NoReturn:
    phrase = http.client.responses.get(status, "")
    problem = f"The server answered {status}" + (f" ({phrase})" if phrase else "")
    if status in (404, 410):
        raise _failed("missing", problem, url, f"{_CHECK} {_SAVE}")
    if status in (401, 403, 407):
        raise _failed("no-permission", problem, url, _SAVE)
    raise _failed("unreadable", problem, url, f"Try again later. {_SAVE}")


def _said(error: Exception) -> str:
    """Return what went wrong, in words that hold nothing of the server's or a proxy's."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The server's certificate is not valid ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "No secure connection could be made"
    if isinstance(error, http.client.HTTPException | zlib.error):
        return "The server's answer is not valid"
    assert isinstance(error, OSError)
    text = error.strerror or str(error) or type(error).__name__
    return text[:1].upper() + text[1:]
