"""Fixtures of the encoders' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_models import LAYOUTS


@pytest.fixture(params=sorted(LAYOUTS))
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model_folder(layout: str, tmp_path: Path) -> Path:
    """A tiny model in this layout."""
    folder = tmp_path / f"model-{layout}"
    folder.mkdir()
    LAYOUTS[layout](folder)
    return folder
