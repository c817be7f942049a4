"""The cleaning of texts as normalizers of the library tokenizers, for programs without pixseek.

`tokens.clean` is the definition; this does the same within a `tokenizer.json`. Of HTML's references
it knows the 252 names of HTML 4, and the numbers of the same characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.entities import codepoint2name, html5
from typing import Any

from pixseek.encoders.inputs.tokens import CONTROL, PUNCTUATION, Cleaning, plain_forms

#: What Python's `str.split` splits at, as a class of characters (not as escapes: the library reads
#: those from 80 up as bytes).
_SPACE = "[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"

#: Python's `lower` has a form of its own for a sigma at the end of a word.
_LAST_SIGMA = r"(?<=[\p{L}\p{M}])Σ(?!['.:·’\p{M}]*\p{L})"

_AMPERSAND = "&(?:amp;|#0*38;|#[xX]0*26;)+|&amp"


def normalizers_of(how: Cleaning) -> list[Any]:
    """Return the `tokenizers.normalizers` that clean a text, in order.

    There are none for "lower", which `tokens.Tokens` adds itself.
    """
    if how in ("none", "lower"):
        return []
    from tokenizers import Regex, normalizers

    def replace(pattern: str, by: str) -> Any:
        return normalizers.Replace(Regex(pattern), by)

    found = [replace(CONTROL, "")]
    found += [normalizers.Replace(chr(code), by) for code, by in plain_forms().items()]
    found += [normalizers.NFC(), replace(_AMPERSAND, "&")]
    found += [replace(pattern, by) for pattern, by in _references()]
    if how == "canonical":
        found += [normalizers.Replace("_", " "), replace(f"[{re.escape(PUNCTUATION)}]", "")]
    found += [replace(f"{_SPACE}+", " "), normalizers.Strip()]
    if how != "whitespace":
        found += [replace(_LAST_SIGMA, "ς"), normalizers.Lowercase()]
    return found


def _references() -> Iterator[tuple[str, str]]:
    """Yield patterns for HTML's references to a character, by name or number, and the character.

    As browsers do, `html.unescape` takes numbers, and the names of Latin 1, without their semicolon
    too. Names come before those that they begin with.
    """
    names = {chr(code): name for code, name in codepoint2name.items() if code != ord("&")}
    for character, name in sorted(names.items(), key=lambda item: len(item[1]), reverse=True):
        yield f"&{name};{'?' if name in html5 else ''}", character
    for character in sorted({*map(chr, range(32, 127)), *names}):
        number = ord(character)
        yield f"&#(?:0*{number}(?![0-9])|[xX]0*(?i:{number:x})(?![0-9a-fA-F]));?", character
