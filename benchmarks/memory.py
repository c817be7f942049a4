"""Memory while indexing many large photos: it should be small, and flat.

    python benchmarks/memory.py --images 10000 --model FOLDER --json FILE

One 12-megapixel JPEG is written many times, each with a few bytes of its own behind its end, so
that no file is taken for a copy of another. Prints the memory of this process, worker processes
not included (a JPEG needs none), after every tenth of the run.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import pixseek
from pixseek.types import Progress


def resident_mib(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (150, 200, 3), np.uint8))
    buffer = io.BytesIO()
    small.resize((4000, 3000), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=80)
    photo = buffer.getvalue()
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "photos"
        folder.mkdir()
        for number in range(arguments.images):
            (folder / f"{number:06}.jpg").write_bytes(photo + number.to_bytes(4, "big"))
        print(f"{arguments.images} photos of 12 megapixels, {len(photo) / 1e6:.1f} MB each")
        print("images   resident MiB   peak MiB   images/s")
        began = time.perf_counter()
        step = max(1, arguments.images // 10)
        figures: list[dict[str, float]] = []

        def show(progress: Progress) -> None:
            if progress.stage == "index" and progress.done // step > len(figures):
                rate = progress.done / (time.perf_counter() - began)
                resident, peak = resident_mib("VmRSS"), resident_mib("VmHWM")
                print(f"{progress.done:6} {resident:14} {peak:10} {rate:10.1f}", flush=True)
                figures.append({"images": progress.done, "resident": resident, "peak": peak})

        with pixseek.open(Path(base) / "l.lib", model=arguments.model) as library:
            report = library.index(folder, on_progress=show)
        assert report.added == arguments.images, report
    if arguments.json:
        arguments.json.write_text(json.dumps({"model": arguments.model, "after": figures}))


if __name__ == "__main__":
    main()
