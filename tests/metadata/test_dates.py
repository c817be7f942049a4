"""Dates: how they are parsed, in which file names they are found, and which one is used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.ExifTags import GPS, Base

from metadata.blocks import exif_block, iptc_block, read, xmp_packet
from pixseek.metadata.dates import date_in_name, is_plausible, parse_date, zone_by_gps
from pixseek.metadata.fields import Dated

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ROME = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("text", "expected", "precision"),
    [
        ("2021:05:03 14:22:33", datetime(2021, 5, 3, 14, 22, 33), "second"),
        ("2021-05-03T14:22:33", datetime(2021, 5, 3, 14, 22, 33), "second"),
        ("2021-05-03T14:22", datetime(2021, 5, 3, 14, 22), "minute"),
        ("2021-05-03T14", datetime(2021, 5, 3, 14), "hour"),
        ("2021-05-03T14:22:33.5", datetime(2021, 5, 3, 14, 22, 33, 500_000), "second"),
        ("2021:05:03 14:22:33,5", datetime(2021, 5, 3, 14, 22, 33, 500_000), "second"),
        ("2021-05-03T14:22:33.123456789Z", datetime(2021, 5, 3, 14, 22, 33, 123456, UTC),
         "second"),
        ("2021:05:03 14:22:33Z\0", datetime(2021, 5, 3, 14, 22, 33, tzinfo=UTC), "second"),
        ("2021-05-03T14:22:33+02:00", datetime(2021, 5, 3, 14, 22, 33, tzinfo=ROME), "second"),
        ("2021:05:03 14:22:33+0200", datetime(2021, 5, 3, 14, 22, 33, tzinfo=ROME), "second"),
        ("2021:05:03 14:22:33 GMT+2", datetime(2021, 5, 3, 14, 22, 33, tzinfo=ROME), "second"),
        ("2021:05:03 14:22:33 CEST", datetime(2021, 5, 3, 14, 22, 33), "second"),
        ("2021-05-03T14:22-03:30",
         datetime(2021, 5, 3, 14, 22, tzinfo=timezone(-timedelta(hours=3, minutes=30))), "minute"),
        ("20210503 142233+0200", datetime(2021, 5, 3, 14, 22, 33, tzinfo=ROME), "second"),
        ("20210503142233", datetime(2021, 5, 3, 14, 22, 33), "second"),
        # Single digits, blanks for zeros, other separators.
        ("2003:8:5 7:05:09", datetime(2003, 8, 5, 7, 5, 9), "second"),
        ("2003: 8: 5  7: 5: 9", datetime(2003, 8, 5, 7, 5, 9), "second"),
        ("2021.05.03 14.22.33", datetime(2021, 5, 3, 14, 22, 33), "second"),
        ("2021/05/03 14-22-33", datetime(2021, 5, 3, 14, 22, 33), "second"),
        ("2021-05-03 14h22m33s", datetime(2021, 5, 3, 14, 22, 33), "second"),
        ("2021:05:03:14:22:33", datetime(2021, 5, 3, 14, 22, 33), "second"),
        ("2021年5月3日 14时22分33秒", datetime(2021, 5, 3, 14, 22, 33), "second"),
        # Clocks of twelve hours, other digits, Thai years.
        ("2013:05:28 10:42:04 PM", datetime(2013, 5, 28, 22, 42, 4), "second"),
        ("2013:05:28 12:42:04 a. m.", datetime(2013, 5, 28, 0, 42, 4), "second"),
        ("2013:05:28 12:42:04pm", datetime(2013, 5, 28, 12, 42, 4), "second"),
        ("2013:05:28 14:42:04 PM", datetime(2013, 5, 28, 14, 42, 4), "second"),
        ("2013:05:28 下午10:42:04", datetime(2013, 5, 28, 22, 42, 4), "second"),
        ("2013:05:28 下午10", datetime(2013, 5, 28, 22), "hour"),  # cut at 20 bytes
        ("2013:05:28 上午12:42:04", datetime(2013, 5, 28, 0, 42, 4), "second"),
        ("2013:05:28 오후 1:02:03", datetime(2013, 5, 28, 13, 2, 3), "second"),
        ("2013:05:28 1:02:03 nachm.", datetime(2013, 5, 28, 13, 2, 3), "second"),
        ("2013:05:28 오전 12:02:03", datetime(2013, 5, 28, 0, 2, 3), "second"),
        ("2013:05:28 午後1:02:03", datetime(2013, 5, 28, 13, 2, 3), "second"),
        ("٢٠١٣:٠٥:٢٨ ١٠:٤٢:٠٤", datetime(2013, 5, 28, 10, 42, 4), "second"),
        ("2556:05:28 10:42:04", datetime(2013, 5, 28, 10, 42, 4), "second"),
        # The end of a day, Android's clock from 1 to 24, leap seconds.
        ("2021:05:03 24:00:00", datetime(2021, 5, 4), "second"),
        ("2021:05:03 24:15:30", datetime(2021, 5, 3, 0, 15, 30), "second"),
        ("2021:05:03 14:22:60", datetime(2021, 5, 3, 14, 22, 59), "second"),
        # What is not known.
        ("20210503 ", datetime(2021, 5, 3), "day"),
        ("2021:05:03   :  :  ", datetime(2021, 5, 3), "day"),
        ("2021:05:03 14:  :  ", datetime(2021, 5, 3, 14), "hour"),
        ("2021:05:03 25:00:00", datetime(2021, 5, 3), "day"),
        ("2021:05:03 14:22:70.5", datetime(2021, 5, 3, 14, 22), "minute"),
        ("2021:05:03 14:72:33+02:00", datetime(2021, 5, 3, 14, tzinfo=ROME), "hour"),
        ("2021:05:03 noon", datetime(2021, 5, 3), "day"),
        ("1993:08:00 00:00:00", datetime(1993, 8, 1), "month"),
        ("1993:08:     :  :  ", datetime(1993, 8, 1), "month"),
        ("1993-08-XX", datetime(1993, 8, 1), "month"),
        ("19930800", datetime(1993, 8, 1), "month"),
        ("2021-05", datetime(2021, 5, 1), "month"),
        ("1993:08", datetime(1993, 8, 1), "month"),
        ("1993:00:00 00:00:00", datetime(1993, 1, 1), "year"),
        ("1993:00:00", datetime(1993, 1, 1), "year"),
        ("1993:  :     :  :  ", datetime(1993, 1, 1), "year"),
        ("19930000 000000", datetime(1993, 1, 1), "year"),
        ("1905", datetime(1905, 1, 1), "year"),
        # The year comes last.
        ("05.08.2003 07:05:09", datetime(2003, 8, 5, 7, 5, 9), "second"),
        ("25/08/2003 07:05:09", datetime(2003, 8, 25, 7, 5, 9), "second"),
        ("08/25/2003 7:05:09 PM", datetime(2003, 8, 25, 19, 5, 9), "second"),
        ("05/08/2003 07:05:09", datetime(2003, 1, 1), "year"),
        ("Tue Aug  5 07:05:09 2003", datetime(2003, 8, 5, 7, 5, 9), "second"),
        ("Tue Aug 05 07:05:09 CEST 2003", datetime(2003, 8, 5, 7, 5, 9), "second"),
        # Not dates.
        ("30/02/2003 07:05:09", None, ""),
        ("0000:00:00 00:00:00", None, ""),
        ("    :  :     :  :  ", None, ""),
        ("2021:02:30 10:00:00", None, ""),
        ("2021:13:01 10:00:00", None, ""),
        ("May 3rd, 2021", None, ""),
        ("1950s", None, ""),
        ("1993 at the beach", None, ""),
        ("9999:12:31 24:00:00", datetime(9999, 12, 31), "day"),
        ("", None, ""),
        ("2" * 10_000, None, ""),
    ],
)  # fmt: skip
def test_what_is_plain_in_a_date_is_kept_with_its_precision(
    text: str, expected: datetime | None, precision: str
) -> None:
    found = parse_date(text)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.moment, found.precision) == (expected, precision)
        assert found.moment.tzinfo == expected.tzinfo


@given(st.text(alphabet="0123456789:-/. TZ+apmPM上午下?X\0年", max_size=30) | st.text(max_size=70))
def test_any_text_gives_a_date_that_is_at_the_beginning_of_its_precision_or_none(text: str) -> None:
    found = parse_date(text)
    assert found is None or found.precision == "second" or (
        found.since(found.precision) == found.moment.replace(tzinfo=None)
    )  # fmt: skip


def local(*numbers: int) -> datetime:
    return datetime(*numbers)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG_20210503_142233.jpg", local(2021, 5, 3, 14, 22, 33)),
        ("IMG_20210503_142233_1.jpg", local(2021, 5, 3, 14, 22, 33)),
        ("IMG_20210503_142233_123.jpg", local(2021, 5, 3, 14, 22, 33, 123_000)),
        ("20210503_142233.jpg", local(2021, 5, 3, 14, 22, 33)),
        ("20210503142233.jpg", local(2021, 5, 3, 14, 22, 33)),
        ("PXL_20210503_142233123.jpg", datetime(2021, 5, 3, 14, 22, 33, 123_000, UTC)),
        ("PXL_20210503_142233123.MP.jpg", datetime(2021, 5, 3, 14, 22, 33, 123_000, UTC)),
        ("MVIMG_20210503_142233.jpg", local(2021, 5, 3, 14, 22, 33)),
        ("00000IMG_00000_BURST20210503142233123_COVER.jpg",
         local(2021, 5, 3, 14, 22, 33, 123_000)),
        ("Screenshot_2021-05-03-14-22-33.png", local(2021, 5, 3, 14, 22, 33)),
        ("Screenshot_2021-05-03-14-22-33-123_com.app.png", local(2021, 5, 3, 14, 22, 33, 123_000)),
        ("Screenshot_20210503-142233_Maps.jpg", local(2021, 5, 3, 14, 22, 33)),
        ("Screenshot from 2021-05-03 14-22-33.png", local(2021, 5, 3, 14, 22, 33)),
        ("Screen Shot 2021-05-03 at 14.22.33.png", local(2021, 5, 3, 14, 22, 33)),
        ("Screenshot 2021-05-03 at 2.22.33\u202fPM.png", local(2021, 5, 3, 14, 22, 33)),
        ("Screenshot 2021-05-03 at 12.22.33 AM.png", local(2021, 5, 3, 0, 22, 33)),
        ("IMG-20210503-WA0001.jpg", local(2021, 5, 3)),
        ("WhatsApp Image 2021-05-03 at 14.22.33.jpeg", local(2021, 5, 3, 14, 22, 33)),
        ("Bildschirmfoto 2021-05-03 um 14.22.33.png", local(2021, 5, 3, 14, 22, 33)),
        ("Capture d\u2019e\u0301cran 2021-05-03 a\u0300 14.22.33.png",
         local(2021, 5, 3, 14, 22, 33)),
        ("Captura de pantalla 2021-05-03 a la(s) 2.22.33\u202fp.\u202fm..png",
         local(2021, 5, 3, 14, 22, 33)),
        ("截屏2021-05-03 下午2.22.33.png", local(2021, 5, 3, 14, 22, 33)),
        ("스크린샷 2021-05-03 오전 12.22.33.png", local(2021, 5, 3, 0, 22, 33)),
        ("2021-05-03 14.22.33.jpg", local(2021, 5, 3, 14, 22, 33)),
        ("2021-05-03 14.22.33-1.jpg", local(2021, 5, 3, 14, 22, 33)),
        ("signal-2021-05-03-142233.jpg", local(2021, 5, 3, 14, 22, 33)),
        ("signal-2021-05-03-14-22-33-123.jpg", local(2021, 5, 3, 14, 22, 33, 123_000)),
        ("photo_2021-05-03_14-22-33.jpg", local(2021, 5, 3, 14, 22, 33)),
        ("WIN_20210503_14_22_33_Pro.jpg", local(2021, 5, 3, 14, 22, 33)),
        ("2021-05-03 beach.jpg", local(2021, 5, 3)),
        ("2021-05-03.jpg", local(2021, 5, 3)),
        ("2021-05-03-1.jpg", local(2021, 5, 3)),
        ("1620051753123.jpg", datetime(2021, 5, 3, 14, 22, 33, 123_000, UTC)),
        ("FB_IMG_1620051753123.jpg", datetime(2021, 5, 3, 14, 22, 33, 123_000, UTC)),
        ("mmexport1620051753123.jpg", datetime(2021, 5, 3, 14, 22, 33, 123_000, UTC)),
        # Names that only look like dates.
        ("DSCN0010.jpg", None),
        ("IMG_1034.heic", None),
        ("IMG_2021.jpg", None),
        ("1620051753.jpg", None),
        ("1022454332_6af2c1449a.jpg", None),
        ("202105031422331.jpg", None),
        ("20211350_142233.jpg", None),
        ("2021-02-31.jpg", None),
        ("2021-05_03.jpg", None),
        ("120210503.jpg", None),
        ("1920x1080.jpg", None),
        ("received_1620051753123456.jpeg", None),
        ("", None),
        (".jpg", None),
    ],
)  # fmt: skip
def test_dates_in_file_names_are_found(name: str, expected: datetime | None) -> None:
    found = date_in_name(name)
    assert (found and found.moment) == expected
    assert (found and found.moment.tzinfo) == (expected and expected.tzinfo)
    if found is not None and found.moment == local(2021, 5, 3):
        assert found.precision == "day"


@given(st.text(max_size=400))
def test_any_name_gives_a_date_or_none(name: str) -> None:
    found = date_in_name(name)
    assert found is None or found.moment.year >= 1900
    read(name=name)


def test_dates_before_photography_unset_clocks_and_the_future_are_implausible() -> None:
    assert is_plausible(Dated(datetime(1838, 1, 1)), NOW)
    assert is_plausible(Dated(NOW.replace(tzinfo=None) + timedelta(hours=14)), NOW)
    assert is_plausible(Dated(datetime(1970, 1, 1), "year"), NOW)  # written by a person
    for moment in (
        datetime(1970, 1, 1, 1), datetime(1969, 12, 31, 19), datetime(1980, 1, 6),
        datetime(1899, 12, 30), datetime(1858, 11, 17),
        datetime(1, 1, 1), datetime(1800, 1, 1), datetime(1904, 1, 1), datetime(1970, 1, 1),
        datetime(1980, 1, 1), datetime(1970, 1, 1, tzinfo=UTC), NOW + timedelta(days=2),
        datetime(2098, 1, 1), datetime.max, datetime.max.replace(tzinfo=timezone(-timedelta(1/24))),
    ):  # fmt: skip
        assert not is_plausible(Dated(moment), NOW)


@pytest.mark.parametrize(
    ("wall", "utc", "longitude", "hours"),
    [
        (local(2021, 5, 3, 16, 22, 33), local(2021, 5, 3, 14, 21, 0), 11.9, 2.0),
        (local(2021, 5, 3, 16, 22, 33), local(2021, 5, 3, 14, 21, 0), None, 2.0),
        (local(2021, 5, 4, 3, 22), local(2021, 5, 3, 14, 22), 174.8, 13.0),  # New Zealand
        (local(2021, 5, 4, 4, 22), local(2021, 5, 3, 14, 22), -157.4, 14.0),  # Kiribati
        (local(2021, 5, 3, 20, 7), local(2021, 5, 3, 14, 22), 85.3, 5.75),  # Nepal
        (local(2021, 5, 3, 22, 22), local(2021, 5, 3, 14, 22), 76.0, 8.0),  # Kashgar
        # The clock is wrong, or the fix is old.
        (local(2021, 5, 3, 16, 42), local(2021, 5, 3, 14, 22), 11.9, None),
        # A day off, as one camera writes it.
        (local(2008, 10, 22, 16, 28, 39), local(2008, 10, 23, 14, 27, 7), 11.9, None),
        # A traveller's clock on home time: a valid offset, but not at that longitude.
        (local(2021, 5, 3, 16, 22), local(2021, 5, 3, 14, 22), 139.7, None),
    ],
)
def test_the_difference_to_gps_time_gives_the_time_zone(
    wall: datetime, utc: datetime, longitude: float | None, hours: float | None
) -> None:
    zone = zone_by_gps(wall, utc.replace(tzinfo=UTC), longitude)
    assert zone == (None if hours is None else timezone(timedelta(hours=hours)))


# ------------------------------------------------------------------ which date is used

ORIGINAL, DIGITIZED = Base.DateTimeOriginal, Base.DateTimeDigitized


def test_an_exif_date_has_its_fraction_and_time_zone() -> None:
    photo = {
        ORIGINAL: "2021:05:03 14:22:33",
        Base.SubsecTimeOriginal: "07",
        Base.OffsetTimeOriginal: "+02:00",
    }
    found = read(exif=exif_block(photo=photo), name="IMG_20200101_000000.jpg")
    assert found.taken_at == datetime(2021, 5, 3, 14, 22, 33, 70_000, ROME)
    assert found.taken_at.tzinfo == ROME
    assert found.taken_from == "exif"


def test_a_date_has_no_time_zone_if_the_file_gives_none() -> None:
    found = read(exif=exif_block(photo={ORIGINAL: "2021:05:03 14:22:33"}))
    assert found.taken_at == datetime(2021, 5, 3, 14, 22, 33)


def test_the_time_zone_of_another_tag_with_the_same_wall_clock_is_used() -> None:
    exif = exif_block(photo={ORIGINAL: "2021:05:03 14:22:33"})
    same = xmp_packet(attributes='exif:DateTimeOriginal="2021-05-03T14:22:33+02:00"')
    found = read(exif=exif, xmp=same)
    assert found.taken_at == datetime(2021, 5, 3, 14, 22, 33, tzinfo=ROME)
    other = xmp_packet(attributes='exif:DateTimeOriginal="2021-05-03T15:22:33+02:00"')
    assert read(exif=exif, xmp=other).taken_at == datetime(2021, 5, 3, 14, 22, 33)
    exif = exif_block(
        {Base.DateTime: "2021:05:03 14:22:33"},
        {ORIGINAL: "2021:05:03 14:22:33", Base.OffsetTime: "+02:00"},
    )
    assert read(exif=exif).taken_at == datetime(2021, 5, 3, 14, 22, 33, tzinfo=ROME)


def test_a_file_time_that_equals_the_wall_clock_gives_no_time_zone() -> None:
    # Memory cards store local time, which systems then read as UTC.
    exif = exif_block(photo={ORIGINAL: "2020:09:13 12:26:40"})
    assert read(exif=exif).taken_at == datetime(2020, 9, 13, 12, 26, 40)


def gps(day: str, *time: float) -> dict[int, object]:
    return {
        GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (43.0, 28.0, 2.8),
        GPS.GPSLongitudeRef: "E", GPS.GPSLongitude: (11.0, 53.0, 6.4),
        GPS.GPSDateStamp: day, GPS.GPSTimeStamp: time,
    }  # fmt: skip


def test_gps_time_gives_the_time_zone_of_the_date() -> None:
    photo = {ORIGINAL: "2021:05:03 16:28:39"}
    found = read(exif=exif_block(photo=photo, gps=gps("2021:05:03", 14.0, 27.0, 7.0)))
    assert found.taken_at == datetime(2021, 5, 3, 16, 28, 39, tzinfo=ROME)
    assert found.notes == ()
    wrong = read(exif=exif_block(photo=photo, gps=gps("2021:05:04", 14.0, 27.0, 7.0)))
    assert wrong.taken_at == datetime(2021, 5, 3, 16, 28, 39)
    assert any("GPS time" in note for note in wrong.notes)


def test_gps_time_is_the_date_if_there_is_no_other() -> None:
    found = read(exif=exif_block(gps=gps("2021:05:03", 14.0, 27.0, 7.5)))
    assert found.taken_at == datetime(2021, 5, 3, 14, 27, 7, 500_000, UTC)
    assert found.taken_from == "exif"


TAKEOUT = b'{"title": "a.jpg", "photoTakenTime": {"timestamp": "1500000000"}}'


def test_dates_are_used_in_the_documented_order() -> None:
    exif = exif_block(
        {Base.DateTime: "2010:01:03 00:00:00"},
        {ORIGINAL: "2010:01:01 00:00:00", DIGITIZED: "2010:01:02 00:00:00"},
        gps("2013:01:01", 1.0, 0.0, 0.0),
    )
    without_original = exif_block(
        {Base.DateTime: "2010:01:03 00:00:00"}, {DIGITIZED: "2010:01:02 00:00:00"}
    )
    changed = exif_block({Base.DateTime: "2010:01:03 00:00:00"})
    created = 'xmp:CreateDate="2011-01-02"'
    xmp = xmp_packet(attributes=f'photoshop:DateCreated="2011-01-01" {created}')
    created_xmp = xmp_packet(attributes=created)
    iptc = iptc_block((2, 55, b"20120101"), (2, 60, b"100000+0200"))
    sidecar = xmp_packet(attributes='exif:DateTimeOriginal="2014-01-01T00:00:00"')
    name = "IMG_20150101_000000.jpg"
    everything = {"exif": exif, "xmp": xmp, "iptc": iptc, "name": name}
    cases = [
        ({**everything, "sidecars": {"a.xmp": sidecar, "a.json": TAKEOUT}}, 2014, 1, "xmp"),
        ({**everything, "sidecars": {"a.json": TAKEOUT}}, 2010, 1, "exif"),
        ({**everything, "exif": without_original}, 2011, 1, "xmp"),
        ({**everything, "exif": without_original, "xmp": created_xmp}, 2012, 1, "iptc"),
        ({"exif": without_original, "xmp": created_xmp, "name": name}, 2010, 2, "exif"),
        ({**everything, "exif": changed}, 2011, 1, "xmp"),
        ({"exif": changed, "xmp": created_xmp, "name": name}, 2011, 2, "xmp"),
        ({"exif": changed, "iptc": iptc, "name": name}, 2012, 1, "iptc"),
        ({"exif": exif_block(gps=gps("2013:01:01", 1.0, 0.0, 0.0)), "name": name}, 2013, 1, "exif"),
        ({"exif": changed, "name": name, "sidecars": {"a.json": TAKEOUT}}, 2017, 14, "sidecar"),
        ({"exif": changed, "name": name}, 2015, 1, "name"),
        ({"exif": changed}, 2010, 3, "exif"),
    ]
    for blocks, year, day, source in cases:
        found = read(**blocks)  # type: ignore[arg-type]
        assert found.taken_at is not None
        assert (found.taken_at.year, found.taken_at.day) == (year, day)
        assert found.taken_from == found.fields["taken_from"] == source
    assert read().taken_at is None


def test_the_same_time_in_more_detail_is_used() -> None:
    photo = {ORIGINAL: "2021:05:03 14:22:33", Base.SubsecTimeOriginal: "5"}
    exif = exif_block(photo=photo)
    for written in ("2021-05-03", "2021-05-03T14:22:33", "2021-05-03T14:22:33.5"):
        sidecar = xmp_packet(attributes=f'photoshop:DateCreated="{written}"')
        found = read(exif=exif, sidecars={"a.xmp": sidecar})
        assert found.taken_at == datetime(2021, 5, 3, 14, 22, 33, 500_000)
        assert found.taken_from == ("xmp" if "." in written else "exif")
    zoned = xmp_packet(attributes='photoshop:DateCreated="2021-05-03T14:22:33+02:00"')
    found = read(exif=exif, sidecars={"a.xmp": zoned})
    assert found.taken_at == datetime(2021, 5, 3, 14, 22, 33, 500_000, ROME)
    corrected = xmp_packet(attributes='photoshop:DateCreated="2021-05-04"')
    found = read(exif=exif, sidecars={"a.xmp": corrected})
    assert (found.taken_at, found.taken_from) == (datetime(2021, 5, 4), "xmp")


@pytest.mark.parametrize(
    "written",
    ["0000:00:00 00:00:00", "    :  :     :  :  ", "2099:01:01 00:00:00", "1970:01:01 00:00:00",
     "2021:13:01 00:00:00", "yesterday", "0001:01:01 00:00:00"],
)  # fmt: skip
def test_impossible_dates_are_skipped(written: str) -> None:
    found = read(exif=exif_block(photo={ORIGINAL: written, DIGITIZED: "2021:05:03 14:22:33"}))
    assert found.taken_at == datetime(2021, 5, 3, 14, 22, 33)
    assert bool(found.notes) == (written.strip(" :0") != "")
