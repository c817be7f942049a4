"""Dates as tables write them: as ISO 8601 does, or with the day, the month or the year first."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal, get_args

#: How dates are written that ISO 8601 does not know: 24.12.2020, 12/24/2020, 2020/12/24.
Order = Literal["day-first", "month-first", "year-first"]
ORDERS: tuple[Order, ...] = get_args(Order)

_ISO = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?( ?(Z|UTC|[+-]\d\d(:?\d\d)?))?)?"
)
#: Years have four digits, so that a date of two-digit numbers is not taken for another.
_ORDERED = re.compile(
    r"(?:(?P<first>\d\d?)(?P<mark>[./-])(?P<second>\d\d?)(?P=mark)(?P<year>\d{4})"
    r"|(?P<before>\d{4})(?P<mark_>[./:-])(?P<month>\d\d?)(?P=mark_)(?P<day>\d\d?))"
    r"(?:,?[T ](?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<s>\d\d)(?:\.\d{1,9})?)?"
    r"(?: ?(?P<half>[ap])m)?)?",
    re.IGNORECASE,
)


def iso(text: str) -> datetime | None:
    """Return the date and time that a text is in ISO 8601; None if it is not one."""
    if not _ISO.fullmatch(text):
        return None
    text = re.sub(r" ?(UTC|Z)$", "+00:00", text)
    text = re.sub(r"(\.\d{6})\d+", r"\1", text)
    text = re.sub(r"\.(\d{1,5})(?=$|[+-])", lambda part: "." + part[1].ljust(6, "0"), text)
    text = re.sub(r"([+-]\d\d)(\d\d)?$", lambda part: f"{part[1]}:{part[2] or '00'}", text) if (
        re.search(r":\d\d.*[+-]\d\d(\d\d)?$", text)
    ) else text  # fmt: skip
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def ordered(text: str, order: Order) -> datetime | None:
    """Return the date and time that a text is in an order; None if it is not one."""
    return _readings(text).get(order)


class Orders:
    """In which orders all dates of a column can be read."""

    def __init__(self, *, american: bool) -> None:
        """Begin without dates; `american`: 5/6/2024 is the 6th of May if no date tells."""
        self._american = american
        self._possible: set[Order] = set(ORDERS)
        self._marks: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._possible)

    def see(self, text: str) -> None:
        """Take in a cell."""
        self._possible &= _readings(text).keys()
        if self._possible:
            self._marks.add(next(each for each in text if not each.isdigit()))

    def fit(self, order: Order) -> bool:
        """Return whether all cells are dates in an order."""
        return order in self._possible

    @property
    def are_clear(self) -> bool:
        """Whether only one order is possible; between dots the day is first everywhere."""
        return len(self._possible) == 1 or self._marks == {"."}

    @property
    def best(self) -> Order | None:
        """The order to read them in; None if a cell is not a date in any."""
        if len(self._possible) > 1:
            return "month-first" if self._american and self._marks == {"/"} else "day-first"
        return next(iter(self._possible), None)


def _readings(text: str) -> dict[Order, datetime]:
    """Return what a text may stand for, by the order of its parts."""
    found = _ORDERED.fullmatch(text)
    if found is None:
        return {}
    hour, half = int(found["hour"] or 0), (found["half"] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            return {}
        hour = hour % 12 + (12 if half == "p" else 0)
    dates: dict[Order, tuple[str, str, str]] = (
        {"year-first": (found["before"], found["month"], found["day"])}
        if found["before"]
        else {
            "day-first": (found["year"], found["second"], found["first"]),
            "month-first": (found["year"], found["first"], found["second"]),
        }
    )
    readings: dict[Order, datetime] = {}
    for order, date in dates.items():
        try:
            year, month, day = map(int, date)
            minute, second = int(found["minute"] or 0), int(found["s"] or 0)
            readings[order] = datetime(year, month, day, hour, minute, second)
        except ValueError:
            continue
    return readings
