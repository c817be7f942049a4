"""Names of the files that shots are cut into."""

from __future__ import annotations

from pixseek import Part
from pixseek.library.films import clip_name, clip_names
from pixseek.types import Record


def video(uri: str, *shots: tuple[float, float]) -> Record:
    parts = tuple(Part("shot", start_s=start, end_s=end) for start, end in shots)
    return Record(uri, uri, "", "", media="video/mp4", parts=parts)


def test_a_name_has_the_video_and_whole_seconds() -> None:
    record = video("all/drive.mp4", (12.4, 17.9), (17.9, 3723.0))
    assert [clip_name(record, part) for part in record.parts] == [
        "drive 0m12s-0m17s.mp4", "drive 0m17s-1m02m03s.mp4",
    ]  # fmt: skip


def test_shots_within_one_second_have_tenths() -> None:
    record = video("all/drive.mp4", (12.1, 12.4), (12.4, 12.9), (12.9, 14.0))
    assert [clip_name(record, part) for part in record.parts] == [
        "drive 0m12.1s-0m12.4s.mp4", "drive 0m12.4s-0m12.9s.mp4", "drive 0m12s-0m14s.mp4",
    ]  # fmt: skip


def test_videos_of_the_same_name_are_numbered() -> None:
    first, second = video("a/IMG_1.MOV", (0.0, 5.0)), video("b/img_1.mov", (0.0, 5.0))
    shots = [(record, record.parts[0]) for record in (first, second, first)]
    assert clip_names(shots) == [
        "IMG_1 0m00s-0m05s.MOV", "img_1 0m00s-0m05s (2).mov", "IMG_1 0m00s-0m05s (3).MOV",
    ]  # fmt: skip
