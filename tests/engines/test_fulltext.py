"""Search by words in the embedded engine: the oracle is BM25, written down as in the books."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import by_words
from hypothesis import given, settings
from hypothesis import strategies as st

from pixseek.engines import columns, words
from pixseek.engines.embedded import EmbeddedEngine, fulltext, open_embedded
from pixseek.types import Compare, Record, Space

DIM = 8
#: No two of them have the same stem.
WORDS = ["apple", "pear", "plum", "quince", "stone", "river", "tower", "cloud"]


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    with open_embedded(tmp_path / "library") as engine:
        engine.ensure(Space("c" * 64, DIM, "tiny-model"))
        yield engine


def put(engine: EmbeddedEngine, records: Sequence[Record]) -> None:
    engine.put(records, np.tile(np.eye(1, DIM, dtype=np.float32), (len(records), 1)))


def told(texts: Sequence[tuple[str, str]]) -> list[Record]:
    """Records with these strong and weak texts."""
    return [
        Record(f"id{i:03}", "", caption=strong, fields={"city": weak})
        for i, (strong, weak) in enumerate(texts)
    ]


def oracle(texts: Sequence[tuple[str, str]], query: Sequence[str]) -> dict[str, float]:
    """Return the relevance of every record that holds a word of the query."""
    lengths = [len(f"{strong} {weak}".split()) for strong, weak in texts]
    average = sum(lengths) / len(texts) or 1
    held = {w: sum(w in f"{strong} {weak}".split() for strong, weak in texts) for w in query}
    weight = {w: max(math.log((len(texts) - n + 0.5) / (n + 0.5)), 1e-6) for w, n in held.items()}
    best = sum(weight.values()) * 2 * 2.2 / (2 + 1.2)
    whole = [0.0]
    relevance = {}
    for i, (strong, weak) in enumerate(texts):
        score = 0.0
        for word in held:
            often = 2 * strong.split().count(word) + weak.split().count(word)
            length = 1 - 0.75 + 0.75 * lengths[i] / average
            score += weight[word] * often * 2.2 / (often + 1.2 * length)
        if score:
            relevance[f"id{i:03}"] = score
        if all(word in f"{strong} {weak}".split() for word in query):
            whole.append(score)
    best = min(best, max(whole) or best)
    return {id_: min(1.0, score / best) for id_, score in relevance.items()}


_TEXTS = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)


@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(st.tuples(_TEXTS, _TEXTS), min_size=1, max_size=12),
    query=st.lists(st.sampled_from([*WORDS, "nowhere"]), min_size=1, max_size=4, unique=True),
    k=st.integers(1, 15),
)
def test_relevance_is_bm25(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[tuple[str, str]],
    query: list[str],
    k: int,
) -> None:
    with open_embedded(tmp_path_factory.mktemp("words") / "library") as engine:
        engine.ensure(Space("c" * 64, DIM, "tiny-model"))
        put(engine, told([("river", "tower"), *texts]))
        put(engine, told(texts))  # replaced: nothing of the old texts counts
        engine.delete([f"id{len(texts):03}"])
        expected = oracle(texts, query)
        found = by_words(engine, " ".join(query), k)
    whole = {
        f"id{i:03}"
        for i, text in enumerate(texts)
        if all(word in " ".join(text).split() for word in query)
    }
    best = sorted(expected, key=lambda id_: (id_ not in whole, -expected[id_]))[:k]
    assert [relevance for _, relevance in found] == pytest.approx(
        [expected[id_] for id_ in best], rel=1e-9
    )
    for id_, relevance in found:
        assert relevance == pytest.approx(expected[id_], rel=1e-9)
    assert found == sorted(found, key=lambda each: (each[0] not in whole, -each[1], each[0]))


def test_common_words_are_bounded(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = ["photo"] * 120 + ["photo dog"] * 25 + ["photo dog river"] * 3 + ["river"] * 2
    put(engine, told([(caption, "") for caption in captions]))
    monkeypatch.setattr(fulltext, "MOST_SCORED", 10)

    relevance = oracle([(caption, "") for caption in captions], ["dog", "river"])

    # All that hold the rare word, by both words; then some of those with the common one.
    found = by_words(engine, "dog river", 100)
    rare = sorted((hit for hit in relevance.items() if int(hit[0][2:]) >= 145), key=lambda h: h[0])
    assert sorted(hit for hit in found if int(hit[0][2:]) >= 145) == [
        (id_, pytest.approx(value)) for id_, value in rare
    ]
    assert len(found) == 5 + 10
    assert {id_ for id_, _ in by_words(engine, "dog river", 5)} == {id_ for id_, _ in rare}
    assert len(by_words(engine, "photo", 100)) == 10
    # Which most records hold only decides which come first.
    found = by_words(engine, "photo river", 9)
    assert sorted(found) == sorted(by_words(engine, "river", 9))
    assert [id_ for id_, _ in found][3:] == ["id148", "id149"]
    ids = [f"id{i:03}" for i in (144, 145)]
    hits = by_words(engine, "dog", 100, Compare("id", "in", tuple(ids)))
    assert sorted(id_ for id_, _ in hits) == ids


@settings(max_examples=50, deadline=None)
@given(
    texts=st.lists(
        st.sets(st.sampled_from(WORDS[:5]), min_size=1).map(sorted), min_size=1, max_size=60
    ),
    query=st.lists(st.sampled_from(WORDS[:6]), min_size=1, max_size=4, unique=True),
    k=st.integers(1, 30),
    most=st.integers(2, 12),
    filtered=st.booleans(),
)
def test_what_is_held_is_right_when_not_all_are_scored(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[list[str]],
    query: list[str],
    k: int,
    most: int,
    filtered: bool,
) -> None:
    with (
        pytest.MonkeyPatch.context() as patched,
        open_embedded(tmp_path_factory.mktemp("words") / "library") as engine,
    ):
        patched.setattr(fulltext, "MOST_SCORED", most)
        engine.ensure(Space("c" * 64, DIM, "tiny-model"))
        put(engine, told([(" ".join(text), "") for text in texts]))
        where = Compare("id", "ge", "id010") if filtered else None
        found = engine.find_words(" ".join(query), k, where, counted=False)
        exact = engine.find_words(" ".join(query), k, where).complete
    assert found.counts == tuple(sum(word in text for text in texts) for word in query)
    for match in found.matches:
        text = texts[int(match.id[2:])]
        assert match.held == tuple(n for n, word in enumerate(query) if word in text)
        assert match.complete == (len(match.held) == len(query))
    among = texts[10 * filtered :]
    assert exact == sum(set(query) <= set(text) for text in among)
    assert min(exact, k, most) <= sum(match.complete for match in found.matches)
    assert sum(match.complete for match in found.matches) <= found.complete
    if min(sum(word in text for text in among) for word in query) < most:
        assert found.complete == exact


def test_how_many_have_all_words_is_estimated(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = ["photo river" if i % 3 else "photo dog river" for i in range(900)]
    put(engine, told([(caption, "") for caption in captions]))
    monkeypatch.setattr(fulltext, "MOST_SCORED", 100)
    where = Compare("id", "ge", "id000")
    for query, complete in (("dog", 300), ("dog river", 300), ("photo", 900), ("dog cat", 0)):
        for condition in (None, where):
            found = engine.find_words(query, 10, condition, counted=False)
            assert found.complete == pytest.approx(complete, rel=0.05)
            assert engine.find_words(query, 10, condition).complete == complete


def test_stop_words_are_left_out() -> None:
    assert words.words_to_find("a photo of the dogs, the DOGS!") == ["photo", "dogs"]
    assert words.words_to_find("The Who") == ["the", "who"]
    assert len(words.words_to_find(" ".join(f"w{i}" for i in range(999)))) == 32


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("r/a/IMG_1234.JPG", "r a img 1234"),
        ("r/BeachParty.jpg", "r beachparty beach party"),
        ("r/v1.2/x.tar.gz", "r v1 2 x tar"),
        ("r/HTMLFile", "r htmlfile html file"),
        ("r/DSC0042/a3f9b2c1.png", "r dsc0042 a3f9b2c1 dsc 0042"),
        ("r/été/Ünder_way.png", "r ete under way"),
        ("https://example.org/a-b.jpg", "https example org a b"),
    ],
)
def test_words_of_names(uri: str, words: str) -> None:
    assert columns.texts(Record("id", uri)).weak == words
