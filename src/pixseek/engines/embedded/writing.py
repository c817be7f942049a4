"""Changes to records and vectors, each within the transaction of one write."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.engines import columns
from pixseek.engines.embedded import facet_values, fulltext, spaces, vectorfile
from pixseek.engines.embedded.reading import LISTED, chunks, numbers_of, packed, stored
from pixseek.engines.embedded.snapshots import View, vector_path
from pixseek.engines.embedded.spaces import Held
from pixseek.types import Record

if TYPE_CHECKING:
    from pixseek.types import Vectors


@contextlib.contextmanager
def appended(folder: Path, held: Held, vectors: Vectors) -> Iterator[None]:
    """Append vectors to the file of a space, and cut them off again if the block fails."""
    path = vector_path(folder, held.generation)
    vectorfile.append(path, held.rows, vectors)
    try:
        yield
    except BaseException:
        # Give the disk its room back; see `vectorfile.append`.
        with contextlib.suppress(OSError):
            os.truncate(path, held.rows * held.space.dim * 2)
        raise


def put_records(
    db: sqlite3.Connection,
    held: Sequence[Held],
    records: Sequence[Record],
    rows: Sequence[columns.Columns],
) -> None:
    """Store records whose vectors were appended to the file of the active space.

    Args:
        db: in a transaction.
        held: all spaces, the active one first.
        records: one or more.
        rows: their columns.
    """
    active, *others = held
    numbers = numbers_of(db, [record.id for record in records])
    known = list(numbers.values())
    spaces.forget_changed(db, others, numbers, records)
    spaces.forget_parts(db, known, [active.number])
    _unindex(db, known)
    (last,) = db.execute("SELECT ifnull(max(number), 0) FROM record").fetchone()
    for record in records:
        if record.id not in numbers:
            last += 1
            numbers[record.id] = last
    _forget(db, known)
    _insert(db, numbers, rows, None)
    _index(db, [(numbers[record.id], record) for record in records])
    put_parts(db, active, [(numbers[record.id], record) for record in records])
    db.execute("UPDATE space SET records = records + ?", (len(records) - len(known),))


def describe(
    db: sqlite3.Connection,
    records: Sequence[Record],
    rows: Sequence[columns.Columns],
) -> None:
    """Replace the metadata of records that are stored."""
    numbers = numbers_of(db, [record.id for record in records])
    before = _unindex(db, list(numbers.values()))
    changed = spaces.next_change(db)
    # Columns that have an index are written only if they change: most changes are tags.
    listed = [
        before[numbers[row.id]] == (row.uri, row.taken_at, row.pixels and packed(row.pixels))
        for row in rows
    ]
    updates = ", ".join(f"{name} = ?" for name in _PLAIN)
    db.executemany(
        f"UPDATE record SET changed = ?, {updates} WHERE number = ?",
        [
            (changed, *(getattr(row, name) for name in _PLAIN), numbers[row.id])
            for row, same in zip(rows, listed, strict=True)
            if same
        ],
    )
    others = [row for row, same in zip(rows, listed, strict=True) if not same]
    _forget(db, [numbers[row.id] for row in others])
    _insert(db, numbers, others, changed)
    _index(db, [(numbers[record.id], record) for record in records])


#: The columns of metadata that have no index.
_PLAIN = (
    "size", "mtime_ns", "media", "width", "height", "caption", "tags", "fields", "perceptual_hash"
)  # fmt: skip


def _insert(
    db: sqlite3.Connection,
    numbers: dict[str, int],
    rows: Sequence[columns.Columns],
    changed: int | None,
) -> None:
    """Store records that are not there.

    Args:
        db: in a transaction.
        numbers: of the records, by id.
        rows: their columns.
        changed: number of the change, if their rows of vectors stay; None if they get new ones.
    """
    # Not REPLACE, which takes half as long again.
    db.executemany(
        f"INSERT INTO record (number, changed, {columns.COLUMNS}) "
        f"VALUES (?, ?{', ?' * len(columns.Columns._fields)})",
        [(numbers[each.id], changed, *stored(each)) for each in rows],
    )


def _forget(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Delete records that are not indexed any more."""
    for some in chunks(numbers):
        db.execute(f"DELETE FROM record WHERE number IN ({LISTED})", (some,))


def _index(db: sqlite3.Connection, numbered: Sequence[tuple[int, Record]]) -> None:
    """Index records that are not indexed."""
    fulltext.add(db, numbered)
    facet_values.add(db, numbered)


def _unindex(
    db: sqlite3.Connection, numbers: Sequence[int]
) -> dict[int, tuple[str, str | None, bytes | str | None]]:
    """Remove records from what is indexed of them, while their columns are still there.

    Returns:
        Their URIs, when they were taken and their pixels, as these are stored, by number.
    """
    found: dict[int, tuple[str, str | None, bytes | str | None]] = {}
    for some in chunks(numbers):
        before: list[tuple[int, Record]] = []
        for number, uri, taken_at, pixels, *values in db.execute(
            "SELECT number, uri, taken_at, pixels, caption, tags, fields FROM record "
            f"WHERE number IN ({LISTED})",
            (some,),
        ):
            found[number] = uri, taken_at, pixels
            before.append((number, columns.described_by(uri, *values)))
        fulltext.remove(db, before)
        facet_values.remove(db, {number: record.tags for number, record in before})
    return found


def put_parts(db: sqlite3.Connection, held: Held, numbered: Sequence[tuple[int, Record]]) -> None:
    """Note which records own the rows that were appended to the file of a space."""
    parts: list[tuple[int, int, int, int, str | None, str]] = []
    row = held.rows
    for number, record in numbered:
        for ordinal, part in enumerate(record.parts):
            json = columns.part_to_json(part)
            parts.append((held.number, row, number, ordinal, json, record.id))
            row += 1
    db.executemany("INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)", parts)
    db.execute(
        "UPDATE space SET rows = ?, held = held + ? WHERE number = ?",
        (row, sum(bool(record.parts) for _, record in numbered), held.number),
    )


def delete(db: sqlite3.Connection, held: Sequence[Held], ids: Sequence[str]) -> int:
    """Delete records; return how many there were."""
    deleted = 0
    for some in chunks(ids):
        found = db.execute(f"SELECT number FROM record WHERE id IN ({LISTED})", (some,))
        numbers = [number for (number,) in found]
        spaces.forget_parts(db, numbers, [each.number for each in held])
        _unindex(db, numbers)
        _forget(db, numbers)
        deleted += len(numbers)
    db.execute("UPDATE space SET records = records - ?", (deleted,))
    return deleted


def rewrite(db: sqlite3.Connection, folder: Path, view: View) -> None:
    """Write the rows of a view that count to a new file, and let the space refer to that.

    Raises:
        OSError: the disk is full; nothing changed.
    """
    generation = spaces.new_generation()
    path = vector_path(folder, generation)
    rows = 0
    try:
        for old, block in view.vectors.blocks(0, view.dead):
            vectorfile.append(path, rows, block)
            rows += len(old)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    db.execute(
        "CREATE TEMP TABLE moved AS SELECT row_number() OVER (ORDER BY row) - 1 AS row, "
        "record, ordinal, part, record_id FROM part WHERE space = ?",
        (view.number,),
    )
    db.execute("DELETE FROM part WHERE space = ?", (view.number,))
    db.execute(
        "INSERT INTO part SELECT ?, row, record, ordinal, part, record_id FROM moved ORDER BY row",
        (view.number,),
    )
    db.execute("DROP TABLE moved")
    spaces.forget_log(db, view.number)
    db.execute(
        "UPDATE space SET generation = ?, rows = ? WHERE number = ?",
        (generation, rows, view.number),
    )
