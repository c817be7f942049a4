"""What all commands share: common options, the layout of help, errors, opening the library."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from pixseek.cli import hints
from pixseek.cli.exit_codes import PIPE_CLOSED, UNEXPECTED, code_of
from pixseek.cli.hints import settings
from pixseek.cli.output import echo, guarded, styled, visible
from pixseek.errors import (
    ConfigError,
    PixseekError,
    SourceError,
    StorageError,
    UntrustedLibraryError,
)
from pixseek.redaction import redacted, scrub

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from pixseek.library import Library

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

#: Command lines, each with what it does.
Examples = Sequence[tuple[str, str]]

#: Errors of a file system that takes no more.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

#: What click adds to the help of a number: "[default: 10; x>=1]", "[0<=x<=1]".
_RANGE = re.compile(r"  \[[\d.-]*<?=?x[<>=]+[\d.]*\]|; [\d.-]*<?=?x[<>=]+[\d.]*(?=\])")

# ------------------------------------------------------------------ common options


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    # A command's options are handled after the group's, so the later one on the line wins.
    if value:
        ctx.meta.setdefault(hints.SETTINGS, {})[param.name] = value


def _complete_model(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from pixseek.models import names

    usable = (name for name in names() if name.startswith(incomplete) and visible(name) == name)
    found = [CompletionItem(name) for name in usable]
    return [*found, CompletionItem(incomplete, type="dir")]


def common_options() -> list[click.Parameter]:
    """Return the options that are allowed before and after the name of a command."""
    return [
        click.Option(
            ["-L", "--library"],
            type=click.Path(file_okay=False),
            metavar="DIR",
            help="Library to use. Default: a .pixseek folder here or above, else the one in your "
            "data folder. [env: PIXSEEK_LIBRARY]",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["-m", "--model"],
            metavar="NAME|DIR",
            help="Model to use: a name, a folder, or a repository on the hub. Default: the "
            "library's. [env: PIXSEEK_MODEL]",
            expose_value=False,
            callback=_remember,
            shell_complete=_complete_model,
        ),
        click.Option(
            ["--offline"],
            is_flag=True,
            help="Never use the network. [env: PIXSEEK_OFFLINE]",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["--threads"],
            type=click.IntRange(min=1),
            metavar="N",
            help="Threads that decode and embed images. Default: one per processor. "
            "[env: PIXSEEK_THREADS]",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["--trust"],
            is_flag=True,
            help="Open the library even if it comes from elsewhere, as pixseek trust allows it.",
            expose_value=False,
            callback=_remember,
            hidden=True,  # errors name what to do; pixseek help options lists it
        ),
    ]


def private_option() -> Callable[[_Decorated], _Decorated]:
    """Return the option of commands that fetch an example by its URL."""
    return click.option(
        "--allow-private",
        is_flag=True,
        help="Fetch a URL also from this machine or a private network. [env: "
        "PIXSEEK_ALLOW_PRIVATE]",
        expose_value=False,
        callback=_remember,
    )


def open_library(*, create: bool = False, **more: Any) -> Library:
    """Open the library that the command line or the settings name.

    Args:
        create: create it if it does not exist.
        **more: other arguments of `Library.open`; they override the command line.

    Raises:
        ConfigError: its engine would end with this process.
        UntrustedLibraryError: it comes from elsewhere, and the user does not trust it.
    """
    from pixseek.cli.waits import waits
    from pixseek.library import Library

    given = {"trust": hints.is_trusted(), **settings(), **more}
    path, model = given.pop("library", None), given.pop("model", None)
    check_lasts(given.get("engine"))
    said = waits()

    def opened(**how: Any) -> Library:
        with said.waiting("Opening the library"):
            return Library.open(path, model, create=create, on_upgrade=said.upgrade, **how)

    try:
        library = opened(**given)
    except UntrustedLibraryError as error:
        from pixseek.cli.trust import ask, may_ask

        if not may_ask():
            raise
        if not ask(error):
            # What it would do stands in the question.
            raise UntrustedLibraryError(error.problem, error.folder, ()) from None
        library = opened(**{**given, "trust": True})
    try:
        check_lasts(library.opened.address)  # a program may have made it
    except ConfigError:
        library.close()
        raise
    library.on_wait, library.on_download = said.wait, said.download
    return library


def check_lasts(engine: str | None) -> None:
    """Check that an engine outlives this process.

    Raises:
        ConfigError: it is in memory.
    """
    if engine is not None and engine.lower().startswith("memory:"):
        raise ConfigError(
            "an engine in memory ends with the command, and all it holds would be lost",
            engine,
            "Name a folder or a server, such as postgresql://host/photos. memory:// is for "
            "programs: pixseek.open(..., engine='memory://NAME')",
        )


# ------------------------------------------------------------------ the layout of help


class Command(click.Command):
    """A command that takes the common options and shows examples.

    Attributes:
        section: its heading in `pixseek --help`.
        examples: command lines, each with what it does.
        takes_query: whether its arguments are words or filters, so that `-night` among them is
            none of the options `-n ight`, as which it would be understood.
    """

    def __init__(
        self,
        *arguments: Any,
        section: str = "",
        examples: Examples = (),
        takes_query: bool = False,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self.takes_query = takes_query
        self.section = section
        self.examples = examples
        self.own_params = list(self.params)
        own = {option for param in self.params for option in param.opts}
        common = (each for each in common_options() if own.isdisjoint(each.opts))
        self.params = [*self.params, *common]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; of an unknown one say what may have been meant."""
        if any(len(arg) > 2 and arg[0] == "-" and arg[1].isalnum() for arg in args):
            from pixseek.cli.usage import check_clusters

            check_clusters(ctx, args)
        with _known_options(ctx, args):
            return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, the command's own options, and the common ones."""
        write_examples(self.examples, formatter)
        write_options("Options", self.own_params, ctx, formatter, with_help=True)
        common = self.params[len(self.own_params) :]
        write_options("Options of all commands", common, ctx, formatter)


class CommandGroup(click.Group):
    """All commands. The one place where errors turn into messages and exit codes."""

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

    def main(self, *arguments: Any, **named: Any) -> Any:
        """Run the program; nothing that others write in it reaches the terminal unescaped."""
        with guarded():
            return super().main(*arguments, **named)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the command; of an unknown one say what may have been meant."""
        with _known_options(ctx, args):
            return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which users need them."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing its module; None if there is no such command."""
        if cmd_name not in self.modules:
            return None
        module = importlib.import_module(f"pixseek.cli.{self.modules[cmd_name]}")
        # A name that is a Python keyword has an underscore there: `import_`.
        found: click.Command = getattr(module, cmd_name, None) or getattr(module, f"{cmd_name}_")
        return found

    def all_commands(self, ctx: click.Context) -> dict[str, click.Command]:
        """Return all commands by name, in order."""
        found = {name: self.get_command(ctx, name) for name in self.modules}
        return {name: command for name, command in found.items() if command is not None}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples, commands by section, and where to read more."""
        write_examples(self.examples, formatter)
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.all_commands(ctx).items():
            if command.hidden:
                continue
            rows = sections.setdefault(getattr(command, "section", ""), [])
            rows.append((name, command.get_short_help_str(100)))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)
        formatter.write_paragraph()
        formatter.write_text(
            "More: pixseek help COMMAND, options or exit-codes. All take --library, --model, "
            "--offline."
        )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; if it is unknown, say how to search for its words."""
        name = args[0]
        if name not in self.modules and not ctx.resilient_parsing and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, self.modules, n=1)
            hint = f"Did you mean: pixseek {near[0]}\n" if near else ""
            words = " ".join(args)
            raise click.UsageError(
                f'Unknown command {name!r}.\n{hint}To search: pixseek search "{words}"', ctx
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; turn every error into a message and an exit code."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # so that a closed pipe is noticed here
            return result
        except PixseekError as error:
            if _debugging():
                scrub(error)
                raise
            show_error(error)
            ctx.exit(code_of(error))
        except click.UsageError as error:
            from pixseek.cli.wording import fitted

            said = redacted(error.format_message())
            completed = fitted(hints.hinted(said), first=7, err=True)
            if completed == error.format_message():
                raise
            raise click.UsageError(redacted(completed), error.ctx) from None
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            echo("\nStopped.", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            # The reader has seen enough (`| head`). Discard what is still buffered.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(PIPE_CLOSED)
        except Exception as error:
            if _debugging():
                scrub(error)
                raise
            if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
                # Errors of a library's files have been translated, so it is the output.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                full = StorageError(
                    f"The output can't be written ({error.strerror})", advice="Make room for it."
                )
                show_error(full)
                ctx.exit(code_of(full))
            _say(
                f"Unexpected error: {type(error).__name__}: {visible(str(error))}",
                "This is a bug in pixseek. Run the command again with PIXSEEK_DEBUG=1 set, and "
                "report the traceback it prints.",
            )
            ctx.exit(UNEXPECTED)


@contextlib.contextmanager
def _known_options(ctx: click.Context, args: Sequence[str]) -> Iterator[None]:
    """Turn the error about an unknown option into one that says what may have been meant."""
    typed = list(args)
    try:
        yield
    except click.NoSuchOption as error:
        from pixseek.cli.usage import unknown_option

        found = unknown_option(error, ctx, typed)
        raise click.UsageError(redacted(found.message), ctx) from None
    except click.UsageError as error:
        said = error.format_message()
        if redacted(said) == said:
            raise
        raise click.UsageError(redacted(said), error.ctx) from None


def write_examples(examples: Examples, formatter: click.HelpFormatter) -> None:
    """Write a section of command lines, each with what it does."""
    room = formatter.width - 4 - max((len(what) for _, what in examples), default=0)
    # Commands that fit stand next to their descriptions, longer ones above.
    fitting = [len(command) for command, _ in examples if len(command) <= room]
    with formatter.section("Examples"):
        formatter.write_dl(examples, col_max=max(fitting, default=44))


def write_options(
    title: str,
    params: Sequence[click.Parameter],
    ctx: click.Context,
    formatter: click.HelpFormatter,
    *,
    with_help: bool = False,
) -> None:
    """Write a section of options.

    Args:
        title: its heading.
        params: the options; arguments among them are left out.
        ctx: of the command.
        formatter: to write with.
        with_help: whether to add `--help`.
    """
    options = (param for param in params if isinstance(param, click.Option))
    found = [row for row in (option.get_help_record(ctx) for option in options) if row]
    # The metavar and the text say what is allowed; click repeats it as a range.
    rows = [(names, _RANGE.sub("", text)) for names, text in found]
    if with_help:
        rows.append(("-h, --help", "Show this message and exit."))
    with formatter.section(title):
        formatter.write_dl(rows)


def text_of(file: TextIO) -> str:
    """Return the text of a file that was given to an option, without a byte order mark.

    Raises:
        SourceError: it is not UTF-8.
    """
    try:
        return file.read().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise SourceError(
            "The file is not UTF-8 text", file.name, "Save it as UTF-8, for instance in an editor."
        ) from error


# ------------------------------------------------------------------ messages


def show_error(error: PixseekError) -> None:
    """Write to standard error what failed, on what, and what to do next."""
    # What failed is our sentence; what it failed on may be a name with a line break.
    head = f"{error.problem}: {visible(error.subject)}" if error.subject else error.problem
    _say(head[:1].upper() + head[1:], hints.hinted(error.advice))


def warn(message: str) -> None:
    """Write a note to standard error."""
    note = styled("Note:", fg="yellow", bold=True)
    from pixseek.cli.wording import fitted

    echo(f"{note} {fitted(redacted(hints.hinted(message)), first=6, err=True)}", err=True)


def warn_if_empty(library: Library) -> None:
    """Write a note if the library holds no image, and how to index some."""
    if not len(library):
        from pixseek.library.surfaces import EMPTY

        warn(EMPTY)


def _say(head: str, advice: str) -> None:
    from pixseek.cli.wording import fitted

    text = fitted(redacted(head), first=7, err=True)
    echo(f"{styled('Error:', fg='red', bold=True)} {text}", err=True)
    if advice:
        echo(fitted(redacted(advice), err=True), err=True)


def _debugging() -> bool:
    return os.environ.get("PIXSEEK_DEBUG", "") not in ("", "0")
