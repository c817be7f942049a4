"""The targets, each with the figure that was measured for it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.tables import number, table

#: Why a target was missed and what was tried, by its key; written by hand.
REASONS = Path(__file__).parents[1] / "reasons.toml"
#: What a run on another processor found.
EARLIER = Path(__file__).parents[1] / "earlier.toml"


@dataclass(frozen=True, slots=True)
class Target:
    """What is wanted: the figure that `of` finds in the results is at least, or at most, that."""

    key: str
    what: str
    wanted: float
    of: Callable[[Mapping[str, Any]], float]
    unit: str = ""
    at_most: bool = False


def _ratio(group: str, precision: str, size: str) -> Callable[[Mapping[str, Any]], float]:
    def find(results: Mapping[str, Any]) -> float:
        rows = results["indexing"]["ViT-B/32"]["groups"][group]["rows"]
        return float(rows[f"pixseek {precision}"]["sizes"][size]["ratio"]["median"])

    return find


def _of_slower_stage(size: str) -> Callable[[Mapping[str, Any]], float]:
    """Return the best precision's share of its slower stage, in percent."""

    def find(results: Mapping[str, Any]) -> float:
        rows = results["indexing"]["ViT-B/32"]["groups"]["224 px"]["rows"]
        shares = []
        for precision, alone in results["stages"]["ViT-B/32"].items():
            row = rows.get(f"pixseek {precision}", rows.get("pixseek"))
            slower = min(alone["decode"][size]["rate"], alone["encode"]["rate"])
            shares.append(100 * row["sizes"][size]["rate"]["median"] / slower)
        return float(max(shares))

    return find


def _case(results: Mapping[str, Any], rows: int, dim: int = 512) -> Any:
    case = next(c for c in results["store"] if c["rows"] == rows and c["dim"] == dim)
    return case["stores"]["pixseek"]


def _filters(results: Mapping[str, Any]) -> list[Any]:
    loops = _case(results, 1_000_000)["loops"]
    return [cell for loop, cell in loops.items() if loop.startswith("width")]


def _queries(results: Mapping[str, Any], images: int) -> Any:
    return next(c for c in results["queries"] if c["images"] == images)


TARGETS = (
    *(
        Target(f"rclip-{p}-{s}", f"indexing {s} MP, {p}, against rclip 3.3, its own model", wanted,
               _ratio("rclip's 256 px", p, f"{s} MP"), "x")
        for p, s, wanted in (("bf16", "0.3", 2), ("bf16", "12", 3), ("int8", "0.3", 3.8),
                             ("int8", "12", 4.3))
    ),
    *(
        Target(f"tutorial-{s}", f"indexing {s} MP, int8, against the tutorial loop, ViT-B/32",
               wanted, _ratio("224 px", "int8", f"{s} MP"), "x")
        for s, wanted in (("0.3", 6.5), ("12", 10))
    ),
    *(
        Target(f"stage-{s}", f"indexing {s} MP against its slower stage alone", 80,
               _of_slower_stage(f"{s} MP"), " %")
        for s in ("0.3", "12")
    ),
    Target("memory", "memory while indexing 12 MP photos", 800,
           lambda r: 1.048576 * max(row["peak"] for row in r["memory"]["after"]), " MB",
           at_most=True),
    Target("memory-growth", "its growth between a fifth and the end of the run", 5,
           lambda r: 100 * (r["memory"]["after"][-1]["resident"]
                            / r["memory"]["after"][1]["resident"] - 1), " %", at_most=True),
    Target("recheck", "re-check of 100,000 unchanged files, warm", 3,
           lambda r: min(run["recheck_s"] for run in r["recheck"]["runs"])
           if r["recheck"]["files"] == 100_000 else _missing(), " s", at_most=True),
    Target("one-shot", "one-shot search by words, ViT-B/32, 100,000 images", 0.6,
           lambda r: _queries(r, 100_000)["rows"]["pixseek search"]["seconds"]["median"], " s",
           at_most=True),
    Target("one-shot-rclip", "rclip's in the same run, times that", 5,
           lambda r: _queries(r, 100_000)["rows"]["rclip"]["ratio"]["median"], "x"),
    Target("encode", "encoding a query in a live process, ViT-B/32, p50", 8,
           lambda r: _queries(r, 100_000)["warm"]["stages"]["encode"]["p50_ms"], " ms",
           at_most=True),
    Target("search-1m", "searching 1,000,000 vectors, one core, p50", 12,
           lambda r: _case(r, 1_000_000)["loops"]["k=10"]["p50_ms"]["median"], " ms",
           at_most=True),
    Target("recall-10", "recall@10 at 1,000,000", 0.995,
           lambda r: _case(r, 1_000_000)["loops"]["k=10"]["recall"]),
    Target("recall-100", "recall@100 at 1,000,000", 0.985,
           lambda r: _case(r, 1_000_000)["loops"]["k=100"]["recall"]),
    Target("filter-recall", "lowest recall@10 under filters of 0.1 to 50 %, 1,000,000", 0.995,
           lambda r: min(cell["recall"] for cell in _filters(r))),
    Target("filter-p95", "highest p95 under those filters, one core", 60,
           lambda r: max(cell["p95_ms"]["median"] for cell in _filters(r)), " ms", at_most=True),
    Target("open-1m", "opening 1,000,000", 0.3,
           lambda r: _case(r, 1_000_000)["open_s"]["median"], " s", at_most=True),
    Target("anonymous-1m", "anonymous memory at 1,000,000 of 512", 400,
           lambda r: _case(r, 1_000_000)["anonymous"], " MB", at_most=True),
    Target("http-p50", "over HTTP, 1,000,000 vectors, 2 cores, 1 client, p50", 25,
           lambda _: _missing(), " ms", at_most=True),
    Target("http-rate", "over HTTP, queries a second at 32 clients", 80, lambda _: _missing()),
    Target("disk", "bytes on disk for each 512-d image, without previews", 1600,
           lambda r: 1e6 * _case(r, 1_000_000)["disk_mb"] / 1_000_000, " bytes", at_most=True),
)  # fmt: skip


def _missing() -> float:
    """Say that a run did not measure this."""
    raise LookupError


def rows(results: Mapping[str, Any]) -> list[tuple[Target, float | None]]:
    """Return every target with its figure; None where it was not measured."""

    def figure(target: Target) -> float | None:
        try:
            return target.of(results)
        except (LookupError, TypeError, AttributeError, StopIteration, ValueError):
            return None

    return [(target, figure(target)) for target in TARGETS]


def render(results: Mapping[str, Any]) -> str:
    reasons = tomllib.loads(REASONS.read_text("utf-8")) if REASONS.exists() else {}
    earlier = tomllib.loads(EARLIER.read_text("utf-8")) if EARLIER.exists() else {}
    lines = []
    for target, figure in rows(results):
        sign = "≤" if target.at_most else "≥"
        why = ""
        if figure is None or not _is_met(target, figure):
            why = reasons.get(target.key, "not looked into yet" if figure is not None else "")
        before = earlier.get("figures", {}).get(target.key)
        lines.append(
            (
                target.what, f"{sign} {target.wanted:,}{target.unit}", _said(target, figure),
                *([_said(target, before)] if earlier else []), why,
            )
        )  # fmt: skip
    head = ["what", "target", "here", "why it was missed, and what was tried"]
    if earlier:
        head.insert(3, f"[{earlier['processor']}]({earlier['page']})")
    return table(head, lines)


def _is_met(target: Target, figure: float) -> bool:
    return figure <= target.wanted if target.at_most else figure >= target.wanted


def _said(target: Target, figure: float | None) -> str:
    if figure is None:
        return "not run"
    said = f"{number(figure)}{target.unit}"
    return said if _is_met(target, figure) else f"**{said}**"
