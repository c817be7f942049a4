"""Torch models exported to ONNX give the same vectors as before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixseek.encoders import parity
from pixseek.encoders.export import RECORD, export
from pixseek.encoders.onnx import OnnxEncoder
from pixseek.encoders.torch import TorchEncoder
from pixseek.encoders.verification import verify
from pixseek.errors import ModelError
from pixseek.types import Encoder, Picture

import reference as ref
from reference import ALL_TEXTS, SIDE, torch, transformers

pytestmark = pytest.mark.torch
pytest.importorskip("onnxscript")

TOWER = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}


def clip(folder: Path) -> None:
    tokenizer = ref.clip_tokenizer()
    # The crop differs from the resizing, with an offset of half a pixel.
    images = ref.image_processor("CLIPImageProcessor")(
        size={"shortest_edge": SIDE + 7}, crop_size={"height": SIDE, "width": SIDE}
    )
    config = transformers.CLIPConfig(
        text_config=TOWER | {"vocab_size": len(tokenizer)},
        vision_config=TOWER | {"image_size": SIDE, "patch_size": 16},
        projection_dim=32,
    )
    for part in (tokenizer, images, ref.wide(transformers.CLIPModel(config))):
        part.save_pretrained(folder)


def siglip(folder: Path) -> None:
    """SigLIP 2 of fixed size: lower case and all 64 positions."""
    tokenizer = ref.gemma(padding_side="right", model_input_names=["input_ids"])
    images = ref.image_processor("SiglipImageProcessor")(
        size={"height": SIDE, "width": SIDE}, resample=2
    )
    config = transformers.SiglipConfig(
        text_config=TOWER | {"vocab_size": len(tokenizer), "projection_size": 64},
        vision_config=TOWER | {"image_size": SIDE, "patch_size": 16},
    )
    for part in (tokenizer, images, ref.wide(transformers.SiglipModel(config))):
        part.save_pretrained(folder)


def _open_clip(folder: Path, vision: dict[str, Any]) -> None:
    pytest.importorskip("torchvision")
    open_clip = pytest.importorskip("open_clip")
    from safetensors.torch import save_file

    text = {"vocab_size": 49408, "width": 64, "heads": 4, "layers": 2, "context_length": 77}
    config = {"embed_dim": 64, "vision_cfg": vision, "text_cfg": text}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    fresh = ref.wide(open_clip.create_model(f"local-dir:{folder}", load_weights=False))
    state = {key: value.clone().contiguous() for key, value in fresh.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")


def open_clip_vit(folder: Path) -> None:
    _open_clip(folder, {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16})


def open_clip_resnet(folder: Path) -> None:
    _open_clip(folder, {"image_size": 64, "layers": [3, 4, 6, 3], "width": 16})


def naflex(folder: Path) -> None:
    tokenizer = ref.gemma(padding_side="right", model_input_names=["input_ids"])
    images = ref.image_processor("Siglip2ImageProcessor")(max_num_patches=40)
    transformers.Siglip2Processor(images, tokenizer).save_pretrained(folder)
    config = transformers.Siglip2Config(
        text_config=TOWER | {"vocab_size": len(tokenizer), "projection_size": 64},
        vision_config=TOWER | {"num_patches": 36, "patch_size": 16},
    )
    transformers.Siglip2Model(config).save_pretrained(folder)


def made(build: Callable[[Path], None], folder: Path) -> TorchEncoder:
    folder.mkdir(parents=True, exist_ok=True)
    build(folder)
    encoder = ref.loaded(folder)
    assert isinstance(encoder, TorchEncoder)
    return encoder


def pictures(count: int = 32) -> list[Picture]:
    random = np.random.default_rng(5)
    drawn = [each.crop((0, 0, *random.integers(30, 90, 2))) for each in ref.images() * 4]
    return [Picture(each, *each.size, "image/png") for each in drawn[:count]]


@pytest.fixture(scope="module", params=[clip, siglip, open_clip_vit], ids=lambda f: f.__name__)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TorchEncoder, Path, parity.Parity]:
    folder = tmp_path_factory.mktemp(request.param.__name__)
    original = made(request.param, folder / "original")
    return original, folder / "exported", export(original, folder / "exported", pictures())


def cosines(ours: np.ndarray, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    assert (theirs @ theirs.T).min() < 0.998, "all vectors are alike: the test proves nothing"
    return float((ours * theirs).sum(1).min())


def test_an_export_gives_the_vectors_of_the_original(exported: Any) -> None:
    original, folder, found = exported
    encoder = ref.loaded(folder)
    assert isinstance(encoder, OnnxEncoder) and encoder.dim == original.dim
    batch = ref.prepared(encoder, ref.images())
    np.testing.assert_array_equal(batch, ref.prepared(original, ref.images()))
    wanted = original.encode_images(batch)
    assert cosines(encoder.encode_images(batch), wanted) >= 0.9999
    assert cosines(np.concatenate([encoder.encode_images(b[None]) for b in batch]), wanted) > 0.9999
    assert found.images == 32 and min(found.image_least, found.text_least) >= 0.9999
    assert found.ranks >= 0.95


def test_texts_are_not_padded_if_the_tower_allows_it(exported: Any) -> None:
    original, folder, _ = exported
    encoder = ref.loaded(folder)
    ours, theirs = encoder._tokenizer(), original._tokenizer()
    assert ours.ids(ALL_TEXTS) == theirs.ids(ALL_TEXTS) and ours.pad_id == theirs.pad_id
    full = original.files.text.full
    assert encoder._length(ours) == (theirs.context if full else None)
    whole = original.encode_texts(ALL_TEXTS)
    assert cosines(encoder.encode_texts(ALL_TEXTS), whole) >= 0.9999
    alone = np.concatenate([encoder.encode_texts([text]) for text in ALL_TEXTS])
    assert cosines(alone, whole) >= 0.9999, "each at its own length"


def test_an_export_names_its_origin_and_can_be_verified(exported: Any) -> None:
    original, folder, _ = exported
    encoder = ref.loaded(folder)
    assert encoder.likelihood() == original.likelihood()
    assert encoder.fingerprint != original.fingerprint
    record = json.loads((folder / RECORD).read_text())
    assert record["from"]["fingerprint"] == original.fingerprint
    weights = original.files.weights[0]
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert record["from"]["weights"] == {weights.name: digest}
    checks = list(verify(folder, pictures(), models_dir=folder.parent / "models",
                         against=folder.parent / "original"))  # fmt: skip
    assert [each.good for each in checks] == [True] * 5, checks


@pytest.mark.parametrize("stored", ["fp16", "int8"])
def test_16_bit_and_8_bit_weights_are_smaller_and_computed_in_32_bits(
    stored: parity.Stored, tmp_path: Path
) -> None:
    original = made(clip, tmp_path / "original")
    found = export(original, tmp_path / "small", pictures(), precision=stored, inline_bytes=0)
    print(*found.lines())
    assert found.text_least >= 0.999 and found.image_least >= 0.999
    encoder = ref.loaded(tmp_path / "small")
    files = encoder._files
    assert files.visual.external and files.textual.external, "weights are next to the graph"
    held = sum(path.stat().st_size for path in files.textual.external)
    whole = sum(w.nbytes for w in original.opened().module.text_model.parameters())
    assert held < whole * 0.55
    assert not files.visual.quantised, "it computes in 32 bits"


@pytest.mark.parametrize("place", ["not there", "empty"])
def test_an_export_that_gives_different_vectors_is_not_kept(place: str, tmp_path: Path) -> None:
    original = made(clip, tmp_path / "original")
    towers = original.opened()
    right = towers.images

    def spoiled(batch: Any) -> Any:
        """A tower that gives different results when it is traced."""
        rows = right(batch)
        return rows.flip(1) if torch.compiler.is_exporting() else rows

    towers.images = spoiled  # type: ignore[method-assign]
    folder = tmp_path / "out" / "exported"
    if place == "empty":
        folder.mkdir(parents=True)
    with pytest.raises(ModelError, match=r"(?s)not kept.*cosine of an image fell"):
        export(original, folder, pictures())
    assert [each.name for each in folder.parent.rglob("*")] == ["exported"] * (place == "empty")


def test_int8_is_refused_if_it_ruins_the_vectors(tmp_path: Path) -> None:
    """A ResNet with random weights has a median centred cosine of .70."""
    original = made(open_clip_resnet, tmp_path / "original")
    with pytest.raises(ModelError, match=r"(?s)not kept.*--precision fp32"):
        export(original, tmp_path / "exported", pictures(), precision="int8")
    assert not (tmp_path / "exported").exists()


def test_exports_that_are_not_possible_leave_no_folder(tmp_path: Path) -> None:
    def refused(encoder: Encoder, reason: str, **options: Any) -> None:
        with pytest.raises(ModelError, match=reason):
            export(encoder, tmp_path / "exported", pictures(1), **options)
        assert not (tmp_path / "exported").exists()

    refused(made(naflex, tmp_path / "naflex"), "in their own shape")
    original = made(clip, tmp_path / "clip")
    refused(original, "Unknown precision", precision="int4")
    with pytest.raises(ModelError, match="is not empty"):
        export(original, tmp_path / "clip", pictures(1))
    assert (tmp_path / "clip/config.json").is_file()
