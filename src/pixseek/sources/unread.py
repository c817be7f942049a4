"""What is said of files in folders that can't be read."""

from __future__ import annotations

import shlex
from pathlib import Path

from pixseek import files
from pixseek.types import Failure


def outside(uri: str, root: Path) -> Failure:
    """Return the failure of a link that leads out of the folder `root`."""
    return Failure(
        uri,
        "scan",
        "outside",
        "A link leads out of the indexed folder",
        f"To follow such links: pixseek index --follow-links {shlex.quote(str(root))}",
    )


def unread(uri: str, error: OSError, root: Path) -> Failure:
    """Return the failure of a file, or of what was taken for one, in the folder `root`."""
    if isinstance(error, files.OutsideError):
        return outside(uri, root)
    if isinstance(error, files.NotRegularError):
        reason, message = "not-a-file", "It is a folder, a pipe, a socket or a device"
        advice = "Remove it, or skip it with --exclude."
    elif isinstance(error, files.TooLargeError):
        reason, message = "too-large", f"The file is too large ({error.strerror})"
        advice = "Make it smaller, or skip it with --exclude."
    elif isinstance(error, PermissionError):
        reason, message = "no-permission", "It may not be read by this user"
        advice = "Change its permissions and run again."
    elif isinstance(error, FileNotFoundError | NotADirectoryError):
        reason, message = "missing", "The file was renamed, moved or deleted during the run"
        advice = "Run again: pixseek index"
    else:
        reason, message = "unreadable", f"It can't be read ({error.strerror or error})"
        advice = "Check the disk, then run again with --retry."
    return Failure(uri, "read", reason, message, advice)
