"""`pixseek serve` as people start it: a process, a port, a signal."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pixseek.cli import main
from pixseek.demo.picture_library import write_picture_library
from pixseek.library import Library


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("drawn")
    write_picture_library(base / "pictures", 6)
    with Library.open(base / "lib", "demo", drawn=True) as library:
        library.index(base / "pictures")
    return base / "lib"


@contextmanager
def serving(*options: str, **environment: str) -> Iterator[tuple[Any, str, int]]:
    """Start a server; yield its process, its first line and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pixseek", "serve", "--port", "0", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "Serving" in line, process.stderr.read() if process.stderr else ""
        yield process, line, int(line.rpartition(":")[2].partition("/")[0])
    finally:
        process.kill()
        process.communicate()


def get(port: int, path: str, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("localhost", port, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content) if b"{" in content[:1] else content


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_when_told(drawn: Path, number: int) -> None:
    with serving("-L", str(drawn)) as (process, line, port):
        assert line.startswith("Serving lib (6 images) at http://localhost:")
        status, found = get(port, "/api/search?q=a+boat&k=2")
        assert (status, len(found["hits"])) == (200, 2)
        status, page = get(port, "/?q=boat")
        assert status == 200
        assert b"<img" in page
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert out.endswith("Stopped.\n")
        assert "Traceback" not in err


def test_a_token_in_the_environment_is_needed_then_and_no_more_requests_than_the_rate(
    drawn: Path,
) -> None:
    token = "a-token-of-twenty-letters"
    with serving("-L", str(drawn), "--rate", "0.2", PIXSEEK_READ_TOKEN=token) as (_, _, port):
        assert get(port, "/api/libraries")[0] == 401
        assert get(port, "/api/libraries", Authorization=f"Bearer {token}")[0] == 200
        assert get(port, "/api/libraries", Authorization=f"Bearer {token}")[0] == 429


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (["--host", "0.0.0.0"], {}, "no token is set"),
        (["--host", "0.0.0.0"], {"PIXSEEK_WRITE_TOKEN": "x" * 20}, "not encrypted"),
        (["--host", "192.0.2.1", "--insecure"], {"PIXSEEK_WRITE_TOKEN": "x" * 20}, "can't listen"),
        (["--host", "::"], {}, "no token is set"),
        ([], {"PIXSEEK_READ_TOKEN": "short"}, "too short"),
        (["--prefix", "photos"], {}, "begins with a slash"),
        (["--cert", __file__], {}, "belong together"),
    ],
)
def test_what_is_not_safe_is_refused(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, options: list[str],
    environment: dict[str, str], said: str,
) -> None:  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["serve", "-L", str(drawn), *options])
    assert said in done.output
    assert done.exit_code in (2, 6)


def test_embed_prints_what_the_server_answers(drawn: Path) -> None:
    done = CliRunner().invoke(main, ["embed", "-L", str(drawn), "--text", "a boat"])
    found = json.loads(done.stdout)
    assert (found["model"], found["dim"], len(found["texts"])) == ("demo", 128, 1)
    assert CliRunner().invoke(main, ["embed", "-L", str(drawn)]).exit_code == 2
