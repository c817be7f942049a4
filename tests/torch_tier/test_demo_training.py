"""A short training of the demo model: it learns, and its export gives the vectors of torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from pixseek.demo.drawing import render  # noqa: E402
from pixseek.demo.scenes import Scene, Thing  # noqa: E402

pytestmark = pytest.mark.torch

TRAINING = Path(__file__).parents[2] / "training"
TEXTS = ["", "a red car", "two small dogs on the left by a lake at night in the rain", "zebra"]


@pytest.fixture(scope="module")
def scripts() -> Iterator[tuple[ModuleType, ModuleType, ModuleType]]:
    sys.path.insert(0, str(TRAINING))
    try:
        import dual_encoder
        import evaluate_demo_model
        import train_demo_model

        yield train_demo_model, dual_encoder, evaluate_demo_model
    finally:
        sys.path.remove(str(TRAINING))


@pytest.mark.timeout(200)
def test_a_short_run_learns_and_exports_the_trained_model(scripts, tmp_path: Path) -> None:
    train_demo_model, dual_encoder, evaluate_demo_model = scripts
    losses: list[float] = []
    model, tokenizer = train_demo_model.train(
        steps=24, batch_size=64, pool_groups=70, losses=losses
    )
    assert len(losses) == 24
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) - 0.3

    dual_encoder.export(model, tokenizer, tmp_path, "a test")
    images, texts = evaluate_demo_model.towers(tmp_path)
    pictures = [render(Scene((Thing("cat", c),)), 256) for c in ("red", "white", "blue")]
    pixels = np.stack([np.asarray(train_demo_model.shrink(p)) for p in pictures])
    with torch.no_grad():
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
        seen = model.image(x).numpy()
        read = model.text(*train_demo_model.tokens(tokenizer, TEXTS)).numpy()
    for ours, theirs in ((images(pictures), seen), (texts(TEXTS), read)):
        assert ours.shape == theirs.shape
        cosine = (
            (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
        )
        assert (cosine >= 0.999).all()


def test_pictures_of_which_a_caption_is_true_are_not_negatives(scripts) -> None:
    train_demo_model, _, _ = scripts
    batch = train_demo_model.SceneStream(seed=3, pool_groups=40).batch(48, renewed_groups=1)
    assert batch.pixels.shape == (48, 64, 64, 3)
    assert batch.pixels.dtype == np.uint8
    assert np.diagonal(batch.full_fits).all()
    assert np.diagonal(batch.short_fits).all()
    assert batch.short_fits.sum() > 48  # "a cat" is true of several
    model = train_demo_model.DualEncoder(words=10)
    same = torch.eye(2)
    alone = train_demo_model.contrastive(model, same, same, np.eye(2, dtype=bool))
    spared = train_demo_model.contrastive(model, same, same, np.ones((2, 2), dtype=bool))
    assert 0 <= float(spared.detach()) < float(alone.detach())
