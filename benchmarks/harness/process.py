"""Run a driver in the environment of its peer."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from protocol import measured

__all__ = ["DriverError", "drive", "measured"]

DRIVERS = Path(__file__).parents[1] / "peers"


class DriverError(Exception):
    """A driver failed; the text is the end of what it said."""


def drive(
    python: Path,
    driver: str,
    arguments: dict[str, Any],
    *,
    environment: dict[str, str] | None = None,
    timeout: float = 900,
) -> dict[str, Any]:
    """Return the answer of `peers/<driver>.py`.

    Raises:
        DriverError: it failed, or took longer than `timeout` seconds.
    """
    # Nothing here may ask a hub: the weights are made, not fetched.
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [str(python), str(DRIVERS / f"{driver}.py"), json.dumps(arguments)]
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **offline, **(environment or {})},
        )
    except subprocess.TimeoutExpired:
        raise DriverError(f"stopped after {timeout:.0f} s") from None
    if done.returncode:
        raise DriverError(done.stderr.strip()[-800:] or f"exit code {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout.rstrip().rsplit("\n", 1)[-1])
    return answer
