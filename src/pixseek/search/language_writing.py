"""Filters as text in the language of the search box; the inverse of reading them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pixseek.search.language_fields import OPERATORS
from pixseek.types import And, Compare, Filter, Not, Or


def to_text(where: Filter) -> str:
    """Return a filter in the language; parsing it returns the same filter."""
    match where:
        case And(parts):
            return f"({' '.join(to_text(part) for part in parts)})"
        case Or(parts):
            return f"({' OR '.join(to_text(part) for part in parts)})"
        case Not(Not() as inner):
            return f"-({to_text(inner)})"
        case Not(inner):
            return f"-{to_text(inner)}"
        case Compare(name, "exists"):
            return f"has:{name}"
        case Compare("location", "near", (latitude, longitude, kilometres)):
            return f"near:{latitude!r},{longitude!r},{kilometres!r}"
        case Compare(name, "in", values) if isinstance(values, tuple):
            return f"{name}:in({','.join(value_text(value) for value in values)})"
        case Compare(name, op, value):
            symbol = next(symbol for symbol, each in OPERATORS.items() if each == op)
            return f"{name}:{symbol}{value_text(value)}"


def value_text(value: Any) -> str:
    """Return a value in the language: texts in quotes, others bare."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return quoted(value)
    return repr(value)


def quoted(text: str) -> str:
    """Return a text in quotation marks."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
