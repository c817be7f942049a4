"""The language of the search box: text to `Query` and back.

    a dog on a beach              words: what is in the image
    "a dog" "a beach"             two things, each counts; the same: a dog AND a beach
    2*"a dog" beach               the first counts twice
    -frisbee   -"a red ball"      leave out images that show this; the same: NOT a red ball
    a dog OR a cat                one of them is enough; within words: a (red OR blue) car
    -0.5*night                    away from this (subtraction; `-` alone is exclusion)
    image:ball.jpg   id:k3v5xq7m  like this file, URL, or indexed image
    image:ball.jpg@0.1,0.2,0.5,0.5         like this rectangle of it: x, y, width, height;
                                           id:k3v5xq7m@0.1,0.2,0.5,0.5 of an indexed image
    year:2021 camera:nikon width:>=1920    filters; all must hold
    (tag:cat OR tag:dog) -folder:old       OR, NOT or a minus, parentheses
    name:="exact.jpg" iso:100..400 width:in(1,2) has:caption
    @holidays -people             a saved search, and more; only at the beginning, in a library

Adjacent words are one thing to look for. `AND`, `OR` and `NOT` in capitals stand between such
things and before them; in small letters or in quotation marks they are words. `OR` binds more
tightly than a space, as in mail programs: `a:1 OR b:2 c:3` is (a or b) and c. A text that can't be
understood raises a `QueryError` with the character where it fails; every other text is a query.

Curly and angle quotes, dashes before a word, full-width letters, colons and parentheses mean what
the straight ones mean. An apostrophe within a word is a letter of it.

Dates in plain words are filters if `today` is given: "july 2019", "paris 2019 street", "summer
2021" (of the northern half of the earth), "last december", "before 2010", "14. Juli 2019". Months
and seasons alone are words, and so is everything in quotation marks.

A query has at most 10,000 characters and 64 things to look for.

`parse` and `to_text` are each other's inverse: printing and parsing again gives the same query.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import PurePath

from pixseek.errors import QueryError
from pixseek.search import language_writing
from pixseek.search.language_parser import parsed
from pixseek.types import And, Filter, Query, Term


def parse(text: str, *, today: date | None = None) -> Query:
    """Return the query that a text stands for, with the default k and offset.

    Args:
        text: what was typed.
        today: the day that "last week" is reckoned from, to read dates in plain words; None to
            leave them as words.

    Raises:
        QueryError: it can't be understood; `subject` shows the place.
    """
    return parsed(text, today)


def filter_of(text: str) -> Filter | None:
    """Return the filter that a text stands for; None for an empty text.

    Raises:
        QueryError: it can't be understood, or has something besides filters.
    """
    query = parse(text)
    if query.terms or query.exclude:
        raise QueryError(
            "Only filters can stand here, no words", text, "For example: 'year:2024 -tag:done'"
        )
    return query.where


def to_text(query: Query) -> str:
    """Return a text that `parse` turns into this query, except k, offset and the other options.

    Dates that were read from plain words are written as filters.

    Raises:
        QueryError: a term has no text: a raw vector, or an image in memory.
    """
    terms = [_term_text(term, excluded=False) for term in query.terms]
    # Parentheses next to each other would be multiplied.
    chosen = any(term.alternatives for term in query.terms)
    pieces = [(" AND " if chosen else " ").join(terms)] if terms else []
    pieces += [_term_text(term, excluded=True) for term in query.exclude]
    query = query.dates_as_filters()
    if query.where is not None:
        pieces += [language_writing.to_text(part) for part in _joined(query.where)]
    return " ".join(pieces)


def _joined(where: Filter) -> tuple[Filter, ...]:
    """Return the filters that stand side by side in a text; parentheses around And are kept."""
    if isinstance(where, And) and len(where.filters) > 1 and not language_writing.short(where):
        return where.filters
    return (where,)


def _term_text(term: Term, *, excluded: bool) -> str:
    text = " OR ".join(map(_one_text, (term, *term.alternatives)))
    if term.alternatives:
        text = f"({text})"
    if excluded:
        return f"-{text}"
    return text if term.weight == 1 else f"{float(term.weight)!r}*{text}"


def _one_text(term: Term) -> str:
    value = term.value
    if term.kind == "vector" or not isinstance(value, str | PurePath):
        raise QueryError(
            "A term can't be written as text", f"a {term.kind} in memory", "Keep it as a file."
        )
    text = language_writing.quoted(os.fspath(value))
    if term.kind != "text":
        text = f"{term.kind}:{text}"
    if term.region is not None:
        text += "@" + ",".join(map(repr, term.region.box))
    elif term.at is not None:
        text += f"@{term.at:.9f}".rstrip("0").rstrip(".")
    return text
