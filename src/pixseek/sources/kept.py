"""Originals that were fetched and are kept in a folder, with what their servers said of them.

An image lies in `DIR/HOST/HASH.ENDING`, where HASH is that of its URL; nothing there is ever
overwritten: another content of the same URL is another file. The folder `.fetched` remembers, for
each URL, the newest file and the marks by which its server tells whether it has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pixseek import files
from pixseek.errors import ImageError
from pixseek.images import MAX_BYTES
from pixseek.sources.row_index import without_password
from pixseek.sources.urls import Fetched, Wanted

_MARKS = ".fetched"
_MARK_BYTES = 1 << 16
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,5}")


class Kept:
    """A folder of originals. May be used from several threads, one URL in one at a time."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made when the first original comes."""
        self.folder = folder
        self._within = os.path.realpath(folder)

    def wanted(self, url: str) -> Wanted:
        """Return what to ask a server for, given what is kept."""
        known = self._known(url)
        path = self.place(url)
        if known is None or path is None or path.stat().st_size != known["bytes"]:
            return Wanted(url)
        return Wanted(url, known["etag"], known["modified"])

    def place(self, url: str) -> Path | None:
        """Return the file of a URL; None if none is kept."""
        known = self._known(url)
        path = None if known is None else self.folder / known["file"]
        if path is None or not files.is_inside(path, self._within):
            return None
        return path if path.is_file() else None

    def content(self, url: str) -> bytes | None:
        """Return the original of a URL; None if it is not kept, or is not what was fetched."""
        known = self._known(url)
        if known is None:
            return None
        try:
            content = files.read(self.folder / known["file"], MAX_BYTES, within=self._within)
        except OSError:
            return None
        return content if _digest(content) == known["sha256"] else None

    def put(self, url: str, found: Fetched) -> None:
        """Keep an original.

        Raises:
            ImageError: it can't be written.
        """
        assert found.content is not None
        try:
            name = self._written(url, found.content)
            known = {"url": without_password(url), "id": _id(url), "file": name,
                     "bytes": len(found.content), "sha256": _digest(found.content),
                     "etag": found.etag, "modified": found.modified}  # fmt: skip
            marks = self._marks(url)
            marks.parent.mkdir(parents=True, exist_ok=True)
            with files.replacing(marks, sync=False) as file:
                file.write(json.dumps(known).encode())
        except OSError as error:
            raise ImageError(
                "unreadable", f"The original can't be kept ({error.strerror or error})",
                f"{self.folder}", "Free space, or name another folder: --keep DIR",
            ) from error  # fmt: skip

    def _written(self, url: str, content: bytes) -> str:
        """Write a content unless it is there; return its path in the folder."""
        parts = urlsplit(url)
        host = re.sub(r"[^a-z0-9.-]", "_", (parts.hostname or "").lower()).strip(".") or "_"
        ending = os.path.splitext(parts.path)[1]
        ending = ending.lower() if _ENDING.fullmatch(ending) else ".img"
        (self.folder / host).mkdir(parents=True, exist_ok=True)
        if not files.is_inside(self.folder / host, self._within):
            raise OSError(f"{host} is a link that leads out of the folder")
        stem = _id(url)[:24]
        for number in range(1, 1_000):
            name = f"{host}/{stem}{'' if number == 1 else f'-{number}'}{ending}"
            path = self.folder / name
            if not os.path.lexists(path):
                with files.replacing(path, sync=False) as file:
                    file.write(content)
                return name
            with contextlib.suppress(OSError):
                if files.read(path, len(content), within=self._within) == content:
                    return name
        raise OSError("there are too many versions of it")

    def _marks(self, url: str) -> Path:
        digest = _id(url)
        return self.folder / _MARKS / digest[:2] / f"{digest[:24]}.json"

    def _known(self, url: str) -> dict[str, Any] | None:
        try:
            said = json.loads(files.read(self._marks(url), _MARK_BYTES, within=self._within))
        except (OSError, ValueError):
            return None
        kinds = {"file": str, "bytes": int, "sha256": str, "etag": str, "modified": str}
        if not isinstance(said, dict) or said.get("id") != _id(url):
            return None
        if not all(isinstance(said.get(name), kind) for name, kind in kinds.items()):
            return None
        return said if files.stays_inside(said["file"]) else None


def _id(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
