"""What the command line does with its own process, and a library must never do to its caller's.

A search lives for a quarter of a second, and a third of that went into threads that wait, garbage
that the end of the process frees anyway, and the end itself. Processor time of `pixseek search`
among 1,000 images, two cores, November 2026: 319 ms; 270 with one thread in OpenBLAS; 254 without
the garbage collector; 226 when Python's teardown is skipped.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

#: How many threads OpenBLAS starts when numpy loads it.
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Load numpy so that its OpenBLAS starts no threads, if nothing has loaded numpy before.

    They spin while they wait for work, and one query has none for them. The environment is as it
    was afterwards, so that programs which are started later see nothing of this.
    """
    if _BLAS_THREADS in os.environ:
        yield
        return
    os.environ[_BLAS_THREADS] = "1"
    try:
        yield
        import numpy  # noqa: F401  # if nothing inside has needed it
    finally:
        del os.environ[_BLAS_THREADS]


@contextlib.contextmanager
def no_garbage_collector() -> Iterator[None]:
    """Keep the garbage collector off inside the block, which must be short.

    Imports make tens of thousands of objects, all of which stay.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def open_closed_streams() -> None:
    """Open the standard streams that the caller has closed (`>&-`): nothing is read or written.

    Else the first files that are opened, such as those of a library, would get their numbers, and
    be written to by whatever writes to the standard error.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # 0, 1, 2
        if getattr(sys, name) is None:
            opened = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115  # till the end
            setattr(sys, name, opened)


def end_at_second_signal() -> None:
    """End the process at its second Ctrl-C or SIGTERM, whatever it is doing then.

    Python handles a signal in the main thread, between two of its own steps. If that thread waits
    in a library in C, or for a thread that never ends, no handler runs. So another thread reads the
    numbers of the signals, which the system's handler writes to a pipe at once. What is stored is
    whole at every moment.

    A signal that has no handler in Python ends the process by itself, the first time.
    """
    if not hasattr(os, "set_blocking"):  # Windows with Python 3.11
        return
    # What `signal` is made of, without its enums, which take 1 ms to make.
    import _signal  # type: ignore[import-not-found]

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def watch() -> None:
        ending = 0
        while numbers := os.read(reading, 64):
            for number in numbers:
                ending += number in (_signal.SIGINT, _signal.SIGTERM)
                if ending > 1:
                    if os.isatty(2):
                        os.write(2, b"\x1b[?25h\n")  # a progress bar hides the cursor
                    os._exit(128 + number)

    threading.Thread(target=watch, name="signals", daemon=True).start()


def leave(end: SystemExit) -> NoReturn:
    """End the process at once, without taking Python's modules apart first.

    What was registered to run at exit runs, and all output is written. When a debugger or profiler
    watches, or a thread is still at work, the process ends as usual.

    Args:
        end: what would have ended it.
    """
    others = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    watched = sys.gettrace() is not None or sys.getprofile() is not None
    if watched or not isinstance(end.code, int | None) or any(not each.daemon for each in others):
        raise end
    import atexit

    try:
        atexit._run_exitfuncs()  # as multiprocessing does before it ends a process in this way
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:
        raise end from None
    os._exit(end.code or 0)
