"""Every request of the store for Vespa is accepted by Vespa's own parsers and validators.

They come from a library's life over the fake, which notes one of each shape.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from edges import some_filters, some_records
from fake_vespa import FakeVespa, application, serving

from pixseek import filters
from pixseek.engines import open_engine
from pixseek.engines.vespa import store
from pixseek.engines.vespa.application import Application, Model, write
from pixseek.engines.vespa.schema import Slot, VectorType
from pixseek.types import And, Compare, Engine, Not, Or, Part, Record, Space

from vectors import DIM, SPACE, random_unit
from vespa_check import Checker

OTHER = Space("b" * 64, 24, "other-model")
PARTS = (Part(), Part("tile", (0.0, 0.0, 0.5, 0.5)), Part("tile", (0.5, 0.5, 0.5, 0.5)))
SLOTS = [Slot("tiny_model", DIM), Slot("other_model", 24)]
MODELS = (Model("tiny-model", SLOTS[0]), Model("other-model", SLOTS[1]))


def live(engine: Engine, few: int = 1) -> None:
    """Use a library in every way, and check the answers by the oracle.

    Args:
        engine: an empty one.
        few: how many filters are left out for each that is tried.
    """
    records = some_records()
    tiled = [Record(f"tiled{n}", f"r/{n}.jpg", parts=PARTS, tags=('a, "b"',)) for n in range(3)]
    engine.ensure(SPACE)
    engine.put(records + tiled, random_unit(len(records) + 9))
    engine.add_space(OTHER)
    lacking = engine.lacking(OTHER, 5, "")
    engine.put_vectors(OTHER, lacking, random_unit(sum(len(r.parts) for r in lacking), 1, 24))
    engine.describe([Record("tiled0", "r/0.jpg", parts=PARTS, tags=("new",), caption="Ein Hund")])
    wheres = [
        *some_filters()[::few],
        Or((Compare("fields.n", "gt", 0), Not(Compare("caption", "exists")))),
        Compare("uri", "in", ("r/1.jpg", 'r/"2,\\.jpg')),
        Compare("digest", "in", ("a" * 64, "b" * 64)),
        And((Compare("width", "in", (1, 2)), Compare("aspect", "gt", 0.1))),
    ]
    for where in wheres:
        now = [each for each in engine.get([r.id for r in records + tiled]) if each]
        expected = {each.id for each in now if filters.matches(where, each)}
        assert set(engine.matching_ids(where)) == expected, where
    for where in (None, Compare("width", "ge", 3), Compare("location", "near", (10, 0.5, 1200))):
        for exact in (False, True):
            assert len(engine.nearest(random_unit(2), 5, where, exact=exact)) == 2
        engine.facets(where, ["folder", "year", "camera", "tag", "person", "colour", "format"], 9)
    assert engine.find_words("ein bild", 9, None, counted=True).complete == 5
    engine.find_words("hund 海 bild", 9, Compare("width", "ge", 3), counted=True)
    for order in ("uri", "name", "taken_at", "mtime", "size"):
        for descending in (False, True):
            engine.select(None, order=order, descending=descending, k=3, offset=1)  # type: ignore[arg-type]
    engine.keep("search", "x", "y")
    assert engine.kept("search") == {"x": "y"}
    engine.keep("search", "x", None)
    engine.activate(OTHER)
    assert engine.delete(["tiled1", "a", "nothing"]) == 2
    engine.activate(SPACE)
    engine.drop_space(OTHER)
    assert engine.delete(["tiled2"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("type_", ["bfloat16", "float", "binary"])
def test_vespa_accepts_whatever_a_library_asks_and_writes(
    type_: VectorType, tmp_path: Path, vespa_check: Checker, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "app", Application("photos", MODELS, type_))
    seen: FakeVespa = application("photos", SLOTS, type_)
    with serving(seen), open_engine(f"vespa+{seen.url}/photos") as engine:
        live(engine)
        monkeypatch.setattr(store, "EXACT", 0)  # now by the index
        engine.nearest(random_unit(1), 5)
        engine.nearest(random_unit(1), 2, Compare("width", "ge", 3))
    queries, feeds = list(seen.queries.values()), list(seen.feeds.values())
    assert any("exploreAdditionalHits" in each["yql"] for each in queries)
    assert any("(signs_" in each["yql"] for each in queries) is (type_ == "binary")
    assert len(queries) > 50 and len(feeds) > 5
    said = vespa_check(tmp_path / "app", queries, feeds)
    assert said.package.ok, said.package.error
    both = zip([*queries, *feeds], [*said.queries, *said.feed], strict=True)
    assert [(asked, verdict.error) for asked, verdict in both if not verdict.ok] == []


def test_a_library_lives_over_http(fake_vespa: FakeVespa) -> None:
    fake_vespa.deploys = True
    with open_engine(f"vespa+{fake_vespa.url}/photos") as engine:
        live(engine, few=11)
