"""Folders in filters: as people type them, and as URIs name them.

A filter names a folder by its path below a root ("2021/summer"), by the root's name and the path
("Photos/2021/summer"), or by its place on this machine ("~/Pictures/2021"). Only an open library
knows its roots, so it decides here which of these is meant: a path of this machine if it is one, a
path in a root if it begins with the name of one, else a path below any root.
"""

from __future__ import annotations

import os
from pathlib import Path

from pixseek.library.opened import Opened
from pixseek.types import And, Compare, Filter, Not, Or
from pixseek.types.texts import folded

#: What a path of this machine begins with, besides "/".
_PLACES = ("~", ".", "..")


def resolved(where: Filter | None, opened: Opened) -> Filter | None:
    """Return a filter in which folders are named as in URIs."""
    match where:
        case And(parts):
            return And(tuple(_each(parts, opened)))
        case Or(parts):
            return Or(tuple(_each(parts, opened)))
        case Not(inner):
            return Not(resolved(inner, opened) or inner)
        case Compare("folder", "under", str(folder)):
            return _of(folder, opened)
        case _:
            return where


def _each(parts: tuple[Filter, ...], opened: Opened) -> list[Filter]:
    return [resolved(part, opened) or part for part in parts]


def _of(folder: str, opened: Opened) -> Filter:
    here = _on_this_machine(folder, opened)
    if here:
        found = tuple(Compare("uri", "under", uri) for uri in here)
        return found[0] if len(found) == 1 else Or(found)
    top, slash, below = folder.partition("/")
    for root in opened.roots.all():
        if root.kind == "archive" and folded(root.path.name) == folded(top):
            # An archive by the name of its file, as lists of files have it.
            return Compare("uri", "under", f"{root.name}{slash}{below}".rstrip("/"))
    known = {folded(root.name) for root in opened.roots.all()}
    is_in_a_root = folded(top) in known or next(opened.engine.known(f"{top}/"), None) is not None
    return Compare("uri" if is_in_a_root else "folder", "under", folder)


def is_place(folder: str) -> bool:
    """Return whether the name of a folder is read as a place on this machine."""
    return (
        folder.startswith(("/", "\\", "~"))
        or folder.partition("/")[0] in _PLACES
        or os.path.isabs(folder)
    )


def _on_this_machine(folder: str, opened: Opened) -> list[str]:
    """Return the URIs of the folder at a path of this machine, and of the roots below it."""
    if not is_place(folder):
        return []
    path = Path(os.path.abspath(os.path.expanduser(folder)))
    uri = opened.roots.uri_of(path)
    if uri is not None:
        return [uri.rstrip("/")]
    # A link may lead to a folder of the library, or a root may lie behind one.
    real = Path(os.path.realpath(path))
    for root in opened.roots.folders():
        place = Path(os.path.realpath(root.path))
        if real.is_relative_to(place):
            below = real.relative_to(place).as_posix()
            return [root.name if below == "." else f"{root.name}/{below}"]
    return [
        root.name
        for root in opened.roots.folders()
        if root.path.is_relative_to(path) or Path(os.path.realpath(root.path)).is_relative_to(real)
    ]
