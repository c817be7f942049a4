"""What users say of images: kept apart from what the files say, whatever happens to the files."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pixseek
from pixseek.errors import LibraryLockedError, QueryError, StorageError
from pixseek.indexing import tagging
from pixseek.metadata.annotations import (
    KEPT,
    LABELLED,
    Annotation,
    annotate,
    annotation_of,
    change,
    changed,
    file_part,
    value_of,
)
from pixseek.metadata.xmp import read_xmp
from pixseek.types import Compare, Record, Scalar, record_id

from tiny_encoder import TinyEncoder, draw

# ------------------------------------------------------------------ the rule, as pure functions

TAGS = st.sampled_from(["boat", "Boat", "lake", "Größe", "a|b", 'q"uote', "sea; sky"])
CAPTIONS = st.sampled_from(["", "a lake", "two\nlines", "Ünïcode"])
VALUES = st.none() | st.booleans() | st.integers(-5, 5) | st.text("abc", max_size=3)
FILES = st.builds(
    lambda caption, tags, rating, title: Record(
        "i", "photos/a.jpg", caption=caption, tags=tuple({t.casefold(): t for t in tags}.values()),
        fields={**({"rating": rating} if rating else {}), **({"title": title} if title else {})},
    ),
    CAPTIONS, st.lists(TAGS), st.integers(-1, 5), CAPTIONS,
)  # fmt: skip
CHANGES = st.builds(
    change,
    add=st.lists(TAGS, max_size=3),
    remove=st.lists(TAGS, max_size=3),
    caption=st.none() | CAPTIONS,
    rating=st.none() | st.integers(-1, 5),
    fields=st.dictionaries(st.sampled_from(["price", "to_do"]), VALUES, max_size=2),
    clear=st.sets(st.sampled_from(["tags", "caption", "rating", "fields", "all"]), max_size=2),
)


def folded(tags: tuple[str, ...]) -> set[str]:
    return {tag.casefold() for tag in tags}


@given(FILES, st.lists(st.one_of(CHANGES, FILES, st.just("moved")), max_size=8))
def test_a_record_is_its_files_part_changed_by_its_users(
    file: Record, happenings: list[object]
) -> None:
    record, said = file, Annotation()
    for happening in happenings:
        if isinstance(happening, Record):  # the file is read again
            file = replace(happening, id=file.id, uri=file.uri)
            record = annotate(file, annotation_of(record))
        elif happening == "moved":
            uri = f"photos/b/{record.name}"
            file = replace(file, id=record_id(uri), uri=uri)
            record = replace(record, id=file.id, uri=uri)
        else:
            said = changed(said, happening, file.tags)  # type: ignore[arg-type]
            record = annotate(file_part(record), said)
        assert annotation_of(record) == said
        assert file_part(record) == file
        assert annotate(record, annotation_of(record)) == record
        # What it comes to, in other words than the code's.
        assert record.caption == (said.caption or file.caption)
        assert record.fields.get("rating") == (said.rating or file.fields.get("rating"))
        removed, added = folded(said.tags_removed), folded(said.tags_added)
        assert folded(record.tags) == (folded(file.tags) - removed) | added
        assert len(folded(record.tags)) == len(record.tags)
        assert not removed & added
        assert {n: v for n, v in record.fields.items() if n in ("title",)} == {
            n: v for n, v in file.fields.items() if n == "title"
        }
        if not said:
            assert record == file


@given(FILES, CHANGES)
def test_the_same_said_twice_is_said_once(file: Record, what: object) -> None:
    once = changed(Annotation(), what, file.tags)  # type: ignore[arg-type]
    assert changed(once, what, file.tags) == once  # type: ignore[arg-type]


def said(file: Record, **what: object) -> Record:
    before = annotation_of(file)
    part = file_part(file)
    return annotate(part, changed(before, change(**what), part.tags))  # type: ignore[arg-type]


FILE = Record("i", "a/b.jpg", caption="by the file", tags=("boat", "lake"), fields={"rating": 2})


def test_what_is_kept() -> None:
    record = said(FILE, add="sea", remove="LAKE", caption="mine", rating=5, fields={"price": 9.5})
    assert (record.caption, record.tags) == ("mine", ("boat", "sea"))
    assert record.fields == {
        "rating": 5, "user.rating": 5, "file.rating": 2,
        "user.caption": "mine", "file.caption": "by the file",
        "user.tags_added": '["sea"]', "user.tags_removed": '["LAKE"]',
        "file.tags": '["boat", "lake"]', "user.price": 9.5,
    }  # fmt: skip
    assert {*record.fields} - {"rating", "user.price"} == KEPT - {LABELLED}
    looked_at = annotate(record, replace(annotation_of(record), labelled="abc"))
    assert looked_at.fields == {**record.fields, LABELLED: "abc"}
    assert annotate(looked_at, annotation_of(looked_at)) == looked_at


def test_what_is_taken_back_shows_the_files_again() -> None:
    record = said(FILE, add="sea", remove="lake", caption="mine", rating=5, fields={"price": 9.5})
    assert said(record, caption="").caption == "by the file"
    assert said(record, rating=0).fields["rating"] == 2
    assert said(record, add="lake").tags == ("boat", "lake", "sea")
    assert said(record, remove="sea").tags == ("boat",)
    assert "user.price" not in said(record, fields={"price": None}).fields
    assert said(record, clear="tags").tags == ("boat", "lake")
    assert said(record, clear="all") == FILE
    assert said(record, clear=["tags", "caption", "rating", "fields"]) == FILE


def test_tags_are_cleaned_as_those_of_files() -> None:
    assert change(add="a, b;c ,  d\x07e").add == ("a", "b", "c", "d e")
    assert said(FILE, add="lake", remove="lake").tags == ("boat", "lake")
    paris = replace(FILE, tags=("Paris, France", "Paris"))
    assert said(paris, remove="Paris, France").tags == ()
    assert change(add=["Places|Italy", "italy"]).add == ("Italy", "Places|Italy")


@pytest.mark.parametrize(
    "what",
    [{"rating": 6}, {"rating": True}, {"rating": 2.5}, {"clear": "captions"},
     {"fields": {"rating": 3}}, {"fields": {"user.tags": "a"}}, {"fields": {"a b": 1}},
     {"fields": {"": 1}}, {"fields": {"9a": 1}}, {"fields": {"a": [1]}}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(what: dict[str, object]) -> None:
    with pytest.raises(QueryError) as caught:
        change(**what)  # type: ignore[arg-type]
    assert caught.value.advice


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9.5", 9.5), ("-3", -3), ("1e3", 1000.0), ("true", True), ("false", False),
        ("2021-05-03", datetime(2021, 5, 3)), ("2021-05-03T14:22", datetime(2021, 5, 3, 14, 22)),
        ("2021-99-03", "2021-99-03"), ('"9.5"', "9.5"), ("", ""), ("Ann & Co", "Ann & Co"),
        ("nan", "nan"), ("1_000", "1_000"),
    ],
)  # fmt: skip
def test_values_on_a_command_line(text: str, value: Scalar) -> None:
    found = value_of(text)
    assert found == value and type(found) is type(value)


@given(st.text())
def test_any_text_is_a_value(text: str) -> None:
    change(fields={"a": value_of(text)})


# ------------------------------------------------------------------ in a library


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number, colour in enumerate(["red", "green", "blue"]):
        draw(tmp_path / "pictures" / f"{colour}.png", colour, number)
    return tmp_path / "pictures"


@pytest.fixture
def library(tmp_path: Path, pictures: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    with pixseek.open(tmp_path / "photos.lib") as opened:
        opened.index(pictures)
        yield opened


def record_of(library: pixseek.Library, path: Path) -> Record:
    record = library.find(path)
    assert record is not None
    return record


def test_vectors_stay_as_they_are(library: pixseek.Library, pictures: Path) -> None:
    before = {
        record.id: rows for records, rows in library.opened.engine.export() for record in records
    }
    every = [pictures / name for name in ("red.png", "green.png", "blue.png")]
    vectors = [library.vectors(record_of(library, path).id) for path in every]
    assert library.tag(every, add="colour", rating=3) == 3
    for path, rows in zip(every, vectors, strict=True):
        after = library.vectors(record_of(library, path).id)
        assert after is not None and rows is not None
        assert np.array_equal(after, rows)
    assert len(before) == len(library) == 3
    assert library.search("red", k=1)[0].path == pictures / "red.png"
    rated = library.search(where=Compare("tags", "contains", "colour"), k=10)
    assert len(rated) == 3


def test_images_are_named_by_id_file_and_uri(library: pixseek.Library, pictures: Path) -> None:
    red = record_of(library, pictures / "red.png")
    assert library.tag([red.id, str(pictures / "red.png"), red.uri], add="x") == 1
    assert library.tag(pictures / "red.png", add="x") == 0
    assert library.tag([], add="x") == 0
    with pytest.raises(QueryError) as caught:
        library.tag([pictures / "green.png", pictures / "none.png"], add="x")
    assert "none.png" in caught.value.subject
    assert record_of(library, pictures / "green.png").tags == ()


def test_many_images_are_written_in_chunks(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tagging, "_CHUNK", 2)
    monkeypatch.setattr("pixseek.library.labelling.TARGETS", 2)
    assert library.tag(sorted(pictures.iterdir()), add="x") == 3
    assert all(record_of(library, path).tags == ("x",) for path in pictures.iterdir())


def test_the_library_is_locked_meanwhile(library: pixseek.Library, pictures: Path) -> None:
    with library.opened.writing(), pytest.raises(LibraryLockedError):
        library.tag(pictures / "red.png", add="x")


def test_a_file_that_changes_keeps_what_was_said(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    red = pictures / "red.png"
    (pictures / "red.txt").write_text("by the file")
    library.index()
    library.tag(red, caption="mine", add="wall", rating=4)
    (pictures / "red.txt").write_text("by the file, anew")
    (pictures / "red.png.json").write_text('{"tags": ["paint", "wall"], "rating": 2}')
    assert library.index().updated == 1
    record = record_of(library, red)
    assert (record.caption, record.tags, record.fields["rating"]) == ("mine", ("paint", "wall"), 4)
    draw(red, "blue", 99)  # another content
    library.index()
    assert record_of(library, red).caption == "mine"
    library.tag(red, clear="all")
    record = record_of(library, red)
    assert record.caption == "by the file, anew"
    assert (record.tags, record.fields["rating"]) == (("paint", "wall"), 2)
    with pixseek.open(library.path.with_name("new.lib")) as anew:
        anew.index(pictures)
        assert record_of(anew, red) == record


@pytest.mark.parametrize("same_stamp", [True, False])
def test_what_was_said_moves_with_the_file(
    library: pixseek.Library, pictures: Path, same_stamp: bool
) -> None:
    library.tag(pictures / "red.png", caption="mine", add="wall", fields={"price": 9.5})
    moved = pictures / "sub" / "rot.png"
    moved.parent.mkdir()
    (pictures / "red.png").rename(moved)
    if not same_stamp:
        os.utime(moved)
    assert library.index().moved == 1
    record = record_of(library, moved)
    assert (record.caption, record.tags, record.fields["user.price"]) == ("mine", ("wall",), 9.5)
    shutil.copy(moved, pictures / "copy.png")
    library.index()
    copy = record_of(library, pictures / "copy.png")
    assert not annotation_of(copy) and (copy.caption, copy.tags) == ("", ())


@pytest.mark.parametrize("ending", ["parquet", "npz"])
def test_what_was_said_is_exported(
    library: pixseek.Library, pictures: Path, tmp_path: Path, ending: str
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    (pictures / "red.txt").write_text("by the file")
    library.index()
    when = datetime(2021, 5, 3, 14, 22)
    library.tag(pictures / "red.png", caption="mine", add=["wall", "a|b"], rating=-1,
                fields={"price": 9.5, "paid": True, "when": when})  # fmt: skip
    library.export(tmp_path / f"photos.{ending}")
    with pixseek.open(tmp_path / "other.lib") as other:
        other.import_vectors(tmp_path / f"photos.{ending}")
        record = record_of(library, pictures / "red.png")
        assert other.get(record.id) == record
        other.tag(record.id, clear="all")
        cleared = other.get(record.id)
        assert cleared is not None and cleared.caption == "by the file"
        assert not any(name.startswith(("user.", "file.")) for name in cleared.fields)


# ------------------------------------------------------------------ with sidecars


def xmp_beside(path: Path) -> tuple[str, tuple[str, ...], Scalar]:
    found = read_xmp(path.read_bytes())
    return found.caption, found.tags, found.fields.get("rating")


def test_sidecars_say_the_same_and_are_read_once(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    red, content = pictures / "red.png", (pictures / "red.png").read_bytes()
    library.tag(red, caption="mine\nby night", add=["wall", "a|b"], rating=4, write_xmp=True)
    assert xmp_beside(pictures / "red.png.xmp") == ("mine\nby night", ("wall", "b", "a|b"), 4)
    said = record_of(library, red)
    embedded = tiny.embedded
    report = library.index()
    assert (report.updated, report.unchanged, report.reused) == (1, 2, 1)
    assert library.index().unchanged == 3
    assert tiny.embedded == embedded
    read = record_of(library, red)
    assert replace(read, stamp=said.stamp) == said
    assert red.read_bytes() == content
    assert {path.name for path in pictures.iterdir()} == {
        "red.png", "red.png.xmp", "green.png", "blue.png",
    }  # fmt: skip
    # From here on the file says it itself.
    library.tag(red, clear="all")
    read = record_of(library, red)
    assert (read.caption, read.tags) == ("mine\nby night", ("wall", "b", "a|b"))


def test_what_is_taken_back_leaves_the_sidecar(library: pixseek.Library, pictures: Path) -> None:
    red, sidecar = pictures / "red.png", pictures / "red.png.xmp"
    library.tag(red, caption="mine", add="wall", rating=4, write_xmp=True)
    library.tag(red, caption="", remove="wall", rating=0, write_xmp=True)
    assert xmp_beside(sidecar) == ("", (), None)
    record = record_of(library, red)
    assert (record.caption, record.tags, record.fields.get("rating")) == ("", (), None)
    library.index()
    read = record_of(library, red)
    assert (read.caption, read.tags, read.fields.get("rating")) == ("", (), None)


def test_an_edit_made_elsewhere_in_the_meantime_is_kept(
    library: pixseek.Library, pictures: Path
) -> None:
    red, sidecar = pictures / "red.png", pictures / "red.xmp"
    library.tag(red, caption="mine", rating=4)
    # A photo manager rates it and tags it before the next run.
    from pixseek.metadata.sidecar_writing import edited

    sidecar.write_bytes(edited(b"", caption="theirs", rating=2, add=["theirs"]))
    library.tag(red, caption="", rating=0, add="mine", write_xmp=True)
    assert xmp_beside(sidecar) == ("theirs", ("theirs", "mine"), 2)
    assert not (pictures / "red.png.xmp").exists()
    library.index()
    record = record_of(library, red)
    assert (record.caption, record.tags, record.fields["rating"]) == (
        "theirs",
        ("theirs", "mine"),
        2,
    )


def test_what_was_said_before_can_be_written_later(
    library: pixseek.Library, pictures: Path
) -> None:
    (pictures / "red.png.json").write_text('{"tags": ["paint"]}')
    library.index()
    library.tag(pictures / "red.png", add="wall", rating=4)
    assert library.tag(pictures / "red.png", write_xmp=True) == 1  # the file's part is another now
    assert xmp_beside(pictures / "red.png.xmp") == ("", ("paint", "wall"), 4)
    # Nothing was said of this one, so nothing is written.
    assert library.tag(pictures / "green.png", write_xmp=True) == 0
    assert not (pictures / "green.png.xmp").exists()


def test_a_sidecar_that_is_no_xmp_is_left_as_it_is(
    library: pixseek.Library, pictures: Path
) -> None:
    (pictures / "red.xmp").write_bytes(b"no XMP at all")
    with pytest.raises(StorageError) as caught:
        library.tag([pictures / "red.png", pictures / "blue.png"], add="x", write_xmp=True)
    assert "red.xmp is no XMP" in caught.value.problem
    assert caught.value.subject == str(pictures / "red.png")
    assert (pictures / "red.xmp").read_bytes() == b"no XMP at all"
    assert record_of(library, pictures / "red.png").tags == ("x",)
    assert xmp_beside(pictures / "blue.png.xmp") == ("", ("x",), None)


def test_a_file_that_is_gone_gets_no_sidecar(library: pixseek.Library, pictures: Path) -> None:
    (pictures / "red.png").unlink()
    with pytest.raises(StorageError, match="not there"):
        library.tag(pictures / "red.png", add="x", write_xmp=True)
    assert not (pictures / "red.png.xmp").exists()


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_a_sidecar_keeps_its_permissions(library: pixseek.Library, pictures: Path) -> None:
    red, sidecar = pictures / "red.png", pictures / "red.png.xmp"
    library.tag(red, add="x", write_xmp=True)
    sidecar.chmod(0o640)
    library.tag(red, add="y", write_xmp=True)
    assert stat.S_IMODE(sidecar.stat().st_mode) == 0o640
