"""What indexing run a client may start, and the start of it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pixseek.errors import QueryError
from pixseek.library.recognising import names_urls
from pixseek.server.facts import is_web_address
from pixseek.server.folders import indexable
from pixseek.server.jobs import Job
from pixseek.server.queries import Given
from pixseek.server.served import Served, Server
from pixseek.types import Progress, Report


class Start(Given):
    """A run to start."""

    kind: Literal["index", "reread", "recheck"] = Field(
        default="index", description="index: bring all folders up to date; reread: and read the "
        "metadata of unchanged files again; recheck: and ask the servers of images that are named "
        "by URL which have changed.",
    )  # fmt: skip
    retry: bool = Field(default=False, description="Try files again that failed before.")
    ocr: bool | None = Field(
        default=None, description="Read the text in pictures from now on, or no longer; if "
        "missing, as the library did before. Needs pixseek[ocr] on the server.",
    )  # fmt: skip
    folder: str | None = Field(
        default=None, max_length=4096, description="The path of one folder, archive, table or list "
        "of URLs, which becomes part of the library if it is not: a root, or one below those that "
        "the server allows. If missing, all folders of the library.",
    )  # fmt: skip
    urls: list[Annotated[str, Field(max_length=2048)]] = Field(
        default=[], max_length=1000, description="Images on the web, which become part of the "
        "library; only of a server that may fetch URLs.",
    )  # fmt: skip
    keep: str | None = Field(
        default=None, max_length=4096, description="The path of the folder in which images that "
        "are named by URL are kept as they were fetched: a root, or one below those that the "
        "server allows. Remembered.",
    )  # fmt: skip
    robots: bool | None = Field(
        default=None, description="Fetch only what the robots.txt of servers allows. Remembered.",
    )  # fmt: skip


def begun(server: Server, served: Served, what: Start) -> Job:
    """Start a run over a library, for somebody with the right to write.

    Raises:
        LibraryLockedError: another run goes on.
        QueryError: there is no folder to index, or none of this path; or a URL may not be fetched.
        Refused: the folder may not be indexed from outside.
    """
    roots = served.library.roots()
    allowed = (*server.settings.folders, *(root.path for root in roots if root.is_local))
    folder = None if what.folder is None else indexable(what.folder, allowed, or_file=True)
    named: tuple[Path | str, ...] = (*((folder,) if folder is not None else ()), *what.urls)
    keep = None if what.keep is None else indexable(what.keep, allowed)
    if what.urls and not server.settings.fetch_urls:
        raise _fetches_nothing()
    if not all(is_web_address(url) for url in what.urls):
        raise QueryError("Not a URL of an image", "", "Write it as https://example.org/lake.jpg")
    if not named and not roots:
        raise QueryError(
            "The library has no folder to index", "", "Index one first: pixseek index DIR"
        )
    server.check_free(served)

    def run(stop: threading.Event) -> Generator[Progress, None, Report]:
        # Within the run, since all rows of a table have to be read to know.
        if folder and not server.settings.fetch_urls and names_urls(folder, roots):
            raise _fetches_nothing(what.folder or "")
        return (
            yield from served.library.indexing(
                *named,
                retry=what.retry,
                reread=what.kind == "reread",
                recheck=what.kind == "recheck",
                ocr=what.ocr,
                keep=keep,
                robots=what.robots,
                stop=stop,
            )
        )

    return server.jobs.start(served.name, what.kind, run)


def _fetches_nothing(subject: str = "") -> QueryError:
    return QueryError(
        "This server fetches nothing from other hosts", subject, "Start it with --fetch-urls."
    )
