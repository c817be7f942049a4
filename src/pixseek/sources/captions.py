"""Tables of captions: which texts were written about which image files.

A table is CSV or TSV, one caption a line, as many lines for an image as it has captions. Its first
line names the columns. Without such a line the first column is the file and the last the caption,
as in Flickr's `1000268201_693b08cb0e.jpg#0<TAB>A child in a pink dress`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pixseek.errors import SourceError, unknown
from pixseek.images import EXTENSIONS
from pixseek.sources.cells import rows_of_cells
from pixseek.sources.locations import LocalFile

#: Names of columns, without case, spaces, - and _; the first that a table has is taken.
IMAGE_NAMES = (
    "file", "filename", "filepath", "image", "imagefile", "imagename", "imagepath", "imagefilename",
    "path", "img", "photo", "picture", "name", "uri",
)  # fmt: skip
CAPTION_NAMES = (
    "caption", "captions", "text", "comment", "description", "sentence", "title", "alttext", "alt",
)  # fmt: skip
#: The number of a caption behind the name of its file.
NUMBERED = re.compile(r"#\d+$")
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
    rows = list(rows_of_cells(LocalFile(table), "table of captions", _MOST_BYTES))
    image, caption, has_head = _columns(table, rows, image_column, caption_column)
    base = table.parent if images is None else images
    found: dict[Path, list[str]] = {}
    for row in rows[1:] if has_head else rows:
        if len(row) <= max(image, caption):
            continue  # such as a line that was cut off
        name, text = NUMBERED.sub("", row[image].strip()), row[caption].strip()
        if name and text:
            found.setdefault(base / name, []).append(text)
    if not found:
        raise SourceError(
            "The table has no captions",
            table,
            "It must have lines with the name of an image file and a caption.",
        )
    return found


def _columns(
    table: Path, rows: Sequence[Sequence[str]], image: str, caption: str
) -> tuple[int, int, bool]:
    """Return where files and captions stand, and whether the first line names the columns."""
    head = rows[0] if rows else []
    names = {plain_name(name): at for at, name in reversed(list(enumerate(head)))}
    found = (_column(names, image, IMAGE_NAMES), _column(names, caption, CAPTION_NAMES))
    if found[0] is not None and found[1] is not None:
        return found[0], found[1], True
    named = image or caption
    if not named and len(head) > 1 and is_image_name(head[0]):
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
        return names.get(plain_name(asked))
    return next((names[name] for name in usual if name in names), None)


def plain_name(name: str) -> str:
    """Return a column's name without case, spaces, - and _."""
    return re.sub(r"[\s_-]", "", name).casefold()


def is_image_name(cell: str) -> bool:
    """Return whether a cell names an image file, by its ending."""
    return Path(NUMBERED.sub("", cell.strip())).suffix.lower() in EXTENSIONS
