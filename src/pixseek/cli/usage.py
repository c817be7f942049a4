"""What is said of command lines that can't be understood: unknown options, and contradictions."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from typing import Literal

import click
from click.core import ParameterSource

from pixseek import files
from pixseek.cli.hints import quoted

#: What other programs call an option, by its name here.
_CALLED = {
    "-k": ("-n", "--limit", "--top", "--top-k", "--topk", "--max", "--number", "--count", "--num"),
    "--not": ("--exclude", "--without", "--except"),
    "--library": ("--lib", "--db", "--database", "--index"),
    "--queries": ("--batch", "--from-file"),
    "--where": ("--filter",),
    "-0": ("--null", "--print0"),
    "--yes": ("--force", "-f"),
    "--json": ("--format", "-j"),
}

#: What `--not` takes: words, and nothing that means something in the language of the search box.
_PLAIN = r"[^\W\d][\w' -]*"


def unknown_option(
    error: click.NoSuchOption, ctx: click.Context, arguments: Sequence[str]
) -> click.UsageError:
    """Return what to say of an unknown option: as it was typed, with what may have been meant.

    Args:
        error: as click raises it, which names one letter of `-snow`.
        ctx: of the command.
        arguments: the command line after the name of the command.
    """
    typed = _typed(error.option_name, arguments)
    name = typed.split("=", 1)[0]
    known = _names(ctx)
    said = f"No such option: {typed}"
    advice = ""
    for own, others in _CALLED.items():
        # `-n5` is `-n 5`.
        if own in known and (name in others or re.sub(r"\d+$", "", name) in others):
            advice = f"It is called {_called(own, ctx)} here."
    if not advice and not name.startswith("--") and _takes_query(ctx):
        return click.UsageError(f"{said}\n{left_out(typed, ctx, arguments)}", ctx)
    if not advice:
        import difflib

        near = [each for each in known if each.lower() == name.lower()]
        near = near or difflib.get_close_matches(name, known, n=3, cutoff=0.7)
        advice = f"Did you mean {' or '.join(near)}?" if near else ""
    return click.UsageError(f"{said}\n{advice}".rstrip(), ctx)


def left_out(typed: str, ctx: click.Context, arguments: Sequence[str]) -> str:
    """Return how to leave something out of a search that was typed as an option, `-snow`.

    Args:
        typed: the argument.
        ctx: of the command.
        arguments: the command line after the name of the command.
    """
    words = typed.lstrip("-")
    known = _names(ctx)
    query: list[str] = []
    others: list[str] = []
    for argument, role in zip(arguments, roles(ctx.command, arguments), strict=True):
        if role == "word" or (
            role == "option" and (argument == typed or _is_left_out(argument, known))
        ):
            query.append(argument)
        elif argument != "--":
            others.append(argument)
    if len(query) > 1:
        query = [f'-"{each[1:]}"' if each[0] == "-" and " " in each else each for each in query]
    # A query that begins with a minus would be read as options again.
    query.sort(key=lambda each: each.startswith("-"))
    whole = " ".join(query)
    if whole.startswith("-"):
        if "--not" in known and all(re.fullmatch(r"-[^\W\d][\w'-]*", each) for each in query):
            return "To leave out what shows it, say what to search for: 'a dog -snow'"
        line = " ".join(map(quoted, [*others, "--", whole]))
        return f"To begin with a minus, write -- first:\n  pixseek {ctx.info_name} {line}"
    lines = [[whole, *others]]
    # `-0.5*night` is a weight and `-tag:draft` a filter, which --not does not know.
    plain = re.fullmatch(_PLAIN, words) and sum(each[0] == "-" for each in query) == 1
    if plain and "--not" in known:
        rest = [each for each in arguments if each not in (typed, "--")]
        lines.append([*rest, "--not", words])
    ways = "Put the query in quotes" + (", or use --not" if len(lines) > 1 else "")
    return "\n".join(
        [
            f"To leave out what shows it: {ways[0].lower()}{ways[1:]}:",
            *(f"  pixseek {ctx.info_name} {' '.join(map(quoted, line))}" for line in lines),
        ]
    )


def _is_left_out(argument: str, known: Collection[str]) -> bool:
    """Return whether an argument that looks like an option is something to leave out."""
    return argument[:2] not in (*known, "--")


def check_clusters(ctx: click.Context, arguments: Sequence[str]) -> None:
    """Fail if a word to leave out, such as `-night`, would be read as options of one letter each.

    `-k5`, `-0k5` and the name of a library or model right behind its letter are options.

    Raises:
        click.UsageError: see above.
    """
    if not _takes_query(ctx):
        return
    for argument, role in zip(arguments, roles(ctx.command, arguments), strict=True):
        if role != "option" or argument.startswith("--") or len(argument) < 3:
            continue
        letter, value = argument[1], argument[2:].removeprefix("=")
        if letter == "0" and value[0] == "k":
            letter, value = "k", value[1:]
        if letter == "k" and re.fullmatch(r"[-+]?\d*", value):
            continue
        if letter in "Lm" and _names_something(letter, value):
            continue
        if f"-{letter}" not in _names(ctx):
            raise unknown_option(click.NoSuchOption(argument), ctx, arguments)
        said = f"No such option: {argument}\n{left_out(argument, ctx, arguments)}"
        if letter in "Lm":
            kind = {"L": "library", "m": "model"}[letter]
            said += f"\nTo name a {kind}: -{letter} {quoted(value)}"
        raise click.UsageError(said, ctx)


def _takes_query(ctx: click.Context) -> bool:
    from pixseek.cli.options import Command

    return isinstance(ctx.command, Command) and ctx.command.takes_query


def _names_something(letter: str, value: str) -> bool:
    """Return whether a library or model may be meant."""
    if any(each in value for each in "/\\.~") or os.path.exists(value):
        return True
    if letter == "L":
        return False
    from pixseek.models import names

    return value.partition(":")[0] in names()


def roles(
    command: click.Command, arguments: Sequence[str]
) -> list[Literal["word", "option", "value"]]:
    """Return for each argument what it is: a word, an option, or the value of an option."""
    takes_value = {
        name
        for param in command.params
        if isinstance(param, click.Option) and not param.is_flag
        for name in param.opts
    }
    found: list[Literal["word", "option", "value"]] = []
    only_words = False
    for argument in arguments:
        if only_words:
            found.append("word")
        elif found and found[-1] == "option" and arguments[len(found) - 1] in takes_value:
            found.append("value")
        elif argument.startswith("-") and len(argument) > 1:
            found.append("option")
            only_words = argument == "--"
        else:
            found.append("word")
    return found


def check_alone(ctx: click.Context, *groups: Collection[str]) -> None:
    """Fail if the command line gives two options that contradict each other.

    Args:
        ctx: of the command.
        *groups: parameters, by name, of which at most one can be given.

    Raises:
        click.UsageError: two are given.
    """
    by_name = {param.name: param for param in ctx.command.params}
    for group in groups:
        given = [
            each
            for each in group
            if ctx.get_parameter_source(each)
            not in (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
            and ctx.params.get(each) not in (None, False, (), "")
        ]
        if len(given) > 1:
            one, other = (by_name[each].opts[-1] for each in given[:2])
            raise click.UsageError(f"{one} can't be combined with {other}: choose one.", ctx)


def check_writable(name: str, option: str) -> None:
    """Fail if a file that the command line names can't be written, before any work is done.

    Args:
        name: of the file.
        option: that named it, for the message.

    Raises:
        click.BadParameter: it can't be written.
    """
    try:
        files.check_replaceable(os.path.expanduser(name))
    except OSError as error:
        raise unwritable(name, option, error) from error


def unwritable(name: str, option: str, error: OSError) -> click.BadParameter:
    """Return what to say of a file that can't be written."""
    from pixseek.cli.wording import visible

    return click.BadParameter(
        f"{visible(name)} can't be written ({error.strerror or error}). Choose another file.",
        param_hint=option,
    )


def _names(ctx: click.Context) -> list[str]:
    """Return the names of all options of a command."""
    return [each for param in ctx.command.params for each in (*param.opts, *param.secondary_opts)]


def _typed(option: str, arguments: Sequence[str]) -> str:
    """Return the argument in which click found an unknown option."""
    for argument in arguments:
        if argument == "--":
            break
        if argument.split("=", 1)[0] == option:
            return argument
        cluster = argument.startswith("-") and not argument.startswith("--")
        if cluster and not option.startswith("--") and option[1:] in argument[1:]:
            return argument
    return option


def _called(own: str, ctx: click.Context) -> str:
    for param in ctx.command.params:
        if own in param.opts and isinstance(param, click.Option):
            value = "" if param.is_flag else f" {param.make_metavar(ctx)}"
            return f"{own}{value}"
    return own
