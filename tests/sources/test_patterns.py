"""Patterns mean what they mean to git, in linear time and within a budget."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pixseek.errors import ConfigError
from pixseek.sources import patterns
from pixseek.sources.folder import FolderSource
from pixseek.types import Candidate, Failure


def _matched(text: str, paths: list[str]) -> set[str]:
    found = patterns.of_file(text, Path("ignore")).patterns
    return {path for path in paths if found.match(path)}


_PATHS = ["a.jpg", "a.gif", "b/", "b/a.jpg", "b/c/", "b/c/a.jpg", "b/c/d e.gif", "x/b/c/a.jpg"]


@pytest.mark.parametrize(
    ("lines", "matched"),
    [
        ("*.gif", "a.gif|b/c/d e.gif"),
        ("b/", "b/|b/a.jpg|b/c/|b/c/a.jpg|b/c/d e.gif|x/b/c/a.jpg"),
        ("/b", "b/|b/a.jpg|b/c/|b/c/a.jpg|b/c/d e.gif"),
        ("b/c", "b/c/|b/c/a.jpg|b/c/d e.gif"),
        ("**/b/c", "b/c/|b/c/a.jpg|b/c/d e.gif|x/b/c/a.jpg"),
        ("b/**", "b/a.jpg|b/c/|b/c/a.jpg|b/c/d e.gif"),
        ("b/**/a.jpg", "b/a.jpg|b/c/a.jpg"),
        ("*/a.jpg", "b/a.jpg"),
        ("[a-b].[!g]*", "a.jpg|b/a.jpg|b/c/a.jpg|x/b/c/a.jpg"),
        ("?.[[:alpha:]]if", "a.gif"),
        ("d\\ e.gif\nd e.gif  \n!d e.gif", ""),
        ("# *\n\n!\\#\n\\a.jpg/", ""),
        ("*\n!*/\n!*.gif", "a.jpg|b/a.jpg|b/c/a.jpg|x/b/c/a.jpg"),
        ("b/\n!b/a.jpg", "b/|b/a.jpg|b/c/|b/c/a.jpg|b/c/d e.gif|x/b/c/a.jpg"),
        ("b/*\n!b/a.jpg", "b/c/|b/c/a.jpg|b/c/d e.gif"),
        ("[a\nb//c\n/\n[[:none:]]", ""),
        ("*e.gif\r\na*g", "a.jpg|b/a.jpg|b/c/a.jpg|b/c/d e.gif|x/b/c/a.jpg"),
    ],
)
def test_patterns_match_what_they_match_in_git(lines: str, matched: str) -> None:
    assert _matched(lines, _PATHS) == set(filter(None, matched.split("|")))


_PIECES = ["a", "b", "*", "?", "/", "/**/", "[ab]", "[!a]", "[^b-c]", "!", "\\a", "\\*", ".f",
           "[[:alpha:]]", " ", "\\ "]  # fmt: skip


@pytest.mark.slow
def test_random_patterns_match_what_they_match_in_git(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    names = ("a", "b", "ab", "a.b", "b a")
    paths = [f"{x}.f" for x in names] + [f"{x}/{y}/{z}" for x in names for y in names for z in "ab"]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    paths += sorted({f"{x}/" for x in names} | {f"{x}/{y}/" for x in names for y in names})
    drawn = random.Random(17)
    for _ in range(150):
        text = "\n".join(
            "".join(drawn.choices(_PIECES, k=drawn.randint(1, 6))) for _ in range(3)
        )  # fmt: skip
        (tmp_path / ".gitignore").write_text(text)
        try:
            ours = _matched(text, paths)
        except ConfigError:
            continue
        answer = subprocess.run(
            ["git", "check-ignore", "--no-index", "--stdin", "-z"],
            cwd=tmp_path, check=False, capture_output=True, text=True,
            input="\0".join(path.rstrip("/") for path in paths),
        )  # fmt: skip
        theirs = set(answer.stdout.split("\0"))
        assert ours == {path for path in paths if path.rstrip("/") in theirs}, text


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 60 + "b", "a" * 250),
        ("a?*" * 60 + "b", "a" * 250),
        ("**/a/" * 60 + "b", "a/" * 300 + "a"),
        ("**/*a*a*a*a/" * 30 + "b", "aaaaaaaaaa/" * 100 + "a"),
        ("*[a]*[!b]" * 30 + "b", "a" * 250),
    ],
)
def test_many_stars_take_no_longer_than_the_path(pattern: str, path: str) -> None:
    began = time.process_time()
    assert not _matched(pattern, [path])
    assert time.process_time() - began < 5  # naively: longer than the universe is old


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x*\n" * (patterns.MAX_WILD + 1), f"line {patterns.MAX_WILD + 1} "),
        ("# c\n" + "x\n" * (patterns.MAX_PATTERNS + 1), f"line {patterns.MAX_PATTERNS + 2} "),
        ("x*" * 1_000 + "\n" + ("y*" * 1_000 + "\n") * 25, "line 26 "),
        ("#" * patterns.MAX_BYTES + "\nx", f"byte {patterns.MAX_BYTES:,} "),
    ],
)
def test_what_is_beyond_the_budget_is_reported(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "sub" / "deep" / "a.jpg").touch()
    (tmp_path / "sub" / ".pixseekignore").write_text(f"{text}\na.jpg\n")
    for scope in ("", "sub/deep"):
        found = list(FolderSource("r", tmp_path, [scope]).scan())
        assert [each.uri for each in found if isinstance(each, Candidate)] == ["r/sub/deep/a.jpg"]
        (failure,) = (each for each in found if isinstance(each, Failure))
        assert failure.uri == "r/sub/.pixseekignore"
        assert place in failure.message


def test_the_budget_is_that_of_a_folder_and_those_above_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".pixseekignore").write_text("x*\n" * patterns.MAX_WILD)
    (tmp_path / "sub" / ".pixseekignore").write_text("x\ny*\n")
    (failure,) = (
        each for each in FolderSource("r", tmp_path).scan() if isinstance(each, Failure)
    )  # fmt: skip
    assert failure.uri == "r/sub/.pixseekignore"


def test_a_folder_may_be_two_thousand_deep() -> None:
    deep = "/".join(["a"] * 2_000)
    assert not _matched("*b", [f"{deep}/c"])
    assert _matched("*b\n/a/a/", [f"{deep}/c"]) == {f"{deep}/c"}


def test_a_pattern_that_is_too_long_names_its_line(tmp_path: Path) -> None:
    (tmp_path / ".pixseekignore").write_text("a\n" + "b" * (patterns.MAX_LENGTH + 1))
    with pytest.raises(ConfigError, match="line 2") as caught:
        list(FolderSource("r", tmp_path).scan())
    assert "characters" in caught.value.advice
    assert len(str(caught.value)) < 1_000
