"""Which index answers queries, and the threads that make and update the indexes.

An index is a cache. It can be deleted at any time, and whatever goes wrong with one, scoring every
vector still works.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from pixseek.engines.embedded import codes as codes_
from pixseek.engines.embedded import ivf as ivf_
from pixseek.engines.embedded.candidates import Index
from pixseek.engines.embedded.codes import Codes
from pixseek.engines.embedded.ivf import Ivf
from pixseek.engines.embedded.snapshots import View

#: Up to this many rows every vector is scored: 6 ms for 512 dimensions, and exact.
EXACT_ROWS = 32_768
#: Up to this many rows that are not coded yet are scored too: 1 ms for 512 dimensions.
UNCODED_ROWS = 8_192
#: From this many rows up an inverted file takes the place of the codes: at half a million rows it
#: takes 9 ms and the codes 27 (see docs/architecture.md).
IVF_ROWS = 500_000
#: Up to this many rows that are not in the inverted file are scored too: 30 ms for 512 dimensions.
#: It is updated long before, unless somebody writes faster than that.
_UNLISTED_ROWS = 131_072
#: A call with this many queries waits until all rows are coded: scoring would take longer.
PATIENT_QUERIES = 16


class Indexes:
    """The indexes of one library. May be used from several threads.

    Attributes:
        codes: of the rows that are coded so far; None before that.
        ivf: the inverted file in use; None without one.
        coder: the thread that codes rows, if one was started.
        lister: the thread that makes the inverted file, if one was started.
    """

    def __init__(self, folder: Path, *, read_only: bool) -> None:
        self._folder, self._read_only = folder, read_only
        self._lock = threading.Lock()
        self._closing = False
        self.codes: Codes | None = None
        self.coder: threading.Thread | None = None
        self._codes_broken = False
        self._scanned = 0  # scores computed of rows that are not coded
        self.ivf: Ivf | None = None
        self.lister: threading.Thread | None = None
        self._ivf_state: tuple[str, int] = ("", 0)  # generation and rows it was looked for at
        self._ivf_broken = False

    def best(self, view: View, queries: int) -> Index | None:
        """Return the index that answers this many queries; None to score every row."""
        return self._ivf_of(view) or self._codes_of(view, queries)

    def update(self, view: View) -> None:
        """Make or update the index that a large store needs, before a writer closes."""
        rows = view.vectors.rows
        if self._is_listed(view):
            if ivf_.behind(self._folder, view.generation, rows):
                self._list(view, lambda: True)
            if self._is_listed(view):  # that did not fail
                codes_.delete(self._folder, view.generation)
                return
        if self._is_coded(view) and codes_.behind(self._folder, view.generation, rows):
            self._code(view, lambda: True)

    def sweep(self, generations: set[str]) -> None:
        """Delete the files of all other generations."""
        codes_.sweep(self._folder, generations)
        ivf_.sweep(self._folder, generations)

    def stop(self) -> None:
        """End the threads, and wait for them."""
        self._closing = True
        for worker in (self.coder, self.lister):
            if worker is not None:
                worker.join()

    def forget(self) -> None:
        """Release all indexes."""
        self.codes = self.ivf = None

    def _goes_on(self) -> bool:
        """Return whether work in the background should go on."""
        return not self._closing and threading.main_thread().is_alive()

    # -------------------------------------------------------------- codes

    def _codes_of(self, view: View, queries: int) -> Codes | None:
        """Return the codes to search by; None to score every row.

        They are read and made in a thread of their own, so that no search waits for rows that a
        writer added. A process that searches once needs none: scoring a million vectors takes
        0.2 s, and reading their codes 1 s.
        """
        if not self._is_coded(view):
            return None
        codes = self._fitting_codes(view)
        uncoded = view.vectors.rows - (codes.covered if codes else 0)
        if uncoded > UNCODED_ROWS:
            with self._lock:
                self._scanned += queries * uncoded
                if codes or queries >= PATIENT_QUERIES or self._scanned > uncoded:
                    self._start_coder(view)
            if queries >= PATIENT_QUERIES and self.coder is not None:
                self.coder.join()
                codes = self._fitting_codes(view)
        return codes

    def _is_coded(self, view: View) -> bool:
        return (
            view.alive > EXACT_ROWS and not self._codes_broken and codes_.available(view.space.dim)
        )

    def _fitting_codes(self, view: View) -> Codes | None:
        codes = self.codes
        return codes if codes is not None and codes.generation == view.generation else None

    def _start_coder(self, view: View) -> None:
        """Code the rows of a view in a thread, unless one is still busy with an earlier view."""
        if self.coder is None or not self.coder.is_alive():
            self.coder = threading.Thread(
                target=self._code, args=(view, self._goes_on), name="pixseek-codes"
            )
            self.coder.start()

    def _code(self, view: View, going: Callable[[], bool]) -> None:
        """Read the codes of a view, make those that are missing, and keep them for others.

        Once `going` returns False, the rest is left undone.
        """
        try:
            codes = self._fitting_codes(view)
            if codes is None:
                codes = Codes.open(self._folder, view.generation, view.vectors)
            if codes.covered:
                self.codes = codes
            codes.update(view.vectors, going)
            self.codes = codes
            if not self._read_only and going():
                with contextlib.suppress(OSError):  # only a cache
                    codes.save(self._folder)
        except (ImportError, OSError, RuntimeError, ValueError):
            # Installed, but not for this machine; or the codec failed.
            self._codes_broken = True

    # -------------------------------------------------------------- the inverted file

    def _ivf_of(self, view: View) -> Ivf | None:
        """Return the inverted file of a very large store; None to use codes.

        Making it takes minutes, so it is done in a thread of its own, and not by a process that
        searches only once.
        """
        if not self._is_listed(view):
            return None
        rows = view.vectors.rows
        with self._lock:
            looked, searched_before = self._ivf_state, bool(self._ivf_state[0])
            if looked != (view.generation, rows):
                self._ivf_state = (view.generation, rows)
                if self.ivf is None or looked[0] != view.generation:
                    self._open_ivf(view)
            if (
                searched_before
                and not self._read_only
                and (self.lister is None or not self.lister.is_alive())
                and (self.ivf is None or rows - self.ivf.covered > ivf_.WORTH_WRITING)
                and ivf_.behind(self._folder, view.generation, rows)
            ):
                self.lister = threading.Thread(
                    target=self._list, args=(view, self._goes_on), name="pixseek-ivf"
                )
                self.lister.start()
        found = self.ivf
        if found is None or found.generation != view.generation:
            return None
        return found if rows - found.covered <= _UNLISTED_ROWS else None

    def _is_listed(self, view: View) -> bool:
        return view.vectors.rows >= IVF_ROWS and not self._ivf_broken and ivf_.available()

    def _open_ivf(self, view: View) -> None:
        try:
            self.ivf = Ivf.open(self._folder, view.generation, view.vectors)
            if self.ivf is None and not self._read_only:
                ivf_.delete_unusable(self._folder, view.generation, view.vectors.rows)
        except (ImportError, OSError, RuntimeError):
            self.ivf, self._ivf_broken = None, True

    def _list(self, view: View, going: Callable[[], bool]) -> None:
        """Make the inverted file of a view, and use it."""
        try:
            ivf_.build(self._folder, view.generation, view.vectors, going)
        except (ImportError, OSError, RuntimeError):
            self._ivf_broken = True
            return
        if going():
            self._open_ivf(view)
