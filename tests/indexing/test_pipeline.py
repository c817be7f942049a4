"""Indexing: what was added, moved, changed and removed; and that nothing is lost or done twice."""

from __future__ import annotations

import io
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import pixseek
from pixseek.errors import (
    LibraryLockedError,
    ModelError,
    SourceError,
    SourceVanishedError,
    SpaceMismatchError,
)
from pixseek.indexing import pipeline, reading
from pixseek.types import Progress, Report

from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six pictures in two folders."""
    for number, colour in enumerate(["red", "green", "blue"]):
        draw(tmp_path / "pictures" / f"{colour}.png", colour, number)
        draw(tmp_path / "pictures" / "sub" / f"{colour}.png", colour, number + 10)
    return tmp_path / "pictures"


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    with pixseek.open(tmp_path / "photos.lib") as opened:
        yield opened


def counts(report: Report) -> dict[str, int]:
    names = ("added", "updated", "moved", "removed", "unchanged", "known_failures")
    values = {name: getattr(report, name) for name in names}
    values["failures"] = len(report.failures)
    return {name: value for name, value in values.items() if value}


def paths(library: pixseek.Library) -> set[str]:
    return {hit.uri for hit in library.search("red", k=1000)}


def content(library: pixseek.Library) -> dict[str, tuple[Any, ...]]:
    """Everything a library holds, to compare with another's."""
    return {
        record.uri: (record, row.astype(np.float16).tobytes())
        for records, rows in library.opened.engine.export()
        for record, row in zip(records, rows, strict=True)
    }


def test_a_first_run_adds_everything_and_a_second_does_nothing(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    report = library.index(pictures)
    assert counts(report) == {"added": 6}
    assert set(report.seconds) == {"scan", "decode", "encode", "store", "total"}
    assert report.seconds["total"] > 0
    assert tiny.embedded == 6
    assert counts(library.index(pictures)) == {"unchanged": 6}
    assert counts(library.index()) == {"unchanged": 6}
    assert tiny.embedded == 6
    best = library.search("blue", k=2)
    assert {hit.path for hit in best} == {pictures / "blue.png", pictures / "sub" / "blue.png"}
    record = best[0].record
    assert (record.width, record.height, record.media) == (40, 30, "image/png")
    assert len(record.digest) == 64


def test_an_unchanged_library_loads_no_model(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(pictures)

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("pixseek.encoders.load", fail)
    with pixseek.open(library.path) as again:
        assert counts(again.index()) == {"unchanged": 6}


def test_changed_and_deleted_files_are_seen(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    library.index(pictures)
    draw(pictures / "red.png", "blue", 99)
    (pictures / "green.png").unlink()
    assert counts(library.index(pictures)) == {"updated": 1, "removed": 1, "unchanged": 4}
    assert tiny.embedded == 7
    assert "pictures/green.png" not in paths(library)
    assert {hit.path for hit in library.search("blue", k=3)} >= {pictures / "red.png"}


def test_a_touched_file_is_not_embedded_again(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    library.index(pictures)
    os.utime(pictures / "red.png")
    report = library.index(pictures)
    assert counts(report) == {"updated": 1, "unchanged": 5}
    assert report.reused == 1
    assert tiny.embedded == 6
    assert counts(library.index(pictures)) == {"unchanged": 6}


@pytest.mark.parametrize("same_stamp", [True, False])
def test_moves_and_renames_never_embed_again(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder, same_stamp: bool
) -> None:
    library.index(pictures)
    (pictures / "sub").rename(pictures / "renamed folder")
    (pictures / "red.png").rename(pictures / "renamed folder" / "rot.png")
    if not same_stamp:
        for path in pictures.rglob("*.png"):
            os.utime(path)
    report = library.index(pictures)
    assert (report.moved, report.added, report.removed) == (4, 0, 0)
    assert tiny.embedded == 6
    assert paths(library) == {
        f"pictures/{name}"
        for name in (
            "green.png",
            "blue.png",
            "renamed folder/rot.png",
            "renamed folder/red.png",
            "renamed folder/green.png",
            "renamed folder/blue.png",
        )
    }


def test_files_that_swapped_names_are_not_embedded_again(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Renumbered: every file takes the name of the next, written at every step.
    monkeypatch.setattr(pipeline, "CHECKPOINT_RECORDS", 1)
    folder = tmp_path / "pictures"
    for number in range(30):
        draw(folder / f"{number:02}.png", "red", number)
    library.index(folder)
    before = {r.uri: (r.digest, v) for r, v in content(library).values()}
    for number in reversed(range(30)):
        (folder / f"{number:02}.png").rename(folder / f"{number + 1:02}.png")
    library.index(folder)
    assert tiny.embedded == 30
    after = {r.uri: (r.digest, v) for r, v in content(library).values()}
    assert after == {
        f"pictures/{number + 1:02}.png": before[f"pictures/{number:02}.png"] for number in range(30)
    }


def test_different_files_with_the_same_stamp_are_distinguished(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    # A zip or a camera gives whole seconds; uncompressed files of one size then share a stamp.
    folder = tmp_path / "pictures"
    draw(folder / "old.bmp", "red", 1)
    os.utime(folder / "old.bmp", (1_000_000_000, 1_000_000_000))
    library.index(folder)
    (folder / "old.bmp").unlink()
    draw(folder / "new.bmp", "blue", 2)
    os.utime(folder / "new.bmp", (1_000_000_000, 1_000_000_000))
    report = library.index(folder)
    assert counts(report) == {"added": 1, "removed": 1}
    assert tiny.embedded == 2


def test_two_copies_of_one_photo_are_both_found_and_embedded_once(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    library.index(pictures)
    shutil.copy(pictures / "red.png", pictures / "copy of red.png")
    report = library.index(pictures)
    assert counts(report) == {"added": 1, "unchanged": 6}
    assert (report.reused, tiny.embedded) == (1, 6)
    first, second = library.similar(pictures / "sub" / "red.png", k=2)
    assert {first.path, second.path} == {pictures / "red.png", pictures / "copy of red.png"}
    (pictures / "red.png").unlink()
    assert counts(library.index(pictures)) == {"removed": 1, "unchanged": 6}
    assert "pictures/copy of red.png" in paths(library)


def test_user_fields_move_with_a_photo(library: pixseek.Library, pictures: Path) -> None:
    from dataclasses import replace

    library.index(pictures)
    record = library.find(pictures / "red.png")
    rows = library.vectors(record.id)
    said = {**record.fields, "user.title": "Anna's barn"}
    library.opened.engine.put([replace(record, fields=said)], rows)
    (pictures / "red.png").rename(pictures / "sub" / "barn.png")
    os.utime(pictures / "sub" / "barn.png")
    library.index(pictures)
    moved = library.find(pictures / "sub" / "barn.png")
    assert moved.fields["user.title"] == "Anna's barn"
    draw(pictures / "sub" / "barn.png", "green", 55)  # edited in place
    library.index(pictures)
    edited = library.find(pictures / "sub" / "barn.png")
    assert edited.fields["user.title"] == "Anna's barn"
    assert edited.digest != moved.digest
    shutil.copy(pictures / "sub" / "barn.png", pictures / "copy.png")
    library.index(pictures)
    assert "user.title" not in library.find(pictures / "copy.png").fields


def test_sidecars_are_read_and_their_changes_are_seen_without_embedding(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    (pictures / "red.txt").write_text("a red wall")
    (pictures / "sub" / "blue.png.json").write_text('{"tags": ["sea", "sky"]}')
    library.index(pictures)
    assert library.find(pictures / "red.png").caption == "a red wall"
    assert library.find(pictures / "sub" / "blue.png").tags == ("sea", "sky")
    assert counts(library.index(pictures)) == {"unchanged": 6}
    (pictures / "red.txt").write_text("the red wall of the barn")
    (pictures / "sub" / "blue.png.json").unlink()
    assert counts(library.index(pictures)) == {"updated": 2, "unchanged": 4}
    assert library.find(pictures / "red.png").caption == "the red wall of the barn"
    assert library.find(pictures / "sub" / "blue.png").tags == ()
    assert tiny.embedded == 6


def test_every_change_of_a_sidecar_is_seen_whatever_its_time(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    image, sidecar = pictures / "red.png", pictures / "red.png.xmp"
    other = pictures / "RED.txt"
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:RDF>'
        '<rdf:Description dc:description="{}"/></rdf:RDF></x:xmpmeta>'
    )

    def said() -> tuple[dict[str, int], str, int]:
        report = library.index(pictures)
        record = library.find(image)
        assert record.stamp is not None
        return counts(report), record.caption, record.stamp.mtime_ns // 10**9

    def write(path: Path, text: str, second: int) -> None:
        path.write_text(text)
        os.utime(path, (second, second))

    os.utime(image, (1_600_000_000, 1_600_000_000))
    changed = {"updated": 1, "unchanged": 5}
    write(sidecar, packet.format("one"), 1_700_000_000)
    library.index(pictures)
    # Older and of the same size (as rsync and Syncthing leave it), and older than the image.
    write(sidecar, packet.format("two"), 1_650_000_000)
    assert said() == (changed, "two", 1_650_000_000)
    write(sidecar, packet.format("ten"), 1_500_000_000)
    assert said() == (changed, "ten", 1_600_000_000)
    # Another size, with the same time.
    write(sidecar, packet.format("eleven"), 1_500_000_000)
    assert said() == (changed, "eleven", 1_600_000_000)
    # One goes, and another comes with the same time.
    sidecar.unlink()
    write(other, "a text", 1_500_000_000)
    assert said() == (changed, "a text", 1_600_000_000)
    other.unlink()
    assert said() == (changed, "", 1_600_000_000)
    assert said()[0] == {"unchanged": 6}
    # The image itself, by an older one of the same size.
    assert tiny.embedded == 6
    draw(image, "red", 77)
    size = image.stat().st_size
    draw(image, "red", 0)
    image.write_bytes(image.read_bytes().ljust(size, b"\0"))
    library.index(pictures)
    os.utime(image, (1_400_000_000, 1_400_000_000))
    assert said() == (changed, "", 1_400_000_000)


def test_a_photo_that_is_renamed_with_its_sidecars_is_recognised_by_its_stamp(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pictures / "red.xmp").write_text("<x/>")
    (pictures / "red.png.json").write_text('{"caption": "a wall"}')
    library.index(pictures)
    for ending in (".png", ".xmp", ".png.json"):
        (pictures / f"red{ending}").rename(pictures / f"wall{ending}")
    (pictures / "away").mkdir()
    for ending in (".png", ".xmp", ".png.json"):
        shutil.copy2(pictures / f"wall{ending}", pictures / "away")
        (pictures / f"wall{ending}").unlink()

    def refuse(*_: object) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr(reading.Reader, "read", refuse)
    assert counts(library.index(pictures)) == {"moved": 1, "unchanged": 5}
    assert library.find(pictures / "away" / "wall.png").caption == "a wall"


def test_a_rename_that_changes_the_date_updates_it(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    library.index(pictures)
    (pictures / "red.png").rename(pictures / "IMG_20210503_142233.png")
    assert counts(library.index(pictures)) == {"moved": 1, "unchanged": 5}
    taken_at = library.find(pictures / "IMG_20210503_142233.png").taken_at
    assert taken_at is not None
    assert taken_at.isoformat() == "2021-05-03T14:22:33"
    assert tiny.embedded == 6


def test_previews_are_kept_by_content_and_dropped_with_it(
    library: pixseek.Library, pictures: Path
) -> None:
    draw(pictures / "large.png", "green", 40, size=(1200, 900))
    library.index(pictures)
    record = library.find(pictures / "large.png")
    with Image.open(io.BytesIO(library.preview(record))) as preview:
        assert preview.format == "JPEG"
        assert preview.size == (384, 288)
    assert record.fields["colours"].startswith("#")
    (pictures / "large.png").rename(pictures / "renamed.png")
    shutil.copy(pictures / "renamed.png", pictures / "copy.png")
    library.index(pictures)
    assert library.preview(library.find(pictures / "copy.png")) is not None
    assert len(library.opened.previews) == 7
    (pictures / "renamed.png").unlink()
    library.index(pictures)
    assert library.preview(library.find(pictures / "copy.png")) is not None
    draw(pictures / "copy.png", "blue", 41)
    library.index(pictures)
    assert library.preview(record) is None
    assert len(library.opened.previews) == 7


def test_a_library_can_be_made_without_previews(library: pixseek.Library, pictures: Path) -> None:
    library.index(pictures, previews=False)
    draw(pictures / "new.png", "green", 40)
    library.index(pictures)  # as was said last
    assert len(library.opened.previews) == 0
    assert "colours" not in library.find(pictures / "new.png").fields


def test_a_bad_image_is_a_failure_with_a_reason_and_no_vector_shifts(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    (pictures / "aaa-broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    (pictures / "half.png").write_bytes((pictures / "red.png").read_bytes()[:700])
    (pictures / "page.jpg").write_text("<html>404</html>")
    (pictures / "empty.gif").touch()
    report = library.index(pictures)
    assert counts(report) == {"added": 6, "failures": 4}
    assert {f.uri: f.reason for f in report.failures} == {
        "pictures/aaa-broken.jpg": "damaged",
        "pictures/empty.gif": "empty",
        "pictures/half.png": "damaged",
        "pictures/page.jpg": "not-an-image",
    }
    for record, _ in content(library).values():  # every vector is its own image's
        path = library.locate(record)
        assert path is not None
        assert library.search(image=path, k=1)[0].score > 0.999
    # They are not tried again until they change, or --retry says so.
    assert counts(library.index(pictures)) == {"unchanged": 6, "known_failures": 4}
    assert counts(library.index(pictures, retry=True)) == {"unchanged": 6, "failures": 4}
    draw(pictures / "half.png", "green", 7)
    (pictures / "page.jpg").unlink()
    assert counts(library.index(pictures)) == {"added": 1, "unchanged": 6, "known_failures": 2}
    assert [f.uri for f in library.failures()] == [
        "pictures/aaa-broken.jpg",
        "pictures/empty.gif",
    ]


def test_a_good_file_that_breaks_leaves_the_library(
    library: pixseek.Library, pictures: Path
) -> None:
    library.index(pictures)
    (pictures / "red.png").write_text("not an image any more")
    assert counts(library.index(pictures)) == {"failures": 1, "unchanged": 5}
    assert "pictures/red.png" not in paths(library)
    assert counts(library.index(pictures)) == {"known_failures": 1, "unchanged": 5}


def test_a_bug_on_one_image_does_not_end_the_run(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = reading.read_metadata

    def slip(picture: Any, *, name: str, **more: Any) -> Any:
        if name == "green.png":
            raise ZeroDivisionError("nobody thought of this")
        return original(picture, name=name, **more)

    monkeypatch.setattr(reading, "read_metadata", slip)
    report = library.index(pictures)
    assert counts(report) == {"added": 4, "failures": 2}
    assert {f.reason for f in report.failures} == {"unexpected"}
    assert "nobody thought of this" in report.failures[0].message


def test_an_image_that_the_model_refuses_fails_alone(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tiny.encode_images

    def refuse_green(batch: Any) -> Any:
        if np.any(batch[:, 1].mean(axis=(1, 2)) > batch[:, [0, 2]].mean(axis=(2, 3)).max(axis=1)):
            raise ModelError("It produced nothing", "tiny")
        return original(batch)

    monkeypatch.setattr(tiny, "encode_images", refuse_green)
    report = library.index(pictures)
    assert sorted((f.uri, f.stage, f.reason) for f in report.failures) == [
        ("pictures/green.png", "encode", "not-encodable"),
        ("pictures/sub/green.png", "encode", "not-encodable"),
    ]
    assert paths(library) == {f"pictures/{n}.png" for n in ("red", "blue", "sub/red", "sub/blue")}


def test_batches_are_smaller_towards_the_end(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(26):
        draw(tmp_path / "many" / f"{number:02}.png", "red", number)
    sizes: list[int] = []
    encode = tiny.encode_images

    def counting(batch: Any) -> Any:
        sizes.append(len(batch))
        return encode(batch)

    monkeypatch.setattr(tiny, "encode_images", counting)
    with pixseek.open(library.path, threads=2) as opened:
        assert opened.index(tmp_path / "many").added == 26
    assert sum(sizes) == 26
    assert sorted(sizes, reverse=True) == [4, 4, 4, 3, 2, 2, 2, 2, 2, 1]


def test_a_model_that_refuses_everything_ends_the_run(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(batch: Any) -> Any:
        raise ModelError("The graph is broken", "tiny")

    monkeypatch.setattr(tiny, "encode_images", refuse)
    with pytest.raises(ModelError, match=r"(?i)graph is broken"):
        library.index(pictures)
    assert library.failures() == []


def test_a_model_with_batch_size_one_that_refuses_everything_ends_the_run(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        draw(tmp_path / "many" / f"{number:02}.png", "red", number)
    tiny.batch_size = 1
    monkeypatch.setattr(pipeline, "CHECKPOINT_S", 0)  # a slow machine stores after each

    def refuse(batch: Any) -> Any:
        raise ModelError("The graph is broken", "tiny")

    monkeypatch.setattr(tiny, "encode_images", refuse)
    with pytest.raises(ModelError, match=r"(?i)graph is broken"):
        library.index(tmp_path / "many")
    assert library.failures() == []


def test_concurrent_model_calls_do_not_exceed_its_streams(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        draw(tmp_path / "many" / f"{number:02}.png", "red", number)
    original, lock = tiny.encode_images, threading.Lock()
    running, most = 0, 0

    def count(batch: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return original(batch)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(tiny, "encode_images", count)
    tiny.seconds_a_batch = 0.02
    library.index(tmp_path / "many")
    assert most == 1
    assert tiny.embedded == len(library) == 40


def test_a_vanished_root_removes_nothing(library: pixseek.Library, pictures: Path) -> None:
    library.index(pictures)
    away = pictures.rename(pictures.with_name("unplugged"))
    with pytest.raises(SourceError, match=r"(?i)gone"):
        library.index()
    pictures.mkdir()  # an unmounted drive leaves an empty folder
    with pytest.raises(SourceVanishedError, match="Nothing was removed"):
        library.index(pictures)
    assert len(library) == 6
    pictures.rmdir()
    away.rename(pictures)
    assert counts(library.index()) == {"unchanged": 6}


def test_one_unplugged_drive_does_not_stop_the_others(
    library: pixseek.Library, pictures: Path, tmp_path: Path
) -> None:
    draw(tmp_path / "drive" / "1.png", "red", 70)
    library.index(pictures, tmp_path / "drive")
    (tmp_path / "drive").rename(tmp_path / "unplugged")
    draw(pictures / "new.png", "blue", 71)
    report = library.index()
    assert counts(report) == {"added": 1, "unchanged": 6, "failures": 1}
    assert report.failures[0].uri == "drive/"
    assert len(library) == 8


def test_a_drive_that_vanishes_in_mid_run_leaves_finished_work(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    folder = tmp_path / "drive"
    for number in range(60):
        draw(folder / f"{number:02}.png", "red", number)
    tiny.seconds_a_batch = 0.02

    def unplug(progress: Progress) -> None:
        if progress.stage == "index" and progress.done == 12:
            folder.rename(tmp_path / "away")

    with pytest.raises(SourceVanishedError):
        library.index(folder, on_progress=unplug)
    kept = len(library)
    assert 8 <= kept < 60
    assert library.failures() == []
    (tmp_path / "away").rename(folder)
    assert counts(library.index(folder)) == {"unchanged": kept, "added": 60 - kept}


def test_a_root_that_moved_is_recognised(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder, tmp_path: Path
) -> None:
    library.index(pictures)
    moved = pictures.rename(tmp_path / "mounted elsewhere")
    assert counts(library.index(moved)) == {"unchanged": 6}
    assert library.search("red", k=1)[0].path in {moved / "red.png", moved / "sub" / "red.png"}
    assert [root.path for root in library.roots()] == [moved]


def test_a_folder_above_an_indexed_one_absorbs_it(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    library.index(pictures / "sub")
    assert counts(library.index(pictures)) == {"added": 3, "unchanged": 3}
    assert tiny.embedded == 6
    assert [root.name for root in library.roots()] == ["pictures"]
    assert len(library) == 6


def test_excludes_survive_when_a_folder_above_is_indexed(
    library: pixseek.Library, pictures: Path
) -> None:
    draw(pictures / "sub" / "deep" / "x.gif", "red", 30)
    draw(pictures / "sub" / "deep" / "y.png", "red", 31)
    library.index(pictures / "sub", exclude=["*.gif", "/deep/y.png"])
    library.remove(pictures / "sub" / "red.png")
    assert counts(library.index(pictures)) == {"added": 3, "unchanged": 2}
    draw(pictures / "other.gif", "blue", 32)  # outside of the folder that the pattern was for
    assert counts(library.index()) == {"added": 1, "unchanged": 5}


def test_a_kill_while_roots_are_joined_leaves_no_duplicates(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch, tiny: TinyEncoder
) -> None:
    library.index(pictures / "sub")
    monkeypatch.setattr("pixseek.library.nested_roots.CHUNK", 1)
    original, calls = library.opened.engine.delete, []

    def die(ids: Any, *more: Any) -> int:
        calls.append(ids)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(ids, *more)

    monkeypatch.setattr(library.opened.engine, "delete", die)
    with pytest.raises(KeyboardInterrupt):
        library.index(pictures)
    monkeypatch.setattr(library.opened.engine, "delete", original)
    library.index(pictures)
    assert [root.name for root in library.roots()] == ["pictures"]
    assert len(library) == 6
    assert tiny.embedded == 6


def test_folders_and_files_of_one_name_do_not_mix(library: pixseek.Library, tmp_path: Path) -> None:
    one = draw(tmp_path / "a" / "photos" / "1.png", "red", 1)
    two = draw(tmp_path / "b" / "photos" / "1.png", "blue", 2)
    three = draw(tmp_path / "c" / "3.unknown.png", "green", 3)
    draw(tmp_path / "c" / "not asked for.png", "green", 4)
    assert counts(library.index(one.parent, two.parent, three)) == {"added": 3}
    assert sorted(root.name for root in library.roots()) == ["c", "photos", "photos-2"]
    assert {hit.path for hit in library.search("red", k=9)} == {one, two, three}
    assert counts(library.index()) == {"unchanged": 3}


def test_excludes_are_remembered_for_the_root(library: pixseek.Library, pictures: Path) -> None:
    assert counts(library.index(pictures, exclude=["sub/"])) == {"added": 3}
    assert counts(library.index(pictures)) == {"unchanged": 3}


def test_a_path_that_is_not_there_is_an_error(library: pixseek.Library, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file or folder"):
        library.index(tmp_path / "nothing")
    with pytest.raises(SourceError, match=r"(?i)no folders yet"):
        library.index()


def test_removed_images_are_skipped_until_they_are_named(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    library.index(pictures)
    assert library.remove(pictures / "red.png") == 1
    assert library.remove(pictures / "sub") == 3
    assert (pictures / "red.png").exists()
    assert counts(library.index()) == {"unchanged": 2}
    assert counts(library.index(pictures / "sub")) == {"added": 3}
    assert counts(library.index()) == {"unchanged": 5}
    assert len(library.opened.previews) == 5
    assert library.remove(root="pictures") == 5
    assert library.roots() == []
    assert len(library.opened.previews) == 0


def test_a_stopped_run_keeps_finished_work_and_the_next_continues(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    folder = tmp_path / "many"
    for number in range(40):
        draw(folder / f"{number:02}.png", "red", number)
    stop = threading.Event()

    def watch(progress: Progress) -> None:
        if progress.stage == "index" and progress.done >= 10:
            stop.set()

    report = library.index(folder, stop=stop, on_progress=watch)
    assert report.stopped
    assert 8 <= report.added < 40
    assert len(library) == report.added
    rest = library.index(folder)
    assert not rest.stopped
    assert (rest.added, rest.unchanged) == (40 - report.added, report.added)
    assert tiny.embedded <= 40 + tiny.batch_size


def test_an_interrupt_keeps_embedded_images(library: pixseek.Library, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for number in range(40):
        draw(folder / f"{number:02}.png", "red", number)

    def interrupt(progress: Progress) -> None:
        if progress.stage == "index" and progress.done >= 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.index(folder, on_progress=interrupt)
    assert len(library) == 17
    assert counts(library.index(folder)) == {"unchanged": 17, "added": 23}


def test_a_second_indexer_gets_library_locked_error(
    library: pixseek.Library, pictures: Path, tmp_path: Path
) -> None:
    run = library.indexing(pictures)
    next(run)
    with (
        pixseek.open(tmp_path / "photos.lib") as other,
        pytest.raises(LibraryLockedError, match="Another process is indexing"),
    ):
        other.index(pictures)
    run.close()
    assert counts(library.index(pictures)) == {"added": 6}


def test_another_model_is_refused_with_both_names_and_advice(
    library: pixseek.Library, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(pictures)
    monkeypatch.setattr("pixseek.encoders.load", lambda *_, **__: TinyEncoder("other"))
    with pixseek.open(tmp_path / "photos.lib", model="other") as opened:
        # Indexing refuses it too, although there is nothing new to embed.
        for refused in (lambda: opened.search("red"), opened.encoder, opened.index):
            with pytest.raises(SpaceMismatchError) as caught:
                refused()
            assert "tiny" in str(caught.value)
            assert "other" in str(caught.value)
            assert "--library" in caught.value.advice


@pytest.mark.skipif(sys.platform == "win32", reason="a library is moved while it is open")
def test_a_portable_library_moves_with_its_photos(
    tmp_path: Path, pictures: Path, tiny: TinyEncoder
) -> None:
    with pixseek.open(pictures / ".pixseek") as library:
        assert counts(library.index(pictures)) == {"added": 6}
    elsewhere = pictures.rename(tmp_path / "other mount")
    with pixseek.open(elsewhere) as library:
        assert counts(library.index()) == {"unchanged": 6}
        assert library.search("blue", k=1)[0].path.is_relative_to(elsewhere)
    assert tiny.embedded == 6


def test_progress_reports_counts_and_rate(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    folder = tmp_path / "many"
    for number in range(24):
        draw(folder / f"{number:02}.png", "red", number)
    (folder / "bad.png").write_text("no image")
    tiny.seconds_a_batch = 0.05
    seen = list(library.indexing(folder))
    stages = [progress.stage for progress in seen]
    assert stages == sorted(stages, key=["scan", "prepare", "index", "finish"].index)
    last = [progress for progress in seen if progress.stage == "index"][-1]
    assert (last.done, last.total, last.failed) == (25, 25, 1)
    assert last.rate > 0
    assert last.left_s == 0
    assert all(progress.done <= 25 for progress in seen)


def test_status_shows_a_run_of_another_process(
    library: pixseek.Library, pictures: Path, tmp_path: Path
) -> None:
    run = library.indexing(pictures)
    next(run)
    with pixseek.open(tmp_path / "photos.lib") as other:
        running = other.status().running
        assert running is not None
        assert running["pid"] == os.getpid()
    for _ in run:
        pass
    assert library.status().running is None
    assert library.status().records == 6


_RUN = """
import sys
import pixseek
from pixseek import encoders
from pixseek.indexing import pipeline, reading
from tiny_encoder import TinyEncoder, draw
pipeline.CHECKPOINT_S = 0.03
encoders.load = lambda *a, **k: TinyEncoder(seconds_a_batch=0.1)
with pixseek.open(sys.argv[1]) as library:
    print("began", flush=True)
    library.index(sys.argv[2])
"""


def _change(folder: Path, rng: random.Random) -> None:
    """Do to a folder what people do to theirs."""
    for _ in range(rng.randint(3, 25)):
        files = sorted(folder.rglob("*.png"))
        path = rng.choice(files)
        number = rng.randrange(10**9)
        match rng.randrange(6):
            case 0:
                path.unlink()
            case 1:
                path.rename(folder / f"moved-{number}.png")
            case 2:
                draw(path, rng.choice(["red", "blue"]), number)
            case 3:
                shutil.copy(path, folder / f"copy-{number}.png")
            case 4:
                draw(folder / "new" / f"{number}.png", "green", number)
            case 5:
                path.write_text("broken")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize(
    ("rounds", "kills_a_round"),
    [
        (2, 2),
        pytest.param(12, 4, marks=pytest.mark.slow),
        pytest.param(40, 6, marks=[pytest.mark.wide, pytest.mark.timeout(1800)]),
    ],
)
def test_a_library_killed_at_random_points_equals_one_that_was_not(
    tmp_path: Path, rounds: int, kills_a_round: int
) -> None:
    rng = random.Random(20261121)
    folder = tmp_path / "pictures"
    for number in range(80):
        draw(folder / f"{number % 7}" / f"{number:03}.png", "red", number)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

    def run(library: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", _RUN, tmp_path / library, folder],
            stdout=subprocess.PIPE,
            env=environment,
        )

    kills = 0
    for _ in range(rounds):
        for _ in range(kills_a_round):
            with run("killed.lib") as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(rng.uniform(0, 0.25))
                process.kill()
            kills += process.returncode == -signal.SIGKILL
        with run("killed.lib") as process:
            assert process.wait() == 0
        _change(folder, rng)
    for name in ("killed.lib", "whole.lib"):
        with run(name) as process:
            assert process.wait() == 0
    with pixseek.open(tmp_path / "killed.lib") as killed, pixseek.open(tmp_path / "whole.lib") as w:
        assert content(killed) == content(w)
        assert killed.failures() == w.failures()
        assert len(w) > 40
    assert kills >= rounds


@pytest.mark.slow
@given(seed=st.integers(0, 10**9))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_after_any_changes_a_library_equals_a_rebuilt_one(
    tmp_path_factory: pytest.TempPathFactory, tiny: TinyEncoder, seed: int
) -> None:
    base = tmp_path_factory.mktemp("any")
    rng = random.Random(seed)
    folder = base / "pictures"
    for number in range(15):
        draw(folder / f"{number:02}.png", "red", number)
    with pixseek.open(base / "lived.lib") as lived:
        for _ in range(3):
            lived.index(folder)
            _change(folder, rng)
        lived.index(folder)
        with pixseek.open(base / "anew.lib") as anew:
            anew.index(folder)
            assert content(lived) == content(anew)
            assert [f.uri for f in lived.failures()] == [f.uri for f in anew.failures()]


_MEASURED = """
import sys
from pathlib import Path
import pixseek

def peak_mib():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024

with pixseek.open(sys.argv[1], model="demo") as library:
    for part in sys.argv[2:]:
        assert not library.index(part).failures
        print(peak_mib(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_small_and_flat_with_12_megapixel_photos(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (300, 400, 3), np.uint8))
    buffer = io.BytesIO()
    small.resize((4000, 3000), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
    for number in range(200):
        path = tmp_path / ("a" if number < 40 else "b") / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(buffer.getvalue() + number.to_bytes(4, "big"))  # its own digest
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, tmp_path / "l.lib", tmp_path / "a", tmp_path / "b"],
        capture_output=True,
        text=True,
        check=True,
    )
    early, late = map(int, done.stdout.split())
    print(f"peak after 40 images {early} MiB, after 200 {late} MiB")
    assert late < 700  # a larger model's weights have the rest of 800 MB
    assert late - early < 50
