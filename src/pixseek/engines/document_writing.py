"""How `DocumentEngine` writes to several collections: the active one last.

Whatever the active collection does not hold yet was not promised to anybody, so a process may end
between two of them. `Writer.even` puts them in step again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pixseek.engines import rules
from pixseek.engines.document_reading import PAGE, Reader
from pixseek.engines.store import ABSENT, ConflictError, Describing, Document, Placing, Store
from pixseek.types import Record, Space

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: What was stored of some records by id, when a call looked; None: nothing.
Seen = Mapping[str, Document | None]


class UnwrittenError(ConflictError):
    """Some records were not written, and `written` others were."""

    def __init__(self, ids: Iterable[str], written: int) -> None:
        super().__init__(ids)
        self.written = written


class Writer:
    """Writes records to the collections of a store; called under its lock.

    Its methods raise UnwrittenError if the store refuses documents that others have changed.
    """

    def __init__(self, store: Store, read: Reader) -> None:
        self._store = store
        self._read = read

    def put(
        self, spaces: Sequence[Space], records: Sequence[Record], vectors: Vectors, seen: Seen
    ) -> None:
        """Store records with vectors in the first space; elsewhere they keep what still fits.

        Args:
            spaces: all, the active one first.
            records: what to store.
            vectors: as of `Engine.put`.
            seen: what they were merged with; nothing if they replace whatever is stored.
        """
        documents = [
            Document(record, own, _version(seen[record.id]) if record.id in seen else None)
            for record, own in zip(records, by_record(records, vectors), strict=True)
        ]
        refused: set[str] = set()
        for other in spaces[1:]:
            before = self._read.fetch(other, [each.id for each in records], vectors=True)
            kept = [_kept(r, old, other) for r, old in zip(records, before, strict=True)]
            refused |= _refused(self._store.write, other, kept)
        documents = [each for each in documents if each.record.id not in refused]
        refused |= _refused(self._store.write, spaces[0], documents)
        _report(refused, records)

    def describe(self, spaces: Sequence[Space], records: Sequence[Record], seen: Seen) -> None:
        """Replace the metadata of records; their vectors stay in every space.

        Args:
            spaces: all, the active one first.
            records: what to store.
            seen: what they were merged with in the active space.
        """
        whole = not isinstance(self._store, Describing)
        write = self._store.describe if isinstance(self._store, Describing) else self._store.write
        refused: set[str] = set()
        for space in (*spaces[1:], spaces[0]):
            before = self._read.fetch(space, [each.id for each in records], vectors=whole)
            documents = []
            for record, old in zip(records, before, strict=True):
                # What is missing in another space is copied there by `even`.
                if old is not None and record.id not in refused:
                    version = _version(seen[record.id] if space is spaces[0] else old)
                    new = replace(record, parts=old.record.parts)
                    documents.append(Document(new, old.vectors, version))
            refused |= _refused(write, space, documents)
        _report(refused, records)

    def put_vectors(
        self, space: Space, records: Sequence[Record], vectors: Vectors, now: Seen, seen: Seen
    ) -> None:
        """Store vectors in a space, for records that have none there.

        Args:
            space: which one.
            records: their parts are those of the vectors.
            vectors: as of `Engine.put`.
            now: what the active space stores of them.
            seen: and in `space`.
        """
        documents = []
        for record, own in zip(records, by_record(records, vectors), strict=True):
            stored = now[record.id]
            assert stored is not None  # it was compared with `record`
            new = replace(stored.record, parts=record.parts)
            documents.append(Document(new, own, _version(seen[record.id])))
        _report(_refused(self._store.write, space, documents), records)

    def even(self, active: Space, other: Space, after: str) -> str | None:
        """Give a space the records that it lacks, and take those that the active one lacks.

        Compares one page of each from an id on; returns how far it came, None at the end.
        """
        self._read.refresh()
        pages = [
            self._store.scan(each, None, after=after, limit=PAGE, vectors=False)
            for each in (active, other)
        ]
        place = self._store.place if isinstance(self._store, Placing) else str
        ends = [page[-1].record.id for page in pages if len(page) == PAGE]
        end = min(ends, key=place, default=None)
        ours, theirs = (
            {
                each.record.id: each.record
                for each in page
                if end is None or place(each.record.id) <= place(end)
            }
            for page in pages
        )
        missing = [_bare(ours[each], other, None) for each in ours if each not in theirs]
        _refused(self._store.write, other, missing)  # what is there by now needs no copy
        if extra := [each for each in theirs if each not in ours]:
            self._store.delete(other, extra)
        return end


def _refused(
    write: Callable[[Space, Sequence[Document]], None], space: Space, documents: Sequence[Document]
) -> frozenset[str]:
    """Write documents; return the ids of those that others have changed."""
    try:
        if documents:
            write(space, documents)
    except ConflictError as conflict:
        return conflict.ids
    return frozenset()


def _report(refused: Iterable[str], records: Sequence[Record]) -> None:
    ids = frozenset(refused)
    if ids:
        raise UnwrittenError(ids, len(records) - len(ids))


def by_record(records: Sequence[Record], vectors: Vectors) -> list[Vectors]:
    """Return the rows of each record."""
    ends = np.cumsum([len(record.parts) for record in records])
    return np.split(vectors, ends[:-1]) if len(records) else []


def _bare(record: Record, space: Space, old: Document | None) -> Document:
    """Return a record without vectors, to replace what is stored."""
    nothing = np.empty((0, space.dim), np.float32)
    return Document(replace(record, parts=()), nothing, _version(old))


def _kept(record: Record, old: Document | None, space: Space) -> Document:
    """Return a record for another space, with its vectors there if they still stand for it."""
    if (
        old is not None
        and old.record.parts
        and rules.keeps_vectors(record, old.record.digest, old.record.parts)
    ):
        return replace(old, record=replace(record, parts=old.record.parts))
    return _bare(record, space, old)


def _version(document: Document | None) -> object:
    return ABSENT if document is None else document.version
