"""What phones, Macs and keyboards of other languages type instead of the characters of ASCII.

Curly and angle quotes, full-width letters and dashes mean what the straight ones mean. Every
function here keeps the length of a text, so that an error gives the place in what the user typed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Characters of full width, and the ideographic space, with those of ASCII that they stand for.
_WIDE: Mapping[int, int] = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}

#: Hyphens, dashes and the minus sign.
MINUSES = "-\u2010\u2011\u2012\u2013\u2014\u2212\ufe58\ufe63\uff0d"
_WIDE_AND_MINUS = {**_WIDE, **dict.fromkeys(map(ord, MINUSES), ord("-"))}

#: By the mark that opens a quotation: the marks that close it.
_CLOSED_BY: Mapping[str, str] = {
    '"': '"', "＂": '＂"', "“": '”"‟', "„": '“”‟"', "‟": '”"', "”": "”",
    "«": "»", "»": "«»", "「": "」", "『": "』", "｢": "｣", "〝": "〞〟",
    "❝": "❞", "‘": "’", "‚": "‘’", "‛": "’", "‹": "›", "›": "‹›",
}  # fmt: skip
#: All marks that open a quotation.
OPENING = "".join(_CLOSED_BY)
#: Marks that also stand elsewhere: these open only if something closes them, at the end of a word.
_DOUBTFUL = "”»‘‚‛‹›"
#: Marks that open in the middle of a word too, if something closes them.
INSIDE = "“„‟«"
#: Letters are left out here: ‘60s, ‘tis, rock ‘n’ roll.
_LEFT_OUT = re.compile(r"‘(?:\d\ds?|n|em|til|tis|twas|bout|cause|round)\b", re.IGNORECASE)
#: What follows the end of a word.
_ENDED = re.compile(r"[\s()（）,，@]|$")
#: Marks that people mix when a program curls only one of a pair.
_DOUBLE = '"＂“”„‟'


def plain(text: str) -> str:
    """Return a text with full-width characters in their usual width."""
    return text if text.isascii() else text.translate(_WIDE)


def plain_value(text: str) -> str:
    """Return `plain` with every dash as a minus: what numbers and dates are read from."""
    return text if text.isascii() else text.translate(_WIDE_AND_MINUS)


def opens_quotation(text: str, at: int, missing: set[str]) -> bool:
    """Return whether the character with which a word begins opens a quotation.

    Args:
        text: the whole text.
        at: where the word begins.
        missing: see `quotation_end`.
    """
    mark = text[at : at + 1]
    if not mark or mark not in _CLOSED_BY:
        return False
    if mark not in _DOUBTFUL:
        return True
    return text[at + 1 : at + 2].strip() != "" and quotation_end(text, at, missing) is not None


def quotation_end(text: str, at: int, missing: set[str]) -> int | None:
    """Return where the mark stands that closes the quotation opened at `at`; None if nowhere.

    If its own mark is missing, any double mark at the end of a word closes a double one: `“a dog"`.

    Args:
        text: the whole text.
        at: where the quotation opens.
        missing: remembers what the rest of the text lacks, or looking for it at every mark would
            take quadratic time. One set for each text, which is read from left to right.
    """
    mark = text[at]
    if _LEFT_OUT.match(text, at):
        return None
    found = _closing(text, at, _CLOSED_BY[mark], missing, at_word_end=mark in _DOUBTFUL)
    if found is None and mark in _DOUBLE:
        found = _closing(text, at, _DOUBLE, missing, at_word_end=True)
    return found


def quotation(text: str, at: int, end: int) -> str:
    """Return what a quotation says whose marks are at `at` and `end`.

    Between straight marks everything is meant as it is; `\\` makes a mark or itself a character.
    """
    mark, inner = text[at], text[at + 1 : end]
    if mark != '"':
        inner = plain(inner.strip())  # « un chien »
    marks = "".join({mark, *_CLOSED_BY[mark]})
    return re.sub(rf"\\([\\{marks}])", r"\1", inner)


def _closing(text: str, at: int, marks: str, missing: set[str], *, at_word_end: bool) -> int | None:
    sought = f"{text[at]} {marks} {at_word_end}"
    if sought in missing:
        return None
    for found in re.compile(rf"\\[\\{text[at]}{marks}]|[{marks}]").finditer(text, at + 1):
        here = found.start()
        if len(found[0]) == 1 and not (at_word_end and _inside_word(text, here)):
            return here
    missing.add(sought)
    return None


def _inside_word(text: str, at: int) -> bool:
    """Return whether a mark does not end a word: it follows a space, or a letter follows it."""
    return not text[at - 1].strip() or _ENDED.match(text, at + 1) is None
