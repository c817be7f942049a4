"""Counts of what records have in common: per folder, year, camera, tag, colour and format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from pixseek.images import FORMATS
from pixseek.types import Record

#: By the name of the facet: how many records have each value, the commonest first.
Facets = dict[str, dict[str, int]]


def count(records: Iterable[Record], most: int = 10) -> Facets:
    """Return the counts of each facet; a record without a value is not counted.

    Args:
        records: what to count.
        most: values of each facet at most, the commonest; ties by name.
    """
    counters: dict[str, Counter[str]] = {name: Counter() for name in _VALUES}
    for record in records:
        for name, values in _VALUES.items():
            counters[name].update(set(values(record)))
    return {
        name: dict(sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:most])
        for name, counter in counters.items()
    }


def _year(record: Record) -> list[str]:
    return [str(record.taken_at.year)] if record.taken_at else []


def _camera(record: Record) -> list[str]:
    words = [record.fields.get("camera_make"), record.fields.get("camera_model")]
    name = " ".join(str(word) for word in words if word)
    return [name] if name else []


def _colours(record: Record) -> list[str]:
    names = record.fields.get("colour_names")
    return names.split(", ") if isinstance(names, str) and names else []


def _format(record: Record) -> list[str]:
    known = next((each.name for each in FORMATS if each.media == record.media), record.media)
    return [known] if known else []


_VALUES: dict[str, Callable[[Record], list[str]]] = {
    "folder": lambda record: [record.uri.rpartition("/")[0]],
    "year": _year,
    "camera": _camera,
    "tag": lambda record: list(record.tags),
    "colour": _colours,
    "format": _format,
}
