"""The store for Vespa, over a fake of its HTTP interface."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_vespa import FakeVespa
from hypothesis import given
from hypothesis import strategies as st

from pixseek import filters
from pixseek.engines import open_engine, tokens
from pixseek.engines.vespa.documents import escaped, place_behind, place_of, quotable, unescaped
from pixseek.engines.vespa.yql import boxes_around
from pixseek.types import Record, record_id

from vectors import SPACE, random_unit


@pytest.fixture
def url(fake_vespa: FakeVespa) -> str:
    return f"vespa+{fake_vespa.url}/photos"


def ids(n: int) -> list[str]:
    return sorted(record_id(f"photos/{i}.jpg") for i in range(n))


class TestScans:
    def test_ids_that_begin_alike_are_all_scanned(self, url: str) -> None:
        names = [f"photos/{n:03}" for n in range(40)] + ["photos/" + "x" * n for n in range(1, 20)]
        with open_engine(url) as engine:
            engine.ensure(SPACE)
            engine.put([Record(name, f"r/{name}") for name in names], random_unit(len(names)))
            pages, after = list[str](), ""
            while True:
                found, _ = engine.page(SPACE, 7, after)
                if not found:
                    break
                pages += [each.id for each in found]
                after = pages[-1]
        assert pages == sorted(names, key=tokens.placed)

    def test_a_scan_looks_at_each_record_about_once(self, fake_vespa: FakeVespa, url: str) -> None:
        with open_engine(url) as engine:
            engine.ensure(SPACE)
            engine.put([Record(each, f"r/{each}") for each in ids(300)], random_unit(300))
            fake_vespa.matched = 0
            assert [r.id for batch, _ in engine.export(50) for r in batch] == ids(300)
        # Each page also asks how many there are.
        assert fake_vespa.matched < 300 * 2 * 7

    @given(
        st.lists(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
            max_size=30,
        )
    )
    def test_places_sort_as_short_ids_do(self, names: list[str]) -> None:
        short = [name for name in names if len(name.encode()) <= 16]
        assert sorted(short, key=place_of) == sorted(short, key=str.encode)
        assert len({place_of(name) for name in names}) == len(set(names))

    @given(st.text("234567abcdefghijklmnopqrstuvwxyz", min_size=16, max_size=16), st.floats(0, 1))
    def test_the_end_of_a_share_is_behind_its_beginning(self, name: str, share: float) -> None:
        high = place_of(name)[0]
        assert high <= place_behind(high, share) <= 2**63 - 1

    def test_shares_of_ids_are_even(self) -> None:
        highs = [place_of(each)[0] for each in ids(4000)]
        end = place_behind(-(2**63) + 1, 0.25)
        assert sum(high <= end for high in highs) == pytest.approx(1000, rel=0.1)
        assert place_behind(end, 1.0) == 2**63 - 1


class TestTexts:
    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_any_text_is_stored_and_comes_back(self, text: str) -> None:
        assert unescaped(escaped(text)) == text
        assert unescaped(quotable(text)) == text
        assert '"' not in quotable(text)

    @pytest.mark.parametrize("text", ["plain", "Straße ü 😀", "tab\tline\n", ""])
    def test_a_usual_text_is_stored_as_it_is(self, text: str) -> None:
        assert escaped(text) == text


@given(
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
    st.floats(0.001, 20_100),
)
def test_what_is_near_lies_in_the_areas_that_are_asked_for(
    centre: tuple[float, float], place: tuple[float, float], kilometres: float
) -> None:
    if filters.distance_km(place, centre) <= kilometres:
        latitude, longitude = (round(each, 6) for each in place)
        assert any(
            south <= latitude <= north and west <= longitude <= east
            for south, west, north, east in boxes_around(*centre, kilometres)
        )


def test_an_area_is_about_as_large_as_the_circle() -> None:
    ((south, west, north, east),) = boxes_around(60.0, 10.0, 111.195)
    assert (south, north) == pytest.approx((59, 61), abs=1e-3)
    assert (west, east) == pytest.approx((8, 12), abs=1e-3)
    assert len(boxes_around(0.0, 179.9, 100.0)) == 2


def test_nothing_of_it_is_imported_before_it_is_opened(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import pixseek.engines, sys; print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
