"""Engines that know outlines say of them what `select` and `nearest` say of whole records."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixseek.engines.embedded.row_filters import RowFilters
from pixseek.search.ranked_list import outlined
from pixseek.types import (
    Compare,
    Engine,
    Filter,
    Not,
    Order,
    Outlines,
    Outlining,
    Part,
    Record,
    Stamp,
)

from vectors import DIM, SPACE, Opener, random_unit

ZONE = timezone(timedelta(hours=5, minutes=30))
ODD = timezone(timedelta(minutes=19, seconds=32, microseconds=130))  # Amsterdam, until 1937
TIMES = (
    None,
    datetime(2024, 7, 14, 12, 30, 1, 5),
    datetime(2024, 7, 14, 12, 30, 1, 5, ZONE),
    datetime(1930, 7, 14, tzinfo=ODD),
    datetime(1, 1, 1),
    datetime(1961, 2, 3, 4),
    datetime(9999, 12, 31, 23, 59, 59, 999999),
)
FILTERS: tuple[Filter | None, ...] = (
    None,
    Compare("width", "ge", 200),
    Not(Compare("width", "ge", 200)),
    Compare("name", "glob", "*1*"),
    Compare("tags", "contains", "a"),
    Compare("away", "eq", True),
    Compare("away", "eq", False),
    Compare("id", "eq", "none"),
)


def drawn(seed: int, count: int, *, without: bool) -> tuple[list[Record], np.ndarray]:
    """Return records of one to three parts, few of which differ, with their vectors."""
    rng = np.random.default_rng(seed)
    made = []
    for n in range(count):
        parts = [Part(), *(Part("tile", (0.5 * t, 0, 0.5, 1)) for t in range(rng.integers(0, 3)))]
        away = bool(rng.random() < 0.1)
        bare = away or (without and rng.random() < 0.2)
        size = int(rng.integers(0, 3))
        made.append(
            Record(
                f"id{n:04}" if n % 7 else f"é{n}" * 3,
                f"photos/{'BbA'[n % 3]}{n % 11}.jpg" if n % 5 else f"photos/x/ß{n}.jpg",
                stamp=Stamp(size, int(rng.integers(1, 4)) * 10**9) if n % 4 else None,
                width=int(rng.choice([0, 100, 200, 301])),
                height=int(rng.choice([0, 100, 333])),
                taken_at=TIMES[int(rng.integers(0, len(TIMES)))],
                tags=("a",) if n % 2 else (),
                parts=() if bare else tuple(parts),
                away=away,
            )
        )
    rows = sum(len(each.parts) for each in made)
    few = random_unit(3, seed)  # so that many are equally near
    return made, few[rng.integers(0, 3, rows)] if rows else np.empty((0, DIM), np.float32)


def as_it_is(engine: Engine, found: Outlines, order: Order | None) -> None:
    """Check outlines by their records."""
    records = engine.get(found.ids)
    assert None not in records
    expected = outlined([each for each in records if each], order, found.total)
    np.testing.assert_array_equal(found.aspects, expected.aspects)
    assert list(found.values) == list(expected.values)


@pytest.fixture(params=["columns", "no columns"])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a snapshot has that is older than the columns in memory: none of them."""
    if request.param != "columns":
        for name in ("owners", "values"):
            monkeypatch.setattr(RowFilters, name, lambda *_: None)
    return str(request.param)


@pytest.mark.parametrize("opener", ["exact", "codes"], indirect=True)
@pytest.mark.parametrize("without", [False, True])
@given(seed=st.integers(0, 1000), data=st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_outlines_are_those_of_the_records(
    opener: Opener, columns: str, without: bool, seed: int, data: st.DataObject
) -> None:
    engine = opener()
    assert isinstance(engine, Outlining)
    engine.ensure(SPACE)
    engine.delete([each.id for records, _ in engine.export() for each in records])
    engine.put(*drawn(seed, 40, without=without))
    for step in range(3):
        where = data.draw(st.sampled_from(FILTERS))
        k = data.draw(st.sampled_from((1, 3, 10, 100)))
        order: Order = data.draw(st.sampled_from(get_args(Order)))
        descending = data.draw(st.booleans())
        found = engine.outline(where, order=order, descending=descending, k=k)
        same = engine.select(where, order=order, descending=descending, k=k, offset=0)
        assert found.ids == tuple(each.id for each in same)
        assert found.total == engine.count(where)
        as_it_is(engine, found, None if order in ("uri", "name") else order)
        queries = random_unit(2, seed + step)
        both = engine.outline_nearest(queries, k, where, order=order, with_vectors=True)
        for (near, found), other in zip(both, engine.nearest(queries, k, where), strict=True):
            assert (near.ids, near.parts, near.total) == (other.ids, other.parts, other.total)
            np.testing.assert_array_equal(near.scores, other.scores)
            np.testing.assert_array_equal(near.vectors, other.vectors)
            assert found.ids == near.ids
            as_it_is(engine, found, order)
        lean, found = engine.outline_nearest(queries[:1], k, where, order=None, with_vectors=False)[
            0
        ]
        assert lean.ids == both[0][0].ids
        assert lean.vectors.shape == (0, DIM)
        assert found.values == ()
        # Columns in memory follow changes of metadata, new records and deletions.
        changed, _ = drawn(seed + 1000 + step, 40, without=without)
        engine.describe(changed[10 * step : 10 * step + 8])
        engine.delete([each.id for each in changed[30 + step : 32 + step]])
        more, vectors = drawn(seed + 2000, 45 + step, without=without)
        engine.put(more[-3:], vectors[len(vectors) - sum(len(r.parts) for r in more[-3:]) :])


@pytest.mark.parametrize("opener", ["exact"], indirect=True)
def test_ids_that_have_16_letters_on_average_stay_apart(opener: Opener) -> None:
    engine = opener()
    engine.ensure(SPACE)
    ids = ("a" * 15, "b" * 17, "c" * 16)
    records = [Record(each, f"photos/{each}.jpg", parts=(Part(),)) for each in ids]
    engine.put(records, random_unit(3, 0))
    assert isinstance(engine, Outlining)
    (_, found), *_ = engine.outline_nearest(
        random_unit(1, 1), 3, None, order=None, with_vectors=False
    )
    assert sorted(found.ids) == list(ids)
