"""Roots that lie in one another: the inner one becomes part of the outer; patterns of roots."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pixseek import files
from pixseek.types import And, Compare

if TYPE_CHECKING:
    from pixseek.types import Engine, Root

#: Stands for a device that is not known.
_NO_DEVICE = ""
#: Records that are given a new root in one write.
CHUNK = 1024


def nested(roots: Sequence[Root]) -> tuple[Root, Root] | None:
    """Return a folder that lies below another, and that other; None if none does.

    A folder that a link leads to, out of the other, stays a root of its own. So does an archive or
    table. Addresses of folders are compared as texts.
    """
    remote = [root for root in roots if root.kind == "remote"]
    for root, above in itertools.permutations(remote, 2):
        if root.where.startswith(f"{above.where}/"):
            return root, above
    by_path = {root.path: root for root in roots if root.kind == "folder"}
    pairs = ((root, by_path.get(above)) for root in by_path.values() for above in root.path.parents)
    return next(
        (
            (root, above)
            for root, above in pairs
            if above is not None
            and (above.follow_links or files.is_inside(root.path, os.path.realpath(above.path)))
        ),
        None,
    )


def path_below(inner: Root, outer: Root) -> str:
    """Return the path of a root in one that it lies in."""
    if inner.is_local:
        return inner.path.relative_to(outer.path).as_posix()
    return inner.where[len(outer.where) + 1 :]


def move_records(inner: Root, outer: Root, engine: Engine) -> None:
    """Give the records of the inner root to the outer one.

    Each chunk of records is whole after a kill: the rest follows when this is called again.
    """
    import numpy as np

    from pixseek.indexing import said

    below = path_below(inner, outer)
    away = And((Compare("away", "eq", True), Compare("root", "eq", inner.name)))
    ids = [known.id for known in engine.known(f"{inner.name}/")]
    ids += engine.matching_ids(away)
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        news, vectors, moved = [], [], []
        for old, rows in zip(engine.get(chunk), engine.vectors(chunk), strict=True):
            if old is not None and rows is not None:
                news.append(said.at_place(old, f"{outer.name}/{below}/{old.relative_path}"))
                vectors.append(rows)
                moved.append((news[-1], old))
        if news:
            engine.put(news, np.concatenate(vectors), said.with_words_of_both)
        said.delete(engine, chunk, said.carry_words(engine, moved))


def moved_devices(devices: Mapping[str, Any], inner: Root, outer: Root) -> dict[str, Any]:
    """Return the drives by folder, with those of a root that becomes part of another."""
    moved = dict(devices)
    top = f"{outer.name}/{path_below(inner, outer)}/"
    for uri, device in {f"{inner.name}/": [_NO_DEVICE], **devices}.items():
        if uri.startswith(f"{inner.name}/"):
            moved[top + uri.partition("/")[2]] = device
    return moved


def absorbing(outer: Root, inner: Root) -> Root:
    """Return the outer root with the patterns and scopes of the inner one."""
    below = path_below(inner, outer)
    patterns = (_below(below, pattern) for pattern in inner.exclude)
    included = (_below(below, pattern) for pattern in inner.include)
    scopes = tuple(f"{below}/{scope}" if scope else below for scope in inner.scopes)
    return replace(
        outer,
        exclude=tuple(dict.fromkeys((*outer.exclude, *patterns))),
        # What was named in a folder that a scan of the outer root skips stays.
        include=tuple(dict.fromkeys((*outer.include, *included, *not_reached(outer, scopes)))),
        scopes=outer.scopes
        if "" in outer.scopes
        else tuple(dict.fromkeys((*outer.scopes, *scopes))),
    )


def not_reached(root: Root, relatives: Iterable[str]) -> Iterator[str]:
    """Yield the patterns of those named paths that a scan of the whole root would skip."""
    if root.kind != "folder":
        return
    from pixseek.sources.skipping import is_reached

    where = root.path.as_posix()
    for relative in relatives:
        # Most are images by their names, which need no look at the disk.
        if not is_reached(where, relative, is_folder=False) and not (
            (root.path / relative).is_dir() and is_reached(where, relative, is_folder=True)
        ):
            yield pattern_of(relative)


def _below(folder: str, pattern: str) -> str:
    """Return the pattern that means, from above `folder`, what `pattern` means in it."""
    negated = pattern.startswith("!")
    bare = pattern[1:] if negated else pattern
    # Without a slash but at its end, a pattern matches at any depth.
    anywhere = "/" not in bare.rstrip("/")
    path = f"{pattern_of(folder)}/{'**/' if anywhere else ''}{bare.lstrip('/')}"
    return f"!{path}" if negated else path


def pattern_of(relative: str) -> str:
    """Return the pattern that matches just this path of a root."""
    escaped = "".join(f"\\{c}" if c in "*?[]!#\\ " else c for c in relative)
    return f"/{escaped}"


def with_patterns(
    root: Root, exclude: Collection[str], include: Collection[str], follow_links: bool | None
) -> Root:
    """Return a root with more patterns; those of one kind take equal ones of the other back.

    It follows links as before if `follow_links` is None.
    """
    return replace(
        root,
        exclude=tuple(dict.fromkeys((*(p for p in root.exclude if p not in include), *exclude))),
        include=tuple(dict.fromkeys((*(p for p in root.include if p not in exclude), *include))),
        follow_links=root.follow_links if follow_links is None else follow_links,
    )
