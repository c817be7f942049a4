"""Tagging a library: annotations follow the content, and are written into sidecars on request."""

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

import pixseek
from pixseek.errors import QueryError, StorageError
from pixseek.indexing import tagging
from pixseek.metadata.annotations import annotation_of
from pixseek.metadata.sidecar_writing import edited
from pixseek.metadata.xmp import read_xmp
from pixseek.types import Compare, Record, Scalar

from tiny_encoder import TinyEncoder, draw


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


def test_tagging_keeps_vectors(library: pixseek.Library, pictures: Path) -> None:
    every = [pictures / name for name in ("red.png", "green.png", "blue.png")]
    vectors = [library.vectors(record_of(library, path).id) for path in every]
    assert library.tag(every, add="colour", rating=3) == 3
    for path, rows in zip(every, vectors, strict=True):
        after = library.vectors(record_of(library, path).id)
        assert after is not None and rows is not None
        assert np.array_equal(after, rows)
    assert len(library) == 3
    assert library.search("red", k=1)[0].path == pictures / "red.png"
    rated = library.search(where=Compare("tags", "contains", "colour"), k=10)
    assert len(rated) == 3


def test_images_can_be_named_by_id_path_or_uri(library: pixseek.Library, pictures: Path) -> None:
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
    monkeypatch.setattr(tagging, "CHUNK", 2)
    monkeypatch.setattr("pixseek.library.labelling.TARGETS", 2)
    assert library.tag(sorted(pictures.iterdir()), add="x") == 3
    assert all(record_of(library, path).tags == ("x",) for path in pictures.iterdir())


def test_annotations_survive_changes_of_the_file_and_its_sidecars(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    red = pictures / "red.png"
    (pictures / "red.txt").write_text("by the file")
    library.index()
    library.tag(red, caption="mine", add="wall", rating=4)
    (pictures / "red.txt").write_text("by the file, second")
    (pictures / "red.png.json").write_text('{"tags": ["paint", "wall"], "rating": 2}')
    assert library.index().updated == 1
    record = record_of(library, red)
    assert (record.caption, record.tags, record.fields["rating"]) == ("mine", ("paint", "wall"), 4)
    draw(red, "blue", 99)  # new content
    library.index()
    assert record_of(library, red).caption == "mine"
    library.tag(red, clear="all")
    record = record_of(library, red)
    assert record.caption == "by the file, second"
    assert (record.tags, record.fields["rating"]) == (("paint", "wall"), 2)
    with pixseek.open(library.path.with_name("new.lib")) as rebuilt:
        rebuilt.index(pictures)
        assert record_of(rebuilt, red) == record


@pytest.mark.parametrize("same_stamp", [True, False])
def test_annotations_move_with_the_file_but_not_to_copies(
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
def test_annotations_are_exported_and_imported(
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
    with pixseek.open(tmp_path / "other.lib", model="demo") as other:
        other.import_vectors(tmp_path / f"photos.{ending}")
        record = record_of(library, pictures / "red.png")
        assert other.get(record.id) == record
        other.tag(record.id, clear="all")
        cleared = other.get(record.id)
        assert cleared is not None and cleared.caption == "by the file"
        assert not any(name.startswith(("user.", "file.")) for name in cleared.fields)


# ------------------------------------------------------------------ with sidecars


def in_sidecar(path: Path) -> tuple[str, tuple[str, ...], Scalar]:
    """Caption, tags and rating in an XMP sidecar."""
    found = read_xmp(path.read_bytes())
    return found.caption, found.tags, found.fields.get("rating")


def test_written_sidecars_agree_with_the_record_and_are_read_once(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    red, content = pictures / "red.png", (pictures / "red.png").read_bytes()
    library.tag(red, caption="mine\nby night", add=["wall", "a|b"], rating=4, write_xmp=True)
    assert in_sidecar(pictures / "red.png.xmp") == ("mine\nby night", ("wall", "b", "a|b"), 4)
    tagged = record_of(library, red)
    embedded = tiny.embedded
    report = library.index()
    assert (report.updated, report.unchanged, report.reused) == (1, 2, 1)
    assert library.index().unchanged == 3
    assert tiny.embedded == embedded
    read = record_of(library, red)
    assert replace(read, stamp=tagged.stamp) == tagged
    assert red.read_bytes() == content
    assert {path.name for path in pictures.iterdir()} == {
        "red.png", "red.png.xmp", "green.png", "blue.png",
    }  # fmt: skip
    # The file's own metadata, from its sidecar, now say the same.
    library.tag(red, clear="all")
    read = record_of(library, red)
    assert (read.caption, read.tags) == ("mine\nby night", ("wall", "b", "a|b"))


def test_cleared_annotations_are_removed_from_the_sidecar(
    library: pixseek.Library, pictures: Path
) -> None:
    red, sidecar = pictures / "red.png", pictures / "red.png.xmp"
    library.tag(red, caption="mine", add="wall", rating=4, write_xmp=True)
    library.tag(red, caption="", remove="wall", rating=0, write_xmp=True)
    assert in_sidecar(sidecar) == ("", (), None)
    record = record_of(library, red)
    assert (record.caption, record.tags, record.fields.get("rating")) == ("", (), None)
    library.index()
    read = record_of(library, red)
    assert (read.caption, read.tags, read.fields.get("rating")) == ("", (), None)


def test_an_edit_by_another_program_is_kept(library: pixseek.Library, pictures: Path) -> None:
    red, sidecar = pictures / "red.png", pictures / "red.xmp"
    library.tag(red, caption="mine", rating=4)
    # A photo manager rates and tags the image before the next run.
    sidecar.write_bytes(edited(b"", caption="theirs", rating=2, add=["theirs"]))
    library.tag(red, caption="", rating=0, add="mine", write_xmp=True)
    assert in_sidecar(sidecar) == ("theirs", ("theirs", "mine"), 2)
    assert not (pictures / "red.png.xmp").exists()
    library.index()
    record = record_of(library, red)
    assert (record.caption, record.tags, record.fields["rating"]) == (
        "theirs",
        ("theirs", "mine"),
        2,
    )


def test_earlier_annotations_can_be_written_to_sidecars_later(
    library: pixseek.Library, pictures: Path
) -> None:
    (pictures / "red.png.json").write_text('{"tags": ["paint"]}')
    library.index()
    library.tag(pictures / "red.png", add="wall", rating=4)
    assert library.tag(pictures / "red.png", write_xmp=True) == 1  # the sidecar changes the record
    assert in_sidecar(pictures / "red.png.xmp") == ("", ("paint", "wall"), 4)
    # This one has no annotation, so nothing is written.
    assert library.tag(pictures / "green.png", write_xmp=True) == 0
    assert not (pictures / "green.png.xmp").exists()


def test_a_sidecar_that_is_not_xmp_is_left_unchanged(
    library: pixseek.Library, pictures: Path
) -> None:
    (pictures / "red.xmp").write_bytes(b"no XMP at all")
    with pytest.raises(StorageError) as caught:
        library.tag([pictures / "red.png", pictures / "blue.png"], add="x", write_xmp=True)
    assert "red.xmp is not XMP" in caught.value.problem
    assert caught.value.subject == str(pictures / "red.png")
    assert (pictures / "red.xmp").read_bytes() == b"no XMP at all"
    assert record_of(library, pictures / "red.png").tags == ("x",)
    assert in_sidecar(pictures / "blue.png.xmp") == ("", ("x",), None)


def test_no_sidecar_is_written_for_a_missing_file(library: pixseek.Library, pictures: Path) -> None:
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
