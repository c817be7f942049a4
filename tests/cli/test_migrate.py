"""`pixseek migrate` as people use it: also killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import pixseek
from moved_library import library_of, state
from pixseek.cli import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    library_of(tmp_path / "lib").close()
    return tmp_path / "lib"


def run(*args: str) -> str:
    done = CliRunner().invoke(main, list(args))
    assert done.exit_code == 0, done.output
    return done.output


def test_there_and_back(folder: Path, tmp_path: Path) -> None:
    to = str(tmp_path / "other")
    said = run("migrate", "--to", to, "-L", str(folder))
    assert f"Moved 307 records with 460 vectors to {to}" in " ".join(said.split())
    assert "400 searches, which found 1.000" in " ".join(said.split())
    assert f"The old copy stays at {folder}" in " ".join(said.split())
    run("tag", "id0001", "--add", "new", "-L", str(folder))
    told = json.loads(run("migrate", "--to", "embedded", "--json", "-L", str(folder)))
    assert (told["written"], told["records"], told["recall"]) == (1, 307, 1.0)
    assert (told["source"], told["stopped"]) == (to, False)
    said = run("migrate", "--to", to, "-L", str(folder))
    assert "all of it was there already" in " ".join(said.split())
    assert "nothing had to be copied" in run("migrate", "--to", to, "-L", str(folder))
    assert "new" in run("list", "tag:new", "--json", "-L", str(folder))


def test_a_new_library_of_what_is_on_a_server(folder: Path, tmp_path: Path) -> None:
    to = str(tmp_path / "other")
    run("migrate", "--to", to, "-L", str(folder))
    run("migrate", "--from", to, "--to", "embedded", "-L", str(tmp_path / "copy.lib"))
    with pixseek.open(folder) as old, pixseek.open(tmp_path / "copy.lib") as new:
        assert state(new.opened.engine) == state(old.opened.engine)
    wrong = CliRunner().invoke(
        main,
        ["migrate", "--from", str(tmp_path / "third"), "--to", "embedded", "-L", str(folder)],
    )
    assert wrong.exit_code == 3
    assert "is in another engine" in wrong.output


def test_errors_say_what_to_do(folder: Path, tmp_path: Path) -> None:
    for to, code, said in (
        ("nothing://there", 6, "unknown engine"),
        ("postgresql://me:sesame@localhost:1/nowhere", 3, "out of reach"),
        ("host=here dbname=there", 6, "not the url of an engine"),
        ("memory://lost", 6, "ends with the command"),
    ):
        done = CliRunner().invoke(main, ["migrate", "--to", to, "-L", str(folder)])
        assert done.exit_code == code, done.output
        assert said in done.output.lower()
        assert "sesame" not in done.output
    none = CliRunner().invoke(main, ["migrate", "--to", "embedded", "-L", str(tmp_path / "none")])
    assert none.exit_code == 3
    assert "no library here" in none.output


#: Kills itself at the n-th page that is written, or once others are kept from writing.
_KILLED = """
import os, signal, sys
from pixseek.cli import main
from pixseek.library import copying, migration
copying.BATCH = 20
left = [int(sys.argv[1])]
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
if left[0] < 0:
    def asked(*args):
        kill()
        yield
    migration.Mover._asked = asked
def counting(write):
    def counted(self, *args):
        left[0] -= 1
        if left[0] == 0:
            kill()
        return write(self, *args)
    return counted
copying.Copy._write = counting(copying.Copy._write)
main(["migrate", "--to", "embedded:" + sys.argv[2], "-L", sys.argv[3], "-q"])
"""


@pytest.mark.parametrize("at", [1, 7, -1])
def test_a_run_that_is_killed_goes_on(folder: Path, tmp_path: Path, at: int) -> None:
    with pixseek.open(folder) as library:
        before = state(library.opened.engine)
    target = tmp_path / "target"
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(at), str(target), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with pixseek.open(folder) as library:
        assert state(library.opened.engine) == before
    said = run("migrate", "--to", f"embedded:{target}", "-L", str(folder), "--json")
    assert json.loads(said)["written"] == {1: 307, 7: 187, -1: 0}[at]
    with pixseek.open(folder) as library:
        assert state(library.opened.engine) == before
        assert Path(library.opened.engine._folder) == target  # type: ignore[attr-defined]
        library.tag(["id0001"], add=["after"])
