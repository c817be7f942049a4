"""What a run has made and not stored yet, and the order in which it is stored."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from pixseek.metadata.annotations import Annotation, annotate, annotation_of, combined
from pixseek.storage.ledger import Ledger
from pixseek.storage.previews import Previews
from pixseek.types import Engine, Failure, Record

if TYPE_CHECKING:
    from pixseek.types import Vectors


# Most contents set aside after they were overwritten in this run, for files that turn up with them
# later: if files are renumbered, each takes the place of the next. 16,384 rows of 512 floats are
# 33 MB.
_DISPLACED = 16_384


#: A record whose content was moved here, and the record that had it, as it was read.
Moved = tuple[Record, Record]


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
    """

    def __init__(self, engine: Engine, ledger: Ledger, previews: Previews | None) -> None:
        """Say where things go; None to keep no previews."""
        self._engine, self._ledger, self.previews = engine, ledger, previews
        self._records: list[Record] = []
        self._vectors: list[Vectors] = []
        self._origins: dict[str, Record] = {}  # by the id of the record that has their content now
        self._previews: dict[str, bytes] = {}  # by digest
        self._failures: list[Failure] = []
        self._gone: list[str] = []
        self.displaced: OrderedDict[str, tuple[Record, Vectors]] = OrderedDict()
        self.settled: list[str] = []
        self.dropped: set[str] = set()
        self.stored_at = time.perf_counter()
        self.seconds = 0.0

    def __len__(self) -> int:
        """How many records are not stored yet."""
        return len(self._records)

    def keep(
        self, record: Record, rows: Vectors, preview: bytes = b"", origin: Record | None = None
    ) -> None:
        """Store a record.

        Args:
            record: with the metadata of its file and the words of the user.
            rows: its vectors, (parts, dim) float32.
            preview: to be kept; b"" for none.
            origin: the record that had this content until now, if it is another. What the user
                says of that until the write belongs to this one.
        """
        if preview:
            self._previews[record.digest] = preview
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

    def forget_refusals(self) -> None:
        """Leave out the failures of images that a model could not embed: the model is broken."""
        self._failures = [each for each in self._failures if each.stage != "encode"]

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
        moved: list[Moved] = []
        if self._records:
            overwritten: dict[str, Record] = {}

            def merge(new: Record, stored: Record) -> Record:
                overwritten[stored.id] = stored
                return new if new.id in self._origins else with_words_of(new, stored)

            self._engine.put(self._records, np.concatenate(self._vectors), merge)
            for stored in overwritten.values():
                old = self.displaced.get(stored.digest)
                if old is not None and old[0].id == stored.id:
                    self.displaced[stored.digest] = (stored, old[1])
            moved = [(r, self._origins[r.id]) for r in self._records if r.id in self._origins]
            moved = carry_words(self._engine, moved, overwritten)
            self._records, self._vectors, self._origins = [], [], {}
        self._ledger.add_failures(self._failures)
        self._failures = []
        if self._gone:
            delete_moved(self._engine, self._gone, moved)
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


def with_words_of(record: Record, old: Record) -> Record:
    """Return `record` with the user's words about `old`."""
    said = annotation_of(old)
    if said.labelled and record.digest != old.digest:
        said = replace(said, labelled="")  # nobody looked for labels in the new content
    return annotate(record, said)


def carry_words(
    engine: Engine,
    moved: Sequence[Moved],
    overwritten: Mapping[str, Record] = MappingProxyType({}),
) -> list[Moved]:
    """Give records what the user said of their origins after those were read.

    Args:
        engine: where the records are stored.
        moved: records with their origins, as both were read; those have not been deleted yet.
        overwritten: origins that the write replaced, as they were then, by id.

    Returns:
        The same, with what was said until now.
    """
    rest = [origin.id for _, origin in moved if origin.id not in overwritten]
    found = zip(rest, engine.get(rest), strict=True) if rest else ()
    latest = {**overwritten, **{each: record for each, record in found if record is not None}}
    words: dict[str, tuple[Annotation, Annotation]] = {}  # as taken along, and the latest
    now: list[Moved] = []
    for record, origin in moved:
        current = latest.get(origin.id)
        if current is None or current.digest != origin.digest:
            continue
        said = annotation_of(current)
        if said != annotation_of(origin):
            words[record.id] = (annotation_of(record), said)
            now.append((annotate(record, said), current))
        else:
            now.append((record, origin))

    def merge(given: Record, stored: Record) -> Record:
        taken, said = words[stored.id]
        return annotate(stored, combined(taken, annotation_of(stored), said))

    if words:
        engine.describe([record for record, _ in now if record.id in words], merge)
    return now


def delete_moved(engine: Engine, ids: Sequence[str], moved: Sequence[Moved]) -> None:
    """Delete records; what the user says of them until then goes to where their files are now.

    Args:
        engine: where the records are stored.
        ids: of the records to delete, moved or not.
        moved: as `carry_words` returns it.
    """
    left = list(ids)
    while left:
        said = {origin.id: annotation_of(origin) for _, origin in moved}
        late = _delete_unless_late(engine, left, said)
        left = [each for each in left if each in late]
        moved = carry_words(engine, [pair for pair in moved if pair[1].id in late])


def _delete_unless_late(
    engine: Engine, ids: Sequence[str], said: Mapping[str, Annotation]
) -> set[str]:
    """Delete records, but for those of which the user said more meanwhile; return these."""
    late: set[str] = set()

    def is_carried(stored: Record) -> bool:
        carried = stored.id not in said or annotation_of(stored) == said[stored.id]
        if not carried:
            late.add(stored.id)
        return carried

    if said:
        engine.delete(ids, is_carried)
    else:
        engine.delete(ids)
    return late
