"""Find and read sidecars: metadata files next to an image."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from typing import Any

from pixseek.metadata.dates import from_epoch, parse_date
from pixseek.metadata.fields import (
    DateSource,
    Findings,
    decode_text,
    number,
    people_of_digikam,
    split_tags,
)

#: Maximum bytes of a sidecar; larger ones are ignored.
MAX_TEXT = 64 << 10
MAX_JSON = 1 << 20

_ENDINGS = (".xmp", ".XMP", ".txt", ".TXT", ".json", ".JSON")

# Google Takeout adds this, and cuts the name at a length that has changed over the years.
_TAKEOUT = ".supplemental-metadata"
_TAKEOUT_NAME = 46

_CAPTION_KEYS = ("caption", "captions", "description", "alt_text", "alttext", "alt", "text",
                 "prompt", "content")  # fmt: skip
_TAG_KEYS = ("tags", "keywords", "tagslist", "subject")
_PEOPLE_KEYS = ("people", "persons", "personinimage", "regionpersondisplayname")
_DATE_KEYS = ("taken_at", "date_taken", "datetimeoriginal")

#: What `read_json` understands of an object that is not Google Takeout's, in lower case.
JSON_KEYS = frozenset(
    {*_CAPTION_KEYS, *_TAG_KEYS, *_PEOPLE_KEYS, *_DATE_KEYS, "title", "author", "artist",
     "copyright", "rating", "url", "favorited", "favorite"}
)  # fmt: skip


def sidecar_names(name: str, listing: Set[str]) -> list[str]:
    """Return the names of an image's sidecars, the most specific first.

    These are `photo.jpg.xmp` and `photo.xmp`, the same with `.txt` and `.json`, and the names of
    Google Takeout: `photo.jpg.supplemental-metadata.json`, cut anywhere, `photo.jpg(1).json` for
    `photo(1).jpg`, and for `photo-edited.jpg` the sidecar of `photo.jpg`. This takes about 40
    look-ups, however large the folder is.

    Args:
        name: name of the image's file.
        listing: names of all files in its folder.
    """
    stem, dot, ending = name.rpartition(".")
    if not dot:
        stem, ending = name, ""
    found = [
        whole + sidecar
        for whole in dict.fromkeys((name, stem))
        for sidecar in _ENDINGS
        if whole + sidecar in listing
    ]
    if not any(each.endswith((".json", ".JSON")) for each in found):
        found += _takeout_names(stem, f".{ending}" if dot else "", listing)
    return found


def _takeout_names(stem: str, ending: str, listing: Set[str]) -> list[str]:
    copy = ""
    if stem.endswith(")"):
        bare, bracket, count = stem[:-1].rpartition("(")
        if bracket and count.isdigit():
            stem, copy = bare, f"({count})"
    for original in dict.fromkeys((stem, stem.removesuffix("-edited"))):
        title = original + ending
        for length in range(len(_TAKEOUT), -1, -1):
            candidate = f"{title}{_TAKEOUT[:length]}{copy}.json"
            if candidate in listing:
                return [candidate]
        if len(title) > _TAKEOUT_NAME:
            candidate = f"{title[:_TAKEOUT_NAME]}{copy}.json"
            if candidate in listing:
                return [candidate]
    return []


def read_text(data: bytes) -> Findings:
    """Return the content of a text sidecar as a caption."""
    found = Findings()
    if len(data) > MAX_TEXT:
        found.notes.append("text file too long for a caption ignored")
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        found.put_caption(data.decode("utf-16", "replace"))
    else:
        found.put_caption(decode_text(data))
    return found


def read_json(data: bytes) -> Findings:
    """Return the metadata in a JSON sidecar.

    Google Takeout, img2dataset, osxphotos and exiftool write these; any JSON object with keys such
    as "caption", "tags" and "title" will do.

    Raises:
        Exception: whatever the parser raises if it is not JSON; `merging` catches it.
    """
    found = Findings()
    if len(data) > MAX_JSON:
        found.notes.append("JSON file too long for a sidecar ignored")
        return found
    content = json.loads(data)
    if isinstance(content, list) and len(content) == 1:  # exiftool, osxphotos
        content = content[0]
    if not isinstance(content, dict):
        found.notes.append("JSON without an object ignored")
        return found
    # exiftool writes the group before the name: "XMP:Title".
    entry = {key.rpartition(":")[2].casefold(): value for key, value in reversed(content.items())}
    is_takeout = "phototakentime" in entry or "geodata" in entry
    for key in _CAPTION_KEYS:
        found.put_caption("\n".join(_texts(entry.get(key))))
    found.tags = split_tags([text for key in _TAG_KEYS for text in _texts(entry.get(key))])
    if not is_takeout:  # Takeout's title is the file's name
        found.put("title", entry.get("title"))
    found.put("artist", "; ".join(_texts(entry.get("author") or entry.get("artist"))))
    found.put("copyright", entry.get("copyright"))
    found.put("rating", entry.get("rating"))
    found.put("source_url", entry.get("url"))
    found.put("favourite", entry.get("favorited"))
    found.put("favourite", entry.get("favorite"))
    found.put_people(_people(entry))
    _read_takeout(entry, found)
    for key in _DATE_KEYS:
        written = entry.get(key)
        if isinstance(written, str):
            found.put_date(DateSource.SIDECAR_JSON, parse_date(written))
    return found


def _people(entry: Mapping[str, Any]) -> Iterator[str]:
    for key in _PEOPLE_KEYS:
        yield from _texts(entry.get(key))
    # exiftool's lists of regions: as many types as names, if all regions have one.
    names, kinds = list(_texts(entry.get("regionname"))), list(_texts(entry.get("regiontype")))
    kinds = kinds if len(kinds) == len(names) else ["Face"] * len(names)
    yield from (name for name, kind in zip(names, kinds, strict=True) if kind == "Face")
    yield from people_of_digikam(_texts(entry.get("tagslist")))


def _read_takeout(entry: Mapping[str, Any], found: Findings) -> None:
    taken = entry.get("phototakentime")
    if isinstance(taken, dict):
        seconds = number(taken.get("timestamp"))
        if seconds is not None:
            found.put_date(DateSource.SIDECAR_JSON, from_epoch(seconds))
    for key in ("geodata", "geodataexif"):
        place = entry.get(key)
        if not isinstance(place, dict) or "latitude" in found.fields:
            continue
        latitude, longitude = number(place.get("latitude")), number(place.get("longitude"))
        if latitude and longitude is not None:  # Takeout writes 0, 0 for "unknown"
            found.put_position(latitude, longitude)
            found.put("altitude_m", place.get("altitude") or None)


def _texts(value: object) -> Iterator[str]:
    """Yield the texts in a value: a text, or a list of texts or of objects with a name."""
    for each in value[:1000] if isinstance(value, list) else (value,):
        named = each.get("name") if isinstance(each, dict) else each
        if isinstance(named, str):
            yield named
