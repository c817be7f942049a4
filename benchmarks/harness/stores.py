"""The store: pixseek's embedded engine and its peers on the same vectors, each by its own API."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import material, rounds
from harness.environments import Environment
from harness.process import DriverError, drive

#: Seconds for each kind of query in each round; at least ten queries are asked.
BUDGET_S = 1.0


@dataclass(frozen=True, slots=True)
class Store:
    """A store: its driver, and how many rows it is asked to hold, with the reason for the most.

    What is slow answers in one round only, so that the whole run stays within half an hour.
    """

    name: str
    environment: str
    driver: str
    extra: dict[str, str] = field(default_factory=dict)
    most: int = 10_000_000
    why: str = ""
    slow: bool = False
    least: int = 0


STORES = (
    Store("numpy float32", "stores", "store_numpy"),
    Store("pixseek", "pixseek", "store_pixseek"),
    # Below, the extra changes nothing.
    Store(
        "pixseek without pixseek[large]", "pixseek", "store_pixseek", {"without": "faiss"},
        least=500_000,
    ),
    Store("faiss, exact float16", "stores", "store_faiss", {"kind": "flat"}),
    Store("faiss IVF,SQ8", "stores", "store_faiss", {"kind": "ivf"}),
    Store(
        "faiss HNSW16,SQ8", "stores", "store_faiss", {"kind": "hnsw"}, 100_000,
        "building it at 1,000,000 takes more than 4 minutes",
    ),
    Store("LanceDB", "stores", "store_lancedb"),
    Store(
        "Chroma", "stores", "store_chromadb", {}, 100_000,
        "building it at 1,000,000 takes more than 15 minutes", slow=True,
    ),
    Store(
        "sqlite-vec", "stores", "store_sqlite_vec", {}, 100_000,
        "a query at 1,000,000 takes about a second", slow=True,
    ),
    Store(
        "Milvus Lite", "stores", "store_milvus_lite", {}, 100_000,
        "building it at 1,000,000 takes more than 5 minutes", slow=True,
    ),
)  # fmt: skip

#: Compared at every length of vectors; the others at the first only.
EVERYWHERE = ("numpy float32", "pixseek", "faiss, exact float16", "faiss IVF,SQ8", "LanceDB")


def measure(
    cases: Sequence[tuple[int, int]],
    environments: Mapping[str, Environment],
    cache: Path,
    work: Path,
    repetitions: int,
    log: Callable[[str], None],
    *,
    uncapped: bool = False,
) -> list[dict[str, Any]]:
    """Return a table for each case, (rows, dim); the first dimension is asked of all stores."""
    tables = []
    for rows, dim in cases:
        log(f"store: {rows:,} vectors of {dim}")
        chosen = [
            store
            for store in STORES
            if rows >= store.least and (dim == cases[0][1] or store.name in EVERYWHERE)
        ]
        folder = material.vectors(cache, rows, dim)
        tables.append(
            _case(rows, dim, chosen, environments, folder, work, repetitions, log, uncapped)
        )
    return tables


def _case(
    rows: int,
    dim: int,
    stores: Sequence[Store],
    environments: Mapping[str, Environment],
    folder: Path,
    work: Path,
    repetitions: int,
    log: Callable[[str], None],
    uncapped: bool,
) -> dict[str, Any]:
    table: dict[str, Any] = {"rows": rows, "dim": dim, "stores": {}}
    quick: dict[str, Callable[[], Any]] = {}
    slow: dict[str, Callable[[], Any]] = {}
    for store in stores:
        environment = environments[store.environment]
        place = work / f"{rows}-{dim}-{store.name.replace(' ', '-')}"
        if environment.python is None:
            table["stores"][store.name] = {"error": environment.reason}
        elif rows > store.most and not uncapped:
            table["stores"][store.name] = {"error": f"not run: {store.why}"}
        else:
            common = {"folder": str(place), **store.extra}
            try:
                figures = drive(
                    environment.python,
                    store.driver,
                    {"phase": "build", "stored": str(folder / "stored.npy"), **common},
                )
            except DriverError as error:
                table["stores"][store.name] = {"error": str(error)}
                log(f"  {store.name}: {error}")
                continue
            table["stores"][store.name] = {
                "build_s": figures["seconds"],
                "build_others": figures["others"],
                "disk_mb": sum(f.stat().st_size for f in place.rglob("*") if f.is_file()) / 1e6,
            }
            log(f"  {store.name}: built in {figures['seconds']:.1f} s")
            question = {
                "phase": "answer",
                "rows": rows,
                "queries": str(folder / "queries.npy"),
                "truth": str(folder / "truth.npz"),
                "widths": list(material.FILTERS),
                "budget_s": BUDGET_S if rows > 1000 else BUDGET_S / 2,
                "cores": 1,
                **common,
            }
            python, driver = environment.python, store.driver
            group = slow if store.slow else quick
            group[store.name] = lambda p=python, d=driver, q=question: drive(p, d, q)
    answers = rounds.interleave(quick, repetitions, log)
    answers |= rounds.interleave(slow, 1, log)
    baseline = answers.get("numpy float32")
    for name, runs in answers.items():
        table["stores"][name].update(_summarise(runs, baseline))
    shutil.rmtree(work, ignore_errors=True)
    return table


def _summarise(runs: list[Any], baseline: list[Any] | None) -> dict[str, Any]:
    failed = next((run["error"] for run in runs if "error" in run), None)
    if failed:
        return {"error": failed}
    row: dict[str, Any] = {
        "cold_s": rounds.spread([run["cold_s"] for run in runs]),
        "open_s": rounds.spread([run["open_s"] for run in runs]),
        "loops": {},
    }
    for name in ("resident", "anonymous", "peak_mb"):
        row[name] = statistics.median(run.get(name, 0) for run in runs)
    for loop in runs[0]["loops"]:
        samples = [run["loops"][loop] for run in runs]
        kept = [samples[n] for n in rounds.quiet(samples)]
        cell = {
            "p50_ms": rounds.spread([s["p50_ms"] for s in kept]),
            "p95_ms": rounds.spread([s["p95_ms"] for s in kept]),
            "recall": kept[0]["recall"],
        }
        if baseline and not any("error" in run for run in baseline):
            others = [run["loops"][loop] for run in baseline[: len(runs)]]
            # How many times as fast as the baseline: its time goes above.
            cell["ratio"] = rounds.ratios(others, samples, "p50_ms")
        row["loops"][loop] = cell
    return row


def appending(environments: Mapping[str, Environment], cache: Path, work: Path, rows: int) -> Any:
    """Return pixseek's latency of a query with nobody writing, and during writes."""
    python = environments["pixseek"].python
    assert python
    folder = material.vectors(cache, rows, 512)
    try:
        return drive(
            python,
            "append_pixseek",
            {
                "folder": str(work / "appending"),
                "stored": str(folder / "stored.npy"),
                "queries": str(folder / "queries.npy"),
                "seconds": 8,
            },
        )
    finally:
        shutil.rmtree(work / "appending", ignore_errors=True)
        time.sleep(0.1)
