"""How long `pixseek search` and `pixseek --help` take from start to end, against an older commit.

    git worktree add /tmp/baseline bad1fec
    python benchmarks/startup.py /tmp/baseline/src --rounds 30
    python benchmarks/startup.py /tmp/baseline/src --model FOLDER --photos FOLDER

Both run on the packages of this environment, in turns, each from its own sources with its bytecode
written. Processor time is that of the process alone, so a busy machine disturbs it little. A ratio
above 1 says that this commit is faster; in brackets its 95 % bootstrap interval over rounds.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import rounds

ROOT = Path(__file__).parents[1]


def run(sources: Path, arguments: list[str]) -> dict[str, float]:
    """Run pixseek once; return seconds of processor time and by the clock."""
    # A user's Python keeps bytecode; a test machine's is often told not to.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {**kept, "PYTHONPATH": str(sources), "PIXSEEK_OFFLINE": "1"}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "pixseek", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{sources}: {' '.join(arguments)}: {said.decode()[-500:]}")
    return {"processor": used.ru_utime + used.ru_stime, "clock": seconds}


def draw_images(folder: Path, count: int) -> Path:
    """Write small images, no two the same, and return their folder."""
    from PIL import Image

    folder.mkdir()
    draw = random.Random(0)
    for n in range(count):
        image = Image.new("RGB", (96, 64), tuple(draw.choices(range(256), k=3)))
        image.paste(
            tuple(draw.choices(range(256), k=3)), (n % 60, n % 40, n % 60 + 30, n % 40 + 20)
        )
        image.save(folder / f"{n:06}.png")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("baseline", type=Path, help="folder of the older sources, such as X/src")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--model", default="demo", help="to index with (default: the small one)")
    parser.add_argument("--photos", type=Path, help="folder to index (default: drawn images)")
    parser.add_argument("--images", type=int, default=1000, help="how many to draw")
    parser.add_argument("--query", default="a dog in the snow")
    options = parser.parse_args()
    trees = {"baseline": options.baseline.resolve(), "ours": ROOT / "src"}
    with tempfile.TemporaryDirectory(prefix="pixseek-startup-") as temporary:
        photos = options.photos or draw_images(Path(temporary) / "images", options.images)
        library = str(Path(temporary) / "library")
        run(trees["baseline"], ["-L", library, "index", str(photos), "--model", options.model])
        commands = {
            "search": ["-L", library, "search", options.query],
            "search --help": ["search", "--help"],
            "--help": ["--help"],
        }
        print(f"{'':16} {'':9} {'baseline ms':>12} {'ours ms':>9}   ratio")
        for name, arguments in commands.items():
            times: dict[str, list[dict[str, float]]] = {tree: [] for tree in trees}
            for sources in trees.values():
                run(sources, arguments)  # writes the bytecode, and warms the disk's cache
            for number in range(options.rounds):
                # The second finds the caches as the first left them, so both take turns.
                for tree in list(trees)[:: 1 if number % 2 else -1]:
                    times[tree].append(run(trees[tree], arguments))
            for what in ("processor", "clock"):
                theirs, ours = (
                    1000 * rounds.spread([each[what] for each in times[tree]])["median"]
                    for tree in trees
                )
                middle, low, high = rounds.interval(times["baseline"], times["ours"], what)
                print(
                    f"{name:16} {what:9} {theirs:12.0f} {ours:9.0f}   "
                    f"{middle:.3f} [{low:.3f}, {high:.3f}]"
                )


if __name__ == "__main__":
    main()
