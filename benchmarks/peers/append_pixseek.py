"""pixseek's queries while another process appends: their latency before, during and after."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from protocol import main
from store_pixseek import Store

BATCH = 256  # what indexing stores in one write, about


def write(folder: Path, dim: int, first: int) -> None:
    """Append until killed, at the pace of fast indexing: 256 records, then a pause."""
    import numpy as np

    from pixseek.engines.embedded import open_embedded
    from pixseek.types import Record, Stamp

    rng = np.random.default_rng(1)
    with open_embedded(folder / "index") as engine:
        while True:
            rows = rng.standard_normal((BATCH, dim), dtype=np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            records = [
                Record(f"{n:016}", f"new/{n}.jpg", Stamp(1, n), f"{n:064x}", "image/jpeg", 1, 1)
                for n in range(first, first + BATCH)
            ]
            engine.put(records, rows)
            first += BATCH
            time.sleep(1)


def ask(store: Store, queries: Any, seconds: float) -> dict[str, float]:
    import numpy as np

    took: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        store.search(queries[len(took) % len(queries)], 10, None)
        took.append(time.perf_counter() - began)
    p50, p95 = np.percentile(took, [50, 95]) * 1000
    return {"p50_ms": float(p50), "p95_ms": float(p95), "max_ms": max(took) * 1000}


def drive(arguments: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    folder = Path(arguments["folder"])
    folder.mkdir(parents=True)
    stored, queries = np.load(arguments["stored"]), np.load(arguments["queries"])
    store = Store({})
    store.build(folder, stored, 1 + np.arange(len(stored)) % 1000)
    store.open(folder, len(stored))
    store.search(queries[0], 10, None)
    quiet = ask(store, queries, arguments["seconds"] / 2)
    command = [sys.executable, __file__, "write", str(folder), str(stored.shape[1])]
    writer = subprocess.Popen([*command, str(len(stored))])
    try:
        time.sleep(1)
        beside = ask(store, queries, arguments["seconds"])
        assert writer.poll() is None, "the writer ended early"
    finally:
        writer.kill()
        writer.wait()
    return {"rows": len(stored), "quiet": quiet, "beside a writer": beside}


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        main(drive)
