"""Runs that a server starts."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator

import pytest

from pixseek.server.jobs import Jobs
from pixseek.types import Progress, Report


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority of each thread")
def test_a_run_and_its_threads_are_less_important_than_searches() -> None:
    seen: list[int] = []

    def look() -> None:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def run(stop: threading.Event) -> Generator[Progress, None, Report]:
        look()
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        yield Progress("scan", 0, None)
        return Report()

    jobs = Jobs()
    jobs.start("photos", "index", run).join(60)
    assert jobs.all()[0].state == "done"
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert seen == [min(own + 10, 19)] * 2
