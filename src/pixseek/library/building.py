"""The indexes that an engine builds when a run has stored many vectors, with progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator

from pixseek.types import Building, Engine, Progress


def build(engine: Engine, stop: threading.Event | None) -> Generator[Progress, None, bool]:
    """Build what is missing, yielding progress; return whether it was stopped.

    Raises:
        EngineError: the engine failed.
    """
    if not isinstance(engine, Building):
        return False
    began = time.monotonic()
    steps = engine.build_indexes()
    try:
        for done, total in steps:
            rate = done / max(time.monotonic() - began, 1e-3)
            left = (total - done) / rate if rate else None
            yield Progress("build", done, total, rate=rate, left_s=left)
            if stop is not None and stop.is_set():
                return True
    finally:
        steps.close()
    return False


def unindexed(engine: Engine) -> int:
    """Return how many vectors of an engine wait for their index."""
    return engine.unindexed() if isinstance(engine, Building) else 0
