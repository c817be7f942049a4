"""Records as entities of Milvus, and filters as its expressions.

An entity is a part of a record: the first is the record, further ones have a vector and what
filters ask for. Milvus wants a vector of each entity; a record without any has one at random, which
no search sees.

Conditions never touch what is missing, since servers differ in what `not` makes of that: numbers
have a value in every entity, and a token tells whether it means something. A negation goes down to
the tests for the same reason. Texts in expressions are letters, digits and what needs no escape
(`safe`), so nothing in them can end a text.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek.engines import token_words, tokens
from pixseek.engines.columns import texts
from pixseek.engines.store import Document, Row
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
    Within,
    compiled,
    fields_of,
)
from pixseek.errors import EngineError
from pixseek.filters import USER_PREFIX
from pixseek.types import Filter, Record, Space

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Elements of a list, and bytes of a text, that servers take.
_MOST_ELEMENTS, _MOST_BYTES = 4096, 65_535
#: Characters of a piece of a longer text, of at most 4 bytes each.
_PIECE = 15_000
#: Bytes of a key: longer ids end in a hash.
_KEY = 600
#: Terms of a text that has too many share this many tokens.
_SHARED = 1_000
#: Of the terms of such a text, those that have a token each.
_OWN_TERMS = _MOST_ELEMENTS - _SHARED
#: A place that no record has, far from all.
_NOWHERE = 1e6
_NEVER, _ALWAYS = "(part < 0)", "(part >= 0)"
_OPS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "=="}
_OPPOSITES = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}

#: How vectors are indexed: type and parameters. The first if nothing is said.
TYPES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "hnsw": ("HNSW", {"M": 16, "efConstruction": 200}),
    "hnsw_sq8": (
        "HNSW_SQ",
        {"M": 16, "efConstruction": 200, "sq_type": "SQ8", "refine": True, "refine_type": "FP32"},
    ),
    "ivf_flat": ("IVF_FLAT", {"nlist": 1024}),
    "flat": ("FLAT", {}),
}
#: What a search reads of an entity, and what is read of a record.
SCORED, RECORD = ["key", "owner", "part", "id", "vectors"], ["record"]
WITH_VECTORS = ["record", "vectors"]


# ------------------------------------------------------------------ collections


def collection_of(name: str, space: Space | None = None) -> str:
    """Return the name of the collection of a space, or of the list of them.

    Milvus takes letters, digits and "_" only; what else the name of a library may have is spelled.
    """
    spelled = name.translate({ord("_"): "__", ord("."): "_p", ord("-"): "_h"})
    return f"pixseek_{spelled}" + (f"_s{mark_of(space)}" if space else "")


def mark_of(space: Space) -> str:
    """Return the part of a collection's name that stands for a space."""
    if re.fullmatch("[0-9a-f]{16,}", space.fingerprint):
        return space.fingerprint[:16]
    return hashlib.sha256(space.fingerprint.encode()).hexdigest()[:16]


def schema_of(client: Any, dim: int) -> Any:
    """Return the fields of a collection."""
    from pymilvus import DataType as Kind

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", Kind.VARCHAR, is_primary=True, max_length=4 * _KEY)
    schema.add_field("owner", Kind.VARCHAR, max_length=4 * _KEY)
    for name in ("part", "parts"):
        schema.add_field(name, Kind.INT64)
    for name in ("id", "record", "vectors", "stems", "facets", "tokens", "terms"):
        of = {"element_type": Kind.VARCHAR, "max_length": _MOST_BYTES}
        schema.add_field(name, Kind.ARRAY, max_capacity=_MOST_ELEMENTS, **of)
    for column in tokens.NUMBERS:
        schema.add_field(_field(column), Kind.INT64)
    for name in ("latitude", "longitude"):
        schema.add_field(name, Kind.DOUBLE)
    schema.add_field("own", Kind.JSON)
    schema.add_field("vector", Kind.FLOAT_VECTOR, dim=dim)
    schema.add_field("words", Kind.SPARSE_FLOAT_VECTOR)
    return schema


def indexes_of(client: Any, kind: str, *, is_lite: bool) -> Any:
    """Return the indexes of a collection; Milvus Lite has none for lists."""
    found = client.prepare_index_params()
    name, parameters = TYPES[kind]
    found.add_index("vector", index_type=name, metric_type="IP", params=dict(parameters))
    found.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    if not is_lite:
        names = ["tokens", "terms", "owner", "part", "parts", *map(_field, tokens.NUMBERS)]
        for each in names:
            found.add_index(each, index_type="INVERTED")
    return found


def list_of_spaces(client: Any) -> tuple[Any, Any]:
    """Return the fields and indexes of the collection that lists the others."""
    from pymilvus import DataType as Kind

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", Kind.VARCHAR, is_primary=True, max_length=100)
    schema.add_field("about", Kind.JSON)
    schema.add_field("nothing", Kind.FLOAT_VECTOR, dim=2)  # which every collection must have
    indexes = client.prepare_index_params()
    indexes.add_index("nothing", index_type="FLAT", metric_type="L2")
    return schema, indexes


# ------------------------------------------------------------------ entities


def safe(text: str) -> str:
    """Return a text without what would need an escape in an expression; distinct ones stay so."""
    return re.sub(r"""[~"'\\%\x00-\x1f\x7f]""", lambda found: f"~{ord(found[0]):02x}", text)


def key_of(id_: str) -> str:
    """Return the key of a record. Those of ids up to some length sort as the ids do, nearly."""
    raw = safe(id_)
    if len(raw) > _KEY - 100:
        raw = f"{raw[: _KEY - 100]}~{hashlib.sha256(id_.encode()).hexdigest()}"
    return f"r{raw}"


def entities_of(
    documents: Sequence[Document],
) -> Iterator[tuple[list[dict[str, Any]] | EngineError, int]]:
    """Yield the entities of each document, the record first, with about how many bytes they are.

    For a record that has more values than the server takes, the error.
    """
    stems = token_words.stems_of([texts(each.record) for each in documents])
    for each, (strong, weak) in zip(documents, stems, strict=True):
        record, rows = each.record, each.vectors.astype(np.float16)
        fields = fields_of(record)
        key = key_of(record.id)
        every = [safe(token) for token in tokens.tokens(fields)]
        if len(every) > _MOST_ELEMENTS:
            advice = f"It has {len(every):,} tags, names and fields. Use fewer, or another engine."
            problem = f"Milvus takes {_MOST_ELEMENTS:,} values of a record"
            yield EngineError(problem, record.uri, advice), 0
            continue
        shared: dict[str, Any] = {
            "owner": key, "parts": len(rows), "tokens": every, "own": {},
            "latitude": _NOWHERE, "longitude": _NOWHERE, **{_field(c): 0 for c in tokens.NUMBERS},
        }  # fmt: skip
        for column, values in fields.items():
            if column in tokens.NUMBERS:
                shared[_field(column)] = tokens.number(column, values[0])
            elif column.kind == "place":
                place: Any = values[0]
                shared["latitude"], shared["longitude"] = place[0], place[1]
            elif column.name.startswith(USER_PREFIX) and tokens.is_number(column):
                shared["own"][_own(column)] = tokens.number(column, values[0])
        whole: dict[str, Any] = {
            "key": key, "part": 0, "id": pieces(record.id), "record": pieces(tokens.packed(record)),
            "vectors": pieces(tokens.packed_vectors(rows)),
            "stems": pieces(json.dumps([strong, weak], ensure_ascii=False)),
            "facets": pieces(json.dumps(tokens.facet_values(record), ensure_ascii=False)),
            "terms": _listed(token_words.terms(strong) + token_words.terms(weak)),
            # Milvus wants a word of each entity. No word has this number.
            "words": {token_words.NONE: 1e-6, **token_words.weights(strong, weak)},
            "vector": rows[0].astype(np.float32) if len(rows) else _random(each, key),
        }  # fmt: skip
        empty: dict[str, Any] = {
            name: [] for name in ("id", "record", "vectors", "stems", "facets", "terms")
        }
        more = [
            {
                **shared, **empty, "key": f"p{part}.{key}", "part": part,
                "vector": row.astype(np.float32), "words": {token_words.NONE: 1e-6},
            }
            for part, row in enumerate(rows[1:], 1)
        ]  # fmt: skip
        size = 4 * len(strong + weak) + sum(map(len, whole["record"])) + 400
        size += (6 * rows.shape[1] + 40 * len(every)) * max(1, len(rows))
        yield [{**shared, **whole}, *more], size


def _random(document: Document, key: str) -> Any:
    """Return a vector for a record that has none; equal ones would be a knot in an index."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    row = np.asarray(rng.standard_normal(document.vectors.shape[1]), np.float32)
    return row / np.linalg.norm(row)


def pieces(text: str) -> list[str]:
    """Return a text in pieces that a server takes; `whole` is the way back."""
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]


def whole(stored: Sequence[str]) -> str:
    """Return the text of its pieces."""
    return "".join(stored)


def document_of(entity: Mapping[str, Any], space: Space) -> Document:
    """Return the document of an entity; its vectors if they were read."""
    vectors = tokens.unpacked_vectors(whole(entity.get("vectors", ())), space.dim)
    return Document(record_of(entity), vectors)


def record_of(entity: Mapping[str, Any]) -> Record:
    """Return the record of an entity."""
    return tokens.unpacked(whole(entity["record"]))


def _listed(terms: Sequence[str]) -> list[str]:
    """Return terms as a list that a server takes; of very many the last ones share tokens."""
    every = list(dict.fromkeys(terms))
    if len(every) <= _MOST_ELEMENTS:
        return every
    return [*every[:_OWN_TERMS], *dict.fromkeys(map(_shared, every[_OWN_TERMS:]))]


def _shared(term: str) -> str:
    return f"#{zlib.crc32(term.encode()) % _SHARED}"


def rows_of(query: Vectors, hits: Iterator[tuple[int, str, str]]) -> list[Row]:
    """Return hits with the cosines of what is stored, best first.

    Args:
        query: (dim,) a unit row.
        hits: of each its part, the id of its record, and all vectors of that.
    """
    wanted, rows = query.astype(np.float64), []
    for part, id_, text in hits:
        vectors = tokens.unpacked_vectors(text, len(query))
        if part < len(vectors):  # else the record has it no longer
            score = float((vectors[part].astype(np.float64) * wanted).sum())
            rows.append(Row(id_, part, score, vectors[part]))
    return sorted(rows, key=lambda row: (-row.score, row.id))


# ------------------------------------------------------------------ filters


def filtered(where: Filter | None, *more: str) -> str:
    """Return a filter, and further conditions, as an expression."""
    some = [] if where is None else [_expression(compiled(where), negated=False)]
    return _all([*more, *some])


def has_all_words(wanted: token_words.Wanted) -> str:
    """Return that a record has all of some words."""
    return _all(list(map(has_word, wanted)))


def has_word(alternatives: Sequence[Sequence[str]]) -> str:
    """Return that a record has a word; a text of very many words may seem to."""
    return _any(
        [
            _all([f'array_contains_any(terms,["{term}","{_shared(term)}"])' for term in terms])
            for terms in alternatives
        ]
    )


def lacks_a_word(wanted: token_words.Wanted) -> str:
    """Return that a record has some of some words, and not all."""
    some = _any(list(map(has_word, wanted)))
    return _all([some, f"not {has_all_words(wanted)}"])


def key_is_one(field: str, keys: Sequence[str]) -> str:
    """Return that a field is one of some keys."""
    return f"{field} in [{','.join(_quoted(key) for key in keys)}]"


def key_is_above(key: str) -> str:
    """Return that a key sorts behind another."""
    return f"key > {_quoted(key)}"


def _expression(condition: Condition, *, negated: bool) -> str:
    match condition:
        case AllOf(conditions) | AnyOf(conditions):
            some = [_expression(each, negated=negated) for each in conditions]
            return _all(some) if isinstance(condition, AllOf) != negated else _any(some)
        case Negated(inner):
            return _expression(inner, negated=not negated)
        case Never():
            return _all([]) if negated else _NEVER
        case Equal(column, value) if column in tokens.NUMBERS:
            return _number(column, "eq", tokens.number(column, value), negated=negated)
        case OneOf(column, values) if column in tokens.NUMBERS:
            field, numbers = _field(column), [tokens.number(column, value) for value in values]
            listed = ",".join(map(str, (n for n in numbers if n > -(2**63))))
            some = [_test(field, "eq", n) for n in numbers if n == -(2**63)]
            return _guarded(column, _any([f"{field} in [{listed}]", *some]), negated=negated)
        case Equal(column, value):
            if column.kind == "place":
                return _expression(Never(), negated=negated)
            return _tokens([tokens.equal(column, value)], negated=negated)
        case OneOf(column, values):
            return _tokens([tokens.equal(column, value) for value in values], negated=negated)
        case Exists(column):
            return _tokens([tokens.exists(column)], negated=negated)
        case Range(column, op, value):
            return _number(column, op, tokens.number(column, value), negated=negated)
        case Like(column, pattern):
            token = tokens.token_like(column, pattern)
            assert token is not None  # `supports` says so
            return _tokens([token], negated=negated)
        case Within(_, (latitude, longitude), kilometres):
            inside = _box(latitude, longitude, kilometres)
            return f"not {inside}" if negated else inside


def _tokens(some: Sequence[str], *, negated: bool) -> str:
    listed = ",".join(_quoted(safe(token)) for token in some)
    found = f"array_contains_any(tokens,[{listed}])"
    return f"(not {found})" if negated else found


def _number(column: Column, op: str, number: int, *, negated: bool) -> str:
    if column in tokens.NUMBERS:
        return _guarded(column, _test(_field(column), op, number), negated=negated)
    own = f'own["{_own(column)}"]'
    if negated:
        other = _all([_exists(column), _test(own, _OPPOSITES[op], number)])
        return _any([f"(not {_exists(column)})", other])
    return _all([_exists(column), _test(own, op, number)])


def _test(name: str, op: str, number: int) -> str:
    if number == -(2**63):  # "-" is an operator, and there is no such number without it
        if op in ("lt", "ge"):
            return _NEVER if op == "lt" else _ALWAYS
        return _test(name, "ge" if op == "gt" else "lt", number + 1)
    return f"{name} {_OPS[op]} {number}"


def _guarded(column: Column, test: str, *, negated: bool) -> str:
    both = _all([_exists(column), f"({test})"])
    return f"(not {both})" if negated else both


def _exists(column: Column) -> str:
    return _tokens([tokens.exists(column)], negated=False)


def _box(latitude: float, longitude: float, kilometres: float) -> str:
    """Return that a place is in a box around a circle; `Widening` leaves the circle to pixseek."""
    margin = kilometres / 110.0
    some = [f"latitude >= {latitude - margin!r}", f"latitude <= {latitude + margin!r}"]
    widest = abs(latitude) + margin
    if widest < 89:
        across = margin / float(np.cos(np.radians(widest)))
        west, east = longitude - across, longitude + across
        if across < 180:
            parts = [(west, east), (west + 360, east + 360), (west - 360, east - 360)]
            sides = [f"(longitude >= {low!r} and longitude <= {high!r})" for low, high in parts]
            some.append(_any(sides))
    return _all(some)


def _field(column: Column) -> str:
    return f"{column.name}_{column.kind}"


def _own(column: Column) -> str:
    return hashlib.sha256(tokens.exists(column).encode()).hexdigest()[:24]


def _quoted(text: str) -> str:
    return f'"{text}"'


def _all(some: Sequence[str]) -> str:
    return f"({' and '.join(some)})" if some else _ALWAYS


def _any(some: Sequence[str]) -> str:
    return f"({' or '.join(some)})" if some else _NEVER
