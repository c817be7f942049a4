"""`pixseek index`: bring the library up to date with folders and files."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args

import click

from pixseek.cli import progress
from pixseek.cli.options import Command, open_library, settings, warn
from pixseek.cli.results import write_json
from pixseek.cli.summaries import write_next_step, write_report
from pixseek.types import Precision

if TYPE_CHECKING:
    from pixseek.library import Library
    from pixseek.types import Progress, Report


def _tiles(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Return columns and rows of a text such as 2x2."""
    if value is None:
        return None
    columns, _, rows = value.lower().partition("x")
    if not (columns.isdecimal() and rows.isdecimal()):
        raise click.BadParameter(f"{value!r} is not like 2x2 (columns x rows).", ctx, param)
    return int(columns), int(rows)


class PathOrUrl(click.Path):
    """A path that exists, or a URL, which a source of another package may read."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path or URL."""
        if isinstance(value, str) and "://" in value:
            return value
        return super().convert(value, param, ctx)


@click.command(
    cls=Command,
    section="Index and search",
    short_help="Index folders and files, or bring all up to date.",
    examples=(
        ("pixseek index ~/Pictures", "a folder with all below it"),
        ("pixseek index", "bring up to date what was indexed before"),
        ("pixseek index ~/Pictures --exclude 'raw/'", "pass over folders of this name"),
        ("pixseek index --from-file list.txt", "the files that a list names"),
        ("pixseek index /media/disk --portable", "keep the library on the drive"),
        ("pixseek index --quiet", "from a timer"),
    ),
)
@click.argument("paths", nargs=-1, type=PathOrUrl(exists=True), metavar="[PATH]...")
@click.option(
    "--from-file",
    "from_file",
    type=click.File("rb"),
    metavar="LIST",
    help="Index the files and folders that LIST names, one a line or separated by NUL, relative to "
    "LIST's folder; - for standard input, relative to the current folder. Those that don't exist "
    "are reported and skipped.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Pass over what matches, in the syntax of .gitignore; remembered; may be repeated.",
)
@click.option("--retry", is_flag=True, help="Try files again that could not be read before.")
@click.option(
    "--strict",
    is_flag=True,
    help="Refuse images that break off, instead of taking what there is of them.",
)
@click.option(
    "--demosaic",
    is_flag=True,
    help="Develop camera raw files, instead of taking the preview inside them; needs rawpy.",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default=None,
    help="What images are embedded in. auto: int8 where it is checked on your own images to give "
    "the same hits, else bf16 where the processor has it, else fp32. [env: PIXSEEK_PRECISION]",
)
@click.option(
    "--compile/--no-compile",
    "compile_",
    default=None,
    help="Compile the image tower of a model for torch first, which pays for many images only. "
    "[env: PIXSEEK_COMPILE]",
)
@click.option(
    "--previews/--no-previews",
    default=None,
    help="Keep a small picture of each image in the library, or none; remembered. [default: keep]",
)
@click.option(
    "--tiles",
    callback=_tiles,
    metavar="CxR",
    help="Embed each image also in C columns and R rows of tiles (2x2 is plenty), to find small "
    "things: it takes time and space for each tile; remembered; 1x1 for none. [default: none]",
)
@click.option(
    "--portable",
    is_flag=True,
    help="Keep the library beside the photos, in PATH/.pixseek, with relative paths.",
)
@click.option("--labels-from", metavar="MODEL",
              help="Then tag what is new with what a classifier sees in it: vit-b16-imagenet, "
              "vit-l16-imagenet, a folder, or a repository of the hub.")  # fmt: skip
@click.option("--min-score", type=click.FloatRange(0, 1, min_open=True), default=0.1,
              show_default=True, metavar="0..1",
              help="Probability from which on a label of --labels-from counts.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.pass_context
def index(
    ctx: click.Context,
    paths: tuple[str, ...],
    from_file: BinaryIO | None,
    exclude: tuple[str, ...],
    retry: bool,
    strict: bool,
    demosaic: bool,
    precision: str | None,
    compile_: bool | None,
    previews: bool | None,
    tiles: tuple[int, int] | None,
    portable: bool,
    labels_from: str | None,
    min_score: float,
    quiet: bool,
    as_json: bool,
) -> None:
    """Index folders (with all below them) and files; without PATH, all that was indexed before.

    Hidden files and what systems leave behind are passed over, and so is what a .pixseekignore
    file names, in the syntax of .gitignore. Unchanged files are not read again; moved and renamed
    ones keep their vectors; what is gone is removed from the library. What can't be read is
    listed with the reason, and does not make the run fail.

    Ctrl-C stops after the current batch, and keeps all that was done; run it again to go on. A
    second Ctrl-C ends at once, and loses the last seconds at most.
    """
    more: dict[str, Any] = {}
    if portable:
        if settings().get("library"):
            raise click.UsageError("Give --portable or --library, not both.", ctx)
        if not paths:
            raise click.UsageError("--portable needs a folder: pixseek index DIR --portable", ctx)
        first = Path(paths[0])
        from pixseek.config import PORTABLE_NAME

        more = {"library": (first if first.is_dir() else first.parent) / PORTABLE_NAME,
                "portable": True}  # fmt: skip
    if labels_from is not None and as_json:
        raise click.UsageError("--json is for indexing alone: then pixseek tag --labels-from.", ctx)
    with open_library(create=True, precision=precision, compile=compile_, **more) as library:
        if labels_from is not None:
            library.classifier(labels_from)  # what is wrong with it is said before a long run
        run_and_report(
            ctx,
            library,
            paths,
            quiet=quiet,
            as_json=as_json,
            listed=None if from_file is None else names_in(from_file),
            exclude=exclude,
            retry=retry,
            strict=strict,
            demosaic=demosaic,
            previews=previews,
            tiles=tiles,
        )
        if labels_from is not None:
            from pixseek.cli.tag import tag_by_classifier

            tag_by_classifier(library, labels_from, min_score, quiet=quiet)


def names_in(file: BinaryIO) -> list[str]:
    """Return the paths that a list names, relative to its folder; standard input has none."""
    text = file.read().removeprefix(b"\xef\xbb\xbf")
    names = text.split(b"\0") if b"\0" in text else text.splitlines()
    folder = "" if file is sys.stdin.buffer else os.path.dirname(file.name)
    return [os.path.join(folder, os.fsdecode(name)) for name in names if name]


def run_and_report(
    ctx: click.Context,
    library: Library,
    paths: Sequence[str] = (),
    *,
    quiet: bool = False,
    as_json: bool = False,
    **how: Any,
) -> None:
    """Index with progress, write the report, and end the program where the run was stopped.

    Args:
        ctx: to end the program with.
        library: to index into.
        paths: see `Library.index`.
        quiet: write nothing.
        as_json: write the report as one object.
        **how: other arguments of `Library.index`.
    """
    report, stopped_by = run(library, paths, quiet=quiet, **how)
    if as_json:
        from pixseek.wire import report_to_plain

        write_json(report_to_plain(report))
    elif not quiet:
        named = named_library(library)
        write_report(
            report, images=len(library), threads=library.config.thread_count, library=named
        )
        write_next_step(report, images=len(library), library=named)
    if library.note and not quiet:
        warn(library.note)
    if stopped_by:
        ctx.exit(128 + stopped_by)


def named_library(library: Library) -> str:
    """Return what a command to type needs to find this library; "" where it is the default."""
    from pixseek.config import PORTABLE_NAME

    chosen = settings().get("library")
    beside = library.path.parent
    if not chosen and library.path.name == PORTABLE_NAME:
        chosen = None if Path.cwd().is_relative_to(beside) else str(beside)
    return f" --library {quoted(chosen)}" if chosen else ""


def run(
    library: Library,
    paths: Sequence[str] = (),
    *,
    quiet: bool = False,
    **how: Any,
) -> tuple[Report, int]:
    """Index with progress; return the report, and the signal that stopped it, or 0.

    `how` are arguments of `Library.index`.
    """
    return drive(
        library,
        lambda stop, show: library.index(*paths, stop=stop, on_progress=show, **how),
        quiet=quiet,
    )


def drive(
    library: Library,
    work: Callable[[threading.Event, Callable[[Progress], None]], Report],
    *,
    quiet: bool,
) -> tuple[Report, int]:
    """Do something long with progress; return its report, and the signal that stopped it, or 0.

    Args:
        library: that works.
        work: takes what is set to stop it, and what is told how far it is.
        quiet: draw nothing.
    """
    with progress.display(quiet=quiet) as shown, _stoppable(shown) as (stop, signals):
        library.on_download = _interruptible(shown, stop)
        report = work(stop, shown.show)
    return report, signals[0] if signals and report.stopped else 0


def quoted(argument: str) -> str:
    """Return an argument as to be typed into a shell."""
    if os.name == "nt":
        return f'"{argument}"' if " " in argument else argument
    import shlex

    return shlex.quote(argument)


@contextmanager
def _stoppable(shown: progress.Display) -> Iterator[tuple[threading.Event, list[int]]]:
    """Turn the first Ctrl-C or SIGTERM into an event, and the second into the end."""
    stop = threading.Event()
    signals: list[int] = []

    def note(number: int, _: object) -> None:
        signals.append(number)
        if len(signals) > 1:
            # At once, whatever is going on: what is stored is whole at every moment. Only the
            # cursor, which the bar hides, is given back.
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), b"\x1b[?25h\n")
            os._exit(128 + number)
        stop.set()
        shown.say("Stopping after this batch; once more to stop at once.")

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop, signals
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _interruptible(shown: progress.Display, stop: threading.Event) -> Any:
    """Return what shows a download, and ends it when the run is to stop.

    What was fetched until then is kept, and the next download goes on from there.
    """

    def show(what: str, done: int, total: int | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        shown.download(what, done, total)

    return show
