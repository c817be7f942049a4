"""Text in pictures: what is read, when, and what becomes of it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

import pixseek
from pixseek.errors import MissingExtraError, ModelError
from pixseek.images import ocr
from pixseek.indexing import texts
from pixseek.metadata import seen
from pixseek.types import Picture, Progress, Record, TextLine

from tiny_encoder import TinyEncoder

pytest.importorskip("rapidocr")

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "text_in_pictures.py"


def sign(path: Path, text: str, at: tuple[int, int] = (20, 20), colour: str = "white") -> Path:
    """Write a picture of 480 x 300 with a text in it."""
    image = Image.new("RGB", (480, 300), colour)
    ImageDraw.Draw(image).text(at, text, fill="black", font=ImageFont.load_default(40))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the text in a picture was read."""
    count: Counter[str] = Counter()
    really = ocr.TextReader.read

    def counted(self: ocr.TextReader, picture: Picture) -> ocr.Reading:
        count["read"] += 1
        return really(self, picture)

    monkeypatch.setattr(ocr.TextReader, "read", counted)
    return count


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    with pixseek.open(tmp_path / "photos.lib") as opened:
        yield opened


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    folder = tmp_path / "signs"
    sign(folder / "door.png", "EXIT", (20, 20), "palegreen")
    sign(folder / "bill.png", "Total 12.50", (230, 220))
    Image.new("RGB", (480, 300), "navy").save(folder / "plain.png")
    return folder


def text_of(library: pixseek.Library, name: str) -> str:
    record = next(hit.record for hit in library.search(f"name:{name}"))
    return str(record.fields.get(seen.TEXT, ""))


def test_words_in_pictures_are_found_with_their_place(
    library: pixseek.Library, signs: Path
) -> None:
    report = library.index(signs, ocr=True)
    assert report.seconds["text"] > 0 <= report.seconds["decode"]
    first = library.search("total")[0]
    assert first.record.name == "bill.png"
    reason = next(each for each in first.why if each.kind == "words")
    assert reason.what == f"{seen.TEXT}: Total 12.50"
    assert reason.box is not None
    assert seen.place_of(reason.box) == "bottom right"
    (line,) = seen.lines_of(first.record.fields)
    assert line.confidence > 0.9
    assert line.box == reason.box
    assert [hit.record.name for hit in library.search('seen:"total 12"')] == ["bill.png"]
    assert {hit.record.name for hit in library.search("has:seen")} == {"bill.png", "door.png"}
    assert [hit.record.name for hit in library.search("-has:seen")] == ["plain.png"]
    # They are nobody's words about the image.
    assert not first.record.caption
    assert not first.record.tags
    without = replace(library.query("exit"), text_weight=0.0)
    assert not any(each.kind == "words" for hit in library.search(without) for each in hit.why)


def test_images_indexed_before_are_read_once_without_embedding_them(
    library: pixseek.Library, signs: Path, tiny: TinyEncoder, read: Counter[str], tmp_path: Path
) -> None:
    assert "text" not in library.index(signs).seconds
    assert not read
    assert text_of(library, "door.png") == ""
    library.tag([library.search("name:door.png")[0].id], add=["mine"], caption="my door")
    embedded = tiny.embedded
    assert library.index(ocr=True).updated == 3
    assert read["read"] == 3
    assert tiny.embedded == embedded
    assert text_of(library, "door.png") == "EXIT"
    door = library.search("name:door.png")[0].record
    assert (door.caption, door.tags) == ("my door", ("mine",))
    with pixseek.open(tmp_path / "photos.lib") as again:
        assert again.index().unchanged == 3  # also the one without any text
        assert read["read"] == 3
        sign(signs / "new.png", "NEW")
        assert again.index().added == 1
        assert text_of(again, "new.png") == "NEW"
    # What moves, is copied or touched keeps its text.
    (signs / "door.png").rename(signs / "gate.png")
    shutil.copy(signs / "bill.png", signs / "copy.png")
    (signs / "new.png").touch()
    library.index()
    assert read["read"] == 4
    assert text_of(library, "gate.png") == "EXIT"
    assert text_of(library, "copy.png") == text_of(library, "bill.png") != ""
    assert text_of(library, "new.png") == "NEW"


@pytest.mark.slow
def test_reading_can_be_ended_and_what_was_read_dropped(
    library: pixseek.Library, signs: Path, read: Counter[str]
) -> None:
    library.index(signs, ocr=True)
    sign(signs / "new.png", "NEW")
    assert library.index(ocr=False).added == 1
    assert library.index(reread=True).unchanged == 4
    assert read["read"] == 3
    assert text_of(library, "door.png") == "EXIT"
    assert text_of(library, "new.png") == ""
    assert library.index(ocr=False, reread=True).updated == 3
    assert text_of(library, "door.png") == ""
    assert not library.search("has:seen")


@pytest.mark.slow
def test_a_stopped_run_continues(
    library: pixseek.Library, tmp_path: Path, read: Counter[str]
) -> None:
    for number in range(6):
        sign(tmp_path / "many" / f"{number}.png", f"N{number}")
    library.index(tmp_path / "many")
    stop = threading.Event()

    def watch(progress: Progress) -> None:
        if progress.stage == "index" and progress.done >= 2:
            stop.set()

    first = library.index(ocr=True, stop=stop, on_progress=watch)
    assert first.stopped
    assert 2 <= first.updated < 6
    assert library.index().updated == 6 - first.updated
    assert read["read"] == 6
    assert library.index().unchanged == 6
    assert len(library.search("has:seen")) == 6


@pytest.mark.slow
def test_a_run_that_is_killed_continues(
    library: pixseek.Library, tmp_path: Path, read: Counter[str]
) -> None:
    folder = tmp_path / "signs"
    for n in range(8):
        sign(folder / f"{n}.png", f"SIGN {n}00")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert len(library.index(folder).failures) == 1
    library.close()
    dying = f"""
import os, pixseek, pixseek.encoders
from pixseek.indexing import pipeline
from tiny_encoder import TinyEncoder
pipeline.CHECKPOINT_S = 0.0
pixseek.encoders.load = lambda *_, **__: TinyEncoder()
def die(progress):
    if progress.stage == "index" and progress.done >= 3:
        os._exit(9)
with pixseek.open({str(tmp_path / "photos.lib")!r}) as library:
    library.index(ocr=True, on_progress=die)
"""
    done = subprocess.run(
        [sys.executable, "-c", dying], check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 9, done.stderr
    with pixseek.open(tmp_path / "photos.lib") as again:
        left = [f"{n}.png" for n in range(8) if not text_of(again, f"{n}.png")]
        assert 0 < len(left) < 8
        report = again.index()  # the choice was remembered
        assert (report.updated, report.known_failures) == (len(left), 1)
        assert read["read"] == len(left)
        assert all(text_of(again, f"{n}.png") == f"SIGN {n}00" for n in range(8))


def test_no_image_fails_by_its_text(
    library: pixseek.Library, signs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, picture: Picture) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(ocr.TextReader, "read", fail)
    report = library.index(signs, ocr=True)
    assert (report.added, report.failures) == (3, ())
    notes = library.search("name:door.png")[0].record.fields["notes"]
    assert notes == "text in the picture: could not be read (RuntimeError)"
    assert library.index().unchanged == 3


def test_a_reader_that_can_not_be_loaded_ends_the_run_and_marks_no_image(
    library: pixseek.Library, signs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise ImportError("libGL.so.1: cannot open shared object file")

    ocr.text_reader.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr("rapidocr.RapidOCR", fail)
        with pytest.raises(ModelError, match="libGL") as caught:
            library.index(signs, ocr=True)
    assert "--no-ocr" in caught.value.advice
    ocr.text_reader.cache_clear()
    library.index()
    assert text_of(library, "door.png")


def test_without_the_package_the_error_names_the_extra(
    library: pixseek.Library, signs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ocr.text_reader.cache_clear()
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(MissingExtraError, match=r"pixseek\[ocr\]"):
        library.index(signs, ocr=True)
    assert library.index(signs).added == 3  # it was not remembered


@pytest.mark.slow
def test_the_documented_share_of_words_is_read() -> None:
    found = importlib.util.spec_from_file_location("text_in_pictures", SCRIPT)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    # Of each kind the first picture; the bounds leave room for the fonts of a machine.
    shares = module.measure(list(module.drawn(3)))
    assert shares.keys() == {"sign", "receipt", "screenshot"}
    for recall, precision, _ in shares.values():
        assert recall > 0.8
        assert precision > 0.8


@pytest.mark.slow
def test_reading_ends_in_time_and_at_its_most_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("RGB", (480, 300), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(30)
    for number in range(6):
        draw.text((20, 8 + 48 * number), f"line number {number}", fill="black", font=font)
    picture = Picture(image, 480, 300, "image/png")
    whole = ocr.TextReader(2).read(picture)
    assert whole.is_whole
    assert [line.text for line in whole.lines] == [f"line number {n}" for n in range(6)]
    late = ocr.TextReader(2, time_s=0.0).read(picture)
    assert late == ocr.Reading((), is_whole=False)
    monkeypatch.setattr(ocr, "MAX_CHARACTERS", 20)
    short = ocr.TextReader(2).read(picture)
    assert [line.text for line in short.lines] == ["line number 0", "line nu"]
    assert not short.is_whole


def test_lines_come_back_from_the_fields_of_a_record() -> None:
    lines = (
        TextLine("EXIT; 2 left", 0.987, (0.1, 0.2, 0.3, 0.05)),
        TextLine("12.50", 1.0, (0.0, 0.9, 1.0, 0.1)),
    )
    fields = seen.fields_of(lines, "reader 1")
    assert seen.lines_of(fields) == lines
    assert seen.lines_of(seen.fields_of((), "reader 1")) == ()
    read, bare = Record("a", "r/a", fields=fields), Record("b", "r/b", fields={"iso": 100})
    assert seen.with_text_of(bare, read).fields == {"iso": 100, **fields}
    assert seen.with_text_of(read, bare) == read
    for broken in ({seen.BOXES: "x"}, {seen.BOXES: 5}, {seen.TEXT: "a\nb"}):
        seen.lines_of({**fields, **broken})


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((0.0, 0.0, 0.2, 0.1), "top left"),
        ((0.4, 0.45, 0.2, 0.1), "centre"),
        ((0.0, 0.45, 1.0, 0.1), "centre"),
        ((0.8, 0.4, 0.2, 0.2), "right"),
        ((0.3, 0.9, 0.4, 0.1), "bottom"),
    ],
)
def test_boxes_have_places(box: tuple[float, float, float, float], place: str) -> None:
    assert seen.place_of(box) == place


def test_sources_can_not_say_what_was_read() -> None:
    from pixseek.indexing.reading import _own_fields

    assert _own_fields({"text_seen": "forged", "text_seen_by": "x", "price": 3}) == {"price": 3}


def test_the_choice_is_kept_by_the_ledger(library: pixseek.Library) -> None:
    ledger = library.opened.ledger
    assert texts.reader(ledger, None, 1) is None
    assert ledger.setting("ocr") is None
    assert texts.reader(ledger, True, 1) is not None
    assert texts.reader(ledger, None, 1) is not None
    assert texts.reader(ledger, False, 1) is None
    assert texts.reader(ledger, None, 1) is None
