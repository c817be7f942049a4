"""`pixseek search --engine URL`: what others have indexed, without a library of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import pixseek
from pixseek.config import data_folder

Run = Callable[..., Result]


def test_a_library_of_others_is_searched(run: Run, photos_folder: Path, tmp_path: Path) -> None:
    url = f"embedded:{tmp_path / 'server'}"
    run("index", photos_folder, "--library", "theirs.lib", "--engine", url)
    theirs = run("search", "red", "-k", "2", "--library", "theirs.lib").output
    assert "red-" in theirs
    # This machine does not know where the photos are, so they are shown by root and path.
    expected = theirs.replace(f"{photos_folder.parent}/", "")
    for _ in range(2):
        found = run("search", "red", "-k", "2", "--engine", url)
        assert (found.exit_code, found.output) == (0, expected)
    assert len(list((data_folder() / "servers").iterdir())) == 1
    assert run("search", "red", "-k", "2").exit_code != 0  # there is no library of one's own


def test_a_name_that_holds_nothing_is_said(run: Run, tmp_path: Path) -> None:
    for more in ((), ("--queries", "-")):
        found = run("search", *(more or ("red",)), "--engine", f"embedded:{tmp_path / 'empty'}")
        assert found.exit_code != 0
        assert "no images on the server under this name" in found.output


@pytest.mark.parametrize("engine", ["qdrant", "milvus"])
def test_a_search_creates_no_folder(run: Run, tmp_path: Path, engine: str) -> None:
    place = tmp_path / "nowhere"
    found = run("search", "red", "--engine", f"{engine}+file://{place}")
    assert found.exit_code != 0
    assert "no such folder" in found.output
    assert not place.exists()


def test_an_engine_that_ends_with_the_command_is_refused(
    run: Run, photos_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("index", photos_folder, "--library", "mine.lib")
    with pixseek.open("made.lib", engine="memory://made"):
        pass
    for line in (
        ("index", photos_folder, "--library", "new.lib", "--engine", "memory://x"),
        ("index", photos_folder, "--library", "new.lib", "--engine", "Memory://x"),
        ("search", "red", "--engine", "memory://x"),
        ("migrate", "--to", "memory://x", "--library", "mine.lib"),
        ("migrate", "--from", "memory://x", "--to", "embedded", "--library", "new.lib"),
        ("search", "red", "--library", "made.lib"),
        ("serve", "--library", "made.lib"),
    ):
        said = run(*line)
        assert said.exit_code == 6, (line, said.output)
        assert "ends with the command" in said.output
        assert "Name a folder or a server" in " ".join(said.output.split())
        assert not Path("new.lib").exists()
    monkeypatch.setenv("PIXSEEK_ENGINE", "memory://x")
    assert run("index", photos_folder, "--library", "new.lib").exit_code == 6
    assert not Path("new.lib").exists()
