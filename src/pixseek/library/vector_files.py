"""The file formats of export and import: Parquet or npz, with ids, URIs, vectors and metadata."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pixseek import files
from pixseek.errors import SourceError
from pixseek.library import imported_records
from pixseek.library.parquet import parquet, rows_in
from pixseek.redaction import redacted
from pixseek.types import WHOLE, Engine, Part, Record, Space, Stamp, record_id
from pixseek.types.dataclass import dataclass
from pixseek.types.engines import KINDS

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: The key of a header with the records that have no vectors.
_BARE = "pixseek_bare"
#: Rows that are written or read at once.
BATCH = 4096


@dataclass(frozen=True, slots=True)
class Incoming:
    """Vectors found in a file.

    Attributes:
        space: of the vectors: their length, 0 if there are none; the model and the fingerprint
            that the file names, "" if it names none.
        batches: records with their vectors, (parts, dim) float32, not normalised.
        kept: texts about the whole library, by kind and name; see `Engine.keep`.
        bare: records without vectors, those that are away among them.
    """

    space: Space
    batches: Iterator[tuple[list[Record], Vectors]]
    kept: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    bare: tuple[Record, ...] = ()


def export_vectors(engine: Engine, path: Path) -> int:
    """Write every record with its vectors to `path`, a .parquet or .npz file.

    One row per vector; records without vectors are in the header. The file appears under its name
    only when it is complete.

    Returns:
        The number of rows.

    Raises:
        SourceError: the ending is neither, or the library is empty.
        MissingExtraError: .parquet needs pyarrow.
        OSError: the file can't be written.
    """
    space = engine.space
    if space is None:
        raise SourceError("The library is empty", advice="Index something first: pixseek index DIR")
    if path.suffix not in (".parquet", ".npz"):
        raise SourceError("Unknown format to export to", path, "Use .parquet or .npz.")
    write = _write_parquet if path.suffix == ".parquet" else _write_npz
    with files.replacing(path) as file:
        return write(engine, space, file)


def read_vectors(path: Path) -> Incoming:
    """Open a .parquet or .npz file to import its vectors.

    Raises:
        SourceError: there is no such file, or it lacks columns.
        MissingExtraError: Parquet needs pyarrow.
    """
    if not os.path.isfile(path):
        raise SourceError("No such file or folder to import", path, "Check the path.")
    if path.suffix == ".parquet":
        return _read_parquet(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    raise SourceError(
        "Unknown format to import from",
        path,
        "Use .parquet or .npz files of pixseek export, or a folder of clip-retrieval.",
    )


# ------------------------------------------------------------------ rows of a table

_COLUMNS = (
    "id", "uri", "part", "size", "mtime_ns", "digest", "media", "width", "height", "taken_at",
    "caption", "tags", "fields", "pixels", "perceptual_hash",
)  # fmt: skip


def row_of(record: Record, part: Part) -> dict[str, Any]:
    """Return the columns of one vector; values without a simple type are JSON."""
    return {
        "id": record.id,
        "uri": record.uri,
        "part": json.dumps([part.kind, part.box, part.start_s, part.end_s, part.frame_s]),
        "size": record.stamp.size if record.stamp else -1,
        "mtime_ns": record.stamp.mtime_ns if record.stamp else -1,
        "digest": record.digest,
        "media": record.media,
        "width": record.width,
        "height": record.height,
        "taken_at": record.taken_at.isoformat() if record.taken_at else "",
        "caption": record.caption,
        "tags": json.dumps(record.tags),
        "fields": json.dumps(
            {
                name: {"datetime": value.isoformat()} if isinstance(value, datetime) else value
                for name, value in record.fields.items()
            }
        ),
        "pixels": record.pixels,
        "perceptual_hash": record.perceptual_hash,
    }


def records_of(rows: list[dict[str, Any]], path: Path, first: int) -> list[Record]:
    """Return the records of consecutive rows; rows of one id are the parts of one record.

    Args:
        rows: columns by name.
        path: the file that they are of, for errors.
        first: number of the first row, from 1.

    Raises:
        SourceError: a row holds something else than `row_of` writes.
    """
    records: list[Record] = []
    for number, row in enumerate(rows, first):
        try:
            record = _record(row)
            imported_records.check(record)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            missing = f"it has no {error}" if isinstance(error, KeyError) else error
            raise SourceError(
                "A row can't be read",
                f"{path}, row {number} ({redacted(str(row.get('uri')))[:200]})",
                f"{missing}. Correct it, or leave it out.",
            ) from error
        if records and records[-1].id == record.id:
            last = records[-1]
            records[-1] = replace(last, parts=(*last.parts, *record.parts))
        else:
            records.append(record)
    return records


def _record(row: dict[str, Any]) -> Record:
    """Return the record of one row, with one part."""
    kind, box, *seconds = _json(row, "part", list)
    if len(seconds) > 3 or not isinstance(box, list | None):
        raise ValueError(
            f"part is {redacted(row['part'])[:40]!r}, and not kind, box and up to three times"
        )
    size, width, height = (imported_records.whole(row[n]) for n in ("size", "width", "height"))
    return Record(
        id=row["id"],
        uri=row["uri"],
        stamp=Stamp(size, imported_records.whole(row["mtime_ns"])) if size != -1 else None,
        digest=row["digest"],
        media=row["media"],
        width=width,
        height=height,
        taken_at=_date(row["taken_at"]) if row["taken_at"] else None,
        caption=row["caption"],
        tags=tuple(_json(row, "tags", list)),
        fields={
            name: _date(value["datetime"]) if isinstance(value, dict) else value
            for name, value in _json(row, "fields", dict).items()
        },
        parts=(Part(kind, tuple(box) if box else None, *seconds),),
        pixels=row["pixels"],
        perceptual_hash=row["perceptual_hash"],
    )


def _json(row: dict[str, Any], name: str, kind: type) -> Any:
    try:
        value = json.loads(row[name])
    except (ValueError, TypeError, RecursionError):
        value = None
    if not isinstance(value, kind):
        what = "a list" if kind is list else "an object"
        raise ValueError(f"{name} is {redacted(str(row[name]))[:40]!r}, and not {what} in JSON")
    return value


def _date(value: object) -> datetime:
    if isinstance(value, datetime):  # a column of times
        return value
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        shown = redacted(repr(value))[:40]
        raise ValueError(f"{shown} is not a date as in 2024-05-03T12:00:00") from None


def _header(engine: Engine, space: Space, bare: Sequence[Record]) -> dict[str, str]:
    return {
        "pixseek_model": space.model,
        "pixseek_fingerprint": space.fingerprint,
        "pixseek_dim": str(space.dim),
        "pixseek_kept": json.dumps({kind: engine.kept(kind) for kind in KINDS}),
        _BARE: json.dumps([{**row_of(record, WHOLE), "away": record.away} for record in bare]),
    }


def _bare(header: Mapping[str, str], path: Path) -> tuple[Record, ...]:
    """Return the records without vectors in a header; () from another program or pixseek."""
    try:
        rows = json.loads(header.get(_BARE, "[]"))
        records = records_of(rows, path, 1)
        return tuple(
            replace(record, parts=(), away=row.get("away") is True)
            for record, row in zip(records, rows, strict=True)
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ()


def _kept(header: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the texts about the library in a header; {} from another program or pixseek."""
    try:
        kept = json.loads(header.get("pixseek_kept", "{}"))
        return {
            kind: {str(name): str(text) for name, text in kept[kind].items()}
            for kind in KINDS
            if kind in kept
        }
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {}


def _rows_of(engine: Engine, bare: list[Record]) -> Iterator[tuple[list[dict[str, Any]], Vectors]]:
    """Yield the rows of a library with their vectors, and collect the records that have none."""
    for records, vectors in engine.export(BATCH):
        bare += [record for record in records if not record.parts]
        yield [row_of(record, part) for record in records for part in record.parts], vectors


# ------------------------------------------------------------------ Parquet


def _write_parquet(engine: Engine, space: Space, file: BinaryIO) -> int:
    pa, pq = parquet()
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("id", "uri", "part")),
            ("size", pa.int64()),
            ("mtime_ns", pa.int64()),
            ("digest", pa.string()),
            ("media", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            *((name, pa.string()) for name in ("taken_at", "caption", "tags", "fields")),
            *((name, pa.string()) for name in ("pixels", "perceptual_hash")),
            ("vector", pa.list_(pa.float32(), space.dim)),
        ]
    )
    count, bare = 0, list[Record]()
    with pq.ParquetWriter(file, schema) as writer:
        for rows, vectors in _rows_of(engine, bare):
            columns: dict[str, Any] = {
                name: pa.array([row[name] for row in rows], schema.field(name).type)
                for name in _COLUMNS
            }
            columns["vector"] = pa.FixedSizeListArray.from_arrays(
                pa.array(vectors.reshape(-1), pa.float32()), space.dim
            )
            writer.write_table(pa.table(columns, schema=schema))
            count += len(rows)
        writer.add_key_value_metadata(_header(engine, space, bare))
    return count


def _read_parquet(path: Path) -> Incoming:
    pa, pq = parquet()
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise SourceError("The file can't be read as Parquet", path, str(error)) from error
    names = set(file.schema_arrow.names)
    missing = {"uri", "vector"} - names
    if missing:
        raise SourceError(
            "The file lacks columns",
            f"{path}: {', '.join(sorted(missing))}",
            "It needs at least uri (text) and vector (list of floats).",
        )
    header = {
        k.decode(errors="replace"): v.decode(errors="replace")
        for k, v in (file.metadata.metadata or {}).items()
    }

    def rows_of(columns: list[str]) -> Iterator[Any]:
        try:
            yield from file.iter_batches(BATCH, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise SourceError("The file is damaged", path, str(error)) from error

    def vectors_of(batch: Any, first: int = 1) -> Vectors:
        import numpy as np

        column = batch.column("vector")
        if column.null_count:
            empty = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise SourceError(
                "A row has no vector", f"{path}, row {first + empty}", "Leave it out."
            )
        try:
            flat = column.flatten().to_numpy(zero_copy_only=False)
            vectors: Vectors = flat.astype(np.float32).reshape(batch.num_rows, -1)
            if not pa.types.is_fixed_size_list(column.type):
                lengths = np.diff(column.offsets.to_numpy())
                if (lengths != lengths[:1]).any():
                    raise _ragged(path)
        except (pa.ArrowException, AttributeError, ValueError, TypeError) as error:
            raise SourceError(
                "The vectors can't be read",
                f"{path}: column vector, {file.schema_arrow.field('vector').type}",
                "It needs a list of as many numbers in each row.",
            ) from error
        return vectors

    def batches() -> Iterator[tuple[list[Record], Vectors]]:
        import numpy as np

        held: list[dict[str, Any]] = []
        held_vectors: list[Any] = []
        first = 1
        for batch in rows_of([n for n in (*_COLUMNS, "vector") if n in names]):
            rows = rows_in(batch.select([n for n in _COLUMNS if n in names]), path)
            held += [{**_blank(str(row["uri"])), **_given(row)} for row in rows]
            held_vectors.append(vectors_of(batch, first + len(held) - len(rows)))
            if len({each.shape[1] for each in held_vectors}) > 1:
                raise _ragged(path)
            vectors = np.concatenate(held_vectors)
            # The last record may continue in the next batch.
            whole = _complete(held)
            if whole:
                yield records_of(held[:whole], path, first), vectors[:whole]
                held, held_vectors = held[whole:], [vectors[whole:]]
                first += whole
        if held:
            yield records_of(held, path, first), np.concatenate(held_vectors)

    def dim() -> int:
        if not file.metadata.num_rows:
            return 0
        fixed = getattr(file.schema_arrow.field("vector").type, "list_size", 0)
        return fixed or int(vectors_of(next(rows_of(["vector"])).slice(0, 1)).shape[1])

    return Incoming(_space(header, dim(), path), batches(), _kept(header), _bare(header, path))


def _ragged(path: Path) -> SourceError:
    return SourceError(
        "The vectors do not all have the same length", path, "Make them with one model."
    )


def _complete(rows: list[dict[str, Any]]) -> int:
    """Return how many rows come before the last id."""
    whole = len(rows)
    while whole and rows[whole - 1]["id"] == rows[-1]["id"]:
        whole -= 1
    return whole


def _blank(uri: str) -> dict[str, Any]:
    """Return the columns of a row that names only its URI."""
    return {**row_of(Record(record_id(uri), uri), WHOLE)}


def _given(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _space(header: Mapping[str, Any], dim: int, path: Path) -> Space:
    """Return the space that a header names, of vectors of this length."""
    named = header.get("pixseek_dim") or dim
    if str(named) != str(dim) and dim:
        raise SourceError(
            "The file contradicts itself",
            f"{path}: its header says {named} numbers a vector, and there are {dim}",
            "Export it again.",
        )
    return Space(
        str(header.get("pixseek_fingerprint", "")), dim, str(header.get("pixseek_model", ""))
    )


# ------------------------------------------------------------------ npz


def _write_npz(engine: Engine, space: Space, file: BinaryIO) -> int:
    import numpy as np

    rows: list[dict[str, Any]] = []
    vectors: list[Any] = []
    bare: list[Record] = []
    for some_rows, some_vectors in _rows_of(engine, bare):
        rows += some_rows
        vectors.append(some_vectors)
    all_vectors = np.concatenate(vectors) if vectors else np.zeros((0, space.dim), np.float32)
    columns: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in _COLUMNS}
    np.savez(file, vectors=all_vectors, header=json.dumps(_header(engine, space, bare)), **columns)
    return len(rows)


def _read_npz(path: Path) -> Incoming:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error,
            NotImplementedError, RuntimeError, AttributeError, MemoryError) as error:  # fmt: skip
        # MemoryError: an array says that it is larger than any memory.
        # AttributeError: a .npy file of one array, under this name.
        # numpy's own advice for other files is to load them in an unsafe way.
        reason = f"{error}. " if isinstance(error, OSError) and error.strerror else ""
        raise SourceError(
            "The file can't be read as npz", path,
            f"{reason}It is damaged, or was not made by numpy.savez.",
        ) from error  # fmt: skip
    if not {"uri", "vectors"} <= arrays.keys():
        raise SourceError(
            "The file lacks arrays", path, "It needs at least uri (n,) and vectors (n, dim)."
        )
    if arrays["vectors"].dtype.kind not in "fiu":
        raise SourceError(
            "The vectors are not numbers", f"{path}: {arrays['vectors'].dtype}",
            "It needs vectors (n, dim) of floats.",
        )  # fmt: skip
    vectors = arrays["vectors"].astype(np.float32)
    uris = [str(uri) for uri in np.atleast_1d(arrays["uri"])]
    if vectors.ndim != 2 or len(vectors) != len(uris):
        raise SourceError(
            "The arrays do not fit together",
            f"{path}: {len(uris)} URIs, vectors of shape {vectors.shape}",
            "vectors must have one row for each URI.",
        )
    columns = {name: arrays[name].tolist() for name in _COLUMNS if name in arrays}
    for name in columns:
        if arrays[name].shape != (len(uris),):
            raise SourceError(
                "The arrays do not fit together",
                f"{path}: {len(uris)} URIs, {name} of shape {arrays[name].shape}",
                f"{name} must have one value for each URI.",
            )
    rows = [
        {**_blank(uri), **{name: values[n] for name, values in columns.items()}}
        for n, uri in enumerate(uris)
    ]
    try:
        header = json.loads(str(arrays["header"])) if "header" in arrays else {}
    except (ValueError, RecursionError) as error:
        raise SourceError("The header is not JSON", path, str(error)) from error
    if not isinstance(header, dict):
        raise SourceError("The header is not an object in JSON", path, "Export the file again.")

    def batches() -> Iterator[tuple[list[Record], Vectors]]:
        start = 0
        while start < len(rows):
            end = min(start + BATCH, len(rows))
            while end < len(rows) and rows[end]["id"] == rows[end - 1]["id"]:
                end += 1
            yield records_of(rows[start:end], path, start + 1), vectors[start:end]
            start = end

    return Incoming(
        _space(header, vectors.shape[1] if len(vectors) else 0, path),
        batches(),
        _kept(header),
        _bare(header, path),
    )
