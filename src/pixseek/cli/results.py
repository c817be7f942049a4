"""Show results: a table with thumbnails, lines for pipes, paths, or JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pixseek.cli import wording
from pixseek.cli.hints import hinted
from pixseek.cli.options import warn
from pixseek.cli.output import echo, link, styled, write_json, write_paths
from pixseek.redaction import without_passwords
from pixseek.types.clock import span

if TYPE_CHECKING:
    from pixseek.library.surfaces import Facets
    from pixseek.types import Hit, Moment, Record, Results

#: How to write results; "auto" is a table on a terminal, and lines otherwise.
Form = Literal["auto", "paths", "paths0", "json"]

#: Hits whose files are looked for when only paths are printed: that is slow on network drives.
_LOOKED_FOR = 1000

#: Further moments of a hit that are listed.
_TIMES = 12

#: Characters that are shown of the value of a group.
_LONGEST_VALUE = 24

#: Missing files that a note names.
_NAMED = 3

#: The message without hits, by whether the query searches or only filters.
_NOTHING = {True: "No hits.", False: "No image matches this filter."}


def write_results(
    results: Results,
    form: Form,
    *,
    thumbnails: str = "auto",
    blocks_too: bool = False,
    why: bool = False,
    facets: Facets | None = None,
) -> None:
    """Write results to standard output, and their warnings to standard error.

    Args:
        results: the answer.
        form: how to write it.
        thumbnails: how to draw pictures, one of `terminal_images.CHOICES`.
        blocks_too: draw them as characters if the terminal has no graphics.
        why: explain each hit.
        facets: counts to write after the hits.
    """
    if form == "json":
        from pixseek.wire import results_to_plain

        plain = results_to_plain(results)
        plain["warnings"] = [hinted(warning) for warning in plain["warnings"]]
        write_json(plain if facets is None else {**plain, "facets": facets})
        return
    for warning in results.warnings:
        warn(warning)
    as_table = form == "auto" and sys.stdout.isatty()
    if (left_out := exclusions(results)) and not as_table:
        warn(f"{left_out}. To see them, add --show-excluded.")
    if form in ("paths", "paths0"):
        _note_missing(results)
        # Several moments of one video are one file.
        write_paths(dict.fromkeys(map(place, results)), null=form == "paths0")
    elif as_table:
        write_thumbnails(results, thumbnails, blocks_too=blocks_too)
        write_table(results, why=why)
    else:
        _note_missing(results)
        for hit in results:
            echo(f"{hit.rank}\t{hit.score:.4f}\t{wording.field(place(hit))}{_when(hit)}")
            if why:
                _write_reasons(hit)
        if not results:
            echo(_NOTHING[bool(results.query.terms)], err=True)
    if facets and form == "auto":
        if results and not any(facets.values()):
            echo("Facets count strong and likely matches; there are none.", err=True)
        write_facets(facets)


def write_many(queries: Sequence[str], answers: Sequence[Results], *, as_json: bool) -> None:
    """Write the hits of many queries, a line each: query, rank, score, path, separated by tabs.

    Args:
        queries: the text of each as it was typed; "" if it was none.
        answers: to each of them.
        as_json: write one line per query instead, with its answer as a JSON object.
    """
    if as_json:
        from pixseek.wire import results_to_plain

        for results in answers:
            write_json(results_to_plain(results), in_one_line=True)
        return
    from pixseek.wire import query_label

    for typed, results in zip(queries, answers, strict=True):
        words = wording.field(typed or query_label(results.query)[1])
        for hit in results:
            found = f"{words}\t{hit.rank}\t{hit.score:.4f}\t{wording.field(place(hit))}"
            echo(f"{found}{_when(hit)}")


def _when(hit: Hit) -> str:
    """Return when the shot is that was found, after a tab; "" for images."""
    when = span(hit.part)
    return f"\t{when}" if when else ""


def write_page(pages: list[Results], name: str, **how: Any) -> Path:
    """Write a page with the hits to a file, a temporary one without a name; return its path."""
    from pixseek.cli.contact_sheet import write_contact_sheet

    if name:
        page = Path(os.path.expanduser(name))
    else:
        import tempfile

        handle, made = tempfile.mkstemp(".html", "pixseek-")
        os.close(handle)
        page = Path(made)
    write_contact_sheet(page, pages, **how)
    return page


def place(hit: Hit) -> str:
    """Return where an image is: its full path, or its URI if it is not a file on this machine."""
    return str(hit.path) if hit.path else hit.uri


def write_thumbnails(results: Results, choice: str, *, blocks_too: bool = False) -> None:
    """Draw the hits above their table, if the terminal can."""
    from pixseek.cli.terminal_images import graphics

    how = graphics(choice, blocks_too=blocks_too) if results else None
    if how is not None:
        from pixseek.cli.thumbnails import write_strip

        write_strip(
            results,
            how,
            columns=terminal_size().columns,
            # Leave room for the table.
            lines=terminal_size().lines - len(results) - 4,
        )


def write_picture(preview: bytes | None, read: Callable[[], bytes | None], choice: str) -> None:
    """Draw one picture, if the terminal can; `read` returns its file."""
    from pixseek.cli.terminal_images import graphics

    how = graphics(choice)
    if how is not None:
        from pixseek.cli.thumbnails import write_one

        write_one(preview, read, how, columns=terminal_size().columns)


def write_table(results: Results, *, why: bool = False) -> None:
    """Write strength, score, size and path of each hit; for a mere filter the date instead."""
    searched = bool(results.query.terms)
    if results and searched and not results.strong:
        said = "No strong matches" if results.likely else "Nothing here matches well"
        echo(styled(f"{said}. The closest images:", fg="yellow"))
    if not results:
        echo(_NOTHING[searched], err=True)
        return
    plain: dict[str, Any] = {}
    soft = {"dim": True}
    columns: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "rank": [(str(hit.rank), plain) for hit in results]
    }
    if searched:
        columns["match"] = [(match_of(hit), _STYLES[hit.strength]) for hit in results]
        columns["score"] = [(f"{hit.score:.3f}", plain) for hit in results]
    elif any(hit.record.taken_at for hit in results):
        columns["taken"] = [(day_of(hit.record), plain) for hit in results]
    columns["size"] = [
        (f"{hit.record.width} × {hit.record.height}" if hit.record.width else "", soft)
        for hit in results
    ]
    # Not by rich: its table takes 80 ms to import, and cuts paths at the wrong end.
    widths = {
        name: max(len(name), *(len(text) for text, _ in cells)) for name, cells in columns.items()
    }
    head = "  ".join(f"{name:>{width}}" for name, width in widths.items())
    echo(styled(f"{head}  path", bold=True))
    room = max(20, terminal_size().columns - len(head) - 2 - 1)
    for row, hit in enumerate(results):
        cells = [
            styled(f"{columns[name][row][0]:>{width}}", **columns[name][row][1])
            for name, width in widths.items()
        ]
        more = f"  {said}" if (said := stands_for(hit)) else ""
        if hit.moments:
            more = f"  +{wording.counted(len(hit.moments), 'moment')}{more}"
        when = f" {span(hit.part)}" if hit.part.kind == "shot" else ""
        gone = "  missing" if hit.is_there is False else ""
        place = without_passwords(wording.visible(from_here(hit)))
        shown = wording.shortened(place, room - len(when) - len(more) - len(gone))
        # A name that is too long for the column has a line of its own, so that it stays whole.
        below = shown[1:2] not in ("/", "\\") and shown != place
        shown_link = hyperlink(place if below else shown, None if gone else hit.path) + when
        notes = f"{styled(gone, fg='red')}{styled(more, dim=True)}"
        begin = "  ".join(cells)
        echo(f"{begin}{notes}\n      {shown_link}" if below else f"{begin}  {shown_link}{notes}")
        if why:
            _write_reasons(hit)
    took, model = results.took_ms, wording.visible(results.model)
    stages = ", ".join(f"{stage} {ms:.0f} ms" for stage, ms in took.items() if stage != "total")
    found, how = _found(results), f"{took.get('total', 0):.0f} ms ({stages}), model {model}"
    fits = len(found) + len(how) + 2 <= terminal_size().columns
    echo(styled(f"{found}, {how}" if fits else f"{found}\n{how}", dim=True))
    if left_out := exclusions(results):
        said = wording.fitted(f"{left_out} (--show-excluded shows them)")
        echo(styled(said, dim=True))
    example = next((hit.group_filter for hit in results if hit.others), "")
    if example:
        said = f"To see all images of one, add its filter: {wording.visible(example)}"
        echo(styled(wording.fitted(said), dim=True))


def stands_for(hit: Hit) -> str:
    """Return which images are not shown because of a hit: "+2 like it", "A-17, +3 more"."""
    if hit.group is None:
        return f"+{len(hit.duplicates)} like it" if hit.duplicates else ""
    value = wording.shortened(wording.visible(str(hit.group)), _LONGEST_VALUE)
    return value + (f", +{wording.number(hit.others)} more" if hit.others else "")


def day_of(record: Record) -> str:
    """Return the day on which an image was taken, or what is known of it; "" for nothing."""
    if not record.taken_at:
        return ""
    known = {"year": 4, "month": 7}.get(str(record.fields.get("taken_precision", "")), 10)
    return record.taken_at.isoformat()[:known]


def _found(results: Results) -> str:
    """Return how many images match: "12 strong and 28 likely matches in 1,000 images"."""
    images = wording.counted(results.total, "image")
    return f"{matches(results)} in {images}" if results.query.terms else images


def matches(results: Results) -> str:
    """Return how many images match: "12 strong and 28 likely matches"."""
    likely = results.likely - results.strong
    # If all candidates that were looked at match, there may be more.
    more = "+" if results.likely == results.looked_at < results.total else ""
    return (
        f"{wording.number(results.strong)}{more} strong and "
        f"{wording.number(likely)}{more} likely match{'' if likely == 1 and not more else 'es'}"
    )


_STYLES: dict[str, dict[str, Any]] = {
    "strong": {"fg": "green"},
    "likely": {},
    "weak": {"dim": True},
}


def match_of(hit: Hit) -> str:
    """Return the strength of a hit, with its probability if that was measured: "strong 82%"."""
    said = f"not ({wording.visible(hit.excluded_by)})" if hit.excluded_by else hit.strength
    if hit.probability is None or hit.excluded_by:
        return said
    # Cut, not rounded, so that no likely hit shows the least percentage of a strong one.
    return f"{said} {min(99, max(1, int(100 * hit.probability))):>2}%"


def _write_reasons(hit: Hit) -> None:
    from pixseek.cli.reasons import reasons

    said = wording.fitted(reasons(hit), hanging=" " * 6, first=6)
    if said:
        echo(styled(f"      {said}", dim=True))
    if hit.moments:
        times = ", ".join(span(each.part) for each in sorted_by_time(hit)[:_TIMES])
        left = len(hit.moments) - _TIMES
        said = f"also at {times}{f' and {left} more' if left > 0 else ''}"
        echo(styled(f"      {wording.fitted(said, hanging=' ' * 6, first=6)}", dim=True))
    if hit.part.box is not None:
        box = ",".join(f"{each:.3g}" for each in hit.part.box)
        echo(styled(f"      best part: {hit.part.kind} {box}", dim=True))


def sorted_by_time(hit: Hit) -> list[Moment]:
    """Return the further moments of a hit in the order of the video."""
    return sorted(hit.moments, key=lambda each: each.part.start_s or 0.0)


def exclusions(results: Results) -> str:
    """Return how many images were left out: "Left out: 2 images for 'snow', 1 for 'red'"."""
    found = [each for each in results.excluded if each.count and not results.query.show_excluded]
    if not found:
        return ""
    names = [f"'{wording.visible(each.what)}'" if each.what else "the example" for each in found]
    counts = [wording.number(each.count) for each in found]
    counts[0] = wording.counted(found[0].count, "image")
    why = (f"{count} for {name}" for count, name in zip(counts, names, strict=True))
    return f"Left out: {', '.join(why)}"


def _note_missing(results: Results) -> None:
    """Say on standard error which files of lines and paths are not there."""
    gone = [hit for hit in results[:_LOOKED_FOR] if hit.is_there is False]
    if not gone:
        return
    named = ", ".join(wording.visible(place(hit)) for hit in gone[:_NAMED])
    more = f" and {wording.number(len(gone) - _NAMED)} more" if len(gone) > _NAMED else ""
    are = "1 file is" if len(gone) == 1 else f"{wording.number(len(gone))} files are"
    warn(
        f"{are} not there now (deleted, moved, or on a drive that is not connected): {named}{more}"
    )


def write_facets(facets: Facets) -> None:
    """Write the counts of each field, largest first."""
    for name, counts in facets.items():
        if counts:
            said = ", ".join(f"{wording.visible(v)} {wording.number(n)}" for v, n in counts.items())
            wide = max(20, terminal_size().columns - 9) if sys.stdout.isatty() else 0
            if wide and len(said) > wide:
                import textwrap

                said = f"\n{'':9}".join(textwrap.wrap(said, wide, break_long_words=False))
            echo(f"{styled(f'{wording.visible(name):<8}', bold=True)} {said}")


def from_here(hit: Hit) -> str:
    """Return the path of a hit, relative to the current folder if it is below that."""
    return hit.uri if hit.path is None else relative(hit.path)


def relative(path: Path) -> str:
    """Return a path, relative to the current folder if it is below that."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def hyperlink(text: str, path: Path | None) -> str:
    """Return text that opens a file when it is clicked, in terminals with OSC 8."""
    shows_links = sys.stdout.isatty() and os.environ.get("TERM", "") not in ("dumb", "linux")
    if path is None or not shows_links or os.environ.get("NO_COLOR"):
        return text
    return link(text, path.absolute().as_uri())


def terminal_size() -> os.terminal_size:
    """Return the size of the terminal in columns and lines."""
    import shutil

    return shutil.get_terminal_size()
