"""What photo programs know of exported files: osxphotos' database, and programs of others."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pixseek
from films import film
from photo_exports import PHOTO, export
from pixseek.errors import SourceError
from pixseek.sources import osxphotos
from pixseek.sources.osxphotos import DATABASE, Export
from pixseek.types import Record, record_id

from tiny_encoder import TinyEncoder


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
        # The words of an album are among those that are searched.
        found = library.opened.engine.find_words("best of 2021", 9)
        assert [each.id for each in found.matches if each.complete] == [record_id("Photos/b.jpg")]
    assert tiny.embedded == 2


def test_a_date_that_was_corrected_in_photos_counts_more_than_that_of_the_camera(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    folder = tmp_path / "Photos"
    folder.mkdir()
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2020:03:05 12:00:00"
    was = "2020-03-05T12:00:00+01:00"
    photos: dict[str, dict[str, Any]] = {
        "corrected.jpg": {"date_original": was},
        "corrected-too.jpg": {"exif_info": {"date": was}},  # of an older osxphotos
        # Another time zone for the same moment is not a correction.
        "same.jpg": {"date_original": was, "date": "2020-03-05T11:00:00.100+00:00"},
        "unknown.jpg": {},
    }
    for n, name in enumerate(photos):
        Image.new("RGB", (40, 30), (n * 60, 0, 0)).save(folder / name, exif=exif)
    export(folder, {name: {**PHOTO, **said, "uuid": name} for name, said in photos.items()})
    with pixseek.open(tmp_path / "lib") as library:
        library.index(folder)
        for name in photos:
            record = record_of(library, f"Photos/{name}")
            assert (record.taken_at, record.fields["taken_from"]) == (
                (datetime.fromisoformat(PHOTO["date"]), "program")
                if name.startswith("corrected")
                else (datetime(2020, 3, 5, 12), "exif")
            ), name


@pytest.mark.slow
def test_a_report_of_an_export_is_not_taken_for_a_table_of_images(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    folder = tmp_path / "Photos"
    export(folder, {"a.jpg": PHOTO, "b.jpg": {**PHOTO, "uuid": "B2"}})
    rows = [{"datetime": "2026-11-30T10:00:00", "filename": str(folder / name), "exported": 1,
             "new": 1, "sidecar_xmp": 0} for name in ("a.jpg", "b.jpg")]  # fmt: skip
    (folder / "report.json").write_text(json.dumps([{**each, "uuid": "A1"} for each in rows]))
    lines = [",".join(rows[0]), *(",".join(map(str, each.values())) for each in rows)]
    (folder / "report.csv").write_text("\n".join(lines))
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index(folder)
        assert (report.added, report.failures) == (2, ())
        assert record_of(library, "Photos/a.jpg").fields["albums"] == "Lake trip; Best of 2021"


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


@pytest.mark.slow  # SQLite waits 5 s for a lock
def test_albums_survive_a_database_that_is_locked_from_the_beginning(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    folder = tmp_path / "Photos"
    two = {"a.jpg": PHOTO, "b.jpg": {**PHOTO, "uuid": "B2"}}
    export(folder, two)
    with pixseek.open(tmp_path / "lib") as library:
        assert library.index(folder).added == 2
        Image.new("RGB", (40, 30), "blue").save(folder / "new.jpg")
        with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = DELETE")  # of WAL it could be read
            database.execute("BEGIN EXCLUSIVE")
            report = library.index()
        assert (report.added, report.updated, report.removed) == (0, 0, 0)
        assert {each.uri for each in report.failures} == {
            "Photos/(osxphotos)", "Photos/a.jpg", "Photos/b.jpg", "Photos/new.jpg",
        }  # fmt: skip
        assert all("locked" in each.message for each in report.failures)
        record = record_of(library, "Photos/a.jpg")
        assert (record.fields["albums"], record.fields["favourite"]) == (
            "Lake trip; Best of 2021", True,
        )  # fmt: skip
        report = library.index()
        assert (report.added, report.unchanged, report.failures) == (1, 2, ())


def test_a_library_that_fails_for_a_moment_is_asked_again(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Photos"
    export(folder, {"a.jpg": PHOTO, "b.jpg": {**PHOTO, "uuid": "B2"}})
    opener, calls = osxphotos.opened, []

    def once(place: Path) -> Export | None:
        calls.append(place)
        if len(calls) == 1:
            raise OSError("It is busy")
        return opener(place)

    monkeypatch.setattr(osxphotos, "opened", once)
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index(folder)
        assert report.added == 1
        assert {each.uri for each in report.failures} == {"Photos/(osxphotos)", "Photos/a.jpg"}
        assert (library.index().added, len(library)) == (1, 2)
        assert record_of(library, "Photos/a.jpg").fields["albums"] == "Lake trip; Best of 2021"
