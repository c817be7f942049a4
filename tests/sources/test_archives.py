"""Archives and shards: which members are offered, under which names, and what is read of them."""

from __future__ import annotations

import errno
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from PIL import Image

from pixseek.errors import ImageError, SourceError, SourceVanishedError
from pixseek.sources import members, recognise, shards, tars
from pixseek.sources.archives import ArchiveSource
from pixseek.sources.locations import LocalFile
from pixseek.types import Candidate, Failure, Skipped


def picture(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def write_zip(path: Path, content: dict[str, bytes], **how: Any) -> Path:
    with zipfile.ZipFile(path, "w", **how) as file:
        for name, data in content.items():
            file.writestr(name, data)
    return path


def write_tar(path: Path, content: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_600_000_000
            file.addfile(info, io.BytesIO(data))
    return path


def write(path: Path, content: dict[str, bytes]) -> Path:
    """Write an archive of the kind that its name means."""
    kind = shards.kind_of(path.name)
    if kind == "zip":
        return write_zip(path, content)
    return write_tar(path, content, "w" if kind == "tar" else f"w:{str(kind)[4:]}")


def scanned(source: ArchiveSource) -> dict[str, Candidate]:
    return {each.uri: each for each in source.scan() if isinstance(each, Candidate)}


def failures(source: ArchiveSource) -> dict[str, str]:
    return {each.uri: each.reason for each in source.scan() if isinstance(each, Failure)}


KINDS = ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.txz"]


@pytest.mark.parametrize("name", KINDS)
def test_members_are_offered_and_read_with_their_sidecars(tmp_path: Path, name: str) -> None:
    content = {
        "2021/lake.png": picture("blue"),
        "2021/lake.png.xmp": b"<x/>",
        "2021/lake.txt": b"a lake",
        "./red.png": picture("red"),
        "/rooted.png": picture("green"),
        "ünï.png": picture("white"),
        "notes.md": b"-",
        ".hidden.png": picture(),
        "__MACOSX/._red.png": b"-",
    }
    source = ArchiveSource("a", write(tmp_path / name, content))
    found = scanned(source)
    assert set(found) == {"a/2021/lake.png", "a/red.png", "a/rooted.png", "a/ünï.png"}
    assert all(source.covers(uri) and source.holds(uri) for uri in found)
    # Without a scan before, as viewers ask.
    fresh = ArchiveSource("a", tmp_path / name)
    assert fresh.open("a/2021/lake.png") == content["2021/lake.png"]
    assert fresh.holds("a/red.png") is (None if "tar." in (shards.kind_of(name) or "") else True)
    with pytest.raises(FileNotFoundError):
        fresh.open("a/none.png")
    assert source.holds("a/none.png") is False
    assert failures(source) == {}
    lake = source.read(found["a/2021/lake.png"])
    assert lake.content == content["2021/lake.png"]
    assert lake.sidecars == (("lake.png.xmp", b"<x/>"), ("lake.txt", b"a lake"))
    assert source.open("a/ünï.png") == content["ünï.png"]
    with pytest.raises(FileNotFoundError):
        source.open("a/none.png")
    # In any order, from several threads at once.
    jobs = list(reversed(found.values())) * 5
    with ThreadPoolExecutor(4) as pool:
        for each, item in zip(jobs, pool.map(source.read, jobs), strict=True):
            key = each.uri[2:]
            assert item.content == (
                content.get(key) or content.get(f"./{key}") or content[f"/{key}"]
            )


@pytest.mark.parametrize("name", KINDS)
def test_a_change_of_a_member_or_of_its_sidecar_changes_its_stamp_alone(
    tmp_path: Path, name: str
) -> None:
    content = {"a.png": picture("red"), "b.png": picture("blue"), "b.txt": b"one", "c.png": b"c"}
    before = scanned(ArchiveSource("r", write(tmp_path / name, content)))
    content |= {"b.txt": b"two!", "c.png": b"another"}
    after = scanned(ArchiveSource("r", write(tmp_path / name, content)))
    same = {uri for uri in before if after[uri].is_as(before[uri].stamp)}
    assert same == {"r/a.png"}


def test_names_that_lead_out_of_the_archive_are_failures_that_name_no_place(
    tmp_path: Path,
) -> None:
    names = ["../out.png", "a/../../out.png", "/../out.png", "ok/x.png", "C:/boot.png"]
    for file in ("a.zip", "a.tar"):
        source = ArchiveSource("a", write(tmp_path / file, {name: picture() for name in names}))
        assert set(scanned(source)) == {"a/ok/x.png", "a/boot.png"}
        assert set(failures(source).values()) == {"bad-name"}
        assert all(".." not in uri for uri in failures(source))
        assert source.place("a/ok/x.png") is None


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_zip_members_are_read_whatever_their_compression(tmp_path: Path, method: int) -> None:
    content = {"a.png": picture(), "b.bmp": b"BM" + bytes(50_000)}
    path = write_zip(tmp_path / "a.zip", content, compression=method)
    source = ArchiveSource("a", path)
    assert {uri[2:]: source.read(each).content for uri, each in scanned(source).items()} == content


def test_zip_names_are_read_as_utf8_if_they_are_and_as_cp437_if_not(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"1234.png": b"1", "123.png": b"2"})
    # As macOS writes UTF-8, and DOS its own encoding: without saying so.
    raw = (
        path.read_bytes().replace(b"1234.png", "éé.png".encode()).replace(b"123.png", b"\x82bc.png")
    )
    path.write_bytes(raw)
    assert set(scanned(ArchiveSource("a", path))) == {"a/éé.png", "a/ébc.png"}


def test_zip64_archives_are_read(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "a.zip", "w") as file,
        file.open("a.png", "w", force_zip64=True) as member,
    ):
        member.write(picture())
    source = ArchiveSource("a", tmp_path / "a.zip")
    (found,) = scanned(source).values()
    assert source.read(found).content == picture()


def test_encrypted_and_unknown_members_say_what_to_do(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"locked.png": picture(), "odd.png": picture()})
    raw = bytearray(path.read_bytes())
    for name, at, value in ((b"locked.png", 8, 1), (b"odd.png", 10, 98)):
        central = raw.rindex(name) - 46
        raw[central + at] = value  # the flags, and the method, in the list of members
    path.write_bytes(raw)
    source = ArchiveSource("a", path)
    assert failures(source) == {"a/locked.png": "encrypted", "a/odd.png": "no-decoder"}
    with pytest.raises(ImageError, match="password") as caught:
        source.open("a/locked.png")
    assert "index the folder" in caught.value.advice


def test_links_archives_and_special_files_are_skipped_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as file:
        info = tarfile.TarInfo("a.png")
        info.size = len(picture())
        file.addfile(info, io.BytesIO(picture()))
        for name, kind in (("hard.png", tarfile.LNKTYPE), ("soft.png", tarfile.SYMTYPE),
                           ("pipe.png", tarfile.FIFOTYPE)):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "../../a.png"
            file.addfile(info)
        file.addfile(tarfile.TarInfo("more.zip"), io.BytesIO())
    source = ArchiveSource("a", path)
    assert set(scanned(source)) == {"a/a.png"}
    said = {each.what: each.images for each in source.scan() if isinstance(each, Skipped)}
    assert said == {"link files": 2, "special files": 1, ".zip": 1}


@pytest.mark.parametrize("name", KINDS)
def test_what_lies_before_the_damage_of_an_archive_is_kept(tmp_path: Path, name: str) -> None:
    content = {f"{n}.png": os.urandom(20_000) for n in range(8)}
    path = write(tmp_path / name, content)
    path.write_bytes(path.read_bytes()[:-60_000])
    source = ArchiveSource("a", path)
    found = scanned(source)
    assert failures(source) == {"a/": "damaged"}
    if name == "a.zip":  # its list is at the end
        assert found == {}
        return
    assert found.keys() < {f"a/{each}" for each in content} and (
        len(found) >= 3 or name in {"a.tar.bz2", "a.txz"}  # unpacked in large blocks
    )
    assert source.holds("a/7.png") is None  # nobody can tell
    read = 0
    for uri, each in found.items():
        try:
            assert source.read(each).content == content[uri[2:]]
            read += 1
        except ImageError as error:
            assert error.reason == "damaged"
    assert read >= len(found) - 1


def test_broken_content_is_a_failure_of_its_member_alone(tmp_path: Path) -> None:
    content = {"a.png": picture("red"), "b.png": picture("blue")}
    path = write_zip(tmp_path / "a.zip", content)
    path.write_bytes(path.read_bytes().replace(picture("blue")[-20:], bytes(20)))
    source = ArchiveSource("a", path)
    found = scanned(source)
    assert source.read(found["a/a.png"]).content == content["a.png"]
    with pytest.raises(ImageError, match="damaged") as caught:
        source.read(found["a/b.png"])
    assert caught.value.reason == "damaged"


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_members_above_the_limit_are_not_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixseek.sources.archives.MAX_BYTES", 1000)
    source = ArchiveSource("a", write(tmp_path / name, {"big.png": bytes(1001), "a.png": b"1"}))
    found = scanned(source)
    assert source.read(found["a/a.png"]).content == b"1"
    with pytest.raises(ImageError) as caught:
        source.read(found["a/big.png"])
    assert caught.value.reason == "too-large"


def test_an_archive_that_unfolds_without_end_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tars, "_FREE", 1 << 20)
    monkeypatch.setattr(tars, "_MOST_HEADER", 1 << 16)
    path = write(tmp_path / "a.tar.gz", {"a.png": b"1", "zeros": bytes(8 << 20), "b.png": b"2"})
    source = ArchiveSource("a", path)
    assert set(scanned(source)) == {"a/a.png"}
    assert failures(source) == {"a/": "damaged"}


def test_samples_of_webdataset_are_a_record_for_each_image(tmp_path: Path) -> None:
    said = {"caption": "two sides", "similarity": 0.31, "nested": {"x": 1}, "exif": "{}"}
    source = ArchiveSource("train", write(tmp_path / "train.tar", {
        "0001.left.png": picture("red"), "0001.right.png": picture("blue"),
        "0001.json": json.dumps(said).encode(), "0001.cls": b"7",
        "0002.png": picture(), "0002.left.txt": b"of another",
        "IMG_2023.01.02.png": picture("green"), "IMG_2023.01.02.txt": b"dots in its name",
        "IMG_2023.01.03.png": picture("white"),
    }))  # fmt: skip
    found = scanned(source)
    assert len(found) == 5
    for side in ("left", "right"):
        item = source.read(found[f"train/0001.{side}.png"])
        assert [name for name, _ in item.sidecars] == ["0001.json"]
        assert item.fields == {"similarity": 0.31, "cls": 7}
    assert source.read(found["train/0002.png"]).sidecars == ()
    assert source.read(found["train/IMG_2023.01.02.png"]).sidecars[0][1] == b"dots in its name"
    assert source.read(found["train/IMG_2023.01.03.png"]).sidecars == ()


def test_patterns_choose_members_as_they_choose_files(tmp_path: Path) -> None:
    names = ["a.png", "drafts/b.png", "@Recycle/c.png", "d.jpg_large", ".e.png", "f/.g/h.png"]
    path = write(tmp_path / "a.zip", {name: picture() for name in names})

    def taken(exclude: Iterable[str] = (), include: Iterable[str] = ()) -> set[str]:
        return {uri[2:] for uri in scanned(ArchiveSource("a", path, [*exclude], [*include]))}

    assert taken() == {"a.png", "drafts/b.png"}
    assert taken(["drafts/"]) == {"a.png"}
    assert taken([], ["@Recycle/", "*.jpg_large"]) >= {"@Recycle/c.png", "d.jpg_large"}
    assert taken([], ["/.e.png"]) >= {".e.png"}
    said = {each.what: each.images for each in ArchiveSource("a", path).scan()
            if isinstance(each, Skipped)}  # fmt: skip
    assert said["@Recycle"] == 1
    assert said[".jpg_large"] == 1


def test_shards_are_one_source_in_order(tmp_path: Path) -> None:
    for number in (0, 2, 10, 11):
        write(tmp_path / f"part-{number}.tar", {"x.png": picture(), f"{number}.png": picture()})
    source = ArchiveSource("part", tmp_path / "part-{0..10}.tar")
    assert list(scanned(source)) == [
        f"part/part-{n}.tar/{each}.png" for n in (0, 2, 10) for each in ("x", n)
    ]
    assert source.open("part/part-2.tar/2.png") == picture()
    assert source.holds("part/part-7.tar/x.png") is False
    (tmp_path / "part-2.tar").write_bytes(b"no tar")
    assert failures(source) == {"part/part-2.tar/": "damaged"}


def test_unchanged_archives_are_left_out_of_a_scan(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / f"{number}.tar", {"x.png": picture()})
    source = ArchiveSource("s", tmp_path / "{1..2}.tar")
    before = source.marks()
    assert set(before) == {"s/1.tar/", "s/2.tar/"}
    write(tmp_path / "2.tar", {"x.png": picture(), "y.png": picture()})
    after = source.marks()
    assert before["s/1.tar/"] == after["s/1.tar/"] and before["s/2.tar/"] != after["s/2.tar/"]
    source.leave_out(["s/1.tar/"])
    assert set(scanned(source)) == {"s/2.tar/x.png", "s/2.tar/y.png"}
    others = ArchiveSource("s", tmp_path / "{1..2}.tar", ["y.png"]).marks()
    assert all(others[each] != after[each] for each in after)


def test_a_source_that_is_gone_says_so(tmp_path: Path) -> None:
    for where in ("a.zip", "{1..2}.tar"):
        with pytest.raises(SourceVanishedError, match="gone"):
            list(ArchiveSource("a", tmp_path / where).scan())


@pytest.mark.parametrize(
    ("pattern", "name", "is_one"),
    [
        ("train-{000..123}.tar", "train-007.tar", True),
        ("train-{000..123}.tar", "train-123.tar", True),
        ("train-{000..123}.tar", "train-124.tar", False),
        ("train-{000..123}.tar", "train-7.tar", False),
        ("train-{0..123}.tar", "train-7.tar", True),
        ("train-{0..123}.tar", "train-007.tar", False),
        ("{00..01}-{0..3}.tar", "01-3.tar", True),
        ("{0998..1001}.tar", "1000.tar", True),
        ("*.tar", "any.tar", True),
        ("*.tar", "any.tar.gz", False),
        ("a.[1].*", "a.[1].tar", True),
    ],
)
def test_patterns_of_shards_mean_what_shells_mean(pattern: str, name: str, is_one: bool) -> None:
    assert shards.matcher(pattern)(name) is is_one


def test_archives_are_recognised_by_their_names_and_folders_by_what_they_hold(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "laion"
    folder.mkdir()
    for name in ("00000.tar", "00001.tar"):
        write(folder / name, {"x.png": picture()})
    (folder / "00000_stats.json").write_text("{}")
    write(tmp_path / "Photos 2021.zip", {"x.png": picture()})

    def found(what: str) -> tuple[str, str] | None:
        known = recognise(what, "archive")
        return None if known is None else (known.name, known.where)

    assert found(str(tmp_path / "Photos 2021.zip")) == (
        "Photos 2021", str(tmp_path / "Photos 2021.zip"),
    )  # fmt: skip
    assert found(str(folder)) == ("laion", str(folder / "*.tar"))
    assert found(str(folder / "{00000..00009}.tar")) == (
        "laion",
        str(folder / "{00000..00009}.tar"),
    )
    (folder / "photo.png").write_bytes(picture())
    assert found(str(folder)) is None
    assert found(str(tmp_path / "none.zip")) is None
    assert found(str(tmp_path)) is None
    assert recognise(str(tmp_path / "Photos 2021.zip"), "folder") is None
    with pytest.raises(SourceError, match="No archive"):
        recognise(str(folder / "x-{0..9}.tar"))


def test_members_without_a_time_are_as_new_as_their_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    found: list[Candidate] = []
    for when in (1, 2):
        with tarfile.open(path, "w") as file:
            info = tarfile.TarInfo("a.png")
            info.size = 1
            file.addfile(info, io.BytesIO(b"%d" % when))
        os.utime(path, (when, when))
        found += scanned(ArchiveSource("a", path)).values()
    assert not found[1].is_as(found[0].stamp)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes")
def test_shards_that_are_links_out_of_their_folder_or_pipes_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    outside = write(tmp_path / "outside.tar", {"x.png": picture()})
    (tmp_path / "in" / "1.tar").symlink_to(outside)
    os.mkfifo(tmp_path / "in" / "2.tar")
    write(tmp_path / "in" / "3.tar", {"y.png": picture()})
    pattern = tmp_path / "in" / "*.tar"
    source = ArchiveSource("s", pattern)
    assert set(scanned(source)) == {"s/3.tar/y.png"}
    assert failures(source) == {"s/1.tar/": "outside", "s/2.tar/": "not-a-file"}
    with pytest.raises(OSError, match="link"):
        source.open("s/1.tar/x.png")
    followed = ArchiveSource("s", pattern, follow_links=True)
    assert set(scanned(followed)) == {"s/1.tar/x.png", "s/3.tar/y.png"}


def test_members_without_a_name_are_left_out(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"xyz.png": picture(), "a.png": picture()})
    path.write_bytes(path.read_bytes().replace(b"xyz.png", b"\0yz.png"))
    source = ArchiveSource("a", path)
    assert set(scanned(source)) == {"a/a.png"}
    assert failures(source) == {}


def test_names_in_the_encoding_of_a_country_are_read(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as file:
        for raw in (b"caf\xe9.png", b"\x81.png"):
            info = tarfile.TarInfo(raw.decode("utf-8", "surrogateescape"))
            info.size = len(picture())
            file.addfile(info, io.BytesIO(picture()))
    source = ArchiveSource("a", tmp_path / "a.tar")
    assert set(scanned(source)) == {"a/café.png", "a/\x81.png"}
    assert failures(source) == {}
    assert source.open("a/café.png") == picture()


def test_an_empty_archive_is_a_failure(tmp_path: Path) -> None:
    for name in ("a.zip", "a.tar"):
        source = ArchiveSource("a", write(tmp_path / name, {}))
        assert (scanned(source), failures(source)) == ({}, {"a/": "empty"})


def test_a_part_of_an_archive_is_looked_at_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", {f"{n}/{m}.png": picture() for n in (1, 10) for m in (1, 2)})
    found = recognise(str(path / "1"))
    assert found is not None and (found.where, found.scope) == (str(path), "1")
    source = ArchiveSource("a", path, scopes=["1", "10/2.png", "none"])
    assert set(scanned(source)) == {"a/1/1.png", "a/1/2.png", "a/10/2.png"}
    assert source.covers("a/1/3.png") and not source.covers("a/10/1.png")
    assert failures(source) == {"a/none": "missing"}


def test_trash_that_is_asked_for_is_wanted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", {"a.png": picture(), "a.png.json": b'{"trashed": true}'})
    (usual,) = scanned(ArchiveSource("a", path)).values()
    (wanted,) = scanned(ArchiveSource("a", path, include=["/a.png"])).values()
    assert (usual.is_wanted, wanted.is_wanted) == (False, True)
    assert not wanted.is_as(usual.stamp)


def test_shards_of_one_series_have_one_pattern() -> None:
    assert shards.series_of("train-007.tar") == "train-{000..999999999}.tar"
    assert shards.series_of("00012.tar.gz") == "{00000..999999999}.tar.gz"
    assert shards.series_of("takeout-20240102T030405Z-2-001.zip") == (
        "takeout-20240102T030405Z-2-{000..999999999}.zip"
    )
    for name in ("photos-2019.zip", "trip.tar", "a-1.tar", "00001.zip", "notes-001.txt"):
        assert shards.series_of(name) is None
    matches = shards.matcher("train-{000..999999999}.tar")
    assert [matches(f"train-{each}.tar") for each in ("000", "123", "1000", "7", "x")] == [
        True, True, True, False, False
    ]  # fmt: skip


class Shaky(LocalFile):
    """A file that counts how often it is opened, and whose reads fail while `fault` is set."""

    opens = 0
    fault: OSError | None = None

    def open(self, begin: int = 0, count: int = 0) -> BinaryIO:
        self.opens += 1
        return cast("BinaryIO", ShakyReader(self, super().open(begin, count)))


class ShakyReader(io.RawIOBase):
    def __init__(self, owner: Shaky, file: BinaryIO) -> None:
        self._owner, self._file = owner, file

    def read(self, size: int = -1) -> bytes:
        if self._owner.fault is not None:
            raise self._owner.fault
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


def test_a_description_of_a_folder_does_not_unpack_the_archive_for_each_image(
    tmp_path: Path,
) -> None:
    names = [f"album/{number}.png" for number in range(20)]
    content = {"album/metadata.json": b"{}", **dict.fromkeys(names, picture())}
    file = Shaky(write(tmp_path / "a.tgz", content))
    archive = tars.PackedTar(file)
    found = {each.name: each for each in archive.members()}
    for name in names:
        assert archive.read(found[name], 1 << 20) == content[name]
        assert archive.read(found["album/metadata.json"], 1 << 20) == b"{}"
    assert file.opens == 2  # for the list, and for all content
    archive.close()


def test_a_fault_that_passes_does_not_end_a_packed_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tars, "_LOOK_AHEAD", 1_000)  # so that the fault is met between members
    content = {f"{number}.png": os.urandom(100_000) for number in range(3)}
    file = Shaky(write(tmp_path / "a.tgz", content))
    archive = tars.PackedTar(file)
    found = list(archive.members())
    assert archive.read(found[0], 1 << 20) == content["0.png"]
    file.fault = OSError(errno.EIO, "it may pass")
    with pytest.raises(OSError, match="it may pass"):
        archive.read(found[2], 1 << 20)
    file.fault = None
    assert archive.read(found[2], 1 << 20) == content["2.png"]
    archive.close()


def test_a_zip_on_a_server_that_is_not_reached_is_not_called_damaged(tmp_path: Path) -> None:
    file = Shaky(write(tmp_path / "a.zip", {"a.png": picture()}))
    file.is_remote = True
    file.fault = ConnectionError(errno.ECONNRESET, "it may pass")
    with pytest.raises(ConnectionError, match="it may pass"):
        list(members.Zip(file).members())
    file.fault = None
    assert [each.name for each in members.Zip(file).members()] == ["a.png"]


def test_an_image_whose_sidecar_can_not_be_read_now_is_not_read_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.zip", {"a.png": picture(), "a.txt": b"a lake"})
    source = ArchiveSource("a", path)
    candidate = scanned(source)["a/a.png"]
    read = members.Zip.read

    def failing(self: members.Zip, member: members.Member, most: int) -> bytes:
        if member.name == "a.txt":
            raise OSError(errno.EIO, "it may pass")
        return read(self, member, most)

    with monkeypatch.context() as patched:
        patched.setattr(members.Zip, "read", failing)
        with pytest.raises(ImageError, match="it may pass") as failed:
            source.read(candidate)
    assert (failed.value.reason, failed.value.subject) == ("unreadable", "a/a.png")
    assert source.read(candidate).sidecars == (("a.txt", b"a lake"),)
