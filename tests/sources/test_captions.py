"""Tables of captions: CSV, TSV, Flickr's, with any usual names of columns."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixseek.errors import SourceError
from pixseek.sources.captions import read_captions


def table(folder: Path, text: str, name: str = "t.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "file,caption\na.jpg,a dog\na.jpg,\"one dog, running\"\nb.jpg,a cat\n"),
        ("t.csv", "Caption;Image Path\na dog;a.jpg\none dog, running;a.jpg\na cat;b.jpg\n"),
        ("t.csv", "image_name| comment_number| comment\na.jpg| 0| a dog\n"
                  "a.jpg| 1| one dog, running\nb.jpg| 0| a cat\n"),
        ("t.tsv", "file\tcaption\na.jpg\ta dog\na.jpg\tone dog, running\nb.jpg\ta cat\n"),
        ("t.txt", "a.jpg#0\ta dog\na.jpg#1\tone dog, running\nb.jpg#0\ta cat\n"),
        ("t.txt", "photo,n,text\r\na.jpg,0,a dog\r\n\r\na.jpg,1,'one dog, running'\r\nb.jpg,2,a cat"
                  .replace("'", '"')),
        ("t", '"file"\t"caption"\n"a.jpg"\t"a dog"\n"a.jpg"\t"one dog, running"\nb.jpg\ta cat\n'),
    ],
)  # fmt: skip
def test_tables_of_every_usual_kind_are_read(tmp_path: Path, name: str, text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert read_captions(table(tmp_path, text, name, encoding)) == {
            tmp_path / "a.jpg": ["a dog", "one dog, running"],
            tmp_path / "b.jpg": ["a cat"],
        }


def test_files_are_relative_to_the_table_or_to_a_folder(tmp_path: Path) -> None:
    path = table(tmp_path, "file,caption\nsub/a.jpg,a dog\n/data/b.jpg,a cat\n")
    found = read_captions(path)
    assert list(found) == [tmp_path / "sub/a.jpg", Path("/data/b.jpg")]
    found = read_captions(path, images=tmp_path / "photos")
    assert list(found) == [tmp_path / "photos/sub/a.jpg", Path("/data/b.jpg")]


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = table(tmp_path, "id,where,file,german,caption\n1,x.jpg,a.jpg,ein Hund,a dog\n")
    assert read_captions(path) == {tmp_path / "a.jpg": ["a dog"]}
    found = read_captions(path, image_column="where", caption_column="German")
    assert found == {tmp_path / "x.jpg": ["ein Hund"]}


def test_a_quotation_mark_in_a_tsv_is_a_character(tmp_path: Path) -> None:
    path = table(tmp_path, 'file\tcaption\na.jpg\t"No" says a sign\nb.jpg\ta 5" pipe\n', "t.tsv")
    assert list(read_captions(path).values()) == [['"No" says a sign'], ['a 5" pipe']]


def test_incomplete_lines_are_skipped(tmp_path: Path) -> None:
    path = table(tmp_path, "file,caption\na.jpg\nb.jpg,\n,a dog\n\nc.jpg,a cat\n")
    assert read_captions(path) == {tmp_path / "c.jpg": ["a cat"]}


@pytest.mark.parametrize(
    ("text", "named", "problem", "advice"),
    [
        ("a,b\n1,2\n", {}, "No column of files was recognised", "--image-column"),
        ("file,b\n1,2\n", {}, "No column of captions was recognised", "--caption-column"),
        ("file,b\n1,2\n", {"caption_column": "c"}, "no column 'c'", "Known columns: b, file"),
        ("file,text\n1,2\n", {"image_column": "fil"}, "no column 'fil'", "Did you mean 'file'"),
        ("file,text\n", {}, "no captions", "lines with the name"),
        ("", {}, "No column of files", "empty"),
    ],
)
def test_a_table_without_captions_is_an_error_that_says_what_to_do(
    tmp_path: Path, text: str, named: dict[str, str], problem: str, advice: str
) -> None:
    path = table(tmp_path, text)
    with pytest.raises(SourceError, match=problem) as caught:
        read_captions(path, **named)
    assert caught.value.subject == str(path) and advice in caught.value.advice


def test_a_table_that_can_not_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="can't be read"):
        read_captions(tmp_path / "none.csv")
    with pytest.raises(SourceError, match="can't be read"):
        read_captions(tmp_path)
    with pytest.raises(SourceError, match="UTF-8"):
        read_captions(table(tmp_path, "file,caption\na.jpg,un café\n", encoding="latin-1"))


_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip)


@settings(max_examples=50, deadline=None)
@given(st.lists(_texts.filter(bool), min_size=1, max_size=5))
def test_any_caption_is_read_as_csv_writes_it(
    tmp_path_factory: pytest.TempPathFactory, captions: list[str]
) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file", "caption"), *(("a.jpg", each) for each in captions)])
    assert list(read_captions(path).values()) == [captions]
