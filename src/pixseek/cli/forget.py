"""`pixseek forget`: what users said of images that are not in the library any more."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pixseek.cli import wording
from pixseek.cli.hints import hinted
from pixseek.cli.options import Command, open_library
from pixseek.cli.output import confirm, echo, write_json

if TYPE_CHECKING:
    from pixseek.library import Library
    from pixseek.types import Record

_SECTION = "Look after the library"


@click.command(
    cls=Command,
    section=_SECTION,
    short_help="Forget what you said of images that are gone.",
    examples=(
        ("pixseek forget", "list what is kept"),
        ("pixseek forget ~/Pictures/old", "forget what you said of images in a folder"),
        ("pixseek forget --all", "forget it all"),
    ),
)
@click.argument("targets", nargs=-1, metavar="[ID_OR_PATH]...")
@click.option("--all", "everything", is_flag=True, help="Forget all that is listed; asks first.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as one JSON object.")
@click.pass_context
def forget(
    ctx: click.Context, targets: tuple[str, ...], everything: bool, yes: bool, as_json: bool
) -> None:
    """Forget your tags, ratings and captions of images that are not in the library any more.

    They are kept when a file is deleted, excluded, broken or on a drive that is not there, and come
    back with it: at its old place, or with the same picture anywhere. Without arguments they are
    listed.
    """
    if everything and targets:
        raise click.UsageError("--all can't be combined with ids or paths.", ctx)
    with open_library() as library:
        kept = library.away(*targets)
        if not (everything or targets):
            _list_kept(library, kept, as_json)
            return
        if everything and kept and not yes:
            question = f"Forget what you said of {wording.counted(len(kept), 'image')}?"
            confirm(question)
        library.forget(*(record.id for record in kept))
    echo(f"Forgot what you said of {wording.counted(len(kept), 'image')}.")


def _list_kept(library: Library, kept: Sequence[Record], as_json: bool) -> None:
    """Write what is kept of images that are not there."""
    from pixseek import wire

    if as_json:
        write_json({"away": [wire.record_to_plain(record) for record in kept]})
        return
    for record in kept:
        said = [record.caption] if record.caption else []
        said += [f"rating {record.fields['rating']}"] if "rating" in record.fields else []
        said += [", ".join(record.tags)] if record.tags else []
        row = (str(library.locate(record) or record.uri), "; ".join(said))
        if sys.stdout.isatty():
            echo("  ".join(map(wording.visible, row)).rstrip())
        else:
            echo("\t".join(map(wording.field, row)))
    if kept:
        echo(
            wording.fitted(
                f"\n{wording.counted(len(kept), 'image')} not there now. To "
                f"forget: {hinted('pixseek forget')} and a path, or --all"
            )
        )
    else:
        echo("Nothing is kept of images that are gone.")
