"""Sidecars: which files belong to an image, and what is read from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.blocks import read, xmp_packet
from pixseek.metadata.sidecars import SidecarFinder


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
        # Case, on disks that distinguish it.
        ("A1.JPG", "A1.jpg.xmp", ["A1.jpg.xmp"]),
        ("A1.JPG", "a1.XMP", ["a1.XMP"]),
        ("A1.JPG", "a1.jpg.xmp A1.JPG.XMP", ["A1.JPG.XMP"]),
        ("A1.JPG", "A1.JPG.XMP A1.JPG.xmp A1.jpg.Xmp", ["A1.JPG.xmp"]),
        ("A1.JPG", "a1.jpg a1.jpg.xmp", []),  # the other photo's
        ("a1.jpg", "A1.JPG a1.jpg.xmp A1.JPG.xmp", ["a1.jpg.xmp"]),
        ("A1.JPG", "a1.nef a1.xmp", []),
        ("A1.JPG", "A1.NEF A1.xmp", ["A1.xmp"]),
        ("IMG_1.HEIC", "img_1.heic.Supplemental-Metadata.JSON",
         ["img_1.heic.Supplemental-Metadata.JSON"]),
        ("IMG_1.JPG", "IMG_1.jpg.json IMG_1.txt", ["IMG_1.jpg.json", "IMG_1.txt"]),
        # Normal forms: a name from a Mac, its sidecar from a Takeout archive.
        ("e\u0301t\u00e9.jpg", "\u00e9te\u0301.jpg.json", ["\u00e9te\u0301.jpg.json"]),
        # Google's copies, in the language of the account.
        *((f"p-{word}.jpg", "p.jpg p.jpg.supplemental-metadata.json",
           ["p.jpg.supplemental-metadata.json"])
          for word in ("bearbeitet", "modifi\u00e9", "modifie\u0301", "modificato", "editado",
                       "ha_editado", "bewerkt", "redigerad", "edytowane",
                       "\u7de8\u96c6\u6e08\u307f", "EDITED", "effects", "aWordOfAnotherLanguage")),
        ("p-bearbeitet.jpg", "p.jpg p.jpg.json p-bearbeitet.jpg.json", ["p-bearbeitet.jpg.json"]),
        ("p-bearbeitet(1).jpg", "p.jpg.json p.jpg(1).json", ["p.jpg(1).json"]),
        ("p(1)-edited.jpg", "p.jpg.json p.jpg(1).json", ["p.jpg(1).json"]),
        ("p(1)-edited.jpg", "p(1).jpg.s.json p.jpg(1).json", ["p(1).jpg.s.json"]),
        # A title that ends in a number itself.
        ("p(1).jpg", "p.jpg.su.json p(1).jpg.su.json", ["p(1).jpg.su.json"]),
        ("p(1)(2).jpg", "p.jpg.json p(1).jpg.su(2).json", ["p(1).jpg.su(2).json"]),
        ("p-crop.jpg", "p.jpg p.jpg.json", []),
        ("p-crop.jpg", "p.jpg.supplemental-metadata.json", []),
        ("p-2.jpg", "p.jpg p.jpg.supplemental-metadata.json", []),
        ("B" * 43 + "-edi.jpg", "B" * 43 + ".jpg " + "B" * 43 + ".jpg.json",
         ["B" * 43 + ".jpg.json"]),
        ("p-edi.jpg", "p.jpg p.jpg.json", []),
        # Cut names: at 46 characters, of which an emoji is two.
        ("A" * 60 + ".jpg", "A" * 46 + ".json", ["A" * 46 + ".json"]),
        ("A" * 60 + "(2).jpg", "A" * 46 + ".json " + "A" * 46 + "(2).json",
         ["A" * 46 + "(2).json"]),
        ("A" * 43 + ".jpg", "A" * 43 + ".jp.json " + "A" * 43 + ".jpg.json",
         ["A" * 43 + ".jpg.json"]),
        ("\U0001f600" * 24 + ".jpg", "\U0001f600" * 23 + ".json", ["\U0001f600" * 23 + ".json"]),
    ],
)  # fmt: skip
def test_the_sidecars_of_an_image_are_found(name: str, listing: str, expected: list[str]) -> None:
    name = name.replace("ha_editado", "ha editado")
    assert SidecarFinder([*listing.split(), name]).find(name) == expected


def test_a_folder_is_walked_through_once() -> None:
    finder = SidecarFinder(f"{each}.jpg.json" for each in ("a", "b"))
    assert [finder.find(f"{each}.jpg") for each in "abc"] == [["a.jpg.json"], ["b.jpg.json"], []]


@given(st.text(max_size=60), st.sets(st.text(max_size=60), max_size=5))
def test_sidecars_are_always_in_the_listing(name: str, listing: set[str]) -> None:
    names = {*listing, *(f"{each}.json" for each in (name, name.upper(), *listing))}
    assert {*SidecarFinder(names).find(name)} <= names


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


def test_json_is_read_in_any_encoding() -> None:
    text = json.dumps({"caption": "Zürich, früh", "tags": ["Brücke"]}, ensure_ascii=False)
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"):
        found = read(sidecars={"a.json": text.encode(encoding)})
        assert (found.caption, found.tags) == ("Zürich, früh", ("Brücke",))


def test_a_broken_exif_text_leaves_the_rest() -> None:
    for text in ("{", "[" * 60_000, '{"a":' * 60_000, '{"GPS GPSLatitude": {"x": 1}}'):
        found = read(sidecars=sidecar(caption="a boat", exif=text))
        assert (found.caption, found.notes) == ("a boat", ())


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


def test_entities_of_google_takeout_are_characters() -> None:
    told = {**TAKEOUT, "description": "Ann&#39;s &amp; Bob&quot;s"}
    assert read(sidecars=sidecar(**told)).caption == "Ann's & Bob\"s"
    assert read(sidecars=sidecar(caption="a &amp; b")).caption == "a &amp; b"


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
