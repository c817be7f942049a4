"""`pixseek status`, `failures` and `remove`: what a library holds, and looking after it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from pixseek.cli import wording
from pixseek.cli.index import run_and_report
from pixseek.cli.options import Command, open_library
from pixseek.cli.results import write_json
from pixseek.cli.summaries import write_failures

if TYPE_CHECKING:
    from pixseek.library import Library, Status
    from pixseek.types import Acceleration, Failure

_SECTION = "Look after the library"


@click.command(
    cls=Command,
    section=_SECTION,
    short_help="Say what the library holds, and how far indexing is.",
    examples=(
        ("pixseek status", "the default library"),
        ("pixseek status --library photos.lib --json", "for scripts"),
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(as_json: bool) -> None:
    """Say what the library holds, where its folders are, and how far a running index is."""
    with open_library() as library:
        found = library.status()
    if as_json:
        from pixseek.wire import status_to_plain

        write_json(status_to_plain(found))
        return
    _write_status(found)


def _write_status(found: Status) -> None:
    rows = [
        ("library", str(found.path)),
        ("model", found.model or "none yet"),
        *([("texts", f"by the text tower of {found.texts}")] if found.texts else ()),
        ("images", wording.number(found.records)),
        ("size", wording.size(found.bytes_on_disk)),
    ]
    for name, value in rows:
        _write_row(name, wording.visible(value))
    for n, (space, held) in enumerate(found.other_spaces):
        _write_row(
            "" if n else "besides",
            f"vectors of {wording.visible(space.model)}, of {wording.number(held)} of "
            f"{wording.counted(found.records, 'image')}",
        )
    if found.acceleration:
        _write_row("computed", _computed(found.acceleration))
    for n, root in enumerate(found.roots):
        gone = "" if root.is_there else click.style("  not there now", fg="red")
        _write_row(
            "" if n else "folders",
            f"{wording.visible(root.name)}: {wording.counted(root.records, 'image')}, "
            f"{wording.visible(str(root.path))}{gone}",
        )
    failed = sum(found.failures.values())
    if failed:
        reasons = ", ".join(
            f"{wording.number(count)} {reason}"
            for reason, count in sorted(found.failures.items(), key=lambda item: -item[1])
        )
        _write_row("failed", f"{click.style(reasons, fg='red')} (see: pixseek failures)")
    if found.running:
        _write_row("now", _running(found))


def _computed(how: Acceleration) -> str:
    return f"in {how.precision} by {how.runtime}: {how.why}"


def _write_row(title: str, text: str) -> None:
    click.echo(f"{click.style(f'{title:<9}', bold=True)}{text}")


def _running(found: Status) -> str:
    running = found.running or {}
    text = f"indexing (process {running.get('pid')} on {running.get('host')})"
    if running.get("total"):
        text += f": {wording.number(running['done'])} of {wording.number(running['total'])}"
    if running.get("left_s") is not None:
        text += f", {wording.duration(running['left_s'])} left"
    return text


@click.command(
    cls=Command,
    section=_SECTION,
    short_help="List what could not be indexed, and why.",
    examples=(
        ("pixseek failures", "by reason, with what to do"),
        ("pixseek failures --retry", "after mending them"),
        ("pixseek failures --paths", "for scripts"),
    ),
)
@click.option(
    "--retry", is_flag=True, help="Look through the library's folders, and try these files again."
)
@click.option("--paths", is_flag=True, help="Print paths only, one on each line.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def failures(ctx: click.Context, retry: bool, paths: bool, as_json: bool) -> None:
    """List what could not be indexed, by reason, each with what to do about it.

    With --retry, tries them again first; --json then prints the report of that run.
    """
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
        for place in places:
            click.echo(os.fsencode(place))
    elif found:
        write_failures(found, examples=0, places=places)
        click.echo("\nWhen they are mended: pixseek failures --retry")
    else:
        click.echo("Nothing has failed.")


def _place(library: Library, failure: Failure) -> str:
    from pixseek.types import Record, record_id

    path = library.locate(Record(record_id(failure.uri), failure.uri))
    return str(path) if path else failure.uri


@click.command(
    cls=Command,
    section=_SECTION,
    short_help="Take images out of the library; files are not touched.",
    examples=(
        ("pixseek remove ~/Pictures/private", "a folder; later runs pass over it"),
        ("pixseek remove --root Pictures", "forget a folder by its name in `status`"),
        ("pixseek remove --all", "empty the library"),
    ),
)
@click.argument("targets", nargs=-1, metavar="[ID_OR_PATH]...")
@click.option("--root", metavar="NAME", help="Forget this folder of `pixseek status`.")
@click.option("--all", "everything", is_flag=True, help="Forget everything; asks first.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def remove(
    ctx: click.Context, targets: tuple[str, ...], root: str | None, everything: bool, yes: bool
) -> None:
    """Take images out of the library: ids, files, folders. Your files are not touched.

    What is removed by its path stays out in later runs, until it is indexed by its name again.
    """
    if everything and (targets or root):
        raise click.UsageError("--all leaves nothing to name: give it alone.", ctx)
    if not (everything or targets or root):
        raise click.UsageError("Name an id, a file, a folder, --root NAME or --all.", ctx)
    with open_library() as library:
        if everything:
            question = f"Forget all {wording.counted(len(library), 'image')} of {library.path}?"
            if not yes:
                click.confirm(question, abort=True, err=True)
            removed = library.remove_everything()
        else:
            removed = library.remove(*targets, root=root)
    click.echo(
        f"Removed {wording.counted(removed, 'image')} from the library. No file was touched."
    )
