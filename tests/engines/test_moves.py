"""What moving a library needs of engines: pages by id, and no write once it has left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pixseek.engines import moves
from pixseek.errors import LibraryError, LibraryLockedError
from pixseek.types import Engine, Movable, Part, Record, Space

from vectors import DIM, SPACE, Opener, random_unit

OTHER = Space("e" * 64, 8, "other-model")
TILED = (Part(), Part("tile", (0.0, 0.0, 0.5, 0.5)))


def test_pages_hold_every_record_with_its_vectors_in_any_space(opener: Opener) -> None:
    with opener() as engine:
        engine.ensure(SPACE)
        records = [
            Record(f"é{n}" if n % 4 == 0 else f"id{n:02}", f"r/{n}", digest=f"{n:064x}",
                   parts=() if n == 7 else TILED if n % 3 == 0 else (Part(),))
            for n in range(17)
        ]  # fmt: skip
        records.append(Record("gone", "r/gone", away=True, parts=()))
        parts = sum(len(each.parts) for each in records)
        vectors = random_unit(parts).astype(np.float16).astype(np.float32)
        engine.put(records, vectors)
        engine.add_space(OTHER)
        first = engine.lacking(OTHER, 3)
        other = random_unit(sum(len(each.parts) for each in first), 1, OTHER.dim)
        engine.put_vectors(OTHER, first, other)
        by_id = {each.id: each for each in records}
        starts = np.cumsum([0, *(len(each.parts) for each in records)])
        rows = {r.id: vectors[s : s + len(r.parts)] for r, s in zip(records, starts, strict=False)}
        for size in (1, 5, 100):
            found: list[Record] = []
            stored: list[Any] = []
            while True:
                some, own = engine.page(SPACE, size, found[-1].id if found else "")
                found += some
                stored.append(own)
                assert own.shape == (sum(len(each.parts) for each in some), DIM)
                if len(some) < size:
                    break
            assert [each.id for each in found] == sorted(by_id)
            assert {each.id: each for each in found} == by_id
            wanted = np.concatenate([rows[each] for each in sorted(by_id)])
            assert np.array_equal(np.concatenate(stored), wanted)
        some, own = engine.page(OTHER, 100)
        assert [each.id for each in some] == sorted(by_id)
        assert {each.id for each in some if each.parts} == {each.id for each in first}
        assert own == pytest.approx(other, abs=1e-3)
        with pytest.raises(Exception, match="no vectors of this space"):
            engine.page(Space("9" * 64, 8, "unknown"), 5)


WRITES: list[Callable[[Engine], object]] = [
    lambda e: e.put([Record("new", "r/new", parts=())], np.empty((0, DIM), np.float32)),
    lambda e: e.describe([Record("one", "r/one", caption="changed")]),
    lambda e: e.delete(["one"]),
    lambda e: e.keep("search", "dogs", "a dog"),
    lambda e: e.add_space(OTHER),
    lambda e: e.activate(SPACE),
    lambda e: e.drop_space(OTHER),
    lambda e: e.put_vectors(SPACE, [], np.empty((0, DIM), np.float32)),
]


def test_nothing_is_written_where_a_library_leaves_or_arrives(opener: Opener) -> None:
    with opener() as engine, opener() as other:
        engine.ensure(SPACE)
        engine.put([Record("one", "r/one")], random_unit(1))
        for marks, error, said in (
            ({moves.AWAY: moves.mark("x://y")}, LibraryLockedError, "being moved"),
            ({moves.AWAY: moves.mark("x://y", done=True)}, LibraryError, "was moved"),
            ({moves.ARRIVING: "{}"}, LibraryLockedError, "copied to here"),
            ({moves.AWAY: "not JSON"}, LibraryLockedError, "being moved"),
        ):
            for name, text in marks.items():
                other.keep(moves.KIND, name, text)
            for write in WRITES:
                with pytest.raises(error, match=said):
                    write(engine)
            assert [each and each.caption for each in engine.get(["one", "new"])] == ["", None]
            assert not engine.kept("search")
            assert engine.spaces() == [SPACE]
            for name in marks:
                other.keep(moves.KIND, name, None)
        for write in WRITES:
            write(engine)
        other.keep(moves.KIND, moves.ARRIVING, "{}")
        assert isinstance(engine, Movable)
        engine.copied_into(True)
        engine.put([Record("two", "r/two")], random_unit(1))
        engine.copied_into(False)
        with pytest.raises(LibraryLockedError):
            engine.put([Record("three", "r/three")], random_unit(1))
        assert engine.count() == 2


def test_a_write_during_which_the_library_leaves_is_an_error(opener: Opener) -> None:
    """It is not known to be part of the copy."""
    with opener() as engine, opener() as other:
        engine.ensure(SPACE)
        engine.put([Record("one", "r/one")], random_unit(1))

        look = engine._marks  # type: ignore[attr-defined]
        looks = iter([dict[str, str]()])

        def marks() -> Any:
            if (none := next(looks, None)) is not None:
                return none  # before the write
            other.keep(moves.KIND, moves.AWAY, moves.mark("x://y"))
            return look()

        engine._marks = marks  # type: ignore[attr-defined]
        with pytest.raises(LibraryLockedError, match="being moved"):
            engine.describe([Record("one", "r/one", caption="late")])
