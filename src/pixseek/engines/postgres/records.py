"""Records and their vectors, out of the tables of PostgreSQL and into them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek.engines import columns, rules
from pixseek.engines.postgres.schema import (
    IS_AWAY,
    MAX_ID_BYTES,
    NAMES,
    SELECTED,
    URI_START,
    VALUES,
    Names,
    Row,
    vector_bytes,
    vector_of,
)
from pixseek.engines.postgres.spaces import Held, Session
from pixseek.errors import EngineError
from pixseek.types import Known, Part, Record

if TYPE_CHECKING:
    from pixseek.types import Vectors


class Records:
    """The records of one library. Each call is within the transaction of a session."""

    def __init__(self, names: Names) -> None:
        self._names = names

    # -------------------------------------------------------------- reading

    def numbers(self, db: Any, ids: Sequence[str]) -> dict[str, int]:
        """Return the numbers of the records among these ids, by id."""
        wanted = [id_ for id_ in ids if columns.is_storable(id_)]
        statement = self._names.sql("SELECT id, number FROM {record} WHERE id = ANY(%s)")
        return dict(db.execute(statement, [wanted]))

    def read(self, db: Any, held: Held, numbers: Sequence[int]) -> dict[int, Record]:
        """Return records with their parts in a space, by number."""
        parts: dict[int, list[Part]] = {number: [] for number in numbers}
        for number, part in db.execute(
            self._names.sql(
                "SELECT record, part FROM {part} WHERE record = ANY(%s) AND space = %s "
                "ORDER BY record, ordinal"
            ),
            [list(numbers), held.number],
        ):
            parts[number].append(columns.part_from_json(part))
        return {
            number: columns.from_columns(values, tuple(parts[number]))
            for number, *values in db.execute(
                self._names.sql(
                    f"SELECT number, {SELECTED} FROM {{record}} WHERE number = ANY(%s)"
                ),
                [list(numbers)],
            )
        }

    def vectors(self, db: Any, held: Held, numbers: Sequence[int]) -> dict[int, Vectors]:
        """Return the vectors of records in a space, (parts, dim) float32, by number."""
        rows: dict[int, list[Any]] = {number: [] for number in numbers}
        for number, stored in db.cursor(binary=True).execute(
            self._names.sql(
                "SELECT record, halfvec_send(vector) FROM {part} "
                "WHERE record = ANY(%s) AND space = %s ORDER BY record, ordinal"
            ),
            [list(numbers), held.number],
        ):
            rows[number].append(vector_of(stored))
        return {
            number: np.array(some, np.float32).reshape(-1, held.space.dim)
            for number, some in rows.items()
        }

    def known(
        self, at: Session, condition: str, parameters: Sequence[Any], *, many: bool
    ) -> Iterator[Known]:
        """Yield the known state of the present records that fulfil a condition, by URI.

        Args:
            at: the session.
            condition: on the table of records.
            parameters: of the condition.
            many: whether to read them from the server as they are asked for.
        """
        present = f"AND NOT coalesce({IS_AWAY}, false)" if at.has_away else ""
        statement = self._names.sql(
            f"SELECT {columns.KNOWN} FROM {{record}} r WHERE {condition} {present} "
            f"ORDER BY {URI_START}, uri, id"
        )
        with at.db.cursor("known") if many else at.db.cursor() as cursor:
            if many:
                cursor.itersize = 10_000
            cursor.execute(statement, parameters)
            for id_, uri, size, mtime_ns, digest in cursor:
                yield columns.known_of(id_, uri, size, mtime_ns, digest or "")

    def having(self, db: Any, held: Held, ids: Sequence[str]) -> Collection[str]:
        """Return the ids of those of these records that have vectors in a space."""
        found = db.execute(
            self._names.sql(
                "SELECT id FROM {record} WHERE id = ANY(%s) AND EXISTS "
                "(SELECT 1 FROM {part} WHERE record = number AND space = %s)"
            ),
            [list(ids), held.number],
        )
        return {id_ for (id_,) in found}

    # -------------------------------------------------------------- writing

    def put(
        self,
        db: Any,
        spaces: Sequence[Held],
        records: Sequence[Record],
        rows: Sequence[Row],
        vectors: Vectors,
    ) -> list[tuple[str, EngineError]]:
        """Store records, with vectors in the first space; see `Engine.put`.

        Returns:
            The ids of those that PostgreSQL does not take, and why; all others are stored.
        """
        active, *others = spaces
        if others:
            self._forget_changed(db, active, records)
        updates = ", ".join(f"{name} = EXCLUDED.{name}" for name in NAMES[1:])
        statement = self._names.sql(
            f"INSERT INTO {{record}} ({', '.join(NAMES)}) VALUES ({VALUES}) "
            f"ON CONFLICT (id) DO UPDATE SET {updates}"
        )
        # In the order of ids, so that two writers never wait for each other.
        refused = _insert(db, statement, sorted(rows, key=lambda row: row[0]))
        if refused:
            gone = {id_ for id_, _ in refused}
            counts = [len(record.parts) for record in records]
            vectors = vectors[np.repeat([record.id not in gone for record in records], counts)]
            records = [record for record in records if record.id not in gone]
        numbers = self.numbers(db, [record.id for record in records])
        db.execute(
            self._names.sql("DELETE FROM {part} WHERE record = ANY(%s) AND space = %s"),
            [list(numbers.values()), active.number],
        )
        self._put_parts(db, active, numbers, records, vectors)
        return refused

    def put_vectors(self, db: Any, held: Held, records: Sequence[Record], vectors: Vectors) -> None:
        """Store vectors of records that have none in a space."""
        numbers = self.numbers(db, [record.id for record in records])
        self._put_parts(db, held, numbers, records, vectors)

    def describe(self, db: Any, rows: Sequence[Row]) -> None:
        """Replace the columns and words of records that are stored."""
        statement = self._names.sql(
            f"UPDATE {{record}} SET ({', '.join(NAMES)}) = ({VALUES}) WHERE id = %s"
        )
        db.cursor().executemany(statement, [(*row, row[0]) for row in rows])

    def delete(self, db: Any, ids: Sequence[str]) -> int:
        """Delete records; return how many there were."""
        found = db.execute(self._names.sql("DELETE FROM {record} WHERE id = ANY(%s)"), [list(ids)])
        return int(found.rowcount)

    def _put_parts(
        self,
        db: Any,
        held: Held,
        numbers: dict[str, int],
        records: Sequence[Record],
        vectors: Vectors,
    ) -> None:
        copy = self._names.sql(
            "COPY {part} (record, space, ordinal, part, vector) FROM STDIN WITH (FORMAT binary)"
        )
        with db.cursor().copy(copy) as sink:
            sink.set_types(["int8", "int4", "int4", "text", "bytea"])
            row = 0
            for record in records:
                for ordinal, part in enumerate(record.parts):
                    sink.write_row(
                        (
                            numbers[record.id],
                            held.number,
                            ordinal,
                            columns.part_to_json(part),
                            vector_bytes(vectors[row]),
                        )
                    )
                    row += 1

    def _forget_changed(self, db: Any, active: Held, records: Sequence[Record]) -> None:
        """Forget vectors that stand for another content than records have from now on."""
        digests: dict[str, str] = {}
        ids: dict[int, str] = {}
        for id_, number, digest in db.execute(
            self._names.sql("SELECT id, number, digest FROM {record} WHERE id = ANY(%s)"),
            [[record.id for record in records]],
        ):
            digests[id_], ids[number] = digest or "", id_
        parts: dict[tuple[int, str], list[Part]] = {}
        for space, number, part in db.execute(
            self._names.sql(
                "SELECT space, record, part FROM {part} WHERE record = ANY(%s) AND space <> %s "
                "ORDER BY space, record, ordinal"
            ),
            [list(ids), active.number],
        ):
            parts.setdefault((space, ids[number]), []).append(columns.part_from_json(part))
        numbers = {id_: number for number, id_ in ids.items()}
        new = [record for record in records if record.id in numbers]
        db.cursor().executemany(
            self._names.sql("DELETE FROM {part} WHERE record = %s AND space = %s"),
            [(numbers[id_], space) for space, id_ in rules.changed(new, digests, parts)],
        )


def _insert(db: Any, statement: Any, rows: Sequence[Row]) -> list[tuple[str, EngineError]]:
    """Insert rows; return the ids of those that are too large, and why."""
    from psycopg.errors import ProgramLimitExceeded

    try:
        with db.transaction():
            db.cursor().executemany(statement, rows)
    except ProgramLimitExceeded as error:
        if len(rows) > 1:  # it does not say which
            half = len(rows) // 2
            return _insert(db, statement, rows[:half]) + _insert(db, statement, rows[half:])
        (id_,) = (row[0] for row in rows)
        what = "an id" if len(id_.encode()) > MAX_ID_BYTES else "a text"
        problem = f"PostgreSQL can't store so long {what}"
        advice = f"An id may have {MAX_ID_BYTES:,} bytes, the words of a record 1 MB. "
        advice += str(error).splitlines()[0]
        return [(id_, EngineError(problem, id_, advice))]
    return []
