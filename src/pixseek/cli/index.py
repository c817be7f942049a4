"""`pixseek index`: bring the library up to date with folders and files."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar, get_args

import click
from click.core import ParameterSource

from pixseek.cli import progress
from pixseek.cli.dry_run import columns_by_role, show_sources
from pixseek.cli.hints import named_library, settings
from pixseek.cli.options import Command, open_library, private_option, warn
from pixseek.cli.output import write_json
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
    """A path that is there, also in an archive, a pattern of shards, or a URL of any package."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path or URL."""
        from pixseek.library.surfaces import names_archives

        if isinstance(value, str) and ("://" in value or names_archives(value)):
            return value
        return super().convert(value, param, ctx)


@click.command(
    cls=Command,
    section="Index and search",
    short_help="Index folders and files, or update the library.",
    examples=(
        ("pixseek index ~/Pictures", "a folder and its subfolders"),
        ("pixseek index", "update everything indexed before"),
        ("pixseek index ~/Pictures --exclude 'raw/'", "skip folders of this name"),
        ("pixseek index --from-file list.txt", "the files that a list names"),
        ("pixseek index photos.zip", "an archive, without unpacking it"),
        ("pixseek index goods.csv --dry-run", "what a table's columns would become"),
        ("pixseek index https://example.org/lake.jpg", "an image on the web"),
        ("pixseek index urls.txt --keep originals", "images on the web, by their URLs"),
        ("pixseek index ~/Screenshots --ocr", "and read the text in them"),
        ("pixseek index /media/disk --portable", "keep the library on the drive"),
        ("pixseek index --reread", "read all metadata again after an upgrade"),
        ("pixseek index --quiet", "from a timer"),
    ),
)
@click.argument("paths", nargs=-1, type=PathOrUrl(exists=True), metavar="[PATH]...")
@click.option(
    "--from-file",
    "from_file",
    type=click.File("rb"),
    metavar="LIST",
    help="Index the files, folders and URLs that LIST names, one per line or separated by NUL, "
    "relative to LIST's folder; - for standard input, relative to the current folder. Missing ones "
    "are reported and skipped.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Skip matching files, in the syntax of .gitignore; remembered; repeatable.",
)
@click.option(
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Index matching files and folders that are skipped otherwise: recycle bins ('@Recycle/'), "
    "previews of other programs, hidden folders, unusual endings ('*.JPG_large'); remembered; "
    "repeatable.",
)
@click.option(
    "--follow-links/--no-follow-links",
    default=None,
    help="Also follow links that lead out of the indexed folder; remembered. "
    "[default: no-follow-links]",
)
@click.option("--as", "read_as", metavar="KIND",
              help="Take PATH for a folder, archive, table, or a data set: unsplash, flickr8k, "
              "flickr30k, captions, coco, img2dataset, clip-retrieval, imagefolder, parquet; "
              "remembered. [default: recognised by its files]")  # fmt: skip
@click.option("--column", "columns", multiple=True, metavar="ROLE=NAME", callback=columns_by_role,
              help="Of tables: the column of the image, caption, tags, date or id, if its name is "
              "not recognised (image=photo_url), or one whose dates are written day-first or "
              "month-first; remembered; repeatable.")  # fmt: skip
@click.option("--images", type=PathOrUrl(exists=True, file_okay=False), metavar="DIR",
              help="Of tables: the folder or address that paths are relative to; remembered. "
              "[default: the folder of the table]")  # fmt: skip
@click.option("--keep", type=click.Path(file_okay=False), metavar="DIR",
              help="Of tables of URLs: keep the images in DIR as they were fetched; remembered. "
              "[default: keep previews only]")  # fmt: skip
@click.option("--robots/--no-robots", default=None,
              help="Of tables of URLs: fetch only what the robots.txt of each server allows; "
              "remembered. [default: no-robots]")  # fmt: skip
@private_option()
@click.option("--dry-run", is_flag=True,
              help="Show what PATH is taken for, what its columns become, and three examples; "
              "index nothing.")  # fmt: skip
@click.option("--retry", is_flag=True, help="Try files again that failed before.")
@click.option(
    "--reread",
    is_flag=True,
    help="Read the metadata and sidecars of unchanged files again, without embedding them: after "
    "an upgrade that reads more. Your annotations stay.",
)
@click.option("--recheck", is_flag=True,
              help="Of images named by URL: ask their servers which have changed.")  # fmt: skip
@click.option(
    "--strict",
    is_flag=True,
    help="Refuse truncated images, instead of indexing the part that can be read.",
)
@click.option(
    "--demosaic",
    is_flag=True,
    help="Develop camera raw files, instead of using their embedded preview; needs rawpy.",
)
@click.option(
    "--fast",
    is_flag=True,
    help="Look at key frames of videos only: faster, and moments are less exact.",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default=None,
    help="Number format for embedding images. auto: int8 if a check on your own images gives the "
    "same hits, else bf16 if the processor has it, else fp32. [env: PIXSEEK_PRECISION]",
)
@click.option(
    "--compile/--no-compile",
    "compile_",
    default=None,
    help="For models that torch runs: compile the image tower first, which pays off only for many "
    "images. [env: PIXSEEK_COMPILE]",
)
@click.option(
    "--previews/--no-previews",
    default=None,
    help="Keep a small copy of each image in the library; remembered. [default: previews]",
)
@click.option(
    "--tiles",
    callback=_tiles,
    metavar="CxR",
    help="Embed each image also in C columns and R rows of tiles (2x2 is plenty), to find small "
    "things: it takes time and space for each tile; remembered; 1x1 for none. [default: none]",
)
@click.option("--ocr/--no-ocr", default=None,
              help="Read the text in pictures (signs, receipts, screenshots), to find them by its "
              "words, too; needs pixseek[ocr]; remembered. [default: no-ocr]")  # fmt: skip
@click.option(
    "--portable",
    is_flag=True,
    help="Keep the library next to the photos, in PATH/.pixseek, with relative paths.",
)
@click.option(
    "--engine",
    metavar="URL",
    envvar="PIXSEEK_ENGINE",
    help="For a new library: keep the records on a server (postgresql://HOST/DATABASE); "
    "remembered. A password belongs in ~/.pgpass, or in this variable: other users can see command "
    "lines. [env: PIXSEEK_ENGINE]",
)
@click.option("--labels-from", metavar="MODEL",
              help="After indexing, tag new images with a classifier: vit-b16-imagenet, "
              "vit-l16-imagenet, a folder, or a repository on the hub.")  # fmt: skip
@click.option("--min-score", type=click.FloatRange(0, 1, min_open=True), default=0.1,
              show_default=True, metavar="0..1",
              help="Minimum probability of a label from the classifier.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.pass_context
def index(
    ctx: click.Context,
    paths: tuple[str, ...],
    from_file: BinaryIO | None,
    exclude: tuple[str, ...],
    include: tuple[str, ...],
    follow_links: bool | None,
    read_as: str | None,
    columns: dict[str, str],
    images: str | None,
    keep: str | None,
    robots: bool | None,
    dry_run: bool,
    retry: bool,
    reread: bool,
    recheck: bool,
    strict: bool,
    demosaic: bool,
    fast: bool,
    precision: str | None,
    compile_: bool | None,
    previews: bool | None,
    tiles: tuple[int, int] | None,
    ocr: bool | None,
    portable: bool,
    engine: str | None,
    labels_from: str | None,
    min_score: float,
    quiet: bool,
    as_json: bool,
) -> None:
    """Index folders (with their subfolders) and files; without PATH, everything indexed before.

    Hidden files, recycle bins, previews that other programs keep, and what a .pixseekignore names
    (in the syntax of .gitignore) are skipped; the report counts them. Unchanged files are not read
    again; moved and renamed files keep their vectors; files that are gone are removed from the
    library. Files that can't be read are listed with the reason, and do not make the run fail.

    Ctrl-C stops after the current batch and keeps what was done; run the command again to
    continue. A second Ctrl-C stops at once, and loses the last few seconds.
    """
    if dry_run:
        if not paths:
            raise click.UsageError("--dry-run needs a PATH.", ctx)
        show_sources(paths, read_as, columns, images, as_json=as_json)
        return
    more: dict[str, Any] = {}
    if portable:
        if settings().get("library"):
            raise click.UsageError("--portable can't be combined with --library.", ctx)
        if not paths:
            raise click.UsageError("--portable needs a folder: pixseek index DIR --portable", ctx)
        first = Path(paths[0])
        from pixseek.config import PORTABLE_NAME

        more = {"library": (first if os.path.isdir(first) else first.parent) / PORTABLE_NAME,
                "portable": True}  # fmt: skip
    if labels_from is not None and as_json:
        raise click.UsageError(
            "--json can't be combined with --labels-from. Run pixseek tag --labels-from after it.",
            ctx,
        )
    _say_what_engine_is_for(ctx, more.get("library"))
    with (
        _nothing_left_behind(more.get("library")),
        open_library(
            create=True, engine=engine, precision=precision, compile=compile_, **more
        ) as library,
    ):
        if labels_from is not None:
            library.classifier(labels_from)  # fail before a long run, not after it
        run_and_report(
            ctx,
            library,
            paths,
            quiet=quiet,
            as_json=as_json,
            listed=None if from_file is None else names_in(from_file),
            exclude=exclude,
            include=include,
            follow_links=follow_links,
            read_as=read_as,
            columns=columns,
            images=images,
            keep=keep,
            robots=robots,
            retry=retry,
            reread=reread,
            recheck=recheck,
            strict=strict,
            demosaic=demosaic,
            fast=fast,
            previews=previews,
            tiles=tiles,
            ocr=ocr,
        )
        if labels_from is not None:
            from pixseek.cli.tag import tag_by_classifier

            tag_by_classifier(library, labels_from, min_score, quiet=quiet)


def _say_what_engine_is_for(ctx: click.Context, place: Path | None) -> None:
    """Say it if `--engine` is given for a library that exists; the variable may be for others.

    Args:
        ctx: of the command.
        place: as for `_nothing_left_behind`.
    """
    is_typed = ctx.get_parameter_source("engine") is ParameterSource.COMMANDLINE
    if is_typed and (_folder_of(place) / "ledger.sqlite").is_file():
        warn(
            "The library exists, so --engine can only renew a password, or say where its server is "
            "if this machine does not know it. For another engine, create a new library: "
            "pixseek index ~/Pictures --library DIR --engine URL"
        )


def _folder_of(place: Path | None) -> Path:
    """Return the library's folder; `place` is None for the one that the settings name."""
    from pixseek.config import load_config

    return Path(os.path.abspath(place or load_config(**settings()).library))


@contextmanager
def _nothing_left_behind(place: Path | None) -> Iterator[None]:
    """Delete a library that was created in vain: without it, the default one would be used here.

    Args:
        place: the library's folder; None for the one that the settings name.
    """
    from pixseek.library import Library

    folder = _folder_of(place)
    existed = os.path.exists(folder)
    try:
        yield
    finally:
        if not existed and os.path.isfile(folder / "ledger.sqlite"):
            with Library.open(folder, create=False) as library:
                is_in_vain = not (len(library) or library.roots() or library.failures())
            if is_in_vain:
                import shutil

                from pixseek.library import trust

                shutil.rmtree(folder, ignore_errors=True)
                trust.forget(folder)


def names_in(file: BinaryIO) -> list[str]:
    """Return the paths that a list names, relative to its folder; standard input has none."""
    text = file.read().removeprefix(b"\xef\xbb\xbf")
    names = text.split(b"\0") if b"\0" in text else text.splitlines()
    folder = "" if file is sys.stdin.buffer else os.path.dirname(file.name)
    given = (os.fsdecode(name) for name in names if name)
    return [name if "://" in name else os.path.join(folder, name) for name in given]


def run_and_report(
    ctx: click.Context,
    library: Library,
    paths: Sequence[str] = (),
    *,
    quiet: bool = False,
    as_json: bool = False,
    **how: Any,
) -> None:
    """Index with progress, write the report, and exit if the run was stopped.

    Args:
        ctx: to exit with.
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
            report,
            images=len(library),
            threads=library.config.thread_count,
            precision=library.config.precision,
            remembered={failure.uri for failure in library.failures()},
            library=named,
        )
        write_next_step(report, images=len(library), library=named, model=library.model)
    if library.note and not quiet:
        warn(library.note)
    if stopped_by:
        ctx.exit(128 + stopped_by)


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


class _Stoppable(Protocol):
    """A report that says whether the run was stopped."""

    @property
    def stopped(self) -> bool: ...


_Done = TypeVar("_Done", bound=_Stoppable)


def drive(
    library: Library,
    work: Callable[[threading.Event, Callable[[Progress], None]], _Done],
    *,
    quiet: bool,
) -> tuple[_Done, int]:
    """Run long work with progress; return its report, and the signal that stopped it, or 0.

    Args:
        library: the library that does it.
        work: takes an event that is set to stop it, and a function to call with its progress.
        quiet: show nothing.
    """
    before = library.on_download, library.on_wait
    try:
        with progress.display(quiet=quiet) as shown, stoppable(shown) as (stop, signals):
            library.on_download, library.on_wait = interruptible(shown, stop), shown.wait
            report = work(stop, shown.show)
    finally:
        library.on_download, library.on_wait = before
    return report, signals[0] if signals and report.stopped else 0


@contextmanager
def stoppable(shown: progress.Display) -> Iterator[tuple[threading.Event, list[int]]]:
    """Turn the first Ctrl-C or SIGTERM into an event; exit at the second."""
    stop = threading.Event()
    signals: list[int] = []

    def note(number: int, _: object) -> None:
        signals.append(number)
        if len(signals) > 1:
            # Exit at once: what is stored is whole at every moment. Only show the cursor again,
            # which the bar hides.
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), b"\x1b[?25h\n")
            os._exit(128 + number)
        stop.set()
        shown.say("Stopping after this batch. Press again to stop at once.")

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop, signals
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def interruptible(shown: progress.Display, stop: threading.Event) -> Any:
    """Return a function that shows a download, and ends it when the run is to stop.

    The part that was fetched is kept, and the next download continues from there.
    """

    def show(what: str, done: int, total: int | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        shown.download(what, done, total)

    return show
