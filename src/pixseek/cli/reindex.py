"""`pixseek reindex`: change the library's model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, get_args

import click

from pixseek.cli.hints import named_library, quoted, settings
from pixseek.cli.index import drive
from pixseek.cli.options import Command, open_library, warn
from pixseek.cli.output import write_json
from pixseek.cli.summaries import write_reindex_report
from pixseek.types import Precision

if TYPE_CHECKING:
    from pixseek.types import Progress, Report


@click.command(
    cls=Command,
    section="Look after the library",
    short_help="Switch to another model; searches work meanwhile.",
    examples=(
        ("pixseek reindex --model siglip2-b16-224", "embed all images with another model"),
        ("pixseek reindex --model pe-core-l --keep", "and keep the old vectors"),
        ("pixseek reindex --model clip-b32-multilingual", "the same images, texts in 50 languages"),
        ("pixseek reindex --text-model ~/models/german", "texts with your own tower"),
    ),
)
@click.option(
    "--keep",
    is_flag=True,
    help="Keep the vectors of other models, to switch back without embedding again.",
)
@click.option(
    "--files",
    is_flag=True,
    help="Read the image files, if they are there, instead of the previews: slower, but the "
    "vectors are the same as in a new library.",
)
@click.option("--text-model", metavar="NAME|DIR|none",
              help="Embed texts with this model's text tower, which must match the image tower of "
              "the library's model; none: use the model's own.")  # fmt: skip
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default=None,
    help="Number format for embedding, as for pixseek index. [env: PIXSEEK_PRECISION]",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
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
    """Embed the library's images with --model, then use it for all searches.

    Images are embedded from the previews in the library, or from their files if a preview is too
    small for the model. Searches keep using the old model, here and in other processes, until all
    images are embedded; then every process switches to the new one. Vectors of other models are
    deleted then, unless you --keep them.

    If both models share an image tower (clip-b32-openai and clip-b32-multilingual), no image is
    embedded; only the text tower changes. --text-model takes any text tower. Its vectors must lie
    in the space of the library's images, or searches would find nothing; so it is first compared
    with the model's own text tower, and refused if they disagree.

    Ctrl-C stops after the current batch and leaves the library as it was; run the same command
    again to continue.
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
                precision=library.config.precision,
                library=named,
                again=again + named,
            )
        if library.note and not quiet:
            warn(library.note)
        if stopped_by:
            ctx.exit(128 + stopped_by)
