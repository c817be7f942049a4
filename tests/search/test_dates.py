"""Dates in plain words: what is read as a date, what stays words, and what is left of a text."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixseek.search import date_words, dates
from pixseek.search.language import filter_of, parse, to_text
from pixseek.types import Or, Query, Term

#: A Sunday.
TODAY = date(2026, 11, 29)


@pytest.mark.parametrize(
    ("text", "where", "rest"),
    [
        ("july 2019", "date:2019-07", ""),
        ("a dog in july 2019", "date:2019-07", "a dog"),
        ("a dog in July, 2019", "date:2019-07", "a dog"),
        ("july of 2019 dog", "date:2019-07", "dog"),
        ("2019 july", "date:2019-07", ""),
        ("jul 2019", "date:2019-07", ""),
        ("sept. 2019 boat", "date:2019-09", "boat"),
        ("may 2019", "date:2019-05", ""),
        ("2019", "date:2019", ""),
        ("in 2019", "date:2019", ""),
        ("paris 2019 street", "date:2019", "paris street"),
        ("dog, 2019, beach", "date:2019", "dog beach"),
        ("portrait of a man from 1920", "date:1920", "portrait of a man"),
        ("1826 portrait", "date:1826", "portrait"),
        ("2019-07", "date:2019-07", ""),
        ("2019-07-04 parade", "date:2019-07-04", "parade"),
        ("25.12.2019", "date:2019-12-25", ""),
        ("7/2019", "date:2019-07", ""),
        ("2019/07/14", "date:2019-07-14", ""),
        ("25/12/2019", "date:2019-12-25", ""),
        ("12/25/2019", "date:2019-12-25", ""),
        ("2019's", "date:2019", ""),
        ("14 july 2019 party", "date:2019-07-14", "party"),
        ("July 14th, 2019", "date:2019-07-14", ""),
        ("the 3rd of may 2019", "date:2019-05-03", ""),
        ("summer 2021", "date:2021-06..2021-08", ""),
        ("photos taken in the summer of 2021", "date:2021-06..2021-08", ""),
        ("2021 autumn leaves", "date:2021-09..2021-11", "leaves"),
        ("winter 2021", "date:2021-12..2022-02", ""),
        ("winter 2020/21", "date:2020-12..2021-02", ""),
        ("christmas 2020", "date:2020-12-24..2020-12-26", ""),
        ("the 1990s", "date:1990..1999", ""),
        ("photos from july 2019", "date:2019-07", ""),
        # other languages
        ("Hund im Juli 2019", "date:2019-07", "Hund"),
        ("14. März 2019", "date:2019-03-14", ""),
        ("im Sommer 2021", "date:2021-06..2021-08", ""),
        ("chien en août 2019", "date:2019-08", "chien"),
        ("l'été 2021", "date:2021-06..2021-08", ""),
        ("1er mai 2019", "date:2019-05-01", ""),
        ("perro julio de 2019", "date:2019-07", "perro"),
        ("cane luglio 2019", "date:2019-07", "cane"),
        ("cão março de 2019", "date:2019-03", "cão"),
        ("hond in maart 2019", "date:2019-03", "hond"),
        ("pies lipiec 2019", "date:2019-07", "pies"),
        ("pies w lipcu 2019 roku", "date:2019-07", "pies"),
        ("собака в июле 2019", "date:2019-07", "собака"),
        ("sommaren 2019", "date:2019-06..2019-08", ""),
        ("hund i juli 2019", "date:2019-07", "hund"),
        ("vår 2019", "date:2019-03..2019-05", ""),
        ("собака июль 2019", "date:2019-07", "собака"),
        ("2019年7月の海", "date:2019-07", "の海"),
        # relative to a Sunday in November
        ("yesterday", "date:2026-11-28", ""),
        ("gestern", "date:2026-11-28", ""),
        ("today", "date:2026-11-29", ""),
        ("last week", "date:2026-11-16..2026-11-22", ""),
        ("this week", "date:2026-11-23..2026-11-29", ""),
        ("last weekend", "date:2026-11-21..2026-11-22", ""),
        ("last month", "date:2026-10", ""),
        ("dog last year", "date:2025", "dog"),
        ("last december", "date:2025-12", ""),
        ("last november", "date:2025-11", ""),
        ("last may", "date:2026-05", ""),
        ("last summer", "date:2026-06..2026-08", ""),
        ("last autumn", "date:2025-09..2025-11", ""),
        ("last winter", "date:2025-12..2026-02", ""),
        ("this summer", "date:2026-06..2026-08", ""),
        ("last 7 days", "date:2026-11-22..2026-11-29", ""),
        ("letzten Sommer am Strand", "date:2026-06..2026-08", "am Strand"),
        ("la semaine dernière", "date:2026-11-16..2026-11-22", ""),
        ("el verano pasado", "date:2026-06..2026-08", ""),
        ("3 days ago", "date:2026-11-26", ""),
        ("two weeks ago", "date:2026-11-09..2026-11-15", ""),
        ("dog 2 months ago", "date:2026-09", "dog"),
        ("a year ago", "date:2025", ""),
        ("yesterday's dog", "date:2026-11-28", "dog"),
        ("last week's dog", "date:2026-11-16..2026-11-22", "dog"),
        # several, before and after
        ("july-august 2019", "date:2019-07..2019-08", ""),
        ("Juli/August 2019", "date:2019-07..2019-08", ""),
        ("2019 - dog", "date:2019", "dog"),
        ("in the year 2019", "date:2019", ""),
        ("before 2010 car", "before:2010", "car"),
        ("after july 2019", "after:2019-07", ""),
        ("since 2015", "date:2015..", ""),
        ("until 2015", "date:..2015", ""),
        ("vor dem Sommer 2021", "before:2021-06", ""),
        ("antes de 2010", "before:2010", ""),
        ("from 2018 to 2020 snow", "date:2018..2020", "snow"),
        ("between 2018 and 2020", "date:2018..2020", ""),
        ("2018-2020", "date:2018..2020", ""),
        ("2018 – 2020", "date:2018..2020", ""),
        ("may to july 2019", "date:2019-05..2019-07", ""),
        ("2019 and 2020 dog", "date:2019 OR date:2020", "dog"),
    ],
)
def test_dates_in_plain_words(text: str, where: str, rest: str) -> None:
    found = dates.read(text, TODAY)
    assert found is not None
    assert (found.where, found.rest) == (where, rest)
    assert filter_of(where) == parse(text, today=TODAY).dates_as_filters().where


@pytest.mark.parametrize(
    "text",
    ["july", "may", "april in paris", "summer", "december snow", "boeing 747", "1920x1080",
     "4k 2160", "iso 2000", "2000 m race", "100 2000 people", "$2000 bill", "1825", "2027",
     "2030 vision",
     "03/04/2019", "5 tags", "weeks ago", "a2019", "12019", "2019-13", "30.02.2019",
     "the last supper", "last night",
     "last dance", "last one", "this dog", "the day before yesterday", "usa today newspaper",
     "may the 4th",
     "not 2019", "a dog not in 2019", "ohne 2019", "march of the penguins", "march 32", "", "  "],
)  # fmt: skip
def test_other_words_and_numbers_are_no_dates(text: str) -> None:
    assert dates.read(text, TODAY) is None
    assert parse(text, today=TODAY) == parse(text)


def test_a_year_is_at_most_this_year() -> None:
    assert dates.read("2026", TODAY) is not None
    assert dates.read("2026", date(2025, 12, 31)) is None


@pytest.mark.parametrize(
    ("today", "text", "where"),
    [
        (date(2026, 1, 10), "last winter", "date:2024-12..2025-02"),
        (date(2026, 1, 10), "this winter", "date:2025-12..2026-02"),
        (date(2026, 1, 10), "last month", "date:2025-12"),
        (date(2026, 3, 1), "last winter", "date:2025-12..2026-02"),
        (date(2026, 7, 15), "last summer", "date:2025-06..2025-08"),
        (date(2026, 3, 1), "yesterday", "date:2026-02-28"),
        (date(2024, 3, 1), "yesterday", "date:2024-02-29"),
        (date(2026, 11, 23), "this week", "date:2026-11-23"),
    ],
)
def test_relative_dates_follow_the_calendar(today: date, text: str, where: str) -> None:
    found = dates.read(text, today)
    assert found is not None and found.where == where


_pieces = st.sampled_from(
    ["2019", "july", "may", "last", "this", "week", "14", "1st", "of", ",", "-", "to", "and",
     "before", "summer", "winter", "2020/21", "1990s", "in", "not", "dog", "2019-07", "é", "年",
     "7月", "'", "."]
)  # fmt: skip


@given(
    st.one_of(st.text(max_size=40), st.lists(_pieces, max_size=9).map(" ".join)),
    st.dates(date(1900, 1, 1), date(2100, 1, 1)),
)
def test_what_is_read_is_a_filter_and_the_rest_is_in_the_text(text: str, today: date) -> None:
    found = dates.read(text, today)
    if found is None:
        return
    assert filter_of(found.where) is not None
    assert found.words
    left = "".join(each for each in found.rest if not each.isspace())
    letters = iter(text)
    assert all(each in letters for each in left), "the rest is a part of the text, in its order"
    assert len(found.rest) < len(text)


def test_every_month_and_season_of_every_language_is_read() -> None:
    for word, month in date_words.MONTHS.items():
        found = dates.read(f"{word} 2019", TODAY)
        assert found is not None and found.where == f"date:2019-{month:02}", word
    for word in date_words.SEASONS:
        found = dates.read(f"in {word} 2019", TODAY)
        if word != "estate":  # which is real in English
            assert found is not None and ".." in found.where, word


# ------------------------------------------------------------------ in queries


def text(words: str) -> Term:
    return Term("text", words)


def test_only_bare_words_are_dates() -> None:
    for typed in ('"july 2019"', "“july 2019”", "dog -2019", "dog NOT july 2019", "2*2019"):
        assert parse(typed, today=TODAY) == parse(typed)


def test_dates_are_read_from_each_thing() -> None:
    query = parse("a dog 2019 AND a cat july 2019 tag:x", today=TODAY)
    assert query.terms == (text("a dog"), text("a cat"))
    assert [each.words for each in query.date_readings] == ["2019", "july 2019"]
    assert query.dates_as_filters() == parse(
        '"a dog" "a cat" tag:x date:2019 date:2019-07', today=TODAY
    )
    assert query.dates_as_words() == parse('"a dog 2019" "a cat july 2019" tag:x')


def test_dates_go_back_among_the_words_they_came_from() -> None:
    query = parse('2019 "a dog" july 2020 AND cat 2021', today=TODAY)
    assert query.terms == (text("a dog"), text("cat"))
    assert query.dates_as_words() == parse('"2019" "a dog" "july 2020" "cat 2021"')


def test_a_query_with_dates_is_written_with_filters() -> None:
    query = parse("a dog in july 2019", today=TODAY)
    assert to_text(query) == '"a dog" date:2019-07'
    assert parse(to_text(query)) == query.dates_as_filters()
    assert query != Query((text("a dog"),))
    assert isinstance(parse("2019 and 2020", today=TODAY).date_readings[0].where, Or)
