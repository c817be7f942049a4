"""What differs between Elasticsearch, OpenSearch and ESCloud: how vectors are kept and found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pixseek.types import Record
from pixseek.types.dataclass import dataclass

#: Most documents of one answer, and of one search for neighbours, in the servers' default settings.
WINDOW = 10_000
#: Candidates of a quantised index that the server scores again by its full vectors, per hit.
OVERSAMPLE = 3.0

Query = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the servers.

    Attributes:
        types: what the index of vectors can be, the first if nothing is said: the mapping of a
            field, but for its dimension.
        dims: the name of the dimension in the mapping.
        most_dims: of a vector that can be searched for.
        settings: of an index.
        nearest: the body of a search: field, vector, k, breadth, filter.
        vector: the name of the field of a document's first vector.
        copies: further fields of a document, for other programs that search the index: name, type,
            and what of a record it holds.
        breadth: how many candidates each shard looks at, at least. Among 60,000 records, of which
            12,000 are near-copies of one picture, these find .99 of the nearest 20 (with `CROWDED`
            in `elastic_neighbours`); 100 find .91 in Elasticsearch, .81 in OpenSearch.
        infers: whether a model within the server can embed texts.
        knows_must_exist: whether an alias can be moved without knowing if it is there.
    """

    types: Mapping[str, Mapping[str, Any]]
    dims: str
    most_dims: int
    settings: Mapping[str, Any]
    nearest: Callable[[str, list[float], int, int, Query | None], Query]
    vector: str = "vector"
    copies: tuple[tuple[str, str, Callable[[Record], str]], ...] = ()
    breadth: int = 1_000
    infers: bool = False
    knows_must_exist: bool = True


def _dense(kind: str) -> dict[str, Any]:
    options = {"type": kind, "m": 16, "ef_construction": 100}
    return {"type": "dense_vector", "index": True, "similarity": "cosine", "index_options": options}


def _knn(engine: str, **more: Any) -> dict[str, Any]:
    parameters = {"m": 16, "ef_construction": 128, **more}
    method = {
        "name": "hnsw", "engine": engine, "space_type": "cosinesimil", "parameters": parameters
    }  # fmt: skip
    return {"type": "knn_vector", "method": method}


def _nearest_dense(
    field: str, vector: list[float], k: int, breadth: int, where: Query | None
) -> Query:
    knn = {
        "field": field, "query_vector": vector, "k": k, "num_candidates": breadth,
        "rescore_vector": {"oversample": OVERSAMPLE},
    }  # fmt: skip
    return {"knn": knn | ({"filter": where} if where else {})}


def _nearest_knn(
    field: str, vector: list[float], k: int, breadth: int, where: Query | None
) -> Query:
    # Its k is the breadth; `size` cuts.
    knn = {"vector": vector, "k": breadth} | ({"filter": where} if where else {})
    found: Query = {"knn": {field: knn}}
    path = field.rpartition(".")[0]
    return {"query": {"nested": {"path": path, "query": found}} if path else found}


def _nearest_exact(
    field: str, vector: list[float], k: int, breadth: int, where: Query | None
) -> Query:
    """Return a search in ESCloud: its index knows no filters, so with one it scores every match.

    So it does with the nested vectors of further parts, which its index may mix up.
    """
    path = field.rpartition(".")[0]
    if where is None and not path:
        return _nearest_knn(field, vector, k, breadth, None)
    parameters = {"field": field, "query_value": vector, "space_type": "cosinesimil"}
    script = {"lang": "knn", "source": "knn_score", "params": parameters}
    there: Query = {"exists": {"field": field}}
    if not path:
        both = {"bool": {"filter": [where, there]}}
        return {"query": {"script_score": {"query": both, "script": script}}}
    scored = {"script_score": {"query": there, "script": script}}
    nested = {"nested": {"path": path, "query": scored, "score_mode": "max"}}
    return {"query": {"bool": {"must": [nested], "filter": [where] if where else []}}}


_ELASTICSEARCH = Dialect(
    types={
        kind: _dense(kind) for kind in ("int8_hnsw", "hnsw", "int4_hnsw", "bbq_hnsw")
    },
    dims="dims", most_dims=4096, settings={}, nearest=_nearest_dense, breadth=500,
    infers=True,
)  # fmt: skip
_OPENSEARCH = Dialect(
    types={
        "hnsw": _knn("lucene"),
        "int8_hnsw": _knn("lucene", encoder={"name": "sq"}),
        "faiss_hnsw": _knn("faiss"),
        "fp16_hnsw": _knn("faiss", encoder={"name": "sq", "parameters": {"type": "fp16"}}),
    },
    dims="dimension", most_dims=16_000, settings={"index.knn": True}, nearest=_nearest_knn,
)  # fmt: skip
# The names of the vendor's guide to image search, whose queries find a library's images, too.
_ESCLOUD = Dialect(
    types={"hnsw": {"type": "knn_vector"}},
    dims="dimension", most_dims=10_000,
    settings={
        "index.knn": True, "index.knn.space_type": "cosinesimil", "index.number_of_shards": 3,
    },
    nearest=_nearest_exact, vector="photo_embedding",
    copies=(
        ("photo_id", "keyword", lambda record: record.id),
        ("photo_url", "keyword", lambda record: record.uri),
        ("describe", "text", lambda record: record.caption),
    ),
    knows_must_exist=False,
)  # fmt: skip
DIALECTS: Mapping[str, Dialect] = {
    "elasticsearch": _ELASTICSEARCH, "opensearch": _OPENSEARCH, "escloud": _ESCLOUD,
}  # fmt: skip
