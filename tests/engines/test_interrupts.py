"""Ctrl-C ends a query in the database at once, as a stop and not as an error."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pixseek import filters
from pixseek.engines.embedded import open_embedded
from pixseek.engines.embedded.catalog import Catalog
from pixseek.errors import LibraryError
from pixseek.types import Compare, Record, Space

_ENDLESS = "WITH RECURSIVE n(x) AS (SELECT begun() UNION ALL SELECT x + 1 FROM n)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A library with three records."""
    with open_embedded(tmp_path / "lib") as engine:
        engine.ensure(Space("f" * 64, 4, "m"))
        records = [Record(f"{n}", f"r/{n}.jpg", fields={"x": "a"}) for n in range(3)]
        engine.put(records, np.eye(4, dtype=np.float32)[:3])
    return tmp_path / "lib"


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[sqlite3.Connection], None]]:
    """Press Ctrl-C as soon as a query of this connection calls `begun()`.

    Not after a time: on a busy machine it would come before the query, and end the test run.
    """
    if os.name == "nt" or threading.current_thread() is not threading.main_thread():
        pytest.skip("signals can't be sent here")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    running = threading.Event()

    def press() -> None:
        if running.wait(60):
            time.sleep(0.1)  # the query is past `begun`, where Python itself would look for signals
            os.kill(os.getpid(), signal.SIGINT)

    def begun() -> int:
        running.set()
        return 1

    presser = threading.Thread(target=press)
    presser.start()
    yield lambda db: db.create_function("begun", 0, begun)
    with contextlib.suppress(KeyboardInterrupt):  # of a query that never began
        running.set()
        presser.join()
    signal.signal(signal.SIGINT, before)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", ["count(*)", "sum(slow(x))"])
def test_ctrl_c_ends_a_query_that_never_ends(
    folder: Path, ctrl_c: Callable[[sqlite3.Connection], None], what: str
) -> None:
    catalog = Catalog(next(folder.glob("*.sqlite")), read_only=False, lock_timeout_s=1.0)
    with pytest.raises(KeyboardInterrupt), catalog.reading() as db:
        ctrl_c(db)
        db.create_function("slow", 1, lambda _: time.sleep(0.001) or 1)
        db.execute(f"{_ENDLESS} SELECT {what} FROM n").fetchone()
    with catalog.reading() as db:  # nothing is left behind
        assert db.execute("SELECT count(*) FROM record").fetchone() == (3,)
    catalog.close()


@pytest.mark.timeout(60)
def test_ctrl_c_ends_a_transaction_and_nothing_of_it_is_kept(
    folder: Path, ctrl_c: Callable[[sqlite3.Connection], None]
) -> None:
    catalog = Catalog(next(folder.glob("*.sqlite")), read_only=False, lock_timeout_s=1.0)
    with pytest.raises(KeyboardInterrupt), catalog.writing() as db:
        ctrl_c(db)
        db.execute("DELETE FROM record")
        db.execute(f"{_ENDLESS} SELECT count(*) FROM n").fetchone()
    with catalog.writing() as db:
        assert db.execute("SELECT count(*) FROM record").fetchone() == (3,)
    catalog.close()


def test_a_fault_of_ours_is_not_taken_for_ctrl_c(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise ValueError("a fault")

    monkeypatch.setattr(filters, "matches", broken)
    with open_embedded(folder) as engine, pytest.raises(LibraryError):
        engine.count(Compare("fields.x", "glob", "a*"))
