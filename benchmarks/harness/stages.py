"""The ceilings of indexing: each stage alone on this machine."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.process import DriverError, drive


def measure(
    precisions: tuple[str, ...],
    model: Path,
    photos: Mapping[str, Path],
    seconds: float,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Return images/s of the decoder alone, by size, and of the encoder alone, by precision."""
    answers = {}
    for precision in precisions:
        out = tempfile.mkdtemp(prefix="pixseek-bench-")
        try:
            answers[precision or "default"] = drive(
                Path(sys.executable),
                "stages_pixseek",
                {
                    "model": str(model),
                    "warm": str(photos["warm-up"]),
                    "folders": {k: str(v) for k, v in photos.items() if k != "warm-up"},
                    "out": out,
                    "seconds": seconds,
                },
                environment={"PIXSEEK_PRECISION": precision} if precision else None,
            )
        except DriverError as error:  # such as a precision that this processor does not have
            log(f"  {precision}: {str(error).strip().splitlines()[-1]}")
            continue
        finally:
            shutil.rmtree(out, ignore_errors=True)
        log(f"  {precision or 'default'}: {answers[precision or 'default']['encode']}")
    return answers
