"""Odd files as cameras and editors write them, and the limits that end what never would."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from films import colour_of, corner_of, film, picture
from pixseek import video
from pixseek.errors import ImageError
from pixseek.video import Frames, Source
from pixseek.video.frames import Frame

pytestmark = pytest.mark.slow
pytest.importorskip("av", reason="av is not installed")


def frames_of(path: Path) -> tuple[Frames, list[Frame]]:
    frames = Frames(Source(path), 96)
    return frames, list(frames)


# ------------------------------------------------------------------ how they lie


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        ((-1, 0, 0, 1), "top right"), ((1, 0, 0, -1), "bottom left"),
        ((0, 1, 1, 0), "top left"), ((0, -1, -1, 0), "bottom right"),
    ],
    ids=["mirrored", "upside down", "along one diagonal", "along the other"],
)  # fmt: skip
def test_flips_of_the_container_are_applied(
    tmp_path: Path, matrix: tuple[int, int, int, int], corner: str
) -> None:
    path = film(tmp_path / "a.mp4", (("red", 0.5),))
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # of its version 0
    a, b, c, d = (each << 16 for each in matrix)
    assert struct.unpack_from(">9i", content, at) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", content, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    frames, found = frames_of(path)
    assert frames.about is not None
    size = (160, 96) if matrix[0] else (96, 160)
    assert (frames.about.width, frames.about.height) == found[0].pixels.size == size
    assert corner_of(np.asarray(found[0].pixels)) == corner


# ------------------------------------------------------------------ when they begin


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts"])
def test_seconds_count_from_the_first_picture_of_a_video_that_begins_late(
    tmp_path: Path, name: str
) -> None:
    times = [3 + n / 10 for n in range(40)]  # an edit list in MP4, plain times in the others
    path = film(tmp_path / name, (("red", 5.0), ("blue", 2.0)), times=times)
    frames, found = frames_of(path)
    assert [round(frame.second, 1) for frame in found if frame.second < 0.2] == [0.0]
    blue = next(frame for frame in found if colour_of(np.asarray(frame.pixels)) == "blue")
    assert blue.start_s == pytest.approx(2.0, abs=0.3)
    assert frames.end.duration_s == pytest.approx(4.0, abs=0.4)
    for second, colour in ((1.5, "red"), (2.5, "blue")):
        assert colour_of(np.asarray(video.frame_at(path, second).pixels)) == colour


# ------------------------------------------------------------------ what they hold


@pytest.mark.parametrize("name", ["song.mp4", "song.m4v"])
def test_the_cover_of_a_song_is_not_a_video(tmp_path: Path, name: str) -> None:
    import av
    from av.stream import Disposition

    path = tmp_path / name
    out: Any = av.open(str(path), "w", format="mp4")
    voice = out.add_stream("aac", rate=8000)
    cover = out.add_stream("mjpeg", rate=1)
    cover.width, cover.height, cover.pix_fmt = 160, 96, "yuvj420p"
    cover.disposition = Disposition.attached_pic
    still = av.VideoFrame.from_ndarray(picture("red", (160, 96)), "rgb24")
    out.mux(cover.encode(still.reformat(format="yuvj420p")))
    out.mux(cover.encode(None))
    for n in range(8):
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate, silence.pts, silence.time_base = 8000, n * 1024, Fraction(1, 8000)
        out.mux(voice.encode(silence))
    out.mux(voice.encode(None))
    out.close()
    with av.open(str(path)) as made:
        assert [each.type for each in made.streams] == ["audio", "video"]
    with pytest.raises(ImageError, match="sound and no video") as caught:
        frames_of(path)
    assert caught.value.reason == "not-an-image"


def _pq(light: Any) -> Any:
    """Return the coded value, 0 to 1, of light in cd/m2 (SMPTE ST 2084)."""
    power = (np.asarray(light) / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _hlg(light: Any) -> Any:
    """Return the coded value, 0 to 1, of light of the scene from 0 to 1 (ARIB STD-B67)."""
    light = np.asarray(light)
    above = 0.17883277 * np.log(np.maximum(12 * light - 0.28466892, 1e-9)) + 0.55991073
    return np.where(light <= 1 / 12, np.sqrt(3 * light), above)


@pytest.mark.parametrize("curve", ["smpte2084", "arib-std-b67"])
def test_real_hdr_looks_as_the_scene_does(tmp_path: Path, curve: str) -> None:
    """Greys and colours in light of BT.2020, as cameras write them, against their sRGB."""
    import av

    shown = np.array([(118, 118, 118), (188, 188, 188), (230, 230, 230), (200, 40, 40),
                      (40, 160, 60), (50, 60, 190)])  # fmt: skip
    share = shown / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_2020 = np.array([(0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114),
                        (0.0164, 0.0880, 0.8956)])  # fmt: skip
    wide = linear @ to_2020.T
    if curve == "smpte2084":
        coded = _pq(203 * wide)
    else:  # the display's system gamma of 1.2 is taken back: light of the scene
        luma = wide @ np.array([0.2627, 0.6780, 0.0593])
        on_screen = wide * 203 / 1000
        coded = _hlg(on_screen * ((luma * 203 / 1000) ** (1 / 1.2 - 1))[:, None])
    pixels = np.repeat(np.repeat(coded[None], 32, axis=1), 96, axis=0)
    path = tmp_path / "a.mkv"
    out: Any = av.open(str(path), "w")
    stream = out.add_stream("libx265", rate=5)
    stream.width, stream.height, stream.pix_fmt = 192, 96, "yuv420p10le"
    stream.options = {"crf": "4", "x265-params": "log-level=none:colorprim=bt2020:"
                      f"colormatrix=bt2020nc:transfer={curve}"}  # fmt: skip
    for n in range(3):
        frame = av.VideoFrame.from_ndarray((pixels * 65535).astype(np.uint16), "rgb48le")
        made = frame.reformat(format="yuv420p10le", dst_colorspace="BT2020")
        made.pts, made.time_base = n, Fraction(1, 5)
        out.mux(stream.encode(made))
    out.mux(stream.encode(None))
    out.close()
    frames, found = frames_of(path)
    assert frames.about is not None and frames.about.hdr
    seen = np.asarray(found[0].pixels, np.float32)[32:64, 8::32].mean(axis=0)[: len(shown)]
    # Highlights of 1,000 cd/m2 are rolled off, so white is a little darker, and the middle lighter.
    assert np.abs(seen - shown).max() < 42, seen.round()
    assert np.abs(seen[:3] - seen[:3].mean(axis=1, keepdims=True)).max() < 5, "greys stay grey"
    assert (np.diff(seen[:3, 0]) > 10).all()
    assert [int(row.argmax()) for row in seen[3:]] == [0, 1, 2]


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.avi", "a.mpg"])
def test_a_file_that_was_cut_off_anywhere_gives_its_beginning(tmp_path: Path, name: str) -> None:
    codec, rate = {"a.mpg": ("mpeg1video", 25), "a.avi": ("mpeg4", 10)}.get(name, ("libx264", 10))
    path = film(tmp_path / name, (("red", 3.0), ("green", 3.0)), codec=codec, rate=rate, gop=10)
    content = path.read_bytes()
    for share in (0.9, 0.5):
        path.write_bytes(content[: int(len(content) * share)])
        _, found = frames_of(path)
        assert colour_of(np.asarray(found[0].pixels)) == "red"


# ------------------------------------------------------------------ limits


def lowered(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Let workers begin with other limits of `sampling`."""
    begin = "from pixseek.video import sampling; "
    monkeypatch.setattr(
        "pixseek.video.process._START",
        "import sys, json; sys.path[:] = json.loads(sys.argv[1])['path']; "
        f"{begin}{what}; from pixseek.video.worker import main; main()",
    )


@pytest.mark.parametrize(
    ("what", "most_s", "count"),
    [("sampling.MAX_SECONDS = 3.0", 5.1, 6), ("sampling.MAX_SAMPLES = 4", 6.1, 6)],
    ids=["24 hours", "20,000 frames"],
)  # fmt: skip
def test_of_a_video_beyond_the_limits_the_beginning_is_indexed_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, most_s: float, count: int
) -> None:
    scenes = [(each, 1.0) for each in ("red", "green", "blue") * 4]
    path = film(tmp_path / "a.mkv", scenes, gop=10, flags={"live": "1"})  # of unknown length
    lowered(monkeypatch, what)
    frames, found = frames_of(path)
    assert 2 <= len(found) <= count
    assert frames.end.duration_s <= most_s
    (note,) = frames.end.notes
    assert note.startswith("only its first 0:0") and note.endswith(" are indexed")


def test_a_decoder_that_needs_too_much_memory_is_a_failure_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "a.mp4", (("red", 0.2),))
    monkeypatch.setattr("pixseek.video.process._MEMORY_MIB", 120)
    with pytest.raises(ImageError) as caught:
        frames_of(path)
    assert caught.value.reason in ("too-large", "crashed", "damaged")  # by where it ran out
    assert caught.value.problem
