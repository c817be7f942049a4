"""Measurements of models: which are kept. Nothing here measures speed."""

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


@pytest.mark.slow
def test_the_last_measurement_of_a_model_is_kept(tmp_path: Path, pictures: list[Picture]) -> None:
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
    # If several machines share a folder of models, each keeps its own measurements.
    assert elsewhere in json.loads((models / KEPT).read_text())


def test_failed_measurements_raise_model_error_and_are_not_kept(
    tmp_path: Path, pictures: list[Picture]
) -> None:
    tiny.xenova(tmp_path / "m", constant=float("nan"))
    with pytest.raises(ModelError, match=r"could not be measured(?s:.*)no usable vector"):
        measure(str(tmp_path / "m"), pictures, tmp_path / "models")
    with pytest.raises(ModelError, match="not on this machine"):
        measure("siglip2-b16-224", pictures, tmp_path / "models")
    assert measurements(tmp_path / "models") == {}


def test_a_damaged_file_of_measurements_is_ignored(tmp_path: Path) -> None:
    (tmp_path / KEPT).write_text("{")
    assert measurements(tmp_path) == {}
