"""The HNSW index of a space: built at the end of a run from all vectors at once.

A vector that is stored into an index that exists takes 3.3 times as long as one that is there when
it is built (100,000 of 512 numbers, processor time), and several workers build. So writes never
create an index, and one that many vectors were added to is dropped. Until it is built again,
searches score all vectors, which is slower and exact.

It is built while others write and search (`CONCURRENTLY`). That can be killed at any point: what
is left is not valid, no search uses it, and the next build replaces it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pixseek.engines.postgres.connections import Connections
from pixseek.engines.postgres.schema import MAX_INDEXED_DIM, Names
from pixseek.engines.postgres.spaces import Held, is_valid
from pixseek.errors import EngineError

#: With more vectors there is an HNSW index, which near-copies of an image can lead astray. If at
#: most so many records fulfil a filter, all are scored: 100,000 of 512 numbers in .1 s (two cores).
INDEX_PARTS = 150_000
#: An index is dropped when one program has added more than this share of its vectors to it: by then
#: adding them has taken about as long as two workers need to build it.
ADDED = 0.15
#: The most memory that building takes, unless the server's `maintenance_work_mem` is more. A
#: vector needs its numbers and some 600 bytes: it is enough for 2.6 million of 512 numbers.
MOST_MEMORY_KB = 4 << 20
#: Milliseconds that a search may have to wait for an index to be dropped.
_PATIENCE_MS = 1_000
#: Seconds between two looks at how far building is.
_LOOK_S = 0.5


class Indexes:
    """The HNSW indexes of one library."""

    def __init__(self, connections: Connections, names: Names) -> None:
        self._connections, self._names = connections, names
        self._added = Counter[int]()  # vectors to the index of a space, by its number

    def add(self, held: Held, vectors: int) -> None:
        """Note that vectors are stored into a space."""
        if held.indexed:
            self._added[held.number] += vectors

    def drop_if_slow(self, held: Held) -> None:
        """Drop the index of a space if rebuilding it is faster than adding the new vectors."""
        added = self._added[held.number]
        if not held.indexed or added <= ADDED * INDEX_PARTS:
            return
        # Who reads for long, or does not own the table, keeps the index; it is tried again later.
        with contextlib.suppress(EngineError), self._connections.transaction() as db:
            (size,) = db.execute(
                "SELECT reltuples FROM pg_class WHERE oid = to_regclass(%s)",
                [self._names.quoted(held.index_name)],
            ).fetchone() or (0,)
            if added > ADDED * size:
                self._added[held.number] = 0
                self._drop(db, held)

    def build(self, spaces: list[Held]) -> Iterator[tuple[int, int]]:
        """Build the index of each space that has none, and more vectors than can all be scored.

        If the iterator is closed, building is stopped, and another call begins it again.

        Args:
            spaces: of the library.

        Yields:
            How many vectors of a space are in its index, and how many there are.

        Raises:
            EngineError: the server is out of reach, or refuses.
        """
        for held in spaces:
            with self._connections.transaction() as db:
                size = self._to_index(db, held) if self._may_build(db) else 0
            if size:
                yield from self._build(held, size)
            self._added[held.number] = 0

    def lacking(self, spaces: list[Held]) -> int:
        """Return how many vectors of a library `build` would put into indexes, whoever may."""
        with self._connections.transaction() as db:
            return sum(self._to_index(db, held) for held in spaces)

    def _may_build(self, db: Any) -> bool:
        """Return whether this user owns the table of vectors, as who builds an index must."""
        (may_build,) = db.execute(
            "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass(%s)",
            [self._names.quoted("part")],
        ).fetchone()
        return bool(may_build)

    def _to_index(self, db: Any, held: Held) -> int:
        """Return how many vectors a space has that needs an index; 0 if it needs none."""
        if held.indexed or held.space.dim > MAX_INDEXED_DIM:
            return 0
        few = "SELECT 1 FROM {part} WHERE space = %s LIMIT %s"
        (size,) = db.execute(
            self._names.sql(f"SELECT count(*) FROM ({few}) AS parts"),
            [held.number, INDEX_PARTS + 1],
        ).fetchone()
        if size <= INDEX_PARTS:
            return 0
        statement = self._names.sql("SELECT count(*) FROM {part} WHERE space = %s")
        return int(db.execute(statement, [held.number]).fetchone()[0])

    def _build(self, held: Held, size: int) -> Iterator[tuple[int, int]]:
        from psycopg.errors import DiskFull

        with self._connections.alone() as db:
            (is_first,) = db.execute(
                "SELECT pg_try_advisory_lock(hashtext(%s))", [self._names.quoted(held.index_name)]
            ).fetchone()
            # If another process builds it, nobody has to wait for its end.
            if not is_first or is_valid(db, self._names, held):
                return
            # In memory, each vector with its links: from the disk it takes many times as long.
            needed_kb = min(size * (2 * held.space.dim + 600) // 1024, MOST_MEMORY_KB)
            db.execute(
                "SELECT set_config('maintenance_work_mem', greatest(%s, pg_size_bytes("
                "current_setting('maintenance_work_mem')) / 1024) || 'kB', false)",
                [needed_kb],
            )
            try:
                yield from self._created(db, held, size)
            except DiskFull:
                # Workers share the memory by /dev/shm, of which a container has 64 MB.
                db.execute("SET max_parallel_maintenance_workers = 0")
                yield from self._created(db, held, size)

    def _created(self, db: Any, held: Held, size: int) -> Iterator[tuple[int, int]]:
        import psycopg

        left = self._names.sql("DROP INDEX CONCURRENTLY IF EXISTS {dropped}", index=held.index_name)
        db.execute(left)  # of an earlier try
        statement = self._names.sql(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {part} USING hnsw "
            f"((vector::halfvec({held.space.dim})) halfvec_cosine_ops) "
            f"WHERE space = {held.number}",
            index=held.index_name,
        )
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            building = pool.submit(db.execute, statement)
            try:
                yield 0, size
                while not concurrent.futures.wait([building], _LOOK_S).done:
                    yield min(self._done(db.info.backend_pid), size), size
            finally:
                if not building.done():
                    db.cancel_safe()
                    concurrent.futures.wait([building])
                    with contextlib.suppress(psycopg.Error):  # the next try drops it else
                        self._drop(db, held)
            building.result()
        yield size, size

    def _done(self, pid: int) -> int:
        with self._connections.transaction() as db:
            row = db.execute(
                "SELECT tuples_done FROM pg_stat_progress_create_index WHERE pid = %s", [pid]
            ).fetchone()
        return int(row[0]) if row else 0

    def _drop(self, db: Any, held: Held) -> None:
        """Drop an index; an error of psycopg if somebody reads for longer than a moment."""
        with db.transaction():
            db.execute(f"SET LOCAL lock_timeout = {_PATIENCE_MS}")
            db.execute(self._names.sql("DROP INDEX IF EXISTS {dropped}", index=held.index_name))
