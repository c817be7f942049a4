"""The spaces that the database of the embedded engine holds, and which records are in them.

All are alike; the one that serves is marked. Records are the same for all of them, and a row of
`part` says that a record has a vector in one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence

from pixseek.engines import columns
from pixseek.engines.embedded import catalog
from pixseek.engines.embedded.reading import LISTED, chunks, numbers_of, records_of
from pixseek.types import Record, Space
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """A space, as the database has it.

    Attributes:
        number: of the space.
        active: 0 for one that does not serve; else greater than it was for any that served before.
            While another one serves, records change without a new row in this one; so what was
            learned of rows is of no use any more when it serves again.
        generation: of its vector file.
        rows: how many of the file count.
        deaths: number of the last row that died, in whatever space.
        records: how many there are, with or without vectors in it.
        held: how many have vectors in it.
    """

    number: int
    space: Space
    active: int
    generation: str
    rows: int
    deaths: int
    records: int
    held: int


_SELECT = (
    "SELECT number, fingerprint, dim, model, active, generation, rows, "
    "(SELECT max(number) FROM dead), records, held FROM space"
)


def active(db: sqlite3.Connection) -> Held | None:
    """Return the space that serves; None before there is one."""
    row = db.execute(f"{_SELECT} WHERE active").fetchone()
    return None if row is None else _held(row)


def every(db: sqlite3.Connection) -> list[Held]:
    """Return all spaces, the active one first, then those that were added first."""
    return [_held(row) for row in db.execute(f"{_SELECT} ORDER BY active = 0, number")]


def find(db: sqlite3.Connection, space: Space) -> Held | None:
    """Return a space by its fingerprint; None where it is not held.

    Raises:
        EngineError: it is held with another dimension.
    """
    row = db.execute(f"{_SELECT} WHERE fingerprint = ?", (space.fingerprint,)).fetchone()
    if row is None:
        return None
    found = _held(row)
    if found.space.dim != space.dim:
        raise columns.other_dimension(found.space, space)
    return found


def add(db: sqlite3.Connection, space: Space, *, active: bool) -> None:
    """Add a space without vectors."""
    db.execute(
        "INSERT INTO space (fingerprint, dim, model, active, generation, rows, records) "
        "VALUES (?, ?, ?, ?, ?, 0, (SELECT count(*) FROM record))",
        (space.fingerprint, space.dim, space.model, int(active), new_generation()),
    )


def activate(db: sqlite3.Connection, number: int, model: str) -> None:
    """Let this space serve, by this name of its model, and no other."""
    db.execute(
        "UPDATE space SET active = "
        "CASE WHEN number = ? THEN (SELECT max(active) + 1 FROM space) ELSE 0 END",
        (number,),
    )
    db.execute("UPDATE space SET model = ? WHERE number = ?", (model, number))


def drop(db: sqlite3.Connection, number: int) -> None:
    """Forget a space, its parts and its dead rows."""
    db.execute("DELETE FROM part WHERE space = ?", (number,))
    forget_dead(db, number)
    db.execute("DELETE FROM space WHERE number = ?", (number,))


def forget_dead(db: sqlite3.Connection, number: int) -> None:
    """Forget the dead rows of a space, once its vector file is another one or gone.

    The last row stays, as that of no space: readers ask for what died after the last that they
    saw, so numbers must not come again.
    """
    db.execute(
        "UPDATE dead SET space = 0 WHERE space = ? AND number = (SELECT max(number) FROM dead)",
        (number,),
    )
    db.execute("DELETE FROM dead WHERE space = ?", (number,))


def forget_parts(db: sqlite3.Connection, numbers: Sequence[int], spaces: Iterable[int]) -> None:
    """Mark the rows of these records dead in these spaces, and forget their parts."""
    for space in spaces:
        for some in chunks(numbers):
            # "+space" lest SQLite walks the whole space by the primary key.
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


def forget_changed(db: sqlite3.Connection, numbers: dict[str, int], new: Sequence[Record]) -> None:
    """Forget in all but the active space what stood for another content than records have now.

    Args:
        db: the records in it are still the old ones.
        numbers: of those that are known, by id.
        new: what they are replaced by.
    """
    serving = active(db)
    others = [each.number for each in every(db) if serving and each.number != serving.number]
    if not others or not numbers:
        return
    digests: dict[int, str | None] = {}
    parts: dict[tuple[int, int], list[str | None]] = {}
    for some in chunks(list(numbers.values())):
        digests.update(
            (number, catalog.unpacked(digest))
            for number, digest in db.execute(
                f"SELECT number, digest FROM record WHERE number IN ({LISTED})", (some,)
            )
        )
        for space, number, part in db.execute(
            f"SELECT space, record, part FROM part WHERE record IN ({LISTED}) "
            "ORDER BY record, space, ordinal",
            (some,),
        ):
            parts.setdefault((space, number), []).append(part)
    changed: dict[int, list[int]] = {space: [] for space in others}
    for record in new:
        number = numbers.get(record.id)
        if number is None:
            continue
        for space in others:
            before = parts.get((space, number))
            if before and not columns.keeps_vectors(record, digests[number], before):
                changed[space].append(number)
    for space, gone in changed.items():
        forget_parts(db, gone, [space])


def lacking(db: sqlite3.Connection, serving: int, number: int, k: int, after: str) -> list[Record]:
    """Return records without vectors in a space; see `types.Engine.lacking`."""
    found = db.execute(
        "SELECT number FROM record WHERE id > ? AND NOT EXISTS "
        "(SELECT 1 FROM part WHERE part.record = record.number AND part.space = ?) "
        "ORDER BY id LIMIT ?",
        (after, number, k),
    )
    numbers = [each for (each,) in found]
    records = records_of(db, serving, numbers)
    return [columns.with_parts(records[each][0]) for each in numbers]


def fitting(
    db: sqlite3.Connection, serving: int, number: int, records: Sequence[Record]
) -> dict[int, int]:
    """Return which of `records` may get vectors in a space now, by position: their numbers."""
    numbers = numbers_of(db, [record.id for record in records])
    now = records_of(db, serving, list(numbers.values()))
    have: set[int] = set()
    for some in chunks(list(numbers.values())):
        have.update(
            each
            for (each,) in db.execute(
                f"SELECT record FROM part WHERE record IN ({LISTED}) AND +space = ?",
                (some, number),
            )
        )
    return {
        at: of
        for at, record in enumerate(records)
        if (of := numbers.get(record.id)) is not None
        and of not in have
        and columns.is_same(now[of][0], record)
    }


def new_generation() -> str:
    """Return a name for a vector file that no other library's file has."""
    return os.urandom(6).hex()


def _held(row: tuple[int, str, int, str, int, str, int, int | None, int, int]) -> Held:
    number, fingerprint, dim, model, active_, generation, rows, deaths, records, held = row
    space = Space(fingerprint, dim, model)
    return Held(number, space, active_, generation, rows, deaths or 0, records, held)
