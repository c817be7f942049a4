"""Coordinates in every form lie where they should."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.ExifTags import GPS

from metadata.blocks import exif_block, read, xmp_packet
from pixseek.metadata.coordinates import parse_coordinate


@pytest.mark.parametrize(
    ("text", "reference", "degrees", "is_known"),
    [
        ("43,28,2.8N", "", 43.467444, True),
        ("43,28,2.8 n", "", 43.467444, True),
        ("43,28.0469N", "", 43.467448, True),
        ("43.4675", "", 43.4675, False),
        ("43.4675", "N", 43.4675, True),
        ("22.9519", "S", -22.9519, True),
        ("22.9519", "South", -22.9519, True),
        ("22.9519", "southern", -22.9519, True),
        ("-22.9519", "S", -22.9519, True),
        ("-22.9519", "", -22.9519, True),
        ("22,57S", "N", -22.95, True),  # its own letter counts
        ("S 22° 54' 30\"", "", -22.908333, True),
        ("22 deg 54' 30.00\" S", "", -22.908333, True),
        ("22° 54′ 30″ South", "", -22.908333, True),
        ("22d54m30s S", "", -22.908333, True),
        ("43;28;2.8N", "", 43.467444, True),
        ("43/1,28/1,28/10", "N", 43.467444, True),
        # Commas for decimals.
        ("43,4675", "N", 43.4675, True),
        ("43,28,2,8N", "", 43.467444, True),
        ("43,28,0469N", "", 43.467448, True),
        # The equator needs no letter.
        ("0", "", 0.0, True),
        ("0,0.0", "", 0.0, True),
        ("-0.0", "S", 0.0, True),
    ],
)
def test_coordinates_are_parsed(text: str, reference: str, degrees: float, is_known: bool) -> None:
    found = parse_coordinate(text, "latitude", reference)
    assert found == (pytest.approx(degrees, abs=1e-6), is_known)


@pytest.mark.parametrize(
    "text",
    ["", "N", "nan", "inf", "1e3N", "43/0,1/1,1/1", "43,28.05,7,7N", "43,60,60X", "43,28,2.8E",
     "43,28,2.8W", "43.5,28N", "about 43"],
)  # fmt: skip
def test_what_is_not_a_latitude_is_none(text: str) -> None:
    assert parse_coordinate(text, "latitude") is None


@given(
    st.text(alphabet="0123456789.,;/°'\"NSEW deg-", max_size=20) | st.text(max_size=80),
    st.sampled_from(["latitude", "longitude"]),
    st.text(max_size=10),
)
def test_any_text_gives_a_number_or_none(
    text: str, axis: Literal["latitude", "longitude"], reference: str
) -> None:
    found = parse_coordinate(text, axis, reference)
    assert found is None or abs(found[0]) < 1e11


RIO = (-22.951911, -43.210487)


def place(**blocks: Any) -> tuple[object, object] | None:
    fields = read(**blocks).fields
    return (fields["latitude"], fields["longitude"]) if "latitude" in fields else None


def gps(latitude: Any, north: str | None, longitude: Any, east: str | None) -> bytes:
    values = {GPS.GPSLatitude: latitude, GPS.GPSLatitudeRef: north,
              GPS.GPSLongitude: longitude, GPS.GPSLongitudeRef: east}  # fmt: skip
    return exif_block(gps={tag: value for tag, value in values.items() if value is not None})


def xmp(latitude: str, north: str, longitude: str, east: str) -> bytes:
    values = {"GPSLatitude": latitude, "GPSLatitudeRef": north, "GPSLongitude": longitude,
              "GPSLongitudeRef": east}  # fmt: skip
    return xmp_packet("".join(f"<exif:{n}>{v}</exif:{n}>" for n, v in values.items() if v))


IN_RIO = gps((22.0, 57.0, 6.88), "S", (43.0, 12.0, 37.753), "W")


def test_hemispheres_may_be_properties_of_their_own() -> None:
    apple = xmp("22.951911", "S", "43.210487", "W")
    assert place(xmp=apple) == RIO
    assert place(exif=IN_RIO, xmp=apple) == RIO
    assert place(sidecars={"a.xmp": apple}) == RIO


def test_exif_gives_the_hemispheres_that_a_copy_in_xmp_lacks() -> None:
    copy = xmp("22.951911", "", "43.210487", "")
    for blocks in ({"xmp": copy}, {"sidecars": {"a.xmp": copy}}):
        found = place(exif=IN_RIO, **blocks)
        assert found == (pytest.approx(RIO[0], abs=1e-5), pytest.approx(RIO[1], abs=1e-5))
    # Another place, or a corrected hemisphere, is not a copy.
    assert place(exif=IN_RIO, xmp=xmp("48.85", "", "2.35", "")) == (48.85, 2.35)
    assert place(exif=IN_RIO, xmp=xmp("22.951911", "N", "43.210487", "E")) == (-RIO[0], -RIO[1])


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (gps((0.0, 0.0, 0.0), "N", (9.0, 27.0, 0.0), "E"), (0.0, 9.45)),
        (gps((0.0, 0.0, 0.0), None, (9.0, 27.0, 0.0), "E"), (0.0, 9.45)),
        (gps((51.0, 30.0, 0.0), "N", (0.0, 0.0, 0.0), "W"), (51.5, 0.0)),
        (gps((0.0, 0.0, 0.0), "N", (0.0, 0.0, 0.0), "E"), None),
    ],
)
def test_zero_is_a_coordinate_unless_both_are(
    block: bytes, expected: tuple[float, float] | None
) -> None:
    assert place(exif=block) == expected


def test_zero_is_a_coordinate_in_xmp_and_takeout() -> None:
    assert place(xmp=xmp("0,0.0N", "", "9,27.0E", "")) == (0.0, 9.45)
    assert place(xmp=xmp("51,30.0N", "", "0,0.0E", "")) == (51.5, 0.0)
    assert place(xmp=xmp("0,0.0N", "", "0,0.0E", "")) is None
    data = b'{"photoTakenTime": {}, "geoData": {"latitude": 0.0, "longitude": 9.45}}'
    assert place(sidecars={"a.json": data}) == (0.0, 9.45)
    nowhere = b'{"photoTakenTime": {}, "geoData": {"latitude": 0.0, "longitude": 0.0}}'
    assert place(sidecars={"a.json": nowhere}) is None
    assert place(sidecars={"a.json": nowhere}, exif=IN_RIO) is not None
