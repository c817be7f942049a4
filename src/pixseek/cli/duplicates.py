"""`pixseek duplicates`: groups of copies, and of images that are alike."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixseek import files
from pixseek.cli import wording
from pixseek.cli.exit_codes import FOUND_NOTHING
from pixseek.cli.hints import hinted
from pixseek.cli.options import Command, open_library, warn, warn_if_empty
from pixseek.cli.output import confirm, echo, styled, write_json, write_paths
from pixseek.cli.results import hyperlink, relative
from pixseek.cli.usage import check_alone
from pixseek.errors import StorageError

if TYPE_CHECKING:
    from pixseek.library import Library
    from pixseek.library.surfaces import DuplicateGroup
    from pixseek.types import Record

#: What the kinds of groups are called.
_KINDS = {"same": "the same picture", "edited": "edited or resized", "alike": "alike"}


@click.command(
    cls=Command,
    section="Look after the library",
    short_help="List copies, edited versions, and images that are alike.",
    examples=(
        ("pixseek duplicates", "each group, the one to keep first"),
        ("pixseek duplicates --rest -0 | xargs -0 ls -l", "the extra copies"),
        ("pixseek duplicates --exact --move ~/duplicates", "move exact copies away"),
    ),
)
@click.option("--exact", is_flag=True, help="List only identical files.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="0..1",
    help="Minimum cosine of images to compare. Default: learned from your images.",
)
@click.option("--rest", is_flag=True, help="Print only the paths of the extra copies.")
@click.option("-0", "null", is_flag=True, help="With --rest: end each path with NUL, for xargs -0.")
@click.option(
    "--move",
    "target",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Move the extra copies into this folder, keeping their subfolders; asks first.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
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
    """List groups of copies, the image to keep first: it has the most pixels, then bytes.

    Each group is of one kind: "the same picture" (perhaps with other metadata), "edited or
    resized" (recompressed, cropped, turned, marked), or "alike" (a burst, pages of one form).

    Nothing is ever deleted. Only --move touches your files. --move and --rest take the extra
    copies of the first two kinds; images that are only alike stay where they are.
    """
    check_alone(
        ctx, ("as_json", "rest"), ("as_json", "null"), ("as_json", "target"), ("rest", "target"),
        ("null", "target"),
    )  # fmt: skip
    with open_library() as library:
        found = library.duplicates(threshold, exact=exact)
        copies = [group for group in found if group.kind != "alike"]
        if as_json:
            write_json([_plain(library, group) for group in found])
        elif rest or null:
            copied = (record for group in copies for record in group.rest)
            write_paths((_place(library, record) for record in copied), null=null)
        elif target is not None:
            _move(library, copies, Path(os.path.expanduser(target)), yes=yes)
        else:
            _write(library, found)
        if not found:
            warn_if_empty(library)
    if not found:
        ctx.exit(FOUND_NOTHING)


def _write(library: Library, found: list[DuplicateGroup]) -> None:
    for group in found:
        echo(styled("identical files" if group.exact else _KINDS[group.kind], dim=True))
        for record in group.records:
            is_first = record is group.kept and group.kind != "alike"
            mark = styled("keep", fg="green") if is_first else "    "
            pixels = f"{record.width} × {record.height}" if record.width else ""
            size = wording.size(record.stamp.size) if record.stamp else ""
            path = library.locate(record)
            shown = relative(path) if path and sys.stdout.isatty() else _place(library, record)
            place = hyperlink(wording.visible(shown), path)
            gone = "" if path is None or os.path.exists(path) else styled("  missing", fg="red")
            echo(f"  {mark}  {pixels:>13}  {size:>8}  {place}{gone}")
        echo()
    echo(_summary(found))


def _summary(found: list[DuplicateGroup]) -> str:
    copies = [group for group in found if group.kind != "alike"]
    alike = [group for group in found if group.kind == "alike"]
    extra = wording.counted(sum(len(g.rest) for g in copies), "extra copy", "extra copies")
    said = f"{wording.counted(len(copies), 'group')}, {extra}." if copies else "No copies found."
    if alike:
        images = wording.counted(sum(len(group.records) for group in alike), "image")
        said += f" {images} in {wording.counted(len(alike), 'group')} only look alike."
    return said


def _move(library: Library, found: list[DuplicateGroup], target: Path, *, yes: bool) -> None:
    from pixseek.library.surfaces import container_of

    rest = [record for group in found for record in group.rest]
    if rest and not yes:
        question = f"Move {wording.counted(len(rest), 'image')} to {wording.visible(str(target))}?"
        confirm(question)
    moved, given = 0, 0
    for group in found:
        gone = []
        for record in group.rest:
            path = library.file_of(record)
            if path is None or not files.stays_inside(record.uri):
                there = library.locate(record)
                why = (
                    "it is part of an archive or a table"
                    if container_of(library, record)
                    else "it leads out of its folder"
                    if there and os.path.exists(there)
                    else "it is missing"
                )
                warn(f"Not moved, since {why}: {wording.visible(_place(library, record))}")
                continue
            place = target / record.uri
            try:
                files.move(path, place, into=target)
            except FileExistsError:
                warn(f"Not moved, since the target exists: {wording.visible(str(place))}")
                continue
            except OSError as error:
                raise StorageError(
                    f"The image can't be moved ({error.strerror or error})",
                    f"{path} to {place}",
                    f"Choose another folder. Moved before: {wording.counted(moved, 'image')}.",
                ) from error
            moved += 1
            gone.append(record.id)
            _move_clip(library, record, place, target)
        given += library.copy_annotations(gone, group.kept.id)
    echo(
        f"Moved {wording.counted(moved, 'image')}. "
        + hinted("To update the library: pixseek index")
    )
    if given:
        kept = wording.counted(given, "kept image")
        echo(f"{kept} got what you said of the moved ones: tags, rating, caption, fields.")


def _move_clip(library: Library, record: Record, place: Path, target: Path) -> None:
    """Move the clip of a live photo to where its photo was moved: alone it would be a video."""
    from pixseek.library.surfaces import clip_of

    clip = clip_of(library, record)
    if clip is None:
        return
    try:
        files.move(clip, place.with_name(clip.name), into=target)
    except OSError as error:
        why = error.strerror or error
        warn(f"The clip of a live photo was not moved ({why}): {wording.visible(str(clip))}")


def _place(library: Library, record: Record) -> str:
    path = library.locate(record)
    return str(path) if path else record.uri


def _plain(library: Library, group: DuplicateGroup) -> dict[str, object]:
    return {
        "exact": group.exact,
        "kind": group.kind,
        "keep": _place(library, group.kept),
        "rest": [_place(library, record) for record in group.rest],
        "ids": [record.id for record in group.records],
    }
