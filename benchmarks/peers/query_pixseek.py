"""pixseek's queries in a live process: opening, the first, and those after it, by stage."""

import time
from typing import Any

from protocol import main, measured, memory_mb

THINGS = ("boat", "dog", "car", "house", "tree", "bird", "child", "bicycle", "mountain", "table")
COLOURS = ("red", "green", "blue", "white", "black", "yellow")
PLACES = ("on a lake", "at night", "in the snow", "in a kitchen", "on a beach", "by a road")

#: What is searched for; no two alike.
TEXTS = [f"a {c} {t} {p}" for c in COLOURS for t in THINGS for p in PLACES]


def drive(arguments: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    import pixseek

    began = time.perf_counter()
    with pixseek.open(arguments["library"], create=False) as library:
        opened = time.perf_counter()
        library.search("a photo", k=10)
        first = time.perf_counter()
        with measured() as figures:
            asked = [library.search(text, k=10) for text in TEXTS[: arguments["queries"]]]
        answer: dict[str, Any] = {
            "open_ms": (opened - began) * 1000,
            "first_ms": (first - opened) * 1000,
            "others": figures["others"],
            "stages": {},
        }
        for stage in ("encode", "search", "total"):
            p50, p95 = np.percentile([results.took_ms[stage] for results in asked], [50, 95])
            answer["stages"][stage] = {"p50_ms": float(p50), "p95_ms": float(p95)}
    return {**answer, **memory_mb()}


if __name__ == "__main__":
    main(drive)
