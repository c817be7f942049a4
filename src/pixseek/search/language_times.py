"""Times in the query language: years, months, days and moments, and ranges of them."""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta

from pixseek import filters
from pixseek.errors import QueryError
from pixseek.types import And, Compare, Filter, Not, Operator

#: How times are written, for errors.
TIMES = "Write 2021, 2021-05, 2021-05-03, 2021-05-03T14:30, or a range such as 2021..2022-06."
_DAY = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")
#: What stands for more than one moment.
SPAN = re.compile(rf"{_DAY.pattern}|(?i:none)")


def _span(field: str, text: str) -> tuple[datetime, datetime | None]:
    """Return when a year, month or day begins, and when the next one does.

    The second is None for a moment.
    """
    found = _DAY.fullmatch(text)
    try:
        if found is None:
            moment = moment_of(text)
            if moment is None:
                raise ValueError(text)
            return moment, None
        year, month, day = (int(part) if part else 0 for part in found.groups())
        start = datetime(year, month or 1, day or 1)
        days = (
            1 if day
            else calendar.monthrange(year, month)[1] if month
            else 366 if calendar.isleap(year)
            else 365
        )  # fmt: skip
    except ValueError as error:
        raise QueryError("not a date", f"{field}:{text}", TIMES) from error
    try:
        return start, start + timedelta(days=days)
    except OverflowError:
        return start, datetime.max  # of the year 9999 a microsecond is missing


def moment_of(text: str) -> datetime | None:
    """Return the moment that a text in ISO 8601 names; None if it names none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def when(field: str, text: str) -> Filter:
    """Return the filter for a date, or for a range of dates, both ends included."""
    low, dots, high = text.partition("..")
    if not dots:
        return period(field, "eq", text)
    bounds: list[Filter] = []
    if low:
        bounds.append(period(field, "ge", low))
    if high:
        bounds.append(period(field, "le", high))
    return joined(bounds, field, text)


def period(field: str, op: Operator, text: str) -> Filter:
    """Return a comparison with all of a year, a month or a day; or with a moment, exactly.

    The date "none" stands for images without one, as facets print it.
    """
    if op in ("eq", "ne") and text.lower() == "none":
        known = Compare(field, "exists")
        return known if op == "ne" else Not(known)
    start, end = _span(field, text)
    if end is None:
        return _checked(Compare(field, op, start))
    inside = And((Compare(field, "ge", start), Compare(field, "lt", end)))
    periods: dict[Operator, Filter] = {
        "eq": inside,
        "ne": Not(inside),
        "lt": Compare(field, "lt", start),
        "ge": Compare(field, "ge", start),
        "gt": Compare(field, "ge", end),
        "le": Compare(field, "lt", end),
    }
    return periods[op]


def joined(bounds: list[Filter], field: str, text: str) -> Filter:
    """Return the filter of a range with one or two bounds.

    Raises:
        QueryError: it has none.
    """
    if not bounds:
        raise QueryError("range without an end", f"{field}:{text}", "Write 1..5, 1.. or ..5.")
    return bounds[0] if len(bounds) == 1 else And(tuple(bounds))


def _checked(compare: Compare) -> Compare:
    filters.check(compare)
    return compare
