"""The spaces that the database of the embedded engine holds, and which records are in them.

All are alike; the active one is marked. Records are the same for all spaces, and a row of `part`
says that a record has a vector in one.

The table `dead` is a log of the rows of vector files that died.

If metadata change, vectors and their rows stay. The record is marked with the number of the change
(`record.changed`), so readers that hold metadata by row look up again only what changed since.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np

from pixseek.engines import columns, rules
from pixseek.engines.embedded.reading import (
    IS_PRESENT,
    LISTED,
    chunks,
    damaged,
    has_away,
    unpacked,
)
from pixseek.engines.embedded.vectorfile import Rows
from pixseek.types import Part, Record, Space
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """A space, as the database has it.

    Attributes:
        number: of the space.
        active: 0 if it is not active; else greater than it was for any space that was active
            before. While another space is active, records are replaced without new rows in this
            one; so what was learnt of rows is no longer true when it is active again.
        generation: of its vector file.
        rows: how many of the file count.
        logged: number of the last entry of the log, of whatever space.
        records: how many there are, with or without vectors in it.
        held: how many have vectors in it.
        changes: number of the last change of metadata, in whatever space.
    """

    number: int
    space: Space
    active: int
    generation: str
    rows: int
    logged: int
    records: int
    held: int
    changes: int


#: Longest vectors that a space may have; models have some thousand numbers.
_MAX_DIM = 1 << 20

_SELECT = (
    "SELECT number, fingerprint, dim, model, active, generation, rows, "
    "(SELECT max(number) FROM dead), records, held, "
    "(SELECT value FROM setting WHERE name = 'changes') FROM space"
)


def active(db: sqlite3.Connection) -> Held | None:
    """Return the active space; None before there is one."""
    row = db.execute(f"{_SELECT} WHERE active").fetchone()
    return None if row is None else _held(row)


def every(db: sqlite3.Connection) -> list[Held]:
    """Return all spaces, the active one first, then those that were added first."""
    return [_held(row) for row in db.execute(f"{_SELECT} ORDER BY active = 0, number")]


def add(db: sqlite3.Connection, space: Space, *, active: bool) -> None:
    """Add a space without vectors."""
    db.execute(
        "INSERT INTO space (fingerprint, dim, model, active, generation, rows, records) "
        "VALUES (?, ?, ?, ?, ?, 0, (SELECT count(*) FROM record))",
        (space.fingerprint, space.dim, space.model, int(active), new_generation()),
    )


def activate(db: sqlite3.Connection, number: int, model: str) -> None:
    """Make this space the only active one, and its model called so."""
    db.execute(
        "UPDATE space SET active = "
        "CASE WHEN number = ? THEN (SELECT max(active) + 1 FROM space) ELSE 0 END",
        (number,),
    )
    db.execute("UPDATE space SET model = ? WHERE number = ?", (model, number))


def drop(db: sqlite3.Connection, number: int) -> None:
    """Forget a space, its parts and its dead rows."""
    db.execute("DELETE FROM part WHERE space = ?", (number,))
    forget_log(db, number)
    db.execute("DELETE FROM space WHERE number = ?", (number,))


def next_change(db: sqlite3.Connection) -> int:
    """Return the number of a change of metadata, greater than all before."""
    db.execute(
        "INSERT INTO setting VALUES ('changes', 1) "
        "ON CONFLICT (name) DO UPDATE SET value = value + 1"
    )
    return int(db.execute("SELECT value FROM setting WHERE name = 'changes'").fetchone()[0])


def dead_rows(db: sqlite3.Connection, space: int, after: int, last: int) -> Rows:
    """Return the rows of a space logged after one entry, up to another.

    Args:
        db: in the transaction of a snapshot.
        space: number of the space.
        after: number of an entry; 0 for the beginning.
        last: number of an entry.
    """
    found = db.execute(
        "SELECT row FROM dead WHERE space = ? AND number > ? AND number <= ?", (space, after, last)
    )
    try:
        return np.fromiter((row for (row,) in found), np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise damaged("the rows that do not count") from error


def forget_log(db: sqlite3.Connection, number: int) -> None:
    """Forget what is logged of a space, once its vector file is another one or gone.

    The last entry stays, as that of no space: readers ask for the entries behind the last that they
    saw, so a number must not be used again.
    """
    db.execute(
        "UPDATE dead SET space = 0 WHERE space = ? AND number = (SELECT max(number) FROM dead)",
        (number,),
    )
    db.execute("DELETE FROM dead WHERE space = ?", (number,))


def forget_parts(db: sqlite3.Connection, numbers: Sequence[int], spaces: Iterable[int]) -> None:
    """Log the rows of these records as dead in these spaces, and forget their parts."""
    for space in spaces:
        for some in chunks(numbers):
            # "+space" keeps SQLite from walking the whole space by the primary key.
            of_them = f"record IN ({LISTED}) AND +space = ?"
            db.execute(
                f"INSERT INTO dead (space, row) SELECT space, row FROM part WHERE {of_them}",
                (some, space),
            )
            db.execute(
                "UPDATE space SET held = held - "
                f"(SELECT count(*) FROM part WHERE {of_them} AND ordinal = 0) WHERE number = ?",
                (some, space, space),
            )
            db.execute(f"DELETE FROM part WHERE {of_them}", (some, space))


def forget_changed(
    db: sqlite3.Connection, others: Sequence[Held], numbers: dict[str, int], new: Sequence[Record]
) -> None:
    """Forget vectors that stand for another content than records have from now on.

    Args:
        db: the records in it are still the old ones.
        others: the spaces that are not active.
        numbers: of the stored records among the new ones, by id.
        new: what is put.
    """
    if not others or not numbers:
        return
    ids = {number: id_ for id_, number in numbers.items()}
    serving = {each.number for each in others}
    digests: dict[str, str] = {}
    parts: dict[tuple[int, str], list[Part]] = {}
    for some in chunks(list(ids)):
        for number, digest in db.execute(
            f"SELECT number, digest FROM record WHERE number IN ({LISTED})", (some,)
        ):
            digests[ids[number]] = unpacked(digest) or ""
        for space, number, part in db.execute(
            f"SELECT space, record, part FROM part WHERE record IN ({LISTED}) "
            "ORDER BY record, space, ordinal",
            (some,),
        ):
            if space in serving:
                parts.setdefault((space, ids[number]), []).append(columns.part_from_json(part))
    gone: dict[int, list[int]] = {}
    for space, id_ in rules.changed(new, digests, parts):
        gone.setdefault(space, []).append(numbers[id_])
    for space, some_numbers in gone.items():
        forget_parts(db, some_numbers, [space])


def lacking(db: sqlite3.Connection, number: int, k: int, after: str) -> list[str]:
    """Return the ids of present records without vectors in a space; see `Engine.lacking`."""
    present = f"AND {IS_PRESENT}" if has_away(db) else ""
    found = db.execute(
        "SELECT id FROM record WHERE id > ? AND NOT EXISTS "
        f"(SELECT 1 FROM part WHERE part.record = record.number AND part.space = ?) {present} "
        "ORDER BY id LIMIT ?",
        (after, number, k),
    )
    return [id_ for (id_,) in found]


def having(db: sqlite3.Connection, number: int, numbers: dict[str, int]) -> set[str]:
    """Return the ids of those of these records, given by number, that have vectors in a space."""
    have: set[int] = set()
    for some in chunks(list(numbers.values())):
        have.update(
            each
            for (each,) in db.execute(
                f"SELECT record FROM part WHERE record IN ({LISTED}) AND +space = ?",
                (some, number),
            )
        )
    return {id_ for id_, of in numbers.items() if of in have}


def new_generation() -> str:
    """Return a name for a vector file that no other library's file has."""
    return os.urandom(6).hex()


def _held(row: tuple[int, str, int, str, int, str, int, int | None, int, int, int | None]) -> Held:
    number, fingerprint, dim, model, active_, generation, rows, logged, records, held, changes = row
    numbers = (number, dim, active_, rows, logged or 0, records, held, changes or 0)
    texts = (fingerprint, model, generation)
    # The library may come from a stranger, and the generation is part of the names of files.
    if not (
        all(type(each) is int and each >= 0 for each in numbers)
        and all(type(each) is str for each in texts)
        and 0 < dim <= _MAX_DIM
        and generation.isalnum()
    ):
        raise damaged(f"a space: {fingerprint}")
    space = Space(fingerprint, dim, model)
    return Held(number, space, active_, generation, rows, logged or 0, records, held, changes or 0)
