"""Filters from columns in memory: the oracle is `filters.matches`, as for every engine."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import search
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pixseek import filters
from pixseek.engines.embedded import EmbeddedEngine, open_embedded
from pixseek.engines.embedded.catalog import Catalog
from pixseek.engines.embedded.row_filters import RowFilters, evaluation, fields, numbers
from pixseek.engines.embedded.snapshots import Snapshots
from pixseek.types import And, Compare, Filter, Not, Or, Part, Record, Space, Stamp

from drawn_filters import FILTERS, MOMENTS, WORDS, drawn_records

DIM = 8
#: Where float64 and integers part, and where 64 bits end.
_EDGES = [0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**62 + 1, 2**63 - 1, -(2**63)]
_INTEGERS = st.one_of(st.sampled_from(_EDGES), st.integers(-3, 3))
_FLOATS = st.sampled_from(
    [0.0, -0.0, 0.5, 1.0, 1e-300, 0.1, 2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63), math.inf,
     -math.inf, 123456789.123456789]
)  # fmt: skip
_ASKED = st.one_of(_INTEGERS, _FLOATS, st.sampled_from([10**30, -(10**30), 10**400, 2**63]))
_STORED = st.one_of(_INTEGERS, _FLOATS, st.just(math.nan), st.booleans(), WORDS, MOMENTS, st.none())
_FIELDS = st.sampled_from(["x", 'y "z"', "a.b", "é", "n\n"])
_COMPARED = st.one_of(
    st.builds(
        Compare,
        _FIELDS.map("fields.{}".format),
        st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]),
        st.one_of(_ASKED, st.booleans(), WORDS, MOMENTS),
    ),
    st.builds(
        Compare,
        st.sampled_from(["fields.x", "fields.a.b"]),
        st.just("in"),
        st.lists(st.one_of(_ASKED, st.booleans(), WORDS, MOMENTS), max_size=3).map(tuple),
    ),
    st.builds(
        Compare, _FIELDS.map("fields.{}".format), st.sampled_from(["glob", "contains"]), WORDS
    ),
    st.builds(Compare, _FIELDS.map("fields.{}".format), st.just("exists")),
    st.builds(
        Compare,
        st.sampled_from(["size", "width", "height"]),
        st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]),
        _ASKED,
    ),
    FILTERS,
)
_WHERES = st.recursive(
    _COMPARED,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=4,
)


@st.composite
def _varied(draw: st.DrawFn) -> list[Record]:
    """Records with all there is to compare, some with several parts."""
    records = []
    for record in draw(drawn_records()):
        fields = {**record.fields, **draw(st.dictionaries(_FIELDS, _STORED, max_size=3))}
        stamp = draw(st.none() | st.builds(Stamp, _INTEGERS, _INTEGERS))
        parts = (Part(),) * draw(st.integers(1, 2))
        records.append(
            Record(
                record.id, record.uri, stamp, record.digest, record.media, record.width,
                record.height, record.taken_at, record.caption, record.tags, fields, parts,
            )
        )  # fmt: skip
    return records


def put(engine: EmbeddedEngine, held: dict[str, Record], records: Sequence[Record]) -> None:
    count = sum(len(record.parts) for record in records)
    vectors = np.random.default_rng(count).standard_normal((count, DIM)).astype(np.float32)
    engine.put(records, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    held.update({record.id: record for record in records})


def found(engine: EmbeddedEngine, where: Filter) -> set[str]:
    (matches,) = search(engine, np.eye(1, DIM, dtype=np.float32), 100, where)
    return {match.record.id for match in matches}


@pytest.mark.slow
@pytest.mark.parametrize("limits", ["none", "few values", "little memory"])
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    first=_varied(),
    second=_varied(),
    wheres=st.lists(_WHERES, min_size=5, max_size=5),
)
def test_columns_agree_with_the_oracle(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    limits: str,
    first: list[Record],
    second: list[Record],
    wheres: list[Filter],
) -> None:
    monkeypatch.setattr(fields, "MOST_VALUES", 1 if limits == "few values" else 65_536)
    monkeypatch.setattr(evaluation, "MEMORY", 100 if limits == "little memory" else 2**27)
    monkeypatch.setattr(evaluation, "FEW", 5)
    held: dict[str, Record] = {}
    for where in wheres:
        filters.check(where)

    def check() -> None:
        for where in wheres * 2:  # columns are loaded the second time
            expected = {id_ for id_, record in held.items() if filters.matches(where, record)}
            assert found(engine, where) == expected, where

    with open_embedded(tmp_path_factory.mktemp("rows") / "library") as engine:
        engine.ensure(Space("c" * 64, DIM, "tiny-model"))
        put(engine, held, first[:8])
        check()
        put(engine, held, first[8:])  # appended
        check()
        put(engine, held, second[3:9])  # replaced
        engine.delete(["id1", "id4", "nowhere"])
        held.pop("id1", None), held.pop("id4", None)
        check()
        engine.compact()
        check()


@settings(deadline=None)
@given(
    stored=st.lists(_INTEGERS, max_size=5) | st.lists(_FLOATS | st.just(math.nan), max_size=5),
    value=_ASKED,
    op=st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]),
)
@example(stored=[2**53 + 1], value=2.0**53, op="gt")
@example(stored=[2.0**53], value=2**53 + 1, op="lt")
@example(stored=[2**63 - 1], value=2.0**63, op="ge")
def test_numbers_compare_as_in_python(stored: list[Any], value: Any, op: Any) -> None:
    kind = np.float64 if any(isinstance(each, float) for each in stored) else np.int64
    compare = getattr(operator, op)
    fit = numbers.numbers_fit(np.array(stored, kind), op, [value])
    assert fit.tolist() == [compare(each, value) for each in stored]


def test_an_older_snapshot_sees_the_rows_of_its_time(tmp_path: Path) -> None:
    wide = Compare("width", "gt", 5)
    snapshots = Snapshots(Catalog(tmp_path / "library" / "records.sqlite", False, 5))
    with open_embedded(tmp_path / "library") as engine:
        engine.ensure(Space("c" * 64, DIM, "tiny-model"))
        held: dict[str, Record] = {}
        put(engine, held, [Record(f"id{i}", f"r/{i}", width=1 + i) for i in range(10)])
        with snapshots.lend() as old:
            assert old is not None
            engine.delete(["id7"])
            engine.describe([Record("id8", "r/8"), Record("id2", "r/2", width=99)])
            with snapshots.lend() as new:
                assert new is not None
                row_filters = RowFilters(new.view)
                for _ in range(2):
                    mask = row_filters.matching(new.db, new.view, wide)
                    assert np.flatnonzero(mask).tolist() == [2, 5, 6, 9]
            mask = row_filters.matching(old.db, old.view, wide)
            assert np.flatnonzero(mask).tolist() == [5, 6, 7, 8, 9]


TEXTS = [
    "dog", "Dog", "a/dog.JPG", "A%b", "a_b", "a\\b", "aXb", "é/dog", "e\u0301", "\u212a", "k",
    "K", "a/b/c.png",
    "%", "_", "\\", "*", "?", "ab%", "100%_\\x", "a\tb", "ﬁ", "dogdog", "d", "/", "a/", "ſ", "s",
]  # fmt: skip
PATTERNS = [
    "dog", "d?g", "*dog", "dog*", "*DOG*", "*d*g", "d*g*", "%", "*%", "_", "a_b", "a%b", "a\\b",
    "*\\*",
    "a?b", "*/dog*", "K", "k*", "", "*", "?", "??", "*?", "fi", "*é*", "S", "x" * 300, "**d**",
    "*a*b*", "a\tb",
    "*.jpg", "a/*", "\\*", "*b/c*",
]  # fmt: skip


def test_patterns_fit_as_python_says(tmp_path: Path) -> None:
    records = [Record(f"id{i}", text, caption=text) for i, text in enumerate(TEXTS)]
    with open_embedded(tmp_path / "library") as engine:
        engine.ensure(Space("c" * 64, DIM, "tiny-model"))
        put(engine, {}, records)
        for pattern in PATTERNS:
            for field in ("uri", "name", "caption"):
                for op in ("glob", "contains"):
                    where = Compare(field, op, pattern)  # type: ignore[arg-type]
                    fits = {each.id for each in records if filters.matches(where, each)}
                    assert found(engine, where) == fits, (field, op, pattern)


def test_an_and_asks_sql_only_about_the_rows_that_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = And((Compare("width", "gt", 990), Compare("caption", "glob", "*9*7*")))
    asked = []
    test = filters.text_test
    with open_embedded(tmp_path / "library") as engine:
        engine.ensure(Space("c" * 64, DIM, "tiny-model"))
        records = [Record(f"id{i}", f"r/{i}", width=1 + i, caption=str(i)) for i in range(1000)]
        put(engine, {}, records)
        assert found(engine, where) == {"id997"}
        monkeypatch.setattr(
            filters, "text_test", lambda *a: lambda text: (asked.append(text), test(*a)(text))[1]
        )
        assert found(engine, where) == {"id997"}
    assert len(asked) == 10


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MEMORY", 2_000)
    snapshots = Snapshots(Catalog(tmp_path / "library" / "records.sqlite", False, 5))
    with open_embedded(tmp_path / "library") as engine:
        engine.ensure(Space("c" * 64, DIM, "tiny-model"))
        records = [
            Record(f"id{i}", f"r/{i}", Stamp(i, i), width=1 + i, height=1) for i in range(100)
        ]
        put(engine, {}, records)
        with snapshots.lend() as at:
            assert at is not None
            row_filters = RowFilters(at.view)
            for field in ("width", "height", "size", "width", "height", "size", "height"):
                assert row_filters.matching(at.db, at.view, Compare(field, "ge", 0)).all()
        assert list(row_filters.columns) == ["size", "height"]
        assert sum(row_filters.columns.values()) <= 2_000


def test_times_beyond_the_range_of_a_clock(tmp_path: Path) -> None:
    ages = [datetime.min, datetime.max, datetime(1969, 12, 31, tzinfo=UTC), None]
    with open_embedded(tmp_path / "library") as engine:
        engine.ensure(Space("c" * 64, DIM, "tiny-model"))
        records = [Record(f"id{i}", f"r/{i}", taken_at=at) for i, at in enumerate(ages)]
        put(engine, {}, records)
        for at in ages[:3]:
            for op in ("eq", "lt", "ge"):
                where = Compare("taken_at", op, at)  # type: ignore[arg-type]
                expected = {each.id for each in records if filters.matches(where, each)}
                assert found(engine, where) == found(engine, where) == expected


def test_sqlite_keeps_the_digits_of_numbers(tmp_path: Path) -> None:
    """What columns rely on: of two paths SQLite makes a list in which JSON is as it was."""
    import sqlite3

    for value in (0.1, 1e-300, 1.0, 1, True, 2**62 + 1, 5e-324, 1.7976931348623157e308):
        text = json.dumps({"x": value})
        (found,) = sqlite3.connect(":memory:").execute(
            "SELECT json_extract(?, '$.\"x\"', '$.\"x\"')", (text,)
        ).fetchone()  # fmt: skip
        assert repr(json.loads(found)[0]) == repr(value)
