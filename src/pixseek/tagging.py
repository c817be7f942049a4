"""Say something of indexed images: records are rewritten, vectors are kept, nothing is embedded.

With sidecars, what the user changed is written beside each file as well, as the difference to what
they said before: so an edit that a photo manager has made in the meantime is kept. What was said
stays in the library too, and goes with a photo that leaves its sidecar behind.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.annotations import (
    Annotation,
    Change,
    annotate,
    annotation_of,
    change,
    changed,
    file_part,
    without,
)
from pixseek.errors import ImageError, StorageError
from pixseek.images import decode
from pixseek.metadata.fields import Findings
from pixseek.metadata.sidecar_writing import write_xmp, xmp_sidecar
from pixseek.metadata.xmp import read_xmp
from pixseek.types import Engine, Record

if TYPE_CHECKING:
    from pixseek.encoders.classifiers import Classifier
    from pixseek.types import Vectors

#: Records in one write, which bounds memory: 1,024 rows of 512 floats are 2 MB.
_CHUNK = 1024


def tag(
    ids: Sequence[str],
    what: Change,
    *,
    engine: Engine,
    sidecars_of: Callable[[Record], Path | None] | None = None,
) -> int:
    """Change what the user says of records.

    Args:
        ids: of records; those that are not there are passed over.
        what: is said of each.
        engine: where they are.
        sidecars_of: gives the file beside which an XMP sidecar is written; None to write none.

    Returns:
        How many records changed.

    Raises:
        StorageError: some sidecars could not be written; all records are changed nonetheless.
    """
    count = 0
    unwritten: list[tuple[str, str]] = []
    for start in range(0, len(ids), _CHUNK):
        records: list[Record] = []
        for record in engine.get(ids[start : start + _CHUNK]):
            if record is None:
                continue
            before, part = annotation_of(record), file_part(record)
            after = changed(before, what, part.tags)
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


def label(found: Mapping[str, Sequence[str]], labelled: str, *, engine: Engine) -> None:
    """Add to records, as tags of the user, the labels that a model found.

    Args:
        found: labels by the id of a record, also those of which there are none.
        labelled: name of the set of labels that was looked for.
        engine: where the records are.
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    for each, labels in found.items():
        alike.setdefault(tuple(labels), []).append(each)
    for labels, ids in alike.items():
        tag(ids, replace(change(add=labels), labelled=labelled), engine=engine)


def classified(
    ids: Sequence[str],
    classifier: Classifier,
    least: float,
    labelled: str,
    *,
    engine: Engine,
    picture_of: Callable[[Record], bytes | None],
) -> Iterator[tuple[str, ...]]:
    """Add to records, as tags of the user, what a classifier sees; yield that for each of `ids`.

    What can't be looked at gets nothing, and is not marked: it may be there the next time.

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
    import numpy as np

    size = classifier.batch_size
    for start in range(0, len(ids), size):
        some = ids[start : start + size]
        records = [record for record in engine.get(some) if record is not None]
        looked_at = [(record, picture_of(record)) for record in records]
        prepared = [
            (record, tensor)
            for record, content in looked_at
            if content is not None and (tensor := _prepared(content, classifier)) is not None
        ]
        likely = (
            classifier.probabilities(np.stack([tensor for _, tensor in prepared]))
            if prepared
            else np.empty((0, len(classifier.labels)))
        )
        for (record, _), row in zip(prepared, likely, strict=True):
            best = [at for at in np.argsort(-row, kind="stable").tolist() if row[at] >= least]
            labels = tuple(classifier.labels[at] for at in best)
            scores = ", ".join(
                f"{classifier.labels[at].split(',')[0]} {row[at]:.2f}" for at in best
            )
            what = change(add=labels, fields={"label_scores": scores or None})
            tag([record.id], replace(what, labelled=labelled), engine=engine)
            yield labels
        yield from [()] * (len(some) - len(prepared))


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
