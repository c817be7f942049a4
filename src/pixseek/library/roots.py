"""Roots: named folders that images come from, and where they are now.

A record's URI begins with its root's name, and never with a path of this machine: a drive that is
mounted elsewhere changes one entry here and no record.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek import files
from pixseek.errors import QueryError, SourceError, unknown
from pixseek.library import named_urls, opening
from pixseek.library.named_paths import NOT_THERE, absolute, first_look, shown, unusable
from pixseek.library.nested_roots import (
    absorbing,
    move_records,
    moved_devices,
    nested,
    not_reached,
    pattern_of,
    with_patterns,
)
from pixseek.library.places import (
    SAMPLE,
    container,
    drive_at,
    gone,
    is_in,
    is_reachable,
    settled,
    source_of,
    uri_in,
    within,
)
from pixseek.storage.ledger import Ledger
from pixseek.types import Compare, Engine, Failure, Known, Record, Root

if TYPE_CHECKING:
    from pixseek.types import Item, Recognised, Source

#: The ledger's setting that says where roots were that have been forgotten, by name.
_FORMER = "former_roots"


class Roots:
    """The roots of one library. May be used from several threads."""

    def __init__(self, ledger: Ledger, engine: Engine, **network: bool) -> None:
        """Use the roots in `ledger`, whose records are in `engine`; see `Remote.permit`."""
        self._ledger, self._engine = ledger, engine
        self._open = opening.OpenSources(**network)
        self._by_name: dict[str, Root] | None = None
        self._version = 0
        self._lock = threading.Lock()

    def all(self) -> list[Root]:
        """Return all roots, by name."""
        return list(self._known().values())

    def uri_of(self, path: str | os.PathLike[str]) -> str | None:
        """Return the URI that a path has; None when it lies under no root, or is not text.

        What lies in an archive has the path that it would have in a folder of the archive's name.
        """
        return uri_in([root for root in self.all() if root.is_local], absolute(path))

    def path_of(self, uri: str) -> Path | None:
        """Return where the file of a URI is, or was; None for a URL and for an unknown root.

        Members of archives have none either; see `read`. It lies in its root by its text, and it
        may be a link: `read` and `file_of` follow links only as far as the root lets them.
        """
        return self._open.path_of(self._known(), uri)

    def within(self, uri: str) -> str | None:
        """Return the folder, resolved, that the file of a URI has to lie in; None for any."""
        root = self._known().get(uri.partition("/")[0])
        return within(root) if root is not None and root.kind == "folder" else None

    def read(self, uri: str) -> bytes:
        """Return the content of a URI: of a file, of a member of an archive, of a row.

        Raises:
            OSError: there is none, it lies outside of its root, or it can't be read; see `files`.
        """
        return self._open.read(self._known(), uri)

    def file_in(self, uri: str) -> Item | None:
        """Return an item as a file that can be read at any place; see `OpenSources.file`."""
        return self._open.file(self._known(), uri)

    def reader(self) -> Callable[[str], bytes]:
        """Return `read` for one answer, with the roots as they are now, also after closing."""
        known = self._known()
        return lambda uri: self._open.read(known, uri)

    def file_of(self, uri: str) -> Path | None:
        """Return where the file of a URI is; None unless it is there, a file, and in its root."""
        path = self.path_of(uri)
        if path is not None:
            with contextlib.suppress(OSError), files.opened(path, within=self.within(uri)):
                return path
        return None

    def paths(self) -> Callable[[str], Path | None]:
        """Return `path_of` for the hits of one answer: it reads the roots once, when first called.

        A look for what another process has changed takes 8 µs, which ten hits need not repeat.
        """
        known: dict[str, Root] | None = None

        def path_of(uri: str) -> Path | None:
            nonlocal known
            if known is None:
                known = self._known()
            return self._open.path_of(known, uri)

        return path_of

    def holds(self, uri: str) -> bool | None:
        """Return whether a root that is not a folder has an item; None if it can't be told."""
        return self._open.holds(self._known(), uri)

    def is_item(self, uri: str) -> bool:
        """Return whether a URI is that of an item of a root that is not a folder."""
        return self._open.is_item(self._known(), uri)

    def container_of(self, uri: str) -> str | None:
        """Return where the archive, table or site is that has an item; None for a file."""
        return container(self._known()[uri.partition("/")[0]], uri) if self.is_item(uri) else None

    def is_there(self, uri: str) -> bool | None:
        """Return whether the file of a URI exists; None where that can't be told."""
        if self.is_item(uri):
            return self.holds(uri)
        path = self.path_of(uri) or self._former_path_of(uri)
        if path is None:
            return None
        return path.exists() or (False if self._drive_away(uri) is None else None)

    def _former_path_of(self, uri: str) -> Path | None:
        """Return the path of a URI below a root that was removed, if its folder is still there."""
        name, _, relative = uri.partition("/")
        where = self._former().get(name)
        return Path(where, relative) if where and os.path.isdir(where) else None

    def is_other(self, record: Known | Record) -> bool:
        """Return whether the file of a record has another size now."""
        path = None if self.is_item(record.uri) else self.path_of(record.uri)
        if path is None or record.stamp is None:
            return False
        try:
            size = path.stat().st_size
        except OSError:
            return False
        return size != record.stamp.size and self._drive_away(record.uri) is None

    def away(self, record: Record) -> str | None:
        """Return the folder whose drive is not there now, of those that a record is in, or None."""
        return self._drive_away(record.uri)

    def is_drive_away(self, uri: str) -> bool:
        """Return whether a folder is the place of a drive that is not there now."""
        return self._drive_away(f"{uri}/") == str(self.path_of(uri))

    def _drive_away(self, uri: str) -> str | None:
        root = self._known().get(uri.partition("/")[0])
        if root is None or not root.is_local:
            return None
        if not is_reachable(root):
            return root.where
        if root.kind != "folder":
            return None
        for top, (device, *_) in self._ledger.devices().items():
            if uri.startswith(top):
                folder = Path(root.where, top.partition("/")[2])
                if drive_at(folder) != device:
                    return str(folder)
        return None

    def sources(
        self,
        paths: Sequence[str | os.PathLike[str]],
        exclude: tuple[str, ...],
        listed: Iterable[str | os.PathLike[str]] = (),
        include: tuple[str, ...] = (),
        *,
        follow_links: bool | None = None,
        read_as: str | None = None,
        table: Mapping[str, Any] | None = None,
    ) -> tuple[list[Source], list[Failure]]:
        """Return a source for each root that paths lie in, making roots if there is none.

        Args:
            paths: files, folders and URLs to scan.
            exclude: patterns to skip, besides those that are remembered.
            listed: more files and folders; one that does not exist is a failure, and no error.
            include: patterns of what is indexed although it would be skipped by itself, besides
                those that are remembered.
            follow_links: follow links that lead out of the roots; None as remembered.
            read_as: kind of source, like the options of a `table`: see `opening`.

        Returns:
            The sources; and a failure for each file that is missing or not an image, by the path
            that was given. Those make no root.

        Raises:
            SourceError: a path does not exist, its name is not text, or nothing reads the URL.
        """
        from pixseek.sources import is_url

        found: list[Path] = []
        place = partial(uri_in, self.folders())
        others, listed, failures = self._open.listed(listed, read_as, place)
        look = first_look(self.folders(), place)
        # Nothing is registered before all of it was looked at.
        for given in paths:
            if other := opening.recognised_source(
                given, read_as, table or {}, place, len(paths) == 1
            ):
                others.append(self._open.checked(other, read_as, table))
                continue
            if is_url(os.fspath(given)):
                others.append(opening.named_by_url(os.fspath(given)))
                continue
            path = absolute(given)
            if (problem := unusable(path)) is not None:
                message, advice = problem
                raise SourceError(message, given, advice)
            if (failure := look(path, given)) is not None:
                failures.append(failure)
            else:
                found.append(path)
        for given in listed:
            if is_url(os.fspath(given)):
                named_urls.take(os.fspath(given), others, failures)
                continue
            path = absolute(given)
            # An empty name would be the current folder, with all that is in it.
            problem = unusable(path) if os.fspath(given) else NOT_THERE
            if problem is not None:
                failures.append(Failure(shown(given), "scan", "missing", *problem))
            elif (failure := look(path, given)) is not None:
                failures.append(failure)
            else:
                found.append(path)
        scopes: dict[str, list[str]] = {}
        # Addresses above others first, as folders.
        others.sort(key=lambda each: len(each.where) if each.kind == "remote" else 0)
        added = map(self._add_recognised, opening.as_series(named_urls.joined(others)))
        for uri in (*added, *self._add_all(found)):
            name, _, relative = uri.partition("/")
            scopes.setdefault(name, []).append(relative)
        sources = []
        for name, relatives in scopes.items():
            root = self._known()[name]
            # A path that is named is no longer skipped; "in/" and "/in" mean the same folder.
            wanted = {pattern_of(relative).strip("/") for relative in relatives}
            covered = (*root.scopes, *relatives)
            root = with_patterns(root, exclude, include, follow_links)
            root = replace(
                root,
                exclude=tuple(p for p in root.exclude if p.strip("/") not in wanted),
                include=tuple(dict.fromkeys((*root.include, *not_reached(root, relatives)))),
                scopes=("",) if "" in covered else tuple(dict.fromkeys(covered)),
            )
            # Opened first, so that a pattern that can't be understood is not remembered.
            sources.append(self._open.new(self.alone(replace(root, scopes=tuple(relatives)))))
            self.change(root)
        return sources, failures

    def all_sources(
        self,
        exclude: tuple[str, ...],
        include: tuple[str, ...] = (),
        *,
        follow_links: bool | None = None,
        table: Mapping[str, Any] | None = None,
    ) -> tuple[list[Source], list[Failure]]:
        """Return a source for each root that is there, and a failure for each that is not.

        For the arguments see `sources`.

        Raises:
            SourceError: there is no root, or none is there.
        """
        if not self.all():
            advice = "Name one: pixseek index ~/Pictures"
            raise SourceError("The library has no folders yet", "", advice)
        self._absorb_nested()
        sources: list[Source] = []
        missing: list[Failure] = []
        for root in self.all():
            if not is_reachable(root):
                missing.append(gone(root, self._engine, self.folders()))
                continue
            now = named_urls.fetched_so(root, table or {})
            now = with_patterns(now, exclude, include, follow_links)
            scopes = tuple(settled(now)) if now.kind == "folder" else now.scopes
            opened = source_of(self._open.new, self.alone(replace(now, scopes=scopes)))
            if isinstance(opened, Failure):
                missing.append(opened)
                continue
            sources.append(opened)
            if now != root:
                self.change(now)
        if not sources:
            raise SourceError(missing[0].message, missing[0].uri, missing[0].advice)
        return sources, missing

    def add(self, path: Path, *, whole: bool = False) -> str:
        """Return the URI of a path, making a root for it if it lies under none.

        A root whose place is gone and whose files are all found here has moved here. Roots below
        a new one become part of it; nothing is embedded again.

        Args:
            path: absolute; a folder, or a file, whose folder then is the root.
            whole: a new root is to be scanned as a whole by later runs.
        """
        return self._add_all([path], whole=whole)[0]

    def _add_all(self, paths: Sequence[Path], *, whole: bool = False) -> list[str]:
        """Return the URIs of paths; see `add`."""
        # Looked up once a folder: a list may name a hundred thousand files.
        folder_of = {path: path if path.is_dir() else path.parent for path in paths}
        # Those above others first, so that the others need no roots of their own.
        folders = sorted(set(folder_of.values()), key=lambda folder: len(folder.parts))
        for folder in folders:
            if uri_in(self.folders(), folder) is None and not self._relocate(folder):
                scopes = ("",) if whole else ()
                self.change(Root(self._new_name(folder), str(folder), scopes=scopes))
        self._absorb_nested()
        uris = {folder: uri_in(self.folders(), folder) or "" for folder in folders}
        return [
            uris[folder] if path == folder else f"{uris[folder].rstrip('/')}/{path.name}"
            for path, folder in ((path, folder_of[path]) for path in paths)
        ]

    def _add_recognised(self, found: Recognised) -> str:
        """Return the URI of all that another kind of source holds, making a root if needed."""
        root, scope = opening.known_root(found, self.all(), self._engine)
        if root is None:
            name = self._new_name(Path(found.name))
            new = Root(name, found.where, scopes=(), kind=found.kind)
            root = named_urls.extended(new, found)
        if self._known().get(root.name) != root:  # a list may name many images of one bucket
            self.change(root)
        return f"{root.name}/{scope}"

    def forget_unused(self, before: Collection[str], *, may_continue: bool) -> None:
        """Forget new roots in which nothing could be indexed.

        One that was named as a folder stays if it has images that failed, since `index --retry`
        may do better.

        Args:
            before: names of the roots that are not new.
            may_continue: the run did not come to its end, so what it did not look at may be
                images: roots that were named as folders stay.
        """
        for root in self.all():
            if root.kind == named_urls.KIND:
                self.change(root := named_urls.alive(root, self._ledger, self._engine))
            if root.name in before or self.count(root):
                continue
            is_folder = root.kind != "folder" or any(
                (root.path / scope).is_dir() for scope in root.scopes
            )
            is_empty = root.options.get(named_urls.KIND) == []
            if is_empty or not is_folder or not (may_continue or self._has_failed(root)):
                self._drop(root.name)

    def _has_failed(self, root: Root) -> bool:
        """Return whether images of a root failed for a reason that may go away."""
        return any(
            f.reason not in named_urls.NOT_IMAGES for f in self._ledger.failures(f"{root.name}/")
        )

    def exclude(self, uri: str) -> None:
        """Let later runs skip a file or folder."""
        name, _, relative = uri.rstrip("/").partition("/")
        root = self._known().get(name)
        if root is not None and relative:
            patterns = dict.fromkeys((*root.exclude, pattern_of(relative)))
            self.change(replace(root, exclude=tuple(patterns)))

    def check(self, name: str) -> None:
        """Raise if there is no root of this name.

        Raises:
            QueryError: there is none; it lists those there are.
        """
        if name not in self._known():
            raise QueryError("Unknown root", name, unknown("root", name, self._known()))

    def forget(self, name: str) -> None:
        """Forget a root and its failures; its records are the caller's to delete."""
        self._ledger.set(_FORMER, {**self._former(), name: self._known()[name].where})
        self._drop(name)

    def _former(self) -> dict[str, str]:
        return self._ledger.setting(_FORMER) or {}

    def _drop(self, name: str) -> None:
        self._ledger.remove_root(name)
        self.forget_devices(f"{name}/")
        self._changed()

    def forget_devices(self, below: str) -> None:
        """Forget which drives were mounted at or below a folder, given by its URI with a slash."""
        devices = self._ledger.devices()
        self._ledger.set_devices({u: d for u, d in devices.items() if not u.startswith(below)})

    def count(self, root: Root) -> int:
        """Return how many records a root has."""
        return self._engine.count(Compare("root", "eq", root.name))

    # ---------------------------------------------------------------- inside

    def folders(self) -> list[Root]:
        """Return the roots that are folders, by name."""
        return [root for root in self.all() if root.kind == "folder"]

    def _known(self) -> dict[str, Root]:
        with self._lock:
            # 4 microseconds; another process may have added a root, or moved one.
            version = self._ledger.version()
            if self._by_name is None or version != self._version:
                self._version = version  # read first: a change in between is seen the next time
                self._by_name = {root.name: root for root in self._ledger.roots()}
            return self._by_name

    def change(self, root: Root) -> None:
        """Store a root, replacing the one of its name."""
        self._ledger.set_root(root, relative=bool(self._ledger.setting("portable")))
        self._changed()

    def _changed(self) -> None:
        with self._lock:
            self._by_name = None

    def _new_name(self, folder: Path) -> str:
        base = folder.name or folder.drive.rstrip(":") or "root"
        base = base.replace(":", "_")
        numbered = (f"{base}-{number}" for number in itertools.count(2))
        # What was said of images of a root that was removed is kept under its name.
        former = {name for name, where in self._former().items() if where != str(folder)}
        taken = self._known().keys() | former
        return next(name for name in itertools.chain([base], numbered) if name not in taken)

    def _relocate(self, folder: Path) -> bool:
        """Move the root whose place is gone and whose files are found in `folder`, if there is."""
        for root in self.folders():
            if root.path.exists():
                continue
            sample = list(itertools.islice(self._engine.known(f"{root.name}/"), SAMPLE))
            if sample and all(is_in(folder, known) for known in sample):
                self.change(replace(root, where=str(folder)))
                return True
        return False

    def opened(self, root: Root) -> Source:
        """Return the source of a root as it is."""
        return self._open.new(root)

    def alone(self, root: Root) -> Root:
        """Return a root without what lies in it by name and is a root of its own."""
        if root.kind != "folder":
            return root
        below = (
            pattern_of(each.path.relative_to(root.path).as_posix())
            for each in self.folders()
            if root.path in each.path.parents
        )
        return replace(root, exclude=(*root.exclude, *below))

    def _absorb_nested(self) -> None:
        """Let roots that lie in another become part of it."""
        # Looked up again each time: a root that took one in passes on its patterns.
        while (pair := nested(self.all())) is not None:
            inner, outer = pair
            move_records(inner, outer, self._engine)
            if inner.is_local:
                devices = moved_devices(self._ledger.devices(), inner, outer)
                self._ledger.set_devices(devices)
            self.change(absorbing(outer, inner))
            self._drop(inner.name)
