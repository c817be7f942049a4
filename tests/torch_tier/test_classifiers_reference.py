"""Classifiers against transformers: the same labels, pixels and probabilities, in both runtimes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixseek.encoders import classifiers
from pixseek.types import Picture

from reference import torch, transformers

pytestmark = pytest.mark.torch

SIDE = 64
LABELS = {n: f"label {n}" for n in range(10)}


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = ((80, 50), (64, 64), (33, 200), (500, 375))
    return [Image.fromarray(rng.integers(0, 255, (h, w, 3), np.uint8)) for w, h in sizes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Vision Transformer of the real architecture, randomly initialised."""
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128,
        image_size=SIDE, patch_size=16, id2label=LABELS,
        label2id={label: n for n, label in LABELS.items()}, initializer_range=0.3,
    )  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    # As in google/vit-base-patch16-224, except for its size.
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "do_normalize": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.5, 0.5, 0.5], "size": SIDE,
            }
        ),
        "utf-8",
    )  # fmt: skip
    return folder


def reference(folder: Path, pictures: list[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels and probabilities from transformers' own processor and model."""
    # The processor that uses Pillow, with whose resizing the models were trained.
    processors = [
        getattr(transformers, name)
        for name in ("ViTImageProcessorPil", "ViTImageProcessor")
        if hasattr(transformers, name)
    ]
    processor = processors[0](size={"height": SIDE, "width": SIDE})
    pixels = np.stack(
        [
            np.asarray(processor(picture, return_tensors="np").pixel_values[0])
            for picture in pictures
        ]
    )
    model = transformers.ViTForImageClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        likely = model(torch.from_numpy(pixels)).logits.softmax(1)
    return pixels, likely.numpy()


def prepared(classifier: classifiers.Classifier, pictures: list[Image.Image]) -> np.ndarray:
    return np.stack([classifier.prepare(Picture(p, *p.size, "")) for p in pictures])


def test_torch_gives_what_transformers_gives(folder: Path, pictures: list[Image.Image]) -> None:
    classifier = classifiers.load(folder, models_dir=folder / "models")
    assert classifier.labels == tuple(LABELS.values())
    pixels, likely = reference(folder, pictures)
    batch = prepared(classifier, pictures)
    assert np.abs(batch - pixels).max() <= 2 / 255 + 1e-6  # one level of 255, on a scale of [-1, 1]
    assert classifier.probabilities(pixels) == pytest.approx(likely, abs=1e-5)
    assert (classifier.probabilities(batch).argmax(1) == likely.argmax(1)).all()


def test_onnx_gives_what_transformers_gives(
    folder: Path, pictures: list[Image.Image], tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    model = transformers.ViTForImageClassification.from_pretrained(folder).eval()

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.eval()

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return self.model(pixel_values=pixel_values).logits

    (tmp_path / "onnx").mkdir()
    torch.onnx.export(
        Logits(), (torch.zeros(2, 3, SIDE, SIDE),), tmp_path / "onnx" / "model.onnx",
        input_names=["pixel_values"], output_names=["logits"],
        dynamic_shapes={"pixel_values": {0: torch.export.Dim("batch")}}, dynamo=True,
        external_data=False, verbose=False,
    )  # fmt: skip
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    classifier = classifiers.load(tmp_path, models_dir=tmp_path / "models")
    pixels, likely = reference(folder, pictures)
    assert classifier.probabilities(pixels) == pytest.approx(likely, abs=1e-5)
