"""`pixseek models`: which models there are, and fetching, removing and trusting them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixseek.cli import wording
from pixseek.cli.options import Command, settings
from pixseek.cli.results import write_json

if TYPE_CHECKING:
    from pixseek.config import Config
    from pixseek.encoders.catalogue import Model

_ACTIONS = ("list", "download", "remove", "trust")


@click.command(
    cls=Command,
    section="Look after the library",
    short_help="List the models; download or remove one.",
    examples=(
        ("pixseek models", "what there is, and what is on this machine"),
        ("pixseek models download siglip2-b16-224", "before going offline"),
        ("pixseek models download metaclip2-h14 --accept-licence", "after reading its licence"),
        ("pixseek models remove siglip2-b16-224", "frees its disk space"),
        ("pixseek models trust ~/models/fg-clip2-base", "let it run the program code it brings"),
    ),
)
@click.argument("action", type=click.Choice(_ACTIONS), default="list", metavar="[ACTION]")
@click.argument("names", nargs=-1, metavar="[NAME|DIR...]")
@click.option("--accept-licence", is_flag=True, help="Agree to licences that forbid some uses.")
@click.option("-y", "--yes", is_flag=True, help="trust: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="list: print one JSON object.")
@click.pass_context
def models(
    ctx: click.Context,
    action: str,
    names: tuple[str, ...],
    accept_licence: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """List the models, download or remove some, or let one run its own program code.

    ACTION is list (the default), download, remove or trust. Quality is recall@1 from text to
    image in per cent, as published. A model that two runtimes can run is run by ONNX Runtime;
    with `:torch` behind its name, as in clip-b32-openai:torch, it is run by torch.
    """
    from pixseek.config import load_config

    config = load_config(**settings())
    if action == "list":
        _list(config, names, as_json)
        return
    if not names:
        raise click.UsageError(f"Which model? pixseek models {action} NAME", ctx)
    for name in names:
        if action == "download":
            _download(name, config, accept_licence)
        elif action == "remove":
            _remove(name, config)
        else:
            _trust(name, config, yes)


# ------------------------------------------------------------------ list


def _list(config: Config, names: tuple[str, ...], as_json: bool) -> None:
    from pixseek.encoders import catalogue, describe

    for name in names:
        describe(name, config.models_dir)  # an unknown one is an error, which lists the known
    known = [catalogue.find(name) for name in names] if names else list(catalogue.CATALOGUE)
    rows = [model for model in known if model]
    if as_json:
        write_json({"models": [_plain(model, config) for model in rows]})
    else:
        for line in _table([_cells_of(model, config) for model in rows]):
            click.echo(line)


_HEAD = ("", "model", "download", "languages", "Flickr30k", "COCO", "run by", "licence")
_RIGHT = frozenset({"download", "Flickr30k", "COCO"})


def _cells_of(model: Model, config: Config) -> tuple[str, ...]:
    from pixseek.encoders import locate

    quality = dict(model.quality)
    return (
        "✓" if locate(model.alias, config.models_dir) else "",
        model.alias,
        wording.size(model.size) if model.size else "",
        model.languages,
        *(f"{quality[name]:.1f}" if name in quality else "" for name in ("Flickr30k", "COCO")),
        ", ".join(_runtimes(model)),
        model.licence,
    )


def _runtimes(model: Model) -> list[str]:
    return list(dict.fromkeys(source.runtime for source in model.sources)) or ["onnx"]


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(wording.cells, column)) for column in zip(_HEAD, *rows, strict=True)]
    for row in (_HEAD, *rows):
        line = "  ".join(
            f"{' ' * (width - wording.cells(cell))}{cell}"
            if title in _RIGHT
            else f"{cell}{' ' * (width - wording.cells(cell))}"
            for title, cell, width in zip(_HEAD, row, widths, strict=True)
        ).rstrip()
        yield click.style(line, bold=True) if row is _HEAD else line


def _plain(model: Model, config: Config) -> dict[str, Any]:
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
        "note": model.note,
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

    known = encoders.describe(name, config.models_dir)
    if known.restricted and known.folder is None:
        click.echo(f"{known.name}: {known.licence}", err=True)
        if accept_licence or (
            sys.stdin.isatty() and click.confirm("Do you agree to this licence?", err=True)
        ):
            encoders.accept_licence(name, config.models_dir)
    with display() as shown:
        folder = encoders.fetch(
            name, config.models_dir, offline=config.offline, on_progress=shown.download
        )
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
        click.echo(f"{name} is not on this machine yet: pixseek models download {name}", err=True)
        return
    code = encoders.own_code(Path(folder))
    if not code:
        click.echo(f"{name} brings no program code of its own.")
        return
    for path in code:
        click.echo(f"{wording.size(path.stat().st_size):>9}  {wording.visible(str(path))}")
    if yes or click.confirm("This code could do whatever you can. Let it run?", err=True):
        encoders.trust(Path(folder), config.models_dir)
        click.echo(f"{name} may run it, as it is now.")
