"""The lock that keeps a second indexer out of a library."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from pixseek.errors import LibraryLockedError
from pixseek.storage import private
from pixseek.storage.errors import not_writable
from pixseek.storage.ledger import Ledger

#: Seconds to wait for the lock.
_PATIENCE_S = 0.1


class IndexingLock:
    """Held while a process indexes. The system releases it when the process ends or is killed."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        """Lock the library in this folder; its ledger says who holds the lock."""
        from filelock import FileLock

        self._folder, self._ledger = folder, ledger
        # A run may be advanced by several threads, one after the other: any of them may release it.
        mode = private.mode_in(folder)
        self._lock = FileLock(folder / "indexing.lock", mode=mode, thread_local=False)

    def __enter__(self) -> Self:
        from filelock import Timeout

        try:
            # Not at once: another process may be looking whether it is held, for an instant.
            self._lock.acquire(timeout=_PATIENCE_S, poll_interval=_PATIENCE_S / 10)
        except Timeout as error:
            running = self._ledger.setting("running") or {}
            who = f" (process {running['pid']} on {running['host']})" if running else ""
            raise LibraryLockedError(
                f"Another process is indexing into the library{who}",
                self._folder,
                "Wait for it to finish (pixseek status shows how far it is), or stop it.",
            ) from error
        except OSError as error:
            raise not_writable(self._folder) from error
        return self

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
