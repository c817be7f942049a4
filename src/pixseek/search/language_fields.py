"""The fields of the query language: their names, what they mean, and the filters they stand for.

A field of a record (`pixseek.filters`) or of the metadata (`pixseek.metadata`) is a field of the
language under its own name. Some have a shorter name, or mean more than one comparison: those are
in `FIELDS`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pixseek import filters
from pixseek.errors import QueryError, unknown
from pixseek.search.language_times import SPAN, TIMES, joined, moment_of, period, when
from pixseek.types import Compare, Filter, Not, Operator, Or, Scalar
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.metadata import fields as metadata_fields

#: What stands between a field's colon and its value, and the comparison it means.
OPERATORS: Mapping[str, Operator] = {
    "=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "~": "glob",
    "*=": "contains", "^=": "under", "in": "in",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it was written."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class QueryField:
    """A name that means more than the comparison of one field with a value.

    Attributes:
        meaning: for people.
        example: a filter, as it is typed.
        compile: returns the filter for a value without an operator.
        field: compared with the value if there is an operator; "" if none is allowed.
        stored: the fields it looks at, if not just `field`; `has:` is true if one has a value.
    """

    meaning: str
    example: str
    compile: Callable[[str], Filter]
    field: str = ""
    stored: tuple[str, ...] = ()


def compiled(name: str, operator: str, values: Sequence[Value]) -> Filter:
    """Return the filter of `name:OPERATOR VALUE`.

    Args:
        name: of a field; case does not matter for those in `FIELDS`.
        operator: one of `OPERATORS`, or "" for the field's own meaning of a value.
        values: one, except for the operator "in".

    Raises:
        QueryError: there is no such field, or the value or the operator does not suit it.
    """
    try:
        return _compiled(name, operator, values)
    except QueryError as error:
        # The name that the user wrote, not that of the column.
        raise QueryError(
            _STORED_NAME.sub(name, error.problem),
            _STORED_NAME.sub(name, str(error.subject)),
            error.advice,
        ) from error


#: The name of a stored field at the beginning of a part of an error.
_STORED_NAME = re.compile(
    rf"^({'|'.join(filters.FIELDS)}|{re.escape(filters.USER_PREFIX)}[^\s:]+)"
    "(?=:| must be | can't be | is compared )"
)


def _compiled(name: str, operator: str, values: Sequence[Value]) -> Filter:
    special = FIELDS.get(name.lower())
    is_home = operator == "~" and values[0].text[:1] == "/" and not values[0].quoted
    if name.lower() == "folder" and is_home:
        # A place in the user's home rather than a pattern, which begins with no "/".
        return _folder(f"~{values[0].text}")
    if special is not None and not operator:
        return special.compile(values[0].text)
    field = special.field if special is not None else _stored_name(name)
    is_whole = not field or field == "colour"  # has no values but those that `compile` knows
    if special is not None and is_whole and operator in ("=", "!=", "in") and values:
        return _any_of(tuple(special.compile(each.text) for each in values), operator)
    if not field:
        raise QueryError(f"{name} takes no operator", operator, f"Write {special_example(name)}.")
    kind = _kind(field)
    if not operator and kind != "place":
        return _plain(field, kind, values[0])
    if kind == "tags" and operator in ("=", "!=", "in") and values:
        return _any_of(
            tuple(_checked(Compare(field, "contains", each.text)) for each in values), operator
        )
    if kind == "time" and operator == "in" and any(SPAN.fullmatch(each.text) for each in values):
        return _any_of(tuple(period(field, "eq", each.text) for each in values), operator)
    known = filters.OPERATORS[filters.field_kind(field)]
    known = (*known, "under") if field in filters.PATHS else known
    if not operator or OPERATORS[operator] not in known:
        symbols = [symbol for symbol, op in OPERATORS.items() if op in known]
        raise QueryError(
            f"{name} doesn't support the operator" if operator else f"{name} has no single value",
            f"{name}:{operator}{values[0].text if values else ''}",
            f"Operators for {name}: {', '.join(symbols)}."
            if symbols
            else "Write near:48.86,2.35,5.",
        )
    if operator == "in":
        return _checked(Compare(field, "in", tuple(_typed(field, kind, v) for v in values)))
    op = OPERATORS[operator]
    if op in ("glob", "contains", "under"):
        return _checked(Compare(field, op, values[0].text))
    if kind == "time" and (not values[0].quoted or SPAN.fullmatch(values[0].text)):
        return period(field, op, values[0].text)
    return _checked(Compare(field, op, _typed(field, kind, values[0])))


def special_example(name: str) -> str:
    """Return an example of a filter with a name in `FIELDS`."""
    return FIELDS[name.lower()].example


def names() -> list[str]:
    """Return all names of fields, sorted."""
    return sorted({*FIELDS, *_STORED, *_metadata()})


def stored_name(name: str) -> str:
    """Return the name in filters of a field that stands for one; "" if it stands for more.

    Raises:
        QueryError: there is no such field.
    """
    special = FIELDS.get(name.lower())
    if special is None:
        return _stored_name(name)
    return "media" if name.lower() == "format" else special.field


# ------------------------------------------------------------------ one field, one value


#: The fields that queries can name; the others are for programs.
_STORED = frozenset(filters.FIELDS) - {"away", "pixels"}


def _stored_name(name: str) -> str:
    """Return the name of a field in filters."""
    if name in _STORED:
        return name
    if name in _metadata():
        return filters.USER_PREFIX + name
    if name.startswith((filters.USER_PREFIX, "user.")):
        return name if name.startswith(filters.USER_PREFIX) else filters.USER_PREFIX + name
    raise QueryError(
        "unknown field",
        name,
        # `date` is the name for people.
        unknown("field", name, (each for each in names() if each != "taken_at"))
        + " Columns of your own are fields.NAME.",
    )


def _metadata() -> Mapping[str, metadata_fields.Field]:
    """Return the fields of the metadata; imported late: a search in words needs none."""
    from pixseek.metadata.fields import FIELDS

    return FIELDS


def _kind(field: str) -> str:
    """Return "text", "number", "truth", "time", "tags", "place" or "any"."""
    metadata = _metadata().get(field.removeprefix(filters.USER_PREFIX))
    if metadata is not None and field.startswith(filters.USER_PREFIX):
        return {str: "text", int: "number", float: "number", bool: "truth"}[metadata.kind]
    return filters.field_kind(field)


def _plain(field: str, kind: str, value: Value) -> Filter:
    """Return the meaning of a value alone: part of a text, a number, a range, a day or a year."""
    if kind in ("text", "tags"):
        return _worded(field, value.text)
    if kind == "time":
        return when(field, value.text)
    if kind == "number" and not value.quoted:
        return _ranged(field, value.text, lambda text: _number(field, text))
    typed = _typed(field, kind, value)
    if kind == "any" and isinstance(typed, str):
        return _worded(field, typed)
    return _checked(Compare(field, "eq", typed))


def _worded(field: str, text: str) -> Filter:
    """Return a comparison with part of a text, or with all of it if it has wildcards."""
    op: Operator = "glob" if "*" in text or "?" in text else "contains"
    return _checked(Compare(field, op, text))


def _any_of(each: tuple[Filter, ...], operator: str) -> Filter:
    """Return that one of some filters holds, or with "!=" that none does."""
    one = each[0] if len(each) == 1 else Or(each)
    return Not(one) if operator == "!=" else one


def _ranged(field: str, text: str, number: Callable[[str], int | float]) -> Filter:
    low, dots, high = text.partition("..")
    if not dots:
        return _checked(Compare(field, "eq", number(text)))
    bounds: list[Filter] = []
    if low:
        bounds.append(Compare(field, "ge", number(low)))
    if high:
        bounds.append(Compare(field, "le", number(high)))
    return joined(bounds, field, text)


def _typed(field: str, kind: str, value: Value) -> Scalar:
    """Return a value in the type of its field."""
    text = value.text
    if kind in ("text", "tags") or (kind == "any" and value.quoted):
        return text
    if kind == "number":
        return _number(field, text)
    if kind == "truth":
        return _truth(field, text)
    if kind == "time":
        found = moment_of(text)
        if found is None:
            raise QueryError("not a time", f"{field}:{text}", TIMES)
        return found
    if text in ("true", "false"):
        return text == "true"
    try:
        return _literal(text)
    except ValueError:
        moment = moment_of(text) if "-" in text[1:] else None
        return text if moment is None else moment


_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3,
          "kib": 1024, "mib": 1024**2, "gib": 1024**3}  # fmt: skip
#: Nothing is given back, or long numbers would take quadratic time.
_FLOAT = r"(?:\d++\.?+\d*+|\.\d++)(?:[eE][+-]?\d++)?+"
_QUANTITY = re.compile(rf"([+-]?{_FLOAT})([A-Za-z]*)")
_FRACTION = re.compile(r"(\d{1,400})/(\d{1,400})")


def _number(field: str, text: str) -> int | float:
    """Return a number; file sizes may have a unit, and exposure times may be 1/125."""
    try:
        return _literal(text)
    except ValueError:
        pass
    found = _QUANTITY.fullmatch(text)
    if found and field == "size" and found[2].lower() in _UNITS:
        quantity = float(found[1]) * _UNITS[found[2].lower()]
        return round(quantity) if math.isfinite(quantity) else quantity
    fraction = _FRACTION.fullmatch(text)
    if fraction and int(fraction[2]):
        try:
            return int(fraction[1]) / int(fraction[2])
        except OverflowError:
            return math.inf
    raise QueryError(
        "not a number",
        f"{field}:{text}",
        "Write 5, >=5 or 1..5" + ("; 2MB, 500kB." if field == "size" else "."),
    )


def _literal(text: str) -> int | float:
    """Return a number as Python writes it.

    Raises:
        ValueError: it is not a number.
    """
    if re.fullmatch(r"[+-]?\d{1,400}", text):
        return int(text)
    if not re.fullmatch(rf"[+-]?{_FLOAT}|[+-]?inf", text):
        raise ValueError(text)
    return float(text)


def _truth(field: str, text: str) -> bool:
    word = text.lower()
    if word in ("true", "yes", "1"):
        return True
    if word in ("false", "no", "0"):
        return False
    raise QueryError("neither true nor false", f"{field}:{text}", "Write yes or no.")


def _checked(compare: Compare) -> Compare:
    filters.check(compare)
    return compare


# ------------------------------------------------------------------ names that mean more


def _folder(text: str) -> Filter:
    text = text.rstrip("/")
    if "*" not in text and "?" not in text:
        return _checked(Compare("folder", "under", text))
    text = text.lstrip("/")
    return Or(
        (
            _checked(Compare("folder", "glob", text)),
            Compare("folder", "glob", f"{text}/*"),
            Compare("uri", "glob", f"{text}/*"),  # with the root's name in front
        )
    )


_PLACE = tuple(
    f"{filters.USER_PREFIX}{part}" for part in ("place", "sublocation", "city", "state", "country")
)


def _camera(text: str) -> Filter:
    """Return the cameras whose maker and model hold a text, or the maker's name in short."""
    from pixseek.metadata.exif import tidy_camera

    whole = " ".join(text.split()) or text
    maker, _ = tidy_camera(whole, "")
    names = dict.fromkeys((whole, maker or whole))
    found = tuple(_worded("camera", name) for name in names)
    return found[0] if len(found) == 1 else Or(found)


def _place(text: str) -> Filter:
    return Or(tuple(_worded(name, text) for name in _PLACE))


_ORIENTATIONS = {
    "landscape": Compare("aspect", "gt", 1),
    "portrait": Compare("aspect", "lt", 1),
    "square": Compare("aspect", "eq", 1),
}


def _orientation(text: str) -> Filter:
    found = _ORIENTATIONS.get(text.lower())
    if found is None:
        raise QueryError("unknown orientation", text, unknown("orientation", text, _ORIENTATIONS))
    return found


def _format(text: str) -> Filter:
    from pixseek.images import FORMATS

    word = text.lower().lstrip(".")
    found = {
        each.media
        for each in FORMATS
        if each.name.lower() == word or f".{word}" in each.endings or each.media == word
        or (word == "raw" and each.family == "raw")
    }  # fmt: skip
    if not found and "/" in word:
        return _checked(Compare("media", "glob", text))  # a type that has no name here
    if not found:
        known = {each.name.lower() for each in FORMATS} | {"raw"}
        raise QueryError("unknown format", text, unknown("format", text, known))
    if len(found) == 1:
        return Compare("media", "eq", found.pop())
    return Compare("media", "in", tuple(sorted(found)))


def _type(text: str) -> Filter:
    word = text.lower()
    if word not in ("image", "video"):
        raise QueryError("unknown type", text, unknown("type", text, ("image", "video")))
    return Compare("media", "glob", f"{word}/*")


def _near(text: str) -> Filter:
    parts = text.split(",")
    try:
        latitude, longitude = float(parts[0]), float(parts[1])
        kilometres = float(parts[2].lower().removesuffix("km")) if len(parts) > 2 else 1.0
        good = (
            len(parts) in (2, 3)
            and abs(latitude) <= 90
            and abs(longitude) <= 180
            and 0 < kilometres < math.inf
        )
    except (ValueError, IndexError):
        good = False
    if not good:
        raise QueryError("not a place", f"near:{text}", "Write near:LATITUDE,LONGITUDE,KILOMETRES.")
    return Compare("location", "near", (latitude, longitude, kilometres))


def _colour(text: str) -> Filter:
    from pixseek.images import COLOUR_NAMES

    word = {"gray": "grey"}.get(text.lower(), text.lower())
    if word not in COLOUR_NAMES:
        raise QueryError("unknown colour", text, unknown("colour", text, COLOUR_NAMES))
    return Compare("colour", "contains", word)


def _has(text: str) -> Filter:
    word = text.lower()
    if word in ("gps", "location"):
        return Compare(f"{filters.USER_PREFIX}latitude", "exists")
    special = FIELDS.get(word)
    names = (special.stored or (special.field,)) if special else (_stored_name(text),)
    found = tuple(_checked(Compare(name, "exists")) for name in names if name)
    return found[0] if len(found) == 1 else Or(found)


def _rating(text: str) -> Filter:
    return _ranged(f"{filters.USER_PREFIX}rating", text, lambda part: _number("rating", part))


_SEEN = f"{filters.USER_PREFIX}text_seen"

#: Short names, and names that mean more than one comparison.
FIELDS: Mapping[str, QueryField] = {
    "folder": QueryField("in this folder or below it", "folder:2021/summer", _folder, "folder"),
    "path": QueryField("part of root, folders and name", "path:*/beach/*",
                       lambda text: _worded("uri", text), "uri"),
    "tag": QueryField("one of its keywords, or a level of one", "tag:holiday",
                      lambda text: _worded("tags", text), "tags"),
    "person": QueryField("name of somebody in it, as the file says", 'person:"Ann Lee"',
                         lambda text: _worded("person", text), "person"),
    "date": QueryField("when the photo was taken", "date:2021-05..2021-08",
                       lambda text: when("taken_at", text), "taken_at"),
    "taken": QueryField("the same as date", "taken:2021-05",
                        lambda text: when("taken_at", text), "taken_at"),
    "year": QueryField("the year it was taken in", "year:2021",
                       lambda text: when("taken_at", text), "taken_at"),
    "after": QueryField("taken after this day, month or year", "after:2023-05",
                        lambda text: period("taken_at", "gt", text), stored=("taken_at",)),
    "before": QueryField("taken before this day, month or year", "before:2020",
                         lambda text: period("taken_at", "lt", text), stored=("taken_at",)),
    "camera": QueryField("part of the camera's maker and model", "camera:nikon", _camera,
                         "camera"),
    "orientation": QueryField("landscape, portrait or square", "orientation:portrait",
                              _orientation, stored=("aspect",)),
    "format": QueryField("format of the file's content", "format:heic", _format,
                         stored=("media",)),
    "type": QueryField("image or video", "type:image", _type, stored=("media",)),
    "colour": QueryField("one of its main colours", "colour:red", _colour, "colour"),
    "color": QueryField("the same as colour", "color:red", _colour, "colour"),
    "near": QueryField("taken within a distance of a place, in km", "near:48.86,2.35,5",
                       _near, stored=("location",)),
    "place": QueryField("name of the place, city, region or country", "place:lisbon", _place,
                        stored=_PLACE),
    "seen": QueryField("text read in the picture (--ocr)", 'seen:"total 12"',
                       lambda text: _worded(_SEEN, text), _SEEN),
    "has": QueryField("this field has a value", "has:gps", _has),
    "rating": QueryField("stars", "rating:4..5", _rating, f"{filters.USER_PREFIX}rating"),
}  # fmt: skip
