"""What holds for every engine on its real server, at a size at which indexes begin to matter.

What does not depend on the size or on a server is in `test_contract` and its siblings.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixseek.engines import open_engine
from pixseek.errors import EngineError
from pixseek.types import Compare, Engine, Filter, Order, Part, Record, Space

import vectors as small
from servers import (
    Running,
    in_memory,
    kill_postgres,
    remove_library,
    serving,
    serving_postgres,
)
from vectors import Clustered, random_unit, unit

DIM, COUNT, K = 512, 20_000, 20
#: Of them so many are nearly the same, as frames of a video, and so many the very same.
COPIES, EQUAL = 4_000, 1_000
SPACE = Space("c" * 64, DIM, "model")

#: Local modes of clients look at each record in Python: they get few queries.
LOCAL = ["milvus", "qdrant"]
ENGINES = ["embedded", "postgres", "elasticsearch", "opensearch", *LOCAL]


def of(*kinds: str, wide: Sequence[str] = ()) -> list[Any]:
    """Return parameters: the tests of one engine run in one process, which fills it once."""
    return [
        pytest.param(
            each,
            marks=[pytest.mark.xdist_group(each), *([pytest.mark.wide] if each in wide else [])],
        )
        for each in kinds
    ]


pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass
class Place:
    """Where libraries of one kind of engine are kept.

    Attributes:
        kind: of engine.
        address: returns the address of the library of a name.
        forget: deletes the library of a name.
    """

    kind: str
    address: Callable[[str], str]
    forget: Callable[[str], None] = lambda name: None
    _names: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.contextmanager
    def library(self, space: Space = SPACE) -> Iterator[Callable[[], Engine]]:
        """Lend a function that opens the same, at first empty, library again and again."""
        name = f"conf_{os.getpid()}_{next(self._names)}"
        with contextlib.ExitStack() as opened:

            def open_it() -> Engine:
                return opened.enter_context(open_engine(self.address(name)))

            open_it().ensure(space)
            yield open_it
        self.forget(name)


@pytest.fixture(scope="module", params=of(*ENGINES))
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    kind = request.param
    if kind == "embedded":
        with tempfile.TemporaryDirectory(prefix="pixseek-conformance-") as folder:
            yield Place(kind, lambda name: f"{folder}/{name}")
    elif kind in ("milvus", "qdrant"):
        package = {"milvus": "milvus_lite", "qdrant": "qdrant_client"}[kind]
        pytest.importorskip(package, reason=f"{package} is not installed")
        with in_memory() as folder:
            yield Place(kind, lambda name: f"{kind}+file://{folder}/{name}")
    elif kind == "postgres":
        url = request.getfixturevalue("postgres")
        yield Place(kind, lambda name: f"{url}{'&' if '?' in url else '?'}table={name}")
    else:
        running = request.getfixturevalue(kind)
        yield Place(
            kind,
            lambda name: running.engine(name, "shards=1&replicas=0", kind),
            lambda name: remove_library(running, name),
        )


# ------------------------------------------------------------------ the nearest among 20,000


@dataclass
class Filled:
    """A library of 20,000 records, and what it holds.

    Attributes:
        engine: it.
        vectors: (COUNT, DIM) float64 unit rows, the vector of each record.
        lives: (COUNT,) bool, which records are stored.
        queries: some of each kind, (q, DIM) float32.
        rank: (COUNT,) int, how many records are nearer to the first text; `width` is 1 more.
        churned: whether half of the records were deleted, and some updated many times.
    """

    engine: Engine
    vectors: Any
    lives: Any
    queries: dict[str, Any]
    rank: Any
    churned: bool = False

    def record(self, n: int) -> Record:
        return Record(f"{n:05}", f"r/{n}.jpg", width=1 + int(self.rank[n]))

    def put(self, numbers: Any, vectors: Any) -> None:
        for start in range(0, len(numbers), 2_000):
            some = numbers[start : start + 2_000]
            self.engine.put([self.record(n) for n in some], vectors[start : start + 2_000])
        stored = vectors.astype(np.float16).astype(np.float64)
        self.vectors[numbers] = stored / np.linalg.norm(stored, axis=1, keepdims=True)
        self.lives[numbers] = True


def noise(rng: np.random.Generator, n: int, length: float) -> Any:
    return rng.standard_normal((n, DIM)) * (length / np.sqrt(DIM))


@pytest.fixture(scope="module")
def filled(place: Place) -> Iterator[Filled]:
    rng = np.random.default_rng(1)
    drawn = Clustered(DIM)
    vectors = drawn.images(COUNT)
    order = rng.permutation(COUNT)
    copies, equal = order[:COPIES], order[COPIES : COPIES + EQUAL]
    vectors[copies] = unit(vectors[copies[0]] + noise(rng, COPIES, 0.02))
    vectors[equal] = vectors[equal[0]]
    texts = drawn.texts(15)
    most = 2 if place.kind in LOCAL else 15
    queries = {
        "texts": texts[:most],
        "near copies": unit(vectors[copies[0]] + noise(rng, most, 0.5)),
        "near equal ones": unit(vectors[equal[0]] + noise(rng, min(most, 5), 0.5)),
        "far": unit(texts[0] + noise(rng, most, 0.3)),
    }
    rank = np.empty(COUNT, np.int64)
    rank[np.argsort(-(vectors @ texts[0]))] = np.arange(COUNT)
    with place.library() as open_it:
        empty = np.zeros((COUNT, DIM)), np.zeros(COUNT, bool)
        library = Filled(open_it(), *empty, queries, rank)
        library.put(np.arange(COUNT), vectors)
        yield library


@pytest.fixture(params=["as it was put", "half deleted"])
def library(filled: Filled, request: pytest.FixtureRequest) -> Filled:
    if request.param == "half deleted" and not filled.churned:
        rng = np.random.default_rng(2)
        gone = np.arange(0, COUNT, 2)
        assert filled.engine.delete([f"{n:05}" for n in gone]) == len(gone)
        filled.lives[gone] = False
        often = np.arange(1, 400, 2)
        for _ in range(5):
            filled.put(often, unit(filled.vectors[often] + noise(rng, len(often), 0.5)))
        filled.churned = True
    return filled


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        ("texts", 1.0),
        ("near copies", 1.0),
        ("near equal ones", 1.0),
        ("near copies", 0.5),
        ("far", 0.5),
        ("far", 0.02),
        ("far", 0.001),
    ],
)
def test_hits_are_those_of_an_exhaustive_scan(library: Filled, kind: str, share: float) -> None:
    low = round(COUNT * (1 - share))  # those that are the farthest from the texts
    where: Filter | None = None if share == 1 else Compare("width", "gt", low)
    allowed = library.lives & (library.rank >= low)
    queries = library.queries[kind]
    scores = np.where(allowed, queries.astype(np.float64) @ library.vectors.T, -2)
    wanted = min(K, int(allowed.sum()))
    right = 0
    for row, found in zip(scores, library.engine.nearest(queries, K, where), strict=True):
        numbers = [int(id_) for id_ in found.ids]
        assert len(numbers) == len(set(numbers)) == wanted
        assert allowed[numbers].all()
        assert found.total == allowed.sum()
        np.testing.assert_allclose(found.scores, row[numbers], atol=1e-3)
        assert (np.diff(found.scores) <= 0).all()
        right += sum(row[numbers] >= np.sort(row)[-wanted] - 3e-5)
    assert right >= 0.99 * wanted * len(queries)


def test_all_of_many_equal_vectors_are_found(library: Filled) -> None:
    query = library.queries["near equal ones"][:1]
    row = np.where(library.lives, query[0].astype(np.float64) @ library.vectors.T, -2)
    equal = np.flatnonzero(np.abs(row - np.median(np.sort(row)[-EQUAL // 4 :])) < 1e-6)
    assert len(equal) >= EQUAL // 3
    (found,) = library.engine.nearest(query, EQUAL)
    assert {f"{n:05}" for n in equal} <= set(found.ids)


# ------------------------------------------------------------------ what is stored


def odd_records() -> tuple[list[Record], Any]:
    """Return records with ids and texts of any length and script, and their vectors."""
    rng = np.random.default_rng(4)
    ids = ["a", "", "图" * 171, "x" * 40_000, "x" * 40_000 + "y", rng.bytes(600).hex(),
           "..", ".", "a/b", "_x", "ü 😀", "it's \"so\" \\ %_*?"]  # fmt: skip
    long = "word " * 20_000 + "zebra"
    fields = {"user.x": long, "ключ 键": "значение 值", "n": 2**62, "tiny": 1e-300, "yes": True}
    records = [
        Record(id_, f"r/{n} ü.jpg", caption=long if n == 3 else "", fields={**fields, "at": n})
        for n, id_ in enumerate(ids)
    ]
    records.append(Record("parts", "r/parts", parts=(Part(), Part("tile", (0.0, 0.0, 0.5, 0.5)))))
    return records, random_unit(len(records) + 1, dim=DIM)


def test_ids_and_texts_of_any_length_come_back(place: Place) -> None:
    records, vectors = odd_records()
    ids = [each.id for each in records]
    with place.library() as open_it:
        engine = open_it()
        engine.put(records, vectors)
        assert engine.get(ids) == records
        assert sorted(each.id for each in engine.known()) == sorted(ids)
        assert list(engine.matching_ids(Compare("fields.user.x", "eq", "word word"))) == []
        assert engine.count(Compare("fields.user.x", "ge", "word word")) == len(ids) - 1
        assert list(engine.matching_ids(Compare("caption", "contains", "zebra"))) == [ids[3]]
        for id_ in ids:
            if len(id_) < 10_000:
                assert list(engine.matching_ids(Compare("id", "eq", id_))) == [id_]
        assert engine.delete(ids) == len(ids)
        assert engine.count() == 0


def exported(engine: Engine) -> dict[str, tuple[Record, list[list[float]]]]:
    """Return all records with their vectors, by id."""
    found = {}
    for records, vectors in engine.export(batch=7):
        row = 0
        for record in records:
            found[record.id] = record, vectors[row : row + len(record.parts)].tolist()
            row += len(record.parts)
        assert row == len(vectors)
    return found


def test_what_is_exported_can_be_imported_as_it_was(place: Place) -> None:
    records, vectors = odd_records()
    with place.library() as one, place.library() as other:
        first, second = one(), other()
        first.put(records, vectors)
        for batch, rows in first.export(batch=5):
            second.put(batch, rows)
        assert exported(second) == exported(first)
        assert {id_: record for id_, (record, _) in exported(first).items()} == {
            each.id: each for each in records
        }


def test_pages_of_equal_values_repeat_and_lose_nothing(place: Place) -> None:
    records = [Record(f"id{n:04}", "r/same.jpg", width=1) for n in range(300)]
    ids = [each.id for each in records]
    orders: tuple[Order, ...] = ("uri", "name", "taken_at", "mtime", "size")
    with place.library() as open_it:
        engine = open_it()
        engine.put(records, random_unit(300, dim=DIM))
        for order, descending in itertools.product(orders, (False, True)):
            seen = [
                each.id
                for offset in range(0, 300, 70)
                for each in engine.select(
                    None, order=order, descending=descending, k=70, offset=offset
                )
            ]
            assert sorted(seen) == ids, (order, descending)
        assert sorted(exported(engine)) == ids
        assert sorted(each.id for each in engine.known()) == ids
        assert sorted(engine.matching_ids()) == ids


def test_two_writers_lose_nothing(place: Place) -> None:
    records = [Record(f"id{n}", f"r/{n}.jpg") for n in range(30)]
    vectors = random_unit(60, dim=DIM)
    failed: list[BaseException] = []

    def write(engine: Engine, tag: str) -> None:
        own = [Record(f"{tag}{n}", f"{tag}/{n}.jpg") for n in range(30)]
        try:
            for n, record in enumerate(records):
                engine.describe([record], lambda new, now: replace(new, tags=(*now.tags, tag)))
                engine.put([own[n]], vectors[30 + n][None])
        except BaseException as error:
            failed.append(error)

    with place.library() as open_it:
        open_it().put(records, vectors[:30])
        writers = [
            threading.Thread(target=write, args=(open_it(), tag)) for tag in ("one", "other")
        ]
        for each in writers:
            each.start()
        for each in writers:
            each.join()
        assert not failed
        engine = open_it()
        assert engine.count() == len(list(engine.known())) == 90
        for record in engine.get([each.id for each in records]):
            assert record is not None
            assert sorted(record.tags) == ["one", "other"]


# ------------------------------------------------------------------ a server that hangs or dies


@pytest.mark.parametrize("kind", ["elasticsearch", "opensearch", "escloud"])
def test_a_server_that_does_not_answer_is_given_up(kind: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"{kind}+http://127.0.0.1:{silent.getsockname()[1]}/photos?timeout=0.3"
        with pytest.raises(EngineError, match=r"did not answer within 0.3 s.*\n.*timeout="):
            open_engine(address)


@contextlib.contextmanager
def started(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    """Run a server on a folder; its `url` is that of a library."""
    if kind == "postgres":
        with serving_postgres(folder) as running:
            yield running
    else:
        with serving(kind, request.getfixturevalue("shared"), folder) as running:
            for _ in range(120):  # its shards come back one by one
                if health(running) != "red":
                    break
                time.sleep(0.5)
            yield running._replace(url=running.engine("photos", "shards=1&replicas=0", kind))


def health(running: Running) -> str:
    import httpx

    return str(httpx.get(f"{running.url}/_cluster/health").json()["status"])


@pytest.mark.parametrize("kind", of("postgres", "elasticsearch", "opensearch", wide=["opensearch"]))
def test_a_server_that_is_killed_while_it_is_fed_loses_nothing(
    kind: str, request: pytest.FixtureRequest
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="pixseek-killed-"))  # the server may be another user
    request.addfinalizer(lambda: shutil.rmtree(folder, ignore_errors=True))
    folder.chmod(0o755)
    records = [Record(f"id{n:04}", f"r/{n}.jpg") for n in range(3_000)]
    vectors = random_unit(3_000)
    stored: list[str] = []
    failed: list[BaseException] = []
    begun = threading.Event()

    def feed(engine: Engine) -> None:
        try:
            for start in range(0, 3_000, 100):
                some = records[start : start + 100]
                engine.put(some, vectors[start : start + 100])
                stored.extend(each.id for each in some)
                if start == 500:
                    begun.set()
        except BaseException as error:
            failed.append(error)
        begun.set()

    with started(kind, folder, request) as running:
        engine = open_engine(running.url)
        engine.ensure(small.SPACE)
        feeding = threading.Thread(target=feed, args=(engine,))
        feeding.start()
        assert begun.wait(120)
        if kind == "postgres":
            kill_postgres(running)
        else:
            os.kill(running.pid, signal.SIGKILL)
        feeding.join(120)
        engine.close()
    assert [type(each) for each in failed] == [EngineError]
    assert 600 <= len(stored) < 3_000
    with started(kind, folder, request) as running, open_engine(running.url) as engine:
        there = [each.id for each in engine.known()]
        assert len(there) == len(set(there)) == engine.count()
        assert set(stored) <= set(there)
        for start in range(0, 3_000, 1_000):
            engine.put(records[start : start + 1_000], vectors[start : start + 1_000])
        assert sorted(each.id for each in engine.known()) == [each.id for each in records]
        assert engine.count() == 3_000
        found = engine.nearest(vectors[::100], 1)
        assert [each.ids for each in found] == [(each.id,) for each in records[::100]]
