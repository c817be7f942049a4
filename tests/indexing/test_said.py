"""What users said outlives its record, and comes back with the place or the picture."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import pixseek
from pixseek.errors import QueryError
from pixseek.metadata.annotations import tags_by_model

from tiny_encoder import TinyEncoder, draw

Steps = Callable[[pixseek.Library, Path], None]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(3):
        draw(tmp_path / "photos" / "in" / f"{number}.png", "red", number)
        draw(tmp_path / "other" / f"{number}.png", "blue", number)
    draw(tmp_path / "photos" / "top.png", "white", 1)
    return tmp_path / "photos"


@pytest.fixture
def library(tmp_path: Path, photos: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    with pixseek.open(tmp_path / "lib") as opened:
        opened.index(photos)
        opened.index(tmp_path / "other")
        say(opened, "photos/in/1.png")
        yield opened


def say(library: pixseek.Library, uri: str) -> None:
    (record,) = [each for each in library.records() if each.uri == uri]
    library.tag(
        [record.id], add=["mine", "A|B"], rating=4, caption="my words", fields={"price": 9.5}
    )


def said(library: pixseek.Library) -> dict[str, tuple[object, ...]]:
    return {
        each.uri: (each.tags, each.fields.get("rating"), each.caption, each.fields["user.price"])
        for each in library.records()
        if "user.price" in each.fields
    }


WORDS = (("mine", "B", "A|B"), 4, "my words", 9.5)


def edited(path: Path, note: str = "edited") -> None:
    """Write a file anew with the same pixels and other metadata."""
    with Image.open(path) as picture:
        info = PngInfo()
        info.add_text("Comment", note)
        picture.save(path, pnginfo=info)


def delete(library: pixseek.Library, photos: Path) -> None:
    (photos / "in" / "1.png").rename(photos.parent / "trash.png")
    report = library.index(photos)
    assert (report.removed, report.away) == (1, 1)


def restore(library: pixseek.Library, photos: Path) -> None:
    shutil.copy(photos.parent / "trash.png", photos / "in" / "1.png")
    library.index(photos)


def restore_elsewhere(library: pixseek.Library, photos: Path) -> None:
    shutil.copy(photos.parent / "trash.png", photos.parent / "other" / "else.png")
    library.index()


def restore_edited_elsewhere(library: pixseek.Library, photos: Path) -> None:
    edited(photos.parent / "trash.png")
    restore_elsewhere(library, photos)


def break_(library: pixseek.Library, photos: Path) -> None:
    path = photos / "in" / "1.png"
    shutil.copy(path, photos.parent / "trash.png")
    path.write_bytes(b"no image any more")
    assert library.index(photos).failures


def remove(library: pixseek.Library, photos: Path) -> None:
    shutil.copy(photos / "in" / "1.png", photos.parent / "trash.png")
    assert library.remove(photos / "in" / "1.png") == 1


def remove_root(library: pixseek.Library, photos: Path) -> None:
    shutil.copy(photos / "in" / "1.png", photos.parent / "trash.png")
    assert library.remove(root="photos") == 4


def exclude(library: pixseek.Library, photos: Path) -> None:
    shutil.copy(photos / "in" / "1.png", photos.parent / "trash.png")
    assert library.index(photos, exclude=["/in/"]).away == 1


def include(library: pixseek.Library, photos: Path) -> None:
    library.index(photos / "in")


def include_file(library: pixseek.Library, photos: Path) -> None:
    library.index(photos / "in" / "1.png")


def index(library: pixseek.Library, photos: Path) -> None:
    library.index(photos)


@pytest.mark.parametrize(
    ("leave", "come_back", "uri"),
    [
        (delete, restore, "photos/in/1.png"),
        (delete, restore_elsewhere, "other/else.png"),
        (delete, restore_edited_elsewhere, "other/else.png"),
        (break_, restore, "photos/in/1.png"),
        (remove, include_file, "photos/in/1.png"),
        (remove, restore_elsewhere, "other/else.png"),
        (remove_root, index, "photos/in/1.png"),
        (exclude, include, "photos/in/1.png"),
        (exclude, restore_edited_elsewhere, "other/else.png"),
    ],
)
def test_what_was_said_comes_back_with_the_place_or_the_picture(
    library: pixseek.Library, photos: Path, leave: Steps, come_back: Steps, uri: str
) -> None:
    leave(library, photos)
    (away,) = library.away()
    assert (away.uri, away.away, away.parts) == ("photos/in/1.png", True, ())
    assert library.status().contents.away == 1
    assert not said(library)
    come_back(library, photos)
    assert said(library) == {uri: WORDS}
    # A file that is still at its place may be included again.
    stays = leave in (remove, exclude) and uri.startswith("other")
    assert len(library.away()) == stays


@pytest.mark.parametrize("first", ["photos", "other"])
@pytest.mark.parametrize("edit", [False, True])
def test_a_move_between_folders_in_any_order(
    library: pixseek.Library, photos: Path, first: str, edit: bool
) -> None:
    place = photos.parent / "other" / "moved.png"
    (photos / "in" / "1.png").rename(place)
    if edit:
        edited(place)
    for name in (first, "photos", "other"):
        library.index(photos.parent / name)
    assert said(library) == {"other/moved.png": WORDS}


def test_a_rename_with_an_edit_of_the_metadata_in_one_run(
    library: pixseek.Library, photos: Path
) -> None:
    (photos / "in" / "1.png").rename(photos / "in" / "new.png")
    edited(photos / "in" / "new.png")
    library.index()
    assert said(library) == {"photos/in/new.png": WORDS}


def test_a_photo_in_the_place_of_one_that_moved_does_not_lose_its_words(
    library: pixseek.Library, photos: Path
) -> None:
    say(library, "photos/in/2.png")
    (photos / "in" / "1.png").rename(photos.parent / "one.png")
    (photos / "in" / "2.png").rename(photos / "in" / "1.png")
    library.index(photos)  # a run sees the new content at the old place first
    (photos.parent / "one.png").rename(photos.parent / "other" / "one.png")
    library.index(photos.parent / "other")
    assert said(library) == {"photos/in/1.png": WORDS, "other/one.png": WORDS}


@pytest.mark.parametrize("checkpoint", [1, 1024])
def test_photos_that_change_places_and_metadata_take_their_words_along(
    library: pixseek.Library, photos: Path, checkpoint: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixseek.indexing.pipeline.CHECKPOINT_RECORDS", checkpoint)
    for number in (2, 1, 0):
        path = photos / "in" / f"{number}.png"
        path.rename(photos / "in" / f"{number + 1}.png")
        edited(photos / "in" / f"{number + 1}.png")
    library.index(photos)
    assert said(library) == {"photos/in/2.png": WORDS}
    assert library.away() == []


@pytest.mark.parametrize("is_edited", [False, True])
@pytest.mark.parametrize(("first", "both"), [("photos", False), ("photos", True), ("other", True)])
def test_photos_that_change_places_between_folders_that_are_indexed_apart(
    library: pixseek.Library, photos: Path, first: str, is_edited: bool, both: bool
) -> None:
    one, two = photos / "in" / "1.png", photos.parent / "other" / "2.png"
    wanted = {"other/2.png": ("mine", "B", "A|B")}
    edited(two, "a longer note, so that it has another size")
    library.index()
    if both:
        record = library.find(two)
        assert record is not None
        library.tag([record.id], add="two", fields={"price": 1})
        wanted["photos/in/1.png"] = ("two",)
    one.rename(photos.parent / "moving.png")
    two.rename(one)
    (photos.parent / "moving.png").rename(two)
    if is_edited:
        edited(one)
        edited(two, "short")
    library.index(photos.parent / first)
    library.index()
    assert {uri: tags for uri, (tags, *_) in said(library).items()} == wanted


@pytest.mark.parametrize("is_edited", [False, True])
def test_an_original_that_is_moved_back_over_its_edit_keeps_the_words(
    library: pixseek.Library, photos: Path, is_edited: bool
) -> None:
    place, original = photos / "in" / "1.png", photos / "original.png"
    shutil.copy2(place, original)
    library.index(photos)
    draw(place, "black", 77)
    library.index(photos)
    original.rename(place)
    if is_edited:
        edited(place)
    library.index(photos)
    assert said(library) == {"photos/in/1.png": WORDS}
    assert library.away() == []


def test_a_file_edited_in_place_keeps_its_words_and_nothing_is_away(
    library: pixseek.Library, photos: Path
) -> None:
    for number in (30, 31, 32):
        draw(photos / "in" / "1.png", "green", number)
        library.index()
        assert said(library) == {"photos/in/1.png": WORDS}
    assert library.status().contents.away == 0
    assert not library.away()


def test_a_restored_original_does_not_bring_back_what_was_changed_since(
    library: pixseek.Library, photos: Path
) -> None:
    path = photos / "in" / "1.png"
    original = path.read_bytes()
    draw(path, "green", 30)
    library.index()
    library.tag([library.find(path).id], rating=1)  # type: ignore[union-attr]
    path.write_bytes(original)
    library.index()
    record = library.find(path)
    assert record is not None and record.fields["rating"] == 1


@pytest.mark.parametrize("edit", [False, True])
def test_a_copy_gets_the_words_when_the_original_is_deleted(
    library: pixseek.Library, photos: Path, edit: bool
) -> None:
    copy = photos.parent / "other" / "copy.png"
    shutil.copy(photos / "in" / "1.png", copy)
    if edit:
        edited(copy)
    library.index()
    assert said(library) == {"photos/in/1.png": WORDS}
    (photos / "in" / "1.png").unlink()
    library.index()
    assert said(library) == {"other/copy.png": WORDS}


@pytest.mark.parametrize("first", ["other", "photos"])
def test_a_photo_that_moved_keeps_its_words_if_one_of_its_size_takes_its_place(
    library: pixseek.Library, photos: Path, first: str
) -> None:
    old = photos / "in" / "1.png"
    size = old.stat().st_size
    old.rename(photos.parent / "other" / "moved.png")
    draw(old, "green", 60)
    with old.open("ab") as file:
        file.write(b"\0" * (size - old.stat().st_size))
    for name in (first, "other", "photos"):
        library.index(photos.parent / name)
    assert said(library)["other/moved.png"] == WORDS


def test_copies_get_back_their_own_words_by_name(library: pixseek.Library, photos: Path) -> None:
    shutil.copy(photos / "in" / "1.png", photos / "in" / "copy.png")
    library.index()
    copy = library.find(photos / "in" / "copy.png")
    assert copy is not None
    library.tag([copy.id], add="other")
    library.remove(root="photos")
    assert len(library.away()) == 2
    (photos / "in").rename(photos.parent / "elsewhere")
    library.index(photos.parent / "elsewhere")
    tags = {each.uri: each.tags for each in library.records() if each.tags}
    assert tags == {"elsewhere/1.png": WORDS[0], "elsewhere/copy.png": ("other",)}


def test_another_folder_of_the_same_name_gets_nothing(
    library: pixseek.Library, photos: Path, tmp_path: Path
) -> None:
    library.remove(root="photos")
    draw(tmp_path / "b" / "photos" / "in" / "1.png", "green", 77)
    library.index(tmp_path / "b" / "photos")
    assert not said(library)
    library.index(photos)
    assert said(library) == {"photos/in/1.png": WORDS}


def test_nothing_is_kept_of_photos_of_which_nothing_was_said(
    library: pixseek.Library, photos: Path
) -> None:
    (photos / "in" / "0.png").unlink()
    report = library.index()
    assert (report.removed, report.away, library.away()) == (1, 0, [])


def test_what_is_away_can_be_tagged_and_forgotten(library: pixseek.Library, photos: Path) -> None:
    delete(library, photos)
    (away,) = library.away(photos / "in")
    assert library.away(photos / "in" / "1.png") == library.away(away.id) == [away]
    assert library.tag([away.id], add="late") == 1
    with pytest.raises(QueryError, match="Nothing is kept"):
        library.forget(photos / "in" / "0.png")
    restore(library, photos)
    (record,) = [each for each in library.records() if "late" in each.tags]
    assert record.uri == "photos/in/1.png"
    delete(library, photos)
    assert library.forget(photos / "in") == 1
    assert library.away() == []
    restore(library, photos)
    assert not said(library)


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_an_export_holds_what_is_away_and_an_import_overwrites_nothing(
    library: pixseek.Library, photos: Path, tmp_path: Path, ending: str
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    delete(library, photos)
    zero = library.find(photos / "in" / "0.png")
    assert zero is not None
    library.tag([zero.id], add="then", rating=2)
    library.export(tmp_path / f"out.{ending}")
    library.tag([zero.id], add="now", rating=5)
    library.import_vectors(tmp_path / f"out.{ending}")
    record = library.find(photos / "in" / "0.png")
    assert record is not None
    assert (set(record.tags), record.fields["rating"]) == ({"then", "now"}, 5)
    with pixseek.open(tmp_path / "lib2") as copy:
        copy.import_vectors(tmp_path / f"out.{ending}")
        assert [each.uri for each in copy.away()] == ["photos/in/1.png"]
        copy.index(photos)
        restore(copy, photos)
        assert said(copy)["photos/in/1.png"] == WORDS


def test_a_copy_of_an_excluded_photo_takes_nothing_from_it(
    library: pixseek.Library, photos: Path
) -> None:
    shutil.copy2(photos / "in" / "1.png", photos.parent / "other" / "1-copy.png")
    os.utime(photos.parent / "other" / "1-copy.png")
    library.index(exclude=["/in/"])
    assert not said(library)
    library.index(photos / "in")
    assert said(library) == {"photos/in/1.png": WORDS}


def test_a_copy_takes_nothing_from_a_place_that_is_still_to_come(
    library: pixseek.Library, photos: Path
) -> None:
    # The file was painted over, and an older copy is new to the library in the same run.
    shutil.copy(photos / "in" / "1.png", photos / "in" / "a-copy.png")
    draw(photos / "in" / "1.png", "green", 50)
    library.remove(root="photos")
    library.index(photos)
    assert said(library) == {"photos/in/1.png": WORDS, "photos/in/a-copy.png": WORDS}


def test_a_copy_takes_nothing_from_a_root_that_is_removed_for_now(
    library: pixseek.Library, photos: Path
) -> None:
    shutil.copy(photos / "in" / "1.png", photos.parent / "other" / "copy.png")
    draw(photos / "in" / "1.png", "green", 50)
    library.remove(root="photos")
    library.index(photos.parent / "other")
    library.index(photos)
    assert said(library) == {"photos/in/1.png": WORDS, "other/copy.png": WORDS}


def test_a_copy_in_a_later_run_takes_nothing_from_an_excluded_photo(
    library: pixseek.Library, photos: Path
) -> None:
    library.index(photos, exclude=["/in/"])
    shutil.copy(photos / "in" / "1.png", photos.parent / "other" / "copy.png")
    library.index(photos.parent / "other")
    library.index(photos / "in")
    assert said(library)["photos/in/1.png"] == WORDS


def test_an_excluded_photo_keeps_its_words_when_a_copy_of_it_has_changed(
    library: pixseek.Library, photos: Path
) -> None:
    shutil.copy2(photos / "in" / "1.png", photos / "copy.png")  # with the time of the file
    library.index(photos)
    library.remove(photos / "in")
    Image.effect_noise((40, 40), 90).save(photos / "copy.png")  # of another size
    library.index(photos / "in")
    assert said(library) == {"photos/in/1.png": WORDS}
    library.index(photos)
    assert said(library) == {"photos/in/1.png": WORDS}


def test_roots_that_are_joined_keep_what_is_away(
    library: pixseek.Library, photos: Path, tmp_path: Path
) -> None:
    delete(library, photos)
    library.index(tmp_path, exclude=["/trash.png"])
    assert [each.uri for each in library.away()] == [f"{tmp_path.name}/photos/in/1.png"]
    shutil.copy(tmp_path / "trash.png", photos / "in" / "1.png")
    (tmp_path / "trash.png").unlink()
    library.index()
    assert list(said(library)) == [f"{tmp_path.name}/photos/in/1.png"]


def test_what_a_model_looked_for_is_nothing_that_a_user_said(
    library: pixseek.Library, photos: Path
) -> None:
    library.tag_zero_shot(["black"])
    (photos / "in" / "0.png").unlink()
    report = library.index(photos)
    assert (report.removed, report.away, library.away()) == (1, 0, [])


def test_a_copy_that_a_model_tagged_gets_the_words_of_a_deleted_original(
    library: pixseek.Library, photos: Path
) -> None:
    shutil.copy2(photos / "in" / "1.png", photos / "copy.png")
    library.index(photos)
    library.tag_zero_shot(["red"])
    library.tag_zero_shot(["blue"])
    delete(library, photos)
    copy = library.find(photos / "copy.png")
    assert copy is not None
    assert {"mine", "red"} <= set(copy.tags)
    assert tags_by_model(copy) == ("red",)


def test_a_tag_of_a_model_that_was_removed_does_not_return_with_other_metadata(
    library: pixseek.Library, photos: Path
) -> None:
    library.tag_zero_shot(["red"])
    record = library.find(photos / "in" / "0.png")
    assert record is not None
    assert record.tags == ("red",)
    library.tag([record.id], remove="red")
    edited(photos / "in" / "0.png")
    (photos / "in" / "0.png").rename(photos / "else.png")
    library.index(photos)
    library.tag_zero_shot(["red"])
    record = library.find(photos / "else.png")
    assert record is not None
    assert record.tags == ()


def test_an_import_gives_what_is_away_to_the_same_picture_elsewhere(
    library: pixseek.Library, photos: Path, tmp_path: Path
) -> None:
    delete(library, photos)
    library.export(tmp_path / "out.npz")
    (tmp_path / "new").mkdir()
    shutil.copy(tmp_path / "trash.png", tmp_path / "new" / "else.png")
    with pixseek.open(tmp_path / "lib2") as other:
        other.index(tmp_path / "new")
        other.import_vectors(tmp_path / "out.npz")
        assert said(other) == {"new/else.png": WORDS}
