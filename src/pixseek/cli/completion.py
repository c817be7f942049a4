"""`pixseek completion`: a script for the shell, and what it completes."""

from __future__ import annotations

import unicodedata

import click

from pixseek.cli.options import Command, open_library
from pixseek.cli.output import echo

_PLACES = {
    "bash": "pixseek completion bash > ~/.local/share/bash-completion/completions/pixseek",
    "zsh": "pixseek completion zsh > ~/.zfunc/_pixseek",
    "fish": "pixseek completion fish > ~/.config/fish/completions/pixseek.fish",
}


def complete_saved(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the saved searches that what was typed may become: `@do` may be `@dogs`."""
    from pixseek.errors import PixseekError

    mark = "@" if isinstance(param, click.Argument) else ""
    if not incomplete.startswith(mark):
        return []
    try:
        with ctx.scope(cleanup=False), open_library() as library:
            names = list(library.saved_searches())
    except PixseekError:
        return []  # a shell that completes shows no errors
    # What a shell gets stands on its command line: only what `pixseek save` takes as a name.
    usable = [
        name
        for name in names
        if all(unicodedata.category(each)[0] in "LMN" or each in "-_ " for each in name)
    ]
    return [f"{mark}{name}" for name in usable if f"{mark}{name}".startswith(incomplete)]


@click.command(
    cls=Command,
    hidden=True,  # it is needed once, and the list of commands is full
    section="Try it, set it up",
    short_help="Print a script for shell completion.",
    examples=(
        (_PLACES["bash"], "bash, with the package bash-completion"),
        (_PLACES["zsh"], "zsh; needs `fpath+=~/.zfunc` before compinit in ~/.zshrc"),
        (_PLACES["fish"], "fish"),
    ),
)
@click.argument("shell", type=click.Choice(list(_PLACES)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that lets the shell complete commands, options, models and saved searches.

    Save it in the folder where the shell looks for such scripts (see the examples), then open a
    new shell.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None, "click knows all three shells"
    program = ctx.find_root().command
    echo(found(program, {}, "pixseek", "_PIXSEEK_COMPLETE").source())
