"""How far engines look: what scores everything, what an index is asked for, and what is said."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixseek.engines import open_engine
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.embedded import candidates, codes, indexes
from pixseek.engines.memory import MemoryStore
from pixseek.engines.postgres import hnsw
from pixseek.engines.store import Row
from pixseek.errors import ConfigError
from pixseek.types import Building, Compare, Engine, Reach, Record, Space

from stores import FewStore, HastyStore
from vectors import DIM, SPACE, random_unit

_NAMES = itertools.count()
WIDE = Compare("width", "gt", 20)


class NarrowStore(HastyStore):
    """A store whose index loses every second row, and that can score all documents."""

    def reach(self, space: Space, k: int, where: Any) -> int | None:
        return None if self.count(space, where) <= 10 else 2 * k

    def nearest(self, space: Space, vectors: Any, k: int, where: Any) -> list[list[Row]]:
        if self.reach(space, k, where) is None:
            return self.nearest_exactly(space, vectors, k, where)
        return super().nearest(space, vectors, k, where)

    def nearest_exactly(self, space: Space, vectors: Any, k: int, where: Any) -> list[list[Row]]:
        return MemoryStore.nearest(self, space, vectors, k, where)


def filled(engine: Engine, n: int, dim: int = DIM) -> Any:
    """Store n records; return their vectors as they are kept."""
    vectors = random_unit(n, 5, dim).astype(np.float16).astype(np.float32)
    engine.put([Record(f"id{i:05}", f"r/{i}", width=i + 1) for i in range(n)], vectors)
    return vectors


def best(vectors: Any, query: Any, k: int, first: int = 0) -> list[str]:
    order = np.argsort(-(vectors[first:].astype(np.float64) @ query), kind="stable")[:k]
    return [f"id{i + first:05}" for i in order]


@pytest.mark.parametrize("store", [MemoryStore, FewStore, HastyStore, NarrowStore])
@pytest.mark.parametrize("where", [None, WIDE, Compare("name", "glob", "*")])
def test_an_exact_search_over_a_store_finds_the_nearest_of_all(store: Any, where: Any) -> None:
    engine = DocumentEngine(store(f"reach-{next(_NAMES)}"))
    engine.ensure(SPACE)
    vectors, query = filled(engine, 60), random_unit(1, 9)
    first = 20 if where is WIDE else 0
    (found,) = engine.nearest(query, 10, where, exact=True)
    assert list(found.ids) == best(vectors, query[0], 10, first)
    assert found.reach == Reach(True, 60 - first)


def test_stores_say_how_far_they_looked() -> None:
    engine = DocumentEngine(NarrowStore(f"reach-{next(_NAMES)}"))
    engine.ensure(SPACE)
    filled(engine, 60)
    (found,) = engine.nearest(random_unit(1), 5)
    assert found.reach is not None
    assert not found.reach.exact
    assert found.reach.breadth is not None
    assert found.reach.breadth >= 2 * 5
    (few,) = engine.nearest(random_unit(1), 5, Compare("width", "le", 10))
    assert few.reach == Reach(True, 10)
    hasty = DocumentEngine(HastyStore(f"reach-{next(_NAMES)}"))
    hasty.ensure(SPACE)
    filled(hasty, 60)
    assert hasty.nearest(random_unit(1), 5)[0].reach == Reach(False)


def test_the_embedded_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not codes.available(DIM):
        pytest.skip("turbovec is not installed here")
    for module, name, value in (
        (indexes, "EXACT_ROWS", 50), (indexes, "UNCODED_ROWS", 2),
        (indexes, "PATIENT_QUERIES", 0), (candidates, "GATHER_ROWS", 30),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    query = random_unit(1, 9)
    with open_engine(tmp_path / "x") as engine:
        engine.ensure(SPACE)
        vectors = filled(engine, 2000)
        (found,) = engine.nearest(query, 10)
        assert found.reach == Reach(False, 400)
        (found,) = engine.nearest(query, 10, Compare("width", "le", 30))
        assert found.reach == Reach(True, 30)
        for where, total in ((None, 2000), (WIDE, 1980)):
            (found,) = engine.nearest(query, 10, where, exact=True)
            assert found.reach == Reach(True, total)
            assert list(found.ids) == best(vectors, query[0], 10, 2000 - total)
    with open_engine(f"embedded:{tmp_path / 'x'}?breadth=20") as engine:
        assert engine.count() == 2000
        assert engine.nearest(query, 10)[0].reach == Reach(False, 20)
        assert engine.nearest(query, 30)[0].reach == Reach(False, 30)
        (found,) = engine.nearest(query, 10, exact=True)
        assert list(found.ids) == best(vectors, query[0], 10)


def test_postgresql(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hnsw, "INDEX_PARTS", 300)
    url = f"{postgres}{'&' if '?' in postgres else '?'}table=reach"
    query = random_unit(2, 9)
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        vectors = filled(engine, 200)
        assert engine.nearest(query, 10)[0].reach == Reach(True, 200)
        vectors = filled(engine, 400)
        assert engine.nearest(query, 10)[0].reach == Reach(True, 400)
        assert isinstance(engine, Building)
        assert list(engine.build_indexes())
        for where, total in ((None, 400), (WIDE, 380)):
            for n, found in enumerate(engine.nearest(query, 10, where, exact=True)):
                assert list(found.ids) == best(vectors, query[n], 10, 400 - total)
                assert found.reach == Reach(True, total)
    with open_engine(f"{url}&breadth=200") as engine:
        reach = engine.nearest(query, 10)[0].reach
        assert reach in (Reach(False, 200), Reach(True, 400))
    for wrong in ("0", "1001", "x", "-5", ""):
        with pytest.raises(ConfigError, match="whole number from 1 to 1,000"):
            open_engine(f"{url}&breadth={wrong}")
