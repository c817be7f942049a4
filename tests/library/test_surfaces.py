"""What surfaces use besides `Library`: records, labels, filters and pictures."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from pixseek.library.surfaces import (
    described,
    formats,
    named_image,
    split_labels,
    templates,
    thumbnail,
    unit_of,
)
from pixseek.metadata.annotations import Annotation, annotate
from pixseek.types import Record


def test_a_record_without_annotations_is_all_the_files() -> None:
    record = Record("i", "a.jpg", caption="sea", tags=("x",), fields={"rating": 2, "iso": 100})
    said = described(record)
    assert (said.caption, said.caption_is_yours, said.file_caption) == ("sea", False, "")
    assert said.tags == (("x", "file"),)
    assert (said.rating, said.rating_is_yours, said.file_rating) == (2, False, None)
    assert said.fields == {"iso": 100}


def test_annotations_are_told_from_what_the_file_says() -> None:
    record = Record("i", "a.jpg", caption="sea", tags=("x", "y"), fields={"rating": 2})
    said = described(
        annotate(
            record,
            Annotation("lake", 4, tags_added=("z",), tags_removed=("X",), fields={"price": 9.5}),
        )
    )
    assert (said.caption, said.caption_is_yours, said.file_caption) == ("lake", True, "sea")
    assert said.tags == (("y", "file"), ("z", "added"), ("x", "removed"))
    assert (said.rating, said.rating_is_yours, said.file_rating) == (4, True, 2)
    assert said.fields == {"user.price": 9.5}


def test_units() -> None:
    assert unit_of("focal_length_mm") == "mm"
    assert unit_of("user.price") == unit_of("title") == ""


def test_labels_and_their_templates() -> None:
    assert split_labels("a lake, a river\n# no label\na lake\n") == ("a lake", "a river")
    assert templates(()) == ("This is a photo of {}.",)
    assert templates(("a {}",)) == ("a {}",)
    both = templates(("ensemble", "a {}"))
    assert len(both) == 8 and all("{}" in text for text in both)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (400, 200), "red").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def jpeg(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (100, 50), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_thumbnail_is_made_of_the_preview_first(photo: Path) -> None:
    small = thumbnail(jpeg("blue"), photo.read_bytes, 40)
    assert small is not None and small.size == (40, 20)
    red, _, blue = small.getpixel((20, 10))
    assert blue > 200 > red


def test_a_thumbnail_is_made_of_the_file_if_the_preview_is_missing_or_broken(photo: Path) -> None:
    for preview in (None, b"", b"broken"):
        small = thumbnail(preview, photo.read_bytes, 40)
        assert small is not None and small.getpixel((20, 10)) == (255, 0, 0)


def test_there_is_no_thumbnail_without_a_readable_picture(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for name in ("gone.png", "text.png", "."):
        path = str(tmp_path / name)
        assert thumbnail(b"broken", lambda path=path: named_image(path), 40) is None


def test_formats_say_whether_they_can_be_read() -> None:
    assert {"JPEG", "PNG"} <= {each.name for each in formats() if each.available()}
