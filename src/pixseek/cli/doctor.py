"""`pixseek doctor`: check every part, and say what is missing with the command that mends it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import click

from pixseek import __version__
from pixseek.cli import wording
from pixseek.cli.exit_codes import FOUND_NOTHING
from pixseek.cli.index import quoted
from pixseek.cli.options import Command, settings
from pixseek.cli.results import write_json
from pixseek.errors import LibraryNotFoundError, PixseekError
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.config import Config
    from pixseek.models import ModelInfo
    from pixseek.types import Encoder

#: Free space under which a check warns: what the default model takes, and then some.
_ROOM = 2_000_000_000

_EXTRAS = (
    ("pyarrow", "parquet", "export to and import from .parquet"),
    ("psycopg", "postgres", "libraries in PostgreSQL"),
    ("reverse_geocode", "places", "names of places by the coordinates in photos"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one thing.

    Attributes:
        name: of the thing.
        state: "fail" where pixseek can't be used before it is mended.
        found: in a few words.
        advice: what to do, with the command; "" where nothing is to be done.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


@click.command(
    cls=Command,
    section="Look after the library",
    short_help="Check the installation, the model and the library.",
    examples=(
        ("pixseek doctor", "what is there, what is missing"),
        ("pixseek doctor --fetch", "download the model now, for use offline"),
        ("pixseek doctor --model ./my-model", "try a folder before indexing with it"),
    ),
)
@click.option("--fetch", is_flag=True, help="Download the model if it is missing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def doctor(ctx: click.Context, fetch: bool, as_json: bool) -> None:
    """Check the installation, the library, the model, the decoders and the terminal.

    Each line says what was found, and what to do where something is missing. The exit code is 0
    if pixseek can be used as it is.
    """
    checks = []
    for check in _checks(fetch):
        checks.append(check)
        if not as_json:
            _write(check)
    usable = all(check.state != "fail" for check in checks)
    if as_json:
        write_json({"usable": usable, "checks": [asdict(check) for check in checks]})
    else:
        click.echo("\nReady to use." if usable else "\nSomething has to be mended first.")
    if not usable:
        ctx.exit(FOUND_NOTHING)


def _write(check: Check) -> None:
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.state]
    mark = click.style(f"{check.state:<5}", fg=colour, bold=True)
    click.echo(f"{mark} {check.name:<10} {wording.visible(check.found)}")
    for line in check.advice.splitlines():
        click.echo(f"{'':<17}{line}")


def _checks(fetch: bool) -> Iterator[Check]:
    from pixseek.config import load_config

    yield _installation()
    yield from _packages()
    try:
        config = load_config(**settings())
    except PixseekError as error:
        yield _failed("settings", error)
        return
    yield _settings(config)
    yield from _library(config)
    yield from _model(config, fetch)
    yield from _decoders()
    yield from _extras()
    yield _terminal()


def _failed(name: str, error: PixseekError) -> Check:
    head = f"{error.problem}: {error.subject}" if error.subject else error.problem
    return Check(name, "fail", head, error.advice)


def _installation() -> Check:
    import platform

    return Check(
        "pixseek",
        "ok",
        f"{__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}",
    )


def _packages() -> Iterator[Check]:
    from importlib.metadata import PackageNotFoundError, version

    found, missing = [], []
    for name in ("numpy", "pillow", "onnxruntime", "tokenizers", "huggingface_hub"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    yield Check("packages", "ok", ", ".join(found))
    if missing:
        advice = f"{_pip()} --force-reinstall pixseek"
        yield Check("packages", "fail", f"missing: {', '.join(missing)}", advice)


def _pip() -> str:
    return f"{quoted(sys.executable)} -m pip install"


def _settings(config: Config) -> Check:
    from pixseek.config import config_file

    path = config_file()
    parts = [f"{path}{'' if path.is_file() else ' (not there, none needed)'}"]
    parts += [f"{name}={os.environ[name]}" for name in sorted(os.environ)
              if name.startswith("PIXSEEK_") or name == "HF_ENDPOINT"]  # fmt: skip
    if config.offline:
        parts.append("offline")
    return Check("settings", "ok", ", ".join(parts))


def _library(config: Config) -> Iterator[Check]:
    import shutil

    from pixseek.cli.options import open_library

    place = config.library
    existing = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    try:
        with open_library() as library:
            status = library.status()
    except LibraryNotFoundError:
        yield Check("library", "warn", f"none yet at {place}", "Make it: pixseek index ~/Pictures")
    except PixseekError as error:
        yield _failed("library", error)
    else:
        found = f"{status.path}: {wording.counted(status.records, 'image')}"
        model = f", model {status.model}" if status.model else ""
        yield Check("library", "ok", found + model)
        gone = [root for root in status.roots if not root.is_there]
        for root in gone:
            yield Check(
                "folders", "warn", f"{root.name} is not at {root.path}",
                "Bring it back (is its drive plugged in?), index its new place, or forget it: "
                f"pixseek remove --root {quoted(root.name)}",
            )  # fmt: skip
        if status.running:
            yield Check("lock", "warn", f"process {status.running.get('pid')} is indexing now",
                        "Wait for it, or stop it; searching works meanwhile.")  # fmt: skip
        failed = sum(status.failures.values())
        if failed:
            yield Check("failures", "warn", wording.counted(failed, "file") + " could not be read",
                        "See which, and why: pixseek failures")  # fmt: skip
    if not os.access(existing, os.W_OK):
        yield Check("disk", "warn", f"{existing} may not be written",
                    "Searching works. To index, choose another place: --library DIR")  # fmt: skip
        return
    free = shutil.disk_usage(existing).free
    yield Check(
        "disk", "ok" if free > _ROOM else "warn", f"{wording.size(free)} free at {existing}",
        "" if free > _ROOM else "Free some space, or choose another place: --library DIR",
    )  # fmt: skip


def _model(config: Config, fetch: bool) -> Iterator[Check]:
    from pixseek.models import describe, load

    name = _model_name(config)
    try:
        known = describe(config, name)
    except PixseekError as error:
        yield _failed("model", error)
        return
    if known.folder is None and known.layout and not fetch:
        yield Check(
            "model", "warn", f"{known.name} is not on this machine", _how_to_get(known, config)
        )
        return
    try:
        with _downloads(fetch) as told:
            encoder = load(config, name, on_progress=told)
        agreement = _try(encoder)
    except PixseekError as error:
        yield _failed("model", error)
        return
    where = f" in {known.folder}" if known.folder else ""
    yield Check(
        "model",
        "warn" if encoder.note else "ok",
        f"{encoder.name}{where}, {encoder.dim} numbers a picture; {agreement}",
        encoder.note,
    )


def _model_name(config: Config) -> str:
    """Return the model of the command line, else of the library, else of the settings."""
    from pixseek.cli.options import open_library
    from pixseek.models import default_name

    try:
        with open_library() as library:
            return library.model
    except PixseekError:
        return settings().get("model") or config.model or default_name()


def _how_to_get(known: ModelInfo, config: Config) -> str:
    if config.offline:
        return (
            f"Working offline. Fill {config.models_dir / known.name} by hand, or leave --offline "
            f"(PIXSEEK_OFFLINE) out once and run:\npixseek doctor --fetch --model {known.name}"
        )
    size = f" ({wording.size(known.missing_bytes)})" if known.missing_bytes else ""
    return (
        f"It is downloaded when it is first needed{size}; now: "
        f"pixseek doctor --fetch --model {known.name}\n"
        "Through a mirror of the hub: set HF_ENDPOINT. To try pixseek without it: pixseek demo"
    )


@contextmanager
def _downloads(fetch: bool) -> Iterator[Callable[[str, int, int | None], None] | None]:
    if not fetch:
        yield None
        return
    from pixseek.cli.progress import display

    with display() as shown:
        yield shown.download


def _try(encoder: Encoder) -> str:
    """Embed a drawn picture and a text; return what came of it."""
    import time

    from PIL import Image, ImageDraw

    from pixseek.types import Picture

    drawn = Image.new("RGB", (256, 256), (120, 170, 230))
    ImageDraw.Draw(drawn).ellipse((80, 80, 176, 176), fill=(220, 40, 40))
    began = time.perf_counter()
    prepared = encoder.prepare(Picture(drawn, 256, 256, ""))
    image = encoder.encode_images(prepared[None])
    seen = time.perf_counter()
    text = encoder.encode_texts(["a red ball"])
    read = time.perf_counter()
    score = float((image @ text.T)[0, 0])
    return (
        f"a drawn ball and its words agree by {score:.2f} "
        f"(picture {(seen - began) * 1000:.0f} ms, words {(read - seen) * 1000:.0f} ms)"
    )


def _decoders() -> Iterator[Check]:
    from pixseek.library.surfaces import formats

    there = [each for each in formats() if each.available()]
    base = ", ".join(each.name for each in there if not each.extra)
    more = ", ".join(each.name for each in there if each.extra)
    yield Check("decoders", "ok", f"{base}; with pixseek[formats]: {more}" if more else base)
    # One line for each package that is not there, with all it would decode.
    missing: dict[tuple[str, str], list[str]] = {}
    for each in formats():
        if each not in there:
            missing.setdefault((each.decoder, each.extra), []).append(each.name)
    for (decoder, extra), names in missing.items():
        mend = f"{_pip()} 'pixseek[{extra}]'" if extra else f"{_pip()} --force-reinstall pixseek"
        level: Literal["ok", "warn"] = "ok" if extra else "warn"
        yield Check(
            "optional" if extra else "decoders",
            level,
            f"not {', '.join(names)}: {decoder} is not installed",
            mend,
        )


def _extras() -> Iterator[Check]:
    from importlib.util import find_spec

    for package, extra, purpose in _EXTRAS:
        if find_spec(package):
            yield Check("optional", "ok", f"{package}, for {purpose}")
        else:
            advice = f"Only if you want it: {_pip()} 'pixseek[{extra}]'"
            yield Check("optional", "ok", f"{package} is not installed, for {purpose}", advice)
    if find_spec("turbovec"):
        yield Check("optional", "ok", "turbovec, for large libraries")
    else:
        yield Check("optional", "ok", "turbovec has no build for this platform: large libraries "
                    "are scanned exactly, which is slower")  # fmt: skip


def _terminal() -> Check:
    from pixseek.cli.terminal_images import graphics

    if not sys.stdout.isatty():
        return Check("terminal", "ok", "none here, so no thumbnails")
    how = graphics()
    if how is None:
        return Check("terminal", "ok", "shows no images",
                     "To see thumbnails all the same: pixseek search ... --thumbnails blocks, or "
                     "--html")  # fmt: skip
    colours = f", {how.colours} colours" if how.protocol == "sixel" else ""
    return Check("terminal", "ok", f"thumbnails as {how.protocol}{colours}, "
                 f"{how.cell[0]} x {how.cell[1]} pixels a character")  # fmt: skip
