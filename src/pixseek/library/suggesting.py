"""What the search box suggests for one library; see `search.suggestions`."""

from __future__ import annotations

import threading
import time

from pixseek.library.opened import Opened
from pixseek.library.saved import KIND
from pixseek.search import facets
from pixseek.search.suggestions import Suggestion, Vocabulary, suggestions

#: Values of each field that are suggested, and of how many records if the engine can't count.
_MOST, _RECORDS = 2_000, 5_000
#: Counts may be those of an earlier version of the library for so many times as long as counting
#: took: that is a second among a million images, and a run writes more often.
_STALE = 20
#: Unless counting takes less than this, in seconds: then it costs nobody anything.
_QUICK_S = 0.1


class Suggesting:
    """Suggests how texts may go on. May be used from several threads."""

    def __init__(self, opened: Opened) -> None:
        """Suggest what this library holds."""
        self._opened = opened
        self._lock = threading.Lock()
        self._known: Vocabulary | None = None
        self._version: str | None = None
        self._until = 0.0

    def suggest(self, text: str) -> list[Suggestion]:
        """Return how the text of a search box may go on; see `Library.suggest`."""
        return suggestions(text, self._vocabulary(), self._opened.engine.kept(KIND))

    def count_anew(self) -> None:
        """Count before the next suggestion: somebody who waits for it has changed the library."""
        with self._lock:
            self._until = 0.0

    def _vocabulary(self) -> Vocabulary:
        with self._lock:
            version, began = self._opened.engine.version(), time.monotonic()
            is_old = version is None or version != self._version
            if self._known is None or (is_old and began > self._until):
                self._known, self._version = self._counted(), version
                ended = time.monotonic()
                took = ended - began
                self._until = ended + (_STALE * took if took > _QUICK_S else 0.0)
            return self._known

    def _counted(self) -> Vocabulary:
        engine = self._opened.engine
        counted = engine.facets(None, facets.FIELDS, _MOST)
        if counted is None:  # the engine can't count
            some = engine.select(None, order="uri", descending=False, k=_RECORDS, offset=0)
            counted = facets.count(some, _MOST)
        return Vocabulary(counted)
