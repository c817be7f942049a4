"""What `pixseek index` says of what it skips by itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from .conftest import Run
from tiny_encoder import draw


def filled(folder: Path) -> Path:
    draw(folder / "@Recycle" / "b.png", "green", seed=2)
    shutil.copy(folder / "@Recycle" / "b.png", folder / "c.PNG_large")
    shutil.copy(folder / "@Recycle" / "b.png", folder / "f_000123")
    (folder / "d.tga").write_bytes(b"x")
    (folder / "@eaDir").mkdir()
    return folder


def test_a_folder_with_nothing_else_says_what_it_skipped_and_how_to_index_it(
    run: Run, tmp_path: Path
) -> None:
    folder = filled(tmp_path / "work" / "p")
    said = run("index", folder, "--library", "new.lib").output
    assert "Skipped: 1 in @Recycle (recycle bin of a QNAP NAS), 1 @eaDir folder\n" in said
    assert "look like images: 1 without an ending (such as p/f_000123), 1 .PNG_large\n" in said
    assert "can't read them (save them as JPEG or PNG): 1 .tga\n" in said
    assert "pixseek index --library new.lib --include '*.PNG_large'" in said
    assert "No other images were found" in said
    assert not Path("new.lib").exists()
    run("index", folder, "--library", "new.lib", "--include", "*.PNG_large", "-q")
    assert run("list", "--library", "new.lib").output.count("PNG_large") == 1


def test_json_lists_all_that_was_skipped(run: Run, tmp_path: Path) -> None:
    folder = filled(tmp_path / "work" / "p")
    draw(folder / "a.png", "red")
    report = json.loads(run("index", folder, "--json").stdout)
    by_name = {each["what"]: each for each in report["skipped"]}
    assert by_name.keys() == {"@Recycle", ".PNG_large", ".tga", "", "@eaDir"}
    assert by_name["@Recycle"] == {
        "kind": "folder", "what": "@Recycle", "why": "recycle bin of a QNAP NAS", "images": 1,
        "folders": 1, "example": "p/@Recycle", "include": "@Recycle/",
    }  # fmt: skip
