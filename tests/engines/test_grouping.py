"""One image per value of a field: the same over every engine, and what a plain ranking says."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixseek.engines import open_engine
from pixseek.errors import QueryError
from pixseek.search import group_values, grouping, layout
from pixseek.search.asked import Backgrounds
from pixseek.search.background import Background
from pixseek.search.language import filter_of
from pixseek.search.searcher import Searcher
from pixseek.search.term_vectors import TextCache
from pixseek.types import WHOLE, And, Compare, Engine, Filter, Part, Query, Record, Term

from vectors import SPACE, random_unit

_NAMES = itertools.count()
QUERY, OTHER = random_unit(2, 99)
BACKGROUND = Backgrounds.of_library(None, Background.of(random_unit(60, 7)), 0.99)

#: Values of all kinds, some of which look alike; None for no value.
VALUES: tuple[Any, ...] = (
    "A-17", "a-17", "1", 1, 1.0, True, 2.5, -3, "", " ", 'with "quotes" \\ and *', "caf\u00e9",
    "cafe\u0301", "日本", "year:2021 OR x", "true", "2021-05-01", datetime(2021, 5, 1), None,
    datetime(2021, 5, 1, tzinfo=UTC), 2**53 + 1, 2**62, "x" * 900,
)  # fmt: skip


def searcher(engine: Engine, kept: grouping.Kept | None = None) -> Searcher:
    return Searcher(
        engine=engine,
        encoder=lambda: pytest.fail("no model is needed"),
        backgrounds=lambda: BACKGROUND,
        model="tiny-model",
        locate=lambda _: None,
        preview=lambda _: None,
        picture=lambda _: None,
        fetch=lambda _: pytest.fail("nothing is fetched"),
        texts_of=TextCache(),
        groups=lambda: kept or grouping.Kept(lambda: None),
    )


def fill(engine: Engine, values: list[Any], field: str = "product") -> list[Record]:
    engine.ensure(SPACE)
    records = [
        Record(f"id{n:04}", f"r/{n % 3}/{n * 7 % 100:02}-{n}.jpg", width=n + 1,
               taken_at=datetime(2000 + n % 4, 1, 1) if n % 5 else None,
               fields={} if value is None else {field: value})
        for n, value in enumerate(values)
    ]  # fmt: skip
    engine.put(records, random_unit(len(records), 3))
    return records


def key(value: Any) -> Hashable:
    """What values that are equal to a filter have in common."""
    if isinstance(value, str):
        return "text", unicodedata.normalize("NFC", value)
    if isinstance(value, datetime):
        return "time", value.replace(tzinfo=None)
    return type(value) is bool, value


def best_of_each(hits: list[Any], value: Callable[[Record], Any]) -> list[str]:
    """Return the first of each value in a plain ranking, and all without one."""
    first: dict[Hashable, str] = {}
    for hit in hits:
        own = value(hit.record)
        first.setdefault(("id", hit.id) if own is None else key(own), hit.id)
    return list(first.values())


@pytest.fixture
def small_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rounds look at few images, so that there are several of them."""
    monkeypatch.setattr(grouping, "MANY", 8)
    monkeypatch.setattr(grouping, "_FEW", 8)
    monkeypatch.setattr(group_values, "_COUNTED_AT_ONCE", 3)
    monkeypatch.setattr(group_values, "_FEW_MEMBERS", 12)


@pytest.mark.usefixtures("small_rounds")
@pytest.mark.parametrize("terms", [(), (Term("vector", QUERY),)])
def test_groups_are_the_best_of_a_plain_ranking(engine: Engine, terms: tuple[Term, ...]) -> None:
    products = [f"P{n % 9}" if n % 4 else "P0" for n in range(70)] + [None] * 6
    fill(engine, products)
    ask = searcher(engine).search
    only: Filter = Compare("width", "gt", 5)
    for where in (None, only):
        shown = where or And(())
        plain = Query(terms, where=shown, k=100)
        ranked = list(ask([plain])[0])
        expected = best_of_each(ranked, lambda record: record.fields.get("product"))
        grouped = Query(terms, where=shown, k=100, group_by="fields.product")
        (whole,) = ask([grouped])
        assert [hit.id for hit in whole] == expected
        assert [hit.rank for hit in whole] == list(range(1, len(whole) + 1))
        assert whole.total == len(ranked)
        counts = Counter(each.record.fields.get("product") for each in ranked)
        for hit in whole:
            assert hit.group == hit.record.fields.get("product")
            assert hit.others == (counts[hit.group] - 1 if hit.group else 0)
        # Pages are cut from one order.
        for offset in range(0, len(expected), 3):
            (page,) = ask([Query(terms, where=shown, k=3, offset=offset, group_by="product")])
            assert [hit.id for hit in page] == expected[offset : offset + 3]


@pytest.mark.usefixtures("small_rounds")
def test_a_large_group_hides_no_other(engine: Engine) -> None:
    """All nearest images are of one product; one of another product is far below them."""
    engine.ensure(SPACE)
    vectors = random_unit(120, 5)
    vectors = vectors[(-(vectors @ QUERY)).argsort()]
    products = ["common"] * 110 + [f"rare {n}" for n in range(10)]
    engine.put(
        [
            Record(f"id{n:03}", f"r/{n}", fields={"product": each})
            for n, each in enumerate(products)
        ],
        vectors,
    )
    (found,) = searcher(engine).search([Query((Term("vector", QUERY),), k=3, group_by="product")])
    assert [(hit.group, hit.others) for hit in found] == [
        ("common", 109), ("rare 0", 0), ("rare 1", 0),
    ]  # fmt: skip


@pytest.mark.usefixtures("small_rounds")
def test_values_of_every_kind_and_their_filters(engine: Engine) -> None:
    values = [value for value in VALUES for _ in range(3)]
    fill(engine, values)
    ask = searcher(engine)
    ranked = list(ask.search([Query((Term("vector", QUERY),), k=200)])[0])
    (found,) = ask.search([Query((Term("vector", QUERY),), k=200, group_by="fields.product")])
    assert [hit.id for hit in found] == best_of_each(
        ranked, lambda record: record.fields.get("product")
    )
    for hit in found:
        if hit.group is None:
            assert (hit.others, hit.group_filter) == (0, "")
        else:
            assert engine.count(filter_of(hit.group_filter)) == hit.others + 1, hit.group_filter


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("folder", lambda record: record.folder),
        ("year", lambda record: record.taken_at and record.taken_at.year),
        ("width", lambda record: record.width),
        ("name", lambda record: record.name),
        ("root", lambda record: record.root),
    ],
)
def test_fields_that_all_images_have(name: str, value: Callable[[Record], Any]) -> None:
    with open_engine(f"memory://grouping-{next(_NAMES)}") as engine:
        fill(engine, [None] * 40)
        ask = searcher(engine)
        for sort in ("relevance", "oldest", "name"):
            plain = Query((), where=And(()), k=50, sort=sort)
            (found,) = ask.search([Query((), where=And(()), k=50, sort=sort, group_by=name)])
            assert [hit.id for hit in found] == best_of_each(list(ask.search([plain])[0]), value)
            for hit in found:
                assert hit.group == value(hit.record)
                if hit.group is not None:
                    assert engine.count(filter_of(hit.group_filter)) == hit.others + 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=st.lists(st.sampled_from(VALUES), min_size=1, max_size=50),
    seed=st.integers(0, 50),
    sort=st.sampled_from(["relevance", "newest", "name"]),
    looks=st.booleans(),
    k=st.integers(1, 12),
    first=st.integers(1, 9),
)
def test_any_page_of_any_grouping_is_that_of_the_plain_ranking(
    values: list[Any], seed: int, sort: Any, looks: bool, k: int, first: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, open_engine(f"memory://g{next(_NAMES)}") as engine:
        patch.setattr(grouping, "MANY", first)
        patch.setattr(grouping, "_FEW", first)
        fill(engine, values)
        terms = (Term("vector", random_unit(1, seed)[0]),) if looks else ()
        ask = searcher(engine).search
        (plain,) = ask([Query(terms, where=And(()), k=100, sort=sort)])
        expected = best_of_each(list(plain), lambda record: record.fields.get("product"))
        for offset in range(0, len(expected) + 1, k):
            (page,) = ask(
                [Query(terms, where=And(()), k=k, offset=offset, sort=sort,
                       group_by="fields.product")]
            )  # fmt: skip
            assert [hit.id for hit in page] == expected[offset : offset + k]


#: Queries of every kind, by what is special about them; vectors stand for words and examples.
QUERIES: dict[str, dict[str, Any]] = {
    "several things": {"terms": (Term("vector", QUERY), Term("vector", OTHER, 0.5))},
    "one of several": {"terms": (Term("vector", QUERY, alternatives=(Term("vector", OTHER),)),)},
    "less of one": {"terms": (Term("vector", QUERY), Term("id", "id0003", -0.15))},
    "similar to one": {"terms": (Term("id", "id0007"),)},
    "left out": {"exclude": (Term("vector", OTHER),)},
    "left out, shown": {"exclude": (Term("vector", OTHER),), "show_excluded": True},
    "exact": {"exact": True},
    "strength": {"min_strength": "likely"},
    "newest": {"sort": "newest"},
    "variety": {"variety": 0.5},
    "moments": {"moments": True},
    "copies once": {"group": True},
}
#: Fields of images, by kind; None for no value.
KINDS: dict[str, Callable[[int], Any]] = {
    "price": lambda n: (None, 2.5, 1, 12.0)[n % 4],
    "released": lambda n: datetime(2020 + n % 3, 5, 1) if n % 4 else None,
    "in_stock": lambda n: (True, False, None)[n % 3],
}


def test_queries_of_every_kind_are_grouped_by_fields_of_every_kind(engine: Engine) -> None:
    """Of images, of images in tiles and of videos, the best part of which counts."""
    engine.ensure(SPACE)
    tiles = (WHOLE, Part("tile", (0.0, 0.0, 0.5, 0.5)), Part("tile", (0.5, 0.5, 0.5, 0.5)))
    shots = tuple(Part("shot", None, n, n + 1.0, n) for n in range(4))
    parts = [(WHOLE,) if n % 3 else tiles if n % 2 else shots for n in range(40)]
    records = [
        Record(f"id{n:04}", f"r/{n}.jpg", taken_at=datetime(2000 + n % 7, 1, 1), parts=own,
               fields={name: value for name, of in KINDS.items()
                       if (value := of(n)) is not None})
        for n, own in enumerate(parts)
    ]  # fmt: skip
    engine.put(records, random_unit(sum(map(len, parts)), 3))
    ask = searcher(engine).search
    kinds = itertools.cycle(KINDS)
    for what, asked in QUERIES.items():
        whole = {"terms": (Term("vector", QUERY),), "where": And(()), "k": 50, **asked}
        (plain,) = ask([Query(**{**whole, "moments": False, "group": False})])
        field = next(kinds)
        (found,) = ask([Query(**whole, group_by=field)])
        assert [hit.id for hit in found] == best_of_each(
            list(plain), lambda record, field=field: record.fields.get(field)
        ), what
        assert found.excluded == plain.excluded, what
        hits = {hit.id: hit for hit in plain}
        for hit in found:
            same = hits[hit.id]
            assert (hit.part, hit.score, hit.strength, hit.moments, hit.excluded_by) == (
                same.part, same.score, same.strength, same.moments, same.excluded_by,
            ), what  # fmt: skip
            if hit.group is not None:
                # The images of the question are not among the answers.
                other = [Compare("id", "ne", t.value) for t in whole["terms"] if t.kind == "id"]
                only = And((filter_of(hit.group_filter), *other))
                assert engine.count(only) == hit.others + 1, what
        (page,) = ask([Query(**{**whole, "k": 2, "offset": 1}, group_by=field)])
        assert [hit.id for hit in page] == [hit.id for hit in found][1:3], what


@pytest.mark.parametrize("looks", [True, False])
def test_the_next_page_goes_on_where_the_last_one_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: bool
) -> None:
    terms = (Term("vector", QUERY),) if looks else ()
    with open_engine(tmp_path / "library") as engine:
        fill(engine, [f"P{n // 2}" for n in range(300)])
        kept, ids = grouping.Kept(engine.version), itertools.count(300)

        def page(offset: int, kept: grouping.Kept | None = kept) -> list[str]:
            asked = Query(terms, where=And(()), k=20, offset=offset, group_by="product")
            return [hit.id for hit in searcher(engine, kept).search([asked])[0]]

        read: list[int] = []
        get, select = engine.get, engine.select
        monkeypatch.setattr(engine, "get", lambda ids: read.append(len(ids)) or get(ids))
        monkeypatch.setattr(
            engine, "select", lambda *args, **how: read.append(how["k"]) or select(*args, **how)
        )

        def cost(offset: int, kept: grouping.Kept | None = kept) -> int:
            read.clear()
            page(offset, kept)
            return sum(read)

        page(0)
        page(100)
        assert cost(120) < cost(120, None)
        assert cost(100) <= cost(120)  # back again
        for offset in (120, 0, 140, 160):
            assert page(offset) == page(offset, None)
        # After a write it begins anew.
        extra = Record(f"id{next(ids):04}", "r/new.jpg", fields={"product": "new"})
        engine.put([extra], QUERY[None])
        assert page(0) == page(0, None)
        assert not looks or page(0)[0] == extra.id


def test_a_layout_says_if_there_are_more_groups_than_it_lists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layout, "MOST_GROUPED", 8)
    with open_engine(f"memory://grouping-{next(_NAMES)}") as engine:
        fill(engine, [f"P{n % 9}" for n in range(30)])
        for looked_for in ((), (Term("vector", QUERY),)):
            query = Query(looked_for, where=And(()), k=99, group_by="product")
            (every,) = searcher(engine).search([query])
            found = layout.layout(searcher(engine), query)
            assert found.ids == tuple(hit.id for hit in every)[:8]
            assert len(found.strengths) and len(found.aspects) == 8
            (warning,) = found.warnings
            assert warning.startswith("Only the 8 best values are listed")
            few = layout.layout(searcher(engine), query, most=5)
            assert (few.ids, few.warnings) == (found.ids[:5], ())
            only = replace(query, where=Compare("fields.product", "ne", "P0"))
            assert not layout.layout(searcher(engine), only).warnings


def test_fields_that_can_not_group_are_refused() -> None:
    with open_engine(f"memory://grouping-{next(_NAMES)}") as engine:
        fill(engine, ["A", math.nan, "x" * 10_001])
        ask = searcher(engine).search
        for name in ("tags", "tag", "person", "colour", "place", "near", "date", "mtime",
                     "people", "has", "orientation"):  # fmt: skip
            with pytest.raises(QueryError, match="can't be grouped by this field"):
                ask([Query((), where=And(()), group_by=name)])
        with pytest.raises(QueryError, match=r"produkt.*Did you mean|fields\.NAME"):
            ask([Query((), where=And(()), group_by="produkt")])
        # What no filter can name is no value.
        (found,) = ask([Query((), where=And(()), group_by="product")])
        assert sorted(hit.group or "" for hit in found) == ["", "", "A"]
