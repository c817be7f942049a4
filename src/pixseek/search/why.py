"""The reasons of a hit: how well each term matches, and which texts hold words of the query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pixseek.engines.words import AROUND, alternatives, searchable, words_to_find
from pixseek.metadata.annotations import (
    KEPT,
    LABEL_CONFIDENCES,
    LABEL_SCORES,
    USER_PREFIX,
    tags_by_model,
    without,
)
from pixseek.search import excluding
from pixseek.search.asked import Asked, Backgrounds, Look
from pixseek.search.strength import of_one
from pixseek.search.written import Written
from pixseek.types import Query, Reason, Record, Strength, Term
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Fields that nobody wrote about the image, or that other reasons report.
_UNSAID = frozenset(
    {"notes", "colours", "colour_names", "placeholder", "taken_from", "taken_precision", *KEPT}
    | {f"{USER_PREFIX}{field}" for field in (LABEL_SCORES, LABEL_CONFIDENCES)}
)


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """What gives the reasons of the hits of one query.

    Attributes:
        asked: the query.
        backgrounds: of the library.
        written: what is written about images, by id.
    """

    asked: Asked
    backgrounds: Backgrounds
    written: Mapping[str, Written]

    def reasons(self, vector: Vectors, record: Record, strength: Strength) -> tuple[Reason, ...]:
        """Return what each term, and what is written, contributes to a hit.

        Args:
            vector: of the part that was found, (dim,).
            record: of the hit.
            strength: of the hit.
        """
        query = self.asked.query
        said = self.written.get(record.id)
        alone = len(query.terms) == 1 and said is None
        found = []
        for at in range(len(query.terms)):
            term, look = self._look(at, vector)
            calibration = self.backgrounds.calibrated([term])
            found.append(
                Reason(
                    term.kind,
                    excluding.name(term),
                    float(look.cosines[0]),
                    float(look.deviations[0]),
                    term.weight,
                    strength if alone else of_one(float(look.deviations[0]), calibration),
                )
            )
        if said is not None:
            found += [
                Reason("words", where, said.share, 0.0, query.text_weight)
                for where in _where_written(query, record)
            ]
        return tuple(found)

    def _look(self, at: int, vector: Vectors) -> tuple[Term, Look]:
        """Return a term of the query, of alternatives the best, and how it matches a hit."""
        looks = []
        for choice in self.asked.each:
            term, own = choice.query.terms[at], choice.vectors[at]
            looks.append((term, choice.look(term, own, vector[None], self.backgrounds)))
        return max(looks, key=lambda each: float(each[1].deviations[0]))


def _where_written(query: Query, record: Record) -> list[str]:
    """Return which texts of a record hold words of a query, as in "caption: dog, beach".

    Each word is named where it is found first; [""] if none is found, though an engine found some.
    """
    asked = [
        str(each.value)
        for term in query.terms
        for each in (term, *term.alternatives)
        if each.kind == "text" and term.weight > 0
    ]
    joined = " ".join(asked)
    wanted = set(words_to_find(joined))
    looked_for = [
        (piece.strip(AROUND).casefold(), [word for word in words_to_find(piece) if word in wanted])
        for piece in joined.split()
    ]
    by_user = without(record.tags, tags_by_model(record))
    folder, _, name = record.uri.rpartition("/")
    texts = {"caption": record.caption, "tags": " ".join(by_user), "name": name, "folder": folder}
    texts |= {name: str(value) for name, value in record.fields.items() if isinstance(value, str)}
    said: list[str] = []
    known: set[str] = set()
    for name, text in texts.items():
        if name in _UNSAID:
            continue
        held = f" {searchable(text)} "
        found = [piece for piece, own in looked_for if any(_is_in(word, held) for word in own)]
        new = [each for each in dict.fromkeys(found) if each not in known]
        known.update(new)
        if new:
            said.append(f"{name}: {', '.join(new)}")
    return said or [""]


def _is_in(word: str, held: str) -> bool:
    """Return whether words, with spaces around, hold one of a query, about as engines do."""
    return any(
        f" {each} " in held or (each.isascii() and each.isalpha() and _is_stem_in(each, held))
        for each in alternatives(word)
    )


def _is_stem_in(word: str, held: str) -> bool:
    """Return whether words hold one that begins alike: engines compare English stems."""
    return any(
        one.startswith(word[:4]) or (len(one) > 2 and word.startswith(one)) for one in held.split()
    )
