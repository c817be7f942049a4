"""What a library holds, to compare before and after it has moved."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

import pixseek
from pixseek.types import Engine, Part, Record, Space, Stamp
from pixseek.types.engines import KINDS

FIRST = Space("a" * 64, 16, "first-model")
SECOND = Space("b" * 64, 8, "second-model")
TILED = (Part(), Part("tile", (0.0, 0.0, 0.5, 0.5)))
NAMES = itertools.count()


def state(engine: Engine) -> dict[str, Any]:
    """All that an engine shows of a library."""
    spaces = engine.spaces()
    pages = {each.fingerprint: engine.page(each, 100_000) for each in spaces}  # type: ignore[attr-defined]
    return {
        "spaces": sorted((s.fingerprint, s.dim, s.model) for s in spaces),
        "active": spaces[0] if spaces else None,
        "records": {
            name: [(repr(sorted(r.fields.items())), repr(r.taken_at), _plain(r)) for r in records]
            for name, (records, _) in pages.items()
        },
        "vectors": {
            name: (rows.astype(np.float16).shape, rows.astype(np.float16).tobytes())
            for name, (_, rows) in pages.items()
        },
        "kept": {kind: engine.kept(kind) for kind in KINDS},
        "counts": (engine.count(), *(engine.held(each) for each in spaces)),
    }


def _plain(record: Record) -> tuple[Any, ...]:
    names = ("id", "uri", "stamp", "digest", "media", "width", "height", "caption", "tags",
             "parts", "away", "pixels", "perceptual_hash")  # fmt: skip
    return tuple(getattr(record, name) for name in names)


def vectors(n: int, dim: int, seed: int = 0) -> Any:
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True) if n else rows


def fill(engine: Engine, records: Sequence[Record], seed: int = 0) -> None:
    """Store records, with vectors of one space and, of every second one, of another."""
    engine.ensure(FIRST)
    engine.put(records, vectors(sum(len(each.parts) for each in records), FIRST.dim, seed))
    engine.add_space(SECOND)
    some = engine.lacking(SECOND, 1_000)[::2]
    engine.put_vectors(SECOND, some, vectors(sum(len(r.parts) for r in some), SECOND.dim, seed + 1))


def photos(n: int, parts: tuple[Part, ...] = (Part(),)) -> list[Record]:
    return [
        Record(f"id{i:04}", f"photos/album{i % 5}/{i}.jpg", Stamp(1000 + i, i), f"{i:064x}",
               "image/jpeg" if i % 3 else "image/png", 100 + i, 80, tags=("lake",) * (i % 4 == 0),
               caption="a lake" * (i % 7 == 0), fields={"rating": i % 5 + 1}, parts=parts)
        for i in range(n)
    ]  # fmt: skip


def library_of(folder: Any, n: int = 300, **options: Any) -> pixseek.Library:
    """A library with records of every kind, all of it made up."""
    library = pixseek.open(folder, **options)
    engine = library.opened.engine
    fill(engine, photos(n))
    tiled = [Record(f"tiled{i}", f"photos/t{i}.jpg", digest=f"{9000 + i:064x}", parts=TILED)
             for i in range(5)]  # fmt: skip
    engine.put(tiled, vectors(10, FIRST.dim, 5))
    engine.put(
        [
            Record("gone", "photos/gone.jpg", caption="kept", away=True, parts=()),
            Record("bare", "photos/bare.jpg", tags=("unseen",), parts=()),
        ],
        np.empty((0, FIRST.dim), np.float32),
    )
    engine.keep("search", "dogs", "a dog")
    engine.keep("judgement", "dogs/id0001", "right")
    engine.keep("forgotten", "photos/old.jpg", "{}")
    return library
