"""How texts are compared: by normal form, without case, and tags by their levels.

Unicode writes the same letter in several ways: "é" is one code point in names that Windows and
most programs write (NFC), and two in those of a Mac (NFD). Texts are compared in NFC, so that both
are equal.

`folded` is the caseless form: Unicode's full case folding (canonical caseless matching, D145), the
same for every language. So "STRASSE" equals "straße" and "ΟΔΟΣ" equals "οδός" without the accent,
and the Turkish "İ" equals "i̇" (with the dot), but neither "i" nor "ı".
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

#: What separates the levels of a hierarchical tag. Programs write "Nature|Birds|Owl" (Lightroom),
#: "Nature/Birds/Owl" (digiKam, Windows) or "Nature > Birds > Owl".
#: Space is looked at once: a tag may have any amount of it.
_BETWEEN_LEVELS = re.compile(r"(?:(?<!\s)\s++)?[|/>]\s*")
#: Most levels of a tag that are found one by one.
_MOST_LEVELS = 32


def composed(text: str) -> str:
    """Return a text in NFC, the form in which texts are equal or not."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """Return the caseless form of a text; texts that differ by case or by normal form share it."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def tag_path(tag: str) -> str:
    """Return a tag in the form in which tags are compared: folded, with "|" between its levels."""
    return _BETWEEN_LEVELS.sub("|", folded(tag))


def tag_levels(tag: str) -> list[str]:
    """Return the levels of a tag as they are written, from the top; a plain tag has one."""
    return [x for x in _BETWEEN_LEVELS.split(tag, _MOST_LEVELS) if x.strip()] or [tag]


@lru_cache(maxsize=65_536)
def tag_names(tag: str) -> tuple[str, ...]:
    """Return everything that a tag is found by, each as `tag_path` writes it, the whole first.

    "Nature|Birds|Owl" is found by itself, by each of its levels, and by each path from the top
    ("nature|birds").
    """
    levels = [tag_path(level) for level in tag_levels(tag)]
    paths = ("|".join(levels[:n]) for n in range(2, len(levels)))
    return tuple(dict.fromkeys((tag_path(tag), *levels, *paths)))
