"""Which of several dates is used: prints, clocks that were not set, dates known in part."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.ExifTags import GPS, Base

from metadata.blocks import exif_block, iptc_block, read, xmp_packet
from pixseek.filters import matches
from pixseek.search.language import filter_of
from pixseek.types import Record

BOTH = (Base.DateTimeOriginal, Base.DateTimeDigitized)
ORIGINAL, DIGITIZED, CHANGED = Base.DateTimeOriginal, Base.DateTimeDigitized, Base.DateTime


def exif(*tags: int, at: str, gps: str = "", changed: str = "") -> bytes:
    place = {GPS.GPSDateStamp: gps, GPS.GPSTimeStamp: (9.0, 0.0, 0.0)} if gps else {}
    image = {CHANGED: changed} if changed else {}
    return exif_block(image, dict.fromkeys(tags, at), place)


def created(text: str) -> bytes:
    return xmp_packet(attributes=f'photoshop:DateCreated="{text}"')


def when(**blocks: Any) -> tuple[str, str, str]:
    """The date, what is known of it, and its source."""
    found = read(**blocks)
    written = "" if found.taken_at is None else found.taken_at.replace(tzinfo=None).isoformat()
    return written, str(found.fields.get("taken_precision", "")), found.taken_from


SCANNED = "2019:11:03 10:00:00"


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        # Digitised never beats created.
        ({"exif": exif(DIGITIZED, at=SCANNED), "xmp": created("1975-06-12")},
         ("1975-06-12T00:00:00", "day", "xmp")),
        ({"exif": exif(DIGITIZED, at=SCANNED), "xmp": created("1975-06")},
         ("1975-06-01T00:00:00", "month", "xmp")),
        ({"exif": exif(DIGITIZED, at=SCANNED), "xmp": created("1975")},
         ("1975-01-01T00:00:00", "year", "xmp")),
        ({"exif": exif(DIGITIZED, at=SCANNED), "iptc": iptc_block((2, 55, b"19750612"))},
         ("1975-06-12T00:00:00", "day", "iptc")),
        ({"exif": exif(DIGITIZED, at=SCANNED), "iptc": iptc_block((2, 55, b"19750000"))},
         ("1975-01-01T00:00:00", "year", "iptc")),
        ({"exif": exif(DIGITIZED, at=SCANNED),
          "iptc": iptc_block((2, 55, b"19700101"), (2, 62, b"20191103"))},
         ("2019-11-03T10:00:00", "", "exif")),  # zero of a clock
        ({"exif": exif(DIGITIZED, at=SCANNED), "xmp": created("2012-06-12")},
         ("2012-06-12T00:00:00", "day", "xmp")),
        ({"exif": exif(DIGITIZED, at=SCANNED), "name": "1975-06-12 picnic.jpg"},
         ("1975-06-12T00:00:00", "day", "name")),
        ({"xmp": xmp_packet(attributes='xmp:CreateDate="2019-11-03" photoshop:DateCreated="1975"')},
         ("1975-01-01T00:00:00", "year", "xmp")),
        ({"iptc": iptc_block((2, 55, b"19750612"), (2, 60, b"000000+0000"))},
         ("1975-06-12T00:00:00", "day", "iptc")),
        # A scanner that writes both.
        ({"exif": exif(*BOTH, at=SCANNED), "xmp": created("1975-06-12")},
         ("1975-06-12T00:00:00", "day", "xmp")),
        ({"exif": exif(*BOTH, at=SCANNED), "iptc": iptc_block((2, 55, b"19750612"))},
         ("1975-06-12T00:00:00", "day", "iptc")),
        # A camera: EXIF, and what was corrected there.
        ({"exif": exif(*BOTH, at=SCANNED), "xmp": created("2018-06-12")},
         ("2019-11-03T10:00:00", "", "exif")),
        ({"exif": exif(*BOTH, at=SCANNED), "name": "1975-06-12.jpg"},
         ("2019-11-03T10:00:00", "", "exif")),
        # A year that somebody wrote.
        ({"xmp": created("1970")}, ("1970-01-01T00:00:00", "year", "xmp")),
        ({"xmp": created("1980-01")}, ("1980-01-01T00:00:00", "month", "xmp")),
    ],
)  # fmt: skip
def test_when_a_print_was_made_counts_before_when_it_was_scanned(
    blocks: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    assert when(**blocks) == expected


@pytest.mark.parametrize(
    "default",
    ["2002:12:08 12:00:00", "2002:12:08 12:00:37",
     "2000:01:01 00:00:00", "2010:01:01 00:00:00", "2012:01:01 12:00:00",
     "2012:01:01 00:07:42", "1999:11:30 00:00:00", "1970:01:01 00:00:00", "1980:01:01 00:00:00",
     "1970:01:01 01:00:00", "1980:01:01 00:03:00", "1904:01:01 00:00:00"],
)  # fmt: skip
def test_a_clock_that_was_not_set_loses_to_a_name_and_gps(default: str) -> None:
    block = exif(*BOTH, at=default)
    assert when(exif=block, name="IMG_20160705_142233.jpg") == (
        "2016-07-05T14:22:33", "", "name",
    )  # fmt: skip
    assert when(exif=block, name="IMG-20160705-WA0001.jpg")[0] == "2016-07-05T00:00:00"
    assert when(exif=exif(*BOTH, at=default, gps="2016:07:05"))[0] == "2016-07-05T09:00:00"
    takeout = b'{"photoTakenTime": {"timestamp": "1467720000"}}'
    assert when(exif=block, sidecars={"a.json": takeout})[2] == "sidecar"


def test_a_clock_that_may_have_been_set_keeps_its_date() -> None:
    fireworks = exif(*BOTH, at="2015:01:01 00:03:12")
    assert when(exif=fireworks) == ("2015-01-01T00:03:12", "", "exif")
    for name in ("IMG_20150101_000312.jpg", "20150101_000500.jpg", "2014-12-31 party.jpg"):
        assert when(exif=fireworks, name=name)[0] == "2015-01-01T00:03:12"
    # Changed later, and no other date.
    changed = exif(*BOTH, at="2015:01:01 00:03:12", changed="2016:03:04 10:00:00")
    assert when(exif=changed)[0] == "2015-01-01T00:03:12"
    assert when(exif=exif(*BOTH, at="2002:12:08 12:00:00"))[0] == "2002-12-08T12:00:00"
    assert when(exif=exif(*BOTH, at="2000:01:01 00:00:00"))[0] == "2000-01-01T00:00:00"
    # Somebody set when it was taken, and left when it was scanned.
    both = exif_block(photo={ORIGINAL: "2003:01:01 00:00:00", DIGITIZED: SCANNED})
    assert when(exif=both, name="scan 2019-11-03.jpg")[0] == "2003-01-01T00:00:00"
    old = exif(*BOTH, at="1975:01:01 00:00:00")
    assert when(exif=old, name="scan 2019-11-03.jpg")[0] == "1975-01-01T00:00:00"


def test_a_clock_that_was_not_set_is_noted() -> None:
    found = read(exif=exif(*BOTH, at="2002:12:08 12:00:00"), name="IMG_20160705_142233.jpg")
    assert found.notes == ("date 2002-12-08 12:00 of a clock not set ignored",)


def test_the_default_of_a_driver_loses_to_the_last_change() -> None:
    block = exif(*BOTH, at="2002:12:08 12:00:00", changed="2014:01:01 14:33:35")
    assert when(exif=block)[0] == "2014-01-01T14:33:35"


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ({"exif": exif(ORIGINAL, at="1993:08:00 00:00:00")},
         ("1993-08-01T00:00:00", "month", "exif")),
        ({"exif": exif(ORIGINAL, at="1993:00:00 00:00:00")},
         ("1993-01-01T00:00:00", "year", "exif")),
        ({"exif": exif(ORIGINAL, at="1993:08:15   :  :  ")},
         ("1993-08-15T00:00:00", "day", "exif")),
        ({"exif": exif(ORIGINAL, at="1993:08:15 14:22")},
         ("1993-08-15T14:22:00", "minute", "exif")),
        ({"name": "IMG-20210503-WA0001.jpg"}, ("2021-05-03T00:00:00", "day", "name")),
        ({"xmp": xmp_packet("<exif:DateTimeOriginal>0000-00-00</exif:DateTimeOriginal>",
                            'photoshop:DateCreated="1993-08"')},
         ("1993-08-01T00:00:00", "month", "xmp")),
        # More detail from elsewhere, if it is about the same.
        ({"exif": exif(ORIGINAL, at="1993:08:00 00:00:00"), "xmp": created("1993-08-15")},
         ("1993-08-15T00:00:00", "day", "xmp")),
        ({"exif": exif(ORIGINAL, at="1993:00:00 00:00:00"), "name": "1993-08-15 beach.jpg"},
         ("1993-08-15T00:00:00", "day", "name")),
        ({"exif": exif(ORIGINAL, at="1993:08:00 00:00:00"), "xmp": created("1993-09-15")},
         ("1993-08-01T00:00:00", "month", "exif")),
        # When a film of 2019 was scanned is not when its photos were taken.
        ({"exif": exif(DIGITIZED, at=SCANNED, changed=SCANNED), "xmp": created("2019")},
         ("2019-01-01T00:00:00", "year", "xmp")),
        ({"exif": exif(DIGITIZED, at=SCANNED), "xmp": created("2019-11-03")},
         ("2019-11-03T10:00:00", "", "exif")),
    ],
)  # fmt: skip
def test_a_date_known_in_part_keeps_its_precision(
    blocks: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    assert when(**blocks) == expected


@pytest.mark.parametrize(
    ("written", "found_by", "not_by"),
    [
        ("1993:08:00 00:00:00", "year:1993 date:1993-08 after:1992 before:1994-01", "date:1993-09"),
        ("1993:00:00 00:00:00", "year:1993 date:1993 before:1994", "year:1992"),
    ],
)
def test_a_date_known_in_part_is_found(written: str, found_by: str, not_by: str) -> None:
    found = read(exif=exif(ORIGINAL, at=written))
    record = Record("i", "a.jpg", taken_at=found.taken_at, fields=dict(found.fields))
    assert matches(filter_of(found_by), record)
    assert not matches(filter_of(not_by), record)


def test_a_date_in_part_has_no_time_zone_from_gps_and_no_fraction() -> None:
    photo = {ORIGINAL: "2021:05:00 00:00:00", Base.SubsecTimeOriginal: "5",
             Base.OffsetTimeOriginal: "+02:00"}  # fmt: skip
    gps = {GPS.GPSDateStamp: "2021:05:03", GPS.GPSTimeStamp: (9.0, 0.0, 0.0)}
    found = read(exif=exif_block(photo=photo, gps=gps))
    assert found.taken_at == datetime(2021, 5, 1)
    assert found.notes == ()


def test_twelve_hours_with_an_offset() -> None:
    photo = {ORIGINAL: "2013:05:28 下午10:42:04".encode(),
             Base.OffsetTimeOriginal: "+08:00"}  # fmt: skip
    found = read(exif=exif_block(photo=photo)).taken_at
    assert found == datetime(2013, 5, 28, 22, 42, 4, tzinfo=timezone(timedelta(hours=8)))


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([ORIGINAL, DIGITIZED, Base.SubsecTimeOriginal, Base.OffsetTimeOriginal,
                         Base.UserComment, Base.LensModel]),
        st.binary(max_size=40)),
    st.dictionaries(
        st.sampled_from([CHANGED, Base.ImageDescription, Base.XPKeywords, Base.XPComment,
                         Base.XPTitle, Base.Make, Base.Model, Base.Software, Base.Copyright]),
        st.binary(max_size=40)),
    st.dictionaries(
        st.sampled_from([GPS.GPSLatitudeRef, GPS.GPSLongitudeRef, GPS.GPSDateStamp]),
        st.binary(max_size=12)),
    st.lists(st.tuples(
        st.just(2), st.sampled_from([5, 25, 55, 60, 62, 80, 90, 120]), st.binary(max_size=40))),
)  # fmt: skip
def test_any_bytes_in_these_tags_are_read(
    photo: dict[int, bytes], image: dict[int, bytes], gps: dict[int, bytes],
    datasets: list[tuple[int, int, bytes]],
) -> None:  # fmt: skip
    where = {GPS.GPSLatitude: (43.0, 28.0, 2.8), GPS.GPSLongitude: (11.0, 53.0, 6.4),
             GPS.GPSTimeStamp: (9.0, 0.0, 0.0)}  # fmt: skip
    found = read(exif=exif_block(image, photo, {**where, **gps}), iptc=iptc_block(*datasets))
    assert not any("ignored (" in note for note in found.notes)  # an exception
