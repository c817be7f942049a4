"""Reads texts in the language of the search box; the grammar is described in `language`.

Longer than 500 lines, because one class reads one grammar.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import product
from math import prod
from typing import Literal

from pixseek.errors import QueryError
from pixseek.filters import USER_PREFIX
from pixseek.redaction import redacted
from pixseek.search import language_fields, typography
from pixseek.search.language_units import (
    AllOf,
    AnyOf,
    Dated,
    LeftOut,
    Unit,
    Words,
    query_of,
    term_of,
    texts_of,
    things_of,
    without_parentheses,
)
from pixseek.types import And, Filter, Not, Or, Query, Region, Term
from pixseek.types.clock import TIME, seconds_of, split_time
from pixseek.types.queries import MAX_CHARACTERS, MAX_TERMS

#: What to do next, in errors.
_AS_WORDS = "To search for it as it is, write it in quotes."
_CLOSE = "Close it, or write it in quotes."

_KEY = re.compile(r"([^\W\d][\w.\-]*):")
#: A filter as other programs write it.
_WITHOUT_COLON = re.compile(r"([^\W\d][\w.]*+)(!=|[<>]=?+|==?+)(.+)", re.DOTALL)
_SPACE = re.compile(r"\s*")
_BARE = re.compile(rf'[^\s"(){typography.INSIDE}]*')
#: A value may hold parentheses of full width, in pairs: they are common in the names of files.
_VALUE = re.compile(r'(?:（[^\s"()（）]*）|[^\s"()＂（）])+')
_LISTED = re.compile(r'[^\s"(),]+')
#: Nothing is given back, or long numbers would take quadratic time.
_FLOAT = r"(\d++\.?+\d*+(?:e[+-]?\d++)?+|\.\d++)"
_WEIGHT = re.compile(_FLOAT + r"\*(?=[^\s*)])")
_REGION = re.compile("@" + ",".join([_FLOAT] * 4) + r"(?=[\s()]|$)")
#: A second of a video.
_AT = re.compile(f"@({TIME})" + r"(?=[\s()]|$)", re.ASCII)
_OPERATOR = re.compile(rf"(AND|OR|NOT)(?=[\s(){typography.OPENING}]|$)")
#: Keys whose value is a thing to look for.
_TERMS = ("image", "id")
_DEEPEST = 16
#: The most texts that the words around parentheses may be multiplied into.
_MOST_TEXTS = 16


def parsed(text: str, today: date | None = None) -> Query:
    """Return the query that a text stands for; see `language.parse`."""
    parser = _Parser(text)
    if len(text) > MAX_CHARACTERS:
        raise parser.error(
            "The query is too long",
            MAX_CHARACTERS,
            f"It has at most {MAX_CHARACTERS:,} characters.",
        )
    units = parser.units()
    if today is None:
        return query_of(units)
    from pixseek.search import dates  # which most searches do without

    def dated(words: str) -> Dated | None:
        found = dates.read(words, today)
        where = found and parsed(found.where).where
        return Dated(found.words, found.where, where, found.rest) if found and where else None

    return query_of(units, dated)


class _Parser:
    """Reads one text from left to right.

    Attributes:
        text: as it was typed.
        plain: the same with full-width characters in their usual width; of the same length.
        at: what is read next.
        missing: see `typography.quotation_end`.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.plain = typography.plain(text)
        self.at = 0
        self.depth = self.things = 0
        self.missing: set[str] = set()
        self.groups: dict[int, tuple[Unit, int]] = {}

    def units(self, opened: int | None = None) -> list[Unit]:
        """Read to the end, or to the parenthesis that closes the one at `opened`."""
        found: list[Unit] = []
        joined: int | None = None
        while True:
            ended = self.at_end()
            if ended or self.plain[self.at] == ")":
                if not ended and opened is None:
                    raise self.error(
                        "Closing parenthesis without an opening one", self.at, _AS_WORDS
                    )
                if joined is not None:
                    raise self.dangling("follows", joined, "AND")
                if ended and opened is not None:
                    raise self.error("The parenthesis is not closed", opened, _CLOSE)
                self.at += not ended
                return found
            at = self.at
            if self.operator("OR"):
                raise self.dangling("stands before", at, "OR")
            if self.operator("AND"):
                if joined is not None or not found:
                    raise self.dangling("stands before", at, "AND")
                joined = at
                continue
            found.append(self.ors(self.unit()))
            joined = None
            if opened is None:
                self.count(found[-1], at)

    def count(self, unit: Unit, at: int) -> None:
        """Count the things of a unit that begins at `at`, and raise if there are too many."""
        for each in things_of(unit):
            self.things += 1
            if self.things > MAX_TERMS:
                raise self.error(
                    "Too many things to look for",
                    each.at if isinstance(each, Words) else at,
                    f"A query has at most {MAX_TERMS}. Words next to each other are one.",
                )

    def ors(self, first: Unit) -> Unit:
        """Read any number of `OR unit`."""
        found = [first]
        at = self.at
        while not self.at_end() and self.operator("OR"):
            at = self.at - len("OR")
            if self.nothing_follows():
                raise self.dangling("follows", at, "OR")
            found.append(self.unit())
            if isinstance(found[-1], Filter) != isinstance(first, Filter):
                raise self.error(
                    "OR joins filters with filters, and words with words", at,
                    "Search for one after the other.",
                )  # fmt: skip
        if len(found) == 1:
            return first
        filters = tuple(each for each in found if isinstance(each, Filter))
        return Or(filters) if filters else self.any_of(found, at)

    def any_of(self, units: Sequence[Unit], at: int) -> AnyOf:
        """Return what is shown by an image that shows one of these."""
        things: list[Words | Term] = []
        for unit in units:
            if isinstance(unit, AnyOf):
                things += unit.units
            elif isinstance(unit, AllOf) and (texts := texts_of(unit)):
                things.append(Words(" and ".join(texts), at))
            elif isinstance(unit, Words | Term):
                things.append(unit)
            else:
                raise self.error(
                    "OR can't join what is to be left out", at, "To leave out both: NOT (a OR b)"
                )
        if any(isinstance(each, Term) and each.weight != 1 for each in things):
            raise self.error(
                "OR joins things without weights", at, 'For all of them: 2*("a dog" OR "a cat")'
            )
        return AnyOf(tuple(things))

    # -------------------------------------------------------------- one thing, or one filter

    def unit(self) -> Unit:
        """Read one thing, or one filter, with what stands before it."""
        began = self.at
        negations = 0
        while self.operator("NOT"):
            negations += 1
            if self.nothing_follows():
                raise self.dangling("follows", began, "NOT")
        at = self.at
        minus = self.minus()
        weight = self.weight()
        # NOT takes the parentheses after it, or else all adjacent words.
        closed = negations > 0 and self.plain[self.at] == "("
        unit = self.operand(alone=minus or weight is not None or closed)
        if weight is not None:
            unit = self.weighted(unit, -weight if minus else weight, at)
        elif minus:
            negations += 1
        return self.negated(unit, began) if negations % 2 else unit

    def operand(self, *, alone: bool) -> Unit:
        """Read a phrase, a term, a filter, parentheses, or words: just one if it is `alone`."""
        at = self.at
        if self.opens_quotation():
            text = self.quoted()
            if not text.strip():
                raise self.error("No words between the quotation marks", at, "Write some, or none.")
            return Words(text, at, "phrase")
        if key := self.key():
            self.at += len(key) + 1
            if self.plain.startswith("//", self.at):
                raise self.error("Not a field", at, f"For an image write image:{key}://...")
            return self.term(key.lower()) if key.lower() in _TERMS else self.filter(key, at)
        if not alone:
            return self.run()
        return (
            without_parentheses(self.group()) if self.plain[at] == "(" else Words(self.word(), at)
        )

    def run(self) -> Unit:
        """Read adjacent words, with the words in parentheses between them."""
        began = self.at
        pieces: list[Unit] = []
        while not self.at_end() and self.plain[self.at] != ")":
            at = self.at
            if self.plain[at] == "(":
                group = self.group()
                if not texts_of(group) or (isinstance(group, Words) and group.kind == "phrase"):
                    if not pieces:
                        return group
                    self.at = at
                    break
                pieces.append(group)
            elif not self.word_follows():
                break
            else:
                pieces.append(Words(self.word(), at))
        return (
            without_parentheses(pieces[0]) if len(pieces) == 1 else self.multiplied(pieces, began)
        )

    def multiplied(self, pieces: Sequence[Unit], at: int) -> Unit:
        """Return a run with its parentheses opened.

        `a (red OR blue) car` is `a red car OR a blue car`.
        """
        choices = [
            [f"({each.text})"] if isinstance(each, Words) and each.kind == "group"
            else texts_of(each)
            for each in pieces
        ]  # fmt: skip
        if prod(map(len, choices)) > _MOST_TEXTS:
            raise self.error(
                f"These words stand for more than {_MOST_TEXTS} texts", at, "Use fewer OR."
            )
        # Of those joined by AND each counts; of those joined by OR one is enough.
        counting = [
            [[text] for text in texts] if isinstance(each, AllOf) else [texts]
            for each, texts in zip(pieces, choices, strict=True)
        ]
        found: list[Unit] = []
        for combination in product(*counting):
            some = tuple(Words(" ".join(words), at) for words in product(*combination))
            found.append(some[0] if len(some) == 1 else AnyOf(some))
        return found[0] if len(found) == 1 else AllOf(tuple(found))

    def group(self) -> Unit:
        """Read what stands in parentheses: filters, words, or several things."""
        began = self.at
        if began in self.groups:  # a run ended before it
            unit, self.at = self.groups[began]
            return unit
        if self.depth >= _DEEPEST:
            raise self.error("Parentheses are nested too deeply", began, "Use fewer.")
        self.depth += 1
        self.at += 1
        units = self.units(began)
        self.depth -= 1
        filters = tuple(each for each in units if isinstance(each, Filter))
        if filters and len(filters) < len(units):
            at = next((each.at for each in units if isinstance(each, Words)), began)
            raise self.error("Parentheses join filters, and this is not a filter", at, _AS_WORDS)
        if filters:
            unit = filters[0] if len(filters) == 1 else And(filters)
        elif len(units) == 1 and isinstance(units[0], Words) and units[0].kind == "run":
            unit = replace(units[0], kind="group")
        elif units:
            unit = units[0] if len(units) == 1 else AllOf(tuple(units))
        else:
            unit = Words("", began, "group")
        self.groups[began] = unit, self.at
        return unit

    def negated(self, unit: Unit, at: int) -> Unit:
        """Return the opposite of a filter, or a thing to leave out."""
        if isinstance(unit, LeftOut):
            return unit.unit
        if isinstance(unit, Term) and unit.weight != 1:
            return replace(unit, weight=-unit.weight)
        if isinstance(unit, Words | Term):
            return LeftOut(unit)
        if isinstance(unit, AnyOf) and not any(
            isinstance(each, Term) and each.weight != 1 for each in unit.units
        ):
            return AllOf(tuple(map(LeftOut, unit.units)))
        if isinstance(unit, AllOf) and (texts := texts_of(unit)):
            return LeftOut(Words(" and ".join(texts), at))
        if isinstance(unit, AllOf | AnyOf):
            raise self.error("This can't be left out together", at, "Leave out one by one.")
        return Not(unit)

    def weighted(self, unit: Unit, weight: float, at: int) -> Unit:
        """Return a thing that counts more or less."""
        if isinstance(unit, Filter):
            raise self.error("A filter can't have a weight", at, "Leave the weight out.")
        if isinstance(unit, AllOf | LeftOut):
            raise self.error("A weight stands before one thing", at, 'For example: 2*"a dog" cat')
        if not weight or abs(weight) == float("inf"):
            raise self.error("A weight must be finite and not 0", at, 'For example: 2*"a dog" cat')
        if isinstance(unit, AnyOf):
            first, *others = unit.units
            return AnyOf((replace(term_of(first), weight=weight), *others))
        return replace(term_of(unit), weight=weight)

    def term(self, key: str) -> Term:
        """Read the value of `image:` or `id:`."""
        at = self.at
        value = self.value()
        text = value.text
        kind: Literal["image", "id"] = "id" if key == "id" else "image"
        if found := _AT.match(self.plain, self.at):
            self.at = found.end()
            return Term(kind, text, at=seconds_of(found[1]))
        found = _REGION.match(self.plain, self.at)
        if found:
            self.at = found.end()
        elif not value.quoted and (found := _REGION.search(text)):
            text = text[: found.start()]
        if not found:
            name, second = (text, None) if value.quoted else split_time(text)
            return Term(kind, name, at=second)
        try:
            region = Region(*(float(each) for each in found.groups()))
        except QueryError as error:
            raise self.error(error.problem, at, error.advice) from error
        return Term(kind, text, region=region)

    def filter(self, key: str, at: int) -> Filter:
        """Read the value of a filter and compile it."""
        symbol = next((each for each in _SYMBOLS if self.plain.startswith(each, self.at)), "")
        self.at += len(symbol)
        if symbol == "in(":
            values = self.listed(at)
        elif self.value_follows():
            values = [self.value()]
        elif symbol == "~" and key.lower() == "folder":  # the user's home
            symbol, values = "", [language_fields.Value("~")]
        else:
            raise self.error("A filter needs a value", at, "For example: year:2024")
        operator = _SYMBOLS.get(symbol, "")
        usual = [_usual(value) for value in values]
        try:
            found = language_fields.compiled(key, operator, usual)
        except QueryError as error:
            said = f"{error.subject}, at character {at + 1}"
            wrong = QueryError(error.problem, said, error.advice).placed(at, self.at - at)
            raise wrong from error
        if usual != values and operator in ("", "=", "~", "*=", "in"):
            # A name or a tag may hold curly or wide characters itself.
            with contextlib.suppress(QueryError):
                as_typed = language_fields.compiled(key, operator, values)
                return found if as_typed == found else Or((found, as_typed))
        return found

    def listed(self, at: int) -> list[language_fields.Value]:
        """Read values up to a closing parenthesis, separated by commas."""
        values: list[language_fields.Value] = []
        while not self.at_end():
            char = self.plain[self.at]
            if char == ")":
                self.at += 1
                return values
            if char == ",":
                self.at += 1
            elif self.opens_quotation():
                values.append(language_fields.Value(self.quoted(), True))
            else:
                found = _LISTED.match(self.plain, self.at)
                if not found:
                    raise self.error(
                        "A list holds values separated by commas",
                        self.at,
                        "For example: format:(jpg,png)",
                    )
                values.append(language_fields.Value(self.text[self.at : found.end()]))
                self.at = found.end()
        raise self.error("The list is not closed", at, _CLOSE)

    # -------------------------------------------------------------- the smallest pieces

    def opens_quotation(self) -> bool:
        """Return whether a quotation begins here."""
        return typography.opens_quotation(self.text, self.at, self.missing)

    def at_end(self) -> bool:
        """Skip space; return whether nothing follows."""
        found = _SPACE.match(self.text, self.at)
        assert found is not None  # it also matches nothing
        self.at = found.end()
        return self.at >= len(self.text)

    def operator(self, word: str) -> bool:
        """Read AND, OR or NOT, and the space after it."""
        found = _OPERATOR.match(self.plain, self.at)
        if found is None or found[1] != word:
            return False
        self.at = found.end()
        return True

    def nothing_follows(self) -> bool:
        """Skip space; return whether an operator has nothing to its right."""
        if self.at_end() or self.plain[self.at] == ")":
            return True
        found = _OPERATOR.match(self.plain, self.at)
        return found is not None and found[1] != "NOT"

    def word_follows(self) -> bool:
        """Return whether what stands here is a plain word."""
        return not (
            _OPERATOR.match(self.plain, self.at)
            or _WEIGHT.match(self.plain, self.at)
            or self.minus_follows()
            or self.key()
            or self.opens_quotation()
        )

    def key(self) -> str:
        """Return the name of a field that stands here with a value; "" if there is none."""
        found = _KEY.match(self.plain, self.at)
        return found[1] if found and self.value_follows(found.end()) else ""

    def value_follows(self, at: int | None = None) -> bool:
        """Return whether a value stands here: not space, not the end, not a parenthesis."""
        at = self.at if at is None else at
        char = self.plain[at : at + 1]
        return bool(char.strip()) and (char not in "()" or bool(_VALUE.match(self.text, at)))

    def minus_follows(self) -> bool:
        """Return whether a minus stands here before something; alone, or doubled, it is a word."""
        following = self.plain[self.at + 1 : self.at + 2]
        return (
            self.text[self.at] in typography.MINUSES
            and bool(following.strip())
            and following not in f"{typography.MINUSES})"
        )

    def minus(self) -> bool:
        if not self.minus_follows():
            return False
        self.at += 1
        return True

    def weight(self) -> float | None:
        """Read `2*`; None if there is no weight here."""
        found = _WEIGHT.match(self.plain, self.at)
        if not found:
            return None
        self.at = found.end()
        return float(found[1])

    def word(self) -> str:
        """Read to the next space, parenthesis or quotation."""
        began = self.at
        while True:
            found = _BARE.match(self.plain, self.at + 1)
            assert found is not None  # it also matches nothing
            self.at = found.end()
            if self.plain[self.at : self.at + 1] not in tuple(typography.INSIDE):
                break
            if typography.quotation_end(self.text, self.at, self.missing) is not None:
                break
        word = self.plain[began : self.at]
        found = _WITHOUT_COLON.fullmatch(word)
        name = found[1].lower() if found else ""
        if found and (name in language_fields.names() or name.startswith(USER_PREFIX)):
            meant = f"{found[1]}:{found[2].strip('=') and found[2]}{found[3]}"
            raise self.error("A filter has a colon", began, f"Write {meant}.")
        return word

    def value(self) -> language_fields.Value:
        if self.opens_quotation():
            return language_fields.Value(self.quoted(), True)
        found = _VALUE.match(self.text, self.at)
        assert found is not None  # `value_follows` was asked
        self.at = found.end()
        return language_fields.Value(found[0])

    def quoted(self) -> str:
        began = self.at
        end = typography.quotation_end(self.text, began, self.missing)
        if end is None:
            raise self.error("The quotation mark is not closed", began, "Close it.")
        self.at = end + 1
        return typography.quotation(self.text, began, end)

    def error(self, problem: str, at: int, advice: str) -> QueryError:
        # An address is shown without its password, also if what is wrong lies within it.
        rest = redacted(self.text[at:])
        is_whole = redacted(self.text[:at]) + rest == redacted(self.text)
        shown = rest[:20] if is_whole else ""
        said = f"{shown!r} at character {at + 1}" if shown else ""
        return QueryError(problem, said, advice).placed(at, len(self.text[at:].split(" ")[0]))

    def dangling(self, side: str, at: int, word: str) -> QueryError:
        return self.error(
            f"Nothing {side} {word}", at, f'To search for the word, write it in quotes: "{word}"'
        )


def _usual(value: language_fields.Value) -> language_fields.Value:
    """Return a value in the characters of ASCII, unless it is in quotation marks."""
    if value.quoted:
        return value
    return language_fields.Value(typography.plain_value(value.text))


#: What may stand before a value, with the operator it means; the longest first, so that `<=` is not
#: read as `<`.
_SYMBOLS = {"in(": "in", "≤": "<=", "≥": ">=", "≠": "!="} | {
    each: each for each in sorted(language_fields.OPERATORS, key=len, reverse=True) if each != "in"
}
