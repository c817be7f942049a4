"""What is the same of all data that pixseek did not make: it is searched, and never written."""

# ruff: noqa: D102 (what the methods do is said in `store.Store`)

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Never

import numpy as np

from pixseek.engines import columns, rules
from pixseek.engines.store import Document, SpaceGoneError
from pixseek.types import And, Compare, Filter, Not, Or, Order, Space, WordMatches

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: The model of the indexes that the guides of Elastic, ESCloud and Vespa make.
MODEL = "clip-b32-openai"


class ReadOnly:
    """The part of a store that refuses writes, and has one space and no texts."""

    orders: frozenset[Order] = frozenset()

    def __init__(self, space: Space) -> None:
        self._space = space
        self._lock = threading.RLock()

    @abstractmethod
    def refuse(self) -> Never:
        """Raise the error of a write."""

    def spaces(self) -> list[Space]:
        return [self._space]

    def create(self, space: Space) -> None:
        self.refuse()

    def activate(self, space: Space) -> None:
        self.refuse()

    def drop(self, space: Space) -> None:
        self.refuse()

    def writing(self) -> threading.RLock:
        return self._lock

    def write(self, space: Space, documents: Sequence[Document]) -> None:
        self.refuse()

    def delete(self, space: Space, ids: Sequence[str]) -> int:
        self.refuse()

    def supports(self, compare: Compare) -> bool:
        return compare.field == "away"

    def browse(
        self,
        space: Space,
        where: Filter | None,
        order: Order,
        descending: bool,
        k: int,
        offset: int,
    ) -> list[Document]:
        raise AssertionError(order)  # none is in `orders`

    def find_words(
        self, space: Space, words: Sequence[str], k: int, where: Filter | None
    ) -> WordMatches:
        return WordMatches()

    def check_space(self, space: Space) -> None:
        """Check that a space is the one that there is."""
        if not rules.is_one(space, self._space):
            raise SpaceGoneError(space)


def unit(stored: Any, dim: int) -> Vectors:
    """Return a list of numbers as one unit row, (1, dim) float32; none, (0, dim), without one."""
    rows = np.asarray(stored if isinstance(stored, list) else [], np.float64)
    length = float(np.linalg.norm(rows))
    if rows.shape != (dim,) or not np.isfinite(length) or length < 1e-20:
        return np.empty((0, dim), np.float32)
    return (rows / length).astype(np.float32)[None]


def is_scalar(value: Any) -> bool:
    """Return whether a value can be a field of a record."""
    if isinstance(value, bool | float):
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return isinstance(value, str) and columns.is_storable(value)


def is_fulfilled(where: Filter | None) -> bool:
    """Return whether records fulfil a filter of the field `away`: here none is away."""
    match where:
        case None:
            return True
        case And(parts):
            return all(map(is_fulfilled, parts))
        case Or(parts):
            return any(map(is_fulfilled, parts))
        case Not(inner):
            return not is_fulfilled(inner)
        case Compare(_, op, value):
            return (value is False) == (op == "eq")
