"""Indexing runs that a server starts, with progress for any number of watchers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator
from datetime import UTC, datetime
from typing import Any, Literal

from starlette.responses import StreamingResponse

from pixseek.errors import LibraryLockedError, PixseekError
from pixseek.redaction import scrub
from pixseek.server.answers import Answer, as_json
from pixseek.server.problems import Refused
from pixseek.types import Progress, Report
from pixseek.types.dataclass import dataclass

log = logging.getLogger("pixseek.server")

#: Seconds between looks at a run, for those who watch it.
_LOOK_S = 0.25
#: Seconds after which a line is sent though nothing happened: proxies close what is silent.
_ALIVE_S = 15.0

State = Literal["running", "stopping", "done", "stopped", "failed"]

#: How much less important the threads of a run are than searches. On two cores the p95 of searches
#: is then 1.0 to 1.4 times that of an idle server, without 1.8 to 2.3, and the run a third slower.
_NICE = 10

#: Runs that are remembered, the last ones.
_KEPT = 50


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a run is.

    Attributes:
        id: of the run.
        library: name of the library it belongs to.
        kind: what it does.
        state: "running", "stopping", "done", "stopped" or "failed".
        began_at, ended_at: when; None if it has not ended.
        progress: the last of it; None before the first.
        report: what it did; None until it ends.
        error: what ended it; None for nothing.
        version: grows with every change.
    """

    id: str
    library: str
    kind: str
    state: State
    began_at: datetime
    ended_at: datetime | None = None
    progress: Progress | None = None
    report: Report | None = None
    error: Exception | None = None
    version: int = 0


Run = Callable[[threading.Event], Generator[Progress, None, Report]]


class Job:
    """One run in a thread of its own."""

    def __init__(self, library: str, kind: str, run: Run) -> None:
        """Start it."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._state = JobState(secrets.token_hex(8), library, kind, "running", datetime.now(UTC))
        self._thread = threading.Thread(target=self._drive, args=(run,), name=f"job-{kind}")
        self._thread.start()

    @property
    def state(self) -> JobState:
        """How far it is."""
        with self._lock:
            return self._state

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.state.ended_at is None

    def stop(self) -> None:
        """Ask it to stop; what was done until then is kept."""
        self._stop.set()
        if self.is_running:
            self._change(state="stopping")

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    def _drive(self, run: Run) -> None:
        _let_others_first()
        try:
            steps = run(self._stop)
            while True:
                try:
                    self._change(progress=next(steps))
                except StopIteration as end:
                    report: Report = end.value
                    break
        except LibraryLockedError as error:
            if self._stop.is_set():  # while it waited for its turn
                self._change(
                    state="stopped", report=Report(stopped=True), ended_at=datetime.now(UTC)
                )
            else:
                self._change(state="failed", error=error, ended_at=datetime.now(UTC))
        except Exception as error:
            scrub(error)
            log.error(
                "A run (%s) of %s failed: %s", self.state.kind, self.state.library, error,
                exc_info=None if isinstance(error, PixseekError) else error,
            )  # fmt: skip
            self._change(state="failed", error=error, ended_at=datetime.now(UTC))
        else:
            state: State = "stopped" if report.stopped else "done"
            self._change(state=state, report=report, ended_at=datetime.now(UTC))

    def _change(self, **changes: object) -> None:
        from dataclasses import replace

        with self._lock:
            if self._state.ended_at is None:
                self._state = replace(
                    self._state,
                    version=self._state.version + 1,
                    **changes,  # type: ignore[arg-type]
                )


def _let_others_first() -> None:
    """Give this thread, and those that it starts, less of the processors than searches get.

    Linux alone has a priority of each thread.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            usual = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, min(usual + _NICE, 19))


async def states(job: Job) -> AsyncIterator[JobState | None]:
    """Yield the state of a run whenever it changes, until it ends; None when it was long quiet."""
    seen, quiet_s = -1, 0.0
    while True:
        state = job.state
        if state.version != seen:
            seen, quiet_s = state.version, 0.0
            yield state
        elif quiet_s >= _ALIVE_S:
            quiet_s = 0.0
            yield None
        if state.ended_at is not None:
            return
        await asyncio.sleep(_LOOK_S)
        quiet_s += _LOOK_S


def watched(job: Job, plain: Callable[[JobState], Any], event: str = "") -> Answer:
    """Return server-sent events with the state of a run whenever it changes, until it ends.

    Args:
        job: the run.
        plain: gives a state as plain values.
        event: the name of the events; "" for none.
    """
    head = f"event: {event}\n".encode() if event else b""

    async def events() -> AsyncIterator[bytes]:
        async for state in states(job):
            if state is None:
                yield b": still there\n\n"
            else:
                yield head + b"data: " + as_json(plain(state)) + b"\n\n"

    at_once = {"X-Accel-Buffering": "no"}  # so that nginx passes each event on as it comes
    return StreamingResponse(events(), 200, at_once, "text/event-stream")


class Jobs:
    """The runs of one server. May be used from several threads."""

    def __init__(self) -> None:
        """Begin without any."""
        self._jobs: dict[str, Job] = {}
        self._is_closed = False
        self._lock = threading.Lock()

    def start(self, library: str, kind: str, run: Run) -> Job:
        """Start a run.

        Raises:
            LibraryLockedError: another run of the library goes on.
            Refused: the server ends.
        """
        with self._lock:
            self.check_free(library)
            job = Job(library, kind, run)
            self._jobs[job.state.id] = job
            for old in list(self._jobs)[:-_KEPT]:
                if not self._jobs[old].is_running:
                    del self._jobs[old]
            return job

    def check_free(self, library: str) -> None:
        """Check that a run of a library can begin.

        Raises:
            LibraryLockedError: another goes on.
            Refused: the server ends.
        """
        if self._is_closed:
            raise Refused(
                503, "stopping", "The server is about to end", "", "Try again later.",
                {"Retry-After": "10"},
            )  # fmt: skip
        for job in list(self._jobs.values()):
            if job.is_running and job.state.library == library:
                raise LibraryLockedError(
                    "A run is going on in this library", job.state.id,
                    "Wait for its end, or stop it.",
                )  # fmt: skip

    def get(self, job_id: str) -> Job | None:
        """Return a run; None if there is none."""
        return self._jobs.get(job_id)

    def latest(self, library: str) -> Job | None:
        """Return the run of a library that was started last; None if there was none."""
        with self._lock:
            runs = [job for job in self._jobs.values() if job.state.library == library]
        return runs[-1] if runs else None

    def all(self) -> list[JobState]:
        """Return all that are remembered, the newest first."""
        with self._lock:
            return [job.state for job in reversed(self._jobs.values())]

    def stop_all(self) -> list[Job]:
        """Ask all that go on to stop, and let no other begin; return them."""
        with self._lock:
            self._is_closed = True
            running = [job for job in self._jobs.values() if job.is_running]
        for job in running:
            job.stop()
        return running

    def stop(self, timeout_s: float) -> None:
        """Stop all, and wait for them."""
        running = self.stop_all()
        ends = time.monotonic() + timeout_s
        for job in running:
            job.join(max(ends - time.monotonic(), 0))
