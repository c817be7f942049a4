"""What users said outlives the records that it was said of.

Tags, ratings, captions and fields of users belong to a picture. They stay with its place when its
file is edited there, and follow its content when the file moves. When neither is to be found, they
stay in the engine, so that each machine that uses it still has them: as a record that is `away`,
without vectors, found only when asked for. They come back

- with the place: a record that is stored at the URI of an away one takes what was said of that;
- with the content: so does one with the same digest, or the same pixels, wherever it is.

If another content takes a place, two records would have one id, so what was said of the old content
is kept under an id of its own. Most often the user has only edited the file: then the place has all
that was said, and the record of the old content is marked (`REPLACED`), one for each place. It is
for the case that the old content turns up elsewhere, perhaps after a kill, perhaps in another run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from pixseek.metadata.annotations import (
    Annotation,
    annotate,
    annotation_of,
    by_hand,
    combined,
)
from pixseek.types import And, Compare, Engine, Not, Or, Record, record_id
from pixseek.types.engines import Merge

#: The field of an away record whose place has another content, with all that was said.
REPLACED = "pixseek.replaced"

#: Away records whose place and content are not in the library.
AWAY = And((Compare("away", "eq", True), Not(Compare(f"fields.{REPLACED}", "exists"))))

#: Digests in one question to the engine.
_CHUNK = 256
#: Records of other files with the same pixels that are looked at in one question.
_MOST_ALIKE = 4096

_NOTHING = Annotation()

#: A record whose content was moved here, and the record that had it, as it was read.
Moved = tuple[Record, Record]


def with_words_of(record: Record, old: Record) -> Record:
    """Return `record` with the user's words about `old`."""
    said = annotation_of(old)
    has_same_pixels = bool(record.pixels) and record.pixels == old.pixels
    if said.labelled and record.digest != old.digest and not has_same_pixels:
        said = replace(said, labelled="")  # nobody looked for labels in the new content
    return annotate(record, said)


def is_same_picture(one: Record, other: Record) -> bool:
    """Return whether two records have the same content, or differ in metadata alone."""
    if not (one.digest and other.digest):
        return True  # imported vectors have no digest
    return one.digest == other.digest or bool(one.pixels and one.pixels == other.pixels)


def with_words_of_both(record: Record, old: Record, first: Record | None = None) -> Record:
    """Return `record` with what was said of it and of `old`; that of `first` counts more.

    Args:
        record: its own words count more if there is no `first`.
        old: another.
        first: one of both.
    """
    mine, other = annotation_of(record), annotation_of(old)
    if first is old:
        mine, other = other, mine
    return annotate(record, combined(_NOTHING, mine, other))


def at_place(record: Record, uri: str) -> Record:
    """Return a record as it is at another URI, also one that is away."""
    moved = replace(record, uri=uri)
    if record.id == record_id(record.uri):
        return replace(moved, id=record_id(uri))
    return replace(moved, id=_place_id(moved) if REPLACED in record.fields else _content_id(moved))


# ------------------------------------------------------------------ away


def put_away(engine: Engine, ids: Sequence[str]) -> int:
    """Make records away: their vectors are dropped, what was said is kept. Return how many."""
    records = [record for record in engine.get(ids) if record is not None and not record.away]
    away = [replace(each, away=True, parts=()) for each in records]
    _put_away(engine, away, with_words_of)  # what a user says meanwhile is kept too
    return len(records)


def _put_away(engine: Engine, records: Sequence[Record], merge: Merge | None = None) -> None:
    space = engine.space
    if not records or space is None:
        return
    import numpy as np

    engine.put(records, np.zeros((0, space.dim), np.float32), merge)


# ------------------------------------------------------------------ coming back


def arrivals(engine: Engine, records: Sequence[Record]) -> dict[str, Record]:
    """Return what is stored under the ids of records, away or not."""
    found = engine.get([record.id for record in records])
    return {each.id: each for each in found if each is not None}


def origins(
    engine: Engine,
    records: Sequence[Record],
    stored: Mapping[str, Record],
    is_gone: Callable[[Record], bool],
    displaced: Iterable[Record] = (),
) -> dict[str, Record]:
    """Return the records whose words belong to records that are about to be stored, by the new id.

    Only those at another place: what was said of a place is kept when it is written.

    Args:
        engine: where they are looked for.
        records: the new ones.
        stored: what is stored under their ids.
        is_gone: whether the file of a record that is not away is no longer there.
        displaced: contents that lost their place earlier in this run.
    """
    at_home: list[str] = []
    lacking: list[Record] = []
    taking: set[str] = set()  # pixels that come to a place where something was said of others
    for record in records:
        own = stored.get(record.id)
        if own is not None and is_same_picture(own, record):
            at_home.append(own.id)
        else:
            lacking.append(record)
            if own is not None and record.pixels and annotation_of(own).is_said:
                taking.add(record.pixels)

    def counts(record: Record) -> bool:
        # A picture of which nothing was said brings just that along.
        return record.pixels in taking or annotation_of(record).is_said

    candidates = itertools.chain(
        _candidates(engine, lacking, is_gone, counts),
        (each for each in displaced if each.pixels in taking and not annotation_of(each).is_said),
    )
    taken = set(at_home)
    by_digest: dict[str, list[Record]] = {}
    by_pixels: dict[str, list[Record]] = {}
    for each in candidates:
        by_digest.setdefault(each.digest, []).append(each)
        if each.pixels:
            by_pixels.setdefault(each.pixels, []).append(each)
    found: dict[str, Record] = {}
    # The same name first: of several copies each gets back its own words.
    for by_name in (True, False):
        for record in lacking:
            if record.id in found:
                continue
            own = stored.get(record.id)
            same = (*by_digest.get(record.digest, ()), *by_pixels.get(record.pixels, ()))
            is_restored = own is not None and any(_has_all(own, each) for each in same)
            options = [
                each
                for each in same
                if each.id not in taken
                and (not by_name or each.name == record.name)
                and not (own is not None and _has_all(own, each))
                and not (is_restored and not annotation_of(each).is_said)
            ]
            if not options:
                continue
            best = min(
                options,
                key=lambda each: (
                    each.digest != record.digest,
                    not by_hand(annotation_of(each)),
                    each.uri,
                ),
            )
            taken.add(best.id)
            found[record.id] = best
    return found


def _has_all(own: Record, old: Record) -> bool:
    """Return whether a place has what was said of a content that it had before."""
    return own.uri == old.uri and REPLACED in old.fields and not own.away


def restored(
    engine: Engine,
    records: Sequence[Record],
    stored: Mapping[str, Record],
    moved: Mapping[str, Record],
) -> set[str]:
    """Return the ids of records whose content comes back to a place that had it before.

    Only of those of which something is said there. If the place had another content meanwhile, only
    if nothing is said where the content comes from.

    Args:
        engine: holds what the places had.
        records: those that will be written.
        stored: what is stored under their ids.
        moved: where the contents of some of them come from, by their id. That may be a copy, whose
            own file has changed.
    """
    said_of = [
        record
        for record in records
        if record.id in moved and record.id in stored and annotation_of(stored[record.id]).is_said
    ]
    at_home = {record.id for record in said_of if is_same_picture(stored[record.id], record)}
    some = [
        record
        for record in said_of
        if record.id not in at_home and not annotation_of(moved[record.id]).is_said
    ]
    had = engine.get([_place_id(record) for record in some]) if some else ()
    return at_home | {
        record.id
        for record, old in zip(some, had, strict=True)
        if old is not None and is_same_picture(old, record)
    }


def _candidates(
    engine: Engine,
    records: Sequence[Record],
    is_gone: Callable[[Record], bool],
    counts: Callable[[Record], bool],
) -> Iterator[Record]:
    """Yield the records that count, of those with the content or the pixels of some others.

    Those are away, or their file is gone.
    """
    for start in range(0, len(records), _CHUNK):
        some = records[start : start + _CHUNK]
        digests = Compare("digest", "in", tuple(sorted({r.digest for r in some if r.digest})))
        pixels = Compare("pixels", "in", tuple(sorted({r.pixels for r in some if r.pixels})))
        away = And((Compare("away", "eq", True), Or((digests, pixels))))
        for record in engine.get(list(engine.matching_ids(away))):
            if record is not None and annotation_of(record).is_said:
                yield record
        if not pixels.value:
            continue
        # Copies with the same digest are known to the run already, and there may be thousands.
        edited = And((pixels, Not(digests)))
        for record in engine.select(edited, order="uri", descending=False, k=_MOST_ALIKE, offset=0):
            if counts(record) and is_gone(record):
                yield record


# ------------------------------------------------------------------ contents that lose their place


def keep_displaced(
    engine: Engine,
    records: Sequence[Record],
    stored: Mapping[str, Record],
    moved: Mapping[str, Record],
    placed: Collection[str],
) -> list[Record]:
    """Keep what was said of contents that are about to be overwritten; return those contents.

    Args:
        engine: where it is kept.
        records: those that will be written.
        stored: what is stored under their ids.
        moved: where the words of some of them come from, by their id.
        placed: digests of contents whose words have gone elsewhere with them.
    """
    elsewhere = {*placed, *(origin.digest for origin in moved.values())}
    losing: list[Record] = []
    for record in records:
        old = stored.get(record.id)
        if old is None or not annotation_of(old).is_said or is_same_picture(old, record):
            continue
        if old.digest in elsewhere:
            continue
        away = replace(old, away=True, parts=())
        if record.id in moved and annotation_of(moved[record.id]) != annotation_of(old):
            losing.append(replace(away, id=_content_id(old)))
        else:
            fields = {**old.fields, REPLACED: True}
            losing.append(replace(away, id=_place_id(old), fields=fields))
    _put_away(engine, losing)
    return losing


def forget_displaced(engine: Engine, found: Iterable[Record]) -> None:
    """Delete the records of contents that lost their place, and have been found elsewhere."""
    digests = {id_: each.digest for each in found for id_ in (_content_id(each), _place_id(each))}
    engine.delete(digests, lambda stored: stored.digest == digests[stored.id])


def _content_id(record: Record) -> str:
    return record_id(f"{record.uri}#{record.digest}")


def _place_id(record: Record) -> str:
    return record_id(f"{record.uri}#")


# ------------------------------------------------------------------ said while a run goes on


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


def delete(engine: Engine, ids: Sequence[str], moved: Sequence[Moved] = ()) -> int:
    """Delete records; those of which something was said become away, unless that was carried on.

    What is said until then of a record whose content has moved goes to where that is now.

    Args:
        engine: where the records are stored.
        ids: of the records to delete, moved or not.
        moved: as `carry_words` returns it.

    Returns:
        How many became away.
    """
    left, kept = list(ids), 0
    while left:
        said = {origin.id: annotation_of(origin) for _, origin in moved}
        late: set[str] = set()
        unmoved: set[str] = set()

        def is_carried(
            stored: Record,
            said: Mapping[str, Annotation] = said,
            late: set[str] = late,
            unmoved: set[str] = unmoved,
        ) -> bool:
            carried, now = said.get(stored.id), annotation_of(stored)
            if now == carried or (carried is None and not now.is_said):
                return True
            (late if stored.id in said else unmoved).add(stored.id)
            return False

        engine.delete(left, is_carried)
        kept += put_away(engine, sorted(unmoved))
        left = [each for each in left if each in late]
        moved = carry_words(engine, [pair for pair in moved if pair[1].id in late])
    return kept


def give(engine: Engine, of: Sequence[str], to: str) -> bool:
    """Give a record what users said of others too; its own words count more.

    Args:
        engine: where they are stored.
        of: ids of the others.
        to: id of the record.

    Returns:
        Whether anything was added.
    """
    others = [each for each in engine.get(of) if each is not None and by_hand(annotation_of(each))]
    is_changed = False

    def merge(_: Record, stored: Record) -> Record:
        nonlocal is_changed
        merged = stored
        for each in others:
            merged = with_words_of_both(merged, each)
        is_changed = merged != stored
        return merged

    (record,) = engine.get([to])
    if others and record is not None:
        engine.describe([record], merge)
    return is_changed


def hand_on(engine: Engine, missing: Sequence[str], is_gone: Callable[[Record], bool]) -> None:
    """Give what was said of records that are about to become away to copies without words.

    A copy that only a model tagged has none yet. What was said is kept with the away records as
    well: their files may come back.

    Args:
        engine: where the records are stored.
        missing: ids of the records.
        is_gone: whether the file of a record is no longer there.
    """
    leaving = set(missing)
    for start in range(0, len(missing), _CHUNK):
        gone = [
            record
            for record in engine.get(missing[start : start + _CHUNK])
            if record is not None and annotation_of(record).is_said and is_gone(record)
        ]
        inherit(engine, gone, leaving)


def inherit(engine: Engine, gone: Sequence[Record], leaving: Collection[str] = ()) -> None:
    """Give what was said of contents that are gone to copies without words.

    Args:
        engine: where the copies are looked for.
        gone: records of the contents, as they were.
        leaving: ids of records that are no heirs, since they are about to go as well.
    """
    for start in range(0, len(gone), _CHUNK):
        some = gone[start : start + _CHUNK]
        digests = tuple(sorted({record.digest for record in some if record.digest}))
        pixels = tuple(sorted({record.pixels for record in some if record.pixels}))
        same = Or((Compare("digest", "in", digests), Compare("pixels", "in", pixels)))
        copies = [
            copy
            for copy in engine.select(same, order="uri", descending=False, k=_MOST_ALIKE, offset=0)
            if copy.id not in leaving and not by_hand(annotation_of(copy))
        ]
        heirs: dict[str, Record] = {}
        for record in some:
            alike = [
                copy for copy in copies if copy.id not in heirs and is_same_picture(copy, record)
            ]
            if alike:
                best = min(alike, key=lambda each: (each.name != record.name, each.uri))
                heirs[best.id] = record

        def give_words(_: Record, stored: Record, heirs: Mapping[str, Record] = heirs) -> Record:
            if by_hand(annotation_of(stored)):
                return stored
            return with_words_of_both(stored, with_words_of(stored, heirs[stored.id]))

        engine.describe([copy for copy in copies if copy.id in heirs], give_words)
