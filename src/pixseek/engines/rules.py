"""Checks and rules that hold for every engine.

Which arguments are accepted, what a record keeps when it is stored again, which records are found,
and the errors about spaces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import numpy as np

from pixseek import filters
from pixseek.engines import columns
from pixseek.errors import CapabilityError, EngineError, SpaceMismatchError
from pixseek.types import (
    WHOLE,
    And,
    Capabilities,
    Compare,
    Filter,
    Merge,
    Neighbours,
    Not,
    Outlines,
    Part,
    Record,
    Space,
)
from pixseek.types.queries import comparisons

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: How the fingerprint of a space begins that is known by its model's name only. Other fingerprints
#: are hexadecimal.
NAMED = "named"

#: Fulfilled by the records that are found without being asked for.
PRESENT = Not(Compare("away", "eq", True))


class Held(Protocol):
    """A space as an engine holds it."""

    @property
    def space(self) -> Space:
        """The space."""
        ...


class Answer(NamedTuple):
    """A record near a query, or one of its parts.

    Attributes:
        score: cosine of the part.
        id: of the record.
        part: index of the part among the record's.
        key: where the engine finds the vector.
    """

    score: float
    id: str
    part: int
    key: int


#: A space as the engine holds it.
HeldSpace = TypeVar("HeldSpace", bound=Held)


# ------------------------------------------------------------------ checks


def check(where: Filter | None) -> None:
    """Check a filter, if there is one.

    Raises:
        QueryError: see `filters.check`.
    """
    if where is not None:
        filters.check(where)


def check_k(k: int, capabilities: Capabilities) -> None:
    """Check that an engine can return the k nearest.

    Raises:
        CapabilityError: it can't.
    """
    if capabilities.max_k is not None and k > capabilities.max_k:
        raise CapabilityError(
            "more hits were asked for than this engine can rank",
            f"{k}, but at most {capabilities.max_k}",
            "Ask for fewer, or narrow the search by a filter.",
        )


def check_distinct(records: Sequence[Record]) -> None:
    """Check that no two records have the same id.

    Raises:
        EngineError: some do.
    """
    if len({record.id for record in records}) != len(records):
        seen: set[str] = set()
        twice = next(r.id for r in records if r.id in seen or seen.add(r.id))  # type: ignore[func-returns-value]
        raise EngineError("records to store have the same id", twice)


def check_batch(records: Sequence[Record], vectors: Vectors, dim: int) -> None:
    """Check records and the vectors of their parts.

    Raises:
        EngineError: records and vectors do not belong together, a record that is away has parts,
            or some vector is not finite.
    """
    check_distinct(records)
    for record in records:
        if record.away and record.parts:
            raise EngineError(
                "a record that is away has parts", record.uri, "Store it with parts=()."
            )
    parts = sum(len(record.parts) for record in records)
    if vectors.shape != (parts, dim):
        raise EngineError(
            "the vectors do not fit the records",
            f"shape {vectors.shape}, but {parts} parts in a space of {dim} dimensions",
        )
    check_finite(vectors)


def check_query(vectors: Vectors, dim: int) -> None:
    """Check the vectors of queries.

    Raises:
        EngineError: they have another dimension, or are not finite.
    """
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise EngineError(
            "the query does not fit the space", f"shape {vectors.shape}, but {dim} dimensions"
        )
    check_finite(vectors)


def check_finite(vectors: Vectors) -> None:
    """Check that vectors hold neither NaN nor infinity.

    Raises:
        EngineError: some do.
    """
    if not np.isfinite(vectors).all():
        raise EngineError("a vector is not finite", "", "The model that made it failed.")


def check_kept(kind: str, name: str, text: str | None) -> None:
    """Check a text to keep.

    Raises:
        EngineError: databases can't store it.
    """
    if not all(map(columns.is_storable, (kind, name, text or ""))):
        raise EngineError(
            "text with a NUL or half a surrogate pair can't be stored",
            f"{kind} {name!r}",
            "Replace those characters first: text.encode('utf-8', 'replace').decode().",
        )


# ------------------------------------------------------------------ rules


def visible(where: Filter | None) -> Filter:
    """Return a filter that leaves out records that are away, unless it names the field `away`."""
    if where is None:
        return PRESENT
    return (
        where if any(each.field == "away" for each in comparisons(where)) else And((PRESENT, where))
    )


def with_parts(record: Record) -> Record:
    """Return a record with what its vectors in another space will stand for."""
    return record if record.parts else replace(record, parts=(WHOLE,))


def is_same(now: Record, record: Record) -> bool:
    """Return whether vectors that were made of `record` fit what it is now.

    Without a digest, equal stamps must do.
    """
    return (
        not now.away
        and now.digest == record.digest
        and (bool(now.digest) or now.stamp == record.stamp)
        and with_parts(now).parts == record.parts
    )


def keeps_vectors(record: Record, digest: str, parts: Sequence[Part]) -> bool:
    """Return whether a record that is put again keeps its vectors in a space that is not active.

    Args:
        record: as it is put.
        digest: of what was stored.
        parts: what its vectors in that space stand for.
    """
    same = bool(record.digest) and record.digest == digest
    return same and not record.away and record.parts in ((), tuple(parts))


def changed(
    records: Iterable[Record],
    digests: Mapping[str, str],
    parts: Mapping[tuple[int, str], Sequence[Part]],
) -> list[tuple[int, str]]:
    """Return in which spaces which of the records that are put lose their vectors.

    Args:
        records: as they are put.
        digests: of what is stored, by id.
        parts: what stored vectors stand for, by number of a space that is not active, and id.
    """
    new = {record.id: record for record in records}
    return [
        (space, id_)
        for (space, id_), before in parts.items()
        if not keeps_vectors(new[id_], digests[id_], before)
    ]


def merged(new: Record, stored: Record | None, merge: Merge) -> Record:
    """Return what to store of a new record, given what is stored now.

    Raises:
        EngineError: `merge` changed what it must not.
    """
    if stored is None:
        return new
    result = merge(new, stored)
    for name in ("id", "digest", "parts", "away", "pixels", "perceptual_hash"):
        if getattr(result, name) != getattr(new, name):
            raise EngineError(
                "merging changed what it must keep",
                f"{name} of {new.uri!r}",
                "Return the new record with other metadata only.",
            )
    return result


def described(given: Record, stored: Record, merge: Merge | None) -> Record:
    """Return a stored record with the metadata of a given one.

    What follows from the content is filled if it is missing; older versions did not compute it.
    """
    same = given if given.digest == stored.digest else stored
    kept = replace(
        given,
        digest=stored.digest,
        parts=stored.parts,
        away=stored.away,
        pixels=stored.pixels or same.pixels,
        perceptual_hash=stored.perceptual_hash or same.perceptual_hash,
    )
    return kept if merge is None else merged(kept, stored, merge)


def best_of_each(parts: Iterable[Answer], k: int) -> list[Answer]:
    """Return the k best records, best first, ties by id, each by its best part.

    Of parts with equal scores the first one counts.
    """
    best: dict[str, Answer] = {}
    for each in sorted(parts, key=lambda answer: (-answer.score, answer.id, answer.part)):
        best.setdefault(each.id, each)
    return list(best.values())[:k]


def no_neighbours(dim: int, total: int) -> Neighbours:
    """Return the answer if nothing is near."""
    return Neighbours((), np.empty(0, np.float32), np.empty((0, dim), np.float32), (), total)


def no_outlines(total: int) -> Outlines:
    """Return the outlines of no record."""
    return Outlines((), np.empty(0, np.float64), (), total)


# ------------------------------------------------------------------ spaces


def named_space(model: str, dim: int) -> Space:
    """Return the space of a model that is known by its name only."""
    digest = hashlib.sha256(f"{model}\n{dim}".encode()).hexdigest()
    return Space(f"{NAMED}{digest[len(NAMED) :]}", dim, model)


def is_one(one: Space | None, other: Space) -> bool:
    """Return whether these are the same space, whatever its model is called."""
    return one is not None and (one.fingerprint, one.dim) == (other.fingerprint, other.dim)


def find(spaces: Iterable[HeldSpace], space: Space) -> HeldSpace | None:
    """Return a space by its fingerprint; None if it is not held.

    Raises:
        EngineError: it is held with another dimension.
    """
    for each in spaces:
        if each.space.fingerprint == space.fingerprint:
            if each.space.dim != space.dim:
                raise other_dimension(each.space, space)
            return each
    return None


def required(spaces: Iterable[HeldSpace], space: Space) -> HeldSpace:
    """Return a space by its fingerprint.

    Raises:
        EngineError: it is not held, or with another dimension.
    """
    found = find(spaces, space)
    if found is None:
        raise not_held(space)
    return found


def no_space(subject: object) -> EngineError:
    """Return the error for a library that was never told its space."""
    return EngineError("the library has no space yet", subject, "Call ensure() first.")


def space_mismatch(held: Space, asked: Space) -> SpaceMismatchError:
    """Return the error for a library that holds vectors of another space than asked for."""

    def naming(space: Space) -> str:
        return f"{space.model} ({space.fingerprint[:8]}, {space.dim} dimensions)"

    return SpaceMismatchError(
        "the library was indexed with another model",
        f"{naming(held)}, not {naming(asked)}",
        f"Use the model {held.model} again, or another library (--library), or let the other model "
        f"embed what is in this one: pixseek reindex --model {asked.model}",
    )


def other_dimension(held: Space, asked: Space) -> EngineError:
    """Return the error for a space that is held with another dimension than asked for."""
    return EngineError(
        "this space has vectors of another length",
        f"{held.model} ({held.fingerprint[:8]}): {held.dim}, not {asked.dim}",
        "The model's files were changed: fetch it again.",
    )


def not_held(space: Space) -> EngineError:
    """Return the error for a space that was never added, or is dropped."""
    return EngineError(
        "the library holds no vectors of this space",
        f"{space.model} ({space.fingerprint[:8]})",
        "Call add_space() first.",
    )


def in_use(space: Space) -> EngineError:
    """Return the error for dropping the active space."""
    return EngineError(
        "the active space can't be dropped",
        f"{space.model} ({space.fingerprint[:8]})",
        "Activate another one first.",
    )
