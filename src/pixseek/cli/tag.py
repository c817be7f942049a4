"""`pixseek tag`: say something of indexed images."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pixseek.cli import wording
from pixseek.cli.exit_codes import FOUND_NOTHING
from pixseek.cli.options import Command, open_library
from pixseek.cli.results import write_json

if TYPE_CHECKING:
    from pixseek.types import Scalar


@click.command(
    cls=Command,
    section="Look after the library",
    short_help="Give images tags, a caption, a rating, and fields of your own.",
    examples=(
        ("pixseek tag lake.jpg --add lake,dawn", "two tags, of a file of the library"),
        ("pixseek tag lake.jpg --remove draft", "a tag of yours or of the file"),
        ("pixseek tag lake.jpg --rating 4 --set cost=9.5", "a rating, and a field of your own"),
        ("pixseek search dog --paths | pixseek tag - --add dog", "all that were found"),
        ("pixseek tag lake.jpg --clear all", "back to what the file says"),
        ("pixseek tag lake.jpg --add lake --write-xmp", "also for other programs"),
    ),
)
@click.argument("images", nargs=-1, required=True, metavar="ID_OR_FILE...")
@click.option("--add", multiple=True, metavar="TAG", help="Add a tag; a comma separates two.")
@click.option("--remove", multiple=True, metavar="TAG", help="Remove a tag, yours or the file's.")
@click.option("--caption", metavar="TEXT", help="Set the caption; '' takes yours back.")
@click.option("--rating", type=click.IntRange(-1, 5), metavar="N",
              help="Rate 1 to 5, or -1 for rejected; 0 takes yours back.")  # fmt: skip
@click.option("--set", "own", multiple=True, metavar="NAME=VALUE",
              help="Set a field of your own, which searches know as user.NAME: a number, true or "
              "false, a date, or a text; in double quotes always a text.")  # fmt: skip
@click.option("--unset", multiple=True, metavar="NAME", help="Take a field of your own back.")
@click.option("--clear", multiple=True,
              type=click.Choice(("tags", "caption", "rating", "fields", "all")),
              help="Take back what you said, before the rest counts.")  # fmt: skip
@click.option("--write-xmp", is_flag=True,
              help="Also write what you said into XMP sidecars beside the files, for other "
              "programs. Images are never written.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def tag(
    ctx: click.Context,
    images: tuple[str, ...],
    add: tuple[str, ...],
    remove: tuple[str, ...],
    caption: str | None,
    rating: int | None,
    own: tuple[str, ...],
    unset: tuple[str, ...],
    clear: tuple[str, ...],
    write_xmp: bool,
    as_json: bool,
) -> None:
    """Give indexed images tags, a caption, a rating, and fields of your own.

    They stay when the files change, move or are indexed again, and are kept apart from what the
    files say: what you take back shows the file's again. `-` reads ids or files from standard
    input, one on each line or ended by NUL.
    """
    says = (add, remove, caption is not None, rating is not None, own, unset, clear, write_xmp)
    if not any(says):
        raise click.UsageError("Nothing is said of them: --add, --rating, --caption, ...", ctx)
    fields = _own_fields(own, unset, ctx)
    named = list(dict.fromkeys(_named(images)))
    changed = 0
    if named:
        with open_library() as library:
            changed = library.tag(
                named,
                add=add,
                remove=remove,
                caption=caption,
                rating=rating,
                fields=fields,
                clear=clear,
                write_xmp=write_xmp,
            )
    if as_json:
        write_json({"named": len(named), "changed": changed})
    elif not named:
        click.echo("No images were named.", err=True)
    else:
        click.echo(
            f"Changed {wording.counted(changed, 'image')}."
            if changed
            else "Nothing to change: it was said already."
        )
    if not named:
        ctx.exit(FOUND_NOTHING)


def _named(images: tuple[str, ...]) -> Iterator[str]:
    for each in images:
        if each != "-":
            yield each
            continue
        # As bytes: a name need not be valid text, and may hold a line break where NUL ends it.
        data = sys.stdin.buffer.read()
        for line in data.split(b"\0" if b"\0" in data else b"\n"):
            name = line.removesuffix(b"\r")
            if name:
                yield os.fsdecode(name)


def _own_fields(
    own: tuple[str, ...], unset: tuple[str, ...], ctx: click.Context
) -> dict[str, Scalar]:
    from pixseek.annotations import value_of

    fields: dict[str, Scalar] = dict.fromkeys(unset)
    for each in own:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--set takes NAME=VALUE, such as price=9.5, and not {each!r}.",
                                   ctx)  # fmt: skip
        fields[name] = value_of(value)
    return fields
