"""The requests to Elasticsearch, OpenSearch and ESCloud, against those in `golden/`.

ESCloud 7.10 and the native libraries of OpenSearch can't be run here, so their requests are checked
instead of their answers. Written anew by `python tests/engines/test_elastic_requests.py`; look at
the difference before it is committed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixseek.encoders.paired import PairedEncoder, ServerTexts, agreement
from pixseek.engines import elastic_server, open_engine, remote
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.elastic_dialects import DIALECTS
from pixseek.engines.elastic_server import Server
from pixseek.engines.elasticsearch import ElasticStore
from pixseek.engines.remote import Remote
from pixseek.engines.store import Document
from pixseek.errors import ConfigError, EngineError
from pixseek.types import Compare, Part, Record, Space

pytest.importorskip("elastic_transport")

GOLDEN = Path(__file__).parent / "golden"
CASES = {
    "escloud": ("escloud", {}, 512),
    "elasticsearch": ("elasticsearch", {}, 512),
    "elasticsearch-bbq": ("elasticsearch", {"type": "bbq_hnsw", "shards": 6, "replicas": 2}, 512),
    "opensearch": ("opensearch", {}, 512),
    "opensearch-faiss": ("opensearch", {"type": "faiss_hnsw"}, 512),
    "opensearch-faiss-fp16": ("opensearch", {"type": "fp16_hnsw", "breadth": 500}, 512),
}
#: Documents that every condition finds: more than are scored one by one.
_MANY = 1_000_000


class Recorded:
    """A server that notes what it is asked for and answers as an empty, very large one would."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []

    def send(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.asked.append((method, path, _plain(body)))
        if path == "/_msearch":
            return 200, {"responses": [self._found(each) for each in body[1::2]]}
        if "/_bulk" in path:
            actions = [each for each in _plain(body) if set(each) <= {"index", "create"}]
            return 200, {"items": [{"index": {"status": 201}} for _ in actions]}
        return (404, {}) if method == "GET" and path.startswith("/_alias/") else (200, {})

    def _found(self, body: Any) -> Any:
        counted = {"bare": {"doc_count": 0}, "vectors": {"value": _MANY}}
        hits = {"hits": [], "total": {"value": _MANY}}
        return {"hits": hits, "aggregations": counted, "_shards": {}}

    def take(self) -> list[tuple[str, str, Any]]:
        asked, self.asked = self.asked, []
        return asked


def _plain(body: Any) -> Any:
    return [json.loads(line) for line in body.splitlines()] if isinstance(body, bytes) else body


def requests(case: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what is asked of a server to make a library, to fill and to search it."""
    engine, options, dim = CASES[case]
    recorded = Recorded()
    monkeypatch.setattr(Server, "_send", recorded.send)
    at = Remote(engine, True, (("host", 9200),), "photos", "", "", "", options)
    store = ElasticStore(at, DIALECTS[engine])
    space, small = (Space("c0ffee" * 10, n, "clip-b32-openai") for n in (dim, 4))
    found: dict[str, Any] = {}
    store.create(space)
    store.activate(space)
    found["create"] = recorded.take()
    record = Record(
        "photo-1", "https://example.org/1.jpg", caption="a dog on a beach", parts=(Part(),)
    )
    vector = np.full((1, 4), 0.5, np.float32)
    store.write(small, [Document(record, vector)])
    found["bulk"] = recorded.take()
    store.nearest(small, vector, 10, None)
    found["search"] = recorded.take()[-1:]
    store.nearest(small, vector, 10, Compare("width", "ge", 1000))
    found["search with a filter"] = recorded.take()[-1:]
    store.close()
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", CASES)
def test_requests_are_the_golden_ones(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = json.loads((GOLDEN / f"{case}.json").read_text("utf-8"))
    assert requests(case, monkeypatch) == golden


def test_the_index_on_escloud_has_the_fields_of_its_guide() -> None:
    """Its name for each field, three shards, cosines, and nothing that is mapped by itself."""
    create = json.loads((GOLDEN / "escloud.json").read_text("utf-8"))["create"][0]
    method, path, body = create
    assert (method, path.partition("?")[0]) == ("PUT", "/photos.pixseek.c0ffeec0ffeec0ff.1")
    assert body["settings"] == {
        "index.knn": True, "index.knn.space_type": "cosinesimil", "index.number_of_shards": 3
    }  # fmt: skip
    assert body["mappings"]["dynamic"] is False
    fields = body["mappings"]["properties"]
    assert fields["photo_id"] == fields["photo_url"] == {"type": "keyword"}
    assert fields["describe"] == {"type": "text"}
    assert fields["photo_embedding"] == {"type": "knn_vector", "dimension": 512}


def test_texts_are_sent_to_the_model_within_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    answer: dict[str, Any] = {}

    def send(self: Server, method: str, path: str, body: Any) -> tuple[int, Any]:
        sent.append([method, path, body])
        return (200, answer) if "inference_results" in answer else (404, answer)

    monkeypatch.setattr(Server, "_send", send)
    model = "sentence-transformers__clip-vit-b-32-multilingual-v1"
    engine = open_engine_at(f"https://host:9200/photos?text_model={model}")
    assert engine.text_model == model
    answer["inference_results"] = [{"predicted_value": [3.0, 4.0]}, {"predicted_value": [0.5, 0.0]}]
    rows = engine.embed_texts(["ein Hund am Strand", "图"])
    np.testing.assert_allclose(rows, [[0.6, 0.8], [1.0, 0.0]], atol=1e-7)
    assert sent == [
        ["POST", f"/_ml/trained_models/{model}/_infer",
         {"docs": [{"text_field": "ein Hund am Strand"}, {"text_field": "图"}]}]
    ]  # fmt: skip
    for wrong, said in (
        ([{"predicted_value": "dog"}, {"predicted_value": "cat"}], "returns no vectors"),
        ([{"predicted_value": [1.0]}], "returns no vectors"),
        ([{"predicted_value": [0.0, 0.0]}, {"predicted_value": [1.0, 0.0]}], "mean nothing"),
        ([{"predicted_value": [1.0, 0.0]}, {"predicted_value": [1.0]}], "mean nothing"),
    ):
        answer["inference_results"] = wrong
        with pytest.raises(EngineError, match=said):
            engine.embed_texts(["a", "b"])
    answer.clear()
    answer["error"] = {"type": "resource_not_found_exception", "reason": "No known trained model"}
    with pytest.raises(EngineError, match=r"(?s)loaded and started.*No known trained model"):
        engine.embed_texts(["a"])
    with pytest.raises(ConfigError, match="Unknown option"):
        open_engine("opensearch+https://host:9200/photos?text_model=x")


def open_engine_at(place: str) -> Any:
    at = remote.read(f"elasticsearch+{place}", 9200, {"text_model": remote.word})
    return DocumentEngine(ElasticStore(at, DIALECTS["elasticsearch"]))


@pytest.mark.skipif(
    "PIXSEEK_TEST_ELASTICSEARCH_TEXTS" not in os.environ,
    reason="no Elasticsearch with a text model (set PIXSEEK_TEST_ELASTICSEARCH_TEXTS)",
)
def test_a_real_model_within_a_server_agrees_with_ours() -> None:
    """The variable holds the address of a library, with `?text_model=`, on such a cluster."""
    from pixseek.encoders import registry

    engine: Any = open_engine(os.environ["PIXSEEK_TEST_ELASTICSEARCH_TEXTS"])
    models_dir = Path(os.environ.get("PIXSEEK_TEST_MODELS", Path.home() / ".cache/pixseek/models"))
    ours = registry.load("clip-b32-openai", models_dir=models_dir)
    pair = PairedEncoder(ours, ServerTexts("theirs", engine.embed_texts, ours), name="pair")
    captions = ["a dog on a beach", "a red car", "two people at a table", "a church at night"]
    assert agreement(ours, pair, captions) > 0.5


@pytest.mark.parametrize(
    ("kind", "times"), [("es_rejected_execution_exception", 3), ("cluster_block_exception", 1)]
)
def test_only_what_may_pass_is_tried_again(
    kind: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue gets shorter, a full disk does not become empty."""
    sent = []

    def send(self: Server, method: str, path: str, body: Any) -> tuple[int, Any]:
        sent.append(path)
        error = {"type": kind, "reason": "so it is"}
        if "_bulk" in path:
            return 200, {"items": [{"index": {"status": 429, "error": error}}]}
        return 429, {"error": error, "status": 429}

    monkeypatch.setattr(Server, "_send", send)
    monkeypatch.setattr(elastic_server, "PAUSES_S", (0.0, 0.0))
    server = Server(Remote("elasticsearch", True, (("host", 9200),), "photos", "", "", "", {}))
    with pytest.raises(EngineError, match="so it is"):
        server.ask("POST", "/photos/_refresh")
    assert len(sent) == times
    ((_, result),) = server.bulk("photos", [(b"{}\n", "a")])
    assert result["status"] == 429
    assert len(sent) == 2 * times
    server.close()


if __name__ == "__main__":
    for name in CASES:
        with pytest.MonkeyPatch.context() as patch:
            steps = requests(name, patch)
        lines = [
            json.dumps(step) + ": [\n" + ",\n".join(map(json.dumps, asked)) + "\n]"
            for step, asked in steps.items()
        ]
        (GOLDEN / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
