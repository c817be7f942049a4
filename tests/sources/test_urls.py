"""Tables of URLs: many images are fetched at once, within limits, and faults are told apart."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pixseek.errors import ImageError
from pixseek.sources import recognise
from pixseek.sources.rows import RowSource, opened
from pixseek.types import Candidate, Failure, Remote, Root

pytest.importorskip("httpcore2")

from picture_server import PNG, Answer, Handler, Web, always, png, reply, serving
from pixseek.sources import urls
from pixseek.sources.urls import Fetcher, Wanted


def cut(to: Handler) -> None:
    reply(to, PNG[:20], Content_Length=len(PNG))
    to.close_connection = True


def first(*faults: Answer) -> Answer:
    """Answer with these first, then with an image."""
    left = list(faults)

    def answer(to: Handler) -> None:
        (left.pop(0) if left else always())(to)

    return answer


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(urls, "BACKOFF_S", 0.01)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
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


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (always(b"", 503), 2), (always(b"", 500), 3), (always(b"", 429, Retry_After=0), 2),
        (always(b"", 429, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"), 1), (cut, 2),
        (always(b"", 503, Retry_After="soon"), 1),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_again(web: Web, fault: Answer, times: int) -> None:
    web.answers["/a"] = first(*[fault] * times)
    with fetching() as fetcher:
        assert fetcher.fetch("a", Wanted(web.url("/a"))).content == PNG
    assert web.counts["/a"] == times + 1


@pytest.mark.parametrize(
    ("answer", "reason", "says", "tries"),
    [
        (always(b"", 404), "missing", "404", 1), (always(b"", 410), "missing", "410", 1),
        (always(b"", 403), "no-permission", "403", 1),
        (always(b"", 503), "unreadable", "503", 4),
        (always(b"", 429, Retry_After=3_600), "unreadable", "asks to wait 3600 seconds", 1),
        (cut, "unreadable", "broke off", 4),
        (always(b"<!doctype html><html>" + b"x" * 99), "not-an-image", "", 1),
        (always(b"<!doctype html><html>" + bytes(64 << 20)), "not-an-image", "", 1),
        (always(b""), "empty", "answer is empty", 1),
        (always(PNG, Content_Length=2_000_000), "too-large", "", 1),
        (always(PNG + bytes(99_000), Content_Type="image/png"), "too-large", "", 1),
        (always(gzip.compress(PNG + bytes(1_000_000)), Content_Encoding="gzip"), "too-large", "",
         1),
        (always(b"", 302, Location="/a"), "unreadable", "redirects", 6),
        (always(b"", 302, Location="file:///etc/hostname"), "no-permission", "Only http", 1),
    ],
)  # fmt: skip
def test_a_bad_url_fails_with_its_reason(
    web: Web, answer: Answer, reason: str, says: str, tries: int
) -> None:
    web.answers["/a"] = answer
    is_long_page = reason == "not-an-image"  # of which the beginning alone is read
    with fetching(**({} if is_long_page else {"max_bytes": 80_000})) as fetcher:
        with pytest.raises(ImageError) as caught:
            fetcher.fetch("a", Wanted(web.url("/a")))
        assert (caught.value.reason, says in caught.value.problem) == (reason, True)
        assert caught.value.advice
        web.answers["/b"] = always()
        assert fetcher.fetch("b", Wanted(web.url("/b"))).content == PNG
    assert web.counts["/a"] == tries
    assert web.sent["/a"] < 2_000_000


def test_packed_answers_and_redirects_lead_to_the_image(web: Web) -> None:
    web.answers["/a"] = always(gzip.compress(PNG), Content_Encoding="gzip")
    web.answers["/b"] = always(b"", 301, Location=web.url("/a", host="localhost"))
    with fetching() as fetcher:
        assert fetcher.fetch("b", Wanted(web.url("/b"))).content == PNG
    path, headers = web.seen[0]
    assert (path, headers["host"]) == ("/b", f"127.0.0.1:{web.server_port}")
    assert headers["user-agent"].startswith("pixseek")


def test_private_addresses_are_refused_at_first_and_after_a_redirect(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.answers["/a"] = always()
    with fetching(allow_private=False) as fetcher:
        for host in ("127.0.0.1", "localhost", "[::1]", "10.0.0.1"):
            with pytest.raises(ImageError, match="private network") as caught:
                fetcher.fetch(host, Wanted(web.url("/a", host=host)))
            assert caught.value.reason == "no-permission"
    assert not web.counts
    # The first host counts as public, and no other does.
    other = f"localhost:{web.server_port}"
    web.answers["/b"] = always(b"", 302, Location=f"http://{other}/a")
    from pixseek.sources import fetching as one

    asked: list[str] = []

    def only_the_first(address: str) -> bool:
        asked.append(address)
        return len(asked) == 1

    monkeypatch.setattr(one, "is_public", only_the_first)
    with fetching(allow_private=False) as fetcher, pytest.raises(ImageError, match="private"):
        fetcher.fetch("b", Wanted(web.url("/b")))
    assert web.counts == {"/b": 1}


def test_what_is_expected_is_fetched_at_once_over_few_connections(web: Web) -> None:
    several = threading.Event()

    def together(to: Handler) -> None:
        """Answer none before several are asked for at once."""
        if web.most >= 8:
            several.set()
        assert several.wait(60)
        reply(to)

    names = [f"/{n}" for n in range(96)]
    web.answers = dict.fromkeys(names, together)
    with fetching() as fetcher:
        fetcher.expect((name, Wanted(web.url(name))) for name in names)
        assert all(fetcher.fetch(name, Wanted(web.url(name))).content == PNG for name in names)
    assert 8 <= web.most <= urls.PER_HOST
    assert web.connections <= urls.PER_HOST
    assert set(web.counts.values()) == {1}


def _speak_http2(sock: Any, seen: list[str]) -> None:
    """Answer every request on a connection with an image, in HTTP/2, until it ends."""
    import h2.config
    import h2.connection
    import h2.events

    with contextlib.suppress(OSError), sock:
        speaking = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        speaking.initiate_connection()
        sock.sendall(speaking.data_to_send())
        while data := sock.recv(65_536):
            for event in speaking.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    seen.append(sock.version())
                    length = str(len(PNG))
                    speaking.send_headers(
                        event.stream_id, [(":status", "200"), ("content-length", length)]
                    )
                    speaking.send_data(event.stream_id, PNG, end_stream=True)
            sock.sendall(speaking.data_to_send())


def test_one_connection_of_http2_serves_many_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    seen: list[str] = []
    connections: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        where = f"https://localhost:{listening.getsockname()[1]}"

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    plain, _ = listening.accept()
                    connections.append(context.wrap_socket(plain, server_side=True))
                    threading.Thread(
                        target=_speak_http2, args=(connections[-1], seen), daemon=True
                    ).start()

        threading.Thread(target=accept, daemon=True).start()
        with fetching() as fetcher:
            names = [f"/{n}.png" for n in range(40)]
            wanted = {name: Wanted(f"{where}{name}") for name in names}
            assert fetcher.fetch("first", Wanted(f"{where}/first.png")).content == PNG
            fetcher.expect(wanted.items())
            assert all(fetcher.fetch(name, each).content == PNG for name, each in wanted.items())
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
    assert (len(seen), len(connections)) == (41, 1)


def test_what_is_ahead_is_bounded_in_bytes(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "AHEAD_BYTES", 40_000)
    content = PNG + bytes(30_000)
    names = [f"/{n}" for n in range(200)]
    web.answers = dict.fromkeys(names, always(content))
    with fetching() as fetcher:
        fetcher.expect((name, Wanted(web.url(name))) for name in names)
        for n, name in enumerate(names[:60]):
            assert fetcher.fetch(name, Wanted(web.url(name))).content == content
            while n == 0 and web.now:  # until what was begun has come
                time.sleep(0.01)
        assert web.counts.total() < 100  # 124 if only their number were bounded
        # Out of turn.
        assert fetcher.fetch("x", Wanted(web.url("/5"))).content == content


def test_a_host_that_is_down_is_one_failure(web: Web) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    source = listed(web, [f"http://127.0.0.1:{port}/{n}.png" for n in range(9)])
    candidates = [each for each in source.scan() if isinstance(each, Candidate)]
    blamed = []
    for each in candidates:
        with pytest.raises(ImageError) as caught:
            source.read(each)
        blamed.append((caught.value.reason, caught.value.subject))
    source.expect(())
    assert blamed == [("unreachable", f"t/http/127.0.0.1:{port}/")] * 9
    assert all(each.uri.startswith(blamed[0][1]) for each in candidates)


def test_robots_txt_is_obeyed_if_asked(web: Web) -> None:
    web.answers["/robots.txt"] = always(b"User-agent: *\nDisallow: /no/\n")
    web.answers["/no/a"] = web.answers["/yes/a"] = always()
    with fetching(robots=True) as fetcher:
        assert fetcher.fetch("y", Wanted(web.url("/yes/a"))).content == PNG
        with pytest.raises(ImageError, match=r"robots\.txt"):
            fetcher.fetch("n", Wanted(web.url("/no/a")))
    assert web.counts == {"/robots.txt": 1, "/yes/a": 1}
    with fetching() as fetcher:
        assert fetcher.fetch("n", Wanted(web.url("/no/a"))).content == PNG
    web.answers["/robots.txt"] = always(b"", 500)
    with fetching(robots=True) as fetcher, pytest.raises(ImageError, match=r"robots\.txt"):
        fetcher.fetch("y", Wanted(web.url("/yes/a")))
    del web.answers["/robots.txt"]
    with fetching(robots=True) as fetcher:
        assert fetcher.fetch("n", Wanted(web.url("/no/a"))).content == PNG


# ------------------------------------------------------------------ as a source


FOLDER: list[Path] = []


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    FOLDER[:] = [tmp_path]


def listed(web: Web, given: list[str], name: str = "t.txt", **options: Any) -> RowSource:
    """Return the source of a list of URLs, which may be on this machine."""
    table = FOLDER[0] / name
    table.write_text("# pictures\n\n" + "\n".join(given) + "\n")
    source = opened(Root("t", str(table), kind="table", options=options))
    source.permit(private=True, offline=False)
    return source


def read_all(source: RowSource) -> dict[str, object]:
    found = [each for each in source.scan() if isinstance(each, Candidate)]
    source.expect(each for each in found)
    contents: dict[str, object] = {}
    for each in found:
        try:
            contents[each.uri] = source.read(each).content
        except ImageError as error:
            contents[each.uri] = error.reason
    source.expect(())
    return contents


def test_a_list_of_urls_is_a_table(web: Web, tmp_path: Path) -> None:
    web.answers["/a.png"], web.answers["/b/"] = always(), always(b"", 404)
    at = f"127.0.0.1:{web.server_port}"
    source = listed(web, [web.url("/a.png"), f"http://me:secret@{at}/a.png?x=1", web.url("/b/")])
    assert isinstance(source, Remote)
    found = recognise(tmp_path / "t.txt")
    assert found is not None
    assert (found.kind, found.name) == ("table", "t")
    web.answers["/a.png?x=1"] = always(png("blue"))
    assert read_all(source) == {
        f"t/http/{at}/a.png": PNG, f"t/http/{at}/a.png?x=1": png("blue"),
        f"t/http/{at}/b": "missing",
    }  # fmt: skip
    assert source.open(f"t/http/{at}/a.png") == PNG
    assert source.place(f"t/http/{at}/a.png") is None
    (tmp_path / "n.txt").write_text("some words\nhttps://example.org/a.png\n")
    assert recognise(tmp_path / "n.txt") is None


def test_kept_originals_are_asked_for_by_their_marks_and_never_overwritten(
    web: Web, tmp_path: Path
) -> None:
    def marked(to: Handler) -> None:
        if to.headers["If-None-Match"] == '"1"':
            reply(to, b"", 304)
        else:
            reply(to, PNG, ETag='"1"', Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT")

    web.answers["/a.png"] = marked
    keep = tmp_path / "kept"
    uri = f"t/http/127.0.0.1:{web.server_port}/a.png"

    def source() -> RowSource:
        return listed(web, [web.url("/a.png")], keep=str(keep))

    assert read_all(source()) == {uri: PNG}
    (file,) = keep.glob("127.0.0.1/*.png")
    assert file.read_bytes() == PNG
    assert read_all(source()) == {uri: PNG}
    assert web.seen[1][1]["if-none-match"] == '"1"'
    assert "if-modified-since" in web.seen[1][1]
    again = source()
    assert again.open(uri) == PNG
    assert again.place(uri) == file
    assert web.counts["/a.png"] == 2
    # Another content is another file.
    web.answers["/a.png"] = always(png("blue"))
    assert read_all(source()) == {uri: png("blue")}
    assert file.read_bytes() == PNG
    assert len([*keep.glob("127.0.0.1/*.png")]) == 2
    # What was changed on the disk is fetched again; a server that fails is made up for.
    web.answers["/a.png"] = always(b"", 503)
    assert read_all(source()) == {uri: png("blue")}
    offline = source()
    offline.permit(private=True, offline=True)
    assert read_all(offline) == {uri: png("blue")}
    for each in keep.glob("127.0.0.1/*.png"):
        each.write_bytes(b"other")
    assert read_all(source()) == {uri: "unreadable"}
    assert read_all(offline) == {uri: "unreachable"}
    assert all(each.read_bytes() == b"other" for each in keep.glob("127.0.0.1/*.png"))


def test_marks_that_point_elsewhere_are_not_followed(web: Web, tmp_path: Path) -> None:
    web.answers["/a.png"] = always(PNG, ETag='"1"')
    keep, secret = tmp_path / "kept", tmp_path / "secret.png"
    secret.write_bytes(png("black"))
    uri = f"t/http/127.0.0.1:{web.server_port}/a.png"
    assert read_all(listed(web, [web.url("/a.png")], keep=str(keep))) == {uri: PNG}
    (marks,) = keep.glob(".fetched/*/*.json")
    said = json.loads(marks.read_text())
    for elsewhere in ("../secret.png", str(secret), "127.0.0.1/link.png"):
        marks.write_text(json.dumps(said | {"file": elsewhere}))
        if elsewhere.endswith("link.png"):
            (keep / "127.0.0.1" / "link.png").symlink_to(secret)
        source = listed(web, [web.url("/a.png")], keep=str(keep))
        assert source.open(uri) == PNG
        assert source.place(uri) is None


def test_without_the_packages_one_failure_says_what_to_install(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    table = tmp_path / "t.csv"
    table.write_text(f"image\n{web.url('/1.png')}\na.png\n{web.url('/2.png')}\n")
    monkeypatch.setitem(sys.modules, "httpcore2", None)
    events = list(opened(Root("t", str(table), kind="table")).scan())
    found = [each for each in events if isinstance(each, Candidate | Failure)]
    assert [each.uri for each in found] == ["t/", "t/a.png"]
    assert isinstance(found[0], Failure) and "pixseek[urls]" in found[0].advice
