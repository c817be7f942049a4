"""What photo programs know of the files that they wrote into a folder: a database next to them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeGuard, cast

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
    of its folder, and the images are indexed without it. Only if it may be read at another time
    (it raises OSError), as a locked database, do new and changed images wait for it.
    """

    def __init__(self, name: str, path: Path) -> None:
        """Describe the root; nothing is opened yet."""
        self._name, self._path = name, path
        self._lock = threading.RLock()
        self._openers: list[tuple[str, Callable[[Path], PhotoLibrary | None]]] | None = None
        self._in: dict[str, list[tuple[str, PhotoLibrary | OSError]]] = {}
        self._failures: dict[tuple[str, str], Failure] = {}
        self._given_up: dict[tuple[str, str], Exception] = {}
        # Hashes of the files whose stamps hold what is known of them: there may be a million.
        self._told: set[int] = set()
        # By the same hashes, what could not be asked during the scan, and why.
        self._untold: dict[int, tuple[str, Exception]] = {}

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
            ImageError: it was known during the scan, and can't be read now (without it the image
                would count as unchanged in the next run); or it could not be read then, and the
                record would lose what it has of it.
        """
        if (untold := self._untold.get(hash(relative))) is not None:
            raise self._unread(relative, *untold)
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
                if isinstance(library, OSError):
                    error: Exception | None = library
                else:
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
                    raise self._unread(relative, program, error) from error
                if method == "version" and _may_pass(error):
                    with self._lock:
                        self._untold[hash(relative)] = (program, error)
                self._failed(program, folder, error)
            if not folder:
                return
            folder = os.path.dirname(folder)

    def _unread(self, relative: str, program: str, error: Exception) -> ImageError:
        return ImageError(
            "unreadable", f"What {program} knows of it can't be read ({error})"[:300],
            f"{self._name}/{relative}", "Run again: pixseek index",
        )  # fmt: skip

    def _of(self, folder: str) -> list[tuple[str, PhotoLibrary | OSError]]:
        """Return the libraries in a folder, opened once; an error for one that can't be now."""
        with self._lock:
            if folder in self._in:
                return self._in[folder]
            if self._openers is None:
                self._openers = list(self._found())
            openers = self._openers
        found: list[tuple[str, PhotoLibrary | OSError]] = []
        is_settled = True
        for program, opener in openers:
            began = time.monotonic()
            try:
                library = opener(self._path / folder if folder else self._path)
            except Exception as error:
                if _may_pass(error):
                    found.append((program, error))
                    is_settled = is_settled and time.monotonic() - began > _SLOW_S
                else:
                    self._failed(program, folder, error)
                continue
            if library is not None:
                found.append((program, library))
        if not is_settled:
            return found
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
            "Photos that are new or changed wait for it. Run again: pixseek index"
            if _may_pass(error)
            else "The images are indexed without it. Export again, then run: pixseek index",
        )  # fmt: skip
        with self._lock:
            self._failures.setdefault((program, folder), failure)


def _may_pass(error: Exception) -> TypeGuard[OSError]:
    """Return whether a library is there, and could be read at another time."""
    return isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
