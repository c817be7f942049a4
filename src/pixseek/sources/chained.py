"""Several files that are one table, such as the shards of a data set in Parquet."""

from __future__ import annotations

import errno
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from pixseek.errors import SourceError
from pixseek.sources.locations import Location
from pixseek.sources.tables import table_in
from pixseek.sources.tabular import BadRow, Row, Table, unreadable


class Chain:
    """Tables of one layout after another, such as the files of a data set in Parquet."""

    is_text = False
    has_decimal_commas = False

    def __init__(self, where: str, listed: Callable[[], Mapping[str, Location]]) -> None:
        """Chain the tables in files of one folder; nothing is listed yet.

        Args:
            where: path or address of the folder.
            listed: returns the files in their order, by their paths in the folder; raises OSError.
        """
        self.where = self.folder = where
        self._listed = listed
        self._chained: dict[str, Table] | None = None
        self._names: list[str] = []
        self._stamps: list[object] = []  # of the files that are chained
        self._first: list[int] = []  # the first row of each table that `rows` has reached

    @property
    def files(self) -> Sequence[Location]:
        """The files as they are now; see `Table.files`."""
        return tuple(self._listed().values())

    @property
    def _tables(self) -> dict[str, Table]:
        """The tables by the paths of their files, as of the last call of `rows`."""
        if self._chained is None:
            self._renew()
        return self._chained or {}

    def _renew(self) -> None:
        """List the files again, and begin anew if there are others, or some have changed."""
        listed = self._listed()
        if not listed:  # no rows would mean that all images are gone
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.where)
        stamps: list[object] = [(name, file.stamp()) for name, file in listed.items()]
        if self._chained is None or stamps != self._stamps:
            self._chained = {name: table_in(file) for name, file in listed.items()}
            self._names = list(listed)
            self._stamps, self._first = stamps, []

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows of all; see `Table.rows`."""
        try:
            self._renew()
        except OSError as error:
            raise unreadable(self.where, error) from error
        number, first = 0, self._first
        for at, (name, table) in enumerate(self._tables.items()):
            if at == len(first):
                first.append(number)
            splits = {"split": split} if (split := _split_of(PurePosixPath(name))) else {}
            for row in as_far(table, name):
                said = downloaded(row)
                yield said if isinstance(said, BadRow) else {**splits, **said}
                number += 1

    def picture(self, number: int) -> bytes | str | None:
        """Return the picture in a row; see `Table.picture`."""
        name, local = self._at(number)
        return self._tables[name].picture(local)

    def part_of(self, number: int) -> int:
        """Return which file has a row; see `Table.part_of`."""
        return bisect_right(self._first, number) - 1

    def key_of(self, number: int) -> str:
        """Return the file and the number of the row in it."""
        name, local = self._at(number)
        return f"{name}/{local}"

    def picture_of(self, key: str) -> bytes | str | None:
        """Return the picture of the row that a text of `key_of` names."""
        for name, table in self._tables.items():
            if key.startswith(f"{name}/"):
                return table.picture_of(key[len(name) + 1 :])
        return None

    def _at(self, number: int) -> tuple[str, int]:
        at = self.part_of(number)
        # An empty table begins where the next one does.
        return self._names[at], number - self._first[at]


def _split_of(shard: PurePosixPath) -> str:
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


def as_far(table: Table, name: str) -> Iterator[Row | BadRow]:
    """Yield the rows of one of several tables as far as it can be read, then why it can't.

    Args:
        table: in a file.
        name: of that file, as the failure says it.
    """
    try:
        yield from table.rows()
    except SourceError as error:
        yield BadRow(error.advice.partition(". ")[0], name)
