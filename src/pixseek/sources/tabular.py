"""What tables of every format have in common: their rows, values and errors.

A row is `{column: value}`; objects within it become columns of their own.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Protocol

from pixseek.errors import SourceError
from pixseek.sources.locations import Location
from pixseek.types.dataclass import dataclass

_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Blob:
    """The bytes of a picture in a table.

    Attributes:
        content: the bytes; empty if they are read by `Table.picture`.
        name: that the table has for it; "" for none.
        digest: of bytes that are kept elsewhere; "" for those that `Table.picture` reads.
    """

    content: bytes = b""
    name: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't be read.

    Attributes:
        why: in words.
        file: that can't be read from here on, of several; "" if only this row can't.
    """

    why: str
    file: str = ""


Value = str | int | float | bool | datetime | tuple[str, ...] | Blob | None
Row = Mapping[str, Value]


class Table(Protocol):
    """A table that is open for reading.

    Attributes:
        where: path or address of the file, or of the folder of several.
        folder: path or address of the folder that its rows name images from.
        is_text: whether cells are texts that may stand for numbers and dates.
        has_decimal_commas: whether 1,5 is a number in it; known once its first row was read.
    """

    is_text: bool
    has_decimal_commas: bool

    @property
    def where(self) -> str:
        """See above."""
        ...

    @property
    def folder(self) -> str:
        """See above."""
        ...

    @property
    def files(self) -> Sequence[Location]:
        """All that it is read from.

        Raises:
            OSError: its server can't be asked.
        """
        ...

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows in order.

        Raises:
            SourceError: the table can't be read.
        """
        ...

    def part_of(self, number: int) -> int:
        """Return which of the files has a row, counted from 0."""
        ...

    def picture(self, number: int) -> bytes | str | None:
        """Return the picture in a row, or the path that stands in its place; None for neither.

        May be called from several threads.

        Args:
            number: of the row, counted from 0.
        """
        ...

    def key_of(self, number: int) -> str:
        """Return a text that names a row and stays the same while rows are only added."""
        ...

    def picture_of(self, key: str) -> bytes | str | None:
        """Return `picture` of the row whose `key_of` a text begins with, without reading the rows.

        None also if it can't be found that way.
        """
        ...


class OneFile:
    """What tables of a single file have in common."""

    file: Location
    has_decimal_commas = False

    @property
    def where(self) -> str:
        """Its path or address."""
        return self.file.where

    @property
    def folder(self) -> str:
        """The path or address of its folder."""
        return self.file.folder

    @property
    def files(self) -> Sequence[Location]:
        """The file alone."""
        return (self.file,)

    def part_of(self, number: int) -> int:
        """Return 0: there is one file."""
        return 0

    def picture(self, number: int) -> bytes | str | None:
        """Return none: rows have all that the table has."""
        return None

    def key_of(self, number: int) -> str:
        """Return the row's number."""
        return str(number)

    def picture_of(self, key: str) -> bytes | str | None:
        """Return the picture of the row whose number a text begins with."""
        number = key.partition("/")[0]
        return self.picture(int(number)) if number.isdecimal() and len(number) < 16 else None


def flat(entry: Mapping[str, Any]) -> dict[str, Value]:
    """Return a row with the objects in it as columns of their own, such as `user.name`."""
    row: dict[str, Value] = {}
    _flatten(row, "", entry, _DEPTH)
    return row


def _flatten(row: dict[str, Value], above: str, entry: Mapping[str, Any], depth: int) -> None:
    for key, value in entry.items():
        name = f"{above}{key}"
        if not isinstance(value, dict):
            row[name] = plain(value)
        elif value.keys() <= {"bytes", "path"} and value:
            content = value.get("bytes")
            path = value.get("path")
            if isinstance(content, bytes):
                row[name] = Blob(content, path if isinstance(path, str) else "")
            else:
                row[name] = plain(path)
        elif depth > 0:
            _flatten(row, f"{name}.", value, depth - 1)
        else:
            row[name] = json.dumps(value, ensure_ascii=False, default=str)


def plain(value: Any) -> Value:
    """Return a value of JSON, Arrow or a database as one that a row may have."""
    if value is None or isinstance(value, str | bool | Blob | datetime):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        return plain(int(value) if value == value.to_integral_value() else float(value))
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return Blob(bytes(value))
    if isinstance(value, list | tuple):
        texts = (_text_of(each) for each in itertools.islice(value, 1_000))
        return tuple(text for text in texts if text)
    return str(value)


def _text_of(value: Any) -> str:
    """Return an item of a list as text; of an object its name or caption, if it has one."""
    if isinstance(value, dict):
        for key in ("caption", "raw", "name", "title", "text", "value"):
            if isinstance(value.get(key), str):
                return str(value[key])
        return json.dumps(value, ensure_ascii=False, default=str)
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(_text_of, value)))
    return value if isinstance(value, str) else str(plain(value))


def unreadable(table: object, error: Exception) -> SourceError:
    """Return the error of a table that can't be read."""
    why = str(getattr(error, "strerror", None) or error).rstrip(".")
    return SourceError(
        "The table can't be read", table, f"{why}. Check that it is whole, and run again."
    )
