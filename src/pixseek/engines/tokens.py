"""Records as tokens and numbers, for vector databases that compare values and know no texts.

Qdrant and Milvus test whether a list holds a text, and compare numbers. So whatever of a record can
be tested for equality becomes a token, such as `camera.text=Canon R5`, all in one list. A folder is
a token of each image below it, and that a column has a value is one. What is ordered becomes an
integer of 64 bits that sorts as the value does. Comparisons that are neither, such as wildcards
within a name, are left to pixseek (`is_expressed`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek import filters
from pixseek.engines import columns, facets
from pixseek.engines.store import Row
from pixseek.engines.stored_fields import (
    AllOf,
    AnyOf,
    Column,
    Condition,
    Fields,
    Like,
    Negated,
    Range,
    Value,
    Within,
    compiled,
)
from pixseek.types import Compare, Record
from pixseek.types.wildcards import Wildcard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixseek.types import Vectors

#: Characters of a token before its digest; every database takes 4 bytes for each.
_LONGEST = 200
_PLACE_BYTES = 16
#: Folders above a file that have a token each.
_MOST_FOLDERS = 64
#: The kinds of columns that are ordered as integers.
ORDERED = ("integer", "real", "wall", "instant")
#: Columns of numbers that every record may have; a user's fields are not among them.
NUMBERS = (
    Column("width", "integer"), Column("height", "integer"), Column("size", "integer"),
    Column("mtime", "integer"), Column("aspect", "real"), Column("megapixels", "real"),
    Column("taken_at", "wall"), Column("taken_at", "instant"),
)  # fmt: skip


# ------------------------------------------------------------------ whole records


def packed(record: Record) -> str:
    """Return a record as text, without vectors."""
    parts = [columns.part_to_json(part) for part in record.parts]
    stored = [columns.to_columns(record), parts]
    return json.dumps(stored, ensure_ascii=False, separators=(",", ":"))


def unpacked(text: str) -> Record:
    """Return the record of a text that `packed` made."""
    stored, parts = json.loads(text)
    return columns.from_columns(stored, tuple(map(columns.part_from_json, parts)))


def packed_vectors(rows: NDArray[Any]) -> str:
    """Return (n, dim) vectors as float16 in base64."""
    return base64.b64encode(rows.astype("<f2").tobytes()).decode()


def unpacked_vectors(text: str, dim: int) -> Vectors:
    """Return the vectors of a text that `packed_vectors` made, (n, dim) float32."""
    return np.frombuffer(base64.b64decode(text), "<f2").reshape(-1, dim).astype(np.float32)


def placed(id_: str) -> bytes:
    """Return 16 bytes by which a database can sort records: the id itself if it has no more.

    Of a longer id it is the beginning, and a hash behind a byte that no text has.
    """
    raw = id_.encode()
    if len(raw) > _PLACE_BYTES:
        raw = raw[:6] + b"\xff" + hashlib.sha256(raw).digest()[:9]
    return raw.ljust(_PLACE_BYTES, b"\0")


def scored(query: Vectors, candidates: Mapping[str, str], k: int) -> list[Row]:
    """Return the best part of each of the k best candidates, by the cosine of what is stored.

    Args:
        query: (dim,) a unit row.
        candidates: by id, the vectors of each as `packed_vectors` made them.
        k: how many at most.
    """
    wanted = query.astype(np.float64)
    rows = []
    for id_, text in candidates.items():
        vectors = unpacked_vectors(text, len(query))
        # Not by a matrix product, in which equal rows may differ in their last bits.
        scores = (vectors.astype(np.float64) * wanted).sum(axis=1)
        best = int(scores.argmax())
        rows.append(Row(id_, best, float(scores[best]), vectors[best]))
    return sorted(rows, key=lambda row: (-row.score, row.id))[:k]


# ------------------------------------------------------------------ tokens and numbers


def tokens(fields: Fields) -> list[str]:
    """Return the tokens of a record, each once."""
    return list(dict.fromkeys(_tokens(fields)))


def _tokens(fields: Fields) -> Iterator[str]:
    for column, values in fields.items():
        yield exists(column)
        own = column.name.startswith(filters.USER_PREFIX)
        if column.kind == "folded":
            if own or column.name == "caption":  # for wildcards only, which pixseek checks
                continue
            if column.name in ("uri", "path"):
                for folder in _folders(str(values[0])):
                    yield below(column, folder)
        if column.kind in ("text", "folded", "special", "truth") or (own and is_number(column)):
            for value in values:
                yield equal(column, value)


def _folders(path: str) -> Iterator[str]:
    """Yield the folders above a file, each with its "/" at the end."""
    at = path.find("/")
    for _ in range(_MOST_FOLDERS):
        if at < 0:
            return
        yield path[: at + 1]
        at = path.find("/", at + 1)


def exists(column: Column) -> str:
    """Return the token of records that have a value in a column."""
    return _token(column, "?", "")


def below(column: Column, folder: str) -> str:
    """Return the token of records whose folded URI or path begins with a folder and "/"."""
    return _token(column, "/", folder)


def equal(column: Column, value: Value) -> str:
    """Return the token of records that have a value in a column."""
    if is_number(column):
        return _token(column, "=", str(number(column, value)))
    return _token(column, "=", str(int(value) if isinstance(value, bool) else value))


def _token(column: Column, sign: str, text: str) -> str:
    # No sign can be part of a name of a kind, so the last one of the beginning is unambiguous.
    token = f"{column.kind}.{len(column.name)}.{column.name}{sign}{text}"
    return shortened(token)


def shortened(text: str) -> str:
    """Return a text, or the beginning of a longer one with a digest of the whole."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}\x7f{hashlib.sha256(text.encode()).hexdigest()}"


def is_number(column: Column) -> bool:
    """Return whether the values of a column are ordered as integers."""
    return column.kind in ORDERED


def number(column: Column, value: Value) -> int:
    """Return an integer of 64 bits that is ordered as the values of a column are."""
    if column.kind != "real":
        return int(value)  # type: ignore[arg-type]
    (bits,) = struct.unpack(">q", struct.pack(">d", value))
    # Of negative floats the bits grow the other way round.
    return int(bits if bits >= 0 else -(bits & (2**63 - 1)) - 1)


def facet_values(record: Record) -> dict[str, list[str]]:
    """Return the values of each facet, and the keys of some, by name; see `counted`."""
    found: dict[str, list[str]] = {}
    for name, facet in facets.FACETS.items():
        words = list(facet.words(record))
        found[name] = words
        if name in facets.KEYED:
            found[f"{name}_key"] = [key for word in words for key in facets.keys_of(name, word)]
    return {name: some for name, each in found.items() if (some := list(dict.fromkeys(each)))}


# ------------------------------------------------------------------ filters


def is_expressed(compare: Compare) -> bool:
    """Return whether tokens and numbers can decide a comparison as `pixseek.filters` means it."""
    return _is_expressed(compiled(compare))


def _is_expressed(condition: Condition) -> bool:
    match condition:
        case AllOf(some) | AnyOf(some):
            return all(map(_is_expressed, some))
        case Negated(inner):
            return _is_expressed(inner)
        case Range(column):
            return is_number(column)
        case Within():
            return False  # `wider` is: databases compute distances less exactly
        case Like(column, pattern):
            return token_like(column, pattern) is not None
        case _:
            return True


def token_like(column: Column, pattern: Sequence[str | Wildcard]) -> str | None:
    """Return the token of the records that fit a pattern; None if there is none."""
    own = column.name.startswith(filters.USER_PREFIX)
    match tuple(pattern):
        case (Wildcard.ANY,):
            return exists(column)
        case _ if own or column.name == "caption":
            return None
        case ():
            return equal(column, "")
        case (str(text),):
            return equal(column, text)
        case (str(text), Wildcard.ANY) if (
            column.name in ("uri", "path") and text[-1:] == "/" and text.count("/") < _MOST_FOLDERS
        ):
            return below(column, text)
    return None


def wider(compare: Compare) -> Compare | None:
    """Return a comparison that can be expressed, and holds wherever one holds that can't."""
    if compare.op != "near":
        return None
    (latitude, longitude), kilometres = filters.circle(compare.value)
    return Compare(compare.field, "near", (latitude, longitude, kilometres * 1.01 + 0.1))
