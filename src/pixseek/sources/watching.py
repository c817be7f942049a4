"""What changes in folders: events of the system, or of a look at all files now and then.

`Changes` gives paths in which something happened; `Quiet` tells which of them have come to rest.
"""

from __future__ import annotations

import os
import shlex
import stat
import threading
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pixseek.errors import SourceError, SourceVanishedError
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from watchfiles import Change

#: Milliseconds of one wait for changes: how soon a stop is noticed, too.
_WAIT_MS = 100
_STEP_MS = 20

#: Seconds without a change after which a file counts as written.
QUIET_S = 0.5
#: The same if files are looked through, which compares their times by the second.
QUIET_POLLED_S = 1.5
#: Seconds that what is gone, and what is new as a whole folder, waits for files that are being
#: written: so a move in several steps is seen as one, and a folder is read when it is complete.
PATIENCE_S = 10.0

#: Size and time of a file; a text for what is none.
_Look: TypeAlias = tuple[int, int] | str


class Changes:
    """What changes in some folders, from the moment when this is entered."""

    def __init__(
        self,
        folders: Sequence[Path],
        polled: Sequence[Path],
        *,
        poll_s: float,
        stop: threading.Event,
    ) -> None:
        """Describe what to watch.

        Args:
            folders: those of which the system says what changes.
            polled: those that are looked through.
            poll_s: seconds between two looks.
            stop: ends a wait.
        """
        self._folders, self._polled, self._poll_s, self._stop = folders, polled, poll_s, stop
        self._running: list[Generator[set[tuple[Change, str]], None, None]] = []
        self._early: set[tuple[str, bool]] = set()

    def begin(self) -> None:
        """Begin to watch.

        Raises:
            SourceError: the system can't watch so much, or a folder is not there.
        """
        from watchfiles import watch

        for folders, is_polled in ((self._folders, False), (self._polled, True)):
            if not folders:
                continue
            running = watch(
                *folders,
                watch_filter=None,
                debounce=_WAIT_MS,
                step=_STEP_MS,
                rust_timeout=_WAIT_MS,
                yield_on_timeout=True,
                stop_event=self._stop,
                raise_interrupt=True,
                force_polling=is_polled,
                poll_delay_ms=round(self._poll_s * 1000),
                ignore_permission_denied=True,
            )
            self._running.append(running)
        # The first step is what makes the system watch.
        self._early = self._step(list(self._running))

    def wait(self) -> set[tuple[str, bool]]:
        """Return the paths in which something happened, each with whether it came or went.

        It takes at most about a tenth of a second a kind of folder.
        """
        found, self._early = self._early, set()
        if not self._running:
            self._stop.wait(_WAIT_MS / 1000)
        return found | self._step(self._running)

    def close(self) -> None:
        """Watch no more."""
        for each in self._running:
            each.close()
        self._running = []

    def _step(
        self, running: Iterable[Generator[set[tuple[Change, str]], None, None]]
    ) -> set[tuple[str, bool]]:
        modified = 2
        found: set[tuple[str, bool]] = set()
        for each in running:
            try:
                found |= {(path, int(change) != modified) for change, path in next(each)}
            except StopIteration:  # it is to stop
                continue
            except OSError as error:
                raise _not_watched(error, self._folders or self._polled) from error
        return found


def _not_watched(error: OSError, folders: Sequence[Path]) -> SourceError:
    """Return what to say if the system refuses to watch."""
    named = " ".join(shlex.quote(str(each)) for each in folders)
    text = str(error)
    if "limit" in text:
        return SourceError(
            f"The system's limit of watched folders is reached{_limit('max_user_watches')}",
            named,
            "Raise it: sudo sysctl fs.inotify.max_user_watches=1048576 (and write it to a file in "
            f"/etc/sysctl.d to keep it). Or look through the files instead: "
            f"pixseek watch --poll {named}",
        )
    if "os error 24" in text or "too many open files" in text.lower():
        return SourceError(
            f"The system's limit of watching programs is reached{_limit('max_user_instances')}",
            named,
            "Raise it: sudo sysctl fs.inotify.max_user_instances=512. Or look through the files "
            f"instead: pixseek watch --poll {named}",
        )
    if isinstance(error, FileNotFoundError):
        return SourceVanishedError(
            "The folder is gone (is its drive plugged in?)", named, "Bring it back and run again."
        )
    return SourceError(
        f"The system can't watch the folder ({text})",
        named,
        f"Look through the files instead: pixseek watch --poll {named}",
    )


def _limit(name: str) -> str:
    try:
        found = Path("/proc/sys/fs/inotify", name).read_text(encoding="ascii").strip()
    except OSError:
        return ""
    return f" ({int(found):,})" if found.isdecimal() else ""


@dataclass(slots=True)
class _Pending:
    """A path in which something happened.

    Attributes:
        since: when it happened first.
        last: when it happened last, or was found to be another one.
        look: what it was then.
        quiet_s: how long nothing may happen.
    """

    since: float
    last: float
    look: _Look
    quiet_s: float


class Quiet:
    """Tells which of the paths in which something happened have come to rest.

    Times are seconds of any clock that never goes back.
    """

    def __init__(self, quiet_s: float = QUIET_S, patience_s: float = PATIENCE_S) -> None:
        """Begin without any.

        Args:
            quiet_s: how long nothing may happen, at least.
            patience_s: how long what is gone, and folders, wait for files that are written.
        """
        self._quiet_s, self._patience_s = quiet_s, patience_s
        self._pending: dict[str, _Pending] = {}

    def __len__(self) -> int:
        """Return how many have not come to rest."""
        return len(self._pending)

    def note(self, path: str, now: float, quiet_s: float = 0.0) -> None:
        """Take it that something happened in a path, in which nothing may happen this long."""
        known = self._pending.get(path)
        if known is None:
            self._pending[path] = _Pending(now, now, _look(path), max(quiet_s, self._quiet_s))
        else:
            known.last, known.look = now, _look(path)

    def due(self, now: float) -> tuple[list[str], set[str]]:
        """Return the paths that have come to rest, and forget them; and files that have not."""
        ready: list[str] = []
        busy: set[str] = set()
        for path, each in self._pending.items():
            if now - each.last < each.quiet_s:
                busy.add(path)
            elif (look := _look(path)) != each.look:
                each.last, each.look = now, look
                busy.add(path)
            else:
                ready.append(path)
        above = {folder for path in busy for folder in _above(path)}
        due: list[str] = []
        for path in ready:
            each = self._pending[path]
            waits = (each.look == "gone" and busy) or (each.look == "folder" and path in above)
            if not (waits and now - each.since < self._patience_s):
                due.append(path)
                del self._pending[path]
        return due, {path for path in busy if isinstance(self._pending[path].look, tuple)}


def _above(path: str) -> Iterable[str]:
    while (above := os.path.dirname(path)) != path:
        yield above
        path = above


def _look(path: str) -> _Look:
    """Return size and time of a file, or "folder" or "gone"."""
    try:
        found = os.stat(path)
    except OSError:
        return "gone"
    if stat.S_ISDIR(found.st_mode):
        return "folder"
    return found.st_size, found.st_mtime_ns
