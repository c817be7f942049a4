"""`pixseek list`: the images of the library, all or those that a filter lets through."""

from __future__ import annotations

import itertools
import os
import sys
from typing import TYPE_CHECKING

import click

from pixseek.cli import wording
from pixseek.cli.exit_codes import FOUND_NOTHING
from pixseek.cli.options import Command, open_library, warn_if_empty
from pixseek.cli.output import echo, styled, write_json, write_paths
from pixseek.cli.results import day_of, hyperlink, relative
from pixseek.cli.usage import check_alone

if TYPE_CHECKING:
    from pixseek.library import Library
    from pixseek.types import Record, Sort

_ORDERS = ("newest", "oldest", "name", "largest", "smallest")


@click.command(
    "list",
    cls=Command,
    takes_query=True,
    section="Index and search",
    short_help="List the images in the library.",
    examples=(
        ("pixseek list", "all of them, by folder"),
        ("pixseek list year:2021 -k 20 --sort newest", "the newest 20 of a year"),
        ("pixseek list 'tag:holiday -has:caption' -0 | xargs -0 ls -l", "for scripts"),
    ),
)
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@click.option("-k", type=click.IntRange(min=1), metavar="N",
              help="List at most N images. [default: all]")  # fmt: skip
@click.option("--sort", type=click.Choice(_ORDERS), help="Order. [default: by folder and name]")
@click.option("--paths", is_flag=True, help="Print paths only, one per line, as in a pipe.")
@click.option("-0", "null", is_flag=True, help="Print paths only, each followed by NUL.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_context
def list_(
    ctx: click.Context,
    filters: tuple[str, ...],
    k: int | None,
    sort: Sort | None,
    paths: bool,
    null: bool,
    as_json: bool,
) -> None:
    """List the images in the library, or those that filters let through.

    FILTER is the same as in searches: year:2021, camera:nikon, tag:holiday, folder:2021. To find
    images by what they show, use `pixseek search`. On a terminal, each image has a line with its
    date, its size and its path; in a pipe only the path.
    """
    check_alone(ctx, ("paths", "as_json"), ("null", "as_json"))
    as_table = sys.stdout.isatty() and not (paths or null or as_json)
    count = 0
    with open_library() as library:
        found = itertools.islice(
            library.records(" ".join(filters), sort=sort), k and min(k, sys.maxsize)
        )
        if not (as_json or as_table):
            places = (str(library.locate(record) or record.uri) for record in found)
            count = write_paths(places, null=null)
        for record in found:
            (_write_json if as_json else _write_row)(library, record)
            count += 1
        if not count:
            warn_if_empty(library)
    if as_table:
        first = "the first " if count == k else ""
        echo(styled(f"{first}{wording.counted(count, 'image')}", dim=True))
    if not count:
        ctx.exit(FOUND_NOTHING)


def _write_row(library: Library, record: Record) -> None:
    path = library.locate(record)
    size = f"{record.width} × {record.height}" if record.width else ""
    place = wording.visible(relative(path) if path else record.uri)
    missing = "" if path is None or os.path.exists(path) else styled("  missing", fg="red")
    echo(f"{day_of(record) or 'no date':<10}  {size:>13}  {hyperlink(place, path)}{missing}")


def _write_json(library: Library, record: Record) -> None:
    from pixseek.wire import record_to_plain

    path = library.locate(record)
    plain = {
        "path": str(path) if path else None,
        "is_there": os.path.exists(path) if path else None,
    }
    write_json({**plain, **record_to_plain(record)}, in_one_line=True)
