"""Measure the embedded store: opening, searching, filtering, searching during writes, recall.

    python benchmarks/store.py --rows 100000 --dim 512 --json figures.json

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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engines"))

from pixseek.engines.embedded import EmbeddedEngine, open_embedded
from pixseek.types import Compare, Record, Space, Stamp

from vectors import Clustered

COLD = """
import json, sys, time
start = time.perf_counter()
import numpy as np
from pixseek.engines.embedded import open_embedded
from pixseek.types import Compare
imported = time.perf_counter()
engine = open_embedded(sys.argv[1])
engine.space
opened = time.perf_counter()
where = Compare("width", "lt", int(sys.argv[3])) if len(sys.argv) > 3 else None
engine.nearest(np.load(sys.argv[2])[:1], 10, where)
done = time.perf_counter()
print(json.dumps([imported - start, opened - imported, done - opened, done - start]))
"""

RESIDENT = """
import sys
import numpy as np
from pixseek.engines.embedded import open_embedded
engine, queries = open_embedded(sys.argv[1]), np.load(sys.argv[2])
engine.nearest(np.tile(queries, (16, 1))[:16], 10)  # waits for the codes
engine.nearest(queries[:1], 10)
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1e3)
"""

WRITER = """
import sys, time
import numpy as np
from pixseek.engines.embedded import open_embedded
from pixseek.types import Record
engine, end = open_embedded(sys.argv[1]), time.monotonic() + float(sys.argv[2])
rng, written = np.random.default_rng(1), 0
while time.monotonic() < end:
    vectors = rng.standard_normal((500, engine.space.dim), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    engine.put([Record(f"new{written + i}", f"new/{written + i}") for i in range(500)], vectors)
    written += 500
print(written)
"""


class Figures:
    """What was measured, by name; printed as it comes."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def add(self, name: str, value: float, unit: str = "") -> None:
        self.values[f"{name} [{unit}]" if unit else name] = round(float(value), 5)
        print(f"  {name:<44} {value:,.4g} {unit}", flush=True)

    def add_latency(self, name: str, took_s: Iterable[float]) -> None:
        took_ms = np.array(list(took_s)) * 1000
        self.add(f"{name}, p50", np.median(took_ms), "ms")
        self.add(f"{name}, p95", np.percentile(took_ms, 95), "ms")


def seconds(call: Callable[[Any], Any], queries: Any) -> list[float]:
    """Return the seconds of one call a query."""
    took = []
    for query in queries:
        start = time.perf_counter()
        call(query)
        took.append(time.perf_counter() - start)
    return took


def best(vectors: Any, numbers: Any, query: Any, k: int) -> set[int]:
    scores = vectors[numbers] @ query if len(numbers) < len(vectors) else vectors @ query
    return set(numbers[np.argpartition(-scores, k - 1)[:k]].tolist())


def recall(found: Any, vectors: Any, numbers: Any, queries: Any, k: int) -> float:
    hits = [
        len(best(vectors, numbers, query, k) & {int(id_) for id_ in matches.ids})
        for query, matches in zip(queries, found, strict=True)
    ]
    return sum(hits) / len(hits) / k


def store(folder: Path, vectors: Any, figures: Figures) -> None:
    start = time.perf_counter()
    engine = open_embedded(folder)
    engine.ensure(Space("0" * 64, vectors.shape[1], "benchmark"))
    for first in range(0, len(vectors), 10_000):
        records = [
            Record(
                f"{i:016}", f"photos/{i % 500:03}/IMG_{i:07}.jpg", Stamp(3_000_000 + i, i),
                f"{i:064x}", "image/jpeg", 1 + i % 1000, 3000,
            )
            for i in range(first, min(first + 10_000, len(vectors)))
        ]  # fmt: skip
        engine.put(records, vectors[first : first + 10_000])
    stored = time.perf_counter()
    engine.close()
    figures.add("store", stored - start, "s")
    figures.add("close (codes)", time.perf_counter() - stored, "s")
    total = 0
    for kind, pattern in (("vectors", "vectors-*"), ("codes", "codes-*"), ("records", "rec*")):
        size = sum(path.stat().st_size for path in folder.glob(pattern))
        figures.add(f"disk, {kind}", size / len(vectors), "bytes a record")
        total += size
    figures.add("disk, all", total / len(vectors), "bytes a record")


def new_process(folder: Path, query_file: Path, figures: Figures) -> None:
    for what, more in (("", []), (", filter leaving 1 %", ["11"])):
        command = [sys.executable, "-c", COLD, str(folder), str(query_file), *more]
        runs = [json.loads(subprocess.check_output(command, text=True)) for _ in range(5)]
        for i, part in enumerate(("import", "open", "first query", "all of these")):
            figures.add(f"new process{what}: {part}", np.median([r[i] for r in runs]), "s")

    if sys.platform == "linux":
        command = [sys.executable, "-c", RESIDENT, str(folder), str(query_file)]
        anonymous = float(subprocess.check_output(command, text=True))
        figures.add("anonymous memory of a process that searches", anonymous, "MB")


def warm(engine: EmbeddedEngine, vectors: Any, queries: Any, figures: Figures) -> None:
    everything = np.arange(len(vectors))
    for k in (10, 100):
        found = engine.nearest(queries, k)
        figures.add(f"recall@{k}", recall(found, vectors, everything, queries, k))
        took = seconds(lambda q, k=k: engine.nearest(q[None], k), queries)  # type: ignore[misc]
        figures.add_latency(f"search, k={k}", took)
        took = seconds(lambda q, k=k: best(vectors, everything, q, k), queries)  # type: ignore[misc]
        figures.add_latency(f"numpy float32, k={k}", took)
    many = np.tile(queries, (1000 // len(queries) + 1, 1))[:1000]
    start, cpu = time.perf_counter(), time.process_time()
    engine.nearest(many, 10)
    figures.add("1,000 queries at once", 1000 / (time.perf_counter() - start), "queries/s")
    figures.add("1,000 queries at once", time.process_time() - cpu, "ms of CPU a query")
    start, cpu = time.perf_counter(), time.process_time()
    for query in queries:
        engine.nearest(query[None], 10)
    took_s, took_cpu = time.perf_counter() - start, time.process_time() - cpu
    figures.add("one by one", len(queries) / took_s, "queries/s")
    figures.add("one by one", took_cpu / len(queries) * 1000, "ms of CPU a query")


def filtered(engine: EmbeddedEngine, vectors: Any, queries: Any, figures: Figures) -> None:
    everything = np.arange(len(vectors))
    for below in (501, 101, 11, 2):
        where = Compare("width", "lt", below)
        name = f"filter leaving {(below - 1) / 10:g} %"
        numbers = everything[everything % 1000 < below - 1]
        k = min(10, len(numbers))
        for time_ in ("1st", "2nd"):
            if below == 501:  # in SQL; from a column that is loaded for it
                took = seconds(lambda q: engine.nearest(q[None], 10, where), queries[:1])  # noqa: B023
                figures.add(f"{name}, {time_} time", took[0], "s")
        found = engine.nearest(queries, k, where)
        figures.add(f"{name}, recall", recall(found, vectors, numbers, queries, k))
        figures.add_latency(
            name,
            seconds(lambda q, w=where: engine.nearest(q[None], 10, w), queries),  # type: ignore[misc]
        )


def beside_a_writer(
    engine: EmbeddedEngine, folder: Path, queries: Any, lasting_s: float, figures: Figures
) -> None:
    def searching(until: Callable[[], bool]) -> list[float]:
        took: list[float] = []
        while not until():
            took += seconds(lambda q: engine.nearest(q[None], 10), queries[:1])
        return took

    end = time.monotonic() + lasting_s
    figures.add_latency("search, nobody writes", searching(lambda: time.monotonic() > end))
    command = [sys.executable, "-c", WRITER, str(folder), str(lasting_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        took = searching(lambda: writer.poll() is not None)
        assert writer.stdout is not None
        figures.add("records written meanwhile", float(writer.stdout.read()))
    figures.add_latency("search beside a writer", took)
    figures.add("search beside a writer, slowest", max(took) * 1000, "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--writer-seconds", type=float, default=10)
    parser.add_argument("--json", type=Path, help="write the figures into this file, too")
    options = parser.parse_args()
    figures = Figures()
    print(f"{options.rows:,} vectors of {options.dim} dimensions, {options.queries} queries")
    spread = Clustered(options.dim)
    vectors, queries = spread.images(options.rows), spread.texts(options.queries)
    with tempfile.TemporaryDirectory() as temporary:
        folder, query_file = Path(temporary) / "library", Path(temporary) / "queries.npy"
        np.save(query_file, queries)
        store(folder, vectors, figures)
        new_process(folder, query_file, figures)
        with open_embedded(folder) as engine:
            engine.nearest(queries, 10)  # waits for the codes
            engine.nearest(queries[:1], 10)
            warm(engine, vectors, queries, figures)
            filtered(engine, vectors, queries, figures)
            start = time.perf_counter()
            known = sum(1 for _ in engine.known())
            figures.add(f"known(), {known:,} records", time.perf_counter() - start, "s")
            beside_a_writer(engine, folder, queries, options.writer_seconds, figures)
    if options.json:
        content = {"rows": options.rows, "dim": options.dim, "figures": figures.values}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
