"""Taking images out of a library; their files are not touched."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pixseek.errors import QueryError
from pixseek.library.opened import Opened
from pixseek.types import Known


def remove(opened: Opened, targets: Sequence[str | os.PathLike[str]], root: str | None) -> int:
    """Remove images, files, folders, and a root with all its records; see `Library.remove`."""
    with opened.writing():
        removed = 0
        for target in targets:
            removed += _remove(opened, os.fspath(target))
        if root is not None:
            opened.roots.check(root)
            removed += _delete(opened, list(opened.engine.known(f"{root}/")))
            opened.roots.forget(root)
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
    if uri is None:
        raise _not_there(target)
    below = uri.rstrip("/") + "/"
    gone = [k for k in opened.engine.known(uri.rstrip("/")) if (k.uri + "/").startswith(below)]
    failed = [f.uri for f in opened.ledger.failures() if (f.uri + "/").startswith(below)]
    if not gone and not failed:
        raise _not_there(target)
    path = opened.roots.path_of(uri)
    if path is not None and path.exists():
        opened.roots.exclude(uri)
    opened.ledger.clear_failures(failed)
    return _delete(opened, gone)


def _delete(opened: Opened, gone: Sequence[Known]) -> int:
    """Delete records, and the previews that no other record has."""
    removed = opened.engine.delete([known.id for known in gone])
    opened.previews.prune({known.digest for known in gone}, opened.engine)
    return removed


def _not_there(target: str) -> QueryError:
    return QueryError(
        "Not in the library", target, "Name an id, or a file or folder of the library."
    )
