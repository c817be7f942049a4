"""Export of a library's vectors to files, and import of vectors computed elsewhere."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek import files
from pixseek.errors import SourceError, SpaceMismatchError, StorageError
from pixseek.indexing import said
from pixseek.library import clip_retrieval, vector_files
from pixseek.library.building import build
from pixseek.library.imported_space import space_of_import
from pixseek.library.model import LibraryModel
from pixseek.library.opened import Opened
from pixseek.sources.stamps import Stamps
from pixseek.types import Engine, Record, record_id

if TYPE_CHECKING:
    from pixseek.types import Vectors


def export(opened: Opened, path: str | os.PathLike[str]) -> int:
    """Write ids, vectors and metadata to a file; see `Library.export`."""
    target = Path(os.path.expanduser(path))
    try:
        return vector_files.export_vectors(opened.engine, target)
    except OSError as error:
        raise StorageError(
            f"The file can't be written ({error.strerror})", target, "Choose another place."
        ) from error


def import_vectors(
    opened: Opened,
    model: LibraryModel,
    path: str | os.PathLike[str],
    base: str | os.PathLike[str] | None,
    name: str,
    dim: int,
    *,
    overwrite: bool,
    on_kept: Callable[[int], None] | None,
) -> int:
    """Bring in vectors that were computed elsewhere; see `Library.import_vectors`."""
    with opened.writing():
        source = Path(os.path.expanduser(path))
        read = clip_retrieval.read if os.path.isdir(source) else vector_files.read_vectors
        with model.waiting(f"Reading {source.name}"):
            incoming = read(source)
        theirs = incoming.space
        if not theirs.dim:
            raise SourceError("There are no vectors in it", source, "Choose another file.")
        if dim and dim != theirs.dim:
            raise SpaceMismatchError(
                "The vectors do not have the length that was given",
                f"{source}: {theirs.dim} numbers, and not {dim}",
                "Leave out --dim, or choose another file.",
            )
        space = space_of_import(opened, model, theirs, source, name)
        opened.engine.ensure(space)
        place = _placing(opened, source, base)
        count = kept = 0
        for records, vectors in incoming.batches:
            rows = _unit_rows(vectors, space.dim, path)
            moved = [place(record) for record in records]
            # Of several rows with one URI the last counts.
            last = {record.id: n for n, record in enumerate(moved)}
            starts = list(itertools.accumulate((len(record.parts) for record in moved), initial=0))
            held = {} if overwrite else _held(opened.engine, [moved[n] for n in last.values()])
            chosen = sorted(n for each, n in last.items() if each not in held)
            wanted = [row for n in chosen for row in range(starts[n], starts[n + 1])]
            with model.waiting(f"Importing: {count:,} images so far"):
                opened.engine.put([moved[n] for n in chosen], rows[wanted], _with_words_here)
            count += len(chosen)
            kept += _describe(opened.engine, held)
        with model.waiting("Building the index"):
            for _ in build(opened.engine, None):
                pass
        if kept and on_kept is not None:
            on_kept(kept)
        _import_bare(opened.engine, [place(record) for record in incoming.bare])
        for kind, texts in incoming.kept.items():
            here = opened.engine.kept(kind)
            for each in texts.keys() - here.keys():  # what is kept here stays as it is
                opened.engine.keep(kind, each, texts[each])
        return count


def _held(engine: Engine, records: Sequence[Record]) -> dict[str, tuple[Record, Record]]:
    """Return those records that the library has with vectors, by id, each with the one it has."""
    own = engine.get([record.id for record in records])
    there = engine.get([record_id(record.uri) for record in records])
    found: dict[str, tuple[Record, Record]] = {}
    for record, *stored in zip(records, own, there, strict=True):
        for each in stored:
            if each is not None and each.parts and not each.away:
                found[record.id] = record, each
    return found


def _describe(engine: Engine, held: Mapping[str, tuple[Record, Record]]) -> int:
    """Give records of the library what was said of them in a file; return how many they are."""
    given = {stored.id: replace(record, id=stored.id) for record, stored in held.values()}
    engine.describe(
        list(given.values()), lambda given, stored: said.with_words_of_both(stored, given)
    )
    return len(given)


def _with_words_here(record: Record, stored: Record) -> Record:
    """Return an incoming record with what was said of it here too; that counts more."""
    return said.with_words_of_both(record, stored, first=stored)


def _import_bare(engine: Engine, records: Sequence[Record]) -> None:
    """Store records without vectors; of those that are here, only what was said of them.

    What was said of an away record goes to an image here that has its content and no words.
    """
    import numpy as np

    assert engine.space is not None
    none = np.zeros((0, engine.space.dim), np.float32)
    for start in range(0, len(records), vector_files.BATCH):
        some = records[start : start + vector_files.BATCH]
        found = zip(some, engine.get([record.id for record in some]), strict=True)
        here = {each.id: each for each, stored in found if stored is not None}
        new = [each for each in some if each.id not in here]
        engine.put(new, none)
        away = [each.id for each in new if each.away and said.REPLACED not in each.fields]
        said.hand_on(engine, away, lambda _: True)
        engine.describe(
            list(here.values()), lambda given, stored: said.with_words_of_both(stored, given)
        )


def _placing(
    opened: Opened, source: Path, base: str | os.PathLike[str] | None
) -> Callable[[Record], Record]:
    """Return the function that gives an incoming record its URI in this library.

    It raises `SourceError` for a record whose URI names a file outside of the library's folders.
    """
    prefix = ""
    if base is not None:
        folder = Path(os.path.abspath(Path(os.path.expanduser(base))))
        if not os.path.isdir(folder):
            raise SourceError("No such folder", base, "Check the path.")
        prefix = opened.roots.add(folder, whole=True).rstrip("/")

    stamps = Stamps()

    def place(record: Record) -> Record:
        uri = record.uri
        if "://" not in uri:
            if os.name == "nt":
                uri = Path(uri).as_posix()
            if Path(uri).is_absolute():
                uri = opened.roots.uri_of(uri) or ""
                advice = "Name the folder that all images lie in: --base DIR"
            else:
                uri = "/".join(filter(None, (prefix, uri.removeprefix("./"))))
                advice = 'Correct it, or leave it out: no part may be empty, "." or "..".'
            if not files.stays_inside(uri):
                raise SourceError(
                    "An image lies outside of the library's folders",
                    f"{source}: {record.uri}",
                    advice,
                )
        if uri != record.uri:
            record = said.at_place(record, uri)
        path = opened.roots.path_of(uri)
        if record.stamp is None and path is not None and os.path.isfile(path):
            # As it is now: the next run takes the file as unchanged, and embeds nothing again.
            record = replace(record, stamp=stamps.of(path))
        return record

    return place


def _unit_rows(vectors: Any, dim: int, path: object) -> Vectors:
    import numpy as np

    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise SpaceMismatchError(
            "The vectors have another length than those of the library's model",
            f"{path}: shape {vectors.shape}, wanted (n, {dim})",
            "Give the model they were made with as --model, and a new --library.",
        )
    rows = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if len(bad):
        raise SourceError(
            "Some vectors are zero or not finite",
            f"{path}: {len(bad)} rows, the first is row {int(bad[0])}",
            "Compute them again, or leave them out.",
        )
    unit: Vectors = rows / lengths
    return unit
