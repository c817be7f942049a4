"""The rows of a table by the image that they are about, in a temporary database on disk."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from pixseek.sources.columns import Column, Roles, Target, date_of, described_by, targets_of
from pixseek.sources.locations import Location
from pixseek.sources.tabular import BadRow, Blob, Row, Table, Value
from pixseek.types import Failure, Scalar

#: Rows between two counts of progress.
_STEP = 1_000
#: Rows without an image that are listed one by one.
_LISTED = 20


class RowIndex:
    """The rows of a table by the image that they are about, on disk."""

    def __init__(
        self,
        root: str,
        table: Table,
        roles: Roles,
        key_of: Callable[[int, Row, Roles], str | None],
    ) -> None:
        """Begin without rows; `key_of` names the image of a row, or returns None."""
        self._prefix, self._table, self.roles, self._key_of = root, table, roles, key_of
        self.stamp = stamp_of(table.files)
        self.count = 0
        self.problems: list[Failure] = []
        self.targets: dict[str, Target] = {}
        self.date = Target("taken_at", "time")
        self.unused: tuple[str, ...] = ()  # columns of pictures besides the one of the image
        self._unlisted = 0
        self._lock = threading.Lock()
        # A database without a name is a temporary file that goes with its connection.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA cache_size = -16384;"
            "CREATE TABLE image (key TEXT PRIMARY KEY, first INTEGER) WITHOUT ROWID;"
            "CREATE TABLE row (number INTEGER PRIMARY KEY, key TEXT, cells TEXT);"
            "CREATE TABLE blob (number INTEGER PRIMARY KEY, content BLOB);"
        )

    def build(self) -> Iterator[int]:
        """Read the table; yield how many rows were read, now and then."""
        columns: dict[str, Column] = {}
        execute = self._database.execute
        execute("BEGIN")
        for number, row in enumerate(self._table.rows()):
            self.count += 1
            if self.count % _STEP == 0:
                yield self.count
            if isinstance(row, BadRow) and row.file:
                # Which images it names is unknown, so all that the library has are kept.
                self.problems.append(
                    Failure(
                        f"{self._prefix}/", "scan", "damaged",
                        f"The file {row.file} can't be read ({row.why})"[:300],
                        "Copy or download it again, then run: pixseek index",
                    )
                )  # fmt: skip
                continue
            if isinstance(row, BadRow):
                self._problem(number, "unreadable", row.why)
                continue
            for name, value in row.items():
                if name not in columns:
                    columns[name] = Column(
                        name,
                        is_text=self._table.is_text,
                        has_commas=self._table.has_decimal_commas,
                    )
                columns[name].see(value)
            key = self._key_of(number, row, self.roles)
            if key is None:
                self._problem(number, "missing", "The row names no image")
                continue
            if not _is_text(key):
                self._problem(number, "bad-name", "The row's name for its image is not valid text")
                continue
            execute("INSERT OR IGNORE INTO image VALUES (?, ?)", (key, number))
            execute("INSERT INTO row VALUES (?, ?, ?)", (number, key, _written(row)))
            for value in row.values():
                if isinstance(value, Blob) and value.content:
                    execute("INSERT OR IGNORE INTO blob VALUES (?, ?)", (number, value.content))
        execute("COMMIT")
        execute("CREATE INDEX row_key ON row (key, number)")
        execute("CREATE INDEX image_first ON image (first)")
        if self._unlisted:
            self.problems.append(
                Failure(
                    f"{self._prefix}/row-…", "read", "missing",
                    f"{self._unlisted:,} more rows name no image, or can't be read",
                    "Correct the table, or name its column of images: --column image=NAME",
                )
            )  # fmt: skip
        self.targets = targets_of(columns.values(), self.roles)
        self.date = date_of(columns, self.roles)
        self.unused = tuple(
            name
            for name, column in columns.items()
            if column.count and column.kind == "image" and name != self.roles.image
        )

    def _problem(self, number: int, reason: str, why: str) -> None:
        if len(self.problems) >= _LISTED:
            self._unlisted += 1
            return
        self.problems.append(
            Failure(f"{self._prefix}/row-{number + 1}", "read", reason, why,
                    "Correct the table, and run again.")
        )  # fmt: skip

    def marks(self) -> str:
        """Return a text that differs if columns mean something else."""
        return repr((self.roles, sorted(self.targets.items()), self.date))

    def images(self) -> Iterator[tuple[str, list[tuple[int, Row]], str]]:
        """Yield the key of each image, its rows with their numbers, and a digest of those."""
        with self._lock:
            found = self._database.execute(
                "SELECT row.key, row.number, cells FROM image CROSS JOIN row ON row.key = image.key"
                " ORDER BY image.first, row.number"
            )
        for key, rows in itertools.groupby(found, key=lambda each: str(each[0])):
            listed = list(rows)
            digest = hashlib.blake2b("\n".join(each[2] for each in listed).encode(), digest_size=16)
            yield key, [(each[1], _row(each[2])) for each in listed], digest.hexdigest()

    def image_count(self) -> int:
        """Return how many images the rows are about."""
        with self._lock:
            return int(self._database.execute("SELECT count(*) FROM image").fetchone()[0])

    def rows(self, key: str) -> list[tuple[int, Row]]:
        """Return the rows about an image, with their numbers."""
        with self._lock:
            found = self._database.execute(
                "SELECT number, cells FROM row WHERE key = ? ORDER BY number", (key,)
            ).fetchall()
        return [(number, _row(cells)) for number, cells in found]

    def stamp_of_row(self, number: int) -> str:
        """Return the stamp of the file that has a row: other shards of a data set may change."""
        parts = self.stamp.split("\n")
        return parts[min(self._table.part_of(number), len(parts) - 1)]

    def reference(self, rows: Sequence[tuple[int, Row]]) -> tuple[int, Value]:
        """Return the path, URL or picture of an image, and the number of the row that has it."""
        for number, row in rows:
            value = row.get(self.roles.image)
            if isinstance(value, Blob) or (isinstance(value, str) and value.strip()):
                return number, value
        return -1, None

    def content(self, number: int) -> bytes:
        """Return the picture that a row brought along; empty if it has none."""
        with self._lock:
            found = self._database.execute(
                "SELECT content FROM blob WHERE number = ?", (number,)
            ).fetchone()
        return bytes(found[0]) if found else b""

    def fields_of(self, rows: Sequence[Row]) -> dict[str, Scalar | tuple[str, ...]]:
        """Return what rows about one image say."""
        said = described_by(rows, self.roles, self.targets, self.date)
        reference = rows[0].get(self.roles.image) if rows else None
        if isinstance(reference, str) and is_url(reference):
            said.setdefault("source_url", without_password(reference.strip()))
        return said


def stamp_of(files: Sequence[Location]) -> str:
    """Return the sizes of files with their times or ETags, as text.

    Raises:
        OSError: their server can't be asked.
    """
    stamps = ((file.name, file.stamp()) for file in files)
    return "\n".join(f"{name} {stamp[0]} {stamp[1]}" for name, stamp in stamps if stamp)


def is_url(text: str) -> bool:
    """Return whether a reference is an address on the web."""
    return re.match(r"\s*https?://", text, re.IGNORECASE) is not None


def without_password(url: str) -> str:
    """Return a URL without the name and password in it."""
    return re.sub(r"^(\w+://)[^/?#]*@", r"\1", url)


def key_of_url(url: str) -> str:
    """Return the part of a URI that names the image of a URL."""
    return clean(without_password(url.strip()).replace("://", "/"))


def clean(text: str) -> str:
    """Return a text as a path of a URI, which has no empty parts and none that lead upwards."""
    parts = (part.strip() for part in re.split(r"[/\\]", text))
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return re.search(r"[\x00-\x1f\x7f]", key) is None and len(key) < 1_000


def _written(row: Row) -> str:
    return json.dumps(row, default=_as_plain, ensure_ascii=True, separators=(",", ":"))


def _as_plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"t": value.isoformat()}
    digest = hashlib.sha256(value.content).hexdigest() if value.content else ""
    return {"b": value.name, "d": digest}


def _row(cells: str) -> Row:
    return {name: _value(value) for name, value in json.loads(cells).items()}


def _value(value: Any) -> Value:
    if isinstance(value, dict):
        return (
            datetime.fromisoformat(value["t"])
            if "t" in value
            else Blob(b"", value["b"], value["d"])
        )
    return tuple(value) if isinstance(value, list) else value
