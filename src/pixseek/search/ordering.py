"""The order of the candidates of one query: scores, strengths, exclusion, groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pixseek.search import excluding, ranking
from pixseek.search import strength as strengths
from pixseek.search.asked import FEW, MANY, Asked, Backgrounds, least_strength, luck
from pixseek.search.written import Written
from pixseek.types import (
    Engine,
    Exclusion,
    Hit,
    Neighbours,
    Order,
    Query,
    Record,
    Results,
    Sort,
    Strength,
)
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.search.background import Calibration
    from pixseek.types import Vectors

#: Records that are fetched together for grouping, one after the other down the order.
_AT_ONCE = 64

#: Standard deviations beyond which more of one thing hardly makes up for less of another: an
#: example would otherwise find itself first, whatever else was asked.
_PLENTY = 4.0
#: Added to the deviations of near-duplicates of an example, so that they are strong anywhere.
_SAME = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What may answer a query, as the engine found it, best first.

    Attributes:
        ids, parts: of each of n.
        vectors: (n, dim) unit rows; (0, dim) if `needs_vectors` of the query is false.
        cosines: (n,) float32 with what is looked for, if that is one thing; else None.
    """

    ids: list[str]
    parts: list[int]
    vectors: Vectors
    cosines: Vectors | None

    def in_whole_blocks(self) -> Candidates:
        """Return them without the last ones that don't fill a block.

        Candidates are ordered in blocks, so a block that is not whole has another order when more
        of them are fetched.
        """
        count = len(self.ids) - len(self.ids) % MANY if len(self.ids) > MANY else len(self.ids)
        cosines = None if self.cosines is None else self.cosines[:count]
        return Candidates(self.ids[:count], self.parts[:count], self.vectors[:count], cosines)


def needs_vectors(asked: Asked) -> bool:
    """Return whether more than cosines with one vector decides the order of a query's hits."""
    query = asked.query
    return not asked.is_one or bool(query.exclude or query.group or query.variety)


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """The candidates of one query; all but the last six are of one length.

    Attributes:
        ids, vectors, parts: as of `Candidates`.
        scores: to show.
        deviations: scores in standard deviations, with what is written.
        judged: what strengths follow from; see `strength.judged`.
        strengths, probabilities: of each.
        whole: those that match well enough, best first.
        kept: the same without what is excluded.
        order: of those that are shown.
        duplicates: those that each of them stands for.
        excluded_by: what excludes them.
        is_all: whether further candidates match too little to be hits.
    """

    ids: list[str]
    vectors: Vectors
    parts: list[int]
    scores: Vectors
    deviations: Vectors
    judged: Vectors
    strengths: list[Strength]
    probabilities: NDArray[np.float64] | None
    whole: list[int]
    kept: list[int]
    order: list[int]
    duplicates: dict[int, list[int]]
    excluded_by: dict[int, str]
    is_all: bool

    def results(
        self, hits: Sequence[Hit], query: Query, nearest: Neighbours, warnings: tuple[str, ...] = ()
    ) -> Results:
        """Return some of the hits as results, with what is known of all candidates.

        Args:
            hits: to show.
            query: whose page they are.
            nearest: what the engine found.
            warnings: to show.
        """
        counted = [self.strengths[at] for at in self.kept]
        return Results(
            tuple(hits), query, {}, "",
            strong=strengths.at_least(counted, "strong"),
            likely=strengths.at_least(counted, "likely"),
            looked_at=len(self.ids),
            total=nearest.total,
            search=nearest.reach,
            excluded=self.exclusions(query),
            warnings=warnings,
        )  # fmt: skip

    def exclusions(self, query: Query) -> tuple[Exclusion, ...]:
        """Return what was removed: of the pages up to this one, and of all likely matches."""
        if not query.exclude:
            return ()
        last = query.offset + query.k
        counts = dict.fromkeys((excluding.name(term) for term in query.exclude), 0)
        shown = 0
        for at in self.whole:
            what = self.excluded_by.get(at)
            if what is None:
                shown += 1
            elif shown < last or self.strengths[at] != "weak":
                counts[what] += 1
        return tuple(Exclusion(what, count) for what, count in counts.items())


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Ranks the candidates of one query; may be called again with more of them.

    Attributes:
        asked: the query.
        total: how many images were searched.
        backgrounds: of the library.
        written: what is written about images, by id.
        exclusions: what is left out.
        are_one: returns for ids what says of two places in them whether both show one picture.
        above: how many candidates rank above these.
        ceiling: what the strength of none of these may exceed.
    """

    asked: Asked
    total: int
    backgrounds: Backgrounds
    written: Mapping[str, Written]
    exclusions: Sequence[excluding.Rule]
    are_one: Callable[[list[str]], Callable[[int, int], bool]]
    above: int = 0
    ceiling: float = math.inf

    def below(self, ranked: Ranked) -> Ranking:
        """Return what ranks candidates that come after those that were ranked."""
        ceiling = float(ranked.judged.min(initial=self.ceiling))
        return replace(self, above=self.above + len(ranked.ids), ceiling=ceiling)

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of the model, if it holds for what is looked for."""
        terms = [each.term for choice in self.asked.each for each in choice.sought]
        return self.backgrounds.calibrated(terms)

    def __call__(
        self,
        candidates: Candidates,
        sorted_by: Callable[[list[int], Sequence[str], Sort], list[int]],
    ) -> Ranked:
        """Return candidates with their order, after exclusion, grouping and sorting.

        Args:
            candidates: to rank.
            sorted_by: returns positions by a field of their records.
        """
        asked, backgrounds, total = self.asked, self.backgrounds, self.total
        import numpy as np

        query = asked.query
        ids, vectors, parts = candidates.ids, candidates.vectors, candidates.parts
        calibration = self.calibration
        known: dict[bool, tuple[Vectors, Vectors]] = {}
        scores, deviations = scored(asked, vectors, backgrounds, known, candidates.cosines)
        for at, each in enumerate(ids) if self.written else ():
            if (said := self.written.get(each)) is not None:
                deviations[at] = max(deviations[at] + said.lift, said.least)
        order = _ordered(deviations, ids).tolist()
        # By the first of them, so that it does not depend on how deep somebody looks.
        lucky = luck(parts, len(asked.each))[order]
        falling = np.minimum.accumulate(deviations[order])
        # In blocks that are whole at every depth, so that strengths do not depend on how deep
        # somebody looks.
        blocks = [
            strengths.judged(
                (falling - lucky)[at : min(at + FEW, start + MANY)],
                total,
                calibration,
                above=self.above + at,
            )
            for start in range(0, len(order), MANY)
            for at in range(start, min(start + MANY, len(order)), FEW)
        ]
        sure = np.empty_like(deviations)
        if blocks:
            sure[order] = np.minimum(np.minimum.accumulate(np.concatenate(blocks)), self.ceiling)
        found = strengths.strengths(sure, calibration)
        own = asked.own
        keep = np.ones(len(ids), np.bool_)
        if own:
            keep &= np.array([each not in own for each in ids], np.bool_)
        matches = sure >= strengths.least_score(least_strength(query), calibration)
        keep &= matches
        excluded_by: dict[int, str] = {}
        for rule in self.exclusions:
            for at in np.flatnonzero(rule.removes(ids, vectors, known) & keep).tolist():
                excluded_by.setdefault(at, rule.what)
        is_kept = keep.tolist()
        whole = [at for at in order if is_kept[at]]
        kept = [at for at in whole if at not in excluded_by] if excluded_by else whole
        order = whole if query.show_excluded else kept
        if query.variety:
            first = order[:MANY]
            chosen = ranking.varied(deviations[first], vectors[first], query.variety)
            order = [first[i] for i in chosen] + order[MANY:]
        if query.sort != "relevance":
            order = sorted_by(order, ids, query.sort)
        duplicates: dict[int, list[int]] = {}
        if query.group:
            leaders = ranking.groups(
                vectors[order],
                backgrounds.duplicate,
                self.are_one([ids[at] for at in order]),
                query.offset + query.k,
            )
            for at, leader in zip(order, leaders.tolist(), strict=True):
                if order[leader] != at:
                    duplicates.setdefault(order[leader], []).append(at)
            order = [
                at
                for at, leader in zip(order, leaders.tolist(), strict=True)
                if order[leader] == at
            ]
        return Ranked(
            ids,
            vectors,
            parts,
            scores,
            deviations,
            sure,
            found,
            None if calibration is None else calibration.probabilities(sure),
            whole,
            kept,
            order,
            duplicates,
            excluded_by,
            not matches.all(),
        )


def sorted_by(
    order: Sequence[int], ids: Sequence[str], values: Sequence[Any], *, descending: bool
) -> list[int]:
    """Return positions by a value; ties by id, and those without a value last, as they were.

    Args:
        order: positions in `ids`.
        ids: of all candidates.
        values: of each position of `order`; None for none.
        descending: from the largest value on.
    """
    known = sorted(
        (ids[at], at, value) for at, value in zip(order, values, strict=True) if value is not None
    )
    known.sort(key=lambda each: each[2], reverse=descending)
    unknown = [at for at, value in zip(order, values, strict=True) if value is None]
    return [at for _, at, _ in known] + unknown


def sort_value(record: Record, field: Order) -> Any:
    """Return what a record is sorted by; None if it has no value."""
    stamp = record.stamp
    match field:
        case "taken_at":
            return None if record.taken_at is None else record.taken_at.replace(tzinfo=None)
        case "size":
            return None if stamp is None else stamp.size
        case "mtime":
            return None if stamp is None else stamp.mtime_ns
        case "uri":
            return record.uri
        case "name":
            return record.name.casefold()


def scored(
    asked: Asked,
    vectors: Vectors,
    backgrounds: Backgrounds,
    known: dict[bool, tuple[Vectors, Vectors]],
    cosines: Vectors | None = None,
) -> tuple[Vectors, Vectors]:
    """Return what is shown as the score of each candidate, and its score in deviations."""
    import numpy as np

    if asked.choices:
        every = [scored(each, vectors, backgrounds, known) for each in asked.choices]
        best = np.argmax(np.stack([deviations for _, deviations in every]), axis=0)
        scores, deviations = (np.choose(best, each) for each in zip(*every, strict=True))
        return scores, deviations
    if asked.is_one:
        one = asked.sought[0]
        look = asked.look(one.term, one.vector, vectors, backgrounds, cosines)
        if not one.term.is_of_text:
            # The same picture is a match, also where few others show what is no match.
            same = look.cosines >= backgrounds.duplicate
            return look.cosines, np.where(same, look.deviations + _SAME, look.deviations)
        demanded = 0.0
        if one.term.kind == "text":
            demanded = strengths.demand(str(one.term.value), backgrounds.calibration)
        return look.cosines, look.deviations - np.float32(demanded)
    weights = np.array([each.term.weight for each in asked.sought], np.float32)
    above = []
    for each in asked.sought:
        if each.term.kind == "text" and each.term.value in asked.unread:
            above.append(np.zeros(len(vectors), np.float32))
        else:
            above.append(backgrounds.deviations(each.term, each.vector, vectors, known))
    deviations = np.stack(above).T
    deviations = np.minimum(deviations, _PLENTY + (deviations - _PLENTY) / 10)
    together: Vectors = deviations @ weights / np.float32(np.linalg.norm(weights))
    return together, together.copy()


def _ordered(scores: Vectors, ids: Sequence[str]) -> NDArray[np.int64]:
    """Return positions by score within each block of candidates."""
    import numpy as np

    block = MANY if len(ids) > FEW else FEW
    order = []
    for start in range(0, len(ids), block):
        some = np.arange(start, min(start + block, len(ids)))
        own = ids[start : start + block]
        order += some[ranking.order_of(scores[some], own)].tolist()
    return np.array(order, np.int64)


def are_one(engine: Engine, ids: list[str]) -> Callable[[int, int], bool]:
    """Return what says of two of these images, by their places, whether to show one only."""
    records: list[Record | None] = []

    def is_one(one: int, other: int) -> bool:
        from pixseek.search.duplicates import shown_once  # few searches come to this

        while len(records) <= max(one, other):
            records.extend(engine.get(ids[len(records) : len(records) + _AT_ONCE]))
        first, second = records[one], records[other]
        return first is not None and second is not None and shown_once(first, second)

    return is_one
