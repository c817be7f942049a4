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
import threading
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
    indexes,
    mark_of,
    models,
    none_of,
    place_of,
    points_of,
    settings_of,
    sparse,
)
from pixseek.engines.qdrant_server import Local, NoCollectionError, Refusal, Server
from pixseek.engines.store import Document, Row, SpaceGoneError, Store
from pixseek.engines.stored_fields import ORDERS
from pixseek.errors import EngineError
from pixseek.types import Capabilities, Compare, FacetField, Filter, Order, Space, WordMatches

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: The version of the payloads; an older pixseek refuses a newer one.
FORMAT = 1
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
        server, name = Local.at(remote.local_path(url)), "library"
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


class QdrantStore:
    """Documents as points. See `store.Store`."""

    #: Texts can't be sorted by.
    orders: frozenset[Order] = frozenset({"taken_at", "mtime", "size"})

    def __init__(self, server: Server | Local, name: str, options: Mapping[str, Any]) -> None:
        self.name = server.subject
        is_local = isinstance(server, Local)
        self.capabilities = Capabilities(exact=is_local, text_search="bm25")
        self._server, self._is_local = server, is_local
        self._registry = f"{name}.pixseek"
        self._foreign = name
        self._options = options
        self._closed = False

    def check(self) -> None:
        """Check that the name is free, or that of a library that this pixseek can read.

        Raises:
            EngineError: it is the name of something else.
            LibraryFormatError: the library is of a newer format.
        """
        if not self.spaces() and self._server.call(
            "collection_exists", collection_name=self._foreign
        ):
            raise EngineError(
                "the server has a collection of this name that is not a library of pixseek",
                self.name,
                "Choose another name.",
            )

    # -------------------------------------------------------------- collections

    def spaces(self) -> list[Space]:
        active, others = list[Space](), list[Space]()
        for about in self._registered():
            space = remote.space_of(about, FORMAT, self.name)
            (active if about["active"] else others).append(space)
        return remote.active_first(active, others, self.name, self._size)

    def _size(self, space: Space) -> int:
        with contextlib.suppress(SpaceGoneError):
            return self.count(space, None)
        return 0

    def _registered(self) -> list[dict[str, Any]]:
        try:
            points, _ = self._server.call(
                "scroll", collection_name=self._registry, limit=1_000, with_payload=True
            )
        except NoCollectionError:
            return []
        found = [point.payload for point in points]
        now = [each for each in found if "active" in each]
        spaces = sorted((each for each in found if "dim" in each), key=lambda each: each["mark"])
        return [
            {**each, "active": bool(now) and now[0]["active"] == each["mark"]} for each in spaces
        ]

    def create(self, space: Space) -> None:
        settings = settings_of(space.dim, self._options)
        name = self._collection(space)
        self._make(name, settings)
        for field, kind in [] if self._is_local else indexes():
            self._server.call(
                "create_payload_index",
                collection_name=name, field_name=field, field_schema=kind, wait=True,
            )  # fmt: skip
        plain = {key: settings[key] for key in ("replication_factor", "write_consistency_factor")}
        self._make(self._registry, {"vectors_config": {}, "shard_number": 1, **plain})
        self._register(space)

    def _make(self, name: str, settings: Mapping[str, Any]) -> None:
        """Make a collection, unless another process has made it."""
        try:
            self._server.call("create_collection", collection_name=name, **settings)
        except Refusal as refusal:
            if not self._server.call("collection_exists", collection_name=name):
                raise
            if "size" in str(settings) and not self._fits(name, settings):
                raise EngineError(
                    "the server has another collection of this name",
                    f"{self.name} ({name})",
                    "Delete it there, or choose another name.",
                ) from refusal

    def _fits(self, name: str, settings: Mapping[str, Any]) -> bool:
        there = self._server.call("get_collection", collection_name=name).config.params.vectors
        wanted = settings["vectors_config"]
        return isinstance(there, dict) and all(
            key in there and (there[key].size, there[key].distance) == (each.size, each.distance)
            for key, each in wanted.items()
        )

    def _register(self, space: Space, *more: Any) -> None:
        about = {
            "format": FORMAT, "mark": mark_of(space), "fingerprint": space.fingerprint,
            "dim": space.dim, "model": space.model,
        }  # fmt: skip
        points = [models.PointStruct(id=place_of(mark_of(space)), vector={}, payload=about), *more]
        self._server.call("upsert", collection_name=self._registry, points=points, wait=True)

    def activate(self, space: Space) -> None:
        payload = {"active": mark_of(space)}
        # One shard takes both points of a request, or none.
        self._register(space, models.PointStruct(id=place_of(""), vector={}, payload=payload))

    def drop(self, space: Space) -> None:
        if any(each == space for each in self.spaces()):
            one = models.PointIdsList(points=[place_of(mark_of(space))])
            self._server.call(
                "delete", collection_name=self._registry, points_selector=one, wait=True
            )
        with contextlib.suppress(NoCollectionError):
            self._server.call("delete_collection", collection_name=self._collection(space))

    def writing(self) -> threading.RLock:
        return remote.writing(self.name)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._server.close()

    def _collection(self, space: Space) -> str:
        return f"{self._registry}.{mark_of(space)}"

    def _call(self, name: str, space: Space, **arguments: Any) -> Any:
        try:
            return self._server.call(name, collection_name=self._collection(space), **arguments)
        except NoCollectionError as error:
            raise SpaceGoneError(space) from error

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
