"""Videos in a library: one record each, whose parts are its shots."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pixseek
from films import THREE, colour_of, film
from pixseek.indexing import videos
from pixseek.types import Record
from pixseek.video.frames import Source, unreadable

from tiny_encoder import TinyEncoder, WideEncoder, draw

pytest.importorskip("av")


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    del tiny
    with pixseek.open(tmp_path / "a.lib") as opened:
        yield opened


def two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let libraries have "tiny" and "wide"."""
    known = {each.name: each for each in (TinyEncoder(), WideEncoder())}
    monkeypatch.setattr("pixseek.encoders.load", lambda name, **_: known[str(name)])
    monkeypatch.setattr("pixseek.encoders.is_known", known.__contains__)
    monkeypatch.setattr("pixseek.encoders.locate", lambda *_: None)
    monkeypatch.setattr("pixseek.library.jobs.LEARN_FROM", 0)


def stored(library: pixseek.Library, uri: str) -> Record:
    (record,) = [hit.record for hit in library.search("red", k=100) if hit.uri == uri]
    return record


def test_a_video_is_one_record_with_a_part_for_each_shot(
    library: pixseek.Library, tmp_path: Path
) -> None:
    film(tmp_path / "all" / "a.mp4", sound=True)
    draw(tmp_path / "all" / "photo.png", "black")
    report = library.index(tmp_path / "all")
    assert (report.added, report.failures) == (2, ())
    record = stored(library, "all/a.mp4")
    assert (record.media, record.width, record.height) == ("video/mp4", 160, 96)
    assert [part.kind for part in record.parts] == ["shot"] * 3
    assert [part.start_s for part in record.parts] == pytest.approx([0, 2, 4], abs=0.3)
    assert [part.end_s for part in record.parts] == pytest.approx([2, 4, 6], abs=0.3)
    for part in record.parts:
        assert part.start_s is not None
        assert part.end_s is not None
        assert part.frame_s is not None
        assert part.start_s <= part.frame_s <= part.end_s
    fields = record.fields
    assert (fields["codec"], fields["has_audio"], fields["fps"]) == ("h264", True, 10)
    assert fields["duration_s"] == pytest.approx(6, abs=0.2)
    assert {"placeholder", "colours", "colour_names"} <= set(fields)
    assert len(record.perceptual_hash) == 16
    assert len(record.digest) == 64


@pytest.mark.parametrize(("colour", "shot"), [("red", 0), ("green", 1), ("blue", 2)])
def test_words_find_the_shot(
    library: pixseek.Library, tmp_path: Path, colour: str, shot: int
) -> None:
    film(tmp_path / "all" / "a.webm", codec="libvpx-vp9")
    library.index(tmp_path / "all")
    (hit,) = library.search(colour, k=1)
    assert hit.part == hit.record.parts[shot]


def test_each_shot_has_a_preview_and_the_video_too(
    library: pixseek.Library, tmp_path: Path
) -> None:
    film(tmp_path / "all" / "a.mp4", (("red", 1.0), ("green", 3.0), ("blue", 1.0)))
    library.index(tmp_path / "all")
    record = stored(library, "all/a.mp4")
    previews = library.opened.previews
    assert previews is not None

    def seen(part: int) -> str:
        content = previews.get(record.digest, part)
        assert content is not None
        (tmp_path / "preview.jpg").write_bytes(content)
        return colour_of(np.asarray(Image.open(tmp_path / "preview.jpg")))

    assert seen(0) == "green"  # the longest
    assert [seen(n + 1) for n in range(3)] == ["red", "green", "blue"]


def test_an_unchanged_video_is_not_decoded_again(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    film(tmp_path / "all" / "a.mp4")
    library.index(tmp_path / "all")
    before = tiny.embedded
    assert library.index().unchanged == 1
    assert tiny.embedded == before


@pytest.mark.parametrize("touched", [False, True], ids=["same time", "another time"])
def test_a_video_that_moved_keeps_its_vectors_and_tags(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder, touched: bool
) -> None:
    path = film(tmp_path / "all" / "a.mp4")
    library.index(tmp_path / "all")
    library.tag(library.search("red", k=1)[0].id, add=["holiday"])
    before, embedded = stored(library, "all/a.mp4"), tiny.embedded
    moved = path.rename(path.with_name("b.mp4"))
    if touched:
        os.utime(moved, (1e9, 1e9))
    assert library.index().moved == 1
    after = stored(library, "all/b.mp4")
    assert after.tags == ("holiday",)
    assert (after.parts, after.perceptual_hash) == (before.parts, before.perceptual_hash)
    assert after.fields == before.fields
    assert tiny.embedded == embedded


def test_a_copy_shares_vectors(library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder) -> None:
    path = film(tmp_path / "all" / "a.mp4")
    library.index(tmp_path / "all")
    embedded = tiny.embedded
    shutil.copy(path, path.with_name("b.mp4"))
    report = library.index()
    assert (report.added, report.reused) == (1, 1)
    assert stored(library, "all/b.mp4").parts == stored(library, "all/a.mp4").parts
    assert tiny.embedded == embedded


def test_reading_metadata_again_keeps_how_it_looks(
    library: pixseek.Library, tmp_path: Path
) -> None:
    path = film(tmp_path / "all" / "a.mp4")
    library.index(tmp_path / "all")
    before = stored(library, "all/a.mp4")
    path.with_name("a.mp4.txt").write_text("a caption")
    library.index(reread=True)
    after = stored(library, "all/a.mp4")
    assert after.caption == "a caption"
    assert (after.parts, after.fields) == (before.parts, before.fields)


def test_a_changed_video_is_embedded_again(library: pixseek.Library, tmp_path: Path) -> None:
    path = film(tmp_path / "all" / "a.mp4")
    library.index(tmp_path / "all")
    film(path, (("blue", 2.0), ("red", 2.0)))
    assert library.index().updated == 1
    assert len(stored(library, "all/a.mp4").parts) == 2


def test_a_broken_video_is_a_failure_and_the_others_go_on(
    library: pixseek.Library, tmp_path: Path
) -> None:
    film(tmp_path / "all" / "a.mp4")
    (tmp_path / "all" / "b.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(3000))
    (tmp_path / "all" / "c.ts").write_text("const typescript: boolean = true")
    (tmp_path / "all" / "d.d.mts").write_text("export declare const typescript: boolean")
    report = library.index(tmp_path / "all")
    assert report.added == 1
    assert [(f.uri, f.reason) for f in report.failures] == [("all/b.mp4", "damaged")]
    assert report.failures[0].advice
    assert library.index().known_failures == 1


def test_a_video_alone_can_be_named(library: pixseek.Library, tmp_path: Path) -> None:
    path = film(tmp_path / "all" / "a.mp4")
    assert library.index(path).added == 1


def test_without_pyav_videos_are_skipped_and_the_report_says_how_to_get_it(
    library: pixseek.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "all" / "a.mp4")
    draw(tmp_path / "all" / "photo.png")
    monkeypatch.setitem(sys.modules, "av", None)
    report = library.index(tmp_path / "all")
    assert (report.added, report.failures) == (1, ())
    (skipped,) = report.skipped
    assert (skipped.what, skipped.images) == (".mp4", 1)
    assert "pixseek[video]" in skipped.why


def test_what_the_container_says_is_found(library: pixseek.Library, tmp_path: Path) -> None:
    texts = {
        "creation_time": "2019-07-24T08:25:57.000000Z", "title": "At the lake",
        "comment": "The boat comes back", "location": "+47.5000+008.7500+440/",
    }  # fmt: skip
    film(tmp_path / "all" / "a.mp4", texts=texts)
    library.index(tmp_path / "all")
    record = stored(library, "all/a.mp4")
    assert record.taken_at is not None
    assert record.taken_at.isoformat() == "2019-07-24T08:25:57+00:00"
    assert record.fields["taken_from"] == "container"
    assert record.caption == "The boat comes back"
    assert record.fields["title"] == "At the lake"


def test_a_stopped_run_leaves_a_video_to_the_next(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    tiny.seconds_a_batch = 0.2
    many(tmp_path / "all" / "a.mp4")
    stop = threading.Event()

    def watch() -> None:
        while not tiny.embedded and not stop.wait(0.01):
            pass
        stop.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    run = library.indexing(tmp_path / "all", stop=stop)
    report = None
    while report is None:
        try:
            next(run)
        except StopIteration as end:
            report = end.value
    watcher.join()
    assert (report.stopped, report.added, report.failures) == (True, 0, ())
    tiny.seconds_a_batch = 0
    assert library.index().added == 1
    assert len(stored(library, "all/a.mp4").parts) > 30


def many(path: Path) -> Path:
    """Write a video of 60 shots."""
    colours = ("red", "green", "blue", "black")
    return film(path, [(colour, 0.5) for _ in range(15) for colour in colours], rate=4)


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_photos_behind_videos_are_stored_before_these_end(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    del tiny
    for name in "ab"[:threads]:
        film(tmp_path / "all" / f"{name}.mp4", THREE[:1])
    for number in range(24):
        draw(tmp_path / "all" / f"photo {number:02}.png", "white", number)
    monkeypatch.setattr("pixseek.indexing.pipeline.CHECKPOINT_S", 0.0)
    really, stored, gives_up = videos.embedded, threading.Event(), time.monotonic() + 60
    with pixseek.open(tmp_path / "a.lib", threads=threads) as library:

        def embedded(*given: Any) -> videos.Footage:
            while not stored.wait(0.02):
                assert time.monotonic() < gives_up, "photos wait for a video"
                if len(library) == 24:
                    stored.set()
            return really(*given)

        monkeypatch.setattr(videos, "embedded", embedded)
        report = library.index(tmp_path / "all")
        assert (report.added, report.failures) == (24 + threads, ())


_RUN = """
import sys, time
import pixseek
from pixseek import encoders
from pixseek.indexing import pipeline
from tiny_encoder import TinyEncoder

class Slow(TinyEncoder):
    def encode_images(self, batch):
        time.sleep(0.2)
        return super().encode_images(batch)

pipeline.CHECKPOINT_S = 0.0
encoders.load = lambda *a, **k: Slow()
with pixseek.open(sys.argv[1], threads=2) as library:
    print("began", flush=True)
    library.index(sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_kill_in_a_long_video_loses_no_photo_behind_it(
    library: pixseek.Library, tmp_path: Path
) -> None:
    scenes = [(each, 1.0) for _ in range(75) for each in ("red", "green", "blue", "black")]
    film(tmp_path / "all" / "a.mp4", scenes, rate=2)  # 75 batches of 0.2 s
    for number in range(24):
        draw(tmp_path / "all" / f"photo {number:02}.png", "white", number)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", _RUN, library.path, tmp_path / "all"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while len(library) < 24:
            assert process.poll() is None, "the run ended before its photos were stored"
            time.sleep(0.05)
        process.kill()
    report = library.index(tmp_path / "all")
    assert (report.added, report.unchanged) == (1, 24)
    assert len(stored(library, "all/a.mp4").parts) == 300


_MEASURED = """
import resource, sys, time
import pixseek
from pixseek import encoders
from tiny_encoder import TinyEncoder

class Slow(TinyEncoder):
    def encode_images(self, batch):
        time.sleep(0.04)  # so that decoding is far ahead, if it may be
        return super().encode_images(batch)

encoders.load = lambda *a, **k: Slow()
with pixseek.open(sys.argv[1], threads=2) as library:
    for path in sys.argv[2:]:
        assert library.index(path).added == 1
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            print(resource.getrusage(who).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="KiB")
def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path: Path) -> None:
    scenes = [(each, 1.0) for _ in range(60) for each in ("red", "green", "blue", "white")]
    for seconds in (30, 240):
        film(tmp_path / f"{seconds}.mp4", scenes[:seconds], rate=2, gop=10, size=(640, 360),
             options={"preset": "ultrafast"})  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, tmp_path / "a.lib", tmp_path / "30.mp4",
         tmp_path / "240.mp4"],
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    own, decoder, own_late, decoder_late = map(int, done.stdout.split())
    print(f"MiB after 30 s {own} and {decoder} (decoder), after 240 s {own_late}, {decoder_late}")
    assert own_late - own < 60  # 240 frames are 166 MB
    assert decoder_late - decoder < 30


@pytest.mark.slow
def test_an_interrupt_does_not_wait_for_the_end_of_a_video(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    many(tmp_path / "all" / "a.mp4")
    for number in range(12):
        draw(tmp_path / "all" / f"photo {number:02}.png", "white", number)
    tiny.seconds_a_batch = 0.1

    def interrupt(progress: pixseek.types.Progress) -> None:
        if progress.stage == "index" and progress.done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.index(tmp_path / "all", on_progress=interrupt)
    assert tiny.embedded < 60
    tiny.seconds_a_batch = 0
    assert library.index().added >= 8
    assert len(stored(library, "all/a.mp4").parts) > 30


def test_a_run_that_is_stopped_while_a_file_is_hashed_ends_with_a_report(
    library: pixseek.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "all" / "a.mp4")
    stop, really = threading.Event(), videos.digest_of

    def digest_of(source: Source, stopped: threading.Event) -> str:
        stop.set()
        return really(source, stopped)

    monkeypatch.setattr(videos, "digest_of", digest_of)
    run = library.indexing(tmp_path / "all", stop=stop)
    report = None
    while report is None:
        try:
            next(run)
        except StopIteration as end:
            report = end.value
    assert (report.stopped, report.added, report.failures) == (True, 0, ())
    assert library.index().added == 1


def test_a_video_that_can_not_be_read_is_tried_again(
    library: pixseek.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "all" / "a.mp4")

    def fail(*_: object) -> str:
        raise unreadable(OSError(errno.EIO, "Input/output error"))

    with monkeypatch.context() as patched:
        patched.setattr(videos, "digest_of", fail)
        (failure,) = library.index(tmp_path / "all").failures
    assert failure.stage == "read"
    assert library.index().added == 1


def test_a_damaged_video_stays_marked_when_it_is_read_again(
    library: pixseek.Library, tmp_path: Path
) -> None:
    path = film(tmp_path / "all" / "a.mp4", [(each, 3.0) for each in ("red", "green", "blue")] * 3,
                flags={"movflags": "+faststart"})  # fmt: skip
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    library.index(tmp_path / "all")
    assert stored(library, "all/a.mp4").fields["damaged"] is True
    os.utime(path, ns=(1, 1))
    library.index(reread=True)
    assert stored(library, "all/a.mp4").fields["damaged"] is True


def test_shots_of_a_video_cover_it_without_gaps(library: pixseek.Library, tmp_path: Path) -> None:
    film(tmp_path / "all" / "a.mp4", (*THREE, ("red", 1.0), ("white", 1.5)))
    library.index(tmp_path / "all")
    parts = stored(library, "all/a.mp4").parts
    assert parts[0].start_s == 0
    assert all(one.end_s == two.start_s for one, two in itertools.pairwise(parts))
    assert videos.has_shots(parts)


@pytest.mark.parametrize("source", ["previews", "file", "file first", "no pyav"])
def test_another_model_embeds_the_same_shots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    two_models(monkeypatch)
    path = film(tmp_path / "all" / "a.mp4")
    draw(tmp_path / "all" / "photo.png", "white")
    with pixseek.open(tmp_path / "a.lib", model="tiny") as library:
        library.index(tmp_path / "all", previews=source != "file")
        before = stored(library, "all/a.mp4").parts
        if source == "previews":
            path.unlink()
        if source == "no pyav":
            monkeypatch.setitem(sys.modules, "av", None)
        report = library.reindex("wide", files=source in ("file first", "no pyav"))
        assert (report.updated, report.failures) == (2, ())
        assert stored(library, "all/a.mp4").parts == before
        for at, colour in enumerate(("red", "green", "blue")):
            hit = next(hit for hit in library.search(colour, k=9) if hit.uri == "all/a.mp4")
            assert hit.part == before[at]


def test_a_video_without_previews_and_file_fails_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_models(monkeypatch)
    path = film(tmp_path / "all" / "a.mp4")
    draw(tmp_path / "all" / "photo.png", "white")
    with pixseek.open(tmp_path / "a.lib", model="tiny") as library:
        library.index(tmp_path / "all", previews=False)
        path.unlink()
        report = library.reindex("wide")
    assert report.updated == 1
    assert [failure.reason for failure in report.failures] == ["missing"]
    assert "pixseek index" in report.failures[0].advice


def test_fast_finds_shots_at_key_frames(library: pixseek.Library, tmp_path: Path) -> None:
    film(tmp_path / "all" / "a.mp4", gop=20)
    library.index(tmp_path / "all", fast=True)
    assert len(stored(library, "all/a.mp4").parts) == 3
