"""Command lines that can't be understood: what is said of them, before anything is opened."""

import shlex
from pathlib import Path

import pytest

from .conftest import Run

#: Words that a shell passes on as options: unknown letters, known ones, weights, filters.
LEFT_OUT = ["-snow", "-Kfoo", "-night", "-kites", "-house", "-mountain", "-Lake", "-0range"]


@pytest.mark.parametrize("word", LEFT_OUT)
def test_a_word_to_leave_out_is_not_read_as_options(run: Run, word: str) -> None:
    done = run("search", "dog", word, "-k", "3")
    assert done.exit_code == 2
    assert f"No such option: {word}\n" in done.stderr
    assert f"pixseek search 'dog {word}' -k 3\n" in done.stderr
    assert f"pixseek search dog -k 3 --not {word[1:]}\n" in done.stderr or word == "-0range"


@pytest.mark.parametrize("word", ["-0.5*night", "-tag:draft", "-(year:2020)"])
def test_weights_and_filters_are_quoted_only(run: Run, word: str) -> None:
    done = run("search", "dog", word)
    assert done.exit_code == 2
    assert f"pixseek search 'dog {word}'" in done.stderr
    assert "--not" not in done.stderr


def test_a_minus_at_the_beginning_comes_with_a_line_that_can_be_typed(indexed: Run) -> None:
    said = indexed("search", "-snow", "boat", "-k1").stderr
    assert "pixseek search 'boat -snow' -k1\n" in said
    for command, typed in (
        ("list", "-has:caption"),
        ("search", "-tag:x"),
        ("search", "-snow boat"),
    ):
        said = indexed(command, typed).stderr
        assert f" -- {shlex.quote(typed)}\n" in said
        assert indexed(command, "--", typed).exit_code == 0


def test_the_suggested_line_keeps_the_library_and_phrases(run: Run) -> None:
    said = run("-L", "my lib", "search", "red car", "-old car").stderr
    assert "pixseek search 'red car -\"old car\"' --library 'my lib'\n" in said
    assert "pixseek search 'red car' --not 'old car' --library 'my lib'\n" in said
    said = run("-L", "my lib", "list", "-has:caption").stderr
    assert "pixseek list --library 'my lib' -- -has:caption\n" in said


def test_words_after_two_dashes_are_words(indexed: Run) -> None:
    assert indexed("search", "--paths", "--", "red", "-blue").exit_code == 0


@pytest.mark.parametrize(
    "options",
    [("-k2",), ("-k=2",), ("-0k2",), ("-k", "2", "--not", "-blue"), ("-mdemo", "-k2")],
    ids=" ".join,
)
def test_values_right_behind_their_letter_are_options(
    indexed: Run, options: tuple[str, ...]
) -> None:
    done = indexed("search", "red", *options)
    assert done.exit_code == (2 if options[0] == "-k=2" else 0), done.output
    assert "No such option" not in done.output


@pytest.mark.parametrize("option", ["-n", "-n5", "--limit", "--limit=5", "--top", "--max"])
@pytest.mark.parametrize("command", ["search", "similar", "classify"])
def test_other_names_of_the_number_of_hits_name_k(run: Run, command: str, option: str) -> None:
    done = run(command, "dog", option, "5")
    assert done.exit_code == 2
    assert f"No such option: {option}\nIt is called -k N here." in done.stderr


def test_an_unknown_option_is_named_as_typed_with_the_nearest(run: Run) -> None:
    assert "No such option: --jsn\nDid you mean --json?" in run("status", "--jsn").stderr
    assert "No such option: -Kfoo" in run("index", "Photos", "-Kfoo").stderr
    assert "No such option: -Q\nDid you mean -q?" in run("index", "-Q").stderr
    assert "No such option: --librry\nDid you mean --library?" in run("--librry", "x").stderr


@pytest.mark.parametrize(
    ("line", "one", "other"),
    [
        (("search", "red", "--json", "--paths"), "--paths", "--json"),
        (("search", "red", "--json", "-0"), "-0", "--json"),
        (("search", "red", "--why", "--paths"), "--paths", "--why"),
        (("search", "red", "--facets", "-0"), "-0", "--facets"),
        (("search", "red", "--variety", "0.3", "--sort", "name"), "--variety", "--sort name"),
        (("similar", "x", "--json", "--paths"), "--paths", "--json"),
        (("duplicates", "--json", "--rest"), "--json", "--rest"),
        (("duplicates", "--move", "x", "--json"), "--json", "--move"),
        (("duplicates", "--move", "x", "-0"), "-0", "--move"),
        (("failures", "--json", "--paths"), "--paths", "--json"),
        (("failures", "--retry", "--paths"), "--paths", "--retry"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_contradict_each_other_are_refused(
    run: Run, line: tuple[str, ...], one: str, other: str
) -> None:
    done = run(*line)  # before the library, which does not exist, is looked for
    assert done.exit_code == 2
    assert f"{one} can't be combined with {other}" in done.stderr


@pytest.mark.parametrize(
    "option",
    [
        ("--image", "x.jpg"), ("--not", "x"), ("--like", "x"), ("--unlike", "x"), ("--why",),
        ("--region", "0,0,1,1"), ("--paths",), ("-0",), ("--open",), ("--facets",),
    ],
    ids=lambda option: option[0],
)  # fmt: skip
def test_many_queries_refuse_the_options_of_one(
    run: Run, tmp_path: Path, option: tuple[str, ...]
) -> None:
    (tmp_path / "words.txt").write_text("red\n")
    done = run("search", "--queries", tmp_path / "words.txt", *option)
    assert done.exit_code == 2
    assert f"--queries can't be combined with {option[0]}" in done.stderr


@pytest.mark.parametrize(
    ("action", "option"),
    [
        ("list", "--to x"), ("list", "--precision int8"), ("verify", "--json"),
        ("download", "--against x"), ("download", "--photos x"), ("export", "--accept-licence"),
        ("remove", "--yes"), ("benchmark", "--json"), ("verify", "--captions x"),
        ("list", "--image-column x"), ("calibrate", "--against x"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_options_of_another_action_are_refused(run: Run, action: str, option: str) -> None:
    done = run("models", action, *option.split())
    assert done.exit_code == 2
    assert f"{option.partition(' ')[0]} belongs to pixseek models " in done.stderr


def test_options_without_what_they_belong_to_are_refused(run: Run) -> None:
    assert "--where needs" in run("tag", "x", "--add", "y", "--where", "year:2020").stderr
    assert "--again needs" in run("tag", "x", "--add", "y", "--again").stderr
    assert "--not needs" in run("search", "--not", "x").stderr
    assert "--unlike needs" in run("search", "--unlike", "x").stderr


@pytest.mark.parametrize(
    "line",
    [
        ("search", "red", "--html", "nowhere/page.html"),
        ("search", "red", "--html", "Photos.html"),
        ("similar", "x", "--html", "nowhere/page.html"),
        ("export", "nowhere/vectors.npz"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_file_that_cannot_be_written_is_found_before_the_search(
    run: Run, tmp_path: Path, line: tuple[str, ...]
) -> None:
    (tmp_path / "work" / "Photos.html").mkdir()
    done = run(*line)  # there is no library either, which would be another error
    assert done.exit_code == 2
    assert f"{line[-1]} can't be written (" in done.stderr
    assert "Choose another file." in done.stderr


def test_a_page_is_not_left_behind_by_a_search_that_fails(run: Run, tmp_path: Path) -> None:
    assert run("search", "red", "--html", tmp_path / "page.html").exit_code == 3
    assert not (tmp_path / "page.html").exists()
    (tmp_path / "page.html").write_text("before")
    assert run("search", "red", "--html", tmp_path / "page.html").exit_code == 3
    assert (tmp_path / "page.html").read_text() == "before"


@pytest.mark.parametrize(
    "line",
    [
        ("search", "dog"), ("search", "--queries", "words.txt"), ("similar", "words.txt"),
        ("duplicates",), ("tag", "--zero-shot", "words.txt"), ("tag", "--labels-from", "x"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_commands_say_that_the_library_is_empty_before_they_need_a_model(
    run: Run, photos_folder: Path, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    (photos_folder.parent / "words.txt").write_text("red\n")
    run("index", photos_folder, "-L", "lib")
    run("remove", "--all", "--yes", "-L", "lib")
    monkeypatch.setattr("pixseek.encoders.load", None)
    monkeypatch.setattr("pixseek.encoders.classifiers.load", None)
    done = run(*line, "-L", "lib")
    assert done.exit_code == (0 if line[0] == "tag" else 1), done.output
    assert "The library is empty. Index something first: pixseek index ~/Pictures" in done.stderr
    assert "~/Pictures --library lib" in done.stderr


def test_hints_keep_the_common_options(run: Run, photos_folder: Path) -> None:
    said = run("-L", "nothere", "search", "dog").stderr
    assert "pixseek index ~/Pictures --library nothere" in said
    said = run("search", "dog", "-L", "not here", "--model", "demo", "--offline").stderr
    assert "pixseek index ~/Pictures --library 'not here' --model demo --offline" in said
    assert "pixseek index ~/Pictures" in run("search", "dog").stderr
    (photos_folder / "broken.png").write_bytes(b"no image")
    said = run("index", photos_folder, "-L", "other").stdout
    assert "To list all: pixseek failures --library other" in said
    assert "pixseek failures --retry --library other" in run("failures", "-L", "other").stdout
    assert "(see: pixseek failures --library other)" in run("status", "-L", "other").stdout
    assert "pixseek index ~/Pictures --library nowhere" in run("doctor", "-L", "nowhere").stdout
    said = run("index", "-L", "other", "--json", "--labels-from", "x").stderr
    assert "pixseek tag --library other --labels-from" in said


def test_a_hint_about_a_model_names_that_model_only(run: Run) -> None:
    said = run("doctor", "-m", "clip-b32-openai", "-L", "x").stdout
    assert "pixseek doctor --fetch --model clip-b32-openai --library x\n" in said


def test_version_is_that_of_the_option(run: Run) -> None:
    assert run("version").stdout == run("--version").stdout
    assert run("help", "version").exit_code == 0


@pytest.mark.parametrize(
    ("line", "better"),
    [
        (["search", "-snow dog"], "search -- '-snow dog'"),
        (["search", "-snow", "dog", "-k", "3"], "search 'dog -snow' -k 3"),
        (["search", "-year:2008"], "search -- -year:2008"),
        (["search", "dog", "-snow", "-tree"], "search 'dog -snow -tree'"),
        (["list", "-tag:done"], "list -- -tag:done"),
        (["list", "-tag:done", "-year:2008"], "list -- '-tag:done -year:2008'"),
        (["--offline", "list", "-tag:done"], "list --offline -- -tag:done"),
    ],
)
def test_a_suggested_line_can_be_typed(indexed: Run, line: list[str], better: str) -> None:
    done = indexed(*line)
    assert done.exit_code == 2
    better = better.replace(" --offline", "")
    suggested = [each[10:] for each in done.stderr.splitlines() if each.startswith("  pixseek ")]
    assert better in [each.replace(" --offline", "") for each in suggested]
    for each in suggested:
        assert indexed(*shlex.split(each)).exit_code in (0, 1)
