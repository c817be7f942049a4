"""Tables of captions: which texts were written about which image files.

A table is CSV or TSV, one caption a line, as many lines for an image as it has captions. Its first
line names the columns. Without such a line the first column is the file and the last the caption,
as in Flickr's `1000268201_693b08cb0e.jpg#0<TAB>A child in a pink dress`.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pixseek import files
from pixseek.errors import SourceError, unknown
from pixseek.images import EXTENSIONS

#: Names of columns, without case, spaces, - and _; the first that a table has is taken.
_IMAGES = (
    "file", "filename", "filepath", "image", "imagefile", "imagename", "imagepath", "imagefilename",
    "path", "img", "photo", "picture", "name", "uri",
)  # fmt: skip
_CAPTIONS = (
    "caption", "captions", "text", "comment", "description", "sentence", "title", "alttext", "alt",
)  # fmt: skip
#: The number of a caption behind the name of its file.
_NUMBERED = re.compile(r"#\d+$")
#: A caption may be long, a table of millions of characters in one field is broken.
_MOST_CHARACTERS = 1_000_000
#: Bytes of a table: LAION has 100 to 200 a caption.
_MOST_BYTES = 1 << 30


def read_captions(
    table: Path,
    *,
    images: Path | None = None,
    image_column: str = "",
    caption_column: str = "",
) -> dict[Path, list[str]]:
    """Return the captions of each image file that a table names, in the order of the table.

    Args:
        table: a text file, one caption a line; UTF-8, or UTF-16 with its mark.
        images: the folder that names of files are relative to; None for that of the table.
        image_column: name of the column of files; "" for a usual name.
        caption_column: name of the column of captions; "" for a usual name.

    Raises:
        SourceError: it can't be read, has no such columns, or has no captions.
    """
    rows = _rows(table)
    image, caption, has_head = _columns(table, rows, image_column, caption_column)
    base = table.parent if images is None else images
    found: dict[Path, list[str]] = {}
    for row in rows[1:] if has_head else rows:
        if len(row) <= max(image, caption):
            continue  # such as a line that was cut off
        name, text = _NUMBERED.sub("", row[image].strip()), row[caption].strip()
        if name and text:
            found.setdefault(base / name, []).append(text)
    if not found:
        raise SourceError(
            "The table has no captions",
            table,
            "It must have lines with the name of an image file and a caption.",
        )
    return found


def _rows(table: Path) -> list[list[str]]:
    """Return the cells of a table, without empty lines."""
    try:
        content = files.read(table, _MOST_BYTES)
    except OSError as error:
        raise SourceError(
            "The table of captions can't be read", table, f"{error.strerror or error}."
        ) from error
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            "The table of captions is not text in UTF-8", table, f"Save it as UTF-8 ({error})."
        ) from error
    lines = [line for line in io.StringIO(text, newline="") if line.strip()]
    first = lines[0] if lines else ""
    # Spreadsheets write semicolons where the comma is a decimal point; Flickr30k has "|".
    tabs = table.suffix.lower() in (".tsv", ".tab") or "\t" in first
    delimiter = "\t" if tabs else max(",;|", key=first.count)
    if tabs:
        return [[_unquoted(cell) for cell in line.rstrip("\r\n").split("\t")] for line in lines]
    csv.field_size_limit(_MOST_CHARACTERS)
    try:
        return list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise SourceError(
            "The table of captions is not a valid CSV file", table, f"{error}. Save it as TSV."
        ) from error


def _unquoted(cell: str) -> str:
    """Return a cell without the quotation marks that spreadsheets put around it."""
    cell = cell.strip()
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


def _columns(
    table: Path, rows: Sequence[Sequence[str]], image: str, caption: str
) -> tuple[int, int, bool]:
    """Return where files and captions stand, and whether the first line names the columns."""
    head = rows[0] if rows else []
    names = {_plain(name): at for at, name in reversed(list(enumerate(head)))}
    found = (_column(names, image, _IMAGES), _column(names, caption, _CAPTIONS))
    if found[0] is not None and found[1] is not None:
        return found[0], found[1], True
    named = image or caption
    if not named and len(head) > 1 and _is_image(head[0]):
        return 0, len(head) - 1, False
    missing, option = (
        ("files", "--image-column") if found[0] is None else ("captions", "--caption-column")
    )
    asked = image if found[0] is None else caption
    found_names = (name.strip() for name in head if name.strip())
    listed = [name if name.isprintable() else ascii(name) for name in found_names]
    raise SourceError(
        f"The table has no column {asked!r}" if asked else f"No column of {missing} was recognised",
        table,
        unknown("column", asked, listed)
        if asked
        else f"Its first line is: {', '.join(listed)[:200] or 'empty'}. Name the column: {option} "
        "NAME (image_column, caption_column in Python).",
    )


def _column(names: Mapping[str, int], asked: str, usual: Sequence[str]) -> int | None:
    """Return where a column stands, by its name or the first usual one; None if it is missing."""
    if asked:
        return names.get(_plain(asked))
    return next((names[name] for name in usual if name in names), None)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


def _is_image(cell: str) -> bool:
    return Path(_NUMBERED.sub("", cell.strip())).suffix.lower() in EXTENSIONS
