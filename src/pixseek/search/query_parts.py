"""The parts of a query, each as text: what a page shows as chips and can take away one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, Literal

from pixseek.errors import QueryError
from pixseek.search import language
from pixseek.search.language_writing import parts as conditions
from pixseek.search.language_writing import to_text
from pixseek.types import Query, Term
from pixseek.types.dataclass import dataclass

#: Words that are a date on some day are one on this; dates to come are not read as such.
_ANY_DAY = date(2200, 1, 1)


@dataclass(frozen=True, slots=True)
class QueryPart:
    """One thing that a query says.

    Attributes:
        kind: "text" and "id" look for something, as "image" does, an example by its URL;
            "exclude" leaves out; "filter" must hold; "date" is a filter read from plain words.
        shown: words, an id, a filter as people type it.
        text: the part in the query language, without its weight; "" for one that has no text.
        weight: of what is looked for; 1 for others.
        without: the whole query without this part, in the query language.
    """

    kind: Literal["text", "image", "id", "vector", "exclude", "filter", "date"]
    shown: str
    text: str
    weight: float
    without: str


def parts_of(query: Query) -> list[QueryPart]:
    """Return the parts of a query in the order of its text; each is a filter, a term or a date."""
    found = []
    for at, term in enumerate(query.terms):
        rest = replace(query, terms=(*query.terms[:at], *query.terms[at + 1 :]))
        bare = _strictly(Query((replace(term, weight=1.0),)))
        found.append(
            QueryPart(term.kind, _shown(term), bare, term.weight, _text(_shifted(rest, at)))
        )
    for at, term in enumerate(query.exclude):
        rest = replace(query, exclude=(*query.exclude[:at], *query.exclude[at + 1 :]))
        bare = _text(Query((), exclude=(term,)))
        found.append(QueryPart("exclude", _shown(term), bare, 1.0, _text(rest)))
    filters = [] if query.where is None else conditions(query.where)
    for at, each in enumerate(filters):
        text = to_text(each)
        others = [to_text(other) for other in (*filters[:at], *filters[at + 1 :])]
        without = " ".join((_text(replace(query, where=None)), *others)).strip()
        found.append(QueryPart("filter", text, text, 1.0, without))
    for reading in query.date_readings:
        kept = tuple(each for each in query.date_readings if each is not reading)
        without = _text(replace(query, date_readings=kept))
        found.append(QueryPart("date", reading.words, reading.means, 1.0, without))
    return found


def _shifted(query: Query, at: int) -> Query:
    """Return a query whose term at a place is gone, with its dates where they belong."""
    readings = tuple(replace(each, at=each.at - (each.at > at)) for each in query.date_readings)
    return replace(query, date_readings=readings)


def _strictly(query: Query) -> str:
    """Return a query in the language; "" if it can't be typed."""
    try:
        return language.to_text(query)
    except QueryError:
        return ""


def _text(query: Query) -> str:
    """Return a query as people would type it; "" if it is nothing, or can't be typed."""
    text = _strictly(query)
    if len(query.terms) != 1 or not text.startswith('"'):
        return text
    # One thing to look for needs no quotation marks, unless its words would mean something else.
    words, (term,) = query.terms[0].value, query.terms
    quoted = language.to_text(Query((term,)))
    bare = f"{words}{text[len(quoted) :]}"
    try:
        same = language.parse(bare, today=_ANY_DAY) == language.parse(text)
    except QueryError:
        return text
    return bare if same else text


def _shown(term: Term) -> str:
    def one(each: Term) -> str:
        value: Any = each.value
        return value if isinstance(value, str) else ""

    return " OR ".join(one(each) for each in (term, *term.alternatives))
