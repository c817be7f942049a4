"""Records as points of Qdrant, and filters as its conditions.

A point's payload has all tokens of its record in one list, and numbers by column. A user's numbers
are one list of names and numbers. So the indexes are the same for every library, and a filter that
they can express holds during a search, also where a server allows only indexed ones.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pixseek.engines import facets, token_words, tokens
from pixseek.engines.columns import texts
from pixseek.engines.store import Document
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
from pixseek.errors import MissingExtraError
from pixseek.filters import USER_PREFIX
from pixseek.types import Filter, Space

try:
    from qdrant_client import models
except ImportError as error:
    raise MissingExtraError("the engine qdrant", "qdrant-client", "qdrant") from error

#: How vectors are indexed; the first if nothing is said.
TYPES: Mapping[str, Any] = {
    "hnsw": None,
    "int8_hnsw": models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(
            type=models.ScalarType.INT8, quantile=0.99, always_ram=True
        )
    ),
    "binary_hnsw": models.BinaryQuantization(
        binary=models.BinaryQuantizationConfig(always_ram=True)
    ),
}


__all__ = [
    "TYPES", "all_of", "any_of", "document_of", "filtered", "has", "indexes", "mark_of", "models",
    "none_of", "place_of", "points_of", "settings_of", "sparse",
]  # fmt: skip

#: Numbers are compared as floats, which hold 53 bits. So those of 64 are stored in two halves.
_HALF = 32


def halves(number: int) -> dict[str, int]:
    """Return a number of 64 bits as it is stored: whole, to sort by, and in halves, to compare."""
    return {"n": number, "high": number >> _HALF, "low": number & ((1 << _HALF) - 1)}


# ------------------------------------------------------------------ collections


def settings_of(dim: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the collection of a space is made with, by the options of an address."""
    vector: dict[str, Any] = {
        "size": dim,
        # Stored rows are unit rows, so this is the cosine, and they come back as they were.
        "distance": models.Distance.DOT,
        "datatype": models.Datatype.FLOAT16,
    }
    several = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    copies = options.get("replicas", 1)
    return {
        "vectors_config": {
            "vector": models.VectorParams(**vector),
            "more": models.VectorParams(**vector, multivector_config=several),
        },
        "sparse_vectors_config": {"words": models.SparseVectorParams()},
        "quantization_config": TYPES[options.get("type", "hnsw")],
        "shard_number": options.get("shards"),
        "replication_factor": copies,
        # What was written is read back by every client: most copies have it.
        "write_consistency_factor": copies // 2 + 1,
    }


def mark_of(space: Space) -> str:
    """Return the part of a collection's name that stands for a space."""
    if re.fullmatch("[0-9a-f]{16,}", space.fingerprint):
        return space.fingerprint[:16]
    return hashlib.sha256(space.fingerprint.encode()).hexdigest()[:16]


def indexes() -> list[tuple[str, Any]]:
    """Return what of the payloads is indexed, and how; so that filters hold during a search."""
    word, kind = models.PayloadSchemaType.KEYWORD, models.PayloadSchemaType.INTEGER
    facet = (*facets.FACETS, *(f"{name}_key" for name in facets.KEYED))
    words = ("tokens", "terms", "own[].name", *(f"facet.{name}" for name in facet))
    numbers = ["own[]", *(f"{column.name}.{column.kind}" for column in tokens.NUMBERS)]
    fields: list[tuple[str, Any]] = [(name, word) for name in words]
    fields += [(f"{name}.{half}", kind) for name in numbers for half in ("n", "high", "low")]
    return [*fields, ("parts", kind), ("location", models.PayloadSchemaType.GEO)]


# ------------------------------------------------------------------ points


def place_of(id_: str) -> str:
    """Return the id of a record's point; points are sorted by it. See `tokens.placed`."""
    return str(uuid.UUID(bytes=tokens.placed(id_)))


def points_of(documents: Sequence[Document]) -> Iterator[tuple[Any, int]]:
    """Yield documents as points, each with about how many bytes it takes in a request."""
    stems = token_words.stems_of([texts(each.record) for each in documents])
    for each, (strong, weak) in zip(documents, stems, strict=True):
        record, rows = each.record, each.vectors.astype(np.float16)
        fields = fields_of(record)
        terms = token_words.terms(strong) + token_words.terms(weak)
        payload: dict[str, Any] = {
            "id": record.id,
            "record": tokens.packed(record),
            "vectors": tokens.packed_vectors(rows),
            "parts": len(rows),
            "tokens": tokens.tokens(fields),
            "terms": list(dict.fromkeys(terms)),
            "stems": [strong, weak],
            # The client's local mode changes what looks like a UUID; with a sign nothing does.
            "facet": {
                name: [f"={value}" for value in values]
                for name, values in tokens.facet_values(record).items()
            },
        }
        own = []
        for column, values in fields.items():
            if column in tokens.NUMBERS:
                number = halves(tokens.number(column, values[0]))
                payload.setdefault(column.name, {})[column.kind] = number
            elif column.kind == "place":
                place: Any = values[0]
                payload["location"] = {"lat": place[0], "lon": place[1]}
            elif column.name.startswith(USER_PREFIX) and tokens.is_number(column):
                name = tokens.exists(column)
                own.append({"name": name, **halves(tokens.number(column, values[0]))})
        if own:
            payload["own"] = own
        vector: dict[str, Any] = {}
        if terms:
            vector["words"] = sparse(token_words.weights(strong, weak))
        if len(rows):
            # Six digits: what is stored for searching chooses, and scores come from the payload.
            numbers = rows.astype(np.float64).round(6).tolist()
            vector["vector"] = numbers[0]
            if len(numbers) > 1:
                vector["more"] = numbers[1:]
        size = sum(map(len, (payload["record"], payload["vectors"], strong, weak)))
        size += 12 * rows.size + 40 * (len(terms) + len(payload["tokens"]))
        yield models.PointStruct(id=place_of(record.id), vector=vector, payload=payload), size


def sparse(weights: token_words.Sparse) -> Any:
    """Return weights by term as a vector."""
    return models.SparseVector(indices=list(weights), values=list(weights.values()))


def document_of(point: Any, space: Space) -> Document:
    """Return the document of a point; its vectors if they were read."""
    stored = point.payload
    vectors = tokens.unpacked_vectors(stored.get("vectors", ""), space.dim)
    return Document(tokens.unpacked(stored["record"]), vectors)


# ------------------------------------------------------------------ filters


def all_of(conditions: Sequence[Any]) -> Any:
    """Return that all of some conditions hold."""
    return models.Filter(must=list(conditions))


def any_of(conditions: Sequence[Any]) -> Any:
    """Return that one of some conditions holds; of none that nothing does."""
    if not conditions:  # which an empty list would not say
        return models.Filter(must=[models.HasIdCondition(has_id=[])])
    return models.Filter(should=list(conditions))


def none_of(conditions: Sequence[Any]) -> Any:
    """Return that none of some conditions holds."""
    return models.Filter(must_not=list(conditions))


def has(key: str, value: str | int) -> Any:
    """Return that a field has a value, or a list it."""
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def has_any(key: str, values: Sequence[str]) -> Any:
    """Return that a field has one of some values."""
    return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))


def compared(path: str, op: str, number: int) -> Any:
    """Return that a field that `halves` made is on one side of a number, or equal to it.

    Args:
        path: of the field with a dot at the end; "" for the field that is looked at.
        op: as in filters.
        number: what it is compared with.
    """
    if op == "eq":
        return has(f"{path}n", number)
    parts = halves(number)
    strictly = {"lt": "lt", "le": "lt", "gt": "gt", "ge": "gt"}[op]
    exactly = {"lt": "lt", "le": "lte", "gt": "gt", "ge": "gte"}[op]

    def bound(half: str, how: str) -> Any:
        limit = models.Range(**{how: float(parts[half])})
        return models.FieldCondition(key=f"{path}{half}", range=limit)

    same = all_of([has(f"{path}high", parts["high"]), bound("low", exactly)])
    return any_of([bound("high", strictly), same])


def one_of_own(name: str, condition: Any) -> Any:
    """Return that one of a user's numbers has a name and fulfils a condition."""
    both = all_of([has("name", name), condition])
    return models.NestedCondition(nested=models.Nested(key="own", filter=both))


def near(key: str, latitude: float, longitude: float, kilometres: float) -> Any:
    """Return that a place is within a distance."""
    centre = models.GeoPoint(lat=latitude, lon=longitude)
    radius = models.GeoRadius(center=centre, radius=kilometres * 1000)
    return models.FieldCondition(key=key, geo_radius=radius)


def filtered(where: Filter | None, *, bare: bool = False) -> Any:
    """Return a filter as a condition; if `bare` only of points without vectors."""
    some = [] if where is None else [_condition(compiled(where))]
    if bare:
        some.append(has("parts", 0))
    return all_of(some)


def _condition(condition: Condition) -> Any:
    """Return a condition in the words of Qdrant."""
    match condition:
        case AllOf(conditions):
            return all_of([_condition(each) for each in conditions])
        case AnyOf(conditions):
            return any_of([_condition(each) for each in conditions])
        case Negated(inner):
            return none_of([_condition(inner)])
        case Never():
            return any_of([])
        case Equal(column, value):
            if column in tokens.NUMBERS:
                return compared(f"{column.name}.{column.kind}.", "eq", tokens.number(column, value))
            return any_of([]) if column.kind == "place" else _token(tokens.equal(column, value))
        case OneOf(column, values) if column in tokens.NUMBERS:
            return any_of([_condition(Equal(column, value)) for value in values])
        case OneOf(column, values):
            return has_any("tokens", [tokens.equal(column, value) for value in values])
        case Exists(column):
            return _token(tokens.exists(column))
        case Range(column, op, value):
            return _side(column, op, tokens.number(column, value))
        case Like(column, pattern):
            token = tokens.token_like(column, pattern)
            assert token is not None  # `supports` says so
            return _token(token)
        case Within(_, (latitude, longitude), kilometres):
            return near("location", latitude, longitude, kilometres)


def _token(token: str) -> Any:
    return has("tokens", token)


def _side(column: Column, op: str, number: int) -> Any:
    if column in tokens.NUMBERS:
        return compared(f"{column.name}.{column.kind}.", op, number)
    return one_of_own(tokens.exists(column), compared("", op, number))
