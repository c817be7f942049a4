"""The reference pages follow from the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pixseek


def test_the_reference_is_up_to_date() -> None:
    script = Path(__file__).parents[1] / "docs" / "generate_reference.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nrun: python {script}"


def test_the_public_names_are_these_and_all_there() -> None:
    # A name that is added or lost here is a change for users: it goes into the changelog.
    assert pixseek.__all__ == [
        "And",
        "Compare",
        "Encoder",
        "Engine",
        "Failure",
        "Hit",
        "Library",
        "Not",
        "Or",
        "Part",
        "PixseekError",
        "Progress",
        "Query",
        "Record",
        "Report",
        "Results",
        "RootStatus",
        "Status",
        "Term",
        "__version__",
        "open",
    ]
    for name in pixseek.__all__:
        assert getattr(pixseek, name) is not None
