"""Indexing what a list names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import pixseek
from pixseek.cli import main

from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    with pixseek.open(tmp_path / "photos.lib") as opened:
        yield opened


def uris(library: pixseek.Library) -> set[str]:
    return {hit.uri for hit in library.search("red", k=1000)}


def test_listed_files_are_indexed_and_missing_ones_are_failures(
    library: pixseek.Library, tmp_path: Path
) -> None:
    one = draw(tmp_path / "a" / "1.png", "red", 1)
    two = draw(tmp_path / "b" / "c" / "2.png", "red", 2)
    draw(tmp_path / "a" / "not listed.png", "red", 3)
    report = library.index(listed=[one, tmp_path / "a" / "gone.png", two, one])
    assert report.added == 2
    assert [(f.uri, f.reason) for f in report.failures] == [
        (str(tmp_path / "a" / "gone.png"), "missing")
    ]
    assert uris(library) == {"a/1.png", "c/2.png"}
    assert library.index(listed=[one, two]).unchanged == 2
    assert library.index().unchanged == 2  # later runs look at the same files
    assert library.failures() == []


#: Names that no file can have, or whose look-up fails in a way of its own.
ODD_NAMES = {
    "empty": "",
    "unknown user": "~nobody-has-this-name/1.png",
    "too long": "a" * 400,
    "path too long": "a/" * 4000 + "1.png",
    "not text": os.fsdecode(b"\xff.png"),
    "with NUL": "a\0b.png",
}


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_odd_names_in_a_list_are_missing_files(
    library: pixseek.Library, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "not listed.png", "red", 3)
    report = library.index(listed=[name, draw(tmp_path / "a" / "1.png", "red", 1)])
    assert [failure.reason for failure in report.failures] == ["missing"]
    assert uris(library) == {"a/1.png"}


def test_a_file_whose_name_begins_with_a_tilde_is_indexed(
    library: pixseek.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "a" / "~$1.png", "red", 1)
    monkeypatch.chdir(tmp_path / "a")
    assert library.index(listed=["~$1.png"]).added == 1
    assert library.find("~$1.png") is not None


def test_an_empty_list_indexes_nothing(library: pixseek.Library, tmp_path: Path) -> None:
    library.index(draw(tmp_path / "a" / "1.png", "red", 1).parent)
    draw(tmp_path / "a" / "2.png", "red", 2)
    report = library.index(listed=[])
    assert (report.added, report.unchanged) == (0, 0)


def test_a_listed_folder_absorbs_roots_below_it(library: pixseek.Library, tmp_path: Path) -> None:
    deep = draw(tmp_path / "a" / "b" / "1.png", "red", 1)
    library.index(listed=[deep])
    draw(tmp_path / "a" / "b" / "2.png", "red", 2)
    top = draw(tmp_path / "a" / "3.png", "red", 3)
    assert library.index(listed=[top]).added == 1
    assert [root.name for root in library.roots()] == ["a"]
    # What was listed before is still looked at, and nothing else.
    draw(deep, "red", 4)
    report = library.index()
    assert (report.updated, report.unchanged, report.added) == (1, 1, 0)
    assert uris(library) == {"a/b/1.png", "a/3.png"}


def test_a_listed_file_that_is_deleted_leaves_the_library(
    library: pixseek.Library, tmp_path: Path
) -> None:
    for n in range(3):
        draw(tmp_path / "a" / f"{n}.png", "red", n)
    library.index(listed=sorted((tmp_path / "a").iterdir()))
    (tmp_path / "a" / "1.png").unlink()
    report = library.index()
    assert (report.removed, report.unchanged, report.failures) == (1, 2, ())
    # An unmounted drive leaves an empty folder: nothing of it counts as deleted.
    for path in (tmp_path / "a").iterdir():
        path.rename(tmp_path / path.name)
    assert library.index().removed == 0
    assert len(library) == 2


@pytest.mark.slow
def test_a_long_list_of_one_folder_is_indexed(library: pixseek.Library, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    names = [tmp_path / "many" / f"{n:05}.png" for n in range(3000)]
    for path in names:
        path.write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    names.append(draw(tmp_path / "many" / "good.png"))
    report = library.index(listed=names)
    assert len(report.failures) == 3000
    assert library.index(listed=names).known_failures == 3000


LISTS = {
    "lines": b"photos/1.png\nphotos/not there.png\n\nphotos/2.png\n",
    "lines of Windows": b"\xef\xbb\xbfphotos/1.png\r\nphotos/not there.png\r\nphotos/2.png",
    "NUL": b"photos/1.png\0photos/not there.png\0photos/2.png\0",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("from_stdin", [False, True])
def test_the_command_line_reads_a_list(
    tmp_path: Path,
    tiny: TinyEncoder,
    monkeypatch: pytest.MonkeyPatch,
    text: bytes,
    from_stdin: bool,
) -> None:
    line = listed_in(tmp_path, text, from_stdin)
    monkeypatch.chdir(tmp_path if from_stdin else tmp_path / "elsewhere")
    done = CliRunner().invoke(main, line, input=text if from_stdin else b"")
    assert done.exit_code == 0, done.stderr
    assert '"added": 2' in done.stdout
    assert "not there.png" in done.stdout


def test_a_process_reads_a_list_from_its_input(tmp_path: Path) -> None:
    text = LISTS["NUL"]
    done = subprocess.run(
        [sys.executable, "-m", "pixseek", *listed_in(tmp_path, text, True)],
        input=text, cwd=tmp_path, env={**os.environ, "NO_COLOR": "1"}, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert b'"added": 2' in done.stdout
    assert b"not there.png" in done.stdout


def listed_in(folder: Path, text: bytes, from_stdin: bool) -> list[str]:
    """Draw pictures and write a list of two; return the command line that indexes those."""
    for n in (1, 2, 3):
        draw(folder / "photos" / f"{n}.png", "red", n)
    (folder / "list.txt").write_bytes(text)
    (folder / "elsewhere").mkdir()
    given = "-" if from_stdin else "../list.txt"
    library = ["--library", str(folder / "l"), "--model", "demo"]
    return [*library, "index", "--json", "--from-file", given]
