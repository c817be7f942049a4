"""A library on Qdrant, or in the local mode of its client for a try.

    qdrant+https://host:6333/photos?api_key_file=/etc/qdrant.key&type=int8_hnsw
    qdrant+file:///home/me/photos.qdrant

Each space has a collection, `photos.pixseek.1234567890abcdef`; `photos.pixseek` holds a point for
each of them and one that says which is active. A point is a whole record: its first vector is
`vector`, those of its further parts are `more`, and its payload has what pixseek reads, with the
vectors as float16 in base64. The index only chooses: scores are cosines of what the payload holds.

A write is durable when it returns (`wait`: it is in the server's log and applied).
"""

# ruff: noqa: D102 (what the methods do is said in `store.Store`)

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek.engines import facets, remote, token_words, tokens
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.qdrant_points import (
    TYPES,
    all_of,
    any_of,
    document_of,
    filtered,
    has,
    models,
    none_of,
    place_of,
    points_of,
    sparse,
)
from pixseek.engines.qdrant_server import Local, Refusal, Server
from pixseek.engines.qdrant_spaces import QdrantSpaces
from pixseek.engines.store import Document, Row, Store
from pixseek.engines.stored_fields import ORDERS
from pixseek.errors import EngineError
from pixseek.types import Capabilities, Compare, FacetField, Filter, Order, Space, WordMatches

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: If about this many records or fewer fulfil a filter, all are scored, without the index.
EXACT = 30_000
#: The same with `breadth`.
_EXACT_AT_LEAST = 10_000
#: How many candidates a search looks at, at least, if it goes by the index.
BREADTH = 128
#: Candidates of a quantised index that the server scores again by the vectors, per hit.
OVERSAMPLE = 3.0
#: Bytes of one write, about; servers take 32 MB by default.
BULK_BYTES = 6_000_000
#: Values of a facet that are asked for at once; of more, all are asked for again.
_VALUES = 10_000
#: What a hit is scored by, and what is read of a record.
_SCORED, _RECORD, _WITH_VECTORS = ["id", "vectors"], ["record"], ["record", "vectors"]


def open_qdrant(url: str) -> DocumentEngine:
    """Open a library on Qdrant.

    Args:
        url: `qdrant+https://host:6333/NAME`, or `qdrant+file:///PATH` for the local mode of the
            client. Options of a server, and only for new collections the first three: `type`,
            `shards`, `replicas`; `breadth`: how many candidates a search looks at; `timeout`; `ca`.

    Raises:
        ConfigError: the URL can't be understood.
        MissingExtraError: the package qdrant-client is not installed.
        EngineError: the server is out of reach or refuses; the name belongs to something else.
        LibraryLockedError: another process has the folder open.
        LibraryFormatError: the library was written by a newer pixseek.
    """
    server: Server | Local
    options: Mapping[str, Any] = {}
    if url.partition("://")[0].lower().endswith("+file"):
        server, name = Local.at(remote.local_path(url, "meta.json")), "library"
    else:
        known = {
            "type": remote.one_of(*TYPES),
            "shards": remote.whole(1, 1024),
            "replicas": remote.whole(1, 16),
            "breadth": remote.whole(1, 100_000),
        }
        at = remote.read(url, 6333, known)
        server, name, options = Server(at), at.name, at.options
    store = QdrantStore(server, name, options)
    with contextlib.ExitStack() as failing:
        failing.callback(store.close)
        store.check()
        failing.pop_all()
    return DocumentEngine(store)


class QdrantStore(QdrantSpaces):
    """Documents as points. See `store.Store`."""

    #: Texts can't be sorted by.
    orders: frozenset[Order] = frozenset({"taken_at", "mtime", "size"})

    def __init__(self, server: Server | Local, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(server, name, options)
        self.capabilities = Capabilities(exact=self._is_local, text_search="bm25")

    # -------------------------------------------------------------- documents by id

    def write(self, space: Space, documents: Sequence[Document]) -> None:
        failed: list[tuple[str, EngineError]] = []
        some, size = list[Any](), 0
        for point, weight in points_of(documents):
            if some and size + weight > BULK_BYTES:
                failed += self._upsert(space, some)
                some, size = [], 0
            some.append(point)
            size += weight
        failed += self._upsert(space, some)
        if failed:
            raise remote.refused(failed, len(documents))

    def _upsert(self, space: Space, points: Sequence[Any]) -> list[tuple[str, EngineError]]:
        """Write points; return the ids of those that the server does not take, with the reason."""
        try:
            if points:
                self._call("upsert", space, points=list(points), wait=True)
        except Refusal as refusal:
            # It refuses a request as a whole. Those of other clients' errors are about all of it.
            if refusal.status not in (400, 422):
                raise
            if len(points) == 1:
                return [(points[0].payload["id"], refusal)]
            half = len(points) // 2
            return self._upsert(space, points[:half]) + self._upsert(space, points[half:])
        return []

    def delete(self, space: Space, ids: Sequence[str]) -> int:
        places = [place_of(each) for each in ids]
        there = self._call("retrieve", space, ids=places, with_payload=False)
        if there:
            chosen = models.PointIdsList(points=[each.id for each in there])
            self._call("delete", space, points_selector=chosen, wait=True)
        return len(there)

    def fetch(self, space: Space, ids: Sequence[str], *, vectors: bool) -> list[Document | None]:
        what = _WITH_VECTORS if vectors else _RECORD
        places = [place_of(each) for each in ids]
        points = self._call("retrieve", space, ids=places, with_payload=what)
        found = {each.id: document_of(each, space) for each in points}
        return [found.get(each) for each in places]

    # -------------------------------------------------------------- documents by condition

    def supports(self, compare: Compare) -> bool:
        return tokens.is_expressed(compare)

    def wider(self, compare: Compare) -> Compare | None:
        return tokens.wider(compare)

    def place(self, id_: str) -> str:
        return place_of(id_)

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
        # A page begins with the point of a number, whether there is one or not.
        last = uuid.UUID(place_of(after)).int + 1 if after else 0
        if last >> 128:
            return []
        points, _ = self._call(
            "scroll", space,
            scroll_filter=filtered(where, bare=bare), limit=limit,
            offset=str(uuid.UUID(int=last)),
            with_payload=_WITH_VECTORS if vectors else _RECORD,
        )  # fmt: skip
        return [document_of(each, space) for each in points]

    def count(self, space: Space, where: Filter | None, *, bare: bool = False) -> int:
        return self._count(space, filtered(where, bare=bare))

    def _count(self, space: Space, condition: Any, *, exact: bool = True) -> int:
        answer = self._call("count", space, count_filter=condition, exact=exact)
        return int(answer.count)

    def browse(
        self,
        space: Space,
        where: Filter | None,
        order: Order,
        descending: bool,
        k: int,
        offset: int,
    ) -> list[Document]:
        field = f"{ORDERS[order].name}.{ORDERS[order].kind}"
        condition, needed = filtered(where), offset + k
        rows = self._ordered(space, condition, f"{field}.n", descending, needed)
        if len(rows) == needed:  # others may have the last value, too, and come before by their ids
            last = rows[-1][0]
            same = all_of([condition, has(f"{field}.n", last)])
            tied = [(last, id_) for id_ in self._ids(space, same)]
            rows = [row for row in rows if row[0] != last] + tied
        # Values that are equal go by id, whatever the direction.
        rows.sort(key=lambda row: row[1])
        rows.sort(key=lambda row: row[0], reverse=descending)
        ids = [id_ for _, id_ in rows]
        if len(ids) < needed:
            valued = has("tokens", tokens.exists(ORDERS[order]))
            ids += sorted(self._ids(space, all_of([condition, none_of([valued])])))
        wanted = ids[offset:needed]
        found = self.fetch(space, wanted, vectors=False) if wanted else []
        return [each for each in found if each is not None]

    def _ordered(
        self, space: Space, condition: Any, key: str, descending: bool, k: int
    ) -> list[tuple[int, str]]:
        """Return values and ids of the first k that have a value."""
        way = models.Direction.DESC if descending else models.Direction.ASC
        points, _ = self._call(
            "scroll", space,
            scroll_filter=condition, limit=k, with_payload=["id", key],
            order_by=models.OrderBy(key=key, direction=way),
        )  # fmt: skip
        name, kind, number = key.split(".")
        return [(each.payload[name][kind][number], each.payload["id"]) for each in points]

    def _ids(self, space: Space, condition: Any) -> Iterator[str]:
        offset = None
        while True:
            points, offset = self._call(
                "scroll", space,
                scroll_filter=condition, limit=10_000, offset=offset, with_payload=["id"],
            )  # fmt: skip
            yield from (each.payload["id"] for each in points)
            if offset is None:
                return

    # -------------------------------------------------------------- search

    def reach(self, space: Space, k: int, where: Filter | None) -> int | None:
        breadth = self._options.get("breadth")
        about = self._count(space, filtered(where), exact=False)
        if about <= (EXACT if breadth is None else _EXACT_AT_LEAST):
            return None
        return max(k, breadth or max(BREADTH, 2 * k))

    def nearest(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        return self._nearest(space, vectors, k, where, self.reach(space, k, where))

    def nearest_exactly(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        return self._nearest(space, vectors, k, where, None)

    def _nearest(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None, breadth: int | None
    ) -> list[list[Row]]:
        """Return the k nearest, by the scores of all points if there is no breadth."""
        condition = filtered(where)
        params = models.SearchParams(
            hnsw_ef=breadth,
            exact=breadth is None,
            quantization=models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLE),
        )
        names = ["vector", "more"]
        if self._is_local:  # it looks at every point for a vector that none may have
            several = models.FieldCondition(key="parts", range=models.Range(gt=1))
            names = names if self._count(space, all_of([several])) else names[:1]
        asked = [
            models.QueryRequest(
                query=each if name == "vector" else [each], using=name,
                filter=condition, limit=k, params=params,
                with_payload=_SCORED,
            )
            for each in vectors.astype(np.float64).round(8).tolist()
            for name in names
        ]  # fmt: skip
        answers = self._call("query_batch_points", space, requests=asked)
        found = []
        for n, query in enumerate(vectors):
            some = answers[n * len(names) :][: len(names)]
            payloads = [point.payload for answer in some for point in answer.points]
            near_ones = {each["id"]: each["vectors"] for each in payloads}
            found.append(tokens.scored(query, near_ones, k))
        return found

    def find_words(
        self, space: Space, words: Sequence[str], k: int, where: Filter | None
    ) -> WordMatches:
        look = token_words.look_for(words)
        each = [
            any_of([all_of([has("terms", term) for term in some]) for some in wanted])
            for wanted in look.wanted
        ]
        limits = [filtered(where)]
        every = all_of([*limits, *each])
        some = all_of([*limits, any_of(each), none_of([all_of(each)])])

        def search(weights: token_words.Sparse, whole: bool, limit: int) -> list[token_words.Hit]:
            answer = self._call(
                "query_points", space,
                query=sparse(weights), using="words", query_filter=every if whole else some,
                limit=limit, with_payload=["id", "stems"],
            )  # fmt: skip
            hits = ((each.payload, each.score) for each in answer.points)
            return [(stored["id"], score, stored["stems"]) for stored, score in hits]

        counts = [self._count(space, all_of([word])) for word in each]
        records = self._count(space, None)
        return token_words.found(look, k, counts, records, self._count(space, every), search)

    def facets(
        self, space: Space, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]]:
        condition = filtered(where)
        return facets.counted(fields, lambda name: self._values(space, condition, name), most)

    def _values(self, space: Space, condition: Any, field: str) -> dict[str, int]:
        """Return how many points have each value of a facet: all of them, and exactly."""
        limit = _VALUES
        while True:
            hits = self._call(
                "facet", space,
                key=f"facet.{field}", facet_filter=condition, limit=limit, exact=True,
            ).hits  # fmt: skip
            if len(hits) < limit:
                return {each.value[1:]: each.count for each in hits}
            limit *= 10


def _conforms(store: QdrantStore) -> Store:
    return store  # checked by mypy
