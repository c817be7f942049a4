"""A walk that looks only at what changed finds there what a whole walk finds, and lists no more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixseek.sources.folder import FolderSource
from pixseek.sources.scopes import PREFIXES, Only
from pixseek.types import Candidate

FILES = (
    "a.jpg", "a.xmp", "a-edited.jpg", "b.jpg", "x/a.jpg", "x/y/c.jpg", "x/y/notes.doc",
    "x/.hidden.jpg", "x/skip/d.jpg", "z/e.jpg", "z/far/f.jpg", ".trash/g.jpg",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        file = tmp_path / "p" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    (tmp_path / "p" / "x" / ".pixseekignore").write_text("skip/\n")
    return tmp_path / "p"


def found(source: FolderSource) -> set[str]:
    return {each.uri for each in source.scan() if isinstance(each, Candidate)}


@pytest.mark.parametrize(
    ("changed", "busy", "expected"),
    [
        (["a.jpg"], [], {"p/a.jpg"}),
        (["x/y/c.jpg", "b.jpg"], [], {"p/x/y/c.jpg", "p/b.jpg"}),
        (["x"], [], {"p/x/a.jpg", "p/x/y/c.jpg"}),
        (["x"], ["x/a.jpg"], {"p/x/y/c.jpg"}),
        (["a.xmp"], [], {"p/a.jpg", "p/a-edited.jpg"}),
        (["A.XMP"], [], {"p/a.jpg", "p/a-edited.jpg"}),
        (["x/skip/d.jpg", "x/.hidden.jpg", ".trash/g.jpg"], [], set()),
        (["x/skip", ".trash"], [], set()),
        (["gone.jpg", "gone"], [], set()),
    ],
)
def test_only_what_changed_is_found(
    folder: Path, changed: list[str], busy: list[str], expected: set[str]
) -> None:
    assert found(FolderSource("p", folder, only=Only(changed, busy))) == expected


def test_the_whole_root_is_everything(folder: Path) -> None:
    assert found(FolderSource("p", folder, only=Only([""]))) == found(FolderSource("p", folder))


def test_other_folders_are_not_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    scandir = os.scandir

    def noted(path: os.PathLike[str]) -> object:
        listed.append(os.path.relpath(path, folder))
        return scandir(path)

    source = FolderSource("p", folder, only=Only(["x/y/c.jpg"]))
    monkeypatch.setattr(os, "scandir", noted)
    assert found(source) == {"p/x/y/c.jpg"}
    assert set(listed) == {".", "x", os.path.join("x", "y")}


def test_scopes_hold(folder: Path) -> None:
    only = Only(["a.jpg", "b.jpg", "x/a.jpg", "x/y/c.jpg"])
    source = FolderSource("p", folder, ("x/y", "b.jpg"), only=only)
    assert found(source) == {"p/x/y/c.jpg", "p/b.jpg"}
    assert [source.covers(f"p/{name}") for name in ("b.jpg", "x/y/c.jpg", "a.jpg", "x/y/q.jpg")] \
        == [True, True, False, False]  # fmt: skip


def test_what_is_covered_begins_with_one_of_the_prefixes() -> None:
    for count in (1, PREFIXES, PREFIXES + 1, 300):
        paths = [f"f{n % 7}/g{n}/{n}.jpg" for n in range(count)]
        only = Only([*paths, "f1/side.xmp"])
        prefixes = only.prefixes("p")
        assert len(prefixes) <= PREFIXES + 2
        for path in (*paths, "f1/side.jpg", "f1/Side (2).jpg"):
            assert only.takes(path)
            assert f"p/{path}".startswith(prefixes), (count, path)
