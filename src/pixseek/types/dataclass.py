"""`dataclass` as in the standard library, for classes that are imported more often than used.

The standard one writes the source of up to seven methods of a class and compiles each while the
module is imported, about 0.6 ms a class. A search from the command line imports sixty such classes
and makes objects of a third of them, which took 38 of its 250 ms of processor time (Python 3.11,
November 2026). Here only `__init__` is compiled, when the first object is made; the rest is shared.
To everybody else (`replace`, `fields`, `asdict`, pattern matching, pickle, type checkers) these are
dataclasses like any other.
"""

from __future__ import annotations

import dataclasses
import operator
import reprlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass

__all__ = ["dataclass"]

_MISSING = dataclasses.MISSING


class _Factory:
    """Stands in a signature for a default that is made for each object."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


def _dataclass(
    *, frozen: bool = False, slots: bool = False, eq: bool = True
) -> Callable[[type], type]:
    """Return the decorator; the arguments mean what they mean in the standard library."""

    def decorate(cls: type) -> type:
        # With no method to write, this compiles nothing.
        made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
        params = made.__dataclass_params__
        params.init = params.repr = True
        params.eq, params.frozen = eq, frozen
        own = vars(made)
        fields = dataclasses.fields(made)
        if "__init__" not in own:
            made.__init__ = _Init(made)
        if "__repr__" not in own:
            made.__repr__ = _repr_of([each.name for each in fields if each.repr])
        if eq:
            compared = _values_of([each.name for each in fields if each.compare])
            if "__eq__" not in own:
                made.__eq__ = _eq_of(compared)
            if own.get("__hash__") is None:
                made.__hash__ = _hash_of(compared) if frozen else None
        if frozen:
            _freeze(made, frozenset(each.name for each in fields))
            if slots:  # else pickle would assign the attributes
                made.__getstate__, made.__setstate__ = _state, _restore
        return made  # type: ignore[no-any-return]

    return decorate


if not TYPE_CHECKING:
    dataclass = _dataclass


class _Init:
    """Stands for the `__init__` of a dataclass until somebody looks it up."""

    def __init__(self, owner: type) -> None:
        self.owner = owner

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        function = _init_of(self.owner)
        self.owner.__init__ = function  # type: ignore[misc]
        return function.__get__(instance, owner)


def _init_of(made: Any) -> Any:
    """Compile the `__init__` of a dataclass."""
    known: dict[str, Any] = {"_set": object.__setattr__, "_factory": _FACTORY}
    parameters, body = ["self"], []
    for each in dataclasses.fields(made):
        name = each.name
        if each.default is not _MISSING:
            known[f"_default_{name}"] = each.default
            parameters.append(f"{name}=_default_{name}")
            value = name
        elif each.default_factory is not _MISSING:
            known[f"_make_{name}"] = each.default_factory
            parameters.append(f"{name}=_factory")
            value = f"_make_{name}() if {name} is _factory else {name}"
        else:
            parameters.append(name)
            value = name
        frozen = made.__dataclass_params__.frozen
        body.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(made, "__post_init__"):
        body.append("self.__post_init__()")
    lines = "\n    ".join(body or ["pass"])
    exec(f"def __init__({', '.join(parameters)}):\n    {lines}", known)
    function = known["__init__"]
    function.__qualname__ = f"{made.__qualname__}.__init__"
    function.__module__ = made.__module__
    function.__annotations__ = {
        **{each.name: each.type for each in dataclasses.fields(made)},
        "return": None,
    }
    return function


def _values_of(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what gives the values of an object's fields as a tuple."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _eq_of(values: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any, object], Any]:
    def equal(self: Any, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    return equal


def _hash_of(values: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], int]:
    def hashed(self: Any) -> int:
        return hash(values(self))

    return hashed


def _repr_of(names: list[str]) -> Callable[[Any], str]:
    @reprlib.recursive_repr()
    def shown(self: Any) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({values})"

    return shown


def _freeze(made: Any, names: frozenset[str]) -> None:
    """Refuse to assign to fields; a subclass that is not a dataclass may have other attributes."""

    def assign(self: Any, name: str, value: object) -> None:
        if type(self) is made or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(made, self).__setattr__(name, value)

    def delete(self: Any, name: str) -> None:
        if type(self) is made or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(made, self).__delattr__(name)

    made.__setattr__, made.__delattr__ = assign, delete


def _state(self: Any) -> list[Any]:
    return [getattr(self, each.name) for each in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for each, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)
