"""Examples by URL: fetched only if the server may, and never from a private network."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pixseek.server.settings import Settings
from pixseek.sources import fetching

from image_files import saved
from serving import Serve, is_problem
from tiny_encoder import COLOURS

#: A public address, which the network's edge below leads to a server on this machine.
PUBLIC = "9.9.9.9"


class Edge:
    """`socket` as `fetching` sees it: names resolve as is said, and one address is ours."""

    def __init__(self, port: int, names: dict[str, list[str]]) -> None:
        self.port, self.names, self.connected = port, names, []  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> Any:
        return getattr(socket, name)

    def getaddrinfo(self, host: str, port: int, **options: Any) -> list[Any]:
        if host not in self.names:
            return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST, **options)
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, 1, 6, "", (each, port))
            for each in self.names[host]
        ]

    def socket(self, family: int, kind: int) -> socket.socket:
        edge = self

        class Led(socket.socket):
            def connect(self, address: Any) -> None:
                edge.connected.append(address[0])
                assert address[0] == PUBLIC, "this would have left the machine"
                super().connect(("127.0.0.1", edge.port))

        return Led(socket.AF_INET, kind)


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Edge]:
    """A web server behind the name images.example; others resolve as a test says."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    from PIL import Image

    blue = saved(Image.new("RGB", (32, 32), COLOURS["blue"]), "PNG")
    answers = {
        b"/blue.png": (b"200 OK", b"", blue),
        b"/text": (b"200 OK", b"", b"<html>a page of an inner server: hunter2</html>"),
        b"/gone": (b"404 Not Found", b"", b"hunter2"),
    }
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        edge = Edge(port, {"images.example": [PUBLIC]})

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listening.accept()
                    with sock:
                        sock.settimeout(10)
                        head = sock.recv(65536).split(b" ")
                        if head[1].startswith(b"/to?"):
                            to = head[1][4:]
                            status, more, body = b"302 Found", b"Location: " + to + b"\r\n", b""
                        else:
                            status, more, body = answers[head[1]]
                        sock.sendall(
                            b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s"
                            % (status, more, len(body), body)
                        )

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        monkeypatch.setattr(fetching, "socket", edge)
        yield edge
        listening.shutdown(socket.SHUT_RDWR)


def asked(client: Any, url: str) -> Any:
    return client.post("/api/search", json={"terms": [{"kind": "image", "value": url}]})


def test_a_public_example_is_fetched_if_the_server_may(serve: Serve, edge: Edge) -> None:
    may, may_not = serve(Settings(fetch_urls=True)), serve()
    for url in (
        "http://images.example/blue.png",
        "HTTP://images.example/blue.png",
        "http://images.example:8080/blue.png",
        "http://images.example/to?/blue.png",
    ):
        answer = asked(may, url)
        assert answer.status_code == 200, answer.text
        assert answer.json()["hits"][0]["uri"].endswith("blue.png")
        assert may.get("/api/search", params={"q": f"image:{url}"}).status_code == 200
        count = len(edge.connected)
        for refused in (
            asked(may_not, url),
            may_not.get("/api/search", params={"q": f"red image:{url}"}),
            may_not.get("/api/facets", params={"q": f"image:{url}"}),
            may_not.put("/api/saved/x", json={"query": f"image:{url}"}),
        ):
            assert refused.status_code == 422
            assert is_problem(refused)
        assert len(edge.connected) == count


PRIVATE = [
    ["127.0.0.1"], ["10.1.2.3"], ["172.16.0.1"], ["192.168.0.1"], ["169.254.169.254"], ["0.0.0.0"],
    ["100.64.0.1"], ["224.0.0.1"], ["255.255.255.255"], ["::1"], ["::"], ["fe80::1"], ["fe80::1%1"],
    ["fd00::1"], ["ff02::1"], ["::ffff:127.0.0.1"], ["::ffff:10.0.0.1"], ["64:ff9b::a00:1"],
    ["2002:7f00:1::"], ["10.0.0.1", "fd00::1"],
]  # fmt: skip


def test_private_addresses_are_not_connected_to(serve: Serve, edge: Edge) -> None:
    client = serve(Settings(fetch_urls=True))
    for addresses in PRIVATE:
        edge.names["inner.example"] = addresses
        for url in (
            "http://inner.example/blue.png",
            f"http://[{addresses[0]}]/x" if ":" in addresses[0] else f"http://{addresses[0]}/x",
        ):
            answer = asked(client, url)
            assert answer.status_code == 422, url
            assert is_problem(answer)
            assert "--allow" not in answer.text  # the client can't
    assert edge.connected == []
    # A name with both kinds: only the public address.
    edge.names["both.example"] = ["10.0.0.1", "::1", PUBLIC]
    assert asked(client, "http://both.example/blue.png").status_code == 200
    assert edge.connected == [PUBLIC]


def test_redirects_lead_to_public_addresses_alone(serve: Serve, edge: Edge) -> None:
    client = serve(Settings(fetch_urls=True))
    edge.names["inner.example"] = ["192.168.0.1"]
    for to in (
        "http://127.0.0.1:1/x", "http://inner.example/blue.png", "//inner.example/x",
        "http://[::ffff:127.0.0.1]/x", "https://inner.example/x", "file:///etc/hostname",
        "ftp://images.example/blue.png", "data:image/png;base64,AAAA", "/to?http://inner.example/",
        "/to?" * 8 + "/blue.png",
    ):  # fmt: skip
        answer = asked(client, f"http://images.example/to?{to}")
        assert answer.status_code == 422, to
        assert is_problem(answer)
    assert set(edge.connected) == {PUBLIC}


def test_other_schemes_and_places_are_no_examples(serve: Serve, edge: Edge) -> None:
    client = serve(Settings(fetch_urls=True))
    for value in (
        "file:///etc/hostname", "ftp://images.example/x", "data:image/png;base64,AAAA", "//x/y",
        "http:/etc/hostname", "http:etc", "/etc/hostname", "C:\\x.png", "~/x.png", "x.png", "",
        "javascript:alert(1)", " http://images.example/blue.png", "http://", "http:///x",
        "http://images.example:0/x", "http://images.example:99999/x", "http://a b/x",
        "HTTP://x/../../../../../../etc/hostname", "http://images.example\n.other.example/x",
        "http://" + "a" * 20_000,
    ):  # fmt: skip
        answer = asked(client, value)
        assert answer.status_code == 422, value
        assert is_problem(answer), value
        quoted = value.replace('"', "")
        assert client.get("/api/search", params={"q": f'image:"{quoted}"'}).status_code == 422, (
            value
        )
    assert edge.connected == []


def test_answers_of_other_servers_are_not_passed_on(serve: Serve, edge: Edge) -> None:
    client = serve(Settings(fetch_urls=True), read_only=True)
    for path in ("text", "gone"):
        answer = asked(client, f"http://images.example/{path}")
        assert answer.status_code == 422
        assert is_problem(answer)
        assert "hunter2" not in answer.text
