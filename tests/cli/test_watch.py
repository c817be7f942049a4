"""`pixseek watch`: what it prints, and that it ends cleanly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from .conftest import SLOW_PIXSEEK, TESTS, Run
from tiny_encoder import draw


@contextmanager
def watching(folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    command = [sys.executable, "-c", SLOW_PIXSEEK, "watch", str(folder), *more, "-L", "lib"]
    process = subprocess.Popen(
        command, cwd=folder.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process, process.stdout
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], by: signal.Signals) -> tuple[str, str, int]:
    process.send_signal(by)
    out, err = process.communicate(timeout=90)
    return out, err, process.returncode


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_events_are_json_lines_and_ctrl_c_ends_cleanly(photos_folder: Path) -> None:
    with watching(photos_folder, "--json") as (process, out):
        indexed, begun = json.loads(out.readline()), json.loads(out.readline())
        assert (indexed["event"], indexed["report"]["added"]) == ("indexed", 6)
        assert begun["event"] == "watching"
        assert begun["folders"] == [{"path": str(photos_folder), "polled": False}]
        assert (begun["report"], begun["error"]) == (None, None)
        draw(photos_folder / "new.png", "blue", seed=99)
        came: dict[str, Any] = json.loads(out.readline())
        assert set(came) == {"event", "at", "folders", "report", "error"}
        assert came["report"]["added"] == 1
        assert ended(process, signal.SIGINT)[::2] == ("", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_people_read_a_line_for_each_change(photos_folder: Path) -> None:
    with watching(photos_folder) as (process, out):
        assert out.readline()[8:] == "  added 6\n"
        assert out.readline()[8:] == f"  watching {photos_folder}\n"
        (photos_folder / "broken.png").write_bytes(b"no image")
        assert out.readline()[8:] == "  failed 1\n"
        assert "Photos/broken.png: " in out.readline()
        rest, _, code = ended(process, signal.SIGTERM)
        assert (rest, code) == ("", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_a_watcher_that_is_killed_loses_nothing_and_the_next_one_catches_up(
    run: Run, photos_folder: Path
) -> None:
    def status() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run("status", "--json", "-L", "lib").stdout)
        return found

    with watching(photos_folder, "--json") as (process, out):
        assert json.loads(out.readline())["report"]["added"] == 6
        assert json.loads(out.readline())["event"] == "watching"
        assert status()["watched"]["pid"] == process.pid
        assert f"by process {process.pid} on " in run("status", "-L", "lib").stdout
        for n in range(40):
            draw(photos_folder / "many" / f"{n}.png", "green", seed=1_000 + n)
        # In the middle of a run: the library has some of them.
        while status()["records"] == 6 and status()["running"] is None:
            assert process.poll() is None
        process.kill()
        process.wait()
    assert status()["watched"] is None
    before = status()["records"]
    (photos_folder / "many" / "0.png").rename(photos_folder / "moved.png")
    draw(photos_folder / "last.png", "blue", seed=99)
    with watching(photos_folder, "--json") as (process, out):
        report = json.loads(out.readline())["report"]
        assert report["failures"] == []
        assert before + report["added"] == 47
        assert json.loads(out.readline())["event"] == "watching"
        assert status()["records"] == 47
        assert ended(process, signal.SIGINT)[::2] == ("", 0)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none"], 2, "does not exist"),
        ([], 5, "no folder to watch"),
        (["s3://b/photos"], 5, "pixseek index s3://b/photos"),
        ([".", "--poll-every", "0"], 2, "poll-every"),
    ],
)
def test_wrong_arguments_are_errors(run: Run, arguments: list[str], code: int, said: str) -> None:
    done = run("watch", *arguments)
    assert done.exit_code == code, done.output
    assert said in done.output.lower()
