"""What holds for every engine, written once: checks, rules, and the order of the steps of a call.

`BaseEngine` has the public methods of `types.Engine`. It checks arguments, answers for a library
in which nothing was ever stored, and decides what a record keeps when it is stored again (`rules`).
An engine adds the steps that touch its database (`steps`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import numpy as np

from pixseek.engines import columns, moves, rules
from pixseek.engines.rules import HeldSpace
from pixseek.engines.steps import Session, Snapshot, Steps
from pixseek.engines.words import seen_to_find, words_to_find
from pixseek.types import (
    Capabilities,
    FacetField,
    Filter,
    Known,
    Merge,
    Neighbours,
    Order,
    Record,
    Space,
    WordMatches,
)

if TYPE_CHECKING:
    from pixseek.types import Vectors


_Engine = TypeVar("_Engine", bound="BaseEngine[Any, Any, Any]")
_P = ParamSpec("_P")
_T = TypeVar("_T")


def _unless_moved(
    call: Callable[Concatenate[_Engine, _P], _T],
) -> Callable[Concatenate[_Engine, _P], _T]:
    """Refuse a write to an engine that the library leaves; see `moves`."""

    @functools.wraps(call)
    def guarded(self: _Engine, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        self._check_not_moved()
        done = call(self, *args, **kwargs)
        self._check_not_moved()
        return done

    return guarded


class BaseEngine(Steps[Session, Snapshot, HeldSpace]):
    """The part of an engine that does not depend on its database. See `types.Engine`."""

    capabilities: Capabilities
    #: Name of the library in errors.
    _subject: object
    #: The space whose vectors `put` is given.
    _ensured: Space | None = None
    #: Whether it is written though the library is moving; see `Movable.copied_into`.
    _copied_into = False

    # -------------------------------------------------------------- spaces

    @property
    def space(self) -> Space | None:
        """The active space; None before the first `ensure`."""
        spaces = self.spaces()
        return spaces[0] if spaces else None

    def spaces(self) -> list[Space]:
        """Return all spaces that are held, the active one first."""
        with self._looking() as at:
            return [] if at is None else [each.space for each in self._spaces(at)]

    @_unless_moved
    def ensure(self, space: Space) -> None:
        """Create what `space` needs, unless it is there.

        Raises:
            SpaceMismatchError: the library holds vectors of another space.
        """
        if not rules.is_one(self.space, space):
            with self._writing(alone=True) as at:
                held = self._spaces(at)
                if not held or not rules.is_one(held[0].space, space):
                    if held and not self._is_empty(at):
                        raise rules.space_mismatch(held[0].space, space)
                    for each in held:
                        self._drop(at, each)
                    self._add(at, space, active=True)
        self._ensured = space

    @_unless_moved
    def add_space(self, space: Space) -> None:
        """Hold another space, without vectors yet; nothing changes if it is held already.

        Raises:
            EngineError: nothing is held yet, or this space with another dimension.
        """
        if self.space is None:
            raise rules.no_space(self._subject)
        with self._writing(alone=True) as at:
            if rules.find(self._spaces(at), space) is None:
                self._add(at, space, active=False)

    def held(self, space: Space) -> int:
        """Return how many records have vectors in a space; 0 if it is not held."""
        with self._looking() as at:
            found = None if at is None else rules.find(self._spaces(at), space)
            return 0 if at is None or found is None else self._held(at, found)

    @_unless_moved
    def activate(self, space: Space) -> None:
        """Make a space that is held the active one, for all processes, from their next call on.

        Raises:
            EngineError: the space is not held.
        """
        if self.space is None:
            raise rules.not_held(space)
        with self._writing(alone=True) as at:
            self._activate(at, rules.required(self._spaces(at), space), space.model)
        self._ensured = space

    @_unless_moved
    def drop_space(self, space: Space) -> None:
        """Delete a space and its vectors, if it is held. Searches under way still end.

        Raises:
            EngineError: it is the active one.
        """
        if self.space is None:
            return
        with self._writing(alone=True) as at:
            spaces = self._spaces(at)
            held = rules.find(spaces, space)
            if held is None:
                return
            if held is spaces[0]:
                raise rules.in_use(held.space)
            self._drop(at, held)
        self._after_drop()

    # -------------------------------------------------------------- writing

    @_unless_moved
    def put(self, records: Sequence[Record], vectors: Vectors, merge: Merge | None = None) -> None:
        """Store records, replacing those of the same id; durable when it returns.

        Raises:
            EngineError: records and vectors do not belong together, or can't be stored; nothing
                was stored.
            SpaceMismatchError: another process has made another space the active one.
        """
        vectors = np.asarray(vectors, np.float32)
        rows = self._prepared(records)
        with self._writing(alone=merge is not None) as at:
            spaces = self._spaces(at)
            if not spaces:
                raise rules.no_space(self._subject)
            active = spaces[0]
            if self._ensured is not None and not rules.is_one(active.space, self._ensured):
                raise rules.space_mismatch(active.space, self._ensured)
            rules.check_batch(records, vectors, active.space.dim)
            if not records:
                return
            if merge is not None:
                stored = self._stored(at, [each.id for each in records])
                records = [rules.merged(each, stored.get(each.id), merge) for each in records]
                rows = self._prepared(records)
            self._put(at, spaces, records, rows, vectors)
        self._after_write(active)

    @_unless_moved
    def describe(self, records: Sequence[Record], merge: Merge | None = None) -> int:
        """Replace the metadata of stored records, in every space; vectors do not move.

        Raises:
            EngineError: some record can't be stored; nothing was changed.
        """
        rules.check_distinct(records)
        if not records or self.space is None:
            return 0
        with self._writing(alone=True) as at:
            spaces = self._spaces(at)
            if not spaces:
                return 0
            stored = self._stored(at, [each.id for each in records])
            new = [rules.described(r, stored[r.id], merge) for r in records if r.id in stored]
            if new:
                self._describe(at, spaces[0], new, self._prepared(new))
        return len(new)

    @_unless_moved
    def delete(self, ids: Iterable[str], only_if: Callable[[Record], bool] | None = None) -> int:
        """Delete records; return how many were deleted."""
        wanted = [each for each in dict.fromkeys(ids) if columns.is_storable(each)]
        if not wanted or self.space is None:
            return 0
        with self._writing(alone=only_if is not None) as at:
            spaces = self._spaces(at)
            if not spaces:
                return 0
            if only_if is not None:
                stored = self._stored(at, wanted)
                wanted = [each for each in wanted if each in stored and only_if(stored[each])]
            return self._delete(at, spaces, wanted) if wanted else 0

    @_unless_moved
    def put_vectors(self, space: Space, records: Sequence[Record], vectors: Vectors) -> int:
        """Give records their vectors in a space that is held; durable when it returns.

        Raises:
            EngineError: records and vectors do not belong together, or the space is not held.
        """
        vectors = np.asarray(vectors, np.float32)
        if self.space is None:
            raise rules.not_held(space)
        with self._writing(alone=True) as at:
            spaces = self._spaces(at)
            held = rules.required(spaces, space)
            rules.check_batch(records, vectors, held.space.dim)
            ids = [record.id for record in records]
            now, have = self._stored(at, ids), self._having(at, held, ids)
            fitting = [
                n
                for n, record in enumerate(records)
                if record.id in now
                and record.id not in have
                and rules.is_same(now[record.id], record)
            ]
            if not fitting:
                return 0
            starts = np.cumsum([0, *(len(record.parts) for record in records)])
            rows = np.concatenate([np.arange(starts[n], starts[n + 1]) for n in fitting])
            self._put_vectors(at, held, [records[n] for n in fitting], vectors[rows])
        self._after_write(held)
        return len(fitting)

    # -------------------------------------------------------------- reading

    def _visible(self, at: Snapshot, where: Filter | None) -> Filter | None:
        """Return a filter that leaves out records that are away, unless it names them."""
        return rules.visible(where) if self._has_away(at) else where

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """Return the records of these ids, in order; None for an id that is not stored."""
        with self._reading() as at:
            found = {} if at is None or not ids else self._stored(at, ids)
        return [found.get(each) for each in ids]

    def vectors(self, ids: Sequence[str]) -> list[Vectors | None]:
        """Return each record's vectors, (parts, dim) float32; None if it is not stored."""
        with self._reading() as at:
            found = {} if at is None or not ids else self._vectors(at, ids)
        return [found.get(each) for each in ids]

    def lacking(self, space: Space, k: int, after: str = "") -> list[Record]:
        """Return the first k records, by id, that have no vectors in a space that is held.

        Raises:
            EngineError: the space is not held.
        """
        with self._reading() as at:
            if at is None:
                raise rules.not_held(space)
            ids = self._lacking(at, rules.required(self._spaces(at), space), k, after)
            found = self._stored(at, ids)
        return [rules.with_parts(found[each]) for each in ids]

    def known(self, prefix: str = "") -> Iterator[Known]:
        """Yield the stored state of every record whose URI begins with `prefix`."""
        if columns.is_storable(prefix):
            with self._reading() as at:
                if at is not None:
                    yield from self._known(at, prefix)

    def with_digests(self, digests: Sequence[str]) -> dict[str, list[Known]]:
        """Return the records with these content digests, by digest."""
        wanted = [each for each in dict.fromkeys(digests) if each and columns.is_storable(each)]
        found: dict[str, list[Known]] = {}
        if wanted:
            with self._reading() as at:
                for each in () if at is None else self._with_digests(at, wanted):
                    found.setdefault(each.digest, []).append(each)
        return found

    def matching_ids(self, where: Filter | None = None) -> Iterator[str]:
        """Yield the ids of all records that fulfil `where`, each once.

        Raises:
            QueryError: see `filters.check`.
        """
        rules.check(where)  # now, not when the first id is asked for
        return self._ids(where)

    def _ids(self, where: Filter | None) -> Iterator[str]:
        with self._reading() as at:
            if at is not None:
                yield from self._matching_ids(at, self._visible(at, where))

    def select(
        self, where: Filter | None, *, order: Order, descending: bool, k: int, offset: int
    ) -> list[Record]:
        """Return `k` of the records that fulfil `where`, after the first `offset`, in an order.

        Raises:
            QueryError: see `filters.check`.
        """
        rules.check(where)
        with self._reading() as at:
            if at is None or k < 1:
                return []
            return self._select(at, self._visible(at, where), order, descending, k, offset)

    def count(self, where: Filter | None = None) -> int:
        """Return how many records there are, or how many fulfil `where`.

        Raises:
            QueryError: see `filters.check`.
        """
        rules.check(where)
        with self._reading() as at:
            return 0 if at is None else self._count(at, self._visible(at, where))

    def version(self) -> str | None:
        """Return a text that differs after each write, by any process; None if it can't tell."""
        return None

    def sample(self, n: int) -> Vectors:
        """Return at most n of the stored vectors, (m, dim) float32 unit rows, drawn evenly.

        Those of the records whose ids come first: an id is a hash, and has an index.
        """
        with self._reading() as at:
            if at is None:
                return np.empty((0, 0), np.float32)
            return self._sample(at, max(0, n))

    def export(self, batch: int = 4096) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all records in batches, each with its vectors as `put` takes them.

        All of one snapshot: later writes are not seen.
        """
        with self._reading() as at:
            if at is not None:
                yield from self._export(at, batch)

    # -------------------------------------------------------------- moving

    def page(self, space: Space, k: int, after: str = "") -> tuple[list[Record], Vectors]:
        """Return the first k records behind an id, by id, with their vectors in a space.

        Raises:
            EngineError: the space is not held.
        """
        with self._reading() as at:
            if at is None:
                raise rules.not_held(space)
            return self._page(at, rules.required(self._spaces(at), space), max(1, k), after)

    def copied_into(self, now: bool) -> None:
        """Let this object write though the library is moving, while it makes the copy."""
        self._copied_into = now

    def _check_not_moved(self) -> None:
        if not self._copied_into:
            refusal = moves.refusal(self._subject, self._marks())
            if refusal is not None:
                raise refusal

    # -------------------------------------------------------------- texts of the library

    def keep(self, kind: str, name: str, text: str | None) -> None:
        """Keep a small text about the whole library; None to forget it.

        Raises:
            EngineError: it can't be stored.
        """
        rules.check_kept(kind, name, text)
        if kind == moves.KIND:
            self._keep(kind, name, text)
            return
        self._check_not_moved()
        self._keep(kind, name, text)
        self._check_not_moved()

    def kept(self, kind: str) -> dict[str, str]:
        """Return the texts of a kind by name, in order of names."""
        return dict(sorted(self._kept(kind).items())) if columns.is_storable(kind) else {}

    # -------------------------------------------------------------- search

    def nearest(
        self, vectors: Vectors, k: int, where: Filter | None = None, *, exact: bool = False
    ) -> list[Neighbours]:
        """Return, for each of (q, dim) unit rows, the k nearest records, best first.

        Raises:
            QueryError: see `filters.check`.
            EngineError: k is too large; the vectors have another dimension, or are not finite.
        """
        rules.check(where)
        rules.check_k(k, self.capabilities)
        vectors = np.asarray(vectors, np.float32)
        with self._reading() as at:
            if at is None:
                return [rules.no_neighbours(vectors.shape[-1], 0) for _ in vectors]
            dim = at.space.dim
            rules.check_query(vectors, dim)
            asked = vectors if k > 0 else vectors[:0]
            found, total, reach = self._nearest(at, asked, k, where, exact=exact)
            if k < 1:
                return [rules.no_neighbours(dim, total) for _ in vectors]
            rows = self._answer_vectors(at, [answer for each in found for answer in each])
        starts = np.cumsum([0, *map(len, found)])
        return [
            Neighbours(
                ids=tuple(answer.id for answer in each),
                scores=np.array([answer.score for answer in each], np.float32),
                vectors=rows[start : start + len(each)],
                parts=tuple(answer.part for answer in each),
                total=total,
                reach=reach,
            )
            for each, start in zip(found, starts, strict=False)
        ]

    def find_words(
        self, text: str, k: int, where: Filter | None = None, *, counted: bool = True,
        seen: bool = False,
    ) -> WordMatches:  # fmt: skip
        """Return the k records whose texts fit best, and how many have all words of `text`.

        With `seen`, the texts that were read in their pictures instead of all others.

        Raises:
            QueryError: see `filters.check`.
        """
        rules.check(where)
        words = words_to_find(text)
        if seen:
            words = seen_to_find(words)
        with self._reading() as at:
            if at is None or k < 1 or not words:
                return WordMatches()
            return self._find_words(at, words, k, self._visible(at, where), counted=counted)

    def facets(
        self, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]] | None:
        """Return how many of the records that fulfil `where` have each value of some fields.

        Raises:
            QueryError: see `filters.check`.
        """
        rules.check(where)
        with self._reading() as at:
            if at is None:
                return {field: {} for field in fields}
            return self._facets(at, self._visible(at, where), fields, most)

    # -------------------------------------------------------------- the end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
