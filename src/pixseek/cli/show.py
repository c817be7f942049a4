"""`pixseek show`: everything known about one image."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pixseek.cli import wording
from pixseek.cli.options import Command, open_library
from pixseek.cli.output import echo, styled, write_json
from pixseek.cli.results import day_of, hyperlink, write_picture
from pixseek.cli.terminal_images import CHOICES
from pixseek.types.clock import clock, span

if TYPE_CHECKING:
    from pathlib import Path

    from pixseek.library.surfaces import Described
    from pixseek.types import Record, Scalar

# Fields for programs, which are in the JSON only.
_NOT_SHOWN = frozenset(
    {
        "placeholder",
        "taken_from",
        "taken_precision",
        "pixseek.marks",
        "pixseek.motion",
        "duration_s",
    }
)

#: Shots whose times are listed.
_SHOTS = 24

# Names of fields without their units.
_NAMES = {
    "focal_length_mm": "focal length", "focal_length_35mm": "on 35 mm film",
    "exposure_s": "exposure", "exposure_bias_ev": "exposure bias", "altitude_m": "altitude",
    "direction_deg": "direction", "iso": "ISO", "fps": "frames a second",
}  # fmt: skip
_SHARE = re.compile(r":(\d*\.?\d+)\s*")

# Values of `taken_from`, in words.
_ORIGINS = {
    "exif": "EXIF", "xmp": "XMP", "iptc": "IPTC", "png": "PNG",
    "sidecar": "a JSON file", "name": "the file's name", "file": "the file's time",
}  # fmt: skip


@click.command(
    cls=Command,
    section="Index and search",
    short_help="Print everything known about an image.",
    examples=(
        ("pixseek show ~/Pictures/lake.jpg", "an indexed file"),
        ("pixseek show i46u3x2uhaf5qd2r --json", "by id, for scripts"),
    ),
)
@click.argument("what", metavar="ID_OR_FILE")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--thumbnails", type=click.Choice(CHOICES), default="auto",
              envvar="PIXSEEK_THUMBNAILS",
              help="How to draw the picture in the terminal; see `pixseek search`.")  # fmt: skip
def show(what: str, as_json: bool, thumbnails: str) -> None:
    """Print everything known about an image, from the file, its sidecars and its name."""
    from pixseek.errors import QueryError
    from pixseek.library.surfaces import container_of, is_there

    with open_library() as library:
        record = library.find(what)
        if record is None:
            raise QueryError(
                "Not in the library", what, "Name an id, or a file by its path when it was indexed."
            )
        path = library.locate(record)
        container = container_of(library, record)
        if as_json:
            from pixseek.wire import record_to_plain, shots_to_plain

            place: dict[str, object] = {"path": str(path) if path else None}
            if path:
                place["is_there"] = os.path.exists(path)
            if container is not None:
                place |= {"container": container, "is_there": is_there(library, record)}
            shots = {"shots": shots_to_plain(record)} if record.shots else {}
            write_json({**place, **record_to_plain(record), **shots})
            return
        if sys.stdout.isatty():
            write_picture(library.preview(record), lambda: library.original(record), thumbnails)
    known = list(rows(record, path, container))
    wide = max(len(name) for name, _ in known)
    for name, text in known:
        indent = " " * (wide + 2)
        # A path stays whole, and its link takes no columns.
        shown = text if name == "path" else wording.fitted(text, hanging=indent, first=wide + 2)
        echo(f"{styled(f'{name:<{wide}}', bold=True)}  {shown}")


def rows(
    record: Record, path: Path | None, container: str | None = None
) -> Iterator[tuple[str, str]]:
    """Yield what is known about an image, as names and values for people; values may have lines."""
    from pixseek.library.surfaces import described

    if path is not None:
        away = "" if os.path.exists(path) else styled("  missing", fg="red")
        yield "path", hyperlink(wording.visible(str(path)), path) + away
    if container is not None:
        away = "" if "://" in container or os.path.exists(container) else (
            styled("  missing", fg="red"))  # fmt: skip
        yield "in", wording.visible(container) + away
    yield "id", wording.visible(record.id)
    yield "uri", wording.visible(record.uri)
    if record.width:
        megapixels = record.width * record.height / 1e6
        in_all = f" ({megapixels:.1f} MP)" if megapixels >= 0.05 else ""
        yield "size", f"{record.width} × {record.height}{in_all}"
    if record.media:
        yield "format", wording.visible(record.media)
    duration = record.fields.get("duration_s")
    if isinstance(duration, int | float):
        yield "duration", f"{clock(duration)} ({duration:.10g} s)"
    if shots := record.shots:
        times = ", ".join(map(span, shots[:_SHOTS]))
        more = f" and {wording.number(len(shots) - _SHOTS)} more" if len(shots) > _SHOTS else ""
        yield "shots", f"{wording.number(len(shots))}: {times}{more}"
    if record.stamp and record.stamp.size:  # pictures within a table have no file of their own
        yield "file", wording.size(record.stamp.size)
    if record.taken_at:
        origin = str(record.fields.get("taken_from", ""))
        origin = _ORIGINS.get(origin) or wording.visible(origin)
        precision = str(record.fields.get("taken_precision", ""))
        if precision in ("year", "month", "day"):
            written = day_of(record)
        else:
            # With a fraction of a second only if there is one.
            finest = "milliseconds" if record.taken_at.microsecond else "seconds"
            kept = {"hour": "hours", "minute": "minutes"}.get(precision, finest)
            written = record.taken_at.isoformat(" ", kept)
        yield "taken", f"{written}{f' (from {origin})' if origin else ''}"
    said = described(record)
    yield from _said(said)
    yield from _seen(said)
    for name, value in said.fields.items():
        if name not in _NOT_SHOWN:
            yield _NAMES.get(name) or wording.visible(name).replace("_", " "), _value(name, value)
    if record.digest:
        yield "sha256", wording.visible(record.digest)


def _said(said: Described) -> Iterator[tuple[str, str]]:
    """Yield the caption, the tags and the rating, each with who says it."""
    if said.caption:
        lines = said.caption.splitlines()
        if said.caption_is_yours:
            lines[-1] += "  (yours)"
        if said.file_caption:
            lines += ["the file's:", *said.file_caption.splitlines()]
        yield "caption", "\n".join(map(wording.visible, lines))
    if said.tags:
        tags = (tag if origin == "file" else f"{tag} ({origin})" for tag, origin in said.tags)
        yield "tags", wording.visible(", ".join(tags))
    if said.rating is not None:
        text = _value("rating", said.rating)
        if said.rating_is_yours:
            other = said.file_rating
            text += "  (yours)" if other is None else f"  (yours; the file's: {other})"
        yield "rating", text


def _seen(said: Described) -> Iterator[tuple[str, str]]:
    """Yield the text that was read in the picture, line by line with its place."""
    from pixseek.library.surfaces import place_of

    lines = (
        f"{line.text}  ({place_of(line.box)}, {line.confidence:.0%})" for line in said.text_seen
    )
    if text := "\n".join(map(wording.visible, lines)):
        yield "text seen", text


def _value(name: str, value: Scalar) -> str:
    """Return the value of a field as people write it."""
    from pixseek.library.surfaces import unit_of

    unit = unit_of(name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if name == "rating" and isinstance(value, int):
            return "rejected" if value < 0 else wording.counted(value, "star")
        if name == "aperture":
            return f"f/{value:g}"
        if name == "iso":
            return str(value)
        if name == "fps":
            return f"{value:.5g}"
        if name == "exposure_s" and 0 < value < 0.4:
            return f"1/{1 / value:.0f} s"
        if name == "exposure_bias_ev":
            return f"{value:+.2g} EV" if value else "0 EV"
        if name in ("latitude", "longitude"):
            return f"{value:.7f}°"  # the seventh decimal is a centimetre
        if name == "direction_deg":
            return f"{value:.0f}°"
        # A whole number may be an id or a time, of which every digit counts.
        number = f"{value:.1f}" if name == "altitude_m" else (
            str(value) if isinstance(value, int) else f"{value:.10g}"
        )  # fmt: skip
        return f"{number} {unit}".rstrip()
    text = wording.visible(str(value))
    if name == "colours":
        return _SHARE.sub(lambda share: f" {float(share[1]):.0%}, ", text).rstrip(", ")
    return text.replace("; ", "\n") if name == "notes" else text
