"""`pixseek show`: everything known of one image."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pixseek.cli import wording
from pixseek.cli.options import Command, open_library
from pixseek.cli.results import hyperlink, write_json, write_picture
from pixseek.cli.terminal_images import CHOICES

if TYPE_CHECKING:
    from pathlib import Path

    from pixseek.types import Record

# What is for programs: it is in the JSON, and tells people nothing.
_NOT_SHOWN = frozenset({"placeholder", "taken_from"})


@click.command(
    cls=Command,
    section="Index and search",
    short_help="Print everything known of an image.",
    examples=(
        ("pixseek show ~/Pictures/lake.jpg", "of a file of the library"),
        ("pixseek show i46u3x2uhaf5qd2r --json", "by its id, for scripts"),
    ),
)
@click.argument("what", metavar="ID_OR_FILE")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--thumbnails", type=click.Choice(CHOICES), default="auto",
              envvar="PIXSEEK_THUMBNAILS",
              help="How to draw the picture in the terminal; see `pixseek search`.")  # fmt: skip
def show(what: str, as_json: bool, thumbnails: str) -> None:
    """Print everything known of an image: what was read from it, its sidecars and its name."""
    from pixseek.errors import QueryError

    with open_library() as library:
        record = library.find(what)
        if record is None:
            raise QueryError(
                "Not in the library", what, "Name an id, or a file as it was when it was indexed."
            )
        path = library.locate(record)
        if as_json:
            from pixseek.wire import record_to_plain

            write_json({"path": str(path) if path else None, **record_to_plain(record)})
            return
        if sys.stdout.isatty():
            write_picture(library.preview(record), path, thumbnails)
    rows = list(_rows(record, path))
    wide = max(len(name) for name, _ in rows)
    for name, text in rows:
        first, *more = text.splitlines() or [""]
        click.echo(f"{click.style(f'{name:<{wide}}', bold=True)}  {first}")
        for line in more:
            click.echo(f"{'':<{wide}}  {line}")


def _rows(record: Record, path: Path | None) -> Iterator[tuple[str, str]]:
    from pixseek.metadata import FIELDS

    if path is not None:
        away = "" if path.exists() else click.style("  not there now", fg="red")
        yield "path", hyperlink(wording.visible(str(path)), path) + away
    yield "id", record.id
    yield "uri", wording.visible(record.uri)
    if record.width:
        megapixels = record.width * record.height / 1e6
        yield "size", f"{record.width} × {record.height} ({megapixels:.1f} MP)"
    if record.media:
        yield "format", record.media
    if record.stamp:
        yield "file", wording.size(record.stamp.size)
    if record.taken_at:
        origin = record.fields.get("taken_from", "")
        yield "taken", f"{record.taken_at.isoformat(' ')}{f' (by {origin})' if origin else ''}"
    if record.caption:
        yield "caption", "\n".join(wording.visible(line) for line in record.caption.splitlines())
    if record.tags:
        yield "tags", wording.visible(", ".join(record.tags))
    for name, value in record.fields.items():
        if name in _NOT_SHOWN:
            continue
        unit = FIELDS[name].unit if name in FIELDS else ""
        if name == "aperture":
            text, unit = f"f/{value:g}", ""
        elif name == "iso":
            text, unit = str(value), ""
        elif name == "exposure_s" and isinstance(value, float) and value < 0.4:
            text = f"1/{1 / value:.0f}"
        elif isinstance(value, float):
            text = f"{value:.6g}"
        elif isinstance(value, bool):
            text = "yes" if value else "no"
        else:
            text = wording.visible(str(value))
        yield name.replace("_", " ").removesuffix(f" {unit}"), f"{text} {unit}".rstrip()
    if record.digest:
        yield "sha256", record.digest
