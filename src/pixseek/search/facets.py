"""Counts of what records have in common: per folder, year, camera, tag, person, colour, format."""

from __future__ import annotations

from collections.abc import Iterable

from pixseek.engines import facets
from pixseek.search.language_writing import quoted
from pixseek.types import FacetField, Record

#: The facets, in the order in which they are shown.
FIELDS = tuple(facets.FACETS)

#: By the name of the facet: how many records have each value, the commonest first.
Facets = dict[str, dict[str, int]]


def count(records: Iterable[Record], most: int = 10) -> Facets:
    """Return the counts of each facet.

    A record without a value is not counted, but the facet "year" counts images without a date as
    "none".

    Args:
        records: what to count.
        most: values of each facet at most, the commonest; ties by name.
    """
    every = list(records)
    return {field: facets.count(field, ((record, 1) for record in every), most) for field in FIELDS}


def filter_text(field: FacetField, value: str) -> str:
    """Return the filter, in the query language, that finds the images counted under a value.

    For most values that is `field:"value"`. `camera:` alone also finds longer names, and `*` and
    `?` are wildcards, so those values are compared as a whole.
    """
    if field == "folder":
        return f"folder:{'^=' if _WILD & set(value) else ''}{quoted(value)}"
    return f"{field}:{'=' if field == 'camera' or _WILD & set(value) else ''}{quoted(value)}"


_WILD = {"*", "?"}
