"""The fields of a record as a document store indexes them, and filters as tests of those fields.

Stores compare values; they do not fold case, divide, or know time zones. So everything that a
filter can ask for is computed once, in Python, when a record is stored: `fields_of` returns it.
`compiled` turns a filter into a condition: `AllOf`, `AnyOf` and `Negated` over seven kinds of
tests, each of which compares one column with constants. A store translates those ten and means
what `pixseek.filters` means. `holds` evaluates a condition; tests compare it with
`filters.matches`, and the memory store uses it.

A column is a field in one of several kinds, since a user's field may hold any of them, and since a
text is stored twice: in the normal form NFC, and folded (`types.texts`) for wildcards.

| kind | values | of |
|---|---|---|
| text | str in NFC, ordered by code point | texts |
| folded | str, folded | texts; tags and other lists, which have several values |
| written | str as it is | URIs and names, for sorting |
| integer | int of 64 bits | numbers; `mtime` in nanoseconds since 1970 |
| real | finite float64 | aspect and megapixels; a user's numbers that no integer column holds |
| special | -1, 0, 1 | a user's numbers that are -infinity, NaN, infinity |
| truth | bool | truth values |
| wall | int: microseconds from 1970 to the wall clock, whatever its zone | times |
| instant | int: microseconds since 1970 in UTC | times that have a zone |
| place | (latitude, longitude) in degrees | the location |

Folders are tested by `Like`: a file's folded URI, or its path in its root (the column "path"),
begins with that of the folder.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from pixseek import filters
from pixseek.types import And, Compare, Filter, Not, Operator, Or, Order, Record, Scalar
from pixseek.types.dataclass import dataclass
from pixseek.types.texts import composed, folded, tag_names, tag_path
from pixseek.types.wildcards import Wildcard, matcher, pieces

Kind = Literal[
    "text", "folded", "written", "integer", "real", "special", "truth", "wall", "instant", "place"
]  # fmt: skip


class Column(NamedTuple):
    """A field in one kind; its name is the one that filters use, such as "width" or "fields.x"."""

    name: str
    kind: Kind


Value = str | int | float | bool | tuple[float, float]
#: The columns of one record. A column that is missing has no values; only tags have several.
Fields = Mapping[Column, tuple[Value, ...]]


# ------------------------------------------------------------------ the seven tests


@dataclass(frozen=True, slots=True)
class Equal:
    """The column has this value."""

    column: Column
    value: Value


@dataclass(frozen=True, slots=True)
class Range:
    """The column has a value on this side of a bound; its kind is text, integer, real or a time."""

    column: Column
    op: Literal["lt", "le", "gt", "ge"]
    value: str | int | float


@dataclass(frozen=True, slots=True)
class OneOf:
    """The column has one of these values, of which there are at least two."""

    column: Column
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """The column, of kind "folded", has a value that fits a pattern as a whole."""

    column: Column
    pattern: tuple[str | Wildcard, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """The column has a value."""

    column: Column


@dataclass(frozen=True, slots=True)
class Within:
    """The column, of kind "place", is within some kilometres of a centre, on a sphere."""

    column: Column
    centre: tuple[float, float]
    kilometres: float


@dataclass(frozen=True, slots=True)
class Never:
    """No record fulfils this."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of these hold; true if there are none."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of these holds; false if there are none."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """This does not hold, for instance because the column has no value."""

    condition: Condition


Condition = Equal | Range | OneOf | Like | Exists | Within | Never | AllOf | AnyOf | Negated

#: The column by which each order sorts.
ORDERS: Mapping[Order, Column] = {
    "uri": Column("uri", "written"),
    "name": Column("name", "written"),
    "taken_at": Column("taken_at", "wall"),
    "mtime": Column("mtime", "integer"),
    "size": Column("size", "integer"),
}

_WHOLE_NUMBERS = ("width", "height", "size")
_INT64 = range(-(2**63), 2**63)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The kinds that a user's field can have, one of which is there if it has a value.
_USER_KINDS: tuple[Kind, ...] = ("text", "integer", "real", "special", "truth", "wall")
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip


# ------------------------------------------------------------------ from a record


def fields_of(record: Record) -> Fields:
    """Return all columns of a record that have a value."""
    columns: dict[Column, tuple[Value, ...]] = {}
    for name in ("id", "uri", "folder", "name"):
        columns |= _columns_of(name, getattr(record, name))
    for name in ("uri", "name"):
        columns[Column(name, "written")] = (getattr(record, name),)
    for name in ("root", "media", "digest", "pixels", "caption"):  # "" means unknown
        columns |= _columns_of(name, getattr(record, name) or None)
    columns |= _columns_of("width", record.width or None)
    columns |= _columns_of("height", record.height or None)
    columns |= _columns_of("taken_at", record.taken_at)
    if record.stamp is not None:
        columns |= _columns_of("size", record.stamp.size)
        columns |= _columns_of("mtime", record.stamp.mtime_ns)
    for name in filters.DERIVED:
        ratio = filters.derived(name, record.width, record.height)
        if ratio is not None:
            columns[Column(name, "real")] = (ratio,)
    columns[Column("path", "folded")] = (folded(record.relative_path),)
    columns |= _columns_of("camera", filters.camera(record.fields))
    if record.tags:
        names = (name for tag in record.tags for name in tag_names(tag))
        columns[Column("tags", "folded")] = tuple(dict.fromkeys(names))
    for name in filters.LISTS:
        if words := filters.listed(name, record.fields):
            columns[Column(name, "folded")] = tuple(map(folded, words))
    place = filters.location(record.fields)
    if place is not None:
        columns[Column("location", "place")] = (place,)
    columns[Column("away", "truth")] = (record.away,)
    for name, value in record.fields.items():
        columns |= _columns_of(filters.USER_PREFIX + name, value)
    return columns


def _columns_of(name: str, value: Scalar) -> Fields:
    """Return the columns of one value; a number has exactly one, of whichever kind is exact."""
    match value:
        case None:
            return {}
        case str():
            return {
                Column(name, "text"): (composed(value),),
                Column(name, "folded"): (folded(value),),
            }
        case bool():
            return {Column(name, "truth"): (value,)}
        case datetime():
            wall = {Column(name, "wall"): (_wall_us(value),)}
            if value.tzinfo is None:
                return wall
            return {**wall, Column(name, "instant"): (filters.instant_us(value),)}
        case int() | float():
            kind, number = _home(value)
            return {Column(name, kind): (number,)}


def _home(number: int | float) -> tuple[Kind, int | float]:
    """Return the kind of column that holds a number exactly, and the number there."""
    if isinstance(number, float) and not math.isfinite(number):
        return "special", 0 if math.isnan(number) else 1 if number > 0 else -1
    if number == int(number) and int(number) in _INT64:
        return "integer", int(number)
    return "real", filters.as_float(number)


def _wall_us(moment: datetime) -> int:
    return filters.instant_us(moment.replace(tzinfo=UTC))


# ------------------------------------------------------------------ from a filter


def compiled(where: Filter) -> Condition:
    """Return the condition that a record's columns fulfil if the record fulfils a filter.

    Args:
        where: one that `filters.check` accepts.
    """
    match where:
        case And(parts):
            return AllOf(tuple(map(compiled, parts)))
        case Or(parts):
            return AnyOf(tuple(map(compiled, parts)))
        case Not(inner):
            return Negated(compiled(inner))
        case Compare(name, "exists"):
            return _any(Exists(Column(name, kind)) for kind in _kinds(name))
        case Compare(name, "ne", value):
            there = compiled(Compare(name, "exists"))
            return AllOf((there, Negated(compiled(Compare(name, "eq", value)))))
        case Compare(name, "in", value):
            assert isinstance(value, tuple)
            return _one_of([compiled(Compare(name, "eq", each)) for each in value])
        case Compare(name, "near", value):
            return Within(Column(name, "place"), *filters.circle(value))
        case Compare("tags", ("glob" | "contains") as op, value):
            path = tag_path(str(value))
            column = Column("tags", "folded")
            return Equal(column, path) if op == "contains" else Like(column, _pattern(path))
        case Compare(name, "glob", value):
            return Like(Column(name, "folded"), _pattern(str(value)))
        case Compare(name, "contains", value) if name in filters.LISTS:
            return Equal(Column(name, "folded"), folded(str(value)))
        case Compare(name, "contains", value):
            part = folded(str(value))
            return Like(Column(name, "folded"), (Wildcard.ANY, part, Wildcard.ANY))
        case Compare(name, "under", value):
            beginning = filters.beginning_of(name, str(value))
            if not beginning:
                return AllOf(())
            paths = ("uri", "path") if name == "folder" else ("uri",)
            pattern = (beginning, Wildcard.ANY)
            return _any([Like(Column(path, "folded"), pattern) for path in paths])
        case Compare(name, op, value):
            assert not isinstance(value, tuple)
            return _compared(name, op, value)


def _kinds(name: str) -> tuple[Kind, ...]:
    """Return the kinds of columns of which a field has one if it has a value."""
    kind = filters.field_kind(name)
    if name in filters.DERIVED:
        return ("real",)
    if name == "mtime":
        return ("integer",)
    if kind == "any":
        return _USER_KINDS
    own: dict[str, Kind] = {
        "text": "text", "number": "integer", "time": "wall", "tags": "folded", "place": "place",
        "truth": "truth",
    }  # fmt: skip
    return (own[kind],)


def _compared(name: str, op: Operator, value: Scalar) -> Condition:
    """Return a comparison by "eq" or by order with one value."""
    if name == "mtime":
        return _whole(Column(name, "integer"), op, filters.mtime_value_ns(value))
    if name in filters.DERIVED:
        return _real(Column(name, "real"), op, filters.as_float(value))
    match value:
        case bool():
            fitting = [each for each in (False, True) if _fits(op, each, value)]
            return _one_of([Equal(Column(name, "truth"), each) for each in fitting])
        case datetime():
            return _time(name, op, value)
        case int() | float() if name in _WHOLE_NUMBERS:
            return _whole(Column(name, "integer"), op, value)
        case int() | float() if op == "eq":
            kind, number = _home(value)
            exact = kind == "special" or number == value
            return Equal(Column(name, kind), number) if exact else Never()
        case int() | float():
            infinite = [each for each in (-1, 1) if _fits(op, each * math.inf, value)]
            special = [Equal(Column(name, "special"), each) for each in infinite]
            whole = _whole(Column(name, "integer"), op, value)
            return _any((whole, _real(Column(name, "real"), op, value), *special))
        case _:
            return _bound(Column(name, "text"), op, composed(str(value)))


def _fits(op: str, stored: Any, value: Any) -> bool:
    return bool(stored == value if op == "eq" else _ORDER[op](stored, value))


def _time(name: str, op: Operator, value: datetime) -> Condition:
    """Return a comparison with a time: of instants if both have a zone, else of wall clocks."""
    wall = _bound(Column(name, "wall"), op, _wall_us(value))
    if value.tzinfo is None:
        return wall
    instant = Column(name, "instant")
    zoned = _bound(instant, op, filters.instant_us(value))
    return AnyOf((zoned, AllOf((Negated(Exists(instant)), wall))))


def _whole(column: Column, op: str, value: int | float) -> Condition:
    """Return a comparison of integers of 64 bits with any number, by a bound of their own kind."""
    if isinstance(value, float) and math.isfinite(value):
        nearest = math.floor(value)
        if nearest != value:  # between two integers: "at most the lower" or "above the lower"
            if op == "eq":
                return Never()
            op = "le" if op in {"lt", "le"} else "gt"
        value = nearest
    return _within_limits(column, op, value, _INT64[0], _INT64[-1])


def _real(column: Column, op: str, value: int | float) -> Condition:
    """Return a comparison of finite floats with any number."""
    nearest = filters.as_float(value)
    if math.isfinite(nearest) and nearest != value:  # an integer between two floats
        less = op in {"lt", "le"}
        op = ("le" if less else "gt") if nearest < value else ("lt" if less else "ge")
    largest = math.nextafter(math.inf, 0)
    return _within_limits(column, op, nearest, -largest, largest)


def _within_limits(
    column: Column, op: str, value: int | float, least: int | float, most: int | float
) -> Condition:
    """Return a comparison with a value that may lie beyond all that the column can hold."""
    if least <= value <= most:
        return _bound(column, op, value)
    all_fit = op in {"lt", "le"} if value > most else op in {"gt", "ge"}
    return Exists(column) if all_fit else Never()


def _bound(column: Column, op: str, value: str | int | float) -> Condition:
    if op == "eq":
        return Equal(column, value)
    assert op in ("lt", "le", "gt", "ge")
    return Range(column, op, value)  # type: ignore[arg-type]


def _one_of(conditions: Sequence[Condition]) -> Condition:
    """Return that one of some conditions holds, with the equalities of a column in one test."""
    values: dict[Column, dict[Value, None]] = {}
    others: list[Condition] = []
    for each in conditions:
        match each:
            case Equal(column, value):
                values.setdefault(column, {})[value] = None
            case AnyOf(inner):
                others.append(_one_of(inner))
            case Never():
                pass
            case _:
                others.append(each)
    equal = (
        OneOf(column, tuple(some)) if len(some) > 1 else Equal(column, next(iter(some)))
        for column, some in values.items()
    )
    return _any((*equal, *others))


def _any(conditions: Iterator[Condition] | Sequence[Condition]) -> Condition:
    some = tuple(each for each in conditions if not isinstance(each, Never))
    if not some:
        return Never()
    return some[0] if len(some) == 1 else AnyOf(some)


def _pattern(glob: str) -> tuple[str | Wildcard, ...]:
    """Return a glob in pieces, folded."""
    return pieces(folded(glob))


# ------------------------------------------------------------------ evaluation


def holds(condition: Condition, fields: Fields) -> bool:
    """Return whether the columns of a record fulfil a condition."""
    match condition:
        case AllOf(conditions):
            return all(holds(each, fields) for each in conditions)
        case AnyOf(conditions):
            return any(holds(each, fields) for each in conditions)
        case Negated(inner):
            return not holds(inner, fields)
        case Never():
            return False
        case Equal(column, value):
            return value in fields.get(column, ())
        case OneOf(column, values):
            return any(each in values for each in fields.get(column, ()))
        case Exists(column):
            return column in fields
        case Range(column, op, value):
            return any(_ORDER[op](each, value) for each in fields.get(column, ()))
        case Like(column, pattern):
            fits = matcher(pattern)
            return any(fits(str(each)) for each in fields.get(column, ()))
        case Within(column, centre, kilometres):
            return any(
                filters.distance_km(place, centre) <= kilometres
                for place in fields.get(column, ())
                if isinstance(place, tuple)
            )
