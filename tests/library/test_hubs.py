"""Google Cloud Storage by its emulator, and Hugging Face by a small fake: by the real clients."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixseek
from pixseek.errors import SourceVanishedError
from pixseek.sources import remote_files

from tiny_encoder import TinyEncoder

pytest.importorskip("fsspec")

from fake_hub import GoogleBucket, Hub, google, hub

pytestmark = pytest.mark.slow

COLOURS = ("red", "green", "blue")


def picture(colour: str, width: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def noise(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (100, 100, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def birds(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(remote_files, "BACKOFF_S", 0.01)
    with hub(monkeypatch) as found:
        yield found


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleBucket]:
    pytest.importorskip("gcsfs")
    pytest.importorskip("gcp_storage_emulator")
    monkeypatch.setattr(remote_files, "BACKOFF_S", 0.01)
    with google(monkeypatch) as found:
        yield found


def test_a_folder_of_a_repository_is_listed_read_and_compared_by_its_digests(
    tmp_path: Path, tiny: TinyEncoder, birds: Hub
) -> None:
    for colour in COLOURS:
        birds.put(f"photos/2021/{colour}.png", picture(colour))
    birds.put("photos/2021/red.txt", b"painted red")
    birds.put("photos/a b/ü.png", picture("white"))
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index("hf://datasets/ann/birds/photos")
        assert (report.added, report.failures) == (4, ())
        record = library.search("red", k=1)[0].record
        assert (record.uri, record.caption) == ("photos/2021/red.png", "painted red")
        birds.count.clear()
        assert library.index().unchanged == 4
        # Five files at three a page, and nothing of them is read.
        pages = [path for _, path in birds.count.requests if "/tree/main" in path]
        assert len(pages) == 2
        assert not any("/resolve/" in path for _, path in birds.count.requests)
        birds.put("photos/2021/blue.png", picture("navy"))
        del birds.files["photos/2021/green.png"]
        report = library.index()
        assert (report.updated, report.removed, report.unchanged) == (1, 1, 2)
    with pixseek.open(tmp_path / "lib") as library:
        assert library.original(library.find("photos/a b/ü.png")) == picture("white")
        birds.count.fail = lambda method, path: 403
        with pytest.raises(SourceVanishedError, match="may not be read"):
            library.index()
        birds.count.fail = lambda method, path: 0
        with pytest.raises(SourceVanishedError, match="nothing at this address"):
            library.index("hf://datasets/ann/planes")
        assert len(library) == 3


def test_a_run_over_a_repository_that_was_stopped_goes_on(
    tmp_path: Path, tiny: TinyEncoder, birds: Hub
) -> None:
    for number in range(20):
        birds.put(f"photos/{number:02}.png", picture("red", 40 + number))
    stop = threading.Event()

    def after_some(progress: pixseek.Progress) -> None:
        if progress.stage == "index" and progress.done >= 4:
            stop.set()

    with pixseek.open(tmp_path / "lib") as library:
        report = library.index("hf://datasets/ann/birds", stop=stop, on_progress=after_some)
        held = len(library)
        assert report.stopped and 4 <= held < 20
        birds.count.clear()
        report = library.index()
        assert (report.unchanged, report.added, report.failures) == (held, 20 - held, ())
    read = [path for _, path in birds.count.requests if "/resolve/" in path]
    # What the first run had asked for ahead may have reached the server after it was stopped.
    assert len(set(read)) == 20 - held <= len(read) <= 20 - held + 4


def test_a_data_set_and_an_archive_of_the_hub_are_read_by_parts(
    tmp_path: Path, tiny: TinyEncoder, birds: Hub
) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = [{"image": {"bytes": noise(n), "path": f"{n}.png"}, "text": f"number {n}"}
            for n in range(12)]  # fmt: skip
    for part in range(2):
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows[6 * part :][:6]), buffer, row_group_size=3)
        birds.put(f"data/train-0000{part}-of-00002.parquet", buffer.getvalue())
    birds.put("README.md", b"# Birds")
    birds.put(".gitattributes", b"")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number in range(12):
            file.writestr(f"{number}.png", noise(number))
    birds.put("more/birds.zip", buffer.getvalue())
    size = sum(len(content) for path, content in birds.files.items() if path.endswith("parquet"))
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index("hf://datasets/ann/birds")
        assert (report.added, report.failures) == (12, ())
        assert size <= birds.count.sent < size + (1 << 19)
        (root,) = library.roots()
        assert (root.name, root.kind) == ("birds", "dataset")
        record = library.find("birds/data/train-00001-of-00002.parquet/2/8.png")
        assert record is not None and record.caption == "number 8"
    with pixseek.open(tmp_path / "lib") as library:
        assert library.original(record) == noise(8)
        assert library.index().unchanged == 12
        birds.count.clear()
        report = library.index("hf://datasets/ann/birds/more/birds.zip")
        assert (report.added, report.failures) == (12, ())
        assert birds.count.sent < 1.2 * len(buffer.getvalue())


def test_a_folder_of_google_cloud_storage_is_listed_read_and_compared(
    tmp_path: Path, tiny: TinyEncoder, storage: GoogleBucket
) -> None:
    for colour in COLOURS:
        storage.put(f"photos/2021/{colour}.png", picture(colour))
    storage.put("photos/2021/red.txt", b"painted red")
    storage.put("photos/goods.jsonl", b'{"image": "2021/red.png", "price": 3.5}')
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("white.png", picture("white"))
    storage.put("more.zip", buffer.getvalue())
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index("gs://pictures/photos")
        assert (report.added, report.failures) == (3, ())
        record = library.search("red", k=1)[0].record
        assert record.caption == "painted red"
        assert library.index().unchanged == 3
        storage.put("photos/2021/blue.png", picture("navy"))
        storage.put("photos/2021/red.png", picture("red"))  # another generation, the same digest
        storage.delete("photos/2021/green.png")
        report = library.index()
        assert (report.updated, report.removed, report.unchanged) == (1, 1, 1)
        assert library.index("gs://pictures/more.zip").added == 1
        assert library.index("gs://pictures/photos/goods.jsonl").added == 1
        with pytest.raises(SourceVanishedError, match="nothing at this address"):
            library.index("gs://elsewhere/photos")
    with pixseek.open(tmp_path / "lib") as library:
        assert library.original(record) == picture("red")
        assert library.original(library.find("more/white.png")) == picture("white")
