r"""The one place where text reaches a terminal, a pipe or JSON.

A file, a tag, a caption, a model or a library may come from a stranger, and a terminal obeys some
characters: they move its cursor, rename its window, or turn "gpj.exe" into "exe.jpg". So `echo`
writes none of them; it writes `\x1b` instead. The sequences of our own that style text are
made by `styled` and `link` with `ESC`, which text from elsewhere can't contain, as it is random.
An address is written without its password, also in JSON.
Whatever else writes to the standard streams in this process (click, warnings, other packages) goes
through `guarded`, which lets no sequence through.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import click

from pixseek.redaction import without_passwords

#: Stands for the escape character of our own sequences until they are written.
ESC = f"\x1b{os.urandom(8).hex()}"

#: Printable by Unicode, and yet they show nothing: fillers, selectors without anything to select.
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"
#: Variation selectors: one shows an emoji in colour, more would only hide something.
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
#: Between other letters than ASCII's, these join or part them: Persian, emoji.
_JOINERS = "\u200c\u200d"
#: Not printable by Unicode, and yet shown: the space of Chinese and Japanese names.
_SHOWN = "\u3000"

#: All of these: a printable text without them is as it looks.
_DOUBTED = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0").union(
    map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)

#: Compiled at its first use, which few texts come to.
_HIDDEN = (
    f"[{_BLANK}]|(?<=[{_SELECTORS}])[{_SELECTORS}]"
    f"|(?:(?<![^\x00-\x7f])|(?<=[{_JOINERS}]))[{_JOINERS}]"
)


def visible(text: str) -> str:
    r"""Return a text in one line, with what a terminal obeys or nobody sees escaped: `\n`, `\x1b`.

    Control characters, marks of direction, invisible and unassigned characters, and bytes of a name
    that are not valid text. What joins letters in Persian and emoji stays.
    """
    return _shown(text, _escaped)


def field(text: str) -> str:
    r"""Return a text as a field of a line for programs: `visible`, with `\` written as `\\`.

    So a tab or a line break in it ends neither field nor line, and no two texts look the same. On
    Windows, where `\` parts folders and no name can hold one, it stays as it is.
    """
    return visible(text if os.sep == "\\" else text.replace("\\", "\\\\"))


def lines(text: str) -> str:
    """Return a text whose line breaks and tabs are our own: everything else as in `visible`."""
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))


def _shown(text: str, escaped: Callable[[str], str]) -> str:
    if text.isprintable() and _DOUBTED.isdisjoint(text):
        return text
    return "".join(
        c if c.isprintable() or c in _JOINERS or c in _SHOWN else escaped(c)
        for c in re.sub(_HIDDEN, lambda found: escaped(found[0]), text)
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


# ------------------------------------------------------------------ our own sequences


def styled(text: str, **style: Any) -> str:
    """Return a text in a style of `click.style`, for `echo`; the text itself is escaped."""
    return click.style(written(text), **style).replace("\x1b", ESC)


def link(text: str, address: str) -> str:
    """Return text that opens an address, in terminals with OSC 8.

    Args:
        text: to show.
        address: with everything but ASCII's printable characters percent-encoded.
    """
    assert address.isascii() and address.isprintable(), "as a URI is"
    return f"{ESC}]8;;{address}{ESC}\\{text}{ESC}]8;;{ESC}\\"


# ------------------------------------------------------------------ writing


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Write a text, in which only our own sequences reach a terminal.

    Line breaks and tabs in it are written, so text from elsewhere goes through `visible` before.

    Args:
        text: see `styled` and `link`.
        err: write it to standard error.
        nl: end the line.
    """
    click.echo(written(text), file=unguarded(sys.stderr if err else sys.stdout), nl=nl)


def replace_line(text: str) -> None:
    """Write a line to a terminal's standard error that the next one replaces; "" clears it."""
    line = f"\r\x1b[K{visible(without_passwords(text))}"
    # Also without colours (NO_COLOR), which click takes for "without sequences".
    click.echo(line, file=unguarded(sys.stderr), nl=False, color=True)


def written(text: str) -> str:
    """Return a text as `echo` writes it to a terminal: safe, and without passwords of addresses."""
    return "\x1b".join(map(lines, without_passwords(text).split(ESC)))


def confirm(question: str) -> None:
    """Ask a question on standard error.

    Raises:
        click.Abort: the answer is no, or there is none.
    """
    if not agreed(question):
        raise click.Abort


def agreed(question: str) -> bool:
    """Ask a question on standard error, and return whether the answer is yes."""
    return click.confirm(lines(question), err=True)


def write_json(value: Any, *, in_one_line: bool = False) -> None:
    r"""Write a JSON object to standard output.

    Characters beyond ASCII are written as they are, if standard output can write them, except those
    that a terminal obeys or nobody sees: JSON has `\u009b` for them, which parsers read.
    """
    import json

    plain = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, indent=None if in_one_line else 2, ensure_ascii=not plain)
    # Only strings hold such characters: JSON itself is ASCII.
    text = "\n".join(
        _shown(line, lambda c: json.dumps(c)[1:-1]) for line in without_passwords(text).split("\n")
    )
    click.echo(text, file=unguarded(sys.stdout))


def write_paths(paths: Iterable[str], *, null: bool = False) -> int:
    """Write paths to standard output, one a line, for programs; return how many.

    They are written as they are, byte by byte, since a name need not be valid text; on a terminal
    they are `visible` instead.

    Args:
        paths: they may be computed while they are written.
        null: end each with NUL instead of a line break, and write it as it is in any case.
    """
    count = 0
    if sys.stdout.isatty() and not null:
        for path in paths:
            echo(visible(path))
            count += 1
        return count
    sys.stdout.flush()
    end = b"\0" if null else b"\n"
    for path in paths:
        # Not by click, which flushes each line.
        sys.stdout.buffer.write(os.fsencode(without_passwords(path)) + end)
        count += 1
    sys.stdout.buffer.flush()
    return count


# ------------------------------------------------------------------ what others write


class _Guard:
    """A standard stream that lets no sequence through. Its `buffer` takes bytes as they are."""

    def __init__(self, stream: TextIO) -> None:
        self.unguarded = stream

    def write(self, text: str) -> int:
        self.unguarded.write(lines(without_passwords(text)))
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def unguarded(stream: TextIO) -> TextIO:
    """Return what is behind a standard stream, for pictures and what draws the progress."""
    return stream.unguarded if isinstance(stream, _Guard) else stream


def guard() -> None:
    """Let nothing that a terminal obeys through the standard streams, to the end of the process."""
    sys.stdout, sys.stderr = (
        cast("TextIO", each if isinstance(each, _Guard) else _Guard(each))
        for each in (sys.stdout, sys.stderr)
    )


@contextmanager
def guarded() -> Iterator[None]:
    """Guard the standard streams inside the block."""
    before = sys.stdout, sys.stderr
    guard()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
