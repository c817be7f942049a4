"""Fetching an image by its URL is bounded, and does not reach into private networks."""

from __future__ import annotations

import contextlib
import gzip
import io
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from PIL import Image

from pixseek.errors import ImageError
from pixseek.sources import fetching
from pixseek.sources.fetching import fetch


def _png(side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(buffer, "PNG")
    return buffer.getvalue()


PNG = _png()


def answer(content: bytes = PNG, status: str = "200 OK", **headers: object) -> bytes:
    given = {"Content-Length": len(content), **{k.replace("_", "-"): v for k, v in headers.items()}}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


def moved(to: str, status: str = "302 Found") -> bytes:
    return answer(b"", status, Location=to)


@dataclass
class Server:
    """A server on this machine that answers each path with given bytes, and keeps the requests."""

    port: int
    answers: dict[str, bytes | Callable[[socket.socket], None]] = field(default_factory=dict)
    requests: list[bytes] = field(default_factory=list)

    def url(self, path: str = "/a.png", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.settimeout(20)
            request = b""
            while b"\r\n\r\n" not in request and (piece := sock.recv(4096)):
                request += piece
            if not request:
                return
            self.requests.append(request)
            found = self.answers.get(request.split()[1].decode(), answer(b"", "404 Not Found"))
            found(sock) if callable(found) else sock.sendall(found)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(listening.getsockname()[1])

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listening.accept()
                    threading.Thread(target=server.serve, args=(sock,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serving() as found:
        found.answers["/a.png"] = answer()
        yield found


def failure(url: str, **options: object) -> ImageError:
    with pytest.raises(ImageError) as caught:
        fetch(url, **{"allow_private": True, **options})  # type: ignore[arg-type]
    error = caught.value
    assert error.reason in ImageError.REASONS
    assert error.problem
    assert error.subject
    assert error.advice
    return error


def test_an_image_is_fetched_whatever_the_server_calls_it(server: Server) -> None:
    server.answers["/b?x=1&y=%20"] = answer(PNG, Content_Type="text/html")
    assert fetch(server.url(), allow_private=True) == PNG
    assert fetch(server.url("/b?x=1&y= "), allow_private=True) == PNG
    assert b"User-Agent: pixseek\r\n" in server.requests[0]
    assert f"Host: 127.0.0.1:{server.port}\r\n".encode() in server.requests[0]
    assert b"Cookie" not in server.requests[0]


@pytest.mark.parametrize("chunks", [1, 7])
def test_chunks_and_packed_answers_are_read(server: Server, chunks: int) -> None:
    size = -(-len(PNG) // chunks)
    body = b"".join(
        b"%x\r\n%s\r\n" % (len(PNG[at : at + size]), PNG[at : at + size])
        for at in range(0, len(PNG), size)
    )
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.answers["/chunks"] = head + body + b"0\r\n\r\n"
    server.answers["/gzip"] = answer(gzip.compress(PNG), Content_Encoding="gzip")
    server.answers["/deflate"] = answer(zlib.compress(PNG), Content_Encoding="deflate")
    for path in ("/chunks", "/gzip", "/deflate"):
        assert fetch(server.url(path), allow_private=True) == PNG


@pytest.mark.parametrize(
    ("content", "reason", "says"),
    [
        (answer(b"<html>"), "not-an-image", "not an image"),
        (answer(b""), "empty", "empty"),
        (answer(b"", "404 Not Found"), "missing", "404 (Not Found)"),
        (answer(b"", "403 Forbidden"), "no-permission", "403"),
        (answer(b"", "503 Unavailable"), "unreadable", "503"),
        (answer(b"", "204 No Content"), "unreadable", "204"),
        (answer(b"", "302 Found"), "unreadable", "302"),
        (answer(PNG, Content_Length=len(PNG) + 9), "unreadable", "broke off"),
        (answer(gzip.compress(PNG)[:-20], Content_Encoding="gzip"), "unreadable", "broke off"),
        (answer(PNG, Content_Encoding="gzip"), "unreadable", "not valid"),
        (answer(PNG, Content_Encoding="br"), "unreadable", "packed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "unreadable", "broke off"),
        (b"no HTTP\r\n\r\n", "unreadable", "not valid"),
        (b"", "unreadable", "not valid"),
    ],
    # A packed answer has the time in it, and tests need the same names in all processes.
    ids=lambda value: "answer" if isinstance(value, bytes) else value,
)  # fmt: skip
def test_what_can_not_be_had_is_a_failure_with_a_reason(
    server: Server, content: bytes, reason: str, says: str
) -> None:
    server.answers["/x"] = content
    error = failure(server.url("/x"))
    assert (error.reason, says in error.problem) == (reason, True), error


@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate"])
def test_more_bytes_than_the_limit_are_not_read(server: Server, coding: str) -> None:
    content = PNG + bytes(1 << 20)
    packed = {
        "identity": content,
        "gzip": gzip.compress(content),
        "deflate": zlib.compress(content),
    }
    body = packed[coding]
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n"  # no length: until it closes
    server.answers["/x"] = head.encode() + body
    assert failure(server.url("/x"), max_bytes=100_000).reason == "too-large"
    assert fetch(server.url("/x"), allow_private=True, max_bytes=len(content)) == content
    server.answers["/said"] = answer(PNG, Content_Length=10**15)
    assert failure(server.url("/said")).reason == "too-large"


def test_what_is_not_an_image_is_not_downloaded(server: Server) -> None:
    sent = 0

    def endless(sock: socket.socket) -> None:
        nonlocal sent
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")
        for _ in range(1000):
            sock.sendall(b"a" * 65_536)
            sent += 65_536

    server.answers["/x"] = endless
    assert failure(server.url("/x")).reason == "not-an-image"
    assert sent < 20 << 20


@pytest.mark.parametrize("where", ["before all", "in the head", "in the body"])
def test_the_deadline_holds_for_all_of_it(server: Server, where: str) -> None:
    def drip(sock: socket.socket) -> None:
        whole = answer(PNG + bytes(500))
        begin = {"before all": 0, "in the head": 12, "in the body": 60}[where]
        sock.sendall(whole[:begin])
        for n in range(begin, len(whole)):
            if ended.wait(0.05):
                return
            sock.sendall(whole[n : n + 1])

    ended = threading.Event()
    server.answers["/x"] = (lambda sock: ended.wait(30)) if where == "before all" else drip
    began = time.monotonic()
    assert failure(server.url("/x"), timeout_s=0.4).reason == "timeout"
    assert time.monotonic() - began < 10  # all of it takes 25 s
    ended.set()


def test_the_deadline_holds_for_names_and_connections(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(30))
    began = time.monotonic()
    assert failure("http://slow.example/", timeout_s=0.3).reason == "timeout"
    assert time.monotonic() - began < 10
    ended.set()


def test_redirects_are_followed_so_far(server: Server) -> None:
    for n in range(8):
        server.answers[f"/{n}"] = moved(
            f"/{n + 1}", ("301 a", "302 b", "303 c", "307 d", "308 e")[n % 5]
        )
    server.answers["/5"] = answer()
    assert fetch(server.url("/0"), allow_private=True) == PNG
    server.answers["/5"] = moved("/6")
    assert "redirects" in failure(server.url("/0")).problem
    server.answers["/x"] = moved("file:///etc/hostname")
    assert "Only http" in failure(server.url("/x")).problem
    server.answers["/x"] = moved("ftp://127.0.0.1/a.png")
    assert "Only http" in failure(server.url("/x")).problem
    for to in ("http://[bad", "//[::1", "http://a b/", "http://127.0.0.1:99999/"):
        server.answers["/x"] = moved(to)
        assert "not valid" in failure(server.url("/x")).problem
    server.answers["/gr%C3%B6%C3%9Fe.png"] = answer()
    server.answers["/x"] = moved("/größe.png")
    assert fetch(server.url("/x"), allow_private=True) == PNG


def test_credentials_go_to_their_own_host_alone(server: Server) -> None:
    with serving() as other:
        other.answers["/a.png"] = answer()
        server.answers["/near"] = moved("/a.png")
        server.answers["/far"] = moved(other.url("/a.png", "user2:word2@127.0.0.1"))
        for path in ("/near", "/far"):
            url = server.url(path, "user:pass%20word@127.0.0.1")
            assert fetch(url, allow_private=True) == PNG
        wanted = b"Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n"
        assert [wanted in each for each in server.requests] == [True, True, True]
        assert all(b"user" not in each.split(b"\r\n")[0] for each in server.requests)
        assert [b"Authorization" in each for each in other.requests] == [False]


def test_no_error_shows_a_password(server: Server) -> None:
    for path in ("/nothing", "/far"):
        server.answers["/far"] = moved("http://user:hunter2@127.0.0.1:1/a.png")
        error = failure(server.url(path, "user:hunter2@127.0.0.1"))
        assert "hunter2" not in str(error) + repr(error)


# ------------------------------------------------------------------ private addresses


def hosts(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make names resolve to these addresses in turn, and return those that are connected to."""
    given, connected = iter(answers), []

    def resolve(host: str, port: int, **_: object) -> list[object]:
        addresses = [host] if host[0].isdigit() else next(given)
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, 1, 6, "", (each, port))
            for each in addresses
        ]

    class Watched(socket.socket):
        def connect(self, address: object) -> None:
            connected.append(address[0])  # type: ignore[index]
            raise ConnectionRefusedError("stand-in")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "socket", Watched)
    return connected


def test_a_private_address_is_not_connected_to_unless_allowed(server: Server) -> None:
    with pytest.raises(ImageError) as caught:
        fetch(server.url())
    assert caught.value.reason == "no-permission"
    assert "--allow-private" in caught.value.advice
    with pytest.raises(ImageError):
        fetch(server.url(host="localhost"))
    assert server.requests == []
    assert fetch(server.url(), allow_private=True) == PNG


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "0", "[::ffff:127.0.0.1]"])
def test_other_spellings_of_an_address_are_the_same_address(server: Server, host: str) -> None:
    try:
        socket.getaddrinfo(host.strip("[]"), 80)
    except OSError:
        return  # this system does not know the spelling
    with pytest.raises(ImageError):
        fetch(server.url(host=host))
    assert server.requests == []


def test_the_address_that_was_checked_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected = hosts(monkeypatch, ["9.9.9.9", "10.0.0.1", "fd00::1"], ["127.0.0.1"])
    with pytest.raises(ImageError) as caught:
        fetch("http://changes.example/a.png")
    assert connected == ["9.9.9.9"]  # resolved once; the private ones are left out
    assert caught.value.reason == "unreadable"
    with pytest.raises(ImageError) as caught:
        fetch("http://changes.example/a.png")
    assert connected == ["9.9.9.9"]
    assert caught.value.reason == "no-permission"


def test_a_redirect_into_a_private_network_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as inner:
        inner.answers["/a.png"] = answer()
        server.answers["/x"] = moved(inner.url())
        monkeypatch.setattr(fetching, "is_public", _first_only())
        with pytest.raises(ImageError) as caught:
            fetch(server.url("/x"))
        assert caught.value.reason == "no-permission"
        assert len(server.requests) == 1
        assert inner.requests == []


def _first_only() -> Callable[[str], bool]:
    """Take the first address that is asked for as public, and no other."""
    asked: list[str] = []

    def check(address: str) -> bool:
        asked.append(address)
        return len(asked) == 1

    return check


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a.png", "file:///etc/hostname", "http://", "http:///a.png",
        "http://a b/", "http://exa\nmple.org:x/", "http://example.org:99999/", "http://h:0/",
        "http://[::1", "http://" + "a" * 300 + "/", "gopher://h/", "a.png", "",
        "http://-h.example/\r\nX: y", "http://h.example/\ud800", "http://u\ud800:p@h.example/",
        "http://h.example/" + "a" * 20_000,
    ],
)  # fmt: skip
def test_a_url_that_is_not_one_is_refused_without_a_connection(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    connected = hosts(monkeypatch, ["9.9.9.9"])
    with pytest.raises(ImageError) as caught:
        fetch(url)
    assert caught.value.reason in ("unreadable", "no-permission")
    assert connected == []


# ------------------------------------------------------------------ proxies


def test_a_proxy_of_the_environment_is_used_and_its_password_shown_to_nobody(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:hunter2@127.0.0.1:{server.port}")
    monkeypatch.setenv("http_proxy", f"http://me:hunter2@127.0.0.1:{server.port}")
    server.answers["http://9.9.9.9/a.png"] = answer()
    assert fetch("http://9.9.9.9/a.png") == PNG
    assert b"Proxy-Authorization: Basic bWU6aHVudGVyMg==\r\n" in server.requests[0]
    assert "hunter2" not in str(failure("http://9.9.9.9/none.png"))
    with pytest.raises(ImageError) as caught:
        fetch("http://10.0.0.1/a.png")
    assert caught.value.reason == "no-permission"
    assert len(server.requests) == 2


def test_a_proxy_is_not_asked_for_a_name_with_a_private_address(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    hosts(monkeypatch, ["9.9.9.9", "10.0.0.1"])
    assert failure("http://both.example/a.png", allow_private=False).reason == "no-permission"
    assert server.requests == []


def test_https_goes_through_a_tunnel_of_the_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"me:hunter2@127.0.0.1:{server.port}")
    server.answers["9.9.9.9:443"] = answer(b"", "407 Proxy Authentication Required")
    error = failure("https://9.9.9.9/a.png")
    assert "The proxy answered 407" in error.problem
    assert "hunter2" not in str(error)
    server.answers["9.9.9.9:443"] = b"HTTP/1.1 200 Connection established\r\n\r\n"
    assert failure("https://9.9.9.9/a.png").reason == "unreadable"  # no TLS behind it
    assert b"Authorization: Basic bWU6aHVudGVyMg==\r\n" in server.requests[0]
    assert not any(each.startswith(b"GET") for each in server.requests)


def test_a_proxy_that_can_not_be_used_is_an_error(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "socks5://me:hunter2@127.0.0.1:1")
    error = failure(server.url())
    assert "proxy" in error.problem
    assert "hunter2" not in str(error)
    assert fetch(server.url(), allow_private=True, proxies=False) == PNG
