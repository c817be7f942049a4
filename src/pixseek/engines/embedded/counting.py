"""Facets in the embedded engine: integers that stand for values, grouped (see `facet_values`)."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pixseek.engines import facets as facets_
from pixseek.engines.embedded.reading import LISTED
from pixseek.types import FacetField

#: The columns of `facet` that records are grouped by.
_COLUMNS: dict[FacetField, str] = {
    "folder": "folder",
    "year": "year",
    "camera": "camera",
    "person": "people",
    "colour": "colour",
    "format": "format",
}
#: Up to this many records their tags are read one by one: 5 us each. Beyond, all tags are grouped.
_FEW = 20_000


def facets(
    db: sqlite3.Connection,
    condition: str,
    parameters: Sequence[Any],
    fields: Sequence[FacetField],
    most: int,
) -> dict[str, dict[str, int]]:
    """Return the counts of some fields among the records that fulfil a condition."""
    with _chosen(db, condition, parameters) as count:
        return {
            field: _tags(db, count, most) if field == "tag" else _values(db, field, count, most)
            for field in fields
        }


@contextlib.contextmanager
def _chosen(
    db: sqlite3.Connection, condition: str, parameters: Sequence[Any]
) -> Iterator[int | None]:
    """Put the numbers of some records into a table `chosen`, since each field needs them.

    Yields how many there are; None for all records, and no table.
    """
    if condition == "1":
        yield None
        return
    db.execute("CREATE TEMP TABLE chosen (record INTEGER PRIMARY KEY)")
    try:
        found = db.execute(
            f"INSERT INTO temp.chosen SELECT number FROM record WHERE {condition}", parameters
        )
        yield found.rowcount
    finally:
        with contextlib.suppress(sqlite3.Error):  # what went wrong is said already
            db.execute("DROP TABLE temp.chosen")


def _values(
    db: sqlite3.Connection, field: FacetField, count: int | None, most: int
) -> dict[str, int]:
    column = _COLUMNS[field]
    among = "facet" if count is None else "temp.chosen CROSS JOIN facet USING (record)"
    # As one text, which numpy parses: SQLite would sort all of them to group them.
    (text,) = db.execute(f"SELECT group_concat(ifnull({column}, 0)) FROM {among}").fetchone()
    numbers = np.fromstring(text or "", np.int64, sep=",")
    groups = zip(*(each.tolist() for each in np.unique(numbers, return_counts=True)), strict=True)
    if field == "year":
        years = ((f"{number:04d}" if number else None, alike) for number, alike in groups)
        words = ((facets_.words_of(field, year), alike) for year, alike in years)
    else:
        texts = dict(db.execute("SELECT number, stored FROM value WHERE field = ?", (column,)))
        words = (
            (facets_.words_of(field, texts[number]), alike) for number, alike in groups if number
        )
    return facets_.count_words(field, words, most)


def _tags(db: sqlite3.Connection, count: int | None, most: int) -> dict[str, int]:
    if count is not None and count <= _FEW:
        groups = db.execute(
            "SELECT tags, count(*) FROM temp.chosen CROSS JOIN record ON number = chosen.record "
            "WHERE tags IS NOT NULL GROUP BY tags"
        )
        words = ((facets_.words_of("tag", tags), alike) for tags, alike in groups)
        return facets_.count_words("tag", words, most)
    # "+", so that SQLite looks at the tags first.
    among = "" if count is None else "AND +record IN (SELECT record FROM temp.chosen)"
    number_of: dict[str, int] = {}
    written: Counter[str] = Counter()
    for number, tag, alike in db.execute(
        "SELECT tag, (SELECT stored FROM value WHERE number = tag), count(*) "
        f"FROM tagged WHERE true {among} GROUP BY tag"
    ):
        number_of[tag], written[tag] = number, alike
    tags_of: dict[str, list[str]] = {}
    for tag in written:
        for key in set(facets_.keys_of("tag", tag)):
            tags_of.setdefault(key, []).append(tag)
    counts: dict[str, int] = {}
    for key, tags in tags_of.items():
        if len(tags) == 1:
            counts[key] = written[tags[0]]
        else:  # a record may have several of them
            (counts[key],) = db.execute(
                f"SELECT count(DISTINCT record) FROM tagged WHERE tag IN ({LISTED}) {among}",
                (json.dumps([number_of[tag] for tag in tags]),),
            ).fetchone()
    return facets_.ranked("tag", written, counts, most)
