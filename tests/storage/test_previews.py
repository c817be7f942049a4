"""Previews: stored by content, there after reopening, and no trouble when they are not."""

from __future__ import annotations

import contextlib
import sqlite3
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


def test_the_parts_of_a_video_have_previews_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "previews.sqlite"
    previews = Previews(path)
    previews.put({"aa": b"whole", "bb": b"other"})
    previews.put_parts("aa", {1: b"first", 3: b"third"})
    previews.put_parts("bb", {1: b"of bb"})
    previews.put_parts("aa", {1: b"new", 2: b"second"})
    assert [previews.get("aa", part) for part in range(4)] == [b"whole", b"new", b"second", None]
    previews.delete(["aa"])
    assert [previews.get("aa", part) for part in range(3)] == [None] * 3
    assert (previews.get("bb", 1), len(previews)) == (b"of bb", 1)
    previews.close()


def test_previews_of_an_older_pixseek_have_no_parts(tmp_path: Path) -> None:
    path = tmp_path / "previews.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE previews (digest TEXT PRIMARY KEY, picture BLOB NOT NULL)")
        db.execute("INSERT INTO previews VALUES ('aa', x'01')")
        db.commit()
    for read_only in (True, False):
        previews = Previews(path, read_only=read_only)
        assert (previews.get("aa"), previews.get("aa", 1)) == (b"\x01", None)
        previews.close()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "previews.sqlite").write_bytes(b"not a database, and long enough" * 50)
    previews = Previews(tmp_path / "previews.sqlite")
    with pytest.raises(LibraryFormatError, match=r"previews\.sqlite"):
        previews.get("aa")
    previews.close()
