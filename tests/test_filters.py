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
        ("digest", "a"), ("pixels", "a"), ("media", "a"), ("caption", "a"), ("width", 1),
        ("height", 1),
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
    if "/" not in text:  # which separates levels
        assert holds(Record("id", "r/a", tags=("zzz", text)), "tags", "glob", pattern) is fits


@pytest.mark.parametrize("tag", ["Nature|Birds|Owl", "Nature/Birds/Owl", "nature > birds > OWL"])
def test_a_tag_is_found_by_its_levels_and_by_the_paths_from_its_top(tag: str) -> None:
    record = Record("id", "r/a", tags=("x", tag))
    for value in ("nature", "Birds", "owl", "Nature|Birds", "nature/birds", "NATURE > BIRDS > OWL"):
        assert holds(record, "tags", "contains", value)
        assert holds(record, "tags", "glob", value)
        assert not matches(Not(Compare("tags", "contains", value)), record)
    for value in ("bird", "birds|owl", "nature|owl", "", "|", "nature|"):
        assert not holds(record, "tags", "contains", value)
    assert holds(record, "tags", "glob", "bird*")
    assert holds(record, "tags", "glob", "*/owl")
    assert not holds(record, "tags", "glob", "wl*")


_FORMS = [("Zoë", "Zoe\u0308"), ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"), ("K", "\u212a")]


@pytest.mark.parametrize(("one", "other"), [*_FORMS, *((b, a) for a, b in _FORMS)])
def test_normal_forms_are_equal_in_every_comparison(one: str, other: str) -> None:
    record = Record(
        one, f"{one}/{one}/{one}", media=one, digest=one, caption=one, tags=(one,),
        fields={"x": one, "people": one, "camera_make": one},
    )  # fmt: skip
    for name in (
        "id",
        "root",
        "folder",
        "name",
        "media",
        "digest",
        "caption",
        "fields.x",
        "camera",
    ):
        for op in ("eq", "le", "ge", "glob", "contains"):
            assert holds(record, name, op, other), (name, op)
        assert holds(record, name, "in", ("-", other))
        for op in ("ne", "lt", "gt"):
            assert not holds(record, name, op, other), (name, op)
        assert holds(record, name, "glob", f"*{other}")
    for name in ("tags", "person"):
        assert holds(record, name, "contains", other)
        assert holds(record, name, "glob", f"{other}*")
    for name in ("uri", "folder"):
        assert holds(record, name, "under", f"{other}/{other}")


def test_case_is_folded_by_unicode_and_the_same_for_every_language() -> None:
    record = Record("id", "r/a", fields={"x": "ΟΔΌΣ İSTANBUL STRASSE"})
    for part in ("οδός", "i\u0307stanbul", "straße"):
        assert holds(record, "fields.x", "contains", part)
    assert not holds(record, "fields.x", "contains", "ıstanbul")
    assert not holds(record, "fields.x", "eq", "ΟΔΌΣ İSTANBUL strasse")


def test_a_folder_is_found_below_itself_by_its_root_or_its_path_below_any_root() -> None:
    record = Record("id", "Photos/2021/Été/a.jpg")
    for folder in ("photos", "Photos/2021", "photos/2021/e\u0301te\u0301/", "2021", "2021/été"):
        assert holds(record, "folder", "under", folder), folder
        assert holds(record, "uri", "under", folder) is folder.lower().startswith("photos")
    for folder in ("202", "été", "photos/2021/été/a.jpg", "a.jpg", "*"):
        assert not holds(record, "folder", "under", folder), folder
    assert holds(record, "folder", "under", "/2021/")
    assert holds(record, "folder", "under", "")
    page = Record("id", "https://example.org/x/a.jpg")
    assert holds(page, "folder", "under", "https://example.org/x")
    assert not holds(page, "folder", "under", "x")


def test_camera_is_maker_and_model_and_people_are_separate_names() -> None:
    record = Record("id", "r/a", fields={
        "camera_make": "Canon", "camera_model": "EOS 5D", "people": "Ann Lee; Bob;;Zoë ", "x": 1,
        "colour_names": "red, blue",
    })  # fmt: skip
    assert holds(record, "camera", "eq", "Canon EOS 5D")
    assert holds(record, "camera", "contains", "canon eos")
    for name in ("ann lee", "Bob", "ZOË"):
        assert holds(record, "person", "contains", name)
    for name in ("ann", "lee", "", "Ann Lee; Bob"):
        assert not holds(record, "person", "contains", name)
    assert holds(record, "person", "glob", "ann*")
    assert holds(record, "colour", "contains", "Blue")
    for odd in (
        EMPTY,
        Record("id", "r/a", fields={"people": 7, "camera_make": 5, "camera_model": ""}),
    ):
        for name in ("person", "colour", "camera"):
            assert not holds(odd, name, "exists")


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
        (Compare("name", "under", "a"), "Operators for name: eq"),
        (Compare("folder", "under", 3), "a text"),
        (Compare("width", "equals", 1), "Known operators"),  # type: ignore[arg-type]
        (Compare("width", "gt", "1"), "a number"),
        (Compare("width", "gt", True), "a number"),
        (Compare("width", "gt", float("nan")), "NaN"),
        (Compare("width", "gt"), "a number"),
        (Compare("width", "in", 3), "tuple"),
        (Compare("width", "in", (3, None)), "a number"),
        (Compare("width", "exists", True), "no value"),
        (Compare("taken_at", "gt", "2024"), "datetime"),
        (
            Compare("taken_at", "gt", datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-16)))),
            "less than 16 hours",
        ),
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
        assert hasattr(EMPTY, name) or name in {
            "size", "mtime", "aspect", "megapixels", "location", "camera", "person", "colour"
        }  # fmt: skip
    assert field_kind("fields.anything at all") == "any"
