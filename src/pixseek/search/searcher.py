"""From queries to results: embed the terms, ask the engine, rank what it found.

    terms -> vectors -> one direction -> engine: the nearest candidates
          -> each term's score on each candidate, in standard deviations (background)
          -> exclusion -> fused with what captions say -> confidence -> sorted, grouped
          -> one page, and only now records

One thing to look for ranks by its cosine. Several are added in standard deviations above their own
backgrounds, up to 4 of each: image to image cosines of 0.6 to 0.9 would drown text to image cosines
of 0.2 to 0.3. For a word and an example this gives a mean average precision of .149, plain sums
.124 (docs/search-quality.md).

Pages are cut from one order. Candidates are taken in blocks, and later blocks come after earlier
ones, so a page never depends on how deep somebody looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pixseek.search import ranking, term_vectors, why
from pixseek.search.asked import FEW, MANY, Asked, Backgrounds, Look, check, tries
from pixseek.types import (
    CONFIDENT,
    POSSIBLE,
    WHOLE,
    Encoder,
    Engine,
    Filter,
    Hit,
    Literate,
    Neighbours,
    Query,
    Record,
    Results,
    Sort,
    Term,
)
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Vectors

#: Smallest confidence at which an excluded term removes an image. On 107 pairs such as "a dog",
#: not "a frisbee", .541 of the first twenty are wanted, .520 without exclusion.
EXCLUDED = 0.7
#: Minimum share of the query's words that an image's text must contain. Below it, images with
#: captions push away those without: recall@10 is .725 with it, .695 without.
WRITTEN = 0.3

#: Standard deviations beyond which more of one thing hardly makes up for less of another: an
#: example would otherwise find itself first, whatever else was asked.
_PLENTY = 4.0

#: Smallest share of unknown words at which a text matches nothing ("a bicycle": the model may know
#: only the article).
_TOO_MANY_UNKNOWN = 0.5

#: What results from an empty library say.
EMPTY = "The library is empty. Index something first: pixseek index ~/Pictures"

#: Queries in one call of the engine, which bounds memory: 400 vectors of 512 floats are 0.8 MB.
_QUERIES_A_CALL = 64

#: The field of each order, and whether it descends.
SORTED_BY: dict[Sort, tuple[Literal["uri", "name", "taken_at", "size"], bool]] = {
    "newest": ("taken_at", True), "oldest": ("taken_at", False), "name": ("name", False),
    "largest": ("size", True), "smallest": ("size", False), "relevance": ("uri", False),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Searcher:
    """What answers queries.

    Attributes:
        engine: what is searched.
        encoder: returns the encoder; called only if a term needs it.
        backgrounds: returns the backgrounds; called only if something is looked for.
        model: its name, to show before anything was indexed.
        locate: returns where a record's file is.
        preview: returns the stored preview of a record.
        picture: returns the file or the preview of a record.
        offline: never fetch an image from a URL.
    """

    engine: Engine
    encoder: Callable[[], Encoder]
    backgrounds: Callable[[], Backgrounds]
    model: str
    locate: Callable[[Record], Path | None]
    preview: Callable[[Record], bytes | None]
    picture: Callable[[Record], bytes | None]
    offline: bool

    def search(self, queries: Sequence[Query]) -> list[Results]:
        """Return the answer to each query, in order.

        All texts go through the model in one call, and the queries that share a filter go to the
        engine in one call.

        Returns:
            Results, each with the milliseconds it took; queries answered together share them.

        Raises:
            QueryError: there is nothing to look for, or a query can't be understood.
            ImageError: an example can't be read.
            ModelError, SpaceMismatchError: the model is unavailable, or not the library's.
        """
        for query in queries:
            check(query)
        found: list[Results] = []
        for at in range(0, len(queries), _QUERIES_A_CALL):
            found += self._together(queries[at : at + _QUERIES_A_CALL])
        return found

    def matching(
        self, texts: Sequence[str], where: Filter | None, least: float
    ) -> list[dict[str, float]]:
        """Return for each text the ids of all images that show it, with confidences, best first.

        Args:
            texts: words, each looked for by itself.
            where: which images; None for all.
            least: smallest confidence, above 0.

        Raises:
            ModelError, SpaceMismatchError: the model is unavailable, or not the library's.
        """
        from pixseek.search.matching import matching  # which a search does without

        if self.engine.space is None:
            return [{} for _ in texts]
        terms = [Term("text", text) for text in texts]
        backgrounds = self.backgrounds()
        vectors = self.encoder().encode_texts(texts)
        unread, _ = self._unread(terms)
        return [
            matching(
                term,
                vector,
                where,
                least,
                engine=self.engine,
                backgrounds=backgrounds,
                unread=unread,
            )
            for term, vector in zip(terms, vectors, strict=True)
        ]

    def _together(self, queries: Sequence[Query]) -> list[Results]:
        began = time.perf_counter()
        terms = [(*query.terms, *query.exclude) for query in queries]
        vectors = iter(
            term_vectors.embed(
                [term for each in terms for term in each],
                engine=self.engine,
                encoder=self.encoder,
                picture_of=self.picture,
                offline=self.offline,
            )
        )
        asked = [
            Asked(q, [next(vectors) for _ in own], *self._unread(own))
            for q, own in zip(queries, terms, strict=True)
        ]
        encoded = time.perf_counter()
        looking = [each for each in asked if each.query.terms]
        space = self.engine.space
        backgrounds = self.backgrounds() if looking and space else None
        nearest = self._nearest(looking, backgrounds) if backgrounds else {}
        answers = [
            self._answer(each, nearest[id(each)], backgrounds)
            if backgrounds and each.query.terms
            else self._browse(each.query)
            for each in asked
        ]
        ended = time.perf_counter()
        took = {"encode": encoded - began, "search": ended - encoded, "total": ended - began}
        warnings: tuple[str, ...] = ()
        if not any(answers) and not self.engine.count():
            warnings = (EMPTY,)
        return [
            replace(
                answer,
                took_ms={stage: seconds * 1000 / len(queries) for stage, seconds in took.items()},
                model=space.model if space else self.model,
                warnings=warnings + each.warnings + answer.warnings,
                stored_preview=self.preview,
            )
            for each, answer in zip(asked, answers, strict=True)
        ]

    def _unread(self, terms: Sequence[Term]) -> tuple[frozenset[str], tuple[str, ...]]:
        """Return the texts that the model can't read, and warnings about unknown words.

        All words that a model does not know are the same to it, so they are near to whatever
        images such words happened to stand for in its training.
        """
        texts = [str(term.value) for term in terms if term.kind == "text"]
        unread, warnings = set(), []
        for text in texts:
            encoder = self.encoder()
            words = encoder.words(text) if isinstance(encoder, Literate) else {}
            unknown = [word for word, known in words.items() if not known]
            if not unknown:
                continue
            if len(unknown) >= len(words) * _TOO_MANY_UNKNOWN:
                unread.add(text)
            warnings.append(f"The model does not know: {', '.join(unknown)}")
        return frozenset(unread), tuple(warnings)

    # -------------------------------------------------------------- candidates

    def _at_most(self, k: int) -> int:
        """Return k, or as many of the nearest as the engine can give."""
        most = self.engine.capabilities.max_k
        return k if most is None else min(k, most)

    def _nearest(self, looking: Sequence[Asked], backgrounds: Backgrounds) -> dict[int, Neighbours]:
        """Return the candidates of each query by its `id()`, one call of the engine per filter."""
        import numpy as np

        # By their text, because filters on True and on 1 are equal to Python.
        alike: dict[tuple[str, int], list[Asked]] = {}
        for each in looking:
            depth = self._at_most(each.depth)
            alike.setdefault((repr(each.query.where), depth), []).append(each)
        found: dict[int, Neighbours] = {}
        for (_, depth), members in alike.items():
            directions = np.stack([each.direction(backgrounds) for each in members])
            neighbours = self.engine.nearest(directions, depth, members[0].query.where)
            found.update({id(a): n for a, n in zip(members, neighbours, strict=True)})
        return found

    def _answer(self, asked: Asked, nearest: Neighbours, backgrounds: Backgrounds) -> Results:
        """Rank the candidates of one query, fetching more until its page is full."""
        query, depth = asked.query, self._at_most(asked.depth)
        written = self._written(query)
        left_out = [
            self._left_out(term, vector, asked, backgrounds)
            for term, vector in zip(query.exclude, asked.vectors[len(query.terms) :], strict=True)
        ]
        while True:
            ranked = self._ranked(asked, nearest, backgrounds, written, left_out)
            enough = len(ranked.order) >= query.offset + query.k
            deeper = self._at_most(4 * depth)
            if enough or len(nearest.ids) < depth or deeper == depth:
                break
            depth = deeper
            directions = asked.direction(backgrounds)[None]
            nearest = self.engine.nearest(directions, depth, query.where)[0]
        warnings: tuple[str, ...] = ()
        most = self.engine.capabilities.max_k
        if not enough and most == depth < min(query.offset + query.k, nearest.total):
            warnings = (
                f"This library's engine ranks at most {most:,} images a search; there may be more. "
                "Narrow it by a filter.",
            )
        page = ranked.order[query.offset : query.offset + query.k]
        records = self.engine.get([ranked.ids[at] for at in page])
        hits = []
        for rank, (at, record) in enumerate(zip(page, records, strict=True), query.offset + 1):
            if record is None:
                continue  # deleted since
            hits.append(
                Hit(
                    rank,
                    record,
                    record.parts[ranked.parts[at]] if record.parts else WHOLE,
                    float(ranked.scores[at]),
                    self.locate(record),
                    float(ranked.confidence[at]),
                    why.reasons(query, ranked.looks, at, float(ranked.share[at]), record),
                    tuple(ranked.ids[i] for i in ranked.duplicates.get(at, ())),
                )
            )
        return Results(
            tuple(hits), query, {}, "",
            confident=int((ranked.confidence >= CONFIDENT).sum()),
            possible=int((ranked.confidence >= POSSIBLE).sum()),
            looked_at=len(ranked.ids),
            total=nearest.total,
            warnings=warnings,
        )  # fmt: skip

    def _ranked(
        self,
        asked: Asked,
        nearest: Neighbours,
        backgrounds: Backgrounds,
        written: dict[str, float],
        left_out: Sequence[_LeftOut],
    ) -> _Ranked:
        """Return the candidates with their order, after exclusion, grouping and sorting."""
        import numpy as np

        query = asked.query
        ids, vectors, parts = self._with_written(nearest, written)
        looks = [
            asked.look(term, vector, vectors, backgrounds)
            for term, vector in zip(query.terms, asked.vectors, strict=False)
        ]
        weights = np.array([term.weight for term in query.terms], np.float32)
        deviations = np.stack([look.deviations for look in looks]).T
        if not asked.is_one:
            deviations = np.minimum(deviations, _PLENTY + (deviations - _PLENTY) / 10)
        together = deviations @ weights
        together = together / float(np.linalg.norm(weights))
        scores = looks[0].cosines if asked.is_one else together
        share = np.array([written.get(each, 0.0) for each in ids])
        # An image whose text holds all words is as good as one that shows them.
        chances = tries(nearest.total, nearest.parts)
        sure = backgrounds.confidences(query.terms, together, chances)
        confidence = np.maximum(sure, np.where(share > 0.99, 1, 0))
        own = asked.own
        keep = np.array([each not in own for each in ids], np.bool_)
        keep &= confidence >= query.min_confidence
        for each in left_out:
            look = asked.look(each.term, each.vector, vectors, backgrounds)
            shown = look.deviations >= each.least
            keep &= ~(shown | np.array([one in each.ids for one in ids], np.bool_))
        if query.sort != "relevance":
            keep &= confidence >= POSSIBLE
        order = [at for at in self._ordered(scores, share, ids, query).tolist() if keep[at]]
        if query.variety:
            first = order[:MANY]
            chosen = ranking.varied(scores[first], vectors[first], query.variety)
            order = [first[i] for i in chosen] + order[MANY:]
        if query.sort != "relevance":
            order = self._sorted(order, ids, query.sort)
        duplicates: dict[int, list[int]] = {}
        if query.group:
            leaders = ranking.groups(vectors[order], backgrounds.duplicate)
            for at, leader in zip(order, leaders.tolist(), strict=True):
                if order[leader] != at:
                    duplicates.setdefault(order[leader], []).append(at)
            order = [
                at
                for at, leader in zip(order, leaders.tolist(), strict=True)
                if order[leader] == at
            ]
        counted = np.where(keep, confidence, 0.0)
        return _Ranked(ids, parts, scores, counted, order, duplicates, looks, share)

    def _ordered(
        self, scores: Vectors, share: NDArray[np.float64], ids: Sequence[str], query: Query
    ) -> NDArray[np.int64]:
        """Return positions by score within each block, fused with what is written."""
        import numpy as np

        block = MANY if len(ids) > FEW else FEW
        order = []
        for start in range(0, len(ids), block):
            some = np.arange(start, min(start + block, len(ids)))
            own = ids[start : start + block]
            order += some[ranking.order_of(scores[some], own)].tolist()
        if not share.any():
            return np.array(order, np.int64)
        seen = [ids[i] for i in order]
        by_words = sorted((i for i in order if share[i] > 0), key=lambda i: -share[i])
        fused = ranking.reciprocal_ranks(
            [seen, [ids[i] for i in by_words]], [1.0, query.text_weight]
        )
        return np.array(sorted(order, key=lambda i: (-fused[ids[i]], ids[i])), np.int64)

    def _sorted(self, order: list[int], ids: Sequence[str], sort: Sort) -> list[int]:
        """Return positions by a field of their records; those without it come last."""
        records = self.engine.get([ids[at] for at in order])
        field, descending = SORTED_BY[sort]
        known: list[tuple[Any, str, int]] = []
        unknown: list[int] = []
        for at, record in zip(order, records, strict=True):
            value = None if record is None else _sort_value(record, field)
            if value is None:
                unknown.append(at)
            else:
                known.append((value, ids[at], at))
        known.sort(key=lambda each: each[1])
        known.sort(key=lambda each: each[0], reverse=descending)
        return [at for *_, at in known] + unknown

    # -------------------------------------------------------------- texts of images

    def _written(self, query: Query) -> dict[str, float]:
        """Return the ids of images whose texts hold words of the query, with the share of them."""
        words = " ".join(str(t.value) for t in query.terms if t.kind == "text" and t.weight > 0)
        if not words or not query.text_weight:
            return {}
        if self.engine.capabilities.text_search == "none":
            return {}
        found = self.engine.find_words(words, FEW, query.where, counted=False).matches
        return {each.id: each.share for each in found if each.share >= WRITTEN}

    def _with_written(
        self, nearest: Neighbours, written: dict[str, float]
    ) -> tuple[list[str], Vectors, list[int]]:
        """Return the candidates together with those found by their words alone.

        Those come in the first block, so that they can be among the first hits.
        """
        import numpy as np

        ids, vectors, parts = list(nearest.ids), nearest.vectors, list(nearest.parts)
        known = set(ids)
        more = [each for each in written if each not in known]
        rows = self.engine.vectors(more) if more else []
        there = [
            # An image without vectors resembles nothing; only its words find it.
            (each, row[:1] if len(row) else np.zeros((1, vectors.shape[1]), np.float32))
            for each, row in zip(more, rows, strict=True)
            if row is not None
        ]
        if not there:
            return ids, vectors, parts
        return (
            [each for each, _ in there] + ids,
            np.concatenate([row for _, row in there] + [vectors]),
            [0] * len(there) + parts,
        )

    def _left_out(
        self, term: Term, vector: Vectors, asked: Asked, backgrounds: Backgrounds
    ) -> _LeftOut:
        """Return what an excluded term removes: images it matches confidently, or names."""
        import numpy as np

        where = asked.query.where
        # The term's own best matches, wherever they are, show what chance explains.
        own = self.engine.nearest(vector[None], self._at_most(MANY), where)[0]
        best = asked.look(term, vector, own.vectors, backgrounds).deviations
        sure = backgrounds.confidences([term], best, tries(own.total, own.parts)) >= EXCLUDED
        least = float(best[sure].min()) if sure.any() else float(np.inf)
        ids = {term.value} if term.kind == "id" else set()
        if term.kind == "text" and self.engine.capabilities.text_search != "none":
            found = self.engine.find_words(str(term.value), MANY, where, counted=False).matches
            ids |= {each.id for each in found if each.share > 0.99}
        return _LeftOut(term, vector, least, frozenset(ids))

    # -------------------------------------------------------------- without a query

    def _browse(self, query: Query) -> Results:
        """Return the images that a filter lets through, in the order of the query."""
        if self.engine.space is None:
            return Results((), query, {}, "")
        field, descending = SORTED_BY[query.sort]
        records = self.engine.select(
            query.where,
            order=field,
            descending=descending,
            k=query.k,
            offset=query.offset,
        )
        total = self.engine.count(query.where)
        hits = tuple(
            Hit(rank, record, (*record.parts, WHOLE)[0], 0.0, self.locate(record))
            for rank, record in enumerate(records, query.offset + 1)
        )
        return Results(
            hits, query, {}, "", confident=total, possible=total, looked_at=total, total=total
        )


@dataclass(frozen=True, slots=True, eq=False)
class _LeftOut:
    """What an excluded term removes: images from `least` deviations up, and those in `ids`."""

    term: Term
    vector: Vectors
    least: float
    ids: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """The candidates of one query, and the order of those that are shown; all of one length."""

    ids: list[str]
    parts: list[int]
    scores: Vectors
    confidence: NDArray[np.float64]
    order: list[int]
    duplicates: dict[int, list[int]]
    looks: list[Look]
    share: NDArray[np.float64]


def _sort_value(record: Record, field: str) -> Any:
    if field == "taken_at":
        return None if record.taken_at is None else record.taken_at.replace(tzinfo=None)
    if field == "size":
        return None if record.stamp is None else record.stamp.size
    return record.name.casefold()
