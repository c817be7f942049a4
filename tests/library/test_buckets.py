"""Libraries of buckets and of folders on other servers: listed, read, compared and opened."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pixseek
from pixseek.errors import SourceError, SourceVanishedError
from pixseek.library import surfaces
from pixseek.sources import remote_files

from tiny_encoder import TinyEncoder

pytest.importorskip("fsspec")

from file_servers import Bucket, Memory, memory_files, s3, sftp, web

COLOURS = ("red", "green", "blue")


def picture(colour: str, width: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, 30), colour).save(buffer, "PNG")
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
        for colour in COLOURS:
            found.put(f"photos/2021/{colour}.png", picture(colour))
        yield found


def test_a_folder_elsewhere_is_indexed_as_a_folder_here(
    tmp_path: Path, tiny: TinyEncoder, memory: Memory
) -> None:
    for colour in COLOURS:
        memory[f"/b/photos/2021/{colour}.png"] = picture(colour)
    memory["/b/photos/2021/red.txt"] = b"painted red"
    memory["/b/photos/.hidden.png"] = memory["/b/photos/@Recycle/old.png"] = picture("white")
    memory["/b/photos/raw/x.png"] = picture("black")
    memory["/b/photos/notes.md"] = b"# no image"
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index("memory://b/photos", exclude=["raw/"])
        assert (report.added, report.failures) == (3, ())
        assert {each.kind for each in report.skipped} == {"hidden", "folder"}
        (root,) = library.roots()
        assert (root.name, root.kind, root.where) == ("photos", "remote", "memory://b/photos")
        best = library.search("red", k=1)[0]
        assert (best.uri, best.path) == ("photos/2021/red.png", None)
        assert best.record.caption == "painted red"
        assert library.original(best.record) == picture("red")
        with surfaces.original(library, best.record) or pytest.fail("not opened") as file:
            assert file.read_at(1, 3) == b"PNG"
        assert surfaces.is_there(library, best.record)
        address = "memory://b/photos/2021/red.png"
        assert surfaces.container_of(library, best.record) == address
        # Nothing is read again; a sidecar embeds nothing; a deletion is one.
        embedded = tiny.embedded
        assert library.index().unchanged == 3
        assert tiny.embedded == embedded
        memory["/b/photos/2021/red.txt"] = b"rather pink"
        memory["/b/photos/2021/blue.png"] = picture("navy")
        del memory["/b/photos/2021/green.png"]
        report = library.index()
        assert (report.updated, report.removed, report.added) == (2, 1, 0)
        assert tiny.embedded == embedded + 1
        # What lies in it is part of it, also a single image that would be skipped.
        assert library.index("memory://b/photos/2021").unchanged == 2
        assert library.index("memory://b/photos/.hidden.png", include=[".hidden.png"]).added == 1
        assert len(library.roots()) == 1


def test_an_address_above_indexed_ones_takes_them_in(
    tmp_path: Path, tiny: TinyEncoder, memory: Memory
) -> None:
    for colour, folder in zip(COLOURS, ("2021/may", "2022", ""), strict=True):
        memory[f"/b/photos/{folder}/{colour}.png".replace("//", "/")] = picture(colour)
    memory["/b/photos/2021/raw/x.png"] = picture("white")
    with pixseek.open(tmp_path / "lib") as library:
        library.index("memory://b/photos/2021", exclude=["raw/"])
        library.index("memory://b/photos/2022")
        record = library.search("red", k=1)[0].record
        library.tag([record.id], add=["mine"], rating=5)
        assert [root.name for root in library.roots()] == ["2021", "2022"]
        embedded = tiny.embedded
        report = library.index("memory://b/photos")
        assert (report.added, report.unchanged, report.failures) == (1, 2, ())
        assert tiny.embedded == embedded + 1
        (root,) = library.roots()
        assert (root.name, root.where) == ("photos", "memory://b/photos")
        assert [hit.uri for hit in library.search("tag:mine rating:5")] == [
            "photos/2021/may/red.png"
        ]
        assert library.index().unchanged == 3
        # All in one command, in any order.
        assert library.index("memory://b/photos/2022", "memory://b").unchanged == 3
        assert [root.name for root in library.roots()] == ["b"]


def test_images_of_a_bucket_in_a_list_are_looked_for_by_folder(
    tmp_path: Path, tiny: TinyEncoder, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        memory[f"/b/{number % 2}/{number}.png"] = picture(COLOURS[number % 3])
    lists: list[str] = []
    files_in = remote_files.RemoteFiles.files_in

    def counted(place: remote_files.RemoteFiles, folder: str) -> list[remote_files.Entry]:
        lists.append(place.shown(folder))
        return files_in(place, folder)

    monkeypatch.setattr(remote_files.RemoteFiles, "files_in", counted)
    named = [f"memory://b/{number % 2}/{number}.png" for number in range(5)]
    with pixseek.open(tmp_path / "lib") as library:
        assert library.index(listed=named).added == 5
        assert sorted(lists) == ["memory://b/0", "memory://b/1"]


def test_a_single_image_is_a_folder_with_one(
    tmp_path: Path, tiny: TinyEncoder, memory: Memory
) -> None:
    memory["/b/red.png"] = memory["/b/other.png"] = picture("red")
    memory["/b/red.xmp"] = b"no xmp"
    with pixseek.open(tmp_path / "lib") as library:
        assert library.index("memory://b/red.png").added == 1
        assert [each.uri for each in library.records()] == ["b/red.png"]
        assert library.index().unchanged == 1


def test_an_address_without_anything_is_an_error_and_removes_nothing(
    tmp_path: Path, tiny: TinyEncoder, memory: Memory
) -> None:
    memory["/b/red.png"] = picture("red")
    with pixseek.open(tmp_path / "lib") as library:
        with pytest.raises(SourceVanishedError, match="nothing at this address"):
            library.index("memory://elsewhere")
        assert library.roots() == []
        library.index("memory://b")
        del memory["/b/red.png"]
        with pytest.raises(SourceVanishedError, match="Nothing of it was removed"):
            library.index()
        assert len(library) == 1
        assert library.original(next(iter(library.records()))) is None


@pytest.mark.parametrize(
    "address",
    ["s3://KEY:SECRET@bucket/photos", "sftp://ann:SECRET@host/photos", "https://a:SECRET@h/p/",
     "az://container/photos?sig=SECRET", "s3://SECRET@bucket"],
)  # fmt: skip
def test_addresses_with_secrets_are_refused_and_not_repeated(
    tmp_path: Path, tiny: TinyEncoder, address: str
) -> None:
    with pixseek.open(tmp_path / "lib") as library:
        with pytest.raises(SourceError) as caught:
            library.index(address)
        assert "SECRET" not in str(caught.value)
        assert library.roots() == []


def test_nothing_is_read_offline(tmp_path: Path, tiny: TinyEncoder, memory: Memory) -> None:
    memory["/b/red.png"] = picture("red")
    with pixseek.open(tmp_path / "lib") as library:
        library.index("memory://b")
    with pixseek.open(tmp_path / "lib", offline=True) as library:
        with pytest.raises(SourceVanishedError, match="offline"):
            library.index()
        record = library.search("red", k=1)[0].record
        assert library.original(record) is None
        assert library.preview(record)


def test_a_bucket_of_s3_is_compared_by_its_listing_alone(
    tmp_path: Path, tiny: TinyEncoder, bucket: Bucket
) -> None:
    bucket.put("photos/2021/", b"")  # as consoles make folders
    bucket.put("photos/2021/red.txt", b"painted red")
    with pixseek.open(tmp_path / "lib") as library:
        report = library.index("s3://pictures/photos")
        assert (report.added, report.failures) == (3, ())
        gets = [path for method, path in bucket.count.requests if path.count("/") > 2]
        assert sorted(gets) == sorted(set(gets))  # each file once
        assert len(gets) == 4
        bucket.count.clear()
        assert library.index().unchanged == 3
        assert bucket.count.requests == [("GET", "/pictures")]  # one page
        record = library.search("red", k=1)[0].record
        assert record.caption == "painted red"
        assert library.original(record) == picture("red")
        # The same content under a new time has the same ETag; another of the same size has not.
        bucket.put("photos/2021/green.png", picture("green"))
        other = picture("navy")
        assert len(other) == len(picture("blue"))
        bucket.put("photos/2021/blue.png", other)
        report = library.index()
        assert (report.unchanged, report.updated) == (2, 1)
    written = b"".join(p.read_bytes() for p in (tmp_path / "lib").rglob("*") if p.is_file())
    assert b"OFTHETEST" not in written


@pytest.mark.slow
def test_many_objects_are_listed_page_by_page_and_faults_pass(
    tmp_path: Path, tiny: TinyEncoder, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    failed: list[str] = []

    def once(method: str, path: str) -> int:
        if path in failed:
            return 0
        failed.append(path)
        return 503

    with pixseek.open(tmp_path / "lib") as library:
        assert library.index("s3://pictures").added == 3
        # Two keys a page, so three images are two pages; the look at the address is the third.
        assert bucket.count.requests.count(("GET", "/pictures")) == 3
    with pixseek.open(tmp_path / "faults") as library:
        bucket.count.fail = once
        report = library.index("s3://pictures")
        assert (report.added, report.failures) == (3, ())
        # One that is refused is a failure of its own, and its record stays.
        bucket.put("photos/2021/blue.png", picture("navy"))
        bucket.count.fail = lambda method, path: 403 if path.endswith("blue.png") else 0
        report = library.index()
        assert [(each.uri, each.reason) for each in report.failures] == [
            ("pictures/photos/2021/blue.png", "no-permission")
        ]
        bucket.count.fail = lambda method, path: 403
        with pytest.raises(SourceVanishedError, match="may not be read"):
            library.index()
        assert len(library) == 3
        bucket.count.fail = lambda method, path: 0
        assert library.index().updated == 1


@pytest.mark.slow
def test_a_bucket_or_server_that_is_gone_removes_nothing(
    tmp_path: Path, tiny: TinyEncoder, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pixseek.open(tmp_path / "lib") as library:
        library.index("s3://pictures/photos")
        for colour in COLOURS:
            bucket.delete(f"photos/2021/{colour}.png")
        with pytest.raises(SourceVanishedError, match="nothing at this address"):
            library.index()
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pixseek.open(tmp_path / "lib") as library:
        with pytest.raises(SourceVanishedError, match="can't be read") as caught:
            library.index()
        assert "OFTHETEST" not in str(caught.value)
        assert len(library) == 3


@pytest.mark.slow
def test_a_public_bucket_needs_no_keys(
    tmp_path: Path, tiny: TinyEncoder, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for colour in COLOURS:
        bucket.put(f"photos/2021/{colour}.png", picture(colour), ACL="public-read")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pixseek.open(tmp_path / "lib") as library:
        bucket.count.fail = lambda method, path: 403
        with pytest.raises(SourceVanishedError, match="does not sign in") as caught:
            library.index("s3://pictures/photos")
        assert "AWS_PROFILE" in caught.value.advice
        bucket.count.fail = lambda method, path: 0
        assert library.index("s3://pictures/photos").added == 3


@pytest.mark.slow
def test_threads_find_out_at_once_that_nobody_signs_in(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("photos/red.png", picture("red"), ACL="public-read")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    place = remote_files.RemoteFiles("s3://pictures/photos", remote_files.Network())
    together = threading.Barrier(4)

    def read(fs: Any) -> bytes:
        try:
            return bytes(fs.cat_file(place.full("red.png")))
        except Exception:
            together.wait(20)
            raise

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: place.call(read), range(4)))
    assert found == [picture("red")] * 4


@pytest.mark.slow
def test_an_image_of_a_bucket_is_found_behind_many_folders_and_with_all_that_describes_it(
    tmp_path: Path, tiny: TinyEncoder, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("photos/red.png", picture("red"))
    bucket.put("photos/red.txt", b"painted red")
    bucket.put("photos/red.json", b" " * (5 << 20))  # too large: not fetched
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    answer = {"red.txt": 503}
    with pixseek.open(tmp_path / "lib") as library:
        bucket.count.fail = lambda method, path: answer.get(path.rpartition("/")[2], 0)
        # A caption that can't be read now is no reason to do without it from now on.
        report = library.index("s3://pictures/photos/red.png")
        assert [(each.uri, each.stage, each.reason) for each in report.failures] == [
            ("photos/red.png", "read", "unreadable")
        ]
        assert "red.txt" in report.failures[0].message
        assert len(library) == 0
        answer.clear()
        report = library.index()
        assert (report.added, report.failures) == (1, ())
        assert next(iter(library.records())).caption == "painted red"
        bucket.put("photos/red.txt", b"rather pink")
        answer["red.txt"] = 403
        assert [each.reason for each in library.index().failures] == ["no-permission"]
        assert next(iter(library.records())).caption == "painted red"
        answer.clear()
        assert library.index().updated == 1
        assert next(iter(library.records())).caption == "rather pink"
        assert not any(path.endswith("red.json") for _, path in bucket.count.requests)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_was(
    tmp_path: Path, tiny: TinyEncoder, bucket: Bucket
) -> None:
    for number in range(30):
        bucket.put(f"many/{number:02}.png", picture("red", 40 + number))
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
    library.index("s3://pictures/many", on_progress=die)
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
    assert len([path for _, path in bucket.count.requests if path != "/pictures"]) == 30 - held


def test_a_folder_is_read_by_ssh_from_a_server_whose_key_is_known(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("paramiko")
    monkeypatch.setattr(remote_files, "BACKOFF_S", 0.01)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for colour in COLOURS:
        path = tmp_path / "disk" / "photos" / "a b" / f"{colour}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(colour))
    path.with_name("up").symlink_to("..")  # links are not followed: one may lead up, or out
    (tmp_path / "disk" / "photos" / "red.png").symlink_to(path)
    connections: list[Any] = []
    with sftp(tmp_path / "disk", tmp_path / "home", connections) as url:
        place = remote_files.RemoteFiles(f"{url}/photos", remote_files.Network())
        for _ in range(2):  # a connection that is lost is made again
            assert place.read("a b/red.png", 1 << 20) == picture("red")
            connections[-1].close()
        assert len(connections) == 2
        with pixseek.open(tmp_path / "lib") as library:
            report = library.index(f"{url}/photos")
            assert (report.added, report.failures) == (3, ())
            assert library.index().unchanged == 3
            record = library.search("red", k=1)[0].record
            assert library.original(record) == picture("red")
            (tmp_path / "disk" / "photos" / "a b" / "red.png").write_bytes(picture("pink", 50))
            assert library.index().updated == 1
            # By the name that ~/.ssh/config has for it.
            assert library.index("sftp://pictures/photos/a b").failures == ()
            (tmp_path / "home" / ".ssh" / "known_hosts").write_text("")
        with (
            pixseek.open(tmp_path / "lib2") as library,
            pytest.raises(SourceVanishedError, match="known_hosts"),
        ):
            library.index(f"{url}/photos")


def test_a_page_of_links_is_a_folder_within_the_rules_for_addresses(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote_files, "BACKOFF_S", 0.01)
    for colour in COLOURS:
        path = tmp_path / "disk" / "my photos" / "é #1" / f"{colour}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(colour))
    path.with_name("red.txt").write_text("painted red")
    with web(tmp_path / "disk") as (url, count):
        with pixseek.open(tmp_path / "lib") as library:
            with pytest.raises(SourceVanishedError, match="not a public address"):
                library.index(f"{url}/my photos/")
            assert count.requests == []
        with pixseek.open(tmp_path / "lib", allow_private=True) as library:
            report = library.index(f"{url}/my photos/")
            assert (report.added, report.failures) == (3, ())
            assert [root.name for root in library.roots()] == ["my photos"]
            record = library.search("red", k=1)[0].record
            assert (record.uri, record.caption) == ("my photos/é #1/red.png", "painted red")
            assert library.original(record) == picture("red")
            # A caption whose server fails while changes are looked for is kept.
            count.fail = lambda method, path: 503 if path.endswith("red.txt") else 0
            (failed,) = library.index().failures
            assert (failed.uri, failed.stage) == ("my photos/é #1/red.png", "scan")
            assert library.search("red", k=1)[0].record.caption == "painted red"
            count.fail = lambda method, path: 0
            count.clear()
            assert library.index().unchanged == 3
            # The listing has names alone: each file is looked at, and none is read.
            assert sum(method == "HEAD" for method, _ in count.requests) == 4
            path.write_bytes(picture("navy"))
            assert library.index().updated == 1


def test_links_of_a_page_lead_neither_out_of_its_folder_nor_in_circles(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    pytest.importorskip("aiohttp")
    for name in ("2022/red.png", "2022/more/green.png", "2023/blue.png"):
        path = tmp_path / "disk" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture("red"))
    with web(tmp_path / "disk") as (url, count):
        count.links["/2022/"] = (
            "../2023/", "%2e%2e/2023/", "more/../../2023/", "../2023/blue.png", "/2023/",
            "./", "./more/", "./red.png", f"{url}/2022/red.png", "more/../more/",
            f"{url.replace('http', 'https', 1)}/2022/more/", f"{url}/2022/../2023/blue.png",
            "http://127.0.0.1:9/2022/other.png",
        )  # fmt: skip
        count.links["/2022/more/"] = ("../../2023/", "../red.png", "../more/", "./")
        with pixseek.open(tmp_path / "lib", allow_private=True) as library:
            report = library.index(f"{url}/2022/")
            assert (report.added, report.failures) == (2, ())
            assert sorted(each.uri for each in library.records()) == [
                "2022/more/green.png", "2022/red.png"
            ]  # fmt: skip
        pages = [path for method, path in count.requests if path.endswith("/")]
        assert not any("2023" in path for _, path in count.requests)
        # The first page also by the look at the address, before the run.
        assert set(pages) == {"/2022/", "/2022/more/"}
        assert pages.count("/2022/more/") == 1


@pytest.mark.parametrize(("has_files", "depth"), [(True, 3), (False, 5)])
def test_links_without_an_end_are_not_followed_and_said(
    tmp_path: Path, has_files: bool, depth: int
) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "disk" / "a").mkdir(parents=True)
    (tmp_path / "disk" / "b").mkdir()
    if has_files:
        (tmp_path / "disk" / "red.png").write_bytes(b"")
    with web(tmp_path / "disk") as (url, count):
        count.has_end = False
        place = remote_files.RemoteFiles(url, remote_files.Network(private=True))
        found = list(place.pages())
        unlisted = [each for each in found if not isinstance(each, list)]
        assert {each.folder.count("/") for each in unlisted} == {depth - 2}
        assert "no end" in str(unlisted[0].error)
        assert (len(unlisted), len(found)) == (2 ** (depth - 1), 2**depth - 1)


def test_files_spread_over_folders_of_the_same_names_are_found(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    paths = {f"{a}/{b}/{c}/x.jpg" for a in "01" for b in "01" for c in "01"}
    for path in paths:
        (tmp_path / "disk" / path).parent.mkdir(parents=True)
        (tmp_path / "disk" / path).write_bytes(b"")
    with web(tmp_path / "disk") as (url, _):
        place = remote_files.RemoteFiles(url, remote_files.Network(private=True))
        found = [each for page in place.pages() if isinstance(page, list) for each in page]
        assert {each.path for each in found} == paths


def test_no_more_is_read_of_a_server_that_does_not_send_parts(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    content = bytes(range(256))
    (tmp_path / "a.zip").write_bytes(content)
    with (tmp_path / "large.zip").open("wb") as file:
        file.truncate(64 << 20)
    with web(tmp_path) as (url, count):
        place = remote_files.RemoteFiles(url, remote_files.Network(private=True))
        assert place.range("a.zip", 10, 20) == content[10:20]
        assert place.range("a.zip", 250, 300) == content[250:]
        count.has_ranges = False
        with pytest.raises(OSError, match="does not send parts"):
            place.range("large.zip", 10, 20)
        assert count.sent < 1000  # the rest was not taken


def test_what_comes_next_is_read_ahead_within_limits(tmp_path: Path) -> None:
    from pixseek.sources import ahead
    from pixseek.types import Candidate, Item, Stamp

    begun, lock, go_on = set[str](), threading.Lock(), threading.Event()

    def read(candidate: Candidate) -> Item:
        with lock:
            begun.add(candidate.uri)
        assert go_on.wait(20)
        return Item(candidate.uri.encode())

    large = ahead.MOST_BYTES // 4
    coming = [Candidate(f"r/{number}", Stamp(large, 1)) for number in range(40)]
    reader = ahead.Ahead(read)
    reader.expect(coming)
    taken = threading.Thread(target=lambda: reader.take(coming[0]))
    taken.start()
    while len(begun) < 4:
        pass
    assert begun == {f"r/{number}" for number in range(4)}  # no more fit
    go_on.set()
    taken.join()
    assert [reader.take(each).content for each in coming[1:]] == [
        each.uri.encode() for each in coming[1:]
    ]
    reader.expect(())
