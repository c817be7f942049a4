"""Summaries of indexing runs: what was done, what failed and why."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pixseek.cli import wording
from pixseek.cli.hints import hinted, quoted
from pixseek.cli.output import echo, styled
from pixseek.cli.results import terminal_size
from pixseek.errors import ImageError

if TYPE_CHECKING:
    from pixseek.library import Status
    from pixseek.types import Failure, Report, Skipped

_STAGES = {
    "scan": "looking for files is the bottleneck",
    "decode": "reading and decoding images is the bottleneck",
    "text": "reading the text in pictures is the bottleneck (without it: --no-ocr)",
    "encode": "the model is the bottleneck",
    "store": "storing is the bottleneck",
}

#: What reasons mean if it is a whole folder, or an archive, that failed.
_FOLDERS = {
    "missing": "the folder or file is gone: renamed, moved, deleted or on a drive that is not "
    "here; nothing of it was removed from the library",
    "no-permission": "this user may not read the folder",
    "unreadable": "the folder, table or archive can't be read; what was indexed of it is kept",
    "damaged": "the archive is broken or cut off",
    "no-decoder": "the archive is packed in a way that can't be read here",
    "unreachable": "the server can't be reached; what was indexed from it is kept",
    "outside": "a link leads out of the indexed folder; what was indexed below it is kept",
}

#: Characters of a path that are shown: a list that is not one has lines of any length.
_LONGEST = 400

#: Failures to list for each reason if no other command lists them.
_LISTED = 10


def write_report(
    report: Report,
    *,
    images: int,
    threads: int,
    remembered: Collection[str] = (),
    precision: str = "auto",
    library: str = "",
) -> None:
    """Write the end of an indexing run to standard output.

    Args:
        report: what it did.
        images: how many the library holds now.
        threads: how many threads decoded and embedded.
        remembered: URIs of the failures that `pixseek failures` lists.
        precision: what was asked for.
        library: the option that names the library in a suggested command, with a leading space;
            "" for the default library.
    """
    total = report.seconds.get("total", 0.0)
    head = "Stopped after" if report.stopped else "Done in"
    echo(
        f"{styled(f'{head} {wording.duration(total)}', bold=True)}: "
        f"the library holds {wording.counted(images, 'image')}."
    )
    rows = [
        ("added", report.added),
        ("updated", report.updated),
        ("moved", report.moved),
        ("removed", report.removed),
        ("unchanged", report.unchanged),
        ("failed", len(report.failures)),
    ]
    wide = max(len(wording.number(value)) for _, value in rows)
    for name, value in rows:
        line = f"  {name:<10}{wording.number(value):>{wide}}"
        if name == "removed" and report.away:
            line += f"  (what you said of {wording.number(report.away)} is kept)"
        if name == "failed" and report.known_failures:
            line += f"  ({wording.number(report.known_failures)} that failed before were skipped)"
        style = {"fg": "red"} if name == "failed" and value else {} if value else {"dim": True}
        echo(styled(line, **style))
    if report.reused:
        echo(f"  {wording.number(report.reused)} reused existing vectors")
    _write_times(report, threads)
    _write_precision(report, precision)
    kept = [failure for failure in report.failures if failure.uri in remembered]
    only_here = [failure for failure in report.failures if failure.uri not in remembered]
    if report.skipped:
        echo()
        _write_skipped(report.skipped, library)
    if only_here:
        echo()
        write_failures(only_here, examples=_LISTED)
    if kept:
        echo()
        write_failures(kept, examples=1)
        echo(wording.fitted(f"To list all: pixseek failures{library}"))


def write_next_step(report: Report, *, images: int, library: str, model: str) -> None:
    """Suggest a command after an indexing run; arguments as for `write_report`.

    Args:
        model: the library's.
    """
    echo()
    if report.stopped:
        echo(wording.fitted(f"To continue: pixseek index{library}"))
    elif images:
        # The demo model knows no frisbee.
        example = "a red boat" if model == "demo" else "a dog catching a frisbee"
        echo(wording.fitted(f'Next: pixseek search "{example}"{library}'))
    elif any(each.images for each in report.skipped):
        echo(
            wording.fitted(
                "No other images were found, so nothing was added to the library. Add --include "
                "as shown above, or name a folder that contains other images."
            )
        )
    else:
        echo(
            wording.fitted(
                "No images were found, so nothing was added to the library. "
                "Name a folder that contains images."
            )
        )


def write_reindex_report(
    report: Report,
    *,
    status: Status,
    threads: int,
    library: str,
    again: str,
    precision: str = "auto",
) -> None:
    """Write the end of a change of the model to standard output.

    Args:
        report: what it did.
        status: of the library, after it.
        threads: how many threads decoded and embedded.
        library: the option that names the library in a suggested command; see `write_report`.
        again: the command that continues a stopped run.
        precision: what was asked for.
    """
    total = wording.duration(report.seconds.get("total", 0.0))
    by = f"{status.model}, with texts by {status.texts}" if status.texts else status.model
    head = f"Stopped after {total}" if report.stopped else f"Done in {total}"
    images = wording.counted(status.records, "image")
    still = "still uses" if report.stopped else "now uses"
    echo(f"{styled(head, bold=True)}: the library ({images}) {still} {wording.visible(by)}.")
    rows = (
        ("embedded", report.updated),
        ("reused", report.unchanged),
        ("failed", len(report.failures)),
    )
    wide = max(len(wording.number(value)) for _, value in rows)
    for name, value in rows:
        style = {"fg": "red"} if name == "failed" and value else {} if value else {"dim": True}
        echo(styled(f"  {name:<12}{wording.number(value):>{wide}}", **style))
    _write_times(report, threads)
    _write_precision(report, precision)
    if report.failures:
        echo()
        write_failures(report.failures, examples=1)
        echo(
            wording.fitted(
                "Until these files are indexed again, only text and filters find them.\n"
                f"To list all: pixseek failures{library}"
            )
        )
    if report.stopped:
        echo(wording.fitted(f"\nTo continue: {again}"))


def _write_times(report: Report, threads: int) -> None:
    seconds = {stage: report.seconds[stage] for stage in _STAGES if stage in report.seconds}
    whole = sum(seconds.values())
    worked_on = report.added + report.updated + report.moved - report.reused
    if whole < 0.05 or worked_on <= 0:
        return
    shares = " · ".join(
        f"{stage} {spent / whole:.0%} ({spent:.1f} s)" for stage, spent in seconds.items()
    )
    if sys.stdout.isatty() and len(shares) + 12 > terminal_size().columns:
        shares = " · ".join(f"{stage} {spent / whole:.0%}" for stage, spent in seconds.items())
    total = report.seconds.get("total", 0.0)
    rate = (worked_on + len(report.failures)) / total if total else 0.0
    # These seconds are summed over threads that work at the same time.
    together = {"decode", "text", "encode"}
    slowest = max(
        seconds, key=lambda stage: seconds[stage] / (max(1, threads) if stage in together else 1)
    )
    echo(f"  time      {shares}")
    echo(f"            {rate:.1f} images/s; {_STAGES[slowest]}")


def _write_precision(report: Report, asked: str) -> None:
    """Say that images were embedded in another precision than was asked for, and why."""
    how = report.acceleration
    embedded = report.added + report.updated - report.reused
    if asked == "auto" or (how is not None and how.precision == asked):
        return
    if how is not None:
        said = f"  precision {how.precision} instead of {asked}: {how.why}"
        echo(wording.fitted(said, hanging=" " * 10))
    elif embedded > 0:
        said = f"  precision {asked} was not used: this model has no choice"
        echo(wording.fitted(said, hanging=" " * 10))


def _write_skipped(skipped: Sequence[Skipped], library: str) -> None:
    """Write what was left out without being told to, and how to index it."""
    left_out: list[str] = []
    alike: list[str] = []
    unreadable: list[str] = []
    include: list[str] = []
    for each in skipped:
        what = wording.visible(each.what)
        images, such = wording.number(each.images), wording.visible(each.example)
        if not each.images:
            left_out.append(wording.counted(each.folders, f"{what} folder"))
        elif each.kind in ("folder", "placeholder", "archive"):
            at = "in " if each.kind == "folder" else ""
            left_out.append(f"{images} {at}{what} ({each.why})")
        elif each.kind == "hidden":
            left_out.append(f"{images} hidden")
        elif each.kind == "moving":
            clips = wording.counted(each.images, f"{what} clip")
            left_out.append(f"{clips} of photos, which are found with these")
        elif each.kind == "trashed":
            left_out.append(f"{images} in the trash of their photo program (such as {such})")
        elif not each.what:
            alike.append(f"{images} without an ending (such as {such})")
        elif each.include:
            alike.append(f"{images} {what}")
        else:
            unreadable.append(f"{images} {what}")
        if each.images and each.include:
            # Users want these more often than what lies in a bin.
            include.insert(0 if each.kind == "ending" else len(include), each.include)
    _write_list("Skipped", left_out)
    _write_list("Skipped, but look like images", alike)
    _write_list("Skipped, since pixseek can't read them (save them as JPEG or PNG)", unreadable)
    if include:
        line = f"To index them: pixseek index{library} --include {quoted(include[0])}"
    elif alike:
        line = f"To index one of them, name it: pixseek index{library} FILE"
    else:
        return
    echo(wording.fitted(line))


def _write_list(head: str, items: Sequence[str]) -> None:
    """Write a line of the first few items; nothing if there is none."""
    if items:
        more = len(items) - _LISTED
        shown = [*items[:_LISTED], f"and {wording.number(more)} more (--json lists all)"]
        line = f"{head}: {', '.join(shown if more > 0 else items)}"
        echo(wording.fitted(line, hanging="  "))


def write_failures(
    failures: Sequence[Failure], *, examples: int, places: Sequence[str] | None = None
) -> None:
    """Write failures by reason, most frequent first, each with what to do about it.

    Args:
        failures: what failed.
        examples: how many to list for each reason; 0 for all.
        places: what to show for each failure instead of its URI.
    """
    shown = places or [failure.uri for failure in failures]
    by_reason: dict[tuple[str, bool], list[tuple[Failure, str]]] = {}
    for failure, where in zip(failures, shown, strict=True):
        key = (failure.reason, failure.uri.endswith("/"))
        by_reason.setdefault(key, []).append((failure, where))
    for (reason, is_folder), group in sorted(
        by_reason.items(), key=lambda item: (-len(item[1]), item[0])
    ):
        meaning = ImageError.REASONS.get(reason, "")
        if is_folder:
            meaning = _FOLDERS.get(reason, "the folder can't be read")
        plain = f"{wording.number(len(group))} {wording.visible(reason)}"
        head, taken = styled(plain, fg="red", bold=True), wording.cells(plain) + 2
        echo(f"{head}: {wording.fitted(meaning, first=taken)}" if meaning else head)
        listed = group[:examples] if examples else group
        for failure, where in listed:
            echo(f"    {wording.shortened(wording.visible(where), _LONGEST)}")
            said = wording.fitted(f"        {wording.visible(failure.message)}")
            echo(styled(said, dim=True))
        if len(group) > len(listed) > 1:
            echo(f"    and {wording.number(len(group) - len(listed))} more")
        for advice in dict.fromkeys(failure.advice for failure, _ in listed if failure.advice):
            echo(wording.fitted("  " + hinted(advice), hanging="  "))
