"""The contract of engines: the same tests and the same oracle for each of them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from answers import Found, by_words, search
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixseek import filters
from pixseek.errors import EngineError, PixseekError, QueryError, SpaceMismatchError
from pixseek.types import (
    And,
    Compare,
    Engine,
    Filter,
    Known,
    Not,
    Or,
    Part,
    Record,
    Space,
    Stamp,
)
from pixseek.types.texts import composed

from drawn_filters import FILTERS, drawn_records
from vectors import DIM, SPACE, Opener, random_unit, unit

#: Scores come from float16 vectors of few dimensions.
NEAR = 2e-3


def plain(n: int, start: int = 0) -> list[Record]:
    return [Record(f"id{i:05}", f"photos/{i % 7}/img{i:05}.jpg") for i in range(start, start + n)]


FULL = Record(
    id="full",
    uri="photos/2024/Straße, \U0001f600 [1].jpg",
    stamp=Stamp(12345, 1_700_000_000_123_456_789),
    digest="ab" * 32,
    media="image/jpeg",
    width=4000,
    height=3000,
    taken_at=datetime(2024, 7, 14, 12, 30, 1, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    caption='a dog\'s "best" day; DROP TABLE record -- 100 %',
    tags=("Dog", "naïve", "a,b", ""),
    fields={
        "rating": 5,
        "price": 1.0,
        "tiny": 1e-300,
        "large": 2**62,
        "nan": math.inf,
        "yes": True,
        "none": None,
        "text": "",
        "when": datetime(1999, 12, 31, 23, 59, 59, 999999),
        "when zoned": datetime(1999, 12, 31, tzinfo=UTC),
        'odd "name" $.[0]': "x",
    },
    parts=(
        Part(),
        Part("tile", (0.0, 0.5, 0.5, 0.5)),
        Part("shot", start_s=1.25, end_s=7.0, frame_s=3.5),
    ),
    pixels="cd" * 32,
    perceptual_hash="f0" * 8,
)


def oracle(
    records: Sequence[Record], vectors: Any, query: Any, where: Filter | None = None
) -> list[tuple[float, str, int]]:
    """Score, id and part number of every record that fulfils `where`, best first."""
    found, row = [], 0
    for record in records:
        own = vectors[row : row + len(record.parts)]
        row += len(record.parts)
        if where is None or filters.matches(where, record):
            scores = own.astype(np.float16).astype(np.float64) @ query.astype(np.float64)
            found.append((float(scores.max()), record.id, int(scores.argmax())))
    return sorted(found, key=lambda each: (-each[0], each[1]))


def assert_matches(found: list[Found], expected: list[tuple[float, str, int]]) -> None:
    """Check hits against the oracle's, leaving open the order of scores that are nearly equal."""
    assert len(found) == len(expected)
    assert [match.score for match in found] == pytest.approx([e[0] for e in expected], abs=NEAR)
    assert len({match.record.id for match in found}) == len(found)
    assert all(-1 <= match.score <= 1 for match in found)


def assert_neighbours(engine: Engine, query: Any, k: int, where: Filter | None = None) -> None:
    """Check that the parts of an answer belong together, and how many records were searched."""
    (found,), (matches,) = engine.nearest(query, k, where), search(engine, query, k, where)
    assert list(found.ids) == [match.record.id for match in matches]
    assert len(found) == len(found.ids) == len(found.parts) == len(found.scores)
    assert found.scores.dtype == found.vectors.dtype == np.float32
    assert found.scores.tolist() == pytest.approx([match.score for match in matches], abs=1e-6)
    assert [m.record.parts[n] for m, n in zip(matches, found.parts, strict=True)] == [
        match.part for match in matches
    ]
    stored = engine.vectors(found.ids)
    assert found.vectors.shape == (len(found), query.shape[1])
    for vector, own, part in zip(found.vectors, stored, found.parts, strict=True):
        np.testing.assert_array_equal(vector, own[part])
    assert found.total == engine.count(where)


def select(engine: Engine, where: Filter | None = None, **options: Any) -> list[Record]:
    defaults: dict[str, Any] = {"order": "uri", "descending": False, "k": 1000, "offset": 0}
    return engine.select(where, **{**defaults, **options})


class TestStore:
    def test_a_record_comes_back_as_it_was(self, engine: Engine, opener: Opener) -> None:
        vectors = random_unit(3)
        engine.put([FULL], vectors)
        for each in (engine, opener()):
            (record,) = each.get(["full"])
            assert record == FULL
            assert record.taken_at.utcoffset() == FULL.taken_at.utcoffset()
            assert {k: type(v) for k, v in record.fields.items()} == {
                k: type(v) for k, v in FULL.fields.items()
            }
            (stored,) = each.vectors(["full"])
            assert stored.dtype == np.float32
            np.testing.assert_array_equal(stored, vectors.astype(np.float16).astype(np.float32))

    def test_empty_store(self, opener: Opener) -> None:
        engine = opener()
        assert engine.space is None
        assert engine.count() == 0
        for _ in range(2):
            assert engine.get(["a"]) == [None]
            assert engine.vectors(["a"]) == [None]
            assert list(engine.known()) == []
            assert engine.with_digests(["ab"]) == {}
            assert search(engine, random_unit(2), 5) == [[], []]
            assert engine.count(Compare("width", "gt", 1)) == 0
            for neighbours in engine.nearest(random_unit(2), 5, Compare("width", "gt", 1)):
                assert neighbours.ids == neighbours.parts == ()
                assert neighbours.vectors.shape[0] == len(neighbours.scores) == 0
                assert neighbours.total == 0
            assert by_words(engine, "dog", 5) == []
            assert select(engine) == []
            assert engine.sample(5).shape[0] == 0
            assert list(engine.export()) == []
            assert engine.delete(["a"]) == 0
            engine.ensure(SPACE)
        assert engine.space == SPACE

    def test_put_before_ensure_is_refused(self, opener: Opener) -> None:
        with pytest.raises(EngineError, match=r"(?i)no space yet"):
            opener().put(plain(1), random_unit(1))

    def test_empty_arguments_do_nothing(self, engine: Engine) -> None:
        engine.put([], np.empty((0, DIM), np.float32))
        engine.put(plain(3), random_unit(3))
        assert engine.get([]) == []
        assert engine.vectors([]) == []
        assert engine.delete([]) == 0
        assert search(engine, np.empty((0, DIM), np.float32), 5) == []
        assert search(engine, random_unit(2), 0) == [[], []]
        assert engine.nearest(np.empty((0, DIM), np.float32), 5) == []
        assert [(each.ids, each.total) for each in engine.nearest(random_unit(2), 0)] == [
            ((), 3),
            ((), 3),
        ]
        assert select(engine, k=0) == []
        assert by_words(engine, "img", 0) == by_words(engine, "", 5) == []
        assert engine.sample(0).shape == (0, DIM)
        assert engine.count() == 3

    def test_a_record_of_the_same_id_is_replaced(self, engine: Engine) -> None:
        old, new = random_unit(2, 1), random_unit(3, 2)
        engine.put(
            [
                Record("a", "r/a.jpg", parts=(Part(), Part("tile"))),
            ],
            old,
        )
        engine.put([Record("b", "r/b.jpg")], new[2:])
        engine.put([Record("a", "r/moved.jpg", width=7)], new[:1])
        assert engine.count() == 2
        assert sorted(known.uri for known in engine.known()) == ["r/b.jpg", "r/moved.jpg"]
        assert engine.get(["a"]) == [Record("a", "r/moved.jpg", width=7)]
        (stored,) = engine.vectors(["a"])
        assert stored == pytest.approx(new[:1], abs=NEAR)
        (found,) = search(engine, old[1:], 10)
        assert [match.record.id for match in found] == [
            each[1] for each in oracle([Record("a", ""), Record("b", "")], new[[0, 2]], old[1])
        ]

    def test_deleting(self, engine: Engine, opener: Opener) -> None:
        engine.put(plain(20), random_unit(20))
        assert engine.delete(["id00003", "nowhere", "id00003", "id00019"]) == 2
        assert engine.delete(["id00003"]) == 0
        for each in (engine, opener()):
            assert each.count() == 18
            assert each.get(["id00003", "id00004"])[0] is None
            assert each.vectors(["id00019"]) == [None]
            (found,) = search(each, random_unit(1, 5), 100)
            assert len(found) == 18
            assert "id00003" not in {match.record.id for match in found}
        engine.put(plain(1, 3), random_unit(1))
        assert engine.count() == 19

    def test_deleting_all(self, engine: Engine) -> None:
        engine.put(plain(50), random_unit(50))
        assert engine.delete(f"id{i:05}" for i in range(50)) == 50
        assert engine.count() == 0
        assert search(engine, random_unit(1), 3) == [[]]
        engine.put(plain(2), random_unit(2))
        assert len(search(engine, random_unit(1), 3)[0]) == 2

    def test_odd_texts(self, engine: Engine) -> None:
        odd = ["", " ", "a'b", 'a"b', "%_*?[", "\\", "\U0001f600", "é", "e\u0301", "\uffff", "a\nb"]
        records = [Record(f"id{text}", f"r/{text}", caption=text, tags=(text,)) for text in odd]
        engine.put(records, random_unit(len(odd)))
        assert engine.get([record.id for record in records]) == records
        for record in records:
            forms = sum(composed(each.uri) == composed(record.uri) for each in records)
            assert engine.count(Compare("uri", "eq", record.uri)) == forms
            prefixed = sum(other.uri.startswith(record.uri) for other in records)
            assert len(list(engine.known(record.uri))) == prefixed
        assert engine.count(Compare("caption", "contains", "%_*?[")) == 1

    @pytest.mark.parametrize("bits", ["0" * 16, "7" + "f" * 15, "8" + "0" * 15, "f" * 16])
    def test_every_perceptual_hash_comes_back(self, engine: Engine, bits: str) -> None:
        record = Record("a", "r/a", perceptual_hash=bits)
        engine.put([record], random_unit(1))
        assert engine.get(["a"]) == [record]

    def test_describing_keeps_what_follows_from_the_content(self, engine: Engine) -> None:
        stored = Record("a", "r/a", digest="aa", pixels="bb", perceptual_hash="1" * 16)
        engine.put([stored], random_unit(1))
        given = replace(stored, tags=("x",), digest="", pixels="cc", perceptual_hash="2" * 16)
        assert engine.describe([given]) == 1
        assert engine.get(["a"]) == [replace(stored, tags=("x",))]

    def test_describing_fills_what_follows_from_the_content(self, engine: Engine) -> None:
        stored = [Record(i, f"r/{i}", digest="aa") for i in "ab"]
        engine.put(stored, random_unit(2))
        given = [
            replace(stored[0], pixels="cc" * 32, perceptual_hash="8" + "2" * 15),
            replace(stored[1], digest="bb", pixels="cc" * 32, perceptual_hash="2" * 16),
        ]
        assert engine.describe(given) == 2
        assert engine.get(["a", "b"]) == [given[0], stored[1]]

    @pytest.mark.parametrize("value", ["K", "\u212a", "é;", "a"])
    @pytest.mark.parametrize(
        "name", ["id", "uri", "root", "media", "digest", "pixels", "caption", "camera"]
    )
    def test_texts_are_compared_in_any_form_also_if_some_are_missing(
        self, engine: Engine, name: str, value: str
    ) -> None:
        forms = [value, unicodedata.normalize("NFD", value), value.replace("K", "\u212a"), "b"]
        records = [Record("empty", "r/1"), *(
            Record(f"{n}{text}", f"{text}/{n}", media=text, digest=text, pixels=text, caption=text,
                   fields={"camera_make": text})
            for n, text in enumerate(dict.fromkeys(forms))
        )]  # fmt: skip
        engine.put(records, random_unit(len(records)))
        wanted = {"id": f"0{value}", "uri": f"{value}/0"}.get(name, value)
        for where in (
            Compare(name, "eq", wanted), Compare(name, "ne", wanted), Compare(name, "ge", wanted),
            Compare(name, "in", (wanted, "x")), Not(Compare(name, "le", wanted)),
        ):  # fmt: skip
            expected = {each.id for each in records if filters.matches(where, each)}
            assert set(engine.matching_ids(where)) == expected, where
            assert set(engine.nearest(random_unit(1), 9, where)[0].ids) == expected, where

    @pytest.mark.parametrize("bad", ["a\ud800", "a\0b"])
    def test_text_that_databases_can_not_store_is_refused(self, engine: Engine, bad: str) -> None:
        for record in (
            Record(bad, "r/a"),
            Record("a", bad),
            Record("a", "r/a", tags=(bad,)),
            Record("a", "r/a", fields={bad: 1}),
            Record("a", "r/a", fields={"x": bad}),
        ):
            with pytest.raises(EngineError, match=r"(?i)can't be stored"):
                engine.put([Record("ok", "r/ok"), record], random_unit(2))
        assert engine.count() == 0
        assert engine.get([bad]) == [None]
        assert engine.vectors([bad]) == [None]
        assert engine.delete([bad]) == 0
        assert list(engine.known(bad)) == []
        assert engine.with_digests([bad]) == {}

    @pytest.mark.parametrize(
        ("records", "vectors"),
        [
            (plain(2), random_unit(1)),
            (plain(1), random_unit(1, dim=8)),
            (plain(1) * 2, random_unit(2)),
            (plain(1), np.full((1, DIM), np.nan, np.float32)),
            ([Record("a", "r/a", width=2**63)], random_unit(1)),
            ([Record("a", "r/a", fields={"x": b"bytes"})], random_unit(1)),  # type: ignore[dict-item]
            ([Record("a", "r/a", fields={"x": -(2**63) - 1})], random_unit(1)),
            ([Record("a", "r/a", perceptual_hash="F0" * 8)], random_unit(1)),
            ([Record("a", "r/a", perceptual_hash="f0")], random_unit(1)),
        ],
        ids=["too few", "dim", "same id", "nan", "integer", "type", "field", "case", "short"],
    )
    def test_a_bad_batch_stores_nothing(
        self, engine: Engine, records: list[Record], vectors: Any
    ) -> None:
        engine.put([Record("before", "r/before")], random_unit(1, 9))
        with pytest.raises(EngineError):
            engine.put(records, vectors)
        assert [known.id for known in engine.known()] == ["before"]
        engine.put(plain(3), random_unit(3))
        assert engine.count() == 4

    def test_known(self, engine: Engine) -> None:
        stamp = Stamp(1, 2)
        uris = [
            "a/b/1",
            "a/b/2",
            "a/b",
            "a/bc",
            "a/c",
            "A/b/1",
            "a/b/\U0010ffff",
            "é/1",
            "http://x/1",
        ]
        records = [Record(f"{i}", uri, stamp, digest=f"d{i % 2}") for i, uri in enumerate(uris)]
        engine.put(records, random_unit(len(uris)))
        in_order = sorted(records, key=lambda record: record.uri)
        known = sorted(engine.known(), key=lambda known: known.uri)
        assert known == [Known(r.id, r.uri, stamp, r.digest) for r in in_order]
        for prefix in ("a/b/", "a/b", "a", "é", "\U0010ffff", "a/b/\U0010ffff", "http://", "zz"):
            assert sorted(known.uri for known in engine.known(prefix)) == [
                r.uri for r in in_order if r.uri.startswith(prefix)
            ]
        both = engine.with_digests(["d1", "nowhere", "", "d0", "d1"])
        assert sorted(both) == ["d0", "d1"]
        for digest in both:
            assert sorted(both[digest], key=lambda known: known.uri) == [
                Known(r.id, r.uri, stamp, r.digest) for r in in_order if r.digest == digest
            ]
        assert engine.with_digests([]) == engine.with_digests([""]) == {}

    def test_writing_while_known_is_read(self, engine: Engine) -> None:
        engine.put(plain(10), random_unit(10))
        for i, _ in enumerate(engine.known()):
            engine.put([Record(f"new{i}", f"z/{i}")], random_unit(1, i))
        assert engine.count() == 20

    def test_export(self, engine: Engine, opener: Opener) -> None:
        records = [FULL, *plain(25)]
        vectors = random_unit(28)
        engine.put(records, vectors)
        engine.put(plain(5), vectors[3:8])
        batches = list(opener().export(batch=10))
        assert [len(batch) for batch, _ in batches] == [10, 10, 6]
        exported = [record for batch, _ in batches for record in batch]
        assert sorted(exported, key=lambda record: record.uri) == sorted(
            records, key=lambda record: record.uri
        )
        (again,) = [rows for batch, rows in batches[-1:]]
        assert again.dtype == np.float32
        everything = np.concatenate([rows for _, rows in batches])
        row = 0
        for record in exported:
            (own,) = engine.vectors([record.id])
            np.testing.assert_array_equal(everything[row : row + len(record.parts)], own)
            row += len(record.parts)

    def test_another_space_is_refused(self, engine: Engine, opener: Opener) -> None:
        other = Space("0123456789abcdef", 8, "other-model")
        engine.put(plain(1), random_unit(1))
        for each in (engine, opener()):
            each.ensure(SPACE)
            with pytest.raises(SpaceMismatchError) as caught:
                each.ensure(other)
            for word in ("tiny-model", "other-model", "ffffffff", "01234567", "--library"):
                assert word in str(caught.value)
        engine.delete(["id00000"])
        engine.ensure(other)
        assert engine.space == other
        engine.put(plain(2), random_unit(2, dim=8))
        assert len(search(engine, random_unit(1, dim=8), 3)[0]) == 2
        assert opener().space == other

    def test_a_closed_engine_is_refused(self, engine: Engine) -> None:
        engine.put(plain(1), random_unit(1))
        engine.close()
        with pytest.raises(PixseekError, match=r"(?i)closed"):
            search(engine, random_unit(1), 1)
        with pytest.raises(PixseekError, match=r"(?i)closed"):
            engine.put(plain(1), random_unit(1))


class TestKeptTexts:
    def test_they_come_back_by_kind_in_order_of_names(self, engine: Engine, opener: Opener) -> None:
        engine.keep("search", "zebras", '{"terms": ["zebra"]}')
        engine.keep("search", "B & Ü/2", "")
        engine.keep("judgement", "zebras", "x" * 100_000)
        engine.keep("search", "zebras", "the latest")
        assert list(engine.kept("search").items()) == [("B & Ü/2", ""), ("zebras", "the latest")]
        assert opener().kept("judgement") == {"zebras": "x" * 100_000}
        engine.keep("search", "zebras", None)
        engine.keep("search", "never kept", None)
        assert opener().kept("search") == {"B & Ü/2": ""}
        assert engine.kept("judgement").keys() == {"zebras"}

    def test_they_need_no_space_and_no_record(self, opener: Opener) -> None:
        engine = opener()
        assert engine.kept("search") == {}
        engine.keep("search", "early", None)
        engine.keep("search", "early", "bird")
        assert (engine.space, engine.count(), engine.get(["early"])) == (None, 0, [None])
        assert opener().kept("search") == {"early": "bird"}
        engine.ensure(SPACE)
        engine.put(plain(1), random_unit(1))
        assert (engine.spaces(), engine.count()) == ([SPACE], 1)
        assert opener().kept("search") == {"early": "bird"}

    def test_nothing_else_shows_them(self, engine: Engine) -> None:
        engine.put(plain(3), random_unit(3))
        engine.keep("search", "hidden", "image 1")
        everything = Or((Compare("away", "eq", True), Compare("away", "eq", False)))
        assert engine.spaces() == [SPACE]
        assert engine.count() == engine.count(everything) == 3
        assert len(list(engine.known())) == len(list(engine.matching_ids(everything))) == 3
        assert [len(records) for records, _ in engine.export()] == [3]
        assert not engine.find_words("hidden", 5).matches
        assert len(engine.lacking(SPACE, 5)) == 0

    def test_they_outlive_every_space_and_record(self, engine: Engine, opener: Opener) -> None:
        other = Space("e" * 64, 8, "another")
        engine.put(plain(2), random_unit(2))
        engine.keep("search", "lasting", "x")
        engine.add_space(other)
        engine.put_vectors(other, engine.lacking(other, 9), unit(np.ones((2, 8))))
        engine.activate(other)
        engine.drop_space(SPACE)
        engine.delete(["id00000", "id00001"])
        assert engine.spaces() == [other]
        assert opener().kept("search") == {"lasting": "x"}

    @pytest.mark.parametrize("bad", ["\0", "\ud800"])
    def test_what_databases_can_not_store_is_refused(self, engine: Engine, bad: str) -> None:
        for kind, name, text in ((bad, "n", "t"), ("k", bad, "t"), ("k", "n", bad)):
            with pytest.raises(EngineError, match="can't be stored"):
                engine.keep(kind, name, text)
        assert engine.kept("k") == engine.kept(bad) == {}


class TestSearch:
    def test_against_the_oracle(self, engine: Engine) -> None:
        records, vectors = plain(60), random_unit(60)
        engine.put(records, vectors)
        queries = random_unit(5, 1)
        for k in (1, 7, 60, 200):
            for query, found in zip(queries, search(engine, queries, k), strict=True):
                assert_matches(found, oracle(records, vectors, query)[:k])
                assert all(match.record in records for match in found)

    def test_ties_go_by_id(self, engine: Engine) -> None:
        vectors = np.concatenate([np.repeat(random_unit(1), 30, axis=0), random_unit(20, 4)])
        records = plain(50)
        order = np.random.default_rng(3).permutation(50)
        engine.put([records[i] for i in order], vectors[order])
        for k in (1, 5, 30):
            (found,) = search(engine, vectors[:1], k)
            assert [match.record.id for match in found] == [f"id{i:05}" for i in range(k)]

    def test_each_record_comes_once_with_its_best_part(self, engine: Engine) -> None:
        rng = np.random.default_rng(0)
        parts = tuple(Part("tile", (i / 20, 0.0, 0.05, 1.0)) for i in range(20))
        query = random_unit(1, 1)
        near = unit(query + 0.05 * rng.standard_normal((40, DIM)).astype(np.float32))
        records = [Record("x", "r/x", parts=parts), Record("y", "r/y", parts=parts), *plain(30)]
        vectors = np.concatenate([near, random_unit(30, 2)])
        engine.put(records, vectors)
        for k in (1, 2, 3, 10, 32, 50):
            (found,) = search(engine, query, k)
            expected = oracle(records, vectors, query[0])[:k]
            assert_matches(found, expected)
            assert {m.record.id for m in found[:2]} == {e[1] for e in expected[:2]}
            for match in found:
                assert match.part in match.record.parts
            best = {e[1]: e[2] for e in expected}
            assert found[0].part == parts[best[found[0].record.id]]

    def test_after_many_changes(self, engine: Engine, opener: Opener) -> None:
        rng = np.random.default_rng(8)
        held: dict[str, tuple[Record, Any]] = {}
        for step in range(12):
            numbers = rng.choice(80, 15, replace=False)
            records = [Record(f"id{n}", f"r/dogs/{n}", width=step + 1) for n in numbers]
            vectors = random_unit(15, step)
            engine.put(records, vectors)
            held.update({r.id: (r, v) for r, v in zip(records, vectors, strict=True)})
            gone = [f"id{n}" for n in rng.choice(80, 5, replace=False)]
            assert engine.delete(gone) == sum(held.pop(each, None) is not None for each in gone)
            query = random_unit(1, 100 + step)
            expected = oracle(
                [r for r, _ in held.values()], np.array([v for _, v in held.values()]), query[0]
            )
            assert_matches(search(engine, query, 10)[0], expected[:10])
            assert_neighbours(engine, query, 10, Compare("width", "gt", step))
            assert_neighbours(engine, query, 100)
            found = by_words(engine, "dog", 100)
            assert [id_ for id_, _ in found] == sorted(held)
            assert {r.id: r for r in select(engine)} == {i: r for i, (r, _) in held.items()}
        again = opener()
        assert {r.id: r for batch, _ in again.export() for r in batch} == {
            id_: record for id_, (record, _) in held.items()
        }
        assert_matches(search(again, query, 10)[0], expected[:10])

    def test_invalid_queries_raise(self, engine: Engine) -> None:
        engine.put(plain(1), random_unit(1))
        for bad in (
            random_unit(1, dim=8),
            np.full((1, DIM), np.inf, np.float32),
            random_unit(1)[0],
        ):
            with pytest.raises(EngineError):
                search(engine, bad, 3)
            with pytest.raises(EngineError):
                engine.nearest(bad, 3)
        with pytest.raises(QueryError, match=r"(?i)widht"):
            search(engine, random_unit(1), 3, Compare("widht", "gt", 3))
        with pytest.raises(QueryError, match=r"(?i)width"):
            engine.count(Compare("width", "glob", "3"))
        for call in (
            lambda where: engine.nearest(random_unit(1), 3, where),
            lambda where: by_words(engine, "dog", 3, where),
            lambda where: select(engine, where),
        ):
            with pytest.raises(QueryError, match=r"(?i)widht"):
                call(Compare("widht", "gt", 3))

    def test_neighbours(self, engine: Engine, opener: Opener) -> None:
        parts = tuple(Part("tile", (i / 20, 0.0, 0.05, 1.0)) for i in range(20))
        records = [
            Record("x", "r/x", width=5, parts=parts),
            *(replace(record, width=1 + i % 10) for i, record in enumerate(plain(40))),
        ]
        engine.put(records, random_unit(60))
        for each in (engine, opener()):
            for k in (1, 3, 41, 1000):
                assert_neighbours(each, random_unit(1, k), k)
                assert_neighbours(each, random_unit(1, k), k, Compare("width", "le", 5))
                assert_neighbours(each, random_unit(1, k), k, Compare("width", "gt", 50))
            many = each.nearest(random_unit(7, 3), 5)
            for query, found in zip(random_unit(7, 3), many, strict=True):
                assert found.ids == each.nearest(query[None], 5)[0].ids
        engine.delete(["x", "id00000"])
        assert_neighbours(engine, random_unit(1, 4), 10, Compare("width", "le", 5))
        assert_neighbours(engine, random_unit(1, 4), 100)


def test_a_sample_follows_from_the_content(engine: Engine, opener: Opener) -> None:
    records = [
        replace(record, parts=(Part(), Part("tile"))[: 1 + i % 2])
        for i, record in enumerate(plain(30))
    ]
    vectors = random_unit(45)
    engine.put(records[20:], vectors[30:])
    engine.put(records[:20], vectors[:30])
    engine.put(records[5:6], vectors[7:9])
    held = vectors.astype(np.float16).astype(np.float32)
    for n in (1, 7, 45, 100):
        sample = engine.sample(n)
        assert sample.dtype == np.float32
        np.testing.assert_array_equal(sample, held[:n])  # the ids are in this order
        np.testing.assert_array_equal(opener().sample(n), sample)


_BROWSED = [
    FULL,
    Record("b", "r/b/Z.jpg", Stamp(7, 30), taken_at=datetime(2024, 7, 14, 12, 30)),
    Record("a", "r/a/a.jpg", Stamp(7, 20), taken_at=datetime(2024, 7, 14, 12, 30, tzinfo=UTC)),
    Record("d", "r/z/a.jpg", taken_at=datetime(1, 1, 1), caption="x"),
    Record("c", "https://example.org/é.jpg?x=1/2", Stamp(0, -5)),
    Record("e", "top.jpg", caption="x"),
    Record("f", "r/", Stamp(2**62, 2**62)),
]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order", ["uri", "name", "taken_at", "mtime", "size"])
def test_browsing(engine: Engine, order: Any, descending: bool) -> None:
    engine.put(_BROWSED, random_unit(len(_BROWSED) + 2))
    value: dict[str, Callable[[Record], Any]] = {
        "uri": lambda record: record.uri,
        "name": lambda record: record.name,
        "taken_at": lambda record: record.taken_at and record.taken_at.replace(tzinfo=None),
        "mtime": lambda record: record.stamp and record.stamp.mtime_ns,
        "size": lambda record: None if record.stamp is None else record.stamp.size,
    }
    by_id = sorted(_BROWSED, key=lambda record: record.id)
    valued = [record for record in by_id if value[order](record) is not None]
    valued.sort(key=value[order], reverse=descending)  # stable: ties stay in the order of ids
    rest = [record for record in by_id if record not in valued]
    if order == "taken_at":  # those without a date come by the time of their file
        timed = [record for record in rest if value["mtime"](record) is not None]
        timed.sort(key=value["mtime"], reverse=descending)
        rest = timed + [record for record in rest if record not in timed]
    expected = valued + rest
    options = {"order": order, "descending": descending}
    assert select(engine, **options) == expected
    for page in (1, 2, 3):
        pages = [select(engine, k=page, offset=at, **options) for at in range(0, 9, page)]
        assert [record for some in pages for record in some] == expected
    where = Not(Compare("caption", "contains", "x"))
    kept = [record for record in expected if filters.matches(where, record)]
    assert select(engine, where, k=3, offset=1, **options) == kept[1:4]


# ------------------------------------------------------------------ words

_TOLD = [
    Record("caption", "r/1.jpg", caption="Two dogs are running on a Beach"),
    Record("tag", "r/2.jpg", tags=("beach", "naïve café")),
    Record("folder", "r/Holiday2021/BeachParty/IMG_2345-DSCWalk.jpg"),
    Record("place", "r/4.jpg", fields={"city": "Lisboa", "country": "Portugal", "rating": 5}),
    Record("people", "r/5.jpg", fields={"people": "Ann; Bob", "event": "Wedding", "title": "Us"}),
    Record("drawn", "r/6.jpg", fields={"prompt": "a castle, 8k", "title": "Straßenfest"}),
    Record("japanese", "r/7.jpg", caption="東京の写真", fields={"city": 7}),
    Record("silent", "r/8.jpg"),
]  # fmt: skip


class TestWords:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("dog", ["caption"]), ("RUN", ["caption"]), ("beach", ["caption", "tag", "folder"]),
            ("dogs at the beach", ["caption", "tag", "folder"]), ("NAIVE", ["tag"]),
            ("café", ["tag"]), ("cafe\u0301", ["tag"]), ("2345", ["folder"]), ("party", ["folder"]),
            ("beachparty", ["folder"]), ("img_2345", ["folder"]), ("walk", ["folder"]),
            ("jpg", []), ("lisboa", ["place"]), ("portugal", ["place"]), ("5", ["people"]),
            ("bob", ["people"]), ("wedding", ["people"]), ("castle", ["drawn"]),
            ("strassenfest", ["drawn"]), ("写真", ["japanese"]), ("真写", []), ("elephant", []),
            ("the of and", []), ("", []), ('"', []), ("caption:dog", ["caption"]),
            ("dog NOT beach", ["caption", "tag", "folder"]), ("dog*", ["caption"]),
        ],
    )  # fmt: skip
    def test_words_find_records(self, engine: Engine, text: str, found: list[str]) -> None:
        engine.put(_TOLD, random_unit(len(_TOLD)))
        hits = by_words(engine, text, 10)
        assert {id_ for id_, _ in hits} == set(found)
        assert all(0 < relevance <= 1 for _, relevance in hits)
        relevances = [relevance for _, relevance in hits]
        assert relevances == sorted(relevances, reverse=True)
        assert engine.capabilities.text_search in ("bm25", "ts_rank")

    def test_all_words_are_fully_relevant(self, engine: Engine) -> None:
        words = ["apple", "pear", "plum", "quince"]
        records = [
            Record(f"id{n}", f"r/{n}", caption=" ".join(words[:n])) for n in range(len(words) + 1)
        ] + [Record(f"id{n}", f"r/{n}", caption="rock and stone") for n in range(5, 40)]
        engine.put(records, random_unit(len(records)))
        found = by_words(engine, "quince plum pear apple", 100)
        assert [id_ for id_, _ in found] == ["id4", "id3", "id2", "id1"]
        assert found[0][1] > 0.95
        assert found[-1][1] < 0.5

    def test_words_of_captions_tags_and_titles_are_stated(self, engine: Engine) -> None:
        records = [
            Record("a", "r/a", caption="a zebra and a dog"),
            Record("b", "r/zebra dog.jpg"),
            Record("c", "r/zebra.jpg", tags=("dogs",)),
            Record("d", "r/d", tags=("zebra",), fields={"title": "my dog"}),
            Record("e", "r/e", caption="zebra"),
        ]
        engine.put([*records, *plain(20)], random_unit(25))
        found = engine.find_words("zebra dog", 10).matches
        assert {each.id for each in found if each.complete} == {"a", "b", "c", "d"}
        assert {each.id for each in found if each.stated} == {"a", "d"}
        found = engine.find_words("zebra", 10).matches
        assert {each.id for each in found if each.stated} == {"a", "d", "e"}

    def test_words_read_in_pictures_are_found_apart(self, engine: Engine) -> None:
        records = [
            Record("a", "r/a", caption="a zebra"),
            Record("b", "r/b", fields={"text_seen": "ZEBRA crossing\nGröße 12\n出口 お茶"}),
            Record("c", "r/c", caption="zebra", fields={"text_seen": "dogs"}),
        ]
        engine.put([*records, *plain(20)], random_unit(23))
        assert {each.id for each in engine.find_words("zebra", 10).matches} == {"a", "c"}
        for text in ("zebra", "crossing", "grosse 12", "出口", "zebra GRÖSSE"):
            named = {each.id for each in engine.find_words(text, 10).matches}
            assert named == ({"a", "c"} if "zebra" in text else set())
            found = engine.find_words(text, 10, seen=True)
            assert [(each.id, each.complete) for each in found.matches] == [("b", True)], text
            assert found.complete == 1
            assert not found.matches[0].stated
        (only,) = engine.find_words("dog 12", 10, Compare("id", "ge", "c"), seen=True).matches
        assert (only.id, only.complete, only.held) == ("c", False, (0,))
        engine.describe([Record("b", "r/b")])
        assert engine.find_words("crossing", 10, seen=True).matches == ()

    def test_ties_go_by_id(self, engine: Engine) -> None:
        records = [Record(f"id{n}", f"r/{n}", caption="dog") for n in (5, 3, 1, 4, 2, 0)]
        engine.put([*records, *plain(20)], random_unit(26))
        for k in (1, 3, 10):
            found = by_words(engine, "dog", k)
            assert [id_ for id_, _ in found] == [f"id{n}" for n in range(6)][:k]
        where = Compare("id", "ge", "id2")
        assert [id_ for id_, _ in by_words(engine, "dog", 2, where)] == ["id2", "id3"]

    def test_after_changes(self, engine: Engine, opener: Opener) -> None:
        engine.put(_TOLD, random_unit(len(_TOLD)))
        engine.put([Record("caption", "r/1.jpg", caption="A cat")], random_unit(1))
        engine.delete(["tag"])
        for each in (engine, opener()):
            assert by_words(each, "dogs", 9) == []
            assert [id_ for id_, _ in by_words(each, "cat", 9)] == ["caption"]
            assert [id_ for id_, _ in by_words(each, "beach", 9)] == ["folder"]
        engine.delete(record.id for record in _TOLD)
        assert by_words(engine, "cat", 9) == []
        engine.put(_TOLD, random_unit(len(_TOLD)))
        assert [id_ for id_, _ in by_words(engine, "dogs", 9)] == ["caption"]


@pytest.mark.slow
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    text=st.text(max_size=30)
    | st.text(st.sampled_from("ab \"'*^+-:(){}[]\\%_NEARANDOR写真é\0\ud800"), max_size=20),
    query=st.none() | st.text(max_size=10),
)
def test_any_text_can_be_searched_for(engine: Engine, text: str, query: str | None) -> None:
    stored = text.encode("utf-8", "replace").decode().replace("\0", " ")
    engine.delete(["any"])
    engine.put([Record("any", "r/x", caption=stored)], random_unit(1))
    for each in (text, text if query is None else query):
        found = by_words(engine, each, 3)
        assert all(0 < relevance <= 1 for _, relevance in found)
    engine.put([Record("any", "r/x", caption="other")], random_unit(1))
    engine.delete(["any"])
    assert by_words(engine, text, 3) == []


# ------------------------------------------------------------------ filters against the oracle


@pytest.mark.slow
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    records=drawn_records(),
    wheres=st.lists(FILTERS, min_size=8, max_size=8),
    seed=st.integers(0, 9),
)
def test_filters_agree_with_the_oracle(
    engine: Engine, records: list[Record], wheres: list[Filter], seed: int
) -> None:
    vectors, query = random_unit(12, seed), random_unit(1, seed + 50)
    engine.delete(known.id for known in list(engine.known()))
    engine.put(records, vectors)
    for where in wheres:
        filters.check(where)
        expected = oracle(records, vectors, query[0], where)
        assert engine.count(where) == len(expected), where
        (found,) = search(engine, query, 4, where)
        assert_matches(found, expected[:4])
        (found,) = search(engine, query, 50, where)
        assert {match.record.id for match in found} == {each[1] for each in expected}, where
        assert {record.id for record in select(engine, where)} == {each[1] for each in expected}
        matching = sorted(
            (record.uri, record.id) for record in records if filters.matches(where, record)
        )
        for k, offset in ((1, 0), (2, 1), (3, 9)):
            options = {"order": "uri", "descending": False, "k": k, "offset": offset}
            page = [(record.uri, record.id) for record in select(engine, where, **options)]
            assert page == matching[offset : offset + k], where
        assert engine.nearest(query, 4, where)[0].total == len(expected), where


def test_a_selective_filter_still_gives_k(engine: Engine) -> None:
    records = [
        Record(f"id{i:05}", f"r/{i}", width=1 + i, parts=(Part(),) * (1 + i % 3))
        for i in range(600)
    ]
    vectors = random_unit(sum(len(record.parts) for record in records))
    engine.put(records, vectors)
    query = random_unit(1, 1)
    for low, k in ((595, 5), (550, 20), (300, 10), (0, 100)):
        where = Compare("width", "gt", low)
        (found,) = search(engine, query, k, where)
        assert_matches(found, oracle(records, vectors, query[0], where)[:k])


def test_large_filters(engine: Engine) -> None:
    engine.put(plain(10), random_unit(10))
    many = tuple(f"id{i:05}" for i in range(5, 40_000))
    assert engine.count(Compare("id", "in", many)) == 5
    assert engine.count(Or(tuple(Compare("id", "eq", each) for each in many[:1000]))) == 5
    one, other = Compare("id", "eq", "id00003"), Compare("id", "ne", "id00004")
    for wrap in (Not, lambda w: And((other, w)), lambda w: Or((w, one)), lambda w: Not(And((w,)))):
        nested: Filter = one
        with pytest.raises(QueryError, match=r"(?i)deep"):
            while True:
                filters.check(wrap(nested))
                nested = wrap(nested)
        assert engine.count(nested) == sum(filters.matches(nested, each) for each in plain(10))
