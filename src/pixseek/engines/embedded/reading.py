"""Reading records and their parts from the database of the embedded engine."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from pixseek.engines import columns
from pixseek.errors import LibraryFormatError
from pixseek.types import Known, Record

#: The values of a parameter made by `chunks`.
LISTED = "SELECT value FROM json_each(?)"
#: Values handed to SQLite at a time, as JSON.
_CHUNK = 10_000
#: The columns that hold digests.
_DIGESTS = tuple(map(columns.Columns._fields.index, ("digest", "pixels")))

#: What the columns hold, once digests are texts.
_KINDS = (str, str, int, int, str, str, int, int, str, str, str, str, int, str, int)

#: True of records that are away; also the condition of an index.
IS_AWAY = "away"
IS_PRESENT = "NOT away"

#: The parts of a record, each with its row.
Parts = list[tuple[int, str | None]]
_SHA256 = re.compile("[0-9a-f]{64}")


def packed(digest: str) -> str | bytes:
    """Return a digest as the database holds it: a SHA-256 as bytes, anything else as it is."""
    return bytes.fromhex(digest) if _SHA256.fullmatch(digest) else digest


def unpacked(digest: str | bytes | None) -> str | None:
    """Return the digest that the database holds."""
    return digest.hex() if isinstance(digest, bytes) else digest


def chunks(values: Sequence[str] | Sequence[int]) -> Iterator[str]:
    """Yield the values as JSON lists for SQLite, without texts that it can't store."""
    for start in range(0, len(values), _CHUNK):
        some = values[start : start + _CHUNK]
        yield json.dumps([v for v in some if isinstance(v, int) or columns.is_storable(v)])


def stored(row: columns.Columns) -> tuple[Any, ...]:
    """Return the columns of a record as the database stores them."""
    digest, pixels = _DIGESTS
    return (
        *row[:digest],
        row.digest and packed(row.digest),
        *row[digest + 1 : pixels],
        row.pixels and packed(row.pixels),
        *row[pixels + 1 :],
    )


def damaged(what: str) -> LibraryFormatError:
    """Return the error for what no pixseek has written."""
    return LibraryFormatError(
        "the library's database is damaged",
        what,
        "Restore it from a backup, or delete the library's folder and index again.",
    )


def record_of(stored_columns: Sequence[Any], parts: Parts) -> Record:
    """Return a record from its columns in the database and its parts.

    Raises:
        LibraryFormatError: no pixseek has written this.
    """
    values = list(stored_columns)
    for n in _DIGESTS:
        values[n] = unpacked(values[n])
    for value, kind in zip(values, _KINDS, strict=True):
        if value is not None and type(value) is not kind:
            raise damaged(f"a record: {values[0]}")
    try:
        return _record(values, parts)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise damaged(f"a record: {values[0]}") from error


def _record(values: Sequence[Any], parts: Parts) -> Record:
    return columns.from_columns(values, tuple(columns.part_from_json(part) for _, part in parts))


def has_away(db: sqlite3.Connection) -> bool:
    """Return whether some record is away."""
    return db.execute(f"SELECT 1 FROM record WHERE {IS_AWAY} LIMIT 1").fetchone() is not None


def known(db: sqlite3.Connection, condition: str, parameters: Sequence[Any]) -> Iterator[Known]:
    """Yield the known state of the present records that fulfil a condition, by URI."""
    present = f"AND {IS_PRESENT}" if has_away(db) else ""
    for id_, uri, size, mtime_ns, digest in db.execute(
        f"SELECT {columns.KNOWN} FROM record WHERE {condition} {present} ORDER BY uri, id",
        parameters,
    ):
        yield columns.known_of(id_, uri, size, mtime_ns, unpacked(digest) or "")


def numbers_of(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return the numbers of the records among these ids, by id."""
    numbers: dict[str, int] = {}
    for some in chunks(ids):
        numbers.update(db.execute(f"SELECT id, number FROM record WHERE id IN ({LISTED})", (some,)))
    return numbers


def parts_of(db: sqlite3.Connection, space: int, numbers: Sequence[int]) -> dict[int, Parts]:
    """Return the parts of records in their order, by the record's number."""
    parts: dict[int, Parts] = {number: [] for number in numbers}
    for some in chunks(numbers):
        # "+space" keeps SQLite from walking the whole space by the primary key.
        for number, row, part in db.execute(
            "SELECT record, row, part FROM part "
            f"WHERE +space = ? AND record IN ({LISTED}) ORDER BY record, ordinal",
            (space, some),
        ):
            parts[number].append((row, part))
    return parts


def records_of(
    db: sqlite3.Connection, space: int, numbers: Sequence[int]
) -> dict[int, tuple[Record, list[int]]]:
    """Return records with the rows of their parts, by number."""
    parts = parts_of(db, space, numbers)
    records: dict[int, tuple[Record, list[int]]] = {}
    for some in chunks(numbers):
        for number, *values in db.execute(
            f"SELECT number, {columns.COLUMNS} FROM record WHERE number IN ({LISTED})", (some,)
        ):
            own = parts[number]
            records[number] = (record_of(values, own), [row for row, _ in own])
    return records
