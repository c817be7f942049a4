"""Commands embed, open, move and overwrite no file outside of the indexed folders."""

from __future__ import annotations

import base64
import io
import os
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from pixseek.cli import main

from .conftest import Run
from tiny_encoder import draw

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need special rights there")


@pytest.fixture
def swapped(run: Run, tmp_path: Path) -> Path:
    """A copy of an indexed picture, in whose place is a link to a white picture of the user."""
    folder = tmp_path / "work" / "Photos"
    copy = draw(folder / "copy.png", "red")
    draw(folder / "kept.png", "red")
    os.utime(folder / "kept.png", (1e9, 1e9))
    assert run("index", folder, "--no-previews").exit_code == 0
    Image.new("RGB", (40, 30), "white").save(tmp_path / "mine.png")
    copy.unlink()
    copy.symlink_to(tmp_path / "mine.png")
    return copy


def test_pages_embed_no_foreign_files(run: Run, swapped: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("precious")
    page = Path("page.html")
    page.symlink_to(tmp_path / "precious.txt")
    draw(swapped.with_name("other.png"), "red", 1)
    assert run("index", "--no-previews").exit_code == 0
    shown = run("search", "red", f"--html={page}")
    assert shown.exit_code == 0, shown.output
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", page.read_text("utf-8"))
    colours = [
        Image.open(io.BytesIO(base64.b64decode(each))).resize((1, 1)).getpixel((0, 0))
        for each in pictures
    ]
    assert len(colours) == 1 and colours[0][1] < 100  # the red one alone, and no white one
    assert (tmp_path / "precious.txt").read_text() == "precious"
    assert not page.is_symlink()
    assert sorted(os.listdir()) == ["Photos", "page.html"]


def test_no_foreign_file_is_opened(
    run: Run, swapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)
    shown = run("search", "red", "--open", "-k", "5")
    assert [Path(each).name for each in opened] == ["kept.png"]
    assert "because it is not a file in its folder" in shown.stderr


def test_what_is_not_named_like_an_image_is_not_opened(
    run: Run, photos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = draw(photos_folder / "drawn.png", "red")
    picture.with_name("run.desktop").write_bytes(picture.read_bytes())
    picture.rename(picture.with_name("kept.JPG"))
    named = [photos_folder / name for name in ("run.desktop", "kept.JPG")]
    assert run("index", *named).exit_code == 0
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)
    shown = run("search", "red", "--open", "-k", "5")
    assert [Path(each).name for each in opened] == ["kept.JPG"]
    assert "its name does not end as names of images do" in shown.stderr


def test_no_foreign_file_is_moved(run: Run, swapped: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work" / "Photos"
    draw(folder / "third.png", "red")
    assert run("index", folder, "--no-previews").exit_code == 0
    moved = run("duplicates", "--exact", "--move", "into", "--yes")
    assert "it leads out of its folder" in moved.stderr
    assert swapped.is_symlink() and (tmp_path / "mine.png").exists()
    assert [each.name for each in Path("into").rglob("*.png")] == ["third.png"]


def test_what_is_written_goes_through_no_dangling_link(
    run: Run, swapped: Path, tmp_path: Path
) -> None:
    for name in ("page.html", "all.npz"):
        Path(name).symlink_to(tmp_path / "new")
    assert run("search", "red", "--html=page.html").exit_code == 0
    assert run("export", "all.npz").exit_code == 0
    assert not (tmp_path / "new").exists()
    assert run("search", "red", "--html=/dev/null").exit_code == 0


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "line", [("search", "--image", "pipe"), ("search", "red", "--html=pipe"), ("index", "pipe"),
             ("export", "pipe"), ("search", "--vector", "pipe")],
)  # fmt: skip
def test_a_pipe_that_is_named_never_hangs(run: Run, swapped: Path, line: tuple[str, ...]) -> None:
    os.mkfifo("pipe")
    done = run(*line)
    assert done.exit_code in (2, 3, 5), done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("link", ["pictures", "pictures/lake"])
def test_the_demo_draws_nothing_outside_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    folder, mine = tmp_path / "pixseek-demo", tmp_path / "mine"
    mine.mkdir()
    (folder / link).parent.mkdir(parents=True)
    (folder / link).symlink_to(mine)
    (folder / "library").mkdir()
    (folder / "library" / "ledger.sqlite").touch()
    monkeypatch.setattr("pixseek.cli.demo._PICTURES", 30)
    done = CliRunner().invoke(main, ["demo", "--to", str(folder)])
    assert done.exit_code == 3, done.output
    assert "Traceback" not in done.output
    assert os.listdir(mine) == []
