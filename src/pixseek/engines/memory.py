"""A library in the memory of this process, for tests; and the shortest `Store`, to start from.

`memory://NAME` is the same library for everyone in this process who opens that name. It lasts as
long as the process.
"""

# ruff: noqa: D102 (what the methods do is said in `store.Store`)

from __future__ import annotations

import heapq
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek.engines import columns, facets
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.store import Document, Row, SpaceGoneError, Store
from pixseek.engines.stored_fields import ORDERS, Fields, compiled, fields_of, holds
from pixseek.engines.words import alternatives
from pixseek.errors import ConfigError
from pixseek.types import (
    Capabilities,
    Compare,
    FacetField,
    Filter,
    Order,
    Space,
    WordMatch,
    WordMatches,
)

if TYPE_CHECKING:
    from pixseek.types import Vectors
from pixseek.types.dataclass import dataclass

#: By id, what is stored: each document with its columns.
_Collection = dict[str, tuple[Document, Fields]]


@dataclass(slots=True)
class _Library:
    """What is kept under one name; a server would be in its place."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    spaces: list[Space] = field(default_factory=list)  # the active one first
    collections: dict[str, _Collection] = field(default_factory=dict)  # by fingerprint


_LIBRARIES: dict[str, _Library] = {}


def open_memory(url: str) -> DocumentEngine:
    """Open the library `memory://NAME` of this process; a new name is an empty one.

    Raises:
        ConfigError: there is no name.
    """
    name = url.removeprefix("memory://")
    if not name:
        raise ConfigError("a library in memory needs a name", url, "Write memory://NAME.")
    return DocumentEngine(MemoryStore(name))


class MemoryStore:
    """Documents in dictionaries. See `store.Store`."""

    capabilities = Capabilities(exact=True, text_search="ts_rank")
    orders = frozenset(ORDERS)

    def __init__(self, name: str) -> None:
        self.name = f"memory://{name}"
        self._library = _LIBRARIES.setdefault(name, _Library())

    # -------------------------------------------------------------- collections

    def spaces(self) -> list[Space]:
        return list(self._library.spaces)

    def create(self, space: Space) -> None:
        self._library.collections[space.fingerprint] = {}
        self._library.spaces = [*self._library.spaces, space]

    def activate(self, space: Space) -> None:
        self._library.spaces = [space, *self._without(space)]

    def drop(self, space: Space) -> None:
        self._library.spaces = self._without(space)
        self._library.collections.pop(space.fingerprint, None)

    def writing(self) -> threading.RLock:
        return self._library.lock

    def close(self) -> None:
        """Release everything; the library stays."""

    def _without(self, space: Space) -> list[Space]:
        return [each for each in self._library.spaces if each.fingerprint != space.fingerprint]

    # -------------------------------------------------------------- documents by id

    def write(self, space: Space, documents: Sequence[Document]) -> None:
        collection = self._collection(space)
        for each in documents:
            # As all engines do, since it is what searches need: half of the memory.
            vectors = each.vectors.astype(np.float16).astype(np.float32)
            collection[each.record.id] = replace(each, vectors=vectors), fields_of(each.record)

    def delete(self, space: Space, ids: Sequence[str]) -> int:
        collection = self._collection(space)
        return sum(collection.pop(each, None) is not None for each in ids)

    def fetch(self, space: Space, ids: Sequence[str], *, vectors: bool) -> list[Document | None]:
        collection = self._collection(space)
        found = map(collection.get, ids)
        return [None if each is None else each[0] for each in found]

    def _collection(self, space: Space) -> _Collection:
        collection = self._library.collections.get(space.fingerprint)
        if collection is None:
            raise SpaceGoneError(space)
        return collection

    # -------------------------------------------------------------- documents by condition

    def supports(self, compare: Compare) -> bool:
        return True

    def scan(
        self,
        space: Space,
        where: Filter | None,
        *,
        after: str,
        limit: int,
        vectors: bool,
        bare: bool = False,
    ) -> list[Document]:
        found = (each for each, _ in self._found(space, where, bare=bare) if each.record.id > after)
        return sorted(found, key=lambda document: document.record.id)[:limit]

    def count(self, space: Space, where: Filter | None, *, bare: bool = False) -> int:
        return sum(1 for _ in self._found(space, where, bare=bare))

    def browse(
        self,
        space: Space,
        where: Filter | None,
        order: Order,
        descending: bool,
        k: int,
        offset: int,
    ) -> list[Document]:
        column = ORDERS[order]
        found = sorted(self._found(space, where), key=lambda each: each[0].record.id)
        valued: list[Any] = [each for each in found if column in each[1]]
        valued.sort(key=lambda each: each[1][column], reverse=descending)  # ties stay by id
        valued += [each for each in found if column not in each[1]]
        return [document for document, _ in valued[offset : offset + k]]

    def _found(
        self, space: Space, where: Filter | None, *, bare: bool = False
    ) -> Iterator[tuple[Document, Fields]]:
        """Yield the documents that fulfil a condition, in any order."""
        condition = None if where is None else compiled(where)
        for document, fields in list(self._collection(space).values()):  # others may write
            fits = condition is None or holds(condition, fields)
            if fits and not (bare and document.record.parts):
                yield document, fields

    # -------------------------------------------------------------- search

    def nearest(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        found = [each for each, _ in self._found(space, where)]
        owners = [(each.record.id, part) for each in found for part in range(len(each.vectors))]
        if not owners:
            return [[] for _ in vectors]
        rows = np.concatenate([each.vectors for each in found]).astype(np.float64)
        answers = []
        for query in vectors:
            # Not by a matrix product, in which equal rows may differ in their last bits.
            scores = (rows * query).sum(axis=1).tolist()
            best = heapq.nlargest(k, range(len(scores)), key=scores.__getitem__)
            answers.append([Row(*owners[at], scores[at]) for at in best])
        return answers

    def find_words(
        self, space: Space, words: Sequence[str], k: int, where: Filter | None
    ) -> WordMatches:
        condition = None if where is None else compiled(where)
        wanted = [[_stemmed(each) for each in alternatives(word)] for word in words]
        counts, matches, records = [0] * len(words), [], 0
        for document, fields in self._found(space, None):
            texts = columns.texts(document.record)
            text, strong = _stemmed(" ".join(texts)), _stemmed(texts.strong)
            held = tuple(n for n, some in enumerate(wanted) if any(each in text for each in some))
            records += 1
            for n in held:
                counts[n] += 1
            if held and (condition is None or holds(condition, fields)):
                share = len(held) / len(words)
                stated = all(any(each in strong for each in some) for some in wanted)
                matches.append(WordMatch(document.record.id, share, share == 1, held, stated))
        matches.sort(key=lambda match: (-match.share, match.id))  # complete ones have a share of 1
        complete = sum(match.complete for match in matches)
        return WordMatches(tuple(matches[:k]), complete, tuple(words), tuple(counts), records)

    def facets(
        self, space: Space, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]]:
        records = [(document.record, 1) for document, _ in self._found(space, where)]
        return {field: facets.count(field, records, most) for field in fields}


def _stemmed(text: str) -> str:
    """Return words without the commonest endings of English, between spaces."""
    stems = (re.sub(r"(?<=\w{3})(?:ning|ing|es|s|e)$", "", word) for word in text.split())
    return f" {' '.join(stems)} "


def _conforms(store: MemoryStore) -> Store:
    return store  # checked by mypy
