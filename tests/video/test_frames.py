"""Frames of videos: when they are shown, how they lie, and what broken files cost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from films import colour_of, corner_of, film
from pixseek import video
from pixseek.errors import ImageError
from pixseek.images.messages import Channel
from pixseek.video import Frames, Source
from pixseek.video.frames import Frame, probe
from pixseek.video.probe import Video
from pixseek.video.process import Process
from pixseek.video.sampling import MAX_SECONDS, Sampling

pytest.importorskip("av")


def frames_of(path: Path, *, fast: bool = False, least: int = 96) -> tuple[Frames, list[Frame]]:
    frames = Frames(Source(path), least, fast=fast)
    return frames, list(frames)


def scenes_of(found: list[Frame]) -> list[tuple[str, float]]:
    """The colours in the order in which they are shown, each with when it begins."""
    scenes: list[tuple[str, float]] = []
    for frame in found:
        colour = colour_of(np.asarray(frame.pixels))
        if not scenes or scenes[-1][0] != colour:
            scenes.append((colour, frame.start_s))
    return scenes


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"), ("a.mov", "mpeg4"), ("a.mkv", "libx265"), ("a.webm", "libvpx-vp9"),
        ("a.mp4", "libsvtav1"), ("a.ts", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx"),
        ("a.mpg", "mpeg1video"), ("a.mov", "prores_ks"), ("a.3gp", "mpeg4"), ("a.flv", "flv"),
        ("a.wmv", "wmv2"),
    ],
)  # fmt: skip
def test_scenes_are_found_in_every_container_and_codec(
    tmp_path: Path, name: str, codec: str
) -> None:
    import av

    if codec not in av.codecs_available:
        pytest.skip(f"FFmpeg has no {codec} here")
    options = {"prores_ks": "yuv422p10le"}
    rate = 25 if codec == "mpeg1video" else 10
    path = film(tmp_path / name, codec=codec, pix_fmt=options.get(codec, "yuv420p"), rate=rate)
    frames, found = frames_of(path)
    assert [colour for colour, _ in scenes_of(found)] == ["red", "green", "blue"]
    assert [start for _, start in scenes_of(found)] == pytest.approx([0, 2, 4], abs=0.51)
    assert frames.end.duration_s == pytest.approx(6, abs=0.3)
    assert frames.end.notes == ()
    assert frames.media.startswith("video/")


def test_cuts_are_found_at_their_frame_without_key_frames_at_them(tmp_path: Path) -> None:
    options = {"x264-params": "scenecut=0:bframes=3"}
    path = film(tmp_path / "a.mp4", (("red", 1.3), ("green", 2.4), ("blue", 0.6)), options=options)
    _, found = frames_of(path)
    scenes = dict(scenes_of(found))
    assert list(scenes) == ["red", "green", "blue"]
    # Frames that no other needs are not decoded.
    assert list(scenes.values()) == pytest.approx([0, 1.3, 3.7], abs=0.3)


def test_cuts_between_close_key_frames_are_found_without_decoding_them(tmp_path: Path) -> None:
    options = {"x264-params": "scenecut=0:bframes=0"}
    scenes = (("red", 1.3), ("green", 2.4), ("white", 0.6), ("blue", 0.4))
    path = film(tmp_path / "a.mp4", scenes, gop=10, options=options)
    with open(path, "rb", buffering=0) as file:
        sampling = Sampling(Video(file, 1), 0.0, 96, fast=False)
        found = [(colour_of(each.pixels), each.start_s) for each in sampling.run() if each]
    assert [colour for colour, _ in found] == ["red", "green", "white", "blue"]
    assert [start for _, start in found] == pytest.approx([0, 1.3, 3.7, 4.3], abs=0.01)
    # Five key frames, and the end, where no other shows what begins.
    assert sampling._frames < 12


def test_a_still_video_gives_one_frame(tmp_path: Path) -> None:
    _, found = frames_of(film(tmp_path / "a.mp4", (("red", 30.0),)))
    assert [(frame.second, frame.start_s) for frame in found] == [(0, 0)]


def test_a_change_after_a_still_time_begins_when_it_is_seen(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", (("red", 9.0), ("blue", 3.0)), gop=20)
    assert dict(scenes_of(frames_of(path)[1]))["blue"] == pytest.approx(9, abs=0.51)


def test_fast_reads_key_frames_only(tmp_path: Path) -> None:
    options = {"x264-params": "scenecut=0"}
    path = film(tmp_path / "a.mp4", (("red", 2.0), ("green", 1.0), ("blue", 2.0)), gop=20,
                options=options)  # fmt: skip
    frames, found = frames_of(path, fast=True)
    assert [frame.second for frame in found] == pytest.approx([0, 2, 4])
    assert frames.end.notes == ()


@pytest.mark.parametrize(
    ("turn", "corner"),
    [(0, "top left"), (90, "bottom left"), (180, "bottom right"), (270, "top right")],
)
def test_frames_lie_as_players_show_them(tmp_path: Path, turn: int, corner: str) -> None:
    path = film(tmp_path / "a.mp4", (("red", 1.0),), turn=turn)
    frames, found = frames_of(path)
    assert frames.about is not None
    assert (frames.about.width, frames.about.height) == ((160, 96), (96, 160))[turn % 180 // 90]
    assert found[0].pixels.size == (frames.about.width, frames.about.height)
    assert corner_of(np.asarray(found[0].pixels)) == corner


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    frames, found = frames_of(film(tmp_path / "a.mp4", size=(144, 96), shape=Fraction(64, 45)))
    assert frames.about is not None
    assert (frames.about.width, frames.about.height) == (205, 96)
    assert found[0].pixels.size == (205, 96)


def test_a_variable_rate_and_frames_out_of_order_keep_their_times(tmp_path: Path) -> None:
    times = [0, 0.1, 0.2, 0.3, 1.9, 2.0, 2.1, 2.9, 3.0, 4.4, 4.5, 4.6, 5.9]
    path = film(tmp_path / "a.mp4", times=times, options={"bf": "3"})
    assert [colour for colour, _ in scenes_of(frames_of(path)[1])] == ["red", "green", "blue"]
    for second, colour in ((0.25, "red"), (1.95, "red"), (2.05, "green"), (4.3, "green"),
                           (5.0, "blue"), (99.0, "blue")):  # fmt: skip
        assert colour_of(np.asarray(video.frame_at(path, second).pixels)) == colour, second


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.mkv"])
def test_many_seconds_are_read_in_one_pass(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name, (("red", 7.0), ("green", 7.0), ("blue", 7.0)))
    seconds = [0.0, 6.5, 7.5, 13.0, 20.0]
    found = [colour_of(np.asarray(p.pixels)) for p in video.at_seconds(Source(path), seconds, 96)]
    assert found == ["red", "red", "green", "green", "blue"]


def test_times_count_from_the_beginning_of_streams_that_do_not_start_at_zero(
    tmp_path: Path,
) -> None:
    _, found = frames_of(film(tmp_path / "a.ts"))
    assert found[0].second == pytest.approx(0, abs=0.05)
    assert dict(scenes_of(found))["green"] == pytest.approx(2, abs=0.51)


@pytest.mark.parametrize("curve", [16, 18], ids=["PQ", "HLG"])
def test_hdr_is_tone_mapped_and_said(tmp_path: Path, curve: int) -> None:
    path = film(tmp_path / "a.mkv", (("red", 1.0),), pix_fmt="yuv420p10le", codec="libx265",
                options={"x265-params": "log-level=none:colorprim=bt2020:colormatrix=bt2020nc:"
                         f"transfer={ {16: 'smpte2084', 18: 'arib-std-b67'}[curve] }"})  # fmt: skip
    frames, found = frames_of(path)
    assert frames.about is not None
    assert frames.about.hdr == {16: "PQ", 18: "HLG"}[curve]
    assert frames.end.notes == (f"HDR ({frames.about.hdr}) tone-mapped to sRGB",)
    assert found[0].pixels.mode == "RGB"


@pytest.mark.parametrize(("height", "matrix"), [(96, "ITU601"), (720, "ITU709")])
def test_colours_are_those_that_were_coded(tmp_path: Path, height: int, matrix: str) -> None:
    del matrix
    path = film(tmp_path / "a.mp4", (("green", 0.5),), size=(160, height))
    pixels = np.asarray(frames_of(path)[1][0].pixels)[-5, -5]
    assert np.abs(pixels.astype(int) - (30, 180, 30)).max() < 40


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    frames, found = frames_of(film(tmp_path / "a.mp4", (("red", 0.1),)))
    assert len(found) == 1
    assert frames.end.duration_s == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(5000), "damaged"),
        (b"\x1a\x45\xdf\xa3" + bytes(5000), "damaged"),
        (b"RIFF\0\0\0\0AVI LIST", "damaged"),
        (b"not a video at all" * 300, "not-an-image"),
    ],
    ids=["empty", "mp4", "mkv", "avi", "text"],
)
def test_broken_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        frames_of(path)
    assert caught.value.reason == reason
    assert caught.value.advice


def test_a_video_that_was_cut_off_is_indexed_as_far_as_it_goes(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", (("red", 6.0), ("green", 6.0), ("blue", 6.0)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    frames, found = frames_of(path)
    assert scenes_of(found)[0][0] == "red"
    assert frames.end.notes
    assert frames.end.notes[0].startswith("damaged: ")


def test_sound_alone_and_pictures_of_covers_are_not_videos(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.mp4"
    out: Any = av.open(str(path), "w")
    voice = out.add_stream("aac", rate=8000)
    silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
    silence.sample_rate = 8000
    out.mux(voice.encode(silence))
    out.mux(voice.encode(None))
    out.close()
    with pytest.raises(ImageError, match="sound and no video") as caught:
        frames_of(path)
    assert caught.value.reason == "not-an-image"


def test_what_a_video_says_of_itself(tmp_path: Path) -> None:
    about, media = video.probe(Source(film(tmp_path / "a.mov", sound=True, rate=20)))
    assert media == "video/quicktime"
    assert (about.width, about.height, about.codec, about.has_audio) == (160, 96, "h264", True)
    assert about.fps == pytest.approx(20)
    assert about.duration_s == pytest.approx(6, abs=0.1)
    assert about.hdr == ""


def test_a_process_that_is_left_early_ends(tmp_path: Path) -> None:
    frames = Frames(Source(film(tmp_path / "a.mp4")), 96)
    for _ in frames:
        break
    process = frames._process
    assert process is not None
    assert process._process.returncode is not None


@pytest.mark.parametrize("ending", ["ts", "mpg"])
def test_two_recordings_in_one_file_follow_each_other(tmp_path: Path, ending: str) -> None:
    codec, rate = {"ts": ("libx264", 10), "mpg": ("mpeg1video", 25)}[ending]
    parts = [
        film(tmp_path / f"{n}.{ending}", scenes, codec=codec, rate=rate)
        for n, scenes in enumerate(([("red", 2.0), ("green", 2.0)], [("blue", 2.0), ("red", 2.0)]))
    ]
    path = tmp_path / f"both.{ending}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, found = frames_of(path)
    scenes = scenes_of(found)
    assert [colour for colour, _ in scenes] == ["red", "green", "blue", "red"]
    assert [start for _, start in scenes] == pytest.approx([0, 2, 4, 6], abs=0.6)
    assert frames.end.duration_s == pytest.approx(8, abs=0.4)
    assert "its times begin again: players may show its later seconds elsewhere" in frames.end.notes


def test_a_time_that_can_not_be_true_costs_nothing(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", times=[0, 0.5, 1.0, 2.5, 4e9, 4e9 + 1])
    frames, found = frames_of(path)
    assert max(frame.second for frame in found) < 120
    assert frames.end.duration_s < 120


def test_a_packet_that_lasts_for_years_plans_no_more_seconds_than_a_day(tmp_path: Path) -> None:
    with open(film(tmp_path / "a.mkv", times=[0, 0.5, 1.0]), "rb", buffering=0) as file:
        opened = Video(file, 1)
        sampling = Sampling(opened, 0.0, 96, fast=False)
        (run,) = sampling._runs()
        run[-1].duration = round(4e9 / run[-1].time_base)
        sampling._plan(run)
        assert sampling._wanted == [0.0]
        run[-1].pts = run[-1].duration
        sampling._plan(run)
        assert len(sampling._wanted) <= MAX_SECONDS + 2


class Clock:
    """The time, with hours that pass at once."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.passed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    for module in ("video.process", "images.messages"):
        monkeypatch.setattr(f"pixseek.{module}.time", found)
    return found


def test_the_time_that_frames_are_embedded_does_not_count(tmp_path: Path, clock: Clock) -> None:
    path = film(tmp_path / "a.mp4")
    with contextlib.closing(Process(Source(path), what="samples", least=96)) as asked:
        asked.probe()
        count = 0
        while asked.frame()[1] is not None:
            clock.passed += 10_000
            count += 1
        assert count >= 3


def test_a_decoder_that_takes_too_long_is_ended(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixseek.video.process._BASE_S", 0.0)
    path = film(tmp_path / "a.mp4")
    with contextlib.closing(Process(Source(path), what="samples", least=96)) as asked:
        with pytest.raises(ImageError, match="it took too long") as caught:
            asked.probe()
        assert caught.value.reason == "timeout"
        assert asked._process.returncode is not None
    assert clock.passed == 0


_HOLDS = """
import os, sys
from pixseek.images.messages import Channel
from pixseek.video.worker import Lively
lively = Lively(Channel(0, 1), 0.3, 0.0, open(os.devnull, "w"))
lively.send({"first": 1}, [bytes(1 << 22)])
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
@pytest.mark.parametrize("what", ["frames", "probe"])
def test_a_run_that_stops_does_not_wait_for_a_decoder_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    stop, hung = threading.Event(), threading.Event()
    start = Process._start

    def hang(self: Process, *given: Any) -> None:
        start(self, *given)
        os.kill(self._process.pid, signal.SIGSTOP)
        hung.set()

    monkeypatch.setattr(Process, "_start", hang)
    source = Source(film(tmp_path / "a.mp4"))

    def read() -> None:
        with pytest.raises(ImageError, match="it was stopped"):
            list(Frames(source, 96, stop=stop)) if what == "frames" else probe(source, stop)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        assert hung.wait(20)
        stop.set()
        reading.result(timeout=20)


def test_a_worker_waits_for_a_slow_reader_and_ends_itself_where_it_hangs() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        beginning = child.stdout.read(1)  # now it sends, until all is read
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1)
        assert len(beginning + child.stdout.read()) > 1 << 22
        assert child.wait(30) == 1  # it sent all, and then nothing came


@pytest.mark.parametrize(
    "head",
    [
        {"second": None}, {"reached_s": float("nan")}, {"second": 10**400}, {"reached_s": -1},
        {"error": ["damaged"]}, {"error": None}, {"error": ["no such", "", ""]},
    ],
    ids=str,
)  # fmt: skip
def test_an_answer_that_can_not_be_meant_is_a_crash(tmp_path: Path, head: Any) -> None:
    with contextlib.closing(Process(Source(film(tmp_path / "a.mp4")), what="probe")) as asked:
        reads, writes = os.pipe()
        try:
            Channel(reads, writes).send(head)
            asked._channel = Channel(reads, writes, timed=True)
            with pytest.raises(ImageError) as caught:
                asked.frame()
            assert caught.value.reason == "crashed"
        finally:
            os.close(reads)
            os.close(writes)


def test_long_work_without_an_answer_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    receive = Process.receive

    def noted(process: Process) -> dict[str, Any]:
        told.append(receive(process))
        return told[-1]

    monkeypatch.setattr(Process, "receive", noted)
    monkeypatch.setattr("pixseek.video.process._TELL_S", 0.0)
    path = film(tmp_path / "a.mp4", sound=True)
    for exact in (False, True):
        told.clear()
        found = video.cut(path, 3, 5, tmp_path / f"{exact}.mp4", exact=exact)
        assert found.end_s == pytest.approx(5, abs=0.2)
        assert len([each for each in told if set(each) == {"reached_s", "blobs"}]) > 10
    told.clear()
    assert colour_of(np.asarray(video.frame_at(path, 3).pixels)) == "green"
    assert len([each for each in told if set(each) == {"reached_s", "blobs"}]) > 10
