"""A library moves to another engine and back: nothing is lost, doubled or changed on the way."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pixseek
from moved_library import FIRST, NAMES, SECOND, TILED, fill, library_of, photos, state, vectors
from pixseek.engines import moves, open_engine
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.embedded import candidates, codes, indexes
from pixseek.engines.memory import MemoryStore
from pixseek.errors import (
    EngineError,
    LibraryError,
    LibraryLockedError,
    StorageError,
)
from pixseek.library import copying, migration, parity
from pixseek.types import Compare, Engine, Part, Progress, Record, Space


def memory() -> str:
    return f"memory://moved-{next(NAMES)}"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[pixseek.Library]:
    with library_of(tmp_path / "lib") as opened:
        yield opened


def test_there_and_back(library: pixseek.Library) -> None:
    before, to = state(library.opened.engine), memory()
    seen: list[Progress] = []
    there = library.migrate(to, on_progress=seen.append)
    assert state(library.opened.engine) == before
    assert isinstance(library.opened.engine, DocumentEngine)
    assert (there.records, there.spaces, there.texts, there.written) == (307, 2, 3, 307)
    assert there.vectors == 300 + 10 + 150
    assert there.queries == 400  # of each model
    assert there.recall == there.recall_filtered == 1.0
    assert {each.stage for each in seen} == {"copy", "check", "ask"}
    assert seen[-1].total == 400
    # What changes meanwhile is carried back.
    library.tag(["id0003"], add=["beach"])
    library.opened.engine.delete(["id0004"])
    changed = state(library.opened.engine)
    back = library.migrate("embedded")
    assert state(library.opened.engine) == changed
    assert (back.written, back.removed, back.digest != there.digest) == (1, 1, True)
    with pixseek.open(library.path) as again:
        assert state(again.opened.engine) == changed
        assert again.search(where="tag:beach").hits[0].id == "id0003"


def test_the_copy_that_was_left_can_not_be_changed(
    library: pixseek.Library, tmp_path: Path
) -> None:
    with pixseek.open(library.path) as other:
        library.migrate(memory())
        with pytest.raises(LibraryError, match="was moved to another engine"):
            other.tag(["id0001"], add=["late"])
        with pytest.raises(LibraryError, match="was moved to another engine"):
            other.opened.engine.keep("search", "late", "late")
        assert other.get("id0001").tags == ()  # type: ignore[union-attr]
        # What it finds is old, and it says so.
        assert "was moved to memory://" in " ".join(other.search(where="tag:lake").warnings)
        assert not library.search(where="tag:lake").warnings
        assert library.status().engine.startswith("memory://")
    library.tag(["id0001"], add=["late"])
    with pixseek.open(library.path) as again:
        again.tag(["id0002"], add=["late"])
        assert len(again.search(where="tag:late")) == 2


class _Fails:
    """An engine that fails at its n-th write."""

    def __init__(self, engine: Any, n: int, error: Exception) -> None:
        self._engine, self._left, self._error = engine, n, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def put(self, *args: Any, **named: Any) -> None:
        self._left -= 1
        if self._left < 0:
            raise self._error
        self._engine.put(*args, **named)


def _targets(monkeypatch: pytest.MonkeyPatch, make: Callable[[Any], Any]) -> None:
    monkeypatch.setattr(migration, "open_engine", lambda url: make(open_engine(url)))


@pytest.mark.parametrize(
    "error",
    [StorageError("disk full", "/x", "Free some space."), EngineError("out of reach", "host")],
)
def test_a_target_that_fails_in_the_middle(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    monkeypatch.setattr(copying, "BATCH", 50)
    before, to = state(library.opened.engine), memory()
    _targets(monkeypatch, lambda engine: _Fails(engine, 3, error))
    with pytest.raises(type(error), match="run the same command again to go on"):
        library.migrate(to)
    assert state(library.opened.engine) == before
    library.tag(["id0001"], add=["meanwhile"])  # the library is as usable as before
    with pixseek.open(library.path) as other:
        assert other.get("id0001").tags == ("meanwhile",)  # type: ignore[union-attr]
    with pytest.raises(LibraryLockedError, match="copied to here"), open_engine(to) as half:
        half.delete(["id0001"])
    monkeypatch.setattr(migration, "open_engine", open_engine)
    now = state(library.opened.engine)
    done = library.migrate(to)
    assert state(library.opened.engine) == now
    assert 150 <= done.written < 300  # what was there stayed


def test_a_run_that_is_stopped_goes_on(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH", 50)
    before, to, stop = state(library.opened.engine), memory(), threading.Event()
    for stage in ("copy", "check", "ask"):
        stop.clear()
        done = library.migrate(
            to,
            stop=stop,
            on_progress=lambda p, s=stage: p.stage == s and stop.set(),  # type: ignore[misc]
        )
        assert done.stopped, stage
        assert not isinstance(library.opened.engine, DocumentEngine)
        library.opened.engine.describe([], None)
        library.opened.engine.keep("search", "dogs", "a dog")  # nobody is kept out
    assert not library.migrate(to).stopped
    assert state(library.opened.engine) == before


# ------------------------------------------------------------------ damage


class _MissingShard(MemoryStore):
    """A store that has lost a part of its documents."""

    def _found(self, *args: Any, **named: Any) -> Any:
        for document, fields in super()._found(*args, **named):
            if not _is_lost(document):
                yield document, fields

    def fetch(self, space: Space, ids: Any, **named: Any) -> Any:
        found = super().fetch(space, ids, **named)
        return [None if each and _is_lost(each) else each for each in found]


def _is_lost(document: Any) -> bool:
    return bool(re.fullmatch(r"id\d\d\d7", document.record.id))


class _Swapped(MemoryStore):
    """A store that gives back the vectors of one in a hundred documents for those of others."""

    def scan(self, space: Space, *args: Any, **named: Any) -> Any:
        found = super().scan(space, *args, **named)
        return [
            replace(each, vectors=-each.vectors) if each.record.id.endswith("50") else each
            for each in found
        ]


class _Narrow(MemoryStore):
    """An approximate store that looks at half of the documents."""

    capabilities = replace(MemoryStore.capabilities, exact=False)

    def nearest(self, space: Space, rows: Any, k: int, where: Any) -> Any:
        return [
            [row for row in found if int(row.id[-1], 36) % 2][:k]
            for found in super().nearest(space, rows, 10_000, where)
        ]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (_MissingShard, "of 307 records 30 missing"),
        (_Swapped, "3 with other vectors"),
        (_Narrow, "finds too few"),
    ],
)
def test_a_target_that_is_damaged_is_refused(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch, kind: Any, said: str
) -> None:
    before = state(library.opened.engine)
    name = memory().removeprefix("memory://")
    monkeypatch.setattr(migration, "open_engine", lambda url: DocumentEngine(kind(name)))
    for _ in range(2):  # also when what was copied before is looked at again
        with pytest.raises(LibraryError, match=said) as refused:
            library.migrate(f"memory://{name}")
        assert "stays where it is" in refused.value.problem
        assert refused.value.advice
        assert state(library.opened.engine) == before
        library.opened.engine.keep("search", "dogs", "a dog")
        with pixseek.open(library.path) as other:
            assert not isinstance(other.opened.engine, DocumentEngine)
    monkeypatch.setattr(migration, "open_engine", open_engine)
    library.migrate(f"memory://{name}")
    assert state(library.opened.engine) == before


def test_a_target_that_looks_too_little_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real index: with more breadth the same copy is good enough."""
    if not codes.available(FIRST.dim):
        pytest.skip("turbovec is not installed here")
    for module, name, value in (
        (indexes, "EXACT_ROWS", 50), (indexes, "UNCODED_ROWS", 2),
        (indexes, "PATIENT_QUERIES", 0), (candidates, "GATHER_ROWS", 5),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    with pixseek.open(tmp_path / "lib") as library:
        fill(library.opened.engine, photos(1500))
        before = state(library.opened.engine)
        target = f"embedded:{tmp_path / 'other'}"
        with pytest.raises(LibraryError, match="finds too few") as refused:
            library.migrate(f"{target}?breadth=10")
        assert "breadth=400" in refused.value.advice
        assert library.status().engine == "embedded"
        done = library.migrate(f"{target}?breadth=400")
        assert done.written == 0  # what was copied stayed
        assert done.recall is not None
        assert done.recall >= parity.LEAST
        assert state(library.opened.engine) == before


def test_a_target_that_finds_too_little_by_another_model_is_refused(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hasty(DocumentEngine):
        def nearest(self, queries: Any, k: int, where: Any = None, **more: Any) -> Any:
            return super().nearest(queries, k if self.space == FIRST else 5, where, **more)

    name = memory().removeprefix("memory://")
    opened: list[DocumentEngine] = []

    def opening(_: object) -> DocumentEngine:
        opened.append(Hasty(MemoryStore(name)))
        return opened[-1]

    monkeypatch.setattr(migration, "open_engine", opening)
    with pytest.raises(LibraryError, match=rf"finds too few(?s:.*)to {SECOND.model} "):
        library.migrate(f"memory://{name}")
    assert opened[0].store.spaces()[0] == FIRST
    assert library.status().engine == "embedded"


def test_texts_that_a_target_loses_are_refused(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(DocumentEngine):
        def kept(self, kind: str) -> dict[str, str]:
            return {} if kind == "search" else super().kept(kind)

    name = memory().removeprefix("memory://")
    monkeypatch.setattr(migration, "open_engine", lambda url: Forgetful(MemoryStore(name)))
    with pytest.raises(LibraryError, match="does not keep a text"):
        library.migrate(f"memory://{name}")


# ------------------------------------------------------------------ others who write


def test_what_is_written_during_the_copy_is_carried_over(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH", 40)
    with pixseek.open(library.path) as other:
        wrote = iter(range(3))

        def meanwhile(progress: Progress) -> None:
            if progress.stage != "copy" or (n := next(wrote, None)) is None:
                return
            other.tag([f"id{n:04}"], add=["meanwhile"])
            other.opened.engine.delete([f"id{200 + n:04}"])
            other.opened.engine.put([Record(f"new{n}", f"photos/new{n}.jpg")], vectors(1, 16, n))
            other.opened.engine.keep("search", f"new{n}", "new")

        library.migrate(memory(), on_progress=meanwhile)
        expected = state(other.opened.engine)
    engine = library.opened.engine
    assert state(engine) == expected
    assert engine.count(Compare("tags", "contains", "meanwhile")) == 3
    assert len(engine.kept("search")) == 4
    assert [each is None for each in engine.get(["id0200", "id0203", "new2"])] == [
        True, False, False,
    ]  # fmt: skip


def test_a_change_is_in_the_copy_or_an_error(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program tags all the time."""
    monkeypatch.setattr(copying, "BATCH", 40)
    tagged: list[str] = []
    refused: list[Exception] = []
    begun, ended = threading.Event(), threading.Event()

    def tagging() -> None:
        with pixseek.open(library.path) as other:
            for n in range(300):
                try:
                    other.tag([f"id{n:04}"], add=["mine"])
                    tagged.append(f"id{n:04}")
                except LibraryError as error:
                    refused.append(error)
                if n == 5:
                    begun.set()
                if ended.is_set() and len(refused) > 5:
                    return

    thread = threading.Thread(target=tagging)
    thread.start()
    assert begun.wait(60)
    try:
        library.migrate(memory())
    finally:
        ended.set()
        thread.join()
    engine = library.opened.engine
    found = set(engine.matching_ids(Compare("tags", "contains", "mine")))
    assert set(tagged) <= found
    assert len(found - set(tagged)) <= 1  # one that was told that it may be lost


def test_nobody_can_index_meanwhile(library: pixseek.Library, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    refused: list[str] = []
    with pixseek.open(library.path) as other:

        def meanwhile(progress: Progress) -> None:
            if progress.stage == "copy":
                with pytest.raises(LibraryLockedError):
                    other.index(tmp_path / "photos")
                refused.append("yes")

        library.migrate(memory(), on_progress=meanwhile)
    assert refused


# ------------------------------------------------------------------ which engines


def test_another_library_is_never_overwritten(library: pixseek.Library, tmp_path: Path) -> None:
    to = memory()
    with open_engine(to) as engine:
        fill(engine, photos(3))
    with pytest.raises(LibraryError, match="holds another library"):
        library.migrate(to)
    kept = memory()
    with open_engine(kept) as engine:
        engine.keep("search", "cats", "a cat")
    with pytest.raises(LibraryError, match="holds another library"):
        library.migrate(kept)
    moved = memory()
    with library_of(tmp_path / "other", 20) as other:
        other.migrate(moved)
    with pytest.raises(LibraryError, match="holds another library"):
        library.migrate(moved)


def test_an_old_copy_is_not_moved_over_the_new_one(library: pixseek.Library) -> None:
    to, third = memory(), memory()
    with pixseek.open(library.path) as other:
        library.migrate(to)
        library.tag(["id0001"], add=["new"])
        # As another machine does, whose folder still names the engine that was left.
        with pytest.raises(LibraryError, match="is an old copy"):
            other.migrate(third)
        followed = other.migrate(to)
        assert (followed.written, followed.queries) == (0, 0)
        assert other.get("id0001").tags == ("new",)  # type: ignore[union-attr]
        other.tag(["id0002"], add=["new"])
    assert library.get("id0002").tags == ("new",)  # type: ignore[union-attr]


def test_moving_to_where_it_is_uses_an_old_copy_again(library: pixseek.Library) -> None:
    with pixseek.open(library.path) as other:
        library.migrate(memory())
        assert other.migrate("embedded").written == 0
        other.tag(["id0001"], add=["again"])
    with pixseek.open(library.path) as again:
        assert again.get("id0001").tags == ("again",)  # type: ignore[union-attr]


def test_from_names_where_the_library_must_be(library: pixseek.Library) -> None:
    to = memory()
    with pytest.raises(LibraryError, match="is in another engine"):
        library.migrate(to, from_="memory://elsewhere")
    library.migrate(to, from_="embedded")
    with pytest.raises(LibraryError, match="is in another engine"):
        library.migrate("embedded", from_="embedded")
    library.migrate("embedded", from_=to)


def test_secrets_of_the_address_are_kept_for_this_user_only(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = memory().removeprefix("memory://")
    monkeypatch.setattr(migration, "open_engine", lambda url: DocumentEngine(MemoryStore(name)))
    done = library.migrate(f"postgresql://me:sesame@host/{name}")
    assert "sesame" not in repr(done)
    assert b"sesame" not in b"".join(
        path.read_bytes() for path in library.path.rglob("*") if path.is_file()
    )
    from pixseek.config import libraries_file

    assert "sesame" in libraries_file().read_text()


def test_a_library_without_images_moves_too(tmp_path: Path) -> None:
    with pixseek.open(tmp_path / "lib") as library:
        library.opened.engine.keep("search", "dogs", "a dog")
        library.migrate(memory())
        assert library.opened.engine.kept("search") == {"dogs": "a dog"}
        assert not len(library)


def test_a_mark_that_a_killed_run_left(library: pixseek.Library) -> None:
    """It ended while others were kept from writing: a new run goes on, or gives it up."""
    engine, to = library.opened.engine, memory()
    for again in (to, "embedded"):
        engine = library.opened.engine
        engine.keep(moves.KIND, moves.AWAY, moves.mark(to))
        with pytest.raises(LibraryLockedError, match="pixseek migrate --to memory"):
            library.tag(["id0001"], add=["x"])
        library.migrate(again)
        library.tag(["id0001"], add=["x"])
        library.migrate("embedded")


# ------------------------------------------------------------------ any library

_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
_FIELDS = st.dictionaries(
    st.sampled_from(["user.a", "user.b", "rating", "title"]),
    st.one_of(
        _TEXT, st.booleans(), st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False, width=32),
        st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    ),
)  # fmt: skip
_RECORDS = st.lists(
    st.builds(
        lambda n, caption, tags, fields, taken_at, kind: Record(
            f"id{n}", f"r/{n}", digest=f"{n:064x}" if n % 2 else "", caption=caption,
            tags=tuple(dict.fromkeys(filter(str.strip, tags))), fields=fields, taken_at=taken_at,
            away=kind == "away",
            parts={"away": (), "bare": (), "tiled": TILED}.get(kind, (Part(),)),
        ),
        st.integers(0, 40), _TEXT, st.lists(_TEXT, max_size=2), _FIELDS,
        st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))
        | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
        st.sampled_from(["image", "tiled", "bare", "away"]),
    ),
    max_size=12, unique_by=lambda record: record.id,
)  # fmt: skip


@given(records=_RECORDS, second=st.booleans(), active=st.booleans())
@settings(max_examples=15, deadline=None)
def test_there_and_back_is_the_identity_for_any_library(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], second: bool, active: bool
) -> None:
    with (
        pixseek.open(tmp_path_factory.mktemp("any") / "lib") as library,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(parity, "QUERIES", 4)
        engine = library.opened.engine
        engine.ensure(FIRST)
        engine.put(records, vectors(sum(len(each.parts) for each in records), FIRST.dim))
        if second:
            engine.add_space(SECOND)
            some = engine.lacking(SECOND, 100)[::2]
            parts = sum(len(each.parts) for each in some)
            engine.put_vectors(SECOND, some, vectors(parts, SECOND.dim, 1))
            if active:
                engine.activate(SECOND)
        before = state(engine)
        library.migrate(memory())
        assert state(library.opened.engine) == before
        library.migrate("embedded")
        assert state(library.opened.engine) == before


def test_vectors_of_parts_that_the_active_space_lacks(tmp_path: Path) -> None:
    """An image that one model could embed in tiles, and the model in use not at all."""
    with pixseek.open(tmp_path / "lib") as library:
        engine: Engine = library.opened.engine
        engine.ensure(SECOND)
        tiled = Record("one", "r/one", digest="1" * 64, parts=TILED)
        engine.put([tiled], vectors(2, SECOND.dim))
        engine.add_space(FIRST)
        engine.activate(FIRST)
        engine.put([replace(tiled, parts=())], np.empty((0, FIRST.dim), np.float32))
        before = state(engine)
        assert before["counts"] == (1, 0, 1)
        library.migrate(memory())
        assert state(library.opened.engine) == before
