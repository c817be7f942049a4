"""The store for Vespa, over a fake of its HTTP interface."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_vespa import FakeVespa, application, serving
from hypothesis import given
from hypothesis import strategies as st

from pixseek import filters
from pixseek.engines import open_engine, tokens
from pixseek.engines.vespa import library, server, store
from pixseek.engines.vespa.documents import escaped, place_behind, place_of, quotable, unescaped
from pixseek.engines.vespa.schema import Slot
from pixseek.engines.vespa.yql import boxes_around
from pixseek.errors import ConfigError, EngineError, LibraryFormatError
from pixseek.types import Compare, Part, Record, Space, record_id

from vectors import DIM, SPACE, random_unit

OTHER = Space("b" * 64, 24, "other-model")


@pytest.fixture
def url(fake_vespa: FakeVespa, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(server, "PAUSES_S", (0.001, 0.001))
    return f"vespa+{fake_vespa.url}/photos"


def ids(n: int) -> list[str]:
    return sorted(record_id(f"photos/{i}.jpg") for i in range(n))


class TestScans:
    def test_ids_that_begin_alike_are_all_scanned(self, url: str) -> None:
        names = [f"photos/{n:03}" for n in range(40)] + ["photos/" + "x" * n for n in range(1, 20)]
        with open_engine(url) as engine:
            engine.ensure(SPACE)
            engine.put([Record(name, f"r/{name}") for name in names], random_unit(len(names)))
            pages, after = list[str](), ""
            while True:
                found, _ = engine.page(SPACE, 7, after)
                if not found:
                    break
                pages += [each.id for each in found]
                after = pages[-1]
        assert pages == sorted(names, key=tokens.placed)

    def test_a_scan_looks_at_each_record_about_once(self, fake_vespa: FakeVespa, url: str) -> None:
        with open_engine(url) as engine:
            engine.ensure(SPACE)
            engine.put([Record(each, f"r/{each}") for each in ids(300)], random_unit(300))
            fake_vespa.matched = 0
            assert [r.id for batch, _ in engine.export(50) for r in batch] == ids(300)
        # Each page also asks how many there are.
        assert fake_vespa.matched < 300 * 2 * 7

    @given(
        st.lists(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
            max_size=30,
        )
    )
    def test_places_sort_as_short_ids_do(self, names: list[str]) -> None:
        short = [name for name in names if len(name.encode()) <= 16]
        assert sorted(short, key=place_of) == sorted(short, key=str.encode)
        assert len({place_of(name) for name in names}) == len(set(names))

    @given(st.text("234567abcdefghijklmnopqrstuvwxyz", min_size=16, max_size=16), st.floats(0, 1))
    def test_the_end_of_a_share_is_behind_its_beginning(self, name: str, share: float) -> None:
        high = place_of(name)[0]
        assert high <= place_behind(high, share) <= 2**63 - 1

    def test_shares_of_ids_are_even(self) -> None:
        highs = [place_of(each)[0] for each in ids(4000)]
        end = place_behind(-(2**63) + 1, 0.25)
        assert sum(high <= end for high in highs) == pytest.approx(1000, rel=0.1)
        assert place_behind(end, 1.0) == 2**63 - 1


def test_one_record_is_found_among_many_whose_ids_begin_alike(url: str) -> None:
    names = [f"photo-{n:03}" for n in range(60)] + ['photo-"', "photo-" + "x" * 40]
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        engine.put([Record(name, f"r/{name}") for name in names], random_unit(len(names)))
        assert [each.id if each else None for each in engine.get(names[59:])] == names[59:]
        engine.put([Record(names[58], "r/again")], random_unit(1))
        assert [each.uri if each else None for each in engine.get(names[58:59])] == ["r/again"]


class TestTexts:
    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_any_text_is_stored_and_comes_back(self, text: str) -> None:
        assert unescaped(escaped(text)) == text
        assert unescaped(quotable(text)) == text
        assert '"' not in quotable(text)

    @pytest.mark.parametrize("text", ["plain", "Straße ü 😀", "tab\tline\n", ""])
    def test_a_usual_text_is_stored_as_it_is(self, text: str) -> None:
        assert escaped(text) == text


@given(
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
    st.floats(0.001, 20_100),
)
def test_what_is_near_lies_in_the_areas_that_are_asked_for(
    centre: tuple[float, float], place: tuple[float, float], kilometres: float
) -> None:
    if filters.distance_km(place, centre) <= kilometres:
        latitude, longitude = (round(each, 6) for each in place)
        assert any(
            south <= latitude <= north and west <= longitude <= east
            for south, west, north, east in boxes_around(*centre, kilometres)
        )


def test_an_area_is_about_as_large_as_the_circle() -> None:
    ((south, west, north, east),) = boxes_around(60.0, 10.0, 111.195)
    assert (south, north) == pytest.approx((59, 61), abs=1e-3)
    assert (west, east) == pytest.approx((8, 12), abs=1e-3)
    assert len(boxes_around(0.0, 179.9, 100.0)) == 2


# ------------------------------------------------------------------ searches


def tiled(n: int) -> list[Record]:
    parts = (Part(), Part("tile", (0.0, 0.0, 0.5, 0.5)), Part("tile", (0.5, 0.5, 0.5, 0.5)))
    return [Record(f"id{i:03}", f"r/{i}.jpg", width=i + 1, parts=parts) for i in range(n)]


@pytest.mark.parametrize("type_", ["bfloat16", "float", "binary"])
def test_scores_are_cosines_of_the_best_part_whatever_is_indexed(
    type_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "EXACT", 0)
    vectors = random_unit(60)
    stored = vectors.astype(np.float16).astype(np.float64).reshape(20, 3, DIM)
    query = random_unit(1, 7)
    best = (stored @ query[0].astype(np.float64)).max(axis=1)
    with serving(application("photos", [Slot("tiny_model", DIM)], type_)) as fake:
        with open_engine(f"vespa+{fake.url}/photos") as engine:
            engine.ensure(SPACE)
        with open_engine(f"vespa+{fake.url}/photos") as engine:  # another that knows no type
            engine.put(tiled(20), vectors)
            (found,) = engine.nearest(query, 20)
            (exact,) = engine.nearest(query, 20, exact=True)
            assert (found.reach.exact, exact.reach.exact) == (False, True)
        asked = [each["yql"] for each in fake.queries.values() if "nearest" in each["yql"]]
        assert any("signs_tiny_model, qb" in each for each in asked) is (type_ == "binary")
        assert not any("range(place" in each for each in fake.queries)  # nothing was scanned
    for each in (found, exact):
        assert each.ids == tuple(f"id{n:03}" for n in np.argsort(-best))
        np.testing.assert_allclose(each.scores, np.sort(best)[::-1], atol=1e-6)


def test_few_records_are_all_scored_and_many_by_the_index(
    fake_vespa: FakeVespa, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "EXACT", 10)
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        engine.put(tiled(20), random_unit(60))
        for where, exact in ((None, False), (Compare("width", "le", 5), True)):
            fake_vespa.queries.clear()
            (found,) = engine.nearest(random_unit(1), 3, where)
            (asked,) = (q for q in fake_vespa.queries.values() if "nearest" in q["yql"])
            assert f"approximate: {'false' if exact else 'true'}" in asked["yql"]
            assert found.reach.exact is exact
            assert found.reach.breadth == (5 if exact else store.BREADTH)


def test_breadth_is_set_by_the_address(
    fake_vespa: FakeVespa, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_EXACT_AT_LEAST", 10)
    with open_engine(f"{url}?breadth=500") as engine:
        engine.ensure(SPACE)
        engine.put(tiled(20), random_unit(60))
        (found,) = engine.nearest(random_unit(1), 3)
        assert found.reach.breadth == 500
    (asked,) = (q["yql"] for q in fake_vespa.queries.values() if "approximate: true" in q["yql"])
    assert 'targetHits: 19, approximate: true, "hnsw.exploreAdditionalHits": 481' in asked


def test_texts_are_bound_and_never_part_of_a_query(fake_vespa: FakeVespa, url: str) -> None:
    odd = 'x" or true or "'
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        engine.put([Record("a", "r/a.jpg", tags=(odd,), fields={odd: 1})], random_unit(1))
        assert engine.count(Compare("tags", "contains", odd)) == 1
        assert engine.count(Compare("uri", "in", (odd, "y"))) == 0
        assert engine.count(Compare("uri", "eq", odd)) == 0
        engine.find_words(odd, 5)
        assert engine.facets(None, ["tag"], 5) == {"tag": {odd: 1}}
    asked = [each["yql"] for each in fake_vespa.queries.values()]
    assert len(asked) > 5
    assert all('"' not in each for each in asked)


# ------------------------------------------------------------------ writers


def test_two_writers_at_once_lose_nothing(url: str) -> None:
    came: list[str] = []
    with open_engine(url) as engine, open_engine(url) as other:
        engine.ensure(SPACE)
        engine.put([Record("a", "r/a")], random_unit(1))

        def join(new: Record, stored: Record) -> Record:
            if not came:  # between what was read and what is written
                came.append("once")
                other.describe([replace(stored, tags=("theirs",))])
            return replace(new, tags=(*stored.tags, "ours"))

        engine.describe([Record("a", "r/a")], join)
        assert engine.get(["a"])[0].tags == ("theirs", "ours")  # type: ignore[union-attr]


def test_a_record_that_another_writer_deleted_does_not_come_back(url: str) -> None:
    with open_engine(url) as engine, open_engine(url) as other:
        engine.ensure(SPACE)
        engine.put([Record("a", "r/a")], random_unit(1))

        def delete(new: Record, stored: Record) -> Record:
            other.delete(["a"])
            return new

        engine.describe([Record("a", "r/a", caption="x")], delete)
        assert other.get(["a"]) == [None]


def test_writers_of_several_threads_keep_the_list_of_spaces(
    fake_vespa: FakeVespa, url: str
) -> None:
    fake_vespa.deploys = True
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        spaces = [Space(f"{n}" * 64, 8, f"model{n}") for n in range(1, 5)]
        threads = [threading.Thread(target=engine.add_space, args=(each,)) for each in spaces]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert set(engine.spaces()) == {SPACE, *spaces}


def test_however_many_texts_are_kept_all_are_found(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_PAGE", 3)
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        names = {f"search {n}": f"tag:{n}" for n in range(7)}
        for name, text in names.items():
            engine.keep("search", name, text)
        assert engine.kept("search") == names


def test_vectors_stay_where_they_are_when_words_change(fake_vespa: FakeVespa, url: str) -> None:
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        engine.put([Record("a", "r/a")], random_unit(1))
        fake_vespa.feeds.clear()
        engine.describe([Record("a", "r/a", caption="a dog")])
        (change,) = fake_vespa.feeds.values()
        assert "caption" in change["fields"]
        assert not {"vector_tiny_model", "vectors_tiny_model"} & change["fields"].keys()
        assert "condition" in change
        assert len(engine.vectors(["a"])[0]) == 1


def test_a_document_goes_with_its_last_space(fake_vespa: FakeVespa, url: str) -> None:
    fake_vespa.deploys = True
    stored = fake_vespa.documents["photos"]
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        engine.put([Record("a", "r/a"), Record("b", "r/b")], random_unit(2))
        engine.add_space(OTHER)
        assert engine.delete(["a"]) == 1
        assert stored.keys() == {"b"}
        engine.activate(OTHER)
        engine.drop_space(SPACE)
        assert "version_other_model" in stored["b"] and "version_tiny_model" not in stored["b"]
        assert engine.count() == 1


# ------------------------------------------------------------------ what goes wrong


def test_a_full_disk_is_told_of_the_records_that_were_not_written(
    fake_vespa: FakeVespa, url: str
) -> None:
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        fake_vespa.full = {"b"}
        with pytest.raises(
            EngineError, match=r"(?s)refused 1 of 3 records.*others: b.*is full"
        ) as told:
            engine.put([Record(id_, f"r/{id_}") for id_ in "abc"], random_unit(3))
        assert "Free some, or add nodes" in str(told.value)
        assert sorted(each.id for each in engine.known()) == ["a", "c"]


def test_a_record_that_the_server_refuses_does_not_stop_the_others(
    fake_vespa: FakeVespa, url: str
) -> None:
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        fake_vespa.refused = {"b"}
        with pytest.raises(EngineError, match="refused 1 of 3 records; it has the others: b"):
            engine.put([Record(id_, f"r/{id_}") for id_ in "abc"], random_unit(3))
        assert sorted(each.id for each in engine.known()) == ["a", "c"]


def test_a_missing_application_is_explained(fake_vespa: FakeVespa, url: str) -> None:
    with pytest.raises(
        EngineError, match=r"(?s)no application of this name.*pixseek vespa app DIR"
    ):
        open_engine(url.replace("photos", "images"))


def test_an_application_of_others_is_left_alone() -> None:
    theirs = FakeVespa({"image_search": {"image_file_name": "string"}})
    with (
        serving(theirs),
        pytest.raises(EngineError, match=r"(?s)that pixseek made.*\?vector=FIELD"),
    ):
        open_engine(f"vespa+{theirs.url}/image_search")


def test_a_model_without_room_is_explained(url: str) -> None:
    with open_engine(url) as engine:
        for space in (OTHER, Space("c" * 64, DIM + 1, "tiny-model")):
            with pytest.raises(EngineError, match=r"(?s)no room for this model.*--model .*deploy"):
                engine.ensure(space)
        assert engine.space is None


def test_a_library_of_a_newer_format_is_refused(fake_vespa: FakeVespa, url: str) -> None:
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        list_of_spaces = fake_vespa.documents["photos_library"]["spaces"]
        state = json.loads(list_of_spaces["content"])
        state["spaces"][0]["format"] = 99
        list_of_spaces["content"] = json.dumps(state)
        calls: list[Callable[[], Any]] = [lambda: open_engine(url), engine.count]
        for call in calls:
            with pytest.raises(LibraryFormatError, match="newer pixseek"):
                call()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("vespa+http://h/1photos", "name of a document type"),
        ("vespa+http://h/my.photos", "name of a document type"),
        ("vespa+http://h,g/photos", "one host"),
        ("vespa+http://h/photos?type=flat", "Known values: "),
        ("vespa+http://h/photos?breadth=0", "from 1 to 100000"),
        ("vespa+http://h/photos?cert=/nowhere.pem", "no such file"),
    ],
)
def test_an_address_that_means_nothing_is_explained(address: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_engine(address)


def test_nothing_of_it_is_imported_before_it_is_opened(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import pixseek.engines, sys; print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
