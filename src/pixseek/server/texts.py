"""The words of the page in each language; scripts read the same ones from the page."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

#: The language of those whose own is not here.
DEFAULT = "en"

#: Parts whose words only the server writes.
SERVER_ONLY = ("facts", "status", "copies")


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

    def part(self, name: str) -> Texts:
        """Return the texts with those of a part of the page that only the server writes."""
        return Texts(self.language, {**self.words, **self.words[name]})

    @property
    def for_scripts(self) -> Mapping[str, Any]:
        """The words that scripts need."""
        return {key: text for key, text in self.words.items() if key not in SERVER_ONLY}

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
