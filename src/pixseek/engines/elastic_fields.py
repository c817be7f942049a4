"""Records as documents of Elasticsearch and its kin, and filters as their queries.

The known fields of a record have typed fields of their own (`width.integer`, `taken_at.wall`). A
user's fields are terms of one field, `own`, in which values sort as text. So the mapping is the
same for every library and never grows, and no library meets the limit of 1,000 fields.

A term holds at most 32,766 bytes. Longer texts are cut, and end in a digest of the whole, so that
equality stays exact; patterns are left to pixseek for fields whose texts may be long
(`is_expressed`).
"""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek import filters
from pixseek.engines import columns, facets, remote
from pixseek.engines.elastic_dialects import Dialect
from pixseek.engines.stems import stemmed
from pixseek.engines.store import ABSENT, Document
from pixseek.engines.stored_fields import (
    AllOf,
    AnyOf,
    Column,
    Condition,
    Equal,
    Exists,
    Like,
    Negated,
    Never,
    OneOf,
    Range,
    Value,
    Within,
    fields_of,
)
from pixseek.types import Compare, Record
from pixseek.types.texts import folded
from pixseek.types.wildcards import Wildcard, pieces

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: What a search returns of a document: its record without vectors, and with them.
RECORD = ["record.columns", "record.parts"]
WITH_VECTORS = [*RECORD, "record.vectors"]
#: To score a document.
SCORED = ["record.id", "record.vectors"]

_TYPES: Mapping[str, Mapping[str, Any]] = {
    "text": {"type": "keyword", "doc_values": False},
    "folded": {"type": "keyword", "doc_values": False},
    "written": {"type": "keyword"},
    "integer": {"type": "long"},
    "real": {"type": "double"},
    "truth": {"type": "boolean"},
    "wall": {"type": "long"},
    "instant": {"type": "long"},
    "place": {"type": "geo_point"},
}
_KINDS_OF: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "folded"), "number": ("integer", "real"), "time": ("wall", "instant"),
    "tags": ("folded",), "place": ("place",), "truth": ("truth",),
}  # fmt: skip
#: Characters of a term, of at most 4 bytes each, before its digest.
_TERM = 8_000
#: Values in one test; servers take 65,536.
_MOST_VALUES = 50_000
#: Wildcards and characters of a pattern that a server can make an automaton of.
_MOST_WILDCARDS, _MOST_LETTERS = 8, 300
#: Places are stored in steps of 1 cm, and distances are right to some decimetres.
_STEP_KM = 1e-3
_RANGES = {"lt": "lt", "le": "lte", "gt": "gt", "ge": "gte"}
#: Records are spread over these by their ids, so that a search can look at a part of them.
BUCKETS = 1024


def properties(dialect: Dialect, vector: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of every document.

    Args:
        dialect: of the server.
        vector: how vectors are mapped.
    """
    fields: dict[str, dict[str, Any]] = {"path": {"folded": _TYPES["folded"]}}
    for name, field in filters.FIELDS.items():
        fields[name] = {kind: _TYPES[kind] for kind in _KINDS_OF[field.kind]}
    for name in ("uri", "name"):
        fields[name]["written"] = _TYPES["written"]
    fields["mtime"] = {"integer": _TYPES["integer"]}
    text = {"type": "text", "analyzer": "whitespace", "index_options": "positions"}
    keyword = {"type": "keyword"}
    return {
        **{name: {"properties": kinds} for name, kinds in fields.items()},
        "record": {"type": "object", "enabled": False},
        "key": keyword,
        "parts": {"type": "integer"},
        "bucket": {"type": "integer"},
        "own": _TYPES["text"],
        "strong": text,
        "weak": text,
        "facet": {"properties": dict.fromkeys((*facets.FACETS, "tag_key", "person_key"), keyword)},
        **{name: {"type": kind} for name, kind, _ in dialect.copies},
        dialect.vector: vector,
        "more": {"type": "nested", "properties": {"vector": vector}},
    }


# ------------------------------------------------------------------ documents


def document_id(id_: str) -> str:
    """Return the id of a record's document: its own, unless no server would take that."""
    if id_ and len(id_.encode()) <= 512:
        return id_
    return f"sha256-{hashlib.sha256(id_.encode()).hexdigest()}"


def key_of(id_: str) -> str:
    """Return the term by which documents are sorted by their ids."""
    return _term(id_)


def bodies(documents: Sequence[Document], dialect: Dialect) -> list[dict[str, Any]]:
    """Return what a server stores of documents, in order."""
    texts = [text for each in documents for text in columns.texts(each.record)]
    stems = iter(stemmed(texts))
    found = []
    for each in documents:
        record, rows = each.record, each.vectors.astype(np.float16)
        body: dict[str, Any] = {
            "key": key_of(record.id),
            "parts": len(rows),
            "bucket": zlib.crc32(record.id.encode()) % BUCKETS,
            "strong": next(stems),
            "weak": next(stems),
            "facet": _facets(record),
            "record": {
                "id": record.id,
                "columns": columns.to_columns(record),
                "parts": [columns.part_to_json(part) for part in record.parts],
                "vectors": base64.b64encode(rows.astype("<f2").tobytes()).decode(),
            },
        }
        for name, kind, value in dialect.copies:
            if kind == "text" or len(value(record)) <= _TERM:
                body[name] = value(record)
        own: list[str] = []
        for column, values in fields_of(record).items():
            if _is_own(column):
                if column.kind != "folded":  # for patterns, which `is_expressed` leaves out
                    own += [_token(column, value) for value in values]
            else:
                kinds = body.setdefault(column.name, {})
                some = [_stored(column, value) for value in values]
                kinds[column.kind] = some[0] if len(some) == 1 else some
        if own:
            body["own"] = own
        if len(rows):
            # Six digits: what is stored for searching chooses, and scores come from `record`.
            numbers = rows.astype(np.float64).round(6).tolist()
            body[dialect.vector] = numbers[0]
            if len(numbers) > 1:
                body["more"] = [{"vector": row} for row in numbers[1:]]
        found.append(body)
    return found


def action(document: Document) -> dict[str, Any]:
    """Return the line of a bulk request before a document."""
    about: dict[str, Any] = {"_id": document_id(document.record.id)}
    match document.version:
        case (number, term):
            about |= {"if_seq_no": number, "if_primary_term": term}
        case version if version == ABSENT:
            return {"create": about}
    return {"index": about}


def document_of(hit: Mapping[str, Any], dim: int) -> Document:
    """Return a document that was read with `RECORD`, and its vectors if they were read."""
    number = hit.get("_seq_no")
    version = None if number is None else (number, hit["_primary_term"])
    source = source_of(hit)
    return Document(record_of(source), vectors_of(source, dim), version)


def source_of(hit: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was read of a document.

    Raises:
        EngineError: another program wrote it.
    """
    source: Mapping[str, Any] = hit.get("_source", {})
    if "record" not in source:
        raise remote.not_ours(hit["_id"], hit["_index"])
    return source


def record_of(source: Mapping[str, Any]) -> Record:
    """Return the record of a document that was read with `RECORD`."""
    stored = source["record"]
    return columns.from_columns(
        stored["columns"], tuple(map(columns.part_from_json, stored["parts"]))
    )


def vectors_of(source: Mapping[str, Any], dim: int) -> Vectors:
    """Return the vectors of a document that was read with them, (parts, dim) float32."""
    text: str = source["record"].get("vectors", "")
    return np.frombuffer(base64.b64decode(text), "<f2").reshape(-1, dim).astype(np.float32)


def _facets(record: Record) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {
        name: _terms(facet.words(record)) for name, facet in facets.FACETS.items()
    }
    for name in facets.KEYED:
        words = facets.FACETS[name].words(record)
        keys = (key for word in words for key in facets.keys_of(name, word))
        found[f"{name}_key"] = _terms(keys)
    return {name: some for name, some in found.items() if some}


def _terms(texts: Iterable[str]) -> list[str]:
    return [_term(text) for text in dict.fromkeys(texts)]


# ------------------------------------------------------------------ values


def _term(text: str, room: int = _TERM) -> str:
    """Return a text, or the beginning of a longer one, in about `room` characters at most."""
    if len(text) <= room:
        return text
    return f"{text[: max(0, room)]}\x7f{hashlib.sha256(text.encode()).hexdigest()}"


def _stored(column: Column, value: Value) -> Any:
    """Return a value as its typed field takes it."""
    if isinstance(value, tuple):
        return {"lat": value[0], "lon": value[1]}
    return _term(value) if isinstance(value, str) else value


def _beginning(column: Column) -> str:
    """Return what all terms of a user's field in a kind begin with, and no others."""
    name = column.name.removeprefix(filters.USER_PREFIX)
    return f"{len(name)}:{_term(name, _TERM // 2)}:{column.kind}:"


def _token(column: Column, value: Value) -> str:
    """Return the term of a value of a user's field; terms of a column sort as its values do."""
    match column.kind:
        case "text":
            text = str(value)
        case "integer" | "wall" | "instant":
            text = f"{int(value) + 2**63:016x}"  # type: ignore[arg-type]
        case "real":
            (bits,) = struct.unpack(">Q", struct.pack(">d", value))
            text = f"{bits ^ (2**64 - 1 if bits >> 63 else 2**63):016x}"
        case _:
            text = str(int(value) + 1)  # type: ignore[arg-type]
    beginning = _beginning(column)
    return beginning + _term(text, _TERM - len(beginning))


# ------------------------------------------------------------------ filters


def is_expressed(compare: Compare) -> bool:
    """Return whether a comparison can be a query with the very meaning of `pixseek.filters`."""
    if compare.op == "near":
        return False  # `wider` is: servers compute distances less exactly
    if compare.op not in ("glob", "contains"):
        return True
    kind = filters.field_kind(compare.field)
    if compare.field == "caption" or kind == "any":
        return False  # they may be longer than a term
    if compare.op == "contains" and kind == "tags":
        return True
    text = folded(str(compare.value))
    some = pieces(text) if compare.op == "glob" else (text,)
    wild = sum(not isinstance(each, str) for each in some)
    return wild <= _MOST_WILDCARDS and len(text) <= _MOST_LETTERS


def wider(compare: Compare) -> Compare | None:
    """Return a comparison that can be a query, and holds wherever one holds that can't."""
    if compare.op != "near":
        return None
    (latitude, longitude), kilometres = filters.circle(compare.value)
    return Compare(compare.field, "near", (latitude, longitude, kilometres * 1.00001 + _STEP_KM))


def query(condition: Condition) -> dict[str, Any]:
    """Return a condition as a query."""
    match condition:
        case AllOf(conditions):
            if not conditions:
                return {"match_all": {}}
            return {"bool": {"filter": [query(each) for each in conditions]}}
        case AnyOf(conditions):
            some = [query(each) for each in conditions]
            return {"bool": {"should": some, "minimum_should_match": 1}} if some else _NOTHING
        case Negated(inner):
            return {"bool": {"must_not": [query(inner)]}}
        case Never():
            return _NOTHING
        case Equal(column, value):
            if column.kind == "place":
                return _NOTHING
            return {"term": {_name(column): _tested(column, value)}}
        case OneOf(column, values):
            some = [_tested(column, value) for value in values]
            parts = [
                {"terms": {_name(column): some[at : at + _MOST_VALUES]}}
                for at in range(0, len(some), _MOST_VALUES)
            ]
            if len(parts) == 1:
                return parts[0]
            return {"bool": {"should": parts, "minimum_should_match": 1}}
        case Exists(column):
            if _is_own(column):
                return {"prefix": {"own": {"value": _beginning(column)}}}
            return {"exists": {"field": _name(column)}}
        case Range(column, op, value):
            bounds = {_RANGES[op]: _tested(column, value)}
            if _is_own(column):  # no further than the values of this column
                beginning = _beginning(column)
                other = (
                    ("lt", columns.prefix_end(beginning)) if op[0] == "g" else ("gte", beginning)
                )
                bounds[other[0]] = other[1]
            return {"range": {_name(column): bounds}}
        case Like(column, pattern):
            return _like(column, pattern)
        case Within(column, (latitude, longitude), kilometres):
            return {
                "geo_distance": {
                    "distance": f"{kilometres!r}km",
                    _name(column): {"lat": latitude, "lon": longitude},
                }
            }


#: Documents without vectors.
BARE: dict[str, Any] = {"term": {"parts": 0}}
_NOTHING: dict[str, Any] = {"match_none": {}}


def _is_own(column: Column) -> bool:
    return column.name.startswith(filters.USER_PREFIX)


def _name(column: Column) -> str:
    return "own" if _is_own(column) else f"{column.name}.{column.kind}"


def _tested(column: Column, value: Value) -> Any:
    return _token(column, value) if _is_own(column) else _stored(column, value)


def _like(column: Column, pattern: Sequence[str | Wildcard]) -> dict[str, Any]:
    name = _name(column)
    match tuple(pattern):
        case (Wildcard.ANY,):
            return query(Exists(column))
        case (str(text),):
            return {"term": {name: _term(text)}}
        case (str(text), Wildcard.ANY) if len(text) < _TERM:
            return {"prefix": {name: {"value": text}}}
        case ():
            return {"term": {name: ""}}
    # An escaped character stands for itself.
    written = "".join(
        "".join(f"\\{c}" if c in "*?\\" else c for c in each)
        if isinstance(each, str)
        else each.value
        for each in pattern
    )
    return {"wildcard": {name: {"value": written}}}
