"""Measured gains of confidence, fusion, exclusion and captions, on real photos and a real model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "search_quality.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_documented_search_quality_holds(
    photo_mini: Path, photos: Path, tmp_path: Path
) -> None:
    found = importlib.util.spec_from_file_location("search_quality", SCRIPT)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    figures = module.measure(str(photo_mini), photos, tmp_path / "library", every=10)
    # The bounds are the measured values (docs/search-quality.md) less the noise of the sample.
    assert figures["confident: subjects there of which some are found"] > 0.75
    assert figures["confident: subjects not there of which some are found"] < 0.1
    assert figures["fusion: both"] > 1.1 * figures["fusion: word"]
    assert figures["fusion: both"] > 1.1 * figures["fusion: example"]
    gone, lost = (figures[f"exclusion: of what {w}, removed"] for w in ("shows it", "does not"))
    assert gone > 3 * lost
    wanted = [
        figures[f"exclusion: wanted in the first 20, {how}"]
        for how in ("excluded", "without", "subtracted")
    ]
    assert wanted[0] > max(wanted[1:])
    for k in (1, 5, 10):
        both = figures[f"captions: recall@{k}, images and captions"]
        assert both > figures[f"captions: recall@{k}, images"]
        assert both > figures[f"captions: recall@{k}, captions"]
