"""Drives that are mounted below a root, unplugged and plugged in again. Linux only: it mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pixseek

from tiny_encoder import TinyEncoder, draw

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts file systems")


class Drive:
    """A file system in memory, whose files outlive that it is unmounted."""

    def __init__(self, place: Path, files: Path) -> None:
        self.place, self.files = place, files

    def plug(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(self.place)]
        done = subprocess.run(mount, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting is not allowed here: {done.stderr.decode().strip()}")
        for each in self.files.iterdir():
            shutil.copytree(each, self.place / each.name) if each.is_dir() else shutil.copy2(
                each, self.place / each.name
            )

    def unplug(self) -> None:
        subprocess.run(["umount", "-l", str(self.place)], check=True)


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    for number in range(3):
        draw(tmp_path / "files" / f"{number}.png", "red", number)
    drive = Drive(tmp_path / "photos" / "usb", tmp_path / "files")
    drive.plug()
    draw(tmp_path / "photos" / "here.png", "blue", 9)
    yield drive
    while os.path.ismount(drive.place):
        drive.unplug()


@pytest.fixture
def library(tmp_path: Path, drive: Drive, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    with pixseek.open(tmp_path / "lib") as opened:
        opened.index(tmp_path / "photos")
        said = next(each for each in opened.records() if each.name == "1.png")
        opened.tag([said.id], add="mine", rating=4, caption="my words")
        yield opened


def said(library: pixseek.Library) -> dict[str, tuple[object, ...]]:
    return {
        each.uri: (each.tags, each.caption, each.fields.get("rating"))
        for each in library.records()
        if each.tags
    }


def leave_empty(drive: Drive) -> None:
    drive.unplug()


def leave_nothing(drive: Drive) -> None:
    drive.unplug()
    drive.place.rmdir()


def leave_a_stray_image(drive: Drive) -> None:
    drive.unplug()
    draw(drive.place / "stray.png", "green", 7)


def plug_in_another(drive: Drive) -> None:
    drive.unplug()
    files, drive.files = drive.files, drive.files.parent / "others"
    draw(drive.files / "other.png", "green", 8)
    drive.plug()
    drive.files = files


@pytest.mark.parametrize(
    "leave", [leave_empty, leave_nothing, leave_a_stray_image, plug_in_another]
)
def test_a_drive_that_is_unplugged_is_away_and_not_deleted(
    library: pixseek.Library, drive: Drive, leave: Callable[[Drive], None]
) -> None:
    before = said(library)
    assert list(before) == ["photos/usb/1.png"]
    leave(drive)
    for _ in range(2):
        report = library.index()
        assert report.removed == 0
        assert [(f.uri, f.reason) for f in report.failures] == [("photos/usb/", "missing")]
        assert before.items() <= said(library).items()
    hits = library.search("red", k=10)
    assert {hit.record.name: hit.is_there for hit in hits}["1.png"] is False
    if os.path.ismount(drive.place):
        drive.unplug()
    shutil.rmtree(drive.place, ignore_errors=True)
    drive.plug()  # as the system numbers it now
    report = library.index()
    assert not report.failures
    assert (report.added, report.unchanged) == (0, 4)
    assert said(library) == before
    assert not library.failures()


def test_files_that_are_deleted_on_a_drive_are_removed(
    library: pixseek.Library, drive: Drive
) -> None:
    (drive.place / "0.png").unlink()
    report = library.index()
    assert (report.removed, report.failures) == (1, ())
    for each in drive.place.iterdir():
        each.unlink()
    report = library.index()
    assert (report.removed, report.away, report.failures) == (2, 1, ())


def test_a_drive_that_is_gone_for_good_can_be_removed(
    library: pixseek.Library, drive: Drive
) -> None:
    leave_nothing(drive)
    library.index()
    assert library.remove(drive.place) == 3
    assert not library.index().failures
    assert [each.uri for each in library.away()] == ["photos/usb/1.png"]


def test_another_drive_at_the_place_of_a_removed_one_is_indexed(
    library: pixseek.Library, drive: Drive
) -> None:
    leave_empty(drive)
    library.index()
    assert library.remove(drive.place) == 3
    drive.plug()
    assert library.index().added == 3
    assert library.away() == []


@pytest.mark.parametrize("pattern", ["usb/", "/usb", "*"])
def test_a_drive_that_is_excluded_is_removed_and_comes_back(
    library: pixseek.Library, drive: Drive, pattern: str
) -> None:
    before = said(library)
    if pattern == "*":
        (drive.place / ".pixseekignore").write_text("*")
        report = library.index()
        (drive.place / ".pixseekignore").unlink()
    else:
        report = library.index(drive.place.parent, exclude=[pattern])
    assert (report.removed, report.away, report.failures) == (3, 1, ())
    library.index(drive.place)
    library.index()
    assert said(library) == before


def test_a_folder_of_a_drive_that_was_renamed_on_another_computer(
    library: pixseek.Library, drive: Drive
) -> None:
    drive.unplug()
    (drive.files / "Italy").mkdir()
    for each in list(drive.files.glob("*.png")):
        each.rename(drive.files / "Italy" / each.name)
    other = Drive(drive.files.parent / "other", drive.files)
    other.plug()  # it takes the number that this one had
    try:
        drive.plug()
        report = library.index()
    finally:
        other.unplug()
    assert (report.moved, report.failures) == (3, ())
    assert list(said(library)) == ["photos/usb/Italy/1.png"]


def test_a_copy_made_while_a_drive_is_away_takes_nothing_from_it(
    library: pixseek.Library, drive: Drive, tmp_path: Path
) -> None:
    before = said(library)
    drive.unplug()
    shutil.copy(drive.files / "1.png", tmp_path / "photos" / "copy.png")
    assert library.index().added == 1
    drive.plug()
    library.index()
    assert said(library) == before


def test_a_root_that_is_a_drive_is_away_when_other_files_lie_in_its_place(
    tmp_path: Path, drive: Drive, tiny: TinyEncoder
) -> None:
    with pixseek.open(tmp_path / "lib2") as library:
        library.index(drive.place)
        leave_a_stray_image(drive)
        report = library.index()
        assert (report.added, report.removed, len(report.failures)) == (1, 0, 1)
        assert len(library) == 4


def test_a_drive_that_was_a_root_of_its_own_is_away_also_as_part_of_another(
    tmp_path: Path, drive: Drive, tiny: TinyEncoder
) -> None:
    with pixseek.open(tmp_path / "lib2") as library:
        library.index(drive.place)
        leave_empty(drive)
        report = library.index(tmp_path / "photos")
        assert (report.added, report.removed, len(library)) == (1, 0, 4)
        drive.plug()
        report = library.index()
        assert (report.added, report.removed, report.unchanged) == (0, 0, 4)


def test_a_part_of_a_drive_that_is_indexed_by_itself(
    library: pixseek.Library, drive: Drive
) -> None:
    draw(drive.place / "deep" / "4.png", "red", 4)
    assert library.index(drive.place / "deep").added == 1
    shutil.rmtree(drive.place / "deep")
    report = library.index()
    assert (report.removed, report.failures) == (1, ())
