"""Environments for the peers: each in a folder of its own, made once, left alone afterwards."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: First and alone, so that pip takes the CPU build where the machine offers one.
TORCH = ("torch==2.13.0",)

#: For each environment, the arguments of one `pip install` after another. What conflicts is apart.
RECIPES: dict[str, tuple[tuple[str, ...], ...]] = {
    "torch": (
        TORCH,
        (
            "transformers>=5",
            "sentence-transformers",
            "pillow",
            "onnx",
            "ftfy",
            "regex",
            "flask>=3",
        ),
        ("--no-deps", "open_clip_torch"),
    ),
    "rclip": (("rclip==3.3.0",),),
    "stores": (
        # apsw: many builds of Python have an sqlite3 that may not load sqlite-vec.
        ("numpy", "faiss-cpu", "lancedb", "chromadb", "sqlite-vec", "apsw"),
        ("milvus-lite", "pymilvus"),
    ),
    "clip-retrieval": (
        TORCH,
        ("--no-deps", "torchvision==0.28.0"),
        ("clip-retrieval==2.45.0", "transformers<5", "setuptools<80"),
    ),
    "py-spy": (("py-spy",),),
}

#: Those that `run.py` needs.
PEERS = ("torch", "rclip", "stores", "clip-retrieval")


@dataclass(frozen=True, slots=True)
class Environment:
    """A peer's environment: its interpreter and packages, or the reason why there is none."""

    name: str
    python: Path | None
    packages: dict[str, str]
    reason: str = ""


def own() -> Environment:
    """Return the environment that runs pixseek: this one."""
    return Environment("pixseek", Path(sys.executable), _packages(Path(sys.executable)))


def ensure(name: str, folder: Path, log: Callable[[str], None]) -> Environment:
    """Make an environment, or take the one that an earlier run made from the same recipe.

    A failure is kept too, and not tried again until its folder is deleted or the recipe changes.
    """
    recipe = RECIPES[name]
    place = folder / f"{name}-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:8]}"
    python, note = place / "bin" / "python", place / "outcome.json"
    if not note.exists():
        log(f"making the environment {place}")
        shutil.rmtree(place, ignore_errors=True)
        venv.create(place, with_pip=True)
        reason = next(filter(None, (_install(python, step) for step in recipe)), "")
        note.write_text(json.dumps({"reason": reason, "packages": _packages(python)}, indent=1))
    outcome = json.loads(note.read_text())
    usable = None if outcome["reason"] else python
    return Environment(name, usable, outcome["packages"], outcome["reason"])


def _install(python: Path, arguments: tuple[str, ...]) -> str:
    """Install; return "" or the lines of pip that say why not."""
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return f"pip install {' '.join(arguments)}: {' '.join(errors)[:500] or done.stderr[-500:]}"


def _packages(python: Path) -> dict[str, str]:
    script = (
        "import json; from importlib.metadata import distributions as all_of;"
        "print(json.dumps({d.name.lower(): d.version for d in all_of()}))"
    )
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    packages: dict[str, str] = json.loads(done.stdout)
    return packages
