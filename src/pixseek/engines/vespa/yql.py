"""Conditions of pixseek as YQL, the query language of Vespa.

Texts are bound as parameters (`@v0`), never pasted. Numbers can't be: Vespa takes no parameter as
a bound of `range`, a number compared with "=" or an argument of `geoBoundingBox`. They are written
by `_number`, which takes integers and finite floats only. Names of fields are those of `schema`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from pixseek.engines import tokens
from pixseek.engines.stored_fields import (
    AllOf,
    AnyOf,
    Column,
    Condition,
    Equal,
    Exists,
    Like,
    Negated,
    Never,
    OneOf,
    Range,
    Value,
    Within,
    compiled,
)
from pixseek.engines.vespa.documents import LEAST, MOST, escaped, own_key, quotable
from pixseek.engines.vespa.schema import COLUMNS, OWN, Slot
from pixseek.filters import EARTH_KM
from pixseek.types import Filter

#: Vespa may fold, stem or split what it compares; these are compared as they are.
_AS_IS = "{implicitTransforms: false}"
_LEAST_REAL, _MOST_REAL = -sys.float_info.max, sys.float_info.max
#: Degrees by which an area is enlarged, since Vespa rounds places to a millionth.
_ROUNDED = 1e-5


class Yql:
    """A query that is being written.

    Attributes:
        parameters: the texts in it, by the name of their parameter.
    """

    def __init__(self) -> None:
        self.parameters: dict[str, str] = {}

    def bound(self, text: str) -> str:
        """Return how a text is named in the query."""
        name = f"v{len(self.parameters)}"
        self.parameters[name] = text
        return f"@{name}"

    def has(self, field: str, text: str) -> str:
        """Return that a field of texts has one."""
        return f"{field} contains ({_AS_IS}{self.bound(text)})"

    def has_any(self, field: str, texts: Sequence[str]) -> str:
        """Return that a field of texts has one of some; texts are `quotable`."""
        quoted = (f'"{text}"' for text in texts)
        return f"{field} in ({self.bound(','.join(quoted))})"

    def is_any(self, field: str, texts: Sequence[str]) -> str:
        """Return that a field of texts has one of some; texts are `escaped`."""
        listed = [text for text in texts if '"' not in text]
        each = [self.has(field, text) for text in texts if '"' in text]
        return any_of([*each, *([self.has_any(field, listed)] if listed else [])])

    def held(self, slot: Slot, where: Filter | None, *, bare: bool = False) -> str:
        """Return that a document is in a space, and fulfils a filter.

        Args:
            slot: of the space.
            where: the filter, of comparisons that `tokens.is_expressed` accepts.
            bare: only documents without vectors.
        """
        there = f"{slot.parts} = 0" if bare else ranged(slot.parts, 0, 2**31 - 1)
        return there if where is None else f"{there} and {self.condition(compiled(where))}"

    def condition(self, condition: Condition) -> str:
        """Return a condition in YQL."""
        match condition:
            case AllOf(some):
                return all_of([self.condition(each) for each in some])
            case AnyOf(some):
                return any_of([self.condition(each) for each in some])
            case Negated(inner):
                return none_of(self.condition(inner))
            case Never():
                return "false"
            case Equal(column, value) if column in tokens.NUMBERS:
                return _equal(column, value)
            case Equal(column, value):
                if column.kind == "place":
                    return "false"
                return self._token(tokens.equal(column, value))
            case OneOf(column, values) if column in tokens.NUMBERS:
                return any_of([_equal(column, value) for value in values])
            case OneOf(column, values):
                texts = [quotable(tokens.equal(column, value)) for value in values]
                return self.has_any("tokens", texts)
            case Exists(column):
                return self._token(tokens.exists(column))
            case Range(column, op, value):
                return self._side(column, op, value)
            case Like(column, pattern):
                token = tokens.token_like(column, pattern)
                assert token is not None  # `supports` says so
                return self._token(token)
            case Within(column, centre, kilometres):
                boxes = (
                    f"geoBoundingBox({COLUMNS[column]}, {_listed(each)})"
                    for each in boxes_around(*centre, kilometres)
                )
                return any_of([*boxes])

    def _token(self, token: str) -> str:
        return self.has("tokens", quotable(token))

    def _side(self, column: Column, op: str, value: Value) -> str:
        """Return that a column has a value on one side of another."""
        assert isinstance(value, int | float)
        least, most = _interval(column, op, value)
        if least > most:
            return "false"
        if column in tokens.NUMBERS:
            return ranged(COLUMNS[column], least, most)
        key = self.has("key", escaped(own_key(column)))
        return f"{OWN[column.kind]} contains sameElement({key}, {ranged('value', least, most)})"


def all_of(conditions: Sequence[str]) -> str:
    """Return that all of some conditions hold."""
    return f"({' and '.join(conditions)})" if conditions else "true"


def any_of(conditions: Sequence[str]) -> str:
    """Return that one of some conditions holds; of none that nothing does."""
    return f"({' or '.join(conditions)})" if conditions else "false"


def none_of(condition: str) -> str:
    """Return that a condition does not hold."""
    return f"(true and !({condition}))"  # Vespa takes no query that only excludes


def ranged(field: str, least: int | float, most: int | float) -> str:
    """Return that a number is within closed bounds."""
    return f"range({field}, {_number(least)}, {_number(most)})"


def stored(column: Column, value: Value) -> int | float:
    """Return a number as it is stored."""
    assert isinstance(value, int | float)
    return float(value) if column.kind == "real" else max(int(value), LEAST)


def _listed(numbers: Sequence[int | float]) -> str:
    return ", ".join(map(_number, numbers))


def _equal(column: Column, value: Value) -> str:
    number = stored(column, value)
    return ranged(COLUMNS[column], number, number)


def _interval(column: Column, op: str, value: int | float) -> tuple[int | float, int | float]:
    """Return the least and the greatest of the values on one side of a bound."""
    number = stored(column, value)
    if column.kind == "real":
        bounds = {
            "lt": (_LEAST_REAL, math.nextafter(number, -math.inf)), "le": (_LEAST_REAL, number),
            "gt": (math.nextafter(number, math.inf), _MOST_REAL), "ge": (number, _MOST_REAL),
        }  # fmt: skip
        return bounds[op]
    whole = {
        "lt": (LEAST, number - 1), "le": (LEAST, number),
        "gt": (number + 1, MOST), "ge": (number, MOST),
    }  # fmt: skip
    return whole[op]


def _number(value: int | float) -> str:
    """Return a number as YQL reads it; anything else is refused."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise AssertionError(value)
    return repr(value) if isinstance(value, float) else str(value)


def boxes_around(
    latitude: float, longitude: float, kilometres: float
) -> list[tuple[float, float, float, float]]:
    """Return areas in degrees that hold all places within a distance.

    Returns:
        One area, or two on both sides of the date line: south, west, north, east.
    """
    angle = kilometres / EARTH_KM
    reach = math.degrees(angle) + _ROUNDED
    south, north = max(-90.0, latitude - reach), min(90.0, latitude + reach)
    widest = math.sin(min(angle, math.pi / 2)) / max(math.cos(math.radians(latitude)), 1e-12)
    if south <= -90 or north >= 90 or widest >= 1:
        return [(south, -180.0, north, 180.0)]
    half = math.degrees(math.asin(widest)) + _ROUNDED
    west, east = longitude - half, longitude + half
    if west < -180:
        return [(south, -180.0, north, east), (south, west + 360, north, 180.0)]
    if east > 180:
        return [(south, west, north, 180.0), (south, -180.0, north, east - 360)]
    return [(south, west, north, east)]
