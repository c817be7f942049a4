"""PostgreSQL over a network: TLS, passwords, and other servers at its port.

The real server here has neither TLS nor a port, so a proxy stands before its socket and ends TLS,
as those of hosters do.
"""

from __future__ import annotations

import contextlib
import http.server
import logging
import shutil
import socket
import socketserver
import ssl
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from pixseek.engines.postgres import open_postgres
from pixseek.errors import EngineError
from pixseek.types import Record, Space

from servers import serving_postgres

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

SPACE = Space("e" * 64, 8, "tiny-model")
PASSWORD = "open-sesame"


class Proxy(socketserver.ThreadingTCPServer):
    """Ends TLS before the socket of a PostgreSQL server."""

    daemon_threads = True

    def __init__(self, behind: str, context: ssl.SSLContext | None) -> None:
        self.behind, self.context = behind, context
        super().__init__(("127.0.0.1", 0), Conversation)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Conversation(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as inner:
            inner.connect(self.server.behind)
            outer = self.request
            first = outer.recv(8, socket.MSG_PEEK)
            if first == bytes.fromhex("0000000804d2162f"):  # it asks for TLS
                outer.recv(8)
                outer.sendall(b"N" if self.server.context is None else b"S")
                if self.server.context is not None:
                    outer = self.server.context.wrap_socket(outer, server_side=True)
            back = threading.Thread(target=pass_on, args=(inner, outer), daemon=True)
            back.start()
            pass_on(outer, inner)
            back.join()


def pass_on(source: Any, sink: Any) -> None:
    with contextlib.suppress(OSError):
        while read := source.recv(1 << 16):
            sink.sendall(read)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def listening(server: socketserver.BaseServer) -> Iterator[Any]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """The socket of a server that wants a password of the user `me`."""
    with serving_postgres() as running:
        with psycopg.connect(running.url, autocommit=True) as db:
            db.execute(f"CREATE ROLE me LOGIN PASSWORD '{PASSWORD}'")
            db.execute("GRANT CREATE ON SCHEMA public TO me")
            db.execute("CREATE EXTENSION vector")
            rules = running.folder / "pg_hba.conf"
            rules.write_text("local all me scram-sha-256\n" + rules.read_text())
            db.execute("SELECT pg_reload_conf()")
        folder = parse_qs(urlsplit(running.url).query)["host"][0]
        for _ in range(200):  # the server reads its rules again when it comes to it
            try:
                psycopg.connect(host=folder, user="me", dbname="postgres", password="x").close()
            except psycopg.OperationalError:
                break
            time.sleep(0.05)
        yield f"{folder}/.s.PGSQL.5432"


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    trustme = pytest.importorskip("trustme")
    for name in ("PGSSLMODE", "PGSSLROOTCERT", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # where libpq looks for certificates
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    return made


def securing(authority: Any, name: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def address(port: int, options: str = "", password: str = PASSWORD, user: str = "me") -> str:
    # As a host elsewhere: of this machine no certificate is asked for.
    return (
        f"postgresql://{user}:{password}@localhost.:{port}/postgres"
        f"?hostaddr=127.0.0.1&gssencmode=disable{options}"
    )


def said_of(url: str, caplog: pytest.LogCaptureFixture) -> str:
    """Return what is said of an address that can't be used, which holds no password."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(EngineError) as caught:
        open_postgres(url)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(caught.value)
    assert "sesame" not in shown
    return str(caught.value)


def test_a_library_over_tls_with_a_password(
    guarded: str, authority: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record, vectors = Record("a", "r/a", caption="a dog"), np.eye(8, dtype=np.float32)[:1]
    with listening(Proxy(guarded, securing(authority, "localhost."))) as proxy:
        url = address(proxy.port, f"&sslrootcert={tmp_path / 'ca.pem'}")
        with open_postgres(url) as engine:
            engine.ensure(SPACE)
            engine.put([record], vectors)
            assert engine.nearest(vectors, 1)[0].ids == ("a",)
            assert engine.get(["a"]) == [record]
        wrong = url.replace(PASSWORD, "wrong-sesame")
        assert "does not accept the user or password" in said_of(wrong, caplog)
        other = url.replace("ca.pem", "other.pem")
        assert "can't be secured" in said_of(other, caplog)


def test_certificates_are_checked_unless_the_address_says_otherwise(
    guarded: str,
    authority: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with listening(Proxy(guarded, securing(authority, "localhost."))) as proxy:
        said = said_of(address(proxy.port), caplog)  # no authority of the system has signed it
        assert "can't be secured" in said
        assert "sslmode=disable" in said
        for options in ("&sslmode=require", "&sslmode=prefer"):
            with open_postgres(address(proxy.port, options)) as engine:
                assert engine.count() >= 0
        with monkeypatch.context() as patched:
            patched.setenv("PGSSLMODE", "require")
            open_postgres(address(proxy.port)).close()
        with monkeypatch.context() as patched:
            patched.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
            open_postgres(address(proxy.port)).close()
        with monkeypatch.context() as patched:
            patched.setenv("PGSSLROOTCERT", str(tmp_path / "ca.pem"))
            open_postgres(address(proxy.port)).close()
        own = tmp_path / ".postgresql"
        own.mkdir()
        shutil.copy(tmp_path / "ca.pem", own / "root.crt")
        open_postgres(address(proxy.port)).close()
    with listening(Proxy(guarded, securing(authority, "elsewhere.example"))) as proxy:
        trusted = f"&sslrootcert={tmp_path / 'ca.pem'}"
        assert "can't be secured" in said_of(address(proxy.port, trusted), caplog)
    with listening(Proxy(guarded, None)) as proxy:
        assert "can't be secured" in said_of(address(proxy.port), caplog)
        open_postgres(address(proxy.port, "&sslmode=disable")).close()
        here = address(proxy.port).replace("@localhost.:", "@localhost:")
        open_postgres(here).close()  # nobody else hears what this machine says to itself


def test_a_web_server_at_its_port_is_named_soon() -> None:
    class Silent(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with listening(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent)) as server:
        began = time.monotonic()
        with pytest.raises(EngineError, match=r"is not PostgreSQL.*\n.*web server answers"):
            open_postgres(f"postgresql://me@127.0.0.1:{server.server_address[1]}/x")
        assert time.monotonic() - began < 8
