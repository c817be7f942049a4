"""Search in PostgreSQL: the nearest vectors, texts that hold words, and counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pixseek.engines import facets as facets_
from pixseek.engines import rules
from pixseek.engines.postgres.filters import where_sql
from pixseek.engines.postgres.schema import Names, spelled, vector_text
from pixseek.engines.postgres.spaces import Held
from pixseek.engines.rules import Answer
from pixseek.engines.words import alternatives
from pixseek.types import FacetField, Filter, WordMatch, WordMatches

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: What a word counts in the parts D, C, B and A. `ts_rank` divides that by pi**2 / 6.
_WEIGHTS = [0.5, 0.5, 0.5, 1.0]
#: Rows asked for beyond k, since the first beyond it may tie.
_BEYOND = 16
#: Up to this many matches of a filter are named to the search by number: 20,000 of 100,000 records
#: are found and scored in 80 ms, and in 130 if the filter is evaluated once more.
LISTED = 20_000
#: From how many candidates of the index hits are chosen, at least: with 200, a tenth of the vectors
#: in groups of 50 near-copies hides one of 20 true hits among 100,000.
BREADTH = 500
#: In more records the index is searched as widely as pgvector can: among a million 500 candidates
#: hold .976 of the nearest 10 (docs/engines-speed.md), among 300,000 .999.
LARGE = 500_000
#: The largest `hnsw.ef_search` that pgvector takes.
MOST_BREADTH = 1000
#: How many records are counted for the proportion of those that hold a word.
_COUNTED = 20_000
#: Of larger libraries about so many are looked at; a word is counted there if it is in enough.
_SAMPLED, _ENOUGH = 2_000, 30
#: What records are grouped by for each facet.
_GROUPED_BY: dict[FacetField, str] = {
    "folder": "substr(uri, 1, length(uri) - length(name))",
    "year": "substr(taken_at, 1, 4)",
    "camera": "json_build_array(fields->'camera_make', fields->'camera_model')::text",
    "tag": "tags::text",
    "person": "json_build_array(fields->'people')::text",
    "colour": "json_build_array(fields->'colour_names')::text",
    "format": "media",
}


class Scope(NamedTuple):
    """The vectors that are searched.

    Attributes:
        records: how many records there are, with those few that have no vectors, if any.
        condition: which rows of the table of vectors `p`, joined with that of records `r` if need
            be; as SQL that follows `FROM {part} p`.
        parameters: of the condition.
    """

    records: int
    condition: str
    parameters: dict[str, Any]


def scope(db: Any, names: Names, where: Filter | None, count: Callable[[], int]) -> Scope:
    """Return what is searched by a filter, which is evaluated once for all queries.

    Args:
        db: in a transaction.
        names: of the tables.
        where: which records; None for all.
        count: counts these records.
    """
    if where is None:
        return Scope(count(), "WHERE true", {})
    parameters: dict[str, Any] = {}
    condition = where_sql(where, parameters)
    many, numbers = db.execute(
        names.sql(
            "SELECT count(*), coalesce(array_agg(number), '{{}}')::text FROM "
            f"(SELECT number FROM {{record}} r WHERE {condition} LIMIT {LISTED + 1}) AS matching"
        ),
        parameters,
        prepare=False,
    ).fetchone()
    if many > LISTED:
        joined = f"JOIN {{record}} r ON r.number = p.record WHERE {condition}"
        return Scope(count(), joined, parameters)
    # The numbers stay text, as they came and go: nothing reads them here.
    return Scope(many, "WHERE p.record = ANY(%(numbers)s::bigint[])", {"numbers": numbers})


def nearest(
    db: Any, names: Names, held: Held, query: Vectors, k: int, among: Scope, *, exact: bool
) -> tuple[list[Answer], bool]:
    """Return the k records nearest to a query, best first, ties by id; and whether all were scored.

    Args:
        db: in a transaction, after `tune`.
        names: of the tables.
        held: the space to search.
        query: (dim,) float32.
        k: at least 1.
        among: what is searched.
        exact: whether to score all of it, instead of asking the index of the space.
    """
    type_ = f"halfvec({held.space.dim})"
    distance = f"p.vector::{type_} <=> %(query)s::{type_}"
    parameters = {**among.parameters, "query": vector_text(query)}
    limit = k + _BEYOND
    while True:
        # No index serves this order, so all vectors are scored by it. One without a direction has
        # no cosine: it counts as 0, as in other engines, and not as NaN, which is above everything.
        order = f"coalesce(nullif({distance}, 'NaN'), 1)" if exact else distance
        # The id is not part of the order, which an index could not serve then.
        statement = names.sql(
            f"WITH near AS MATERIALIZED (SELECT {order} AS distance, p.record, p.ordinal "
            f"FROM {{part}} p {among.condition} AND p.space = {held.number} "
            f"ORDER BY {order} LIMIT %(limit)s) "
            "SELECT 1 - coalesce(nullif(distance, 'NaN'), 1), r.id, ordinal, record FROM near "
            "JOIN {record} r ON r.number = record"
        )
        # Planned for these values: with a plan for any values, long lists are looked up one by one.
        rows = db.execute(statement, {**parameters, "limit": limit}, prepare=False).fetchall()
        ranked = rules.best_of_each(map(Answer._make, rows), k)
        # Enough, if there are k and nothing beyond the last row can tie with them.
        enough = len(ranked) == k and min(row[0] for row in rows) < ranked[-1].score
        if enough or (exact and len(rows) < limit):
            break
        # An index scan gives up after `hnsw.max_scan_tuples`; then all are scored.
        if len(rows) < limit:
            exact = True
        else:
            limit *= 4
    return [each._replace(score=float(min(max(each.score, -1.0), 1.0))) for each in ranked], exact


def tune(db: Any, k: int, breadth: int | None, records: int) -> int:
    """Set how the k nearest are searched in this transaction.

    Args:
        db: in a transaction.
        k: at least 1.
        breadth: from how many candidates of the index they are chosen, as the library's address
            asks for it; None for what suits k and the number of records.
        records: how many are searched.

    Returns:
        That number.
    """
    # Without an iterative scan, a filter that few rows fulfil finds none: the index hands out its
    # nearest, and the filter drops them. A strict order leaves out rows that it finds late.
    db.execute("SET LOCAL hnsw.iterative_scan = relaxed_order")
    least = BREADTH if records <= LARGE else MOST_BREADTH
    wanted = min(max(2 * k, least) if breadth is None else breadth, MOST_BREADTH)
    db.execute("SELECT set_config('hnsw.ef_search', %s, true)", [str(wanted)])
    # To compile a query that takes 50 ms takes longer.
    db.execute("SET LOCAL jit = off")
    return wanted


def find_words(
    db: Any, names: Names, words: Sequence[str], k: int, where: Filter | None
) -> WordMatches:
    """Return the best k records by `ts_rank`, and how many have all words.

    Scaled so that a record whose strong part holds every word once has 1. Words such as "the" are
    not indexed, so a query of nothing else finds nothing.
    """
    words, phrases = _phrases(db, words)
    if not words:
        return WordMatches()
    parameters: dict[str, Any] = {}
    condition = where_sql(where, parameters)
    numbers = range(len(words))
    asked = (
        f"(SELECT {' || '.join(phrases)} AS any_word, {' && '.join(phrases)} AS all_words, "
        f"{', '.join(f'{phrase} AS word{n}' for n, phrase in enumerate(phrases))}) AS asked"
    )
    parameters |= _phrase_parameters(words)
    parameters |= {"weights": _WEIGHTS, "all": math.pi**2 / 6, "k": k}
    # Of one word, those that hold all are those that hold it.
    several = len(words) > 1
    complete = "words @@ all_words" if several else "true"
    found = db.execute(
        names.sql(
            "SELECT number, id, "
            "least(1, ts_rank(%(weights)s::float4[], words, any_word) * %(all)s) AS share, "
            f"{complete} AS complete, count(*) FILTER (WHERE {complete}) OVER (), "
            "ts_filter(words, '{{a}}') @@ all_words "
            f"FROM {{record}} r, {asked} WHERE words @@ any_word AND {condition} "
            "ORDER BY complete DESC, share DESC, id LIMIT %(k)s"
        ),
        parameters,
    ).fetchall()
    size = _size(db, names)
    whole = found[0][4] if found else 0
    held_by = [whole]
    if several or where is not None:
        held_by = _held_by(db, names, asked, parameters, numbers, size)
    held: dict[int, list[bool]] = {}
    if partly := [row[0] for row in found if not row[3]]:
        each_word = ", ".join(f"words @@ word{n}" for n in numbers)
        rows = db.execute(
            names.sql(
                f"SELECT number, ARRAY[{each_word}] FROM {{record}}, {asked} "
                "WHERE number = ANY(%(partly)s)"
            ),
            {**parameters, "partly": partly},
        )
        held = dict(rows)
    everything = tuple(numbers)
    matches = tuple(
        WordMatch(
            id_,
            float(share),
            has_all,
            everything if has_all else tuple(n for n in numbers if held[number][n]),
            stated,
        )
        for number, id_, share, has_all, _, stated in found
    )
    return WordMatches(matches, whole, tuple(words), tuple(held_by), size)


def _held_by(
    db: Any,
    names: Names,
    asked: str,
    parameters: dict[str, Any],
    numbers: Sequence[int],
    size: int,
) -> list[int]:
    """Return how many records hold each word: of common ones in a large library, about how many.

    Args:
        db: in a transaction.
        names: of the tables.
        asked: SQL of a row of the words.
        parameters: of `asked`.
        numbers: of the words.
        size: how many records there are.
    """

    def counted(of: Sequence[int], among: str) -> list[int]:
        counts = ", ".join(f"count(*) FILTER (WHERE words @@ word{n})" for n in of)
        statement = names.sql(f"SELECT count(*), {counts} FROM {{record}} {among}")
        return list(db.execute(statement, parameters).fetchone())

    found: dict[int, int] = {}
    if size > _COUNTED:
        share = 100 * _SAMPLED / size
        seen, *some = counted(numbers, f"TABLESAMPLE SYSTEM ({share:.6f}), {asked}")
        found = {
            n: round(count * size / seen)
            for n, count in zip(numbers, some, strict=True)
            if count >= _ENOUGH
        }
    if rest := [n for n in numbers if n not in found]:
        any_of = " || ".join(f"word{n}" for n in rest)
        _, *some = counted(rest, f", {asked} WHERE words @@ ({any_of})")
        found |= dict(zip(rest, some, strict=True))
    return [found[n] for n in numbers]


def _phrases(db: Any, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words that PostgreSQL looks for, with the SQL of each."""

    def phrases(words: Sequence[str]) -> list[str]:
        return [
            "("
            + " || ".join(
                f"phraseto_tsquery('english', %(word{n}_{i})s)"
                for i in range(len(alternatives(word)))
            )
            + ")"
            for n, word in enumerate(words)
        ]

    (nodes,) = db.execute(
        f"SELECT ARRAY[{', '.join(f'numnode({each})' for each in phrases(words))}]",
        _phrase_parameters(words),
    ).fetchone()
    some = [word for word, node in zip(words, nodes, strict=True) if node]
    return some, phrases(some)


def _phrase_parameters(words: Sequence[str]) -> dict[str, str]:
    return {
        f"word{n}_{i}": spelled(phrase)
        for n, word in enumerate(words)
        for i, phrase in enumerate(alternatives(word))
    }


def _size(db: Any, names: Names) -> int:
    """Return about how many records there are: counting a million takes 50 ms."""
    (size,) = db.execute(
        "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [names.quoted("record")]
    ).fetchone()
    if size < _COUNTED:
        (size,) = db.execute(names.sql("SELECT count(*) FROM {record}")).fetchone()
    return int(size)


def facets(
    db: Any, names: Names, where: Filter | None, fields: Sequence[FacetField], most: int
) -> dict[str, dict[str, int]]:
    """Return the counts of some fields among the records that fulfil a filter."""
    parameters: dict[str, Any] = {}
    condition = where_sql(where, parameters)
    counted: dict[str, dict[str, int]] = {}
    for field in fields:
        rows = db.execute(
            names.sql(
                f"SELECT {_GROUPED_BY[field]} AS value, count(*) FROM {{record}} r "
                f"WHERE {condition} GROUP BY value"
            ),
            parameters,
        )
        groups = [
            (facets_.words_of(field, value), alike)
            for value, alike in rows
            if value is not None or field == "year"
        ]
        counted[field] = facets_.count_words(field, groups, most)
    return counted
