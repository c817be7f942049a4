"""Servers, proxies and networks that fail: each fault has its reason, and the others go on."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pixseek.errors import ImageError
from pixseek.sources.rows import opened
from pixseek.types import Candidate, Root

pytest.importorskip("httpcore2")

from picture_server import PNG, Handler, Web, always, png, reply, serving
from pixseek.sources import guarded, urls
from pixseek.sources.urls import Fetcher, Wanted

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(urls, "BACKOFF_S", 0.01)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        yield server


@contextlib.contextmanager
def fetching(**options: Any) -> Iterator[Fetcher]:
    fetcher = Fetcher(**{"allow_private": True, **options})
    try:
        yield fetcher
    finally:
        fetcher.close()


def failure(url: str) -> ImageError:
    with fetching() as fetcher, pytest.raises(ImageError) as caught:
        fetcher.fetch("a", Wanted(url))
    assert caught.value.advice
    return caught.value


# ------------------------------------------------------------------ statuses and pauses


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_statuses_that_may_pass_are_tried_four_times(web: Web, status: int) -> None:
    web.answers["/a"] = always(b"", status)
    error = failure(web.url("/a"))
    assert (error.reason, web.counts["/a"]) == ("unreadable", 4)
    assert str(status) in error.problem


@pytest.mark.parametrize("status", [400, 401, 403, 405, 418, 451, 501])
def test_other_statuses_are_final(web: Web, status: int) -> None:
    web.answers["/a"] = always(b"", status)
    reason = "no-permission" if status in (401, 403) else "unreadable"
    assert (failure(web.url("/a")).reason, web.counts["/a"]) == (reason, 1)


def test_a_password_in_a_list_is_sent_to_its_server_and_to_no_other(
    web: Web, tmp_path: Path
) -> None:
    expected = f"Basic {b64encode(b'me:secret').decode()}"

    def locked(to: Handler) -> None:
        is_known = to.headers.get("Authorization") == expected
        reply(to, PNG if is_known else b"", 200 if is_known else 401)

    web.answers["/a"] = locked
    web.answers["/b"] = always(b"", 302, Location=web.url("/a", host="localhost"))
    table = tmp_path / "t.txt"
    table.write_text("\n".join(f"http://me:secret@127.0.0.1:{web.server_port}/{n}" for n in "ab"))
    source = opened(Root("t", str(table), kind="table"))
    source.permit(private=True, offline=False)
    first, second = (each for each in source.scan() if isinstance(each, Candidate))
    assert source.read(first).content == PNG
    with pytest.raises(ImageError, match="401") as caught:
        source.read(second)
    assert "secret" not in f"{first.uri} {caught.value}"
    source.expect(())


def test_a_server_that_asks_for_a_pause_gets_it_from_all_its_urls(web: Web) -> None:
    began: list[float] = []

    def busy_once(to: Handler) -> None:
        began.append(time.monotonic())
        if len(began) == 1:
            reply(to, b"", 429, Retry_After=1)
        else:
            reply(to)

    names = [f"/{n}" for n in range(6)]
    web.answers = dict.fromkeys(names, busy_once)
    with fetching() as fetcher:
        assert fetcher.fetch("first", Wanted(web.url(names[0]))).content == PNG
        assert began[1] - began[0] >= 1
        began.clear()
        fetcher.expect((name, Wanted(web.url(name))) for name in names)
        assert all(fetcher.fetch(name, Wanted(web.url(name))).content == PNG for name in names)
    # What was on its way already is answered; what begins afterwards waits.
    late = [at for at in began if at - began[0] > 0.5]
    assert late and min(late) - began[0] >= 1


# ------------------------------------------------------------------ time


def test_a_server_that_is_silent_is_a_timeout(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "SILENCE_S", 0.2)
    done = threading.Event()

    def silent(to: Handler) -> None:
        done.wait(60)
        reply(to)

    web.answers["/a"] = silent
    try:
        error = failure(web.url("/a"))
    finally:
        done.set()
    assert (error.reason, web.counts["/a"]) == ("timeout", 4)


def test_a_server_that_drips_is_a_timeout(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "TIMEOUT_S", 0.6)
    done = threading.Event()

    def drips(to: Handler) -> None:
        to.send_response(200)
        to.send_header("Content-Length", "1000")
        to.end_headers()
        for byte in PNG:
            if done.wait(0.05):
                break
            to.wfile.write(bytes([byte]))

    web.answers["/a"] = drips
    try:
        error = failure(web.url("/a"))
    finally:
        done.set()
    assert error.reason == "timeout"
    assert "0.6 seconds" in error.problem


def test_a_server_that_takes_no_connection_is_unreachable(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "CONNECT_S", 0.2)
    monkeypatch.setattr(urls, "CONNECT_S", 0.2)
    with contextlib.ExitStack() as held:
        full = held.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # nobody accepts them, so the queue of the system is full
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        error = failure(f"http://127.0.0.1:{full.getsockname()[1]}/a")
    assert error.reason == "unreachable"


# ------------------------------------------------------------------ certificates and proxies


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: Web) -> Iterator[str]:
    """The beginning of the URLs of a server with TLS, whose certificate is trusted."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    server = Web()
    server.answers = web.answers
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_certificate_that_is_not_valid_is_said(
    secure: str, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.answers["/a"] = always()
    with fetching() as fetcher:
        assert fetcher.fetch("a", Wanted(f"{secure}/a")).content == PNG
    assert failure(f"{secure.replace('localhost', '127.0.0.1')}/a").reason == "unreachable"
    monkeypatch.delenv("SSL_CERT_FILE")
    error = failure(f"{secure}/a")
    assert error.reason == "unreachable"
    assert "certificate is not valid" in error.problem


class Proxy(ThreadingHTTPServer):
    """A proxy on this machine: it connects, or passes requests on, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.asked: list[str] = []
        self.credentials: set[str] = set()
        self.refuses = False


class Passing(Handler):
    server: Any

    def setup(self) -> None:
        super(Handler, self).setup()

    def _is_refused(self) -> bool:
        self.server.asked.append(f"{self.command} {self.path}")
        self.server.credentials.add(self.headers.get("Proxy-Authorization", ""))
        if self.server.refuses:
            self.send_error(407)
        return bool(self.server.refuses)

    def do_CONNECT(self) -> None:
        if self._is_refused():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as other:
            self.send_response(200)
            self.end_headers()
            pairs = {self.connection: other, other: self.connection}
            with contextlib.suppress(OSError):
                while True:
                    for ready in select.select(list(pairs), [], [])[0]:
                        if not (data := ready.recv(65_536)):
                            return
                        pairs[ready].sendall(data)

    def do_GET(self) -> None:
        if not self._is_refused():
            reply(self, png("blue"))


@pytest.fixture
def proxy(web: Web) -> Iterator[Proxy]:
    del web  # it clears the environment
    with Proxy() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_proxies_of_the_environment_are_used(
    secure: str, web: Web, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.answers["/a"] = always()
    where = f"http://me:secret@127.0.0.1:{proxy.server_port}"
    monkeypatch.setenv("HTTPS_PROXY", where)
    monkeypatch.setenv("HTTP_PROXY", where)
    with fetching() as fetcher:
        assert fetcher.fetch("a", Wanted(f"{secure}/a")).content == PNG
        assert proxy.asked == [f"CONNECT {secure.removeprefix('https://')}"]
        assert fetcher.fetch("b", Wanted("http://pictures.example/b")).content == png("blue")
        assert proxy.asked[1:] == ["GET http://pictures.example/b"]
        assert proxy.credentials == {f"Basic {b64encode(b'me:secret').decode()}"}
        # NO_PROXY names hosts that are connected to directly.
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        assert fetcher.fetch("c", Wanted(web.url("/a"))).content == PNG
        assert fetcher.fetch("d", Wanted(f"{secure}/a")).content == PNG
        assert len(proxy.asked) == 2
    monkeypatch.delenv("NO_PROXY")
    proxy.refuses = True
    for url in (f"{secure}/a", "http://pictures.example/b"):
        error = failure(url)
        assert "407" in error.problem or "proxy" in error.problem
        assert "secret" not in str(error)


def test_a_proxy_is_not_asked_for_private_addresses(
    web: Web, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    with fetching(allow_private=False) as fetcher, pytest.raises(ImageError, match="private"):
        fetcher.fetch("a", Wanted(web.url("/a")))
    assert proxy.asked == []


def test_a_proxy_that_is_not_there_is_one_failure(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    del web
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    error = failure("http://pictures.example/b")
    assert error.reason == "unreachable"
    assert "proxy" in error.problem


# ------------------------------------------------------------------ the disk


def test_an_original_that_can_not_be_kept_is_a_failure(web: Web, tmp_path: Path) -> None:
    web.answers["/a"] = always()
    table = tmp_path / "t.txt"
    table.write_text(web.url("/a"))
    (tmp_path / "kept").write_text("a file where the folder should be")
    source = opened(Root("t", str(table), kind="table", options={"keep": str(tmp_path / "kept")}))
    source.permit(private=True, offline=False)
    (candidate,) = (each for each in source.scan() if isinstance(each, Candidate))
    with pytest.raises(ImageError, match="can't be kept") as caught:
        source.read(candidate)
    assert caught.value.reason == "unreadable"
    assert "--keep" in caught.value.advice
    source.expect(())
