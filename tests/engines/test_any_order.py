"""Calls of an engine in any order give what a plain model of it gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)  # fmt: skip

from pixseek import filters
from pixseek.engines import open_engine
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.memory import MemoryStore
from pixseek.types import WHOLE, Compare, Engine, Not, Part, Record, Space, Stamp

from stores import CappedStore, DelayedStore, DescribingStore, FewStore, RememberingStore
from vectors import unit

SPACES = [Space("f" * 64, 16, "first"), Space("a" * 64, 24, "second"), Space("c" * 64, 16, "third")]
PARTS = [(WHOLE,), (WHOLE, Part("tile", (0.0, 0.0, 0.5, 0.5))), ()]
IDS = [f"id{n}" for n in range(8)]
_NAMES = itertools.count()


def as_stored(vectors: Any) -> Any:
    return vectors.astype(np.float16).astype(np.float32)


class AnyOrder(RuleBasedStateMachine):
    """The model: each record's metadata, and its parts and vectors in each space."""

    def __init__(self, open_it: Callable[[], Engine]) -> None:
        super().__init__()
        self.open = open_it
        self.said: dict[str, Record] = {}  # without parts
        self.held: dict[str, dict[str, tuple[tuple[Part, ...], Any]]] = {}  # by fingerprint and id
        self.active = SPACES[0]
        self.kept: dict[str, str] = {}
        self.seed = 0
        self.engine = self.open()
        self.engine.ensure(self.active)
        self.held[self.active.fingerprint] = {}

    def rows(self, n: int, dim: int) -> Any:
        self.seed += 1
        return unit(np.random.default_rng([n, dim, self.seed]).standard_normal((n, dim)))

    def expected(self, id_: str) -> Record:
        parts, _ = self.held[self.active.fingerprint].get(id_, ((), None))
        return replace(self.said[id_], parts=parts)

    def teardown(self) -> None:
        self.engine.close()

    # -------------------------------------------------------------- what is done

    @rule()
    def reopen(self) -> None:
        self.engine.close()
        self.engine = self.open()
        self.engine.ensure(self.active)

    @rule(
        ids=st.lists(st.sampled_from(IDS), max_size=3, unique=True),
        digest=st.sampled_from(["", "aa", "bb"]),
        parts=st.sampled_from(PARTS),
        tag=st.sampled_from("xyz"),
        kind=st.sampled_from(["plain", "merge", "away"]),
    )
    def put(
        self, ids: list[str], digest: str, parts: tuple[Part, ...], tag: str, kind: str
    ) -> None:
        parts = () if kind == "away" else parts
        records = [
            Record(
                id_, f"r/{id_}", Stamp(1, len(tag)), digest, tags=(tag,), parts=parts,
                away=kind == "away",
            )
            for id_ in ids
        ]  # fmt: skip
        vectors = self.rows(len(ids) * len(parts), self.active.dim)
        if kind == "merge":
            self.engine.put(records, vectors, lambda new, old: replace(new, caption=old.tags[0]))
        else:
            self.engine.put(records, vectors)
        for n, given in enumerate(records):
            old = self.said.get(given.id)
            merged = kind == "merge" and old is not None
            record = replace(given, caption=old.tags[0]) if merged and old else given
            same = old is not None and record.digest == old.digest != "" and not record.away
            for fingerprint, held in self.held.items():
                if fingerprint != self.active.fingerprint:
                    kept = same and parts in ((), held.get(record.id, (None,))[0])
                    if not kept:
                        held.pop(record.id, None)
            self.said[record.id] = replace(record, parts=())
            held = self.held[self.active.fingerprint]
            held.pop(record.id, None)
            if parts:
                held[record.id] = (parts, vectors[n * len(parts) : (n + 1) * len(parts)])

    @rule(
        ids=st.lists(st.sampled_from(IDS), max_size=3, unique=True),
        tag=st.sampled_from("xyz"),
        merging=st.booleans(),
    )
    def describe(self, ids: list[str], tag: str, merging: bool) -> None:
        records = [Record(id_, f"new/{id_}", digest="zz", tags=(tag,), away=True) for id_ in ids]

        def merge(given: Record, stored: Record) -> Record:
            return replace(given, caption=stored.caption + "+")

        there = [record for record in records if record.id in self.said]
        assert self.engine.describe(records, merge if merging else None) == len(there)
        for record in there:
            old = self.said[record.id]
            new = replace(record, digest=old.digest, parts=(), away=old.away)
            self.said[record.id] = merge(new, old) if merging else new

    @rule(name=st.sampled_from("mn"), text=st.sampled_from([None, "", "one", "two"]))
    def keep(self, name: str, text: str | None) -> None:
        self.engine.keep("search", name, text)
        self.kept = {n: t for n, t in {**self.kept, name: text}.items() if t is not None}

    @rule(ids=st.lists(st.sampled_from([*IDS, "nowhere"]), max_size=4))
    def delete(self, ids: list[str]) -> None:
        assert self.engine.delete(ids) == len(self.said.keys() & set(ids))
        for id_ in ids:
            self.said.pop(id_, None)
            for held in self.held.values():
                held.pop(id_, None)

    @precondition(lambda self: self.said)
    @rule(space=st.sampled_from(SPACES))
    def add_space(self, space: Space) -> None:
        self.engine.add_space(space)
        self.held.setdefault(space.fingerprint, {})

    @rule(space=st.sampled_from(SPACES), k=st.integers(1, 5), after=st.sampled_from(["", *IDS]))
    def fill(self, space: Space, k: int, after: str) -> None:
        if space.fingerprint not in self.held:
            return
        held = self.held[space.fingerprint]
        lacking = self.engine.lacking(space, k, after)
        expected = [
            replace(record, parts=record.parts or (WHOLE,))
            for record in map(self.expected, sorted(self.said))
            if record.id > after and not record.away and record.id not in held
        ]
        assert lacking == expected[:k]
        count = sum(len(record.parts) for record in lacking)
        vectors = self.rows(count, space.dim)
        assert self.engine.put_vectors(space, lacking, vectors) == len(lacking)
        row = 0
        for record in lacking:
            held[record.id] = (record.parts, vectors[row : row + len(record.parts)])
            row += len(record.parts)

    @rule(space=st.sampled_from(SPACES))
    def activate(self, space: Space) -> None:
        if space.fingerprint in self.held:
            self.engine.activate(space)
            self.active = space

    @rule(space=st.sampled_from(SPACES))
    def drop_space(self, space: Space) -> None:
        if space.fingerprint != self.active.fingerprint:
            self.engine.drop_space(space)
            self.held.pop(space.fingerprint, None)

    # -------------------------------------------------------------- what is seen

    @invariant()
    def every_read_agrees(self) -> None:
        engine, present = self.engine, {i for i, each in self.said.items() if not each.away}
        assert engine.space == self.active
        assert {each.fingerprint for each in engine.spaces()} == set(self.held)
        for space in SPACES:
            assert engine.held(space) == len(self.held.get(space.fingerprint, {}))
        assert engine.get(IDS) == [self.expected(i) if i in self.said else None for i in IDS]
        assert engine.kept("search") == self.kept
        assert engine.count() == len(present)
        assert engine.count(Compare("away", "eq", True)) == len(self.said) - len(present)
        assert sorted(engine.matching_ids()) == sorted(present)
        assert sorted(each.id for each in engine.known()) == sorted(present)
        assert sorted(r.id for rs, _ in engine.export() for r in rs) == sorted(self.said)
        by_digest = engine.with_digests(["aa", "bb", "cc"])
        assert {d: {each.id for each in known} for d, known in by_digest.items()} == {
            d: ids
            for d in ("aa", "bb")
            if (ids := {i for i in present if self.said[i].digest == d})
        }
        found = engine.select(None, order="uri", descending=False, k=99, offset=0)
        assert [each.id for each in found] == [
            each.id
            for each in sorted(map(self.said.get, present), key=lambda r: (r.uri, r.id))  # type: ignore[union-attr, arg-type, return-value]
        ]

    @invariant()
    def vectors_are_those_of_the_records(self) -> None:
        held = self.held[self.active.fingerprint]
        for id_, rows in zip(IDS, self.engine.vectors(IDS), strict=True):
            if id_ not in self.said:
                assert rows is None
            else:
                assert rows is not None
                empty = np.empty((0, self.active.dim), np.float32)
                np.testing.assert_array_equal(rows, as_stored(held.get(id_, ((), empty))[1]))
        query = unit(np.random.default_rng(self.seed).standard_normal(self.active.dim))[None]
        for where in (None, Not(Compare("tags", "contains", "x"))):
            best = sorted(
                (-float((as_stored(own) @ query[0]).max()), id_)
                for id_, (_, own) in held.items()
                if where is None or filters.matches(where, self.said[id_])
            )
            (found,) = self.engine.nearest(query, 3, where)
            assert found.total == len(best)
            expected = [-score for score, _ in best[:3]]
            assert found.scores.tolist() == pytest.approx(expected, abs=2e-3)


SETTINGS = settings(max_examples=15, stateful_step_count=20, deadline=None)
KINDS = [MemoryStore, FewStore, CappedStore, DelayedStore, DescribingStore]


@pytest.mark.parametrize("kind", KINDS)
def test_over_a_document_store(kind: Any) -> None:
    def machine() -> AnyOrder:
        name = f"any-order-{next(_NAMES)}"
        return AnyOrder(lambda: DocumentEngine(kind(name)))

    run_state_machine_as_test(machine, settings=SETTINGS)  # type: ignore[no-untyped-call]


class Machines:
    """Several engines over the same store; each call goes to the next one, as from machines."""

    def __init__(self, engines: list[DocumentEngine]) -> None:
        self._engines = engines
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("ensure", "activate", "close"):  # what a machine must have called itself
            return lambda *args: [getattr(each, name)(*args) for each in self._engines][-1]
        self._calls += 1
        return getattr(self._engines[self._calls % len(self._engines)], name)


def test_over_machines_that_remember_what_others_change() -> None:
    def machine() -> AnyOrder:
        name = f"any-order-{next(_NAMES)}"
        return AnyOrder(
            lambda: Machines([DocumentEngine(RememberingStore(name)) for _ in range(3)])
        )

    run_state_machine_as_test(machine, settings=SETTINGS)  # type: ignore[no-untyped-call]


def test_over_the_embedded_engine(tmp_path: Path) -> None:
    def machine() -> AnyOrder:
        folder = tmp_path / f"library-{next(_NAMES)}"
        return AnyOrder(lambda: open_engine(folder))

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine, settings=settings(SETTINGS, max_examples=5)
    )
