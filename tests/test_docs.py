"""Every example in the docs runs: `console` blocks by their exit codes, `python` blocks as written.

Each page is one session in a folder with a few drawn pictures, with the demo model.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Pages outside of docs/, which Sphinx does not check.
LOOSE = sorted(
    ROOT / name
    for name in (
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "benchmarks/page.md",
        "findings/README.md",
        "training/README.md",
    )
)
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)

# What takes minutes, needs a network or a model, or is a shell's own file: shown, not run.
SHOWN_ONLY = re.compile(
    r"^(make |pip |git |docker |source |"
    r"pixseek (doctor --fetch|models (benchmark$|download |trust |export |verify ~|calibrate ~)|"
    r".*--(labels-from|text-model) |.*--model (clip|siglip)))"
)


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pixseek.demo.picture_library import write_picture_library

    folder = tmp_path_factory.mktemp("docs") / "Pictures"
    write_picture_library(folder, count=40)
    return folder


#: The page that a reader begins with; the others run in the slow tier.
FIRST = "README.md"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            p, marks=() if p.name == FIRST else pytest.mark.slow, id=str(p.relative_to(ROOT))
        )
        for p in PAGES
        if blocks(p)
    ],
)
def test_examples_run(page: Path, pictures: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(pictures, tmp_path / "Pictures")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PIXSEEK_MODEL": "demo",
        "PIXSEEK_OFFLINE": "1",
    }
    commands = []
    for kind, text in blocks(page):
        if kind == "python":
            commands.append([sys.executable, "-c", text])
        else:
            commands += [
                ["bash", "-euc", line[2:]]
                for line in text.splitlines()
                if line.startswith("$ ") and not SHOWN_ONLY.match(line[2:])
            ]
    assert commands, f"{page} has blocks with nothing to run"
    with ExitStack() as running:
        for command in commands:
            if command[-1].endswith(" &"):
                running.enter_context(background(command[-1][:-2], tmp_path, environment))
                continue
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"


@contextmanager
def background(command: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Start what a reader leaves running, and wait for the first line that it prints."""
    process = subprocess.Popen(
        ["bash", "-euc", f"exec {command}"], cwd=folder, env=environment,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline(), command
        try:
            yield
        finally:
            process.kill()
            process.wait()


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(text)
    }


@pytest.mark.parametrize("page", LOOSE, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    # `make docs` checks the pages in docs/.
    broken = []
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page
        if page.name == "page.md":  # it becomes docs/benchmarks.md
            target = (ROOT / "docs" / path).resolve()
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert not broken


def test_every_page_is_in_the_contents() -> None:
    docs = ROOT / "docs"
    listed = (docs / "index.md").read_text(encoding="utf-8").splitlines()
    pages = [str(path.relative_to(docs).with_suffix("")) for path in docs.rglob("*.md")]
    assert [page for page in pages if page not in {*listed, "index"}] == []
