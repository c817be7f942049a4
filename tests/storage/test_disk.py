"""What a disk can do to a library: full, read-only, not permitted. It stays whole and says so."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pixseek
from pixseek.errors import StorageError

from tiny_encoder import TinyEncoder, draw

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="uses Linux mounts and limits")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"mounting is not allowed here: {made.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_reported_and_the_next_run_continues(
    small_disk: Path, tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixseek.indexing.pipeline.CHECKPOINT_RECORDS", 16)
    folder = tmp_path / "pictures"
    for number in range(60):
        draw(folder / f"{number:02}.png", "red", number)
    with pixseek.open(small_disk / "photos.lib") as library:
        library.index(folder / "00.png")
        ballast = small_disk / "ballast"
        free = os.statvfs(small_disk)
        ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 8192)))
        with pytest.raises(StorageError) as caught:
            library.index(folder)
        assert "full" in str(caught.value).lower()
        assert caught.value.advice
    with pixseek.open(small_disk / "photos.lib") as library:
        kept = len(library)
        assert 1 <= kept < 60
        assert library.search("red", k=kept)[0].score > 0
        ballast.unlink()
        report = library.index(folder)
        assert (report.unchanged, report.added) == (kept, 60 - kept)
        assert len(library) == 60


_READ = """
import sys
import pixseek
from pixseek import encoders
from pixseek.errors import StorageError
from tiny_encoder import TinyEncoder, draw
encoders.load = lambda *a, **k: TinyEncoder()
with pixseek.open(sys.argv[1]) as library:
    print(len(library.search("red", k=3)), library.status().records)
    try:
        library.index(sys.argv[2])
    except StorageError as error:
        print(error)
"""


def _as_ordinary_user() -> None:
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability)  # PR_CAPBSET_DROP


def test_a_write_protected_library_can_be_searched(tmp_path: Path, tiny: TinyEncoder) -> None:
    folder = tmp_path / "pictures"
    for number in range(5):
        draw(folder / f"{number}.png", "red", number)
    with pixseek.open(tmp_path / "photos.lib") as library:
        library.index(folder)
    draw(folder / "new.png", "blue", 50)
    everything = [tmp_path / "photos.lib", *(tmp_path / "photos.lib").rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _READ, tmp_path / "photos.lib", folder],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            preexec_fn=_as_ordinary_user,
            check=False,
        )
    finally:
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert not done.returncode, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "3 5"
    assert "can't be written" in lines[1]
    assert "--library" in lines[2]


def test_a_library_on_a_read_only_disk_can_be_searched(
    small_disk: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    draw(tmp_path / "pictures" / "1.png", "red")
    with pixseek.open(small_disk / "photos.lib") as library:
        library.index(tmp_path / "pictures")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    draw(tmp_path / "pictures" / "2.png", "blue")
    with pixseek.open(small_disk / "photos.lib") as library:
        assert len(library.search("red")) == 1
        with pytest.raises(StorageError, match=r"(?i)can't be written"):
            library.index()


def test_an_unusable_place_for_a_library_raises_storage_error(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StorageError) as caught:
        pixseek.open(small_disk / "photos.lib")
    assert "--library" in caught.value.advice
