"""The engine on PostgreSQL with pgvector (0.8 or newer): a library in three tables.

    postgresql://user@host/database?schema=photos&table=holiday

`schema` and `table` (default "pixseek") are ours, the rest is the server's; several libraries may
share a database. Vectors are stored as float16 (`halfvec`). Above `INDEX_PARTS` they get an HNSW
index, whose answers are approximate; below, every vector is scored.

PostgreSQL has no BM25: texts are ranked by `ts_rank`, for which rare words count no more than
common ones.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from pixseek import filters
from pixseek.engines import columns
from pixseek.errors import (
    ConfigError,
    EngineError,
    LibraryFormatError,
    MissingExtraError,
    PixseekError,
)
from pixseek.types import (
    And,
    Capabilities,
    Compare,
    Engine,
    Filter,
    Known,
    Match,
    Neighbours,
    Not,
    Or,
    Order,
    Record,
    Space,
)

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: From so many vectors on there is an HNSW index: below, scoring all takes some milliseconds.
INDEX_PARTS = 10_000
#: pgvector can't index longer half vectors.
_MAX_INDEXED_DIM = 4_000
#: 2: the words of each record.
_FORMAT = 2
#: Rows that a migration reads at a time.
_MIGRATED_ROWS = 1_000

_TABLES = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {space} (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    format int NOT NULL, fingerprint text NOT NULL, dim int NOT NULL, model text NOT NULL
);
CREATE TABLE IF NOT EXISTS {record} (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    uri text COLLATE "C" NOT NULL,
    size bigint, mtime_ns bigint,
    digest text COLLATE "C", media text COLLATE "C",
    width bigint, height bigint,
    taken_at text COLLATE "C", caption text COLLATE "C",
    tags json, fields json,
    root text COLLATE "C", folder text COLLATE "C", name text COLLATE "C",
    folded jsonb NOT NULL,
    words tsvector NOT NULL
);
CREATE INDEX IF NOT EXISTS {record_words} ON {record} USING gin (words);
CREATE INDEX IF NOT EXISTS {record_uri} ON {record} (uri, id);
CREATE INDEX IF NOT EXISTS {record_digest} ON {record} (digest) WHERE digest IS NOT NULL;
CREATE TABLE IF NOT EXISTS {part} (
    record bigint NOT NULL REFERENCES {record} ON DELETE CASCADE,
    ordinal int NOT NULL, part text, vector halfvec({dim}) NOT NULL,
    PRIMARY KEY (record, ordinal)
);
"""


def open_postgres(url: str) -> PostgresEngine:
    """Open the engine on a PostgreSQL server.

    Args:
        url: `postgresql://...`, as libpq takes it, with `schema` and `table` besides.

    Raises:
        MissingExtraError: psycopg is not installed.
        EngineError: the server is out of reach, or what is there is not ours.
        ConfigError: the URL has a schema or table of a name that can't be used.
    """
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("the PostgreSQL engine", "psycopg", "postgres") from error
    parsed = urllib.parse.urlsplit(url)
    names = {"schema": "public", "table": "pixseek"}
    rest = []
    for key, value in urllib.parse.parse_qsl(parsed.query, keep_blank_values=True):
        if key in names:
            if not (value.isascii() and value.isidentifier() and len(value) <= 40):
                raise ConfigError(
                    f"not a name for a {key}", value, "Use letters, digits and _, at most 40."
                )
            names[key] = value
        else:
            rest.append((key, value))
    # Spaces as %20: libpq does not know "+".
    query = urllib.parse.urlencode(rest, quote_via=urllib.parse.quote)
    engine = PostgresEngine(parsed._replace(query=query).geturl(), **names)
    try:
        engine._migrate()
    except BaseException:
        engine.close()
        raise
    return engine


class _Answer(NamedTuple):
    """A record that answers a query, its best score and the index of the part that has it."""

    score: float
    number: int
    id: str
    part: int


class PostgresEngine:
    """The engine in one database. See `types.Engine`; open it by `open_postgres`."""

    capabilities = Capabilities(
        filtering="during", exact=False, visibility="searchable", text_search="ts_rank"
    )

    def __init__(self, conninfo: str, schema: str, table: str) -> None:
        self._conninfo = conninfo
        self._schema, self._table = schema, table
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._all: list[Any] = []
        self._closed = False
        self._indexed = False

    # -------------------------------------------------------------- spaces

    @property
    def space(self) -> Space | None:
        """The space whose vectors it holds; None before the first `ensure`."""
        with self._transaction() as db:
            return self._space(db)

    def _space(self, db: Any) -> Space | None:
        (exists,) = db.execute("SELECT to_regclass(%s)", [self._quoted("space")]).fetchone()
        if exists is None:
            return None
        row = db.execute(
            self._sql("SELECT format, fingerprint, dim, model FROM {space}")
        ).fetchone()
        if row is None:
            return None
        if row[0] > _FORMAT:
            raise LibraryFormatError(
                f"the library was written by a newer pixseek (format {row[0]})",
                self._quoted("space"),
                "Upgrade with: pip install --upgrade pixseek",
            )
        return Space(*row[1:])

    def _migrate(self) -> None:
        """Bring the tables of an older pixseek up to date."""
        with self._transaction() as db:
            if self._space(db) is None or self._format(db) == _FORMAT:
                return
            db.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [self._quoted("space")])
            if self._format(db) == _FORMAT:  # another process was first
                return
            db.execute(self._sql("ALTER TABLE {record} ADD COLUMN IF NOT EXISTS words tsvector"))
            with db.cursor("migration") as cursor:
                cursor.execute(
                    self._sql(
                        "SELECT number, uri, caption, tags::text, fields::text FROM {record} "
                        "ORDER BY number"
                    )
                )
                update = self._sql(f"UPDATE {{record}} SET words = {_WORDS} WHERE number = %s")
                while rows := cursor.fetchmany(_MIGRATED_ROWS):
                    db.cursor().executemany(
                        update, [(*columns.texts_of(*row[1:]), row[0]) for row in rows]
                    )
            db.execute(self._sql("ALTER TABLE {record} ALTER COLUMN words SET NOT NULL"))
            db.execute(
                self._sql("CREATE INDEX IF NOT EXISTS {record_words} ON {record} USING gin (words)")
            )
            db.execute(self._sql("UPDATE {space} SET format = %s"), [_FORMAT])

    def _format(self, db: Any) -> int:
        return int(db.execute(self._sql("SELECT format FROM {space}")).fetchone()[0])

    def ensure(self, space: Space) -> None:
        """Create the extension, schema and tables that `space` needs.

        Raises:
            SpaceMismatchError: the library holds vectors of another space.
            EngineError: pgvector is not installed on the server, or this user may not create.
        """
        with self._transaction() as db:
            # Two processes that create at once would run into each other.
            db.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [self._quoted("space")])
            found = self._space(db)
            if found is not None:
                if (found.fingerprint, found.dim) == (space.fingerprint, space.dim):
                    return
                if db.execute(self._sql("SELECT 1 FROM {record} LIMIT 1")).fetchone():
                    raise columns.space_mismatch(found, space)
                db.execute(self._sql("DROP TABLE {space}, {part}, {record}"))
            for statement in _TABLES.split(";\n"):
                if statement.strip():
                    db.execute(self._sql(statement, dim=space.dim))
            db.execute(
                self._sql(
                    "INSERT INTO {space} (format, fingerprint, dim, model) VALUES (%s, %s, %s, %s)"
                ),
                [_FORMAT, space.fingerprint, space.dim, space.model],
            )
            self._indexed = False

    # -------------------------------------------------------------- writing

    def put(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Store records, replacing those of the same id; durable when it returns.

        Raises:
            EngineError: records and vectors don't belong together, can't be stored, or the
                server refused; nothing was stored.
        """
        vectors = np.asarray(vectors, np.float32)
        rows = [(*columns.to_columns(r), *_derived(r), *columns.texts(r)) for r in records]
        with self._transaction() as db:
            space = self._space(db)
            if space is None:
                raise EngineError(
                    "the library has no space yet", self._table, "Call ensure() before put()."
                )
            columns.check_batch(records, vectors, space.dim)
            if not records:
                return
            names = [*columns.Columns._fields, "root", "folder", "name", "folded", "words"]
            updates = ", ".join(f"{name} = EXCLUDED.{name}" for name in names[1:])
            statement = self._sql(
                f"INSERT INTO {{record}} ({', '.join(names)}) "
                f"VALUES ({', '.join(['%s'] * (len(names) - 1))}, {_WORDS}) "
                f"ON CONFLICT (id) DO UPDATE SET {updates}"
            )
            # In the order of ids, so that two writers never wait for each other.
            db.cursor().executemany(statement, sorted(rows, key=lambda row: row[0]))
            numbers = self._numbers(db, [record.id for record in records])
            db.execute(
                self._sql("DELETE FROM {part} WHERE record = ANY(%s)"), [list(numbers.values())]
            )
            copy = self._sql("COPY {part} (record, ordinal, part, vector) FROM STDIN")
            with db.cursor().copy(copy) as sink:
                row = 0
                for record in records:
                    for ordinal, part in enumerate(record.parts):
                        sink.write_row(
                            (
                                numbers[record.id],
                                ordinal,
                                columns.part_to_json(part),
                                _vector_text(vectors[row]),
                            )
                        )
                        row += 1
        self._index_if_due(space)

    def _index_if_due(self, space: Space) -> None:
        """Create the HNSW index once there are `INDEX_PARTS` vectors: on a table that holds some
        it is built at once, which is many times faster than row by row."""
        if self._indexed or space.dim > _MAX_INDEXED_DIM:
            return
        with self._transaction() as db:
            (many,) = db.execute(
                self._sql("SELECT count(*) FROM (SELECT 1 FROM {part} LIMIT %s) AS parts"),
                [INDEX_PARTS],
            ).fetchone()
            if many < INDEX_PARTS:
                return
            db.execute(
                self._sql(
                    "CREATE INDEX IF NOT EXISTS {part_vector} ON {part} "
                    "USING hnsw (vector halfvec_cosine_ops)"
                )
            )
        self._indexed = True

    def delete(self, ids: Iterable[str]) -> int:
        """Delete records; return how many there were."""
        wanted = [id_ for id_ in dict.fromkeys(ids) if columns.is_storable(id_)]
        with self._transaction() as db:
            if not wanted or self._space(db) is None:
                return 0
            found = db.execute(self._sql("DELETE FROM {record} WHERE id = ANY(%s)"), [wanted])
            return int(found.rowcount)

    # -------------------------------------------------------------- reading

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """Return the records of these ids, in order, None where there is none."""
        with self._transaction() as db:
            if not ids or self._space(db) is None:
                return [None] * len(ids)
            numbers = self._numbers(db, ids)
            records = self._records(db, list(numbers.values()))
        return [records[numbers[each]] if each in numbers else None for each in ids]

    def vectors(self, ids: Sequence[str]) -> list[Vectors | None]:
        """Return each record's vectors, (parts, dim) float32, None where there is no record."""
        with self._transaction() as db:
            if not ids or self._space(db) is None:
                return [None] * len(ids)
            numbers = self._numbers(db, ids)
            found = self._vectors(db, list(numbers.values()))
        return [found[numbers[each]] if each in numbers else None for each in ids]

    def known(self, prefix: str = "") -> Iterator[Known]:
        """Yield what is stored of every record whose URI begins with `prefix`, by URI."""
        if not columns.is_storable(prefix):
            return
        end = columns.prefix_end(prefix)
        with self._transaction() as db:
            if self._space(db) is None:
                return
            with db.cursor("known") as cursor:  # on the server: read as it is asked for
                cursor.itersize = 10_000
                cursor.execute(
                    self._sql(
                        f"SELECT {_KNOWN} FROM {{record}} WHERE uri >= %s "
                        f"{'' if end is None else 'AND uri < %s '}ORDER BY uri, id"
                    ),
                    [prefix] if end is None else [prefix, end],
                )
                for row in cursor:
                    yield _to_known(row)

    def with_digest(self, digest: str) -> list[Known]:
        """Return what is stored of the records with this content digest, by URI."""
        with self._transaction() as db:
            if not digest or not columns.is_storable(digest) or self._space(db) is None:
                return []
            statement = f"SELECT {_KNOWN} FROM {{record}} WHERE digest = %s ORDER BY uri, id"
            return [_to_known(row) for row in db.execute(self._sql(statement), [digest])]

    def count(self, where: Filter | None = None) -> int:
        """Return how many records there are, or how many fulfil `where`.

        Raises:
            QueryError: see `filters.check`.
        """
        if where is not None:
            filters.check(where)
        with self._transaction() as db:
            if self._space(db) is None:
                return 0
            return self._count(db, where)

    def _count(self, db: Any, where: Filter | None) -> int:
        parameters: dict[str, Any] = {}
        condition = "true" if where is None else where_sql(where, parameters)
        statement = f"SELECT count(*) FROM {{record}} r WHERE {condition}"
        return int(db.execute(self._sql(statement), parameters).fetchone()[0])

    def export(self, batch: int = 4096) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all records by URI, in batches, each with its vectors as `put` takes them.

        All of one snapshot: what is written meanwhile is not seen.
        """
        with self._transaction(snapshot=True) as db:
            if self._space(db) is None:
                return
            with db.cursor("export") as cursor:
                cursor.execute(self._sql("SELECT number FROM {record} ORDER BY uri, id"))
                while numbers := [number for (number,) in cursor.fetchmany(batch)]:
                    records, vectors = self._records(db, numbers), self._vectors(db, numbers)
                    yield (
                        [records[number] for number in numbers],
                        np.concatenate([vectors[number] for number in numbers]),
                    )

    # -------------------------------------------------------------- search

    def search(self, vectors: Vectors, k: int, where: Filter | None = None) -> list[list[Match]]:
        """Return, for each of (q, dim) unit rows, the k nearest records, best first.

        Scores are exact cosines of the float16 vectors. Which records are the nearest is exact
        while there is no index.

        Raises:
            QueryError: see `filters.check`.
            EngineError: the vectors are of another dimension, or not finite; the server refused.
        """
        if where is not None:
            filters.check(where)
        vectors = np.asarray(vectors, np.float32)
        with self._transaction(snapshot=True) as db:
            space = self._space(db)
            if space is None:
                return [[] for _ in vectors]
            found = self._nearest(db, space, vectors, k, where)
            numbers = {answer.number for each in found for answer in each}
            records = self._records(db, list(numbers))
        return [
            [
                Match(record, record.parts[answer.part], answer.score)
                for answer in each
                for record in (records[answer.number],)
            ]
            for each in found
        ]

    def nearest(self, vectors: Vectors, k: int, where: Filter | None = None) -> list[Neighbours]:
        """Return, for each of (q, dim) unit rows, the k nearest records, as `search` finds them.

        Raises:
            QueryError: see `filters.check`.
            EngineError: the vectors are of another dimension, or not finite; the server refused.
        """
        if where is not None:
            filters.check(where)
        vectors = np.asarray(vectors, np.float32)
        with self._transaction(snapshot=True) as db:
            space = self._space(db)
            if space is None:
                return [columns.no_neighbours(vectors.shape[-1], 0) for _ in vectors]
            found = self._nearest(db, space, vectors, k, where)
            total = self._count(db, where)
            numbers = {answer.number for each in found for answer in each}
            stored = self._vectors(db, list(numbers))
        return [
            Neighbours(
                ids=tuple(answer.id for answer in each),
                scores=np.array([answer.score for answer in each], np.float32),
                vectors=np.array([stored[answer.number][answer.part] for answer in each])
                .reshape(-1, space.dim)
                .astype(np.float32),
                parts=tuple(answer.part for answer in each),
                total=total,
            )
            for each in found
        ]

    def _nearest(
        self, db: Any, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[_Answer]]:
        columns.check_query(vectors, space.dim)
        if k < 1:
            return [[] for _ in vectors]
        # Without it a filter on few rows finds none: the index hands out its nearest, and
        # the filter drops them.
        db.execute("SET LOCAL hnsw.iterative_scan = strict_order")
        db.execute(
            "SELECT set_config('hnsw.ef_search', %s, true)", [str(min(max(2 * k, 100), 1000))]
        )
        return [self._search(db, query, k, where) for query in vectors]

    def _search(self, db: Any, query: Vectors, k: int, where: Filter | None) -> list[_Answer]:
        parameters: dict[str, Any] = {}
        condition = "true" if where is None else where_sql(where, parameters)
        # The id is not asked for in the order: the index could not give it.
        statement = (
            "SELECT p.record, r.id, p.ordinal, 1 - (p.vector <=> %(query)s::halfvec) AS score "
            f"FROM {{part}} p JOIN {{record}} r ON r.number = p.record WHERE {condition} "
            "ORDER BY (p.vector <=> %(query)s::halfvec)"
        )
        parameters["query"] = _vector_text(query)
        limit, exact = k + 16, False
        while True:
            # No index serves a sum, so that all vectors are scored.
            ordered = self._sql(f"{statement}{' + 0' if exact else ''} LIMIT %(limit)s")
            rows = db.execute(ordered, {**parameters, "limit": limit}).fetchall()
            best: dict[int, tuple[float, str, int]] = {}
            for number, id_, ordinal, score in rows:  # best first, so the first part is the best
                if number not in best or (-score, ordinal) < (-best[number][0], best[number][2]):
                    best[number] = (score, id_, ordinal)
            ranked = sorted(best.items(), key=lambda item: (-item[1][0], item[1][1]))[:k]
            # Enough, when there are k and nothing beyond the last row can tie with them.
            enough = len(ranked) == k and rows[-1][3] < ranked[-1][1][0]
            if enough or (len(rows) < limit and (exact or not self._has_index(db))):
                break
            # An index scan gives up after `hnsw.max_scan_tuples`; then all are scored.
            exact = exact or len(rows) < limit
            limit = limit if exact and len(rows) < limit else limit * 4
        return [
            _Answer(float(min(max(score, -1.0), 1.0)), number, id_, ordinal)
            for number, (score, id_, ordinal) in ranked
        ]

    def _has_index(self, db: Any) -> bool:
        if not self._indexed:
            (found,) = db.execute(
                "SELECT to_regclass(%s) IS NOT NULL", [self._quoted("part_vector")]
            ).fetchone()
            self._indexed = bool(found)
        return self._indexed

    def text_search(
        self, text: str, k: int, where: Filter | None = None
    ) -> list[tuple[str, float]]:
        """Return the ids of the k records whose texts fit best, with their relevance.

        By `ts_rank`, scaled so that a record whose strong part holds every word once has 1.
        PostgreSQL does not index the words that it takes for stop words of English: they are
        never found.

        Raises:
            QueryError: see `filters.check`.
            EngineError: the server refused.
        """
        if where is not None:
            filters.check(where)
        words = columns.words_to_find(text)
        with self._transaction() as db:
            if not words or k < 1 or self._space(db) is None:
                return []
            parameters: dict[str, Any] = {}
            condition = "true" if where is None else where_sql(where, parameters)
            query = " || ".join(
                f"phraseto_tsquery('english', %(word{n})s)" for n in range(len(words))
            )
            parameters.update({f"word{n}": word for n, word in enumerate(words)})
            found = db.execute(
                self._sql(
                    "SELECT id, least(1, ts_rank(%(weights)s::float4[], words, query) * %(all)s) "
                    f"AS relevance FROM {{record}} r, (SELECT {query} AS query) AS asked "
                    f"WHERE words @@ query AND {condition} "
                    "ORDER BY relevance DESC, id LIMIT %(k)s"
                ),
                {**parameters, "weights": _WEIGHTS, "all": math.pi**2 / 6, "k": k},
            )
            return [(id_, float(relevance)) for id_, relevance in found]

    def select(
        self, where: Filter | None, *, order: Order, descending: bool, k: int, offset: int
    ) -> list[Record]:
        """Return `k` of the records that fulfil `where`, after the first `offset`, in an order.

        Raises:
            QueryError: see `filters.check`.
            EngineError: the server refused.
        """
        if where is not None:
            filters.check(where)
        with self._transaction(snapshot=True) as db:
            if k < 1 or self._space(db) is None:
                return []
            parameters: dict[str, Any] = {}
            condition = "true" if where is None else where_sql(where, parameters)
            direction = "DESC" if descending else "ASC"
            found = db.execute(
                self._sql(
                    f"SELECT number FROM {{record}} r WHERE {condition} "
                    f"ORDER BY {_ORDERS[order]} {direction} NULLS LAST, id "
                    "LIMIT %(k)s OFFSET %(offset)s"
                ),
                {**parameters, "k": k, "offset": offset},
            )
            numbers = [number for (number,) in found]
            records = self._records(db, numbers)
        return [records[number] for number in numbers]

    def sample(self, n: int) -> Vectors:
        """Return at most n of the stored vectors, (m, dim) float32 unit rows, drawn evenly.

        Those of the records whose ids come first: an id is a hash, and has an index.
        """
        with self._transaction() as db:
            space = self._space(db)
            if space is None:
                return np.empty((0, 0), np.float32)
            found = db.execute(
                self._sql(
                    "SELECT vector::text FROM {record} r JOIN {part} p ON p.record = r.number "
                    "ORDER BY id, ordinal LIMIT %s"
                ),
                [max(0, n)],
            )
            rows = [json.loads(text) for (text,) in found]
        return np.array(rows, np.float32).reshape(-1, space.dim)

    # -------------------------------------------------------------- rows

    def _numbers(self, db: Any, ids: Sequence[str]) -> dict[str, int]:
        wanted = [id_ for id_ in ids if columns.is_storable(id_)]
        statement = self._sql("SELECT id, number FROM {record} WHERE id = ANY(%s)")
        return dict(db.execute(statement, [wanted]))

    def _records(self, db: Any, numbers: Sequence[int]) -> dict[int, Record]:
        parts: dict[int, list[Any]] = {number: [] for number in numbers}
        for number, part in db.execute(
            self._sql(
                "SELECT record, part FROM {part} WHERE record = ANY(%s) ORDER BY record, ordinal"
            ),
            [list(numbers)],
        ):
            parts[number].append(columns.part_from_json(part))
        names = columns.COLUMNS.replace("tags", "tags::text").replace("fields", "fields::text")
        return {
            number: columns.from_columns(values, tuple(parts[number]))
            for number, *values in db.execute(
                self._sql(f"SELECT number, {names} FROM {{record}} WHERE number = ANY(%s)"),
                [list(numbers)],
            )
        }

    def _vectors(self, db: Any, numbers: Sequence[int]) -> dict[int, Vectors]:
        rows: dict[int, list[Any]] = {number: [] for number in numbers}
        for number, text in db.execute(
            self._sql(
                "SELECT record, vector::text FROM {part} WHERE record = ANY(%s) "
                "ORDER BY record, ordinal"
            ),
            [list(numbers)],
        ):
            rows[number].append(json.loads(text))
        return {number: np.array(some, np.float32) for number, some in rows.items()}

    # -------------------------------------------------------------- connections

    def close(self) -> None:
        """Let go of all connections; further calls are an error."""
        with self._lock:
            self._closed = True
            connections, self._all, self._idle = self._all, [], []
        for db in connections:
            db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self, snapshot: bool = False) -> Iterator[Any]:
        """Lend a connection in a transaction: committed at the end, or rolled back."""
        import psycopg

        with _translated(self._conninfo):
            db = self._take(psycopg)
            try:
                with db.transaction():
                    if snapshot:
                        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    yield db
            finally:
                with self._lock:
                    if not self._closed and not db.closed:
                        self._idle.append(db)

    def _take(self, psycopg: Any) -> Any:
        with self._lock:
            if self._closed:
                raise EngineError("the library was closed", self._table, "Open it again.")
            while self._idle:
                db = self._idle.pop()
                if not db.closed:
                    return db
                self._all.remove(db)
        db = psycopg.connect(self._conninfo, autocommit=True, connect_timeout=10)
        with self._lock:
            self._all.append(db)
        return db

    def _sql(self, statement: str, **numbers: int) -> Any:
        """Return a statement with the names of our tables, quoted."""
        from psycopg import sql

        def named(suffix: str) -> Any:
            return sql.Identifier(self._schema, f"{self._table}_{suffix}")

        return sql.SQL(statement).format(
            schema=sql.Identifier(self._schema),
            space=named("space"),
            record=named("record"),
            part=named("part"),
            # An index lies in the schema of its table, and is named without it.
            **{
                name: sql.Identifier(f"{self._table}_{name}")
                for name in ("record_uri", "record_digest", "record_words", "part_vector")
            },
            **{name: sql.Literal(number) for name, number in numbers.items()},
        )

    def _quoted(self, suffix: str) -> str:
        return f'"{self._schema}"."{self._table}_{suffix}"'


#: The words of a record, of its strong part (weight A) and its weak part (D), see `columns.Texts`.
_WORDS = (
    "setweight(to_tsvector('english', %s::text), 'A') || "
    "setweight(to_tsvector('english', %s::text), 'D')"
)
#: What a word counts in the parts D, C, B and A. `ts_rank` divides that by pi**2 / 6.
_WEIGHTS = [0.5, 0.5, 0.5, 1.0]
_ORDERS: dict[Order, str] = {
    "uri": "uri",
    "name": "name",
    "taken_at": "substr(taken_at, 1, 26)",  # the wall clock, as an album goes
    "mtime": "mtime_ns",
    "size": "size",
}

# ------------------------------------------------------------------ filters

_SYMBOLS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_Bind = Callable[[Any], str]


def where_sql(where: Filter, parameters: dict[str, Any]) -> str:
    """Return a filter as a condition on the record table `r`; its values go to `parameters`."""

    def bind(value: Any) -> str:
        name = f"p{len(parameters)}"
        parameters[name] = value
        return f"%({name})s"

    def compile_(where: Filter) -> str:
        match where:
            case And(parts):
                return f"({' AND '.join(map(compile_, parts)) or 'true'})"
            case Or(parts):
                return f"({' OR '.join(map(compile_, parts)) or 'false'})"
            case Not(inner):
                # NULL, from a missing value, counts as false before it is turned round.
                return f"NOT coalesce({compile_(inner)}, false)"
            case Compare():
                return f"({_compare_sql(where, bind)})"

    return compile_(where)


def _compare_sql(compare: Compare, bind: _Bind) -> str:
    name, op, value = compare.field, compare.op, compare.value
    if op in {"glob", "contains"}:
        return _text_sql(name, op, str(value), bind)
    if name.startswith(filters.USER_PREFIX):
        return _user_sql(bind(name.removeprefix(filters.USER_PREFIX)) + "::text", op, value, bind)
    if name == "location":
        return _location_sql(op, value, bind)
    column = "r.mtime_ns" if name == "mtime" else f"r.{name}"
    if name in filters.DERIVED:
        return _derived_sql(name, op, value, bind)
    if op == "exists":
        return f"{column} IS NOT NULL"
    values: Sequence[Any] = value if isinstance(value, tuple) else (value,)
    if name == "taken_at":
        symbol = "=" if op == "in" else _SYMBOLS[op]
        return " OR ".join(_time_sql(column, symbol, each, bind) for each in values) or "false"
    if name == "mtime":
        values = [filters.mtime_value_ns(each) for each in values]
    if filters.FIELDS[name].kind == "text":
        # An explicit type, since that of an empty list can't be seen.
        return (
            f"{column} = ANY({bind(list(values))}::text[])"
            if op == "in"
            else f"{column} {_SYMBOLS[op]} {bind(values[0])}::text"
        )
    # As text to numeric: exact for every number, infinity included.
    texts = [str(each) for each in values]
    return (
        f"{column} = ANY({bind(texts)}::text[]::numeric[])"
        if op == "in"
        else f"{column} {_SYMBOLS[op]} {bind(texts[0])}::text::numeric"
    )


def _derived_sql(name: str, op: str, value: Any, bind: _Bind) -> str:
    """Compare what follows from width and height, computed as in `filters.derived`."""
    if op == "exists":
        return "r.width IS NOT NULL AND r.height IS NOT NULL"
    width, height = "r.width::float8", "r.height::float8"
    stored = f"({width} / {height})" if name == "aspect" else f"({width} * {height} / 1e6::float8)"
    if op == "in":
        return f"{stored} = ANY({bind([filters.as_float(each) for each in value])}::float8[])"
    return f"{stored} {_SYMBOLS[op]} {bind(filters.as_float(value))}::float8"


def _location_sql(op: str, value: Any, bind: _Bind) -> str:
    """Compare the distance, computed as in `filters.distance_km`."""
    latitude, longitude = (
        f"CASE json_typeof(r.fields->'{name}') WHEN 'number' THEN (r.fields->>'{name}')::float8 END"
        for name in ("latitude", "longitude")
    )
    known = f"({latitude}) BETWEEN -90 AND 90 AND ({longitude}) BETWEEN -180 AND 180"
    if op == "exists":
        return known
    place, distance = filters.circle(value)
    centre = [f"{bind(degrees)}::float8" for degrees in place]
    across = f"sin(radians(({latitude}) - {centre[0]}) / 2)"
    along = f"sin(radians(({longitude}) - {centre[1]}) / 2)"
    cosines = f"cos(radians({latitude})) * cos(radians({centre[0]}))"
    half_chord = f"{across} * {across} + {cosines} * ({along} * {along})"
    computed = f"2 * {filters.EARTH_KM}::float8 * asin(least(1, sqrt({half_chord})))"
    # CASE, since AND may evaluate both its sides.
    return f"CASE WHEN {known} THEN {computed} <= {bind(distance)}::float8 END"


def _text_sql(name: str, op: str, value: str, bind: _Bind) -> str:
    """Compare what is stored casefolded in `folded` (see `_derived`)."""
    pattern = value.casefold()
    for special in ("\\", "%", "_"):
        pattern = pattern.replace(special, f"\\{special}")
    if op == "glob":
        pattern = pattern.replace("*", "%").replace("?", "_")
    elif name != "tags":
        pattern = f"%{pattern}%"
    if name == "tags":
        return (
            "EXISTS (SELECT 1 FROM jsonb_array_elements_text(r.folded->'tags') tag "
            f"WHERE tag LIKE {bind(pattern)})"
        )
    return f"r.folded->>{bind(name)}::text LIKE {bind(pattern)}"


def _time_sql(stored: str, symbol: str, value: datetime, bind: _Bind) -> str:
    """Compare ISO text: instants where both have a zone, else wall clocks."""
    wall = bind(columns.time_to_text(value.replace(tzinfo=None)))
    walls = f'substr({stored}, 1, 26) COLLATE "C" {symbol} {wall}::text'
    if value.tzinfo is None:
        return walls
    zoned = bind(columns.time_to_text(value))
    return (
        f"CASE WHEN length({stored}) > 26 "
        f"THEN ({stored})::timestamptz {symbol} {zoned}::text::timestamptz ELSE {walls} END"
    )


def _user_sql(name: str, op: str, value: Any, bind: _Bind) -> str:
    """Compare a user field; a value of another kind is as good as none."""
    exists = f"json_typeof(r.fields->{name}) <> 'null'"
    if op == "exists":
        return exists
    if op == "in":
        return " OR ".join(f"({_user_sql(name, 'eq', v, bind)})" for v in value) or "false"
    if op == "ne":  # also true of a value of another kind
        return f"{exists} AND NOT coalesce({_user_sql(name, 'eq', value, bind)}, false)"
    symbol = _SYMBOLS[op]
    match filters.value_kind(value):
        case "time":
            return _time_sql(f"(r.fields->{name}->>'time')", symbol, value, bind)
        case "number":
            stored = (
                f"CASE json_typeof(r.fields->{name}) "
                f"WHEN 'number' THEN (r.fields->>{name})::numeric "
                f"WHEN 'object' THEN (r.fields->{name}->>'float')::numeric END"
            )
            return f"{stored} {symbol} {bind(str(value))}::text::numeric"
        case "truth":
            of_kind, cast, bound = "boolean", "::boolean", f"{bind(value)}::boolean"
        case _:
            of_kind, cast, bound = "string", ' COLLATE "C"', f"{bind(value)}::text"
    stored = (
        f"CASE json_typeof(r.fields->{name}) WHEN '{of_kind}' THEN (r.fields->>{name}){cast} END"
    )
    return f"{stored} {symbol} {bound}"


# ------------------------------------------------------------------ rows

_KNOWN = "id, uri, size, mtime_ns, digest"


def _to_known(row: Sequence[Any]) -> Known:
    id_, uri, size, mtime_ns, digest = row
    return Known(id_, uri, columns.stamp_of(size, mtime_ns), digest or "")


def _derived(record: Record) -> tuple[str | None, str, str, str]:
    """Return what filters need besides the columns: root, folder, name and `folded`.

    `folded` holds all texts casefolded by Python, as `filters` defines it: what a server calls
    lower case depends on its locale.
    """
    texts: dict[str, Any] = {
        name: getattr(record, name)
        for name, field in filters.FIELDS.items()
        if field.kind == "text" and (getattr(record, name) or name in {"folder", "name"})
    }
    for name, value in record.fields.items():
        if isinstance(value, str):
            texts[f"{filters.USER_PREFIX}{name}"] = value
    folded: dict[str, Any] = {name: text.casefold() for name, text in texts.items()}
    folded["tags"] = [tag.casefold() for tag in record.tags]
    return record.root or None, record.folder, record.name, json.dumps(folded, ensure_ascii=False)


def _vector_text(vector: Vectors) -> str:
    """Return a vector as pgvector reads it; it rounds to float16."""
    return json.dumps(vector.tolist())


@contextlib.contextmanager
def _translated(conninfo: str) -> Iterator[None]:
    """Turn what psycopg raises into the errors of pixseek."""
    import psycopg
    from psycopg import errors

    parsed = urllib.parse.urlsplit(conninfo)
    # Never the password.
    subject = f"{parsed.hostname or 'local'}{parsed.path}"
    try:
        yield
    except PixseekError:
        raise
    except (errors.FeatureNotSupported, errors.UndefinedFile) as error:
        raise EngineError(
            "the PostgreSQL server has no pgvector",
            subject,
            f"Install the extension on the server (https://github.com/pgvector/pgvector). It "
            f"said: {error}",
        ) from error
    except errors.InsufficientPrivilege as error:
        raise EngineError(
            "PostgreSQL does not allow this",
            subject,
            f"Ask for the right, or let an administrator create the extension 'vector'. It said: "
            f"{error}",
        ) from error
    except errors.DiskFull as error:
        raise EngineError("the PostgreSQL server's disk is full", subject, str(error)) from error
    except psycopg.OperationalError as error:
        raise EngineError(
            "PostgreSQL is out of reach", subject, f"Is it running, and the URL right? {error}"
        ) from error
    except psycopg.Error as error:
        raise EngineError("PostgreSQL refused", subject, str(error)) from error


def _conforms(engine: PostgresEngine) -> Engine:
    return engine  # checked by mypy
