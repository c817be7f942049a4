"""Commands that messages suggest: they reach the library and use the options of this command line.

Parts below the command line know nothing of its options: they advise `pixseek index ~/Pictures`.
What is shown is `pixseek index --library photos.lib ~/Pictures` if that is the library in use.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pixseek.library import Library

#: Where the common options of a command line are kept, in the `meta` of its contexts.
SETTINGS = "pixseek.settings"

#: The commands that use each common option. `reindex --model` names another model, and a model is
#: not downloaded while offline.
_USED_BY = {
    "library": frozenset({
        "index", "search", "similar", "list", "show", "classify", "tag", "save", "saved", "status",
        "failures", "remove", "forget", "reindex", "duplicates", "export", "import", "doctor",
        "serve", "embed",
    }),
    "model": frozenset({"index", "search", "similar", "classify", "tag", "import", "doctor"}),
    "offline": frozenset({"index", "search", "similar", "classify", "tag", "duplicates"}),
    "threads": frozenset({"index", "reindex"}),
}  # fmt: skip

#: A command: after a colon or alone in its line it is the rest of the line, else one or two words.
#: Compiled at its first use, which most runs don't come to.
_COMMAND = (
    r"(?m)(?:(?<=: )|^(?P<indent> *))pixseek (?P<name>[a-z]+)(?![a-z'-])(?P<rest>.*?)(?=[.)]*$)"
    r"|\bpixseek (?P<inside>[a-z]+)(?![a-z'-])(?=(?P<after>.*))"
)


def hinted(text: str) -> str:
    """Return a text whose `pixseek` commands have the common options given on this command line.

    Args:
        text: a message, or a command.
    """
    given = settings()
    if not given:
        return text

    def completed(found: re.Match[str]) -> str:
        command = found["name"] or found["inside"]
        options = ""
        for name, users in _USED_BY.items():
            there = f"--{name}" in (found["rest"] or found["after"] or "")
            if given.get(name) and command in users and not there:
                options += f" --{name}"
                options += "" if given[name] is True else f" {quoted(str(given[name]))}"
        before, dashes, words = found[0].partition(" -- ")
        return f"{before}{options}{dashes}{words}"

    return re.sub(_COMMAND, completed, text)


def named_library(library: Library) -> str:
    """Return the option that a suggested command needs to find this library; "" for the default.

    A portable library is found from below its folder only.
    """
    from pathlib import Path

    from pixseek.config import PORTABLE_NAME

    chosen = settings().get("library")
    beside = library.path.parent
    if not chosen and library.path.name == PORTABLE_NAME:
        chosen = None if Path.cwd().is_relative_to(beside) else str(beside)
    return f" --library {quoted(chosen)}" if chosen else ""


def settings() -> dict[str, Any]:
    """Return the common options given on this command line, by name."""
    ctx = click.get_current_context(silent=True)
    given = {} if ctx is None else ctx.meta.get(SETTINGS, {})
    names = ("library", "model", "offline", "allow_private", "threads")
    return {name: given[name] for name in names if given.get(name)}


def is_trusted() -> bool:
    """Return whether this command line says that the library is trusted."""
    ctx = click.get_current_context(silent=True)
    return bool(ctx is not None and ctx.meta.get(SETTINGS, {}).get("trust"))


def quoted(argument: str) -> str:
    """Return an argument quoted for a shell."""
    if os.name == "nt":
        return f'"{argument}"' if " " in argument else argument
    import shlex

    from pixseek.cli.output import visible

    if visible(argument) == argument:
        return shlex.quote(argument)
    # So that a name with a line break or with bytes that are not text can be copied, too: bash and
    # zsh read these escapes.
    return f"$'{''.join(c if visible(c) == c else _escape(ord(c)) for c in _guarded(argument))}'"


def _guarded(argument: str) -> str:
    return argument.replace("\\", "\\\\").replace("'", "\\'")


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not text
        return f"\\x{code & 0xFF:02x}"
    return (
        f"\\x{code:02x}"
        if code < 0x80
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )
