"""Saved searches: a query under a name, which every machine that uses the library's engine sees.

    library.save_search("a dog -snow", "dogs", k=50)
    library.search("@dogs year:2021")

The text is kept as it was written, so that "last week" means the week before the day on which it
runs. What is not text (an example, options) is kept in the JSON of queries (`search.query_json`).
Options at their defaults are not kept, so that a surface can have defaults of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, replace
from typing import TYPE_CHECKING, Any

from pixseek.errors import LibraryFormatError, QueryError
from pixseek.search.query_json import query_from_plain, query_to_plain
from pixseek.types import And, Query, Term
from pixseek.types.dataclass import dataclass
from pixseek.types.queries import is_remote

if TYPE_CHECKING:
    from pixseek.library.opened import Opened

#: The kind of text under which engines keep searches.
KIND = "search"

#: What a text begins with that runs a saved search.
MARK = "@"

_LONGEST = 100
_QUOTED = re.compile(r'["＂“”„‟«]([^"＂“”„‟«»]*)["＂“”‟»](?=\s|$)')
#: Between the name and what follows; both count in any case.
_AND = re.compile(r"(?<!\s)\s++AND(?=\s+\S)")

#: Reads a text in the query language, with dates in plain words or without.
Read = Callable[[str, bool], Query]


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A saved search.

    Attributes:
        text: what it searches for, as it was written; "" if it is only a vector.
        query: the same with its options.
    """

    text: str
    query: Query


def save(opened: Opened, name: str, text: str, rest: Query, dates: bool) -> str:
    """Keep a search under a name, in place of one with the same name; return the name.

    Args:
        opened: the library.
        name: letters, digits, "-", "_" and spaces. Case makes no difference.
        text: what of the query is text, as it was written; it names no example image.
        rest: all else of the query.
        dates: whether dates in the text's plain words are filters.

    Raises:
        QueryError: the name can't be used, or the query holds an image in memory.
        EngineError, StorageError: the engine can't keep it.
    """
    name = _checked(name)
    terms = tuple(_lasting(term, name) for term in rest.terms)
    exclude = tuple(_lasting(term, name) for term in rest.exclude)
    plain = query_to_plain(replace(rest, terms=terms, exclude=exclude))
    for field in fields(Query):
        default = field.default
        if plain.get(field.name) in ([], None if default is MISSING else default):
            plain.pop(field.name, None)
    for other in opened.engine.kept(KIND):
        if _key(other) == _key(name) and other != name:
            opened.engine.keep(KIND, other, None)
    said = {"query": text, **({} if dates else {"dates": False}), **plain} if text else plain
    opened.engine.keep(KIND, name, json.dumps(said, ensure_ascii=False))
    return name


def saved(opened: Opened, read: Read) -> dict[str, SavedSearch]:
    """Return all saved searches by name."""
    from pixseek.search.language import to_text

    found = {}
    for name, kept in opened.engine.kept(KIND).items():
        text, dates, rest = _parts(name, kept)
        query = _together(rest, read(text, dates), first=True) if text else rest
        with contextlib.suppress(QueryError):  # a vector has no text
            text = f"{text} {to_text(rest)}".strip()
        found[name] = SavedSearch(text, query)
    return found


def forget(opened: Opened, name: str) -> None:
    """Forget a saved search.

    Raises:
        QueryError: there is none of this name.
    """
    names = {_key(each): each for each in opened.engine.kept(KIND)}
    found = names.get(_key(name.removeprefix(MARK)))
    if found is None:
        raise _unknown(name.removeprefix(MARK), names.values())
    opened.engine.keep(KIND, found, None)


def recalled(opened: Opened, text: str, read: Read, dates: bool) -> Query:
    """Return the query of a text that begins with the name of a saved search.

    Args:
        opened: the library.
        text: `@NAME`, or `@"NAME"`, and what else the query is to hold, in the query language.
        read: reads that language.
        dates: whether dates in plain words are filters, if the search was not saved without.

    Raises:
        QueryError: there is no such search, or the rest can't be understood.
    """
    kept = opened.engine.kept(KIND)
    name, more = _parted(text, kept)
    written, with_dates, query = _parts(name, kept[name])
    if written:
        query = _together(query, read(written, dates and with_dates), first=True)
    return _together(query, read(more, dates)) if more.strip() else query


def beside(opened: Opened, text: str) -> str:
    """Return what of a text is not the name of a saved search that it begins with.

    Raises:
        QueryError: there is no such search.
    """
    if not text.lstrip().startswith(MARK):
        return text
    return _parted(text, opened.engine.kept(KIND))[1]


def _parts(name: str, kept: str) -> tuple[str, bool, Query]:
    """Return what of a saved search is text, whether it may hold dates, and the rest of it."""
    try:
        plain: dict[str, Any] = json.loads(kept)
        text, dates = str(plain.pop("query", "")), bool(plain.pop("dates", True))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise LibraryFormatError(
            "A saved search is damaged", name, f"Forget it: pixseek saved --delete '{name}'"
        ) from error
    return text, dates, query_from_plain(plain)


def _together(query: Query, more: Query, *, first: bool = False) -> Query:
    """Return a query with the terms and filters of another, whose options don't count.

    Args:
        query, more: both.
        first: whether those of `more` come first.
    """
    one, other = (more, query) if first else (query, more)
    filters = [each for each in (one.where, other.where) if each is not None]
    readings = (replace(each, at=each.at + len(one.terms)) for each in other.date_readings)
    return replace(
        query,
        terms=(*one.terms, *other.terms),
        date_readings=(*one.date_readings, *readings),
        exclude=(*one.exclude, *other.exclude),
        where=And(tuple(filters)) if len(filters) > 1 else next(iter(filters), None),
    )


def _parted(text: str, names: Iterable[str]) -> tuple[str, str]:
    """Return the saved name that a text begins with after the mark, and the rest, in its place.

    So an error in the rest gives the place in the whole text.
    """
    name, more = _split(text.lstrip().removeprefix(MARK), names)
    if joined := _AND.match(more):
        more = more[joined.end() :]
    return name, more.rjust(len(text))


def _split(text: str, names: Iterable[str]) -> tuple[str, str]:
    """Return the saved name that a text begins with, the longest if several do, and the rest."""
    known = {_key(name): name for name in names}
    if quoted := _QUOTED.match(text):
        found = known.get(_key(quoted[1]))
        if found is None:
            raise _unknown(quoted[1], known.values())
        return found, text[quoted.end() :]
    ends = [word.end() for word in re.finditer(r"\S+", text)]
    for end in reversed([end for end in ends if end <= 2 * _LONGEST]):
        if found := known.get(_key(text[:end])):
            return found, text[end:]
    raise _unknown(text[: ends[0]] if ends else "", known.values())


def _unknown(name: str, known: Iterable[str]) -> QueryError:
    import difflib

    # Others who use the engine may keep names that `_checked` refuses.
    names = sorted(each for each in known if each.isprintable())
    near = difflib.get_close_matches(_key(name), [_key(each) for each in names], n=1)
    hint = f"Did you mean {MARK}{near[0]}? " if near else ""
    all_of_them = f"Saved searches: {', '.join(names)}." if names else (
        'None is saved yet. To save one: pixseek save "a dog" NAME'
    )  # fmt: skip
    return QueryError("There is no saved search of this name", name or MARK, hint + all_of_them)


def _checked(name: str) -> str:
    """Return a name as it is kept."""
    kept = " ".join(unicodedata.normalize("NFC", name).removeprefix(MARK).split())
    usable = kept and len(kept) <= _LONGEST
    # A combining mark that NFC can't compose is part of its letter, as in Hindi.
    letters = (unicodedata.category(each)[0] in "LMN" or each in "-_ " for each in kept)
    if not usable or not all(letters) or kept[0] in "- ":
        raise QueryError(
            "This can't be the name of a search",
            name,
            f"Use letters, digits, -, _ and spaces, at most {_LONGEST}, and begin with a letter or "
            "a digit.",
        )
    return kept


def _key(name: str) -> str:
    """Return what two names have in common that mean the same search."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def _lasting(term: Term, name: str) -> Term:
    """Return a term that means the same in any folder and any process."""
    if term.alternatives:
        others = tuple(_lasting(each, name) for each in term.alternatives)
        return replace(_lasting(replace(term, alternatives=()), name), alternatives=others)
    if term.kind != "image":
        return term
    if not isinstance(term.value, str | os.PathLike):
        raise QueryError(
            "A search by an image in memory can't be saved",
            name,
            "Write the image to a file, and search by that file.",
        )
    path = os.fspath(term.value)
    if is_remote(path):
        return term
    return replace(term, value=os.path.abspath(os.path.expanduser(path)))
