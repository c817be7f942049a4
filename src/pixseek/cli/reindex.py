"""`pixseek reindex`: change the library's model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, get_args

import click

from pixseek.cli.index import drive, named_library, quoted
from pixseek.cli.options import Command, open_library, settings, warn
from pixseek.cli.results import write_json
from pixseek.cli.summaries import write_reindex_report
from pixseek.types import Precision

if TYPE_CHECKING:
    from pixseek.types import Progress, Report


@click.command(
    cls=Command,
    section="Look after the library",
    short_help="Change the model, from stored previews, while searches go on.",
    examples=(
        ("pixseek reindex --model siglip2-b16-224", "embed all images by another model"),
        ("pixseek reindex --model pe-core-l --keep", "and keep the vectors of the one before"),
        ("pixseek reindex --model clip-b32-multilingual", "the same images, texts in 50 languages"),
        ("pixseek reindex --text-model ~/models/german", "texts by a tower of your own"),
    ),
)
@click.option(
    "--keep",
    is_flag=True,
    help="Keep the vectors of other models, to change back without embedding again.",
)
@click.option(
    "--files",
    is_flag=True,
    help="Read the files of images, where they are there, and not their previews: slower, and the "
    "vectors are those of a new library.",
)
@click.option("--text-model", metavar="NAME|DIR|none",
              help="Embed texts by the text tower of this model, which must have been made for the "
              "images of the library's model; none: by the model's own.")  # fmt: skip
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default=None,
    help="What images are embedded in, as for pixseek index. [env: PIXSEEK_PRECISION]",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.pass_context
def reindex(
    ctx: click.Context,
    keep: bool,
    files: bool,
    text_model: str | None,
    precision: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Embed the library's images by --model, and search by it from then on.

    Images are embedded from the previews that the library keeps, or from their files where a
    preview is too small for the model. Until all are embedded searches go on with the model that
    the library has, here and in other processes; then all of them take the new one. Vectors of
    other models are dropped then, unless you --keep them.

    Where both models have the same images (clip-b32-openai and clip-b32-multilingual), nothing is
    embedded: only texts are read by the other tower. --text-model takes one from anywhere. Its
    vectors must lie in the space of the library's images, or searches would find nothing; so it is
    compared with the model's own text tower first, and refused where they don't agree.

    Ctrl-C stops after the current batch; the library stays as it was, and the same command goes on
    where it stopped.
    """
    model = settings().get("model")
    if model is None and text_model is None:
        raise click.UsageError("Name the new model: pixseek reindex --model NAME", ctx)
    texts = "" if text_model == "none" else text_model
    with open_library(model=None, precision=precision) as library:

        def work(stop: threading.Event, show: Callable[[Progress], None]) -> Report:
            return library.reindex(
                model, text_model=texts, keep=keep, files=files, stop=stop, on_progress=show
            )

        report, stopped_by = drive(library, work, quiet=quiet)
        if as_json:
            from pixseek.wire import report_to_plain

            write_json(report_to_plain(report))
        elif not quiet:
            again = f"pixseek reindex{f' --model {quoted(model)}' if model else ''}"
            again += f" --text-model {quoted(text_model)}" if text_model else ""
            again += f"{' --keep' if keep else ''}{' --files' if files else ''}"
            named = named_library(library)
            write_reindex_report(
                report,
                status=library.status(),
                threads=library.config.thread_count,
                library=named,
                again=again + named,
            )
        if library.note and not quiet:
            warn(library.note)
        if stopped_by:
            ctx.exit(128 + stopped_by)
