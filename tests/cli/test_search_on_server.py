"""`pixseek search --engine URL`: what others have indexed, without a library of one's own."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from pixseek.config import data_folder

Run = Callable[..., Result]


def test_a_library_of_others_is_searched(run: Run, photos_folder: Path) -> None:
    url = f"memory://{uuid.uuid4()}"
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


def test_a_name_that_holds_nothing_is_said(run: Run) -> None:
    for more in ((), ("--queries", "-")):
        found = run("search", *(more or ("red",)), "--engine", f"memory://{uuid.uuid4()}")
        assert found.exit_code != 0
        assert "no images on the server under this name" in found.output


@pytest.mark.parametrize("engine", ["qdrant", "milvus"])
def test_a_search_creates_no_folder(run: Run, tmp_path: Path, engine: str) -> None:
    place = tmp_path / "nowhere"
    found = run("search", "red", "--engine", f"{engine}+file://{place}")
    assert found.exit_code != 0
    assert "no such folder" in found.output
    assert not place.exists()
