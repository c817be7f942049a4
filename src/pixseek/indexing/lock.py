"""The lock that keeps a second indexer out of a library."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pixseek.errors import LibraryLockedError
from pixseek.storage import private
from pixseek.storage.errors import not_writable
from pixseek.storage.ledger import Ledger

if TYPE_CHECKING:
    from filelock import FileLock

#: The ledger's setting that says who watches the library: "pid", "host", "since", "folders"; true
#: only while `is_watched`.
WATCHER = "watcher"

#: Seconds to wait for the lock.
_PATIENCE_S = 0.1
#: Seconds to wait for it if the library is watched, for those who can't be stopped while they wait.
_PATIENCE_WITH_A_WATCHER_S = 60.0


class IndexingLock:
    """Held while a process indexes. The system releases it when the process ends or is killed.

    While a library is watched (`watching`) runs are short and many, so whoever wants to write
    waits for its turn. Otherwise a run may take hours, and a second one is an error at once.
    """

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        stop: threading.Event | None = None,
        waiting: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        """Lock the library in this folder.

        Args:
            folder: of the library.
            ledger: says who holds the lock.
            stop: ends the wait for the lock when it is set; None to wait for a minute at most.
            waiting: returns what to enter during a wait; called with what is waited for.
        """
        from filelock import FileLock

        self._folder, self._ledger, self._stop, self._waiting = folder, ledger, stop, waiting
        # A run may be advanced by several threads, one after the other: any of them may release it.
        mode = private.mode_in(folder)
        self._lock = FileLock(folder / "indexing.lock", mode=mode, thread_local=False)

    def __enter__(self) -> Self:
        from filelock import Timeout

        try:
            self._wait()
        except Timeout as error:
            raise LibraryLockedError(
                f"Another process is indexing into the library{self._who()}",
                self._folder,
                "Wait for it to finish (pixseek status shows how far it is), or stop it.",
            ) from error
        except OSError as error:
            raise not_writable(self._folder) from error
        return self

    def _wait(self) -> None:
        """Acquire the lock.

        Raises:
            Timeout: somebody else has it.
        """
        from filelock import Timeout

        gives_up = time.monotonic() + _PATIENCE_WITH_A_WATCHER_S
        with ExitStack() as said:
            is_said = False
            while True:
                try:
                    # Not at once: others look whether it is held, and hold it for an instant.
                    self._lock.acquire(timeout=_PATIENCE_S, poll_interval=_PATIENCE_S / 10)
                except Timeout:
                    stop = self._stop
                    over = time.monotonic() > gives_up if stop is None else stop.is_set()
                    if over or not is_watched(self._folder):
                        raise
                    if not is_said:
                        is_said = True
                        text = f"Waiting for another run of the library{self._who()}"
                        said.enter_context(self._waiting(text))
                else:
                    return

    def _who(self) -> str:
        """Return who is indexing, in brackets; "" if nobody says so."""
        running = self._ledger.setting("running") or {}
        return f" (process {running['pid']} on {running['host']})" if running else ""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def is_held(self) -> bool:
        """Return whether some process is indexing now."""
        from filelock import Timeout

        try:
            with self._lock.acquire(timeout=0):
                return False
        except Timeout:
            return True
        except OSError:
            return False


def watching(folder: Path) -> FileLock:
    """Return the lock that says that a library is watched; see `IndexingLock`.

    Several processes may watch one library: it says so as long as one of them holds it. Who that
    is stands in the ledger's setting `WATCHER`.
    """
    from filelock import FileLock

    return FileLock(folder / "watching.lock", mode=private.mode_in(folder), thread_local=False)


def is_watched(folder: Path) -> bool:
    """Return whether some process watches the library in this folder."""
    from filelock import Timeout

    if not (folder / "watching.lock").exists():
        return False
    try:
        with watching(folder).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False
