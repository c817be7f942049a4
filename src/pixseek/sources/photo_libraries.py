"""What photo programs know of the files that they wrote into a folder: a database next to them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from pixseek.errors import ImageError, SourceError
from pixseek.types import Failure, PhotoLibrary, Scalar

#: Where packages register photo libraries: the name is the program's, the value a function that
#: takes a folder and returns a `PhotoLibrary`, or None if the program wrote none into it.
GROUP = "pixseek.photo_libraries"
#: pixseek's own, with their modules, which have `opened(folder) -> PhotoLibrary | None`.
OWN: Mapping[str, str] = {"osxphotos": "pixseek.sources.osxphotos"}
#: Seconds for a failure after which a library is not asked again in this run: a locked database
#: takes 5 s, each time.
_SLOW_S = 1.0


class PhotoLibraries:
    """The photo libraries in the folders of one root. May be used from several threads.

    Libraries are programs of others, and their files are of anybody: what fails in one is a failure
    of its folder, and the images are indexed without it.
    """

    def __init__(self, name: str, path: Path) -> None:
        """Describe the root; nothing is opened yet."""
        self._name, self._path = name, path
        self._lock = threading.RLock()
        self._openers: list[tuple[str, Callable[[Path], PhotoLibrary | None]]] | None = None
        self._in: dict[str, list[tuple[str, PhotoLibrary]]] = {}
        self._failures: dict[tuple[str, str], Failure] = {}
        self._given_up: dict[tuple[str, str], Exception] = {}
        # Hashes of the files whose stamps hold what is known of them: there may be a million.
        self._told: set[int] = set()

    def version(self, relative: str) -> str:
        """Return a text that is equal while what is known of a file is; "" if nothing is known."""
        known = "\0".join(found for found in self._each(relative, "version") if found)
        if known:
            with self._lock:
                self._told.add(hash(relative))
        return known

    def fields(self, relative: str) -> dict[str, Scalar | tuple[str, ...]]:
        """Return what is known of a file, as the fields of an `Item`; the nearest library first.

        Raises:
            ImageError: it was known during the scan, and can't be read now. Without it the image
                would count as unchanged in the next run.
        """
        fields: dict[str, Scalar | tuple[str, ...]] = {}
        for found in self._each(relative, "fields"):
            fields = {**found, **fields}
        return fields

    def failures(self) -> Iterator[Failure]:
        """Yield a failure for each library that could not be read."""
        with self._lock:
            found = list(self._failures.values())
        yield from found

    def _each(self, relative: str, method: str) -> Iterator[Any]:
        folder = os.path.dirname(relative)
        while True:
            for program, library in self._of(folder):
                inside = relative[len(folder) + 1 :] if folder else relative
                error = self._given_up.get((program, folder))
                began = time.monotonic()
                if error is None:
                    try:
                        found = getattr(library, method)(inside)
                    except Exception as raised:
                        error = raised
                        if time.monotonic() - began > _SLOW_S:
                            self._given_up[program, folder] = error
                    else:
                        yield found
                        continue
                is_passing = isinstance(error, SourceError | OSError)
                if is_passing and method == "fields" and hash(relative) in self._told:
                    raise ImageError(
                        "unreadable", f"What {program} knows of it can't be read ({error})"[:300],
                        f"{self._name}/{relative}", "Run again: pixseek index",
                    ) from error  # fmt: skip
                self._failed(program, folder, error)
            if not folder:
                return
            folder = os.path.dirname(folder)

    def _of(self, folder: str) -> list[tuple[str, PhotoLibrary]]:
        """Return the libraries in a folder, opened once."""
        with self._lock:
            if folder in self._in:
                return self._in[folder]
            if self._openers is None:
                self._openers = list(self._found())
            openers = self._openers
        found = []
        for program, opener in openers:
            try:
                library = opener(self._path / folder if folder else self._path)
            except Exception as error:
                self._failed(program, folder, error)
                continue
            if library is not None:
                found.append((program, library))
        with self._lock:
            return self._in.setdefault(folder, found)

    def _found(self) -> Iterator[tuple[str, Callable[[Path], PhotoLibrary | None]]]:
        """Yield what opens libraries; a package that can't be loaded is one failure."""
        from importlib.metadata import entry_points

        for name, module in OWN.items():
            yield name, import_module(module).opened
        for point in entry_points(group=GROUP):
            try:
                opener = point.load()
            except Exception as error:
                self._failed(point.name, "", error)
                continue
            yield point.name, cast("Callable[[Path], PhotoLibrary | None]", opener)

    def _failed(self, program: str, folder: str, error: Exception) -> None:
        # Named after the library, so that records of the folder are compared as always.
        uri = "/".join(filter(None, (self._name, folder, f"({program})")))
        failure = Failure(
            uri, "scan", "unreadable",
            f"What {program} knows of these photos can't be read ({error})"[:300],
            "The images are indexed without it. Export again, then run: pixseek index",
        )  # fmt: skip
        with self._lock:
            self._failures.setdefault((program, folder), failure)
