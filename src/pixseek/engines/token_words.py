"""Searches by words in vector databases: BM25 by sparse vectors, and tokens that words must have.

A text is a sparse vector of its terms, each with the weight that BM25 gives it there; a query is
one of its terms with their rarity. Their product is the score, so any database with sparse vectors
ranks by BM25. Terms are English stems (`stems`), and pairs of neighbours, so that phrases,
into which texts without spaces are cut, are found as such. A phrase of three is what has both of
its pairs; `held_by` looks at the text itself.
"""

from __future__ import annotations

import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

from pixseek.engines.stems import stemmed
from pixseek.engines.words import alternatives
from pixseek.types import WordMatch, WordMatches
from pixseek.types.dataclass import dataclass

#: How much more a word counts in captions, tags and titles than elsewhere.
_STRONG = 2.0
#: BM25: how soon more of the same word stops counting, and how much less in a longer text.
_K1, _B = 1.2, 0.75
#: Words of a usual text. That of the library is not known to a client that writes.
_USUAL = 25.0

#: Hits that are asked for beyond k, to see whether more tie with the last one.
_SPARE = 16

#: A term that no text has; databases take numbers below it and this one.
NONE = 2**32 - 2

#: Weights by term, which is a number of 32 bits.
Sparse = dict[int, float]
#: A record that was found: its id, its score, and both texts as stems.
Hit = tuple[str, float, Sequence[str]]
#: See `found`.
Search = Callable[[Sparse, bool, int], Sequence[Hit]]
#: One condition a word: one of some lists of terms, of which a text must have all.
Wanted = list[list[list[str]]]


def terms(stems: str) -> list[str]:
    """Return the terms of a text of stems, each once: the stems, and pairs of neighbours."""
    each = stems.split()
    return list(dict.fromkeys([*each, *map(" ".join, pairwise(each))]))


def weights(strong: str, weak: str) -> Sparse:
    """Return the weight of each term of a record's texts, as stems."""
    counts: defaultdict[str, float] = defaultdict(float)
    length = 0
    for text, boost in ((strong, _STRONG), (weak, 1.0)):
        each = text.split()
        length += len(each)
        for term in (*each, *map(" ".join, pairwise(each))):
            counts[term] += boost
    room = _K1 * (1 - _B + _B * length / _USUAL)
    found: Sparse = {}
    for term, count in counts.items():
        at = _number(term)
        found[at] = found.get(at, 0.0) + count * (_K1 + 1) / (count + room)
    return found


def _number(term: str) -> int:
    return zlib.crc32(term.encode()) % NONE


@dataclass(frozen=True, slots=True)
class Look:
    """Words that are looked for.

    Attributes:
        words: as they were given.
        phrases: of each word its alternatives, as stems.
        wanted: of each word the terms that a text must have.
    """

    words: tuple[str, ...]
    phrases: list[list[str]]
    wanted: Wanted

    def vector(self, counts: Sequence[int], records: int) -> Sparse:
        """Return the query: the terms of words, rarer ones with a greater weight.

        Args:
            counts: how many records have each word.
            records: how many there are.
        """
        found: Sparse = {}
        for some, count in zip(self.wanted, counts, strict=True):
            for each in some:
                for term in each:
                    at = _number(term)
                    found[at] = max(found.get(at, 0.0), _rarity(count, records) / len(each))
        return found

    def held_by(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Return which words some texts of stems hold."""
        padded = [f" {text} " for text in texts]
        return tuple(
            n
            for n, some in enumerate(self.phrases)
            if any(f" {phrase} " in text for phrase in some for text in padded)
        )


def look_for(words: Sequence[str]) -> Look:
    """Return what is looked for, for words as of `Store.find_words`."""
    several = [alternatives(word) for word in words]
    texts = iter(stemmed([phrase for some in several for phrase in some]))
    phrases = [[next(texts) for _ in some] for some in several]
    wanted = [[_needed(phrase) for phrase in some] for some in phrases]
    return Look(tuple(words), phrases, wanted)


def _needed(phrase: str) -> list[str]:
    each = phrase.split()
    return each if len(each) == 1 else list(dict.fromkeys(map(" ".join, pairwise(each))))


def _rarity(count: int, records: int) -> float:
    records = max(records, count)
    return math.log(1 + (records - count + 0.5) / (count + 0.5))


def found(
    look: Look,
    k: int,
    counts: Sequence[int],
    records: int,
    complete: int,
    search: Search,
    most: int | None = None,
) -> WordMatches:
    """Return the k records whose texts fit best.

    A share is the score divided by the best one of a record that holds all words; if there is none,
    by what the best one would have with the words that it lacks, by their rarity.

    Args:
        look: the words.
        k: how many at most.
        counts: how many records have each of the words.
        records: how many there are.
        complete: how many of those that fulfil the filter have all of the words.
        search: returns the best, given the query, whether of those that have all words or of those
            that lack some, and how many at most.
        most: how many hits the database returns at most; None for no limit.
    """
    query = look.vector(counts, records)
    hits = _best(search, query, True, k, most) if complete else []
    whole = len(hits)
    if whole < k:
        hits += _best(search, query, False, k, most)
    matches: dict[str, tuple[bool, float, tuple[int, ...], bool]] = {}
    for n, (id_, score, texts) in enumerate(hits):
        held = look.held_by(texts)
        all_held = len(held) == len(look.words)
        complete -= n < whole and not all_held  # a phrase whose pairs are apart
        if held:
            stated = all_held and len(look.held_by(texts[:1])) == len(look.words)
            matches[id_] = all_held, score, held, stated
    ranked = sorted(matches.items(), key=lambda each: (not each[1][0], -each[1][1], each[0]))[:k]
    best = max((score for _, (_, score, _, _) in ranked), default=1.0)
    if ranked and not ranked[0][1][0]:
        rarities = [_rarity(count, records) for count in counts]
        best *= sum(rarities) / sum(rarities[n] for n in ranked[0][1][2])
    return WordMatches(
        tuple(
            WordMatch(id_, min(1.0, max(score / best, 1e-9)), all_held, held, stated)
            for id_, (all_held, score, held, stated) in ranked
        ),
        complete,
        look.words,
        tuple(counts),
        records,
    )


def _best(search: Search, query: Sparse, whole: bool, k: int, most: int | None) -> list[Hit]:
    """Return the best k, and all that tie with the last one: a database cuts ties anywhere."""
    limit = k + _SPARE
    while True:
        limit = limit if most is None else min(limit, most)
        hits = list(search(query, whole, limit))
        if len(hits) < limit or limit == most or hits[-1][1] < hits[k - 1][1]:
            return hits
        limit *= 4


def stems_of(texts: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return the strong and the weak text of records as stems."""
    flat = iter(stemmed([text for pair in texts for text in pair]))
    return [[next(flat), next(flat)] for _ in texts]
