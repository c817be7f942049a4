"""A layout is its search, page after page, whatever the engine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixseek.search import asked, layout, ordering, searcher
from pixseek.search.asked import Backgrounds
from pixseek.search.background import Background
from pixseek.search.grouping import Kept
from pixseek.search.searcher import Searcher
from pixseek.search.term_vectors import TextCache
from pixseek.types import Compare, Engine, Part, Query, Record, Sort, Stamp, Strength, Term

from vectors import DIM, SPACE, Opener, random_unit, unit

WORDS = ("dog", "red boat", "snow", "nowhere written")


class Noise:
    """An encoder of texts alone: each is noise of its own."""

    name, dim, fingerprint = SPACE.model, DIM, SPACE.fingerprint

    def encode_texts(self, texts: Sequence[str]) -> Any:
        seeds = (int.from_bytes(hashlib.sha256(t.encode()).digest()[:4], "big") for t in texts)
        return np.concatenate([random_unit(1, seed) for seed in seeds])


def fill(engine: Engine, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    records = [
        Record(
            f"id{n:03}",
            f"photos/{'abc'[n % 3]}/{n % 17}.jpg",
            stamp=Stamp(int(rng.integers(1, 9)), 10**9 * n) if n % 5 else None,
            width=int(rng.choice([0, 300, 400])),
            height=300,
            taken_at=datetime(2020, 1 + n % 5, 1 + n % 3) if n % 4 else None,
            caption=str(rng.choice(["", "", "", "a dog", "red boat, snow", "boat"])),
            digest=f"{n % 30:064}",
            parts=(Part(), Part("tile", (0, 0, 0.5, 1)))[: 1 + n % 2],
        )
        for n in range(count)
    ]
    engine.put(records, near(rng, sum(len(each.parts) for each in records)))


def near(rng: Any, rows: int) -> Any:
    """Return unit rows near to few directions, some of them equal."""
    few = random_unit(9, 1) + np.float32(0.5)
    noise = rng.standard_normal((rows, DIM)) * rng.choice([0, 0.3], (rows, 1))
    return unit(few[rng.integers(0, 9, rows)] + noise)


def searcher_of(engine: Engine) -> Searcher:
    rows = engine.sample(1000)
    backgrounds = Backgrounds.of_library(
        Background.of(random_unit(50, 7)), Background.of(rows), duplicate=0.999
    )
    return Searcher(
        engine=engine,
        encoder=Noise,  # type: ignore[arg-type]
        backgrounds=lambda: backgrounds,
        model="",
        locate=lambda record: None,
        preview=lambda record: None,
        picture=lambda record: None,
        fetch=lambda url: b"",
        texts_of=TextCache(),
        groups=lambda: Kept(lambda: None),
    )


TERMS = st.one_of(
    st.sampled_from(WORDS).map(lambda words: Term("text", words)),
    st.just(Term("id", "id001")),
    st.integers(0, 3).map(lambda seed: Term("vector", random_unit(1, seed)[0])),
    st.just(Term("text", "dog", alternatives=(Term("text", "snow"), Term("id", "id002")))),
)
QUERIES = st.builds(
    Query,
    terms=st.lists(TERMS, max_size=2).map(tuple),
    exclude=st.sampled_from([(), (), (Term("text", "snow"),), (Term("id", "id003"),)]),
    where=st.sampled_from([None, Compare("width", "gt", 300), Compare("caption", "eq", "boat"),
                           Compare("id", "eq", "none")]),
    sort=st.sampled_from([*["relevance"] * 5, *get_args(Sort)]),
    min_strength=st.sampled_from([None, None, *get_args(Strength)]),
    group=st.sampled_from([False, False, True]),
    variety=st.sampled_from([0.0, 0.0, 0.3]),
    show_excluded=st.booleans(),
)  # fmt: skip


@pytest.fixture(params=["usual depth", "shallow"])
def depth(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How many candidates are ranked at first: all, or so few that pages need more."""
    if request.param == "shallow":
        for module in (asked, layout, ordering, searcher):
            monkeypatch.setattr(module, "FEW", 8)
        for module in (asked, layout, ordering):
            monkeypatch.setattr(module, "MANY", 20)
    return str(request.param)


# Candidates by codes are not the same at every depth.
@pytest.mark.parametrize("opener", ["exact", "postgres", "memory"], indirect=True)
@given(seed=st.integers(0, 99), data=st.data())
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_layout_is_its_search(opener: Opener, depth: str, seed: int, data: st.DataObject) -> None:
    engine = opener()
    engine.ensure(SPACE)
    engine.delete([each.id for records, _ in engine.export() for each in records])
    fill(engine, seed, 60)
    asks = searcher_of(engine)
    for _ in range(4):
        query = data.draw(QUERIES)
        if not query.terms:
            query = replace(query, exclude=(), where=query.where or Compare("width", "ge", 0))
        if depth == "shallow":
            # A sorted or varied search looks at its first candidates alone, and a layout at all.
            query = replace(query, sort="relevance", group=False, variety=0.0)
        cuts = (0, 8, 15, 33, 70)
        pages = [replace(query, k=b - a, offset=a) for a, b in pairwise(cuts)]
        found = [asks.search([page])[0] for page in pages]
        hits = [hit for page in found for hit in page]
        whole = layout.layout(asks, query)
        assert whole.ids == tuple(hit.id for hit in hits)
        assert whole.total == found[0].total
        runs = groupby(hit.strength for hit in hits)
        assert whole.strengths == tuple((each, len(list(some))) for each, some in runs)
        sides = [(hit.record.width, hit.record.height) for hit in hits]
        aspects = [width / height if width else np.nan for width, height in sides]
        np.testing.assert_array_equal(whole.aspects, aspects)
        if depth != "shallow":
            assert (whole.strong, whole.likely) == (found[-1].strong, found[-1].likely)
        if query.sort in ("newest", "oldest"):
            times = (hit.record.taken_at for hit in hits)
            months = groupby(f"{time:%Y-%m}" if time else None for time in times)
            assert whole.months == tuple((each, len(list(some))) for each, some in months)
        else:
            assert whole.months is None
        for hit in hits[:: max(1, len(hits) // 3)]:
            one = layout.hit(asks, query, hit.id)
            assert one is not None
            if not query.terms:
                assert replace(one, rank=hit.rank) == hit
                continue
            assert (one.rank, one.strength, one.part) == (hit.rank, hit.strength, hit.part)
            assert one.score == pytest.approx(hit.score, abs=1e-5)
            assert [each.what for each in one.why] == [each.what for each in hit.why]
            assert one.excluded_by == hit.excluded_by
