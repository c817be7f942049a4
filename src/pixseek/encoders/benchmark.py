"""Measure how fast models are on this machine, and keep the results.

    python -m pixseek.encoders.benchmark NAME MODELS_DIR PIXELS.npy STARTED

Each model runs in its own process, so that opening it and its memory are measured too.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek import encoders
from pixseek.errors import ModelError, PixseekError
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixseek.types import Picture

#: The file of measurements in `models_dir`.
KEPT = "benchmark.json"

#: A typical search.
QUERY = "a red car by the sea"

#: Number of queries for the median, and of calls before them: these open the faster session.
QUERIES, WARM_UP = 30, 5

#: How long images are embedded. In less time, the first calls would distort the result.
SECONDS = 5.0

#: Number of images given to `accelerate`: enough that everything it may try is worthwhile.
IMAGES = 10_000


@dataclass(frozen=True, slots=True)
class Measurement:
    """The speed of one model.

    Attributes:
        model: its name.
        fingerprint: fingerprint of its image space.
        images_per_s: prepared images that its image tower embedded per second.
        text_ms: median time of a short query.
        first_vector_s: seconds from the start of a process to its first text vector.
        peak_mib: peak memory of the process; 0 if the system doesn't report it.
        runtime: runtime of the image tower.
        precision: precision of the image tower.
        machine: the machine, see `machine`.
        date: time of the measurement, in UTC.
    """

    model: str
    fingerprint: str
    images_per_s: float
    text_ms: float
    first_vector_s: float
    peak_mib: int
    runtime: str
    precision: str
    machine: str
    date: str


def machine() -> str:
    """Return this machine's name and processor; measurements are kept by it."""
    return f"{platform.node()}, {platform.machine()}, {os.cpu_count()} processors"


def measurements(models_dir: Path) -> dict[str, Measurement]:
    """Return the measurements of this machine, by the model's name."""
    names = {field.name for field in fields(Measurement)}
    return {
        str(each["model"]): Measurement(**each)
        for each in _kept(models_dir)
        if set(each) == names and each["machine"] == machine()
    }


def _kept(models_dir: Path) -> list[dict[str, Any]]:
    try:
        kept = json.loads((models_dir / KEPT).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return [each for each in kept if isinstance(each, dict)] if isinstance(kept, list) else []


def measure(name: str, pictures: Sequence[Picture], models_dir: Path) -> Measurement:
    """Measure a model that is on this machine, and keep the result.

    The image tower runs as it would for indexing 10,000 images.

    Args:
        name: a name that `encoders.load` accepts.
        pictures: pictures to embed, on which lower precisions are checked too; 192 are enough.
        models_dir: folder of downloaded models.

    Raises:
        ModelError: the model is unknown, not on this machine or failed, or the measurement can't
            be kept.
    """
    import numpy as np

    if encoders.locate(name, models_dir) is None and encoders.describe(name, models_dir).layout:
        raise ModelError(
            "a model is not on this machine", name, f"Run pixseek models download {name}"
        )
    encoder = encoders.load(name, models_dir=models_dir, offline=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        pixels = Path(temporary) / "pixels.npy"
        np.save(pixels, np.stack([encoder.prepare(each) for each in pictures]))
        del encoder
        found = _in_a_process(name, models_dir, pixels)
    _keep(found, models_dir)
    return found


def _in_a_process(name: str, models_dir: Path, pixels: Path) -> Measurement:
    arguments = (name, str(models_dir), str(pixels), repr(time.time()))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pixseek.encoders.benchmark", *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        return Measurement(**json.loads(done.stdout.splitlines()[-1]))
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise ModelError(
            "a model could not be measured",
            name,
            said[-1] if said else f"The process ended with {error.returncode}.",
        ) from error


def _keep(found: Measurement, models_dir: Path) -> None:
    def same(each: dict[str, Any]) -> bool:
        return (each.get("model"), each.get("machine")) == (found.model, found.machine)

    kept = [*(each for each in _kept(models_dir) if not same(each)), asdict(found)]
    file = models_dir / KEPT
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f"{KEPT}.{os.getpid()}")
        temporary.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
        temporary.replace(file)
    except OSError as error:
        raise ModelError("a measurement can't be kept", file, str(error)) from error


# ------------------------------------------------------------------ the measuring process


def main(name: str, models_dir: str, pixels: str, started: str) -> None:
    """Measure a model and print it as one line of JSON."""
    import numpy as np

    from pixseek.types import Accelerable

    encoder = encoders.load(name, models_dir=Path(models_dir), offline=True)
    encoder.encode_texts([QUERY])
    first = time.time() - float(started)
    images: NDArray[np.float32] = np.load(pixels, mmap_mode="r")
    runtime, precision = "", ""
    if isinstance(encoder, Accelerable):
        chosen = encoder.accelerate("auto", IMAGES, lambda n: images[:n])
        runtime, precision = chosen.runtime, chosen.precision
    size = max(1, encoder.batch_size)
    batch = images[np.arange(size) % len(images)]
    encoder.encode_images(batch)
    speed = _rate(lambda: encoder.encode_images(batch), max(1, encoder.streams)) * size
    for _ in range(WARM_UP):
        encoder.encode_texts([QUERY])
    taken = []
    for _ in range(QUERIES):
        before = time.perf_counter()
        encoder.encode_texts([QUERY])
        taken.append(time.perf_counter() - before)
    found = Measurement(
        name,
        encoder.fingerprint,
        speed,
        float(np.median(taken)) * 1000,
        first,
        _peak_mib(),
        runtime,
        precision,
        machine(),
        datetime.now(UTC).isoformat(timespec="seconds"),
    )
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


def _rate(call: Any, streams: int) -> float:
    """Return the number of calls per second of several threads together."""
    done = threading.Event()

    def repeat() -> int:
        calls = 0
        while not done.is_set():
            call()
            calls += 1
        return calls

    before = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        running = [pool.submit(repeat) for _ in range(streams)]
        try:
            time.sleep(SECONDS)
        finally:
            done.set()
        calls = sum(each.result() for each in running)
    return calls / (time.perf_counter() - before)


def _peak_mib() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> 20 if sys.platform == "darwin" else peak >> 10


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except PixseekError as failure:
        sys.exit(" ".join(str(failure).split("\n")))  # the caller reads the last line
