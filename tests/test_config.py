"""Settings: what beats what, and errors that name the setting."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pixseek.config import config_file, load_config
from pixseek.errors import ConfigError


def write(text: str) -> None:
    config_file().parent.mkdir(parents=True, exist_ok=True)
    config_file().write_text(text)


def test_an_argument_beats_the_environment_beats_the_file_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config({}).model is None
    write('model = "from-file"\nthreads = 3\noffline = true\n')
    config = load_config({})
    assert (config.model, config.threads, config.offline) == ("from-file", 3, True)
    environment = {"PIXSEEK_MODEL": "from-environment", "PIXSEEK_OFFLINE": "no"}
    config = load_config(environment)
    assert (config.model, config.threads, config.offline) == ("from-environment", 3, False)
    assert load_config(environment, model="argument").model == "argument"
    assert not config.compile and load_config({"PIXSEEK_COMPILE": "1"}).compile
    assert not load_config({"PIXSEEK_COMPILE": "1"}, compile=False).compile


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes among files")
def test_a_pipe_instead_of_the_settings_file_is_an_error() -> None:
    config_file().parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(config_file())
    with pytest.raises(ConfigError, match="can't be read"):
        load_config({})


def test_a_library_beside_its_photos_is_found_from_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "drive" / "2021" / "may"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert load_config({}).library.name == "library"
    (tmp_path / "drive" / ".pixseek").mkdir()
    assert load_config({}).library == tmp_path / "drive" / ".pixseek"
    assert load_config({}, library=tmp_path / "drive").library == tmp_path / "drive" / ".pixseek"
    assert load_config({}, library=tmp_path / "other").library == tmp_path / "other"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("modle = 'x'", ["modle", "Did you mean 'model'?"]),
        ("threads = 'many'", ["threads", "whole number"]),
        ("threads = -1", ["threads", "whole number"]),
        ("precision = 'bf8'", ["precision", "bf8", "Known precisions: auto, bf16"]),
        ("offline = 'perhaps'", ["offline", "true or false"]),
        ("compile = 3", ["compile", "true or false"]),
        ("not toml at all", ["config.toml", "Fix it"]),
    ],
)
def test_invalid_settings_are_named_with_advice(text: str, words: list[str]) -> None:
    write(text)
    with pytest.raises(ConfigError) as caught:
        load_config({})
    for word in words:
        assert word.lower() in str(caught.value).lower()


def test_one_thread_per_processor_by_default() -> None:
    assert load_config({}).thread_count >= 1
    assert load_config({}, threads=5).thread_count == 5


def test_an_unknown_argument_is_an_error_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'threads'"):
        load_config({}, thread=5)
