"""Google Takeout in several zips: one root, in which descriptions may lie in another zip."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

import pixseek
from pixseek.errors import SourceVanishedError
from pixseek.library.opening import as_series
from pixseek.types import Recognised, Record, record_id

from tiny_encoder import TinyEncoder

EXPORT = "takeout-20240102T030405Z"
ALBUM = "Takeout/Google Fotos/Am See"
YEAR = "Takeout/Google Fotos/Fotos von 2021"
LONG = "Sonnenuntergang am Bodensee mit der ganzen Familie"


def picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def said(title: str, **more: object) -> bytes:
    """Return the JSON of a photo as Google writes it."""
    return json.dumps(
        {
            "title": title,
            "description": f"about {title}",
            "photoTakenTime": {"timestamp": "1625314953", "formatted": "03.07.2021"},
            "geoData": {"latitude": 47.5, "longitude": 9.4, "altitude": 400.0},
            "people": [{"name": "Ann"}],
            "url": "https://photos.google.com/photo/x",
            **more,
        }
    ).encode()


def write(path: Path, content: dict[str, bytes]) -> Path:
    if path.suffix == ".tgz":
        with tarfile.open(path, "w:gz") as tar:
            for name, data in content.items():
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(data), 1_700_000_000
                tar.addfile(info, io.BytesIO(data))
        return path
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(name, data)
    return path


def record_of(library: pixseek.Library, uri: str) -> Record:
    record = library.get(record_id(uri))
    assert record is not None, uri
    return record


@pytest.fixture(params=[".zip", pytest.param(".tgz", marks=pytest.mark.slow)])
def parts(tmp_path: Path, request: pytest.FixtureRequest) -> list[Path]:
    """An export of three parts; photos and their JSON are in different ones."""
    album = {"title": "Am See", "access": "protected", "date": {"timestamp": "1625314953"}}
    one = {
        f"{ALBUM}/IMG_1.jpg": picture("red"),
        f"{ALBUM}/IMG_1-bearbeitet.jpg": picture("navy"),
        f"{ALBUM}/IMG_1(1).jpg": picture("blue"),
        f"{YEAR}/{LONG}.jpg": picture("green"),
        f"{YEAR}/metadata.json": json.dumps({"title": "Fotos von 2021"}).encode(),
    }
    two = {
        f"{ALBUM}/IMG_1.jpg.supplemental-metadata.json": said("IMG_1.jpg", favorited=True),
        f"{ALBUM}/IMG_1.jpg.supplemental-metadata(1).json": said("IMG_1(1).jpg", archived=True),
        f"{YEAR}/{LONG[:46]}.json": said(f"{LONG}.jpg"),
        f"{YEAR}/gone.jpg.supplemental-met.json": said("gone.jpg", trashed=True),
        f"{ALBUM}/Metadaten.json": json.dumps(album).encode(),
    }
    three = {f"{YEAR}/gone.jpg": picture("black")}
    return [
        write(tmp_path / f"{EXPORT}-{number:03}{request.param}", content)
        for number, content in enumerate((one, two, three), 1)
    ]


def test_the_parts_of_an_export_are_one_root(
    parts: list[Path], tmp_path: Path, tiny: TinyEncoder
) -> None:
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index(*parts)
        assert (report.added, report.failures) == (4, ())
        assert [(each.kind, each.images) for each in report.skipped] == [("trashed", 1)]
        (root,) = library.roots()
        assert (root.name, root.path.parent) == (EXPORT, tmp_path)
        first, ending = f"{EXPORT}/{parts[0].name}", parts[0].suffix
        record = record_of(library, f"{first}/{ALBUM}/IMG_1.jpg")
        assert record.caption == "about IMG_1.jpg"
        assert record.taken_at == datetime(2021, 7, 3, 12, 22, 33, tzinfo=UTC)
        expected = {"favourite": True, "people": "Ann", "albums": "Am See", "latitude": 47.5,
                    "longitude": 9.4, "altitude_m": 400.0}  # fmt: skip
        assert expected.items() <= record.fields.items()
        copy = record_of(library, f"{first}/{ALBUM}/IMG_1-bearbeitet.jpg")
        assert (copy.caption, copy.fields["albums"]) == ("about IMG_1.jpg", "Am See")
        other = record_of(library, f"{first}/{ALBUM}/IMG_1(1).jpg")
        assert (other.caption, other.fields["archived"]) == ("about IMG_1(1).jpg", True)
        long = record_of(library, f"{first}/{YEAR}/{LONG}.jpg")
        assert long.caption == f"about {LONG}.jpg"
        assert "albums" not in long.fields  # that of a year is not one
        assert "access" not in record.fields  # an album's, as the sample of a data set

        # One part alone means the whole export, and nothing was changed.
        report = library.index(parts[1])
        assert (report.unchanged, report.added, len(library.roots())) == (4, 0, 1)
        # A part that came later: its descriptions count for images of others.
        more = {f"{YEAR}/{LONG[:46]}.txt": b"-", f"{ALBUM}/IMG_1-bearbeitet.jpg.xmp": b"<x/>"}
        write(tmp_path / f"{EXPORT}-004{ending}", more)
        report = library.index()
        assert (report.unchanged + report.updated, report.removed) == (4, 0)
        assert library.index().unchanged == 4
        wanted = f"/{EXPORT}-003{ending}/{YEAR}/gone.jpg"
        assert library.index(include=[wanted]).added == 1
    assert tiny.embedded == 5


@pytest.mark.slow
def test_parts_that_are_missing_damaged_or_away(
    parts: list[Path], tmp_path: Path, tiny: TinyEncoder
) -> None:
    one, two, three = parts
    first, image = f"{EXPORT}/{one.name}/{ALBUM}", f"{EXPORT}/{one.name}/{ALBUM}/IMG_1.jpg"
    two.rename(tmp_path / "two")
    with pixseek.open(tmp_path / "lib") as library:
        # Without the part that has the descriptions, and the one that says what is in the trash.
        assert library.index(one, three).added == 5
        assert record_of(library, image).caption == ""
        library.tag([record_id(image)], add=["mine"])
        (tmp_path / "two").rename(two)
        report = library.index()
        assert (report.updated, [each.kind for each in report.skipped]) == (4, ["trashed"])
        assert len(library) == 4
        assert record_of(library, image).caption == "about IMG_1.jpg"
        # A part that is damaged keeps its images, and the others are indexed.
        whole = one.read_bytes()
        one.write_bytes(whole[:-100])
        report = library.index()
        assert [(each.uri, each.reason) for each in report.failures] == [
            (f"{EXPORT}/{one.name}/", "damaged")
        ]
        assert (report.removed, record_of(library, image).tags) == (0, ("mine",))
        # One that is away takes its images along; what was said of them comes back.
        one.rename(tmp_path / "one")
        assert library.index().removed == 4
        (tmp_path / "one").write_bytes(whole)
        (tmp_path / "one").rename(one)
        library.index()
        record = record_of(library, f"{first}/IMG_1.jpg")
        assert (record.tags, record.caption) == (("mine",), "about IMG_1.jpg")
        for part in parts:
            part.unlink()
        with pytest.raises(SourceVanishedError):
            library.index()
        assert len(library) == 4


def test_shards_that_are_named_one_by_one_are_one_root(tmp_path: Path, tiny: TinyEncoder) -> None:
    def shard(number: int, colour: str) -> Path:
        path = tmp_path / f"train-{number:03}.tar"
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo("x.jpg")
            info.size = len(picture(colour))
            tar.addfile(info, io.BytesIO(picture(colour)))
        return path

    with pixseek.open(tmp_path / "lib") as library:
        assert library.index(shard(0, "red"), shard(1, "green")).added == 2
        assert [root.name for root in library.roots()] == ["train"]
        # Another one of them, alone; and what an earlier run named.
        assert library.index(shard(2, "blue")).added == 1
        assert library.index().unchanged == 3
        assert [root.name for root in library.roots()] == ["train"]


def test_a_member_that_was_removed_comes_back_when_it_is_named(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    names = ("day1/a.jpg", "day1/b.jpg", "day2/a.jpg")
    colours = ("red", "green", "blue")
    path = write(tmp_path / "trip.zip", dict(zip(names, map(picture, colours), strict=True)))
    with pixseek.open(tmp_path / "lib") as library:
        assert library.index(path / "day1").added == 2
        assert library.index().unchanged == 2  # only that part is known
        assert library.index(path).added == 1
        for place in ("trip.zip/day1", "trip/day1", "day1", str(path / "day1"), "Trip.zip/day1/"):
            assert len(library.search(f'folder:"{place}"')) == 2, place
        assert library.remove(path / "day1" / "a.jpg") == 1
        assert library.index(path).added == 0
        assert library.index(path / "day1" / "a.jpg").added == 1
        assert library.remove(path / "day1") == 2
        assert library.index().unchanged == 1
        assert library.index(path / "day1").added == 2
        report = library.index(path / "day3")
        assert [each.reason for each in report.failures] == ["missing"]


def test_a_list_of_files_may_name_archives_and_tables(tmp_path: Path, tiny: TinyEncoder) -> None:
    write(tmp_path / "trip.zip", {"a.jpg": picture("red")})
    for name, colour in (("b.jpg", "green"), ("c.jpg", "blue")):
        (tmp_path / name).write_bytes(picture(colour))
    (tmp_path / "goods.csv").write_text("file,price\nb.jpg,3\n")
    (tmp_path / "notes.csv").write_text("day,hours\n1,2\n")
    names = ("trip.zip", "goods.csv", "c.jpg", "notes.csv", "none.zip")
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index(listed=[tmp_path / name for name in names])
        assert {root.kind for root in library.roots()} == {"archive", "table", "folder"}
        assert record_of(library, "goods/b.jpg").fields["price"] == 3
        assert record_of(library, "trip/a.jpg").name == "a.jpg"
        assert sorted(Path(each.uri).name for each in report.failures) == ["none.zip", "notes.csv"]


def test_shards_on_a_server_that_are_named_one_by_one_are_one_root() -> None:
    def named(where: str) -> Recognised:
        return Recognised("archive", where, "t-00000")

    for folder, name in (("s3://bucket/", "t"), ("sftp://host/a/", "t"), ("/photos/", "t")):
        found = as_series([named(f"{folder}t-0000{number}.tar") for number in range(2)])
        assert [(each.where, each.name) for each in found] == [
            (f"{folder}t-{{00000..999999999}}.tar", name)
        ]
    found = as_series([named(f"s3://bucket/0000{number}.tar") for number in range(2)])
    assert [each.name for each in found] == ["bucket"]
    # A page of a web server need not list its files.
    assert len(as_series([named(f"https://host/t-0000{n}.tar") for n in range(2)])) == 2


def test_an_address_in_a_list_that_can_not_be_read_is_one_failure(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    (tmp_path / "c.jpg").write_bytes(picture("blue"))
    dead = "https://127.0.0.1:1/trip.zip"
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index(listed=[dead, tmp_path / "c.jpg"])
        assert report.added == 1
        assert [(each.uri, each.reason) for each in report.failures] == [(dead, "missing")]
