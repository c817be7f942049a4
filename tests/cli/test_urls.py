"""Lists of URLs on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from picture_server import always, serving

from .conftest import Run

pytest.importorskip("httpcore")


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
