"""What every store is asked, in the same order: to build, or to open and answer in a new process.

A store is a class with three methods; `width` is the highest width to find, or None for all:

    build(folder, stored, widths)     store unit rows with their widths; ids are row numbers
    open(folder, rows)
    search(query, k, width) -> ids    best first
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol import main, measured, memory_mb, since_start


def serve(make: Callable[[dict[str, Any]], Any]) -> None:
    """Run a driver. Its arguments: "phase", and what `_build` and `_answer` read."""
    main(lambda arguments: _PHASES[arguments["phase"]](make, arguments))


def _build(make: Callable[[dict[str, Any]], Any], arguments: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    stored = np.load(arguments["stored"])
    widths = 1 + np.arange(len(stored)) % 1000
    folder = Path(arguments["folder"])
    folder.mkdir(parents=True)
    with measured() as figures:
        make(arguments).build(folder, stored, widths)
    return figures


def _answer(make: Callable[[dict[str, Any]], Any], arguments: dict[str, Any]) -> dict[str, Any]:
    # Before anything is imported, so that no pool of threads is made for more.
    if arguments["cores"]:
        os.sched_setaffinity(0, list(os.sched_getaffinity(0))[: arguments["cores"]])
    store = make(arguments)
    began = time.perf_counter()
    store.open(Path(arguments["folder"]), arguments["rows"])
    opened = time.perf_counter() - began
    import numpy as np

    asked = np.load(arguments["queries"])
    store.search(asked[0], 10, None)
    answer: dict[str, Any] = {"cold_s": since_start(), "open_s": opened, "loops": {}, "found": {}}
    truth = np.load(arguments["truth"])
    plans = [("k=10", 10, None, "all"), ("k=100", 100, None, "all")]
    plans += [(f"width {w}", 10, w, f"width {w}") for w in arguments["widths"]]
    for name, k, width, wanted in plans:
        answer["loops"][name] = _ask(store, asked, k, width, truth[wanted], arguments["budget_s"])
    return {**answer, **memory_mb()}


def _ask(
    store: Any, asked: Any, k: int, width: int | None, wanted: Any, budget_s: float
) -> dict[str, Any]:
    """Ask for all queries, or for as many as `budget_s` seconds allow, but ten at least."""
    import numpy as np

    took, hits, possible = [], 0, 0
    store.search(asked[0], k, width)
    with measured() as figures:
        for query, best in zip(asked, wanted, strict=True):
            began = time.perf_counter()
            found = store.search(query, k, width)
            took.append(time.perf_counter() - began)
            right = {int(n) for n in best[:k] if n >= 0}
            hits += len(right.intersection(int(n) for n in found))
            possible += len(right)
            if sum(took) > budget_s and len(took) >= 10:
                break
    p50, p95 = np.percentile(took, [50, 95]) * 1000
    return {
        "p50_ms": float(p50), "p95_ms": float(p95), "queries": len(took),
        "recall": hits / possible if possible else None, "others": figures["others"],
    }  # fmt: skip


_PHASES = {"build": _build, "answer": _answer}

if __name__ == "__main__":
    sys.exit(__doc__)
