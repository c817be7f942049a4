"""From queries to results: embed the terms, ask the engine, rank what it found.

Any number of queries are answered together: their texts go through the model in one call, and
those that share a filter go to the engine in one call, which is many times faster than one by one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek import ranking
from pixseek.errors import QueryError
from pixseek.images import decode
from pixseek.types import Encoder, Engine, Hit, Picture, Query, Record, Results, Term

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Queries in one call of the engine. Bounds memory: each has up to a thousand candidates.
_QUERIES_A_CALL = 256


def search(
    queries: Sequence[Query],
    *,
    engine: Engine,
    encoder: Callable[[], Encoder],
    model: str,
    locate: Callable[[Record], Path | None],
    preview: Callable[[Record], bytes | None],
) -> list[Results]:
    """Return the answer to each query, in order.

    Args:
        queries: what is looked for.
        engine: what is searched.
        encoder: gives the encoder; called only when a term needs it.
        model: its name, to show before anything was indexed.
        locate: tells where a record's file is.
        preview: gives the stored preview of a record.

    Returns:
        Results, each with the milliseconds that it took; of queries that were answered together,
        each with its share of them.

    Raises:
        QueryError: there is nothing to look for, or a query can't be understood.
        ImageError: an example can't be read.
        ModelError, SpaceMismatchError: the model can't be had, or does not fit.
    """
    for query in queries:
        _check(query)
    found: list[Results] = []
    for at in range(0, len(queries), _QUERIES_A_CALL):
        found += _together(
            queries[at : at + _QUERIES_A_CALL], engine, encoder, model, locate, preview
        )
    return found


def _together(
    queries: Sequence[Query],
    engine: Engine,
    encoder: Callable[[], Encoder],
    model: str,
    locate: Callable[[Record], Path | None],
    preview: Callable[[Record], bytes | None],
) -> list[Results]:
    import numpy as np

    began = time.perf_counter()
    vectors = _vectors([query.terms[0] for query in queries], engine, encoder)
    encoded = time.perf_counter()
    own = [frozenset({q.terms[0].value} if q.terms[0].kind == "id" else ()) for q in queries]
    # By their text, since filters on True and on 1 are equal to Python.
    alike: dict[str, list[int]] = {}
    for n, query in enumerate(queries):
        alike.setdefault(repr(query.where), []).append(n)
    pages: dict[int, tuple[Hit, ...]] = {}
    for members in alike.values():
        where = queries[members[0]].where
        wanted = max(queries[n].offset + queries[n].k + len(own[n]) for n in members)
        matches = engine.search(np.stack([vectors[n] for n in members]), wanted, where)
        for n, some in zip(members, matches, strict=True):
            query = queries[n]
            pages[n] = ranking.rank(
                some, offset=query.offset, k=query.k, without=own[n], locate=locate
            )
    ended = time.perf_counter()
    took = {"encode": encoded - began, "search": ended - encoded, "total": ended - began}
    space = engine.space
    warnings: tuple[str, ...] = ()
    if not any(pages.values()) and not engine.count():
        warnings = ("The library is empty. Index something first: pixseek index ~/Pictures",)
    return [
        Results(
            pages[n],
            query,
            {stage: seconds * 1000 / len(queries) for stage, seconds in took.items()},
            space.model if space else model,
            warnings,
            preview,
        )
        for n, query in enumerate(queries)
    ]


def _vectors(
    terms: Sequence[Term], engine: Engine, encoder: Callable[[], Encoder]
) -> list[Vectors]:
    """Return the (dim,) unit vector of each term."""
    vectors: dict[int, Vectors] = {}
    texts = [n for n, term in enumerate(terms) if term.kind == "text"]
    if texts:
        rows = encoder().encode_texts([terms[n].value for n in texts])
        vectors.update(zip(texts, rows, strict=True))
    for n, term in enumerate(terms):
        if term.kind == "id":
            vectors[n] = _stored(term, engine)
        elif term.kind == "vector":
            vectors[n] = _given(term, engine)
        elif term.kind == "image":
            tower = encoder()
            prepared = tower.prepare(_picture(term.value, tower))
            vectors[n] = tower.encode_images(prepared[None])[0]
    return [vectors[n] for n in range(len(terms))]


def _stored(term: Term, engine: Engine) -> Vectors:
    rows = engine.vectors([term.value])[0]
    if rows is None:
        raise QueryError("No image with this id", term.value, "Search for it first.")
    vector: Vectors = rows[0]
    return vector


def _given(term: Term, engine: Engine) -> Vectors:
    import numpy as np

    vector: Vectors = np.asarray(term.value, dtype=np.float32).reshape(-1)
    space = engine.space
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0 or (space and len(vector) != space.dim):
        raise QueryError(
            "The vector can't be searched with",
            f"length {len(vector)}, norm {length:g}",
            f"Give {space.dim if space else 'as many'} finite numbers, not all zero.",
        )
    unit: Vectors = vector / length
    return unit


def _picture(image: Any, encoder: Encoder) -> Picture:
    if not isinstance(image, str | os.PathLike):
        pixels = image.convert("RGB")
        return Picture(pixels, pixels.width, pixels.height, "")
    path = Path(image).expanduser()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise QueryError(
            "The example image can't be read", path, f"{error.strerror}. Check the path."
        ) from error
    return decode(data, at_least=2 * encoder.input_side)


def _check(query: Query) -> None:
    if not query.terms:
        raise QueryError("There is nothing to look for", "", "Give words or an example image.")
    if len(query.terms) > 1:
        raise QueryError(
            "One thing at a time", f"{len(query.terms)} terms", "Give words or one image, not both."
        )
    term = query.terms[0]
    if term.kind == "text" and not str(term.value).strip():
        raise QueryError("There is nothing to look for", "empty text", "Say what is in the images.")
    if query.k < 1 or query.offset < 0:
        raise QueryError(
            "There is no such page of hits",
            f"k={query.k}, offset={query.offset}",
            "k must be at least 1, and offset at least 0.",
        )
