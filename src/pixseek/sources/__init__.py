"""Where images come from. Each source finds candidates and reads them; `open_source` picks one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

from pixseek.errors import ConfigError, PixseekError, SourceError, unknown
from pixseek.types import Recognised, Root, Source

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from pixseek.sources.scopes import Only

#: Where packages register sources: the name is the kind of a root and the scheme of its URL, the
#: value a function that takes the `Root` and returns a `Source`.
GROUP = "pixseek.sources"

#: pixseek's own kinds of roots besides folders, with their modules, in the order in which they are
#: asked what a path is. Each module has `opened(root) -> Source`, and `recognised(given) ->
#: Recognised | None`.
OWN: Mapping[str, str] = {
    "archive": "pixseek.sources.archives",
    "table": "pixseek.sources.rows",
    "dataset": "pixseek.sources.datasets",
    "remote": "pixseek.sources.buckets",
    "urls": "pixseek.sources.named_urls",
}


def open_source(root: Root, only: Only | None = None) -> Source:
    """Return the source that reads a root.

    Args:
        root: the root.
        only: what to look at of a folder; None for everything.

    Raises:
        ConfigError: nothing reads roots of its kind, or one of its patterns can't be understood.
        SourceError: the package that does can't be loaded.
    """
    if root.kind == "folder":
        from pixseek.sources.folder import FolderSource

        return FolderSource(
            root.name, root.path, root.scopes, root.exclude, root.include,
            follow_links=root.follow_links, only=only,
        )  # fmt: skip
    if root.kind in OWN:
        return cast("Source", import_module(OWN[root.kind]).opened(root))
    registered = _registered()
    if root.kind not in registered:
        raise ConfigError(
            "Nothing installed here reads this kind of source",
            f"{root.kind} ({root.where})",
            "Install the package that adds it; its images stay in the library until then.",
        )
    try:
        opener = cast("Callable[[Root], Source]", registered[root.kind].load())
    except PixseekError:
        raise
    except Exception as error:  # whatever a third party's module raises on import
        raise SourceError(
            "The source can't be loaded", registered[root.kind].value, str(error)
        ) from (error)
    return opener(root)


def recognise(given: str | os.PathLike[str], kind: str | None = None) -> Recognised | None:
    """Return what pixseek's own sources take a path or URL for; None for a folder or a file.

    Args:
        given: as the user typed it.
        kind: ask only the source of this kind; "folder" asks none. The name of a layout of data
            sets, such as "coco", takes the folder for one.

    Raises:
        SourceError: it is such a source by its name, and can't be read; or there is no such kind.
    """
    from pixseek.sources.remote_files import is_remote

    if kind == "folder" and is_remote(os.fspath(given)):
        kind = "remote"
    if kind is not None and kind != "folder" and kind not in OWN:
        from pixseek.sources.datasets import as_layout

        return as_layout(os.fspath(given), kind)
    for each, module in OWN.items():
        if kind in (None, each):
            found = cast("Recognised | None", import_module(module).recognised(os.fspath(given)))
            if found is not None:
                return found
    return None


def is_there(root: Root) -> bool:
    """Return whether a root is there, as far as can be told without asking a server."""
    if not root.is_local:
        return True
    if root.kind == "folder":
        return root.path.is_dir()
    return root.path.exists() or (is_pattern(root.path.name) and root.path.parent.is_dir())


def is_pattern(name: str) -> bool:
    """Return whether the last part of a path names several files, as "*" and "{0..9}" do."""
    return "*" in name or re.search(r"\{\d+\.\.\d+\}", name) is not None


def kind_of(url: str) -> str:
    """Return the kind of root that a URL names: its scheme.

    Raises:
        SourceError: nothing installed here reads such URLs.
    """
    scheme = url.partition("://")[0].lower()
    registered = _registered()
    if scheme not in registered:
        raise SourceError("Nothing installed here reads such a URL", url,
                          unknown("source", scheme, ("folder", *OWN, *registered)))  # fmt: skip
    return scheme


def is_url(text: str) -> bool:
    """Return whether a text is a URL, and no path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def _registered() -> Mapping[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}
