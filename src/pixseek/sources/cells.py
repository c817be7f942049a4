"""Cells of tables that are text: CSV, TSV and their relatives, a row at a time."""

from __future__ import annotations

import codecs
import csv
import errno
import io
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from pixseek.errors import SourceError
from pixseek.sources.locations import Location

#: A caption may be long, a table of millions of characters in one field is broken.
_MOST_CHARACTERS = 1_000_000

_TABS = (".tsv", ".tab")


def rows_of_cells(
    table: Location,
    what: str = "table",
    most: int | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Iterator[list[str]]:
    """Yield the cells of each row of a text table, without empty rows.

    The delimiter is a tab, or whichever of comma, semicolon and "|" the first line has most of; or
    what a line such as "sep=;" says, which Excel reads and others write for it. Cells between tabs
    are kept as they are, except quotation marks around a whole cell.

    Args:
        table: in UTF-8, or in UTF-16 with its mark.
        what: names the file in errors.
        most: bytes of a file that is read; None for any.
        told: is called with the delimiter before the first row.

    Raises:
        SourceError: it can't be read, or is not such a table.
    """
    try:
        with table.open() as content:
            if most is not None and table.size > most:
                raise OSError(errno.EFBIG, f"It has more than {most:,} bytes", str(table))
            start = content.read(2)
            wide = start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            # Not seek: standard input and pipes have no way back.
            whole = io.BufferedReader(_Again(start, content))
            text = io.TextIOWrapper(whole, "utf-16" if wide else "utf-8-sig", newline="")
            yield from _rows(text, os.path.splitext(table.name)[1].lower() in _TABS, told)
    except OSError as error:
        raise SourceError(
            f"The {what} can't be read", table, f"{error.strerror or error}."
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"The {what} is not text in UTF-8", table, f"Save it as UTF-8 ({error})."
        ) from error
    except csv.Error as error:
        raise SourceError(
            f"The {what} is not a valid CSV file", table, f"{error}. Save it as TSV."
        ) from error


def _rows(text: io.TextIOWrapper, tabs: bool, told: Callable[[str], None]) -> Iterator[list[str]]:
    lines = _Lines(text)
    first = next((line for line in lines if line.strip()), "")
    if not first:
        return
    if said := re.fullmatch(r'"?sep=([,;|\t])"?\r?\n?', first, re.IGNORECASE):
        delimiter = said[1]
    else:
        lines.back(first)
        # Spreadsheets write semicolons where the comma is a decimal point; Flickr30k has "|".
        delimiter = "\t" if tabs or "\t" in first else max(",;|", key=first.count)
    told(delimiter)
    if delimiter == "\t":
        for line in lines:
            if line.strip():
                yield [_unquoted(cell) for cell in line.rstrip("\r\n").split("\t")]
        return
    csv.field_size_limit(_MOST_CHARACTERS)
    began = 0
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    for row in reader:
        # The reader looks for more lines only within a cell that is not closed.
        if lines.are_over and delimiter != "|":
            raise csv.Error(
                f"a quotation mark behind line {began:,} is not closed, or the file is cut off"
            )
        began = reader.line_num
        if any(cell.strip() for cell in row):
            yield row


class _Lines:
    """The lines of a text, with one that can be put back; none is longer than a cell may be."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text, self._back = text, ""
        self.are_over = False

    def back(self, line: str) -> None:
        self._back = line

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, self._back = self._back or self._text.readline(16 * _MOST_CHARACTERS), ""
        if not line:
            self.are_over = True
            raise StopIteration
        if len(line) >= 16 * _MOST_CHARACTERS:
            raise csv.Error("a line has more than 16 million characters")
        return line


class _Again(io.RawIOBase):
    """A stream of which the beginning was read already."""

    def __init__(self, start: bytes, rest: Any) -> None:
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        found = self._start[: len(buffer)] or self._rest.read1(len(buffer))
        self._start = self._start[len(found) :] if self._start else b""
        buffer[: len(found)] = found
        return len(found)


def _unquoted(cell: str) -> str:
    """Return a cell without the quotation marks that spreadsheets put around it."""
    cell = cell.strip()
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell
