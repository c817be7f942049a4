"""Images on the web that users name one by one; all of a library are one root, a list of URLs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pixseek.errors import SourceError
from pixseek.sources.columns import Roles
from pixseek.sources.locations import LocalFile
from pixseek.sources.row_index import is_url, without_password
from pixseek.sources.rows import RowSource
from pixseek.sources.tabular import OneFile, Row
from pixseek.types import Recognised, Root


class _Named(OneFile):
    """The URLs of a root, as a table without a file."""

    is_text = True
    file = LocalFile(Path(os.devnull))
    files = ()

    def __init__(self, urls: Iterable[str]) -> None:
        self._urls = tuple(urls)

    def rows(self) -> Iterator[Row]:
        return ({"url": url} for url in self._urls)


def recognised(given: str) -> Recognised | None:
    """Return what a URL is, if no other source knows it: one image.

    Raises:
        SourceError: a name and password are in it.
    """
    if not is_url(given) or given.rstrip().endswith("/"):
        return None
    url = given.strip()
    if without_password(url) != url:
        raise SourceError(
            "The URL has a name and password in it, which a library does not keep",
            without_password(url), "Write it into a list of your own: pixseek index urls.txt",
        )  # fmt: skip
    return Recognised("urls", "https://", "web", {"urls": [url]})


def opened(root: Root) -> RowSource:
    """Return the source of a root of kind "urls"."""
    return RowSource(root, _Named(root.options.get("urls", ())), Roles("url"), "images on the web")
