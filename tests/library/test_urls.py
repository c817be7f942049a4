"""Images that a table names by URL, in a library: found, shown, opened, and gone on with."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pixseek
from picture_server import Handler, Web, always, png, reply, serving

from tiny_encoder import TinyEncoder

pytest.importorskip("httpcore")


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
    table.write_text("\n".join(["nr,image_url,caption", *lines, f"9,{web.url('/no.png')},gone"]))
    keep = tmp_path / "kept"
    with pixseek.open(tmp_path / "l", allow_private=True) as library:
        report = library.index(table, columns={"id": "nr"}, keep=keep)
        assert (report.added, tiny.embedded) == (3, 3)
        assert [(each.uri, each.reason) for each in report.failures] == [("goods/9", "missing")]
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
        assert web.counts - before == {"/blue.png": 1, "/no.png": 1}
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
