"""An engine over a document store: what Elasticsearch, Qdrant, Milvus and their like share.

A store keeps one collection for each space (`store`). Every collection holds every record, with the
vectors that the record has in that space or with none, so that each is searched alone.

**No transaction spans two collections.** A write goes to the active collection last: until that
has returned, nothing was promised. If a process dies between two collections, another space may
hold a record that the active one lacks, or lack one. `add_space` and `activate` compare the counts
and repair it. Vectors never get to another image by it, since they are written with their record.

**Filters.** A store checks what it can express (`store.split`); the rest is checked here, by
`filters.matches`, on the records that come back. Few matches are scored one by one. For many, the
search is widened until k are found; if the store's `max_k` or its approximation ends it too soon,
all matches are scored. So an answer is never short: what a store can't express only costs time.
One thing is given up at `max_k`: of more parts with equal scores than that, ties may not go by id.

**Other writers.** Within a process, `Store.writing` keeps writes apart, so `merge` gets what is
stored at that moment. Two machines can come between each other's fetch and write: if both tag one
record in the same second, one of the changes can be lost, and a record deleted by one can return
with the other's write. A store with sequence numbers prevents that: its documents have a version,
`write` refuses those that have changed, and they are fetched and merged again.

**Another space can become active at any time.** Every read looks at the end whether the space that
it read is still the active one, and is repeated if not.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np

from pixseek.engines import columns, kept_texts, moves, rules
from pixseek.engines.base import BaseEngine
from pixseek.engines.document_reading import PAGE, Reader
from pixseek.engines.document_writing import UnwrittenError, Writer, by_record
from pixseek.engines.rules import Answer
from pixseek.engines.store import ConflictError, Document, Remembering, SpaceGoneError, Store
from pixseek.errors import EngineError, PixseekError
from pixseek.redaction import redacted
from pixseek.types import (
    And,
    Compare,
    Distant,
    Embedding,
    Engine,
    FacetField,
    Filter,
    Known,
    Merge,
    Order,
    Reach,
    Record,
    Space,
    WordMatches,
)
from pixseek.types.texts import composed

if TYPE_CHECKING:
    from pixseek.types import Vectors
from pixseek.types.dataclass import dataclass

_TRIES = 20  #: of a call that another process comes between
_P = ParamSpec("_P")
_T = TypeVar("_T")


class _SwitchedError(EngineError):
    """Another space became active while one was read."""


class _Held(NamedTuple):
    """A space that the store holds."""

    space: Space


@dataclass(slots=True)
class _Session:
    """One call: the spaces as they were when it began, and what it has fetched.

    Attributes:
        spaces: all, the active one first; there may be none while one writes.
        fetched: what was stored in the active space by id, once it was looked at; None: nothing.
        others: the same of a space that is given vectors.
        rows: the vectors of answers, by their keys.
        steady: whether everything that is read must be of one space.
    """

    spaces: list[Space]
    fetched: dict[str, Document | None] = field(default_factory=dict)
    others: dict[str, Document | None] = field(default_factory=dict)
    rows: Vectors = field(default_factory=lambda: np.empty((0, 0), np.float32))
    steady: bool = True

    @property
    def space(self) -> Space:
        """The active space."""
        return self.spaces[0]


def _repeated(call: Callable[Concatenate[Any, _P], _T]) -> Callable[Concatenate[Any, _P], _T]:
    """Repeat a call during which another space became active, or its space was dropped."""

    @functools.wraps(call)
    def repeating(self: DocumentEngine, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        for _ in range(_TRIES - 1):
            with contextlib.suppress(_SwitchedError, SpaceGoneError):
                return call(self, *args, **kwargs)
        return call(self, *args, **kwargs)

    return repeating


def _remembered(call: Callable[Concatenate[Any, _P], _T]) -> Callable[Concatenate[Any, _P], _T]:
    """Begin a call of the active space with what its store remembers, or else repeat it."""
    repeated = _repeated(call)

    @functools.wraps(call)
    def beginning(self: DocumentEngine, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return self.with_few_requests(
            lambda: call(self, *args, **kwargs), lambda: repeated(self, *args, **kwargs)
        )

    return beginning


class DocumentEngine(BaseEngine[_Session, _Session, _Held]):
    """An engine over a store. See `types.Engine`, and `store.Store` for what a store must do."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.capabilities = store.capabilities
        self.text_model = store.text_model if isinstance(store, Embedding) else ""
        # A store may be named by what stands behind the scheme of its URL.
        self._subject = redacted(f"store://{store.name}").removeprefix("store://")
        self._read = Reader(store)
        self._write = Writer(store, self._read)
        self._closed = False

    held = _repeated(BaseEngine.held)
    get = _remembered(BaseEngine.get)
    vectors = _remembered(BaseEngine.vectors)
    lacking = _repeated(BaseEngine.lacking)
    with_digests = _remembered(BaseEngine.with_digests)
    select = _remembered(BaseEngine.select)
    count = _remembered(BaseEngine.count)
    sample = _remembered(BaseEngine.sample)
    nearest = _remembered(BaseEngine.nearest)
    find_words = _remembered(BaseEngine.find_words)
    facets = _remembered(BaseEngine.facets)
    delete = _repeated(BaseEngine.delete)

    # -------------------------------------------------------------- sessions

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of texts by the model of the store's server; see `types.Embedding`."""
        assert isinstance(self.store, Embedding)
        return self.store.embed_texts(texts)

    def with_few_requests(
        self, call: Callable[[], _T], again: Callable[[], _T] | None = None
    ) -> _T:
        """Return what a function returns that only reads; see `types.Distant`."""
        if isinstance(self.store, Remembering):
            with self.store.remembering() as holds:
                if holds is not None:
                    try:
                        answer = call()
                        if holds():
                            return answer
                    except PixseekError:
                        if holds():
                            raise
        return (again or call)()

    @contextlib.contextmanager
    def _looking(self) -> Iterator[_Session | None]:
        yield self._session()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[_Session | None]:
        at = self._session()
        yield at
        if at is not None and at.steady:
            now = self._held_spaces()
            if not now or not rules.is_one(now[0], at.space):
                raise _SwitchedError("another model became active meanwhile", self._subject)

    @contextlib.contextmanager
    def _writing(self, *, alone: bool) -> Iterator[_Session]:
        self._check_open()
        with self.store.writing():
            yield _Session(self._held_spaces())

    def _held_spaces(self) -> list[Space]:
        """Return the spaces of the store that hold the library's records, the active one first."""
        return [each for each in self.store.spaces() if not rules.is_one(each, kept_texts.SPACE)]

    def _session(self) -> _Session | None:
        self._check_open()
        spaces = self._held_spaces()
        return _Session(spaces) if spaces else None

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("the library was closed", self._subject, "Open it again.")

    def close(self) -> None:
        """Close the store; further calls are an error."""
        if not self._closed:
            self._closed = True
            self.store.close()

    # -------------------------------------------------------------- spaces

    def add_space(self, space: Space) -> None:
        """Hold another space, with all records and without vectors yet.

        Goes on where it was interrupted: records that are missing there are copied.

        Raises:
            EngineError: nothing is held yet, or this space with another dimension.
        """
        super().add_space(space)
        self._even(space)

    def activate(self, space: Space) -> None:
        """Make a space that is held the active one, for all processes, from their next call on.

        Raises:
            EngineError: the space is not held.
        """
        self._even(space)
        super().activate(space)

    def _even(self, space: Space) -> None:
        """Give a space the records that it lacks, and take those that the active one lacks.

        The lock is released after each page, so that others can write meanwhile.
        """
        after: str | None = ""
        while after is not None:
            with self._writing(alone=True) as at:
                held = rules.find(self._spaces(at), space)
                if held is None or rules.is_one(held.space, at.space):
                    return
                if not after and self._read.count(at.space) == self._read.count(held.space):
                    return
                after = self._write.even(at.space, held.space, after)

    def _spaces(self, at: _Session) -> Sequence[_Held]:
        return [_Held(each) for each in at.spaces]

    def _add(self, at: _Session, space: Space, *, active: bool) -> None:
        self.store.create(space)
        if active:
            self.store.activate(space)

    def _activate(self, at: _Session, held: _Held, model: str) -> None:
        self.store.activate(replace(held.space, model=model))

    def _drop(self, at: _Session, held: _Held) -> None:
        self.store.drop(held.space)

    def _is_empty(self, at: _Session) -> bool:
        return not self._read.count(at.space, None)

    def _held(self, at: _Session, held: _Held) -> int:
        return self._read.with_vectors(held.space, None)

    # -------------------------------------------------------------- writing

    def put(self, records: Sequence[Record], vectors: Vectors, merge: Merge | None = None) -> None:
        """Store records, replacing those of the same id; durable when it returns.

        Those that another machine changes meanwhile are merged again, if the store can tell.

        Raises:
            EngineError: records and vectors do not belong together, or can't be stored; nothing
                was stored. Others keep changing the same records; the rest was stored.
            SpaceMismatchError: another process has made another space the active one.
        """
        vectors = np.asarray(vectors, np.float32)
        for _ in range(_TRIES - 1):
            try:
                return super().put(records, vectors, merge)
            except ConflictError as conflict:
                left = [
                    (record, rows)
                    for record, rows in zip(records, by_record(records, vectors), strict=True)
                    if record.id in conflict.ids
                ]
                records = [record for record, _ in left]
                vectors = np.concatenate([rows for _, rows in left])
            except SpaceGoneError:  # dropped by another machine
                continue
        super().put(records, vectors, merge)

    def describe(self, records: Sequence[Record], merge: Merge | None = None) -> int:
        """Replace the metadata of stored records, in every space; vectors do not move.

        Those that another machine changes meanwhile are merged again, if the store can tell.

        Raises:
            EngineError: some record can't be stored; nothing was changed. Others keep changing
                the same records; the rest was changed.
        """
        done = 0
        for _ in range(_TRIES - 1):
            try:
                return done + super().describe(records, merge)
            except UnwrittenError as conflict:
                done += conflict.written
                records = [record for record in records if record.id in conflict.ids]
            except SpaceGoneError:
                continue
        return done + super().describe(records, merge)

    def put_vectors(self, space: Space, records: Sequence[Record], vectors: Vectors) -> int:
        """Give records their vectors in a space that is held; durable when it returns.

        Those that another machine changes meanwhile are skipped, if the store can tell.

        Raises:
            EngineError: records and vectors do not belong together, or the space is not held.
        """
        try:
            return super().put_vectors(space, records, vectors)
        except UnwrittenError as conflict:
            return conflict.written

    def _prepared(self, records: Sequence[Record]) -> list[Any]:
        return [columns.to_columns(record) for record in records]  # refuses what can't be stored

    def _put(
        self,
        at: _Session,
        spaces: Sequence[_Held],
        records: Sequence[Record],
        rows: Sequence[Any],
        vectors: Vectors,
    ) -> None:
        self._write.put(at.spaces, records, vectors, at.fetched)

    def _describe(
        self, at: _Session, active: _Held, records: Sequence[Record], rows: Sequence[Any]
    ) -> None:
        self._write.describe(at.spaces, records, at.fetched)

    def _put_vectors(
        self, at: _Session, held: _Held, records: Sequence[Record], vectors: Vectors
    ) -> None:
        self._write.put_vectors(held.space, records, vectors, at.fetched, at.others)

    def _delete(self, at: _Session, spaces: Sequence[_Held], ids: Sequence[str]) -> int:
        return [self.store.delete(each, ids) for each in reversed(at.spaces)][-1]

    # -------------------------------------------------------------- reading

    def _stored(self, at: _Session, ids: Sequence[str]) -> dict[str, Record]:
        found = self._read.there(at.space, ids, vectors=False)
        at.fetched |= {each: found.get(each) for each in ids}
        return {id_: each.record for id_, each in found.items()}

    def _having(self, at: _Session, held: _Held, ids: Sequence[str]) -> set[str]:
        found = self._read.there(held.space, ids, vectors=False)
        at.others |= {each: found.get(each) for each in ids}
        return {id_ for id_, each in found.items() if each.record.parts}

    def _vectors(self, at: _Session, ids: Sequence[str]) -> dict[str, Vectors]:
        found = self._read.there(at.space, ids, vectors=True)
        return {id_: each.vectors for id_, each in found.items()}

    def _lacking(self, at: _Session, held: _Held, k: int, after: str) -> list[str]:
        found: list[str] = []
        if k > 0:
            limit = min(k, PAGE)
            for page in self._read.pages(
                held.space, rules.PRESENT, bare=True, after=after, limit=limit
            ):
                # What the active space lacks was left there by a crash; see `_even`.
                there = self._read.there(at.space, [d.record.id for d in page], vectors=False)
                found += [id_ for id_, each in there.items() if not each.record.away]
                if len(found) >= k:
                    break
        return found[:k]

    def _records(self, at: _Session, where: Filter | None) -> Iterator[Record]:
        """Yield the records that fulfil a filter, by id, whichever space is active by then."""
        at.steady, after, left = False, "", _TRIES
        while at.spaces:
            try:
                for page in self._read.pages(at.space, where, after=after):
                    for each in page:
                        yield each.record
                        after = each.record.id
                return
            except SpaceGoneError:
                left, at.spaces = left - 1, self._held_spaces()
                if not left:
                    raise

    def _known(self, at: _Session, prefix: str) -> Iterator[Known]:
        where: list[Filter] = [rules.PRESENT]
        # Filters compare normal forms, in which a prefix may end within a letter; a folder can't.
        folder = composed(prefix[: prefix.rfind("/") + 1])
        if folder:
            where.append(Compare("uri", "ge", folder))
            end = columns.prefix_end(folder)
            if end is not None:
                where.append(Compare("uri", "lt", end))
        found = self._records(at, And(tuple(where)))
        return (_known_of(each) for each in found if each.uri.startswith(prefix))

    def _with_digests(self, at: _Session, digests: Sequence[str]) -> Iterator[Known]:
        for start in range(0, len(digests), PAGE):
            some = Compare("digest", "in", tuple(digests[start : start + PAGE]))
            for page in self._read.pages(at.space, And((rules.PRESENT, some))):
                yield from (_known_of(each.record) for each in page)

    def _matching_ids(self, at: _Session, where: Filter | None) -> Iterator[str]:
        return (record.id for record in self._records(at, where))

    def _select(
        self,
        at: _Session,
        where: Filter | None,
        order: Order,
        descending: bool,
        k: int,
        offset: int,
    ) -> list[Record]:
        return self._read.select(at.space, where, order, descending, k, offset)

    def _count(self, at: _Session, where: Filter | None) -> int:
        return self._read.count(at.space, where)

    def _sample(self, at: _Session, n: int) -> Vectors:
        rows = [np.empty((0, at.space.dim), np.float32)]
        if n > 0:
            for page in self._read.pages(at.space, None, vectors=True, limit=min(n, PAGE)):
                rows += [each.vectors for each in page]
                if sum(map(len, rows)) >= n:
                    break
        return np.concatenate(rows)[:n]

    def _export(self, at: _Session, batch: int) -> Iterator[tuple[list[Record], Vectors]]:
        at.steady = False  # all is of the space that was active at first
        for page in self._read.pages(at.space, None, vectors=True, limit=batch):
            if page:
                yield [d.record for d in page], np.concatenate([d.vectors for d in page])

    def _page(self, at: _Session, held: _Held, k: int, after: str) -> tuple[list[Record], Vectors]:
        at.steady = False  # a space is named
        return self._read.page(held.space, k, after)

    def _marks(self) -> Mapping[str, str]:
        return kept_texts.of_names(self.store, moves.KIND, (moves.AWAY, moves.ARRIVING))

    def _keep(self, kind: str, name: str, text: str | None) -> None:
        self._check_open()
        with self.store.writing():
            kept_texts.keep(self.store, kind, name, text)

    def _kept(self, kind: str) -> dict[str, str]:
        self._check_open()
        return kept_texts.of_kind(self.store, self._read, kind)

    def _nearest(
        self, at: _Session, vectors: Vectors, k: int, where: Filter | None, *, exact: bool
    ) -> tuple[list[list[Answer]], int, Reach]:
        found, at.rows, total, reach = self._read.nearest(at.space, vectors, k, where, exact=exact)
        return found, total, reach

    def _answer_vectors(self, at: _Session, answers: Sequence[Answer]) -> Vectors:
        return at.rows[[answer.key for answer in answers]]

    def _find_words(
        self, at: _Session, words: Sequence[str], k: int, where: Filter | None, *, counted: bool
    ) -> WordMatches:
        return self._read.find_words(at.space, words, k, where, counted=counted)

    def _facets(
        self, at: _Session, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]] | None:
        return self._read.facets(at.space, where, fields, most)


def _known_of(record: Record) -> Known:
    return Known(record.id, record.uri, record.stamp, record.digest)


def _conforms(engine: DocumentEngine) -> tuple[Engine, Distant]:
    return engine, engine  # checked by mypy
