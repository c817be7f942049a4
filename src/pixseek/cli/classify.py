"""`pixseek classify`: choose the labels that fit an image."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from pixseek.cli import wording
from pixseek.cli.options import Command, open_library, private_option, text_of, warn
from pixseek.cli.output import echo, styled, write_json

if TYPE_CHECKING:
    from pixseek.library import Library
    from pixseek.library.surfaces import Guess

#: What is said of a single label.
_ALONE = (
    "One label has nothing to be compared with, so it has no probability, only the cosine between "
    "it and the image. Give other labels that the image may show instead."
)

#: Width of the bar for a probability of 1, in columns.
_BAR = 20


@click.command(
    cls=Command,
    section="Index and search",
    short_help="Choose the labels that fit an image.",
    examples=(
        ("pixseek classify lake.jpg", "into the 1,000 ImageNet classes"),
        ("pixseek classify lake.jpg --labels 'a lake,a river,two cats'", "into your own labels"),
        ("pixseek classify *.jpg --labels-file labels.txt -k 1", "the best label of each image"),
        (
            "pixseek classify lake.jpg --labels lake,river --template 'a painting of a {}'",
            "for paintings",
        ),
        (
            "pixseek classify lake.jpg --labels lake,river --template ensemble",
            "seven texts per label",
        ),
    ),
)
@click.argument("images", nargs=-1, required=True, metavar="ID_OR_FILE...")
@click.option("--labels", multiple=True, metavar="A,B,...", help="Labels to choose from.")
@click.option("--labels-file", type=click.File("r", encoding="utf-8"), metavar="FILE",
              help="File of labels, one per line or separated by commas; - for standard "
              "input.")  # fmt: skip
@click.option("--labels-from", default="", metavar="MODEL",
              help="Classifier with its own labels: vit-b16-imagenet (the default without "
              "--labels), vit-l16-imagenet, a folder, or a repository on the hub.")  # fmt: skip
@click.option("--template", "named", multiple=True, metavar="TEXT",
              help="Text with {} for the label; repeatable (the mean is used). `ensemble`: seven "
              "texts that suit photographs of single things. [default: This is a photo of "
              "{}.]")  # fmt: skip
@click.option("-k", type=click.IntRange(1), default=5, show_default=True, metavar="N",
              help="Show at most N labels per image.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@private_option()
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
    """Choose the labels that fit an image, with the model's own probabilities.

    Without labels, classify into the 1,000 ImageNet classes, with a classifier that is downloaded
    once (347 MB).

    Models trained like CLIP compare the labels with each other: the probabilities add up to 1,
    even if no label fits; so a single label has none, and its cosine is shown. Models trained like
    SigLIP judge each label by itself.

    No library is needed: without one, --model or the default model is used.
    """
    from pixseek.library.surfaces import split_labels, templates

    given = "\n".join((*labels, text_of(labels_file) if labels_file else ""))
    choices = split_labels(given)
    if not choices and (labels or labels_file):
        raise click.UsageError("--labels and --labels-file contain no labels.", ctx)
    if labels_from and choices:
        raise click.UsageError(
            "--labels-from can't be combined with --labels or --labels-file.", ctx
        )
    if named and not choices:
        raise click.UsageError("--template needs --labels or --labels-file.", ctx)
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
    if any(guess.probability is None for guesses in found for guess in guesses):
        warn(_ALONE)
    _write(images, found)


@contextmanager
def _library() -> Iterator[Library]:
    """Open the library; if there is none, an empty temporary one."""
    from pixseek.errors import LibraryNotFoundError

    try:
        library = open_library()
    except LibraryNotFoundError:
        from pixseek.library import trust

        with tempfile.TemporaryDirectory(prefix="pixseek-") as folder:
            place = Path(folder) / "library"
            try:
                with open_library(create=True, library=str(place)) as library:
                    yield library
            finally:
                trust.forget(place)
        return
    with library:
        yield library


def _write(images: Sequence[str], found: Sequence[tuple[Guess, ...]]) -> None:
    for image, guesses in zip(images, found, strict=True):
        if not sys.stdout.isatty():
            name = wording.field(image)
            for guess in guesses:
                said = "" if guess.probability is None else f"{guess.probability:.4f}"
                echo(f"{name}\t{said or _cosine(guess)}\t{wording.field(guess.label)}")
            continue
        echo(styled(wording.visible(image), bold=True))
        for guess in guesses:
            if guess.probability is None:
                echo(f"  {_cosine(guess)}  {wording.visible(guess.label)}")
                continue
            bar = "█" * round(guess.probability * _BAR)
            echo(
                f"  {guess.probability:>6.1%}  {styled(f'{bar:<{_BAR}}', fg='green')}  "
                f"{wording.visible(guess.label)}"
            )


def _cosine(guess: Guess) -> str:
    return f"cosine {guess.score:.3f}"


def _plain(images: Sequence[str], found: Sequence[tuple[Guess, ...]]) -> list[object]:
    return [
        {
            "image": image,
            **({"note": _ALONE} if any(guess.probability is None for guess in guesses) else {}),
            "labels": [
                {
                    "label": guess.label,
                    "probability": None
                    if guess.probability is None
                    else round(guess.probability, 6),
                    "score": round(guess.score, 6),
                }
                for guess in guesses
            ],
        }
        for image, guesses in zip(images, found, strict=True)
    ]
