"""From a request to a query that somebody outside may ask.

Clients name no file of the server: an example is an upload, an id, or, if that is allowed, a URL.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query as Parameter
from pydantic import BaseModel, BeforeValidator, ConfigDict

from pixseek.errors import QueryError
from pixseek.library.surfaces import is_place, typed_beside_saved, without_places
from pixseek.redaction import redacted
from pixseek.server.settings import Settings
from pixseek.types import Query, Region, Sort, Strength, Term
from pixseek.types.queries import comparisons, is_remote

if TYPE_CHECKING:
    from pixseek.library import Library


#: No video lasts as long: 115 days.
MOST_SECONDS = 9_999_999


def _whole(value: Any) -> Any:
    """Refuse "10.0", which would be taken for 10."""
    is_wrong = isinstance(value, bool) or (
        isinstance(value, str) and not value.strip().lstrip("+-").isdecimal()
    )
    if is_wrong:
        raise ValueError("a whole number is needed")
    return value


#: After the bounds of a number, so that OpenAPI has them: `Annotated[int, Field(ge=0), WHOLE]`.
WHOLE = BeforeValidator(_whole)


#: The field of which one image a value is shown.
GROUP_BY = Parameter(
    max_length=1_000,
    description="Show the best image of each value of a field, with the number of the others.",
    examples=["fields.product"],
)


class Given(BaseModel):
    """Parameters of a request; unknown ones are refused by name."""

    model_config = ConfigDict(extra="forbid")


class NothingGiven(Given):
    """No parameters."""


class LibraryGiven(Given):
    """The library that is meant."""

    library: Annotated[
        str | None, Parameter(description="Name of a library; the first if missing.")
    ] = None


class QueryGiven(LibraryGiven):
    """A query, with the options that decide which hits it has, and in which order."""

    q: Annotated[
        str,
        Parameter(
            max_length=10_000,
            description="Words, or the query language: `a dog -snow year:2021`.",
            examples=["a dog -snow"],
        ),
    ] = ""
    sort: Annotated[Sort, Parameter(description="The order.")] = "relevance"
    min_strength: Annotated[
        Strength | None, Parameter(description="Leave out hits that match less well.")
    ] = None
    group: Annotated[bool, Parameter(description="Show copies once.")] = False
    group_by: Annotated[str, GROUP_BY] = ""
    variety: Annotated[float, Parameter(ge=0, le=1, description="0 for none.")] = 0.0
    text_weight: Annotated[
        float, Parameter(ge=0, le=100, description="How much captions and tags count.")
    ] = 1.0
    show_excluded: Annotated[bool, Parameter(description="Keep what -words exclude.")] = False
    exact: Annotated[
        bool, Parameter(description="Compare with every image; slower in large libraries.")
    ] = False
    dates: Annotated[bool, Parameter(description='Read "july 2019" as a filter.')] = True

    def options(self) -> dict[str, Any]:
        """Return the fields of `Query` among them."""
        return {
            name: getattr(self, name)
            for name in ("k", "offset", "sort", "min_strength", "group", "group_by", "variety",
                         "text_weight", "show_excluded", "exact", "moments")
            if name in type(self).model_fields
        }  # fmt: skip


class SearchGiven(QueryGiven):
    """The options of a search, as `pixseek search` has them."""

    k: Annotated[int, Parameter(ge=0, description="Hits of a page."), WHOLE] = 20
    offset: Annotated[int, Parameter(ge=0, description="Best hits to skip."), WHOLE] = 0
    moments: Annotated[
        bool, Parameter(description="Make each shot of a video that matches a hit of its own.")
    ] = False


class SimilarGiven(LibraryGiven):
    """The options of a search by an image of the library."""

    k: Annotated[int, Parameter(ge=0, description="Hits of a page."), WHOLE] = 20
    offset: Annotated[int, Parameter(ge=0, description="Best hits to skip."), WHOLE] = 0
    group: Annotated[bool, Parameter(description="Show copies once.")] = False
    group_by: Annotated[str, GROUP_BY] = ""
    exact: Annotated[
        bool, Parameter(description="Compare with every image; slower in large libraries.")
    ] = False
    moments: Annotated[
        bool, Parameter(description="Make each shot of a video that matches a hit of its own.")
    ] = False
    at: Annotated[
        float | None,
        Parameter(ge=0, le=MOST_SECONDS, description="The second of a video that is meant."),
    ] = None
    where: Annotated[str, Parameter(description="Filters, such as `format:jpg`.")] = ""
    region: Annotated[
        str | None,
        Parameter(
            description="The part of the image that is meant: x,y,width,height as fractions or "
            "pixels.",
            examples=["0.5,0,0.5,1"],
        ),
    ] = None


def text_query(
    library: Library, given: QueryGiven, settings: Settings, *, has_rights: bool
) -> Query:
    """Return the query of a text with options.

    Args:
        library: is asked.
        given: the text, and the options.
        settings: of the server.
        has_rights: whether whoever asks may know where files are. Others get a query that names no
            file or folder by its place, as a saved search may.

    Raises:
        QueryError: it can't be understood, or may not be asked from outside.
    """
    check_text(library, given.q, settings)
    query = library.query(given.q, dates=given.dates, **given.options())
    _check_size(query, settings)
    return query if has_rights or not names_places(query) else without_places(library, query)


def names_places(query: Query) -> bool:
    """Return whether a query names files or folders by their place, or URLs with secrets."""
    return any(
        not is_remote(example) or redacted(example) != example for example in _examples(query)
    ) or any(is_place(folder) for folder in _folders(query))


def plain_query(
    library: Library, plain: Mapping[str, Any], settings: Settings, *, has_rights: bool
) -> Query:
    """Return the query of a JSON object, whose text may begin with a saved search.

    Raises:
        QueryError: it can't be understood, or may not be asked from outside.
    """
    from pixseek.wire import query_from_plain

    text = plain.get("query") if isinstance(plain, dict) else None
    if not isinstance(text, str) or not text.lstrip().startswith("@"):
        query = query_from_plain(plain)
        check(query, settings)
        return query
    # A saved search may name a file; what is sent besides may not.
    check(query_from_plain({**plain, "query": typed_beside_saved(library, text)}), settings)
    query = query_from_plain(plain, lambda text, dates: library.query(text, dates=dates))
    _check_size(query, settings)
    return query if has_rights or not names_places(query) else without_places(library, query)


def check(query: Query, settings: Settings) -> None:
    """Check a query that somebody outside asks.

    Raises:
        QueryError: it names a file or folder of the server or a URL that may not be fetched, or it
            asks for too much.
    """
    for example in _examples(query):
        if not is_remote(example):
            raise QueryError(
                "An example can't be named by a path here", "",
                "Upload it, or name an image of the library by its id.",
            )  # fmt: skip
        if not settings.fetch_urls:
            raise QueryError(
                "This server fetches no examples from other hosts", "", "Upload the image."
            )
    for folder in _folders(query):
        if is_place(folder):
            raise QueryError(
                "A folder can't be named by its place on the server", folder,
                "Name it as in the URIs of images: folder:Photos/2021",
            )  # fmt: skip
    _check_size(query, settings)


def region_of(text: str | None) -> Region | None:
    """Return the rectangle that a text stands for.

    Raises:
        QueryError: it is none.
    """
    if text is None:
        return None
    try:
        x, y, width, height = numbers = [float(each) for each in text.split(",")]
        if not all(map(math.isfinite, numbers)):
            raise ValueError
    except ValueError as error:
        raise QueryError(
            "Not a rectangle", text[:100], "Write x,y,width,height, such as 0.5,0,0.5,1."
        ) from error
    return Region(x, y, width, height)


def weight_of(text: object) -> float:
    """Return the weight that a field of a form holds; 1 if it is empty or missing.

    Raises:
        QueryError: it is not a number from -100 to 100, or it is 0.
    """
    try:
        weight = float(text) if isinstance(text, str) and text.strip() else 1.0
    except ValueError:
        weight = 0.0
    if not (0 < abs(weight) <= 100):
        raise QueryError("Not a weight", str(text)[:100], "Write a number such as 1.5.")
    return weight


def with_image(query: Query, image: Any, region: Region | None, weight: float = 1.0) -> Query:
    """Return a query that looks for an example besides."""
    return replace(query, terms=(*query.terms, Term("image", image, weight, region)))


def check_text(library: Library, text: str, settings: Settings) -> None:
    """Check what was typed. A saved search may name a file: who saved it could.

    Raises:
        QueryError: as `check`.
    """
    typed = typed_beside_saved(library, text)
    if typed.strip():
        check(library.query(typed, dates=False), settings)


def _check_size(query: Query, settings: Settings) -> None:
    limits = settings.limits
    if query.k > limits.most_hits:
        raise QueryError("Too many hits", f"k={query.k}", f"At most {limits.most_hits:,} a page.")
    if query.offset + query.k > limits.deepest:
        raise QueryError(
            "Too deep", f"offset={query.offset}", f"At most {limits.deepest:,}; narrow the search."
        )


def _terms(query: Query) -> Iterator[Term]:
    instead = (reading.instead for reading in query.date_readings)
    for term in (*query.terms, *query.exclude, *instead):
        yield term
        yield from term.alternatives


def _examples(query: Query) -> Iterator[str]:
    """Yield the examples that a query names, by path or URL."""
    for term in _terms(query):
        if term.kind == "image" and isinstance(term.value, str):
            yield term.value


def _folders(query: Query) -> Iterator[str]:
    """Yield the folders that the filters of a query name."""
    for where in (query.where, *(reading.where for reading in query.date_readings)):
        for compare in comparisons(where) if where is not None else ():
            if compare.field == "folder":
                yield str(compare.value)
