"""What a run has made and not stored yet, and the order in which it is stored."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from pixseek.indexing import said
from pixseek.indexing.said import Moved, with_words_of
from pixseek.metadata.annotations import annotation_of
from pixseek.storage.ledger import Ledger
from pixseek.storage.previews import Previews
from pixseek.types import Engine, Failure, Record

if TYPE_CHECKING:
    from pixseek.types import Vectors


# Most contents set aside after they were overwritten in this run, for files that turn up with them
# later: if files are renumbered, each takes the place of the next. 16,384 rows of 512 floats are
# 33 MB.
_DISPLACED = 16_384


class Writes:
    """The writes of a run.

    A write takes the user's tags, rating and so on from the record stored at that moment, so
    nothing that a user says while the run goes on is lost.

    Attributes:
        displaced: contents that were overwritten in this run, by digest, each with the record and
            the vectors that it had; the latest ones.
        settled: URIs whose failure in the ledger is over.
        dropped: digests of contents that a record no longer has.
        stored_at: when `store` last ran, by `time.perf_counter`.
        seconds: spent in storing.
        away: how many records have become away.
    """

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        previews: Previews | None,
        is_gone: Callable[[Record], bool],
        depart: Callable[[Record], None],
    ) -> None:
        """Say where things go.

        Args:
            engine: takes the records.
            ledger: takes the failures.
            previews: None to keep none.
            is_gone: whether the file of a stored record is no longer there.
            depart: called with a stored record whose content is elsewhere now.
        """
        self._engine, self._ledger, self.previews = engine, ledger, previews
        self._is_gone, self._depart = is_gone, depart
        self._records: list[Record] = []
        self._vectors: list[Vectors] = []
        self._origins: dict[str, Record] = {}  # by the id of the record that has their content now
        self._previews: dict[str, bytes] = {}  # by digest
        self._strips: dict[str, dict[int, bytes]] = {}  # previews of shots, by digest
        self._failures: list[Failure] = []
        self._gone: list[str] = []
        self.displaced: OrderedDict[str, tuple[Record, Vectors]] = OrderedDict()
        self.settled: list[str] = []
        self.dropped: set[str] = set()
        self.stored_at = time.perf_counter()
        self.seconds = 0.0
        self.away = 0
        self._placed: set[str] = set()  # digests of contents that took along what was said of them

    def __len__(self) -> int:
        """How many records are not stored yet."""
        return len(self._records)

    def keep(
        self, record: Record, rows: Vectors, preview: bytes = b"", origin: Record | None = None,
        strip: tuple[bytes, ...] = (),
    ) -> None:  # fmt: skip
        """Store a record.

        Args:
            record: with the metadata of its file and the words of the user.
            rows: its vectors, (parts, dim) float32.
            preview: to be kept; b"" for none.
            strip: previews of its shots, which are its last parts.
            origin: the record that had this content until now, if it is another. What the user
                says of that until the write belongs to this one.
        """
        if preview:
            self._previews[record.digest] = preview
        if strip:
            first = len(record.parts) - len(strip) + 1
            self._strips[record.digest] = dict(enumerate(strip, first))
        if origin is not None and origin.id != record.id:
            self._origins[record.id] = origin
        self._records.append(record)
        self._vectors.append(rows)

    def displace(self, record: Record, rows: Vectors) -> None:
        """Set a content aside that is overwritten, for a file that turns up with it later."""
        self.dropped.add(record.digest)
        self.displaced[record.digest] = (record, rows)
        if len(self.displaced) > _DISPLACED:
            self.displaced.popitem(last=False)

    def fail(self, failure: Failure) -> None:
        """Store a failure."""
        self._failures.append(failure)

    def delete(self, ids: list[str]) -> None:
        """Delete records."""
        self._gone += ids

    def store(self) -> None:
        """Write everything. The order makes a kill between any two steps harmless."""
        import numpy as np

        began = time.perf_counter()
        if self.previews is not None and self._previews:
            self.previews.put(self._previews)
            self._previews = {}
        if self.previews is not None:
            for digest, strip in self._strips.items():
                self.previews.put_parts(digest, strip)
        self._strips = {}
        written = {record.id for record in self._records}
        moved = self._store_records(np.concatenate(self._vectors)) if self._records else []
        # An away record that was found elsewhere may be one that was written over just now.
        self._gone = [each for each in self._gone if each not in written]
        self._ledger.add_failures(self._failures)
        self._failures = []
        if self._gone:
            self.away += said.delete(self._engine, self._gone, moved)
            self._gone = []
        self._ledger.clear_failures(self.settled)
        self.settled = []
        self.stored_at = time.perf_counter()
        self.seconds += self.stored_at - began

    def _store_records(self, vectors: Vectors) -> list[Moved]:
        """Write the records; return those that came from elsewhere, with their origins."""
        arrived = said.arrivals(self._engine, self._records)
        for id_ in said.restored(self._engine, self._records, arrived, self._origins):
            del self._origins[id_]
        new = [record for record in self._records if record.id not in self._origins]
        displaced = [record for record, _ in self.displaced.values()]
        found = said.origins(self._engine, new, arrived, self._is_gone, displaced)
        for id_, origin in found.items():
            self._origins[id_] = origin
            self._depart(origin)
        self._records = [
            with_words_of(record, self._origins[record.id])
            if record.id in self._origins
            else record
            for record in self._records
        ]
        lost = said.keep_displaced(
            self._engine, self._records, arrived, self._origins, self._placed
        )
        overwritten: dict[str, Record] = {}

        def merge(new: Record, stored: Record) -> Record:
            overwritten[stored.id] = stored
            return new if new.id in self._origins else with_words_of(new, stored)

        self._engine.put(self._records, vectors, merge)
        for stored in overwritten.values():
            old = self.displaced.get(stored.digest)
            if old is not None and old[0].id == stored.id:
                self.displaced[stored.digest] = (stored, old[1])
        moved = [(r, self._origins[r.id]) for r in self._records if r.id in self._origins]
        late = {
            id_: stored
            for id_, stored in overwritten.items()
            if id_ in self._origins
            and annotation_of(stored) != annotation_of(arrived.get(id_, stored))
        }
        said.keep_displaced(self._engine, self._records, late, self._origins, self._placed)
        said.inherit(self._engine, lost)
        self._placed.update(origin.digest for _, origin in moved)
        said.forget_displaced(self._engine, [origin for _, origin in moved])
        moved = said.carry_words(self._engine, moved, overwritten)
        self._records, self._vectors, self._origins = [], [], {}
        return moved

    def prune_previews(self) -> None:
        """Delete the previews of contents that no record has any more."""
        if self.previews is not None and self.dropped:
            self.store()
            self.previews.prune(self.dropped, self._engine)
