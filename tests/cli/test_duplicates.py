"""`pixseek duplicates`: what it lists, prints and moves, and that it deletes nothing."""

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from .conftest import Run
from tiny_encoder import draw


def view(size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A picture with structure everywhere, as photos have it."""
    image = Image.effect_mandelbrot(size, (-2, -1, 1, 1), 40).convert("RGB")
    return Image.blend(image, Image.linear_gradient("L").resize(size).convert("RGB"), 0.4)


@pytest.fixture
def copies(run: Run, tmp_path: Path) -> Run:
    """A photo, a copy of it, one with a caption, a smaller one; three white pages."""
    folder = tmp_path / "work" / "Photos"
    folder.mkdir()
    original = folder / "original.png"
    view().save(original)
    os.utime(original, (1_000_000_000, 1_000_000_000))  # of the same the oldest is kept
    shutil.copy(original, folder / "copy.png")
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "A coast", 1
    view().save(folder / "captioned.png", exif=exif)
    view().resize((100, 75)).save(folder / "small.jpg", quality=90)
    for n in range(3):
        draw(folder / f"page-{n}.png", "white", n, size=(80, 60))
    assert run("index", folder).exit_code == 0
    return run


def names(paths: list[str]) -> list[str]:
    return [Path(each).name for each in paths]


def test_groups_are_listed_with_the_one_to_keep_first(copies: Run) -> None:
    photo, pages = json.loads(copies("duplicates", "--json", "--threshold", "0.9").stdout)
    assert names([photo["keep"], *photo["rest"]])[1:] == ["original.png", "copy.png", "small.jpg"]
    assert names([photo["keep"]]) == ["captioned.png"]  # it has the most bytes
    assert (photo["kind"], photo["exact"]) == ("edited", False)
    assert (pages["kind"], pages["exact"]) == ("alike", False)
    assert sorted(names([pages["keep"], *pages["rest"]])) == [f"page-{n}.png" for n in range(3)]
    shown = copies("duplicates", "--threshold", "0.9").stdout
    assert shown.splitlines()[0] == "edited or resized"
    assert shown.splitlines()[1].startswith("  keep")
    assert shown.splitlines()[6] == "alike"
    assert "1 group, 3 extra copies. 3 images in 1 group only look alike." in shown
    assert shown.count("keep") == 1


def test_the_same_picture_with_other_metadata_is_told_from_an_edited_one(
    copies: Run, tmp_path: Path
) -> None:
    (tmp_path / "work" / "Photos" / "small.jpg").unlink()
    copies("index")
    photo, _ = json.loads(copies("duplicates", "--json", "--threshold", "0.9").stdout)
    assert (photo["kind"], photo["exact"]) == ("same", False)
    assert copies("duplicates").stdout.startswith("the same picture\n")


def test_exact_lists_only_identical_files(copies: Run) -> None:
    # Also if edited ones lie next to them.
    [group] = json.loads(copies("duplicates", "--exact", "--json").stdout)
    assert (group["kind"], group["exact"]) == ("same", True)
    assert names([group["keep"], *group["rest"]]) == ["original.png", "copy.png"]
    assert "identical files" in copies("duplicates", "--exact").stdout


def test_rest_prints_paths_for_other_programs(copies: Run) -> None:
    lines = copies("duplicates", "--rest").stdout.splitlines()
    assert names(lines) == ["original.png", "copy.png", "small.jpg"]
    assert copies("duplicates", "--rest", "-0").stdout == "".join(f"{line}\0" for line in lines)


def test_moving_asks_first_and_deletes_nothing(copies: Run, tmp_path: Path) -> None:
    folder, target = tmp_path / "work" / "Photos", tmp_path / "away"
    before = sorted(path.read_bytes() for path in folder.iterdir())
    assert copies("duplicates", "--move", target, input="n\n").exit_code == 130
    assert not target.exists()
    done = copies("duplicates", "--move", target, "--threshold", "0.5", "--yes")
    assert "Moved 3 images" in done.stdout
    pages = [f"page-{n}.png" for n in range(3)]  # they are only alike
    assert sorted(path.name for path in folder.iterdir()) == ["captioned.png", *pages]
    both = [*folder.iterdir(), *(target / "Photos").iterdir()]
    assert sorted(path.read_bytes() for path in both) == before
    copies("index")
    assert copies("duplicates", "--exact").exit_code == 1
    assert "No copies found. 3 images in 1 group" in copies("duplicates").stdout


def test_the_kept_copy_gets_what_was_said_of_the_moved_ones(copies: Run, tmp_path: Path) -> None:
    folder = tmp_path / "work" / "Photos"
    copies("tag", folder / "captioned.png", "--add", "own", "--rating", "2")
    copies("tag", folder / "small.jpg", "--add", "small", "--rating", "5", "--set", "price=9.5")
    copies("tag", folder / "copy.png", "--caption", "my coast")
    done = copies("duplicates", "--move", tmp_path / "away", "--yes")
    assert "1 kept image got what you said of the moved ones" in done.stdout
    copies("index")
    kept = json.loads(copies("show", folder / "captioned.png", "--json").stdout)
    assert kept["tags"] == ["own", "small"]
    assert (kept["caption"], kept["rating"]) == ("my coast", 2)
    assert kept["user.price"] == 9.5
    # If they come back they have it too.
    shutil.copytree(tmp_path / "away" / "Photos", folder, dirs_exist_ok=True)
    copies("index")
    small = json.loads(copies("show", folder / "small.jpg", "--json").stdout)
    assert (small["tags"], small["rating"]) == (["small"], 5)


def test_a_threshold_says_what_is_compared(copies: Run) -> None:
    found = json.loads(copies("duplicates", "--threshold", "0", "--json").stdout)
    assert {group["kind"] for group in found} == {"edited", "alike"}
    assert (
        json.loads(copies("duplicates", "--threshold", "1", "--json").stdout)[0]["kind"] == "same"
    )


def test_pages_without_files_or_previews_are_only_alike(copies: Run, tmp_path: Path) -> None:
    folder = tmp_path / "work" / "Photos"
    with Image.open(folder / "page-0.png") as page:
        page.save(folder / "page-0.bmp")
    copies("index")
    kinds = {group["kind"] for group in json.loads(copies("duplicates", "--json").stdout)}
    assert kinds == {"edited", "alike"}
    (folder / "page-0.bmp").rename(tmp_path / "page-0.bmp")
    (folder / "small.jpg").rename(tmp_path / "small.jpg")
    found = json.loads(copies("duplicates", "--json").stdout)
    # The photo is compared by its preview, the page can't be compared in detail.
    assert [
        names([each["keep"], *each["rest"]])[-1] for each in found if each["kind"] == "edited"
    ] == ["small.jpg"]


def test_a_folder_that_images_cannot_be_moved_to_is_named(copies: Run, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("not a folder")
    done = copies("duplicates", "--move", tmp_path / "a-file" / "below", "--yes")
    assert done.exit_code == 3
    assert "can't be moved" in done.stderr and "a-file" in done.stderr
    assert "Choose another folder" in done.stderr
    assert (tmp_path / "work" / "Photos" / "small.jpg").exists()
