"""SHA-256 of model files, remembered.

Reading a model to hash it costs more than a whole search by text, so a digest is kept with the
size and modification time of the file it was taken from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from pixseek.errors import ModelError


class Digests:
    """Digests of files, kept in `digests.json` in a folder where that can be written."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "digests.json"

    def of(self, path: Path) -> str:
        """Return the SHA-256 of the file at `path`, in hexadecimal.

        Raises:
            ModelError: the file can't be read.
        """
        try:
            key, state = self._state(path)
            if (kept := self._read().get(key)) and kept[:2] == state:
                return str(kept[2])
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError("a model file can't be read", path, str(error)) from error
        self._write({key: [*state, digest]})
        return digest

    def _state(self, path: Path) -> tuple[str, list[int]]:
        path = path.resolve()
        with contextlib.suppress(ValueError):  # relative where it can be: the folder may move
            return path.relative_to(self._file.parent.resolve()).as_posix(), _stat(path)
        return path.as_posix(), _stat(path)

    def _read(self) -> dict[str, list[int | str]]:
        try:
            kept = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return {
            key: value
            for key, value in (kept.items() if isinstance(kept, dict) else ())
            if isinstance(value, list) and len(value) == 3
        }

    def _write(self, new: dict[str, list[int | str]]) -> None:
        """Keep `new` as well. Two writers at once lose one entry, which is then hashed again."""
        temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # read-only folders work, they are only slower
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._read() | new, indent=1), "utf-8")
            temporary.replace(self._file)


def _stat(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]
