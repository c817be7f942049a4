"""A query with the vectors of its terms: what it looks for, and how that scores on candidates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from pixseek.errors import QueryError
from pixseek.search.background import Background, Calibration
from pixseek.types import Query, Sort, Strength, Term
from pixseek.types.dataclass import dataclass
from pixseek.types.queries import MAX_TERMS

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Candidates fetched at first for a query that wants only the nearest, and for other queries.
FEW, MANY = 400, 1000

#: The most ways to choose among alternatives that are searched: each is a search of its own.
MOST_CHOICES = 16

#: The highest weight of a term. Far above it, sums of scores overflow and hits have no order.
_HEAVIEST = 1_000_000

#: A variance below this is a rounding error.
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Backgrounds:
    """Which scores mean nothing in one library; see `pixseek.search.background`.

    Attributes:
        texts: for words, and vectors of texts; that of images if it is not known.
        images: for images, and vectors of images.
        duplicate: smallest cosine of two near-duplicates.
        spreads: the typical deviations of unrelated texts, and of unrelated images.
        calibration: how probable a match of words is, if that was measured for the model.
        knows_texts: whether the background of texts is known. Otherwise a vector of a text is
            judged by its own cosines with all images.
    """

    texts: Background
    images: Background
    duplicate: float
    spreads: tuple[float, float]
    calibration: Calibration | None = None
    knows_texts: bool = True

    @classmethod
    def of_library(
        cls, texts: Background | None, images: Background, duplicate: float
    ) -> Backgrounds:
        """Return the backgrounds with what follows from them."""
        known = texts or images
        spreads = (known.typical_spread(images), images.typical_spread(images))
        return cls(known, images, duplicate, spreads, knows_texts=texts is not None)

    def of(self, term: Term) -> Background:
        """Return the background that the scores of a term must stand out from."""
        return self.texts if term.is_of_text else self.images

    def spread(self, term: Term) -> float:
        """Return the typical deviation of unrelated scores on one image."""
        return self.spreads[0 if term.is_of_text else 1]

    def scale(self, term: Term, vector: Vectors) -> tuple[float, float]:
        """Return the mean and the deviation that turn all of a term's cosines into scores.

        They are those of unrelated queries of its kind on a typical image, so that what most of a
        library shows stands out as much as what few images show.
        """
        if term.is_of_text and not self.knows_texts:
            variance = float(vector @ self.images.covariance @ vector)
            return float(vector @ self.images.mean), math.sqrt(max(variance, _NOTHING))
        return float(self.of(term).mean @ self.images.mean), self.spread(term)

    def deviations(
        self,
        term: Term,
        vector: Vectors,
        vectors: Vectors,
        known: dict[bool, tuple[Vectors, Vectors]] | None = None,
    ) -> Vectors:
        """Return how far (n, dim) unit rows match a vector beyond what they match of all else.

        Each image is judged by its own scores with unrelated queries of the same kind as the term.

        Args:
            term, vector: what is looked for, and its vector, (dim,).
            vectors: of images.
            known: what is known of these images from other terms, and added to; it takes most of
                the time.
        """
        cosines: Vectors = vectors @ vector
        if term.is_of_text and not self.knows_texts:
            centre, spread = self.scale(term, vector)
            found: Vectors = (cosines - centre) / spread
            return found
        known = {} if known is None else known
        if term.is_of_text not in known:
            known[term.is_of_text] = self.of(term).on(vectors)
        expected, spreads = known[term.is_of_text]
        return (cosines - expected) / spreads

    def calibrated(self, terms: Iterable[Term]) -> Calibration | None:
        """Return the calibration, if it holds for these terms: only words were measured."""
        return self.calibration if all(term.is_of_text for term in terms) else None


@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """One thing that is looked for: a term, or several texts as one.

    Attributes:
        term: what it is.
        vector: of it, (dim,).
    """

    term: Term
    vector: Vectors


def joined(query: Query) -> Term | None:
    """Return the text that stands for all texts of a query; None if each stands for itself.

    "a dog" and "a beach" are looked for as "a dog and a beach" if they count alike: a mean average
    precision of .264 over 51 pairs, against .219 for the sum of both (docs/search-quality.md).
    """
    texts = [term for term in query.terms if term.kind == "text"]
    weights = {term.weight for term in texts}
    if len(texts) < 2 or len(weights) > 1 or min(weights) <= 0:
        return None
    # Two terms of weight 1 count as one of weight 1.4 next to an example.
    weight = texts[0].weight * math.sqrt(len(texts))
    return Term("text", " and ".join(str(term.value).strip() for term in texts), weight)


def choices(query: Query) -> list[Query]:
    """Return the queries without alternatives that a query stands for.

    Raises:
        QueryError: there are too many.
    """
    exclude = tuple(each for term in query.exclude for each in _alternatives(term))
    if not any(term.alternatives for term in query.terms):
        return [query if len(exclude) == len(query.exclude) else replace(query, exclude=exclude)]
    every = [_alternatives(term) for term in query.terms]
    if math.prod(map(len, every)) > MOST_CHOICES:
        raise QueryError(
            "Too many alternatives",
            f"{math.prod(map(len, every)):,} ways to choose among them",
            f"At most {MOST_CHOICES} are searched at once.",
        )
    return [replace(query, terms=terms, exclude=exclude) for terms in itertools.product(*every)]


def _alternatives(term: Term) -> list[Term]:
    """Return a term and its alternatives, each without alternatives and of the same weight."""
    each = (term, *term.alternatives)
    return [replace(one, weight=term.weight, alternatives=()) for one in each]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A query with the vectors of its terms, then of what it excludes.

    Attributes:
        query: what was asked.
        vectors: of each term, (dim,).
        sought: what is looked for.
        unread: texts with too many words unknown to the model to mean anything.
        warnings: about words that the model does not know.
        choices: if terms have alternatives, the same for each way to choose among them; then
            nothing is `sought` here, and an image's best choice counts.
    """

    query: Query
    vectors: list[Vectors]
    sought: tuple[Sought, ...]
    unread: frozenset[str]
    warnings: tuple[str, ...]
    choices: tuple[Asked, ...] = ()

    @classmethod
    def any_of(cls, query: Query, choices: Sequence[Asked]) -> Asked:
        """Return a query that asks for one of several things."""
        if len(choices) == 1:
            return choices[0]
        unread = frozenset().union(*(each.unread for each in choices))
        said = dict.fromkeys(text for each in choices for text in each.warnings)
        return cls(query, choices[0].vectors, (), unread, tuple(said), tuple(choices))

    @property
    def each(self) -> tuple[Asked, ...]:
        """What is asked for by each choice: only this itself if there is nothing to choose."""
        return self.choices or (self,)

    @property
    def is_one(self) -> bool:
        """Whether one thing is looked for, so that its cosine ranks."""
        return len(self.sought) == 1 and self.sought[0].term.weight > 0

    @property
    def own(self) -> set[str]:
        """The ids of the images that are the question, and so not among the answers."""
        terms = (t for each in self.each for t in each.query.terms)
        return {t.value for t in terms if t.kind == "id" and t.region is None}

    @property
    def depth(self) -> int:
        """How many candidates to fetch at first."""
        q = self.query
        plain = self.is_one and not (q.exclude or q.group or q.variety or q.sort != "relevance")
        return FEW if plain and q.offset + q.k + len(self.own) <= FEW else MANY

    def direction(self, backgrounds: Backgrounds) -> Vectors:
        """Return the (dim,) unit vector whose nearest rows are the candidates of one choice.

        For several things it is the sum of their distances from their backgrounds, each in its own
        standard deviations on a typical image.

        Raises:
            QueryError: they cancel each other out.
        """
        import numpy as np

        if self.is_one:
            return self.sought[0].vector
        total = np.zeros(len(self.vectors[0]), np.float64)
        for each in self.sought:
            centre = backgrounds.of(each.term).mean
            total += each.term.weight * (each.vector - centre) / backgrounds.spread(each.term)
        length = float(np.linalg.norm(total))
        if length < 1e-9:
            raise QueryError(
                "The things to look for cancel each other out", "", "Change one of them."
            )
        direction: Vectors = (total / length).astype(np.float32)
        return direction

    def look(
        self,
        term: Term,
        vector: Vectors,
        vectors: Vectors,
        backgrounds: Backgrounds,
        cosines: Vectors | None = None,
    ) -> Look:
        """Return the scores of one of this query's terms on candidates; see `look`."""
        return look(term, vector, vectors, backgrounds, cosines, unread=self.unread)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One term's scores on n candidates.

    Attributes:
        cosines: (n,) float32.
        deviations: the same in standard deviations, on one scale for all images, (n,) float32.
    """

    cosines: Vectors
    deviations: Vectors


def look(
    term: Term,
    vector: Vectors,
    vectors: Vectors,
    backgrounds: Backgrounds,
    cosines: Vectors | None = None,
    *,
    unread: frozenset[str],
) -> Look:
    """Return a term's scores on (n, dim) unit rows; a text in `unread` scores 0 deviations.

    Args:
        term, vector: what is looked for, and its vector, (dim,).
        vectors: of the candidates; not used if their cosines are given.
        backgrounds: of the library.
        cosines: (n,), if they are known.
        unread: texts that mean nothing to the model.
    """
    import numpy as np

    if cosines is None:
        cosines = np.clip(vectors @ vector, -1.0, 1.0)  # as engines do
    if term.kind == "text" and term.value in unread:
        return Look(cosines, np.zeros_like(cosines))
    centre, spread = backgrounds.scale(term, vector)
    return Look(cosines, (cosines - np.float32(centre)) / np.float32(spread))


def luck(parts: Sequence[int], choices: int = 1) -> Vectors:
    """Return by how much the best part of each image scores higher by chance, in deviations.

    Parts of an image resemble each other: five have the chances of two (docs/search-quality.md).
    Near the cutoff of strong hits, twice the chances are worth ln(2) / 4.3 deviations. How many
    parts an image has is not known here, only which was the best. Images cut into tiles have
    equally many, so nearly the highest among the first candidates counts for all; a shot far into
    a video counts for that video alone.

    Args:
        parts: index of the best part of each of n candidates, best first.
        choices: number of things of which one is enough.

    Returns:
        (n,) float32.
    """
    import numpy as np

    first = sorted(parts[:FEW])
    usual = first[(len(first) - 1) * 9 // 10] if first else 0
    found: Vectors = np.log(choices * np.sqrt(1 + np.maximum(parts, usual))) / 4.3
    return found.astype(np.float32)


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
    _check_terms(query)
    choices(query)
    for name, value in (("min_confidence", query.min_confidence), ("variety", query.variety)):
        if not 0 <= value <= 1:
            raise QueryError(f"{name} lies between 0 and 1", value, "Such as 0.5.")
    if query.min_strength is not None and query.min_strength not in get_args(Strength):
        from pixseek.errors import unknown

        known = get_args(Strength)
        raise QueryError(
            "unknown strength", query.min_strength, unknown("strength", query.min_strength, known)
        )
    if query.min_confidence:
        import warnings

        warnings.warn(
            "min_confidence is deprecated: use min_strength", DeprecationWarning, stacklevel=2
        )
    if not isinstance(query.group_by, str):
        raise QueryError("Not the name of a field", repr(query.group_by), "Such as fields.product.")
    orders = get_args(Sort)
    if query.sort not in orders:
        from pixseek.errors import unknown

        raise QueryError("unknown order", query.sort, unknown("order", query.sort, orders))


def _check_terms(query: Query) -> None:
    """Check what a query looks for: how much it is, and how much each of it counts."""
    terms = [each for term in (*query.terms, *query.exclude) for each in _alternatives(term)]
    embedded = sum(term.kind in ("text", "image") for term in terms)  # ids and vectors are quick
    if embedded > MAX_TERMS:
        raise QueryError(
            "Too many things to look for",
            f"{embedded:,} texts and images",
            f"A query has at most {MAX_TERMS}. Search for some after the others.",
        )
    for term in terms:
        if not -_HEAVIEST <= term.weight <= _HEAVIEST:  # NaN is not
            raise QueryError(
                "A weight is too large, or not a number",
                str(term.weight) if isinstance(term.weight, float) else "a number of many digits",
                f"The usual is 1, the most {_HEAVIEST:,}.",
            )


def least_strength(query: Query) -> Strength:
    """Return the strength that hits of a query must have at least."""
    if query.min_strength is not None:
        return query.min_strength
    if query.min_confidence:  # its old cutoffs
        return "strong" if query.min_confidence > 0.5 else "likely"
    return "weak" if query.sort == "relevance" else "likely"
