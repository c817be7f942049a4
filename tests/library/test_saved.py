"""Saved searches: every query comes back as it was, in another process and in another folder."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pixseek
from pixseek.errors import LibraryFormatError, QueryError
from pixseek.types import And, Compare, Query, Region, Term

from tiny_encoder import TinyEncoder, draw

_FRESH = itertools.count()


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    del tiny
    for n, colour in enumerate(["red", "red", "green", "blue"]):
        draw(tmp_path / "pictures" / f"{colour}-{n}.png", colour, n)
    with pixseek.open(f"{tmp_path}/lib") as opened:
        opened.index(tmp_path / "pictures")
        yield opened


def test_a_saved_search_runs_in_another_process(library: pixseek.Library) -> None:
    assert library.save_search("red -blue name:*.png", "Reds", k=1) == "Reds"
    with pixseek.open(library.path) as other:
        found = other.search("@reds")
        assert found.query == library.query("red -blue name:*.png", k=1)
        assert [hit.record.name[:3] for hit in found] == ["red"]


def test_words_filters_and_options_are_added(library: pixseek.Library) -> None:
    library.save_search("red name:*.png", "reds", k=1, sort="name", exclude=["blue"])
    query = library.query('@reds "green" -night width:>1', k=7, exclude=["snow"])
    assert query.terms == (Term("text", "red"), Term("text", "green"))
    assert {term.value for term in query.exclude} == {"blue", "night", "snow"}
    assert isinstance(query.where, And)
    assert set(query.where.filters) == {
        library.query("name:*.png").where, library.query("width:>1").where,
    }  # fmt: skip
    assert (query.k, query.sort) == (7, "name")
    assert library.search_many(["@reds", "@reds green"])[0].query.sort == "name"
    assert library.facets("@reds") == library.facets(library.query("@reds"))


def test_a_saved_search_is_joined_like_words(library: pixseek.Library) -> None:
    library.save_search("red", "my reds")
    assert library.query("@my reds AND green -blue") == library.query('"red" green -blue')
    assert library.query("@my reds NOT green") == library.query("red -green")
    assert library.query("@“my reds” name:x") == library.query("red name:x")
    with pytest.raises(QueryError, match="Nothing follows NOT: 'NOT' at character 18"):
        library.query("@my reds (green) NOT")
    with pytest.raises(QueryError, match="stands before OR: 'OR green' at character 10"):
        library.query("@my reds OR green")


def test_names_have_spaces_and_the_longest_is_meant(library: pixseek.Library) -> None:
    library.save_search("red", "my")
    library.save_search("green", "my  garden ")
    assert list(library.saved_searches()) == ["my", "my garden"]
    assert library.query("@my garden").terms == (Term("text", "green"),)
    assert library.query("@my\tgarden party").terms[1:] == (Term("text", "party"),)
    assert library.query("@my house").terms == (Term("text", "red"), Term("text", "house"))
    assert library.query('@"my" garden').terms == (Term("text", "red"), Term("text", "garden"))
    assert library.query('  @"MY garden"').terms == (Term("text", "green"),)
    with pytest.raises(QueryError, match="no saved search"):
        library.query('@"my house"')


def test_a_search_of_the_same_name_is_replaced(library: pixseek.Library) -> None:
    library.save_search("red", "caf\u00e9")
    library.save_search("green", "CAFE\u0301")
    assert list(library.saved_searches()) == ["CAF\u00c9"]
    assert library.query("@Caf\u00e9").terms == (Term("text", "green"),)


@pytest.mark.parametrize("name", ["", " ", "a/b", "a.b", "-x", "a\nb:", '"', "@@x", "x" * 101])
def test_names_that_cannot_be_used_are_refused(library: pixseek.Library, name: str) -> None:
    with pytest.raises(QueryError, match="name of a search") as caught:
        library.save_search("red", name)
    assert "letters, digits" in caught.value.advice
    assert library.saved_searches() == {}


@pytest.mark.parametrize("name", ["x", "1", "snow_2-b", "हिन्दी", "日本", "@dogs"])
def test_names_of_any_script_can_be_used(library: pixseek.Library, name: str) -> None:
    library.save_search("red", name)
    assert library.query(f"@{name.removeprefix('@')} more").terms[0] == Term("text", "red")


def test_an_unknown_name_lists_the_known(library: pixseek.Library) -> None:
    with pytest.raises(QueryError) as caught:
        library.search("@reds")
    assert "None is saved yet" in caught.value.advice
    library.save_search("red", "reds")
    with pytest.raises(QueryError) as caught:
        library.search("@redz")
    assert (caught.value.subject, caught.value.advice) == (
        "redz", "Did you mean @reds? Saved searches: reds.",
    )  # fmt: skip
    with pytest.raises(QueryError, match="no saved search"):
        library.search("@")
    assert library.query('"@reds"').terms == (Term("text", "@reds"),)  # in quotes they are words


def test_forgetting(library: pixseek.Library) -> None:
    library.save_search("red", "reds")
    library.save_search("blue", "blues")
    library.forget_search("@REDS")
    assert list(library.saved_searches()) == ["blues"]
    with pytest.raises(QueryError, match="no saved search"):
        library.forget_search("reds")


def test_an_example_is_kept_by_its_full_path(
    library: pixseek.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "pictures")
    library.save_search("", "by option", image="red-0.png", region=Region(0, 0, 0.5, 1))
    library.save_search("image:red-0.png bright", "by words")
    library.save_search("a -image:red-0.png", "without")
    library.save_search("red OR image:red-0.png", "either")
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / "pictures" / "red-0.png")
    assert library.query("@by option").terms == (
        Term("image", path, region=Region(0, 0, 0.5, 1)),
    )  # fmt: skip
    assert library.query("@by words").terms[0] == Term("image", path)
    assert library.query("@without").exclude == (Term("image", path),)
    (either,) = library.query("@either").terms
    assert [each.value for each in (either, *either.alternatives)] == ["red", path]
    assert library.search("@by option")[0].path == Path(path)


def test_an_image_in_memory_cannot_be_saved(library: pixseek.Library) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(QueryError) as caught:
        library.save_search("red", "mine", image=pixels)
    assert (caught.value.problem, caught.value.subject) == (
        "A search by an image in memory can't be saved", "mine",
    )  # fmt: skip
    assert "file" in caught.value.advice
    assert library.saved_searches() == {}


def test_what_cannot_be_searched_cannot_be_saved(library: pixseek.Library) -> None:
    for wrong in ("", "-snow", "year:x", "(", "@other"):
        with pytest.raises(QueryError):
            library.save_search(wrong, "wrong")
    with pytest.raises(QueryError):
        library.save_search("red", "wrong", k=0)
    assert library.saved_searches() == {}


def test_a_date_alone_can_be_saved(library: pixseek.Library) -> None:
    library.save_search("july 2019", "then")
    assert library.query("@then") == library.query("july 2019")
    joined, whole = library.query("@then red"), library.query("july 2019 red")
    assert joined.dates_as_filters() == whole.dates_as_filters()


def test_a_search_saved_from_another_keeps_what_that_was(library: pixseek.Library) -> None:
    library.save_search("red", "one", k=3)
    library.save_search("@one night", "two")
    library.save_search("green", "one")
    assert library.query("@two") == library.query('"red" "night"', k=3)


def test_only_what_differs_from_the_defaults_is_kept(library: pixseek.Library) -> None:
    library.save_search("red", "reds", k=10, variety=0.5)
    assert json.loads(library.opened.engine.kept("search")["reds"]) == {
        "query": "red", "variety": 0.5,
    }  # fmt: skip


def test_a_damaged_saved_search_names_itself(library: pixseek.Library) -> None:
    for text in ("no json", "[]", "1"):
        library.opened.engine.keep("search", "broken", text)
        with pytest.raises(LibraryFormatError) as caught:
            library.search("@broken")
        assert caught.value.subject == "broken"
        assert "pixseek saved --delete" in caught.value.advice


_TEXTS = st.text("ab\"'-\\ @é日", min_size=1, max_size=8).map(str.strip).filter(bool)
_TERMS = st.one_of(
    st.builds(Term, st.just("text"), _TEXTS, st.floats(0.1, 5)),
    st.builds(Term, st.just("id"), st.just("k3v5xq7mzr2a4bcd")),
    st.builds(Term, st.just("image"), st.just("https://example.org/a.jpg")),
    st.builds(
        Term, st.just("vector"), st.just((0.25, -1.0)), of=st.sampled_from(["image", "text"])
    ),
)
_QUERIES = st.builds(
    Query,
    st.lists(_TERMS, min_size=1, max_size=3).map(tuple),
    st.lists(_TERMS, max_size=2).map(tuple),
    st.none() | st.just(Compare("width", "ge", 3)) | st.just(Compare("name", "glob", "*.png")),
    k=st.integers(1, 99),
    offset=st.integers(0, 9),
    sort=st.sampled_from(["relevance", "newest", "name"]),
    min_strength=st.sampled_from([None, "likely", "strong"]),
    show_excluded=st.booleans(),
    group=st.booleans(),
    variety=st.floats(0, 1),
    text_weight=st.floats(0, 2),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(query=_QUERIES)
def test_every_query_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, query: Query
) -> None:
    place = tmp_path_factory.getbasetemp() / f"saved-{next(_FRESH)}"
    with pixseek.open(place, engine="memory://saved") as lib:
        lib.save_search(query, "it")
        assert lib.query("@it") == query
        assert lib.saved_searches()["it"].query == query
        more = lib.query("@it width:2", k=5)
        assert (more.terms, more.k) == (query.terms, 5)
        assert replace(more, k=query.k, where=query.where) == query
