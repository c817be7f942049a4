"""`pixseek demo`: draw pictures, index them, run a few searches, and show the hits."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixseek import files
from pixseek.cli import wording
from pixseek.cli.hints import quoted
from pixseek.cli.index import run
from pixseek.cli.options import Command
from pixseek.cli.output import echo, styled
from pixseek.cli.results import hyperlink, write_results
from pixseek.cli.summaries import write_report
from pixseek.cli.terminal_images import CHOICES
from pixseek.errors import SourceError, StorageError

if TYPE_CHECKING:
    from pixseek.types import Results

_QUERIES = (
    "a hot air balloon over the mountains",
    "a red car in the snow",
    "a black dog next to a cat",
    "a red boat at sunset",
    "a city at night in the rain",
)
_PICTURES = 240
_HITS = 5


_ANOTHER = "Name another folder: pixseek demo --to DIR"


@click.command(
    cls=Command,
    section="Try it, set it up",
    short_help="Try pixseek on drawn pictures, without a download.",
    examples=(
        ("pixseek demo", "in a new folder, pixseek-demo"),
        ("pixseek demo --to tour", "in a folder of your choice"),
    ),
)
@click.option("--to", type=click.Path(file_okay=False), metavar="DIR",
              help="Folder to create. Default: pixseek-demo here.")  # fmt: skip
@click.option("--thumbnails", type=click.Choice(CHOICES), default="auto",
              envvar="PIXSEEK_THUMBNAILS",
              help="How to draw pictures in the terminal; see `pixseek search`.")  # fmt: skip
def demo(to: str | None, thumbnails: str) -> None:
    """Draw a small picture library, index it, run a few searches, and show the hits.

    Uses the small model that comes with pixseek. It knows only such drawings: it shows how pixseek
    works, not how well it finds photographs. The default model for photographs is downloaded when
    it is first needed.
    """
    from pixseek.cli.contact_sheet import write_contact_sheet
    from pixseek.demo.picture_library import write_picture_library
    from pixseek.library import Library

    began = time.monotonic()
    folder = _folder(to)
    pictures, place = folder / "pictures", folder / "library"
    _step(f"Drawing {_PICTURES} pictures into {pictures}")
    try:
        write_picture_library(pictures, _PICTURES)
    except OSError as error:
        raise StorageError(
            f"The pictures can't be written ({error.strerror or error})", pictures, _ANOTHER
        ) from error
    _step("Indexing them with the demo model, which knows drawings like these, not photographs")
    program, there = _program(), f" --library {quoted(_from_here(place))}"
    with Library.open(place, "demo", drawn=True) as library:
        report, stopped_by = run(library, [str(pictures)])
        write_report(
            report, images=len(library), threads=library.config.thread_count,
            library=there,
        )  # fmt: skip
        if stopped_by:
            click.get_current_context().exit(128 + stopped_by)
        answers = []
        for query in _QUERIES:
            _step(f'{program} search "{query}" -k {_HITS}{there}')
            answers.append(_shown(library.search(query, k=_HITS), thumbnails))
        example = _drawn_example(folder)
        _step(f"{program} search --image {quoted(_from_here(example))} -k {_HITS}{there}")
        answers.append(_shown(library.search(image=example, k=_HITS), thumbnails))
    page = folder / "contact-sheet.html"
    write_contact_sheet(page, answers)
    _step(f"All searches as a page: {hyperlink(_from_here(page), page)}")
    seconds = wording.duration(time.monotonic() - began)
    echo(f"That took {seconds}. Now search the drawings yourself:\n")
    echo(f'    {program} search "a yellow balloon"{there}')
    echo(f"    {program} serve --open{there}     a page in your browser\n")
    echo("Then your photos; their model (about 610 MB) is downloaded once:\n")
    echo(f"    {program} index ~/Pictures")
    echo(f'    {program} search "a dog catching a frisbee"\n')
    echo(f"To check the installation:  {program} doctor")
    echo(f"To list all commands:       {program} --help")


def _program() -> str:
    """Return the name to type for this program, which need not be on the PATH (`make demo`)."""
    if shutil.which("pixseek") or Path(sys.argv[0]).name != "pixseek":
        return "pixseek"
    return quoted(_from_here(Path(sys.argv[0]).absolute()))


def _drawn_example(folder: Path) -> Path:
    """Draw a picture to search by, which is not indexed."""
    from pixseek.demo.drawing import render
    from pixseek.demo.scenes import Scene, Thing

    scene = Scene((Thing("boat", "red", x=0.35), Thing("house", "white", x=0.75)), setting="lake")
    path = folder / "example.png"
    with files.replacing(path, sync=False) as file:
        render(scene, 320).save(file, "PNG")
    return path


def _folder(to: str | None) -> Path:
    """Return the folder to work in: new, empty, or from an earlier demo."""
    folder = Path(os.path.expanduser(to)) if to else Path("pixseek-demo")
    theirs = folder.is_dir() and any(folder.iterdir())
    if theirs and not (folder / "library" / "ledger.sqlite").is_file():
        raise SourceError(
            "The demo needs its own folder, but this one contains other files",
            folder,
            "Name a new folder: pixseek demo --to DIR",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if to:
            raise SourceError(
                f"The folder can't be created ({error.strerror})",
                folder,
                _ANOTHER,
            ) from error
        import tempfile

        folder = Path(tempfile.mkdtemp(prefix="pixseek-demo-"))
    return folder.absolute()


def _step(text: str) -> None:
    echo()
    echo(styled(f"> {text}", fg="cyan", bold=True))


def _shown(results: Results, thumbnails: str) -> Results:
    write_results(results, "auto", thumbnails=thumbnails, blocks_too=True)
    return results


def _from_here(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
