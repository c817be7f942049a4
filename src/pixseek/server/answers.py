"""JSON answers, written once and sent as bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response as Answer

__all__ = ["Answer", "as_json", "json_answer"]


def json_answer(plain: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer that holds a plain value as JSON."""
    return Answer(as_json(plain), status, headers, "application/json")


def as_json(plain: Any) -> bytes:
    """Return JSON in UTF-8 that every reader takes.

    JSON has no infinity and no NaN: they become null. UTF-8 has no lone surrogates, which stand for
    bytes of file names that are not text: they become question marks.
    """
    try:
        return orjson.dumps(plain)
    except TypeError:  # a lone surrogate, or a number of more than 64 bits
        text = json.dumps(_finite(plain), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(each) for each in value]
    return value
