"""Texts against patterns with wildcards, in time that grows with the length of the text.

A regular expression of several `.*` tries every way to share a text among them, so a name of 60
letters can take hours. Here each piece between two stars is looked for once, as far to the left as
possible, which leaves the most room for those after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache


class Wildcard(Enum):
    """What a piece of a pattern stands for if it is not a text."""

    ONE = "?"
    ANY = "*"


#: A longer block is searched for by bits: an expression may try all of it at each place.
_LONG = 64


def pieces(glob: str) -> tuple[str | Wildcard, ...]:
    """Return a pattern of `*` and `?` in pieces; stars in a row are one."""
    return tuple(
        Wildcard.ANY if each[0] == "*" else Wildcard.ONE if each == "?" else each
        for each in re.findall(r"\*+|\?|[^*?]+", glob)
    )


@lru_cache(maxsize=256)
def matcher(pattern: tuple[str | Wildcard, ...]) -> Callable[[str], bool]:
    """Return the test whether a whole text fits a pattern.

    Args:
        pattern: texts, which stand for themselves, and wildcards.
    """
    match pattern:
        case (Wildcard.ANY, str(part), Wildcard.ANY):  # as most are
            return lambda text: part in text
    begun: list[list[str | Wildcard]] = [[]]
    for piece in pattern:
        if piece is Wildcard.ANY:
            begun.append([])
        else:
            begun[-1].append(piece)
    if len(begun) == 1:
        return _answers(_expression(begun[0]))
    first, *middle, last = begun
    if max(map(_size, middle), default=0) <= _LONG:
        # The leftmost place of each block is final, and the last one ends where the text does.
        blocks = "".join(f"(?>.*?{_expression(block)})" for block in middle if block)
        return _answers(f"{_expression(first)}{blocks}.{{{_size(last)},}}+(?<={_expression(last)})")
    beginning, end = re.compile(_expression(first), re.DOTALL), _answers(_expression(last))
    ends = [_end_of(block) for block in middle if block]

    def fits(text: str) -> bool:
        begun = beginning.match(text)
        until = len(text) - _size(last)
        if begun is None or until < begun.end() or not end(text[until:]):
            return False
        at = begun.end()
        for leftmost in ends:
            at = leftmost(text, at, until)
            if at < 0:
                return False
        return True

    return fits


def _size(block: list[str | Wildcard]) -> int:
    return sum(len(piece) if isinstance(piece, str) else 1 for piece in block)


def _expression(block: list[str | Wildcard]) -> str:
    return "".join(re.escape(piece) if isinstance(piece, str) else "." for piece in block)


def _answers(expression: str) -> Callable[[str], bool]:
    fullmatch = re.compile(expression, re.DOTALL).fullmatch
    return lambda text: fullmatch(text) is not None


def _end_of(block: list[str | Wildcard]) -> Callable[[str, int, int], int]:
    """Return what finds the end of the leftmost place of a block between two places, or -1.

    It reads a number whose bit n says that the block's first n + 1 characters fit.
    """
    size = _size(block)
    of_any = (1 << size) - 1
    own: dict[str, int] = {}
    at = 0
    for piece in block:
        if isinstance(piece, str):
            of_any ^= ((1 << len(piece)) - 1) << at
            for offset, character in enumerate(piece, at):
                own[character] = own.get(character, 0) | 1 << offset
        at += len(piece) if isinstance(piece, str) else 1
    fits = {character: bits | of_any for character, bits in own.items()}
    whole = 1 << (size - 1)

    def leftmost(text: str, begin: int, end: int) -> int:
        state = 0
        for at in range(begin, end):
            state = (state << 1 | 1) & fits.get(text[at], of_any)
            if state & whole:
                return at + 1
        return -1

    return leftmost
