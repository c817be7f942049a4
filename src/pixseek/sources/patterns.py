"""Patterns in the syntax of .gitignore: what a walk excludes, and what it includes after all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.errors import ConfigError
from pixseek.sources.skipping import folded

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


class Included:
    """Patterns of what is indexed although a walk would skip it, without regard to case.

    Attributes:
        paths: those patterns that name one path of the root, as relative paths.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        """Take patterns in the syntax of .gitignore.

        Raises:
            ConfigError: one can't be understood.
        """
        paths = {pattern: _literal(pattern) for pattern in patterns}
        self.paths = frozenset(path for path in paths.values() if path)
        self._specs = [
            (pattern.endswith("/"), compiled([folded(pattern)]))
            for pattern, path in paths.items()
            # As the library remembers a path that was named: there may be many.
            if not (path and pattern.startswith("/") and not pattern.endswith("/"))
        ]

    def folder(self, relative: str) -> bool:
        """Return whether a folder is included."""
        return any(spec.match_file(f"{folded(relative)}/") for _, spec in self._specs)

    def covers(self, relative: str) -> bool:
        """Return whether a file is included in any way, also by a folder that it lies in."""
        return (
            relative in self.paths
            or any(relative.startswith(f"{path}/") for path in self.paths)
            or any(spec.match_file(relative) for _, spec in self._specs)
        )

    def file(self, relative: str) -> bool:
        """Return whether a file is included by its own name, and not by that of a folder."""
        relative = folded(relative)
        above = f"{relative.rpartition('/')[0]}/"
        return any(
            spec.match_file(relative) and (above == "/" or not spec.match_file(above))
            for folders_only, spec in self._specs
            if not folders_only
        )


def _literal(pattern: str) -> str:
    """Return the path that a pattern such as "/a/b" or "a/b/" names; "" if it means more."""
    path = re.sub(r"\\(.)", "\0\\1", pattern.rstrip("/"))
    if "/" not in path or path.startswith("!") or re.search(r"(?<!\0)[*?\[]", path):
        return ""
    return path.replace("\0", "").lstrip("/")


def compiled(lines: Iterable[str], file: Path | None = None) -> GitIgnoreSpec:
    """Return patterns as they match.

    Args:
        lines: in the syntax of .gitignore.
        file: where they stand, for errors; None for options.

    Raises:
        ConfigError: one can't be understood.
    """
    from pathspec import GitIgnoreSpec

    lines = list(lines)
    if file is None:  # an option has no comments, and Synology has a folder #recycle
        lines = [f"\\{line}" if line.startswith("#") else line for line in lines]
    try:
        return GitIgnoreSpec.from_lines(lines)
    except Exception as error:  # pathspec raises its own kinds
        number, wrong = _wrong_of(lines)
        raise ConfigError(
            "A pattern can't be understood",
            wrong if file is None else f"{file}, line {number}: {wrong}",
            "Patterns follow the syntax of .gitignore, such as 'Screenshots/' or '*.gif'.",
        ) from error


def _wrong_of(lines: list[str]) -> tuple[int, str]:
    """Return the number, from 1, and the text of the first pattern that can't be understood."""
    from pathspec import GitIgnoreSpec

    for number, line in enumerate(lines, 1):
        try:
            GitIgnoreSpec.from_lines([line])
        except Exception:  # as above
            return number, line
    return 1, ", ".join(lines)  # only together
