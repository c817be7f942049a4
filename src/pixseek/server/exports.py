"""Lists of images to take along: paths, a table, or all that is known."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from pixseek import wire
from pixseek.library import Library
from pixseek.server.answers import as_json
from pixseek.types import Record

Format = Literal["paths", "csv", "json"]

#: Media type and file name of each format.
FORMATS: dict[Format, tuple[str, str]] = {
    "paths": ("text/plain; charset=utf-8", "pixseek.txt"),
    "csv": ("text/csv; charset=utf-8", "pixseek.csv"),
    "json": ("application/json", "pixseek.json"),
}

_COLUMNS = (
    "id", "uri", "path", "media", "width", "height", "size", "taken_at", "rating", "tags",
    "caption", "title", "camera_make", "camera_model", "lens", "latitude", "longitude", "place",
    "digest",
)  # fmt: skip

#: What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

#: Records read at a time.
_TOGETHER = 1000


def exported(
    library: Library, ids: Sequence[str], form: Format, *, has_rights: bool
) -> Iterator[bytes]:
    """Yield a file about images, in pieces; those that are gone are left out.

    Args:
        library: holds them.
        ids: of the images, in order.
        form: "paths", one a line; "csv", with a line of names; "json", a list of records.
        has_rights: whether whoever asks may know where files are; others get URIs as paths.
    """
    write: dict[Format, Callable[[Iterator[dict[str, Any]], bool], Iterator[bytes]]] = {
        "paths": _paths, "csv": _table, "json": _list,
    }  # fmt: skip
    return write[form](_records(library, ids, has_rights), has_rights)


def _records(library: Library, ids: Sequence[str], has_rights: bool) -> Iterator[dict[str, Any]]:
    for at in range(0, len(ids), _TOGETHER):
        for record in library.get_many(ids[at : at + _TOGETHER]):
            if record is not None:
                yield _plain(library, record, has_rights)


def _plain(library: Library, record: Record, has_rights: bool) -> dict[str, Any]:
    plain = wire.record_to_plain(record)
    if has_rights:
        path = library.locate(record)
        plain["path"] = str(path) if path else record.uri
    return plain


def _paths(records: Iterator[dict[str, Any]], has_rights: bool) -> Iterator[bytes]:
    for each in records:
        yield f"{each['path' if has_rights else 'uri']}\n".encode("utf-8", "replace")


def _table(records: Iterator[dict[str, Any]], has_rights: bool) -> Iterator[bytes]:
    columns = [name for name in _COLUMNS if name != "path" or has_rights]
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(columns)
    yield b"\xef\xbb\xbf"  # else Excel takes it for the encoding of the machine
    for each in records:
        writer.writerow([_cell(each.get(name)) for name in columns])
        yield line.getvalue().encode("utf-8", "replace")
        line.seek(0)
        line.truncate()
    yield line.getvalue().encode()


def _cell(value: Any) -> Any:
    """Return a value as a cell; texts of strangers must not be formulas."""
    text = "; ".join(value) if isinstance(value, list) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(_FORMULA) else text


def _list(records: Iterator[dict[str, Any]], has_rights: bool) -> Iterator[bytes]:
    before = b"[\n"
    for each in records:
        yield before + as_json(each)
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"
