"""The values of one field by row of a vector file: how they are read, and kept up to date."""

from __future__ import annotations

import abc
import sqlite3
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixseek.engines.embedded.snapshots import View
from pixseek.engines.embedded.vectorfile import Mask, Rows
from pixseek.types import Compare


class Column(abc.ABC):
    """The values of one field by row. Safe to use from several threads.

    Attributes:
        overfull: whether there turned out to be too many different values.
    """

    #: The attributes that hold one value for each row.
    _arrays: tuple[str, ...]

    def __init__(self, expression: str, column: str, *parameters: str) -> None:
        """Start without rows.

        Args:
            expression: what is selected from the table of records.
            column: of the database; if it is NULL there is no value.
            parameters: of the expression.
        """
        self.overfull = False
        self._expression, self._column, self._parameters = expression, column, parameters
        self._lock = threading.RLock()
        self._rows = 0
        self._logged = 0
        self._changes = 0

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Bytes of memory, about."""

    def matching(self, db: sqlite3.Connection, view: View, compare: Compare) -> Mask | None:
        """Return which rows fulfil a comparison; None if that can't be told.

        Args:
            db: in the transaction of a snapshot.
            view: of the snapshot.
            compare: of this field.
        """
        with self._lock:
            if not self._is_current(db, view):
                return None
            return self._matching(compare)[: view.vectors.rows]

    def values(self, db: sqlite3.Connection, view: View) -> tuple[NDArray[Any], ...] | None:
        """Return what the column holds of each row of a view, as its class says.

        None if that can't be told. Later changes of the column do not change these arrays.
        """
        with self._lock:
            if not self._is_current(db, view):
                return None
            return tuple(getattr(self, name)[: view.vectors.rows] for name in self._arrays)

    def _is_current(self, db: sqlite3.Connection, view: View) -> bool:
        """Read what is missing; return whether the column then holds the values of a view."""
        # A snapshot that is older than the column is not answered: rows that had died before they
        # were loaded, or have changed since, have other values here.
        if self.overfull or view.logged < self._logged or view.changes < self._changes:
            return False
        rows = view.vectors.rows
        if not self._update(db, view) or (
            rows > self._rows and not self._read(db, view.number, rows)
        ):
            self.overfull = True
            return False
        self._changes = view.changes
        if rows > self._rows:
            self._rows, self._logged = rows, view.logged
        return True

    def _update(self, db: sqlite3.Connection, view: View) -> bool:
        """Read again the rows whose records have changed since.

        Return False if there are too many different values.
        """
        if not self._rows or view.changes == self._changes:
            return True
        changed = db.execute(
            f"SELECT part.row, {self._column} IS NOT NULL, {self._expression} "
            "FROM record JOIN part ON part.record = record.number "
            "WHERE changed > ? AND changed <= ? AND +part.space = ? AND part.row < ?",
            (*self._parameters, self._changes, view.changes, view.number, self._rows),
        ).fetchall()
        if not changed:
            return True
        found = ((n, value) for n, (_, is_known, value) in enumerate(changed) if is_known)
        if not self._extend(len(changed), found):
            return False
        self._move(np.array([row for row, *_ in changed], np.int64))
        return True

    def _read(self, db: sqlite3.Connection, space: int, rows: int) -> bool:
        """Append the rows up to `rows`; return False if there are too many different values."""
        what = f"part.row - ?, {self._expression}"
        found = self._select(db, what, (self._rows, *self._parameters), space, self._rows, rows)
        return self._extend(rows - self._rows, found)

    def _select(
        self,
        db: sqlite3.Connection,
        what: str,
        parameters: tuple[int | str, ...],
        space: int,
        start: int,
        stop: int,
    ) -> sqlite3.Cursor:
        """Select an expression, with its parameters, for the rows of a range that have a value."""
        return db.execute(
            f"SELECT {what} FROM part JOIN record ON record.number = part.record "
            "WHERE part.space = ? AND part.row >= ? AND part.row < ? "
            f"AND {self._column} IS NOT NULL",
            (*parameters, space, start, stop),
        )

    @abc.abstractmethod
    def _extend(self, count: int, found: Iterable[tuple[int, Any]]) -> bool:
        """Append `count` rows; those in `found`, counted from 0, have a value.

        Return False if there are too many different values.
        """

    def _move(self, rows: Rows) -> None:
        """Put the last rows in the place of these. Masks that were returned do not change."""
        for name in self._arrays:
            values = getattr(self, name)
            moved = values[: len(values) - len(rows)].copy()
            moved[rows] = values[len(moved) :]
            setattr(self, name, moved)

    @abc.abstractmethod
    def _matching(self, compare: Compare) -> Mask:
        """Return which rows fulfil a comparison."""
