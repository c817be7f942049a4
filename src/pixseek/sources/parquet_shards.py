"""The files of a data set in Parquet, here or on a server: `data/train-00000-of-00002.parquet`."""

from __future__ import annotations

import posixpath
import re
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from pixseek.sources.locations import LocalFile, Location
from pixseek.sources.remote_files import Network, RemoteFiles
from pixseek.sources.remote_reading import FRESH_S, RemoteFile
from pixseek.types import Recognised

_OF = re.compile(r"[\w.-]*-\d{5}-of-\d{5}(-[0-9a-f]+)?\.(parquet|arrow)")


def parquet_of(names: Iterable[str], below: str = "") -> list[str]:
    """Return those names that are shards of a data set in Parquet or Arrow, in order.

    Args:
        names: of the files of a folder.
        below: what is put before each, such as "data/".
    """
    return [below + name for name in sorted(names) if _OF.fullmatch(name)]


def files_here(folder: Path, names: Iterable[str]) -> dict[str, Location]:
    """Return files on this machine by their paths in a folder."""
    return {name: LocalFile(folder / name) for name in names}


def in_parquet(address: str) -> Recognised:
    """Return a folder on a server as a data set in Parquet."""
    where = address.rstrip("/")
    return Recognised("dataset", where, where.rpartition("/")[2], {"as": "parquet"})


class RemoteShards:
    """Lists the files of a data set, at most every half minute. For several threads."""

    def __init__(self, address: str, network: Network) -> None:
        """Name the folder; nothing is connected yet."""
        self._top = RemoteFiles(address, network)
        self._data = RemoteFiles(f"{address}/data", network)
        self._lock = threading.Lock()
        self._found: Mapping[str, Location] = {}
        self._at = -FRESH_S

    def __call__(self) -> Mapping[str, Location]:
        """Return the files by their paths in the folder, in order; empty if it has none.

        Raises:
            OSError: it can't be listed.
        """
        with self._lock:
            if time.monotonic() - self._at > FRESH_S:
                self._found = self._in(self._top, "") or self._in(self._data, "data/")
                self._at = time.monotonic()
            return self._found

    def _in(self, folder: RemoteFiles, below: str) -> dict[str, Location]:
        try:
            known = {posixpath.basename(each.path): each for each in folder.files_in("")}
        except FileNotFoundError:
            return {}
        return {f"{below}{name}": RemoteFile(folder, name, known[name])
                for name in parquet_of(known)}  # fmt: skip
