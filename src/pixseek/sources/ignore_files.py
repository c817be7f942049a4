"""`.pixseekignore`: files that name what to skip in their folder and below."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path

from pixseek import files
from pixseek.sources import patterns
from pixseek.sources.patterns import Patterns
from pixseek.sources.skipping import printable
from pixseek.types import Failure

#: File that names what to skip, in any folder, in the syntax of .gitignore.
IGNORE_FILE = ".pixseekignore"

#: A folder with the patterns of its ignore file.
Ignored = tuple[str, Patterns]


def is_ignored(relative: str, specs: Sequence[Ignored], *, is_folder: bool) -> bool:
    """Return whether ignore files say that a path is skipped.

    Args:
        relative: the path in the root.
        specs: of the folders above it.
        is_folder: whether it is one.
    """
    tail = "/" if is_folder else ""
    return any(
        each.match((relative[len(base) + 1 :] if base else relative) + tail) for base, each in specs
    )


def add_ignore_file(
    name: str, root: Path, folder: str, specs: list[Ignored], within: str | None
) -> Iterator[Failure]:
    """Add the patterns of a folder's ignore file, if it has one, to those of the folders above.

    Args:
        name: of the root.
        root: its path.
        folder: in the root.
        specs: of the folders above; takes the new ones.
        within: the folder that the file has to lie in, resolved; None for any place.

    Yields:
        A failure if some of them are not applied.

    Raises:
        OSError: it can't be read.
    """
    file = root / folder / IGNORE_FILE
    try:
        content = files.beginning(file, patterns.MAX_BYTES + 1, within=within)
    except FileNotFoundError:
        return
    text = content[: patterns.MAX_BYTES].decode("utf-8", "replace")
    found, beyond = patterns.of_file(text, file, [each for _, each in specs])
    specs.append((folder, found))
    if beyond or len(content) > patterns.MAX_BYTES:
        where = f"line {beyond}" if beyond else f"byte {patterns.MAX_BYTES:,}"
        yield Failure(
            f"{name}/{printable(posixpath.join(folder, IGNORE_FILE))}",
            "scan",
            "too-large",
            f"Its patterns from {where} on are not applied: there are too many",
            f"Up to {patterns.MAX_PATTERNS:,} apply to a folder, {patterns.MAX_WILD:,} of them "
            f"with wildcards, these with {patterns.MAX_WILD_LENGTH:,} characters: ignore whole "
            "folders instead.",
        )
