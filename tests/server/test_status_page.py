"""The page about a library: what it holds, runs, failures, and its forms."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import pixseek
from pixseek.errors import LibraryError
from pixseek.library import Library
from pixseek.server.jobs import JobState
from pixseek.server.settings import Settings
from pixseek.server.status_page import lasting, run_to_plain
from pixseek.server.texts import languages
from pixseek.types import Progress, Report

from serving import Serve
from tiny_encoder import draw

EN, DE = languages()["en"], languages()["de"]


def test_it_says_what_the_library_holds(client: Any, photos: Path) -> None:
    page = client.get("/status")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "<dt>Images</dt><dd>4</dd>" in page.text
    assert str(photos) in page.text
    assert "All files could be indexed." in page.text
    assert "Bilder" in client.get("/status", headers={"Accept-Language": "de"}).text


def test_readers_see_no_place_and_no_form(serve: Serve, tmp_path: Path) -> None:
    page = serve(Settings(folders=(tmp_path,)), read_only=True).get("/status").text
    assert str(tmp_path) not in page and "method=post" not in page
    refused = serve(read_only=True).post("/status", data={"do": "index"})
    assert refused.status_code == 403


def ended(client: Any) -> Any:
    while True:  # a busy machine takes its time
        state = client.get("/status/run").json()
        if state and state["is_over"]:
            return state
        time.sleep(0.02)


def test_forms_index_folders_and_try_failures_again(
    serve: Serve, library: Library, photos: Path
) -> None:
    more = photos.parent / "more <b>"
    draw(more / "black.png", "black", 9)
    (more / "broken.png").write_bytes((more / "black.png").read_bytes()[:60])
    client = serve(Settings(folders=(more,)))
    assert client.get("/status/run").json() is None
    answer = client.post(
        "/status", data={"do": "index", "folder": str(more)}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/status")
    assert ended(client)["text"] == "1 added, 1 failed"
    page = client.get("/status").text
    assert "1 failure<" in page and "broken.png" in page
    assert "more <b>" not in page and "more &lt;b&gt;" in page
    draw(more / "broken.png", "white", 7)
    client.post("/status", data={"do": "retry"})
    assert ended(client)["text"] == "1 added"
    assert "0 failures" in client.get("/status").text and len(library) == 6


def test_a_folder_that_is_refused_stays_in_the_form(serve: Serve, tmp_path: Path) -> None:
    client = serve(Settings(folders=(tmp_path,)))
    typed = f'{tmp_path}/gone "2"'
    answer = client.post("/status", data={"do": "index", "folder": typed})
    assert answer.status_code >= 400
    assert f'value="{tmp_path}/gone &quot;2&quot;"' in answer.text


def test_what_a_form_asked_in_vain_is_said_on_the_page(client: Any, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    answer = client.post("/status", data={"do": "index", "folder": str(tmp_path / "other")})
    assert answer.status_code == 403 and "role=alert" in answer.text
    assert "may not be indexed from here" in answer.text
    answer = client.post("/status", data={"do": "index", "folder": "<b>"})
    assert "&lt;b&gt;" in answer.text and "<b>" not in answer.text


def test_a_form_of_another_site_changes_nothing(client: Any) -> None:
    sent = client.post("/status", data={"do": "index"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert sent.status_code == 403
    assert client.get("/status/run").json() is None


@pytest.mark.usefixtures("library")
def test_a_run_can_be_watched(client: Any) -> None:
    client.post("/status", data={"do": "index"})
    with client.stream("GET", "/status/run", headers={"Accept": "text/event-stream"}) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in events.iter_lines() if line.startswith("data: ")]
    assert json.loads(lines[-1][6:])["is_over"] is True


def state(**given: Any) -> JobState:
    return JobState(
        "j", "photos", "index", **{"state": "running", "began_at": datetime.now(UTC), **given}
    )


@pytest.mark.parametrize(
    ("progress", "text", "total"),
    [
        (None, "Loading the model", None),
        (Progress("scan", 3), "3 files found", None),
        (Progress("scan", 1), "1 file found", None),
        (Progress("index", 120, 4223, 2, 41.52, 98.9, "a/b.jpg"),
         "120 of 4,223 files · 41.5 a second · 2 minutes left · 2 failed", 4223),
        (Progress("index", 1, 2, 0, 0.0, None), "1 of 2 files", 2),
    ],
)  # fmt: skip
def test_progress_in_words(progress: Progress | None, text: str, total: int | None) -> None:
    plain = run_to_plain(state(progress=progress), EN)
    assert (plain["text"], plain["total"]) == (text, total)
    assert plain["short"] == f"Indexing: {text.partition(' ·')[0]}"


def test_the_end_of_a_run_in_words() -> None:
    over = {"ended_at": datetime.now(UTC)}
    done = state(state="done", report=Report(added=2, removed=1), **over)
    assert run_to_plain(done, DE)["text"] == "2 neu, 1 entfernt"
    nothing = run_to_plain(state(state="stopped", report=Report(), **over), EN)
    assert (nothing["title"], nothing["text"]) == ("Indexing was stopped", "Nothing had changed.")
    failed = run_to_plain(state(state="failed", error=RuntimeError("x"), **over), EN)
    assert (failed["title"], failed["text"]) == ("Indexing ended with an error", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 second"), (45, "45 seconds"), (89, "89 seconds"), (100, "2 minutes"),
     (3000, "50 minutes"), (7200, "2 hours")],
)  # fmt: skip
def test_times_in_words(seconds: float, text: str) -> None:
    assert lasting(seconds, EN.part("status")) == text


def test_a_library_that_cannot_be_read_spoils_no_other(
    serve: Serve, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = Library.__len__

    def counted(self: Library) -> int:
        if self is library:
            return count(self)
        raise LibraryError("The library's database is damaged", tmp_path, "Restore it.")

    with pixseek.open(tmp_path / "other") as broken:
        monkeypatch.setattr(Library, "__len__", counted)
        monkeypatch.setattr(Library, "model", property(lambda self: "x" * counted(self)))
        client = serve(libraries={"photos": library, "broken": broken})
        assert client.get("/readyz").status_code == 503
        assert client.get("/api/search?q=red").status_code == 200
        counts = {each["name"]: each["records"] for each in client.get("/api/libraries").json()}
        assert counts == {"photos": len(library), "broken": None}
        metrics = client.get("/metrics").text
        assert 'pixseek_library_images{library="photos"}' in metrics
        assert 'pixseek_library_images{library="broken"}' not in metrics
        assert client.get("/").status_code == client.get("/status").status_code == 200


def test_a_run_that_fails_is_in_the_log(
    client: Any, library: Library, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(type(library), "indexing", broken)
    job = client.post("/api/jobs", json={}).json()["id"]
    while client.get(f"/api/jobs/{job}").json()["ended_at"] is None:
        time.sleep(0.02)
    assert client.get(f"/api/jobs/{job}").json()["error"]["status"] == 500
    assert "A run (index) of photos failed: a mistake of ours" in caplog.text


@pytest.mark.parametrize(
    ("error", "may_write", "said"),
    [
        (LibraryError("It is <full>", "photos", "Make room."), True,
         "<strong>It is &lt;full&gt;: photos</strong> Make room."),
        (LibraryError("It is full", "photos", "Make room."), False, "in the server&#x27;s log"),
        (RuntimeError("a mistake of ours"), True, "in the server&#x27;s log"),
    ],
)  # fmt: skip
def test_writers_read_why_a_run_failed(
    serve: Serve, library: Library, monkeypatch: pytest.MonkeyPatch, error: Exception,
    may_write: bool, said: str,
) -> None:  # fmt: skip
    def broken(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(type(library), "indexing", broken)
    client = serve()
    client.post("/status", data={"do": "index"})
    ended(client)
    if not may_write:
        monkeypatch.setattr("pixseek.server.status_routes.may_write", lambda _: False)
    assert said in client.get("/status").text


def test_no_form_is_an_unexpected_error(client: Any) -> None:
    for sent in ({"folder": "/x" * 9000}, {"do": "stop", "job": "gone"}, {"do": "\x00"}, {}):
        answer = client.post("/status", data=sent, follow_redirects=False)
        assert answer.status_code in (303, 403, 422), sent
    assert client.get("/api/jobs").json() == []  # what is not understood starts nothing
