"""Roots: the places that images are indexed from. Apart from sources: every search reads roots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from pixseek.redaction import redacted
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Root:
    """A place that images are indexed from; a source reads it.

    Attributes:
        name: the first part of the URIs of its records; never changes.
        where: where it is now: an absolute path, or a URL. Of shards the last part of the path is
            a pattern: "/data/train-{000..123}.tar" or "/data/*.tar".
        scopes: relative paths that were indexed; ("",) for everything.
        exclude: patterns of what is skipped, in the syntax of .gitignore.
        kind: what reads it: "folder", another of pixseek's own kinds such as "archive", or the name
            of an entry point in `pixseek.sources`.
        options: of that kind; anything JSON can hold.
        include: patterns of what is indexed although it would be skipped by itself (recycle bins,
            previews, hidden folders, unusual endings), in the syntax of .gitignore.
        follow_links: whether links that lead out of the folder are followed, too.
    """

    name: str
    where: str
    scopes: tuple[str, ...] = ("",)
    exclude: tuple[str, ...] = ()
    kind: str = "folder"
    options: Mapping[str, Any] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    follow_links: bool = False

    def __repr__(self) -> str:
        return f"Root({self.name!r}, {redacted(self.where)!r}, kind={self.kind!r})"

    @property
    def path(self) -> Path:
        """Where it is now, as a path; of one that `is_local` only."""
        return Path(self.where)

    @property
    def is_local(self) -> bool:
        """Whether `where` is a path of this machine, and not a URL."""
        return "://" not in self.where
