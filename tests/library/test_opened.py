"""Opening a library: its settings."""

from __future__ import annotations

from pathlib import Path

import pytest

import pixseek
from pixseek.errors import ConfigError


def test_an_unknown_setting_is_an_error_that_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        pixseek.open(tmp_path / "x.lib", modle="demo")
    assert str(caught.value).startswith("Unknown setting: modle")
    assert "Did you mean 'model'?" in str(caught.value)
    for name in ("create", "engine", "threads", "precision"):
        assert name in str(caught.value)
    assert not (tmp_path / "x.lib").exists(), "nothing is created"


def test_the_folder_of_a_library_is_not_a_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Unknown setting: library"):
        pixseek.open(library=tmp_path / "x.lib")


def test_an_engine_that_can_not_be_opened_leaves_no_library_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        pixseek.open(tmp_path / "x.lib", engine="nosuch://here")
    with pixseek.open(tmp_path / "x.lib", engine="memory://second-try") as library:
        assert library.status().records == 0


def test_unknown_engines_name_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Known engines: .*embedded, .*memory, .*postgresql"):
        pixseek.open(tmp_path / "x.lib", engine="nosuch://here")
