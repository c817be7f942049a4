"""The words of the page in each language; scripts read the same ones from the page."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

#: The language of those whose own is not here.
DEFAULT = "en"

#: Parts whose words only the server writes.
SERVER_ONLY = ("facts", "status", "copies", "failed")

#: A number with English separators, as the library's texts have it.
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+")


class Texts:
    """The words of one language: `texts("images", n=3)`."""

    def __init__(self, language: str, words: Mapping[str, Any]) -> None:
        """Speak a language with these words."""
        self.language, self.words = language, words

    def __call__(self, key: str, **values: Any) -> str:
        """Return a text with its values; of one that has a form for one thing, the right form."""
        text = self.words[key]
        if isinstance(text, dict):
            text = text["one" if values.get("n") == 1 else "other"]
        shown = {name: self.number(each) for name, each in values.items()}
        for name, value in shown.items():
            text = text.replace(f"{{{name}}}", value)
        return str(text)

    def value(self, field: str, value: str) -> str:
        """Return a value that pixseek itself gives a field in this language; others as they are."""
        return str(self.words["values"].get(f"{field} {value}", value))

    def part(self, name: str) -> Texts:
        """Return the texts with those of a part of the page that only the server writes."""
        return Texts(self.language, {**self.words, **self.words[name]})

    @property
    def for_scripts(self) -> Mapping[str, Any]:
        """The words that scripts need."""
        return {key: text for key, text in self.words.items() if key not in SERVER_ONLY}

    def told(self, text: str) -> str | None:
        """Return in this language what the library says in English; None if it is not known.

        The parts "said" and "failed" hold such texts, with names for what stands in their places,
        and the first that fits is taken. texts.js does the same.
        """
        if self.language == DEFAULT:
            return text
        for pattern, other in (*self.words["said"].items(), *self.words["failed"].items()):
            values = _values(pattern, text)
            if values is not None:
                shown = {name: self._regrouped(each) for name, each in values.items()}
                return str(other).format(**shown)
        return None

    def _regrouped(self, value: str) -> str:
        if _GROUPED.fullmatch(value):
            return value.replace(",", self.words["thousands"])
        return value

    def number(self, value: Any) -> str:
        """Return a number with the language's separators; anything else as text."""
        if not isinstance(value, int):
            return str(value)
        return f"{value:,}".replace(",", self.words["thousands"])

    def month(self, taken_at: datetime | None) -> str:
        """Return the month of a time, such as "May 2024"."""
        if taken_at is None:
            return self("no_date")
        return f"{self.words['months'][taken_at.month - 1]} {taken_at.year}"


#: The name of a value in a text.
_PLACE = re.compile(r"\{(\w+)\}")


def _values(pattern: str, text: str) -> dict[str, str] | None:
    """Return what stands in a text where a pattern has names; None if it does not fit.

    Each value has at least one character, and is as short as can be, but for the last. The time
    grows with the length of the text alone, since it may be a stranger's.
    """
    first, *rest = _PLACE.split(pattern)
    if not text.startswith(first) or (not rest and text != first):
        return None
    values: dict[str, str] = {}
    at = len(first)
    for name, after in zip(rest[::2], rest[1::2], strict=True):
        if len(values) < len(rest) // 2 - 1:
            end = text.find(after, at + 1)
        else:
            end = len(text) - len(after) if text.endswith(after) else -1
        if end <= at:
            return None
        values[name] = text[at:end]
        at = end + len(after)
    return values


@functools.cache
def languages() -> Mapping[str, Texts]:
    """Return the texts by language."""
    content = files("pixseek.server").joinpath("texts.json").read_text("utf-8")
    return {name: Texts(name, words) for name, words in json.loads(content).items()}


def texts_for(accepted: str, chosen: str = "") -> Texts:
    """Return the texts for a browser.

    Args:
        accepted: its header `Accept-Language`.
        chosen: the language that its user chose on the page; "" for none.
    """
    known = languages()
    if chosen in known:
        return known[chosen]
    wanted = []
    for position, each in enumerate(accepted[:500].split(",")):
        name, _, weight = each.partition(";q=")
        try:
            wanted.append((-float(weight or 1), position, name.strip().lower().partition("-")[0]))
        except ValueError:
            continue
    return next((known[name] for _, _, name in sorted(wanted) if name in known), known[DEFAULT])
