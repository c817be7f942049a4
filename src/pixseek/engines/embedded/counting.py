"""Facets in the embedded engine: SQLite groups records, and `engines.facets` reads the groups."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from pixseek.engines import facets as facets_
from pixseek.types import FacetField, Record

#: What records are grouped by. A folder keeps its "/": rtrim removes all characters but that one.
_GROUPED_BY: dict[FacetField, str] = {
    "folder": "rtrim(uri, replace(uri, '/', ''))",
    "year": "substr(taken_at, 1, 4)",
    "camera": "json_extract(fields, '$.camera_make', '$.camera_model')",
    "tag": "tags",
    "person": "json_extract(fields, '$.people', '$.people')",
    "colour": "json_extract(fields, '$.colour_names', '$.colour_names')",
    "format": "media",
}


def facets(
    db: sqlite3.Connection,
    condition: str,
    parameters: Sequence[Any],
    fields: Sequence[FacetField],
    most: int,
) -> dict[str, dict[str, int]]:
    """Return the counts of some fields among the records that fulfil a condition."""
    return {
        field: facets_.count(field, _groups(db, field, condition, parameters), most)
        for field in fields
    }


def _groups(
    db: sqlite3.Connection, field: FacetField, condition: str, parameters: Sequence[Any]
) -> Iterator[tuple[Record, int]]:
    """Yield a record of each group, and how many are in it."""
    for value, count in db.execute(
        f"SELECT {_GROUPED_BY[field]} AS value, count(*) FROM record "
        f"WHERE {condition} GROUP BY value",
        parameters,
    ):
        if value is not None or field == "year":
            yield facets_.record_of(field, value), count
