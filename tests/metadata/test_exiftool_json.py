"""The JSON of exiftool, in each of its forms, and what img2dataset keeps of EXIF."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.blocks import read
from pixseek.metadata.sidecars import orientation_beside

# As exiftool 12.57 writes a photo of these tags with each of its options.
PLAIN: dict[str, Any] = {
    "SourceFile": "./a.jpg", "ExifToolVersion": 12.57, "FileName": "a.jpg", "FileSize": "6.6 kB",
    "FileModifyDate": "2026:11:29 18:17:25+00:00", "ImageDescription": "A red boat",
    "Make": "Canon", "Model": "Canon EOS R5", "Artist": "Zed", "ExposureTime": "1/125",
    "FNumber": 2.8, "ISO": 400, "DateTimeOriginal": "2021:07:04 12:30:00",
    "CreateDate": "2021:07:04 12:30:01", "OffsetTimeOriginal": "+02:00",
    "ExposureCompensation": -0.33, "FocalLength": "50.0 mm", "UserComment": "a comment",
    "SubSecTimeOriginal": 25, "ColorSpace": "sRGB", "Flash": "Off, Did not fire",
    "FocalLengthIn35mmFormat": "75 mm", "LensModel": "RF24-105mm F4 L IS USM",
    "GPSLatitudeRef": "South", "GPSLongitudeRef": "East", "GPSAltitudeRef": "Below Sea Level",
    "GPSImgDirection": 90, "Keywords": ["boat", "Smith, John"], "TimeCreated": "12:30:00+02:00",
    "City": "Sydney", "Province-State": "NSW", "Country-PrimaryLocationCode": "AUS",
    "Country-PrimaryLocationName": "Australia", "Caption-Abstract": "A boat",
    "PersonInImage": ["Ann", "Bob B"], "Description": "A red boat on the lake",
    "Subject": ["boat", 2021, "Smith, John"], "Title": 1984, "TagsList": "Places/Australia",
    "HierarchicalSubject": "Places|Australia|Sydney", "RegionName": ["Cleo", "Rex"],
    "RegionType": ["Face", "Pet"], "DateCreated": "2021:07:04 12:30:00+02:00", "Label": "Red",
    "Rating": 4, "ImageWidth": 40, "SubSecDateTimeOriginal": "2021:07:04 12:30:00.25+02:00",
    "GPSAltitude": "25 m Below Sea Level", "GPSLatitude": "33 deg 51' 24.48\" S",
    "GPSLongitude": "151 deg 12' 55.08\" E", "LensID": "RF24-105mm F4 L IS USM",
}  # fmt: skip

GROUPS = {
    "XMP-dc": "Description Subject Title", "XMP-digiKam": "TagsList", "XMP-xmp": "Label Rating",
    "XMP-lr": "HierarchicalSubject", "XMP-mwg-rs": "RegionName RegionType",
    "XMP-iptcExt": "PersonInImage", "XMP-photoshop": "DateCreated",
    "IPTC": "Keywords TimeCreated City Province-State Country-PrimaryLocationCode "
            "Country-PrimaryLocationName Caption-Abstract",
    "IFD0": "ImageDescription Make Model Artist",
    "GPS": "GPSLatitudeRef GPSLongitudeRef GPSAltitudeRef GPSImgDirection",
    "Composite": "SubSecDateTimeOriginal GPSAltitude GPSLatitude GPSLongitude LensID",
    "System": "FileName FileSize FileModifyDate", "File": "ImageWidth",
    "ExifTool": "ExifToolVersion", "": "SourceFile",
}  # fmt: skip
GROUP_OF = {name: group for group, names in GROUPS.items() for name in names.split()}

NUMBERS = {
    "ExposureTime": 0.008, "FocalLength": 50, "FocalLengthIn35mmFormat": 75, "ColorSpace": 1,
    "GPSLatitude": -33.8568, "GPSLongitude": 151.2153, "GPSAltitude": -25, "GPSAltitudeRef": 1,
    "GPSLatitudeRef": "S", "GPSLongitudeRef": "E", "Flash": 16,
}  # fmt: skip


def grouped(content: dict[str, Any], *, fine: bool) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in content.items():
        group = GROUP_OF.get(name, "ExifIFD")
        if not fine:
            group = {"IFD0": "EXIF", "ExifIFD": "EXIF", "GPS": "EXIF", "System": "File"}.get(
                group, group.partition("-")[0]
            )
        found.setdefault(group, {})[name] = value
    return found


def prefixed(content: dict[str, Any], *, fine: bool) -> dict[str, Any]:
    return {
        f"{group}:{name}" if group else name: value
        for group, values in grouped(content, fine=fine).items()
        for name, value in values.items()
    }


def nested(content: dict[str, Any], *, fine: bool) -> dict[str, Any]:
    groups = grouped(content, fine=fine)
    return {**groups.pop(""), **groups}


STRUCTURED = {
    **{name: value for name, value in PLAIN.items() if not name.startswith("Region")},
    "TagsList": ["Places/Australia"],
    "RegionInfo": {
        "AppliedToDimensions": {"H": 30, "Unit": "pixel", "W": 40},
        "RegionList": [
            {"Area": {"X": 0.5}, "Name": "Cleo", "Type": "Face"}, {"Name": "Rex", "Type": "Pet"},
        ],
    },
}  # fmt: skip
IN_NUMBERS = {**PLAIN, **NUMBERS}
#: Both the tags in EXIF, which have no sign, and what exiftool makes of them.
WITH_EXIF_GPS = {
    **prefixed(IN_NUMBERS, fine=True), "GPS:GPSLatitude": 33.8568, "GPS:GPSLongitude": 151.2153,
    "GPS:GPSAltitude": 25, "IFD1:Make": "thumbnail", "Canon:Model": "x", "MakerNotes:Title": "y",
}  # fmt: skip
FORMS: dict[str, dict[str, Any]] = {
    "-j": PLAIN,
    "-j -n": IN_NUMBERS,
    "-j -G": prefixed(PLAIN, fine=False),
    "-j -n -G1": WITH_EXIF_GPS,
    "-j -G0:1": {f"EXIF:{k}" if k.startswith(("IFD0", "ExifIFD", "GPS:")) else k: v
                 for k, v in prefixed(PLAIN, fine=True).items()},
    "-j -g": nested(PLAIN, fine=False),
    "-j -g1 -n": nested(IN_NUMBERS, fine=True),
    "-j -struct -G": prefixed(STRUCTURED, fine=False),
    "-j -l": {k: {"desc": k, "val": v, **({"num": NUMBERS[k]} if k in NUMBERS else {})}
              if k != "SourceFile" else v for k, v in PLAIN.items()},
    "-j -c %+.6f": {**PLAIN, "GPSLatitude": "-33.856800", "GPSLongitude": "+151.215300"},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("several", [False, True])
def test_each_form_gives_the_same(form: str, several: bool) -> None:
    entries = [{"SourceFile": "a.nef", "Description": "another"}] if several else []
    data = json.dumps([*entries, FORMS[form]]).encode()
    found = read(name="a.jpg", sidecars={"a.json": data})
    assert found.caption == "A red boat on the lake"
    assert found.taken_at == datetime(2021, 7, 4, 12, 30, 0, 250_000, timezone(timedelta(hours=2)))
    assert {"boat", "2021", "Smith, John", "Australia", "Sydney"} <= {*found.tags}
    assert not {"Smith", "John"} & {*found.tags}
    fields = {name: value for name, value in found.fields.items() if name != "place"}
    assert fields == {
        "taken_from": "sidecar", "title": "1984", "rating": 4, "label": "Red", "artist": "Zed",
        "people": "Ann; Bob B; Cleo", "city": "Sydney", "state": "NSW", "country": "Australia",
        "country_code": "AUS", "latitude": -33.8568, "longitude": 151.2153, "altitude_m": -25.0,
        "direction_deg": 90.0, "camera_make": "Canon", "camera_model": "EOS R5",
        "lens": "RF24-105mm F4 L IS USM", "focal_length_mm": 50.0, "focal_length_35mm": 75.0,
        "aperture": 2.8, "exposure_s": 0.008, "exposure_bias_ev": -0.33, "iso": 400,
        "flash": False, "colour_space": "sRGB",
    }  # fmt: skip
    assert found.notes == ()


@pytest.mark.parametrize(
    ("tags", "place"),
    [
        ({"GPSLatitude": "48 deg 51' 24.00\" N", "GPSLongitude": "2 deg 21' 3.00\" W"},
         (48.8566667, -2.3508333)),
        ({"GPSLatitude": 33.5, "GPSLatitudeRef": "South", "GPSLongitude": 12,
          "GPSLongitudeRef": "East"}, (-33.5, 12.0)),
        ({"EXIF:GPSLatitude": "33 deg 30' 0.00\"", "EXIF:GPSLatitudeRef": "South",
          "EXIF:GPSLongitude": "12 deg 0' 0.00\"", "EXIF:GPSLongitudeRef": "West"}, (-33.5, -12.0)),
        ({"GPSLatitude": "33,51.408S", "GPSLongitude": "151,12.918E"}, (-33.8568, 151.2153)),
        ({"GPSLatitude": "48,8566 N", "GPSLongitude": "2,3508 E"}, (48.8566, 2.3508)),
        ({"GPSLatitude": [48, 51, 24], "GPSLongitude": [2, 21, 3]}, (48.8566667, 2.3508333)),
        ({"GPSLatitude": "0 deg 0' 0.00\" N", "GPSLongitude": "33 deg 0' 0.00\" E"}, (0.0, 33.0)),
        ({"GPSPosition": "-33.8568 151.2153"}, (-33.8568, 151.2153)),
        ({"GPSPosition": "33 deg 51' 24.48\" S, 151 deg 12' 55.08\" E"}, (-33.8568, 151.2153)),
        ({"GPSLatitude": "0 deg 0' 0.00\" N", "GPSLongitude": "0 deg 0' 0.00\" E"}, None),
        ({"GPSLatitude": "", "GPSLongitude": 5}, None),
        ({"GPSLatitude": 95, "GPSLongitude": 5}, None),
        ({"GPSLatitude": "48 deg 99' 0\" N", "GPSLongitude": 5}, None),
        ({"GPSLatitude": "nan", "GPSLongitude": True}, None),
    ],
)  # fmt: skip
def test_positions(tags: dict[str, Any], place: tuple[float, float] | None) -> None:
    fields = read(sidecars={"a.jpg.json": json.dumps({"SourceFile": "a", **tags}).encode()}).fields
    assert fields.get("latitude") == (place and place[0])
    assert fields.get("longitude") == (place and place[1])


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ({"Keywords": "Smith, John"}, ("Smith, John",)),
        ({"Keywords": ["a", "b, c"]}, ("a", "b, c")),
        ({"Keywords": 2021}, ("2021",)),
        ({"IPTC:Keywords": ["old"], "XMP:Subject": ["new"]}, ("new",)),
        ({"XPKeywords": "a;b"}, ("a", "b")),
        ({"Subject": True}, ("true",)),
    ],
)  # fmt: skip
def test_keywords(tags: dict[str, Any], wanted: tuple[str, ...]) -> None:
    found = read(sidecars={"a.jpg.json": json.dumps([{"SourceFile": "a", **tags}]).encode()})
    assert found.tags == wanted


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ({"DateTimeOriginal": "1975:06:01 10:00:00", "CreateDate": "2019:01:01 10:00:00"}, 1975),
        ({"CreateDate": "2019:01:01 10:00:00", "DateCreated": "1975:06:01"}, 1975),
        ({"CreateDate": "2019:01:01 10:00:00"}, 2019),
        ({"GPSDateTime": "2018:01:01 10:00:00Z"}, 2018),
        ({"FileModifyDate": "2018:01:01 10:00:00Z"}, None),
        ({"DateTimeOriginal": "0000:00:00 00:00:00"}, None),
    ],
)  # fmt: skip
def test_dates(tags: dict[str, Any], wanted: int | None) -> None:
    found = read(sidecars={"a.jpg.json": json.dumps([{"SourceFile": "a", **tags}]).encode()})
    assert (found.taken_at and found.taken_at.year) == wanted


def test_dates_in_a_format_of_the_users_have_the_zone_of_its_own_tag() -> None:
    """`-d "%Y-%m-%d %H:%M:%S"` drops fractions and zones from all dates."""
    dates = ("DateTimeOriginal", "CreateDate", "DateCreated", "SubSecDateTimeOriginal")
    content = PLAIN | dict.fromkeys(dates, "2021-07-04 12:30:00")
    found = read(sidecars={"a.json": json.dumps(content).encode()})
    zone = timezone(timedelta(hours=2))
    assert found.taken_at == datetime(2021, 7, 4, 12, 30, 0, 250_000, zone)


def test_time_and_zone_of_iptc_and_gps_are_read() -> None:
    iptc = {"IPTC:DateCreated": "2021:07:04", "IPTC:TimeCreated": "12:30:00+02:00"}
    found = read(sidecars={"a.json": json.dumps([iptc]).encode()})
    assert found.taken_at == datetime(2021, 7, 4, 12, 30, tzinfo=timezone(timedelta(hours=2)))
    gps = {"SourceFile": "a", "GPSDateTime": "2021:07:04 10:30:00Z"}
    found = read(sidecars={"a.json": json.dumps([gps]).encode()})
    assert found.taken_at == datetime(2021, 7, 4, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tags", "field", "wanted"),
    [
        ({"XMP:LocationShown": [{"City": "Rome", "CountryName": "Italy"}]}, "city", "Rome"),
        ({"XMP:LocationShownCity": ["Rome"], "IPTC:City": "Milan"}, "city", "Rome"),
        ({"Description": "boat", "Description-de": "Boot", "Title-fr-CA": "bateau"},
         "translations", "Boot; bateau"),
        ({"Title": "base64:Wvxyaw=="}, "title", "Zürk"),
        ({"Title": "base64:??"}, "title", "base64:??"),
        ({"RatingPercent": 75}, "rating", 4),
        ({"ISO": "100 100"}, "iso", 100),
        ({"FocalLength": "4.2 mm (35 mm equivalent: 28.0 mm)"}, "focal_length_mm", 4.2),
        ({"ExposureTime": "0.3"}, "exposure_s", 0.3),
        ({"FNumber": "undef"}, "aperture", None),
        ({"Flash": "On, Fired"}, "flash", True),
        ({"Flash": "No Flash"}, "flash", None),
        ({"Flash": 25}, "flash", True),
        ({"GPSLatitude": 1.5, "GPSLongitude": 2.5, "GPSAltitude": "undef"}, "altitude_m", None),
        ({"DateTimeOriginal": "1993:08:00 00:00:00"}, "taken_precision", "month"),
    ],
)  # fmt: skip
def test_single_values(tags: dict[str, Any], field: str, wanted: object) -> None:
    found = read(sidecars={"a.json": json.dumps([{"SourceFile": "a", **tags}]).encode()})
    assert found.fields.get(field) == wanted
    assert found.caption == tags.get("Description", "")


def test_a_caption_in_one_language_alone_is_the_caption() -> None:
    entry = {"SourceFile": "a", "XMP:Description-de": "Boot"}
    assert read(sidecars={"a.json": json.dumps([entry]).encode()}).caption == "Boot"


def test_of_several_objects_that_of_the_image_counts() -> None:
    entries = [
        {"SourceFile": "C:/x/B.JPG", "Title": "b"}, {"SourceFile": "x/a.jpg", "Title": "a"},
        {"SourceFile": "x/c.nef", "Title": "c"}, 5,
    ]  # fmt: skip
    data = json.dumps(entries).encode()
    for name, title in [("a.jpg", "a"), ("b.jpg", "b"), ("c.tif", "c"), ("d.jpg", None)]:
        assert read(name=name, sidecars={"x.json": data}).fields.get("title") == title
    alone = json.dumps(entries[:1]).encode()
    assert read(name="renamed.jpg", sidecars={"renamed.json": alone}).fields["title"] == "b"


# ------------------------------------------------------------------ img2dataset

EXIF = {
    "Image Make": "Canon", "Image Model": "Canon EOS R5", "Image Orientation": "Rotated 90 CW",
    "Image ImageDescription": "in the file", "EXIF DateTimeOriginal": "2021:07:04 12:30:00",
    "EXIF OffsetTimeOriginal": "+02:00", "EXIF ExposureTime": "1/125", "EXIF FNumber": "14/5",
    "EXIF ISOSpeedRatings": "400", "EXIF Flash": "Flash did not fire, compulsory flash mode",
    "GPS GPSLatitude": "[33, 51, 612/25]", "GPS GPSLatitudeRef": "S",
    "GPS GPSLongitude": "[151, 12, 1377/25]", "GPS GPSLongitudeRef": "E",
    "Thumbnail Orientation": "Rotated 180", "MakerNote Title": "x",
}  # fmt: skip


def img2dataset(exif: object) -> bytes:
    return json.dumps({
        "caption": "a red boat", "url": "https://example.org/boat.jpg", "key": "000000001",
        "status": "success", "error_message": None, "width": 512, "height": 384, "sha256": "ab",
        "exif": exif if isinstance(exif, str) else json.dumps(exif),
    }).encode()  # fmt: skip


def test_what_img2dataset_keeps_of_exif_is_read() -> None:
    found = read(sidecars={"000000001.json": img2dataset(EXIF)})
    assert (found.caption, found.tags) == ("a red boat", ())
    assert found.taken_at == datetime(2021, 7, 4, 12, 30, tzinfo=timezone(timedelta(hours=2)))
    fields = {name: found.fields[name] for name in (
        "camera_make", "camera_model", "exposure_s", "aperture", "iso", "flash", "latitude",
        "longitude", "source_url",
    )}  # fmt: skip
    assert fields == {
        "camera_make": "Canon", "camera_model": "EOS R5", "exposure_s": 0.008, "aperture": 2.8,
        "iso": 400, "flash": False, "latitude": -33.8568, "longitude": 151.2153,
        "source_url": "https://example.org/boat.jpg",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("exif", "orientation"),
    [
        ({"Image Orientation": "Horizontal (normal)"}, "Horizontal (normal)"),
        ({"Image Orientation": " Rotated 90  CW\n"}, "Rotated 90 CW"),
        (EXIF, "Rotated 90 CW"), ({"Thumbnail Orientation": "Rotated 180"}, ""), ({}, ""),
        ("{}", ""), ("", ""), ({"Image Orientation": {"Image Orientation": 1}}, ""),
        ('{"Image Orientation": ', ""), ("[" * 50_000 + "Image Orientation", ""),
    ],
)  # fmt: skip
def test_the_orientation_that_img2dataset_keeps(exif: object, orientation: str) -> None:
    assert orientation_beside([("a.txt", b"x"), ("a.json", img2dataset(exif))]) == orientation


# ------------------------------------------------------------------ strangers

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["val", "num", "RegionList", "Name", "Type"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*PLAIN, *WITH_EXIF_GPS, "EXIF", "RegionInfo"]), VALUES))
def test_any_values_are_read_without_an_exception(content: dict[str, Any]) -> None:
    found = read(sidecars={"a.json": json.dumps([{"SourceFile": "a", **content}]).encode()})
    assert not [note for note in found.notes if "broken" in note]


@given(st.dictionaries(st.sampled_from([*EXIF]), VALUES))
def test_any_exif_text_is_read_without_an_exception(content: dict[str, Any]) -> None:
    found = read(sidecars={"a.json": img2dataset(content)})
    assert not [note for note in found.notes if "broken" in note]
    assert len(orientation_beside([("a.json", img2dataset(content))])) <= 80
