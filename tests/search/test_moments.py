"""The shots of videos as hits, and next to the best one of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import pixseek
from coloured_films import film, shots
from pixseek.errors import QueryError
from pixseek.types import Query, Strength, Term
from pixseek.types.clock import clock, seconds_of, shot_at, span, split_time
from pixseek.wire import query_from_plain, query_to_plain, results_to_plain

from tiny_encoder import TinyEncoder, draw

RED_IN = (0, 3, 4)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pixseek.Library]:
    folder = tmp_path_factory.mktemp("films")
    encoder = TinyEncoder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixseek.encoders.load", lambda *_, **__: encoder)
        patch.setattr("pixseek.library.jobs.LEARN_FROM", 0)
        for n in range(30):
            draw(folder / "photos" / f"p{n}.png", ("green", "blue", "white")[n % 3], seed=n)
        with pixseek.open(folder / "films.lib") as opened:
            opened.index(folder / "photos")
            film(opened, "photos/party.mp4", ["red", "green", "blue", "red", "red"])
            film(opened, "photos/sea.mp4", ["blue"] * 4 + ["red"])
            film(opened, "photos/live.jpg", ["white", "red"], still="green")
            yield opened


def spans(results: pixseek.Results) -> list[tuple[str, str]]:
    return [(hit.record.name, span(hit.part)) for hit in results]


def test_a_video_is_one_hit_with_its_best_shot_and_further_moments(
    library: pixseek.Library,
) -> None:
    found = library.search("red", k=3)
    assert {hit.record.name for hit in found} == {"party.mp4", "sea.mp4", "live.jpg"}
    party = next(hit for hit in found if hit.record.name == "party.mp4")
    every = {span(party.part), *(span(each.part) for each in party.moments)}
    assert every == {"0:00-0:05", "0:15-0:20", "0:20-0:25"}
    scores = [party.score, *(each.score for each in party.moments)]
    assert scores == sorted(scores, reverse=True)
    order: list[Strength] = ["weak", "likely", "strong"]
    for hit in found:
        assert all(order.index(m.strength) <= order.index(hit.strength) for m in hit.moments)
        assert all(each.strength != "weak" for each in hit.moments)
    plain = results_to_plain(found)["hits"][found.hits.index(party)]
    assert plain["part"]["frame_s"] == party.part.frame_s
    assert [m["part"]["start_s"] for m in plain["moments"]] == [
        each.part.start_s for each in party.moments
    ]


def test_each_matching_shot_is_a_hit_of_its_own(library: pixseek.Library) -> None:
    found = library.search("red", k=5, moments=True)
    assert sorted(spans(found)) == [
        ("live.jpg", "0:05-0:10"), ("party.mp4", "0:00-0:05"), ("party.mp4", "0:15-0:20"),
        ("party.mp4", "0:20-0:25"), ("sea.mp4", "0:20-0:25"),
    ]  # fmt: skip
    assert [hit.rank for hit in found] == [1, 2, 3, 4, 5]
    assert [hit.score for hit in found] == sorted((h.score for h in found), reverse=True)
    assert all(not hit.moments for hit in found)
    assert all(hit.why[0].score == pytest.approx(hit.score, abs=1e-6) for hit in found)


@pytest.mark.parametrize("options", [{}, {"sort": "name"}, {"min_strength": "weak"}])
def test_pages_of_moments_are_cut_from_one_order(
    library: pixseek.Library, options: dict[str, str]
) -> None:
    whole = spans(library.search("red", k=30, moments=True, **options))
    pages = [
        library.search("red", k=2, offset=at, moments=True, **options) for at in range(0, 6, 2)
    ]
    assert [each for page in pages for each in spans(page)] == whole[:6]
    assert len(set(whole)) == len(whole)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"sort": "name"}])
def test_a_page_of_moments_reads_no_more_videos_than_fill_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    monkeypatch.setattr("pixseek.encoders.load", lambda *_, **__: TinyEncoder())
    monkeypatch.setattr("pixseek.library.jobs.LEARN_FROM", 0)
    monkeypatch.setattr("pixseek.search.moments._RECORDS", 2)
    draw(tmp_path / "photos" / "p.png", "green")
    with pixseek.open(tmp_path / "a.lib") as opened:
        opened.index(tmp_path / "photos")
        for n in range(12):
            film(opened, f"photos/{n:02}.mp4", ["green"] * n + ["red"] * 10)
        whole = spans(opened.search("red", k=200, moments=True, **options))
        read: list[int] = []
        really = opened.opened.engine.vectors

        def vectors(ids: Sequence[str]) -> Any:
            found = really(ids)
            read.extend(len(rows) for rows in found if rows is not None)
            return found

        monkeypatch.setattr(opened.opened.engine, "vectors", vectors)
        page = spans(opened.search("red", k=5, offset=10, moments=True, **options))
    assert page == whole[10:15]
    assert len(read) < 12  # it would be 12, and those of the page again


def test_by_name_the_moments_of_a_video_follow_in_time(library: pixseek.Library) -> None:
    found = spans(library.search("red", k=9, moments=True, sort="name"))
    assert [where for name, where in found if name == "party.mp4"] == [
        "0:00-0:05", "0:15-0:20", "0:20-0:25",
    ]  # fmt: skip


def test_weak_moments_are_hits_if_they_are_asked_for(library: pixseek.Library) -> None:
    found = library.search("red", k=100, moments=True, min_strength="weak", text_weight=0)
    of_party = [hit for hit in found if hit.record.name == "party.mp4"]
    assert len(of_party) == 5


def test_moments_that_show_what_is_excluded_are_left_out(library: pixseek.Library) -> None:
    found = library.search("red -blue", k=40, moments=True)
    assert all(span(hit.part) != "0:10-0:15" for hit in found if hit.record.name == "party.mp4")


def test_a_photo_with_a_moving_part_plays_from_the_moment_that_matches(
    library: pixseek.Library,
) -> None:
    (hit,) = library.search("red name:live.jpg", k=1)
    assert (hit.part.kind, span(hit.part)) == ("shot", "0:05-0:10")
    assert not hit.record.is_video
    (still,) = library.search("green name:live.jpg", k=1)
    assert still.part.kind == "image"


def test_one_video_is_a_hit_alone_with_its_moments(library: pixseek.Library) -> None:
    (party,) = library.search("name:party.mp4", k=1)
    found = library.hit(party.id, "red")
    assert found is not None
    assert {span(found.part), *(span(each.part) for each in found.moments)} == {
        "0:00-0:05", "0:15-0:20", "0:20-0:25",
    }  # fmt: skip


# ------------------------------------------------------------------ a moment as an example


def test_similar_to_a_moment_is_similar_to_what_it_shows(library: pixseek.Library) -> None:
    (party,) = library.search("name:party.mp4", k=1)
    blue = library.similar(party.id, at=12.5, k=3)
    assert {hit.record.name for hit in blue} >= {"sea.mp4"}
    assert party.id not in {hit.id for hit in blue}
    typed = library.search(f"id:{party.id}@0:12", k=3)
    assert spans(typed) == spans(library.similar(f"{party.id}@0:12", k=3)) == spans(blue)
    assert typed.query.terms[0].at == 12.0


def test_a_query_with_a_second_is_the_same_as_json_and_as_text(library: pixseek.Library) -> None:
    query = Query((Term("id", "abc", at=12.5),), moments=True)
    assert query_from_plain(query_to_plain(query)) == query
    from pixseek.search.language import parse, to_text

    assert parse(to_text(query)).terms == query.terms
    assert parse('image:"a clip.mp4"@1:02').terms == (Term("image", "a clip.mp4", at=62.0),)
    assert parse("image:clip.mp4@7.25").terms == (Term("image", "clip.mp4", at=7.25),)
    assert parse("image:logo@2x.png").terms == (Term("image", "logo@2x.png"),)
    for wrong in (-1, "soon", True):
        with pytest.raises(QueryError, match="at"):
            query_from_plain({"terms": [{"kind": "id", "value": "abc", "at": wrong}]})
    assert "moments" not in query_to_plain(Query((Term("text", "red"),)))


# ------------------------------------------------------------------ times


def test_times_are_read_and_written_as_players_show_them() -> None:
    assert [clock(each) for each in (0, 12.9, 61, 3723)] == ["0:00", "0:12", "1:01", "1:02:03"]
    assert [seconds_of(each) for each in ("12.5", "0:12", "1:02:03", "62:03.5")] == [
        12.5, 12.0, 3723.0, 3723.5,
    ]  # fmt: skip
    assert [seconds_of(each) for each in ("", "1:2", "1:75", "-3", "1e3", "nan", "２")] == [
        None
    ] * 7
    assert split_time("a@b.mp4@3") == ("a@b.mp4", 3.0)
    assert split_time("icon@2x.png") == ("icon@2x.png", None)


def test_a_second_belongs_to_the_shot_that_shows_it() -> None:
    parts = shots(3)
    assert [shot_at(parts, each) for each in (0, 4.9, 5.0, 14, 15, 99)] == [0, 0, 1, 2, 2, 2]
    assert shot_at((), 3) is None


def test_a_preview_shows_the_shot_that_was_found(library: pixseek.Library, tmp_path: Path) -> None:
    (sea,) = library.search("red name:sea.mp4", k=1)
    shown = library.search("red name:sea.mp4", k=1).preview(sea)
    assert shown == library.preview(sea.record, sea.part) != library.preview(sea.record)
