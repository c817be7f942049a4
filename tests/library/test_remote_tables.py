"""Tables in buckets: rows that name files there, URLs or pictures; read, compared and opened."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pixseek
from pixseek.errors import SourceError, SourceVanishedError
from pixseek.library import surfaces
from pixseek.library.recognising import outlook
from pixseek.sources import remote_files
from pixseek.sources.rows import opened
from pixseek.types import Candidate, Root

from tiny_encoder import TinyEncoder

pytest.importorskip("fsspec")

from file_servers import Bucket, Memory, memory_files, s3, web

COLOURS = ("red", "green", "blue")


def picture(colour: str, width: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def noise(number: int) -> bytes:
    """Return 30 kB that no packing makes smaller."""
    pixels = np.random.default_rng(number).integers(0, 256, (100, 100, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def in_parquet(pictures: Sequence[bytes], group: int = 4) -> bytes:
    """Return a file of Parquet as Hugging Face writes them: bytes and path of each picture."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = [{"image": {"bytes": content, "path": f"{number}.png"}, "text": f"number {number}"}
            for number, content in enumerate(pictures)]  # fmt: skip
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer, row_group_size=group)
    return buffer.getvalue()


@pytest.fixture
def memory() -> Iterator[Memory]:
    with memory_files() as files:
        yield files


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    monkeypatch.setattr(remote_files, "BACKOFF_S", 0.01)
    with s3(monkeypatch) as found:
        yield found


def test_rows_name_files_next_to_their_table(
    tmp_path: Path, tiny: TinyEncoder, memory: Memory
) -> None:
    for colour in COLOURS:
        memory[f"/b/shop/img/{colour}.png"] = picture(colour)
    memory["/b/other.png"] = picture("white")
    rows = [
        {"image": "img/red.png", "text": "red paint", "price": 3.5},
        {"image": "memory://b/shop/img/green.png", "text": "green paint", "price": 4.5},
        {"image": "img/blue.png", "text": "blue paint", "price": 5.5},
        {"image": "../other.png", "text": "not in the folder"},
        {"image": "img/gone.png", "text": "not there"},
    ]
    memory["/b/shop/goods.jsonl"] = lines(rows)
    found = outlook("memory://b/shop/goods.jsonl")
    assert (found.kind, found.rows, found.images) == ("table", 5, 5)
    assert {each.column: each.becomes for each in found.columns}["price"] == "fields.price"
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index("memory://b/shop/goods.jsonl")
        assert report.added == 3
        assert {(each.uri, each.reason) for each in report.failures} == {
            ("goods/outside/other.png", "outside"), ("goods/img/gone.png", "missing"),
        }  # fmt: skip
        assert any(each.message == "There is no such file" for each in report.failures)
        (root,) = library.roots()
        assert (root.name, root.kind) == ("goods", "table")
        record = library.search("fields.price:>4 green", k=1)[0].record
        assert (record.uri, record.caption) == ("goods/img/green.png", "green paint")
        assert library.original(record) == picture("green")
        assert surfaces.container_of(library, record) == "memory://b/shop/goods.jsonl"
    rows[0]["price"] = 99.5
    memory["/b/shop/goods.jsonl"] = lines(rows[:3])
    memory["/b/shop/img/blue.png"] = picture("navy")
    with pixseek.open(tmp_path / "lib") as library:
        embedded = tiny.embedded
        report = library.index()
        assert (report.updated, report.unchanged, report.failures) == (2, 1, ())
        assert tiny.embedded == embedded + 1  # of red only the price changed
        # Without a run before, an original is opened without reading the table.
        record = library.find("goods/img/blue.png")
        assert library.original(record) == picture("navy")
        assert surfaces.is_there(library, record)
        del memory["/b/shop/goods.jsonl"]
        with pytest.raises(SourceVanishedError, match="nothing at this address"):
            library.index()
        assert len(library) == 3


@pytest.mark.slow
def test_a_folder_of_parquet_is_a_data_set(
    tmp_path: Path, tiny: TinyEncoder, memory: Memory
) -> None:
    memory["/hub/birds/README.md"] = b"# Birds"
    memory["/hub/birds/train-00000-of-00002.parquet"] = in_parquet([*map(picture, COLOURS)])
    memory["/hub/birds/train-00001-of-00002.parquet"] = in_parquet([picture("white")])
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index("memory://hub/birds/")
        assert (report.added, report.failures) == (4, ())
        (root,) = library.roots()
        assert (root.kind, root.where) == ("dataset", "memory://hub/birds")
        record = library.search("red", k=1)[0].record
        assert record.uri == "birds/train-00000-of-00002.parquet/0/0.png"
        assert record.caption == "number 0"
        assert surfaces.container_of(library, record) == "memory://hub/birds"
    with pixseek.open(tmp_path / "lib") as library:
        assert library.original(library.find(record.uri)) == picture("red")
        assert library.index("memory://hub/birds").unchanged == 4
        # A shard that changes lets the pictures of others be.
        more = in_parquet([picture("white"), picture("black")])
        memory["/hub/birds/train-00001-of-00002.parquet"] = more
        report = library.index()
        assert (report.unchanged, report.updated, report.added) == (3, 1, 1)
        memory["/hub/birds/train-00001-of-00002.parquet"] = b"PAR1 cut off"
        (failure,) = library.index().failures
        assert failure.reason == "damaged"
        assert "train-00001-of-00002.parquet" in failure.message
        assert len(library) == 5


def test_a_table_elsewhere_without_images_or_in_another_layout_makes_no_root(
    tmp_path: Path, tiny: TinyEncoder, memory: Memory
) -> None:
    memory["/b/prices.csv"] = b"what,price\npaint,3\n"
    memory["/b/red.png"] = picture("red")
    with pixseek.open(tmp_path / "lib") as library:
        with pytest.raises(SourceError, match="column"):
            library.index("memory://b/prices.csv")
        with pytest.raises(SourceError, match="this machine only"):
            library.index("memory://b", read_as="coco")
        with pytest.raises(SourceError, match="password or a key"):
            library.index("s3://KEY:SECRET@b/prices.csv")
        assert library.roots() == []
        assert library.index("memory://b", read_as="folder").added == 1


@pytest.mark.slow
def test_a_table_here_names_images_in_a_bucket(
    tmp_path: Path, tiny: TinyEncoder, memory: Memory
) -> None:
    for colour in COLOURS:
        memory[f"/b/img/{colour}.png"] = picture(colour)
    table = tmp_path / "goods.csv"
    table.write_text("image,text\nimg/red.png,red paint\nmemory://b/img/blue.png,blue paint\n")
    with pixseek.open(tmp_path / "lib") as library:
        assert library.index(table, images="memory://b/").added == 2
        assert library.index(table).unchanged == 2
        record = library.search("blue", k=1)[0].record
        assert library.original(record) == picture("blue")
    with pixseek.open(tmp_path / "lib", offline=True) as library:
        assert {each.reason for each in library.index(table).failures} == {"unreachable"}
        assert len(library) == 2


@pytest.mark.slow
def test_pictures_in_parquet_in_s3_are_fetched_once_and_opened_alone(
    tmp_path: Path, tiny: TinyEncoder, bucket: Bucket
) -> None:
    content = in_parquet([noise(number) for number in range(24)])
    bucket.put("data/train-00000-of-00001.parquet", content)
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index("s3://pictures")
        assert (report.added, report.failures) == (24, ())
        # Its last 64 kB say what is where; they are read by the look at the folder, too.
        assert len(content) <= bucket.count.sent < len(content) + (1 << 18)
        (root,) = library.roots()
        assert (root.name, root.kind) == ("pictures", "dataset")
        record = library.find("pictures/data/train-00000-of-00001.parquet/13/13.png")
        assert record is not None and record.caption == "number 13"
        bucket.count.clear()
        assert library.index().unchanged == 24
        assert bucket.count.sent < 0.25 * len(content)  # the captions and names
    with pixseek.open(tmp_path / "lib") as library:
        bucket.count.clear()
        assert library.original(record) == noise(13)
        assert bucket.count.sent < 0.3 * len(content)  # of its group of four, and the last 64 kB


@pytest.mark.slow
def test_rows_in_s3_name_urls_and_faults_of_the_table_remove_nothing(
    tmp_path: Path, tiny: TinyEncoder, bucket: Bucket
) -> None:
    pytest.importorskip("httpx")
    (tmp_path / "disk").mkdir()
    for colour in COLOURS:
        (tmp_path / "disk" / f"{colour}.png").write_bytes(picture(colour))
    with web(tmp_path / "disk") as (url, _):
        rows = [{"url": f"{url}/{colour}.png", "text": f"{colour} paint"} for colour in COLOURS]
        bucket.put("lists/goods.jsonl", lines(rows))
        with pixseek.open(tmp_path / "lib", allow_private=True) as library:
            report = library.index("s3://pictures/lists/goods.jsonl")
            assert (report.added, report.failures) == (3, ())
            record = library.search("red", k=1)[0].record
            assert record.fields["source_url"] == f"{url}/red.png"
        with pixseek.open(tmp_path / "lib", allow_private=True) as library:
            assert library.original(record) == picture("red")
            bucket.count.fail = lambda method, path: 403
            with pytest.raises(SourceVanishedError, match="may not be read"):
                library.index()
            bucket.count.fail = lambda method, path: 503 if method == "GET" else 0
            with pytest.raises(SourceError, match="can't be read"):
                library.index()
            assert len(library) == 3
            bucket.count.fail = lambda method, path: 0
            bucket.put("lists/goods.jsonl", lines(rows[:1]))
            assert library.index().removed == 2


@pytest.mark.slow
def test_a_run_over_rows_in_s3_that_was_killed_goes_on_where_it_was(
    tmp_path: Path, tiny: TinyEncoder, bucket: Bucket
) -> None:
    names = [f"{number:02}.png" for number in range(30)]
    for number, name in enumerate(names):
        bucket.put(f"many/{name}", picture("red", 40 + number))
    bucket.put("many/list.csv", "\n".join(["file_name", *names]).encode())
    dying = f"""
import os, pixseek, pixseek.encoders
from pixseek.indexing import pipeline
from tiny_encoder import TinyEncoder
pipeline.CHECKPOINT_S = 0.0
pixseek.encoders.load = lambda *_, **__: TinyEncoder()
def die(progress):
    if progress.stage == "index" and progress.done >= 10:
        os._exit(9)
with pixseek.open({str(tmp_path / "lib")!r}) as library:
    library.index("s3://pictures/many/list.csv", on_progress=die)
"""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", dying], env={**os.environ, "PYTHONPATH": tests}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 9, done.stderr
    bucket.count.clear()
    with pixseek.open(tmp_path / "lib") as library:
        held = len(library)
        assert 0 < held < 30
        report = library.index()
        assert (report.unchanged, report.added, report.failures) == (held, 30 - held, ())
    images = [path for _, path in bucket.count.requests if path.endswith(".png")]
    assert len(images) == 30 - held
    # The folder of the images is listed once.
    assert [path for _, path in bucket.count.requests].count("/pictures") == 1


def test_a_folder_of_images_that_can_not_be_listed_is_asked_for_once(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote_files, "BACKOFF_S", 0.01)
    (tmp_path / "disk" / "a").mkdir(parents=True)
    for colour in COLOURS:
        (tmp_path / "disk" / "a" / f"{colour}.png").write_bytes(picture(colour))
    table = tmp_path / "goods.csv"
    table.write_text("\n".join(["image", *(f"a/{colour}.png" for colour in COLOURS)]))
    with (
        web(tmp_path / "disk") as (url, count),
        pixseek.open(tmp_path / "lib", allow_private=True) as library,
    ):
        assert library.index(table, images=f"{url}/").added == 3
        count.clear()
        count.fail = lambda method, path: 503 if path == "/a/" else 0
        report = library.index()
        assert [each.reason for each in report.failures] == ["unreadable"] * 3
        assert len(count.requests) == remote_files.TRIES
        count.clear()
        count.fail = lambda method, path: -1
        with pytest.raises(SourceVanishedError, match="can't be read"):
            library.index()
        assert len(count.requests) <= 2 * remote_files.TRIES  # aiohttp asks twice by itself
        count.fail = lambda method, path: 0
        assert library.index().unchanged == 3


def test_a_server_that_goes_away_while_pictures_are_read_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote_files, "BACKOFF_S", 0.01)
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "birds.parquet").write_bytes(in_parquet([*map(noise, range(8))]))
    with web(tmp_path / "disk") as (url, count):
        source = opened(Root("birds", f"{url}/birds.parquet", kind="table"))
        source.permit(private=True, offline=False)
        candidates = [each for each in source.scan() if isinstance(each, Candidate)]
        assert source.read(candidates[0]).content == noise(0)
        count.fail = lambda method, path: -1
        with pytest.raises(SourceVanishedError, match="can't be read"):
            source.read(candidates[7])
