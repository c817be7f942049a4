"""The command line. It shows what the facade `pixseek.library` returns, and computes nothing.

Importing this imports click and nothing heavier, so help and shell completion are quick. The
module of a command is imported when the command is named (all of them take 15 ms); what the
command needs is imported when it runs.
"""

from __future__ import annotations

import os
import sys

import click

from pixseek import __version__
from pixseek.cli.options import CommandGroup
from pixseek.cli.output import echo

__all__ = ["main"]

#: All commands in the order in which users need them, each with its module in this package.
COMMANDS = {
    "index": "index",
    "watch": "watch",
    "search": "search",
    "similar": "search",
    "save": "saved",
    "saved": "saved",
    "serve": "serve",
    "embed": "embed",
    "list": "listing",
    "show": "show",
    "classify": "classify",
    "tag": "tag",
    "status": "upkeep",
    "failures": "upkeep",
    "remove": "upkeep",
    "forget": "forget",
    "reindex": "reindex",
    "duplicates": "duplicates",
    "export": "exchange",
    "import": "exchange",
    "migrate": "migrate",
    "vespa": "vespa",
    "trust": "trust",
    "models": "models",
    "evaluate": "evaluate",
    "doctor": "doctor",
    "demo": "demo",
    "completion": "completion",
    "help": "help",
    "version": "help",
}


@click.group(
    cls=CommandGroup,
    modules=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples=(
        ("pixseek index ~/Pictures", "index a folder and its subfolders"),
        ('pixseek search "a dog catching a frisbee"', "find images by words"),
    ),
)
@click.version_option(__version__, prog_name="pixseek", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Find your images by describing what is in them."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a character shows a substitute instead of failing.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    if ctx.invoked_subcommand is None:
        echo(ctx.get_help())
