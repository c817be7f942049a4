"""`pixseek migrate`: move the library to another engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pixseek.cli import wording
from pixseek.cli.hints import named_library, quoted
from pixseek.cli.index import drive
from pixseek.cli.options import Command, check_lasts, open_library
from pixseek.cli.output import echo, write_json

if TYPE_CHECKING:
    from pixseek.library.migration import Migration
    from pixseek.types import Progress


@click.command(
    cls=Command,
    section="Look after the library",
    short_help="Move the library to another engine, such as a server.",
    examples=(
        ("pixseek migrate --to postgresql://host/photos", "to PostgreSQL"),
        ("pixseek migrate --to elasticsearch+https://host:9200/photos", "to Elasticsearch"),
        ("pixseek migrate --to embedded", "back into the library's own folder"),
        ("pixseek migrate --from URL --to embedded -L own.lib", "what is at URL, to a new library"),
    ),
)
@click.option(
    "--to",
    required=True,
    metavar="URL|embedded",
    help="Engine to move to: its address, or embedded for the one in the library's folder.",
)
@click.option(
    "--from",
    "from_",
    metavar="URL|embedded",
    help="Engine that the library must be in now; it is an error if it is in another. A library "
    "that does not exist yet is made of what is there.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
@click.pass_context
def migrate(ctx: click.Context, to: str, from_: str | None, quiet: bool, as_json: bool) -> None:
    """Copy all that the library holds to another engine, check the copy, and use it from then on.

    Images, vectors of all models, tags, captions, ratings, saved searches and what is kept of
    missing images move; previews, folders and settings stay in the library's folder. The model is
    not needed, and nothing is embedded.

    Before the library switches, the copy is compared with it, and 200 sampled searches, half of
    them with a filter, must find at least 98 % of what an exhaustive search finds. If anything
    fails, the library stays where it is.

    Ctrl-C stops; the same command goes on, also after a crash. Searches and tags work meanwhile,
    and changes are carried over; indexing has to wait. At the end programs that have the library
    open, such as pixseek serve, have to be started again.

    The old copy is not deleted. To go back, migrate to it: it is brought up to date.
    """
    check_lasts(from_)
    check_lasts(to)
    made: dict[str, Any] = (
        {} if from_ is None or _is_own(from_) else {"create": True, "engine": from_}
    )
    with open_library(**made) as library:

        def work(stop: threading.Event, show: Callable[[Progress], None]) -> Migration:
            return library.migrate(to, from_=from_, stop=stop, on_progress=show)

        done, stopped_by = drive(library, work, quiet=quiet)
        if as_json:
            from pixseek.wire import migration_to_plain

            write_json(migration_to_plain(done))
        elif not quiet:
            again = f"pixseek migrate --to {quoted('embedded' if _is_own(to) else done.target)}"
            _write(done, again=again + named_library(library))
    if stopped_by:
        ctx.exit(128 + stopped_by)


def _is_own(engine: str) -> bool:
    return engine.lower().rstrip(":") == "embedded"


def _write(done: Migration, *, again: str) -> None:
    target = wording.visible(done.target)
    if done.stopped:
        echo(wording.fitted(f"Stopped; the library is where it was. To go on: {again}"))
        return
    if not done.queries and not done.digest:
        echo(wording.fitted(f"The library is at {target}; nothing had to be copied."))
        return
    records, vectors = wording.counted(done.records, "record"), wording.number(done.vectors)
    said = f"Moved {records} with {vectors} vectors to {target}"
    if done.written != done.records:
        written = f"{wording.number(done.written)} were written, the others were"
        said += f"; {written if done.written else 'all of it was'} there already"
    echo(wording.fitted(f"{said}, in {wording.duration(done.seconds)}."))
    if done.recall is not None and done.recall_filtered is not None and done.queries:
        echo(
            wording.fitted(
                f"Checked: counts, all vectors, and {done.queries} searches, which found "
                f"{done.recall:.3f} of the true 10 nearest without a filter and "
                f"{done.recall_filtered:.3f} with one."
            )
        )
    old = wording.visible(done.source)
    echo(wording.fitted(f"The old copy stays at {old}; delete it once you no longer need it."))
