"""Engines over document stores: what stores lack is made up for, and collections stay in step."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixseek import filters
from pixseek.engines import document_reading, document_writing, open_engine
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.memory import MemoryStore
from pixseek.engines.store import Store, split
from pixseek.errors import ConfigError, EngineError
from pixseek.search import facets
from pixseek.types import (
    WHOLE,
    And,
    Compare,
    Filter,
    Not,
    Or,
    Part,
    Record,
    Space,
    Stamp,
)  # fmt: skip

from drawn_filters import FILTERS, drawn_records
from stores import (
    CappedStore,
    DelayedStore,
    DescribingStore,
    FewStore,
    HastyStore,
    RememberingStore,
    VersionedStore,
)  # fmt: skip
from vectors import DIM, SPACE, random_unit, unit

NEW = Space("a" * 64, 24, "new-model")
PARTS = (Part(), Part("tile", (0.0, 0.0, 0.5, 0.5)), Part("tile", (0.5, 0.0, 0.5, 0.5)))
_NAMES = itertools.count()


def new_name() -> str:
    return f"documents-{next(_NAMES)}"


def over(kind: Callable[[str], Store], name: str = "") -> DocumentEngine:
    """An engine over an empty store of this kind, or over one that has a name."""
    engine = DocumentEngine(kind(name or new_name()))
    engine.ensure(SPACE)
    return engine


def photos(n: int, **more: Any) -> list[Record]:
    return [
        Record(f"id{i:03}", f"photos/{i}.jpg", Stamp(i, i), f"{i:064x}", width=i + 1, **more)
        for i in range(n)
    ]


# ------------------------------------------------------------------ filters


_SUPPORTED = st.sets(st.sampled_from([*filters.FIELDS, "fields.x"])).flatmap(
    lambda fields: st.sets(st.sampled_from(filters.OPERATORS["any"])).map(
        lambda ops: lambda compare: compare.field in fields and compare.op in ops
    )
)


def conjuncts(where: Filter | None) -> Iterator[Filter]:
    if isinstance(where, And):
        for each in where.filters:
            yield from conjuncts(each)
    elif where is not None:
        yield where


def comparisons(where: Filter | None) -> list[Compare]:
    match where:
        case And(parts) | Or(parts):
            return [compare for each in parts for compare in comparisons(each)]
        case Not(inner):
            return comparisons(inner)
        case Compare():
            return [where]
    return []


@settings(max_examples=60, deadline=None)
@given(where=FILTERS, supports=_SUPPORTED, records=drawn_records())
def test_both_halves_of_a_filter_are_the_filter(
    where: Filter, supports: Callable[[Compare], bool], records: list[Record]
) -> None:
    native, rest = split(where, supports)
    for record in records:
        both = all(filters.matches(half, record) for half in (native, rest) if half is not None)
        assert both is filters.matches(where, record)
    assert all(map(supports, comparisons(native)))
    for each in conjuncts(rest):  # nothing is left that could have been asked of the store
        assert not all(map(supports, comparisons(each)))


def test_conjunctions_are_split_at_any_depth() -> None:
    native = [Compare("width", "ge", n) for n in range(3)]
    rest = [Compare("caption", "contains", str(n)) for n in range(3)]

    def supports(compare: Compare) -> bool:
        return compare.field == "width"

    assert split(None, supports) == (None, None)
    assert split(And(()), supports) == (None, None)
    assert split(native[0], supports) == (native[0], None)
    assert split(rest[0], supports) == (None, rest[0])
    nested = And((native[0], And((rest[0], And((native[1], rest[1])))), native[2]))
    assert split(nested, supports) == (
        And((native[0], native[1], native[2])),
        And((rest[0], rest[1])),
    )
    either = Or((native[0], rest[0]))
    assert split(And((either, Not(native[0]))), supports) == (Not(native[0]), either)
    assert split(Not(And((native[0], rest[0]))), supports)[0] is None


# ------------------------------------------------------------------ the nearest


def expected_nearest(
    records: Sequence[Record], vectors: Any, query: Any, where: Filter | None
) -> list[tuple[float, str, int]]:
    """Score, id and part of each record that fulfils a filter, best first, ties by id."""
    found, row = [], 0
    for record in records:
        own = vectors[row : row + len(record.parts)].astype(np.float16).astype(np.float64)
        row += len(record.parts)
        if len(own) and (where is None or filters.matches(where, record)):
            scores = (own * query).sum(axis=1)
            found.append((float(scores.max()), record.id, int(scores.argmax())))
    return sorted(found, key=lambda each: (-each[0], each[1]))


@pytest.mark.parametrize("kind", [MemoryStore, FewStore, CappedStore, DelayedStore])
@pytest.mark.parametrize("few", [0, 3, 1000])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_the_nearest_are_found_whatever_ties_and_whatever_the_store_can_not_compare(
    kind: Any, few: int, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document_reading, "FEW", few)
        patch.setattr(document_reading, "PAGE", data.draw(st.sampled_from([1, 2, 7, 1000])))
        patch.setattr(document_reading, "_SPARE", 1)
        records = [
            replace(record, parts=PARTS[: data.draw(st.integers(0, 3))])
            for record in data.draw(drawn_records())
        ]
        # Of a few vectors only, so that many tie.
        different = random_unit(3, data.draw(st.integers(0, 5)))
        count = sum(len(record.parts) for record in records)
        drawn = st.lists(st.integers(0, 2), min_size=count, max_size=count)
        vectors = different[np.array(data.draw(drawn), np.int64)].reshape(-1, DIM)
        engine = over(kind)
        engine.put(records, vectors)
        queries = np.concatenate([different[:1], random_unit(1, 77)])
        where = data.draw(st.none() | FILTERS)
        k = data.draw(st.integers(1, 14))
        for found, query in zip(engine.nearest(queries, k, where), queries, strict=True):
            expected = expected_nearest(records, vectors, query, where)
            assert found.total == len(expected)
            assert found.scores.tolist() == pytest.approx(
                [min(1.0, max(-1.0, e[0])) for e in expected[:k]], abs=1e-6
            )
            if kind is not CappedStore:
                assert found.ids == tuple(e[1] for e in expected[:k])
                assert found.parts == tuple(e[2] for e in expected[:k])
            stored = engine.vectors(found.ids)
            for row, part, own in zip(found.vectors, found.parts, stored, strict=True):
                assert own is not None
                np.testing.assert_array_equal(row, own[part])


class TestMostRows:
    """A store returns at most 20 rows, however many are asked for."""

    def test_more_hits_than_that_are_refused(self) -> None:
        engine = over(CappedStore)
        engine.put(photos(30), random_unit(30))
        with pytest.raises(EngineError, match=r"(?i)at most 20"):
            engine.nearest(random_unit(1), 21)
        assert len(engine.nearest(random_unit(1), 20)[0]) == 20

    def test_a_rare_match_is_found_beyond_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(document_reading, "FEW", 1)
        engine = over(CappedStore)
        vectors, query = random_unit(200), random_unit(1, 1)
        scores = (vectors @ query[0]).argsort()
        records = photos(200)
        for n in scores[:3]:  # the farthest ones
            records[n] = replace(records[n], caption="a lake")
        engine.put(records, vectors)
        (found,) = engine.nearest(query, 5, Compare("caption", "contains", "lake"))
        assert set(found.ids) == {records[n].id for n in scores[:3]}
        assert found.total == 3

    def test_records_of_many_parts_do_not_hide_others(self) -> None:
        engine = over(CappedStore)
        query = random_unit(1, 1)
        near = unit(query + 0.01 * random_unit(40, 2))
        crowd = [Record(f"crowd{n}", f"r/{n}", parts=(WHOLE,) * 20) for n in range(2)]
        engine.put([*crowd, *photos(10)], np.concatenate([near, random_unit(10, 3)]))
        (found,) = engine.nearest(query, 12)
        assert len(found) == 12
        assert set(found.ids[:2]) == {"crowd0", "crowd1"}


class TestRemembering:
    """A store begins a call with what it remembers, and asks meanwhile whether that holds."""

    def warm(self) -> tuple[DocumentEngine, RememberingStore, DocumentEngine]:
        """An engine that has read twice, its store, and an engine of another machine."""
        name = new_name()
        store = RememberingStore(name)
        engine = DocumentEngine(store)
        engine.ensure(SPACE)
        engine.put(photos(9), random_unit(9))
        assert engine.count() == engine.count() == 9
        other = DocumentEngine(RememberingStore(name))
        other.ensure(SPACE)
        store.asked.clear()
        return engine, store, other

    def test_a_call_that_others_do_not_disturb_asks_once(self) -> None:
        engine, store, _ = self.warm()
        assert len(engine.nearest(random_unit(1, 1), 5)[0]) == 5
        assert store.asked == ["meanwhile"]
        store.asked.clear()

        def several() -> tuple[Any, ...]:
            near = engine.nearest(random_unit(1, 1), 5)[0]
            return near.total, engine.get(near.ids), engine.count(), engine.space

        total, records, count, space = engine.with_few_requests(several)
        assert (total, count, space) == (9, 9, SPACE)
        assert None not in records
        assert store.asked == ["meanwhile"]

    def test_what_others_wrote_before_a_call_is_seen(self) -> None:
        engine, store, other = self.warm()
        for n in range(10, 14):
            other.put(photos(n), random_unit(n))
            assert engine.count() == n
            assert len(engine.nearest(random_unit(1, 1), 20)[0]) == n
            assert engine.with_few_requests(lambda: (engine.count(), engine.count())) == (n, n)
            assert engine.count() == n
        other.delete(["id000"])
        assert engine.get(["id000"]) == [None]
        assert engine.count() == 12
        assert "meanwhile" in store.asked

    def test_a_space_that_others_activate_is_the_one_that_is_searched(self) -> None:
        engine, _, other = self.warm()
        other.add_space(NEW)
        other.put_vectors(NEW, photos(9), random_unit(9, dim=24))
        assert engine.count() == engine.count() == 9
        other.activate(NEW)
        other.drop_space(SPACE)
        assert engine.with_few_requests(lambda: (engine.space, engine.count())) == (NEW, 9)
        assert len(engine.nearest(random_unit(1, dim=24), 5)[0]) == 5

    def test_errors_of_a_call_that_began_with_what_no_longer_holds_are_dropped(self) -> None:
        engine, _, other = self.warm()
        other.add_space(NEW)
        assert engine.count() == engine.count() == 9
        other.activate(NEW)
        assert len(engine.nearest(random_unit(1, dim=24), 5)[0]) == 0  # not an error of dimensions
        with pytest.raises(EngineError, match="dimension"):
            engine.nearest(random_unit(1), 5)


def test_what_an_approximate_store_loses_is_made_up_for() -> None:
    engine = over(HastyStore)
    engine.put(photos(40), random_unit(40))
    (found,) = engine.nearest(random_unit(1, 1), 40)
    assert len(set(found.ids)) == 40
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


@pytest.mark.parametrize("kind", [FewStore, CappedStore])
def test_words_are_found_under_a_filter_that_the_store_can_not_express(kind: Any) -> None:
    engine = over(kind)
    records = [replace(each, caption="a dog" if i % 3 else "") for i, each in enumerate(photos(15))]
    records[4] = replace(records[4], caption="a dog by a lake", tags=("kept",))
    engine.put(records, random_unit(15))
    found = engine.find_words("dog lake", 3, Compare("tags", "contains", "kept"))
    assert [(each.id, each.complete) for each in found.matches] == [("id004", True)]
    assert found.complete == 1
    found = engine.find_words("dog", 2, Compare("width", "le", 6))
    assert [each.id for each in found.matches] == ["id001", "id002"]
    assert found.complete == 4


@pytest.mark.parametrize("kind", [FewStore, CappedStore])
def test_words_are_looked_for_until_enough_are_found(kind: Any) -> None:
    engine = over(kind)
    records = photos(19, caption="a dog")
    engine.put([*records[:-1], replace(records[-1], tags=("kept",))], random_unit(19))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document_reading, "_SPARE", 1)
        found = engine.find_words("dog", 1, Compare("tags", "contains", "kept"), counted=False)
    assert [each.id for each in found.matches] == ["id018"]


def test_facets_are_counted_by_the_store_if_it_can_express_the_filter() -> None:
    able, unable = over(MemoryStore), over(FewStore)
    records = [replace(each, tags=("a", f"t{i % 3}")) for i, each in enumerate(photos(20))]
    for each in (able, unable):
        each.put(records, random_unit(20))
    where = Compare("caption", "contains", "x")
    assert able.facets(where, ["tag"], 3) == {"tag": {}}
    assert unable.facets(where, ["tag"], 3) is None
    wide = Compare("width", "ge", 5)
    expected = facets.count([each for each in records if filters.matches(wide, each)], 3)
    counted = able.facets(wide, ["tag", "folder"], 3)
    assert counted == {name: expected[name] for name in ("tag", "folder")}


# ------------------------------------------------------------------ refreshing


class TestRefreshing:
    """A server shows writes to searches only after a refresh."""

    def test_every_engine_sees_every_write(self) -> None:
        name = new_name()
        writer, reader = over(DelayedStore, name), over(DelayedStore, name)
        for n in range(1, 4):
            writer.put(photos(n * 10), random_unit(n * 10))
            for each in (reader, writer):
                assert each.count() == n * 10
                assert len(each.nearest(random_unit(1), 50)[0]) == n * 10
        reader.delete(["id003"])
        assert "id003" not in set(writer.matching_ids())
        reader.describe([replace(photos(5)[4], tags=("lake",))])
        assert writer.count(Compare("tags", "contains", "lake")) == 1

    def test_the_server_is_not_asked_to_if_nobody_wrote(self) -> None:
        name = new_name()
        writer, reader = over(DelayedStore, name), over(DelayedStore, name)
        writer.put(photos(10), random_unit(10))

        def read() -> int:
            reader.count()
            reader.nearest(random_unit(2), 3, Compare("width", "ge", 2))
            reader.select(None, order="uri", descending=False, k=3, offset=0)
            list(reader.known())
            store = reader.store
            assert isinstance(store, DelayedStore)
            return store.refreshed

        once = read()
        assert read() == read() == once
        writer.delete(["id001"])
        assert read() == once + 1


# ------------------------------------------------------------------ switching

TWIN = Space("b" * 64, DIM, "twin-model")


def switch(engine: DocumentEngine, *, again: bool) -> None:
    """Let another model serve, and drop the vectors of the first; add it again if `again`."""
    engine.add_space(TWIN)
    some = engine.lacking(TWIN, 99)
    engine.put_vectors(TWIN, some, random_unit(len(some), 7))
    engine.activate(TWIN)
    engine.drop_space(SPACE)
    if again:
        engine.add_space(SPACE)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("step", ["count", "nearest", "fetch"])
def test_a_search_during_which_another_model_takes_over_is_repeated(
    step: str, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = over(MemoryStore)
    other = over(MemoryStore, engine.store.name.removeprefix("memory://"))
    engine.put(photos(30), random_unit(30))
    original, switched = getattr(MemoryStore, step), []

    def with_a_switch(*args: Any, **kwargs: Any) -> Any:
        if not switched:
            switched.append(True)
            switch(other, again=again)
        return original(*args, **kwargs)

    monkeypatch.setattr(MemoryStore, step, with_a_switch)
    (found,) = engine.nearest(random_unit(1, 1), 40)
    assert switched
    assert len(found) == found.total == 30
    (expected,) = other.nearest(random_unit(1, 1), 40)
    assert found.ids == expected.ids


@pytest.mark.parametrize("again", [False, True])
def test_records_are_listed_once_while_another_model_takes_over(
    again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_reading, "PAGE", 4)
    engine = over(MemoryStore)
    engine.put(photos(30), random_unit(30))
    listing = engine.known()
    first = next(listing)
    switch(engine, again=again)
    assert [each.id for each in (first, *listing)] == [each.id for each in photos(30)]


# ------------------------------------------------------------------ other writers


def tagged(given: Record, stored: Record) -> Record:
    """Add the given tags to the stored ones."""
    return replace(stored, tags=(*stored.tags, *given.tags))


def interfering(monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any], times: int = 1) -> None:
    """Have another machine come between a fetch and the write that follows it."""
    left = [times]

    def before() -> None:
        if left[0]:
            left[0] -= 1
            call()

    monkeypatch.setattr(VersionedStore, "before_write", staticmethod(before))


@pytest.mark.parametrize("kind", [VersionedStore, DescribingStore])
class TestOtherMachines:
    """Another machine does not share our lock; the store's versions tell that it was there."""

    @pytest.fixture
    def engine(self, kind: Any) -> DocumentEngine:
        engine = over(kind)
        engine.put(photos(6), random_unit(6))
        engine.add_space(NEW)
        some = engine.lacking(NEW, 3)
        engine.put_vectors(NEW, some, random_unit(3, dim=NEW.dim))
        return engine

    @pytest.fixture
    def other(self, engine: DocumentEngine, kind: Any) -> DocumentEngine:
        return DocumentEngine(kind(engine.store.name.removeprefix("memory://")))

    @pytest.mark.parametrize("times", [1, 3])
    def test_neither_loses_what_the_other_said(
        self, engine: DocumentEngine, other: DocumentEngine, times: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        records = [replace(each, tags=("ours",)) for each in photos(4)]
        theirs = [replace(each, tags=("theirs",)) for each in photos(2)]
        interfering(monkeypatch, lambda: other.describe(theirs, tagged), times)
        assert engine.describe(records, tagged) == 4
        for each in (engine, other):
            for record in each.get(["id000", "id001"]):
                assert record is not None
                assert sorted(record.tags) == sorted(["ours", *["theirs"] * times])
            assert [r and r.tags for r in each.get(["id002", "id003"])] == [("ours",)] * 2
        assert engine.held(NEW) == 3
        engine.activate(NEW)
        assert [r and len(r.tags) for r in engine.get(["id000", "id003"])] == [1 + times, 1]

    def test_a_new_version_of_a_file_is_merged_with_it(
        self, engine: DocumentEngine, other: DocumentEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new = [replace(each, digest="f" * 64) for each in photos(8)]
        interfering(monkeypatch, lambda: other.describe([replace(photos(1)[0], tags=("theirs",))]))
        vectors = random_unit(8, 5)
        engine.put(new, vectors, lambda record, stored: replace(record, tags=stored.tags))
        found = engine.get([each.id for each in new])
        assert found[0] == replace(new[0], tags=("theirs",))
        assert found[1:] == new[1:]
        for each, row in zip(engine.vectors([each.id for each in new]), vectors, strict=True):
            assert each is not None
            np.testing.assert_allclose(each, row[None], atol=1e-3)

    def test_what_they_delete_does_not_come_back(
        self, engine: DocumentEngine, other: DocumentEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        interfering(monkeypatch, lambda: other.delete(["id001"]))
        records = [replace(each, tags=("ours",)) for each in photos(3)]
        assert engine.describe(records) == 2
        assert engine.get(["id001"]) == [None]
        engine.activate(NEW)
        assert engine.get(["id001"]) == [None]

    def test_vectors_are_not_given_to_what_they_changed(
        self, engine: DocumentEngine, other: DocumentEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        some = engine.lacking(NEW, 9)
        assert [each.id for each in some] == ["id003", "id004", "id005"]
        changed = replace(some[0], digest="f" * 64)
        interfering(monkeypatch, lambda: other.put([changed], random_unit(1, 9)))
        assert engine.put_vectors(NEW, some, random_unit(3, dim=NEW.dim)) == 2
        assert engine.lacking(NEW, 9) == [changed]

    def test_it_ends_if_they_never_stop(
        self, engine: DocumentEngine, other: DocumentEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs = [replace(photos(1)[0], tags=("theirs",))]
        depth = threading.local()

        def again() -> None:
            if not getattr(depth, "inside", False):
                depth.inside = True
                other.describe(theirs)
                depth.inside = False

        interfering(monkeypatch, again, 10_000)
        with pytest.raises(EngineError, match=r"(?i)keep changing the same records: id000"):
            engine.describe([replace(each, tags=("ours",)) for each in photos(2)])
        assert [each and each.tags for each in other.get(["id000", "id001"])] == [
            ("theirs",),
            ("ours",),
        ]


@pytest.mark.parametrize("kind", [MemoryStore, FewStore])
def test_threads_that_tag_one_record_lose_nothing(kind: Any) -> None:
    name = new_name()
    over(kind, name).put(photos(1), random_unit(1))

    def tag(n: int) -> None:
        engine = over(kind, name)
        for i in range(20):
            engine.describe([replace(photos(1)[0], tags=(f"{n}-{i}",))], tagged)

    threads = [threading.Thread(target=tag, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    (record,) = over(kind, name).get(["id000"])
    assert record is not None
    assert sorted(record.tags) == sorted(f"{n}-{i}" for n in range(4) for i in range(20))


# ------------------------------------------------------------------ crashes between collections


class Killed(BaseException):
    """The process ends here."""


THIRD = Space("c" * 64, 8, "third-model")


def act(engine: DocumentEngine, action: str) -> None:
    """Change several collections in one call."""
    match action:
        case "put":
            new = [Record(f"a-new{n}", f"r/{n}", digest="ab") for n in range(3)]
            changed = [replace(each, digest="f" * 64) for each in photos(2)]
            engine.put([*new, *changed], random_unit(5, 3))
        case "delete":
            engine.delete(["id001", "id008"])
        case "describe":
            engine.describe([replace(each, tags=("a",)) for each in photos(3)])
        case "add":
            engine.drop_space(THIRD)
            engine.add_space(THIRD)
        case "activate":
            engine.activate(NEW)


def killed_in_front_of(change: int, engine: DocumentEngine, action: str) -> bool:
    """Do something in a process that ends in front of its nth change, if it gets there."""
    left = [change]

    def mortal(original: Callable[..., Any]) -> Callable[..., Any]:
        def method(*args: Any) -> Any:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return original(*args)

        return method

    with pytest.MonkeyPatch.context() as patch:
        for name in ("write", "delete", "create", "activate", "drop"):
            patch.setattr(MemoryStore, name, mortal(getattr(MemoryStore, name)))
        try:
            act(engine, action)
        except Killed:
            return True
    return False


@pytest.mark.parametrize("change", range(5))
@pytest.mark.parametrize("action", ["put", "delete", "describe", "add", "activate"])
def test_collections_are_in_step_again_after_a_crash(
    action: str, change: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_writing, "PAGE", 4)
    engine = over(MemoryStore)
    engine.put(photos(10), random_unit(10))
    for space in (NEW, THIRD):
        engine.add_space(space)
    engine.put_vectors(NEW, engine.lacking(NEW, 6), random_unit(6, dim=NEW.dim))
    before = list(engine.export())

    again = DocumentEngine(MemoryStore(engine.store.name.removeprefix("memory://")))
    killed = killed_in_front_of(change, engine, action)
    if killed and action != "activate":  # nothing was promised, and nothing is half done
        ((records, vectors),) = again.export()
        assert records == before[0][0]
        np.testing.assert_array_equal(vectors, before[0][1])
    now = sorted(again.matching_ids())
    for space in (SPACE, NEW, THIRD):
        again.add_space(space)
        lacking = [each.id for each in again.lacking(space, 99)]
        assert len(lacking) + again.held(space) == len(now)
        if space is NEW:  # what nothing happened to keeps its vectors
            assert {"id002", "id003", "id004", "id005"}.isdisjoint(lacking)
    for space in (NEW, THIRD, SPACE):
        again.activate(space)
        assert sorted(again.matching_ids()) == now
        found = again.get(now)
        if action == "describe" and not killed:
            assert {each.id for each in found if each and each.tags} == {"id000", "id001", "id002"}


# ------------------------------------------------------------------ libraries in memory


def test_a_name_is_the_same_library_for_everyone() -> None:
    name = new_name()
    with open_engine(f"memory://{name}") as engine:
        engine.ensure(SPACE)
        engine.put(photos(3), random_unit(3))
    with open_engine(f"memory://{name}") as again, open_engine(f"memory://{name}2") as other:
        assert again.count() == 3
        assert other.space is None
        with pytest.raises(EngineError, match=r"(?i)closed: memory://"):
            engine.count()


def test_a_library_in_memory_needs_a_name() -> None:
    with pytest.raises(ConfigError, match="memory://NAME"):
        open_engine("memory://")
