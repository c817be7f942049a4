"""How `pixseek show` presents the facts about an image."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pixseek.cli.results import day_of
from pixseek.cli.show import rows
from pixseek.metadata import seen
from pixseek.metadata.fields import FIELDS
from pixseek.types import Record, Scalar, Stamp, TextLine


@pytest.mark.parametrize(
    ("name", "value", "row"),
    [
        ("latitude", 43.4674483, ("latitude", "43.4674483°")),
        ("longitude", -11.5, ("longitude", "-11.5000000°")),
        ("altitude_m", 42.81033687, ("altitude", "42.8 m")),
        ("direction_deg", 25.27185, ("direction", "25°")),
        ("focal_length_mm", 3.99, ("focal length", "3.99 mm")),
        ("focal_length_35mm", 28.0, ("on 35 mm film", "28 mm")),
        ("aperture", 1.8, ("aperture", "f/1.8")),
        ("exposure_s", 1 / 180, ("exposure", "1/180 s")),
        ("exposure_s", 2.5, ("exposure", "2.5 s")),
        ("exposure_bias_ev", -1 / 3, ("exposure bias", "-0.33 EV")),
        ("exposure_bias_ev", 0.0, ("exposure bias", "0 EV")),
        ("iso", 200, ("ISO", "200")),
        ("flash", False, ("flash", "no")),
        ("rating", 1, ("rating", "1 star")),
        ("rating", -1, ("rating", "rejected")),
        ("prompt", "a red\x1b[31m boat", ("prompt", "a red\\x1b[31m boat")),
        ("colours", "#0a64c8:0.75 #ffffff:0.2", ("colours", "#0a64c8 75%, #ffffff 20%")),
        ("notes", "animated: first frame; broken XMP ignored",
         ("notes", "animated: first frame\nbroken XMP ignored")),
        ("user.album", 3, ("user.album", "3")),
        ("shot", 1608804000, ("shot", "1608804000")),
        ("price", 1234567.25, ("price", "1234567.25")),
    ],
)  # fmt: skip
def test_fields_as_people_write_them(name: str, value: Scalar, row: tuple[str, str]) -> None:
    assert row in list(rows(Record("i", "photos/a.jpg", fields={name: value}), None))


@pytest.mark.parametrize(("size", "shown"), [(0, None), (83, "83 bytes")])
def test_a_picture_without_a_file_of_its_own_has_no_size_of_one(
    size: int, shown: str | None
) -> None:
    about = dict(rows(Record("i", "t/0/a.png", stamp=Stamp(size, 0)), None))
    assert about.get("file") == shown


def test_every_field_is_shown() -> None:
    given: dict[type, Scalar] = {str: "x", int: 3, float: 1.0, bool: True}
    fields = {name: given[about.kind] for name, about in FIELDS.items()}
    shown = list(rows(Record("i", "photos/a.jpg", fields=fields), None))
    # Id and uri; `taken_from` and `taken_precision` belong to the date.
    assert len(shown) == 2 + len(FIELDS) - 2


@pytest.mark.parametrize(
    ("taken_at", "origin", "shown"),
    [
        (datetime(2021, 5, 3, 14, 22, 33), "exif", "2021-05-03 14:22:33 (from EXIF)"),
        (datetime(2021, 5, 3, 14, 22, 33, 277_000, UTC), "file",
         "2021-05-03 14:22:33.277+00:00 (from the file's time)"),
        (datetime(2021, 5, 3), "", "2021-05-03 00:00:00"),
    ],
)  # fmt: skip
def test_dates_name_their_origin(taken_at: datetime, origin: str, shown: str) -> None:
    fields = {"taken_from": origin} if origin else {}
    record = Record("i", "photos/a.jpg", taken_at=taken_at, fields=fields)
    assert ("taken", shown) in list(rows(record, None))


@pytest.mark.parametrize(
    ("precision", "shown"),
    [("year", "1993"), ("month", "1993-08"), ("day", "1993-08-01"), ("hour", "1993-08-01 00"),
     ("minute", "1993-08-01 00:00")],
)  # fmt: skip
def test_no_more_of_a_date_is_shown_than_is_known(precision: str, shown: str) -> None:
    fields = {"taken_precision": precision}
    record = Record("i", "photos/a.jpg", taken_at=datetime(1993, 8, 1), fields=fields)
    found = list(rows(record, None))
    assert ("taken", shown) in found
    assert precision not in [value for _, value in found]
    assert day_of(record) == shown[:10]


def test_no_text_of_a_record_begins_a_line_of_its_own() -> None:
    forged = "a\nid  b\x1b[2J"
    fields = {"taken_from": forged, "camera": forged, "user.x": forged}
    record = Record(
        forged, f"photos/{forged}", media=forged, caption=forged, tags=(forged,), fields=fields,
        digest=forged, taken_at=datetime(2021, 5, 3),
    )  # fmt: skip
    shown = dict(rows(record, None))
    assert len(shown) > 8
    # The caption may have lines, which are indented.
    assert [name for name, value in shown.items() if "\n" in value] == ["caption"]
    assert "\x1b" not in "".join(shown.values())


def test_large_sizes_have_megapixels() -> None:
    small, large = Record("i", "a", width=100, height=72), Record("i", "a", width=4032, height=3024)
    assert ("size", "100 × 72") in list(rows(small, None))
    assert ("size", "4032 × 3024 (12.2 MP)") in list(rows(large, None))


def test_text_read_in_the_picture_has_its_places() -> None:
    lines = [
        TextLine("EXIT", 0.987, (0.05, 0.05, 0.2, 0.1)),
        TextLine("a\x1b[31m 2", 0.9, (0.45, 0.45, 0.1, 0.1)),
    ]
    record = Record("i", "photos/a.jpg", fields=seen.fields_of(lines, "reader 1"))
    shown = dict(rows(record, None))
    assert shown["text seen"] == "EXIT  (top left, 99%)\na [31m 2  (centre, 90%)"
    assert not any(name.startswith("text seen ") for name in shown)
