"""A library on Vespa.

    vespa+https://host:8080/photos?cert=/etc/cert.pem&key=/etc/key.pem

The application is deployed before (`application`); its document type has the library's name. One
document is one record, with its vectors in all spaces. The index only chooses: scores are cosines
of the vectors in a document's summary. A write is durable and found when it returns.

Two documents never change each other's, and a write holds only if the document is as it was read:
Vespa tests the version that the space has there, and sets the new one.
"""

# ruff: noqa: D102 (what the methods do is said in `store.Store`)

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek.engines import facets, remote, token_words, tokens
from pixseek.engines.columns import texts
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.store import ABSENT, ConflictError, Document, Row, Store
from pixseek.engines.stored_fields import ORDERS, compiled, fields_of, holds
from pixseek.engines.vespa.documents import (
    VERSION_BITS,
    cleared,
    document_id,
    document_of,
    escaped,
    fields_of_records,
    quotable,
    unescaped,
)
from pixseek.engines.vespa.library import is_kept
from pixseek.engines.vespa.schema import (
    COLUMNS,
    FACETS,
    MAX_HITS,
    NAMES,
    NAMESPACE,
    Slot,
    is_name,
)
from pixseek.engines.vespa.server import Refusal, Server
from pixseek.engines.vespa.spaces import VespaSpaces
from pixseek.engines.vespa.yql import Yql, all_of, any_of, none_of
from pixseek.errors import ConfigError, EngineError
from pixseek.types import Capabilities, Compare, FacetField, Filter, Order, Space, WordMatches

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Up to this many records that fulfil a filter are all scored, without the index.
EXACT = 30_000
#: The same with `breadth`.
_EXACT_AT_LEAST = 10_000
#: How many candidates a search looks at, at least, if it goes by the index.
BREADTH = 200
_TRIES = 20  #: of a deletion that other machines come between


class VespaStore(VespaSpaces):
    """Documents of a Vespa application. See `store.Store`."""

    capabilities = Capabilities(exact=False, max_k=MAX_HITS, text_search="bm25")
    orders: frozenset[Order] = frozenset(ORDERS)

    def drop(self, space: Space) -> None:
        listed = self._find(space)
        if listed is None:
            return

        def remove(state: dict[str, Any]) -> None:
            state["spaces"] = [
                each for each in state["spaces"] if each["fingerprint"] != space.fingerprint
            ]

        if is_kept(space):
            self.library.forget([each.id for each in self.library.kept()])
        else:  # documents first: a new space may get the same slot
            while some := self._queries.scanned(
                listed.slot, None, "", MAX_HITS, listed.slot.with_record
            ):
                self._delete(listed.slot, [each.record.id for each in some])
        self.library.change(remove)

    def writing(self) -> threading.RLock:
        return remote.writing(self.name)

    def close(self) -> None:
        self._server.close()

    # -------------------------------------------------------------- documents by id

    def write(self, space: Space, documents: Sequence[Document]) -> None:
        slot = self._slot(space)
        if is_kept(space):
            self.library.keep([each.record for each in documents])
        else:
            self._write(slot, documents, vectors=True)

    def describe(self, space: Space, documents: Sequence[Document]) -> None:
        self._write(self._slot(space), documents, vectors=False)

    def _write(self, slot: Slot, documents: Sequence[Document], *, vectors: bool) -> None:
        versions = [secrets.randbits(VERSION_BITS) for _ in documents]
        changes = list(fields_of_records(documents, slot, versions, vectors=vectors))
        version = f"{self._type}.{slot.version}"

        def write(n: int) -> EngineError | bool:
            before = documents[n].version
            condition = {None: "", ABSENT: f"{version} == null"}.get(before)  # type: ignore[call-overload]
            try:
                return self._server.update(
                    NAMESPACE, self._type, document_id(documents[n].record.id), changes[n],
                    condition=f"{version} == {before}" if condition is None else condition,
                    create=condition is not None,
                )  # fmt: skip
            except Refusal as refusal:
                return refusal

        answers = self._server.together(write, range(len(documents)))
        ids = [each.record.id for each in documents]
        failed = [(id_, a) for id_, a in zip(ids, answers, strict=True) if isinstance(a, Exception)]
        if failed:
            raise remote.refused(failed, len(documents))
        if refused := [id_ for id_, held in zip(ids, answers, strict=True) if not held]:
            raise ConflictError(refused)

    def delete(self, space: Space, ids: Sequence[str]) -> int:
        slot = self._slot(space)
        return self.library.forget(ids) if is_kept(space) else self._delete(slot, ids)

    def _delete(self, slot: Slot, ids: Sequence[str]) -> int:
        slots = [each.slot for each in self.library.listed() if not is_kept(each.space)]
        names = [each.version for each in slots if each != slot]
        return sum(self._server.together(lambda id_: self._delete_one(slot, names, id_), list(ids)))

    def _delete_one(self, slot: Slot, others: Sequence[str], id_: str) -> bool:
        """Take a record out of a space, and with the last one remove its document."""
        place = document_id(id_)
        for _ in range(_TRIES):
            now = self._server.get(NAMESPACE, self._type, place)
            if now is None or slot.version not in now:
                return False
            held = {slot.version: now[slot.version], **{name: now.get(name) for name in others}}
            condition = " and ".join(
                f"{self._type}.{name} == {'null' if version is None else int(version)}"
                for name, version in held.items()
            )
            if all(now.get(name) is None for name in others):
                done = self._server.remove(NAMESPACE, self._type, place, condition)
            else:
                done = self._server.update(
                    NAMESPACE, self._type, place, cleared(slot), condition=condition, create=False
                )
            if done:
                return True
        raise ConflictError([id_])

    def fetch(self, space: Space, ids: Sequence[str], *, vectors: bool) -> list[Document | None]:
        slot = self._read(space)
        found = {each.record.id: each for each in self._kept(space)}
        if not is_kept(space):
            yql = Yql()
            summary = slot.whole if vectors else slot.with_record
            held = f"{yql.held(slot, None)} and {yql.is_any('id', list(map(escaped, ids)))}"
            hits = self._queries.hits(yql, held, summary, len(ids))
            documents = (document_of(each["fields"], slot) for each in hits)
            found = {each.record.id: each for each in documents}
        return [found.get(each) for each in ids]

    def _kept(self, space: Space) -> list[Document]:
        if not is_kept(space):
            return []
        nothing = np.empty((0, space.dim), np.float32)
        return [Document(each, nothing) for each in self.library.kept()]

    # -------------------------------------------------------------- documents by condition

    def supports(self, compare: Compare) -> bool:
        return tokens.is_expressed(compare)

    def wider(self, compare: Compare) -> Compare | None:
        return tokens.wider(compare)

    def place(self, id_: str) -> str:
        return tokens.placed(id_).hex()

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
        slot = self._read(space)
        if is_kept(space):
            found = sorted(self._kept(space), key=lambda each: self.place(each.record.id))
            return [
                each
                for each in found
                if (not after or self.place(each.record.id) > self.place(after))
                and (where is None or holds(compiled(where), fields_of(each.record)))
            ][:limit]
        summary = slot.whole if vectors else slot.with_record
        return self._queries.scanned(slot, where, after, limit, summary, bare=bare)

    def count(self, space: Space, where: Filter | None, *, bare: bool = False) -> int:
        slot = self._read(space)
        if is_kept(space):
            return len(self.scan(space, where, after="", limit=MAX_HITS, vectors=False))
        return self._queries.count(slot, where, bare=bare)

    def browse(
        self,
        space: Space,
        where: Filter | None,
        order: Order,
        descending: bool,
        k: int,
        offset: int,
    ) -> list[Document]:
        slot = self._read(space)
        column = ORDERS[order]
        way = "desc" if descending else "asc"
        is_text = column.kind == "written"
        found: list[Document] = []
        skip = offset
        for there in (True,) if is_text else (True, False):
            yql = Yql()
            held = yql.held(slot, where)
            if not is_text:
                valued = yql.has("tokens", quotable(tokens.exists(column)))
                held = f"{held} and {valued if there else none_of(valued)}"
            by = f"{COLUMNS[column]} {way}, " if there else ""
            wanted = k - len(found)
            hits = self._queries.page(
                yql, held, slot.with_record, wanted, skip, f"order by {by}id asc"
            )
            found += [document_of(each["fields"], slot) for each in hits]
            if len(found) >= k or is_text:
                break
            skip = max(0, skip - self._queries.total(yql, held)) if not hits else 0
        return found

    # -------------------------------------------------------------- search

    def reach(self, space: Space, k: int, where: Filter | None) -> int | None:
        return self._reach(self._read(space), k, where)

    def _reach(self, slot: Slot, k: int, where: Filter | None) -> int | None:
        breadth = self._options.get("breadth")
        count = self._queries.count(slot, where, seen=True)
        if count <= (EXACT if breadth is None else _EXACT_AT_LEAST):
            return None
        return max(k, breadth or max(BREADTH, 2 * k))

    def nearest(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        slot = self._read(space)
        return self._nearest(slot, vectors, k, where, self._reach(slot, k, where))

    def nearest_exactly(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        return self._nearest(self._read(space), vectors, k, where, None)

    def _nearest(
        self, slot: Slot, vectors: Vectors, k: int, where: Filter | None, breadth: int | None
    ) -> list[list[Row]]:
        """Return the k nearest, by the scores of all documents if there is no breadth."""
        by_signs = slot.name in self._by_signs
        if "type" in self._options:
            by_signs = self._options["type"] == "binary"

        def ask(query: Vectors) -> list[Row]:
            hits = self._queries.neighbours(slot, query, k, where, breadth, by_signs=by_signs)
            near = {unescaped(each["fields"]["id"]): each["fields"][slot.vectors] for each in hits}
            return tokens.scored(query, near, k)

        return self._server.together(ask, list(vectors))

    def find_words(
        self, space: Space, words: Sequence[str], k: int, where: Filter | None
    ) -> WordMatches:
        slot = self._read(space)
        look = token_words.look_for(words)

        def of_words(yql: Yql) -> list[str]:
            return [
                any_of([all_of([yql.has("terms", quotable(t)) for t in some]) for some in wanted])
                for wanted in look.wanted
            ]

        def counted(n: int) -> int:
            yql = Yql()
            each, held = of_words(yql), yql.held(slot, None)
            if n < len(words):
                return self._queries.total(yql, f"{held} and {each[n]}")
            if n == len(words):
                return self._queries.total(yql, held)
            return self._queries.total(yql, f"{yql.held(slot, where)} and {all_of(each)}")

        *counts, records, complete = self._server.together(counted, range(len(words) + 2))

        def search(_: token_words.Sparse, whole: bool, limit: int) -> list[token_words.Hit]:
            yql = Yql()
            each = of_words(yql)
            wanted = all_of(each)
            if not whole:
                wanted = f"{any_of(each)} and {none_of(all_of(each))}"
            # The first says what is found; the others are what it is ranked by.
            stems = dict.fromkeys(
                stem for some in look.phrases for phrase in some for stem in phrase.split()
            )
            by = [
                yql.has(field, quotable(stem))
                for stem in stems
                for field in ("stems_strong", "stems_weak")
            ]
            held = f"rank({yql.held(slot, where)} and {wanted}, {', '.join(by)})"
            hits = self._queries.hits(yql, held, slot.with_record, limit, profile="words")
            found = [document_of(hit["fields"], slot).record for hit in hits]
            stated = token_words.stems_of([texts(record) for record in found])
            return [
                (record.id, float(hit["relevance"]), stems)
                for record, hit, stems in zip(found, hits, stated, strict=True)
            ]

        return token_words.found(look, k, counts, records, complete, search, MAX_HITS)

    def facets(
        self, space: Space, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]]:
        slot = self._read(space)

        def values(name: str) -> dict[str, int]:
            counts = self._queries.values(slot, where, FACETS[name])
            if name != "year":
                return {unescaped(value): count for value, count in counts.items()}
            # Vespa stores the least integer for none.
            years = {f"{int(y):04d}": count for y, count in counts.items() if int(y) > 0}
            undated = self._queries.count(slot, where) - sum(years.values())
            return {**years, facets.NO_DATE: undated} if undated > 0 else years

        return facets.counted(fields, values, most)


def open_vespa(url: str) -> DocumentEngine:
    """Open a library on Vespa.

    Args:
        url: `vespa+https://host:8080/NAME`, NAME being the document type. Options: `type`: whether
            vectors are searched by their signs; `breadth`: how many candidates a search looks at;
            `timeout`; `ca`; `cert` and `key`: of this client; `vector`: see `foreign`.

    Raises:
        ConfigError: the URL can't be understood.
        MissingExtraError: the package httpx is not installed.
        EngineError: the server is out of reach or refuses, or has no such application.
        LibraryFormatError: the library was written by a newer pixseek.
    """
    known = {
        "type": remote.one_of("vector", "binary"),
        "breadth": remote.whole(1, 100_000),
        "cert": remote.file,
        "key": remote.file,
        **dict.fromkeys(("vector", "image", "profile", "tensor", "model", "cluster"), remote.word),
    }
    at = remote.read(url, 8080, known)
    if "vector" in at.options:
        from pixseek.engines.vespa.foreign import ForeignStore

        return DocumentEngine(ForeignStore(at))
    if not is_name(at.name):
        raise ConfigError(
            "not a name for a library on Vespa",
            at.name,
            f"It is the name of a document type. {NAMES}",
        )
    store = VespaStore(Server(at), at.name, at.options)
    with contextlib.ExitStack() as failing:
        failing.callback(store.close)
        store.library.check()
        failing.pop_all()
    return DocumentEngine(store)


def _conforms(store: VespaStore) -> Store:
    return store  # checked by mypy
