"""`pixseek help`: the help of a command or of a topic that concerns all; `pixseek version`."""

from __future__ import annotations

import click

from pixseek import __version__
from pixseek.cli.exit_codes import EXIT_CODES
from pixseek.cli.options import Command, CommandGroup, common_options, write_options
from pixseek.cli.output import echo

#: Topics besides the commands.
TOPICS = ("options", "exit-codes")


def _known(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return the name, or fail with the known ones."""
    from pixseek.errors import unknown

    known = (*TOPICS, *_program(ctx).modules)
    if value is not None and value not in known:
        raise click.UsageError(f"Unknown topic {value!r}.\n{unknown('topic', value, known)}", ctx)
    return value


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in (*_program(ctx).modules, *TOPICS) if name.startswith(incomplete)]


@click.command(
    "help",
    cls=Command,
    section="Try it, set it up",
    short_help="Explain a command, the common options, or the exit codes.",
    hidden=True,  # the last line of the list names it, and the list of commands is full
    examples=(
        ("pixseek help search", "the same as pixseek search --help"),
        ("pixseek help options", "the options of all commands"),
        ("pixseek help exit-codes", "for scripts"),
    ),
)
@click.argument("topic", required=False, callback=_known, shell_complete=_complete,
                metavar="[COMMAND|TOPIC]")  # fmt: skip
@click.pass_context
def help_(ctx: click.Context, topic: str | None) -> None:
    """Explain a command, or a topic: options (of all commands) or exit-codes."""
    program = _program(ctx)
    formatter = ctx.make_formatter()
    if topic is None:
        echo(program.get_help(ctx.find_root()))
        return
    if topic == "options":
        common = common_options()
        for option in common:
            assert isinstance(option, click.Option)
            option.hidden = False
        write_options(
            "Options, before or after the command",
            [*common, *(each for each in program.params if each.name == "version")],
            ctx,
            formatter,
            with_help=True,
        )
    elif topic == "exit-codes":
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(row.code), row.meaning) for row in EXIT_CODES])
    else:
        command = program.get_command(ctx, topic)
        assert command is not None, "the type of the argument knows the commands"
        echo(command.get_help(click.Context(command, ctx.parent, topic)))
        return
    echo(formatter.getvalue().strip())


@click.command(
    cls=Command,
    section="Try it, set it up",
    hidden=True,  # every program has --version
    short_help="Print the version of pixseek.",
    examples=(("pixseek version", "the same as pixseek --version"),),
)
def version() -> None:
    """Print the version of pixseek; `pixseek doctor` tells the versions of what it uses."""
    echo(f"pixseek {__version__}")


def _program(ctx: click.Context) -> CommandGroup:
    program = ctx.find_root().command
    assert isinstance(program, CommandGroup), "help is one of its commands"
    return program
