"""Zero-shot classification: labels, templates, and each family's rule."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pixseek
from pixseek import encoders
from pixseek.demo.drawing import render
from pixseek.demo.picture_library import write_picture_library
from pixseek.demo.scenes import Scene, Thing
from pixseek.encoders.hub import catalogue
from pixseek.errors import QueryError
from pixseek.search import matching
from pixseek.search.classification import (
    CLIP,
    ENSEMBLE,
    TEMPLATES,
    classify,
    label_vectors,
    probabilities,
    split_labels,
)
from pixseek.types import Contrastive, Likelihood

import tiny_models
from tiny_encoder import TinyEncoder

cosines = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 8)),
    elements=st.floats(-1, 1, width=32),
)


@given(cosines, st.floats(0.1, 500))
def test_clip_compares_labels_with_one_another(scores: np.ndarray, scale: float) -> None:
    likely = probabilities(scores, Likelihood(scale))
    assert likely.shape == scores.shape
    assert likely.sum(1) == pytest.approx(1)
    # Softmax by its definition, without the trick that keeps it from overflowing.
    wide = scores.astype(np.float64)
    exact = np.exp((wide - wide.mean(1, keepdims=True)) * scale)
    if np.isfinite(exact).all():
        assert likely == pytest.approx(exact / exact.sum(1, keepdims=True), abs=1e-9)


@given(cosines, st.floats(0.1, 500), st.floats(-50, 50))
def test_siglip_judges_each_label_by_itself(scores: np.ndarray, scale: float, bias: float) -> None:
    likely = probabilities(scores, Likelihood(scale, bias))
    assert ((likely >= 0) & (likely <= 1)).all()
    alone = probabilities(scores[:, :1], Likelihood(scale, bias))
    assert likely[:, :1] == pytest.approx(alone)


def test_the_sigmoid_is_that_of_the_paper() -> None:
    # With the scale and the bias at which SigLIP's training begins: log 10, -10.
    likely = probabilities(np.array([[1.0, 0.5]], np.float32), Likelihood(10.0, -10.0))
    assert likely == pytest.approx(np.array([[0.5, 1 / (1 + np.exp(5))]]))


def test_labels_come_most_likely_first() -> None:
    texts = np.eye(3, dtype=np.float32)
    images = np.array([[0.1, 0.3, 0.2], [0.9, 0.1, 0.0]], np.float32)
    found = classify(images, ["a", "b", "c"], texts, CLIP, k=2)
    assert [[guess.label for guess in each] for each in found] == [["b", "c"], ["a", "b"]]
    assert found[0][0].score == pytest.approx(0.3)
    assert found[0][0].probability == pytest.approx(1 / (1 + np.exp(-10) + np.exp(-20)))


def test_a_label_is_the_mean_of_its_templates() -> None:
    encoder = TinyEncoder()
    one = label_vectors(encoder, ["red"], ["{}"])
    assert one == pytest.approx(encoder.encode_texts(["red"]), abs=1e-6)
    both = label_vectors(encoder, ["red", "blue"], ["{}", "a {} thing"])
    rows = encoder.encode_texts(["red", "a red thing", "blue", "a blue thing"])
    mean = rows.reshape(2, 2, -1).mean(1)
    assert both == pytest.approx(mean / np.linalg.norm(mean, axis=1, keepdims=True), abs=1e-6)


@pytest.mark.parametrize("template", ["a photo", "{} and {}", ""])
def test_a_template_needs_exactly_one_place_for_a_label(template: str) -> None:
    with pytest.raises(QueryError, match="template"):
        label_vectors(TinyEncoder(), ["red"], [template])


def test_no_labels_raise_query_error() -> None:
    with pytest.raises(QueryError, match="no label"):
        label_vectors(TinyEncoder(), [], TEMPLATES)


def test_a_label_may_hold_braces() -> None:
    found = label_vectors(TinyEncoder(), ["{red}"], ["{}"])
    assert found == pytest.approx(TinyEncoder().encode_texts(["{red}"]), abs=1e-6)


def test_labels_are_split_at_commas_and_lines() -> None:
    text = "# places\na lake, a river\n\n 2 cats ,a lake\n  # more\n"
    assert split_labels(text) == ("a lake", "a river", "2 cats")


def test_all_templates_have_a_place() -> None:
    assert all(template.count("{}") == 1 for template in (*TEMPLATES, *ENSEMBLE))


def test_the_demo_model_classifies_drawings(tmp_path: Path) -> None:
    pictures = []
    for number, (kind, colour) in enumerate((("car", "red"), ("boat", "blue"), ("cat", "black"))):
        picture = render(Scene((Thing(kind, colour),), setting="lake"), 256)
        picture.save(tmp_path / f"{number}.png")
        pictures.append(tmp_path / f"{number}.png")
    labels = ["a cat", "a house", "a boat", "a car"]
    with pixseek.open(tmp_path / "library", model="demo") as library:
        found = library.classify(*pictures, labels=labels, templates=["{}"], k=1)
        assert [each[0].label for each in found] == ["a car", "a boat", "a cat"]
        assert library.classify(labels=labels) == []
        library.index(pictures[0])
        (record,) = (hit.record for hit in library.search("a car"))
        (by_id,) = library.classify(record.id, labels=labels, templates=["{}"], k=4)
        assert by_id[0].label == "a car"
        assert sum(guess.probability for guess in by_id) == pytest.approx(1)
        with pytest.raises(QueryError, match="no such file"):
            library.classify(tmp_path / "none.png", labels=labels)


def test_a_model_declares_its_scale(tmp_path: Path) -> None:
    encoder = encoders.load("demo", models_dir=tmp_path)
    assert isinstance(encoder, Contrastive)
    found = encoder.likelihood()
    assert found is not None
    assert found.scale == pytest.approx(69.667, abs=1e-3)
    assert found.bias is None


def test_the_catalogue_declares_the_scale_of_onnx_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for alias in ("siglip-b16-224", "siglip2-b16-224"):
        model = catalogue.find(alias)
        assert model and model.source.runtime == "onnx"
        assert model.likelihood and model.likelihood.bias and model.likelihood.bias < -10
    tiny_models.xenova(tmp_path / "tiny", kind="siglip")
    rule = Likelihood(117.0, -12.9)
    tiny = catalogue.Model("tiny", "", (), "MIT", 8, 16, 10, likelihood=rule, layout="xenova",
                           folder=tmp_path / "tiny")  # fmt: skip
    monkeypatch.setattr(catalogue, "CATALOGUE", (tiny,))
    named = encoders.load("tiny", models_dir=tmp_path)
    bare = encoders.load(tmp_path / "tiny", models_dir=tmp_path)
    assert isinstance(named, Contrastive) and named.likelihood() == rule
    assert isinstance(bare, Contrastive) and bare.likelihood() is None


# ------------------------------------------------------------------ over a whole library


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_picture_library(folder / "pictures", 60)
    return folder


@pytest.fixture
def drawings(
    tmp_path: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pixseek.Library]:
    """A library of its own; what the model makes of unrelated texts is computed once for all."""
    monkeypatch.setenv("PIXSEEK_MODELS_DIR", str(drawn / "models"))
    shutil.copytree(drawn / "pictures", tmp_path / "pictures")
    with pixseek.open(tmp_path / "library", model="demo") as library:
        library.index(tmp_path / "pictures")
        yield library


def tagged(library: pixseek.Library, tag: str) -> set[str]:
    return {hit.id for hit in library.search(f'tag:"{tag}"', k=100)}


def test_zero_shot_tags_are_the_strong_hits_of_a_search(drawings: pixseek.Library) -> None:
    counts = drawings.tag_zero_shot(["a lake", "a boat", "a bicycle"])
    assert counts.pop("") == 60
    assert counts["a bicycle"] == 0, "the demo model does not know the word"
    for label in ("a lake", "a boat"):
        sure = drawings.search(label, k=100, min_strength="strong", text_weight=0)
        assert counts[label] == len(sure) > 0
        assert tagged(drawings, label) == {hit.id for hit in sure}
    for hit in drawings.search('tag:"a lake"', k=100):
        (said,) = (hit.record.fields["user.label_confidences"],)
        assert "a lake 0.9" in str(said) or "a lake 1.00" in str(said)
    lakes = [hit.uri for hit in drawings.search('tag:"a lake"', k=100)]
    assert all("/lake/" in uri for uri in lakes)


def test_zero_shot_looks_only_at_new_images(drawings: pixseek.Library, tmp_path: Path) -> None:
    assert drawings.tag_zero_shot(["a lake"])[""] == 60
    one = sorted(tagged(drawings, "a lake"))[0]
    drawings.tag(one, remove="a lake")
    assert drawings.tag_zero_shot(["a lake"])[""] == 0
    assert one not in tagged(drawings, "a lake"), "what was taken away stays away"
    picture = render(Scene((Thing("boat", "red"),), setting="lake"), 256)
    picture.save(tmp_path / "pictures" / "new.png")
    drawings.index()
    again = drawings.tag_zero_shot(["a lake"])
    assert again[""] == 1
    # Other labels, or another strength, are another question.
    assert drawings.tag_zero_shot(["a lake"], min_strength="likely")[""] == 61
    assert drawings.tag_zero_shot(["a lake", "a city"])[""] == 61
    assert drawings.tag_zero_shot(["a city", "a lake"])[""] == 0, "in whatever order"
    assert drawings.tag_zero_shot(["a lake", "a city"], again=True)[""] == 61
    assert one in tagged(drawings, "a lake")


def test_zero_shot_looks_again_at_changed_content(
    drawings: pixseek.Library, tmp_path: Path
) -> None:
    drawings.tag_zero_shot(["a lake"])
    picture = next((tmp_path / "pictures" / "lake").iterdir())
    render(Scene((Thing("car", "red"),), setting="city"), 300).save(picture)
    drawings.index()
    assert drawings.tag_zero_shot(["a lake"])[""] == 1


def test_zero_shot_looks_only_at_images_that_pass_the_filter(drawings: pixseek.Library) -> None:
    where = pixseek.Compare("media", "eq", "image/png")
    pngs = len(drawings.search("format:png", k=100))
    assert 0 < pngs < 60
    assert drawings.tag_zero_shot(["a lake"], where=where)[""] == pngs


def test_zero_shot_finds_more_matches_than_one_call_returns(
    drawings: pixseek.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = drawings.tag_zero_shot(["a drawing at night"], min_strength="likely", again=True)
    monkeypatch.setattr(matching, "MANY", 4)
    parts = drawings.tag_zero_shot(["a drawing at night"], min_strength="likely", again=True)
    assert whole == parts
    assert whole["a drawing at night"] > 4


def test_zero_shot_without_labels_raises_query_error(
    drawings: pixseek.Library, tmp_path: Path
) -> None:
    with pytest.raises(QueryError, match="no label"):
        drawings.tag_zero_shot([" ", ""])
    with pytest.raises(QueryError, match="nknown strength"):
        drawings.tag_zero_shot(["a lake"], min_strength="sure")
    with pixseek.open(tmp_path / "empty", model="demo") as library:
        assert library.tag_zero_shot(["a lake"]) == {"": 0, "a lake": 0}
