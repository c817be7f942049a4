"""Show results: as a table with thumbnails, lines for pipes, paths, JSON, or an HTML page."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from pixseek.cli import wording
from pixseek.cli.options import warn

if TYPE_CHECKING:
    from pixseek.types import Hit, Results

#: "table" on a terminal and "lines" elsewhere are chosen by `write_results` itself.
Form = Literal["auto", "paths", "paths0", "json"]


def write_results(
    results: Results, form: Form, *, thumbnails: str = "auto", blocks_too: bool = False
) -> None:
    """Write results to standard output, and their warnings to standard error."""
    if form == "json":
        from pixseek.wire import results_to_plain

        write_json(results_to_plain(results))
        return
    for warning in results.warnings:
        warn(warning)
    if form in ("paths", "paths0"):
        end = b"\0" if form == "paths0" else b"\n"
        # As bytes: a name need not be valid in the encoding of the terminal.
        sys.stdout.flush()
        sys.stdout.buffer.write(b"".join(os.fsencode(place(hit)) + end for hit in results))
        sys.stdout.buffer.flush()
    elif sys.stdout.isatty():
        write_thumbnails(results, thumbnails, blocks_too=blocks_too)
        write_table(results)
    else:
        for hit in results:
            click.echo(f"{hit.rank}\t{hit.score:.4f}\t{wording.visible(place(hit))}")
        if not results:
            click.echo("No hits.", err=True)


def write_many(answers: Sequence[Results], *, as_json: bool) -> None:
    """Write the hits of many queries, a line each: query, rank, score, path, between tabs.

    Args:
        answers: to queries by words.
        as_json: write a line for each query instead, with its answer as a JSON object.
    """
    if as_json:
        import json

        from pixseek.wire import results_to_plain

        for results in answers:
            click.echo(json.dumps(results_to_plain(results)))
        return
    for results in answers:
        words = wording.visible(str(results.query.terms[0].value))
        for hit in results:
            click.echo(f"{words}\t{hit.rank}\t{hit.score:.4f}\t{wording.visible(place(hit))}")


def write_json(value: Any) -> None:
    """Write one JSON object to standard output."""
    import json

    # Characters beyond ASCII are for people, where standard output can write all of them.
    plain = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, indent=2, ensure_ascii=not plain)
    try:
        text.encode()
    except UnicodeEncodeError:  # a file name that is not valid text
        text = json.dumps(value, indent=2)
    click.echo(text)


def place(hit: Hit) -> str:
    """Return where an image is: its full path, or its URI where it is no file of this machine."""
    return str(hit.path) if hit.path else hit.uri


def write_thumbnails(results: Results, choice: str, *, blocks_too: bool = False) -> None:
    """Draw the hits above their table, where the terminal can."""
    from pixseek.cli.terminal_images import graphics

    how = graphics(choice, blocks_too=blocks_too) if results else None
    if how is not None:
        from pixseek.cli.thumbnails import write_strip

        write_strip(
            results,
            how,
            columns=terminal_size().columns,
            # The table should be seen with them.
            lines=terminal_size().lines - len(results) - 4,
        )


def write_picture(preview: bytes | None, path: Path | None, choice: str) -> None:
    """Draw one picture, where the terminal can."""
    from pixseek.cli.terminal_images import graphics

    how = graphics(choice)
    if how is not None:
        from pixseek.cli.thumbnails import write_one

        write_one(preview, path, how, columns=terminal_size().columns)


def write_table(results: Results) -> None:
    """Write rank, score, size and path of each hit, and what the search took."""
    if not results:
        click.echo("No hits.", err=True)
        return
    # By hand, for a table of rich takes 80 ms to import, and cuts paths at the wrong end.
    sizes = [
        f"{hit.record.width} × {hit.record.height}" if hit.record.width else "" for hit in results
    ]
    wide = max(len("size"), *(len(size) for size in sizes))
    ranks = max(len("rank"), *(len(str(hit.rank)) for hit in results))
    head = f"{'rank':>{ranks}}  {'score':>6}  {'size':>{wide}}  path"
    click.echo(click.style(head, bold=True))
    room = max(20, terminal_size().columns - ranks - wide - 12 - 1)
    for hit, size in zip(results, sizes, strict=True):
        shown = wording.shortened(wording.visible(from_here(hit)), room)
        link = hyperlink(shown, hit.path)
        soft = click.style(f"{size:>{wide}}", dim=True)
        click.echo(f"{hit.rank:>{ranks}}  {hit.score:>6.3f}  {soft}  {link}")
    took = results.took_ms
    stages = ", ".join(f"{stage} {ms:.0f} ms" for stage, ms in took.items() if stage != "total")
    click.echo(
        click.style(
            f"{wording.counted(len(results), 'hit')} in {took.get('total', 0):.0f} ms ({stages}), "
            f"model {results.model}",
            dim=True,
        )
    )


def from_here(hit: Hit) -> str:
    """Return the path of a hit as seen from the current folder, if it lies below it."""
    if hit.path is None:
        return hit.uri
    try:
        return str(hit.path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(hit.path)


def hyperlink(text: str, path: Path | None) -> str:
    """Return text that opens a file where the terminal lets it be clicked (OSC 8)."""
    shows_links = sys.stdout.isatty() and os.environ.get("TERM", "") not in ("dumb", "linux")
    if path is None or not shows_links or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b]8;;{path.absolute().as_uri()}\x1b\\{text}\x1b]8;;\x1b\\"


def terminal_size() -> os.terminal_size:
    """Return how many columns and lines the terminal has."""
    import shutil

    return shutil.get_terminal_size()
