"""Archives on servers: read by ranges, so that about their size is fetched, and opened later."""

from __future__ import annotations

import io
import tarfile
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

from file_servers import Count, web


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


@pytest.mark.parametrize(("name", "times"), [("a.zip", 1.2), ("a.tar", 1.5), ("a.tgz", 2.5)])
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
