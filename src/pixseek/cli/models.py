"""`pixseek models`: which models there are; fetching, exporting, checking and measuring them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixseek.cli import wording
from pixseek.cli.exit_codes import code_of
from pixseek.cli.options import Command, open_library, settings, show_error
from pixseek.cli.results import write_json
from pixseek.errors import LicenceError, ModelError, PixseekError

if TYPE_CHECKING:
    from pixseek.config import Config
    from pixseek.encoders.benchmark import Measurement
    from pixseek.encoders.hub.catalogue import Model
    from pixseek.encoders.parity import Stored
    from pixseek.types import Picture

_ACTIONS = ("list", "download", "remove", "trust", "export", "verify", "benchmark")

#: What `verify` ends with where something is wrong: as any other error of a model.
BROKEN = code_of(ModelError(""))

#: Pictures drawn where no photographs are named: 64 to calibrate int8 on, and 128 to check it on.
_DRAWN = 192


@click.command(
    cls=Command,
    section="Look after the library",
    short_help="List the models; download, export, verify or measure one.",
    examples=(
        ("pixseek models", "what there is, and what is on this machine"),
        ("pixseek models download siglip2-b16-224", "before going offline"),
        ("pixseek models download metaclip2-h14 --accept-licence", "after reading its licence"),
        ("pixseek models download google/siglip2-base-patch16-256", "any of the hub, by its id"),
        ("pixseek models remove siglip2-b16-224", "frees its disk space"),
        ("pixseek models trust ~/models/fg-clip2-base", "let it run the program code it brings"),
        (
            "pixseek models export pe-core-l --to ~/models/pe-l --photos ~/Pictures",
            "for use without torch; compared on your photos",
        ),
        ("pixseek models verify siglip2-b16-224", "is it whole, and are its vectors right?"),
        ("pixseek models benchmark", "measure the models that are here"),
    ),
)
@click.argument("action", type=click.Choice(_ACTIONS), default="list", metavar="[ACTION]")
@click.argument("names", nargs=-1, metavar="[NAME|DIR...]")
@click.option("--accept-licence", is_flag=True, help="Agree to licences that forbid some uses.")
@click.option("-y", "--yes", is_flag=True, help="trust: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="list: print one JSON object.")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="export: the folder to write; it must not be there yet.")  # fmt: skip
@click.option("--precision", "stored", type=click.Choice(("fp32", "fp16", "int8")),
              default="fp32", show_default=True,
              help="export: what weights are stored in; fp16 halves the folder, int8 quarters the "
              "matrices. They are computed with in 32 bits.")  # fmt: skip
@click.option("--photos", type=click.Path(path_type=Path), metavar="DIR",
              help="export, verify, benchmark: your own images to do it on, instead of "
              "drawn ones; --library takes those of a library.")  # fmt: skip
@click.option("--against", type=click.Path(path_type=Path), metavar="DIR",
              help="verify: the folder that the model was exported from, to compare "
              "both.")  # fmt: skip
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
) -> None:
    """List the models, download, remove or measure some, or let one run its own program code.

    ACTION is list (the default), download, remove, trust, export, verify or benchmark. Quality is
    recall@1 from text to image in per cent, as published. A model that two runtimes can run is run
    by ONNX Runtime; with `:torch` behind its name, as in clip-b32-openai:torch, it is run by torch.
    Models that are not listed are named by their repository on the hub, as OWNER/NAME.

    export writes a model that torch runs as a folder for ONNX Runtime, and keeps it only if it
    gives the same vectors. verify compares the files with their recorded SHA-256, opens both
    towers, and looks at their vectors; what is wrong ends with code 4. benchmark measures models
    on this machine, those that are here if none is named; the table shows what it found.
    """
    from pixseek.config import load_config

    config = load_config(**settings())
    own = _folders_of(photos) if action in ("export", "verify", "benchmark") else []
    if action == "list":
        _list(config, names, as_json)
        return
    if action == "benchmark":
        _benchmark(config, names, own)
        return
    if not names:
        raise click.UsageError(f"Which model? pixseek models {action} NAME", ctx)
    if action == "export" and (to is None or len(names) > 1):
        raise click.UsageError(
            "One model, to which folder? pixseek models export NAME --to DIR", ctx
        )
    verified = True
    for name in names:
        if action == "download":
            _download(name, config, accept_licence)
        elif action == "export" and to:
            _export(name, config, to, stored, own)
        elif action == "verify":
            verified &= _verify(name, config, own, against)
        elif action == "remove":
            _remove(name, config)
        else:
            _trust(name, config, yes)
    if not verified:
        ctx.exit(BROKEN)


# ------------------------------------------------------------------ list


def _list(config: Config, names: tuple[str, ...], as_json: bool) -> None:
    from pixseek.encoders import benchmark, describe, downloaded
    from pixseek.encoders.hub import catalogue

    for name in names:
        describe(name, config.models_dir)  # an unknown one is an error, which lists the known
    of_the_hub = {model.alias: model for model in downloaded(config.models_dir)}
    known = (
        [
            catalogue.find(name)
            or of_the_hub.get(name)
            or (None if Path(name).is_dir() else catalogue.on_hub(name))
            for name in names
        ]
        if names
        else [*catalogue.CATALOGUE, *of_the_hub.values()]
    )
    rows = [model for model in known if model]
    measured = benchmark.measurements(config.models_dir)
    if as_json:
        write_json({"models": [_plain(model, config, measured) for model in rows]})
        return
    head = (*_HEAD, *_MEASURED) if any(row.alias in measured for row in rows) else _HEAD
    cells = [_cells_of(model, config, measured.get(model.alias)) for model in rows]
    for line in _table(head, [row[: len(head)] for row in cells]):
        click.echo(line)


#: Benchmarks of English that most models were measured on; what else was published stands behind.
_COMMON = ("Flickr30k", "COCO")
_HEAD = ("", "model", "download", "languages", *_COMMON, "other", "run by", "licence")
_MEASURED = ("images/s", "text ms")
_RIGHT = frozenset({"download", *_COMMON, *_MEASURED})


def _cells_of(model: Model, config: Config, measured: Measurement | None) -> tuple[str, ...]:
    from pixseek.encoders import locate

    quality = dict(model.quality)
    return (
        "✓" if locate(model.alias, config.models_dir) else "",
        model.alias,
        wording.size(model.size) if model.size else "",
        model.languages,
        *(f"{quality[name]:.1f}" if name in quality else "" for name in _COMMON),
        ", ".join(f"{name} {of:.1f}" for name, of in model.quality if name not in _COMMON),
        ", ".join(_runtimes(model)),
        model.licence,
        *((f"{measured.images_per_s:.1f}", f"{measured.text_ms:.1f}") if measured else ("", "")),
    )


def _runtimes(model: Model) -> list[str]:
    return list(dict.fromkeys(source.runtime for source in model.sources)) or ["onnx"]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(wording.cells, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        line = "  ".join(
            f"{' ' * (width - wording.cells(cell))}{cell}"
            if title in _RIGHT
            else f"{cell}{' ' * (width - wording.cells(cell))}"
            for title, cell, width in zip(head, row, widths, strict=True)
        ).rstrip()
        yield click.style(line, bold=True) if row is head else line


def _plain(model: Model, config: Config, measured: Mapping[str, Measurement]) -> dict[str, Any]:
    from pixseek.encoders import describe

    known = describe(model.alias, config.models_dir)
    return {
        "name": model.alias,
        "description": model.description,
        "folder": str(known.folder) if known.folder else None,
        "download_bytes": model.size,
        "licence": model.licence,
        "asks_for_a_yes": model.restricted,
        "dim": model.dim,
        "image_side": model.input_side,
        "context": model.context,
        "languages": model.languages,
        "quality": dict(model.quality),
        "quality_source": model.quality_source,
        "precision": "auto",  # of all: what keeps the vectors is found on the user's own images
        "note": model.note,
        "measured": asdict(measured[model.alias]) if model.alias in measured else None,
        "sources": [
            {
                "runtime": source.runtime,
                "layout": source.layout,
                "repo": source.repo,
                "revision": source.revision,
            }
            for source in model.sources
        ],
    }


# ------------------------------------------------------------------ download, remove, trust


def _download(name: str, config: Config, accept_licence: bool) -> None:
    from pixseek import encoders
    from pixseek.cli.progress import display

    def agree(licence: str) -> bool:
        click.echo(f"{known.name}: {wording.visible(licence)}", err=True)
        agreed = accept_licence or (
            sys.stdin.isatty() and click.confirm("Do you agree to this licence?", err=True)
        )
        if agreed:
            encoders.accept_licence(name, config.models_dir, licence)
        return agreed

    def fetched() -> Path:
        with display() as shown:
            return encoders.fetch(
                name, config.models_dir, offline=config.offline, on_progress=shown.download
            )

    known = encoders.describe(name, config.models_dir)
    if known.restricted and known.folder is None:
        agree(known.licence)
    try:
        folder = fetched()
    except LicenceError as error:  # which only the hub knew
        if known.restricted or not agree(error.licence):
            raise
        folder = fetched()
    click.echo(f"{known.name} is in {wording.visible(str(folder))}.")


def _remove(name: str, config: Config) -> None:
    from pixseek import encoders

    freed = encoders.remove(name, config.models_dir)
    said = f"Removed {name}; that freed {wording.size(freed)}." if freed else f"{name} is not here."
    click.echo(said)


def _trust(name: str, config: Config, yes: bool) -> None:
    from pixseek import encoders

    folder = encoders.locate(name, config.models_dir)
    if folder is None:
        encoders.describe(name, config.models_dir)
        raise ModelError(
            "a model is not on this machine yet", name, f"Run: pixseek models download {name}"
        )
    code = encoders.own_code(Path(folder))
    if not code:
        click.echo(f"{name} brings no program code of its own.")
        return
    for path in code:
        click.echo(f"{wording.size(path.stat().st_size):>9}  {wording.visible(str(path))}")
    if yes or click.confirm("This code could do whatever you can. Let it run?", err=True):
        encoders.trust(Path(folder), config.models_dir)
        click.echo(f"{name} may run it, as it is now.")


# ------------------------------------------------------------------ export, verify, benchmark


def _export(name: str, config: Config, to: Path, stored: Stored, photos: Sequence[Path]) -> None:
    from pixseek import encoders
    from pixseek.cli.progress import display
    from pixseek.encoders.export import export

    with display() as shown:
        encoder = encoders.load(
            name,
            models_dir=config.models_dir,
            offline=config.offline,
            threads=config.threads,
            on_progress=shown.download,
        )
    to = to.expanduser()
    pictures = _pictures(photos, encoder.input_side)
    found = export(encoder, to, pictures, precision=stored, models_dir=config.models_dir)
    _rows(found.lines())
    _say_of_drawn(photos)
    click.echo(f"{name} is in {wording.visible(str(to))}, for --model.")


def _verify(name: str, config: Config, photos: Sequence[Path], against: Path | None) -> bool:
    from pixseek.encoders import describe
    from pixseek.encoders.verification import verify

    pictures = _pictures(photos, describe(name, config.models_dir).input_side)
    checks = verify(name, pictures, models_dir=config.models_dir, against=against)
    good = True
    click.echo(click.style(wording.visible(name), bold=True))
    for check in checks:
        good &= check.good is not False
        mark = {True: "✓", False: "✗", None: "-"}[check.good]
        click.echo(f"{mark} {wording.visible(check.what):<8} {wording.visible(check.found)}")
    if against is not None:
        _say_of_drawn(photos)
    return good


def _benchmark(config: Config, names: tuple[str, ...], photos: Sequence[Path]) -> None:
    from pixseek.encoders import describe, downloaded, locate
    from pixseek.encoders.benchmark import measure
    from pixseek.encoders.hub import catalogue

    known = (*catalogue.CATALOGUE, *downloaded(config.models_dir))
    here = [m.alias for m in known if locate(m.alias, config.models_dir)]
    for name in names or here:
        try:
            pictures = _pictures(photos, describe(name, config.models_dir).input_side)
            found = measure(name, pictures, config.models_dir)
        except PixseekError as error:
            if names:
                raise
            show_error(error)  # the others can be measured all the same
            continue
        click.echo(click.style(wording.visible(name), bold=True))
        how = f" in {found.precision} by {found.runtime}" if found.runtime else ""
        _rows(
            (
                ("images", f"{found.images_per_s:.1f} a second{how}"),
                ("a short text", f"{found.text_ms:.1f} ms"),
                ("start to first vector", f"{found.first_vector_s:.2f} s"),
                ("memory", f"{found.peak_mib} MiB at most" if found.peak_mib else "unknown"),
            )
        )


def _rows(rows: Iterable[tuple[str, str]]) -> None:
    for what, value in rows:
        click.echo(f"  {what:<22} {value}")


def _folders_of(photos: Path | None) -> list[Path]:
    """Return the folders of photos that the command line names: one, or those of a library."""
    if photos is not None:
        return [photos.expanduser()]
    if not settings().get("library"):
        return []
    with open_library() as library:
        return [root.path for root in library.roots()]


def _pictures(folders: Sequence[Path], side: int) -> list[Picture]:
    """Return the images of folders, or drawn ones, always the same, where none is named."""
    if folders:
        from pixseek.encoders.parity import pictures_in

        return pictures_in(*folders, side=side)
    import random

    from pixseek.demo.drawing import render
    from pixseek.demo.scenes import random_scene
    from pixseek.types import Picture

    chance = random.Random(7)
    drawn = [render(random_scene(chance)) for _ in range(_DRAWN)]
    return [Picture(each, each.width, each.height, "image/png") for each in drawn]


def _say_of_drawn(photos: Sequence[Path]) -> None:
    if not photos:
        click.echo("Compared on drawn pictures; --photos DIR compares on your own.", err=True)
