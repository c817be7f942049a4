"""Cache files: which of them are no longer of use, and which this user has made.

What reads a cache (a codec, an index library) trusts its file. A library may come from elsewhere
with such files in it. So each has a tag in its name, made with a key that only this user has: files
that others made are not read, and rebuilt.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from pixseek.config import data_folder, make_folder
from pixseek.storage import private

#: An unfinished file that is older than this was left by a process that was killed.
_ABANDONED_S = 3600

#: Bytes of the key, and of a tag.
_KEY, _TAG = 32, 8


def tag(contents: Iterable[bytes], *about: object) -> str:
    """Return the tag of a cache file that this user makes, 16 hexadecimal digits.

    Args:
        contents: of the file, or what of it has to be right.
        about: what else has to be, such as the rows it is about.
    """
    digest = hashlib.blake2b(key=_key(data_folder() / "caches.key"), digest_size=_TAG)
    digest.update(repr(about).encode())
    for each in contents:
        digest.update(each)
    return digest.hexdigest()


@functools.cache
def _key(path: Path) -> bytes:
    """Return this user's key; one for this process if there is none and none can be made."""
    with contextlib.suppress(OSError):
        if not path.exists():
            _make_key(path)
        found = path.read_bytes()
        if len(found) == _KEY:
            return found
    return os.urandom(_KEY)


def _make_key(path: Path) -> None:
    make_folder(path.parent)
    unfinished = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, private.FILE)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(_KEY))
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(unfinished, path)
    finally:
        os.unlink(unfinished)


def sweep(folder: Path, pattern: str, name: re.Pattern[str], generations: set[str]) -> None:
    """Delete the files of other generations, and unfinished files of killed processes.

    Args:
        folder: of the files.
        pattern: of their names, unfinished ones too.
        name: of a finished one; its first group is the generation.
        generations: of the vector files that are in use.
    """
    for path in folder.glob(pattern):
        found = name.fullmatch(path.name)
        with contextlib.suppress(OSError):
            if found:
                stale = found[1] not in generations
            else:
                stale = time.time() - path.stat().st_mtime > _ABANDONED_S
            if stale:
                path.unlink()
