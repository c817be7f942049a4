"""What photo programs know of exported files: osxphotos' database, and programs of others."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pixseek
from films import film
from pixseek.errors import SourceError
from pixseek.sources.osxphotos import DATABASE, Export
from pixseek.types import Record, record_id

from tiny_encoder import TinyEncoder

#: As `osxphotos export` writes it (0.77.2), with the values of one photo.
PHOTO: Mapping[str, Any] = {
    "uuid": "A1", "original_filename": "IMG_0001.JPG", "filename": "A1.jpeg",
    "date": "2021-07-03T14:22:33.250000+02:00", "date_added": "2021-07-04T10:00:00+02:00",
    "albums": ["Lake trip", "Best of 2021"], "keywords": ["boat"], "labels": ["Water"],
    "persons": ["Ann", "_UNKNOWN_"], "favorite": True, "hidden": False, "intrash": False,
    "title": "The lake", "description": "A red boat", "latitude": 47.55, "longitude": 9.69,
    "place": {"name": "Lindau, Germany", "address": {
        "sub_locality": "Insel", "city": "Lindau", "state_province": "Bavaria",
        "country": "Germany", "iso_country_code": "DE"}},
    "score": {"overall": 0.71}, "live_photo": True, "burst": False, "hdr": True,
    "comments": [{"user": "Bob", "text": "Nice!"}], "owner": None,
}  # fmt: skip


def export(folder: Path, photos: Mapping[str, Mapping[str, Any]], *, old: bool = False) -> None:
    """Write files and the database of an export."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DATABASE).unlink(missing_ok=True)
    with closing(sqlite3.connect(folder / DATABASE)) as database, database:
        files, info, column = (
            ("files", "info", "json_info") if old else ("export_data", "photoinfo", "photoinfo")
        )
        database.execute(f"CREATE TABLE {files} (id INTEGER PRIMARY KEY, filepath TEXT, uuid TEXT)")
        database.execute(f"CREATE TABLE {info} (id INTEGER PRIMARY KEY, uuid TEXT, {column} JSON)")
        for number, (name, photo) in enumerate(photos.items()):
            if not (folder / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (40, 30), f"#{number * 8:02x}0000").save(folder / name)
            values = (name, photo["uuid"])
            database.execute(f"INSERT INTO {files} (filepath, uuid) VALUES (?, ?)", values)
            values = (photo["uuid"], json.dumps(photo))
            database.execute(f"INSERT INTO {info} (uuid, {column}) VALUES (?, ?)", values)


def record_of(library: pixseek.Library, uri: str) -> Record:
    record = library.get(record_id(uri))
    assert record is not None, uri
    return record


@pytest.mark.parametrize("old", [False, True])
def test_all_that_photos_knew_is_in_the_record(
    tmp_path: Path, tiny: TinyEncoder, old: bool
) -> None:
    folder = tmp_path / "Photos"
    export(folder, {"2021/IMG_0001_edited.jpg": PHOTO}, old=old)
    with pixseek.open(tmp_path / "lib") as library:
        assert library.index(folder).added == 1
        record = record_of(library, "Photos/2021/IMG_0001_edited.jpg")
    assert (record.caption, record.tags) == ("A red boat", ("boat",))
    assert record.taken_at == datetime.fromisoformat("2021-07-03T14:22:33.250+02:00")
    expected = {
        "title": "The lake", "people": "Ann", "albums": "Lake trip; Best of 2021",
        "favourite": True, "labels": "Water", "kinds": "live photo; HDR", "latitude": 47.55,
        "longitude": 9.69, "sublocation": "Insel", "city": "Lindau", "state": "Bavaria",
        "country": "Germany", "country_code": "DE", "place_name": "Lindau, Germany", "score": 0.71,
        "comments": "Bob: Nice!", "original_name": "IMG_0001.JPG", "photos_id": "A1",
        "added_at": "2021-07-04T10:00:00+02:00",
    }  # fmt: skip
    assert expected.items() <= record.fields.items()
    assert not {"hidden", "trashed", "shared_by"} & record.fields.keys()


def test_what_changes_in_the_database_changes_its_record_and_no_vector(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    folder = tmp_path / "Photos"
    two = {"a.jpg": PHOTO, "b.jpg": {**PHOTO, "uuid": "B2", "hidden": True}}
    export(folder, two)
    with pixseek.open(tmp_path / "lib") as library:
        assert library.index(folder).added == 2
        assert record_of(library, "Photos/b.jpg").fields["hidden"] is True
        assert library.index().unchanged == 2
        export(folder, {**two, "a.jpg": {**PHOTO, "albums": ["Lake"], "favorite": False}})
        report = library.index()
        assert (report.updated, report.unchanged) == (1, 1)
        record = record_of(library, "Photos/a.jpg")
        assert record.fields["albums"] == "Lake" and "favourite" not in record.fields
        assert [hit.record.name for hit in library.search("albums:~*trip*")] == ["b.jpg"]
    assert tiny.embedded == 2


def test_trash_is_skipped_unless_it_is_asked_for(tmp_path: Path, tiny: TinyEncoder) -> None:
    folder = tmp_path / "Photos"
    export(folder, {"a.jpg": PHOTO, "gone.jpg": {**PHOTO, "uuid": "B2", "intrash": True}})
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index(folder)
        assert report.added == 1
        assert [(each.kind, each.images) for each in report.skipped] == [("trashed", 1)]
        assert library.index(include=["/gone.jpg"]).added == 1


def test_videos_of_an_export_have_what_photos_knew(tmp_path: Path, tiny: TinyEncoder) -> None:
    pytest.importorskip("av")
    folder = tmp_path / "Photos"
    film(folder / "a.mov")
    film(folder / "gone.mov")
    export(folder, {"a.mov": PHOTO, "gone.mov": {**PHOTO, "uuid": "B2", "intrash": True}})
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index(folder)
        assert [(each.kind, each.images) for each in report.skipped] == [("trashed", 1)]
        assert record_of(library, "Photos/a.mov").fields["albums"]


@pytest.mark.parametrize("content", [b"", b"no database" * 500, "view", "other"])
def test_a_database_that_can_not_be_read_is_a_failure_and_the_images_are_indexed(
    tmp_path: Path, tiny: TinyEncoder, content: bytes | str
) -> None:
    folder = tmp_path / "Photos"
    export(folder, {"a.jpg": PHOTO})
    if isinstance(content, bytes):
        (folder / DATABASE).write_bytes(content)
    else:
        with closing(sqlite3.connect(folder / DATABASE)) as database, database:
            database.execute("ALTER TABLE photoinfo RENAME TO kept")
            if content == "view":
                database.execute("CREATE VIEW photoinfo AS SELECT * FROM kept")
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index(folder)
        assert report.added == 1
        (failure,) = report.failures
        assert failure.uri == "Photos/(osxphotos)" and "osxphotos" in failure.message
        assert record_of(library, "Photos/a.jpg").caption == ""


def test_a_database_that_is_a_link_is_not_opened(tmp_path: Path, tiny: TinyEncoder) -> None:
    export(tmp_path / "private", {"a.jpg": PHOTO})
    (tmp_path / "Photos").mkdir()
    (tmp_path / "private" / "a.jpg").rename(tmp_path / "Photos" / "a.jpg")
    (tmp_path / "Photos" / DATABASE).symlink_to(tmp_path / "private" / DATABASE)
    with pixseek.open(tmp_path / "lib") as library:
        assert library.index(tmp_path / "Photos").added == 1
        assert record_of(library, "Photos/a.jpg").caption == ""


def test_a_run_that_is_killed_goes_on(tmp_path: Path, tiny: TinyEncoder) -> None:
    folder = tmp_path / "Photos"
    export(folder, {f"{n:02}.jpg": {**PHOTO, "uuid": f"U{n}"} for n in range(30)})
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
    library.index({str(folder)!r}, on_progress=die)
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
        assert record_of(library, "Photos/29.jpg").fields["albums"] == "Lake trip; Best of 2021"
        assert library.index().unchanged == 30


OTHER = """
class Notes:
    def __init__(self, folder):
        self.notes = dict(line.split("=") for line in (folder / "notes").read_text().split())
    def version(self, path):
        return self.notes.get(path, "")
    def fields(self, path):
        return {"caption": self.notes[path], "shelf": 3} if path in self.notes else {}

def opened(folder):
    return Notes(folder) if (folder / "notes").exists() else None
"""


def test_a_library_of_another_program_is_read_by_its_package(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "notes-1.0.dist-info").mkdir(parents=True)
    (site / "notes-1.0.dist-info" / "METADATA").write_text("Name: notes\nVersion: 1.0\n")
    (site / "notes-1.0.dist-info" / "entry_points.txt").write_text(
        "[pixseek.photo_libraries]\nnotes = notes_reader:opened\nbroken = no_such_module:x\n"
    )
    (site / "notes_reader.py").write_text(OTHER)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "notes_reader", raising=False)
    folder = tmp_path / "Photos"
    export(folder, {"a.jpg": PHOTO, "sub/b.jpg": {**PHOTO, "uuid": "B2"}, "c.jpg": {"uuid": ""}})
    (folder / "sub" / "notes").write_text("b.jpg=jetty")
    (folder / "notes").write_text("c.jpg=shore")
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index(folder)
        assert report.added == 3
        assert [failure.uri for failure in report.failures] == ["Photos/(broken)"]
        record = record_of(library, "Photos/sub/b.jpg")
        # The nearest library first; what it does not say comes from the one above.
        assert (record.caption, record.fields["shelf"]) == ("jetty", 3)
        assert record.fields["albums"] == "Lake trip; Best of 2021"
        assert record_of(library, "Photos/c.jpg").caption == "shore"


def test_albums_survive_a_run_during_which_the_database_is_locked(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Photos"
    export(folder, {"a.jpg": PHOTO, "b.jpg": {**PHOTO, "uuid": "B2"}})
    asked = []

    def locked(self: Export, path: str) -> Any:
        asked.append(path)
        raise SourceError("The database of osxphotos can't be read", folder, "It is locked.")

    with pixseek.open(tmp_path / "lib") as library:
        with monkeypatch.context() as patched:
            patched.setattr(Export, "fields", locked)
            patched.setattr("pixseek.sources.photo_libraries._SLOW_S", 0.0)
            report = library.index(folder)
        assert report.added == 0 and len(asked) == 1  # each would wait for its lock
        assert {(each.uri, each.reason) for each in report.failures} == {
            ("Photos/a.jpg", "unreadable"), ("Photos/b.jpg", "unreadable"),
        }  # fmt: skip
        assert library.index().added == 2
        assert record_of(library, "Photos/a.jpg").fields["albums"] == "Lake trip; Best of 2021"
