"""How long an unchanged library takes to re-check, against a bare walk of the same files.

    python benchmarks/recheck.py --files 100000 --json FILE

The files are empty shells and the vectors are made up: neither is read by a re-check. The
baseline is `os.walk` with one `stat` for each file, which no indexer can do without.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

import pixseek
from pixseek.types import Record, Space, Stamp, record_id

DIM = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        root = Path(base) / "photos"
        records = []
        for number in range(arguments.files):
            folder = root / f"{number // 1000:04}"
            if number % 1000 == 0:
                folder.mkdir(parents=True)
            path = folder / f"IMG_{number:07}.jpg"
            path.write_bytes(b"x")
            status = path.stat()
            uri = f"photos/{folder.name}/{path.name}"
            stamp = Stamp(status.st_size, status.st_mtime_ns)
            records.append(Record(record_id(uri), uri, stamp, digest=f"{number:064x}"))
        with pixseek.open(Path(base) / "benchmark.lib") as library:
            library.opened.engine.ensure(Space("made up", DIM, "made up"))
            library.opened.roots.add(root, whole=True)
            rng = np.random.default_rng(0)
            for start in range(0, len(records), 10_000):
                chunk = records[start : start + 10_000]
                rows = rng.standard_normal((len(chunk), DIM), dtype=np.float32)
                library.opened.engine.put(chunk, rows / np.linalg.norm(rows, axis=1, keepdims=True))
        print(f"{arguments.files} files, {os.cpu_count()} processors")
        print("run   walk and stat s   re-check s   ratio   records/s")
        figures = []
        for run in range(arguments.runs):
            began = time.perf_counter()
            for folder_path, _, names in os.walk(root):
                for name in names:
                    Path(folder_path, name).stat()
            walk = time.perf_counter() - began
            began = time.perf_counter()
            with pixseek.open(Path(base) / "benchmark.lib") as library:
                report = library.index(root)
            took = time.perf_counter() - began
            assert report.unchanged == arguments.files, report
            rate = arguments.files / took
            print(f"{run + 1:3} {walk:15.2f} {took:12.2f} {took / walk:8.2f} {rate:10.0f}")
            figures.append({"walk_s": walk, "recheck_s": took})
    if arguments.json:
        arguments.json.write_text(json.dumps({"files": arguments.files, "runs": figures}))


if __name__ == "__main__":
    main()
