"""How many threads numpy's matrix products use, if OpenBLAS computes them.

OpenBLAS splits all but the smallest products over all cores, and its threads spin for some 20 ms
after each. A search makes a few products of a millisecond, so its text tower and its engine share
the cores with threads that do nothing: 57 to 68 ms of processor time a query among 100,000 images
with ViT-B/32 on two cores (November 2026), 30 ms with one thread for the products.

threadpoolctl would find the functions, but since 3.8 only the thread that first set a number may
change it, and here several threads may answer queries.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

#: Names of the functions in the wheels of numpy 2, of numpy 1, and in OpenBLAS itself.
_NAMES = (
    "scipy_openblas_{}_num_threads64_",
    "openblas_{}_num_threads64_",
    "scipy_openblas_{}_num_threads",
    "openblas_{}_num_threads",
)


class _OneThread:
    """Counts the callers that want one thread; the last one restores the number before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 0

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        functions = _functions()
        if functions is None:
            yield
            return
        get, set_ = functions
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = get()
                set_(1)
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    set_(self._before)


_one_thread = _OneThread()


def one_thread() -> contextlib.AbstractContextManager[None]:
    """Let matrix products use one thread inside the block, in the whole process.

    Does nothing if numpy uses another library. May be used from several threads.
    """
    return _one_thread.held()


@functools.cache
def _functions() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """Return the functions that get and set the number of threads; None without OpenBLAS."""
    import numpy as np

    package = Path(np.__file__).parent
    for folder in (package.with_name("numpy.libs"), package / ".dylibs", package / ".libs"):
        for path in folder.glob("*openblas*"):
            with contextlib.suppress(OSError):
                library = ctypes.CDLL(str(path))  # numpy has loaded it already
                for name in _NAMES:
                    if hasattr(library, name.format("set")):
                        return library[name.format("get")], library[name.format("set")]
    return None
