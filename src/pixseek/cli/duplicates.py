"""`pixseek duplicates`: groups of images that are nearly the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixseek.cli import wording
from pixseek.cli.exit_codes import FOUND_NOTHING
from pixseek.cli.options import Command, open_library, warn
from pixseek.cli.results import write_json

if TYPE_CHECKING:
    from pixseek.library import Library
    from pixseek.library.surfaces import DuplicateGroup
    from pixseek.types import Record


@click.command(
    cls=Command,
    section="Look after the library",
    short_help="List images that are nearly the same.",
    examples=(
        ("pixseek duplicates", "each group, the one to keep first"),
        ("pixseek duplicates --rest -0 | xargs -0 ls -l", "the paths of all others"),
        ("pixseek duplicates --exact --move ~/duplicates", "move copies out of the way"),
    ),
)
@click.option("--exact", is_flag=True, help="Only those that are the same byte for byte.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="0..1",
    help="Cosine from which two are nearly the same. Default: as learned from your images.",
)
@click.option("--rest", is_flag=True, help="Print the paths of all but the one to keep.")
@click.option("-0", "null", is_flag=True, help="With --rest: end each path with NUL, for xargs -0.")
@click.option(
    "--move",
    "target",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Move all but the one to keep into a folder, below the folders they lie in; asks first.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def duplicates(
    ctx: click.Context,
    exact: bool,
    threshold: float | None,
    rest: bool,
    null: bool,
    target: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """List groups of images that are nearly the same, the one to keep first.

    That is the one with the most pixels, then with the most bytes. Nothing is ever deleted; --move
    moves the others, and is the only thing here that touches your files.
    """
    with open_library() as library:
        found = [group for group in library.duplicates(threshold) if group.exact or not exact]
        if as_json:
            write_json([_plain(library, group) for group in found])
        elif rest or null:
            end = "\0" if null else "\n"
            for group in found:
                for record in group.rest:
                    click.echo(f"{_place(library, record)}{end}", nl=False)
        elif target is not None:
            _move(library, found, Path(target).expanduser(), yes=yes)
        else:
            _write(library, found)
    if not found:
        ctx.exit(FOUND_NOTHING)


def _write(library: Library, found: list[DuplicateGroup]) -> None:
    for group in found:
        for record in group.records:
            mark = click.style("keep", fg="green") if record is group.kept else "    "
            pixels = f"{record.width} × {record.height}" if record.width else ""
            size = wording.size(record.stamp.size) if record.stamp else ""
            place = wording.visible(_place(library, record))
            click.echo(f"{mark}  {pixels:>13}  {size:>8}  {place}")
        said = "the same" if group.exact else "nearly the same"
        click.echo(click.style(f"      {said}", dim=True))
    others = wording.counted(sum(len(group.rest) for group in found), "image")
    groups = wording.counted(len(found), "group")
    click.echo(f"{groups}, {others} more than needed." if found else "No two are nearly the same.")


def _move(library: Library, found: list[DuplicateGroup], target: Path, *, yes: bool) -> None:
    rest = [record for group in found for record in group.rest]
    if rest and not yes:
        question = f"Move {wording.counted(len(rest), 'image')} to {target}?"
        click.confirm(question, abort=True, err=True)
    moved = 0
    for record in rest:
        path = library.locate(record)
        if path is None or not path.is_file():
            warn(f"Not there now, and not moved: {wording.visible(_place(library, record))}")
            continue
        place = target / record.uri
        if place.exists():
            warn(f"Something is there already, and nothing was moved: {place}")
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, place)
        moved += 1
    click.echo(f"Moved {wording.counted(moved, 'image')}. The library sees it at the next index.")


def _place(library: Library, record: Record) -> str:
    path = library.locate(record)
    return str(path) if path else record.uri


def _plain(library: Library, group: DuplicateGroup) -> dict[str, object]:
    return {
        "exact": group.exact,
        "keep": _place(library, group.kept),
        "rest": [_place(library, record) for record in group.rest],
        "ids": [record.id for record in group.records],
    }
