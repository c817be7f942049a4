"""Counts of what records have in common: per folder, year, camera, tag, colour and format."""

from __future__ import annotations

from collections.abc import Iterable

from pixseek.engines import facets
from pixseek.types import Record

#: The facets, in the order in which they are shown.
FIELDS = tuple(facets.VALUES)

#: By the name of the facet: how many records have each value, the commonest first.
Facets = dict[str, dict[str, int]]


def count(records: Iterable[Record], most: int = 10) -> Facets:
    """Return the counts of each facet; a record without a value is not counted.

    Args:
        records: what to count.
        most: values of each facet at most, the commonest; ties by name.
    """
    every = list(records)
    return {field: facets.count(field, ((record, 1) for record in every), most) for field in FIELDS}
