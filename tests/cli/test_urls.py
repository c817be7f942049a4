"""Lists of URLs on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from picture_server import always, png, serving

from .conftest import Run

pytest.importorskip("httpcore2")


def test_a_list_of_urls_is_indexed_and_its_originals_are_kept_if_wanted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as web:
        web.answers["/a.png"] = always()
        table = tmp_path / "urls.txt"
        table.write_text(f"{web.url('/a.png')}\nhttp://127.0.0.1:1/b.png\n")
        refused = run("index", table)
        assert "2 no-permission" in refused.stdout and "--allow-private" in refused.stdout
        done = run("index", table, "--allow-private", "--keep", tmp_path / "kept")
        assert done.exit_code == 0, done.stderr
        assert "1 unreachable: the server can't be reached" in done.stdout
        shown = run("show", f"urls/http/127.0.0.1:{web.server_port}/a.png")
        assert web.url("/a.png") in shown.stdout
    assert len([*(tmp_path / "kept" / "127.0.0.1").iterdir()]) == 1


def test_urls_can_be_typed_and_piped(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as web:
        web.answers["/a.png"] = always()
        web.answers["/b.png"] = always(png("blue"))
        web.answers["/page"] = always(b"<!doctype html><html>" + b"x" * 99)
        url = web.url("/a.png")
        looked = run("index", url, "--dry-run")
        assert "images on the web, 1 image" in looked.stdout and not web.counts
        done = run("index", url, web.url("/page"), "--allow-private")
        assert done.exit_code == 0, done.stderr
        assert "1 not-an-image" in done.stdout
        piped = run("index", "--from-file", "-", "--allow-private", input=web.url("/b.png"))
        assert piped.exit_code == 0, piped.stderr
        shown = run("show", url)
        assert url in shown.stdout
        asked = run("index", "--recheck", "--allow-private")
        assert asked.exit_code == 0, asked.stderr
        assert web.counts["/a.png"] == web.counts["/b.png"] == 2
        assert run("similar", url, "--allow-private").exit_code == 0
