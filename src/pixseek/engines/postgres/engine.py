"""The engine on PostgreSQL with pgvector (0.8 or newer): a library in three tables.

    postgresql://user@host/database?schema=photos&table=holiday

`schema` and `table` (default "pixseek") are ours, the rest is the server's; several libraries may
share a database. Vectors are stored as float16 (`halfvec`), those of all spaces in one table, so
that searches under way never miss it. If at most `hnsw.INDEX_PARTS` records fulfil a filter, every
vector of theirs is scored. A space of more vectors gets an HNSW index (`hnsw`), whose answers are
approximate.

PostgreSQL has no BM25: texts are ranked by `ts_rank`, for which rare words count no more than
common ones.
"""

from __future__ import annotations

import contextlib
import re
import urllib.parse
from collections.abc import Collection, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek.engines import columns
from pixseek.engines.base import BaseEngine
from pixseek.engines.postgres import hnsw, migrations, search, spaces
from pixseek.engines.postgres.connections import Connections
from pixseek.engines.postgres.filters import order_sql, where_sql
from pixseek.engines.postgres.records import Records
from pixseek.engines.postgres.schema import (
    URI_START,
    Names,
    Row,
    row_of,
    vector_of,
)
from pixseek.engines.postgres.spaces import Held, Session
from pixseek.engines.remote import refused
from pixseek.engines.rules import Answer
from pixseek.errors import ConfigError, MissingExtraError, unknown
from pixseek.redaction import Address
from pixseek.types import (
    Capabilities,
    Engine,
    FacetField,
    Filter,
    Known,
    Order,
    Reach,
    Record,
    Space,
    WordMatches,
)

if TYPE_CHECKING:
    from pixseek.types import Vectors

_ENCODE = "Encode what is special in a user or password: / as %2F, @ as %40, : as %3A, # as %23."


def open_postgres(url: str, *, progress: migrations.Progress | None = None) -> PostgresEngine:
    """Open the engine on a PostgreSQL server.

    Args:
        url: `postgresql://...`, as libpq takes it, and optionally `schema` and `table`; and
            `breadth`: how many candidates a search looks at in the index (`hnsw.ef_search`).
        progress: called while the tables of an older pixseek are brought up to date, with how many
            records are done, and how many there are.

    Raises:
        MissingExtraError: psycopg is not installed.
        EngineError: the server is out of reach or refuses.
        LibraryFormatError: the library was written by a newer pixseek.
        ConfigError: the URL can't be understood, or has a schema or table whose name can't be
            used, or another breadth than 1 to 1,000.
    """
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("the PostgreSQL engine", "psycopg", "postgres") from error
    try:
        parsed = urllib.parse.urlsplit(url)
    except ValueError:  # it quotes the password
        raise ConfigError("The URL can't be understood", url, _ENCODE) from None
    if _is_misread(parsed):
        raise ConfigError("The URL can't be understood", url, _ENCODE)
    names = {"schema": "public", "table": "pixseek"}
    known = _parameters() | {"breadth", *names}
    rest, breadth = [], None
    for key, value in urllib.parse.parse_qsl(parsed.query, keep_blank_values=True):
        if key in names:
            if not (value.isascii() and value.isidentifier() and len(value) <= 40):
                raise ConfigError(
                    f"not a name for a {key}", value, "Use letters, digits and _, at most 40."
                )
            names[key] = value
        elif key == "breadth":
            breadth = _breadth(value)
        elif key in known or "@" in parsed.query:  # libpq's, or perhaps a part of a password
            rest.append((key, value))
        else:
            raise ConfigError("unknown option of the engine", key, unknown("option", key, known))
    # Spaces as %20: libpq does not know "+".
    query = urllib.parse.urlencode(rest, quote_via=urllib.parse.quote)
    # Not by `geturl`, which leaves out the slashes of an empty host: "postgresql:///db?host=/run".
    secret = f"{parsed.scheme}://{parsed.netloc}{parsed.path}"
    secret += (query and f"?{query}") + (parsed.fragment and f"#{parsed.fragment}")
    address = Address(secret, url)
    engine = PostgresEngine(address, **names, breadth=breadth)
    try:
        engine._migrate(progress)
    except BaseException:
        engine.close()
        raise
    return engine


def _parameters() -> set[str]:
    """Return the names of what libpq takes in an address."""
    from psycopg.pq import Conninfo

    # "ssl" is that of JDBC, which libpq takes for sslmode=require.
    return {each.keyword.decode() for each in Conninfo.get_defaults()} | {"ssl"}


def _breadth(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= search.MOST_BREADTH):
        raise ConfigError(
            "not a value for this option of the engine",
            f"breadth={text}",
            f"Write a whole number from 1 to {search.MOST_BREADTH:,}.",
        )
    return int(text)


def _is_misread(parsed: urllib.parse.SplitResult) -> bool:
    """Return whether a password seems to hold what ends it in a URL."""
    place = parsed.netloc
    if "@" not in place:
        hosts = (re.fullmatch(r"([^:]*|\[.*\])(:\d*)?", each) for each in place.split(","))
        return "@" in parsed.path or not all(hosts)
    return place.count("@") > 1


class PostgresEngine(BaseEngine[Session, Session, Held]):
    """The engine in one database. See `types.Engine`; open it by `open_postgres`.

    Scores are exact cosines of the float16 vectors. Which records are the nearest is exact among
    at most `hnsw.INDEX_PARTS`. Every method raises EngineError if the server is out of reach or
    refuses; then nothing was stored, except if it says so: records that are too long for
    PostgreSQL are refused one by one.
    """

    capabilities = Capabilities(exact=False, text_search="ts_rank")

    def __init__(
        self, address: Address, schema: str, table: str, breadth: int | None = None
    ) -> None:
        self._subject = table
        self._breadth = breadth
        self._names = Names(schema, table)
        self._connections = Connections(address, table)
        self._records = Records(self._names)
        self._indexes = hnsw.Indexes(self._connections, self._names)

    # -------------------------------------------------------------- sessions

    @contextlib.contextmanager
    def _looking(self) -> Iterator[Session | None]:
        with self._connections.transaction() as db:
            at = spaces.session(db, self._names)
            yield at if at.spaces else None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Session | None]:
        with self._connections.transaction(snapshot=True) as db:
            at = spaces.session(db, self._names)
            yield at if at.spaces else None

    @contextlib.contextmanager
    def _writing(self, *, alone: bool) -> Iterator[Session]:
        with self._connections.transaction() as db:
            spaces.lock(db, self._names, shared=not alone)
            at = spaces.session(db, self._names)
            yield at
        if at.refused:  # by now the others are stored
            raise refused(at.refused, at.asked)

    def _migrate(self, progress: migrations.Progress | None) -> None:
        """Bring the tables of an older pixseek up to date."""
        migrations.migrate(self._connections, self._names, progress)

    # -------------------------------------------------------------- spaces

    def _spaces(self, at: Session) -> Sequence[Held]:
        return at.spaces

    def _add(self, at: Session, space: Space, *, active: bool) -> None:
        spaces.add(at.db, self._names, space, active=active)

    def _activate(self, at: Session, held: Held, model: str) -> None:
        spaces.activate(at.db, self._names, held, model)

    def _drop(self, at: Session, held: Held) -> None:
        spaces.drop(at.db, self._names, held)

    def _is_empty(self, at: Session) -> bool:
        return at.db.execute(self._names.sql("SELECT 1 FROM {record} LIMIT 1")).fetchone() is None

    def _held(self, at: Session, held: Held) -> int:
        statement = "SELECT count(*) FROM {part} WHERE space = %s AND ordinal = 0"
        return int(at.db.execute(self._names.sql(statement), [held.number]).fetchone()[0])

    # -------------------------------------------------------------- writing

    def _prepared(self, records: Sequence[Record]) -> list[Row]:
        return [row_of(record) for record in records]

    def _put(
        self,
        at: Session,
        held: Sequence[Held],
        records: Sequence[Record],
        rows: Sequence[Row],
        vectors: Vectors,
    ) -> None:
        at.asked = len(records)
        at.refused = self._records.put(at.db, held, records, rows, vectors)
        self._indexes.add(held[0], len(vectors))

    def _describe(
        self, at: Session, active: Held, records: Sequence[Record], rows: Sequence[Row]
    ) -> None:
        self._records.describe(at.db, rows)

    def _put_vectors(
        self, at: Session, held: Held, records: Sequence[Record], vectors: Vectors
    ) -> None:
        self._records.put_vectors(at.db, held, records, vectors)
        self._indexes.add(held, len(vectors))

    def _delete(self, at: Session, held: Sequence[Held], ids: Sequence[str]) -> int:
        return self._records.delete(at.db, ids)

    def _stored(self, at: Session, ids: Sequence[str]) -> dict[str, Record]:
        numbers = self._records.numbers(at.db, ids)
        records = self._records.read(at.db, at.active, list(numbers.values()))
        return {id_: records[number] for id_, number in numbers.items()}

    def _having(self, at: Session, held: Held, ids: Sequence[str]) -> Collection[str]:
        return self._records.having(at.db, held, ids)

    def _after_write(self, held: Held) -> None:
        self._indexes.drop_if_slow(held)

    def build_indexes(self) -> Generator[tuple[int, int], None, None]:
        """Build the HNSW index of spaces of more than `hnsw.INDEX_PARTS` vectors without one.

        Others can write and search meanwhile. See `types.Building`.
        """
        yield from self._indexes.build(self._all_held())

    def unindexed(self) -> int:
        """Return how many vectors `build_indexes` would put into indexes."""
        return self._indexes.lacking(self._all_held())

    def _all_held(self) -> list[Held]:
        with self._looking() as at:
            return [] if at is None else list(at.spaces)

    # -------------------------------------------------------------- reading

    def _vectors(self, at: Session, ids: Sequence[str]) -> dict[str, Vectors]:
        numbers = self._records.numbers(at.db, ids)
        found = self._records.vectors(at.db, at.active, list(numbers.values()))
        return {id_: found[number] for id_, number in numbers.items()}

    def _has_away(self, at: Session) -> bool:
        return at.has_away

    def _lacking(self, at: Session, held: Held, k: int, after: str) -> list[str]:
        parameters: dict[str, Any] = {"space": held.number, "k": k, "after": after}
        present = where_sql(self._visible(at, None), parameters)
        found = at.db.execute(
            self._names.sql(
                "SELECT id FROM {record} r WHERE id > %(after)s AND NOT EXISTS "
                "(SELECT 1 FROM {part} p WHERE p.record = r.number AND p.space = %(space)s) "
                f"AND {present} ORDER BY id LIMIT %(k)s"
            ),
            parameters,
        )
        return [id_ for (id_,) in found]

    def _known(self, at: Session, prefix: str) -> Iterator[Known]:
        end = columns.prefix_end(prefix)
        if end is None:
            return self._records.known(at, "uri >= %s", [prefix], many=True)
        # The beginnings can be looked up in the index; see `URI_START`.
        within = (
            f"{URI_START} >= left(%s::text, 600) AND {URI_START} <= left(%s::text, 600) "
            "AND uri >= %s AND uri < %s"
        )
        return self._records.known(at, within, [prefix, end, prefix, end], many=True)

    def _with_digests(self, at: Session, digests: Sequence[str]) -> Iterator[Known]:
        return self._records.known(at, "digest = ANY(%s)", [list(digests)], many=False)

    def _matching_ids(self, at: Session, where: Filter | None) -> Iterator[str]:
        parameters: dict[str, Any] = {}
        condition = where_sql(where, parameters)
        with at.db.cursor("ids") as cursor:  # on the server: read as it is asked for
            cursor.itersize = 10_000
            cursor.execute(
                self._names.sql(f"SELECT id FROM {{record}} r WHERE {condition}"), parameters
            )
            for (id_,) in cursor:
                yield id_

    def _select(
        self,
        at: Session,
        where: Filter | None,
        order: Order,
        descending: bool,
        k: int,
        offset: int,
    ) -> list[Record]:
        parameters: dict[str, Any] = {}
        condition = where_sql(where, parameters)
        found = at.db.execute(
            self._names.sql(
                f"SELECT number FROM {{record}} r WHERE {condition} "
                f"ORDER BY {order_sql(order, descending)} "
                "LIMIT %(k)s OFFSET %(offset)s"
            ),
            {**parameters, "k": k, "offset": offset},
        )
        numbers = [number for (number,) in found]
        records = self._records.read(at.db, at.active, numbers)
        return [records[number] for number in numbers]

    def _count(self, at: Session, where: Filter | None) -> int:
        parameters: dict[str, Any] = {}
        statement = f"SELECT count(*) FROM {{record}} r WHERE {where_sql(where, parameters)}"
        return int(at.db.execute(self._names.sql(statement), parameters).fetchone()[0])

    def _sample(self, at: Session, n: int) -> Vectors:
        found = at.db.cursor(binary=True).execute(
            self._names.sql(
                "SELECT halfvec_send(vector) FROM {record} r JOIN {part} p ON p.record = r.number "
                "WHERE p.space = %s ORDER BY id, ordinal LIMIT %s"
            ),
            [at.active.number, n],
        )
        rows = [vector_of(stored) for (stored,) in found]
        return np.array(rows, np.float32).reshape(-1, at.space.dim)

    def _export(self, at: Session, batch: int) -> Iterator[tuple[list[Record], Vectors]]:
        with at.db.cursor("export") as cursor:
            cursor.execute(
                self._names.sql(f"SELECT number FROM {{record}} ORDER BY {URI_START}, uri, id")
            )
            while numbers := [number for (number,) in cursor.fetchmany(batch)]:
                records = self._records.read(at.db, at.active, numbers)
                vectors = self._records.vectors(at.db, at.active, numbers)
                yield (
                    [records[number] for number in numbers],
                    np.concatenate([vectors[number] for number in numbers]),
                )

    def _page(self, at: Session, held: Held, k: int, after: str) -> tuple[list[Record], Vectors]:
        found = at.db.execute(
            self._names.sql("SELECT number FROM {record} WHERE id > %s ORDER BY id LIMIT %s"),
            [after, k],
        )
        numbers = [number for (number,) in found]
        records = self._records.read(at.db, held, numbers)
        vectors = self._records.vectors(at.db, held, numbers)
        rows = [np.empty((0, held.space.dim), np.float32), *(vectors[each] for each in numbers)]
        return [records[number] for number in numbers], np.concatenate(rows)

    def _keep(self, kind: str, name: str, text: str | None) -> None:
        with self._writing(alone=True) as at:
            spaces.keep(at.db, self._names, kind, name, text)

    def _kept(self, kind: str) -> dict[str, str]:
        with self._connections.transaction() as db:
            return spaces.kept(db, self._names, kind)

    # -------------------------------------------------------------- search

    def _nearest(
        self, at: Session, vectors: Vectors, k: int, where: Filter | None, *, exact: bool
    ) -> tuple[list[list[Answer]], int, Reach]:
        def count() -> int:
            return self._count(at, self._visible(at, where))

        if not len(vectors):
            total = count()
            return [], total, Reach(True, total)
        visible = where and self._visible(at, where)
        among = search.scope(at.db, self._names, visible, count)
        breadth = search.tune(at.db, k, self._breadth, among.records)
        exact = exact or among.records <= hnsw.INDEX_PARTS or not at.active.indexed
        answers = [
            search.nearest(at.db, self._names, at.active, query, k, among, exact=exact)
            for query in vectors
        ]
        all_scored = all(scored for _, scored in answers)
        reach = Reach(True, among.records) if all_scored else Reach(False, breadth)
        return [found for found, _ in answers], among.records, reach

    def _answer_vectors(self, at: Session, answers: Sequence[Answer]) -> Vectors:
        stored = self._records.vectors(at.db, at.active, list({each.key for each in answers}))
        rows = [stored[each.key][each.part] for each in answers]
        return np.array(rows, np.float32).reshape(-1, at.space.dim)

    def _find_words(
        self, at: Session, words: Sequence[str], k: int, where: Filter | None, *, counted: bool
    ) -> WordMatches:
        return search.find_words(at.db, self._names, words, k, where)

    def _facets(
        self, at: Session, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]]:
        return search.facets(at.db, self._names, where, fields, most)

    # -------------------------------------------------------------- the end

    def close(self) -> None:
        """Close all connections; further calls are an error."""
        self._connections.close()


def _conforms(engine: PostgresEngine) -> Engine:
    return engine  # checked by mypy
