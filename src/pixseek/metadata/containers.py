"""Read what the container of a video says: dates, place, camera, titles.

FFmpeg gives texts by key. MP4 and QuickTime have their own ("com.apple.quicktime.make"), Android
others, and Matroska, AVI and Ogg those of their taggers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pixseek.metadata.dates import parse_date
from pixseek.metadata.exif import tidy_camera
from pixseek.metadata.fields import DateSource, Findings, split_tags

_APPLE, _ANDROID = "com.apple.quicktime.", "com.android."

#: Keys in the order in which they are tried, without regard to case.
_PLACES = (f"{_APPLE}location.iso6709", "location", "location-eng")
_MAKES = (f"{_APPLE}make", f"{_ANDROID}manufacturer", "make")
_MODELS = (f"{_APPLE}model", f"{_ANDROID}model", "model")
_LOCAL = (f"{_APPLE}creationdate", "date_recorded", "datetimeoriginal")
_CAPTIONS = (f"{_APPLE}description", "description", "comment", f"{_APPLE}comment", "synopsis")
_TEXTS = {
    "title": (f"{_APPLE}title", f"{_APPLE}displayname", "title"),
    "artist": (f"{_APPLE}author", f"{_APPLE}artist", "artist", "author"),
    "copyright": (f"{_APPLE}copyright", "copyright"),
    "software": (f"{_APPLE}software", "software"),
}
_KEYWORDS = (f"{_APPLE}keywords", "keywords")

#: Latitude, longitude and altitude of ISO 6709: "+32.0929+034.8620+028.516/".
_ISO6709 = re.compile(
    r"([+-])(\d{2,6}(?:\.\d+)?)([+-])(\d{3,7}(?:\.\d+)?)([+-]\d+(?:\.\d+)?)?(?:CRS[^/]*)?/?"
)


def read_container(texts: Mapping[str, str]) -> Findings:
    """Return what the texts of a container say.

    Args:
        texts: by key, in lower case.
    """
    found = Findings()
    make, model = tidy_camera(_first(texts, _MAKES), _first(texts, _MODELS))
    found.put("camera_make", make)
    found.put("camera_model", model)
    for name, keys in _TEXTS.items():
        found.put(name, _first(texts, keys) or None)
    found.put_caption(_first(texts, _CAPTIONS))
    found.tags = split_tags([_first(texts, _KEYWORDS)], commas=True)
    found.put_date(DateSource.CONTAINER_LOCAL, parse_date(_first(texts, _LOCAL)))
    found.put_date(DateSource.CONTAINER_CREATED, parse_date(texts.get("creation_time", "")))
    _read_place(_first(texts, _PLACES), found)
    return found


def _first(texts: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((texts[key] for key in keys if texts.get(key, "").strip()), "")


def _read_place(text: str, found: Findings) -> None:
    place = _ISO6709.fullmatch(text[:100].strip())
    if place is None:
        return
    north, latitude, east, longitude, altitude = place.groups()
    found.put_position(
        _degrees(latitude, 2) * (-1 if north == "-" else 1),
        _degrees(longitude, 3) * (-1 if east == "-" else 1),
    )
    if altitude and "latitude" in found.fields:
        found.put("altitude_m", float(altitude))


def _degrees(text: str, digits: int) -> float:
    """Return degrees of "DD.D", "DDMM.M" or "DDMMSS.S", whose degrees have so many digits."""
    whole = len(text.partition(".")[0])
    if whole <= digits:
        return float(text)
    degrees, rest = float(text[:digits]), text[digits:]
    if whole <= digits + 2:
        return degrees + float(rest) / 60
    return degrees + float(rest[:2]) / 60 + float(rest[2:]) / 3600
