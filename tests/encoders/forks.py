"""Programs in processes of their own that need not import what is heavy.

Each is a copy of one process, by `os.fork`, that has imported it: a start takes 10 ms of processor
time instead of 400.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

_SERVER = """
import json, os, sys
forgotten, *packages = sys.argv[1:]
for name in packages:
    __import__(name)
for name in list(sys.modules):
    if name.partition(".")[0] == forgotten:
        del sys.modules[name]
for line in sys.stdin:
    program, arguments, environment, out, err = json.loads(line)
    child = os.fork()
    if child:
        print(child, flush=True)
        continue
    os.environ.clear()
    os.environ.update(environment)
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY), number)
    sys.argv = ["-c", *arguments]
    code = 1
    try:
        exec(program, {"__name__": "__main__"})
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    os._exit(code)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


class Forks:
    """Starts programs as copies of a process that has imported some packages.

    Nothing else of a program's start differs: its environment and arguments are its own.

    Args:
        packages: to import.
        forgotten: one of them that reads its environment when it is imported, so each program
            imports it again, without what it needs itself.
    """

    def __init__(self, *packages: str, forgotten: str = "") -> None:
        self._given = [forgotten, *packages]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, *self._given],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def start(self, program: str, arguments: list[str], environment: Mapping[str, str]) -> Fork:
        folder = Path(tempfile.mkdtemp())
        out, err = folder / "out", folder / "err"
        os.mkfifo(out)
        err.touch()
        assert self._process.stdin is not None and self._process.stdout is not None
        asked = [program, arguments, dict(environment), str(out), str(err)]
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return Fork(int(self._process.stdout.readline()), out, err)


class Fork:
    """A program that runs."""

    def __init__(self, pid: int, out: Path, err: Path) -> None:
        self._pid, self._err = pid, err
        self._out = out.open(encoding="utf-8")  # waits until the program has it as well

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self.communicate()

    def communicate(self) -> tuple[str, str]:
        """Wait for its end; return what it printed, and what it said about errors."""
        with self._out:
            printed = self._out.read()
        return printed, self._err.read_text(encoding="utf-8")
