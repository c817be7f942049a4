"""`pixseek status`, `failures` and `remove`: show what a library holds, and look after it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time
from typing import TYPE_CHECKING

import click

from pixseek.cli import wording
from pixseek.cli.hints import hinted
from pixseek.cli.index import run_and_report
from pixseek.cli.options import Command, open_library
from pixseek.cli.output import confirm, echo, styled, write_json, write_paths
from pixseek.cli.summaries import write_failures
from pixseek.cli.usage import check_alone

if TYPE_CHECKING:
    from pixseek.library import Library, Status
    from pixseek.library.status import LastRun
    from pixseek.types import Acceleration, Failure

_SECTION = "Look after the library"


@click.command(
    cls=Command,
    section=_SECTION,
    short_help="Show what the library holds, and the progress of indexing.",
    examples=(
        ("pixseek status", "the default library"),
        ("pixseek status --library photos.lib --json", "for scripts"),
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(as_json: bool) -> None:
    """Show what the library holds, where its folders are, and the progress of a running index."""
    with open_library() as library:
        found = library.status()
    if as_json:
        from pixseek.wire import status_to_plain

        write_json(status_to_plain(found))
        return
    _write_status(found)


def _write_status(found: Status) -> None:
    _write_row("library", wording.visible(str(found.path)))
    if found.engine != "embedded":
        _write_row("engine", wording.visible(found.engine))
    _write_row("images", wording.number(found.records))
    if found.records:
        for text in _contents(found):
            _write_row("", text)
    for n, root in enumerate(found.roots):
        gone = "" if root.is_there else styled("  missing", fg="red")
        _write_row(
            "" if n else "folders",
            f"{wording.visible(root.name)}: {wording.counted(root.records, 'image')}, "
            f"{wording.visible(str(root.path))}{gone}",
        )
    failed = sum(found.failures.values())
    if failed:
        reasons = ", ".join(
            f"{wording.number(count)} {wording.visible(reason)}"
            for reason, count in sorted(found.failures.items(), key=lambda item: -item[1])
        )
        _write_row("failed", f"{styled(reasons, fg='red')} ({hinted('see: pixseek failures')})")
    numbers = f" ({found.space.dim} numbers a vector)" if found.space else ""
    away = "" if found.model_is_here else "; its files are not on this machine"
    _write_row(
        "model", wording.visible(found.model) + numbers + away if found.model else "none yet"
    )
    if found.texts:
        _write_row("texts", f"by the text tower of {wording.visible(found.texts)}")
    if found.space:
        images = found.calibration.images if found.calibration else None
        _write_row("strength", wording.strengths(images))
    for n, (space, held) in enumerate(found.other_spaces):
        _write_row(
            "" if n else "also",
            f"vectors by {wording.visible(space.model)} for {wording.number(held)} of "
            f"{wording.counted(found.records, 'image')}",
        )
    if found.acceleration:
        _write_row("speed", _speed(found.acceleration))
    _write_row("disk", _disk(found))
    if found.last_run:
        _write_row("last run", _last_run(found.last_run))
    if found.watched:
        since = datetime.fromisoformat(found.watched["since"]).astimezone()
        who = f"process {found.watched['pid']} on {wording.visible(str(found.watched['host']))}"
        _write_row("watched", f"by {who}, since {since:%Y-%m-%d %H:%M}")
    if found.running:
        _write_row("now", _running(found))


def _day(moment: datetime) -> str:
    """Return the day of an end of the range; only what is known if that may be a year or month."""
    if moment.day > 1 or moment.time() != time():
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m}" if moment.month > 1 else f"{moment:%Y}"


def _contents(found: Status) -> Iterator[str]:
    """Yield what is known of the images, in short lines."""
    known, all_ = found.contents, found.records
    between = ""
    if known.oldest and known.newest:
        days = dict.fromkeys(map(_day, (known.oldest, known.newest)))
        between = f" ({' to '.join(days)})"
    if known.dated < all_:
        yield (
            f"{wording.number(known.dated)} with a date{between}, "
            f"{wording.number(all_ - known.dated)} without"
        )
    else:
        yield f"all with a date{between}"
    counts = (
        ("with tags", known.tagged),
        ("with a caption", known.captioned),
        ("with a place", known.located),
        ("rated", known.rated),
    )
    yield ", ".join(f"{wording.number(count)} {what}" for what, count in counts)
    if known.unreachable:
        yield styled(
            f"{wording.number(known.unreachable)} in folders that are missing now", fg="yellow"
        )
    if known.without_vectors:
        yield (
            f"{wording.number(known.without_vectors)} found only by words and filters, until "
            f"{hinted('pixseek index')} embeds them"
        )
    if known.away:
        images = wording.counted(known.away, "image")
        what = f"besides, {images} not there now, of which your tags and so on are kept"
        yield f"{what} (list: {hinted('pixseek forget')})"


def _disk(found: Status) -> str:
    named = (("index", "index"), ("previews", "previews"), ("other", "other files"))
    parts = ", ".join(
        f"{what} {wording.size(found.disk[name])}" for name, what in named if found.disk.get(name)
    )
    return f"{wording.size(found.bytes_on_disk)} ({parts})"


def _last_run(run: LastRun) -> str:
    """Return the last run in one line."""
    counts = (
        ("added", run.added),
        ("updated" if run.kind == "index" else "embedded", run.updated),
        ("moved", run.moved),
        ("removed", run.removed),
        ("unchanged", run.unchanged),
        ("failed", run.failed),
    )
    did = ", ".join(f"{wording.number(count)} {what}" for what, count in counts if count)
    took = "stopped after" if run.stopped else "took"
    return (
        f"{run.ended_at.astimezone():%Y-%m-%d %H:%M}, {run.kind}: {did or 'nothing to do'}; "
        f"{took} {wording.duration(run.seconds)}"
    )


def _speed(how: Acceleration) -> str:
    """Return what images are embedded in, and how that was checked, or why nothing faster."""
    said = [f"{how.speedup:.1f}x faster"] if how.speedup else []
    said += [f"same results on {how.images} of your images"] if how.images else []
    checks = f" ({'; '.join(said)})" if said else f": {how.why}" if how.why else ""
    return wording.visible(f"{how.precision} in {how.runtime}{checks}")


def _write_row(title: str, text: str) -> None:
    shown = wording.fitted(text, hanging=" " * 9, first=9)
    echo(f"{styled(f'{title:<9}', bold=True)}{shown}")


def _running(found: Status) -> str:
    running = found.running or {}
    text = f"indexing (process {running.get('pid')} on {wording.visible(str(running.get('host')))})"
    if running.get("total"):
        text += f": {wording.number(running['done'])} of {wording.number(running['total'])}"
    if running.get("left_s") is not None:
        text += f", {wording.duration(running['left_s'])} left"
    return text


@click.command(
    cls=Command,
    section=_SECTION,
    short_help="List the files that could not be indexed, and why.",
    examples=(
        ("pixseek failures", "by reason, each with what to do"),
        ("pixseek failures --retry", "after fixing the files"),
        ("pixseek failures --paths", "for scripts"),
    ),
)
@click.option(
    "--retry", is_flag=True, help="Index the library's folders again, including these files."
)
@click.option("--paths", is_flag=True, help="Print paths only, one per line.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def failures(ctx: click.Context, retry: bool, paths: bool, as_json: bool) -> None:
    """List files that could not be indexed, by reason, each with what to do about it.

    With --retry, indexes again and prints the report of that run instead.
    """
    check_alone(ctx, ("paths", "as_json"), ("paths", "retry"))
    with open_library() as library:
        if retry:
            run_and_report(ctx, library, retry=True, as_json=as_json)
            return
        found = library.failures()
        places = [_place(library, failure) for failure in found]
    if as_json:
        from pixseek.wire import failure_to_plain

        write_json(
            {
                "failures": [
                    {**failure_to_plain(failure), "path": place}
                    for failure, place in zip(found, places, strict=True)
                ]
            }
        )
    elif paths:
        write_paths(places)
    elif found:
        write_failures(found, examples=0, places=places)
        echo(hinted("\nAfter fixing them: pixseek failures --retry"))
    else:
        echo("No failures.")


def _place(library: Library, failure: Failure) -> str:
    from pixseek.types import Record, record_id

    path = library.locate(Record(record_id(failure.uri), failure.uri))
    return str(path) if path else failure.uri


@click.command(
    cls=Command,
    section=_SECTION,
    short_help="Remove images from the library; files are not touched.",
    examples=(
        ("pixseek remove ~/Pictures/private", "a folder; later runs skip it"),
        ("pixseek remove --root Pictures", "a folder by its name in `status`"),
        ("pixseek remove --all", "empty the library"),
    ),
)
@click.argument("targets", nargs=-1, metavar="[ID_OR_PATH]...")
@click.option("--root", metavar="NAME", help="Remove the folder that `pixseek status` shows by "
              "this name.")  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="Remove everything; asks first.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def remove(
    ctx: click.Context, targets: tuple[str, ...], root: str | None, everything: bool, yes: bool
) -> None:
    """Remove images from the library: ids, files, folders. Your files are not touched.

    Later runs skip a removed path, until you index it by name again.
    """
    if everything and (targets or root):
        raise click.UsageError("--all can't be combined with ids, paths or --root.", ctx)
    if not (everything or targets or root):
        raise click.UsageError("Name an id, a file, a folder, --root NAME or --all.", ctx)
    with open_library() as library:
        if everything:
            images = wording.counted(len(library), "image")
            question = f"Remove all {images} from {wording.visible(str(library.path))}?"
            if not yes:
                confirm(question)
            before = len(library.away())
            removed = library.remove_everything()
        else:
            before = len(library.away())
            removed = library.remove(*targets, root=root)
        kept = len(library.away()) - before
    echo(f"Removed {wording.counted(removed, 'image')} from the library. No files were touched.")
    if kept > 0:
        echo(
            wording.fitted(
                f"What you said of {wording.counted(kept, 'image')} is kept; "
                f"to see it: {hinted('pixseek forget')}"
            )
        )
