"""Archives on servers: read by ranges, so that about their size is fetched, and opened later."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixseek
from pixseek.errors import SourceVanishedError
from pixseek.library import surfaces
from pixseek.sources import remote_files

from tiny_encoder import TinyEncoder

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

from file_servers import Bucket, Count, s3, web


def picture(number: int) -> bytes:
    """Return 30 kB that no packing makes smaller."""
    pixels = np.random.default_rng(number).integers(0, 256, (100, 100, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


CONTENT = {f"2021/{number}.png": picture(number) for number in range(12)}


def write(path: Path, content: dict[str, bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, data in content.items():
                file.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as tar:
        for name, data in content.items():
            for each, inside in ((name, data), (f"{name[:-4]}.txt", b"painted " + name.encode())):
                info = tarfile.TarInfo(each)
                info.size, info.mtime = len(inside), 1_600_000_000
                tar.addfile(info, io.BytesIO(inside))
    return path


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Count]]:
    monkeypatch.setattr(remote_files, "BACKOFF_S", 0.01)
    (tmp_path / "disk").mkdir()
    with web(tmp_path / "disk") as found:
        yield found


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    monkeypatch.setattr(remote_files, "BACKOFF_S", 0.01)
    with s3(monkeypatch) as found:
        yield found


@pytest.mark.parametrize(("name", "times"), [("a.zip", 1.2), ("a.tar", 1.5), ("a.tgz", 1.2)])
def test_an_archive_is_read_where_it_lies_and_about_once(
    tmp_path: Path, tiny: TinyEncoder, served: tuple[str, Count], name: str, times: float
) -> None:
    url, count = served
    size = write(tmp_path / "disk" / name, CONTENT).stat().st_size
    with pixseek.open(tmp_path / "lib", allow_private=True) as library:
        report = library.index(f"{url}/{name}")
        assert (report.added, report.failures) == (12, ())
        assert size <= count.sent < times * size
        (root,) = library.roots()
        assert (root.name, root.kind, root.where) == ("a", "archive", f"{url}/{name}")
        record = library.find("a/2021/3.png")
        assert library.original(record) == CONTENT["2021/3.png"]
        if name != "a.zip":
            assert record.caption == "painted 2021/3.png"
        assert surfaces.container_of(library, record) == f"{url}/{name}"
        count.clear()
    with pixseek.open(tmp_path / "lib", allow_private=True) as library:
        assert library.index().unchanged == 12  # and it is not opened
        assert {method for method, _ in count.requests} == {"HEAD"}
        (tmp_path / "disk" / name).unlink()
    with pixseek.open(tmp_path / "lib", allow_private=True) as library:
        with pytest.raises(SourceVanishedError, match="no such archive"):
            library.index()
        assert len(library) == 12


@pytest.mark.parametrize("named", ["shards/s-{000..001}.tar", "shards/"])
def test_shards_are_one_root_with_the_names_of_their_files(
    tmp_path: Path, tiny: TinyEncoder, served: tuple[str, Count], named: str
) -> None:
    url, _ = served
    first = dict(list(CONTENT.items())[:2])
    second = dict(list(CONTENT.items())[2:4])
    write(tmp_path / "disk" / "shards" / "s-000.tar", first)
    cut = write(tmp_path / "disk" / "shards" / "s-001.tar", second)
    (tmp_path / "disk" / "shards" / "stats.json").write_text("{}")
    with pixseek.open(tmp_path / "lib", allow_private=True) as library:
        assert library.index(f"{url}/{named}").added == 4
        uris = {each.uri.partition("/")[2] for each in library.records()}
        assert uris == {*(f"s-000.tar/{n}" for n in first), *(f"s-001.tar/{n}" for n in second)}
        record = library.search("red", k=1)[0].record
        assert library.original(record) == CONTENT[record.uri.split("/", 2)[2]]
    # One that is broken is a failure of its own; what the library has of it stays.
    cut.write_bytes(cut.read_bytes()[:20_000])
    with pixseek.open(tmp_path / "lib", allow_private=True) as library:
        report = library.index()
        assert {each.reason for each in report.failures} == {"damaged"}
        assert len(library) == 4


def test_an_archive_that_may_not_be_read_is_an_error(
    tmp_path: Path, tiny: TinyEncoder, served: tuple[str, Count]
) -> None:
    url, count = served
    write(tmp_path / "disk" / "a.zip", CONTENT)
    with pixseek.open(tmp_path / "lib") as library:
        with pytest.raises(SourceVanishedError, match="not a public address"):
            library.index(f"{url}/a.zip")
        assert count.requests == []
        assert library.roots() == []


@pytest.mark.slow
def test_a_packed_archive_that_is_too_large_to_be_kept_is_read_twice(
    tmp_path: Path, tiny: TinyEncoder, served: tuple[str, Count], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixseek.sources.remote_copies.MOST_BYTES", 1000)
    url, count = served
    size = write(tmp_path / "disk" / "a.tgz", CONTENT).stat().st_size
    with pixseek.open(tmp_path / "lib", allow_private=True) as library:
        assert library.index(f"{url}/a.tgz").added == 12
        assert 1.9 * size < count.sent < 2.5 * size


def test_shards_are_listed_at_once(
    tmp_path: Path, tiny: TinyEncoder, served: tuple[str, Count]
) -> None:
    url, count = served
    for shard, names in enumerate(zip(*[iter(CONTENT)] * 3, strict=True)):
        write(tmp_path / "disk" / f"s-{shard:03}.tar", {name: CONTENT[name] for name in names})
    # The first that is read of each waits until something of all is asked for.
    together, met = threading.Barrier(4), set[str]()
    lock = threading.Lock()

    def wait(method: str, path: str) -> int:
        with lock:
            is_first = method == "GET" and path.endswith(".tar") and path not in met
            met.add(path if is_first else "")
        if is_first:
            together.wait(60)
        return 0

    count.fail = wait
    with pixseek.open(tmp_path / "lib", allow_private=True) as library:
        report = library.index(f"{url}/s-{{000..003}}.tar")
        assert (report.added, report.failures) == (12, ())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "times"), [("a.zip", 1.2), ("a.tar", 1.5), ("a.tgz", 1.2)])
def test_an_archive_in_s3_is_read_where_it_lies_and_its_members_are_served(
    tmp_path: Path, tiny: TinyEncoder, bucket: Bucket, name: str, times: float
) -> None:
    testclient = pytest.importorskip("starlette.testclient")
    from pixseek.server.access import Access
    from pixseek.server.app import create_app

    content = write(tmp_path / name, CONTENT).read_bytes()
    bucket.put(f"packed/{name}", content)
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index(f"s3://pictures/packed/{name}")
        assert (report.added, report.failures) == (12, ())
        assert len(content) <= bucket.count.sent < times * len(content)
        assert library.index().unchanged == 12
        record = library.find("a/2021/3.png")
        assert record is not None
    with pixseek.open(tmp_path / "lib") as library:
        app = create_app({"photos": library}, access=Access.of(bound_to="127.0.0.1"))
        with testclient.TestClient(app, base_url="http://localhost") as client:
            answer = client.get(f"/api/images/{record.id}/original")
            assert (answer.status_code, answer.content) == (200, CONTENT["2021/3.png"])
            # Another of the same ETag is not fetched, one of another content is.
            bucket.count.clear()
            bucket.put(f"packed/{name}", content)
            assert library.index().unchanged == 12


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shards", "a.zip", "a.tgz"])
def test_a_run_over_archives_in_s3_that_was_killed_goes_on_where_it_was(
    tmp_path: Path, tiny: TinyEncoder, bucket: Bucket, name: str
) -> None:
    if name == "shards":
        for shard, names in enumerate(zip(*[iter(CONTENT)] * 3, strict=True)):
            some = write(tmp_path / f"s-{shard}.tar", {each: CONTENT[each] for each in names})
            bucket.put(f"shards/s-{shard}.tar", some.read_bytes())
    else:
        bucket.put(name, write(tmp_path / name, CONTENT).read_bytes())
    dying = f"""
import os, pixseek, pixseek.encoders
from pixseek.indexing import pipeline
from tiny_encoder import TinyEncoder
pipeline.CHECKPOINT_S = 0.0
pixseek.encoders.load = lambda *_, **__: TinyEncoder()
def die(progress):
    if progress.stage == "index" and progress.done >= 4:
        os._exit(9)
with pixseek.open({str(tmp_path / "lib")!r}) as library:
    library.index("s3://pictures/{name}", on_progress=die)
"""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", dying], env={**os.environ, "PYTHONPATH": tests}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 9, done.stderr
    with pixseek.open(tmp_path / "lib") as library:
        held = len(library)
        assert 0 < held < 12
        report = library.index()
        assert (report.unchanged, report.added, report.failures) == (held, 12 - held, ())
        record = library.search("red", k=1)[0].record
        assert library.original(record) == CONTENT["/".join(record.uri.split("/")[-2:])]


@pytest.mark.slow
def test_webdataset_shards_in_s3_and_one_that_may_not_be_read(
    tmp_path: Path, tiny: TinyEncoder, bucket: Bucket
) -> None:
    for shard, names in enumerate(zip(*[iter(CONTENT)] * 3, strict=True)):
        some = write(tmp_path / f"s-{shard}.tar", {each: CONTENT[each] for each in names})
        bucket.put(f"train/s-{shard}.tar", some.read_bytes())
    bucket.put("train/s-0.json", b"{}")
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index("s3://pictures/train")
        assert (report.added, report.failures) == (12, ())
        (root,) = library.roots()
        assert (root.kind, root.where) == ("archive", "s3://pictures/train/*.tar")
        assert {each.caption for each in library.records()} == {f"painted {n}" for n in CONTENT}
        bucket.count.clear()
        assert library.index().unchanged == 12
        # What the list says of shards is enough: none is looked at.
        assert {path for _, path in bucket.count.requests} == {"/pictures"}
        some = write(tmp_path / "s-1.tar", {"2021/0.png": CONTENT["2021/0.png"]})
        bucket.put("train/s-1.tar", some.read_bytes())
        bucket.count.fail = lambda method, path: 403 if path.endswith("s-1.tar") else 0
        (failure,) = library.index().failures
        assert (failure.uri, failure.reason) == ("train/s-1.tar/", "no-permission")
        assert len(library) == 12
        bucket.count.fail = lambda method, path: 0
        report = library.index()
        assert (report.added, report.removed, report.failures) == (1, 3, ())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_videos_in_archives_on_servers_are_downloaded_while_they_are_needed(
    tmp_path: Path, tiny: TinyEncoder, served: tuple[str, Count], name: str
) -> None:
    pytest.importorskip("av", reason="av is not installed")
    from films import film

    content = film(tmp_path / "a.mp4", (("red", 2.0), ("green", 2.0))).read_bytes()
    url, _ = served
    write(tmp_path / "disk" / name, {"a.mp4": content, "b.png": picture(1)})
    with pixseek.open(tmp_path / "lib", allow_private=True) as library:
        report = library.index(f"{url}/{name}")
        assert (report.added, report.failures) == (2, ())
        (hit,) = library.search("green type:video", k=1)
        assert hit.part == hit.record.parts[1]
        file = surfaces.original(library, hit.record)
        assert file is not None
        with file:
            assert file.read_at(50, 100) == content[50:150]
        assert library.index().unchanged == 2
