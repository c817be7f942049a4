"""Ctrl-C ends a query in the database at once, as a stop and not as an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pixseek import filters
from pixseek.engines.embedded import open_embedded
from pixseek.errors import LibraryError
from pixseek.types import Compare, Record, Space

#: What a process runs: its query says when it has begun, and never ends.
_CHILD = """
import signal, sys, time
from pathlib import Path
from pixseek.engines.embedded.catalog import Catalog

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" lets commands ignore it
catalog = Catalog(Path(sys.argv[1]), read_only=False, lock_timeout_s=1.0)
try:
    with getattr(catalog, sys.argv[2])() as db:
        db.create_function("begun", 0, lambda: print("begun", flush=True) or 1)
        db.create_function("slow", 1, lambda _: time.sleep(0.001) or 1)
        if sys.argv[2] == "writing":
            db.execute("DELETE FROM record")
        endless = "WITH RECURSIVE n(x) AS (SELECT begun() UNION ALL SELECT x + 1 FROM n)"
        db.execute(f"{endless} SELECT {sys.argv[3]} FROM n").fetchone()
except KeyboardInterrupt:
    print("stopped", flush=True)
with catalog.writing() as db:  # nothing is left behind
    print(*db.execute("SELECT count(*) FROM record").fetchone())
catalog.close()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A library with three records."""
    with open_embedded(tmp_path / "lib") as engine:
        engine.ensure(Space("f" * 64, 4, "m"))
        records = [Record(f"{n}", f"r/{n}.jpg", fields={"x": "a"}) for n in range(3)]
        engine.put(records, np.eye(4, dtype=np.float32)[:3])
    return tmp_path / "lib"


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to another process")
@pytest.mark.parametrize(
    ("how", "what"),
    [("reading", "count(*)"), ("reading", "sum(slow(x))"), ("writing", "count(*)")],
)
def test_ctrl_c_ends_a_query_that_never_ends(folder: Path, how: str, what: str) -> None:
    # Another process: here Ctrl-C would end the test run if it came a moment too late.
    command = [sys.executable, "-c", _CHILD, str(next(folder.glob("*.sqlite"))), how, what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=120)[0]
    assert (said, child.returncode) == ("stopped\n3\n", 0)  # and all three records are there


def test_a_fault_of_ours_is_not_taken_for_ctrl_c(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise ValueError("a fault")

    monkeypatch.setattr(filters, "matches", broken)
    with open_embedded(folder) as engine, pytest.raises(LibraryError):
        engine.count(Compare("fields.x", "glob", "a*"))
