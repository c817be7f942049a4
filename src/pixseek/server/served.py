"""What a server serves: libraries by name, with what waits for each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from pixseek.errors import PixseekError, unknown
from pixseek.library import Library
from pixseek.library.surfaces import DuplicateGroup, check_no_run
from pixseek.server.access import Access
from pixseek.server.jobs import Jobs
from pixseek.server.kept_answers import KeptAnswers
from pixseek.server.metrics import Metrics
from pixseek.server.pictures import Pictures
from pixseek.server.problems import Refused
from pixseek.server.searching import Searches
from pixseek.server.settings import Settings
from pixseek.types.dataclass import dataclass

#: Seconds that a stop waits for runs, which end after the batch they are at.
_STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """One library.

    Attributes:
        name: by which requests choose it.
        library: open as long as the server runs.
        searches: what answers its queries.
    """

    name: str
    library: Library
    searches: Searches

    def count(self) -> int | None:
        """Return how many images it holds; None if it can't be read now."""
        try:
            return len(self.library)
        except PixseekError:
            return None


class Server:
    """What all routes share."""

    def __init__(
        self, libraries: Mapping[str, Library], *, access: Access, settings: Settings
    ) -> None:
        """Serve these libraries, which are closed with the server; the first is the default."""
        self.access, self.settings = access, settings
        waiting = settings.limits.waiting
        self._served = {
            name: Served(name, library, Searches(library, most_waiting=waiting))
            for name, library in libraries.items()
        }
        self.jobs = Jobs()
        #: Held while all images are compared, for minutes on all cores.
        self.comparing = asyncio.Lock()
        self._groups: dict[str, tuple[str | None, Sequence[DuplicateGroup]]] = {}
        #: Held while uploads are in memory.
        self.decoding = asyncio.Semaphore(settings.limits.uploads_at_once)
        self.answers = KeptAnswers()
        #: Apart from other answers, of which one has room for a hundred.
        self.layouts = KeptAnswers()
        self.pictures = Pictures()
        self.metrics = Metrics(
            (
                ("pixseek_library_images", "Images of a library.", self._images),
                ("pixseek_searches_waiting", "Searches that wait.", self._waiting),
            )
        )

    def named(self, name: str | None) -> Served:
        """Return a library by name; the first for None.

        Raises:
            Refused: there is none of this name.
        """
        if name is None:
            return next(iter(self._served.values()))
        found = self._served.get(name)
        if found is None:
            raise Refused(
                404, "no-library", "No such library", name[:200],
                unknown("library", name, self._served).replace("librarys", "libraries"),
            )  # fmt: skip
        return found

    def all(self) -> list[Served]:
        """Return all, the default first."""
        return list(self._served.values())

    async def groups(
        self, served: Served, threshold: float | None = None, *, exact: bool = False
    ) -> Sequence[DuplicateGroup]:
        """Return what `Library.duplicates` does; with its defaults once a version."""
        find, usual = served.library.duplicates, threshold is None and not exact
        async with self.comparing:
            version = await asyncio.to_thread(served.library.version)
            known, groups = self._groups.get(served.name, (None, ()))
            if not usual or version is None or known != version:
                groups = await asyncio.to_thread(find, threshold, exact=exact)
            if usual:
                self._groups[served.name] = version, groups
            return groups

    def check_free(self, served: Served) -> None:
        """Check that a run over a library can begin.

        Raises:
            LibraryLockedError: another goes on, of this server or of another process.
            Refused: the server ends.
        """
        self.jobs.check_free(served.name)
        check_no_run(served.library)

    def close(self) -> None:
        """Stop runs, let searches end, close the libraries."""
        self.jobs.stop(_STOP_S)
        for each in self._served.values():
            each.searches.close()
            each.library.close()

    def _images(self) -> Mapping[str, float]:
        counts = {name: each.count() for name, each in self._served.items()}
        return {name: count for name, count in counts.items() if count is not None}

    def _waiting(self) -> Mapping[str, float]:
        return {name: each.searches.waiting for name, each in self._served.items()}
