"""Is a commit slower than another? Small measurements of both in turns, by processor time.

    python benchmarks/compare.py main HEAD
    python benchmarks/compare.py HEAD .       # the working tree against its last commit
    python benchmarks/compare.py main HEAD --rounds 60 --only 'live query, 1,000 images'

Both run on the packages of this environment, each from its own sources. A ratio above 1 says that
the second takes more; it is believed where the whole 95 % interval lies on one side of 1.
"""

from __future__ import annotations

import argparse
import compileall
import io
import os
import shutil
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
#: Images of the libraries that a live process searches; the dimension is that of the demo model.
LIVE, LIVE_DIM = (1_000, 1_000_000), 128
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
    tree: Path, options: argparse.Namespace, photos: dict[str, Path], vectors: Path, work: Path
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return what is measured of a tree, by name: each call returns "cpu_s" or "peak_mb"."""
    path = {"PYTHONPATH": str(tree / "src")}
    python, library, store = Path(sys.executable), work / "one", work / "store"
    folders = {size: str(photos[size]) for size in PHOTOS}
    everything = {"warm": str(photos["warm-up"]), "folders": folders, "model": options.model}
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
            last["memory"] = {"peak_mb": answer["peak_mb"]}
        return last.pop(size)

    def search(loop: str) -> dict[str, Any]:
        if loop not in last:
            answer = drive(python, "store_pixseek", {"phase": "answer", **rows}, environment=path)
            last.update(answer["loops"])
        cell = last.pop(loop)
        if loop == "width 100":
            last.clear()  # the loops of this round that are not compared
        return {"cpu_s": cell["p50_ms"] / 1000, "others": cell["others"]}

    def live(count: int) -> dict[str, Any]:
        asked = {"library": str(live_library(work, count)), "phase": "ask", "queries": 300}
        answer = drive(python, "live_pixseek", asked, environment=path)
        last["live memory"] = {"peak_mb": answer["peak_mb"]}
        return answer

    command("index", "-m", options.model, "-q", str(photos["warm-up"]))
    return {
        "pixseek --help": lambda: command("--help"),
        "one-shot search, 1,000 images": lambda: one_shot(python, live_library(work, 1_000), path),
        **{f"index {size}": lambda size=size: index(size) for size in PHOTOS},
        "peak memory of indexing": lambda: last.pop("memory"),
        **{
            f"engine, {ROWS:,} vectors, {loop}": lambda loop=loop: search(loop)
            for loop in ("k=10", "k=100", "width 100")
        },
        **{f"live query, {count:,} images": lambda count=count: live(count) for count in LIVE},
        f"peak memory of a live process, {LIVE[-1]:,}": lambda: last.pop("live memory"),
    }


def one_shot(python: Path, library: Path, path: dict[str, str]) -> dict[str, Any]:
    line = [str(python), "-m", "pixseek", "-L", str(library), "search", "a red car"]
    with measured() as figures:
        subprocess.run(line, check=True, capture_output=True, env={**os.environ, **path})
    return figures


def live_library(work: Path, count: int) -> Path:
    return work / f"live-{count}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--model", default="demo", help="to index with (default: the small one)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="rows whose names hold this text"
    )
    options = parser.parse_args()
    cache = Path("~/.cache/pixseek-bench/material").expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    photos = material.photos(cache, {"warm-up": 16, **PHOTOS}, None)
    vectors = material.vectors(cache, ROWS, DIM)
    with tempfile.TemporaryDirectory(prefix="pixseek-compare-") as temporary:
        trees = {}
        for name, commit in (("first", options.first), ("second", options.second)):
            tree = tree_of(commit, Path(temporary) / name)
            # An environment may forbid writing bytecode; then each start would compile.
            compileall.compile_dir(tree / "src", quiet=2)
            if name == "first":
                build_live(tree, options.model, photos["warm-up"], cache, Path(temporary))
            work = Path(temporary) / f"work-{name}"
            work.mkdir()
            # A copy each: a newer version brings it to a format that the older one can't read.
            for count in LIVE:
                shutil.copytree(live_library(Path(temporary), count), live_library(work, count))
            found = measurements(tree, options, photos, vectors, work)
            trees[name] = {what: each for what, each in found.items() if options.only in what}
        outcomes = rounds.interleave(
            {
                f"{what}: {name}": trees[name][what]
                for what in trees["first"]
                for name in ("first", "second")
            },
            options.rounds,
            lambda text: print(text, file=sys.stderr),
        )
    print(f"\n{options.first} against {options.second}, {options.rounds} rounds\n")
    print("| | first | second | second / first | 95 % interval |\n|---|---|---|---|---|")
    for what in trees["first"]:
        theirs, ours = outcomes[f"{what}: first"], outcomes[f"{what}: second"]
        if failed := next((run["error"] for run in ours + theirs if "error" in run), None):
            print(f"| {what} | {failed[-200:]} | | | |")
            continue
        key, unit, scale = ("cpu_s", "ms", 1000) if "cpu_s" in ours[0] else ("peak_mb", "MB", 1)
        ratio, low, high = rounds.interval(ours, theirs, key)
        middle = [
            scale * rounds.spread([r[key] for r in runs])["median"] for runs in (theirs, ours)
        ]
        print(
            f"| {what} | {middle[0]:,.1f} {unit} | {middle[1]:,.1f} {unit} | {ratio:.3f} | "
            f"{low:.3f} to {high:.3f} |"
        )


def build_live(tree: Path, model: str, warm: Path, cache: Path, work: Path) -> None:
    """Build the libraries that both versions search: the first version writes them."""
    stored = material.vectors(cache, max(LIVE), LIVE_DIM, queries=1) / "stored.npy"
    for count in LIVE:
        arguments = {"phase": "build", "library": str(live_library(work, count)), "rows": count,
                     "model": model, "warm": str(warm), "stored": str(stored)}  # fmt: skip
        path = {"PYTHONPATH": str(tree / "src")}
        drive(Path(sys.executable), "live_pixseek", arguments, environment=path)


if __name__ == "__main__":
    main()
