"""Indexing from file to stored vector: pixseek and its peers in turns, on the same photos."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import material, rounds
from harness.environments import Environment
from harness.process import DriverError, drive

#: How many photos the fastest index at each size; the others take a share of them, so that a
#: round takes each about as long.
COUNTS = {"0.3 MP": 192, "2 MP": 144, "12 MP": 72}
PRECISIONS = ("fp32", "bf16", "int8")
#: A larger model takes that many times as long, and so gets as many photos fewer.
SLOWER = {"ViT-B/32": 1, "ViT-B/16": 3, "ViT-L/14": 6}


def counts_for(architecture: str, counts: Mapping[str, int]) -> dict[str, int]:
    """Return how many photos of each size to index with an architecture; int8 needs 24."""
    return {size: max(24, n // SLOWER[architecture]) for size, n in counts.items()}


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to index: a driver in an environment, with a model, on a share of the photos."""

    name: str
    environment: str
    driver: str
    model: str
    share: float
    precision: str = ""
    batch: int = 1

    @property
    def is_pixseek(self) -> bool:
        return self.environment == "pixseek"


def contenders(precisions: tuple[str, ...], *, own_model: bool) -> dict[str, list[Contender]]:
    """Return those that read the same weights, by group; the first of each is the baseline."""
    shares = {"": 0.25, "fp32": 0.25, "bf16": 0.5, "int8": 1.0}

    def ours(model: str) -> list[Contender]:
        return [
            Contender(
                f"pixseek {p}".strip(), "pixseek", "index_pixseek", model, shares[p], precision=p
            )
            for p in precisions
        ]

    groups = {
        "224 px": [
            Contender("tutorial loop", "torch", "index_transformers", "hf", 0.15),
            Contender("torch, batch 32", "torch", "index_transformers", "hf", 0.25, batch=32),
            Contender("sentence-transformers", "torch", "index_sentence_transformers", "hf", 0.25),
            Contender("clip-retrieval", "clip-retrieval", "index_clip_retrieval", "hf", 0.25),
            *ours("xenova"),
        ]
    }
    if own_model:
        groups["rclip's 256 px"] = [
            Contender("rclip 3.3", "rclip", "index_rclip", "rclip", 0.25),
            *ours("rclip"),
        ]
    return groups


def supported_precisions() -> tuple[str, ...]:
    """Return what `--precision` can be set to; ("",) where pixseek does not have it."""
    pixseek = [sys.executable, "-m", "pixseek", "index", "--help"]
    text = subprocess.run(pixseek, capture_output=True, text=True, check=True).stdout
    return PRECISIONS if "--precision" in text else ("",)


def convert(python: Path, model: Path, photos: Path, log: Callable[[str], None]) -> dict[str, Any]:
    """Have pixseek make its int8 model, which it keeps; return the seconds, or why it did not."""
    out = tempfile.mkdtemp(prefix="pixseek-bench-")
    try:
        answer = drive(
            python,
            "index_pixseek",
            {"warm": str(photos), "folders": {}, "out": out, "model": str(model)},
            environment={"PIXSEEK_PRECISION": "int8"},
        )
        return {"seconds": answer["ready_s"], "runs_on": answer["runs_on"]}
    except DriverError as error:
        log(f"  no int8: {error}")
        return {"error": str(error)}
    finally:
        shutil.rmtree(out, ignore_errors=True)


def measure(
    groups: Mapping[str, list[Contender]],
    environments: Mapping[str, Environment],
    models: Mapping[str, Path],
    photos: Mapping[str, Path],
    counts: Mapping[str, int],
    repetitions: int,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Return, for every group, contender and size: images/s, the ratio to the baseline, memory."""
    missing = {
        one.name: environments[one.environment].reason
        for group in groups.values()
        for one in group
        if environments[one.environment].python is None
    }
    present = {
        (group, one.name): one
        for group, all_of in groups.items()
        for one in all_of
        if one.name not in missing
    }
    converted = {
        name: convert(Path(sys.executable), models[name], photos["0.3 MP"], log)
        for name in sorted({one.model for one in present.values() if one.precision == "int8"})
    }
    outcomes = rounds.interleave(
        {
            f"{group}: {name}": lambda one=one: _run(one, environments, models, photos, counts)
            for (group, name), one in present.items()
        },
        repetitions,
        log,
    )
    tables: dict[str, Any] = {"missing": missing, "counts": dict(counts), "groups": {}}
    tables["converted"] = converted
    for group, all_of in groups.items():
        here = {one.name: outcomes[f"{group}: {one.name}"] for one in all_of if
                (group, one.name) in present}  # fmt: skip
        tables["groups"][group] = _summarise(here, counts)
    return tables


def _run(
    one: Contender,
    environments: Mapping[str, Environment],
    models: Mapping[str, Path],
    photos: Mapping[str, Path],
    counts: Mapping[str, int],
) -> dict[str, Any]:
    python = environments[one.environment].python
    assert python
    out = Path(tempfile.mkdtemp(prefix="pixseek-bench-"))
    folders = {
        size: str(material.part_of(photos[size], max(8, int(count * one.share))))
        for size, count in counts.items()
    }
    try:
        return drive(
            python,
            one.driver,
            {
                "warm": str(photos["warm-up"]),
                "folders": folders,
                "out": str(out),
                "model": str(models[one.model]),
                "batch": one.batch,
            },
            environment={"PIXSEEK_PRECISION": one.precision} if one.precision else None,
        )
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _summarise(outcomes: Mapping[str, list[Any]], counts: Mapping[str, int]) -> dict[str, Any]:
    baseline = next(iter(outcomes), None)
    table: dict[str, Any] = {"baseline": baseline, "rows": {}}
    for name, runs in outcomes.items():
        failed = next((run["error"] for run in runs if "error" in run), None)
        if failed:
            table["rows"][name] = {"error": failed}
            continue
        row: dict[str, Any] = {
            "ready_s": rounds.spread([run["ready_s"] for run in runs]),
            "peak_mb": max(run["peak_mb"] for run in runs),
            "runs_on": runs[-1].get("runs_on", ""),
            "sizes": {},
        }
        for size in counts:
            samples = _rates(runs, size)
            kept = [samples[n] for n in rounds.quiet(samples)]
            cell: dict[str, Any] = {"rate": rounds.spread([s["rate"] for s in kept])}
            cell["others"] = [round(s["others"], 3) for s in samples]
            base = outcomes[baseline] if baseline else runs
            if not any("error" in run for run in base):
                cell["ratio"] = rounds.ratios(samples, _rates(base, size), "rate")
            prepared = [s["prepare_s"] for s in kept if "prepare_s" in s]
            if prepared:
                cell["prepare_s"] = rounds.spread(prepared)
            stages = [s["stages"] for s in kept if "stages" in s]
            if stages:
                cell["stages"] = {
                    stage: sum(s[stage] for s in stages) / len(stages) for stage in stages[0]
                }
                cell["images"] = kept[0]["images"]
            row["sizes"][size] = cell
        table["rows"][name] = row
    return table


def _rates(runs: list[Any], size: str) -> list[dict[str, Any]]:
    return [
        {
            **run["folders"][size],
            "rate": run["folders"][size]["images"] / run["folders"][size]["seconds"],
        }
        for run in runs
    ]
