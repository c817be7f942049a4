"""Tables and data sets in a library: indexed once, updated by row, shown and opened like files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pixseek
from pixseek.errors import SourceError

from tiny_encoder import TinyEncoder

COLOURS = ("red", "green", "blue", "white")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for number, colour in enumerate(COLOURS):
        path = tmp_path / "shop" / "img" / f"{colour}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24 + number, 16), colour).save(path)
    return tmp_path / "shop"


def write(shop: Path, rows: Sequence[dict[str, Any]]) -> Path:
    table = shop / "goods.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    return table


def goods(*colours: str) -> list[dict[str, Any]]:
    return [
        {"image": f"img/{colour}.png", "text": f"{colour} paint", "tags": ["paint", colour],
         "price": n + 1.5, "stock": n > 0, "since": f"2024-01-0{n + 1}"}
        for n, colour in enumerate(colours)
    ]  # fmt: skip


def test_rows_are_updated_one_by_one_and_what_users_say_stays(
    shop: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    table = write(shop, goods(*COLOURS[:3]))
    with pixseek.open(tmp_path / "l") as library:
        assert library.index(table).added == 3
        assert tiny.embedded == 3
        (root,) = library.roots()
        assert (root.name, root.kind, root.where) == ("goods", "table", str(table))
        found = library.search("fields.price:>2 fields.stock:true", k=9)
        assert {hit.uri for hit in found} == {"goods/img/green.png", "goods/img/blue.png"}
        assert [hit.uri for hit in library.search("tag:red fields.since:<2024-06-01")] == [
            "goods/img/red.png"
        ]
        record = library.find("goods/img/red.png")
        assert record is not None
        assert (record.caption, record.tags) == ("red paint", ("paint", "red"))
        assert library.locate(record) == shop / "img" / "red.png"
        for named in (shop / "img" / "red.png", table / "img" / "red.png"):
            assert library.find(named) == record
        assert library.find(shop / "img" / "white.png") is None
        assert library.original(record) == (shop / "img" / "red.png").read_bytes()
        library.tag([record.id], add=["mine"], rating=5)

    rows = goods(*COLOURS[:3])
    rows[0]["price"] = 99.5
    with pixseek.open(tmp_path / "l") as library:
        assert library.index().unchanged == 3
        write(shop, [*rows[:2], *goods(*COLOURS)[3:]])
        report = library.index()
        assert (report.added, report.updated, report.unchanged, report.removed) == (1, 1, 1, 1)
        assert tiny.embedded == 4  # the new picture alone
        record = library.find("goods/img/red.png")
        assert record is not None and record.fields["price"] == 99.5
        assert [hit.uri for hit in library.search("tag:mine rating:5")] == ["goods/img/red.png"]
        assert library.find("goods/img/blue.png") is None


def test_a_run_that_was_stopped_goes_on(shop: Path, tmp_path: Path, tiny: TinyEncoder) -> None:
    table = write(shop, goods(*COLOURS))
    stop = threading.Event()
    with pixseek.open(tmp_path / "l") as library:
        report = library.index(table, stop=stop, on_progress=lambda progress: stop.set())
        assert report.stopped
    with pixseek.open(tmp_path / "l") as library:
        report = library.index(table)
        assert report.added + report.unchanged == 4
        assert len(library) == 4
    assert tiny.embedded == 4


def test_failures_of_rows_end_nothing_and_a_table_that_is_away_removes_nothing(
    shop: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    table = write(shop, [*goods("red"), {"image": "img/gone.png"}, {"text": "none"}])
    with pixseek.open(tmp_path / "l") as library:
        report = library.index(table)
        assert report.added == 1
        assert {(each.uri, each.reason) for each in report.failures} == {
            ("goods/img/gone.png", "missing"), ("goods/row-3", "missing"),
        }  # fmt: skip
        table.rename(shop / "away")
        with pytest.raises(SourceError):
            library.index()
        assert len(library) == 1
        (shop / "away").rename(table)
        (shop / "img").rename(shop / "other")
        assert library.index().added == 0
        assert len(library) == 1


def test_columns_and_the_folder_of_images_are_remembered_if_they_are_right(
    shop: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    table = tmp_path / "lists" / "goods.csv"
    table.parent.mkdir()
    table.write_text("nr,where,what\n1,red.png,a wall\n2,blue.png,a pool\n")
    columns = {"image": "where", "caption": "what", "id": "nr"}
    with pixseek.open(tmp_path / "l") as library:
        with pytest.raises(SourceError, match="'wher'"):
            library.index(table, columns={"image": "wher"})
        assert library.roots() == []
        assert library.index(table, columns=columns, images=shop / "img").added == 2
        assert library.index().unchanged == 2
        (root,) = library.roots()
        assert root.options == {"columns": columns, "images": str(shop / "img")}
        record = library.find("goods/2")
        assert record is not None and record.caption == "a pool"
        assert library.original(record) == (shop / "img" / "blue.png").read_bytes()
        (shop / "img" / "1").write_bytes(b"its path reads like an id")
        assert library.find(shop / "img" / "1") is None


def test_a_data_set_is_recognised_or_named_and_a_folder_if_asked(
    shop: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    (shop / "captions.txt").write_text("image,caption\nred.png,a wall\nred.png,paint\n")
    with pixseek.open(tmp_path / "l") as library:
        assert library.index(shop).added == 1
        (root,) = library.roots()
        assert (root.kind, root.options) == ("dataset", {"as": "captions"})
        record = library.find("shop/img/red.png")
        assert record is not None and record.caption == "a wall\npaint"
    with pixseek.open(tmp_path / "m") as library:
        assert library.index(shop, read_as="folder").added == 4
        assert library.index(shop).unchanged == 4  # it stays what it was
        with pytest.raises(SourceError, match="Unknown kind of source") as caught:
            library.index(shop, read_as="cocoa")
        assert "Did you mean 'coco'" in caught.value.advice
        for kind in ("table", "archive"):
            with pytest.raises(SourceError, match=f"can't be read as an? {kind}"):
                library.index(shop, read_as=kind)


def test_pictures_in_parquet_are_opened_from_there(
    shop: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    contents = [(shop / "img" / f"{colour}.png").read_bytes() for colour in COLOURS]
    rows = [
        {"image": {"bytes": content, "path": None}, "n": n} for n, content in enumerate(contents)
    ]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), shop / "t.parquet", row_group_size=2)
    with pixseek.open(tmp_path / "l") as library:
        assert library.index(shop / "t.parquet").added == 4
    with pixseek.open(tmp_path / "l") as library:
        for n, content in enumerate(contents):
            record = library.find(f"t/{n}")
            assert record is not None and record.fields["n"] == n
            assert library.locate(record) is None
            assert library.original(record) == content
        assert library.index().unchanged == 4
    assert tiny.embedded == 4


def test_a_table_without_images_among_photos_is_a_failure_alone_an_error(
    shop: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    notes = shop / "notes.csv"
    notes.write_text("day,sold\nMonday,3\n")
    with pixseek.open(tmp_path / "l") as library:
        with pytest.raises(SourceError, match="No column of images"):
            library.index(notes)
        report = library.index(notes, shop / "img")
        assert (report.added, [each.reason for each in report.failures]) == (4, ["not-an-image"])
        assert [root.name for root in library.roots()] == ["img"]


def test_a_broken_table_or_data_set_stops_no_run_over_other_roots(
    shop: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    table = shop / "goods.csv"
    table.write_text("file,caption\nimg/red.png,a wall\n")
    data = tmp_path / "data"
    data.mkdir()
    Image.new("RGB", (8, 8), "pink").save(data / "1.jpg")
    (data / "captions.txt").write_text("image,caption\n1.jpg,pink\n")
    with pixseek.open(tmp_path / "l") as library:
        assert library.index(table, data, shop / "img").added == 6
        table.write_text("file,caption\n")
        (data / "captions.txt").unlink()
        Image.new("RGB", (9, 9), "black").save(shop / "img" / "black.png")
        report = library.index()
        assert (report.added, report.removed) == (1, 0)
        assert {each.uri: each.reason for each in report.failures} == {
            "goods/": "unreadable", "data/": "unreadable",
        }  # fmt: skip
        with pytest.raises(SourceError, match="no rows"):
            library.index(table)
        table.write_text("file,caption\nimg/red.png,a wall\n")
        (data / "captions.txt").write_text("image,caption\n1.jpg,pink\n")
        assert (library.index().failures, library.failures()) == ((), [])


def test_a_run_over_a_table_and_a_data_set_that_is_killed_goes_on(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    for folder in ("shop", "set"):
        (tmp_path / folder / "img").mkdir(parents=True)
        for n in range(15):
            shade = f"#{n:02x}{len(folder):02x}00"
            Image.new("RGB", (24, 16), shade).save(tmp_path / folder / "img" / f"{n}.png")
    table = write(tmp_path / "shop", [{"image": f"img/{n}.png", "n": n} for n in range(15)])
    lines = [f"{n}.png,number {n}" for n in range(15)]
    (tmp_path / "set" / "captions.txt").write_text("\n".join(["image,caption", *lines]))
    dying = f"""
import os, pixseek, pixseek.encoders
from pixseek.indexing import pipeline
from tiny_encoder import TinyEncoder
pipeline.CHECKPOINT_S = 0.0
pixseek.encoders.load = lambda *_, **__: TinyEncoder()
def die(progress):
    if progress.stage == "index" and progress.done >= 10:
        os._exit(9)
with pixseek.open({str(tmp_path / "l")!r}) as library:
    library.index({str(table)!r}, {str(tmp_path / "set")!r}, on_progress=die)
"""
    done = subprocess.run(
        [sys.executable, "-c", dying], check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 9, done.stderr
    with pixseek.open(tmp_path / "l") as library:
        held = len(library)
        assert 0 < held < 30
        report = library.index()
        assert (report.unchanged, report.added, report.failures) == (held, 30 - held, ())
        record = library.find("set/img/3.png")
        assert record is not None and record.caption == "number 3"
