"""Filters on records: the fields, the meaning of each comparison, and its evaluation.

This is the only definition. Engines compile filters to their own language, and their tests compare
them with `matches`.

- **Missing values.** Missing are an unknown digest, media type, width, height, size, time or
  caption, an empty list of tags, the root of a URL, and a user field that is absent or None. A
  comparison with a missing value is false, `ne` included, and its `Not` is true. `exists` tests for
  it.
- **Text** is compared in Unicode's normal form NFC, by code point: "é" of a Mac equals "é" of a PC,
  and case matters. `glob`, `contains` and `under` ignore case as well (`types.texts.folded`), as
  does every comparison of tags, people and colours.
- **glob** must match the whole text: `*` is any number of any characters, "/" included; `?` is one
  character. Brackets are literal, since file names contain them.
- **contains** tests for a substring of a text, for a tag, or for one whole name.
- **under** tests whether a file lies in a folder or below it. The folder is given as in URIs, with
  the root's name in front; for the field `folder` also as a path below any root.
- **tags** are found by the whole tag, by each level of a hierarchical one, and by each path from
  its top: "Nature|Birds|Owl" contains "nature", "birds", "owl" and "nature|birds". "|", "/" and
  ">" separate levels alike.
- **camera** is the maker and the model, joined by a space. **person** and **colour** are lists,
  made from the fields `people` (names separated by ";") and `colour_names` (by ",").
- **Times.** `taken_at` is the wall clock at the place of the photo, with a time zone only if the
  file gives one. Two times with a time zone are compared as instants, any others as wall clocks.
  `mtime` is always an instant; a value without a time zone is in this machine's local time.
- **aspect** and **megapixels** are float64; values compared with them are rounded to float64.
- **location** exists if `fields.latitude` and `fields.longitude` are numbers of degrees, up to 90
  and 180. `near` takes latitude, longitude and kilometres, and is true up to that distance on a
  sphere.
- **away** is a truth value that every record has.
- **User fields** (`fields.NAME`) hold numbers, truth values, texts or times. Values of different
  kinds are never equal (1 is not true), and neither is less than the other.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from pixseek.errors import QueryError, unknown
from pixseek.redaction import redacted
from pixseek.types import And, Compare, Filter, Not, Operator, Or, Record, Scalar
from pixseek.types.dataclass import dataclass
from pixseek.types.texts import composed, folded, tag_names, tag_path

Kind = Literal["text", "number", "time", "tags", "place", "truth", "any"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field that filters can test.

    Attributes:
        kind: kind of its values; "any" for user fields.
        meaning: description for the documentation.
    """

    kind: Kind
    meaning: str


#: The fields that every record has, by name. User fields are `fields.NAME`.
FIELDS: Mapping[str, Field] = {
    "id": Field("text", "the record's id"),
    "uri": Field("text", "root/relative/path.jpg, or a URL"),
    "root": Field("text", "name of its root"),
    "folder": Field("text", "path below the root, without the file name"),
    "name": Field("text", "file name, with its ending"),
    "media": Field("text", "media type, such as image/jpeg"),
    "width": Field("number", "in pixels, upright"),
    "height": Field("number", "in pixels, upright"),
    "aspect": Field("number", "width divided by height"),
    "megapixels": Field("number", "width times height, in millions"),
    "size": Field("number", "size of the file, in bytes"),
    "mtime": Field("time", "time of the file's last change"),
    "digest": Field("text", "SHA-256 of the content, in hexadecimal"),
    "pixels": Field("text", "SHA-256 of the picture without its metadata, in hexadecimal"),
    "taken_at": Field("time", "time at which the photo was taken"),
    "caption": Field("text", "its description"),
    "tags": Field("tags", "its keywords"),
    "person": Field("tags", "names of the people in it"),
    "camera": Field("text", "maker and model of the camera"),
    "colour": Field("tags", "its main colours"),
    "location": Field("place", "place at which it was taken"),
    "away": Field("truth", "whether its file is gone"),
}

#: Prefix of the names of user fields.
USER_PREFIX = "fields."

#: The operators that each kind of field supports.
OPERATORS: Mapping[Kind, tuple[Operator, ...]] = {
    "text": ("eq", "ne", "lt", "le", "gt", "ge", "in", "glob", "contains", "exists"),
    "number": ("eq", "ne", "lt", "le", "gt", "ge", "in", "exists"),
    "time": ("eq", "ne", "lt", "le", "gt", "ge", "in", "exists"),
    "tags": ("contains", "glob", "exists"),
    "place": ("near", "exists"),
    "truth": ("eq", "ne"),
    "any": ("eq", "ne", "lt", "le", "gt", "ge", "in", "glob", "contains", "exists"),
}

#: The fields that the operator `under` tests besides the others of texts.
PATHS = frozenset({"uri", "folder"})

#: The fields computed from width and height.
DERIVED = frozenset({"aspect", "megapixels"})

#: The lists of words that are kept in one text: by field, the user field and what separates them.
LISTS: Mapping[str, tuple[str, str]] = {"person": ("people", ";"), "colour": ("colour_names", ",")}

#: Mean radius of the earth, in kilometres.
EARTH_KM = 6371.0088

#: Maximum depth of a filter, and maximum number of comparisons. SQLite's parser has a stack of 100
#: symbols, enough for 16 levels of Not with four each, and nests expressions 1,000 deep.
MAX_DEPTH = 16
MAX_COMPARISONS = 1_000
#: Maximum length of a text in a filter, in characters.
MAX_TEXT = 10_000
#: Times are less than this from UTC: PostgreSQL's limit. The earth's zones end at 14 hours.
MAX_OFFSET = timedelta(hours=16)

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le,
    "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check(where: Filter) -> None:
    """Check that a filter can be evaluated.

    Raises:
        QueryError: a field is unknown or doesn't support an operator, a value is invalid, or the
            filter is too large.
    """
    if _check(where, 0) > MAX_COMPARISONS:
        raise QueryError(
            "the filter is too large",
            f"more than {MAX_COMPARISONS} comparisons",
            "To accept many values of one field, use the operator 'in'.",
        )


def field_kind(name: str) -> Kind:
    """Return the kind of a field.

    Raises:
        QueryError: there is no such field.
    """
    if name in FIELDS:
        return FIELDS[name].kind
    if isinstance(name, str) and name.startswith(USER_PREFIX) and name != USER_PREFIX:
        return "any"
    raise QueryError(
        "unknown field",
        name,
        unknown("field", name, FIELDS) + " Your own fields are fields.NAME.",
    )


def value_kind(value: object) -> Literal["text", "number", "truth", "time"] | None:
    """Return the kind of a value; None if filters don't accept it.

    Values of different kinds are never equal.
    """
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, datetime):
        return "time"
    return None


def instant_us(moment: datetime) -> int:
    """Return a time with a time zone as microseconds since 1970 in UTC, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def mtime_value_ns(value: Scalar) -> int:
    """Return a time to compare with `mtime` as nanoseconds since 1970 in UTC."""
    assert isinstance(value, datetime)  # guaranteed by `check`
    if value.tzinfo is None:
        try:
            value = value.astimezone()
        except (OverflowError, ValueError, OSError):  # out of the range of the system's clock
            value = value.replace(tzinfo=UTC)
    return instant_us(value) * 1000


def as_float(value: Scalar) -> float:
    """Return a number to compare with a derived field as float64."""
    assert isinstance(value, int | float)  # guaranteed by `check`
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def derived(name: str, width: int, height: int) -> float | None:
    """Return a field of `DERIVED`; None if a side is unknown.

    Engines use the same order of operations, so that the result is the same to the last bit.
    """
    if not width or not height:
        return None
    if name == "aspect":
        return float(width) / float(height)
    return float(width) * float(height) / 1e6


def camera(fields: Mapping[str, Scalar]) -> str | None:
    """Return maker and model of the camera, joined by a space; None if both are missing."""
    names = (fields.get("camera_make"), fields.get("camera_model"))
    return " ".join(name for name in names if isinstance(name, str) and name) or None


def listed(name: str, fields: Mapping[str, Scalar]) -> tuple[str, ...]:
    """Return the words of a field of `LISTS`, as they are written."""
    field, separator = LISTS[name]
    text = fields.get(field)
    if not isinstance(text, str):
        return ()
    return tuple(word for part in text.split(separator) if (word := part.strip()))


def location(fields: Mapping[str, Scalar]) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees; None if they are missing or out of range."""
    latitude, longitude = fields.get("latitude"), fields.get("longitude")
    if value_kind(latitude) != "number" or value_kind(longitude) != "number":
        return None
    place = as_float(latitude), as_float(longitude)
    return place if abs(place[0]) <= 90 and abs(place[1]) <= 180 else None


def distance_km(place: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the great-circle distance between two places, each (latitude, longitude)."""
    across = math.sin(math.radians(place[0] - other[0]) / 2)
    along = math.sin(math.radians(place[1] - other[1]) / 2)
    cosines = math.cos(math.radians(place[0])) * math.cos(math.radians(other[0]))
    half_chord = across * across + cosines * (along * along)
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(half_chord)))


def circle(value: object) -> tuple[tuple[float, float], float]:
    """Return the value of `near` as a place (latitude, longitude) and kilometres."""
    assert isinstance(value, tuple)  # guaranteed by `check`
    latitude, longitude, kilometres = map(as_float, value)
    return (latitude, longitude), kilometres


def located(place: tuple[float, float] | None, op: Operator, value: object) -> bool:
    """Return whether a location matches a comparison of the field `location`."""
    if place is None or op == "exists":
        return place is not None
    centre, kilometres = circle(value)
    return distance_km(place, centre) <= kilometres


def matches(where: Filter, record: Record) -> bool:
    """Return whether a record matches a filter that `check` accepts."""
    match where:
        case And(filters):
            return all(matches(each, record) for each in filters)
        case Or(filters):
            return any(matches(each, record) for each in filters)
        case Not(inner):
            return not matches(inner, record)
        case Compare(("tags" | "person" | "colour") as name, op, value):
            words = record.tags if name == "tags" else listed(name, record.fields)
            return list_test(name, op, value)(words)
        case Compare(name, "under", value):
            return is_under(name, record, str(value))
        case Compare("mtime", op, value):
            stored = None if record.stamp is None else record.stamp.mtime_ns
            if isinstance(value, tuple):
                value = tuple(mtime_value_ns(each) for each in value)
            elif value is not None:
                value = mtime_value_ns(value)
            return _compare(stored, op, value)
        case Compare("location", op, value):
            return located(location(record.fields), op, value)
        case Compare("away", op, value):
            return _compare(record.away, op, value)
        case Compare(("aspect" | "megapixels") as name, op, value):
            if isinstance(value, tuple):
                value = tuple(as_float(each) for each in value)
            elif value is not None:
                value = as_float(value)
            return _compare(value_of(record, name), op, value)
        case Compare(name, op, value):
            return _compare(value_of(record, name), op, value)


@lru_cache(maxsize=256)
def glob_test(pattern: str) -> Callable[[str], bool]:
    """Return the test whether a folded text fits a glob, in time linear in its length."""
    from pixseek.types.wildcards import matcher, pieces  # which most searches do without

    return matcher(pieces(folded(pattern)))


@lru_cache(maxsize=256)
def text_test(op: Operator, value: str | tuple[str, ...]) -> Callable[[str], bool]:
    """Return the test of a text that is there by a comparison with a text, or with several."""
    if isinstance(value, tuple):
        several = frozenset(map(composed, value))
        return lambda stored: composed(stored) in several
    if op == "contains":
        part = folded(value)
        return lambda stored: part in folded(stored)
    if op == "glob":
        fits = glob_test(value)
        return lambda stored: fits(folded(stored))
    holds, whole = _ORDER[op], composed(value)
    return lambda stored: bool(holds(composed(stored), whole))


@lru_cache(maxsize=256)
def list_test(name: str, op: Operator, value: Any) -> Callable[[tuple[str, ...]], bool]:
    """Return the test of the words of a list: tags, or a field of `LISTS`."""
    if op == "exists":
        return bool
    if name == "tags":
        wanted = tag_path(str(value))
        if op == "contains":
            return lambda tags: any(wanted in tag_names(tag) for tag in tags)
        fits = glob_test(wanted)
        return lambda tags: any(fits(name) for tag in tags for name in tag_names(tag))
    whole = folded(str(value))
    if op == "contains":
        return lambda words: any(folded(word) == whole for word in words)
    fits = glob_test(whole)
    return lambda words: any(fits(folded(word)) for word in words)


def is_under(name: str, record: Record, folder: str) -> bool:
    """Return whether a record lies in a folder or below it.

    Args:
        name: "uri" for a folder with its root's name, "folder" also for one below any root.
        record: the record.
        folder: its path, with "/" between its parts; "" stands for everything.
    """
    beginning = beginning_of(name, folder)
    if not beginning or folded(record.uri).startswith(beginning):
        return True
    return name == "folder" and folded(record.relative_path).startswith(beginning)


def beginning_of(name: str, folder: str) -> str:
    """Return what the folded URI, or path, of a file below a folder begins with; "" for any."""
    path = folded(folder).rstrip("/")
    path = path.lstrip("/") if name == "folder" else path
    return f"{path}/" if path else ""


def value_of(record: Record, name: str) -> Scalar:
    """Return a record's value; None if missing. Not of lists, places and `mtime`."""
    if name.startswith(USER_PREFIX):
        return record.fields.get(name.removeprefix(USER_PREFIX))
    if name == "camera":
        return camera(record.fields)
    if name in DERIVED:
        return derived(name, record.width, record.height)
    if name == "size":
        return None if record.stamp is None else record.stamp.size
    value: Scalar = getattr(record, name)
    return value if name in {"id", "uri", "folder", "name"} else value or None


def _check(where: Filter, depth: int) -> int:
    """Check a filter and return its number of comparisons."""
    if depth > MAX_DEPTH:
        raise QueryError(
            "the filter is nested too deeply", f"more than {MAX_DEPTH} levels", "Use fewer."
        )
    match where:
        case And(filters) | Or(filters):
            return sum(_check(each, depth + 1) for each in filters)
        case Not(inner):
            return _check(inner, depth + 1)
        case Compare():
            _check_compare(where)
            return 1
        case _:
            raise QueryError("not a filter", repr(where), "Filters are Compare, And, Or and Not.")


def _check_compare(compare: Compare) -> None:
    name, op, value = compare.field, compare.op, compare.value
    kind = field_kind(name)
    allowed = (*OPERATORS[kind], "under") if name in PATHS else OPERATORS[kind]
    if op not in allowed:
        known = (*OPERATORS["any"], "near", "under")
        advice = (
            f"Operators for {name}: {', '.join(allowed)}."
            if op in known
            else unknown("operator", op, known)
        )
        raise QueryError("the field doesn't support the operator", f"{name} {op}", advice)
    if op == "exists":
        if value is not None:
            raise QueryError(
                "'exists' takes no value",
                f"{name} exists {value!r}",
                "For the opposite, use Not.",
            )
        return
    if op == "in":
        if not isinstance(value, tuple):
            raise QueryError(
                "'in' takes a tuple of values", f"{name} in {value!r}", "Such as (1, 2)."
            )
        for each in value:
            _check_value(name, kind, each)
        return
    if op == "near":
        _check_near(name, value)
        return
    if op in {"glob", "contains"}:
        kind = "text"
    _check_value(name, kind, value)


def _check_near(name: str, value: object) -> None:
    numbers = value if isinstance(value, tuple) else ()
    if len(numbers) == 3 and all(value_kind(each) == "number" for each in numbers):
        latitude, longitude, kilometres = map(as_float, numbers)
        if abs(latitude) <= 90 and abs(longitude) <= 180 and 0 < kilometres < math.inf:
            return
    raise QueryError(
        "'near' takes latitude, longitude and kilometres",
        f"{name} near {value!r}",
        "Latitudes are from -90 to 90, longitudes from -180 to 180, kilometres above 0.",
    )


def _check_value(name: str, kind: Kind, value: object) -> None:
    found = value_kind(value)
    if found is None or kind not in {"any", found}:
        wanted = {"any": "text, number, truth value or time", "truth": "truth value"}.get(
            kind, kind
        )
        advice = "Give a datetime." if kind == "time" else f"Give a {wanted}."
        raise QueryError(f"{name} must be compared with a {wanted}", repr(value), advice)
    if isinstance(value, float) and math.isnan(value):
        raise QueryError(f"{name} can't be compared with NaN", repr(value), "Use a number.")
    if isinstance(value, datetime) and abs(value.utcoffset() or timedelta()) >= MAX_OFFSET:
        raise QueryError(
            f"{name} is compared with a time in a zone that does not exist", value.isoformat(),
            "Zones are less than 16 hours from UTC.",
        )  # fmt: skip
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise QueryError(
                f"{name} is compared with a text that is too long", f"{redacted(value)[:40]!r}...",
                f"Give at most {MAX_TEXT} characters.",
            )  # fmt: skip
        if "\0" in value or not _is_unicode(value):
            raise QueryError(
                f"{name} can't be compared with invalid text", repr(value), "Use Unicode."
            )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def _compare(stored: Scalar, op: Operator, value: Scalar | tuple[Scalar, ...]) -> bool:
    if stored is None:
        return False
    if op == "exists":
        return True
    if isinstance(stored, str) and isinstance(value, tuple):
        return text_test(op, tuple(each for each in value if isinstance(each, str)))(stored)
    if isinstance(value, tuple):
        return any(_compare(stored, "eq", each) for each in value)
    if isinstance(stored, str) and isinstance(value, str):
        return text_test(op, value)(stored)
    if op in {"glob", "contains"}:
        return False
    if value_kind(stored) != value_kind(value):
        return op == "ne"
    if isinstance(stored, datetime) and isinstance(value, datetime):
        if stored.tzinfo is not None and value.tzinfo is not None:
            return _ORDER[op](instant_us(stored), instant_us(value))
        stored, value = stored.replace(tzinfo=None), value.replace(tzinfo=None)
    return _ORDER[op](stored, value)
