"""Sidecars: which files belong to an image, and what is read from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.blocks import read, xmp_packet
from pixseek.metadata.sidecars import sidecar_names


@pytest.mark.parametrize(
    ("name", "listing", "expected"),
    [
        ("photo.jpg", "photo.jpg photo.xmp photo.jpg.xmp", ["photo.jpg.xmp", "photo.xmp"]),
        ("photo.jpg", "photo.txt photo.json", ["photo.txt", "photo.json"]),
        ("photo.jpg", "photo.XMP photo.jpg.TXT", ["photo.jpg.TXT", "photo.XMP"]),
        ("photo.jpg", "photo2.txt other.xmp photo", []),
        ("photo", "photo.txt", ["photo.txt"]),
        ("photo.jpg", "photo.jpg.json", ["photo.jpg.json"]),
        ("photo.jpg", "photo.jpg.supplemental-metadata.json",
         ["photo.jpg.supplemental-metadata.json"]),
        ("photo.jpg", "photo.jpg.supplemental-me.json", ["photo.jpg.supplemental-me.json"]),
        ("photo.jpg", "photo.jpg.s.json", ["photo.jpg.s.json"]),
        ("photo.jpg", "photo.jpg..json", ["photo.jpg..json"]),
        ("photo(1).jpg", "photo.jpg.json photo.jpg(1).json", ["photo.jpg(1).json"]),
        ("photo(1).jpg", "photo.jpg.supplemental-metadata(1).json",
         ["photo.jpg.supplemental-metadata(1).json"]),
        ("photo-edited.jpg", "photo.jpg.supplemental-metadata.json",
         ["photo.jpg.supplemental-metadata.json"]),
        ("A" * 47 + ".jpg", "A" * 46 + ".json", ["A" * 46 + ".json"]),
        ("photo.jpg", "photo.txt photo.jpg.supplemental-metadata.json",
         ["photo.txt", "photo.jpg.supplemental-metadata.json"]),
    ],
)  # fmt: skip
def test_the_sidecars_of_an_image_are_found(name: str, listing: str, expected: list[str]) -> None:
    assert sidecar_names(name, {*listing.split(), name}) == expected


def test_sidecars_are_found_without_walking_through_the_folder() -> None:
    class Counted(set[str]):
        looked_up = 0

        def __contains__(self, item: object) -> bool:
            Counted.looked_up += 1
            return super().__contains__(item)

        def __iter__(self):  # type: ignore[no-untyped-def]
            raise AssertionError("the folder was walked")

    assert sidecar_names("photo-edited(1).jpg", Counted(["x"])) == []
    assert Counted.looked_up < 80


@given(st.text(max_size=60), st.sets(st.text(max_size=60), max_size=5))
def test_sidecars_are_always_in_the_listing(name: str, listing: set[str]) -> None:
    assert {*sidecar_names(name, listing)} <= listing


@pytest.mark.parametrize(
    "data",
    ["Ein Boot auf dem See — früh\r\n".encode(), "\ufeffEin Boot auf dem See — früh".encode(),
     "Ein Boot auf dem See — früh".encode("utf-16"), "Ein Boot auf dem See — früh".encode("cp1252"),
     "  Ein  Boot\tauf dem See — früh\0\x07\n\n".encode()],
)  # fmt: skip
def test_a_text_sidecar_is_the_caption(data: bytes) -> None:
    assert read(sidecars={"beach.txt": data}).caption == "Ein Boot auf dem See — früh"


def test_the_lines_of_a_caption_are_kept() -> None:
    assert read(sidecars={"a.txt": b"one\r\ntwo\n"}).caption == "one\ntwo"


def test_a_long_text_file_is_not_a_caption() -> None:
    found = read(sidecars={"a.txt": b"word " * 100_000})
    assert found.caption == ""
    assert found.notes == ("text file too long for a caption ignored",)


def sidecar(**content: object) -> dict[str, bytes]:
    return {"beach.jpg.json": json.dumps(content).encode()}


def test_json_of_datasets_is_read() -> None:
    # Written by img2dataset.
    entry = {
        "caption": "a red boat", "url": "https://example.org/boat.jpg", "key": "000000001",
        "status": "success", "error_message": None, "width": 512, "exif": "{}", "sha256": "ab",
    }  # fmt: skip
    found = read(sidecars=sidecar(**entry))
    assert found.caption == "a red boat"
    assert found.fields["source_url"] == "https://example.org/boat.jpg"
    found = read(sidecars=sidecar(captions=["a boat", "a lake"], tags=["Boat", "boat ", "lake"]))
    assert found.caption == "a boat\na lake"
    assert found.tags == ("Boat", "lake")
    found = read(sidecars=sidecar(Title="At sea", Keywords="boat, lake", rating=4, author="Ann"))
    assert found.tags == ("boat", "lake")
    assert {**found.fields, "taken_from": ""} == {
        "title": "At sea", "rating": 4, "artist": "Ann", "taken_from": "",
    }  # fmt: skip


def test_json_of_exiftool_and_osxphotos_is_read() -> None:
    entry = {
        "SourceFile": "a.jpg", "XMP:Title": "At sea", "EXIF:ImageDescription": "x",
        "XMP:Description": "a red boat", "XMP:TagsList": ["boat", "lake"],
        "XMP:PersonInImage": ["Ann", "Bob"], "EXIF:DateTimeOriginal": "2021:05:03 14:22:33",
    }  # fmt: skip
    found = read(sidecars={"beach.jpg.json": json.dumps([entry]).encode()})
    assert (found.caption, found.tags) == ("a red boat", ("boat", "lake"))
    assert found.fields["people"] == "Ann; Bob"
    regions = {
        "XMP:RegionName": ["Ann", "Rex"], "XMP:RegionType": ["Face", "Pet"],
        "XMP:RegionPersonDisplayName": ["Cleo"], "XMP:TagsList": ["People/Dora", "lake"],
    }  # fmt: skip
    assert read(sidecars=sidecar(**regions)).fields["people"] == "Cleo; Ann; Dora"
    assert (found.taken_at, found.taken_from) == (datetime(2021, 5, 3, 14, 22, 33), "sidecar")


TAKEOUT = {
    "title": "beach.jpg",
    "description": "Ann on the beach",
    "imageViews": "12",
    "creationTime": {"timestamp": "1620060000", "formatted": "03.05.2021, 16:40:00 UTC"},
    "photoTakenTime": {"timestamp": "1620051753", "formatted": "03.05.2021, 14:22:33 UTC"},
    "geoData": {"latitude": 43.4674, "longitude": 11.8851, "altitude": 261.0,
                "latitudeSpan": 0.0, "longitudeSpan": 0.0},
    "geoDataExif": {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0},
    "people": [{"name": "Ann"}, {"name": "Bob"}, {"name": "ann"}],
    "url": "https://photos.google.com/photo/xyz",
    "favorited": True,
    "googlePhotosOrigin": {"mobileUpload": {"deviceType": "ANDROID_PHONE"}},
}  # fmt: skip


def test_json_of_google_takeout_is_read() -> None:
    found = read(sidecars=sidecar(**TAKEOUT))
    assert found.taken_at == datetime(2021, 5, 3, 14, 22, 33, tzinfo=UTC)
    assert found.caption == "Ann on the beach"
    assert dict(found.fields) == {
        "taken_from": "sidecar", "favourite": True, "people": "Ann; Bob",
        "latitude": 43.4674, "longitude": 11.8851, "altitude_m": 261.0,
        "source_url": "https://photos.google.com/photo/xyz",
    }  # fmt: skip
    assert found.notes == ()


def test_zero_coordinates_of_google_takeout_are_ignored() -> None:
    zero = {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0}
    exif_only = {"latitude": -33.9, "longitude": 18.4, "altitude": 0.0}
    assert "latitude" not in read(sidecars=sidecar(**{**TAKEOUT, "geoData": zero})).fields
    found = read(sidecars=sidecar(**{**TAKEOUT, "geoData": zero, "geoDataExif": exif_only}))
    assert (found.fields["latitude"], found.fields["longitude"]) == (-33.9, 18.4)


@pytest.mark.parametrize(
    "data",
    [b"{", b"", b"null", b"[]", b"[1, 2]", b'"text"', b"\xff\xfe\xfa", b"[" * 100_000,
     b'{"rating": ' + b"9" * 5000 + b"}", b'{"rating": 1e999, "geoData": {"latitude": NaN}}',
     b'{"caption": {"a": 1}, "tags": {"a": 1}, "title": [], "people": 7, "photoTakenTime": "x"}',
     b'{"photoTakenTime": {"timestamp": "1e300"}, "geoData": {"latitude": 99, "longitude": 1}}',
     b'{"tags": [null, 1, ["a"], {"name": 5}], "favorited": "yes", "author": [1]}',
     b'{"caption": "' + b"x" * 2_000_000 + b'"}'],
)  # fmt: skip
def test_broken_and_foreign_json_gives_nothing(data: bytes) -> None:
    found = read(sidecars={"beach.json": data})
    assert (found.caption, found.tags, found.taken_from) == ("", (), "")
    assert dict(found.fields) == {}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*TAKEOUT, "tags", "caption", "rating", "latitude", "timestamp"]),
                inner,
            )
        ),
    )
)
def test_any_json_is_read_without_an_exception(content: object) -> None:
    read(sidecars={"beach.json": json.dumps(content).encode()})


def test_the_more_specific_sidecar_wins() -> None:
    sidecars = {
        "beach.jpg.xmp": xmp_packet(attributes='xmp:Rating="4"'),
        "beach.xmp": xmp_packet(attributes='xmp:Rating="2"'),
    }
    assert read(sidecars=sidecars).fields["rating"] == 4


def test_files_with_other_endings_are_ignored() -> None:
    assert read(sidecars={"beach.exe": b"hello", "beach": b"hello"}).caption == ""
