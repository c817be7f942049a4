"""Measure the embedded store: opening, searching, filtering, and what is found.

    python benchmarks/store.py --rows 100000 --dim 512

The vectors are clustered as those of real images are, and the queries lie outside of their
distribution as those of texts do. Everything is compared with an exact numpy float32 scan of the
same vectors in the same run; on a shared machine trust the ratios, not the milliseconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engines"))

from pixseek.engines.embedded import open_embedded
from pixseek.types import Compare, Record, Space, Stamp

from vectors import Clustered

COLD = """
import json, resource, sys, time
start = time.perf_counter()
import numpy as np
from pixseek.engines.embedded import open_embedded
imported = time.perf_counter()
engine = open_embedded(sys.argv[1])
engine.space
opened = time.perf_counter()
engine.search(np.load(sys.argv[2])[:1], 10)
done = time.perf_counter()
anonymous = 0
try:
    with open("/proc/self/status") as status:
        anonymous = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
except OSError:
    pass
print(json.dumps([imported - start, opened - imported, done - opened, done - start, anonymous]))
"""


def median_ms(call: Callable[[Any], Any], queries: Any) -> tuple[float, float]:
    """Return the median and the 95th percentile of one call a query, in milliseconds."""
    took = []
    for query in queries:
        start = time.perf_counter()
        call(query)
        took.append((time.perf_counter() - start) * 1000)
    return float(np.median(took)), float(np.percentile(took, 95))


def best(vectors: Any, numbers: Any, query: Any, k: int) -> set[int]:
    scores = vectors[numbers] @ query if len(numbers) < len(vectors) else vectors @ query
    return set(numbers[np.argpartition(-scores, k - 1)[:k]].tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=50)
    options = parser.parse_args()
    rows, dim = options.rows, options.dim
    table: list[tuple[str, str]] = []

    spread = Clustered(dim)
    vectors, queries = spread.images(rows), spread.texts(options.queries)
    with tempfile.TemporaryDirectory() as temporary:
        folder, query_file = Path(temporary) / "library", Path(temporary) / "queries.npy"
        np.save(query_file, queries)
        start = time.perf_counter()
        engine = open_embedded(folder)
        engine.ensure(Space("0" * 64, dim, "benchmark"))
        for first in range(0, rows, 10_000):
            numbers = range(first, min(first + 10_000, rows))
            records = [
                Record(
                    f"{i:016}", f"photos/{i % 500:03}/IMG_{i:07}.jpg", Stamp(3_000_000 + i, i),
                    f"{i:064x}", "image/jpeg", 1 + i % 1000, 3000,
                )
                for i in numbers
            ]  # fmt: skip
            engine.put(records, vectors[first : first + 10_000])
        stored = time.perf_counter()
        engine.close()
        closed = time.perf_counter()
        table.append(("store", f"{stored - start:.1f} s"))
        table.append(("close (codes)", f"{closed - stored:.1f} s"))
        for kind, pattern in (("vectors", "vectors-*"), ("codes", "codes-*"), ("records", "rec*")):
            size = sum(path.stat().st_size for path in folder.glob(pattern))
            table.append((f"disk, {kind}", f"{size / rows:.0f} bytes a record"))

        command = [sys.executable, "-c", COLD, str(folder), str(query_file)]
        runs = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(5)
        ]
        for i, what in enumerate(("import", "open", "first query", "all of these")):
            seconds = float(np.median([run[i] for run in runs]))
            table.append((f"new process: {what}", f"{seconds * 1000:.0f} ms"))
        table.append(("new process: anonymous memory", f"{runs[0][4] / 1024:.0f} MB"))

        everything = np.arange(rows)
        with open_embedded(folder) as engine:
            engine.search(queries[:1], 10)
            for k in (10, 100):
                hits = [
                    len(best(vectors, everything, query, k) & {int(m.record.id) for m in found})
                    for query, found in zip(queries, engine.search(queries, k), strict=True)
                ]
                table.append((f"recall@{k}", f"{sum(hits) / len(hits) / k:.4f}"))
                mid, high = median_ms(lambda q, k=k: engine.search(q[None], k), queries)
                table.append((f"search, k={k}: p50 / p95", f"{mid:.2f} / {high:.2f} ms"))
                mid, high = median_ms(lambda q, k=k: best(vectors, everything, q, k), queries)
                table.append((f"numpy float32, k={k}: p50 / p95", f"{mid:.2f} / {high:.2f} ms"))
            for below in (501, 101, 11, 2):
                where = Compare("width", "lt", below)
                numbers = everything[everything % 1000 < below - 1]
                k = min(10, len(numbers))
                hits = [
                    len(best(vectors, numbers, q, k) & {int(m.record.id) for m in found})
                    for q, found in zip(queries, engine.search(queries, k, where), strict=True)
                ]
                mid, high = median_ms(lambda q, w=where: engine.search(q[None], 10, w), queries)
                share = f"{(below - 1) / 10:g} %"
                table.append((f"filter leaving {share}: p50 / p95", f"{mid:.1f} / {high:.1f} ms"))
                table.append(
                    (f"filter leaving {share}: recall", f"{sum(hits) / len(hits) / k:.4f}")
                )
            start = time.perf_counter()
            known = sum(1 for _ in engine.known())
            table.append((f"known(), {known:,} records", f"{time.perf_counter() - start:.2f} s"))

    print(f"{rows:,} vectors of {dim} dimensions, {options.queries} queries")
    for what, value in table:
        print(f"  {what:<36} {value}")


if __name__ == "__main__":
    main()
