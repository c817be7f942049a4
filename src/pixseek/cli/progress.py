"""Show the progress of indexing and downloads: a bar on a terminal, otherwise occasional lines."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from pixseek.cli import wording
from pixseek.cli.output import echo, unguarded
from pixseek.cli.waits import Waits

if TYPE_CHECKING:
    from pixseek.types import Progress

#: Seconds between lines without a terminal: few enough lines for the mail of a cron job.
LINE_EVERY_S = 10.0

# Faster can't be seen, and each drawing costs about a millisecond.
_DRAW_EVERY_S = 0.1


#: Stages that count something else than images: what is done with what.
_OF_OTHERS = {
    "build": ("Building the index", "vector", "vectors"),
    "copy": ("Copying", "record", "records"),
    "check": ("Comparing", "record", "records"),
    "ask": ("Searching the copy", "search", "searches"),
    "captions": ("Embedding", "caption", "captions"),
}


class Display(Protocol):
    """Shows progress on standard error while it is entered."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, progress: Progress) -> None:
        """Show the progress of a run."""
        ...

    def download(self, what: str, done: int, total: int | None) -> None:
        """Show the progress of a download."""
        ...

    def wait(self, what: str) -> None:
        """Show what is waited for from now on; "" for nothing."""
        ...

    def say(self, text: str) -> None:
        """Write a line that stays."""
        ...


def display(*, quiet: bool = False) -> Display:
    """Return the display that suits standard error."""
    if quiet:
        return Silence()
    return Bars() if sys.stderr.isatty() else Lines()


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def show(self, progress: Progress) -> None:
        """Do nothing."""

    def download(self, what: str, done: int, total: int | None) -> None:
        """Do nothing."""

    def wait(self, what: str) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Write the line: it responds to what the user just did."""
        echo(text, err=True)


class Lines(Silence):
    """Writes a line every `LINE_EVERY_S` seconds."""

    def __init__(self) -> None:
        self._written_at = time.monotonic()
        self._waits = Waits()

    def show(self, progress: Progress) -> None:
        """Write a line if it is due."""
        if self._is_due():
            echo(describe(progress), err=True)

    def download(self, what: str, done: int, total: int | None) -> None:
        """Write a line for each new file, and when one is due."""
        self._waits.download(what, done, total)

    def wait(self, what: str) -> None:
        """Write a line if it takes long."""
        self._waits.wait(what)

    def _is_due(self) -> bool:
        now = time.monotonic()
        if now - self._written_at < LINE_EVERY_S:
            return False
        self._written_at = now
        return True


def describe(progress: Progress) -> str:
    """Return the progress of a run in one line."""
    if progress.stage == "scan":
        return f"Looking for images: {wording.counted(progress.done, 'file')} so far"
    if progress.stage == "prepare":
        return "Preparing the model"
    if progress.stage == "finish":
        return "Finishing"
    if progress.stage in _OF_OTHERS:
        what, *units = _OF_OTHERS[progress.stage]
        said = f"{what}: {wording.number(progress.done)} of "
        said += wording.counted(progress.total or 0, *units)
        left = "" if progress.left_s is None else f", {wording.duration(progress.left_s)} left"
        return said + left
    parts = [f"{wording.number(progress.done)} of {wording.counted(progress.total or 0, 'image')}"]
    if progress.rate:
        parts.append(f"{progress.rate:.1f} images/s")
    if progress.left_s is not None:
        parts.append(f"{wording.duration(progress.left_s)} left")
    if progress.failed:
        parts.append(f"{wording.number(progress.failed)} failed")
    return ", ".join(parts)


class Bars:
    """Draws a bar, with the latest file below it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        # Its own drawing needs sequences, so the texts in it are escaped here.
        self._console = Console(file=unguarded(sys.stderr), stderr=True)
        self._live = Live(
            console=self._console, transient=True, auto_refresh=False, redirect_stdout=False,
            redirect_stderr=False,
        )  # fmt: skip
        self._drawn_at = 0.0
        self._stage = ""

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Draw a run, at most ten times a second."""
        turn = progress.stage != self._stage or progress.done == progress.total
        if not (self._is_due() or turn):
            return
        self._stage = progress.stage
        if progress.stage not in ("index", "embed", *_OF_OTHERS):
            self._draw(describe(progress) + " …")
            return
        share = progress.done / progress.total if progress.total else 1.0
        parts = [f"{wording.number(progress.done)}/{wording.number(progress.total or 0)}"]
        if progress.rate:
            parts.append(f"{progress.rate:.1f}/s")
        if progress.left_s is not None:
            parts.append(f"{wording.duration(progress.left_s)} left")
        failed = f"{wording.number(progress.failed)} failed" if progress.failed else ""
        titles = {"index": "Indexing", "embed": "Embedding images"}
        titles |= {stage: what for stage, (what, *_) in _OF_OTHERS.items()}
        title = titles[progress.stage]
        self._draw(title, share, parts, failed, wording.visible(progress.latest))

    def download(self, what: str, done: int, total: int | None) -> None:
        """Draw a download, at most ten times a second."""
        if self._is_due() or done == total:
            of = f"/{wording.size(total)}" if total else ""
            self._draw(
                "Downloading the model", done / total if total else 0.0,
                [f"{wording.size(done)}{of}"], "", wording.visible(what),
            )  # fmt: skip

    def wait(self, what: str) -> None:
        """Draw what is waited for; what follows is drawn over it."""
        if what:
            self._draw(f"{what} …")

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        self._console.print(wording.lines(text), highlight=False, markup=False)

    def _is_due(self) -> bool:
        now = time.monotonic()
        if now - self._drawn_at < _DRAW_EVERY_S:
            return False
        self._drawn_at = now
        return True

    def _draw(
        self,
        title: str,
        share: float | None = None,
        parts: list[str] | None = None,
        failed: str = "",
        latest: str = "",
    ) -> None:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        width = self._console.width
        if share is None:
            title = wording.visible(title)
            self._live.update(Text(title, no_wrap=True, overflow="ellipsis"), refresh=True)
            return
        facts = "  ".join(parts or ())
        room = width - len(title) - len(facts) - len(failed) - (6 if failed else 4)
        row: list[Any] = [Text(title, style="bold")]
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        if room >= 8:
            table.add_column(no_wrap=True)
            bar = ProgressBar(
                total=1.0, completed=share, width=min(room, 40), complete_style="cyan"
            )
            row.append(bar)
        else:
            facts = f"{share:.0%}  {facts}"
        table.add_column(no_wrap=True)
        row.append(Text(facts))
        if failed:
            table.add_column(no_wrap=True)
            row.append(Text(failed, style="red"))
        table.add_row(*row)
        below = Text(wording.shortened(latest, max(10, width - 1)), style="dim", no_wrap=True)
        self._live.update(Group(table, below) if latest else table, refresh=True)
