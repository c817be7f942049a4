"""The lock that keeps a second indexer out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixseek.errors import LibraryLockedError
from pixseek.indexing.lock import IndexingLock
from pixseek.storage.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.close()


def test_a_second_indexer_is_refused(tmp_path: Path, ledger: Ledger) -> None:
    ledger.set("running", {"pid": 7, "host": "here"})
    with IndexingLock(tmp_path, ledger):
        assert IndexingLock(tmp_path, ledger).is_held()
        with pytest.raises(LibraryLockedError, match="process 7 on here"):
            IndexingLock(tmp_path, ledger).__enter__()
    assert not IndexingLock(tmp_path, ledger).is_held()


def test_a_lock_that_is_held_for_an_instant_refuses_nobody(tmp_path: Path, ledger: Ledger) -> None:
    # As by `is_held` in another process.
    looking = IndexingLock(tmp_path, ledger)
    looking.__enter__()
    timer = threading.Timer(0.02, looking.__exit__, (None, None, None))
    timer.start()
    with IndexingLock(tmp_path, ledger):
        pass
    timer.join()


def test_a_run_that_another_thread_ends_releases_the_lock(tmp_path: Path, ledger: Ledger) -> None:
    lock = IndexingLock(tmp_path, ledger)
    starter = threading.Thread(target=lock.__enter__)
    starter.start()
    starter.join()
    assert IndexingLock(tmp_path, ledger).is_held()
    lock.__exit__(None, None, None)
    assert not IndexingLock(tmp_path, ledger).is_held()
