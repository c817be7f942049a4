"""What a text in the language of the search box is made of, and the query that it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pixseek.types import And, Filter, Query, Term
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """A run of bare words; a phrase in quotes; or words in parentheses, which can join a run."""

    text: str
    at: int
    kind: Literal["run", "phrase", "group"] = "run"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Several things, each of which counts."""

    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Several things, one of which is enough."""

    units: tuple[Words | Term, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A thing to leave out."""

    unit: Words | Term


Unit = Words | Term | Filter | AllOf | AnyOf | LeftOut


def query_of(units: Sequence[Unit]) -> Query:
    """Return the query of several things and filters."""
    terms: list[Term] = []
    exclude: list[Term] = []
    filters: list[Filter] = []

    def take(units: Sequence[Unit]) -> None:
        for unit in units:
            if isinstance(unit, AllOf):
                take(unit.units)
            elif isinstance(unit, LeftOut):
                exclude.append(term_of(unit.unit))
            elif isinstance(unit, AnyOf):
                first, *others = map(term_of, unit.units)
                terms.append(replace(first, alternatives=tuple(others)))
            elif isinstance(unit, Words | Term):
                terms.append(term_of(unit))
            else:
                filters.append(unit)

    take(units)
    where = None if not filters else filters[0] if len(filters) == 1 else And(tuple(filters))
    return Query(tuple(terms), exclude=tuple(exclude), where=where)


def term_of(unit: Words | Term) -> Term:
    """Return words as a term."""
    return unit if isinstance(unit, Term) else Term("text", unit.text)


def texts_of(unit: Unit) -> list[str]:
    """Return the texts of words, or of several words; none if there is anything else."""
    units = unit.units if isinstance(unit, AnyOf | AllOf) else (unit,)
    texts = [each.text for each in units if isinstance(each, Words)]
    return texts if len(texts) == len(units) else []


def without_parentheses(unit: Unit) -> Unit:
    """Return words in parentheses as words."""
    if isinstance(unit, Words) and unit.kind == "group":
        return replace(unit, text=unit.text or "()", kind="run")
    return unit
