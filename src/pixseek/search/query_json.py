"""Whole queries and filters as JSON, both ways; `pixseek.wire` publishes them with other shapes.

Here, because a library keeps searches in this form, and imports nothing of the surfaces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from datetime import date, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, get_args

from pixseek.errors import QueryError, unknown
from pixseek.types import And, Compare, DateReading, Not, Operator, Or, Query, Region, Sort, Term

if TYPE_CHECKING:
    from pixseek.types import Filter, Scalar

#: The options of a query, each with the types its value may have.
_OPTIONS: Mapping[str, tuple[type, ...]] = {
    "k": (int,), "offset": (int,), "sort": (str,), "min_strength": (str,),
    "min_confidence": (int, float), "show_excluded": (bool,),
    "group": (bool,), "variety": (int, float), "text_weight": (int, float), "exact": (bool,),
    "moments": (bool,), "group_by": (str,),
}  # fmt: skip

#: Those that are written only if they are set.
_LATER = ("exact", "moments", "group_by")

#: Filters nested more deeply are refused: they would exhaust the interpreter's stack.
_DEEPEST = 32


def query_to_plain(query: Query) -> dict[str, Any]:
    """Return a whole query as an object that `query_from_plain` reads.

    Raises:
        QueryError: it holds an image in memory.
    """
    return {
        "terms": [_term_to_plain(term) for term in query.terms],
        "exclude": [_term_to_plain(term) for term in query.exclude],
        "where": None if query.where is None else filter_to_plain(query.where),
        **(
            {"date_readings": [_reading_to_plain(each) for each in query.date_readings]}
            if query.date_readings
            else {}
        ),
        # An older pixseek, which may read a saved search, does not know those that came later.
        **{
            name: getattr(query, name)
            for name in _OPTIONS
            if name not in _LATER or getattr(query, name)
        },
    }


def query_from_plain(
    plain: str | Mapping[str, Any], read: Callable[[str, bool], Query] | None = None
) -> Query:
    """Return the query that JSON stands for.

    Args:
        plain: a text in the language of the search box; or an object as `query_to_plain` makes it,
            in which every name may be missing. Besides, "query" may be such a text, and "where" a
            text that holds only filters: `{"query": "a dog", "where": "format:jpg", "k": 5}`.
            Dates in plain words of "query" are filters, unless "dates" is false.
        read: reads the text of "query", with its dates or without; None for the language alone,
            without saved searches.

    Raises:
        QueryError: it can't be understood; a name is unknown; a value has the wrong type.
    """
    from pixseek.search.language import parse

    if isinstance(plain, str):
        return parse(plain, today=date.today())
    _check(plain, ("query", "dates", *(field.name for field in fields(Query))))
    text = plain.get("query") or ""
    if not isinstance(text, str):
        raise _wrong("query", text, "a text")
    if not isinstance(plain.get("dates", True), bool):
        raise _wrong("dates", plain["dates"], "true or false")
    with_dates = plain.get("dates", True)
    if read is not None:
        parsed = read(text, with_dates)
    else:
        parsed = parse(text, today=date.today() if with_dates else None)
    given = [each for each in (parsed.where, filter_from_plain(plain.get("where"))) if each]
    return replace(
        parsed,
        terms=(*parsed.terms, *_terms_from_plain(plain, "terms")),
        exclude=(*parsed.exclude, *_terms_from_plain(plain, "exclude")),
        where=And(tuple(given)) if len(given) > 1 else next(iter(given), None),
        date_readings=(
            *parsed.date_readings,
            *_readings_from_plain(plain, after=len(parsed.terms)),
        ),
        **{name: _option(name, plain[name]) for name in _OPTIONS if plain.get(name) is not None},
    )


def _reading_to_plain(reading: DateReading) -> dict[str, Any]:
    return {
        "words": reading.words,
        "means": reading.means,
        "instead": _term_to_plain(reading.instead),
        "at": reading.at,
        "alone": reading.alone,
    }


def _readings_from_plain(plain: Mapping[str, Any], after: int) -> Iterator[DateReading]:
    given = plain.get("date_readings") or ()
    if not isinstance(given, list | tuple):
        raise _wrong("date_readings", given, "a list of dates in plain words")
    for each in given:
        _check(each, ("words", "means", "instead", "at", "alone"))
        words, means, at = each.get("words"), each.get("means"), each.get("at", 0)
        where = filter_from_plain(means) if isinstance(means, str) else None
        if not isinstance(words, str) or where is None:
            raise _wrong("date_readings", each, "words with the filter that they mean")
        if not isinstance(at, int) or isinstance(at, bool) or at < 0:
            raise _wrong("at", at, "a whole number")
        instead = _term_from_plain(each.get("instead"))
        yield DateReading(words, str(means), where, instead, after + at, bool(each.get("alone")))


def filter_to_plain(where: Filter) -> dict[str, Any]:
    """Return a filter as `{"and": [...]}`, `{"or": [...]}`, `{"not": ...}`, or a comparison.

    A comparison is `{"field": "width", "op": "ge", "value": 1920}`; a time is
    `{"datetime": "2024-05-03T12:00:00"}`.
    """
    match where:
        case And(parts):
            return {"and": [filter_to_plain(part) for part in parts]}
        case Or(parts):
            return {"or": [filter_to_plain(part) for part in parts]}
        case Not(inner):
            return {"not": filter_to_plain(inner)}
        case Compare(field, op, value):
            found: dict[str, Any] = {"field": field, "op": op}
            if isinstance(value, tuple):
                found["value"] = [_value_to_plain(each) for each in value]
            elif value is not None:
                found["value"] = _value_to_plain(value)
            return found


def filter_from_plain(plain: str | Mapping[str, Any] | None) -> Filter | None:
    """Return the filter that a text or an object stands for; None for None and empty texts.

    Raises:
        QueryError: it can't be understood, or its fields don't exist.
    """
    if plain is None:
        return None
    if isinstance(plain, str):
        from pixseek.search.language import filter_of

        return filter_of(plain)
    from pixseek import filters

    where = _filter_from_plain(plain, 0)
    filters.check(where)
    return where


def _filter_from_plain(plain: Any, depth: int) -> Filter:
    if depth > _DEEPEST:
        raise QueryError("Filters are nested too deeply", "", f"At most {_DEEPEST} levels.")
    _check(plain, ("and", "or", "not", "field", "op", "value"))
    kinds = [name for name in ("and", "or", "not", "field") if name in plain]
    if len(kinds) != 1:
        raise QueryError(
            "A filter has one of these names", repr(dict(plain)), "and, or, not, or field."
        )
    if "not" in plain:
        return Not(_filter_from_plain(plain["not"], depth + 1))
    if kinds != ["field"]:
        given = plain[kinds[0]]
        if not isinstance(given, list | tuple):
            raise _wrong(kinds[0], given, "a list of filters")
        parts = tuple(_filter_from_plain(each, depth + 1) for each in given)
        return And(parts) if kinds == ["and"] else Or(parts)
    field, op, value = plain["field"], plain.get("op", "eq"), plain.get("value")
    if not isinstance(field, str):
        raise _wrong("field", field, "the name of a field")
    if op not in get_args(Operator):
        raise QueryError("Unknown operator", op, unknown("operator", op, get_args(Operator)))
    if isinstance(value, list | tuple):
        return Compare(field, op, tuple(_value_from_plain(each) for each in value))
    return Compare(field, op, _value_from_plain(value))


def _value_to_plain(value: Scalar) -> Any:
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": repr(value)}  # JSON has no infinity
    return value


def _value_from_plain(plain: Any) -> Scalar:
    if plain is None or isinstance(plain, str | bool | int | float):
        return plain
    try:
        if isinstance(plain, Mapping) and len(plain) == 1:
            if "datetime" in plain:
                return datetime.fromisoformat(plain["datetime"])
            if "number" in plain:
                return float(plain["number"])
    except (TypeError, ValueError):
        pass
    raise _wrong("value", plain, 'a text, a number, true, false, or {"datetime": "2024-05-03"}')


def _term_to_plain(term: Term) -> dict[str, Any]:
    value = term.value
    if term.kind == "vector":
        value = [float(each) for each in value]
    elif isinstance(value, PurePath):
        value = str(value)
    elif not isinstance(value, str):
        raise QueryError(
            "An image in memory can't be written as JSON", "", "Save it and name the file."
        )
    plain: dict[str, Any] = {"kind": term.kind, "value": value, "weight": term.weight}
    if term.region is not None:
        plain["region"] = list(term.region.box)
    if term.at is not None:
        plain["at"] = term.at
    if term.kind == "vector":
        plain["of"] = term.of
    if term.alternatives:
        plain["alternatives"] = [_term_to_plain(each) for each in term.alternatives]
    return plain


def _terms_from_plain(plain: Mapping[str, Any], name: str) -> tuple[Term, ...]:
    given = plain.get(name) or ()
    if not isinstance(given, list | tuple):
        raise _wrong(name, given, "a list of terms")
    return tuple(_term_from_plain(each) for each in given)


def _term_from_plain(plain: Any, *, alone: bool = False) -> Term:
    names = ("kind", "value", "weight", "region", "of", "at")
    _check(plain, names if alone else (*names, "alternatives"))
    kind, value, weight = plain.get("kind"), plain.get("value"), plain.get("weight", 1.0)
    kinds = ("text", "image", "id", "vector")
    if kind not in kinds:
        raise QueryError("Unknown kind of term", kind, unknown("kind", kind, kinds))
    if kind == "vector":
        value = _numbers("value", value)
    elif not isinstance(value, str):
        raise _wrong("value", value, "a text")
    if not _is_number(weight):
        raise _wrong("weight", weight, "a number")
    of = plain.get("of")
    if of not in (None, "text", "image"):
        raise _wrong("of", of, '"text" or "image"')
    if of is not None and kind != "vector":
        raise _wrong("of", of, "missing: only a vector is of a text or of an image")
    region = None
    if plain.get("region") is not None:
        box = _numbers("region", plain["region"])
        if len(box) != 4:
            raise _wrong("region", list(box), "a list of left, top, width and height")
        region = Region(*box)
    at = plain.get("at")
    if at is not None and not (_is_number(at) and at >= 0 and kind in ("image", "id")):
        raise _wrong("at", at, "a second of a video, of a term that is an image or an id")
    others = plain.get("alternatives") or ()
    if not isinstance(others, list | tuple):
        raise _wrong("alternatives", others, "a list of terms")
    found = tuple(_term_from_plain(each, alone=True) for each in others)
    return Term(kind, value, weight, region, found, "text" if of == "text" else "image", at)


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or not all(_is_number(each) for each in value):
        raise _wrong(name, value, "a list of numbers")
    return tuple(value)


def _is_number(value: Any) -> bool:
    """Return whether a value is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _option(name: str, value: Any) -> Any:
    wanted = _OPTIONS[name]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        names = {int: "a whole number", str: "a text", bool: "true or false"}
        raise _wrong(name, value, "a number" if len(wanted) > 1 else names[wanted[0]])
    if name == "sort" and value not in get_args(Sort):
        raise QueryError("Unknown order", value, unknown("order", value, get_args(Sort)))
    return value


def _check(plain: Any, known: tuple[str, ...]) -> None:
    """Check that a value is an object with no names but these."""
    if not isinstance(plain, Mapping):
        raise QueryError("Not an object", repr(plain), f"Known names: {', '.join(known)}.")
    for name in plain:
        if name not in known:
            raise QueryError("Unknown name in a query", name, unknown("name", name, known))


def _wrong(name: str, value: Any, wanted: str) -> QueryError:
    return QueryError(f"Wrong value for {name}", repr(value), f"It must be {wanted}.")
