"""Where images come from. Each source finds candidates and reads them; `open_source` picks one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from pixseek.errors import ConfigError, PixseekError, SourceError, unknown
from pixseek.types import Root, Source

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: Where packages register sources: the name is the kind of a root and the scheme of its URL, the
#: value a function that takes the `Root` and returns a `Source`.
GROUP = "pixseek.sources"


def open_source(root: Root) -> Source:
    """Return the source that reads a root.

    Raises:
        ConfigError: nothing reads roots of its kind, or one of its patterns can't be understood.
        SourceError: the package that does can't be loaded.
    """
    if root.kind == "folder":
        from pixseek.sources.folder import FolderSource

        return FolderSource(
            root.name, root.path, root.scopes, root.exclude, root.include,
            follow_links=root.follow_links,
        )  # fmt: skip
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


def kind_of(url: str) -> str:
    """Return the kind of root that a URL names: its scheme.

    Raises:
        SourceError: nothing installed here reads such URLs.
    """
    scheme = url.partition("://")[0].lower()
    registered = _registered()
    if scheme not in registered:
        raise SourceError("Nothing installed here reads such a URL", url,
                          unknown("source", scheme, ("folder", *registered)))  # fmt: skip
    return scheme


def is_url(text: str) -> bool:
    """Return whether a text is a URL, and no path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def _registered() -> Mapping[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}
