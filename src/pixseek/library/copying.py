"""Brings what one engine holds into step with another: both are read by id, and compared.

A pass over both writes what differs, so it can be killed at any moment and begun again, and what
changes meanwhile is carried over by the next pass. It remembers what it saw of each record: if one
differs whose source has not changed since, the target has damaged or never stored it.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Generator, Iterator, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from pixseek.types import WHOLE, Movable, Record, Space
from pixseek.types.dataclass import dataclass
from pixseek.types.engines import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pixseek.types import Part, Vectors

#: Records that are read, compared and written together.
BATCH = 1_000
#: By how much a number of a vector may differ: engines keep float16, or normalise once more.
_NEAR = 2.0**-11


class MovableEngine(Engine, Movable, Protocol):
    """An engine that can be copied from and to."""


class Entry(NamedTuple):
    """One record as an engine holds it.

    Attributes:
        record: with its parts in the active space.
        others: by fingerprint of each other space in which it has vectors: parts and vectors.
        vectors: (parts, dim) float32, of the active space.
    """

    record: Record
    others: dict[str, tuple[tuple[Part, ...], Vectors]]
    vectors: Vectors


@dataclass(slots=True)
class Pass:
    """What one pass over two engines found and did.

    Attributes:
        records: of the source, away ones included.
        vectors: of the source, in all spaces.
        digest: SHA-256 of the ids and float16 vectors of the source, in hexadecimal.
        written: how many records were written, because they were new or differed.
        removed: how many were removed, because the source has none of their ids.
        missing, changed, swapped, extra: how many records the target lacks, has with other
            metadata, with other vectors, or has though the source does not, without a change of
            the source since the pass before. Nothing is written of these.
    """

    records: int = 0
    vectors: int = 0
    digest: str = ""
    written: int = 0
    removed: int = 0
    missing: int = 0
    changed: int = 0
    swapped: int = 0
    extra: int = 0

    @property
    def is_even(self) -> bool:
        """Whether there was no difference."""
        return not (self.written or self.removed or self.damage)

    @property
    def damage(self) -> str:
        """What is wrong with the target, for people; "" for nothing."""
        said = (
            (self.missing, "missing"),
            (self.changed, "with other metadata"),
            (self.swapped, "with other vectors"),
            (self.extra, "that nobody wrote"),
        )
        return ", ".join(f"{count:,} {what}" for count, what in said if count)


@dataclass(slots=True)
class Seen:
    """What a pass saw of each record of the source: 16 bytes for each."""

    ids: array[int] = field(default_factory=lambda: array("Q"))
    states: array[int] = field(default_factory=lambda: array("Q"))
    _sorted: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None = None

    def add(self, id_: str, state: int) -> None:
        """Remember the state of a record."""
        self.ids.append(_hash(id_.encode()))
        self.states.append(state)

    def of(self, id_: str) -> int | None:
        """Return the state that a record had; None if it was not there."""
        if self._sorted is None:
            ids, states = (np.array(each, np.uint64) for each in (self.ids, self.states))
            order = np.argsort(ids, kind="stable")
            self._sorted = ids[order], states[order]
        ids, states = self._sorted
        wanted = np.uint64(_hash(id_.encode()))
        at = int(np.searchsorted(ids, wanted))
        return int(states[at]) if at < len(ids) and ids[at] == wanted else None


class Copy:
    """Copies the records of one engine into another, whose other records are removed."""

    def __init__(self, source: MovableEngine, target: MovableEngine) -> None:
        """Copy from an engine that holds a space."""
        self._source, self._target = source, target
        self._seen: Seen | None = None

    def prepare(self) -> None:
        """Give the target the spaces of the source, the same active one, and no others."""
        spaces, target = self._source.spaces(), self._target
        if target.space is None:
            target.ensure(spaces[0])
        for each in spaces:
            target.add_space(each)
        # The last one stays active; each gets its model's name by this.
        for each in reversed(spaces):
            if target.spaces()[0] != each:
                target.activate(each)
        wanted = {each.fingerprint for each in spaces}
        for each in target.spaces():
            if each.fingerprint not in wanted:
                target.drop_space(each)

    def step(
        self, look: Callable[[Space, Sequence[Record], Vectors], None] | None = None
    ) -> Generator[int, None, Pass]:
        """Compare all records and write what differs, yielding how many were compared.

        From the second pass on, what differs though the source has not changed is counted as
        damage, and not written.

        Args:
            look: is called with records of the source, as they are in one of its spaces, and
                the vectors of those.
        """
        before, seen, found = self._seen, Seen(), Pass()
        digest = hashlib.sha256()
        spaces = self._source.spaces()
        changed: list[tuple[Entry, bool]] = []
        gone: list[str] = []
        looked: list[Entry] = []
        for ours, theirs in _joined(entries(self._source, spaces), entries(self._target, spaces)):
            if ours is None:
                assert theirs is not None
                id_ = theirs.record.id
                if before is not None and before.of(id_) is None:
                    found.extra += 1
                else:
                    gone.append(id_)
            else:
                id_ = ours.record.id
                state = _state(ours)
                seen.add(id_, state)
                digest.update(_bytes_of(ours))
                found.records += 1
                found.vectors += len(ours.vectors) + sum(len(v) for _, v in ours.others.values())
                differs = theirs is None or not _is_same(ours, theirs)
                if differs and before is not None and before.of(id_) == state:
                    _blame(found, ours, theirs)
                elif differs:
                    changed.append((ours, theirs is not None))
                looked.append(ours)
            if len(looked) >= BATCH or len(changed) >= BATCH or len(gone) >= BATCH:
                self._write(changed, gone, spaces, found)
                _look(look, looked, spaces)
                changed, gone, looked = [], [], []
                yield found.records
        self._write(changed, gone, spaces, found)
        _look(look, looked, spaces)
        found.digest = digest.hexdigest()
        self._seen = seen
        yield found.records
        return found

    def _write(
        self,
        changed: Sequence[tuple[Entry, bool]],
        gone: Sequence[str],
        spaces: Sequence[Space],
        found: Pass,
    ) -> None:
        """Write entries, each with whether the target has something under its id; remove others."""
        target, (active, *others) = self._target, spaces
        # Whatever stands there would keep what the source does not have, such as other vectors.
        if replaced := [each.record.id for each, is_there in changed if is_there]:
            target.delete(replaced)
        if gone:
            target.delete(gone)
        new = [each for each, _ in changed]
        found.written += len(new)
        found.removed += len(gone)
        if not new:
            return
        rows = [np.empty((0, active.dim), np.float32), *(each.vectors for each in new)]
        target.put([each.record for each in new], np.concatenate(rows))
        usual = [each for each in new if not _is_odd(each)]
        for other in others:
            self._put_vectors(other, usual)
        odd = [each for each in new if _is_odd(each)]
        for n, other in enumerate(others):
            here = [each for each in odd if next(iter(each.others)) == other.fingerprint]
            if not here:
                continue
            # An engine takes their vectors only where their parts are known.
            target.activate(other)
            target.put(*_in_space(other, here))
            for further in others[n + 1 :]:
                self._put_vectors(further, here)
            target.activate(active)

    def _put_vectors(self, space: Space, some: Sequence[Entry]) -> None:
        if having := [each for each in some if space.fingerprint in each.others]:
            self._target.put_vectors(space, *_in_space(space, having))


def entries(engine: MovableEngine, spaces: Sequence[Space]) -> Iterator[Entry]:
    """Yield all records of an engine, by id, with their vectors in these spaces.

    Args:
        engine: to read, page by page.
        spaces: that it holds, the active one first.
    """
    active, *others = spaces
    after = ""
    while True:
        records, vectors = engine.page(active, BATCH, after)
        if not records:
            return
        last = records[-1].id
        beside = [(each.fingerprint, _between(engine, each, after, last)) for each in others]
        for record, own in _by_record(records, vectors):
            there = {
                fingerprint: found[record.id] for fingerprint, found in beside if record.id in found
            }
            yield Entry(record, there, own)
        if len(records) < BATCH:
            return
        after = last


def _between(
    engine: MovableEngine, space: Space, after: str, last: str
) -> dict[str, tuple[tuple[Part, ...], Vectors]]:
    """Return the parts and vectors in a space of the records behind one id, up to another."""
    found: dict[str, tuple[tuple[Part, ...], Vectors]] = {}
    while True:
        records, vectors = engine.page(space, BATCH, after)
        for record, own in _by_record(records, vectors):
            if record.id > last:
                return found
            if record.parts:
                found[record.id] = record.parts, own
        if len(records) < BATCH:
            return found
        after = records[-1].id


def _by_record(records: Sequence[Record], vectors: Vectors) -> Iterator[tuple[Record, Vectors]]:
    at = 0
    for record in records:
        yield record, vectors[at : at + len(record.parts)]
        at += len(record.parts)


def _joined(
    ours: Iterator[Entry], theirs: Iterator[Entry]
) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Yield what two engines hold under each id, by id."""
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.record.id < other.record.id):
            yield one, None
            one = next(ours, None)
        elif one is None or other.record.id < one.record.id:
            yield None, other
            other = next(theirs, None)
        else:
            yield one, other
            one, other = next(ours, None), next(theirs, None)


def _is_odd(entry: Entry) -> bool:
    """Return whether a record has parts in another space, and is without vectors in the active."""
    return not entry.record.parts and any(parts != (WHOLE,) for parts, _ in entry.others.values())


def _in_space(space: Space, having: Sequence[Entry]) -> tuple[list[Record], Vectors]:
    """Return records as they are in another space, in which all of them have vectors."""
    there = [each.others[space.fingerprint] for each in having]
    records = [
        replace(each.record, parts=parts) for each, (parts, _) in zip(having, there, strict=True)
    ]
    return records, np.concatenate([own for _, own in there])


def _look(
    look: Callable[[Space, Sequence[Record], Vectors], None] | None,
    some: Sequence[Entry],
    spaces: Sequence[Space],
) -> None:
    if look is None or not some:
        return
    active, *others = spaces
    look(active, [each.record for each in some], np.concatenate([each.vectors for each in some]))
    for other in others:
        if having := [each for each in some if other.fingerprint in each.others]:
            look(other, *_in_space(other, having))


def _blame(found: Pass, ours: Entry, theirs: Entry | None) -> None:
    if theirs is None:
        found.missing += 1
    elif _told(ours.record) != _told(theirs.record):
        found.changed += 1
    else:
        found.swapped += 1


def _is_same(ours: Entry, theirs: Entry) -> bool:
    return (
        _told(ours.record) == _told(theirs.record)
        and ours.others.keys() == theirs.others.keys()
        and _are_near(ours.vectors, theirs.vectors)
        and all(
            parts == theirs.others[each][0] and _are_near(own, theirs.others[each][1])
            for each, (parts, own) in ours.others.items()
        )
    )


def _are_near(ours: Vectors, theirs: Vectors) -> bool:
    return ours.shape == theirs.shape and (
        not ours.size or bool(np.abs(ours - theirs).max() <= _NEAR)
    )


def _told(record: Record) -> str:
    """Return all that is known of a record as a text: as a value, NaN is not equal to itself."""
    fields = sorted(record.fields.items())
    return repr(
        (
            record.id, record.uri, record.stamp, record.digest, record.media, record.width,
            record.height, record.taken_at, record.caption, record.tags, fields, record.parts,
            record.away, record.pixels, record.perceptual_hash,
        )
    )  # fmt: skip


def _bytes_of(entry: Entry) -> bytes:
    """Return what the digest of vectors is made of."""
    some = [entry.record.id.encode(), b"\0", entry.vectors.astype("<f2").tobytes()]
    for each, (_, own) in sorted(entry.others.items()):
        some += [each.encode(), b"\0", own.astype("<f2").tobytes()]
    return b"".join(some)


def _state(entry: Entry) -> int:
    """Return 64 bits that stand for all that is known of a record."""
    return _hash(_told(entry.record).encode("utf-8", "surrogatepass") + _bytes_of(entry))


def _hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
