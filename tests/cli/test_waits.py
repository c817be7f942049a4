"""Waits of more than half a second are said: what for, once, on standard error, not to programs."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixseek.cli import waits
from pixseek.cli.waits import Waits

from .conftest import Run
from tiny_encoder import TinyEncoder, draw


@pytest.fixture(autouse=True)
def _as_for_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "AFTER_S", 0.5)


def slow(monkeypatch: pytest.MonkeyPatch, tiny: TinyEncoder) -> None:
    """Let the model take its time, and mention waits soon."""
    monkeypatch.setattr(waits, "AFTER_S", 0.05)

    def load(*_: object, **__: object) -> TinyEncoder:
        time.sleep(0.15)
        return tiny

    monkeypatch.setattr("pixseek.encoders.load", load)


def test_a_short_wait_is_not_said(capfd: pytest.CaptureFixture[str]) -> None:
    said = Waits()
    for n in range(20):
        with said.waiting(f"Doing {n}"):
            pass
    time.sleep(1.2 * waits.AFTER_S)
    assert capfd.readouterr() == ("", "")


def test_a_long_wait_is_said_once(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "AFTER_S", 0.05)
    with Waits().waiting("Thinking"):
        time.sleep(0.4)
    assert capfd.readouterr() == ("", "Thinking …\n")


def test_short_waits_one_after_the_other_are_a_long_one(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "AFTER_S", 0.2)
    said = Waits()
    for n in range(10):
        with said.waiting("Reading" if n < 5 else "Writing"):
            time.sleep(0.06)
    assert "Writing …" in capfd.readouterr().err


def test_nothing_is_said_to_programs(capfd: pytest.CaptureFixture[str]) -> None:
    said = Waits(silent=True)
    with said.waiting("Thinking"):
        time.sleep(1.5 * waits.AFTER_S)
    said.download("model.onnx", 1, 2)
    assert capfd.readouterr() == ("", "")


def test_a_download_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    said = Waits()
    with said.waiting("Loading"):
        for done in range(0, 101):
            said.download("model.onnx", done * 1000, 100_000)
    assert capfd.readouterr().err.splitlines() == [
        "Downloading model.onnx: 0 bytes of 100 kB …", "Downloading model.onnx: 100 kB of 100 kB …"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("search", "red"), "Loading the model"),
        (("index",), "Loading the model"),
        (("classify", "new.png", "--labels", "red, blue"), "Loading the model"),
        (("import", "v.npz", "--model", "demo"), "Loading the model"),
        (("doctor", "--model", "demo"), "Trying the model"),
    ],
)
def test_commands_say_that_they_load_the_model(
    indexed: Run,
    line: tuple[str, ...],
    said: str,
    tiny: TinyEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    indexed("export", "v.npz")
    draw(Path("Photos/new.png"), "red", 90)
    draw(Path("new.png"), "red", 91)
    slow(monkeypatch, tiny)
    done = indexed(*line)
    assert said in done.stderr
    assert said not in done.stdout


@pytest.mark.parametrize(
    "line", [("search", "red", "--json"), ("status", "--json"), ("index", "--quiet")]
)
def test_programs_get_no_waits(
    indexed: Run, line: tuple[str, ...], tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(Path("Photos/new.png"), "red", 90)
    slow(monkeypatch, tiny)
    done = indexed(*line)
    assert done.exit_code == 0
    assert done.stderr == ""
    if "--json" in line:
        json.loads(done.stdout)


def test_a_check_of_the_model_is_said(
    run: Run, photos_folder: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixseek.types import Acceleration

    monkeypatch.setattr(waits, "AFTER_S", 0.05)

    def accelerate(precision: str, images: int, sample: object) -> Acceleration:
        sample(128)  # type: ignore[operator]
        time.sleep(0.2)
        return Acceleration("onnxruntime", "int8", "because")

    monkeypatch.setattr(tiny, "accelerate", accelerate, raising=False)
    done = run("index", photos_folder)
    assert "Checking how to run the model fastest, on 128 of your images …" in done.stderr


def test_a_terminal_shows_a_wait_in_a_line_that_goes_away(tmp_path: Path) -> None:
    code = (
        "import time\nfrom pixseek.cli.waits import Waits\nsaid = Waits()\n"
        "with said.waiting('Thinking hard'): time.sleep(0.9)\nprint('done')\n"
    )
    ours, theirs = pty.openpty()
    with contextlib.closing(os.fdopen(ours, "rb", buffering=0)) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=theirs, stderr=theirs, cwd=tmp_path
        )
        os.close(theirs)
        text = b"".join(_read(terminal)).decode()
        process.wait()
    assert "\r\x1b[KThinking hard …" in text
    assert text.replace("\r\n", "\n").endswith("\r\x1b[Kdone\n")


def _read(terminal: object) -> Iterator[bytes]:
    try:
        while part := terminal.read(1000):  # type: ignore[attr-defined]
            yield part
    except OSError:  # the other end is closed
        return
