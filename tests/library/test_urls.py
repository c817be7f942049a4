"""Images that a table names by URL, in a library: found, shown, opened, and gone on with."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pixseek
from picture_server import Handler, Web, always, png, reply, serving
from pixseek.errors import SourceError

from tiny_encoder import TinyEncoder

pytest.importorskip("httpcore2")


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        yield server


def test_rows_with_urls_become_records_that_open_and_say_what_the_table_knew(
    web: Web, tmp_path: Path, tiny: TinyEncoder
) -> None:
    colours = ("red", "green", "blue")
    web.answers = {f"/{colour}.png": always(png(colour)) for colour in colours}
    table = tmp_path / "goods.csv"
    lines = [f"{n},{web.url(f'/{colour}.png')},{colour} paint" for n, colour in enumerate(colours)]
    table.write_text("\n".join(["nr,image_url,caption", *lines, f"9,{web.url('/no.png')},gone",
                                f"8,{web.url('/bad.png')},broken"]))  # fmt: skip
    web.answers["/bad.png"] = always(png("white")[:8] + bytes(90))
    keep = tmp_path / "kept"
    with pixseek.open(tmp_path / "l", allow_private=True) as library:
        report = library.index(table, columns={"id": "nr"}, keep=keep)
        assert (report.added, tiny.embedded) == (3, 3)
        assert {(each.uri, each.reason) for each in report.failures} == {
            ("goods/9", "missing"), ("goods/8", "damaged"),
        }  # fmt: skip
        record = library.find("goods/2")
        assert record is not None
        assert (record.caption, record.fields["nr"]) == ("blue paint", 2)
        assert record.fields["source_url"] == web.url("/blue.png")
        assert library.original(record) == png("blue")
        path = library.locate(record)
        assert path is not None and path.is_relative_to(keep)
    # A changed cell asks the server by the mark of what is kept; the picture is not embedded again.
    table.write_text(table.read_text().replace("blue paint", "navy paint"))
    before = web.counts.copy()
    with pixseek.open(tmp_path / "l", allow_private=True) as library:
        report = library.index()
        assert (report.unchanged, report.updated, tiny.embedded) == (2, 1, 3)
        assert web.counts - before == {"/blue.png": 1, "/no.png": 1}  # not the broken one
        before = web.counts.copy()
        library.index(retry=True)
        assert web.counts - before == {"/no.png": 1, "/bad.png": 1}
    with pixseek.open(tmp_path / "l") as library:  # what is kept needs no network
        record = library.find("goods/2")
        assert record is not None and library.original(record) == png("blue")


def test_what_is_private_is_refused_and_nothing_is_fetched_offline(
    web: Web, tmp_path: Path, tiny: TinyEncoder
) -> None:
    web.answers["/a.png"] = always()
    table = tmp_path / "urls.txt"
    table.write_text(web.url("/a.png") + "\n" + web.url("/b.png"))
    with pixseek.open(tmp_path / "l") as library:
        report = library.index(table)
        assert [each.reason for each in report.failures] == ["no-permission"] * 2
        assert "--allow-private" in report.failures[0].advice
    with pixseek.open(tmp_path / "l", allow_private=True, offline=True) as library:
        report = library.index(table)
        assert [(each.uri, each.reason) for each in report.failures] == [("urls/", "unreachable")]
    assert not web.counts
    assert tiny.embedded == 0


def test_a_run_over_urls_that_is_killed_goes_on(
    web: Web, tmp_path: Path, tiny: TinyEncoder
) -> None:
    for n in range(30):
        web.answers[f"/{n}.png"] = always(png(f"#{n:02x}0000"))
    table = tmp_path / "urls.txt"
    table.write_text("\n".join(web.url(f"/{n}.png") for n in range(30)))
    dying = f"""
import os, pixseek, pixseek.encoders
from pixseek.indexing import pipeline
from tiny_encoder import TinyEncoder
pipeline.CHECKPOINT_S = 0.0
pixseek.encoders.load = lambda *_, **__: TinyEncoder()
def die(progress):
    if progress.stage == "index" and progress.done >= 10:
        os._exit(9)
with pixseek.open({str(tmp_path / "l")!r}, allow_private=True) as library:
    library.index({str(table)!r}, on_progress=die)
"""
    done = subprocess.run(
        [sys.executable, "-c", dying], check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 9, done.stderr
    with pixseek.open(tmp_path / "l", allow_private=True) as library:
        held = len(library)
        assert 0 < held < 30
        before = web.counts.total()
        report = library.index()
        assert (report.unchanged, report.added, report.failures) == (held, 30 - held, ())
        assert web.counts.total() - before == 30 - held


def test_a_stop_does_not_wait_for_servers(web: Web, tmp_path: Path, tiny: TinyEncoder) -> None:
    stop, ended = threading.Event(), threading.Event()

    def never(to: Handler) -> None:
        ended.wait(60)
        reply(to)

    for n in range(8):
        web.answers[f"/{n}.png"] = always(png(f"#{n:02x}00ff"))
    for n in range(8, 40):
        web.answers[f"/{n}.png"] = never
    table = tmp_path / "urls.txt"
    table.write_text("\n".join(web.url(f"/{n}.png") for n in range(40)))
    began = [0.0]

    def show(progress: pixseek.types.Progress) -> None:
        if progress.stage == "index" and progress.done >= 8 and not stop.is_set():
            began[0] = time.monotonic()
            stop.set()

    try:
        with pixseek.open(tmp_path / "l", allow_private=True) as library:
            report = library.index(table, stop=stop, on_progress=show)
            took = time.monotonic() - began[0]
            assert (report.stopped, report.added, report.failures) == (True, 8, ())
            assert took < 10  # a server that says nothing is waited for 20 s, four times
            assert (len(library), library.failures()) == (8, [])
    finally:
        ended.set()
    for n in range(8, 40):
        web.answers[f"/{n}.png"] = always(png(f"#{n:02x}00ff"))
    with pixseek.open(tmp_path / "l", allow_private=True) as library:
        report = library.index()
        assert (report.unchanged, report.added, tiny.embedded) == (8, 32, 40)


def by_etag(content: bytes, etag: str) -> Callable[[Handler], None]:
    """Answer with a content, or that it is as it was."""

    def answer(to: Handler) -> None:
        if to.headers["If-None-Match"] == etag:
            reply(to, b"", 304)
        else:
            reply(to, content, ETag=etag)

    return answer


def since(content: bytes, date: str) -> Callable[[Handler], None]:
    def answer(to: Handler) -> None:
        if to.headers["If-Modified-Since"] == date:
            reply(to, b"", 304)
        else:
            reply(to, content, Last_Modified=date)

    return answer


def test_a_recheck_asks_servers_and_fetches_only_what_changed(
    web: Web, tmp_path: Path, tiny: TinyEncoder
) -> None:
    bodies = {name: png(colour) for name, colour in (
        ("strong", "red"), ("weak", "green"), ("dated", "blue"), ("plain", "white"),
        ("changes", "black"), ("goes", "yellow"), ("fails", "cyan"), ("breaks", "pink"),
    )}  # fmt: skip
    web.answers = {f"/{name}": by_etag(body, f'"{name}"') for name, body in bodies.items()}
    web.answers["/weak"] = by_etag(bodies["weak"], 'W/"weak"')
    web.answers["/dated"] = since(bodies["dated"], "Thu, 01 Jan 2026 00:00:00 GMT")
    web.answers["/plain"] = always(bodies["plain"])  # it has no marks
    table = tmp_path / "urls.txt"
    table.write_text("\n".join(web.url(f"/{name}") for name in bodies))
    uri = f"urls/http/127.0.0.1:{web.server_port}/"
    with pixseek.open(tmp_path / "l", allow_private=True) as library:
        assert library.index(table).added == len(bodies) == tiny.embedded
        library.tag(f"{uri}goes", add=("mine",))
        asked = web.counts.copy()
        assert library.index().unchanged == len(bodies)
        assert web.counts == asked  # an ordinary run asks nobody

        web.answers["/changes"] = by_etag(png("purple"), '"changes-2"')
        web.answers["/goes"] = always(b"", 410)
        web.answers["/fails"] = always(b"", 403)
        web.answers["/breaks"] = always(bodies["breaks"][:8] + bytes(90))
        web.sent.clear()
        report = library.index(recheck=True)
        assert (report.updated, report.unchanged, report.removed) == (1, 4, 0)
        assert {each.uri.rpartition("/")[2]: each.reason for each in report.failures} == {
            "goes": "missing", "fails": "no-permission", "breaks": "damaged",
        }  # fmt: skip
        assert tiny.embedded == len(bodies) + 1
        # Only what changed, and what has no marks, was sent.
        assert {path for path, size in web.sent.items() if size} == {
            "/changes", "/plain", "/breaks",
        }  # fmt: skip
        assert len(library) == len(bodies)
        gone = library.find(f"{uri}goes")
        assert gone is not None and gone.tags == ("mine",)

        # What failed is listed, and tried again by the next run; the others are not asked.
        for name in ("goes", "fails", "breaks"):
            web.answers[f"/{name}"] = by_etag(bodies[name], f'"{name}"')
        assert len(library.failures()) == 3
        before = web.counts.copy()
        report = library.index()
        assert (report.unchanged, report.failures, library.failures()) == (len(bodies), (), [])
        assert web.counts - before == {"/goes": 1, "/fails": 1, "/breaks": 1}
        assert tiny.embedded == len(bodies) + 1
        assert library.index(recheck=True).unchanged == len(bodies)


def test_a_recheck_keeps_originals_and_their_old_versions(
    web: Web, tmp_path: Path, tiny: TinyEncoder
) -> None:
    web.answers["/a.png"] = by_etag(png("red"), '"1"')
    web.answers["/b.png"] = by_etag(png("green"), '"1"')
    table, keep = tmp_path / "urls.txt", tmp_path / "kept"
    table.write_text(f"{web.url('/a.png')}\n{web.url('/b.png')}\n")
    with pixseek.open(tmp_path / "l", allow_private=True) as library:
        library.index(table, keep=keep)
        web.answers["/a.png"] = by_etag(png("blue"), '"2"')
        report = library.index(recheck=True)
        assert (report.updated, report.unchanged, tiny.embedded) == (1, 1, 3)
        assert len([*keep.glob("127.0.0.1/*.png")]) == 3
        record = library.find(f"urls/http/127.0.0.1:{web.server_port}/a.png")
        assert record is not None and library.original(record) == png("blue")


def test_images_are_indexed_by_the_urls_that_a_user_types(
    web: Web, tmp_path: Path, tiny: TinyEncoder
) -> None:
    web.answers = {
        "/a.png": always(png("red")), "/b.png?size=2": always(png("green")),
        "/page.html": always(b"<!doctype html><html>" + b"x" * 99), "/c.png": always(png("blue")),
    }  # fmt: skip
    at = f"web/http/127.0.0.1:{web.server_port}"
    (tmp_path / "d.png").write_bytes(png("white"))
    with pixseek.open(tmp_path / "l", allow_private=True) as library:
        report = library.index(web.url("/a.png"), web.url("/b.png?size=2"), web.url("/page.html"))
        assert (report.added, [each.reason for each in report.failures]) == (2, ["not-an-image"])
        # They are one root; a URL that leads to no image is forgotten.
        assert [root.name for root in library.roots()] == ["web"]
        assert library.index().failures == () == tuple(library.failures())
        assert web.counts["/page.html"] == 1
        record = library.find(web.url("/a.png"))
        assert record is not None and record.uri == f"{at}/a.png"
        assert record.fields["source_url"] == web.url("/a.png")
        assert library.original(record) == png("red")
        # More of them, and from a list, among files.
        report = library.index(
            listed=[tmp_path / "d.png", web.url("/c.png"), web.url("/no.png"), "ftp://h/e.png",
                    "https://me:secret@127.0.0.1/f.png"]
        )  # fmt: skip
        assert report.added == 2
        assert {each.reason for each in report.failures} == {"missing", "no-permission"}
        assert "secret" not in str(report)
        # What is removed stays away until it is named again.
        assert library.remove(web.url("/a.png")) == 1
        assert library.index().added == 0
        assert library.index(web.url("/a.png")).added == 1
        web.answers["/a.png"] = always(png("black"))
        assert library.index(recheck=True).updated == 1
        assert library.remove(root="web") == 3
        assert len(library) == 1
    with pixseek.open(tmp_path / "m", allow_private=True) as library:
        assert library.index(web.url("/no.png")).failures[0].reason == "missing"
        assert library.roots() == []  # nothing came of it
        with pytest.raises(SourceError, match="name and password") as caught:
            library.index("https://me:secret@example.org/a.png")
        assert "secret" not in str(caught.value)


def test_too_many_urls_belong_into_a_file(tmp_path: Path, tiny: TinyEncoder) -> None:
    del tiny
    with (
        pixseek.open(tmp_path / "l", offline=True) as library,
        pytest.raises(SourceError, match="one by one") as caught,
    ):
        library.index(listed=[f"https://example.org/{n}.png" for n in range(10_001)])
    assert "urls.txt" in caught.value.advice
