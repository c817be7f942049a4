"""What reaches a terminal and JSON: no character of a stranger that a terminal obeys."""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixseek.cli import output
from pixseek.cli.hints import quoted
from pixseek.cli.output import ESC, echo, field, guarded, link, styled, visible, write_json, written

from .conftest import Run

#: All that a stranger may put into a name: sequences, C1, DEL, direction, tags, bytes, line breaks.
HOSTILE = (
    "\x1b]0;title\x07\x1b[35mred\x1b[0m\x9b2J\x7f\u202egpj\u2066\u200f\u061c\u2028"
    "\U000e0041\ufeff\u00ad\tend\nnext"
)

TEXTS = st.text(
    st.one_of(st.characters(), st.sampled_from("\\nrtxuU0\"'" + HOSTILE + "\udcff")), max_size=40
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name.jpg", "plain name.jpg"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x00\x7f\x80\x9b\x85\xa0\xad", r"\x00\x7f\x80\x9b\x85\xa0\xad"),
        ("\u202a\u202b\u202c\u202d\u202e", r"\u202a\u202b\u202c\u202d\u202e"),
        ("\u2066\u2067\u2068\u2069\u200e", r"\u2066\u2067\u2068\u2069\u200e"),
        ("\u200f\u061c", r"\u200f\u061c"),
        ("\u2028\u2029\u200b\u2060\ufeff", r"\u2028\u2029\u200b\u2060\ufeff"),
        ("\U000e0001\U000e0041\U000e007f", r"\U000e0001\U000e0041\U000e007f"),
        ("\udcff\ud800", r"\udcff\ud800"),
        ("\u3164\u115f\u1160\uffa0\u034f\u180e", r"\u3164\u115f\u1160\uffa0\u034f\u180e"),
        # What languages and emoji need stays.
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("👩\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3", "👩\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3"),
        ("葛\U000e0100城 東京\u3000夜 שלום ñe\u0301", "葛\U000e0100城 東京\u3000夜 שלום ñe\u0301"),
        # But not where they only hide something.
        ("pay\u200cpal \u200dx", r"pay\u200cpal \u200dx"),
        ("é\u200d\u200dé", "é\u200d" + r"\u200dé"),
        ("❤\ufe0f\ufe0f\U000e0101", "❤\ufe0f" + r"\ufe0f\U000e0101"),
        ("C:\\new\\x1b", "C:\\new\\x1b"),
    ],
)  # fmt: skip
def test_what_nobody_sees_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown


def obeyed(text: str) -> set[str]:
    """Return the characters of a text that a terminal obeys or nobody sees."""
    return {
        c
        for c in text
        if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
        or (unicodedata.category(c) == "Cf" and c not in "\u200c\u200d")
    }


@given(TEXTS)
def test_no_text_gets_through(text: str) -> None:
    assert obeyed(visible(text)) == set()
    assert obeyed(written(text)) <= {"\n", "\t"}
    assert obeyed(click.unstyle(written(styled(text, bold=True)))) <= {"\n", "\t"}


@pytest.mark.skipif(os.sep == "\\", reason="a path of Windows can't hold what needs an escape")
@given(TEXTS, TEXTS)
def test_a_field_can_be_read_back(one: str, other: str) -> None:
    assert obeyed(field(one)) == set()
    read = field(one).encode("latin-1", "backslashreplace").decode("unicode_escape")
    assert read == one
    assert (field(one) == field(other)) == (one == other)


@given(TEXTS)
def test_json_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    from contextlib import redirect_stdout
    from io import StringIO

    class Utf8(StringIO):
        encoding = "utf-8"

    for in_one_line in (False, True):
        with redirect_stdout(Utf8()) as got:
            write_json({"name": text, text: [1]}, in_one_line=in_one_line)
        assert obeyed(got.getvalue()) <= {"\n"}
        assert got.getvalue().count("\n") == (1 if in_one_line else 6)
        assert json.loads(got.getvalue()) == {"name": text, text: [1]}


def test_only_our_own_sequences_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    forged = "\x1b[35mred" + ESC[:-1]
    coloured = click.Context(click.Command("any"), color=True)
    with coloured:
        echo(f"{styled(forged, bold=True)} {link(visible(forged), 'file:///a%1Bb')} {forged}")
    assert re.sub(re.escape(ESC[1:-1]), "", capsys.readouterr().out) == (
        "\x1b[1m\\x1b[35mred\\x1b\x1b[0m "
        "\x1b]8;;file:///a%1Bb\x1b\\\\x1b[35mred\\x1b\x1b]8;;\x1b\\ \\x1b[35mred\\x1b\n"
    )


def test_what_others_print_is_guarded(capsys: pytest.CaptureFixture[str]) -> None:
    with guarded():
        print("a\x1b[2Jb\tc")
        click.echo("\x9b\u202e", err=True)
        sys.stdout.writelines(["x\r", "y\n"])
        with guarded():
            print("once")
    print("\x1b")
    got = capsys.readouterr()
    assert got.out == "a\\x1b[2Jb\tc\nx\\ry\nonce\n\x1b\n"
    assert got.err == "\\x9b\\u202e\n"


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="needs bash")
@pytest.mark.parametrize("name", [HOSTILE, "it's\\n\n", "\udcff\udc80abc\x1bff", "\u202eabc"])
def test_a_suggested_command_names_the_same_file(name: str) -> None:
    import subprocess

    word = quoted(name)
    assert obeyed(word) == set()
    echoed = subprocess.run(
        ["/bin/bash", "-c", f"printf %s {word}"],
        capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert os.fsdecode(echoed.stdout) == name


def test_paths_are_raw_for_programs(run: Run) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    names = ["a\nb", "\udcff\x1b"]
    sys.stdout, before = Terminal(), sys.stdout
    try:
        assert output.write_paths(iter(names)) == 2
        assert sys.stdout.getvalue() == "a\\nb\n\\udcff\\x1b\n"  # type: ignore[attr-defined]
    finally:
        sys.stdout = before
    del run


# ------------------------------------------------------------------ every command

#: Runs command lines in one process; each reads its arguments from a line of JSON.
MANY = """
import json, sys
import pixseek.encoders
from tiny_encoder import TinyEncoder
pixseek.encoders.load = lambda *_, **__: TinyEncoder()
from pixseek.cli import main
for line in open(sys.argv[1]):
    try:
        main(json.loads(line), prog_name="pixseek")
    except SystemExit as end:
        print("exit", end.code, *(x for x in json.loads(line)[:1] if x.isalpha()))
"""

#: What pixseek itself writes to a terminal: styles, links, the progress, and a question.
OWN = re.compile(
    r"\x1b\[(?:0|1|2|31|32|33|36|1;31|38;5;\d+|[\d;]*36|1;36)?m|\r\x1b\[K"
    r"|\x1b\]8;;(?:file://[!-~]*)?\x1b\\|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r"
    r"|\x1b\[\?1;1;0S\x1b\[c"
)


@pytest.mark.skipif(sys.platform != "linux", reason="needs such file names, and pseudo-terminals")
def test_no_command_lets_a_stranger_write_to_the_terminal(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    pexpect = pytest.importorskip("pexpect")
    from tiny_encoder import draw

    bad = HOSTILE
    root = tmp_path / bad
    for n, colour in enumerate(("red", "red", "green", "blue")):
        draw(root / bad / f"{colour}-{n}-{bad}.png", colour, seed=n)
    first = root / bad / f"red-0-{bad}.png"
    (root / f"copy-{bad}.png").write_bytes(first.read_bytes())
    (root / f"broken-{bad}.png").write_bytes(b"no image")
    (root / os.fsdecode(b"\xff.png")).write_bytes(b"no image")
    first.with_suffix(".txt").write_text(f"caption {HOSTILE}", encoding="utf-8")
    spare = tmp_path / f"spare-{bad}"
    labels = tmp_path / f"labels-{bad}.txt"
    labels.write_text(f"red\n{HOSTILE.partition(chr(10))[0]}\n", encoding="utf-8")
    queries = tmp_path / f"queries-{bad}"
    queries.write_text('red\n{"terms": [{"kind": "' + "\\u001b" + '"}]}\n', encoding="utf-8")
    name = str(first)
    commands = [
        ["index", str(root)],
        ["status"],
        ["failures"],
        ["failures", "--paths"],
        ["search", "red", "--why", "--facets", "--thumbnails", "never"],
        ["search", "red", "--paths"],
        ["search", "red", "--json"],
        ["search", bad, f"tag:{bad}"],
        ["search", "red", "--not", HOSTILE, "--show-excluded"],
        ["search", "--image", name, "--thumbnails", "never"],
        ["search", "--image", f"missing-{bad}"],
        ["search", "--queries", str(queries)],
        ["search", "red", "--html", str(tmp_path / f"page-{bad}.html")],
        ["similar", name, "--thumbnails", "never"],
        ["tag", name, "--add", f"t{HOSTILE}", "--caption", f"c{bad}", "--set", f"f{bad}=v{bad}"],
        ["tag", name, "--add", f"t{HOSTILE[:-5]}", "--caption", f"c{HOSTILE}", "--rating", "3"],
        ["tag", name, "--set", f"own=v{HOSTILE}"],
        ["tag", "--zero-shot", str(labels)],
        ["show", name, "--thumbnails", "never"],
        ["show", name, "--json"],
        ["show", bad],
        ["list"],
        ["list", "--paths"],
        ["list", "--json"],
        ["list", f"folder:{bad}"],
        ["classify", name, "--labels", str(labels)],
        ["save", "red", bad],
        ["save", f"red -{HOSTILE}", "fine"],
        ["saved"],
        ["saved", "--json"],
        ["saved", "--delete", bad],
        ["duplicates"],
        ["duplicates", "--rest"],
        ["duplicates", "--json"],
        ["trust", str(root)],
        ["trust", "--list"],
        ["models", "verify", bad],
        ["models", "download", bad],
        ["models", "trust", bad],
        ["models", "remove", bad],
        ["models", "list", bad],
        ["export", str(tmp_path / f"out-{bad}.npz")],
        ["import", str(tmp_path / f"out-{bad}.npz"), "-L", str(spare), "--name", f"m{bad}"],
        ["status", "-L", str(spare)],
        ["search", "x", "-L", str(spare), "-m", bad],
        ["doctor", "-m", bad],
        ["doctor", "--json"],
        ["reindex", "--model", bad, "--files"],
        ["remove", name],
        ["forget"],
        ["forget", bad],
        ["remove", "--root", bad],
        ["remove", "--all", "-y"],
        ["completion", bad],
        ["help", bad],
        [bad],
        ["search", f"--{bad}"],
        ["index", bad],
        ["status", "-L", str(tmp_path / f"none-{bad}")],
    ]
    script = tmp_path / "lines"
    script.write_text("".join(f"{json.dumps(each)}\n" for each in commands))
    child = pexpect.spawn(
        sys.executable,
        ["-c", MANY, str(script)],
        env={
            **environment,
            "PIXSEEK_LIBRARY": str(tmp_path / f"lib-{bad}"),
            "PIXSEEK_OFFLINE": "1",
            "PIXSEEK_MODELS_DIR": str(tmp_path / "models"),
        },
        cwd=tmp_path,
        dimensions=(40, 120),
        timeout=30,
    )
    child.expect(pexpect.EOF)
    text = OWN.sub("", child.before.decode("utf-8"))
    around = [
        text[max(0, found.start() - 300) : found.end() + 40]
        for found in re.finditer("[^\n\t]", text)
        if obeyed(found[0])
    ]
    assert around == []
    assert text.count("\nexit ") == len(commands), text[-2000:]
    assert "exit 70" not in text
    assert len(re.findall(r"\\x1b\]0;title\\x07", text)) > len(commands)


def test_what_a_foreign_ledger_says_is_shown_and_not_obeyed(
    indexed: Run, photos_folder: Path
) -> None:
    import sqlite3

    from pixseek.config import load_config

    (photos_folder / "broken.png").write_bytes(b"no image")
    indexed("index")
    ledger = load_config().library / "ledger.sqlite"
    with sqlite3.connect(ledger) as changed:
        (run_,) = changed.execute("SELECT value FROM settings WHERE name LIKE '%run%'").fetchone()
        hostile = json.dumps(HOSTILE)[1:-1]
        changed.execute(
            "UPDATE settings SET value = replace(value, '\"index\"', ?) WHERE value = ?",
            (f'"{hostile}"', run_),
        )
        changed.execute("UPDATE roots SET path = path || ?", (HOSTILE,))
        changed.execute(
            "UPDATE failures SET reason = ?, message = ?, advice = ?, uri = ?", [HOSTILE] * 4
        )
    changed.close()
    for line in (
        ["status"], ["status", "--json"], ["failures"], ["failures", "--json"], ["doctor"],
        ["search", "red"], ["index"], ["list", "--json"], ["remove", "--root", "x"], ["duplicates"],
    ):  # fmt: skip
        done = indexed(*line)
        assert obeyed(done.output) <= {"\n", "\t"}, line
        assert done.exit_code != 70, (line, done.output)
