"""How many threads numpy's matrix products take, where OpenBLAS computes them.

OpenBLAS splits all but the smallest products over all cores, and its threads look out for more to
do for some 20 ms after each, without sleeping. A search makes a few products of a millisecond, so
that its text tower and its engine share the cores with threads that do nothing. One query after
another among 100,000 images, ViT-B/32, two cores: 57 to 68 ms of processor time each as it comes,
30 with one thread for the products, which makes none of them slower by more than a millisecond.

(threadpoolctl would find the functions, but since 3.8 lets only the thread that set a number first
change it, and here several threads may answer queries.)
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

#: What the functions are called in the wheels of numpy 2, of numpy 1, and in OpenBLAS itself.
_NAMES = (
    "scipy_openblas_{}_num_threads64_",
    "openblas_{}_num_threads64_",
    "scipy_openblas_{}_num_threads",
    "openblas_{}_num_threads",
)


class _OneThread:
    """Counts who wants one thread; the last to leave restores what was before."""

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
    """Have matrix products take one thread inside the block, in the whole process.

    Where numpy uses another library, nothing happens. May be used from several threads.
    """
    return _one_thread.held()


@functools.cache
def _functions() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """Return what gets and what sets the number of threads; None where there is no OpenBLAS."""
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
