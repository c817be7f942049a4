"""The part of YQL that pixseek writes, evaluated for tests.

It is not Vespa. It was written from Vespa's documentation of YQL, and shows only that pixseek's
queries say what they should; whether Vespa accepts them is checked by Vespa's own parser
(`vespa_check`). How a content node answers them was never seen.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Doc = Mapping[str, Any]
Test = Callable[[Doc], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<annotation>\{[^{}]*\})|(?P<parameter>@\w+)|(?P<number>-?\d[\d.]*(?:e[+-]?\d+)?)"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<sign>[(),!=*|]))"""
)
#: What an attribute of integers without a value holds.
NOTHING = -(2**63)


class BadQueryError(Exception):
    """A query that Vespa refuses."""


class Near(NamedTuple):
    """A search for neighbours in a query; `found` are the scores of the documents it matches."""

    field: str
    tensor: str
    hits: int
    approximate: bool
    found: dict[int, float]


class Query(NamedTuple):
    """A parsed query.

    Attributes:
        source: the document type.
        test: what a document must fulfil.
        near: the searches for neighbours in it.
        terms: fields and words that are ranked.
        order: fields with whether descending.
        group: the field that is grouped, with how many groups at most; None for no grouping.
    """

    source: str
    test: Test
    near: list[Near]
    terms: list[tuple[str, str]]
    order: list[tuple[str, bool]]
    group: tuple[str, int] | None


class Parser:
    """Parses one query; raises BadQueryError for what it does not know."""

    def __init__(self, text: str, parameters: Mapping[str, Any], fields: Mapping[str, str]) -> None:
        self._parameters = parameters
        self._fields = fields  # types by name
        self._near: list[Near] = []
        self._terms: list[tuple[str, str]] = []
        self._tokens = list(self._split(text))
        self._at = 0

    def _split(self, text: str) -> Iterator[tuple[str, str]]:
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise BadQueryError(f"Could not create query from YQL: {text[at : at + 30]}")
            yield str(found.lastgroup), found[0].strip()
            at = found.end()

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _next(self, *expected: str) -> str:
        text = self._peek()
        if not text or (expected and text not in expected):
            raise BadQueryError(f"Could not create query from YQL: {text!r}, not {expected}")
        self._at += 1
        return text

    def _all(self, words: str) -> None:
        for word in words.split():
            self._next(word)

    def query(self) -> Query:
        self._next("select")
        self._next("*", "documentid")
        self._next("from")
        source = self._next()
        self._next("where")
        test = self._or()
        order = []
        if self._peek() == "order":
            self._all("order by")
            while True:
                field = self._field(self._next())
                order.append((field, self._next("asc", "desc") == "desc"))
                if self._peek() != ",":
                    break
                self._next(",")
        group = None
        if self._peek() == "limit":
            self._all("limit 0 | all ( group (")
            field = self._field(self._next())
            self._all(") max (")
            most = int(self._next())
            self._all(") precision (")
            self._next()
            self._all(") each ( output ( count ( ) ) ) )")
            group = field, most
        if self._peek():
            raise BadQueryError(f"Could not create query from YQL: {self._peek()} at the end")
        return Query(source, test, self._near, self._terms, order, group)

    def _field(self, name: str) -> str:
        if name not in self._fields:
            raise BadQueryError(f"Field '{name}' does not exist")
        return name

    def _or(self) -> Test:
        each = [self._and()]
        while self._peek() == "or":
            self._next()
            each.append(self._and())
        return each[0] if len(each) == 1 else lambda doc: any(test(doc) for test in each)

    def _and(self) -> Test:
        each = [self._one()]
        while self._peek() == "and":
            self._next()
            each.append(self._one())
        return each[0] if len(each) == 1 else lambda doc: all(test(doc) for test in each)

    def _one(self) -> Test:
        kind, text = self._tokens[self._at]
        if kind == "annotation":
            return self._nearest(_annotations(self._next()))
        self._next()
        match text:
            case "(":
                inner = self._or()
                self._next(")")
                return inner
            case "!":
                self._next("(")
                inner = self._or()
                self._next(")")
                return lambda doc: not inner(doc)
            case "true" | "false":
                return lambda doc: text == "true"
            case "rank":
                self._next("(")
                inner = self._or()
                while self._next(",", ")") == ",":
                    self._or()
                return inner
            case "range":
                field, (least, most) = self._arguments(2)
                nothing = math.nan if self._fields.get(field) == "double" else NOTHING
                return lambda doc: least <= doc.get(field, nothing) <= most
            case "geoBoundingBox":
                field, box = self._arguments(4)
                return lambda doc: _is_in_box(doc.get(field), *box)
        return self._comparison(text)

    def _arguments(self, n: int) -> tuple[str, list[int | float]]:
        self._next("(")
        field = self._next()
        if field != "value":
            self._field(field)
        numbers = []
        for _ in range(n):
            self._next(",")
            numbers.append(_number(self._next()))
        self._next(")")
        return field, numbers

    def _nearest(self, how: Mapping[str, Any]) -> Test:
        self._all("nearestNeighbor (")
        field = self._field(self._next())
        self._next(",")
        tensor = self._next()
        self._next(")")
        one = Near(field, tensor, int(how["targetHits"]), how.get("approximate", True), {})
        if f"input.query({tensor})" not in self._parameters:
            raise BadQueryError(f"requires a tensor rank feature named 'query({tensor})'")
        self._near.append(one)
        return lambda doc: doc["#"] in one.found

    def _comparison(self, field: str) -> Test:
        if field not in ("key", "value"):
            self._field(field)
        match self._next("contains", "in", "="):
            case "=":
                number = _number(self._next())
                return lambda doc: doc.get(field) == number
            case "in":
                self._next("(")
                some: set[Any] = set()
                while True:
                    text = self._next()
                    some |= set(self._listed(text)) if text[0] == "@" else {_number(text)}
                    if self._next(",", ")") == ")":
                        return lambda doc: not some.isdisjoint(_values(doc, field))
        if self._peek() == "sameElement":
            self._all("sameElement (")
            tests = [self._or()]
            while self._next(",", ")") == ",":
                tests.append(self._or())
            return lambda doc: any(
                all(test({"key": key, "value": value}) for test in tests)
                for key, value in (doc.get(field) or {}).items()
            )
        self._next("(")
        how = _annotations(self._next())
        assert how == {"implicitTransforms": False}
        word = self._parameters[self._next()[1:]]
        if not word:
            raise BadQueryError("The word of a word item cannot be empty")
        self._next(")")
        self._terms.append((field, word))
        return lambda doc: word in _values(doc, field)

    def _listed(self, parameter: str) -> list[str]:
        text = self._parameters[parameter[1:]]
        found = re.findall(r'"([^"]*)"(?:,|$)', text)
        assert ",".join(f'"{each}"' for each in found) == text, text
        return found


def _annotations(text: str) -> dict[str, Any]:
    return dict(json.loads(re.sub(r"(?<=[{,])\s*([A-Za-z]\w*):", r'"\1":', text)))


def _number(text: str) -> int | float:
    try:
        return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
    except ValueError:
        raise BadQueryError(f"Could not create query from YQL: {text} is no number") from None


def _values(doc: Doc, field: str) -> Sequence[Any]:
    value = doc.get(field)
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_in_box(place: Any, south: float, west: float, north: float, east: float) -> bool:
    if place is None:
        return False
    # As Vespa stores them: in millionths of a degree.
    latitude, longitude = round(place["lat"], 6), round(place["lng"], 6)
    return south <= latitude <= north and west <= longitude <= east


# ------------------------------------------------------------------ ranking


def bm25(documents: Sequence[Doc], field: str, words: Sequence[str]) -> dict[int, float]:
    """Return the score of each document for words in a field of words, by its number."""
    texts = {doc["#"]: Counter(doc.get(field) or []) for doc in documents}
    usual = sum(text.total() for text in texts.values()) / max(1, len(texts)) or 1.0
    found: dict[int, float] = dict.fromkeys(texts, 0.0)
    for word in words:
        holding = [n for n, text in texts.items() if word in text]
        rarity = math.log(1 + (len(texts) - len(holding) + 0.5) / (len(holding) + 0.5))
        for n in holding:
            count, length = texts[n][word], texts[n].total()
            found[n] += rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / usual))
    return found


def closeness(documents: Sequence[Doc], field: str, query: Any) -> dict[int, float]:
    """Return the closeness to a query of the best vector in a field, by a document's number."""
    held = [doc for doc in documents if doc.get(field) is not None]
    if not held:
        return {}
    each = [np.atleast_2d(doc[field]) for doc in held]
    rows = np.concatenate(each)
    if rows.dtype == np.uint8:
        bits = np.bitwise_count(rows ^ np.asarray(query, np.int8).view(np.uint8)).sum(axis=1)
        scores = 1 / (1 + bits.astype(float))
    else:
        scores = 1 / (2 - (rows @ np.asarray(query, np.float32)).astype(float))
    begins = np.cumsum([0, *map(len, each)])[:-1]
    best = np.maximum.reduceat(scores, begins).tolist()
    return {doc["#"]: score for doc, score in zip(held, best, strict=True)}


def sort_key(doc: Doc, field: str, type_: str) -> Any:
    """Return what documents are sorted by."""
    value = doc.get(field)
    if type_ == "string":
        return (value or "").encode()
    return NOTHING if value is None else value


def groups(documents: Sequence[Doc], field: str, type_: str, most: int) -> dict[str, int]:
    """Return how many documents have each value of a field."""
    found: Counter[str] = Counter()
    for doc in documents:
        nothing = [] if type_.startswith("array") else [-(2**31) if type_ == "int" else ""]
        found.update(map(str, _values(doc, field) or nothing))
    return dict(found.most_common(most))
