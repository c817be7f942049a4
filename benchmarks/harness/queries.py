"""What a user waits for: one-shot searches of the command line, and queries in a live process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness import rounds
from harness.environments import Environment
from harness.process import drive, measured

from query_pixseek import TEXTS
from vectors import Clustered

__all__ = ["QUERY", "TEXTS", "Clustered", "make_ours", "make_shells", "measure"]

QUERY = "a red boat on a lake"


def measure(
    sizes: tuple[int, ...],
    environments: Mapping[str, Environment],
    model: Path,
    free: Path,
    work: Path,
    repetitions: int,
    log: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Return, for each number of images: one-shot searches and queries in a live process.

    The files are shells of one byte and the vectors are made up: neither is read by a search by
    words. Both programs get the same files, vectors and text tower.

    Args:
        sizes: numbers of images.
        environments: what runs the contenders.
        model: for both programs. The text tower of rclip's layout was written for 77 tokens.
        free: the same architecture with a text tower that reads a text at its own length.
        work: an empty folder.
        repetitions: rounds.
        log: told what is going on.
    """
    return [_case(size, environments, model, free, work, repetitions, log) for size in sizes]


def _case(
    size: int,
    environments: Mapping[str, Environment],
    model: Path,
    free: Path,
    work: Path,
    repetitions: int,
    log: Callable[[str], None],
) -> dict[str, Any]:
    log(f"queries: {size:,} images")
    photos, library, data = (work / f"{what}-{size}" for what in ("photos", "library", "rclip"))
    other = work / f"free-{size}"
    make_shells(photos, size)
    vectors = Clustered(512).images(size)
    make_ours(library, photos, vectors, model)
    make_ours(other, photos, vectors, free)
    program = str(Path(sys.executable).with_name("pixseek"))
    ours = [program, "-L", str(library), "--offline"]
    contenders = {
        "pixseek search": lambda: _timed([*ours, "search", QUERY], photos),
        "pixseek search, text at its length": lambda: _timed(
            [program, "-L", str(other), "--offline", "search", QUERY], photos
        ),
        "pixseek --help": lambda: _timed([ours[0], "--help"], photos),
    }
    rclip = environments["rclip"].python
    if rclip:
        make_theirs(rclip, data, photos, vectors, model, work)
        there = {"RCLIP_DATADIR": str(data)}
        theirs = str(rclip.with_name("rclip"))
        contenders["rclip"] = lambda: _timed([theirs, QUERY], photos, there)
        contenders["rclip --no-indexing"] = lambda: _timed([theirs, "-n", QUERY], photos, there)
    outcomes = rounds.interleave(contenders, repetitions, log)
    table: dict[str, Any] = {"images": size, "rows": {}}
    base = outcomes["pixseek search"]
    for name, runs in outcomes.items():
        failed = next((run["error"] for run in runs + base if "error" in run), None)
        if failed:
            table["rows"][name] = {"error": failed}
            continue
        kept = [runs[n] for n in rounds.quiet(runs)]
        table["rows"][name] = {
            "seconds": rounds.spread([run["seconds"] for run in kept]),
            "ratio": rounds.ratios(runs, base, "seconds"),
        }
    python = environments["pixseek"].python
    assert python
    for name, place in (("warm", other), ("warm, 77 tokens", library)):
        table[name] = drive(python, "query_pixseek", {"library": str(place), "queries": 200})
    table["disk_mb"] = {
        name: sum(file.stat().st_size for file in files if file.is_file()) / 1e6
        for name, files in (("pixseek", library.rglob("*")), ("rclip", data.glob("db.sqlite3*")))
    }
    return table


def make_shells(folder: Path, count: int) -> None:
    """Make files that have a name and a size, a thousand in each folder."""
    for n in range(count):
        if n % 1000 == 0:
            (folder / f"{n // 1000:04}").mkdir(parents=True)
        (folder / f"{n // 1000:04}" / f"IMG_{n:07}.jpg").write_bytes(b"x")


def make_ours(library: Path, photos: Path, vectors: Any, model: Path) -> None:
    import pixseek

    files = sorted(str(path.relative_to(photos)) for path in photos.rglob("*.jpg"))
    incoming = library.with_suffix(".npz")
    np.savez(incoming, uri=np.array(files), vectors=vectors)
    with pixseek.open(library, model=model) as opened:
        opened.import_vectors(incoming, base=photos)
    incoming.unlink()


#: What its own `ensure_index` leaves of files with these vectors.
_FILL = """
import os, pathlib, sys
import numpy as np
from rclip import db
data, photos, rows = sys.argv[1:]
database = db.DB(pathlib.Path(data) / "db.sqlite3")
files = sorted(pathlib.Path(photos).rglob("*.jpg"))
for n, (file, row) in enumerate(zip(files, np.load(rows))):
    status = file.stat()
    database.upsert_image({
        "filepath": str(file), "modified_at": status.st_mtime, "size": status.st_size,
        "vector": row.tobytes(), "hash": f"{n:064x}",
    }, commit=False)
database.close()
"""


def make_theirs(
    python: Path, data: Path, photos: Path, vectors: Any, model: Path, work: Path
) -> None:
    data.mkdir()
    for part in model.iterdir():
        (data / part.name).symlink_to(part)
    rows = work / "rows.npy"
    np.save(rows, vectors)
    command = [str(python), "-c", _FILL, str(data), str(photos), str(rows)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    rows.unlink()


def _timed(command: list[str], here: Path, more: dict[str, str] | None = None) -> dict[str, Any]:
    with measured() as figures:
        done = subprocess.run(
            command,
            check=False,
            cwd=here,
            capture_output=True,
            text=True,
            env={**os.environ, **(more or {})},
        )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-400:]}")
    return figures
