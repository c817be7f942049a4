"""Which record owns each row of a vector file, in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import numpy as np

from pixseek.engines.embedded.row_filters.column import Column
from pixseek.engines.embedded.snapshots import View
from pixseek.engines.embedded.vectorfile import Mask
from pixseek.types import Compare

#: Rows that are read as one text.
_ROWS_A_TEXT = 1_000_000
#: Bytes of an id up to which ids are kept by row; those of `types.record_id` have 16.
_LONGEST_ID = 64


class OwnerColumn(Column):
    """The record that owns each row.

    Its `values` never change: ids in UTF-8, which of the record's parts the row is, and the number
    of the record in the database.
    """

    _arrays = ("_ids", "_ordinals", "_numbers")

    def __init__(self) -> None:
        super().__init__("record_id", "record_id")
        self._ids = np.empty(0, "S16")
        self._ordinals = np.empty(0, np.int32)
        self._numbers = np.empty(0, np.int64)

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return self._ids.nbytes + self._ordinals.nbytes + self._numbers.nbytes

    def _update(self, db: sqlite3.Connection, view: View) -> bool:
        return True

    def _read(self, db: sqlite3.Connection, space: int, rows: int) -> bool:
        found = []
        for start in range(self._rows, rows, _ROWS_A_TEXT):
            bounds = (space, start, min(start + _ROWS_A_TEXT, rows))
            # As texts, as in `IntegerColumn`; a record's id has 16 letters and digits.
            *numbers, ids, shortest, longest = db.execute(
                "SELECT group_concat(row - ?), group_concat(ordinal), group_concat(record), "
                "group_concat(record_id, ''), min(length(record_id)), max(length(record_id)) "
                "FROM part WHERE space = ? AND row >= ? AND row < ?",
                (self._rows, *bounds),
            ).fetchone()
            if ids is None:
                continue
            row, ordinal, number = (np.fromstring(text, np.int64, sep=",") for text in numbers)
            if ids.isascii() and shortest == longest == 16:
                found.append((row, ordinal, number, np.frombuffer(ids.encode(), "S16")))
                continue
            every = db.execute(
                "SELECT record_id FROM part WHERE space = ? AND row >= ? AND row < ? ORDER BY row",
                bounds,
            )
            encoded = [each.encode() for (each,) in every]
            if max(map(len, encoded)) > _LONGEST_ID:
                return False
            order = np.argsort(row)
            found.append((row[order], ordinal[order], number[order], np.array(encoded)))
        return self._extend(rows - self._rows, found)

    def _extend(self, count: int, found: Iterable[Any]) -> bool:
        longest = max((ids.dtype.itemsize for *_, ids in found), default=16)
        ids, ordinals = np.zeros(count, f"S{longest}"), np.zeros(count, np.int32)
        numbers = np.zeros(count, np.int64)
        for row, ordinal, number, some in found:
            ids[row], ordinals[row], numbers[row] = some, ordinal, number
        self._ids = np.concatenate([self._ids, ids])
        self._ordinals = np.concatenate([self._ordinals, ordinals])
        self._numbers = np.concatenate([self._numbers, numbers])
        return True

    def _matching(self, compare: Compare) -> Mask:
        raise NotImplementedError("owners are not compared")
