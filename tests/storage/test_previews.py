"""Previews: stored by content, there after reopening, and no trouble when they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixseek.errors import LibraryFormatError
from pixseek.storage.previews import Previews


def test_previews_come_back_by_digest(tmp_path: Path) -> None:
    path = tmp_path / "previews.sqlite"
    previews = Previews(path)
    assert previews.get("aa") is None
    assert not path.exists()
    previews.put({"aa": b"one", "bb": b"two"})
    previews.put({"aa": b"new"})
    previews.close()
    previews = Previews(path, read_only=True)
    assert (previews.get("aa"), previews.get("bb"), previews.get("cc")) == (b"new", b"two", None)
    assert len(previews) == 2
    previews.close()
    assert previews.get("aa") is None  # closed: nothing is opened again


def test_deleted_previews_are_gone(tmp_path: Path) -> None:
    previews = Previews(tmp_path / "previews.sqlite")
    previews.delete(["aa"])
    previews.put({"aa": b"one", "bb": b"two"})
    previews.delete(["aa", "zz"])
    assert (previews.get("aa"), previews.get("bb")) == (None, b"two")
    previews.close()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "previews.sqlite").write_bytes(b"not a database, and long enough" * 50)
    previews = Previews(tmp_path / "previews.sqlite")
    with pytest.raises(LibraryFormatError, match=r"previews\.sqlite"):
        previews.get("aa")
    previews.close()
