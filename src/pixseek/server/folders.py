"""Which folders of the server's machine a client with the right to write may have indexed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pixseek.errors import QueryError
from pixseek.library.named_paths import is_address
from pixseek.server.problems import Refused


def indexable(text: str, allowed: Iterable[Path], *, or_file: bool = False) -> Path:
    """Return the folder that a text names, if it may be indexed.

    Args:
        text: its absolute path, or one from the home folder: "~/Pictures".
        allowed: folders that may be indexed, with all below them that is not hidden.
        or_file: it may be an archive or a table as well.

    Raises:
        Refused: it lies in none of them when all links are resolved; whether it is there is not
            told.
        QueryError: there is no such folder, or it is an address.
    """
    if is_address(text.strip()):
        raise QueryError(
            "Addresses of buckets and servers are indexed by command only", text[:200],
            "Run: pixseek index ADDRESS",
        )  # fmt: skip
    wanted = os.path.expanduser(text.strip())
    if "\0" in wanted or not os.path.isabs(wanted):
        raise QueryError(
            "Not a folder's whole path", text[:200], "Write it as /home/you/Pictures or ~/Pictures."
        )
    try:
        folder = Path(wanted).resolve()
        places = [each.resolve() for each in allowed]
        below = [folder.relative_to(each) for each in places if folder.is_relative_to(each)]
    except (OSError, RuntimeError):  # a ring of links, a name that is too long
        below = []
    if not any(all(not part.startswith(".") for part in each.parts) for each in below):
        raise Refused(
            403, "folder", "This folder may not be indexed from here", text[:200],
            "Start the server with --folders DIR, or run: pixseek index DIR",
        )  # fmt: skip
    if not (folder.is_dir() or (or_file and folder.is_file())):
        raise QueryError("No such folder", text[:200], "Check the path.")
    return folder
