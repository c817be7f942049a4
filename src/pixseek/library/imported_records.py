"""Records of files from elsewhere: every value is checked before it is stored.

Filters, facets, orders, exports and pages take the types of a record for granted, so a wrong one
would end each of them later, far from the file that it came from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pixseek.filters import MAX_OFFSET
from pixseek.metadata.fields import FIELDS
from pixseek.redaction import redacted
from pixseek.types import Part, Record

#: Most characters of each text: what databases can index, and what people can read.
_MOST = {"id": 1_000, "uri": 4_096, "media": 255, "digest": 255, "pixels": 255}
_MOST_ID_BYTES = 2_600
_MOST_TEXT = 1_000_000
_MOST_TAGS = 10_000
_MOST_FIELDS = 10_000
_HASH = re.compile("[0-9a-f]{16}")


def check(record: Record) -> None:
    """Check the types, sizes and ranges of everything that a record says, but not where it lies.

    Raises:
        ValueError: a value is wrong; the text names it and says what is wanted, for people.
    """
    for name in ("id", "uri", "digest", "media", "caption", "pixels", "perceptual_hash"):
        _check_text(name, getattr(record, name), _MOST.get(name, _MOST_TEXT))
    if not record.id:
        raise ValueError("id is empty")
    if len(record.id.encode()) > _MOST_ID_BYTES:
        raise ValueError(f"id has more than {_MOST_ID_BYTES:,} bytes in UTF-8")
    if record.perceptual_hash and not _HASH.fullmatch(record.perceptual_hash):
        raise _wrong("perceptual_hash", record.perceptual_hash, "16 hexadecimal digits")
    if record.stamp is not None:
        _check_whole("size", record.stamp.size, 0, 2**63 - 1)
        _check_whole("mtime_ns", record.stamp.mtime_ns, -(2**63), 2**63 - 1)
    for name in ("width", "height"):
        _check_whole(name, getattr(record, name), 0, 2**31 - 1)
    if record.taken_at is not None:
        _check_time("taken_at", record.taken_at)
    _check_tags(record.tags)
    _check_fields(record.fields)
    for part in record.parts:
        _check_part(part)


def is_field(name: str, value: object) -> bool:
    """Return whether a field of this name may have this value."""
    try:
        _check_field(name, value)
    except ValueError:
        return False
    return True


def whole(value: Any) -> Any:
    """Return a number without a fraction as an integer, as tables with gaps write them as floats.

    Not a number stands for an unknown one, which is 0.
    """
    if type(value) is float and (value.is_integer() or math.isnan(value)):
        return 0 if math.isnan(value) else int(value)
    return value


def _check_tags(tags: object) -> None:
    if not isinstance(tags, tuple) or len(tags) > _MOST_TAGS:
        raise ValueError(f"tags are not a list of up to {_MOST_TAGS:,} texts")
    for tag in tags:
        _check_text("a tag", tag, _MOST_TEXT)


def _check_fields(fields: Mapping[str, Any]) -> None:
    if len(fields) > _MOST_FIELDS:
        raise ValueError(f"there are {len(fields):,} fields; at most {_MOST_FIELDS:,} are stored")
    for name, value in fields.items():
        _check_field(name, value)


def _check_field(name: str, value: object) -> None:
    _check_text("the name of a field", name, 1_000)
    named = f"fields.{redacted(name)[:60]}"
    if not name:
        raise ValueError("a field has no name")
    if isinstance(value, str):
        _check_text(named, value, _MOST_TEXT)
    elif isinstance(value, datetime):
        _check_time(named, value)
    elif type(value) is int:
        _check_whole(named, value, -(2**63), 2**63 - 1)
    elif type(value) is float:
        if math.isnan(value):
            raise _wrong(named, value, "a number")
    elif value is not None and type(value) is not bool:
        raise _wrong(named, value, "a text, a number, true, false or a time")
    known = FIELDS.get(name)
    if known is not None and value is not None:
        is_number = known.kind in (int, float)
        if type(value) not in ((int, float) if is_number else (known.kind,)):
            what = "a number" if is_number else "a text" if known.kind is str else "true or false"
            raise _wrong(named, value, what)
        if is_number and not math.isfinite(value):  # type: ignore[arg-type]
            raise _wrong(named, value, "a finite number")


def _check_part(part: Part) -> None:
    if part.kind not in ("image", "tile", "shot"):
        raise _wrong("part", part.kind, '"image", "tile" or "shot"')
    box = part.box
    if box is not None and (len(box) != 4 or not all(map(_is_finite, box))):
        raise _wrong("part", list(box), "a box of four numbers")
    for seconds in (part.start_s, part.end_s, part.frame_s):
        if seconds is not None and not _is_finite(seconds):
            raise _wrong("part", seconds, "a number of seconds")


def _is_finite(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300  # type: ignore[arg-type]


def _check_text(name: str, value: object, most: int) -> None:
    if type(value) is not str:
        raise _wrong(name, value, "a text")
    if len(value) > most:
        raise ValueError(f"{name} has {len(value):,} characters; at most {most:,} are stored")
    if "\0" in value or not _is_unicode(value):
        raise _wrong(name, value, "a text that databases can store: no NUL, no half a character")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int:
        raise _wrong(name, value, "a whole number")
    if not low <= value <= high:
        raise ValueError(f"{name} is out of range: it is from {low} to {high}")


def _check_time(name: str, value: object) -> None:
    if not isinstance(value, datetime):
        raise _wrong(name, value, "a time")
    offset = value.utcoffset()
    if offset is not None and abs(offset) >= MAX_OFFSET:
        raise _wrong(name, value.isoformat(), "a time in a zone less than 16 hours from UTC")


def _wrong(name: str, value: object, wanted: str) -> ValueError:
    shown = redacted(repr(value))
    return ValueError(f"{name} is {shown[:40]}{'...' * (len(shown) > 40)}, and not {wanted}")
