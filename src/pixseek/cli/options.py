"""What all commands share: their options, the look of their help, opening the library."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from pixseek.cli.exit_codes import EXIT_CODES, PIPE_CLOSED, UNEXPECTED, code_of
from pixseek.errors import PixseekError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from pixseek.library import Library

#: A command with what it is for.
Examples = Sequence[tuple[str, str]]

_SETTINGS = "pixseek.settings"

# ------------------------------------------------------------------ options before and after


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    # The command's own are handled after the group's, so what stands later on the line counts.
    if value:
        ctx.meta.setdefault(_SETTINGS, {})[param.name] = value


def _complete_model(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from pixseek.models import names

    found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
    return [*found, CompletionItem(incomplete, type="dir")]


def common_options() -> list[click.Parameter]:
    """Return the options that may stand before a command and after it."""
    return [
        click.Option(
            ["-L", "--library"],
            type=click.Path(file_okay=False),
            metavar="DIR",
            help="The library. Default: one beside the photos here or above, else the one in "
            "your data folder. [env: PIXSEEK_LIBRARY]",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["-m", "--model"],
            metavar="NAME|DIR",
            help="The model: a name, a folder, or a repository of the hub. Default: the library's. "
            "[env: PIXSEEK_MODEL]",
            expose_value=False,
            callback=_remember,
            shell_complete=_complete_model,
        ),
        click.Option(
            ["--offline"],
            is_flag=True,
            help="Never touch the network. [env: PIXSEEK_OFFLINE]",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["--threads"],
            type=click.IntRange(min=1),
            metavar="N",
            help="How many threads decode and embed. Default: one for each processor. "
            "[env: PIXSEEK_THREADS]",
            expose_value=False,
            callback=_remember,
        ),
    ]


def settings() -> dict[str, Any]:
    """Return the common options that were given on this command line, by name."""
    given = click.get_current_context().meta.get(_SETTINGS, {})
    return {
        name: given[name] for name in ("library", "model", "offline", "threads") if given.get(name)
    }


def open_library(*, create: bool = False, **more: Any) -> Library:
    """Open the library that the command line and the settings name.

    Args:
        create: make it if there is none.
        **more: other arguments of `Library.open`; they go before the command line.
    """
    from pixseek.library import Library

    given = {**settings(), **more}
    return Library.open(
        given.pop("library", None), given.pop("model", None), create=create, **given
    )


# ------------------------------------------------------------------ the look of help


class Command(click.Command):
    """A command that takes the common options and shows examples.

    Attributes:
        section: heading it stands under in `pixseek --help`.
        examples: command lines, each with what it does.
    """

    def __init__(
        self, *arguments: Any, section: str = "", examples: Examples = (), **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self.section = section
        self.examples = examples
        self.own_params = list(self.params)
        self.params = [*self.params, *common_options()]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, the command's own options, and the common ones."""
        write_examples(self.examples, formatter)
        _write_options("Options", self.own_params, ctx, formatter)
        _write_options(
            "Options of all commands", self.params[len(self.own_params) :], ctx, formatter
        )


class CommandGroup(click.Group):
    """All commands. The one place where errors become messages and exit codes."""

    def __init__(
        self,
        *arguments: Any,
        modules: Mapping[str, str],
        examples: Examples = (),
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self.modules = modules
        self.examples = examples
        self.params = [*self.params, *common_options()]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are needed."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing its module; None where there is none of that name."""
        if cmd_name not in self.modules:
            return None
        module = importlib.import_module(f"pixseek.cli.{self.modules[cmd_name]}")
        # A name that is a word of Python has an underscore there: `import_`.
        found: click.Command = getattr(module, cmd_name, None) or getattr(module, f"{cmd_name}_")
        return found

    def all_commands(self, ctx: click.Context) -> dict[str, click.Command]:
        """Return all commands by name, in their order."""
        found = {name: self.get_command(ctx, name) for name in self.modules}
        return {name: command for name, command in found.items() if command is not None}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples, commands by section, options and exit codes."""
        write_examples(self.examples, formatter)
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.all_commands(ctx).items():
            rows = sections.setdefault(getattr(command, "section", ""), [])
            rows.append((name, command.get_short_help_str(100)))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)
        _write_options("Options, before or after the command", self.params, ctx, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(row.code), row.meaning) for row in EXIT_CODES])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; say how to search to those who left `search` out."""
        name = args[0]
        if name not in self.modules and not ctx.resilient_parsing and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, self.modules, n=1)
            hint = f"Did you mean: pixseek {near[0]}\n" if near else ""
            words = " ".join(args)
            raise click.UsageError(
                f'There is no command {name!r}.\n{hint}To search: pixseek search "{words}"', ctx
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; let no exception out that is not for click."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a closed pipe shows here, and not after the end
            return result
        except PixseekError as error:
            if _debugging():
                raise
            show_error(error)
            ctx.exit(code_of(error))
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            click.echo("\nStopped.", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            # What reads us has seen enough (`| head`). What is still buffered goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(PIPE_CLOSED)
        except Exception as error:
            if _debugging():
                raise
            _say(
                f"Something went wrong that should not: {type(error).__name__}: {error}",
                "This is a bug in pixseek. Run the command again with PIXSEEK_DEBUG=1 set, and "
                "report what it prints.",
            )
            ctx.exit(UNEXPECTED)


def write_examples(examples: Examples, formatter: click.HelpFormatter) -> None:
    """Write a section of command lines, each with what it does."""
    with formatter.section("Examples"):
        formatter.write_dl(examples, col_max=44)


def _write_options(
    title: str,
    params: Sequence[click.Parameter],
    ctx: click.Context,
    formatter: click.HelpFormatter,
) -> None:
    rows = [row for row in (param.get_help_record(ctx) for param in params) if row]
    if title.startswith("Options") and not title.endswith("all commands"):
        rows.append(("-h, --help", "Show this and exit."))
    with formatter.section(title):
        formatter.write_dl(rows)


# ------------------------------------------------------------------ messages


def show_error(error: PixseekError) -> None:
    """Say on standard error what failed, on what, and what to do next."""
    head = f"{error.problem}: {error.subject}" if error.subject else error.problem
    _say(head[:1].upper() + head[1:], error.advice)


def warn(message: str) -> None:
    """Say on standard error what the user should know."""
    click.echo(f"{click.style('Note:', fg='yellow', bold=True)} {message}", err=True)


def _say(head: str, advice: str) -> None:
    from pixseek.cli.wording import visible

    lines = [visible(line) for line in head.splitlines()] or [""]
    click.echo(f"{click.style('Error:', fg='red', bold=True)} " + "\n".join(lines), err=True)
    if advice:
        click.echo(advice, err=True)


def _debugging() -> bool:
    return os.environ.get("PIXSEEK_DEBUG", "") not in ("", "0")
