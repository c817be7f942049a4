"""A library on Milvus, or on Milvus Lite for a try.

    milvus+https://me@host:19530/photos?type=hnsw_sq8&shards=2
    milvus+file:///home/me/photos.milvus

Each space has a collection, `pixseek_photos_s1234567890abcdef`; `pixseek_photos` lists them and
says which is active. A record is an entity with its first vector; each further vector is one of its
own, which names the record. What pixseek reads is in the record's entity, with all vectors as
float16 in base64. The index only chooses: scores are cosines of what that holds. So an entity of a
vector that its record no longer has can do no harm.

Every request sees whatever was written before it (consistency "Strong"). A write is durable when it
returns: it is in the server's log.
"""

# ruff: noqa: D102 (what the methods do is said in `store.Store`)

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek.engines import facets, milvus_rows, remote, token_words, tokens
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.milvus_rows import (
    RECORD,
    TYPES,
    WITH_VECTORS,
    collection_of,
    document_of,
    filtered,
    key_is_above,
    key_is_one,
    key_of,
    mark_of,
    whole,
)
from pixseek.engines.milvus_server import Local, NoCollectionError, Refusal, Server
from pixseek.engines.store import Document, Row, SpaceGoneError, Store
from pixseek.engines.stored_fields import ORDERS
from pixseek.errors import EngineError
from pixseek.types import Capabilities, Compare, FacetField, Filter, Order, Space, WordMatches

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: The version of the entities; an older pixseek refuses a newer one.
FORMAT = 1
#: If at most so many records fulfil a filter, all are read and scored.
EXACT = 2_000
#: How many candidates a search looks at, at least.
BREADTH = 128
#: Most entities of an answer.
WINDOW = 16_384
#: Bytes of one write, about; servers take 64 MB by default.
BULK_BYTES = 8_000_000
#: Entities that are read in one request.
_PAGE = 5_000
_ONLY_RECORDS, _SEARCHED = "part == 0", "parts > 0"


def open_milvus(url: str) -> DocumentEngine:
    """Open a library on Milvus.

    Args:
        url: `milvus+https://host:19530/NAME`, or `milvus+file:///PATH` for Milvus Lite. Options of
            a server, and only for new collections the first three: `type`, `shards`, `replicas`;
            `breadth`: how many candidates a search looks at; `timeout`; `ca`.

    Raises:
        ConfigError: the URL can't be understood.
        MissingExtraError: the package pymilvus or milvus-lite is not installed.
        EngineError: the server is out of reach or refuses; the name belongs to something else.
        LibraryLockedError: another process has the folder open.
        LibraryFormatError: the library was written by a newer pixseek.
    """
    server: Server
    options: Mapping[str, Any] = {}
    if url.partition("://")[0].lower().endswith("+file"):
        server, name = Local(remote.local_path(url)), "library"
        options = {"type": "flat"}
    else:
        known = {
            "type": remote.one_of(*TYPES),
            "shards": remote.whole(1, 64),
            "replicas": remote.whole(1, 16),
            "breadth": remote.whole(1, WINDOW),
        }
        at = remote.read(url, 19530, known)
        server, name, options = Server(at), at.name, at.options
    store = MilvusStore(server, name, options)
    try:
        store.spaces()
    except BaseException:
        store.close()
        raise
    return DocumentEngine(store)


class MilvusStore:
    """Documents as entities. See `store.Store`."""

    #: Milvus sorts by nothing. What it is to sort by is read alone, and sorted here.
    orders: frozenset[Order] = frozenset({"taken_at", "mtime", "size"})

    def __init__(self, server: Server, name: str, options: Mapping[str, Any]) -> None:
        self.name = server.subject
        self.capabilities = Capabilities(
            exact=isinstance(server, Local), max_k=WINDOW, text_search="bm25"
        )
        self._server, self._library, self._options = server, name, options
        #: The type of the index of each collection.
        self._kinds: dict[str, str] = {}

    # -------------------------------------------------------------- collections

    def spaces(self) -> list[Space]:
        """Return the spaces; see `store.Store`.

        Raises:
            EngineError: the collection that lists them is somebody else's.
            LibraryFormatError: the library is of a newer format.
        """
        active, others = list[Space](), list[Space]()
        rows = self._registered()
        now = next((row["about"]["active"] for row in rows if row["key"] == "active"), None)
        for row in rows:
            about = row["about"]
            if "dim" not in about:
                continue
            space = remote.space_of(about, FORMAT, self.name)
            self._kinds[row["key"]] = about["type"]
            (active if row["key"] == now else others).append(space)
        return remote.active_first(active, others, self.name, self._size)

    def _size(self, space: Space) -> int:
        with contextlib.suppress(SpaceGoneError):
            return self.count(space, None)
        return 0

    def _registered(self) -> list[Any]:
        try:
            return list(
                self._server.call(
                    "query", collection_of(self._library), filter='key != ""',
                    output_fields=["key", "about"], limit=1_000, consistency_level="Strong",
                )
            )  # fmt: skip
        except NoCollectionError:
            return []

    def create(self, space: Space) -> None:
        kind = self._options.get("type", next(iter(TYPES)))
        client = self._server.client
        self._make(
            self._name(space), milvus_rows.schema_of(client, space.dim),
            milvus_rows.indexes_of(client, kind, is_lite=self._server.is_lite),
        )  # fmt: skip
        schema, indexes = milvus_rows.list_of_spaces(client)
        self._make(collection_of(self._library), schema, indexes, shards=1)
        self._register(space, kind)

    def _make(self, name: str, schema: Any, indexes: Any, shards: int | None = None) -> None:
        """Make a collection, unless another process has made it."""
        more: dict[str, Any] = {}
        if shards or "shards" in self._options:
            more["num_shards"] = shards or self._options["shards"]
        try:
            self._server.call(
                "create_collection", name, schema=schema, index_params=indexes,
                consistency_level="Strong", **more,
            )  # fmt: skip
        except Refusal as refusal:
            if not self._server.call("has_collection", name):
                raise
            there = self._server.call("describe_collection", name)
            known = {each["name"]: each["params"].get("dim") for each in there["fields"]}
            wanted = {each.name: each.params.get("dim") for each in schema.fields}
            if {key: str(dim) for key, dim in known.items()} != {
                key: str(dim) for key, dim in wanted.items()
            }:
                raise EngineError(
                    "the server has another collection of this name",
                    f"{self.name} ({name})",
                    "Delete it there, or choose another name.",
                ) from refusal
        if "replicas" in self._options:
            self._server.call("load_collection", name, replica_number=self._options["replicas"])

    def _register(self, space: Space, kind: str, *more: dict[str, Any]) -> None:
        about = {
            "format": FORMAT, "fingerprint": space.fingerprint, "dim": space.dim,
            "model": space.model, "type": kind,
        }  # fmt: skip
        rows = [{"key": mark_of(space), "about": about}, *more]
        nothing = np.ones(2, np.float32)
        self._server.call(
            "upsert", collection_of(self._library), [{**row, "nothing": nothing} for row in rows]
        )

    def activate(self, space: Space) -> None:
        # One shard takes both rows of a request, or none.
        kind = self._kind(space)
        self._register(space, kind, {"key": "active", "about": {"active": mark_of(space)}})

    def drop(self, space: Space) -> None:
        if any(each.fingerprint == space.fingerprint for each in self.spaces()):
            one = key_is_one("key", [mark_of(space)])
            self._server.call("delete", collection_of(self._library), filter=one)
        with contextlib.suppress(NoCollectionError):
            self._server.call("drop_collection", self._name(space))

    def writing(self) -> threading.RLock:
        return remote.writing(self.name)

    def close(self) -> None:
        self._server.close()

    def _name(self, space: Space) -> str:
        return collection_of(self._library, space)

    def _call(self, name: str, space: Space, *arguments: Any, **named: Any) -> Any:
        try:
            return self._server.call(name, self._name(space), *arguments, **named)
        except NoCollectionError as error:
            raise SpaceGoneError(space) from error

    def _query(self, space: Space, condition: str, fields: Sequence[str], **named: Any) -> Any:
        return self._call(
            "query", space,
            filter=condition, output_fields=list(fields), consistency_level="Strong", **named,
        )  # fmt: skip

    # -------------------------------------------------------------- documents by id

    def write(self, space: Space, documents: Sequence[Document]) -> None:
        failed: list[tuple[str, EngineError]] = []
        some, size = list[list[Any]](), 0
        for document, (entities, weight) in zip(
            documents, milvus_rows.entities_of(documents), strict=True
        ):
            if isinstance(entities, EngineError):
                failed.append((document.record.id, entities))
                continue
            if some and size + weight > BULK_BYTES:
                failed += self._upsert(space, some)
                some, size = [], 0
            some.append(entities)
            size += weight
        failed += self._upsert(space, some)
        if failed:
            raise remote.refused(failed, len(documents))

    def _upsert(self, space: Space, several: Sequence[list[Any]]) -> list[tuple[str, EngineError]]:
        """Write entities; return the ids of records that the server does not take, and why."""
        if not several:
            return []
        try:
            self._call("upsert", space, [each for entities in several for each in entities])
        except Refusal as refusal:
            # It refuses a request as a whole; what is wrong with the server is wrong with all.
            if refusal.code in (1, 2, 3, 7, 8, 9, 401, 503):
                raise
            if len(several) == 1:
                return [(whole(several[0][0]["id"]), refusal)]
            half = len(several) // 2
            return self._upsert(space, several[:half]) + self._upsert(space, several[half:])
        self._forget_parts(space, {entities[0]["key"]: len(entities) for entities in several})
        return []

    def _forget_parts(self, space: Space, counts: Mapping[str, int]) -> None:
        """Delete entities of parts that records no longer have, by their number of entities."""
        condition = f"(part > 0 and {key_is_one('owner', list(counts))})"
        rows = self._query(space, condition, ["key", "owner", "part"])
        old = [row["key"] for row in rows if row["part"] >= max(1, counts[row["owner"]])]
        if old:
            self._call("delete", space, filter=key_is_one("key", old))

    def delete(self, space: Space, ids: Sequence[str]) -> int:
        keys = [key_of(each) for each in ids]
        there = self._query(space, key_is_one("key", keys), ["key"])
        if there:
            self._call("delete", space, filter=key_is_one("owner", keys))
        return len(there)

    def fetch(self, space: Space, ids: Sequence[str], *, vectors: bool) -> list[Document | None]:
        keys = [key_of(each) for each in ids]
        what = ["key", *(WITH_VECTORS if vectors else RECORD)]
        rows = self._query(space, key_is_one("key", keys), what)
        found = {row["key"]: document_of(row, space) for row in rows}
        return [found.get(key) for key in keys]

    # -------------------------------------------------------------- documents by condition

    def supports(self, compare: Compare) -> bool:
        return tokens.is_expressed(compare)

    def wider(self, compare: Compare) -> Compare | None:
        return tokens.wider(compare)

    def place(self, id_: str) -> str:
        return key_of(id_)

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
        some = [key_is_above(key_of(after))] if after else []
        some += ["parts == 0"] if bare else []
        condition = filtered(where, _ONLY_RECORDS, *some)
        rows = self._page(space, condition, WITH_VECTORS if vectors else RECORD, limit)
        return [document_of(row, space) for row in rows]

    def _page(self, space: Space, condition: str, fields: Sequence[str], limit: int) -> list[Any]:
        """Return the first entities that fulfil a condition, by their keys."""
        found: list[Any] = []
        while len(found) < limit:
            size = min(limit - len(found), _PAGE)
            last = f"({key_is_above(found[-1]['key'])} and {condition})" if found else condition
            try:
                rows = self._server.page(
                    self._name(space), size, filter=last, output_fields=["key", *fields]
                )
            except NoCollectionError as error:
                raise SpaceGoneError(space) from error
            found += rows
            if len(rows) < size:
                break
        return found

    def _all(self, space: Space, condition: str, fields: Sequence[str]) -> Iterator[Any]:
        """Yield all entities that fulfil a condition, by their keys."""
        last = ""
        while True:
            limits = f"({key_is_above(last)} and {condition})" if last else condition
            rows = self._page(space, limits, fields, _PAGE)
            yield from rows
            if len(rows) < _PAGE:
                return
            last = rows[-1]["key"]

    def count(self, space: Space, where: Filter | None, *, bare: bool = False) -> int:
        return self._count(space, filtered(where, *(["parts == 0"] if bare else [])))

    def _count(self, space: Space, condition: str) -> int:
        rows = self._query(space, f"({_ONLY_RECORDS} and {condition})", ["count(*)"])
        return int(rows[0]["count(*)"])

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
        field, exists = f"{column.name}_{column.kind}", Compare(order, "exists")
        valued = self._all(space, filtered(where, _ONLY_RECORDS, filtered(exists)), ["id", field])
        rows = sorted((whole(row["id"]), row[field]) for row in valued)
        rows.sort(key=lambda row: row[1], reverse=descending)  # ties stay in order of ids
        ids = [id_ for id_, _ in rows]
        if len(ids) < offset + k:
            lacking = filtered(where, _ONLY_RECORDS, f"(not {filtered(exists)})")
            ids += sorted(whole(row["id"]) for row in self._all(space, lacking, ["id"]))
        wanted = ids[offset : offset + k]
        found = self.fetch(space, wanted, vectors=False) if wanted else []
        return [each for each in found if each is not None]

    # -------------------------------------------------------------- search

    def reach(self, space: Space, k: int, where: Filter | None) -> int | None:
        if self._kind(space) == "flat" or self._count(space, filtered(where)) <= EXACT:
            return None
        breadth: int | None = self._options.get("breadth")
        return max(k, breadth or max(BREADTH, 2 * k))

    def nearest(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        breadth = self.reach(space, k, where)
        if breadth is None and self._kind(space) != "flat":
            return self.nearest_exactly(space, vectors, k, where)
        answers = self._call(
            "search", space,
            data=list(vectors.astype(np.float32)), anns_field="vector", limit=k,
            filter=filtered(where, _SEARCHED), output_fields=milvus_rows.SCORED,
            search_params={"metric_type": "IP", "params": self._parameters(space, breadth)},
            consistency_level="Strong",
        )  # fmt: skip
        hits = [[hit["entity"] for hit in answer] for answer in answers]
        records = {each["key"]: each for some in hits for each in some if each["part"] == 0}
        others = {each["owner"] for some in hits for each in some} - records.keys()
        for keys in (list(others)[at : at + _PAGE] for at in range(0, len(others), _PAGE)):
            rows = self._query(space, key_is_one("key", keys), ["key", "id", "vectors"])
            records |= {row["key"]: row for row in rows}
        read = {key: (whole(row["id"]), whole(row["vectors"])) for key, row in records.items()}
        return [
            milvus_rows.rows_of(
                query,
                ((each["part"], *read[each["owner"]]) for each in some if each["owner"] in read),
            )
            for query, some in zip(vectors, hits, strict=True)
        ]

    def nearest_exactly(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        best: list[list[Row]] = [[] for _ in vectors]
        condition = filtered(where, _ONLY_RECORDS, _SEARCHED)
        found: dict[str, str] = {}

        def take() -> None:
            for n, query in enumerate(vectors):
                rows = [*best[n], *tokens.scored(query, found, k)]
                best[n] = sorted(rows, key=lambda row: (-row.score, row.id))[:k]
            found.clear()

        for row in self._all(space, condition, ["id", "vectors"]):
            found[whole(row["id"])] = whole(row["vectors"])
            if len(found) == _PAGE:
                take()
        take()
        return best

    def _kind(self, space: Space) -> str:
        """Return the type of the index of a space."""
        if mark_of(space) not in self._kinds:
            self.spaces()
        return self._kinds.get(mark_of(space), next(iter(TYPES)))

    def _parameters(self, space: Space, breadth: int | None) -> dict[str, Any]:
        match self._kind(space):
            case "flat":
                return {}
            case "ivf_flat":
                return {"nprobe": min(1024, breadth or BREADTH)}
            case "hnsw_sq8":
                return {"ef": breadth, "refine_k": 2.0}
            case _:
                return {"ef": breadth}

    def find_words(
        self, space: Space, words: Sequence[str], k: int, where: Filter | None
    ) -> WordMatches:
        look = token_words.look_for(words)
        every = filtered(where, _ONLY_RECORDS, milvus_rows.has_all_words(look.wanted))
        some = filtered(where, _ONLY_RECORDS, milvus_rows.lacks_a_word(look.wanted))

        def search(
            weights: token_words.Sparse, complete: bool, limit: int
        ) -> list[token_words.Hit]:
            (answer,) = self._call(
                "search", space,
                data=[weights], anns_field="words", limit=limit,
                filter=every if complete else some, output_fields=["id", "stems"],
                search_params={"metric_type": "IP"}, consistency_level="Strong",
            )  # fmt: skip
            hits = ((hit["entity"], hit["distance"]) for hit in answer)
            return [(whole(of["id"]), score, json.loads(whole(of["stems"]))) for of, score in hits]

        counts = [self._count(space, milvus_rows.has_word(each)) for each in look.wanted]
        records = self._count(space, _ONLY_RECORDS)
        complete = self._count(space, every)
        return token_words.found(look, k, counts, records, complete, search, WINDOW)

    def facets(
        self, space: Space, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]]:
        """Count the values of facets; Milvus does not, so only these values are read."""
        counts = dict[str, Counter[str]]()
        for row in self._all(space, filtered(where, _ONLY_RECORDS), ["facets"]):
            for name, values in json.loads(whole(row["facets"])).items():
                counts.setdefault(name, Counter()).update(values)
        return facets.counted(fields, lambda name: counts.get(name, {}), most)


def _conforms(store: MilvusStore) -> Store:
    return store  # checked by mypy
