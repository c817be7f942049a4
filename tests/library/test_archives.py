"""Libraries of archives: indexed, found, shown, moved, and away."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pixseek
from pixseek.errors import SourceError
from pixseek.library import surfaces
from pixseek.sources import members

from tiny_encoder import TinyEncoder

COLOURS = ("red", "green", "blue")


def picture(colour: str, width: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, content: dict[str, bytes]) -> Path:
    """Write a zip or a tar."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, data in content.items():
                file.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as tar:
            for name, data in content.items():
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(data), 1_600_000_000
                tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def content() -> dict[str, bytes]:
    said = {"caption": "painted red", "license": "CC0", "exif": "{}"}
    return {
        **{f"2021/{colour}.png": picture(colour) for colour in COLOURS},
        "2021/red.json": json.dumps(said).encode(),
    }


@pytest.mark.parametrize("name", ["photos.zip", "photos.tar", "photos.tgz"])
def test_an_archive_is_indexed_searched_and_shown_where_it_lies(
    tmp_path: Path, tiny: TinyEncoder, content: dict[str, bytes], name: str
) -> None:
    path = write(tmp_path / name, content)
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index(path)
        assert (report.added, report.failures) == (3, ())
        (root,) = library.roots()
        assert (root.name, root.kind, root.where) == ("photos", "archive", str(path))
        best = library.search("red", k=1)[0]
        assert (best.uri, best.path) == ("photos/2021/red.png", None)
        record = best.record
        assert record.caption == "painted red"
        if name != "photos.zip":  # as of a sample
            assert record.fields["license"] == "CC0"
        assert library.preview(record)
        assert library.original(record) == content["2021/red.png"]
        with surfaces.original(library, record) or pytest.fail("not opened") as file:
            assert file.read_at(1, 3) == b"PNG"
            assert file.size == len(content["2021/red.png"])
        assert surfaces.is_there(library, record)
        assert surfaces.container_of(library, record) == str(path)
        for named in (path / "2021/red.png", "photos/2021/red.png", record.id):
            assert library.find(named) == record
        assert library.similar(path / "2021/red.png", k=1)[0].record.id != record.id
        # Nothing is read again.
        embedded = tiny.embedded
        assert library.index().unchanged == 3
        assert library.index(path).unchanged == 3
        assert tiny.embedded == embedded
        # A change of one member is that of one image; one of its sidecar embeds nothing.
        content["2021/red.json"] = b'{"caption": "rather pink", "more": 1}'
        content["2021/blue.png"] = picture("navy")
        del content["2021/green.png"]
        write(path, content)
        report = library.index()
        assert (report.updated, report.removed, report.added) == (2, 1, 0)
        assert tiny.embedded == embedded + 1
        assert library.search("red", k=1)[0].record.caption == "rather pink"


def test_an_archive_that_is_away_keeps_its_images_and_is_found_at_its_new_place(
    tmp_path: Path, tiny: TinyEncoder, content: dict[str, bytes]
) -> None:
    path = write(tmp_path / "photos.zip", content)
    with pixseek.open(tmp_path / "lib") as library:
        library.index(path)
        record = library.search("red", k=1)[0].record
        (tmp_path / "more").mkdir()
        moved = tmp_path / "more" / "renamed.zip"
        shutil.move(path, moved)
        (status,) = library.status().roots
        assert not status.is_there
        with pytest.raises(SourceError, match=r"The archive .* is gone"):
            library.index()
        with pytest.raises(SourceError, match="No such file"):
            library.index(path)
        assert len(library) == 3
        assert library.original(record) is None
        assert not surfaces.is_there(library, record)
        assert library.preview(record)
        assert library.search("red", k=1)[0].record == record
        embedded = tiny.embedded
        report = library.index(moved)
        assert (report.unchanged, report.added) == (3, 0)
        assert [(root.name, root.where) for root in library.roots()] == [("photos", str(moved))]
        assert tiny.embedded == embedded
        assert library.original(record)
        other = write(tmp_path / "photos.zip", {"x.png": picture("white")})
        assert library.index(other).added == 1
        assert len(library.roots()) == 2
        assert library.remove(root="photos") == 3


def test_shards_are_one_root(tmp_path: Path, tiny: TinyEncoder) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    for number, colour in enumerate(COLOURS):
        write(folder / f"{number:03}.tar", {f"{number:03}000.png": picture(colour)})
    with pixseek.open(tmp_path / "lib") as library:
        assert library.index(folder / "{000..001}.tar").added == 2
        record = library.search("green", k=1)[0].record
        assert record.uri == "train/001.tar/001000.png"
        assert surfaces.container_of(library, record) == str(folder / "001.tar")
        assert library.find(folder / "001.tar" / "001000.png") == record
        (folder / "001.tar").unlink()
        assert library.index().removed == 1
        assert library.remove(folder / "000.tar" / "000000.png") == 1
        assert library.index(folder / "{000..001}.tar").added == 0


def test_members_are_removed_and_tagged_by_their_path(
    tmp_path: Path, tiny: TinyEncoder, content: dict[str, bytes]
) -> None:
    path = write(tmp_path / "photos.zip", content)
    with pixseek.open(tmp_path / "lib") as library:
        library.index(path)
        assert library.tag(path / "2021/red.png", add=["dog"]) == 1
        assert library.remove(path / "2021/blue.png") == 1
        assert library.index().added == 0  # what was removed stays removed
        assert [each.name for each in library.records("folder:2021 tag:dog")] == ["red.png"]
        assert [each.name for each in library.records(f"folder:{path}/2021 name:green")] == [
            "green.png"
        ]


def test_a_portable_library_finds_its_archive_where_both_went(
    tmp_path: Path, tiny: TinyEncoder, content: dict[str, bytes]
) -> None:
    (tmp_path / "drive").mkdir()
    path = write(tmp_path / "drive" / "photos.zip", content)
    with pixseek.open(tmp_path / "drive" / ".pixseek", portable=True) as library:
        library.index(path)
    (tmp_path / "drive").rename(tmp_path / "elsewhere")
    with pixseek.open(tmp_path / "elsewhere" / ".pixseek", trust=True) as library:
        (root,) = library.roots()
        assert root.where == str(tmp_path / "elsewhere" / "photos.zip")
        assert library.index().unchanged == 3


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the archives that were listed, in order."""
    names: list[str] = []

    def noting(made: Callable[..., Any]) -> Callable[..., Any]:
        def archive_at(path: Path, within: str | None = None) -> Any:
            archive = made(path, within)
            whole = archive.members

            def listing() -> Any:
                names.append(path.name)
                return whole()

            archive.members = listing
            return archive

        return archive_at

    monkeypatch.setattr("pixseek.sources.archive_listings.archive_at", noting(members.archive_at))
    return names


def test_archives_that_did_not_change_are_not_opened_by_later_runs(
    tmp_path: Path, tiny: TinyEncoder, listed: list[str]
) -> None:
    for number, colour in enumerate(COLOURS):
        write(tmp_path / f"{number}.tar", {"x.png": picture(colour), "broken.png": b"no image"})
    shards = tmp_path / "{0..9}.tar"
    with pixseek.open(tmp_path / "lib") as library:
        assert library.index(shards).added == 3
        assert listed == ["0.tar", "1.tar", "2.tar"]
        listed.clear()
        report = library.index()
        assert (report.unchanged, report.known_failures, report.removed) == (3, 3, 0)
        assert listed == []
        # One that changed, and a new one.
        write(tmp_path / "1.tar", {"x.png": picture("navy", 90), "y.png": picture("white")})
        write(tmp_path / "3.tar", {"z.png": picture("pink")})
        report = library.index()
        assert (report.unchanged, report.updated, report.added) == (2, 1, 2)
        assert listed == ["1.tar", "3.tar"]
        # What users ask for looks into all.
        for how in ({"retry": True}, {"reread": True}, {"exclude": ["y.png"]}):
            listed.clear()
            library.index(shards, **how)  # type: ignore[arg-type]
            assert listed[:4] == ["0.tar", "1.tar", "2.tar", "3.tar"], how
        # As does a library whose records are no longer all there.
        library.opened.engine.delete([library.search("red", k=1)[0].record.id])
        listed.clear()
        assert library.index().added == 1
        assert listed == ["0.tar"]


@pytest.mark.parametrize("name", ["photos.zip", "photos.tgz"])
def test_a_run_over_an_archive_that_is_killed_goes_on(
    tmp_path: Path, tiny: TinyEncoder, name: str
) -> None:
    content = {f"{n}.png": picture(f"#{n:02x}0000") for n in range(30)}
    path = write(tmp_path / name, content)
    dying = f"""
import os, pixseek, pixseek.encoders
from pixseek.indexing import pipeline
from tiny_encoder import TinyEncoder
pipeline.CHECKPOINT_S = 0.0
pixseek.encoders.load = lambda *_, **__: TinyEncoder()
def die(progress):
    if progress.stage == "index" and progress.done >= 10:
        os._exit(9)
with pixseek.open({str(tmp_path / "lib")!r}) as library:
    library.index({str(path)!r}, on_progress=die)
"""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", dying], env={**os.environ, "PYTHONPATH": tests}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 9, done.stderr
    with pixseek.open(tmp_path / "lib") as library:
        held = len(library)
        assert 0 < held < 30
        report = library.index()
        assert (report.unchanged, report.added, report.failures) == (held, 30 - held, ())
        assert library.index().unchanged == 30


def test_what_can_not_be_read_in_an_archive_is_a_failure_of_its_own(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    good = {"a.png": picture("red"), "../out.png": picture("blue"), "text.png": b"no image"}
    zipped, cut = write(tmp_path / "a.zip", good), write(tmp_path / "b.tar", good)
    cut.write_bytes(cut.read_bytes()[:1100])  # within the second member's header
    (tmp_path / "c.zip").write_bytes(b"no zip")
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index(zipped, cut, tmp_path / "c.zip")
        assert {each.uri: each.reason for each in report.failures} == {
            "a/__/out.png": "bad-name",
            "a/text.png": "not-an-image",
            "b/": "damaged",
            "c/": "damaged",
        }
        assert {each.uri for each in library.records()} == {"a/a.png", "b/a.png"}
        assert all(each.advice for each in report.failures)
        assert not (tmp_path / "out.png").exists()


def test_images_of_img2dataset_are_turned_as_their_json_says(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    said = {"caption": "a tower", "exif": json.dumps({"Image Orientation": "Rotated 90 CW"}),
            "similarity": 0.31, "key": "000000012"}  # fmt: skip
    content = {"000000012.png": picture("red"), "000000012.json": json.dumps(said).encode()}
    with pixseek.open(tmp_path / "lib") as library:
        library.index(write(tmp_path / "00000.tar", content))
        (record,) = library.records("fields.similarity:>0.3")
        assert (record.width, record.height, record.caption) == (30, 40, "a tower")
        assert record.fields["turned"] == "Rotated 90 CW"
        assert record.fields["key"] == "000000012"
        assert "exif" not in record.fields
