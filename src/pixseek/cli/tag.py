"""`pixseek tag`: say something of indexed images."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

import click

from pixseek.cli import wording
from pixseek.cli.exit_codes import FOUND_NOTHING
from pixseek.cli.options import Command, open_library
from pixseek.cli.results import write_json

if TYPE_CHECKING:
    from pixseek.library import Library
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
        ("pixseek tag --zero-shot labels.txt", "let the model tag all images"),
        ("pixseek tag --labels-from vit-b16-imagenet", "let a classifier do so"),
    ),
)
@click.argument("images", nargs=-1, metavar="[ID_OR_FILE]...")
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
@click.option("--zero-shot", type=click.File("r", encoding="utf-8"), metavar="FILE",
              help="Tag all images that show one of the labels in FILE, by lines or commas (- for "
              "standard input). Those that were looked at before are passed over.")  # fmt: skip
@click.option("--labels-from", metavar="MODEL",
              help="Tag all images with what a classifier sees in them: vit-b16-imagenet, "
              "vit-l16-imagenet, a folder, or a repository of the hub.")  # fmt: skip
@click.option("--min-score", type=click.FloatRange(0, 1, min_open=True), default=0.1,
              show_default=True, metavar="0..1",
              help="Probability from which on a label of --labels-from counts.")  # fmt: skip
@click.option("--min-confidence", type=click.FloatRange(0, 1, min_open=True), default=0.95,
              show_default=True, metavar="0..1", help="How sure --zero-shot must be.")  # fmt: skip
@click.option("--where", metavar="FILTER", help="Let the model look at these only, as in "
              "'year:2024 -tag:done'.")  # fmt: skip
@click.option("--again", is_flag=True, help="Let the model look at all images once more.")
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
    zero_shot: TextIO | None,
    labels_from: str | None,
    min_score: float,
    min_confidence: float,
    where: str | None,
    again: bool,
    as_json: bool,
) -> None:
    """Give indexed images tags, a caption, a rating, and fields of your own.

    They stay when the files change, move or are indexed again, and are kept apart from what the
    files say: what you take back shows the file's again. `-` reads ids or files from standard
    input, one on each line or ended by NUL.

    With --zero-shot the model says it, of all images: each gets the labels as tags that a search
    for them would be sure of. With --labels-from a classifier says it, which has labels of its own.
    """
    if zero_shot is not None or labels_from is not None:
        if images or any((add, remove, caption, rating, own, unset, clear, write_xmp)):
            raise click.UsageError("A model tags alone, with --where and --again only.", ctx)
        if zero_shot is not None and labels_from is not None:
            raise click.UsageError("--zero-shot and --labels-from: one after the other.", ctx)
        if zero_shot is not None:
            _zero_shot(zero_shot.read(), min_confidence, where, again=again, as_json=as_json)
        else:
            _labels_from(labels_from or "", min_score, where, again=again, as_json=as_json)
        return
    if not images:
        raise click.UsageError(
            "Name the images by ids or files; or --zero-shot, --labels-from.", ctx
        )
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


def _zero_shot(text: str, least: float, where: str | None, *, again: bool, as_json: bool) -> None:
    from pixseek.library.surfaces import split_labels

    labels = split_labels(text)
    if not labels:
        raise click.UsageError("The file of --zero-shot holds no label.")
    with open_library() as library:
        counts = library.tag_zero_shot(labels, min_confidence=least, where=where, again=again)
    _write_counts(counts, as_json=as_json)


def _labels_from(name: str, least: float, where: str | None, *, again: bool, as_json: bool) -> None:
    with open_library() as library:
        if as_json:
            counts = library.tag_from(name, min_score=least, where=where, again=again)
            _write_counts(counts, as_json=True)
        else:
            tag_by_classifier(library, name, least, where=where, again=again)


def tag_by_classifier(
    library: Library, name: str, least: float, *, quiet: bool = False, **which: Any
) -> None:
    """Tag images with what a classifier sees, with progress, and write how many got which label.

    Args:
        library: holds the images.
        name: of the classifier, or its folder.
        least: probability from which on a label counts.
        quiet: write nothing.
        **which: other arguments of `Library.tag_from`.
    """
    from pixseek.cli.progress import display

    with display(quiet=quiet) as shown:
        library.on_download = shown.download
        counts = library.tag_from(name, min_score=least, on_progress=shown.show, **which)
    if not quiet:
        _write_counts(counts, as_json=False)


def _write_counts(counts: dict[str, int], *, as_json: bool) -> None:
    looked_at = counts.pop("")
    if as_json:
        write_json({"looked_at": looked_at, "tagged": counts})
        return
    click.echo(f"Looked at {wording.counted(looked_at, 'image')}.")
    wide = max((len(wording.number(count)) for count in counts.values()), default=0)
    for label, count in sorted(counts.items(), key=lambda each: -each[1]):
        line = f"  {wording.number(count):>{wide}}  {wording.visible(label)}"
        click.echo(line if count else click.style(line, dim=True))


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
    from pixseek.library.surfaces import value_of

    fields: dict[str, Scalar] = dict.fromkeys(unset)
    for each in own:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--set takes NAME=VALUE, such as price=9.5, and not {each!r}.",
                                   ctx)  # fmt: skip
        fields[name] = value_of(value)
    return fields
