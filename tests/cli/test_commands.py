"""Every command in this process, with the tiny encoder: what it prints and how it exits."""

import json
import os
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

import click
import pytest

from pixseek.cli import COMMANDS, main
from pixseek.cli.exit_codes import EXIT_CODES
from pixseek.errors import (
    CapabilityError,
    ConfigError,
    ImageError,
    LibraryLockedError,
    MissingExtraError,
    PixseekError,
    QueryError,
    SourceVanishedError,
    SpaceMismatchError,
)
from pixseek.types import Acceleration

from .conftest import Run
from image_files import small_dng
from tiny_encoder import TinyEncoder, draw

# ------------------------------------------------------------------ index


def test_index_prints_a_summary(run: Run, photos_folder: Path) -> None:
    (photos_folder / "broken.jpg").write_bytes(b"\xff\xd8\xff but no more")
    done = run("index", photos_folder)
    assert done.exit_code == 0
    assert "the library holds 6 images" in done.stdout
    assert "added     6" in done.stdout
    assert "failed    1" in done.stdout
    assert "1 damaged: the image data is cut off or broken" in done.stdout
    assert "Photos/broken.jpg" in done.stdout
    assert "Next: pixseek search" in done.stdout
    again = run("index")
    assert "unchanged 6" in again.stdout
    assert "1 that failed before were skipped" in again.stdout


def test_an_index_of_a_wrong_file_leaves_no_library_behind(run: Run, photos_folder: Path) -> None:
    wrong = photos_folder / "notes.txt"
    wrong.write_text("buy milk")
    done = run("index", wrong, "--portable")
    assert done.exit_code == 0
    assert "not-an-image" in done.stdout
    assert "nothing was added to the library" in done.stdout
    assert "pixseek failures" not in done.stdout  # it would list none
    assert not (photos_folder / ".pixseek").exists()
    assert run("index", photos_folder).exit_code == 0
    assert run("index", wrong).exit_code == 0
    assert "6" in run("status").stdout  # the library that was there before stays


def test_a_gone_folder_is_not_called_a_file(indexed: Run, photos_folder: Path) -> None:
    draw(photos_folder.parent / "More" / "1.png", "red")
    indexed("index", photos_folder.parent / "More")
    photos_folder.rename(photos_folder.parent / "Renamed")
    done = indexed("index")
    assert "1 missing: the folder or file is gone" in done.stdout
    assert "its files are in Renamed now" in done.stdout


def test_index_json_is_one_object(run: Run, photos_folder: Path) -> None:
    (photos_folder / "empty.png").touch()
    report = json.loads(run("index", photos_folder, "--json").stdout)
    assert report["added"] == 6
    assert report["failed"] == 1
    [failure] = report["failures"]
    assert failure["uri"] == "Photos/empty.png"
    assert failure["reason"] == "empty"
    assert set(report["seconds"]) == {"scan", "decode", "encode", "store", "total"}


def test_index_quiet_prints_nothing(run: Run, photos_folder: Path) -> None:
    done = run("index", photos_folder, "--quiet")
    assert done.output == ""
    assert done.exit_code == 0


def test_index_exclude_skips_matching_files(run: Run, photos_folder: Path) -> None:
    run("index", photos_folder, "--exclude", "a/", "--exclude", "*-0.png")
    assert json.loads(run("status", "--json").stdout)["records"] == 2


def test_index_portable_keeps_the_library_next_to_the_photos(
    run: Run, photos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("index", photos_folder, "--portable").exit_code == 0
    assert (photos_folder / ".pixseek" / "ledger.sqlite").is_file()
    moved = photos_folder.with_name("Elsewhere")
    photos_folder.rename(moved)
    monkeypatch.chdir(moved / "a")
    done = run("search", "red", "--json", "-k", "1")
    assert Path(json.loads(done.stdout)["hits"][0]["path"]).is_relative_to(moved)


def test_suggested_commands_name_the_library(
    run: Run, photos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"--library {photos_folder}" in run("index", photos_folder, "--portable").stdout
    monkeypatch.chdir(photos_folder)
    assert "--library" not in run("index").stdout
    assert "--library other.lib" in run("index", ".", "-L", "other.lib").stdout


def test_index_portable_needs_a_folder_and_no_library(run: Run, photos_folder: Path) -> None:
    assert run("index", "--portable").exit_code == 2
    assert run("-L", "x.lib", "index", photos_folder, "--portable").exit_code == 2


def test_index_without_folders_suggests_one(run: Run) -> None:
    done = run("index")
    assert done.exit_code == 5
    assert "pixseek index ~/Pictures" in done.stderr


def test_a_note_of_the_model_is_shown(run: Run, photos_folder: Path, tiny: TinyEncoder) -> None:
    tiny.note = "It knows colours only."
    assert "It knows colours only." in run("index", photos_folder).stderr
    assert "It knows colours only." in run("search", "red").stderr


def test_index_without_previews(run: Run, photos_folder: Path) -> None:
    run("index", photos_folder, "--no-previews")
    library = json.loads(run("status", "--json").stdout)["path"]
    assert not (Path(library) / "previews.sqlite").exists()
    run("index", photos_folder / "a", "--previews")
    for path in photos_folder.rglob("*.png"):
        path.touch()
    run("index")
    assert (Path(library) / "previews.sqlite").exists()


def test_index_reread_updates_what_no_time_shows(run: Run, photos_folder: Path) -> None:
    image = draw(photos_folder / "wall.png", "red", 78)
    sidecar = image.with_name("wall.png.json")
    sidecar.write_text('{"caption": "one"}')
    run("index", photos_folder)
    before = sidecar.stat()
    sidecar.write_text('{"caption": "two"}')
    os.utime(sidecar, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert json.loads(run("index", "--json").stdout)["updated"] == 0
    assert json.loads(run("index", "--reread", "--json").stdout)["updated"] == 1
    assert "two" in run("show", image).stdout


def test_index_strict_refuses_truncated_images(run: Run, photos_folder: Path) -> None:
    whole = draw(photos_folder / "broken.jpg", "red", 77, size=(400, 300)).read_bytes()
    (photos_folder / "broken.jpg").write_bytes(whole[: len(whole) * 4 // 5])
    report = json.loads(run("index", photos_folder, "--strict", "--json").stdout)
    assert [failure["reason"] for failure in report["failures"]] == ["damaged"]
    report = json.loads(run("failures", "--retry", "--json").stdout)
    assert (report["added"], report["failures"]) == (1, [])
    shown = json.loads(run("show", photos_folder / "broken.jpg", "--json").stdout)
    assert shown["damaged"] is True
    assert "damaged" in shown["notes"]


def test_index_demosaic_develops_raw_files(run: Run, photos_folder: Path) -> None:
    pytest.importorskip("rawpy")
    (photos_folder / "raw.dng").write_bytes(small_dng((64, 48)))
    report = json.loads(run("index", photos_folder, "--json").stdout)
    assert [failure["reason"] for failure in report["failures"]] == ["no-decoder"]
    assert "--demosaic --retry" in report["failures"][0]["advice"]
    report = json.loads(run("index", "--demosaic", "--retry", "--json").stdout)
    assert (report["added"], report["failures"]) == (1, [])
    shown = json.loads(run("show", photos_folder / "raw.dng", "--json").stdout)
    assert (shown["width"], shown["height"]) == (64, 48)
    assert "developed" in shown["notes"]


# ------------------------------------------------------------------ show


def test_show_prints_what_is_known_about_an_image(run: Run, photos_folder: Path) -> None:
    picture = draw(photos_folder / "IMG_20210503_142233.png", "blue", 5)
    picture.with_suffix(".txt").write_text("The sea,\nfrom the <b>pier</b>")
    run("index", photos_folder)
    done = run("show", picture)
    assert done.exit_code == 0
    lines = [line.split(None, 1) for line in done.stdout.splitlines()]
    assert ["path", str(picture)] in lines
    assert ["taken", "2021-05-03 14:22:33 (from the file's name)"] in lines
    assert ["caption", "The sea,"] in lines
    assert ["from", "the <b>pier</b>"] in lines
    shown = json.loads(run("show", picture, "--json").stdout)
    assert shown["caption"] == "The sea,\nfrom the <b>pier</b>"
    assert shown["taken_at"] == "2021-05-03T14:22:33"
    assert json.loads(run("show", shown["id"], "--json").stdout) == shown


def test_show_of_an_image_outside_the_library_is_an_error(indexed: Run, tmp_path: Path) -> None:
    done = indexed("show", draw(tmp_path / "stranger.png"))
    assert done.exit_code == 5
    assert "Not in the library" in done.stderr


# ------------------------------------------------------------------ search and similar


def test_search_in_a_pipe_prints_tab_separated_lines(indexed: Run) -> None:
    done = indexed("search", "red", "-k", "2")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["1", "2"]
    assert float(rows[0][1]) >= float(rows[1][1]) > 0.5
    assert all(Path(row[2]).is_file() and "red" in row[2] for row in rows)
    assert "\x1b" not in done.stdout


def test_search_paths_end_with_newline_or_nul(indexed: Run) -> None:
    lines = indexed("search", "blue", "--paths", "-k", "2").stdout.splitlines()
    assert len(lines) == 2
    assert all(Path(line).is_file() for line in lines)
    nul = indexed("search", "blue", "-0", "-k", "2").stdout
    assert nul == "".join(f"{line}\0" for line in lines)


def test_search_json_has_the_published_shape(indexed: Run) -> None:
    answer = json.loads(indexed("search", "green", "--json", "-k", "2", "--offset", "1").stdout)
    assert answer["query"] == "green"
    assert answer["query_kind"] == "text"
    assert answer["offset"] == 1
    assert answer["model"] == "tiny"
    assert answer["warnings"] == []
    assert set(answer["took_ms"]) == {"encode", "search", "total"}
    assert [hit["rank"] for hit in answer["hits"]] == [2, 3]
    for hit in answer["hits"]:
        assert set(hit) == {
            "rank", "id", "path", "is_there", "part", "score", "uri", "width", "height",
            "media", "confidence", "strength", "probability", "why", "duplicates", "excluded_by",
            "taken_at", "taken_precision", "caption", "tags", "duration_s", "moments", "group",
            "others", "group_filter",
        }  # fmt: skip
        assert hit["strength"] in ("strong", "likely", "weak")
        assert Path(hit["path"]).is_file()
    assert (answer["hits"][0]["width"], answer["hits"][0]["height"]) == (40, 30)
    assert answer["hits"][0]["media"] == "image/png"


def test_search_by_image(indexed: Run, photos_folder: Path) -> None:
    example = photos_folder / "a" / "red-1.png"
    answer = json.loads(indexed("search", "--image", example, "--json").stdout)
    assert answer["query"] == str(example)
    assert answer["query_kind"] == "image"
    assert answer["hits"][0]["path"] == str(example)


def test_search_words_need_no_quotes(indexed: Run, tiny: TinyEncoder, monkeypatch) -> None:
    asked: list[str] = []
    encode = tiny.encode_texts
    monkeypatch.setattr(
        tiny, "encode_texts", lambda texts: asked.extend(texts) or encode(["red"] * len(texts))
    )
    indexed("search", "a", "red", "car", "--html", "at", "night")
    assert set(asked) == {"a red car at night"}


def test_search_html_writes_a_page(indexed: Run, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    done = indexed("search", "--html", page, "red")
    assert done.exit_code == 0
    assert str(page) in done.stdout
    assert "red</h1>" in page.read_text()


def test_search_open_opens_hits_or_the_page(
    indexed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)
    indexed("search", "red", "--open")
    assert [Path(path).name[:3] for path in opened] == ["red"]
    opened.clear()
    indexed("search", "red", "--open", "-k", "3")
    assert len(opened) == 3
    opened.clear()
    page = tmp_path / "out.html"
    indexed("search", "red", "--open", "--html", page)
    assert opened == [str(page)]


def test_search_open_without_a_viewer_warns(indexed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.launch", lambda _: 1)
    done = indexed("search", "red", "--open")
    assert done.exit_code == 0
    assert "No program was found to open" in done.stderr


def test_similar_html_names_the_file(indexed: Run, photos_folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    indexed("similar", photos_folder / "a" / "red-1.png", "--html", page)
    assert "Like red-1.png</h1>" in page.read_text()


def test_facets_of_weak_hits_alone_say_why_they_are_empty(indexed: Run) -> None:
    none = indexed("search", "a bicycle", "--facets")
    assert none.stdout and "Facets count strong and likely matches; there are none." in none.stderr
    assert "Facets count" not in indexed("search", "width:>0", "--facets").stderr


def test_search_without_hits_exits_like_grep(run: Run, photos_folder: Path) -> None:
    run("index", photos_folder)
    run("remove", "--all", "--yes")
    done = run("search", "red")
    assert done.exit_code == 1
    assert "No hits." in done.stderr
    assert "The library is empty" in done.stderr
    assert done.stdout == ""


def test_search_without_words_is_a_usage_error(indexed: Run) -> None:
    done = indexed("search")
    assert done.exit_code == 2
    assert 'pixseek search "a dog"' in done.stderr


def test_similar_leaves_out_the_image_itself(indexed: Run, photos_folder: Path) -> None:
    given = photos_folder / "a" / "green-3.png"
    by_file = json.loads(indexed("similar", given, "--json", "-k", "1").stdout)
    assert "green" in by_file["hits"][0]["path"]
    assert by_file["hits"][0]["path"] != str(given)
    assert by_file["query_kind"] == "id"
    by_id = json.loads(indexed("similar", by_file["query"], "--json", "-k", "1").stdout)
    assert by_id["hits"] == by_file["hits"]


def test_control_characters_in_names_are_escaped(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "work" / "odd"
    draw(folder / "two\nlines\x1b[31m.png", "red")
    run("index", folder)
    done = run("search", "red")
    assert done.stdout.count("\n") == 1
    assert "\x1b" not in done.stdout
    assert r"two\nlines\x1b[31m.png" in done.stdout
    assert run("search", "red", "-0").stdout == f"{folder}/two\nlines\x1b[31m.png\0"


@pytest.mark.parametrize(
    "command",
    [
        ("search", "--queries"), ("tag", "--zero-shot"),
        ("classify", "Photos/red-1.png", "--labels-file"),
    ],
)  # fmt: skip
def test_a_text_file_that_is_not_utf_8_is_named(
    indexed: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "words.txt").write_bytes("café\n".encode("cp1252"))
    done = indexed(*command, tmp_path / "words.txt")
    assert done.exit_code == 5
    assert "not UTF-8 text" in done.stderr and "words.txt" in done.stderr


def test_a_byte_order_mark_is_not_part_of_the_first_query(indexed: Run, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("red\n", "utf-8-sig")
    line = indexed("search", "--queries", tmp_path / "words.txt", "-k", "1").stdout
    assert line.startswith("red\t1\t")


def test_dates_in_plain_words_are_noted_and_can_be_refused(indexed: Run, tmp_path: Path) -> None:
    done = indexed("search", "red", "july", "1999")
    assert "Note: “july 1999” is searched as words: date:1999-07 would let" in done.stderr
    shown = json.loads(indexed("search", "red 1999", "--json").stdout)
    assert shown["query"] == "red 1999" and "“1999”" in shown["warnings"][0]
    done = indexed("search", "red", "1999", "--no-dates")
    assert "1999" not in done.stderr
    lines = tmp_path / "lines.txt"
    lines.write_text("red\nred 1999\nblue 1998\ngreen 1999\n", encoding="utf-8")
    said = indexed("search", "--queries", lines).stderr
    assert said.count("“1999” is searched") == said.count("“1998” is searched") == 1
    assert "searched as" not in indexed("search", "--queries", lines, "--no-dates").stderr
    indexed("save", "red 1999", "old", "--no-dates")
    assert "1999" not in indexed("search", "@old").stderr


def test_a_filter_without_images_says_which_part_lets_none_through(indexed: Run) -> None:
    done = indexed("search", "red", "name:red*", "camera:nikon")
    assert done.exit_code == 1
    assert "No image fulfils all: name:red* lets 2 through, camera:nikon 0" in done.stderr


def test_queries_from_a_file_are_answered_in_order(indexed: Run, tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("red\n\n  green \n")
    done = indexed("search", "--queries", file, "-k", "2")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(row[0], row[1]) for row in rows] == [
        ("red", "1"), ("red", "2"), ("green", "1"), ("green", "2")
    ]  # fmt: skip
    assert all(row[0] in row[3] for row in rows)
    this_year = f"red {date.today().year} name:*.png"
    done = indexed("search", "--queries", "-", "-k", "1", input=f"{this_year}\n")
    assert done.stdout.startswith(f"{this_year}\t1\t")
    lines = indexed("search", "--queries", "-", "--json", input="red\nblue\n").stdout.splitlines()
    assert [json.loads(line)["query"] for line in lines] == ["red", "blue"]
    page = tmp_path / "page.html"
    assert indexed("search", "--queries", file, "--html", page).exit_code == 0
    assert "green" in page.read_text("utf-8")
    for wrong in (["red"], ["--paths"]):
        assert indexed("search", "--queries", file, *wrong).exit_code == 2
    file.write_text("\n")
    assert indexed("search", "--queries", file).exit_code == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"blue', "line 3: '\"blue' at character 1"),
        ("year:x", "line 3: year:x"),
        ('{"terms": [', 'line 3: {"terms": ['),
        ('{"terms": [{"kind": "vector", "value": [1, 2]}]}', "line 3: 2 numbers"),
    ],
)
def test_a_line_of_queries_that_cannot_be_answered_is_named(
    indexed: Run, tmp_path: Path, line: str, said: str
) -> None:
    file = tmp_path / "words.txt"
    file.write_text(f"red\n\n{line}\ngreen\n")
    done = indexed("search", "--queries", file)
    assert done.exit_code == 5
    assert f"words.txt, {said}" in done.stderr
    done = indexed("search", "--queries", "-", input=file.read_text())
    assert f": standard input, {said}" in done.stderr


# ------------------------------------------------------------------ looking after it


def test_status_shows_counts_and_missing_folders(indexed: Run, photos_folder: Path) -> None:
    found = json.loads(indexed("status", "--json").stdout)
    assert found["records"] == 6
    assert found["model"] == "tiny"
    assert found["space"]["dim"] == 48
    assert found["running"] is None
    assert found["roots"] == [
        {"name": "Photos", "path": str(photos_folder), "is_there": True, "records": 6}
    ]
    text = indexed("status").stdout
    assert "images   6" in text
    photos_folder.rename(photos_folder.with_name("gone"))
    assert "missing" in indexed("status").stdout


def test_status_shows_the_speed_and_how_it_was_checked(
    run: Run, photos_folder: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = Acceleration("onnxruntime", "int8", "because", 128, 0.99, 0.98, 0.97, 1.24)
    monkeypatch.setattr(tiny, "accelerate", lambda *_: how, raising=False)
    run("index", photos_folder)
    shown = "int8 in onnxruntime (1.2x faster; same results on 128 of your images)\n"
    assert f"speed    {shown}" in run("status").stdout
    assert json.loads(run("status", "--json").stdout)["acceleration"]["why"] == "because"


def test_status_shows_what_the_library_holds(run: Run, photos_folder: Path) -> None:
    (photos_folder / "IMG_20190704_120000.png").write_bytes(
        draw(photos_folder / "x.png", "red", 50).read_bytes()
    )
    (photos_folder / "x.png").unlink()
    draw(photos_folder.parent / "Drive" / "1.png", "red", 60)
    run("index", photos_folder, photos_folder.parent / "Drive")
    run("tag", photos_folder / "a" / "red-1.png", "--add", "wall", "--rating", "4")
    run("tag", photos_folder / "a" / "blue-5.png", "--caption", "a blue wall")
    (photos_folder.parent / "Drive").rename(photos_folder.parent / "unplugged")
    text = run("status").stdout
    assert "images   8\n" in text
    assert "1 with a date (2019-07-04), 7 without" in text
    assert "1 with tags, 1 with a caption, 0 with a place, 1 rated" in text
    assert "1 in folders that are missing now" in text
    assert "model    tiny (48 numbers a vector)" in text
    assert re.search(r"disk     [\d.]+ kB \(index [\d.]+ kB, previews ", text)
    assert re.search(r"last run \d{4}-\d\d-\d\d \d\d:\d\d, index: 8 added; took", text)
    found = json.loads(run("status", "--json").stdout)
    assert {name: found["contents"][name] for name in ("dated", "tagged", "unreachable")} == {
        "dated": 1, "tagged": 1, "unreachable": 1
    }  # fmt: skip
    assert found["bytes_on_disk"] == sum(found["disk"].values())
    assert (found["last_run"]["added"], found["last_run"]["kind"]) == (8, "index")


def test_status_describes_the_library_and_then_the_last_run(
    indexed: Run, photos_folder: Path
) -> None:
    indexed("index")
    text = indexed("status").stdout
    assert text.index("images   6") < text.index("model    ") < text.index("last run ")
    assert "index: 6 unchanged; took" in text


def test_an_int8_that_was_not_used_is_said(
    run: Run, photos_folder: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("index", photos_folder / "a", "--precision", "int8")
    assert "precision int8 was not used: this model has no choice" in done.stdout
    how = Acceleration("onnxruntime", "fp32", "too few images to check int8 on")
    monkeypatch.setattr(tiny, "accelerate", lambda *_: how, raising=False)
    draw(photos_folder / "a" / "new.png", "red", 80)
    done = run("index", "--precision", "int8")
    assert "precision fp32 instead of int8: too few images to check int8 on\n" in done.stdout
    assert "precision" not in run("index", "--precision", "int8").stdout  # nothing was embedded
    draw(photos_folder / "a" / "newer.png", "red", 81)
    report = json.loads(run("index", "--precision", "int8", "--json").stdout)
    assert report["acceleration"]["why"] == "too few images to check int8 on"
    draw(photos_folder / "a" / "newest.png", "red", 82)
    assert "precision" not in run("index").stdout


def test_failures_are_listed_and_retried(run: Run, photos_folder: Path) -> None:
    broken = photos_folder / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    run("index", photos_folder)
    text = run("failures").stdout
    assert "1 damaged" in text
    assert str(broken) in text
    assert "pixseek failures --retry" in text
    [listed] = json.loads(run("failures", "--json").stdout)["failures"]
    assert listed["path"] == str(broken)
    assert listed["reason"] == "damaged"
    assert run("failures", "--paths").stdout == f"{broken}\n"
    assert "failed    1" in run("failures", "--retry").stdout
    draw(broken, "green", seed=9)
    assert json.loads(run("failures", "--retry", "--json").stdout)["added"] == 1
    assert run("failures").stdout == "No failures.\n"


def test_remove_keeps_the_files(indexed: Run, photos_folder: Path) -> None:
    assert "Removed 3 images" in indexed("remove", photos_folder / "a").stdout
    assert (photos_folder / "a" / "red-1.png").is_file()
    assert json.loads(indexed("index", "--json").stdout)["added"] == 0
    assert "Removed 3 images" in indexed("remove", "--root", "Photos").stdout
    assert indexed("remove", "--root", "Photos").exit_code == 5
    assert indexed("remove").exit_code == 2
    assert indexed("remove", "--all", "x").exit_code == 2


def test_a_whole_folder_that_was_removed_stays_away_until_it_is_named(
    indexed: Run, photos_folder: Path
) -> None:
    assert "Removed 6 images" in indexed("remove", photos_folder).stdout
    assert json.loads(indexed("status", "--json").stdout)["roots"] == []
    assert indexed("index", "--json").exit_code != 0  # nothing is left to index
    assert json.loads(indexed("index", photos_folder, "--json").stdout)["added"] == 6


def test_remove_all_asks_first(indexed: Run) -> None:
    refused = indexed("remove", "--all", input="n\n")
    assert refused.exit_code != 0
    assert json.loads(indexed("status", "--json").stdout)["records"] == 6
    assert "Removed 6 images" in indexed("remove", "--all", input="y\n").stdout
    after = json.loads(indexed("status", "--json").stdout)
    assert (after["records"], after["roots"]) == (0, [])


def test_exported_vectors_can_be_imported(indexed: Run, tmp_path: Path) -> None:
    file = tmp_path / "vectors.npz"
    assert "6 rows" in indexed("export", file).stdout
    done = indexed("import", file, "-L", tmp_path / "copy.lib", "--model", "demo")
    assert "Imported 6 images" in done.stdout
    found = indexed("search", "red", "-L", tmp_path / "copy.lib", "--json", "-k", "1")
    assert "red" in json.loads(found.stdout)["hits"][0]["uri"]


def test_vectors_whose_model_is_not_here_are_imported_by_its_name(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    from pixseek.encoders import registry

    monkeypatch.setattr("pixseek.encoders.load", registry.load)
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(3, 512)).astype(np.float32)
    np.savez(tmp_path / "v.npz", uri=["a.jpg", "b.jpg", "c.jpg"], vectors=rows)
    here = ("--library", "new.lib")
    assert run("import", "v.npz", "--name", "x", "--model", "demo", *here).exit_code == 2
    assert run("import", "v.npz", "--name", "x", "--dim", "7", *here).exit_code == 4
    done = run("import", "v.npz", "--name", "our-clip", "--dim", "512", *here)
    assert (done.exit_code, "Imported 3 images" in done.stdout) == (0, True)
    done = run("search", "a dog", *here)
    assert done.exit_code == 4
    assert "not on this machine: our-clip" in done.stderr
    assert "--model DIR" in done.stderr
    assert "our-clip (512 numbers a vector); its files are not" in run("status", *here).stdout
    done = run("doctor", *here)
    assert (done.exit_code, "our-clip, which made the library's" in done.stdout) == (0, True)
    done = run("import", "v.npz", "--name", "their-clip", *here)
    assert (done.exit_code, "v.npz: their-clip" in done.stderr) == (4, True)


def test_doctor_checks_library_model_and_decoders(
    indexed: Run, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny, "encode_texts", lambda texts: TinyEncoder().encode_texts(["red"]))
    done = indexed("doctor", "--json", "--model", "demo")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert found["usable"] is True
    by_name = {check["name"]: check for check in found["checks"]}
    assert "6 images" in by_name["library"]["found"]
    assert "test image matches its caption" in by_name["model"]["found"]
    assert "JPEG" in by_name["decoders"]["found"]
    assert "decoders run in processes with" in by_name["sandbox"]["found"]


def test_doctor_names_the_command_that_downloads_the_model(run: Run) -> None:
    text = run("doctor", "--model", "clip-b32-openai").stdout
    assert "pixseek doctor --fetch --model clip-b32-openai" in text
    assert "pixseek index ~/Pictures" in text
    assert "Ready to use." in text


def test_doctor_fails_if_a_part_is_broken(run: Run, tmp_path: Path) -> None:
    library = tmp_path / "broken.lib"
    library.mkdir()
    (library / "ledger.sqlite").write_bytes(b"this is no database" * 100)
    done = run("doctor", "-L", library)
    assert done.exit_code == 1
    assert "Not ready" in done.stdout


# ------------------------------------------------------------------ the line itself


def test_common_options_before_and_after_the_command(run: Run, photos_folder: Path) -> None:
    run("--library", "one.lib", "index", photos_folder)
    run("index", photos_folder / "a", "-L", "two.lib")
    first = json.loads(run("status", "--json", "-L", "one.lib").stdout)
    second = json.loads(run("-L", "two.lib", "status", "--json").stdout)
    assert (first["records"], second["records"]) == (6, 3)
    later = json.loads(run("-L", "two.lib", "status", "--json", "-L", "one.lib").stdout)
    assert later["records"] == 6


def test_an_unknown_command_suggests_a_search(run: Run) -> None:
    done = run("a dog", "in snow")
    assert done.exit_code == 2
    assert 'pixseek search "a dog in snow"' in done.stderr
    assert "Did you mean: pixseek status" in run("staus").stderr


def test_without_arguments_help_is_shown(run: Run) -> None:
    done = run()
    assert done.exit_code == 0
    assert "  demo  " in done.stdout
    assert run("-h").stdout == run("--help").stdout == done.stdout


def test_help_lists_commands_in_order_of_use(run: Run) -> None:
    text = run("--help").stdout
    hidden = ("embed", "vespa", "trust", "completion", "version", "help")
    order = [text.index(f"\n  {name} ") for name in COMMANDS if name not in hidden]
    assert order == sorted(order)


def test_help_fits_a_terminal_of_100_by_40(run: Run) -> None:
    lines = run("--help", terminal_width=100).stdout.splitlines()
    assert len(lines) < 40, "the prompt needs a line too"
    assert max(map(len, lines)) <= 100


def test_help_of_a_command_is_its_own_help(run: Run) -> None:
    assert run("help").stdout == run("--help").stdout
    for name in COMMANDS:
        assert run("help", name).stdout == run(name, "--help").stdout


def test_help_exit_codes_lists_all(run: Run) -> None:
    lines = run("help", "exit-codes").stdout.splitlines()
    assert [tuple(line.split(None, 1)) for line in lines[1:]] == [
        (str(row.code), row.meaning) for row in EXIT_CODES
    ]


def test_help_options_lists_the_common_options(run: Run) -> None:
    text = run("help", "options").stdout
    for option in ("--library", "--model", "--offline", "--threads", "--version", "--help"):
        assert option in text


def test_help_of_an_unknown_topic_lists_the_known(run: Run) -> None:
    done = run("help", "exitcodes")
    assert done.exit_code == 2
    assert "Did you mean 'exit-codes'?" in done.stderr


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_examples_and_a_short_help(run: Run, name: str) -> None:
    done = run(name, "--help")
    assert done.exit_code == 0
    assert "Examples:\n  pixseek" in done.stdout
    assert "--library" in done.stdout
    assert main.all_commands(click.Context(main))[name].short_help
    lines = run(name, "--help", terminal_width=80).stdout.splitlines()
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run: Run, shell: str) -> None:
    done = run("completion", shell)
    assert done.exit_code == 0
    assert "_PIXSEEK_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LibraryLockedError("Locked", "x", "Wait."), 3),
        (CapabilityError("Cannot", "x", "Do not."), 3),
        (SpaceMismatchError("Mixed", "x", "Choose."), 4),
        (QueryError("Unclear", "x", "Say."), 5),
        (ImageError("damaged", "Broken", "x", "Mend."), 5),
        (SourceVanishedError("Gone", "x", "Plug."), 5),
        (ConfigError("Wrong", "x", "Set."), 6),
        (MissingExtraError("It", "package", "extra"), 6),
        (PixseekError("New kind"), 70),
        (ZeroDivisionError("oops"), 70),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_errors_turn_into_messages_and_exit_codes(
    indexed: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pixseek.library.Library.search", fail)
    done = indexed("search", "red")
    assert done.exit_code == code
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    if isinstance(error, PixseekError):
        assert error.problem in done.stderr
        assert error.advice in done.stderr
    else:
        assert "ZeroDivisionError: oops" in done.stderr
        assert "PIXSEEK_DEBUG=1" in done.stderr
    monkeypatch.setenv("PIXSEEK_DEBUG", "1")
    assert indexed("search", "red").exception is error


def test_every_error_has_an_exit_code() -> None:
    import pixseek.errors

    classes = [
        value
        for value in vars(pixseek.errors).values()
        if isinstance(value, type) and issubclass(value, PixseekError) and value is not PixseekError
    ]
    covered = tuple(each for row in EXIT_CODES for each in row.errors)
    assert [each for each in classes if not issubclass(each, covered)] == []


def test_ctrl_c_outside_indexing_exits_with_130(
    indexed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pixseek.library.Library.search", stop)
    assert indexed("search", "red").exit_code == 130


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file names")
def test_a_folder_name_that_is_not_valid_text_is_a_readable_error(run: Run, tmp_path: Path) -> None:
    try:
        odd = Path(os.fsdecode(os.fsencode(tmp_path / "work") + b"/caf\xe9"))
        odd.mkdir()
    except OSError:
        pytest.skip("this file system takes valid text only")
    done = run("index", odd)
    assert done.exit_code == 5
    assert "not valid text" in done.stderr
    assert r"caf\udce9" in done.stderr


@pytest.mark.slow
def test_one_image_per_folder_is_shown_in_every_form(indexed: Run, tmp_path: Path) -> None:
    def hits(*words: str | Path) -> list[Any]:
        return json.loads(indexed(*words, "--group-by", "folder", "--json").stdout)["hits"]

    found = hits("search", "red")
    assert {(hit["group"], hit["others"]) for hit in found} == {("a", 2), ("b c", 2)}
    assert [hit["rank"] for hit in found] == [1, 2]
    # The filter of a hit finds all of its group.
    for hit in found:
        group = json.loads(indexed("search", hit["group_filter"], "--json").stdout)["hits"]
        assert len(group) == 3
        assert hit["id"] in {each["id"] for each in group}
    assert hits("search", "red", "-k", "1", "--offset", "1") == found[1:]
    assert [hit["id"] for hit in hits("search", "red", "--offset", "2")] == []
    # An example is not among its answers, nor among the others of its folder.
    example = next(Path(hit["path"]) for hit in found)
    assert {(hit["group"], hit["others"]) for hit in hits("similar", example)} == {
        (found[0]["group"], 1), (found[1]["group"], 2),
    }  # fmt: skip
    lines = indexed("search", "red", "--group-by", "folder").stdout.splitlines()
    assert len(lines) == 2
    page = tmp_path / "out.html"
    indexed("search", "red", "--group-by", "folder", "--html", page)
    assert page.read_text().count('<div class="others"><bdi>') == 2
    assert "+2 more" in page.read_text()
    indexed("save", "red", "--group-by", "folder", "reds")
    assert hits("search", "@reds") == found
    assert "--group-by folder" in indexed("saved").stdout
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"query": "red", "group_by": "folder"}\n')
    answers = indexed("search", "--queries", queries, "--json").stdout.splitlines()
    (answer,) = map(json.loads, answers)
    assert answer["hits"] == found
    assert "can't be grouped" in indexed("search", "red", "--group-by", "tag").stderr
