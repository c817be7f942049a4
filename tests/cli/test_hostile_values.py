"""Whatever an option or an argument is given, the end is an answer or an error with advice."""

from __future__ import annotations

import importlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from pixseek.cli import COMMANDS, main
from pixseek.cli.exit_codes import UNEXPECTED
from pixseek.config import SETTINGS

pytestmark = pytest.mark.wide

Run = Callable[..., Any]

_DIGITS = "9" * 400
_VALUES = (
    "", " ", "0", "-1", "1e999", "-1e999", "nan", "inf", "-inf", _DIGITS, f"-{_DIGITS}", "1" * 5000,
    "9223372036854775808", "2147483648", "0.1", "1e-999", "1_0", "٣", "0x10", "x" * 20_000,
    "\x1b[31m\u202e", "a\nb", "é", "../../x", "/nonexistent/\x7f", ".", "-", "--", "=", "a=b",
    "0000-00-00", "10000-01-01", "9999-12-31T23:59:59+23:59", "0001-01-01T00:00:00-23:59",
    "year:0", "year:10000", "date:9999..", "date:0001", "date:9999-12-31T23:59:59.999999+14:00",
    "mtime:9999-12-31", "mtime:<0001-01-01", "date:..0001-01-01T00:00+14:00", "before:0001",
    "size:1e999kb", f"size:{_DIGITS}", f"size:{_DIGITS}/1", f"iso:{_DIGITS}/{_DIGITS}",
    "size:>1e999gib", "size:-1e999", "width:nan", "width:inf", "width:1e400..-1e400",
    f"width:in({_DIGITS},1)", f"near:{_DIGITS},0,1", "near:nan,0,1", "near:90,180,1e400",
    "near:90,180,1e-300", "rating:1e999", f"fields.x:{_DIGITS}", "fields.x:1e999", "has:fields.x",
    f"mtime:{_DIGITS}", "taken:99999", "tag:", 'tag:"\\"', "2*", f"{_DIGITS}*a", "1e-400*a b",
    "image:nothing@1e400,0,1,1", "id:x", "a" * 10_001, '"a" ' * 65, "(" * 40 + "a", "*" * 3_000,
    "folder:" + "*a" * 2_000, "{", "[" * 5_000, '{"query": 1}', "postgresql://a:b@127.0.0.1:1/x",
    "http://127.0.0.1:1/x.jpg", "http://[::1", "file:///etc/passwd",
)  # fmt: skip
#: Would take long, ask the network, or leave this folder.
_NOT_CALLED = {"demo", "completion"}
_NEEDED = {
    "search": ["red"], "similar": ["ID"], "save": ["x", "red"], "show": ["ID"], "tag": ["ID"],
    "classify": ["Photos", "--labels", "red,blue"], "export": ["out.jsonl"], "trust": ["."],
    "forget": ["red"], "remove": ["--root", "nothing"], "import": ["in.jsonl"],
    "index": ["Photos"], "help": ["search"], "models": [],
    "vespa": ["app", "out"],
}  # fmt: skip


def _commands() -> Iterator[tuple[list[str], click.Command]]:
    for name, module in COMMANDS.items():
        if name in _NOT_CALLED:
            continue
        command = getattr(importlib.import_module(f"pixseek.cli.{module}"), name, None)
        command = command or main.get_command(click.Context(main), name)
        assert command is not None, name
        yield [name], command
        if isinstance(command, click.Group):
            for below in command.list_commands(click.Context(command)):
                inner = command.get_command(click.Context(command), below)
                assert inner is not None
                yield [name, below], inner


def _options() -> list[tuple[str, str]]:
    return [
        (" ".join(path), option.opts[0])
        for path, command in _commands()
        for option in command.params
        if isinstance(option, click.Option) and not option.is_flag and option.opts[0] != "--help"
    ]


@pytest.fixture
def called(indexed: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """As `indexed`, without a network and with a file to import."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("PIXSEEK_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    Path("in.jsonl").write_bytes(indexed("export", "-").stdout_bytes)
    yield indexed


def _check(run: Run, *line: str) -> None:
    done = run(*line, input="")
    shown = [part[:60] for part in line]
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise AssertionError(f"pixseek {shown}") from done.exception
    assert done.exit_code != UNEXPECTED, (shown, done.output[-2_000:])
    assert "Traceback" not in done.output, (shown, done.output[-2_000:])


def _rest(run: Run, path: list[str]) -> list[str]:
    id_ = json.loads(run("search", "red", "-k", "1", "--json").stdout)["hits"][0]["id"]
    return [id_ if each == "ID" else each for each in _NEEDED.get(" ".join(path), [])]


@pytest.mark.parametrize(("command", "option"), _options())
def test_any_value_of_an_option_is_taken_or_refused(called: Run, command: str, option: str) -> None:
    path = command.split()
    rest = _rest(called, path)
    for value in _VALUES:
        _check(called, *path, *rest, f"{option}={value}" if option.startswith("--") else option,
               *(() if option.startswith("--") else (value,)))  # fmt: skip


@pytest.mark.parametrize("command", [" ".join(path) for path, _ in _commands()])
def test_any_argument_is_taken_or_refused(called: Run, command: str) -> None:
    for value in _VALUES:
        if os.sep in value and command == "index":
            continue
        _check(called, *command.split(), "--", value)
        _check(called, *command.split(), "--", *_rest(called, command.split())[:1], value)


# ------------------------------------------------------------------ files

_CONTENTS = [
    b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\n\n", b"a\0b", b"a\tb\n", b"9" * 5_000,
    b"x" * 100_000, b"[" * 100_000, b'{"a":' * 50_000, b"{}", b"[]", b"null",
    b'{"k": 1e999}', b'{"k": NaN}',
    b'{"terms": [{"kind": "vector", "value": [1, 1e400]}]}',
    b'{"query": "a", "k": 99999999999999999999}',
    b'{"query": "a", "offset": 99999999999999999999}',
    b'{"query": "a", "text_weight": 1e400}',
    b'{"query": "a", "text_weight": -5, "variety": 1}', b'{"query": "(((("}', b"a OR",
    b"\x1b]0;x\x07",
    b"image,caption\nred-0.png,\xff\n", b"image\tcaption\n", b'"', b"image,caption\n\"a", b"uri\n",
    b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"PAR1" * 3, b"\x80\x04K\x01.",
    b"url,text\nhttp://[::1,a\n",
]  # fmt: skip
_WITH_FILE = [
    ["search", "--queries", "FILE"], ["classify", "Photos", "--labels-file", "FILE"],
    ["tag", "--zero-shot", "FILE"], ["index", "Photos", "--captions", "FILE"],
    ["search", "--vector", "FILE"], ["search", "--image", "FILE"], ["similar", "FILE"],
    ["import", "FILE", "--name", "x"], ["index", "FILE"], ["tag", "FILE", "--add", "x"],
]  # fmt: skip


@pytest.mark.parametrize("line", _WITH_FILE, ids=" ".join)
def test_any_file_is_taken_or_refused(called: Run, line: list[str], tmp_path: Path) -> None:
    for ending in (".npz", ".parquet") if line[0] == "import" else (".npy", ".csv", ".jsonl"):
        for content in _CONTENTS:
            file = tmp_path / f"given{ending}"
            file.write_bytes(content)
            _check(called, *(str(file) if each == "FILE" else each for each in line))


@pytest.mark.parametrize("name", [*SETTINGS, "unknown", ""])
def test_any_setting_is_taken_or_refused(
    called: Run, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    monkeypatch.setattr("pixseek.config.config_file", lambda: file)
    for value in ("1e999", "nan", "-1", "9" * 5_000, "[1]", '""', '"\\u0000"', '"x"', "[" * 9_000,
                  "true", "1979-05-27", "{a=1}", '"' + "9" * 400 + '"', "'''", "0.5"):  # fmt: skip
        file.write_text(f"{name} = {value}\n")
        _check(called, "search", "red")
        _check(called, "doctor")
