"""Text that was read in a picture, as fields of its record. Nobody wrote it about the image.

`text_seen` has the lines, for filters and searches; `text_seen_boxes` has their confidence and
place, one each; `text_seen_by` names what read, also if there was no text, so that it is not read
again. Only pixseek writes them: sources can't, and a user's words never go there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pixseek.metadata.fields import clean_text
from pixseek.types import Record, Scalar, TextLine

#: The lines, and the prefix of all fields of this kind.
TEXT = "text_seen"
BOXES = "text_seen_boxes"
#: What read, which says that somebody looked.
READER = "text_seen_by"

FIELDS = (TEXT, BOXES, READER)

#: Characters of a line at most.
_MAX_LINE = 1_000


def fields_of(lines: Sequence[TextLine], reader: str) -> dict[str, Scalar]:
    """Return the fields of a record whose picture was read.

    Args:
        lines: that were found.
        reader: the name of what read, with its version.
    """
    fields: dict[str, Scalar] = {READER: reader}
    cleaned = [(clean_text(line.text, _MAX_LINE), line) for line in lines]
    kept = [(text, line) for text, line in cleaned if text]
    if kept:
        fields[TEXT] = "\n".join(text for text, _ in kept)
        fields[BOXES] = "; ".join(
            " ".join(f"{number:g}" for number in (line.confidence, *line.box)) for _, line in kept
        )
    return fields


def lines_of(fields: Mapping[str, Scalar]) -> tuple[TextLine, ...]:
    """Return the lines that were read in a picture, from the fields of its record."""
    text, boxes = fields.get(TEXT), fields.get(BOXES)
    if not isinstance(text, str) or not isinstance(boxes, str):
        return ()
    found = []
    for line, numbers in zip(text.split("\n"), boxes.split("; "), strict=False):
        try:
            confidence, left, top, width, height = map(float, numbers.split(" "))
        except ValueError:
            continue  # an engine may hold anything
        found.append(TextLine(line, confidence, (left, top, width, height)))
    return tuple(found)


def is_read(record: Record) -> bool:
    """Return whether text was looked for in a record's picture."""
    return READER in record.fields


def with_text_of(record: Record, other: Record) -> Record:
    """Return `record` with the text of another of the same picture, unless it was read itself."""
    if is_read(record) or not is_read(other):
        return record
    seen = {name: other.fields[name] for name in FIELDS if name in other.fields}
    return replace(record, fields={**record.fields, **seen})


def place_of(box: tuple[float, float, float, float]) -> str:
    """Return where a box lies, in words: "top left", "centre", "right"."""
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    down = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    return " ".join(filter(None, (down, across))) or "centre"
