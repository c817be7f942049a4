"""The reasons of a hit: how well each term matches, and which texts hold words of the query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pixseek.engines.words import AROUND, alternatives, searchable, words_to_find
from pixseek.metadata import seen
from pixseek.metadata.annotations import (
    KEPT,
    LABEL_CONFIDENCES,
    LABEL_SCORES,
    USER_PREFIX,
    tags_by_model,
    without,
)
from pixseek.search import excluding
from pixseek.search.asked import Asked, Backgrounds
from pixseek.search.strength import of_one
from pixseek.search.written import SEEN, Written
from pixseek.types import Query, Reason, Record, Strength, TextLine

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Fields that nobody wrote about the image, or that other reasons report.
_UNSAID = frozenset(
    {"notes", "colours", "colour_names", "placeholder", "taken_from", "taken_precision", *KEPT}
    | {f"{USER_PREFIX}{field}" for field in (LABEL_SCORES, LABEL_CONFIDENCES)}
    | {*seen.FIELDS}
)


#: Lines that were read in a picture that are named at most.
_LINES = 3


class Judge:
    """What gives the reasons of the hits of one query."""

    def __init__(
        self,
        asked: Asked,
        backgrounds: Backgrounds,
        written: Mapping[str, Written],
        vectors: Vectors,
    ) -> None:
        """Judge some hits.

        Args:
            asked: the query.
            backgrounds: of the library.
            written: what is written about images, by id.
            vectors: of the part of each hit that was found, (n, dim).
        """
        self._query, self._written, self._backgrounds = asked.query, written, backgrounds
        #: Of each term of the query: its alternatives, and how each matches the hits.
        self._looks = [
            [
                (term, each.look(term, own, vectors, backgrounds, _cosines(vectors, own)))
                for each in asked.each
                for term, own in ((each.query.terms[n], each.vectors[n]),)
            ]
            for n in range(len(asked.query.terms))
        ]

    def reasons(self, at: int, record: Record, strength: Strength) -> tuple[Reason, ...]:
        """Return what each term, and what is written, contributes to a hit.

        Args:
            at: the place of the hit among those that are judged.
            record: of the hit.
            strength: of the hit.
        """
        query = self._query
        said = self._written.get(record.id)
        alone = len(query.terms) == 1 and said is None
        found = []
        for looks in self._looks:
            # Of alternatives the best.
            term, look = max(looks, key=lambda each: float(each[1].deviations[at]))
            calibration = self._backgrounds.calibrated([term])
            deviations = float(look.deviations[at])
            found.append(
                Reason(
                    term.kind,
                    excluding.name(term),
                    float(look.cosines[at]),
                    deviations,
                    term.weight,
                    strength if alone else of_one(deviations, calibration),
                )
            )
        if said is not None:
            looked_for = _looked_for(query)
            written = _where_written(looked_for, record)
            read = _where_read(looked_for, record)
            found += [
                Reason("words", where, said.share, 0.0, query.text_weight)
                for where in written or ([] if read else [""])
            ]
            weight = SEEN * query.text_weight
            found += [
                Reason("words", f"{seen.TEXT}: {each.text}", said.share, 0.0, weight, box=each.box)
                for each in read
            ]
        return tuple(found)


def _cosines(vectors: Vectors, vector: Vectors) -> Vectors:
    """Return the cosines of (n, dim) unit rows with a vector, (n,).

    Each row's is the same whichever rows are with it, as a matrix product's is not: the reasons of
    a hit are the same in a list and alone.
    """
    import numpy as np

    cosines: Vectors = np.clip((vectors * vector).sum(axis=1), -1.0, 1.0)
    return cosines


#: Pieces of a query as they are typed, each with the words of it that are looked for.
_Wanted = Sequence[tuple[str, Sequence[str]]]


def _looked_for(query: Query) -> _Wanted:
    """Return what of a query's texts is looked for in those of images."""
    asked = [
        str(each.value)
        for term in query.terms
        for each in (term, *term.alternatives)
        if each.kind == "text" and term.weight > 0
    ]
    joined = " ".join(asked)
    wanted = set(words_to_find(joined))
    return [
        (piece.strip(AROUND).casefold(), [word for word in words_to_find(piece) if word in wanted])
        for piece in joined.split()
    ]


def _where_read(looked_for: _Wanted, record: Record) -> list[TextLine]:
    """Return the lines read in a picture that hold words of a query, the fullest first."""
    found: list[tuple[int, TextLine]] = []
    for line in seen.lines_of(record.fields):
        held = f" {searchable(line.text)} "
        count = sum(any(_is_in(word, held) for word in own) for _, own in looked_for)
        if count:
            found.append((-count, line))
    found.sort(key=lambda each: each[0])
    return [line for _, line in found[:_LINES]]


def _where_written(looked_for: _Wanted, record: Record) -> list[str]:
    """Return which texts of a record hold words of a query, as in "caption: dog, beach".

    Each word is named where it is found first.
    """
    by_user = without(record.tags, tags_by_model(record))
    folder, _, name = record.uri.rpartition("/")
    texts = {"caption": record.caption, "tags": " ".join(by_user), "name": name, "folder": folder}
    texts |= {name: str(value) for name, value in record.fields.items() if isinstance(value, str)}
    said: list[str] = []
    known: set[str] = set()
    for name, text in texts.items():
        if name in _UNSAID or name.startswith("pixseek."):
            continue
        held = f" {searchable(text)} "
        found = [piece for piece, own in looked_for if any(_is_in(word, held) for word in own)]
        new = [each for each in dict.fromkeys(found) if each not in known]
        known.update(new)
        if new:
            said.append(f"{name}: {', '.join(new)}")
    return said


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
