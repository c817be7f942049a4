"""`pixseek models`: list, download, export, verify, measure and calibrate models."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from pixseek.cli import wording
from pixseek.cli.exit_codes import code_of
from pixseek.cli.hints import settings
from pixseek.cli.options import Command, open_library, show_error
from pixseek.cli.output import agreed, echo, styled, write_json
from pixseek.cli.results import terminal_size
from pixseek.cli.waits import waits
from pixseek.errors import LicenceError, ModelError, PixseekError

if TYPE_CHECKING:
    from pixseek.config import Config
    from pixseek.models import Stored
    from pixseek.models.calibration import CalibrationReport
    from pixseek.types import Failure

_ACTIONS = (
    "list", "download", "remove", "trust", "export", "verify", "benchmark", "calibrate",
)  # fmt: skip

#: A tenth whose probability is this far from the share that is right.
_FAR_OFF = 0.15

#: Images that could not be used, to list at most.
_LISTED = 10

#: The options that only some actions have.
_OF_ACTIONS = {
    "accept_licence": ("download",), "yes": ("trust",), "as_json": ("list", "calibrate"),
    "to": ("export", "calibrate"), "stored": ("export",),
    "photos": ("export", "verify", "benchmark", "calibrate"), "against": ("verify",),
    "captions": ("calibrate",), "image_column": ("calibrate",), "caption_column": ("calibrate",),
}  # fmt: skip

#: The exit code of `verify` if a model is broken: that of any other error of a model.
BROKEN = code_of(ModelError(""))


@click.command(
    cls=Command,
    section="Look after the library",
    short_help="List, download, export, verify, measure or calibrate models.",
    examples=(
        ("pixseek models", "all models, with a ✓ if on this machine"),
        ("pixseek models download siglip2-b16-224", "before going offline"),
        ("pixseek models download metaclip2-h14 --accept-licence", "after reading its licence"),
        ("pixseek models download google/siglip2-base-patch16-256", "a repository on the hub"),
        ("pixseek models remove siglip2-b16-224", "free its disk space"),
        ("pixseek models trust ~/models/fg-clip2-base", "let it run its own program code"),
        (
            "pixseek models export pe-core-l --to ~/models/pe-l --photos ~/Pictures",
            "for use without torch; compared on your photos",
        ),
        ("pixseek models verify siglip2-b16-224", "check its files and its vectors"),
        ("pixseek models benchmark", "measure all models on this machine"),
        (
            "pixseek models calibrate ~/models/own --captions photos/captions.tsv",
            "let searches say how probable a hit is",
        ),
    ),
)
@click.argument("action", type=click.Choice(_ACTIONS), default="list", metavar="[ACTION]")
@click.argument("names", nargs=-1, metavar="[NAME|DIR...]")
@click.option("--accept-licence", is_flag=True, help="Agree to licences that forbid some uses.")
@click.option("-y", "--yes", is_flag=True, help="trust: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="list, calibrate: print one JSON object.")
@click.option("--to", type=click.Path(path_type=Path), metavar="PATH",
              help="export: folder to create; calibrate: file to write instead of "
              "calibration.json in the model's folder.")  # fmt: skip
@click.option("--precision", "stored", type=click.Choice(("fp32", "fp16", "int8")),
              default="fp32", show_default=True,
              help="export: number format of the stored weights; fp16 halves the folder, int8 "
              "quarters the matrices. Computing stays in 32 bits.")  # fmt: skip
@click.option("--photos", type=click.Path(path_type=Path), metavar="DIR",
              help="export, verify, benchmark: use these images instead of drawn ones; with "
              "--library, the library's. calibrate: the folder that the table's files are "
              "in.")  # fmt: skip
@click.option("--against", type=click.Path(path_type=Path), metavar="DIR",
              help="verify: compare with this folder, from which the model was "
              "exported.")  # fmt: skip
@click.option("--captions", type=click.Path(path_type=Path, dir_okay=False), metavar="TABLE",
              help="calibrate: CSV or TSV file with a column of image files and one of "
              "captions.")  # fmt: skip
@click.option("--image-column", default="", metavar="NAME",
              help="calibrate: the column of image files, if its name is unusual.")  # fmt: skip
@click.option("--caption-column", default="", metavar="NAME",
              help="calibrate: the column of captions, if its name is unusual.")  # fmt: skip
@click.pass_context
def models(
    ctx: click.Context,
    action: str,
    names: tuple[str, ...],
    accept_licence: bool,
    yes: bool,
    as_json: bool,
    to: Path | None,
    stored: Stored,
    photos: Path | None,
    against: Path | None,
    captions: Path | None,
    image_column: str,
    caption_column: str,
) -> None:
    """List models, or download, remove, trust, export, verify, measure or calibrate them.

    ACTION is list (the default), download, remove, trust, export, verify, benchmark or calibrate.

    list prints a table. Its columns Flickr30k, COCO and other are recall@1 from text to image in
    per cent, as published. If both onnx and torch can run a model, ONNX Runtime does; add `:torch`
    to its name (clip-b32-openai:torch) to use torch. Name a model that is not listed by its
    repository on the hub: OWNER/NAME.

    export writes a model that torch runs as a folder for ONNX Runtime, and keeps it only if it
    gives the same vectors.

    verify compares the files with their recorded SHA-256, opens both towers, and checks their
    vectors; a broken model ends with exit code 4.

    benchmark measures the named models, or all models on this machine; list then shows the
    results.

    calibrate measures how probable a hit is, on images with captions: at least 200, better 1,000,
    best with several captions each. It writes calibration.json into the model's folder. Searches
    with this model then show probabilities.
    """
    from pixseek.config import load_config

    for option, of in _OF_ACTIONS.items():
        if action not in of and ctx.get_parameter_source(option) is not ParameterSource.DEFAULT:
            name = next(each.opts[-1] for each in ctx.command.params if each.name == option)
            allowed = " or ".join(f"pixseek models {each}" for each in of)
            raise click.UsageError(f"{name} belongs to {allowed}, not to {action}.", ctx)
    config = load_config(**settings())
    own = _folders_of(photos) if action in ("export", "verify", "benchmark") else []
    if action == "list":
        _list(config, names, as_json)
        return
    if action == "benchmark":
        _benchmark(config, names, own)
        return
    if action == "calibrate":
        if captions is None or len(names) != 1:
            raise click.UsageError(
                "Name one model and a table: pixseek models calibrate NAME --captions TABLE", ctx
            )
        _calibrate(config, names[0], captions, photos, (image_column, caption_column), to, as_json)
        return
    if not names:
        raise click.UsageError(f"Name a model: pixseek models {action} NAME", ctx)
    if action == "export" and (to is None or len(names) > 1):
        raise click.UsageError(
            "Name one model and a folder: pixseek models export NAME --to DIR", ctx
        )
    verified = True
    for name in names:
        if action == "download":
            _download(config, name, accept_licence)
        elif action == "export" and to:
            _export(config, name, to, stored, own)
        elif action == "verify":
            verified &= _verify(config, name, own, against)
        elif action == "remove":
            _remove(config, name)
        else:
            _trust(config, name, yes)
    if not verified:
        ctx.exit(BROKEN)


# ------------------------------------------------------------------ list


def _list(config: Config, names: tuple[str, ...], as_json: bool) -> None:
    from pixseek.models import list_models

    rows = list_models(config, names)
    if as_json:
        from pixseek.wire import model_to_plain

        write_json({"models": [model_to_plain(row) for row in rows]})
        return
    from pixseek.cli import model_table
    from pixseek.models import default_name

    width = terminal_size().columns if sys.stdout.isatty() else None
    for line in model_table.lines(rows, width, default_name()):
        echo(line)
    if names and width is not None:
        for row in rows:
            calibrated = wording.strengths(row.calibration.images if row.calibration else None)
            echo(f"{wording.visible(row.name)}: strength {calibrated}.")


# ------------------------------------------------------------------ download, remove, trust


def _download(config: Config, name: str, accept_licence: bool) -> None:
    from pixseek.cli.progress import display
    from pixseek.models import accept, describe, fetch

    def agree(licence: str) -> bool:
        echo(f"{wording.visible(known.name)}: {wording.visible(licence)}", err=True)
        yes = accept_licence or (sys.stdin.isatty() and agreed("Do you agree to this licence?"))
        if yes:
            accept(config, name, licence)
        return yes

    def fetched() -> Path:
        with display() as shown:
            shown.wait(f"Looking for {name} on the hub")
            try:
                return fetch(config, name, on_progress=shown.download)
            finally:  # a question about its licence may follow
                shown.wait("")

    known = describe(config, name)
    if known.restricted and known.folder is None:
        agree(known.licence)
    try:
        folder = fetched()
    except LicenceError as error:  # only the hub knew of it
        if known.restricted or not agree(error.licence):
            raise
        folder = fetched()
    echo(f"{wording.visible(known.name)} is in {wording.visible(str(folder))}.")


def _remove(config: Config, name: str) -> None:
    from pixseek.models import remove

    freed = remove(config, name)
    echo(
        f"Removed {wording.visible(name)} and freed {wording.size(freed)}."
        if freed
        else f"{wording.visible(name)} is not on this machine."
    )


def _trust(config: Config, name: str, yes: bool) -> None:
    from pixseek.models import own_code, trust

    code = own_code(config, name)
    if not code:
        echo(f"{wording.visible(name)} has no program code of its own.")
        return
    for path in code:
        echo(f"{wording.size(path.stat().st_size):>9}  {wording.visible(str(path))}")
    if yes or agreed("This code can do anything you can do. Allow it to run?"):
        trust(config, name)
        echo(f"{wording.visible(name)} may run this code, as it is now.")


# ------------------------------------------------------------------ export, verify, benchmark


def _export(config: Config, name: str, to: Path, stored: Stored, photos: Sequence[Path]) -> None:
    from pixseek.models import export, load

    said = waits()
    with said.waiting(f"Loading {name}"):
        encoder = load(config, name, on_progress=said.download)
    to = Path(os.path.expanduser(to))
    with said.waiting(f"Exporting {name}, and comparing the vectors of both"):
        found = export(config, encoder, to, photos=photos, precision=stored)
    _rows(found.lines())
    _say_of_drawn(photos)
    echo(f"{wording.visible(name)} is in {wording.visible(str(to))}. Use it with --model.")


def _verify(config: Config, name: str, photos: Sequence[Path], against: Path | None) -> bool:
    from pixseek.models import verify

    said, good = waits(), True
    with said.waiting(f"Checking {name}"):
        checks = verify(config, name, photos=photos, against=against)
    echo(styled(wording.visible(name), bold=True))
    while True:
        with said.waiting(f"Checking {name}"):
            check = next(checks, None)
        if check is None:
            break
        good &= check.good is not False
        mark = {True: "✓", False: "✗", None: "-"}[check.good]
        found = wording.fitted(wording.visible(check.found), hanging=" " * 11, first=11)
        echo(f"{mark} {wording.visible(check.what):<8} {found}")
    if against is not None:
        _say_of_drawn(photos)
    return good


def _benchmark(config: Config, names: tuple[str, ...], photos: Sequence[Path]) -> None:
    from pixseek.models import benchmark, on_this_machine

    said = waits()
    for name in names or on_this_machine(config):
        try:
            with said.waiting(f"Measuring {name}"):
                found = benchmark(config, name, photos=photos)
        except PixseekError as error:
            if names:
                raise
            show_error(error)  # the other models can still be measured
            continue
        echo(styled(wording.visible(name), bold=True))
        how = f" ({found.precision} in {found.runtime})" if found.runtime else ""
        _rows(
            (
                ("images", f"{found.images_per_s:,.1f} a second{how}"),
                ("a short text", f"{found.text_ms:.1f} ms"),
                ("start to first vector", f"{found.first_vector_s:.2f} s"),
                ("memory", f"{found.peak_mib:,} MiB at its peak" if found.peak_mib else "unknown"),
            )
        )


# ------------------------------------------------------------------ calibrate


def _calibrate(
    config: Config,
    name: str,
    captions: Path,
    photos: Path | None,
    columns: tuple[str, str],
    to: Path | None,
    as_json: bool,
) -> None:
    from pixseek.cli.progress import display
    from pixseek.models import calibrate

    with display(quiet=as_json) as shown:
        found = calibrate(
            config,
            name,
            Path(os.path.expanduser(captions)),
            photos=Path(os.path.expanduser(photos)) if photos else None,
            image_column=columns[0],
            caption_column=columns[1],
            to=Path(os.path.expanduser(to)) if to else None,
            on_progress=shown.show,
            on_wait=shown.wait,
        )
    if as_json:
        from pixseek.wire import calibration_to_plain

        write_json(calibration_to_plain(found))
        return
    _write_calibration(found)


def _write_calibration(report: CalibrationReport) -> None:
    found, said = report.found, report.found.accuracy
    calibration = found.calibration
    of = ""
    if report.images_in_table > found.images + len(report.failures):
        of = f", drawn from {wording.number(report.images_in_table)}"
    text = (
        f"{wording.visible(report.model)}: calibrated on {wording.counted(found.images, 'image')}"
        f"{of}, by {wording.number(found.queries)} words and pairs of words of their captions "
        f"(slope {calibration.slope:g}, centre {calibration.centre:g})."
    )
    echo(wording.fitted(text))
    echo("Measured on queries that were not fitted:")
    echo()
    echo(styled("  probability   right        hits", bold=True))
    for each in said.reliability:
        echo(f"  {each.probability:11.2f}   {each.right:5.2f}  {wording.number(each.count):>10}")
    echo()

    def share(value: float | None) -> str:
        return "there are none" if value is None else f"{value:.0%} are right"

    _rows(
        (
            ("strong hits", share(said.strong_precision)),
            ("likely hits and better", share(said.likely_precision)),
            ("queries", f"{said.queries_with_strong:.0%} find something strong"),
            ("calibration error", f"{said.ece:.4f} in the mean, at most {said.largest_gap:.2f}"),
            (
                "Brier score",
                f"{said.brier:.4f} ({said.brier_of_base_rate:.4f} if every hit got the same "
                "probability)",
            ),
        )
    )
    echo(f"Written to {wording.visible(str(report.file))}.")
    if said.largest_gap > _FAR_OFF:
        text = (
            "The probabilities are far from the shares that are right. More images help, or "
            "several captions an image; or delete the file, and searches show words only."
        )
        echo(wording.fitted(text, err=True), err=True)
    if report.failures:
        _write_unused(report.failures)


def _write_unused(failures: Sequence[Failure]) -> None:
    """Say which images could not be used."""
    echo(f"{wording.counted(len(failures), 'image')} could not be used:", err=True)
    for failure in failures[:_LISTED]:
        echo(f"  {wording.visible(failure.uri)}: {wording.visible(failure.message)}", err=True)
    if len(failures) > _LISTED:
        echo(f"  and {wording.number(len(failures) - _LISTED)} more (--json)", err=True)


def _rows(rows: Iterable[tuple[str, str]]) -> None:
    for what, value in rows:
        echo(f"  {wording.visible(what):<22} {wording.visible(value)}")


def _folders_of(photos: Path | None) -> list[Path]:
    """Return the folders of photos that the command line names: --photos, or a library's."""
    if photos is not None:
        return [Path(os.path.expanduser(photos))]
    if not settings().get("library"):
        return []
    with open_library() as library:
        return [root.path for root in library.roots() if root.kind == "folder"]


def _say_of_drawn(photos: Sequence[Path]) -> None:
    if not photos:
        said = "Compared on drawn pictures. To compare on your own: --photos DIR"
        echo(wording.fitted(said, err=True), err=True)
