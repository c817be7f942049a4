"""A command line in this process with the tiny encoder, and one in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pixseek.cli import main

from tiny_encoder import TinyEncoder, draw

Run = Callable[..., Result]

TESTS = Path(__file__).parents[1]

#: `pixseek` with the tiny encoder, made slow enough to be interrupted.
SLOW_PIXSEEK = """
import sys
import pixseek.encoders
from tiny_encoder import TinyEncoder
encoder = TinyEncoder(seconds_a_batch=0.12)
pixseek.encoders.load = lambda *_, **__: encoder
from pixseek.cli import main
main(prog_name="pixseek")
"""


@pytest.fixture
def run(tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process, in an empty folder."""
    del tiny
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run_line(*arguments: str | Path, **more: object) -> Result:
        return CliRunner().invoke(main, [str(each) for each in arguments], **more)  # type: ignore[arg-type]

    return run_line


@pytest.fixture(autouse=True)
def _a_busy_machine_is_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands mention only waits that no machine has by chance."""
    monkeypatch.setattr("pixseek.cli.waits.AFTER_S", 30.0)


@pytest.fixture
def photos_folder(tmp_path: Path) -> Path:
    """Six images of three colours, below two folders."""
    folder = tmp_path / "work" / "Photos"
    for n, colour in enumerate(("red", "red", "green", "green", "blue", "blue")):
        draw(folder / ("a" if n % 2 else "b c") / f"{colour}-{n}.png", colour, seed=n)
    return folder


@pytest.fixture
def indexed(run: Run, photos_folder: Path) -> Run:
    """As `run`, after `index Photos` into the default library."""
    done = run("index", photos_folder)
    assert done.exit_code == 0, done.output
    return run


@pytest.fixture
def environment() -> dict[str, str]:
    """For a process of its own: a terminal of 100 columns, and no colours of this one."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KITTY", "GHOSTTY", "TERM", "TMUX", "KONSOLE", "WT_", "NO_COLOR"))
    }
    for name in ("COLORTERM", "COLUMNS", "LINES"):  # test runners set the latter two
        kept.pop(name, None)
    return {
        **kept,
        "TERM": "xterm-256color",
        "PYTHONPATH": str(TESTS),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
