"""Say why tests were skipped, and with `--only-permitted-skips` fail if that was not permitted.

A skipped test proves nothing, and a run that skips half of the suite looks as green as one that
skips none. So every skip is printed with its reason. `.ci/run` passes the option: if the test
material is there, each skip must then be permitted by a line of `permitted_skips.txt`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PERMITTED = Path(__file__).with_name("permitted_skips.txt")


class Skip(NamedTuple):
    """A skipped test, or a whole file of them."""

    test: str
    reason: str


def permitted(lines: Iterable[str]) -> list[Skip]:
    """Patterns of `test: reason`, one a line, read from the lines of `permitted_skips.txt`.

    Raises:
        ValueError: a line is neither a comment nor `test: reason`.
    """
    patterns = []
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        test, colon, reason = line.strip().partition(": ")
        if not colon:
            raise ValueError(f"{line!r} in {PERMITTED.name} is not 'test: reason'")
        patterns.append(Skip(test, reason))
    return patterns


def forbidden(skips: Iterable[Skip], patterns: Sequence[Skip]) -> list[Skip]:
    """Those of `skips` that no pattern permits. `*` in a pattern stands for any text."""
    return [
        skip
        for skip in skips
        if not any(
            fnmatchcase(skip.test, allowed.test) and fnmatchcase(skip.reason, allowed.reason)
            for allowed in patterns
        )
    ]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--only-permitted-skips",
        action="store_true",
        help=f"fail if a test is skipped that {PERMITTED.name} does not permit "
        "(only if the test material is there)",
    )


class Skips:
    """Collects what one run skips; with pytest-xdist, in the process that reports."""

    def __init__(self, config: pytest.Config, material: Path) -> None:
        self.strict = config.getoption("--only-permitted-skips") and material.is_dir()
        self.skips: set[Skip] = set()
        self.forbidden: list[Skip] = []

    def add(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if (
            report.skipped
            and not hasattr(report, "wasxfail")
            and isinstance(report.longrepr, tuple)
        ):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            self.skips.add(Skip(report.nodeid, " ".join(reason.split())))

    pytest_runtest_logreport = add
    pytest_collectreport = add

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.strict:
            self.forbidden = forbidden(sorted(self.skips), permitted(PERMITTED.open()))
        if self.forbidden and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        write = terminalreporter.write_line
        for reason, times in sorted(Counter(skip.reason for skip in self.skips).items()):
            tests = sorted(skip.test for skip in self.skips if skip.reason == reason)
            # Without the test material hundreds are skipped for a few reasons.
            shown = tests if self.strict else tests[:1]
            write(f"skipped {times}: {reason} ({', '.join(shown)}{', ...' * (shown != tests)})")
        if self.forbidden:
            terminalreporter.section("skipped without permission", red=True)
            for skip in self.forbidden:
                write(f"{skip.test}: {skip.reason}")
            write(f"Make these tests run here, or permit the skip in {PERMITTED.name} and say why.")
