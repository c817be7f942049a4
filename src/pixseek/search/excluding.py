"""What an excluded term removes from the candidates of a query.

"a dog", not "snow": dogs in snow are to go, and dogs are not. A photo that matches the query well
matches much else well too, so what counts is how far it matches what is excluded *beyond* what its
match of the query explains: the residual deviation (dY - rho dX) / sqrt(1 - rho**2), with rho the
correlation of both texts over unrelated ones. From 1.6 up it removes .34 of the photos that show it
and .06 of the others, and .562 of the first twenty are wanted, .560 without any exclusion, .556 by
the cutoff of good matches (369 pairs; docs/search-quality.md).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from pixseek.search.asked import Asked, Backgrounds
from pixseek.types import Engine, Term
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Vectors

#: Smallest residual deviation of what is removed.
BEYOND = 1.6
#: Smallest deviation at which an image resembles an excluded image or vector, whatever the query.
_SHOWN = 3.4
#: Images at most whose texts hold the excluded words: more would take seconds to find.
_MOST_WRITTEN = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """What one excluded term removes.

    Attributes:
        what: its name, see `name`.
        ids: images that are removed whatever they show.
        asked, backgrounds: of the query.
        term, vector: what is excluded; no vector if the model can't read it.
    """

    what: str
    ids: frozenset[str]
    asked: Asked
    backgrounds: Backgrounds
    term: Term
    vector: Vectors | None

    def removes(
        self,
        ids: Sequence[str],
        vectors: Vectors,
        known: dict[bool, tuple[Vectors, Vectors]],
    ) -> NDArray[np.bool_]:
        """Return which candidates go, (n,) bool.

        Args:
            ids: of n candidates.
            vectors: (n, dim) unit rows.
            known: of these candidates, as for `Backgrounds.deviations`.
        """
        import numpy as np

        gone = np.array([each in self.ids for each in ids], np.bool_)
        if self.vector is None or not len(ids):
            return gone
        shown = self.backgrounds.deviations(self.term, self.vector, vectors, known)
        every = [
            self._removed(each, self.vector, shown, vectors, known) for each in self.asked.each
        ]
        best = np.argmax(np.stack([asked for asked, _ in every]), axis=0)
        removed: NDArray[np.bool_] = np.choose(best, [removed for _, removed in every])
        return gone | removed

    def _removed(
        self,
        choice: Asked,
        vector: Vectors,
        shown: Vectors,
        vectors: Vectors,
        known: dict[bool, tuple[Vectors, Vectors]],
    ) -> tuple[Vectors, NDArray[np.bool_]]:
        """Return how well candidates match what is asked, and which match the term beyond that."""
        import numpy as np

        query = choice.direction(self.backgrounds)
        asked = self.backgrounds.deviations(self.term, query, vectors, known)
        sought = [each.term for each in choice.sought]
        if not all(term.is_of_text for term in (self.term, *sought)):
            # Images correlate with texts in another way, which was not measured.
            return asked, (shown >= _SHOWN) | (shown >= np.maximum(asked, BEYOND))
        own = self.backgrounds.of(self.term)
        rho = max(0.0, min(_correlation(own.covariance, query, vector), 0.99))
        return asked, (shown - rho * asked) / math.sqrt(1 - rho * rho) >= BEYOND


def exclusion(
    term: Term, vector: Vectors, asked: Asked, backgrounds: Backgrounds, engine: Engine
) -> Rule:
    """Return what an excluded term removes.

    Args:
        term: what is excluded.
        vector: of the term, (dim,).
        asked: the query.
        backgrounds: of the library.
        engine: finds images whose texts hold all of its words, which go too.
    """
    ids = {str(term.value)} if term.kind == "id" else set()
    if term.kind == "text" and engine.capabilities.text_search != "none":
        where = asked.query.where
        found = engine.find_words(str(term.value), _MOST_WRITTEN, where, counted=False)
        ids |= {each.id for each in found.matches if each.complete}
    unread = term.kind == "text" and term.value in asked.unread
    return Rule(name(term), frozenset(ids), asked, backgrounds, term, None if unread else vector)


def name(term: Term) -> str:
    """Return a term as people name it: its words, or the file; "" for one in memory."""
    if term.kind == "vector" or not isinstance(term.value, str | PurePath):
        return ""
    return os.fspath(term.value)


def _correlation(covariance: Vectors, one: Vectors, other: Vectors) -> float:
    """Return how the scores of two vectors go together over images with this covariance."""
    spread = float(one @ covariance @ one) * float(other @ covariance @ other)
    return float(one @ covariance @ other) / math.sqrt(spread) if spread > 0 else 0.0
