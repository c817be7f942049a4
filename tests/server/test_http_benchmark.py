"""What `benchmarks/http.py` makes of its measurements."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    # Behind all others: the folder has an `http.py`.
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCHMARKS)])
    before = set(sys.modules)
    from harness import web

    yield web
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("harness", "protocol"):
            del sys.modules[name]


def figures(rate: float, others: float = 0.0, p50_ms: float = 10.0, p95_ms: float = 20.0) -> Any:
    return {"rate": rate, "p50_ms": p50_ms, "p95_ms": p95_ms, "others": others}


def test_ratios_are_of_one_round_and_disturbed_rounds_are_left_out(web: Any) -> None:
    found = web.summary(
        {
            "pixseek, 1": [figures(10), figures(20), figures(90, others=0.5)],
            "pixseek, 32": [figures(40), figures(60), figures(90)],
            "tutorial, 1": [figures(1), figures(4), figures(1)],
            "in process": [{**figures(10), "added_ms": ms} for ms in (1, 2, 1.5)],
        }
    )
    assert found["together"] == {"median": 3.5, "min": 3, "max": 4}
    assert found["tutorial, 1"] == {"median": 7.5, "min": 5, "max": 10}
    assert found["added"] == {"median": 1.5, "min": 1, "max": 2}
    assert set(found) == {"together", "tutorial, 1", "added"}


def test_a_contender_that_failed_has_no_figure(web: Any) -> None:
    broken = [{"error": "it did not start"}] * 2
    runs = [figures(1), figures(2)]
    assert web.summary({"pixseek, 1": runs, "clip-retrieval, 1": broken}) == {}


def test_limits_hold_in_their_direction(web: Any) -> None:
    limits = {each.figure: each for each in web.LIMITS}
    assert limits["added"].is_met(3)
    assert not limits["added"].is_met(3.1)
    assert limits["together"].is_met(3)
    assert not limits["together"].is_met(2.9)
    assert limits["indexing"].at_most


def test_the_benchmark_hides_no_package_from_scripts_next_to_it() -> None:
    script = "import http.client; print(http.client.HTTPConnection, http.HTTPStatus.OK)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=BENCHMARKS, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("<class 'http.client.HTTPConnection'>")


def test_figures_take_the_place_of_the_last_ones(web: Any) -> None:
    from harness.http_benchmark import MARKS, with_figures

    page = f"above\n\n{MARKS[0]}\nold\n{MARKS[1]}\n\nbelow\n"
    assert with_figures(page, "new\n") == page.replace("old", "new")
