"""What an engine writes itself: the steps that touch its database. `base` calls them in order.

Their arguments were checked. Sessions are the engine's own classes; a step gets the session that it
runs in.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pixseek.engines import moves
from pixseek.engines.rules import Answer, Held, HeldSpace
from pixseek.types import FacetField, Filter, Known, Order, Reach, Record, Space, WordMatches

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: A session in which spaces can be read; one from `_writing` can change things.
Session = TypeVar("Session")
#: A session that reads one snapshot of a library in which something was stored; its `space` is the
#: active one.
Snapshot = TypeVar("Snapshot", bound=Held)


class Steps(abc.ABC, Generic[Session, Snapshot, HeldSpace]):
    """The steps of an engine."""

    @abc.abstractmethod
    def _looking(self) -> AbstractContextManager[Session | None]:
        """Lend a session for reading spaces; None if nothing was ever stored."""

    @abc.abstractmethod
    def _reading(self) -> AbstractContextManager[Snapshot | None]:
        """Lend a session for reading records; None if nothing was ever stored."""

    @abc.abstractmethod
    def _writing(self, *, alone: bool) -> AbstractContextManager[Session]:
        """Lend a session whose changes are kept together at its end, or not at all.

        Args:
            alone: no other session may write meanwhile, in whatever process.
        """

    # -------------------------------------------------------------- spaces

    @abc.abstractmethod
    def _spaces(self, at: Session | Snapshot) -> Sequence[HeldSpace]:
        """Return all spaces, the active one first, then in the order they were added."""

    @abc.abstractmethod
    def _add(self, at: Session, space: Space, *, active: bool) -> None:
        """Add a space without vectors."""

    @abc.abstractmethod
    def _activate(self, at: Session, held: HeldSpace, model: str) -> None:
        """Make a space the only active one, and its model called so."""

    @abc.abstractmethod
    def _drop(self, at: Session, held: HeldSpace) -> None:
        """Delete a space and its vectors."""

    @abc.abstractmethod
    def _is_empty(self, at: Session) -> bool:
        """Return whether no record is stored."""

    @abc.abstractmethod
    def _held(self, at: Session, held: HeldSpace) -> int:
        """Return how many records have vectors in a space."""

    def _after_write(self, held: HeldSpace) -> None:
        """Called after a write that stored vectors in a space, outside of its session."""

    def _after_drop(self) -> None:
        """Called after a space was dropped, outside of the session."""

    # -------------------------------------------------------------- writing

    def _prepared(self, records: Sequence[Record]) -> list[Any]:
        """Return records as they are written; called before the write lock is taken."""
        return list(records)

    @abc.abstractmethod
    def _put(
        self,
        at: Session,
        spaces: Sequence[HeldSpace],
        records: Sequence[Record],
        rows: Sequence[Any],
        vectors: Vectors,
    ) -> None:
        """Store records with vectors in the active space.

        In other spaces they lose the vectors that `rules.changed` names.

        Args:
            at: the session.
            spaces: all of them, the active one first.
            records: one or more.
            rows: what `_prepared` made of them.
            vectors: as of `put`.
        """

    @abc.abstractmethod
    def _describe(
        self, at: Session, active: HeldSpace, records: Sequence[Record], rows: Sequence[Any]
    ) -> None:
        """Replace all of these records, which are stored, but their vectors."""

    @abc.abstractmethod
    def _put_vectors(
        self, at: Session, held: HeldSpace, records: Sequence[Record], vectors: Vectors
    ) -> None:
        """Store vectors in a space, for records that have none there."""

    @abc.abstractmethod
    def _delete(self, at: Session, spaces: Sequence[HeldSpace], ids: Sequence[str]) -> int:
        """Delete those of these records that are stored; return how many."""

    @abc.abstractmethod
    def _stored(self, at: Session | Snapshot, ids: Sequence[str]) -> dict[str, Record]:
        """Return those of these records that are stored, with their parts in the active space."""

    @abc.abstractmethod
    def _having(self, at: Session, held: HeldSpace, ids: Sequence[str]) -> Collection[str]:
        """Return those of these ids whose records have vectors in a space."""

    # -------------------------------------------------------------- reading

    @abc.abstractmethod
    def _vectors(self, at: Snapshot, ids: Sequence[str]) -> dict[str, Vectors]:
        """Return the vectors of those of these records that are stored, by id."""

    @abc.abstractmethod
    def _lacking(self, at: Snapshot, held: HeldSpace, k: int, after: str) -> list[str]:
        """Return the first k ids behind `after` of present records without vectors in a space."""

    @abc.abstractmethod
    def _known(self, at: Snapshot, prefix: str) -> Iterator[Known]:
        """Yield present records whose URI begins with `prefix`."""

    @abc.abstractmethod
    def _with_digests(self, at: Snapshot, digests: Sequence[str]) -> Iterator[Known]:
        """Yield present records that have one of these digests."""

    @abc.abstractmethod
    def _matching_ids(self, at: Snapshot, where: Filter | None) -> Iterator[str]:
        """Yield the ids of the records that fulfil a filter."""

    @abc.abstractmethod
    def _select(
        self,
        at: Snapshot,
        where: Filter | None,
        order: Order,
        descending: bool,
        k: int,
        offset: int,
    ) -> list[Record]:
        """Return k records, k at least 1; see `Engine.select`."""

    @abc.abstractmethod
    def _count(self, at: Snapshot, where: Filter | None) -> int:
        """Return how many records fulfil a filter."""

    @abc.abstractmethod
    def _sample(self, at: Snapshot, n: int) -> Vectors:
        """Return the first n vectors, by id and part."""

    @abc.abstractmethod
    def _export(self, at: Snapshot, batch: int) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all records with their vectors."""

    @abc.abstractmethod
    def _page(
        self, at: Snapshot, held: HeldSpace, k: int, after: str
    ) -> tuple[list[Record], Vectors]:
        """Return the first k records behind an id, by id, with their vectors in a space."""

    def _marks(self) -> Mapping[str, str]:
        """Return the texts that `moves.refusal` looks at."""
        return self._kept(moves.KIND)

    @abc.abstractmethod
    def _keep(self, kind: str, name: str, text: str | None) -> None:
        """Keep a text, or forget it; see `Engine.keep`. Nothing else may be stored yet."""

    @abc.abstractmethod
    def _kept(self, kind: str) -> dict[str, str]:
        """Return the texts of a kind, in any order; {} if nothing was ever stored."""

    def _has_away(self, at: Snapshot) -> bool:
        """Return whether some record may be away."""
        return True

    # -------------------------------------------------------------- search

    @abc.abstractmethod
    def _nearest(
        self, at: Snapshot, vectors: Vectors, k: int, where: Filter | None, *, exact: bool
    ) -> tuple[list[list[Answer]], int, Reach]:
        """Return the k nearest records of each query, how many were searched, and how far.

        Args:
            at: the session.
            vectors: (q, dim) float32; there may be none.
            k: at least 1.
            where: which records; those that are away have no vectors.
            exact: score all of them.
        """

    @abc.abstractmethod
    def _answer_vectors(self, at: Snapshot, answers: Sequence[Answer]) -> Vectors:
        """Return the vector of each answer, (n, dim) float32."""

    @abc.abstractmethod
    def _find_words(
        self, at: Snapshot, words: Sequence[str], k: int, where: Filter | None, *, counted: bool
    ) -> WordMatches:
        """Return records whose texts hold some of one or more words; k is at least 1."""

    def _facets(
        self, at: Snapshot, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]] | None:
        """Return the counts of some fields; None if the engine can't count."""
        return None

    @abc.abstractmethod
    def close(self) -> None:
        """Flush and release everything; further calls are an error."""
