"""`pixseek evaluate`: how well models find images by their captions."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from pixseek.cli import wording
from pixseek.cli.hints import settings
from pixseek.cli.index import drive
from pixseek.cli.options import Command, open_library, warn
from pixseek.cli.output import echo, styled, write_json
from pixseek.cli.progress import display
from pixseek.cli.results import terminal_size
from pixseek.errors import ModelError

if TYPE_CHECKING:
    from pixseek.evaluation import Evaluation
    from pixseek.library import Library
    from pixseek.types import Progress, Report

#: How measures are called, and those that a narrow terminal does without.
_TITLES = {"mrr@100": "MRR@100", "map": "mAP", "ndcg@10": "nDCG@10", "median_rank": "median rank"}
_LESS_NEEDED = ("map", "ndcg@10")
#: Columns of a terminal that has room for all measures.
_WIDE = 112


@click.command(
    cls=Command,
    section="Look after the library",
    short_help="Measure how well models find images by their captions.",
    examples=(
        ("pixseek evaluate", "the library's model, on your own captions"),
        ("pixseek evaluate flickr8k/ --models clip-b32-openai,siglip2-b16-256",
         "two models on a data set"),
        ("pixseek evaluate flickr8k/ --models study", "the six CLIP models of Vespa's study"),
        ("pixseek evaluate photos/captions.tsv --worst 10", "and the captions that find worst"),
    ),
)  # fmt: skip
@click.argument("source", required=False)
@click.option("--models", "named", default="", metavar="A,B,...",
              help="Models to compare with the first of them; `study`: the six CLIP models of "
              "Vespa's study. Default: the library's, or the usual one.")  # fmt: skip
@click.option("--where", metavar="FILTER", help='Only these images, as in "split:test".')
@click.option("--worst", type=click.IntRange(0, 20), default=0, metavar="N",
              help="Show the N captions that find their image worst.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="For the draws that intervals are made of.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    source: str | None,
    named: str,
    where: str | None,
    worst: int,
    seed: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure how well models find images by their captions, and captions by their images.

    SOURCE is whatever `pixseek index` takes and has captions: a data set such as Flickr8k or COCO,
    a table, a folder with captions beside its images. Without one it is the library itself. Each
    caption is a query of which the answer is known; each line of a caption counts as one. Every
    image is compared, so the model is measured, not an index.

    Each measure has the interval that holds it in 95 of 100 draws of as many images. Vectors are
    kept, so the next evaluation of the same source is quick, and one that was stopped goes on.
    """
    from pixseek.evaluation import STUDY

    names = [each for each in named.split(",") if each]
    names = [each for name in names for each in (STUDY if name == "study" else (name,))]
    if names and source is None:
        raise click.UsageError(
            "Models are compared on a source: pixseek evaluate SOURCE --models A,B", ctx
        )
    quiet = quiet or as_json
    if source is None:
        with open_library() as library:
            found = [_measured(library, where, seed, quiet)]
    else:
        found = _of_source(ctx, source, names, where, seed, quiet)
    if as_json:
        write_json(_plain(found))
    else:
        _write(found, worst)


def _of_source(
    ctx: click.Context, source: str, names: list[str], where: str | None, seed: int, quiet: bool
) -> list[Evaluation]:
    from pixseek.evaluation import library_of

    model = settings().get("model")
    found = []
    for name in names or [model or ""]:
        try:
            place = library_of(source, name or "default")
            with open_library(create=True, library=place, model=name or None) as library:
                stopped_by = _indexed(library, source, quiet)
                if stopped_by:
                    ctx.exit(128 + stopped_by)
                found.append(_measured(library, where, seed, quiet))
        except ModelError as error:
            if len(names) < 2:
                raise
            warn(f"{name} is left out: {error.problem}. {error.advice}")
    if not found:
        raise ModelError("none of the models could be measured", ", ".join(names), "See above.")
    return found


def _indexed(library: Library, source: str, quiet: bool) -> int:
    """Index what is new; return the signal that stopped it, or 0."""

    def work(stop: threading.Event, show: Callable[[Progress], None]) -> Report:
        return library.index(source, previews=False, stop=stop, on_progress=show)

    report, stopped_by = drive(library, work, quiet=quiet)
    if report.failures and not quiet:
        warn(f"{wording.counted(len(report.failures), 'image')} could not be read, and are not "
             "counted.")  # fmt: skip
    return stopped_by


def _measured(library: Library, where: str | None, seed: int, quiet: bool) -> Evaluation:
    from pixseek.evaluation import evaluate as measure

    with display(quiet=quiet) as shown:
        library.on_wait, library.on_download = shown.wait, shown.download
        return measure(library, where, seed=seed, on_progress=shown.show)


# ------------------------------------------------------------------ what is shown


def _plain(found: Sequence[Evaluation]) -> dict[str, object]:
    from pixseek.wire import difference_to_plain, evaluation_to_plain

    first = found[0]
    return {
        "evaluations": [evaluation_to_plain(each) for each in found],
        "differences": [difference_to_plain(each, first) for each in found[1:]],
    }


def _write(found: Sequence[Evaluation], worst: int) -> None:
    from pixseek.evaluation import MEASURES, difference

    first = found[0]
    echo(f"{wording.counted(first.images, 'image')}, {wording.counted(first.captions, 'caption')}"
         f"{f', {wording.visible(first.where)}' if first.where else ''}")  # fmt: skip
    wide = not sys.stdout.isatty() or terminal_size().columns >= _WIDE
    names = [each for each in MEASURES if wide or each not in _LESS_NEEDED]
    for direction in first.measures:
        echo()
        rows = [[direction, *(_TITLES.get(each, each) for each in names)]]
        for each in found:
            cells = []
            for name in names:
                estimate = each.measures[direction][name]
                if name == "median_rank":
                    cells.append(f"{estimate.value:g} ({estimate.low:g}-{estimate.high:g})")
                else:
                    half = (estimate.high - estimate.low) / 2
                    cells.append(f"{_share(estimate.value)} ±{_share(half)}")
            rows.append([wording.visible(each.model), *cells])
        chance = first.chance[direction]
        rows.append(
            ["by chance", *(
                f"{chance[name]:,.0f}" if name == "median_rank" else _share(chance[name])
                for name in names
            )]
        )  # fmt: skip
        _table(rows)
        for each in found[1:]:
            apart = difference(each, first, direction, "recall@10", first.seed)
            low, high = apart.difference.low, apart.difference.high
            verdict = "" if low > 0 or high < 0 else ": chance may explain it"
            echo(
                f"{wording.visible(each.model)} against {wording.visible(first.model)}: recall@10 "
                f"{apart.difference.value:+.3f} ({low:+.3f} to {high:+.3f}, "
                f"p {apart.p:.4f}){verdict}"
            )
    if first.copies:
        echo()
        misses = wording.counted(first.copies, "caption finds", "captions find")
        echo(f"{misses} a picture first that is nearly the same as the right one.")
    for each in found if worst else ():
        echo()
        echo(styled(f"{wording.visible(each.model)} finds worst", bold=True))
        for miss in each.worst[:worst]:
            copy = " (nearly the same)" if miss.is_copy else ""
            echo(f"  {miss.place:>6,}  {wording.visible(miss.caption)}")
            echo(styled(f"          {wording.visible(miss.uri)}; first came "
                        f"{wording.visible(miss.found_uri)}{copy}", dim=True))  # fmt: skip


def _share(value: float) -> str:
    """Return a share as the field writes it: ".678"."""
    return f"{value:.3f}".removeprefix("0") if value < 1 else "1"


def _table(rows: list[list[str]]) -> None:
    widths = [max(map(wording.cells, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        echo(styled(line, bold=True) if row is rows[0] else line)
