"""Indexes that pixseek did not make, opened to be searched, and never written.

    elasticsearch+http://host:9200/my-image-embeddings?vector=image_embedding
    escloud+https://host:9200/photos?vector=photo_embedding&uri=photo_url&caption=describe

The field `vector` holds an image's vector. What else a document has becomes its record: `uri` and
`caption` name fields, or are found by their usual names; other values are fields of the user.
Nothing says which model made the vectors, so `model` does.
"""

# ruff: noqa: D102 (what the methods do is said in `store.Store`)

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Never

import numpy as np

from pixseek.engines import columns, elastic_inference, rules
from pixseek.engines.elastic_dialects import WINDOW, Dialect, Query
from pixseek.engines.elastic_server import Refusal, Server
from pixseek.engines.elastic_words import counting, total
from pixseek.engines.foreign import MODEL, ReadOnly, is_fulfilled, is_scalar, unit
from pixseek.engines.remote import Remote
from pixseek.engines.store import Choosing, Document, Row, Store
from pixseek.errors import CapabilityError, EngineError, unknown
from pixseek.types import (
    WHOLE,
    Capabilities,
    Filter,
    Record,
    Space,
)

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: The usual names of fields, the first that a mapping has.
_USUAL = {
    "uri": ("uri", "relative_path", "photo_url", "url", "path", "image_name", "name"),
    "caption": ("caption", "describe", "description"),
}
#: Documents whose ids are read at once.
_PAGE = 5_000


class ForeignStore(ReadOnly):
    """The documents of one index, which is never written. See `store.Store`."""

    capabilities = Capabilities(exact=False, max_k=WINDOW // 2)

    def __init__(self, at: Remote, dialect: Dialect) -> None:
        """Read the index's mapping.

        Raises:
            EngineError: there is no such index, or no such field of vectors in it.
        """
        self.name = at.shown
        self._server = Server(at)
        self._dialect = dialect
        self.text_model: str = at.options.get("text_model", "")
        self._breadth: int = at.options.get("breadth", 0)
        self._index = at.name
        self._field: str = at.options["vector"]
        try:
            whole = self._mapping()
            mapping = whole.get("properties", {})
            told = mapping.get(self._field, {})
            if "dims" not in told and "dimension" not in told:
                raise EngineError(
                    "the index has no such field of vectors",
                    f"{self.name}, {self._field}",
                    f"Name it by ?vector=. Its fields: {', '.join(sorted(mapping)) or 'none'}",
                )
            dim = int(told.get("dims", told.get("dimension")))
            super().__init__(rules.named_space(at.options.get("model", MODEL), dim))
            self._named = {
                what: at.options.get(what, next((n for n in usual if n in mapping), ""))
                for what, usual in _USUAL.items()
            }
            # Without dynamic mapping a document may hold fields that the mapping does not name.
            is_dynamic = str(whole.get("dynamic", True)).lower() in ("true", "strict")
            for option, field in self._named.items():
                if field and field not in mapping and is_dynamic:
                    raise EngineError(
                        "the index has no such field",
                        f"{self.name}, {option}={field}",
                        unknown("field", field, mapping),
                    )
            self._whole: Any = self._source_with_vectors()
        except BaseException:
            self._server.close()
            raise
        self._ids: tuple[object, list[str]] = (None, [])

    def _mapping(self) -> Mapping[str, Any]:
        answer = self._server.ask("GET", f"/{self._index}/_mapping", absent=404)
        if not answer:
            raise EngineError(
                "the server has no such index", self.name, "Check its name: GET /_cat/indices"
            )
        found: Mapping[str, Any] = next(iter(answer.values()))["mappings"]
        return found

    def _source_with_vectors(self) -> Any:
        """Return how vectors are asked for: from Elasticsearch 9.2 on they are left out."""
        plain, asked = True, {"exclude_vectors": False}
        try:
            self._server.search(self._index, [counting({"match_all": {}}) | {"_source": asked}])
        except Refusal as refusal:
            if refusal.status != 400:
                raise
            return plain
        return asked

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        return elastic_inference.embed_texts(self._server, self.text_model, texts)

    def close(self) -> None:
        self._server.close()

    def refuse(self) -> Never:
        raise CapabilityError(
            "this index is only searched, since pixseek did not make it",
            self.name,
            "To keep images, tags or searches, index into a library of your own: another name, "
            "without ?vector=",
        )

    # -------------------------------------------------------------- documents

    def fetch(self, space: Space, ids: Sequence[str], *, vectors: bool) -> list[Document | None]:
        self.check_space(space)
        body = {
            "query": {"ids": {"values": list(ids)}}, "size": len(ids), "_source": self._whole,
            "track_total_hits": False,
        }  # fmt: skip
        (answer,) = self._server.search(self._index, [body])
        found = {hit["_id"]: self._document(hit) for hit in answer["hits"]["hits"]}
        return [found.get(each) for each in ids]

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
        if bare or not is_fulfilled(where):
            return []
        ids = self._all_ids()
        found: list[Document] = []
        at = bisect.bisect_right(ids, after) if after else 0
        while at < len(ids) and len(found) < limit:  # some may have been deleted
            some = ids[at : at + min(limit - len(found), 1_000)]
            found += (each for each in self.fetch(space, some, vectors=True) if each is not None)
            at += len(some)
        return found

    def count(self, space: Space, where: Filter | None, *, bare: bool = False) -> int:
        self.check_space(space)
        if not is_fulfilled(where):
            return 0
        there: Query = {"exists": {"field": self._field}}
        query: Query = {"bool": {"must_not" if bare else "filter": [there]}}
        (answer,) = self._server.search(self._index, [counting(query)])
        if bare:
            return total(answer)
        (every,) = self._server.search(self._index, [counting({"match_all": {}})])
        return total(every)

    def _all_ids(self) -> list[str]:
        """Return all ids in order, by which servers don't sort; read again after any write."""
        last = {"aggs": {"last": {"max": {"field": "_seq_no"}}}}
        (answer,) = self._server.search(self._index, [counting({"match_all": {}}) | last])
        mark = total(answer), answer["aggregations"]["last"]["value"]
        with self._lock:
            if self._ids[0] != mark:
                self._ids = mark, sorted(self._read_ids())
            return self._ids[1]

    def _read_ids(self) -> Iterator[str]:
        body = {"query": {"match_all": {}}, "sort": ["_doc"], "size": _PAGE, "_source": False}
        answer = self._server.ask("POST", f"/{self._index}/_search?scroll=2m", body)
        try:
            while hits := answer["hits"]["hits"]:
                self._server.check_whole(answer)
                yield from (hit["_id"] for hit in hits)
                more = {"scroll": "2m", "scroll_id": answer["_scroll_id"]}
                answer = self._server.ask("POST", "/_search/scroll", more)
        finally:
            with contextlib.suppress(EngineError):
                self._server.ask("DELETE", "/_search/scroll", {"scroll_id": answer["_scroll_id"]})

    # -------------------------------------------------------------- search

    def reach(self, space: Space, k: int, where: Filter | None) -> int:
        return min(WINDOW, max(k, self._breadth or max(100, 2 * k)))

    def nearest(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        self.check_space(space)
        if not is_fulfilled(where):
            return [[] for _ in vectors]
        # More than k, and ranked here: the index may be quantised, or its score no cosine.
        wide = self.reach(space, k, where)
        bodies = []
        for each in vectors.astype(np.float64).round(8).tolist():
            body = self._dialect.nearest(self._field, each, wide, wide, None)
            body.get("knn", {}).pop("rescore_vector", None)  # servers before 8.18 don't know it
            bodies.append({**body, "size": wide, "_source": self._whole, "track_total_hits": False})
        found = []
        for query, answer in zip(vectors, self._server.search(self._index, bodies), strict=True):
            rows = []
            for hit in answer["hits"]["hits"]:
                for vector in self._document(hit).vectors:
                    score = float((vector.astype(np.float64) * query).sum())
                    rows.append(Row(hit["_id"], 0, score, vector))
            rows.sort(key=lambda row: (-row.score, row.id))
            found.append(rows[:k])
        return found

    # -------------------------------------------------------------- records

    def _document(self, hit: Mapping[str, Any]) -> Document:
        source = hit.get("_source", {})
        vector = unit(source.get(self._field), self._space.dim)
        uri, caption = (source.get(self._named[what]) for what in ("uri", "caption"))
        taken = (self._field, self._named["uri"], self._named["caption"])
        values = {
            name: value for name, value in source.items() if name not in taken and is_scalar(value)
        }
        record = Record(
            hit["_id"],
            uri if isinstance(uri, str) and columns.is_storable(uri) and uri else hit["_id"],
            caption=caption if isinstance(caption, str) else "",
            fields=values,
            parts=(WHOLE,) * len(vector),
        )
        return Document(record, vector)


def _conforms(store: ForeignStore) -> tuple[Store, Choosing]:
    return store, store  # checked by mypy
