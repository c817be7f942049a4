"""SHA-256 of model files, remembered.

Hashing a model takes longer than a whole search by text, so a digest is kept with the size and
modification time of its file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from pixseek.config import make_folder
from pixseek.errors import ModelError


class Digests:
    """Digests of files, kept in `digests.json` in a folder if that is writable."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "digests.json"
        self._taken: dict[str, list[int | str]] = {}

    def of(self, path: Path) -> str:
        """Return the SHA-256 of the file at `path`, in hexadecimal.

        Raises:
            ModelError: the file can't be read.
        """
        try:
            key, state = self._state(path)
            if (kept := self._read().get(key)) and _same(kept, state):
                return str(kept[2])
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError("a model file can't be read", path, str(error)) from error
        self._taken[key] = [*state, digest]
        self._write()
        return digest

    def _state(self, path: Path) -> tuple[str, list[int]]:
        path = path.resolve()
        with contextlib.suppress(ValueError):  # relative if possible: the folder may move
            return path.relative_to(self._file.parent.resolve()).as_posix(), _stat(path)
        return path.as_posix(), _stat(path)

    def _read(self) -> dict[str, list[int | str]]:
        try:
            kept = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return self._taken
        entries = kept.items() if isinstance(kept, dict) else ()
        good = {key: v for key, v in entries if isinstance(v, list) and len(v) == 3}
        return good | self._taken

    def _write(self) -> None:
        """Write all digests. If two write at once, a lost entry is hashed again later."""
        temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # a read-only folder works, more slowly
            make_folder(self._file.parent)
            temporary.write_text(json.dumps(self._read(), indent=1), "utf-8")
            temporary.replace(self._file)


def _same(kept: list[int | str], state: list[int]) -> bool:
    """Return whether size and time are unchanged; container images cut times to seconds."""
    size, now = state
    then = kept[1]
    second = 1_000_000_000
    return kept[0] == size and (
        then == now or (isinstance(then, int) and now == then - then % second)
    )


def _stat(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]
