"""Which part of a root a walk looks at: paths below others, and what changed."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Set

from pixseek.metadata.sidecars import ENDINGS
from pixseek.sources.companions import names_beside

#: With more than this many the engine is asked once for all records below their common folder.
PREFIXES = 64


class Only:
    """Files and folders of a root that changed, and what has to be looked at to see how.

    A walk that has it lists the folders above them, so the patterns of ignore files hold as in
    every other walk, and nothing else.
    """

    def __init__(self, changed: Iterable[str], busy: Collection[str] = ()) -> None:
        """Describe what changed.

        Args:
            changed: relative paths, with forward slashes, of files and folders that came, went or
                changed; "" for the whole root. A sidecar stands for the images next to it whose
                names begin as its own does, a photo or clip for the other file of a live photo.
            busy: those of files that are being written: they are left as they are.
        """
        changed = frozenset(changed)
        companions = (each for path in changed for each in names_beside(path))
        self._changed = changed.union(companions)
        self._busy = frozenset(busy)
        self._above = {above for path in self._changed for above in folders_above(path)}
        self._beside: dict[str, set[str]] = {}
        for path in self._changed:
            folder, name = posixpath.split(path)
            if name.lower().endswith(ENDINGS) and (beginning := _beginning(name)):
                self._beside.setdefault(folder, set()).add(beginning)

    def takes(self, relative: str) -> bool:
        """Return whether a scan settles if there is such a file."""
        if relative in self._busy:
            return False
        if relative in self._changed or is_below(relative, self._changed):
            return True
        if not self._beside:
            return False
        folder, name = posixpath.split(relative)
        beginnings = self._beside.get(folder)
        return beginnings is not None and name.casefold().startswith(tuple(beginnings))

    def concerns(self, relative: str) -> bool:
        """Return whether a walk looks at a file, or into a folder."""
        return relative in self._above or self.takes(relative)

    def prefixes(self, root: str) -> tuple[str, ...]:
        """Return what the URIs begin with, each that `takes` allows with one of them.

        Args:
            root: the name of the root.
        """
        # Upper and lower case differ in URIs, so a sidecar's images are looked for in the folder.
        found = {*self._changed, *(f"{folder}/" if folder else "" for folder in self._beside)}
        if len(found) > PREFIXES:  # each is a question to the engine
            found = {f"{folder}/" if folder else "" for folder in map(posixpath.dirname, found)}
        if len(found) > PREFIXES:
            common = posixpath.commonprefix(sorted(found)).rpartition("/")[0]
            found = {f"{common}/" if common else ""}
        kept: list[str] = []
        for each in sorted(f"{root}/{path}" for path in found):
            if not (kept and each.startswith(kept[-1])):
                kept.append(each)
        return tuple(kept)


def _beginning(name: str) -> str:
    """Return what the names of a sidecar and of its image have in common at least."""
    return name.partition(".")[0].casefold()


def folders_above(scope: str) -> Iterator[str]:
    """Yield the folders that a scope lies in, from the root down."""
    parts = scope.split("/")[:-1]
    for count in range(len(parts) + 1 if scope else 0):
        yield "/".join(parts[:count])


def is_below(path: str, folders: Set[str]) -> bool:
    """Return whether a path lies below one of some folders; "" stands for the whole root."""
    while path:
        path = path.rpartition("/")[0]
        if path in folders:
            return True
    return "" in folders
