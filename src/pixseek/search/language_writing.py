"""Filters as text in the language of the search box; the inverse of reading them.

A filter is written as people type it, `year:2021` and not two comparisons of `taken_at`, if reading
that gives the very same filter.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any

from pixseek import filters
from pixseek.errors import QueryError
from pixseek.search import typography
from pixseek.search.language_fields import FIELDS, OPERATORS, Value, compiled
from pixseek.types import And, Compare, Filter, Not, Or
from pixseek.types.queries import comparisons

#: A value that needs no quotation marks.
_BARE = re.compile(r"[\w*?][\w*?./\-]*")


def to_text(where: Filter) -> str:
    """Return a filter in the language; parsing it returns the same filter."""
    if (said := short(where)) is not None:
        return said
    match where:
        case And(parts):
            return f"({' '.join(to_text(part) for part in parts)})"
        case Or(parts):
            return f"({' OR '.join(to_text(part) for part in parts)})"
        case Not(Not() as inner):
            return f"-({to_text(inner)})"
        case Not(inner):
            return f"-{to_text(inner)}"
        case Compare():
            return _compare_text(where)


def parts(where: Filter) -> list[Filter]:
    """Return the filters that all must hold for one to hold, as people write them."""
    if isinstance(where, And) and not short(where):
        return [part for each in where.filters for part in parts(each)]
    return [where]


def value_text(value: Any) -> str:
    """Return a value in the language: texts in quotes, others bare."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return quoted(value)
    return repr(value)


def quoted(text: str) -> str:
    """Return a text in quotation marks."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _compare_text(compare: Compare) -> str:
    name, op, value = compare.field, compare.op, compare.value
    if op == "near" and isinstance(value, tuple):
        return f"near:{','.join(map(repr, value))}"
    for shown in (*(each for each in _names([compare]) if each != "year"), name):
        if op == "exists":
            text, symbol, values = f"has:{shown}", "", [Value(shown)]
        elif op == "in" and isinstance(value, tuple):
            values = [Value(value_text(each).strip('"'), isinstance(each, str)) for each in value]
            text, symbol = f"{shown}:in({','.join(map(value_text, value))})", "in"
        else:
            symbol = next(symbol for symbol, each in OPERATORS.items() if each == op)
            plain = value if isinstance(value, str) else value_text(value)
            values = [Value(str(plain), isinstance(value, str))]
            text = f"{shown}:{symbol}{value_text(value)}"
        if shown == name or _means("has" if op == "exists" else shown, symbol, values, compare):
            return text
    raise AssertionError("the stored name is one of the names")


# ------------------------------------------------------------------ as people type them


def short(where: Filter) -> str | None:
    """Return a filter as one field with its value; None if it is more than that."""
    if isinstance(where, Not):
        return None
    compares = list(comparisons(where))
    if not 1 <= len(compares) <= 12:
        return None
    for name in _names(compares):
        if name != "year" and _means("has", "", [Value(name)], where):
            return f"has:{name}"
        for value in _values(compares):
            if (name == "year" and not value.isdecimal()) or (name == "format" and "/" in value):
                continue
            bare = Value(value)
            if _BARE.fullmatch(value) and typography.plain_value(value) == value:
                if _means(name, "", [bare], where):
                    return f"{name}:{value}"
            elif _means(name, "", [Value(value, True)], where):
                return f"{name}:{quoted(value)}"
    return None


def _names(compares: list[Compare]) -> Iterator[str]:
    """Yield the names that people may have typed for the fields of some comparisons."""
    stored = {each.field for each in compares}
    # A year is shorter than a date.
    for name, field in sorted(FIELDS.items(), key=lambda item: item[0] != "year"):
        if stored <= {field.field, *field.stored}:
            yield name
    if len(stored) == 1:
        (name,) = stored
        yield name.removeprefix(filters.USER_PREFIX)


def _values(compares: list[Compare]) -> Iterator[str]:
    """Yield the values that people may have typed for some comparisons."""
    texts = dict.fromkeys(each.value for each in compares if isinstance(each.value, str))
    if compares[0].field == "media":
        yield from (part for text in texts for part in reversed(text.split("/")))
    yield from texts
    if compares[0].field == "aspect":
        yield from ("landscape", "portrait", "square")
    times = [each.value for each in compares if isinstance(each.value, datetime)]
    numbers = [each.value for each in compares if isinstance(each.value, int | float)]
    if len(times) == len(compares) <= 2 and not any(each.time() > time.min for each in times):
        lows, highs = _days(times[0]), _days(times[-1])
        with contextlib.suppress(OverflowError):  # the first day of all
            highs = [*_days(times[-1] - timedelta(days=1)), *highs]
        yield from (low for low in lows if low in highs)
        yield from (f"{low}..{high}" for low in lows for high in highs)
        yield from (f"{low}.." for low in lows)
        yield from highs
    elif len(numbers) == len(compares) <= 2:
        yield from map(value_text, numbers)
        yield f"{numbers[0]!r}..{numbers[-1]!r}"


def _days(moment: datetime) -> list[str]:
    """Return the year, the month and the day of a moment, as people write them."""
    day = moment.date().isoformat()
    return [day[:4], day[:7], day]


def _means(name: str, operator: str, values: list[Value], where: Filter) -> bool:
    """Return whether a field with a value is this filter: not just an equal one, as 1 and True."""
    with contextlib.suppress(QueryError):
        return repr(compiled(name, operator, values)) == repr(where)
    return False
