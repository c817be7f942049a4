"""The ledger: settings, roots and failures come back as they were stored."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pixseek.errors import LibraryFormatError, StorageError
from pixseek.storage.ledger import FORMAT, Ledger
from pixseek.types import Failure, Root, Stamp


def test_settings_come_back_after_reopening(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.setting("model") is None
    ledger.set("model", "demo")
    ledger.set("running", {"done": 3, "left_s": None})
    ledger.close()
    ledger = Ledger(tmp_path)
    assert ledger.setting("model") == "demo"
    assert ledger.setting("running") == {"done": 3, "left_s": None}
    ledger.close()


def test_a_relative_root_moves_with_its_library(tmp_path: Path) -> None:
    library = tmp_path / "drive" / ".pixseek"
    library.mkdir(parents=True)
    ledger = Ledger(library)
    ledger.set_root(Root("drive", str(tmp_path / "drive"), ("",), ("*.gif",)), relative=True)
    ledger.set_root(Root("fixed", str(tmp_path / "fixed")), relative=False)
    ledger.close()
    (tmp_path / "drive").rename(tmp_path / "other mount")
    ledger = Ledger(tmp_path / "other mount" / ".pixseek")
    assert ledger.roots() == [
        Root("drive", str(tmp_path / "other mount"), ("",), ("*.gif",)),
        Root("fixed", str(tmp_path / "fixed")),
    ]
    ledger.close()


def test_failures_are_kept_by_uri_until_they_are_cleared(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    old = Failure("r/a%_.jpg", "decode", "damaged", "old", "", Stamp(1, 2))
    new = Failure("r/a%_.jpg", "decode", "empty", "new", "advice", Stamp(3, 4))
    other = Failure("r2/b.jpg", "read", "missing", "gone")
    ledger.add_failures([old, other])
    ledger.add_failures([new])
    assert ledger.failures() == [new, other]
    assert ledger.failures("r/") == [new]
    ledger.set_root(Root("r", str(tmp_path)), relative=False)
    ledger.remove_root("r")
    assert ledger.failures() == [other]
    ledger.clear_failures([other.uri])
    assert ledger.failures() == []
    ledger.close()


def test_a_newer_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    Ledger(tmp_path).close()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    db.close()
    with pytest.raises(LibraryFormatError, match=r"(?i)pip install -U pixseek"):
        Ledger(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database at all, but long enough" * 40)
    with pytest.raises(LibraryFormatError, match=r"(?i)damaged"):
        Ledger(tmp_path)


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"(?i)not-there"):
        Ledger(tmp_path / "not-there")
