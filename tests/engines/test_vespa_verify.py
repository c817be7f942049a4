"""`vespa/verify`: what it says of a Vespa that answers rightly, and of one that does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_vespa import FakeVespa, serving

SCRIPT = Path(__file__).parents[2] / "vespa" / "verify"


@pytest.fixture
def empty() -> Iterator[FakeVespa]:
    """A Vespa without an application."""
    with serving(FakeVespa({})) as fake:
        yield fake


def verify(fake: FakeVespa, *more: str) -> tuple[int, list[str], str]:
    """Run the script; return its exit status, its lines and what it says of errors."""
    command = [
        sys.executable, SCRIPT, "--engine", f"vespa+{fake.url}/verify",
        "--config-server", fake.url, "--count", "40", "--queries", "20", *more,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("is_reversed", [False, True])
def test_the_verdict_is_right(empty: FakeVespa, is_reversed: bool) -> None:
    empty.is_reversed = is_reversed
    status, lines, errors = verify(empty)
    assert (lines[-1:], errors) == (["different" if is_reversed else "same"], "")
    assert status == is_reversed
    assert any("40 records" in line for line in lines)
    assert any("others without the index" in line for line in lines) is is_reversed
    assert len(empty.documents["verify"]) == 40


@pytest.mark.slow
def test_an_application_that_is_there_is_not_replaced(fake_vespa: FakeVespa) -> None:
    status, _, errors = verify(fake_vespa)
    assert status == 2
    assert "already" in errors and "--replace" in errors
    assert "photos" in fake_vespa.documents
