"""The meaning of filters: the rules of `pixseek.filters`, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from pixseek.errors import QueryError
from pixseek.filters import FIELDS, MAX_DEPTH, check, field_kind, matches
from pixseek.types import And, Compare, Filter, Not, Or, Record, Stamp

EMPTY = Record("id", "photos/a.jpg")
TOKYO = timezone(timedelta(hours=9))


def holds(record: Record, *compare: Any) -> bool:
    where = Compare(*compare)
    check(where)
    return matches(where, record)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("digest", "a"), ("media", "a"), ("caption", "a"), ("width", 1), ("height", 1),
        ("size", 1), ("mtime", datetime(2000, 1, 1)), ("taken_at", datetime(2000, 1, 1)),
        ("fields.x", 1), ("fields.x", True), ("fields.x", "a"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("op", ["eq", "ne", "lt", "le", "gt", "ge", "in", "exists"])
def test_comparisons_with_missing_values_are_false(name: str, value: Any, op: str) -> None:
    value = None if op == "exists" else (value,) if op == "in" else value
    for record in (EMPTY, Record("id", "photos/a.jpg", fields={"x": None})):
        assert not holds(record, name, op, value)
        assert matches(Not(Compare(name, op, value)), record)  # type: ignore[arg-type]


def test_empty_and_zero_values_are_not_missing() -> None:
    record = Record("id", "r/x/a.jpg", Stamp(0, 0), tags=("",), fields={"x": "", "zero": 0})
    for name in ("id", "uri", "root", "folder", "name", "size", "mtime", "tags", "fields.x"):
        assert holds(record, name, "exists")
    assert holds(record, "fields.zero", "eq", 0)
    assert holds(Record("id", "r/a.jpg"), "folder", "eq", "")
    assert not holds(Record("id", "https://x/a.jpg"), "root", "exists")


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("*", "", True), ("2024*", "2024/06/a", True), ("*/a", "2024/06/a", True),
        ("2024", "2024/06", False), ("?", "é", True), ("?", "ab", False), ("", "", True),
        ("[ab]*", "a", False), ("[AB]*", "[ab]c", True), ("STRASSE*", "straße 1", True),
        ("a*b*c", "axxbyyc", True), ("a**c", "abc", True), ("a.c", "abc", False),
        ("*\n*", "a\nb", True), ("%", "a", False), ("\\*", "\\x", True),
    ],
)  # fmt: skip
def test_glob_matches_the_whole_text_ignoring_case(pattern: str, text: str, fits: bool) -> None:
    assert holds(Record("id", "r/a", fields={"x": text}), "fields.x", "glob", pattern) is fits
    assert holds(Record("id", "r/a", tags=("zzz", text)), "tags", "glob", pattern) is fits


def test_contains_tests_for_a_part_of_a_text_or_a_whole_tag() -> None:
    record = Record("id", "r/a", caption="A Dog's day", tags=("Big Dog", "naïve"))
    assert holds(record, "caption", "contains", "dOG")
    assert not holds(record, "caption", "contains", "d*g")
    assert holds(record, "tags", "contains", "big dog")
    assert not holds(record, "tags", "contains", "dog")


def test_values_of_different_kinds_are_never_equal() -> None:
    record = Record("id", "r/a", fields={"n": 1, "b": True, "t": "1", "d": datetime(2000, 1, 1)})
    for name, own in (("n", 1.0), ("b", True), ("t", "1"), ("d", datetime(2000, 1, 1))):
        for value in (1, True, "1", datetime(2000, 1, 1)):
            same = type(own) is type(value) or (name == "n" and type(value) is int)
            assert holds(record, f"fields.{name}", "eq", value) is same
            assert holds(record, f"fields.{name}", "ne", value) is not same
            assert holds(record, f"fields.{name}", "in", (value,)) is same
            if not same:
                assert not holds(record, f"fields.{name}", "le", value)
    assert not holds(record, "fields.n", "contains", "1")


def test_times_with_a_time_zone_are_instants_and_others_wall_clocks() -> None:
    noon = datetime(2000, 1, 1, 12)
    local, tokyo = (
        Record("", "", taken_at=noon),
        Record("", "", taken_at=noon.replace(tzinfo=TOKYO)),
    )
    for record in (local, tokyo):
        assert holds(record, "taken_at", "eq", noon)
        assert holds(record, "taken_at", "eq", noon.replace(tzinfo=TOKYO))
        assert not holds(record, "taken_at", "lt", noon)
    three = datetime(2000, 1, 1, 3, tzinfo=UTC)  # noon in Tokyo
    assert holds(tokyo, "taken_at", "eq", three)
    assert not holds(local, "taken_at", "eq", three)
    assert holds(local, "taken_at", "gt", three)


def test_mtime_is_an_instant() -> None:
    record = Record("", "", Stamp(1, 946_728_000_000_000_001))
    noon = datetime(2000, 1, 1, 12, tzinfo=UTC)
    assert holds(record, "mtime", "gt", noon)
    assert not holds(record, "mtime", "eq", noon)
    assert holds(record, "mtime", "lt", noon + timedelta(microseconds=1))
    assert holds(record, "mtime", "gt", noon.astimezone(TOKYO))
    assert holds(record, "mtime", "gt", noon.astimezone().replace(tzinfo=None))  # local time
    for extreme in (datetime.min, datetime.max):
        assert holds(record, "mtime", "ne", extreme)


def test_and_or_and_not_combine_filters() -> None:
    yes, no = Compare("id", "eq", "id"), Compare("id", "eq", "other")
    assert matches(And(()), EMPTY)
    assert not matches(Or(()), EMPTY)
    assert matches(And((yes, Not(no), Or((no, yes)))), EMPTY)
    assert not matches(And((yes, no)), EMPTY)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (Compare("widht", "gt", 1), "Did you mean 'width'"),
        (Compare("fields.", "gt", 1), "fields.NAME"),
        (Compare("width", "glob", "1"), "Operators for width: eq"),
        (Compare("tags", "eq", "a"), "Operators for tags: contains"),
        (Compare("width", "equals", 1), "Known operators"),  # type: ignore[arg-type]
        (Compare("width", "gt", "1"), "a number"),
        (Compare("width", "gt", True), "a number"),
        (Compare("width", "gt", float("nan")), "NaN"),
        (Compare("width", "gt"), "a number"),
        (Compare("width", "in", 3), "tuple"),
        (Compare("width", "in", (3, None)), "a number"),
        (Compare("width", "exists", True), "no value"),
        (Compare("taken_at", "gt", "2024"), "datetime"),
        (Compare("name", "eq", ("a",)), "a text"),
        (Compare("name", "glob", 3), "a text"),
        (Compare("name", "eq", "a\0"), "invalid text"),
        (Compare("name", "eq", "\ud800"), "invalid text"),
        (Compare("name", "eq", "a" * 20_000), "too long"),
        (And((Compare("width", "gt", 1), "width > 3")), "not a filter"),  # type: ignore[arg-type]
        (Or((Compare("id", "eq", "a"),) * 1001), "too large"),
    ],
)
def test_invalid_filters_raise_query_error(where: Filter, message: str) -> None:
    with pytest.raises(QueryError, match="(?is)" + message.replace("(", r"\(")):
        check(where)


def test_filters_are_nested_at_most_max_depth_levels() -> None:
    where: Filter = Compare("id", "eq", "id")
    for _ in range(MAX_DEPTH):
        where = Not(where)
    check(where)
    with pytest.raises(QueryError, match=r"(?i)deep"):
        check(Not(where))


def test_every_field_belongs_to_a_record() -> None:
    for name in FIELDS:
        assert field_kind(name) == FIELDS[name].kind
        assert hasattr(EMPTY, name) or name in {"size", "mtime", "aspect", "megapixels", "location"}
    assert field_kind("fields.anything at all") == "any"
