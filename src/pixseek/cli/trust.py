"""`pixseek trust`: say that a library from elsewhere may be opened; and the question about it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixseek.cli import wording
from pixseek.cli.hints import settings
from pixseek.cli.options import Command
from pixseek.cli.output import agreed, echo
from pixseek.cli.usage import check_alone

if TYPE_CHECKING:
    from pixseek.errors import UntrustedLibraryError

#: In the `meta` of a command's contexts: the answer was no.
_REFUSED = "pixseek.refused"


@click.command(
    cls=Command,
    section="Look after the library",
    hidden=True,  # messages name it when it is needed, and the list of commands is full
    short_help="Allow a library from elsewhere to be opened.",
    examples=(
        ("pixseek trust ~/Downloads/holiday", "the library in this folder"),
        ("pixseek trust", "the one that commands here use"),
        ("pixseek trust --list", "libraries that were made or trusted here"),
        ("pixseek trust --remove ~/Downloads/holiday", "ask again before it is opened"),
    ),
)
@click.argument("folder", required=False, metavar="[DIR]", type=click.Path(file_okay=False))
@click.option("--list", "listed", is_flag=True, help="List the libraries that are remembered.")
@click.option("--remove", "removed", metavar="DIR", type=click.Path(file_okay=False),
              help="Forget that a library is trusted.")  # fmt: skip
@click.pass_context
def trust(ctx: click.Context, folder: str | None, listed: bool, removed: str | None) -> None:
    """Allow a library to be opened that belongs to another user, or that came with a folder.

    Such a library may name a server that gets your password for it, folders of yours that are
    indexed into it, and models that are downloaded. So pixseek asks before it opens one; without a
    terminal the answer is no, and this command says yes. It prints what the library would do.

    A library is trusted at its place, and after its folder was renamed or its drive mounted
    elsewhere; another library in its place asks again. Libraries that you make need no trust.
    """
    from pixseek.config import PORTABLE_NAME, load_config
    from pixseek.library import trust as trusting

    check_alone(ctx, ("listed", "removed"), ("folder", "listed"), ("folder", "removed"))
    if listed:
        for path in trusting.trusted():
            echo(wording.visible(path))
    elif removed is not None:
        # The folder may be gone, with the library in it.
        places = (Path(removed), Path(removed, PORTABLE_NAME))
        forgotten = [trusting.forget(Path(os.path.abspath(place))) for place in places]
        if not any(forgotten):
            echo(f"{wording.visible(removed)} was not trusted.", err=True)
            ctx.exit(1)
        echo(f"No longer trusted: {wording.visible(removed)}")
    else:
        config = load_config(**{**settings(), **({"library": folder} if folder else {})})
        place = Path(os.path.abspath(config.library))
        would = trusting.trust(place, config)
        echo(f"Trusted: {wording.visible(str(place))}")
        for line in would:
            echo(f"  {wording.fitted(wording.visible(line), hanging='  ', first=2)}")


def may_ask() -> bool:
    """Return whether there is somebody to ask: not in scripts, nor while a shell completes."""
    context = click.get_current_context(silent=True)
    completes = context is not None and context.resilient_parsing
    return not completes and sys.stdin.isatty() and sys.stderr.isatty()


def ask(error: UntrustedLibraryError) -> bool:
    """Ask once in a command whether a library may be opened; return the answer."""
    context = click.get_current_context()
    if _REFUSED in context.meta:
        return False
    echo(f"{error.problem}: {wording.visible(error.folder)}", err=True)
    for line in error.would:
        text = wording.fitted(wording.visible(line), hanging="    ", first=4, err=True)
        echo(f"  - {text}", err=True)
    answer = agreed("Trust it? Say yes only if you know who made it")
    if not answer:
        context.meta[_REFUSED] = True
    return answer
