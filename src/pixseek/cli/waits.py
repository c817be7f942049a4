"""Say on standard error what a command waits for, if that takes longer than half a second.

Light, since every search imports it: nothing is drawn with `rich`, and one thread watches the time
of all waits.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pixseek.cli.output import echo, replace_line, visible
from pixseek.redaction import redacted

#: Seconds before a wait is mentioned.
AFTER_S = 0.5

#: Waits that follow each other within this time are one to the user.
_GAP_S = 0.1

#: Seconds between lines of a download: on a terminal, where they replace each other, and elsewhere.
_EVERY_S = {True: 0.1, False: 10.0}


class Waits:
    """Says what is waited for: on a terminal in one line that goes away, elsewhere in lines."""

    def __init__(self, *, silent: bool = False) -> None:
        """Wait for nothing yet.

        Args:
            silent: never say anything: the output is for a program.
        """
        self._silent = silent
        self._live = not silent and sys.stderr.isatty()
        self._lock = threading.Lock()
        self._watching = False
        self._what = ""  # is waited for now
        self._since = self._until = (
            0.0  # when it began, or what was waited for just before; its end
        )
        self._said = ""  # in the line that is shown now; elsewhere than on a terminal, last
        self._downloading, self._downloaded_at = "", 0.0

    def wait(self, what: str) -> None:
        """Say what is waited for from now on, if it takes long; "" for nothing."""
        if self._silent:
            return
        now = time.monotonic()
        with self._lock:
            if what and not self._what and now - self._until > _GAP_S:
                self._since = now
            self._what, self._until = what, now
            if not what:
                self._clear()
            elif self._live and self._said:
                self._say(what)  # the user waits already
            elif not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="pixseek-waits", daemon=True).start()

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say what the block does, if it takes long."""
        self.wait(what)
        try:
            yield
        finally:
            self.wait("")

    def download(self, what: str, done: int, total: int | None) -> None:
        """Show the progress of a download."""
        if self._silent:
            return
        now = time.monotonic()
        is_new, is_whole = what != self._downloading, done == total
        if is_new or is_whole or now - self._downloaded_at >= _EVERY_S[self._live]:
            from pixseek.cli import wording

            self._downloading, self._downloaded_at = "" if is_whole else what, now
            of = f" of {wording.size(total)}" if total else ""
            with self._lock:
                self._say(f"Downloading {wording.visible(what)}: {wording.size(done)}{of}")

    def upgrade(self, done: int, total: int) -> None:
        """Show how much of a library of an older pixseek is upgraded."""
        now = time.monotonic()
        if not self._silent and now - self._downloaded_at >= _EVERY_S[self._live]:
            from pixseek.cli import wording

            self._downloaded_at = now
            records = f"{wording.number(done)} of {wording.counted(total, 'record')}"
            with self._lock:
                self._what = f"Upgrading the library: {records}"
                self._say(self._what)

    def _watch(self) -> None:
        """Say what is waited for when that has taken long enough; ends when nothing is."""
        left_s = AFTER_S
        while True:
            time.sleep(max(0.02, left_s))
            with self._lock:
                if not self._what:
                    self._watching = False
                    return
                left_s = self._since + AFTER_S - time.monotonic()
                if left_s <= 0:
                    if not self._downloading and self._what != self._said:
                        self._say(self._what)
                    left_s = AFTER_S

    def _say(self, what: str) -> None:
        what = visible(redacted(what))
        if self._live:
            from pixseek.cli.results import terminal_size

            shown = f"{what} …"[: max(10, terminal_size().columns - 1)]
            replace_line(shown)
        elif what != self._said:
            echo(f"{what} …", err=True)
        self._said = what

    def _clear(self) -> None:
        if self._live and self._said:
            replace_line("")
            self._said = ""


def waits() -> Waits:
    """Return what says the waits of this command: nothing if it prints JSON or is quiet."""
    context = click.get_current_context(silent=True)
    given = context.params if context is not None else {}
    return Waits(silent=bool(given.get("as_json") or given.get("quiet")))
