"""Records as documents of Vespa.

A document has what Vespa compares, sorts, groups and ranks (`schema.RECORD`), and for each space a
whole record and its vectors as text, which is what pixseek reads.
"""

from __future__ import annotations

import bisect
import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek import filters
from pixseek.engines import token_words, tokens
from pixseek.engines.columns import texts
from pixseek.engines.store import ABSENT, Document
from pixseek.engines.stored_fields import Column, Fields, fields_of
from pixseek.engines.vespa.schema import COLUMNS, FACETS, OWN, Slot
from pixseek.types import Record

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: What stands before the code of a character that Vespa does not store: "␛7;" is a bell.
_ESCAPE = "␛"
_NO_TEXT = "".join(chr(0x10000 * plane + last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_ESCAPED = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\ufdd0-\ufdef{_ESCAPE}{_NO_TEXT}]")
_ESCAPES = re.compile(f"{_ESCAPE}([0-9a-f]+);")
#: Ids of documents that need no other form; anything else in one can't stand in a path.
_PLAIN_ID = re.compile("[A-Za-z0-9_-]{1,120}")
#: The limits of integers. Vespa stores the least one for none, so that value is one higher.
LEAST, MOST = -(2**63) + 1, 2**63 - 1
#: What ids are made of, in order.
_DIGITS = b"234567abcdefghijklmnopqrstuvwxyz"
#: A version is that many bits of the system's randomness.
VERSION_BITS = 62
#: Facets of which a document has one value at most.
_SINGLE = ("folder", "camera", "format")


# ------------------------------------------------------------------ texts and ids


def escaped(text: str) -> str:
    """Return a text without the characters that Vespa refuses; distinct texts stay distinct."""
    return _ESCAPED.sub(lambda found: f"{_ESCAPE}{ord(found[0]):x};", text)


def unescaped(text: str) -> str:
    """Return the text of which `escaped` made another."""
    return _ESCAPES.sub(lambda found: chr(int(found[1], 16)), text)


def quotable(text: str) -> str:
    """Return a text as `escaped`, and without quotes, for lists of texts."""
    return escaped(text).replace('"', f"{_ESCAPE}22;")


def document_id(id_: str) -> str:
    """Return what the id of a record's document ends in."""
    if _PLAIN_ID.fullmatch(id_):
        return id_
    return f".{hashlib.sha256(id_.encode()).hexdigest()}"


def place_of(id_: str) -> tuple[int, int]:
    """Return the place of a record in scans: two integers that sort as `tokens.placed`."""
    raw = tokens.placed(id_)
    return _signed(raw[:8]), _signed(raw[8:])


def _signed(raw: bytes) -> int:
    return max(LEAST, int.from_bytes(raw, "big") - 2**63)


def place_behind(high: int, share: float) -> int:
    """Return where a share of all records ends, if it begins at a place.

    Ids are hashes in base 32 (`types.record_id`), so the share of those between two is known. Ids
    of others make shares uneven, which costs time.
    """
    rank = 0
    for n, byte in enumerate((high + 2**63).to_bytes(8, "big")):
        digit = min(bisect.bisect_left(_DIGITS, byte), 31)
        rank += digit << 5 * (7 - n)
        if _DIGITS[digit] != byte:
            break
    rank += math.ceil(share * 2**40)
    if rank >= 2**40:
        return MOST
    digits = bytes(_DIGITS[rank >> 5 * (7 - n) & 31] for n in range(8))
    return max(high, int.from_bytes(digits, "big") - 2**63)


def own_key(column: Column) -> str:
    """Return the key of a user's number in its map."""
    return column.name.removeprefix(filters.USER_PREFIX)


# ------------------------------------------------------------------ from records


def fields_of_records(
    documents: Sequence[Document], slot: Slot, versions: Sequence[int], *, vectors: bool
) -> Iterator[dict[str, Any]]:
    """Yield the values of all fields of some documents, None for fields without one.

    Args:
        documents: as one space has them.
        slot: of that space.
        versions: the new version of each document.
        vectors: whether to write vectors; else those that are stored stay.
    """
    stems = token_words.stems_of([texts(each.record) for each in documents])
    for each, (strong, weak), version in zip(documents, stems, versions, strict=True):
        fields = _shared(each.record, strong, weak)
        fields[slot.record] = escaped(tokens.packed(each.record))
        fields[slot.version] = version
        if vectors:
            fields |= _vectors(each, slot)
        yield fields


def _shared(record: Record, strong: str, weak: str) -> dict[str, Any]:
    """Return what a record has whatever the space."""
    fields = fields_of(record)
    high, low = place_of(record.id)
    terms = dict.fromkeys(token_words.terms(strong) + token_words.terms(weak))
    values = tokens.facet_values(record)
    found: dict[str, Any] = {
        "id": escaped(record.id),
        "place_high": high,
        "place_low": low,
        "root": _text(record.root),
        "folder": _text(record.folder),
        "media": _text(record.media),
        "digest": _text(record.digest),
        "pixels": _text(record.pixels),
        "caption": _text(record.caption),
        "year": record.taken_at.year if record.taken_at else None,
        "tokens": [quotable(each) for each in tokens.tokens(fields)],
        "terms": [quotable(each) for each in terms],
        "stems_strong": list(map(escaped, strong.split())),
        "stems_weak": list(map(escaped, weak.split())),
        "text": _text(" ".join((record.caption, *record.tags, record.uri))),
    }
    for column, name in COLUMNS.items():
        (value,) = fields.get(column, (None,))
        found[name] = _stored(column, value)
    for name, field in FACETS.items():
        if name != "year":
            some = [escaped(each) for each in values.get(name, [])]
            found[field] = (some[0] if some else None) if name in _SINGLE else some
    return found | _own(fields)


def _text(text: str | None) -> str | None:
    return escaped(text) if text else None


def _stored(column: Column, value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return escaped(value)
        case (latitude, longitude):
            return {"lat": latitude, "lng": longitude}
    return value if column.kind == "real" else max(value, LEAST)


def _own(fields: Fields) -> dict[str, dict[str, int | float]]:
    """Return the maps of a user's numbers."""
    found: dict[str, dict[str, int | float]] = {name: {} for name in OWN.values()}
    for column, values in fields.items():
        if column.name.startswith(filters.USER_PREFIX) and column.kind in OWN:
            found[OWN[column.kind]][escaped(own_key(column))] = _stored(column, values[0])
    return found


def _vectors(document: Document, slot: Slot) -> dict[str, Any]:
    rows = document.vectors.astype(np.float16)
    found: dict[str, Any] = {
        slot.vectors: tokens.packed_vectors(rows),
        slot.parts: len(rows),
    }
    # Six digits are more than bfloat16 holds, and hits are scored by `slot.vectors`.
    numbers = rows.astype(np.float64).round(6).tolist()
    first = {"values": numbers[0]} if numbers else None
    more = {"blocks": {str(n): row for n, row in enumerate(numbers) if n}}
    tensors = {slot.vector: first, slot.more: more if len(numbers) > 1 else None}
    if document.version == ABSENT:  # nothing is stored to be cleared
        tensors = {name: value for name, value in tensors.items() if value is not None}
    return found | tensors


def cleared(slot: Slot) -> dict[str, None]:
    """Return the fields of a space without values."""
    names = (slot.vector, slot.more, slot.record, slot.vectors, slot.parts, slot.version)
    return dict.fromkeys(names)


# ------------------------------------------------------------------ to records


def document_of(fields: Mapping[str, Any], slot: Slot) -> Document:
    """Return the document of a summary; its vectors if the summary has them."""
    return Document(
        tokens.unpacked(unescaped(fields[slot.record])),
        vectors_of(fields, slot),
        fields.get(slot.version),
    )


def vectors_of(fields: Mapping[str, Any], slot: Slot) -> Vectors:
    """Return the vectors in a summary, (parts, dim) float32."""
    return tokens.unpacked_vectors(fields.get(slot.vectors, ""), slot.dim)
