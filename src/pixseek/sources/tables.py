"""Tables that describe images: CSV, TSV, JSON lines, Parquet, Arrow, and queries of databases.

Every reader gives rows as `{column: value}`, one after another; a table is never held whole. The
bytes of pictures in Parquet and Arrow are left out of rows and read when they are wanted.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, unquote, urlsplit

from pixseek.errors import MissingExtraError, SourceError
from pixseek.sources.captions import CAPTION_NAMES, IMAGE_NAMES, is_image_name, plain_name
from pixseek.sources.cells import rows_of_cells
from pixseek.sources.locations import LocalFile, Location, location_of
from pixseek.sources.tabular import BadRow, OneFile, Row, Table, flat, unreadable

if TYPE_CHECKING:
    from pixseek.sources.remote_files import Network

#: What reads a file of this ending.
TEXT_ENDINGS = (".csv", ".tsv", ".tab")
LINES_ENDINGS = (".jsonl", ".ndjson")
ARROW_ENDINGS = (".parquet", ".arrow", ".feather")
ENDINGS = (*TEXT_ENDINGS, *LINES_ENDINGS, *ARROW_ENDINGS)
#: What reads a URL of this scheme.
SCHEMES = ("sqlite", "duckdb")

#: Rows of a database that are fetched at once.
_BATCH = 1_000
#: Characters of a line of JSON: a row with embedded pictures is not read as JSON.
_LINE = 16_000_000


def open_table(where: str, network: Network) -> Table:
    """Return the reader of a table.

    Args:
        where: a path, an address, or a URL such as
            `sqlite:///photos.db?query=SELECT * FROM photos`.
        network: what may be connected to.

    Raises:
        SourceError: it is not a table.
        MissingExtraError: its reader is not installed.
    """
    if where.partition("://")[0].lower() in SCHEMES and "://" in where:
        return _Query(where)
    return table_in(location_of(where, network))


def table_in(file: Location) -> Table:
    """Return the reader of the table in a file; see `open_table`."""
    ending = os.path.splitext(file.name)[1].lower()
    if ending in LINES_ENDINGS:
        return _Lines(file)
    if ending in ARROW_ENDINGS:
        from pixseek.sources.arrow import ArrowTable

        return ArrowTable(file)
    if ending == ".txt" and is_list_of_urls(file):
        return _UrlList(file)
    if ending in TEXT_ENDINGS or ending[:4] in (".tsv", ".csv", ".tok", ".txt"):
        return _Text(file)
    raise SourceError("Not a table that can be read", file, f"Tables end in {', '.join(ENDINGS)}.")


# ------------------------------------------------------------------ text


class _Text(OneFile):
    is_text = True

    def __init__(self, file: Location) -> None:
        self.file = file

    def rows(self) -> Iterator[Row | BadRow]:
        names: list[str] | None = None
        for cells in rows_of_cells(self.file, told=self._told):
            if names is None:
                names, is_head = _head(cells)
                if is_head:
                    continue
            if any(cell.strip() for cell in cells[len(names) :]):
                # Which cell belongs to which column is anybody's guess.
                yield BadRow(
                    f"The row has {len(cells):,} cells, and the table {len(names):,} columns; texts"
                    " with the separator in them need quotation marks"
                )
                continue
            yield dict(zip(names, (cell.strip() for cell in cells), strict=False))

    def _told(self, delimiter: str) -> None:
        # Spreadsheets separate by semicolons where the comma is taken.
        self.has_decimal_commas = delimiter == ";"


class _UrlList(OneFile):
    """A URL in each line; empty lines and those that begin with # are left out."""

    is_text = True

    def __init__(self, file: Location) -> None:
        self.file = file

    def rows(self) -> Iterator[Row | BadRow]:
        for line in _lines_of(self.file):
            text = line.strip()
            if text and not text.startswith("#"):
                yield {"url": text} if _is_url(text) else BadRow("The line is not a URL")


def is_list_of_urls(file: Location) -> bool:
    """Return whether the first line of a text file, comments aside, is a URL and no more."""
    try:
        with file.open() as content:
            first = content.read(1 << 16).decode("utf-8-sig", "replace")
    except OSError:
        return False
    lines = (line.strip() for line in first.splitlines())
    line = next((each for each in lines if each and not each.startswith("#")), "")
    return _is_url(line)


def _is_url(text: str) -> bool:
    return re.match(r"https?://\S+$", text, re.IGNORECASE) is not None


def _head(cells: Sequence[str]) -> tuple[list[str], bool]:
    """Return the names of columns, and whether they are those of the first row."""
    known = {plain_name(cell) for cell in cells}
    images = [n for n, cell in enumerate(cells) if is_image_name(cell) or _is_url(cell)]
    if not known & {*IMAGE_NAMES, *CAPTION_NAMES} and images:
        # No names, as in Flickr8k.token, or as Conceptual Captions are published.
        names = [f"column_{number}" for number in range(1, len(cells) + 1)]
        names[images[0]] = "image"
        if len(names) > 1:
            names[0 if names[-1] == "image" else -1] = "caption"
        return names, False
    names = []
    for number, cell in enumerate(cells, 1):
        name = cell.strip() or f"column_{number}"
        names.append(name if name not in names else f"{name}_{number}")
    return names, True


class _Lines(OneFile):
    is_text = False

    def __init__(self, file: Location) -> None:
        self.file = file

    def rows(self) -> Iterator[Row | BadRow]:
        for line in _lines_of(self.file):
            if line.strip():
                yield _parsed(line)


def _lines_of(file: Location) -> Iterator[str]:
    try:
        with file.open() as opened:
            content = io.BufferedReader(cast("io.RawIOBase", opened))
            wide = content.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            text = io.TextIOWrapper(content, "utf-16" if wide else "utf-8-sig", "replace")
            while line := text.readline(_LINE):
                if len(line) >= _LINE:
                    raise SourceError(
                        "A line is too long for JSON lines", file,
                        "Write one object a line, without embedded pictures.",
                    )  # fmt: skip
                yield line
    except OSError as error:
        raise unreadable(file, error) from error


def _parsed(line: str) -> Row | BadRow:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        return BadRow(f"The line is not valid JSON ({error})"[:200])
    return flat(entry) if isinstance(entry, dict) else BadRow("The line is not a JSON object")


# ------------------------------------------------------------------ databases


class _Query(OneFile):
    is_text = False

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme.lower()
        # sqlite://photos.db and sqlite:///home/ann/photos.db
        self.path = Path(unquote(parts.netloc + parts.path))
        self.file = LocalFile(self.path)
        self._query = (parse_qs(parts.query).get("query") or [""])[0]
        if not self._query:
            raise SourceError(
                "The URL has no query", url,
                f"Write {self._scheme}://{self.path}?query=SELECT path, caption FROM photos",
            )  # fmt: skip

    def rows(self) -> Iterator[Row | BadRow]:
        if not self.path.is_file():
            raise SourceError("There is no such database", self.path, "Check the path in the URL.")
        return self._of_sqlite() if self._scheme == "sqlite" else self._of_duckdb()

    def _of_sqlite(self) -> Iterator[Row | BadRow]:
        try:
            with contextlib.closing(
                sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
            ) as database:
                database.set_authorizer(_only_reads)
                found = database.execute(self._query)
                names = [each[0] for each in found.description or ()]
                for row in found:
                    yield flat(dict(zip(names, row, strict=True)))
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _of_duckdb(self) -> Iterator[Row | BadRow]:
        try:
            import duckdb
        except ImportError as error:
            raise MissingExtraError("A DuckDB query", "duckdb", "tables") from error
        try:
            with duckdb.connect(
                str(self.path), read_only=True, config={"enable_external_access": "false"}
            ) as database:
                found = database.execute(self._query)
                names = [each[0] for each in found.description or ()]
                while some := found.fetchmany(_BATCH):
                    for row in some:
                        yield flat(dict(zip(names, row, strict=True)))
        except duckdb.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> SourceError:
        return SourceError(
            "The database refused the query", f"{self.path}: {self._query}"[:300],
            f"{error}. A query may only read.",
        )  # fmt: skip


def _only_reads(action: int, *_: object) -> int:
    """Let a query read and compute, and nothing else."""
    allowed = (
        sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    )  # fmt: skip
    return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY
