"""The contract of engines that hold several spaces."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import search
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_contract import assert_neighbours, select

from pixseek.engines import open_engine
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.embedded import engine as embedded
from pixseek.engines.embedded import indexes
from pixseek.errors import EngineError, SpaceMismatchError
from pixseek.types import WHOLE, Compare, Engine, Part, Record, Space, Stamp

from vectors import SPACE, Opener, random_unit, unit

NEW_DIM = 24
NEW = Space("a" * 64, NEW_DIM, "new-model")


def photos(n: int, start: int = 0, **more: Any) -> list[Record]:
    return [
        Record(f"id{i:05}", f"photos/{i}.jpg", Stamp(i, i), f"{i:064x}", **more)
        for i in range(start, start + n)
    ]


def vector_of(record: Record, dim: int, part: int = 0) -> Any:
    """The vector that a model of this length always gives this content."""
    seed = int(record.digest[-6:] or "0", 16) * 100 + part
    return unit(np.random.default_rng([dim, seed]).standard_normal(dim))


def vectors_of(records: list[Record], dim: int) -> Any:
    rows = [vector_of(r, dim, n) for r in records for n in range(len(r.parts))]
    return np.array(rows, np.float32).reshape(-1, dim)


def put(engine: Engine, records: list[Record]) -> None:
    space = engine.space
    assert space is not None
    engine.put(records, vectors_of(records, space.dim))


@pytest.mark.slow
@pytest.mark.parametrize(
    "opener", ["elasticsearch", "opensearch", "qdrant", "milvus"], indirect=True
)
def test_another_space_does_not_take_the_place_of_an_active_one_that_was_deleted_by_hand(
    opener: Opener, engine: Engine
) -> None:
    """Its collection is gone, as if somebody had deleted it on the server."""
    assert isinstance(engine, DocumentEngine)
    put(engine, photos(3))
    engine.add_space(NEW)
    fill(engine, NEW)
    engine.store.drop(SPACE)
    for use in (
        engine.spaces, engine.count, lambda: list(engine.known()),
        lambda: engine.nearest(np.eye(NEW_DIM, dtype=np.float32)[:1], 1),
        lambda: put(engine, photos(1)), lambda: engine.delete(["id00001"]),
        lambda: engine.ensure(SPACE), lambda: opener().spaces(),
    ):  # fmt: skip
        with pytest.raises(EngineError, match=r"was deleted on the server.*\n.*new-model"):
            use()


def fill(engine: Engine, space: Space, at_most: int = 10**6, batch: int = 7) -> int:
    """Give records their vectors in a space, in batches."""
    done, after = 0, ""
    while done < at_most and (some := engine.lacking(space, batch, after)):
        done += engine.put_vectors(space, some, vectors_of(some, space.dim))
        after = some[-1].id
    return done


def assert_whole(engine: Engine, expected: list[Record]) -> None:
    """Check that each record has the vectors of its content in the active space."""
    space = engine.space
    assert space is not None
    assert engine.count() == len(expected) == engine.held(space)
    found = engine.vectors([record.id for record in expected])
    for record, rows in zip(expected, found, strict=True):
        wanted = vectors_of([record], space.dim).astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(rows, wanted)
    for record in expected[:5]:
        (best,) = search(engine, vector_of(record, space.dim)[None], 1)
        assert vector_of(best[0].record, space.dim) @ vector_of(record, space.dim) > 0.99


@pytest.fixture
def filled(engine: Engine) -> Engine:
    put(engine, photos(30))
    return engine


class TestSwitch:
    def test_the_old_space_answers_until_the_switch(self, filled: Engine, opener: Opener) -> None:
        other = opener()
        filled.add_space(NEW)
        filled.add_space(NEW)
        assert filled.spaces() == other.spaces() == [SPACE, NEW]
        assert (filled.held(SPACE), filled.held(NEW)) == (30, 0)
        assert fill(filled, NEW, at_most=14) == 14
        for each in (filled, other):
            assert each.space == SPACE
            assert_whole(each, photos(30))
            assert each.held(NEW) == 14
        assert fill(filled, NEW) == 16
        assert filled.lacking(NEW, 100) == []
        filled.activate(NEW)
        for each in (filled, other, opener()):
            assert each.spaces() == [NEW, SPACE]
            assert_whole(each, photos(30))
            assert [len(rows) for _, rows in each.export(8)] == [8, 8, 8, 6]
            assert each.sample(10).shape == (10, NEW_DIM)
            assert_neighbours(each, random_unit(1, dim=NEW_DIM), 9, Compare("size", "lt", 20))
            assert len(select(each)) == 30
        filled.drop_space(SPACE)
        filled.drop_space(SPACE)
        for each in (filled, other):
            assert each.spaces() == [NEW]
            assert each.held(SPACE) == 0
            assert_whole(each, photos(30))
        put(filled, photos(3, 30))
        assert_whole(other, photos(33))

    def test_a_kept_space_can_become_active_again(self, filled: Engine, opener: Opener) -> None:
        other = opener()
        where = Compare("tags", "contains", "lake")
        tagged = photos(5, tags=("lake",))
        put(filled, tagged)
        # Twice each, since a filter that comes again is answered from memory.
        for each in (filled, other):
            assert [len(search(each, random_unit(1), 9, where)[0]) for _ in range(3)] == [5] * 3
        filled.add_space(NEW)
        fill(filled, NEW)
        filled.activate(NEW)
        # While another space is active: new, changed, deleted, tagged and untagged images.
        records = {record.id: record for record in [*tagged, *photos(25, 5)]}
        changes = [
            *photos(2, 30),
            replace(records["id00003"], digest="f" * 64),
            replace(records["id00001"], tags=()),
            replace(records["id00009"], tags=("lake",), uri="photos/moved.jpg"),
        ]
        put(filled, changes)
        filled.delete(["id00000", "id00020"])
        records |= {record.id: record for record in changes}
        del records["id00000"], records["id00020"]
        assert_whole(filled, list(records.values()))
        assert {record.id for record in filled.lacking(SPACE, 99)} == {
            "id00003", "id00030", "id00031",
        }  # fmt: skip
        assert filled.held(SPACE) == 27
        fill(filled, SPACE)
        filled.activate(SPACE)
        for each in (other, filled):
            assert_whole(each, list(records.values()))
            for _ in range(3):
                (found,) = search(each, random_unit(1), 9, where)
                assert {match.record.id for match in found} == {
                    "id00002", "id00003", "id00004", "id00009",
                }  # fmt: skip

    def test_the_active_space_can_not_be_dropped(self, filled: Engine) -> None:
        with pytest.raises(EngineError, match=r"(?i)can't be dropped: tiny-model"):
            filled.drop_space(SPACE)
        assert_whole(filled, photos(30))

    def test_a_space_that_is_not_held_is_refused(self, filled: Engine, opener: Opener) -> None:
        for call in (
            lambda: filled.activate(NEW),
            lambda: filled.lacking(NEW, 1),
            lambda: filled.put_vectors(NEW, photos(1), random_unit(1, dim=NEW_DIM)),
        ):
            with pytest.raises(EngineError, match=r"(?i)no vectors of this space: new-model"):
                call()
        filled.add_space(NEW)
        with pytest.raises(EngineError, match=r"(?i)another length"):
            filled.add_space(replace(NEW, dim=8))

    def test_spaces_before_the_first_ensure(self, opener: Opener) -> None:
        engine = opener()
        assert engine.spaces() == []
        assert engine.held(NEW) == 0
        engine.drop_space(NEW)
        with pytest.raises(EngineError, match=r"(?i)no space yet"):
            engine.add_space(NEW)

    def test_put_is_refused_after_another_process_switched(
        self, filled: Engine, opener: Opener
    ) -> None:
        twin = Space("b" * 64, SPACE.dim, "twin-model")
        other = opener()
        other.add_space(twin)
        fill(other, twin)
        other.activate(twin)
        with pytest.raises(SpaceMismatchError, match=r"(?i)twin-model.*not tiny-model"):
            filled.put(photos(1), random_unit(1))
        assert_whole(filled, photos(30))
        filled.ensure(twin)
        put(filled, photos(1))

    def test_an_empty_store_takes_any_space(self, filled: Engine) -> None:
        filled.add_space(NEW)
        fill(filled, NEW)
        filled.delete([record.id for record in photos(30)])
        assert (filled.held(SPACE), filled.held(NEW)) == (0, 0)
        filled.ensure(Space("c" * 64, 8, "third-model"))
        assert [space.model for space in filled.spaces()] == ["third-model"]
        put(filled, photos(3))
        assert_whole(filled, photos(3))


class TestVectors:
    def test_lacking_continues_after_an_id(self, filled: Engine) -> None:
        filled.add_space(NEW)
        first = filled.lacking(NEW, 10)
        assert first == photos(10)
        assert filled.lacking(NEW, 10, first[-1].id) == photos(10, 10)
        filled.put_vectors(NEW, first[1:], vectors_of(first[1:], NEW_DIM))
        assert filled.lacking(NEW, 2) == [first[0], *photos(1, 10)]
        assert filled.lacking(SPACE, 2) == []

    def test_put_vectors_skips_records_that_changed(self, filled: Engine) -> None:
        filled.add_space(NEW)
        records = filled.lacking(NEW, 8)
        filled.delete([records[0].id])
        put(
            filled,
            [
                replace(records[1], digest="f" * 64),
                replace(records[2], parts=(WHOLE, Part("tile"))),
                replace(records[3], tags=("a",)),
                replace(records[4], digest=""),
            ],
        )
        some = records[5:6]
        assert filled.put_vectors(NEW, some, vectors_of(some, NEW_DIM)) == 1
        assert filled.put_vectors(NEW, records, random_unit(8, dim=NEW_DIM)) == 3
        lacking = {record.id: record for record in filled.lacking(NEW, 99)}
        assert {"id00001", "id00002", "id00004"} <= lacking.keys()
        assert lacking.keys().isdisjoint({"id00000", "id00003", "id00005", "id00006"})
        assert lacking["id00002"].parts == (WHOLE, Part("tile"))
        # That which had its vectors kept them.
        filled.activate(NEW)
        (kept,) = filled.vectors(["id00005"])
        np.testing.assert_allclose(kept, vectors_of(some, NEW_DIM), atol=1e-3)

    def test_records_of_several_parts(self, engine: Engine) -> None:
        records = photos(9, parts=(WHOLE, Part("tile"), Part("shot", start_s=1.0, end_s=2.0)))
        put(engine, records)
        engine.add_space(NEW)
        assert fill(engine, NEW, batch=2) == 9
        engine.activate(NEW)
        assert engine.get([record.id for record in records]) == records
        assert_whole(engine, records)
        put(engine, [replace(records[0], parts=(WHOLE,))])
        assert [record.id for record in engine.lacking(SPACE, 9)] == ["id00000"]

    @pytest.mark.parametrize("bad", [(2, NEW_DIM), (3, 8)])
    def test_vectors_of_another_shape_are_refused(
        self, filled: Engine, bad: tuple[int, int]
    ) -> None:
        filled.add_space(NEW)
        with pytest.raises(EngineError, match=r"(?i)do not fit"):
            filled.put_vectors(NEW, photos(3), np.ones(bad, np.float32))
        assert filled.held(NEW) == 0

    def test_records_without_digest_lose_their_other_vectors(self, engine: Engine) -> None:
        records = [Record(f"id{i}", f"r/{i}") for i in range(4)]
        engine.put(records, random_unit(4))
        engine.add_space(NEW)
        assert engine.put_vectors(NEW, records, random_unit(4, dim=NEW_DIM)) == 4
        engine.put([replace(records[0], tags=("a",))], random_unit(1))
        assert [record.id for record in engine.lacking(NEW, 9)] == ["id0"]


class TestWithoutVectors:
    def test_a_record_without_vectors_is_found_by_filters_only(
        self, filled: Engine, opener: Opener
    ) -> None:
        filled.add_space(NEW)
        # 28 of 30: the first has two parts then, so that there are as many rows as records.
        put(filled, [replace(photos(1)[0], parts=(WHOLE, Part("tile")), caption="a lake")])
        some = filled.lacking(NEW, 29)
        filled.put_vectors(NEW, some, vectors_of(some, NEW_DIM))
        filled.activate(NEW)
        filled.drop_space(SPACE)
        for each in (filled, opener()):
            assert (each.count(), each.held(NEW)) == (30, 29)
            (bare,) = each.get(["id00029"])
            assert bare == replace(photos(1, 29)[0], parts=())
            (rows,) = each.vectors(["id00029"])
            assert rows.shape == (0, NEW_DIM)
            assert len(search(each, random_unit(1, dim=NEW_DIM), 50)[0]) == 29
            assert {record.id for record in select(each)} >= {"id00029"}
            assert each.count(Compare("size", "ge", 28)) == 2
            for _ in range(3):
                (found,) = each.nearest(random_unit(1, dim=NEW_DIM), 50, Compare("size", "ge", 28))
                assert found.ids == ("id00028",)
            few = Compare("size", "lt", 3)
            assert each.nearest(random_unit(1, dim=NEW_DIM), 50, few)[0].total == 3
            exported = [record for records, _ in each.export() for record in records]
            assert len(exported) == 30
            assert sum(len(rows) for _, rows in each.export()) == 30
        # It can be tagged, and gets vectors in the end.
        filled.put([replace(bare, tags=("odd",))], np.empty((0, NEW_DIM), np.float32))
        assert filled.count(Compare("tags", "contains", "odd")) == 1
        (lacking,) = filled.lacking(NEW, 9)
        assert lacking == replace(bare, tags=("odd",), parts=(WHOLE,))
        assert filled.put_vectors(NEW, [lacking], vectors_of([lacking], NEW_DIM)) == 1
        assert filled.get(["id00029"]) == [lacking]
        assert filled.delete(["id00029", "id00000"]) == 2
        assert filled.held(NEW) == filled.count() == 28

    def test_putting_it_again_keeps_vectors_in_other_spaces(self, filled: Engine) -> None:
        filled.add_space(NEW)
        filled.activate(NEW)
        bare = replace(photos(1)[0], tags=("a",), parts=())
        filled.put([bare], np.empty((0, NEW_DIM), np.float32))
        assert filled.held(SPACE) == 30
        put(filled, [replace(bare, parts=(WHOLE,))])
        assert (filled.held(NEW), filled.held(SPACE)) == (1, 30)


def test_searches_while_a_space_is_filled_and_switched(filled: Engine, opener: Opener) -> None:
    """Each answer is of one space, whole: no search fails, and none finds too little."""
    problems: list[str] = []
    ended, searched = threading.Event(), threading.Event()
    searcher = opener()

    def ask() -> None:
        while not ended.is_set():
            space = searcher.space
            assert space is not None
            try:
                (found,) = search(searcher, vector_of(photos(1)[0], space.dim)[None], 40)
                if len(found) != 30 or found[0].record.id != "id00000":
                    problems.append(f"{len(found)} in {space.model}")
            except EngineError as error:  # switched between the two calls
                if "does not fit the space" not in str(error):
                    problems.append(str(error))
            searched.set()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        spaces = [SPACE, NEW]
        for _ in range(6):
            spaces.reverse()
            filled.add_space(spaces[0])
            fill(filled, spaces[0])
            searched.clear()
            assert searched.wait(20)
            filled.activate(spaces[0])
            filled.drop_space(spaces[1])
    finally:
        ended.set()
        thread.join()
    assert problems == []
    assert_whole(searcher, photos(30))


# ------------------------------------------------------------------ any order of anything

_ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "tag", "change", "delete", "fill", "switch", "drop", "reopen"]),
        st.integers(0, 11),
    ),
    min_size=8,
    max_size=24,
)


@pytest.mark.slow
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=_ACTIONS)
def test_no_order_of_changes_mixes_vectors(opener: Opener, actions: list[tuple[str, int]]) -> None:
    """The model of it: which record has which content, and which of them have vectors where."""
    engine = opener()
    spaces = [SPACE, NEW, Space("e" * 64, SPACE.dim, "third-model")]
    if engine.spaces():
        engine.delete([known.id for known in list(engine.known())])
    engine.ensure(SPACE)
    for space in engine.spaces()[1:]:
        engine.drop_space(space)
    held: dict[Space, dict[str, str]] = {SPACE: {}}  # content by id
    records: dict[str, Record] = {}
    active = SPACE
    for n, (action, i) in enumerate(actions):
        id_, space = f"id{i:05}", spaces[i % 3]
        record = records.get(id_)
        if action == "put" or (action in ("tag", "change") and record is None):
            record = photos(1, i)[0]
        elif action == "tag" and record is not None:
            record = replace(record, tags=(f"tag{n}",))
        elif action == "change" and record is not None:
            record = replace(record, digest=f"{1000 * (n + 1) + i:064x}")
        elif action == "delete":
            engine.delete([id_])
            records.pop(id_, None)
            for each in held.values():
                each.pop(id_, None)
        elif action == "fill":
            engine.add_space(space)
            held.setdefault(space, {})
            fill(engine, space, at_most=i, batch=max(1, i // 2))
            lacking = {r.id for r in engine.lacking(space, 99)}
            held[space] = {r: records[r].digest for r in records if r not in lacking}
        elif action == "switch" and space in held:
            fill(engine, space)
            held[space] = {r: records[r].digest for r in records}
            engine.activate(space)
            active = space
        elif action == "drop" and space != active:
            engine.drop_space(space)
            held.pop(space, None)
        elif action == "reopen":
            engine.close()
            engine = opener()
        if record is not None and action in ("put", "tag", "change"):
            put(engine, [record])
            for each, contents in held.items():
                if each != active and contents.get(id_) != record.digest:
                    contents.pop(id_, None)
            held[active][id_] = record.digest
            records[id_] = record
        assert set(engine.spaces()) == set(held)
        assert engine.space == active
        assert {each: engine.held(each) for each in held} == {e: len(c) for e, c in held.items()}
    for space in held:
        fill(engine, space)
        engine.activate(space)
        assert_whole(engine, list(records.values()))


# ------------------------------------------------------------------ what is the embedded one's own


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "library"


def _fill_for_ever(folder: Path, ready: Any) -> None:
    with open_engine(folder) as engine:
        ready.set()
        while some := engine.lacking(NEW, 3):
            engine.put_vectors(NEW, some, vectors_of(some, NEW_DIM))
            time.sleep(0.002)
        engine.activate(NEW)
        engine.drop_space(SPACE)
        time.sleep(60)


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.05, 0.1, 0.2])
def test_a_killed_switch_continues_where_it_stopped(folder: Path, delay_s: float) -> None:
    with open_engine(folder) as engine:
        engine.ensure(SPACE)
        put(engine, photos(60))
        engine.add_space(NEW)
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_fill_for_ever, args=(folder, ready))
    process.start()
    assert ready.wait(60)
    time.sleep(delay_s)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with open_engine(folder) as engine:
        if engine.space == SPACE:
            assert_whole(engine, photos(60))
            before = engine.held(NEW)
            assert fill(engine, NEW) == 60 - before
            engine.activate(NEW)
        engine.drop_space(SPACE)
        assert_whole(engine, photos(60))
        assert len(list(folder.glob("vectors-*"))) == 1


def test_the_files_of_a_dropped_space_are_deleted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "COMPACT_ROWS", 4)
    monkeypatch.setattr(indexes, "EXACT_ROWS", 4)
    with open_engine(folder) as engine:
        engine.ensure(SPACE)
        put(engine, photos(40))
        engine.add_space(NEW)
        fill(engine, NEW)
    assert len(list(folder.glob("vectors-*"))) == 2
    with open_engine(folder) as engine:
        # Rows die in both, and are dropped in both when the writer closes.
        put(engine, [replace(record, digest="") for record in photos(30)])
    sizes = sorted(path.stat().st_size for path in folder.glob("vectors-*"))
    assert sizes == sorted([40 * SPACE.dim * 2, 10 * NEW_DIM * 2])
    with open_engine(folder) as engine, open_engine(folder) as reader:
        search(reader, random_unit(1), 3)
        assert engine.held(NEW) == 10
        some = engine.lacking(NEW, 99)
        engine.put_vectors(NEW, some, vectors_of(some, NEW_DIM))
        engine.activate(NEW)
        engine.drop_space(SPACE)
        assert len(search(reader, random_unit(1, dim=NEW_DIM), 99)[0]) == 40
        assert [path.stat().st_size for path in folder.glob("vectors-*")] == [40 * NEW_DIM * 2]
    kept = {path.name.split("-")[1].split(".")[0] for path in folder.glob("vectors-*")}
    assert {path.name.split("-")[1] for path in folder.glob("codes-*")} <= kept


def test_rows_that_die_after_another_space_is_dropped_are_seen(folder: Path) -> None:
    """Deaths are counted over all spaces; a reader must not miss one when some are forgotten."""
    with open_engine(folder) as engine, open_engine(folder) as reader:
        engine.ensure(SPACE)
        put(engine, photos(20))
        engine.add_space(NEW)
        fill(engine, NEW)
        engine.delete([record.id for record in photos(5)])
        assert len(search(reader, random_unit(1), 99)[0]) == 15
        engine.drop_space(NEW)
        engine.delete([record.id for record in photos(5, 5)])
        assert len(search(reader, random_unit(1), 99)[0]) == 10


def test_a_read_only_library_lists_its_spaces(folder: Path) -> None:
    with open_engine(folder) as engine:
        engine.ensure(SPACE)
        put(engine, photos(5))
        engine.add_space(NEW)
        fill(engine, NEW, at_most=3, batch=3)
    with embedded.open_embedded(folder, read_only=True) as reader:
        assert reader.spaces() == [SPACE, NEW]
        assert [record.id for record in reader.lacking(NEW, 9)] == ["id00003", "id00004"]
        assert_whole(reader, photos(5))
        # It sees a switch at its next search, and the old files may be gone by then.
        with open_engine(folder) as engine:
            fill(engine, NEW)
            engine.activate(NEW)
            engine.drop_space(SPACE)
            assert_whole(reader, photos(5))
        assert reader.spaces() == [NEW]
        assert_whole(reader, photos(5))
