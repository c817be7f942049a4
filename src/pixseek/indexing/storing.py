"""What a run has made and not stored yet, and the order in which it is stored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pixseek.storage.ledger import Ledger
from pixseek.storage.previews import Previews
from pixseek.types import Engine, Failure, Record

if TYPE_CHECKING:
    from pixseek.types import Vectors


class Writes:
    """The writes of a run.

    Attributes:
        settled: URIs whose failure in the ledger is over.
        dropped: digests of contents that a record no longer has.
        stored_at: when `store` last ran, by `time.perf_counter`.
        seconds: spent in storing.
    """

    def __init__(self, engine: Engine, ledger: Ledger, previews: Previews | None) -> None:
        """Say where things go; None to keep no previews."""
        self._engine, self._ledger, self.previews = engine, ledger, previews
        self._records: list[Record] = []
        self._vectors: list[Vectors] = []
        self._previews: dict[str, bytes] = {}  # by digest
        self._failures: list[Failure] = []
        self._gone: list[str] = []
        self.settled: list[str] = []
        self.dropped: set[str] = set()
        self.stored_at = time.perf_counter()
        self.seconds = 0.0

    def __len__(self) -> int:
        """How many records are not stored yet."""
        return len(self._records)

    def keep(self, record: Record, rows: Vectors, preview: bytes = b"") -> None:
        """Store a record with its vectors, (parts, dim) float32, and its preview, if any."""
        if preview:
            self._previews[record.digest] = preview
        self._records.append(record)
        self._vectors.append(rows)

    def fail(self, failure: Failure) -> None:
        """Store a failure."""
        self._failures.append(failure)

    def forget_refusals(self) -> None:
        """Leave out the failures of images that a model could not embed: the model is broken."""
        self._failures = [each for each in self._failures if each.stage != "encode"]

    def delete(self, ids: list[str]) -> None:
        """Delete records."""
        self._gone += ids

    def store(self) -> None:
        """Write what is kept. The order makes a kill between any two steps harmless."""
        import numpy as np

        began = time.perf_counter()
        if self.previews is not None and self._previews:
            self.previews.put(self._previews)
            self._previews = {}
        if self._records:
            self._engine.put(self._records, np.concatenate(self._vectors))
            self._records, self._vectors = [], []
        self._ledger.add_failures(self._failures)
        self._failures = []
        if self._gone:
            self._engine.delete(self._gone)
            self._gone = []
        self._ledger.clear_failures(self.settled)
        self.settled = []
        self.stored_at = time.perf_counter()
        self.seconds += self.stored_at - began

    def prune_previews(self) -> None:
        """Delete the previews of contents that no record has any more."""
        if self.previews is not None and self.dropped:
            self.store()
            self.previews.prune(self.dropped, self._engine)
