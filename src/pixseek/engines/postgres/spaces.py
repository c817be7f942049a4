"""The spaces that a library in PostgreSQL holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pixseek.engines import columns
from pixseek.engines.postgres.schema import FORMAT, KEPT, TABLES, Names, check_format
from pixseek.errors import EngineError, LibraryError
from pixseek.types import Space
from pixseek.types.dataclass import dataclass

_INDEX = "part_vector_"
#: Whether the HNSW index of a row of the table of spaces is there, and whole; the parameters are
#: the schema and the beginning of its name.
_IS_INDEXED = (
    "EXISTS (SELECT 1 FROM pg_index WHERE indisvalid AND "
    "indexrelid = to_regclass(format('%%I.%%I', %s::text, %s::text || number)))"
)


class Held(NamedTuple):
    """A space, by its number in the database.

    Attributes:
        number: of its row.
        space: itself.
        indexed: whether it has an HNSW index.
    """

    number: int
    space: Space
    indexed: bool

    @property
    def index_name(self) -> str:
        """The name of its HNSW index, without the table's."""
        return f"{_INDEX}{self.number}"


@dataclass(slots=True)
class Session:
    """A connection in a transaction, and the spaces it sees.

    Attributes:
        db: the connection.
        spaces: all of them, the active one first.
        has_away: whether some record may be away.
        refused: the ids of records that could not be stored, and why.
        asked: how many were to be stored.
    """

    db: Any
    spaces: Sequence[Held]
    has_away: bool
    refused: Sequence[tuple[str, EngineError]] = ()
    asked: int = 0

    @property
    def active(self) -> Held:
        """The active space, which must be there."""
        return self.spaces[0]

    @property
    def space(self) -> Space:
        """The active space."""
        return self.active.space


def session(db: Any, names: Names) -> Session:
    """Return the session of a transaction.

    Raises:
        LibraryFormatError: the tables are of a newer pixseek.
        LibraryError: no space is the active one.
    """
    if not _has_tables(db, names):
        return Session(db, (), False)
    rows = db.execute(
        names.sql(
            "SELECT format, indexed, EXISTS (SELECT 1 FROM {record} WHERE away), number, "
            f"fingerprint, dim, model, {_IS_INDEXED}, active FROM {{space}} "
            "ORDER BY active DESC, number"
        ),
        [names.schema, f"{names.table}_{_INDEX}"],
    ).fetchall()
    found, indexed = max(((row[0], row[1]) for row in rows), default=(FORMAT, 0))
    check_format(found, indexed, names)
    if rows and not rows[0][-1]:
        raise LibraryError(
            "the row of the library's model was deleted on the server",
            names.quoted("space"),
            "Restore it there, or set active = true in the row of another model, to use that one.",
        )
    spaces = tuple(
        Held(number, Space(*space), is_indexed) for _, _, _, number, *space, is_indexed, _ in rows
    )
    return Session(db, spaces, any(row[2] for row in rows))


def is_valid(db: Any, names: Names, held: Held) -> bool:
    """Return whether a space has an HNSW index by now."""
    (found,) = db.execute(
        names.sql(f"SELECT {_IS_INDEXED} FROM {{space}} WHERE number = %s"),
        [names.schema, f"{names.table}_{_INDEX}", held.number],
    ).fetchone() or (False,)
    return bool(found)


def state_of(db: Any, names: Names) -> tuple[int, bool]:
    """Return the format of the tables, and whether all records are indexed as they should be.

    The newest one if nothing was ever stored.

    Raises:
        LibraryFormatError: the tables are of a newer pixseek.
    """
    if not _has_tables(db, names):
        return FORMAT, True
    row = db.execute(names.sql("SELECT format FROM {space} LIMIT 1")).fetchone()
    if row is None:
        return FORMAT, True
    if row[0] != FORMAT:
        check_format(row[0], 0, names)
        return int(row[0]), False
    indexed, indexing = db.execute(
        names.sql("SELECT indexed, indexing FROM {space} LIMIT 1")
    ).fetchone()
    check_format(FORMAT, indexed, names)
    return FORMAT, indexed == columns.INDEXED and indexing is None


def lock(db: Any, names: Names, *, shared: bool = False) -> None:
    """Keep others from changing the spaces until the transaction ends.

    Shared by those that write records; alone for those that change spaces, or must know what the
    records are that they change.
    """
    kind = "_shared" if shared else ""
    db.execute(f"SELECT pg_advisory_xact_lock{kind}(hashtext(%s))", [names.quoted("space")])


def add(db: Any, names: Names, space: Space, *, active: bool) -> None:
    """Add a space without vectors; the first one creates the tables."""
    if active:
        _create(db, names, TABLES)
    db.execute(
        names.sql(
            "INSERT INTO {space} (active, format, indexed, fingerprint, dim, model) "
            "VALUES (%s, %s, %s, %s, %s, %s)"
        ),
        [active, FORMAT, columns.INDEXED, space.fingerprint, space.dim, space.model],
    )


def activate(db: Any, names: Names, held: Held, model: str) -> None:
    """Make this space the only active one, and its model called so."""
    db.execute(names.sql("UPDATE {space} SET active = (number = %s)"), [held.number])
    db.execute(names.sql("UPDATE {space} SET model = %s WHERE number = %s"), [model, held.number])


def drop(db: Any, names: Names, held: Held) -> None:
    """Forget a space, its vectors and their index."""
    db.execute(names.sql("DELETE FROM {part} WHERE space = %s"), [held.number])
    db.execute(names.sql("DELETE FROM {space} WHERE number = %s"), [held.number])
    db.execute(names.sql("DROP INDEX IF EXISTS {dropped}", index=held.index_name))


def keep(db: Any, names: Names, kind: str, name: str, text: str | None) -> None:
    """Keep a text about the whole library; None to forget it. The first one creates the table."""
    if not _has_tables(db, names, "kept"):
        _create(db, names, KEPT)
    if text is None:
        db.execute(names.sql("DELETE FROM {kept} WHERE kind = %s AND name = %s"), [kind, name])
    else:
        db.execute(
            names.sql(
                "INSERT INTO {kept} (kind, name, text) VALUES (%s, %s, %s) "
                "ON CONFLICT (kind, name) DO UPDATE SET text = EXCLUDED.text"
            ),
            [kind, name, text],
        )


def kept(db: Any, names: Names, kind: str) -> dict[str, str]:
    """Return the texts of a kind by name."""
    if not _has_tables(db, names, "kept"):
        return {}
    return dict(db.execute(names.sql("SELECT name, text FROM {kept} WHERE kind = %s"), [kind]))


def _create(db: Any, names: Names, statements: str) -> None:
    """Create tables, and their schema unless it is there: that needs more rights."""
    (there,) = db.execute(
        "SELECT to_regnamespace(%s) IS NOT NULL", [f'"{names.schema}"']
    ).fetchone()
    for statement in map(str.strip, statements.split(";\n")):
        if statement and not (there and statement.startswith("CREATE SCHEMA")):
            db.execute(names.sql(statement))


def _has_tables(db: Any, names: Names, name: str = "space") -> bool:
    (exists,) = db.execute("SELECT to_regclass(%s)", [names.quoted(name)]).fetchone()
    return exists is not None
