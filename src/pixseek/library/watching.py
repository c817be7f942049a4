"""Keeping a library up to date with folders while files in them change.

A watcher first listens, then indexes all of its folders once, then what changes. So nothing is
missed in between, also not what changed while it did not run. Its runs take turns with those of
other processes by the lock that keeps a second indexer out (`indexing/lock`): as long as a library
is watched, whoever finds the lock taken waits for it, and so does the watcher.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.errors import (
    EngineError,
    LibraryError,
    MissingExtraError,
    PixseekError,
    SourceError,
    SourceVanishedError,
)
from pixseek.images import EXTENSIONS
from pixseek.indexing.lock import WATCHER, watching
from pixseek.indexing.options import IndexOptions
from pixseek.library.jobs import Jobs, driven
from pixseek.library.model import LibraryModel
from pixseek.library.named_paths import absolute
from pixseek.library.opened import Opened
from pixseek.metadata.sidecars import ENDINGS
from pixseek.redaction import redacted
from pixseek.sources.drives import gives_events
from pixseek.sources.ignore_files import IGNORE_FILE
from pixseek.sources.osxphotos import DATABASE
from pixseek.sources.scopes import Only
from pixseek.sources.watching import QUIET_POLLED_S, Changes, Quiet
from pixseek.types import Packed, Progress, Report, Root, WatchEvent
from pixseek.video.formats import EXTENSIONS as VIDEOS

if TYPE_CHECKING:
    from filelock import FileLock

#: Seconds between looks whether the folders are still there.
_LOOK_S = 1.0
#: Seconds between runs over everything: the system may lose events when very many come at once.
WHOLE_S = 3600.0
#: Seconds until a run that failed is tried again, at first and at most.
_RETRY_S, _RETRY_LONGEST_S = 2.0, 60.0

#: Device and number of a folder; None if it is not there.
_Identity = tuple[int, int] | None


class Watcher:
    """Watches folders of one open library."""

    def __init__(
        self,
        opened: Opened,
        model: LibraryModel,
        paths: Sequence[str | os.PathLike[str]],
        *,
        poll: bool | None,
        poll_s: float,
        stop: threading.Event,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        """Describe what to watch; see `Library.watch`.

        Raises:
            SourceError: one is an address of a bucket or server.
        """
        for path in paths:
            _check_is_here(path)
        self._opened, self._model, self._jobs = opened, model, Jobs(opened, model)
        self._paths = tuple(absolute(path) for path in paths)
        named = None if not paths else [path for path in self._paths if path.is_file()]
        self._containers = _Containers(opened, named)
        self._poll, self._poll_s = poll, poll_s
        self._stop, self._on_progress = stop, on_progress
        self._quiet = Quiet()
        self._changes: Changes | None = None
        self._identities: dict[Path, _Identity] = {}
        self._polled: list[Path] = []
        self._retry_s = _RETRY_S
        self._whole_at: float | None = None  # when all was indexed; None: it is to be
        self._begun: WatchEvent | None = None  # to be said after that

    def events(self) -> Iterator[WatchEvent]:
        """Watch until `stop` is set, yielding what happens."""
        lock = watching(self._opened.folder)
        with contextlib.ExitStack() as held:
            held.callback(self._release, lock)
            held.callback(self._close)
            self._hold(lock)
            self._containers.check()
            folders = self._folders()
            if not (self._containers or any(folder.is_dir() for folder in folders)):
                if not folders:
                    for root in self._opened.roots.all():
                        _check_is_here(root.where)
                raise SourceVanishedError(
                    "There is no folder to watch", ", ".join(map(str, folders)),
                    "Name one: pixseek watch ~/Pictures",
                )  # fmt: skip
            yield from self._begin(folders)
            yield from self._go_on(lock)

    # ---------------------------------------------------------------- the loop

    def _go_on(self, lock: FileLock) -> Iterator[WatchEvent]:
        looked_at, resting_until, is_first = time.monotonic(), 0.0, True
        while not self._stop.is_set():
            if not is_first:
                self._listen()
            now = time.monotonic()
            if now - looked_at >= _LOOK_S:
                looked_at = now
                self._hold(lock)
                self._containers.look(now)
                if self._are_others():
                    yield from self._begin(self._folders())
            if now < resting_until:
                continue
            is_whole = self._whole_at is None or now - self._whole_at >= WHOLE_S
            due, busy = self._quiet.due(now)
            changed = self._containers.due()
            if not (due or changed or is_whole):
                continue
            try:
                run = self._run_whole() if is_whole else self._run_changed(due, busy, changed)
                for report in run:
                    if report.changed_anything:
                        yield _said("indexed", report=report)
            except (EngineError, LibraryError, SourceError, MissingExtraError) as error:
                if self._stop.is_set():
                    return  # it waited for the lock
                if is_first:
                    raise
                if isinstance(error, EngineError | LibraryError):
                    self._containers.again(changed)
                    for path in due:
                        self._quiet.note(path, now)
                    resting_until = time.monotonic() + self._retry_s
                    self._retry_s = min(self._retry_s * 2, _RETRY_LONGEST_S)
                    yield _said("failed", error=error)
                    continue
                if not self._are_others():  # else the next look says it
                    yield _said("failed", error=error)
            self._retry_s = _RETRY_S
            if is_whole:
                self._whole_at = now
            if self._stop.is_set():
                return
            if is_first:
                is_first = False
                self._model.encoder()  # so that the first new image does not wait for it
            if self._begun is not None:
                begun, self._begun = self._begun, None
                yield begun

    def _begin(self, folders: list[Path]) -> Iterator[WatchEvent]:
        """Watch folders, those of them that are there; the next run indexes all of them."""
        before, self._identities = self._identities, {each: _identity(each) for each in folders}
        for folder, now in self._identities.items():
            if now is None and before.get(folder, ()) is not None:
                yield _said("gone", folders=(folder,))
            elif now is not None and folder in before and before[folder] is None:
                yield _said("back", folders=(folder,))
        there = [each for each, now in self._identities.items() if now is not None]
        polled = self._polled = [each for each in there if self._is_polled(each)]
        self._close()
        self._changes = Changes(
            [each for each in there if each not in polled], polled,
            poll_s=self._poll_s, stop=self._stop,
        )  # fmt: skip
        try:
            self._changes.begin()
        except SourceVanishedError:
            if not before:
                raise
            self._identities = dict.fromkeys(folders)  # it went away again: the next look says it
            return
        self._whole_at = None
        if watched := (*there, *self._containers.paths()):
            self._begun = _said("watching", folders=watched, polled=tuple(polled))

    def _are_others(self) -> bool:
        """Return whether one of the folders is gone, is back, or is another one now."""
        return any(_identity(each) != was for each, was in self._identities.items())

    def _listen(self) -> None:
        """Wait a moment for changes, and note those that matter."""
        found = self._changes.wait() if self._changes is not None else set()
        now = time.monotonic()
        for path, came_or_went in found:
            if (wanted := self._wanted(path, came_or_went)) is not None:
                place = self._place_of(wanted)
                is_polled = place is not None and place[0] in self._polled
                self._quiet.note(wanted, now, QUIET_POLLED_S if is_polled else 0.0)

    def _hold(self, lock: FileLock) -> None:
        """Say that the library is watched, unless another watcher says so."""
        from filelock import Timeout

        if lock.is_locked:
            return
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
            self._opened.ledger.set(
                WATCHER,
                {
                    "pid": os.getpid(),
                    "host": socket.gethostname(),
                    "since": datetime.now(UTC).isoformat(timespec="seconds"),
                },
            )

    def _release(self, lock: FileLock) -> None:
        if lock.is_locked:
            with contextlib.suppress(PixseekError):
                self._opened.ledger.set(WATCHER, None)
        lock.release(force=True)

    def _close(self) -> None:
        if self._changes is not None:
            self._changes.close()

    # ---------------------------------------------------------------- what to watch

    def _folders(self) -> list[Path]:
        """Return the folders to watch: those that were named, else all of the library."""
        if self._paths:
            return [path for path in dict.fromkeys(self._paths) if not path.is_file()]
        found = []
        for root in self._opened.roots.folders():
            for scope in root.scopes:
                path = root.path / scope
                found.append(path.parent if path.is_file() else path)
        return list(dict.fromkeys(found))

    def _is_polled(self, folder: Path) -> bool:
        return self._poll if self._poll is not None else not gives_events(folder)

    def _place_of(self, path: str) -> tuple[Path, str] | None:
        """Return the watched folder that a path of an event lies in, and its path in there."""
        for folder in self._identities:
            # Some systems name what is behind links.
            for top in (str(folder), os.path.realpath(folder)):
                if path == top or path.startswith(top.rstrip(os.sep) + os.sep):
                    return folder, path[len(top) :].strip(os.sep)
        return None

    def _wanted(self, path: str, came_or_went: bool) -> str | None:
        """Return the path to look at after an event; None if it means nothing for the library."""
        place = self._place_of(path)
        library = str(self._opened.folder)
        if place is None or not place[1] or f"{path}{os.sep}".startswith(f"{library}{os.sep}"):
            return None
        folder, within = place
        path = str(folder / within)
        name = os.path.basename(path)
        root = self._root_of(path)
        if name in (IGNORE_FILE, DATABASE):  # either says something of all below
            return os.path.dirname(path)
        if root is not None and root.include:
            return path if came_or_went or not os.path.isdir(path) else None
        if any(part.startswith(".") for part in within.split(os.sep)):
            return None
        ending = os.path.splitext(name)[1].lower()
        if ending in EXTENSIONS or ending in ENDINGS or ending in VIDEOS:
            return path
        if os.path.isdir(path):
            return path if came_or_went else None
        # What is gone may have been a folder.
        return path if not os.path.lexists(path) and self._holds(path) else None

    def _root_of(self, path: str) -> Root | None:
        uri = self._opened.roots.uri_of(path)
        name = (uri or "").partition("/")[0]
        return next((each for each in self._opened.roots.folders() if each.name == name), None)

    def _holds(self, path: str) -> bool:
        """Return whether the library has an image below a path."""
        uri = self._opened.roots.uri_of(path)
        return (
            uri is not None and next(iter(self._opened.engine.known(f"{uri}/")), None) is not None
        )

    # ---------------------------------------------------------------- runs

    def _run_whole(self) -> Iterator[Report]:
        """Index all that is watched."""
        there = [each for each, now in self._identities.items() if now is not None]
        there += self._containers.named
        self._containers.begin()
        if there or self._containers:
            run = self._jobs.index(there if self._paths else (), self._options(), self._stop)
            yield driven(run, self._on_progress)

    def _run_changed(
        self, due: Sequence[str], busy: set[str], containers: Sequence[str]
    ) -> Iterator[Report]:
        """Index what changed: paths, and archives and tables by the names of their roots."""
        changed: dict[str, set[str]] = {name: {""} for name in containers}
        written: dict[str, set[str]] = {}
        new: set[Path] = set()
        for paths, into in ((due, changed), (busy, written)):
            for path in paths:
                if (uri := self._opened.roots.uri_of(path)) is not None:
                    name, _, relative = uri.partition("/")
                    into.setdefault(name, set()).add(relative.rstrip("/"))
                elif into is changed and (place := self._place_of(path)) is not None:
                    new.add(place[0])  # a folder in which there was no image until now
        if new:
            run = self._jobs.index(sorted(new), self._options(), self._stop)
            yield driven(run, self._on_progress)
        if changed:
            only = {name: Only(each, written.get(name, ())) for name, each in changed.items()}
            run = self._jobs.index((), self._options(), self._stop, changed=only)
            yield driven(run, self._on_progress)

    def _options(self) -> IndexOptions:
        return IndexOptions(precision=self._opened.config.precision)


def _check_is_here(path: str | os.PathLike[str]) -> None:
    """Look whether a path is one of this machine.

    Raises:
        SourceError: it is an address, which nothing tells of changes.
    """
    from pixseek.sources import is_url

    if is_url(given := os.fspath(path)):
        raise SourceError(
            "Only folders and files of this machine are watched", given,
            "A server tells nobody what changes on it. From a timer, run: "
            f"pixseek index {shlex.quote(redacted(given))}",
        )  # fmt: skip


class _Containers:
    """Archives and tables, of which a look at their files tells whether they changed.

    Editors and downloads replace a file by another of its name, which events of the system miss; a
    look at its size and time costs microseconds.
    """

    def __init__(self, opened: Opened, named: Sequence[Path] | None) -> None:
        """Watch those of a library.

        Args:
            opened: the library.
            named: files that a user named; None for all of the library.
        """
        self.named, self._is_named = list(named or ()), named is not None
        self._opened = opened
        self._before: dict[str, str] = {}
        self._seen: dict[str, str] = {}
        self._due: list[str] = []
        self._next = 0.0

    def __bool__(self) -> bool:
        return bool(self.named or self._roots())

    def check(self) -> None:
        """Look whether those that a user named are such.

        Raises:
            SourceError: one is another file.
        """
        from pixseek.sources import recognise

        for path in self.named:
            if recognise(path) is None:
                raise SourceError(
                    "Only folders, archives and tables are watched", path,
                    f"Watch its folder: pixseek watch {shlex.quote(str(path.parent))}",
                )  # fmt: skip

    def paths(self) -> list[Path]:
        """Return where they are."""
        return self.named or [root.path for root in self._roots()]

    def begin(self) -> None:
        """Take them as they are now for indexed."""
        marks = {root.name: _mark_of(root) for root in self._roots()}
        self._before = {name: mark for name, mark in marks.items() if mark is not None}
        self._seen, self._due = dict(self._before), []

    def look(self, now: float) -> None:
        """Note those that changed, and were the same at the last two looks."""
        if now < self._next:
            return
        began = time.monotonic()
        for root in self._roots():
            mark = _mark_of(root)
            if mark is None or mark == self._before.get(root.name):
                continue
            if mark == self._seen.get(root.name):
                self._before[root.name] = mark
                self._due.append(root.name)
            self._seen[root.name] = mark
        # Ten thousand shards on a slow drive take no more than a twentieth of the time.
        self._next = now + 20 * (time.monotonic() - began)

    def due(self) -> list[str]:
        """Return the names of roots that changed and have come to rest, and forget them."""
        due, self._due = self._due, []
        return due

    def again(self, names: Collection[str]) -> None:
        """Take them for changed: a run over them failed."""
        self._due += names

    def _roots(self) -> list[Root]:
        return [
            root
            for root in self._opened.roots.all()
            if root.kind != "folder"
            and root.is_local
            and (not self._is_named or root.path in self.named)
        ]


def _mark_of(root: Root) -> str | None:
    """Return what differs after a change of an archive or a table; None if it is not there."""
    from pixseek.sources import open_source
    from pixseek.sources.rows import RowSource

    try:
        source = open_source(root)
        if isinstance(source, Packed):
            return repr(sorted(source.marks().items()))
        return (source.stamp() or None) if isinstance(source, RowSource) else None
    except (PixseekError, OSError):
        return None


def _identity(folder: Path) -> _Identity:
    """Return what tells a folder from another at the same place."""
    try:
        found = os.stat(folder)
        with os.scandir(folder):
            return found.st_dev, found.st_ino
    except OSError:
        return None


def _said(
    kind: str,
    *,
    folders: tuple[Path, ...] = (),
    polled: tuple[Path, ...] = (),
    report: Report | None = None,
    error: PixseekError | None = None,
) -> WatchEvent:
    return WatchEvent(kind, datetime.now(UTC), folders, polled, report, error)  # type: ignore[arg-type]
