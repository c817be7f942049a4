"""Which rows of a store can be the nearest to a query: by an index, or by scoring them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from pixseek.engines.embedded import codes as codes_
from pixseek.engines.embedded.vectorfile import Mask, Rows, VectorFile
from pixseek.types import Reach
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: If a filter leaves up to this many rows, they are scored one by one.
GATHER_ROWS = 10_000


class Index(Protocol):
    """Finds candidates among the first rows of a vector file; all are in it, dead or not."""

    @property
    def covered(self) -> int:
        """The rows before this one are in it. Never fewer."""
        ...

    def search(self, queries: Vectors, count: int, among: Mask | None = None) -> list[Rows]:
        """Return, for each query, the `count` rows that seem nearest, ascending.

        Args:
            queries: (q, dim) float32.
            count: at least 1.
            among: only rows that are true in it count, and none beyond its end; None for all.
        """
        ...


@dataclass(frozen=True, slots=True)
class Candidates:
    """The rows of one snapshot that may answer queries.

    Attributes:
        vectors: all of them.
        dead: rows that do not count, ascending.
        index: of some first rows, perhaps of more than the snapshot has; None to score every row.
        mask: only rows that are true in it count, none of them dead; None for all.
        breadth: how many rows the index is asked for; None for what is usual.
    """

    vectors: VectorFile
    dead: Rows
    index: Index | None
    mask: Mask | None
    breadth: int | None = None

    @property
    def count(self) -> int:
        """How many rows there are to choose from."""
        if self.mask is None:
            return self.vectors.rows - len(self.dead)
        return int(np.count_nonzero(self.mask))

    @property
    def is_exact(self) -> bool:
        """Whether all of these rows are scored."""
        return self.index is None or (self.mask is not None and self.count <= GATHER_ROWS)

    def reach(self, k: int, total: int) -> Reach:
        """Return how far a search for the k nearest of so many records looks."""
        return Reach(True, total) if self.is_exact else Reach(False, self._wanted(k))

    def _wanted(self, count: int) -> int:
        """Return how many rows an index is asked for."""
        return codes_.candidates(count) if self.breadth is None else max(count, self.breadth)

    def nearest(self, queries: Vectors, count: int) -> list[Rows]:
        """Return, for each query, rows that hold the `count` nearest (with an index nearly always).

        Args:
            queries: (q, dim) float32.
            count: at least 1.
        """
        among = self.count
        if not among:
            return [np.empty(0, np.int64)] * len(queries)
        if self.index is None or self.is_exact:
            return self._scored(queries, count, 0)
        # Before the search, since other threads may add rows: then some are found twice, but none
        # is missed.
        covered = min(self.index.covered, self.vectors.rows)
        found = [
            # The best candidates by their vectors, and some more, which records of several parts
            # need.
            self.vectors.nearest(query[None], 4 * count, self.dead, among=rows)[0]
            if len(rows) > 4 * count
            else rows
            for query, rows in zip(
                queries,
                self._indexed(queries, self._wanted(count), covered, self.index),
                strict=True,
            )
        ]
        if covered == self.vectors.rows:
            return found
        rest = self._scored(queries, count, covered)
        return [np.union1d(*both) for both in zip(found, rest, strict=True)]

    def _scored(self, queries: Vectors, count: int, start: int) -> list[Rows]:
        """Return the nearest among the rows from `start` on, all of which are scored."""
        if self.mask is None:
            return self.vectors.nearest(queries, count, self.dead, start=start)
        mask = self.mask[start:]
        # Contiguous rows are read twice as fast as scattered ones.
        if np.count_nonzero(mask) > len(mask) // 2:
            return self.vectors.nearest(queries, count, np.flatnonzero(~mask) + start, start=start)
        return self.vectors.nearest(queries, count, self.dead, among=np.flatnonzero(mask) + start)

    def _indexed(self, queries: Vectors, wanted: int, covered: int, index: Index) -> list[Rows]:
        """Return `wanted` rows that seem nearest among those of the index, or all there are."""
        if self.mask is not None:
            return index.search(queries, wanted, self.mask)
        # A mask makes the scan 1.5 times as slow. Taking a few more rows and leaving out the dead
        # is as good, unless dead rows crowd around the query; then too few are left.
        dead = int(np.searchsorted(self.dead, covered))
        found = index.search(queries, wanted + wanted // 4 if dead else wanted)
        found = [rows[self._alive(rows)] for rows in found]
        few = [i for i, rows in enumerate(found) if len(rows) < min(wanted, covered - dead)]
        if few:
            alive = np.ones(self.vectors.rows, np.bool_)
            alive[self.dead] = False
            for i, rows in zip(few, index.search(queries[few], wanted, alive), strict=True):
                found[i] = rows
        return found

    def _alive(self, rows: Rows) -> Mask:
        """Return which of these rows the snapshot has and are not dead."""
        known: Mask = rows < self.vectors.rows
        if not len(self.dead):
            return known
        at = np.minimum(np.searchsorted(self.dead, rows), len(self.dead) - 1)
        known &= self.dead[at] != rows
        return known
