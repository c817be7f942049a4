"""From queries to results: embed the terms, ask the engine, rank what it found.

    terms -> vectors -> one direction -> engine: the nearest candidates
          -> each term's score on each candidate, in standard deviations (background)
          -> what is excluded goes -> fused with what captions say -> confidence -> sorted, grouped
          -> one page, and only now records

One thing to look for ranks by its cosine. Several can't be added up as they are: image to image
cosines of 0.6 to 0.9 would drown text to image ones of 0.2 to 0.3. In standard deviations above
their own backgrounds they can, up to 4 of each. On 306 queries of a word and an example photo (both
wanted; 1,000 photos, their captions as the truth) that has a mean average precision of .149, the
word alone .124, the photo alone .053, plain sums .124, reciprocal rank fusion .117; on 51 pairs of
words .246, plain sums .199.

Pages are cut from one order. The candidates are taken in blocks, and later blocks come after
earlier ones, so that a page never depends on how deep somebody looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pixseek.errors import QueryError
from pixseek.metadata.annotations import KEPT, LABEL_CONFIDENCES, LABEL_SCORES, USER_PREFIX
from pixseek.search import ranking, term_vectors
from pixseek.search.background import Background, Calibration, confidences
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
    Reason,
    Record,
    Results,
    Sort,
    Term,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Vectors

#: From here on what a term matches is left out by its exclusion. On 107 pairs such as "a dog",
#: not "a frisbee" (photos whose captions say what is on them), this removes 43 % of the photos that
#: show it and 11 % of those that don't; of the first twenty, .541 are wanted (.520 without, .507
#: with vector subtraction, .536 from .5 on, .534 from .95 on).
EXCLUDED = 0.7
#: Of the words of a query so much must be in what is written of an image. With less, images with
#: captions push away those without: on 1,000 photos of which half have a caption, recall@10 is .725
#: from here on, .695 from any word on, .681 without captions and .322 by captions alone.
WRITTEN = 0.3

#: Beyond so many standard deviations more of one thing hardly makes up for less of another: an
#: example would else find itself first, whatever else was asked.
_PLENTY = 4.0

#: Where so much of a text is unknown to the model, nothing can be said of its matches ("a bicycle",
#: of which it knows the article).
_TOO_MANY_UNKNOWN = 0.5

#: Candidates of a query that asks for nothing but the nearest, and of others.
_FEW, _MANY = 400, 1000
#: Queries in one call of the engine, which bounds memory: 400 vectors of 512 floats are 0.8 MB.
_QUERIES_A_CALL = 64
_SORTED_BY: dict[Sort, tuple[Literal["uri", "name", "taken_at", "size"], bool]] = {
    "newest": ("taken_at", True), "oldest": ("taken_at", False), "name": ("name", False),
    "largest": ("size", True), "smallest": ("size", False), "relevance": ("uri", False),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Backgrounds:
    """What scores mean nothing in one library: see `pixseek.search.background`.

    Attributes:
        texts: for words.
        images: for images and vectors.
        duplicate: cosine from which two images are near-duplicates.
        calibration: how sure a match of words is, where that was measured for the model.
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
            deviations: by how much the candidates stand out, (n,).
            total: how many images were searched.
        """
        if self.calibration is not None and all(term.kind == "text" for term in terms):
            return self.calibration.confidences(deviations)
        return confidences(deviations, total)


@dataclass(frozen=True, slots=True)
class Searcher:
    """What answering takes.

    Attributes:
        engine: what is searched.
        encoder: gives the encoder; called only when a term needs it.
        backgrounds: gives the backgrounds; called when something is looked for.
        model: its name, to show before anything was indexed.
        locate: tells where a record's file is.
        preview: gives the stored preview of a record.
        picture: gives the file or the preview of a record.
        offline: never to fetch an image from a URL.
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

        Queries are answered together as far as they can: their texts go through the model in one
        call, and those that share a filter go to the engine in one call.

        Returns:
            Results, each with the milliseconds that it took; of queries that were answered
            together, each with its share of them.

        Raises:
            QueryError: there is nothing to look for, or a query can't be understood.
            ImageError: an example can't be read.
            ModelError, SpaceMismatchError: the model can't be had, or does not fit.
        """
        for query in queries:
            _check(query)
        found: list[Results] = []
        for at in range(0, len(queries), _QUERIES_A_CALL):
            found += self._together(queries[at : at + _QUERIES_A_CALL])
        return found

    def matching(
        self, texts: Sequence[str], where: Filter | None, least: float
    ) -> list[dict[str, float]]:
        """Return for each text all images that show it with at least this confidence.

        They are ids with their confidences, best first.

        Args:
            texts: words, each looked for by itself.
            where: among which images; None for all.
            least: confidence, above 0.

        Raises:
            ModelError, SpaceMismatchError: the model can't be had, or does not fit.
        """
        if self.engine.space is None:
            return [{} for _ in texts]
        terms = [Term("text", text) for text in texts]
        backgrounds = self.backgrounds()
        vectors = self.encoder().encode_texts(texts)
        unread, _ = self._unread(terms)
        found = []
        for term, vector in zip(terms, vectors, strict=True):
            depth = _MANY
            while True:
                nearest = self.engine.nearest(vector[None], depth, where)[0]
                look = _look(term, vector, nearest.vectors, backgrounds, unread=unread)
                confidences = backgrounds.confidences([term], look.deviations, nearest.total)
                sure = confidences >= least
                # Where half of them are sure, there may be more below.
                if len(nearest.ids) < depth or 2 * int(sure.sum()) < depth:
                    break
                depth *= 4
            rated = zip(nearest.ids, confidences.tolist(), strict=True)
            found.append({each: rate for each, rate in rated if rate >= least})
        return found

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
            _Asked(q, [next(vectors) for _ in own], *self._unread(own))
            for q, own in zip(queries, terms, strict=True)
        ]
        encoded = time.perf_counter()
        looking = [each for each in asked if each.query.terms]
        backgrounds = self.backgrounds() if looking and self.engine.space else None
        nearest = self._nearest(looking, backgrounds) if backgrounds else {}
        answers = [
            self._answer(each, nearest[id(each)], backgrounds)
            if backgrounds and each.query.terms
            else self._browse(each.query)
            for each in asked
        ]
        ended = time.perf_counter()
        took = {"encode": encoded - began, "search": ended - encoded, "total": ended - began}
        space = self.engine.space
        warnings: tuple[str, ...] = ()
        if not any(answers) and not self.engine.count():
            warnings = ("The library is empty. Index something first: pixseek index ~/Pictures",)
        return [
            replace(
                answer,
                took_ms={stage: seconds * 1000 / len(queries) for stage, seconds in took.items()},
                model=space.model if space else self.model,
                warnings=warnings + each.warnings,
                stored_preview=self.preview,
            )
            for each, answer in zip(asked, answers, strict=True)
        ]

    def _unread(self, terms: Sequence[Term]) -> tuple[frozenset[str], tuple[str, ...]]:
        """Return the texts that the model can't read, and what is to be said of them.

        All words that a model does not know are the same to it, and so near to whatever images
        such words happened to stand for at its training.
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

    def _nearest(
        self, looking: Sequence[_Asked], backgrounds: Backgrounds
    ) -> dict[int, Neighbours]:
        """Return the candidates of each query, those of one filter in one call."""
        import numpy as np

        # By their text, since filters on True and on 1 are equal to Python.
        alike: dict[tuple[str, int], list[_Asked]] = {}
        for each in looking:
            alike.setdefault((repr(each.query.where), each.depth), []).append(each)
        found: dict[int, Neighbours] = {}
        for (_, depth), members in alike.items():
            directions = np.stack([each.direction(backgrounds) for each in members])
            neighbours = self.engine.nearest(directions, depth, members[0].query.where)
            found.update({id(a): n for a, n in zip(members, neighbours, strict=True)})
        return found

    def _answer(self, asked: _Asked, nearest: Neighbours, backgrounds: Backgrounds) -> Results:
        """Rank the candidates of one query, taking more of them until its page is full."""
        query, depth = asked.query, asked.depth
        written = self._written(query)
        left_out = [
            self._left_out(term, vector, asked, backgrounds)
            for term, vector in zip(query.exclude, asked.vectors[len(query.terms) :], strict=True)
        ]
        while True:
            ranked = self._ranked(asked, nearest, backgrounds, written, left_out)
            enough = len(ranked.order) >= query.offset + query.k
            if enough or len(nearest.ids) < depth:
                break
            depth *= 4
            directions = asked.direction(backgrounds)[None]
            nearest = self.engine.nearest(directions, depth, query.where)[0]
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
                    ranked.reasons(at, record),
                    tuple(ranked.ids[i] for i in ranked.duplicates.get(at, ())),
                )
            )
        return Results(
            tuple(hits), query, {}, "",
            confident=int((ranked.confidence >= CONFIDENT).sum()),
            possible=int((ranked.confidence >= POSSIBLE).sum()),
            looked_at=len(ranked.ids),
            total=nearest.total,
        )  # fmt: skip

    def _ranked(
        self,
        asked: _Asked,
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
            _look(term, vector, vectors, backgrounds, unread=asked.unread)
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
        # What is written all over an image is as good as being seen.
        sure = backgrounds.confidences(query.terms, together, nearest.total)
        confidence = np.maximum(sure, np.where(share > 0.99, 1, 0))
        own = asked.own
        keep = np.array([each not in own for each in ids], np.bool_)
        keep &= confidence >= query.min_confidence
        for each in left_out:
            look = _look(each.term, each.vector, vectors, backgrounds, unread=asked.unread)
            shown = look.deviations >= each.least
            keep &= ~(shown | np.array([one in each.ids for one in ids], np.bool_))
        if query.sort != "relevance":
            keep &= confidence >= POSSIBLE
        order = [at for at in self._ordered(scores, share, ids, query).tolist() if keep[at]]
        if query.variety:
            first = order[:_MANY]
            chosen = ranking.varied(scores[first], vectors[first], query.variety)
            order = [first[i] for i in chosen] + order[_MANY:]
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
        return _Ranked(ids, parts, scores, counted, order, duplicates, looks, query, share)

    def _ordered(
        self, scores: Vectors, share: NDArray[np.float64], ids: Sequence[str], query: Query
    ) -> NDArray[np.int64]:
        """Return positions by score within each block, fused with what is written."""
        import numpy as np

        block = _MANY if len(ids) > _FEW else _FEW
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
        field, descending = _SORTED_BY[sort]
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

    # -------------------------------------------------------------- what is written

    def _written(self, query: Query) -> dict[str, float]:
        """Return the ids of images of which the query's words are written, with how much."""
        words = " ".join(str(t.value) for t in query.terms if t.kind == "text" and t.weight > 0)
        if not words or not query.text_weight:
            return {}
        if self.engine.capabilities.text_search == "none":
            return {}
        found = self.engine.text_search(words, _FEW, query.where)
        return {each: share for each, share in found if share >= WRITTEN}

    def _with_written(
        self, nearest: Neighbours, written: dict[str, float]
    ) -> tuple[list[str], Vectors, list[int]]:
        """Return the candidates with those that are known by their words alone, in one list.

        Those are put into the first block, so that they can be among the first.
        """
        import numpy as np

        ids, vectors, parts = list(nearest.ids), nearest.vectors, list(nearest.parts)
        known = set(ids)
        more = [each for each in written if each not in known]
        rows = self.engine.vectors(more) if more else []
        there = [
            # An image without vectors resembles nothing, and is found by its words alone.
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
        self, term: Term, vector: Vectors, asked: _Asked, backgrounds: Backgrounds
    ) -> _LeftOut:
        """Return what an excluded term leaves out: what it matches confidently, or names."""
        import numpy as np

        where = asked.query.where
        # What chance explains is seen in the term's own best matches, wherever they are.
        own = self.engine.nearest(vector[None], _MANY, where)[0]
        best = _look(term, vector, own.vectors, backgrounds, unread=asked.unread).deviations
        sure = backgrounds.confidences([term], best, own.total) >= EXCLUDED
        least = float(best[sure].min()) if sure.any() else float(np.inf)
        ids = {term.value} if term.kind == "id" else set()
        if term.kind == "text" and self.engine.capabilities.text_search != "none":
            found = self.engine.text_search(str(term.value), _MANY, where)
            ids |= {each for each, share in found if share > 0.99}
        return _LeftOut(term, vector, least, frozenset(ids))

    # -------------------------------------------------------------- without a query

    def _browse(self, query: Query) -> Results:
        """Return what a filter lets through, by its own order."""
        if self.engine.space is None:
            return Results((), query, {}, "")
        field, descending = _SORTED_BY[query.sort]
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
class _Asked:
    """A query with the vectors of its terms, then of what it excludes.

    Attributes:
        query: what was asked.
        vectors: of each term, (dim,).
        unread: texts of which the model knows too few words to say anything.
        warnings: of words that it does not know.
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
        """The ids that are asked with, and so are no answer."""
        return {t.value for t in self.query.terms if t.kind == "id" and t.region is None}

    @property
    def depth(self) -> int:
        """How many candidates to begin with."""
        q = self.query
        plain = self.is_one and not (q.exclude or q.group or q.variety or q.sort != "relevance")
        return _FEW if plain and q.offset + q.k + len(self.own) <= _FEW else _MANY

    def direction(self, backgrounds: Backgrounds) -> Vectors:
        """Return the unit vector whose nearest rows are the candidates.

        Of several terms, the sum of their distances from their backgrounds, each in its own
        standard deviations on a typical image.
        """
        import numpy as np

        if self.is_one:
            return self.vectors[0]
        total = np.zeros(len(self.vectors[0]), np.float64)
        for term, vector in zip(self.query.terms, self.vectors, strict=False):
            background = _background(term, backgrounds)
            spread = background.typical_spread(backgrounds.images)
            total += term.weight * (vector - background.mean) / spread
        length = float(np.linalg.norm(total))
        if length < 1e-9:
            raise QueryError(
                "The things to look for cancel each other out", "", "Change one of them."
            )
        direction: Vectors = (total / length).astype(np.float32)
        return direction


@dataclass(frozen=True, slots=True, eq=False)
class _LeftOut:
    """What an excluded term leaves out: all it matches by so many deviations, and some ids."""

    term: Term
    vector: Vectors
    least: float
    ids: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """One term's scores on all candidates."""

    cosines: Vectors
    deviations: Vectors


def _look(
    term: Term,
    vector: Vectors,
    vectors: Vectors,
    backgrounds: Backgrounds,
    *,
    unread: frozenset[str],
) -> _Look:
    """Return a term's scores on (n, dim) unit rows; words that the model can't read say nothing."""
    import numpy as np

    cosines: Vectors = vectors @ vector
    if term.kind == "text" and term.value in unread:
        return _Look(cosines, np.zeros_like(cosines))
    return _Look(cosines, _background(term, backgrounds).standardised(cosines, vectors))


def _background(term: Term, backgrounds: Backgrounds) -> Background:
    return backgrounds.texts if term.kind == "text" else backgrounds.images


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """The candidates of one query, and the order of those that are shown."""

    ids: list[str]
    parts: list[int]
    scores: Vectors
    confidence: NDArray[np.float64]
    order: list[int]
    duplicates: dict[int, list[int]]
    looks: list[_Look]
    query: Query
    share: NDArray[np.float64]

    def reasons(self, at: int, record: Record) -> tuple[Reason, ...]:
        """Return what each term and what is written has to say for a candidate."""
        reasons = [
            Reason(
                term.kind,
                ""
                if term.kind == "vector" or not isinstance(term.value, str | Path)
                else str(term.value),
                float(look.cosines[at]),
                float(look.deviations[at]),
                term.weight,
            )
            for term, look in zip(self.query.terms, self.looks, strict=True)
        ]
        if self.share[at] > 0:
            said = _where_written(self.query, record)
            reasons.append(
                Reason("words", said, float(self.share[at]), 0.0, self.query.text_weight)
            )
        return tuple(reasons)


def _where_written(query: Query, record: Record) -> str:
    """Return which texts of a record hold words of a query, as in "caption: dog, beach".

    Of tags that a model gave, how sure it was: "tags: a lake 0.97".
    """
    import re

    words = [
        word
        for term in query.terms
        if term.kind == "text" and term.weight > 0
        for word in re.findall(r"\w{3,}", str(term.value).casefold())
    ]
    texts = {"caption": record.caption, "tags": " ".join(record.tags), "name": record.relative_path}
    texts |= {name: str(value) for name, value in record.fields.items() if isinstance(value, str)}
    for field in (LABEL_SCORES, LABEL_CONFIDENCES):
        scored = str(record.fields.get(f"{USER_PREFIX}{field}") or "").split(", ")
        if said := [each for each in scored if any(w[:4] in each.casefold() for w in words)]:
            return f"tags: {', '.join(said)}"
    for name, text in texts.items():
        # By their beginnings, since the engine compares stems.
        found = [word for word in words if word[:4] in text.casefold()]
        if found and name not in _UNSAID:
            return f"{name}: {', '.join(dict.fromkeys(found))}"
    return ""


#: Fields that nobody wrote about the image, or that are said elsewhere.
_UNSAID = frozenset({"notes", "colours", "colour_names", "placeholder", *KEPT})


def _sort_value(record: Record, field: str) -> Any:
    if field == "taken_at":
        return None if record.taken_at is None else record.taken_at.replace(tzinfo=None)
    if field == "size":
        return None if record.stamp is None else record.stamp.size
    return record.name.casefold()


def _check(query: Query) -> None:
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
    if query.sort not in _SORTED_BY:
        from pixseek.errors import unknown

        raise QueryError("unknown order", query.sort, unknown("order", query.sort, _SORTED_BY))
