"""What a text in the language of the search box is made of, and the query that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from pixseek.types import And, DateReading, Filter, Or, Query, Term
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


@dataclass(frozen=True, slots=True)
class Dated:
    """The dates in some words: the words and their filter; `rest` is the text without them."""

    words: str
    means: str
    where: Filter
    rest: str


Unit = Words | Term | Filter | AllOf | AnyOf | LeftOut


def query_of(units: Sequence[Unit], dated: Callable[[str], Dated | None] = lambda _: None) -> Query:
    """Return the query of several things and filters.

    Args:
        units: the things and filters.
        dated: returns the dates in plain words.
    """
    terms: list[Term] = []
    exclude: list[Term] = []
    filters: list[Filter] = []
    readings: list[DateReading] = []

    def take(units: Sequence[Unit]) -> None:
        for unit in units:
            if isinstance(unit, AllOf):
                take(unit.units)
            elif isinstance(unit, LeftOut):
                exclude.append(term_of(unit.unit))
            elif isinstance(unit, AnyOf | Words | Term):
                take_term(unit)
            else:
                filters.append(unit)

    def take_term(unit: AnyOf | Words | Term) -> None:
        some = unit.units if isinstance(unit, AnyOf) else (unit,)
        first, *others = map(term_of, some)
        term = replace(first, alternatives=tuple(others))
        found = [dated(e.text) for e in some if isinstance(e, Words) and e.kind == "run"]
        dates = [each for each in found if each is not None]
        # Of alternatives all must be dates, and nothing else.
        if len(dates) < len(some) or (others and any(each.rest for each in dates)):
            terms.append(term)
            return
        rest = dates[0].rest
        readings.append(
            DateReading(
                " OR ".join(each.words for each in dates),
                " OR ".join(each.means for each in dates),
                Or(tuple(each.where for each in dates)) if others else dates[0].where,
                term,
                len(terms),
                not rest,
            )
        )
        if rest:
            terms.append(replace(term, value=rest))

    take(units)
    where = None if not filters else filters[0] if len(filters) == 1 else And(tuple(filters))
    return Query(tuple(terms), exclude=tuple(exclude), where=where, date_readings=tuple(readings))


def term_of(unit: Words | Term) -> Term:
    """Return words as a term."""
    return unit if isinstance(unit, Term) else Term("text", unit.text)


def texts_of(unit: Unit) -> list[str]:
    """Return the texts of words, or of several words; none if there is anything else."""
    units = unit.units if isinstance(unit, AnyOf | AllOf) else (unit,)
    texts = [each.text for each in units if isinstance(each, Words)]
    return texts if len(texts) == len(units) else []


def things_of(unit: Unit) -> Iterator[Words | Term]:
    """Yield the things that a unit looks for or leaves out; none of a filter."""
    if isinstance(unit, AllOf | AnyOf):
        for each in unit.units:
            yield from things_of(each)
    elif isinstance(unit, LeftOut):
        yield unit.unit
    elif isinstance(unit, Words | Term):
        yield unit


def without_parentheses(unit: Unit) -> Unit:
    """Return words in parentheses as words."""
    if isinstance(unit, Words) and unit.kind == "group":
        return replace(unit, text=unit.text or "()", kind="run")
    return unit
