"""The contract of engines: merging, describing, records that are away, words and facets."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from answers import search
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_contract import plain, select

from pixseek import filters
from pixseek.engines import columns
from pixseek.errors import EngineError, QueryError
from pixseek.search import facets
from pixseek.types import (
    WHOLE,
    Compare,
    Engine,
    FacetField,
    Filter,
    Not,
    Part,
    Record,
    Space,
    WordMatch,
)

from drawn_filters import FILTERS, drawn_records
from vectors import DIM, SPACE, Opener, random_unit

NOTHING = np.empty((0, DIM), np.float32)
AWAY = Compare("away", "eq", True)
NEW = Space("a" * 64, 24, "new-model")
FIELDS: list[FacetField] = ["folder", "year", "camera", "tag", "person", "colour", "format"]

examples = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def ids(records: Sequence[Record]) -> set[str]:
    return {record.id for record in records}


class TestDeleting:
    def test_a_record_that_changed_stays(self, engine: Engine, opener: Opener) -> None:
        records = [Record(f"r{n}", f"r/{n}") for n in range(3)]
        engine.put(records, random_unit(3))
        opener().describe([replace(records[1], caption="changed")])
        seen = []

        def unchanged(stored: Record) -> bool:
            seen.append(stored.id)
            return not stored.caption

        assert engine.delete(["r0", "r1", "missing"], unchanged) == 1
        assert set(seen) == {"r0", "r1"}
        assert [each and each.caption for each in engine.get(["r0", "r1", "r2"])] == [
            None, "changed", "",
        ]  # fmt: skip
        assert engine.delete(["r1"], lambda _: True) == 1
        assert engine.count() == 1

    def test_nothing_is_deleted_if_the_caller_fails(self, engine: Engine) -> None:
        engine.put([Record("a", "r/a")], random_unit(1))
        with pytest.raises(ZeroDivisionError):
            engine.delete(["a"], lambda _: bool(1 / 0))
        assert engine.count() == 1
        assert engine.delete(["a"]) == 1


class TestMerging:
    def test_merge_sees_what_is_stored_at_that_moment(self, engine: Engine, opener: Opener) -> None:
        engine.put([Record("a", "r/a", caption="old", tags=("mine",))], random_unit(1))
        opener().put([Record("a", "r/a", caption="newer", tags=("theirs",))], random_unit(1))
        seen = []

        def keep_tags(new: Record, stored: Record) -> Record:
            seen.append((new.id, stored.caption))
            return replace(new, tags=stored.tags)

        new = [Record("b", "r/b", caption="b"), Record("a", "r/a2", caption="read anew")]
        vectors = random_unit(2, 5)
        engine.put(new, vectors, merge=keep_tags)
        assert seen == [("a", "newer")]
        for each in (engine, opener()):
            assert each.get(["a", "b"]) == [replace(new[1], tags=("theirs",)), new[0]]
            np.testing.assert_allclose(np.concatenate(each.vectors(["b", "a"])), vectors, atol=1e-3)
            assert each.find_words("read", 3).matches[0].id == "a"

    def test_two_writers_that_merge_lose_nothing(self, opener: Opener) -> None:
        engines = [opener(), opener()]
        engines[0].ensure(SPACE)
        engines[0].put([Record("a", "r/a")], random_unit(1))

        def tag(engine: Engine, name: str) -> None:
            for n in range(15):
                new = Record("a", "r/a", tags=(f"{name}{n}",))
                join = lambda new, stored: replace(new, tags=(*stored.tags, *new.tags))  # noqa: E731
                if n % 2:
                    engine.describe([new], merge=join)
                else:
                    engine.put([new], random_unit(1, n), merge=join)

        threads = [
            threading.Thread(target=tag, args=each) for each in zip(engines, "xy", strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (record,) = engines[0].get(["a"])
        assert record is not None
        assert sorted(record.tags) == sorted(f"{name}{n}" for name in "xy" for n in range(15))

    @pytest.mark.parametrize(
        "change", [{"id": "b"}, {"digest": "x"}, {"parts": ()}, {"away": True}], ids=str
    )
    def test_merge_can_change_metadata_only(self, engine: Engine, change: dict[str, Any]) -> None:
        engine.put(plain(1), random_unit(1))
        with pytest.raises(EngineError, match=r"(?i)merging changed"):
            engine.put(plain(1), random_unit(1), merge=lambda new, stored: replace(new, **change))
        with pytest.raises(EngineError, match=r"(?i)merging changed"):
            engine.describe(plain(1), merge=lambda new, stored: replace(new, **change))
        assert engine.get(["id00000"]) == plain(1)

    def test_a_merge_that_fails_changes_nothing(self, engine: Engine) -> None:
        engine.put(plain(2), random_unit(2))

        def fail(new: Record, stored: Record) -> Record:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            engine.put([replace(each, caption="x") for each in plain(3)], random_unit(3), fail)
        assert select(engine) == sorted(plain(2), key=lambda record: record.uri)


class TestDescribing:
    def test_metadata_are_replaced_and_vectors_do_not_move(
        self, engine: Engine, opener: Opener
    ) -> None:
        records = [
            replace(each, digest=f"{n:064x}", parts=(WHOLE, Part("tile"))[: 1 + n % 2])
            for n, each in enumerate(plain(20))
        ]
        engine.put(records, random_unit(30))
        engine.add_space(NEW)
        some = engine.lacking(NEW, 10)
        engine.put_vectors(NEW, some, random_unit(sum(len(r.parts) for r in some), dim=24))
        before = engine.vectors([record.id for record in records])
        reader = opener()
        where = Compare("width", "gt", 5)
        asked: list[Filter] = [where, Compare("tags", "contains", "new"), Not(where)]
        for filter_ in asked * 3:  # answers may be kept in memory
            reader.nearest(random_unit(1), 50, filter_)
            engine.nearest(random_unit(1), 50, filter_)
        given = [
            replace(records[3], width=9, tags=("new",), digest="", parts=(), caption="a lake"),
            replace(records[4], width=9, uri="r/moved.jpg", fields={"rating": 3}),
            Record("nowhere", "r/nowhere"),
        ]
        assert engine.describe(given) == 2
        now = {record.id: record for record in records}
        for each in given[:2]:
            stored = now[each.id]
            now[each.id] = replace(each, digest=stored.digest, parts=stored.parts)
        for each in (engine, reader, opener()):
            assert {record.id: record for record in select(each)} == now
            for filter_ in asked * 2:
                expected = {id_ for id_, r in now.items() if filters.matches(filter_, r)}
                (found,) = search(each, random_unit(1), 50, filter_)
                assert ids([hit.record for hit in found]) == expected
                assert each.nearest(random_unit(1), 1, filter_)[0].total == len(expected)
            assert [match.id for match in each.find_words("lake", 9).matches] == ["id00003"]
            assert (each.held(SPACE), each.held(NEW), each.count()) == (20, 10, 20)
            for one, other in zip(before, each.vectors(list(now)), strict=True):
                np.testing.assert_array_equal(one, other)
        assert engine.get(["nowhere"]) == [None]

    def test_merge_is_given_the_stored_record(self, engine: Engine) -> None:
        engine.put([Record("a", "r/a", caption="old", digest="d")], random_unit(1))
        given = Record("a", "r/a", tags=("new",))
        merge = lambda given, stored: replace(given, caption=stored.caption)  # noqa: E731
        assert engine.describe([given], merge) == 1
        assert engine.get(["a"]) == [Record("a", "r/a", caption="old", digest="d", tags=("new",))]

    def test_nothing_to_describe(self, engine: Engine, opener: Opener) -> None:
        assert engine.describe([]) == 0
        assert engine.describe(plain(3)) == 0
        with pytest.raises(EngineError, match="same id"):
            engine.describe(plain(1) * 2)

    def test_before_anything_is_stored(self, opener: Opener) -> None:
        assert opener().describe(plain(3)) == 0

    def test_what_can_not_be_stored_changes_nothing(self, engine: Engine) -> None:
        engine.put(plain(2), random_unit(2))
        bad = replace(plain(2)[1], caption="a\0b")
        with pytest.raises(EngineError):
            engine.describe([replace(plain(1)[0], caption="x"), bad])
        assert select(engine) == sorted(plain(2), key=lambda record: record.uri)

    def test_a_record_without_vectors_is_described(self, engine: Engine) -> None:
        engine.put([Record("a", "r/a", parts=())], NOTHING)
        assert engine.describe([Record("a", "r/a", caption="dog")]) == 1
        assert engine.get(["a"]) == [Record("a", "r/a", caption="dog", parts=())]

    def test_readers_see_each_of_many_changes(self, engine: Engine, opener: Opener) -> None:
        engine.put(plain(30), random_unit(30))
        wide, tagged = Compare("width", "ge", 1), Compare("tags", "contains", "new")
        reader = opener()
        for n in range(12):
            for each in (engine, reader, reader):
                for where in (wide, tagged):
                    assert each.nearest(random_unit(1), 1, where)[0].total == min(3 * n, 30)
            changed = [replace(each, width=1, tags=("NEW",)) for each in plain(3, 3 * n)]
            engine.describe(changed)
        engine.describe(plain(5))
        engine.put(plain(1, 5), random_unit(1))
        for each in (engine, reader):
            for where in (wide, tagged):
                assert each.nearest(random_unit(1), 1, where)[0].total == 24
                assert each.count(where) == 24

    @pytest.mark.slow
    @examples
    @given(
        records=drawn_records(), wheres=st.lists(FILTERS, min_size=4, max_size=4), data=st.data()
    )
    def test_filters_hold_for_what_was_described(
        self, engine: Engine, records: list[Record], wheres: list[Filter], data: st.DataObject
    ) -> None:
        engine.delete(list(engine.matching_ids()))
        engine.put(plain(12), random_unit(12))
        held = {record.id: record for record in plain(12)}
        for _ in range(2):
            some = [
                replace(record, id=f"id{n:05}", parts=(WHOLE,), digest="")
                for n, record in enumerate(records)
                if data.draw(st.booleans())
            ]
            assert engine.describe(some) == len(some)
            held |= {record.id: record for record in some}
            for where in wheres * 2:
                expected = {id_ for id_, r in held.items() if filters.matches(where, r)}
                assert set(engine.nearest(random_unit(1), 50, where)[0].ids) == expected, where
                assert set(engine.matching_ids(where)) == expected, where


class TestAway:
    @pytest.fixture
    def mixed(self, engine: Engine) -> Engine:
        """Ten records, of which the first three are away."""
        records = [
            Record(f"id{n}", f"r/{n}", digest=f"d{n}", caption="a dog", tags=("t",), width=1 + n)
            for n in range(10)
        ]
        engine.put(records, random_unit(10))
        engine.put([replace(each, away=True, parts=()) for each in records[:3]], NOTHING)
        return engine

    def test_it_is_kept_and_found_only_if_asked_for(self, mixed: Engine, opener: Opener) -> None:
        gone, there = {"id0", "id1", "id2"}, {f"id{n}" for n in range(3, 10)}
        for each in (mixed, opener()):
            (record,) = each.get(["id1"])
            assert record is not None and record.away
            assert (record.parts, record.fields, record.tags) == ((), {}, ("t",))
            assert [rows.shape for rows in each.vectors(["id1"]) if rows is not None] == [(0, DIM)]
            exported = [record for records, _ in each.export(4) for record in records]
            assert {record.id for record in exported if record.away} == gone
            assert len(exported) == 10
            assert ids(select(each)) == set(each.matching_ids()) == there
            assert each.count() == each.held(SPACE) == 7
            assert {known.id for known in each.known()} == there
            assert list(each.with_digests([f"d{n}" for n in range(10)])) and not gone & {
                known.id
                for some in each.with_digests([f"d{n}" for n in range(10)]).values()
                for known in some
            }
            assert each.lacking(SPACE, 99) == []
            assert each.sample(99).shape == (7, DIM)
            (found,) = each.nearest(random_unit(1), 99)
            assert (set(found.ids), found.total) == (there, 7)
            few = Compare("width", "le", 4)
            assert set(each.nearest(random_unit(1), 99, few)[0].ids) == {"id3"}
            assert each.nearest(random_unit(1), 99, few)[0].total == 1
            assert set(each.matching_ids(few)) == {"id3"}
            assert each.count(few) == 1
            words = each.find_words("dogs", 99)
            assert ({match.id for match in words.matches}, words.complete) == (there, 7)
            counted = each.facets(None, ["tag"], 5)
            assert counted in (None, {"tag": {"t": 7}})

            assert set(each.matching_ids(AWAY)) == gone == ids(select(each, AWAY))
            assert each.count(AWAY) == 3
            assert each.count(Compare("away", "ne", True)) == 7
            assert each.count(Compare("away", "eq", False)) == 7
            assert each.count(Compare("away", "ne", False)) == 3
            assert {match.id for match in each.find_words("dogs", 99, AWAY).matches} == gone
            assert each.facets(AWAY, ["tag"], 5) in (None, {"tag": {"t": 3}})
            assert each.nearest(random_unit(1), 99, AWAY)[0].ids == ()

    def test_it_comes_back(self, mixed: Engine) -> None:
        (record,) = mixed.get(["id1"])
        assert record is not None
        mixed.put([replace(record, away=False, parts=(WHOLE,))], random_unit(1, 7))
        assert mixed.count() == mixed.held(SPACE) == 8
        assert "id1" in set(mixed.matching_ids()) & set(mixed.nearest(random_unit(1), 99)[0].ids)
        mixed.delete(["id0", "id2"])
        assert (mixed.count(), mixed.count(AWAY)) == (8, 0)

    def test_its_vectors_go_from_all_spaces(self, engine: Engine) -> None:
        records = [Record(f"id{n}", f"r/{n}", digest=f"d{n}") for n in range(4)]
        engine.put(records, random_unit(4))
        engine.add_space(NEW)
        engine.put_vectors(NEW, records[:3], random_unit(3, dim=24))
        asked = engine.lacking(NEW, 9)
        engine.put([replace(each, away=True, parts=()) for each in records[2:]], NOTHING)
        assert (engine.held(SPACE), engine.held(NEW)) == (2, 2)
        assert engine.lacking(NEW, 9) == []
        assert engine.put_vectors(NEW, asked, random_unit(1, dim=24)) == 0
        engine.activate(NEW)
        assert ids(select(engine)) == {"id0", "id1"}

    def test_describing_changes_what_is_said_but_not_that_it_is_away(self, mixed: Engine) -> None:
        assert mixed.describe([Record("id0", "r/0", fields={"rating": 4})]) == 1
        (record,) = mixed.get(["id0"])
        assert record == Record(
            "id0", "r/0", digest="d0", fields={"rating": 4}, parts=(), away=True
        )
        assert mixed.describe([Record("id5", "r/5", away=True, digest="other")]) == 1
        assert mixed.get(["id5"]) == [Record("id5", "r/5", digest="d5")]

    def test_it_has_no_parts(self, engine: Engine) -> None:
        with pytest.raises(EngineError, match="away has parts"):
            engine.put([Record("a", "r/a", away=True)], random_unit(1))

    def test_its_mark_is_not_a_user_field(self, mixed: Engine) -> None:
        where = Compare(f"fields.{columns.AWAY_FIELD}", "eq", True)
        for _ in range(3):
            assert mixed.count(where) == 0
            assert mixed.nearest(random_unit(1), 9, where)[0].ids == ()
        fields = {columns.AWAY_FIELD: True}
        with pytest.raises(EngineError, match="reserved"):
            mixed.put([Record("a", "r/a", fields=fields)], random_unit(1))
        tricky = Record("b", "r/b", caption=columns.AWAY_MARK, fields={columns.AWAY_MARK: "x"})
        tricky = replace(tricky, fields={**tricky.fields, "x": columns.AWAY_MARK})
        mixed.put([tricky], random_unit(1))
        assert mixed.get(["b"]) == [tricky]
        assert "b" in set(mixed.matching_ids())

    @pytest.mark.slow
    @examples
    @given(records=drawn_records(), wheres=st.lists(FILTERS, min_size=6, max_size=6))
    def test_filters_leave_it_out(
        self, engine: Engine, records: list[Record], wheres: list[Filter]
    ) -> None:
        engine.delete(record.id for batch, _ in list(engine.export()) for record in batch)
        records = [
            replace(record, away=True, parts=()) if n % 3 == 0 else record
            for n, record in enumerate(records)
        ]
        engine.put(records, random_unit(8))
        for where in wheres:
            expected = {r.id for r in records if not r.away and filters.matches(where, r)}
            assert set(engine.matching_ids(where)) == expected == ids(select(engine, where))
            assert engine.count(where) == len(expected)
            assert engine.nearest(random_unit(1), 1, where)[0].total == len(expected)


def test_ids_come_once_and_from_one_moment(engine: Engine) -> None:
    engine.put(plain(300), random_unit(300))
    where = Compare("uri", "glob", "photos/3/*")
    expected = sorted(record.id for record in plain(300) if filters.matches(where, record))
    assert sorted(engine.matching_ids(where)) == expected
    assert sorted(engine.matching_ids()) == [record.id for record in plain(300)]
    asked = engine.matching_ids()
    first = next(asked)
    engine.put(plain(5, 1000), random_unit(5))
    assert sorted([first, *asked]) == [record.id for record in plain(300)]
    with pytest.raises(QueryError):
        engine.matching_ids(Compare("widht", "eq", 1))


def test_more_than_max_k_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.put(plain(5), random_unit(5))
    limited = replace(engine.capabilities, max_k=3)
    monkeypatch.setattr(engine, "capabilities", limited)
    assert len(engine.nearest(random_unit(1), 3)[0]) == 3
    with pytest.raises(EngineError, match=r"4, but at most 3"):
        engine.nearest(random_unit(1), 4)


# ------------------------------------------------------------------ words


class TestAllWords:
    def test_how_many_have_all_words(self, engine: Engine) -> None:
        captions = ["apple pear", "pear", "apple", "pear and apples", "stone", ""]
        records = [Record(f"id{n}", f"r/{n}", caption=text) for n, text in enumerate(captions)]
        engine.put([*records, *plain(20)], random_unit(26))
        found = engine.find_words("apple pear", 9)
        assert {match.id: match.complete for match in found.matches} == {
            "id0": True, "id3": True, "id1": False, "id2": False,
        }  # fmt: skip
        assert found.complete == 2
        assert engine.find_words("apple pear", 9, counted=False).matches == found.matches
        first = engine.find_words("apple pear", 1)
        assert (len(first.matches), first.complete) == (1, 2)
        assert isinstance(first.matches[0], WordMatch)
        where = Compare("id", "in", ("id0", "id1"))
        assert engine.find_words("apple pear", 9, where).complete == 1
        assert engine.find_words("pear", 9, where).complete == 2
        assert engine.find_words("pear", 9).complete == 3
        nowhere = engine.find_words("apple elephant", 9)
        assert len(nowhere.matches) == 3 and not any(each.complete for each in nowhere.matches)
        assert nowhere.complete == 0
        assert engine.find_words("elephant", 9).complete == 0

    @examples
    @given(
        texts=st.lists(st.sets(st.sampled_from(["apple", "pear", "stone", "river"])), max_size=9),
        query=st.sets(st.sampled_from(["apple", "pear", "stone", "cloud"]), min_size=1),
        k=st.integers(1, 9),
    )
    def test_against_the_texts(
        self, engine: Engine, texts: list[set[str]], query: set[str], k: int
    ) -> None:
        engine.delete(list(engine.matching_ids()))
        records = [
            Record(f"id{n}", f"r/{n}", caption=" ".join(sorted(text)), width=1 + n % 2)
            for n, text in enumerate(texts)
        ]
        engine.put(records, random_unit(len(records)))
        for where in (None, Compare("width", "eq", 1)):
            among = [
                (record.id, text)
                for record, text in zip(records, texts, strict=True)
                if where is None or filters.matches(where, record)
            ]
            found = engine.find_words(" ".join(sorted(query)), k, where)
            assert found.complete == sum(query <= text for _, text in among)
            assert len(found.matches) == min(k, sum(bool(query & text) for _, text in among))
            assert found.words == tuple(sorted(query))
            assert found.counts == tuple(
                sum(word in text for text in texts) for word in sorted(query)
            )
            assert found.records == len(texts)
            by_id = dict(among)
            for match in found.matches:
                assert match.complete == (query <= by_id[match.id])
                assert {found.words[n] for n in match.held} == query & by_id[match.id]
                assert list(match.held) == sorted(match.held)
            # None that holds all words is left out for one that does not.
            whole = [match.complete for match in found.matches]
            assert whole == sorted(whole, reverse=True)
            assert sum(whole) == min(k, found.complete)
            assert engine.find_words(" ".join(sorted(query)), k, where, counted=False) == found

    def test_all_words_count_however_long_the_text_is(self, engine: Engine) -> None:
        others = " ".join(f"w{n}" for n in range(1000))
        records = [
            Record("long", "r/1.jpg", caption=f"{others} zebra beach {others}"),
            Record("tagged", "r/2.jpg", caption=others, tags=("zebra", "beach")),
            *(Record(f"short{n}", f"r/short{n}.jpg", caption="zebra zebra") for n in range(5)),
            *(Record(f"id{n}", f"r/{n}.jpg", caption="beach") for n in range(20)),
        ]
        engine.put(records, random_unit(len(records)))
        for k in (2, 5, 99):
            found = engine.find_words("a zebra on the beach", k)
            assert {each.id for each in found.matches[:2]} == {"long", "tagged"}
            assert [each.complete for each in found.matches[:3]] == [True, True, False][:k]
            assert found.complete == 2
        # A tag more takes nothing away from it.
        for tags in (("sand",), ("sand", "zebras"), ("sand", *others.split()[:400])):
            engine.put(
                [Record("long", "r/1.jpg", caption="zebra beach", tags=tags)], random_unit(1)
            )
            found = engine.find_words("zebra beach", 9)
            assert {each.id for each in found.matches if each.complete} == {"long", "tagged"}
            assert found.complete == 2

    def test_stop_words_are_not_missed(self, engine: Engine) -> None:
        engine.put([Record("a", "r/1.jpg", caption="man, horse"), *plain(3)], random_unit(4))
        found = engine.find_words("a man on the horse", 9)
        assert (found.words, found.counts, found.records) == (("man", "horse"), (1, 1), 4)
        assert [(each.complete, each.held) for each in found.matches] == [(True, (0, 1))]
        nothing = engine.find_words("zebra", 9)
        assert (nothing.matches, nothing.words, nothing.counts) == ((), ("zebra",), (0,))


# ------------------------------------------------------------------ facets

_YEARS = st.none() | st.datetimes(datetime(1, 1, 1), datetime(2024, 12, 31))
_NAMES = st.sampled_from(["", "Canon", "EOS, 5D", "é", "e\u0301", '"', "a/b", "A|B|c", "b"])
_SCALARS = st.one_of(st.none(), _NAMES, st.booleans(), st.integers(0, 3), st.floats(0, 2), _YEARS)


@st.composite
def _counted(draw: st.DrawFn) -> list[Record]:
    records = []
    for n in range(draw(st.integers(0, 12))):
        uri = draw(
            st.sampled_from(
                ["r/a/{}.jpg", "R/{}.jpg", "r/a/b/{}", "r/A/c//{}", "{}", "/d/{}", "http://x/{}/y"]
            )
        )
        fields = draw(
            st.dictionaries(
                st.sampled_from(["camera_make", "camera_model", "colour_names", "people"]),
                _SCALARS | st.sampled_from(["Ann; Bob", "ann", "Zoe\u0308;Bob", "Zo\u00eb"]),
            )
        )
        if draw(st.booleans()):
            fields["colour_names"] = draw(st.sampled_from(["red", "red, blue", "blue, red, blue"]))
        records.append(
            Record(
                f"id{n}",
                uri.format(n),
                media=draw(st.sampled_from(["", "image/jpeg", "image/png", "image/x-odd"])),
                taken_at=draw(_YEARS),
                tags=tuple(draw(st.lists(_NAMES, max_size=3))),
                fields=fields,
                width=1 + n % 2,
            )
        )
    return records


@examples
@given(records=_counted(), most=st.integers(1, 4))
def test_facets_are_those_of_the_records(engine: Engine, records: list[Record], most: int) -> None:
    engine.delete(list(engine.matching_ids()))
    engine.put(records, random_unit(len(records)))
    for where in (None, Compare("width", "eq", 1)):
        among = [r for r in records if where is None or filters.matches(where, r)]
        expected = facets.count(among, most)
        found = engine.facets(where, FIELDS, most)
        assert found in (None, expected)  # None: this engine does not count
        assert found is None or [[*counts] for counts in found.values()] == [
            [*counts] for counts in expected.values()
        ]


def test_facets_of_nothing(opener: Opener) -> None:
    assert opener().facets(None, ["tag", "year"], 3) in (None, {"tag": {}, "year": {}})


def test_the_version_differs_after_each_write(engine: Engine, opener: Opener) -> None:
    other = opener()
    record = Record("r", "r/1")
    steps: list[Any] = [
        lambda: engine.put([record], random_unit(1)),
        lambda: engine.describe([replace(record, caption="x")]),
        lambda: other.describe([replace(record, caption="y")]),
        lambda: other.put([Record("s", "s/1")], random_unit(1)),
        lambda: engine.add_space(NEW),
        lambda: engine.activate(NEW),
        lambda: engine.put([replace(record, away=True, parts=())], np.empty((0, 24), np.float32)),
        lambda: other.delete(["r"]),
    ]
    versions = []
    for step in steps:
        step()
        versions.append(engine.version())
        assert engine.version() == versions[-1]
        list(engine.known())
        assert engine.version() == versions[-1]
    assert set(versions) == {None} or len(set(versions)) == len(steps)
