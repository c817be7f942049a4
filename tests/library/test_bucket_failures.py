"""A test for each row of the failure table in docs/how-to/buckets.md that has none elsewhere."""

from __future__ import annotations

import io
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import pixseek
from pixseek.errors import MissingExtraError, SourceVanishedError
from pixseek.sources import buckets, remote_connections, remote_files

from tiny_encoder import TinyEncoder

pytest.importorskip("fsspec")

from file_servers import Bucket, Count, Memory, memory_files, s3, web

pytestmark = pytest.mark.slow


def picture(colour: str, width: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def memory() -> Iterator[Memory]:
    with memory_files() as files:
        yield files


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Count]]:
    """A server of three images in two folders, one of them with a caption."""
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote_files, "BACKOFF_S", 0.01)
    for name in ("a/red.png", "a/green.png", "b/blue.png"):
        path = tmp_path / "disk" / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(path.stem))
    with web(tmp_path / "disk") as found:
        yield found


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    del tiny
    with pixseek.open(tmp_path / "lib", allow_private=True) as opened:
        yield opened


def failed(report: pixseek.Report) -> set[tuple[str, str]]:
    return {(each.uri, each.reason) for each in report.failures}


@pytest.mark.parametrize(
    ("address", "package", "extra"),
    [("s3://b/photos", "s3fs", "s3"), ("gs://b/photos", "gcsfs", "gs"),
     ("az://b/photos", "adlfs", "azure"), ("sftp://ann@h/photos", "paramiko", "sftp"),
     ("hf://datasets/a/b", "huggingface_hub", "hf"), ("https://h.example/p/", "aiohttp", "remote")],
)  # fmt: skip
def test_a_package_that_is_not_installed_is_named(
    library: pixseek.Library,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    package: str,
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=package) as caught:
        library.index(address)
    assert f"pixseek[{extra}]" in caught.value.advice
    assert library.roots() == []


def test_a_root_that_is_gone_is_a_failure_next_to_others(
    library: pixseek.Library, memory: Memory
) -> None:
    memory["/a/red.png"], memory["/b/blue.png"] = picture("red"), picture("blue")
    library.index("memory://a", "memory://b")
    del memory["/a/red.png"]
    memory["/b/green.png"] = picture("green")
    report = library.index()
    assert (report.added, failed(report)) == (1, {("a/", "missing")})
    assert len(library) == 3


def test_a_folder_that_can_not_be_listed_keeps_its_images(
    library: pixseek.Library, served: tuple[str, Count], tmp_path: Path
) -> None:
    url, count = served
    assert library.index(f"{url}/photos/").added == 3
    count.fail = lambda method, path: 403 if path == "/photos/a/" else 0
    (tmp_path / "disk" / "photos" / "b" / "white.png").write_bytes(picture("white"))
    report = library.index()
    assert (report.added, failed(report)) == (1, {("photos/a", "no-permission")})
    assert len(library) == 4


def test_a_file_that_is_deleted_while_the_run_goes_is_missing(
    library: pixseek.Library, served: tuple[str, Count]
) -> None:
    url, count = served
    count.fail = lambda method, path: 404 if method == "GET" and path == "/photos/a/red.png" else 0
    report = library.index(f"{url}/photos/")
    assert (report.added, failed(report)) == (2, {("photos/a/red.png", "missing")})


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, -1])
def test_a_fault_that_may_pass_is_tried_again_and_then_a_failure(
    library: pixseek.Library, served: tuple[str, Count], status: int
) -> None:
    url, count = served
    tries: list[str] = []

    def fail(method: str, path: str) -> int:
        if method != "GET" or not path.endswith(".png"):
            return 0
        tries.append(path)
        # One passes at the last try; one does not.
        return status if tries.count(path) < 3 or path.endswith("red.png") else 0

    count.fail = fail
    report = library.index(f"{url}/photos/")
    reason = "unreachable" if status < 0 else "timeout" if status == 408 else "unreadable"
    assert report.added == 2
    assert {each.uri for each in report.failures} == {"photos/a/red.png"}
    assert {each.reason for each in report.failures} <= {reason, "unreadable"}
    # aiohttp asks a second time by itself where a connection is closed without an answer.
    assert tries.count("/photos/a/red.png") == (3 if status > 0 else 6)
    count.fail = lambda method, path: 0
    assert library.index().added == 1


def test_silence_is_a_timeout(
    library: pixseek.Library, served: tuple[str, Count], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_connections, "SILENCE_S", 0.2)
    url, count = served
    go_on = threading.Event()

    def wait(method: str, path: str) -> int:
        if method == "GET" and path.endswith("red.png"):
            go_on.wait(60)
        return 0

    count.fail = wait
    try:
        report = library.index(f"{url}/photos/")
    finally:
        go_on.set()
    assert ("photos/a/red.png", "timeout") in failed(report)


def test_a_server_that_goes_away_ends_the_run_and_the_next_goes_on(
    library: pixseek.Library, served: tuple[str, Count], tmp_path: Path
) -> None:
    url, count = served
    for number in range(12):
        path = tmp_path / "disk" / "photos" / "b" / f"{number:02}.png"
        path.write_bytes(picture("red", 50 + number))
    library.index(f"{url}/photos/a/")
    asked: list[str] = []

    def gone(method: str, path: str) -> int:
        if method == "GET" and path.endswith(".png"):
            asked.append(path)
        return -1 if len(asked) > 3 else 0

    count.fail = gone
    with pytest.raises(SourceVanishedError, match="can't be read"):
        library.index(f"{url}/photos/")
    assert len(library) >= 2
    count.fail = lambda method, path: 0
    assert library.index(f"{url}/photos/").failures == ()
    assert len(library) == 15


def test_an_archive_whose_server_sends_no_parts_is_a_failure_and_not_fetched(
    library: pixseek.Library, served: tuple[str, Count], tmp_path: Path
) -> None:
    url, count = served
    with zipfile.ZipFile(tmp_path / "disk" / "a.zip", "w") as file:
        file.writestr("red.png", picture("red"))
        file.writestr("large.bin", bytes(8 << 20))
    count.has_ranges = False
    report = library.index(f"{url}/a.zip")
    assert failed(report) == {("a/", "unreadable")}
    assert "does not send parts" in report.failures[0].message
    assert count.sent < 4 << 20


def test_names_that_lead_elsewhere_are_failures(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    with s3(monkeypatch) as bucket:
        bucket: Bucket
        for key in ("photos/red.png", "photos/a//blue.png", "photos/../green.png"):
            bucket.put(key, picture("red"))
        report = library.index("s3://pictures/photos")
    assert report.added == 1
    assert {each.reason for each in report.failures} == {"bad-name"}
    assert len(report.failures) == 2


def test_files_that_are_too_large_and_broken_images_are_failures(
    library: pixseek.Library, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "MAX_BYTES", 2000)
    memory["/b/large.png"] = picture("red") + bytes(3000)
    memory["/b/broken.png"] = picture("green")[:60]
    memory["/b/red.png"] = picture("red")
    report = library.index("memory://b")
    assert report.added == 1
    assert dict(failed(report))["b/large.png"] == "too-large"
    broken = dict(failed(report))["b/broken.png"]
    assert "b/broken.png" not in dict(failed(library.index()))  # it is not tried again
    assert dict(failed(library.index(retry=True)))["b/broken.png"] == broken
    memory["/b/broken.png"] = picture("green")
    assert library.index().added == 1
