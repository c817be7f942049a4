"""Folders of clip-retrieval: embeddings and metadata, to be imported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.errors import SourceError
from pixseek.library import imported_records
from pixseek.library.parquet import parquet, rows_in
from pixseek.library.vector_files import BATCH, Incoming
from pixseek.types import Record, Space, record_id

if TYPE_CHECKING:
    from pixseek.types import Vectors


def read(folder: Path) -> Incoming:
    """Read a folder that `clip-retrieval inference` wrote.

    `img_emb/img_emb_N.npy` holds (n, dim) float16 or float32, `metadata/metadata_N.parquet` as
    many rows, with `image_path` for folders and `url`, `key`, `caption` for webdatasets. Other
    columns become fields, except for values that such a field can't have.

    Returns:
        Records with their vectors; of the space only the dimension is known.

    Raises:
        SourceError: the folder lacks files, or they do not fit together.
        MissingExtraError: pyarrow is not installed.
    """
    pa, pq = parquet()
    embeddings = sorted((folder / "img_emb").glob("img_emb_*.npy"), key=_number)
    tables = sorted((folder / "metadata").glob("metadata_*.parquet"), key=_number)
    if not embeddings or [_number(p) for p in embeddings] != [_number(p) for p in tables]:
        raise SourceError(
            "Not a folder of clip-retrieval",
            folder,
            "It needs img_emb/img_emb_N.npy and, for each, metadata/metadata_N.parquet.",
        )

    for each in (*embeddings, *tables):
        if not each.is_file():
            raise SourceError("It is not a file", each, "Remove it, or bring the file back.")

    def batches() -> Iterator[tuple[list[Record], Vectors]]:
        import numpy as np

        for embedding, table_path in zip(embeddings, tables, strict=True):
            vectors = _vectors(embedding)
            try:
                table = pq.read_table(table_path)
            except (OSError, ValueError, pa.ArrowException) as error:
                raise SourceError("The file can't be read", table_path, str(error)) from error
            if len(vectors) != table.num_rows:
                raise SourceError(
                    "Vectors and metadata do not fit together",
                    f"{embedding}: {len(vectors)} vectors; {table_path}: {table.num_rows} rows",
                    "Run clip-retrieval inference again for this part.",
                )
            for start in range(0, len(vectors), BATCH):
                rows = rows_in(table.slice(start, BATCH), table_path)
                records = []
                for n, row in enumerate(rows, start):
                    try:
                        records.append(_record(row, f"{table_path.stem}/{n}"))
                        imported_records.check(records[-1])
                    except (ValueError, TypeError, OverflowError) as error:
                        raise SourceError(
                            "A row can't be read", f"{table_path}, row {n + 1}",
                            f"{error}. Correct it, or leave it out.",
                        ) from error  # fmt: skip
                yield records, np.asarray(vectors[start : start + len(rows)], dtype=np.float32)

    dim = int(_vectors(embeddings[0]).shape[1])
    return Incoming(Space("", dim, ""), batches())


def _vectors(file: Path) -> Vectors:
    """Return the (n, dim) array of a file, mapped.

    Raises:
        SourceError: it holds something else.
    """
    import numpy as np

    try:
        vectors: Vectors = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SourceError("The file can't be read", file, str(error)) from error
    shape, kind = getattr(vectors, "shape", ()), getattr(vectors, "dtype", np.dtype("O"))
    if len(shape) != 2 or kind.kind not in "fiu":
        raise SourceError(
            "The file does not hold vectors",
            f"{file}: an array of {kind}, shape {shape}",
            "It must hold (n, dim) numbers.",
        )
    return vectors


def _record(row: dict[str, Any], otherwise: str) -> Record:
    uri = str(row.get("url") or row.get("image_path") or row.get("key") or otherwise)
    rest = {
        name: value
        for name, value in row.items()
        if name not in ("url", "image_path", "caption", "width", "height")
        and value is not None
        and imported_records.is_field(name, value)
    }
    return Record(
        id=record_id(uri),
        uri=uri,
        width=imported_records.whole(row.get("width") or 0),
        height=imported_records.whole(row.get("height") or 0),
        caption=str(row.get("caption") or ""),
        fields=rest,
    )


def _number(path: Path) -> int:
    digits = path.stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else -1
