"""The command line. It draws what the facade `pixseek.library` returns, and computes nothing.

Importing this imports click and nothing heavier, so that help and shell completion are quick;
each command imports what it needs when it runs.
"""

from __future__ import annotations

import os
import sys

import click

from pixseek import __version__
from pixseek.cli.classify import classify
from pixseek.cli.completion import completion
from pixseek.cli.demo import demo
from pixseek.cli.doctor import doctor
from pixseek.cli.duplicates import duplicates
from pixseek.cli.exchange import export, import_
from pixseek.cli.index import index
from pixseek.cli.models import models
from pixseek.cli.options import CommandGroup
from pixseek.cli.reindex import reindex
from pixseek.cli.search import search, similar
from pixseek.cli.show import show
from pixseek.cli.tag import tag
from pixseek.cli.upkeep import failures, remove, status

__all__ = ["main"]


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples=(
        ("pixseek demo", "try it, without a download"),
        ("pixseek index ~/Pictures", "index a folder with all below it"),
        ('pixseek search "a dog catching a frisbee"', "find images by words"),
        ("pixseek search --image frisbee.jpg", "find images by an example"),
    ),
)
@click.version_option(__version__, prog_name="pixseek", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Find your images by saying what is in them."""
    for stream in (sys.stdout, sys.stderr):
        # Where a terminal can't show a character it shows a substitute, and nothing breaks.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for _command in (
    index,
    search,
    similar,
    show,
    classify,
    tag,
    status,
    failures,
    remove,
    reindex,
    duplicates,
    models,
    doctor,
    export,
    import_,
    demo,
    completion,
):
    main.add_command(_command)
