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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixseek.engines import columns
from pixseek.engines.embedded.reading import LISTED, chunks
from pixseek.types import Record, WordMatch, WordMatches

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
_RECORD = "CROSS JOIN record ON record.number = words.rowid"
_SCORED = np.dtype([("number", np.int64), ("score", np.float64)])


def add(db: sqlite3.Connection, numbered: Iterable[tuple[int, Record]]) -> None:
    """Index records that are not indexed yet."""
    db.executemany(
        "INSERT INTO words (rowid, strong, weak) VALUES (?, ?, ?)",
        ((number, *columns.texts(record)) for number, record in numbered),
    )


def remove(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Remove records from the index; their columns must still be as they were indexed."""
    for some in chunks(numbers):
        rows = db.execute(
            f"SELECT number, uri, caption, tags, fields FROM record WHERE number IN ({LISTED})",
            (some,),
        ).fetchall()
        db.executemany(
            "INSERT INTO words (words, rowid, strong, weak) VALUES ('delete', ?, ?, ?)",
            ((number, *columns.texts_of(*values)) for number, *values in rows),
        )


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
    counts = {_phrase(word): 0 for word in words}
    for phrase in counts:
        (counts[phrase],) = db.execute(
            "SELECT count(*) FROM words WHERE words MATCH ?", (phrase,)
        ).fetchone()
    every = sorted((phrase for phrase in counts if counts[phrase]), key=counts.__getitem__)
    if not every:
        return WordMatches()
    common = max(COMMON * records, MOST_SCORED)
    phrases = [phrase for phrase in every if counts[phrase] <= common] or every
    wanted = [*phrases, *(phrase for phrase in counts if not counts[phrase])]
    best = sum(_weight(counts[phrase], records) for phrase in wanted)
    best *= STRONG * (_K1 + 1) / (STRONG + _K1)

    together = list(itertools.accumulate(counts[phrase] for phrase in phrases))
    rare = max(1, bisect.bisect_right(together, MOST_SCORED))
    rest = " OR ".join(phrases[rare:])
    expressions = [" OR ".join(phrases[:rare])]
    if rest:
        expressions += [f"({expressions[0]}) AND ({rest})", rest]
    found = np.empty(0, _SCORED)
    for expression in expressions:
        if expression == rest and len(found) >= k:
            break
        found = np.concatenate([found, _scored(db, expression, condition, parameters)])
    # The better score of records that were found twice.
    found = found[np.lexsort((-found["score"], found["number"]))]
    found = found[np.unique(found["number"], return_index=True)[1]]
    complete = np.zeros(len(found), np.bool_)
    if len(wanted) == len(phrases):  # all of them are held by some record, perhaps by one
        complete = _holding(db, phrases, found["number"])
        highest = found["score"][complete].max(initial=0.0)
        best = min(best, highest) if highest else best
        if len(phrases) < len(every):
            complete &= _holding(db, every, found["number"])
    if len(found) > k:  # all that tie with the last one, since the id decides
        least = np.partition(found["score"], len(found) - k)[len(found) - k]
        kept = found["score"] >= least
        found, complete = found[kept], complete[kept]
    count = 0
    if counted and len(every) == len(counts):
        count = _count(db, every, counts, condition, parameters)
    have_all = set(found["number"][complete].tolist())
    shares = np.minimum(1.0, found["score"] / best).tolist()
    share_of = dict(zip(found["number"].tolist(), shares, strict=True))
    best_first = sorted(
        (-share_of[number], id_, number in have_all)
        for some in chunks(list(share_of))
        for number, id_ in db.execute(
            f"SELECT number, id FROM record WHERE number IN ({LISTED})", (some,)
        )
    )
    matches = tuple(WordMatch(id_, -less, whole) for less, id_, whole in best_first[:k])
    return WordMatches(matches, count)


def _count(
    db: sqlite3.Connection,
    every: Sequence[str],
    counts: dict[str, int],
    condition: str,
    parameters: list[Any],
) -> int:
    """Return how many records hold all of several phrases and fulfil a condition."""
    if condition == "1" and len(every) == 1:
        return counts[every[0]]
    record = _RECORD if condition != "1" else ""
    (count,) = db.execute(
        f"SELECT count(*) FROM words {record} WHERE words MATCH ? AND {condition}",
        (" AND ".join(every), *parameters),
    ).fetchone()
    return int(count)


def _holding(
    db: sqlite3.Connection, phrases: Sequence[str], among: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which of some records hold all of several phrases; each of them holds at least one.

    Args:
        db: in the transaction of a snapshot.
        phrases: one or more.
        among: numbers of records, ascending.
    """
    if len(phrases) == 1 or not len(among):
        return np.ones(len(among), np.bool_)
    rows = db.execute(
        "SELECT rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ?",
        (" AND ".join(phrases), int(among[0]), int(among[-1])),
    )
    return np.isin(among, np.fromiter((number for (number,) in rows), np.int64))


def _scored(
    db: sqlite3.Connection, expression: str, condition: str, parameters: list[Any]
) -> NDArray[np.void]:
    """Return records that fit an expression, with their BM25; `MOST_SCORED` at most."""
    record = _RECORD if condition != "1" else ""
    rows = db.execute(
        f"SELECT words.rowid, -bm25(words, {STRONG}, 1) FROM words {record} "
        f"WHERE words MATCH ? AND {condition} LIMIT {MOST_SCORED}",
        (expression, *parameters),
    )
    return np.fromiter(rows, _SCORED)


def _weight(count: int, records: int) -> float:
    """Return the weight of a word that this many of the records hold."""
    weight = math.log((records - count + 0.5) / (count + 0.5))
    return weight if weight > 0 else _LEAST_WEIGHT


def _phrase(word: str) -> str:
    """Return a word, or a phrase of several, in the quotation marks of FTS5."""
    return f'"{word}"'
