"""`pixseek watch`: keep the library up to date while files change."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, get_args

import click

from pixseek.cli import progress, wording
from pixseek.cli.index import PathOrUrl, interruptible, stoppable
from pixseek.cli.options import Command, open_library, warn
from pixseek.cli.output import echo, styled, visible, write_json
from pixseek.types import Precision

if TYPE_CHECKING:
    from pixseek.types import Progress, Report, WatchEvent

#: Failures of one run that are written in full.
_LISTED = 3


@click.command(
    cls=Command,
    section="Index and search",
    short_help="Index folders, then whatever changes in them.",
    examples=(
        ("pixseek watch ~/Pictures", "a folder and its subfolders"),
        ("pixseek watch", "everything indexed before, also tables and archives"),
        ("pixseek watch /mnt/nas/photos --poll", "look through the files every 10 seconds"),
        ("pixseek watch ~/Pictures --json", "one JSON object per line, for programs"),
    ),
)
@click.argument("paths", nargs=-1, type=PathOrUrl(exists=True), metavar="[PATH]...")
@click.option(
    "--poll/--no-poll",
    default=None,
    help="Look through all files now and then, instead of being told by the system. "
    "[default: poll network drives only]",
)
@click.option(
    "--poll-every",
    type=click.FloatRange(0.1, 86_400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two such looks.",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default=None,
    help="Number format for embedding, as for pixseek index. [env: PIXSEEK_PRECISION]",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print events, one JSON object per line.")
@click.pass_context
def watch(
    ctx: click.Context,
    paths: tuple[str, ...],
    poll: bool | None,
    poll_every: float,
    precision: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Index folders, then keep the library up to date until you press Ctrl-C.

    A new or changed image is indexed half a second after it was last written. Moved and renamed
    files keep their vectors; deleted ones are removed from the library. The folders are first
    indexed as pixseek index does it, so nothing is missed that changed while it did not run.

    Archives and tables are looked at every second, and indexed when they changed. Images on the web
    are not asked for again: run pixseek index --recheck from a timer. Buckets and servers are not
    watched either: run pixseek index from a timer.

    Other programs may search and index meanwhile, also pixseek serve: runs wait for each other.
    What to skip is remembered from pixseek index --exclude and --include.

    Network drives don't say what other machines change on them, so their files are looked through
    every --poll-every seconds.
    """
    shown = progress.display(quiet=quiet or as_json)
    with ExitStack() as bar:
        bar.enter_context(shown)
        with (
            open_library(create=True, precision=precision) as library,
            stoppable(shown) as (stop, _),
        ):
            is_first, usual = True, (library.on_download, library.on_wait)
            library.on_download, library.on_wait = interruptible(shown, stop), shown.wait

            def show(now: Progress) -> None:
                if is_first:
                    shown.show(now)

            for event in library.watch(
                *paths, poll=poll, poll_s=poll_every, stop=stop, on_progress=show
            ):
                if is_first:
                    bar.close()
                    is_first, (library.on_download, library.on_wait) = False, usual
                if as_json:
                    from pixseek.wire import watch_event_to_plain

                    write_json(watch_event_to_plain(event), in_one_line=True)
                elif not quiet or event.kind == "failed":
                    _write(event)
            if library.note and not quiet:
                warn(library.note)


def _write(event: WatchEvent) -> None:
    """Write an event as a line, or a few."""
    at = styled(f"{event.at.astimezone():%H:%M:%S}", dim=True)
    named = ", ".join(visible(str(folder)) for folder in event.folders)
    if event.kind == "watching" and event.folders:
        polled = f" ({len(event.polled)} by looking through the files)" if event.polled else ""
        echo(f"{at}  watching {named}{polled}")
    elif event.kind == "gone":
        echo(f"{at}  {named} is gone (is its drive plugged in?); nothing of it was removed")
    elif event.kind == "back":
        echo(f"{at}  {named} is back")
    elif event.error is not None:
        warn(str(event.error))
    elif event.report is not None:
        echo(f"{at}  {_counts(event.report)}")
        for failure in event.report.failures[:_LISTED]:
            echo(f"          {visible(failure.uri)}: {visible(failure.message)}")
        if (more := len(event.report.failures) - _LISTED) > 0:
            echo(f"          and {wording.number(more)} more: pixseek failures")


def _counts(report: Report) -> str:
    counts = {
        "added": report.added,
        "updated": report.updated,
        "moved": report.moved,
        "removed": report.removed,
        "failed": len(report.failures),
    }
    return ", ".join(f"{name} {wording.number(n)}" for name, n in counts.items() if n)
