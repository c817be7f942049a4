"""Say something of indexed images: records are rewritten, vectors are kept, nothing is embedded.

With sidecars, what the user changed is written beside each file as well, as the difference to what
they said before: so an edit that a photo manager has made in the meantime is kept. What was said
stays in the library too, and goes with a photo that leaves its sidecar behind.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.errors import ImageError, StorageError
from pixseek.images import decode
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
from pixseek.metadata.xmp import read_xmp
from pixseek.types import Engine, Record

if TYPE_CHECKING:
    from pixseek.encoders.classifiers import Classifier
    from pixseek.types import Vectors

#: Records in one write, which bounds memory: 1,024 rows of 512 floats are 2 MB.
_CHUNK = 1024

#: Words for the edge of a place, which is in the picture too. Beginnings of other words in general
#: are no such thing: "cat" is not in "catamaran".
_EDGE = re.compile(r"(?!off|out)(\w{3,}?)-?(?:side|shore|coast|bank|front)")

#: Images whose labels by a classifier are written together: what a killed process has to look at
#: again.
_SEEN = 256


def tag(
    changes: Mapping[str, Change],
    *,
    engine: Engine,
    sidecars_of: Callable[[Record], Path | None] | None = None,
) -> int:
    """Change what the user says of records.

    Args:
        changes: what is said, by the id of a record; those that are not there are passed over.
        engine: where they are.
        sidecars_of: gives the file beside which an XMP sidecar is written; None to write none.

    Returns:
        How many records changed.

    Raises:
        StorageError: some sidecars could not be written; all records are changed nonetheless.
    """
    count = 0
    unwritten: list[tuple[str, str]] = []
    ids = list(changes)
    for start in range(0, len(ids), _CHUNK):
        records: list[Record] = []
        for record in engine.get(ids[start : start + _CHUNK]):
            if record is None:
                continue
            before, part = annotation_of(record), file_part(record)
            after = changed(before, changes[record.id], part.tags)
            if sidecars_of is not None:
                path = sidecars_of(record)
                try:
                    part = _write_beside(path, part, before, after)
                except (OSError, ValueError) as error:
                    reason = error.strerror if isinstance(error, OSError) else str(error)
                    unwritten.append((str(path or record.uri), reason or str(error)))
            new = annotate(part, after)
            if new != record:
                records.append(new)
        if records:
            # By itself this changes nothing; but should another model be taken into use in between,
            # vectors that were read of the old one are refused.
            if (space := engine.space) is not None:
                engine.ensure(space)
            engine.put(records, _vectors(engine, records))
            count += len(records)
    if unwritten:
        path_text, reason = unwritten[0]
        more = f" and {len(unwritten) - 1} more" if len(unwritten) > 1 else ""
        raise StorageError(
            f"An XMP sidecar can't be written ({reason})",
            path_text + more,
            "What you said is kept in the library. When this is mended, run the same again.",
        )
    return count


def name_of(model: str, labels: Sequence[str], least: float) -> str:
    """Return a name for looking for some labels by a model, this sure, in whatever order."""
    said = json.dumps([model, sorted(labels), least])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def label(
    found: Mapping[str, Mapping[str, float]], labelled: str, *, field: str, engine: Engine
) -> None:
    """Add to records, as tags of the user, the labels that a model found.

    Args:
        found: labels with how sure the model is of each, by the id of a record, also of those of
            which there are none.
        labelled: name of the set of labels that was looked for.
        field: of the user, that is to say how sure the model was.
        engine: where the records are.
    """
    tag({each: _said(labels, labelled, field) for each, labels in found.items()}, engine=engine)


def _said(labels: Mapping[str, float], labelled: str, field: str) -> Change:
    rated = sorted(labels.items(), key=lambda each: -each[1])
    scores = ", ".join(f"{each.split(',')[0]} {score:.2f}" for each, score in rated)
    added = tuple(each for each, _ in rated)
    if field == LABEL_SCORES:  # whose words nobody chose who will search for them
        added += tuple(dict.fromkeys(place for each in added for place in _places(each)))
    return replace(change(add=added, fields={field: scores or None}), labelled=labelled)


def _places(label: str) -> Iterator[str]:
    """Yield what a label is the edge of: "lake" for "lakeside, lakeshore"."""
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
    """Add to records, as tags of the user, what a classifier sees; yield that for each of `ids`.

    What can't be looked at gets nothing, and is not marked: it may be there the next time. What was
    seen is written many records at a time, and at the end however that comes.

    Args:
        ids: of records.
        classifier: what looks.
        least: probability from which on a label counts.
        labelled: name of looking at images in this way.
        engine: where the records are.
        picture_of: gives the file or the preview of a record.

    Raises:
        ModelError: the classifier failed.
    """
    seen: dict[str, Mapping[str, float]] = {}

    def write() -> None:
        label(seen, labelled, field=LABEL_SCORES, engine=engine)
        seen.clear()

    try:
        for start in range(0, len(ids), classifier.batch_size):
            some = ids[start : start + classifier.batch_size]
            for each, labels in _seen(some, classifier, least, engine, picture_of):
                if labels is not None:
                    seen[each] = labels
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
) -> Iterator[tuple[str, Mapping[str, float] | None]]:
    """Yield for each id its labels with their probabilities; None where nothing can be seen."""
    import numpy as np

    prepared: dict[str, Vectors] = {}
    for each, record in zip(ids, engine.get(ids), strict=True):
        content = None if record is None else picture_of(record)
        tensor = None if content is None else _prepared(content, classifier)
        if tensor is not None:
            prepared[each] = tensor
    likely = classifier.probabilities(np.stack(list(prepared.values()))) if prepared else ()
    rows = dict(zip(prepared, likely, strict=True))
    for each in ids:
        row = rows.get(each)
        if row is None:
            yield each, None
            continue
        best = [at for at in np.argsort(-row, kind="stable").tolist() if row[at] >= least]
        yield each, {classifier.labels[at]: float(row[at]) for at in best}


def _prepared(content: bytes, classifier: Classifier) -> Vectors | None:
    try:
        return classifier.prepare(decode(content, at_least=2 * classifier.input_side))
    except ImageError:
        return None  # `pixseek failures` has said it, or will


def _vectors(engine: Engine, records: Sequence[Record]) -> Vectors:
    import numpy as np

    found = engine.vectors([record.id for record in records])
    return np.concatenate([rows for rows in found if rows is not None])


def _write_beside(path: Path | None, part: Record, before: Annotation, after: Annotation) -> Record:
    """Write what was said into a file's sidecar; return the record that the file makes with it.

    What the sidecar outdoes in the file is not read again: the next indexing run does that.
    """
    if path is None:
        raise ValueError("it is no file of this machine")
    if not path.is_file():
        raise ValueError("the file is not there")
    sidecar = xmp_sidecar(path)
    there, no_more = _read(sidecar), without(before.tags_added, after.tags_added)
    # Where the user takes back what they said, only that is taken out, and no edit made since.
    caption, rating = after.caption or None, after.rating or None
    if before.caption and not caption and there.caption == before.caption:
        caption = ""
    if before.rating and not rating and there.fields.get("rating") == before.rating:
        rating = 0
    try:
        write_xmp(
            sidecar,
            caption=caption,
            rating=rating,
            add=after.tags_added,
            remove=[*after.tags_removed, *no_more],
            otherwise=part.tags,
        )
    except ValueError as error:
        raise ValueError(f"{sidecar.name} is no XMP: {error}") from error
    found, fields = _read(sidecar), dict(part.fields)
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


def _read(sidecar: Path) -> Findings:
    """Return what an XMP sidecar says; nothing where it is not there or no XMP."""
    try:
        return read_xmp(sidecar.read_bytes(), sidecar=True)
    except Exception:  # whatever the parser raises: the writer says what is wrong with it
        return Findings()
