"""The files of a library are for its owner alone, whatever the umask."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pixseek
from pixseek.config import data_folder, libraries_file

from tiny_encoder import TinyEncoder, draw

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have other rights there")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode)
        for path in (folder, *folder.rglob("*"))
    }


def indexed(place: Path | None, photos: Path, **how: object) -> dict[str, int]:
    """Make a library, and return the modes of its files while it is open, and after."""
    with pixseek.open(place, **how) as library:  # type: ignore[arg-type]
        library.index(photos)
        found = modes(library.path)
        library.search("red")
    return {**found, **modes(library.path)}


@pytest.fixture
def photos(tmp_path: Path, tiny: TinyEncoder) -> Path:
    for n in range(3):
        draw(tmp_path / "photos" / f"red-{n}.png", "red", n)
    return tmp_path / "photos"


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_a_library_is_for_its_owner_whatever_the_umask(
    tmp_path: Path, photos: Path, mask: int
) -> None:
    (tmp_path / "was there").mkdir(mode=0o755)
    with umask(mask):
        for place in (tmp_path / "deep" / "a.lib", tmp_path / "was there", None):
            found = indexed(place, photos)
            names = {"ledger.sqlite", "previews.sqlite", "indexing.lock", "index/records.sqlite"}
            names |= {"index/records.sqlite-wal", "index/records.sqlite-shm"}
            assert names <= found.keys()
            assert any("vectors-" in name for name in found)
            assert any("background-" in name for name in found)
            for name, mode in found.items():
                assert mode == (0o700 if name in (".", "index") else 0o600), (name, oct(mode))
        assert modes(data_folder())["."] == 0o700
        with pixseek.open(tmp_path / "b.lib", engine="memory://modes"):
            pass
    assert {oct(mode & 0o077) for mode in modes(libraries_file().parent).values()} == {"0o0"}


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_a_portable_library_is_as_open_as_the_umask_says(photos: Path, mask: int) -> None:
    with umask(mask):
        found = indexed(photos / ".pixseek", photos)
    for name, mode in found.items():
        wanted = 0o777 if name in (".", "index") else 0o666
        assert mode == wanted & ~mask, (name, oct(mode))


def test_an_older_library_is_closed_once_and_its_owner_may_open_it(
    tmp_path: Path, photos: Path
) -> None:
    place = tmp_path / "a.lib"
    with umask(0):
        indexed(place, photos)
        with pixseek.open(place) as library:
            library.opened.ledger.set("closed_to_others", None)
        for path in (place, *place.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        (tmp_path / "kept").write_text("kept")
        (place / "link").symlink_to(tmp_path / "kept")
        (tmp_path / "kept").chmod(0o644)
        with pixseek.open(place, trust=True):
            pass
        assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o644, "links are not followed"
        (place / "link").unlink()
        assert {mode & 0o077 for mode in modes(place).values()} == {0}
        # Shared on purpose: it stays open, and new files follow.
        for path in (place, *place.rglob("*")):
            path.chmod(0o750 if path.is_dir() else 0o640)
        (place / "previews.sqlite").unlink()
        with pixseek.open(place) as library:
            library.index(draw(tmp_path / "more" / "blue.png", "blue", 9).parent)
        assert modes(place)["."] == 0o750
        assert modes(place)["previews.sqlite"] == 0o640
