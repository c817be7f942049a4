"""What the search box suggests while one types: fields, their values, saved searches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from pixseek.search import facets, language_fields
from pixseek.search.language_writing import quoted
from pixseek.types import FacetField
from pixseek.types.dataclass import dataclass
from pixseek.types.texts import folded

#: Suggestions at most, and of these fields and saved searches next to values.
MOST, _FEW = 10, 3

_SIGN = re.compile(r"-?(?:\d+(?:\.\d*)?\*)?")
_FIELD = re.compile(r"([^\W\d]\w*):(?:[=~^*!]*=|~)?(\"?)(.*)", re.DOTALL)
_BETWEEN_WORDS = re.compile(r"[\s/|._\-]+")

#: The facet whose values a field of the language has.
_FACETS: Mapping[str, FacetField] = {
    "folder": "folder", "tag": "tag", "tags": "tag", "person": "person", "camera": "camera",
    "colour": "colour", "color": "colour", "format": "format", "year": "year", "date": "year",
    "taken": "year", "after": "year", "before": "year",
}  # fmt: skip
#: The values of fields that have few.
_VALUES: Mapping[str, Sequence[str]] = {
    "orientation": ("landscape", "portrait", "square"),
    "type": ("image", "video"),
    "rating": ("5", "4..5", "3..5", "2..5", "1..5"),
    "has": ("gps", "caption", "tag", "person", "rating", "place", "date", "camera"),
}
#: The facets that words without a field are looked for in, and the fields that are named first.
_IN_WORDS: Sequence[FacetField] = ("tag", "person", "folder", "camera", "year", "colour")
_COMMON = ("tag", "person", "folder", "year", "camera", "rating", "place", "colour", "format")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One way to go on.

    Attributes:
        text: the whole text that the box would have.
        label: what is new in it, to show.
        kind: a field that waits for its value, a filter, or a saved search.
        field: the field of the query language; "" for a saved search.
        count: how many images have the value; None if that was not counted.
    """

    text: str
    label: str
    kind: Literal["field", "value", "saved"]
    field: str = ""
    count: int | None = None


class Vocabulary:
    """The values of a library's facets, ready to be looked up."""

    def __init__(self, counted: facets.Facets) -> None:
        """Know these counts."""
        self._values = {
            field: [
                (_key(value), tuple(_BETWEEN_WORDS.split(_key(value))), value, count)
                for value, count in values.items()
                if not (field == "year" and value == "none")
            ]
            for field, values in counted.items()
        }

    def beginning(self, field: FacetField, begun: str) -> list[tuple[bool, int, str]]:
        """Return the values of a facet of which some word begins so, and their counts, best first.

        Each comes with whether only a later word does.
        """
        start = _key(begun)
        found = [
            (not key.startswith(start), count, value)
            for key, words, value, count in self._values.get(field, ())
            if key.startswith(start) or any(word.startswith(start) for word in words)
        ]
        return sorted(found, key=lambda each: (each[0], -each[1], each[2]))


def suggestions(text: str, vocabulary: Vocabulary, saved: Iterable[str]) -> list[Suggestion]:
    """Return how a text may go on; what is typed is at its end.

    Args:
        text: in the language of the search box, perhaps unfinished.
        vocabulary: of the library.
        saved: the names of saved searches.
    """
    start = _begun_at(text)
    sign = _SIGN.match(text, start)
    at = sign.end() if sign else start
    before, typed = text[:at], text[at:]
    if typed[:1] == "@" and not text[:start].strip():
        return list(_of_saved(typed[1:].lstrip('"'), saved))[:MOST]
    field = _FIELD.fullmatch(typed)
    if field is not None:
        return list(_of_field(before, field[1], field[3].rstrip('"'), vocabulary))[:MOST]
    if typed[:1] == '"':
        return []
    fields = list(_fields(before, typed))[: _FEW if typed else MOST]
    names = list(_of_saved(typed, saved))[:_FEW] if not before.strip() else []
    values = list(_of_words(before, typed, vocabulary)) if typed else []
    return [*names, *fields, *values][:MOST]


def is_unfinished(text: str, at: int | None) -> bool:
    """Return whether what is wrong at a place of a text may be right once it is typed.

    Args:
        text: in the language of the search box.
        at: the place, as `QueryError.at`.
    """
    begun = _begun_at(text)
    return begun < len(text) if at is None else at >= begun


def _begun_at(text: str) -> int:
    """Return where the last word or filter of a text begins."""
    start, is_quoted = 0, False
    for at, character in enumerate(text):
        if character == '"':
            is_quoted = not is_quoted
        elif not is_quoted and (character.isspace() or character == "("):
            start = at + 1
    return start


def _of_saved(begun: str, saved: Iterable[str]) -> Iterator[Suggestion]:
    for name in saved:
        if _key(name).startswith(_key(begun)):
            yield Suggestion(f"@{quoted(name)}", f"@{name}", "saved")


def _fields(before: str, begun: str) -> Iterator[Suggestion]:
    every = [*_COMMON, *(each for each in language_fields.names() if each not in _COMMON)]
    for name in every if begun else _COMMON:
        if name.startswith(begun.lower()):
            yield Suggestion(f"{before}{name}:", f"{name}:", "field", name)


def _of_field(before: str, field: str, begun: str, vocabulary: Vocabulary) -> Iterator[Suggestion]:
    name = field.lower()
    for value in _VALUES.get(name, ()):
        if value.startswith(begun.lower()):
            yield Suggestion(f"{before}{name}:{value}", value, "value", name)
    facet = _FACETS.get(name)
    if facet is not None:
        for _, count, value in vocabulary.beginning(facet, begun):
            own = name if facet == "year" else facet
            written = f"{name}:{value}" if facet == "year" else facets.filter_text(facet, value)
            yield Suggestion(f"{before}{written}", value, "value", own, count)


def _of_words(before: str, begun: str, vocabulary: Vocabulary) -> list[Suggestion]:
    found = [
        (later, -count, value, facet)
        for facet in _IN_WORDS
        for later, count, value in vocabulary.beginning(facet, begun)[:MOST]
    ]
    return [
        Suggestion(f"{before}{facets.filter_text(facet, value)}", value, "value", facet, -less)
        for _, less, value, facet in sorted(found)
    ]


def _key(text: str) -> str:
    return folded(text)
