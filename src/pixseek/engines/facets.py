"""What a record counts under in each facet, and counts from groups of records that are alike."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from pixseek.engines import columns
from pixseek.types import FacetField, Record


def count(field: FacetField, groups: Iterable[tuple[Record, int]], most: int) -> dict[str, int]:
    """Return how many records have each value of a facet, the commonest first, ties by value.

    Args:
        field: the facet.
        groups: records, and how many others count under the same values as each, itself included.
        most: how many values at most.
    """
    counter: Counter[str] = Counter()
    for record, alike in groups:
        for value in set(VALUES[field](record)):
            counter[value] += alike
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:most])


def record_of(field: FacetField, stored: str) -> Record:
    """Return a record that counts under the same values as one of which a database gives a part.

    Args:
        field: the facet.
        stored: of "folder" the URI up to its last "/"; of "year" four digits; of "tag" and
            "format" the columns `tags` and `media` (see `columns.Columns`); of "camera" and
            "colour" a JSON list of the fields `camera_make` and `camera_model`, or `colour_names`.
    """
    match field:
        case "folder":
            return Record("", stored)
        case "year":
            return Record("", "", taken_at=datetime(int(stored), 1, 1))
        case "tag":
            return Record("", "", tags=columns.tags_from_json(stored))
        case "format":
            return Record("", "", media=stored)
        case "camera":
            names = ["camera_make", "camera_model"]
        case "colour":
            names = ["colour_names"]
    values = (columns.scalar_from_json(value) for value in json.loads(stored))
    return Record("", "", fields=dict(zip(names, values, strict=False)))


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
    from pixseek.images import FORMATS  # takes longer to import than to search once

    known = next((each.name for each in FORMATS if each.media == record.media), record.media)
    return [known] if known else []


#: The values of a record in each facet.
VALUES: Mapping[FacetField, Callable[[Record], list[str]]] = {
    "folder": lambda record: [record.uri.rpartition("/")[0]],
    "year": _year,
    "camera": _camera,
    "tag": lambda record: list(record.tags),
    "colour": _colours,
    "format": _format,
}
