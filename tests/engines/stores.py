"""Stores in memory that lack what real ones lack, to try `DocumentEngine` on."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar

from pixseek.engines.elastic_memory import Mark, Memory
from pixseek.engines.memory import MemoryStore
from pixseek.engines.store import ABSENT, ConflictError, Document
from pixseek.types import Capabilities, Compare, Space


class FewStore(MemoryStore):
    """A store that can compare three fields, by three operators, and sort by one of them."""

    orders = frozenset({"uri"})

    def supports(self, compare: Compare) -> bool:
        return compare.field in {"uri", "digest", "width"} and compare.op in {"eq", "ge", "lt"}


class CappedStore(FewStore):
    """A store that returns at most 20 rows, as others return at most 10,000."""

    capabilities = replace(FewStore.capabilities, max_k=20)


class HastyStore(MemoryStore):
    """An approximate store whose index loses every second row."""

    capabilities = replace(MemoryStore.capabilities, exact=False)

    def nearest(self, space: Space, vectors: Any, k: int, where: Any) -> Any:
        return [rows[::2] for rows in super().nearest(space, vectors, k, where)]


class DelayedStore(MemoryStore):
    """A store whose conditions and searches see writes only after a refresh of the server.

    What they see is kept in another library in memory.
    """

    capabilities = replace(MemoryStore.capabilities, refreshes=True)
    #: How many writes each library has seen, by its name.
    writes: ClassVar[Counter[str]] = Counter()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._visible = MemoryStore(f"{name} as of the last refresh")
        self.refreshed = 0

    def create(self, space: Space) -> None:
        self._visible.create(space)
        super().create(space)

    def drop(self, space: Space) -> None:
        super().drop(space)
        self._visible.drop(space)

    def write(self, space: Space, documents: Sequence[Document]) -> None:
        super().write(space, documents)
        self.writes[self.name] += 1

    def delete(self, space: Space, ids: Sequence[str]) -> int:
        deleted = super().delete(space, ids)
        self.writes[self.name] += 1
        return deleted

    def written(self) -> object:
        return self.writes[self.name]

    def refresh(self) -> None:
        self.refreshed += 1
        everything: Any = {"after": "", "limit": 10**9, "vectors": True}
        for space in self.spaces():
            new = super().scan(space, None, **everything)
            old = self._visible.scan(space, None, **everything)
            gone = {each.record.id for each in old} - {each.record.id for each in new}
            self._visible.write(space, new)
            self._visible.delete(space, sorted(gone))

    def scan(self, space: Space, *args: Any, **kwargs: Any) -> Any:
        return self._visible.scan(space, *args, **kwargs)

    def count(self, space: Space, *args: Any, **kwargs: Any) -> Any:
        return self._visible.count(space, *args, **kwargs)

    def browse(self, space: Space, *args: Any, **kwargs: Any) -> Any:
        return self._visible.browse(space, *args, **kwargs)

    def nearest(self, space: Space, *args: Any, **kwargs: Any) -> Any:
        return self._visible.nearest(space, *args, **kwargs)

    def find_words(self, space: Space, *args: Any, **kwargs: Any) -> Any:
        return self._visible.find_words(space, *args, **kwargs)


class RememberingStore(DelayedStore):
    """A store that begins a call with what it remembers, and asks meanwhile whether that holds.

    Attributes:
        asked: what it was asked for before calls and meanwhile, since this was emptied.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked: list[str] = []
        self._memory = Memory(self._meanwhile)

    def remembering(self) -> AbstractContextManager[Callable[[], bool] | None]:
        return self._memory.remembering()

    def spaces(self) -> list[Space]:
        if (begun := self._memory.begun) is not None:
            return list(begun.spaces)
        self.asked.append("spaces")
        found = super().spaces()
        self._memory.learn_spaces(found, found[0].fingerprint if found else "")
        return found

    def written(self) -> object:
        if (begun := self._memory.begun) is not None:
            return begun.mark
        self.asked.append("mark")
        mark = self._mark(MemoryStore.spaces(self))
        self._memory.learn_mark(mark)
        return mark

    def refresh(self) -> None:
        super().refresh()
        self._memory.learn_refresh()

    def write(self, space: Space, documents: Sequence[Document]) -> None:
        self._memory.doubt()
        super().write(space, documents)

    def close(self) -> None:
        self._memory.close()
        super().close()

    def _meanwhile(self) -> Mark:
        self.asked.append("meanwhile")
        return self._mark(MemoryStore.spaces(self)[:1])

    def _mark(self, spaces: Sequence[Space]) -> Mark:
        return [(each.fingerprint, str(self.writes[self.name])) for each in spaces]


class VersionedStore(MemoryStore):
    """A store that counts the writes of each document and refuses those made of an older one.

    Attributes:
        before_write: is called before each write, to come between it and what it rests on.
    """

    capabilities = Capabilities(exact=True, text_search="none")
    _numbers = itertools.count(1)
    before_write: Callable[[], None] = staticmethod(lambda: None)

    def write(self, space: Space, documents: Sequence[Document]) -> None:
        self.before_write()
        refused, written = [], []
        stored = self.fetch(space, [each.record.id for each in documents], vectors=False)
        for each, now in zip(documents, stored, strict=True):
            version = ABSENT if now is None else now.version
            if each.version is None or each.version == version:
                written.append(replace(each, version=next(self._numbers)))
            else:
                refused.append(each.record.id)
        super().write(space, written)
        if refused:
            raise ConflictError(refused)


class DescribingStore(VersionedStore):
    """A store that replaces metadata without touching vectors; it can't read all of them."""

    def describe(self, space: Space, documents: Sequence[Document]) -> None:
        stored = self.fetch(space, [each.record.id for each in documents], vectors=True)
        self.write(
            space,
            [
                replace(each, vectors=now.vectors)
                for each, now in zip(documents, stored, strict=True)
                if now is not None
            ],
        )

    def fetch(self, space: Space, ids: Sequence[str], *, vectors: bool) -> Any:
        found = super().fetch(space, ids, vectors=vectors)
        if vectors:
            return found
        return [each and replace(each, vectors=each.vectors[:0]) for each in found]
