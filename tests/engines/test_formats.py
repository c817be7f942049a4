"""Libraries of older formats of the embedded engine are brought up to date, whatever interrupts."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections import namedtuple
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import by_words
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pixseek
from pixseek import filters
from pixseek.engines import columns
from pixseek.engines.embedded import (
    EmbeddedEngine,
    catalog,
    fulltext,
    open_embedded,
    reading,
    upgrade,
    vectorfile,
)
from pixseek.errors import LibraryFormatError, StorageError
from pixseek.types import Compare, Filter, Part, Record, Space, Stamp

from drawn_filters import FILTERS, drawn_records
from vectors import DIM, SPACE, random_unit

FIELDS = ("folder", "year", "camera", "tag", "colour", "format")


def write_older(folder: Path, version: int, records: Sequence[Record], vectors: Any) -> None:
    """Write a library as the pixseek of an older format did."""
    folder.mkdir(parents=True)
    generation = "0" * 12
    vectorfile.append(folder / f"vectors-{generation}.f16", 0, vectors)
    with contextlib.closing(sqlite3.connect(folder / "records.sqlite")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.create_function("packed", 1, reading.packed)
        for step in catalog.MIGRATIONS[:version]:
            for statement in step.split(";"):
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {catalog.APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {version}")
        counts = [len(records), sum(bool(each.parts) for each in records)][: max(0, version - 2)]
        space = (1, SPACE.fingerprint, SPACE.dim, SPACE.model, 1, generation, len(vectors))
        _insert(db, "space", (*space, *counts))
        row = 0
        for number, record in enumerate(records, 1):
            fields = columns.to_columns(record).fields
            if record.away:
                marked = {**json.loads(fields or "{}"), columns.AWAY_FIELD: True}
                fields = json.dumps(marked, ensure_ascii=False, separators=(",", ":"))
            old = columns.to_columns(record)._replace(fields=fields)[:12]
            if version >= 2 and record.digest:
                old = (*old[:4], reading.packed(record.digest), *old[5:])
            _insert(db, "record", (number, *old))
            if version >= 3:
                _insert(db, "words", ("outdated", "words"), "rowid, strong, weak", (number,))
            for ordinal, part in enumerate(record.parts):
                own = (1, row, number, ordinal, columns.part_to_json(part))
                _insert(db, "part", (*own, record.id) if version >= 3 else own)
                row += 1
        if any(record.away for record in records):
            mark = columns.AWAY_MARK
            db.execute(f"CREATE INDEX record_away ON record (id) WHERE instr(fields, '{mark}') > 0")
        _insert(db, "dead", (1, -1, 0))  # the first row's record was described once
        db.commit()


def _insert(
    db: sqlite3.Connection, table: str, values: Any, names: str = "", first: Any = ()
) -> None:
    values = (*first, *values)
    into = f"{table} ({names})" if names else table
    db.execute(f"INSERT INTO {into} VALUES ({', '.join('?' * len(values))})", values)


def some_records(n: int) -> tuple[list[Record], Any]:
    """Return records with everything that an upgrade must keep, and their vectors."""
    draw = random.Random(7)
    records = [
        Record(
            f"id{i:04}",
            f"photos/{i % 5}/Beach{i:04}.jpg",
            Stamp(i, 10**18 + i),
            f"{i:064x}" if i % 3 else "",
            "image/jpeg",
            10 + i,
            20,
            datetime(2000 + i % 7, 1, 1) if i % 4 else None,
            draw.choice(["", "two dogs on a beach", "a cat"]),
            tuple(draw.sample(["dog", "Lake", "naïve", "a,b"], i % 3)),
            {"camera_make": "Canon", "camera_model": f"M{i % 3}"} if i % 2 else {},
            parts=() if i % 11 == 5 else (Part(), Part("tile", (0, 0, 0.5, 0.5)))[: 1 + i % 2],
            away=i % 11 == 5,
        )
        for i in range(n)
    ]
    return records, random_unit(sum(len(each.parts) for each in records))


def answers(engine: EmbeddedEngine, records: Sequence[Record], wheres: Sequence[Filter]) -> Any:
    """Return what an engine answers to every kind of question."""
    ids = [record.id for record in records]
    query = random_unit(1, seed=5)
    away = Compare("away", "eq", True)
    asked: list[Any] = [
        engine.get(ids),
        [each.tolist() for each in engine.vectors(ids) if each is not None],
        list(engine.known()),
        engine.with_digests([each.digest for each in records]),
        (engine.count(), engine.count(away), engine.held(SPACE), engine.space),
        [(r, v.tolist()) for rs, vs in engine.export() for r, v in [(rs, vs)]],
        engine.facets(None, FIELDS, 99),
        engine.sample(5).tolist(),
    ]
    asked += [engine.find_words(text, 50) for text in ("dog", "naive beach", "cat", "outdated")]
    for where in (None, *wheres):
        for _ in range(2):
            (near,) = engine.nearest(query, 50, where)
            asked.append((near.ids, near.parts, near.scores.tolist(), near.total))
        asked.append(engine.count(where))
        asked.append(sorted(engine.matching_ids(where)))
        asked.append(engine.find_words("dog beach", 20, where))
        asked.append(engine.facets(where, FIELDS, 99))
        asked.append(engine.select(where, order="uri", descending=False, k=9, offset=1))
        asked.append(engine.select(where, order="taken_at", descending=True, k=9, offset=1))
    return asked


def new_library(folder: Path, records: Sequence[Record], vectors: Any) -> EmbeddedEngine:
    engine = open_embedded(folder)
    engine.ensure(SPACE)
    engine.put(records, vectors)
    return engine


WHERES: list[Filter] = [
    Compare("fields.camera_model", "eq", "M1"),
    Compare("tags", "contains", "LAKE"),
    Compare("folder", "glob", "3*"),
    Compare("taken_at", "ge", datetime(2003, 1, 1)),
    Compare("media", "exists"),
]


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_library_of_each_format_answers_as_a_new_one(tmp_path: Path, version: int) -> None:
    records, vectors = some_records(60)
    write_older(tmp_path / "old", version, records, vectors)
    with pytest.raises(LibraryFormatError, match=r"(?i)older format"):
        open_embedded(tmp_path / "old", read_only=True)
    with new_library(tmp_path / "new", records, vectors) as new:
        expected = answers(new, records, WHERES)
    for read_only in (False, True):
        with open_embedded(tmp_path / "old", read_only=read_only) as old:
            assert answers(old, records, WHERES) == expected
    with open_embedded(tmp_path / "old") as old:
        old.put(records[:1], vectors[: len(records[0].parts)])
        assert old.describe([replace(each, tags=("fresh",)) for each in records]) == len(records)
        assert old.count(Compare("tags", "contains", "fresh")) == old.count()
        assert by_words(old, "lake", 9) == []
        assert old.delete(each.id for each in records) == len(records)
        assert old.facets(None, FIELDS, 9) == {field: {} for field in FIELDS}


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    records=drawn_records(),
    wheres=st.lists(FILTERS, min_size=3, max_size=3),
    version=st.integers(1, 4),
)
def test_any_records_are_upgraded(
    tmp_path: Path, records: list[Record], wheres: list[Filter], version: int
) -> None:
    records = [replace(r, parts=(), away=True) if n % 5 == 2 else r for n, r in enumerate(records)]
    vectors = random_unit(sum(len(each.parts) for each in records))
    for name in ("old", "new"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    write_older(tmp_path / "old", version, records, vectors)
    with (
        new_library(tmp_path / "new", records, vectors) as new,
        open_embedded(tmp_path / "old") as old,
    ):
        # As text, since a NaN is not equal to itself.
        assert repr(answers(old, records, wheres)) == repr(answers(new, records, wheres))
        for where in wheres:
            expected = {r.id for r in records if not r.away and filters.matches(where, r)}
            assert set(old.matching_ids(where)) - {r.id for r in records if r.away} == expected


# ------------------------------------------------------------------ interruptions

PRELUDE = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_formats import *
folder = Path({folder!r})
upgrade.BATCH = 7
"""


def python(code: str, folder: Path) -> subprocess.Popen[str]:
    prelude = PRELUDE.format(tests=str(Path(__file__).parent), folder=str(folder))
    return subprocess.Popen(
        [sys.executable, "-c", prelude + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def batches_of(folder: Path) -> tuple[int, int]:
    """Return how many records are indexed, and how many are not."""
    with contextlib.closing(sqlite3.connect(folder / "records.sqlite")) as db:
        (indexed,) = db.execute("SELECT count(*) FROM facet").fetchone()
        (records,) = db.execute("SELECT count(*) FROM record").fetchone()
    return indexed, records - indexed


@pytest.mark.slow
def test_an_upgrade_that_is_killed_at_every_batch_goes_on(tmp_path: Path) -> None:
    records, vectors = some_records(40)
    old = tmp_path / "old"
    write_older(old, 4, records, vectors)
    dying = {
        "after each batch": """
            open_embedded(folder, progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        """,
        "within each batch": """
            def die(db, numbered):
                fulltext_add(db, numbered)
                if len(numbered) and seen.append(1) is None and len(seen) > 1:
                    os.kill(os.getpid(), signal.SIGKILL)
            seen, fulltext_add = [], fulltext.add
            fulltext.add = die
            open_embedded(folder)
        """,
    }
    steps = []
    for turn in range(10):
        process = python(dying[[*dying][turn % 2]], old)
        _, err = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, err
        steps.append(batches_of(old)[0])
        with pytest.raises(LibraryFormatError, match=r"(?i)older format"):
            open_embedded(old, read_only=True)
    assert steps == [7, 14, 21, 28, 35, 40][: len(steps)]
    assert len(steps) >= 5
    with new_library(tmp_path / "new", records, vectors) as new, open_embedded(old) as upgraded:
        assert answers(upgraded, records, WHERES) == answers(new, records, WHERES)


def test_two_processes_upgrade_together(tmp_path: Path) -> None:
    records, vectors = some_records(400)
    old = tmp_path / "old"
    write_older(old, 4, records, vectors)
    code = """
        seen = []
        with open_embedded(folder, progress=lambda done, total: seen.append((done, total))) as it:
            print(it.count(), seen == sorted(seen), {total for _, total in seen} <= {400})
    """
    processes = [python(code, old) for _ in range(3)]
    present = sum(not each.away for each in records)
    for each in processes:
        out, err = each.communicate(timeout=60)
        assert out.split() == [str(present), "True", "True"], err
    with new_library(tmp_path / "new", records, vectors) as new, open_embedded(old) as upgraded:
        assert answers(upgraded, records, WHERES) == answers(new, records, WHERES)


def test_an_older_pixseek_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first batch on: at its next open, and at its next write if it has it open."""
    records, vectors = some_records(20)
    old = tmp_path / "old"
    write_older(old, 4, records, vectors)
    running = sqlite3.connect(old / "records.sqlite", isolation_level=None)
    assert running.execute("SELECT count(*) FROM words").fetchone() == (20,)
    monkeypatch.setattr(upgrade, "BATCH", 7)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_embedded(old, progress=interrupt)
    assert batches_of(old) == (7, 13)
    with pytest.raises(sqlite3.OperationalError, match="no such table: words"):
        running.execute("INSERT INTO words (rowid, strong, weak) VALUES (99, '', '')")
    running.close()
    with monkeypatch.context() as older:
        older.setattr(catalog, "MIGRATIONS", catalog.MIGRATIONS[:4])
        with pytest.raises(LibraryFormatError, match=r"(?i)newer pixseek \(format 5"):
            open_embedded(old)
    seen: list[tuple[int, int]] = []
    with open_embedded(old, progress=lambda *each: seen.append(each)) as engine:
        assert engine.count() == sum(not each.away for each in records)
    assert seen == [(14, 20), (20, 20)]


def test_a_full_disk_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, vectors = some_records(20)
    write_older(tmp_path / "old", 4, records, vectors)
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 3_000))
        with pytest.raises(StorageError, match=r"(?i)not enough room.*\n?.*0 MB are free"):
            open_embedded(tmp_path / "old")
    with contextlib.closing(sqlite3.connect(tmp_path / "old" / "records.sqlite")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (4,)
    with open_embedded(tmp_path / "old") as engine:
        assert engine.get([each.id for each in records]) == records


def test_a_change_of_what_is_indexed_needs_no_new_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "library"
    records, vectors = some_records(20)
    with new_library(folder, records, vectors) as engine:
        assert by_words(engine, "extra", 20) == []
    with monkeypatch.context() as newer:
        words, texts, number = fulltext.WORDS, columns.texts, columns.INDEXED + 1
        table = fulltext.TABLE.replace(words, f"words_{number}")
        newer.setattr(columns, "INDEXED", number)
        newer.setattr(fulltext, "TABLE", table)
        newer.setattr(fulltext, "WORDS", f"words_{number}")
        joined = fulltext._RECORD.replace(words, f"words_{number}")
        newer.setattr(fulltext, "_RECORD", joined)
        newer.setattr(
            columns, "texts", lambda record: texts(record)._replace(weak="extra " + record.id)
        )
        with open_embedded(folder) as engine:
            assert len(by_words(engine, "extra", 99)) == engine.count()
            assert by_words(engine, "beach0001", 9) == []
            engine.describe([replace(records[0], caption="new")])
            assert [id_ for id_, _ in by_words(engine, "new", 9)] == ["id0000"]
    with pytest.raises(LibraryFormatError, match=rf"(?i)newer pixseek \(index {number}"):
        open_embedded(folder)


def test_opening_a_library_of_today_indexes_nothing(tmp_path: Path) -> None:
    records, vectors = some_records(20)
    new_library(tmp_path / "library", records, vectors).close()

    def fail(done: int, total: int) -> None:
        raise AssertionError

    with open_embedded(tmp_path / "library", progress=fail) as engine:
        assert engine.get([each.id for each in records]) == records
        assert engine.space == Space(SPACE.fingerprint, DIM, SPACE.model)


@pytest.mark.parametrize("digest", ["ab" * 32, "0" * 64, "AB" * 32, "ab", ""])
def test_digests_of_the_first_format_are_packed(tmp_path: Path, digest: str) -> None:
    record = Record("a", "r/a", digest=digest)
    write_older(tmp_path / "old", 1, [record], np.eye(1, DIM, dtype=np.float32))
    for _ in range(2):
        with open_embedded(tmp_path / "old") as engine:
            assert engine.get(["a"]) == [record]
            for op in ("eq", "ne", "lt", "ge", "in", "glob", "exists"):
                value = None if op == "exists" else ("ab" * 32,) if op == "in" else "ab" * 32
                where = Compare("digest", op, value)  # type: ignore[arg-type]
                assert engine.count(where) == filters.matches(where, record)
    with contextlib.closing(sqlite3.connect(tmp_path / "old" / "records.sqlite")) as db:
        kind = "null" if not digest else "blob" if digest in ("ab" * 32, "0" * 64) else "text"
        assert db.execute("SELECT typeof(digest) FROM record").fetchone() == (kind,)


# ------------------------------------------------------------------ libraries


@pytest.fixture
def older_library(tmp_path: Path) -> tuple[Path, list[Record]]:
    """A library whose index is of format 4, and its records."""
    path = tmp_path / "photos.lib"
    pixseek.open(path, model="demo").close()
    records, vectors = some_records(20)
    shutil.rmtree(path / "index", ignore_errors=True)
    write_older(path / "index", 4, records, vectors)
    return path, records


def test_opening_an_older_library_calls_back(
    older_library: tuple[Path, list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, records = older_library
    monkeypatch.setattr(upgrade, "BATCH", 8)
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        with pixseek.open(path, on_upgrade=lambda *each: seen.append(each)) as library:
            assert library.get(records[3].id) == records[3]
        assert seen == [(8, 20), (16, 20), (20, 20)]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_line_shows_an_upgrade(
    older_library: tuple[Path, list[Record]], options: list[str]
) -> None:
    path, records = older_library
    present = sum(not each.away for each in records)
    for n in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "pixseek", "status", "--library", str(path), *options],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        shown = "Upgrading the library: 20 of 20 records" in done.stderr
        assert shown == (n == 0 and not options), done.stderr
        assert f"{present}" in done.stdout


__all__ = ["EmbeddedEngine", "fulltext", "open_embedded", "os", "signal", "upgrade"]
