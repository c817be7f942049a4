"""Filters as tests of stored columns mean what `pixseek.filters` means."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pixseek import filters
from pixseek.engines.stored_fields import (
    ORDERS,
    AllOf,
    AnyOf,
    Column,
    Equal,
    Exists,
    Like,
    Negated,
    Never,
    OneOf,
    Range,
    Within,
    compiled,
    fields_of,
    holds,
)
from pixseek.types import And, Compare, Filter, Record, Stamp
from pixseek.types.wildcards import Wildcard

from drawn_filters import FILTERS, drawn_records


@settings(max_examples=20, deadline=None)
@given(records=drawn_records(), wheres=st.lists(FILTERS, min_size=8, max_size=8))
def test_conditions_hold_for_the_records_that_fulfil_the_filter(
    records: list[Record], wheres: list[Filter]
) -> None:
    for record in records:
        fields = fields_of(record)
        for where in wheres:
            assert holds(compiled(where), fields) is filters.matches(where, record), where


_NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(2**53 - 2, 2**53 + 2),
    st.floats(),
    st.sampled_from([2.0**53, 2.0**63, -(2.0**63), 2.0**70, -0.0, 0, 1, math.inf, math.nan]),
)
_COMPARED = st.one_of(
    _NUMBERS,
    st.integers(2**63, 2**80),
    st.integers(2**70 - 2, 2**70 + 2),
    st.sampled_from([10**400, -(10**400), 2**1024 - 1]),
).filter(lambda number: number == number)


@settings(max_examples=500, deadline=None)
@given(
    stored=_NUMBERS,
    op=st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge", "in"]),
    value=_COMPARED,
    field=st.sampled_from(["fields.x", "size"]),
)
@example(stored=2.0**70, op="le", value=2**70 - 1, field="fields.x")
@example(stored=2**53 + 1, op="eq", value=2.0**53, field="fields.x")
def test_numbers_of_any_size_compare_exactly(stored: Any, op: Any, value: Any, field: str) -> None:
    record = Record("id", "r/a", fields={"x": stored})
    if isinstance(stored, int):
        record = Record("id", "r/a", Stamp(stored, 0), fields={"x": stored})
    where = Compare(field, op, (value, 1) if op == "in" else value)
    filters.check(where)
    assert holds(compiled(where), fields_of(record)) is filters.matches(where, record)


@settings(max_examples=200, deadline=None)
@given(
    stored=st.none() | st.integers(-(2**63), 2**63 - 1),
    op=st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]),
    value=st.datetimes() | st.datetimes(timezones=st.just(UTC)),
)
@example(stored=2**63 - 1, op="lt", value=datetime.max)
@example(stored=-(2**63), op="gt", value=datetime.min)
def test_any_time_compares_with_mtime(stored: int | None, op: Any, value: datetime) -> None:
    record = Record("id", "r/a", None if stored is None else Stamp(0, stored))
    where = Compare("mtime", op, value)
    assert holds(compiled(where), fields_of(record)) is filters.matches(where, record)


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(max_size=6) | st.text("aAß*?[]", max_size=6),
    pattern=st.text("aAßs*?[]", max_size=5),
    op=st.sampled_from(["glob", "contains"]),
    field=st.sampled_from(["caption", "tags", "fields.x"]),
)
def test_wildcards_in_any_text(text: str, pattern: str, op: Any, field: str) -> None:
    record = Record("id", "r/a", caption=text, tags=(text, "b"), fields={"x": text})
    where = Compare(field, op, pattern)
    assert holds(compiled(where), fields_of(record)) is filters.matches(where, record)


@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("op", ["eq", "ne"])
def test_away_is_a_column_of_every_record(op: Any, value: bool) -> None:
    where = Compare("away", op, value)
    filters.check(where)
    for away in (False, True):
        record = Record("id", "r/a", parts=(), away=away)
        assert holds(compiled(where), fields_of(record)) is filters.matches(where, record)


def test_every_column_holds_what_stores_can_index() -> None:
    fields = fields_of(
        Record(
            "id", "photos/2024/Straße.jpg", Stamp(7, -5), "ab", "image/jpeg", 4000, 3000,
            datetime(2024, 7, 14, 12, tzinfo=timezone(timedelta(hours=2))), "A Dog", ("Big", "x"),
            {
                "latitude": 48.5, "longitude": 2, "text": "", "yes": True, "none": None,
                "large": 2**62 + 1, "infinite": -math.inf, "nan": math.nan, "huge": 1e300,
                "when": datetime(1970, 1, 2),
            },
        )
    )  # fmt: skip
    kinds: dict[str, type] = {
        "text": str, "folded": str, "written": str, "integer": int, "real": float,
        "special": int, "truth": bool, "wall": int, "instant": int, "place": tuple,
    }  # fmt: skip
    for column, values in fields.items():
        assert values
        assert all(type(value) is kinds[column.kind] for value in values)
        if column.kind == "real":
            assert all(map(math.isfinite, values))  # type: ignore[arg-type]
    assert fields[Column("name", "folded")] == ("strasse.jpg",)
    assert fields[Column("folder", "text")] == ("2024",)
    assert fields[Column("tags", "folded")] == ("big", "x")
    assert fields[Column("aspect", "real")] == (4000 / 3000,)
    assert fields[Column("location", "place")] == ((48.5, 2.0),)
    assert fields[Column("taken_at", "wall")][0] - fields[Column("taken_at", "instant")][0] == (
        2 * 3600 * 1_000_000
    )
    assert fields[Column("fields.large", "integer")] == (2**62 + 1,)
    assert fields[Column("fields.infinite", "special")] == (-1,)
    assert fields[Column("fields.nan", "special")] == (0,)
    assert fields[Column("fields.huge", "real")] == (1e300,)
    assert fields[Column("fields.when", "wall")] == (86_400_000_000,)
    assert Column("fields.when", "instant") not in fields
    assert not any(column.name == "fields.none" for column in fields)


def test_a_record_with_nothing_known_has_few_columns() -> None:
    names = {column.name for column in fields_of(Record("id", "https://example.org/a.jpg"))}
    assert names == {"id", "uri", "path", "folder", "name", "away"}


@pytest.mark.parametrize(
    ("where", "condition"),
    [
        (Compare("width", "gt", 2.5), Range(Column("width", "integer"), "gt", 2)),
        (Compare("width", "lt", 2.5), Range(Column("width", "integer"), "le", 2)),
        (Compare("width", "eq", 2.5), Never()),
        (Compare("width", "lt", 10**30), Exists(Column("width", "integer"))),
        (Compare("width", "in", (1, 2.0, 2, 0.5)), OneOf(Column("width", "integer"), (1, 2))),
        (Compare("width", "in", ()), Never()),
        (Compare("tags", "contains", "Lake"), Equal(Column("tags", "folded"), "lake")),
        (
            Compare("name", "glob", "IMG?**.jpg"),
            Like(Column("name", "folded"), ("img", Wildcard.ONE, Wildcard.ANY, ".jpg")),
        ),
        (
            Compare("caption", "contains", "*"),
            Like(Column("caption", "folded"), (Wildcard.ANY, "*", Wildcard.ANY)),
        ),
        (Compare("fields.x", "ge", True), Equal(Column("fields.x", "truth"), True)),
        (
            Compare("location", "near", (48, 2, 5)),
            Within(Column("location", "place"), (48.0, 2.0), 5.0),
        ),
        (
            Compare("digest", "ne", "a"),
            AllOf(
                (Exists(Column("digest", "text")), Negated(Equal(Column("digest", "text"), "a")))
            ),
        ),
        (And(()), AllOf(())),
        (
            Compare("fields.x", "in", (1, "a")),
            AnyOf(
                (
                    Equal(Column("fields.x", "integer"), 1),
                    Equal(Column("fields.x", "text"), "a"),
                )
            ),
        ),
    ],
)  # fmt: skip
def test_conditions_are_as_plain_as_they_can_be(where: Filter, condition: Any) -> None:
    assert compiled(where) == condition


def test_every_order_has_a_column_to_sort_by() -> None:
    assert {
        name: fields_of(Record("id", "r/b/a.jpg", Stamp(3, 4), taken_at=datetime(1970, 1, 1)))[each]
        for name, each in ORDERS.items()
    } == {"uri": ("r/b/a.jpg",), "name": ("a.jpg",), "taken_at": (0,), "mtime": (4,), "size": (3,)}
