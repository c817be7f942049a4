"""Layouts and single hits of a library, with saved searches, dates, and of an empty one."""

from __future__ import annotations

from pathlib import Path

import pytest

import pixseek
from pixseek.errors import QueryError
from pixseek.types import Query, Term

from tiny_encoder import TinyEncoder, draw


def test_an_empty_library_has_an_empty_layout(tmp_path: Path) -> None:
    with pixseek.open(tmp_path / "empty.lib") as library:
        for found in (library.layout(), library.layout("a dog"), library.layout("width:>9")):
            assert (found.ids, found.total, found.strengths) == ((), 0, ())
            assert "empty" in found.warnings[0]
        assert library.layout("a dog").query.terms == (Term("text", "a dog"),)
        assert library.hit("none", "a dog") is None
        assert library.suggest("ta")[0].text == "tag:"


def test_a_new_tag_is_suggested_at_once_though_counting_takes_long(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    del tiny
    monkeypatch.setattr("pixseek.library.suggesting._QUICK_S", -1.0)
    monkeypatch.setattr("pixseek.library.suggesting._STALE", 1e12)
    draw(tmp_path / "in" / "a.png", "red")
    with pixseek.open(tmp_path / "photos.lib") as library:
        library.index(tmp_path / "in")
        assert not [each for each in library.suggest("tag:hol") if each.kind == "value"]
        library.tag(tmp_path / "in" / "a.png", add="holiday")
        assert [each.text for each in library.suggest("tag:hol")] == ['tag:"holiday"']
        library.tag_zero_shot(["red"])
        assert [each.text for each in library.suggest("tag:re")] == ['tag:"red"']


def test_layouts_and_hits_of_a_library(tmp_path: Path, tiny: TinyEncoder) -> None:
    for n, colour in enumerate(("red", "green", "blue")):
        draw(tmp_path / "in" / f"{colour}-2019.png", colour, n)
    with pixseek.open(tmp_path / "photos.lib") as library:
        library.index(tmp_path / "in")
        red = library.search("red")[0].id
        library.save_search("red name:*e*", "reds")
        for query in (
            "red",
            "@reds",
            "red july 2019",
            Query((Term("text", "red"),), k=2, offset=1),
        ):
            whole = query if isinstance(query, Query) else library.query(query)
            search = library.search(Query(whole.terms, where=whole.where, k=9,
                                          date_readings=whole.date_readings))  # fmt: skip
            found = library.layout(query)
            assert found.ids == tuple(hit.id for hit in search)
            assert found.warnings == search.warnings
            assert library.hit(red, query) == search[0]
        assert len(library.layout("red", most=2).ids) == 2
        assert library.layout("red", where="name:blue*").total == 1
        assert library.hit(red, "red name:blue*") is None
        assert library.hit(red, "name:red*").rank == 0  # type: ignore[union-attr]
        for wrong in ({"sort": "best"}, {"variety": 2.0}):
            with pytest.raises(QueryError):
                library.layout("red", **wrong)
        with pytest.raises(QueryError, match="only what is to be left out"):
            library.layout("-red")
