"""`pixseek save`, `pixseek saved`, and `pixseek search @NAME`."""

import json
from pathlib import Path

import pytest

from .conftest import Run


def test_a_saved_search_runs_with_its_options(indexed: Run) -> None:
    done = indexed("save", "red", "-k", "2", "--not", "blue", "reds")
    assert done.exit_code == 0
    assert done.stdout == "Saved. To run it: pixseek search @reds\n"
    plain = indexed("search", "red", "--not", "blue", "-k", "2").stdout
    assert indexed("search", "@reds").stdout == plain
    assert len(plain.splitlines()) == 2
    assert len(indexed("search", "@reds", "-k", "1").stdout.splitlines()) == 1
    answer = json.loads(indexed("search", "@reds", "green", "name:*.png", "--json").stdout)
    assert answer["query"].startswith('"red" "green" -"blue" name:')
    assert answer["k"] == 2
    assert indexed("save", "green", "Reds").stdout.startswith("Replaced.")


def test_words_need_no_quotes_and_names_may_have_spaces(indexed: Run) -> None:
    done = indexed("-L", "lib 2", "index", "Photos")
    done = indexed("save", "a", "red", "car", "red cars", "-L", "lib 2")
    assert "pixseek search '@\"red cars\"' --library 'lib 2'" in done.stdout
    for words in (["@red cars"], ["@red", "cars"], ['@"red cars"']):
        answer = json.loads(indexed("search", *words, "-L", "lib 2", "--json").stdout)
        assert answer["query"] == "a red car"


def test_saved_searches_are_listed(indexed: Run) -> None:
    assert "pixseek save" in indexed("saved").stderr
    indexed("save", "red -blue year:2021", "-k", "50", "--sort", "newest", "reds")
    indexed("save", "green", "--variety", "0.5", "my greens")
    indexed("save", "snow last week", "--min-strength", "likely", "--show-excluded", "snow")
    lines = indexed("saved").stdout.splitlines()
    assert lines == [
        "my greens\tgreen --variety 0.5",
        "reds\tred -blue year:2021 -k 50 --sort newest",
        "snow\tsnow last week --min-strength likely --show-excluded",
    ]
    assert indexed("save", "--list").stdout.splitlines() == lines
    found = json.loads(indexed("saved", "--json").stdout)["searches"]
    assert list(found) == ["my greens", "reds", "snow"]
    assert found["reds"]["k"] == 50
    assert found["reds"]["terms"] == [{"kind": "text", "value": "red", "weight": 1.0}]


def test_saved_searches_are_forgotten(indexed: Run) -> None:
    for name in ("one", "two"):
        indexed("save", "red", name)
    assert indexed("save", "--delete", "one").stdout == "Deleted @one.\n"
    assert indexed("saved", "--delete", "@two").exit_code == 0
    assert indexed("saved").stdout == ""
    done = indexed("saved", "--delete", "two")
    assert done.exit_code == 5
    assert "no saved search of this name: two" in done.stderr


def test_an_unknown_name_lists_the_known(indexed: Run) -> None:
    indexed("save", "red", "reds")
    done = indexed("search", "@redz")
    assert done.exit_code == 5
    assert "Did you mean @reds? Saved searches: reds." in done.stderr


def test_examples_and_refinements_are_saved(indexed: Run, photos_folder: Path) -> None:
    example = photos_folder / "a" / "red-1.png"
    indexed("save", "--image", "Photos/a/red-1.png", "--region", "0,0,0.5,1", "example")
    answer = json.loads(indexed("search", "@example", "--json", "-k", "1").stdout)
    assert answer["query"] == f"image:{example}@0,0,0.5,1" or str(example) in answer["query"]
    hit = answer["hits"][0]["id"]
    assert indexed("save", "red", "--like", hit, "liked").exit_code == 0
    terms = json.loads(indexed("saved", "--json").stdout)["searches"]["liked"]["terms"]
    assert [term["kind"] for term in terms] == ["text", "id"]


def test_a_shell_completes_their_names(indexed: Run) -> None:
    indexed("save", "red", "reds")
    indexed("save", "green", "greens")
    for words, expected in (
        ("search @r", ["plain,@reds"]), ("search @", ["plain,@greens", "plain,@reds"]),
        ("search r", []), ("saved --delete g", ["plain,greens"]),
        ("search -L nowhere @", []), ("-L nowhere search @", []),
    ):  # fmt: skip
        typed = words.split()
        done = indexed(
            env={
                "_PIXSEEK_COMPLETE": "bash_complete",
                "COMP_WORDS": f"pixseek {words}",
                "COMP_CWORD": str(len(typed)),
            },
            prog_name="pixseek",
        )
        assert done.stdout.split() == expected, words


@pytest.mark.parametrize(
    "line",
    [
        (), ("x",), ("--delete",), ("--delete", "a", "b"), ("--list", "x"),
        ("--list", "--delete"), ("red", "reds", "--json"), ("red", "reds", "--region", "0,0,1,1"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_incomplete_lines_are_usage_errors(indexed: Run, line: tuple[str, ...]) -> None:
    assert indexed("save", *line).exit_code == 2


def test_what_cannot_be_used_is_an_error_in_three_parts(indexed: Run) -> None:
    done = indexed("save", "red", "a/b")
    assert done.exit_code == 5
    assert "name of a search: a/b\nUse letters" in done.stderr
    assert indexed("save", "year:x", "years").exit_code == 5
    assert indexed("saved").stdout == ""
    assert "quotes" in indexed("save", "dog", "-snow", "dogs").stderr
