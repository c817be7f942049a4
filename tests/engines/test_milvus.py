"""Milvus: what goes beyond the contract of engines, on Milvus Lite and on a fake.

`conftest.opener` runs the contract over Milvus Lite. No Milvus can be run here. The server within
Milvus Lite speaks the same protocol, so addresses of a server are tried on it, too.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from pixseek import filters
from pixseek.engines import open_engine
from pixseek.errors import ConfigError, EngineError
from pixseek.types import Compare, Engine, Not, Part, Record, Space, Stamp

from vectors import SPACE, random_unit, unit

pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")

import grpc
from edges import some_filters, some_records
from fake_milvus import FakeMilvus, serving
from milvus_lite.server_manager import server_manager_instance

from pixseek.engines import milvus, milvus_rows


@pytest.fixture
def url(quick_folder: Path) -> str:
    return f"milvus+file://{quick_folder}/library"


@pytest.fixture
def address(quick_folder: Path) -> Iterator[str]:
    """The address of a library on the server within Milvus Lite."""
    place = str(quick_folder / "server")
    uri = server_manager_instance.start_and_get_uri(place)
    yield f"milvus+{uri}/photos"
    server_manager_instance.release_server(place)


@pytest.fixture
def fake() -> Iterator[FakeMilvus]:
    with serving() as fake:
        yield fake


def ensured(url: str, space: Space = SPACE) -> Engine:
    engine = open_engine(url)
    engine.ensure(space)
    return engine


@pytest.mark.slow
def test_filters_mean_the_same_at_the_edges_of_numbers(url: str) -> None:
    records = some_records()
    with ensured(url) as engine:
        engine.put(records, random_unit(len(records)))
        assert engine.get([each.id for each in records]) == records
        for n, where in enumerate(some_filters()):
            asked = where if n % 3 else Not(where)
            expected = {each.id for each in records if filters.matches(asked, each)}
            assert set(engine.matching_ids(asked)) == expected, asked
        assert engine.delete([each.id for each in records]) == len(records)


@pytest.mark.slow
def test_a_folder_that_was_closed_has_everything_when_it_is_opened_again(url: str) -> None:
    records, vectors = some_records(), random_unit(10)
    with ensured(url) as engine:
        engine.put(records, vectors)
        engine.keep("search", "x", "y")
    for _ in range(2):
        with open_engine(url) as engine:
            assert engine.space == SPACE
            assert engine.get([each.id for each in records]) == records
            rows = np.concatenate(engine.vectors([each.id for each in records]))
            np.testing.assert_array_equal(rows, vectors.astype(np.float16).astype(np.float32))
            assert len(engine.nearest(vectors[:1], 10)[0].ids) == 10
            assert engine.kept("search") == {"x": "y"}
            assert engine.find_words("bild", 9).complete == 5


@pytest.mark.slow
def test_pages_go_on_whatever_the_ids(url: str) -> None:
    ids = [f"{'prefix' * (n % 5) * n}{n:03}" for n in range(40)] + ["~", "~27", "'", "x\\y", "\t"]
    with ensured(url) as engine:
        engine.put([Record(id_, f"r/{n}") for n, id_ in enumerate(ids)], random_unit(len(ids)))
        exported = [record.id for some, _ in engine.export(7) for record in some]
        assert sorted(exported) == sorted(ids)
        other = Space("b" * 64, 8, "other")
        engine.add_space(other)
        found: list[str] = []
        while some := engine.lacking(other, 7, found[-1] if found else ""):
            found += [each.id for each in some]
        assert found == exported


@pytest.mark.parametrize(
    "kind",
    [
        "flat",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("hnsw", "hnsw_sq8", "ivf_flat")),
    ],
)
@pytest.mark.slow
@pytest.mark.parametrize("exact", [0, 10_000])
def test_equal_vectors_and_far_filters_give_k_whatever_the_index(
    kind: str, exact: int, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus, "EXACT", exact)
    vectors = random_unit(400)
    vectors[:100] = vectors[0]
    stored = vectors.astype(np.float16).astype(np.float64)
    with ensured(f"{address}?type={kind}") as engine:
        engine.put([Record(f"{n:03}", f"r/{n}", width=1 + n) for n in range(400)], vectors)
        for query, low in ((vectors[:1], 0), (-vectors[:1], 360), (random_unit(1, 9), 395)):
            where = Compare("width", "gt", low)
            (found,) = engine.nearest(query, 100, where)
            assert len(found.ids) == min(100, 400 - low)
            assert len(set(found.ids)) == len(found.ids)
            scores = np.clip(stored @ query[0].astype(np.float64), -1, 1)
            of_found = scores[[int(id_) for id_ in found.ids]]
            np.testing.assert_allclose(found.scores, of_found, atol=1e-6)
            (sure,) = engine.nearest(query, 100, where, exact=True)
            assert sure.scores[0] == pytest.approx(max(scores[low:]), abs=1e-6)
            assert list(sure.ids) == sorted(sure.ids, key=lambda id_: (-scores[int(id_)], id_))
        assert engine.nearest(vectors[:1], 100)[0].ids == tuple(f"{n:03}" for n in range(100))


@pytest.mark.slow
def test_parts_that_a_record_no_longer_has_are_not_found(url: str) -> None:
    tiles = tuple(Part("tile", (0.0, 0.0, 0.1 * n, 0.5)) for n in range(1, 6))
    rows = unit(np.eye(6, 16))
    with ensured(url) as engine:
        engine.put([Record("a", "r/a", parts=(Part(), *tiles))], rows)
        engine.put([Record("b", "r/b")], random_unit(1))
        (found,) = engine.nearest(rows[5:6], 2)
        assert (found.ids[0], found.parts[0]) == ("a", 5)
        assert found.scores[0] == pytest.approx(1, abs=1e-3)
        engine.put([Record("a", "r/a", parts=(Part(), tiles[0]))], rows[:2])
        (found,) = engine.nearest(rows[5:6], 2)
        assert set(found.ids) == {"a", "b"}
        assert (engine.count(), found.total) == (2, 2)
        assert found.scores[found.ids.index("a")] == pytest.approx(0, abs=1e-3)
        assert engine.delete(["a"]) == 1
        assert engine.nearest(rows[5:6], 2)[0].ids == ("b",)


@pytest.mark.slow
def test_a_page_by_date_has_each_once_however_many_share_one(url: str) -> None:
    day = datetime(2020, 5, 17)
    records = [
        Record(f"id{n:03}", f"r/{n}", Stamp(5, n // 20), taken_at=day if n % 3 else None)
        for n in range(60)
    ]
    with ensured(url) as engine:
        engine.put(records, random_unit(60))
        for descending in (False, True):
            pages = [
                each.id
                for at in range(0, 60, 9)
                for each in engine.select(
                    None, order="taken_at", descending=descending, k=9, offset=at
                )
            ]
            assert len(set(pages)) == 60
            dated = [each.id for each in records if each.taken_at]
            assert pages[: len(dated)] == dated


@pytest.mark.slow
def test_texts_and_lists_longer_than_milvus_takes(url: str) -> None:
    words = " ".join(f"w{n}x" for n in range(6_000))
    records = [
        Record("a", "r/a", caption=words, fields={"user.note": "图" * 100_000}),
        Record("b", "r/b", caption="w5999x alone"),
        Record("c", "r/c", tags=tuple(f"t{n}" for n in range(5_000))),
    ]
    with ensured(url) as engine:
        with pytest.raises(EngineError, match=r"(?s)refused 1 of 3.*takes 4,096 values"):
            engine.put(records, random_unit(3))
        assert engine.get(["a", "b", "c"]) == [*records[:2], None]
        found = engine.find_words("w5999x", 9)
        assert {each.id for each in found.matches} == {"a", "b"}
        assert [each.id for each in engine.find_words("w5999x w17x", 9).matches][:1] == ["a"]


def test_conditions_hold_nothing_that_ends_a_text() -> None:
    for text in ('"', "\\", "\n", "'", '" or part >= 0 or "', "~22", "%"):
        quoted = milvus_rows.filtered(Compare("caption", "eq", text))
        inner = quoted.split('"')[1]
        assert quoted.count('"') == 2
        assert not set(inner) & set("\"'\\\n%")
    assert len({milvus_rows.safe(text) for text in ('"', "~22", "~7e22", "~")}) == 4


# ------------------------------------------------------------------ over gRPC


@pytest.mark.slow
def test_a_library_on_a_server(address: str) -> None:
    records = some_records()
    with ensured(f"{address}?type=hnsw&shards=1") as engine, open_engine(address) as other:
        engine.put(records, random_unit(len(records)))
        assert other.count(Compare("width", "ge", 3)) == 7
        (found,) = other.nearest(random_unit(1), 5, Compare("width", "ge", 3))
        assert len(found.ids) == 5
        new = Space("b" * 64, 8, "other")
        other.add_space(new)
        engine.activate(Space("b" * 64, 8, "renamed"))
        assert other.space == Space("b" * 64, 8, "renamed")
        engine.drop_space(SPACE)
        assert other.count() == 10
        other.keep("search", "x", "y")
        assert engine.kept("search") == {"x": "y"}
    with open_engine(f"{address}-2") as empty, open_engine(f"{address}_2") as another:
        assert empty.space is another.space is None


@pytest.mark.slow
def test_other_collections_are_left_alone(address: str) -> None:
    from pymilvus import MilvusClient

    client = MilvusClient(uri=address.removeprefix("milvus+").rpartition("/")[0])
    name = milvus_rows.collection_of("photos", SPACE)
    client.create_collection(name, dimension=4)
    with open_engine(address) as engine:
        with pytest.raises(EngineError, match="another collection of this name"):
            engine.ensure(SPACE)
        assert engine.space is None
    assert client.has_collection(name)
    client.close()


def test_secrets_are_sent_and_not_shown(fake: FakeMilvus, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.refuses = grpc.StatusCode.UNAUTHENTICATED, "auth check failure"
    monkeypatch.setenv("PIXSEEK_ENGINE_API_KEY", "key-sesame")
    monkeypatch.setenv("PIXSEEK_ENGINE_PASSWORD", "open-sesame")
    for user, secret in (("", "key-sesame"), ("me@", "me:open-sesame")):
        with pytest.raises(EngineError, match="does not accept the user, password") as caught:
            open_engine(f"milvus+http://{user}127.0.0.1:{fake.port}/photos")
        assert base64.b64decode(fake.keys[-1]).decode() == secret
        assert "sesame" not in str(caught.value)


def test_certificates_are_checked(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    ca, other = (tmp_path / f"{name}.pem" for name in ("ca", "other"))
    authority.cert_pem.write_to_path(ca)
    trustme.CA().cert_pem.write_to_path(other)
    key, cert = issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes()
    with serving(key, cert) as fake:
        at = f"milvus+https://127.0.0.1:{fake.port}/photos?timeout=20"
        for options, said in (
            (f"&ca={ca}", "answer can't be understood"),
            (f"&ca={other}", "certificate is not trusted"),
            ("", "certificate is not trusted"),
        ):
            with pytest.raises(EngineError, match=said):
                open_engine(at + options)


def test_what_goes_wrong_is_said(fake: FakeMilvus, tmp_path: Path) -> None:
    at = f"milvus+http://127.0.0.1:{fake.port}/photos"
    for refuses, said in (
        ((grpc.StatusCode.UNAVAILABLE, "gone"), "out of reach"),
        ((grpc.StatusCode.UNIMPLEMENTED, "what"), "Is it Milvus"),
    ):
        fake.refuses = refuses
        with pytest.raises(EngineError, match=said):
            open_engine(f"{at}?timeout=2")
    fake.delay_s = 1.5
    with pytest.raises(EngineError, match=r"did not answer within 0\.5 s"):
        open_engine(f"{at}?timeout=0.5")
    with pytest.raises(EngineError, match="out of reach"):
        open_engine("milvus+http://127.0.0.1:9/photos?timeout=1")
    for options, said in (("type=diskann", "Known values: "), ("shards=0", "from 1 to 64")):
        with pytest.raises(ConfigError, match=said):
            open_engine(f"{at}?{options}")
    with pytest.raises(ConfigError, match="three slashes"):
        open_engine("milvus+file://here")
