"""Libraries of archives: indexed, found, shown, moved, and away."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import pixseek
from pixseek.errors import SourceError
from pixseek.library import surfaces

from tiny_encoder import TinyEncoder

COLOURS = ("red", "green", "blue")


def picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
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
