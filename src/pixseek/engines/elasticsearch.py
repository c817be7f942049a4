"""A library on Elasticsearch 8.18 and later, OpenSearch 2.19 and later, or ESCloud 7.10.

    elasticsearch+https://me@host:9200/photos?shards=3&replicas=1&type=bbq_hnsw

Each space has an index, `photos.pixseek.1234567890abcdef.1`, which is used through an alias without
the last number; the alias `photos` is that of the active space. A document is a whole record: its
first vector is `vector`, those of its further parts are `more`, and `record` holds what pixseek
reads, with the vectors as float16 in base64. The index only chooses: scores are cosines of what
`record` holds, whatever type of index the vectors are kept in.

A write is durable when it returns: the server writes its log to disk before it answers.
"""

# ruff: noqa: D102 (what the methods do is said in `store.Store`)

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from pixseek.engines import elastic_fields as fields
from pixseek.engines import elastic_inference, elastic_neighbours, facets, remote
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.elastic_dialects import DIALECTS, WINDOW, Dialect, Query
from pixseek.engines.elastic_server import Refusal, line
from pixseek.engines.elastic_spaces import ElasticSpaces, mark_of
from pixseek.engines.elastic_words import Counted, asked, counting, told
from pixseek.engines.remote import Remote
from pixseek.engines.store import (
    ConflictError,
    Document,
    Reaching,
    Remembering,
    Row,
    SpaceGoneError,
    Store,
)
from pixseek.engines.stored_fields import ORDERS, compiled
from pixseek.errors import EngineError
from pixseek.types import (
    Capabilities,
    Compare,
    FacetField,
    Filter,
    Order,
    Space,
    WordMatches,
)

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Counts that are remembered until something is written.
_MOST_COUNTS = 1_000


def open_elasticsearch(url: str) -> DocumentEngine:
    """Open a library on Elasticsearch, OpenSearch or ESCloud.

    Args:
        url: `elasticsearch+https://host:9200/NAME`, with `opensearch` or `escloud` in front for
            those. Options, and only for new indexes the first three: `type`, `shards`, `replicas`;
            `breadth`: how many candidates a search looks at; `timeout`; `ca`. With `vector`, the
            index NAME of somebody else is opened to be searched; see `elastic_foreign`.

    Raises:
        ConfigError: the URL can't be understood.
        MissingExtraError: the package elastic-transport is not installed.
        EngineError: the server is out of reach or refuses; the name belongs to something else.
        LibraryFormatError: the library was written by a newer pixseek.
    """
    dialect = DIALECTS[url.partition("+")[0].lower()]
    options = {
        "type": remote.one_of(*dialect.types),
        "shards": remote.whole(1, 1024),
        "replicas": remote.whole(0, 16),
        "breadth": remote.whole(1, WINDOW),
    }
    if dialect.infers:
        options["text_model"] = remote.word
    foreign = dict.fromkeys(("vector", "uri", "caption", "model"), str)
    at = remote.read(url, 9200, {**options, **foreign})
    if at.options.get("vector"):
        from pixseek.engines.elastic_foreign import ForeignStore

        return DocumentEngine(ForeignStore(at, dialect))
    store = ElasticStore(at, dialect)
    try:
        store.check()
    except BaseException:
        store.close()
        raise
    return DocumentEngine(store)


class ElasticStore(ElasticSpaces):
    """Documents in indexes. See `store.Store`."""

    orders = frozenset(ORDERS)
    capabilities = Capabilities(exact=False, max_k=WINDOW, text_search="bm25", refreshes=True)

    def __init__(self, at: Remote, dialect: Dialect) -> None:
        """Connect at the first request.

        Args:
            at: the server, the name of the library and options.
            dialect: of the server.
        """
        super().__init__(at, dialect)
        self.text_model: str = at.options.get("text_model", "")
        #: How many documents fulfil conditions, as of the last refresh.
        self._counts: dict[tuple[str, str], Counted] = {}

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        return elastic_inference.embed_texts(self._server, self.text_model, texts)

    def remembering(self) -> AbstractContextManager[Callable[[], bool] | None]:
        return self._memory.remembering()

    # -------------------------------------------------------------- documents by id

    def write(self, space: Space, documents: Sequence[Document]) -> None:
        self._memory.doubt()
        actions = (
            (line(fields.action(each)) + line(body), each.record.id)
            for each, body in zip(documents, fields.bodies(documents, self._dialect), strict=True)
        )
        conflicts, failed = list[str](), list[tuple[str, Mapping[str, Any]]]()
        for id_, result in self._server.bulk(self._alias(mark_of(space)), actions):
            if result["status"] == 409:
                conflicts.append(id_)
            elif "error" in result:
                self._check_there(space, result["error"])
                failed.append((id_, result))
        if failed:
            id_, result = failed[0]
            said = self._server.refusal(result["status"], result["error"])
            if said.kind == "cluster_block_exception":
                raise said
            raise EngineError(
                f"the server refused {len(failed)} of {len(documents)} records; it has the others",
                id_,
                f"{said.problem}. {said.advice}",
            )
        if conflicts:
            raise ConflictError(conflicts)

    def delete(self, space: Space, ids: Sequence[str]) -> int:
        self._memory.doubt()
        actions = ((line({"delete": {"_id": fields.document_id(each)}}), each) for each in ids)
        deleted = 0
        for _, result in self._server.bulk(self._alias(mark_of(space)), actions):
            if "error" in result:
                self._check_there(space, result["error"])
                raise self._server.refusal(result["status"], result["error"])
            deleted += result["status"] == 200
        return deleted

    def fetch(self, space: Space, ids: Sequence[str], *, vectors: bool) -> list[Document | None]:
        what = ",".join(fields.WITH_VECTORS if vectors else fields.RECORD)
        path = f"/{self._alias(mark_of(space))}/_mget?_source_includes={what}"
        answer = self._server.ask("POST", path, {"ids": list(map(fields.document_id, ids))})
        found: list[Document | None] = []
        for each in answer["docs"]:
            if "error" in each:
                self._check_there(space, each["error"])
                raise self._server.refusal(500, each["error"])
            there = each["found"]
            found.append(fields.document_of(each, space.dim) if there else None)
        return found

    def _check_there(self, space: Space, error: Mapping[str, Any]) -> None:
        if error.get("type") in ("index_not_found_exception", "alias_not_found_exception"):
            raise SpaceGoneError(space)

    # -------------------------------------------------------------- documents by condition

    def written(self) -> object:
        if (begun := self._memory.begun) is not None:
            return begun.mark
        mark = self._marks(self._alias("*"))
        self._memory.learn_mark(mark)
        return mark

    def refresh(self) -> None:
        # Another thread may still be counting what was searchable before.
        self._counts = {}
        self._server.check_whole(self._server.ask("POST", f"/{self._alias('*')}/_refresh"))
        self._counts = {}
        self._memory.learn_refresh()

    def supports(self, compare: Compare) -> bool:
        return fields.is_expressed(compare)

    def wider(self, compare: Compare) -> Compare | None:
        return fields.wider(compare)

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
        what = fields.WITH_VECTORS if vectors else fields.RECORD
        hits = self._sorted(space, _filtered(where, bare=bare), [_BY_ID], what, limit, after)
        return [fields.document_of(hit, space.dim) for hit in hits]

    def count(self, space: Space, where: Filter | None, *, bare: bool = False) -> int:
        counted = self._counted(space, where)
        return counted.bare if bare else counted.documents

    def _counted(self, space: Space, where: Filter | None) -> Counted:
        query, counts = _filtered(where), self._counts
        key = space.fingerprint, repr(query)
        if key not in counts:
            (answer,) = self._searched(space, [Counted.asked(query)])
            if len(counts) >= _MOST_COUNTS:
                counts.clear()
            counts[key] = Counted.told(answer)
        return counts[key]

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
        by = {"order": "desc" if descending else "asc", "missing": "_last"}
        sort = [{f"{column.name}.{column.kind}": by}, _BY_ID]
        hits = self._sorted(space, _filtered(where), sort, fields.RECORD, k, skipped=offset)
        return [fields.document_of(hit, space.dim) for hit in hits]

    def _sorted(
        self,
        space: Space,
        query: Query,
        sort: list[Query],
        what: list[str],
        k: int,
        after: str | None = None,
        skipped: int = 0,
    ) -> Iterator[Any]:
        """Yield k hits behind an id, or behind the first that are skipped, in an order.

        Each page begins behind the last hit of the one before. The id decides at the end, so no
        page repeats or loses a document, which servers do that sort by equal values.
        """
        last = [fields.key_of(after)] if after else None
        left = skipped + k
        while left > 0:
            size = min(left, WINDOW)
            body = {"query": query, "sort": sort, "size": size, "track_total_hits": False}
            body["_source"] = what if left - size < k else False
            (answer,) = self._searched(space, [body | ({"search_after": last} if last else {})])
            hits = answer["hits"]["hits"]
            yield from hits[max(0, left - k) :]
            if len(hits) < size:
                return
            last, left = hits[-1]["sort"], left - size

    def _searched(self, space: Space, bodies: Sequence[Query], how: str = "") -> list[Any]:
        try:
            return self._server.search(self._alias(mark_of(space)), bodies, how)
        except Refusal as refusal:
            if refusal.kind == "index_not_found_exception":
                raise SpaceGoneError(space) from refusal
            raise

    # -------------------------------------------------------------- search

    def nearest(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        breadth = self.reach(space, k, where)
        found = self._nearest(space, vectors, k, where, breadth)
        wide = elastic_neighbours.CROWDED
        if breadth is None or breadth >= wide or "breadth" in self._options:
            return found
        crowded = [n for n, rows in enumerate(found) if elastic_neighbours.is_crowded(rows)]
        if crowded:
            again = self._nearest(space, vectors[crowded], k, where, wide)
            for n, rows in zip(crowded, again, strict=True):
                found[n] = rows
        return found

    def reach(self, space: Space, k: int, where: Filter | None) -> int | None:
        vectors = self._counted(space, where).vectors
        breadth = self._options.get("breadth")
        return elastic_neighbours.breadth_of(self._dialect, k, vectors, breadth)

    def nearest_exactly(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        return self._nearest(space, vectors, k, where, None)

    def _nearest(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None, breadth: int | None
    ) -> list[list[Row]]:
        condition = None if where is None else fields.query(compiled(where))
        counted = self._counted(space, where)
        names = [self._dialect.vector]
        if counted.vectors > counted.documents - counted.bare:
            names.append("more.vector")
        bodies = elastic_neighbours.asked(
            self._dialect, names, vectors, k, condition, counted.vectors, breadth
        )
        return elastic_neighbours.told(vectors, k, self._searched(space, bodies))

    def find_words(
        self, space: Space, words: Sequence[str], k: int, where: Filter | None
    ) -> WordMatches:
        condition = None if where is None else fields.query(compiled(where))
        bodies = asked(words, k, condition)
        answers = self._searched(space, bodies, "dfs_query_then_fetch")
        return told(words, k, answers)

    def facets(
        self, space: Space, where: Filter | None, fields_: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]]:
        query = _filtered(where)
        return facets.counted(fields_, lambda name: self._values(space, query, name), most)

    def _values(self, space: Space, query: Query, field: str) -> dict[str, int]:
        """Return how many documents have each value of a facet: all of them, and exactly."""
        found: dict[str, int] = {}
        source = [{"value": {"terms": {"field": f"facet.{field}"}}}]
        after: Query = {}
        while True:
            values = {"composite": {"size": WINDOW, "sources": source, **after}}
            (answer,) = self._searched(space, [{**counting(query), "aggs": {"values": values}}])
            page = answer["aggregations"]["values"]
            found |= {each["key"]["value"]: each["doc_count"] for each in page["buckets"]}
            if len(page["buckets"]) < WINDOW:
                return found
            after = {"after": page["after_key"]}


_BY_ID: Query = {"key": "asc"}


def _filtered(where: Filter | None, *, bare: bool = False) -> Query:
    every: Query = {"match_all": {}} if where is None else fields.query(compiled(where))
    return {"bool": {"filter": [every, fields.BARE]}} if bare else every


def _conforms(store: ElasticStore) -> tuple[Store, Reaching, Remembering]:
    return store, store, store  # checked by mypy
