"""What paths would be taken for, before anything is indexed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.errors import SourceError
from pixseek.library.named_paths import absolute_or_address
from pixseek.library.opening import OpenSources, root_of
from pixseek.sources.columns import ROLES
from pixseek.types import Candidate, Failure, Root, Scalar
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.sources.rows import Mapped

__all__ = ["ROLES", "Meaning", "Outlook", "names_urls", "outlook"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a column of a table becomes.

    Attributes:
        column: its name in the table.
        becomes: "image", "caption", "tags", "date", "id", "people", "not used" for more pictures,
            or the name of a field as queries write it.
        kind: of a field's values: "text", "int", "float", "bool", "time" or "list"; "" for others.
        why: why the field has another name, or that all images have it; "" for neither.
    """

    column: str
    becomes: str
    kind: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a path would be taken for.

    Attributes:
        path: absolute, or a URL.
        what: in words.
        kind: of the root.
        images: how many it has, or names.
        rows: of a table; None for others.
        columns: of a table.
        examples: names of a few images of a table, with what it says of them.
        failures: what can't be used.
    """

    path: str
    what: str
    kind: str
    images: int
    rows: int | None = None
    columns: tuple[Meaning, ...] = ()
    examples: tuple[tuple[str, Mapping[str, Scalar | tuple[str, ...]]], ...] = ()
    failures: tuple[Failure, ...] = ()


def outlook(
    given: str | os.PathLike[str],
    *,
    read_as: str | None = None,
    columns: Mapping[str, str] | None = None,
    images: str | os.PathLike[str] | None = None,
    private: bool = False,
    offline: bool = False,
) -> Outlook:
    """Look at what a path holds, without indexing it; for the arguments see `Library.index`.

    Args:
        private: connect also to addresses that are not public.
        offline: connect to nothing.

    Raises:
        SourceError: it is not there, can't be read, or has no column of images.
    """
    from pixseek.sources import recognise
    from pixseek.sources.rows import RowSource

    sources = OpenSources(private=private, offline=offline)
    found = recognise(given, read_as)
    if found is None and read_as not in (None, "folder"):
        raise SourceError(f"It can't be read as {read_as}", given, "Check the path.")
    if found is None:
        path = os.path.abspath(os.path.expanduser(given))
        if not os.path.isdir(path):
            return Outlook(path, "file", "file", 1)
        root = Root("images", path)
    else:
        table: dict[str, Any] = {"columns": dict(columns)} if columns else {}
        table |= {"images": absolute_or_address(images)} if images else {}
        if found.kind in ("table", "dataset"):
            found = replace(found, options={**found.options, **table})
        found = sources.checked(found, read_as, table)
        root = replace(root_of(found), scopes=(found.scope,))
    source = sources.new(root)
    if isinstance(source, RowSource):
        mapped = source.mapped()
        return Outlook(
            root.where, mapped.what, root.kind, mapped.images, mapped.rows,
            tuple(_meanings(mapped)), mapped.fields, mapped.problems,
        )  # fmt: skip
    count, failures = 0, []
    for event in source.scan():
        count += isinstance(event, Candidate)
        if isinstance(event, Failure):
            failures.append(event)
    what = "folder" if root.kind == "remote" else root.kind
    return Outlook(root.where, what, root.kind, count, failures=tuple(failures))


def names_urls(given: Path, roots: Iterable[Root]) -> bool:
    """Return whether a path is a table or data set, new to a library, that names images by URL.

    Args:
        given: absolute.
        roots: of the library.

    Raises:
        SourceError: it can't be read, or has no column of images.
    """
    from pixseek.sources import open_source, recognise
    from pixseek.sources.rows import RowSource

    found = recognise(given)
    if found is None or found.kind not in ("table", "dataset"):
        return False
    for root in roots:
        if (root.kind, root.where) == (found.kind, found.where):
            return False
        # What was indexed as a folder stays one, although it looks like a data set.
        is_folder = found.kind == "dataset" and root.kind == "folder"
        if is_folder and given.is_relative_to(root.path):
            return False
    source = open_source(Root(found.name, found.where, kind=found.kind, options=found.options))
    return isinstance(source, RowSource) and source.names_urls()


def _meanings(mapped: Mapped) -> list[Meaning]:
    from pixseek.metadata.fields import FIELDS

    roles = mapped.roles
    found = [Meaning(roles.image, "image")]
    found += [Meaning(name, "caption") for name in roles.captions]
    found += [Meaning(name, "tags") for name in roles.tags]
    found += [Meaning(roles.date, "date", why=mapped.date.why)] if roles.date else []
    singles = ((roles.id, "id"), (roles.people, "people"))
    found += [Meaning(name, role) for name, role in singles if name]
    for name, target in mapped.columns.items():
        field = target.name if target.name in FIELDS else f"fields.{target.name}"
        found.append(Meaning(name, field, target.kind, target.why))
    why = "a row is one image; to index these: --column image=NAME"
    return found + [Meaning(name, "not used", "", why) for name in mapped.unused]
