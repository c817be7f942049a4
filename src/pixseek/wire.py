"""Every JSON shape of pixseek: results, reports, status, records; queries and parts both ways.

All surfaces that speak JSON share these functions, so a script written for one of them can read the
others. A published name stays; new ones may be added.

A part is `{"kind": "image"}` for the whole image; a tile has "box" (left, top, width, height, as
fractions), a shot "start_s" and "end_s".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, get_args

from pixseek.errors import QueryError, unknown
from pixseek.metadata.annotations import LISTS, listed
from pixseek.types import And, Compare, Not, Operator, Or, Part, Query, Region, Sort, Term

if TYPE_CHECKING:
    from pixseek.library import Status
    from pixseek.models import ModelInfo
    from pixseek.types import Failure, Filter, Hit, Record, Report, Results, Scalar

# ------------------------------------------------------------------ what comes back


def results_to_plain(results: Results) -> dict[str, Any]:
    """Return results as an object with query, query_kind, took_ms, model, warnings and hits."""
    kind, query = query_label(results.query)
    return {
        "query": query,
        "query_kind": kind,
        "k": results.query.k,
        "offset": results.query.offset,
        "took_ms": {stage: round(ms, 3) for stage, ms in results.took_ms.items()},
        "model": results.model,
        "warnings": list(results.warnings),
        "confident": results.confident,
        "possible": results.possible,
        "looked_at": results.looked_at,
        "total": results.total,
        "hits": [hit_to_plain(hit) for hit in results],
    }


def hit_to_plain(hit: Hit) -> dict[str, Any]:
    """Return one hit; `path` is null if the image is not a file of this machine."""
    record = hit.record
    return {
        "rank": hit.rank,
        "id": hit.id,
        "path": str(hit.path) if hit.path else None,
        "part": part_to_plain(hit.part),
        "score": round(hit.score, 6),
        "confidence": round(hit.confidence, 4),
        "why": [
            {
                "kind": reason.kind,
                "what": reason.what,
                "score": round(reason.score, 6),
                "deviations": round(reason.deviations, 3),
                "weight": reason.weight,
            }
            for reason in hit.why
        ],
        "duplicates": list(hit.duplicates),
        "uri": hit.uri,
        "width": record.width,
        "height": record.height,
        "media": record.media,
        "taken_at": record.taken_at.isoformat() if record.taken_at else None,
        "caption": record.caption,
        "tags": list(record.tags),
    }


def record_to_plain(record: Record) -> dict[str, Any]:
    """Return everything known about an image; dates as ISO 8601, unknown values left out."""
    plain = {
        "id": record.id,
        "uri": record.uri,
        "media": record.media,
        "width": record.width or None,
        "height": record.height or None,
        "size": record.stamp.size if record.stamp else None,
        "digest": record.digest,
        "taken_at": record.taken_at,
        "caption": record.caption,
        "tags": list(record.tags),
        # Records keep lists as text.
        **{
            name: list(listed(value)) if name in LISTS else value
            for name, value in record.fields.items()
        },
    }
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in plain.items()
        if value is not None and value not in ("", [])
    }


def report_to_plain(report: Report) -> dict[str, Any]:
    """Return what an indexing run did."""
    return {
        "added": report.added,
        "updated": report.updated,
        "moved": report.moved,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "reused": report.reused,
        "known_failures": report.known_failures,
        "failed": len(report.failures),
        "failures": [failure_to_plain(failure) for failure in report.failures],
        "seconds": {stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
        "stopped": report.stopped,
    }


def failure_to_plain(failure: Failure) -> dict[str, Any]:
    """Return what could not be indexed, and why."""
    return {
        "uri": failure.uri,
        "stage": failure.stage,
        "reason": failure.reason,
        "message": failure.message,
        "advice": failure.advice,
    }


def status_to_plain(status: Status) -> dict[str, Any]:
    """Return what a library holds."""
    space = status.space
    return {
        "path": str(status.path),
        "model": status.model,
        "space": {"fingerprint": space.fingerprint, "dim": space.dim} if space else None,
        "texts": status.texts,
        "other_spaces": [
            {
                "model": other.model,
                "fingerprint": other.fingerprint,
                "dim": other.dim,
                "records": held,
            }
            for other, held in status.other_spaces
        ],
        "records": status.records,
        "roots": [
            {
                "name": root.name,
                "path": str(root.path),
                "is_there": root.is_there,
                "records": root.records,
            }
            for root in status.roots
        ],
        "failures": dict(status.failures),
        "bytes_on_disk": status.bytes_on_disk,
        "acceleration": asdict(status.acceleration) if status.acceleration else None,
        "running": dict(status.running) if status.running else None,
    }


def query_label(query: Query) -> tuple[str, str]:
    """Return the kind of a query, and the query as text.

    A single term gives its own kind ("text", "image", "id", "vector") and value; anything else is
    a "query", in the language of the search box. The text is "" if there is none: for an image in
    memory, and for a vector.
    """
    if len(query.terms) != 1 or query.exclude or query.where is not None:
        from pixseek.search.language import to_text

        try:
            return "query", to_text(query)
        except QueryError:  # an image in memory, a vector
            return "query", ""
    term = query.terms[0]
    if term.kind == "vector":
        return "vector", ""
    if term.kind == "image" and not isinstance(term.value, str | PurePath):
        return "image", ""  # it is in memory
    return term.kind, str(term.value)


def model_to_plain(model: ModelInfo) -> dict[str, Any]:
    """Return the facts about a model; `folder` is null unless its files are on this machine."""
    return {
        "name": model.name,
        "description": model.description,
        "folder": str(model.folder) if model.folder else None,
        "download_bytes": model.size,
        "licence": model.licence,
        "asks_for_a_yes": model.restricted,
        "dim": model.dim,
        "image_side": model.input_side,
        "context": model.context,
        "languages": model.languages,
        "quality": dict(model.quality),
        "quality_source": model.quality_source,
        "precision": "auto",  # for every model: it is chosen on the user's own images
        "note": model.note,
        "measured": asdict(model.measured) if model.measured else None,
        "sources": [asdict(source) for source in model.sources],
    }


# ------------------------------------------------------------------ parts


def part_to_plain(part: Part) -> dict[str, Any]:
    """Return a part of a record; what does not apply to its kind is left out."""
    plain = {"kind": part.kind, "box": part.box, "start_s": part.start_s, "end_s": part.end_s}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in plain.items()
        if value is not None
    }


def part_from_plain(plain: Mapping[str, Any]) -> Part:
    """Return the part that `part_to_plain` made this of."""
    box = plain.get("box")
    return Part(
        plain["kind"], tuple(box) if box else None, plain.get("start_s"), plain.get("end_s")
    )


# ------------------------------------------------------------------ queries

#: The options of a query, each with the types its value may have.
_OPTIONS: Mapping[str, tuple[type, ...]] = {
    "k": (int,), "offset": (int,), "sort": (str,), "min_confidence": (int, float),
    "group": (bool,), "variety": (int, float), "text_weight": (int, float),
}  # fmt: skip

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
        **{name: getattr(query, name) for name in _OPTIONS},
    }


def query_from_plain(plain: str | Mapping[str, Any]) -> Query:
    """Return the query that JSON stands for.

    Args:
        plain: a text in the language of the search box; or an object as `query_to_plain` makes it,
            in which every name may be missing. Besides, "query" may be such a text, and "where" a
            text that holds only filters: `{"query": "a dog", "where": "format:jpg", "k": 5}`.

    Raises:
        QueryError: it can't be understood; a name is unknown; a value has the wrong type.
    """
    from pixseek.search.language import parse

    if isinstance(plain, str):
        return parse(plain)
    _check(plain, ("query", *(field.name for field in fields(Query))))
    text = plain.get("query") or ""
    if not isinstance(text, str):
        raise _wrong("query", text, "a text")
    parsed = parse(text)
    given = [each for each in (parsed.where, filter_from_plain(plain.get("where"))) if each]
    return Query(
        terms=(*parsed.terms, *_terms_from_plain(plain, "terms")),
        exclude=(*parsed.exclude, *_terms_from_plain(plain, "exclude")),
        where=And(tuple(given)) if len(given) > 1 else next(iter(given), None),
        **{name: _option(name, plain[name]) for name in _OPTIONS if plain.get(name) is not None},
    )


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
    return plain


def _terms_from_plain(plain: Mapping[str, Any], name: str) -> tuple[Term, ...]:
    given = plain.get(name) or ()
    if not isinstance(given, list | tuple):
        raise _wrong(name, given, "a list of terms")
    return tuple(_term_from_plain(each) for each in given)


def _term_from_plain(plain: Any) -> Term:
    _check(plain, ("kind", "value", "weight", "region"))
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
    if plain.get("region") is None:
        return Term(kind, value, weight)
    box = _numbers("region", plain["region"])
    if len(box) != 4:
        raise _wrong("region", list(box), "a list of left, top, width and height")
    return Term(kind, value, weight, Region(*box))


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or not all(_is_number(each) for each in value):
        raise _wrong(name, value, "a list of numbers")
    return tuple(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


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
