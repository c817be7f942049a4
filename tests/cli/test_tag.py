"""`pixseek tag`: what it takes, what it says, and what `pixseek show` makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run


def shown(run: Run, what: str | Path) -> dict[str, str]:
    """The rows of `pixseek show`, by name; lines that follow are joined by a bar."""
    rows: dict[str, str] = {}
    name = ""
    for line in run("show", what).stdout.splitlines():
        if not line.startswith(" "):
            name, _, text = line.partition("  ")
            rows[name] = text.strip()
        else:
            rows[name] += f" | {line.strip()}"
    return rows


@pytest.fixture
def red(indexed: Run, photos_folder: Path) -> Path:
    del indexed
    return photos_folder / "b c" / "red-0.png"


def test_show_tells_annotations_from_the_file(run: Run, red: Path) -> None:
    red.with_suffix(".txt").write_text("by the file\nof two lines")
    Path(f"{red}.json").write_text('{"tags": ["draft", "beach"], "rating": 2}')
    run("index")
    done = run("tag", red, "--add", "holiday,lake", "--remove", "draft", "--rating", "4",
               "--caption", "At dawn", "--set", "price=9.5", "--set", "paid=true")  # fmt: skip
    assert (done.exit_code, done.output) == (0, "Changed 1 image.\n")
    rows = shown(run, red)
    assert rows["tags"] == "beach, holiday (added), lake (added), draft (removed)"
    assert rows["caption"] == "At dawn  (yours) | the file's: | by the file | of two lines"
    assert rows["rating"] == "4 stars  (yours; the file's: 2)"
    assert (rows["user.price"], rows["user.paid"]) == ("9.5", "yes")
    assert not any(name.startswith("file.") for name in rows)
    again = run("tag", red, "--add", "Lake", "--rating", "4")
    assert again.output == "Nothing to change: everything was set already.\n"
    run("tag", red, "--clear", "tags", "--unset", "price", "--rating", "0", "--caption", "")
    rows = shown(run, red)
    assert (rows["tags"], rows["rating"]) == ("draft, beach", "2 stars")
    assert rows["caption"] == "by the file | of two lines"
    assert "user.price" not in rows and "user.paid" in rows


def test_hits_of_a_search_can_be_tagged(indexed: Run) -> None:
    for flag in ("--paths", "-0"):
        found = indexed("search", "red", flag, "-k", "2").stdout
        done = indexed("tag", "-", "--add", f"found{flag}", "--json", input=found)
        assert json.loads(done.stdout) == {"named": 2, "changed": 2}
    ids = [hit["id"] for hit in json.loads(indexed("search", "red", "--json").stdout)["hits"][:2]]
    for each in ids:
        assert json.loads(indexed("show", each, "--json").stdout)["tags"] == [
            "found--paths",
            "found-0",
        ]


def test_tag_without_images_or_changes_fails(indexed: Run, red: Path) -> None:
    done = indexed("tag", "-", "--add", "x", input="\n")
    assert (done.exit_code, done.stderr) == (1, "No images given.\n")
    done = indexed("tag", red)
    assert done.exit_code == 2
    assert "Nothing to change. Give at least one of" in done.stderr
    assert indexed("tag", "--add", "x").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--rating", "6"], 2, "6"),
        (["--set", "price"], 2, "NAME=VALUE"),
        (["--set", "rating=3"], 5, "--rating"),
        (["--set", "a b=3"], 5, "begin with a digit"),
        (["--clear", "everything"], 2, "everything"),
    ],
)
def test_invalid_annotations_are_refused(
    indexed: Run, red: Path, arguments: list[str], code: int, message: str
) -> None:
    done = indexed("tag", red, *arguments)
    assert done.exit_code == code
    assert message in done.stderr


def test_one_unknown_image_stops_all_changes(indexed: Run, red: Path) -> None:
    done = indexed("tag", red, "missing.jpg", "--add", "x")
    assert done.exit_code == 5
    assert "Not in the library: missing.jpg" in done.stderr
    assert "tags" not in shown(indexed, red)


def test_sidecars_are_written_only_on_request(indexed: Run, red: Path) -> None:
    indexed("tag", red, "--add", "x")
    assert not Path(f"{red}.xmp").exists()
    content = red.read_bytes()
    assert indexed("tag", red, "--rating", "5", "--write-xmp").exit_code == 0
    assert Path(f"{red}.xmp").read_text("utf-8").count("<rdf:li>x</rdf:li>") == 1
    assert red.read_bytes() == content
    report = json.loads(indexed("index", "--json").stdout)
    assert (report["updated"], report["reused"], report["unchanged"]) == (1, 1, 5)
    rows = shown(indexed, red)
    assert (rows["tags"], rows["rating"]) == ("x", "5 stars  (yours)")


def test_own_fields_can_be_searched(indexed: Run, red: Path) -> None:
    indexed("tag", red, "--set", "price=9.5", "--rating", "5")
    from pixseek import Library
    from pixseek.types import Compare

    with Library.open(create=False) as library:
        for where in (Compare("fields.user.price", "gt", 9), Compare("fields.rating", "eq", 5)):
            assert [hit.path for hit in library.search(where=where)] == [red]
