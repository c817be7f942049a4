"""Measure what finds candidates in a large store: the scan of all codes, and the inverted file.

    python benchmarks/large.py --rows 10000000

Needs 1.5 kB of disk a row of 512 dimensions in `--folder`, and 0.4 kB of memory. The vectors go
straight into a vector file, without records: storing those takes longer and changes nothing here.
They are clustered as those of real images are, and the queries lie outside of their distribution
as those of texts do. There is one cluster for 20 vectors: were there fewer clusters than lists,
each would have lists of its own, and the inverted file would find everything at once.

Searches run in a new process on one core, and count the scoring of the candidates from the
float16 rows. What they should find is computed exactly from all rows. On a shared machine trust
the ratios, not the milliseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engines"))

from pixseek.engines.embedded import codes, ivf, vectorfile
from pixseek.engines.embedded.vectorfile import VectorFile

from vectors import Clustered

GENERATION = "0123456789ab"
KEPT = 100
#: The shares of rows that filters leave.
SHARES = (0.5, 0.1, 0.01)


def write(path: Path, rows: int, spread: Clustered, dim: int) -> None:
    done = path.stat().st_size // dim // 2 if path.exists() else 0
    for start in range(0, rows, 50_000):
        block = spread.images(min(50_000, rows - start))  # also when there: the draw goes on
        if start >= done:
            vectorfile.append(path, start, block)


def forget(folder: Path) -> None:
    """Drop the files of a folder from the page cache."""
    if hasattr(os, "posix_fadvise"):
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_speed(path: Path) -> tuple[float, float]:
    """Return the MB/s of reading a file from its beginning, not cached and then cached."""
    speeds = []
    size = min(path.stat().st_size, 4 << 30)
    forget(path.parent)
    with path.open("rb", buffering=0) as file:
        for _ in range(2):
            file.seek(0)
            start, left = time.perf_counter(), size
            while left:
                left -= len(file.read(min(left, 8 << 20)))
            speeds.append(size / 1e6 / (time.perf_counter() - start))
    return speeds[0], speeds[1]


def filter_masks(rows: int) -> list[Any]:
    kept = np.random.default_rng(1).random(rows, np.float32)
    return [None, *(kept < share for share in SHARES)]


def exact(vectors: VectorFile, queries: Any, masks: list[Any]) -> list[Any]:
    """Return, for each mask, the nearest rows of each query, (q, KEPT), best first."""
    shape = (len(queries), KEPT)
    best = [(np.full(shape, -np.inf, np.float32), np.zeros(shape, np.int64)) for _ in masks]
    for rows, block in vectors.blocks(0, np.empty(0, np.int64)):
        scores = queries @ block.T
        for i, mask in enumerate(masks):
            allowed = slice(None) if mask is None else mask[rows]
            some_rows, some = rows[allowed], scores[:, allowed]
            found = np.argpartition(-some, min(KEPT, some.shape[1] - 1), axis=1)[:, :KEPT]
            all_scores = np.hstack([best[i][0], np.take_along_axis(some, found, 1)])
            all_rows = np.hstack([best[i][1], some_rows[found]])
            order = np.argsort(-all_scores, axis=1)[:, :KEPT]
            best[i] = (
                np.take_along_axis(all_scores, order, 1),
                np.take_along_axis(all_rows, order, 1),
            )
    return [rows for _, rows in best]


def anonymous_mb() -> float:
    try:
        with open("/proc/self/status") as status:
            return next(int(s.split()[1]) for s in status if s.startswith("RssAnon")) / 1024
    except OSError:
        return 0.0


@contextlib.contextmanager
def peak() -> Iterator[list[float]]:
    """Collect the anonymous memory while something runs."""
    seen, done = [anonymous_mb()], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            seen.append(anonymous_mb())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def opened(kind: str, folder: Path, vectors: VectorFile) -> Any:
    room: Any = codes.Codes if kind == "codes" else ivf.Ivf
    return room.open(folder, GENERATION, vectors)


def build(kind: str, folder: Path, vectors: VectorFile) -> None:
    if kind == "ivf":
        ivf.build(folder, GENERATION, vectors)
    else:
        cache = codes.Codes.open(folder, GENERATION, vectors)
        cache.update(vectors)
        cache.save(folder)


def measure(kind: str, folder: Path, vectors: VectorFile, queries: Any) -> dict[str, Any]:
    """Open, search and compare. To be called in a process of its own."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    none = np.empty(0, np.int64)
    took: dict[str, Any] = {}

    def search(query: Any, k: int, mask: Any) -> tuple[Any, float]:
        (rows,) = cache.search(query[None], codes.candidates(k), mask)
        looked = time.perf_counter()
        (rows,) = vectors.nearest(query[None], k, none, among=rows)
        return rows[np.argsort(-vectors.score(rows, query))[:k]], looked

    opened(kind, folder, vectors)  # imports what it needs
    cache = None
    before = anonymous_mb()
    for state in ("not cached", "cached"):
        if state == "not cached":
            forget(folder)
        start = time.perf_counter()
        cache = opened(kind, folder, vectors)
        took[f"open, files {state}, s"] = time.perf_counter() - start
        start = time.perf_counter()
        search(queries[0], 10, None)
        took[f"first search, files {state}, s"] = time.perf_counter() - start
    took["anonymous MB"] = anonymous_mb() - before
    truths = np.load(folder / "exact.npy")
    for mask, truth, share in zip(
        filter_masks(vectors.rows), truths, ("all", *SHARES), strict=True
    ):
        for k in (10, 100) if mask is None else (10,):
            for _ in range(2):  # the second time, pages and caches are warm
                hits, times, looking, busy = 0, [], [], []
                for query, right in zip(queries, truth, strict=True):
                    start, used = time.perf_counter(), time.process_time()
                    rows, looked = search(query, k, mask)
                    busy.append((time.process_time() - used) * 1000)
                    times.append((time.perf_counter() - start) * 1000)
                    looking.append((looked - start) * 1000)
                    hits += len(np.intersect1d(rows, right[:k]))
            what = f"k={k}" if mask is None else f"k={k}, filter leaving {share:.0%}"
            took[f"{what}: recall"] = hits / len(queries) / k
            took[f"{what}: p50 ms"] = float(np.median(times))
            took[f"{what}: p95 ms"] = float(np.percentile(times, 95))
            took[f"{what}: p50 ms of processor time"] = float(np.median(busy))
            took[f"{what}: p50 ms before scoring"] = float(np.median(looking))
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="kept, and used again where it is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--run", choices=("build", "measure"), help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=("codes", "ivf"), help="only this one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"vectors-{GENERATION}.f16"
        if options.run:  # the child
            vectors = VectorFile(path, options.rows, options.dim)
            start = time.perf_counter()
            if options.run == "build":
                with peak() as anonymous:
                    build(options.kind, folder, vectors)
                figures = {
                    "build s": time.perf_counter() - start,
                    "build s of processor time": time.process_time(),
                }
                figures["anonymous MB while building"] = max(anonymous)
            else:
                figures = measure(options.kind, folder, vectors, np.load(folder / "queries.npy"))
            print(json.dumps(figures))
            return

        figures = {}

        def tell(what: str, value: Any) -> None:
            figures[what] = value
            shown = f"{value:.4g}" if isinstance(value, float) else value
            print(f"  {what:<56} {shown}", flush=True)

        tell("machine", f"{platform.machine()}, {os.cpu_count()} cores")
        tell("rows", options.rows)
        tell("dim", options.dim)
        spread = Clustered(options.dim, clusters=max(100, options.rows // 20), latent=96)
        start = time.perf_counter()
        write(path, options.rows, spread, options.dim)
        tell("making and writing the vectors s", time.perf_counter() - start)
        if hasattr(os, "posix_fadvise"):
            uncached, cached = read_speed(path)
            tell("reading the file, not cached MB/s", uncached)
            tell("reading the file, cached MB/s", cached)
        vectors = VectorFile(path, options.rows, options.dim)
        start = time.perf_counter()
        queries = spread.texts(options.queries)
        np.save(folder / "queries.npy", queries)
        np.save(folder / "exact.npy", exact(vectors, queries, filter_masks(options.rows)))
        tell(f"exact, {options.queries} queries at once s", time.perf_counter() - start)
        for kind in [options.kind] if options.kind else ["ivf", "codes"]:
            for run in ("build", "measure"):
                command = [sys.executable, __file__, "--run", run, "--kind", kind]
                command += ["--rows", str(options.rows), "--dim", str(options.dim)]
                command += ["--folder", str(folder)]
                child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                for what, value in json.loads(child.stdout).items():
                    tell(f"{kind}: {what}", value)
            size = sum(file.stat().st_size for file in folder.glob(f"{kind}-*"))
            tell(f"{kind}: bytes a row", size / options.rows)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
