"""Text towers inside Vespa: the files and the component give the encoder's own vectors."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import onnx
import pytest

from pixseek import encoders
from pixseek.config import load_config
from pixseek.encoders import separate
from pixseek.encoders.paired import PairedEncoder
from pixseek.engines.vespa.text_tower import embedder
from pixseek.errors import EngineError, ModelError
from pixseek.library import vespa

import sample_texts
import tiny_models as tiny
from tiny_encoder import TinyEncoder
from vespa_check import Checker, run_java
from vespa_embedder import agreement


def clip(folder: Path) -> None:
    """A CLIP of fixed length, batch 1 and 32-bit ids, with OpenAI's vocabulary."""
    tiny.rclip(folder)
    tiny.clip_text_graph(folder / "Some-Model/textual.onnx", batch=1, dtype=onnx.TensorProto.INT32)


def siglip(folder: Path) -> None:
    """Lower case, all of 64 positions, and a tower that reads the padding."""
    tiny.xenova(folder, kind="siglip")
    tiny.write(
        folder / "config.json",
        {"model_type": "siglip", "text_config": {"max_position_embeddings": 64}},
    )
    tiny.clip_text_graph(
        folder / "onnx/text_model.onnx", given="input_ids", length=64, looks_ahead=True
    )
    tiny.word_tokenizer(folder / "tokenizer.json", padding=False)


def canonical(folder: Path) -> None:
    """SigLIP by open_clip: no punctuation, and the last position is what counts."""
    tiny.immich(folder)
    text = {
        "context_length": 12,
        "pool_type": "last",
        "tokenizer_kwargs": {"clean": "canonicalize"},
    }
    tiny.write(folder / "config.json", {"embed_dim": tiny.DIM, "text_cfg": text})


def left(folder: Path) -> None:
    """A tower with positions, a mask and padding on the left."""
    tiny.immich(folder)
    tiny.write(
        folder / "config.json",
        {"embed_dim": tiny.DIM, "context_length": 12, "full_context": True, "padding_side": "left"},
    )
    tiny.clip_text_graph(folder / "textual/model.onnx", length=12, looks_ahead=True)


FAMILIES: dict[str, Callable[[Path], None]] = {
    **tiny.LAYOUTS,
    "clip": clip,
    "siglip": siglip,
    "canonical": canonical,
    "left": left,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_vespa_gives_the_vectors_of_the_encoder(family: str, tmp_path: Path) -> None:
    FAMILIES[family](tmp_path / "model")
    encoder = encoders.load(tmp_path / "model", models_dir=tmp_path / "models")
    assert agreement(encoder, tmp_path / "app", sample_texts.texts()) >= 0.9999


@pytest.mark.parametrize("looks_ahead", [False, True])
def test_a_tower_of_fixed_length_takes_short_texts_if_it_does_not_read_its_padding(
    looks_ahead: bool, tmp_path: Path
) -> None:
    tiny.rclip(tmp_path / "model")
    textual = tmp_path / "model/Some-Model/textual.onnx"
    tiny.clip_text_graph(textual, batch=1, looks_ahead=looks_ahead)
    encoder = encoders.load(tmp_path / "model", models_dir=tmp_path / "models")
    assert agreement(encoder, tmp_path / "app", sample_texts.texts(60)) >= 0.9999
    graph = onnx.load(tmp_path / "app/embedders/text.onnx").graph
    padded = any(node.op_type == "Expand" for node in graph.node)
    assert padded == looks_ahead


def test_vespa_gives_the_vectors_of_the_demo_model(tmp_path: Path) -> None:
    encoder = encoders.load("demo", models_dir=tmp_path / "models")
    assert agreement(encoder, tmp_path, sample_texts.texts()) >= 0.9999


@pytest.mark.slow
def test_vespa_gives_the_vectors_of_a_real_model(photo_mini: Path, tmp_path: Path) -> None:
    encoder = encoders.load(photo_mini, models_dir=tmp_path / "models")
    assert agreement(encoder, tmp_path, sample_texts.texts()) >= 0.9999


def test_texts_of_another_model_are_embedded_by_that_model(tmp_path: Path) -> None:
    for name in ("images", "texts"):
        tiny.xenova(tmp_path / name)
    images, other = (
        encoders.load(tmp_path / name, models_dir=tmp_path / "models")
        for name in ("images", "texts")
    )
    assert (
        agreement(PairedEncoder(images, other, name="pair"), tmp_path, sample_texts.texts(9))
        > 0.9999
    )


def test_several_towers_stand_side_by_side(tmp_path: Path) -> None:
    written = []
    for name in ("xenova", "qdrant"):
        tiny.LAYOUTS[name](tmp_path / name)
        encoder = encoders.load(tmp_path / name, models_dir=tmp_path / "models")
        written.append(embedder(encoder, tmp_path / "app", name))
    assert [each.query for each in written] == ["embed(xenova, @text)", "embed(qdrant, @text)"]
    files = [path for each in written for path in each.files]
    assert len(set(files)) == 4 and all(path.is_file() for path in files)
    with pytest.raises(EngineError, match="Not a name for a component"):
        embedder(encoder, tmp_path / "app", "a b")


def test_weights_that_do_not_fit_into_one_file_are_stored_in_16_bits(tmp_path: Path) -> None:
    tiny.rclip(tmp_path / "model")
    tiny.clip_text_graph(tmp_path / "model/Some-Model/textual.onnx")
    encoder = encoders.load(tmp_path / "model", models_dir=tmp_path / "models")
    sizes = []
    for limit in (separate.INLINE_BYTES, 40_000):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(separate, "INLINE_BYTES", limit)
            assert agreement(encoder, tmp_path / str(limit), sample_texts.texts(60)) >= 0.9999
        sizes.append((tmp_path / str(limit) / "embedders/text.onnx").stat().st_size)
    assert sizes[1] < 0.85 * sizes[0]


def refused(family: Callable[[Path], None], folder: Path, **graph: Any) -> str:
    """Return the reason for which a model is refused, whose text tower is another."""
    family(folder / "model")
    (textual,) = (folder / "model").glob("textual/model.onnx")
    tiny.text_graph(textual, given="text", gives="embedding", mask=False, **graph)
    encoder = encoders.load(folder / "model", models_dir=folder / "models")
    with pytest.raises(ModelError, match="can't run outside of pixseek") as caught:
        embedder(encoder, folder / "app")
    assert not list((folder / "app/embedders").iterdir()), "nothing is left behind"
    return caught.value.advice


def test_a_tower_that_takes_several_texts_at_once_is_refused(tmp_path: Path) -> None:
    assert "takes 4 texts at once" in refused(tiny.immich, tmp_path, batch=4, length=12)


def test_a_model_that_is_not_the_packages_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't run in Vespa: tiny"):
        embedder(TinyEncoder(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_pair_with_texts_of_another_package_is_refused(tmp_path: Path) -> None:
    pair = PairedEncoder(TinyEncoder(), TinyEncoder("texts"), name="pair")
    with pytest.raises(ModelError, match="can't run outside of pixseek: texts"):
        embedder(pair, tmp_path)


def test_files_that_give_other_vectors_are_refused(tmp_path: Path) -> None:
    tiny.immich(tmp_path / "model")
    encoder = encoders.load(tmp_path / "model", models_dir=tmp_path / "models")
    own = encoder.encode_texts
    encoder.encode_texts = lambda given: own(given)[:, ::-1]  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="would give other vectors: a cosine of"):
        embedder(encoder, tmp_path / "app")


def test_a_package_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    tiny.immich(tmp_path / "model")
    encoder = encoders.load(tmp_path / "model", models_dir=tmp_path / "models")
    (tmp_path / "app").write_text("a file")
    with pytest.raises(ModelError, match="can't be stored"):
        embedder(encoder, tmp_path / "app")


@pytest.mark.slow
def test_vespa_accepts_a_package_with_two_text_towers(tmp_path: Path, vespa_check: Checker) -> None:
    tiny.rclip(tmp_path / "other")
    tiny.clip_text_graph(tmp_path / "other/Some-Model/textual.onnx")
    package = tmp_path / "package"
    chosen = ["demo", str(tmp_path / "other")]
    config = load_config({}, models_dir=tmp_path / "models")
    written = vespa.write(package, config, name="images", models=chosen, embed=True)
    towers = [path for path in written.files if path.parts[0] == "embedders"]
    assert sorted(map(str, towers)) == [
        "embedders/text-tokenizer.json", "embedders/text.onnx",
        "embedders/text_other-tokenizer.json", "embedders/text_other.onnx",
    ]  # fmt: skip
    readme = (package / "README.md").read_text()
    assert "embed(text, @text)" in readme and "embed(text_other, @text)" in readme
    said = vespa_check(package)
    assert said.package.ok, said.package.error
    # Vespa reads the graphs as rank models only if they are in this folder.
    models = package / "models"
    models.mkdir()
    for path in towers:
        shutil.copy(package / path, models)
    said = vespa_check(package)
    assert said.package.ok, said.package.error
    (models / "text.onnx").write_bytes(b"no model")
    assert "text" in vespa_check(package).package.error


@pytest.mark.slow
def test_vespa_s_own_classes_read_the_query_and_take_the_tower(
    tmp_path: Path, shared: Path
) -> None:
    """Its `TensorConverter`, the analysis of a model in its embedder, and its pooling."""
    demo = encoders.load("demo", models_dir=tmp_path / "models")
    written = embedder(demo, tmp_path / "app")
    graph = onnx.load(tmp_path / "app/embedders/text.onnx").graph
    [output] = graph.output
    shape = [each.dim_value for each in output.type.tensor_type.shape.dim]
    assert shape == [0, 1, demo.dim]
    element = ET.fromstring(written.component)
    said = {child.tag: child.text or "" for child in element}
    text = 'a "red" dog, it\'s\né 犬 @text embed(text)'

    def asked(value: str, pooling: str = said["pooling-strategy"]) -> list[str]:
        return run_java(
            shared, tmp_path / "classes", "ai.vespa.embedding.VespaEmbeds",
            value, written.id, text, "tensor<float>(x[3])",
            ",".join(port.name for port in graph.input),
            output.name, "tensor<float>(d0[1],d1[1],d2[3])", pooling,
        )  # fmt: skip

    names, received, vector = asked(written.query)
    assert names == f"{said['transformer-input-ids']},{said['transformer-attention-mask']},"
    assert unquote_plus(received) == text
    assert output.name == said["transformer-output"] and said["normalize"] == "true"
    numbers = [float(each) for each in re.findall(r"0\.\d+", vector)]
    assert numbers == pytest.approx([each / 14**0.5 for each in (1, 2, 3)], abs=1e-6), vector
    assert "Can't find embedder 'other'" in asked("embed(other, @text)")[-1]
    assert "Could not resolve" in asked("embed(text, @lost)")[-1]
    assert "Unexpected pooling-strategy 'none'" in asked(written.query, "none")[-1]
