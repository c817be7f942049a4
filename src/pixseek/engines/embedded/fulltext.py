"""Search by words in the embedded engine: SQLite's FTS5, ranked by BM25.

The index has no copy of the texts (`content=''`), which saves 60 bytes a record: a record's texts
follow from its columns (`columns.texts`), also when they are removed from the index. Words are
stemmed by Porter's rules for English: captions are mostly English, and "dogs" must find "dog". In
other languages this only cuts a few endings, in the index and in the query alike.
"""

from __future__ import annotations

import bisect
import itertools
import math
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixseek.engines import columns
from pixseek.engines.embedded.reading import LISTED, chunks
from pixseek.engines.words import alternatives
from pixseek.types import Record, WordMatch, WordMatches

#: The table of words. It has the version of what it holds in its name: an older pixseek that has
#: the library open can't put in what it takes for a record's words.
WORDS = f"words_{columns.INDEXED}"
TABLE = f"""
CREATE VIRTUAL TABLE {WORDS} USING fts5(
    {", ".join(columns.Texts._fields)}, content='',
    tokenize="porter unicode61 categories 'L* N* M*'"
)
"""
_NAMES = ", ".join(columns.Texts._fields)
_PLACES = "?, " * len(columns.Texts._fields) + "?"
#: The weight of a word in captions, tags and titles; elsewhere it is 1.
STRONG = 2.0
#: Most records that are scored: a score takes 1 us, and a common word is in some hundred thousand
#: of a million captions.
MOST_SCORED = 20_000
#: Words that a larger share of all records hold are left out of queries that have rarer ones.
COMMON = 0.2

#: BM25 as FTS5 has it.
_K1 = 1.2
_LEAST_WEIGHT = 1e-6
#: CROSS, so that SQLite looks at the words first.
_RECORD = f"CROSS JOIN record ON record.number = {WORDS}.rowid"
_SCORED = np.dtype([("number", np.int64), ("score", np.float64)])


def add(db: sqlite3.Connection, numbered: Iterable[tuple[int, Record]]) -> None:
    """Index records that are not indexed yet."""
    db.executemany(
        f"INSERT INTO {WORDS} (rowid, {_NAMES}) VALUES ({_PLACES})",
        ((number, *columns.texts(record)) for number, record in numbered),
    )


def remove(db: sqlite3.Connection, numbered: Iterable[tuple[int, Record]]) -> None:
    """Remove records from the index; they must be as they were indexed."""
    db.executemany(
        f"INSERT INTO {WORDS} ({WORDS}, rowid, {_NAMES}) VALUES ('delete', {_PLACES})",
        ((number, *columns.texts(record)) for number, record in numbered),
    )


class _Found(NamedTuple):
    """Records that hold some of the words, by ascending number.

    Attributes:
        numbers: (n,) int64.
        scores: (n,) float64, their BM25.
        held: (words, n), whether each record holds each word.
        last: number of the last record up to which those that hold all words were looked for; None
            if all of them were found.
    """

    numbers: NDArray[np.int64]
    scores: NDArray[np.float64]
    held: NDArray[np.bool_]
    last: int | None


def search(
    db: sqlite3.Connection,
    records: int,
    words: Sequence[str],
    k: int,
    condition: str,
    parameters: list[Any],
    *,
    counted: bool,
) -> WordMatches:
    """Return the best k records, and how many have all words.

    A share is BM25 divided by that of a text of average length that holds every word once, in its
    strong part; or by that of the best record that holds all words if that is less: if few records
    have a caption, the average is short, and a caption too long for it.

    Records that hold rare words are scored first, by all that they hold. If they are fewer than k
    and the other words are so common that scoring all their records would take long, only some of
    those are scored.

    Args:
        db: in the transaction of a snapshot.
        records: how many there are.
        words: one or more, distinct.
        k: at least 1.
        condition: on `record`, with its parameters.
        parameters: of the condition.
        counted: whether to count the records that have all words.
    """
    phrases = [_phrase(word) for word in words]
    counts = [
        int(
            db.execute(f"SELECT count(*) FROM {WORDS} WHERE {WORDS} MATCH ?", (each,)).fetchone()[0]
        )
        for each in phrases
    ]
    there = sorted((n for n, count in enumerate(counts) if count), key=counts.__getitem__)
    if not there:
        return WordMatches((), 0, tuple(words), tuple(counts), records)
    common = max(COMMON * records, MOST_SCORED)
    telling = [n for n in there if counts[n] <= common] or there
    found = _found(db, phrases, counts, telling, there, k, condition, parameters)

    absent = [n for n in range(len(words)) if not counts[n]]
    best = sum(_weight(counts[n], records) for n in (*telling, *absent))
    best *= STRONG * (_K1 + 1) / (STRONG + _K1)
    complete = np.zeros(len(found.numbers), np.bool_)
    if not absent:
        highest = found.scores[found.held[telling].all(axis=0)].max(initial=0.0)
        best = min(best, highest) if highest else best
        complete = np.all(found.held, axis=0)
    count = 0
    if not absent and (counted or (len(words) == 1 and condition == "1")):
        count = _count(db, phrases, counts, condition, parameters)
    elif not absent:
        count = _estimated(db, found, complete)

    chosen = np.arange(len(found.numbers))
    if len(chosen) > k:  # and all that tie with the last one, since the id decides
        last = np.lexsort((-found.scores, ~complete))[k - 1]
        as_good = (complete == complete[last]) & (found.scores >= found.scores[last])
        chosen = np.flatnonzero((complete > complete[last]) | as_good)
    shares = np.minimum(1.0, found.scores[chosen] / best).tolist()
    at_of = dict(zip(found.numbers[chosen].tolist(), range(len(chosen)), strict=True))
    whole = complete[chosen].tolist()
    best_first = sorted(
        (not whole[at], -shares[at], id_, at)
        for some in chunks(list(at_of))
        for number, id_ in db.execute(
            f"SELECT number, id FROM record WHERE number IN ({LISTED})", (some,)
        )
        for at in (at_of[number],)
    )[:k]
    held = np.packbits(found.held[:, chosen[[at for *_, at in best_first]]].T, axis=1)
    indices = {
        row: tuple(np.flatnonzero(np.unpackbits(np.frombuffer(row, np.uint8))).tolist())
        for row in set(map(bytes, held))
    }
    whole_of = np.sort([int(found.numbers[chosen[at]]) for part, *_, at in best_first if not part])
    strong = f"strong : ({' AND '.join(phrases)})"
    stated = set(whole_of[_holding(db, strong, whole_of)].tolist()) if len(whole_of) else set()
    matches = tuple(
        WordMatch(
            id_, -less, not part, indices[bytes(row)], int(found.numbers[chosen[at]]) in stated
        )
        for (part, less, id_, at), row in zip(best_first, held, strict=True)
    )
    return WordMatches(matches, count, tuple(words), tuple(counts), records)


def _found(
    db: sqlite3.Connection,
    phrases: Sequence[str],
    counts: Sequence[int],
    telling: list[int],
    there: list[int],
    k: int,
    condition: str,
    parameters: list[Any],
) -> _Found:
    """Return the records to choose from, scored by the telling words.

    Args:
        db: in the transaction of a snapshot.
        phrases: the words, as FTS5 takes them.
        counts: how many records hold each.
        telling: indices of the words that count, the rarest first.
        there: indices of all words that some record holds, the rarest first.
        k: how many records are wanted.
        condition: on `record`, with its parameters.
        parameters: of the condition.
    """
    together = list(itertools.accumulate(counts[n] for n in telling))
    split = max(1, bisect.bisect_right(together, MOST_SCORED))
    rare, rest = telling[:split], telling[split:]

    def scored(expression: str) -> NDArray[np.void]:
        return _scored(db, expression, condition, parameters)

    # Word by word, which says what each record holds; BM25 is the sum over the words.
    by_word = [scored(phrases[n]) for n in rare]
    numbers, scores = by_word[0]["number"], by_word[0]["score"]
    if len(by_word) > 1:
        numbers = np.unique(np.concatenate([each["number"] for each in by_word]))
        scores = np.zeros(len(numbers))
        for each in by_word:
            scores[np.searchsorted(numbers, each["number"])] += each["score"]
    cut = len(by_word[0]) == MOST_SCORED  # then the rarest word is the only rare one
    both = by_word[0]  # all that hold all telling words are among these, up to the last if cut
    more: list[NDArray[np.void]] = []
    any_rare, any_rest = (" OR ".join(phrases[n] for n in some) for some in (rare, rest))
    if rest:
        both = scored(f"({any_rare}) AND ({any_rest})")
        more.append(both)
        if cut and len(rest) > 1:
            both = scored(" AND ".join(phrases[n] for n in telling))
            more.append(both)
        if len(numbers) < k:
            more.append(scored(any_rest))
        # The better score of records that were found twice.
        every = np.concatenate([numbers, *(each["number"] for each in more)])
        values = np.concatenate([scores, *(each["score"] for each in more)])
        order = np.lexsort((-values, every))
        numbers, first = np.unique(every[order], return_index=True)
        scores = values[order][first]

    held = np.zeros((len(phrases), len(numbers)), np.bool_)
    for n, each in zip(rare, by_word, strict=True):
        held[n] = np.isin(numbers, each["number"], assume_unique=True)
    if cut and more:
        held[rare[0]] = _holding(db, phrases[rare[0]], numbers)
    alone = ~held[list(rare)].any(axis=0)  # found by the other words only
    for n in there:
        if n in rare:
            continue
        if rest == [n] and len(both) < MOST_SCORED:
            held[n] = alone | np.isin(numbers, both["number"])
            continue
        held[n, alone] = _holding(db, phrases[n], numbers[alone])
        held[n, ~alone] = _holding(db, f"({any_rare}) AND {phrases[n]}", numbers[~alone])
    last = int(both["number"][-1]) if len(both) == MOST_SCORED else None
    return _Found(numbers, scores, held, last)


def _estimated(db: sqlite3.Connection, found: _Found, complete: NDArray[np.bool_]) -> int:
    """Return about how many records hold all words, from those among the found ones."""
    seen = int(np.count_nonzero(complete))
    if found.last is None:
        return seen
    (highest,) = db.execute("SELECT max(number) FROM record").fetchone()
    up_to_last = int(np.count_nonzero(complete & (found.numbers <= found.last)))
    return max(seen, round(up_to_last * int(highest) / found.last))


def _count(
    db: sqlite3.Connection,
    phrases: Sequence[str],
    counts: Sequence[int],
    condition: str,
    parameters: list[Any],
) -> int:
    """Return how many records hold all of several phrases and fulfil a condition."""
    if condition == "1" and len(phrases) == 1:
        return counts[0]
    record = _RECORD if condition != "1" else ""
    (count,) = db.execute(
        f"SELECT count(*) FROM {WORDS} {record} WHERE {WORDS} MATCH ? AND {condition}",
        (" AND ".join(phrases), *parameters),
    ).fetchone()
    return int(count)


def _holding(
    db: sqlite3.Connection, expression: str, among: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which of some records fit an expression.

    Args:
        db: in the transaction of a snapshot.
        expression: of FTS5.
        among: numbers of records, ascending.
    """
    if not len(among):
        return np.zeros(0, np.bool_)
    # As one text: a third of the time that rows take.
    (text,) = db.execute(
        f"SELECT group_concat(rowid, ' ') FROM {WORDS} "
        f"WHERE {WORDS} MATCH ? AND rowid BETWEEN ? AND ?",
        (expression, int(among[0]), int(among[-1])),
    ).fetchone()
    return np.isin(among, np.fromstring(text or "", np.int64, sep=" "), assume_unique=True)


def _scored(
    db: sqlite3.Connection, expression: str, condition: str, parameters: list[Any]
) -> NDArray[np.void]:
    """Return records that fit an expression, with their BM25; `MOST_SCORED` at most."""
    record = _RECORD if condition != "1" else ""
    rows = db.execute(
        f"SELECT {WORDS}.rowid, -bm25({WORDS}, {STRONG}, 1) FROM {WORDS} {record} "
        f"WHERE {WORDS} MATCH ? AND {condition} LIMIT {MOST_SCORED}",
        (expression, *parameters),
    )
    return np.fromiter(rows, _SCORED)


def _weight(count: int, records: int) -> float:
    """Return the weight of a word that this many of the records hold."""
    weight = math.log((records - count + 0.5) / (count + 0.5))
    return weight if weight > 0 else _LEAST_WEIGHT


def _phrase(word: str) -> str:
    """Return a word, its phrase, or any of its alternatives, in the quotation marks of FTS5."""
    phrases = [f'"{each}"' for each in alternatives(word)]
    return phrases[0] if len(phrases) == 1 else f"({' OR '.join(phrases)})"
