"""Measuring models: what is kept, not how fast anything is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixseek.encoders.benchmark import KEPT, machine, measure, measurements
from pixseek.errors import ModelError
from pixseek.types import Picture

import tiny_models as tiny


@pytest.fixture
def pictures() -> list[Picture]:
    random = np.random.default_rng(3)
    drawn = [Image.fromarray(random.integers(0, 256, (20, 20, 3), np.uint8)) for _ in range(4)]
    return [Picture(each, *each.size, "image/png") for each in drawn]


def test_a_measurement_is_kept_once_a_model(tmp_path: Path, pictures: list[Picture]) -> None:
    tiny.xenova(tmp_path / "m")
    models = tmp_path / "models"
    assert measurements(models) == {}
    elsewhere = {"model": str(tmp_path / "m"), "machine": "another"}
    models.mkdir()
    (models / KEPT).write_text(json.dumps([elsewhere, "what is this"]))
    found = measure(str(tmp_path / "m"), pictures, models)
    assert min(found.images_per_s, found.text_ms, found.first_vector_s) > 0
    assert found.machine == machine() and found.runtime and len(found.fingerprint) == 64
    assert measurements(models) == {str(tmp_path / "m"): found}
    # Of a folder of models that several machines share, each keeps its own.
    assert elsewhere in json.loads((models / KEPT).read_text())


def test_what_fails_is_said_and_not_kept(tmp_path: Path, pictures: list[Picture]) -> None:
    tiny.xenova(tmp_path / "m", constant=float("nan"))
    with pytest.raises(ModelError, match=r"could not be measured(?s:.*)no usable vector"):
        measure(str(tmp_path / "m"), pictures, tmp_path / "models")
    with pytest.raises(ModelError, match="not on this machine"):
        measure("siglip2-b16-224", pictures, tmp_path / "models")
    assert measurements(tmp_path / "models") == {}


def test_a_damaged_file_of_measurements_is_none(tmp_path: Path) -> None:
    (tmp_path / KEPT).write_text("{")
    assert measurements(tmp_path) == {}
