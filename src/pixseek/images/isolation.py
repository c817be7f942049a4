"""Run decoders that may crash or hang in worker processes, and replace those that do.

A worker is this Python running `pixseek.images.worker`. It receives one file at a time through
its standard input and returns the pixels through its standard output. It imports nothing of the
host program, so that program needs no `__main__` guard. Nothing a worker returns is unpickled, and
`answers` checks all of it, so a decoder taken over by a hostile file can't run code in this
process. What it can do in its own, `confinement` says; and until its worker is replaced, it can
answer for files that come after it.

Workers start when they are first needed (0.1 s each), at most one per core, and end with this
process. Decoding in a worker costs 0.5 ms more than a call, plus 1.5 to 2 ms per MB of file and
pixels.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pixseek.errors import ImageError
from pixseek.images.answers import Answer, checked
from pixseek.images.confinement import environment, module_folders
from pixseek.images.limits import MEMORY_MIB, Request, took_too_long
from pixseek.images.messages import Channel
from pixseek.types import Picture

if TYPE_CHECKING:
    from pixseek.images.formats import Format

#: Number of files after which a worker is replaced, to free what its decoders leak.
_JOBS = 500

#: Maximum seconds to start a worker: Python and Pillow on a slow, busy machine.
_START_S = 60.0

_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1])['path']; "
    "from pixseek.images.worker import main; main()"
)

# Windows' process flags, as numbers: `subprocess` defines their names only on Windows.
_NO_WINDOW, _NEW_PROCESS_GROUP = 0x08000000, 0x00000200


class _GoneError(Exception):
    """The worker ended without an answer, or gave one that can't be true."""

    def __init__(self, lie: str = "") -> None:
        super().__init__(lie)
        self.lie = lie


class _Worker:
    """A worker process, what is in force in it, and the number of files it was given."""

    def __init__(self, memory_mib: int) -> None:
        """Start a process.

        Raises:
            OSError: it can't be started, or isn't ready in time.
        """
        self.jobs = 0
        self.memory_mib = memory_mib
        settings = {
            "path": module_folders(sys.path),
            "memory_mib": memory_mib,
            "parent": os.getpid(),
        }
        # Ctrl-C in the terminal must reach only this process, which then decides what to do.
        options: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            options = {"creationflags": _NO_WINDOW | _NEW_PROCESS_GROUP}
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd=os.path.abspath(os.sep),
            env=environment(os.environ),
            **options,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        for pipe in (self.process.stdin, self.process.stdout):
            _widen(pipe)
        self.channel = Channel(
            self.process.stdout.fileno(), self.process.stdin.fileno(), timed=True
        )
        self.confined: tuple[str, ...] = ()

    def wait_until_ready(self) -> None:
        """Wait until the process can take a file.

        Raises:
            OSError: it ended, or was not ready in time.
        """
        with self.ended_after(_START_S) as deadline:
            try:
                head = self.channel.receive_head(deadline)
            except TimeoutError as error:
                raise OSError(f"it was not ready after {_START_S:g} seconds") from error
            except (EOFError, ValueError) as error:
                raise OSError(f"it ended with status {self.process.poll()}") from error
        self.confined = tuple(map(str, head.get("ready", ())))

    def ask(
        self, kind: Format, data: bytes, request: Request, timeout_s: float
    ) -> tuple[Answer, list[bytes | bytearray]]:
        """Send a file, and return the answer with its blobs.

        Raises:
            ImageError: the decoder refused the file.
            TimeoutError: the answer took too long.
            _GoneError: the worker ended without an answer, or gave one that can't be true.
        """
        self.jobs += 1
        # An answer to no question, or a second one, doesn't have the number of the next.
        number = os.urandom(8).hex()
        question = {"format": kind.name, "request": asdict(request), "number": number}
        with self.ended_after(timeout_s) as deadline:
            try:
                self.channel.send(question, [data], deadline)
                head = self.channel.receive_head(deadline)
                if head.get("number") != number:
                    raise ValueError("to another question")
                answer = checked(head, kind, data, request)
                return answer, self.channel.receive_blobs(answer.lengths, deadline)
            except ValueError as error:
                raise _GoneError(str(error)) from error
            except TimeoutError:
                raise
            except (EOFError, OSError) as error:
                raise _GoneError from error

    @contextlib.contextmanager
    def ended_after(self, seconds: float) -> Iterator[float]:
        """Give the deadline for what is done inside; where pipes have none, kill the process then.

        Raises:
            TimeoutError: the deadline passed.
        """
        deadline = time.monotonic() + seconds
        if self.channel.keeps_time:
            yield deadline
            return
        timer = threading.Timer(seconds, self.process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield deadline
        except Exception as error:
            if time.monotonic() >= deadline:
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()

    def end(self) -> int:
        """Kill the process, with those it may have started, and return its exit status."""
        if hasattr(os, "killpg") and self.process.returncode is None:
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return self.process.wait()


def _widen(pipe: Any) -> None:
    """Enlarge a pipe's buffer from 64 KiB to 1 MiB, so that the processes switch less often."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)


class _Starter:
    """A thread that starts the workers, and lives as long as this process.

    Linux ends a worker when the thread that started it ends, not when the process does.
    """

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[int, Callable[[Any], None]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="pixseek-decoders", daemon=True).start()

    def start(self, memory_mib: int) -> _Worker:
        """Return a worker that is ready.

        Raises:
            OSError: it can't be started.
        """
        made: queue.SimpleQueue[_Worker | Exception] = queue.SimpleQueue()
        self._asked.put((memory_mib, made.put))
        worker = made.get()
        if isinstance(worker, Exception):
            raise worker
        try:
            worker.wait_until_ready()
        except BaseException:
            worker.end()
            raise
        return worker

    def _run(self) -> None:
        while True:
            memory_mib, answer = self._asked.get()
            try:
                answer(_Worker(memory_mib))
            except Exception as error:
                answer(error)


class _Pool:
    """The idle workers of this process, and the limit on how many run at once."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.idle: list[_Worker] = []
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self.cores = max(cores or 1, 1)
        self.places = threading.BoundedSemaphore(self.cores)
        self.busy = 0
        self.starter: _Starter | None = None

    def decode(
        self, kind: Format, data: bytes, request: Request
    ) -> tuple[Answer, list[bytes | bytearray]]:
        limits = request.limits
        with self.places, self.counted():
            request = replace(request, threads=max(1, self.cores // self.busy))
            left_s = limits.timeout_s  # of all tries together
            worker = self.take(limits.memory_mib)
            while True:
                fresh, began = worker.jobs == 0, time.monotonic()
                try:
                    answer = worker.ask(kind, data, request, left_s)
                except ImageError:
                    self.give_back(worker)
                    raise
                except TimeoutError:
                    worker.end()
                    raise took_too_long(limits.timeout_s) from None
                except _GoneError as error:
                    status = worker.end()
                    if fresh:
                        raise _crashed(kind.name, status, error.lie) from error
                    # An earlier file may have corrupted it: try a new one.
                    left_s = max(left_s - (time.monotonic() - began), 0.1)
                    worker = self.new(limits.memory_mib)
                    continue
                except BaseException:  # Ctrl-C between question and answer
                    worker.end()
                    raise
                self.give_back(worker)
                return answer

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        with self.lock:
            self.busy += 1
        try:
            yield
        finally:
            with self.lock:
                self.busy -= 1

    def take(self, memory_mib: int) -> _Worker:
        """Return an idle worker, or a new one."""
        with self.lock:
            while self.idle:
                worker = self.idle.pop()
                if worker.memory_mib == memory_mib and worker.process.poll() is None:
                    return worker
                worker.end()
        return self.new(memory_mib)

    def give_back(self, worker: _Worker) -> None:
        if worker.jobs < _JOBS:
            with self.lock:
                self.idle.append(worker)
        else:
            worker.end()

    def new(self, memory_mib: int) -> _Worker:
        with self.lock:
            self.starter = self.starter or _Starter()
        try:
            return self.starter.start(memory_mib)
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            raise ImageError(
                "crashed",
                f"The decoder's process could not be started ({error})",
                advice="Close other programs and try again: pixseek index --retry",
            ) from error

    def end(self) -> None:
        with self.lock:
            waiting, self.idle = self.idle, []
        for worker in waiting:
            worker.end()


_pool: _Pool | None = None
_pool_lock = threading.Lock()


def _the_pool() -> _Pool:
    """Return this process's pool; a forked child gets a new one, not its parent's pipes."""
    global _pool  # noqa: PLW0603
    with _pool_lock:
        if _pool is None or _pool.pid != os.getpid():
            if _pool is None:
                atexit.register(shut_down)
            _pool = _Pool()
        return _pool


def shut_down() -> None:
    """End the idle workers; new ones start when needed."""
    if _pool is not None and _pool.pid == os.getpid():
        _pool.end()


def _after_fork() -> None:
    global _pool_lock  # noqa: PLW0603
    _pool_lock = threading.Lock()  # a thread that the child lacks may have held the old one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def decode_isolated(kind: Format, data: bytes, request: Request) -> Picture:
    """Decode `data`, whose format is `kind`, in a worker process.

    Raises:
        ImageError: the decoder raised it, or `reason` is "timeout" or "crashed".
    """
    answer, blobs = _the_pool().decode(kind, data, request)
    return answer.picture(kind, data, blobs)


def protections() -> tuple[str, ...]:
    """Return what is in force in a worker process: see `confinement.confine`.

    Raises:
        ImageError: no worker can be started.
    """
    pool = _the_pool()
    worker = pool.take(MEMORY_MIB)
    pool.give_back(worker)
    return worker.confined


def workers() -> tuple[int, ...]:
    """Return the process ids of the idle workers of this process."""
    return tuple(worker.process.pid for worker in _pool.idle) if _pool is not None else ()


def _crashed(name: str, status: int, lie: str) -> ImageError:
    how = f"an impossible answer: {lie}" if lie else f"status {status}"
    if status < 0 and not lie:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-status).name
    return ImageError(
        "crashed",
        f"The {name} decoder crashed on the file ({how})",
        advice="Open and save it again in an image editor; it is damaged or malicious.",
    )
