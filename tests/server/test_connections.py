"""What comes over a socket and is no proper request, or comes too slowly, or too often."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from pixseek.library import Library
from pixseek.server import connections
from pixseek.server.access import Access
from pixseek.server.app import create_app
from pixseek.server.settings import Limits, Settings

from serving import listening

pytestmark = pytest.mark.slow  # they wait for the limits of slow clients


@pytest.fixture
def port(library: Library, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server on a real socket, which waits for nobody for long."""
    monkeypatch.setattr(connections, "HEAD_S", 0.4)
    limits = Limits(
        requests_a_second=0, silence_s=0.4, body_s=1.2, unread_s=0.4, json_bytes=100_000
    )
    app = create_app(
        {"photos": library},
        access=Access.of(bound_to="127.0.0.1"),
        settings=Settings(limits=limits),
    )
    with listening(app) as address:
        yield int(address.rpartition(":")[2])


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        yield sock


def rest_of(sock: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    found = b""
    try:
        while piece := sock.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def is_alive(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/api/search?q=red&k=1")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return len(answer["hits"]) == 1


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST /api/search HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


JSON = "Content-Type: application/json"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_a_head_that_does_not_come_ends_the_connection(port: int) -> None:
    for before in (
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: local",
        WHOLE + b"GET /he",  # a second request, of which the head does not end
    ):
        began = time.monotonic()
        with connected(port) as sock:
            sock.sendall(before)
            rest_of(sock)
        assert time.monotonic() - began < 9, before  # the socket waits for 10
    assert is_alive(port)


def test_a_head_that_drips_ends_the_connection(port: int) -> None:
    with connected(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        began = time.monotonic()
        try:
            while time.monotonic() - began < 30:
                sock.sendall(b"x")
                time.sleep(0.1)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert time.monotonic() - began < 20
    assert is_alive(port)


def test_a_connection_that_asks_now_and_then_stays(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(4):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"status":"ok"}'
        held = connection.sock
        time.sleep(0.2)
    assert connection.sock is held
    connection.close()


def test_a_body_that_does_not_come_is_answered(port: int) -> None:
    """A silent sender, and one that drips: 408, and the connection ends."""
    for pause_s in (None, 0.2):
        with connected(port) as sock:
            sock.sendall(head(JSON, "Content-Length: 10000") + b"{")
            began = time.monotonic()
            while pause_s and time.monotonic() - began < 1.1:
                sock.sendall(b" ")
                time.sleep(pause_s)
            answer = rest_of(sock)
        assert answer.startswith(b"HTTP/1.1 408 "), answer
        assert b'"type":"urn:pixseek:problem:late"' in answer
    assert is_alive(port)


#: What is sent, and the status of the answer; None if the connection just ends.
ODD: list[tuple[bytes, int | None]] = [
    (head(JSON, "Content-Length: -1") + b"{}", 400),
    (head(JSON, "Content-Length: 2x") + b"{}", 400),
    (head(JSON, "Content-Length: 2", "Content-Length: 3") + b"{}", 400),
    (head(JSON, "Content-Length: 999999999999999999999") + b"{}", 400),
    (head(JSON, "Content-Length: 9999999999") + b"{}", 413),
    (head(JSON, "Content-Length: 100001") + b"{}", 413),
    (head(JSON, "Transfer-Encoding: chunked") + b"zz\r\n", 400),
    (head(JSON, "Transfer-Encoding: gzip") + b"{}", 400),
    (head(JSON, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n", 422),
    (head(JSON, "Transfer-Encoding: chunked") + b'10\r\n{"query": "red"}\r\n0\r\n\r\n', 200),
    (head(JSON, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\nX: " + b"1" * 300_000, None),
    (head(JSON, "Transfer-Encoding: chunked") + b"2;" + b"x" * 300_000 + b"\r\n{}\r\n", None),
    (head(JSON, "Transfer-Encoding: chunked") + b"1\r\n \r\n" * 50_000 + b"0\r\n\r\n", 422),
    (head(JSON, "Transfer-Encoding: chunked") + b"1ffff\r\n" + b" " * 0x1FFFF + b"\r\n", 413),
    (b"GET /healthz HTTP/1.1\r\n\r\n", 400),  # no Host
    (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost: other.example\r\n\r\n", 421),
    (b"GET http://other.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS to a plain port
    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X" * 500_000 + b": 1\r\n\r\n", 431),
    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"1" * 500_000 + b"\r\n\r\n", 431),
    (b"GET /" + b"a" * 500_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX\x00: 1\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX : 1\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 200),
    (b"GET /api/search?q=red HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 200),
    (b"BREW /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"PROPFIND /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    (b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n", 200),
    (b"GET /?q=%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
    (b"GET /api/search?q=a%00b HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
    (b"GET /api/search?q=red HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
     b"Connection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n",
     200),
]  # fmt: skip


def test_odd_requests_are_answered_and_the_server_lives(port: int) -> None:
    for sent, status in ODD:
        with connected(port) as sock:
            is_long = len(sent) > 100_000
            # What is refused before all of it was sent may be answered by a reset alone.
            with suppress(ConnectionError) if is_long else nullcontext():
                sock.sendall(sent)
                answer = http.client.HTTPResponse(sock)
                if status is None:
                    assert rest_of(sock) == b"", sent[:200]
                    continue
                answer.begin()
                answer.read()
                assert answer.status == status, sent[:200]
        assert is_alive(port), sent[:200]


def test_who_goes_away_within_a_body_leaves_no_error(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (b"search", b"jobs", b"layout", b"embed"):
        with connected(port) as sock:
            sock.sendall(head(JSON, "Content-Length: 100").replace(b"search", path) + b"{")
            time.sleep(0.1)
    assert is_alive(port)
    assert [each for each in caplog.records if each.name == "pixseek.server"] == []


def test_many_open_connections_leave_room_for_others(port: int) -> None:
    held = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(200)]
    try:
        for each in held:
            each.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert is_alive(port)
        assert all(rest_of(each) == b"" for each in held)  # all are closed
    finally:
        for each in held:
            each.close()
    assert is_alive(port)


def test_who_reads_nothing_of_a_long_answer_is_left(
    port: int, library: Library, photos: Path
) -> None:
    record = library.search("name:red").hits[0].record
    with open(photos / "in" / "red.png", "ab") as file:
        file.write(b"\0" * (40 << 20))
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.settimeout(10)
        there = f"/api/images/{record.id}/original".encode()
        sock.sendall(b"GET " + there + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(1.5)
        assert len(rest_of(sock)) < 40 << 20
    assert is_alive(port)


def test_odd_methods_and_paths_leave_one_line_each(
    port: int, library: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(type(library), "get", broken)
    for method in (b"PROPFIND", b"MKCOL", b"SEARCH"):
        with connected(port) as sock:
            sock.sendall(method + b" /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert sock.recv(1000).startswith(b"HTTP/1.1 405 ")
    with connected(port) as sock:
        sock.sendall(b"GET /api/images/a%0aERROR%1b[31m HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 500 ")
    for _ in range(200):  # it is written once the answer is on its way
        if said := [each for each in caplog.records if each.name == "pixseek.server"]:
            break
        time.sleep(0.01)
    assert [each.getMessage().isprintable() for each in said] == [True]
    with connected(port) as sock:
        sock.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        counted = rest_of(sock)
    assert b'method="other"' in counted
    assert b'method="MKCOL"' not in counted


def answers(app: Any, *sent: dict[str, str], **options: Any) -> list[int]:
    found = []
    with listening(app, **options) as address:
        for headers in sent:
            connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
            connection.request("GET", "/healthz", headers=headers)
            found.append(connection.getresponse().status)
            connection.close()
    return found


def test_a_named_proxy_says_who_asks_and_nobody_else_does(library: Library) -> None:
    def app() -> Any:
        return create_app(
            {"photos": library},
            access=Access.of(bound_to="127.0.0.1"),
            settings=Settings(limits=Limits(requests_a_second=0.001, burst_s=2000)),
        )

    by = [{"X-Forwarded-For": each} for each in ("192.0.2.1", "192.0.2.2", "192.0.2.2, 192.0.2.3")]
    sent = [*by, *by, *by]
    named = {"proxy_headers": True, "forwarded_allow_ips": ["127.0.0.0/8"]}
    assert answers(app(), *sent, **named) == [200] * 6 + [429] * 3
    assert answers(app(), *sent, proxy_headers=False) == [200] * 2 + [429] * 7
    elsewhere = {"proxy_headers": True, "forwarded_allow_ips": ["192.0.2.9"]}
    assert answers(app(), *sent, **elsewhere) == [200] * 2 + [429] * 7
    # What a client wrote itself stands to the left of what the proxy adds, and is not believed.
    forged = [{"X-Forwarded-For": f"198.51.100.{n}, 192.0.2.1"} for n in range(4)]
    assert answers(app(), *forged, **named) == [200, 200, 429, 429]
    # All addresses of one IPv6 network are one client.
    near = [{"X-Forwarded-For": f"2001:db8::{n}"} for n in range(3)]
    far = [{"X-Forwarded-For": f"2001:db8:0:{n}::1"} for n in range(3)]
    assert answers(app(), *near, *far, **named) == [200, 200, 429, 429, 200, 200]
