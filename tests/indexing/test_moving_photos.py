"""Motion photos and live photos: one record, whose first part is the photo and the others shots."""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pixseek
from films import Scene, colour_of, film, picture
from pixseek.errors import ImageError
from pixseek.indexing.reading import _own_fields
from pixseek.library import films
from pixseek.types import Record, Report
from pixseek.video import Source, motion

from tiny_encoder import TinyEncoder, WideEncoder, draw

pytest.importorskip("av")

SCENES: tuple[Scene, ...] = (("red", 1.0), ("blue", 1.0))
ONE, OTHER = "3F2504E0-4F89-11D3-9A0C-0305E82C3301", "00000000-4F89-11D3-9A0C-0305E82C3301"


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    del tiny
    with pixseek.open(tmp_path / "a.lib") as opened:
        yield opened


def photo(path: Path, colour: str = "green", identifier: str = "") -> Path:
    """Write a JPEG of a colour, if wanted with an identifier in Apple's maker note."""
    said: dict[str, Image.Exif] = {}
    if identifier:
        said["exif"] = Image.Exif()
        note = b"Apple iOS\0\0\1MM\0\1\0\x11\0\2" + identifier.encode() + b"\0"
        said["exif"].get_ifd(0x8769)[0x927C] = note
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(colour, (160, 96))).save(path, "JPEG", quality=95, **said)
    return path


def clip(path: Path, scenes: tuple[Scene, ...] = SCENES, identifier: str = "") -> Path:
    """Write a short video, if wanted with Apple's identifier."""
    texts = {"com.apple.quicktime.content.identifier": identifier} if identifier else {}
    return film(path, scenes, texts=texts, flags={"movflags": "use_metadata_tags"})


def motion_photo(path: Path, colour: str = "green", scenes: tuple[Scene, ...] = SCENES) -> Path:
    """Write a JPEG with a clip behind it, and what Samsung's phones write behind that."""
    photo(path, colour)
    made = clip(path.with_name("made.mp4"), scenes)
    path.write_bytes(path.read_bytes() + made.read_bytes() + b"\0\0\x01\x0a\x0eSEFT")
    made.unlink()
    return path


def kinds(record: Record) -> list[str]:
    return [part.kind for part in record.parts]


def only(library: pixseek.Library) -> Record:
    (record,) = library.records()
    return record


def moving(report: Report) -> int:
    return sum(each.images for each in report.skipped if each.kind == "moving")


@pytest.mark.slow
def test_a_motion_photo_is_a_photo_whose_shots_are_found(
    library: pixseek.Library, tmp_path: Path
) -> None:
    motion_photo(tmp_path / "all" / "PXL_1.MP.jpg")
    report = library.index(tmp_path / "all")
    assert (report.added, report.failures) == (1, ())
    record = only(library)
    assert kinds(record) == ["image", "shot", "shot"]
    assert (record.media, record.is_video) == ("image/jpeg", False)
    assert record.fields["motion"] == "embedded"
    assert record.fields["duration_s"] == pytest.approx(2, abs=0.2)
    assert [library.search(colour, k=1)[0].part for colour in ("green", "red", "blue")] == list(
        record.parts
    )
    assert [each.part.start_s for each in library.search("blue", moments=True, k=1)] == [
        pytest.approx(1, abs=0.11)
    ]
    assert not library.search("type:video")
    seen = [library.preview(record, part) or b"" for part in record.parts]
    pixels = [np.asarray(Image.open(io.BytesIO(each)).convert("RGB")) for each in seen]
    assert [colour_of(each) for each in pixels] == ["green", "red", "blue"]
    assert library.index().unchanged == 1


@pytest.mark.slow
@pytest.mark.parametrize("identifier", [ONE, ""], ids=["identifier", "short"])
@pytest.mark.parametrize("ending", ["MOV", "mp4"])
def test_a_live_photo_is_one_record_and_its_clip_none(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder, identifier: str, ending: str
) -> None:
    photo(tmp_path / "all" / "IMG_1.JPG", identifier=identifier)
    clip(tmp_path / "all" / f"IMG_1.{ending}", identifier=identifier)
    clip(tmp_path / "all" / "IMG_2.MOV", identifier=ONE)  # alone: a video
    report = library.index(tmp_path / "all")
    assert (report.added, moving(report), report.failures) == (2, 1, ())
    by_name = {record.name: record for record in library.records()}
    assert set(by_name) == {"IMG_1.JPG", "IMG_2.MOV"}
    assert kinds(by_name["IMG_1.JPG"]) == ["image", "shot", "shot"]
    assert by_name["IMG_1.JPG"].fields["motion"] == f"IMG_1.{ending}"
    assert library.failures() == [] and not library.status().failures
    embedded = tiny.embedded
    again = library.index()
    assert (again.unchanged, moving(again), tiny.embedded) == (2, 1, embedded)


@pytest.mark.slow
def test_what_has_the_name_of_a_photo_and_is_not_its_clip_stays_a_video(
    library: pixseek.Library, tmp_path: Path
) -> None:
    photo(tmp_path / "all" / "movie.jpg")
    film(tmp_path / "all" / "movie.mp4", (("red", 4.0), ("blue", 4.0)))  # its cover is the photo
    photo(tmp_path / "all" / "IMG_1.JPG", identifier=ONE)
    clip(tmp_path / "all" / "IMG_1.MOV", identifier=OTHER)
    photo(tmp_path / "all" / "broken.JPG")
    (tmp_path / "all" / "broken.MOV").write_bytes(b"\0\0\0\x14ftypqt  " + bytes(800))
    report = library.index(tmp_path / "all")
    assert (report.added, moving(report)) == (5, 0)
    assert [each.uri for each in report.failures] == ["all/broken.MOV"]
    assert {record.name: kinds(record)[0] for record in library.records()} == {
        "movie.jpg": "image", "movie.mp4": "shot", "IMG_1.JPG": "image", "IMG_1.MOV": "shot",
        "broken.JPG": "image",
    }  # fmt: skip
    assert not any("motion" in record.fields for record in library.records())


@pytest.mark.slow
def test_the_halves_of_a_live_photo_come_and_go(library: pixseek.Library, tmp_path: Path) -> None:
    still, half = tmp_path / "all" / "IMG_1.JPG", tmp_path / "all" / "IMG_1.MOV"
    photo(still)
    library.index(tmp_path / "all")
    library.tag([only(library).id], add=["holiday"], rating=4)
    clip(half)
    assert library.index().updated == 1
    assert kinds(only(library)) == ["image", "shot", "shot"]
    assert only(library).tags == ("holiday",)
    clip(half, (("green", 1.0), ("blue", 1.0), ("red", 1.0)))  # changed
    assert library.index().updated == 1
    assert kinds(only(library)) == ["image", "shot", "shot", "shot"]
    half.unlink()
    assert library.index().updated == 1
    assert kinds(only(library)) == ["image"] and "motion" not in only(library).fields
    assert only(library).tags == ("holiday",)
    clip(half)
    library.index()
    away = still.rename(tmp_path / "away.jpg")
    report = library.index()  # the clip is a video now
    assert (report.added, report.away, moving(report)) == (1, 1, 0)
    assert only(library).is_video
    away.rename(still)
    library.index()
    assert kinds(only(library)) == ["image", "shot", "shot"]
    assert only(library).tags == ("holiday",)


@pytest.mark.slow
def test_a_live_photo_that_is_renamed_or_moved_keeps_its_vectors(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    photo(tmp_path / "all" / "IMG_1.JPG")
    clip(tmp_path / "all" / "IMG_1.MOV")
    library.index(tmp_path / "all")
    embedded = tiny.embedded
    (tmp_path / "all" / "sea").mkdir()
    for ending in ("JPG", "MOV"):
        (tmp_path / "all" / f"IMG_1.{ending}").rename(tmp_path / "all" / "sea" / f"boat.{ending}")
    report = library.index()
    assert (report.moved, report.added, moving(report)) == (1, 0, 1)
    assert tiny.embedded == embedded
    source = films.source_of(library.opened, only(library))
    assert source is not None and source.path.name == "boat.MOV"
    shutil.copytree(tmp_path / "all" / "sea", tmp_path / "all" / "copy")
    os.utime(tmp_path / "all" / "copy" / "boat.JPG", (1e9, 1e9))
    assert library.index().reused == 1
    assert tiny.embedded == embedded
    assert [kinds(record) for record in library.records()] == [["image", "shot", "shot"]] * 2
    (group,) = library.duplicates()
    assert group.exact and [each.name for each in group.records] == ["boat.JPG", "boat.JPG"]


@pytest.mark.slow
def test_a_clip_that_is_excluded_or_named_alone_is_as_without_the_other(
    library: pixseek.Library, tmp_path: Path
) -> None:
    photo(tmp_path / "all" / "IMG_1.JPG")
    clip(tmp_path / "all" / "IMG_1.MOV")
    library.index(tmp_path / "all", exclude=["*.MOV"])
    assert kinds(only(library)) == ["image"]
    library.remove(only(library).id)
    with pixseek.open(tmp_path / "b.lib") as other:
        other.index(tmp_path / "all" / "IMG_1.MOV")
        assert only(other).is_video
        other.index(tmp_path / "all")
        assert kinds(only(other)) == ["image", "shot", "shot"]
        other.remove(only(other).id)
        assert (other.index().added, len(other)) == (0, 0)


@pytest.mark.slow
def test_a_clip_that_can_not_be_decoded_leaves_its_photo(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    photo(tmp_path / "all" / "IMG_1.JPG")
    half = clip(tmp_path / "all" / "IMG_1.MOV")
    content = bytearray(half.read_bytes())
    begin = content.index(b"avc1")
    content[begin : begin + 4] = b"nope"
    half.write_bytes(content)
    report = library.index(tmp_path / "all")
    assert (report.added, report.failures) == (1, ())
    record = only(library)
    assert kinds(record) == ["image"]
    assert "moving part: The codec of the video is not known" in str(record.fields["notes"])
    embedded = tiny.embedded
    os.utime(tmp_path / "all" / "IMG_1.JPG", (1e9, 1e9))
    library.index()
    library.index(reread=True)
    assert tiny.embedded == embedded
    assert only(library).fields == record.fields


@pytest.mark.slow
def test_a_run_that_stops_in_a_clip_leaves_its_photo_to_the_next(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    scenes = tuple((each, 0.5) for _ in range(12) for each in ("red", "blue", "white"))
    motion_photo(tmp_path / "all" / "PXL_1.MP.jpg", scenes=scenes)
    tiny.seconds_a_batch = 0.2
    stop = threading.Event()

    def watch() -> None:
        while tiny.embedded < 2 and not stop.wait(0.01):
            pass
        stop.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    report = library.index(tmp_path / "all", stop=stop)
    watcher.join()
    assert (report.stopped, report.added, report.failures) == (True, 0, ())
    tiny.seconds_a_batch = 0
    assert library.index().added == 1
    assert len(kinds(only(library))) > 10


@pytest.mark.slow
def test_reading_again_keeps_shots_and_finds_those_of_old_libraries(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = motion_photo(tmp_path / "all" / "a.jpg")
    with monkeypatch.context() as patched:
        patched.setattr(motion, "clip_in", lambda _: None)  # as before this version
        library.index(tmp_path / "all")
    assert kinds(only(library)) == ["image"]
    assert library.index(reread=True).updated == 1
    assert kinds(only(library)) == ["image", "shot", "shot"]
    embedded = tiny.embedded
    path.with_name("a.jpg.txt").write_text("a caption")
    library.index()
    record = only(library)
    assert (record.caption, kinds(record)) == ("a caption", ["image", "shot", "shot"])
    assert record.fields["duration_s"] == pytest.approx(2, abs=0.2)
    library.index(reread=True)
    assert tiny.embedded == embedded and only(library) == record


@pytest.mark.slow
def test_tiles_and_another_model_keep_the_shots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {each.name: each for each in (TinyEncoder(), WideEncoder())}
    monkeypatch.setattr("pixseek.encoders.load", lambda name, **_: known[str(name)])
    monkeypatch.setattr("pixseek.encoders.is_known", known.__contains__)
    monkeypatch.setattr("pixseek.encoders.locate", lambda *_: None)
    monkeypatch.setattr("pixseek.library.jobs.LEARN_FROM", 0)
    motion_photo(tmp_path / "all" / "a.jpg")
    photo(tmp_path / "all" / "IMG_1.JPG", "white")
    clip(tmp_path / "all" / "IMG_1.MOV", (("red", 1.0),))
    draw(tmp_path / "all" / "p.png", "black")
    with pixseek.open(tmp_path / "a.lib", model="tiny") as library:
        library.index(tmp_path / "all")
        assert library.index(tiles=(2, 1)).updated == 3
        assert library.index().unchanged == 3
        by_name = {record.name: record for record in library.records()}
        assert kinds(by_name["a.jpg"]) == ["image", "tile", "tile", "shot", "shot"]
        assert kinds(by_name["IMG_1.JPG"]) == ["image", "tile", "tile", "shot"]
        for files in (False, True):
            report = library.reindex("tiny" if files else "wide", files=files)
            assert (report.failures, report.updated + report.unchanged) == ((), 3)
            hit = next(hit for hit in library.search("blue", k=9) if hit.record.name == "a.jpg")
            assert hit.part == hit.record.parts[4]


@pytest.mark.slow
def test_clips_and_frames_come_from_the_moving_part(
    library: pixseek.Library, tmp_path: Path
) -> None:
    motion_photo(tmp_path / "all" / "a.jpg")
    library.index(tmp_path / "all")
    record = only(library)
    assert colour_of(np.asarray(library.frame(record.id, 1.5))) == "blue"
    (tmp_path / "clips").mkdir()
    made = library.cut(record, record.parts[2], tmp_path / "clips", exact=True)
    assert made.path.name == "a 0m01s-0m02s.mp4" or made.path.suffix == ".mp4"


@pytest.mark.slow
def test_without_pyav_a_live_photo_is_a_photo(
    library: pixseek.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "all" / "IMG_1.JPG")
    clip(tmp_path / "all" / "IMG_1.MOV")
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "av", None)
        library.index(tmp_path / "all")
        assert kinds(only(library)) == ["image"]
    library.index()
    assert kinds(only(library)) == ["image", "shot", "shot"]


def test_boxes_that_go_on_for_ever_are_read_once() -> None:
    content = b"\xff\xd8" + b"\0\0\0\x10ftypmp42\0\0\0\0" * 100_000
    assert motion.clip_in(content) is None
    assert not motion.is_clip_of(b"\xff\xd8", Source(Path("a"), content=content[2:]))


def test_identifiers_are_compared_in_one_pass(tmp_path: Path) -> None:
    many = b"".join(f"{n:08x}-0000-0000-0000-000000000000".encode() for n in range(100_000))
    index = b"com.apple.quicktime.content.identifier" + many
    moov = (8 + len(index)).to_bytes(4, "big") + b"moov" + index
    made = Source(tmp_path / "a", content=b"\0\0\0\x14ftypqt  " + bytes(8) + moov)
    still = b"\xff\xd8Apple iOS\0" + bytes(8_000_000)  # 0.8 TB to look at, one by one
    assert not motion.is_clip_of(still, made)
    assert motion.is_clip_of(still + many[-36:], made)


def test_a_clip_that_can_not_be_read_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        motion.is_clip_of(b"\xff\xd8", Source(tmp_path / "gone.MOV"))
    assert caught.value.reason == "missing"
    for content in (b"", b"no video at all"):
        assert not motion.is_clip_of(b"\xff\xd8", Source(tmp_path / "a", content=content))


@pytest.mark.slow
def test_a_clip_whose_photo_can_not_be_decoded_is_a_video(
    library: pixseek.Library, tmp_path: Path
) -> None:
    still = photo(tmp_path / "all" / "IMG_1.JPG", identifier=ONE)
    whole = still.read_bytes()
    still.write_bytes(whole[: len(whole) - 600])
    clip(tmp_path / "all" / "IMG_1.MOV", identifier=ONE)
    report = library.index(tmp_path / "all", strict=True)
    assert [(each.uri, each.reason) for each in report.failures] == [("all/IMG_1.JPG", "damaged")]
    assert (report.added, moving(report), only(library).is_video) == (1, 0, True)
    library.tag([only(library).id], add=["holiday"])
    library.index(reread=True, strict=True)
    assert only(library).tags == ("holiday",)
    still.write_bytes(whole)
    library.index(strict=True)
    assert kinds(only(library)) == ["image", "shot", "shot"]


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["IMG_1.JPG", "IMG_1.MOV"])
def test_a_half_that_can_not_be_read_leaves_both_to_the_next_run(
    library: pixseek.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    photo(tmp_path / "all" / "IMG_1.JPG")
    clip(tmp_path / "all" / "IMG_1.MOV")
    opening = os.open

    def failing(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith(gone):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return opening(path, *args, **kwargs)

    with monkeypatch.context() as patched:  # a failing disk
        patched.setattr(os, "open", failing)
        report = library.index(tmp_path / "all")
    assert (report.added, moving(report), len(library)) == (0, 0, 0)
    assert {each.uri: (each.stage, each.reason) for each in report.failures} == {
        "all/IMG_1.JPG": ("read", "unreadable"), "all/IMG_1.MOV": ("read", "unreadable"),
    }  # fmt: skip
    (other,) = [each for each in report.failures if not each.uri.endswith(gone)]
    assert other.message.startswith(f"{gone} next to it: It can't be read")
    report = library.index()
    assert (report.added, moving(report), report.failures) == (1, 1, ())
    assert kinds(only(library)) == ["image", "shot", "shot"]
    assert not library.status().failures


@pytest.mark.slow
def test_a_clip_that_goes_away_before_it_is_decoded_leaves_its_photo_to_the_next_run(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "all" / "IMG_1.JPG")
    half, away = clip(tmp_path / "all" / "IMG_1.MOV"), tmp_path / "away.MOV"
    encode = tiny.encode_images

    def encode_and_take_away(batch: Any) -> Any:
        if half.exists():
            half.rename(away)
        return encode(batch)

    with monkeypatch.context() as patched:
        patched.setattr(tiny, "encode_images", encode_and_take_away)
        report = library.index(tmp_path / "all")
    (failure,) = [each for each in report.failures if each.uri == "all/IMG_1.JPG"]
    assert (failure.stage, failure.reason) == ("read", "missing")
    assert failure.message.startswith("IMG_1.MOV next to it: ")
    away.rename(half)
    assert library.index(tmp_path / "all").failures == ()
    assert kinds(only(library)) == ["image", "shot", "shot"]


@pytest.mark.slow
@pytest.mark.parametrize("is_embedded", [True, False])
def test_a_clip_whose_decoding_took_too_long_is_decoded_by_reading_again(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch,
    is_embedded: bool,
) -> None:  # fmt: skip
    if is_embedded:
        motion_photo(tmp_path / "all" / "IMG_1.JPG")
    else:
        photo(tmp_path / "all" / "IMG_1.JPG")
        clip(tmp_path / "all" / "IMG_1.MOV")
    with monkeypatch.context() as patched:
        patched.setattr("pixseek.video.process.STALL_S", 0.0)
        library.index(tmp_path / "all")
    assert kinds(only(library)) == ["image"]
    assert "moving part: Decoding the video stopped" in str(only(library).fields["notes"])
    assert library.index().unchanged == 1
    assert library.index(reread=True).updated == 1
    assert kinds(only(library)) == ["image", "shot", "shot"]
    assert "notes" not in only(library).fields
    embedded, record = tiny.embedded, only(library)
    library.index(reread=True)
    assert (tiny.embedded, only(library)) == (embedded, record)


@pytest.mark.slow
def test_a_column_is_never_where_a_moving_part_is(library: pixseek.Library, tmp_path: Path) -> None:
    photo(tmp_path / "all" / "a.jpg")
    clip(tmp_path / "all" / "secret.MOV")
    (tmp_path / "all" / "t.csv").write_text("image,motion\na.jpg,secret.MOV\n")
    library.index(tmp_path / "all" / "t.csv")
    record = only(library)
    assert "motion" not in record.fields
    assert record.fields["column_motion"] == "secret.MOV"
    assert films.source_of(library.opened, record) is None
    assert _own_fields({"motion": "secret.MOV", "price": 3}) == {"price": 3}


def test_a_photo_of_more_bytes_than_are_read_has_no_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(motion, "MAX_BYTES", 100)
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8" + bytes(100))
    with pytest.raises(ImageError, match="more than 100 bytes"):
        motion.embedded_clip(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(b"")
    assert motion.embedded_clip(tmp_path / "a.jpg") is None
