"""How `DocumentEngine` reads a store: what the store can't express is checked here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek import filters
from pixseek.engines import columns, rules
from pixseek.engines.rules import Answer
from pixseek.engines.store import (
    Choosing,
    Counting,
    Document,
    Reaching,
    Refreshing,
    Row,
    Store,
    Widening,
    split,
)
from pixseek.types import (
    And,
    Compare,
    FacetField,
    Filter,
    Not,
    Order,
    Reach,
    Record,
    Space,
    WordMatches,
)

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Documents that are read or copied in one call.
PAGE = 1_000
#: At most this many matches of a filter that the store can't express are scored one by one.
FEW = 1_000
#: Documents that hold a word and are checked against such a filter: a common word is in many.
MOST_WORDS = 20_000
#: Rows that are asked for beyond k, to see whether more tie with the last one.
_SPARE = 16
#: Parts of one record in an answer, on average, from which they crowd out others; how many records
#: a condition leaves out at most, and how often a search goes on without them.
_CROWD, _LEFT_OUT, _ROUNDS = 4, 1_000, 12

#: What records are ordered by if the store can't.
_SORTED_BY: dict[Order, Callable[[Record], Any]] = {
    "uri": lambda record: record.uri,
    "name": lambda record: record.name,
    "taken_at": lambda record: record.taken_at and record.taken_at.replace(tzinfo=None),
    "mtime": lambda record: record.stamp and record.stamp.mtime_ns,
    "size": lambda record: record.stamp and record.stamp.size,
}


class Reader:
    """Reads the collections of a store, with any filter, and any k."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._most = store.capabilities.max_k
        self._seen: object = None  # the mark of the last refresh

    def _split(self, where: Filter | None) -> tuple[Filter | None, Filter | None]:
        if isinstance(self._store, Widening):
            return split(where, self._store.supports, self._store.wider)
        return split(where, self._store.supports)

    def refresh(self) -> None:
        """Let conditions and searches see every write, whoever made it."""
        if isinstance(self._store, Refreshing):
            mark = self._store.written()
            if mark != self._seen:
                self._store.refresh()
                self._seen = mark

    # -------------------------------------------------------------- by id

    def fetch(self, space: Space, ids: Sequence[str], *, vectors: bool) -> list[Document | None]:
        """Return the documents of distinct ids, in order; None for those that are not there."""
        return [
            each
            for at in range(0, len(ids), PAGE)
            for each in self._store.fetch(space, ids[at : at + PAGE], vectors=vectors)
        ]

    def there(self, space: Space, ids: Iterable[str], *, vectors: bool) -> dict[str, Document]:
        """Return those of some documents that are stored, by id, in order."""
        wanted = [each for each in dict.fromkeys(ids) if columns.is_storable(each)]
        found = zip(wanted, self.fetch(space, wanted, vectors=vectors), strict=True)
        return {id_: each for id_, each in found if each is not None}

    # -------------------------------------------------------------- by condition

    def pages(
        self,
        space: Space,
        where: Filter | None,
        *,
        after: str = "",
        limit: int | None = None,
        vectors: bool = False,
        bare: bool = False,
    ) -> Iterator[list[Document]]:
        """Yield the documents that fulfil a filter, by id, in pages; some may be empty."""
        limit = limit or PAGE
        native, rest = self._split(where)
        self.refresh()
        while True:
            page = self._store.scan(
                space, native, after=after, limit=limit, vectors=vectors, bare=bare
            )
            yield [each for each in page if rest is None or filters.matches(rest, each.record)]
            if len(page) < limit:
                return
            after = page[-1].record.id

    def page(self, space: Space, k: int, after: str) -> tuple[list[Record], Vectors]:
        """Return the first k records behind an id, with their vectors."""
        found = next(self.pages(space, None, vectors=True, limit=k, after=after))
        rows = [np.empty((0, space.dim), np.float32), *(each.vectors for each in found)]
        return [each.record for each in found], np.concatenate(rows)

    def count(self, space: Space, where: Filter | None = None) -> int:
        """Return how many documents fulfil a filter."""
        native, rest = self._split(where)
        if rest is not None:
            return sum(len(page) for page in self.pages(space, where))
        self.refresh()
        return self._store.count(space, native)

    def with_vectors(self, space: Space, native: Filter | None) -> int:
        """Return how many documents with vectors fulfil a condition that the store expresses."""
        self.refresh()
        return self._store.count(space, native) - self._store.count(space, native, bare=True)

    def select(
        self,
        space: Space,
        where: Filter | None,
        order: Order,
        descending: bool,
        k: int,
        offset: int,
    ) -> list[Record]:
        """Return k records behind the first `offset`, in an order; see `Engine.select`."""
        if order == "taken_at":
            return self._by_date(space, where, descending, k, offset)
        return self._sorted(space, where, order, descending, k, offset)

    def _by_date(
        self, space: Space, where: Filter | None, descending: bool, k: int, offset: int
    ) -> list[Record]:
        """Return records by their dates, and behind them those without one by the file's time."""
        dated: Filter = Compare("taken_at", "exists")
        undated: Filter = Not(dated)
        if where is not None:
            dated, undated = And((where, dated)), And((where, undated))
        found = self._sorted(space, dated, "taken_at", descending, k, offset)
        if len(found) < k:
            before = max(0, offset - self.count(space, dated))
            found += self._sorted(space, undated, "mtime", descending, k - len(found), before)
        return found

    def _sorted(
        self,
        space: Space,
        where: Filter | None,
        order: Order,
        descending: bool,
        k: int,
        offset: int,
    ) -> list[Record]:
        native, rest = self._split(where)
        if rest is None and order in self._store.orders:
            self.refresh()
            found = self._store.browse(space, native, order, descending, k, offset)
            return [each.record for each in found]
        keyed = [
            (_SORTED_BY[order](each.record), each.record.id)
            for page in self.pages(space, where)
            for each in page
        ]
        keyed.sort(key=lambda each: each[1])  # a store that is `Placing` scans in another order
        valued = [each for each in keyed if each[0] is not None]
        valued.sort(key=lambda each: each[0], reverse=descending)  # ties stay in order of ids
        ids = [id_ for _, id_ in valued] + [id_ for value, id_ in keyed if value is None]
        some = self.there(space, ids[offset : offset + k], vectors=False)
        return [each.record for each in some.values()]

    def facets(
        self, space: Space, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]] | None:
        """Return the counts of some fields; None if the store can't count them."""
        native, rest = self._split(where)
        if rest is not None or not isinstance(self._store, Counting):
            return None
        self.refresh()
        return self._store.facets(space, native, fields, most)

    # -------------------------------------------------------------- search

    def nearest(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None, *, exact: bool
    ) -> tuple[list[list[Answer]], Vectors, int, Reach]:
        """Return the k nearest records of each query, how many were searched, and how far.

        Returns:
            The answers, best first; their vectors, (n, dim) float32, of which `Answer.key` is the
            row; how many records with vectors fulfil the filter; and how far the store looked.
        """
        native, rest = self._split(where)
        few: list[str] | None = None
        read: dict[tuple[str, int], Vectors] = {}
        if rest is None:
            total = self.with_vectors(space, native)
        else:
            total, few = self._few(space, where)
        reach = Reach(True, total)
        if few is not None:
            documents = self.there(space, few, vectors=True)
            found = _scored(vectors, k, [list(documents.values())])
        elif exact and not (self._store.capabilities.exact or isinstance(self._store, Reaching)):
            found = _scored(vectors, k, self.pages(space, where, vectors=True))
        else:
            near = self._store.nearest
            if exact and isinstance(self._store, Reaching):
                near = self._store.nearest_exactly
            found, limit = self._widened(near, space, vectors, k, native, rest, read)
            if not exact:
                reach = self._reach(space, limit, native, total)
            short = [n for n, each in enumerate(found) if len(each) < min(k, total)]
            if short:
                whole = _scored(vectors[short], k, self.pages(space, where, vectors=True))
                for n, each in zip(short, whole, strict=True):
                    found[n] = each
        return *self._with_rows(space, found, read), total, reach

    def _reach(self, space: Space, k: int, native: Filter | None, total: int) -> Reach:
        """Return how far the store looks for the k nearest."""
        if self._store.capabilities.exact:
            return Reach(True, total)
        if not isinstance(self._store, Choosing):
            return Reach(False)
        breadth = self._store.reach(space, k, native)
        return Reach(True, total) if breadth is None else Reach(False, breadth)

    def _few(self, space: Space, where: Filter | None) -> tuple[int, list[str] | None]:
        """Return how many documents with vectors fulfil a filter, and their ids if they are few."""
        total, few = 0, list[str]()
        for page in self.pages(space, where):
            ids = [each.record.id for each in page if each.record.parts]
            total += len(ids)
            few += ids[: max(0, FEW - len(few))]
        return total, few if total == len(few) else None

    def _widened(
        self,
        near: Callable[[Space, Vectors, int, Filter | None], list[list[Row]]],
        space: Space,
        vectors: Vectors,
        k: int,
        native: Filter | None,
        rest: Filter | None,
        read: dict[tuple[str, int], Vectors],
    ) -> tuple[list[list[Answer]], int]:
        """Return the k nearest records of each query that the store finds; fewer, if it ends.

        Records of many parts near to a query take the places of others: a video of an hour has
        thousands. Once they crowd the answers, the search goes on without them, which costs one
        more request and not a wider one.

        Also how many rows the store was asked for in the end. Vectors that come with them are put
        into `read`, by record and part.
        """
        seen: list[list[Answer]] = [[] for _ in vectors]  # of each query, whatever `rest` says
        found: list[list[Answer]] = [[] for _ in vectors]
        fitting: dict[str, bool] = {}
        asked = self._at_most(k + _SPARE)
        looks = [(list(range(len(vectors))), native, asked)] if k and len(vectors) else []
        for round_ in itertools.count():
            if not looks:
                break
            wider: list[int] = []
            alone: list[tuple[list[int], Filter | None, int]] = []
            for some, condition, limit in looks:
                asked = max(asked, limit)
                for n, rows in zip(some, near(space, vectors[some], limit, condition), strict=True):
                    read |= {(r.id, r.part): r.vector for r in rows if r.vector is not None}
                    answers = [Answer(row.score, row.id, row.part, 0) for row in rows]
                    new = len({row.id for row in rows})
                    ranked = rules.best_of_each([*seen[n], *answers], len(seen[n]) + len(rows))
                    seen[n] = ranked
                    if rest is not None:
                        self._check(space, rest, (each.id for each in ranked), fitting)
                        ranked = [each for each in ranked if fitting[each.id]]
                    found[n] = ranked[:k]
                    # Enough if there are k, and nothing beyond the last row can tie with them.
                    enough = len(ranked) >= k and rows[-1].score < ranked[k - 1].score
                    if enough or len(rows) < limit:
                        continue
                    without = self._without(native, seen[n]) if len(rows) >= _CROWD * new else None
                    if without is not None and round_ < _ROUNDS:
                        alone.append(([n], without, limit))
                    elif limit != self._most:
                        wider.append(n)
            widest = self._at_most(asked * 4)
            looks = [*alone, *([(wider, native, widest)] if wider else [])]
        return found, asked

    def _at_most(self, limit: int) -> int:
        return limit if self._most is None else min(limit, self._most)

    def _without(self, native: Filter | None, known: Sequence[Answer]) -> Filter | None:
        """Return a condition that leaves out some records; None if the store can't express it."""
        if len(known) > _LEFT_OUT:
            return None
        others = Not(Compare("id", "in", tuple(each.id for each in known)))
        condition, rest = self._split(others if native is None else And((native, others)))
        return condition if rest is None else None

    def _check(
        self, space: Space, rest: Filter, ids: Iterable[str], fitting: dict[str, bool]
    ) -> None:
        """Note in `fitting` which records fulfil the rest of a filter."""
        new = [each for each in ids if each not in fitting]
        fitting |= dict.fromkeys(new, False)
        for id_, each in self.there(space, new, vectors=False).items():
            fitting[id_] = filters.matches(rest, each.record)

    def _with_rows(
        self, space: Space, found: list[list[Answer]], read: dict[tuple[str, int], Vectors]
    ) -> tuple[list[list[Answer]], Vectors]:
        """Return answers with their vectors, without what was deleted meanwhile.

        Vectors in `read` are not fetched again.
        """
        ids = {a.id for each in found for a in each if (a.id, a.part) not in read}
        documents = self.there(space, ids, vectors=True)
        rows: list[Vectors] = []
        there: list[list[Answer]] = []
        for each in found:
            there.append([])
            for answer in each:
                vector = read.get((answer.id, answer.part))
                document = documents.get(answer.id)
                if document is not None and answer.part < len(document.vectors):
                    vector = document.vectors[answer.part]
                if vector is not None:
                    score = min(1.0, max(-1.0, answer.score))
                    there[-1].append(answer._replace(score=score, key=len(rows)))
                    rows.append(vector)
        return there, np.array(rows, np.float32).reshape(-1, space.dim)

    def find_words(
        self, space: Space, words: Sequence[str], k: int, where: Filter | None, *, counted: bool
    ) -> WordMatches:
        """Return the k records whose texts fit best, and how many have all of the words.

        If the store can't express the filter, those are counted among the best `MOST_WORDS`; or
        estimated from fewer, if they are not to be counted.
        """
        if self._store.capabilities.text_search == "none":
            return WordMatches()
        self.refresh()
        native, rest = self._split(where)
        many = max(k, MOST_WORDS)
        most = many if self._most is None else min(many, self._most)
        if rest is None:
            return _told(self._store.find_words(space, words, min(k, most), native), words)
        fitting: dict[str, bool] = {}
        limit = most if counted else min(k + _SPARE, most)
        while True:
            found = _told(self._store.find_words(space, words, limit, native), words)
            self._check(space, rest, (each.id for each in found.matches), fitting)
            matches = [each for each in found.matches if fitting[each.id]]
            if len(matches) >= k or len(found.matches) < limit or limit == most:
                break
            limit = min(limit * 4, most)
        complete = sum(each.complete for each in matches)
        checked = sum(each.complete for each in found.matches)
        if not counted and checked:  # as many of the others fulfil the filter
            complete = max(complete, round(complete * found.complete / checked))
        return replace(found, matches=tuple(matches[:k]), complete=complete)


def _told(found: WordMatches, words: Sequence[str]) -> WordMatches:
    """Return what a store found, with the words, and those that complete matches hold."""
    everything = tuple(range(len(words)))
    return replace(
        found,
        words=tuple(words),
        matches=tuple(
            each._replace(held=everything) if each.complete and not each.held else each
            for each in found.matches
        ),
    )


def _scored(vectors: Vectors, k: int, pages: Iterable[Sequence[Document]]) -> list[list[Answer]]:
    """Return the k nearest of some documents to each query, best first, ties by id."""
    best: list[list[Answer]] = [[] for _ in vectors]
    for page in pages:
        owners = [(d.record.id, part) for d in page for part in range(len(d.vectors))]
        if not owners:
            continue
        rows = np.concatenate([d.vectors for d in page]).astype(np.float64)
        for n, query in enumerate(vectors):
            # Not by a matrix product, in which equal rows may differ in their last bits.
            scores = (rows * query).sum(axis=1).tolist()
            answers = (
                Answer(score, id_, part, 0)
                for score, (id_, part) in zip(scores, owners, strict=True)
            )
            best[n] = rules.best_of_each([*best[n], *answers], k)
    return best
