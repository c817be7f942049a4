"""How soon a watched folder's new images are found, and what moving a large folder costs.

    python benchmarks/watch.py               # 20 new images, a folder of 2,000; the demo model
    python benchmarks/watch.py --count 100 --times 3    # a test of the benchmark

A process of its own watches, as `pixseek watch` does; this one writes images and asks for each by
its name, every 10 ms, in a library that it has open, as a server would have it. The time is that
from the last write to the first answer with the image:

- `one`: an image at once, of 1024 x 768 pixels.
- `slowly`: an image whose last piece comes a second after the first.
- `burst`: 100 images, one after the other, from the last write until all are found.
- `move`: the whole folder is renamed, from then until all are found at their new place.

It says how many images were embedded for the move, which is none, and the processor time of the
watcher while nothing happened, as a share of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pixseek

_BURST = 100
_IDLE_S = 10.0


def _watch(folder: str, library: str, model: str) -> None:
    """Watch until standard input is closed; print each event."""
    import threading

    stop = threading.Event()

    def end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=end, daemon=True).start()
    with pixseek.open(library, model=model) as opened:
        for event in opened.watch(folder, stop=stop):
            report = event.report
            counts = {} if report is None else {
                "embedded": report.added + report.updated + report.moved - report.reused,
                "moved": report.moved,
            }  # fmt: skip
            at = {"cpu": time.process_time()}
            print(json.dumps({"kind": event.kind, **counts, **at}), flush=True)


class _Pictures:
    """JPEGs of 1024 x 768 pixels, of which no two are the same."""

    def __init__(self) -> None:
        import io

        import numpy as np
        from PIL import Image

        noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        large = Image.fromarray(noise).resize((1024, 768), Image.Resampling.BICUBIC)
        large.save(buffer, "JPEG", quality=85)
        self._content, self._count = buffer.getvalue(), 0

    def next(self) -> bytes:
        self._count += 1
        comment = b"\xff\xfe\x00\x0a%08d" % self._count
        return self._content[:2] + comment + self._content[2:]


def _until(holds: Callable[[], bool]) -> float:
    """Wait for something; return the moment."""
    ends = time.perf_counter() + 300
    while not holds():
        if time.perf_counter() > ends:
            raise SystemExit("It was not found within 300 seconds.")
        time.sleep(0.01)
    return time.perf_counter()


def _processor_s(pid: int) -> float:
    """Return the processor time of a process so far, of Linux only; else 0."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _figures(times: list[float]) -> dict[str, float]:
    return {"median_s": statistics.median(times), "most_s": max(times), "times": len(times)}


def main() -> None:
    """Watch, write, and print a line for each kind of change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2_000, help="images in the folder that moves")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--watch", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.watch:
        _watch(*given.watch)
        return
    with tempfile.TemporaryDirectory() as where:
        base, library = Path(where, "photos"), str(Path(where, "photos.lib"))
        pictures = _Pictures()
        (base / "old").mkdir(parents=True)
        for number in range(given.count):
            (base / "old" / f"{number:06}.jpg").write_bytes(pictures.next())
        watcher = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--watch", str(base), library, given.model],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert watcher.stdin is not None and watcher.stdout is not None
        try:
            while json.loads(watcher.stdout.readline())["kind"] != "watching":
                pass
            found = _measured(base, library, pictures, given.times, given.count, watcher.pid)
        finally:
            watcher.stdin.close()
            embedded = sum(event.get("embedded", 0) for event in map(json.loads, watcher.stdout))
            watcher.wait()
    written = 2 * given.times + _BURST
    found["embedded for the move"] = {"images": embedded - written}
    for name, figures in found.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in figures.items()))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(f"{os.cpu_count()} processors, load {load:.1f} at the end")
    if given.json:
        given.json.write_text(json.dumps({"count": given.count, "load": load, **found}))


def _measured(
    base: Path, library: str, pictures: _Pictures, times: int, count: int, pid: int
) -> dict[str, dict[str, float]]:
    """Write images in several ways; return how long each took to be found."""
    with pixseek.open(library) as opened:

        def holds(query: str, wanted: int = 1) -> bool:
            return opened.search(query, k=1).total == wanted

        one, slowly = [], []
        for number in range(times):
            (base / f"one-{number}.jpg").write_bytes(pictures.next())
            wrote = time.perf_counter()
            one.append(_until(partial(holds, f"path:*/one-{number}.jpg")) - wrote)
        for number in range(times):
            content = pictures.next()
            with (base / f"slowly-{number}.jpg").open("wb", buffering=0) as file:
                for piece in range(5):
                    if piece:
                        time.sleep(0.25)
                    size = len(content) // 5 + 1
                    file.write(content[piece * size : (piece + 1) * size])
            wrote = time.perf_counter()
            slowly.append(_until(partial(holds, f"path:*/slowly-{number}.jpg")) - wrote)
        for number in range(_BURST):
            (base / f"burst-{number}.jpg").write_bytes(pictures.next())
        wrote = time.perf_counter()
        burst = _until(lambda: holds("path:*/burst-*.jpg", _BURST)) - wrote
        before = _processor_s(pid)
        time.sleep(_IDLE_S)
        idle = (_processor_s(pid) - before) / _IDLE_S
        (base / "old").rename(base / "new")
        wrote = time.perf_counter()
        move = _until(lambda: holds("path:*/new/*", count)) - wrote
    return {
        "one": _figures(one), "slowly": _figures(slowly), "burst": {"all_s": burst},
        "idle": {"share of a core": idle}, "move": {"images": count, "all_s": move},
    }  # fmt: skip


if __name__ == "__main__":
    main()
