"""What the containers of videos say: dates, places, cameras and texts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pixseek.metadata.merging import Metadata, Sidecar, read_metadata


def read(texts: dict[str, str], name: str = "a.mov", **given: object) -> Metadata:
    return read_metadata(None, name=name, container=texts, **given)  # type: ignore[arg-type]


def test_an_iphone_says_when_and_where_and_with_what() -> None:
    found = read(
        {
            "creation_time": "2019-07-24T08:25:57.000000Z",
            "com.apple.quicktime.location.iso6709": "+32.0929+034.8620+028.516/",
            "com.apple.quicktime.make": "Apple",
            "com.apple.quicktime.model": "iPhone 6",
            "com.apple.quicktime.creationdate": "2019-07-24T11:25:40+0300",
        }
    )
    zone = timezone(timedelta(hours=3))
    assert found.taken_at == datetime(2019, 7, 24, 11, 25, 40, tzinfo=zone)
    assert found.taken_at.utcoffset() == timedelta(hours=3)
    assert found.fields["latitude"] == pytest.approx(32.0929)
    assert found.fields["longitude"] == pytest.approx(34.862)
    assert found.fields["altitude_m"] == pytest.approx(28.516)
    assert (found.fields["camera_make"], found.fields["camera_model"]) == ("Apple", "iPhone 6")


def test_android_says_when_in_utc_and_where() -> None:
    found = read(
        {
            "creation_time": "2017-02-22T08:20:28.000000Z",
            "location": "+51.4169-000.0806/",
            "com.android.manufacturer": "Google",
            "com.android.model": "Pixel 8",
        }
    )
    assert found.taken_at == datetime(2017, 2, 22, 8, 20, 28, tzinfo=UTC)
    assert found.fields["longitude"] == pytest.approx(-0.0806)
    assert found.fields["camera_model"] == "Pixel 8"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("+4730.0+00845.0/", (47.5, 8.75)),
        ("-334905.4+1511233.1CRSWGS_84/", (-33.81817, 151.20919)),
        ("+00.0000+000.0000/", None),
        ("somewhere", None),
        ("+99.0+008.0/", None),
    ],
)
def test_places_in_every_form_of_iso_6709(text: str, place: tuple[float, float] | None) -> None:
    fields = read({"location": text}).fields
    if place is None:
        assert "latitude" not in fields
    else:
        assert (fields["latitude"], fields["longitude"]) == pytest.approx(place, abs=1e-4)


def test_a_clock_that_was_never_set_gives_way_to_the_name() -> None:
    found = read({"creation_time": "1904-01-01T00:00:00Z"}, name="VID_20230704_101500.mp4")
    assert found.taken_at == datetime(2023, 7, 4, 10, 15)
    assert found.taken_from == "name"


def test_sidecars_count_more_than_the_container() -> None:
    found = read({"comment": "from the file"}, sidecars=[Sidecar("a.txt", b"from a person")])
    assert found.caption == "from a person"
