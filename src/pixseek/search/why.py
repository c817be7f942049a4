"""The reasons of a hit: how well each term matches, and which texts hold words of the query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pixseek.metadata.annotations import KEPT, LABEL_CONFIDENCES, LABEL_SCORES, USER_PREFIX
from pixseek.search import excluding
from pixseek.search.asked import Asked, Backgrounds, Look
from pixseek.search.strength import strengths
from pixseek.search.written import Written
from pixseek.types import Query, Reason, Record, Term
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Fields that nobody wrote about the image, or that other reasons report.
_UNSAID = frozenset({"notes", "colours", "colour_names", "placeholder", *KEPT})


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

    def reasons(self, vector: Vectors, record: Record) -> tuple[Reason, ...]:
        """Return what each term, and what is written, contributes to a hit.

        Args:
            vector: of the part that was found, (dim,).
            record: of the hit.
        """
        query = self.asked.query
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
                    strengths(look.deviations, calibration)[0],
                )
            )
        said = self.written.get(record.id)
        if said is not None:
            where = _where_written(query, record)
            found.append(Reason("words", where, said.share, 0.0, query.text_weight))
        return tuple(found)

    def _look(self, at: int, vector: Vectors) -> tuple[Term, Look]:
        """Return a term of the query, of alternatives the best, and how it matches a hit."""
        looks = []
        for choice in self.asked.each:
            term, own = choice.query.terms[at], choice.vectors[at]
            looks.append((term, choice.look(term, own, vector[None], self.backgrounds)))
        return max(looks, key=lambda each: float(each[1].deviations[0]))


def _where_written(query: Query, record: Record) -> str:
    """Return which texts of a record hold words of a query, as in "caption: dog, beach".

    For tags that a model gave, with how well they match: "tags: a lake 0.97".
    """
    words = [
        word
        for term in query.terms
        for each in (term, *term.alternatives)
        if each.kind == "text" and term.weight > 0
        for word in re.findall(r"\w{3,}", str(each.value).casefold())
    ]
    texts = {"caption": record.caption, "tags": " ".join(record.tags), "name": record.relative_path}
    texts |= {name: str(value) for name, value in record.fields.items() if isinstance(value, str)}
    for field in (LABEL_SCORES, LABEL_CONFIDENCES):
        scored = str(record.fields.get(f"{USER_PREFIX}{field}") or "").split(", ")
        if said := [each for each in scored if any(w[:4] in each.casefold() for w in words)]:
            return f"tags: {', '.join(said)}"
    for name, text in texts.items():
        # Compare the beginnings of words, since the engine compares stems.
        found = [word for word in words if word[:4] in text.casefold()]
        if found and name not in _UNSAID:
            return f"{name}: {', '.join(dict.fromkeys(found))}"
    return ""
