"""Where roots are on this machine, and where their files are."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pixseek import files
from pixseek.errors import MissingExtraError, SourceError
from pixseek.library.named_paths import is_text
from pixseek.redaction import redacted
from pixseek.types import Engine, Failure, Known, Root, Source
from pixseek.types.texts import composed

#: Files that must be found in a new place before it is taken for a root's.
SAMPLE = 64
#: Folders next to a root's old place that are looked at.
_BESIDE = 256


def is_reachable(root: Root) -> bool:
    """Return whether a root is there, as far as can be told without asking a server."""
    if root.kind == "folder":
        return root.path.is_dir()
    from pixseek.sources import is_there

    return is_there(root)


def source_of(opener: Callable[[Root], Source], root: Root) -> Source | Failure:
    """Return the source that an opener makes of a root, or why it can't be read now.

    Raises:
        ConfigError: one of its patterns can't be understood.
    """
    try:
        return opener(root)
    except (SourceError, MissingExtraError) as error:
        message = f"{error.problem} ({error.subject})"
        return Failure(f"{root.name}/", "scan", "unreadable", message, error.advice)


def uri_in(roots: Iterable[Root], path: Path) -> str | None:
    """Return the URI that a path has in one of some roots; None if none has it, or it is not text.

    Args:
        roots: on this machine.
        path: absolute, as the disk spells it.
    """
    if not is_text(path):
        return None
    # A root that lies in another leads out of that by a link, or is an archive: one of its own.
    inner_first = sorted(roots, key=lambda root: -len(root.where))
    for form in (str, composed):  # the second for a root that is not there now
        given = Path(form(str(path)))
        for root in inner_first:
            relative = relative_in(root, Path(form(root.where)), given)
            if relative is not None:
                return f"{root.name}/{relative}"
    return None


def uris_in_tables(roots: Iterable[Root], path: Path) -> Iterator[str]:
    """Yield the URIs that an image file has in tables and data sets that name it by its path.

    Args:
        roots: on this machine.
        path: absolute.
    """
    for root in roots:
        if root.kind in ("table", "dataset"):
            beside = root.path.parent if root.kind == "table" else root.path
            images = Path(root.options.get("images") or beside)
            if path.is_relative_to(images):
                yield f"{root.name}/{path.relative_to(images).as_posix()}"


def container(root: Root, uri: str) -> str:
    """Return where the file is that has an item of a root that is not a folder, or the root's URL.

    Of shards that is the one of the item, of buckets the item's own address.
    """
    from pixseek.sources import is_pattern

    if root.kind == "urls":
        return uri.partition("/")[2].replace("/", "://", 1)
    if is_pattern(root.where.rpartition("/")[2]):
        return f"{redacted(root.where.rpartition('/')[0])}/{uri.split('/')[1]}"
    if root.kind == "remote":
        return redacted(f"{root.where}/{uri.partition('/')[2]}")
    return redacted(root.where)


def relative_in(root: Root, place: Path, path: Path) -> str | None:
    """Return the path that a place on this machine has in a root; None if it is not in it.

    What lies in an archive is named as if that were a folder: "/data/photos.zip/lake.jpg".

    Args:
        root: on this machine.
        place: where it is.
        path: of what may lie in it.

    Returns:
        With forward slashes; "" for the root itself.
    """
    if root.kind != "folder":
        from pixseek.sources import is_pattern

        if is_pattern(place.name):
            from pixseek.sources.shards import matcher

            if not path.is_relative_to(place.parent):
                return None
            parts = path.relative_to(place.parent).parts
            return "/".join(parts) if parts and matcher(place.name)(parts[0]) else None
    if not path.is_relative_to(place):
        return None
    relative = path.relative_to(place).as_posix()
    return "" if relative == "." else relative


def path_in(known: Mapping[str, Root], uri: str) -> Path | None:
    """Return where the file of a URI is, or was; None for a URI that names none.

    The path lies in its root by its text; `within` says where links may lead.

    Args:
        known: roots by name.
        uri: of a file, or of a folder with a slash at its end.
    """
    name, _, relative = uri.partition("/")
    root, relative = known.get(name), relative.removesuffix("/")
    if root is None or root.kind != "folder" or "://" in uri:
        return None
    if relative and not files.stays_inside(relative):
        return None
    return Path(root.where, relative)


def read_in(known: Mapping[str, Root], uri: str) -> bytes:
    """Return the content of the file of a URI.

    Raises:
        OSError: there is none, it lies outside of its root, or it can't be read; see `files`.
    """
    from pixseek.images.limits import MAX_BYTES

    path = path_in(known, uri)
    if path is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
    return files.read(path, MAX_BYTES, within=within(known[uri.partition("/")[0]]))


def within(root: Root) -> str | None:
    """Return the folder, resolved, that the files of a root have to lie in; None for any."""
    return None if root.follow_links else os.path.realpath(root.where)


def drive_at(folder: Path) -> str | None:
    """Return the drive that a folder is on, or would be."""
    from pixseek.sources.drives import drive_of

    for each in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            return drive_of(each)
    return None


def settled(root: Root) -> Iterator[str]:
    """Yield the scopes of a root that a scan can settle.

    One that is gone counts as deleted only if something else is left in its folder, since an
    unmounted drive leaves an empty folder.
    """
    for folder, scopes in itertools.groupby(
        sorted(root.scopes, key=os.path.split), key=os.path.dirname
    ):
        try:
            with os.scandir(root.path / folder) as entries:
                is_empty = next(entries, None) is None
        except OSError:
            is_empty = True
        yield from (s for s in scopes if not s or not is_empty or (root.path / s).exists())


def is_in(folder: Path, known: Known) -> bool:
    """Return whether a folder has a file of a record's relative path and size."""
    relative = known.uri.partition("/")[2]
    if not files.stays_inside(relative):
        return False
    try:
        size = (folder / relative).stat().st_size
    except OSError:
        return False
    return known.stamp is not None and size == known.stamp.size


def gone(root: Root, engine: Engine, roots: Iterable[Root]) -> Failure:
    """Return the failure of a root that is not there, with its new name if that is found.

    Args:
        root: whose folder is missing.
        engine: holds its records.
        roots: all that are folders.
    """
    what = "folder" if root.kind == "folder" else root.kind
    if root.kind == "folder" and (now := _renamed(root, engine, roots)) is not None:
        message = f"The folder {root.where} is gone; its files are in {now.name} now"
        advice = f"To continue there: pixseek index {shlex.quote(str(now))}"
    else:
        message = f"The {what} {root.where} is gone (is its drive plugged in?)"
        advice = (
            "Bring it back, index its new place, or forget it: "
            f"pixseek remove --root {shlex.quote(root.name)}"
        )
    return Failure(f"{root.name}/", "scan", "missing", message, advice)


def _renamed(root: Root, engine: Engine, roots: Iterable[Root]) -> Path | None:
    """Return the folder next to a root's old place that holds its files now, if there is."""
    sample = list(itertools.islice(engine.known(f"{root.name}/"), SAMPLE))
    try:
        with os.scandir(root.path.parent) as entries:
            beside = [Path(entry.path) for entry in entries if entry.is_dir()][:_BESIDE]
    except OSError:
        return None
    taken = {each.path for each in roots}
    found = [
        folder
        for folder in beside
        if sample and folder not in taken and all(is_in(folder, known) for known in sample)
    ]
    return found[0] if len(found) == 1 else None
