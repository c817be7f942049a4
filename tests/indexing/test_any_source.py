"""Indexing from a source of another kind: a table of pictures with versions and columns."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from pixseek.engines import open_engine
from pixseek.indexing import pipeline
from pixseek.indexing.comparing import Comparison
from pixseek.indexing.options import IndexOptions
from pixseek.storage.ledger import Ledger
from pixseek.types import Candidate, Engine, Failure, Item, Report, Scalar, Source, Stamp

from tiny_encoder import TinyEncoder


@dataclass
class Row:
    colour: str
    version: str
    modified_s: int = 1_600_000_000
    fields: dict[str, Scalar] = field(default_factory=dict)


@dataclass
class Table:
    """A source whose items are rows: each has a version, and no file's stamp."""

    rows: dict[str, Row]
    prefixes: tuple[str, ...] = ("table/",)
    folder: Path | None = None  # to give content as a path
    read_names: list[str] = field(default_factory=list)

    def covers(self, uri: str) -> bool:
        return uri.startswith("table/")

    def scan(self) -> Iterator[Candidate | Failure | int]:
        for number, (name, row) in enumerate(self.rows.items()):
            modified_ns = row.modified_s * 1_000_000_000
            yield Candidate(
                f"table/{name}", Stamp(0, modified_ns), modified_ns, version=row.version
            )
            yield number + 1

    def read(self, candidate: Candidate) -> Item:
        name = candidate.uri.removeprefix("table/")
        self.read_names.append(name)
        row = self.rows[name]
        buffer = io.BytesIO()
        Image.new("RGB", (32, 24), row.colour).save(buffer, "PNG")
        if self.folder is None:
            return Item(buffer.getvalue(), fields=row.fields)
        path = self.folder / name
        path.write_bytes(buffer.getvalue())
        return Item(path, fields=row.fields)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with open_engine(tmp_path / "index") as opened:
        yield opened


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path)
    yield opened
    opened.close()


def index(source: Source, engine: Engine, ledger: Ledger, encoder: TinyEncoder) -> Report:
    run = pipeline.index(
        [source],
        engine=engine,
        encoder=lambda: encoder,
        ledger=ledger,
        previews=None,
        is_there=lambda _: True,
        threads=2,
        options=IndexOptions(),
    )
    while True:
        try:
            next(run)
        except StopIteration as end:
            return end.value


def test_equal_versions_are_unchanged_and_others_are_read_again(
    engine: Engine, ledger: Ledger
) -> None:
    encoder = TinyEncoder()
    table = Table({f"{n}.png": Row("red", f'W/"etag-{n}"') for n in range(5)})
    assert index(table, engine, ledger, encoder).added == 5
    assert index(table, engine, ledger, encoder).unchanged == 5
    # An equal version counts, and not that the store wrote the item again.
    table.rows["1.png"].modified_s += 3600
    assert index(table, engine, ledger, encoder).unchanged == 5
    # Another version counts, though size and time are the same.
    table.rows["2.png"].version, table.rows["2.png"].colour = 'W/"new"', "blue"
    table.read_names.clear()
    report = index(table, engine, ledger, encoder)
    assert (report.updated, report.unchanged) == (1, 4)
    assert table.read_names == ["2.png"]
    # The time stays that of the item, to the second.
    stamps = [known.stamp for known in engine.known()]
    assert {s.mtime_ns // 1_000_000_000 for s in stamps if s} == {1_600_000_000}


def test_rows_with_the_same_version_do_not_count_as_moved(engine: Engine, ledger: Ledger) -> None:
    encoder = TinyEncoder()
    table = Table({"a/1.png": Row("red", "1")})
    index(table, engine, ledger, encoder)
    table.rows = {"b/1.png": Row("blue", "1")}  # the first row of another table
    report = index(table, engine, ledger, encoder)
    assert (report.moved, report.added, report.removed) == (0, 1, 1)
    assert encoder.embedded == 2


def test_columns_are_merged_like_a_sidecar_and_others_become_fields(
    engine: Engine, ledger: Ledger
) -> None:
    columns: dict[str, Scalar] = {
        "caption": "a red wall",
        "tags": "wall, red",
        "rating": 4,
        "latitude": 48.5,
        "price": 12.5,
        "listed": datetime(2024, 5, 1),
        "user.title": "nobody said this",
    }
    table = Table({"1.png": Row("red", "1", fields=columns)})
    index(table, engine, ledger, TinyEncoder())
    (record,) = [r for records, _ in engine.export() for r in records]
    assert (record.caption, record.tags) == ("a red wall", ("wall", "red"))
    assert record.fields["rating"] == 4
    assert record.fields["latitude"] == 48.5
    assert record.fields["price"] == 12.5
    assert record.fields["listed"] == datetime(2024, 5, 1)
    assert "user.title" not in record.fields


def test_content_may_be_a_path(engine: Engine, ledger: Ledger, tmp_path: Path) -> None:
    table = Table({"1.png": Row("red", "1")}, folder=tmp_path)
    assert index(table, engine, ledger, TinyEncoder()).added == 1
    (known,) = engine.known()
    assert known.digest == hashlib.sha256((tmp_path / "1.png").read_bytes()).hexdigest()


def test_a_run_holds_nothing_of_unchanged_files(engine: Engine, ledger: Ledger) -> None:
    table = Table({f"{n}.png": Row("red", "1") for n in range(50)})
    index(table, engine, ledger, TinyEncoder())
    comparison = Comparison(engine, ledger, (), lambda _: True, IndexOptions())
    scan = comparison.take(table)
    next(scan)
    live = 0
    for _ in scan:
        live = max(live, len(comparison.jobs) + len(comparison.missing))
    assert live == 0
    assert comparison.counts["unchanged"] == 50
