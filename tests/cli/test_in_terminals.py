"""The command line as users run it: processes, pipes, pseudo-terminals, signals."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import SLOW_PIXSEEK
from tiny_encoder import draw

pexpect = pytest.importorskip("pexpect")
#: Slow: most of it is waiting for a slow encoder.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals"),
]

SLOW = [sys.executable, "-c", SLOW_PIXSEEK]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Sixty images, which the slow encoder takes 2 s for, and one that is none."""
    folder = tmp_path / "many"
    for n in range(60):
        draw(folder / f"{n:03d}.png", ("red", "green", "blue")[n % 3], seed=n)
    (folder / "000-broken.png").write_bytes(b"not an image")
    return folder


@pytest.fixture
def slow(tmp_path: Path, environment: dict[str, str]):
    """Start the slow `pixseek` in a pseudo-terminal; whatever still runs in the end is killed."""
    children = []

    def start(*arguments: object, width: int = 100, **variables: str):
        child = pexpect.spawn(
            SLOW[0],
            [*SLOW[1:], *map(str, arguments)],
            env={**environment, **variables},
            cwd=tmp_path,
            dimensions=(40, width),
            encoding="utf-8",
            timeout=20,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


def plain(*arguments: object, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SLOW, *map(str, arguments)], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def visible(text: str) -> str:
    """Return what a terminal was sent, without its escape sequences."""
    return re.sub(r"\x1b\[[?\d;]*[a-zA-Z]|\x1b\]8;;[^\x1b]*\x1b\\", "", text)


def test_ctrl_c_stops_and_the_next_run_resumes(slow, many, tmp_path, environment) -> None:
    child = slow("index", many, "-L", "lib")
    child.expect(r"[1-9]\d*/61")
    child.sendintr()
    child.expect("Stopping after this batch")
    child.expect("Stopped after")
    child.expect("To continue: pixseek index --library lib")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    report = json.loads(plain("index", "--json", "-L", "lib", cwd=tmp_path, env=environment).stdout)
    assert 0 < report["unchanged"] < 60
    assert report["unchanged"] + report["added"] == 60
    assert report["stopped"] is False


def test_a_second_ctrl_c_ends_at_once(slow, many, tmp_path, environment) -> None:
    # One batch of this encoder takes long enough that the first Ctrl-C is still being obeyed.
    child = pexpect.spawn(
        sys.executable,
        ["-c", SLOW_PIXSEEK.replace("0.12", "30"), "index", str(many), "-L", "lib"],
        env=environment,
        cwd=tmp_path,
        timeout=20,
    )
    child.expect("Indexing")
    time.sleep(0.5)
    child.sendintr()
    child.expect("Press again to stop at once")
    began = time.monotonic()
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert time.monotonic() - began < 20  # a batch takes 30 s
    status = plain("status", "--json", "-L", "lib", cwd=tmp_path, env=environment)
    assert json.loads(status.stdout)["running"] is None


def test_sigterm_stops_cleanly_too(many, tmp_path, environment) -> None:
    process = subprocess.Popen(
        [*SLOW, "index", many, "-L", "lib", "--json"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "lib" / "index").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert process.returncode == 143, err
    assert json.loads(out)["stopped"] is True
    assert json.loads(out)["added"] > 0


def test_progress_is_drawn_and_removed(slow, many) -> None:
    child = slow("index", many, "-L", "lib")
    text = drawn(child)
    bars = visible(text)
    assert re.search(r"Indexing +[━╸╺]+ +\d+/61  [\d.]+/s  [\d.]+ s left +1 failed", bars)
    assert re.search(r"^many/\d\d\d\.png", bars, re.MULTILINE)
    # What was drawn is erased, and the cursor is shown again, before the report.
    end = text.index("the library holds 60 images")
    assert text.rindex("\x1b[?25l", 0, end) < text.rindex("\x1b[?25h", 0, end)
    assert text.rindex("\x1b[2K", 0, end) > text.rindex("Indexing", 0, end)
    assert re.search(r"added +60\s", bars[bars.index("the library holds") :])
    assert "1 not-an-image" in bars


@pytest.mark.parametrize("width", [30, pytest.param(60, marks=pytest.mark.slow)])
def test_progress_fits_narrow_terminals(slow, many, width: int) -> None:
    child = slow("index", many, "-L", "lib", width=width)
    child.expect("the library holds")
    drawn = re.split(r"[\r\n]+", visible(child.before))
    assert any("Indexing" in line for line in drawn)
    assert max(len(line.rstrip()) for line in drawn) <= width


def test_without_a_terminal_there_is_no_bar(many, tmp_path, environment) -> None:
    code = "import pixseek.cli.progress as p\np.LINE_EVERY_S = 0.25\n" + SLOW_PIXSEEK
    done = subprocess.run(
        [sys.executable, "-c", code, "index", many, "-L", "lib"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert 2 <= len(lines) < 40
    assert any(
        re.search(r"^\d+ of 61 images, [\d.]+ images/s, .* left, 1 failed$", x) for x in lines
    )
    assert "\x1b" not in done.stderr + done.stdout


@pytest.fixture
def small(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A library of two images."""
    draw(tmp_path / "photos" / "a red one.png", "red", size=(60, 40))
    draw(tmp_path / "photos" / "blue.png", "blue", size=(40, 60))
    done = plain("index", "photos", "-L", "lib", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    return tmp_path / "lib"


def drawn(child) -> str:
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    return child.before


@pytest.mark.parametrize(
    ("variables", "start"),
    [
        ({"TERM": "xterm-kitty"}, "\x1b_Ga=T,f=100"),
        pytest.param(
            {"TERM_PROGRAM": "WezTerm"}, "\x1b]1337;File=inline=1", marks=pytest.mark.slow
        ),
        ({"PIXSEEK_THUMBNAILS": "blocks"}, "▀"),
        ({"PIXSEEK_THUMBNAILS": "sixel", "TERM": "dumb"}, "\x1bP0;1;0q"),
    ],
    ids=["kitty", "iterm", "blocks", "sixel"],
)
def test_thumbnails_above_the_table(slow, small, variables: dict[str, str], start: str) -> None:
    del small
    text = drawn(slow("search", "red", "-L", "lib", **variables))
    assert start in text
    assert text.index(start) < text.index("rank")
    lines = visible(text[text.index("rank") :]).splitlines()
    assert re.match(r" +1 +\w+ +(?:\d+% +)?[\d.]+ +60 × 40 +photos/a red one\.png$", lines[1])


def test_a_terminal_that_reports_sixel_gets_sixel(slow, small) -> None:
    child = slow("search", "red", "-L", "lib")
    child.expect_exact("\x1b[?1;1;0S\x1b[c")
    child.send("\x1b[?1;0;64S\x1b[?62;4;22c")
    text = drawn(child)
    assert '\x1bP0;1;0q"1;1;' in text
    assert max(int(n) for n in re.findall(r"#(\d+);2;", text)) < 64
    assert "62;4;22c" not in text  # the answer was not echoed


def test_a_terminal_without_graphics_gets_no_pictures(slow, small) -> None:
    child = slow("search", "red", "-L", "lib")
    child.expect_exact("\x1b[c")
    child.send("\x1b[?1;2c")
    text = drawn(child)
    assert "\x1bP" not in text
    assert "a red one.png" in text


def test_a_silent_terminal_delays_little(slow, small) -> None:
    began = time.monotonic()
    text = drawn(slow("search", "red", "-L", "lib"))
    assert "a red one.png" in text
    assert time.monotonic() - began < 10


def test_thumbnails_never_sends_no_query(slow, small) -> None:
    text = drawn(slow("search", "red", "-L", "lib", "--thumbnails", "never"))
    assert "\x1b[c" not in text
    assert "\x1b]8;;file://" in text  # paths can be clicked


def test_no_color_is_respected(slow, small) -> None:
    text = drawn(slow("search", "red", "-L", "lib", "--thumbnails", "never", NO_COLOR="1"))
    assert "\x1b" not in text


def test_a_filter_alone_shows_dates_if_there_are_any_and_no_scores(
    slow, small, tmp_path, environment
) -> None:
    arguments = ("-L", "lib", "--thumbnails", "never")
    text = drawn(slow("search", "width:>0", *arguments, NO_COLOR="1"))
    assert text.split("\n")[0].split() == ["rank", "size", "path"]
    draw(tmp_path / "photos" / "IMG_20210503_142233.png", "green", size=(40, 60))
    assert plain("index", "-L", "lib", cwd=tmp_path, env=environment).returncode == 0
    text = drawn(slow("search", "width:>0", *arguments, NO_COLOR="1"))
    assert text.split("\n")[0].split() == ["rank", "taken", "size", "path"]
    assert "2021-05-03" in text
    assert "match" not in text
    nothing = slow("search", "width:>9999", *arguments, NO_COLOR="1")
    nothing.expect("No image matches this filter.")


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize(
    "arguments", [("search", "red"), ("models",), ("doctor",), ("status",)], ids=" ".join
)
def test_tables_and_checks_fit_the_terminal(slow, small, arguments, width: int) -> None:
    text = drawn(slow(*arguments, "-L", "lib", "--model", "demo", width=width, TERM="dumb"))
    lines = visible(text).splitlines()
    # Paths and commands are kept whole, so that they can be copied.
    assert [line for line in lines if len(line) > width and "/" not in line] == []
    assert len(lines) > 3


#: Lines whose every command, with its own output or message, is shown at several widths.
LINES = (
    ("search", "red -snow", "--why", "--facets"), ("search", "width:>1"), ("search", "x", "-snow"),
    ("search", "red", "--html", "no/page.html"), ("search", "@unknown"), ("search", "year:x"),
    ("similar", "nothing.jpg"), ("list",), ("saved",), ("failures",), ("duplicates",), ("index",),
    ("show", "photos/a red one.png"), ("classify", "photos/blue.png", "--labels", "red"),
    ("help", "exit-codes"), ("save", "red"), ("search", "red", "-n", "5"), ("models", "verify"),
)  # fmt: skip


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_no_line_is_broken_by_the_terminal(slow, small, line, width: int) -> None:
    child = slow(*line, "-L", "lib", "--offline", width=width, TERM="dumb", NO_COLOR="1")
    child.expect(pexpect.EOF)
    shown = visible(child.before).splitlines()
    # Paths and commands are kept whole, so that they can be copied.
    long = [each for each in shown if len(each) > width and "/" not in each]
    assert [each for each in long if not re.search(r"(: |^ *)pixseek |^sha256 ", each)] == []
    assert shown and "Traceback" not in child.before


def test_a_closed_pipe_ends_quietly(small, tmp_path, environment) -> None:
    code = "import sys; sys.stdout.reconfigure(line_buffering=True)\n" + SLOW_PIXSEEK
    script = f"{sys.executable} -c '{code}' search red -L lib --paths -k 2 | head -c 1 >/dev/null"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    # On a busy machine it may say what it waits for.
    assert [line for line in done.stderr.splitlines() if not line.endswith(" …")] == []
    assert done.returncode in (0, 141)


def test_output_in_an_encoding_that_lacks_the_letters(tmp_path, environment) -> None:
    draw(tmp_path / "photos" / "żółw × 日本.png", "red")
    env = {**environment, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = plain("index", "photos", "-L", "lib", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    done = plain("search", "red", "-L", "lib", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    found = plain("search", "red", "-L", "lib", "--json", cwd=tmp_path, env=env)
    assert json.loads(found.stdout)["hits"][0]["path"].endswith("żółw × 日本.png")


def test_python_m_pixseek(environment) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pixseek", "--version"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert re.fullmatch(r"pixseek \d+\.\d+\.\d+\n", done.stdout)


def test_the_reference_is_up_to_date() -> None:
    script = Path(__file__).parents[2] / "docs" / "generate_cli.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_demo_runs_to_its_end(tmp_path: Path, environment: dict[str, str]) -> None:
    from pixseek.encoders import locate

    if locate("demo", tmp_path) is None:
        pytest.skip("the bundled demo model is not built yet")
    pixseek = [sys.executable, "-m", "pixseek"]
    done = subprocess.run(
        [*pixseek, "demo", "--to", "tour", "--thumbnails", "blocks"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the library holds 240 images" in done.stdout
    assert "not photographs" in done.stdout
    assert "Note:" not in done.stderr
    assert (tmp_path / "tour" / "contact-sheet.html").stat().st_size > 100_000
    ask = subprocess.run(
        [*pixseek, "search", "a red car", "-L", "tour", "-L", "tour/library", "--json", "-k", "3"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    answer = json.loads(ask.stdout)
    assert len(answer["hits"]) == 3
    assert answer["warnings"] == []
    again = subprocess.run(
        [*pixseek, "demo", "--to", tmp_path], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 5
    assert "contains other files" in again.stderr
    assert os.listdir(tmp_path / "tour")
