"""Items of roots that are not folders: members of archives, rows of tables, opened one by one."""

from __future__ import annotations

import errno
import itertools
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.errors import PixseekError, SourceError
from pixseek.library.named_paths import absolute, shown
from pixseek.library.named_urls import extended
from pixseek.library.places import SAMPLE, is_reachable, path_in, read_in, relative_in
from pixseek.redaction import redacted
from pixseek.types import Engine, Failure, Root

if TYPE_CHECKING:
    from pixseek.types import Item, Opening, Recognised, Source

#: Items that are kept as files.
_FILES = 4


class OpenSources:
    """Opens the content of any URI; each source is made once. May be used from several threads."""

    def __init__(self, *, private: bool = False, offline: bool = False) -> None:
        """Begin with none; for the arguments see `Remote.permit`."""
        self._private, self._offline = private, offline
        self._lock = threading.Lock()
        self._sources: dict[str, tuple[Root, Opening | None]] = {}
        self._files: OrderedDict[str, Item] = OrderedDict()

    def new(self, root: Root) -> Source:
        """Return a source of a root, which connects only to what is allowed here."""
        from pixseek.sources import open_source
        from pixseek.types import Remote

        source = open_source(root)
        if isinstance(source, Remote):
            source.permit(private=self._private, offline=self._offline)
        return source

    def checked(
        self, found: Recognised, read_as: str | None = None, table: Mapping[str, Any] | None = None
    ) -> Recognised:
        """Return what was named, looked at before it becomes a root, if it lies on a server.

        Args:
            found: as `recognised_source` returns it.
            read_as, table: see there.

        Returns:
            The same; or what a folder on a server holds instead of images, such as shards.

        Raises:
            SourceError: it is not there, may not be read, or lacks a column.
            MissingExtraError: the package for it is not installed.
        """
        if not is_elsewhere(found) or found.kind == "urls":
            return found
        source: Any = self.new(root_of(found))
        inside: Recognised | None = source.check()
        if inside is None or found.scope or read_as is not None:
            return found
        if inside.kind == "dataset":
            inside = replace(inside, options={**inside.options, **(table or {})})
            return self.checked(inside, read_as)
        return inside

    def read(self, known: Mapping[str, Root], uri: str) -> bytes:
        """Return the content of a URI.

        Args:
            known: roots by name.
            uri: of a file, or of an item of another source.

        Raises:
            OSError: there is none, it lies outside of its root, or it can't be read; see `files`.
        """
        if not self.is_item(known, uri):
            return read_in(known, uri)
        source = self._of(known[uri.partition("/")[0]])
        if source is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
        try:
            return source.open(uri)
        except PixseekError as error:
            raise OSError(errno.EIO, str(error), uri) from error

    def file(self, known: Mapping[str, Root], uri: str) -> Item | None:
        """Return an item of a root that is not a folder as a file that can be read at any place.

        The last ones are kept: of a packed video each look would unpack it again.

        Returns:
            None if its source has no such files.

        Raises:
            OSError: as `read`.
        """
        from pixseek.types import Seekable

        root = known[uri.partition("/")[0]]
        source = self._of(root)
        if not isinstance(source, Seekable):
            return None
        try:
            key = f"{uri}\0{source.version(uri)}"
            with self._lock:
                kept = self._files.pop(key, None)
            item = source.file(uri) if kept is None else kept
        except PixseekError as error:
            raise OSError(errno.EIO, str(error), uri) from error
        with self._lock:
            self._files[key] = item
            while len(self._files) > _FILES:
                self._files.popitem(last=False)
        return item

    def path_of(self, known: Mapping[str, Root], uri: str) -> Path | None:
        """Return where the file of a URI is, or was; None if it has none of its own."""
        if not self.is_item(known, uri):
            return path_in(known, uri)
        root = known[uri.partition("/")[0]]
        if root.kind in ("archive", "remote"):
            return None  # as their sources say, whose import every search would wait for
        source = self._of(root)
        return None if source is None else source.place(uri)

    def holds(self, known: Mapping[str, Root], uri: str) -> bool | None:
        """Return whether a root that is not a folder has such an item; None if it can't be told."""
        if not self.is_item(known, uri):
            return None
        root = known[uri.partition("/")[0]]
        source = self._of(root) if is_reachable(root) else None
        try:
            return None if source is None else source.holds(uri)
        except (PixseekError, OSError):
            return None

    @staticmethod
    def is_item(known: Mapping[str, Root], uri: str) -> bool:
        """Return whether a URI is that of an item of a root that is not a folder."""
        root = known.get(uri.partition("/")[0])
        return root is not None and root.kind != "folder"

    def listed(
        self,
        paths: Iterable[str | os.PathLike[str]],
        read_as: str | None,
        is_indexed: Callable[[Path], object],
    ) -> tuple[list[Recognised], list[str | os.PathLike[str]], list[Failure]]:
        """Return the archives and tables in a list of paths, the other paths, and what failed."""
        from pixseek.sources.shards import kind_of
        from pixseek.sources.tables import ENDINGS

        sources, others, failures = [], [], []
        for given in paths:
            # By the name first: a list may have a hundred thousand files.
            name = os.fspath(given)
            is_one = name.lower().endswith(ENDINGS) or kind_of(name) is not None
            try:
                found = recognised_source(given, read_as, {}, is_indexed, False) if is_one else None
                if found is not None:
                    sources.append(self.checked(found, read_as))
                else:
                    others.append(given)
            except PixseekError as error:
                failures.append(
                    Failure(shown(given), "scan", "missing", error.problem, error.advice)
                )
        return sources, others, failures

    def _of(self, root: Root) -> Opening | None:
        with self._lock:
            if root.name not in self._sources or self._sources[root.name][0] != root:
                from pixseek.types import Opening

                try:
                    source = self.new(root)
                except PixseekError:  # its package is not installed; a run says so
                    return None
                self._sources[root.name] = (root, source if isinstance(source, Opening) else None)
            return self._sources[root.name][1]


def recognised_source(
    given: str | os.PathLike[str],
    read_as: str | None,
    table: Mapping[str, Any],
    is_indexed: Callable[[Path], object],
    is_alone: bool = True,
) -> Recognised | None:
    """Return what a path or URL is, if it is neither a folder nor an image.

    Args:
        given: as the user typed it.
        read_as: kind of source, or layout of a data set, to take it for; None to recognise it.
        table: options for it if it is a table, besides those that are remembered.
        is_indexed: tells the paths that were indexed as folders, and stay such.
        is_alone: nothing else was named. Otherwise a table without images is a file that is not an
            image: `photos/*` may have one.

    Raises:
        SourceError: it is such a source by its name, and can't be read, or lacks a column.
    """
    from pixseek.sources import recognise

    found = recognise(given, read_as)
    if found is None and read_as not in (None, "folder"):
        raise SourceError(
            f"It can't be read as {'an' if read_as == 'archive' else 'a'} {read_as}", given,
            "Check the path, or leave out --as.",
        )  # fmt: skip
    if found is None or found.kind not in ("table", "dataset", "urls"):
        return found
    if found.kind == "dataset" and read_as is None and is_indexed(absolute(given)):
        return None
    found = replace(found, options={**found.options, **table})
    if is_elsewhere(found):
        return found  # `checked` looks at it
    from pixseek.sources import open_source
    from pixseek.sources.rows import RowSource

    try:
        source = open_source(root_of(found))
        if isinstance(source, RowSource):
            source.check()
        return found
    except PixseekError:
        if is_alone or table:
            raise
        return None


def root_of(found: Recognised) -> Root:
    """Return a root of what was recognised, as it would be if it became one of its own."""
    return Root(found.name, found.where, kind=found.kind, options=found.options)


def is_elsewhere(found: Recognised) -> bool:
    """Return whether what was recognised is to be read from a server, or its images are."""
    from pixseek.sources.remote_files import is_remote

    return is_remote(found.where) or is_remote(str(found.options.get("images") or ""))


def named_by_url(url: str) -> Recognised:
    """Return what a URL names that a source of another package reads.

    Raises:
        SourceError: none does.
    """
    from pixseek.sources import kind_of
    from pixseek.types import Recognised

    # Without its parameters and secrets: the name is part of every URI.
    shown = re.split(r"[?#]", redacted(url).partition("://")[2])[0]
    return Recognised(kind_of(url), url, Path(shown.rpartition("@")[2]).name)


def known_root(found: Recognised, roots: Iterable[Root], engine: Engine) -> tuple[Root | None, str]:
    """Return the root that a source is, as it is to be stored now, and the path in it.

    An archive that was moved or renamed is known by its content: the root whose place is gone, and
    whose first records are all in it, unchanged.

    Args:
        found: what the user named.
        roots: of the library.
        engine: holds their records.

    Returns:
        None for the root if it is a new one.
    """
    alike = [root for root in roots if root.kind == found.kind]
    for root in alike:
        if root.kind == "remote" and found.where.startswith(f"{root.where}/"):
            inside = found.where[len(root.where) + 1 :]
            return root, "/".join(filter(None, (inside, found.scope)))
        if root.where != found.where and _holds_part(root, found):
            return root, "/".join(filter(None, (Path(found.where).name, found.scope)))
    known = next((root for root in alike if root.where == found.where), None)
    away = (root for root in alike if not is_reachable(root))
    known = known or next((root for root in away if _holds_records_of(found, root, engine)), None)
    if known is None:
        return None, found.scope
    return extended(known, found), found.scope


def _holds_part(root: Root, found: Recognised) -> bool:
    """Return whether a root is one of shards, and a source is one of those."""
    from pixseek.sources import is_pattern

    if root.kind != "archive" or found.kind != "archive" or not is_pattern(root.path.name):
        return False
    return "/" not in (relative_in(root, root.path, Path(found.where)) or "/")


def as_series(others: Iterable[Recognised]) -> list[Recognised]:
    """Return sources with shards that differ only in their number as one, if several were named."""
    from pixseek.sources.shards import series_of

    others = list(others)
    series: dict[str, list[Recognised]] = {}
    for each in others:
        folder, name = _split(each.where)
        # A web server need not list its folders, by which shards are found.
        is_one = each.kind == "archive" and not each.where.lower().startswith(("http:", "https:"))
        if is_one and (pattern := series_of(name)) is not None:
            series.setdefault(f"{folder}{pattern}", []).append(each)
    joined = {
        each.where: replace(each, where=pattern, name=_name_of(pattern), scope="")
        for pattern, some in series.items()
        if len({each.where for each in some}) > 1
        for each in some
    }
    chosen = [joined.get(each.where, each) for each in others]
    return list({(each.where, each.scope): each for each in chosen}.values())


def _split(where: str) -> tuple[str, str]:
    """Return the folder of a path or address, with its separator, and the name in it."""
    name = os.path.basename(where)
    return where[: len(where) - len(name)], name


def _name_of(pattern: str) -> str:
    """Return a name for shards: what theirs begin with, or their folder's."""
    folder, name = _split(pattern)
    return name.partition("{")[0].rstrip("-_. ") or os.path.basename(folder[:-1])


def _holds_records_of(found: Recognised, root: Root, engine: Engine) -> bool:
    from pixseek.sources import open_source
    from pixseek.types import Candidate

    first = itertools.islice(engine.known(f"{root.name}/"), SAMPLE)
    wanted = {known.uri: known.stamp for known in first}
    if not wanted:
        return False
    try:
        source = open_source(replace(root, where=found.where))
        for event in source.scan():
            if isinstance(event, Candidate) and event.uri in wanted:
                if not event.is_as(wanted.pop(event.uri)):
                    return False
                if not wanted:
                    return True
    except (PixseekError, OSError):  # the run that follows says why
        pass
    return False
