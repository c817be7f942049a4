"""Is a commit faster or slower than another? Small measurements of both in turns, in 3 minutes.

    python benchmarks/compare.py main HEAD
    python benchmarks/compare.py HEAD .         # the working tree against its last commit

Both run on the packages of this environment, each from its own sources. A ratio above 1 says that
the second is faster; it means something where its whole spread lies on one side of 1.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import material, rounds
from harness.process import drive, measured

ROOT = Path(__file__).parents[1]
ROWS, DIM = 50_000, 512
PHOTOS = {"0.3 MP": 128, "12 MP": 16}


def tree_of(commit: str, folder: Path) -> Path:
    """Return a folder with the sources of a commit; a folder that is given stands for itself."""
    if Path(commit).is_dir():
        return Path(commit).resolve()
    archive = ["git", "-C", str(ROOT), "archive", commit, "src"]
    done = subprocess.run(archive, check=False, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{commit} is no folder and no commit: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def measurements(
    tree: Path, model: str, photos: dict[str, Path], vectors: Path, work: Path
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return what is measured of a tree, by name: each call returns "seconds" and "others"."""
    path = {"PYTHONPATH": str(tree / "src")}
    python, library, store = Path(sys.executable), work / "one", work / "store"
    folders = {size: str(photos[size]) for size in PHOTOS}
    everything = {"warm": str(photos["warm-up"]), "folders": folders, "model": model}
    rows = {"folder": str(store), "rows": ROWS, "stored": str(vectors / "stored.npy"),
            "queries": str(vectors / "queries.npy"), "truth": str(vectors / "truth.npz"),
            "widths": [100], "budget_s": 1.0, "cores": 1}  # fmt: skip
    drive(python, "store_pixseek", {"phase": "build", **rows}, environment=path)
    last: dict[str, Any] = {}

    def command(*words: str) -> dict[str, Any]:
        line = [str(python), "-m", "pixseek", "-L", str(library), *words]
        with measured() as figures:
            subprocess.run(line, check=True, capture_output=True, env={**os.environ, **path})
        return figures

    def index(size: str) -> dict[str, Any]:
        # One process indexes all sizes; the first call of a round starts it.
        if not last:
            with tempfile.TemporaryDirectory(dir=work) as out:
                answer = drive(
                    python, "index_pixseek", {**everything, "out": out}, environment=path
                )
            last.update(answer["folders"])
        return last.pop(size)

    def search(loop: str) -> dict[str, Any]:
        if loop not in last:
            answer = drive(python, "store_pixseek", {"phase": "answer", **rows}, environment=path)
            last.update(answer["loops"])
        cell = last.pop(loop)
        if loop == "width 100":
            last.clear()  # the loops of this round that are not compared
        return {"seconds": cell["p50_ms"] / 1000, "others": cell["others"]}

    command("index", "-m", model, "-q", str(photos["warm-up"]))
    return {
        "pixseek --help": lambda: command("--help"),
        "one-shot search": lambda: command("search", "a red car"),
        **{f"index {size}": lambda size=size: index(size) for size in PHOTOS},
        **{
            f"search {ROWS:,} vectors, {loop}": lambda loop=loop: search(loop)
            for loop in ("k=10", "k=100", "width 100")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--model", default="demo", help="to index with (default: the small one)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cache = Path("~/.cache/pixseek-bench/material").expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    photos = material.photos(cache, {"warm-up": 16, **PHOTOS}, None)
    vectors = material.vectors(cache, ROWS, DIM)
    with tempfile.TemporaryDirectory(prefix="pixseek-compare-") as temporary:
        trees = {}
        for name, commit in (("first", options.first), ("second", options.second)):
            tree = tree_of(commit, Path(temporary) / name)
            work = Path(temporary) / f"work-{name}"
            work.mkdir()
            trees[name] = measurements(tree, options.model, photos, vectors, work)
        outcomes = rounds.interleave(
            {
                f"{what}: {name}": trees[name][what]
                for what in trees["first"]
                for name in ("first", "second")
            },
            options.rounds,
            lambda text: print(text, file=sys.stderr),
        )
    print(f"\n{options.first} against {options.second}; above 1.00 the second is faster\n")
    print(f"{'':36} {'first s':>9} {'second s':>9}   ratio (least to most)   of CPU seconds")
    for what in trees["first"]:
        ours, theirs = outcomes[f"{what}: second"], outcomes[f"{what}: first"]
        if failed := next((run["error"] for run in ours + theirs if "error" in run), None):
            print(f"{what:<36} {failed[-200:]}")
            continue
        ratio = rounds.ratios(theirs, ours, "seconds")
        middle = [rounds.spread([r["seconds"] for r in runs])["median"] for runs in (theirs, ours)]
        mark = f"   {ratio['disturbed']} rounds disturbed" if ratio["disturbed"] else ""
        # CPU seconds stand up to a busy machine far better than the clock does.
        has_cpu = all("cpu_s" in run for run in ours + theirs)
        cpu = f"{rounds.ratios(theirs, ours, 'cpu_s')['median']:.2f}" if has_cpu else ""
        span = f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
        print(f"{what:<36} {middle[0]:9.4f} {middle[1]:9.4f}   {span:<23} {cpu:>5}{mark}")


if __name__ == "__main__":
    main()
