"""The JSON shapes: what is written, and that queries and parts come back as they were."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixseek.errors import QueryError
from pixseek.library import RootStatus, Status
from pixseek.library.status import Contents, LastRun
from pixseek.search.background import Calibration
from pixseek.search.language import parse
from pixseek.types import (
    WHOLE,
    Acceleration,
    And,
    Compare,
    Exclusion,
    Failure,
    Hit,
    Not,
    Or,
    Part,
    Query,
    Reach,
    Reason,
    Record,
    Region,
    Report,
    Results,
    Space,
    Term,
)
from pixseek.wire import (
    hit_to_plain,
    part_from_plain,
    part_to_plain,
    query_from_plain,
    query_label,
    query_to_plain,
    record_to_plain,
    report_to_plain,
    results_to_plain,
    status_to_plain,
)


def test_json_of_a_record_keeps_zero_and_false() -> None:
    record = Record(
        "abc",
        "Photos/a.jpg",
        tags=("lake",),
        fields={
            "flash": False,
            "altitude_m": 0.0,
            "exposure_bias_ev": 0,
            "title": "",
            "user.tags_added": '["lake"]',
            "file.tags": "no list",
        },
    )
    assert record_to_plain(record) == {
        "id": "abc",
        "uri": "Photos/a.jpg",
        "tags": ["lake"],
        "flash": False,
        "altitude_m": 0.0,
        "exposure_bias_ev": 0,
        "user.tags_added": ["lake"],
    }


def test_json_of_results() -> None:
    record = Record(
        "abc",
        "Photos/a.jpg",
        width=4,
        height=3,
        media="image/jpeg",
        taken_at=datetime(2020, 2, 29, 12, 30),
        caption="a lake",
        tags=("lake", "dawn"),
        fields={"taken_precision": "minute"},
    )
    why = (Reason("text", "a dog", 0.123456789, 2.5, strength="likely"),)
    tile = Part("tile", (0.0, 0.5, 0.5, 0.5))
    hit = Hit(1, record, tile, 0.123456789, Path("/photos/a.jpg"), "likely", 0.5, why, ("ghi",))
    url = Hit(2, Record("def", "https://example.org/b.jpg"), WHOLE, 0.1, None)
    query = Query((Term("text", "a dog"),), k=2)
    results = Results(
        (hit, url), query, {"encode": 1.23456, "total": 2.0}, "tiny", ("careful",), 1, 2, 3, 4,
        (Exclusion("snow", 7),), search=Reach(False, 200),
    )  # fmt: skip
    assert json.loads(json.dumps(results_to_plain(results))) == {
        "query": "a dog",
        "query_kind": "text",
        "k": 2,
        "offset": 0,
        "took_ms": {"encode": 1.235, "total": 2.0},
        "model": "tiny",
        "warnings": ["careful"],
        "strong": 1,
        "likely": 2,
        "confident": 1,
        "possible": 2,
        "looked_at": 3,
        "total": 4,
        "excluded": [{"what": "snow", "count": 7}],
        "search": {"exact": False, "breadth": 200},
        "hits": [
            {
                "rank": 1,
                "id": "abc",
                "path": str(Path("/photos/a.jpg")),
                "is_there": False,
                "part": {"kind": "tile", "box": [0.0, 0.5, 0.5, 0.5]},
                "score": 0.123457,
                "strength": "likely",
                "probability": 0.5,
                "confidence": 0.5,
                "why": [
                    {
                        "kind": "text",
                        "what": "a dog",
                        "score": 0.123457,
                        "deviations": 2.5,
                        "weight": 1.0,
                        "strength": "likely",
                    }
                ],
                "duplicates": ["ghi"],
                "excluded_by": "",
                "group": None,
                "others": 0,
                "group_filter": "",
                "moments": [],
                "duration_s": None,
                "uri": "Photos/a.jpg",
                "width": 4,
                "height": 3,
                "media": "image/jpeg",
                "taken_at": "2020-02-29T12:30:00",
                "taken_precision": "minute",
                "caption": "a lake",
                "tags": ["lake", "dawn"],
            },
            {
                "rank": 2,
                "id": "def",
                "path": None,
                "is_there": None,
                "part": {"kind": "image"},
                "score": 0.1,
                "strength": "strong",
                "probability": None,
                "confidence": 0.95,
                "why": [],
                "duplicates": [],
                "excluded_by": "",
                "group": None,
                "others": 0,
                "group_filter": "",
                "moments": [],
                "duration_s": None,
                "uri": "https://example.org/b.jpg",
                "width": 0,
                "height": 0,
                "media": "",
                "taken_at": None,
                "taken_precision": None,
                "caption": "",
                "tags": [],
            },
        ],
    }


@pytest.mark.parametrize(
    ("term", "plain"),
    [
        (Term("text", "a dog"), ("text", "a dog")),
        (Term("id", "abc"), ("id", "abc")),
        (Term("image", Path("a") / "b.jpg"), ("image", str(Path("a") / "b.jpg"))),
        (Term("image", Image.new("RGB", (2, 2))), ("image", "")),
        (Term("image", np.zeros((2, 2, 3), np.uint8)), ("image", "")),
        (Term("vector", np.ones(3, np.float32)), ("vector", "")),
    ],
    ids=["text", "id", "file", "picture", "array", "vector"],
)
def test_labels_of_queries(term: Term, plain: tuple[str, str]) -> None:
    assert query_label(Query((term,))) == plain


def test_the_label_of_several_terms_is_their_text() -> None:
    several = Query((Term("text", "a dog"), Term("id", "abc")), exclude=(Term("text", "snow"),))
    assert query_label(several) == ("query", '"a dog" id:"abc" -"snow"')
    assert query_label(Query((Term("text", "x"), Term("vector", [1.0])))) == ("query", "")
    assert query_label(Query(())) == ("query", "")


@pytest.mark.parametrize(
    ("part", "plain"),
    [
        (WHOLE, {"kind": "image"}),
        (
            Part("tile", (0.0, 0.5, 0.25, 0.5)),
            {"kind": "tile", "box": [0.0, 0.5, 0.25, 0.5]},
        ),
        (
            Part("shot", start_s=0.0, end_s=2.5, frame_s=1.5),
            {"kind": "shot", "start_s": 0.0, "end_s": 2.5, "frame_s": 1.5},
        ),
    ],
    ids=["image", "tile", "shot"],
)
def test_parts_are_written_and_read(part: Part, plain: dict[str, Any]) -> None:
    assert part_to_plain(part) == plain
    assert part_from_plain(json.loads(json.dumps(part_to_plain(part)))) == part


# ------------------------------------------------------------------ queries, both ways

_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
_numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)
_times = st.datetimes(timezones=st.none() | st.just(UTC)).map(lambda t: t.replace(fold=0))
_fields = st.sampled_from(["fields.a", "fields.user.price", "fields.Größe"])
_compares = st.one_of(
    st.builds(Compare, _fields, st.just("eq"), _numbers | st.booleans() | _texts | _times),
    st.builds(Compare, _fields, st.just("in"), st.lists(_numbers | _texts).map(tuple)),
    st.builds(Compare, _fields, st.just("exists")),
    st.builds(Compare, st.just("taken_at"), st.sampled_from(["lt", "ge"]), _times),
    st.builds(Compare, st.just("width"), st.sampled_from(["lt", "ge"]), st.integers(0, 10**6)),
    st.just(Compare("location", "near", (48.86, 2.35, 5.0))),
)
_filters = st.recursive(
    _compares,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=8,
)
_regions = st.none() | st.just(Region(0.25, 0, 0.5, 1)) | st.just(Region(10, 20, 30, 40))
_weights = st.floats(-4, 4).filter(bool)
_terms = st.one_of(
    st.builds(Term, st.just("text"), st.text(min_size=1), _weights),
    st.builds(Term, st.sampled_from(["image", "id"]), st.text(min_size=1), _weights, _regions),
    st.builds(Term, st.just("vector"), st.lists(st.floats(-1, 1), min_size=1).map(tuple)),
)
_queries = st.builds(
    Query,
    terms=st.lists(_terms, max_size=3).map(tuple),
    exclude=st.lists(_terms, max_size=2).map(tuple),
    where=st.none() | _filters,
    k=st.integers(1, 1000),
    offset=st.integers(0, 1000),
    sort=st.sampled_from(["relevance", "newest", "smallest"]),
    min_strength=st.sampled_from([None, "strong", "likely", "weak"]),
    show_excluded=st.booleans(),
    group=st.booleans(),
    variety=st.floats(0, 1),
    text_weight=st.floats(0, 2),
)


@settings(deadline=None, max_examples=100)
@given(_queries)
def test_a_query_comes_back_from_json(query: Query) -> None:
    plain = json.loads(json.dumps(query_to_plain(query), allow_nan=False))
    again = query_from_plain(plain)
    assert again == query
    assert repr(again) == repr(query), "also the types of values, which == takes as equal"


def test_a_query_may_be_written_by_hand() -> None:
    assert query_from_plain("a dog format:jpg") == parse("a dog format:jpg")
    assert query_from_plain({}) == Query(())
    hand = {"query": "a dog year:2024", "where": "format:jpg", "k": 5, "exclude": None}
    assert query_from_plain(hand) == replace(parse("a dog year:2024 format:jpg"), k=5) or (
        query_from_plain(hand).where == And((parse("year:2024").where, parse("format:jpg").where))
    )
    filtered = query_from_plain({"where": {"field": "width", "op": "ge", "value": 1920}})
    assert filtered == Query((), where=Compare("width", "ge", 1920))
    as_file = Query((Term("image", Path("a") / "b.jpg"),))
    assert query_from_plain(query_to_plain(as_file)).terms[0].value == str(Path("a") / "b.jpg")


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (7, "Not an object"),
        ({"quary": "x"}, "Did you mean 'query'"),
        ({"query": 7}, "Wrong value for query"),
        ({"k": "5"}, "Wrong value for k: '5'"),
        ({"k": True}, "Wrong value for k"),
        ({"group": 1}, "Wrong value for group"),
        ({"variety": "x"}, "Wrong value for variety"),
        ({"sort": "nearest"}, "Unknown order"),
        ({"where": "a dog"}, "Only filters"),
        ({"where": {"and": 5}}, "Wrong value for and"),
        ({"where": {"field": "width", "and": []}}, "has one of these names"),
        ({"where": {}}, "has one of these names"),
        ({"where": {"field": "widht", "op": "eq", "value": 1}}, "Did you mean 'width'"),
        ({"where": {"field": "width", "op": "above", "value": 1}}, "Unknown operator"),
        ({"where": {"field": "width", "op": "eq", "value": {"a": 1}}}, "Wrong value for value"),
        ({"where": {"field": "taken_at", "value": {"datetime": "x"}}}, "Wrong value for value"),
        ({"terms": "a dog"}, "Wrong value for terms"),
        ({"terms": ["a dog"]}, "Not an object"),
        ({"terms": [{"kind": "words", "value": "x"}]}, "Unknown kind of term"),
        ({"terms": [{"kind": "text", "value": 5}]}, "Wrong value for value"),
        ({"terms": [{"kind": "vector", "value": ["x"]}]}, "Wrong value for value"),
        ({"terms": [{"kind": "text", "value": "x", "weight": "2"}]}, "Wrong value for weight"),
        ({"terms": [{"kind": "id", "value": "x", "region": [1]}]}, "Wrong value for region"),
        ({"terms": [{"kind": "id", "value": "x", "region": [0, 0, 0, 0]}]}, "rectangle"),
    ],
)
def test_invalid_json_raises_query_error(plain: Any, words: str) -> None:
    with pytest.raises(QueryError, match=f"(?i){re.escape(words)}"):
        query_from_plain(plain)


def test_filters_can_not_be_nested_without_end() -> None:
    where: dict[str, Any] = {"field": "width", "op": "eq", "value": 1}
    for _ in range(200):
        where = {"not": where}
    with pytest.raises(QueryError, match="nested too deeply"):
        query_from_plain({"where": where})


def test_an_image_in_memory_has_no_json() -> None:
    with pytest.raises(QueryError, match="image in memory can't be written"):
        query_to_plain(Query((Term("image", np.zeros((2, 2, 3), np.uint8)),)))


def test_json_of_a_report() -> None:
    failure = Failure("Photos/b.jpg", "decode", "damaged", "It is cut off", "Restore it.")
    plain = report_to_plain(
        Report(added=2, known_failures=1, failures=(failure,), seconds={"total": 1.23456})
    )
    assert json.loads(json.dumps(plain)) == {
        "added": 2,
        "updated": 0,
        "moved": 0,
        "removed": 0,
        "away": 0,
        "unchanged": 0,
        "reused": 0,
        "known_failures": 1,
        "failed": 1,
        "failures": [
            {
                "uri": "Photos/b.jpg",
                "stage": "decode",
                "reason": "damaged",
                "message": "It is cut off",
                "advice": "Restore it.",
            }
        ],
        "seconds": {"total": 1.235},
        "stopped": False,
        "acceleration": None,
        "skipped": [],
    }


def test_json_of_a_report_says_what_images_were_embedded_in() -> None:
    report = Report(acceleration=Acceleration("onnxruntime", "fp32", "too few images"))
    plain = json.loads(json.dumps(report_to_plain(report)))["acceleration"]
    assert (plain["precision"], plain["why"]) == ("fp32", "too few images")


def test_json_of_a_status() -> None:
    root = RootStatus("Photos", Path("/photos"), True, 3)
    running = {"pid": 7, "host": "here", "stage": "index", "done": 1, "total": 3, "left_s": 2.5}
    space = Space("f" * 8, 512, "clip")
    how = Acceleration("openvino", "bf16", "because")
    others = ((Space("a" * 8, 768, "siglip"), 2),)
    oldest, newest = datetime(2019, 7, 1, 12), datetime(2024, 5, 3, 9, 30)
    contents = Contents(2, oldest, newest, 1, 1, 3, 0, 0, 1, 4)
    last = LastRun("index", datetime(2026, 11, 29, 12, tzinfo=UTC), 1.5, False, added=3, failed=1)
    full = Status(
        Path("/lib"), "clip", space, 3, (root,), {"damaged": 1}, 99, running, how, "german", others,
        False, contents, {"index": 90, "previews": 5, "other": 4}, last,
        Calibration(1.2, 4.0, 1000),
    )  # fmt: skip
    assert json.loads(json.dumps(status_to_plain(full))) == {
        "path": str(Path("/lib")),
        "model": "clip",
        "space": {"fingerprint": "ffffffff", "dim": 512},
        "texts": "german",
        "other_spaces": [{"model": "siglip", "fingerprint": "aaaaaaaa", "dim": 768, "records": 2}],
        "records": 3,
        "roots": [{"name": "Photos", "path": str(Path("/photos")), "is_there": True, "records": 3}],
        "failures": {"damaged": 1},
        "bytes_on_disk": 99,
        "running": running,
        "watched": None,
        "acceleration": {
            "runtime": "openvino",
            "precision": "bf16",
            "why": "because",
            "images": 0,
            "cosine_median": 1.0,
            "cosine_least": 1.0,
            "rank_agreement": 1.0,
            "speedup": 0.0,
        },
        "model_is_here": False,
        "contents": {
            "dated": 2,
            "oldest": "2019-07-01T12:00:00",
            "newest": "2024-05-03T09:30:00",
            "located": 1,
            "tagged": 1,
            "captioned": 3,
            "rated": 0,
            "unreachable": 0,
            "without_vectors": 1,
            "away": 4,
        },
        "disk": {"index": 90, "previews": 5, "other": 4},
        "last_run": {
            "kind": "index",
            "ended_at": "2026-11-29T12:00:00+00:00",
            "seconds": 1.5,
            "stopped": False,
            "added": 3,
            "updated": 0,
            "moved": 0,
            "removed": 0,
            "unchanged": 0,
            "failed": 1,
        },
        "calibration": {
            "slope": 1.2,
            "centre": 4.0,
            "images": 1000,
            "rank": 0.0,
            "demand": 0.0,
            "knee": 0.0,
            "bend": 0.0,
        },
        "engine": "embedded",
    }
    empty = status_to_plain(Status(Path("/lib"), "", None, 0, (), {}, 0, None))
    assert (empty["space"], empty["running"], empty["roots"]) == (None, None, [])
    assert (empty["acceleration"], empty["last_run"], empty["calibration"]) == (None,) * 3
    assert (empty["texts"], empty["other_spaces"]) == ("", [])


def test_dates_in_the_words_of_json_are_filters_unless_refused() -> None:
    query = query_from_plain({"query": "a dog 2019 tag:x", "k": 5})
    (reading,) = query.date_readings
    assert (reading.words, reading.means) == ("2019", "date:2019")
    assert query_from_plain(json.loads(json.dumps(query_to_plain(query)))) == query
    assert query_from_plain("a dog 2019") == replace(query, k=10, where=None)
    refused = query_from_plain({"query": "a dog 2019", "dates": False})
    assert refused == parse("a dog 2019")
    more = {**query_to_plain(query), "query": "a cat"}
    assert query_from_plain(more).dates_as_words() == replace(
        parse('"a cat" "a dog 2019" tag:x'), k=5
    )
    for wrong in ({"dates": 1}, {"date_readings": [{}]}, {"date_readings": 1}):
        with pytest.raises(QueryError):
            query_from_plain({"query": "a dog", **wrong})


@pytest.mark.parametrize(("probability", "said"), [(0.99999, 0.9999), (1e-9, 0.0001), (0.5, 0.5)])
def test_no_probability_is_certain(probability: float, said: float) -> None:
    hit = Hit(1, Record("abc", "Photos/a.jpg"), WHOLE, 0.1, None, probability=probability)
    assert hit_to_plain(hit)["probability"] == said
