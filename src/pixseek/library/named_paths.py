"""Paths that users name: whether they can be indexed, and how they are shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pixseek import files
from pixseek.redaction import redacted
from pixseek.types import Failure, Root

NOT_THERE = ("No such file or folder", "Check the path.")

#: Bytes that tell the format of a file.
_BEGINNING = 1 << 16


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return a path that a user typed as an absolute one, spelled as on the disk."""
    # What begins with "~" and names no user is a file of that name.
    found = Path(os.path.abspath(Path(os.path.expanduser(path))))
    if str(found).isascii():
        return found
    from pixseek.sources.spelling import as_written

    return as_written(found)


def absolute_or_address(path: str | os.PathLike[str]) -> str:
    """Return the absolute path of a folder; an address as it is."""
    given = os.fspath(path)
    return given.rstrip("/") if is_address(given) else os.path.abspath(given)


def is_address(text: str) -> bool:
    """Return whether a text is an address of a bucket or server, and not a path."""
    from pixseek.sources.remote_files import is_remote

    return is_remote(text)


def first_look(
    roots: Sequence[Root], uri_of: Callable[[Path], str | None]
) -> Callable[[Path, str | os.PathLike[str]], Failure | None]:
    """Return what says why a file named for the first time is not an image; None if it may be.

    It reads the beginning of the file. Whether the rest is in order, the run will find out.
    Scopes and URIs are looked up once a folder, since a list may name a hundred thousand files.
    """
    from pixseek import video
    from pixseek.images.formats import not_an_image
    from pixseek.sources.skipping import is_candidate, is_video_name

    scopes = {root.name: frozenset(root.scopes) for root in roots}
    uris: dict[Path, str | None] = {}

    def look(path: Path, given: str | os.PathLike[str]) -> Failure | None:
        if not os.path.isfile(path):
            return None
        if path.parent not in uris:
            uris[path.parent] = uri_of(path.parent)
        if (folder := uris[path.parent]) is not None:
            name, _, relative = f"{folder.rstrip('/')}/{path.name}".partition("/")
            if "" in scopes[name] or relative in scopes[name]:
                return None  # not the first time
        try:
            beginning = files.beginning(path, _BEGINNING)
            error = not_an_image(beginning)
            if is_video_name(path.name) and is_candidate(str(path)) and video.media(beginning):
                error = None
        except OSError:
            return None  # the run says why
        if error is None:
            return None
        return Failure(shown(given), "scan", error.reason, error.problem, error.advice)

    return look


def unusable(path: Path) -> tuple[str, str] | None:
    """Return why a path can't be indexed, and what to do; None if it can."""
    if not os.path.exists(path):  # also if no system has names as long
        return NOT_THERE
    if not (os.path.isfile(path) or os.path.isdir(path)):
        return "It is a pipe, a socket or a device", "Name an image or a folder."
    if not is_text(path):
        return "The path's name is not valid text", "Rename it, then index it."
    return None


def is_text(path: Path) -> bool:
    """Return whether a path can be a part of a URI; others are never indexed."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(given: str | os.PathLike[str]) -> str:
    """Return a path that was given, as text that can be printed."""
    text = os.fspath(given).encode("utf-8", "surrogateescape")
    return redacted(text.decode("utf-8", "backslashreplace"))
