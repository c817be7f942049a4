"""Facets in the embedded engine: values of records, grouped; `engines.facets` reads the groups."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from pixseek.engines import facets as facets_
from pixseek.types import FacetField

#: What records are grouped by; by their folder, of a URI.
_GROUPED_BY: dict[FacetField, str] = {
    "folder": "uri",
    "year": "substr(taken_at, 1, 4)",
    "camera": "json_extract(fields, '$.camera_make', '$.camera_model')",
    "tag": "tags",
    "person": "json_extract(fields, '$.people', '$.people')",
    "colour": "json_extract(fields, '$.colour_names', '$.colour_names')",
    "format": "media",
}


#: Fields of few values, which SQLite groups faster than Python does.
_FEW: frozenset[FacetField] = frozenset({"year", "format"})


def facets(
    db: sqlite3.Connection,
    condition: str,
    parameters: Sequence[Any],
    fields: Sequence[FacetField],
    most: int,
) -> dict[str, dict[str, int]]:
    """Return the counts of some fields among the records that fulfil a condition."""
    counted: dict[str, dict[str, int]] = {}
    for field in fields:
        groups = _groups(db, field, condition, parameters)
        words = (
            (facets_.words_of(field, value), alike)
            for value, alike in groups
            if value is not None or field == "year"
        )
        counted[field] = facets_.count_words(field, words, most)
    return counted


def _groups(
    db: sqlite3.Connection, field: FacetField, condition: str, parameters: Sequence[Any]
) -> Iterable[tuple[str | None, int]]:
    """Return the values of records, and how many have each."""
    what = _GROUPED_BY[field]
    if field in _FEW:
        return db.execute(
            f"SELECT {what} AS value, count(*) FROM record WHERE {condition} GROUP BY value",
            parameters,
        )
    rows = db.execute(f"SELECT {what} FROM record WHERE {condition}", parameters)
    values = (value for (value,) in rows)
    if field == "folder":
        values = (uri.rpartition("/")[0] + "/" for uri in values)
    return Counter(values).items()
