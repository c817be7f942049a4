"""From queries to results: embed the terms, ask the engine, rank what it found.

    terms -> vectors -> one direction -> engine: the nearest candidates
          -> one score each, in standard deviations (asked), with what is written (written)
          -> strengths -> exclusion -> sorted, grouped
          -> one page, and only now records

One thing to look for ranks by its cosine. Several are added in standard deviations above their own
backgrounds on each image, up to 4 of each: image to image cosines of 0.6 to 0.9 would drown text to
image cosines of 0.2 to 0.3. For a word and an example this gives a mean average precision of .138,
plain sums .124 (docs/search-quality.md).

Pages are cut from one order. Candidates are taken in blocks, and later blocks come after earlier
ones, so a page never depends on how deep somebody looks.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pixseek.engines.words import STOP_WORDS
from pixseek.search import excluding, ordering, ranking, term_vectors, why
from pixseek.search import strength as strengths
from pixseek.search.asked import FEW, Asked, Backgrounds, Sought, check, choices, joined
from pixseek.search.written import best_of, written
from pixseek.types import (
    WHOLE,
    Encoder,
    Engine,
    Filter,
    Hit,
    Literate,
    Moment,
    Neighbours,
    Part,
    Query,
    Reach,
    Record,
    Results,
    Sort,
    Strength,
    Term,
)
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.search.grouping import Kept
    from pixseek.types import Vectors

#: Smallest share of unknown words at which a text matches nothing.
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
        preview: returns the stored preview of a part of a record.
        picture: returns the file or the preview of a record.
        fetch: returns the file at a URL, or raises ImageError or QueryError.
        texts_of: knows the vectors of texts that were looked for before.
        groups: returns what is kept of groups for the next page.
        reads_text: whether images may have text that was read in them.
    """

    engine: Engine
    encoder: Callable[[], Encoder]
    backgrounds: Callable[[], Backgrounds]
    model: str
    locate: Callable[[Record], Path | None]
    preview: Callable[[Record, Part], bytes | None]
    picture: Callable[[Record], bytes | None]
    fetch: Callable[[str], bytes]
    texts_of: term_vectors.TextCache
    groups: Callable[[], Kept]
    reads_text: bool = False

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
        self, texts: Sequence[str], where: Filter | None, least: Strength
    ) -> list[dict[str, float]]:
        """Return for each text the ids of all images that show it, with scores, best first.

        Args:
            texts: words, each looked for by itself.
            where: which images; None for all.
            least: how well they must match.

        Returns:
            Scores in standard deviations.

        Raises:
            ModelError, SpaceMismatchError: the model is unavailable, or not the library's.
        """
        from pixseek.search.matching import matching  # which a search does without

        if self.engine.space is None:
            return [{} for _ in texts]
        terms = [Term("text", text) for text in texts]
        vectors = self._embed(terms)
        backgrounds = self.backgrounds()
        unread, _ = self._unread(terms)
        return [
            matching(
                term,
                vector,
                where,
                strengths.least_score(least, backgrounds.calibration),
                engine=self.engine,
                backgrounds=backgrounds,
                unread=unread,
            )
            for term, vector in zip(terms, vectors, strict=True)
        ]

    def asked(self, queries: Sequence[Query]) -> list[Asked]:
        """Return queries with the vectors of what they look for; each is checked.

        Raises:
            QueryError, ImageError, ModelError, SpaceMismatchError: as `search`.
        """
        # A query with alternatives is asked once for each choice among them.
        every = [choices(query) for query in queries]
        single = [choice for each in every for choice in each]
        together = [joined(query) for query in single]
        terms = [(*query.terms, *query.exclude) for query in single]
        vectors = iter(
            self._embed(
                [
                    term
                    for own, text in zip(terms, together, strict=True)
                    for term in (own if text is None else (*own, text))
                ]
            )
        )
        chosen = []
        for query, own, text in zip(single, terms, together, strict=True):
            rows = [next(vectors) for _ in own]
            unread, warnings = self._unread(own)
            sought = [Sought(*each) for each in zip(query.terms, rows, strict=False)]
            if text is not None:
                if any(term.value in unread for term in query.terms if term.kind == "text"):
                    unread |= {text.value}
                sought = [each for each in sought if each.term.kind != "text"]
                sought.append(Sought(text, next(vectors)))
            chosen.append(Asked(query, rows, tuple(sought), unread, warnings))
        own_choices = iter(chosen)
        return [
            Asked.any_of(query, [next(own_choices) for _ in each])
            for query, each in zip(queries, every, strict=True)
        ]

    def _together(self, queries: Sequence[Query]) -> list[Results]:
        began = time.perf_counter()
        asked = self.asked(queries)
        encoded = time.perf_counter()
        space = self.engine.space
        backgrounds = self.backgrounds() if space and any(q.terms for q in queries) else None
        looking = [each for each in asked if each.query.terms and not each.query.group_by]
        nearest = self.nearest(looking, backgrounds) if backgrounds else {}
        answers = [self._answer_of(each, nearest, backgrounds) for each in asked]
        ended = time.perf_counter()
        took = {"encode": encoded - began, "search": ended - encoded, "total": ended - began}
        said: tuple[str, ...] = ()
        if not any(answers) and not self.engine.count():
            said = (EMPTY,)
        return [
            replace(
                answer,
                took_ms={stage: seconds * 1000 / len(queries) for stage, seconds in took.items()},
                model=space.model if space else self.model,
                warnings=said + each.warnings + answer.warnings,
                stored_preview=self.preview,
                stored_content=self.picture,
            )
            for each, answer in zip(asked, answers, strict=True)
        ]

    def _embed(self, terms: Sequence[Term]) -> list[Vectors]:
        return term_vectors.embed(
            terms,
            engine=self.engine,
            encoder=self.encoder,
            picture_of=self.picture,
            fetch=self.fetch,
            texts_of=self.texts_of,
        )

    def _unread(self, terms: Sequence[Term]) -> tuple[frozenset[str], tuple[str, ...]]:
        """Return the texts that the model can't read, and warnings about unknown words.

        All words that a model does not know are the same to it, so they are near to whatever
        images such words happened to stand for in its training.
        """
        texts = [str(term.value) for term in terms if term.kind == "text"]
        unread, warnings = set(), []
        for text in texts:
            encoder = self.encoder()
            if not isinstance(encoder, Literate):
                continue
            words = encoder.words(text)
            if not words:  # an emoji, for many vocabularies
                unread.add(text)
                warnings.append(f"The model reads nothing in: {text}")
                continue
            unknown = [word for word, known in words.items() if not known]
            if not unknown:
                continue
            # "a cup on the table" says nothing to a model that knows only "a", "on" and "the".
            telling = [word for word in words if word not in STOP_WORDS]
            if len(unknown) >= len(words) * _TOO_MANY_UNKNOWN or set(telling) <= set(unknown):
                unread.add(text)
            warnings.append(f"The model does not know: {', '.join(unknown)}")
        return frozenset(unread), tuple(warnings)

    # -------------------------------------------------------------- candidates

    def at_most(self, k: int) -> int:
        """Return k, or as many of the nearest as the engine can give."""
        most = self.engine.capabilities.max_k
        return k if most is None else min(k, most)

    def nearest(self, looking: Sequence[Asked], backgrounds: Backgrounds) -> dict[int, Neighbours]:
        """Return the candidates of each query by its `id()`, one call of the engine per filter."""
        import numpy as np

        # By their text, because filters on True and on 1 are equal to Python.
        alike: dict[tuple[str, int, bool], list[Asked]] = {}
        for each in looking:
            key = repr(each.query.where), self.at_most(each.depth), each.query.exact
            alike.setdefault(key, []).append(each)
        found: dict[int, Neighbours] = {}
        for (_, depth, exact), members in alike.items():
            directions = [one.direction(backgrounds) for each in members for one in each.each]
            where = members[0].query.where
            neighbours = iter(self._near(np.stack(directions), depth, where, exact))
            for each in members:
                found[id(each)] = ranking.merged([next(neighbours) for _ in each.each])
        return found

    def _near(self, rows: Vectors, k: int, where: Filter | None, exact: bool) -> list[Neighbours]:
        how = {"exact": True} if exact else {}  # engines of others need not know it
        return self.engine.nearest(rows, k, where, **how)

    def _answer_of(
        self, asked: Asked, nearest: dict[int, Neighbours], backgrounds: Backgrounds | None
    ) -> Results:
        if self.engine.space is None:
            return Results((), asked.query, {}, "")
        if asked.query.group_by:
            from pixseek.search import grouping  # few searches come to this

            return grouping.page(self, asked, backgrounds if asked.query.terms else None)
        if backgrounds is None or not asked.query.terms:
            return self._browse(asked.query)
        return self._answer(asked, nearest[id(asked)], backgrounds)

    def _answer(self, asked: Asked, nearest: Neighbours, backgrounds: Backgrounds) -> Results:
        """Rank the candidates of one query, fetching more until its page is full."""
        import numpy as np

        query, depth = asked.query, self.at_most(asked.depth)
        rank = self.ranking(asked, nearest.total, backgrounds)
        while True:
            candidates = self.candidates(asked, nearest, rank.written, backgrounds)
            if depth <= len(nearest.ids) < nearest.total:
                candidates = candidates.in_whole_blocks()
            ranked = rank(candidates, self._sorted)
            if query.sort != "relevance" and not ranked.is_all and depth < nearest.total:
                from pixseek.search import layout  # few searches come to this

                return layout.page(self, asked, backgrounds)
            enough = ranked.is_all or len(ranked.order) >= query.offset + query.k
            deeper = self.at_most(4 * depth)
            if enough or len(nearest.ids) < depth or deeper == depth:
                break
            depth = deeper
            directions = np.stack([each.direction(backgrounds) for each in asked.each])
            nearest = ranking.merged(self._near(directions, depth, query.where, query.exact))
        warnings: tuple[str, ...] = ()
        most = self.engine.capabilities.max_k
        if not enough and most == depth < min(query.offset + query.k, nearest.total):
            warnings = (
                f"This library's engine ranks at most {most:,} images a search; there may be more. "
                "Narrow it by a filter.",
            )
        if query.moments:
            from pixseek.search import moments  # few searches come to this

            shown = moments.page(self.engine, rank, ranked, query)
            page = shown.order
        else:
            shown, page = ranked, ranked.order[query.offset : query.offset + query.k]
        records = self.engine.get([shown.ids[at] for at in page])
        hits = self.hits_of(rank, shown, page, records, query.offset + 1, shown.vectors[page])
        return ranked.results(hits, query, nearest, warnings)

    def hits_of(
        self,
        ranking: ordering.Ranking,
        ranked: ordering.Ranked,
        places: Sequence[int],
        records: Sequence[Record | None],
        first: int,
        vectors: Vectors,
    ) -> list[Hit]:
        """Return candidates as hits, without those that were deleted since.

        Args:
            ranking: has ranked the candidates.
            ranked: these.
            places: of the hits among them.
            records: of each hit; None if it was deleted.
            first: rank of the first hit: 1 for the best, 0 for one that is not listed.
            vectors: of the part of each hit, (n, dim).
        """
        judge = why.Judge(ranking.asked, ranking.backgrounds, ranking.written, vectors)
        likely = ranked.probabilities
        further: Mapping[int, tuple[Moment, ...]] = {}
        if not ranking.asked.query.moments and any(each and each.shots for each in records):
            from pixseek.search import moments

            further = moments.further(self.engine, ranking, ranked, places, records)
        return [
            Hit(
                first + place,
                record,
                record.parts[ranked.parts[at]] if record.parts else WHOLE,
                float(ranked.scores[at]),
                self.locate(record),
                ranked.strengths[at],
                None if likely is None else float(likely[at]),
                judge.reasons(place, record, ranked.strengths[at]),
                tuple(ranked.ids[i] for i in ranked.duplicates.get(at, ())),
                ranked.excluded_by.get(at, ""),
                further.get(at, ()),
            )
            for place, (at, record) in enumerate(zip(places, records, strict=True))
            if record is not None
        ]

    def ranking(self, asked: Asked, total: int, backgrounds: Backgrounds) -> ordering.Ranking:
        """Return what ranks candidates of a query.

        Args:
            asked: the query.
            total: how many images were searched.
            backgrounds: of the library.
        """
        query = asked.query
        said = best_of(
            [
                written(self.engine, each.query, total, backgrounds.calibration, self.reads_text)
                for each in asked.each
            ]
        )
        exclusions = [
            excluding.exclusion(term, vector, asked, backgrounds, self.engine)
            for term, vector in zip(query.exclude, asked.vectors[len(query.terms) :], strict=True)
        ]
        are_one = functools.partial(ordering.are_one, self.engine)
        return ordering.Ranking(asked, total, backgrounds, said, exclusions, are_one)

    def _sorted(self, order: list[int], ids: Sequence[str], sort: Sort) -> list[int]:
        """Return positions by a field of their records; those without it come last."""
        field, descending = SORTED_BY[sort]
        records = self.engine.get([ids[at] for at in order])
        values = [None if each is None else ordering.sort_value(each, field) for each in records]
        return ordering.sorted_by(order, ids, values, descending=descending)

    # -------------------------------------------------------------- texts of images

    def candidates(
        self,
        asked: Asked,
        nearest: Neighbours,
        written: Iterable[str],
        backgrounds: Backgrounds,
    ) -> ordering.Candidates:
        """Return the candidates together with those found by their words.

        Those not among the first come before all others, to be among the first hits at any depth.

        Args:
            asked: the query.
            nearest: as the engine found them, perhaps without their vectors.
            written: ids of images that are found by their words.
            backgrounds: of the library.
        """
        import numpy as np

        ids, vectors, parts = list(nearest.ids), nearest.vectors, list(nearest.parts)
        cosines = nearest.scores if asked.is_one else None
        first = set(ids[:FEW])
        more = [each for each in written if each not in first]
        rows = self.engine.vectors(more) if more else []
        dim = len(asked.vectors[0])
        directions = np.stack([each.direction(backgrounds) for each in asked.each])
        there: list[tuple[str, Vectors, int]] = []
        for each, row in zip(more, rows, strict=True):
            if row is None:
                continue
            if not len(row):
                # An image without vectors resembles nothing; only its words find it.
                there.append((each, np.zeros(dim, np.float32), 0))
                continue
            best = int(np.argmax((row @ directions.T).max(axis=1)))
            there.append((each, row[best], best))
        if not there:
            return ordering.Candidates(ids, parts, vectors, cosines)
        moved = {each for each, *_ in there}
        kept = [at for at, each in enumerate(ids) if each not in moved]
        if len(kept) < len(ids):
            ids, parts = [ids[at] for at in kept], [parts[at] for at in kept]
            vectors = vectors[kept] if len(vectors) else vectors
            cosines = None if cosines is None else cosines[kept]
        own = np.stack([row for _, row, _ in there])
        if cosines is not None:
            scored = own.astype(np.float64) @ directions[0].astype(np.float64)
            cosines = np.concatenate([scored.astype(np.float32), cosines])
        if len(vectors) or not ids:
            vectors = np.concatenate([own, vectors])
        return ordering.Candidates(
            [*(each for each, *_ in there), *ids],
            [*(part for *_, part in there), *parts],
            vectors,
            cosines,
        )

    # -------------------------------------------------------------- without a query

    def _browse(self, query: Query) -> Results:
        """Return the images that a filter lets through, in the order of the query."""
        field, down = SORTED_BY[query.sort]
        records = self.engine.select(
            query.where, order=field, descending=down, k=query.k, offset=query.offset
        )
        hits = tuple(map(self.unranked_hit, itertools.count(query.offset + 1), records))
        return unranked(query, self.engine.count(query.where), hits)

    def unranked_hit(self, rank: int, record: Record) -> Hit:
        """Return a hit of a query that looks for nothing."""
        return Hit(rank, record, (*record.parts, WHOLE)[0], 0.0, self.locate(record))


def unranked(query: Query, total: int, hits: tuple[Hit, ...] = ()) -> Results:
    """Return some of the images that a filter lets through, of so many, as results."""
    reach = Reach(True, total)
    return Results(hits, query, {}, "", (), total, total, total, total, search=reach)
