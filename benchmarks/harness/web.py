"""Search servers: started once, asked in turns, and what their figures must keep to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness import rounds
from harness.process import DRIVERS, drive, measured

#: Seconds until a server must have answered its first question: a million vectors are read.
READY_S = 300


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure of the summary is at least, or at most.

    Attributes:
        what: the figure, in words.
        figure: its name in the summary.
        wanted: the limit.
        unit: of both.
        at_most: whether the limit is the highest allowed value instead of the lowest.
    """

    what: str
    figure: str
    wanted: float
    unit: str = "x"
    at_most: bool = False

    def is_met(self, value: float) -> bool:
        return value <= self.wanted if self.at_most else value >= self.wanted


LIMITS = (
    Limit("HTTP adds to the p50 of a query in process, 1 client", "added", 3, "ms", at_most=True),
    Limit("32 clients against 1, distinct queries", "together", 3),
    Limit("repeated queries against distinct ones, 1 client", "repeated", 15),
    Limit("clip-retrieval 2.45's backend, 1 client", "clip-retrieval, 1", 2),
    Limit("clip-retrieval 2.45's backend, 32 clients", "clip-retrieval, 32", 5),
    Limit("the tutorial's server, 1 client", "tutorial, 1", 5),
    Limit("the tutorial's server, 32 clients", "tutorial, 32", 10),
    Limit("the tutorial's server at 1,000 vectors, 1 client", "tutorial, 1 (few)", 1.3),
    Limit("the tutorial's server at 1,000 vectors, 32 clients", "tutorial, 32 (few)", 4),
    Limit("p95 while an indexing run is going, against idle", "indexing", 2, at_most=True),
)


class Server:
    """A server in a process of its own, on a free port of this machine."""

    def __init__(self, kind: str, command: Sequence[object], port: int, log: Path) -> None:
        self.kind, self.port = kind, port
        self._asked = 0  # questions so far: none is asked twice, unless that is what is measured
        offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._log = log
        with log.open("w") as said:
            self.process = subprocess.Popen(
                [str(each) for each in command], stdout=said, stderr=said,
                env={**os.environ, **offline}, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> None:
        """Wait until it answers, and let it warm up.

        Raises:
            RuntimeError: it ended, or does not answer.
        """
        ends = time.monotonic() + READY_S
        while True:
            if self.process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"{self.kind} did not start: {self._log.read_text()[-800:]}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                time.sleep(0.2)
        for clients in (1, 4, 1):
            self.ask(clients, 1.5)

    def ask(self, clients: int, seconds: float, *, distinct: int = 0) -> dict[str, Any]:
        """Return what clients got in so many seconds, see `peers/ask_http.py`.

        "cpu_ms" is the processor time of the server for each answer, and "others" the
        share of the machine that neither the clients nor the server used.
        """
        asked = {
            "kind": self.kind, "port": self.port, "clients": clients, "seconds": seconds,
            "first": self._asked, "distinct": distinct,
        }  # fmt: skip
        busy = cpu_s(self.process.pid)
        with measured() as figures:
            answer = drive(Path(sys.executable), "ask_http", asked)
        used = cpu_s(self.process.pid) - busy
        cores = figures["seconds"] * (os.cpu_count() or 1)
        self._asked += distinct or len(answer["took_ms"])
        return {
            **answer,
            "cpu_ms": 1000 * used / len(answer["took_ms"]),
            "others": max(0.0, figures["others"] - used / cores),
        }

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the JSON that pixseek's server answers."""
        sent = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(sent, timeout=60) as answer:
            return json.load(answer)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextmanager
def serving(servers: Mapping[str, Server]) -> Any:
    """Wait for all servers, and end them after the block."""
    try:
        for each in servers.values():
            each.wait()
        yield servers
    finally:
        for each in servers.values():
            each.close()


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and of its children, those that run and those that ended.

    0 where the system does not tell.
    """
    total = 0.0
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total = sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                total += cpu_s(int(child))
    except OSError:
        pass
    return total


def free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


def pixseek(library: Path, log: Path) -> Server:
    """Start `pixseek serve` as anybody would, but for the limit on requests of one client."""
    port = free_port()
    program = Path(sys.executable).with_name("pixseek")
    command = (program, "-L", library, "--offline", "serve", "--port", port, "--rate", 0)
    return Server("pixseek", command, port, log)


def peer(kind: str, python: Path, arguments: Mapping[str, Any], log: Path) -> Server:
    """Start a peer's server by its driver."""
    port = free_port()
    driver = DRIVERS / f"serve_{kind.replace('-', '_')}.py"
    command = (python, driver, json.dumps({**arguments, "port": port}))
    return Server(kind, command, port, log)


def brief(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of one measurement: p50, p95, rate, cost, and what disturbed it."""
    p50, p95 = np.percentile(asked["took_ms"], [50, 95])
    return {
        "p50_ms": float(p50), "p95_ms": float(p95), "rate": asked["rate"],
        "answers": len(asked["took_ms"]), "cpu_ms": asked["cpu_ms"],
        "others": asked.get("others", 0.0),
    }  # fmt: skip


def summary(outcomes: Mapping[str, Sequence[Mapping[str, Any]]], few: str = "") -> dict[str, Any]:
    """Return the figures that `LIMITS` are about, each the median of its rounds with min and max.

    Args:
        outcomes: what `rounds.interleave` returned, by contender.
        few: put behind the names of contenders and figures of the small library.
    """

    def pairs(one: str, other: str, figure: str) -> list[tuple[float, float]]:
        some, others = outcomes.get(one, ()), outcomes.get(other, ())
        good = [
            (mine[figure], theirs[figure], max(mine.get("others", 0), theirs.get("others", 0)))
            for mine, theirs in zip(some, others, strict=False)
            if "error" not in mine and "error" not in theirs
        ]
        kept = rounds.quiet([{"others": others} for *_, others in good])
        return [good[n][:2] for n in kept]

    def ratios(one: str, other: str, figure: str = "rate") -> list[float]:
        return [mine / theirs for mine, theirs in pairs(one, other, figure)]

    found = {
        "together": ratios("pixseek, 32", "pixseek, 1"),
        "repeated": ratios("pixseek, 1, repeated", "pixseek, 1"),
        "repeated by 32": ratios("pixseek, 32, repeated", "pixseek, 32"),
        "added": [
            each["added_ms"] for each in outcomes.get("in process", ()) if "error" not in each
        ],
        "indexing": ratios("pixseek, indexing", "pixseek, idle", "p95_ms"),
    }
    for peer_, clients in ((p, c) for p in ("clip-retrieval", "tutorial") for c in (1, 32)):
        found[f"{peer_}, {clients}"] = ratios(f"pixseek, {clients}", f"{peer_}, {clients}")
    return {f"{name}{few}": rounds.spread(values) for name, values in found.items() if values}
