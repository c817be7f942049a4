"""A query with the vectors of its terms: its direction, and how the terms score on candidates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, get_args

from pixseek.errors import QueryError
from pixseek.search.background import Background, Calibration, confidences
from pixseek.types import Query, Sort, Term
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Vectors

#: Candidates fetched at first for a query that wants only the nearest, and for other queries.
FEW, MANY = 400, 1000


@dataclass(frozen=True, slots=True)
class Backgrounds:
    """Which scores mean nothing in one library; see `pixseek.search.background`.

    Attributes:
        texts: for words.
        images: for images and vectors.
        duplicate: smallest cosine of two near-duplicates.
        calibration: how sure a match of words is, if that was measured for the model.
    """

    texts: Background
    images: Background
    duplicate: float
    calibration: Calibration | None = None

    def confidences(
        self, terms: Sequence[Term], deviations: Vectors, total: int
    ) -> NDArray[np.float64]:
        """Return how sure it is that each of (n,) candidates among `total` images is a match.

        Args:
            terms: what was looked for.
            deviations: how many standard deviations the candidates lie above the background, (n,).
            total: how many images were searched.
        """
        if self.calibration is not None and all(term.kind == "text" for term in terms):
            return self.calibration.confidences(deviations)
        return confidences(deviations, total)

    def of(self, term: Term) -> Background:
        """Return the background that the scores of a term must stand out from."""
        return self.texts if term.kind == "text" else self.images


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A query with the vectors of its terms, then of what it excludes.

    Attributes:
        query: what was asked.
        vectors: of each term, (dim,).
        unread: texts with too many words unknown to the model to mean anything.
        warnings: about words that the model does not know.
    """

    query: Query
    vectors: list[Vectors]
    unread: frozenset[str]
    warnings: tuple[str, ...]

    @property
    def is_one(self) -> bool:
        """Whether one thing is looked for, so that its cosine ranks."""
        return len(self.query.terms) == 1 and self.query.terms[0].weight > 0

    @property
    def own(self) -> set[str]:
        """The ids of the images that are the question, and so not among the answers."""
        return {t.value for t in self.query.terms if t.kind == "id" and t.region is None}

    @property
    def depth(self) -> int:
        """How many candidates to fetch at first."""
        q = self.query
        plain = self.is_one and not (q.exclude or q.group or q.variety or q.sort != "relevance")
        return FEW if plain and q.offset + q.k + len(self.own) <= FEW else MANY

    def direction(self, backgrounds: Backgrounds) -> Vectors:
        """Return the (dim,) unit vector whose nearest rows are the candidates.

        For several terms it is the sum of their distances from their backgrounds, each in its own
        standard deviations on a typical image.

        Raises:
            QueryError: the terms cancel each other out.
        """
        import numpy as np

        if self.is_one:
            return self.vectors[0]
        total = np.zeros(len(self.vectors[0]), np.float64)
        for term, vector in zip(self.query.terms, self.vectors, strict=False):
            background = backgrounds.of(term)
            spread = background.typical_spread(backgrounds.images)
            total += term.weight * (vector - background.mean) / spread
        length = float(np.linalg.norm(total))
        if length < 1e-9:
            raise QueryError(
                "The things to look for cancel each other out", "", "Change one of them."
            )
        direction: Vectors = (total / length).astype(np.float32)
        return direction

    def look(self, term: Term, vector: Vectors, vectors: Vectors, backgrounds: Backgrounds) -> Look:
        """Return the scores of one of this query's terms on candidates; see `look`."""
        return look(term, vector, vectors, backgrounds, unread=self.unread)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One term's scores on n candidates.

    Attributes:
        cosines: (n,) float32.
        deviations: the same in standard deviations above the term's background, (n,) float32.
    """

    cosines: Vectors
    deviations: Vectors


def look(
    term: Term,
    vector: Vectors,
    vectors: Vectors,
    backgrounds: Backgrounds,
    *,
    unread: frozenset[str],
) -> Look:
    """Return a term's scores on (n, dim) unit rows; a text in `unread` scores 0 deviations."""
    import numpy as np

    cosines: Vectors = vectors @ vector
    if term.kind == "text" and term.value in unread:
        return Look(cosines, np.zeros_like(cosines))
    return Look(cosines, backgrounds.of(term).standardised(cosines, vectors))


def tries(total: int, parts: Iterable[int]) -> int:
    """Return how many chances there were to match by chance, for images of several parts.

    Parts of an image resemble each other: five have the chances of two (docs/search-quality.md).

    Args:
        total: how many images were searched.
        parts: index of the best part of each candidate.
    """
    return round(total * math.sqrt(1 + max(parts, default=0)))


def check(query: Query) -> None:
    """Check that a query can be answered.

    Raises:
        QueryError: nothing is looked for, or an option is out of its range.
    """
    if not query.terms and query.exclude:
        raise QueryError(
            "There is nothing to look for", "only what is to be left out", "Say what to look for."
        )
    if not query.terms and query.where is None:
        raise QueryError("There is nothing to look for", "", "Give words, an image or a filter.")
    if query.terms and all(term.weight <= 0 for term in query.terms):
        raise QueryError(
            "There is nothing to look for", "only what to look away from", "Say what to look for."
        )
    if query.k < 1 or query.offset < 0:
        raise QueryError(
            "There is no such page of hits",
            f"k={query.k}, offset={query.offset}",
            "k must be at least 1, and offset at least 0.",
        )
    for name, value in (("min_confidence", query.min_confidence), ("variety", query.variety)):
        if not 0 <= value <= 1:
            raise QueryError(f"{name} lies between 0 and 1", value)
    orders = get_args(Sort)
    if query.sort not in orders:
        from pixseek.errors import unknown

        raise QueryError("unknown order", query.sort, unknown("order", query.sort, orders))
