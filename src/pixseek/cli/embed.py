"""`pixseek embed`: print the vectors of texts and images."""

from __future__ import annotations

import click

from pixseek.cli import output
from pixseek.cli.options import Command, open_library


@click.command(
    cls=Command,
    section="Index and search",
    short_help="Print the vectors of texts and images.",
    hidden=True,  # for programs; `pixseek --help` has to fit a terminal
    examples=(
        ('pixseek embed --text "a red car"', "one JSON object"),
        ("pixseek embed --text car --image car.jpg", "both, in the library's space"),
    ),
)
@click.option("--text", "texts", multiple=True, metavar="WORDS", help="A text; repeatable.")
@click.option("--image", "images", multiple=True, type=click.Path(dir_okay=False), metavar="FILE",
              help="An image file; repeatable.")  # fmt: skip
@click.pass_context
def embed(ctx: click.Context, texts: tuple[str, ...], images: tuple[str, ...]) -> None:
    """Print the unit vectors of texts and images in the library's space, as one JSON object.

    The same as POST /api/embed of `pixseek serve`. Vectors compare by their dot product.
    """
    if not texts and not images:
        raise click.UsageError("Give at least one --text or --image.", ctx)
    from pixseek.wire import embeddings_to_plain

    with open_library() as library:
        found = library.embed(texts, images)
    output.write_json(embeddings_to_plain(found), in_one_line=True)
