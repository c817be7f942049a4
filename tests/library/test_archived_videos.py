"""Videos in archives: indexed, found, cut and played where they lie, or unpacked for a while."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import pixseek
from films import colour_of, film
from pixseek.library import surfaces
from pixseek.server.access import Access
from pixseek.server.app import create_app
from pixseek.types import Record

from tiny_encoder import TinyEncoder, draw

pytestmark = pytest.mark.slow
pytest.importorskip("av", reason="av is not installed")

SCENES = (("red", 2.0), ("green", 2.0))


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    del tiny
    with pixseek.open(tmp_path / "a.lib") as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path) -> Path:
    film(tmp_path / "in" / "day" / "a.mp4", SCENES)
    draw(tmp_path / "in" / "day" / "p.png", "white")
    draw(tmp_path / "in" / "IMG_1.JPG", "blue")
    film(tmp_path / "in" / "IMG_1.MOV", (("red", 1.0),))
    (tmp_path / "in" / "types.d.ts").write_text("const typescript = true")
    return tmp_path / "in"


def packed(files: Path, name: str) -> Path:
    path = files.parent / name
    found = sorted(each for each in files.rglob("*") if each.is_file())
    if path.suffix == ".zip":
        how = zipfile.ZIP_DEFLATED if "deflated" in name else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", how) as file:
            for each in found:
                file.write(each, each.relative_to(files))
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as tar:
            for each in found:
                tar.add(each, each.relative_to(files))
    return path


def named(library: pixseek.Library, name: str) -> Record:
    (record,) = [each for each in library.records() if each.name == name]
    return record


@pytest.mark.parametrize("name", ["a.zip", "deflated.zip", "a.tar", "a.tgz"])
def test_videos_in_archives_are_as_those_in_folders(
    library: pixseek.Library, files: Path, tmp_path: Path, name: str, tiny: TinyEncoder
) -> None:
    path = packed(files, name)
    report = library.index(path)
    is_packed = name.endswith(".tgz")  # in which a live photo would be unpacked twice
    assert (report.added, report.failures) == (4 if is_packed else 3, ())
    assert library.index().unchanged == report.added
    video, content = named(library, "a.mp4"), (files / "day" / "a.mp4").read_bytes()
    assert [part.kind for part in video.parts] == ["shot", "shot"]
    (hit,) = library.search("green", k=1)
    assert (hit.record.name, hit.part) == ("a.mp4", video.parts[1])
    still = named(library, "IMG_1.JPG")
    assert [part.kind for part in still.parts] == ["image"] + ["shot"] * (not is_packed)
    assert colour_of(np.asarray(library.frame(video.id, 2.5))) == "green"
    made = library.cut(video, video.parts[1], tmp_path / "clip.mp4", exact=True)
    assert made.is_exact and made.path.stat().st_size
    file = surfaces.original(library, video)
    assert file is not None
    with file:
        assert (file.size, file.read_at(100, 50)) == (len(content), content[100:150])
    again = surfaces.moving(library, video)
    assert again is not None
    with again:
        assert again.version == file.version  # or browsers would begin again at each range
    embedded = tiny.embedded
    shutil.copy(path, tmp_path / f"copy-{name}")
    assert library.index(tmp_path / f"copy-{name}").reused == report.added
    assert tiny.embedded == embedded


@pytest.mark.parametrize("name", ["a.zip", "deflated.zip"])
def test_players_get_ranges_of_a_member(library: pixseek.Library, files: Path, name: str) -> None:
    library.index(packed(files, name))
    content = (files / "day" / "a.mp4").read_bytes()
    clip = (files / "IMG_1.MOV").read_bytes()
    ids = {each.name: each.id for each in library.records()}
    app = create_app({"photos": library}, access=Access.of(bound_to="127.0.0.1"))
    with TestClient(app, base_url="http://localhost") as client:
        for there, sent in (
            (f"{ids['a.mp4']}/original", content), (f"{ids['a.mp4']}/clip", content),
            (f"{ids['IMG_1.JPG']}/clip", clip),
        ):  # fmt: skip
            whole = client.get(f"/api/images/{there}")
            assert (whole.status_code, whole.content) == (200, sent)
            some = {"Range": "bytes=200-299", "If-Range": whole.headers["etag"]}
            part = client.get(f"/api/images/{there}", headers=some)
            assert (part.status_code, part.content) == (206, sent[200:300])


def test_a_video_that_is_too_large_to_unpack_says_so(
    library: pixseek.Library, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixseek.sources.archived_videos.MOST_BYTES", 1000)
    report = library.index(packed(files, "deflated.zip"))
    failed = {each.uri: each for each in report.failures}
    assert set(failed) == {"deflated/day/a.mp4", "deflated/IMG_1.MOV"}
    assert failed["deflated/day/a.mp4"].reason == "too-large"
    assert "Unpack the archive" in failed["deflated/day/a.mp4"].advice
    with pixseek.open(files.parent / "b.lib") as other:
        assert other.index(packed(files, "a.zip")).failures == ()  # it is read where it lies


def test_a_live_photo_that_can_not_be_unpacked_now_is_left_to_the_next_run(
    library: pixseek.Library, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:  # a full disk
        patched.setattr("pixseek.sources.archived_videos._SHARE", 0.0)
        report = library.index(packed(files, "deflated.zip"))
    failed = {each.uri: each for each in report.failures}
    assert {(each.stage, each.reason) for each in failed.values()} == {("read", "unreadable")}
    assert "deflated/IMG_1.MOV" in failed
    assert failed["deflated/IMG_1.JPG"].message.startswith("IMG_1.MOV next to it: ")
    report = library.index(files.parent / "deflated.zip")
    assert (len(library), report.failures) == (3, ())
    still = named(library, "IMG_1.JPG")
    assert [part.kind for part in still.parts] == ["image", "shot"]


def test_an_archive_that_changed_plays_what_it_has_now(
    library: pixseek.Library, files: Path
) -> None:
    path = packed(files, "deflated.zip")
    library.index(path)
    video = named(library, "a.mp4")
    first = surfaces.moving(library, video)
    assert first is not None
    first.close()
    film(files / "day" / "a.mp4", (("blue", 3.0),))
    packed(files, "deflated.zip")
    now = surfaces.moving(library, video)
    assert now is not None
    with now:
        assert now.read_at(0, now.size) == (files / "day" / "a.mp4").read_bytes()
    path.unlink()
    assert surfaces.moving(library, video) is None
