"""Make docs/benchmarks.md and its plots of the figures of a run.

    python benchmarks/render.py benchmark-results/results.json

The words are in page.md, why a target was missed in reasons.toml. Plots need matplotlib; without
it the page refers to those that are there.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from harness import plots, tables, targets

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--large", type=Path, help="what large.py wrote by --json")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "benchmarks.md")
    options = parser.parse_args()
    results = json.loads(options.results.read_text())
    if options.large:
        results["large"] = json.loads(options.large.read_text())
        options.results.write_text(json.dumps(results, indent=1))
    images = options.page.parent / "images"
    try:
        print("drawn:", ", ".join(plots.draw(results, images)) or "nothing")
    except ImportError:
        print("no plots: matplotlib is not installed")

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("plot:"):
            plot = name.removeprefix("plot:")
            there = (images / plot).exists()
            return f"\n![The figures below, drawn](images/{plot})\n" if there else ""
        return _part(name, results)

    page = re.sub(r"\{\{([\w:.-]+)\}\}", fill, (HERE / "page.md").read_text("utf-8"))
    options.page.write_text(re.sub(r"\n{3,}", "\n\n", page), "utf-8")
    print("written:", options.page)


def _part(name: str, results: dict[str, Any]) -> str:
    if name == "summary":
        return _summary(results)
    if name == "targets":
        return targets.render(results)
    if name == "machine":
        return tables.machine(results["machine"])
    if name == "stages":
        return tables.stages(results.get("stages", {}), results.get("indexing", {}))
    if name == "stage_seconds":
        return tables.stage_seconds(results.get("indexing", {}))
    render = getattr(tables, name)
    return str(render(results.get(name)))


def _summary(results: dict[str, Any]) -> str:
    settings = results["settings"]
    small = " Its sizes were small: **take these figures for a test of the suite, no more.**"
    photos = "the user's photos" if settings["photos"] == "the user's" else "drawn scenes"
    return (
        f"One run of {settings['rounds']} rounds on {photos}, brought to each size."
        f"{small if settings['quick'] else ''}\n"
    )


if __name__ == "__main__":
    main()
