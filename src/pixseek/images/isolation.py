"""Run decoders that may crash or hang in worker processes, and replace those that do.

A worker is this Python running `pixseek.images.worker`. It receives one file at a time through
its standard input and returns the pixels through its standard output. It imports nothing of the
host program, so that program needs no `__main__` guard. Nothing a worker returns is unpickled, so
a decoder taken over by a hostile file can't run code in this process.

Workers start when they are first needed (0.1 s each), at most one per core, and end with this
process. Decoding in a worker costs 0.5 ms more than a call, plus 1.5 to 2 ms per MB of file and
pixels.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pixseek.errors import ImageError
from pixseek.images.limits import Limits, Request, took_too_long
from pixseek.types import Picture

if TYPE_CHECKING:
    from pixseek.images.formats import Format

#: Number of files after which a worker is replaced, to free what its decoders leak.
_JOBS = 500

#: Extra seconds for a worker's first file: starting Python and Pillow on a slow, busy machine.
_START_S = 60.0

_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from pixseek.images.worker import main; main()"
)


# Windows' process flags, as numbers: `subprocess` defines their names only on Windows.
_NO_WINDOW, _NEW_PROCESS_GROUP = 0x08000000, 0x00000200

_Answer = tuple[dict[str, Any], list[bytes]]


class _GoneError(Exception):
    """The worker ended without an answer."""


class _Worker:
    """A worker process and the number of files it was given."""

    def __init__(self, memory_mib: int) -> None:
        self.jobs = 0
        self.memory_mib = memory_mib
        paths = json.dumps([path for path in sys.path if path])
        # Ctrl-C in the terminal must reach only this process, which then decides what to do.
        options: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            options = {"creationflags": _NO_WINDOW | _NEW_PROCESS_GROUP}
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, paths, str(memory_mib)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Each glibc arena and each OpenBLAS thread takes tens of MiB of address space.
            env={**os.environ, "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1",
                 "OPENBLAS_NUM_THREADS": "1"},
            **options,
        )  # fmt: skip
        for pipe in (self.process.stdin, self.process.stdout):
            _widen(pipe)

    def ask(self, question: dict[str, Any], data: bytes, timeout_s: float) -> _Answer:
        """Send a question with a file's content, and return the answer.

        Raises:
            TimeoutError: the answer took too long; the worker was killed.
            _GoneError: the worker ended without an answer.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.process.kill()

        timer = threading.Timer(timeout_s + (0 if self.jobs else _START_S), stop)
        timer.daemon = True
        timer.start()
        self.jobs += 1
        try:
            send(self.process.stdin, question, [data])
            return receive(self.process.stdout)
        except (OSError, EOFError, ValueError) as error:
            if late.is_set():
                raise TimeoutError from error
            raise _GoneError from error
        finally:
            timer.cancel()

    def end(self) -> int:
        """Kill the process and return its exit status."""
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

    def decode(self, question: dict[str, Any], data: bytes, limits: Limits) -> _Answer:
        with self.places, self.counted():
            question["request"]["threads"] = max(1, self.cores // self.busy)
            while True:
                worker = self.take(limits.memory_mib)
                fresh = worker.jobs == 0
                try:
                    answer = worker.ask(question, data, limits.timeout_s)
                except TimeoutError:
                    worker.end()
                    raise took_too_long(limits.timeout_s) from None
                except _GoneError as error:
                    status = worker.end()
                    if fresh:
                        raise _crashed(question["format"], status) from error
                    continue  # an earlier file may have corrupted it: try a new worker
                except BaseException:  # Ctrl-C between question and answer
                    worker.end()
                    raise
                if worker.jobs < _JOBS:
                    with self.lock:
                        self.idle.append(worker)
                else:
                    worker.end()
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
        with self.lock:
            while self.idle:
                worker = self.idle.pop()
                if worker.memory_mib == memory_mib and worker.process.poll() is None:
                    return worker
                worker.end()
        try:
            return _Worker(memory_mib)
        except OSError as error:
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
    from PIL import Image

    question = {"format": kind.name, "request": asdict(request)}
    answer, blobs = _the_pool().decode(question, data, request.limits)
    if "error" in answer:
        reason, problem, advice = answer["error"]
        raise ImageError(reason, problem, advice=advice)
    pixels, exif, xmp, iptc, *texts = blobs
    size = tuple(answer["size"])
    return Picture(
        Image.frombytes("RGB", size, pixels),
        answer["width"],
        answer["height"],
        kind.media,
        tuple(answer["notes"]),
        data if answer["exif_is_file"] else exif,
        xmp,
        iptc,
        dict(zip(answer["texts"], texts, strict=True)),
        answer["profile"],
    )


def _crashed(name: str, status: int) -> ImageError:
    how = f"status {status}"
    if status < 0:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-status).name
    return ImageError(
        "crashed",
        f"The {name} decoder crashed on the file ({how})",
        advice="Open and save it again in an image editor; it is damaged or malicious.",
    )


# ------------------------------------------------------------------ messages in both directions


def send(pipe: Any, head: dict[str, Any], blobs: list[bytes]) -> None:
    """Write a message: the length of a JSON head, the head with the blobs' lengths, the blobs."""
    text = json.dumps({**head, "blobs": [len(blob) for blob in blobs]}).encode()
    pipe.write(struct.pack("<I", len(text)))
    pipe.write(text)
    for blob in blobs:
        pipe.write(blob)
    pipe.flush()


def receive(pipe: Any) -> tuple[dict[str, Any], list[bytes]]:
    """Read a message.

    Raises:
        EOFError: the other process is gone.
        ValueError: the bytes are not a message.
    """
    (size,) = struct.unpack("<I", _exactly(pipe, 4))
    head = json.loads(_exactly(pipe, size))
    return head, [_exactly(pipe, length) for length in head["blobs"]]


def _exactly(pipe: Any, size: int) -> bytes:
    content: bytes = pipe.read(size)
    if len(content) != size:
        raise EOFError
    return content
