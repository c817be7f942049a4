"""Rules of the source as a whole that no other tool checks."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIMIT = 500


@pytest.mark.parametrize("folder", ["src", "benchmarks", "docs", "training"])
def test_a_file_above_500_lines_gives_its_reason_at_the_top(folder: str) -> None:
    # The reason names the limit, as in "Above 500 lines: one class, most of it docstrings."
    without = []
    for path in (ROOT / folder).rglob("*.py"):
        with path.open(encoding="utf-8") as file:
            top = "".join(itertools.islice(file, 20))
            lines = top.count("\n") + sum(1 for _ in file)
        if lines > LIMIT and f"{LIMIT} lines" not in top:
            without.append(f"{path.relative_to(ROOT)}: {lines} lines")
    assert not without


def test_the_rooms_named_in_the_architecture_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| *\d* *\| (`.*?) \|", page, re.MULTILINE)
    assert len(rows) > 20
    missing = []
    for row in rows:
        # `search/asked`, `searcher`: a name without a folder is next to the first.
        first, *others = re.findall(r"`([^`]+)`", row)
        folder = first.rstrip("/").rpartition("/")[0]
        for name in (first, *(f"{folder}/{other}" for other in others)):
            place = ROOT / "src" / "pixseek" / name.strip("/")
            if not (place.is_dir() or place.with_suffix(".py").is_file()):
                missing.append(name)
    assert not missing
