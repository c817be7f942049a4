"""The shots of videos that answer a query, besides the best one of each.

An engine returns every record once, with its best part. So of a page of hits the vectors of all
shots are read again, which any engine can do, and scored as the candidates were. No shot scores
above the best of its video: the first n shots of all are among those of the first n records, and
usually of far fewer. Only their scores are kept until the page is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pixseek.search import strength as strengths
from pixseek.search.asked import luck
from pixseek.search.ordering import Ranked, Ranking, scored
from pixseek.types import Engine, Moment, Part, Query, Record, Strength
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Further moments of a hit, at most: more are shown in a video of hours that shows one thing.
MOST = 100
#: Vectors that are read together: 20,000 of 512 numbers are 41 MB.
_TOGETHER = 20_000
#: Records whose shots are scored before a look whether they fill the page.
_RECORDS = 200


@dataclass(frozen=True, slots=True, eq=False)
class _Shots:
    """The parts of one record that match, best first; the best part of the record is the first.

    Attributes:
        parts: indexes among the parts of the record.
        scores, deviations, judged: (n,), as of `Ranked`.
    """

    parts: list[int]
    scores: Vectors
    deviations: Vectors
    judged: Vectors


def further(
    engine: Engine,
    rank: Ranking,
    ranked: Ranked,
    places: Sequence[int],
    records: Sequence[Record | None],
) -> dict[int, tuple[Moment, ...]]:
    """Return the further moments of hits, by place among the candidates, best first.

    Args:
        engine: holds their vectors.
        rank: has ranked the candidates.
        ranked: these.
        places: of the hits among the candidates.
        records: of each.
    """
    found = {}
    # Weak shots are not listed, even if weak hits are asked for.
    least: Strength = "strong" if rank.asked.query.min_strength == "strong" else "likely"
    for at, record, shots in _matching(engine, rank, ranked, places, records, least):
        said = strengths.strengths(shots.judged[1 : 1 + MOST], rank.calibration)
        found[at] = tuple(
            Moment(record.parts[part], float(score), strength)
            for part, score, strength in zip(
                shots.parts[1:], shots.scores[1:].tolist(), said, strict=False
            )
        )
    return found


def page(engine: Engine, rank: Ranking, ranked: Ranked, query: Query) -> Ranked:
    """Return the query's page of candidates in which each matching shot is one of its own.

    Best first; in another order than by relevance, and with variety, the shots of a video follow
    each other in time.

    Args:
        engine: holds their vectors.
        rank: has ranked the candidates.
        ranked: these.
        query: whose page is wanted.

    Returns:
        Candidates for the hits of the page alone: counts of all candidates are those of `ranked`.
    """
    wanted = query.offset + query.k
    places = ranked.order[:wanted]
    by_score = query.sort == "relevance" and not query.variety
    listed: list[tuple[float, int, int, int]] = []  # key, place, what comes first in it, which
    found: list[_Shots | None] = []  # of each place
    lowest = float("inf")
    for some in _scored(engine, rank, ranked, places, query.min_strength or "likely"):
        for at, shots in some:
            n = len(found)
            found.append(shots)
            lowest = min(lowest, float(ranked.deviations[at]))
            if shots is None:
                listed.append((-lowest if by_score else 0.0, n, 0, -1))
            elif by_score:
                own = shots.deviations.tolist()
                listed += [(-min(lowest, each), n, which, which) for which, each in enumerate(own)]
            else:
                listed += [(0.0, n, part, which) for which, part in enumerate(shots.parts)]
        if len(found) < len(places):
            after = -min(lowest, float(ranked.deviations[places[len(found)]])) if by_score else 0.0
            if sum(key <= after for key, *_ in listed) >= wanted:
                break  # all that follow come behind these
    listed.sort()
    sources = [(places[n], found[n], which) for _, n, _, which in listed[query.offset : wanted]]
    return _made(engine, rank, ranked, sources)


def _scored(
    engine: Engine, rank: Ranking, ranked: Ranked, places: Sequence[int], least: Strength
) -> Iterator[list[tuple[int, _Shots | None]]]:
    """Yield some hits at a time, each with its parts that match at least so well, if a video."""
    for start in range(0, len(places), _RECORDS):
        some = places[start : start + _RECORDS]
        records = engine.get([ranked.ids[at] for at in some])
        found = {
            at: shots for at, _, shots in _matching(engine, rank, ranked, some, records, least)
        }
        yield [(at, found.get(at)) for at in some]


def _made(
    engine: Engine, rank: Ranking, ranked: Ranked, sources: Sequence[tuple[int, _Shots | None, int]]
) -> Ranked:
    """Return candidates that consist of parts of others, in this order.

    The ids of those others follow after their own, for `duplicates`.
    """
    import numpy as np

    def values(name: str) -> list[Any]:
        return [
            getattr(ranked, name)[at] if shots is None else getattr(shots, name)[which]
            for at, shots, which in sources
        ]

    calibration = rank.calibration
    judged, parts = np.array(values("judged"), np.float32), values("parts")
    # Engines that know outlines may leave vectors out; then they are read by id and part.
    vectors = ranked.vectors
    if len(vectors) == len(ranked.ids):
        vectors = vectors[[at for at, *_ in sources]]
        others = [n for n, (*_, which) in enumerate(sources) if which > 0]
        read = engine.vectors([ranked.ids[sources[n][0]] for n in others]) if others else []
        for n, rows in zip(others, read, strict=True):
            if rows is not None and parts[n] < len(rows):  # else it changed since
                vectors[n] = rows[parts[n]]
    best = {at: n for n, (at, _, which) in enumerate(sources) if which < 1}
    count = len(sources)
    return replace(
        ranked,
        ids=[*(ranked.ids[at] for at, *_ in sources), *ranked.ids],
        vectors=vectors,
        parts=parts,
        scores=np.array(values("scores"), np.float32),
        deviations=np.array(values("deviations"), np.float32),
        judged=judged,
        strengths=strengths.strengths(judged, calibration),
        probabilities=None if calibration is None else calibration.probabilities(judged),
        order=list(range(count)),
        duplicates={
            best[at]: [count + other for other in others]
            for at, others in ranked.duplicates.items()
            if at in best
        },
        excluded_by={
            n: ranked.excluded_by[at]
            for n, (at, *_) in enumerate(sources)
            if at in ranked.excluded_by
        },
    )


def _matching(
    engine: Engine,
    rank: Ranking,
    ranked: Ranked,
    places: Sequence[int],
    records: Sequence[Record | None],
    least: Strength,
) -> Iterator[tuple[int, Record, _Shots]]:
    """Yield those of some hits that are videos, with the parts that match at least so well."""
    import numpy as np

    videos = [
        (at, record)
        for at, record in zip(places, records, strict=True)
        if record is not None and len(record.parts) > 1 and record.shots
    ]
    if not videos:
        return
    falling = np.sort(-ranked.deviations)
    for some in _batches(videos):
        every = engine.vectors([record.id for _, record in some])
        for (at, record), rows in zip(some, every, strict=True):
            if rows is not None and len(rows) == len(record.parts):  # else it changed since
                yield at, record, _shots(rank, ranked, at, record.parts, rows, falling, least)


def _batches(videos: Sequence[tuple[int, Record]]) -> Iterator[list[tuple[int, Record]]]:
    some: list[tuple[int, Record]] = []
    parts = 0
    for each in videos:
        count = len(each[1].parts)
        if some and parts + count > _TOGETHER:
            yield some
            some, parts = [], 0
        some.append(each)
        parts += count
    yield some


def _shots(
    rank: Ranking,
    ranked: Ranked,
    at: int,
    parts: tuple[Part, ...],
    rows: Vectors,
    falling: Vectors,
    least: Strength,
) -> _Shots:
    """Return the best part of a candidate and its shots that match at least so well.

    Args:
        rank, ranked: the candidates.
        at: the place of this one.
        parts: of its record.
        rows: of these, (parts, dim).
        falling: the deviations of all candidates, negated, ascending.
        least: how well the shots match.
    """
    import numpy as np

    query = rank.asked.query
    known: dict[bool, tuple[Vectors, Vectors]] = {}
    scores, deviations = scored(rank.asked, rows, rank.backgrounds, known)
    best = ranked.parts[at]
    deviations = np.minimum(deviations, ranked.deviations[at])
    places = np.searchsorted(falling, -deviations) + 1
    lucky = luck(range(len(parts)), len(rank.asked.each))
    judged = strengths.judged_at(deviations - lucky, places, rank.total, rank.calibration)
    judged = np.minimum(judged, ranked.judged[at])
    keep = judged >= strengths.least_score(least, rank.calibration)
    keep &= np.array([part.kind == "shot" for part in parts], np.bool_)
    keep[best] = False
    for rule in () if query.show_excluded else rank.exclusions:
        keep &= ~rule.removes([""] * len(parts), rows, known)
    others = np.flatnonzero(keep)
    others = others[np.argsort(-deviations[others], kind="stable")]

    def joined(of_best: float, own: Vectors) -> Vectors:
        return np.concatenate([np.array([of_best], np.float32), own[others].astype(np.float32)])

    return _Shots(
        [best, *others.tolist()],
        joined(ranked.scores[at], scores),
        joined(ranked.deviations[at], deviations),
        joined(ranked.judged[at], judged),
    )
