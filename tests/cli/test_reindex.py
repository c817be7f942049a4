"""`pixseek reindex`: what it prints, how it exits, and that Ctrl-C leaves the library as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pixseek.errors import ModelError

from .conftest import Run
from tiny_encoder import TinyEncoder, WideEncoder

PROGRAM = """
import pixseek.encoders
from tiny_encoder import WideEncoder
encoder = WideEncoder()
encoder.batch_size, encoder.seconds_a_batch = 1, 0.3
pixseek.encoders.load = lambda *_, **__: encoder
from pixseek.cli import main
main(prog_name="pixseek")
"""


@pytest.fixture
def two_models(indexed: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """As `indexed`, and the model "demo" is another one than that of the library."""
    known = {"demo": WideEncoder("demo"), "clip-b32-datacomp": TinyEncoder("clip-b32-datacomp")}
    known["clip-b32-datacomp"].fingerprint = TinyEncoder().fingerprint

    def load(name: Any, **_: Any) -> TinyEncoder:
        if str(name) not in known:
            raise ModelError("unknown model", name, "Known models: demo")
        return known[str(name)]

    monkeypatch.setattr("pixseek.encoders.load", load)
    return indexed


def test_reindex_reports_and_can_be_reversed(two_models: Run) -> None:
    done = two_models("reindex", "--model", "demo", "--keep")
    assert done.exit_code == 0, done.output
    assert "the library (6 images) now uses demo." in done.stdout
    assert "embedded    6" in done.stdout
    assert "failed      0" in done.stdout
    status = json.loads(two_models("status", "--json").stdout)
    assert (status["model"], status["space"]["dim"]) == ("demo", 192)
    [other] = status["other_spaces"]
    assert (other["model"], other["dim"], other["records"]) == ("tiny", 48, 6)
    assert "vectors by tiny for 6 of 6 images" in two_models("status").stdout
    assert "red" in two_models("search", "red", "-k", "1", "--paths").stdout
    back = json.loads(two_models("reindex", "--model", "clip-b32-datacomp", "--json").stdout)
    assert (back["updated"], back["unchanged"], back["stopped"]) == (0, 6, False)
    assert json.loads(two_models("status", "--json").stdout)["other_spaces"] == []


def test_quiet_prints_nothing(two_models: Run) -> None:
    done = two_models("reindex", "--model", "demo", "--quiet")
    assert (done.exit_code, done.output) == (0, "")


def test_failures_are_reported_with_advice(two_models: Run, photos_folder: Path) -> None:
    gone = photos_folder / "a" / "red-1.png"
    (Path(json.loads(two_models("status", "--json").stdout)["path"]) / "previews.sqlite").unlink()
    gone.unlink()
    done = two_models("reindex", "--model", "demo")
    assert done.exit_code == 0
    assert "embedded    5" in done.stdout
    assert "1 missing" in done.stdout
    assert "Photos/a/red-1.png" in done.stdout
    assert "pixseek failures" in done.stdout


def test_a_text_tower_can_be_set_and_unset(two_models: Run) -> None:
    done = two_models("reindex", "--text-model", "demo")
    assert done.exit_code == 4
    assert "different lengths" in done.stderr
    done = two_models("reindex", "--text-model", "none")
    assert done.exit_code == 0
    assert "embedded    0" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "pixseek reindex --model NAME"),
        (("--model", "nowhere"), "Known models: demo"),
    ],
)
def test_invalid_options_are_refused(
    two_models: Run, arguments: tuple[str, ...], said: str
) -> None:
    done = two_models("reindex", *arguments)
    assert done.exit_code != 0
    assert said in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to another process")
def test_ctrl_c_keeps_the_old_model_and_the_finished_work(
    two_models: Run, environment: dict[str, str]
) -> None:
    path = json.loads(two_models("status", "--json").stdout)["path"]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "reindex", "--model", "demo", "-L", path, "--threads", "1"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while json.loads(two_models("status", "--json").stdout)["running"] is None:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopping after this batch" in stderr
    assert "the library (6 images) still uses tiny." in stdout
    assert f"To continue: pixseek reindex --model demo --library {path}" in stdout
    status = json.loads(two_models("status", "--json").stdout)
    assert (status["model"], status["running"]) == ("tiny", None)
