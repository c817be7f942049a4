"""Several files that are one table, such as the shards of a data set in Parquet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pixseek.errors import SourceError
from pixseek.sources.tables import open_table
from pixseek.sources.tabular import BadRow, Row, Table


class Chain:
    """Tables of one layout after another, such as the files of a data set in Parquet."""

    is_text = False
    has_decimal_commas = False

    def __init__(self, path: Path, found: Sequence[Path]) -> None:
        """Chain the tables in files of one folder."""
        self.path, self.files = path, found
        self._tables: list[Table] = [open_table(str(each)) for each in found]
        self._first = [0] * len(found)
        self._splits = [_split_of(each.relative_to(path)) for each in found]

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows of all; see `Table.rows`."""
        number = 0
        for at, table in enumerate(self._tables):
            self._first[at] = number
            split = {"split": self._splits[at]} if self._splits[at] else {}
            for row in as_far(table, self.path):
                said = downloaded(row)
                yield said if isinstance(said, BadRow) else {**split, **said}
                number += 1

    def picture(self, number: int) -> bytes | str | None:
        """Return the picture in a row; see `Table.picture`."""
        table, local = self._at(number)
        return table.picture(local)

    def key_of(self, number: int) -> str:
        """Return the file and the number of the row in it."""
        table, local = self._at(number)
        return f"{table.path.relative_to(self.path).as_posix()}/{local}"

    def number_of(self, key: str) -> int | None:
        """Return None: it is known only once all was read."""
        return None

    def _at(self, number: int) -> tuple[Table, int]:
        at = max(n for n, first in enumerate(self._first) if first <= number)
        # An empty table begins where the next one does.
        return self._tables[at], number - self._first[at]


def _split_of(shard: Path) -> str:
    """Return "train" of train-00000-of-00004.parquet, and of train/data-00000-of-00004.arrow."""
    name, of, _ = re.split(r"(-\d{5}-of-\d{5}|$)", shard.name, maxsplit=1)
    return "" if not of else shard.parent.name if name == "data" else name


def downloaded(row: Row | BadRow) -> Row | BadRow:
    """Return a row, or why img2dataset has no image of it, if it is one that it wrote."""
    if isinstance(row, BadRow) or row.keys().isdisjoint({"error_message"}):
        return row
    if row.get("status") in (None, "success"):
        return {name: value for name, value in row.items()
                if name not in ("status", "error_message", "width", "height")}  # fmt: skip
    why = row.get("error_message") or row["status"]
    return BadRow(f"img2dataset has no image of it: {why} ({row.get('url')})")


def as_far(table: Table, folder: Path) -> Iterator[Row | BadRow]:
    """Yield the rows of one of several tables as far as it can be read, then why it can't."""
    try:
        yield from table.rows()
    except SourceError as error:
        yield BadRow(error.advice.partition(". ")[0], table.path.relative_to(folder).as_posix())
