"""What is asked: filters (evaluated in `pixseek.filters`), terms, queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from pixseek.types.dataclass import dataclass
from pixseek.types.records import Scalar

Operator = Literal[
    "eq", "ne", "lt", "le", "gt", "ge", "in", "glob", "contains", "under", "near", "exists"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compare:
    """A field compared with a value: `Compare("width", "ge", 1920)`.

    The value is one scalar; for "in" a tuple of them; for "near" latitude, longitude and
    kilometres.
    """

    field: str
    op: Operator
    value: Scalar | tuple[Scalar, ...] = None


@dataclass(frozen=True, slots=True)
class And:
    """All of these hold; true when there are none."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of these holds; false when there are none."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """This does not hold."""

    filter: Filter


Filter = Compare | And | Or | Not


def comparisons(where: Filter) -> Iterator[Compare]:
    """Yield the comparisons of a filter."""
    match where:
        case And(parts) | Or(parts):
            for part in parts:
                yield from comparisons(part)
        case Not(inner):
            yield from comparisons(inner)
        case Compare():
            yield where


def is_remote(example: str) -> bool:
    """Return whether the name of an example image is a URL; any other is that of a file."""
    return example[:8].lower().startswith(("http://", "https://"))


#: No image has a side of so many pixels; and the largest number that is shown of a wrong one.
_MOST_PIXELS, _SHOWN = 1 << 31, 1e30


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of an image, in fractions of its sides if all are at most 1, else in pixels.

    Raises:
        QueryError: it is empty or lies outside, as far as can be told without the image.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        """Check that it is not empty."""
        inside = self.x >= 0 and self.y >= 0 and self.width > 0 and self.height > 0
        if inside and self.in_fractions:
            inside = self.x < 1 and self.y < 1
        if not inside or max(self.box) >= _MOST_PIXELS:
            from pixseek.errors import QueryError

            raise QueryError(
                "not a rectangle of an image",
                ",".join(f"{max(-_SHOWN, min(each, _SHOWN)):g}" for each in self.box),
                "Write x,y,width,height: as fractions of the image such as 0.5,0,0.5,1, or in "
                "pixels.",
            )

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, width and height."""
        return (self.x, self.y, self.width, self.height)

    @property
    def in_fractions(self) -> bool:
        """Whether it is given in fractions of the image rather than in pixels."""
        return max(self.box) <= 1


#: Most characters of a query, and of one text that is looked for; a model reads some 300 of them.
MAX_CHARACTERS = 10_000
#: Most things that one query looks for or leaves out, alternatives included.
MAX_TERMS = 64


@dataclass(frozen=True, slots=True)
class Term:
    """One thing to look for.

    Attributes:
        kind: what `value` is: words; an example image; a record's id; a raw vector.
        value: str for "text" and "id"; for "image" a path, a URL, a Pillow image, or an array
            (height, width, 3) uint8; (dim,) float32 for "vector".
        weight: how much it counts among the terms of a query; below 0 to search away from it.
        region: the part of the image that is meant; None for all of it.
        alternatives: other things, one of which is as good; the best match counts. Their own
            weights and alternatives don't count.
        at: the second of a video that is meant; None for all of it. Of an indexed video it stands
            for the shot that it lies in.
        of: what a vector was made of. Its scores are judged like those of other texts or images:
            a text has lower cosines with the images that show it than an image has.
    """

    kind: Literal["text", "image", "id", "vector"]
    value: Any
    weight: float = 1.0
    region: Region | None = None
    alternatives: tuple[Term, ...] = ()
    of: Literal["text", "image"] = "image"
    at: float | None = None

    @property
    def is_of_text(self) -> bool:
        """Whether it is words, or a vector that was made of a text."""
        return self.kind == "text" or (self.kind == "vector" and self.of == "text")


@dataclass(frozen=True, slots=True)
class DateReading:
    """Plain words of a query that were read as a date, such as "july 2019".

    Attributes:
        words: as they were typed.
        means: the filter in the language of the search box: "date:2019-07".
        where: the same filter.
        instead: the term that has these words among its own.
        at: where in the query's terms `instead` belongs.
        alone: whether nothing but the date was left of `instead`, so that the terms lack it.
    """

    words: str
    means: str
    where: Filter
    instead: Term
    at: int
    alone: bool


#: How well a hit matches, best first.
Strength = Literal["strong", "likely", "weak"]


#: How hits can be sorted.
Sort = Literal["relevance", "newest", "oldest", "name", "largest", "smallest"]


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; the same from Python, the command line and every other surface.

    Attributes:
        terms: what hits should resemble; none for all images that `where` lets through.
        exclude: what hits must not show: an image that clearly matches such a term is left out.
        where: what hits must fulfil; None for no condition.
        k: at most this many hits are returned.
        offset: how many of the best hits to skip.
        sort: the order; any but "relevance" keeps only strong and likely hits. All of these are
            sorted if there are at most 100,000; with several things to look for, `exclude`, `group`
            or `variety`, 20,000. If there are more, the best are sorted, and a warning says so.
        min_strength: hits that match less well are left out; None for no limit.
        group: show copies, and photos of one view, once.
        variety: 0 ranks by score alone, 1 by difference from the hits before alone.
        text_weight: how much captions, tags and names that hold the words count next to the
            images, whose weight is 1; 0 ignores them.
        show_excluded: keep what `exclude` would leave out, marked; see `Hit.excluded_by`.
        min_confidence: deprecated, use `min_strength`: 0.95 and up is "strong", 0.5 and up is
            "likely".
        date_readings: dates read from plain words: filters besides `where`, but if no image
            fulfils them all, their words are looked for.
        exact: score every image that `where` lets through, however long that takes; otherwise the
            index of a large library chooses candidates. See `Results.search`.
        moments: show each shot of a video that is a strong or likely match as a hit of its own,
            with "weak" as `min_strength` every shot; otherwise a video is one hit, by its best
            shot. Needs something to look for.
        group_by: show only the best image of each value of this field, with the number of others;
            "" for all images. k and offset then count values. Images without the field are shown
            one by one; `group` and `moments` have no effect. The field is named as in the query
            language, and an image has at most one value of it: folder, camera, year, format,
            country, fields.NAME, or NAME alone for a column of a table.
    """

    terms: tuple[Term, ...]
    exclude: tuple[Term, ...] = ()
    where: Filter | None = None
    k: int = 10
    offset: int = 0
    sort: Sort = "relevance"
    min_strength: Strength | None = None
    group: bool = False
    variety: float = 0.0
    text_weight: float = 1.0
    show_excluded: bool = False
    min_confidence: float = 0.0
    date_readings: tuple[DateReading, ...] = ()
    exact: bool = False
    moments: bool = False
    group_by: str = ""

    def dates_as_filters(self) -> Query:
        """Return the query with dates in plain words as part of `where`."""
        if not self.date_readings:
            return self
        given = () if self.where is None else (self.where,)
        parts = (*given, *(each.where for each in self.date_readings))
        where = parts[0] if len(parts) == 1 else And(parts)
        return replace(self, where=where, date_readings=())

    def dates_as_words(self) -> Query:
        """Return the query with dates in plain words as words to look for."""
        terms = list(self.terms)
        for each in reversed(self.date_readings):
            terms[each.at : each.at + (not each.alone)] = [each.instead]
        return replace(self, terms=tuple(terms), date_readings=())

    def refined(self, liked: Sequence[str] = (), disliked: Sequence[str] = ()) -> Query:
        """Return the query moved towards some images and away from others, given by their ids.

        The weights, 0.75 and 0.15, are those of Rocchio's method (Manning, Raghavan and Schütze,
        Introduction to Information Retrieval, section 9.1.1).
        """
        terms = [Term("id", each, 0.75 / len(liked)) for each in liked]
        terms += [Term("id", each, -0.15 / len(disliked)) for each in disliked]
        return replace(self, terms=(*self.terms, *terms))
