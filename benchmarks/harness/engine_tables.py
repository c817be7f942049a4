"""The page of `engines.py`: its tables and its plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PLOT = "benchmark-engines.svg"
_NAMES = {
    "embedded": "embedded", "postgresql": "PostgreSQL", "elasticsearch": "Elasticsearch",
    "opensearch": "OpenSearch",
}  # fmt: skip


def write(results: Mapping[str, Any], page: Path) -> None:
    """Write the page, and its plot if matplotlib is installed."""
    cases = list(results["cases"].values())
    sizes = sorted({case["size"] for case in cases})
    try:
        _draw(cases, sizes, page.parent / "images" / PLOT)
    except ImportError:
        print("no plot: matplotlib is not installed")
    about = results["machine"]
    text = [
        "# Speed of the engines",
        "",
        f"Measured on {about['date']} with `benchmarks/engines.py` (commit {about['commit']}), on "
        f"{about['cores']} cores of {about['cpu']['model']}, {about['memory_gb']} GB of memory, "
        f"client and server on the same machine; vectors of 512 dimensions, {_NAMES_TEXT}",
        "",
    ]
    if results.get("note"):
        text += [results["note"], ""]
    if (page.parent / "images" / PLOT).is_file():
        text += [f"![Milliseconds of a search]({'images/' + PLOT})", ""]
    for size in sizes:
        some = [case for case in cases if case["size"] == size]
        text += [f"## {size:,} vectors", "", *_table(some), "", *_raw(some)]
    page.write_text("\n".join(text).rstrip() + "\n", "utf-8")
    print("written:", page)


_NAMES_TEXT = (
    "clustered as those of images are. Ten hits a search; queries lie outside the distribution of "
    "the vectors, as texts do. Recall is the share of the true ten nearest. Memory is that of the "
    "server without its cache of files (of a process that searches, for the embedded engine)."
)


def _table(cases: list[Any]) -> list[str]:
    filters = list(cases[0]["searches"])
    heads = ["engine", "fed a second", "ready after"]
    for name in filters:
        what = "all" if name == "all" else f"filter of {name}"
        heads += [f"{what}: p50 / p95, ms", "recall"]
    heads += ["memory, MB", "disk, MB"]
    lines = [_row(heads), _row(["---"] * len(heads))]
    for case in cases:
        row = [_NAMES[case["engine"]], f"{case['fed_per_s']:,.0f}", f"{case['ready_s']:.1f} s"]
        for name in filters:
            found = case["searches"][name]
            row += [f"{found['p50_ms']:.1f} / {found['p95_ms']:.1f}", f"{found['recall']:.3f}"]
        lines.append(_row([*row, f"{case['memory_mb']:,.0f}", f"{case['disk_mb']:,.0f}"]))
    return lines


def _raw(cases: list[Any]) -> list[str]:
    """What pixseek adds to a search of the engine itself, and to its vendor's client."""
    measured = [case for case in cases if "raw" in case]
    if not measured:
        return []
    heads = ["", "search: pixseek, ms", "directly, ms", "ratio", "recall: pixseek", "directly",
             "feeding: pixseek", "vendor's client", "ratio"]  # fmt: skip
    lines = [
        "The same candidates asked for directly, by one request, and the same documents fed by the "
        "vendor's own client, in turns:",
        "", _row(heads), _row(["---"] * len(heads)),
    ]  # fmt: skip
    for case in measured:
        raw, feeding = case["raw"], case.get("feeding") or {}
        ours, theirs = raw["pixseek"], raw["directly"]
        fed = ["", "", ""]
        if feeding:
            fed = [f"{feeding['pixseek']:,.0f}/s", f"{feeding['vendor']:,.0f}/s",
                   f"{feeding['ratio']:.2f}"]  # fmt: skip
        lines.append(
            _row(
                [
                    _NAMES[case["engine"]], f"{ours['p50_ms']:.1f}", f"{theirs['p50_ms']:.1f}",
                    f"{raw['ratio']:.2f}", f"{ours['recall']:.3f}", f"{theirs['recall']:.3f}", *fed,
                ]
            )
        )  # fmt: skip
    return [*lines, ""]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _draw(cases: list[Any], sizes: list[int], file: Path) -> None:
    """Bars of the median search, with a line to the 95th percentile, one panel for each size."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "pixseek", "font.size": 9, "axes.spines.top": False,
                                "axes.spines.right": False})  # fmt: skip
    import matplotlib.pyplot as plt

    filters = list(cases[0]["searches"])
    figure, axes = plt.subplots(1, len(sizes), figsize=(4.5 * len(sizes), 3), squeeze=False)
    for axis, size in zip(axes[0], sizes, strict=True):
        some = [case for case in cases if case["size"] == size]
        for n, name in enumerate(filters):
            for m, case in enumerate(some):
                found = case["searches"][name]
                place = n + (m - (len(some) - 1) / 2) * 0.8 / len(some)
                axis.bar(
                    place, found["p50_ms"], 0.8 / len(some), color=f"C{m}",
                    label=_NAMES[case["engine"]] if n == 0 else None,
                    yerr=[[0], [max(0.0, found["p95_ms"] - found["p50_ms"])]],
                    error_kw={"lw": 0.8},
                )  # fmt: skip
        axis.set_yscale("log")
        axis.set_xticks(range(len(filters)), filters)
        axis.set_xlabel("records that a filter leaves")
        axis.set_title(f"{size:,} vectors")
    axes[0][0].set_ylabel("ms a search, p50 to p95")
    axes[0][0].legend(fontsize=7)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})
