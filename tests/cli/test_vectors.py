"""`--vector`, `similar FILE.npy`, and queries as JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from .conftest import Run
from tiny_encoder import TinyEncoder


@pytest.fixture
def red(tmp_path: Path, tiny: TinyEncoder) -> Path:
    """A file with the vector of "red"."""
    np.save(tmp_path / "red.npy", tiny.encode_texts(["red"])[0])
    return tmp_path / "red.npy"


def test_a_file_of_a_vector_is_searched_with(indexed: Run, red: Path) -> None:
    plain = indexed("search", "red", "--text-weight", "0").stdout
    assert indexed("search", "--vector", red, "--vector-of", "text").stdout == plain
    assert indexed("search", "--vector", red).exit_code == 0
    assert indexed("similar", red).stdout.splitlines()[0] == plain.splitlines()[0]
    np.save(red, np.load(red)[None].astype(np.float64))
    assert indexed("search", "--vector", red, "--vector-of", "text").stdout == plain
    both = indexed("search", "--vector", red, "name:*.png", "--not", "blue", "--json", "-k", "3")
    assert len(json.loads(both.stdout)["hits"]) == 3
    assert indexed("save", "--vector", red, "--vector-of", "text", "reds").exit_code == 0
    assert indexed("search", "@reds").stdout == plain


def test_a_line_of_queries_may_be_json(indexed: Run, red: Path, tmp_path: Path) -> None:
    vector = np.load(red).tolist()
    term = {"kind": "vector", "value": vector, "of": "text"}
    lines = [json.dumps({"terms": [term]}), "green", json.dumps({"terms": [term], "k": 1})]
    (tmp_path / "queries.txt").write_text("\n".join(lines))
    done = indexed("search", "--queries", tmp_path / "queries.txt", "-k", "2", "--json")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(each["hits"]) for each in answers] == [2, 2, 1]
    assert all("red" in hit["uri"] for hit in answers[0]["hits"] + answers[2]["hits"])
    (tmp_path / "queries.txt").write_text('{"terms": [')
    done = indexed("search", "--queries", tmp_path / "queries.txt")
    assert done.exit_code == 5
    assert "A line of --queries is not JSON" in done.stderr


def test_files_that_hold_no_vector_are_named(indexed: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "many.npy", np.ones((3, 48)))
    np.save(tmp_path / "texts.npy", np.array(["a", "b"]))
    np.save(tmp_path / "short.npy", np.ones(7))
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    (tmp_path / "broken.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:-3])
    (tmp_path / "text.txt").write_text("0.1 0.2")
    for name, said in {
        "many.npy": "shape (3, 48)", "texts.npy": "does not hold numbers",
        "short.npy": "7 numbers", "objects.npy": "can't be read", "broken.npy": "can't be read",
        "text.txt": "can't be read", "nothing.npy": "No such file",
    }.items():  # fmt: skip
        done = indexed("search", "--vector", tmp_path / name)
        assert done.exit_code == 5, done.output
        assert said in done.stderr.replace("\n", " ")
    for arguments in (("--vector-of", "text", "red"), ("--vector-of", "sound")):
        assert indexed("search", *arguments).exit_code == 2
