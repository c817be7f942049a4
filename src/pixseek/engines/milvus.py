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

import json
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
    document_of,
    filtered,
    key_is_above,
    key_is_one,
    key_of,
    whole,
)
from pixseek.engines.milvus_server import Local, NoCollectionError, Refusal, Server
from pixseek.engines.milvus_spaces import ONLY_RECORDS, MilvusSpaces
from pixseek.engines.store import Document, Row, SpaceGoneError, Store
from pixseek.engines.stored_fields import ORDERS
from pixseek.errors import EngineError
from pixseek.types import Capabilities, Compare, FacetField, Filter, Order, Space, WordMatches

if TYPE_CHECKING:
    from pixseek.types import Vectors

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
_SEARCHED = "parts > 0"


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
        server, name = Local(remote.local_path(url, "LOCK")), "library"
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


class MilvusStore(MilvusSpaces):
    """Documents as entities. See `store.Store`."""

    #: Milvus sorts by nothing. What it is to sort by is read alone, and sorted here.
    orders: frozenset[Order] = frozenset({"taken_at", "mtime", "size"})

    def __init__(self, server: Server, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(server, name, options)
        self.capabilities = Capabilities(
            exact=isinstance(server, Local), max_k=WINDOW, text_search="bm25"
        )

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
        condition = filtered(where, ONLY_RECORDS, *some)
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
        rows = self._query(space, f"({ONLY_RECORDS} and {condition})", ["count(*)"])
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
        valued = self._all(space, filtered(where, ONLY_RECORDS, filtered(exists)), ["id", field])
        rows = sorted((whole(row["id"]), row[field]) for row in valued)
        rows.sort(key=lambda row: row[1], reverse=descending)  # ties stay in order of ids
        ids = [id_ for id_, _ in rows]
        if len(ids) < offset + k:
            lacking = filtered(where, ONLY_RECORDS, f"(not {filtered(exists)})")
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
        condition = filtered(where, ONLY_RECORDS, _SEARCHED)
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
        every = filtered(where, ONLY_RECORDS, milvus_rows.has_all_words(look.wanted))
        some = filtered(where, ONLY_RECORDS, milvus_rows.lacks_a_word(look.wanted))

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
        records = self._count(space, ONLY_RECORDS)
        complete = self._count(space, every)
        return token_words.found(look, k, counts, records, complete, search, WINDOW)

    def facets(
        self, space: Space, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]]:
        """Count the values of facets; Milvus does not, so only these values are read."""
        counts = dict[str, Counter[str]]()
        for row in self._all(space, filtered(where, ONLY_RECORDS), ["facets"]):
            for name, values in json.loads(whole(row["facets"])).items():
                counts.setdefault(name, Counter()).update(values)
        return facets.counted(fields, lambda name: counts.get(name, {}), most)


def _conforms(store: MilvusStore) -> Store:
    return store  # checked by mypy
