"""The plots of the page, as SVG, from `results.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

OURS, THEIRS = "#c2410c", "#64748b"


def draw(results: Mapping[str, Any], folder: Path) -> list[str]:
    """Draw each plot whose figures exist; return the names of the files.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("svg")
    # The same figures give the same file, so that a commit shows only what has changed.
    matplotlib.rcParams.update({"svg.hashsalt": "pixseek", "font.size": 9, "axes.spines.top": False,
                                "axes.spines.right": False})  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    plots = {"benchmark-indexing.svg": _indexing, "benchmark-store.svg": _store,
             "benchmark-one-shot.svg": _one_shot}  # fmt: skip
    drawn = []
    for name, plot in plots.items():
        figure = plot(results)
        if figure:
            figure.savefig(folder / name, bbox_inches="tight", metadata={"Date": None})
            drawn.append(name)
    return drawn


def _has(part: Any) -> bool:
    return bool(part) and not (isinstance(part, dict) and "error" in part)


def _indexing(results: Mapping[str, Any]) -> Any:
    """Bars of images/s with their spread, one panel for each size."""
    import matplotlib.pyplot as plt

    if not _has(results.get("indexing")):
        return None
    measured = next(iter(results["indexing"].values()))
    rows = {
        (f"{name}, 256 px" if "256" in group and "rclip" not in name else name): row
        for group, found in measured["groups"].items()
        for name, row in found["rows"].items()
        if "error" not in row
    }
    if not rows:
        return None
    sizes = list(measured["counts"])
    figure, axes = plt.subplots(1, len(sizes), figsize=(9, 0.32 * len(rows) + 1), sharey=True)
    for axis, size in zip(axes, sizes, strict=True):
        for n, (name, row) in enumerate(rows.items()):
            rate = row["sizes"][size]["rate"]
            ends = [[rate["median"] - rate["min"]], [rate["max"] - rate["median"]]]
            colour = OURS if name.startswith("pixseek") else THEIRS
            axis.barh(n, rate["median"], color=colour, xerr=ends, error_kw={"lw": 0.8})
        axis.set_title(size)
        axis.set_xlabel("images/s")
    axes[0].set_yticks(range(len(rows)), list(rows))
    axes[0].invert_yaxis()
    return figure


def _store(results: Mapping[str, Any]) -> Any:
    """Recall over milliseconds, one panel for each number of vectors."""
    import matplotlib.pyplot as plt

    if not _has(results.get("store")):
        return None
    cases = [case for case in results["store"] if case["dim"] == results["store"][0]["dim"]]
    figure, axes = plt.subplots(1, len(cases), figsize=(9, 3), sharey=True, squeeze=False)
    for axis, case in zip(axes[0], cases, strict=True):
        for name, row in case["stores"].items():
            if "error" in row:
                continue
            loop = row["loops"]["k=10"]
            colour = OURS if name.startswith("pixseek") else THEIRS
            point = loop["p50_ms"]["median"], loop["recall"]
            axis.scatter(*point, color=colour, s=18)
            axis.annotate(name, point, fontsize=7, color=colour, rotation=35,
                          textcoords="offset points", xytext=(3, 4))  # fmt: skip
        axis.set_xscale("log")
        axis.set_title(f"{case['rows']:,} vectors")
        axis.set_xlabel("ms a query, one core")
    # All panels share it, so only once all points are in: else those below the first's are cut.
    low, high = axes[0][0].get_ylim()
    axes[0][0].set_ylim(low, high + 0.6 * (high - low))  # room for names
    axes[0][0].set_yticks([tick for tick in axes[0][0].get_yticks() if low <= tick <= 1])
    axes[0][0].set_ylabel("recall@10")
    return figure


def _one_shot(results: Mapping[str, Any]) -> Any:
    """Seconds of one search in a new process, at the largest library."""
    import matplotlib.pyplot as plt

    if not _has(results.get("queries")):
        return None
    case = results["queries"][-1]
    rows = {name: row for name, row in case["rows"].items() if "error" not in row}
    if not rows:
        return None
    figure, axis = plt.subplots(figsize=(6, 0.4 * len(rows) + 0.8))
    for n, (name, row) in enumerate(rows.items()):
        seconds = row["seconds"]
        ends = [[seconds["median"] - seconds["min"]], [seconds["max"] - seconds["median"]]]
        colour = OURS if name.startswith("pixseek") else THEIRS
        axis.barh(n, seconds["median"], color=colour, xerr=ends, error_kw={"lw": 0.8})
    axis.set_yticks(range(len(rows)), list(rows))
    axis.invert_yaxis()
    axis.set_xlabel(f"seconds for one search in a new process, {case['images']:,} images")
    return figure
