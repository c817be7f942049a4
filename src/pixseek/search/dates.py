"""Dates in plain words: "a dog in july 2019", "summer 2021", "last week", "im Sommer 2021".

A year is four digits from that of the first photograph to this year. Months, seasons and holidays
are dates next to a year or after "last" and "this"; alone they are words, as "july" and "may" are
names. Seasons are those of the northern half of the earth; winter begins in December of its year.
Numbers that measure something ("2000 m", "iso 2000") are not years.
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise

from pixseek.search.date_words import (
    AFTER,
    AFTER_YEAR,
    AGO,
    AND,
    BEFORE,
    CHRISTMAS,
    FROM,
    LAST,
    LAST_AFTER,
    LINKS,
    MEASURES,
    MONTHS,
    NOT,
    NUMBERED,
    NUMBERS,
    OF,
    PICTURES,
    SEASONS,
    SINCE,
    THIS,
    TO,
    TODAY,
    UNITS,
    UNTIL,
    WITH_DATE,
    YESTERDAY,
    folded,
)
from pixseek.types.dataclass import dataclass

#: The year of the oldest photograph that is left.
FIRST_YEAR = 1826

_CJK = r"\d{4}\s?[年년](?:\s?\d{1,2}\s?[月월](?:\s?\d{1,2}\s?[日号일])?)?"
_TOKEN = re.compile(rf"(?P<cjk>{_CJK})|(?:(?!{_CJK})[^\s,])+|,")
_YEAR = re.compile(r"\d{4}")
_DAY = re.compile(r"(\d{1,2})(?:st|nd|rd|th|er|º)?")
_ISO = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?|(\d{4})[./](\d{1,2})[./](\d{1,2})")
_DOTTED = re.compile(r"(?:(\d{1,2})\.)?(\d{1,2})[./](\d{4})")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_YEARS = re.compile(r"(\d{4})[-–—/](\d{4}|\d{2})")
_DECADE = re.compile(r"(\d{3}0)['’]?(?:s|er|ern|-luvut)")
_MONTHS_JOINED = re.compile(r"([^\W\d_]+)([-–—/])([^\W\d_]+)")
_POSSESSIVE = re.compile(r"(?<=\w)['’]s$")
_ELIDED = re.compile(r"(?:l|d|dell|nell|all|jusqu)['’](?=\w)")


@dataclass(frozen=True, slots=True)
class Reading:
    """Words of a text that were read as dates.

    Attributes:
        words: the words, as they were typed.
        where: what they mean, as a filter in the language of the search box.
        rest: the text without them; "" if that says nothing.
    """

    words: str
    where: str
    rest: str


def read(text: str, today: date) -> Reading | None:
    """Return the dates in a text; None if there are none.

    Several are alternatives, so that "2019 and 2020" finds the images of both years.
    """
    tokens = list(_tokens(text))
    spans = list(_qualified(tokens, _ranges(tokens, list(_atoms(tokens, today)))))
    if not spans:
        return None
    gone = {at for span in spans for at in range(span.taken_from, span.end)}
    for one, other in pairwise(spans):
        between = range(one.end, other.taken_from)
        if all(tokens[at].word in LINKS for at in between):
            gone |= set(between)
    left = [token for at, token in enumerate(tokens) if at not in gone and token.word != ","]
    rest = " ".join(_pieces(text, tokens, gone))
    said = all(token.word in PICTURES for token in left)
    first, last = spans[0], spans[-1]
    if len(spans) == 1 or all(at in gone for at in range(first.begin, last.end)):
        words = text[tokens[first.begin].begin : tokens[last.end - 1].end]
    else:
        words = " … ".join(text[tokens[s.begin].begin : tokens[s.end - 1].end] for s in spans)
    return Reading(words, " OR ".join(dict.fromkeys(s.where for s in spans)), "" if said else rest)


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        both = _MONTHS_JOINED.fullmatch(found[0])
        if both and all(folded(both[n]) in MONTHS for n in (1, 3)):
            for n in (1, 2, 3):
                yield _Token.of(both[n], found.start() + both.start(n))
        else:
            yield _Token.of(found[0], found.start())


def _pieces(text: str, tokens: Sequence[_Token], gone: set[int]) -> Iterator[str]:
    """Yield what stands between the tokens that are gone."""
    began = 0
    for at in sorted(gone):
        if piece := text[began : tokens[at].whole[0]].strip(" ,-–—"):
            yield piece
        began = tokens[at].whole[1]
    if piece := text[began:].strip(" ,-–—"):
        yield piece


@dataclass(frozen=True, slots=True)
class _Token:
    """A word: from `begin` to `end` without the punctuation around it, which `whole` includes."""

    word: str
    typed: str
    begin: int
    end: int
    whole: tuple[int, int]

    @classmethod
    def of(cls, text: str, at: int) -> _Token:
        """Return the word of a text that begins at `at` of the whole."""
        bare = text.strip(".;:!?()[]\"'") or text
        begin = at + text.index(bare)
        if elided := _ELIDED.match(bare):
            begin, bare = begin + elided.end(), bare[elided.end() :]
        if not _DECADE.fullmatch(bare):
            bare = _POSSESSIVE.sub("", bare)
        typed = unicodedata.normalize("NFC", bare.casefold())
        return cls(folded(bare), typed, begin, begin + len(bare), (at, at + len(text)))

    def of_table(self, table: Mapping[str, int]) -> int:
        """Return the number of this word in a table; 0 if it is not there."""
        return table.get(self.typed) or table.get(self.word, 0)


@dataclass(frozen=True, slots=True)
class _Span:
    """Tokens from `begin` to `end`, and the days from `low` to `high` that they mean.

    `low` and `high` are days, months or years, as in filters; `taken_from` is where the words begin
    that go with it; `where` is the filter.
    """

    begin: int
    end: int
    low: str
    high: str
    taken_from: int = 0
    where: str = ""


# ------------------------------------------------------------------ one date


def _atoms(tokens: Sequence[_Token], today: date) -> Iterator[_Span]:
    """Yield the single dates, from left to right."""
    at = 0
    while at < len(tokens):
        found = _atom(tokens, at, today)
        if found is None:
            at += 1
        else:
            yield found
            at = found.end


def _atom(tokens: Sequence[_Token], at: int, today: date) -> _Span | None:
    """Return the date whose first word stands at `at`."""
    for reads in (_written_in_digits, _with_month, _with_season, _relative, _year_alone):
        found = reads(tokens, at, today)
        if found is not None:
            return found
    return None


def _written_in_digits(tokens: Sequence[_Token], at: int, today: date) -> _Span | None:
    word = tokens[at].word
    if re.match(_CJK, word):
        parts = [int(each) for each in re.findall(r"\d+", word)]
        return _day(at, at + 1, today, *parts)
    if found := _ISO.fullmatch(word):
        iso = _day(at, at + 1, today, *(int(each) for each in found.groups() if each))
        if iso is not None:
            return iso
    if found := _DOTTED.fullmatch(word):
        day, month, year = (int(each or 0) for each in found.groups())
        return _day(at, at + 1, today, year, month, *([day] if found[1] else []))
    if found := _SLASHED.fullmatch(word):
        one, two, year = map(int, found.groups())
        if one == two or max(one, two) > 12:  # otherwise two countries disagree
            return _day(at, at + 1, today, year, min(one, two), max(one, two))
    if found := _YEARS.fullmatch(word):
        first = int(found[1])
        last = int(found[2]) if len(found[2]) == 4 else first - first % 100 + int(found[2])
        if first < last and _is_year(first, today) and _is_year(last, today):
            return _Span(at, at + 1, str(first), str(last))
    if (found := _DECADE.fullmatch(word)) and _is_year(first := int(found[1]), today):
        return _Span(at, at + 1, str(first), str(first + 9))
    return None


def _with_month(tokens: Sequence[_Token], at: int, today: date) -> _Span | None:
    """Read "14 july 2019", "july 14, 2019", "july 2019", "2019 july"."""
    here = at
    day = _day_number(tokens, here)
    if day:
        here = _skipped(tokens, here + 1, OF)
    month = _month(tokens, here)
    if month:
        here += 1
        later = _skipped(tokens, here, OF)
        if not day and (day := _day_number(tokens, later)):
            later = _skipped(tokens, later + 1, OF)
        year = _year(tokens, later, today)
        if year:
            return _day(at, later + 1, today, year, month, *([day] if day else []))
        return None
    year = _year(tokens, at, today)
    if year and (month := _month(tokens, at + 1)) and tokens[at + 1].word not in ("may", "march"):
        return _day(at, at + 2, today, year, month)
    return None


def _with_season(tokens: Sequence[_Token], at: int, today: date) -> _Span | None:
    """Read "summer 2021", "summer of 2021", "2021 summer", "winter 2020/21", "christmas 2020"."""
    season = _season(tokens, at)
    if season or tokens[at].word in CHRISTMAS:
        later = _skipped(tokens, at + 1, OF)
        year = _year(tokens, later, today)
        both = _YEARS.fullmatch(tokens[later].word) if later < len(tokens) else None
        if not year and season == 4 and both and _is_year(int(both[1]), today):
            year = int(both[1])
        if not year:
            return None
        if not season:
            return _Span(at, later + 1, f"{year}-12-24", f"{year}-12-26")
        return _Span(at, later + 1, *_season_of(season, year))
    year = _year(tokens, at, today)
    if year and (season := _season(tokens, at + 1)) and not _year(tokens, at + 2, today):
        return _Span(at, at + 2, *_season_of(season, year))
    return None


def _year_alone(tokens: Sequence[_Token], at: int, today: date) -> _Span | None:
    year = _year(tokens, at, today)
    if not year:
        return None
    before = tokens[at - 1].word if at else ""
    after = tokens[at + 1].word if at + 1 < len(tokens) else ""
    if before in NUMBERED or after in MEASURES:
        return None
    return _Span(at, at + 1, str(year), str(year))


def _relative(tokens: Sequence[_Token], at: int, today: date) -> _Span | None:
    """Read "yesterday", "last week", "last december", "this year", "last 7 days"."""
    word = tokens[at].word
    if found := _ago(tokens, at, today):
        return found
    if word in YESTERDAY or (word in TODAY and at in (0, len(tokens) - 1)):
        if at and tokens[at - 1].word in BEFORE:  # the day before yesterday
            return None
        day = str(today - timedelta(word in YESTERDAY))
        return _Span(at, at + 1, day, day)
    if at + 1 == len(tokens):
        return None
    what, then = tokens[at], tokens[at + 1]
    if word in LAST or word in THIS:
        if word in LAST and re.fullmatch(r"\d{1,3}", then.word) and at + 2 < len(tokens):
            return _last_of_many(tokens, at, int(then.word), today)
        what = then
    elif then.word not in LAST_AFTER:
        return None
    days = _named_days(what, today, this=word in THIS)
    return None if days is None else _Span(at, at + 2, *days)


def _ago(tokens: Sequence[_Token], at: int, today: date) -> _Span | None:
    """Read "3 days ago", "two weeks ago", "a year ago": that day, week, month or year."""
    if at + 2 >= len(tokens) or tokens[at + 2].word not in AGO:
        return None
    number = tokens[at].of_table(NUMBERS)
    if not number and re.fullmatch(r"\d{1,3}", tokens[at].word):
        number = int(tokens[at].word)
    unit = tokens[at + 1].of_table(UNITS) if number else 0
    if unit == 1:
        days = _days(today - timedelta(number), 1)
    elif unit == 2:
        days = _days(today - timedelta(today.weekday() + 7 * number), 7)
    elif unit == 4:
        months = 12 * today.year + today.month - 1 - number
        days = (f"{months // 12:04}-{months % 12 + 1:02}",) * 2
    elif unit == 5:
        days = (f"{today.year - number:04}",) * 2
    else:
        return None
    return _Span(at, at + 3, *days)


def _last_of_many(tokens: Sequence[_Token], at: int, number: int, today: date) -> _Span | None:
    days = {1: 1, 2: 7, 4: 30.44, 5: 365.25}.get(tokens[at + 2].of_table(UNITS))
    if not days or not number:
        return None
    return _Span(at, at + 3, str(today - timedelta(round(number * days))), str(today))


def _named_days(what: _Token, today: date, *, this: bool) -> tuple[str, str] | None:
    """Return the days of this or the last week, month, year, season or month of the year."""
    year, month = today.year, today.month
    unit = what.of_table(UNITS)
    monday = today - timedelta(today.weekday())
    if unit == 2:
        return (str(monday), str(today)) if this else _days(monday - timedelta(7), 7)
    if unit == 3:
        return _days(monday - timedelta(0 if this else 7) + timedelta(5), 2)
    if unit == 4:
        if not this:
            year, month = (year, month - 1) if month > 1 else (year - 1, 12)
        return (f"{year}-{month:02}",) * 2
    if unit == 5:
        return (str(year if this else year - 1),) * 2
    if season := what.of_table(SEASONS):
        if this:
            return _season_of(season, year - (season == 4 and month < 3))
        while not _over(_season_of(season, year)[1], today):
            year -= 1
        return _season_of(season, year)
    if found := what.of_table(MONTHS):
        if not this and found >= month:
            year -= 1
        return (f"{year}-{found:02}",) * 2
    return None


def _over(month: str, today: date) -> bool:
    return month < f"{today:%Y-%m}"


def _days(first: date, number: int) -> tuple[str, str]:
    return str(first), str(first + timedelta(number - 1))


def _season_of(season: int, year: int) -> tuple[str, str]:
    first = 3 * season
    if season == 4:
        return f"{year}-12", f"{year + 1}-02"
    return f"{year}-{first:02}", f"{year}-{first + 2:02}"


def _day(
    begin: int, end: int, today: date, year: int, month: int = 0, day: int = 0
) -> _Span | None:
    """Return a year, a month or a day; None if there is none such, or none yet."""
    if not _is_year(year, today) or month > 12 or (day and not month):
        return None
    if month and day > calendar.monthrange(year, month)[1]:
        return None
    text = "-".join(
        [f"{year}", *([f"{month:02}"] if month else []), *([f"{day:02}"] if day else [])]
    )
    return _Span(begin, end, text, text)


def _is_year(year: int, today: date) -> bool:
    return FIRST_YEAR <= year <= today.year


def _year(tokens: Sequence[_Token], at: int, today: date) -> int:
    """Return the year that stands at `at`; 0 for none."""
    word = tokens[at].word if at < len(tokens) else ""
    if not _YEAR.fullmatch(word) or not _is_year(int(word), today):
        return 0
    return int(word)


def _month(tokens: Sequence[_Token], at: int) -> int:
    return tokens[at].of_table(MONTHS) if at < len(tokens) else 0


def _season(tokens: Sequence[_Token], at: int) -> int:
    if at >= len(tokens):
        return 0
    # A real estate is not the Italian summer.
    if tokens[at].word == "estate" and at and tokens[at].begin == tokens[at].whole[0]:
        return 0
    return tokens[at].of_table(SEASONS)


def _day_number(tokens: Sequence[_Token], at: int) -> int:
    found = _DAY.fullmatch(tokens[at].word) if at < len(tokens) else None
    return int(found[1]) if found and 1 <= int(found[1]) <= 31 else 0


def _skipped(tokens: Sequence[_Token], at: int, words: frozenset[str]) -> int:
    while at < len(tokens) and tokens[at].word in words:
        at += 1
    return at


# ------------------------------------------------------------------ ranges, before and after


def _ranges(tokens: Sequence[_Token], atoms: Sequence[_Span]) -> Iterator[_Span]:
    """Yield the dates with those joined that are the ends of a range."""
    waiting: _Span | None = None
    for atom in atoms:
        joined = None if waiting is None else _joined(tokens, waiting, atom)
        if waiting is not None and joined is None:
            yield waiting
        waiting = joined or _from_month(tokens, atom)
    if waiting is not None:
        yield waiting


def _joined(tokens: Sequence[_Token], one: _Span, other: _Span) -> _Span | None:
    """Return the range from one date to another; None if the words between don't say so."""
    link = [token.word for token in tokens[one.end : other.begin]]
    opened = one.begin > 0 and tokens[one.begin - 1].word in FROM
    if len(link) != 1 or one.low > other.low:
        return None
    if link[0] in TO or (opened and link[0] in AND):
        return _Span(one.begin - opened, other.end, one.low, other.high)
    return None


def _from_month(tokens: Sequence[_Token], atom: _Span) -> _Span:
    """Return "july 2019" together with "may to" before it."""
    begin = atom.begin
    first = _month(tokens, begin - 2) if begin > 1 else 0
    if first and len(atom.low) == 7 and tokens[begin - 1].word in TO | LINKS:
        low = f"{atom.low[:4]}-{first:02}"
        if low < atom.low:
            opened = begin > 2 and tokens[begin - 3].word in FROM
            return _Span(begin - 2 - opened, atom.end, low, atom.high)
    return atom


def _qualified(tokens: Sequence[_Token], spans: Iterator[_Span]) -> Iterator[_Span]:
    """Yield the dates with what stands before them; without those that are not wanted."""
    taken = 0
    for span in spans:
        begin, low, high = span.begin, span.low, span.high
        before = begin
        while before > taken and tokens[before - 1].word in WITH_DATE:
            before -= 1
        word = tokens[before - 1].word if before > taken else ""
        if word in NOT:
            continue
        where = f"date:{low}" if low == high else f"date:{low}..{high}"
        # As in "vor dem Sommer 2021".
        for words, qualified in (
            (BEFORE, f"before:{low}"), (AFTER, f"after:{high}"),
            (SINCE, f"date:{low}.."), (UNTIL, f"date:..{high}"),
        ):  # fmt: skip
            if word in words:
                where, begin, before = qualified, before - 1, before - 1
                break
        while before > taken and tokens[before - 1].word in WITH_DATE:
            before -= 1
        taken = span.end
        if taken < len(tokens) and tokens[taken].word in AFTER_YEAR:
            taken += 1
        yield _Span(begin, taken, low, high, before, where)
