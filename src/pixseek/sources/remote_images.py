"""The images that the rows of a table name by URL: fetched, kept if wanted, opened later."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.errors import ImageError

if TYPE_CHECKING:
    from pixseek.sources.kept import Kept
    from pixseek.sources.urls import Fetched, Fetcher, Wanted

#: Faults for which an original that was kept does as well.
_PASSING = frozenset(("unreachable", "unreadable", "timeout"))


class RemoteImages:
    """Fetches the images of one root; its methods may be called from several threads."""

    def __init__(self, root: str, keep: Path | None, *, robots: bool) -> None:
        """Set up; nothing is connected yet.

        Args:
            root: name of the root.
            keep: folder for originals; None to keep none.
            robots: whether to fetch only what the robots.txt of each server allows.
        """
        self._root, self._folder, self._robots = root, keep, robots
        self._private = self._offline = False
        self._lock = threading.Lock()
        self._fetcher: Fetcher | None = None
        self._kept: Kept | None = None

    @property
    def keeps(self) -> bool:
        """Whether originals are kept."""
        return self._folder is not None

    def permit(self, *, private: bool, offline: bool) -> None:
        """Say what may be connected to; see `Remote.permit`."""
        self._private, self._offline = private, offline

    def check(self) -> None:
        """Look whether URLs can be fetched.

        Raises:
            MissingExtraError: the packages for it are not installed.
        """
        if not self._offline:
            self._fetching()

    def expect(self, coming: Iterable[tuple[str, str, str]]) -> None:
        """Fetch ahead what will be read, as URIs, URLs and marks in this order."""
        self.close()
        if not self._offline:
            self._fetching().expect((uri, self._wanted(url, marks)) for uri, url, marks in coming)

    def close(self) -> None:
        """Drop what was expected, and close all connections."""
        with self._lock:
            fetcher, self._fetcher = self._fetcher, None
        if fetcher is not None:
            fetcher.close()

    def read(self, uri: str, url: str, marks: str = "") -> Fetched:
        """Return the image of a row, fetched now unless the server says that it is as it was.

        Its content is None if it is that of the marks, and no original is kept.

        Raises:
            ImageError: it can't be fetched, and is not kept. One whose subject ends in "/" is
                about all images of its server.
        """
        from pixseek.sources.answers import UnreachableError

        kept = self._keeping()
        if self._offline:
            return self._kept_or(url, self._refused())
        try:
            found = self._fetching().fetch(uri, self._wanted(url, marks))
            if found.content is None and kept is None:
                return found
            if found.content is None:  # and kept is what was fetched then
                if kept is not None and (content := kept.content(url)) is not None:
                    return replace(found, content=content)
                found = self._fetching().fetch(f"{uri}\0again", _plain(url))
        except UnreachableError as error:
            place = error.host.replace("://", "/")
            blamed = ImageError(
                error.reason, error.problem, f"{self._root}/{place}/", error.advice
            )  # fmt: skip
            return self._kept_or(url, blamed)
        except ImageError as error:
            return self._kept_or(url, ImageError(error.reason, error.problem, uri, error.advice))
        assert found.content is not None
        if kept is not None:
            try:
                kept.put(url, found)
            except ImageError as error:
                raise ImageError(error.reason, f"{error.problem} in {error.subject}", uri,
                                 error.advice) from error  # fmt: skip
        return found

    def open(self, url: str) -> bytes:
        """Return the image of a URL: the kept one, else fetched.

        Raises:
            ImageError: it can't be fetched.
        """
        kept = self._keeping()
        if kept is not None and (content := kept.content(url)) is not None:
            return content
        if self._offline:
            raise self._refused()
        from pixseek.sources.fetching import fetch

        return fetch(url, allow_private=self._private)

    def place(self, url: str) -> Path | None:
        """Return the file of a URL that was kept; None if it was not."""
        kept = self._keeping()
        return None if kept is None else kept.place(url)

    # ---------------------------------------------------------------- inside

    def _kept_or(self, url: str, error: ImageError) -> Fetched:
        kept = self._keeping()
        if kept is None or error.reason not in _PASSING:
            raise error
        content = kept.content(url)
        if content is None:
            raise error
        from pixseek.sources.urls import Fetched

        known = kept.wanted(url)
        return Fetched(content, known.etag, known.modified)

    def _refused(self) -> ImageError:
        return ImageError(
            "unreachable", "Images that are named by URL can't be fetched offline",
            f"{self._root}/", "Run again without --offline (PIXSEEK_OFFLINE).",
        )  # fmt: skip

    def _wanted(self, url: str, marks: str) -> Wanted:
        from pixseek.sources.urls import Wanted

        kept = self._keeping()
        return Wanted.by(url, marks) if kept is None else kept.wanted(url)

    def _keeping(self) -> Kept | None:
        if self._folder is None:
            return None
        with self._lock:
            if self._kept is None:
                from pixseek.sources.kept import Kept

                self._kept = Kept(self._folder)
            return self._kept

    def _fetching(self) -> Fetcher:
        with self._lock:
            if self._fetcher is None:
                from pixseek.sources.urls import Fetcher

                self._fetcher = Fetcher(allow_private=self._private, robots=self._robots)
            return self._fetcher


def _plain(url: str) -> Wanted:
    from pixseek.sources.urls import Wanted

    return Wanted(url)
