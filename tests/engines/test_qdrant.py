"""Qdrant: what goes beyond the contract of engines, on the local mode of the client and on a fake.

`conftest.opener` runs the contract over the local mode. No server can be run here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixseek import filters
from pixseek.engines import open_engine
from pixseek.errors import ConfigError, EngineError, LibraryLockedError
from pixseek.types import Compare, Engine, Part, Record, Space, Stamp

from vectors import SPACE, random_unit

pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")

from edges import some_filters, some_records
from fake_qdrant import FakeQdrant, serving

from pixseek.engines import qdrant_server


@pytest.fixture
def url(quick_folder: Path) -> str:
    return f"qdrant+file://{quick_folder}/library"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeQdrant]:
    monkeypatch.setattr(qdrant_server, "PAUSES_S", (0.001, 0.001))
    with serving() as fake:
        yield fake


def ensured(url: str, space: Space = SPACE) -> Engine:
    engine = open_engine(url)
    engine.ensure(space)
    return engine


def test_filters_mean_the_same_at_the_edges_of_numbers(url: str) -> None:
    records = some_records()
    with ensured(url) as engine:
        engine.put(records, random_unit(len(records)))
        for where in some_filters():
            expected = {each.id for each in records if filters.matches(where, each)}
            assert set(engine.matching_ids(where)) == expected, where


def test_ids_of_any_kind_come_back_and_each_page_goes_on(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = some_records()
    more = [Record(f"{'prefix' * n}{n:03}", f"r/{n}") for n in range(40)]
    with ensured(url) as engine:
        engine.put(records + more, random_unit(50))
        assert engine.get([each.id for each in records]) == records
        exported = [record.id for some, _ in engine.export(7) for record in some]
        assert sorted(exported) == sorted(each.id for each in records + more)
        other = Space("b" * 64, 8, "other")
        engine.add_space(other)
        found: list[str] = []
        while some := engine.lacking(other, 7, found[-1] if found else ""):
            found += [each.id for each in some]
        assert found == exported
        assert [each for each in found if len(each.encode()) <= 16] == sorted(
            each for each in found if len(each.encode()) <= 16
        )
        assert engine.delete([each.id for each in records]) == len(records)


def test_scores_are_cosines_of_what_is_stored_and_come_back_the_same(url: str) -> None:
    vectors = random_unit(60)
    parts = (Part(), Part("tile", (0.0, 0.0, 0.5, 0.5)), Part("tile", (0.5, 0.5, 0.5, 0.5)))
    records = [
        Record(f"id{n:02}", f"r/{n}.jpg", parts=parts if n < 10 else (Part(),)) for n in range(40)
    ]
    stored = vectors.astype(np.float16).astype(np.float32)
    for again in (False, True):  # the local mode may give other numbers once it is opened again
        with ensured(url) as engine:
            if not again:
                engine.put(records, vectors)
            rows = engine.vectors([each.id for each in records])
            np.testing.assert_array_equal(np.concatenate(rows), stored)
            query = random_unit(1, 7)
            (found,) = engine.nearest(query, 40)
            each = np.split(stored, np.cumsum([len(r.parts) for r in records])[:-1])
            best = {
                r.id: float((own @ query[0]).max()) for r, own in zip(records, each, strict=True)
            }
            assert sorted(best, key=lambda id_: -best[id_]) == list(found.ids)
            np.testing.assert_allclose(found.scores, [best[id_] for id_ in found.ids], atol=1e-6)


def test_a_page_by_date_has_each_once_however_many_share_one(url: str) -> None:
    day = datetime(2020, 5, 17)
    with ensured(url) as engine:
        records = [
            Record(f"id{n:03}", f"r/{n}", Stamp(5, n // 20), taken_at=day if n % 3 else None)
            for n in range(60)
        ]
        engine.put(records, random_unit(60))
        for descending in (False, True):
            pages = [
                each.id
                for at in range(0, 60, 7)
                for each in engine.select(
                    None, order="taken_at", descending=descending, k=7, offset=at
                )
            ]
            assert len(set(pages)) == 60
            dated = [each.id for each in records if each.taken_at]
            assert pages[: len(dated)] == dated


def test_facets_that_look_like_other_things_stay_texts(url: str) -> None:
    tags = ("12345678123456781234567812345678", "12345678-1234-5678-1234-567812345678", "true", "7")
    with ensured(url) as engine:
        engine.put([Record("a", "r/a", tags=tags)], random_unit(1))
        assert engine.facets(None, ["tag"], 9) == {"tag": dict.fromkeys(sorted(tags), 1)}


def test_another_process_can_not_open_the_folder_meanwhile(url: str) -> None:
    ensured(url).close()
    other: Any = qdrant_server.QdrantClient(path=url.removeprefix("qdrant+file://"))
    with pytest.raises(LibraryLockedError, match="Another process uses the library"):
        open_engine(url)
    other.close()
    with open_engine(url) as engine:
        assert engine.space == SPACE


@pytest.mark.parametrize(
    "wrong", ["qdrant+file://x/y", "qdrant+file:///", "qdrant+file:///a?b=1", "qdrant+file:///a#b"]
)
def test_a_wrong_place_is_explained(wrong: str) -> None:
    with pytest.raises(ConfigError, match="three slashes"):
        open_engine(wrong)


# ------------------------------------------------------------------ over HTTP, on the fake


def address(fake: FakeQdrant, options: str = "") -> str:
    return f"qdrant+{fake.url}/photos{'?' if options else ''}{options}"


@pytest.mark.slow
def test_requests_over_http_are_those_of_the_local_mode(fake: FakeQdrant) -> None:
    records = some_records()
    with ensured(address(fake, "type=int8_hnsw&shards=2&replicas=1")) as engine:
        engine.put(records, random_unit(len(records)))
        for where in some_filters()[::9]:
            expected = {each.id for each in records if filters.matches(where, each)}
            assert set(engine.matching_ids(where)) == expected, where
        assert engine.find_words("bild", 9).complete == 5
        assert engine.facets(None, ["tag"], 9) is not None
        (found,) = engine.nearest(random_unit(1), 5, Compare("width", "ge", 3))
        assert len(found.ids) == 5
        engine.select(None, order="size", descending=True, k=3, offset=1)
        engine.keep("search", "x", "y")
    with open_engine(address(fake)) as again:
        assert (again.space, again.count(), again.kept("search")) == (SPACE, 10, {"x": "y"})
    assert any(each.endswith("/index?wait=true") for each in fake.requests)


def test_an_overloaded_server_is_asked_again_and_a_down_one_is_an_error(fake: FakeQdrant) -> None:
    with ensured(address(fake)) as engine:
        fake.answers = [(503, "busy"), (429, "busy")]
        engine.put([Record("a", "r/a")], random_unit(1))
        assert engine.count() == 1
        fake.answers = [(503, "no shard")] * 9
        with pytest.raises(EngineError, match=r"(?s)overloaded, or a shard is missing.*no shard"):
            engine.count()


def test_a_record_that_the_server_refuses_does_not_stop_the_others(fake: FakeQdrant) -> None:
    fake.refused = {"b"}
    with ensured(address(fake)) as engine:
        with pytest.raises(EngineError, match="refused 1 of 3 records; it has the others: b"):
            engine.put([Record(id_, f"r/{id_}") for id_ in "abc"], random_unit(3))
        assert sorted(each.id for each in engine.known()) == ["a", "c"]


def test_keys_are_sent_and_not_shown(fake: FakeQdrant, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.key = "open-sesame"
    monkeypatch.setenv("PIXSEEK_ENGINE_API_KEY", "open-sesame")
    ensured(address(fake)).close()
    monkeypatch.setenv("PIXSEEK_ENGINE_API_KEY", "wrong-sesame")
    with pytest.raises(EngineError, match="does not accept the API key") as caught:
        open_engine(address(fake))
    assert "sesame" not in str(caught.value)
    with pytest.raises(ConfigError, match="by an API key"):
        open_engine(address(fake).replace("://", "://me:open-sesame@"))


@pytest.mark.slow
def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    both, ca, other = (tmp_path / f"{name}.pem" for name in ("both", "ca", "other"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(both)
    authority.cert_pem.write_to_path(ca)
    trustme.CA().cert_pem.write_to_path(other)
    with serving(both) as fake:
        ensured(address(fake, f"ca={ca}")).close()
        for options in ("", f"ca={other}"):
            with pytest.raises(EngineError, match="certificate is not trusted"):
                open_engine(address(fake, options))


@pytest.mark.slow
def test_what_goes_wrong_is_said(fake: FakeQdrant) -> None:
    fake.delay_s = 1.5
    with pytest.raises(EngineError, match="did not answer within 1 s"):
        open_engine(address(fake, "timeout=1"))
    fake.delay_s = 0
    with pytest.raises(EngineError, match="out of reach"):
        open_engine("qdrant+http://127.0.0.1:9/photos")
    for options, said in (("type=flat", "Known values: "), ("shards=0", "from 1 to 1024")):
        with pytest.raises(ConfigError, match=said):
            open_engine(address(fake, options))
    with ensured(address(fake)) as engine, open_engine(address(fake)) as other:
        other.add_space(Space("b" * 64, 8, "other"))
        engine.activate(Space("b" * 64, 8, "renamed"))
        assert other.space == Space("b" * 64, 8, "renamed")
        engine.drop_space(SPACE)
        assert other.count() == 0


def test_a_collection_that_was_deleted_by_hand_is_missed(fake: FakeQdrant) -> None:
    engine = open_engine(f"qdrant+{fake.url}/photos")
    one, other = Space("1" * 64, 8, "one"), Space("2" * 64, 8, "other")
    vectors = np.eye(8, dtype=np.float32)[:2]
    engine.ensure(one)
    engine.put([Record("x", "r/x"), Record("y", "r/y")], vectors)
    engine.add_space(other)
    engine.put_vectors(other, engine.lacking(other, 9), vectors)
    fake.delete_collection(one.fingerprint[:16])
    for use in (
        engine.count, lambda: list(engine.known()), lambda: engine.nearest(vectors, 1),
        lambda: engine.put([Record("z", "r/z")], vectors[:1]), lambda: engine.delete(["x"]),
        lambda: list(engine.matching_ids()), lambda: engine.get(["x"]),
    ):  # fmt: skip
        with pytest.raises(EngineError, match=r"collection for this model is not there: one"):
            use()
    engine.close()


def test_collections_of_others_are_left_alone(fake: FakeQdrant) -> None:
    with ensured(address(fake).replace("/photos", "/mine")):
        pass
    client: Any = qdrant_server.QdrantClient(fake.url, check_compatibility=False)
    client.create_collection("photos", vectors_config={})
    with pytest.raises(EngineError, match="not a library of pixseek"):
        open_engine(address(fake))
    name = f"mine.pixseek.{'b' * 16}"
    client.create_collection(name, vectors_config={})
    with (
        open_engine(address(fake).replace("/photos", "/mine")) as engine,
        pytest.raises(EngineError, match="another collection of this name"),
    ):
        engine.add_space(Space("b" * 64, 8, "other"))
    client.close()


@pytest.mark.slow
def test_a_process_that_closes_nothing_ends_quietly(tmp_path: Path) -> None:
    code = (
        "from pixseek.engines import open_engine\n"
        f"engine = open_engine({f'qdrant+file://{tmp_path}/library'!r})\n"
        "print(engine.count())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")
