"""Tables of Parquet, through pyarrow, which is an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixseek.errors import MissingExtraError, SourceError


def rows_in(table: Any, path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table of Arrow; times to the microsecond, as Python has no finer ones.

    Raises:
        SourceError: a column holds what Python has no value for, such as the year 10,000.
    """
    pa, _ = parquet()
    columns = {}
    for name, column in zip(table.schema.names, table.columns, strict=True):
        kind = column.type
        is_fine = pa.types.is_timestamp(kind) and kind.unit == "ns"
        try:
            found = column.cast(pa.timestamp("us", kind.tz), safe=False) if is_fine else column
            columns[name] = found.to_pylist()
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise SourceError(
                "A column can't be read", f"{path}: {name}, {kind}", "Correct it, or leave it out."
            ) from error
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def parquet() -> tuple[Any, Any]:
    """Return pyarrow and its module for Parquet.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Parquet", "pyarrow", "parquet") from error
    return pyarrow, pyarrow.parquet
