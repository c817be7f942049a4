"""Addresses of libraries on servers: what they may say, and that secrets stay secret."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pixseek.engines import open_engine, remote
from pixseek.errors import ConfigError, EngineError

_OPTIONS = {"shards": remote.whole(1, 9), "type": remote.one_of("flat", "hnsw")}


def read(url: str) -> remote.Remote:
    return remote.read(url, 9200, _OPTIONS)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("x+http://host/photos", {"hosts": (("host", 9200),), "name": "photos", "secure": False}),
        ("x+https://host:1/photos/", {"hosts": (("host", 1),), "secure": True}),
        ("x+http://a,b:2/p", {"hosts": (("a", 9200), ("b", 2))}),
        ("x+http://[::1]:5/p", {"hosts": (("::1", 5),)}),
        ("x+http://me:p%40%2Fss@h/p", {"user": "me", "password": "p@/ss"}),
        ("x+http://me@h/my.photos-2024_x", {"user": "me", "name": "my.photos-2024_x"}),
        ("x+http://h/p?shards=3&type=flat&timeout=1.5",
         {"options": {"shards": 3, "type": "flat", "timeout": 1.5}}),
    ],
)  # fmt: skip
def test_an_address_is_read(url: str, expected: dict[str, Any]) -> None:
    found = read(url)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("x+http://host", "Write it behind the host"),
        ("x+http://host/Photos", "small letters"),
        ("x+http://host/a/b", "small letters"),
        ("x+http://host/../a", "small letters"),
        ("x+http://host/_all", "small letters"),
        ("x+http://host/*", "small letters"),
        ("x+http:///photos", "can't be understood"),
        ("x+http://host:99999/p", "can't be understood"),
        ("x+http://me:pa/ss@host/p", "can't be understood"),
        ("x+http://me:p@ss@host/p", "can't be understood"),
        ("x+http://host/p?shard=3", "Did you mean 'shards'"),
        ("x+http://host/p?shards=0", "from 1 to 9"),
        ("x+http://host/p?shards=", "from 1 to 9"),
        ("x+http://host/p?type=bbq", "Known values: flat, hnsw"),
        ("x+http://host/p?timeout=-1", "seconds"),
        ("x+http://host/p?ca=/nowhere/ca.pem", "no such file"),
    ],
)
def test_a_wrong_address_is_explained(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(url)
    assert said in str(caught.value)
    assert "ss@" not in str(caught.value)


def test_secrets_come_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text("from-file\n")
    assert read(f"x+http://me@h/p?password_file={file}").password == "from-file"
    assert read(f"x+http://h/p?api_key_file={file}").api_key == "from-file"
    monkeypatch.setenv(remote.PASSWORD, "from-variable")
    monkeypatch.setenv(remote.API_KEY, "key-from-variable")
    assert read("x+http://me@h/p").password == "from-variable"
    assert read("x+http://me:given@h/p").password == "given"
    # A password is sent for a user, and a key for nobody else.
    assert (read("x+http://me@h/p").api_key, read("x+http://h/p").password) == ("", "")
    assert read("x+http://h/p").api_key == "key-from-variable"


def test_secrets_are_not_shown() -> None:
    found = read("x+https://me:sesame@h/p?shards=2")
    assert found.shown == "x+https://h:9200/p"
    assert "sesame" not in repr(found)


@pytest.mark.parametrize("engine", ["elasticsearch", "opensearch", "escloud"])
def test_errors_of_an_engine_name_the_server_without_secrets(engine: str) -> None:
    pytest.importorskip("elastic_transport")
    with pytest.raises(Exception, match="out of reach") as caught:
        open_engine(f"{engine}+http://me:sesame@127.0.0.1:9/photos")
    assert f"{engine}+http://127.0.0.1:9/photos" in str(caught.value)
    assert "sesame" not in str(caught.value)
    with pytest.raises(ConfigError, match="elasticsearch\\+https"):
        open_engine(f"{engine}://host/photos")


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Host and port of a server without TLS that knows no request, as Elasticsearch says it."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"error": {"type": "illegal_argument_exception", "reason": "what?"}}'
            self.send_response(400)
            self.send_header("x-elastic-product", "Elasticsearch")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("engine", "package"),
    [
        ("elasticsearch", "elastic_transport"),
        ("qdrant", "qdrant_client"),
        ("milvus", "pymilvus"),
    ],
)
def test_tls_to_a_server_without_it_is_explained(engine: str, package: str, elsewhere: str) -> None:
    pytest.importorskip(package)
    with pytest.raises(EngineError, match="does not speak TLS") as caught:
        open_engine(f"{engine}+https://{elsewhere}/photos?timeout=20")
    assert "instead of +https://" in caught.value.advice


#: What servers answer to `GET /`: status, headers, body; and what the errors of others say then.
_STRANGERS: dict[str, tuple[int, dict[str, str], str, str]] = {
    "elasticsearch": (200, {"x-elastic-product": "Elasticsearch"}, "{}", "elasticsearch+http://"),
    "elasticsearch, a password": (
        401, {"www-authenticate": 'Basic realm="security" charset="UTF-8"'}, "{}",
        "elasticsearch+http://"),
    "opensearch": (200, {}, '{"version": {"distribution": "opensearch"}}', "opensearch+http://"),
    "opensearch, a password": (
        401, {"www-authenticate": 'Basic realm="OpenSearch Security"'}, "no", "opensearch+http://"),
    "opensearch, nothing at /": (405, {}, '{"error": "method", "status": 405}', "opensearch+"),
    "escloud": (
        200, {}, '{"version": {"number": "7.10.2"}, "tagline": "You Know, for Search"}',
        "escloud+http://"),
    "qdrant": (200, {}, '{"title": "qdrant - vector search engine"}', "qdrant+http://"),
    "a web server": (200, {"server": "nginx"}, "<p>Hello", "nginx"),
    "one that says nothing": (200, {}, "[1]", "web server"),
}  # fmt: skip


@pytest.mark.parametrize("engine", ["elasticsearch", "opensearch", "qdrant", "milvus"])
def test_another_server_at_the_address_is_named(engine: str) -> None:
    pytest.importorskip({"qdrant": "qdrant_client", "milvus": "pymilvus"}.get(engine, "json"))
    told = _STRANGERS["qdrant"]

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = told[:3] if self.path == "/" else (404, {}, "<p>Not here")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_PUT = do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            for who, answer in _STRANGERS.items():
                told = answer
                if who.partition(",")[0] == engine:
                    continue  # a proxy may have answered the rest
                url = f"{engine}+http://me:sesame@127.0.0.1:{server.server_port}/photos"
                with pytest.raises(EngineError) as caught:
                    open_engine(
                        url.replace("me:sesame@", "") if engine == "qdrant" else url
                    ).spaces()
                said = str(caught.value)
                if engine != "milvus" or answer[3].endswith("+http://"):
                    assert answer[3] in said, (who, said)
                    assert "does not answer as" in said or "is not" in said
                    assert "The usual port of" in said
                assert "sesame" not in said
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("engine", "begins", "said"),
    [
        ("qdrant", b"N", "postgresql://USER@127.0.0.1:"),
        ("elasticsearch", b"S", "postgresql://USER@127.0.0.1:"),
        ("qdrant", bytes(6), "speaks gRPC alone"),
        ("elasticsearch", bytes(6), "speaks gRPC alone"),
        (
            "postgresql",
            b"HTTP/1.1 200 OK\r\nserver: x\r\ncontent-length: 0\r\n\r\n",
            "A web server answers there (x)",
        ),
        (
            "postgresql",
            b"HTTP/1.1 400 No\r\nx-elastic-product: Elasticsearch\r\ncontent-length: 0\r\n\r\n",
            "elasticsearch+http://127.0.0.1",
        ),
    ],
)
def test_a_server_of_another_protocol_is_named(engine: str, begins: bytes, said: str) -> None:
    package = {"qdrant": "qdrant_client", "postgresql": "psycopg"}.get(engine, "elastic_transport")
    pytest.importorskip(package)

    class Speaking(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked = self.request.recv(4096)
            if begins in (b"N", b"S") and asked[:1] != b"\0":
                return  # it closes what is not its protocol
            self.request.sendall(begins)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Speaking) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        port = server.server_address[1]
        url = (
            f"postgresql://me@127.0.0.1:{port}/db?connect_timeout=2"
            if engine == "postgresql"
            else f"{engine}+http://127.0.0.1:{port}/photos"
        )
        try:
            with pytest.raises(EngineError) as caught:
                open_engine(url).spaces()
            assert said in str(caught.value)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("engine", "advised"),
    [("opensearch", True), ("escloud", True), ("elasticsearch", False)],
)
def test_a_server_of_the_other_family_is_named(engine: str, advised: bool, elsewhere: str) -> None:
    pytest.importorskip("elastic_transport")
    said = "is not" if advised else "refused"
    with pytest.raises(EngineError, match=said) as caught:
        open_engine(f"{engine}+http://{elsewhere}/photos")
    assert (f"Write elasticsearch+http://{elsewhere}/photos" in caught.value.advice) is advised
    assert ("what?" in caught.value.advice) is not advised


def test_a_server_of_the_other_family_is_guessed_at_behind_a_proxy() -> None:
    """The header of Elasticsearch is not there, and what stands at / neither."""
    pytest.importorskip("elastic_transport")

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"no" if self.path == "/" else b'{"error": {"type": "x", "reason": "what?"}}'
            self.send_response(400)
            self.send_header(
                "content-type", "text/plain" if self.path == "/" else "application/json"
            )
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            with pytest.raises(
                EngineError, match=r"refused(?s:.)*Is it OpenSearch or ESCloud\?.*what"
            ):
                open_engine(f"elasticsearch+http://127.0.0.1:{server.server_port}/photos")
        finally:
            server.shutdown()
            thread.join()


def test_the_place_of_a_local_mode_is_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"x")
    with pytest.raises(ConfigError, match="Not a folder"):
        remote.local_path(f"x+file://{file}")
    for name in ("new", ""):
        assert remote.local_path(f"x+file://{tmp_path}/{name}") == tmp_path / name
