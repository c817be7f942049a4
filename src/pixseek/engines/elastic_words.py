"""Searches by words in Elasticsearch and its kin: what is asked, and what the answers say.

Words are stemmed by pixseek (`stems`) and ranked by the server's BM25. Records that hold all words
are found by one search, those that hold some by another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from pixseek.engines.elastic_dialects import Query
from pixseek.engines.elastic_fields import BARE, source_of
from pixseek.engines.stems import stemmed
from pixseek.engines.words import alternatives
from pixseek.types import WordMatch, WordMatches

#: How much more a word counts in captions, tags and titles than elsewhere.
_STRONG = 2.0


def asked(words: Sequence[str], k: int, condition: Query | None) -> list[Query]:
    """Return the searches that find the best k records; their scores must count all shards.

    Args:
        words: as of `Store.find_words`.
        k: how many at most.
        condition: which records; None for all.
    """
    phrases = [alternatives(word) for word in words]
    texts = iter(stemmed([phrase for some in phrases for phrase in some]))
    stems = [[next(texts) for _ in some] for some in phrases]
    anywhere = [_any_of(some, ("strong", "weak"), str(n)) for n, some in enumerate(stems)]
    stated = [_any_of(some, ("strong",)) for some in stems]
    conditions = [] if condition is None else [condition]
    every = {
        "must": anywhere,
        "filter": conditions,
        "should": [{"bool": {"filter": stated, "boost": 0, "_name": "stated"}}],
    }
    some = {
        "should": anywhere,
        "minimum_should_match": 1,
        "filter": conditions,
        "must_not": [{"bool": {"filter": anywhere}}],
    }
    ranked = {"size": k, "sort": [{"_score": "desc"}, {"key": "asc"}], "_source": ["record.id"]}
    return [
        {"query": {"bool": every}, **ranked, "track_total_hits": True},
        {"query": {"bool": some}, **ranked, "track_total_hits": False},
        *map(counting, anywhere),
        counting({"match_all": {}}),
    ]


def counting(query: Query) -> Query:
    """Return the search that counts what fits a query."""
    return {"query": query, "size": 0, "track_total_hits": True}


def total(answer: Any) -> int:
    """Return how many documents fit a query."""
    return int(answer["hits"]["total"]["value"])


class Counted(NamedTuple):
    """How many documents fit a query, those of them without vectors, and all their vectors."""

    documents: int
    bare: int
    vectors: int

    @staticmethod
    def asked(query: Query) -> Query:
        """Return the search that counts them."""
        more = {"bare": {"filter": BARE}, "vectors": {"sum": {"field": "parts"}}}
        return {**counting(query), "aggs": more}

    @classmethod
    def told(cls, answer: Any) -> Self:
        """Return what its answer says."""
        found = answer.get("aggregations")
        if not found:  # no shard has a document
            return cls(total(answer), 0, 0)
        return cls(total(answer), found["bare"]["doc_count"], int(found["vectors"]["value"]))


def told(words: Sequence[str], k: int, answers: Sequence[Any]) -> WordMatches:
    """Return what the answers to `asked` say.

    A share is the score divided by the best one of a document that holds all words; if there is
    none, by what the best one would have with the words that it lacks, by their rarity.
    """
    every, some, *counted = answers
    *counts, records = map(total, counted)
    weights = [math.log(1 + (records - n + 0.5) / (n + 0.5)) for n in counts]
    hits = [(True, hit) for hit in every["hits"]["hits"]]
    hits += [(False, hit) for hit in some["hits"]["hits"]]
    hits = hits[:k]
    best = max((hit["sort"][0] for _, hit in hits), default=1.0)
    if hits and not hits[0][0]:
        best *= sum(weights) / sum(weights[n] for n in _held(hits[0][1]))
    matches = tuple(
        WordMatch(
            source_of(hit)["record"]["id"],
            min(1.0, max(hit["sort"][0] / best, 1e-9)),
            whole,
            _held(hit),
            whole and "stated" in hit["matched_queries"],
        )
        for whole, hit in hits
    )
    return WordMatches(matches, total(every), tuple(words), tuple(counts), records)


def _held(hit: Any) -> tuple[int, ...]:
    return tuple(sorted(int(n) for n in hit["matched_queries"] if n != "stated"))


def _any_of(phrases: Sequence[str], names: Sequence[str], called: str = "") -> Query:
    """Return the query for a word: one of its phrases in one of some fields."""
    some = [
        {"match_phrase": {name: {"query": phrase, "boost": _STRONG if name == "strong" else 1.0}}}
        for phrase in phrases
        for name in names
    ]
    found: Query = {"should": some, "minimum_should_match": 1}
    return {"bool": found | ({"_name": called} if called else {})}
