"""Classifiers with labels of their own, in ONNX: files, labels, preprocessing, probabilities."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from classifier_files import LABELS, classifier_folder
from PIL import Image

import pixseek
from pixseek.demo.picture_library import write_picture_library
from pixseek.encoders import classifiers
from pixseek.encoders.hub import repository
from pixseek.errors import ModelError, QueryError
from pixseek.indexing import tagging
from pixseek.types import Picture

from tiny_models import DIM, SIDE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return classifier_folder(tmp_path / "vit")


@pytest.fixture
def batch() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (3, 3, SIDE, SIDE)).astype(np.float32)


def logits(batch: np.ndarray) -> np.ndarray:
    weights = np.random.default_rng(1).standard_normal((12, DIM)).astype(np.float32)
    means = batch.reshape(len(batch), 3, 2, 8, 2, 8).mean((3, 5)).reshape(len(batch), -1)
    return (means @ weights).astype(np.float64)


def load(folder: Path) -> classifiers.Classifier:
    return classifiers.load(folder, models_dir=folder.parent / "models")


def test_probabilities_of_labels_add_up_to_one(folder: Path, batch: np.ndarray) -> None:
    classifier = load(folder)
    assert classifier.labels == tuple(LABELS)
    assert (classifier.name, classifier.input_side) == ("vit", SIDE)
    exact = np.exp(logits(batch))
    found = classifier.probabilities(batch)
    assert found == pytest.approx(exact / exact.sum(1, keepdims=True), abs=1e-5)


def test_probabilities_of_a_model_for_several_labels_are_independent(
    tmp_path: Path, batch: np.ndarray
) -> None:
    folder = classifier_folder(tmp_path / "m", problem_type="multi_label_classification")
    found = load(folder).probabilities(batch)
    assert found == pytest.approx(1 / (1 + np.exp(-logits(batch))), abs=1e-5)


def test_pixels_equal_the_references(folder: Path) -> None:
    rng = np.random.default_rng(2)
    image = Image.fromarray(rng.integers(0, 255, (41, 67, 3), np.uint8))
    found = load(folder).prepare(Picture(image, 67, 41, ""))
    squashed = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    exact = (np.asarray(squashed, np.float32) / 255 - 0.5) / 0.5
    assert found == pytest.approx(exact.transpose(2, 0, 1), abs=1e-6)


def test_the_fingerprint_depends_on_weights_and_preprocessing(tmp_path: Path) -> None:
    one, same = (load(classifier_folder(tmp_path / name)) for name in "ab")
    assert one.fingerprint == same.fingerprint
    other = classifier_folder(tmp_path / "c")
    (other / "preprocessor_config.json").write_text('{"size": 16, "image_mean": [0, 0, 0]}')
    assert load(other).fingerprint != one.fingerprint


def test_a_batch_of_the_wrong_shape_raises_model_error(folder: Path) -> None:
    with pytest.raises(ModelError, match="prepared for this model"):
        load(folder).probabilities(np.zeros((1, 3, 4, 4), np.float32))


def test_too_few_labels_raise_model_error(folder: Path, batch: np.ndarray) -> None:
    (folder / "config.json").write_text('{"id2label": {"0": "a", "1": "b"}}')
    with pytest.raises(ModelError, match="number of labels"):
        load(folder).probabilities(batch)


@pytest.mark.parametrize("config", ["{}", '{"id2label": {"1": "a"}}', '{"id2label": []}'])
def test_a_folder_without_labels_raises_model_error(folder: Path, config: str) -> None:
    (folder / "config.json").write_text(config)
    with pytest.raises(ModelError, match="No classifier in a known layout"):
        load(folder)


def test_a_folder_without_weights_raises_model_error(folder: Path) -> None:
    (folder / "onnx" / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load(folder)


def test_unknown_names_raise_an_error_that_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="vit-b16-imagenet"):
        classifiers.load("resnet", models_dir=tmp_path)


def test_the_error_of_offline_mode_lists_the_files_to_download(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Xenova/vit-base-patch16-224") as raised:
        classifiers.load(classifiers.DEFAULT, models_dir=tmp_path, offline=True)
    assert "offline mode is on" in str(raised.value)
    assert "--labels-from" in str(raised.value) and "--labels 'a lake" in str(raised.value)


def test_only_the_files_of_a_layout_are_downloaded() -> None:
    held = [
        "README.md",
        "config.json",
        "preprocessor_config.json",
        "onnx/model.onnx",
        "onnx/model_quantized.onnx",
        "model.safetensors",
        "pytorch_model.bin",
        "tf_model.h5",
    ]
    assert repository.wanted("onnx-classifier", held) == [
        "config.json", "onnx/model.onnx", "preprocessor_config.json",
    ]  # fmt: skip
    assert repository.wanted("torch-classifier", held) == [
        "config.json", "model.safetensors", "preprocessor_config.json",
    ]  # fmt: skip


def test_a_library_classifies_images(folder: Path, tmp_path: Path) -> None:
    image = tmp_path / "one.png"
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (40, 40, 3), np.uint8)).save(image)
    with pixseek.open(tmp_path / "library", model="demo") as library:
        (guesses,) = library.classify(image, labels_from=folder, k=3)
        library.index(image)
        (record,) = (hit.record for hit in library.search("a boat"))
        (by_id,) = library.classify(record.id, labels_from=folder, k=3)
    assert len(guesses) == 3
    assert guesses[0].probability >= guesses[1].probability
    assert {guess.label for guess in guesses} <= set(LABELS)
    assert by_id == guesses


# ------------------------------------------------------------------ tags for a library


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_picture_library(folder / "pictures", 20)
    return folder


@pytest.fixture
def library(
    tmp_path: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pixseek.Library]:
    """A library of its own; what the model makes of unrelated texts is computed once for all."""
    monkeypatch.setenv("PIXSEEK_MODELS_DIR", str(drawn / "models"))
    shutil.copytree(drawn / "pictures", tmp_path / "pictures")
    with pixseek.open(tmp_path / "library", model="demo") as library:
        library.index(tmp_path / "pictures")
        yield library


def test_labels_become_tags_with_their_scores(library: pixseek.Library, folder: Path) -> None:
    told: list[int] = []
    counts = library.tag_from(
        folder, min_score=0.2, on_progress=lambda progress: told.append(progress.done)
    )
    assert counts.pop("") == 20
    assert told == list(range(1, 21))
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    assert counts
    for hit in library.search("width:>0", k=20):
        (guesses,) = library.classify(hit.id, labels_from=folder, k=8)
        sure = [guess for guess in guesses if guess.probability >= 0.25]
        tags = hit.record.tags
        # The preview gives a slightly different probability.
        assert {tag for guess in sure for tag in guess.label.split(", ")} <= set(tags)
        scores = str(hit.record.fields["user.label_scores"])
        assert all(guess.label.split(",")[0] in scores for guess in sure)
        if sure:
            word = sure[0].label.split(",")[0]
            assert hit.id in {each.id for each in library.search(f'tag:"{word}"', k=20)}
            # They are no words: what a model sees is not counted as written.
            (found,) = (each for each in library.search(word, k=20) if each.id == hit.id)
            assert not [reason for reason in found.why if reason.kind == "words"]


def test_a_lake_is_found_by_its_shore(library: pixseek.Library, folder: Path) -> None:
    library.tag_from(folder, min_score=0.01)
    labelled = {h.id: h.record for h in library.search("tag:lakeside", k=20)}
    assert labelled
    for id_, record in labelled.items():
        assert {"lakeside", "lakeshore", "lake"} <= set(record.tags)
        assert id_ in {hit.id for hit in library.search("tag:lake", k=20)}
        (found,) = (hit for hit in library.search("lake", k=20) if hit.id == id_)
        assert "tags:" not in " ".join(reason.what for reason in found.why)
        # Given by the user too, it is written.
        library.tag(id_, add="lake")
        (found,) = (hit for hit in library.search("lake", k=20) if hit.id == id_)
        (written,) = (reason for reason in found.why if reason.kind == "words")
        assert written.what == "tags: lake"


@pytest.mark.parametrize(
    ("label", "places"),
    [
        ("lakeside, lakeshore", ["lake", "lake"]),
        ("seashore, coast, seacoast, sea-coast", ["sea", "sea", "sea"]),
        ("riverbank", ["river"]),
        ("piggy bank, penny bank", []),
        ("outside, offshore, inside, beside", []),
        ("catamaran", []),
    ],
)
def test_labels_of_shores_name_their_water(label: str, places: list[str]) -> None:
    assert list(tagging.waters_in(label)) == places


def test_labels_are_written_in_batches_and_kept_after_an_interruption(
    library: pixseek.Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    describe = type(library.opened.engine).describe

    def noted(self: Any, records: Any, merge: Any) -> Any:
        writes.append(len(records))
        return describe(self, records, merge)

    monkeypatch.setattr(type(library.opened.engine), "describe", noted)

    def stopped(progress: pixseek.Progress) -> None:
        if progress.done == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.tag_from(folder, on_progress=stopped)
    assert writes == [11]
    assert library.tag_from(folder)[""] == 9, "the others were classified before"
    assert writes == [11, 9]


def test_classified_images_are_skipped(
    library: pixseek.Library, folder: Path, tmp_path: Path
) -> None:
    library.tag_from(folder)
    assert library.tag_from(folder)[""] == 0
    assert library.tag_from(folder, again=True)[""] == 20
    assert library.tag_from(folder, min_score=0.5)[""] == 20, "another question"
    Image.new("RGB", (40, 40), "red").save(tmp_path / "pictures" / "new.png")
    library.index()
    where = pixseek.Compare("media", "eq", "image/png")
    assert library.tag_from(folder, min_score=0.5, where=where)[""] == 1


def test_a_missing_image_is_classified_the_next_time(tmp_path: Path, folder: Path) -> None:
    image = tmp_path / "p" / "one.png"
    image.parent.mkdir()
    Image.new("RGB", (40, 40), "red").save(image)
    with pixseek.open(tmp_path / "library", model="demo") as library:
        library.index(image.parent, previews=False)
        away = image.rename(tmp_path / "away.png")
        assert library.tag_from(folder) == {"": 1}
        away.rename(image)
        assert library.tag_from(folder)[""] == 1
        assert library.tag_from(folder)[""] == 0


def test_invalid_least_scores_raise_query_error(library: pixseek.Library, folder: Path) -> None:
    with pytest.raises(QueryError):
        library.tag_from(folder, min_score=0)
