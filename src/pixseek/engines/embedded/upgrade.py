"""Bringing the database of an older pixseek up to date, in batches that can be stopped anywhere.

The first transaction changes the tables and the number of the format, so an older pixseek refuses
the library from then on; one that has it open already fails at its next write, since the table of
words that it knows is gone. Then every record is indexed again (`columns.INDEXED`), a batch in each
transaction, which also notes how far it came. A killed upgrade goes on at the next open. Two
processes take turns. Nobody reads or writes records before all are indexed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from pixseek.engines import columns
from pixseek.engines.embedded import facet_values, fulltext
from pixseek.engines.embedded.reading import LISTED, chunks
from pixseek.errors import LibraryFormatError, StorageError
from pixseek.types import Record

#: Records indexed in one transaction: some megabytes, half a second.
BATCH = 5_000
#: Bytes that an upgrade takes for each record while it runs: 130 from format 4 (captions of some
#: words, two tags), whose index of words is replaced; without one to replace, about as much again.
BYTES_A_RECORD = 300

#: Called with how many records are indexed, and how many there are.
Progress = Callable[[int, int], None]


def is_pending(db: sqlite3.Connection, path: Path) -> bool:
    """Return whether some records are not indexed as they should be; the format is the present one.

    Raises:
        LibraryFormatError: they were indexed by a newer pixseek.
    """
    state = _state(db)
    if state.get("indexed", 0) > columns.INDEXED:
        raise LibraryFormatError(
            f"the library was written by a newer pixseek (index {state['indexed']}; this one "
            f"knows {columns.INDEXED})",
            path,
            "Upgrade with: pip install --upgrade pixseek",
        )
    return "indexing" in state or state.get("indexed") != columns.INDEXED


def check_room(db: sqlite3.Connection, path: Path) -> None:
    """Check that the disk has room to index all records.

    Raises:
        StorageError: it has not.
    """
    import shutil

    (records,) = db.execute("SELECT count(*) FROM record").fetchone()
    wanted, free = records * BYTES_A_RECORD, shutil.disk_usage(path.parent).free
    if free < wanted:
        raise StorageError(
            "there is not enough room to upgrade the library",
            f"{path.parent}: {free / 1e6:,.0f} MB are free",
            f"Free {(wanted - free) / 1e6:,.0f} MB more; most of it is only needed meanwhile.",
        )


def begin(db: sqlite3.Connection) -> None:
    """Forget what is indexed, if it is not as it should be; in a transaction."""
    state = _state(db)
    if state.get("indexed") == columns.INDEXED:
        return
    old = db.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE words%'")
    for (name,) in old.fetchall():
        db.execute(f"DROP TABLE {name}")
    db.execute(fulltext.TABLE)
    for table in ("facet", "tagged", "value"):
        db.execute(f"DELETE FROM {table}")
    db.execute("REPLACE INTO setting VALUES ('indexed', ?)", (columns.INDEXED,))
    if db.execute("SELECT 1 FROM record LIMIT 1").fetchone() is not None:
        db.execute("REPLACE INTO setting VALUES ('indexing', -1)")


def finish(db: sqlite3.Connection, progress: Progress | None) -> None:
    """Index the records that are not indexed yet, in as many transactions as it takes.

    Args:
        db: outside any transaction.
        progress: called after each.
    """
    done = total = -1
    while True:
        with _transaction(db):
            after = _state(db).get("indexing")
            if after is None:  # another process did the rest
                break
            if total < 0 and progress is not None:
                (total,) = db.execute("SELECT count(*) FROM record").fetchone()
            last = _index(db, after)
            if last is None:
                db.execute("DELETE FROM setting WHERE name = 'indexing'")
            else:
                db.execute("UPDATE setting SET value = ? WHERE name = 'indexing'", (last,))
                if progress is not None:
                    # Two processes take turns, so it is counted and not added up.
                    (done,) = db.execute("SELECT count(*) FROM facet").fetchone()
        if last is None:
            break
        if progress is not None:
            progress(done, total)


def _index(db: sqlite3.Connection, after: int) -> int | None:
    """Index the next records; return the number of the last one, None if there are no more."""
    numbered: list[tuple[int, Record]] = []
    away: list[int] = []
    undated: list[int] = []
    for number, uri, media, taken_at, caption, tags, fields in db.execute(
        "SELECT number, uri, media, taken_at, caption, tags, fields FROM record "
        "WHERE number > ? ORDER BY number LIMIT ?",
        (after, BATCH),
    ):
        if fields is not None and columns.AWAY_MARK in fields:
            away.append(number)
        if fields is not None and '"taken_from":"file"' in fields:
            undated.append(number)
        taken = None if number in undated[-1:] else taken_at
        record = columns.described_by(uri, caption, tags, fields, media, taken)
        numbered.append((number, record))
    if not numbered:
        return None
    fulltext.add(db, numbered)
    facet_values.add(db, numbered)
    for some in chunks(undated):  # the time of a file is no longer that of a photo
        db.execute(
            "UPDATE record SET taken_at = NULL, "
            "fields = nullif(json_remove(fields, '$.taken_from'), '{}') "
            f"WHERE number IN ({LISTED}) AND json_extract(fields, '$.taken_from') = 'file'",
            (some,),
        )
    for some in chunks(away):
        # Up to format 4 the mark was in the JSON, and at its end.
        mark = f"json_remove(fields, '$.\"{columns.AWAY_FIELD}\"')"
        db.execute(
            f"UPDATE record SET away = 1, fields = nullif({mark}, '{{}}') "
            f"WHERE number IN ({LISTED})",
            (some,),
        )
    return numbered[-1][0]


def _state(db: sqlite3.Connection) -> dict[str, int]:
    return dict(db.execute("SELECT name, value FROM setting WHERE name IN ('indexed', 'indexing')"))


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
