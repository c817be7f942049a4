"""Groups of images that are the same, or nearly: copies, smaller versions, bursts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pixseek.types import Engine, Neighbours, Record
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Records whose neighbours are asked for in one call.
_BATCH = 256
#: Neighbours of each that are looked at. A group may be larger: it is joined through its members.
_NEIGHBOURS = 20


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Images that are nearly the same.

    Attributes:
        records: the one to keep first: that with the most pixels, then bytes, then the oldest
            file, then by URI.
        exact: whether all have the same content, byte for byte.
    """

    records: tuple[Record, ...]
    exact: bool

    @property
    def kept(self) -> Record:
        """The one to keep."""
        return self.records[0]

    @property
    def rest(self) -> tuple[Record, ...]:
        """The others."""
        return self.records[1:]


def find(engine: Engine, least_cosine: float) -> Iterator[DuplicateGroup]:
    """Yield the groups of a library, by the URI of the image to keep.

    Two images are in one group if their cosine is at least `least_cosine`, or their content is the
    same, or a chain of such pairs joins them. Whole images are compared: one that is nearly a tile
    of another is a part of it and no copy.

    Args:
        engine: holds the images.
        least_cosine: from which two are nearly the same.
    """
    leader: dict[str, str] = {}
    by_digest: dict[str, str] = {}
    for exported, vectors in engine.export(_BATCH):
        records = [record for record in exported if record.parts]
        rows = _whole(records, vectors)
        found = engine.nearest(rows, _NEIGHBOURS)
        for record, row, near in zip(records, rows, found, strict=True):
            if record.digest:
                _join(leader, record.id, by_digest.setdefault(record.digest, record.id))
            for other in _alike(engine, row, near, least_cosine):
                if other != record.id:
                    _join(leader, record.id, other)
    members: dict[str, list[str]] = {}
    for each in leader:
        members.setdefault(_leader(leader, each), []).append(each)
    groups = []
    for ids in members.values():
        group = [record for record in engine.get(ids) if record is not None]
        if len(group) > 1:
            group.sort(key=_merit)
            digests = {record.digest for record in group}
            groups.append(DuplicateGroup(tuple(group), len(digests) == 1 and "" not in digests))
    yield from sorted(groups, key=lambda group: group.kept.uri)


def _whole(records: list[Record], vectors: Vectors) -> Vectors:
    """Return the first vector of each record."""
    import numpy as np

    starts = np.cumsum([0, *(len(record.parts) for record in records)])[:-1]
    first: Vectors = vectors[starts]
    return first


def _alike(engine: Engine, whole: Vectors, near: Neighbours, least_cosine: float) -> Iterator[str]:
    """Yield the ids of those neighbours that are, as a whole, nearly the same."""
    by_tile: list[str] = []
    for other, part, score in zip(near.ids, near.parts, near.scores.tolist(), strict=True):
        if score >= least_cosine:
            if part == 0:
                yield other
            else:
                by_tile.append(other)
    for other, rows in zip(by_tile, engine.vectors(by_tile) if by_tile else (), strict=True):
        if rows is not None and len(rows) and float(rows[0] @ whole) >= least_cosine:
            yield other


def _merit(record: Record) -> tuple[int, int, int, str]:
    size, mtime = (record.stamp.size, record.stamp.mtime_ns) if record.stamp else (0, 0)
    return (-record.width * record.height, -size, mtime, record.uri)


def _leader(leader: dict[str, str], each: str) -> str:
    while leader[each] != each:
        leader[each] = leader[leader[each]]
        each = leader[each]
    return each


def _join(leader: dict[str, str], one: str, other: str) -> None:
    leader.setdefault(one, one)
    leader.setdefault(other, other)
    leader[_leader(leader, one)] = _leader(leader, other)
