"""Filters in the SQL of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from pixseek import filters
from pixseek.engines import columns
from pixseek.engines.postgres.schema import IS_AWAY, URI_START
from pixseek.types import And, Compare, Filter, Not, Or, Order
from pixseek.types.texts import composed, folded, tag_path

#: What records are ordered by.
_ORDERS: dict[Order, tuple[str, ...]] = {
    "uri": (URI_START, "uri"),
    "name": ("name",),
    # The wall clock, as an album goes; those without a date by the time of their file.
    "taken_at": ("substr(taken_at, 1, 26)", "CASE WHEN taken_at IS NULL THEN mtime_ns END"),
    "mtime": ("mtime_ns",),
    "size": ("size",),
}

_SYMBOLS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_Bind = Callable[[Any], str]


def order_sql(order: Order, descending: bool) -> str:
    """Return what records are ordered by: those without a value last, ties by id."""
    direction = "DESC" if descending else "ASC"
    return ", ".join((*(f"{each} {direction} NULLS LAST" for each in _ORDERS[order]), "id"))


def where_sql(where: Filter | None, parameters: dict[str, Any]) -> str:
    """Return a filter as a condition on the record table `r`; its values go to `parameters`."""
    if where is None:
        return "true"

    def bind(value: Any) -> str:
        name = f"p{len(parameters)}"
        parameters[name] = value
        return f"%({name})s"

    def compile_(where: Filter) -> str:
        match where:
            case And(parts):
                return f"({' AND '.join(map(compile_, parts)) or 'true'})"
            case Or(parts):
                return f"({' OR '.join(map(compile_, parts)) or 'false'})"
            case Not(inner):
                # NULL, from a missing value, counts as false before it is turned round.
                return f"NOT coalesce({compile_(inner)}, false)"
            case Compare():
                return f"({_compare_sql(where, bind)})"

    return compile_(where)


def _compare_sql(compare: Compare, bind: _Bind) -> str:
    name, op, value = compare.field, compare.op, compare.value
    if name == "away":
        return IS_AWAY if value == (op == "eq") else f"NOT coalesce({IS_AWAY}, false)"
    if name == filters.USER_PREFIX + columns.AWAY_FIELD:
        return "false"  # not a user's field
    if op in {"glob", "contains", "under"}:
        return _text_sql(name, op, str(value), bind)
    if name in filters.LISTS:
        return f"jsonb_array_length(r.folded->'{name}') > 0"
    if name == "camera":
        return _camera_sql(op, value, bind)
    if name.startswith(filters.USER_PREFIX):
        return _user_sql(bind(name.removeprefix(filters.USER_PREFIX)) + "::text", op, value, bind)
    if name == "location":
        return _location_sql(op, value, bind)
    column = "r.mtime_ns" if name == "mtime" else f"r.{name}"
    if name in filters.DERIVED:
        return _derived_sql(name, op, value, bind)
    if op == "exists":
        return f"{column} IS NOT NULL"
    values: Sequence[Any] = value if isinstance(value, tuple) else (value,)
    if name == "taken_at":
        symbol = "=" if op == "in" else _SYMBOLS[op]
        return " OR ".join(_time_sql(column, symbol, each, bind) for each in values) or "false"
    if name == "mtime":
        values = [filters.mtime_value_ns(each) for each in values]
    if filters.FIELDS[name].kind == "text":
        return _equal_sql(column, op, values, bind)
    # As text to numeric: exact for every number, infinity included.
    texts = [str(each) for each in values]
    return (
        f"{column} = ANY({bind(texts)}::text[]::numeric[])"
        if op == "in"
        else f"{column} {_SYMBOLS[op]} {bind(texts[0])}::text::numeric"
    )


def _equal_sql(stored: str, op: str, values: Sequence[Any], bind: _Bind) -> str:
    """Compare texts by their normal form; those in ASCII have no other."""
    texts = [composed(str(each)) for each in values]
    # An explicit type, since that of an empty list can't be seen.
    wanted = (
        f"= ANY({bind(texts)}::text[])" if op == "in" else f"{_SYMBOLS[op]} {bind(texts[0])}::text"
    )
    is_other = f"octet_length({stored}) <> char_length({stored})"
    if op in {"eq", "in"}:  # by an index as far as possible
        return f"{stored} {wanted} OR ({is_other} AND normalize({stored}, NFC) {wanted})"
    form = f"CASE WHEN {is_other} THEN normalize({stored}, NFC) ELSE {stored} END"
    return f'({form}) COLLATE "C" {wanted}'


def _camera_sql(op: str, value: Any, bind: _Bind) -> str:
    """Compare maker and model, joined as in `filters.camera`."""
    names = ", ".join(
        f"CASE json_typeof(r.fields->'{name}') WHEN 'string' THEN nullif(r.fields->>'{name}', '') "
        "END"
        for name in ("camera_make", "camera_model")
    )
    stored = f"nullif(concat_ws(' ', {names}), '') COLLATE \"C\""
    if op == "exists":
        return f"{stored} IS NOT NULL"
    return _equal_sql(f"({stored})", op, value if isinstance(value, tuple) else (value,), bind)


def _derived_sql(name: str, op: str, value: Any, bind: _Bind) -> str:
    """Compare a number derived from width and height, computed as in `filters.derived`."""
    if op == "exists":
        return "r.width IS NOT NULL AND r.height IS NOT NULL"
    width, height = "r.width::float8", "r.height::float8"
    stored = f"({width} / {height})" if name == "aspect" else f"({width} * {height} / 1e6::float8)"
    if op == "in":
        return f"{stored} = ANY({bind([filters.as_float(each) for each in value])}::float8[])"
    return f"{stored} {_SYMBOLS[op]} {bind(filters.as_float(value))}::float8"


def _location_sql(op: str, value: Any, bind: _Bind) -> str:
    """Compare the distance, computed as in `filters.distance_km`."""
    latitude, longitude = (
        f"CASE json_typeof(r.fields->'{name}') WHEN 'number' THEN (r.fields->>'{name}')::float8 END"
        for name in ("latitude", "longitude")
    )
    known = f"({latitude}) BETWEEN -90 AND 90 AND ({longitude}) BETWEEN -180 AND 180"
    if op == "exists":
        return known
    place, distance = filters.circle(value)
    centre = [f"{bind(degrees)}::float8" for degrees in place]
    across = f"sin(radians(({latitude}) - {centre[0]}) / 2)"
    along = f"sin(radians(({longitude}) - {centre[1]}) / 2)"
    cosines = f"cos(radians({latitude})) * cos(radians({centre[0]}))"
    half_chord = f"{across} * {across} + {cosines} * ({along} * {along})"
    computed = f"2 * {filters.EARTH_KM}::float8 * asin(least(1, sqrt({half_chord})))"
    # CASE, since AND may evaluate both its sides.
    return f"CASE WHEN {known} THEN {computed} <= {bind(distance)}::float8 END"


def _text_sql(name: str, op: str, value: str, bind: _Bind) -> str:
    """Compare texts that are stored folded in `folded` (see `schema`)."""
    if op == "under":
        beginning = _escaped(filters.beginning_of(name, value))
        paths = ("uri", "path") if name == "folder" else ("uri",)
        return " OR ".join(f"r.folded->>'{path}' LIKE {bind(f'{beginning}%')}" for path in paths)
    is_list = name == "tags" or name in filters.LISTS
    pattern = _escaped(tag_path(value) if name == "tags" else folded(value))
    if op == "glob":
        pattern = pattern.replace("*", "%").replace("?", "_")
    elif not is_list:
        pattern = f"%{pattern}%"
    if is_list:
        return (
            f"EXISTS (SELECT 1 FROM jsonb_array_elements_text(r.folded->'{name}') word "
            f"WHERE word LIKE {bind(pattern)})"
        )
    return f"r.folded->>{bind(name)}::text LIKE {bind(pattern)}"


def _escaped(text: str) -> str:
    """Return a text as a pattern that matches itself."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return text


def _time_sql(stored: str, symbol: str, value: datetime, bind: _Bind) -> str:
    """Compare ISO text: instants if both have a zone, else wall clocks."""
    wall = bind(columns.time_to_text(value.replace(tzinfo=None)))
    walls = f'substr({stored}, 1, 26) COLLATE "C" {symbol} {wall}::text'
    if value.tzinfo is None:
        return walls
    zoned = bind(columns.time_to_text(value))
    return (
        f"CASE WHEN length({stored}) > 26 "
        f"THEN ({stored})::timestamptz {symbol} {zoned}::text::timestamptz ELSE {walls} END"
    )


def _user_sql(name: str, op: str, value: Any, bind: _Bind) -> str:
    """Compare a user field; a value of another kind counts as missing."""
    exists = f"json_typeof(r.fields->{name}) <> 'null'"
    if op == "exists":
        return exists
    if op == "in":
        return " OR ".join(f"({_user_sql(name, 'eq', v, bind)})" for v in value) or "false"
    if op == "ne":  # also true of a value of another kind
        return f"{exists} AND NOT coalesce({_user_sql(name, 'eq', value, bind)}, false)"
    symbol = _SYMBOLS[op]
    match filters.value_kind(value):
        case "time":
            return _time_sql(f"(r.fields->{name}->>'time')", symbol, value, bind)
        case "number":
            stored = (
                f"CASE json_typeof(r.fields->{name}) "
                f"WHEN 'number' THEN (r.fields->>{name})::numeric "
                f"WHEN 'object' THEN (r.fields->{name}->>'float')::numeric END"
            )
            return f"{stored} {symbol} {bind(str(value))}::text::numeric"
        case "truth":
            of_kind, cast, bound = "boolean", "::boolean", f"{bind(value)}::boolean"
        case _:
            of_kind, cast = "string", ' COLLATE "C"'
            bound = f"{bind(composed(value))}::text"
    text = f"r.fields->>{name}"
    if of_kind == "string":
        text = f"normalize({text}, NFC)"
    stored = f"CASE json_typeof(r.fields->{name}) WHEN '{of_kind}' THEN ({text}){cast} END"
    return f"{stored} {symbol} {bound}"
