"""What records are counted and filtered by, next to them: the tables `value`, `facet`, `tagged`.

`record` is wide: reading a million of its rows takes half a second, and parsing their JSON more.
So each record has a row of small integers in `facet`, one for each field that many records share,
and a row in `tagged` for each of its tags. The integers stand for texts in `value`. A filter is
then decided once for each different text, by its definition in `filters`, and facets are counted
from the integers alone.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pixseek import filters
from pixseek.engines import columns
from pixseek.engines.embedded.reading import LISTED, chunks
from pixseek.types import Compare, Record, Scalar

#: The columns of `facet` whose numbers stand for texts. A text is one that `_record_of`
#: reads.
_COLUMNS = ("folder", "format", "camera", "people", "colour")
#: Which column decides the comparisons of a field.
_DECIDED_BY: Mapping[str, str] = {
    "folder": "folder",
    "root": "folder",
    "media": "format",
    "camera": "camera",
    "person": "people",
    "colour": "colour",
    f"{filters.USER_PREFIX}camera_make": "camera",
    f"{filters.USER_PREFIX}camera_model": "camera",
    f"{filters.USER_PREFIX}people": "people",
    f"{filters.USER_PREFIX}colour_names": "colour",
}
#: The fields of a record whose JSON stands in a column.
_FIELDS = {
    "camera": ("camera_make", "camera_model"),
    "people": ("people",),
    "colour": ("colour_names",),
}

#: A text and the column it is for, or "tag".
_Key = tuple[str, str]


def add(db: sqlite3.Connection, numbered: Sequence[tuple[int, Record]]) -> None:
    """Store the values of records that have none stored."""
    read = _Reader()
    coded = [(number, record, read.keys_of(record)) for number, record in numbered]
    wanted = {key for _, _, keys in coded for key in keys if key is not None}
    wanted |= {("tag", tag) for _, record, _ in coded for tag in record.tags}
    numbers: dict[_Key | None, int | None] = {None: None}
    numbers.update(_numbered(db, wanted).items())
    db.executemany(
        f"INSERT INTO facet (record, year, {', '.join(_COLUMNS)}) "
        f"VALUES (?, ?{', ?' * len(_COLUMNS)})",
        [
            (number, record.taken_at and record.taken_at.year, *map(numbers.__getitem__, keys))
            for number, record, keys in coded
        ],
    )
    db.executemany(
        "INSERT OR IGNORE INTO tagged VALUES (?, ?)",
        [(numbers["tag", tag], number) for number, record, _ in coded for tag in record.tags],
    )


def remove(db: sqlite3.Connection, tags_of: Mapping[int, Iterable[str]]) -> None:
    """Forget the values of records.

    Args:
        db: in a transaction.
        tags_of: the tags of these records, by number.
    """
    tags = {("tag", tag) for some in tags_of.values() for tag in some}
    numbers = _found(db, tags)
    db.executemany(
        "DELETE FROM tagged WHERE tag = ? AND record = ?",
        (
            (numbers["tag", tag], record)
            for record, some in tags_of.items()
            for tag in some
            if ("tag", tag) in numbers
        ),
    )
    for chunk in chunks(list(tags_of)):
        db.execute(f"DELETE FROM facet WHERE record IN ({LISTED})", (chunk,))


def forget_unused(db: sqlite3.Connection) -> None:
    """Forget texts that no record has any more."""
    used = " UNION ".join(f"SELECT {name} FROM facet WHERE {name} NOTNULL" for name in _COLUMNS)
    db.execute(f"DELETE FROM value WHERE number NOT IN (SELECT tag FROM tagged UNION {used})")


def decides(compare: Compare) -> bool:
    """Return whether these tables decide a comparison."""
    return bool(_column(compare))


def condition(
    db: sqlite3.Connection, compare: Compare, parameters: list[Any], *, one_by_one: bool = False
) -> str | None:
    """Return a comparison as a condition on `record`; None if these tables do not decide it.

    Args:
        db: in the transaction of a snapshot.
        compare: what is compared.
        parameters: those of the condition are added.
        one_by_one: look at one record after the other, instead of finding all that fit first.
    """
    column = _column(compare)
    if not column:
        return None
    fitting = _fitting(db, compare, column)
    if not fitting:
        return "0"
    parameters.append(json.dumps(fitting))
    table = "tagged" if column == "tag" else "facet"
    if not one_by_one:
        return f"record.number IN (SELECT record FROM {table} WHERE {column} IN ({LISTED}))"
    own = f"FROM {table} WHERE {table}.record = record.number"
    if column == "tag":
        return f"EXISTS (SELECT 1 {own} AND tag IN ({LISTED}))"
    return f"(SELECT {column} {own}) IN ({LISTED})"


def is_common(db: sqlite3.Connection, compare: Compare, count: int) -> bool:
    """Return whether a comparison is not one of tags that fewer than this many records have."""
    if _column(compare) != "tag":
        return True
    (found,) = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM tagged WHERE tag IN ({LISTED}) LIMIT ?)",
        (json.dumps(_fitting(db, compare, "tag")), count),
    ).fetchone()
    return bool(found >= count)


def _fitting(db: sqlite3.Connection, compare: Compare, column: str) -> list[int]:
    """Return the numbers of the texts that fulfil a comparison."""
    fits: Callable[[str], bool]
    if column == "tag":
        holds = filters.list_test("tags", compare.op, compare.value)
        fits = lambda tag: holds((tag,))  # noqa: E731
    else:
        fits = lambda stored: filters.matches(compare, _record_of(column, stored))  # noqa: E731
    texts = db.execute("SELECT number, stored FROM value WHERE field = ?", (column,))
    return [number for number, text in texts if fits(text)]


def _column(compare: Compare) -> str:
    """Return the column that decides a comparison, or "tag"; "" for none."""
    if compare.field == "tags":
        return "" if compare.op == "exists" else "tag"
    # Whether a file lies below a folder depends on its folder.
    return "folder" if compare.op == "under" else _DECIDED_BY.get(compare.field, "")


def _record_of(name: str, stored: str) -> Record:
    """Return a record that has the value of a text."""
    if name in _FIELDS:
        values = map(columns.scalar_from_json, json.loads(stored))
        return Record("", "", fields=dict(zip(_FIELDS[name], values, strict=True)))
    return Record("", stored) if name == "folder" else Record("", "", media=stored)


class _Reader:
    """Reads the texts of records for the columns of `facet`."""

    def __init__(self) -> None:
        self._known: dict[tuple[Scalar, ...], str] = {}  # JSON of several fields

    def keys_of(self, record: Record) -> list[_Key | None]:
        """Return the text for each of `_COLUMNS`, with its column; None for none."""
        folder, slash, _ = record.uri.rpartition("/")
        fields = record.fields
        keys: list[_Key | None] = [
            ("folder", folder + slash if slash else record.uri),
            ("format", record.media) if record.media else None,
        ]
        for column, names in _FIELDS.items():
            values = tuple([fields.get(name) for name in names])
            known = values.count(None) != len(values)
            keys.append((column, self._json(values)) if known else None)
        return keys

    def _json(self, values: tuple[Scalar, ...]) -> str:
        for value in values:
            if value is not None and type(value) is not str:
                return columns.scalars_to_json(values)  # 1, 1.0 and True are equal as keys
        text = self._known.get(values)
        if text is None:
            text = self._known[values] = columns.scalars_to_json(values)
        return text


def _numbered(db: sqlite3.Connection, wanted: set[_Key]) -> dict[_Key, int]:
    """Return the numbers of texts, by field and text; new ones are stored."""
    numbers = _found(db, wanted)
    new = sorted(wanted - numbers.keys())
    db.executemany("INSERT INTO value (field, stored) VALUES (?, ?)", new)
    return numbers | _found(db, set(new))


def _found(db: sqlite3.Connection, wanted: set[_Key]) -> dict[_Key, int]:
    """Return the numbers of those of some texts that are stored."""
    numbers: dict[_Key, int] = {}
    for field in {field for field, _ in wanted}:
        for some in chunks([text for name, text in wanted if name == field]):
            for number, text in db.execute(
                f"SELECT number, stored FROM value WHERE field = ? AND stored IN ({LISTED})",
                (field, some),
            ):
                numbers[field, text] = number
    return numbers
