"""Elasticsearch and OpenSearch: what goes beyond the contract of engines.

Golden requests are checked everywhere, the rest on real servers (`servers.py`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixseek
from pixseek.engines import elastic_neighbours, elastic_server, open_engine
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.elastic_dialects import DIALECTS
from pixseek.engines.elastic_server import Server
from pixseek.errors import (
    CapabilityError,
    ConfigError,
    EngineError,
    LibraryError,
    LibraryFormatError,
)
from pixseek.types import Compare, Engine, Part, Reach, Record, Space

from servers import Running, remove_library, serving
from vectors import DIM, SPACE, Clustered, random_unit, unit

#: On a busy machine servers take their time.
web = pytest.importorskip("httpx").Client(timeout=60, headers={"connection": "close"})
_NAMES = itertools.count()


@pytest.fixture(params=["elasticsearch", "opensearch"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def running(kind: str, request: pytest.FixtureRequest) -> Running:
    return request.getfixturevalue(kind)  # type: ignore[no-any-return]


@pytest.fixture
def name(running: Running) -> Iterator[str]:
    """A name for a library, and for an index that is not one; all removed at the end."""
    name = f"more-{os.getpid()}-{next(_NAMES)}"
    yield name
    remove_library(running, name)
    web.delete(f"{running.url}/{name}", params={"ignore_unavailable": "true"})


@pytest.fixture
def url(running: Running, name: str, kind: str) -> str:
    return running.engine(name, "shards=1&replicas=0", kind)


def ensured(url: str, space: Space = SPACE) -> Engine:
    engine = open_engine(url)
    engine.ensure(space)
    return engine


# ------------------------------------------------------------------ records


@pytest.mark.slow
def test_a_record_that_the_server_refuses_does_not_stop_the_others(url: str) -> None:
    vectors = random_unit(3)
    vectors[1] = 0  # no direction
    with ensured(url) as engine:
        with pytest.raises(EngineError, match="refused 1 of 3 records; it has the others") as err:
            engine.put([Record(id_, f"r/{id_}") for id_ in "abc"], vectors)
        assert "others: b\n" in str(err.value)
        assert sorted(each.id for each in engine.known()) == ["a", "c"]


@pytest.mark.slow
def test_two_writers_lose_nothing(url: str) -> None:
    with ensured(url) as one, open_engine(url) as other:
        one.put([Record("a", "r/a", tags=("first",))], random_unit(1))
        came_between: list[bool] = []

        def tagged(new: Record, stored: Record) -> Record:
            if not came_between:  # another machine writes between the look and the write
                came_between.append(True)
                again = Record("a", "r/a", tags=(*stored.tags, "second"))
                assert other.describe([again]) == 1
            return Record("a", "r/a", tags=(*stored.tags, "third"))

        assert one.describe([Record("a", "r/a")], tagged) == 1
        (record,) = one.get(["a"])
        assert record is not None
        assert record.tags == ("first", "second", "third")


@pytest.mark.slow
def test_a_search_sends_two_requests_at_once_and_sees_what_others_wrote(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    send = Server._send

    def noted(self: Server, method: str, path: str, body: Any) -> Any:
        sent.append(path.partition("?")[0].rpartition("/")[2])
        return send(self, method, path, body)

    with ensured(url) as one, open_engine(url) as other:
        one.put([Record(f"{n}", f"r/{n}") for n in range(5)], random_unit(5))
        query = random_unit(1, 1)
        for _ in range(3):
            assert one.nearest(query, 9)[0].total == 5
        monkeypatch.setattr(Server, "_send", noted)
        (near,) = one.nearest(query, 9)
        assert sorted(sent) == ["_msearch", "docs"]
        sent.clear()
        assert None not in one.get(near.ids)
        assert sorted(sent) == ["_mget", "docs"]
        other.put([Record("new", "r/new")], random_unit(1, 7))
        assert one.nearest(query, 9)[0].total == 6
        assert "new" in one.nearest(query, 9)[0].ids


# ------------------------------------------------------------------ neighbours


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "option"),
    [
        *(("elasticsearch", each) for each in ("hnsw", "int8_hnsw", "int4_hnsw", "bbq_hnsw")),
        *(("opensearch", each) for each in ("hnsw", "int8_hnsw")),  # what runs without Faiss
    ],
)
def test_scores_are_cosines_whatever_the_index(
    option: str, kind: str, running: Running, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if option == "int8_hnsw":  # more records than one search can score
        monkeypatch.setattr(elastic_neighbours, "WINDOW", 1_000)
        monkeypatch.setattr(elastic_neighbours, "_RANGE", 750)
    drawn = Clustered(64, clusters=40)
    vectors, queries = drawn.images(3_000), drawn.texts(20)
    vectors[1_000:1_400] = vectors[0]  # equal ones
    space = Space("b" * 64, 64, "model")
    options = f"type={option}&shards=1&replicas=0"
    with ensured(running.engine(name, options, kind), space) as engine:
        engine.put([Record(f"{n:05}", f"r/{n}.jpg", width=1 + n) for n in range(3_000)], vectors)
        stored = vectors.astype(np.float16).astype(np.float64)
        assert len(list(engine.matching_ids())) == 3_000
        rows = queries.astype(np.float64) @ stored.T
        for low, share in ((0, 1.0), (1_500, 0.5), (2_940, 0.02)):
            found = engine.nearest(queries, 10, Compare("width", "gt", low))
            right = 0
            for scores, near in zip(rows, found, strict=True):
                at = [int(id_) for id_ in near.ids]
                assert len(set(at)) == 10
                assert min(at) >= low
                np.testing.assert_allclose(near.scores, scores[at], atol=1e-5)
                tenth = np.sort(scores[low:])[-10]
                right += sum(scores[each] >= tenth - 1e-9 for each in at)
                assert near.total == 3_000 - low
            assert right >= 0.99 * 10 * len(queries), (share, right)


@pytest.mark.slow
def test_all_vectors_are_scored_of_few_images_or_if_that_is_asked_for(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of further parts, of which there are more than images."""
    monkeypatch.setattr(elastic_neighbours, "WINDOW", 400)
    monkeypatch.setattr(elastic_neighbours, "_RANGE", 300)
    parts = (Part(), *(Part("tile", (n / 8, 0.0, 1 / 8, 1.0)) for n in range(8)))
    records = [Record(f"{n:03}", f"r/{n}", width=1 + n, parts=parts) for n in range(120)]
    vectors = random_unit(120 * 9)
    vectors[:400] = unit(vectors[0] + 0.01 * random_unit(400, 4))  # near-copies
    queries = np.concatenate([vectors[:1], random_unit(3, 8)])
    scores = (vectors.astype(np.float16).astype(np.float64) @ queries.T).reshape(120, 9, 4)
    best = scores.max(axis=1)
    with ensured(url) as engine:
        engine.put(records, vectors)
        for limit, exact in ((30_000, False), (100, True)):
            monkeypatch.setattr(elastic_neighbours, "EXACT", limit)
            for least in (0, 60):
                where = Compare("width", "gt", least)
                for n, found in enumerate(engine.nearest(queries, 12, where, exact=exact)):
                    wanted = np.argsort(-best[least:, n], kind="stable")[:12] + least
                    assert found.ids == tuple(f"{each:03}" for each in wanted)
                    assert found.reach == Reach(True, 120 - least)
        reach = engine.nearest(queries, 12)[0].reach
        assert reach == Reach(False, 400)
        monkeypatch.setattr(elastic_neighbours, "_RANGE", 1)
        with pytest.raises(CapabilityError, match="so many vectors"):
            engine.nearest(queries, 12, exact=True)


@pytest.mark.slow
def test_searches_of_escloud_find_the_right_ones(
    opensearch: Running, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Its mapping can't be made here, its queries run on OpenSearch's."""
    like = DIALECTS["opensearch"]
    runnable = replace(DIALECTS["escloud"], types=like.types, settings=like.settings)
    monkeypatch.setitem(DIALECTS, "escloud", runnable)  # type: ignore[arg-type]
    name = f"more-{os.getpid()}-{next(_NAMES)}"
    request.addfinalizer(lambda: remove_library(opensearch, name))
    vectors, parts = random_unit(320), (Part(), Part("tile", (0.0, 0.0, 0.5, 0.5)))
    records = [
        Record(f"{n:03}", f"r/{n}.jpg", width=1 + n, caption=f"photo {n}", parts=parts[: 1 + n % 2])
        for n in range(200)
    ]
    counts = [len(each.parts) for each in records]
    rows, owners = vectors[: sum(counts)], np.repeat(np.arange(200), counts)
    query = random_unit(1, 3)
    scores = (rows.astype(np.float16).astype(np.float64) * query).sum(axis=1)
    monkeypatch.setattr(elastic_neighbours, "EXACT", 0)
    with ensured(opensearch.engine(name, "shards=2&replicas=0", "escloud")) as engine:
        engine.put(records, rows)
        for least in (0, 100, 190):
            best: dict[int, float] = {}
            for owner, score in zip(owners.tolist(), scores.tolist(), strict=True):
                if owner >= least:
                    best[owner] = max(score, best.get(owner, -1.0))
            expected = sorted(best, key=lambda n: -best[n])[:7]
            (found,) = engine.nearest(query, 7, Compare("width", "gt", least) if least else None)
            assert found.ids == tuple(f"{n:03}" for n in expected)
            np.testing.assert_allclose(found.scores, [best[n] for n in expected], atol=1e-5)
            assert found.total == 200 - least
        engine.activate(SPACE)  # again, where the alias is there
        assert engine.count() == 200
    # By the guide's own fields, as its users ask.
    answer = web.post(
        f"{opensearch.url}/{name}/_search", json={"query": {"match": {"describe": "17"}}}
    ).json()
    assert [hit["_source"]["photo_url"] for hit in answer["hits"]["hits"]] == ["r/17.jpg"]


@pytest.mark.slow
def test_a_library_opens_by_its_address_alone(url: str, name: str, running: Running) -> None:
    with ensured(url) as engine:
        parts = (Part(), Part("tile", (0.0, 0.0, 0.5, 0.5)))
        engine.put([Record("a", "r/a", parts=parts), Record("b", "r/b")], random_unit(3))
    with open_engine(url.partition("?")[0]) as again:
        assert again.space == SPACE
        assert again.nearest(random_unit(3)[1:2], 1)[0].ids == ("a",)
        assert again.nearest(random_unit(3)[1:2], 1)[0].parts == (1,)


# ------------------------------------------------------------------ what goes wrong


@pytest.mark.slow
def test_other_indexes_are_left_alone(url: str, name: str, running: Running) -> None:
    web.put(f"{running.url}/{name}", json={"mappings": {"properties": {"x": {"type": "long"}}}})
    with pytest.raises(EngineError, match="not a library of pixseek"):
        open_engine(url)
    address = url.partition("?")[0]
    with pytest.raises(EngineError, match=r"(?s)no such field of vectors.*Its fields: x"):
        open_engine(f"{address}?vector=y")
    with pytest.raises(EngineError, match="no such index"):
        open_engine(f"{address}-nowhere?vector=y")
    with pytest.raises(ConfigError, match="Known values: "):
        open_engine(f"{address}?type=diskann")


@pytest.mark.slow
def test_a_library_of_another_kind_of_server_is_not_written(
    url: str, kind: str, running: Running, name: str
) -> None:
    """Both take the same records, but the vectors that one can search the other does not find."""
    with ensured(url) as engine:
        engine.put([Record("a", "r/a")], random_unit(1))
    for scheme in {"elasticsearch", "opensearch", "escloud"} - {kind}:
        with pytest.raises(EngineError, match=r"(?i)the server is not|was not made for"):
            open_engine(running.engine(name, "", scheme))


@pytest.mark.slow
def test_a_document_of_another_program_in_the_library_is_named(
    url: str, running: Running, name: str
) -> None:
    with ensured(url) as engine:
        engine.put([Record("a", "r/a")], random_unit(1))
        body, refresh = {"hello": 1}, {"refresh": "true"}
        web.put(f"{running.url}/{name}/_doc/theirs", json=body, params=refresh).raise_for_status()
        with pytest.raises(EngineError, match=r"(?s)pixseek did not write: theirs in .*Delete it"):
            list(engine.known())


@pytest.mark.slow
def test_options_of_an_index_of_another_program_count(
    kind: str, running: Running, name: str
) -> None:
    dialect = DIALECTS[kind]
    vector = {**next(iter(dialect.types.values())), dialect.dims: DIM}
    properties = {"v": vector, "file": {"type": "keyword"}}
    body = {"settings": dialect.settings, "mappings": {"properties": properties}}
    web.put(f"{running.url}/{name}", json=body).raise_for_status()
    address = running.engine(name, "vector=v", kind)
    for option in ("uri", "caption"):
        with pytest.raises(EngineError, match=rf"(?s){option}=fil.*Did you mean 'file'"):
            open_engine(f"{address}&{option}=fil")
    for option, breadth in (("", 100), ("&breadth=30", 30)):
        with open_engine(f"{address}&uri=file{option}") as engine:
            (found,) = engine.nearest(random_unit(1), 5)
            assert found.reach == Reach(False, breadth)


@pytest.mark.slow
def test_indexes_that_refuse_say_so_at_once(
    url: str, name: str, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flooded disk, a read-only index, a newer format, a closed index; each can be undone."""
    monkeypatch.setattr(elastic_server, "PAUSES_S", ())  # what is tried again is an error at once
    with ensured(url) as engine:
        engine.put([Record("a", "r/a")], random_unit(1))
        (index,) = web.get(f"{running.url}/{name}").json()
        settings, mapping = f"{running.url}/{index}/_settings", f"{running.url}/{index}/_mapping"
        writes = (
            lambda: engine.put([Record("b", "r/b")], random_unit(1)),
            lambda: engine.describe([Record("a", "r/other")]),
            lambda: engine.delete(["a"]),
        )
        for block, refused in (("read_only_allow_delete", writes[:2]), ("write", writes)):
            web.put(settings, json={f"index.blocks.{block}": True}).raise_for_status()
            for write in refused:
                with pytest.raises(EngineError, match="server refuses writes") as error:
                    write()
                assert "disk is nearly full, or the index is read-only" in str(error.value)
            assert engine.count() == len(engine.nearest(random_unit(1), 5)[0]) == 1
            web.put(settings, json={f"index.blocks.{block}": None}).raise_for_status()
        engine.put([Record("b", "r/b")], random_unit(1))
        assert engine.count() == 2
        meta = web.get(mapping).json()[index]["mappings"]["_meta"]
        newer = {"pixseek": {**meta["pixseek"], "format": 99}}
        web.put(mapping, json={"_meta": newer}).raise_for_status()
        for call in (lambda: open_engine(url), writes[0]):
            with pytest.raises(LibraryFormatError, match="newer pixseek"):
                call()
        web.put(mapping, json={"_meta": meta}).raise_for_status()
        engine.add_space(Space("e" * 64, 8, "other"))
        web.post(f"{running.url}/{index}/_close").raise_for_status()
        assert engine.space == SPACE  # and not the other, which is open
        for call in (engine.count, lambda: engine.get(["a"]), writes[0], engine.export().__next__):
            with pytest.raises(EngineError, match=r"(?i)the index of the library is closed"):
                call()
        web.post(f"{running.url}/{index}/_open?wait_for_active_shards=1").raise_for_status()
        assert engine.count() == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_passwords_and_certificates_are_checked(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    cert, key, ca, other = (tmp_path / f"{name}.pem" for name in ("cert", "key", "ca", "other"))
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    trustme.CA().cert_pem.write_to_path(other)
    with serving("elasticsearch", shared, password="open-sesame", cert=cert, key=key) as running:
        place = running.url.removeprefix("https://")

        def address(user: str, options: str) -> str:
            return f"elasticsearch+https://{user}@{place}/photos?replicas=0&{options}"

        with ensured(address("elastic:open-sesame", f"ca={ca}")) as engine:
            engine.put([Record("a", "r/a")], random_unit(1))
        monkeypatch.setenv("PIXSEEK_ENGINE_PASSWORD", "open-sesame")
        with open_engine(address("elastic", f"ca={ca}")) as engine:
            assert engine.count() == 1
        for user, options, said in (
            ("elastic:open-sesame", "", "certificate is not trusted"),
            ("elastic:open-sesame", f"ca={other}", "certificate is not trusted"),
            ("elastic:wrong-sesame", f"ca={ca}", "does not accept the user, password or API key"),
            ("elastic:open-sesame", f"ca={key}", "certificates of an authority can't be read"),
        ):
            with pytest.raises((EngineError, ConfigError), match=said) as caught:
                open_engine(address(user, options))
            assert "sesame" not in str(caught.value)
        monkeypatch.delenv("PIXSEEK_ENGINE_PASSWORD")
        # This Elasticsearch makes no keys, for want of analysers; it checks those it is given.
        file = tmp_path / "key.txt"
        plain = f"elasticsearch+https://{place}/photos?replicas=0&ca={ca}&api_key_file={file}"
        for secret in ("bm8ta2V5Om9wZW4tc2VzYW1l", "sesame"):
            file.write_text(secret)
            with pytest.raises(EngineError, match="does not accept the user, password or API") as e:
                open_engine(plain)
            assert secret not in str(e.value)


# ------------------------------------------------------------------ indexes of others


def _made_by_another(running: Running, name: str, kind: str, field: str, rows: Any) -> None:
    """Make the index of Elastic's guide to image search, or of ESCloud's, with some documents."""
    vector: dict[str, Any] = {
        "elasticsearch": {"type": "dense_vector", "dims": DIM, "index": True,
                          "similarity": "cosine"},
        "opensearch": {
            "type": "knn_vector", "dimension": DIM,
            "method": {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"},
        },
    }[kind]  # fmt: skip
    keyword = {"type": "keyword"}
    mapping = {
        "image_embedding": {"image_id": keyword, "image_name": keyword, "relative_path": keyword},
        "photo_embedding": {
            "photo_id": keyword, "photo_url": keyword, "describe": {"type": "text"},
        },
    }[field]  # fmt: skip
    settings = {"number_of_replicas": 0, **({"knn": True} if kind == "opensearch" else {})}
    body = {
        "settings": {"index": settings},
        "mappings": {"dynamic": False, "properties": {**mapping, field: vector}},
    }
    assert web.put(f"{running.url}/{name}", json=body).status_code == 200
    for n, row in enumerate(rows):
        document = {
            "image_embedding": {"image_id": f"i{n}", "image_name": f"{n}.jpg",
                                "relative_path": f"photos/{n}.jpg"},
            "photo_embedding": {"photo_id": f"p{n}", "photo_url": f"https://example.org/{n}.jpg",
                                "describe": f"photo {n}"},
        }[field]  # fmt: skip
        web.put(
            f"{running.url}/{name}/_doc/doc{n:03}",
            json={**document, field: (row * (n + 1)).tolist()},
        ).raise_for_status()
    web.post(f"{running.url}/{name}/_refresh").raise_for_status()


@pytest.mark.slow
@pytest.mark.parametrize("field", ["image_embedding", "photo_embedding"])
def test_an_index_of_another_program_becomes_a_library(
    field: str, kind: str, running: Running, name: str, tmp_path: Path
) -> None:
    rows = random_unit(40)
    _made_by_another(running, name, kind, field, rows)
    scheme = "escloud" if (kind, field) == ("opensearch", "photo_embedding") else kind
    address = running.engine(name, f"vector={field}", scheme)
    with pixseek.open(tmp_path / "photos.lib", engine=address) as library:
        before = {record.id: record for record in library.records()}
        done = library.migrate("embedded", from_=address)
        assert (done.records, done.vectors, done.recall) == (40, 40, 1.0)
        engine = library.opened.engine
        assert not isinstance(engine, DocumentEngine)
        assert {record.id: record for record in library.records()} == before
        query = unit(random_unit(1, 5))
        best = sorted(range(40), key=lambda n: -float(rows[n] @ query[0]))
        assert engine.nearest(query, 5)[0].ids == tuple(f"doc{n:03}" for n in best[:5])
        library.tag("doc003", add="mine")  # it is only a library of pixseek's own that is written
        with pytest.raises(LibraryError, match="holds another library"):
            library.migrate(address)
        assert library.status().engine == "embedded"


@pytest.mark.slow
@pytest.mark.parametrize("field", ["image_embedding", "photo_embedding"])
def test_an_index_of_another_program_is_searched_and_not_written(
    field: str, kind: str, running: Running, name: str
) -> None:
    rows = random_unit(40)
    _made_by_another(running, name, kind, field, rows)
    scheme = "escloud" if (kind, field) == ("opensearch", "photo_embedding") else kind
    engine = open_engine(running.engine(name, f"vector={field}", scheme))
    space = engine.space
    assert space is not None
    assert (space.dim, space.model) == (DIM, "clip-b32-openai")
    query = unit(random_unit(1, 5))
    scores = (rows.astype(np.float64) @ query[0].astype(np.float64)).tolist()
    best = sorted(range(40), key=lambda n: -scores[n])
    (found,) = engine.nearest(query, 5)
    assert found.ids == tuple(f"doc{n:03}" for n in best[:5])
    np.testing.assert_allclose(found.scores, [scores[n] for n in best[:5]], atol=1e-5)
    assert found.total == engine.count() == 40
    (record,) = engine.get([found.ids[0]])
    assert record is not None
    if field == "image_embedding":
        assert record.uri == f"photos/{best[0]}.jpg"
        assert record.fields == {"image_id": f"i{best[0]}", "image_name": f"{best[0]}.jpg"}
    else:
        assert record.uri == f"https://example.org/{best[0]}.jpg"
        assert (record.caption, record.fields) == (f"photo {best[0]}", {"photo_id": f"p{best[0]}"})
    # A filter that is checked on what comes back still gives k.
    (few,) = engine.nearest(query, 3, Compare("id", "ge", "doc020"))
    assert few.ids == tuple(f"doc{n:03}" for n in best if n >= 20)[:3]
    assert [record.id for some, _ in engine.export(7) for record in some] == [
        f"doc{n:03}" for n in range(40)
    ]
    with pytest.raises(CapabilityError, match="only searched"):
        engine.put([Record("new", "r/new")], random_unit(1))
    with pytest.raises(CapabilityError, match="only searched"):
        engine.delete(["doc001"])
    with pytest.raises(CapabilityError, match="only searched"):
        engine.keep("search", "x", "y")
    assert engine.count() == 40
    web.delete(f"{running.url}/{name}/_doc/doc000?refresh=true").raise_for_status()
    assert "doc000" not in set(engine.matching_ids())
    engine.close()
