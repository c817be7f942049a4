"""How a driver talks with `harness.process`: one JSON argument in, one JSON line out.

Only the standard library: this is imported in every peer's environment.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: When the driver began, as near to the start of the process as Python code can come.
BEGAN = time.perf_counter()


def main(drive: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Run a driver: its answer is the last line of stdout, whatever the peer printed before."""
    answer = drive(json.loads(sys.argv[1]))
    answer["peak_mb"] = peak_mb()
    print(f"\n{json.dumps(answer)}", flush=True)


def since_start() -> float:
    return time.perf_counter() - BEGAN


@contextmanager
def measured() -> Iterator[dict[str, Any]]:
    """Fill a dictionary with the seconds that the block took, and with those of other programs.

    "others" is the CPU time that was not this process's or its finished children's, as a share of
    what the processors could give: a measurement with much of it is worth little.
    """
    outcome: dict[str, Any] = {}
    busy, own, began = _busy(), _own(), time.perf_counter()
    yield outcome
    seconds = time.perf_counter() - began
    outcome["seconds"] = seconds
    outcome["cpu_s"] = _own() - own
    possible = seconds * (os.cpu_count() or 1)
    outcome["others"] = max(0.0, _busy() - busy - outcome["cpu_s"]) / possible if possible else 0.0


def _own() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _busy() -> float:
    """Return the CPU seconds that all programs have used; 0 where the system does not tell."""
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, soft, steal = map(int, first[:8])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def peak_mb() -> float:
    """Return the most memory that this process had resident, in MB; its children not counted."""
    try:  # not from getrusage, which on Linux begins with what the parent had
        return _status("VmHWM")
    except (OSError, KeyError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def memory_mb() -> dict[str, float]:
    """Return the memory that is resident now, and how much of it is anonymous, in MB."""
    try:
        return {"resident": _status("VmRSS"), "anonymous": _status("RssAnon")}
    except OSError:
        return {}


def _status(field: str) -> float:
    """Return a figure of this process, which Linux gives in KiB, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)[field].split()[0]) * 1.024 / 1000


def images_in(folder: str) -> list[str]:
    return sorted(str(path) for path in Path(folder).rglob("*.jpg"))


def index_folders(
    arguments: dict[str, Any], index: Callable[[str, Path], dict[str, Any] | None]
) -> dict[str, Any]:
    """Index the warm-up folder, then each folder to measure.

    The warm-up is not counted: it imports, loads and compiles. How long that takes is "ready_s".

    Args:
        arguments: "warm": a folder; "folders": those to measure, by name; "out": where to write.
        index: makes vectors of a folder's images and stores them in a file or folder; may return
            what else there is to say, such as the time of each stage.
    """
    out = Path(arguments["out"])
    index(arguments["warm"], out / "warm")
    answer: dict[str, Any] = {"ready_s": since_start(), "folders": {}}
    for number, (name, folder) in enumerate(arguments["folders"].items()):
        with measured() as figures:
            more = index(folder, out / str(number))
        answer["folders"][name] = {**figures, "images": len(images_in(folder)), **(more or {})}
    return answer
