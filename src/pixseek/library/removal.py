"""Taking images out of a library; their files are not touched."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pixseek.errors import QueryError
from pixseek.indexing import said
from pixseek.library import films
from pixseek.library.opened import Opened
from pixseek.types import And, Compare, Filter, Known, Or, Record


def remove(opened: Opened, targets: Sequence[str | os.PathLike[str]], root: str | None) -> int:
    """Remove images, files, folders, and a root with all its records; see `Library.remove`."""
    with opened.writing():
        removed = 0
        for target in targets:
            removed += _remove(opened, os.fspath(target))
        if root is not None:
            opened.roots.check(root)
            removed += _remove_root(opened, root)
        return removed


def remove_everything(opened: Opened) -> int:
    """Remove all images, roots and failures; return how many records were removed."""
    with opened.writing():
        removed = _delete(opened, list(opened.engine.known()))
        for root in opened.roots.all():
            opened.roots.forget(root.name)
        opened.ledger.clear_failures([failure.uri for failure in opened.ledger.failures()])
        return removed


def _remove(opened: Opened, target: str) -> int:
    record = opened.engine.get([target])[0] or opened.find(target)
    uri = record.uri if record is not None else opened.roots.uri_of(target)
    if uri is None and "/" in target and opened.roots.is_item(target):
        uri = target  # a folder in an archive, as lists name it
    if uri is None:
        raise _not_there(target)
    below = uri.rstrip("/") + "/"
    gone = [k for k in opened.engine.known(uri.rstrip("/")) if (k.uri + "/").startswith(below)]
    failed = [f.uri for f in opened.ledger.failures() if (f.uri + "/").startswith(below)]
    if not gone and not failed:
        raise _not_there(target)
    name, _, inside = uri.rstrip("/").partition("/")
    if not inside and record is None:
        return _remove_root(opened, name)  # or the next run over everything would find it again
    path = opened.roots.path_of(uri)
    # Where a drive was, another may be mounted later.
    is_there = path is not None and os.path.exists(path) and not opened.roots.is_drive_away(uri)
    if is_there or opened.roots.is_item(uri):
        opened.roots.exclude(uri)
        # Without its photo, the clip of a live photo would be a video for the next run.
        if record is not None and (clip := films.clip_beside(record)):
            opened.roots.exclude(clip)
    opened.ledger.clear_failures(failed)
    opened.roots.forget_devices(below)
    return _delete(opened, gone)


def _remove_root(opened: Opened, name: str) -> int:
    """Delete the records of a root, then forget it; return how many there were."""
    removed = _delete(opened, list(opened.engine.known(f"{name}/")))
    opened.roots.forget(name)
    return removed


def _delete(opened: Opened, gone: Sequence[Known]) -> int:
    """Delete records, and the previews that no other record has; what was said of them stays."""
    removed = len(gone)
    said.delete(opened.engine, [known.id for known in gone])
    opened.previews.prune({known.digest for known in gone}, opened.engine)
    return removed


def away(opened: Opened, targets: Sequence[str | os.PathLike[str]] = ()) -> list[Record]:
    """Return records that are away, all or those below some places; see `Library.away`."""
    if opened.engine.space is None:
        return []
    if not targets:
        return _found(opened, said.AWAY)
    found: dict[str, Record] = {}
    for target in (os.fspath(each) for each in targets):
        uri = (opened.roots.uri_of(target) or target).rstrip("/")
        places = (
            Compare("id", "eq", target),
            Compare("uri", "eq", uri),
            Compare("uri", "under", uri),
        )
        some = _found(opened, And((Compare("away", "eq", True), Or(places))))
        if not some:
            raise QueryError(
                "Nothing is kept of it",
                target,
                "Name an id, a file or a folder that `pixseek forget` lists; to clear what you "
                "said of an image in the library: pixseek tag --clear all",
            )
        found |= {record.id: record for record in some}
    return list(found.values())


def _found(opened: Opened, where: Filter) -> list[Record]:
    """Return the records that a filter lets through, by URI."""
    records = opened.engine.get(list(opened.engine.matching_ids(where)))
    return sorted((each for each in records if each is not None), key=lambda each: each.uri)


def forget(opened: Opened, records: Sequence[Record]) -> int:
    """Delete records that are away; see `Library.forget`."""
    return opened.engine.delete([record.id for record in records], lambda stored: stored.away)


def _not_there(target: str) -> QueryError:
    return QueryError(
        "Not in the library", target, "Name an id, or a file or folder of the library."
    )
