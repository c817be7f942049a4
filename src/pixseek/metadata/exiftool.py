"""Read the JSON of exiftool, as its options shape it, and of programs that write the same names.

With `-G` and `-G1` the group stands before the name ("XMP-dc:Title"), with `-g` around it; `-n`
writes numbers, `-struct` structures, `-l` values with descriptions. osxphotos writes the same, and
img2dataset keeps EXIF as exifread prints it ("Image Make"), which differs in few names.
"""

from __future__ import annotations

import base64
import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pixseek.metadata.charsets import decode_text
from pixseek.metadata.coordinates import parse_coordinate
from pixseek.metadata.dates import parse_date
from pixseek.metadata.exif import tidy_camera
from pixseek.metadata.fields import (
    DateSource,
    Findings,
    number,
    once,
    people_of_digikam,
    split_tags,
)
from pixseek.metadata.generators import put_generation

_MAX_ITEMS = 1_000

# Groups, best first: what exiftool computed from several tags, then the newest copy of a text.
# Others are left out: "File" and "JFIF" say nothing of the photo, "IFD1" is about the thumbnail,
# and the names in makers' notes mean something else ("Canon:Model").
_GROUPS = (
    "composite", "xmp", "", "iptc", "exif", "ifd0", "image", "exififd", "gps", "photoshop",
    # Of other families: -G2, -G3, -G4.
    "camera", "time", "location", "author", "other", "main", "unknown",
)  # fmt: skip

# Names that give it away; tools leave out parts of its output.
_OWN_NAMES = frozenset(
    {"SourceFile", "ExifToolVersion", "ImageDescription", "Caption-Abstract", "DateTimeOriginal",
     "GPSLatitude"}
)  # fmt: skip

_TEXTS = (
    ("title", ("title", "objectname", "headline", "xptitle")),
    ("copyright", ("rights", "copyright", "copyrightnotice")),
    ("label", ("label",)),
    ("event", ("event",)),
    ("sublocation", ("locationshownsublocation", "location", "sub-location")),
    ("city", ("locationshowncity", "city")),
    ("state", ("locationshownprovincestate", "state", "province-state")),
    ("country", ("locationshowncountryname", "country", "country-primarylocationname")),
    ("country_code", ("locationshowncountrycode", "countrycode", "country-primarylocationcode")),
    ("lens", ("lensmodel", "lens", "lensid")),
    ("software", ("software", "creatortool")),
)

_NUMBERS = (
    ("rating", ("rating",)),
    ("focal_length_mm", ("focallength",)),
    ("focal_length_35mm", ("focallengthin35mmformat", "focallengthin35mmfilm")),
    ("aperture", ("fnumber", "aperture")),
    ("exposure_s", ("exposuretime", "shutterspeed")),
    ("exposure_bias_ev", ("exposurecompensation", "exposurebiasvalue")),
    ("iso", ("iso", "isospeedratings", "photographicsensitivity")),
    ("direction_deg", ("gpsimgdirection",)),
)

_CAPTIONS = ("description", "caption-abstract", "imagedescription", "xpcomment")

# Each date with the tags that hold its fraction and its time zone. When a photo was taken comes
# before when it was digitised, which is what exiftool calls CreateDate.
_DATES = (
    ("subsecdatetimeoriginal", "subsectimeoriginal", "offsettimeoriginal"),
    ("datetimeoriginal", "subsectimeoriginal", "offsettimeoriginal"),
    ("datetimecreated", "", ""),
    ("datecreated", "", ""),
    ("subseccreatedate", "subsectimedigitized", "offsettimedigitized"),
    ("createdate", "subsectimedigitized", "offsettimedigitized"),
    ("datetimedigitized", "subsectimedigitized", "offsettimedigitized"),
    ("gpsdatetime", "", ""),
)

# Texts in other than the default language.
_TRANSLATION = re.compile(r"(?:description|title)-[a-z]{2,3}(?:-[a-z0-9]{2,8}){0,2}")
_LEADING_NUMBER = re.compile(r"\s*([-+]?\d{1,12}(?:\.\d{1,15})?(?:/\d{1,12})?)")


def is_exiftool(content: Mapping[str, Any]) -> bool:
    """Return whether a JSON object was written by exiftool or a program that imitates it."""
    return not _OWN_NAMES.isdisjoint(content) or any(
        ":" in key and _rank(key.rpartition(":")[0]) is not None for key in content
    )


def flattened(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object's values by their names without group, in lower case, best group first."""
    found: dict[str, tuple[int, Any]] = {}
    for group, written, value in _tags(content):
        rank, name = _rank(group), written.casefold()
        if rank is not None and (name not in found or rank < found[name][0]):
            found[name] = rank, value
    return {name: value for name, (_, value) in found.items()}


def of_exifread(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of EXIF as img2dataset keeps it, by their names in lower case."""
    apart = ((*key.partition(" "), value) for key, value in content.items())
    return flattened({f"{group}:{name}": value for group, _, name, value in apart})


def orientation(tags: Mapping[str, Any]) -> str:
    """Return the orientation in what `of_exifread` returns, such as "Rotated 90 CW"; "" if none."""
    return " ".join(_text(tags, "orientation")[:80].split())


def read_tags(tags: Mapping[str, Any], found: Findings) -> None:
    """Add the metadata in the tags of one file to `found`.

    Args:
        tags: what `flattened` returns.
        found: where the values go; those that it has stay.
    """
    for name in _CAPTIONS:
        found.put_caption(_text(tags, name))
    others = {name: _text(tags, name) for name in tags if _TRANSLATION.fullmatch(name)}
    found.put("translations", "; ".join(once(" ".join(text.split()) for text in others.values())))
    for name, text in others.items():
        if name.startswith("description"):
            found.put_caption(text)
    comment = _text(tags, "usercomment")
    if not put_generation(comment, found):
        found.put_caption(comment)
    shown = next(iter(_structures(tags.get("locationshown"))), {})
    places = {f"locationshown{name}".casefold(): value for name, value in shown.items()}
    for field, names in _TEXTS:
        for name in names:
            found.put(field, _text(places, name) or _text(tags, name))
    found.put("artist", "; ".join(_first(tags, "creator", "artist", "by-line", "xpauthor")))
    found.put("digital_source", _text(tags, "digitalsourcetype").rstrip("/").rpartition("/")[2])
    for field, names in _NUMBERS:
        for name in names:
            found.put(field, _amount(tags.get(name)))
    if not found.tags:
        found.tags = _keywords(tags)
    found.put_people(_people(tags))
    _read_camera(tags, found)
    _read_place(tags, found)
    for name, fraction, zone in _DATES:
        found.put_date(DateSource.SIDECAR_JSON, _date(tags, name, fraction, zone))


def _tags(content: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield group, name and value of each tag."""
    for key, value in content.items():
        is_group = isinstance(value, dict) and "val" not in value
        if is_group and _rank(key.rpartition(":")[2]) is not None:
            yield from ((key, name, _plain(inner)) for name, inner in value.items())
        else:
            group, _, name = key.rpartition(":")
            yield group, name, _plain(value)


def _plain(value: Any) -> Any:
    """Return a value without its description (`-l`)."""
    return value.get("num", value["val"]) if isinstance(value, dict) and "val" in value else value


def _rank(group: str) -> int | None:
    """Return the rank of a group such as "XMP-dc" or "EXIF:IFD0"; None to leave it out."""
    for part in reversed(group.casefold().split(":")):
        family = part.partition("-")[0]
        if family in _GROUPS:
            return _GROUPS.index(family)
    return None


def _texts(value: object) -> list[str]:
    """Return the texts in a value; exiftool writes a text of digits as a number."""
    given = value[:_MAX_ITEMS] if isinstance(value, list) else [value]
    return [_as_text(each) for each in given if isinstance(each, str | int | float)]


def _as_text(value: str | int | float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    if text.startswith("base64:"):  # how `-b` writes what is not UTF-8
        with contextlib.suppress(ValueError):
            return decode_text(base64.b64decode(text[7:]))
    return text


def _text(tags: Mapping[str, Any], name: str) -> str:
    return next((text for text in _texts(tags.get(name)) if not text.isspace()), "")


def _first(tags: Mapping[str, Any], *names: str) -> list[str]:
    """Return the texts of the first tag that has any."""
    return next((texts for name in names if (texts := _texts(tags.get(name)))), [])


def _amount(value: object) -> float | None:
    """Return the number at the beginning of a value, such as "50.0 mm"."""
    if isinstance(value, str):
        leading = _LEADING_NUMBER.match(value[:40])
        value = leading[1] if leading else None
    return number(value)


def _keywords(tags: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keywords of the first kind of metadata that has any: these are copies."""
    paths = [path.replace("/", "|") for path in _texts(tags.get("tagslist"))]
    newest = [*_texts(tags.get("subject")), *_texts(tags.get("hierarchicalsubject")), *paths]
    if not paths:
        newest += [each.replace("/", "|") for each in _texts(tags.get("lastkeywordxmp"))]
    texts = newest or _texts(tags.get("keywords")) or _texts(tags.get("xpkeywords"))
    return split_tags(texts)


def _people(tags: Mapping[str, Any]) -> Iterator[str]:
    yield from _texts(tags.get("personinimage"))
    yield from _texts(tags.get("regionpersondisplayname"))
    names, kinds = _texts(tags.get("regionname")), _texts(tags.get("regiontype"))
    yield from _faces(zip(names, kinds, strict=True) if len(kinds) == len(names) else
                      ((name, "Face") for name in names))  # fmt: skip
    for region in _structures(_part(tags.get("regioninfo"), "RegionList")):
        yield from _faces([(_text(region, "Name"), _text(region, "Type") or "Face")])
    for region in _structures(_part(tags.get("regioninfomp"), "Regions")):
        yield _text(region, "PersonDisplayName")
    yield from people_of_digikam(_texts(tags.get("tagslist")))


def _faces(regions: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the names of regions that are people, not pets, barcodes or focus points."""
    return (name for name, kind in regions if kind == "Face")


def _part(structure: object, name: str) -> object:
    return structure.get(name) if isinstance(structure, dict) else None


def _structures(value: object) -> list[Mapping[str, Any]]:
    """Return the structures in a list (`-struct`)."""
    given = value[:_MAX_ITEMS] if isinstance(value, list) else [value]
    return [each for each in given if isinstance(each, dict)]


def _read_camera(tags: Mapping[str, Any], found: Findings) -> None:
    make, model = tidy_camera(_text(tags, "make"), _text(tags, "model"))
    found.put("camera_make", make)
    found.put("camera_model", model)
    space = _text(tags, "colorspace")
    found.put("colour_space", {"1": "sRGB", "2": "Adobe RGB"}.get(space, "") or
              (space if space in ("sRGB", "Adobe RGB") else None))  # fmt: skip
    flash = tags.get("flash", tags.get("flashfired"))
    if isinstance(flash, bool):
        found.put("flash", flash)
    elif isinstance(flash, int):
        found.put("flash", bool(flash & 1))
    elif isinstance(flash, str) and "fire" in flash.lower():
        found.put("flash", "not fire" not in flash.lower())
    percent = number(tags.get("ratingpercent"))
    if percent is not None and 0 <= percent <= 99:
        found.put("rating", 0 if percent == 0 else 1 + round(percent / 25))


def _read_place(tags: Mapping[str, Any], found: Findings) -> None:
    latitude = _coordinate(tags.get("gpslatitude"), "latitude", _text(tags, "gpslatituderef"))
    longitude = _coordinate(tags.get("gpslongitude"), "longitude", _text(tags, "gpslongituderef"))
    if latitude is None or longitude is None:
        halves = re.split(r",\s*|\s+(?=[-+]?\d+\.\d+\s*$)", _text(tags, "gpsposition")[:100])
        if len(halves) == 2:
            latitude = _coordinate(halves[0], "latitude", "")
            longitude = _coordinate(halves[1], "longitude", "")
    if latitude is not None and longitude is not None:
        found.put_position(latitude, longitude)
    altitude = _amount(tags.get("gpsaltitude"))
    if altitude is not None:
        said = f"{_text(tags, 'gpsaltitude')} {_text(tags, 'gpsaltituderef')}".casefold()
        is_below = "below" in said or _text(tags, "gpsaltituderef") == "1"
        found.put("altitude_m", -abs(altitude) if is_below else altitude)


def _coordinate(value: object, axis: Literal["latitude", "longitude"], ref: str) -> float | None:
    """Return degrees from a number, a list, or a text such as "33 deg 51' 24.48\" S"."""
    if isinstance(value, float) and math.isfinite(value):
        value = f"{value:.9f}"
    elif isinstance(value, list):
        value = " ".join(map(str, value[:3]))
    found = None
    if isinstance(value, str | int) and not isinstance(value, bool):
        found = parse_coordinate(str(value)[:100].strip("[] "), axis, ref)
    return None if found is None else found[0]


def _date(tags: Mapping[str, Any], name: str, fraction: str, zone: str) -> Any:
    """Return the date of a tag, with the fraction and the time zone from others."""
    text = _text(tags, name)
    if name == "datecreated" and len(text) <= 10 and (time := _text(tags, "timecreated")):
        text = f"{text} {time}"
    if fraction and len(text) == 19:
        part, offset = _text(tags, fraction), _text(tags, zone) or _text(tags, "offsettime")
        text += f".{part}" if part.isdigit() else ""
        text += offset
    return parse_date(text)
