"""`pixseek doctor`: check every part, and show the command that fixes what is missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Literal

import click

from pixseek import __version__
from pixseek.cli import wording
from pixseek.cli.exit_codes import FOUND_NOTHING
from pixseek.cli.hints import hinted, quoted, settings
from pixseek.cli.options import Command
from pixseek.cli.output import echo, styled, write_json
from pixseek.cli.results import terminal_size
from pixseek.cli.usage import check_alone
from pixseek.cli.waits import Waits, waits
from pixseek.errors import LibraryNotFoundError, PixseekError
from pixseek.redaction import redacted
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.config import Config
    from pixseek.models import ModelInfo
    from pixseek.types import Encoder

#: Least free space without a warning: the default model and room to work.
_ROOM = 2_000_000_000

_EXTRAS = (
    ("pyarrow", "parquet", "export to and import from .parquet"),
    ("psycopg", "postgres", "libraries in PostgreSQL"),
    ("reverse_geocode", "places", "place names from the coordinates in photos"),
    ("rapidocr", "ocr", "text in pictures"),
)


#: The least share of the nearest images that searches should find.
_RECALL = 0.98


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        name: of the part.
        state: "fail" if pixseek can't be used before it is fixed.
        found: the result, in a few words.
        advice: what to do, with the command; "" for nothing.
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
        ("pixseek doctor", "what works, and what is missing"),
        ("pixseek doctor --fetch", "download the model now, to work offline"),
        ("pixseek doctor --model ./my-model", "try a folder before indexing with it"),
        ("pixseek doctor --licences", "what everything installed is licensed under"),
    ),
)
@click.option("--fetch", is_flag=True, help="Download the model if it is missing.")
@click.option("--licences", is_flag=True,
              help="List the licences of pixseek and of all packages it uses here.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def doctor(ctx: click.Context, fetch: bool, licences: bool, as_json: bool) -> None:
    """Check the installation, the library, the model, the decoders and the terminal.

    Each line shows the result of a check, and what to do if something is missing. The exit code is
    0 if pixseek can be used as it is.
    """
    check_alone(ctx, ("fetch", "licences"))
    if licences:
        _write_licences(as_json)
        return
    checks = []
    for found in _checks(fetch):
        check = replace(found, found=redacted(found.found), advice=redacted(hinted(found.advice)))
        checks.append(check)
        if not as_json:
            _write(check)
    usable = all(check.state != "fail" for check in checks)
    if as_json:
        write_json({"usable": usable, "checks": [asdict(check) for check in checks]})
    else:
        echo("\nReady to use." if usable else "\nNot ready: fix the lines marked fail first.")
    if not usable:
        ctx.exit(FOUND_NOTHING)


def _write_licences(as_json: bool) -> None:
    """Write every installed package with its licence, and what its wheel bundles."""
    from pixseek.licences import parts

    found = parts()
    if as_json:
        from pixseek.wire import licences_to_plain

        write_json(licences_to_plain(found))
        return
    if not sys.stdout.isatty():
        for part in found:
            bundles = "; ".join(f"{each.name}: {each.licence}" for each in part.bundles)
            row = (part.name, part.version, part.licence, part.says, " ".join(part.extras), bundles)
            echo("\t".join(map(wording.field, row)))
        return
    for part in found:
        extras = f"  pixseek[{','.join(part.extras)}]" if part.extras else ""
        head = wording.visible(f"{part.name} {part.version}")
        echo(f"{styled(head, bold=True)}{styled(extras, dim=True)}")
        echo(f"  {wording.fitted(wording.visible(part.licence), hanging='  ', first=2)}")
        for each in part.bundles:
            text = wording.visible(f"bundles {each.name}: {each.licence}")
            echo(styled(f"    {wording.fitted(text, hanging='      ', first=4)}", dim=True))
    note = (
        "As the packages state it. Models have licences of their own: pixseek models. "
        "More: docs/licences.md"
    )
    echo(wording.fitted(f"\n{note}"))


def _write(check: Check) -> None:
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.state]
    mark = styled(f"{check.state:<5}", fg=colour, bold=True)
    first, *more = _fitted(wording.visible(check.found))
    echo(f"{mark} {check.name:<10} {first}")
    for line in check.advice.splitlines():
        # A command stays in one line, so that it can be copied.
        more += [line] if line.startswith(("pixseek ", _pip())) else _fitted(line)
    for line in more:
        echo(f"{'':<17}{line}")


def _fitted(text: str) -> list[str]:
    """Return lines that fit the terminal, right of the names of the checks."""
    if not sys.stdout.isatty():
        return [text]
    return wording.wrapped(text, terminal_size().columns - 18)


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
    said = waits()
    with said.waiting("Looking at the library"):
        library = list(_library(config))
    yield from library
    with said.waiting("Trying the model"):
        model = list(_model(config, fetch, said))
    yield from model
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
    parts = [f"{path}{'' if os.path.isfile(path) else ' (optional; does not exist)'}"]
    # One by one: they may hold tokens, and addresses with passwords.
    parts += [redacted(f"{name}={os.environ[name]}") for name in sorted(os.environ)
              if name.startswith("PIXSEEK_") or name == "HF_ENDPOINT"]  # fmt: skip
    if config.offline:
        parts.append("offline")
    return Check("settings", "ok", ", ".join(parts))


def _library(config: Config) -> Iterator[Check]:
    import shutil

    from pixseek.cli.options import open_library

    place = config.library
    existing = next(
        folder for folder in (place, *place.absolute().parents) if os.path.exists(folder)
    )
    try:
        with open_library() as library:
            status, recall = library.status(), library.recall()
            unindexed = library.unindexed()
    except LibraryNotFoundError:
        yield Check("library", "warn", f"none yet at {place}",
                    "To create it: pixseek index ~/Pictures")  # fmt: skip
    except PixseekError as error:
        yield _failed("library", error)
    else:
        found = f"{status.path}: {wording.counted(status.records, 'image')}"
        model = f", model {status.model}" if status.model else ""
        yield Check("library", "ok", found + model)
        if recall is not None:
            said = f"{100 * recall:.0f} % of the nearest images are found"
            advice = "pixseek search --exact compares with every image. In searches of a server, "
            advice += "breadth=N in its address looks further."
            enough = recall >= _RECALL
            yield Check("index", "ok" if enough else "warn", said, "" if enough else advice)
        if unindexed:
            said = f"{wording.counted(unindexed, 'vector')} are not in an index: searches compare "
            said += "with all of them, which is exact and slow"
            yield Check("index", "warn", said,
                        "To build it, as the user who made the tables: pixseek index")  # fmt: skip
        gone = [root for root in status.roots if not root.is_there]
        for root in gone:
            yield Check(
                "folders", "warn", f"{root.name} is missing at {root.path}",
                "Is its drive plugged in? If it has moved, index it again. To remove it:\n"
                f"pixseek remove --root {quoted(root.name)}",
            )  # fmt: skip
        if status.running:
            yield Check("lock", "warn", f"process {status.running.get('pid')} is indexing now",
                        "Searching works meanwhile.")  # fmt: skip
        failed = sum(status.failures.values())
        if failed:
            yield Check("failures", "warn", wording.counted(failed, "file") + " could not be read",
                        "To list them with reasons: pixseek failures")  # fmt: skip
    if not os.access(existing, os.W_OK):
        yield Check("disk", "warn", f"{existing} is not writable",
                    "Searching works. To index, choose another folder: --library DIR")  # fmt: skip
        return
    free = shutil.disk_usage(existing).free
    yield Check(
        "disk", "ok" if free > _ROOM else "warn", f"{wording.size(free)} free at {existing}",
        "" if free > _ROOM else "Free some space, or choose another folder: --library DIR",
    )  # fmt: skip


def _model(config: Config, fetch: bool, said: Waits) -> Iterator[Check]:
    from pixseek.models import describe, load

    name, is_of_library = _model_name(config)
    try:
        known = describe(config, name)
    except PixseekError as error:
        if not is_of_library:
            yield _failed("model", error)
            return
        yield Check(
            "model",
            "warn",
            f"{name}, which made the library's vectors, is not on this machine",
            "Ids, vectors and filters find images; words need the model. If you have its files, "
            "name their folder: --model DIR",
        )
        return
    if known.folder is None and known.layout and not fetch:
        yield Check(
            "model", "warn", f"{known.name} is not on this machine", _how_to_get(known, config)
        )
        return
    try:
        encoder = load(config, name, on_progress=said.download if fetch else None)
        said.wait("Trying the model")
        agreement = _try(encoder)
    except PixseekError as error:
        yield _failed("model", error)
        return
    where = f" in {known.folder}" if known.folder else ""
    yield Check(
        "model",
        "warn" if encoder.note else "ok",
        f"{encoder.name}{where}, {encoder.dim} dimensions; {agreement}",
        encoder.note,
    )


def _model_name(config: Config) -> tuple[str, bool]:
    """Return the model of the command line, the library or the settings, in this order.

    Besides, whether it is that of a library's vectors.
    """
    from pixseek.cli.options import open_library
    from pixseek.models import default_name

    try:
        with open_library() as library:
            return library.model, not settings().get("model") and len(library) > 0
    except PixseekError:
        return settings().get("model") or config.model or default_name(), False


def _how_to_get(known: ModelInfo, config: Config) -> str:
    if config.offline:
        return (
            f"pixseek is offline. Copy the model's files to {config.models_dir / known.name}, or "
            "unset --offline (PIXSEEK_OFFLINE) once and run:\n"
            f"pixseek doctor --fetch --model {known.name}"
        )
    size = f" ({wording.size(known.missing_bytes)})" if known.missing_bytes else ""
    return (
        f"It is downloaded when it is first needed{size}. To download it now:\n"
        f"pixseek doctor --fetch --model {known.name}\n"
        "To use a mirror of the hub, set HF_ENDPOINT. To try pixseek without it: pixseek demo"
    )


def _try(encoder: Encoder) -> str:
    """Embed a drawn picture and its caption; return how well they match, and how long it took."""
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
        f"test image matches its caption (cosine {score:.2f}; "
        f"image {(seen - began) * 1000:.0f} ms, text {(read - seen) * 1000:.0f} ms)"
    )


def _decoders() -> Iterator[Check]:
    from pixseek.library.surfaces import formats

    there = [each for each in formats() if each.available()]
    base = ", ".join(each.name for each in there if not each.extra)
    more = ", ".join(each.name for each in there if each.extra)
    yield Check("decoders", "ok", f"{base}; with pixseek[formats]: {more}" if more else base)
    # One line per missing package, with all the formats it would decode.
    missing: dict[tuple[str, str], list[str]] = {}
    for each in formats():
        if each not in there:
            missing.setdefault((each.decoder, each.extra), []).append(each.name)
    for (decoder, extra), names in missing.items():
        fix = f"{_pip()} 'pixseek[{extra}]'" if extra else f"{_pip()} --force-reinstall pixseek"
        level: Literal["ok", "warn"] = "ok" if extra else "warn"
        yield Check(
            "optional" if extra else "decoders",
            level,
            f"no {', '.join(names)}: {decoder} is not installed",
            fix,
        )
    yield _protections()


def _protections() -> Check:
    from pixseek.library.surfaces import protections

    try:
        found = protections()
    except PixseekError as error:
        return Check("sandbox", "fail", error.problem, error.advice)
    said = f"decoders run in processes with {', '.join(found) or 'time limits'}"
    if "Landlock" in found:
        return Check("sandbox", "ok", said)
    said += "; Landlock and seccomp are off"
    if sys.platform != "linux":
        return Check("sandbox", "ok", said)
    return Check(
        "sandbox", "ok", said,
        "A decoder that a hostile file takes over could then do what you can. On kernels with "
        f"Landlock this keeps it from your files:\n{_pip()} 'pixseek[sandbox]'",
    )  # fmt: skip


def _extras() -> Iterator[Check]:
    from importlib.util import find_spec

    for package, extra, purpose in _EXTRAS:
        if find_spec(package):
            yield Check("optional", "ok", f"{package}, for {purpose}")
        else:
            advice = f"If you need it:\n{_pip()} 'pixseek[{extra}]'"
            yield Check("optional", "ok", f"{package} (for {purpose}) is not installed", advice)
    if find_spec("turbovec"):
        yield Check("optional", "ok", "turbovec, for large libraries")
    else:
        yield Check("optional", "ok", "turbovec has no build for this platform, so searching large "
                    "libraries is slower")  # fmt: skip


def _terminal() -> Check:
    from pixseek.cli.terminal_images import graphics

    if not sys.stdout.isatty():
        return Check("terminal", "ok", "output is not a terminal: no thumbnails")
    how = graphics()
    if how is None:
        return Check("terminal", "ok", "no graphics",
                     "To see thumbnails, add --thumbnails blocks or --html to a "
                     "search.")  # fmt: skip
    colours = f", {how.colours} colours" if how.protocol == "sixel" else ""
    return Check("terminal", "ok", f"thumbnails as {how.protocol}{colours}, "
                 f"{how.cell[0]} x {how.cell[1]} pixels per character")  # fmt: skip
