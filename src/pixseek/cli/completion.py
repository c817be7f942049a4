"""`pixseek completion`: a script for the shell to complete commands, options and models."""

from __future__ import annotations

import click

from pixseek.cli.options import Command

_PLACES = {
    "bash": "pixseek completion bash > ~/.local/share/bash-completion/completions/pixseek",
    "zsh": "pixseek completion zsh > ~/.zfunc/_pixseek",
    "fish": "pixseek completion fish > ~/.config/fish/completions/pixseek.fish",
}


@click.command(
    cls=Command,
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
    """Print a script that lets the shell complete commands, options and models.

    Save it in the folder where the shell looks for such scripts (see the examples), then open a
    new shell.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None, "click knows all three shells"
    program = ctx.find_root().command
    click.echo(found(program, {}, "pixseek", "_PIXSEEK_COMPLETE").source())
