"""The language of the search box: text to `Query` and back.

    a dog on a beach              words: what is in the image
    "a dog" "a beach"             two things, each counts
    2*"a dog" beach               the first counts twice
    -frisbee   -"a red ball"      leave out images that show this
    -0.5*night                    away from this (subtraction; `-` alone is exclusion)
    image:ball.jpg   id:k3v5xq7m  like this file, URL, or indexed image
    image:ball.jpg@0.1,0.2,0.5,0.5         like this rectangle of it: x, y, width, height
    year:2021 camera:nikon width:>=1920    filters; all must hold
    (tag:cat OR tag:dog) -folder:old       OR, NOT or a minus, parentheses
    name:="exact.jpg" iso:100..400 width:in(1,2) has:caption

Adjacent words are one thing to look for. `OR` binds more tightly than a space, as in mail
programs: `a:1 OR b:2 c:3` is (a or b) and c. A text that can't be understood raises a `QueryError`
with the character where it fails; every other text is a query.

`parse` and `to_text` are each other's inverse: printing and parsing again gives the same query.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePath

from pixseek.errors import QueryError
from pixseek.search import language_fields
from pixseek.types import And, Filter, Not, Or, Query, Region, Term
from pixseek.types.dataclass import dataclass

_KEY = re.compile(r"([^\W\d][\w.\-]*):")
_SPACE = re.compile(r"\s*")
_BARE = re.compile(r'[^\s"()]+')
_LISTED = re.compile(r'[^\s"(),]+')
_FLOAT = r"(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)"
_WEIGHT = re.compile(_FLOAT + r"\*(?=[^\s*)])")
_REGION = re.compile("@" + ",".join([_FLOAT] * 4) + r"(?=[\s()]|$)")
#: Keys whose value is a thing to look for.
_TERMS = ("image", "id")
_DEEPEST = 16


def parse(text: str) -> Query:
    """Return the query that a text stands for, with the default k and offset.

    Raises:
        QueryError: it can't be understood; `subject` shows the place.
    """
    return _Parser(text).query()


def filter_of(text: str) -> Filter | None:
    """Return the filter that a text stands for; None for an empty text.

    Raises:
        QueryError: it can't be understood, or has something besides filters.
    """
    query = parse(text)
    if query.terms or query.exclude:
        raise QueryError(
            "Only filters can stand here, no words", text, "For example: 'year:2024 -tag:done'"
        )
    return query.where


def to_text(query: Query) -> str:
    """Return a text that `parse` turns into this query, except k, offset and the other options.

    Raises:
        QueryError: a term has no text: a raw vector, or an image in memory.
    """
    pieces = [_term_text(term, excluded=False) for term in query.terms]
    pieces += [_term_text(term, excluded=True) for term in query.exclude]
    if query.where is not None:
        whole = query.where
        parts = whole.filters if isinstance(whole, And) and len(whole.filters) > 1 else (whole,)
        pieces += [language_fields.to_text(part) for part in parts]
    return " ".join(pieces)


# ------------------------------------------------------------------ reading


@dataclass(frozen=True, slots=True)
class _Words:
    """A run of bare words, or a phrase in quotes."""

    text: str
    quoted: bool
    at: int


_Item = Term | Filter | _Words


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def query(self) -> Query:
        terms: list[Term] = []
        exclude: list[Term] = []
        filters: list[Filter] = []
        run: list[str] = []

        def end_run() -> None:
            if run:
                terms.append(Term("text", " ".join(run)))
                run.clear()

        while not self.at_end():
            began = self.at
            minus = self.minus()
            weight = self.weight()
            item = self.operand()
            if isinstance(item, _Words):
                if not minus and weight is None and not item.quoted:
                    if item.text == "AND" and filters and not run:
                        continue
                    if item.text == "NOT" and self.filter_follows():
                        end_run()
                        filters.append(self.ors(self.negated(item)))
                    elif item.text == "OR" and (run or terms) and not self.at_end():
                        raise self.error(
                            "OR joins filters, not things to look for",
                            item.at,
                            'Search for one after the other, or for both: "a dog" "a cat".',
                        )
                    else:
                        run.append(item.text)
                    continue
                if not item.text.strip():
                    raise self.error("No words between the quotation marks", item.at)
                item = Term("text", item.text)
            end_run()
            if isinstance(item, Term):
                if weight is not None:
                    terms.append(self.weighted(item, -weight if minus else weight, began))
                else:
                    (exclude if minus else terms).append(item)
            elif weight is not None:
                raise self.error("A filter can't have a weight", began)
            else:
                filters.append(self.ors(Not(item) if minus else item))
        end_run()
        where = None if not filters else filters[0] if len(filters) == 1 else And(tuple(filters))
        return Query(tuple(terms), exclude=tuple(exclude), where=where)

    # -------------------------------------------------------------- what stands here

    def operand(self) -> _Item:
        """Read a word, a phrase, a term or a filter."""
        if self.at_end():
            raise self.error("Something is missing at the end", self.at)
        at = self.at
        char = self.text[at]
        if char == ")":
            raise self.error("Closing parenthesis without an opening one", at)
        if char == '"':
            return _Words(self.quoted(), True, at)
        if char == "(":
            return self.group()
        found = _KEY.match(self.text, at)
        if found and self.stands(found.end()):
            self.at = found.end()
            key = found[1]
            if self.text.startswith("//", self.at):
                raise self.error("Not a field", at, f"For an image write image:{key}://...")
            return self.term(key.lower()) if key.lower() in _TERMS else self.filter(key, at)
        word = _BARE.match(self.text, at)
        assert word is not None  # neither space, nor quotation mark, nor parenthesis
        self.at = word.end()
        return _Words(word[0], False, at)

    def group(self) -> Filter | _Words:
        """Read the content of parentheses: filters, or plain words."""
        began = self.at
        if self.depth >= _DEEPEST:
            raise self.error("Parentheses are nested too deeply", began)
        self.depth += 1
        self.at += 1
        filters: list[Filter] = []
        words: list[_Words] = []
        while True:
            if self.at_end():
                raise self.error("The parenthesis is not closed", began)
            if self.text[self.at] == ")":
                self.at += 1
                break
            at = self.at
            minus = self.minus()
            item = self.operand()
            if isinstance(item, _Words) and not minus:
                if not item.quoted and item.text == "NOT" and self.filter_follows():
                    filters.append(self.ors(self.negated(item)))
                elif item.quoted or item.text != "AND" or not filters:
                    words.append(item)
            elif isinstance(item, Term | _Words):
                raise self.error("Parentheses join filters, and this is not a filter", at)
            else:
                filters.append(self.ors(Not(item) if minus else item))
        self.depth -= 1
        if filters and words:
            raise self.error("Parentheses join filters, and this is not a filter", words[0].at)
        if filters:
            return filters[0] if len(filters) == 1 else And(tuple(filters))
        return _Words(f"({' '.join(word.text for word in words)})", False, began)

    def ors(self, first: Filter) -> Filter:
        """Read any number of `OR filter`."""
        found = [first]
        while True:
            before = self.at
            self.at_end()
            at = self.at
            if not re.compile(r"OR(?=[\s(]|$)").match(self.text, at):
                self.at = before
                return first if len(found) == 1 else Or(tuple(found))
            self.at += 2
            if self.at_end():
                raise self.error("Nothing follows OR", at)
            minus = self.minus()
            item = self.operand()
            if isinstance(item, _Words) and item.text == "NOT" and self.filter_follows():
                item = self.negated(item)
            if isinstance(item, Term | _Words):
                raise self.error("OR joins filters, and this is not a filter", at)
            found.append(Not(item) if minus else item)

    def filter_follows(self) -> bool:
        """Return whether a filter or a parenthesis stands here."""
        self.at_end()
        found = _KEY.match(self.text, self.at)
        return self.text[self.at : self.at + 1] == "(" or bool(
            found and found[1].lower() not in _TERMS and self.stands(found.end())
        )

    def negated(self, word: _Words) -> Filter:
        """Read the filter after NOT."""
        item = self.operand()
        if isinstance(item, Term | _Words):
            raise self.error("NOT stands before a filter, and this is not a filter", word.at)
        return Not(item)

    def term(self, key: str) -> Term:
        """Read the value of `image:` or `id:`."""
        at = self.at
        value = self.value()
        if key == "id":
            return Term("id", value)
        found = _REGION.match(self.text, self.at)
        if found:
            self.at = found.end()
        elif self.text[at] != '"' and (found := _REGION.search(value)):
            value = value[: found.start()]
        if not found:
            return Term("image", value)
        try:
            region = Region(*(float(each) for each in found.groups()))
        except QueryError as error:
            raise self.error(error.problem, at, error.advice) from error
        return Term("image", value, region=region)

    def weighted(self, term: Term, weight: float, at: int) -> Term:
        if not weight or abs(weight) == float("inf"):
            raise self.error("A weight must be finite and not 0", at)
        return Term(term.kind, term.value, weight, term.region)

    def filter(self, key: str, at: int) -> Filter:
        """Read the value of a filter and compile it."""
        operator = next((each for each in _OPERATORS if self.text.startswith(each, self.at)), "")
        self.at += len(operator)
        if operator == "in(":
            values = self.listed(at)
        elif self.stands(self.at):
            quoted = self.text[self.at] == '"'
            values = [language_fields.Value(self.value(), quoted)]
        else:
            raise self.error("A filter needs a value", at)
        try:
            return language_fields.compiled(key, operator.rstrip("("), values)
        except QueryError as error:
            subject = error.subject
            stored, colon, rest = subject.partition(":")
            if colon and (stored == "taken_at" or stored.startswith("fields.")):
                subject = f"{key}:{rest}"  # the name that the user wrote, not that of the column
            raise QueryError(
                error.problem, f"{subject}, at character {at + 1}", error.advice
            ) from error

    def listed(self, at: int) -> list[language_fields.Value]:
        """Read values up to a closing parenthesis, separated by commas."""
        values: list[language_fields.Value] = []
        while not self.at_end():
            char = self.text[self.at]
            if char == ")":
                self.at += 1
                return values
            if char == ",":
                self.at += 1
            elif char == '"':
                values.append(language_fields.Value(self.quoted(), True))
            else:
                found = _LISTED.match(self.text, self.at)
                if not found:
                    raise self.error("A list holds values separated by commas", self.at)
                self.at = found.end()
                values.append(language_fields.Value(found[0]))
        raise self.error("The list is not closed", at)

    # -------------------------------------------------------------- the smallest pieces

    def at_end(self) -> bool:
        """Skip space; return whether nothing follows."""
        found = _SPACE.match(self.text, self.at)
        assert found is not None  # it also matches nothing
        self.at = found.end()
        return self.at >= len(self.text)

    def stands(self, at: int) -> bool:
        """Return whether something stands here: not space, not the end, not a parenthesis."""
        return at < len(self.text) and not self.text[at].isspace() and self.text[at] not in "()"

    def minus(self) -> bool:
        """Read a minus before something; a lone minus, or several, are a word."""
        following = self.text[self.at + 1 : self.at + 2]
        if self.text[self.at] != "-" or not following or following.isspace() or following in "-)":
            return False
        self.at += 1
        return True

    def weight(self) -> float | None:
        """Read `2*`; None if there is no weight here."""
        found = _WEIGHT.match(self.text, self.at)
        if not found:
            return None
        self.at = found.end()
        return float(found[1])

    def value(self) -> str:
        if self.text[self.at] == '"':
            return self.quoted()
        found = _BARE.match(self.text, self.at)
        assert found is not None  # `stands` was asked
        self.at = found.end()
        return found[0]

    def quoted(self) -> str:
        began = at = self.at
        out: list[str] = []
        while (at := at + 1) < len(self.text):
            char = self.text[at]
            if char == '"':
                self.at = at + 1
                return "".join(out)
            if char == "\\" and self.text[at + 1 : at + 2] in ('"', "\\"):
                at += 1
                char = self.text[at]
            out.append(char)
        raise self.error("The quotation mark is not closed", began)

    def error(self, problem: str, at: int, advice: str = "") -> QueryError:
        shown = self.text[at : at + 20]
        return QueryError(problem, f"{shown!r} at character {at + 1}" if shown else "", advice)


#: Longest first, so that `<=` is not read as `<`.
_OPERATORS = sorted(
    ("in(" if each == "in" else each for each in language_fields.OPERATORS), key=len, reverse=True
)


# ------------------------------------------------------------------ writing


def _term_text(term: Term, *, excluded: bool) -> str:
    value = term.value
    if term.kind == "vector" or not isinstance(value, str | PurePath):
        raise QueryError("A term can't be written as text", f"a {term.kind} in memory")
    text = language_fields.quoted(os.fspath(value))
    if term.kind != "text":
        text = f"{term.kind}:{text}"
    if term.region is not None:
        text += "@" + ",".join(map(repr, term.region.box))
    if excluded:
        return f"-{text}"
    return text if term.weight == 1 else f"{float(term.weight)!r}*{text}"
