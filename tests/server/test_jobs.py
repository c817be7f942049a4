"""Runs that a server starts."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

import pixseek
from pixseek.indexing.lock import watching
from pixseek.library import Library
from pixseek.server.jobs import Jobs
from pixseek.server.settings import Settings
from pixseek.types import Progress, Report

from serving import Serve, is_problem


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority of each thread")
def test_a_run_and_its_threads_are_less_important_than_searches() -> None:
    seen: list[int] = []

    def look() -> None:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def run(stop: threading.Event) -> Generator[Progress, None, Report]:
        look()
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        yield Progress("scan", 0, None)
        return Report()

    jobs = Jobs()
    jobs.start("photos", "index", run).join(60)
    assert jobs.all()[0].state == "done"
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert seen == [min(own + 10, 19)] * 2


def test_a_run_of_another_process_is_a_conflict_at_once(
    serve: Serve, library: Library, photos: Path, tmp_path: Path
) -> None:
    client = serve(Settings(uploads=tmp_path / "up"))
    image = {"images": ("a.png", (photos / "in" / "red.png").read_bytes())}
    asked = (
        lambda: client.post("/api/jobs", json={}),
        lambda: client.post("/api/jobs", json={"folder": str(photos)}),
        lambda: client.post("/api/images", files=image),
    )
    with pixseek.open(library.path) as other, other.opened.writing():
        for ask in asked:
            answer = ask()
            assert (answer.status_code, answer.json()["status"]) == (409, 409)
            assert answer.json()["type"] == "urn:pixseek:problem:locked"
            assert "Another process is indexing" in answer.json()["problem"]
            assert is_problem(answer)
        page = client.post("/status", data={"do": "index"}, headers={"Accept": "text/html"})
        assert "Another process is indexing" in page.text
    assert client.get("/api/jobs").json() == []
    assert not (tmp_path / "up").exists()
    assert client.post("/api/jobs", json={}).status_code == 202


def test_a_run_waits_for_its_turn_while_the_library_is_watched(
    serve: Serve, library: Library
) -> None:
    client = serve(Settings())

    def state_of(job: str) -> str:
        state: str = client.get(f"/api/jobs/{job}").json()["state"]
        return state

    def ends(job: str) -> str:
        while (state := state_of(job)) in ("running", "stopping"):
            time.sleep(0.02)
        return state

    with watching(library.path).acquire(), pixseek.open(library.path) as other:
        with other.opened.writing():
            first = client.post("/api/jobs", json={})
            assert first.status_code == 202, first.text
            assert state_of(first.json()["id"]) == "running"
            assert client.post(f"/api/jobs/{first.json()['id']}/stop").is_success
            assert ends(first.json()["id"]) == "stopped"
            second = client.post("/api/jobs", json={})
            assert second.status_code == 202, second.text
        assert ends(second.json()["id"]) == "done"


def test_images_on_the_web_are_indexed_if_the_server_may_fetch(
    serve: Serve, library: Library, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("httpcore2")
    from picture_server import always, png, serving

    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    keep, hidden = photos / "kept", tmp_path / "elsewhere"
    keep.mkdir()
    hidden.mkdir()

    def ended(client: Any, **what: Any) -> dict[str, Any]:
        began = client.post("/api/jobs", json=what)
        assert began.status_code == 202, began.text
        while (job := client.get(f"/api/jobs/{began.json()['id']}").json())["ended_at"] is None:
            time.sleep(0.02)
        return dict(job)

    def run(client: Any, **what: Any) -> dict[str, Any]:
        report: dict[str, Any] = ended(client, **what)["report"]
        return report

    with serving() as web:
        web.answers["/a.png"] = always(png("red"), ETag='"1"')
        web.answers["/b.png"] = always(png("blue"))
        web.answers["/robots.txt"] = always(b"User-agent: *\nDisallow: /b.png\n")
        table = photos / "urls.txt"
        table.write_text(web.url("/b.png"))
        refusing = serve(Settings())
        for what, status in (
            ({"urls": [web.url("/a.png")]}, 422), ({"keep": str(hidden)}, 403),
            ({"folder": str(hidden)}, 403), ({"urls": ["/etc/passwd"]}, 422),
        ):  # fmt: skip
            assert is_problem(answer := refusing.post("/api/jobs", json=what))
            assert answer.status_code == status, answer.text
        # Nor do the rows of a table: not now, and not in a later run of all folders.
        goods = photos / "goods.csv"
        goods.write_text(f"file,price\nin/red.png,1\n{web.url('/a.png')},2\n")
        for named in (table, goods):
            failed = ended(refusing, folder=str(named))
            assert failed["state"] == "failed"
            assert failed["error"]["problem"] == "This server fetches nothing from other hosts"
        goods.write_text("file,price\nin/red.png,1\n")
        assert ended(refusing, folder=str(goods))["state"] == "done"
        assert {root.kind for root in library.roots()} == {"folder", "table"}
        client = serve(Settings(fetch_urls=True))
        assert client.post("/api/jobs", json={"urls": ["file:///etc/passwd"]}).status_code == 422
        private = run(client, urls=[web.url("/a.png")])
        assert [each["reason"] for each in private["failures"]] == ["no-permission"]
        assert not web.counts

        monkeypatch.setattr("pixseek.sources.fetching.is_public", lambda _: True)
        assert run(client, urls=[web.url("/a.png")], keep=str(keep))["added"] == 1
        assert len([*keep.glob("127.0.0.1/*.png")]) == 1
        listed = run(client, folder=str(table), robots=True)
        assert [each["reason"] for each in listed["failures"]] == ["no-permission"]
        assert web.counts["/b.png"] == 0
        web.answers["/a.png"] = always(png("green"), ETag='"2"')
        assert run(client, kind="recheck", robots=False)["updated"] == 1
        assert web.counts["/b.png"] == 1
