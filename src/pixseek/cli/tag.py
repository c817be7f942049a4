"""`pixseek tag`: annotate indexed images by hand, with the model, or with a classifier."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

import click

from pixseek.cli import wording
from pixseek.cli.exit_codes import FOUND_NOTHING
from pixseek.cli.options import Command, open_library, text_of, warn, warn_if_empty
from pixseek.cli.output import echo, styled, write_json

if TYPE_CHECKING:
    from pixseek.library import Library
    from pixseek.types import Scalar, Strength


@click.command(
    cls=Command,
    section="Look after the library",
    short_help="Set tags, captions, ratings and your own fields.",
    examples=(
        ("pixseek tag lake.jpg --add lake,dawn", "add two tags"),
        ("pixseek tag lake.jpg --remove draft", "yours or the file's"),
        ("pixseek tag lake.jpg --rating 4 --set cost=9.5", "a rating and a field of your own"),
        ("pixseek search dog --paths | pixseek tag - --add dog", "all hits of a search"),
        ("pixseek tag lake.jpg --clear all", "back to what the file says"),
        ("pixseek tag lake.jpg --add lake --write-xmp", "also for other programs"),
        ("pixseek tag --zero-shot labels.txt", "tag every image with the model"),
        ("pixseek tag --labels-from vit-b16-imagenet", "tag every image with a classifier"),
    ),
)
@click.argument("images", nargs=-1, metavar="[ID_OR_FILE]...")
@click.option("--add", multiple=True, metavar="TAG", help="Add tags, separated by commas.")
@click.option("--remove", multiple=True, metavar="TAG", help="Remove a tag, yours or the file's.")
@click.option("--caption", metavar="TEXT", help="Set the caption; '' clears it.")
@click.option("--rating", type=click.IntRange(-1, 5), metavar="N",
              help="Rate 1 to 5, or -1 for rejected; 0 clears it.")  # fmt: skip
@click.option("--set", "own", multiple=True, metavar="NAME=VALUE",
              help="Set your own field, user.NAME in searches, to a number, true or false, a date, "
              "or text; in double quotes always text.")  # fmt: skip
@click.option("--unset", multiple=True, metavar="NAME", help="Clear your own field.")
@click.option("--clear", multiple=True,
              type=click.Choice(("tags", "caption", "rating", "fields", "all")),
              help="Clear what you set before, then apply the other options.")  # fmt: skip
@click.option("--write-xmp", is_flag=True,
              help="Also write your annotations to XMP sidecars next to the files, for other "
              "programs. Image files are never changed.")  # fmt: skip
@click.option("--zero-shot", type=click.File("r", encoding="utf-8"), metavar="FILE",
              help="Tag every image with the labels of FILE that the model finds in it; one per "
              "line or separated by commas; - for standard input. Images checked before are "
              "skipped.")  # fmt: skip
@click.option("--labels-from", metavar="MODEL",
              help="Tag every image with a classifier: vit-b16-imagenet, vit-l16-imagenet, a "
              "folder, or a repository on the hub.")  # fmt: skip
@click.option("--min-score", type=click.FloatRange(0, 1, min_open=True), default=0.1,
              show_default=True, metavar="0..1",
              help="Minimum probability of a label from the classifier.")  # fmt: skip
@click.option(
    "--min-strength",
    type=click.Choice(("strong", "likely")),
    default=None,
    help="How well a label from --zero-shot must match. [default: strong]",
)
@click.option(
    "--min-confidence", type=click.FloatRange(0, 1, min_open=True), default=None, hidden=True
)
@click.option("--where", metavar="FILTER", help="With --zero-shot or --labels-from: only images "
              "that match, such as 'year:2024 -tag:done'.")  # fmt: skip
@click.option("--again", is_flag=True, help="Do not skip images that were checked before.")
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
    min_strength: Strength | None,
    min_confidence: float | None,
    where: str | None,
    again: bool,
    as_json: bool,
) -> None:
    """Set tags, captions, ratings and your own fields of indexed images.

    Your annotations stay when the files change, move or are indexed again. They are kept apart
    from what the files say: if you clear yours, the file's value shows again. `-` reads ids or
    files from standard input, one per line or each followed by NUL.

    --zero-shot tags every image with the labels the model finds in it. --labels-from does the same
    with a classifier, which has its own labels.
    """
    if zero_shot is not None or labels_from is not None:
        if images or any((add, remove, caption, rating, own, unset, clear, write_xmp)):
            raise click.UsageError(
                "--zero-shot and --labels-from can't be combined with images or your own "
                "annotations.",
                ctx,
            )
        if zero_shot is not None and labels_from is not None:
            raise click.UsageError("--zero-shot can't be combined with --labels-from.", ctx)
        if zero_shot is not None:
            if min_confidence is not None and min_strength is None:
                warn("--min-confidence is deprecated: use --min-strength.")
                min_strength = "strong" if min_confidence > 0.5 else "likely"
            least = min_strength or "strong"
            _zero_shot(text_of(zero_shot), least, where, again=again, as_json=as_json)
        else:
            _labels_from(labels_from or "", min_score, where, again=again, as_json=as_json)
        return
    for name, option in (("where", "--where"), ("again", "--again")):
        if ctx.params[name]:
            raise click.UsageError(f"{option} needs --zero-shot or --labels-from.", ctx)
    if not images:
        raise click.UsageError(
            "Name the images by id or file, or give --zero-shot or --labels-from.", ctx
        )
    says = (add, remove, caption is not None, rating is not None, own, unset, clear, write_xmp)
    if not any(says):
        raise click.UsageError(
            "Nothing to change. Give at least one of --add, --remove, --rating, --caption, --set.",
            ctx,
        )
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
        echo("No images given.", err=True)
    else:
        echo(
            f"Changed {wording.counted(changed, 'image')}."
            if changed
            else "Nothing to change: everything was set already."
        )
    if not named:
        ctx.exit(FOUND_NOTHING)


def _zero_shot(
    text: str, least: Strength, where: str | None, *, again: bool, as_json: bool
) -> None:
    from pixseek.library.surfaces import split_labels

    labels = split_labels(text)
    if not labels:
        raise click.UsageError("The file given to --zero-shot has no labels.")
    with open_library() as library:
        counts = library.tag_zero_shot(labels, min_strength=least, where=where, again=again)
        warn_if_empty(library)
    _write_counts(counts, as_json=as_json)


def _labels_from(name: str, least: float, where: str | None, *, again: bool, as_json: bool) -> None:
    with open_library() as library:
        warn_if_empty(library)
        if as_json:
            counts = library.tag_from(name, min_score=least, where=where, again=again)
            _write_counts(counts, as_json=True)
        else:
            tag_by_classifier(library, name, least, where=where, again=again)


def tag_by_classifier(
    library: Library, name: str, least: float, *, quiet: bool = False, **which: Any
) -> None:
    """Tag images with a classifier, with progress, and write how many got which label.

    Args:
        library: the library with the images.
        name: of the classifier, or its folder.
        least: least probability of a label.
        quiet: write nothing.
        **which: other arguments of `Library.tag_from`.
    """
    from pixseek.cli.progress import display

    with display(quiet=quiet) as shown:
        library.on_download, library.on_wait = shown.download, shown.wait
        counts = library.tag_from(name, min_score=least, on_progress=shown.show, **which)
    if not quiet:
        _write_counts(counts, as_json=False)


def _write_counts(counts: dict[str, int], *, as_json: bool) -> None:
    looked_at = counts.pop("")
    if as_json:
        write_json({"looked_at": looked_at, "tagged": counts})
        return
    echo(f"Checked {wording.counted(looked_at, 'image')}.")
    wide = max((len(wording.number(count)) for count in counts.values()), default=0)
    for label, count in sorted(counts.items(), key=lambda each: -each[1]):
        line = f"  {wording.number(count):>{wide}}  {wording.visible(label)}"
        echo(line if count else styled(line, dim=True))


def _named(images: tuple[str, ...]) -> Iterator[str]:
    for each in images:
        if each != "-":
            yield each
            continue
        # As bytes: a name need not be valid text, and may contain line breaks if NUL ends it.
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
            raise click.UsageError(f"--set needs NAME=VALUE, such as price=9.5, not {each!r}.",
                                   ctx)  # fmt: skip
        fields[name] = value_of(value)
    return fields
