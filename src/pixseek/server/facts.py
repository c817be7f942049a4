"""What is known of an image as people read it: facts in their language, and why it was found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from pixseek import wire
from pixseek.library.surfaces import described, place_of, unit_of
from pixseek.server.texts import Texts
from pixseek.types import Reason, Record
from pixseek.types.clock import clock
from pixseek.types.dataclass import dataclass

#: Fields that have a place of their own, or mean something to programs alone.
_PLACED = frozenset(
    (
        "id", "uri", "media", "width", "height", "size", "digest", "pixels", "perceptual_hash",
        "taken_at", "taken_precision", "caption", "tags", "rating", "placeholder", "colours",
        "camera_make", "camera_model", "camera", "lens", "focal_length_mm", "aperture",
        "exposure_s", "iso", "latitude", "longitude", "place", "turned", "text_seen",
        "text_seen_by", "duration_s", "people", "albums",
    )
)  # fmt: skip

#: The end of a field's name that is its unit.
_UNIT = re.compile(r"_(?:mm|ev|deg|m|s)$")

#: Seconds from which an exposure is written as a decimal and not as a fraction.
_LONG = 0.4


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known.

    Attributes:
        name: in the user's language.
        text: the value.
        query: finds images that have it in common; "" for none.
        href: an address of the web about it; "" for none.
    """

    name: str
    text: str
    query: str = ""
    href: str = ""


def facts_of(record: Record, texts: Texts) -> list[Fact]:
    """Return the facts that most people look for, in order, as far as they are known."""
    t, plain = texts.part("facts"), wire.record_to_plain(record)
    found: list[Fact] = []

    def add(name: str, text: Any, query: str = "", href: str = "") -> None:
        if text:
            found.append(Fact(t(name), str(text), query, href))

    if record.taken_at is not None:
        precision = str(plain.get("taken_precision", ""))
        add("taken", _moment(record.taken_at, precision, t), _day(record.taken_at, precision))
    place = str(plain.get("place", ""))
    add("place", place, f"place:{_quoted(place)}")
    latitude, longitude = plain.get("latitude"), plain.get("longitude")
    if isinstance(latitude, int | float) and isinstance(longitude, int | float):
        where = f"{latitude:.5f}/{longitude:.5f}"
        add(
            "coordinates", f"{latitude:.5f}, {longitude:.5f}",
            href=f"https://www.openstreetmap.org/?mlat={latitude:.5f}&mlon={longitude:.5f}"
            f"#map=14/{where}",
        )  # fmt: skip
        add("near", t("near_text"), f"near:{latitude:.4f},{longitude:.4f},2")
    for person in str(plain.get("people", "")).split("; "):
        add("person", person, f"person:{_quoted(person)}")
    for album in str(plain.get("albums", "")).split("; "):
        add("album", album, f"albums:~{_quoted(f'*{album}*')}")
    camera = " ".join(str(plain[n]) for n in ("camera_make", "camera_model") if n in plain)
    add("camera", camera, f"camera:{_quoted(camera)}")
    lines = [each.text for each in described(record).text_seen]
    add("text_seen", " · ".join(lines), f"seen:{_quoted(lines[0])}" if lines else "")
    add("lens", plain.get("lens"))
    add("exposure", _exposure(plain, t))
    if record.width and record.height:
        millions = record.width * record.height / 1e6
        more = f" ({_decimal(millions, 1, t)} MP)" if millions >= 1 else ""
        add("pixels", f"{t('size_px', width=record.width, height=record.height)}{more}")
    seconds = plain.get("duration_s")
    add("duration", clock(seconds) if isinstance(seconds, int | float) else "")
    kind = record.media.rpartition("/")[2].upper()
    size = size_text(record.stamp.size, t) if record.stamp else ""
    add("file", ", ".join(each for each in (kind, size) if each))
    if "://" not in record.uri:
        folder = record.uri.rpartition("/")[0]
        add("folder", folder, f"folder:{_quoted(folder)}")
    return found


def other_facts(record: Record, texts: Texts) -> list[Fact]:
    """Return all other metadata of an image by the names of their fields."""
    t = texts.part("facts")
    plain = wire.record_to_plain(record)
    return [
        Fact(_label(name, t), text, href=text if is_web_address(text) else "")
        for name, value in plain.items()
        if name not in _PLACED and not name.startswith("pixseek.")
        for text in [_worded(name, value, t) or _value(name, value, t)]
    ]


def reasons_of(why: Iterable[Reason], texts: Texts) -> list[str]:
    """Return the reasons of a hit in words: first what is written, then what it looks like."""
    t = texts.part("facts")
    written, seen = [], []
    for each in why:
        if each.kind == "words":
            written.append(_written(each.what, t) if each.box is None else _read(each, t))
            continue
        what = t("quoted", what=each.what) if each.kind == "text" else t(f"why_{each.kind}")
        if each.weight < 0:
            seen.append(t("why_away", what=what))
        else:
            strength = t(f"strength_{each.strength or 'weak'}")
            seen.append(t("why_looks", what=what, strength=strength))
    return [*written, *seen]


def size_text(size: int, t: Texts) -> str:
    """Return a number of bytes as people read it: "3.4 MB"."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{_decimal(value, 1 if value < 10 and unit != 'B' else 0, t)} {unit}"


def is_web_address(text: str) -> bool:
    """Return whether a text of a stranger may become a link: http and https only, and no more."""
    if not text.lower().startswith(("http://", "https://")) or not text.isprintable():
        return False
    try:
        return bool(urlsplit(text).hostname) and " " not in text
    except ValueError:
        return False


def _read(reason: Reason, t: Texts) -> str:
    """Return which line was read where in the picture."""
    assert reason.box is not None
    line = reason.what.partition(": ")[2]
    place = str(t.words["named"][f"seen_at {place_of(reason.box)}"])
    return t("why_text_seen", what=t("quoted", what=line), place=place)


def _written(what: str, t: Texts) -> str:
    field, colon, said = what.partition(": ")
    if not colon:
        return t("why_words")
    words = ", ".join(t("quoted", what=each) for each in said.split(", "))
    key = f"why_{field}"
    if key in t.words:
        return t(key, what=words)
    return t("why_field", field=_label(field, t), what=words)


def _label(name: str, t: Texts) -> str:
    """Return what a field is called."""
    bare = name.removeprefix("user.").removeprefix("fields.").removeprefix("file.")
    known = t.words["fields"].get(bare)
    return str(known) if known else _UNIT.sub("", bare).replace("_", " ")


def _worded(name: str, value: Any, t: Texts) -> str:
    """Return values that pixseek knows all of, in words; "" for other fields."""
    if name == "colour_names":
        return ", ".join(t.value("colour", each) for each in str(value).split(", "))
    return str(t.words["named"].get(f"{name} {value}", ""))


def _value(name: str, value: Any, t: Texts) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return t("yes" if value else "no")
    if not isinstance(value, int | float):
        return str(value)
    text = _decimal(value, 4, t) if isinstance(value, float) else str(value)
    unit = {"degrees": "°", "f-number": "", "1/s": ""}.get(unit_of(name), unit_of(name))
    return f"{text} {unit}".strip() if unit != "°" else f"{text}°"


def _exposure(plain: Mapping[str, Any], t: Texts) -> str:
    """Return how a photo was taken: "50 mm · f/2.8 · 1/250 s · ISO 100"."""
    parts: list[str] = []
    focal, aperture, seconds, iso = (
        value if isinstance(value, int | float) and value > 0 else None
        for value in map(plain.get, ("focal_length_mm", "aperture", "exposure_s", "iso"))
    )
    if focal:
        parts.append(f"{_decimal(focal, 1, t)} mm")
    if aperture:
        parts.append(f"f/{_decimal(aperture, 1, t)}")
    if seconds:
        text = f"1/{1 / seconds:.0f}" if seconds < _LONG else _decimal(seconds, 1, t)
        parts.append(f"{text} s")
    if iso:
        parts.append(f"ISO {iso:g}")
    return " · ".join(parts)


def _decimal(value: float, digits: int, t: Texts) -> str:
    """Return a number with at most so many digits after the language's point."""
    text = f"{value:,.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    marks = {",": t.words["thousands"], ".": t("decimal")}
    return "".join(marks.get(each, each) for each in text)


def _moment(moment: datetime, precision: str, t: Texts) -> str:
    month = t.words["months"][moment.month - 1]
    if precision == "year":
        return str(moment.year)
    if precision == "month":
        return f"{month} {moment.year}"
    day = t("day", day=str(moment.day), month=month, year=str(moment.year))
    return day if precision == "day" else f"{day}, {moment:%H:%M}"


def _day(moment: datetime, precision: str) -> str:
    """Return the query for images of the same day, or of the same month or year."""
    length = {"year": 4, "month": 7}.get(precision, 10)
    return f"date:{moment:%Y-%m-%d}"[: 5 + length]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def as_plain(facts: Sequence[Fact]) -> list[list[str]]:
    """Return facts for a script: name, text, query, address."""
    return [[each.name, each.text, each.query, each.href] for each in facts]
