"""Tables of Parquet, Arrow and Feather, through pyarrow, which is an extra.

The bytes of pictures are left out of rows: a table may hold more of them than memory does.
"""

from __future__ import annotations

import itertools
import json
import threading
from bisect import bisect
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pixseek.errors import MissingExtraError
from pixseek.sources.locations import Location
from pixseek.sources.tabular import BadRow, Blob, OneFile, Row, flat, unreadable

#: Rows of Arrow that are turned into Python's values at once.
_BATCH = 1_000
#: Pictures of Arrow that are read at once, and batches of those that are kept: readers in threads
#: ask in nearly the order of the rows.
_PICTURES, _KEPT = 16, 8
#: Bytes of a column that are asked of a server at once.
_PART = 1 << 20


class ArrowTable(OneFile):
    """A table of Parquet, Arrow or Feather; see `Table`."""

    is_text = False

    def __init__(self, file: Location) -> None:
        """Describe the table in a file; nothing is read yet."""
        self.file = file
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("Parquet", "pyarrow", "parquet") from error
        self._lock = threading.Lock()
        self._images: list[str] | None = None
        self._kept: OrderedDict[int, list[Any]] = OrderedDict()
        self._coming: Iterator[tuple[int, list[Any]]] | None = None
        self._footer: tuple[object, Any] | None = None  # of a server: 64 kB that say what is where
        self._groups: list[int] = []  # the rows at which row groups of Parquet end
        self._at = 0  # the row that `_coming` gives next

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows, without the bytes of pictures; see `Table.rows`."""
        with self._lock:  # it is read again because it has changed, or before any picture
            self._kept.clear()
            self._coming = None
        for _, batch in self._batches(_BATCH, pictures=False):
            yield from (flat(row) for row in batch)

    def picture(self, number: int) -> bytes | str | None:
        """Return the picture in a row, or its path; see `Table.picture`."""
        with self._lock:
            for first, batch in self._kept.items():
                if first <= number < first + len(batch):
                    return _picture_in(batch[number - first])
            if self._coming is None or number < self._at or self._is_far(number):
                self._coming, self._at = self._batches(_PICTURES, pictures=True, begin=number), 0
            coming, self._coming = self._coming, None  # if it fails, another begins
            for first, batch in coming:
                self._at = first + len(batch)
                self._kept[first] = batch
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
                if first <= number < self._at:
                    self._coming = coming
                    return _picture_in(batch[number - first])
        return None

    def _is_far(self, number: int) -> bool:
        """Return whether a row is far ahead, in a later row group, which can be begun with."""
        if number - self._at <= _PICTURES * _KEPT:
            return False
        return bisect(self._groups, number) > bisect(self._groups, self._at)

    def _batches(
        self, size: int, *, pictures: bool, begin: int = 0
    ) -> Iterator[tuple[int, list[Any]]]:
        """Yield the number of a first row, and rows as Python's values.

        Args:
            size: rows at most.
            pictures: give only the columns that hold pictures; otherwise all, without the bytes.
            begin: a row; those far before it may be left out.
        """
        import pyarrow as pa

        try:
            with self.file.open() as content:
                if self.file.name.lower().endswith(".parquet"):
                    yield from self._of_parquet(content, size, pictures, begin)
                else:
                    yield from self._of_ipc(content, size, pictures)
        except (OSError, pa.ArrowException, ValueError, OverflowError) as error:
            raise unreadable(self.file, error) from error

    def _of_parquet(
        self, content: Any, size: int, pictures: bool, begin: int
    ) -> Iterator[tuple[int, list[Any]]]:
        import pyarrow.parquet as pq

        if self.file.is_remote:
            stamp = self.file.stamp()
            footer = self._footer[1] if self._footer and self._footer[0] == stamp else None
            # Without a limit a row group's pictures are one request, and some files have one group.
            file = pq.ParquetFile(content, metadata=footer, buffer_size=_PART)
            self._footer = stamp, file.metadata
        else:
            file = pq.ParquetFile(content)
        held, labels = _pictures_of(file.schema_arrow), _labels_of(file.schema_arrow)
        leaves = [file.schema.column(n).path for n in range(len(file.schema))]
        wanted = [
            leaf
            for leaf in leaves
            if (leaf.partition(".")[0] in held if pictures else not _is_bytes(leaf, held))
        ]
        counts = (file.metadata.row_group(each).num_rows for each in range(file.num_row_groups))
        self._groups = list(itertools.accumulate(counts))
        first = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if first + count > begin:
                at = first
                for batch in file.iter_batches(size, row_groups=[group], columns=wanted):
                    yield at, _rows_of(batch, () if pictures else held, labels)
                    at += batch.num_rows
            first += count

    def _of_ipc(self, content: Any, size: int, pictures: bool) -> Iterator[tuple[int, list[Any]]]:
        import pyarrow as pa

        try:
            file = pa.ipc.open_file(content)
            batches: Iterator[Any] = (
                file.get_batch(number) for number in range(file.num_record_batches)
            )
        except pa.ArrowInvalid:  # what the datasets library writes
            content.seek(0)
            file = pa.ipc.open_stream(content)
            batches = iter(file)
        held, labels = _pictures_of(file.schema), _labels_of(file.schema)
        first = 0
        for whole in batches:
            for start in range(0, whole.num_rows, size):
                batch = whole.slice(start, size)
                if pictures:
                    yield first, _rows_of(batch.select(list(held)), (), {})
                else:
                    yield first, _rows_of(_without_bytes(batch, held), held, labels)
                first += batch.num_rows


def _pictures_of(schema: Any) -> tuple[str, ...]:
    """Return the names of the columns that hold bytes, or a struct with `bytes`."""
    import pyarrow as pa

    def is_binary(kind: Any) -> bool:
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    return tuple(
        field.name
        for field in schema
        if is_binary(field.type)
        or (
            pa.types.is_struct(field.type)
            and any(child.name == "bytes" and is_binary(child.type) for child in field.type)
        )
    )


def _is_bytes(leaf: str, held: Sequence[str]) -> bool:
    name, _, rest = leaf.partition(".")
    return name in held and rest in ("", "bytes")


def _without_bytes(batch: Any, held: Sequence[str]) -> Any:
    import pyarrow as pa

    columns, names = [], []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name not in held:
            columns.append(column)
        elif pa.types.is_struct(column.type) and column.type.get_field_index("path") >= 0:
            columns.append(pa.StructArray.from_arrays([column.field("path")], ["path"]))
        else:
            continue
        names.append(name)
    if not columns:  # a batch without columns has no rows
        return pa.record_batch([pa.nulls(batch.num_rows)], names=[""])
    return pa.record_batch(columns, names=names)


def _labels_of(schema: Any) -> dict[str, Sequence[str]]:
    """Return the names that numbers stand for, by column: `ClassLabel` of Hugging Face."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        known = {name: each for name, each in features.items() if isinstance(each, dict)}
        inner = {name: each.get("feature", each) for name, each in known.items()}
        return {
            name: [str(label) for label in each["names"]]
            for name, each in inner.items()
            if isinstance(each, dict) and each.get("_type") == "ClassLabel" and each.get("names")
        }
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError):
        return {}


def _named(value: Any, names: Sequence[str]) -> Any:
    """Return the name that a number, or each of a list, stands for; -1 stands for none."""
    if isinstance(value, list):
        return [_named(each, names) for each in value]
    if not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None if value == -1 else value


def _rows_of(batch: Any, held: Sequence[str], labels: Mapping[str, Sequence[str]]) -> list[Any]:
    """Return rows as dicts, with a `Blob` for each column of pictures in `held`."""
    import pyarrow as pa

    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        kind = column.type
        is_fine = pa.types.is_timestamp(kind) and kind.unit == "ns"
        found = column.cast(pa.timestamp("us", kind.tz), safe=False) if is_fine else column
        columns[name] = found.to_pylist()
        if name in labels:
            columns[name] = [_named(each, labels[name]) for each in columns[name]]
    for name in held:
        named = columns.get(name) or [None] * batch.num_rows
        columns[name] = [
            Blob(name=(each or {}).get("path") or "") if isinstance(each, dict) else Blob()
            for each in named
        ]
    columns.pop("", None)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _picture_in(row: Mapping[str, Any]) -> bytes | str | None:
    for value in row.values():
        found = value.get("bytes") or value.get("path") if isinstance(value, dict) else value
        if found:
            return found if isinstance(found, str) else bytes(found)
    return None
