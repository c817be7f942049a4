"""The query language: what texts mean, what is refused and where, and that printing is reading's
inverse."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixseek import filters
from pixseek.errors import QueryError
from pixseek.search import language_fields
from pixseek.search.language import parse, to_text
from pixseek.types import And, Compare, Filter, Not, Or, Query, Record, Region, Stamp, Term
from pixseek.types.queries import MAX_CHARACTERS, MAX_TERMS

# ------------------------------------------------------------------ terms


def text(value: str, weight: float = 1.0) -> Term:
    return Term("text", value, weight)


def either(first: str, *others: str, weight: float = 1.0) -> Term:
    return Term("text", first, weight, alternatives=tuple(map(text, others)))


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("a dog on a beach", Query((text("a dog on a beach"),))),
        ('"a dog" "a beach"', Query((text("a dog"), text("a beach")))),
        ('2*"a dog" .5*beach', Query((text("a dog", 2), text("beach", 0.5)))),
        ("dog -frisbee", Query((text("dog"),), exclude=(text("frisbee"),))),
        ('dog -"a red ball"', Query((text("dog"),), exclude=(text("a red ball"),))),
        ("city -0.5*night", Query((text("city"), text("night", -0.5)))),
        ("a=b x<3", Query((text("a=b x<3"),))),
        ('"rating>=4" iso<', Query((text("rating>=4"), text("iso<")))),
        ("image:ball.jpg", Query((Term("image", "ball.jpg"),))),
        ('image:"my ball.jpg" x', Query((Term("image", "my ball.jpg"), text("x")))),
        ("image:https://e.org/a.jpg", Query((Term("image", "https://e.org/a.jpg"),))),
        ("2*id:k3v5 -image:x", Query((Term("id", "k3v5", 2),), exclude=(Term("image", "x"),))),
        ("image:a.jpg@0.1,0,.5,1", Query((Term("image", "a.jpg", 1, Region(0.1, 0, 0.5, 1)),))),
        ('image:"a@b"@10,20,300,400', Query((Term("image", "a@b", 1, Region(10, 20, 300, 400)),))),
        ("id:k3v5@0.1,0,.5,1 x", Query((Term("id", "k3v5", 1, Region(0.1, 0, 0.5, 1)), text("x")))),
        ('-id:"k@v"@1,2,3,4', Query((), exclude=(Term("id", "k@v", 1, Region(1, 2, 3, 4)),))),
        ("id:k3v5@home", Query((Term("id", "k3v5@home"),))),
        ("image:me@home.jpg", Query((Term("image", "me@home.jpg"),))),
        (r'"say \"cheese\" \\ now"', Query((text(r'say "cheese" \ now'),))),
        ("t-shirt - cat --x 5* *", Query((text("t-shirt - cat --x 5* *"),))),
        ("a man (left), at 12:30: smiling", Query((text("a man (left) , at 12:30: smiling"),))),
        ('"OR" "AND" "NOT"', Query((text("OR"), text("AND"), text("NOT")))),
        ("dog NOT snow", Query((text("dog"),), exclude=(text("snow"),))),
        ("a man NOT wearing a hat", Query((text("a man"),), exclude=(text("wearing a hat"),))),
        ("NOT snow", Query((), exclude=(text("snow"),))),
        ("dog NOT NOT snow", Query((text("dog"), text("snow")))),
        ("dog NOT -snow", Query((text("dog"), text("snow")))),
        ('dog NOT "a red ball" cat', Query((text("dog"), text("cat")), (text("a red ball"),))),
        ("dog AND snow", Query((text("dog"), text("snow")))),
        ("a dog AND a cat AND NOT red", Query((text("a dog"), text("a cat")), (text("red"),))),
        ("dog AND -red", Query((text("dog"),), (text("red"),))),
        ("dog AND image:a.jpg", Query((text("dog"), Term("image", "a.jpg")))),
        ("dog NOT image:a.jpg", Query((text("dog"),), (Term("image", "a.jpg"),))),
        ("2*dog AND cat", Query((text("dog", 2), text("cat")))),
        ("dog NOT 2*cat", Query((text("dog"), text("cat", -2)))),
        ("(dog AND cat)", Query((text("dog"), text("cat")))),
        ("a (dog AND cat) in snow", Query((text("a dog in snow"), text("a cat in snow")))),
        ("NOT (cat AND snow) dog", Query((text("dog"),), (text("cat and snow"),))),
        ("NOT (cat OR snow) dog", Query((text("dog"),), (text("cat"), text("snow")))),
        ("dog NOT (cat AND snow)", Query((text("dog"),), (text("cat and snow"),))),
        ("-(red ball) dog", Query((text("dog"),), (text("red ball"),))),
        ("2*(red ball)", Query((text("red ball", 2),))),
        ("(a dog)", Query((text("a dog"),))),
        ("()", Query((text("()"),))),
        (
            "dog and snow or cat not Or And Not",
            Query((text("dog and snow or cat not Or And Not"),)),
        ),
        ("a dog OR a cat", Query((either("a dog", "a cat"),))),
        ("dog OR cat OR bird", Query((either("dog", "cat", "bird"),))),
        ('"a dog" OR "a cat" snow', Query((either("a dog", "a cat"), text("snow")))),
        ("dog OR cat AND snow", Query((either("dog", "cat"), text("snow")))),
        ("a (red OR blue) car", Query((either("a red car", "a blue car"),))),
        ("(x OR y) (z OR w)", Query((either("x z", "x w", "y z", "y w"),))),
        ("(dog OR cat) AND (red OR blue)", Query((either("dog", "cat"), either("red", "blue")))),
        ("(dog OR cat) OR bird", Query((either("dog", "cat", "bird"),))),
        ("(dog AND snow) OR cat", Query((either("dog and snow", "cat"),))),
        ("2*(dog OR cat)", Query((either("dog", "cat", weight=2),))),
        ("-0.5*(dog OR cat)", Query((either("dog", "cat", weight=-0.5),))),
        ("x -(dog OR cat)", Query((text("x"),), (text("dog"), text("cat")))),
        ("x NOT (dog OR cat)", Query((text("x"),), (text("dog"), text("cat")))),
        ("dog OR cat -red", Query((either("dog", "cat"),), (text("red"),))),
        (
            "dog OR image:a.jpg",
            Query((Term("text", "dog", alternatives=(Term("image", "a.jpg"),)),)),
        ),
        ("ANDREA ORAND NOTE AND/OR dog", Query((text("ANDREA ORAND NOTE AND/OR dog"),))),
        ("ｄｏｇ　ＡＮＤ　cat", Query((text("dog"), text("cat")))),
        ("not this and that", Query((text("not this and that"),))),
        ("", Query(())),
    ],
)
def test_meaning_of_terms(typed: str, query: Query) -> None:
    assert parse(typed) == query
    assert parse(to_text(query)) == query


# ------------------------------------------------------------------ what phones and Macs type


@pytest.mark.parametrize(
    ("typed", "straight"),
    [
        ("“a dog” beach", '"a dog" beach'),
        ("„a dog“ „a cat”", '"a dog" "a cat"'),
        ("‟a dog”", '"a dog"'),
        ("”a dog” ”a cat”", '"a dog" "a cat"'),
        ("“a dog“ x", '"a dog" x'),
        ('“a dog" x', '"a dog" x'),
        ('"a dog” x', '"a dog" x'),
        ("« un chien » «chat»", '"un chien" "chat"'),
        ("»ein Hund« »en hund»", '"ein Hund" "en hund"'),
        ("‹a dog› ›a cat‹", '"a dog" "a cat"'),
        ("‘a dog’ x", '"a dog" x'),
        ("‘a dog’s life’ x", '"a dog’s life" x'),
        ("‚a dog‘ ‚a cat’", '"a dog" "a cat"'),
        ("❝a dog❞ x", '"a dog" x'),
        ("「a dog」『a cat』", '"a dog" "a cat"'),
        ("＂ａ　ｄｏｇ＂", '"a dog"'),
        ("“狗”AND“猫”NOT“雪”", '"狗" AND "猫" NOT "雪"'),
        ('"dog"OR"cat"', '"dog" OR "cat"'),
        ("“狗”“猫”", '"狗" "猫"'),
        ("红色“跑车”", '红色 "跑车"'),
        ("“say “cheese” now", '"say “cheese" now'),
        ("-“a dog” –“a cat” x", '-"a dog" -"a cat" x'),
        ("2*“a dog” ２＊cat", '2*"a dog" 2*cat'),
        ("dog –snow —cat −red －blue ‑x", "dog -snow -cat -red -blue -x"),
        ("city −0.5*night", "city -0.5*night"),
        ("tag:“a b” tag:‘c d’ name:«e»", 'tag:"a b" tag:"c d" name:"e"'),
        ("tag：dog　ｙｅａｒ：２０２１", "tag:dog year:2021"),
        (
            "width：＞＝１９２０ width:≥5 width:≤9 width:≠7",
            "width:>=1920 width:>=5 width:<=9 width:!=7",
        ),
        ("（tag:a OR tag:b）", "(tag:a OR tag:b)"),
        ("width：in（1，2，3）", "width:in(1,2,3)"),
        ("date:2021–05..2021—08", "date:2021-05..2021-08"),
        ("near:−33.9,151.2,5", "near:-33.9,151.2,5"),
        ("image:“my ball.jpg”@0.1,0,.5,1", 'image:"my ball.jpg"@0.1,0,.5,1'),
        ("a man（left）", "a man (left)"),
        ("dog\u00a0\u3000\u2009beach", "dog beach"),
    ],
)
def test_curly_and_wide_characters_mean_what_the_straight_ones_mean(
    typed: str, straight: str
) -> None:
    assert parse(typed) == parse(straight)


@pytest.mark.parametrize(
    "word",
    ["dog’s", "dogs’", "’tis", "‘tis", "l’été", "19”", "t–shirt", "1990—1999", "— dog", "dog – cat",
     "——dog", "--dog", "→", "rock ‘n’ roll", "the ‘60s kids’ toys", "‘tis the dogs’ ball",
     "5’ 6”", "»", "a » b", "‘", "x‘y’z"],
)  # fmt: skip
def test_apostrophes_and_dashes_within_words_are_letters(word: str) -> None:
    assert parse(word) == Query((text(word),))


@pytest.mark.parametrize("value", ["写真（1）.jpg", "ＤＳＣ０１", "it’s", "2019–2020", "（1）"])
def test_values_with_curly_and_wide_characters_find_names_of_either_kind(value: str) -> None:
    where = parse(f"name:{value}").where
    assert where is not None
    usual = "".join(
        {"–": "-"}.get(c, chr(ord(c) - 0xFEE0) if "！" <= c <= "～" else c) for c in value
    )
    for name in (value, usual):
        record = Record("i", f"root/{name}", Stamp(1, 0), media="image/jpeg")
        assert filters.matches(where, record)
    assert parse(f'name:"{value}"').where == c("name", "contains", value)


# ------------------------------------------------------------------ filters


def day(year: int, month: int = 1, day: int = 1) -> datetime:
    return datetime(year, month, day)


def c(field: str, op: str, value: object = None) -> Compare:
    return Compare(field, op, value)  # type: ignore[arg-type]


YEAR_2021 = And((c("taken_at", "ge", day(2021)), c("taken_at", "lt", day(2022))))


@pytest.mark.parametrize(
    ("typed", "where"),
    [
        ("width:>=1920", c("width", "ge", 1920)),
        ("width:800..1200", And((c("width", "ge", 800), c("width", "le", 1200)))),
        ("width:800..", c("width", "ge", 800)),
        ("size:>2MB", c("size", "gt", 2_000_000)),
        ("size:<1.5KiB", c("size", "lt", 1536)),
        ("exposure_s:<=1/125", c("fields.exposure_s", "le", 1 / 125)),
        ("iso:100..400", And((c("fields.iso", "ge", 100), c("fields.iso", "le", 400)))),
        ("year:2021", YEAR_2021),
        ("date:2021", YEAR_2021),
        ("date:2021-02", And((c("taken_at", "ge", day(2021, 2)),
                              c("taken_at", "lt", day(2021, 3))))),
        ("date:2020-02-29", And((c("taken_at", "ge", day(2020, 2, 29)),
                                 c("taken_at", "lt", day(2020, 3, 1))))),
        ("date:2021..2022-06", And((c("taken_at", "ge", day(2021)),
                                    c("taken_at", "lt", day(2022, 7))))),
        ("after:2023-05", c("taken_at", "ge", day(2023, 6))),
        ("before:2020", c("taken_at", "lt", day(2020))),
        ("taken_at:>2021", c("taken_at", "ge", day(2022))),
        ("taken_at:<=2021", c("taken_at", "lt", day(2022))),
        ("taken_at:!=2021", Not(YEAR_2021)),
        ("taken_at:>2021-05-03T14:30", c("taken_at", "gt", datetime(2021, 5, 3, 14, 30))),
        ("taken_at:=2021-05-03T14:30:00+00:00",
         c("taken_at", "eq", datetime(2021, 5, 3, 14, 30, tzinfo=UTC))),
        ("after:9998", c("taken_at", "ge", day(9999))),
        ("name:IMG", c("name", "contains", "IMG")),
        ("name:IMG_*.jpg", c("name", "glob", "IMG_*.jpg")),
        ('name:="a b.jpg"', c("name", "eq", "a b.jpg")),
        ("name:~*.png", c("name", "glob", "*.png")),
        ("caption:*=dog", c("caption", "contains", "dog")),
        ("folder:2021/summer/", c("folder", "under", "2021/summer")),
        ("folder:/home/me/2021", c("folder", "under", "/home/me/2021")),
        ("folder:*/raw", Or((c("folder", "glob", "*/raw"), c("folder", "glob", "*/raw/*"),
                             c("uri", "glob", "*/raw/*")))),
        ("folder:~/Pictures", c("folder", "under", "~/Pictures")),
        ("folder:~", c("folder", "under", "~")),
        ('folder:~"/x"', c("folder", "glob", "/x")),
        ('folder:="2021"', c("folder", "eq", "2021")),
        ('folder:^="what?"', c("folder", "under", "what?")),
        ("path:^=Photos/2021", c("uri", "under", "Photos/2021")),
        ("path:beach", c("uri", "contains", "beach")),
        ("tag:holiday", c("tags", "contains", "holiday")),
        ("tag:hol*", c("tags", "glob", "hol*")),
        ("tag:=holiday", c("tags", "contains", "holiday")),
        ("tag:!=holiday", Not(c("tags", "contains", "holiday"))),
        ("tag:in(a,b)", Or((c("tags", "contains", "a"), c("tags", "contains", "b")))),
        ("camera:nikon", c("camera", "contains", "nikon")),
        ("camera:nik*", c("camera", "glob", "nik*")),
        ('camera:="NIKON D70"', c("camera", "eq", "NIKON D70")),
        ('camera:"NIKON  CORPORATION"', Or((c("camera", "contains", "NIKON CORPORATION"),
                                            c("camera", "contains", "NIKON")))),
        ('person:"Ann Lee"', c("person", "contains", "Ann Lee")),
        ("person:ann*", c("person", "glob", "ann*")),
        ("has:person", c("person", "exists")),
        ("colour:Red", c("colour", "contains", "red")),
        ("color:in(gray,red)", Or((c("colour", "contains", "grey"),
                                   c("colour", "contains", "red")))),
        ("format:=JPEG", c("media", "eq", "image/jpeg")),
        ("format:image/x-odd", c("media", "glob", "image/x-odd")),
        ("year:none", Not(c("taken_at", "exists"))),
        ("date:none", Not(c("taken_at", "exists"))),
        ("has:year", c("taken_at", "exists")),
        ("year:>2021", c("taken_at", "ge", day(2022))),
        ('year:="2021"', YEAR_2021),
        ("year:in(2021,2023)", Or((YEAR_2021, And((c("taken_at", "ge", day(2023)),
                                                   c("taken_at", "lt", day(2024))))))),
        ("lens:50mm", c("fields.lens", "contains", "50mm")),
        ("flash:yes", c("fields.flash", "eq", True)),
        ("rating:>=4", c("fields.rating", "ge", 4)),
        ("rating:4..5", And((c("fields.rating", "ge", 4), c("fields.rating", "le", 5)))),
        ("format:jpg", c("media", "eq", "image/jpeg")),
        ("format:HEIC", c("media", "eq", "image/heic")),
        ("type:video", c("media", "glob", "video/*")),
        ("has:caption", c("caption", "exists")),
        ("has:gps", c("fields.latitude", "exists")),
        ("has:tag", c("tags", "exists")),
        ("has:year", c("taken_at", "exists")),
        ("has:camera", c("camera", "exists")),
        ("has:colour", c("colour", "exists")),
        ("has:format", c("media", "exists")),
        ("taken:2021", YEAR_2021),
        ("tag:a AND year:2021", And((c("tags", "contains", "a"), YEAR_2021))),
        ("NOT NOT tag:a", c("tags", "contains", "a")),
        ("-has:rating", Not(c("fields.rating", "exists"))),
        ("user.price:>9.5", c("fields.user.price", "gt", 9.5)),
        ("fields.n:5", c("fields.n", "eq", 5)),
        ("fields.n:true", c("fields.n", "eq", True)),
        ('fields.n:="5"', c("fields.n", "eq", "5")),
        ("fields.shop:anna", c("fields.shop", "contains", "anna")),
        ("fields.sold:>2021-05-03", c("fields.sold", "gt", day(2021, 5, 3))),
        ("width:in(1,2,3)", c("width", "in", (1, 2, 3))),
        ('name:in("a,b.jpg" , c.jpg)', c("name", "in", ("a,b.jpg", "c.jpg"))),
        ("tag:a OR tag:b year:2021",
         And((Or((c("tags", "contains", "a"), c("tags", "contains", "b"))), YEAR_2021))),
        ("(tag:a tag:b) OR -tag:c",
         Or((And((c("tags", "contains", "a"), c("tags", "contains", "b"))),
             Not(c("tags", "contains", "c"))))),
        ("NOT (tag:a OR tag:b)",
         Not(Or((c("tags", "contains", "a"), c("tags", "contains", "b"))))),
        ("tag:a AND NOT tag:b",
         And((c("tags", "contains", "a"), Not(c("tags", "contains", "b"))))),
        ("tag:a OR NOT tag:b",
         Or((c("tags", "contains", "a"), Not(c("tags", "contains", "b"))))),
    ],
)  # fmt: skip
def test_meaning_of_filters(typed: str, where: Filter) -> None:
    found = parse(typed)
    assert found == Query((), where=where)
    assert parse(to_text(found)) == found
    assert parse(f"a dog {typed}") == Query((text("a dog"),), where=where)
    filters.check(where)


def test_every_field_has_a_meaning_and_a_valid_example() -> None:
    for name, field in language_fields.FIELDS.items():
        assert field.meaning
        assert field.example.startswith(f"{name}:")
        assert parse(field.example).where is not None, name


# ------------------------------------------------------------------ invalid text


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ('a "dog', ["quotation mark is not closed", "character 3"]),
        ("dog OR -cat", ["OR can't join what is to be left out", "character 5"]),
        ("x NOT dog OR cat", ["OR can't join what is to be left out", "NOT (a OR b)"]),
        ("2*dog OR cat", ["without weights", "character 7", '2*("a dog" OR "a cat")']),
        ("dog OR", ["nothing follows OR", "character 5"]),
        ("dog OR AND cat", ["nothing follows OR", "character 5"]),
        ("(dog OR) cat", ["nothing follows OR", "character 6"]),
        ("a (1 OR 2 OR 3 OR 4 OR 5) b (1 OR 2 OR 3 OR 4)", ["more than 16 texts", "character 1"]),
        ("dog rating>=4", ["A filter has a colon", "Write rating:>=4.", "character 5"]),
        ("dog fields.price<25", ["A filter has a colon", "Write fields.price:<25.", "character 5"]),
        ("Year==2019", ["Write Year:2019.", "character 1"]),
        ("(-size!=3)", ["Write size:!=3.", "character 3"]),
        ("dog OR image:a.jpg OR tag:x", ["OR joins filters", "character 20"]),
        ("tag:a OR", ["nothing follows OR", "character 7"]),
        ("tag:a OR dog", ["OR joins filters", "character 7"]),
        ("dog OR tag:a", ["OR joins filters", "character 5"]),
        ("OR", ["nothing stands before OR", "character 1", 'in quotes: "OR"']),
        ("OR dog", ["nothing stands before OR", "character 1"]),
        ("AND", ["nothing stands before AND", "character 1"]),
        ("AND dog", ["nothing stands before AND", "character 1"]),
        ("dog AND", ["nothing follows AND", "character 5"]),
        ("dog AND AND cat", ["nothing stands before AND", "character 9"]),
        ("dog AND OR cat", ["nothing stands before OR", "character 9"]),
        ("dog NOT", ["nothing follows NOT", "character 5"]),
        ("NOT", ["nothing follows NOT", "character 1"]),
        ("dog NOT AND cat", ["nothing follows NOT", "character 5"]),
        ("(dog AND) cat", ["nothing follows AND", "character 6"]),
        ("dog (NOT) cat", ["nothing follows NOT", "character 6"]),
        ("tag:a OR OR tag:b", ["nothing follows OR", "character 7"]),
        ("“a” dog ＮＯＴ", ["nothing follows NOT", "character 9"]),
        ("dog “a cat", ["quotation mark is not closed", "character 5"]),
        ("dog « chat", ["quotation mark is not closed", "character 5"]),
        ("狗　（tag:a", ["parenthesis is not closed", "character 3"]),
        ("2*(dog AND cat)", ["weight stands before one thing", "character 1"]),
        ("NOT (dog -cat)", ["can't be left out", "character 1"]),
        ("(a AND b AND c) (d AND e AND f) (g AND h)", ["more than 16 texts", "character 1"]),
        ("(tag:a", ["parenthesis is not closed", "character 1"]),
        ("tag:a)", ["closing parenthesis", "character 6"]),
        ("(tag:a dog)", ["parentheses join filters", "character 8"]),
        ("widht:3", ["unknown field", "widht", "Did you mean 'width'"]),
        ("colr:red", ["unknown field", "Known fields", "fields.NAME"]),
        ("http://e.org/a.jpg", ["image:http://"]),
        ("width:wide", ["not a number", "width:wide", ">=5"]),
        ("date:yesterday", ["not a date: date:yesterday", "2021-05"]),
        ("date:2021-13", ["not a date: date:2021-13"]),
        ("year:2019..20x1", ["not a date: year:20x1"]),
        ("date:..", ["range without an end"]),
        ("flash:maybe", ["neither true nor false: flash:maybe"]),
        ("format:jpgg", ["unknown format", "Known formats", "jpeg"]),
        ("orientation:up", ["unknown orientation", "landscape"]),
        ("type:song", ["unknown type", "video"]),
        ("near:here", ["not a place", "LATITUDE"]),
        ("near:91,0", ["not a place"]),
        ("2*tag:a", ["filter can't have a weight", "character 1"]),
        ("0*dog", ["weight must be finite and not 0"]),
        ('""', ["no words between", "character 1"]),
        ("image:a@0,0,0,1", ["not a rectangle"]),
        ("image:a@1e308,1e308,1e308,1e308", ["not a rectangle"]),
        ("width:in(1,2", ["list is not closed"]),
        ("after:>2021", ["after takes no operator", "after:2023-05"]),
        ("tags:>a", ["doesn't support the operator"]),
        ("date:~2021", ["date doesn't support", "date:~2021", "Operators for date: =, !="]),
        ("taken:yesterday", ["not a date: taken:yesterday"]),
        ("date：2021–13", ["not a date: date:2021-13", "character 1"]),
        ("after:x", ["not a date: after:x"]),
        ("rating:x", ["not a number: rating:x"]),
        ("rating:in(x)", ["not a number: rating:x"]),
        ("tag:>a", ["tag doesn't support", "tag:>a", "Operators for tag: ~, *="]),
        ("location:here", ["location has no single value", "near:"]),
        ('path:"\0"', ["path can't be compared with invalid text"]),
        ("name:=", ["needs a value", "character 1"]),
        ("(" * 30, ["nested too deeply"]),
    ],
)
def test_invalid_text_raises_query_error_with_place_and_advice(
    typed: str, words: list[str]
) -> None:
    with pytest.raises(QueryError) as caught:
        parse(typed)
    said = str(caught.value).lower()
    for word in words:
        assert word.lower() in said, said
    for name in ("taken_at", "fields.rating", "colour_names"):
        assert name not in said.partition("known fields")[0]


@pytest.mark.parametrize("field", sorted(language_fields.FIELDS))
def test_errors_name_the_field_that_was_typed(field: str) -> None:
    for value in ("\0", "~x", ">x", "in(\0)", "x" * 20_000, "0..x"):
        with contextlib.suppress(QueryError):
            parse(f"{field}:{value}")
            continue
        with pytest.raises(QueryError) as caught:
            parse(f"{field}:{value}")
        said = f"{caught.value.problem} {caught.value.subject}"
        assert "taken_at" not in said and "fields." not in said, said


# ------------------------------------------------------------------ for any text, any query

_pieces = st.sampled_from(
    [*'"()-*@:,.=<>~\\ \t', *"“”„‟«»‹›‘’‚‛＂「」–—−－：（）　，≥ｄ",
     " OR ", " AND ", " NOT ", "OR", "AND", "NOT", "in(", "..", "dog", "2*", "tag:", "width:",
     "image:", "id:", "date:2021", "year:", "name:=", "é", "日本", "\0", "\ud800", "fields.x:",
     "has:", "1e400"]
)  # fmt: skip


@settings(max_examples=500)
@given(st.one_of(st.text(max_size=60), st.lists(_pieces, max_size=12).map("".join)))
def test_any_text_is_a_query_or_a_clear_error(typed: str) -> None:
    try:
        query = parse(typed)
    except QueryError as error:
        assert error.problem
        return
    assert parse(to_text(query)) == query


_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
_words = _texts.filter(str.strip)
_weights = st.floats(1e-6, 1e6).flatmap(lambda w: st.sampled_from([1.0, w, -w]))
_fractions = st.floats(0.01, 1)
_regions = st.none() | st.builds(
    Region, st.floats(0, 0.9), st.floats(0, 0.9), _fractions, _fractions
)
_terms = st.one_of(
    st.builds(Term, st.just("text"), _words, _weights),
    st.builds(Term, st.just("id"), _texts, _weights, _regions),
    st.builds(Term, st.just("image"), _texts, _weights, _regions),
)
_alternatives = st.lists(_terms.map(lambda t: replace(t, weight=1.0)), max_size=3).map(tuple)
_sought = st.builds(lambda t, more: replace(t, alternatives=more), _terms, _alternatives)
_moments = st.datetimes(timezones=st.sampled_from([None, UTC]))
_numbers = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False)
_orders = st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"])
_compares = st.one_of(
    st.builds(Compare, st.sampled_from(["name", "uri", "caption", "folder"]),
              _orders | st.sampled_from(["glob", "contains"]), _texts),
    st.builds(Compare, st.sampled_from(["width", "size", "fields.iso"]), _orders, _numbers),
    st.builds(Compare, st.just("taken_at"), _orders, _moments),
    st.builds(Compare, st.just("fields.x"), _orders, _texts | _numbers | st.booleans()),
    st.builds(Compare, st.just("tags"), st.sampled_from(["contains", "glob"]), _texts),
    st.builds(Compare, st.just("name"), st.just("in"), st.lists(_texts, max_size=3).map(tuple)),
    st.builds(Compare, st.sampled_from(["caption", "tags", "fields.x"]), st.just("exists")),
)  # fmt: skip
_several = lambda inner: st.lists(inner, min_size=2, max_size=3).map(tuple)  # noqa: E731
_filters = st.recursive(
    _compares,
    lambda inner: st.one_of(
        st.builds(And, _several(inner)), st.builds(Or, _several(inner)), st.builds(Not, inner)
    ),
    max_leaves=8,
)


@settings(max_examples=150)
@given(
    st.lists(_sought, max_size=3),
    st.lists(_terms.map(lambda t: Term(t.kind, t.value, 1.0, t.region)), max_size=2),
    st.none() | _filters,
)
def test_printing_and_parsing_again_gives_the_same_query(
    terms: list[Term], exclude: list[Term], where: Filter | None
) -> None:
    query = Query(tuple(terms), exclude=tuple(exclude), where=where)
    assert parse(to_text(query)) == query


def test_terms_in_memory_have_no_text() -> None:
    with pytest.raises(QueryError, match="can't be written"):
        to_text(Query((Term("vector", [1.0, 0.0]),)))


def test_filters_of_the_language_match_the_right_records() -> None:
    record = Record(
        "i", "Pictures/2021/summer/IMG_1.JPG", Stamp(3_000_000, 0), media="image/jpeg",
        width=4000, height=3000, taken_at=datetime(2021, 7, 1, 12), tags=("Beach",),
        fields={"camera_make": "NIKON", "camera_model": "D90", "rating": 4},
    )  # fmt: skip
    for typed in ("folder:2021", "name:img", "camera:nikon", "tag:beach", "date:2021-06..2021-07",
                  "size:>2MB", "rating:>=4", "format:jpeg", "path:*/summer/*"):  # fmt: skip
        where = parse(typed).where
        assert where is not None and filters.matches(where, record), typed
        negated = parse(f"-{typed}").where
        assert negated is not None and not filters.matches(negated, record), typed


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("year:2019", "year:2019"),
        ("date:2019-07..2020", "date:2019-07..2020"),
        ("after:2023-05", "date:2023-06.."),
        ("before:2020 tag:holiday", "before:2020 tag:holiday"),
        ("camera:nikon", "camera:nikon"),
        ("folder:2021/summer", "folder:2021/summer"),
        ('tag:"a b"', 'tag:"a b"'),
        ("-has:date", "-has:date"),
        ("has:camera", "has:camera"),
        ("type:image format:jpg", "type:image format:jpeg"),
        ("orientation:portrait", "orientation:portrait"),
        ("rating:4..5 iso:>=100", "rating:4..5 iso:>=100"),
        ("taken:>2021-05-03T14:30", "date:>2021-05-03T14:30:00"),
        ("(year:2019 OR tag:x) -camera:nikon", "(year:2019 OR tag:x) -camera:nikon"),
        ("fields.n:true", "fields.n:=true"),
        ("a dog OR a cat", '("a dog" OR "a cat")'),
        ("(a OR b) AND (c OR d)", '("a" OR "b") AND ("c" OR "d")'),
    ],
)
def test_filters_are_written_as_people_type_them(typed: str, written: str) -> None:
    assert to_text(parse(typed)) == written
    assert repr(parse(written)) == repr(parse(typed))


# ------------------------------------------------------------------ limits


def test_a_query_has_a_limited_length_and_number_of_things() -> None:
    assert len(parse("a" * MAX_CHARACTERS).terms[0].value) == MAX_CHARACTERS
    assert len(parse('"a" ' * MAX_TERMS).terms) == MAX_TERMS
    assert parse("year:2021 " * 100).terms == ()
    for typed, place in (
        ("a " * 6_000, "at character 10001"),
        ('"a" ' * 65, "'\"a\" ' at character 257"),
        ('-"a" ' * 65, "at character 322"),
        ('(a OR b) "c" ' * 22, "at character 280"),
        ('"a" OR ' * 64 + '"b"', "'\"b\"' at character 449"),
    ):
        with pytest.raises(QueryError, match=r"too long|Too many things") as caught:
            parse(typed)
        assert str(caught.value.subject).endswith(place)
        assert caught.value.advice


_LONG = [
    "1", "9.", "1e", '"a" ', "”\"a\" ", "“@", "“a", "‚a ", "‹ ”", "» «", "a:", "(a) ", "-a ",
    "2*a ", "1..", "image:a@1,", "@1,1,", "NOT ", "a OR ", "年", "2019 to ", "last ", "july 1, ",
    "1/5/", "L'", ".;!", "a:in(1,", '\\"', "（a", "size:1kb ", "-–", "*?",
]  # fmt: skip


@pytest.mark.parametrize("piece", _LONG)
def test_long_texts_are_read_in_linear_time(piece: str) -> None:
    began = time.process_time()
    for start in ("", "width:", "size:", "image:a@", '"', "a:in("):
        with contextlib.suppress(QueryError):
            parse(start + piece * ((MAX_CHARACTERS - 9) // len(piece)), today=date(2026, 1, 1))
    # A quadratic step takes seconds for each.
    assert time.process_time() - began < 5
