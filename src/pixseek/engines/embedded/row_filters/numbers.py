"""Comparing numbers in numpy exactly as Python does."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixseek.engines.embedded.vectorfile import Mask
from pixseek.types import Compare, Operator

#: The operators that order values.
ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def values_of(compare: Compare) -> tuple[Any, ...]:
    """Return what a field is compared with, one value or several."""
    return compare.value if isinstance(compare.value, tuple) else (compare.value,)


def numbers_fit(
    numbers: NDArray[np.int64] | NDArray[np.float64], op: Operator, values: Sequence[Any]
) -> Mask:
    """Return which numbers fulfil a comparison, exactly as Python compares them.

    numpy compares integers with floats as float64, in which 2**53 equals 2**53 + 1. So each value
    is converted to their type first; if it has no equal there, the number below or above it takes
    its place.
    """
    nearest = _nearest_floats if numbers.dtype == np.float64 else _nearest_integers
    mask: Mask
    if op in {"eq", "ne", "in"}:
        equal = [low for low, high in map(nearest, values) if low == high]
        mask = np.isin(numbers, np.array(equal, numbers.dtype))
        return ~mask if op == "ne" else mask
    ((low, high),) = map(nearest, values)
    if low is None or high is None:  # below or above all that there can be
        return np.full(len(numbers), (high is None) == (op in {"lt", "le"}))
    if low != high:
        op = "le" if op in {"lt", "le"} else "ge"
    mask = ORDER[op](numbers, low if op in {"lt", "le"} else high)
    return mask


def _nearest_integers(value: int | float) -> tuple[int | None, int | None]:
    """Return the 64-bit integers next to a number, twice itself if it is one; None for none."""
    if not -(2**63) <= value < 2**63:
        return (2**63 - 1, None) if value > 0 else (None, -(2**63))
    low, high = math.floor(value), math.ceil(value)
    return low, high if high < 2**63 else None


def _nearest_floats(value: int | float) -> tuple[float, float]:
    """Return the floats next to a number, twice itself if it is one."""
    try:
        near = float(value)
    except OverflowError:
        near = math.inf if value > 0 else -math.inf
    if near == value:
        return near, near
    if near < value:
        return near, math.nextafter(near, math.inf)
    return math.nextafter(near, -math.inf), near
