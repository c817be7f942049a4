"""The embedded engine alone: crashes, full disks, readers next to writers, its caches."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import search

from pixseek.engines import open_engine
from pixseek.engines.embedded import (
    EmbeddedEngine,
    candidates,
    catalog,
    codes,
    indexes,
    ivf,
    open_embedded,
    vectorfile,
)
from pixseek.engines.embedded import engine as embedded
from pixseek.engines.embedded.vectorfile import VectorFile
from pixseek.errors import (
    ConfigError,
    LibraryFormatError,
    LibraryLockedError,
    LibraryNotFoundError,
    MissingExtraError,
    PixseekError,
    StorageError,
)
from pixseek.types import Compare, Part, Record, Space

from vectors import Clustered

DIM = 64
SPACE = Space("a" * 64, DIM, "tiny-model")

needs_turbovec = pytest.mark.skipif(
    not codes.available(DIM), reason="turbovec is not installed on this platform"
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="uses Linux's own calls")


def vector_of(number: int) -> Any:
    """The vector that the record of this number always has."""
    vector = np.random.default_rng(number).standard_normal(DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


def batch(start: int, n: int) -> tuple[list[Record], Any]:
    numbers = range(start, start + n)
    records = [Record(f"id{i}", f"photos/{i:07}.jpg", width=1 + i) for i in numbers]
    return records, np.array([vector_of(i) for i in numbers], np.float32).reshape(n, DIM)


def assert_whole(engine: EmbeddedEngine, at_least: int) -> int:
    """Check that records 0 to n are there, n >= at_least, with their vectors; return n."""
    n = engine.count()
    assert n >= at_least
    ids = [f"id{i}" for i in range(n)]
    assert [record.width for record in engine.get(ids)] == [1 + i for i in range(n)]
    for i, stored in enumerate(engine.vectors(ids)):
        np.testing.assert_array_equal(stored[0], vector_of(i).astype(np.float16))
    return n


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def opened() -> Iterator[Callable[..., EmbeddedEngine]]:
    with contextlib.ExitStack() as stack:

        def open_it(folder: Path, **options: Any) -> EmbeddedEngine:
            engine = stack.enter_context(open_embedded(folder, **options))
            if not options.get("read_only"):
                engine.ensure(SPACE)
            return engine

        yield open_it


PRELUDE = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_embedded import *
folder = Path({folder!r})
"""


def python(code: str, folder: Path, **options: Any) -> subprocess.Popen[str]:
    prelude = PRELUDE.format(tests=str(Path(__file__).parent), folder=str(folder))
    return subprocess.Popen(
        [sys.executable, "-c", prelude + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(code: str, folder: Path, **options: Any) -> str:
    process = python(code, folder, **options)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


# ------------------------------------------------------------------ crashes

WRITER = """
engine = open_embedded(folder)
engine.ensure(SPACE)
n = engine.count()
print("ready", flush=True)
while True:
    engine.put(*batch(n, 40))
    n += 40
    print(n, flush=True)
    engine.put(*batch(max(0, n - 100), 20))  # and replace some
"""


@pytest.mark.slow
@linux
@pytest.mark.parametrize(
    "kills",
    [
        8,
        pytest.param(40, marks=pytest.mark.slow),
        pytest.param(120, marks=[pytest.mark.wide, pytest.mark.timeout(1800)]),
    ],
)
def test_killed_writers_lose_nothing_acknowledged(folder: Path, kills: int) -> None:
    waits = random.Random(kills)
    acknowledged = 0
    for _ in range(kills):
        process = python(WRITER, folder)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(waits.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        lines = [line for line in out.splitlines(keepends=True) if line.endswith("\n")]
        acknowledged = int(lines[-1]) if lines else acknowledged
        with open_embedded(folder) as engine:
            acknowledged = assert_whole(engine, acknowledged)
    assert acknowledged > 0


def test_a_torn_tail_is_ignored_and_overwritten(
    folder: Path, opened: Callable[..., EmbeddedEngine]
) -> None:
    engine = opened(folder)
    engine.put(*batch(0, 10))
    (path,) = folder.glob("vectors-*.f16")
    with path.open("ab") as file:
        file.write(b"torn" * 333)
    assert assert_whole(opened(folder), 10) == 10
    engine.put(*batch(10, 5))
    assert path.stat().st_size == 15 * DIM * 2
    assert assert_whole(opened(folder), 15) == 15


def test_missing_vectors_raise_an_error(folder: Path) -> None:
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put(*batch(0, 10))
    (path,) = folder.glob("vectors-*.f16")
    os.truncate(path, 9 * DIM * 2 + 1)
    with open_embedded(folder) as engine:
        for call in (
            lambda: search(engine, batch(0, 1)[1], 3),
            lambda: engine.vectors(["id0"]),
            lambda: engine.put(*batch(10, 1)),
        ):
            with pytest.raises(LibraryFormatError, match=r"(?s)missing.*index again"):
                call()
    path.unlink()
    with open_embedded(folder) as engine, pytest.raises(LibraryFormatError, match=r"(?i)missing"):
        search(engine, batch(0, 1)[1], 3)


# ------------------------------------------------------------------ several at once


def test_a_reader_sees_each_write_at_its_next_search(
    folder: Path, opened: Callable[..., EmbeddedEngine]
) -> None:
    writer, reader = opened(folder), opened(folder)
    for n in range(0, 50, 10):
        records, vectors = batch(n, 10)
        writer.put(records, vectors)
        (found,) = search(reader, vectors[3:4], 1)
        assert found[0].record == records[3]
    writer.delete(["id3"])
    assert search(reader, batch(3, 1)[1], 1)[0][0].record.id != "id3"
    assert reader.count() == 49


def test_two_processes_that_write_at_once(folder: Path) -> None:
    code = """
    engine = open_embedded(folder)
    engine.ensure(SPACE)
    for i in range({start}, {start} + 200, 10):
        engine.put(*batch(i, 10))
    engine.close()
    """
    processes = [python(code.format(start=start), folder) for start in (0, 200)]
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    with open_embedded(folder) as engine:
        assert assert_whole(engine, 400) == 400


@needs_turbovec
@pytest.mark.parametrize("exact_rows", [20, pytest.param(100_000, marks=pytest.mark.slow)])
def test_threads_search_while_one_writes(
    folder: Path,
    opened: Callable[..., EmbeddedEngine],
    monkeypatch: pytest.MonkeyPatch,
    exact_rows: int,
) -> None:
    monkeypatch.setattr(indexes, "EXACT_ROWS", exact_rows)
    engine = opened(folder)
    engine.put(*batch(0, 100))
    failures: list[BaseException] = []
    done = threading.Event()
    searches = [0]

    def ask() -> None:
        rng = np.random.default_rng()
        try:
            while not done.is_set():
                # Being replaced all the time, they are always there.
                number = int(rng.integers(100))
                (found,) = search(engine, vector_of(number)[None], 3)
                assert len(found) == 3
                assert found[0].record.id == f"id{number}"
                searches[0] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for step in range(30):
        engine.put(*batch(step % 5 * 20, 20))
        engine.put(*batch(100 + step, 1))
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert searches[0] > 0
    assert assert_whole(engine, 130) == 130


def test_a_lock_that_is_never_released(folder: Path, opened: Callable[..., EmbeddedEngine]) -> None:
    engine = opened(folder, lock_timeout_s=0.1)
    engine.put(*batch(0, 2))
    other = sqlite3.connect(folder / "records.sqlite", isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LibraryLockedError, match=r"(?i)another process"):
            engine.put(*batch(2, 1))
        assert search(engine, vector_of(1)[None], 1)[0][0].record.id == "id1"
        other.execute("ROLLBACK")
    engine.put(*batch(2, 1))
    assert assert_whole(engine, 3) == 3


# ------------------------------------------------------------------ the disk

FILL = """
engine = open_embedded(folder)
engine.ensure(SPACE)
n = engine.count()
try:
    while n < 100_000:
        engine.put(*batch(n, 400))
        n += 400
except StorageError as error:
    assert error.problem.startswith("disk full"), error
    assert "Free some space" in error.advice
else:
    raise SystemExit("the disk was never full")
assert_whole(engine, n)
assert engine.count() == n
{then}
engine.put(*batch(n, 10))
print(assert_whole(engine, n + 10))
engine.close()
"""


@linux
def test_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small disk here")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 500_000)
        then = f"Path({str(ballast)!r}).unlink()"
        assert int(run(FILL.format(then=then), disk / "library")) > 400
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@linux
@pytest.mark.parametrize("limit", [100_000, pytest.param(400_000, marks=pytest.mark.slow)])
def test_largest_file(folder: Path, limit: int) -> None:
    run("open_embedded(folder).ensure(SPACE)", folder)
    then = "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))"
    out = run(
        FILL.format(then=then),
        folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1)),
    )
    assert int(out) >= 10


def _drop_privileges() -> None:
    """Make root respect permissions, too."""
    library = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        library.prctl(24, capability, 0, 0, 0)


@linux
def test_read_only_folder(folder: Path) -> None:
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put(*batch(0, 20))
    assert not list(folder.glob("*-wal"))
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    code = """
    engine = open_embedded(folder)
    assert engine.space == SPACE
    assert assert_whole(engine, 20) == 20
    assert search(engine, vector_of(3)[None], 2)[0][0].record.id == "id3"
    for write in (lambda: engine.put(*batch(0, 1)), lambda: engine.delete(["id0"])):
        try:
            write()
        except StorageError as error:
            assert "read-only" in error.advice
        else:
            raise SystemExit("written")
    engine.close()
    """
    try:
        run(code, folder, preexec_fn=_drop_privileges)
    finally:
        folder.chmod(0o755)


def test_opened_read_only(folder: Path, opened: Callable[..., EmbeddedEngine]) -> None:
    with pytest.raises(LibraryNotFoundError):
        open_embedded(folder, read_only=True)
    writer = opened(folder)
    writer.put(*batch(0, 5))
    reader = opened(folder, read_only=True)
    assert assert_whole(reader, 5) == 5
    writer.put(*batch(5, 5))
    assert assert_whole(reader, 10) == 10
    writer.close()
    assert assert_whole(reader, 10) == 10
    with open_embedded(folder) as writer:
        writer.put(*batch(10, 5))
    assert assert_whole(reader, 15) == 15
    with pytest.raises(StorageError, match=r"(?i)can't be written"):
        reader.put(*batch(15, 1))


# ------------------------------------------------------------------ formats


def test_other_files_are_not_opened_as_a_library(folder: Path) -> None:
    folder.mkdir()
    path = folder / "records.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(LibraryFormatError, match=r"(?i)damaged"):
        open_embedded(folder)
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
    with pytest.raises(LibraryFormatError, match=r"(?i)not a pixseek library"):
        open_embedded(folder)


def test_a_damaged_database(folder: Path) -> None:
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put(*batch(0, 500))
    path = folder / "records.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(LibraryFormatError, match=r"(?i)damaged"), open_embedded(folder) as engine:
        list(engine.known())


@linux
@pytest.mark.parametrize("has_written", [True, False])
def test_a_folder_that_is_moved_away_meanwhile_is_not_made_again(
    folder: Path, has_written: bool
) -> None:
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put(*batch(0, 10))
    with open_embedded(folder) as engine:
        if has_written:
            engine.put(*batch(10, 1))
        folder.rename(folder.with_name("moved"))
        with pytest.raises(LibraryNotFoundError, match="no longer here"):
            engine.put(*batch(11, 1))
        assert not folder.exists()
        folder.with_name("moved").rename(folder)
        engine.put(*batch(11, 1))


def test_a_newer_format(folder: Path) -> None:
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
    with contextlib.closing(sqlite3.connect(folder / "records.sqlite")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(LibraryFormatError, match=r"(?i)newer pixseek \(format 99.*\n?.*Upgrade"):
        open_embedded(folder)


def test_migration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put(*batch(0, 5))
    first = catalog.MIGRATIONS
    broken = "ALTER TABLE record ADD COLUMN place TEXT; SELECT nonsense"
    monkeypatch.setattr(catalog, "MIGRATIONS", (*first, broken))
    with pytest.raises(PixseekError):
        open_embedded(folder)
    step = "ALTER TABLE record ADD COLUMN place TEXT; UPDATE record SET place = 'here'"
    monkeypatch.setattr(catalog, "MIGRATIONS", (*first, step))
    with pytest.raises(LibraryFormatError, match=r"(?i)older format"):
        open_embedded(folder, read_only=True)
    for _ in range(2):
        with open_embedded(folder) as engine:
            assert assert_whole(engine, 5) == 5
    with contextlib.closing(sqlite3.connect(folder / "records.sqlite")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(first) + 1,)
        assert db.execute("SELECT DISTINCT place FROM record").fetchall() == [("here",)]
    monkeypatch.setattr(catalog, "MIGRATIONS", first)
    with pytest.raises(LibraryFormatError, match=r"(?i)newer"):
        open_embedded(folder)


def test_compaction_forgets_values_that_no_record_has(folder: Path) -> None:
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put([Record("a", "r/x/a", tags=("old", "kept")), Record("b", "s/b")], batch(0, 2)[1])
        engine.put([Record("a", "r/a", tags=("kept", "new"))], batch(2, 1)[1])
        engine.compact()
        assert engine.count(Compare("tags", "contains", "kept")) == 1
        assert engine.facets(None, ["tag"], 9) == {"tag": {"kept": 1, "new": 1}}
    with contextlib.closing(sqlite3.connect(folder / "records.sqlite")) as db:
        found = db.execute("SELECT field, stored FROM value ORDER BY 1, 2").fetchall()
    assert found == [("folder", "r/"), ("folder", "s/"), ("tag", "kept"), ("tag", "new")]


def test_compaction_keeps_the_neighbours(folder: Path) -> None:
    vectors = batch(0, 30)[1]
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put([Record("a", "r/a", parts=(Part(),) * 10)], vectors[:10])
        engine.put(*batch(10, 20))
        engine.delete(["id10", "id11"])
        assert engine.nearest(vectors[7:8], 100)[0].total == 19
        for _ in range(2):
            (found,) = engine.nearest(vectors[7:8], 100, Compare("width", "exists"))
            assert found.total == len(found) == 18
            (found,) = engine.nearest(vectors[7:8], 1, Compare("id", "in", ("a", "id12")))
            assert (found.ids, found.parts, found.total) == (("a",), (7,), 2)
            engine.compact()


# ------------------------------------------------------------------ compaction


def test_compaction_while_another_process_reads(
    folder: Path, opened: Callable[..., EmbeddedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "COMPACT_ROWS", 10)
    writer, reader = opened(folder), opened(folder)
    writer.put(*batch(0, 60))
    for _ in range(3):
        writer.put(*batch(0, 40))
    assert search(reader, vector_of(7)[None], 1)[0][0].record.id == "id7"
    export = reader.export(batch=16)
    exported = [next(export)]
    (old,) = folder.glob("vectors-*.f16")
    writer.close()
    (new,) = folder.glob("vectors-*.f16")
    assert new != old
    assert new.stat().st_size == 60 * DIM * 2
    exported += list(export)  # of the old generation, though its file is gone
    vectors = np.concatenate([rows for _, rows in exported])
    np.testing.assert_array_equal(vectors, batch(0, 60)[1].astype(np.float16))
    assert search(reader, vector_of(7)[None], 1)[0][0].record.id == "id7"
    assert assert_whole(reader, 60) == 60
    with open_embedded(folder) as writer:
        writer.put(*batch(60, 5))
    assert assert_whole(reader, 65) == 65


def test_a_few_dead_rows_are_kept(folder: Path) -> None:
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put(*batch(0, 60))
        engine.put(*batch(0, 40))
    (path,) = folder.glob("vectors-*.f16")
    assert path.stat().st_size == 100 * DIM * 2
    with open_embedded(folder) as engine:
        engine.compact()
        assert assert_whole(engine, 60) == 60
    (path,) = folder.glob("vectors-*.f16")
    assert path.stat().st_size == 60 * DIM * 2


# ------------------------------------------------------------------ the codes


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """A library of clustered vectors, the vectors, and queries out of their distribution."""
    folder = tmp_path_factory.mktemp("clustered") / "library"
    spread = Clustered(DIM, clusters=200, latent=32)
    vectors, queries = spread.images(20_000), spread.texts(40)
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        records = [Record(f"id{i}", f"r/{i}", width=1 + i % 1000) for i in range(len(vectors))]
        engine.put(records, vectors)
    return folder, vectors.astype(np.float16).astype(np.float32), queries


def recall(engine: EmbeddedEngine, vectors: Any, queries: Any, k: int, **options: Any) -> float:
    numbers = np.arange(len(vectors))
    if "where" in options:
        numbers = numbers[numbers % 1000 < options["where"].value - 1]
    hits = 0
    for query, found in zip(queries, search(engine, queries, k, **options), strict=True):
        best = numbers[np.argsort(-(vectors[numbers] @ query))[:k]]
        assert len(found) == k
        hits += len({f"id{i}" for i in best} & {match.record.id for match in found})
    return hits / (k * len(queries))


@pytest.mark.slow
@needs_turbovec
def test_recall_of_the_codes(
    clustered: tuple[Path, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, vectors, queries = clustered
    half, one_percent = Compare("width", "lt", 501), Compare("width", "lt", 11)
    with open_embedded(folder) as engine:
        assert recall(engine, vectors, queries, 10) == 1.0
        assert recall(engine, vectors, queries, 10, where=half) == 1.0
        assert not list(folder.glob("codes-*"))
    monkeypatch.setattr(indexes, "EXACT_ROWS", 1000)
    monkeypatch.setattr(candidates, "GATHER_ROWS", 1000)
    with open_embedded(folder) as engine:
        assert recall(engine, vectors, queries, 10) >= 0.995
        assert recall(engine, vectors, queries, 100) >= 0.985
        assert recall(engine, vectors, queries, 10, where=half) >= 0.995
        assert recall(engine, vectors, queries, 10, where=one_percent) == 1.0
    assert len(list(folder.glob("codes-*"))) == 1


@needs_turbovec
@pytest.mark.usefixtures("coded")
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(os.urandom(5000)),
        lambda path: path.write_bytes(path.read_bytes()[:-1000]),
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name(path.name.replace("-300-", "-200-"))),
        lambda path: path.rename(path.with_name("codes-0123456789ab-0-300-0123456789abcdef.tv")),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["empty", "noise", "cut", "gone", "other rows", "other generation", "folder"],
)
def test_a_damaged_cache_is_made_again(folder: Path, damage: Callable[[Path], Any]) -> None:
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put(*batch(0, 300))
    (path,) = folder.glob("codes-*")
    damage(path)
    with open_embedded(folder) as engine:
        for number in range(0, 300, 17):
            assert search(engine, vector_of(number)[None], 1)[0][0].record.id == f"id{number}"


@needs_turbovec
@pytest.mark.usefixtures("coded")
def test_a_cache_of_another_user_is_not_read_but_made_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put(*batch(0, 300))
    (theirs,) = folder.glob("codes-*")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another user"))
    monkeypatch.setattr(codes, "_WORTH_WRITING", 5)
    read: list[str] = []
    monkeypatch.setattr("turbovec.TurboQuantIndex.load", read.append)
    for _ in range(2):
        with open_embedded(folder) as engine:
            assert search(engine, vector_of(17)[None], 1)[0][0].record.id == "id17"
    assert read and str(theirs) not in read
    assert not theirs.exists()
    assert covered(folder) == [(0, 300)]


@pytest.fixture
def coded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small stores are coded, and searches wait for it."""
    monkeypatch.setattr(indexes, "EXACT_ROWS", 50)
    monkeypatch.setattr(indexes, "UNCODED_ROWS", 0)
    monkeypatch.setattr(indexes, "PATIENT_QUERIES", 0)


def covered(folder: Path) -> list[tuple[int, int]]:
    """The rows of each file of codes."""
    found = (path.stem.split("-") for path in folder.glob("codes-*.tv"))
    return sorted((int(start), int(stop)) for *_, start, stop, _ in found)


@needs_turbovec
@pytest.mark.usefixtures("coded")
def test_the_cache_is_topped_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put(*batch(0, 300))
    made = []
    code = codes._code
    monkeypatch.setattr(
        codes, "_code", lambda *args: (made.append((args[1], args[0].rows)), code(*args))[1]
    )
    with open_embedded(folder) as engine:
        engine.put(*batch(300, 20))
        engine.delete(["id5"])
        assert search(engine, vector_of(310)[None], 1)[0][0].record.id == "id310"
        assert search(engine, vector_of(5)[None], 1)[0][0].record.id != "id5"
    assert made == [(300, 320)]
    assert covered(folder) == [(0, 300)]
    monkeypatch.setattr(codes, "_WORTH_WRITING", 5)
    with open_embedded(folder) as engine:
        engine.put(*batch(320, 20))
    assert covered(folder) == [(0, 300), (300, 340)]
    with open_embedded(folder) as engine:
        assert search(engine, vector_of(5)[None], 1)[0][0].record.id != "id5"
        for number in (7, 299, 300, 310, 339):
            assert search(engine, vector_of(number)[None], 1)[0][0].record.id == f"id{number}"
    assert made == [(300, 320), (300, 340)]
    with open_embedded(folder) as engine:
        engine.put(*batch(340, 200))
    assert covered(folder) == [(0, 540)]


@needs_turbovec
def test_codes_of_many_writes_are_few(folder: Path) -> None:
    path = folder / "vectors"
    folder.mkdir()
    vectors = np.array([vector_of(i) for i in range(400)])
    codes_ = codes.Codes("0" * 12)
    for rows in (*range(100, 200, 7), 201, 390, 400):
        vectorfile.append(path, 0, vectors[:rows])
        codes_.update(VectorFile(path, rows, DIM))
        assert codes_.covered == rows
        segments = codes_._segments
        assert [one.stop for one in segments[:-1]] == [one.start for one in segments[1:]]
        assert all(a.rows >= 2 * b.rows for a, b in itertools.pairwise(segments))
        (found,) = codes_.search(vectors[:1], 400)
        np.testing.assert_array_equal(found, np.arange(rows))
        few = np.zeros(rows + 5, np.bool_)
        few[::3] = True
        (found,) = codes_.search(vectors[:1], 400, few[: rows - 5])
        np.testing.assert_array_equal(found, np.arange(0, rows - 5, 3))
    codes_.update(VectorFile(path, 300, DIM))  # of an older snapshot
    assert codes_.covered == 400
    stopped = codes.Codes("0" * 12)
    stopped.update(VectorFile(path, 400, DIM), lambda: False)
    assert stopped.covered == 0


@needs_turbovec
@pytest.mark.usefixtures("coded")
def test_dead_rows_that_crowd_round_a_query(
    folder: Path, opened: Callable[..., EmbeddedEngine]
) -> None:
    engine = opened(folder)
    rng = np.random.default_rng(0)
    near = vector_of(0) + 0.01 * rng.standard_normal((3000, DIM)).astype(np.float32)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    records, _ = batch(100_000, 3000)
    engine.put(*batch(0, 1000))
    engine.put(records, near)
    assert all(m.record.width > 100_000 for m in search(engine, vector_of(0)[None], 20)[0][1:])
    engine.delete(record.id for record in records)
    scores = np.array([vector_of(i) for i in range(1000)]) @ vector_of(0)
    best = [f"id{i}" for i in np.argsort(-scores)[:20]]
    assert [match.record.id for match in search(engine, vector_of(0)[None], 20)[0]] == best


@needs_turbovec
def test_rows_that_are_not_coded_yet_are_found(
    folder: Path, opened: Callable[..., EmbeddedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "EXACT_ROWS", 50)
    monkeypatch.setattr(indexes, "UNCODED_ROWS", 10)
    may_code = threading.Event()
    code = codes._code
    monkeypatch.setattr(codes, "_code", lambda *args: (may_code.wait(30), code(*args))[1])
    engine = opened(folder)
    wide = Compare("width", "gt", 100)

    def check(rows: int) -> None:
        for number in (0, 150, rows - 1):
            for where in (None, wide):
                (found,) = search(engine, vector_of(number)[None], 3, where)
                if number >= 100 or where is None:
                    assert found[0].record.id == f"id{number}"

    engine.put(*batch(0, 300))
    check(300)  # the first search scores all rows, the next ones while they are coded
    may_code.set()
    assert engine.indexes.coder is not None
    engine.indexes.coder.join()
    may_code.clear()
    engine.put(*batch(300, 5))
    check(305)
    engine.put(*batch(305, 100))
    check(405)
    assert engine.indexes.codes is not None
    assert engine.indexes.codes.covered == 300
    may_code.set()
    engine.indexes.coder.join()
    assert engine.indexes.codes.covered == 405
    check(405)


@needs_turbovec
def test_searching_while_another_process_writes(
    folder: Path, opened: Callable[..., EmbeddedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "EXACT_ROWS", 50)
    monkeypatch.setattr(indexes, "UNCODED_ROWS", 50)
    reader = opened(folder)
    reader.put(*batch(0, 200))
    code = """
    engine = open_embedded(folder)
    for i in range(200, 1200, 20):
        engine.put(*batch(i, 20))
        engine.put(*batch(i - 200, 10))
        engine.delete([f"id{i + 15}"])
        print(i, flush=True)
    """
    process = python(code, folder)
    assert process.stdout is not None
    for line in process.stdout:
        number = int(line)
        for each in (number, number - 200, number // 2 // 20 * 20):
            assert search(reader, vector_of(each)[None], 1)[0][0].record.id == f"id{each}"
        gone = search(reader, vector_of(number + 15)[None], 1, Compare("width", "gt", 100))
        assert gone[0][0].record.id != f"id{number + 15}"
    assert process.wait(60) == 0
    process.stdout.close()


@needs_turbovec
def test_many_queries_get_the_answers_of_single_ones(
    clustered: tuple[Path, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, queries = clustered
    where = Compare("width", "lt", 501)
    for exact_rows in (32_768, 1000):
        monkeypatch.setattr(indexes, "EXACT_ROWS", exact_rows)
        with open_embedded(folder) as engine:
            for filter_ in (None, where):
                together = search(engine, queries, 10, filter_)
                assert together == [search(engine, q[None], 10, filter_)[0] for q in queries]


@needs_turbovec
def test_vectors_that_are_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "EXACT_ROWS", 5)
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put(batch(0, 50)[0], np.repeat(vector_of(1)[None], 50, axis=0))
        assert len(search(engine, vector_of(1)[None], 10)[0]) == 10


def test_a_dimension_that_can_not_be_coded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "EXACT_ROWS", 5)
    vectors = np.eye(20, dtype=np.float32)
    with open_embedded(folder) as engine:
        engine.ensure(Space("b" * 64, 20, "odd-model"))
        engine.put(batch(0, 20)[0], vectors)
        assert search(engine, vectors[7:8], 1)[0][0].record.id == "id7"


def test_a_codec_that_can_not_be_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "EXACT_ROWS", 5)
    monkeypatch.setattr(codes, "available", lambda dim: True)
    monkeypatch.setitem(sys.modules, "turbovec", None)
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        engine.put(*batch(0, 20))
        assert search(engine, vector_of(7)[None], 1)[0][0].record.id == "id7"


# ------------------------------------------------------------------ opening


def test_opening_creates_no_files(folder: Path) -> None:
    with open_embedded(folder) as engine:
        assert engine.count() == 0
    assert not folder.exists()


@pytest.mark.slow
def test_known_of_100_000_records(folder: Path) -> None:
    with open_embedded(folder) as engine:
        engine.ensure(SPACE)
        records = [Record(f"id{i}", f"photos/{i % 100}/{i}.jpg") for i in range(100_000)]
        vectors = np.zeros((100_000, DIM), np.float32)
        vectors[:, 0] = 1
        engine.put(records, vectors)
        assert sum(1 for _ in engine.known()) == 100_000
        assert sum(1 for _ in engine.known("photos/7/")) == 1000


def test_open_engine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (folder, str(folder), f"embedded:{folder}"):
        with open_engine(name) as engine:
            assert isinstance(engine, EmbeddedEngine)
            engine.ensure(SPACE)
    assert (folder / "records.sqlite").is_file()
    with pytest.raises(ConfigError, match=r"(?i)unknown engine: postgrsql(.|\n)*'postgresql'"):
        open_engine("postgrsql://host/database")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"(?i)pixseek\[postgres\]"):
        open_engine("postgresql://host/database")


def test_importing_is_light() -> None:
    code = "import sys, pixseek.engines; print('numpy' in sys.modules, 'psycopg' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "False False\n"


# ------------------------------------------------------------------ the inverted file


@pytest.fixture
def lists_of_3000(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have so few rows be a very large store."""
    pytest.importorskip("faiss")
    monkeypatch.setattr(indexes, "IVF_ROWS", 3000)
    monkeypatch.setattr(indexes, "EXACT_ROWS", 1000)


def test_a_very_large_store_is_searched_by_an_inverted_file(
    tmp_path: Path, lists_of_3000: None
) -> None:
    spread = Clustered(64)
    vectors, queries = spread.images(6000), spread.texts(20)
    records = [Record(f"{n:016}", f"a/{n}.jpg", width=1 + n % 10) for n in range(6000)]
    with open_embedded(tmp_path) as engine:
        engine.ensure(Space("f" * 64, 64, "test"))
        engine.put(records[:5000], vectors[:5000])
    assert list(tmp_path.glob("ivf-*.faiss"))  # made when the writer closed
    assert not list(tmp_path.glob("codes-*"))
    with open_embedded(tmp_path) as engine:
        found = [{m.record.id for m in each} for each in search(engine, queries, 10)]
        assert engine.indexes.ivf is not None
        exact = [{f"{n:016}" for n in np.argsort(-(vectors[:5000] @ q))[:10]} for q in queries]
        assert np.mean([len(a & b) for a, b in zip(found, exact, strict=True)]) >= 9
        engine.put(records[5000:], vectors[5000:])  # not in it yet, but found
        engine.delete([records[0].id])
        best = search(engine, vectors[5500:5501], 1)[0][0]
        assert best.record.id == records[5500].id
        assert search(engine, vectors[:1], 1)[0][0].record.id != records[0].id
        few = search(engine, queries, 10, Compare("width", "eq", 3))
        assert all(m.record.width == 3 for each in few for m in each)
    for path in tmp_path.glob("ivf-*.faiss"):
        path.write_bytes(b"damaged")
    with open_embedded(tmp_path) as engine:
        assert search(engine, vectors[5500:5501], 1)[0][0].record.id == records[5500].id


def test_a_store_that_grows_large_replaces_its_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lists_of_3000: None
) -> None:
    vectors = Clustered(64).images(4000)
    records = [Record(f"{n:016}", f"a/{n}.jpg") for n in range(4000)]
    for rows in (slice(0, 2000), slice(2000, 4000)):
        with open_embedded(tmp_path) as engine:
            engine.ensure(Space("f" * 64, 64, "test"))
            engine.put(records[rows], vectors[rows])
        kinds = {path.name.split("-")[0] for path in tmp_path.glob("*-*.*")} - {"vectors"}
        assert kinds == ({"codes"} if rows.start == 0 else {"ivf"})
    # Where faiss can't be used, codes take over.
    monkeypatch.setattr(ivf, "build", _fails)
    for path in tmp_path.glob("ivf-*"):
        path.unlink()
    with open_embedded(tmp_path) as engine:
        engine.put(records[:1], vectors[:1])
    assert list(tmp_path.glob("codes-*")) and not list(tmp_path.glob("ivf-*"))
    with open_embedded(tmp_path) as engine:
        assert search(engine, vectors[7:8], 1)[0][0].record.id == records[7].id


def _fails(*_: object) -> None:
    raise RuntimeError("no such instruction")


def test_the_inverted_file_is_updated_while_it_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lists_of_3000: None
) -> None:
    monkeypatch.setattr(ivf, "WORTH_WRITING", 100)
    vectors = Clustered(64).images(4000)
    records = [Record(f"{n:016}", f"a/{n}.jpg") for n in range(4000)]
    with open_embedded(tmp_path) as engine:
        engine.ensure(Space("f" * 64, 64, "test"))
        engine.put(records[:3000], vectors[:3000])
    with open_embedded(tmp_path) as engine:
        search(engine, vectors[:1], 1)
        engine.put(records[3000:3050], vectors[3000:3050])
        assert search(engine, vectors[3040:3041], 1)[0][0].record.id == records[3040].id
        assert engine.indexes.lister is None, "too few to write it anew"
        engine.put(records[3050:], vectors[3050:])
        assert search(engine, vectors[3900:3901], 1)[0][0].record.id == records[3900].id
        assert engine.indexes.lister is not None
        engine.indexes.lister.join()
        assert engine.indexes.ivf is not None and engine.indexes.ivf.covered == 4000
        assert search(engine, vectors[3900:3901], 1)[0][0].record.id == records[3900].id
