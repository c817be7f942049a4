"""What to scan of the roots of a library if it is known which files changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pixseek.library.places import gone, is_reachable, settled, source_of
from pixseek.library.roots import Roots
from pixseek.types import Engine, Failure

if TYPE_CHECKING:
    from pixseek.sources.scopes import Only
    from pixseek.types import Source


def changed_sources(
    roots: Roots, engine: Engine, changed: Mapping[str, Only]
) -> tuple[list[Source], list[Failure]]:
    """Return a source for each root in which something changed; a table or archive as a whole.

    Args:
        roots: those of the library.
        engine: holds its records.
        changed: what to look at, by the name of the root; all that was remembered for a root
            (patterns, scopes, links) holds.

    Returns:
        The sources; and a failure for each root that is not there.
    """
    from pixseek.sources import open_source

    sources: list[Source] = []
    missing: list[Failure] = []
    for root in roots.all():
        only = changed.get(root.name)
        if only is None:
            continue
        if not is_reachable(root):
            missing.append(gone(root, engine, roots.folders()))
            continue
        if root.kind != "folder":
            opened = source_of(roots.opened, root)
            (missing if isinstance(opened, Failure) else sources).append(opened)  # type: ignore[arg-type]
            continue
        scopes = tuple(settled(root))
        sources.append(open_source(roots.alone(replace(root, scopes=scopes)), only))
    return sources, missing
