"""Filters and orders in the SQL of SQLite, for the embedded engine."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pixseek import filters
from pixseek.engines import columns, rules
from pixseek.engines.embedded import facet_values, reading
from pixseek.engines.embedded.reading import IS_AWAY, IS_PRESENT, packed, unpacked
from pixseek.engines.embedded.snapshots import Snapshot
from pixseek.types import And, Compare, Filter, Not, Or, Order, Record
from pixseek.types.queries import comparisons
from pixseek.types.texts import composed

#: Records that are looked at one by one for a page, before all that fulfil its filter are sorted:
#: at most so many, and one in `_SHARE` of all; 1.5 us each.
_FIRST = 20_000
_SHARE = 50


def where_sql(
    db: sqlite3.Connection, where: Filter | None, *, one_by_one: bool = False
) -> tuple[str, list[Any]]:
    """Return a filter as a condition on `record`, with its parameters.

    What SQL can't express as `filters` defines it is asked of `filters.matches` through a
    function `fits`, which is registered on `db`.
    """
    if where is None:
        return "1", []
    parameters: list[Any] = []
    predicates: list[Callable[[Any], bool]] = []

    def compile_(where: Filter) -> str:
        match where:
            case And(parts):
                return _joined([compile_(part) for part in parts], "AND", "1")
            case Or(parts):
                return _joined([compile_(part) for part in parts], "OR", "0")
            case Not(inner):
                # NULL, from a missing value, counts as false before it is negated.
                return f"NOT ifnull({compile_(inner)}, 0)"
            case Compare():
                native = _native(db, where, parameters, one_by_one)
                if native is not None:
                    return native
                column, predicate = _predicate(where)
                predicates.append(predicate)
                # CASE, since AND may evaluate both its sides.
                call = f"fits({len(predicates) - 1}, {column})"
                if (pattern := _like(where)) is not None:
                    parameters.append(pattern)
                    like = f"{column} LIKE ? ESCAPE '\\'"
                    # The name is the end of the URI.
                    sure = f"CASE WHEN {like} THEN {call} END" if where.field == "name" else like
                    call = f"CASE WHEN {_IS_NOT_ASCII.format(column)} THEN {call} ELSE {sure} END"
                return f"CASE WHEN {column} IS NULL THEN 0 ELSE {call} END"

    sql = compile_(where)
    for name, function in _FUNCTIONS.items():
        if f"{name}(" in sql:
            db.create_function(name, 1, function, deterministic=True)
    if predicates:

        def fits(number: int, value: Any) -> bool:
            try:
                return predicates[number](value)
            except Exception as error:
                # Anything else in SQLite's eyes than Ctrl-C; see `storage.errors`.
                raise OverflowError from error

        db.create_function("fits", 2, fits)
    return sql, parameters


def order_sql(order: Order, descending: bool, *, by_index: bool) -> str:
    """Return what records are ordered by: those without a value last, ties by id.

    Args:
        order: the field.
        descending: from the largest value on.
        by_index: whether to walk along an index, if there is one. If a filter leaves few
            records, sorting them is quicker.
    """
    direction = "DESC" if descending else "ASC"
    plus = "" if by_index else "+"
    orders = [_ORDERS[order]]
    if order == "taken_at":  # those without a date by the time of their file
        orders.append("CASE WHEN taken_at IS NULL THEN mtime_ns END")
    return f"{plus}{', '.join(f'{each} {direction} NULLS LAST' for each in orders)}, id"


def has_index(order: Order, descending: bool) -> bool:
    """Return whether an index has records in this order."""
    # Those that were taken at no known time come first in an index, and last in the order.
    return order == "uri" or (order == "taken_at" and descending)


def select(
    at: Snapshot, where: Filter | None, order: Order, descending: bool, k: int, offset: int
) -> list[Record]:
    """Return k records, k at least 1; see `types.Engine.select`."""
    by_index = where is None or where is rules.PRESENT
    if where is not None and not by_index and offset + k <= _FIRST // 10:
        numbers = _first(at, where, order, descending, k, offset)
        if len(numbers) == k:
            records = reading.records_of(at.db, at.number, numbers)
            return [records[number][0] for number in numbers]
    condition, parameters = where_sql(at.db, where)
    found = at.db.execute(
        f"SELECT number FROM record WHERE {condition} ORDER BY "
        f"{order_sql(order, descending, by_index=by_index)} LIMIT ? OFFSET ?",
        (*parameters, k, offset),
    )
    numbers = [number for (number,) in found]
    records = reading.records_of(at.db, at.number, numbers)
    return [records[number][0] for number in numbers]


def _first(
    at: Snapshot, where: Filter, order: Order, descending: bool, k: int, offset: int
) -> list[int]:
    """Return k of the records that fulfil a filter, or fewer if they are not among the first.

    Browsing asks for one page. If many records fulfil the filter, sorting all takes long, and
    some of the first records by an index do. If few do, looking at these takes little.
    """
    compared = [each for each in comparisons(where) if each.field != "away"]
    first = max(k + offset, min(_FIRST, at.view.records // _SHARE))
    if not (
        has_index(order, descending)
        and all(map(facet_values.decides, compared))
        and all(facet_values.is_common(at.db, each, first) for each in compared)
    ):
        return []
    condition, parameters = where_sql(at.db, where, one_by_one=True)
    # An index holds the rest. SQLite keeps the order of the inner rows, and reads no more of
    # them than it needs.
    also = ", away" if IS_AWAY in condition else ""
    found = at.db.execute(
        f"SELECT number FROM (SELECT number, uri{also} FROM record ORDER BY "
        f"{order_sql(order, descending, by_index=True)} LIMIT {first}) AS record "
        f"WHERE {condition} LIMIT ? OFFSET ?",
        (*parameters, k, offset),
    )
    return [number for (number,) in found]


_ORDERS: dict[Order, str] = {
    "uri": "uri",
    # The part after the last "/": rtrim removes all characters but that one.
    "name": "substr(uri, length(rtrim(uri, replace(uri, '/', ''))) + 1)",
    "taken_at": "substr(taken_at, 1, 26)",  # the wall clock, as an album goes
    "mtime": "mtime_ns",
    "size": "size",
}
#: Derived numbers, computed as in `filters.derived`.
_DERIVED = {
    "aspect": "(CAST(width AS REAL) / CAST(height AS REAL))",
    "megapixels": "(CAST(width AS REAL) * CAST(height AS REAL) / 1e6)",
}
#: The functions of ours that conditions call, each with one argument.
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "packed": packed,
    "composed": lambda text: text and composed(text),  # NULL too: AND may evaluate both sides
}
#: The characters whose normal form is in ASCII, besides ASCII itself, become these.
_SINGLETONS = frozenset(";K`")
_SYMBOLS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_TEXT_COLUMNS = {"id", "uri", "media", "caption"}
_NUMBER_COLUMNS = {"width", "height", "size"}
#: Stored as bytes.
_DIGESTS = {"digest", "pixels"}


#: How long patterns of LIKE are.
_LONGEST_LIKE = 200


def _native(
    db: sqlite3.Connection, compare: Compare, parameters: list[Any], one_by_one: bool
) -> str | None:
    """Return a comparison in SQL alone; None if SQL can't express it."""
    name, op, value = compare.field, compare.op, compare.value
    column = "mtime_ns" if name == "mtime" else name
    if name == "away":
        return IS_AWAY if value == (op == "eq") else IS_PRESENT
    if name in filters.DERIVED and op == "exists":
        return "width IS NOT NULL AND height IS NOT NULL"
    if name in filters.DERIVED and op != "in":
        parameters.append(filters.as_float(value))  # type: ignore[arg-type]
        return f"{_DERIVED[name]} {_SYMBOLS[op]} ?"
    if name == "root" and op == "eq" and value and "://" not in str(value):
        text = composed(str(value))
        parameters += [text, f"{text}/", f"{text}0"]  # "0" follows "/"
        written = "(uri = ? OR (uri >= ? AND uri < ? AND instr(uri, '://') = 0))"
        if _has_one_form(text):
            return written
        parameters.append(text)
        root = "substr(uri, 1, instr(uri || '/', '/') - 1)"
        other = f"{_IS_NOT_ASCII.format('uri')} AND instr(uri, '://') = 0 AND composed({root}) = ?"
        return f"({written} OR ({other}))"
    coded = facet_values.condition(db, compare, parameters, one_by_one=one_by_one)
    if coded is not None:
        return coded
    if name.startswith(filters.USER_PREFIX):
        return _user_field(name.removeprefix(filters.USER_PREFIX), op, value, parameters)
    if op == "exists":
        known = _TEXT_COLUMNS | _NUMBER_COLUMNS | _DIGESTS | {"mtime", "taken_at", "tags"}
        return f"{column} IS NOT NULL" if name in known else None
    if op in {"glob", "contains"}:
        return None
    if name == "taken_at" and isinstance(value, datetime) and value.tzinfo is None:
        parameters.append(columns.time_to_text(value))
        return f"substr(taken_at, 1, 26) {_SYMBOLS[op]} ?"
    if name in _DIGESTS and not all(map(_has_one_form, _texts(value))):
        return None
    if name in _DIGESTS and op in {"eq", "ne"}:  # their order is not that of their bytes
        parameters.append(packed(str(value)))
        return f"{name} {_SYMBOLS[op]} ?"
    if name in _DIGESTS and isinstance(value, tuple):
        parameters.append(json.dumps(value))
        return f"{name} IN (SELECT packed(value) FROM json_each(?))"
    if name in _TEXT_COLUMNS:
        return _text(name, op, value, parameters)
    if name not in _NUMBER_COLUMNS | {"mtime"}:
        return None
    values = value if isinstance(value, tuple) else (value,)
    # The nanoseconds of 64 bits end in 2262.
    bound: list[Any] = [
        _bindable(filters.mtime_value_ns(each) if name == "mtime" else each)  # type: ignore[arg-type]
        for each in values
    ]
    if op == "in":
        # Infinities equal no integer, and JSON has none.
        parameters.append(json.dumps([v for v in bound if v not in {float("inf"), -float("inf")}]))
        return f"{column} IN (SELECT value FROM json_each(?))"
    parameters.append(bound[0])
    return f"{column} {_SYMBOLS[op]} ?"


#: True of a text with other characters than those of ASCII; ASCII has one normal form only.
_IS_NOT_ASCII = "length(CAST({0} AS BLOB)) <> length({0})"


def _has_one_form(text: str) -> bool:
    """Return whether all texts that equal this one, in normal form NFC, are written the same."""
    return text.isascii() and _SINGLETONS.isdisjoint(text)


def _texts(value: Any) -> list[str]:
    """Return the normal forms of one text, or of several."""
    return [composed(str(each)) for each in (value if isinstance(value, tuple) else (value,))]


def _text(column: str, op: str, value: Any, parameters: list[Any]) -> str:
    """Return a comparison of texts by their normal form; SQL alone compares those in ASCII."""
    texts = _texts(value)
    bound = json.dumps(texts) if op == "in" else texts[0]
    wanted = "IN (SELECT value FROM json_each(?))" if op == "in" else f"{_SYMBOLS[op]} ?"
    parameters.append(bound)
    if op in {"eq", "in"} and all(map(_has_one_form, texts)):
        return f"{column} {wanted}"
    is_other = _IS_NOT_ASCII.format(column)
    if op in {"eq", "in"}:  # by an index as far as possible
        parameters.append(bound)
        return f"({column} {wanted} OR ({is_other} AND composed({column}) {wanted}))"
    return f"CASE WHEN {is_other} THEN composed({column}) ELSE {column} END {wanted}"


def _user_field(name: str, op: str, value: Any, parameters: list[Any]) -> str | None:
    """Return a comparison of a user field that JSON functions can make: a tenth of Python's time.

    They don't find names that JSON escapes.
    """
    if not name.isprintable() or {'"', "\\"} & set(name):
        return None
    path, values = f'$."{name}"', value if isinstance(value, tuple) else (value,)
    if op == "exists":
        parameters.append(path)
        return "ifnull(json_type(fields, ?), 'null') <> 'null'"
    if op not in {"eq", "in"} or not all(isinstance(v, str) and _has_one_form(v) for v in values):
        return None
    parameters += [path, path, json.dumps(values)]
    return (
        "(json_type(fields, ?) = 'text' "
        "AND json_extract(fields, ?) IN (SELECT value FROM json_each(?)))"
    )


def _like(compare: Compare) -> str | None:
    """Return a pattern of LIKE that decides a comparison of texts in ASCII; None if none does.

    That of a name is for the end of a URI, which fits it more often. With LIKE, a layout with
    a filter by path among a million images takes .3 to .9 s of processor time, with a call of
    Python for each text .7 to 1.3 s. LIKE tries every way to share a text among stars, so
    more of them than one, and one at the end, are left to `types.wildcards`.
    """
    name, op, value = compare.field, compare.op, compare.value
    if op not in {"glob", "contains"} or name not in _TEXT_COLUMNS | {"name"}:
        return None
    text = str(value)
    if not (text.isascii() and text.isprintable() and len(text) <= _LONGEST_LIKE):
        return None
    from pixseek.types.wildcards import Wildcard, pieces  # which most searches do without

    stars = (Wildcard.ANY,)
    parts = pieces(text) if op == "glob" else (*stars, text, *stars)
    if name == "name" and parts[:1] != stars:
        parts = (*stars, *parts)
    if parts[:-1].count(Wildcard.ANY) > 1:
        return None
    written = {Wildcard.ONE: "_", Wildcard.ANY: "%"}
    return "".join(
        written[each] if isinstance(each, Wildcard) else re.sub(r"[%_\\]", r"\\\g<0>", each)
        for each in parts
    )


def _bindable(value: int | float) -> int | float:
    """Return a number that compares with every stored one as `value` does, and fits SQLite."""
    if isinstance(value, float):
        return value
    if -(2**63) <= value < 2**63:
        return value
    return float("inf") if value > 0 else -float("inf")


def _predicate(compare: Compare) -> tuple[str, Callable[[Any], bool]]:
    """Return a column that decides a comparison, and the decision from its value."""
    name = compare.field
    if name.startswith(filters.USER_PREFIX):
        return "fields", lambda text: filters.matches(
            compare, Record("", "", fields=columns.fields_from_json(text))
        )
    if name == "location":
        return _location(compare), lambda text: filters.located(
            columns.location_from_json(text), compare.op, compare.value
        )
    if name in filters.DERIVED:  # "in": SQLite may read the numbers of a JSON list inexactly
        assert isinstance(compare.value, tuple)
        return _DERIVED[name], frozenset(map(filters.as_float, compare.value)).__contains__
    if name == "taken_at":
        return "taken_at", lambda text: filters.matches(
            compare, Record("", "", taken_at=datetime.fromisoformat(text))
        )
    if compare.op == "exists":
        return "uri", lambda text: filters.matches(compare, Record("", text))
    test = filters.text_test(compare.op, compare.value)
    if name == "name":
        return "uri", lambda text: test(text.rpartition("/")[2])
    if name in _DIGESTS:
        return name, lambda digest: test(unpacked(digest) or "")
    return name, test


#: The maker and the model of the camera, as a JSON list.
CAMERA = "json_extract(fields, '$.camera_make', '$.camera_model')"


def text_of(field: str) -> str:
    """Return an expression for a user field if it holds a text, else NULL."""
    path = f"fields, '$.{field}'"
    return f"CASE json_type({path}) WHEN 'text' THEN json_extract({path}) END"


def camera_record(text: str) -> Record:
    """Return a record with the camera of a JSON list of its maker and its model."""
    names = map(columns.scalar_from_json, json.loads(text))
    return Record("", "", fields=dict(zip(("camera_make", "camera_model"), names, strict=True)))


def _location(compare: Compare) -> str:
    """Return an expression for the location as a JSON list, NULL if it can't be near.

    Latitudes are compared in SQL first: asking Python takes 2 us a record.
    """
    location = "json_extract(fields, '$.latitude', '$.longitude')"
    if compare.op == "exists":
        return location
    (latitude, _), kilometres = filters.circle(compare.value)
    degrees = math.degrees(kilometres / filters.EARTH_KM) + 1e-6
    return (
        "CASE WHEN json_extract(fields, '$.latitude') "
        f"BETWEEN {latitude - degrees!r} AND {latitude + degrees!r} THEN {location} END"
    )


def _joined(conditions: list[str], word: str, empty: str) -> str:
    """Join conditions, in groups if there are many: SQLite limits the depth of expressions."""
    if len(conditions) > 100:
        groups = [conditions[i : i + 100] for i in range(0, len(conditions), 100)]
        conditions = [_joined(group, word, empty) for group in groups]
    return f"({f' {word} '.join(conditions)})" if conditions else empty
