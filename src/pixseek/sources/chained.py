"""Several files that are one table, such as the shards of a data set in Parquet."""

from __future__ import annotations

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

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows of all; see `Table.rows`."""
        number = 0
        for at, table in enumerate(self._tables):
            self._first[at] = number
            for row in as_far(table, self.path):
                yield row
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


def as_far(table: Table, folder: Path) -> Iterator[Row | BadRow]:
    """Yield the rows of one of several tables as far as it can be read, then why it can't."""
    try:
        yield from table.rows()
    except SourceError as error:
        yield BadRow(error.advice.partition(". ")[0], table.path.relative_to(folder).as_posix())
