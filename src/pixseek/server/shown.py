"""What a page shows, and how a user wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixseek.server.texts import Texts
from pixseek.types import Query, Results
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """How a user wants the page.

    Attributes:
        theme: of `THEMES`.
        rows: height of the rows, of `ROWS`.
        texts: of their language.
        chosen: the language if the user chose one here; "" if the browser says it.
    """

    theme: str
    rows: str
    texts: Texts
    chosen: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows.

    Attributes:
        prefix: path of the server as browsers see it, such as "/photos"; "" for none.
        asked: the parameters of the address that are not at their defaults.
        libraries: names of all libraries, the default first.
        count: images of the library.
        results: None if nothing could be searched.
        query: what was searched; None as above.
        parts: of the query, as `wire.parts_to_plain` gives them.
        saved: names of saved searches.
        groupings: fields of which the user can see one image a value.
        facets: counts by field and value; None if they are not asked for.
        problem: the three parts of an error; None for none.
        may_write: whether the user may change the library.
        has_login: whether the user has logged in, and so can log out.
    """

    prefix: str
    asked: Mapping[str, str]
    libraries: Sequence[str]
    count: int
    results: Results | None = None
    query: Query | None = None
    parts: Sequence[Mapping[str, Any]] = ()
    saved: Sequence[str] = ()
    groupings: Sequence[str] = ()
    facets: Mapping[str, Mapping[str, tuple[int, str]]] | None = None
    problem: tuple[str, str, str] | None = None
    may_write: bool = False
    has_login: bool = False
