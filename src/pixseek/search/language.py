"""The language of the search box: text to `Query` and back.

    a dog on a beach              words: what is in the image
    "a dog" "a beach"             two things, each counts; the same: a dog AND a beach
    2*"a dog" beach               the first counts twice
    -frisbee   -"a red ball"      leave out images that show this; the same: NOT a red ball
    -0.5*night                    away from this (subtraction; `-` alone is exclusion)
    image:ball.jpg   id:k3v5xq7m  like this file, URL, or indexed image
    image:ball.jpg@0.1,0.2,0.5,0.5         like this rectangle of it: x, y, width, height
    year:2021 camera:nikon width:>=1920    filters; all must hold
    (tag:cat OR tag:dog) -folder:old       OR, NOT or a minus, parentheses
    name:="exact.jpg" iso:100..400 width:in(1,2) has:caption

Adjacent words are one thing to look for. `AND`, `OR` and `NOT` in capitals stand between such
things and before them; in small letters or in quotation marks they are words. `OR` binds more
tightly than a space, as in mail programs: `a:1 OR b:2 c:3` is (a or b) and c. A text that can't be
understood raises a `QueryError` with the character where it fails; every other text is a query.

Curly and angle quotes, dashes before a word, full-width letters, colons and parentheses mean what
the straight ones mean. An apostrophe within a word is a letter of it.

`parse` and `to_text` are each other's inverse: printing and parsing again gives the same query.
"""

from __future__ import annotations

import os
from pathlib import PurePath

from pixseek.errors import QueryError
from pixseek.search import language_writing
from pixseek.search.language_parser import parsed
from pixseek.types import And, Filter, Query, Term


def parse(text: str) -> Query:
    """Return the query that a text stands for, with the default k and offset.

    Raises:
        QueryError: it can't be understood; `subject` shows the place.
    """
    return parsed(text)


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

    Raises:
        QueryError: a term has no text: a raw vector, or an image in memory.
    """
    pieces = [_term_text(term, excluded=False) for term in query.terms]
    pieces += [_term_text(term, excluded=True) for term in query.exclude]
    if query.where is not None:
        whole = query.where
        parts = whole.filters if isinstance(whole, And) and len(whole.filters) > 1 else (whole,)
        pieces += [language_writing.to_text(part) for part in parts]
    return " ".join(pieces)


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
        raise QueryError("A term can't be written as text", f"a {term.kind} in memory")
    text = language_writing.quoted(os.fspath(value))
    if term.kind != "text":
        text = f"{term.kind}:{text}"
    if term.region is not None:
        text += "@" + ",".join(map(repr, term.region.box))
    return text
