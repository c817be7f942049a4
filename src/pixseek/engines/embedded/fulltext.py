"""Search by words in the embedded engine: SQLite's FTS5, ranked by BM25.

The index has no copy of the texts (`content=''`): it takes 60 bytes a record less, and a record's
texts follow from its columns (`columns.texts`), also when they are to be forgotten. Words are
stemmed by Porter's rules for English: captions are mostly English, "dogs" has to find "dog", and
in other languages it only cuts a few endings, in the index and in the query alike.
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

#: What a word counts in captions, tags and titles; elsewhere it counts 1.
STRONG = 2.0
#: Records that are scored: a score takes 1 us, and the common words of a million captions are in
#: some hundred thousands of them.
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
    """Index records, none of which is indexed."""
    db.executemany(
        "INSERT INTO words (rowid, strong, weak) VALUES (?, ?, ?)",
        ((number, *columns.texts(record)) for number, record in numbered),
    )


def remove(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Forget the words of these records, which must still be there as they were indexed."""
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
    # Of what was found twice the better score.
    found = found[np.lexsort((-found["score"], found["number"]))]
    found = found[np.unique(found["number"], return_index=True)[1]]
    whole: NDArray[np.int64] | None = None
    if len(wanted) == len(phrases):  # all of them are held by some record, perhaps by one
        whole = _numbers(db, " AND ".join(phrases))
        highest = found["score"][np.isin(found["number"], whole)].max(initial=0.0)
        best = min(best, highest) if highest else best
    if len(found) > k:  # all that tie with the last one, since the id decides
        least = np.partition(found["score"], len(found) - k)[len(found) - k]
        found = found[found["score"] >= least]
    complete, count = _complete(db, every, counts, whole, found["number"], condition, parameters)
    score = dict(zip(*(found[name].tolist() for name in ("number", "score")), strict=True))
    named = [
        WordMatch(id_, min(1.0, score[number] / best), number in complete)
        for some in chunks(list(score))
        for number, id_ in db.execute(
            f"SELECT number, id FROM record WHERE number IN ({LISTED})", (some,)
        )
    ]
    named.sort(key=lambda each: (-each.share, each.id))
    return WordMatches(tuple(named[:k]), count)


def _complete(
    db: sqlite3.Connection,
    every: Sequence[str],
    counts: dict[str, int],
    whole: NDArray[np.int64] | None,
    found: NDArray[np.int64],
    condition: str,
    parameters: list[Any],
) -> tuple[set[int], int]:
    """Return which of the found records hold all words, and how many records do.

    Args:
        db: in the transaction of a snapshot.
        every: the phrases that some record holds.
        counts: how many records hold each phrase that is looked for.
        whole: records that hold all but the most common phrases, at most `MOST_SCORED`; None if
            some phrase is held by none.
        found: numbers of records.
        condition: on `record`.
        parameters: of the condition.
    """
    if len(every) < len(counts) or whole is None:
        return set(), 0
    expression = " AND ".join(every)
    if len(every) == 1 and condition == "1":
        return set(found.tolist()), counts[every[0]]
    record = _RECORD if condition != "1" else ""
    (count,) = db.execute(
        f"SELECT count(*) FROM words {record} WHERE words MATCH ? AND {condition}",
        (expression, *parameters),
    ).fetchone()
    if len(every) == 1:
        return set(found.tolist()), count
    if len(whole) == MOST_SCORED:  # there may be more of them
        listed = ", ".join(map(str, found.tolist()))
        rows = db.execute(
            f"SELECT rowid FROM words WHERE words MATCH ? AND rowid IN ({listed})", (expression,)
        )
        return {number for (number,) in rows}, count
    return set(np.intersect1d(found, _numbers(db, expression)).tolist()), count


def _numbers(db: sqlite3.Connection, expression: str) -> NDArray[np.int64]:
    """Return the numbers of records that fit an expression; `MOST_SCORED` at most."""
    rows = db.execute(
        f"SELECT rowid FROM words WHERE words MATCH ? LIMIT {MOST_SCORED}", (expression,)
    )
    return np.fromiter((number for (number,) in rows), np.int64)


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
    """Return what a word counts that so many of the records hold."""
    weight = math.log((records - count + 0.5) / (count + 0.5))
    return weight if weight > 0 else _LEAST_WEIGHT


def _phrase(word: str) -> str:
    """Return a word, or several in a row, as FTS5 reads them: between quotation marks."""
    return f'"{word}"'
