"""`exact` on its way from every surface to the engine, and what was looked at on its way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import pixseek
from pixseek.cli import main
from pixseek.types import Query, Reach, Term
from pixseek.wire import layout_to_plain, query_from_plain, query_to_plain

from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def photos(tmp_path: Path, tiny: TinyEncoder) -> Path:
    del tiny
    for n, colour in enumerate(("red", "green", "blue")):
        draw(tmp_path / "photos" / f"{colour}.png", colour, n)
    return tmp_path / "photos"


def test_exact_reaches_the_engine(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pixseek.open(tmp_path / "lib", engine="memory://exact") as library:
        library.index(photos)
        seen: list[bool] = []
        engine = library.opened.engine
        near = type(engine).nearest

        def nearest(self: Any, *args: Any, exact: bool = False, **named: Any) -> Any:
            seen.append(exact)
            return near(self, *args, exact=exact, **named)

        monkeypatch.setattr(type(engine), "nearest", nearest)
        for exact in (False, True):
            seen.clear()
            library.search("red", exact=exact)
            library.search("red OR blue", exact=exact, sort="name")
            library.search_many(["red", "green"], exact=exact)
            library.similar(next(library.records()).id, exact=exact)
            library.layout("red", exact=exact)
            library.facets(Query((Term("text", "red"),), exact=exact))
            assert seen
            assert set(seen) == {exact}


def test_results_say_how_far_the_engine_looked(tmp_path: Path, photos: Path) -> None:
    with pixseek.open(tmp_path / "lib") as library:
        library.index(photos)
        assert library.search("red").search == Reach(True, 3)
        assert library.search("red OR blue").search == Reach(True, 3)
        assert library.search("red name:r*").search == Reach(True, 1)
        assert library.search(where="name:*e*").search == Reach(True, 3)
        assert layout_to_plain(library.layout("red"))["search"] == {"exact": True, "breadth": 3}
        library.save_search("red", "mine", exact=True)
        assert library.search("@mine").query.exact
        assert not library.search("red").query.exact
    run = CliRunner().invoke(
        main, ["search", "red", "--json", "--exact", "-L", str(tmp_path / "lib")]
    )
    assert run.exit_code == 0, run.output
    assert json.loads(run.output)["search"] == {"exact": True, "breadth": 3}


def test_exact_is_part_of_a_query_in_json() -> None:
    query = Query((Term("text", "a dog"),), exact=True)
    assert query_to_plain(query)["exact"] is True
    assert query_from_plain(query_to_plain(query)) == query
    # What an older pixseek may read has no name that it does not know.
    assert "exact" not in query_to_plain(Query((Term("text", "a dog"),)))
