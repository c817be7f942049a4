"""Rules of the source as a whole that no other tool checks."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


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
