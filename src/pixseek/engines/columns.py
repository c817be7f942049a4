"""Records as columns of a database and back, for the engines that store them in SQL.

Unknown values (see `types.Record`) are stored as NULL: a comparison with NULL is not true in SQL,
which is the rule of `pixseek.filters` for missing values.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pixseek import filters
from pixseek.engines.words import as_seen, searchable
from pixseek.errors import EngineError
from pixseek.metadata import seen
from pixseek.metadata.annotations import (
    KEPT,
    LABEL_CONFIDENCES,
    LABEL_SCORES,
    USER_PREFIX,
    tags_by_model,
    without,
)
from pixseek.types import WHOLE, Known, Part, Record, Scalar, Stamp


class Columns(NamedTuple):
    """A record without its parts, in the order in which engines name the columns."""

    id: str
    uri: str
    size: int | None
    mtime_ns: int | None
    digest: str | None
    media: str | None
    width: int | None
    height: int | None
    taken_at: str | None
    caption: str | None
    tags: str | None
    fields: str | None
    away: bool
    pixels: str | None
    perceptual_hash: int | None


#: The columns, as SQL lists them.
COLUMNS = ", ".join(Columns._fields)
#: Those that `Known` is made of.
KNOWN = "id, uri, size, mtime_ns, digest"

#: Up to format 4 this field marked a record as away, in the column `fields`. No
#: user field is called so.
AWAY_FIELD = "pixseek.away"
#: What the column `fields` held of such a record, and of no other: within a text of JSON quotation
#: marks are escaped.
AWAY_MARK = f'"{AWAY_FIELD}":true'


#: The version of what engines index of a record besides its columns: its `texts`, and in the
#: embedded engine its facet values. After a release a change of these needs a new number: each
#: library is then indexed again when it is opened, and an older pixseek refuses it.
INDEXED = 3


_TEXTS = ("id", "uri", "digest", "media", "caption", "pixels")
_INTEGERS = ("size", "mtime_ns", "width", "height")


class Texts(NamedTuple):
    """The texts that a search for words looks through, as words with spaces between.

    Attributes:
        strong: caption, tags and title, also in other languages.
        weak: other texts that may name the image, and those that were read in it (`as_seen`).
    """

    strong: str
    weak: str


#: The fields, besides the title, translations and those of the user, that are searched for words.
_TEXT_FIELDS = (
    "people", "albums", "event", "sublocation", "city", "state", "country", "place", "prompt",
)  # fmt: skip
#: Where a word ends within a name: IMGDay, imgDay, img1234, 2021party.
_WITHIN = (  # compiled when something is indexed
    "(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
    "|(?<=[A-Za-z][A-Za-z])(?=[0-9][0-9])|(?<=[0-9][0-9])(?=[A-Za-z][A-Za-z])"
)


def texts(record: Record) -> Texts:
    """Return the words of a record.

    Tags that only a model gave are not among them: what the model sees in an image is found by its
    vector. Names of roots, folders and files are, without the ending of the file.

    A database that has indexed them needs the same words to remove them from its index, so a change
    of the result needs a new number for `INDEXED`.
    """
    fields = record.fields
    by_people = (fields.get("title"), fields.get("translations"))
    strong = (record.caption, *without(record.tags, tags_by_model(record)), *by_people)
    path = record.uri.rpartition(".")[0] if "." in record.name else record.uri
    split = (re.sub(_WITHIN, " ", name) for name in path.split("/") if re.search(_WITHIN, name))
    own = (value for name, value in fields.items() if _is_text_of_user(name))
    weak = (*map(fields.get, _TEXT_FIELDS), *own, path, *split)
    said, named = (
        searchable(" ".join(text for text in some if isinstance(text, str)))
        for some in (strong, weak)
    )
    read = fields.get(seen.TEXT)
    return Texts(said, f"{named} {as_seen(searchable(read))}" if isinstance(read, str) else named)


def _is_text_of_user(name: str) -> bool:
    """Return whether a field holds what a user wrote that no other text of the record holds."""
    own = name.startswith(USER_PREFIX) and name not in KEPT
    return own and name.removeprefix(USER_PREFIX) not in (LABEL_SCORES, LABEL_CONFIDENCES)


def texts_of(uri: str, caption: str | None, tags: str | None, fields: str | None) -> Texts:
    """Return the words of the record that has these columns."""
    return texts(described_by(uri, caption, tags, fields))


def described_by(
    uri: str,
    caption: str | None,
    tags: str | None,
    fields: str | None,
    media: str | None = None,
    taken_at: str | None = None,
) -> Record:
    """Return a record that has these columns and no others."""
    return Record(
        "",
        uri,
        media=media or "",
        taken_at=None if taken_at is None else datetime.fromisoformat(taken_at),
        caption=caption or "",
        tags=tags_from_json(tags),
        fields=fields_from_json(fields),
    )


def to_columns(record: Record) -> Columns:
    """Return the columns of a record.

    Raises:
        EngineError: databases can't store a value of it: a lone surrogate, a NUL character, an
            integer of more than 64 bits, or a value of an unknown type.
    """
    stamp, taken_at = record.stamp, record.taken_at
    columns = Columns(
        id=record.id,
        uri=record.uri,
        size=None if stamp is None else stamp.size,
        mtime_ns=None if stamp is None else stamp.mtime_ns,
        digest=record.digest or None,
        media=record.media or None,
        width=record.width or None,
        height=record.height or None,
        taken_at=None if taken_at is None else time_to_text(taken_at),
        caption=record.caption or None,
        tags=_tags_to_json(record) if record.tags else None,
        fields=_fields_to_json(record) if record.fields else None,
        away=record.away,
        pixels=record.pixels or None,
        perceptual_hash=_hash_to_integer(record) if record.perceptual_hash else None,
    )
    # The rest was checked where it was made.
    for name in _TEXTS:
        text = getattr(columns, name)
        if text is not None and not is_storable(text):
            raise _unstorable(name, record)
    for name in _INTEGERS:
        number = getattr(columns, name)
        if number is not None:
            _check_integer(name, number, record)
    return columns


def from_columns(columns: Sequence[Any], parts: tuple[Part, ...]) -> Record:
    """Return the record of columns that `to_columns` made, with these parts."""
    row = Columns._make(columns)
    return Record(
        id=row.id,
        uri=row.uri,
        stamp=stamp_of(row.size, row.mtime_ns),
        digest=row.digest or "",
        media=row.media or "",
        width=row.width or 0,
        height=row.height or 0,
        taken_at=None if row.taken_at is None else datetime.fromisoformat(row.taken_at),
        caption=row.caption or "",
        tags=tags_from_json(row.tags),
        fields=fields_from_json(row.fields),
        parts=parts,
        away=bool(row.away),
        pixels=row.pixels or "",
        perceptual_hash=(
            "" if row.perceptual_hash is None else f"{row.perceptual_hash % 2**64:016x}"
        ),
    )


def known_of(id_: str, uri: str, size: int | None, mtime_ns: int | None, digest: str) -> Known:
    """Return the columns `KNOWN` of a record as one object."""
    return Known(id_, uri, stamp_of(size, mtime_ns), digest)


def stamp_of(size: int | None, mtime_ns: int | None) -> Stamp | None:
    """Return the stamp of two columns."""
    return None if size is None or mtime_ns is None else Stamp(size, mtime_ns)


def time_to_text(moment: datetime) -> str:
    """Return ISO 8601 with microseconds: 26 characters, then the zone if there is one."""
    return moment.isoformat(timespec="microseconds")


def tags_from_json(text: str | None) -> tuple[str, ...]:
    """Return the tags of a column."""
    return () if text is None else tuple(json.loads(text))


def fields_from_json(text: str | None) -> dict[str, Scalar]:
    """Return the user fields of a column."""
    if text is None:
        return {}
    fields = json.loads(text)
    fields.pop(AWAY_FIELD, None)
    return {name: scalar_from_json(value) for name, value in fields.items()}


def scalar_to_json(value: Scalar) -> Any:
    """Return the value of a user field as JSON can hold it."""
    if isinstance(value, datetime):
        return {"time": time_to_text(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}  # JSON has no such numbers
    return value


def scalars_to_json(values: Iterable[Scalar]) -> str:
    """Return a JSON list of values of user fields."""
    return _json(list(map(scalar_to_json, values)))


def scalar_from_json(value: Any) -> Scalar:
    """Return the value of a user field from its JSON."""
    if isinstance(value, dict):
        moment = value.get("time")
        return float(value["float"]) if moment is None else datetime.fromisoformat(moment)
    plain: Scalar = value
    return plain


def location_from_json(text: str) -> tuple[float, float] | None:
    """Return the location from a JSON list of latitude and longitude.

    Parsing it as JSON would take six times as long.
    """
    latitude, _, longitude = text[1:-1].partition(",")
    try:
        return filters.location({"latitude": float(latitude), "longitude": float(longitude)})
    except ValueError:
        return None


def part_to_json(part: Part) -> str | None:
    """Return a part as a column; None for the whole image, which nearly all parts are."""
    if part == WHOLE:
        return None
    frame = [] if part.frame_s is None else [part.frame_s]
    return json.dumps([part.kind, part.box, part.start_s, part.end_s, *frame])


def part_from_json(text: str | None) -> Part:
    """Return the part of a column."""
    if text is None:
        return WHOLE
    kind, box, *seconds = json.loads(text)
    return Part(kind, None if box is None else tuple(box), *seconds)


def prefix_end(prefix: str) -> str | None:
    """Return the smallest text above all texts that begin with `prefix`; None for no limit.

    By code point; databases compare UTF-8 bytes, which have the same order.
    """
    while prefix:
        code = ord(prefix[-1]) + 1
        if code == 0xD800:  # surrogates are not characters
            code = 0xE000
        if code <= 0x10FFFF:
            return prefix[:-1] + chr(code)
        prefix = prefix[:-1]
    return None


def is_storable(text: str) -> bool:
    """Return whether databases can store a text: no lone surrogates and no NUL."""
    if "\0" in text:
        return False
    if text.isascii():  # known of every text, and most are
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


#: `json.dumps` makes an encoder at each call, which takes as long as encoding.
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _is_storable_json(text: str) -> bool:
    """Return whether a text of JSON holds only texts that databases can store; False in doubt."""
    return "\\u0000" not in text and is_storable(text)


def _tags_to_json(record: Record) -> str:
    text = _json(record.tags)
    if not _is_storable_json(text):
        for tag in record.tags:
            _check_text("tags", tag, record)
    return text


def _fields_to_json(record: Record) -> str:
    plain: dict[str, object] = {}
    for name, value in record.fields.items():
        kind = type(value)
        if kind is str or value is None or kind is bool:
            plain[name] = value
        elif isinstance(value, str | int | float | datetime):
            if isinstance(value, int):
                _check_integer(f"fields.{name}", value, record)
            plain[name] = scalar_to_json(value)
        else:
            raise EngineError(
                f"a value of type {kind.__name__} can't be stored",
                f"fields.{name} of {record.uri!r}",
                "Fields hold text, numbers, truth values, datetimes or None.",
            )
    if AWAY_FIELD in plain:
        raise EngineError(
            "this name of a field is reserved", f"fields.{AWAY_FIELD} of {record.uri!r}"
        )
    text = _json(plain)
    if not _is_storable_json(text):  # look for the one that is not
        for name, value in record.fields.items():
            _check_text("fields", name, record)
            if isinstance(value, str):
                _check_text(f"fields.{name}", value, record)
    return text


def _hash_to_integer(record: Record) -> int:
    """Return a perceptual hash as databases hold it: a signed integer of 64 bits."""
    if not re.fullmatch("[0-9a-f]{16}", record.perceptual_hash):
        raise EngineError(
            "this is not a perceptual hash",
            f"{record.perceptual_hash!r} of {record.uri!r}",
            "Give 64 bits as 16 hexadecimal digits in lower case.",
        )
    number = int(record.perceptual_hash, 16)
    return number - 2**64 if number >= 2**63 else number


def _check_text(name: str, text: str, record: Record) -> None:
    if not is_storable(text):
        raise _unstorable(name, record)


def _check_integer(name: str, value: int, record: Record) -> None:
    if not -(2**63) <= value < 2**63:
        raise EngineError(
            "an integer of more than 64 bits can't be stored", f"{name} of {record.uri!r}"
        )


def _unstorable(name: str, record: Record) -> EngineError:
    return EngineError(
        "text with a NUL or half a surrogate pair can't be stored",
        f"{name} of {record.uri!r}",
        "Replace those characters first: text.encode('utf-8', 'replace').decode().",
    )
