"""Change what users say about indexed images. Nothing is embedded, and no vector moves.

May run at any time, also while a run indexes the library, in this process or in another: each
change is applied to the record that is stored when it is written, so neither loses the other's.

With sidecars, a change is also written next to each file, as the difference to what the user said
before, so an edit by another program is kept. The library keeps what was said too, and it goes with
a photo that leaves its sidecar behind.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek import files
from pixseek.errors import ImageError, StorageError
from pixseek.images import decode_indexed
from pixseek.metadata.annotations import (
    LABEL_SCORES,
    Annotation,
    Change,
    annotate,
    annotation_of,
    change,
    changed,
    file_part,
    without,
)
from pixseek.metadata.fields import Findings
from pixseek.metadata.sidecar_writing import write_xmp, xmp_sidecar
from pixseek.metadata.xmp import MAX_PACKET, read_xmp
from pixseek.types import Engine, Record

if TYPE_CHECKING:
    from pixseek.encoders.classifiers import Classifier
    from pixseek.types import Vectors

#: Records in one write, so that others can write in between.
CHUNK = 1024

#: Words for the edge of a place, which is in the picture too. Beginnings of other words mean
#: nothing: "cat" is not in "catamaran".
_EDGE = re.compile(r"(?!off|out)(\w{3,}?)-?(?:side|shore|coast|bank|front)")

#: Images whose labels by a classifier are written together: a killed process loses at most these.
_SEEN = 256

#: Where a file is, and the folder, resolved, that it and its sidecars have to lie in, if any.
Place = tuple[Path, str | None]

#: What a sidecar makes of the record of its file.
_Beside = Callable[[Record], Record]


def tag(
    changes: Mapping[str, Change],
    *,
    engine: Engine,
    places: Callable[[Record], Place | None] | None = None,
    digests: Mapping[str, str] | None = None,
) -> int:
    """Change what the user says about records.

    Args:
        changes: what is said, by the id of a record; ids that are not stored are skipped, unless
            the content has just moved to another id.
        engine: where they are.
        places: returns the file next to which an XMP sidecar is written; None to write none.
        digests: the content that the changes are about, by id; a record that has other content by
            now stays as it is. None if the changes hold for any content.

    Returns:
        How many records changed.

    Raises:
        StorageError: some sidecars could not be written; all records are changed nonetheless.
    """
    count = 0
    unwritten: list[tuple[str, str]] = []
    ids = list(changes)
    for start in range(0, len(ids), CHUNK):
        given: list[Record] = []
        beside: dict[str, _Beside] = {}

        def merged(_: Record, stored: Record, beside: Mapping[str, _Beside] = beside) -> Record:
            if digests is not None and digests.get(stored.id) != stored.digest:
                return stored
            part = file_part(stored)
            said = changed(annotation_of(stored), changes[stored.id], part.tags)
            return annotate(beside[stored.id](part) if stored.id in beside else part, said)

        for record in engine.get(ids[start : start + CHUNK]):
            if record is None:
                continue
            if places is not None:
                place, part = places(record), file_part(record)
                before = annotation_of(record)
                after = changed(before, changes[record.id], part.tags)
                try:
                    beside[record.id] = _write_beside(place, part, before, after)
                except (OSError, ValueError) as error:
                    reason = error.strerror if isinstance(error, OSError) else str(error)
                    where = place[0] if place else record.uri
                    unwritten.append((str(where), reason or str(error)))
            if merged(record, record) != record:
                given.append(record)
        described = engine.describe(given, merged)
        if described < len(given):
            described += _follow(given, changes, engine, digests)
        count += described
    if unwritten:
        path_text, reason = unwritten[0]
        more = f" and {len(unwritten) - 1} more" if len(unwritten) > 1 else ""
        raise StorageError(
            f"An XMP sidecar can't be written ({reason})",
            path_text + more,
            "Your changes are kept in the library. When this is fixed, run the same again.",
        )
    return count


def _follow(
    given: Sequence[Record],
    changes: Mapping[str, Change],
    engine: Engine,
    digests: Mapping[str, str] | None,
) -> int:
    """Apply changes to content that moved to another id after it was read; return how many."""
    there = engine.get([record.id for record in given])
    gone = [old for old, now in zip(given, there, strict=True) if now is None and old.digest]
    found = engine.with_digests([old.digest for old in gone])
    moved: dict[str, Record] = {}
    for old in gone:
        holders = found.get(old.digest, ())
        if len(holders) == 1:  # of several copies, none can be told from the others
            moved[holders[0].id] = old
    return tag(
        {new: changes[old.id] for new, old in moved.items()},
        engine=engine,
        digests=None if digests is None else {new: digests[old.id] for new, old in moved.items()},
    )


def name_of(model: str, labels: Sequence[str], least: float | str) -> str:
    """Return a name for a search for labels, in any order, by a model with a least score."""
    said = json.dumps([model, sorted(labels), least])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def label(
    found: Mapping[str, Mapping[str, float]],
    labelled: str,
    *,
    field: str,
    engine: Engine,
    digests: Mapping[str, str],
    shown: Callable[[float], str] = "{:.2f}".format,
) -> None:
    """Add the labels that a model found to records, as tags of the user.

    Args:
        found: labels with the model's score, by the id of a record; also for records with no
            label.
        labelled: name of the set of labels that was looked for.
        field: the user's field that holds what `shown` makes of the scores.
        engine: where the records are.
        digests: the content that was looked at, by id; a record with other content by now is
            skipped.
        shown: returns a score as text.
    """
    changes = {each: _said(labels, labelled, field, shown) for each, labels in found.items()}
    tag(changes, engine=engine, digests=digests)


def _said(
    labels: Mapping[str, float], labelled: str, field: str, shown: Callable[[float], str]
) -> Change:
    rated = sorted(labels.items(), key=lambda each: -each[1])
    scores = ", ".join(f"{each.split(',')[0]} {shown(score)}" for each, score in rated)
    added = tuple(each for each, _ in rated)
    if field == LABEL_SCORES:  # nobody chose these words to search for them
        added += tuple(dict.fromkeys(place for each in added for place in waters_in(each)))
    return replace(change(add=added, fields={field: scores or None}), labelled=labelled)


def waters_in(label: str) -> Iterator[str]:
    """Yield the places whose edge a label names: "lake" for "lakeside, lakeshore"."""
    for word in label.split(","):
        if found := _EDGE.fullmatch(word.strip()):
            yield found[1]


def classified(
    ids: Sequence[str],
    classifier: Classifier,
    least: float,
    labelled: str,
    *,
    engine: Engine,
    picture_of: Callable[[Record], bytes | None],
) -> Generator[tuple[str, ...]]:
    """Add what a classifier sees to records, as tags of the user; yield the labels of each id.

    An image that can't be read gets no labels and no mark: it may be there the next time. Labels
    are written many records at a time, and at the end, even if the caller stops early.

    Args:
        ids: of records.
        classifier: what looks.
        least: smallest probability that counts.
        labelled: name of this search for labels.
        engine: where the records are.
        picture_of: returns the file or the preview of a record.

    Raises:
        ModelError: the classifier failed.
    """
    seen: dict[str, Mapping[str, float]] = {}
    digests: dict[str, str] = {}

    def write() -> None:
        label(seen, labelled, field=LABEL_SCORES, engine=engine, digests=digests)
        seen.clear()
        digests.clear()

    try:
        for start in range(0, len(ids), classifier.batch_size):
            some = ids[start : start + classifier.batch_size]
            for each, digest, labels in _seen(some, classifier, least, engine, picture_of):
                if labels is not None:
                    seen[each], digests[each] = labels, digest
                yield tuple(labels or ())
            if len(seen) >= _SEEN:
                write()
    finally:
        write()


def _seen(
    ids: Sequence[str],
    classifier: Classifier,
    least: float,
    engine: Engine,
    picture_of: Callable[[Record], bytes | None],
) -> Iterator[tuple[str, str, Mapping[str, float] | None]]:
    """Yield each id, the digest of its content, and its labels with their probabilities.

    The labels are None if the image can't be read.
    """
    import numpy as np

    prepared: dict[str, Vectors] = {}
    records = engine.get(ids)
    for each, record in zip(ids, records, strict=True):
        content = None if record is None else picture_of(record)
        tensor = _prepared(content, record, classifier) if content and record else None
        if tensor is not None:
            prepared[each] = tensor
    likely = classifier.probabilities(np.stack(list(prepared.values()))) if prepared else ()
    rows = dict(zip(prepared, likely, strict=True))
    for each, record in zip(ids, records, strict=True):
        row = rows.get(each)
        if row is None or record is None:
            yield each, "", None
            continue
        best = [at for at in np.argsort(-row, kind="stable").tolist() if row[at] >= least]
        yield each, record.digest, {classifier.labels[at]: float(row[at]) for at in best}


def _prepared(content: bytes, record: Record, classifier: Classifier) -> Vectors | None:
    try:
        least = 2 * classifier.input_side
        return classifier.prepare(decode_indexed(content, record, at_least=least))
    except ImageError:
        return None  # `pixseek failures` shows it, or will


def _write_beside(
    place: Place | None, part: Record, before: Annotation, after: Annotation
) -> _Beside:
    """Write a change into a file's sidecar; return what the sidecar makes of the file's record.

    What the sidecar overrides in the file is not read again: the next indexing run does that.
    """
    if place is None:
        raise ValueError("it is not a file of this machine")
    path, within = place
    try:
        with files.opened(path, within=within):
            sidecar = xmp_sidecar(path)
    except FileNotFoundError:
        raise ValueError("the file is not there") from None
    there, no_more = _read(sidecar, within), without(before.tags_added, after.tags_added)
    # If the user clears a value, only that value is taken out, and no edit made since.
    caption, rating = after.caption or None, after.rating or None
    if before.caption and not caption and there.caption == before.caption:
        caption = ""
    if before.rating and not rating and there.fields.get("rating") == before.rating:
        rating = 0
    try:
        write_xmp(
            sidecar,
            within=within,
            caption=caption,
            rating=rating,
            add=after.tags_added,
            remove=[*after.tags_removed, *no_more],
            otherwise=part.tags,
        )
    except ValueError as error:
        raise ValueError(f"{sidecar.name} is not XMP: {error}") from error
    found = _read(sidecar, within)

    def beside(part: Record) -> Record:
        fields = dict(part.fields)
        if found.fields.get("rating"):
            fields["rating"] = found.fields["rating"]
        elif rating == 0:
            fields.pop("rating", None)
        return replace(
            part,
            caption=found.caption or ("" if caption == "" else part.caption),
            tags=found.tags or without(part.tags, no_more),
            fields=fields,
        )

    return beside


def _read(sidecar: Path, within: str | None) -> Findings:
    """Return what an XMP sidecar says; nothing if it is not there or not XMP."""
    try:
        content = files.beginning(sidecar, MAX_PACKET + 1, within=within)
        return read_xmp(content, sidecar=True)
    except Exception:  # whatever the parser raises: the writer says what is wrong with it
        return Findings()
