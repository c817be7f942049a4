"""What one moment of the database says of the vectors, and the vectors as they were then."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pixseek.engines.embedded import spaces
from pixseek.engines.embedded.catalog import Catalog
from pixseek.engines.embedded.reading import damaged
from pixseek.engines.embedded.spaces import Held
from pixseek.engines.embedded.vectorfile import Rows, VectorFile
from pixseek.types import Space
from pixseek.types.dataclass import dataclass

#: How often to look again if another process deletes the vectors that were to be opened.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class View:
    """The vectors of the active space at one moment.

    Attributes:
        space: the active one.
        number: of the space in the database.
        generation: of the vector file.
        vectors: all rows, dead ones too.
        dead: rows that do not count, ascending.
        logged: number of the last entry in the log of rows; see `spaces`.
        records: how many there are, with or without vectors.
        held: how many records have vectors.
        active: changes whenever what was learnt of rows is no longer true; see `spaces.Held`.
        changes: number of the last change of metadata.
    """

    space: Space
    number: int
    generation: str
    vectors: VectorFile
    dead: Rows
    logged: int
    records: int
    held: int
    active: int
    changes: int

    @property
    def alive(self) -> int:
        """How many rows count."""
        return self.vectors.rows - len(self.dead)


@dataclass(frozen=True, slots=True)
class Session:
    """A connection, in a transaction if it may write."""

    db: sqlite3.Connection

    @property
    def number(self) -> int:
        """Number of the active space, which must be there."""
        active = spaces.active(self.db)
        assert active is not None
        return active.number


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A connection in a read transaction, with the vectors of that moment."""

    db: sqlite3.Connection
    view: View

    @property
    def number(self) -> int:
        """Number of the active space."""
        return self.view.number

    @property
    def space(self) -> Space:
        """The active space."""
        return self.view.space


class Snapshots:
    """Lends snapshots of one library. May be used from several threads."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._view: View | None = None
        self._lock = threading.RLock()

    @property
    def is_there(self) -> bool:
        """Whether something was ever stored."""
        return self._view is not None or self._catalog.path.exists()

    @contextlib.contextmanager
    def lend(self) -> Iterator[Snapshot | None]:
        """Lend a snapshot of this moment; None if nothing was ever stored."""
        if not self.is_there:
            yield None
            return
        with self._catalog.reading() as db:
            # Under the lock, so that views are made in the order of their transactions.
            with self._lock:
                view = self._refresh(db)
            yield None if view is None else Snapshot(db, view)

    def forget(self) -> None:
        """Release the vectors."""
        self._view = None

    def _refresh(self, db: sqlite3.Connection) -> View | None:
        for attempt in range(_ATTEMPTS):
            db.execute("BEGIN")
            active = spaces.active(db)
            if active is None:
                return None
            try:
                self._view = self.look(db, active)
            except FileNotFoundError:
                # Another process dropped this generation just now.
                if attempt == _ATTEMPTS - 1:
                    raise
                db.execute("ROLLBACK")
                continue
            return self._view
        raise AssertionError("the last attempt returned or raised")

    def look(self, db: sqlite3.Connection, held: Held) -> View:
        """Return the view of a space, keeping what is still true of the last one."""
        old = self._view
        if old is not None and old.generation != held.generation:
            old = None
        counts = (held.records, held.held, held.active, held.changes)
        if old and (old.vectors.rows, old.logged) == (held.rows, held.logged):
            if (old.records, old.held, old.active, old.changes) == counts:
                return old
            return View(
                old.space, old.number, old.generation, old.vectors, old.dead, old.logged, *counts
            )
        vectors = old.vectors if old and old.vectors.rows == held.rows else self.vectors_of(held)
        died = spaces.dead_rows(db, held.number, old.logged if old else 0, held.logged)
        dead = np.sort(np.concatenate([old.dead, died]) if old else died)
        if len(dead) and not 0 <= dead[0] <= dead[-1] < held.rows:
            raise damaged("the rows that do not count")
        return View(held.space, held.number, held.generation, vectors, dead, held.logged, *counts)

    def vectors_of(self, held: Held) -> VectorFile:
        """Return the vectors of any space, dead ones included."""
        path = vector_path(self._catalog.path.parent, held.generation)
        if held.rows or path.exists():
            return VectorFile(path, held.rows, held.space.dim)
        return VectorFile(Path(os.devnull), 0, held.space.dim)


def vector_path(folder: Path, generation: str) -> Path:
    """Return the vector file of a generation."""
    return folder / f"vectors-{generation}.f16"
