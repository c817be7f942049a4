"""`pixseek classify`: which of some labels an image shows."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from pixseek.cli import wording
from pixseek.cli.options import Command, open_library, warn
from pixseek.cli.results import write_json

if TYPE_CHECKING:
    from pixseek.library import Library
    from pixseek.library.surfaces import Guess

#: Columns of the bar that stands for a probability of 1.
_BAR = 20


@click.command(
    cls=Command,
    section="Index and search",
    short_help="Say which of some labels an image shows.",
    examples=(
        ("pixseek classify lake.jpg", "by the thousand labels of ImageNet"),
        ("pixseek classify lake.jpg --labels 'a lake,a river,two cats'", "choose among labels"),
        ("pixseek classify *.jpg --labels-file labels.txt -k 1", "one label a line"),
        (
            "pixseek classify lake.jpg --labels lake,river --template 'a painting of a {}'",
            "the text that is compared",
        ),
        (
            "pixseek classify lake.jpg --labels lake,river --template ensemble",
            "seven texts a label",
        ),
    ),
)
@click.argument("images", nargs=-1, required=True, metavar="ID_OR_FILE...")
@click.option("--labels", multiple=True, metavar="A,B,...", help="What to choose from.")
@click.option("--labels-file", type=click.File("r", encoding="utf-8"), metavar="FILE",
              help="A file of labels, by lines or commas; - for standard input.")  # fmt: skip
@click.option("--labels-from", default="", metavar="MODEL",
              help="A classifier with labels of its own: vit-b16-imagenet (the default where no "
              "labels are given), vit-l16-imagenet, a folder, or a repository of the "
              "hub.")  # fmt: skip
@click.option("--template", "named", multiple=True, metavar="TEXT",
              help="Text with {} for the label; may be repeated, then the mean is taken. "
              "`ensemble` stands for seven that suit photographs of single things. "
              "[default: This is a photo of {}.]")  # fmt: skip
@click.option("-k", type=click.IntRange(1), default=5, show_default=True,
              help="Labels to show of each image.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def classify(
    ctx: click.Context,
    images: tuple[str, ...],
    labels: tuple[str, ...],
    labels_file: TextIO | None,
    labels_from: str,
    named: tuple[str, ...],
    k: int,
    as_json: bool,
) -> None:
    """Say which of some labels an image shows, with the model's own probabilities.

    Without labels, a classifier says it that knows the thousand of ImageNet; it is downloaded once
    (347 MB).

    A model that was trained as CLIP compares the labels with one another: their probabilities add
    up to 1, also where none fits. One trained as SigLIP judges each label by itself.

    No library is needed: without one, the default model or that of --model is used.
    """
    from pixseek.library.surfaces import split_labels, templates

    given = "\n".join((*labels, labels_file.read() if labels_file else ""))
    choices = split_labels(given)
    if not choices and (labels or labels_file):
        raise click.UsageError("There is no label in --labels or --labels-file.", ctx)
    if labels_from and choices:
        raise click.UsageError("Labels come from --labels-from or are given, not both.", ctx)
    if named and not choices:
        raise click.UsageError("--template goes with --labels or --labels-file.", ctx)
    with _library() as library:
        found = library.classify(
            *images, labels=choices, templates=templates(named), labels_from=labels_from, k=k
        )
        note = library.note
    if as_json:
        write_json(_plain(images, found))
        return
    if note:
        warn(note)
    _write(images, found)


@contextmanager
def _library() -> Iterator[Library]:
    """Open the library, or an empty one for this once where there is none."""
    from pixseek.errors import LibraryNotFoundError

    try:
        library = open_library()
    except LibraryNotFoundError:
        with (
            tempfile.TemporaryDirectory(prefix="pixseek-") as folder,
            open_library(create=True, library=str(Path(folder) / "library")) as library,
        ):
            yield library
        return
    with library:
        yield library


def _write(images: Sequence[str], found: Sequence[tuple[Guess, ...]]) -> None:
    for image, guesses in zip(images, found, strict=True):
        name = wording.visible(image)
        if not sys.stdout.isatty():
            for guess in guesses:
                click.echo(f"{name}\t{guess.probability:.4f}\t{wording.visible(guess.label)}")
            continue
        click.echo(click.style(name, bold=True))
        for guess in guesses:
            bar = "█" * round(guess.probability * _BAR)
            click.echo(
                f"  {guess.probability:>6.1%}  {click.style(f'{bar:<{_BAR}}', fg='green')}  "
                f"{wording.visible(guess.label)}"
            )


def _plain(images: Sequence[str], found: Sequence[tuple[Guess, ...]]) -> list[object]:
    return [
        {
            "image": image,
            "labels": [
                {
                    "label": guess.label,
                    "probability": round(guess.probability, 6),
                    "score": round(guess.score, 6),
                }
                for guess in guesses
            ],
        }
        for image, guesses in zip(images, found, strict=True)
    ]
