"""`pixseek classify` and `pixseek tag --zero-shot`: labels, with and without a library."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from classifier_files import LABELS, classifier_folder

from pixseek.config import libraries_file
from pixseek.library import trust

from .conftest import Run
from tiny_encoder import draw


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return draw(tmp_path / "one.png", "red")


def test_one_line_per_label(run: Run, picture: Path) -> None:
    done = run(
        "classify", picture, "--labels", "red, blue", "--labels", "green", "--template", "{}"
    )
    assert done.exit_code == 0
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [name for name, _, _ in lines] == [str(picture)] * 3
    assert lines[0][1:] == ["1.0000", "red"]
    assert {label for *_, label in lines} == {"red", "blue", "green"}


@pytest.mark.skipif(sys.platform == "win32", reason="names have no backslash there")
def test_a_line_can_be_read_back(run: Run, picture: Path) -> None:
    odd = picture.rename(picture.with_name("a\\n\tb.png"))
    done = run("classify", odd, "--labels", "red,a\\b")
    names, _, labels = zip(*(line.split("\t") for line in done.stdout.splitlines()), strict=True)
    read = {each.encode("latin-1", "backslashreplace").decode("unicode_escape") for each in names}
    assert read == {str(odd)}
    assert set(labels) == {"red", "a\\\\b"}


def test_labels_from_a_file_as_json(run: Run, picture: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("# colours\nred\nblue\n", "utf-8")
    done = run("classify", picture, "--labels-file", file, "--template", "{}", "-k", 1, "--json")
    (answer,) = json.loads(done.stdout)
    assert answer["image"] == str(picture)
    assert [each["label"] for each in answer["labels"]] == ["red"]
    assert answer["labels"][0]["probability"] == pytest.approx(1)
    assert answer["labels"][0]["score"] > 0.9


def test_no_library_is_needed_or_created(run: Run, picture: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert run("classify", picture, "--labels", "red,blue").exit_code == 0
    settings = libraries_file().parents[1]
    assert [
        path
        for path in sorted(tmp_path.rglob("*"))
        if path.is_dir() and not (path.is_relative_to(settings) or settings.is_relative_to(path))
    ] == [path for path in before if path.is_dir()]
    assert trust.trusted() == []


def test_indexed_images_can_be_named_by_id(run: Run, photos_folder: Path) -> None:
    run("index", photos_folder)
    (hit,) = json.loads(run("search", "red", "-k", 1, "--json").stdout)["hits"]
    done = run("classify", hit["id"], "--labels", "red,blue", "--template", "{}", "-k", 1)
    assert done.stdout == f"{hit['id']}\t1.0000\tred\n"


def test_a_single_label_has_a_cosine_and_no_probability(run: Run, picture: Path) -> None:
    done = run("classify", picture, "--labels", "red", "--template", "{}")
    assert done.exit_code == 0
    name, said, label = done.stdout.rstrip("\n").split("\t")
    assert (name, label) == (str(picture), "red")
    assert said.startswith("cosine 0.9")
    assert "nothing to be compared with" in done.stderr
    done = run("classify", picture, "--labels", "red", "--template", "{}", "--json")
    (answer,) = json.loads(done.stdout)
    assert "nothing to be compared with" in answer["note"]
    (label,) = answer["labels"]
    assert label["probability"] is None
    assert label["score"] > 0.9


def test_an_image_that_is_not_there_is_found_before_the_model_is_loaded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("pixseek.encoders.load", load)
    monkeypatch.setattr("pixseek.encoders.classifiers.load", load)
    for options in ((), ("--labels", "red,blue")):
        done = run("classify", "nothing.jpg", *options)
        assert done.exit_code == 5
        assert "no such file: nothing.jpg" in done.stderr


def test_a_file_without_labels_is_a_usage_error(run: Run, picture: Path) -> None:
    done = run("classify", picture, "--labels", " , ")
    assert done.exit_code == 2
    assert "--labels-file" in done.stderr


def test_a_missing_image_is_an_error(run: Run, tmp_path: Path) -> None:
    done = run("classify", tmp_path / "none.png", "--labels", "red")
    assert done.exit_code != 0
    assert "none.png" in done.stderr


def test_zero_shot_tags_can_be_searched(run: Run, photos_folder: Path, tmp_path: Path) -> None:
    run("index", photos_folder)
    file = tmp_path / "labels.txt"
    file.write_text("red\npurple\n", "utf-8")
    done = run("tag", "--zero-shot", file, "--min-strength", "likely")
    assert done.exit_code == 0
    first, *lines = done.stdout.splitlines()
    assert first == "Checked 6 images."
    for count, label in map(str.split, lines):
        assert len(run("search", f"tag:{label}", "--paths").stdout.splitlines()) == int(count)
    assert sorted(line.split()[1] for line in lines) == ["purple", "red"]
    again = json.loads(run("tag", "--zero-shot", file, "--min-strength", "likely", "--json").stdout)
    assert again == {"looked_at": 0, "tagged": {"red": 0, "purple": 0}}
    some = run("tag", "--zero-shot", file, "--where", "folder:a", "--again", "--json")
    assert json.loads(some.stdout)["looked_at"] == 3


@pytest.mark.parametrize(
    "arguments",
    [("--zero-shot", "-", "one.png"), ("--zero-shot", "-", "--add", "x"), ("--add", "x")],
)
def test_zero_shot_can_not_be_combined_with_annotations(
    run: Run, arguments: tuple[str, ...]
) -> None:
    assert run("tag", *arguments, input="red").exit_code == 2


def test_where_refuses_words(indexed: Run) -> None:
    done = indexed("tag", "--zero-shot", "-", "--where", "a dog", input="red")
    assert done.exit_code == 5
    assert "Only filters" in done.stderr


# ------------------------------------------------------------------ classifiers


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    return classifier_folder(tmp_path / "vit")


def test_labels_from_a_classifier(run: Run, picture: Path, vit: Path) -> None:
    done = run("classify", picture, "--labels-from", vit, "-k", 2)
    assert done.exit_code == 0
    assert {line.split("\t")[2] for line in done.stdout.splitlines()} <= set(LABELS)
    assert len(done.stdout.splitlines()) == 2


def test_indexing_tags_new_images_with_a_classifier(
    run: Run, photos_folder: Path, vit: Path
) -> None:
    done = run("index", photos_folder, "--labels-from", vit, "--min-score", 0.05)
    assert done.exit_code == 0
    assert "Checked 6 images." in done.stdout
    again = run("tag", "--labels-from", vit, "--min-score", 0.05)
    assert again.stdout == "Checked 0 images.\n"
    tagged = json.loads(run("tag", "--labels-from", vit, "--again", "--json").stdout)
    assert tagged["looked_at"] == 6
    label = max(tagged["tagged"], key=tagged["tagged"].get)
    found = run("search", f'tag:"{label.split(",")[0]}"', "--paths")
    assert len(found.stdout.splitlines()) >= tagged["tagged"][label]


def test_an_unknown_classifier_fails_before_indexing(run: Run, photos_folder: Path) -> None:
    done = run("index", photos_folder, "--labels-from", "resnet")
    assert done.exit_code != 0
    assert "vit-b16-imagenet" in done.stderr
    assert "added" not in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", "x.png", "--labels", "red", "--labels-from", "vit-b16-imagenet"),
        ("classify", "x.png", "--template", "a {}"),
        ("tag", "--labels-from", "vit-b16-imagenet", "--zero-shot", "-"),
        ("tag", "x.png", "--labels-from", "vit-b16-imagenet"),
        ("index", "--labels-from", "vit-b16-imagenet", "--json"),
    ],
)
def test_conflicting_options_are_usage_errors(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments, input="red").exit_code == 2
