"""Parts of videos as files of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from films import colour_of, film
from pixseek import video
from pixseek.errors import ImageError, SourceError

pytest.importorskip("av")

SCENES = (("red", 4.0), ("green", 4.0), ("blue", 4.0))


def decoded(path: Path) -> tuple[list[str], float, int]:
    """The colours in order, the seconds of video, and how many packets of sound there are."""
    import av

    colours: list[str] = []
    with av.open(str(path)) as opened:
        container: Any = opened
        times = []
        for frame in container.decode(video=0):
            times.append(frame.time)
            colour = colour_of(frame.to_ndarray(format="rgb24"))
            if not colours or colours[-1] != colour:
                colours.append(colour)
    with av.open(str(path)) as container:
        sound = container.streams.audio
        packets = sum(1 for packet in container.demux(sound) if packet.size) if sound else 0
    return colours, max(times) - min(times), packets


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts"])
def test_a_clip_begins_at_the_key_frame_before_and_keeps_its_sound(
    tmp_path: Path, name: str
) -> None:
    path = film(tmp_path / name, SCENES, gop=20, sound=True)
    found = video.cut(path, 4.7, 7.5, tmp_path / f"clip{path.suffix}")
    assert not found.is_exact
    assert found.path.suffix == path.suffix
    assert found.start_s == pytest.approx(4, abs=0.15)
    colours, seconds, sound = decoded(found.path)
    assert colours == ["green"]
    assert seconds == pytest.approx(3.5, abs=0.4)
    assert sound > 10


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_an_exact_clip_begins_at_its_frame(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name, SCENES, sound=True)
    found = video.cut(path, 3.5, 4.5, tmp_path / f"clip{path.suffix}", exact=True)
    assert found.is_exact
    colours, seconds, sound = decoded(found.path)
    assert colours == ["red", "green"]
    assert seconds == pytest.approx(0.9, abs=0.11)
    assert 2 <= sound < 20


def test_an_exact_clip_lies_as_the_video_does(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", SCENES, turn=90)
    found = video.cut(path, 5, 6, tmp_path / "clip.mp4", exact=True)
    about, _ = video.probe(video.Source(found.path))
    assert (about.width, about.height) == (96, 160)


def test_nothing_is_overwritten_and_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", SCENES)
    there = tmp_path / "there.mp4"
    there.write_text("mine")
    with pytest.raises(SourceError, match="There is a file of that name"):
        video.cut(path, 1, 2, there)
    assert there.read_text() == "mine"
    with pytest.raises(ImageError):
        video.cut(path, 100, 101, tmp_path / "late.mp4", exact=True)
    assert not (tmp_path / "late.mp4").exists()
    with pytest.raises(SourceError, match="end after it begins"):
        video.cut(path, 2, 1, tmp_path / "wrong.mp4")


def test_a_container_that_can_not_hold_the_video_is_replaced(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", SCENES)
    found = video.cut(path, 1, 2, tmp_path / "clip.webm")
    assert found.path.name == "clip.mkv"
    assert decoded(found.path)[0] == ["red"]
    assert not (tmp_path / "clip.webm").exists()


def test_the_clip_of_a_motion_photo_is_found_behind_its_picture(tmp_path: Path) -> None:
    from tiny_encoder import draw

    still = draw(tmp_path / "a.jpg")
    assert video.embedded_clip(still) is None
    clip = film(tmp_path / "clip.mp4").read_bytes()
    photo = tmp_path / "MVIMG_1.jpg"
    for behind in (b"", b"SEFH and what Samsung writes"):
        photo.write_bytes(still.read_bytes() + b"MotionPhoto_Data" + clip + behind)
        start = len(still.read_bytes()) + 16
        assert video.embedded_clip(photo) == (start, len(clip))
        source = video.Source(photo, (start, len(clip)))
        assert colour_of(np.asarray(video.frame_at(source, 3).pixels)) == "green"
