"""Remember what users have accepted: a model's own program code, or its licence.

Code is named by its content and a licence by its text, so a changed one must be accepted again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pixseek.config import make_folder
from pixseek.errors import ModelError

Kind = Literal["code", "licence"]


class Consents:
    """What users have accepted, kept in `consents.json` in the folder of models."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "consents.json"

    def given(self, kind: Kind, what: str) -> bool:
        """Return whether this was accepted."""
        return what in self._read().get(kind, [])

    def give(self, kind: Kind, what: str) -> None:
        """Remember that this is accepted.

        Raises:
            ModelError: it can't be written.
        """
        all_ = self._read()
        all_[kind] = sorted({*all_.get(kind, []), what})
        try:
            make_folder(self._file.parent)
            self._file.write_text(json.dumps(all_, indent=1), "utf-8")
        except OSError as error:
            raise ModelError("your consent could not be saved", self._file, str(error)) from error

    def _read(self) -> dict[str, list[str]]:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            kept = json.loads(self._file.read_text("utf-8"))
            if isinstance(kept, dict):
                return {k: v for k, v in kept.items() if isinstance(v, list)}
        return {}


def code_digest(files: Sequence[Path]) -> str:
    """Return one SHA-256, in hexadecimal, of the names and contents of program files.

    Raises:
        ModelError: a file can't be read.
    """
    whole = hashlib.sha256()
    for path in sorted(files):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError("a model's program code can't be read", path, str(error)) from error
        whole.update(f"{path.name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()
